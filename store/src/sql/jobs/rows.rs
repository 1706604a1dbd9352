//! Jobs as they are shown.

use std::time::Duration;

use crate::sql::connection::{Connection, Row};
use ca::job::{JobState, OperationHash};
use status::{IssuerId, RevocationReason};
use x509::time::UnixTime;

use super::super::columns::{array, column, opt_time, position, stored, time, to_reason, to_u64};
use super::must_find;
use crate::StoreError;
use crate::id::JobId;
use crate::job::{
    JobApproval, JobForecast, JobPart, JobPlan, JobProgress, JobRow, JobSelector, JobWave,
};

pub(super) fn find(connection: &Connection, job: JobId) -> Result<Option<JobRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM job WHERE job_id = ?1")?;
    let mut rows = statement.query([job.as_bytes()])?;
    rows.next()?.map(|row| read(connection, row)).transpose()
}

pub(super) fn all(connection: &Connection) -> Result<Vec<JobRow>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM job ORDER BY row DESC LIMIT 1000")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(connection, row)?);
    }
    Ok(found)
}

pub(super) fn at_work(connection: &Connection) -> Result<Vec<JobId>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT job_id FROM job INDEXED BY job_at_work WHERE state IN ('selecting', 'running') ORDER BY row",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(JobId::from_bytes(array(row, "job_id")?));
    }
    Ok(found)
}

pub(super) fn waves(connection: &Connection, job: JobId) -> Result<Vec<JobWave>, StoreError> {
    let found = must_find(connection, job)?;
    let mut statement =
        connection.prepare_cached("SELECT * FROM job_wave WHERE job = ?1 ORDER BY wave")?;
    let mut rows = statement.query([found.row])?;
    let mut waves = Vec::new();
    while let Some(row) = rows.next()? {
        waves.push(JobWave {
            number: column(row, "wave")?,
            begun: time(row, "begun")?,
            ended: opt_time(row, "ended")?,
            items: to_u64(column(row, "items")?, "items of a wave")?,
            last: position(row)?,
        });
    }
    Ok(waves)
}

fn read(connection: &Connection, row: Row<'_>) -> Result<JobRow, StoreError> {
    let number = |name| to_u64(column(row, name)?, "job");
    let state: String = column(row, "state")?;
    Ok(JobRow {
        id: JobId::from_bytes(array(row, "job_id")?),
        state: state.parse().map_err(|_| StoreError::Stored { what: "state of a job" })?,
        client: column(row, "client")?,
        plan: plan(row)?,
        created: time(row, "created")?,
        updated: time(row, "updated")?,
        selecting: (number("cursor")?, number("cursor_end")?),
        frozen: frozen(connection, row)?,
        approval: approval(row)?,
        progress: progress(row, &state)?,
    })
}

fn plan(row: Row<'_>) -> Result<JobPlan, StoreError> {
    let damaged = |_| StoreError::Stored { what: "plan of a job" };
    let corrects: Vec<i64> =
        serde_json::from_str(&column::<String>(row, "corrects")?).map_err(damaged)?;
    let reason = |code: i64| match u8::try_from(code) {
        Ok(code) => to_reason(Some(code)),
        Err(_) => Ok(None),
    };
    let corrects = corrects.into_iter().map(reason);
    let issuer: Option<[u8; 32]> = column(row, "issuer")?;
    Ok(JobPlan {
        reason: to_reason(column(row, "reason")?)?,
        corrects: corrects.collect::<Result<Vec<Option<RevocationReason>>, StoreError>>()?,
        wave: column(row, "wave_size")?,
        pause: Duration::from_secs(to_u64(column(row, "wave_pause")?, "pause of a job")?),
        actor: column(row, "actor")?,
        note: column(row, "note")?,
        selector: JobSelector {
            issuer: issuer.map(IssuerId::from_bytes),
            profile: column(row, "profile")?,
            profile_sha256: column(row, "profile_sha256")?,
            policy: column(row, "policy")?,
            algorithm: column(row, "algorithm")?,
            orderer: column(row, "orderer")?,
            issued_from: opt_time(row, "issued_from")?,
            issued_until: opt_time(row, "issued_until")?,
            excluded: serde_json::from_str(&column::<String>(row, "excluded")?).map_err(damaged)?,
            organisations: column::<Option<String>>(row, "organisations")?
                .map_or(Ok(Vec::new()), |text| serde_json::from_str(&text))
                .map_err(damaged)?,
        },
    })
}

fn frozen(connection: &Connection, row: Row<'_>) -> Result<Option<JobForecast>, StoreError> {
    let operation: Option<[u8; 32]> = column(row, "operation")?;
    let Some(operation) = operation else { return Ok(None) };
    let number = |name| -> Result<u64, StoreError> {
        to_u64(stored(column(row, name)?, "forecast of a job")?, "forecast of a job")
    };
    let mut statement = connection.prepare_cached(
        "SELECT issuer.issuer_id, job_part.* FROM job_part JOIN issuer ON issuer.row = job_part.issuer \
         WHERE job_part.job = ?1 ORDER BY issuer.row",
    )?;
    let mut rows = statement.query([column::<i64>(row, "row")?])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        let number = |name| to_u64(column(row, name)?, "part of a job");
        parts.push(JobPart {
            issuer: IssuerId::from_bytes(array(row, "issuer_id")?),
            items: number("items")?,
            listed: number("listed")?,
            crl_octets: number("crl_octets")?,
            unlisted: number("unlisted")?,
            octets: number("octets")?,
        });
    }
    Ok(Some(JobForecast {
        operation: OperationHash::from_bytes(operation),
        items: number("items")?,
        unmatched: number("unmatched")?,
        holders: number("holders")?,
        parts,
    }))
}

fn approval(row: Row<'_>) -> Result<Option<JobApproval>, StoreError> {
    let client: Option<String> = column(row, "approver")?;
    let Some(client) = client else { return Ok(None) };
    let actor: Option<String> = column(row, "approver_actor")?;
    Ok(Some(JobApproval {
        client,
        actor: stored(actor, "approval of a job")?,
        at: stored(opt_time(row, "approved")?, "approval of a job")?,
    }))
}

fn progress(row: Row<'_>, state: &str) -> Result<JobProgress, StoreError> {
    let number = |name| to_u64(column(row, name)?, "progress of a job");
    let left: i64 = column(row, "wave_left")?;
    let next: UnixTime = time(row, "next_at")?;
    let waits = state == JobState::Running.name() && left == 0 && next.secs() > 0;
    Ok(JobProgress {
        started: opt_time(row, "started")?,
        wave: column(row, "wave")?,
        next: waits.then_some(next),
        revoked: number("revoked")?,
        corrected: number("corrected")?,
        already: number("already")?,
    })
}
