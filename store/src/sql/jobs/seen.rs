//! What the world has been seen to show of jobs, counted as receipts come.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::sql::connection::{Connection, OptionalExtension as _, Row};
use rusqlite::params;
use status::{IssuerId, Position, ReceiptMethod, StatusEntry};
use x509::time::UnixTime;

use super::super::columns::{
    array, column, from_time, from_u64, opt_time, stored, to_serial, to_time, to_u64,
};
use super::super::logs;
use super::must_find;
use crate::StoreError;
use crate::id::JobId;
use crate::job::{JobSeen, SlowestSeen};
use crate::log::Log;

/// A wave of a job, by its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::sql) struct Wave {
    job: i64,
    number: u32,
}

/// Remembers which entries a step wrote; their positions are in a row, since an act's are.
pub(super) fn wrote(
    connection: &Connection,
    (job, wave): (i64, u32),
    (first, last): (Position, Position),
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO job_range (epoch, first_idx, last_idx, job, wave) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            first.epoch,
            from_u64(first.index, "index")?,
            from_u64(last.index, "index")?,
            job,
            wave
        ])?;
    Ok(())
}

/// Counts a receipt of what stands at this position, if a job wrote it. `seen`: when the last point had seen it.
pub(in crate::sql) fn receipted(
    connection: &Connection,
    serial: i64,
    method: ReceiptMethod,
    at: Position,
    seen: UnixTime,
) -> Result<(), StoreError> {
    let Some(wave) = wave_at(connection, at)? else { return Ok(()) };
    let took = seen.since(logged(connection, at)?).as_secs();
    connection
        .prepare_cached(
            "INSERT INTO job_seen \
                 (job, wave, method, receipted, left_out, slowest, slowest_serial, last_seen) \
             VALUES (?1, ?2, ?3, 1, 0, ?4, ?5, ?6) \
             ON CONFLICT (job, wave, method) DO UPDATE SET \
                 receipted = job_seen.receipted + 1, \
                 slowest_serial = CASE WHEN job_seen.slowest >= excluded.slowest \
                     THEN job_seen.slowest_serial ELSE excluded.slowest_serial END, \
                 slowest = CASE WHEN job_seen.slowest >= excluded.slowest \
                     THEN job_seen.slowest ELSE excluded.slowest END, \
                 last_seen = CASE WHEN job_seen.last_seen >= excluded.last_seen \
                     THEN job_seen.last_seen ELSE excluded.last_seen END",
        )?
        .execute(params![
            wave.job,
            wave.number,
            method.as_str(),
            from_u64(took, "seconds")?,
            serial,
            from_time(seen)
        ])?;
    Ok(())
}

/// Counts what stands at this position and is awaited no more, if a job wrote it.
pub(in crate::sql) fn left_out(
    connection: &Connection,
    method: ReceiptMethod,
    at: Position,
) -> Result<(), StoreError> {
    wave_at(connection, at)?.map_or(Ok(()), |wave| count_left_out(connection, wave, method, 1))
}

/// What had been left out has its receipt after all: somebody sent what was seen.
pub(in crate::sql) fn not_left_out(
    connection: &Connection,
    method: ReceiptMethod,
    at: Position,
) -> Result<(), StoreError> {
    let Some(wave) = wave_at(connection, at)? else { return Ok(()) };
    connection
        .prepare_cached(
            "UPDATE job_seen SET left_out = left_out - 1 \
             WHERE job = ?1 AND wave = ?2 AND method = ?3 AND left_out > 0",
        )?
        .execute(params![wave.job, wave.number, method.as_str()])?;
    Ok(())
}

/// Counts entries of a wave that are awaited by none.
pub(in crate::sql) fn count_left_out(
    connection: &Connection,
    wave: Wave,
    method: ReceiptMethod,
    count: u32,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO job_seen (job, wave, method, receipted, left_out) VALUES (?1, ?2, ?3, 0, ?4) \
             ON CONFLICT (job, wave, method) DO UPDATE \
                 SET left_out = job_seen.left_out + excluded.left_out",
        )?
        .execute(params![wave.job, wave.number, method.as_str(), count])?;
    Ok(())
}

/// Whether anything of a wave has a receipt.
pub(in crate::sql) fn has_receipts(
    connection: &Connection,
    wave: Wave,
    method: ReceiptMethod,
) -> Result<bool, StoreError> {
    let found: Option<i64> = connection
        .prepare_cached(
            "SELECT receipted FROM job_seen WHERE job = ?1 AND wave = ?2 AND method = ?3",
        )?
        .query_row(params![wave.job, wave.number, method.as_str()], |row| row.get(0))
        .optional()?;
    Ok(found.is_some_and(|receipted| receipted > 0))
}

/// Which of these entries, whose positions rise, each wave wrote.
pub(in crate::sql) fn waves_of<T>(
    connection: &Connection,
    entries: Vec<(Position, T)>,
) -> Result<BTreeMap<Wave, Vec<(Position, T)>>, StoreError> {
    let mut found: BTreeMap<Wave, Vec<(Position, T)>> = BTreeMap::new();
    let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) else {
        return Ok(found);
    };
    // Most have nothing of a job.
    let any: Option<i64> = connection
        .prepare_cached(
            "SELECT first_idx FROM job_range WHERE epoch = ?1 AND first_idx <= ?2 AND last_idx >= ?3 LIMIT 1",
        )?
        .query_row(
            params![first.epoch, from_u64(last.index, "index")?, from_u64(first.index, "index")?],
            |row| row.get(0),
        )
        .optional()?;
    if any.is_none() {
        return Ok(found);
    }
    for entry in entries {
        if let Some(wave) = wave_at(connection, entry.0)? {
            found.entry(wave).or_default().push(entry);
        }
    }
    Ok(found)
}

/// The wave that wrote the entry.
fn wave_at(connection: &Connection, at: Position) -> Result<Option<Wave>, StoreError> {
    let index = from_u64(at.index, "index")?;
    let found: Option<(i64, u32, i64)> = connection
        .prepare_cached(
            "SELECT job, wave, last_idx FROM job_range WHERE epoch = ?1 AND first_idx <= ?2 \
             ORDER BY first_idx DESC LIMIT 1",
        )?
        .query_row(params![at.epoch, index], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    Ok(found.and_then(|(job, number, last)| (index <= last).then_some(Wave { job, number })))
}

/// The log time of an entry.
fn logged(connection: &Connection, at: Position) -> Result<UnixTime, StoreError> {
    let range = at.index..at.index.saturating_add(1);
    let entries = logs::entries(connection, Log::Status, at.epoch, &range)?;
    let entry = entries.first().and_then(|entry| StatusEntry::decode(&entry.bytes).ok());
    entry.map(|entry| entry.log_time()).ok_or(StoreError::Stored { what: "status entry" })
}

pub(super) fn of(connection: &Connection, job: JobId) -> Result<Vec<JobSeen>, StoreError> {
    let job = must_find(connection, job)?.row;
    let mut seen = Vec::new();
    for method in ReceiptMethod::ALL {
        let mut statement = connection.prepare_cached(
            "SELECT written.wave, written.entries, job_seen.receipted, job_seen.left_out, \
                 job_seen.slowest, job_seen.last_seen, issuer.issuer_id, serial.serial \
             FROM (SELECT wave, CAST(sum(last_idx - first_idx + 1) AS BIGINT) AS entries \
                   FROM job_range WHERE job = ?1 GROUP BY wave) AS written \
             LEFT JOIN job_seen ON job_seen.job = ?1 AND job_seen.wave = written.wave \
                 AND job_seen.method = ?2 \
             LEFT JOIN serial ON serial.row = job_seen.slowest_serial \
             LEFT JOIN issuer ON issuer.row = serial.issuer",
        )?;
        let mut rows = statement.query(params![job, method.as_str()])?;
        while let Some(row) = rows.next()? {
            seen.push(read(row, method)?);
        }
    }
    for one in seen.iter_mut().filter(|one| one.waiting() > 0) {
        one.oldest = oldest(connection, job, one)?;
    }
    seen.sort_by_key(|one: &JobSeen| (one.wave, one.method));
    Ok(seen)
}

fn read(row: Row<'_>, method: ReceiptMethod) -> Result<JobSeen, StoreError> {
    let count = |name| -> Result<u64, StoreError> {
        to_u64(column::<Option<i64>>(row, name)?.unwrap_or(0), "receipts of a job")
    };
    let slowest: Option<i64> = column(row, "slowest")?;
    let slowest = slowest
        .map(|secs| {
            Ok::<_, StoreError>(SlowestSeen {
                took: Duration::from_secs(to_u64(secs, "seconds")?),
                issuer: IssuerId::from_bytes(array(row, "issuer_id")?),
                serial: to_serial(&stored(column::<Option<Vec<u8>>>(row, "serial")?, "serial")?)?,
            })
        })
        .transpose()?;
    Ok(JobSeen {
        wave: column(row, "wave")?,
        method,
        entries: count("entries")?,
        receipted: count("receipted")?,
        left_out: count("left_out")?,
        oldest: None,
        slowest,
        last_seen: opt_time(row, "last_seen")?,
    })
}

/// The log time of the oldest entry of a wave that waits; `None` where nobody has begun to wait for it yet.
fn oldest(
    connection: &Connection,
    job: i64,
    seen: &JobSeen,
) -> Result<Option<UnixTime>, StoreError> {
    let since: Option<i64> = connection
        .prepare_cached(
            "SELECT awaited.since FROM job_range JOIN awaited ON awaited.method = ?3 \
                 AND awaited.epoch = job_range.epoch \
                 AND awaited.idx BETWEEN job_range.first_idx AND job_range.last_idx \
             WHERE job_range.job = ?1 AND job_range.wave = ?2 \
             ORDER BY job_range.epoch, job_range.first_idx LIMIT 1",
        )?
        .query_row(params![job, seen.wave, seen.method.as_str()], |row| row.get(0))
        .optional()?;
    since.map(to_time).transpose()
}
