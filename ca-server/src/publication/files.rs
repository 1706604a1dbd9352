//! Files of the publication tree: written whole or not at all, and read back as tiles.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ledger::tile::{TilePath, TileReadError, TileSource};

/// Makes names of temporary files differ within the process.
static SEQUENCE: AtomicU64 = AtomicU64::new(0);

/// Replaces `path` by `bytes`: temporary file, flushed to the disk, renamed, folder flushed. After
/// a crash there is the old content or the new, never a part.
///
/// # Errors
///
/// The file system's own; the old content stands then.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes)?;
    flush(folder_of(path))
}

/// As [`replace`], but that it is this file may be forgotten by a crash until its folder has been [`flush`]ed.
///
/// # Errors
///
/// The file system's own; the old content stands then.
pub(crate) fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    let temporary = temporary_beside(path);
    let written = write_flushed(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // A full disk is the usual cause; what was begun must not stay and fill it further.
        let _ = fs::remove_file(&temporary);
    }
    written
}

/// Makes durable which files a folder has.
///
/// # Errors
///
/// The file system's own.
pub(crate) fn flush(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Moves a finished file of the same file system to `path`, as durably as [`replace`].
///
/// # Errors
///
/// The file system's own.
pub(crate) fn move_into_place(from: &Path, path: &Path) -> io::Result<()> {
    let folder = folder_of(path);
    fs::create_dir_all(folder)?;
    File::open(from)?.sync_all()?;
    fs::rename(from, path)?;
    flush(folder)
}

/// The folder that a file lies in; of a bare name the present one.
pub(crate) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn temporary_beside(path: &Path) -> PathBuf {
    let number = SEQUENCE.fetch_add(1, Ordering::Relaxed);
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = format!(".{}.{}.{number}", name.unwrap_or_default(), std::process::id());
    path.with_file_name(name)
}

fn write_flushed(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
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
