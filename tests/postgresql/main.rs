//! The store on PostgreSQL: the conformance suite of the room store, which runs on SQLite there, and what only a server
//! can suffer.

#[path = "../../store/tests/conformance/mod.rs"]
mod conformance;
mod faults;
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
    within: &'static Postgresql,
    folder: Arc<TempDir>,
    database: String,
}

/// A database of a server, by its socket.
fn in_server(server: &Postgresql, database: &str) -> PostgresServer {
    PostgresServer::at_socket(server.folder().to_owned(), database, USER).with_port(server.port())
}

fn postgres() -> Postgres {
    postgres_in(&SERVER)
}

fn postgres_in(within: &'static Postgresql) -> Postgres {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    FileKeySource::create(&folder.path().join("keys")).unwrap();
    Postgres { within, folder, database: within.database() }
}

impl Postgres {
    fn server(&self) -> PostgresServer {
        in_server(self.within, &self.database)
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
        let Self { within, folder, database } = self;
        Box::new(Self { within, folder: Arc::clone(folder), database: within.copy(database) })
    }
}

suite!(postgres);

/// Promises 3 and 5: histories of issuing, activation, hold, release, revocation, jobs, expiry, crashes, clock skew, lag and
/// restore, with backups by `pg_dump`.
#[test]
fn whatever_happens_log_ocsp_and_list_agree() {
    for seed in 1..=support::budget::count("postgresql-histories") {
        println!("history {seed}");
        let happened = conformance::histories::run(&postgres(), seed);
        assert!(happened.iter().all(|one| conformance::histories::HAPPENINGS.contains(one)));
    }
}
