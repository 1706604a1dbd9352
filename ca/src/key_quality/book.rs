//! What is known of keys beside their numbers: whose they are, and who else has their private halves.

use std::collections::BTreeSet;
use std::sync::Arc;

use thiserror::Error;
use x509::key::{PublicKey, SpkiHash};

use super::list::{KeyList, ListClass, ListedKey};
use super::{WeakKey, check};

/// The keys that are never certified for a subscriber. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct KeyBook {
    own: BTreeSet<SpkiHash>,
    lists: Arc<[KeyList]>,
}

impl KeyBook {
    /// A book of the keys of our own CAs and responders, and of lists.
    #[must_use]
    pub fn new(own: impl IntoIterator<Item = SpkiHash>, lists: Vec<KeyList>) -> Self {
        Self { own: own.into_iter().collect(), lists: lists.into() }
    }

    /// The same book with one more key of our own.
    #[must_use]
    pub fn with_own(mut self, key: SpkiHash) -> Self {
        self.own.insert(key);
        self
    }

    /// The lists.
    #[must_use]
    pub fn lists(&self) -> &[KeyList] {
        &self.lists
    }

    /// The classes that no list has.
    pub fn missing(&self) -> impl Iterator<Item = ListClass> {
        let has = |class: &ListClass| self.lists.iter().any(|list| list.class() == *class);
        ListClass::ALL.into_iter().filter(move |class| !has(class))
    }

    /// Judges a key that is to be certified: by its own numbers first, so that the refusal names what
    /// its maker can mend, then by the lists, then as one of our own.
    ///
    /// # Errors
    ///
    /// [`KeyRefused`] says which.
    pub fn judge(&self, key: &PublicKey) -> Result<(), KeyRefused> {
        check(key)?;
        let listed = ListedKey::of(key);
        if let Some(list) = self.lists.iter().find(|list| list.has(listed)) {
            return Err(KeyRefused::Listed {
                class: list.class(),
                origin: list.source().to_owned(),
            });
        }
        if self.own.contains(&key.spki_hash()) {
            return Err(KeyRefused::Own);
        }
        Ok(())
    }
}

/// Why a key is not certified.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyRefused {
    /// Others have the private half.
    #[error("public key is in a list of class {class}: {origin}")]
    Listed {
        /// Why the list knows it.
        class: ListClass,
        /// Where the list's keys come from.
        origin: String,
    },
    /// Keys of CAs and responders are nobody else's.
    #[error("public key is one of the CA's own")]
    Own,
    /// Its own numbers are wrong.
    #[error(transparent)]
    Weak(#[from] WeakKey),
}
