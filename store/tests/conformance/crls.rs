//! CRL-02 and promise 3: what CRLs are made from, and how they are recorded.

use std::thread;
use std::time::Duration;

use ::crl::CrlNumber;
use ca::audit::EventCode;
use status::{IssuerId, Position, RevocationReason};
use store::{
    CertificateIntent, ChangeOutcome, CrlIntent, CrlRow, CrlScope, Import, IntentRow, IssuedWhen,
    IssuerKeeping, StatusAct, StoreError, Unended, VoidScope,
};
use x509::serial::SerialNumber;
use x509::signing::{Pending, Recorded, SigningKind};
use x509::time::UnixTime;

use super::Backend;
use super::world::{Issuer, World, at, audit, serial, sizes};

pub(crate) fn facts(world: &World, number: &CrlNumber, index: u64) -> CrlIntent {
    CrlIntent {
        issuer: world.issuer.id(),
        scope: CrlScope::full(),
        number: number.clone(),
        position: Position { epoch: 1, index },
        this_update: at(10),
        next_update: at(1000),
        node: world.node.clone(),
    }
}

pub(crate) fn intend(world: &World, facts: &CrlIntent) -> Result<(Pending, Recorded), StoreError> {
    let pending = world.issuer.pending(SigningKind::Crl, b"tbs of a list");
    let intent = audit(EventCode::CrlIntent);
    let recorded = world.store.record_crl_intent(&pending, facts, &intent, at(10))?;
    Ok((pending, recorded))
}

fn make(world: &World, number: &CrlNumber, index: u64) -> Result<CrlRow, StoreError> {
    let (pending, recorded) = intend(world, &facts(world, number, index))?;
    let signed = world.issuer.sign(pending, &recorded);
    let issued = audit(EventCode::CrlIssued);
    world.store.record_crl_issued(&signed, [6; 32], 700, &issued, at(11))
}

pub(crate) fn next(world: &World) -> CrlNumber {
    world.store.next_crl_number(world.issuer.id(), &CrlScope::full()).unwrap()
}

pub(crate) fn lists_revoked_serials_in_the_order_of_their_octets(backend: &dyn Backend) {
    let world = World::new(backend);
    let mut serials: Vec<SerialNumber> =
        [&[5][..], &[1, 2], &[0, 200], &[0xff], &[9; 20], &[1, 2, 3], &[1; 16], &[2; 16]]
            .map(|octets| SerialNumber::from_content_octets(octets).unwrap())
            .to_vec();
    for serial in &serials {
        let (order, pending) = (world.order(), world.pending(*serial));
        let recorded = world.record(order, *serial, &pending, at(1)).unwrap();
        let issued = world.record_issued(pending, &recorded, at(1)).unwrap();
        world.revoke(issued.certificate, at(2));
    }
    world.issue(at(3));
    serials.sort();

    let mut listed = Vec::new();
    world
        .store
        .revoked(world.issuer.id(), at(0), &mut |view| {
            listed.extend(view.rows.map(|row| row.unwrap().serial));
        })
        .unwrap();
    assert_eq!(listed, serials);

    let expired = world.not_after.checked_add(Duration::from_secs(1)).unwrap();
    world
        .store
        .revoked(world.issuer.id(), expired, &mut |view| assert_eq!(view.rows.count(), 0))
        .unwrap();
}

/// CRL-05: what is good, on hold or reserved keeps an issuer from ending until it has expired or is revoked.
pub(crate) fn an_issuer_ends_when_all_has_expired_or_is_revoked(backend: &dyn Backend) {
    let world = World::new(backend);
    let unended = |now| world.store.unended(world.issuer.id(), now).unwrap();
    assert_eq!(unended(at(0)), Unended::default());
    let (one, two) = (world.issue(at(1)), world.issue(at(1)));
    let reserved = world.pending(SerialNumber::from_random([9; 16]));
    let serial = SerialNumber::from_random([9; 16]);
    let _intent = world.record(world.order(), serial, &reserved, at(1)).unwrap();

    let left = unended(at(2));
    assert_eq!(left.count, 3);
    let after = world.not_after.checked_add(Duration::from_secs(1)).unwrap();
    assert_eq!(unended(world.not_after).count, 3, "the last second is valid");
    assert_eq!(unended(after), Unended::default());

    world.change(one.certificate, StatusAct::Hold, at(3)).unwrap();
    assert_eq!(unended(at(4)).count, 3);
    world.revoke(one.certificate, at(5));
    world.revoke(two.certificate, at(5));
    let left = unended(at(6));
    assert_eq!((left.count, left.first), (1, Some(SerialNumber::from_random([9; 16]))));
    let stranger = IssuerId::of(b"nobody", b"nothing");
    assert!(matches!(world.store.unended(stranger, at(6)), Err(StoreError::UnknownIssuer)));
}

/// CRL-05: whatever a node saw a moment ago, the transaction decides: no last list while something is good, and none that rests on
/// less than every change; then no certificate, no other list and no change, until the list has come to nothing.
pub(crate) fn a_last_list_and_the_rest_exclude_each_other(backend: &dyn Backend) {
    let world = World::new(backend);
    let (one, two) = (world.issue(at(1)), world.issue(at(1)));
    let reserved = (world.order(), serial());
    let last =
        |index| CrlIntent { next_update: UnixTime::LAST, ..facts(&world, &next(&world), index) };
    let head = || sizes(&*world.store).0;
    let unended = |intended| match intended {
        Err(StoreError::IssuerUnended { count, .. }) => count,
        other => panic!("{other:?}"),
    };
    assert_eq!(unended(intend(&world, &last(head()))), 2);
    world.revoke(one.certificate, at(2));
    let before = sizes(&*world.store);
    assert_eq!(unended(intend(&world, &last(head()))), 1);
    assert_eq!(sizes(&*world.store), before, "nothing is recorded");
    let seen = head();
    world.revoke(two.certificate, at(3));
    let late = intend(&world, &last(seen));
    assert!(matches!(late, Err(StoreError::LateChange { .. })), "{late:?}");

    let about_to = world.pending(reserved.1);
    let issue = || world.record(reserved.0, reserved.1, &about_to, at(10));
    let correct = || {
        let (from, reason) = (RevocationReason::KeyCompromise, RevocationReason::Superseded);
        let act =
            StatusAct::CorrectReason { from: Some(from), reason: Some(reason), invalidity: None };
        world.change(one.certificate, act, at(10))
    };
    let ended = |error: &StoreError| matches!(error, StoreError::IssuerEnded);
    // OCSP-13: of the final answers and who signs them the other way round.
    let unfinished = |error: &StoreError| matches!(error, StoreError::IssuerUnfinished);
    let answers = [b"one", b"two"].map(|said| world.issuer.pending(SigningKind::OcspAnswer, said));
    let answer = || {
        let audit = audit(EventCode::FinalAnswers);
        world.store.record_final_answers(world.issuer.id(), &answers, &audit, at(10))
    };
    let delegate = world.issuer.pending(SigningKind::OcspDelegate, b"tbs of their signer");
    let signer = || {
        let issued = IssuedWhen::AfterItsEnd;
        let facts = CertificateIntent { issued, ..world.intent_facts(reserved.0, reserved.1) };
        let audit = audit(EventCode::OcspDelegateIntent);
        world.store.record_intent(&delegate, &facts, &audit, at(10))
    };
    let before = sizes(&*world.store);
    assert!(unfinished(&answer().unwrap_err()) && unfinished(&signer().unwrap_err()));
    assert_eq!(sizes(&*world.store), before, "nothing is recorded");
    // It may have been signed by the time that anybody looks.
    let (_, intended) = intend(&world, &last(head())).unwrap();
    assert!(ended(&issue().unwrap_err()));
    assert!(ended(&correct().unwrap_err()));
    assert!(ended(&intend(&world, &facts(&world, &next(&world), head())).unwrap_err()));
    world
        .store
        .void_intents(
            &VoidScope::Intent(intended.intent_id()),
            &|_| audit(EventCode::CrlIntent),
            at(10),
        )
        .unwrap();
    correct().unwrap();
    make(&world, &next(&world), head()).unwrap();

    let (pending, intended) = intend(&world, &last(head())).unwrap();
    let signed = world.issuer.sign(pending, &intended);
    let issued = audit(EventCode::CrlIssued);
    world.store.record_crl_issued(&signed, [6; 32], 700, &issued, at(11)).unwrap();
    assert!(ended(&issue().unwrap_err()));
    let revoked = StatusAct::Revoke { reason: None, invalidity: None };
    let again = world.change(one.certificate, revoked, at(12)).unwrap();
    assert_eq!(again.outcome, ChangeOutcome::Already, "what stands is told");
    let leaves = sizes(&*world.store).1;
    let recorded = answer().unwrap();
    let signs = |(one, recorded): (&Pending, &Recorded)| one.input(recorded).is_ok();
    assert!(answers.iter().zip(&recorded).all(signs) && recorded.len() == 2);
    assert_eq!(sizes(&*world.store).1, leaves + 1, "one leaf for all");
    let _signer = signer().unwrap();
    let _again = intend(&world, &last(head())).unwrap();
}

pub(crate) fn numbers_rise_above_the_floor_and_each_other(backend: &dyn Backend) {
    let mut world = World::new(backend);
    let mut taken_over = Issuer::new("CN=taken over", IssuerKeeping::Online);
    taken_over.declared.crl_number_floor =
        Some(CrlNumber::from_content_octets(&[0x00, 0xff]).unwrap());
    let import = Import { issuers: vec![taken_over.declared.clone()], ..Import::default() };
    world.store.import(&import, &audit(EventCode::ImportAuthority), at(0)).unwrap();
    assert_eq!(next(&world), CrlNumber::first());

    world.issuer = std::sync::Arc::new(taken_over);
    assert_eq!(next(&world).to_string(), "0100");
    let floor = CrlNumber::from_content_octets(&[0x00, 0xff]).unwrap();
    assert!(matches!(make(&world, &floor, 0), Err(StoreError::CrlNumber { .. })));
    let first = next(&world);
    make(&world, &first, 0).unwrap();
    let before = sizes(&*world.store);
    assert!(matches!(make(&world, &first, 0), Err(StoreError::CrlNumber { .. })));
    assert_eq!(sizes(&*world.store), before);
    assert_eq!(next(&world).to_string(), "0101");
}

pub(crate) fn a_list_never_rests_on_less_than_the_last_one(backend: &dyn Backend) {
    let world = World::new(backend);
    world.issue(at(1));
    let head = sizes(&*world.store).0;
    make(&world, &next(&world), head).unwrap();

    for index in [head - 1, head + 1] {
        assert!(matches!(make(&world, &next(&world), index), Err(StoreError::CrlPosition { .. })));
    }
    make(&world, &next(&world), head).unwrap();
}

pub(crate) fn a_signed_list_is_the_current_one(backend: &dyn Backend) {
    let world = World::new(backend);
    let current = || world.store.current_crl(world.issuer.id(), &CrlScope::full()).unwrap();
    assert_eq!(current(), None);
    let number = next(&world);
    let _ = intend(&world, &facts(&world, &number, 0)).unwrap();
    assert_eq!(current(), None);

    let row = make(&world, &next(&world), 1).unwrap();

    assert_eq!((row.sha256, row.length, row.published), ([6; 32], 700, None));
    assert_eq!(current().as_ref(), Some(&row));
    let publish = |number| {
        world.store.mark_crl_published(world.issuer.id(), &CrlScope::full(), number, at(12))
    };
    publish(&row.number).unwrap();
    assert_eq!(current().unwrap().published, Some(at(12)));
    assert!(matches!(publish(&number), Err(StoreError::CrlNumber { .. })));
}

/// CRL-02: a number that was about to be signed may have been.
pub(crate) fn a_failed_list_spends_its_number(backend: &dyn Backend) {
    let world = World::new(backend);
    let number = next(&world);
    let (pending, recorded) = intend(&world, &facts(&world, &number, 0)).unwrap();
    let restarted = super::world::node("a", 2);
    let record = |_: &IntentRow| audit(EventCode::CrlVoided);

    let voided =
        world.store.void_intents(&VoidScope::EarlierBoots(restarted), &record, at(20)).unwrap();

    assert_eq!((voided.len(), &voided[0].certificate), (1, &None));
    let signed = world.issuer.sign(pending, &recorded);
    let late = audit(EventCode::CrlIssued);
    assert!(matches!(
        world.store.record_crl_issued(&signed, [6; 32], 700, &late, at(21)),
        Err(StoreError::IntentVoided)
    ));
    assert!(next(&world) > number);
}

/// A CRL of a million entries takes long; revocations must not wait for it, nor be half in it.
pub(crate) fn writers_go_on_while_a_list_is_read(backend: &dyn Backend) {
    let world = World::new(backend);
    for _ in 0..3 {
        world.revoke(world.issue(at(1)).certificate, at(2));
    }
    let late = world.issue(at(3)).certificate;

    let mut seen = 0;
    world
        .store
        .revoked(world.issuer.id(), at(0), &mut |view| {
            let first = view.rows.next().unwrap().unwrap();
            thread::scope(|scope| {
                scope.spawn(|| world.revoke(late, at(4))).join().unwrap();
            });
            let rest: Vec<_> = view.rows.map(Result::unwrap).collect();
            assert!(rest.iter().all(|row| row.serial > first.serial));
            assert_eq!(view.head.size + 1, sizes(&*world.store).0);
            seen = 1 + rest.len();
        })
        .unwrap();
    assert_eq!(seen, 3);
    assert!(world.record(world.order(), serial(), &world.pending(serial()), at(5)).is_ok());
}
