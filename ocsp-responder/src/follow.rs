//! Follows the status log in the publication folder, believing nothing that is not proven.
//!
//! A new checkpoint must be signed by the pinned key, be of the log that is followed, be fresh, and
//! contain the trusted tree as its beginning; its entries must hash to its root. Then it is written
//! to the state folder, and only then it is answered from. So neither the carrier nor a restart can
//! roll the responder back.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::durable;
use ledger::checkpoint::{CheckpointNote, CheckpointNoteError};
use ledger::follow::{AdvanceError, FollowRules, verify_advance};
use ledger::frontier::Frontier;
use ledger::tile::{TilePath, TileReadError, TileSource};
use ledger::tree::{ReplayError, replay};
use ledger::{Hash, Timestamp};
use status::entry::EntryParseError;
use status::index::ApplyError;
use status::{Index, StatusEntry};
use thiserror::Error;
use x509::time::UnixTime;

use crate::receive::follow_code;
use crate::view::View;

/// A checkpoint is at most this long.
const MAX_CHECKPOINT_OCTETS: u64 = 64 * 1024;
/// A tile or bundle is at most this long: 256 entries of 65 535 octets.
const MAX_TILE_OCTETS: u64 = 256 * 65_537;

/// Tiles in the publication folder.
pub(crate) struct Folder {
    root: PathBuf,
}

impl Folder {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }
}

impl TileSource for Folder {
    fn read(&self, path: &TilePath) -> Result<Vec<u8>, TileReadError> {
        match durable::read(&self.root.join(path.to_string()), MAX_TILE_OCTETS) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(TileReadError::Missing { path: *path }),
            Err(error) => Err(TileReadError::Unreadable { path: *path, source: error.into() }),
        }
    }
}

/// Keeps a [`View`] abreast of the publication folder.
pub(crate) struct Follower {
    tiles: Folder,
    checkpoint_path: PathBuf,
    trusted_path: PathBuf,
    rules: FollowRules,
    trusted: Option<CheckpointNote>,
    frontier: Frontier,
    /// The bytes that were looked at last, so that a refused checkpoint is refused once.
    seen: Vec<u8>,
    /// That nothing newer comes has been told.
    frozen: bool,
    /// An entry could not be applied: nothing more is followed until an operator looks.
    stopped: bool,
}

/// What one look at the folder came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing new.
    Same,
    /// A newer checkpoint is trusted, with this many entries more.
    Advanced { entries: usize },
}

impl Follower {
    /// Takes up where the state folder says it stopped.
    ///
    /// # Errors
    ///
    /// [`FollowError`] when the stored checkpoint is not one of the pinned key: then the state
    /// folder belongs to another deployment or was tampered with.
    pub(crate) fn new(
        publication: &Path,
        state: &Path,
        rules: FollowRules,
    ) -> Result<Self, FollowError> {
        let trusted_path = state.join("checkpoint");
        let stored = durable::read(&trusted_path, MAX_CHECKPOINT_OCTETS)
            .map_err(|source| FollowError::Io { path: trusted_path.clone(), source })?;
        let trusted = match stored {
            None => None,
            Some(bytes) => Some(
                CheckpointNote::open(&bytes, rules.key)
                    .map_err(|source| FollowError::Stored { path: trusted_path.clone(), source })?,
            ),
        };
        if let Some(note) = &trusted
            && note.checkpoint().origin != rules.origin
        {
            return Err(FollowError::OtherLog {
                path: trusted_path,
                found: note.checkpoint().origin.to_string(),
                configured: rules.origin.to_string(),
            });
        }
        Ok(Self {
            tiles: Folder::new(publication),
            checkpoint_path: publication.join("checkpoint"),
            trusted_path,
            rules,
            trusted,
            frontier: Frontier::new(),
            seen: Vec::new(),
            frozen: false,
            stopped: false,
        })
    }

    /// Looks at the folder once and moves `view` forward if there is something newer.
    ///
    /// # Errors
    ///
    /// [`FollowError`]; the view stays as it was. The same refused bytes are reported once.
    pub(crate) fn step(&mut self, view: &View, now: UnixTime) -> Result<Step, FollowError> {
        if self.stopped {
            return Ok(Step::Same);
        }
        let path = &self.checkpoint_path;
        let bytes = durable::read(path, MAX_CHECKPOINT_OCTETS)
            .map_err(|source| FollowError::Io { path: path.clone(), source })?;
        let Some(bytes) = bytes.filter(|bytes| *bytes != self.seen) else {
            return self.notice_frozen(now);
        };
        let step = self.advance(&bytes, view, now);
        self.frozen = matches!(step, Err(FollowError::Advance(AdvanceError::Stale { .. })));
        // What can heal by itself (a tile that is still on its way) is looked at again.
        let passing = matches!(
            step,
            Err(FollowError::Replay(_) | FollowError::Io { .. })
                | Err(FollowError::Advance(AdvanceError::Proof(_) | AdvanceError::InFuture { .. }))
        );
        if !passing {
            self.seen = bytes;
        }
        step
    }

    /// A checkpoint that is signed anew no more is told of once, when its freshness ends.
    fn notice_frozen(&mut self, now: UnixTime) -> Result<Step, FollowError> {
        let clock = Timestamp::from_secs(now.secs()).map_err(|_| FollowError::Clock)?;
        let trusted = self.trusted.as_ref().map(CheckpointNote::timestamp);
        match trusted {
            Some(timestamp)
                if !self.frozen && clock.saturating_since(timestamp) > self.rules.freshness =>
            {
                self.frozen = true;
                Err(FollowError::Frozen { timestamp, limit: self.rules.freshness })
            }
            _ => Ok(Step::Same),
        }
    }

    fn advance(&mut self, bytes: &[u8], view: &View, now: UnixTime) -> Result<Step, FollowError> {
        let clock = Timestamp::from_secs(now.secs()).map_err(|_| FollowError::Clock)?;
        let note = verify_advance(self.trusted.as_ref(), bytes, &self.rules, clock, &self.tiles)?;
        let head = note.checkpoint();
        let timestamp =
            UnixTime::from_secs(note.timestamp().secs()).map_err(|_| FollowError::Clock)?;

        if self.frontier.size() == 0 {
            return self.begin(note, bytes, timestamp, view);
        }
        let mut entries = Vec::new();
        let mut malformed = None;
        let frontier =
            replay(
                &self.frontier,
                head.size,
                &self.tiles,
                |index, octets| match StatusEntry::decode(octets) {
                    Ok(entry) => entries.push(entry),
                    Err(source) => {
                        malformed.get_or_insert(FollowError::Entry { index, source });
                    }
                },
            )?;
        if frontier.root() != head.root {
            return Err(FollowError::Root {
                size: head.size,
                wanted: head.root,
                found: frontier.root(),
            });
        }
        if let Some(error) = malformed {
            self.stopped = true;
            return Err(error);
        }
        durable::replace(&self.trusted_path, bytes)
            .map_err(|source| FollowError::Io { path: self.trusted_path.clone(), source })?;
        if let Err(error) = view.advance(&entries, timestamp) {
            self.stopped = true;
            return Err(error.into());
        }
        self.frontier = frontier;
        self.trusted = Some(note);
        Ok(Step::Advanced { entries: entries.len() })
    }
}

impl Follower {
    /// Reads the whole log, at the start: each entry goes into an index of its own at once, which nobody sees
    /// before all entries together have the root of the checkpoint. No memory is needed beside it.
    fn begin(
        &mut self,
        note: CheckpointNote,
        bytes: &[u8],
        timestamp: UnixTime,
        view: &View,
    ) -> Result<Step, FollowError> {
        let head = note.checkpoint();
        let mut index = Index::new(head.origin.epoch);
        let mut fault: Option<FollowError> = None;
        let frontier = replay(&Frontier::new(), head.size, &self.tiles, |place, octets| {
            if fault.is_none() {
                let applied = StatusEntry::decode(octets)
                    .map_err(|source| FollowError::Entry { index: place, source })
                    .and_then(|entry| Ok(index.apply(index.next(), &entry)?));
                fault = applied.err();
            }
        })?;
        if frontier.root() != head.root {
            let (size, wanted) = (head.size, head.root);
            return Err(FollowError::Root { size, wanted, found: frontier.root() });
        }
        if let Some(error) = fault {
            self.stopped = true;
            return Err(error);
        }
        durable::replace(&self.trusted_path, bytes)
            .map_err(|source| FollowError::Io { path: self.trusted_path.clone(), source })?;
        let entries = usize::try_from(head.size).unwrap_or(usize::MAX);
        view.install(index, timestamp);
        self.frontier = frontier;
        self.trusted = Some(note);
        Ok(Step::Advanced { entries })
    }
}

/// Makes the state folder with a mode that lets nobody else in.
///
/// # Errors
///
/// [`FollowError::Io`].
pub(crate) fn make_state_folder(path: &Path) -> Result<(), FollowError> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| FollowError::Io { path: path.to_owned(), source })
}

impl FollowError {
    /// The codes that mean tampering, a mistake, or that nothing new arrives.
    pub(crate) const ALARMS: [&'static str; 11] = [
        "checkpoint-earlier",
        "checkpoint-frozen",
        "checkpoint-future",
        "checkpoint-not-authentic",
        "checkpoint-other-log",
        "entry-malformed",
        "log-contradiction",
        "log-corrupt",
        "log-forked",
        "log-gap",
        "log-rolled-back",
    ];

    /// The stable code, by which operators find what to do (docs/operations/responder.md).
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Advance(error) => follow_code(error),
            Self::Apply(_) => "log-contradiction",
            Self::Clock => "clock",
            Self::Entry { .. } => "entry-malformed",
            Self::Frozen { .. } => "checkpoint-frozen",
            Self::Io { .. } => "storage",
            Self::OtherLog { .. } => "checkpoint-other-log",
            Self::Replay(ReplayError::Read(TileReadError::Missing { .. })) => "log-gap",
            Self::Replay(_) | Self::Root { .. } => "log-corrupt",
            Self::Stored { .. } => "state-checkpoint",
        }
    }
}

/// Why the responder stays where it is.
#[derive(Debug, Error)]
pub(crate) enum FollowError {
    #[error("checkpoint is not followed")]
    Advance(#[from] AdvanceError),
    #[error("status log says what cannot be; answering has stopped")]
    Apply(#[from] ApplyError),
    #[error("the clock is out of range")]
    Clock,
    #[error("status entry {index} is malformed or of a later version; following has stopped")]
    Entry {
        index: u64,
        #[source]
        source: EntryParseError,
    },
    #[error("checkpoint time {timestamp} is more than {limit:?} before now; no later one has come")]
    Frozen { timestamp: Timestamp, limit: Duration },
    #[error("{path:?} failed")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path:?} is of log {found}, configured is {configured}")]
    OtherLog { path: PathBuf, found: String, configured: String },
    #[error("entries cannot be read")]
    Replay(#[from] ReplayError),
    #[error("entries of the log of {size} hash to {found}, its checkpoint says {wanted}")]
    Root { size: u64, wanted: Hash, found: Hash },
    #[error("{path:?} is not a checkpoint of the pinned key")]
    Stored {
        path: PathBuf,
        #[source]
        source: CheckpointNoteError,
    },
}
