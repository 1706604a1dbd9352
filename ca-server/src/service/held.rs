//! What a program does whose configuration two persons have not activated: it revokes and publishes, and issues nothing (CER-10).

use std::sync::atomic::Ordering;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::operation::{Business, Operation};
use ca::refusal::Refusal;
use serde_json::json;
use store::Subject;
use x509::time::UnixTime;

use super::{COME_BACK, Service};
use crate::activation::Holding;
use crate::denied::{Denied, Kind};

impl Service {
    /// Refuses whatever issues while outer hosts are unread, or the configuration is not the activated one.
    pub(super) fn may_issue(&self, now: UnixTime) -> Result<(), Denied> {
        self.outer_hosts.may_issue(now)?;
        self.must_be_activated()
    }

    fn must_be_activated(&self) -> Result<(), Denied> {
        match &self.holding {
            Holding::Free | Holding::Activated(_) => Ok(()),
            Holding::NotActivated { seen, .. } => Err(Denied::new(
                Kind::Unavailable,
                Refusal::new(
                    "configuration-not-activated",
                    "CER-10: two persons activate the configuration that the CA issues with",
                    &format!("configuration {seen}, which nobody has activated"),
                    "the configuration that was activated last, or a new one by two persons",
                    "have it activated (docs/operations/configuration.md), or put the activated one back, and restart",
                ),
            )
            .retry_after(COME_BACK)),
        }
    }

    /// Refuses a call that changes something and does not revoke. What a client does for itself goes on.
    pub(crate) fn may_be_done(&self, operation: Option<Operation>) -> Result<(), Denied> {
        match operation {
            Some(one) if one.business() == Business::Acting && !one.goes_on_unactivated() => {
                self.must_be_activated()
            }
            _ => Ok(()),
        }
    }

    /// Says at the start with which configuration it runs, wherever one has to be activated.
    pub(crate) fn tell_holding(&self) -> Result<(), Denied> {
        let well = !matches!(self.holding, Holding::NotActivated { .. });
        self.readiness.configuration.store(well, Ordering::Relaxed);
        metrics::gauge!("sigill_configuration_activated").set(if well { 1.0 } else { 0.0 });
        match &self.holding {
            Holding::Free => Ok(()),
            Holding::Activated(hash) => {
                tracing::info!(configuration.hash = %hash, "runs with the activated configuration");
                Ok(())
            }
            Holding::NotActivated { seen, changes } => {
                tracing::error!(
                    problem.code = "configuration-not-activated",
                    configuration.hash = %seen,
                    "nobody has activated this configuration: nothing is issued, and only activated clients are let in; against the activated one, {changes}"
                );
                let document = ObjectId::Document(ledger::Hash::from_bytes(*seen.as_bytes()));
                let record = Self::record(
                    EventCode::ConfigurationNotActivated,
                    EventResult::Refused,
                    self.system(),
                    ObjectIds::of_act([Some(document)]),
                    None,
                    &json!({ "configuration": seen.to_string(), "changes": changes }),
                    Subject::Deployment,
                );
                let now = self.clock().read().now;
                self.store().record_audit(&record, now).map_err(|e| self.note_storage(&e))?;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ca::activation::{Changes, ConfigurationHash};

    use super::*;
    use crate::service::testing::World;

    fn not_activated() -> World {
        let mut world = World::new();
        let changes = Changes { added: vec!["limit".to_owned()], ..Changes::default() };
        let seen = ConfigurationHash::from_bytes([7; 32]);
        world.service.holding = Holding::NotActivated { seen, changes };
        world
    }

    /// CER-10, promise 4: a missing approval stops issuing, and no revocation.
    #[test]
    fn what_nobody_activated_issues_nothing_and_revokes() {
        let mut world = World::new();
        let issued = world.issue("one").unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&issued.response.body).unwrap();
        let id = shown["id"].as_str().unwrap().to_owned();
        world.service.holding = not_activated().service.holding;

        let refused = world.issue_again("two").unwrap_err();
        assert_eq!(refused.refusal.code, "configuration-not-activated");
        assert_eq!((refused.kind, refused.is_final()), (Kind::Unavailable, false));
        assert_eq!(world.leaves(EventCode::CertificateIntent), 1);
        let body = serde_json::json!({ "reason": "superseded" });
        let call = world.call(&format!("/v1/certificates/{id}/revocation"), "r", &body);
        let revoked = world
            .run(&call, |service, work| service.revoke(ca::revocation::Revoker::Client, &id, work));
        assert_eq!(revoked.unwrap().response.status, 1);

        world.service.holding = Holding::Free;
        assert_eq!(world.issue_again("two").unwrap().response.status, 1);
    }

    /// Each call that acts is let through because it revokes, or is not.
    #[test]
    fn only_what_revokes_goes_on_unactivated() {
        let world = not_activated();
        let through: Vec<_> = Operation::ALL
            .iter()
            .filter(|one| one.business() == Business::Acting)
            .filter(|one| world.service.may_be_done(Some(**one)).is_ok())
            .map(|one| one.id())
            .collect();
        let expected = [
            "revokeCertificate",
            "receiptRevocation",
            "revokeSerial",
            "planJob",
            "addJobTerms",
            "actOnJob",
            "revokeEid",
            "cancelOrder",
            "revokeCarrier",
            "scheduleRevocation",
            "registerRevocationRequests",
        ];
        assert_eq!(through, expected);
        for one in Operation::ALL.iter().filter(|one| one.business() != Business::Acting) {
            assert_eq!(world.service.may_be_done(Some(*one)), Ok(()), "{one:?}");
        }
        assert_eq!(world.service.may_be_done(None), Ok(()));
        assert!(World::new().service.may_be_done(Some(Operation::IssueCertificate)).is_ok());
    }

    #[test]
    fn a_start_with_what_nobody_activated_is_on_record() {
        let world = not_activated();

        world.service.tell_holding().unwrap();

        assert_eq!(world.leaves(EventCode::ConfigurationNotActivated), 1);
        let told = world.last_payload(EventCode::ConfigurationNotActivated);
        assert_eq!(told["changes"]["added"][0], "limit");
        assert!(!world.service.readiness.configuration.load(Ordering::Relaxed));
    }
}
