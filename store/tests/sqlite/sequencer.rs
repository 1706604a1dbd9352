//! Promise 3 under load: eight callers append while readers follow, and nobody sees a gap.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use ledger::{Frontier, leaf_hash};
use status::{Index, Position, StatusEntry};
use store::{Log, StatusAct, Store};

use crate::conformance::world::{World, at, followed, sizes, verified};
use crate::sqlite;

const CALLERS: u64 = 8;
const READERS: usize = 2;

#[test]
fn eight_callers_append_and_readers_see_no_gap() {
    let appends = support::budget::count("sequencer-appends");
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    let ids: Vec<_> = (0..CALLERS).map(|_| world.issue(at(0)).certificate).collect();
    let (before, _) = sizes(&*world.store);
    let done = AtomicBool::new(false);
    let begun = Instant::now();

    let followed_by_readers = thread::scope(|scope| {
        let readers: Vec<_> =
            (0..READERS).map(|_| scope.spawn(|| follow(&*world.store, &done))).collect();
        let callers: Vec<_> = ids
            .iter()
            .map(|id| {
                scope.spawn(|| {
                    let mut given = Vec::new();
                    for round in 0..appends / CALLERS {
                        let act = if round % 2 == 0 { StatusAct::Hold } else { StatusAct::Release };
                        let changed = world.change(*id, act, at(round)).unwrap();
                        given.push(changed.status.position.index);
                    }
                    given
                })
            })
            .collect();
        let mut given: Vec<u64> =
            callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect();
        given.sort_unstable();
        let expected: Vec<u64> = (before..before + appends / CALLERS * CALLERS).collect();
        assert_eq!(given, expected, "positions are dense, each given once");
        done.store(true, Ordering::Release);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });

    let elapsed = begun.elapsed();
    println!(
        "{appends} appends of {CALLERS} callers in {elapsed:.1?}, {:.0} a second; {READERS} readers",
        per_second(appends, elapsed)
    );
    let size = sizes(&*world.store).0;
    assert!(followed_by_readers.iter().all(|seen| *seen == size));
    followed(&*world.store);
    verified(&*world.store, Log::Audit);
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

fn per_second(count: u64, elapsed: std::time::Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / elapsed.as_secs_f64()
}
