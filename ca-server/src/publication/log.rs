//! Publishing one log: tiles first, the checkpoint last.
//!
//! The entries come from the store; the files can always be written again from them. Other bytes
//! under a path that a published checkpoint covers are never replaced: somebody or something has
//! changed the published log, and the publisher stops and says so.

use std::collections::{BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{fs, io};

use host::durable::{flush, folder_of};
use ledger::checkpoint::{Checkpoint, CheckpointNote, CheckpointNoteError};
use ledger::edge::{AppendError, Edge};
use ledger::hash::Hash;
use ledger::note::NotePublicKey;
use ledger::origin::LogOrigin;
use ledger::signer::{NoteSignError, NoteSigner};
use ledger::tile::{TilePath, Width};
use ledger::time::Timestamp;
use thiserror::Error;

use super::Held;
use super::files::{LogFolder, put, replace};
use crate::clock::SinceBoot;

/// A partial tile stays this long after a larger one took its place, for followers that have just
/// read the older checkpoint.
const PARTIAL_TILE_STAYS: Duration = Duration::from_secs(60);

/// Entries read from the store and appended at a time.
pub(crate) const CHUNK: u64 = 4096;

/// Reads entries `from..to` of the log out of the store.
pub(crate) type ReadEntries<'a> = &'a dyn Fn(u64, u64) -> Result<Vec<Vec<u8>>, store::StoreError>;

/// The files of one log and the key that signs its checkpoints.
pub(crate) struct LogPublisher {
    origin: LogOrigin,
    folder: LogFolder,
    signer: Arc<dyn NoteSigner>,
    edge: Edge,
    /// Size of the last checkpoint that was written to the folder.
    published: u64,
    /// The bytes of that checkpoint, once this program has written one.
    written: Option<Vec<u8>>,
    superseded: VecDeque<(Instant, PathBuf)>,
    /// The lease under which it publishes.
    lease: Option<Held>,
}

impl LogPublisher {
    /// Continues the log in `folder`, whose published checkpoint, if there is one, has been found
    /// to agree with the store.
    ///
    /// # Errors
    ///
    /// [`PublishError`] when the folder cannot be read or holds another log.
    pub(crate) fn resume(
        origin: LogOrigin,
        folder: LogFolder,
        signer: Arc<dyn NoteSigner>,
        read: ReadEntries<'_>,
    ) -> Result<Self, PublishError> {
        let published = read_published(&folder, &origin, signer.as_ref())?;
        let mut publisher = Self {
            origin,
            folder,
            signer,
            edge: Edge::new(),
            published: 0,
            written: None,
            superseded: VecDeque::new(),
            lease: None,
        };
        let Some(note) = published else { return Ok(publisher) };
        let Checkpoint { size, root, .. } = note.checkpoint();
        match Edge::load(*size, *root, &publisher.folder) {
            Ok(edge) => {
                publisher.edge = edge;
                publisher.published = *size;
            }
            Err(error) => {
                tracing::warn!(
                    log.origin = %publisher.origin,
                    error = %error,
                    "published tiles do not carry the published checkpoint; writing them again"
                );
                // Every file is compared before it is replaced only once `published` is set, so a
                // torn tree is mended here from the entries.
                publisher.write_up_to(*size, read)?;
                if publisher.edge.root() != *root {
                    return Err(PublishError::Differs { size: *size });
                }
                publisher.published = *size;
            }
        }
        Ok(publisher)
    }

    /// Publishes under this lease from now on. Under a new one it goes on where the folder stands: another node may have
    /// published into it meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Self::resume`]. What was known before stays then.
    pub(crate) fn hold_under(
        &mut self,
        lease: Held,
        read: ReadEntries<'_>,
    ) -> Result<(), PublishError> {
        if let Some(held) = &mut self.lease
            && held.fencing == lease.fencing
        {
            held.until = lease.until;
            return Ok(());
        }
        let (origin, folder) = (self.origin.clone(), self.folder.clone());
        let next = Self::resume(origin, folder, Arc::clone(&self.signer), read)?;
        let superseded = std::mem::take(&mut self.superseded);
        *self = Self { superseded, lease: Some(lease), ..next };
        Ok(())
    }

    /// Writes the tiles of the first `size` entries, signs the head and hands the note to `store`,
    /// which must make it durable before it is written where followers see it.
    ///
    /// `timestamp` was taken before the head was read.
    ///
    /// # Errors
    ///
    /// [`PublishError`]; the published checkpoint stays the last good one.
    pub(crate) fn publish(
        &mut self,
        size: u64,
        root: Hash,
        timestamp: Timestamp,
        read: ReadEntries<'_>,
        store: &mut dyn FnMut(&CheckpointNote) -> Result<(), store::StoreError>,
    ) -> Result<CheckpointNote, PublishError> {
        self.notice_another_tree()?;
        self.write_up_to(size, read)?;
        if self.edge.root() != root {
            return Err(PublishError::Differs { size });
        }
        let checkpoint = Checkpoint { origin: self.origin.clone(), size, root };
        let note = CheckpointNote::sign(checkpoint, timestamp, self.signer.as_ref())
            .map_err(PublishError::Sign)?;
        store(&note).map_err(PublishError::Store)?;
        // A program that stood still after that may wake when another node has published more into the folder, which
        // knows of no fencing.
        if self.lease.is_some_and(|held| held.until <= SinceBoot::now()) {
            return Err(PublishError::LeaseEnded);
        }
        let path = self.folder.checkpoint();
        let bytes = note.to_string().into_bytes();
        replace(&path, &bytes).map_err(|source| PublishError::Write { path, source })?;
        self.published = size;
        self.written = Some(bytes);
        self.sweep();
        Ok(note)
    }

    /// Begins anew when the folder has not the checkpoint that was written last: it was emptied,
    /// restored or mounted over, and its tiles may be missing too. All are written again from the
    /// entries before another checkpoint claims them.
    fn notice_another_tree(&mut self) -> Result<(), PublishError> {
        let Some(written) = &self.written else { return Ok(()) };
        let path = self.folder.checkpoint();
        let found = self
            .folder
            .read_checkpoint()
            .map_err(|source| PublishError::Write { path: path.clone(), source })?;
        if found.as_ref() == Some(written) {
            return Ok(());
        }
        tracing::error!(
            file.path = %path.display(),
            log.origin = %self.origin,
            found = found.is_some(),
            "published checkpoint is not the one written last; writing the whole tree again"
        );
        self.edge = Edge::new();
        self.published = 0;
        self.written = None;
        Ok(())
    }

    fn write_up_to(&mut self, size: u64, read: ReadEntries<'_>) -> Result<(), PublishError> {
        while self.edge.size() < size {
            let from = self.edge.size();
            let to = size.min(from.saturating_add(CHUNK));
            let entries = read(from, to).map_err(PublishError::Store)?;
            let mut next = self.edge.clone();
            let files = next.append(&entries).map_err(PublishError::Append)?;
            if next.size() != to {
                return Err(PublishError::Missing { from, to, found: next.size() });
            }
            let mut folders = BTreeSet::new();
            for file in &files {
                folders.insert(self.write_tile(&file.path, &file.bytes)?);
            }
            // Once for all files of a folder: nothing rests on them until the checkpoint is written.
            for folder in folders {
                flush(&folder).map_err(|source| PublishError::Write { path: folder, source })?;
            }
            self.edge = next;
        }
        Ok(())
    }

    /// Writes a tile; the folder that is to be flushed then.
    fn write_tile(&mut self, tile: &TilePath, bytes: &[u8]) -> Result<PathBuf, PublishError> {
        let path = self.folder.tile(tile);
        let folder = folder_of(&path).to_owned();
        match fs::read(&path) {
            // Perhaps of a round that failed before its folder was flushed.
            Ok(found) if found == bytes => return Ok(folder),
            // Never covered by a checkpoint: left behind by a stop between tiles and checkpoint.
            Ok(_) if !self.covered(tile) => {}
            Ok(_) => return Err(PublishError::Altered { path }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(PublishError::Write { path, source }),
        }
        put(&path, bytes).map_err(|source| PublishError::Write { path: path.clone(), source })?;
        if let Width::Partial(_) = tile.width {
            self.superseded.push_back((Instant::now(), path));
        }
        Ok(folder)
    }

    /// Whether a published checkpoint rests on this file.
    fn covered(&self, tile: &TilePath) -> bool {
        tile.is_of_tree(self.published)
    }

    /// Removes partial tiles whose place a larger one took some time ago.
    fn sweep(&mut self) {
        let due = |(written, _): &(Instant, PathBuf)| written.elapsed() >= PARTIAL_TILE_STAYS;
        if !self.superseded.front().is_some_and(due) {
            return;
        }
        let needed: Vec<PathBuf> = ledger::tile::paths_between(0, self.published)
            .filter(|path| matches!(path.width, Width::Partial(_)))
            .map(|path| self.folder.tile(&path))
            .collect();
        while let Some((written, path)) = self.superseded.front() {
            if written.elapsed() < PARTIAL_TILE_STAYS {
                break;
            }
            if needed.contains(path) {
                let Some(kept) = self.superseded.pop_front() else { break };
                self.superseded.push_back((Instant::now(), kept.1));
                continue;
            }
            if let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file.path = %path.display(), error = %error, "cannot remove an old partial tile");
            }
            self.superseded.pop_front();
        }
    }
}

/// Reads and verifies the checkpoint in `folder`.
///
/// # Errors
///
/// [`PublishError::Checkpoint`] when it does not verify under this key,
/// [`PublishError::Origin`] when it is of another deployment, log or epoch.
pub(crate) fn read_published(
    folder: &LogFolder,
    origin: &LogOrigin,
    signer: &dyn NoteSigner,
) -> Result<Option<CheckpointNote>, PublishError> {
    read_under(folder, origin, NotePublicKey::from_bytes(signer.public_key()))
}

/// The same, where only the public key is known.
///
/// # Errors
///
/// As [`read_published`].
pub(crate) fn read_under(
    folder: &LogFolder,
    origin: &LogOrigin,
    key: NotePublicKey,
) -> Result<Option<CheckpointNote>, PublishError> {
    let path = folder.checkpoint();
    let bytes = folder
        .read_checkpoint()
        .map_err(|source| PublishError::Write { path: path.clone(), source })?;
    let Some(bytes) = bytes else { return Ok(None) };
    let note = CheckpointNote::open(&bytes, key)
        .map_err(|source| PublishError::Checkpoint { path: path.clone(), source })?;
    let found = &note.checkpoint().origin;
    if found != origin {
        return Err(PublishError::Origin {
            path,
            found: found.to_string(),
            ours: origin.to_string(),
        });
    }
    Ok(Some(note))
}

/// Why a log was not published. What had been published stands.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum PublishError {
    /// A published file has other bytes than the entries give.
    #[error("published file {path} was changed; publication stops until an operator has looked")]
    Altered {
        /// The file.
        path: PathBuf,
    },
    /// An entry does not fit into the log.
    #[error("entries cannot be appended")]
    Append(#[source] AppendError),
    /// The published checkpoint is not ours or is damaged.
    #[error("published checkpoint {path} does not verify under this deployment's note key")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: CheckpointNoteError,
    },
    /// Wall time cannot be written as a timestamp.
    #[error("clock is out of range for a timestamp")]
    Clock,
    /// Store and tree disagree.
    #[error("entries of the store hash to another root at size {size}")]
    Differs {
        /// The size.
        size: u64,
    },
    /// This node could not publish for a while, and leaves it to others.
    #[error("publication was left to another node for a few seconds, since it failed here")]
    LeftToOthers,
    /// The lease ended before the checkpoint was where followers see it.
    #[error("the publication lease ended while a checkpoint was being published")]
    LeaseEnded,
    /// Another node publishes, and none of its checkpoints has come for a while.
    #[error("node {by} holds the publication lease and publishes nothing")]
    Lease {
        /// Who.
        by: String,
    },
    /// The store has a hole.
    #[error("store gave entries up to {found} where {from} to {to} were asked for")]
    Missing {
        /// First entry asked for.
        from: u64,
        /// One past the last entry asked for.
        to: u64,
        /// One past the last entry given.
        found: u64,
    },
    /// The folder belongs to another log.
    #[error("published checkpoint {path} is of {found}, this program publishes {ours}")]
    Origin {
        /// The file.
        path: PathBuf,
        /// Its origin.
        found: String,
        /// Ours.
        ours: String,
    },
    /// The note key did not sign.
    #[error("checkpoint was not signed")]
    Sign(#[source] NoteSignError),
    /// The store refused.
    #[error("checkpoint was not recorded")]
    Store(#[source] store::StoreError),
    /// The folder did not take or give a file.
    #[error("cannot read or write {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}
