//! Certificates that the program orders itself, of the test set and of trial revocations: issued, revoked and held by the ways of all
//! others, for a key that is forgotten as soon as it is certified.

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::fields::RequestedFields;
use ca::prepare::{KeySource, Way};
use ca::profile::Profile;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use status::BeforeActivation;
use store::{
    BegunOrder, CertificateId, HeldOrder, Issued, IssuedWhen, NewOrder, OrderAnswer, OrderId,
    OrderKey, StatusAct, StatusChange, StatusChanged, StatusTarget, StoredResponse, Subject,
};
use x509::time::UnixTime;

use super::Service;
use super::authority::Authority;
use super::domains::Owner;
use super::issue::Commission;
use crate::denied::Denied;
use crate::management::files::NewKey;

/// What ends an order: nobody asked over a protocol that has a status.
const NO_STATUS: u16 = 0;

/// What the program orders a certificate for.
pub(super) struct Purpose {
    /// In whose name its orders stand; no client has such a name.
    pub(super) client: &'static str,
    /// What they are for, as paths are.
    pub(super) path: &'static str,
    /// What the audit log says beside the profile.
    pub(super) key: &'static str,
    /// And of a revocation.
    pub(super) why: &'static str,
    /// What is said where there are no random numbers.
    pub(super) fault: fn(&dyn std::fmt::Display) -> Denied,
}

/// A certificate that the program orders.
pub(super) struct OwnOrder<'a> {
    pub(super) purpose: &'a Purpose,
    pub(super) authority: &'a Authority,
    pub(super) profile: &'a Profile,
    pub(super) fields: &'a RequestedFields,
    pub(super) ends_at: UnixTime,
}

impl Service {
    /// Begins the order of this id, or asks how it stands: its key and its body are its id.
    pub(super) fn begin_own_order(
        &self,
        purpose: &Purpose,
        id: OrderId,
    ) -> Result<BegunOrder, Denied> {
        let body = id.to_string();
        self.begin(&NewOrder {
            id,
            key: OrderKey {
                client: purpose.client.to_owned(),
                method: "SCHEDULE".to_owned(),
                path: purpose.path.to_owned(),
                key: id.to_string(),
            },
            body_sha256: Sha256::digest(&body).into(),
            body: body.into_bytes(),
            subject: Subject::Order(id),
            node: self.node.clone(),
        })
    }

    /// Issues what a new order is about, and ends it, whatever came of it: nobody comes back for it.
    pub(super) fn issue_own(&self, own: &OwnOrder<'_>, id: OrderId) -> Result<Issued, Denied> {
        let order = match self.begin_own_order(own.purpose, id)? {
            BegunOrder::New => HeldOrder::first(id),
            _ => return Err((own.purpose.fault)(&"an order id that was drawn twice")),
        };
        let issued = self.issue_for_own(own, id);
        let outcome = match &issued {
            Ok(issued) => issued.certificate.to_string(),
            Err(denied) => denied.refusal.code.to_owned(),
        };
        self.end_own_order(order, outcome);
        issued
    }

    pub(super) fn issue_for_own(
        &self,
        own: &OwnOrder<'_>,
        order: OrderId,
    ) -> Result<Issued, Denied> {
        // Forgotten when this call ends.
        let key = NewKey::draw().map_err(|error| (own.purpose.fault)(&error))?;
        self.commission(Commission {
            ordered: None,
            owner: Owner::Program,
            authority: own.authority,
            profile: own.profile,
            order,
            way: Way::Direct,
            fields: own.fields,
            key: KeySource::Proven(&key.public),
            ends_at: Some(own.ends_at),
            actor: self.system(),
            objects: [ObjectId::Order(*order.as_bytes()), ObjectId::Key(key.public.spki_hash())],
            payload: json!({ (own.purpose.key): own.profile.name().as_str() }),
            volume: None,
            issued: IssuedWhen::BeforeItsEnd,
            before_activation: BeforeActivation::Good,
        })
    }

    /// Ends an order that the program began.
    pub(super) fn end_own_order(&self, order: HeldOrder, outcome: String) {
        let response = StoredResponse {
            status: NO_STATUS,
            content_type: "text/plain".to_owned(),
            body: outcome.into_bytes(),
        };
        let answer =
            OrderAnswer { response, subject: Subject::Order(order.id), shared: Vec::new() };
        let now = self.clock().read().now;
        if let Err(error) = self.store().finish_order(order, &self.node, &answer, now) {
            self.orders_left.note(order, &error);
        }
    }

    /// Revokes or holds a certificate that the program ordered.
    pub(super) fn change_own(
        &self,
        purpose: &Purpose,
        authority: &Authority,
        (certificate, order): (CertificateId, OrderId),
        (act, code): (StatusAct, EventCode),
    ) -> Result<StatusChanged, Denied> {
        let record = Self::record(
            code,
            EventResult::Done,
            self.system(),
            ObjectIds::of_act([
                Some(ObjectId::Issuer(authority.id)),
                Some(ObjectId::Certificate(*certificate.as_bytes())),
                Some(ObjectId::Order(*order.as_bytes())),
            ]),
            None,
            &json!({ "why": purpose.why }),
            Subject::Order(order),
        );
        let target = StatusTarget::Certificate(certificate);
        let now = self.clock().read().now;
        let change = StatusChange { target, act, requested_at: None, alone: None };
        let changed = self.store().change_status(&change, &record, now);
        let changed = changed.map_err(|error| self.note_storage(&error))?;
        authority.ask_for_crl();
        Ok(changed)
    }
}
