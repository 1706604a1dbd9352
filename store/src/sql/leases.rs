//! Leases and fencing numbers.

use super::connection::Connection;
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{array, column, from_time, from_u64, time, to_u64};
use super::group::Act;
use super::schema;
use crate::StoreError;
use crate::id::{BootId, Node};
use crate::lease::{Fencing, LEASE, LeaseName, LeaseOutcome};

struct Row {
    holder: Node,
    until: UnixTime,
    fencing: u64,
}

fn find(connection: &Connection, name: &LeaseName) -> Result<Option<Row>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM lease WHERE name = ?1")?;
    let mut rows = statement.query([name.to_text()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Row {
        holder: Node { name: column(row, "node")?, boot: BootId::from_bytes(array(row, "boot")?) },
        until: time(row, "until")?,
        fencing: to_u64(column(row, "fencing")?, "fencing number")?,
    }))
}

/// Whether `holder` has the lease at `now`.
pub(super) fn is_held(
    connection: &Connection,
    name: &LeaseName,
    holder: &Node,
    now: UnixTime,
) -> Result<bool, StoreError> {
    Ok(find(connection, name)?.is_some_and(|row| row.holder == *holder && now < row.until))
}

/// The nodes whose leases live at `now`, and until when; none where there is no database of ours.
pub(super) fn nodes_at_work(
    snapshot: &Connection,
    now: UnixTime,
) -> Result<Vec<(String, UnixTime)>, StoreError> {
    snapshot.begin_reading()?;
    if schema::is_empty(snapshot)? || !schema::is_ours(snapshot)? {
        return Ok(Vec::new());
    }
    let mut statement = snapshot.prepare_cached(
        "SELECT node, until FROM lease WHERE name LIKE 'node:%' AND until > ?1 ORDER BY name",
    )?;
    let mut rows = statement.query(params![from_time(now)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((column(row, "node")?, time(row, "until")?));
    }
    Ok(found)
}

/// Refuses a start whose name a later start of the same node has taken.
pub(super) fn must_have_its_name(connection: &Connection, node: &Node) -> Result<(), StoreError> {
    if is_superseded(connection, node)? {
        return Err(StoreError::NodeSuperseded { node: node.name.clone() });
    }
    Ok(())
}

fn is_superseded(connection: &Connection, node: &Node) -> Result<bool, StoreError> {
    Ok(connection
        .prepare_cached("SELECT 1 FROM superseded_start WHERE node = ?1 AND boot = ?2")?
        .exists(params![node.name, node.boot.as_bytes()])?)
}

/// The fencing number that the last holder of the lease was given; 0 if nobody ever was.
pub(super) fn fencing(connection: &Connection, name: &LeaseName) -> Result<u64, StoreError> {
    Ok(find(connection, name)?.map_or(0, |row| row.fencing))
}

pub(super) fn acquire(
    act: &mut Act<'_>,
    name: &LeaseName,
    node: &Node,
    now: UnixTime,
) -> Result<LeaseOutcome, StoreError> {
    let found = find(act.connection(), name)?;
    let fencing = match &found {
        Some(row) if row.holder == *node => row.fencing,
        // An earlier start of the same node counts as gone, however long its lease would have
        // lasted; one that is alive after all does not take the lease back.
        Some(row)
            if (now < row.until && row.holder.name != node.name)
                || is_superseded(act.connection(), node)? =>
        {
            return Ok(LeaseOutcome::Taken { by: row.holder.clone(), until: row.until });
        }
        _ => found.as_ref().map_or(0, |row| row.fencing).saturating_add(1),
    };
    if let Some(row) = found.filter(|row| row.holder.name == node.name && row.holder != *node) {
        supersede(act, &row.holder)?;
    }
    let until = now.checked_add(LEASE).unwrap_or(UnixTime::LAST);
    act.connection()
        .prepare_cached(
            "INSERT INTO lease (name, node, boot, until, fencing) VALUES (?1, ?2, ?3, ?4, ?5) \
             ON CONFLICT (name) DO UPDATE SET node = ?2, boot = ?3, until = ?4, fencing = ?5",
        )?
        .execute(params![
            name.to_text(),
            node.name,
            node.boot.as_bytes(),
            from_time(until),
            from_u64(fencing, "fencing number")?
        ])?;
    Ok(LeaseOutcome::Held { fencing: Fencing(fencing), until })
}

fn supersede(act: &Act<'_>, earlier: &Node) -> Result<(), StoreError> {
    act.connection()
        .prepare_cached(
            "INSERT INTO superseded_start (node, boot) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute(params![earlier.name, earlier.boot.as_bytes()])?;
    Ok(())
}

/// Ends the lease. The row stays, so that fencing numbers go on rising.
pub(super) fn release(act: &mut Act<'_>, name: &LeaseName, node: &Node) -> Result<(), StoreError> {
    act.connection()
        .prepare_cached("UPDATE lease SET until = 0 WHERE name = ?1 AND node = ?2 AND boot = ?3")?
        .execute(params![name.to_text(), node.name, node.boot.as_bytes()])?;
    Ok(())
}
