//! Who acts: the statement that came with a call, from its text to the one who signed it.
//!
//! It is judged like the proof of a holder's identity ([`super::eid`]): what one read of the store says of the eID, and its state once more in
//! the act that takes the statement, at a position of the log. So a call of an administrator whose eID was revoked before it is refused,
//! on every node.

use std::time::Duration;

use ca::actor::statement::{ActorStatement, CallFacts, SignedBy};
use ca::actor::{ActsFor, judge_eid, judge_order};
use ca::admit::RuleRefusal;
use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::eid::EidHolder;
use ca::key_holder::HolderName;
use ca::operation::{Business, Operation};
use ca::order::{ActorId, Order};
use ca::organisation::Scope;
use ca::profile::Profile;
use ca::refusal::Refusal;
use ca::role::{ActsAs, Protected};
use ca::steps::judge_one_call;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use status::Position;
use store::{
    Again, CertificateFilter, CertificateId, CertificateLookup, CertificateRow, IndexTag,
    IndexTerm, OrderKey, OrganisationId, StatementUse, StoreError, Subject,
};
use x509::certificate::Certificate;
use x509::key::PublicKey;
use x509::name::AttributeType;
use x509::time::UnixTime;

use super::Service;
use super::caller::Caller;
use super::eid::known;
use super::record::{call_of, client_object};
use super::signing::defect;
use crate::denied::{Denied, Kind};
use crate::statements::DirectCalls;

/// How long a statement is remembered after it counts no more: longer than any clock is put right by.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);
/// Acts of forgetting in one round; what is left waits for the next.
const FORGETTING: usize = 20;
/// Certificates of an administrator that are asked for whether he is a holder; the newest he signs with himself.
const OWN_CERTIFICATES: u32 = 100;

/// Who signed for a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Acting {
    /// His HSA-id, in the certificate of his eID or as the identity provider has it.
    pub(super) id: ActorId,
    /// The eID that he signed with.
    pub(super) eid: Option<CertificateId>,
    /// In which role.
    pub(super) acts: ActsAs,
    /// The organisation that it is on.
    pub(super) organisation: Option<OrganisationId>,
    /// The leaf that tells of his statement.
    pub(super) stated: Position,
}

impl Acting {
    /// The name that the CA knows him by.
    pub(super) fn term(&self) -> IndexTerm {
        term_of(&self.id)
    }
}

fn term_of(id: &ActorId) -> IndexTerm {
    IndexTerm::new(IndexTag::HsaId, id.as_str())
}

/// Who signed for a call, before that is taken.
struct Judged {
    id: ActorId,
    eid: Option<CertificateId>,
    acts: ActsAs,
    organisation: Option<OrganisationId>,
}

/// A statement and the call that it came with.
#[derive(Clone, Debug)]
pub(crate) struct Stated<'a> {
    pub(crate) text: &'a str,
    /// What it asks for; `None` where nobody is needed.
    pub(crate) operation: Option<Operation>,
    /// The organisations that the client is limited to.
    pub(crate) limited_to: Option<&'a [OrganisationId]>,
    pub(crate) client: &'a str,
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) body_sha256: [u8; 32],
    pub(crate) idempotency_key: Option<&'a str>,
    /// Whether the same call may come again with it.
    pub(crate) again: Again,
    pub(crate) correlation_id: &'a str,
    pub(crate) now: UnixTime,
}

/// The one whose key is to have signed.
struct Signer {
    key: PublicKey,
    eid: Option<(CertificateRow, Certificate)>,
}

impl Service {
    /// Who signed this statement about this call; it is taken by that, and on record.
    pub(crate) fn acting(&self, stated: &Stated<'_>) -> Result<Acting, Denied> {
        let statement = ActorStatement::parse(stated.text).map_err(unknown)?;
        let signer = self.signer_of(&statement)?;
        statement.verify(&signer.key).map_err(unknown)?;
        let audience = self.deployment.audience();
        let age = self.actors.age;
        statement
            .judge(&CallFacts {
                audience: &audience,
                client: stated.client,
                method: stated.method,
                target: stated.target,
                body_sha256: stated.body_sha256,
                idempotency_key: stated.idempotency_key,
                now: stated.now,
                age,
            })
            .map_err(unknown)?;
        let judged = self.judged(&statement, &signer, stated)?;
        let until = statement.until(age).ok_or_else(|| defect("a statement that ends never"))?;
        self.take(&statement, judged, signer.eid.map(|(row, _)| row).as_ref(), stated, until)
    }

    fn signer_of(&self, statement: &ActorStatement) -> Result<Signer, Denied> {
        match statement.signed_by() {
            SignedBy::Eid(sha256) => {
                let lookup = CertificateLookup::Fingerprint(*sha256);
                let found = self.store().certificate(&lookup).map_err(|e| self.note_storage(&e))?;
                // Of one who has been forgotten there are no bytes any more.
                let read = found.and_then(|record| {
                    let certificate = Certificate::from_der(&record.der?).ok()?;
                    Some((record.row, certificate))
                });
                let (row, certificate) = read.ok_or_else(|| {
                    key_unknown("x5t#S256", "the certificate of an eID that this CA has issued")
                })?;
                let key = certificate.public_key().clone();
                Ok(Signer { key, eid: Some((row, certificate)) })
            }
            SignedBy::Provider(kid) => {
                let found = self.actors.providers.get(kid);
                let found = found.ok_or_else(|| {
                    key_unknown("kid", "a [[actor-statements.provider]] of the configuration")
                })?;
                Ok(Signer { key: found.key.clone(), eid: None })
            }
        }
    }

    fn judged(
        &self,
        statement: &ActorStatement,
        signer: &Signer,
        stated: &Stated<'_>,
    ) -> Result<Judged, Denied> {
        let now = stated.now;
        let (id, eid) = self.person(statement, signer, now)?;
        let acts = statement.judge_role(stated.operation).map_err(forbidden)?;
        let organisation = statement.claims().organisation.as_deref();
        let organisation = organisation.map(|id| self.reached(id, stated)).transpose()?;
        Ok(Judged { id, eid, acts, organisation })
    }

    /// The organisation that a role is on: one that the client sees, if that is limited to some.
    fn reached(&self, id: &str, stated: &Stated<'_>) -> Result<OrganisationId, Denied> {
        let refused = || {
            forbidden(Refusal::new(
                "actor-organisation-refused",
                "API-04: a role is on an organisation that is there, and of the client's",
                &id,
                "an organisation that the client sees, by its id",
                "state the organisation that the role is on, or go through its client",
            ))
        };
        let id: OrganisationId = id.parse().map_err(|_| refused())?;
        let client = stated.limited_to.map_or(Scope::All, |own| Scope::Under(own.to_vec()));
        if self.sees_organisation(&client, id, stated.now)? { Ok(id) } else { Err(refused()) }
    }

    fn person(
        &self,
        statement: &ActorStatement,
        signer: &Signer,
        now: UnixTime,
    ) -> Result<(ActorId, Option<CertificateId>), Denied> {
        let Some((row, certificate)) = &signer.eid else {
            let SignedBy::Provider(kid) = statement.signed_by() else {
                return Err(defect("a statement of an eID without one"));
            };
            let provider = self.actors.providers.get(kid);
            let provider = provider.ok_or_else(|| key_unknown("kid", "a provider"))?;
            let id = statement.judge_provider(&provider.terms, now).map_err(unknown)?;
            return Ok((id, None));
        };
        statement.judge_eid_claims().map_err(unknown)?;
        judge_eid(&known(row, EidHolder::Unknown), &self.book, now).map_err(unknown)?;
        let hsa_id = certificate.subject().text_of(AttributeType::SerialNumber.oid());
        let id = hsa_id.as_deref().and_then(ActorId::new);
        let id = id.ok_or_else(|| defect("an eID with an HSA-id that has none in its subject"))?;
        Ok((id, Some(row.id)))
    }

    fn take(
        &self,
        statement: &ActorStatement,
        judged: Judged,
        row: Option<&CertificateRow>,
        stated: &Stated<'_>,
        until: UnixTime,
    ) -> Result<Acting, Denied> {
        let signed: [u8; 32] = Sha256::digest(statement.signed()).into();
        let call = OrderKey {
            client: stated.client.to_owned(),
            method: stated.method.to_owned(),
            path: stated.target.to_owned(),
            key: stated.correlation_id.to_owned(),
        };
        let used = StatementUse {
            name: statement.name(),
            signed,
            eid: judged.eid,
            administrator: term_of(&judged.id),
            // There always is one: a revocation waits for no generator.
            drawn: *self.revocation_order_id(stated.now, &call).as_bytes(),
            again: stated.again,
            until,
            reads: stated.operation.is_some_and(|one| one.business() == Business::Reading),
        };
        let objects = ObjectIds::of_act([
            Some(call_of(stated.correlation_id)),
            Some(client_object(stated.client)),
            Some(ObjectId::Document(ledger::Hash::from_bytes(signed))),
            judged.eid.map(|eid| ObjectId::Certificate(*eid.as_bytes())),
            judged.organisation.map(|id| ObjectId::Organisation(*id.as_bytes())),
        ]);
        let payload = json!({
            "call": stated.correlation_id,
            "client": stated.client,
            "administrator": judged.id.as_str(),
            "role": judged.acts.to_string(),
            "organisation": judged.organisation.map(|id| id.to_string()),
            "statement": stated.text,
        });
        let subject = row
            .and_then(|row| row.order)
            .map_or_else(|| Subject::Holder(judged.id.as_str().to_owned()), Subject::Order);
        let record = Self::record(
            EventCode::ActorStated,
            EventResult::Done,
            self.system(),
            objects,
            None,
            &payload,
            subject,
        );
        let taken = self.store().take_statement(&used, &record, stated.now);
        let stated = taken.map_err(|error| match error {
            StoreError::StatementReplayed => replayed(),
            StoreError::EidNotActive { .. } => ended(),
            other => self.note_storage(&other),
        })?;
        let Judged { id, eid, acts, organisation } = judged;
        Ok(Acting { id, eid, acts, organisation, stated })
    }

    /// Forgets the statements that could not be sent again for long.
    pub(crate) fn forget_statements(&self) -> Result<(), Denied> {
        let now = self.clock().read().now;
        let before = now.saturating_sub(REMEMBERED);
        for _ in 0..FORGETTING {
            let forgotten = self.store().forget_statements(before);
            if forgotten.map_err(|e| self.note_storage(&e))? == 0 {
                break;
            }
        }
        Ok(())
    }

    /// Holds the one who signed for an order of a certificate against it. A person's certificate nobody gets by a client's own word, but where the
    /// deployment takes that.
    pub(super) fn must_act_for(
        &self,
        caller: &Caller,
        profile: &Profile,
        request: &api::IssueRequest,
        ordered: Option<&Order>,
    ) -> Result<(), Denied> {
        let taken = self.actors.direct == DirectCalls::Taken;
        match (&caller.acting, ordered) {
            (Some(acting), _) if !profile.kind().is_person() => match acting.acts {
                ActsAs::Administrator(role, _) if role.orders_functions() => Ok(()),
                acts => Err(function_refused(acts)),
            },
            (None, _) if !profile.kind().is_person() => Ok(()),
            (None, _) if taken => Ok(()),
            (None, _) => Err(statement_required()),
            (Some(acting), Some(order)) => {
                let holder = self.acts_for(acting, order, request.subject.hsa_id.as_deref())?;
                judge_order(&acting.id, acting.acts, order, holder)
                    .and_then(|()| if taken { Ok(()) } else { self.in_one_call(profile, order) })
                    .map_err(|refused| Denied::new(Kind::Forbidden, refused.refusal()))
            }
            (Some(_), None) if taken => Ok(()),
            (Some(_), None) => Err(order_missing()),
        }
    }

    /// Whether one person's signature is enough for all that an order says. Of a routine that the book has no more admission tells.
    fn in_one_call(&self, profile: &Profile, order: &Order) -> Result<(), RuleRefusal> {
        let routine = self.book.routine(order.routine.as_str());
        routine.map_or(Ok(()), |one| judge_one_call(order.role, one, profile.trust_level()))
    }

    /// Whether the order is for the one who acts, by everything that the CA knows him by: the HSA-id, and whose the eIDs with it are.
    pub(super) fn acts_for(
        &self,
        acting: &Acting,
        order: &Order,
        hsa_id: Option<&str>,
    ) -> Result<ActsFor, Denied> {
        if hsa_id.unwrap_or_default().trim().eq_ignore_ascii_case(acting.id.as_str()) {
            return Ok(ActsFor::Himself);
        }
        let filter = CertificateFilter {
            term: Some(acting.term()),
            protected: Protected::Seen,
            ..CertificateFilter::default()
        };
        let own = self.store().list_certificates(&filter, None, OWN_CERTIFICATES);
        let own = own.map_err(|e| self.note_storage(&e))?.rows.into_iter().map(|row| row.id);
        let person = HolderName::of_identity(&order.identity);
        for eid in own.chain(acting.eid) {
            let holder =
                self.store().eid_holder(eid, &person).map_err(|e| self.note_storage(&e))?;
            if holder == EidHolder::Same {
                return Ok(ActsFor::Himself);
            }
        }
        Ok(ActsFor::Another)
    }
}

impl Service {
    /// Whether two ids of administrators are one person's, by the certificates that the CA has issued to each.
    pub(super) fn is_one_person(&self, one: &ActorId, other: &ActorId) -> Result<bool, Denied> {
        let found = self.store().is_one_person(&term_of(one), &term_of(other));
        found.map_err(|e| self.note_storage(&e))
    }
}

/// A call without a statement where there must be one.
pub(crate) fn statement_required() -> Denied {
    unknown(Refusal::new(
        "actor-statement-required",
        "API-05: what a client asks for somebody has signed",
        &"no statement of an administrator",
        format!("one header {}", api::ACTOR_STATEMENT),
        "have the administrator who acts sign the call, as docs/formats/actor-statement.md says",
    ))
}

fn order_missing() -> Denied {
    Denied::rule(Refusal::new(
        "actor-order-missing",
        "ISS-14: who acts is held against the duties that an order names",
        &"a person's certificate without an order",
        "the field `order`",
        "send the order; calls without one are the demo's alone",
    ))
    .for_now()
}

fn function_refused(acts: ActsAs) -> Denied {
    forbidden(Refusal::new(
        "actor-role-refused",
        "API-04: functions go by who answers for an area",
        &acts,
        "a role that orders functions (docs/roles.md)",
        "have somebody act who has such a role",
    ))
}

/// It is known who acts, and he may not.
fn forbidden(refusal: Refusal) -> Denied {
    Denied::new(Kind::Forbidden, refusal)
}

/// Nobody knows who acts.
fn unknown(refusal: Refusal) -> Denied {
    Denied::new(Kind::Unauthenticated, refusal)
}

fn key_unknown(seen: &'static str, limit: &'static str) -> Denied {
    unknown(Refusal::new(
        "actor-key-unknown",
        "API-05: who acts has signed with a key that the CA trusts",
        &format!("{seen} of the header names none"),
        limit,
        "sign with the key of an eID of this deployment, or of a provider of its configuration",
    ))
}

fn replayed() -> Denied {
    unknown(Refusal::new(
        "actor-statement-replayed",
        "API-01: a statement is taken once, and again with the same call alone, where that does nothing twice",
        &"a statement that has come before",
        "a statement of its own for each call; a repeated order has the key that it had",
        "have the call signed anew, with another jti",
    ))
}

fn ended() -> Denied {
    unknown(Refusal::new(
        "actor-eid-ended",
        "API-05: the eID of who acts is active when his statement is taken",
        &"an eID that was held or revoked, or ended, while the call was judged",
        "an eID that is active",
        "sign with an eID that is active",
    ))
}

#[cfg(test)]
pub(crate) mod tests;
