//! Limits by client, profile and hour (ISS-22): what is counted for whom, pauses and their end.
//!
//! The store counts in the act that records the intent. A sudden change is refused there; the pause that follows is
//! an act of its own, and until it is recorded every further order of the hour meets the same refusal. What cannot be
//! recorded before the hour ends, and nobody orders again, stands in the log of the program alone: counts are by hour.

use std::sync::Arc;
use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectIds};
use ca::limit::HourLimit;
use ca::refusal::Refusal;
use serde_json::json;
use store::{
    CertificateIntent, NewPause, OrderAnswer, Pause, PauseEnd, StoreError, Subject, Volume,
    VolumeStanding,
};
use x509::time::UnixTime;

use super::Service;
use super::body::from_json;
use super::caller::Caller;
use super::order::{Answered, OrderWork, Outcome, Replies};
use super::record::{call_object, client, client_object};
use crate::denied::{Denied, Kind};

/// Characters of a name: as long as configured ones at most.
const NAME_LIMIT: usize = 64;
/// Characters of what an operator writes down: some sentences, which a page of the audit log shows whole.
const NOTE_LIMIT: usize = 1000;

impl Service {
    /// As whose a certificate is counted.
    pub(crate) fn volume(&self, client: &str, profile: &str) -> Volume {
        let limit = self.limits.of(client, profile);
        Volume { client: client.to_owned(), profile: profile.to_owned(), limit }
    }

    /// An intent that the store did not record: past a limit, with what follows of that, or for another reason.
    pub(super) fn unrecorded(
        &self,
        intent: &CertificateIntent,
        error: &StoreError,
        now: UnixTime,
    ) -> Denied {
        let volume = intent.volume.as_ref();
        let uncounted = volume.and_then(|volume| self.uncounted(volume, error, now));
        uncounted.unwrap_or_else(|| self.note_storage(error))
    }

    fn uncounted(&self, volume: &Volume, error: &StoreError, now: UnixTime) -> Option<Denied> {
        let denied = match *error {
            StoreError::HourSpent { per_hour, ends } => {
                hour_spent(volume, per_hour, ends.since(now))
            }
            StoreError::Paused { since } => paused(volume, &format!("paused since {since}")),
            StoreError::SuddenRise { issued, usual } => {
                // Before the act that may fail: whatever comes of the pause, somebody is told.
                tracing::error!(
                    client.name = volume.client,
                    profile.name = volume.profile,
                    issued,
                    usual,
                    "sudden change in what a client orders: it is paused from now on"
                );
                if let Err(denied) = self.pause(volume, issued, usual, now) {
                    return Some(denied);
                }
                paused(
                    volume,
                    &format!("{issued} within this hour, {usual} usual in that of seven days"),
                )
            }
            _ => return None,
        };
        metrics::counter!("sigill_limit_refusals_total", "code" => denied.refusal.code)
            .increment(1);
        Some(denied)
    }

    fn pause(&self, volume: &Volume, issued: u64, usual: u64, now: UnixTime) -> Result<(), Denied> {
        let Volume { client: name, profile, limit } = volume;
        let sudden = limit.and_then(|limit| limit.sudden);
        let record = Self::record(
            EventCode::LimitPaused,
            EventResult::Done,
            self.system(),
            ObjectIds::of_act([Some(client_object(name))]),
            None,
            &json!({
                "client": name,
                "profile": profile,
                "issued": issued,
                "usual": usual,
                "times": sudden.map(|sudden| sudden.times),
                "at-least": sudden.map(|sudden| sudden.at_least),
            }),
            Subject::Deployment,
        );
        let (client, profile) = (name.clone(), profile.clone());
        let pause = NewPause { client, profile, issued, usual };
        let new = self.store().pause(&pause, &record, now).map_err(|e| self.note_storage(&e))?;
        if new {
            metrics::counter!("sigill_limit_pauses_total").increment(1);
            tracing::error!(
                problem.code = "limit-paused",
                client.name = pause.client,
                profile = pause.profile,
                certificates = issued,
                usual,
                "a sudden change: the client gets nothing more under this profile until an operator lets it go on"
            );
            self.tell_pauses_if_possible();
        }
        Ok(())
    }

    /// As [`Self::tell_pauses`], after an act that stands whatever becomes of this.
    fn tell_pauses_if_possible(&self) {
        if let Err(denied) = self.tell_pauses() {
            tracing::warn!(
                problem.code = denied.refusal.code,
                "readiness tells of pauses as they were before"
            );
        }
    }

    /// Puts the pauses into readiness and metrics.
    pub(crate) fn tell_pauses(&self) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let standings = self.store().volumes(now).map_err(|e| self.note_storage(&e))?;
        let paused = standings.into_iter().filter(|one| one.pause.is_some());
        self.readiness.tell_paused(paused.map(|one| (one.client, one.profile)).collect());
        Ok(())
    }

    /// How clients stand with their profiles in this hour: all of them for an operator, its own for another.
    pub(crate) fn limit_standings(
        &self,
        caller: &Caller,
    ) -> Result<api::Page<api::LimitStanding>, Denied> {
        let now = self.clock().read().now;
        let standings = self.store().volumes(now).map_err(|e| self.note_storage(&e))?;
        let seen = |one: &VolumeStanding| caller.is_operator() || one.client == caller.name;
        let shown = |one: VolumeStanding| shown(self.limits.of(&one.client, &one.profile), &one);
        let items = standings.into_iter().filter(seen).map(shown);
        Ok(api::Page { items: items.collect(), next: None })
    }

    /// Ends a pause, by an operator's word. Pause and answer are one act: whoever got no answer calls again.
    pub(crate) fn resume(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
        replies: &Arc<dyn Replies>,
    ) -> Result<Answered, Denied> {
        caller.must_operate("end a pause")?;
        let request: api::ResumptionRequest = from_json(&work.call.body)?;
        for (field, text, most) in [
            ("client", &request.client, NAME_LIMIT),
            ("profile", &request.profile, NAME_LIMIT),
            ("actor", &request.actor, NAME_LIMIT),
            ("note", &request.note, NOTE_LIMIT),
        ] {
            if text.trim().is_empty() || text.chars().count() > most {
                return Err(unfit(field, text, most));
            }
        }
        let now = self.clock().read().now;
        let api::ResumptionRequest { client: name, profile, actor, note } = &request;
        let record = Self::record(
            EventCode::LimitResumed,
            EventResult::Done,
            client(&work.call.client),
            ObjectIds::of_act([Some(client_object(name)), Some(call_object(work.call))]),
            None,
            &json!({
                "call": work.call.correlation_id,
                "by": work.call.client,
                "actor": actor,
                "note": note,
                "client": name,
                "profile": profile,
            }),
            Subject::Deployment,
        );
        let limit = self.limits.of(name, profile);
        let subject = self.subject_of_call(work.call, work.order);
        let replies = Arc::clone(replies);
        let answer = Box::new(move |standing: &VolumeStanding| {
            let shown = shown(limit, standing);
            let json = serde_json::to_vec(&shown).map_err(|_| StoreError::Unwritable)?;
            Ok(OrderAnswer {
                response: replies.done(Outcome::Changed, json),
                subject,
                shared: Vec::new(),
            })
        });
        let (client, profile) = (name.clone(), profile.clone());
        let end = PauseEnd { client, profile, order: work.held, node: self.node().clone() };
        let ended = self.store().resume(&end, answer, &record, now);
        let ended = ended.map_err(|e| self.note_storage(&e))?;
        let response = ended.ok_or_else(|| not_paused(&end.client, &end.profile))?;
        tracing::info!(
            client.name = end.client,
            profile = end.profile,
            "client goes on under this profile"
        );
        self.tell_pauses_if_possible();
        Ok(Answered::Recorded(response))
    }
}

fn shown(limit: Option<HourLimit>, one: &VolumeStanding) -> api::LimitStanding {
    let sudden = limit.and_then(|limit| limit.sudden);
    api::LimitStanding {
        client: one.client.clone(),
        profile: one.profile.clone(),
        issued: one.issued,
        usual: one.usual,
        per_hour: limit.and_then(|limit| limit.per_hour),
        sudden: sudden.map(|one| api::SuddenLimit { times: one.times, at_least: one.at_least }),
        paused: one.pause.map(|Pause { since, issued, usual }| api::LimitPause {
            since: since.to_string(),
            issued,
            usual,
        }),
    }
}

fn hour_spent(volume: &Volume, per_hour: u64, left: Duration) -> Denied {
    Denied::new(
        Kind::Limited,
        Refusal::new(
            "limit-hour",
            "ISS-22: a client orders so many certificates of a profile in an hour",
            &format!("client {}, profile {}", volume.client, volume.profile),
            format!("{per_hour} in an hour of UTC"),
            "repeat the call with the same key after Retry-After; an operator may change [[limit]]",
        ),
    )
    .retry_after(left)
}

fn paused(volume: &Volume, seen: &str) -> Denied {
    Denied::new(
        Kind::Forbidden,
        Refusal::new(
            "limit-paused",
            "ISS-22: after a sudden change a client gets nothing more of a profile until an operator lets it go on",
            &format!("client {}, profile {}: {seen}", volume.client, volume.profile),
            "a client and profile that are not paused",
            "an operator finds out why and runs `sigill limit resume`; then repeat the call with the same key",
        ),
    )
}

fn not_paused(client: &str, profile: &str) -> Denied {
    Denied::new(
        Kind::Conflict,
        Refusal::new(
            "limit-not-paused",
            "only a pause can be ended",
            &format!("client {client}, profile {profile}"),
            "a client and profile that are paused",
            "GET /v1/limits lists the pauses",
        ),
    )
    .for_now()
}

fn unfit(field: &str, text: &str, most: usize) -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "field-malformed",
            "a resumption says which client and profile, who decided and why",
            &format!("{field} of {} characters", text.chars().count()),
            format!("1 to {most} characters"),
            "correct the body",
        ),
    )
}

#[cfg(test)]
mod tests;
