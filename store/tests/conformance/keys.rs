//! ISS-12: one key, one holder.

use std::sync::Barrier;

use ca::audit::EventCode;
use ca::key_holder::KeyReuse;
use status::RevocationReason;
use store::{
    CertificateId, Issued, IssuedCertificate, StatusAct, StoreError, Subject, SubjectKey, VoidScope,
};
use x509::key::SpkiHash;
use x509::signing::{Pending, Recorded};

use super::Backend;
use super::world::{World, at, audit, audit_of, fresh, serial, sizes, subject_key};

const TOLVAN: &str = "TST2321000016-1002";
const ANOTHER: &str = "TST2321000016-1003";

fn key() -> SpkiHash {
    let mut octets = [9; 32];
    octets[..16].copy_from_slice(&fresh());
    SpkiHash::from_bytes(octets)
}

fn held(spki: SpkiHash, number: &str) -> SubjectKey {
    subject_key(spki, number, KeyReuse::SameHolder)
}

fn intend(world: &World, key: SubjectKey) -> Result<(Pending, Recorded), StoreError> {
    let (order, serial) = (world.order(), serial());
    let pending = world.pending(serial);
    let facts = store::CertificateIntent { key, ..world.intent_facts(order, serial) };
    let audit = audit_of(EventCode::CertificateIntent, world.subject(), "intent");
    let recorded = world.store.record_intent(&pending, &facts, &audit, at(2))?;
    Ok((pending, recorded))
}

fn finish(world: &World, spki: SpkiHash, intended: (Pending, Recorded)) -> Issued {
    let (pending, recorded) = intended;
    let signed = world.issuer.sign(pending, &recorded);
    let facts = IssuedCertificate { spki, ..world.facts() };
    let audit = audit_of(EventCode::CertificateIssued, world.subject(), "issued");
    world.store.record_issued(&signed, &facts, &audit, at(3)).unwrap()
}

fn issue(world: &World, key: SubjectKey) -> Result<CertificateId, StoreError> {
    let spki = key.spki;
    Ok(finish(world, spki, intend(world, key)?).certificate)
}

fn revoke(world: &World, certificate: CertificateId, reason: RevocationReason) {
    let act = StatusAct::Revoke { reason: Some(reason), invalidity: None };
    world.change(certificate, act, at(3)).unwrap();
}

/// Another holder is refused, and leaves no trace; the same one has as many certificates as he likes.
pub(crate) fn a_key_has_one_holder(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    issue(&world, held(key, TOLVAN)).unwrap();
    issue(&world, held(key, &TOLVAN.to_lowercase())).unwrap();
    let before = sizes(&*world.store);

    let refused = issue(&world, held(key, ANOTHER)).unwrap_err();

    assert!(matches!(refused, StoreError::KeyOfAnother), "{refused}");
    assert_eq!(sizes(&*world.store), before);
    assert!(world.store.open_intents().unwrap().is_empty());
}

/// Not once the certificates of the first have been revoked either, nor once he has been forgotten.
pub(crate) fn a_key_stays_its_holders(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    let first = issue(&world, held(key, TOLVAN)).unwrap();
    revoke(&world, first, RevocationReason::Superseded);
    let record = audit(EventCode::SubjectErased);
    assert!(world.store.forget(&world.subject(), &record, at(3)).unwrap());

    assert!(matches!(issue(&world, held(key, ANOTHER)), Err(StoreError::KeyOfAnother)));
    issue(&world, held(key, TOLVAN)).unwrap();
}

pub(crate) fn a_key_that_was_compromised_is_nobodys(backend: &dyn Backend) {
    let world = World::new(backend);
    for reason in [
        RevocationReason::KeyCompromise,
        RevocationReason::CaCompromise,
        RevocationReason::AaCompromise,
    ] {
        let key = key();
        let first = issue(&world, held(key, TOLVAN)).unwrap();
        issue(&world, held(key, TOLVAN)).unwrap();
        revoke(&world, first, reason);

        let refused = issue(&world, held(key, TOLVAN)).unwrap_err();

        assert!(matches!(refused, StoreError::KeyCompromised), "{reason:?}: {refused}");
    }
}

pub(crate) fn a_profile_may_want_new_keys(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    let new = || subject_key(key, TOLVAN, KeyReuse::Never);
    let intended = intend(&world, new()).unwrap();

    assert!(matches!(intend(&world, new()), Err(StoreError::KeyUsed)));
    finish(&world, key, intended);
    assert!(matches!(intend(&world, new()), Err(StoreError::KeyUsed)));
    issue(&world, held(key, TOLVAN)).unwrap();
}

/// What is being signed holds the key; what came to nothing does not.
pub(crate) fn an_intent_holds_its_key_until_it_is_voided(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    let (pending, _) = intend(&world, held(key, TOLVAN)).unwrap();

    assert!(matches!(intend(&world, held(key, ANOTHER)), Err(StoreError::KeyClaimed)));
    let _second = intend(&world, held(key, TOLVAN)).unwrap();
    for intent in world.store.open_intents().unwrap() {
        let record = |_: &_| audit_of(EventCode::CertificateVoided, Subject::Deployment, "voided");
        world.store.void_intents(&VoidScope::Intent(intent.id), &record, at(3)).unwrap();
    }
    drop(pending);

    issue(&world, held(key, ANOTHER)).unwrap();
}

/// Two orders at once with one key and two holders: exactly one is issued, each time.
pub(crate) fn of_two_holders_at_once_one_gets_the_key(backend: &dyn Backend) {
    let world = World::new(backend);
    for _ in 0..50 {
        let (key, barrier) = (key(), Barrier::new(2));
        let issued: Vec<bool> = std::thread::scope(|threads| {
            let racers = [TOLVAN, ANOTHER].map(|number| {
                let (world, barrier) = (&world, &barrier);
                threads.spawn(move || {
                    barrier.wait();
                    issue(world, held(key, number))
                })
            });
            let results = racers.map(|racer| racer.join().unwrap());
            for refused in results.iter().filter_map(|result| result.as_ref().err()) {
                assert_eq!(refused.code(), "key-of-another", "{refused}");
            }
            results.iter().map(Result::is_ok).collect()
        });

        assert_eq!(issued.iter().filter(|won| **won).count(), 1, "{issued:?}");
    }
}
