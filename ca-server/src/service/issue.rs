//! Issuing: prepare, record, sign, verify, record, release.

mod whose;

use std::time::{Duration, Instant};

use ca::admit::Admitted;
use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds, PolicyId};
use ca::fields::RequestedFields;
use ca::issuer::Issuer;
use ca::order::Order;
use ca::prepare::{Facts, KeySource, Preparation, Prepared, Signer, Way, prepare};
use ca::profile::{ExtensionSlot, Profile};
use ca::refusal::Refusal;
use crl::ShardNumber;
use serde_json::{Value, json};
use status::{AnswerClasses, BeforeActivation};
use store::{
    AuditRecord, Binding, CertificateId, CertificateIntent, CertificateLookup, IndexTag, IndexTerm,
    Issued, IssuedCertificate, IssuedWhen, Node, OrderId, Privacy, ProfileVersion, Subject,
    SubjectKey, Volume,
};
use x509::signing::{Pending, Recorded, Signed};
use x509::time::UnixTime;

use self::whose::{holder_of, subject_of};
use super::authority::Authority;
use super::body::from_json;
use super::caller::Caller;
use super::domains::Owner;
use super::health::Leave;
use super::order::{Answered, OrderCall, OrderWork, Outcome};
use super::ordered::{kept, noted, requested};
use super::record::{call_object, client, written};
use super::search::end_of;
use super::signing::{Signing, Tried, defect, failed_try};
use super::{Service, storage};
use crate::danger::Window;
use crate::denied::Denied;
use crate::publication::chain;

/// Who asks for a certificate, and what the record of it says.
pub(crate) struct Commission<'a> {
    pub(crate) authority: &'a Authority,
    pub(crate) profile: &'a Profile,
    pub(crate) order: OrderId,
    pub(crate) way: Way,
    pub(crate) fields: &'a RequestedFields,
    pub(crate) key: KeySource<'a>,
    /// When it ends, where that is earlier than its profile's end and nobody ordered it.
    pub(crate) ends_at: Option<UnixTime>,
    pub(crate) actor: Actor,
    /// What it is about, besides the certificate and its issuer.
    pub(crate) objects: [ObjectId; 2],
    pub(crate) payload: Value,
    /// Whose function it is for.
    pub(crate) owner: Owner,
    /// The order, of a person's certificate.
    pub(crate) ordered: Option<&'a Order>,
    /// As whose it is counted; `None` for what the program orders itself.
    pub(crate) volume: Option<Volume>,
    /// Before its authority ends, or after.
    pub(crate) issued: IssuedWhen,
    /// What is answered for it until somebody takes it into use.
    pub(crate) before_activation: BeforeActivation,
}

/// Who stands for what an order says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Duties {
    /// Who signed the call, for all of it.
    OfOneCall,
    /// Who signed each step, for that: they were held apart before.
    OfSteps,
}

impl Duties {
    /// An order in steps has one that takes the eID into use, and until then nobody is to rely on it. An order of one call has none.
    const fn before_activation(self) -> BeforeActivation {
        match self {
            Self::OfOneCall => BeforeActivation::Good,
            Self::OfSteps => BeforeActivation::Held,
        }
    }
}

impl Commission<'_> {
    /// The audit record of a step of it.
    fn record(
        &self,
        code: EventCode,
        prepared: &Prepared,
        certificate: CertificateId,
        payload: &Value,
    ) -> AuditRecord {
        let [first, second] = self.objects;
        let objects = ObjectIds::of_act([
            Some(first),
            Some(second),
            Some(ObjectId::Certificate(*certificate.as_bytes())),
            Some(ObjectId::Issuer(self.authority.id)),
        ]);
        let policy = policy_id(prepared.facts());
        let subject = subject_of(prepared, self.ordered, self.order);
        Service::record(code, EventResult::Done, self.actor, objects, policy, payload, subject)
    }
}

/// A certificate that may be signed once its intent is recorded.
pub(super) struct Ready<'a> {
    pub(super) commission: Commission<'a>,
    pub(super) prepared: Prepared,
    pub(super) certificate: CertificateId,
    /// The eID that proved its holder.
    proven_by: Option<CertificateId>,
    /// The shard whose CRL it names.
    shard: Option<ShardNumber>,
    /// The eID that it is to be of.
    binding: Option<Binding>,
    leave: Leave<'a>,
}

impl Ready<'_> {
    /// What is recorded before it is signed.
    pub(super) fn intent(&self, node: &Node) -> (CertificateIntent, AuditRecord) {
        let Self { commission, prepared, certificate, proven_by, shard, .. } = self;
        let facts = prepared.facts();
        let intent = CertificateIntent {
            order: commission.order,
            certificate: *certificate,
            issuer: commission.authority.id,
            serial: facts.serial,
            key: SubjectKey {
                spki: facts.subject_key,
                holder: holder_of(prepared, commission.ordered),
                reuse: facts.key_reuse,
            },
            not_after: facts.validity.not_after(),
            answers: AnswerClasses {
                before_activation: commission.before_activation,
                ..facts.answers
            },
            node: node.clone(),
            subject: subject_of(prepared, commission.ordered, commission.order),
            proven_by: *proven_by,
            volume: commission.volume.clone(),
            shard: *shard,
            issued: commission.issued,
        };
        let (code, _) = codes(prepared.pending());
        let record = commission.record(code, prepared, *certificate, &commission.payload);
        (intent, record)
    }
}

/// A certificate that has been signed, and what is recorded with it.
pub(super) struct Done {
    pub(super) signed: Signed,
    pub(super) facts: IssuedCertificate,
    pub(super) record: AuditRecord,
}

impl Service {
    /// Goes on with an order that an earlier call has begun and left.
    pub(super) fn go_on_issuing(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        if let Some(progress) = &work.progress {
            if let Some(certificate) = progress.certificate {
                return self.release(certificate, work);
            }
            // Before any rule refuses: that its certificate was lost is what its caller must know.
            if let Some(serial) = progress.lost {
                let lost = store::StoreError::CertificateLost { order: progress.order, serial };
                return Err(storage(&lost));
            }
            if let Some(intent) = progress.open_intent {
                self.void_intent(intent)?;
            }
        }
        let issued = self.with_commission(caller, work.call, work.order, |commission| {
            self.commission(commission)
        })?;
        self.release(issued.certificate, work)
    }

    /// Reads what a call asks for and has `act` do it.
    pub(super) fn with_commission<T>(
        &self,
        caller: &Caller,
        call: &OrderCall,
        order: OrderId,
        act: impl FnOnce(Commission<'_>) -> Result<T, Denied>,
    ) -> Result<T, Denied> {
        let request: api::IssueRequest = from_json(&call.body)?;
        self.with_request(caller, call, order, &request, Duties::OfOneCall, act)
    }

    /// As [`Self::with_commission`], of what has been read.
    pub(super) fn with_request<T>(
        &self,
        caller: &Caller,
        call: &OrderCall,
        order: OrderId,
        request: &api::IssueRequest,
        duties: Duties,
        act: impl FnOnce(Commission<'_>) -> Result<T, Denied>,
    ) -> Result<T, Denied> {
        let profile = self.profile(&request.profile)?;
        caller.must_order(&request.profile)?;
        let authority = self.issuing_authority(profile, request.authority.as_deref())?;
        let request_der = ca::request::der_from_text(&request.csr)
            .map_err(|error| Denied::rule(error.refusal()))?;
        let mut fields = requested(request);
        let ordered = request.order.as_ref().map(|order| self.order_of(order)).transpose()?;
        self.must_order_for(caller, request, ordered.as_ref())?;
        if duties == Duties::OfOneCall {
            self.must_act_for(caller, profile, request, ordered.as_ref())?;
        }
        self.must_see_holder(caller, request, ordered.as_ref())?;
        let owner = self.owner_of(caller, request)?;
        if let Some(ordered) = &ordered {
            ordered.fill(&mut fields, profile);
        }
        let registers = self.registers_say(caller, call, request, ordered.as_ref(), &fields)?;
        act(Commission {
            authority,
            profile,
            order,
            way: if ordered.is_some() { Way::Order } else { Way::Direct },
            owner,
            ordered: ordered.as_ref(),
            fields: &fields,
            key: KeySource::Request(&request_der),
            ends_at: None,
            actor: client(&call.client),
            objects: [ObjectId::Order(*order.as_bytes()), call_object(call)],
            payload: json!({
                "call": call.correlation_id,
                "client": call.client,
                "actor": request.actor,
                "profile": request.profile,
                "registers": registers,
                "owner": request.function.as_ref().map(|function| &function.owner),
            }),
            volume: Some(self.volume(&call.client, &request.profile)),
            issued: IssuedWhen::BeforeItsEnd,
            before_activation: duties.before_activation(),
        })
    }

    /// The one way of a certificate: rules and lint, intent, signature, verification, record.
    ///
    /// What it returns has been recorded and may be released.
    pub(crate) fn commission(&self, commission: Commission<'_>) -> Result<Issued, Denied> {
        let ready = self.ready(commission)?;
        let order = ready.commission.order;
        let recorded = self.intended(&ready)?;
        let Done { signed, facts, record } = self.signed(ready, &recorded)?;
        let now = self.clock().read().now;
        let issued = self.store().record_issued(&signed, &facts, &record, now);
        let issued = issued.map_err(|e| self.note_storage(&e))?;
        self.note_issued(&facts, order);
        Ok(issued)
    }

    /// Rules and lint, and that it can be signed soon.
    pub(super) fn ready<'a>(&'a self, mut commission: Commission<'a>) -> Result<Ready<'a>, Denied> {
        let now = self.signing_time()?;
        // Of an authority that has ended no later entry matters, whatever an outer host has beyond ours.
        if commission.issued == IssuedWhen::BeforeItsEnd {
            self.may_issue(now)?;
        }
        let Commission { ordered, profile, authority, .. } = commission;
        self.closed.must_be_open(profile.name().as_str())?;
        let proof = self.proving_eid(ordered)?;
        let (known, proven_by) = proof.unzip();
        let admitted = self.admitted(ordered, known.as_ref(), profile, &authority.issuer, now)?;
        let person = ordered.filter(|_| profile.kind().is_person());
        let binding = person
            .map(|order| self.binding_of(order, profile.name().as_str(), now))
            .transpose()?
            .flatten();
        let payload = std::mem::take(&mut commission.payload);
        let book = self.book.sha256();
        commission.payload = noted(payload, admitted.as_ref(), proven_by, book);
        let (prepared, shard) = self.placed(&commission, admitted.as_ref(), now)?;
        let certificate = self.draw_certificate_id(now)?;
        // From here on a call that comes to nothing costs a serial number.
        let leave = self.may_sign_soon(commission.authority)?;
        Ok(Ready { commission, prepared, certificate, proven_by, shard, binding, leave })
    }

    /// Rules and lint, of a certificate that names the CRL of a shard where its authority has shards.
    fn placed(
        &self,
        commission: &Commission<'_>,
        admitted: Option<&Admitted>,
        now: UnixTime,
    ) -> Result<(Prepared, Option<ShardNumber>), Denied> {
        let Commission { profile, authority, .. } = *commission;
        let names_a_list = profile.extensions().contains(&ExtensionSlot::CrlDistributionPoints);
        let place = if names_a_list { self.place(authority, now)? } else { None };
        let Some(place) = place else {
            return Ok((self.prepared(commission, &authority.issuer, admitted, now)?, None));
        };
        let prepared = authority
            .issuer
            .clone()
            .pointing_to(&place.url)
            .map_err(|error| defect(&chain(&error)))
            .and_then(|issuer| self.prepared(commission, &issuer, admitted, now))
            .inspect_err(|_| Self::give_back(authority, &place))?;
        Ok((prepared, Some(place.number)))
    }

    /// Rules and lint.
    pub(super) fn prepared(
        &self,
        commission: &Commission<'_>,
        issuer: &Issuer,
        admitted: Option<&Admitted>,
        now: UnixTime,
    ) -> Result<Prepared, Denied> {
        prepare(&Preparation {
            deployment: self.deployment,
            algorithms: &self.algorithms,
            test_domains: &self.test_domains,
            profile: commission.profile,
            signer: Signer::Issuer(issuer),
            way: commission.way,
            fields: commission.fields,
            key: commission.key,
            keys: &self.keys,
            serial: self.draw_serial()?,
            id: self.draw_intent_id(now)?,
            now,
            ends_at: commission.ends_at,
            admitted,
        })
        .map_err(|error| Denied::unprepared(&error))
        .and_then(|prepared| {
            self.must_lie_under_domains(commission, prepared.facts(), now)?;
            Ok(prepared)
        })
    }

    /// Records what is about to be signed.
    fn intended(&self, ready: &Ready<'_>) -> Result<Recorded, Denied> {
        let (intent, record) = ready.intent(&self.node);
        self.danger.pass(Window::BeforeIntent, intent.order);
        let now = self.signing_time()?;
        self.store()
            .record_intent(ready.prepared.pending(), &intent, &record, now)
            .map_err(|error| self.unrecorded(&intent, &error, now))
    }

    /// Has it signed in time and verifies the signature; what is to be recorded of it.
    pub(super) fn signed(&self, ready: Ready<'_>, recorded: &Recorded) -> Result<Done, Denied> {
        let Ready { commission, prepared, certificate, proven_by, binding, leave, .. } = ready;
        let order = commission.order;
        let subject = subject_of(&prepared, commission.ordered, order);
        let facts = issued_facts(&prepared, subject, commission.ordered);
        let facts = IssuedCertificate { proven_by, binding, ..facts };
        let (_, code) = codes(prepared.pending());
        let payload = json!({
            "serial": prepared.facts().serial.to_string(),
            "intent": recorded.intent_id().to_string(),
            "ended_by": prepared.facts().ended_by.to_string(),
        });
        let record = commission.record(code, &prepared, certificate, &payload);
        let (pending, _) = prepared.into_parts();
        self.danger.pass(Window::IntentSign, order);
        let signature = self.token_signature(&pending, recorded, leave.used())?;
        self.danger.pass(Window::SignVerify, order);
        let signed = self.verified(pending, recorded, signature)?;
        self.danger.pass(Window::VerifyIssued, order);
        Ok(Done { signed, facts, record })
    }

    /// What follows when a certificate has been recorded.
    pub(super) fn note_issued(&self, facts: &IssuedCertificate, order: OrderId) {
        metrics::counter!("sigill_certificates_issued_total", "profile" => facts.profile.name.clone())
            .increment(1);
        self.publication.wake();
        self.danger.pass(Window::IssuedReleased, order);
    }

    /// Has the token sign, and verifies what it gives.
    pub(crate) fn sign(&self, pending: Pending, recorded: &Recorded) -> Result<Signed, Denied> {
        let signature = self.token_signature(&pending, recorded, self.signer.deadline())?;
        self.verified(pending, recorded, signature)
    }

    /// Has the token sign, again while certainly no signature was made.
    ///
    /// On failure the intent stays open: the schedule voids it when signing has failed for 60 s, and
    /// a call with the same key voids it at once.
    fn token_signature(
        &self,
        pending: &Pending,
        recorded: &Recorded,
        within: Duration,
    ) -> Result<Vec<u8>, Denied> {
        let begun = Instant::now();
        let tried = |tried: Tried<'_>| self.note_try(recorded, tried);
        let signing = Signing { signer: self.signer.as_ref(), tried: &tried };
        let signature = signing.signature(pending, recorded, within);
        if signature.is_err() {
            self.note_signing(pending.intent().issuer_key(), begun, &signature);
        }
        signature
    }

    fn verified(
        &self,
        pending: Pending,
        recorded: &Recorded,
        signature: Vec<u8>,
    ) -> Result<Signed, Denied> {
        let tried = |tried: Tried<'_>| self.note_try(recorded, tried);
        let (key, begun) = (pending.intent().issuer_key(), Instant::now());
        let signing = Signing { signer: self.signer.as_ref(), tried: &tried };
        let signed = signing.verified(pending, signature);
        self.note_signing(key, begun, &signed);
        signed
    }

    fn note_try(&self, recorded: &Recorded, tried: Tried<'_>) {
        let Some(seen) = tried.failure() else { return };
        let intent = recorded.intent_id();
        let payload = json!({ "intent": intent.to_string(), "seen": seen });
        let record = failed_try(self.system(), &payload);
        let now = self.clock().read().now;
        if let Err(error) = self.store().record_failed_try(intent, &record, now) {
            tracing::warn!(intent.id = %intent, error = %chain(&error), "failed try could not be recorded");
        }
    }

    /// The answer with a certificate that has been recorded.
    fn release(
        &self,
        certificate: CertificateId,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let record = self
            .store()
            .certificate(&CertificateLookup::Id(certificate))
            .map_err(|e| self.note_storage(&e))?
            .ok_or_else(|| defect("a recorded certificate is not there"))?;
        self.await_publication(record.row.status.position, work.call.wait_for_publication)?;
        let shown = self.shown(&record)?;
        Answered::new(Outcome::Created, &shown, record.row.status.position)
    }

    pub(super) fn profile(&self, name: &str) -> Result<&Profile, Denied> {
        self.book.profiles().by_name(name).ok_or_else(|| {
            Denied::rule(Refusal::new(
                "profile-unknown",
                "certificates are issued under a profile",
                &name,
                "a profile of this deployment",
                "use a profile that your client may order",
            ))
            .for_now()
        })
    }

    pub(super) fn issuing_authority(
        &self,
        profile: &Profile,
        wanted: Option<&str>,
    ) -> Result<&Authority, Denied> {
        let now = self.clock().read().now;
        let fits = |authority: &&Authority| {
            authority.signs_here()
                && authority.issuer.profiles().contains(profile.name())
                && wanted.is_none_or(|name| name == authority.name())
        };
        let mut fitting: Vec<_> = self.authorities.values().filter(fits).collect();
        // Where one authority follows another, the one that issues today.
        let issues = |authority: &&Authority| self.issuing(authority, now).is_now();
        if fitting.iter().any(issues) {
            fitting.retain(issues);
        }
        match *fitting.as_slice() {
            [authority] => Ok(authority),
            ref found => Err(Denied::rule(Refusal::new(
                if found.is_empty() { "authority-not-fitting" } else { "authority-ambiguous" },
                "PRO-10: profile and issuing authority belong together",
                &format!("profile {}, authority {}", profile.name(), wanted.unwrap_or("not named")),
                "exactly one authority that issues this profile",
                "name the authority; GET /v1/authorities lists them",
            ))
            .for_now()),
        }
    }

    /// As [`storage`], with the readiness of the database noted.
    pub(crate) fn note_storage(&self, error: &store::StoreError) -> Denied {
        let denied = storage(error);
        // A clock that is behind is not the database's fault.
        if error.is_passing() && !matches!(error, store::StoreError::ClockBehind { .. }) {
            metrics::counter!("sigill_storage_failures_total", "code" => error.code()).increment(1);
            self.readiness.storing.store(false, std::sync::atomic::Ordering::Relaxed);
        }
        denied
    }
}

fn issued_facts(
    prepared: &Prepared,
    subject: Subject,
    ordered: Option<&Order>,
) -> IssuedCertificate {
    let facts = prepared.facts();
    let fields = &facts.fields;
    let is_person = facts.kind.is_person();
    let texts = [
        (IndexTag::CardNumber, fields.card_number.as_ref().map(|v| v.as_str())),
        (IndexTag::CommonName, fields.common_name.as_ref().map(|v| v.as_str())),
        (IndexTag::Email, fields.email.as_ref().map(|v| v.as_str())),
        (IndexTag::HsaId, fields.hsa_id.as_ref().map(|v| v.as_str())),
        (
            IndexTag::HsaIdEnd,
            fields.hsa_id.as_ref().filter(|_| is_person).map(|v| end_of(v.as_str())),
        ),
        (IndexTag::PersonalNumber, fields.personal_identity_number.as_ref().map(|v| v.as_str())),
        (IndexTag::PrincipalName, fields.upn.as_ref().map(|v| v.as_str())),
    ];
    let dns = fields.dns.iter().map(|name| (IndexTag::DnsName, Some(name.as_str())));
    let index = texts
        .into_iter()
        .chain(dns)
        .filter_map(|(tag, value)| value.map(|value| IndexTerm::new(tag, value)))
        .collect();
    let privacy = if is_person {
        let holder = json!({
            "given_name": fields.given_name.as_ref().map(|v| v.as_str()),
            "surname": fields.surname.as_ref().map(|v| v.as_str()),
            "hsa_id": fields.hsa_id.as_ref().map(|v| v.as_str()),
            "personal_identity_number":
                fields.personal_identity_number.as_ref().map(|v| v.as_str()),
            "organization": fields.organization.as_ref().map(|v| v.as_str()),
            "card_number": fields.card_number.as_ref().map(|v| v.as_str()),
            "upn": fields.upn.as_ref().map(|v| v.as_str()),
            "email": fields.email.as_ref().map(|v| v.as_str()),
            "order": ordered.map(kept),
        });
        Privacy::Person { subject, holder: written(&holder) }
    } else {
        Privacy::Public
    };
    IssuedCertificate {
        profile: ProfileVersion {
            name: facts.profile.to_string(),
            sha256: *facts.profile_hash.as_bytes(),
        },
        policy: facts.policy.map(|policy| policy.to_string()),
        ended_by: Some(facts.ended_by.to_string()),
        not_before: facts.validity.not_before(),
        proven_by: None,
        spki: facts.subject_key,
        binding: None,
        privacy,
        index,
    }
}

fn codes(pending: &Pending) -> (EventCode, EventCode) {
    match pending.intent().kind() {
        x509::signing::SigningKind::OcspDelegate => {
            (EventCode::OcspDelegateIntent, EventCode::OcspDelegateIssued)
        }
        _ => (EventCode::CertificateIntent, EventCode::CertificateIssued),
    }
}

fn policy_id(facts: &Facts) -> Option<PolicyId> {
    facts.policy.and_then(|policy| PolicyId::from_content_octets(policy.as_bytes()).ok())
}

#[cfg(test)]
mod tests;
