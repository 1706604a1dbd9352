//! The store on SQLite: the conformance suite, and what only a file can suffer.

#![cfg(test)]

mod bench;
#[path = "../conformance/mod.rs"]
mod conformance;
mod crash;
mod faults;
mod mass;
mod opening;
mod refused_audit;
mod sequencer;
mod shared_texts;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use conformance::Backend;
use conformance::histories::HAPPENINGS;
use conformance::world::at;
use rusqlite::Connection;
use store::{FileKeySource, SqliteStore, Store};
use tempfile::TempDir;

/// A database file in a folder of its own.
struct Sqlite {
    folder: Arc<TempDir>,
    database: PathBuf,
}

fn sqlite() -> Sqlite {
    let folder = Arc::new(tempfile::tempdir().unwrap());
    FileKeySource::create(&folder.path().join("keys")).unwrap();
    Sqlite { database: folder.path().join("sigill.db"), folder }
}

impl Sqlite {
    /// A connection that the store knows nothing of: an operator's shell, or a second program.
    fn raw(&self) -> Connection {
        Connection::open(&self.database).unwrap()
    }
}

impl Backend for Sqlite {
    fn open(&self) -> Arc<dyn Store> {
        let keys = FileKeySource::new(&self.folder.path().join("keys"));
        let deployment = "test/demo/ab12".parse().unwrap();
        Arc::new(SqliteStore::open_or_create(&self.database, deployment, &keys, at(0)).unwrap())
    }

    fn backup(&self) -> Box<dyn Backend> {
        let copy = self.database.with_extension("copy.db");
        Connection::open(&self.database)
            .unwrap()
            .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
            .unwrap();
        Box::new(Self { folder: Arc::clone(&self.folder), database: copy })
    }
}

suite!(sqlite);

/// Promises 3 and 5: histories of issuing, activation, hold, release, revocation, jobs, expiry, crashes, clock skew, lag and
/// restore.
#[test]
fn whatever_happens_log_ocsp_and_list_agree() {
    let mut happened = BTreeSet::new();
    for seed in 1..=support::budget::count("model-histories") {
        println!("history {seed}");
        happened.append(&mut conformance::histories::run(&sqlite(), seed));
    }
    let missing: Vec<_> = HAPPENINGS.into_iter().filter(|one| !happened.contains(one)).collect();
    assert!(missing.is_empty(), "never happened: {missing:?}");
}
