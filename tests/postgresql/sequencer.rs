//! Promise 3 with two nodes on one database, each a process of its own: both append while readers follow, they are killed with
//! signal 9 in turns, and nobody sees a gap.

use std::env;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use ca::audit::EventCode;
use ledger::{Frontier, leaf_hash};
use status::{CertificateState, Index, Position, StatusEntry};
use store::{
    CertificateId, CertificateLookup, FileKeySource, Log, PostgresServer, PostgresStore, StatusAct,
    StatusChange, StatusTarget, Store,
};
use support::postgresql::USER;

use crate::conformance::world::{World, at, audit, followed, sizes, verified};
use crate::{Postgres, postgres};

/// What a child is told: the folder of the server's socket, its port, the database, the file of keys, and its certificates.
const CHILD: &str = "SIGILL_TEST_APPENDER";
const NODES: usize = 2;
const CALLERS: usize = 4;

/// How long both nodes together may append nothing, a kill and a start between.
const PATIENCE: Duration = Duration::from_secs(180);

/// The child: a node that holds and releases its certificates, says at which positions, and ends when its input does.
#[test]
fn child_that_appends() {
    let Ok(told) = env::var(CHILD) else { return };
    let mut told = told.split('|');
    let mut word = || told.next().unwrap();
    let (folder, port) = (Path::new(word()).to_owned(), word().parse().unwrap());
    let server = PostgresServer::at_socket(folder, word(), USER).with_port(port);
    let keys = FileKeySource::new(Path::new(word()));
    let deployment = "test/demo/ab12".parse().unwrap();
    let store = PostgresStore::open(&server, deployment, &keys, at(0)).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let (store, done) = (&store, &done);
        for id in told {
            let id = id.parse().unwrap();
            scope.spawn(move || append(store, id, done));
        }
        scope.spawn(move || follow(store, done));
        let _end = std::io::stdin().read_to_end(&mut Vec::new());
        done.store(true, Ordering::Release);
    });
}

/// Turns a certificate's status to and fro from where a killed node may have left it.
fn append(store: &dyn Store, id: CertificateId, done: &AtomicBool) {
    let row = store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap().row;
    let mut held = matches!(row.status.status.state, CertificateState::Held(_));
    while !done.load(Ordering::Acquire) {
        let act = if held { StatusAct::Release } else { StatusAct::Hold };
        let target = StatusTarget::Certificate(id);
        let change = StatusChange { target, act, requested_at: None, alone: None };
        let changed = store.change_status(&change, &audit(EventCode::CertificateRevoked), at(1));
        let position = changed.unwrap().status.position.index;
        let mut out = std::io::stdout().lock();
        // Nobody listens any more: the end of this process is near.
        let _ = writeln!(out, "\nat {position}").and_then(|()| out.flush());
        held = !held;
    }
}

/// A child and who listens to it.
struct Node<'s> {
    child: Child,
    input: ChildStdin,
    listener: ScopedJoinHandle<'s, ()>,
}

impl<'s> Node<'s> {
    fn start<'e>(
        scope: &'s Scope<'s, 'e>,
        on: &Postgres,
        ids: &[String],
        given: &'s Mutex<Vec<u64>>,
    ) -> Self {
        let (folder, port) = (on.within.folder().display(), on.within.port());
        let keys = on.folder.path().join("keys");
        let told = format!("{folder}|{port}|{}|{}|{}", on.database, keys.display(), ids.join("|"));
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "sequencer::child_that_appends", "--nocapture", "--test-threads=1"])
            .env(CHILD, told)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let listener = scope.spawn(move || {
            for line in BufReader::new(output).split(b'\n') {
                let line = String::from_utf8(line.unwrap()).unwrap();
                // A line that a kill has cut has no end, and is the last one.
                if let Some(position) = line.strip_prefix("at ") {
                    given.lock().unwrap().push(position.parse().unwrap());
                }
            }
        });
        Self { child, input, listener }
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.listener.join().unwrap();
    }

    /// Lets it end what it does.
    fn end(self) {
        let Self { mut child, input, listener } = self;
        drop(input);
        listener.join().unwrap();
        assert!(child.wait().unwrap().success(), "a node has seen a gap, or was refused an act");
    }
}

#[test]
fn two_processes_append_are_killed_in_turns_and_readers_see_no_gap() {
    let appends = usize::try_from(support::budget::count("postgresql-appends")).unwrap();
    let kills = usize::try_from(support::budget::count("postgresql-node-kills")).unwrap();
    let postgres = postgres();
    let world = World::new(&postgres);
    let ids: Vec<_> =
        (0..NODES * CALLERS).map(|_| world.issue(at(0)).certificate.to_string()).collect();
    let (before, _) = sizes(&*world.store);
    let (done, given) = (AtomicBool::new(false), Mutex::new(Vec::new()));
    let begun = Instant::now();

    let seen = thread::scope(|scope| {
        let (done, given, store) = (&done, &given, &*world.store);
        // However this ends, the reader does too.
        let end = End(done);
        let reader = scope.spawn(move || follow(store, done));
        let start = |of: &[String]| Node::start(scope, &postgres, of, given);
        let mut nodes: Vec<_> = ids.chunks(CALLERS).map(|of| (of, start(of))).collect();
        for kill in 1..=kills {
            appended(given, appends * kill / (kills + 1));
            let (of, node) = nodes.remove(0);
            node.kill();
            nodes.push((of, start(of)));
        }
        appended(given, appends);
        nodes.into_iter().for_each(|(_, node)| node.end());
        drop(end);
        reader.join().unwrap()
    });

    let mut given = given.into_inner().unwrap();
    let per_second = f64::from(u32::try_from(given.len()).unwrap()) / begun.elapsed().as_secs_f64();
    println!("{} appends by two processes, {kills} kills, {per_second:.0} a second", given.len());
    given.sort_unstable();
    let size = sizes(&*world.store).0;
    assert_eq!(seen, size);
    assert!(given.windows(2).all(|two| two[0] < two[1]), "a position was given twice");
    assert!(given.first() >= Some(&before) && given.last() < Some(&size));
    // Of each caller of a node that was killed, one act may have been done and not said.
    let unsaid = usize::try_from(size - before).unwrap() - given.len();
    assert!(unsaid <= kills * CALLERS, "{unsaid} positions were given to nobody");
    followed(&*world.store);
    verified(&*world.store, Log::Audit);
}

/// Tells who follows that nothing more comes.
struct End<'d>(&'d AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Waits until so many positions were given.
fn appended(given: &Mutex<Vec<u64>>, wanted: usize) {
    let (mut seen, mut since) = (0, Instant::now());
    loop {
        let now = given.lock().unwrap().len();
        if now >= wanted {
            return;
        }
        if now > seen {
            (seen, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "nothing is appended after {now}");
        thread::sleep(Duration::from_millis(20));
    }
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
