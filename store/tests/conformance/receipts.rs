//! Receipts of revocations are kept, one a revocation and method.

use ca::audit::EventCode;
use status::{Position, ReceiptMethod};
use store::{CertificateLookup, NewReceipt, ReceiptedEntry, StatusAct, StoreError};

use super::Backend;
use super::world::{World, at, audit, serial, sizes};

fn revoked(world: &World, secs: u64) -> ReceiptedEntry {
    let id = world.issue(at(secs)).certificate;
    let position = world.revoke(id, at(secs + 1)).status.position;
    let row = world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap().row;
    ReceiptedEntry {
        issuer: row.issuer,
        serial: row.serial,
        position,
        revoked: at(secs + 1),
        seen: at(secs + 5),
    }
}

fn receipt(method: ReceiptMethod, note: &str, entries: &[ReceiptedEntry]) -> NewReceipt {
    NewReceipt { method, note: note.to_owned(), entries: entries.to_vec() }
}

/// Promise 4, REV-07.
pub(crate) fn the_first_receipt_of_a_revocation_stays(backend: &dyn Backend) {
    let world = World::new(backend);
    let (one, two) = (revoked(&world, 10), revoked(&world, 20));
    let keep = |new: &NewReceipt, now| {
        world.store.record_receipt(new, &audit(EventCode::RevocationConfirmed), at(now))
    };
    let (_, leaves) = sizes(&*world.store);
    let ocsp = receipt(ReceiptMethod::Ocsp, "ocsp of one", &[one]);
    let both = receipt(ReceiptMethod::Crl, "crl of both", &[one, two]);

    assert!(keep(&ocsp, 30).unwrap());
    assert!(keep(&both, 31).unwrap());
    let late = ReceiptedEntry { seen: at(99), ..one };
    assert!(!keep(&receipt(ReceiptMethod::Ocsp, "late", &[late]), 32).unwrap(), "the first stays");
    assert_eq!(sizes(&*world.store).1, leaves + 2, "a leaf with each, none with nothing");
    // One that receipts another revocation besides is kept for that one.
    assert!(keep(&receipt(ReceiptMethod::Ocsp, "ocsp of both", &[late, two]), 33).unwrap());
    let stranger = ReceiptedEntry { serial: serial(), ..one };
    let refused = keep(&receipt(ReceiptMethod::Ocsp, "stranger", &[two, stranger]), 34);
    assert!(matches!(refused, Err(StoreError::UnknownSerial)));

    drop(world);
    let store = backend.open();
    let notes = |entry: &ReceiptedEntry| {
        let rows = store.receipts(entry.issuer, &entry.serial).unwrap();
        rows.into_iter().map(|row| (row.method, row.entry, row.note)).collect::<Vec<_>>()
    };
    assert_eq!(
        notes(&one),
        [
            (ReceiptMethod::Ocsp, one, "ocsp of one".to_owned()),
            (ReceiptMethod::Crl, one, "crl of both".to_owned()),
        ]
    );
    assert_eq!(
        notes(&two),
        [
            (ReceiptMethod::Ocsp, two, "ocsp of both".to_owned()),
            (ReceiptMethod::Crl, two, "crl of both".to_owned()),
        ]
    );
    assert!(notes(&stranger).is_empty());

    let shown = |entry: &ReceiptedEntry, method, position| {
        store.shown_at(entry.issuer, &entry.serial, method, position).unwrap()
    };
    assert_eq!(shown(&one, ReceiptMethod::Ocsp, one.position), Some(one.seen), "the first");
    assert_eq!(shown(&one, ReceiptMethod::Crl, two.position), None, "of that position alone");
    assert_eq!(shown(&stranger, ReceiptMethod::Crl, one.position), None);
    let newest = |by, most| -> Vec<_> {
        let found = store.newest_receipted(at(by), most).unwrap();
        found.into_iter().map(|(_, serial)| serial).collect()
    };
    assert_eq!(newest(29, 9), [], "nothing had its receipt then");
    assert_eq!(newest(30, 9), [one.serial]);
    assert_eq!(newest(99, 1), [two.serial], "the newest");
    assert_eq!(newest(99, 9).len(), 4, "an entry each");
    let by_lot = |lot| store.receipted_by_lot(lot).unwrap().unwrap().1;
    let lots: Vec<_> = (0..9).map(by_lot).collect();
    assert!(lots.contains(&one.serial) && lots.contains(&two.serial));
}

/// A hold, and the hold after it, are two acts: each has receipts of its own.
pub(crate) fn every_hold_has_its_own_receipt(backend: &dyn Backend) {
    let world = World::new(backend);
    let id = world.issue(at(1)).certificate;
    let row = world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap().row;
    let held = |now| {
        let position: Position =
            world.change(id, StatusAct::Hold, at(now)).unwrap().status.position;
        let (issuer, serial) = (row.issuer, row.serial);
        let entry =
            ReceiptedEntry { issuer, serial, position, revoked: at(now), seen: at(now + 1) };
        let new = receipt(ReceiptMethod::Crl, &position.to_string(), &[entry]);
        world
            .store
            .record_receipt(&new, &audit(EventCode::RevocationConfirmed), at(now + 2))
            .unwrap();
        entry
    };
    let first = held(10);
    world.change(id, StatusAct::Release, at(20)).unwrap();
    let second = held(30);

    let kept = world.store.receipts(row.issuer, &row.serial).unwrap();
    assert_eq!(kept.iter().map(|row| row.entry).collect::<Vec<_>>(), [second, first]);
}
