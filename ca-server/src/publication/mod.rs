//! Publishing: the status log for everybody outside, the audit log for the auditor.
//!
//! One thread owns both. It publishes within 250 ms of a commit and at least every second, so that
//! followers can tell an idle log from a dead one (architecture §2.2). The timestamp is taken
//! before the head is read: no checkpoint claims to be newer than what it covers.

mod changes;
pub(crate) mod crl_files;
pub(crate) mod files;
pub(crate) mod log;

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use host::vital;
use ledger::time::Timestamp;
use status::{IssuerId, Position};
use store::{
    Fencing, LEASE, LeaseName, LeaseOutcome, Log, Node, SignedCheckpoint, Store, StoreError,
};

use crate::clock::{Clock, SinceBoot};
use crate::observe::Readiness;
pub(crate) use changes::Changes;
use log::{LogPublisher, PublishError};

/// Longest time between two checkpoints.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Shortest time between two checkpoints: commits that come closer share one. A round writes and syncs
/// both trees and commits twice, whatever there is to publish. With the round itself it stays under 250 ms (architecture §2.2).
const USUAL_GAP: Duration = Duration::from_millis(150);
/// The same while somebody waits for one.
const SHORTEST_GAP: Duration = Duration::from_millis(50);
/// How long the node that publishes may be silent before the others say so. It makes a checkpoint every second.
const SILENCE: Duration = Duration::from_secs(10);
/// How often the publication lease is renewed; it lasts 30 s.
const RENEW_LEASE_EVERY: Duration = Duration::from_secs(8);

/// How long the status log may fail to be published before another node is to try.
const FAILING: Duration = Duration::from_secs(10);
/// How long the lease is left to the others then, who ask for it every second.
const LEFT_TO_OTHERS: Duration = Duration::from_secs(5);

/// What others see of the publisher.
#[derive(Debug, Default)]
pub(crate) struct PublicationState {
    inner: Mutex<Inner>,
    changed: Condvar,
    /// For the publisher between two rounds, whom not every commit is to wake.
    hurried: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    /// Since when something is committed that no checkpoint covers, as far as is told.
    wanted: Option<Instant>,
    stop: bool,
    /// How many wait for a checkpoint.
    waiting: u32,
    /// Epoch and size of the last published status checkpoint.
    published: Option<(u32, u64)>,
    /// Until when this node alone writes the publication tree, as far as it knows.
    ours_until: Option<SinceBoot>,
    /// Under which fencing number this node published last.
    fencing: Option<Fencing>,
    /// Another node published between, and nobody has been told.
    taken_over: bool,
    /// What was published since it was last asked for: where the last change of each CA's certificates stands.
    changed: BTreeMap<IssuerId, Position>,
}

impl PublicationState {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        match self.inner.lock() {
            Ok(guard) => guard,
            // Plain values, each written whole: a panic elsewhere cannot have torn them.
            Err(poisoned) => poisoned.into_inner(),
        }
    }

    /// Says that something was committed.
    pub(crate) fn wake(&self) {
        self.lock().wanted.get_or_insert_with(Instant::now);
        self.changed.notify_all();
    }

    /// Whether this node alone writes the publication tree now: it has the lease.
    pub(crate) fn is_ours(&self) -> bool {
        self.lock().ours_until.is_some_and(|until| SinceBoot::now() < until)
    }

    /// The number under which this node has the lease, as far as it knows. A machine that was stopped from outside, as virtual ones
    /// are, has no clock that would tell: whoever signs or writes a list asks the database whether that still holds.
    pub(crate) fn held_under(&self) -> Option<Fencing> {
        let inner = self.lock();
        inner.ours_until.filter(|until| SinceBoot::now() < *until).and(inner.fencing)
    }

    /// Says that it is another node's.
    pub(crate) fn tell_theirs(&self) {
        self.lock().ours_until = None;
    }

    /// Says that it is until then, under this number: another one than before means that another node published between.
    pub(crate) fn tell_held(&self, until: SinceBoot, fencing: Fencing) {
        let mut inner = self.lock();
        inner.ours_until = Some(until);
        let before = inner.fencing.replace(fencing);
        inner.taken_over |= before.is_some_and(|before| before != fencing);
    }

    /// Whether this node has taken over from another one since it was last asked: which lists wait for what that one has published
    /// only it knew. The first time of a program is none: it wishes for all lists from its start on.
    pub(crate) fn take_takeover(&self) -> bool {
        std::mem::take(&mut self.lock().taken_over)
    }

    /// The CAs of whose certificates this node has published a change since it was last asked, and where the last one stands.
    pub(crate) fn take_changes(&self) -> BTreeMap<IssuerId, Position> {
        std::mem::take(&mut self.lock().changed)
    }

    /// Ends the publisher after a last checkpoint.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.changed.notify_all();
        self.hurried.notify_all();
    }

    /// Says that a change of a certificate of the CA is published.
    #[cfg(test)]
    pub(crate) fn has_changed(&self, issuer: IssuerId, position: Position) {
        self.lock().changed.insert(issuer, position);
    }

    /// Says that the first `size` entries of the first epoch are published.
    #[cfg(test)]
    pub(crate) fn has_published(&self, size: u64) {
        self.lock().published = Some((1, size));
        self.changed.notify_all();
    }

    /// Waits until somebody waits for a checkpoint, who must not go on without one.
    #[cfg(test)]
    pub(crate) fn until_somebody_waits(&self, goes_on: impl Fn() -> bool) {
        while self.lock().waiting == 0 {
            assert!(goes_on(), "answered before the publication");
            std::thread::yield_now();
        }
    }

    /// Waits until a published checkpoint covers `position`.
    ///
    /// # Errors
    ///
    /// [`NotPublished`] after `limit`.
    pub(crate) fn wait_for(&self, position: Position, limit: Duration) -> Result<(), NotPublished> {
        let until = Instant::now() + limit;
        let mut inner = self.lock();
        inner.waiting = inner.waiting.saturating_add(1);
        self.hurried.notify_all();
        let published = loop {
            if inner.covers(position) {
                break Ok(());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break Err(NotPublished);
            }
            inner = wait(&self.changed, inner, left);
        };
        inner.waiting = inner.waiting.saturating_sub(1);
        published
    }

    /// Waits until the round after the one that began at `started` may begin.
    fn pause_since(&self, started: Instant) {
        let mut inner = self.lock();
        while !inner.stop {
            let left = inner.gap().saturating_sub(started.elapsed());
            if left.is_zero() {
                return;
            }
            inner = wait(&self.hurried, inner, left);
        }
    }

    /// What is to be done, and since when it waits.
    fn wait_for_work(&self) -> (Work, Option<Instant>) {
        let until = Instant::now() + HEARTBEAT;
        let mut inner = self.lock();
        while inner.wanted.is_none() && !inner.stop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = wait(&self.changed, inner, left);
        }
        let since = inner.wanted.take();
        (if inner.stop { Work::Last } else { Work::Next }, since)
    }

    /// What has waited since then waits on: its round failed.
    fn wait_on(&self, since: Option<Instant>) {
        let mut inner = self.lock();
        inner.wanted = since.or(inner.wanted);
    }
}

impl Inner {
    fn covers(&self, position: Position) -> bool {
        self.published.is_some_and(|(epoch, size)| {
            epoch > position.epoch || (epoch == position.epoch && size > position.index)
        })
    }

    const fn gap(&self) -> Duration {
        if self.waiting > 0 { SHORTEST_GAP } else { USUAL_GAP }
    }
}

fn wait<'a>(
    condition: &Condvar,
    inner: MutexGuard<'a, Inner>,
    longest: Duration,
) -> MutexGuard<'a, Inner> {
    match condition.wait_timeout(inner, longest) {
        Ok((guard, _)) => guard,
        Err(poisoned) => poisoned.into_inner().0,
    }
}

/// No checkpoint covered the position in time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotPublished;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Next,
    Last,
}

/// The publisher's own things.
pub(crate) struct Publisher {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: Arc<Clock>,
    pub(crate) node: Node,
    pub(crate) status: LogPublisher,
    pub(crate) audit: LogPublisher,
    pub(crate) state: Arc<PublicationState>,
    pub(crate) readiness: Arc<Readiness>,
    /// The checkpoint that another node stored last, and since when it is that.
    pub(crate) followed: Option<(Vec<u8>, Instant)>,
    /// What was seen of the log and not told yet.
    pub(crate) changes: Changes,
    /// Since when the status log cannot be published under this node's lease.
    pub(crate) failing: Option<Instant>,
    /// When the lease was left to the others.
    pub(crate) left: Option<Instant>,
}

/// A publisher that makes nothing more. The tree is still this node's, so that the outer hosts get the last checkpoint.
pub(crate) struct Ended {
    publisher: Publisher,
    lease: Option<(Fencing, SinceBoot)>,
}

impl Ended {
    /// Gives the tree to whoever asks for it: another node need not wait until the lease ends.
    pub(crate) fn leave(mut self) {
        self.publisher.leave(&mut self.lease);
    }
}

/// The lease, and until when it is this node's as far as it knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Held {
    pub(crate) fencing: Fencing,
    pub(crate) until: SinceBoot,
}

/// Who publishes.
enum Turn {
    Ours(Held),
    Theirs { by: String },
}

impl Publisher {
    /// Takes the lease, so that what only its holder does need not wait for the first round, and starts the
    /// publishing thread, which takes it where it could not be had yet.
    ///
    /// # Errors
    ///
    /// The operating system's, when no thread can be made.
    pub(crate) fn start(self) -> std::io::Result<JoinHandle<Ended>> {
        let mut lease = None;
        match self.lease(&mut lease) {
            Ok(Turn::Ours(_)) => {}
            Ok(Turn::Theirs { by }) => tracing::info!(by, "another node publishes"),
            Err(error) => {
                tracing::warn!(error = chain(&error), "publication is not this node's yet");
            }
        }
        vital::spawn("publisher", move || self.run(lease))
    }

    fn run(mut self, mut lease: Option<(Fencing, SinceBoot)>) -> Ended {
        loop {
            let (work, since) = self.state.wait_for_work();
            let started = Instant::now();
            match self.round(&mut lease) {
                Ok(()) => {
                    self.readiness.publishing.store(true, Ordering::Relaxed);
                    if let Some(since) = since {
                        metrics::histogram!("sigill_checkpoint_delay_seconds")
                            .record(since.elapsed());
                    }
                }
                Err(error) => {
                    self.state.wait_on(since);
                    let was = self.readiness.publishing.swap(false, Ordering::Relaxed);
                    metrics::counter!("sigill_publication_failures_total").increment(1);
                    let error = chain(&error);
                    if was {
                        tracing::error!(error, "publication failed; trying again every second");
                    } else {
                        tracing::debug!(error, "publication still fails");
                    }
                    std::thread::sleep(HEARTBEAT);
                }
            }
            if work == Work::Last {
                return Ended { publisher: self, lease };
            }
            self.state.pause_since(started);
        }
    }

    fn round(&mut self, lease: &mut Option<(Fencing, SinceBoot)>) -> Result<(), PublishError> {
        if self.left.is_some_and(|left| left.elapsed() < LEFT_TO_OTHERS) {
            return Err(PublishError::LeftToOthers);
        }
        let held = match self.lease(lease)? {
            Turn::Ours(held) => held,
            Turn::Theirs { by } => {
                self.failing = None;
                return self.follow(by);
            }
        };
        // Status first, and each by itself: nothing that ails the audit log's folder may keep a
        // revocation from the world.
        let status = self.publish(Log::Status, held);
        let audit = self.publish(Log::Audit, held);
        match &status {
            Ok(()) => self.failing = None,
            Err(_) if self.failing.get_or_insert_with(Instant::now).elapsed() < FAILING => {}
            // What ails this node need not ail another.
            Err(_) => {
                self.failing = None;
                self.left = Some(Instant::now());
                self.leave(lease);
            }
        }
        status.and(audit)
    }

    /// Gives the lease back, if it is this node's.
    fn leave(&self, lease: &mut Option<(Fencing, SinceBoot)>) {
        if lease.take().is_none() {
            return;
        }
        self.state.tell_theirs();
        if let Err(error) = self.store.release_lease(&LeaseName::Publication, &self.node) {
            tracing::warn!(error = chain(&error), "publication could not be left to another node");
        }
    }

    /// What another node has published is published: callers here wait for it, too.
    fn follow(&mut self, by: String) -> Result<(), PublishError> {
        let last = self.store.last_checkpoint(Log::Status).map_err(PublishError::Store)?;
        let Some(last) = last else { return Err(PublishError::Lease { by }) };
        {
            let mut state = self.state.lock();
            state.published = state.published.max(Some((last.epoch, last.size)));
        }
        self.state.changed.notify_all();
        match &self.followed {
            Some((note, since)) if *note == last.note => {
                if since.elapsed() < SILENCE {
                    Ok(())
                } else {
                    Err(PublishError::Lease { by })
                }
            }
            _ => {
                self.followed = Some((last.note, Instant::now()));
                Ok(())
            }
        }
    }

    fn lease(&self, lease: &mut Option<(Fencing, SinceBoot)>) -> Result<Turn, PublishError> {
        if let Some((fencing, taken)) = lease
            && taken.elapsed() < RENEW_LEASE_EVERY
        {
            return Ok(Turn::Ours(Held { fencing: *fencing, until: *taken + LEASE }));
        }
        let asked = SinceBoot::now();
        let now = self.clock.read().now;
        let outcome = self
            .store
            .lease(&LeaseName::Publication, &self.node, now)
            .map_err(PublishError::Store)?;
        match outcome {
            LeaseOutcome::Held { fencing, .. } => {
                // Counted from before the lease was given: it does not last longer here than there.
                *lease = Some((fencing, asked));
                let until = asked + LEASE;
                self.state.tell_held(until, fencing);
                Ok(Turn::Ours(Held { fencing, until }))
            }
            LeaseOutcome::Taken { by, .. } => {
                *lease = None;
                self.state.tell_theirs();
                Ok(Turn::Theirs { by: by.name })
            }
        }
    }

    fn publish(&mut self, log: Log, held: Held) -> Result<(), PublishError> {
        let now = self.clock.read().now;
        let timestamp = Timestamp::from_secs(now.secs()).map_err(|_| PublishError::Clock)?;
        let head = self.store.log_head(log).map_err(PublishError::Store)?;
        let store = Arc::clone(&self.store);
        let changes = &self.changes;
        let read = |from: u64, to: u64| -> Result<Vec<Vec<u8>>, StoreError> {
            let entries = store.log_entries(log, head.epoch, from..to)?;
            if log == Log::Status {
                for entry in &entries {
                    let position = Position { epoch: head.epoch, index: entry.index };
                    changes.see(position, &entry.bytes);
                }
            }
            Ok(entries.into_iter().map(|entry| entry.bytes).collect())
        };
        let publisher = match log {
            Log::Status => &mut self.status,
            Log::Audit => &mut self.audit,
        };
        publisher.hold_under(held, &read)?;
        publisher.publish(head.size, head.root, timestamp, &read, &mut |note| {
            self.store.store_signed_checkpoint(&SignedCheckpoint {
                log,
                epoch: head.epoch,
                size: head.size,
                note: note.to_string().into_bytes(),
                fencing: held.fencing,
            })
        })?;
        if log == Log::Status {
            self.state.lock().published = Some((head.epoch, head.size));
            self.state.changed.notify_all();
            metrics::gauge!("sigill_status_log_published_size").set(lossy(head.size));
            metrics::gauge!("sigill_status_checkpoint_timestamp_seconds").set(lossy(now.secs()));
            let changed = self.changes.by_issuer(&*self.store).map_err(PublishError::Store)?;
            self.state.lock().changed.extend(changed);
            self.changes.forget();
        }
        Ok(())
    }
}

/// An error with all its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// A count for a gauge; exact up to 2^53.
pub(crate) fn lossy(value: u64) -> f64 {
    #[expect(clippy::as_conversions, reason = "a gauge is a float; counts stay below 2^53")]
    {
        value as f64
    }
}

#[cfg(test)]
mod tests;
