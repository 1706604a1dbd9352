//! How much lies in the tree that no trusted checkpoint covers.
//!
//! Tiles come before their checkpoint, and nobody signs a CRL's name: whoever holds a key that may push could otherwise
//! fill the disk, and the state folder with it.

use std::collections::HashMap;

use status::PublicationPath;

use super::refused::Refused;

/// What lies there, file by file.
#[derive(Debug)]
pub(super) struct Room {
    most: u64,
    files: HashMap<PublicationPath, u64>,
    total: u64,
}

impl Room {
    pub(super) fn new(most: u64) -> Self {
        Self { most, files: HashMap::new(), total: 0 }
    }

    /// Whether a file of this length may come, in the place of what lies under its name.
    ///
    /// # Errors
    ///
    /// [`Refused::Room`] when more would lie there than may.
    pub(super) fn must_have(&self, path: &PublicationPath, octets: u64) -> Result<(), Refused> {
        let before = self.files.get(path).copied().unwrap_or_default();
        let found = self.total.saturating_sub(before).saturating_add(octets);
        if found <= self.most {
            return Ok(());
        }
        Err(Refused::Room { path: path.to_string(), found, limit: self.most })
    }

    /// A file lies there now; true where none of its name was known to.
    pub(super) fn put(&mut self, path: PublicationPath, octets: u64) -> bool {
        let before = self.files.insert(path, octets);
        let replaced = before.unwrap_or_default();
        self.total = self.total.saturating_sub(replaced).saturating_add(octets);
        before.is_none()
    }

    /// A file is gone.
    pub(super) fn take(&mut self, path: &PublicationPath) {
        self.total = self.total.saturating_sub(self.files.remove(path).unwrap_or_default());
    }

    /// A checkpoint of so many entries is trusted: its tiles are no longer anybody's word.
    pub(super) fn proven(&mut self, size: u64) {
        self.files.retain(
            |path, _| !matches!(path, PublicationPath::Tile(tile) if tile.is_of_tree(size)),
        );
        self.total = self.files.values().fold(0, |total, octets| total.saturating_add(*octets));
    }
}
