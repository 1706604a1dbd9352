//! SQLite: one file, one writer thread, as many readers as there are callers.
//!
//! WAL with `synchronous = FULL`. Only one program has a database open at a time; a file lock
//! beside it sees to that, so that a second one is told so instead of meeting busy errors.

mod connection;
mod peek;
pub(super) mod schema;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ca::deployment::Deployment;
use x509::time::UnixTime;

use super::connection::{Connection, Failure};
use super::{Backend, Database, Missing, SqlStore};
use crate::StoreError;
use crate::sealing::KeySource;

/// How long a writer or reader waits for another process that holds the database.
const BUSY: Duration = Duration::from_secs(2);

/// A database file, open.
pub type SqliteStore = SqlStore<SqliteFile>;

/// The lock on a database file, held while the store lives.
pub struct SqliteFile {
    _lock: File,
}

impl Backend for SqliteFile {}

impl SqliteStore {
    /// Opens the database of `deployment`, or makes it if there is no file.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], except that a missing file is made.
    pub fn open_or_create(
        path: &Path,
        deployment: Deployment,
        keys: &dyn KeySource,
        now: UnixTime,
    ) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed(error)),
        }
        Self::locked(path, deployment, keys, now, Missing::Make)
    }

    /// Opens the database of `deployment`, which must exist: a wrong path in a configuration must
    /// not look like a new CA. Applies migrations that it lacks.
    ///
    /// # Errors
    ///
    /// [`StoreError::Open`], [`StoreError::InUse`], [`StoreError::NotInitialised`],
    /// [`StoreError::Deployment`] naming both deployments and the file,
    /// [`StoreError::WrongSealingKeys`], [`StoreError::SchemaNewer`],
    /// [`StoreError::SchemaChanged`], storage errors.
    pub fn open(
        path: &Path,
        deployment: Deployment,
        keys: &dyn KeySource,
        now: UnixTime,
    ) -> Result<Self, StoreError> {
        Self::locked(path, deployment, keys, now, Missing::Refuse)
    }

    fn locked(
        path: &Path,
        deployment: Deployment,
        keys: &dyn KeySource,
        now: UnixTime,
        missing: Missing,
    ) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        std::fs::metadata(path).map_err(failed)?;
        let file = SqliteFile { _lock: lock(path)? };
        let database = Arc::new(AtPath(path.to_owned()));
        Self::start(database, file, deployment, keys, now, missing)
    }
}

/// A database by the path of its file.
struct AtPath(PathBuf);

impl Database for AtPath {
    fn writer(&self) -> Result<Connection, StoreError> {
        Ok(Connection::Sqlite(connection::writer(&self.0, BUSY)?))
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        Ok(Connection::Sqlite(connection::reader(&self.0, BUSY)?))
    }

    /// They cost a file handle.
    fn most_readers(&self) -> usize {
        usize::MAX
    }

    fn name(&self) -> String {
        self.0.display().to_string()
    }
}

/// Takes the lock beside the database. Not on the file itself: closing any handle of that would
/// drop SQLite's own locks on it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let name = PathBuf::from(name);
    let failed = |source| StoreError::Open { path: name.clone(), source };
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&name)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// What SQLite's errors mean here.
pub(super) fn failure(error: &rusqlite::Error) -> Failure {
    use rusqlite::ErrorCode;
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Failure::Busy,
        Some(ErrorCode::DiskFull) => Failure::Full,
        Some(ErrorCode::ReadOnly) => Failure::ReadOnly,
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::CannotOpen
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OutOfMemory,
        ) => Failure::Device,
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Failure::Damaged,
        Some(ErrorCode::ConstraintViolation) => Failure::Constraint,
        _ => Failure::Other,
    }
}

/// Whether `error` is the violation of a unique index over `column`.
pub(super) fn is_unique_on(error: &rusqlite::Error, column: &str) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(code, Some(message)) => {
            code.extended_code == rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                && message.contains(column)
        }
        _ => false,
    }
}
