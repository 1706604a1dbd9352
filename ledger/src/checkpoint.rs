//! The head of a log, as text and as a note with two signature lines.
//!
//! The text is that of C2SP tlog-checkpoint: origin, size, root, and no extension lines. The note
//! carries a plain Ed25519 line (0x01) and a timestamped cosignature (0x04, C2SP
//! tlog-cosignature), both under the origin as key name and by the same key. How fresh a
//! checkpoint is follows from the timestamp of the 0x04 line and from nothing else.

use std::fmt;

use thiserror::Error;

use crate::hash::{Hash, HashParseError};
use crate::note::{
    NoteParseError, NotePublicKey, NoteVerifierKey, NoteVerifyError, SignatureLine, SignatureType,
    SignedNote,
};
use crate::origin::{LogOrigin, OriginError};
use crate::signer::{NoteSignError, NoteSigner, NoteToSign};
use crate::time::{Timestamp, TimestampTooLarge};

/// The head of a log: how many entries it has and what they hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: LogOrigin,
    /// The number of entries.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// Returns the note text: three lines, each with its newline.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64())
    }

    /// Reads the note text.
    ///
    /// # Errors
    ///
    /// [`CheckpointParseError`] if the text is not exactly what [`Self::to_text`] writes.
    pub fn from_text(text: &str) -> Result<Self, CheckpointParseError> {
        let body = Body::from_text(text)?;
        if !body.extensions.is_empty() {
            return Err(CheckpointParseError::Extension);
        }
        Ok(Self { origin: body.origin.parse()?, size: body.size, root: body.root })
    }

    fn keys(&self, key: NotePublicKey) -> [NoteVerifierKey; 2] {
        [SignatureType::Ed25519, SignatureType::TimestampedCosignature]
            .map(|kind| NoteVerifierKey::new(self.origin.key_name(), kind, key))
    }
}

/// A checkpoint of any log, before its origin is looked at.
#[derive(Debug, PartialEq, Eq)]
struct Body<'a> {
    origin: &'a str,
    size: u64,
    root: Hash,
    extensions: &'a str,
}

impl<'a> Body<'a> {
    fn from_text(text: &'a str) -> Result<Self, CheckpointParseError> {
        let mut lines = text.splitn(4, '\n');
        let (Some(origin), Some(size_text), Some(root), Some(extensions)) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointParseError::Lines);
        };
        let size: u64 = size_text.parse().map_err(|_| CheckpointParseError::Size)?;
        if size.to_string() != size_text {
            return Err(CheckpointParseError::Size);
        }
        let root = Hash::from_base64(root)?;
        if size == 0 && root != Hash::of_empty_tree() {
            return Err(CheckpointParseError::EmptyRoot);
        }
        Ok(Self { origin, size, root, extensions })
    }
}

/// A checkpoint with both of its signature lines, which have been verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckpointNote {
    checkpoint: Checkpoint,
    timestamp: Timestamp,
    note: SignedNote,
}

impl CheckpointNote {
    /// Signs a head. The head must have been read after `timestamp` was taken.
    ///
    /// # Errors
    ///
    /// [`NoteSignError`]: the signer's own, or [`NoteSignError::WrongSignature`] if what it
    /// returned does not verify.
    pub fn sign(
        checkpoint: Checkpoint,
        timestamp: Timestamp,
        signer: &dyn NoteSigner,
    ) -> Result<Self, NoteSignError> {
        let key = NotePublicKey::from_bytes(signer.public_key());
        let [plain, cosigning] = checkpoint.keys(key);

        let signature = signer.sign_note(&NoteToSign::Checkpoint(checkpoint.clone()))?;
        let cosigned = NoteToSign::CosignedCheckpoint { timestamp, checkpoint: checkpoint.clone() };
        let cosignature = [&timestamp.secs().to_be_bytes()[..], &signer.sign_note(&cosigned)?];

        let note = SignedNote::from_parts(
            checkpoint.to_text(),
            vec![
                SignatureLine::new(&plain, signature.to_vec()),
                SignatureLine::new(&cosigning, cosignature.concat()),
            ],
        );
        Self::verify(note, key).map_err(|_| NoteSignError::WrongSignature)
    }

    /// Reads a note and verifies both lines under the pinned key. Lines of others are ignored.
    ///
    /// The origin is whatever the signed text says: the caller compares it with the log it
    /// follows.
    ///
    /// # Errors
    ///
    /// [`CheckpointNoteError`]; nothing in the bytes may be believed then.
    pub fn open(bytes: &[u8], key: NotePublicKey) -> Result<Self, CheckpointNoteError> {
        Self::verify(SignedNote::parse(bytes)?, key)
    }

    fn verify(note: SignedNote, key: NotePublicKey) -> Result<Self, CheckpointNoteError> {
        // The key's name is the origin, so the origin is read first and trusted only afterwards.
        let checkpoint = Checkpoint::from_text(note.text())?;
        let [plain, cosigning] = checkpoint.keys(key);

        note.signed_text(&plain)?;

        let (timestamp, signature) = note
            .line_of(&cosigning)?
            .split_first_chunk::<8>()
            .ok_or(CheckpointNoteError::ShortCosignature)?;
        let timestamp = Timestamp::from_secs(u64::from_be_bytes(*timestamp))?;
        let cosigned = NoteToSign::CosignedCheckpoint { timestamp, checkpoint: checkpoint.clone() };
        key.verify(&cosigned.message(), signature).map_err(NoteVerifyError::from)?;

        Ok(Self { checkpoint, timestamp, note })
    }

    /// Returns the head.
    #[must_use]
    pub const fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Returns the time at which the head was the largest there was.
    #[must_use]
    pub const fn timestamp(&self) -> Timestamp {
        self.timestamp
    }
}

impl fmt::Display for CheckpointNote {
    /// Writes the file `checkpoint`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.note.fmt(f)
    }
}

/// Why a text is not a checkpoint of one of our logs.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointParseError {
    /// Fewer lines than three.
    #[error("checkpoint has fewer than three lines")]
    Lines,
    /// The first line.
    #[error("checkpoint origin is refused")]
    Origin(#[from] OriginError),
    /// The second line.
    #[error("checkpoint size is not a decimal number below 2^64 without leading zeroes")]
    Size,
    /// The third line.
    #[error("checkpoint root is refused")]
    Root(#[from] HashParseError),
    /// An empty tree has one root only.
    #[error("checkpoint of size 0 has another root than the empty tree")]
    EmptyRoot,
    /// A fourth line.
    #[error("checkpoint has extension lines, our logs write none")]
    Extension,
}

/// Why a checkpoint note is not believed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CheckpointNoteError {
    /// Not a note.
    #[error("checkpoint is not a signed note")]
    Note(#[from] NoteParseError),
    /// Not a checkpoint.
    #[error("note is not a checkpoint")]
    Checkpoint(#[from] CheckpointParseError),
    /// A signature line is missing, double or wrong.
    #[error("checkpoint is not authentic")]
    Verify(#[from] NoteVerifyError),
    /// The cosignature has no room for its timestamp.
    #[error("cosignature is shorter than its timestamp of 8 octets")]
    ShortCosignature,
    /// The timestamp is out of range.
    #[error("cosignature is refused")]
    Timestamp(#[from] TimestampTooLarge),
}
