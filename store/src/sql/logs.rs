//! Reading the logs, published checkpoints, and numbers for metrics.

use std::ops::Range;

use super::connection::{Connection, OptionalExtension as _};
use ledger::{Frontier, leaf_hash};
use rusqlite::params;
use status::Position;

use super::columns::{from_u64, stored, to_u64};
use super::group::{Act, head, payload_row};
use super::leases;
use crate::StoreError;
use crate::audit::payload_of;
use crate::lease::{Fencing, LeaseName};
use crate::log::{Counts, Log, LogEntry, PublishedHead, SignedCheckpoint};
use crate::sealing::{Place, Sealer};

/// The most entries that one call returns.
const MOST_ENTRIES: u64 = 65_536;

const fn table(log: Log) -> (&'static str, &'static str) {
    match log {
        Log::Status => ("status_entry", "entry"),
        Log::Audit => ("audit_leaf", "leaf"),
    }
}

pub(super) fn entries(
    connection: &Connection,
    log: Log,
    epoch: u32,
    range: &Range<u64>,
) -> Result<Vec<LogEntry>, StoreError> {
    let end = range.end.min(range.start.saturating_add(MOST_ENTRIES));
    let (table, column) = table(log);
    let mut statement = connection.prepare_cached(&format!(
        "SELECT idx, {column} FROM {table} WHERE epoch = ?1 AND idx >= ?2 AND idx < ?3 ORDER BY idx"
    ))?;
    let mut rows = statement.query(params![
        epoch,
        from_u64(range.start, "index")?,
        from_u64(end, "index")?
    ])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let index: i64 = row.get(0)?;
        entries.push(LogEntry { index: to_u64(index, "index")?, bytes: row.get(1)? });
    }
    Ok(entries)
}

pub(super) fn payload(
    connection: &Connection,
    sealer: &Sealer,
    position: Position,
) -> Result<Option<Vec<u8>>, StoreError> {
    let index = from_u64(position.index, "index")?;
    let found: Option<(Vec<u8>, Vec<u8>)> = connection
        .prepare_cached(
            "SELECT audit_leaf.leaf, audit_payload.sealed FROM audit_leaf \
             JOIN audit_payload USING (epoch, idx) WHERE epoch = ?1 AND idx = ?2",
        )?
        .query_row(params![position.epoch, index], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((leaf, sealed)) = found else { return Ok(None) };
    let row = payload_row(position);
    let place = Place { table: "audit_payload", column: "sealed", row: &row };
    let Some(salted) = super::seals::open(connection, sealer, place, &sealed)? else {
        return Ok(None);
    };
    let payload = payload_of(&leaf, &salted);
    payload.map(Some).ok_or(StoreError::Sealed { table: "audit_payload", column: "sealed" })
}

pub(super) fn last_checkpoint(
    connection: &Connection,
    log: Log,
) -> Result<Option<SignedCheckpoint>, StoreError> {
    let found: Option<(u32, i64, Vec<u8>, i64)> = connection
        .prepare_cached(
            "SELECT epoch, size, note, fencing FROM published_checkpoint WHERE log = ?1 \
             ORDER BY epoch DESC LIMIT 1",
        )?
        .query_row([log.name()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
        .optional()?;
    let Some((epoch, size, note, fencing)) = found else { return Ok(None) };
    Ok(Some(SignedCheckpoint {
        log,
        epoch,
        size: to_u64(size, "checkpoint size")?,
        note,
        fencing: Fencing(to_u64(fencing, "fencing number")?),
    }))
}

pub(super) fn store_checkpoint(
    act: &mut Act<'_>,
    new: &SignedCheckpoint,
) -> Result<(), StoreError> {
    let connection = act.connection();
    let current = leases::fencing(connection, &LeaseName::Publication)?;
    if new.fencing.0 != current {
        return Err(StoreError::Fenced { current, found: new.fencing.0 });
    }
    // Entries staged by other acts of this group are not yet anybody's to publish.
    let (head, _) = head(connection, new.log)?;
    if new.epoch != head.epoch {
        return Err(StoreError::OtherEpoch { ours: head.epoch, published: new.epoch });
    }
    let last = last_checkpoint(connection, new.log)?;
    let published = last.filter(|last| last.epoch == new.epoch).map_or(0, |last| last.size);
    if new.size < published || new.size > head.size {
        return Err(StoreError::CheckpointSize { found: new.size, published, ours: head.size });
    }
    connection
        .prepare_cached(
            "INSERT INTO published_checkpoint (log, epoch, size, note, fencing) \
             VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (log, epoch) DO UPDATE SET size = ?3, note = ?4, fencing = ?5",
        )?
        .execute(params![
            new.log.name(),
            new.epoch,
            from_u64(new.size, "checkpoint size")?,
            new.note,
            from_u64(new.fencing.0, "fencing number")?
        ])?;
    Ok(())
}

/// Compares the status log with what was published, in one snapshot.
pub(super) fn compare(
    connection: &Connection,
    published: &PublishedHead,
) -> Result<(), StoreError> {
    let (head, frontier) = head(connection, Log::Status)?;
    if published.epoch != head.epoch {
        return Err(StoreError::OtherEpoch { ours: head.epoch, published: published.epoch });
    }
    if published.size > head.size {
        return Err(StoreError::PublishedAhead { ours: head.size, published: published.size });
    }
    let root = if published.size == head.size {
        frontier.root()
    } else {
        frontier_at(connection, head.epoch, published.size)?.root()
    };
    if root == published.root {
        Ok(())
    } else {
        Err(StoreError::LogsDisagree { size: published.size })
    }
}

/// The tree over the first `size` entries, rebuilt from them.
fn frontier_at(connection: &Connection, epoch: u32, size: u64) -> Result<Frontier, StoreError> {
    let mut frontier = Frontier::new();
    let mut statement = connection
        .stream("SELECT entry FROM status_entry WHERE epoch = ?1 AND idx < ?2 ORDER BY idx")?;
    let mut rows = statement.query(params![epoch, from_u64(size, "size")?])?;
    while let Some(row) = rows.next()? {
        let entry: Vec<u8> = row.get(0)?;
        frontier.append(leaf_hash(&entry)).map_err(|_| StoreError::Stored { what: "log size" })?;
    }
    stored((frontier.size() == size).then_some(frontier), "status log")
}

pub(super) fn counts(connection: &Connection) -> Result<Counts, StoreError> {
    let count = |sql: &str| -> Result<u64, StoreError> {
        to_u64(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?, "count")
    };
    let (status, _) = head(connection, Log::Status)?;
    let (audit, _) = head(connection, Log::Audit)?;
    Ok(Counts {
        issued: count("SELECT count(*) FROM certificate WHERE order_row IS NOT NULL")?,
        imported: count("SELECT count(*) FROM certificate WHERE order_row IS NULL")?,
        revoked: count(
            "SELECT count(*) FROM serial INDEXED BY serial_listed \
             WHERE listed = 1 AND state = 'revoked'",
        )?,
        held: count(
            "SELECT count(*) FROM serial INDEXED BY serial_listed \
             WHERE listed = 1 AND state IN ('held-issued', 'held-activated')",
        )?,
        voided: count(
            "SELECT count(*) FROM serial INDEXED BY serial_listed \
             WHERE listed = 1 AND state = 'voided'",
        )?,
        open_intents: count("SELECT count(*) FROM intent WHERE state = 'open'")?,
        open_orders: count("SELECT count(*) FROM orders WHERE state <> 'done'")?,
        status_size: status.size,
        audit_size: audit.size,
        database_bytes: to_u64(connection.database_bytes()?, "size of the database")?,
    })
}
