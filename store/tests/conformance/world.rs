//! A small CA over a store: an issuer with a key in memory, orders, certificates that are bytes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use ca::audit::{Actor, AuditEvent, EventCode, EventResult, ObjectIds};
use ca::key_holder::{KeyHolder, KeyReuse};
use ledger::{Frontier, leaf_hash};
use status::{
    AfterExpiry, AnswerClasses, BeforeActivation, Index, IssuerId, Position, StatusEntry,
};
use store::{
    AuditRecord, BegunOrder, BegunWithIntent, BootId, CertificateId, CertificateIntent, Import,
    IndexTag, IndexTerm, Issued, IssuedAndAnswered, IssuedCertificate, IssuerKeeping, Log,
    NewIssuer, NewOrder, Node, OrderAnswer, OrderId, OrderKey, Origin, Privacy, ProfileVersion,
    StatusAct, StatusChange, StatusChanged, StatusTarget, Store, StoreError, StoredResponse,
    Subject, SubjectKey,
};
use x509::key::{PublicKey, SignatureAlgorithm, SpkiHash};
use x509::name::{AttributeType, Name};
use x509::serial::SerialNumber;
use x509::signing::{IntentId, Pending, Recorded, Signed, SigningKind, ToBeSigned};
use x509::time::UnixTime;

/// The Swedish test person of every test.
pub(crate) const PERSON: &str = "191212121212";

pub(crate) const CLASSES: AnswerClasses =
    AnswerClasses { before_activation: BeforeActivation::Good, after_expiry: AfterExpiry::Kept };

/// A time in 2026, `secs` later.
pub(crate) fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(1_790_000_000 + secs).unwrap()
}

pub(crate) fn node(name: &str, boot: u8) -> Node {
    Node { name: name.to_owned(), boot: BootId::from_bytes([boot; 16]) }
}

pub(crate) fn audit(code: EventCode) -> AuditRecord {
    audit_of(code, Subject::Deployment, "payload")
}

pub(crate) fn audit_of(code: EventCode, subject: Subject, payload: &str) -> AuditRecord {
    let event = AuditEvent {
        code,
        result: EventResult::Done,
        actor: Actor::System([7; 16]),
        objects: ObjectIds::default(),
        policy: None,
    };
    AuditRecord { event, payload: payload.as_bytes().to_vec(), subject }
}

/// Ids that differ in one run, and from those of other runs.
pub(crate) fn fresh() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    static RUN: LazyLock<[u8; 8]> = LazyLock::new(|| {
        let mut run = [0; 8];
        aws_lc_rs::rand::fill(&mut run).unwrap();
        run
    });
    let mut id = [0; 16];
    id[..8].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id[8..].copy_from_slice(&*RUN);
    id
}

pub(crate) fn serial() -> SerialNumber {
    let mut octets = fresh();
    octets.rotate_left(8);
    SerialNumber::from_random(octets)
}

/// A key of its own for each serial number, all of them of the test person.
pub(crate) fn key_of(serial: &SerialNumber) -> SubjectKey {
    let mut spki = [0; 32];
    spki.iter_mut().zip(serial.as_octets()).for_each(|(to, from)| *to = *from);
    subject_key(SpkiHash::from_bytes(spki), PERSON, KeyReuse::SameHolder)
}

pub(crate) fn subject_key(spki: SpkiHash, number: &str, reuse: KeyReuse) -> SubjectKey {
    let subject = Name::builder().with(AttributeType::SerialNumber, number).unwrap().build();
    SubjectKey { spki, holder: KeyHolder::named_by(&subject), reuse }
}

/// An issuer and its key.
pub(crate) struct Issuer {
    pub(crate) pair: EcdsaKeyPair,
    pub(crate) public: PublicKey,
    pub(crate) declared: NewIssuer,
}

impl Issuer {
    pub(crate) fn new(name: &str, keeping: IssuerKeeping) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        let declared = NewIssuer {
            id: IssuerId::of(name.as_bytes(), public.spki_der()),
            name: name.to_owned(),
            certificate_der: format!("certificate of {name}").into_bytes(),
            subject_der: name.as_bytes().to_vec(),
            spki_der: public.spki_der().to_vec(),
            ski: Some(vec![1; 20]),
            not_before: at(0),
            not_after: at(1_000_000_000),
            origin: Origin::Ceremony,
            keeping,
            crl_number_floor: None,
            crl_settings: String::new(),
        };
        Self { pair, public, declared }
    }

    pub(crate) fn id(&self) -> IssuerId {
        self.declared.id
    }

    pub(crate) fn pending(&self, kind: SigningKind, bytes: &[u8]) -> Pending {
        Pending::new(
            IntentId::from_bytes(fresh()),
            kind,
            self.public.clone(),
            SignatureAlgorithm::EcdsaP256Sha256,
            ToBeSigned::Bytes(bytes.into()),
        )
        .unwrap()
    }

    pub(crate) fn sign(&self, pending: Pending, recorded: &Recorded) -> Signed {
        let input = pending.input(recorded).unwrap();
        let ToBeSigned::Bytes(bytes) = input.to_be_signed() else { panic!("bytes") };
        let signature = self.pair.sign(&SystemRandom::new(), bytes).unwrap();
        pending.finish(signature.as_ref().to_vec()).unwrap()
    }
}

/// A store with one issuer, and what it takes to issue.
pub(crate) struct World {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) node: Node,
    pub(crate) classes: AnswerClasses,
    pub(crate) not_after: UnixTime,
}

impl World {
    pub(crate) fn new(backend: &dyn super::Backend) -> Self {
        Self::of(backend, Issuer::new("CN=SIGILL TEST issuing", IssuerKeeping::Online))
    }

    /// A world of this issuer.
    pub(crate) fn of(backend: &dyn super::Backend, issuer: Issuer) -> Self {
        let world = Self { issuer: Arc::new(issuer), ..Self::without_import(backend.open()) };
        let issuers = vec![world.issuer.declared.clone()];
        let import = Import { issuers, ..Import::default() };
        world.store.import(&import, &audit(EventCode::ImportCeremony), at(0)).unwrap();
        world
    }

    pub(crate) fn without_import(store: Arc<dyn Store>) -> Self {
        let issuer = Arc::new(Issuer::new("CN=SIGILL TEST issuing", IssuerKeeping::Online));
        let (node, not_after) = (node("a", 1), at(100_000_000));
        Self { store, issuer, node, classes: CLASSES, not_after }
    }

    /// The same CA over another opening of the store.
    pub(crate) fn over(&self, store: Arc<dyn Store>, node: Node) -> Self {
        let issuer = Arc::clone(&self.issuer);
        Self { store, issuer, node, classes: self.classes, not_after: self.not_after }
    }

    pub(crate) fn new_order(&self, key: &str) -> NewOrder {
        let id = OrderId::from_bytes(fresh());
        NewOrder {
            id,
            key: OrderKey {
                client: "portal".to_owned(),
                method: "POST".to_owned(),
                path: "/v1/certificates".to_owned(),
                key: key.to_owned(),
            },
            body_sha256: [1; 32],
            body: format!("{{\"personal number\":\"{PERSON}\"}}").into_bytes(),
            subject: Subject::Order(id),
            node: self.node.clone(),
        }
    }

    pub(crate) fn order(&self) -> OrderId {
        let order = self.new_order(&format!("{:?}", fresh()));
        assert_eq!(self.store.begin_order(&order, at(0)).unwrap(), BegunOrder::New);
        order.id
    }

    pub(crate) fn subject(&self) -> Subject {
        Subject::Holder(PERSON.to_owned())
    }

    pub(crate) fn intent_facts(&self, order: OrderId, serial: SerialNumber) -> CertificateIntent {
        CertificateIntent {
            order,
            certificate: CertificateId::from_bytes(fresh()),
            issuer: self.issuer.id(),
            serial,
            key: key_of(&serial),
            not_after: self.not_after,
            answers: self.classes,
            node: self.node.clone(),
            subject: self.subject(),
            proven_by: None,
            volume: None,
            shard: None,
            issued: store::IssuedWhen::BeforeItsEnd,
        }
    }

    pub(crate) fn facts(&self) -> IssuedCertificate {
        IssuedCertificate {
            profile: ProfileVersion { name: "person-auth".to_owned(), sha256: [2; 32] },
            policy: Some("2.999.1".to_owned()),
            ended_by: Some("carrier".to_owned()),
            not_before: at(0),
            proven_by: None,
            spki: self.issuer.public.spki_hash(),
            binding: None,
            privacy: Privacy::Person {
                subject: self.subject(),
                holder: format!("holder {PERSON}").into_bytes(),
            },
            index: vec![IndexTerm::new(IndexTag::PersonalNumber, PERSON)],
        }
    }

    pub(crate) fn pending(&self, serial: SerialNumber) -> Pending {
        let bytes = format!("tbs of {PERSON}, serial {serial}");
        self.issuer.pending(SigningKind::Certificate, bytes.as_bytes())
    }

    /// Records an intent of a new order.
    pub(crate) fn intend(&self, now: UnixTime) -> Result<(OrderId, Pending, Recorded), StoreError> {
        let (order, serial) = (self.order(), serial());
        let pending = self.pending(serial);
        let recorded = self.record(order, serial, &pending, now)?;
        Ok((order, pending, recorded))
    }

    pub(crate) fn record(
        &self,
        order: OrderId,
        serial: SerialNumber,
        pending: &Pending,
        now: UnixTime,
    ) -> Result<Recorded, StoreError> {
        let facts = self.intent_facts(order, serial);
        let audit = audit_of(EventCode::CertificateIntent, self.subject(), PERSON);
        self.store.record_intent(pending, &facts, &audit, now)
    }

    pub(crate) fn record_issued(
        &self,
        pending: Pending,
        recorded: &Recorded,
        now: UnixTime,
    ) -> Result<Issued, StoreError> {
        let signed = self.issuer.sign(pending, recorded);
        let audit = audit_of(EventCode::CertificateIssued, self.subject(), PERSON);
        self.store.record_issued(&signed, &self.facts(), &audit, now)
    }

    /// Records an order and an intent of it in one act.
    pub(crate) fn begin_with_intent(
        &self,
        order: &NewOrder,
        serial: SerialNumber,
        pending: &Pending,
        now: UnixTime,
    ) -> Result<BegunWithIntent, StoreError> {
        let facts = self.intent_facts(order.id, serial);
        let audit = audit_of(EventCode::CertificateIntent, self.subject(), PERSON);
        self.store.begin_with_intent(order, pending, &facts, &audit, now)
    }

    /// Signs; records the certificate and its answer ([`response`]) in one act.
    pub(crate) fn record_and_answer(
        &self,
        pending: Pending,
        recorded: &Recorded,
        now: UnixTime,
    ) -> Result<IssuedAndAnswered, StoreError> {
        let signed = self.issuer.sign(pending, recorded);
        let audit = audit_of(EventCode::CertificateIssued, self.subject(), PERSON);
        let subject = self.subject();
        let answer = move |issued: &Issued| {
            Ok(OrderAnswer {
                response: response(issued),
                subject: subject.clone(),
                shared: Vec::new(),
            })
        };
        let facts = self.facts();
        self.store.record_issued_and_answer(&signed, &facts, Box::new(answer), &audit, now)
    }

    /// Issues one certificate under a new order, in two acts.
    pub(crate) fn issue_in_two_acts(&self, now: UnixTime) -> Issued {
        let (order, serial) = (self.new_order(&format!("{:?}", fresh())), serial());
        let pending = self.pending(serial);
        let begun = self.begin_with_intent(&order, serial, &pending, now).unwrap();
        let BegunWithIntent::Recorded(recorded) = begun else { panic!("{begun:?}") };
        self.record_and_answer(pending, &recorded, now).unwrap().issued
    }

    /// Issues one certificate under a new order.
    pub(crate) fn issue(&self, now: UnixTime) -> Issued {
        let (_, pending, recorded) = self.intend(now).unwrap();
        self.record_issued(pending, &recorded, now).unwrap()
    }

    pub(crate) fn change(
        &self,
        certificate: CertificateId,
        act: StatusAct,
        now: UnixTime,
    ) -> Result<StatusChanged, StoreError> {
        let target = StatusTarget::Certificate(certificate);
        let change = StatusChange { target, act, requested_at: Some(at(1)), alone: None };
        let audit = audit_of(EventCode::CertificateRevoked, self.subject(), PERSON);
        self.store.change_status(&change, &audit, now)
    }

    pub(crate) fn revoke(&self, certificate: CertificateId, now: UnixTime) -> StatusChanged {
        self.change(certificate, REVOKE, now).unwrap()
    }
}

/// The answer with a certificate: it names the position that was given while it was recorded.
pub(crate) fn response(issued: &Issued) -> StoredResponse {
    StoredResponse {
        status: 201,
        content_type: "application/json".to_owned(),
        body: format!("{{\"position\":  \"{}\"}}", issued.position).into_bytes(),
    }
}

pub(crate) const REVOKE: StatusAct =
    StatusAct::Revoke { reason: Some(status::RevocationReason::KeyCompromise), invalidity: None };

/// Reads a log from its first entry and checks that it is dense and hashes to its head.
pub(crate) fn verified(store: &dyn Store, log: Log) -> Vec<Vec<u8>> {
    let head = store.log_head(log).unwrap();
    let mut entries = Vec::new();
    let place = |entries: &Vec<Vec<u8>>| u64::try_from(entries.len()).unwrap();
    while place(&entries) < head.size {
        let from = place(&entries);
        let chunk = store.log_entries(log, head.epoch, from..head.size).unwrap();
        assert!(!chunk.is_empty(), "{log} has nothing at {from} of {}", head.size);
        for entry in chunk {
            assert_eq!(entry.index, place(&entries), "{log} is not dense");
            entries.push(entry.bytes);
        }
    }
    let mut frontier = Frontier::new();
    for entry in &entries {
        frontier.append(leaf_hash(entry)).unwrap();
    }
    assert_eq!(frontier.root(), head.root, "{log} does not hash to its head");
    entries
}

/// The status log as a follower reads it.
pub(crate) fn followed(store: &dyn Store) -> Index {
    let mut index = Index::new(1);
    for (place, bytes) in (0..).zip(verified(store, Log::Status)) {
        let position = Position { epoch: 1, index: place };
        index.apply(position, &StatusEntry::decode(&bytes).unwrap()).unwrap();
    }
    index
}

/// Sizes of both logs: what must not change when an act is refused.
pub(crate) fn sizes(store: &dyn Store) -> (u64, u64) {
    let size = |log| store.log_head(log).unwrap().size;
    (size(Log::Status), size(Log::Audit))
}
