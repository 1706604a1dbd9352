//! AUD-08, DAT-06: what concerns a person is sealed, and can be forgotten.

use ca::audit::{AuditLeaf, EventCode, PayloadCommitment};
use ca::deployment::Environment;
use ca::identity::PersonNumber;
use ca::key_holder::{HolderName, KeyReuse};
use status::Position;
use store::{
    BegunOrder, CertificateFilter, CertificateLookup, HeldOrder, IndexTag, IndexTerm,
    IssuedCertificate, Log, NewOrder, OrderAnswer, Privacy, StoredResponse, Subject, SubjectKey,
};

use super::Backend;
use super::world::{
    PERSON, World, at, audit, audit_of, followed, serial, sizes, subject_key, verified,
};

pub(crate) fn payloads_open_to_what_was_recorded(backend: &dyn Backend) {
    let world = World::new(backend);
    let record = audit_of(EventCode::CallRefused, world.subject(), "who and what");

    let position = world.store.record_audit(&record, at(1)).unwrap();

    assert_eq!(world.store.audit_payload(position).unwrap().unwrap(), b"who and what");
    let leaf = verified(&*world.store, Log::Audit).pop().unwrap();
    let leaf = AuditLeaf::decode(&leaf).unwrap();
    // The salt is secret: without it the leaf tells nothing of a payload that can be guessed.
    assert_ne!(leaf.payload, PayloadCommitment::new(&[0; 32], b"who and what"));
    let beyond = Position { index: position.index + 1, ..position };
    assert_eq!(world.store.audit_payload(beyond).unwrap(), None);
}

pub(crate) fn a_forgotten_subject_cannot_be_read_and_both_logs_verify(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(0)).unwrap();
    let serial = serial();
    let pending = world.pending(serial);
    let recorded = world.record(order.id, serial, &pending, at(1)).unwrap();
    let issued = world.record_issued(pending, &recorded, at(1)).unwrap();
    let response = StoredResponse {
        status: 201,
        content_type: "application/json".to_owned(),
        body: PERSON.as_bytes().to_vec(),
    };
    let answer = OrderAnswer { response, subject: world.subject(), shared: Vec::new() };
    world.store.finish_order(HeldOrder::first(order.id), &world.node, &answer, at(2)).unwrap();
    let other = Subject::Holder("191212121213".to_owned());
    let kept = audit_of(EventCode::CallRefused, other, "another person");
    let kept = world.store.record_audit(&kept, at(3)).unwrap();
    let leaves = sizes(&*world.store).1;
    let open = |store: &dyn store::Store| {
        (0..leaves)
            .filter(|index| {
                let position = Position { epoch: 1, index: *index };
                store.audit_payload(position).unwrap().is_some()
            })
            .count()
    };
    let before = open(&*world.store);
    let erased = audit(EventCode::SubjectErased);

    assert!(world.store.forget(&world.subject(), &erased, at(4)).unwrap());

    let record =
        world.store.certificate(&CertificateLookup::Id(issued.certificate)).unwrap().unwrap();
    assert_eq!((record.der, record.holder), (None, None));
    let BegunOrder::Replay { response, .. } =
        world.store.begin_order(&world.new_order("k"), at(5)).unwrap()
    else {
        panic!("not replayed")
    };
    assert!(response.body.is_empty());
    // Intent and issuing were told of this person; the import and the other person were not.
    assert_eq!(open(&*world.store), before - 2);
    assert!(world.store.audit_payload(kept).unwrap().is_some());
    let term = Some(IndexTerm::new(IndexTag::PersonalNumber, PERSON));
    let filter = CertificateFilter { term, ..CertificateFilter::default() };
    assert!(world.store.list_certificates(&filter, None, 9).unwrap().rows.is_empty());
    verified(&*world.store, Log::Audit);
    followed(&*world.store);
    // It can still be revoked, and is forgotten only once.
    world.revoke(issued.certificate, at(6));
    let status = world.store.forget(&Subject::Holder("unknown".to_owned()), &erased, at(7));
    assert!(!status.unwrap());
}

/// DAT-06: an order of which nothing came holds the person all the same.
pub(crate) fn an_order_that_was_refused_is_forgotten_with_its_person(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = NewOrder { subject: world.subject(), ..world.new_order("k") };
    let response = StoredResponse {
        status: 422,
        content_type: "application/problem+json".to_owned(),
        body: PERSON.as_bytes().to_vec(),
    };
    let answer = OrderAnswer { response, subject: world.subject(), shared: Vec::new() };
    let refused = audit_of(EventCode::CertificateRefused, world.subject(), PERSON);
    world.store.refuse_order(&order, &answer, &refused, at(1)).unwrap();
    let leaf = Position { epoch: 1, index: sizes(&*world.store).1 - 1 };
    assert_eq!(world.store.audit_payload(leaf).unwrap().unwrap(), PERSON.as_bytes());

    assert!(world.store.forget(&world.subject(), &audit(EventCode::SubjectErased), at(2)).unwrap());

    let BegunOrder::Replay { response, .. } =
        world.store.begin_order(&world.new_order("k"), at(3)).unwrap()
    else {
        panic!("not replayed")
    };
    assert!(response.body.is_empty());
    assert_eq!(world.store.audit_payload(leaf).unwrap(), None);
    verified(&*world.store, Log::Audit);
}

/// DAT-06: a person is forgotten whole. Of a certificate that names an HSA-id, the order says whose it is.
pub(crate) fn a_person_is_forgotten_by_any_of_his_names(backend: &dyn Backend) {
    const HSA_ID: &str = "TST2321000016-1002";
    let person =
        |number| HolderName::of_person(&PersonNumber::parse(number, Environment::Test).unwrap());
    let issue = |world: &World, hsa_id: &str, number| {
        let (order, serial) = (world.order(), serial());
        let pending = world.pending(serial);
        let subject = Subject::Holder(hsa_id.to_owned());
        let mut facts = world.intent_facts(order, serial);
        facts.subject = subject.clone();
        let SubjectKey { holder, .. } = subject_key(facts.key.spki, hsa_id, KeyReuse::SameHolder);
        facts.key.holder = holder.who_is(Some(person(number)));
        let record = audit_of(EventCode::CertificateIntent, subject.clone(), number);
        let recorded = world.store.record_intent(&pending, &facts, &record, at(1)).unwrap();
        let signed = world.issuer.sign(pending, &recorded);
        let facts = IssuedCertificate {
            privacy: Privacy::Person { subject, holder: number.as_bytes().to_vec() },
            index: vec![IndexTerm::new(IndexTag::HsaId, hsa_id)],
            ..world.facts()
        };
        world.store.record_issued(&signed, &facts, &record, at(1)).unwrap().certificate
    };
    let world = World::new(backend);
    let others = issue(&world, "TST2321000016-1003", "191003229802");
    let is_there = |id| {
        let record = world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap();
        record.der.is_some()
    };
    for name in [PERSON, HSA_ID, &HSA_ID.to_lowercase()] {
        let own = issue(&world, HSA_ID, PERSON);
        assert!(is_there(own));

        let forgotten = Subject::Holder(name.to_owned());
        let record = audit(EventCode::SubjectErased);
        assert!(world.store.forget(&forgotten, &record, at(2)).unwrap(), "{name}");

        assert!(!is_there(own), "{name}");
        assert!(is_there(others), "{name}");
        assert!(!world.store.forget(&forgotten, &record, at(3)).unwrap(), "{name}");
    }
}
