//! What a selection comes to: its hash, its forecast, its pages.

use std::collections::BTreeMap;

use crate::sql::connection::{Connection, OptionalExtension as _, Row};
use ca::deployment::Deployment;
use ca::job::{JobAct, JobTerms, OperationHasher};
use ca::role::Protected;
use rusqlite::params;
use status::IssuerId;
use x509::crl::RevokedEntry;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::super::columns::{
    STATUS_COLUMNS, array, column, from_time, from_u64, status_row, to_serial, to_u64,
};
use super::super::group::Act;
use super::super::protection;
use super::{must_find, rows, select};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::{CertificateId, JobId};
use crate::job::{JobError, JobForecast, JobItem, JobItemPage, JobPart};

/// The most items in one page.
const MOST_ITEMS: u32 = 1000;

/// What the selection comes to as it is now.
pub(super) fn forecast(
    connection: &Connection,
    deployment: Deployment,
    job: JobId,
    now: UnixTime,
) -> Result<JobForecast, StoreError> {
    let found = must_find(connection, job)?;
    let shown = rows::find(connection, job)?.ok_or(JobError::Unknown { job })?;
    let (looked, all) = shown.selecting;
    if found.after(JobAct::Freeze).is_err() || looked < all {
        return Err(JobError::State { state: found.state }.into());
    }
    let items: i64 = connection
        .prepare_cached("SELECT count(*) FROM job_item WHERE job = ?1")?
        .query_row([found.row], |row| row.get(0))?;
    let items = to_u64(items, "items of a job")?;
    let terms = JobTerms {
        job: *job.as_bytes(),
        reason: shown.plan.reason,
        wave: shown.plan.wave,
        pause: u32::try_from(shown.plan.pause.as_secs()).unwrap_or(u32::MAX),
    };
    let mut hasher = OperationHasher::new(deployment, &terms, items);
    let mut statement = connection.prepare_cached(
        "SELECT issuer.issuer_id, serial.serial FROM job_item \
         CROSS JOIN serial ON serial.row = job_item.serial_row \
         CROSS JOIN issuer ON issuer.row = serial.issuer \
         WHERE job_item.job = ?1 ORDER BY issuer.issuer_id, serial.serial",
    )?;
    let mut listed = statement.query([found.row])?;
    while let Some(row) = listed.next()? {
        let issuer = IssuerId::from_bytes(array(row, "issuer_id")?);
        hasher
            .push(issuer, to_serial(&column::<Vec<u8>>(row, "serial")?)?)
            .map_err(|_| StoreError::Stored { what: "order of serials" })?;
    }
    let holders: i64 = connection
        .prepare_cached(
            "SELECT count(DISTINCT certificate.data_key) FROM job_item \
             CROSS JOIN certificate ON certificate.serial_row = job_item.serial_row \
             WHERE job_item.job = ?1",
        )?
        .query_row([found.row], |row| row.get(0))?;
    Ok(JobForecast {
        operation: hasher.finish(),
        items,
        unmatched: select::unmatched(connection, found.row)?,
        holders: to_u64(holders, "holders of a job")?,
        parts: parts(connection, found.row, shown.plan.reason, now)?,
    })
}

fn parts(
    connection: &Connection,
    job: i64,
    reason: Option<status::RevocationReason>,
    now: UnixTime,
) -> Result<Vec<JobPart>, StoreError> {
    // Entries are as long as their serials make them: of each length one serial stands for all.
    let mut statement = connection.prepare_cached(
        "SELECT issuer.row AS issuer_row, issuer.issuer_id, min(serial.row) AS example, count(*) AS items, \
             count(*) FILTER (WHERE serial.listed = 0) AS unlisted \
         FROM job_item CROSS JOIN serial ON serial.row = job_item.serial_row \
         CROSS JOIN issuer ON issuer.row = serial.issuer \
         WHERE job_item.job = ?1 GROUP BY issuer.row, issuer.issuer_id, length(serial.serial)",
    )?;
    let mut rows = statement.query([job])?;
    let mut parts: BTreeMap<i64, JobPart> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let number = |name| to_u64(column(row, name)?, "part of a job");
        let issuer_row: i64 = column(row, "issuer_row")?;
        let serial = serial_in(connection, column(row, "example")?)?;
        let (items, unlisted) = (number("items")?, number("unlisted")?);
        let octets = unlisted.saturating_mul(entry_octets(serial, reason, now));
        match parts.get_mut(&issuer_row) {
            Some(part) => {
                part.items = part.items.saturating_add(items);
                part.unlisted = part.unlisted.saturating_add(unlisted);
                part.octets = part.octets.saturating_add(octets);
            }
            None => {
                let issuer = IssuerId::from_bytes(array(row, "issuer_id")?);
                let (listed, crl_octets) = list_of(connection, issuer_row, now)?;
                let part = JobPart { issuer, items, listed, crl_octets, unlisted, octets };
                parts.insert(issuer_row, part);
            }
        }
    }
    Ok(parts.into_values().collect())
}

fn serial_in(connection: &Connection, row: i64) -> Result<SerialNumber, StoreError> {
    let serial: Vec<u8> = connection
        .prepare_cached("SELECT serial FROM serial WHERE row = ?1")?
        .query_row([row], |row| row.get(0))?;
    to_serial(&serial)
}

/// Octets of a CRL entry (RFC 5280 §5.3).
fn entry_octets(
    serial: SerialNumber,
    reason: Option<status::RevocationReason>,
    now: UnixTime,
) -> u64 {
    let reason = reason.and_then(|reason| x509::crl::ReasonCode::from_code(reason.code()));
    RevokedEntry { serial, revocation_date: now, reason, invalidity_date: None }.encoded_length()
}

/// Entries of the full CRL of an issuer, and octets of the last one.
fn list_of(connection: &Connection, issuer: i64, now: UnixTime) -> Result<(u64, u64), StoreError> {
    let listed: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM serial INDEXED BY serial_listed \
             WHERE issuer = ?1 AND listed = 1 AND not_after >= ?2",
        )?
        .query_row(params![issuer, from_time(now)], |row| row.get(0))?;
    let octets: Option<i64> = connection
        .prepare_cached(
            "SELECT length FROM crl WHERE issuer = ?1 AND scope = 'full' AND state = 'signed' \
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row([issuer], |row| row.get(0))
        .optional()?;
    Ok((to_u64(listed, "entries of a list")?, to_u64(octets.unwrap_or(0), "length of a list")?))
}

pub(super) fn freeze(
    act: &mut Act<'_>,
    job: JobId,
    forecast: &JobForecast,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let connection = act.connection();
    let found = must_find(connection, job)?;
    let state = found.after(JobAct::Freeze)?;
    connection
        .prepare_cached(
            "UPDATE job SET state = ?2, updated = ?3, operation = ?4, items = ?5, unmatched = ?6, \
                 holders = ?7 WHERE row = ?1",
        )?
        .execute(params![
            found.row,
            state.name(),
            from_time(now),
            forecast.operation.as_bytes(),
            from_u64(forecast.items, "items of a job")?,
            from_u64(forecast.unmatched, "terms of a job")?,
            from_u64(forecast.holders, "holders of a job")?,
        ])?;
    for part in &forecast.parts {
        let number = |number| from_u64(number, "part of a job");
        connection
            .prepare_cached(
                "INSERT INTO job_part (job, issuer, items, listed, crl_octets, unlisted, octets) \
                 SELECT ?1, row, ?3, ?4, ?5, ?6, ?7 FROM issuer WHERE issuer_id = ?2",
            )?
            .execute(params![
                found.row,
                part.issuer.as_bytes(),
                number(part.items)?,
                number(part.listed)?,
                number(part.crl_octets)?,
                number(part.unlisted)?,
                number(part.octets)?,
            ])?;
    }
    act.put_audit(audit, now).map(|_| ())
}

pub(super) fn page(
    connection: &Connection,
    job: JobId,
    after: u64,
    limit: u32,
    protected: Protected,
) -> Result<JobItemPage, StoreError> {
    let found = must_find(connection, job)?;
    let limit = limit.clamp(1, MOST_ITEMS);
    let seen = protection::certificate_seen(protected);
    let sql = format!(
        "SELECT serial.row AS cursor, issuer.issuer_id, serial.serial, certificate.certificate_id, \
             {STATUS_COLUMNS} \
         FROM job_item CROSS JOIN serial ON serial.row = job_item.serial_row \
         CROSS JOIN issuer ON issuer.row = serial.issuer \
         LEFT JOIN certificate ON certificate.serial_row = serial.row \
         WHERE job_item.job = ?1 AND job_item.serial_row > ?2 AND {seen} ORDER BY job_item.serial_row LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let start = from_u64(after, "cursor")?;
    let mut rows = statement.query(params![found.row, start, limit.saturating_add(1)])?;
    let mut page = JobItemPage { items: Vec::new(), next: None };
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.items.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
            page.next = last;
            break;
        }
        page.items.push(item(row)?);
        last = Some(to_u64(column(row, "cursor")?, "cursor")?);
    }
    Ok(page)
}

fn item(row: Row<'_>) -> Result<JobItem, StoreError> {
    let certificate: Option<[u8; 16]> = column(row, "certificate_id")?;
    Ok(JobItem {
        issuer: IssuerId::from_bytes(array(row, "issuer_id")?),
        serial: to_serial(&column::<Vec<u8>>(row, "serial")?)?,
        certificate: certificate.map(CertificateId::from_bytes),
        status: status_row(row)?,
    })
}
