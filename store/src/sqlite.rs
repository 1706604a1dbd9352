//! The store on SQLite: one file, one writer thread, as many readers as there are callers.
//!
//! WAL with `synchronous = FULL`. Only one program has a database open at a time; a file lock
//! beside it sees to that, so that a second one is told so instead of meeting busy errors.

mod canaries;
mod certificates;
mod changes;
mod clients;
mod columns;
mod connection;
mod crls;
mod eids;
mod group;
mod holders;
mod import;
mod intents;
mod issuers;
mod jobs;
mod key_survey;
mod leases;
mod limits;
mod logs;
mod management;
mod ordered;
mod orders;
mod outcomes;
mod peek;
mod profiles;
mod receipts;
mod reply;
mod schema;
mod seals;
mod takeover;
mod use_cases;
mod writer;

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ca::deployment::{Deployment, Place};
use ledger::Frontier;
use rusqlite::{Connection, OptionalExtension as _, params};
use x509::time::UnixTime;

use self::columns::from_time;
use self::connection::Readers;
use self::writer::Writer;
use crate::log::Log;
use crate::sealing::{KeySource, Sealer};
use crate::{StoreError, recorder};

/// How long a writer or reader waits for another process that holds the database.
const BUSY: Duration = Duration::from_secs(2);

/// A database file, open.
///
/// Dropping it finishes what is queued and closes the file.
pub struct SqliteStore {
    deployment: Deployment,
    sealer: Arc<Sealer>,
    readers: Readers,
    writer: Writer,
    /// Held while the store lives. Declared last, so that it is let go last.
    _lock: File,
}

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
        Self::start(path, deployment, keys, now, Missing::Make)
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
        Self::start(path, deployment, keys, now, Missing::Refuse)
    }

    fn start(
        path: &Path,
        deployment: Deployment,
        keys: &dyn KeySource,
        now: UnixTime,
        missing: Missing,
    ) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Open { path: path.to_owned(), source };
        std::fs::metadata(path).map_err(failed)?;
        let lock = lock(path)?;
        let keys = keys.sealing_keys().map_err(StoreError::Keys)?;
        let sealer = Arc::new(Sealer::new(deployment.to_string(), &keys));
        let connection = connection::writer(path, BUSY)?;
        initialise(&connection, path, deployment, &sealer, now, missing)?;
        Ok(Self {
            deployment,
            readers: Readers::new(path, BUSY),
            writer: Writer::start(connection, Arc::clone(&sealer), path)?,
            sealer,
            _lock: lock,
        })
    }
}

/// What to do with a file that holds nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Refuse,
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

/// Checks whose database it is, and makes or migrates it: all in one transaction, so that a crash
/// leaves either nothing or a whole database.
fn initialise(
    connection: &Connection,
    path: &Path,
    deployment: Deployment,
    sealer: &Sealer,
    now: UnixTime,
    missing: Missing,
) -> Result<(), StoreError> {
    let transaction = connection.unchecked_transaction()?;
    if schema::is_ours(&transaction)? {
        must_be_of(&transaction, path, deployment)?;
        must_be_sealed_by(&transaction, sealer)?;
        schema::migrate(&transaction, now)?;
    } else if missing == Missing::Make && schema::is_empty(&transaction)? {
        schema::migrate(&transaction, now)?;
        found(&transaction, deployment, sealer, now)?;
    } else {
        return Err(StoreError::NotInitialised { path: path.to_owned() });
    }
    Ok(transaction.commit()?)
}

fn must_be_of(
    connection: &Connection,
    path: &Path,
    deployment: Deployment,
) -> Result<(), StoreError> {
    let row: Option<(String, String, String)> = connection
        .query_row("SELECT environment, pki, instance FROM deployment", [], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    let (environment, pki, instance) =
        row.ok_or_else(|| StoreError::NotInitialised { path: path.to_owned() })?;
    let found = Deployment::from_parts(&environment, &pki, &instance).map_err(|_| {
        StoreError::UnknownDeployment {
            path: path.to_owned(),
            found: format!("{environment}/{pki}/{instance}"),
            expected: deployment,
        }
    })?;
    deployment
        .must_equal(&found, Place::Database)
        .map_err(|source| StoreError::Deployment { path: path.to_owned(), source })
}

fn must_be_sealed_by(connection: &Connection, sealer: &Sealer) -> Result<(), StoreError> {
    let key_check: Vec<u8> =
        connection.query_row("SELECT key_check FROM deployment", [], |row| row.get(0))?;
    if key_check == sealer.key_check() { Ok(()) } else { Err(StoreError::WrongSealingKeys) }
}

/// Writes what a new database begins with: its deployment and two empty logs of epoch 1.
fn found(
    connection: &Connection,
    deployment: Deployment,
    sealer: &Sealer,
    now: UnixTime,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO deployment (only, environment, pki, instance, key_check, created) \
         VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        params![
            deployment.environment().name(),
            deployment.pki().name(),
            deployment.instance().as_str(),
            sealer.key_check(),
            from_time(now)
        ],
    )?;
    for log in [Log::Status, Log::Audit] {
        connection.execute(
            "INSERT INTO log_head (log, epoch, size, frontier, last_time) VALUES (?1, 1, 0, ?2, 0)",
            params![log.name(), Frontier::new().to_bytes()],
        )?;
    }
    Ok(())
}
