//! Revoking: state, status entry and audit leaf in one transaction; then it travels by itself.

mod bound;
mod said;
mod scheduled;
mod taken;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectIds};
use ca::profile::{Profile, ProfileKind};
use ca::refusal::Refusal;
use ca::revocation::{Again, RevocationWish, Revoker, again};
use ca::role::Protected;
use serde_json::{Value, json};
use status::reason::SubjectKind;
use status::{CertificateState, RevocationReason};
use store::{
    Alone, CertificateId, CertificateLookup, CertificateRecord, CertificateRow, ChangeOutcome,
    OrderId, StatusAct, StatusChange, StatusChanged, StatusRow, StatusTarget, StoreError, Subject,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use self::said::Said;
pub(super) use self::said::event_of;
use super::Service;
use super::authority::Authority;
use super::caller::Caller;
use super::order::{Answered, OrderWork, Outcome};
use crate::clock::Reading;
use crate::denied::{Denied, Kind};

impl Service {
    /// Revokes or holds the certificate of this id.
    ///
    /// Works without any token and whatever the clock says (architecture §2.5).
    pub(crate) fn revoke(
        &self,
        revoker: Revoker,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let changed = self.revoke_record(&self.record_of(id)?, work, revoker)?;
        show_changed(self.show(id)?, &changed)
    }

    /// As [`Self::revoke`], for who does not see whose it is: the answer has what became of it, and not the certificate (DAT-01).
    pub(crate) fn revoke_unseen(
        &self,
        revoker: Revoker,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let changed = self.revoke_record(&self.record_of(id)?, work, revoker)?;
        show_changed(self.shown_row(&self.record_of(id)?.row), &changed)
    }

    fn revoke_record(
        &self,
        record: &CertificateRecord,
        work: &OrderWork<'_>,
        revoker: Revoker,
    ) -> Result<Changed, Denied> {
        let authority = self.authority_of(record.row.issuer)?;
        self.revoke_target(authority, &What::of(record), work, revoker)
    }

    /// Ends the hold of the certificate of this id: it stands as it did before (REV-03).
    pub(crate) fn release_hold(&self, id: &str, work: &OrderWork<'_>) -> Result<Answered, Denied> {
        let record = self.record_of(id)?;
        let authority = self.authority_of(record.row.issuer)?;
        let request: api::ReleaseRequest = super::body::from_json(&work.call.body)?;
        let what = What::of(&record);
        if work.progress.is_some() {
            not_held_since(&record, work.order)?;
        }
        let reading = self.clock().read();
        let wanted = Wanted {
            revoker: Revoker::Client,
            wish: RevocationWish::Release,
            requested_at: None,
            payload: payload(work, &what, reading, json!({ "actor": request.actor })),
        };
        let changed = self.change(authority, &what, work, &wanted, reading.now)?;
        show_changed(self.show(id)?, &changed)
    }

    /// Revokes a serial, most often one that is known from the log alone: a certificate that the
    /// database lost, or that another operator issued.
    pub(crate) fn revoke_serial(
        &self,
        caller: &Caller,
        authority: &str,
        serial: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_revoke()?;
        let authority = self.authority_named(authority)?;
        let serial: SerialNumber = serial.parse().map_err(|_| super::show::no_such(serial))?;
        // Where the certificate is here after all, its rules are the same by this way.
        let record = self
            .store()
            .certificate(&CertificateLookup::Serial(authority.id, serial))
            .map_err(|e| self.note_storage(&e))?;
        let seen = match (caller.limited_to(), &record) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(_), Some(record)) => {
                let lookup = CertificateLookup::Id(record.row.id);
                self.sees(caller, &lookup, Protected::Seen)?.is_some()
            }
        };
        let sight = if seen { Sight::Seen } else { Sight::Unseen };
        let what = What {
            target: StatusTarget::Serial(authority.id, serial),
            row: record.as_ref().map(|record| &record.row).filter(|_| sight == Sight::Seen),
            sight,
        };
        let changed = self.revoke_target(authority, &what, work, caller.revoker)?;
        let mut shown = super::show::serial(authority.name(), serial, &changed.status);
        shown.outcome = Some(changed.outcome);
        shown.reach = changed.reach;
        shown.receipts = self.receipts_path_of_serial(authority.name(), serial);
        Answered::new(Outcome::Changed, &shown, changed.status.position)
    }

    pub(super) fn record_of(&self, id: &str) -> Result<CertificateRecord, Denied> {
        let certificate: CertificateId = id.parse().map_err(|_| super::show::no_such(id))?;
        self.store()
            .certificate(&CertificateLookup::Id(certificate))
            .map_err(|e| self.note_storage(&e))?
            .ok_or_else(|| super::show::no_such(id))
    }

    fn revoke_target(
        &self,
        authority: &Authority,
        what: &What<'_>,
        work: &OrderWork<'_>,
        revoker: Revoker,
    ) -> Result<Changed, Denied> {
        let request: api::RevocationRequest = super::body::from_json(&work.call.body)?;
        let reading = self.clock().read();
        let requested_at =
            request.requested_at.as_deref().map(|text| requested_at(text, reading)).transpose()?;
        let said = Said::read(&request, self.kind_of(what), revoker)?;
        let wanted = Wanted {
            revoker,
            wish: said.wish,
            requested_at,
            payload: payload(work, what, reading, said.facts(&request)),
        };
        let changed = self.change(authority, what, work, &wanted, reading.now)?;
        Ok(Changed { reach: said.reach(), ..changed })
    }

    fn change(
        &self,
        authority: &Authority,
        what: &What<'_>,
        work: &OrderWork<'_>,
        wanted: &Wanted,
        now: UnixTime,
    ) -> Result<Changed, Denied> {
        if !authority.signs_here() {
            return Err(offline(authority.name()));
        }
        self.must_go_on(authority)?;
        self.may_be_asked(what, wanted)?;
        if what.sight == Sight::Unseen {
            return Err(self.note_storage(&StoreError::UnknownSerial));
        }
        let record =
            |code| Self::status_record(code, authority, what.row, work.call, &wanted.payload);
        let mut act = match wanted.wish {
            RevocationWish::Hold => StatusAct::Hold,
            RevocationWish::Release => StatusAct::Release,
            RevocationWish::Revoke(reason) => StatusAct::Revoke { reason, invalidity: None },
        };
        // Ends: it goes round only when a graver reason has to be recorded, or when another caller
        // has just recorded one.
        let changed = loop {
            let change = StatusChange {
                target: what.target,
                act,
                requested_at: wanted.requested_at,
                alone: Some(Alone { client: work.call.client.clone(), most: self.alone }),
            };
            let StatusChanged { outcome, status, .. } = self
                .store()
                .change_status(&change, &record(code_of(act)), now)
                .map_err(|e| self.unrevoked(&work.call.client, &e, now))?;
            if outcome == ChangeOutcome::Changed {
                let outcome = match act {
                    StatusAct::CorrectReason { .. } => api::StatusOutcome::ReasonCorrected,
                    _ => api::StatusOutcome::Changed,
                };
                break Changed { outcome, status, reach: None };
            }
            if let Some(correction) = correction(wanted.wish, &status) {
                act = correction;
                continue;
            }
            self.store()
                .record_audit(&record(EventCode::RevocationRepeated), now)
                .map_err(|e| self.note_storage(&e))?;
            break Changed { outcome: api::StatusOutcome::AlreadySo, status, reach: None };
        };
        if changed.outcome != api::StatusOutcome::AlreadySo {
            if matches!(act, StatusAct::Revoke { .. }) {
                metrics::counter!("sigill_revocations_total", "authority" => authority.name().to_owned())
                    .increment(1);
            }
            authority.ask_for_crl();
        }
        self.await_publication(changed.status.position, work.call.wait_for_publication)?;
        Ok(changed)
    }

    /// A revocation that the store did not record. Somebody hears of a client that revokes more than it may alone.
    pub(super) fn unrevoked(&self, client: &str, error: &StoreError, now: UnixTime) -> Denied {
        let denied = self.note_storage(error);
        let StoreError::AloneSpent { alone, ends } = *error else { return denied };
        metrics::counter!("sigill_revocations_stopped_total").increment(1);
        if self.alone_told.is_first(client, ends) {
            tracing::error!(
                problem.code = error.code(),
                client.name = client,
                revocations = alone,
                "a client has revoked in this hour all that it may alone, and wants to go on: find out whether it is itself"
            );
            let payload = json!({ "client": client, "alone": alone, "until": ends.to_string() });
            let record = Self::record(
                EventCode::LimitRevocations,
                EventResult::Refused,
                super::record::client(client),
                ObjectIds::default(),
                None,
                &payload,
                Subject::Deployment,
            );
            // The refusal is in the audit log as well: a leaf that cannot be written takes nothing back.
            if let Err(error) = self.store().record_audit(&record, now) {
                tracing::error!(
                    problem.code = error.code(),
                    "no leaf of a client that was stopped"
                );
            }
        }
        denied.retry_after(ends.since(now))
    }

    /// REV-04: which certificates a client may revoke or hold, and for which reasons.
    fn may_be_asked(&self, what: &What<'_>, wanted: &Wanted) -> Result<(), Denied> {
        if what.row.is_none() && wanted.wish == RevocationWish::Hold {
            return Err(hold_without_certificate(what));
        }
        ca::revocation::check(self.kind_of(what), wanted.revoker, wanted.wish).map_err(Denied::rule)
    }

    /// What the profile of the certificate says it is.
    fn kind_of(&self, what: &What<'_>) -> Option<ProfileKind> {
        what.row
            .and_then(|row| row.profile.as_ref())
            .and_then(|profile| self.book.profiles().by_name(&profile.name))
            .map(Profile::kind)
    }
}

/// Until when each client was told that its hour is spent.
#[derive(Debug, Default)]
pub(crate) struct ToldOnce(Mutex<BTreeMap<String, UnixTime>>);

impl ToldOnce {
    /// Whether this is the first time in the hour that ends then.
    pub(in crate::service) fn is_first(&self, client: &str, ends: UnixTime) -> bool {
        // A panic elsewhere leaves the map whole.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.insert(client.to_owned(), ends) != Some(ends)
    }
}

/// What is revoked, and its row where there is one.
struct What<'a> {
    target: StatusTarget,
    row: Option<&'a CertificateRow>,
    sight: Sight,
}

/// Whether the caller sees what it names: what it does not see is answered as what is not there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    Seen,
    Unseen,
}

impl<'a> What<'a> {
    const fn of(record: &'a CertificateRecord) -> Self {
        Self {
            target: StatusTarget::Certificate(record.row.id),
            row: Some(&record.row),
            sight: Sight::Seen,
        }
    }
}

/// What a call asks for.
struct Wanted {
    revoker: Revoker,
    wish: RevocationWish,
    requested_at: Option<UnixTime>,
    payload: Value,
}

/// What came of it, and how it stands.
struct Changed {
    outcome: api::StatusOutcome,
    status: StatusRow,
    /// How far the event reaches that the call named.
    reach: Option<api::EventReach>,
}

/// The payload of the act's audit leaf. An act by a clock in doubt is marked (architecture §2.5); one
/// by a clock behind the logs is marked by the store.
fn payload(work: &OrderWork<'_>, what: &What<'_>, reading: Reading, facts: Value) -> Value {
    let mut payload = json!({
        "call": work.call.correlation_id,
        "client": work.call.client,
        "target": shown(&what.target),
        "clock": reading.doubt.map(|doubt| doubt.to_string()),
    });
    if let (Value::Object(payload), Value::Object(facts)) = (&mut payload, facts) {
        payload.extend(facts);
    }
    payload
}

fn shown(target: &StatusTarget) -> String {
    match target {
        StatusTarget::Certificate(id) => id.to_string(),
        StatusTarget::Serial(issuer, serial) => format!("serial {serial} of issuer {issuer}"),
    }
}

const fn code_of(act: StatusAct) -> EventCode {
    match act {
        StatusAct::Activate => EventCode::CertificateActivated,
        StatusAct::Hold => EventCode::CertificateHeld,
        StatusAct::Release => EventCode::CertificateReleased,
        StatusAct::Revoke { .. } | StatusAct::CorrectReason { .. } => EventCode::CertificateRevoked,
    }
}

/// The act that a second revocation comes to, if it comes to one (REV-06).
fn correction(wish: RevocationWish, status: &StatusRow) -> Option<StatusAct> {
    let known = &status.status;
    let RevocationWish::Revoke(reason) = wish else { return None };
    match again(known.reason, reason) {
        Again::Stands => None,
        Again::Corrects => Some(StatusAct::CorrectReason {
            from: known.reason,
            reason,
            invalidity: known.invalidity_date,
        }),
    }
}

/// How far a caller's clock may be ahead of ours: a revocation must not fail for that.
const CALLER_AHEAD: Duration = Duration::from_secs(300);

/// When revocation was asked for, to the second: a time of the past, or by a clock that is a little
/// ahead of ours, and then it is now.
/// While the clock is in doubt it refuses nobody's time.
fn requested_at(text: &str, reading: Reading) -> Result<UnixTime, Denied> {
    let Reading { now, doubt } = reading;
    let refused = |limit: String| {
        Denied::rule(Refusal::new(
            "requested-at-malformed",
            "REV-06: requested_at says when revocation was asked for; it is never the revocation date",
            &text,
            limit,
            "send the time of the request in UTC, such as 2026-11-21T09:30:00Z, or leave it out",
        ))
    };
    let time: jiff::Timestamp =
        text.parse().map_err(|_| refused("an RFC 3339 time in UTC".to_owned()))?;
    u64::try_from(time.as_second())
        .ok()
        .and_then(|secs| UnixTime::from_secs(secs).ok())
        .filter(|time| doubt.is_some() || time.since(now) <= CALLER_AHEAD)
        .map(|time| time.min(now))
        .ok_or_else(|| {
            refused(format!("a time from 1970 to now, {now}, and at most 5 minutes more"))
        })
}

/// What a reason asks for. Only certificates of subscribers and delegates come this way: an offline
/// CA's change with its CRL.
pub(super) fn wish_of(reason: api::ReasonCode) -> Result<RevocationWish, Denied> {
    let reason = match reason {
        api::ReasonCode::CertificateHold => return Ok(RevocationWish::Hold),
        api::ReasonCode::Unspecified => None,
        api::ReasonCode::KeyCompromise => Some(RevocationReason::KeyCompromise),
        api::ReasonCode::CaCompromise => Some(RevocationReason::CaCompromise),
        api::ReasonCode::AffiliationChanged => Some(RevocationReason::AffiliationChanged),
        api::ReasonCode::Superseded => Some(RevocationReason::Superseded),
        api::ReasonCode::CessationOfOperation => Some(RevocationReason::CessationOfOperation),
        api::ReasonCode::PrivilegeWithdrawn => Some(RevocationReason::PrivilegeWithdrawn),
    };
    let reason = reason
        .map(|reason| reason.allowed_for(SubjectKind::EndEntity))
        .transpose()
        .map_err(|error| {
            Denied::rule(Refusal::new(
                "reason-not-allowed",
                "REV-04: cACompromise is a reason for certificates of CAs only",
                &error,
                "keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn, certificateHold or unspecified",
                "give keyCompromise where a subscriber's key is in other hands",
            ))
        })?;
    Ok(RevocationWish::Revoke(reason))
}

/// Refuses to go on with a release, which may have been done by an earlier try, where the certificate
/// was put on hold after the release had begun: that hold is another one.
fn not_held_since(record: &CertificateRecord, order: OrderId) -> Result<(), Denied> {
    let status = &record.row.status.status;
    let [a, b, c, d, e, f, ..] = *order.as_bytes();
    let begun = u64::from_be_bytes([0, 0, a, b, c, d, e, f]) / 1000;
    if !matches!(status.state, CertificateState::Held(_)) || status.effective_time.secs() < begun {
        return Ok(());
    }
    Err(Denied::new(
        Kind::Conflict,
        Refusal::new(
            "held-again",
            "REV-03: a release ends the hold that stood when it was first asked for",
            &format!("a hold of {}", status.effective_time),
            "a hold from before this call's first try",
            "look whether the new hold shall end too, and release it under a new Idempotency-Key",
        ),
    ))
}

fn show_changed(mut shown: api::Certificate, changed: &Changed) -> Result<Answered, Denied> {
    shown.outcome = Some(changed.outcome);
    shown.reach = changed.reach;
    Answered::new(Outcome::Changed, &shown, changed.status.position)
}

fn hold_without_certificate(what: &What<'_>) -> Denied {
    Denied::rule(Refusal::new(
        "hold-without-certificate",
        "REV-04: only certificates of persons are suspended, and of a serial alone nobody knows whose it is",
        &shown(&what.target),
        "a certificate that is in the database",
        "revoke the serial with a reason",
    ))
}

pub(super) fn offline(authority: &str) -> Denied {
    Denied::new(
        Kind::Conflict,
        Refusal::new(
            "authority-offline",
            "architecture §2.3: certificates of an offline CA change status only with its new CRL",
            &format!("a certificate of {authority}"),
            "a certificate of an authority that signs here",
            "run the root CRL ceremony and import its output with sigill-ca import",
        ),
    )
    .for_now()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::service::testing::World;

    /// REV-06: a caller whose clock is a little ahead still gets its revocation.
    #[test]
    fn requested_at_is_a_time_of_the_past_and_a_little_ahead_is_now() {
        let now = UnixTime::from_secs(1_800_000_000).unwrap();
        let at = |secs: u64| UnixTime::from_secs(secs).unwrap();
        let reading = Reading { now, doubt: None };
        for (sent, taken) in [
            (1_799_999_000, Some(1_799_999_000)),
            (1_800_000_000, Some(1_800_000_000)),
            (1_800_000_300, Some(1_800_000_000)),
            (1_800_000_301, None),
        ] {
            let found = requested_at(&at(sent).to_string(), reading).ok();
            assert_eq!(found, taken.map(at), "{sent}");
        }
        assert!(requested_at("yesterday", reading).is_err());

        // A clock in doubt goes after the logs: no caller's time is refused for that.
        let doubt = Some(crate::clock::Doubt::Stepped(Duration::from_secs(9)));
        let sent = at(1_800_900_000).to_string();
        assert_eq!(requested_at(&sent, Reading { now, doubt }).ok(), Some(now));
    }

    /// REV-13: what a clock in doubt dated says so in its audit payload, and nothing else does.
    #[test]
    fn a_revocation_by_a_doubted_clock_is_marked_in_its_payload() {
        let mut world = World::new();
        let ids = ["a", "b"].map(|key| {
            let issued = world.issue(key).unwrap();
            let shown: Value = serde_json::from_slice(&issued.response.body).unwrap();
            shown["id"].as_str().unwrap().to_owned()
        });
        let marked = |world: &World, id: &str| {
            let path = format!("/v1/certificates/{id}/revocation");
            let call = world.call(&path, id, &json!({ "reason": "superseded" }));
            world.run(&call, |service, work| service.revoke(Revoker::Client, id, work)).unwrap();
            world.last_payload(EventCode::CertificateRevoked)["clock"].clone()
        };
        assert_eq!(marked(&world, &ids[0]), Value::Null);

        let old = world.now().saturating_sub(Duration::from_secs(100));
        world.service.clock = Clock::start_after(old, Duration::from_secs(10)).into();
        let mark = marked(&world, &ids[1]);
        assert!(
            mark.as_str().unwrap().ends_with("s ahead of everything recorded before the start")
        );
    }

    /// REV-03: a release that is tried again after it was done leaves a later hold alone.
    #[test]
    fn a_release_tried_again_does_not_end_a_later_hold() {
        let world = World::new();
        let issued = world.issue("a").unwrap();
        let issued: Value = serde_json::from_slice(&issued.response.body).unwrap();
        let id = issued["id"].as_str().unwrap();
        let hold = || {
            let target = StatusTarget::Certificate(id.parse().unwrap());
            let change =
                StatusChange { target, act: StatusAct::Hold, requested_at: None, alone: None };
            let record = crate::service::signing::failed_try(world.service.system(), &json!({}));
            world.service.store().change_status(&change, &record, world.now()).unwrap()
        };
        let state = || world.service.show(id).unwrap().state;
        hold();
        let held = state();
        let call = world.call(&format!("/v1/certificates/{id}/release"), "b", &json!({}));
        let cut = world.run(&call, |service, work| {
            service.release_hold(id, work).unwrap();
            Err(offline("cut off before the answer was stored"))
        });
        assert!(cut.is_err());
        assert_ne!(state(), held);

        hold();
        let again = world.run(&call, |service, work| service.release_hold(id, work)).unwrap();
        assert!(String::from_utf8(again.response.body).unwrap().contains("held-again"));
        assert_eq!(state(), held);
    }

    /// REV-04.
    #[test]
    fn refuses_ca_compromise_for_a_subscribers_certificate() {
        assert!(wish_of(api::ReasonCode::CaCompromise).is_err());
        assert!(wish_of(api::ReasonCode::KeyCompromise).is_ok());
        assert_eq!(wish_of(api::ReasonCode::CertificateHold), Ok(RevocationWish::Hold));
    }
}
