//! Trial revocations: one begins in each period, and what became of it follows from its order, the log and the receipts (REV-07).

use std::time::Duration;

use ca::audit::EventCode;
use status::ReceiptMethod;
use status::reason::RevocationReason;
use store::{
    CertificateLookup, HeldOrder, NewReceipt, OrderId, ReceiptedEntry, StatusAct, StoreError,
    Trial, TrialOrder, TrialSight,
};

use super::Backend;
use super::world::{Issuer, World, at, audit, fresh, response};

const HOUR: Duration = Duration::from_secs(3600);

fn orders(trials: &[Trial]) -> Vec<OrderId> {
    trials.iter().map(|trial| trial.order).collect()
}

pub(crate) fn one_trial_of_an_issuer_begins_in_each_period(backend: &dyn Backend) {
    let world = World::new(backend);
    let store = &*world.store;
    let begin = |now: u64| {
        let order = OrderId::from_bytes(fresh());
        let begun = store.begin_trial(order, world.issuer.id(), HOUR, at(now)).unwrap();
        begun.then_some(order)
    };
    // By a clock that is set right afterwards.
    let ahead = begin(90_000).unwrap();
    let first = begin(10_000).unwrap();
    assert_eq!([begin(10_000), begin(13_599)], [None; 2], "whoever asks");
    let second = begin(13_600).unwrap();
    assert_eq!(orders(&store.trials(9).unwrap()), [second, first, ahead]);
    assert_eq!(orders(&store.trials(1).unwrap()), [second]);
    let stranger = Issuer::new("CN=SIGILL TEST stranger", store::IssuerKeeping::Online).id();
    let refused = store.begin_trial(OrderId::from_bytes(fresh()), stranger, HOUR, at(99_000));
    assert!(matches!(refused, Err(StoreError::UnknownIssuer)), "{refused:?}");

    assert_eq!(store.forget_trials(at(13_600)).unwrap(), 1);
    drop(world);
    assert_eq!(orders(&backend.open().trials(9).unwrap()), [second, ahead]);
}

pub(crate) fn a_trial_tells_what_became_of_it(backend: &dyn Backend) {
    let world = World::new(backend);
    let store = &*world.store;
    let newest = || store.trials(1).unwrap().pop().unwrap();
    let order = world.new_order("trial");
    store.begin_trial(order.id, world.issuer.id(), HOUR, at(5)).unwrap();
    assert_eq!((newest().standing, newest().begun), (TrialOrder::None, at(5)));
    store.begin_order(&order, at(6)).unwrap();
    assert_eq!(newest().standing, TrialOrder::Open);

    let issued = world.issue(at(10));
    let record = store.certificate(&CertificateLookup::Id(issued.certificate)).unwrap().unwrap();
    let of = record.row.order.unwrap();
    store.begin_trial(of, world.issuer.id(), HOUR, at(5000)).unwrap();
    let certificate = newest().certificate.unwrap();
    assert_eq!((certificate.id, certificate.serial), (issued.certificate, record.row.serial));
    let position = world.revoke(issued.certificate, at(20)).status.position;
    let entry = ReceiptedEntry {
        issuer: record.row.issuer,
        serial: record.row.serial,
        position,
        revoked: at(20),
        seen: at(35),
    };
    let keep = |method, entry: ReceiptedEntry, now: u64| {
        let receipt = NewReceipt { method, note: "note".to_owned(), entries: vec![entry] };
        store.record_receipt(&receipt, &audit(EventCode::RevocationConfirmed), at(now)).unwrap();
    };
    let (ocsp, crl) = (ReceiptMethod::Ocsp, ReceiptMethod::Crl);
    keep(crl, entry, 36);
    let certificate = newest().certificate.unwrap();
    let sight = |method, since, seen| TrialSight { method, since: at(since), seen: at(seen) };
    assert_eq!(certificate.seen, [sight(crl, 20, 35)]);
    assert_eq!((certificate.status.position, certificate.since), (position, at(20)));

    // A graver reason is an entry of its own, with the time of the first.
    let correct = StatusAct::CorrectReason {
        from: certificate.status.status.reason,
        reason: Some(RevocationReason::CaCompromise),
        invalidity: None,
    };
    let corrected = world.change(issued.certificate, correct, at(40)).unwrap().status.position;
    let certificate = newest().certificate.unwrap();
    assert_eq!(certificate.seen, [sight(crl, 20, 35)], "it was seen revoked");
    assert_eq!((certificate.status.position, certificate.since), (corrected, at(40)));
    assert_ne!(corrected, position);
    for method in [ocsp, crl] {
        keep(method, ReceiptedEntry { position: corrected, seen: at(60), ..entry }, 61);
    }
    // By OCSP nobody had seen the first before the correction: what was looked for is that one.
    assert_eq!(newest().certificate.unwrap().seen, [sight(crl, 20, 35), sight(ocsp, 40, 60)]);

    let answer = store::OrderAnswer {
        response: response(&issued),
        subject: world.subject(),
        shared: Vec::new(),
    };
    store.finish_order(HeldOrder::first(order.id), &world.node, &answer, at(70)).unwrap();
    let first = store.trials(9).unwrap().pop().unwrap();
    assert_eq!((first.standing, first.certificate), (TrialOrder::Done, None));
}
