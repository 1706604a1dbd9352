//! The one thread that writes, and its group commit.
//!
//! It takes what is queued, at most [`GROUP`] acts, and runs them in one transaction, each in a
//! savepoint: a refused act is rolled back alone and takes no position. One commit is one fsync; only
//! then are the callers answered. There is no timer: while one group is being made durable, the
//! next one gathers.

use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, SendTimeoutError, Sender, bounded};
use rusqlite::Connection;

use super::group::{Act, Group};
use super::reply::{Reply, reply};
use crate::StoreError;
use crate::sealing::Sealer;

/// The most acts in one transaction (architecture promise 3).
const GROUP: usize = 256;

/// The most acts that wait; a caller beyond them waits [`QUEUE_PATIENCE`] and is then refused.
const QUEUE: usize = 4 * GROUP;
const QUEUE_PATIENCE: Duration = Duration::from_secs(5);

/// How long nothing must be queued before the write-ahead log is copied into the database.
const IDLE: Duration = Duration::from_millis(250);

/// The queue to the thread. Dropping it finishes what is queued and joins the thread.
pub(super) struct Writer {
    queue: Option<Sender<Box<dyn Queued>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        sealer: Arc<Sealer>,
        path: &Path,
    ) -> Result<Self, StoreError> {
        let (sender, receiver) = bounded(QUEUE);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&connection, &sealer, &receiver))
            .map_err(|source| StoreError::Open { path: path.to_owned(), source })?;
        Ok(Self { queue: Some(sender), thread: Some(thread) })
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
}

impl Drop for Writer {
    fn drop(&mut self) {
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
        let result = self.act.take().map_or(Err(StoreError::Closed), |run| run(act));
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

fn run(connection: &Connection, sealer: &Sealer, queue: &Receiver<Box<dyn Queued>>) {
    let mut written = false;
    loop {
        match queue.recv_timeout(IDLE) {
            Ok(first) => {
                let mut acts = vec![first];
                acts.extend(queue.try_iter().take(GROUP - 1));
                run_group(connection, sealer, acts);
                written = true;
            }
            Err(RecvTimeoutError::Timeout) if written => {
                // Best effort: a reader may hold it up, and the next idle time comes.
                let copied = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
                written = copied.is_err();
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Runs acts in one transaction, or in more when the storage loses one half-way.
fn run_group(connection: &Connection, sealer: &Sealer, acts: Vec<Box<dyn Queued>>) {
    let mut waiting = acts.into_iter();
    while waiting.len() > 0 {
        let mut ran = Vec::with_capacity(waiting.len());
        let outcome = transaction(connection, sealer, &mut waiting, &mut ran);
        if outcome.is_err() && !connection.is_autocommit() {
            // If this fails too, the next BEGIN says so.
            let _ = connection.execute_batch("ROLLBACK");
        }
        let error = outcome.err();
        // Nothing ran: the transaction could not even begin, and would not for the others.
        if ran.is_empty() {
            ran.extend(waiting.by_ref());
        }
        for act in ran {
            act.answer(error.as_ref().map(again));
        }
    }
}

fn transaction(
    connection: &Connection,
    sealer: &Sealer,
    waiting: &mut dyn Iterator<Item = Box<dyn Queued>>,
    ran: &mut Vec<Box<dyn Queued>>,
) -> Result<(), StoreError> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let mut group = Group::begin(connection, sealer)?;
    for mut queued in waiting {
        if let Err(error) = execute(connection, "SAVEPOINT act") {
            // It has not run, and is answered with the others.
            ran.push(queued);
            return Err(error.into());
        }
        let refused = queued.run(&mut group.act()).err();
        ran.push(queued);
        if let Some(reason) = refused {
            if connection.is_autocommit() {
                // A full disk or failing device makes SQLite roll back the whole transaction; what
                // ran before in this group is lost with it and meets the same error.
                return Err(reason);
            }
            execute(connection, "ROLLBACK TO act")?;
            group.forget_act();
        }
        execute(connection, "RELEASE act")?;
    }
    group.finish()?;
    execute(connection, "COMMIT")?;
    Ok(())
}

fn execute(connection: &Connection, sql: &'static str) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(sql)?.execute([]).map(|_| ())
}

/// A storage error once more, for each caller of a lost group. Refusals by rule are not shared; they
/// come out as a defect.
fn again(error: &StoreError) -> StoreError {
    match error {
        StoreError::Busy => StoreError::Busy,
        StoreError::Full => StoreError::Full,
        StoreError::ReadOnly => StoreError::ReadOnly,
        StoreError::Random => StoreError::Random,
        StoreError::Device(source) => StoreError::Device(copy(source)),
        StoreError::Damaged(source) => StoreError::Damaged(copy(source)),
        StoreError::Constraint(source) => StoreError::Constraint(copy(source)),
        StoreError::AuditRefused(source) => StoreError::AuditRefused(copy(source)),
        StoreError::Query(source) => StoreError::Query(copy(source)),
        _ => StoreError::Stored { what: "log head" },
    }
}

fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            rusqlite::Error::SqliteFailure(*code, message.clone())
        }
        _ => rusqlite::Error::InvalidQuery,
    }
}
