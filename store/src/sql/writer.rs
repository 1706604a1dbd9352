//! The one thread that writes, and its group commit.
//!
//! It takes what is queued, at most [`GROUP`] acts, and runs them in one transaction, each in a
//! savepoint where there are several: a refused act is rolled back alone and takes no position. One commit is one fsync; only
//! then are the callers answered. There is no timer: while one group is being made durable, the
//! next one gathers.
//!
//! Records of what somebody was shown have a queue of their own, and come behind all that waits in the other one: at most [`ROWS_BEHIND`] rows of
//! them a transaction, so that what revokes waits for a few milliseconds of them, however many there are. Where they fill their queue they
//! are refused, and what they are of is not shown.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError, bounded, select};

use super::Database;
use super::connection::{Connection, DatabaseError, Failure, Savepoint};
use super::group::{Act, Group, Seen};
use super::reply::{Reply, reply};
use crate::StoreError;
use crate::sealing::Sealer;

/// The most acts in one transaction (architecture promise 3).
const GROUP: usize = 256;

/// The most acts that wait; a caller beyond them waits [`QUEUE_PATIENCE`] and is then refused.
const QUEUE: usize = 4 * GROUP;
const QUEUE_PATIENCE: Duration = Duration::from_secs(5);

/// The most acts that wait behind the others; further ones are refused at once.
const QUEUE_BEHIND: usize = GROUP;
/// Rows that these write in one transaction, unless one of them has more.
const ROWS_BEHIND: usize = 512;

/// How long nothing must be queued before the write-ahead log is copied into the database.
const IDLE: Duration = Duration::from_millis(250);

/// How long a server that has gone away is looked for before the acts that wait are refused, and how often.
const LOOKED_FOR: Duration = Duration::from_secs(5);
const LOOKED_EVERY: Duration = Duration::from_millis(100);

/// The queue to the thread. Dropping it finishes what is queued and joins the thread.
pub(super) struct Writer {
    queue: Option<Sender<Box<dyn Queued>>>,
    behind: Option<Sender<Behind>>,
    thread: Option<JoinHandle<()>>,
}

/// An act that waits behind the others.
struct Behind {
    /// Rows that it writes.
    rows: usize,
    act: Box<dyn Queued>,
}

/// What waits.
struct Queues {
    acts: Receiver<Box<dyn Queued>>,
    behind: Receiver<Behind>,
}

/// What a look at the queues came to.
enum Next {
    Group(Vec<Box<dyn Queued>>),
    Idle,
    Over,
}

impl Queues {
    /// The acts of the next transaction, or that nothing came for [`IDLE`].
    fn next(&self) -> Next {
        let (mut acts, mut behind) = (Vec::new(), None);
        select! {
            recv(self.acts) -> first => acts.extend(first),
            recv(self.behind) -> first => behind = first.ok(),
            default(IDLE) => return Next::Idle,
        }
        acts.extend(self.acts.try_iter().take(GROUP.saturating_sub(acts.len())));
        // One at least: what comes without end keeps nobody waiting for ever.
        let mut rows = 0_usize;
        while let Some(one) = behind.take().or_else(|| self.behind.try_recv().ok()) {
            rows = rows.saturating_add(one.rows);
            acts.push(one.act);
            if rows >= ROWS_BEHIND {
                break;
            }
        }
        // A queue that is read and has nothing has been closed, and its sender closes both.
        if acts.is_empty() { Next::Over } else { Next::Group(acts) }
    }

    /// Refuses all that waits.
    fn refuse(&self, error: &StoreError) {
        self.acts.try_iter().for_each(|act| act.answer(Some(again(error))));
        self.behind.try_iter().for_each(|one| one.act.answer(Some(again(error))));
    }
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        database: Arc<dyn Database>,
        sealer: Arc<Sealer>,
    ) -> Result<Self, StoreError> {
        let (queue, acts) = bounded(QUEUE);
        let (behind, waiting) = bounded(QUEUE_BEHIND);
        let queues = Queues { acts, behind: waiting };
        let name = database.name();
        let mut writing = Writing { connection, database, sealer, seen: Seen::default() };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || writing.run(&queues))
            .map_err(|source| StoreError::Open { path: name.into(), source })?;
        Ok(Self { queue: Some(queue), behind: Some(behind), thread: Some(thread) })
    }

    /// Runs `act` in the writer and returns once it is durable or has left no trace.
    pub(super) fn run<T, F>(&self, act: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Act<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = reply();
        let queued = Box::new(Waiting { act: Some(act), done: None, reply });
        let queue = self.queue.as_ref().ok_or(StoreError::Closed)?;
        queue.send_timeout(queued, QUEUE_PATIENCE).map_err(|error| match error {
            SendTimeoutError::Timeout(_) => StoreError::Overloaded,
            SendTimeoutError::Disconnected(_) => StoreError::Closed,
        })?;
        answer.wait().ok_or(StoreError::Closed)?
    }

    /// As [`Self::run`], behind all that waits there, of an act that writes about so many rows.
    ///
    /// # Errors
    ///
    /// Those of the act; [`StoreError::Overloaded`] at once where too many of its kind wait.
    pub(super) fn run_behind<T, F>(&self, rows: usize, act: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Act<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = reply();
        let act: Box<dyn Queued> = Box::new(Waiting { act: Some(act), done: None, reply });
        let queue = self.behind.as_ref().ok_or(StoreError::Closed)?;
        queue.try_send(Behind { rows, act }).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Overloaded,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        answer.wait().ok_or(StoreError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.behind.take());
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            // A writer that panicked has answered nobody: callers have seen `Closed`.
            let _ = thread.join();
        }
    }
}

/// An act on its way, whatever it yields.
trait Queued: Send {
    /// Runs it once. `Err` means that its savepoint is to be rolled back; it is a copy of the
    /// reason, which waits in the act.
    fn run(&mut self, act: &mut Act<'_>) -> Result<(), StoreError>;
    /// Answers its caller: with what it yielded, unless the group was lost.
    fn answer(self: Box<Self>, group: Option<StoreError>);
}

struct Waiting<T, F> {
    act: Option<F>,
    done: Option<Result<T, StoreError>>,
    reply: Reply<Result<T, StoreError>>,
}

impl<T, F> Queued for Waiting<T, F>
where
    T: Send,
    F: FnOnce(&mut Act<'_>) -> Result<T, StoreError> + Send,
{
    fn run(&mut self, act: &mut Act<'_>) -> Result<(), StoreError> {
        let result = self.act.take().map_or(Err(StoreError::Closed), |run| {
            // A defect of one act, which the panic's line tells of, must not take the writer, and with it every
            // revocation, from all others. What it wrote is rolled back like that of an act that was refused.
            catch_unwind(AssertUnwindSafe(|| run(act))).unwrap_or(Err(StoreError::Closed))
        });
        let refused = result.as_ref().err().map(again);
        self.done = Some(result);
        refused.map_or(Ok(()), Err)
    }

    fn answer(self: Box<Self>, group: Option<StoreError>) {
        let result = match (self.done, group) {
            // A refusal stays what it was: it did nothing that could have been lost.
            (Some(Err(refusal)), _) => Err(refusal),
            (_, Some(error)) => Err(error),
            (Some(done), None) => done,
            (None, None) => Err(StoreError::Closed),
        };
        self.reply.send(result);
    }
}

/// What the thread works with.
struct Writing {
    connection: Connection,
    database: Arc<dyn Database>,
    sealer: Arc<Sealer>,
    seen: Seen,
}

impl Writing {
    fn run(&mut self, queues: &Queues) {
        let mut written = false;
        loop {
            match queues.next() {
                Next::Group(acts) => {
                    self.run_group(acts, queues);
                    written = true;
                }
                // Best effort: a reader may hold it up, and the next idle time comes.
                Next::Idle if written => written = self.connection.tidy().is_err(),
                Next::Idle => {}
                Next::Over => return,
            }
        }
    }

    /// Runs acts in one transaction, or in more when the storage loses one half-way.
    fn run_group(&mut self, acts: Vec<Box<dyn Queued>>, queues: &Queues) {
        let mut waiting = acts.into_iter();
        while waiting.len() > 0 {
            let mut ran = Vec::with_capacity(waiting.len());
            let outcome = match self.begin() {
                Ok(()) => self.transaction(&mut waiting, &mut ran, queues),
                Err(error) => Err(error.into()),
            };
            let error = match outcome {
                Ok(seen) => {
                    self.seen = seen;
                    None
                }
                Err(error) => {
                    self.connection.roll_back();
                    Some(error)
                }
            };
            // Nothing ran: the transaction could not even begin, and would not for the others.
            if ran.is_empty() {
                ran.extend(waiting.by_ref());
            }
            for act in ran {
                act.answer(error.as_ref().map(again));
            }
        }
    }

    /// Runs what waits, and commits; how far the logs have come then.
    fn transaction(
        &self,
        waiting: &mut std::vec::IntoIter<Box<dyn Queued>>,
        ran: &mut Vec<Box<dyn Queued>>,
        queues: &Queues,
    ) -> Result<Seen, StoreError> {
        let Self { connection, sealer, .. } = self;
        let mut group = Group::begin(connection, sealer, &self.seen)?;
        // Whoever shares the transaction with nobody needs no savepoint: refused, he takes all of it with him.
        let is_shared = waiting.len() > 1;
        for mut queued in waiting {
            if is_shared && let Err(error) = connection.savepoint(Savepoint::Set) {
                // It has not run, and is answered with the others.
                ran.push(queued);
                return Err(error.into());
            }
            let refused = queued.run(&mut group.act()).err();
            ran.push(queued);
            match refused {
                // What ran before in this group is lost with it and meets the same error.
                Some(reason) if connection.has_lost_its_transaction() => return Err(reason),
                Some(_) if is_shared => {
                    connection.savepoint(Savepoint::RollBackTo)?;
                    group.forget_act();
                }
                Some(_) => {
                    connection.roll_back();
                    return Ok(self.seen.clone());
                }
                None => {}
            }
            if is_shared {
                connection.savepoint(Savepoint::Release)?;
            }
        }
        let seen = group.finish()?;
        // Only those of this group need know what became of it. Who comes meanwhile has waited as long as for any server
        // that is away.
        connection.commit_telling(&|error, asked_for| {
            if asked_for >= LOOKED_FOR {
                queues.refuse(&StoreError::from(error.clone()));
            }
        })?;
        Ok(seen)
    }

    /// Begins a transaction. A server that went away meanwhile, or was started anew, is looked for: nothing of this
    /// group has been done yet.
    fn begin(&mut self) -> Result<(), DatabaseError> {
        let begun = Instant::now();
        loop {
            match self.connection.begin_writing() {
                Err(error)
                    if error.failure() == Failure::Unreachable && begun.elapsed() < LOOKED_FOR =>
                {
                    match self.database.writer() {
                        Ok(connection) => self.connection = connection,
                        Err(_) => thread::sleep(LOOKED_EVERY),
                    }
                }
                outcome => return outcome,
            }
        }
    }
}

/// A storage error once more, for each caller of a lost group. Refusals by rule are not shared; they
/// come out as a defect.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Busy => StoreError::Busy,
        StoreError::Full => StoreError::Full,
        StoreError::ReadOnly => StoreError::ReadOnly,
        StoreError::Random => StoreError::Random,
        StoreError::Device(source) => StoreError::Device(source.clone()),
        StoreError::Damaged(source) => StoreError::Damaged(source.clone()),
        StoreError::Constraint(source) => StoreError::Constraint(source.clone()),
        StoreError::AuditRefused(source) => StoreError::AuditRefused(source.clone()),
        StoreError::Unreachable(source) => StoreError::Unreachable(source.clone()),
        StoreError::OlderThanSeen { log, found, seen } => {
            StoreError::OlderThanSeen { log, found: *found, seen: *seen }
        }
        StoreError::SchemaNewer { found, known } => {
            StoreError::SchemaNewer { found: *found, known: *known }
        }
        StoreError::Query(source) => StoreError::Query(source.clone()),
        _ => StoreError::Stored { what: "log head" },
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use ca::audit::{Actor, AuditEvent, EventCode, EventResult, ObjectIds};
    use ca::deployment::Deployment;
    use rusqlite::params;
    use x509::time::UnixTime;

    use super::*;
    use crate::audit::AuditRecord;
    use crate::sealing::{FileKeySource, Subject};
    use crate::{Log, SqliteStore, Store as _};

    /// What writes a row and an audit leaf, and is refused then or not.
    fn writing(
        name: &'static str,
        end: fn() -> Result<(), StoreError>,
    ) -> impl FnOnce(&mut Act<'_>) -> Result<(), StoreError> + Send + 'static {
        let event = AuditEvent {
            code: EventCode::ServerStarted,
            result: EventResult::Done,
            actor: Actor::System([0; 16]),
            objects: ObjectIds::default(),
            policy: None,
        };
        let audit =
            AuditRecord { event, payload: name.as_bytes().to_vec(), subject: Subject::Deployment };
        move |act| {
            act.connection().execute(
                "INSERT INTO superseded_start (node, boot) VALUES (?1, ?2)",
                params![name, [0_u8; 16]],
            )?;
            act.put_audit(&audit, UnixTime::from_secs(1_800_000_000).unwrap())?;
            end()
        }
    }

    fn refused() -> Result<(), StoreError> {
        Err(StoreError::SerialTaken)
    }

    fn done() -> Result<(), StoreError> {
        Ok(())
    }

    /// A defect of one act leaves no trace either, and the writer goes on.
    #[test]
    fn an_act_that_panics_is_refused_and_the_next_one_is_done() {
        let folder = tempfile::tempdir().unwrap();
        let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
        let keys = FileKeySource::create(&folder.path().join("seal.key")).unwrap();
        let now = UnixTime::from_secs(1_800_000_000).unwrap();
        let path = folder.path().join("ca.db");
        let store = SqliteStore::open_or_create(&path, deployment, &keys, now).unwrap();
        let leaves = || store.log_head(Log::Audit).unwrap().size;
        let before = leaves();

        let refused = store.writer.run(writing("a: panics", || panic!("as the test asks")));
        assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
        assert_eq!(leaves(), before);
        store.writer.run(writing("a: panics", done)).unwrap();
        assert_eq!(leaves(), before + 1);
    }

    /// Promise 4: however many records of reads wait, what came after them is done first, and is done with a few of them.
    #[test]
    fn what_revokes_does_not_wait_for_records_of_reads() {
        let folder = tempfile::tempdir().unwrap();
        let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
        let keys = FileKeySource::create(&folder.path().join("seal.key")).unwrap();
        let now = UnixTime::from_secs(1_800_000_000).unwrap();
        let path = folder.path().join("ca.db");
        let store = SqliteStore::open_or_create(&path, deployment, &keys, now).unwrap();
        let writer = &store.writer;
        let waiting = || writer.behind.as_ref().unwrap().len();
        let until = |count| {
            while waiting() < count {
                thread::yield_now();
            }
        };
        let (told, tells) = mpsc::channel();
        let refused = thread::scope(|scope| {
            let ((begun, begins), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel::<()>());
            scope.spawn(move || {
                writer.run(move |_| {
                    begun.send(()).unwrap();
                    goes_on.recv().unwrap();
                    Ok(())
                })
            });
            begins.recv().unwrap();
            for number in 0..QUEUE_BEHIND {
                let told = told.clone();
                scope.spawn(move || {
                    writer.run_behind(ROWS_BEHIND / 4, move |_| {
                        told.send("read").unwrap();
                        Ok(())
                    })
                });
                until(number + 1);
            }
            let refused = writer.run_behind(1, |_| Ok(()));
            let revokes = told.clone();
            scope.spawn(move || {
                writer.run(move |_| {
                    revokes.send("revocation").unwrap();
                    Ok(())
                })
            });
            while writer.queue.as_ref().unwrap().is_empty() {
                thread::yield_now();
            }
            go_on.send(()).unwrap();
            refused
        });
        drop(told);

        assert!(matches!(refused, Err(StoreError::Overloaded)), "{refused:?}");
        let done: Vec<_> = tells.iter().collect();
        assert_eq!(done[0], "revocation");
        assert_eq!(done.len(), 1 + QUEUE_BEHIND, "none of them is left undone");
    }

    /// Promise 3: a refused act leaves no trace and takes no position, with the transaction to itself and among others.
    #[test]
    fn a_refused_act_leaves_no_trace_alone_or_among_others() {
        let folder = tempfile::tempdir().unwrap();
        let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
        let keys = FileKeySource::create(&folder.path().join("seal.key")).unwrap();
        let now = UnixTime::from_secs(1_800_000_000).unwrap();
        let path = folder.path().join("ca.db");
        let store = SqliteStore::open_or_create(&path, deployment, &keys, now).unwrap();
        let leaves = || store.log_head(Log::Audit).unwrap().size;
        let before = leaves();

        assert!(store.writer.run(writing("a: alone, refused", refused)).is_err());
        assert_eq!(leaves(), before);
        store.writer.run(writing("b: alone", done)).unwrap();
        let waiting = || store.writer.queue.as_ref().unwrap().len();
        let until_wait = |count| {
            while waiting() < count {
                thread::yield_now();
            }
        };
        let ends = thread::scope(|scope| {
            let ((begun, begins), (go_on, goes_on)) = (mpsc::channel(), mpsc::channel::<()>());
            let writer = &store.writer;
            let first = scope.spawn(move || {
                writer.run(move |_| {
                    begun.send(()).unwrap();
                    goes_on.recv().unwrap();
                    Ok(())
                })
            });
            begins.recv().unwrap();
            // While it runs the others gather, and are one group.
            let acts: [(_, fn() -> _); 3] =
                [("c: first", done), ("d: second, refused", refused), ("e: third", done)];
            let acts = acts.map(|(name, end)| {
                let before = waiting();
                let act = scope.spawn(move || writer.run(writing(name, end)).is_ok());
                until_wait(before + 1);
                act
            });
            go_on.send(()).unwrap();
            first.join().unwrap().unwrap();
            acts.map(|act| act.join().unwrap())
        });

        assert_eq!(ends, [true, false, true]);
        assert_eq!(leaves(), before + 3);
        let names = store.readers.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT node FROM superseded_start ORDER BY node")?;
            let names = statement.query_map([], |row| row.get::<String>(0))?;
            Ok(names.collect::<Result<Vec<_>, _>>()?)
        });
        assert_eq!(names.unwrap(), ["b: alone", "c: first", "e: third"]);
    }
}
