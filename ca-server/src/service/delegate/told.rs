//! Which requests need no look for now, and how a refused one is told: once.
//!
//! The outer zone writes the outbox. Whatever it writes there costs one look at a file and at most ten
//! leaves and orders a minute for each responder; the rest is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::refusal::Refusal;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{Responder, Subject};
use x509::time::UnixTime;

use super::super::Service;
use super::super::authority::Authority;
use super::super::refusal::Leaf;
use crate::denied::{Denied, Kind};
use crate::publication::chain;

/// A refused request is looked at again after this long.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);
/// One that met a fault of ours is tried again after this long.
const FAILED_AGAIN: Duration = Duration::from_secs(5);

/// What is known of the requests that lie in the outbox, by the SHA-256 of their file.
#[derive(Debug, Default)]
pub(crate) struct DoneRequests(Mutex<BTreeMap<String, Known>>);

#[derive(Debug, Default)]
struct Known {
    stage: Option<Stage>,
    put_off: Option<PutOff>,
}

/// How far a request has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its counter was taken; its certificate is still to come.
    Counted,
    /// It has its answer.
    Done,
}

/// Why a request is left alone.
#[derive(Clone, Debug)]
struct PutOff {
    /// Until when; `None` for good.
    until: Option<UnixTime>,
    denied: Denied,
}

/// A request that its responder signed, as a refusal names it.
pub(super) struct Asked<'a> {
    pub(super) authority: &'a Authority,
    pub(super) responder: &'a Responder,
    /// SHA-256 of the file, hexadecimal.
    pub(super) key: &'a str,
    pub(super) counter: u64,
}

impl DoneRequests {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn stage(&self, key: &str) -> Option<Stage> {
        self.lock().get(key).and_then(|known| known.stage)
    }

    pub(super) fn reached(&self, key: &str, stage: Stage) {
        self.lock().entry(key.to_owned()).or_default().stage = Some(stage);
    }

    /// What a request met that is not looked at again yet.
    pub(super) fn put_off(&self, key: &str, now: UnixTime) -> Option<Denied> {
        let requests = self.lock();
        let put_off = requests.get(key)?.put_off.as_ref()?;
        let waits = put_off.until.is_none_or(|until| now < until);
        waits.then(|| put_off.denied.clone())
    }

    /// Leaves a request alone for a while. Returns whether it has not met the same before.
    fn put(&self, key: &str, denied: &Denied, until: Option<UnixTime>) -> bool {
        let mut requests = self.lock();
        let known = requests.entry(key.to_owned()).or_default();
        let put_off = PutOff { until, denied: denied.clone() };
        let before = known.put_off.replace(put_off);
        before.is_none_or(|before| before.denied.refusal.code != denied.refusal.code)
    }

    /// Forgets what no longer lies in the outbox.
    pub(super) fn keep(&self, seen: &BTreeSet<String>) {
        self.lock().retain(|key, _| seen.contains(key));
    }
}

impl Service {
    /// Puts a request off that was denied. A refusal is told the first time: in the log, the metrics
    /// and the audit log.
    pub(super) fn put_off(&self, asked: &Asked<'_>, denied: Denied) -> Denied {
        let now = self.clock().read().now;
        let fault = matches!(denied.kind, Kind::Unavailable | Kind::Internal | Kind::Busy);
        let pause = if fault { FAILED_AGAIN } else { REFUSED_AGAIN };
        let until = (!denied.is_final()).then(|| now.checked_add(pause).unwrap_or(UnixTime::LAST));
        if self.delegates_done.put(asked.key, &denied, until) && !fault {
            self.tell_refused(asked, &denied, now);
        }
        denied
    }

    fn tell_refused(&self, asked: &Asked<'_>, denied: &Denied, now: UnixTime) {
        let Asked { authority, responder, key, counter } = asked;
        let refusal = &denied.refusal;
        metrics::counter!(
            "sigill_delegates_refused_total",
            "authority" => authority.name().to_owned(), "code" => refusal.code
        )
        .increment(1);
        let Leaf::Own { uncounted } = self.delegate_refusals.count(&responder.name, now) else {
            return;
        };
        tracing::warn!(
            authority.name = authority.name(),
            responder.name = %responder.name,
            request.sha256 = key,
            request.counter = counter,
            problem.code = refusal.code,
            problem.seen = %refusal.seen,
            "OCSP delegate refused: {}; allowed: {}; next: {}",
            refusal.rule, refusal.limit, refusal.next
        );
        if uncounted > 0 {
            self.audit_counted_delegates(&responder.name, uncounted);
        }
        let mut digest = [0; 32];
        // The key was made by this program from 32 octets.
        let _ = base16ct::lower::decode(key, &mut digest);
        let objects = ObjectIds::of_act([
            Some(ObjectId::Key(responder.key)),
            Some(ObjectId::Issuer(authority.id)),
            Some(ObjectId::Document(ledger::Hash::from_bytes(digest))),
        ]);
        let payload = json!({
            "responder": responder.name,
            "counter": counter,
            "code": refusal.code,
            "rule": refusal.rule,
            "seen": refusal.seen,
            "limit": refusal.limit,
        });
        self.audit_delegates(EventCode::OcspDelegateRefused, objects, &payload);
    }

    /// Writes the counts of refused requests that got no leaf. Called by the schedule.
    pub(crate) fn audit_counted_delegate_refusals(&self) {
        let now = self.clock().read().now;
        for (name, count) in self.delegate_refusals.over(now) {
            self.audit_counted_delegates(&name, count);
        }
    }

    fn audit_counted_delegates(&self, responder: &str, count: u64) {
        let payload = json!({ "responder": responder, "count": count });
        self.audit_delegates(EventCode::RefusalGrouped, ObjectIds::default(), &payload);
    }

    fn audit_delegates(&self, code: EventCode, objects: ObjectIds, payload: &Value) {
        let now = self.clock().read().now;
        let (result, actor) = (EventResult::Refused, self.system());
        let record = Self::record(code, result, actor, objects, None, payload, Subject::Deployment);
        if let Err(error) = self.store().record_audit(&record, now) {
            tracing::warn!(error = %chain(&error), "refused delegates are not in the audit log");
        }
    }

    /// Refuses a responder whose refusals of this minute are so many that a further one would only be
    /// counted: it makes no orders either.
    pub(super) fn must_not_flood(
        &self,
        responder: &Responder,
        now: UnixTime,
    ) -> Result<(), Denied> {
        if !self.delegate_refusals.is_full(&responder.name, now) {
            return Ok(());
        }
        Err(Denied::rule(Refusal::new(
            "delegate-flood",
            "architecture §2.3: a responder's requests are looked at while few of them are refused",
            &format!("ten refused requests of {} within a minute", responder.name),
            "fewer than ten",
            "look at the refusals before: a responder asks once for each CA and waits; if this one does not, treat it as broken into",
        ))
        .for_now())
    }
}

/// The name of a request's file in the log of what is known.
pub(super) fn key_of(bytes: &[u8]) -> String {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    base16ct::lower::encode_string(&digest)
}
