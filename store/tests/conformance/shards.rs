//! CRL-06 and CRL-07: shards of CRLs, and what is in them.

use std::time::Duration;

use ::crl::{CrlNumber, ShardNumber};
use ca::audit::EventCode;
use store::{CertificateIntent, CrlIntent, CrlScope, Log, ShardPlaces, StoreError};
use x509::serial::SerialNumber;
use x509::signing::SigningKind;
use x509::time::UnixTime;

use super::Backend;
use super::crls::{facts, intend};
use super::logs::head_of;
use super::world::{World, at, audit, node, serial, sizes, verified};

const WINDOW: Duration = Duration::from_secs(100);

fn number(number: u32) -> ShardNumber {
    ShardNumber::new(number).unwrap()
}

fn url(shard: u32) -> String {
    format!("http://crl.example.org/a/{}.crl", number(shard))
}

fn open(world: &World, shard: u32, places: u32) {
    let issuer = world.issuer.id();
    world.store.open_crl_shard(issuer, number(shard), &url(shard), places).unwrap();
}

/// Records a list of a shard, and that it is published.
fn publish(world: &World, shard: u32, crl_number: u8) {
    let crl_number = CrlNumber::from_content_octets(&[crl_number]).unwrap();
    let facts = CrlIntent { scope: number(shard).into(), ..facts(world, &crl_number, 0) };
    let (pending, recorded) = intend(world, &facts).unwrap();
    let signed = world.issuer.sign(pending, &recorded);
    let issued = audit(EventCode::CrlIssued);
    world.store.record_crl_issued(&signed, [6; 32], 700, &issued, at(11)).unwrap();
    let scope = CrlScope::from(number(shard));
    world.store.mark_crl_published(world.issuer.id(), &scope, &crl_number, at(12)).unwrap();
}

fn take(world: &World, most: u32, now: u64) -> Option<ShardPlaces> {
    world.store.take_shard_places(world.issuer.id(), most, WINDOW, at(now)).unwrap()
}

/// A revoked certificate in a shard.
fn revoked(world: &World, shard: Option<u32>) -> SerialNumber {
    let (order, serial) = (world.order(), serial());
    let pending = world.pending(serial);
    let shard = shard.map(number);
    let facts = CertificateIntent { shard, ..world.intent_facts(order, serial) };
    let intent = audit(EventCode::CertificateIntent);
    let recorded = world.store.record_intent(&pending, &facts, &intent, at(20)).unwrap();
    let issued = world.record_issued(pending, &recorded, at(20)).unwrap();
    world.revoke(issued.certificate, at(21));
    serial
}

fn listed(world: &World, shard: u32, not_expired_before: UnixTime) -> Vec<SerialNumber> {
    let mut listed = Vec::new();
    world
        .store
        .revoked_in_shard(world.issuer.id(), number(shard), not_expired_before, &mut |view| {
            listed.extend(view.rows.map(|row| row.unwrap().serial));
        })
        .unwrap();
    listed
}

pub(crate) fn places_are_given_away_once_and_in_time(backend: &dyn Backend) {
    let world = World::new(backend);
    open(&world, 1, 5);
    open(&world, 2, 5);
    assert_eq!(take(&world, 3, 20), None, "its list is not published");
    publish(&world, 1, 1);
    let place = |shard: u32, count, ends| {
        Some(ShardPlaces { number: number(shard), url: url(shard), count, ends: at(ends) })
    };
    assert_eq!(take(&world, 3, 20), place(1, 3, 120), "its time begins with its first place");
    assert_eq!(take(&world, 3, 119), place(1, 2, 120));
    assert_eq!(take(&world, 3, 119), None, "it is full, and the next one not published");
    publish(&world, 2, 2);
    assert_eq!(take(&world, 1, 119), place(2, 1, 219));
    assert_eq!(take(&world, 1, 219), None, "its time is over");

    // What is there stays as it is.
    open(&world, 1, 9);
    world.store.know_crl_shard(world.issuer.id(), number(2), "http://other/", at(300)).unwrap();
    open(&world, 3, 4);
    publish(&world, 3, 3);
    world.store.close_crl_shard(world.issuer.id(), number(3), at(300)).unwrap();
    assert_eq!(take(&world, 1, 301), None);
    let unknown = world.store.close_crl_shard(world.issuer.id(), number(4), at(300));
    assert!(matches!(unknown, Err(StoreError::UnknownShard { .. })));
    let issuer = world.issuer.id();
    drop(world);
    let shards = backend.open().crl_shards(issuer).unwrap();
    let told: Vec<_> = shards
        .iter()
        .map(|one| (one.number.value(), one.url.clone(), one.places, one.ends))
        .collect();
    assert_eq!(
        told,
        [
            (1, url(1), 0, Some(at(120))),
            (2, url(2), 4, Some(at(219))),
            (3, url(3), 0, Some(at(300)))
        ]
    );
    let numbers = shards.iter().map(|one| one.list.as_ref().unwrap().number.to_string());
    assert_eq!(numbers.collect::<Vec<_>>(), ["01", "02", "03"]);
}

pub(crate) fn a_certificate_stands_on_the_list_of_its_shard(backend: &dyn Backend) {
    let world = World::new(backend);
    open(&world, 1, 5);
    open(&world, 2, 5);
    let mut first = vec![revoked(&world, Some(1)), revoked(&world, Some(1))];
    let (second, full) = (revoked(&world, Some(2)), revoked(&world, None));
    first.sort();

    assert_eq!(listed(&world, 1, at(0)), first);
    assert_eq!(listed(&world, 2, at(0)), [second]);
    let after = world.not_after.checked_add(Duration::from_secs(1)).unwrap();
    assert_eq!(listed(&world, 1, after), []);
    let mut all = [first, vec![second, full]].concat();
    all.sort();
    let mut told = Vec::new();
    world
        .store
        .revoked(world.issuer.id(), at(0), &mut |view| {
            told.extend(view.rows.map(|row| row.unwrap().serial));
        })
        .unwrap();
    assert_eq!(told, all, "the full list tells all");

    let shards = world.store.crl_shards(world.issuer.id()).unwrap();
    let [one, two] = shards.as_slice() else { panic!("{shards:?}") };
    assert_eq!((one.last_end, two.last_end), (Some(world.not_after), Some(world.not_after)));
    assert!(one.changed.is_some() && two.changed > one.changed);
    assert_eq!((&one.list, &two.list), (&None, &None));
    let order = world.order();
    let unknown = SerialNumber::from_random([3; 16]);
    let pending = world.pending(unknown);
    let facts = CertificateIntent { shard: Some(number(9)), ..world.intent_facts(order, unknown) };
    let intent = audit(EventCode::CertificateIntent);
    let refused = world.store.record_intent(&pending, &facts, &intent, at(20));
    assert!(matches!(refused, Err(StoreError::UnknownShard { number }) if number.value() == 9));
}

/// CRL-05: a shard gets its last list while its issuer goes on only when all that is in it has ended; after the issuer's own last
/// list always.
pub(crate) fn a_shard_ends_with_its_issuer_or_with_what_is_in_it(backend: &dyn Backend) {
    let world = World::new(backend);
    open(&world, 1, 5);
    open(&world, 2, 5);
    revoked(&world, Some(1));
    let (order, serial) = (world.order(), serial());
    let pending = world.pending(serial);
    let held = CertificateIntent { shard: Some(number(2)), ..world.intent_facts(order, serial) };
    let intent = audit(EventCode::CertificateIntent);
    let recorded = world.store.record_intent(&pending, &held, &intent, at(20)).unwrap();
    let id = world.record_issued(pending, &recorded, at(20)).unwrap().certificate;
    let last = |scope: CrlScope, crl_number: u8| {
        let crl_number = CrlNumber::from_content_octets(&[crl_number]).unwrap();
        let of_now = facts(&world, &crl_number, sizes(&*world.store).0);
        let list = CrlIntent { scope, next_update: UnixTime::LAST, ..of_now };
        let tbs = world.issuer.pending(SigningKind::Crl, b"tbs of a last list");
        world.store.record_crl_intent(&tbs, &list, &audit(EventCode::CrlIntent), at(30))
    };

    let refused = last(number(2).into(), 1);
    assert!(matches!(refused, Err(StoreError::IssuerUnended { count: 1, .. })), "{refused:?}");
    let _ended = last(number(1).into(), 1).unwrap();
    assert!(matches!(last(CrlScope::full(), 2), Err(StoreError::IssuerUnended { .. })));
    world.revoke(id, at(22));
    let _full = last(CrlScope::full(), 2).unwrap();
    let _with_it = last(number(2).into(), 3).unwrap();
}

/// CRL-05, CRL-07: a node that took a place and then stood still for longer than the shard lasted puts no certificate into it: its list
/// is made no more. In another shard the same order has its certificate.
pub(crate) fn a_shard_with_its_last_list_takes_no_certificate(backend: &dyn Backend) {
    let world = World::new(backend);
    open(&world, 1, 5);
    open(&world, 2, 5);
    publish(&world, 1, 1);
    assert!(take(&world, 3, 20).is_some_and(|places| places.number == number(1)));
    let of_now = facts(&world, &CrlNumber::from(2), sizes(&*world.store).0);
    let last = CrlIntent { scope: number(1).into(), next_update: UnixTime::LAST, ..of_now };
    let tbs = world.issuer.pending(SigningKind::Crl, b"tbs of a last list");
    let of_list = audit(EventCode::CrlIntent);
    let recorded = world.store.record_crl_intent(&tbs, &last, &of_list, at(30)).unwrap();

    let (order, serial) = (world.order(), serial());
    let intended = |shard: u32| {
        let facts =
            CertificateIntent { shard: Some(number(shard)), ..world.intent_facts(order, serial) };
        let intent = audit(EventCode::CertificateIntent);
        world.store.record_intent(&world.pending(serial), &facts, &intent, at(30))
    };
    let ended =
        || matches!(intended(1), Err(StoreError::ShardEnded { number }) if number.value() == 1);
    assert!(ended(), "as soon as it is about to be signed");
    let signed = world.issuer.sign(tbs, &recorded);
    let issued = audit(EventCode::CrlIssued);
    world.store.record_crl_issued(&signed, [6; 32], 700, &issued, at(31)).unwrap();
    assert!(ended());
    assert!(intended(2).is_ok());
}

/// What was issued after a backup is known by its serial number alone, and stands on the lists of all shards: on that which it
/// names, whichever it is. How full they are is not known any more, so that they take no more.
pub(crate) fn what_a_restored_database_lost_stands_on_every_shard(backend: &dyn Backend) {
    let world = World::new(backend);
    open(&world, 1, 5);
    open(&world, 2, 5);
    publish(&world, 1, 1);
    let kept = revoked(&world, Some(1));
    let older = backend.backup();
    let lost = revoked(&world, Some(2));
    let entries = verified(&*world.store, Log::Status);

    let restored = world.over(older.open(), node("a", 2));
    let have = usize::try_from(sizes(&*restored.store).0).unwrap();
    let mut missing = entries[have..].iter().cloned();
    let recovered = audit(EventCode::LogRecovered);
    let head = head_of(&entries);
    restored.store.take_over_published(&head, &mut missing, &recovered, at(30)).unwrap();

    let mut both = vec![kept, lost];
    both.sort();
    assert_eq!(listed(&restored, 1, at(0)), both);
    assert_eq!(listed(&restored, 2, at(0)), [lost]);
    assert_eq!(take(&restored, 1, 31), None);
    let shards = restored.store.crl_shards(restored.issuer.id()).unwrap();
    let told: Vec<_> = shards.iter().map(|one| (one.places, one.ends, one.last_end)).collect();
    let end = Some(restored.not_after);
    assert_eq!(told, [(0, Some(at(30)), end), (0, Some(at(30)), end)]);
    assert!(shards.iter().all(|one| one.changed.is_some()));
}
