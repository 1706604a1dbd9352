//! Vectors of status entry v1.

use ::status::{
    AfterExpiry, AnswerClasses, BeforeActivation, CertificateEntry, Change, IssuerId, IssuerRef,
    RevocationReason, StatusEntry,
};
use ledger::Hash;
use serde_json::{Value, json};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::hex;

pub fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

pub fn serial(octets: &[u8]) -> SerialNumber {
    SerialNumber::from_content_octets(octets).unwrap()
}

pub const fn classes(before: BeforeActivation, after: AfterExpiry) -> AnswerClasses {
    AnswerClasses { before_activation: before, after_expiry: after }
}

/// Entries with a name, as a reader should see them.
fn entries() -> Vec<(String, StatusEntry)> {
    let log_time = at(1_795_312_288);
    let entry = |change| {
        let serial = serial(&[0x40, 0x90, 0x66, 0x12]);
        StatusEntry::Certificate(CertificateEntry::own(
            log_time,
            IssuerRef::from_index(0),
            serial,
            change,
        ))
    };
    let mut entries = vec![
        (
            "epoch-opened".to_owned(),
            StatusEntry::EpochOpened {
                log_time,
                old_size: 70_000,
                old_root: Hash::of_empty_tree(),
            },
        ),
        (
            "issuer-declared".to_owned(),
            StatusEntry::IssuerDeclared { log_time, issuer: IssuerId::of(b"name", b"key") },
        ),
        ("activated".to_owned(), entry(Change::Activated)),
        ("held".to_owned(), entry(Change::Held)),
        ("released".to_owned(), entry(Change::Released)),
        ("voided".to_owned(), entry(Change::Voided { not_after: at(1_858_384_288) })),
    ];
    for before in [BeforeActivation::Good, BeforeActivation::Held] {
        for after in [AfterExpiry::Kept, AfterExpiry::Unknown] {
            let change =
                Change::Issued { not_after: at(1_858_384_288), classes: classes(before, after) };
            entries.push((format!("issued {before:?} {after:?}"), entry(change)));
        }
    }
    for reason in RevocationReason::ALL.into_iter().map(Some).chain([None]) {
        let name = reason.map_or("unspecified".to_owned(), |reason| reason.to_string());
        let change = Change::Revoked { reason, invalidity_date: None };
        entries.push((format!("revoked {name}"), entry(change)));
    }
    let invalid = Change::Revoked {
        reason: Some(RevocationReason::KeyCompromise),
        invalidity_date: Some(at(1_795_000_000)),
    };
    entries.push(("revoked with an invalidity date".to_owned(), entry(invalid)));

    let taken_over = |name: &str, octets: &[u8]| {
        let entry = CertificateEntry {
            log_time,
            effective_time: at(1_500_000_000),
            issuer: IssuerRef::from_index(u64::MAX),
            serial: serial(octets),
            change: Change::Revoked { reason: None, invalidity_date: None },
        };
        (name.to_owned(), StatusEntry::Certificate(entry))
    };
    entries.push(taken_over("taken over, serial of 1 octet", &[0]));
    entries.push(taken_over("taken over, serial with a leading zero", &[0x00, 0x40]));
    entries.push(taken_over("taken over, serial of 20 octets", &[0xff; 20]));
    let last = Change::Issued {
        not_after: UnixTime::LAST,
        classes: classes(BeforeActivation::Good, AfterExpiry::Kept),
    };
    entries.push(("issued for ever".to_owned(), entry(last)));
    entries
}

/// What a decoder should find in an entry, in the words of docs/formats/status-entry.md.
pub fn fields(entry: &StatusEntry) -> Value {
    let log_time = entry.log_time().secs();
    match entry {
        StatusEntry::EpochOpened { old_size, old_root, .. } => json!({
            "kind": "epoch-opened",
            "log time": log_time,
            "old size": old_size,
            "old root": old_root.to_string(),
        }),
        StatusEntry::IssuerDeclared { issuer, .. } => json!({
            "kind": "issuer-declared",
            "log time": log_time,
            "issuer id": issuer.to_string(),
        }),
        StatusEntry::Certificate(entry) => certificate_fields(entry),
    }
}

fn certificate_fields(entry: &CertificateEntry) -> Value {
    let mut fields = json!({
        "log time": entry.log_time.secs(),
        "effective time": entry.effective_time.secs(),
        "issuer reference": entry.issuer.index(),
        "serial": hex(entry.serial.as_octets()),
    });
    let mut set = |name: &str, value: Value| fields[name] = value;
    let kind = match entry.change {
        Change::Issued { not_after, classes } => {
            set("notAfter", not_after.secs().into());
            let before = classes.before_activation == BeforeActivation::Held;
            set("class before activation", u8::from(before).into());
            let after = classes.after_expiry == AfterExpiry::Unknown;
            set("class after expiry", u8::from(after).into());
            "issued"
        }
        Change::Activated => "activated",
        Change::Held => "held",
        Change::Released => "released",
        Change::Revoked { reason, invalidity_date } => {
            set("reason", reason.map_or(Value::Null, |reason| reason.code().into()));
            set("invalidity date", invalidity_date.map_or(Value::Null, |date| date.secs().into()));
            "revoked"
        }
        Change::Voided { not_after } => {
            set("notAfter", not_after.secs().into());
            "voided"
        }
    };
    set("kind", kind.into());
    fields
}

/// Entries that must not decode: one octet of a good one changed.
fn refused() -> Vec<(String, Vec<u8>)> {
    let good = |name: &str| {
        let entry = entries().into_iter().find(|(found, _)| found == name).unwrap().1;
        entry.encode().to_vec()
    };
    let mut refused = vec![
        ("empty".to_owned(), vec![]),
        ("65 octets".to_owned(), good("held")[..65].to_vec()),
        ("67 octets".to_owned(), [&good("held")[..], &[0]].concat()),
    ];
    for (name, place, value, why) in [
        ("held", 0, 0, "version 0"),
        ("held", 0, 2, "version 2"),
        ("held", 1, 0, "kind 0"),
        ("held", 1, 9, "kind 9"),
        ("held", 2, 0x80, "log time beyond the year 9999"),
        ("held", 40, 1, "effective time beyond the year 9999"),
        ("held", 18, 0, "serial length 0"),
        ("held", 18, 21, "serial length 21"),
        ("held", 18, 3, "serial padding not zero"),
        ("held", 38, 1, "serial padding not zero at its end"),
        ("held", 39, 6, "reason in held"),
        ("held", 39, 0, "reason 0 in held"),
        ("held", 55, 1, "invalidity date in held"),
        ("held", 63, 1, "notAfter in held"),
        ("held", 64, 1, "class in held"),
        ("held", 65, 1, "class after expiry in held"),
        ("voided", 39, 1, "reason in voided"),
        ("voided", 65, 1, "class in voided"),
        ("revoked superseded", 39, 0, "reason 0"),
        ("revoked superseded", 39, 6, "reason 6"),
        ("revoked superseded", 39, 7, "reason 7"),
        ("revoked superseded", 39, 8, "reason 8"),
        ("revoked superseded", 39, 11, "reason 11"),
        ("revoked superseded", 48, 1, "invalidity date beyond the year 9999"),
        ("revoked superseded", 63, 1, "notAfter in revoked"),
        ("issued Good Kept", 56, 1, "notAfter beyond the year 9999"),
        ("issued Good Kept", 64, 2, "class before activation 2"),
        ("issued Good Kept", 65, 2, "class after expiry 2"),
        ("issued Good Kept", 55, 1, "invalidity date in issued"),
        ("epoch-opened", 50, 1, "padding of epoch-opened"),
        ("epoch-opened", 65, 1, "padding of epoch-opened at its end"),
        ("issuer-declared", 42, 1, "padding of issuer-declared"),
        ("issuer-declared", 65, 1, "padding of issuer-declared at its end"),
    ] {
        let mut octets = good(name);
        octets[place] = value;
        refused.push((why.to_owned(), octets));
    }
    refused
}

pub fn vectors() -> Value {
    let entries: Vec<Value> = entries()
        .into_iter()
        .map(|(name, entry)| json!({"name": name, "hex": hex(entry.encode()), "fields": fields(&entry)}))
        .collect();
    let refused: Vec<Value> = refused()
        .into_iter()
        .map(|(name, octets)| {
            assert!(StatusEntry::decode(&octets).is_err(), "{name}");
            json!({"name": name, "hex": hex(octets)})
        })
        .collect();
    let issuer = json!({
        "name": hex("name"),
        "public key": hex("key"),
        "issuer id": IssuerId::of(b"name", b"key").to_string(),
    });
    json!({"format": "status entry 1", "entries": entries, "refused": refused, "issuers": [issuer]})
}
