//! How connections are opened.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Page cache of the writer, in KiB: the upper levels of all indexes of a few million rows. The lowest level of those by
/// hashes and random numbers fits in no cache; and when an index page splits, the commit walks all of the cache.
const WRITER_CACHE_KIB: i64 = 16 * 1024;
const READER_CACHE_KIB: i64 = 8 * 1024;

/// Pages in the write-ahead log before a commit stops to copy them: 80 MB. Under steady load that is
/// rare, and in idle time the writer copies without anybody waiting.
const AUTOCHECKPOINT_PAGES: i64 = 20_000;

/// Statements kept prepared in each connection; more than this room has.
const STATEMENTS: usize = 192;

/// Opens the one connection that writes. `busy` is how long it waits for another process.
pub(super) fn writer(path: &Path, busy: Duration) -> Result<Connection, rusqlite::Error> {
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

/// Opens one that reads.
pub(super) fn reader(path: &Path, busy: Duration) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(busy)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.pragma_update(None, "cache_size", -READER_CACHE_KIB)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}
