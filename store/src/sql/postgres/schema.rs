//! What makes a database of the server one of this program.

use crate::StoreError;
use crate::sql::connection::Connection;
use crate::sql::schema::Migration;

/// In order, from the version that PostgreSQL begins with.
pub(in crate::sql) const MIGRATIONS: [Migration; 25] = [
    (14, include_str!("../../../migrations/postgresql/0014_first.sql")),
    (15, include_str!("../../../migrations/postgresql/0015_jobs.sql")),
    (16, include_str!("../../../migrations/postgresql/0016_receipts.sql")),
    (17, include_str!("../../../migrations/postgresql/0017_awaited.sql")),
    (18, include_str!("../../../migrations/postgresql/0018_crl_shards.sql")),
    (19, include_str!("../../../migrations/postgresql/0019_seen_of_jobs.sql")),
    (20, include_str!("../../../migrations/postgresql/0020_trial_revocations.sql")),
    (21, include_str!("../../../migrations/postgresql/0021_organisations.sql")),
    (22, include_str!("../../../migrations/postgresql/0022_receipts_in_order.sql")),
    (23, include_str!("../../../migrations/postgresql/0023_eids.sql")),
    (24, include_str!("../../../migrations/postgresql/0024_entries_in_one_column.sql")),
    (25, include_str!("../../../migrations/postgresql/0025_identifications.sql")),
    (26, include_str!("../../../migrations/postgresql/0026_actor_statements.sql")),
    (27, include_str!("../../../migrations/postgresql/0027_jobs_of_holders.sql")),
    (28, include_str!("../../../migrations/postgresql/0028_shared_texts.sql")),
    (29, include_str!("../../../migrations/postgresql/0029_protected_persons.sql")),
    (30, include_str!("../../../migrations/postgresql/0030_eid_orders.sql")),
    (31, include_str!("../../../migrations/postgresql/0031_holders_of_eid_orders.sql")),
    (32, include_str!("../../../migrations/postgresql/0032_what_was_shown.sql")),
    (33, include_str!("../../../migrations/postgresql/0033_what_orders_replace.sql")),
    (34, include_str!("../../../migrations/postgresql/0034_registered_carriers.sql")),
    (35, include_str!("../../../migrations/postgresql/0035_parked_orders_and_reads_by_hour.sql")),
    (36, include_str!("../../../migrations/postgresql/0036_domains.sql")),
    (37, include_str!("../../../migrations/postgresql/0037_four_eyes.sql")),
    (38, include_str!("../../../migrations/postgresql/0038_scheduled_revocations.sql")),
];

/// Makes room for what has been applied.
pub(in crate::sql) const BEGIN: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
        version BIGINT PRIMARY KEY, sha256 BYTEA NOT NULL, applied BIGINT NOT NULL)";

pub(in crate::sql) fn is_ours(connection: &Connection) -> Result<bool, StoreError> {
    let found = connection
        .prepare_cached("SELECT to_regclass('schema_migration') IS NOT NULL AND to_regclass('deployment') IS NOT NULL")?
        .query_row([], |row| row.get(0))?;
    Ok(found)
}

pub(in crate::sql) fn is_empty(connection: &Connection) -> Result<bool, StoreError> {
    let nothing = connection
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM pg_class WHERE relnamespace = \
                 (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))",
        )?
        .query_row([], |row| row.get(0))?;
    Ok(nothing)
}
