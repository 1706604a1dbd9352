//! Jobs as the API shows them, with what their forecast comes to.

use std::time::Duration;

use ca::job::JobState;
use status::{IssuerId, ReceiptMethod};
use store::{JobForecast, JobId, JobItem, JobPart, JobPlan, JobRow, JobSeen, JobWave};
use x509::time::UnixTime;

use super::super::Service;
use super::super::caller::Caller;
use super::super::show;
use super::job_id;
use crate::denied::Denied;

/// Certificates that are revoked in a second, at least: what a forecast counts with. A server's processor does several
/// times as many (docs/performance.md).
const RATE: u64 = 3000;
/// Items of a page unless the caller asks for fewer.
const PAGE: u32 = 1000;

impl Service {
    /// All jobs, newest first.
    pub(crate) fn jobs(&self) -> Result<api::Page<api::Job>, Denied> {
        let jobs = self.store().jobs().map_err(|e| self.note_storage(&e))?;
        Ok(api::Page { items: jobs.iter().map(|job| self.shown_job(job)).collect(), next: None })
    }

    /// One job, with its waves and what was issued since it was selected.
    pub(crate) fn job(&self, id: &str) -> Result<api::Job, Denied> {
        let id = job_id(id)?;
        let row = self.job_row(id)?;
        let mut shown = self.shown_job(&row);
        let waves = self.store().job_waves(id).map_err(|e| self.note_storage(&e))?;
        let seen = self.job_seen(id)?;
        let now = self.clock().read().now;
        shown.waves = waves
            .iter()
            .map(|one| {
                let of_it = seen.iter().filter(|(_, seen)| seen.wave == one.number);
                wave(one, of_it.map(|(limit, seen)| self.shown_seen(seen, *limit, now)).collect())
            })
            .collect();
        shown.receipts = ReceiptMethod::ALL
            .into_iter()
            .filter_map(|method| together(seen.iter().filter(|(_, one)| one.method == method)))
            .map(|(limit, all)| self.shown_seen(&all, limit, now))
            .collect();
        if row.frozen.is_some() {
            let now = self.clock().read().now;
            let rest = self.store().job_rest(id, now).map_err(|e| self.note_storage(&e))?;
            shown.issued_since = Some(rest);
        }
        Ok(shown)
    }

    /// The selection of a job, in the order in which it is revoked, without what is protected persons' and the caller does not see.
    pub(crate) fn job_items(
        &self,
        caller: &Caller,
        id: &str,
        cursor: Option<&str>,
        limit: Option<u32>,
    ) -> Result<api::Page<api::JobItem>, Denied> {
        let id = job_id(id)?;
        self.job_row(id)?;
        let after = cursor.map_or(Ok(0), str::parse);
        let after = after.map_err(|_| super::malformed("cursor", "`next` of the page before"))?;
        let limit = limit.unwrap_or(PAGE);
        if !(1..=PAGE).contains(&limit) {
            return Err(super::malformed(&format!("limit={limit}"), "1 to 1000"));
        }
        let page = self.store().job_items(id, after, limit, caller.protected());
        let page = page.map_err(|e| self.note_storage(&e))?;
        let items = page.items.iter().map(|item| self.shown_item(item));
        Ok(api::Page {
            items: items.collect::<Result<_, _>>()?,
            next: page.next.map(|next| next.to_string()),
        })
    }

    fn shown_item(&self, item: &JobItem) -> Result<api::JobItem, Denied> {
        let authority = self.authority_of(item.issuer)?;
        Ok(api::JobItem {
            certificate: item.certificate.map(|id| id.to_string()),
            status: show::serial(authority.name(), item.serial, &item.status),
        })
    }

    pub(super) fn shown_job(&self, job: &JobRow) -> api::Job {
        let (rows, of) = job.selecting;
        let progress = &job.progress;
        api::Job {
            id: job.id.to_string(),
            state: state(job.state),
            client: job.client.clone(),
            actor: job.plan.actor.clone(),
            note: job.plan.note.clone(),
            reason: show::reason(job.plan.reason),
            selector: self.shown_selector(&job.plan),
            wave: job.plan.wave,
            pause: u32::try_from(job.plan.pause.as_secs()).unwrap_or(u32::MAX),
            created: job.created.to_string(),
            updated: job.updated.to_string(),
            selecting: (job.state == JobState::Selecting)
                .then_some(api::job::JobSelecting { rows, of }),
            forecast: job.frozen.as_ref().map(|frozen| self.shown_forecast(frozen, &job.plan)),
            approval: job.approval.as_ref().map(|approval| api::job::JobApproval {
                client: approval.client.clone(),
                actor: approval.actor.clone(),
                at: approval.at.to_string(),
            }),
            progress: progress.started.map(|started| api::job::JobProgress {
                started: started.to_string(),
                done: progress.done(),
                revoked: progress.revoked,
                corrected: progress.corrected,
                already: progress.already,
                next_wave: progress.next.map(|next| next.to_string()),
            }),
            issued_since: None,
            receipts: Vec::new(),
            waves: Vec::new(),
        }
    }

    fn shown_selector(&self, plan: &JobPlan) -> api::JobSelector {
        let selector = &plan.selector;
        let time = |time: Option<UnixTime>| time.map(|time| time.to_string());
        let issuer = selector.issuer.and_then(|issuer| self.authority_of(issuer).ok());
        api::JobSelector {
            authority: issuer.map(|authority| authority.name().to_owned()),
            profile: selector.profile.clone(),
            profile_sha256: selector
                .profile_sha256
                .map(|sha256| base16ct::lower::encode_string(&sha256)),
            policy: selector.policy.clone(),
            algorithm: selector.algorithm.clone(),
            ordered_by: selector.orderer.clone(),
            issued_from: time(selector.issued_from),
            issued_until: time(selector.issued_until),
            organisation: None,
            organisations: selector.organisations.clone(),
        }
    }

    fn shown_forecast(&self, frozen: &JobForecast, plan: &JobPlan) -> api::job::JobForecast {
        let authorities: Vec<_> = frozen.parts.iter().map(|part| self.shown_part(part)).collect();
        let waves = frozen.items.div_ceil(u64::from(plan.wave.max(1)));
        let pauses = waves.saturating_sub(1).saturating_mul(plan.pause.as_secs());
        // Each wave ends with a new CRL of each authority that it touched, and of each of its shards, and may touch all of them.
        let touched = authorities.iter().filter(|part| part.certificates > 0).map(|part| {
            let shards = part.crl_shards.min(u64::from(plan.wave)).min(part.certificates);
            shards.saturating_add(1)
        });
        let touched = touched.fold(0_u64, u64::saturating_add);
        api::job::JobForecast {
            operation: frozen.operation.to_string(),
            certificates: frozen.items,
            holders: frozen.holders,
            unmatched_terms: frozen.unmatched,
            waves,
            seconds: pauses.saturating_add(frozen.items.div_ceil(RATE)),
            crl_signatures: waves.saturating_mul(touched),
            ocsp_answers: frozen.items,
            authorities,
        }
    }

    /// What the world has been seen to show of a job, of the methods that are receipted here, each with its limit.
    fn job_seen(&self, job: JobId) -> Result<Vec<(Duration, JobSeen)>, Denied> {
        let Some(receipts) = &self.receipts else { return Ok(Vec::new()) };
        let seen = self.store().job_seen(job).map_err(|e| self.note_storage(&e))?;
        let receipted = seen.into_iter().filter(|one| receipts.methods.contains(&one.method));
        Ok(receipted.map(|one| (receipts.limit(one.method), one)).collect())
    }

    fn shown_seen(&self, seen: &JobSeen, limit: Duration, now: UnixTime) -> api::job::JobReceipts {
        let authority = |issuer: IssuerId| {
            let known = self.authority_of(issuer);
            known.map_or_else(|_| issuer.to_string(), |one| one.name().to_owned())
        };
        api::job::JobReceipts {
            method: match seen.method {
                ReceiptMethod::Ocsp => api::receipt::ReceiptMethod::Ocsp,
                ReceiptMethod::Crl => api::receipt::ReceiptMethod::Crl,
            },
            of: seen.entries,
            receipted: seen.receipted,
            waiting: seen.waiting(),
            left_out: seen.left_out,
            limit_seconds: limit.as_secs(),
            oldest_waiting_seconds: seen.oldest.map(|oldest| now.since(oldest).as_secs()),
            slowest_seconds: seen.slowest.map(|one| one.took.as_secs()),
            slowest_authority: seen.slowest.map(|one| authority(one.issuer)),
            slowest_serial: seen.slowest.map(|one| one.serial.to_string()),
            last_seen: seen.last_seen.map(|time| time.to_string()),
        }
    }

    fn shown_part(&self, part: &JobPart) -> api::job::JobPart {
        let authority = self.authority_of(part.issuer).ok();
        // What cannot be read is told of by whoever reads it next; a forecast is shown all the same.
        let shards = authority.and_then(|one| self.shards_going_on(one).ok());
        let (crl_shards, crl_shard_octets) = shards.unwrap_or_default();
        let in_shards = if crl_shards > 0 { part.octets } else { 0 };
        api::job::JobPart {
            authority: authority
                .map_or_else(|| part.issuer.to_string(), |one| one.name().to_owned()),
            certificates: part.items,
            crl_entries: part.listed,
            crl_entries_after: part.listed.saturating_add(part.unlisted),
            crl_octets: part.crl_octets,
            crl_octets_after: part.crl_octets.saturating_add(part.octets),
            crl_shards,
            crl_shard_octets,
            crl_shard_octets_after: crl_shard_octets.saturating_add(in_shards),
        }
    }
}

const fn state(state: JobState) -> api::JobState {
    match state {
        JobState::Draft => api::JobState::Draft,
        JobState::Selecting => api::JobState::Selecting,
        JobState::Forecast => api::JobState::Forecast,
        JobState::Waiting => api::JobState::Waiting,
        JobState::Running => api::JobState::Running,
        JobState::Paused => api::JobState::Paused,
        JobState::Cancelled => api::JobState::Cancelled,
        JobState::Done => api::JobState::Done,
    }
}

/// What the waves of a job come to by one method; `None` where none of them wrote anything.
fn together<'a>(
    waves: impl Iterator<Item = &'a (Duration, JobSeen)>,
) -> Option<(Duration, JobSeen)> {
    waves.copied().reduce(|(limit, all), (_, one)| {
        let together = JobSeen {
            entries: all.entries.saturating_add(one.entries),
            receipted: all.receipted.saturating_add(one.receipted),
            left_out: all.left_out.saturating_add(one.left_out),
            oldest: [all.oldest, one.oldest].into_iter().flatten().min(),
            slowest: [all.slowest, one.slowest].into_iter().flatten().max_by_key(|slow| slow.took),
            last_seen: all.last_seen.max(one.last_seen),
            ..all
        };
        (limit, together)
    })
}

fn wave(wave: &JobWave, receipts: Vec<api::job::JobReceipts>) -> api::job::JobWave {
    api::job::JobWave {
        number: wave.number,
        begun: wave.begun.to_string(),
        ended: wave.ended.map(|time| time.to_string()),
        certificates: wave.items,
        position: wave.last.map(|position| position.to_string()),
        receipts,
    }
}
