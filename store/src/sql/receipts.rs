//! Receipts of revocations.

use super::connection::{Connection, OptionalExtension as _};
use rusqlite::params;
use status::{IssuerId, Position, ReceiptMethod};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::columns::{
    array, column, from_serial, from_time, from_u64, position, stored, time, to_serial, to_time,
};
use super::group::Act;
use super::issuers::row_of;
use super::{Backend, SqlStore, StoreError, awaited};
use crate::audit::AuditRecord;
use crate::receipt::{NewReceipt, ReceiptRow, ReceiptedEntry, Receipts};

impl<B: Backend> Receipts for SqlStore<B> {
    fn record_receipt(
        &self,
        receipt: &NewReceipt,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (receipt, audit) = (receipt.clone(), audit.clone());
        self.writer.run(move |act| record(act, &receipt, &audit, now))
    }

    fn receipts(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
    ) -> Result<Vec<ReceiptRow>, StoreError> {
        self.readers.read(|connection| of_serial(connection, issuer, serial))
    }

    fn shown_at(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
        method: ReceiptMethod,
        position: Position,
    ) -> Result<Option<UnixTime>, StoreError> {
        self.readers.read(|connection| {
            let row = match serial_row(connection, issuer, serial) {
                Ok(row) => row,
                Err(StoreError::UnknownSerial | StoreError::UnknownIssuer) => return Ok(None),
                Err(error) => return Err(error),
            };
            seen_at(connection, row, method, position)
        })
    }

    fn newest_receipted(
        &self,
        by: UnixTime,
        most: u32,
    ) -> Result<Vec<(IssuerId, SerialNumber)>, StoreError> {
        self.readers.read(|connection| {
            let last: Option<i64> = connection
                .prepare_cached(
                    "SELECT row FROM receipt WHERE recorded <= ?1 ORDER BY recorded DESC, row DESC LIMIT 1",
                )?
                .query_row([from_time(by)], |row| row.get(0))
                .optional()?;
            let Some(last) = last else { return Ok(Vec::new()) };
            let which = "WHERE receipt <= ?1 ORDER BY receipt DESC LIMIT ?2";
            receipted(connection, which, params![last, most])
        })
    }

    fn receipted_by_lot(&self, lot: u64) -> Result<Option<(IssuerId, SerialNumber)>, StoreError> {
        self.readers.read(|connection| {
            let last: Option<i64> = connection
                .prepare_cached("SELECT row FROM receipt ORDER BY row DESC LIMIT 1")?
                .query_row([], |row| row.get(0))
                .optional()?;
            let last = last.and_then(|last| u64::try_from(last).ok()).filter(|last| *last > 0);
            let Some(last) = last else { return Ok(None) };
            let from = from_u64(lot % last, "lot")?;
            let which = "WHERE receipt > ?1 ORDER BY receipt LIMIT 1";
            Ok(receipted(connection, which, params![from])?.pop())
        })
    }
}

/// Serials of receipts' entries.
fn receipted(
    connection: &Connection,
    which: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<(IssuerId, SerialNumber)>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT issuer.issuer_id, serial.serial \
         FROM (SELECT serial_row FROM receipt_entry {which}) AS entry \
         JOIN serial ON serial.row = entry.serial_row JOIN issuer ON issuer.row = serial.issuer"
    ))?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let issuer = IssuerId::from_bytes(array(row, "issuer_id")?);
        found.push((issuer, to_serial(&column::<Vec<u8>>(row, "serial")?)?));
    }
    Ok(found)
}

fn record(
    act: &mut Act<'_>,
    receipt: &NewReceipt,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let connection = act.connection();
    let mut new = Vec::new();
    for entry in &receipt.entries {
        let serial = serial_row(connection, entry.issuer, &entry.serial)?;
        if !is_receipted(connection, serial, receipt.method, entry.position)? {
            new.push((serial, entry));
        }
    }
    if new.is_empty() {
        return Ok(false);
    }
    let note: i64 = connection.insert_new(
        "INSERT INTO receipt (note, recorded) VALUES (?1, ?2) RETURNING row",
        params![receipt.note, from_time(now)],
    )?;
    for (serial, entry) in new {
        connection
            .prepare_cached(
                "INSERT INTO receipt_entry \
                     (serial_row, method, epoch, idx, revoked, seen, receipt) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                serial,
                receipt.method.as_str(),
                entry.position.epoch,
                from_u64(entry.position.index, "index")?,
                from_time(entry.revoked),
                from_time(entry.seen),
                note
            ])?;
        awaited::receipted(connection, serial, receipt.method, entry)?;
    }
    act.put_audit(audit, now)?;
    Ok(true)
}

fn serial_row(
    connection: &Connection,
    issuer: IssuerId,
    serial: &SerialNumber,
) -> Result<i64, StoreError> {
    let issuer = row_of(connection, &issuer)?;
    connection
        .prepare_cached("SELECT row FROM serial WHERE issuer = ?1 AND serial = ?2")?
        .query_row(params![issuer, from_serial(serial)], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::UnknownSerial)
}

pub(super) fn is_receipted(
    connection: &Connection,
    serial: i64,
    method: ReceiptMethod,
    at: Position,
) -> Result<bool, StoreError> {
    Ok(seen_at(connection, serial, method, at)?.is_some())
}

/// When the last point had seen it, where it has a receipt.
fn seen_at(
    connection: &Connection,
    serial: i64,
    method: ReceiptMethod,
    at: Position,
) -> Result<Option<UnixTime>, StoreError> {
    let found: Option<i64> = connection
        .prepare_cached(
            "SELECT seen FROM receipt_entry \
             WHERE serial_row = ?1 AND method = ?2 AND epoch = ?3 AND idx = ?4",
        )?
        .query_row(
            params![serial, method.as_str(), at.epoch, from_u64(at.index, "index")?],
            |row| row.get(0),
        )
        .optional()?;
    found.map(to_time).transpose()
}

fn of_serial(
    connection: &Connection,
    issuer: IssuerId,
    serial: &SerialNumber,
) -> Result<Vec<ReceiptRow>, StoreError> {
    let row = match serial_row(connection, issuer, serial) {
        Ok(row) => row,
        Err(StoreError::UnknownSerial) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut statement = connection.prepare_cached(
        "SELECT receipt_entry.method, receipt_entry.epoch, receipt_entry.idx, \
             receipt_entry.revoked, receipt_entry.seen, receipt.note \
         FROM receipt_entry JOIN receipt ON receipt.row = receipt_entry.receipt \
         WHERE receipt_entry.serial_row = ?1 \
         ORDER BY receipt_entry.epoch DESC, receipt_entry.idx DESC, receipt_entry.method DESC",
    )?;
    let mut rows = statement.query([row])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let method: String = column(row, "method")?;
        let entry = ReceiptedEntry {
            issuer,
            serial: *serial,
            position: stored(position(row)?, "position")?,
            revoked: time(row, "revoked")?,
            seen: time(row, "seen")?,
        };
        found.push(ReceiptRow {
            method: stored(method.parse().ok(), "method")?,
            entry,
            note: column(row, "note")?,
        });
    }
    Ok(found)
}
