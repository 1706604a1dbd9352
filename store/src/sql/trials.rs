//! Trial revocations.

use std::time::Duration;

use super::connection::{Connection, OptionalExtension as _, Row};
use rusqlite::params;
use status::{IssuerId, StatusEntry};
use x509::time::UnixTime;

use super::columns::{
    STATUS_COLUMNS, array, column, from_time, status_row, stored, time, to_serial, to_time,
};
use super::issuers::row_of;
use super::{Backend, SqlStore, StoreError};
use crate::id::{CertificateId, OrderId};
use crate::trial::{Trial, TrialCertificate, TrialOrder, TrialSight, Trials};

/// Old ones that one call forgets.
const FORGOTTEN: u32 = 500;

impl<B: Backend> Trials for SqlStore<B> {
    fn begin_trial(
        &self,
        order: OrderId,
        issuer: IssuerId,
        every: Duration,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        self.writer.run(move |act| begin(act.connection(), order, issuer, every, now))
    }

    fn trials(&self, most: u32) -> Result<Vec<Trial>, StoreError> {
        self.readers.read(|connection| newest(connection, most))
    }

    fn forget_trials(&self, before: UnixTime) -> Result<u64, StoreError> {
        let forgotten = self.writer.run(move |act| {
            Ok(act
                .connection()
                .prepare_cached(
                    "DELETE FROM trial_revocation WHERE row IN \
                         (SELECT row FROM trial_revocation WHERE begun < ?1 ORDER BY row LIMIT ?2)",
                )?
                .execute(params![from_time(before), FORGOTTEN])?)
        })?;
        Ok(forgotten.try_into().unwrap_or(u64::MAX))
    }
}

fn begin(
    connection: &Connection,
    order: OrderId,
    issuer: IssuerId,
    every: Duration,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let issuer = row_of(connection, &issuer)?;
    let after = now.saturating_sub(every);
    let lately: Option<i64> = connection
        .prepare_cached(
            "SELECT row FROM trial_revocation WHERE issuer = ?1 AND begun > ?2 AND begun <= ?3 LIMIT 1",
        )?
        .query_row(params![issuer, from_time(after), from_time(now)], |row| row.get(0))
        .optional()?;
    if lately.is_some() {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "INSERT INTO trial_revocation (issuer, order_id, begun) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![issuer, order.as_bytes(), from_time(now)])?;
    Ok(true)
}

fn newest(connection: &Connection, most: u32) -> Result<Vec<Trial>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT trial_revocation.order_id AS trial_order, trial_revocation.begun, issuer.issuer_id, \
             orders.state AS order_state, certificate.certificate_id, serial.row AS serial_row, \
             serial.serial, status_entry.entry, {STATUS_COLUMNS} \
         FROM trial_revocation JOIN issuer ON issuer.row = trial_revocation.issuer \
         LEFT JOIN orders ON orders.order_id = trial_revocation.order_id \
         LEFT JOIN certificate ON certificate.order_row = orders.row \
         LEFT JOIN serial ON serial.row = certificate.serial_row \
         LEFT JOIN status_entry ON status_entry.epoch = serial.epoch AND status_entry.idx = serial.idx \
         ORDER BY trial_revocation.row DESC LIMIT ?1"
    ))?;
    let mut rows = statement.query([most])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(connection, row)?);
    }
    Ok(found)
}

fn read(connection: &Connection, row: Row<'_>) -> Result<Trial, StoreError> {
    let state: Option<String> = column(row, "order_state")?;
    let certificate: Option<i64> = column(row, "serial_row")?;
    Ok(Trial {
        order: OrderId::from_bytes(array(row, "trial_order")?),
        issuer: IssuerId::from_bytes(array(row, "issuer_id")?),
        begun: time(row, "begun")?,
        standing: match state.as_deref() {
            None => TrialOrder::None,
            Some("done") => TrialOrder::Done,
            Some(_) => TrialOrder::Open,
        },
        certificate: certificate.map(|serial| of_serial(connection, row, serial)).transpose()?,
    })
}

fn of_serial(
    connection: &Connection,
    row: Row<'_>,
    serial: i64,
) -> Result<TrialCertificate, StoreError> {
    let status = status_row(row)?;
    Ok(TrialCertificate {
        id: CertificateId::from_bytes(array(row, "certificate_id")?),
        serial: to_serial(&column::<Vec<u8>>(row, "serial")?)?,
        since: log_time(row)?,
        seen: seen(connection, serial, status.status.effective_time)?,
        status,
    })
}

/// The log time of the entry in this row.
fn log_time(row: Row<'_>) -> Result<UnixTime, StoreError> {
    let entry = StatusEntry::decode(&column::<Vec<u8>>(row, "entry")?);
    entry.map(|entry| entry.log_time()).map_err(|_| StoreError::Stored { what: "status entry" })
}

/// The first receipts of what was revoked at this time. A corrected reason is another entry, of the same time: that one was revoked
/// is known from the first that has its receipt.
fn seen(
    connection: &Connection,
    serial: i64,
    revoked: UnixTime,
) -> Result<Vec<TrialSight>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT receipt_entry.method, receipt_entry.seen, status_entry.entry FROM receipt_entry \
         JOIN status_entry ON status_entry.epoch = receipt_entry.epoch AND status_entry.idx = receipt_entry.idx \
         WHERE receipt_entry.serial_row = ?1 AND receipt_entry.revoked = ?2 \
         ORDER BY receipt_entry.method, receipt_entry.epoch, receipt_entry.idx",
    )?;
    let mut rows = statement.query(params![serial, from_time(revoked)])?;
    let mut found: Vec<TrialSight> = Vec::new();
    while let Some(row) = rows.next()? {
        let method: String = column(row, "method")?;
        let method = stored(method.parse().ok(), "method")?;
        if found.last().is_none_or(|last| last.method != method) {
            let seen = to_time(column(row, "seen")?)?;
            found.push(TrialSight { method, since: log_time(row)?, seen });
        }
    }
    Ok(found)
}
