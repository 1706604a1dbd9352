use ca::life::OrderStage;
use store::Log;

use super::*;
use crate::service::renewal::tests::with_a_due_certificate;
use crate::service::steps::tests::{ordered, stage};
use crate::service::testing::World;

/// KEY-09: the management CA's key is asked for a signature a few times a year, and is proven all the same.
#[test]
fn a_management_token_that_died_is_told_of_within_ten_minutes_and_its_return_too() {
    let (service, signer, _folder) = with_a_due_certificate().into_parts();
    service.readiness.renewal.store(true, Ordering::Relaxed);
    let mut probe = Probe { begun: Some(Instant::now()), ..Probe::default() };
    let start = Instant::now();
    let mut after = |seconds: u64| {
        let now = start + Duration::from_secs(seconds);
        assert!(probe.management_round(&service, now).is_none());
        let under_way = probe.under_way.as_ref()?;
        while !under_way.is_finished() {
            std::thread::yield_now();
        }
        probe.management_round(&service, now)
    };
    signer.works(false);
    assert!(after(599).is_none());
    assert!(after(601).unwrap().is_err());
    assert!(!service.is_renewing());

    signer.works(true);
    assert!(after(603).is_none());
    assert!(after(607).unwrap().is_ok());
    assert!(service.is_renewing());
}

#[test]
fn work_that_panics_has_failed() {
    let mut probe = Probe::default();
    probe.begin(Duration::ZERO, Instant::now(), || panic!("as the test asks"));
    while !probe.under_way.as_ref().is_some_and(JoinHandle::is_finished) {
        std::thread::yield_now();
    }

    let ended = probe.ended().unwrap();

    assert_eq!(ended.unwrap_err().refusal.code, "internal");
    assert_eq!(probe.failed, 1);
}

/// PRO-21: what fails and nobody waits for is tried more and more seldom, and as usual once it works.
#[test]
fn work_that_fails_is_tried_more_seldom() {
    let mut probe = Probe::default();
    let mut ended = |works: bool| {
        probe.begin(Duration::ZERO, Instant::now(), move || {
            let refused = Refusal::new("code", "rule", &"seen", "limit", "next");
            if works { Ok(()) } else { Err(Denied::rule(refused)) }
        });
        while !probe.under_way.as_ref().is_some_and(JoinHandle::is_finished) {
            std::thread::yield_now();
        }
        assert_eq!(probe.ended().map(|ended| ended.is_ok()), Some(works));
        probe.patience(Duration::from_secs(2)).as_secs()
    };
    let waits: Vec<_> =
        [true, false, false, false, false, false, false, true, false].map(&mut ended).to_vec();
    assert_eq!(waits, [2, 4, 8, 16, 32, 64, 64, 2, 4]);
}

/// PRO-04: a list that the linter refuses is told of by its code, as long as it is refused.
#[test]
fn a_crl_that_the_linter_refuses_is_an_alarm_until_it_is_made() {
    let mut world = World::new();
    let sound = world.authority().certificate.clone();
    let bad = world.signer.certificate_with(|params| {
        params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    });
    world.take_certificate(&bad);
    let (service, signer, _folder) = world.into_parts();
    let mut schedule = Schedule::new(Arc::clone(&service));
    let start = Instant::now();
    schedule.crls(&service, start);
    let told = schedule.failing.get("crl issuing").map(String::as_str);
    assert_eq!(told, Some("crl-refused"));
    assert_eq!(signer.signatures.load(Ordering::Relaxed), 0);
    drop(schedule);

    let mut service = Arc::into_inner(service).unwrap();
    for authority in service.authorities.values_mut() {
        authority.certificate = sound.clone();
    }
    let service = Arc::new(service);
    let mut schedule = Schedule::new(Arc::clone(&service));
    schedule.failing.insert("crl issuing".to_owned(), "crl-refused".to_owned());
    schedule.crls(&service, start);
    assert!(schedule.failing.is_empty(), "{:?}", schedule.failing);
    assert_eq!(signer.signatures.load(Ordering::Relaxed), 1);
}

/// KEY-09: a CRL that is due while the token is away costs nothing but an alarm, and is signed at once
/// when the token is back.
#[test]
fn a_crl_that_waits_for_its_token_is_signed_at_once_when_it_is_back() {
    let (service, signer, _folder) = World::new().into_parts();
    let leaves = || service.store().log_head(Log::Audit).unwrap().size;
    let mut schedule = Schedule::new(Arc::clone(&service));
    let (before, start) = (leaves(), Instant::now());
    signer.is_lost(true);
    for round in 0..20 {
        schedule.crls(&service, start + ROUND * round);
    }
    assert_eq!(leaves(), before);
    let told = schedule.failing.get("crl issuing").map(String::as_str);
    assert_eq!(told, Some("hsm-token-missing"));

    signer.is_lost(false);
    schedule.crls(&service, start + ROUND * 20);

    assert!(leaves() > before);
    assert!(schedule.failing.is_empty(), "{:?}", schedule.failing);
}

/// ISS-15, promise 8: all orders of a day are over at the same second; while they are ended, leases are renewed and all else is done.
#[test]
fn orders_that_are_over_hold_up_nothing_else() {
    let world = World::new();
    let order = ordered(&world, 1, world.now());
    let (service, _signer, _folder) = world.into_parts();
    let mut schedule = Schedule::new(Arc::clone(&service));
    let start = Instant::now();
    schedule.round(start);
    let under_way = schedule.overdue.under_way.take().expect("a thread of its own");
    under_way.join().unwrap().unwrap();
    assert_eq!(stage(service.store(), order), OrderStage::Expired);

    // As many of them as nobody waits for.
    let (end, ended) = std::sync::mpsc::channel::<()>();
    schedule.overdue.begun = None;
    schedule.overdue.begin(OVERDUE_EVERY, start, move || {
        let _end = ended.recv();
        Ok(())
    });
    let later = start + OVERDUE_EVERY;
    schedule.round(later);

    assert_eq!((schedule.lease, schedule.void), (Some(later), Some(later)));
    schedule.stop.store(true, Ordering::Relaxed);
    drop(end);
    schedule.end();
}
