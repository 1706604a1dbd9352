//! Numbered migrations, embedded, each applied once and kept with the SHA-256 of its text.

use ledger::Hash;
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{from_time, to_array};
use super::connection::{Connection, OptionalExtension as _};
use super::{postgres, sqlite};
use crate::StoreError;

/// A migration: its version, which is the same for both databases, and its text.
pub(super) type Migration = (u32, &'static str);

/// Whether the database is one of this program.
pub(super) fn is_ours(connection: &Connection) -> Result<bool, StoreError> {
    match connection {
        Connection::Sqlite(_) => sqlite::schema::is_ours(connection),
        Connection::Postgres(_) => postgres::schema::is_ours(connection),
    }
}

/// Whether the database holds nothing at all.
pub(super) fn is_empty(connection: &Connection) -> Result<bool, StoreError> {
    match connection {
        Connection::Sqlite(_) => sqlite::schema::is_empty(connection),
        Connection::Postgres(_) => postgres::schema::is_empty(connection),
    }
}

/// Whether the database is as new as the versions of profiles that are kept in it.
pub(super) fn keeps_profile_versions(connection: &Connection) -> Result<bool, StoreError> {
    match connection {
        Connection::Sqlite(_) => sqlite::schema::keeps_profile_versions(connection),
        // It began with them.
        Connection::Postgres(_) => Ok(true),
    }
}

fn migrations(connection: &Connection) -> &'static [Migration] {
    match connection {
        Connection::Sqlite(_) => &sqlite::schema::MIGRATIONS,
        Connection::Postgres(_) => &postgres::schema::MIGRATIONS,
    }
}

/// The version that was applied last.
pub(super) const NEWEST: &str = "SELECT max(version) FROM schema_migration";

/// Refuses what [`NEWEST`] found where it is past what this program knows: another node has brought the database up meanwhile,
/// and what this one would write may lack what the newer versions rely on.
pub(super) fn must_not_be_newer(
    connection: &Connection,
    newest: Option<u32>,
) -> Result<(), StoreError> {
    let known = migrations(connection).last().map_or(0, |(version, _)| *version);
    match newest.filter(|found| *found > known) {
        Some(found) => Err(StoreError::SchemaNewer { found, known }),
        None => Ok(()),
    }
}

/// Refuses a schema that this program cannot bring up to its own. Changes nothing.
///
/// # Errors
///
/// [`StoreError::SchemaNewer`], [`StoreError::SchemaChanged`].
pub(super) fn must_be_known(connection: &Connection) -> Result<(), StoreError> {
    must_not_be_newer(connection, applied_last(connection)?)?;
    for (version, sql) in migrations(connection) {
        let applied = applied(connection, *version)?;
        if applied.is_some_and(|found| found != sha256(sql)) {
            return Err(StoreError::SchemaChanged { version: *version });
        }
    }
    Ok(())
}

/// Applies what is missing. Runs inside the caller's transaction.
///
/// # Errors
///
/// Those of [`must_be_known`] before anything is written.
pub(super) fn migrate(connection: &Connection, now: UnixTime) -> Result<(), StoreError> {
    connection.batch(match connection {
        Connection::Sqlite(_) => sqlite::schema::BEGIN,
        Connection::Postgres(_) => postgres::schema::BEGIN,
    })?;
    must_be_known(connection)?;
    let is_new = applied_last(connection)?.is_none();
    for (version, sql) in migrations(connection) {
        if applied(connection, *version)?.is_none() {
            if !is_new {
                // What another node writes is whole before, or meets the newer version.
                connection.keep_writers_out()?;
            }
            connection.migrate(sql)?;
            connection.execute(
                "INSERT INTO schema_migration (version, sha256, applied) VALUES (?1, ?2, ?3)",
                params![version, sha256(sql), from_time(now)],
            )?;
        }
    }
    Ok(())
}

fn applied_last(connection: &Connection) -> Result<Option<u32>, StoreError> {
    Ok(connection.prepare_cached(NEWEST)?.query_row([], |row| row.get(0))?)
}

/// The checksum with which a migration was applied.
fn applied(
    connection: &Connection,
    version: u32,
) -> Result<Option<[u8; Hash::LENGTH]>, StoreError> {
    let applied: Option<Vec<u8>> = connection
        .prepare_cached("SELECT sha256 FROM schema_migration WHERE version = ?1")?
        .query_row([version], |row| row.get(0))
        .optional()?;
    applied.map(|found| to_array(&found, "migration checksum")).transpose()
}

fn sha256(sql: &str) -> [u8; Hash::LENGTH] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, sql.as_bytes());
    let mut bytes = [0; Hash::LENGTH];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
