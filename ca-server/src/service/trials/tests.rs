use std::sync::Arc;

use ca::audit::EventCode;
use status::ReceiptMethod;
use store::Issued;

use super::*;
use crate::clock::Clock;
use crate::service::probing::tests::sees_what_is_so;
use crate::service::receipt::tests::Revoked;
use crate::service::testing::World;

const EVERY: Duration = Duration::from_secs(600);
const LIFE: Duration = Duration::from_secs(7200);

/// A service with two vantage points and trials, and a revocation that is none of them.
fn world() -> Revoked {
    let mut revoked = Revoked::new("keyCompromise");
    forget(&mut revoked.world);
    revoked
}

/// As after a start.
fn forget(world: &mut World) {
    world.service.trials = Some(RunningTrials::new(TrialRevocations::of(EVERY, LIFE)));
}

fn tend(world: &World) -> Result<(), Denied> {
    world.service.tend_trials(&AtomicBool::new(false))
}

/// Goes on so many seconds after the beginning.
fn at(world: &mut World, seconds: u64) {
    world.service.clock = Arc::new(Clock::ahead_by(Duration::from_secs(seconds)));
}

fn listed(world: &World) -> api::TrialRevocations {
    world.service.trials(None).unwrap()
}

/// In time, late and waiting, of each method.
fn told(world: &World) -> Vec<(u64, u64, u64)> {
    let summary = listed(world).summary;
    summary.iter().map(|one| (one.in_time, one.late, one.waiting)).collect()
}

/// Whether somebody has been told that they are late; OCSP and CRL.
fn alarms(world: &World) -> [bool; 2] {
    let trials = world.service.trials.as_ref().unwrap();
    let late = trials.late.lock().unwrap();
    ReceiptMethod::ALL.map(|method| late.contains(&("issuing".to_owned(), method)))
}

/// REV-07: what was tried is revoked at once, seen, measured, and nothing is made before it is time.
#[test]
fn a_trial_is_revoked_and_measured_by_what_vantage_points_see() {
    let mut revoked = world();
    tend(&revoked.world).unwrap();
    let trial = listed(&revoked.world).items.pop().unwrap();
    assert!(trial.revoked_at.is_some() && trial.serial.is_some());
    assert_eq!(told(&revoked.world), [(0, 0, 1), (0, 0, 1)]);
    let wish = revoked.world.authority().take_crl_wish(|| Ok(None)).unwrap();
    assert!(wish, "its CRL is asked for");
    assert_eq!(revoked.world.leaves(EventCode::CertificateRevoked), 2);
    let record = revoked.world.service.record_of(trial.certificate.as_ref().unwrap()).unwrap();
    let lives = record.row.status.status.not_after.since(revoked.world.now());
    assert!(lives <= LIFE, "it does not stay on the CRL: {lives:?}");

    let entries = revoked.world.counts().0;
    tend(&revoked.world).unwrap();
    assert_eq!(revoked.world.counts().0, entries, "it is not time for another");
    sees_what_is_so(&revoked, "stockholm");
    assert_eq!(told(&revoked.world), [(0, 0, 1), (0, 0, 1)], "one has not seen it");
    sees_what_is_so(&revoked, "umea");
    assert_eq!(told(&revoked.world), [(1, 0, 0), (1, 0, 0)]);
    assert!(listed(&revoked.world).items[0].sights.iter().all(|one| one.seen_seconds.is_some()));
    revoked.world.service.watch_trials().unwrap();
    assert_eq!(alarms(&revoked.world), [false, false]);

    at(&mut revoked.world, 300);
    tend(&revoked.world).unwrap();
    assert_eq!(listed(&revoked.world).items.len(), 1);
    at(&mut revoked.world, 700);
    tend(&revoked.world).unwrap();
    assert_eq!(listed(&revoked.world).items.len(), 2);
    assert_eq!(told(&revoked.world), [(1, 0, 1), (1, 0, 1)]);
}

/// REV-07: past the limit somebody is told, of each method by itself, until one is seen in time again; also where a trial was
/// never seen.
#[test]
fn a_trial_that_is_not_seen_in_time_is_told_of() {
    let mut revoked = world();
    tend(&revoked.world).unwrap();
    revoked.world.service.watch_trials().unwrap();
    assert_eq!(alarms(&revoked.world), [false, false]);
    at(&mut revoked.world, 65);
    revoked.world.service.watch_trials().unwrap();
    assert_eq!(alarms(&revoked.world), [true, false], "OCSP is past its minute");
    assert_eq!(told(&revoked.world), [(0, 1, 0), (0, 0, 1)]);

    // Another one waits in time: that says nothing yet.
    at(&mut revoked.world, 605);
    tend(&revoked.world).unwrap();
    revoked.world.service.watch_trials().unwrap();
    assert_eq!(alarms(&revoked.world), [true, false]);
    sees_what_is_so(&revoked, "stockholm");
    sees_what_is_so(&revoked, "umea");
    revoked.world.service.watch_trials().unwrap();
    assert_eq!(alarms(&revoked.world), [false, false], "the last was seen in time");
    assert_eq!(told(&revoked.world), [(1, 1, 0), (2, 0, 0)], "the first was not, by OCSP");

    // Nobody looks any more, and the certificate ends.
    at(&mut revoked.world, 1300);
    tend(&revoked.world).unwrap();
    at(&mut revoked.world, 1300 + 7300);
    revoked.world.service.watch_trials().unwrap();
    assert_eq!(alarms(&revoked.world), [true, true]);
    let never = &listed(&revoked.world).items[0];
    assert!(never.sights.iter().all(|one| one.late && one.waiting_seconds.is_none()));
}

/// REV-06, REV-07: a job corrects the reason before anybody has seen the first: what is looked for is the correction, and its time runs from
/// there.
#[test]
fn a_trial_whose_reason_is_corrected_before_it_was_seen_is_not_late() {
    let mut revoked = world();
    tend(&revoked.world).unwrap();
    at(&mut revoked.world, 50);
    let trial = revoked.world.service.store().trials(1).unwrap().pop().unwrap();
    let certificate = trial.certificate.as_ref().unwrap();
    let correct = StatusAct::CorrectReason {
        from: certificate.status.status.reason,
        reason: Some(RevocationReason::KeyCompromise),
        invalidity: None,
    };
    let act = (correct, EventCode::CertificateRevoked);
    let (authority, whose) = (revoked.world.authority(), (certificate.id, trial.order));
    revoked.world.service.change_own(&PURPOSE, authority, whose, act).unwrap();

    at(&mut revoked.world, 100);
    revoked.world.service.watch_trials().unwrap();
    assert_eq!(alarms(&revoked.world), [false, false]);
    assert_eq!(told(&revoked.world), [(0, 0, 1), (0, 0, 1)]);
    sees_what_is_so(&revoked, "stockholm");
    sees_what_is_so(&revoked, "umea");
    revoked.world.service.watch_trials().unwrap();
    assert_eq!(alarms(&revoked.world), [false, false]);
    assert_eq!(told(&revoked.world), [(1, 0, 0), (1, 0, 0)]);
    let took = listed(&revoked.world).items[0].sights[0].seen_seconds.unwrap();
    assert!((45..=60).contains(&took), "{took}");
}

/// Of several nodes the one that publishes makes them; and where two think that they do, the database lets one.
#[test]
fn one_node_makes_them() {
    let revoked = world();
    let service = &revoked.world.service;
    service.publication.tell_theirs();
    tend(&revoked.world).unwrap();
    assert!(listed(&revoked.world).items.is_empty(), "another node publishes");

    revoked.world.takes_the_publication();
    let (authority, now) = (revoked.world.authority().id, revoked.world.now());
    let other = service.draw_order_id(now).unwrap();
    assert!(service.store().begin_trial(other, authority, EVERY, now).unwrap());
    let (place, profile) = service.tried(&TrialRevocations::of(EVERY, LIFE)).pop().unwrap();
    let settings = TrialRevocations::of(EVERY, LIFE);
    let entries = revoked.world.counts().0;
    service.try_one(&settings, place, profile, &[]).unwrap();
    assert_eq!(revoked.world.counts().0, entries, "another node was first");
    assert_eq!(listed(&revoked.world).items.len(), 1);
}

/// What a kill leaves at any place is ended after the restart: no order stays open, no certificate holds, and none is made twice.
#[test]
fn what_a_kill_leaves_is_ended_after_the_restart() {
    for place in 0..3 {
        let revoked = world();
        let service = &revoked.world.service;
        let (authority, now) = (revoked.world.authority(), revoked.world.now());
        let order = service.draw_order_id(now).unwrap();
        assert!(service.store().begin_trial(order, authority.id, EVERY, now).unwrap());
        if place > 0 {
            assert_eq!(service.begin_own_order(&PURPOSE, order).unwrap(), BegunOrder::New);
        }
        if place > 1 {
            issue(&revoked.world, order);
        }
        let mut revoked = revoked.restarted();
        forget(&mut revoked.world);
        let before = revoked.world.counts().0;
        tend(&revoked.world).unwrap();

        let trial = revoked.world.service.store().trials(9).unwrap().pop().unwrap();
        let standing = if place == 0 { TrialOrder::None } else { TrialOrder::Done };
        assert_eq!((trial.order, trial.standing), (order, standing), "{place}");
        assert_eq!(revoked_at(&trial).is_some(), place == 2, "{place}: revoked if it was issued");
        assert_eq!(revoked.world.counts().0, before + u64::from(place == 2), "{place}");
        tend(&revoked.world).unwrap();
        assert_eq!(listed(&revoked.world).items.len(), 1, "{place}: the next comes in its time");
    }
}

fn issue(world: &World, order: OrderId) -> Issued {
    let settings = TrialRevocations::of(EVERY, LIFE);
    let (authority, profile) = world.service.tried(&settings).pop().unwrap();
    let fields = settings.fields(profile);
    let ends_at = world.now().checked_add(LIFE).unwrap();
    let own = OwnOrder { purpose: &PURPOSE, authority, profile, fields: &fields, ends_at };
    world.service.issue_for_own(&own, order).unwrap()
}

/// A token that is away for a night costs neither orders nor trials; when it is back there is one.
#[test]
fn while_the_token_is_away_nothing_is_begun() {
    let revoked = world();
    let world = &revoked.world;
    let counts = || format!("{:?} {:?}", world.service.store().counts().unwrap(), world.counts());
    let before = counts();
    world.signer.is_lost(true);
    for _ in 0..3 {
        assert_eq!(tend(world).unwrap_err().refusal.code, "hsm-token-missing");
    }
    assert_eq!(counts(), before);
    assert!(listed(world).items.is_empty());

    world.signer.is_lost(false);
    tend(world).unwrap();
    assert_eq!(listed(world).items.len(), 1);
}

/// Old ones are forgotten; who may not read, and a server without the section, are told so.
#[test]
fn a_listing_says_what_there_is_and_what_it_cannot_be_asked() {
    let mut revoked = world();
    let (authority, now) = (revoked.world.authority().id, revoked.world.now());
    let old = now.saturating_sub(REMEMBERED + Duration::from_secs(1));
    let order = revoked.world.service.draw_order_id(old).unwrap();
    assert!(revoked.world.service.store().begin_trial(order, authority, EVERY, old).unwrap());
    let shown = listed(&revoked.world);
    assert!(shown.items[0].certificate.is_none() && shown.items[0].sights.is_empty());
    assert!(shown.summary.is_empty());
    tend(&revoked.world).unwrap();
    let shown = listed(&revoked.world);
    assert_eq!((shown.items.len(), shown.every_seconds), (1, 600), "the old one is forgotten");
    assert_ne!(shown.items[0].order, order.to_string());

    for limit in [0, 1001] {
        let refused = revoked.world.service.trials(Some(limit)).unwrap_err();
        assert_eq!(refused.kind, Kind::Malformed, "{limit}");
    }
    revoked.world.service.trials = None;
    let refused = revoked.world.service.trials(None).unwrap_err();
    assert_eq!(refused.refusal.code, "trial-revocations-not-configured");
    tend(&revoked.world).unwrap();
    revoked.world.service.watch_trials().unwrap();
}
