//! ISS-12: one key, one holder.

use std::sync::Barrier;

use ca::audit::EventCode;
use ca::deployment::Environment;
use ca::identity::{Identity, PassportIdentity, PersonNumber};
use ca::key_holder::{HolderName, KeyReuse};
use status::RevocationReason;
use store::{
    CertificateId, CertificateLookup, Import, ImportedCertificate, Issued, IssuedCertificate, Log,
    Privacy, StatusAct, StatusChange, StatusTarget, StoreError, Subject, SubjectKey, VoidScope,
};
use x509::key::SpkiHash;
use x509::signing::{Pending, Recorded};

use super::Backend;
use super::imports::certificate;
use super::logs::head_of;
use super::world::{World, at, audit, audit_of, fresh, node, serial, sizes, subject_key, verified};

const TOLVAN: &str = "TST2321000016-1002";
const ANOTHER: &str = "TST2321000016-1003";

const TOLVANS_NUMBER: &str = "191212121212";
const ANOTHERS_NUMBER: &str = "191003229802";

/// The person with this number.
pub(super) fn person(number: &str) -> HolderName {
    HolderName::of_person(&PersonNumber::parse(number, Environment::Test).unwrap())
}

/// A key under this subject, ordered for the person with this number.
pub(super) fn ordered(spki: SpkiHash, subject: &str, number: &str) -> SubjectKey {
    let SubjectKey { holder, .. } = held(spki, subject);
    SubjectKey { holder: holder.who_is(Some(person(number))), ..held(spki, subject) }
}

pub(super) fn key() -> SpkiHash {
    let mut octets = [9; 32];
    octets[..16].copy_from_slice(&fresh());
    SpkiHash::from_bytes(octets)
}

pub(super) fn held(spki: SpkiHash, number: &str) -> SubjectKey {
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

pub(super) fn issue(world: &World, key: SubjectKey) -> Result<CertificateId, StoreError> {
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

/// Of a certificate that was issued after the backup the database has its intent alone: the key is its holder's all the
/// same, and nobody's once the serial number is revoked for a compromise.
pub(crate) fn a_key_of_a_lost_certificate_stays_its_holders(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    let intended = intend(&world, held(key, TOLVAN)).unwrap();
    let older = backend.backup();
    let lost = finish(&world, key, intended).certificate;
    let lost = world.store.certificate(&CertificateLookup::Id(lost)).unwrap().unwrap().row;
    let entries = verified(&*world.store, Log::Status);
    let restored = world.over(older.open(), node("a", 2));
    let have = usize::try_from(sizes(&*restored.store).0).unwrap();
    let recovered = audit(EventCode::LogRecovered);
    let mut missing = entries[have..].iter().cloned();
    let taken =
        restored.store.take_over_published(&head_of(&entries), &mut missing, &recovered, at(4));
    assert_eq!(taken.unwrap().only_by_serial, [(lost.issuer, lost.serial)]);

    let of_another = issue(&restored, held(key, ANOTHER));
    assert!(matches!(of_another, Err(StoreError::KeyOfAnother)), "{of_another:?}");
    let as_new = issue(&restored, subject_key(key, TOLVAN, KeyReuse::Never));
    assert!(matches!(as_new, Err(StoreError::KeyUsed)), "{as_new:?}");
    issue(&restored, held(key, TOLVAN)).unwrap();

    let reason = Some(RevocationReason::KeyCompromise);
    let change = StatusChange {
        target: StatusTarget::Serial(lost.issuer, lost.serial),
        act: StatusAct::Revoke { reason, invalidity: None },
        requested_at: None,
        alone: None,
    };
    let record = audit(EventCode::CertificateRevoked);
    restored.store.change_status(&change, &record, at(4)).unwrap();
    let own = issue(&restored, held(key, TOLVAN));
    assert!(matches!(own, Err(StoreError::KeyCompromised)), "{own:?}");
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

/// ISS-12: nor between the intent of a certificate and its signature.
pub(crate) fn a_key_that_is_compromised_meanwhile_gets_no_certificate(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    let first = issue(&world, held(key, TOLVAN)).unwrap();
    let (pending, proof) = intend(&world, held(key, TOLVAN)).unwrap();
    revoke(&world, first, RevocationReason::KeyCompromise);
    let before = sizes(&*world.store);

    let signed = world.issuer.sign(pending, &proof);
    let facts = IssuedCertificate { spki: key, ..world.facts() };
    let audit = audit_of(EventCode::CertificateIssued, world.subject(), "issued");
    let refused = world.store.record_issued(&signed, &facts, &audit, at(4)).unwrap_err();

    assert!(matches!(refused, StoreError::KeyCompromisedMeanwhile), "{refused}");
    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.open_intents().unwrap().len(), 1, "to be voided as any other");
}

pub(crate) fn a_profile_may_want_new_keys(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    let new = || subject_key(key, TOLVAN, KeyReuse::Never);
    let intended = intend(&world, new()).unwrap();

    assert!(matches!(intend(&world, new()), Err(StoreError::KeyInUse)));
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

/// A person has a key for the employment and for the number (domain: cards of four certificates), in either
/// order, and nobody else has it, by whatever subject.
pub(crate) fn a_key_is_the_persons_whatever_the_subject_says(backend: &dyn Backend) {
    let world = World::new(backend);
    for subjects in [[TOLVAN, TOLVANS_NUMBER], [TOLVANS_NUMBER, TOLVAN]] {
        let key = key();
        for subject in subjects {
            issue(&world, ordered(key, subject, TOLVANS_NUMBER)).unwrap();
        }
        let others = [
            ordered(key, ANOTHERS_NUMBER, ANOTHERS_NUMBER),
            ordered(key, ANOTHER, ANOTHERS_NUMBER),
            // The employment of the first, given to somebody else.
            ordered(key, TOLVAN, ANOTHERS_NUMBER),
        ];
        for other in others {
            assert!(matches!(issue(&world, other), Err(StoreError::KeyOfAnother)));
        }
        let unknown = issue(&world, held(key, ANOTHER));
        assert!(matches!(unknown, Err(StoreError::KeyOfUnknown)));
        // A call that does not say whose the subject is, is known by it.
        issue(&world, held(key, TOLVAN)).unwrap();
        issue(&world, ordered(key, TOLVANS_NUMBER, TOLVANS_NUMBER)).unwrap();
    }
}

pub(crate) fn a_key_is_the_passports_whatever_the_subject_says(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    let holding = |subject: &str, number: &str| {
        let read = PassportIdentity::parse("UTO", number, "1974-08-12", Environment::Test).unwrap();
        let person = HolderName::of_identity(&Identity::Passport(read));
        let SubjectKey { holder, .. } = held(key, subject);
        SubjectKey { holder: holder.who_is(Some(person)), ..held(key, subject) }
    };
    issue(&world, holding(TOLVAN, "L898902C3")).unwrap();

    issue(&world, holding(ANOTHER, "L898902C3")).unwrap();
    let refused = issue(&world, holding(TOLVAN, "L898902C4"));
    assert!(matches!(refused, Err(StoreError::KeyOfAnother)));
}

/// What is being signed for a person holds the key as what has been.
pub(crate) fn an_intent_holds_its_key_for_the_person(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    let _first = intend(&world, ordered(key, TOLVAN, TOLVANS_NUMBER)).unwrap();

    let refused = intend(&world, ordered(key, TOLVAN, ANOTHERS_NUMBER));
    assert!(matches!(refused, Err(StoreError::KeyClaimed)));
    let _second = intend(&world, ordered(key, TOLVANS_NUMBER, TOLVANS_NUMBER)).unwrap();
}

/// A certificate of before, or from elsewhere, says its subject alone: who orders for that subject is its
/// person from then on, and for that person the key may have the other subject too.
pub(crate) fn an_order_says_whose_the_subject_of_an_older_certificate_is(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    issue(&world, held(key, TOLVAN)).unwrap();
    let of_number = || ordered(key, TOLVANS_NUMBER, TOLVANS_NUMBER);
    assert!(matches!(issue(&world, of_number()), Err(StoreError::KeyOfUnknown)));

    issue(&world, ordered(self::key(), TOLVAN, TOLVANS_NUMBER)).unwrap();

    issue(&world, of_number()).unwrap();
    let refused = issue(&world, ordered(key, TOLVAN, ANOTHERS_NUMBER));
    assert!(matches!(refused, Err(StoreError::KeyOfAnother)));

    // A subject that orders have given to two persons says nothing any more.
    let key = self::key();
    issue(&world, held(key, TOLVAN)).unwrap();
    issue(&world, ordered(self::key(), TOLVAN, ANOTHERS_NUMBER)).unwrap();
    for number in [TOLVANS_NUMBER, ANOTHERS_NUMBER] {
        let refused = issue(&world, ordered(key, TOLVAN, number));
        assert!(matches!(refused, Err(StoreError::KeyOfUnknown)), "{number}");
    }
}

/// An import may say whose a certificate is: that person has the key, under every subject, and nobody else.
pub(crate) fn an_import_says_whose_a_key_is(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    let subject = Subject::Holder(TOLVAN.to_owned());
    let taken_over = ImportedCertificate {
        spki: key,
        person: Some(person(TOLVANS_NUMBER)),
        privacy: Privacy::Person { subject: subject.clone(), holder: Vec::new() },
        ..certificate(world.issuer.id(), serial(), b"of another operator")
    };
    let taken_over = Import { certificates: vec![taken_over], ..Import::default() };
    world.store.import(&taken_over, &audit(EventCode::ImportCertificate), at(2)).unwrap();
    // Its keyed hash outlives the data.
    assert!(world.store.forget(&subject, &audit(EventCode::SubjectErased), at(3)).unwrap());

    let other = issue(&world, ordered(key, TOLVAN, ANOTHERS_NUMBER));
    assert!(matches!(other, Err(StoreError::KeyOfAnother)));
    assert!(matches!(issue(&world, held(key, ANOTHER)), Err(StoreError::KeyOfUnknown)));
    issue(&world, ordered(key, TOLVAN, TOLVANS_NUMBER)).unwrap();
    issue(&world, ordered(key, TOLVANS_NUMBER, TOLVANS_NUMBER)).unwrap();
}

/// An order that came to nothing says nothing of whose a subject is.
pub(crate) fn an_order_that_came_to_nothing_names_nobody(backend: &dyn Backend) {
    let world = World::new(backend);
    let key = key();
    issue(&world, held(key, TOLVAN)).unwrap();
    let (pending, _) = intend(&world, ordered(self::key(), TOLVAN, ANOTHERS_NUMBER)).unwrap();
    let refused = issue(&world, ordered(key, TOLVAN, TOLVANS_NUMBER));
    assert!(matches!(refused, Err(StoreError::KeyOfUnknown)));
    for intent in world.store.open_intents().unwrap() {
        let record = |_: &_| audit_of(EventCode::CertificateVoided, Subject::Deployment, "voided");
        world.store.void_intents(&VoidScope::Intent(intent.id), &record, at(3)).unwrap();
    }
    drop(pending);

    issue(&world, ordered(key, TOLVAN, TOLVANS_NUMBER)).unwrap();
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
