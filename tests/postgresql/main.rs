//! The store on PostgreSQL: the conformance suite of the room store, which runs on SQLite there, and what only a server
//! can suffer.

#[path = "../../store/tests/conformance/mod.rs"]
mod conformance;
mod opening;
mod sequencer;

use std::sync::{Arc, LazyLock};

use conformance::Backend;
use conformance::world::at;
use store::{FileKeySource, PostgresServer, PostgresStore, Store, StoreError};
use support::postgresql::{Postgresql, USER};
use tempfile::TempDir;

/// One server for all claims; it ends with this process.
static SERVER: LazyLock<Postgresql> = LazyLock::new(|| {
    Postgresql::start().expect("PostgreSQL is installed, as tests/stages.toml wants")
});

/// A database of its own in the server, and its keys.
struct Postgres {
    folder: Arc<TempDir>,
    database: String,
}

fn postgres() -> Postgres {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    FileKeySource::create(&folder.path().join("keys")).unwrap();
    Postgres { folder, database: SERVER.database() }
}

impl Postgres {
    fn server(&self) -> PostgresServer {
        PostgresServer::at_socket(SERVER.folder().to_owned(), &self.database, USER)
    }

    fn open_as(&self, deployment: &str, keys: &str) -> Result<PostgresStore, StoreError> {
        let keys = FileKeySource::new(&self.folder.path().join(keys));
        PostgresStore::open(&self.server(), deployment.parse().unwrap(), &keys, at(0))
    }
}

impl Backend for Postgres {
    fn open(&self) -> Arc<dyn Store> {
        let keys = FileKeySource::new(&self.folder.path().join("keys"));
        let deployment = "test/demo/ab12".parse().unwrap();
        Arc::new(PostgresStore::open_or_create(&self.server(), deployment, &keys, at(0)).unwrap())
    }

    fn backup(&self) -> Box<dyn Backend> {
        let database = SERVER.copy(&self.database);
        Box::new(Self { folder: Arc::clone(&self.folder), database })
    }
}

suite!(postgres);
