//! Files of the publication tree: written whole or not at all, and read back as tiles.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use host::durable::{self, folder_of};
use ledger::tile::{TilePath, TileReadError, TileSource};

/// As [`durable::replace`], in a folder that is made where it is missing.
///
/// # Errors
///
/// The file system's own; the old content stands then.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder_of(path))?;
    durable::replace(path, bytes)
}

/// As [`durable::put`], in a folder that is made where it is missing.
///
/// # Errors
///
/// The file system's own; the old content stands then.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder_of(path))?;
    durable::put(path, bytes)
}

/// As [`durable::move_into_place`], in a folder that is made where it is missing.
///
/// # Errors
///
/// The file system's own.
pub(crate) fn move_into_place(from: &Path, path: &Path) -> io::Result<()> {
    fs::create_dir_all(folder_of(path))?;
    durable::move_into_place(from, path)
}

/// A folder with the files of one log.
#[derive(Clone, Debug)]
pub(crate) struct LogFolder(pub(crate) PathBuf);

impl LogFolder {
    /// The checkpoint's file.
    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.0.join("checkpoint")
    }

    /// The file of a tile.
    pub(crate) fn tile(&self, path: &TilePath) -> PathBuf {
        self.0.join(path.to_string())
    }

    /// The published checkpoint's bytes; `None` when nothing has been published.
    pub(crate) fn read_checkpoint(&self) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.checkpoint()) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl TileSource for LogFolder {
    fn read(&self, path: &TilePath) -> Result<Vec<u8>, TileReadError> {
        match fs::read(self.tile(path)) {
            Ok(bytes) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(TileReadError::Missing { path: *path })
            }
            Err(error) => Err(TileReadError::Unreadable { path: *path, source: Box::new(error) }),
        }
    }
}
