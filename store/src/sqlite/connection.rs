//! How connections are opened, and the readers' pool.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::StoreError;

/// Page cache of the writer, in KiB: the upper levels of all indexes of a few million rows.
const WRITER_CACHE_KIB: i64 = 64 * 1024;
const READER_CACHE_KIB: i64 = 8 * 1024;

/// Pages in the write-ahead log before a commit stops to copy them: 80 MB. Under steady load that is
/// rare, and in idle time the writer copies without anybody waiting.
const AUTOCHECKPOINT_PAGES: i64 = 20_000;

/// Statements kept prepared in each connection; more than this room has.
const STATEMENTS: usize = 192;

/// Readers kept open while idle.
const IDLE_READERS: usize = 8;

/// Opens the one connection that writes. `busy` is how long it waits for another process.
pub(super) fn writer(path: &Path, busy: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy)?;
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    // One commit is one fsync, and it is on disk when it returns (promise 2).
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -WRITER_CACHE_KIB)?;
    // What a savepoint needs to be rolled back lies in memory; a temporary file beyond 64 KiB otherwise.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.query_row(
        &format!("PRAGMA wal_autocheckpoint = {AUTOCHECKPOINT_PAGES}"),
        [],
        |_| Ok(()),
    )?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

fn reader(path: &Path, busy: Duration) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

/// Connections that read, as many as there are callers at once.
pub(super) struct Readers {
    path: std::path::PathBuf,
    busy: Duration,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(super) fn new(path: &Path, busy: Duration) -> Self {
        Self { path: path.to_owned(), busy, idle: Mutex::new(Vec::new()) }
    }

    /// Runs `read` in one snapshot.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // A panic elsewhere leaves the list whole: it is pushed to and popped from only.
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => reader(&self.path, self.busy)?,
        };
        let snapshot = connection.unchecked_transaction()?;
        let result = read(&snapshot);
        snapshot.finish()?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        result
    }
}
