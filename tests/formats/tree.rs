//! Two whole logs as folders: a status log as it is published, an audit log as it is handed over.

use ::status::{
    AfterExpiry, BeforeActivation, CertificateEntry, Change, Index, IssuerId, IssuerRef,
    RevocationReason, StatusEntry,
};
use ca::audit::{EventCode, ObjectId};
use ledger::checkpoint::CheckpointNote;
use ledger::{Checkpoint, Edge, Timestamp};
use serde_json::json;

use crate::keys::VectorKey;
use crate::status::{at, classes, serial};
use crate::{Files, audit};

const START: u64 = 1_795_312_288;

/// 300 entries: two CAs, 212 certificates, and what happened to them.
fn status_entries() -> Vec<StatusEntry> {
    let issuer = |key: &[u8]| StatusEntry::IssuerDeclared {
        log_time: at(START),
        issuer: IssuerId::of(b"name", key),
    };
    let mut entries = vec![issuer(b"key 1"), issuer(b"key 2")];
    let own = |secs: u64, n: u64, change| {
        let serial = serial(&[&[0x40][..], &n.to_be_bytes()].concat());
        let issuer = IssuerRef::from_index(n % 2);
        StatusEntry::Certificate(CertificateEntry::own(at(START + secs), issuer, serial, change))
    };
    for n in 0..211 {
        let before = if n % 3 == 0 { BeforeActivation::Held } else { BeforeActivation::Good };
        let after = if n % 5 == 0 { AfterExpiry::Unknown } else { AfterExpiry::Kept };
        let not_after = at(START + 1_000_000 * (n + 1));
        entries.push(own(n, n, Change::Issued { not_after, classes: classes(before, after) }));
    }
    entries.push(own(300, 211, Change::Voided { not_after: at(START + 1_000_000) }));
    let revoked = |reason| Change::Revoked { reason, invalidity_date: Some(at(START + 100)) };
    for n in 0..43 {
        let first = if n % 2 == 0 { Change::Activated } else { Change::Held };
        entries.push(own(301 + n, n, first));
        let second = match (n % 2, n % 3) {
            (0, 0) => Change::Held,
            (0, _) => revoked(Some(RevocationReason::KeyCompromise)),
            (_, 0) => revoked(None),
            _ => Change::Released,
        };
        entries.push(own(301 + n, n, second));
    }
    entries
}

fn log(origin: &str, entries: &[Vec<u8>], key: &VectorKey, folder: &str) -> Files {
    let mut edge = Edge::new();
    let mut files: Files = edge
        .append(entries)
        .unwrap()
        .into_iter()
        .map(|file| (format!("{folder}/{}", file.path), file.bytes))
        .collect();
    let head = Checkpoint { origin: origin.parse().unwrap(), size: edge.size(), root: edge.root() };
    let timestamp = Timestamp::from_secs(START + 1000).unwrap();
    let note = CheckpointNote::sign(head, timestamp, key).unwrap();
    files.insert(format!("{folder}/checkpoint"), note.to_string().into_bytes());
    files
}

fn audit_leaves() -> Vec<Vec<u8>> {
    let mut leaves = vec![audit::leaf(EventCode::ServerStarted, START, &[], b"start").encode()];
    for n in 0..4 {
        let objects = [ObjectId::Certificate([n; 16]), ObjectId::Order([n; 16])];
        for code in [EventCode::CertificateIntent, EventCode::CertificateIssued] {
            leaves.push(audit::leaf(code, START + u64::from(n), &objects, &[n]).encode());
        }
    }
    leaves.push(audit::leaf(EventCode::ServerStopped, START + 10, &[], b"stop").encode());
    leaves
}

pub fn files() -> Files {
    let entries = status_entries();
    let mut index = Index::new(1);
    for entry in &entries {
        index.apply(index.next(), entry).unwrap();
    }
    assert_eq!((entries.len(), index.len()), (300, 212));
    let octets: Vec<Vec<u8>> = entries.iter().map(|entry| entry.encode().to_vec()).collect();

    let (status, audit) = (VectorKey::status(), VectorKey::audit());
    let mut files = log("sigill/test/demo/ab12/status/1", &octets, &status, "tree/publish");
    files.extend(log("sigill/test/demo/ab12/audit/1", &audit_leaves(), &audit, "tree/audit"));
    let keys = json!({
        "publish": status.public().to_string(),
        "audit": audit.public().to_string(),
    });
    let keys = serde_json::to_string_pretty(&keys).unwrap() + "\n";
    files.insert("tree/keys.json".to_owned(), keys.into_bytes());
    files
}
