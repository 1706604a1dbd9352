//! A step of a running job: the next certificates of its wave, in one act with how far it has come. Whatever ends the
//! program, the next step begins where the last recorded one ended: nothing is lost and nothing happens twice.

use crate::sql::connection::Connection;
use ca::job::{JobAct, JobState};
use ca::revocation::{Again, again};
use rusqlite::params;
use status::{CertificateState, CertificateStatus, Change, IssuerId, Position, RevocationReason};
use x509::time::UnixTime;

use super::super::columns::{array, column, from_time, stored, to_time, to_u64};
use super::super::group::{Act, Effective};
use super::{must_find, rows, seen, set_state};
use crate::StoreError;
use crate::id::JobId;
use crate::job::{JobError, JobStep, JobStepAudit};

/// The job's counters as a step begins.
struct Turn {
    wave: u32,
    left: u32,
    next_at: UnixTime,
    done_row: i64,
    wave_size: u32,
    pause: u64,
    reason: Option<RevocationReason>,
}

/// What a step did.
#[derive(Default)]
struct Taken {
    items: u32,
    revoked: u32,
    corrected: u32,
    already: u32,
    last_row: i64,
    issuers: Vec<IssuerId>,
    entries: Option<(Position, Position)>,
}

pub(super) fn step(
    act: &mut Act<'_>,
    job: JobId,
    most: u32,
    audit: JobStepAudit,
    now: UnixTime,
) -> Result<JobStep, StoreError> {
    let found = must_find(act.connection(), job)?;
    if found.state != JobState::Running {
        return Ok(JobStep::Elsewhere(found.state));
    }
    let mut turn = turn(act.connection(), found.row)?;
    if turn.left == 0 && turn.next_at > now {
        return Ok(JobStep::Waits(turn.next_at));
    }
    if turn.left == 0 {
        turn.left = turn.wave_size;
        turn.wave = turn.wave.saturating_add(1);
        begin_wave(act.connection(), found.row, turn.wave, now)?;
    }
    let wanted = most.min(turn.left);
    let rows = next_rows(act.connection(), found.row, turn.done_row, wanted)?;
    let is_last = rows.len() < usize::try_from(wanted).unwrap_or(usize::MAX)
        || next_rows(act.connection(), found.row, *rows.last().unwrap_or(&turn.done_row), 1)?
            .is_empty();
    let taken = take(act, &rows, &turn, now)?;
    let left = turn.left.saturating_sub(taken.items);
    let wave_ended = (left == 0 || is_last).then_some(turn.wave);
    record(act.connection(), found.row, &turn, &taken, if is_last { 0 } else { left }, now)?;
    if wave_ended.is_some() {
        end_wave(act.connection(), found.row, &turn, now)?;
    }
    if is_last {
        set_state(act.connection(), found.row, found.after(JobAct::Finish)?, now)?;
    }
    let shown = rows::find(act.connection(), job)?.ok_or(JobError::Unknown { job })?;
    let step = JobStep::Taken {
        job: Box::new(shown),
        items: taken.items,
        issuers: taken.issuers,
        entries: taken.entries,
        wave_ended,
    };
    act.put_audit(&audit(&step), now)?;
    Ok(step)
}

fn turn(connection: &Connection, job: i64) -> Result<Turn, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT wave, wave_left, next_at, done_row, wave_size, wave_pause, reason FROM job WHERE row = ?1",
    )?;
    let mut rows = statement.query([job])?;
    let row = stored(rows.next()?, "job")?;
    Ok(Turn {
        wave: column(row, "wave")?,
        left: column(row, "wave_left")?,
        next_at: to_time(column(row, "next_at")?)?,
        done_row: column(row, "done_row")?,
        wave_size: column(row, "wave_size")?,
        pause: to_u64(column(row, "wave_pause")?, "pause of a job")?,
        reason: super::super::columns::to_reason(column(row, "reason")?)?,
    })
}

fn next_rows(
    connection: &Connection,
    job: i64,
    after: i64,
    most: u32,
) -> Result<Vec<i64>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT serial_row FROM job_item WHERE job = ?1 AND serial_row > ?2 ORDER BY serial_row LIMIT ?3",
    )?;
    let rows = statement.query_map(params![job, after, most], |row| row.get(0))?;
    rows.map(|row| row.map_err(StoreError::from)).collect()
}

fn take(act: &mut Act<'_>, rows: &[i64], turn: &Turn, now: UnixTime) -> Result<Taken, StoreError> {
    let mut taken = Taken { last_row: turn.done_row, ..Taken::default() };
    let mut issuers: Vec<status::IssuerRef> = Vec::new();
    for row in rows {
        let serial = stored(act.serial("serial.row = ?1", [row])?, "serial of a job")?;
        let known = stored(serial.status, "state of a job's serial")?;
        taken.items = taken.items.saturating_add(1);
        taken.last_row = *row;
        // After the last list of its issuer nothing of it changes, which no list could say (CRL-05).
        let change = if serial.ended { None } else { change_of(&known, turn.reason) };
        let Some((change, effective)) = change else {
            taken.already = taken.already.saturating_add(1);
            continue;
        };
        let (_, position, _) =
            act.put_change(&serial, change, effective, serial.requested_at, now)?;
        match effective {
            Effective::Logged => taken.revoked = taken.revoked.saturating_add(1),
            Effective::Kept(_) => taken.corrected = taken.corrected.saturating_add(1),
        }
        let first = taken.entries.map_or(position, |(first, _)| first);
        taken.entries = Some((first, position));
        if !issuers.contains(&serial.issuer) {
            issuers.push(serial.issuer);
            taken.issuers.push(issuer_of(act.connection(), *row)?);
        }
    }
    Ok(taken)
}

/// What becomes of a certificate whose turn has come; `None` where nothing does (REV-06).
fn change_of(
    known: &CertificateStatus,
    reason: Option<RevocationReason>,
) -> Option<(Change, Effective)> {
    let revoked = Change::Revoked { reason, invalidity_date: known.invalidity_date };
    match known.state {
        CertificateState::Issued | CertificateState::Activated | CertificateState::Held(_) => {
            Some((Change::Revoked { reason, invalidity_date: None }, Effective::Logged))
        }
        CertificateState::Revoked if again(known.reason, reason) == Again::Corrects => {
            Some((revoked, Effective::Kept(known.effective_time)))
        }
        CertificateState::Revoked | CertificateState::Voided => None,
    }
}

fn issuer_of(connection: &Connection, serial: i64) -> Result<IssuerId, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT issuer.issuer_id FROM serial JOIN issuer ON issuer.row = serial.issuer WHERE serial.row = ?1",
    )?;
    let mut rows = statement.query([serial])?;
    Ok(IssuerId::from_bytes(array(stored(rows.next()?, "issuer")?, "issuer_id")?))
}

fn begin_wave(
    connection: &Connection,
    job: i64,
    wave: u32,
    now: UnixTime,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("INSERT INTO job_wave (job, wave, begun, items) VALUES (?1, ?2, ?3, 0)")?
        .execute(params![job, wave, from_time(now)])?;
    Ok(())
}

fn record(
    connection: &Connection,
    job: i64,
    turn: &Turn,
    taken: &Taken,
    left: u32,
    now: UnixTime,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE job SET updated = ?2, done_row = ?3, wave = ?4, wave_left = ?5, \
                 revoked = revoked + ?6, corrected = corrected + ?7, already = already + ?8 WHERE row = ?1",
        )?
        .execute(params![
            job,
            from_time(now),
            taken.last_row,
            turn.wave,
            left,
            taken.revoked,
            taken.corrected,
            taken.already,
        ])?;
    if let Some(entries) = taken.entries {
        seen::wrote(connection, (job, turn.wave), entries)?;
    }
    let last = taken.entries.map(|(_, last)| last);
    let index = last.map(|last| super::from_u64(last.index, "index")).transpose()?;
    connection
        .prepare_cached(
            "UPDATE job_wave SET items = items + ?3, epoch = coalesce(?4, epoch), idx = coalesce(?5, idx) \
             WHERE job = ?1 AND wave = ?2",
        )?
        .execute(params![job, turn.wave, taken.items, last.map(|last| last.epoch), index])?;
    Ok(())
}

fn end_wave(
    connection: &Connection,
    job: i64,
    turn: &Turn,
    now: UnixTime,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE job_wave SET ended = ?3 WHERE job = ?1 AND wave = ?2")?
        .execute(params![job, turn.wave, from_time(now)])?;
    let next = UnixTime::from_secs(now.secs().saturating_add(turn.pause)).unwrap_or(now);
    connection
        .prepare_cached("UPDATE job SET next_at = ?2 WHERE row = ?1")?
        .execute(params![job, from_time(next)])?;
    Ok(())
}
