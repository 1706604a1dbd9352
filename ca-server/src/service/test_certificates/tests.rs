use std::fs;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use status::CertificateState;
use store::{CertificateLookup, Log};
use x509::certificate::Certificate as X509;
use x509::pem;

use super::*;
use crate::clock::Clock;
use crate::service::crl::List;
use crate::service::testing::World;

const LIFE: Duration = Duration::from_secs(800);

fn world() -> World {
    let mut world = World::new();
    forget(&mut world);
    world
}

/// As after a start: what was being made is known to nobody.
fn forget(world: &mut World) {
    world.service.test_set = Some(TestSet::new(TestCertificates::of(LIFE)));
}

fn tend(world: &World) -> Result<(), Denied> {
    world.service.tend_test_certificates(&AtomicBool::new(false))
}

/// Goes on so many seconds after the beginning.
fn at(world: &mut World, seconds: u64) {
    world.service.clock = Arc::new(Clock::ahead_by(Duration::from_secs(seconds)));
}

/// What the schedule and the publisher do meanwhile.
fn publish(world: &World) {
    world.service.make_list(world.authority(), List::Full).unwrap();
    let size = world.service.store().log_head(Log::Status).unwrap().size;
    world.service.publication.has_published(size);
}

fn set(world: &World) -> Option<Value> {
    let bytes = fs::read(world.folder("publish/test-certificates.json")).ok()?;
    Some(serde_json::from_slice(&bytes).expect("a file is whole or not there"))
}

/// The certificates of a set, by state.
fn certificates(set: &Value) -> BTreeMap<String, X509> {
    let read = |one: &Value| {
        let pem = one["certificate"].as_str().unwrap();
        let der = pem::decode_one(pem, pem::Label::Certificate).unwrap();
        (one["state"].as_str().unwrap().to_owned(), X509::from_der(&der).unwrap())
    };
    set["certificates"].as_array().unwrap().iter().map(read).collect()
}

fn state(world: &World, certificate: &X509) -> CertificateState {
    let lookup = CertificateLookup::Serial(world.authority().id, certificate.serial());
    let record = world.service.store().certificate(&lookup).unwrap().unwrap();
    record.row.status.status.state
}

/// The first set, and how many entries the status log has then.
fn with_a_set() -> (World, u64) {
    let mut world = world();
    tend(&world).unwrap();
    assert!(set(&world).is_none(), "nothing has expired");
    at(&mut world, 100);
    publish(&world);
    tend(&world).unwrap();
    assert!(set(&world).is_some());
    let (entries, _) = world.counts();
    (world, entries)
}

/// PRO-21: each is what it is named when the file is there, and until it is replaced.
#[test]
fn each_certificate_is_what_it_is_named() {
    let (world, entries) = with_a_set();
    let found = set(&world).unwrap();
    let now = world.now();
    let made = certificates(&found);

    assert_eq!(found["deployment"], "test/demo/abcd");
    assert_eq!(found["missing"], json!([]));
    assert_eq!(
        made.keys().collect::<Vec<_>>(),
        ["expired", "good", "revoked"],
        "REV-04: no function is held"
    );
    for (named, wanted) in [
        ("good", CertificateState::Issued),
        ("expired", CertificateState::Issued),
        ("revoked", CertificateState::Revoked),
    ] {
        let certificate = &made[named];
        assert_eq!(state(&world, certificate), wanted, "{named}");
        assert_eq!(certificate.validity().not_after() < now, named == "expired", "{named}");
        assert!(certificate.verify_signed_by(world.authority().certificate.public_key()).is_ok());
    }
    let refresh_at: jiff::Timestamp = found["refresh_at"].as_str().unwrap().parse().unwrap();
    let ends = made["good"].validity().not_after().secs();
    assert!(u64::try_from(refresh_at.as_second()).unwrap() + LIFE.as_secs() / 4 <= ends);

    tend(&world).unwrap();
    assert_eq!(world.counts().0, entries, "it stands: nothing more is made");
}

/// Until the world can see all of it the earlier set stands: the log, the list, and the clock.
#[test]
fn a_set_is_published_only_when_all_of_it_can_be_seen() {
    let mut world = world();
    publish(&world);
    tend(&world).unwrap();
    at(&mut world, 100);
    tend(&world).unwrap();
    assert!(set(&world).is_none(), "no list has the revoked one");
    let entries = world.counts().0;
    publish(&world);
    at(&mut world, 0);
    tend(&world).unwrap();
    assert!(set(&world).is_none(), "the expired one has not expired");
    assert_eq!(world.counts().0, entries, "what has been made is not made again");

    at(&mut world, 100);
    tend(&world).unwrap();
    assert!(set(&world).is_some());
}

/// The next set comes before the standing one ends; a program that ends in between leaves a whole one, and
/// begins anew.
#[test]
fn a_set_is_made_anew_in_time_and_stands_until_then() {
    let (mut world, entries) = with_a_set();
    let first = set(&world).unwrap();
    at(&mut world, 590);
    tend(&world).unwrap();
    assert_eq!(world.counts().0, entries, "not yet");

    at(&mut world, 605);
    tend(&world).unwrap();
    assert!(world.counts().0 > entries);
    assert_eq!(set(&world).unwrap(), first, "it stands while the next is made");
    forget(&mut world);
    tend(&world).unwrap();
    assert_eq!(set(&world).unwrap(), first);
    at(&mut world, 720);
    publish(&world);
    tend(&world).unwrap();

    let next = set(&world).unwrap();
    assert_ne!(next, first);
    let (now, first, next) = (world.now(), certificates(&first), certificates(&next));
    assert!(first["good"].validity().not_after() > now, "replaced before it ends");
    assert!(next.iter().all(|(name, one)| first[name].serial() != one.serial()));
}

/// A release that changes a profile shows the new one.
#[test]
fn another_version_of_a_profile_is_another_set() {
    let (mut world, entries) = with_a_set();
    world.edit_profile("function-ec", "backdate    = \"5m\"", "backdate    = \"6m\"");

    tend(&world).unwrap();

    assert!(world.counts().0 > entries);
}

/// A profile that refuses is named with its code; it keeps no other from the set.
#[test]
fn a_profile_that_refuses_is_missing_by_name() {
    let mut world = world();
    let keys = "allow = [\"rsa-3072\", \"rsa-4096\", \"rsa-2048\", \"ec-p256\", \"ec-p384\"]";
    world.edit_profile("function-ec", keys, "allow = [\"rsa-3072\"]");
    tend(&world).unwrap();

    let found = set(&world).unwrap();
    assert_eq!(found["certificates"], json!([]));
    assert_eq!(found["missing"][0]["profile"], "function-ec");
    assert_eq!(found["missing"][0]["code"], "key-not-allowed");
}

/// A token that fails is tried again, and what was made is kept.
#[test]
fn a_token_that_fails_costs_nothing_but_time() {
    let (mut world, _) = with_a_set();
    let standing = set(&world).unwrap();
    at(&mut world, 605);
    world.signer.works(false);
    assert!(tend(&world).is_err());
    assert_eq!(set(&world).unwrap(), standing);

    world.signer.works(true);
    world.service.health =
        super::super::health::SigningHealth::of(world.service.authorities.values());
    tend(&world).unwrap();
    at(&mut world, 720);
    publish(&world);
    tend(&world).unwrap();
    assert_ne!(set(&world).unwrap(), standing);
}

/// PRO-21: a token that is away for a night leaves no orders behind, and the set is made when it is back.
#[test]
fn while_the_token_is_away_nothing_is_recorded() {
    let world = world();
    let orders = || world.service.store().counts().unwrap();
    let before = format!("{:?}", orders());
    let leaves = world.service.store().log_head(Log::Audit).unwrap().size;
    world.signer.is_lost(true);
    for _ in 0..3 {
        assert_eq!(tend(&world).unwrap_err().refusal.code, "hsm-token-missing");
    }
    assert_eq!(format!("{:?}", orders()), before);
    assert_eq!(world.service.store().log_head(Log::Audit).unwrap().size, leaves);

    world.signer.is_lost(false);
    tend(&world).unwrap();
    assert_ne!(format!("{:?}", orders()), before);
}

/// Two nodes do not replace each other's sets, and a program that ends makes no more.
#[test]
fn only_who_publishes_makes_a_set_and_only_until_the_end() {
    let world = world();
    let before = world.counts().0;
    world.service.publication.tell_theirs();
    tend(&world).unwrap();
    assert_eq!(world.counts().0, before);

    world.takes_the_publication();
    world.service.tend_test_certificates(&AtomicBool::new(true)).unwrap();
    assert_eq!(world.counts().0, before);
}
