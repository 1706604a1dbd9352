//! What is believed of the status log at this moment, and waiting for something newer.

use std::sync::{Mutex, PoisonError, RwLock, mpsc};
use std::time::Duration;

use status::{Index, IssuerId, Position, StatusEntry};
use tokio::sync::watch;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

/// The index and the time of the checkpoint that it rests on.
#[derive(Debug)]
pub(crate) struct View {
    inner: RwLock<Inner>,
    newest: watch::Sender<Option<UnixTime>>,
    freshness: Duration,
    clock_bound: Duration,
    /// Who is told of what changes, where answers are signed beforehand.
    told: Mutex<Option<mpsc::Sender<Change>>>,
}

/// What became another than it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The whole index.
    All,
    /// These certificates.
    Certificates(Vec<(IssuerId, SerialNumber)>),
}

#[derive(Debug)]
struct Inner {
    index: Index,
    /// The timestamp of the trusted checkpoint.
    checkpoint: Option<UnixTime>,
}

/// The view while it is being read; nothing changes meanwhile.
pub(crate) struct Seen<'a> {
    pub(crate) index: &'a Index,
    /// The checkpoint that the index rests on.
    pub(crate) checkpoint: UnixTime,
    /// The first entry that it does not rest on.
    pub(crate) position: Position,
}

impl View {
    /// A view of nothing yet. A checkpoint is answered from while it is at most `freshness` old and
    /// lies at most `clock_bound`, the distance of the two zones' clocks, in the future.
    pub(crate) fn new(epoch: u32, freshness: Duration, clock_bound: Duration) -> Self {
        let inner = Inner { index: Index::new(epoch), checkpoint: None };
        let newest = watch::Sender::new(None);
        Self { inner: RwLock::new(inner), newest, freshness, clock_bound, told: Mutex::default() }
    }

    /// Tells of every change from now on, at first of all that there is.
    pub(crate) fn changes(&self) -> mpsc::Receiver<Change> {
        let (sender, receiver) = mpsc::channel();
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        self.tell(Change::All);
        receiver
    }

    /// Whoever listens no more is told nothing more.
    fn tell(&self, change: Change) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.as_ref().is_some_and(|told| told.send(change).is_err()) {
            *told = None;
        }
    }

    /// Reads the view as of `now`; `None` when there is no checkpoint, or it is stale, or it lies in
    /// the future, and then nothing may be answered.
    ///
    /// A checkpoint was not in the future when it came to be trusted. If it is now, the clock has
    /// been ahead and was set back: no later checkpoint is taken up before its time comes, and until
    /// then the view misses what is revoked meanwhile.
    pub(crate) fn read<T>(&self, now: UnixTime, look: impl FnOnce(Seen<'_>) -> T) -> Option<T> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = inner.checkpoint?;
        if now.since(checkpoint) > self.freshness || checkpoint.since(now) > self.clock_bound {
            return None;
        }
        Some(look(Seen { index: &inner.index, checkpoint, position: inner.index.next() }))
    }

    /// Looks into the index however old its checkpoint is, for what never changes; `None` when there is none.
    pub(crate) fn look_back<T>(&self, look: impl FnOnce(&Index) -> T) -> Option<T> {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        inner.checkpoint.map(|_| look(&inner.index))
    }

    /// The checkpoint's time, fresh or not, and the next position.
    pub(crate) fn state(&self) -> (Option<UnixTime>, Position, usize) {
        let inner = self.inner.read().unwrap_or_else(PoisonError::into_inner);
        (inner.checkpoint, inner.index.next(), inner.index.len())
    }

    /// Told of every later checkpoint.
    pub(crate) fn subscribe(&self) -> watch::Receiver<Option<UnixTime>> {
        self.newest.subscribe()
    }

    /// Takes the index of the whole log, which its checkpoint verifies, in the place of what was there.
    pub(crate) fn install(&self, index: Index, checkpoint: UnixTime) {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.index = index;
        inner.checkpoint = Some(checkpoint);
        drop(inner);
        self.tell(Change::All);
        self.newest.send_replace(Some(checkpoint));
    }

    /// Octets that the index takes, and is about to take when it grows.
    pub(crate) fn octets(&self) -> usize {
        self.inner.read().unwrap_or_else(PoisonError::into_inner).index.octets()
    }

    /// Applies verified entries and moves to their checkpoint. An entry that cannot be applied
    /// stops the follower: a log that is signed and wrong is not to be answered from.
    pub(crate) fn advance(
        &self,
        entries: &[StatusEntry],
        checkpoint: UnixTime,
    ) -> Result<(), status::index::ApplyError> {
        let mut inner = self.inner.write().unwrap_or_else(PoisonError::into_inner);
        for entry in entries {
            let position = inner.index.next();
            if let Err(error) = inner.index.apply(position, entry) {
                inner.checkpoint = None;
                return Err(error);
            }
        }
        inner.checkpoint = Some(checkpoint);
        let somebody = self.told.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        let changed = if somebody { changed(&inner.index, entries) } else { Vec::new() };
        drop(inner);
        if !changed.is_empty() {
            self.tell(Change::Certificates(changed));
        }
        self.newest.send_replace(Some(checkpoint));
        Ok(())
    }
}

/// The certificates that entries are about.
fn changed(index: &Index, entries: &[StatusEntry]) -> Vec<(IssuerId, SerialNumber)> {
    let about = |entry: &StatusEntry| {
        let StatusEntry::Certificate(entry) = entry else { return None };
        let mut issuers = index.issuers();
        let (_, issuer) = issuers.find(|(reference, _)| *reference == entry.issuer)?;
        Some((issuer, entry.serial))
    };
    entries.iter().filter_map(about).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    /// Promise 5: a clock that was ahead for a moment must not freeze the answers.
    #[test]
    fn nothing_is_answered_from_a_stale_checkpoint_or_one_of_the_future() {
        let view = View::new(1, Duration::from_secs(10), Duration::from_secs(1));
        assert!(view.read(at(1000), |_| ()).is_none());
        view.advance(&[], at(1000)).unwrap();

        for (now, answered) in
            [(998, false), (999, true), (1000, true), (1010, true), (1011, false)]
        {
            assert_eq!(view.read(at(now), |_| ()).is_some(), answered, "{now}");
        }
    }
}
