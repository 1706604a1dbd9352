//! Promises 3, 4 and 5 as a model, seen from outside: whatever happens inside, in the outer host and between their clocks,
//! what this program answers and what the CRLs and deltas say is what the acts said, at the position that each rests on.
//!
//! Inside, histories of the store's own suite are played: issuing, activation, hold, release, revocation, jobs, expiry,
//! crashes, a clock that is set back, restores of an older copy that take over what was published. After each of their steps
//! the log is published, and [`outer`] follows it with this program's own code; [`lists`] makes lists with the room `crl`'s.
//! The model knows neither: it is told what each act did.

#[path = "../../../store/tests/conformance/mod.rs"]
#[expect(dead_code, reason = "the store's claims are made in its own suites")]
mod conformance;
mod lists;
mod outer;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::Connection;
use store::{FileKeySource, SqliteStore, Store};
use tempfile::TempDir;

use self::conformance::Backend;
use self::conformance::histories::{Inside, Outside, seen_from};
use self::conformance::world::at;
use self::lists::Lists;
use self::outer::Outer;

/// What must have happened in some history: a model in which nothing happens shows nothing.
const HAPPENINGS: [&str; 21] = [
    "a carrier brought tiles without their checkpoint",
    "a carrier put an older checkpoint back",
    "a clock kept a list from being made",
    "a delta said nothing",
    "a delta took back a hold",
    "a full list was made",
    "a kept answer was given",
    "a list was numbered above what a restored database knew",
    "an entry left a list after its end",
    "nothing was said past the freshness of the log",
    "said good",
    "said on hold",
    "said revoked",
    "said unknown a week after the end",
    "said unknown of what was never issued",
    "the clocks were further apart than they may be",
    "the outer host lagged",
    "the outer host was started anew",
    "what was issued a moment ago was waited for",
    "what was not yet heard of got no answer",
    "what was revoked inside was good outside, as long as it may be",
];

/// A defect that is planted, so that it is known that the model finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Planted {
    Nothing,
    /// Answers are given however old the log is that they rest on.
    StaleLog,
    /// The clocks of the zones are further apart than is believed: unknown is said from an old checkpoint.
    ClocksApart,
    /// Deltas do not take released holds back.
    RemovalsLost,
    /// The first row is not read when a full list is made.
    RowsLost,
}

/// A database file in a folder of its own.
struct Database {
    folder: Arc<TempDir>,
    path: PathBuf,
}

impl Database {
    fn new() -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        FileKeySource::create(&folder.path().join("keys")).unwrap();
        Self { path: folder.path().join("sigill.db"), folder }
    }
}

impl Backend for Database {
    fn open(&self) -> Arc<dyn Store> {
        let keys = FileKeySource::new(&self.folder.path().join("keys"));
        let deployment = "test/demo/ab12".parse().unwrap();
        Arc::new(SqliteStore::open_or_create(&self.path, deployment, &keys, at(0)).unwrap())
    }

    fn backup(&self) -> Box<dyn Backend> {
        let copy = self.path.with_extension("copy.db");
        let connection = Connection::open(&self.path).unwrap();
        connection.execute("VACUUM INTO ?1", [copy.to_str().unwrap()]).unwrap();
        Box::new(Self { folder: Arc::clone(&self.folder), path: copy })
    }
}

/// All that is seen from outside.
struct World {
    outer: Outer,
    lists: Lists,
}

impl Outside for World {
    fn look(&mut self, inside: &Inside<'_>) {
        self.outer.look(inside);
        self.lists.look(inside);
    }
}

/// The history of this seed with that defect; what happened in it.
fn run(seed: u64, planted: Planted) -> BTreeSet<&'static str> {
    let outer = Outer::new(seed, planted);
    let lists = Lists::new(seed, planted, outer.authority());
    let issuer = outer.issuer();
    let mut world = World { outer, lists };
    seen_from(&Database::new(), issuer, seed, &mut world);
    world.outer.happened.append(&mut world.lists.happened);
    world.outer.happened
}

/// Promises 3 and 5, REV-08, CRL-02, CRL-08, CRL-09, OCSP-03, OCSP-11: at every step of every history.
#[test]
fn whatever_happens_answers_and_lists_say_what_the_log_says() {
    let count = support::budget::count("responder-histories");
    let (mut happened, mut missing) = (BTreeSet::new(), HAPPENINGS.to_vec());
    // As many more as it takes until all has happened.
    for seed in 1..=count.saturating_mul(20) {
        println!("history {seed}");
        happened.append(&mut run(seed, Planted::Nothing));
        missing.retain(|one| !happened.contains(one));
        if seed >= count && missing.is_empty() {
            break;
        }
    }
    assert!(missing.is_empty(), "never happened: {missing:?}");
    let strange: Vec<_> = happened.into_iter().filter(|one| !HAPPENINGS.contains(one)).collect();
    assert!(strange.is_empty(), "not told of above: {strange:?}");
}

/// The model refuses each defect that it is there for, in the words of the check that finds it.
#[test]
fn the_model_finds_what_is_planted() {
    for (planted, found_by) in [
        (Planted::StaleLog, "past its freshness"),
        (Planted::ClocksApart, "unknown though it was issued before the question"),
        (Planted::RemovalsLost, "base and delta"),
        (Planted::RowsLost, "full list"),
    ] {
        let refused = (1..=40).find_map(|seed| {
            let refused = catch_unwind(AssertUnwindSafe(|| run(seed, planted))).err()?;
            let text = refused.downcast_ref::<String>().cloned();
            Some(text.unwrap_or_else(|| format!("{:?}", refused.downcast_ref::<&str>())))
        });
        let refused = refused.unwrap_or_else(|| panic!("{planted:?} is found by nothing"));
        assert!(refused.contains(found_by), "{planted:?}: {refused}");
    }
}
