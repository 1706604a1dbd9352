//! Numbered migrations, embedded, each applied once and kept with the SHA-256 of its text.

use ledger::Hash;
use rusqlite::{Connection, OptionalExtension as _, params};
use x509::time::UnixTime;

use super::columns::{from_time, to_array};
use crate::StoreError;

/// In order, from version 1.
const MIGRATIONS: [&str; 16] = [
    include_str!("../../migrations/0001_first.sql"),
    include_str!("../../migrations/0002_lists_from_one_index.sql"),
    include_str!("../../migrations/0003_starts_that_lost_their_name.sql"),
    include_str!("../../migrations/0004_management_certificates.sql"),
    include_str!("../../migrations/0005_keys_and_their_holders.sql"),
    include_str!("../../migrations/0006_key_survey.sql"),
    include_str!("../../migrations/0007_whose_the_subjects_are.sql"),
    include_str!("../../migrations/0008_profile_versions.sql"),
    include_str!("../../migrations/0009_limits.sql"),
    include_str!("../../migrations/0010_canaries.sql"),
    include_str!("../../migrations/0011_keys_at_a_glance.sql"),
    include_str!("../../migrations/0012_turns_of_orders.sql"),
    include_str!("../../migrations/0013_samples_and_ends.sql"),
    include_str!("../../migrations/0014_keys_of_lost_certificates.sql"),
    include_str!("../../migrations/0015_jobs.sql"),
    include_str!("../../migrations/0016_receipts.sql"),
];

/// Marks the file as ours (`PRAGMA application_id`): "Sgl1".
const APPLICATION_ID: i32 = 0x5367_6c31;

/// Whether the file holds a database of this program.
pub(super) fn is_ours(connection: &Connection) -> Result<bool, StoreError> {
    let id: i32 = connection.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok(id == APPLICATION_ID)
}

/// Whether the file holds nothing at all.
pub(super) fn is_empty(connection: &Connection) -> Result<bool, StoreError> {
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(tables == 0)
}

/// Refuses a schema that this program cannot bring up to its own. Changes nothing.
///
/// # Errors
///
/// [`StoreError::SchemaNewer`], [`StoreError::SchemaChanged`].
pub(super) fn must_be_known(connection: &Connection) -> Result<(), StoreError> {
    let known = u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX);
    let newest: Option<u32> =
        connection.query_row("SELECT max(version) FROM schema_migration", [], |row| row.get(0))?;
    if let Some(found) = newest.filter(|found| *found > known) {
        return Err(StoreError::SchemaNewer { found, known });
    }
    for (version, sql) in (1u32..).zip(MIGRATIONS) {
        let applied = applied(connection, version)?;
        if applied.is_some_and(|found| found != sha256(sql)) {
            return Err(StoreError::SchemaChanged { version });
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
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migration (
             version INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, applied INTEGER NOT NULL) STRICT",
    )?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    must_be_known(connection)?;
    for (version, sql) in (1u32..).zip(MIGRATIONS) {
        if applied(connection, version)?.is_none() {
            connection.execute_batch(sql)?;
            connection.execute(
                "INSERT INTO schema_migration (version, sha256, applied) VALUES (?1, ?2, ?3)",
                params![version, sha256(sql), from_time(now)],
            )?;
        }
    }
    Ok(())
}

/// The checksum with which a migration was applied.
fn applied(
    connection: &Connection,
    version: u32,
) -> Result<Option<[u8; Hash::LENGTH]>, StoreError> {
    let applied: Option<Vec<u8>> = connection
        .query_row("SELECT sha256 FROM schema_migration WHERE version = ?1", [version], |row| {
            row.get(0)
        })
        .optional()?;
    applied.map(|found| to_array(&found, "migration checksum")).transpose()
}

fn sha256(sql: &str) -> [u8; Hash::LENGTH] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, sql.as_bytes());
    let mut bytes = [0; Hash::LENGTH];
    bytes.copy_from_slice(digest.as_ref());
    bytes
}
