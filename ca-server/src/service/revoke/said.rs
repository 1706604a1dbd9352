//! What a call for a revocation says: a reason, or what has happened, from which the reason follows (REV-05).

use ca::profile::ProfileKind;
use ca::refusal::Refusal;
use ca::revocation::event::{Reach, in_words};
use ca::revocation::{BusinessEvent, RevocationWish, Revoker};
use serde_json::{Value, json};

use crate::denied::{Denied, Kind};

/// What is to be done, and why.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said {
    pub(super) wish: RevocationWish,
    event: Option<BusinessEvent>,
}

impl Said {
    /// Reads what the call says of a certificate of `kind`; `None` where nobody knows what it is.
    pub(super) fn read(
        request: &api::RevocationRequest,
        kind: Option<ProfileKind>,
        revoker: Revoker,
    ) -> Result<Self, Denied> {
        let reason = request.reason.map(super::wish_of).transpose()?;
        let event = request.event.map(event_of);
        let wish = match (event, reason) {
            (Some(event), reason) => event.wish(reason, kind, revoker).map_err(Denied::rule)?,
            (None, Some(wish)) => wish,
            (None, None) => return Err(nothing_said()),
        };
        Ok(Self { wish, event })
    }

    /// What has happened, where that was said.
    pub(super) const fn event(&self) -> Option<BusinessEvent> {
        self.event
    }

    /// How far the event reaches.
    pub(super) fn reach(&self) -> Option<api::EventReach> {
        self.event.map(|event| reach_of(event.rule().reach))
    }

    /// The same in the words of the rules.
    pub(super) fn event_reach(&self) -> Option<Reach> {
        self.event.map(|event| event.rule().reach)
    }

    /// Of a call, what its audit leaf keeps.
    pub(super) fn facts(&self, request: &api::RevocationRequest) -> Value {
        json!({
            "actor": request.actor,
            "event": request.event,
            "reason": in_words(self.wish),
            "requested_at": request.requested_at,
        })
    }
}

fn nothing_said() -> Denied {
    Denied::new(
        Kind::Malformed,
        Refusal::new(
            "reason-missing",
            "REV-05: a revocation says what has happened, or for which reason it is",
            &"neither event nor reason",
            "event, reason, or both",
            "name the event (docs/revocation-events.md), or the reason unspecified",
        ),
    )
}

pub(in crate::service) const fn event_of(event: api::BusinessEvent) -> BusinessEvent {
    match event {
        api::BusinessEvent::Lost => BusinessEvent::Lost,
        api::BusinessEvent::Stolen => BusinessEvent::Stolen,
        api::BusinessEvent::Mislaid => BusinessEvent::Mislaid,
        api::BusinessEvent::PinDisclosed => BusinessEvent::PinDisclosed,
        api::BusinessEvent::Damaged => BusinessEvent::Damaged,
        api::BusinessEvent::Replaced => BusinessEvent::Replaced,
        api::BusinessEvent::Updated => BusinessEvent::Updated,
        api::BusinessEvent::NameChanged => BusinessEvent::NameChanged,
        api::BusinessEvent::EmploymentEnded => BusinessEvent::EmploymentEnded,
        api::BusinessEvent::Deceased => BusinessEvent::Deceased,
        api::BusinessEvent::NotWanted => BusinessEvent::NotWanted,
        api::BusinessEvent::IssuedToAnother => BusinessEvent::IssuedToAnother,
        api::BusinessEvent::WronglyIssued => BusinessEvent::WronglyIssued,
        api::BusinessEvent::TermsBroken => BusinessEvent::TermsBroken,
        api::BusinessEvent::OrganisationEnded => BusinessEvent::OrganisationEnded,
        api::BusinessEvent::Unclaimed => BusinessEvent::Unclaimed,
        api::BusinessEvent::NotActivated => BusinessEvent::NotActivated,
        api::BusinessEvent::KeyExposed => BusinessEvent::KeyExposed,
        api::BusinessEvent::FunctionRetired => BusinessEvent::FunctionRetired,
        api::BusinessEvent::FunctionRenewed => BusinessEvent::FunctionRenewed,
        api::BusinessEvent::DomainLost => BusinessEvent::DomainLost,
        api::BusinessEvent::WeakKey => BusinessEvent::WeakKey,
    }
}

const fn reach_of(reach: Reach) -> api::EventReach {
    match reach {
        Reach::Certificate => api::EventReach::Certificate,
        Reach::Eid => api::EventReach::Eid,
        Reach::Carrier => api::EventReach::Carrier,
        Reach::HolderInOrganisation => api::EventReach::HolderInOrganisation,
        Reach::Holder => api::EventReach::Holder,
        Reach::Organisation => api::EventReach::Organisation,
    }
}

#[cfg(test)]
mod tests {
    use ca::audit::EventCode;

    use super::*;
    use crate::service::testing::World;

    /// REV-05: every event of the table can be named in the API, by the same word, and reaches as far.
    #[test]
    fn the_api_has_every_event_by_its_name() {
        for event in BusinessEvent::ALL {
            let rule = event.rule();
            let named: api::BusinessEvent =
                serde_json::from_value(json!(rule.name)).expect("an event of the API");

            assert_eq!(event_of(named), event);
            assert_eq!(json!(reach_of(rule.reach)), json!(rule.reach.name()));
        }
    }

    /// REV-05: an event is recorded with the reason that follows from it, and told how far it reaches; what
    /// contradicts itself, and what says nothing, changes nothing.
    #[test]
    fn an_event_revokes_for_its_reason_and_stands_in_the_audit_log() {
        let world = World::new();
        let issued = world.issue("a").unwrap();
        let issued: Value = serde_json::from_slice(&issued.response.body).unwrap();
        let id = issued["id"].as_str().unwrap();
        let path = format!("/v1/certificates/{id}/revocation");
        let revoke = |key: &str, revoker: Revoker, body: Value| {
            let call = world.call(&path, key, &body);
            let answered = world.run(&call, |service, work| service.revoke(revoker, id, work));
            // A refusal is stored in words, what was done as JSON.
            answered.map_or_else(
                |denied| denied.to_string(),
                |answered| String::from_utf8(answered.response.body).unwrap(),
            )
        };

        for (key, revoker, body, code) in [
            (
                "1",
                Revoker::Client,
                json!({ "event": "key-exposed", "reason": "superseded" }),
                "event-contradicts-reason",
            ),
            (
                "2",
                Revoker::Client,
                json!({ "event": "domain-lost", "reason": "unspecified" }),
                "event-contradicts-reason",
            ),
            ("3", Revoker::Operator, json!({ "event": "stolen" }), "event-not-for-kind"),
            ("4", Revoker::Client, json!({ "event": "weak-key" }), "event-not-by-client"),
            ("5", Revoker::Client, json!({}), "reason-missing"),
            ("6", Revoker::Client, json!({ "event": "burnt" }), "body-malformed"),
        ] {
            let said = revoke(key, revoker, body);
            assert!(said.contains(code), "{code}: {said}");
        }
        assert_eq!(world.service.show(id).unwrap().state, api::CertificateState::Issued);

        let revoke = |key: &str, body: Value| {
            serde_json::from_str::<Value>(&revoke(key, Revoker::Client, body)).unwrap()
        };
        let revoked = revoke("7", json!({ "event": "domain-lost" }));
        assert_eq!(revoked["outcome"], "changed", "{revoked}");
        assert_eq!(revoked["reason"], "cessationOfOperation");
        assert_eq!(revoked["reach"], "certificate");
        let both = json!({ "event": "key-exposed", "reason": "keyCompromise" });
        let graver = revoke("8", both);
        assert_eq!(graver["outcome"], "reason-corrected", "{graver}");
        let plain = revoke("9", json!({ "reason": "superseded" }));
        assert_eq!((&plain["outcome"], &plain["reach"]), (&json!("already-so"), &Value::Null));

        let leaf = world.last_payload(EventCode::CertificateRevoked);
        assert_eq!(
            (&leaf["event"], &leaf["reason"]),
            (&json!("key-exposed"), &json!("keyCompromise"))
        );
    }
}
