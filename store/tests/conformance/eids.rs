//! ISS-20: an eID that proves who its holder is.

use ca::audit::EventCode;
use ca::eid::EidHolder;
use status::{AnswerClasses, BeforeActivation};
use store::{
    CertificateId, CertificateIntent, Import, ImportedCertificate, IndexTag, IndexTerm,
    IssuedCertificate, StatusAct, StoreError,
};
use x509::signing::{Pending, Recorded};
use x509::time::UnixTime;

use super::imports::certificate;
use super::keys::{held, issue, key, ordered, person};
use super::world::{PERSON, REVOKE, World, at, audit, audit_of, fresh, serial, sizes};
use super::{Backend, reads};

const HSA_ID: &str = "TST2321000016-1002";
const ANOTHER: &str = "191003229802";

/// An eID by an order for [`PERSON`].
fn eid(world: &World) -> CertificateId {
    issue(world, ordered(key(), HSA_ID, PERSON)).unwrap()
}

fn intend(
    world: &World,
    eid: CertificateId,
    now: UnixTime,
) -> Result<(Pending, Recorded), StoreError> {
    let (order, serial) = (world.order(), serial());
    let pending = world.pending(serial);
    let facts = CertificateIntent { proven_by: Some(eid), ..world.intent_facts(order, serial) };
    let audit = audit_of(EventCode::CertificateIntent, world.subject(), PERSON);
    let recorded = world.store.record_intent(&pending, &facts, &audit, now)?;
    Ok((pending, recorded))
}

/// Whom an order or an import has said counts; of what says nothing, the number in the subject.
pub(crate) fn an_eid_is_whose_its_own_order_said(backend: &dyn Backend) {
    let world = World::new(backend);
    let whose = |eid, number| world.store.eid_holder(eid, &person(number)).unwrap();
    let of_order = eid(&world);
    let of_number = issue(&world, held(key(), PERSON)).unwrap();
    // That orders have named the HSA-id's person meanwhile says nothing of this one.
    let of_hsa_id = issue(&world, held(key(), HSA_ID)).unwrap();
    let taken_over = |named| ImportedCertificate {
        person: named,
        ..certificate(world.issuer.id(), serial(), &fresh())
    };
    let (said, unsaid) = (taken_over(Some(person(PERSON))), taken_over(None));
    let certificates = vec![said.clone(), unsaid.clone()];
    let import = Import { certificates, ..Import::default() };
    world.store.import(&import, &audit(EventCode::ImportCertificate), at(4)).unwrap();

    let mine: Vec<_> =
        [of_order, of_number, of_hsa_id, said.id, unsaid.id].map(|eid| whose(eid, PERSON)).to_vec();
    let anothers: Vec<_> = [of_order, of_number, said.id].map(|eid| whose(eid, ANOTHER)).to_vec();

    let (same, unknown) = (EidHolder::Same, EidHolder::Unknown);
    assert_eq!(mine, [same, same, unknown, same, unknown]);
    assert_eq!(anothers, [EidHolder::Another, unknown, EidHolder::Another]);
    let nobodys = CertificateId::from_bytes(fresh());
    let refused = world.store.eid_holder(nobodys, &person(PERSON)).unwrap_err();
    assert!(matches!(refused, StoreError::UnknownCertificate { .. }), "{refused}");
}

/// ISS-14: somebody with an eID in each of two organisations is one person, and nobody else is he.
pub(crate) fn two_ids_of_one_person_are_known_to_be_his(backend: &dyn Backend) {
    let world = World::new(backend);
    let term = |hsa_id: &str| IndexTerm::new(IndexTag::HsaId, hsa_id);
    let issued = |hsa_id: &str, person: Option<&str>| {
        let index = vec![term(hsa_id)];
        reads::issue(&world, hsa_id, person, IssuedCertificate { index, ..reads::bare(&world) });
    };
    let [first, second, others, unsaid] = ["SE1-1001", "SE2-2001", "SE1-1002", "SE1-1003"];
    issued(first, Some(PERSON));
    issued(second, Some(PERSON));
    issued(others, Some(ANOTHER));
    issued(unsaid, None);
    let same = |one, other| world.store.is_one_person(&term(one), &term(other)).unwrap();

    assert!(same(first, second) && same(second, first) && same(first, first));
    assert!(!same(first, others) && !same(others, second));
    assert!(!same(first, unsaid) && !same(unsaid, unsaid), "nobody said who he is");
    assert!(!same(first, "SE9-9999"));
}

/// The first act judges what the order was admitted by anew, in the transaction: nothing is recorded else.
pub(crate) fn what_rests_on_an_eid_is_recorded_while_it_holds(backend: &dyn Backend) {
    let mut world = World::new(backend);
    let refused = |world: &World, eid, now| {
        let before = sizes(&*world.store);
        let refused = intend(world, eid, at(now)).unwrap_err();
        assert!(matches!(refused, StoreError::EidNotActive { certificate } if certificate == eid));
        assert_eq!(refused.code(), "eid-not-active");
        assert_eq!(sizes(&*world.store), before);
    };
    let (held, revoked) = (eid(&world), eid(&world));
    let until = std::mem::replace(&mut world.not_after, at(1_000));
    let short = eid(&world);
    world.not_after = until;
    world.classes =
        AnswerClasses { before_activation: BeforeActivation::Held, ..AnswerClasses::USUAL };
    let unused = eid(&world);

    let _ = intend(&world, held, at(4)).unwrap();
    world.change(held, StatusAct::Hold, at(5)).unwrap();
    refused(&world, held, 6);
    world.change(held, StatusAct::Release, at(7)).unwrap();
    let _ = intend(&world, held, at(8)).unwrap();
    world.change(revoked, REVOKE, at(9)).unwrap();
    refused(&world, revoked, 10);
    refused(&world, unused, 11);
    world.change(unused, StatusAct::Activate, at(12)).unwrap();
    let _ = intend(&world, unused, at(13)).unwrap();
    let _ = intend(&world, short, at(1_000)).unwrap();
    refused(&world, short, 1_001);
}

/// What was signed meanwhile is not released: the eID holds at the position of `issued`, or there is none.
pub(crate) fn an_eid_that_ends_meanwhile_leads_to_no_certificate(backend: &dyn Backend) {
    let world = World::new(backend);
    let eid = eid(&world);
    let (pending, proof) = intend(&world, eid, at(4)).unwrap();
    world.change(eid, REVOKE, at(5)).unwrap();
    let before = sizes(&*world.store);

    let signed = world.issuer.sign(pending, &proof);
    let facts = IssuedCertificate { proven_by: Some(eid), ..world.facts() };
    let audit = audit_of(EventCode::CertificateIssued, world.subject(), PERSON);
    let refused = world.store.record_issued(&signed, &facts, &audit, at(6)).unwrap_err();

    assert!(matches!(refused, StoreError::EidNotActive { .. }), "{refused}");
    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.open_intents().unwrap().len(), 1, "to be voided as any other");
}
