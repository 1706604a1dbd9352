//! What makes a file a database of this program.

use crate::StoreError;
use crate::sql::connection::Connection;
use crate::sql::schema::Migration;

/// In order, from version 1.
pub(in crate::sql) const MIGRATIONS: [Migration; 38] = [
    (1, include_str!("../../../migrations/0001_first.sql")),
    (2, include_str!("../../../migrations/0002_lists_from_one_index.sql")),
    (3, include_str!("../../../migrations/0003_starts_that_lost_their_name.sql")),
    (4, include_str!("../../../migrations/0004_management_certificates.sql")),
    (5, include_str!("../../../migrations/0005_keys_and_their_holders.sql")),
    (6, include_str!("../../../migrations/0006_key_survey.sql")),
    (7, include_str!("../../../migrations/0007_whose_the_subjects_are.sql")),
    (8, include_str!("../../../migrations/0008_profile_versions.sql")),
    (9, include_str!("../../../migrations/0009_limits.sql")),
    (10, include_str!("../../../migrations/0010_canaries.sql")),
    (11, include_str!("../../../migrations/0011_keys_at_a_glance.sql")),
    (12, include_str!("../../../migrations/0012_turns_of_orders.sql")),
    (13, include_str!("../../../migrations/0013_samples_and_ends.sql")),
    (14, include_str!("../../../migrations/0014_keys_of_lost_certificates.sql")),
    (15, include_str!("../../../migrations/0015_jobs.sql")),
    (16, include_str!("../../../migrations/0016_receipts.sql")),
    (17, include_str!("../../../migrations/0017_awaited.sql")),
    (18, include_str!("../../../migrations/0018_crl_shards.sql")),
    (19, include_str!("../../../migrations/0019_seen_of_jobs.sql")),
    (20, include_str!("../../../migrations/0020_trial_revocations.sql")),
    (21, include_str!("../../../migrations/0021_organisations.sql")),
    (22, include_str!("../../../migrations/0022_receipts_in_order.sql")),
    (23, include_str!("../../../migrations/0023_eids.sql")),
    (24, include_str!("../../../migrations/0024_entries_in_one_column.sql")),
    (25, include_str!("../../../migrations/0025_identifications.sql")),
    (26, include_str!("../../../migrations/0026_actor_statements.sql")),
    (27, include_str!("../../../migrations/0027_jobs_of_holders.sql")),
    (28, include_str!("../../../migrations/0028_shared_texts.sql")),
    (29, include_str!("../../../migrations/0029_protected_persons.sql")),
    (30, include_str!("../../../migrations/0030_eid_orders.sql")),
    (31, include_str!("../../../migrations/0031_holders_of_eid_orders.sql")),
    (32, include_str!("../../../migrations/0032_what_was_shown.sql")),
    (33, include_str!("../../../migrations/0033_what_orders_replace.sql")),
    (34, include_str!("../../../migrations/0034_registered_carriers.sql")),
    (35, include_str!("../../../migrations/0035_parked_orders_and_reads_by_hour.sql")),
    (36, include_str!("../../../migrations/0036_domains.sql")),
    (37, include_str!("../../../migrations/0037_four_eyes.sql")),
    (38, include_str!("../../../migrations/0038_scheduled_revocations.sql")),
];

/// Marks the file as ours (`PRAGMA application_id`): "Sgl1", which is 0x53676c31.
const APPLICATION_ID: i32 = 0x5367_6c31;

/// Marks the file, and makes room for what has been applied.
pub(in crate::sql) const BEGIN: &str = "PRAGMA application_id = 0x53676c31;
    CREATE TABLE IF NOT EXISTS schema_migration (
        version INTEGER PRIMARY KEY, sha256 BLOB NOT NULL, applied INTEGER NOT NULL) STRICT;";

pub(in crate::sql) fn is_ours(connection: &Connection) -> Result<bool, StoreError> {
    let id: i32 =
        connection.prepare_cached("PRAGMA application_id")?.query_row([], |row| row.get(0))?;
    Ok(id == APPLICATION_ID)
}

pub(in crate::sql) fn is_empty(connection: &Connection) -> Result<bool, StoreError> {
    let tables: i64 = connection
        .prepare_cached("SELECT count(*) FROM sqlite_schema")?
        .query_row([], |row| row.get(0))?;
    Ok(tables == 0)
}

pub(in crate::sql) fn keeps_profile_versions(connection: &Connection) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'profile_version')",
        )?
        .query_row([], |row| row.get(0))?)
}
