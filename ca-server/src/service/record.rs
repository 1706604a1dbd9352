//! What goes into the audit log with each act: ids in the leaf, everything else in the payload.

use ca::audit::{Actor, AuditEvent, EventCode, EventResult, ObjectId, ObjectIds, PolicyId};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use store::{AuditRecord, CertificateRow, IntentRow, OrderId, Subject};

use super::Service;
use super::authority::Authority;
use super::order::{Act, OrderCall};
use crate::denied::Denied;

impl Service {
    /// The actor of what this program does by itself.
    pub(crate) const fn system(&self) -> Actor {
        Actor::System(*self.node.boot.as_bytes())
    }

    /// Puts a record together.
    pub(crate) fn record(
        code: EventCode,
        result: EventResult,
        actor: Actor,
        objects: ObjectIds,
        policy: Option<PolicyId>,
        payload: &Value,
        subject: Subject,
    ) -> AuditRecord {
        AuditRecord {
            event: AuditEvent { code, result, actor, objects, policy },
            payload: written(payload),
            subject,
        }
    }

    /// The record of a refusal that is stored with its order.
    pub(crate) fn refusal_record(
        &self,
        order: OrderId,
        call: &OrderCall,
        denied: &Denied,
    ) -> AuditRecord {
        let code = match call.act {
            Act::Issue => EventCode::CertificateRefused,
            Act::Renew => EventCode::ManagementRefused,
            Act::Revoke => EventCode::RevocationRefused,
            Act::Resume
            | Act::Decide
            | Act::Organise
            | Act::Protect
            | Act::Step
            | Act::Ask
            | Act::Approve => EventCode::CallRefused,
        };
        let payload = json!({
            "call": call.correlation_id,
            "client": call.client,
            "code": denied.refusal.code,
            "rule": denied.refusal.rule,
            "seen": denied.refusal.seen,
            "limit": denied.refusal.limit,
        });
        let objects =
            ObjectIds::of_act([Some(ObjectId::Order(*order.as_bytes())), Some(call_object(call))]);
        Self::record(
            code,
            EventResult::Refused,
            client(&call.client),
            objects,
            None,
            &payload,
            self.subject_of_call(call, order),
        )
    }

    /// The record of a change of status, or of the wish for one.
    pub(crate) fn status_record(
        code: EventCode,
        authority: &Authority,
        row: Option<&CertificateRow>,
        call: &OrderCall,
        payload: &Value,
    ) -> AuditRecord {
        let objects = ObjectIds::of_act([
            Some(ObjectId::Issuer(authority.id)),
            Some(call_object(call)),
            row.map(|row| ObjectId::Certificate(*row.id.as_bytes())),
        ]);
        let subject = row.and_then(|row| row.order).map_or(Subject::Deployment, Subject::Order);
        Self::record(code, EventResult::Done, client(&call.client), objects, None, payload, subject)
    }

    /// The record of an intent that came to nothing.
    pub(crate) fn void_record(&self, intent: &IntentRow, why: &'static str) -> AuditRecord {
        let objects = ObjectIds::of_act([
            Some(ObjectId::Document(ledger::Hash::from_bytes(intent.digest))),
            intent.certificate.map(|id| ObjectId::Certificate(*id.as_bytes())),
            intent.order.map(|id| ObjectId::Order(*id.as_bytes())),
        ]);
        let code = if intent.certificate.is_some() {
            EventCode::CertificateVoided
        } else {
            EventCode::CrlVoided
        };
        let payload = json!({
            "intent": intent.id.to_string(),
            "kind": intent.kind.name(),
            "node": intent.node.name,
            "signature": self.signature_of(intent.id, intent.node.boot),
            "why": why,
        });
        Self::record(
            code,
            EventResult::Done,
            self.system(),
            objects,
            None,
            &payload,
            Subject::Deployment,
        )
    }
}

/// Evidence as octets. A value is always JSON: no way leads to an empty payload.
pub(crate) fn written(evidence: &Value) -> Vec<u8> {
    evidence.to_string().into_bytes()
}

/// The call as an object of a leaf.
pub(crate) fn call_object(call: &OrderCall) -> ObjectId {
    call_of(&call.correlation_id)
}

/// The same of a call by its correlation id.
pub(crate) fn call_of(correlation_id: &str) -> ObjectId {
    let mut id = [0; 16];
    // The id was made by this program from 16 octets.
    let _ = base16ct::lower::decode(correlation_id, &mut id);
    ObjectId::Call(id)
}

/// A client as an object of a leaf.
pub(crate) fn client_object(name: &str) -> ObjectId {
    match client(name) {
        Actor::System(id) | Actor::Client(id) | Actor::Person(id) => ObjectId::Client(id),
    }
}

/// A client as an actor: 16 octets of a hash of its configured name, which names a system.
pub(crate) fn client(name: &str) -> Actor {
    let hash: [u8; 32] =
        Sha256::new().chain_update(b"sigill-client/1\0").chain_update(name).finalize().into();
    let mut id = [0; 16];
    id.copy_from_slice(hash.split_at(16).0);
    Actor::Client(id)
}

/// Two programs run under one node name.
pub(crate) fn node_name_taken(by: &str, until: x509::time::UnixTime) -> Denied {
    Denied::new(
        crate::denied::Kind::Unavailable,
        ca::refusal::Refusal::new(
            "node-name-taken",
            "promise 2: one running program has the name of a node",
            &format!("another start of node {by} holds its lease until {until}"),
            "one program a node name",
            "stop the other program, or give this node another name; after a crash wait 30 s",
        ),
    )
}
