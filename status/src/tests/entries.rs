//! Status entries: read back, and refused wherever an octet is not as encoded.

use ledger::Hash;
use proptest::prelude::*;

use super::{CLASSES, ISSUER, at, serial};
use crate::entry::{CertificateEntry, Change, EntryParseError, LENGTH, StatusEntry};
use crate::issuer::{IssuerId, IssuerRef};
use crate::reason::RevocationReason;
use crate::shown::{AfterExpiry, AnswerClasses, BeforeActivation};

fn certificate(change: Change) -> StatusEntry {
    let serial = serial(&[0x40, 0x90, 0x66]);
    StatusEntry::Certificate(CertificateEntry::own(at(1_795_300_000), ISSUER, serial, change))
}

fn changes() -> Vec<Change> {
    let mut changes = vec![
        Change::Issued { not_after: at(1_858_372_000), classes: CLASSES },
        Change::Activated,
        Change::Held,
        Change::Released,
        Change::Revoked { reason: None, invalidity_date: Some(at(1)) },
        Change::Voided { not_after: at(1_858_372_000) },
    ];
    for reason in RevocationReason::ALL {
        changes.push(Change::Revoked { reason: Some(reason), invalidity_date: None });
    }
    changes
}

fn every_kind() -> Vec<StatusEntry> {
    let log_time = at(1_795_300_000);
    let old_root = Hash::of_empty_tree();
    let mut entries = vec![
        StatusEntry::EpochOpened { log_time, old_size: 7, old_root },
        StatusEntry::IssuerDeclared { log_time, issuer: IssuerId::of(b"name", b"key") },
    ];
    entries.extend(changes().into_iter().map(certificate));
    entries
}

#[test]
fn every_kind_reads_back() {
    for entry in every_kind() {
        assert_eq!(StatusEntry::decode(&entry.encode()), Ok(entry.clone()), "{entry:?}");
    }
}

/// The offsets that docs/formats/status-entry.md gives.
#[test]
fn fields_stand_where_the_format_says() {
    let serial = serial(&[0x7f; 20]);
    let entry = StatusEntry::Certificate(CertificateEntry {
        log_time: at(0x01_0203_0405),
        effective_time: at(0x11_1213_1415),
        issuer: IssuerRef::from_index(0x2122_2324_2526_2728),
        serial,
        change: Change::Revoked {
            reason: Some(RevocationReason::Superseded),
            invalidity_date: Some(at(0x31_3233_3435)),
        },
    });
    let octets = entry.encode();

    assert_eq!(octets[..2], [1, 7]);
    assert_eq!(octets[2..10], [0, 0, 0, 1, 2, 3, 4, 5]);
    assert_eq!(octets[10..18], [0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28]);
    assert_eq!(octets[18], 20);
    assert_eq!(octets[19..39], [0x7f; 20]);
    assert_eq!(octets[39], 4);
    assert_eq!(octets[40..48], [0, 0, 0, 0x11, 0x12, 0x13, 0x14, 0x15]);
    assert_eq!(octets[48..56], [0, 0, 0, 0x31, 0x32, 0x33, 0x34, 0x35]);
    assert_eq!(octets[56..66], [0; 10]);
}

#[test]
fn refuses_any_other_length() {
    let octets = certificate(Change::Activated).encode();
    for length in (0..LENGTH).chain([LENGTH + 1]) {
        let other: Vec<u8> = octets.iter().copied().chain([0]).take(length).collect();
        assert_eq!(StatusEntry::decode(&other), Err(EntryParseError::Length { length }));
    }
}

/// One encoding for a fact: octets that belong to another kind's fields must be as encoded.
#[test]
fn refuses_fields_where_their_kind_has_none() {
    let held = certificate(Change::Held).encode();
    let revoked = certificate(Change::Revoked { reason: None, invalidity_date: None }).encode();
    let issued = certificate(changes()[0]).encode();
    let voided = certificate(Change::Voided { not_after: at(9) }).encode();
    let [opened, declared] = [every_kind()[0].encode(), every_kind()[1].encode()];
    for (octets, place, what) in [
        (held, 22, "padding of the serial"),
        (held, 38, "padding of the serial"),
        (held, 39, "a reason"),
        (held, 55, "an invalidity date"),
        (held, 63, "a notAfter"),
        (held, 64, "a class before activation"),
        (held, 65, "a class after expiry"),
        (revoked, 63, "a notAfter"),
        (revoked, 64, "a class"),
        (issued, 39, "a reason"),
        (issued, 55, "an invalidity date"),
        (voided, 39, "a reason"),
        (voided, 65, "a class"),
        (opened, 50, "padding"),
        (opened, 65, "padding"),
        (declared, 42, "padding"),
        (declared, 65, "padding"),
    ] {
        let mut octets = octets;
        octets[place] = 1;
        let refused = Err(EntryParseError::NotCanonical);
        assert_eq!(StatusEntry::decode(&octets), refused, "{what} at {place}");
    }
}

#[test]
fn refuses_versions_kinds_and_values_that_are_not_known() {
    let revoked = certificate(changes()[6]).encode();
    let issued = certificate(changes()[0]).encode();
    for (octets, place, value, error) in [
        (revoked, 0, 0, EntryParseError::UnknownVersion { version: 0 }),
        (revoked, 0, 2, EntryParseError::UnknownVersion { version: 2 }),
        (revoked, 1, 0, EntryParseError::UnknownKind { kind: 0 }),
        (revoked, 1, 9, EntryParseError::UnknownKind { kind: 9 }),
        (revoked, 18, 0, EntryParseError::SerialLength { length: 0 }),
        (revoked, 18, 21, EntryParseError::SerialLength { length: 21 }),
        (revoked, 39, 0, EntryParseError::UnknownReason { code: 0 }),
        (revoked, 39, 6, EntryParseError::UnknownReason { code: 6 }),
        (revoked, 39, 7, EntryParseError::UnknownReason { code: 7 }),
        (revoked, 39, 8, EntryParseError::UnknownReason { code: 8 }),
        (revoked, 39, 11, EntryParseError::UnknownReason { code: 11 }),
        (issued, 64, 2, EntryParseError::UnknownClass { class: 2 }),
        (issued, 65, 2, EntryParseError::UnknownClass { class: 2 }),
        (issued, 56, 1, EntryParseError::TimeOutOfRange { secs: (1 << 56) + 1_858_372_000 }),
        (issued, 2, 0x80, EntryParseError::TimeOutOfRange { secs: (1 << 63) + 1_795_300_000 }),
    ] {
        let mut octets = octets;
        octets[place] = value;
        assert_eq!(StatusEntry::decode(&octets), Err(error), "{value} at {place}");
    }
}

proptest! {
    #[test]
    fn hostile_octets_are_refused_or_written_back(
        octets in proptest::collection::vec(any::<u8>(), LENGTH),
        kind in 0..10u8,
        which in 0..13usize,
        place in 0..LENGTH,
        value: u8,
    ) {
        let mut random = octets;
        random[0] = 1;
        random[1] = kind;
        let mut changed = every_kind()[which].encode().to_vec();
        changed[place] = value;
        for octets in [random, changed] {
            if let Ok(entry) = StatusEntry::decode(&octets) {
                prop_assert_eq!(entry.encode().to_vec(), octets);
            }
        }
    }

    #[test]
    fn every_certificate_entry_reads_back(
        log_time in 0..253_402_300_800u64,
        effective in 0..253_402_300_800u64,
        not_after in 0..253_402_300_800u64,
        issuer: u64,
        content in proptest::collection::vec(any::<u8>(), 1..=20),
        which in 0..12usize,
        classes: (bool, bool),
    ) {
        let (before, after) = classes;
        let classes = AnswerClasses {
            before_activation: if before { BeforeActivation::Held } else { BeforeActivation::Good },
            after_expiry: if after { AfterExpiry::Unknown } else { AfterExpiry::Kept },
        };
        let change = match changes()[which] {
            Change::Issued { .. } => Change::Issued { not_after: at(not_after), classes },
            change => change,
        };
        let entry = StatusEntry::Certificate(CertificateEntry {
            log_time: at(log_time),
            effective_time: at(effective),
            issuer: IssuerRef::from_index(issuer),
            serial: serial(&content),
            change,
        });
        prop_assert_eq!(StatusEntry::decode(&entry.encode()), Ok(entry));
    }
}
