//! Jobs: many certificates revoked by one decision, in waves (REV-09, REV-11).
//!
//! An operator plans a job and has it counted; what was counted is frozen under a hash. It starts by that hash, and past
//! what one client may revoke alone another client agrees to the same hash. The worker ([`worker`]) does the rest, step by
//! step; whatever ends the program, it goes on where it was.

mod shown;
mod terms;
pub(crate) mod worker;

use std::collections::BTreeSet;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::identity::OrganisationNumber;
use ca::job::{JobAct, OperationHash, PAUSE_LIMIT, WAVE_LIMIT};
use ca::refusal::Refusal;
use ca::revocation::{Again, RevocationWish, Revoker, again};
use serde_json::{Value, json};
use status::RevocationReason;
use store::{
    AuditRecord, JobChange, JobId, JobPlan, JobRow, JobSelector, JobStart, NewJob, StoreError,
    Subject,
};
use x509::time::UnixTime;

use super::Service;
use super::body::from_json;
use super::caller::Caller;
use super::order::{Answered, OrderWork, Outcome};
use super::record::{call_object, client};
use crate::denied::{Denied, Kind};

/// Characters of an id of a person.
const ACTOR_LIMIT: usize = 64;
/// Characters of what an operator writes down.
const NOTE_LIMIT: usize = 1000;

impl Service {
    /// Plans a job. Its id is its order's: a call that is repeated finds it.
    pub(crate) fn plan_job(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        may_decide(caller)?;
        let request: api::JobRequest = from_json(&work.call.body)?;
        let plan = self.plan_of(&request)?;
        let job = JobId::from_bytes(*work.order.as_bytes());
        let payload = json!({
            "call": work.call.correlation_id,
            "by": work.call.client,
            "job": job.to_string(),
            "request": &request,
        });
        let record = job_record(EventCode::JobPlanned, job, work, &payload);
        let new = NewJob {
            id: job,
            client: work.call.client.clone(),
            signed_by: caller.acting.as_ref().map(|acting| acting.term()),
            plan,
        };
        let now = self.clock().read().now;
        self.store().plan_job(&new, &record, now).map_err(|e| self.note_storage(&e))?;
        Answered::unlogged(Outcome::Created, &self.job_alone(job)?)
    }

    fn plan_of(&self, request: &api::JobRequest) -> Result<JobPlan, Denied> {
        fits("actor", &request.actor, ACTOR_LIMIT)?;
        fits("note", &request.note, NOTE_LIMIT)?;
        let pause = u64::from(request.pause);
        if !(1..=WAVE_LIMIT).contains(&request.wave) || pause > PAUSE_LIMIT.as_secs() {
            return Err(malformed(
                &format!("wave {}, pause {pause}", request.wave),
                "a wave of 1 to 1000000 certificates, a pause of 0 to 86400 seconds",
            ));
        }
        let RevocationWish::Revoke(reason) = super::revoke::wish_of(request.reason)? else {
            return Err(malformed(
                "certificateHold",
                "a reason for which certificates are revoked for good",
            ));
        };
        ca::revocation::check(None, Revoker::Operator, RevocationWish::Revoke(reason))
            .map_err(Denied::rule)?;
        let known = [None].into_iter().chain(RevocationReason::ALL.into_iter().map(Some));
        Ok(JobPlan {
            reason,
            corrects: known.filter(|known| again(*known, reason) == Again::Corrects).collect(),
            wave: request.wave,
            pause: std::time::Duration::from_secs(pause),
            actor: request.actor.clone(),
            note: request.note.clone(),
            selector: self.selector_of(&request.selector)?,
        })
    }

    fn selector_of(&self, wanted: &api::JobSelector) -> Result<JobSelector, Denied> {
        let issuer = wanted.authority.as_deref().map(|name| {
            let authority = self.authority_named(name)?;
            if authority.signs_here() {
                Ok(authority.id)
            } else {
                Err(super::revoke::offline(name))
            }
        });
        let sha256 = wanted.profile_sha256.as_deref().map(|text| {
            let mut bytes = [0; 32];
            match base16ct::lower::decode(text, &mut bytes) {
                Ok(read) if read.len() == 32 => Ok(bytes),
                _ => Err(malformed(text, "64 digits of lower-case hexadecimal")),
            }
        });
        let time = |text: &Option<String>| text.as_deref().map(time_of).transpose();
        // What keeps the PKI itself at work goes by its name only: without responders' delegates nobody would hear of
        // the rest.
        let own = self.book.profiles().iter().filter(|profile| !profile.kind().is_subscriber());
        let excluded = own.map(|profile| profile.name().as_str().to_owned());
        let named = |name: &String| wanted.profile.as_ref() == Some(name);
        Ok(JobSelector {
            issuer: issuer.transpose()?,
            profile: wanted.profile.clone(),
            profile_sha256: sha256.transpose()?,
            policy: wanted.policy.clone(),
            algorithm: wanted.algorithm.clone(),
            orderer: wanted.ordered_by.clone(),
            issued_from: time(&wanted.issued_from)?,
            issued_until: time(&wanted.issued_until)?,
            excluded: excluded.filter(|name| !named(name)).collect(),
            organisations: self.organisations_of(wanted)?,
        })
    }

    /// The numbers of the organisations that a job is limited to, each once.
    fn organisations_of(&self, wanted: &api::JobSelector) -> Result<Vec<String>, Denied> {
        let mut numbers = BTreeSet::new();
        for text in &wanted.organisations {
            let number = OrganisationNumber::parse(text);
            let number =
                number.map_err(|_| malformed(text, "numbers of organisations, 10 digits"))?;
            numbers.insert(number.as_str().to_owned());
        }
        if let Some(id) = &wanted.organisation {
            let under = self.numbers_under(id)?;
            // Nothing would be a job about everything.
            if under.is_empty() {
                let limit = "an organisation that has a number, or lies above one that has";
                return Err(malformed(id, limit));
            }
            numbers.extend(under);
        }
        Ok(numbers.into_iter().collect())
    }

    /// Does to a job what an operator asks for.
    pub(crate) fn act_on_job(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        may_decide(caller)?;
        let job = job_id(id)?;
        let request: api::JobActRequest = from_json(&work.call.body)?;
        fits("actor", &request.actor, ACTOR_LIMIT)?;
        if let Some(note) = &request.note {
            fits("note", note, NOTE_LIMIT)?;
        }
        let change = JobChange {
            job,
            client: work.call.client.clone(),
            actor: request.actor.clone(),
            signed_by: caller.acting.as_ref().map(|acting| acting.term()),
        };
        self.turn_job(&change, &request, work)?;
        self.wake_jobs();
        Answered::unlogged(Outcome::Changed, &self.job_alone(job)?)
    }

    fn turn_job(
        &self,
        change: &JobChange,
        request: &api::JobActRequest,
        work: &OrderWork<'_>,
    ) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let noted = |error: StoreError| self.note_storage(&error);
        let store = self.store();
        let payload = json!({
            "call": work.call.correlation_id,
            "by": work.call.client,
            "job": change.job.to_string(),
            "request": request,
        });
        let record = |code| job_record(code, change.job, work, &payload);
        match request.act {
            api::JobAct::Forecast => {
                let record = record(EventCode::JobSelecting);
                store.begin_selection(change, &record, now).map_err(noted)?;
            }
            api::JobAct::Start => {
                let operation = operation(request)?;
                let start = JobStart { operation, alone: self.alone };
                let record = record(EventCode::JobStarted);
                let state = store.start_job(change, &start, &record, now).map_err(noted)?;
                tracing::warn!(job.id = %change.job, job.state = %state, "mass revocation: a job was started");
            }
            api::JobAct::Approve => {
                let record = record(EventCode::JobApproved);
                let operation = operation(request)?;
                store.approve_job(change, operation, &record, now).map_err(noted)?;
                tracing::warn!(job.id = %change.job, "mass revocation: a job was approved and runs");
            }
            api::JobAct::Pause => {
                let record = record(EventCode::JobPaused);
                store.turn_job(change, JobAct::Pause, &record, now).map_err(noted)?;
            }
            api::JobAct::Resume => {
                let record = record(EventCode::JobResumed);
                store.turn_job(change, JobAct::Resume, &record, now).map_err(noted)?;
            }
            api::JobAct::Cancel => {
                let record = record(EventCode::JobCancelled);
                store.turn_job(change, JobAct::Cancel, &record, now).map_err(noted)?;
            }
        }
        Ok(())
    }

    /// The job without what takes longer to find.
    fn job_alone(&self, job: JobId) -> Result<api::Job, Denied> {
        Ok(self.shown_job(&self.job_row(job)?))
    }

    pub(super) fn job_row(&self, job: JobId) -> Result<JobRow, Denied> {
        let found = self.store().job(job).map_err(|e| self.note_storage(&e))?;
        found.ok_or_else(|| no_such_job(&job.to_string()))
    }
}

/// Jobs are for operators that may revoke.
pub(crate) fn may_decide(caller: &Caller) -> Result<(), Denied> {
    caller.must_revoke()?;
    caller.must_operate("decide about a job")
}

fn operation(request: &api::JobActRequest) -> Result<OperationHash, Denied> {
    let text = request.operation.as_deref().unwrap_or_default();
    text.parse().map_err(|_| {
        Denied::new(
            Kind::Rule,
            Refusal::new(
                "job-operation-missing",
                "REV-09: what is started or approved is named by the hash of its forecast",
                &text,
                "64 digits of lower-case hexadecimal",
                "look at the forecast with `sigill job show`, and give its operation",
            ),
        )
    })
}

fn job_record(code: EventCode, job: JobId, work: &OrderWork<'_>, payload: &Value) -> AuditRecord {
    let objects =
        ObjectIds::of_act([Some(ObjectId::Order(*job.as_bytes())), Some(call_object(work.call))]);
    Service::record(
        code,
        EventResult::Done,
        client(&work.call.client),
        objects,
        None,
        payload,
        Subject::Deployment,
    )
}

fn job_id(text: &str) -> Result<JobId, Denied> {
    text.parse().map_err(|_| no_such_job(text))
}

fn no_such_job(id: &str) -> Denied {
    Denied::new(
        Kind::NotFound,
        Refusal::new(
            "job-unknown",
            "a job is named by its id",
            &id,
            "`job_` and a UUID that this deployment gave",
            "`sigill job list` names them",
        ),
    )
}

fn fits(field: &str, text: &str, most: usize) -> Result<(), Denied> {
    let length = text.chars().count();
    if text.trim().is_empty() || length > most {
        return Err(malformed(
            &format!("{field} of {length} characters"),
            &format!("1 to {most} characters"),
        ));
    }
    Ok(())
}

fn malformed(seen: &str, limit: &str) -> Denied {
    Denied::new(
        Kind::Rule,
        Refusal::new(
            "job-malformed",
            "REV-11: a job says which certificates, why, and in what waves",
            &seen,
            limit,
            "correct the body",
        ),
    )
}

fn time_of(text: &str) -> Result<UnixTime, Denied> {
    let read = text.parse::<jiff::Timestamp>().ok();
    read.and_then(|time| u64::try_from(time.as_second()).ok())
        .and_then(|secs| UnixTime::from_secs(secs).ok())
        .ok_or_else(|| malformed(text, "an RFC 3339 time in UTC, such as 2026-11-21T09:30:00Z"))
}

#[cfg(test)]
mod tests;
