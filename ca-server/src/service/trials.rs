//! Trial revocations (REV-07): on a schedule each authority issues a certificate that nobody uses and revokes it, and what vantage
//! points see of it tells how long a revocation takes to be seen, whether or not anybody revokes just now.
//!
//! One node makes them, that which publishes; the database lets one begin in each period, whoever asks. What became of a trial
//! follows from its order, the status log and the receipts, so that nothing has to be kept in step, and any node can tell. What a kill
//! leaves behind, an open order or a certificate that still holds, the next round brings to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ca::audit::EventCode;
use ca::profile::Profile;
use ca::refusal::Refusal;
use status::{CertificateState, IssuerId, ReceiptMethod, RevocationReason};
use store::{BegunOrder, OrderId, StatusAct, Trial, TrialCertificate, TrialOrder};
use x509::time::UnixTime;

use super::Service;
use super::authority::Authority;
use super::own_order::{OwnOrder, Purpose};
use crate::denied::{Denied, Kind};
use crate::receipts::Receipts;
use crate::trial_revocations::TrialRevocations;

/// What these orders are for.
const PURPOSE: Purpose = Purpose {
    client: "sigill-ca:trial-revocations",
    path: "trial-revocations",
    key: "trial_revocation",
    why: "trial revocation",
    fault: unmade,
};
/// Trials that are looked at, and shown at most.
const SHOWN: u32 = 1000;
/// Those of a listing that does not say how many.
const LISTED: u32 = 100;
/// They are remembered for as long.
const REMEMBERED: Duration = Duration::from_secs(90 * 86_400);

/// What this program knows of its trials beside the database.
pub(crate) struct RunningTrials {
    settings: TrialRevocations,
    /// Of which it was told that they are late.
    late: Mutex<BTreeSet<(String, ReceiptMethod)>>,
}

impl RunningTrials {
    pub(crate) const fn new(settings: TrialRevocations) -> Self {
        Self { settings, late: Mutex::new(BTreeSet::new()) }
    }

    /// Notes how the trials of an authority stand by a method; true where they have just begun to be late.
    fn begins_to_be_late(&self, authority: &str, method: ReceiptMethod, is_late: Late) -> bool {
        let key = (authority.to_owned(), method);
        // A panic elsewhere leaves the set whole.
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        match is_late {
            Late::Yes => late.insert(key),
            Late::No => {
                late.remove(&key);
                false
            }
        }
    }
}

/// Whether a revocation was seen in its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Late {
    Yes,
    No,
}

/// What the world has been seen to show of a trial, by one method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    /// Everywhere, so long after the revocation was recorded, or its reason corrected.
    After(Duration),
    /// Not everywhere yet, so long after it.
    Waiting(Duration),
    /// Its certificate ended before.
    Never,
}

impl Seen {
    fn is_late(self, limit: Duration) -> Late {
        match self {
            Self::After(took) | Self::Waiting(took) if took <= limit => Late::No,
            _ => Late::Yes,
        }
    }

    /// Whether it says how revocations are seen: one that waits in time does not yet.
    fn is_known(self, limit: Duration) -> bool {
        !matches!(self, Self::Waiting(age) if age <= limit)
    }
}

impl Service {
    /// Whether trials are made here.
    pub(crate) const fn has_trials(&self) -> bool {
        self.trials.is_some()
    }

    /// Begins the trials that are due and ends what was left, on the node that publishes. What fails with one authority holds up
    /// no other. Ends early when `stop` turns true.
    pub(crate) fn tend_trials(&self, stop: &AtomicBool) -> Result<(), Denied> {
        let Some(trials) = &self.trials else { return Ok(()) };
        if !self.publication.is_ours() {
            return Ok(());
        }
        let known = self.store().trials(SHOWN).map_err(|e| self.note_storage(&e))?;
        let mut outcome = Ok(());
        for trial in &known {
            outcome = outcome.and(self.end_what_was_left(trial));
        }
        for (authority, profile) in self.tried(&trials.settings) {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let tried = self.try_one(&trials.settings, authority, profile, &known);
            outcome = outcome.and(tried);
        }
        outcome
    }

    /// The authorities that sign here, each with the first of its profiles that is tried.
    fn tried(&self, settings: &TrialRevocations) -> Vec<(&Authority, &Profile)> {
        let online = self.authorities.values().filter(|authority| authority.signs_here());
        let first = |authority: &Authority| {
            let named = authority.issuer.profiles().iter();
            let mut known = named.filter_map(|name| self.book.profiles().by_name(name.as_str()));
            known.find(|profile| settings.tries(profile))
        };
        online.filter_map(|authority| Some((authority, first(authority)?))).collect()
    }

    fn try_one(
        &self,
        settings: &TrialRevocations,
        authority: &Authority,
        profile: &Profile,
        known: &[Trial],
    ) -> Result<(), Denied> {
        let now = self.signing_time()?;
        let lately = |one: &Trial| one.begun <= now && now.since(one.begun) < settings.every;
        if known.iter().any(|one| one.issuer == authority.id && lately(one)) {
            return Ok(());
        }
        // What is known to come to nothing now begins no trial: the next round tries again.
        self.may_issue(now)?;
        self.closed.must_be_open(profile.name().as_str())?;
        drop(self.may_sign(authority)?);
        let ends_at =
            now.checked_add(settings.life).ok_or_else(|| unmade(&"no time for its end"))?;
        let order = self.draw_order_id(now)?;
        let store = self.store();
        let begun = store.begin_trial(order, authority.id, settings.every, now);
        if !begun.map_err(|e| self.note_storage(&e))? {
            // Another node was first.
            return Ok(());
        }
        let fields = settings.fields(profile);
        let own = OwnOrder { purpose: &PURPOSE, authority, profile, fields: &fields, ends_at };
        let issued = self.issue_own(&own, order)?;
        self.revoke_trial(authority, issued.certificate, order)?;
        let before = now.saturating_sub(REMEMBERED);
        store.forget_trials(before).map_err(|e| self.note_storage(&e)).map(|_| ())
    }

    fn revoke_trial(
        &self,
        authority: &Authority,
        certificate: store::CertificateId,
        order: OrderId,
    ) -> Result<(), Denied> {
        let reason = Some(RevocationReason::CessationOfOperation);
        let act = StatusAct::Revoke { reason, invalidity: None };
        let act = (act, EventCode::CertificateRevoked);
        self.change_own(&PURPOSE, authority, (certificate, order), act).map(|_| ())
    }

    /// Ends the order of a trial that a kill left open, and revokes its certificate where that still holds.
    fn end_what_was_left(&self, trial: &Trial) -> Result<(), Denied> {
        if trial.standing == TrialOrder::Open
            && let BegunOrder::Resume(progress) = self.begin_own_order(&PURPOSE, trial.order)?
        {
            if let Some(intent) = progress.open_intent {
                self.void_intent(intent)?;
            }
            self.end_own_order(progress.held(), "broken-off".to_owned());
        }
        let now = self.clock().read().now;
        let Some(certificate) = trial.certificate.as_ref().filter(|one| still_holds(one, now))
        else {
            return Ok(());
        };
        let authority = self.authority_of(trial.issuer)?;
        self.revoke_trial(authority, certificate.id, trial.order)
    }

    /// Shows how long the last trials took, and tells of what is late: on every node.
    pub(crate) fn watch_trials(&self) -> Result<(), Denied> {
        let (Some(trials), Some(receipts)) = (&self.trials, &self.receipts) else { return Ok(()) };
        let known = self.store().trials(SHOWN).map_err(|e| self.note_storage(&e))?;
        let now = self.clock().read().now;
        for (authority, _) in self.tried(&trials.settings) {
            let of_it: Vec<&Trial> =
                known.iter().filter(|trial| trial.issuer == authority.id).collect();
            show_age(authority, &of_it, now);
            for method in &receipts.methods {
                self.show_trials(trials, receipts, (authority, *method), &of_it, now);
            }
        }
        Ok(())
    }

    fn show_trials(
        &self,
        trials: &RunningTrials,
        receipts: &Receipts,
        (authority, method): (&Authority, ReceiptMethod),
        newest_first: &[&Trial],
        now: UnixTime,
    ) {
        let limit = receipts.limit(method);
        let seen = |trial: &&&Trial| {
            let seen = seen(trial, method, now)?;
            seen.is_known(limit).then_some(seen)
        };
        // The last of which something is known says how it is now.
        let last = newest_first.iter().find_map(|trial| Some((*trial, seen(&trial)?)));
        let labels =
            || [("authority", authority.name().to_owned()), ("method", method.as_str().to_owned())];
        if let Some((_, Seen::After(took) | Seen::Waiting(took))) = last {
            metrics::gauge!("sigill_trial_revocation_seconds", &labels()).set(took.as_secs_f64());
        }
        let late = last.map_or(Late::No, |(_, seen)| seen.is_late(limit));
        metrics::gauge!("sigill_trial_revocation_late", &labels()).set(if late == Late::Yes {
            1.0
        } else {
            0.0
        });
        if !trials.begins_to_be_late(authority.name(), method, late) {
            return;
        }
        let Some((trial, seen)) = last else { return };
        let serial = trial.certificate.as_ref().map(|one| one.serial.to_string());
        tracing::error!(
            problem.code = "trial-revocation-late",
            authority = authority.name(),
            method = method.as_str(),
            serial = serial.unwrap_or_default(),
            limit_seconds = limit.as_secs(),
            "a trial revocation {}; next: docs/operations/watch.md",
            match seen {
                Seen::After(took) => format!("was seen after {} s", took.as_secs()),
                Seen::Waiting(age) => format!("is not seen everywhere after {} s", age.as_secs()),
                Seen::Never => "was not seen everywhere before its certificate ended".to_owned(),
            }
        );
    }

    /// The trials, newest first, at most `limit`, and what they come to.
    pub(crate) fn trials(&self, limit: Option<u32>) -> Result<api::TrialRevocations, Denied> {
        let (Some(trials), Some(receipts)) = (&self.trials, &self.receipts) else {
            return Err(not_configured());
        };
        let limit = limit.unwrap_or(LISTED);
        if !(1..=SHOWN).contains(&limit) {
            return Err(super::show::malformed("limit", &limit, "1 to 1000"));
        }
        let known = self.store().trials(limit).map_err(|e| self.note_storage(&e))?;
        let now = self.clock().read().now;
        let mut summary = BTreeMap::new();
        let mut items = Vec::new();
        for trial in &known {
            let authority = self.authority_name(trial.issuer);
            let mut sights = Vec::new();
            for method in &receipts.methods {
                let Some(seen) = seen(trial, *method, now) else { continue };
                let limit = receipts.limit(*method);
                count(summary.entry((authority.clone(), *method)).or_default(), seen, limit);
                sights.push(shown_sight(*method, seen, limit));
            }
            items.push(shown(trial, authority, sights));
        }
        let summary = summary
            .into_iter()
            .map(|((authority, method), counted): (_, Counted)| api::TrialSummary {
                authority,
                method: shown_method(method),
                limit_seconds: receipts.limit(method).as_secs(),
                in_time: counted.in_time,
                late: counted.late,
                waiting: counted.waiting,
                slowest_seconds: counted.slowest.map(|slowest| slowest.as_secs()),
            })
            .collect();
        Ok(api::TrialRevocations { every_seconds: trials.settings.every.as_secs(), summary, items })
    }

    fn authority_name(&self, issuer: IssuerId) -> String {
        let known = self.authority_of(issuer);
        known.map_or_else(|_| issuer.to_string(), |authority| authority.name().to_owned())
    }
}

/// What trials of an authority come to by a method.
#[derive(Debug, Default)]
struct Counted {
    in_time: u64,
    late: u64,
    waiting: u64,
    slowest: Option<Duration>,
}

fn count(counted: &mut Counted, seen: Seen, limit: Duration) {
    let of = match (seen.is_late(limit), seen) {
        (Late::Yes, _) => &mut counted.late,
        (Late::No, Seen::Waiting(_)) => &mut counted.waiting,
        (Late::No, _) => &mut counted.in_time,
    };
    *of = of.saturating_add(1);
    if let Seen::After(took) = seen {
        counted.slowest = counted.slowest.max(Some(took));
    }
}

fn still_holds(certificate: &TrialCertificate, now: UnixTime) -> bool {
    let status = &certificate.status.status;
    let holds = matches!(status.state, CertificateState::Issued | CertificateState::Activated);
    holds && status.not_after >= now
}

/// When the certificate of a trial was revoked; `None` where it was not.
fn revoked_at(trial: &Trial) -> Option<UnixTime> {
    let status = &trial.certificate.as_ref()?.status.status;
    (status.state == CertificateState::Revoked).then_some(status.effective_time)
}

/// What the world has been seen to show of a trial; `None` where nothing was revoked.
fn seen(trial: &Trial, method: ReceiptMethod, now: UnixTime) -> Option<Seen> {
    revoked_at(trial)?;
    let certificate = trial.certificate.as_ref()?;
    let receipt = certificate.seen.iter().find(|sight| sight.method == method);
    // Each from the entry that is looked for: a reason that was corrected before all had seen the first is looked for anew.
    Some(match receipt {
        Some(sight) => Seen::After(sight.seen.since(sight.since)),
        None if certificate.status.status.not_after < now => Seen::Never,
        None => Seen::Waiting(now.since(certificate.since)),
    })
}

/// How long ago the last was revoked; of an authority that has none yet, how long ago the first was begun.
fn show_age(authority: &Authority, newest_first: &[&Trial], now: UnixTime) {
    let last = newest_first.iter().find_map(|trial| revoked_at(trial));
    let since = last.or_else(|| newest_first.last().map(|trial| trial.begun));
    let age = since.map_or(Duration::ZERO, |since| now.since(since));
    metrics::gauge!("sigill_trial_revocation_age_seconds", "authority" => authority.name().to_owned())
        .set(age.as_secs_f64());
}

const fn shown_method(method: ReceiptMethod) -> api::ReceiptMethod {
    match method {
        ReceiptMethod::Ocsp => api::ReceiptMethod::Ocsp,
        ReceiptMethod::Crl => api::ReceiptMethod::Crl,
    }
}

fn shown_sight(method: ReceiptMethod, seen: Seen, limit: Duration) -> api::TrialSight {
    api::TrialSight {
        method: shown_method(method),
        limit_seconds: limit.as_secs(),
        seen_seconds: match seen {
            Seen::After(took) => Some(took.as_secs()),
            _ => None,
        },
        waiting_seconds: match seen {
            Seen::Waiting(age) => Some(age.as_secs()),
            _ => None,
        },
        late: seen.is_late(limit) == Late::Yes,
    }
}

fn shown(trial: &Trial, authority: String, sights: Vec<api::TrialSight>) -> api::TrialRevocation {
    let certificate = trial.certificate.as_ref();
    api::TrialRevocation {
        authority,
        order: trial.order.to_string(),
        begun: trial.begun.to_string(),
        certificate: certificate.map(|one| one.id.to_string()),
        serial: certificate.map(|one| one.serial.to_string()),
        revoked_at: revoked_at(trial).map(|time| time.to_string()),
        sights,
    }
}

/// A trial cannot be made now.
fn unmade(seen: &dyn std::fmt::Display) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "trial-revocation-unmade",
            "REV-07: a certificate is issued and revoked on a schedule, to measure how long that takes to be seen",
            &seen,
            "random numbers and a clock",
            "it is tried again by itself; the log says what is missing",
        ),
    )
}

fn not_configured() -> Denied {
    Denied::new(
        Kind::Conflict,
        Refusal::new(
            "trial-revocations-not-configured",
            "REV-07: trial revocations are made where the configuration says so",
            &"no section [trial-revocations]",
            "sections [trial-revocations] and [receipts] of the configuration of sigill-ca",
            "add them, or ask the server that has them",
        ),
    )
}

#[cfg(test)]
mod tests;
