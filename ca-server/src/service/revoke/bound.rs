//! Revoking what belongs together: an eID, or a carrier with every eID on it, in one transaction (REV-11).

use std::collections::BTreeSet;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::profile::Profile;
use ca::refusal::Refusal;
use ca::revocation::RevocationWish;
use ca::revocation::event::Reach;
use ca::role::Protected;
use serde_json::{Value, json};
use status::{CertificateState, IssuerId};
use store::{
    Alone, AuditRecord, BoundAudit, BoundChange, BoundChanged, BoundTo, CarrierId, CertificateRow,
    CrlScope, EidFilter, EidId, RevocationTarget, StatusAct, StoreError, Subject, act_on_bound,
};
use x509::time::UnixTime;

use super::said::Said;
use super::{offline, requested_at};
use crate::denied::Denied;
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::order::{Answered, OrderWork, Outcome};
use crate::service::record::{call_object, client};

/// Most eIDs that are read at once.
const PAGE: u32 = 1000;

impl Service {
    /// Revokes or holds the certificates of an eID: all of them or none.
    pub(crate) fn revoke_eid(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_revoke()?;
        let row = self.eid_of_side(caller, id, Protected::Seen)?;
        let done = self.revoke_bound(caller, BoundTo::Eid(row.id), work)?;
        let mut shown = self.shown_eid(&row)?;
        shown.reach = done.reach;
        done.tell(&mut shown.certificates);
        let seen = self.store().eid(row.id, caller.protected());
        if seen.map_err(|e| self.note_storage(&e))?.is_none() {
            // What became of it, and nothing of whose it is.
            shown.organisation = String::new();
            shown.issuing_organisation = None;
        }
        done.answered(&shown)
    }

    /// Revokes or holds every eID on a carrier, those of other organisations too: all of them or none.
    pub(crate) fn revoke_carrier(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        caller.must_revoke()?;
        let row = self.carrier_of_side(caller, id, Protected::Seen)?;
        let done = self.revoke_bound(caller, BoundTo::Carrier(row.id), work)?;
        let row = self.carrier_of_side(caller, id, Protected::Seen)?;
        let mut shown = self.shown_carrier(caller, &row)?;
        shown.reach = done.reach;
        shown.eids.iter_mut().for_each(|eid| done.tell(&mut eid.certificates));
        done.answered(&shown)
    }

    fn revoke_bound(
        &self,
        caller: &Caller,
        to: BoundTo,
        work: &OrderWork<'_>,
    ) -> Result<Done, Denied> {
        let request: api::RevocationRequest = crate::service::body::from_json(&work.call.body)?;
        let reading = self.clock().read();
        let requested =
            request.requested_at.as_deref().map(|text| requested_at(text, reading)).transpose()?;
        let target = match to {
            BoundTo::Eid(id) => RevocationTarget::Eid(id),
            BoundTo::Carrier(id) => RevocationTarget::Carrier(id),
        };
        let said = self.held_against_rules(caller, &target, &request, reading.now)?.said;
        let reach = if reaches_all(&said, &target)? { None } else { said.reach() };
        let change = BoundChange {
            to,
            wish: said.wish,
            requested_at: requested,
            alone: Some(Alone { client: work.call.client.clone(), most: self.alone }),
        };
        let mut payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "target": to.to_string(),
            "clock": reading.doubt.map(|doubt| doubt.to_string()),
        });
        if let (Value::Object(payload), Value::Object(facts)) = (&mut payload, said.facts(&request))
        {
            payload.extend(facts);
        }
        let audit = audit_of(to, said.wish, work, payload.clone());
        let all = self
            .store()
            .revoke_bound(&change, audit, reading.now)
            .map_err(|e| self.unrevoked(&work.call.client, &e, reading.now))?;
        let changed = || all.iter().filter(|one| one.done.is_some());
        if changed().next().is_none() {
            let record = record(EventCode::RevocationRepeated, to, work, &payload);
            self.store().record_audit(&record, reading.now).map_err(|e| self.note_storage(&e))?;
        }
        self.note_bound(&all);
        if let Some(last) = all.iter().map(|one| one.status.position).max() {
            self.await_publication(last, work.call.wait_for_publication)?;
        }
        Ok(Done { reach, all })
    }

    /// Counts what was revoked together, and asks for the lists that show it.
    pub(super) fn note_bound(&self, all: &[BoundChanged]) {
        for one in all.iter().filter(|one| one.done.is_some()) {
            if let Ok(authority) = self.authority_of(one.issuer) {
                metrics::counter!("sigill_revocations_total", "authority" => authority.name().to_owned())
                    .increment(1);
                authority.ask_for_crl();
            }
        }
    }

    /// What is said of a target, held against what its certificates that have not ended are, and who issued them.
    pub(super) fn held_against_rules(
        &self,
        caller: &Caller,
        target: &RevocationTarget,
        request: &api::RevocationRequest,
        now: UnixTime,
    ) -> Result<Judged, Denied> {
        let found = self.store().target_certificates(target);
        let mut certificates = found.map_err(|e| self.note_storage(&e))?;
        // What has ended is as it was, whoever issued it.
        certificates.retain(|(_, row)| row.not_after >= now);
        let said = self.said_of(caller, &certificates, request)?;
        reaches_all(&said, target)?;
        if let RevocationTarget::Carrier(carrier) = target {
            self.must_be_of_one(caller, &said, *carrier, &certificates)?;
        }
        self.must_all_be_here(&certificates, said.wish)?;
        Ok(Judged { said, certificates })
    }

    /// What the call says, held against the kind of each certificate.
    fn said_of(
        &self,
        caller: &Caller,
        certificates: &[(EidId, CertificateRow)],
        request: &api::RevocationRequest,
    ) -> Result<Said, Denied> {
        let mut said = Said::read(request, None, caller.revoker)?;
        for (_, row) in certificates {
            let profile = row.profile.as_ref();
            let profile = profile.and_then(|one| self.book.profiles().by_name(&one.name));
            let kind = profile.map(Profile::kind);
            said = Said::read(request, kind, caller.revoker)?;
            ca::revocation::check(kind, caller.revoker, said.wish).map_err(Denied::rule)?;
        }
        Ok(said)
    }

    /// Refuses an event of one organisation for a carrier that bears living eIDs of another one.
    fn must_be_of_one(
        &self,
        caller: &Caller,
        said: &Said,
        carrier: CarrierId,
        certificates: &[(EidId, CertificateRow)],
    ) -> Result<(), Denied> {
        let Some(reach @ (Reach::HolderInOrganisation | Reach::Organisation)) = said.event_reach()
        else {
            return Ok(());
        };
        let living = living_eids(certificates);
        let filter = EidFilter {
            carrier: Some(carrier),
            protected: Protected::Seen,
            ..EidFilter::default()
        };
        let mut organisations = BTreeSet::new();
        let mut after = None;
        loop {
            let page = self.store().eids(&filter, after, PAGE);
            let page = page.map_err(|e| self.note_storage(&e))?;
            let own = page.rows.into_iter().filter(|eid| living.contains(&eid.id));
            organisations.extend(own.map(|eid| eid.organisation));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        let mut one = organisations.len() <= 1;
        for organisation in &organisations {
            one = one && self.is_of(caller, organisation)?;
        }
        if one { Ok(()) } else { Err(of_another(reach)) }
    }

    /// Refuses a change of what another program issues. What stands so already, and what an authority left that has ended, refuse nothing: its
    /// certificates were revoked or had expired before its last CRL, and none of them needs anything.
    pub(in crate::service) fn must_all_be_here(
        &self,
        certificates: &[(EidId, CertificateRow)],
        wish: RevocationWish,
    ) -> Result<(), Denied> {
        for (_, row) in certificates {
            match act_on_bound(wish, &row.status) {
                None => continue,
                Some(_) if self.has_ended(row.issuer)? => continue,
                Some(_) => {}
            }
            let authority = self.authority_of(row.issuer)?;
            if !authority.signs_here() {
                return Err(offline(authority.name()));
            }
        }
        Ok(())
    }

    /// Whether an issuer has made its last CRL, configured here or not.
    fn has_ended(&self, issuer: IssuerId) -> Result<bool, Denied> {
        let current = match self.store().current_crl(issuer, &CrlScope::full()) {
            Err(StoreError::UnknownIssuer) => None,
            current => current.map_err(|e| self.note_storage(&e))?,
        };
        Ok(current.is_some_and(|row| row.next_update == UnixTime::LAST))
    }
}

/// What a call says of a target, and the certificates of that which have not ended.
pub(super) struct Judged {
    pub(super) said: Said,
    pub(super) certificates: Vec<(EidId, CertificateRow)>,
}

/// What came of it.
struct Done {
    reach: Option<api::EventReach>,
    all: Vec<BoundChanged>,
}

impl Done {
    fn tell(&self, certificates: &mut [api::Certificate]) {
        for shown in certificates {
            let told = self.all.iter().find(|one| one.certificate.to_string() == shown.id);
            shown.outcome = told.map(|one| match one.done {
                Some(StatusAct::CorrectReason { .. }) => api::StatusOutcome::ReasonCorrected,
                Some(_) => api::StatusOutcome::Changed,
                None if one.ended => api::StatusOutcome::AuthorityEnded,
                None => api::StatusOutcome::AlreadySo,
            });
        }
    }

    fn answered(&self, shown: &impl serde::Serialize) -> Result<Answered, Denied> {
        match self.all.iter().map(|one| one.status.position).max() {
            Some(position) => Answered::new(Outcome::Changed, shown, position),
            None => Answered::unlogged(Outcome::Changed, shown),
        }
    }
}

/// Whether what is named is all that the event asks for, or no event was said.
///
/// # Errors
///
/// `event-reaches-less` for an event that does not reach as far as what is named: it happened to less than all of that.
fn reaches_all(said: &Said, target: &RevocationTarget) -> Result<bool, Denied> {
    use Reach::{Carrier, Certificate, Eid, HolderInOrganisation};

    let Some(reach) = said.event_reach() else { return Ok(true) };
    let (all, less) = match (target, reach) {
        (RevocationTarget::Certificate(_), Certificate)
        | (RevocationTarget::Eid(_), Certificate | Eid)
        | (RevocationTarget::Carrier(_), Carrier)
        | (RevocationTarget::HolderOf(_), HolderInOrganisation) => (true, false),
        (RevocationTarget::Carrier(_), Certificate | Eid)
        | (RevocationTarget::HolderOf(_), Certificate | Eid | Carrier) => (false, true),
        _ => (false, false),
    };
    if less {
        let of = match target {
            RevocationTarget::Carrier(_) => "a whole carrier",
            _ => "all that a holder has",
        };
        return Err(Denied::rule(Refusal::new(
            "event-reaches-less",
            "REV-05: an event reaches so far (docs/revocation-events.md)",
            &format!("an event of one {} for {of}", reach.name()),
            "an event that happens to as much as is named, or a reason alone",
            "revoke the eID to which it has happened",
        )));
    }
    Ok(all)
}

/// The eIDs that have a certificate among these which is not revoked.
fn living_eids(certificates: &[(EidId, CertificateRow)]) -> BTreeSet<EidId> {
    let over = |row: &CertificateRow| {
        matches!(row.status.status.state, CertificateState::Revoked | CertificateState::Voided)
    };
    certificates.iter().filter(|(_, row)| !over(row)).map(|(eid, _)| *eid).collect()
}

fn of_another(reach: Reach) -> Denied {
    Denied::rule(Refusal::new(
        "event-of-one-organisation",
        "REV-05: an event reaches so far (docs/revocation-events.md)",
        &format!(
            "an event of one {} for a carrier with eIDs of another organisation",
            reach.name()
        ),
        "an event that happens to a carrier, or a reason alone",
        "revoke the eID of this organisation: POST /v1/eids/{id}/revocation, `sigill eid revoke`",
    ))
}

fn audit_of(to: BoundTo, wish: RevocationWish, work: &OrderWork<'_>, payload: Value) -> BoundAudit {
    let code = match wish {
        RevocationWish::Hold => EventCode::CertificateHeld,
        _ => EventCode::CertificateRevoked,
    };
    let plain = record(code, to, work, &payload);
    Box::new(move |all: &[BoundChanged]| {
        let changed = all.iter().filter(|one| one.done.is_some());
        let ids: Vec<String> = changed.map(|one| one.certificate.to_string()).collect();
        let mut payload = payload;
        if let Some(object) = payload.as_object_mut() {
            object.insert("certificates".to_owned(), json!(ids));
        }
        AuditRecord { payload: crate::service::record::written(&payload), ..plain }
    })
}

fn record(code: EventCode, to: BoundTo, work: &OrderWork<'_>, payload: &Value) -> AuditRecord {
    let object = match to {
        BoundTo::Eid(id) => ObjectId::Eid(*id.as_bytes()),
        BoundTo::Carrier(id) => ObjectId::Carrier(*id.as_bytes()),
    };
    let objects = ObjectIds::of_act([Some(object), Some(call_object(work.call))]);
    let (done, actor) = (EventResult::Done, client(&work.call.client));
    Service::record(code, done, actor, objects, None, payload, Subject::Deployment)
}

#[cfg(test)]
mod tests {
    use status::RevocationReason;

    use super::*;
    use crate::service::testing::World;

    /// REV-11: what stands so already keeps nobody from revoking the rest, whoever issued it.
    #[test]
    fn what_does_not_change_refuses_nothing() {
        let world = World::new();
        let issued = world.issue("a").unwrap();
        let issued: Value = serde_json::from_slice(&issued.response.body).unwrap();
        let here = world.service.record_of(issued["id"].as_str().unwrap()).unwrap().row;
        let issuer = IssuerId::of(b"nobody", b"nothing");
        let elsewhere = CertificateRow { issuer, ..here.clone() };
        let mut revoked = elsewhere.clone();
        revoked.status.status.state = CertificateState::Revoked;
        revoked.status.status.reason = Some(RevocationReason::KeyCompromise);
        let judged = |row: &CertificateRow| {
            let bound = [(EidId::from_bytes([1; 16]), row.clone())];
            let wish = RevocationWish::Revoke(Some(RevocationReason::KeyCompromise));
            world.service.must_all_be_here(&bound, wish).map_err(|denied| denied.refusal.code)
        };

        assert_eq!(judged(&here), Ok(()));
        assert_eq!(judged(&elsewhere), Err("authority-not-configured"));
        assert_eq!(judged(&revoked), Ok(()));
    }
}
