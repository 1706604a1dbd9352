//! A server that dies in the middle of commits, one that nodes lose, and older copies that take its place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ca::audit::EventCode;
use store::{
    FileKeySource, Log, PostgresServer, PostgresStore, StatusAct, StatusChange, StatusTarget, Store,
};
use support::line::{Far, Line};
use support::postgresql::{Postgresql, USER};

use crate::conformance::Backend as _;
use crate::conformance::world::{World, at, audit, followed, node, sizes, verified};
use crate::{Postgres, postgres, postgres_in};

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

/// How long a node may take to say that its server is away: silence is noticed after eight seconds, and the server is looked
/// for for five more. A busy machine has the rest.
const NOTICED_WITHIN: Duration = Duration::from_secs(45);

/// A node of its own behind a line that can be cut.
fn behind_a_line(postgres: &Postgres, world: &World) -> (Line, World) {
    let port = postgres.within.port();
    let line = Line::to(Far::Socket(postgres.within.folder().join(format!(".s.PGSQL.{port}"))));
    let server = PostgresServer::at_host("127.0.0.1", &postgres.database, USER);
    let server = server.with_port(line.address().port());
    let keys = FileKeySource::new(&postgres.folder.path().join("keys"));
    let deployment = "test/demo/ab12".parse().unwrap();
    let store = PostgresStore::open(&server, deployment, &keys, at(0)).unwrap();
    (line, world.over(Arc::new(store), node("b", 1)))
}

/// REV-01: the other node goes on while one has lost its line to the database, be it that the line refuses, or that it takes
/// everything and says nothing. The node behind it refuses what it is asked in seconds, to read as well as to write, and goes
/// on by itself when the line is whole.
#[test]
fn a_node_that_loses_its_line_to_the_database_says_so_and_the_other_goes_on() {
    let postgres = postgres();
    let world = World::new(&postgres);
    let (line, behind) = behind_a_line(&postgres, &world);
    let id = behind.issue(at(1)).certificate;
    let target = StatusTarget::Certificate(id);
    let change = StatusChange { target, act: StatusAct::Hold, requested_at: None, alone: None };
    for lose in [Line::cut, Line::fall_silent] {
        lose(&line);
        let begun = Instant::now();
        thread::scope(|scope| {
            let written = scope.spawn(|| {
                let audit = audit(EventCode::CertificateRevoked);
                behind.store.change_status(&change, &audit, at(2)).map(|_| ())
            });
            let read = scope.spawn(|| behind.store.log_head(Log::Status).map(|_| ()));
            world.issue(at(2));
            for refused in [written, read] {
                let refused = refused.join().unwrap().unwrap_err();
                assert_eq!(refused.code(), "database-unreachable", "{refused:?}");
                assert!(refused.is_passing());
            }
        });
        println!("measured: a lost line is told of after = {:.1?}", begun.elapsed());
        assert!(begun.elapsed() < NOTICED_WITHIN, "after {:?}", begun.elapsed());

        line.mend();
        let healed = Instant::now();
        while behind.store.log_head(Log::Status).is_err() {
            assert!(healed.elapsed() < PERSEVERANCE, "it does not find its server again");
            thread::sleep(Duration::from_millis(50));
        }
        turned(&*behind.store, target, 0);
        turned(&*behind.store, target, 1);
        behind.issue(at(3));
    }
    followed(&*world.store);
    verified(&*world.store, Log::Audit);
}

/// REV-01: a node stands still in the middle of a transaction, under the locks that all others wait for. The server ends it before the
/// first of them gives up: no act of another node is refused for it.
#[test]
fn a_node_that_stands_still_in_a_transaction_holds_up_no_act_of_another() {
    let postgres = postgres();
    let world = World::new(&postgres);
    let (line, behind) = behind_a_line(&postgres, &world);
    let id = behind.issue(at(1)).certificate;
    let idle = format!(
        "SELECT count(*) FROM pg_stat_activity \
         WHERE datname = '{}' AND state = 'idle in transaction'",
        postgres.database
    );
    // In the act, when it has written: an act that shares its transaction with nobody has no savepoint.
    line.fall_silent_after(b"held-issued");
    thread::scope(|scope| {
        let stands = scope.spawn(|| {
            let target = StatusTarget::Certificate(id);
            let change =
                StatusChange { target, act: StatusAct::Hold, requested_at: None, alone: None };
            let audit = audit(EventCode::CertificateRevoked);
            behind.store.change_status(&change, &audit, at(2)).map(|_| ())
        });
        let begun = Instant::now();
        while postgres.within.sql("postgres", &idle).trim() == "0" {
            assert!(!stands.is_finished() && begun.elapsed() < PERSEVERANCE, "it does not stand");
            thread::sleep(Duration::from_millis(20));
        }

        world.issue(at(2));

        line.mend();
        assert!(stands.join().unwrap().is_err(), "what stood still has left no trace");
    });
    followed(&*world.store);
}

/// Promise 2: the answer to a commit is lost in a line that falls silent. Who comes after it is refused in seconds, and who
/// waits for it is told what became of it when the line is whole: it was done, once.
#[test]
fn a_commit_whose_answer_is_lost_in_silence_holds_up_nobody_else() {
    let postgres = postgres();
    let world = World::new(&postgres);
    let (line, behind) = behind_a_line(&postgres, &world);
    let (one, other) = (behind.issue(at(1)).certificate, behind.issue(at(1)).certificate);
    let (before, _) = sizes(&*world.store);
    let hold = |id| {
        let target = StatusTarget::Certificate(id);
        let change = StatusChange { target, act: StatusAct::Hold, requested_at: None, alone: None };
        behind.store.change_status(&change, &audit(EventCode::CertificateRevoked), at(2))
    };
    // Not at the beginning of a transaction, READ COMMITTED.
    line.fall_silent_after(b"COMMIT\0");
    let first = thread::scope(|scope| {
        let first = scope.spawn(|| hold(one));
        while sizes(&*world.store).0 == before {
            assert!(!first.is_finished(), "it was not committed");
            thread::sleep(Duration::from_millis(20));
        }
        let begun = Instant::now();
        let refused = hold(other).map(|_| ()).unwrap_err();
        println!(
            "measured: an act behind a lost commit is refused after = {:.1?}",
            begun.elapsed()
        );
        assert_eq!(refused.code(), "database-unreachable", "{refused:?}");
        assert!(begun.elapsed() < NOTICED_WITHIN, "after {:?}", begun.elapsed());
        assert!(!first.is_finished(), "it was told before anybody knew");
        line.mend();
        first.join().unwrap()
    });
    assert_eq!(first.unwrap().status.position.index, before);
    assert_eq!(sizes(&*world.store).0, before + 1);
    followed(&*world.store);
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
