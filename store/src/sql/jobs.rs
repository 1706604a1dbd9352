//! Jobs: planned, selected, frozen, agreed to, run in waves.

mod items;
mod rows;
mod run;
pub(super) mod seen;
mod select;

use crate::sql::connection::{Connection, OptionalExtension as _};
use ca::job::{JobAct, JobState, OperationHash};
use ca::limit::Hour;
use ca::role::Protected;
use rusqlite::params;
use status::RevocationReason;
use x509::time::UnixTime;

use super::actors::row_of;
use super::columns::{from_time, from_u64, to_u64};
use super::group::Act;
use super::{Backend, SqlStore};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::JobId;
use crate::job::{
    Alone, JobChange, JobError, JobForecast, JobItemPage, JobRow, JobSeen, JobStart, JobStep,
    JobStepAudit, JobTerm, JobWave, Jobs, NewJob, SelectionStep,
};

impl<B: Backend> Jobs for SqlStore<B> {
    fn plan_job(&self, job: &NewJob, audit: &AuditRecord, now: UnixTime) -> Result<(), StoreError> {
        let (job, audit) = (job.clone(), audit.clone());
        self.writer.run(move |act| plan(act, &job, &audit, now))
    }

    fn add_job_terms(
        &self,
        job: JobId,
        client: &str,
        terms: &[JobTerm],
        now: UnixTime,
    ) -> Result<u64, StoreError> {
        let (client, terms) = (client.to_owned(), terms.to_vec());
        self.writer.run(move |act| select::add_terms(act, job, &client, &terms, now))
    }

    fn begin_selection(
        &self,
        change: &JobChange,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (change, audit) = (change.clone(), audit.clone());
        self.writer.run(move |act| select::begin(act, &change, &audit, now))
    }

    fn select_some(&self, job: JobId, now: UnixTime) -> Result<SelectionStep, StoreError> {
        self.writer.run(move |act| select::some(act, job, now))
    }

    fn freeze_job(
        &self,
        job: JobId,
        audit: &(dyn Fn(&JobForecast) -> AuditRecord + Sync),
        now: UnixTime,
    ) -> Result<JobForecast, StoreError> {
        // What is selected does not change any more: this may take seconds, and no writer waits for it.
        let deployment = self.deployment;
        let forecast =
            self.readers.read(|connection| items::forecast(connection, deployment, job, now))?;
        let (audit, frozen) = (audit(&forecast), forecast.clone());
        self.writer.run(move |act| items::freeze(act, job, &frozen, &audit, now))?;
        Ok(forecast)
    }

    fn start_job(
        &self,
        change: &JobChange,
        start: &JobStart,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<JobState, StoreError> {
        let (change, start, audit) = (change.clone(), *start, audit.clone());
        self.writer.run(move |act| begin(act, &change, start, &audit, now))
    }

    fn approve_job(
        &self,
        change: &JobChange,
        operation: OperationHash,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (change, audit) = (change.clone(), audit.clone());
        self.writer.run(move |act| approve(act, &change, operation, &audit, now))
    }

    fn turn_job(
        &self,
        change: &JobChange,
        what: JobAct,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (change, audit) = (change.clone(), audit.clone());
        self.writer.run(move |act| turn(act, &change, what, &audit, now))
    }

    fn run_job(
        &self,
        job: JobId,
        most: u32,
        audit: JobStepAudit,
        now: UnixTime,
    ) -> Result<JobStep, StoreError> {
        self.writer.run(move |act| run::step(act, job, most, audit, now))
    }

    fn job(&self, job: JobId) -> Result<Option<JobRow>, StoreError> {
        self.readers.read(|connection| rows::find(connection, job))
    }

    fn jobs(&self) -> Result<Vec<JobRow>, StoreError> {
        self.readers.read(rows::all)
    }

    fn jobs_at_work(&self) -> Result<Vec<JobId>, StoreError> {
        self.readers.read(rows::at_work)
    }

    fn job_waves(&self, job: JobId) -> Result<Vec<JobWave>, StoreError> {
        self.readers.read(|connection| rows::waves(connection, job))
    }

    fn job_seen(&self, job: JobId) -> Result<Vec<JobSeen>, StoreError> {
        self.readers.read(|connection| seen::of(connection, job))
    }

    fn job_items(
        &self,
        job: JobId,
        after: u64,
        limit: u32,
        protected: Protected,
    ) -> Result<JobItemPage, StoreError> {
        self.readers.read(|connection| items::page(connection, job, after, limit, protected))
    }

    fn job_rest(&self, job: JobId, now: UnixTime) -> Result<u64, StoreError> {
        self.readers.read(|connection| select::rest(connection, job, now))
    }
}

/// Counts certificates that a client revokes or holds by its own word. The act is taken back when it is refused, and with
/// it the count.
///
/// # Errors
///
/// [`StoreError::AloneSpent`].
pub(super) fn count_alone(
    connection: &Connection,
    alone: &Alone,
    certificates: u64,
    now: UnixTime,
) -> Result<(), StoreError> {
    let hour = Hour::of(now);
    let number = from_u64(hour.number(), "hour")?;
    connection
        .prepare_cached("DELETE FROM revoked_hour WHERE client = ?1 AND hour < ?2")?
        .execute(params![alone.client, number])?;
    let revoked: i64 = connection
        .prepare_cached(
            "INSERT INTO revoked_hour (client, hour, revoked) VALUES (?1, ?2, ?3) \
             ON CONFLICT (client, hour) DO UPDATE SET revoked = revoked_hour.revoked + excluded.revoked \
             RETURNING revoked",
        )?
        .query_row(
            params![alone.client, number, from_u64(certificates, "certificates of a job")?],
            |row| row.get(0),
        )?;
    if to_u64(revoked, "revocations of an hour")? > alone.most {
        let ends = now.secs().saturating_add(Hour::seconds_left(now));
        let ends = UnixTime::from_secs(ends).unwrap_or(now);
        return Err(StoreError::AloneSpent { alone: alone.most, ends });
    }
    Ok(())
}

fn plan(
    act: &mut Act<'_>,
    new: &NewJob,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let (plan, selector) = (&new.plan, &new.plan.selector);
    let corrects: Vec<i64> = plan
        .corrects
        .iter()
        .map(|reason| reason.map_or(-1, |reason| i64::from(reason.code())))
        .collect();
    let json = |value: serde_json::Result<String>| {
        value.map_err(|_| StoreError::Stored { what: "plan of a job" })
    };
    let time = |time: Option<UnixTime>| time.map(from_time);
    let organisations = Some(&selector.organisations).filter(|numbers| !numbers.is_empty());
    let organisations = organisations.map(|numbers| json(serde_json::to_string(numbers)));
    let planned_by = row_of(act, new.signed_by.as_ref())?;
    let inserted = act
        .connection()
        .prepare_cached(
            "INSERT INTO job (job_id, state, client, actor, note, created, updated, reason, \
                 corrects, wave_size, wave_pause, issuer, profile, profile_sha256, policy, algorithm, \
                 orderer, issued_from, issued_until, excluded, organisations, \
                 planned_by) \
             VALUES (?1, 'draft', ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, \
                 ?17, ?18, ?19, ?20) ON CONFLICT (job_id) DO NOTHING",
        )?
        .execute(params![
            new.id.as_bytes(),
            new.client,
            plan.actor,
            plan.note,
            from_time(now),
            plan.reason.map(RevocationReason::code),
            json(serde_json::to_string(&corrects))?,
            plan.wave.max(1),
            from_u64(plan.pause.as_secs(), "pause of a job")?,
            selector.issuer.as_ref().map(status::IssuerId::as_bytes),
            selector.profile,
            selector.profile_sha256,
            selector.policy,
            selector.algorithm,
            selector.orderer,
            time(selector.issued_from),
            time(selector.issued_until),
            json(serde_json::to_string(&selector.excluded))?,
            organisations.transpose()?,
            planned_by,
        ])?;
    if inserted == 1 {
        act.put_audit(audit, now)?;
    }
    Ok(())
}

/// A job as an act finds it: its row, and what decides.
struct Found {
    row: i64,
    state: JobState,
    client: String,
    actor: String,
    operation: Option<OperationHash>,
    items: u64,
}

impl Found {
    /// The state after `what`.
    fn after(&self, what: JobAct) -> Result<JobState, StoreError> {
        let state = self.state;
        self.state.after(what).ok_or_else(|| JobError::State { state }.into())
    }

    fn must_be(&self, operation: OperationHash) -> Result<(), StoreError> {
        match self.operation {
            Some(frozen) if frozen == operation => Ok(()),
            Some(operation) => Err(JobError::Operation { operation }.into()),
            None => Err(JobError::State { state: self.state }.into()),
        }
    }

    /// Only the client that planned a job makes it and starts it. Approving excludes the planner alone: another client that
    /// had started it could agree with itself (REV-09).
    fn must_be_of(&self, client: &str) -> Result<(), StoreError> {
        if self.client == client {
            return Ok(());
        }
        Err(JobError::OtherHand { client: self.client.clone() }.into())
    }
}

fn must_find(connection: &Connection, job: JobId) -> Result<Found, StoreError> {
    type Columns = (i64, String, String, String, Option<[u8; 32]>, Option<i64>);
    let found: Option<Columns> = connection
        .prepare_cached(
            "SELECT row, state, client, actor, operation, items FROM job WHERE job_id = ?1",
        )?
        .query_row([job.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .optional()?;
    let (row, state, client, actor, operation, items) = found.ok_or(JobError::Unknown { job })?;
    Ok(Found {
        row,
        state: state.parse().map_err(|_| StoreError::Stored { what: "state of a job" })?,
        client,
        actor,
        operation: operation.map(OperationHash::from_bytes),
        items: to_u64(items.unwrap_or(0), "items of a job")?,
    })
}

fn set_state(
    connection: &Connection,
    row: i64,
    state: JobState,
    now: UnixTime,
) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE job SET state = ?2, updated = ?3 WHERE row = ?1")?
        .execute(params![row, state.name(), from_time(now)])?;
    Ok(())
}

fn begin(
    act: &mut Act<'_>,
    change: &JobChange,
    start: JobStart,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<JobState, StoreError> {
    let found = must_find(act.connection(), change.job)?;
    found.must_be(start.operation)?;
    found.must_be_of(&change.client)?;
    // An answer that was lost: it stands as it does.
    if matches!(found.state, JobState::Waiting | JobState::Running | JobState::Done) {
        return Ok(found.state);
    }
    let alone = Alone { client: change.client.clone(), most: start.alone };
    let connection = act.connection();
    let may = count_alone_or_not(connection, &alone, found.items, now)?;
    let state = found.after(if may { JobAct::StartAlone } else { JobAct::StartWithApproval })?;
    set_state(connection, found.row, state, now)?;
    let started_by = row_of(act, change.signed_by.as_ref())?;
    act.connection()
        .prepare_cached("UPDATE job SET started = ?2, started_by = ?3 WHERE row = ?1")?
        .execute(params![found.row, from_time(now), started_by])?;
    act.put_audit(audit, now)?;
    Ok(state)
}

/// Counts all of a job, or nothing of it. Returns which.
fn count_alone_or_not(
    connection: &Connection,
    alone: &Alone,
    certificates: u64,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let hour = from_u64(Hour::of(now).number(), "hour")?;
    let revoked: i64 = connection
        .prepare_cached(
            "SELECT CAST(coalesce(sum(revoked), 0) AS BIGINT) FROM revoked_hour WHERE client = ?1 AND hour = ?2",
        )?
        .query_row(params![alone.client, hour], |row| row.get(0))?;
    let so_far = to_u64(revoked, "revocations of an hour")?;
    if so_far.saturating_add(certificates) > alone.most {
        return Ok(false);
    }
    count_alone(connection, alone, certificates, now).map(|()| true)
}

fn approve(
    act: &mut Act<'_>,
    change: &JobChange,
    operation: OperationHash,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let found = must_find(act.connection(), change.job)?;
    found.must_be(operation)?;
    let signed_before = has_signed(act, found.row, change)?;
    if found.client == change.client || found.actor == change.actor || signed_before {
        let (client, actor) = (found.client, found.actor);
        return Err(JobError::SameHand { client, actor }.into());
    }
    let connection = act.connection();
    let approver: Option<String> = connection
        .prepare_cached("SELECT approver FROM job WHERE row = ?1")?
        .query_row([found.row], |row| row.get(0))?;
    if approver.as_ref() == Some(&change.client) {
        return Ok(());
    }
    let state = found.after(JobAct::Approve)?;
    set_state(connection, found.row, state, now)?;
    connection
        .prepare_cached(
            "UPDATE job SET approver = ?2, approver_actor = ?3, approved = ?4 WHERE row = ?1",
        )?
        .execute(params![found.row, change.client, change.actor, from_time(now)])?;
    act.put_audit(audit, now).map(|_| ())
}

/// Whether the one who signs for this act has signed for the plan of the job or its start: one person with two clients, and
/// with two names in their fields, is one (REV-09).
fn has_signed(act: &Act<'_>, job: i64, change: &JobChange) -> Result<bool, StoreError> {
    let Some(signer) = row_of(act, change.signed_by.as_ref())? else { return Ok(false) };
    let before: (Option<i64>, Option<i64>) = act
        .connection()
        .prepare_cached("SELECT planned_by, started_by FROM job WHERE row = ?1")?
        .query_row([job], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok([before.0, before.1].contains(&Some(signer)))
}

fn turn(
    act: &mut Act<'_>,
    change: &JobChange,
    what: JobAct,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let found = must_find(act.connection(), change.job)?;
    let so_already = match what {
        JobAct::Pause => found.state == JobState::Paused,
        JobAct::Resume => found.state == JobState::Running,
        JobAct::Cancel => found.state == JobState::Cancelled,
        _ => return Err(JobError::State { state: found.state }.into()),
    };
    if so_already {
        return Ok(());
    }
    let state = found.after(what)?;
    set_state(act.connection(), found.row, state, now)?;
    act.put_audit(audit, now).map(|_| ())
}
