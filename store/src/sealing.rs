//! Sealing of personal data: what lies in the database reads as noise without keys kept elsewhere.
//!
//! Every sealed field is AES-256-GCM under a random data key of its *subject* (a holder, or an order
//! where there is no holder), with deployment, table, column, row and key as additional data, so
//! that a field moved to another row does not open. Data keys lie wrapped with AES-256-KW (RFC 3394)
//! under the master key; deleting a data key removes all that its subject left. Search goes by blind
//! index: HMAC-SHA-256 over a tag and the normalised value, under the index key.
//!
//! The two keys come from a [`KeySource`] at wiring and are never in the database.

mod index;
mod key_file;
mod sealer;

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

pub use index::{BlindIndex, IndexTag, IndexTerm};
pub use key_file::FileKeySource;
pub(crate) use sealer::{DataKey, Place, Sealer};

use crate::id::OrderId;

/// The two keys that the database is useless without.
pub struct SealingKeys {
    pub(crate) master: Zeroizing<[u8; 32]>,
    pub(crate) index: Zeroizing<[u8; 32]>,
}

impl SealingKeys {
    /// Takes the master key, which wraps data keys, and the index key, which makes blind indexes.
    #[must_use]
    pub const fn new(master: Zeroizing<[u8; 32]>, index: Zeroizing<[u8; 32]>) -> Self {
        Self { master, index }
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKeys(..)")
    }
}

/// Where the sealing keys come from: a file in test, a key in a token in production.
pub trait KeySource {
    /// Gives the keys. Called once, when the store is opened.
    ///
    /// # Errors
    ///
    /// [`KeySourceError`]: the store does not open.
    fn sealing_keys(&self) -> Result<SealingKeys, KeySourceError>;
}

/// Why there are no sealing keys.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeySourceError {
    /// The file cannot be read or made.
    #[error("sealing key file {path}")]
    File {
        /// Which.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others than its owner may read it.
    #[error("sealing key file {path} has mode {mode:04o}, only its owner may have access (0600)")]
    Mode {
        /// Which.
        path: std::path::PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not a sealing key file.
    #[error("{path} is not a sealing key file")]
    Format {
        /// Which.
        path: std::path::PathBuf,
    },
    /// The operating system gave no random numbers.
    #[error("random numbers are not available")]
    Random,
    /// A device refused; it says why itself.
    #[error("sealing keys are not available")]
    Device(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Whose data something is: what a data key belongs to, and what is forgotten together.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Subject {
    /// The deployment itself: acts that concern no order and no person.
    Deployment,
    /// A person, by an identifier that names him in every order (normalised by the caller). It is
    /// kept only as its blind index.
    Holder(String),
    /// An order that concerns no person, or whose person is not yet known.
    Order(OrderId),
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment => f.write_str("Deployment"),
            Self::Holder(_) => f.write_str("Holder(..)"),
            Self::Order(order) => write!(f, "Order({order})"),
        }
    }
}
