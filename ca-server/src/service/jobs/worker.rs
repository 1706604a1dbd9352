//! The thread that works on jobs: it selects, freezes and revokes, a step at a time, and sleeps while there is nothing to do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::job::JobState;
use host::vital;
use serde_json::json;
use store::{AuditRecord, JobForecast, JobId, JobStep, SelectionStep, Subject};

use super::super::Service;
use crate::denied::Denied;

/// Certificates of one step: some ten milliseconds of the store's one writer, so that nobody waits for it.
const STEP: u32 = 250;
/// How long it sleeps where nobody wakes it.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long it waits after a step that failed.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// Wakes the worker, and keeps what it cannot go on with.
#[derive(Debug, Default)]
pub(crate) struct JobsWaiting {
    awake: Mutex<bool>,
    woken: Condvar,
    stuck: Mutex<BTreeMap<JobId, Stuck>>,
}

/// A job whose last step failed.
#[derive(Debug)]
struct Stuck {
    code: &'static str,
    since: Instant,
}

impl JobsWaiting {
    fn wake(&self) {
        *self.awake.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.woken.notify_all();
    }

    fn sleep(&self, at_most: Duration) {
        let awake = self.awake.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.woken.wait_timeout_while(awake, at_most, |awake| !*awake);
        let (mut awake, _) = waited.unwrap_or_else(PoisonError::into_inner);
        *awake = false;
    }

    /// Whether the job's last step failed a moment ago: the others do not wait for it meanwhile.
    fn is_stuck(&self, job: JobId) -> bool {
        let stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.get(&job).is_some_and(|stuck| stuck.since.elapsed() < TRY_AGAIN)
    }

    /// Keeps the failure of a job. Returns whether it is a new one.
    fn failed(&self, job: JobId, code: &'static str) -> bool {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        let before = stuck.insert(job, Stuck { code, since: Instant::now() });
        before.is_none_or(|before| before.code != code)
    }

    fn went_on(&self, job: JobId) {
        self.stuck.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }

    fn forget_all_but(&self, jobs: &[JobId]) {
        let mut stuck = self.stuck.lock().unwrap_or_else(PoisonError::into_inner);
        stuck.retain(|job, _| jobs.contains(job));
    }
}

/// What a round of the worker came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Round {
    /// There is more to do at once.
    More,
    /// There is nothing to do for now.
    Idle,
}

/// Starts the worker; it ends after the step at hand when `stop` turns true.
///
/// # Errors
///
/// The operating system's, when no thread can be made.
pub(crate) fn start(
    service: Arc<Service>,
    stop: Arc<AtomicBool>,
) -> std::io::Result<JoinHandle<()>> {
    vital::spawn("jobs", move || {
        let mut failing: Option<&'static str> = None;
        while !stop.load(Ordering::Relaxed) {
            match service.work_on_jobs() {
                Ok(Round::More) => failing = None,
                Ok(Round::Idle) => {
                    failing = None;
                    service.jobs_waiting.sleep(LOOK_EVERY);
                }
                Err(denied) => {
                    metrics::counter!("sigill_job_failures_total").increment(1);
                    if failing != Some(denied.refusal.code) {
                        tracing::error!(
                            problem.code = denied.refusal.code,
                            problem.seen = %denied.refusal.seen,
                            "jobs cannot be looked up; they are tried again by themselves"
                        );
                    }
                    failing = Some(denied.refusal.code);
                    service.jobs_waiting.sleep(TRY_AGAIN);
                }
            }
        }
    })
}

impl Service {
    /// Tells the worker that there may be something to do.
    pub(crate) fn wake_jobs(&self) {
        self.jobs_waiting.wake();
    }

    /// One step of every job that is being selected or runs. One that cannot go on is told of and tried again after a
    /// while; the others do not wait for it.
    ///
    /// # Errors
    ///
    /// When it cannot be known which jobs there are.
    pub(crate) fn work_on_jobs(&self) -> Result<Round, Denied> {
        let jobs = self.store().jobs_at_work().map_err(|e| self.note_storage(&e))?;
        self.jobs_waiting.forget_all_but(&jobs);
        let mut round = Round::Idle;
        for job in jobs {
            if self.jobs_waiting.is_stuck(job) {
                continue;
            }
            match self.work_on_job(job) {
                Ok(step) => {
                    self.jobs_waiting.went_on(job);
                    if step == Round::More {
                        round = Round::More;
                    }
                }
                Err(denied) => self.tell_of_stuck(job, &denied),
            }
        }
        // Also of a wave that was paused or cancelled half-way.
        if round == Round::Idle {
            self.ask_for_owed_crls();
        }
        Ok(round)
    }

    fn tell_of_stuck(&self, job: JobId, denied: &Denied) {
        metrics::counter!("sigill_job_failures_total").increment(1);
        if self.jobs_waiting.failed(job, denied.refusal.code) {
            tracing::error!(
                job.id = %job,
                problem.code = denied.refusal.code,
                problem.seen = %denied.refusal.seen,
                "a job does not go on; it is tried again by itself"
            );
        }
    }

    fn work_on_job(&self, job: JobId) -> Result<Round, Denied> {
        let now = self.clock().read().now;
        match self.store().select_some(job, now).map_err(|e| self.note_storage(&e))? {
            SelectionStep::More => return Ok(Round::More),
            SelectionStep::Complete => {
                let record = |forecast: &JobForecast| self.record_of_forecast(job, forecast);
                let frozen = self.store().freeze_job(job, &record, now);
                let frozen = frozen.map_err(|e| self.note_storage(&e))?;
                tracing::info!(job.id = %job, certificates = frozen.items, "a job has its forecast");
                return Ok(Round::Idle);
            }
            SelectionStep::Elsewhere(JobState::Running) => {}
            SelectionStep::Elsewhere(_) => return Ok(Round::Idle),
        }
        let actor = self.system();
        let audit = Box::new(move |step: &JobStep| record_of_step(job, actor, step));
        let step =
            self.store().run_job(job, STEP, audit, now).map_err(|e| self.note_storage(&e))?;
        let JobStep::Taken { job: row, items, issuers, entries, wave_ended } = step else {
            return Ok(Round::Idle);
        };
        metrics::counter!("sigill_job_certificates_total").increment(u64::from(items));
        if entries.is_some() {
            self.publication.wake();
        }
        for issuer in issuers {
            // The step stands: an authority that is not configured any more must not stop the next one.
            match self.authority_of(issuer) {
                Ok(authority) => authority.owe_crl(),
                Err(denied) => tracing::error!(
                    job.id = %job,
                    problem.code = denied.refusal.code,
                    problem.seen = %denied.refusal.seen,
                    "no CRL is asked for of an authority whose certificates a job has revoked"
                ),
            }
        }
        if let Some(wave) = wave_ended {
            self.ask_for_owed_crls();
            tracing::info!(
                job.id = %job,
                job.wave = wave,
                job.done = row.progress.done(),
                "a wave of a job ended"
            );
        }
        Ok(Round::More)
    }

    /// A CRL at the end of each wave, not at each step: the list of a mass event is long.
    fn ask_for_owed_crls(&self) {
        for authority in self.authorities.values().filter(|authority| authority.take_owed_crl()) {
            authority.ask_for_crl();
        }
    }

    fn record_of_forecast(&self, job: JobId, forecast: &JobForecast) -> AuditRecord {
        let payload = json!({
            "job": job.to_string(),
            "operation": forecast.operation.to_string(),
            "certificates": forecast.items,
            "holders": forecast.holders,
            "unmatched": forecast.unmatched,
        });
        leaf(EventCode::JobForecast, job, self.system(), &payload)
    }
}

fn record_of_step(job: JobId, actor: ca::audit::Actor, step: &JobStep) -> AuditRecord {
    let payload = match step {
        JobStep::Taken { job: row, items, issuers, entries, wave_ended } => json!({
            "job": job.to_string(),
            "wave": row.progress.wave,
            "wave-ended": wave_ended.is_some(),
            "certificates": items,
            "issuers": issuers.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "first": entries.map(|(first, _)| first.to_string()),
            "last": entries.map(|(_, last)| last.to_string()),
            "done": row.progress.done(),
        }),
        JobStep::Elsewhere(_) | JobStep::Waits(_) => json!({ "job": job.to_string() }),
    };
    leaf(EventCode::JobRevoked, job, actor, &payload)
}

fn leaf(
    code: EventCode,
    job: JobId,
    actor: ca::audit::Actor,
    payload: &serde_json::Value,
) -> AuditRecord {
    let objects = ObjectIds::of_act([Some(ObjectId::Order(*job.as_bytes()))]);
    Service::record(code, EventResult::Done, actor, objects, None, payload, Subject::Deployment)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// REV-11: what fails is told of once and tried again later; no other job waits for it.
    #[test]
    fn a_stuck_job_is_told_of_once_and_keeps_no_other() {
        let waiting = JobsWaiting::default();
        let [job, other] = [[7; 16], [8; 16]].map(JobId::from_bytes);
        assert!(waiting.failed(job, "storage-unavailable"));
        assert!(!waiting.failed(job, "storage-unavailable"));
        assert!(waiting.failed(job, "store-invariant"));
        assert_eq!((waiting.is_stuck(job), waiting.is_stuck(other)), (true, false));

        waiting.went_on(job);
        assert!(!waiting.is_stuck(job));
        assert!(waiting.failed(job, "store-invariant"), "another failure");
        waiting.forget_all_but(&[other]);
        assert!(!waiting.is_stuck(job));
    }
}
