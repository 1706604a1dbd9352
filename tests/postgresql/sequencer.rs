//! Promise 3 with two nodes on one database: both append while readers follow, and nobody sees a gap.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ca::audit::EventCode;
use ledger::{Frontier, leaf_hash};
use status::{Index, Position, StatusEntry};
use store::{Log, StatusAct, StatusChange, StatusTarget, Store};

use crate::conformance::Backend as _;
use crate::conformance::world::{World, at, audit, followed, sizes, verified};
use crate::postgres;

const CALLERS: usize = 4;

#[test]
fn two_nodes_append_and_readers_see_no_gap() {
    let appends = usize::try_from(support::budget::count("postgresql-appends")).unwrap();
    let postgres = postgres();
    let world = World::new(&postgres);
    let other = postgres.open();
    let ids: Vec<_> = (0..2 * CALLERS).map(|_| world.issue(at(0)).certificate).collect();
    let (before, _) = sizes(&*world.store);
    let done = AtomicBool::new(false);
    let begun = Instant::now();

    let seen = thread::scope(|scope| {
        let (done, other, first) = (&done, &*other, &*world.store);
        let readers = [first, other].map(|store| scope.spawn(move || follow(store, done)));
        let callers: Vec<_> = ids
            .iter()
            .zip([first, other].into_iter().cycle())
            .map(|(id, store)| {
                scope.spawn(move || {
                    let mut given = Vec::new();
                    for round in 0..appends / (2 * CALLERS) {
                        let act = if round % 2 == 0 { StatusAct::Hold } else { StatusAct::Release };
                        let change = StatusChange {
                            target: StatusTarget::Certificate(*id),
                            act,
                            requested_at: None,
                            alone: None,
                        };
                        let now = at(u64::try_from(round).unwrap());
                        let changed = store
                            .change_status(&change, &audit(EventCode::CertificateRevoked), now)
                            .unwrap();
                        given.push(changed.status.position.index);
                    }
                    given
                })
            })
            .collect();
        let mut given: Vec<u64> =
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
        given.sort_unstable();
        let count = u64::try_from(appends / (2 * CALLERS) * (2 * CALLERS)).unwrap();
        let expected: Vec<u64> = (before..before + count).collect();
        assert_eq!(given, expected, "positions are dense, each given once");
        done.store(true, Ordering::Release);
        readers.map(|reader| reader.join().unwrap())
    });

    let per_second = f64::from(u32::try_from(appends).unwrap()) / begun.elapsed().as_secs_f64();
    println!("{appends} appends by two nodes in {:.1?}, {per_second:.0} a second", begun.elapsed());
    let size = sizes(&*other).0;
    assert_eq!(seen, [size, size]);
    followed(&*other);
    verified(&*other, Log::Audit);
}

/// Reads the status log as it grows; every head must be the root of exactly what was read.
fn follow(store: &dyn Store, done: &AtomicBool) -> u64 {
    let mut frontier = Frontier::new();
    let mut index = Index::new(1);
    loop {
        let last = done.load(Ordering::Acquire);
        let head = store.log_head(Log::Status).unwrap();
        while frontier.size() < head.size {
            let entries = store.log_entries(Log::Status, 1, frontier.size()..head.size).unwrap();
            assert!(!entries.is_empty(), "nothing at {} of {}", frontier.size(), head.size);
            for entry in entries {
                assert_eq!(entry.index, frontier.size(), "an entry was skipped");
                let position = Position { epoch: 1, index: entry.index };
                index.apply(position, &StatusEntry::decode(&entry.bytes).unwrap()).unwrap();
                frontier.append(leaf_hash(&entry.bytes)).unwrap();
            }
        }
        assert_eq!(frontier.root(), head.root);
        if last {
            return frontier.size();
        }
    }
}
