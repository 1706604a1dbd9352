//! Leases and fencing numbers.

use rusqlite::{Connection, params};
use x509::time::UnixTime;

use super::columns::{array, column, from_time, from_u64, time, to_u64};
use super::group::Act;
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
        // An earlier start of the same node is gone, however long its lease would have lasted.
        Some(row) if now < row.until && row.holder.name != node.name => {
            return Ok(LeaseOutcome::Taken { by: row.holder.clone(), until: row.until });
        }
        _ => found.as_ref().map_or(0, |row| row.fencing).saturating_add(1),
    };
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

/// Ends the lease. The row stays, so that fencing numbers go on rising.
pub(super) fn release(act: &mut Act<'_>, name: &LeaseName, node: &Node) -> Result<(), StoreError> {
    act.connection()
        .prepare_cached("UPDATE lease SET until = 0 WHERE name = ?1 AND node = ?2 AND boot = ?3")?
        .execute(params![name.to_text(), node.name, node.boot.as_bytes()])?;
    Ok(())
}
