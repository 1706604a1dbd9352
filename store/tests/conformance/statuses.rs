//! REV-03: the state machine, its entries, and what every projection says at one position.

use ca::audit::{AuditLeaf, EventCode, ObjectId};
use status::{BeforeActivation, CertificateState, HeldFrom, RevocationReason, StatusEntry};
use store::{
    CertificateLookup, ChangeOutcome, Log, StatusAct, StatusChange, StatusTarget, StoreError,
};

use super::Backend;
use super::world::{REVOKE, World, at, audit, followed, serial, sizes, verified};

/// AUD-02: act, entry and leaf are one; the leaf names the entry.
pub(crate) fn a_revocation_stands_in_log_state_and_audit(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued = world.issue(at(1));
    let before = sizes(&*world.store);

    let revoked = world.revoke(issued.certificate, at(10));

    assert_eq!(revoked.outcome, ChangeOutcome::Changed);
    assert_eq!(sizes(&*world.store), (before.0 + 1, before.1 + 1));
    assert_eq!(revoked.status.position.index, before.0);
    let entries = verified(&*world.store, Log::Status);
    let StatusEntry::Certificate(entry) = StatusEntry::decode(entries.last().unwrap()).unwrap()
    else {
        panic!("not about a certificate")
    };
    assert_eq!((entry.log_time, entry.effective_time), (at(10), at(10)));
    let leaves = verified(&*world.store, Log::Audit);
    let leaf = AuditLeaf::decode(leaves.last().unwrap()).unwrap();
    assert_eq!(leaf.event.code, EventCode::CertificateRevoked);
    let named = ObjectId::StatusEntry(revoked.status.position);
    assert!(leaf.event.objects.iter().any(|object| object == named));
}

pub(crate) fn revoking_twice_changes_nothing(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued = world.issue(at(1));
    let first = world.revoke(issued.certificate, at(10));
    let before = sizes(&*world.store);

    let other = StatusAct::Revoke { reason: None, invalidity: Some(at(3)) };
    let second = world.change(issued.certificate, other, at(20)).unwrap();

    assert_eq!(second.outcome, ChangeOutcome::Already);
    assert_eq!(second.status, first.status);
    assert_eq!(sizes(&*world.store), before);
}

pub(crate) fn a_hold_is_released_and_a_revocation_is_not(backend: &dyn Backend) {
    let world = World::new(backend);
    let id = world.issue(at(1)).certificate;
    let state = |act, now| world.change(id, act, at(now)).map(|done| done.status.status.state);

    assert_eq!(state(StatusAct::Hold, 2).unwrap(), CertificateState::Held(HeldFrom::Issued));
    assert_eq!(state(StatusAct::Release, 3).unwrap(), CertificateState::Issued);
    let before = sizes(&*world.store);
    assert_eq!(state(StatusAct::Release, 4).unwrap(), CertificateState::Issued);
    assert_eq!(sizes(&*world.store), before, "a second release changes nothing");
    assert_eq!(state(StatusAct::Activate, 5).unwrap(), CertificateState::Activated);
    assert_eq!(state(StatusAct::Hold, 6).unwrap(), CertificateState::Held(HeldFrom::Activated));
    assert_eq!(state(REVOKE, 7).unwrap(), CertificateState::Revoked);
    for act in [StatusAct::Release, StatusAct::Hold, StatusAct::Activate] {
        let before = sizes(&*world.store);
        assert!(matches!(state(act, 8), Err(StoreError::Transition(_))));
        assert_eq!(sizes(&*world.store), before);
    }
}

/// REV-06.
pub(crate) fn a_corrected_reason_keeps_the_revocation_time(backend: &dyn Backend) {
    let world = World::new(backend);
    let id = world.issue(at(1)).certificate;
    let recorded = Some(RevocationReason::KeyCompromise);
    let correct = StatusAct::CorrectReason {
        from: recorded,
        reason: Some(RevocationReason::Superseded),
        invalidity: None,
    };

    assert!(matches!(world.change(id, correct, at(2)), Err(StoreError::Transition(_))));
    world.revoke(id, at(10));
    let corrected = world.change(id, correct, at(20)).unwrap();

    assert_eq!(corrected.outcome, ChangeOutcome::Changed);
    assert_eq!(corrected.status.status.reason, Some(RevocationReason::Superseded));
    assert_eq!(corrected.status.status.effective_time, at(10));
    let again = world.change(id, correct, at(30)).unwrap();
    assert_eq!(again.outcome, ChangeOutcome::Already);
    // Two callers who saw the same reason: the second one's correction finds another and yields.
    let late = StatusAct::CorrectReason { from: recorded, reason: None, invalidity: None };
    let yielded = world.change(id, late, at(40)).unwrap();
    assert_eq!(yielded.outcome, ChangeOutcome::Already);
    assert_eq!(yielded.status.status.reason, Some(RevocationReason::Superseded));
    followed(&*world.store);
}

pub(crate) fn activation_ends_the_hold_of_class_one(backend: &dyn Backend) {
    let mut world = World::new(backend);
    world.classes.before_activation = BeforeActivation::Held;
    let id = world.issue(at(1)).certificate;
    let listed = || {
        let mut count = 0;
        world
            .store
            .revoked(world.issuer.id(), at(0), &mut |view| count = view.rows.count())
            .unwrap();
        count
    };

    assert_eq!(listed(), 1);
    world.change(id, StatusAct::Activate, at(2)).unwrap();
    assert_eq!(listed(), 0);
}

/// Architecture §2.5: revocationDate is the log time; `requested_at` is another field.
pub(crate) fn no_caller_sets_the_revocation_time(backend: &dyn Backend) {
    let world = World::new(backend);
    let id = world.issue(at(100)).certificate;

    let revoked = world.revoke(id, at(200));

    assert_eq!(revoked.status.requested_at, Some(at(1)));
    assert_eq!(revoked.status.status.effective_time, at(200));
    let row = world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap().row;
    assert_eq!(row.status, revoked.status);

    let target = StatusTarget::Serial(world.issuer.id(), serial());
    let change = StatusChange { target, act: REVOKE, requested_at: None, alone: None };
    let refused = audit(EventCode::CertificateRevoked);
    assert!(matches!(
        world.store.change_status(&change, &refused, at(201)),
        Err(StoreError::UnknownSerial)
    ));
}

/// Promise 3: rows, CRL and a follower of the log agree.
pub(crate) fn log_states_and_lists_agree_at_every_position(backend: &dyn Backend) {
    let mut world = World::new(backend);
    let acts = [StatusAct::Hold, StatusAct::Release, StatusAct::Activate, REVOKE];
    for round in 0..40_u64 {
        world.classes.before_activation =
            if round % 3 == 0 { BeforeActivation::Held } else { BeforeActivation::Good };
        let id = world.issue(at(round)).certificate;
        for (place, act) in acts.into_iter().enumerate() {
            if (round >> place) & 1 == 1 {
                // Some are illegal in this order; they leave nothing.
                let _ = world.change(id, act, at(round));
            }
        }
        if round % 4 == 0 {
            let _ = world.intend(at(round)).unwrap();
        }
        check_agreement(&world);
    }
}

fn check_agreement(world: &World) {
    let index = followed(&*world.store);
    let reference = index.issuer(&world.issuer.id()).unwrap();
    let mut expected: Vec<_> =
        index.certificates(reference).filter(|(_, status)| status.revocation().is_some()).collect();
    expected.sort_by_key(|(serial, _)| *serial);

    let mut listed = Vec::new();
    let read = &mut |view: store::RevokedSnapshot<'_>| {
        assert_eq!(view.head.size, index.next().index);
        listed.extend(view.rows.map(|row| row.map(|row| (row.serial, row.status)).unwrap()));
    };
    world.store.revoked(world.issuer.id(), at(0), read).unwrap();
    assert_eq!(listed, expected);

    for (serial, status) in index.certificates(reference) {
        let lookup = CertificateLookup::Serial(world.issuer.id(), serial);
        let row = world.store.certificate(&lookup).unwrap().unwrap().row;
        assert_eq!(row.status.status, status);
    }
}
