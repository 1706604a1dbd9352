//! What a follower demands of a new checkpoint before it believes it.

use std::time::Duration;

use thiserror::Error;

use crate::checkpoint::{CheckpointNote, CheckpointNoteError};
use crate::note::NotePublicKey;
use crate::origin::LogOrigin;
use crate::proof::{self, ProofError, ProofMakeError};
use crate::tile::TileSource;
use crate::time::Timestamp;
use crate::tree::TileHashes;

/// What a follower has pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowRules {
    /// The log that is followed.
    pub origin: LogOrigin,
    /// The public key of its note signer.
    pub key: NotePublicKey,
    /// How old a checkpoint may be.
    pub freshness: Duration,
    /// How far a checkpoint may lie in the future: the bound on the distance of two clocks.
    pub clock_bound: Duration,
}

/// Decides whether a follower may move from the checkpoint it trusts to a new one.
///
/// The new note must be signed twice by the pinned key, be of the log that is followed, carry a
/// timestamp that is neither too old, nor in the future, nor before that of the trusted one, and
/// contain the trusted tree as its beginning; for the last, hashes are read from `tiles`. The first
/// checkpoint of a follower, with nothing trusted yet, rests on the pinned key alone.
///
/// Entries are not read here: [`crate::tree::replay`] reads them and reaches the root of the
/// checkpoint that this function returns.
///
/// # Errors
///
/// [`AdvanceError`]; the follower keeps what it trusted.
pub fn verify_advance(
    trusted: Option<&CheckpointNote>,
    note: &[u8],
    rules: &FollowRules,
    now: Timestamp,
    tiles: &dyn TileSource,
) -> Result<CheckpointNote, AdvanceError> {
    let new = CheckpointNote::open(note, rules.key)?;

    same_log(&new, rules)?;

    let timestamp = new.timestamp();
    if timestamp.saturating_since(now) > rules.clock_bound {
        return Err(AdvanceError::InFuture { timestamp, now, bound: rules.clock_bound });
    }
    if now.saturating_since(timestamp) > rules.freshness {
        return Err(AdvanceError::Stale { timestamp, now, limit: rules.freshness });
    }

    let Some(trusted) = trusted else { return Ok(new) };
    same_log(trusted, rules)?;
    if timestamp < trusted.timestamp() {
        return Err(AdvanceError::Earlier { timestamp, trusted: trusted.timestamp() });
    }
    verify_growth(trusted, &new, tiles)?;
    Ok(new)
}

fn same_log(note: &CheckpointNote, rules: &FollowRules) -> Result<(), AdvanceError> {
    let found = &note.checkpoint().origin;
    if *found == rules.origin {
        return Ok(());
    }
    Err(AdvanceError::OtherLog { wanted: rules.origin.clone(), found: found.clone() })
}

fn verify_growth(
    trusted: &CheckpointNote,
    new: &CheckpointNote,
    tiles: &dyn TileSource,
) -> Result<(), AdvanceError> {
    let (old, new) = (trusted.checkpoint(), new.checkpoint());
    if new.size < old.size {
        return Err(AdvanceError::Smaller { size: new.size, trusted: old.size });
    }
    let hashes = TileHashes::new(new.size, tiles);
    let proof = proof::consistency(old.size, new.size, &hashes)?;
    proof::verify_consistency((old.size, old.root), (new.size, new.root), &proof)
        .map_err(|source| AdvanceError::Inconsistent { old: old.size, new: new.size, source })
}

/// Why a follower stays where it is.
#[derive(Debug, Error)]
pub enum AdvanceError {
    /// Not a note of two good lines by the pinned key.
    #[error("new checkpoint is refused")]
    Note(#[from] CheckpointNoteError),

    /// Another log, or another epoch of it.
    #[error("checkpoint is of {found}, {wanted} is followed")]
    OtherLog { wanted: LogOrigin, found: LogOrigin },

    /// The signer's clock is ahead of ours.
    #[error("checkpoint time {timestamp} is more than {bound:?} after now, {now}")]
    InFuture { timestamp: Timestamp, now: Timestamp, bound: Duration },

    /// The checkpoint is too old.
    #[error("checkpoint time {timestamp} is more than {limit:?} before now, {now}")]
    Stale { timestamp: Timestamp, now: Timestamp, limit: Duration },

    /// An earlier statement than the one trusted.
    #[error("checkpoint time {timestamp} is before the trusted {trusted}")]
    Earlier { timestamp: Timestamp, trusted: Timestamp },

    /// The log has shrunk.
    #[error("checkpoint has {size} entries, {trusted} are trusted already")]
    Smaller { size: u64, trusted: u64 },

    /// The tiles for the proof cannot be had.
    #[error("the proof that the log only grew cannot be made")]
    Proof(#[from] ProofMakeError),

    /// The new tree does not begin with the trusted one: an alarm.
    #[error("the tree of {new} entries does not begin with the trusted one of {old}")]
    Inconsistent {
        old: u64,
        new: u64,
        #[source]
        source: ProofError,
    },
}
