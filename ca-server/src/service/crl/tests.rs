//! What stands on the lists of a service whose key is in memory.

use std::sync::atomic::Ordering;

use ca::audit::Actor;
use status::{AnswerClasses, RevocationReason};
use store::{
    BootId, Import, ImportedChange, ImportedState, Node, StatusAct, StatusChange, StatusTarget,
};
use x509::crl::{CrlForm, CrlReader, CrlTail, ReasonCode};

use super::*;
use crate::service::testing::World;

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate that was revoked and has ended two days ago.
fn expired(world: &World, octet: u8) -> SerialNumber {
    let now = world.now();
    let effective = now.saturating_sub(DAY * 3);
    is_revoked(world, octet, now.saturating_sub(DAY * 2), effective)
}

/// A certificate that has just been revoked.
fn revoked(world: &World, octet: u8) -> SerialNumber {
    let now = world.now();
    is_revoked(world, octet, now.checked_add(DAY).unwrap(), now)
}

fn is_revoked(world: &World, octet: u8, ends: UnixTime, effective: UnixTime) -> SerialNumber {
    let serial = SerialNumber::from_random([octet; 16]);
    let reason = Some(RevocationReason::Superseded);
    let change = ImportedChange::Revoked { reason, effective, invalidity: None };
    import_state(world, serial, ends, change);
    serial
}

fn import_state(world: &World, serial: SerialNumber, ends: UnixTime, change: ImportedChange) {
    let state = ImportedState {
        issuer: world.authority().id,
        serial,
        not_after: ends,
        answers: AnswerClasses::USUAL,
        change,
    };
    let record = Service::record(
        EventCode::ImportRevocation,
        EventResult::Done,
        Actor::System([0; 16]),
        ObjectIds::default(),
        None,
        &json!({}),
        Subject::Deployment,
    );
    let import = Import { states: vec![state], ..Import::default() };
    world.service.store().import(&import, &record, world.now()).unwrap();
}

fn published(world: &World) -> (Vec<SerialNumber>, CrlTail) {
    let (entries, tail) = list(world, "crl/issuing.crl");
    (entries.into_iter().map(|entry| entry.serial).collect(), tail)
}

fn list(world: &World, path: &str) -> (Vec<RevokedEntry>, CrlTail) {
    let octets = fs::read(world.service.files.path(path)).unwrap();
    let mut reader =
        CrlReader::start(octets.as_slice(), CrlForm::CertificateList, crl::MAX_OCTETS).unwrap();
    let entries = reader.by_ref().map(Result::unwrap).collect();
    (entries, reader.finish().unwrap())
}

fn keep_from(world: &mut World, from: Option<Day>) {
    for authority in world.service.authorities.values_mut() {
        authority.section.crl_keeps_expired_from = from;
    }
}

fn make(world: &World) -> Result<(), &'static str> {
    world.service.make_list(world.authority(), List::Full).map_err(|denied| denied.refusal.code)
}

/// CRL-09, CRL-10: without the day an expired entry goes after one more list; with it it stays, the list says so,
/// and the day is not taken back.
#[test]
fn expired_entries_stay_on_the_list_from_the_configured_day_on() {
    let world = World::new();
    let serial = expired(&world, 1);
    make(&world).unwrap();
    let (listed, tail) = published(&world);
    assert_eq!((listed, tail.extensions.expired_certs_on_crl), (vec![serial], None));
    make(&world).unwrap();
    assert_eq!(published(&world).0, []);

    let mut world = World::new();
    let serial = expired(&world, 1);
    let day = Day::containing(world.now().saturating_sub(DAY * 2));
    keep_from(&mut world, Some(day));
    for _ in 0..3 {
        make(&world).unwrap();
        let (listed, tail) = published(&world);
        assert_eq!(listed, [serial]);
        assert_eq!(tail.extensions.expired_certs_on_crl, Some(day.begin()));
    }
    for other in [None, Some(Day::containing(world.now()))] {
        keep_from(&mut world, other);
        assert_eq!(make(&world), Err("crl-refused"), "{other:?}");
    }
    assert_eq!(published(&world).0, [serial]);
}

const FULL: &str = "crl/issuing.crl";
const DELTA: &str = "crl/issuing.delta.crl";

fn with_deltas() -> World {
    let mut world = World::new();
    for authority in world.service.authorities.values_mut() {
        authority.section.delta_crl_period = Some(600);
        authority.section.delta_crl_url =
            Some("http://crl.example.org/issuing.delta.crl".to_owned());
    }
    world
}

/// What the schedule would make now, made.
fn round(world: &World) -> Option<List> {
    let wanted = world.service.wanted_crl(world.authority()).unwrap();
    if let Some(list) = wanted {
        world.service.make_list(world.authority(), list).unwrap();
    }
    wanted
}

/// CRL-02, CRL-08: after a full list comes a delta to it, and a revocation on the next one; numbers are of one
/// series, and the full list says where deltas are.
#[test]
fn a_revocation_stands_on_a_delta_until_a_full_list_has_it() {
    let world = with_deltas();
    let first = revoked(&world, 1);
    // A wish of the start is met by the full list that is due.
    assert_eq!(
        [round(&world), round(&world), round(&world)],
        [Some(List::Full), Some(List::Delta), None]
    );
    let (on_full, full) = list(&world, FULL);
    let (on_delta, delta) = list(&world, DELTA);
    assert_eq!(on_full.iter().map(|entry| entry.serial).collect::<Vec<_>>(), [first]);
    assert_eq!(on_delta, []);
    assert_eq!(delta.extensions.delta_base, full.extensions.number);
    assert!(delta.extensions.number > full.extensions.number);
    assert_eq!(delta.extensions.authority_key_id, full.extensions.authority_key_id);
    let octets = fs::read(world.service.files.path(FULL)).unwrap();
    let url = b"http://crl.example.org/issuing.delta.crl";
    assert!(octets.windows(url.len()).any(|window| window == url), "freshestCRL");

    let second = revoked(&world, 2);
    world.authority().ask_for_crl();
    assert_eq!([round(&world), round(&world)], [Some(List::Delta), None]);
    let (on_delta, next) = list(&world, DELTA);
    assert_eq!(on_delta.iter().map(|entry| entry.serial).collect::<Vec<_>>(), [second]);
    assert!(next.extensions.number > delta.extensions.number);
    assert_eq!(next.extensions.delta_base, full.extensions.number);
    assert_eq!(list(&world, FULL).0, on_full, "the full list stands");

    make(&world).unwrap();
    let (on_full, newer) = list(&world, FULL);
    assert_eq!(on_full.iter().map(|entry| entry.serial).collect::<Vec<_>>(), [first, second]);
    assert!(newer.extensions.number > next.extensions.number);
    assert_eq!(round(&world), Some(List::Delta), "one to the new base at once");
    let (on_delta, last) = list(&world, DELTA);
    assert_eq!((on_delta, last.extensions.delta_base), (vec![], newer.extensions.number));
}

/// CRL-08: a delta that is lost is made again; without a base that can be had the full list is made.
#[test]
fn a_lost_delta_is_made_again_and_without_its_base_a_full_list_is() {
    let world = with_deltas();
    assert_eq!(
        [round(&world), round(&world), round(&world)],
        [Some(List::Full), Some(List::Delta), None]
    );
    fs::remove_file(world.service.files.path(DELTA)).unwrap();
    assert_eq!([round(&world), round(&world)], [Some(List::Delta), None]);

    let number = list(&world, FULL).1.extensions.number;
    fs::write(world.service.files.path(FULL), b"other").unwrap();
    fs::remove_file(world.folder("issuing.last.crl")).unwrap();
    world.service.make_list(world.authority(), List::Delta).unwrap();
    assert!(list(&world, FULL).1.extensions.number > number);
}

fn make_delta(world: &World) -> Result<(), &'static str> {
    world.service.make_list(world.authority(), List::Delta).map_err(|denied| denied.refusal.code)
}

/// CRL-08, CRL-10, CRL-11: a configuration that takes the day back un-revokes nobody by a delta either.
#[test]
fn a_delta_takes_back_nothing_that_a_full_list_may_not() {
    let mut world = with_deltas();
    let serial = expired(&world, 1);
    let day = Day::containing(world.now().saturating_sub(DAY * 2));
    keep_from(&mut world, Some(day));
    make(&world).unwrap();
    make_delta(&world).unwrap();
    let stands = list(&world, DELTA);
    for other in [None, Some(Day::containing(world.now()))] {
        keep_from(&mut world, other);
        assert_eq!(make_delta(&world), Err("crl-refused"), "{other:?}");
    }
    assert_eq!(list(&world, DELTA).1.extensions.number, stands.1.extensions.number);
    assert_eq!(published(&world).0, [serial]);
    keep_from(&mut world, Some(day));
    make_delta(&world).unwrap();
    assert_eq!(list(&world, DELTA).0, []);
}

/// CRL-03, CRL-08: while the full list is refused a revocation comes on a delta to the last one, and the full one's
/// refusal is what is told.
#[test]
fn a_full_list_that_is_refused_does_not_keep_back_the_deltas() {
    let mut world = with_deltas();
    assert_eq!([round(&world), round(&world)], [Some(List::Full), Some(List::Delta)]);
    // What ended three days ago stood on no list: dated before the last one, it comes on no full list.
    let day = Day::containing(world.now().saturating_sub(DAY * 9));
    keep_from(&mut world, Some(day));
    let (late, now) = (expired(&world, 1), revoked(&world, 2));
    world.authority().ask_for_crl();
    let made = world.service.make_wanted(world.authority(), List::Full);
    assert_eq!(made.map_err(|denied| denied.refusal.code), Err("crl-refused"));
    let (on_delta, _) = list(&world, DELTA);
    assert_eq!(on_delta.iter().map(|entry| entry.serial).collect::<Vec<_>>(), [late, now]);

    let number = list(&world, DELTA).1.extensions.number;
    let made = world.service.make_wanted(world.authority(), List::Full);
    assert_eq!(made.map_err(|denied| denied.refusal.code), Err("crl-refused"));
    let unchanged = list(&world, DELTA).1.extensions.number;
    assert_eq!(unchanged, number, "nothing waits and nothing is due");
}

/// CRL-08: an authority without deltas makes full lists alone.
#[test]
fn without_a_period_there_are_no_deltas() {
    let world = World::new();
    assert_eq!([round(&world), round(&world)], [Some(List::Full), None]);
    world.authority().ask_for_crl();
    assert_eq!(round(&world), Some(List::Full));
    assert!(!world.service.files.path(DELTA).exists());
}

/// CRL-02: of several nodes the one that publishes makes the lists; what waited for one still does afterwards.
#[test]
fn a_node_that_does_not_publish_makes_no_list() {
    let world = World::new();
    world.service.publication.tell_theirs();
    assert_eq!([round(&world), round(&world)], [None, None]);
    let signatures = || world.signer.signatures.load(Ordering::Relaxed);
    let before = signatures();
    assert_eq!(make(&world), Err("crl-not-ours"));
    assert_eq!(signatures(), before, "it signs none either");
    assert!(!world.service.files.path(FULL).exists());

    world.takes_the_publication();
    assert_eq!([round(&world), round(&world)], [Some(List::Full), None]);
    assert_eq!(world.leaves(EventCode::CrlIssued), 1);
}

/// Another node takes the lease, and gives it back.
fn another_publishes(world: &World) {
    let other = Node { name: "ca2".to_owned(), boot: BootId::from_bytes([9; 16]) };
    let store = world.service.store();
    store.release_lease(&LeaseName::Publication, &world.service.node).unwrap();
    let taken = store.lease(&LeaseName::Publication, &other, world.now()).unwrap();
    assert!(matches!(taken, LeaseOutcome::Held { .. }), "{taken:?}");
    assert_eq!(make(world), Err("crl-not-ours"));
    store.release_lease(&LeaseName::Publication, &other).unwrap();
}

/// CRL-02: a machine that was stopped from outside, and whose clocks stood still with it, believes that it still has the lease. The
/// database knows better: nothing is signed while another node publishes, nor after it has.
#[test]
fn the_database_says_who_may_sign_a_list() {
    let world = World::new();
    let signatures = || world.signer.signatures.load(Ordering::Relaxed);
    let before = signatures();

    another_publishes(&world);

    assert!(world.service.publication.is_ours(), "as far as its clocks tell");
    assert_eq!(make(&world), Err("crl-not-ours"), "lists of another node may be newer");
    assert_eq!((signatures(), world.service.files.path(FULL).exists()), (before, false));
    world.takes_the_publication();
    assert_eq!(make(&world), Ok(()));
}

/// CRL-03: what another node has changed is on a list as soon as this one, which makes them, has seen it in the log; and what a
/// list has already costs no other.
#[test]
fn what_another_node_has_revoked_is_on_the_next_list() {
    for world in [World::new(), with_deltas()] {
        while round(&world).is_some() {}
        let serial = revoked(&world, 1);
        assert_eq!(round(&world), None, "nobody has told of it");
        let head = world.service.store().log_head(store::Log::Status).unwrap();
        let position = Position { epoch: head.epoch, index: head.size - 1 };
        world.authority().ask_for_crl_over(position);

        let made = round(&world).unwrap();

        let path = if made == List::Full { FULL } else { DELTA };
        let (entries, _) = list(&world, path);
        assert_eq!(entries.iter().map(|entry| entry.serial).collect::<Vec<_>>(), [serial]);
        world.authority().ask_for_crl_over(position);
        assert_eq!(round(&world), None, "the list has it");
    }
}

/// CRL-03, REV-11: what another node has changed waits for no job's wave, but for one that revokes of the same authority itself: the list
/// at its end has both.
#[test]
fn what_another_node_has_revoked_waits_for_no_job_of_another_authority() {
    let world = World::new();
    while round(&world).is_some() {}
    let serial = revoked(&world, 1);
    let head = world.service.store().log_head(store::Log::Status).unwrap();
    let told = || {
        let position = Position { epoch: head.epoch, index: head.size - 1 };
        world.service.publication.has_changed(world.authority().id, position);
        world.service.ask_for_waiting_crls();
        round(&world)
    };
    world.authority().owe_crl();
    assert_eq!(told(), None);

    assert!(world.authority().take_owed_crl());
    assert_eq!([told(), told()], [Some(List::Full), None]);
    assert_eq!(published(&world).0, [serial]);
}

/// CRL-03: what another node had published and not yet listed when its lease ended is on the next list of the one that takes over.
#[test]
fn a_node_that_takes_over_makes_the_lists_that_wait() {
    let world = World::new();
    let publication = &world.service.publication;
    while round(&world).is_some() {}
    assert!(world.authority().take_shard_wish(), "from its start");
    world.service.ask_for_waiting_crls();
    assert_eq!(round(&world), None);
    another_publishes(&world);
    publication.tell_theirs();
    let serial = revoked(&world, 1);
    world.takes_the_publication();

    world.service.ask_for_waiting_crls();

    assert_eq!([round(&world), round(&world)], [Some(List::Full), None]);
    assert_eq!(published(&world).0, [serial]);
    assert!(world.authority().take_shard_wish());
    world.takes_the_publication();
    world.service.ask_for_waiting_crls();
    assert_eq!(round(&world), None, "the lease is the same");
}

/// CRL-11, REV-03: of a certificate that is known by its serial alone, imported or taken over from the published log, a
/// release explains that its entry is gone as of any other.
#[test]
fn a_released_hold_of_a_serial_without_its_certificate_leaves_the_lists() {
    let world = with_deltas();
    let (issuer, now) = (world.authority().id, world.now());
    let record = |code| world.service.crl_record(code, world.authority(), None, &json!({}));
    let held = |octet| {
        let serial = SerialNumber::from_random([octet; 16]);
        let state = ImportedState {
            issuer,
            serial,
            not_after: now.checked_add(DAY).unwrap(),
            answers: AnswerClasses::USUAL,
            change: ImportedChange::Held { effective: now },
        };
        let import = Import { states: vec![state], ..Import::default() };
        world.service.store().import(&import, &record(EventCode::ImportRevocation), now).unwrap();
        serial
    };
    let release = |serial| {
        let target = StatusTarget::Serial(issuer, serial);
        let change =
            StatusChange { target, act: StatusAct::Release, requested_at: None, alone: None };
        let record = record(EventCode::CertificateReleased);
        world.service.store().change_status(&change, &record, world.now()).unwrap();
    };
    let (one, two) = (held(1), held(2));
    make(&world).unwrap();
    assert_eq!(published(&world).0, [one, two]);

    release(one);
    make_delta(&world).unwrap();
    let (on_delta, _) = list(&world, DELTA);
    let said: Vec<_> = on_delta.iter().map(|entry| (entry.serial, entry.reason)).collect();
    assert_eq!(said, [(one, Some(ReasonCode::RemoveFromCrl))]);
    release(two);
    make(&world).unwrap();
    assert_eq!(published(&world).0, []);
}

/// PRO-04, CRL-11: what the linter refuses no key signs and nobody gets: neither full list nor delta of a CA whose certificate says that it
/// signs no CRLs. The lists that stand are served on, the refusal names the rule, and no intent is left open.
#[test]
fn a_list_that_the_linter_refuses_is_not_signed_and_the_old_one_stands() {
    let mut world = with_deltas();
    revoked(&world, 1);
    while round(&world).is_some() {}
    let files = |world: &World| [FULL, DELTA].map(|path| fs::read(world.service.files.path(path)));
    let standing = files(&world).map(Result::unwrap);
    let sound = world.authority().certificate.clone();
    let bad = world.signer.certificate_with(|params| {
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    });
    world.take_certificate(&bad);
    revoked(&world, 2);
    let before = world.signer.signatures.load(Ordering::Relaxed);
    let intents = world.leaves(EventCode::CrlIntent);

    for list in [List::Full, List::Delta] {
        let denied = world.service.make_list(world.authority(), list).unwrap_err().refusal;
        assert_eq!(denied.code, "crl-refused");
        let seen = &denied.seen;
        assert!(seen.contains("pro-14/issuer-may-sign"), "{seen}");
    }

    assert_eq!(world.signer.signatures.load(Ordering::Relaxed), before, "no key was asked");
    assert_eq!(world.leaves(EventCode::CrlIntent), intents, "nothing was to be signed");
    assert_eq!(files(&world).map(Result::unwrap), standing);
    let spools = fs::read_dir(world.folder("spool")).unwrap().count();
    assert_eq!(spools, 0, "nothing is left lying");

    world.take_certificate(&sound);
    make(&world).unwrap();
    assert_eq!(published(&world).0.len(), 2, "what waited is on the next one");
}

/// REV-04, PRO-04: an entry of another operator with the reason of attribute certificates keeps no list from being made; it is revoked, for no
/// stated reason.
#[test]
fn an_imported_reason_that_no_list_may_give_does_not_stop_the_lists() {
    let world = World::new();
    let now = world.now();
    let serial = SerialNumber::from_random([7; 16]);
    let change = ImportedChange::Revoked {
        reason: Some(RevocationReason::AaCompromise),
        effective: now,
        invalidity: None,
    };
    import_state(&world, serial, now.checked_add(DAY).unwrap(), change);

    make(&world).unwrap();

    let (entries, _) = list(&world, FULL);
    let said: Vec<_> = entries.iter().map(|entry| (entry.serial, entry.reason)).collect();
    assert_eq!(said, [(serial, None)]);
}
