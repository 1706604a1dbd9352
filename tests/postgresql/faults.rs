//! A server that dies in the middle of commits, and nodes that stand still in the middle of a transaction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ca::audit::EventCode;
use store::{Log, StatusAct, StatusChange, StatusTarget, Store};
use support::postgresql::Postgresql;

use crate::conformance::Backend as _;
use crate::conformance::world::{World, at, audit, followed, node, sizes, verified};
use crate::{postgres, postgres_in};

const CALLERS: usize = 4;

/// How long the callers work between two kills.
const BETWEEN_KILLS: Duration = Duration::from_millis(400);

/// How long a caller goes on with one act, whatever happens to the server.
const PERSEVERANCE: Duration = Duration::from_secs(180);

/// Promises 2 and 3: what was answered is there, what was refused left no trace, and the node that lost its server goes on by
/// itself. If one commit whose answer was lost had been told wrongly, a position would be missing or be one too many.
#[test]
fn a_server_that_dies_in_the_middle_of_commits_loses_and_repeats_nothing() {
    let server: &'static Postgresql = Box::leak(Box::new(Postgresql::start().unwrap()));
    let postgres = postgres_in(server);
    let world = World::new(&postgres);
    let other = postgres.open();
    let ids: Vec<_> = (0..CALLERS).map(|_| world.issue(at(0)).certificate).collect();
    let (before, _) = sizes(&*world.store);
    let done = AtomicBool::new(false);

    let mut given = thread::scope(|scope| {
        let (done, nodes) = (&done, [&*world.store, &*other]);
        let callers: Vec<_> = ids
            .iter()
            .zip(nodes.into_iter().cycle())
            .map(|(id, store)| {
                scope.spawn(move || {
                    let mut given = Vec::new();
                    while !done.load(Ordering::Acquire) {
                        given.push(turned(store, StatusTarget::Certificate(*id), given.len()));
                    }
                    given
                })
            })
            .collect();
        for _ in 0..support::budget::count("postgresql-kills") {
            thread::sleep(BETWEEN_KILLS);
            server.kill();
            server.start_again();
        }
        thread::sleep(BETWEEN_KILLS);
        done.store(true, Ordering::Release);
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect::<Vec<u64>>()
    });

    given.sort_unstable();
    println!("{} appends outlived the server", given.len());
    let count = u64::try_from(given.len()).unwrap();
    assert!(count > 0, "nothing was done between the kills");
    assert_eq!(given, (before..before + count).collect::<Vec<u64>>());
    assert_eq!(sizes(&*other).0, before + count);
    world.issue_in_two_acts(at(count));
    followed(&*other);
    verified(&*other, Log::Audit);
}

/// Holds or releases until it is done; where it was done.
fn turned(store: &dyn Store, target: StatusTarget, round: usize) -> u64 {
    let act = if round.is_multiple_of(2) { StatusAct::Hold } else { StatusAct::Release };
    let change = StatusChange { target, act, requested_at: None, alone: None };
    let begun = Instant::now();
    loop {
        let now = at(u64::try_from(round).unwrap());
        match store.change_status(&change, &audit(EventCode::CertificateRevoked), now) {
            Ok(changed) => return changed.status.position.index,
            Err(error) => {
                assert!(error.is_passing(), "{error:?}");
                assert!(begun.elapsed() < PERSEVERANCE, "{error:?}");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

/// Promise 3: a standby that lacked the last acts, or an older copy, takes the place of the database while the node runs. No position
/// that was given is given again, and nothing is recorded before the node was started anew and has compared it with what is published.
#[test]
fn an_older_copy_that_takes_the_place_of_the_database_takes_no_act() {
    let postgres = postgres();
    let world = World::new(&postgres);
    let name = &postgres.database;
    let copy = postgres.within.copy(name);
    let id = world.issue(at(1)).certificate;
    let target = StatusTarget::Certificate(id);
    turned(&*world.store, target, 0);
    take_the_place(postgres.within, name, &copy);
    let entries = "SELECT count(*) FROM status_entry";
    let before = postgres.within.sql(name, entries);

    let change = StatusChange { target, act: StatusAct::Release, requested_at: None, alone: None };
    for _ in 0..2 {
        let refused =
            world.store.change_status(&change, &audit(EventCode::CertificateRevoked), at(2));
        let refused = refused.map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), "database-older", "{refused:?}");
        assert!(refused.is_passing());
    }
    assert_eq!(postgres.within.sql(name, entries), before);
}

/// Promise 3: as above, and another node, which had seen less, has written into the older copy: positions that were given are given
/// again there, and this node says so instead of going on behind them.
#[test]
fn an_older_copy_that_others_have_written_into_takes_no_act() {
    let postgres = postgres();
    let world = World::new(&postgres);
    let name = &postgres.database;
    let copy = postgres.within.copy(name);
    let id = world.issue(at(1)).certificate;
    take_the_place(postgres.within, name, &copy);
    let other = world.over(postgres.open(), node("b", 1));
    let change = StatusChange {
        target: StatusTarget::Certificate(id),
        act: StatusAct::Hold,
        requested_at: None,
        alone: None,
    };

    // As many entries as it has seen, and more.
    for round in 1..=2 {
        other.issue(at(round));
        let refused =
            world.store.change_status(&change, &audit(EventCode::CertificateRevoked), at(2));
        let refused = refused.map(|_| ()).unwrap_err();
        assert_eq!(refused.code(), "database-older", "{refused:?}");
    }
}

/// Lets `copy` be found under the name of the database, as a standby is found that was made the primary.
fn take_the_place(within: &Postgresql, name: &str, copy: &str) {
    let sql = format!(
        "ALTER DATABASE {name} ALLOW_CONNECTIONS false; \
         SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'; \
         ALTER DATABASE {name} RENAME TO {name}_newer; ALTER DATABASE {copy} RENAME TO {name}"
    );
    for statement in sql.split("; ") {
        within.sql("postgres", statement);
    }
}
