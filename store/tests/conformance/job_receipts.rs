//! What the world has been seen to show of a job, by wave and method (promise 4, REV-11).

use std::time::Duration;

use ca::audit::EventCode;
use status::reason::RevocationReason;
use status::{Position, ReceiptMethod};
use store::{
    Awaited, CertificateId, CertificateLookup, CertificateRow, JobId, NewReceipt, ReceiptedEntry,
    StatusAct,
};

use super::Backend;
use super::jobs::{REASON, every, frozen, plan, planned, started, step};
use super::world::{World, at, audit};

const OCSP: ReceiptMethod = ReceiptMethod::Ocsp;
const CRL: ReceiptMethod = ReceiptMethod::Crl;

fn row(world: &World, id: CertificateId) -> CertificateRow {
    world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap().row
}

fn position(world: &World, id: CertificateId) -> Position {
    row(world, id).status.position
}

/// Keeps a receipt of what stands at `position`; false where there is one already.
fn keep(
    world: &World,
    method: ReceiptMethod,
    id: CertificateId,
    position: Position,
    seen: u64,
) -> bool {
    let CertificateRow { issuer, serial, .. } = row(world, id);
    let entry = ReceiptedEntry { issuer, serial, position, revoked: at(10), seen: at(seen) };
    let receipt = NewReceipt { method, note: "note".to_owned(), entries: vec![entry] };
    let record = audit(EventCode::RevocationConfirmed);
    world.store.record_receipt(&receipt, &record, at(999)).unwrap()
}

/// Of, receipted, left out and waiting, and since when the oldest waits.
fn seen(world: &World, job: JobId, wave: u32, method: ReceiptMethod) -> ([u64; 4], Option<u64>) {
    let seen = world.store.job_seen(job).unwrap();
    let one = seen.iter().find(|one| (one.wave, one.method) == (wave, method)).unwrap();
    let oldest = one.oldest.map(|time| time.secs() - at(0).secs());
    ([one.entries, one.receipted, one.left_out, one.waiting()], oldest)
}

fn follow(world: &World, since: u64, now: u64) {
    while world.store.await_revocations(at(since), at(now)).unwrap() {}
}

/// Not what others revoked before the job and between its steps, and not a receipt that comes twice.
pub(crate) fn receipts_of_a_job_are_counted_as_they_come(backend: &dyn Backend) {
    let world = World::new(backend);
    let store = &*world.store;
    let issued: Vec<_> = (0..4).map(|_| world.issue(at(1)).certificate).collect();
    let revoke = StatusAct::Revoke { reason: None, invalidity: None };
    let before = world.change(issued[0], revoke, at(2)).unwrap().status.position;
    let job = planned(&world, plan(every()), &[]);
    let forecast = frozen(&world, job);
    assert_eq!(forecast.items, 4, "one of which is to be corrected");
    started(&world, job, forecast.operation, 5);
    assert_eq!(store.job_seen(job).unwrap(), []);
    step(store, job, 1, at(10));
    let other = world.issue(at(10)).certificate;
    let between = world.revoke(other, at(10)).status.position;
    step(store, job, 9, at(11));
    step(store, job, 9, at(90));
    let waves = [seen(&world, job, 1, OCSP), seen(&world, job, 1, CRL), seen(&world, job, 2, OCSP)];
    assert_eq!(waves, [([2, 0, 0, 2], None); 3], "nobody has read the log yet");

    assert!(keep(&world, OCSP, issued[0], before, 20), "before the job");
    assert!(keep(&world, OCSP, other, between, 20), "between two of its steps");
    assert_eq!(seen(&world, job, 1, OCSP).0, [2, 0, 0, 2]);
    // One before the log is read, the others after it.
    assert!(keep(&world, OCSP, issued[0], position(&world, issued[0]), 15));
    follow(&world, 0, 100);
    assert_eq!(seen(&world, job, 1, OCSP), ([2, 1, 0, 1], Some(11)));
    assert_eq!(seen(&world, job, 1, CRL), ([2, 0, 0, 2], Some(10)));
    assert!(keep(&world, OCSP, issued[1], position(&world, issued[1]), 41));
    assert!(!keep(&world, OCSP, issued[1], position(&world, issued[1]), 95), "it has its receipt");
    assert!(keep(&world, CRL, issued[2], position(&world, issued[2]), 100));
    assert_eq!(seen(&world, job, 1, OCSP), ([2, 2, 0, 0], None));
    assert_eq!(seen(&world, job, 1, CRL), ([2, 0, 0, 2], Some(10)));
    assert_eq!(seen(&world, job, 2, CRL), ([2, 1, 0, 1], Some(90)));

    drop(world);
    let world = World::without_import(backend.open());
    let told = world.store.job_seen(job).unwrap();
    let first = told.iter().find(|one| (one.wave, one.method) == (1, OCSP)).unwrap();
    let slowest = first.slowest.unwrap();
    let slow = row(&world, issued[1]);
    assert_eq!((slowest.issuer, slowest.serial), (slow.issuer, slow.serial));
    assert_eq!((slowest.took, first.last_seen), (Duration::from_secs(30), Some(at(41))));
    let order: Vec<_> = told.iter().map(|one| (one.wave, one.method)).collect();
    assert_eq!(order, [(1, OCSP), (1, CRL), (2, OCSP), (2, CRL)]);
}

/// What nobody waits for any more is told apart from what was seen, and is counted once; of all that waits the count is right.
pub(crate) fn what_a_job_did_and_nobody_awaits_is_told_apart(backend: &dyn Backend) {
    let world = World::new(backend);
    let store = &*world.store;
    let issued: Vec<_> = (0..4).map(|_| world.issue(at(1)).certificate).collect();
    let job = planned(&world, plan(every()), &[]);
    let forecast = frozen(&world, job);
    started(&world, job, forecast.operation, 5);
    step(store, job, 9, at(10));
    step(store, job, 9, at(70));
    // The first wave is from before anybody looked.
    follow(&world, 50, 100);
    assert_eq!(seen(&world, job, 1, OCSP), ([2, 0, 2, 0], None));
    assert_eq!(seen(&world, job, 2, OCSP), ([2, 0, 0, 2], Some(70)));
    let counts = || {
        let counts = store.awaited_counts().unwrap();
        counts.iter().map(|one| (one.method, one.count, one.oldest)).collect::<Vec<_>>()
    };
    assert_eq!(counts(), [(CRL, 2, at(70)), (OCSP, 2, at(70))]);

    // No URL leads to one, the other is changed again.
    let serial = row(&world, issued[2]).serial;
    let awaited = store.awaited(0, 100).unwrap();
    let of = |one: &&Awaited| one.serial == serial && one.method == OCSP;
    let key = awaited.iter().find(of).unwrap().key();
    store.forget_awaited(&[key]).unwrap();
    store.forget_awaited(&[key]).unwrap();
    assert_eq!(seen(&world, job, 2, OCSP).0, [2, 0, 1, 1]);
    let was = position(&world, issued[3]);
    let reason = Some(RevocationReason::KeyCompromise);
    let correct = StatusAct::CorrectReason { from: REASON, reason, invalidity: None };
    world.change(issued[3], correct, at(101)).unwrap();
    follow(&world, 50, 110);
    assert_eq!(seen(&world, job, 2, OCSP).0, [2, 0, 2, 0]);
    assert_eq!(seen(&world, job, 2, CRL).0, [2, 0, 1, 1]);
    assert_eq!(counts(), [(CRL, 2, at(70)), (OCSP, 1, at(101))]);

    // What somebody saw all the same, and sends later, is seen.
    assert!(keep(&world, OCSP, issued[2], position(&world, issued[2]), 80));
    assert!(keep(&world, OCSP, issued[3], was, 80));
    assert_eq!(seen(&world, job, 2, OCSP).0, [2, 2, 0, 0]);
    assert_eq!(counts(), [(CRL, 2, at(70)), (OCSP, 1, at(101))], "the correction waits");

    // Those that have ended are awaited by none.
    let end = row(&world, issued[2]).status.status.not_after;
    let after = end.checked_add(Duration::from_secs(1)).unwrap();
    while store.forget_ended_awaited(after).unwrap() > 0 {}
    assert_eq!(counts(), []);
    assert_eq!(seen(&world, job, 2, CRL), ([2, 0, 2, 0], None));
}

/// A receipt that was there before anybody read the log is no entry that nobody awaits: not of what is too old, nor of what has ended.
pub(crate) fn what_of_a_job_was_seen_before_the_log_was_read_is_not_left_out(
    backend: &dyn Backend,
) {
    let world = World::new(backend);
    let store = &*world.store;
    let issued: Vec<_> = (0..4).map(|_| world.issue(at(1)).certificate).collect();
    let job = planned(&world, plan(every()), &[]);
    let forecast = frozen(&world, job);
    started(&world, job, forecast.operation, 5);
    step(store, job, 9, at(10));
    step(store, job, 9, at(70));
    assert!(keep(&world, OCSP, issued[0], position(&world, issued[0]), 20));
    assert!(keep(&world, OCSP, issued[2], position(&world, issued[2]), 80));
    assert!(keep(&world, CRL, issued[3], position(&world, issued[3]), 80));
    // The first wave is too old, the certificates of the second have ended.
    let end = row(&world, issued[2]).status.status.not_after;
    let after = end.checked_add(Duration::from_secs(1)).unwrap();
    while store.await_revocations(at(50), after).unwrap() {}

    assert_eq!(seen(&world, job, 1, OCSP).0, [2, 1, 1, 0]);
    assert_eq!(seen(&world, job, 1, CRL).0, [2, 0, 2, 0]);
    assert_eq!(seen(&world, job, 2, OCSP).0, [2, 1, 1, 0]);
    assert_eq!(seen(&world, job, 2, CRL).0, [2, 1, 1, 0]);
    assert_eq!(store.awaited_counts().unwrap(), []);
    // What comes after is seen, and left out no more.
    assert!(keep(&world, OCSP, issued[1], position(&world, issued[1]), 90));
    assert_eq!(seen(&world, job, 1, OCSP).0, [2, 2, 0, 0]);
}
