//! Promise 2: record, sign, verify, record, release.

use std::time::Duration;

use ca::audit::EventCode;
use status::CertificateState;
use store::{
    CertificateFilter, CertificateLookup, ChangeOutcome, ClockMark, HeldOrder, Import, IndexTag,
    IndexTerm, IssuerKeeping, OrderId, StoreError,
};
use x509::signing::SigningKind;

use super::Backend;
use super::world::{Issuer, PERSON, World, at, audit, followed, fresh, serial, sizes, verified};

/// ISS-05, ISS-06.
pub(crate) fn a_certificate_is_recorded_before_and_after_it_is_signed(backend: &dyn Backend) {
    let world = World::new(backend);
    let (order, serial) = (world.order(), serial());
    let pending = world.pending(serial);

    let recorded = world.record(order, serial, &pending, at(5)).unwrap();

    assert_eq!(world.store.open_intents().unwrap().len(), 1);
    assert!(followed(&*world.store).is_empty());

    let issued = world.record_issued(pending, &recorded, at(6)).unwrap();

    assert!(world.store.open_intents().unwrap().is_empty());
    assert_eq!(issued.time, at(6));
    let index = followed(&*world.store);
    let reference = index.issuer(&world.issuer.id()).unwrap();
    let status = index.lookup(reference, &serial).unwrap();
    assert_eq!((status.state, status.not_after), (CertificateState::Issued, world.not_after));

    let record =
        world.store.certificate(&CertificateLookup::Id(issued.certificate)).unwrap().unwrap();
    assert_eq!(record.der.as_ref(), Some(&issued.der));
    assert_eq!(record.holder, Some(format!("holder {PERSON}").into_bytes()));
    assert_eq!(record.row.order, Some(order));
    assert_eq!((record.row.serial, record.row.status.position), (serial, issued.position));
    assert_eq!(record.row.status.status, status);
    assert_eq!(world.store.order(order).unwrap().unwrap().certificate, Some(issued.certificate));
}

/// ISS-01: no certificate without a stored order, and only while its caller works on it.
pub(crate) fn nothing_is_signed_without_an_order(backend: &dyn Backend) {
    let world = World::new(backend);
    let unknown = OrderId::from_bytes(fresh());
    let left = world.order();
    world.store.leave_order(HeldOrder::first(left), &world.node, at(1)).unwrap();
    let before = sizes(&*world.store);

    for order in [unknown, left] {
        let serial = serial();
        let refused = world.record(order, serial, &world.pending(serial), at(2)).unwrap_err();

        assert!(matches!(refused.code(), "order-unknown" | "order-state"), "{refused}");
    }
    assert_eq!(sizes(&*world.store), before);
    assert!(world.store.open_intents().unwrap().is_empty());
}

/// Promise 2: no order has two certificates, nor one and another on its way.
pub(crate) fn an_order_yields_one_certificate(backend: &dyn Backend) {
    let world = World::new(backend);
    let (order, pending, recorded) = world.intend(at(1)).unwrap();
    let second = || {
        let serial = serial();
        world.record(order, serial, &world.pending(serial), at(2)).unwrap_err()
    };

    assert!(matches!(second(), StoreError::OrderFulfilled { .. }));
    world.record_issued(pending, &recorded, at(2)).unwrap();
    assert!(matches!(second(), StoreError::OrderFulfilled { .. }));
}

/// ISS-03: issuer and serial are unique over reserved, issued, voided and imported.
pub(crate) fn a_serial_is_used_once_whatever_became_of_it(backend: &dyn Backend) {
    let world = World::new(backend);
    let taken = serial();
    let first = world.pending(taken);
    let recorded = world.record(world.order(), taken, &first, at(1)).unwrap();
    let again = || {
        let before = sizes(&*world.store);
        let refused = world.record(world.order(), taken, &world.pending(taken), at(2)).unwrap_err();
        assert!(matches!(refused, StoreError::SerialTaken));
        assert_eq!(sizes(&*world.store), before);
    };

    again();
    world.record_issued(first, &recorded, at(2)).unwrap();
    again();
}

pub(crate) fn refuses_bytes_that_were_not_recorded(backend: &dyn Backend) {
    let world = World::new(backend);
    let (_, pending, recorded) = world.intend(at(1)).unwrap();
    let issued = world.record_issued(pending, &recorded, at(2)).unwrap();
    let stranger = world.issuer.pending(SigningKind::Certificate, b"never recorded");
    let before = sizes(&*world.store);

    // The types keep an unrecorded intent from the key; a record made elsewhere is refused too.
    struct Elsewhere;
    impl x509::signing::Recorder for Elsewhere {
        type Error = std::convert::Infallible;
        fn record(self, _: &x509::signing::Intent) -> Result<(), Self::Error> {
            Ok(())
        }
    }
    let elsewhere = x509::signing::Recorded::by(Elsewhere, stranger.intent()).unwrap();
    let refused = world.record_issued(stranger, &elsewhere, at(3)).unwrap_err();

    assert!(matches!(refused, StoreError::UnknownIntent));
    assert_eq!(sizes(&*world.store), before);
    let _ = issued;
}

/// Architecture §2.5.
pub(crate) fn a_clock_behind_the_log_stops_issuing_and_not_revoking(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued = world.issue(at(100));
    let (_, open, recorded) = world.intend(at(98)).unwrap();

    let refused = world.intend(at(97)).unwrap_err();
    assert!(
        matches!(refused, StoreError::ClockBehind { last, behind }
            if last == at(100) && behind == Duration::from_secs(3)),
        "{refused}"
    );

    let revoked = world.revoke(issued.certificate, at(50));
    assert_eq!(revoked.outcome, ChangeOutcome::Changed);
    assert_eq!(revoked.clock, ClockMark::Behind(Duration::from_secs(50)));
    assert_eq!(revoked.status.status.effective_time, at(100));

    // What has been signed is recorded: refusing it would leave a certificate nobody knows.
    assert!(world.record_issued(open, &recorded, at(50)).is_ok());
    followed(&*world.store);
}

pub(crate) fn an_offline_issuer_signs_nothing_here(backend: &dyn Backend) {
    let mut world = World::new(backend);
    let root = Issuer::new("CN=SIGILL TEST root", IssuerKeeping::Offline);
    let import = Import { issuers: vec![root.declared.clone()], ..Import::default() };
    world.store.import(&import, &audit(EventCode::ImportCeremony), at(0)).unwrap();
    world.issuer = std::sync::Arc::new(root);

    assert!(matches!(world.intend(at(1)), Err(StoreError::OfflineIssuer)));
}

pub(crate) fn finds_a_certificate_by_each_of_its_names(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued = world.issue(at(1));
    world.issue(at(2));
    let find = |lookup| world.store.certificate(&lookup).unwrap();
    let row = find(CertificateLookup::Id(issued.certificate)).unwrap().row;

    let by_hash = find(CertificateLookup::Fingerprint(row.sha256)).unwrap().row;
    let by_serial = find(CertificateLookup::Serial(row.issuer, row.serial)).unwrap().row;

    assert_eq!(by_hash, row);
    assert_eq!(by_serial, row);
    assert_eq!(find(CertificateLookup::Fingerprint([0; 32])), None);
    assert_eq!(find(CertificateLookup::Serial(row.issuer, serial())), None);

    let list = |value| {
        let term = Some(IndexTerm::new(IndexTag::PersonalNumber, value));
        let filter = CertificateFilter { term, ..CertificateFilter::default() };
        world.store.list_certificates(&filter, None, 10).unwrap().rows.len()
    };
    assert_eq!(list("19121212-1212"), 2);
    assert_eq!(list("191212121213"), 0);
}

pub(crate) fn lists_page_by_page_without_loss(backend: &dyn Backend) {
    let world = World::new(backend);
    let issued: Vec<_> = (0..7).map(|n| world.issue(at(n)).certificate).collect();
    world.revoke(issued[3], at(9));
    let filter = CertificateFilter::default();

    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = world.store.list_certificates(&filter, after, 3).unwrap();
        assert!(page.rows.len() <= 3);
        seen.extend(page.rows.iter().map(|row| row.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, issued);

    let revoked = CertificateFilter {
        state: Some(CertificateState::Revoked),
        ..CertificateFilter::default()
    };
    let page = world.store.list_certificates(&revoked, None, 3).unwrap();
    assert_eq!(page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), [issued[3]]);
    verified(&*world.store, store::Log::Audit);
}
