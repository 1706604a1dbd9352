//! What the world has to be seen to show is derived from the log, and remembered until it has its receipt.

use ca::audit::EventCode;
use status::reason::RevocationReason;
use status::{Position, ProbeMethod, ReceiptMethod};
use store::{
    Awaited, AwaitedKey, CertificateId, CertificateLookup, CertificateRow, NewReceipt,
    ReceiptedEntry, Sight, StatusAct, Store,
};

use x509::key::SpkiHash;

use super::Backend;
use super::world::{World, at, audit, serial};

fn row(world: &World, id: CertificateId) -> CertificateRow {
    world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap().row
}

/// Reads the log to its end.
fn follow(store: &dyn Store, since: u64, now: u64) {
    while store.await_revocations(at(since), at(now)).unwrap() {}
}

fn told(awaited: &[Awaited]) -> Vec<(ReceiptMethod, Position, u64)> {
    let since = |one: &Awaited| one.since.secs() - at(0).secs();
    awaited.iter().map(|one| (one.method, one.position, since(one))).collect()
}

fn sight(seen: u64, shown: Option<u64>, statement: &str) -> Sight {
    Sight {
        vantage: "stockholm".parse().unwrap(),
        key: SpkiHash::from_bytes([1; 32]),
        method: ProbeMethod::OcspGet,
        url: "http://ocsp.example.org".to_owned(),
        seen: at(seen),
        shown: shown.map(at),
        statement: statement.to_owned(),
    }
}

/// Promise 4: no way of revoking is forgotten, since it is the log that is read; a receipt of one method ends that one alone.
pub(crate) fn what_was_revoked_is_awaited_until_its_receipt(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, one, two) = (world.issue(at(1)), world.issue(at(2)), world.issue(at(3)));
    world.revoke(old.certificate, at(10));
    let at_one = world.revoke(one.certificate, at(100)).status.position;
    let at_two = world.change(two.certificate, StatusAct::Hold, at(101)).unwrap().status.position;
    let store = &*world.store;
    follow(store, 50, 200);
    let (ocsp, crl) = (ReceiptMethod::Ocsp, ReceiptMethod::Crl);
    let all = [(ocsp, at_one, 100), (crl, at_one, 100), (ocsp, at_two, 101), (crl, at_two, 101)];
    assert_eq!(told(&store.awaited(0, 10).unwrap()), all, "what is older than that day is not");
    assert!(!store.await_revocations(at(50), at(200)).unwrap(), "the log has no more");
    assert_eq!(told(&store.newest_awaited(1).unwrap()), all[3..]);
    let second = store.awaited(0, 1).unwrap()[0].number;
    assert_eq!(told(&store.awaited(second, 2).unwrap()), all[1..3]);

    let known = row(&world, one.certificate);
    let entry = ReceiptedEntry {
        issuer: known.issuer,
        serial: known.serial,
        position: at_one,
        revoked: at(100),
        seen: at(150),
    };
    let receipt = NewReceipt { method: ocsp, note: "note".to_owned(), entries: vec![entry] };
    store.record_receipt(&receipt, &audit(EventCode::RevocationConfirmed), at(160)).unwrap();
    assert_eq!(told(&store.awaited(0, 10).unwrap()), all[1..]);
    let counts = store.awaited_counts().unwrap();
    let counts: Vec<_> = counts.iter().map(|one| (one.method, one.count, one.oldest)).collect();
    assert_eq!(counts, [(crl, 2, at(100)), (ocsp, 1, at(101))]);
    assert_eq!(store.awaited_of(known.issuer, &known.serial, ocsp).unwrap(), None);
    assert!(store.awaited_of(known.issuer, &known.serial, crl).unwrap().is_some());

    // A corrected reason is another entry: it is awaited anew, also where the other had its receipt.
    let correct = StatusAct::CorrectReason {
        from: known.status.status.reason,
        reason: Some(RevocationReason::Superseded),
        invalidity: None,
    };
    let corrected = world.change(one.certificate, correct, at(210)).unwrap().status.position;
    drop(world);
    let store = backend.open();
    follow(&*store, 50, 220);
    assert_eq!(
        told(&store.oldest_awaited(crl, 9).unwrap()),
        [(crl, at_two, 101), (crl, corrected, 210)],
        "of one method"
    );
    let (here, key) = ("stockholm".parse().unwrap(), SpkiHash::from_bytes([1; 32]));
    let unseen = |key: &SpkiHash| told(&store.oldest_unseen(ocsp, &here, key, 1).unwrap());
    assert_eq!(unseen(&key), [(ocsp, at_two, 101)]);
    let key_of = store.oldest_awaited(ocsp, 1).unwrap()[0].key();
    store.record_sights(&[(key_of, sight(220, Some(220), "seen"))]).unwrap();
    assert_eq!(unseen(&key), [(ocsp, corrected, 210)], "what it has shown is passed over");
    assert_eq!(unseen(&SpkiHash::from_bytes([2; 32])), [(ocsp, at_two, 101)], "by its key alone");
    assert_eq!(
        told(&store.awaited(0, 10).unwrap()),
        [(ocsp, at_two, 101), (crl, at_two, 101), (ocsp, corrected, 210), (crl, corrected, 210)]
    );
    let all = store.awaited(0, 10).unwrap();
    store.forget_awaited(&[all[0].key(), all[3].key()]).unwrap();
    assert_eq!(told(&store.awaited(0, 10).unwrap()), [(crl, at_two, 101), (ocsp, corrected, 210)]);
}

pub(crate) fn what_was_released_or_has_ended_is_awaited_no_more(backend: &dyn Backend) {
    let world = World::new(backend);
    let (held, gone) = (world.issue(at(1)).certificate, world.issue(at(2)).certificate);
    let store = &*world.store;
    world.change(held, StatusAct::Hold, at(10)).unwrap();
    world.revoke(gone, at(11));
    follow(store, 0, 20);
    assert_eq!(store.awaited(0, 10).unwrap().len(), 4);
    let key = store.awaited(0, 1).unwrap()[0].key();
    store.record_sights(&[(key, sight(15, None, "good"))]).unwrap();

    world.change(held, StatusAct::Release, at(30)).unwrap();
    follow(store, 0, 40);
    let left = store.awaited(0, 10).unwrap();
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|one| one.serial == row(&world, gone).serial));
    // What came for one that is awaited no more is passed over.
    store.record_sights(&[(key, sight(41, Some(41), "late"))]).unwrap();

    let ends = row(&world, gone).status.status.not_after;
    assert_eq!(store.forget_ended_awaited(ends).unwrap(), 0);
    assert_eq!(
        store
            .forget_ended_awaited(ends.checked_add(std::time::Duration::from_secs(1)).unwrap())
            .unwrap(),
        2
    );
    assert_eq!(store.awaited(0, 10).unwrap(), []);
}

/// REV-07: what was seen of a hold is not taken for a sight of the revocation that came after it, whichever number that has.
pub(crate) fn a_sight_stays_with_the_entry_that_was_seen(backend: &dyn Backend) {
    let world = World::new(backend);
    let store = &*world.store;
    let one = world.issue(at(1)).certificate;
    world.change(one, StatusAct::Hold, at(10)).unwrap();
    follow(store, 0, 20);
    let held: Vec<_> = store.awaited(0, 9).unwrap().iter().map(Awaited::key).collect();
    let revoked = world.revoke(one, at(30)).status.position;
    follow(store, 0, 40);

    let late: Vec<_> = held.iter().map(|key| (*key, sight(41, Some(41), "of the hold"))).collect();
    store.record_sights(&late).unwrap();
    store.forget_awaited(&held).unwrap();

    let left = store.awaited(0, 9).unwrap();
    assert_eq!(left.len(), 2, "the revocation is awaited still");
    for now in left {
        assert_eq!((now.position, now.sights), (revoked, Vec::new()));
        // Its number alone, as where it was given again.
        let key = AwaitedKey { number: now.number, ..held[0] };
        store.record_sights(&[(key, sight(42, Some(42), "of the hold"))]).unwrap();
        store.forget_awaited(&[key]).unwrap();
    }
    let left = store.awaited(0, 9).unwrap();
    assert!(left.len() == 2 && left.iter().all(|one| one.sights.is_empty()), "{left:?}");
}

/// REV-07.
pub(crate) fn a_sight_counts_from_the_first_of_an_unbroken_row(backend: &dyn Backend) {
    let world = World::new(backend);
    world.revoke(world.issue(at(1)).certificate, at(10));
    follow(&*world.store, 0, 20);
    let key = world.store.awaited(0, 1).unwrap()[0].key();
    let after = |sight: Sight| {
        world.store.record_sights(&[(key, sight)]).unwrap();
        world.store.awaited(0, 1).unwrap().remove(0).sights
    };

    assert_eq!(after(sight(20, None, "a")), [sight(20, None, "a")]);
    assert_eq!(after(sight(21, Some(21), "b")), [sight(21, Some(21), "b")]);
    assert_eq!(after(sight(22, Some(22), "c")), [sight(22, Some(21), "b")], "the first stays");
    assert_eq!(
        after(sight(15, None, "late")),
        [sight(22, Some(21), "b")],
        "what is late is nothing"
    );
    assert_eq!(after(sight(22, None, "d")), [sight(22, None, "d")], "of one second the worse");
    assert_eq!(after(sight(22, Some(22), "e")), [sight(22, None, "d")]);
    assert_eq!(after(sight(30, Some(30), "f")), [sight(30, Some(30), "f")], "counted anew");
    // Another key begins anew, also where the first had shown it and looked later.
    let of_key = |seen, shown, text: &str| Sight {
        key: SpkiHash::from_bytes([2; 32]),
        ..sight(seen, shown, text)
    };
    assert_eq!(after(of_key(29, Some(29), "h")), [of_key(29, Some(29), "h")]);
    assert_eq!(after(of_key(30, Some(30), "i")), [of_key(30, Some(29), "h")]);
    assert_eq!(after(sight(30, Some(30), "f")), [sight(30, Some(30), "f")]);
    let elsewhere = Sight { url: "http://other.example.org".to_owned(), ..sight(31, None, "g") };
    assert_eq!(after(elsewhere.clone()), [sight(30, Some(30), "f"), elsewhere]);
}

/// REV-08: what is compared is drawn among all that the log knows.
pub(crate) fn a_serial_is_drawn_by_lot(backend: &dyn Backend) {
    let world = World::new(backend);
    assert_eq!(world.store.serial_by_lot(7).unwrap(), None, "nothing is issued");
    let issued: Vec<_> = (1..=5).map(|n| row(&world, world.issue(at(n)).certificate)).collect();

    for lot in 0..100 {
        let (issuer, serial, status) = world.store.serial_by_lot(lot).unwrap().unwrap();
        let of = issued.iter().find(|row| row.serial == serial).unwrap();
        assert_eq!((issuer, &status), (of.issuer, &of.status));
        assert_eq!(world.store.serial_status(issuer, &serial).unwrap(), Some(status));
    }
    let drawn = (0..100).map(|lot| world.store.serial_by_lot(lot).unwrap().unwrap().1);
    let mut drawn: Vec<String> = drawn.map(|serial| serial.to_string()).collect();
    drawn.sort();
    drawn.dedup();
    assert_eq!(drawn.len(), 5, "each has its lot");
    assert_eq!(world.store.serial_status(world.issuer.id(), &serial()).unwrap(), None);
}
