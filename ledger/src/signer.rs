//! What a note key is asked to sign.
//!
//! A [`NoteSigner`] is handed a [`NoteToSign`] and signs [`NoteToSign::message`]. Every variant
//! holds checked parts from which this room writes the bytes, so a note key can be made to sign a
//! checkpoint, a manifest or a receipt and nothing else. The kinds of message cannot be confused: they
//! begin with `sigill/…/status/` or `…/audit/`, with `cosignature/v1`, with `sigill/…/receipt`, or with
//! another `sigill/…` line.

use thiserror::Error;

use crate::checkpoint::Checkpoint;
use crate::manifest::Manifest;
use crate::receipt::ReceiptText;
use crate::time::Timestamp;

/// A statement for a note key to sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoteToSign {
    /// The head of a log, signature type 0x01.
    Checkpoint(Checkpoint),
    /// The head of a log as the largest at a time, signature type 0x04.
    CosignedCheckpoint {
        /// The time, at or before which the head was read.
        timestamp: Timestamp,
        /// The head.
        checkpoint: Checkpoint,
    },
    /// A list of published files, signature type 0x01.
    Manifest(Manifest),
    /// What the world was seen to show, signature type 0x01.
    Receipt(ReceiptText),
}

impl NoteToSign {
    /// Returns the octets that the Ed25519 signature is over.
    #[must_use]
    pub fn message(&self) -> Vec<u8> {
        match self {
            Self::Checkpoint(checkpoint) => checkpoint.to_text().into_bytes(),
            Self::CosignedCheckpoint { timestamp, checkpoint } => {
                format!("cosignature/v1\ntime {timestamp}\n{}", checkpoint.to_text()).into_bytes()
            }
            Self::Manifest(manifest) => manifest.to_text().into_bytes(),
            Self::Receipt(receipt) => receipt.to_text().into_bytes(),
        }
    }
}

/// A note key: Ed25519, used for notes only.
pub trait NoteSigner: Send + Sync {
    /// Returns the public key, 32 octets (RFC 8032 §5.1.5).
    fn public_key(&self) -> [u8; 32];

    /// Signs [`NoteToSign::message`] with Ed25519 (RFC 8032 §5.1.6).
    ///
    /// # Errors
    ///
    /// [`NoteSignError`] if no signature was made.
    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError>;
}

impl<S: NoteSigner + ?Sized> NoteSigner for &S {
    fn public_key(&self) -> [u8; 32] {
        (**self).public_key()
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        (**self).sign_note(note)
    }
}

/// A note key that signs receipts and nothing else, whatever it is asked for.
#[derive(Debug)]
pub struct ReceiptSigner<S>(S);

impl<S: NoteSigner> ReceiptSigner<S> {
    /// Keeps `key` for receipts.
    #[must_use]
    pub const fn new(key: S) -> Self {
        Self(key)
    }
}

impl<S: NoteSigner> NoteSigner for ReceiptSigner<S> {
    fn public_key(&self) -> [u8; 32] {
        self.0.public_key()
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        match note {
            NoteToSign::Receipt(_) => self.0.sign_note(note),
            _ => Err(NoteSignError::OtherPurpose),
        }
    }
}

/// Why a note is not signed.
#[derive(Debug, Error)]
pub enum NoteSignError {
    /// The key is kept for another kind of note.
    #[error("the receipt key signs receipts and nothing else")]
    OtherPurpose,

    /// The key's device or file did not sign.
    #[error("note key did not sign")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),

    /// A signature came back that is not one under the key's public key.
    #[error("note key returned a signature that does not verify under its public key")]
    WrongSignature,
}
