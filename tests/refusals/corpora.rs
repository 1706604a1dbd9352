//! Hostile and public requests through the API: no 5xx, no hang, no certificate where the table says
//! reject, and a certificate of the profile where it says fine.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::suite::Check;
use support::{spoken, workspace};
use tempfile::TempDir;

use crate::World;
use crate::requests::{base64, function, function_ec};
use crate::running::{Answer, Call};
use crate::state::State;

pub const CHECKS: &[Check<World>] = &[
    ("hostile_requests_end_as_their_table_says", hostile),
    ("public_requests_are_refused_where_two_judges_refuse", public),
];

/// An answer that takes longer is a hang. A signature of an RSA-4096 key takes some 50 ms here.
const SOON: Duration = Duration::from_secs(10);

/// One request of a corpus under one profile.
struct Sent {
    answer: Answer,
    /// What it left: entries in the status log.
    issued: u64,
}

fn send(world: &World, order: &Value) -> Sent {
    let before = State::of(&world.server.home);
    let started = Instant::now();
    let answer = world.server.call(&Call::order(order));
    assert!(started.elapsed() < SOON, "{:?}: {answer:?}", started.elapsed());
    assert!((200..500).contains(&answer.status), "{answer:?}");
    let after = State::of(&world.server.home);
    let issued = after.logs.0 - before.logs.0;
    let signed = after.calls.signatures - before.calls.signatures;
    assert_eq!(issued, u64::from(answer.status == 201), "{answer:?}");
    assert_eq!(signed, usize::from(answer.status == 201), "{answer:?}");
    if answer.status != 201 {
        answer.must_be_whole();
    }
    Sent { answer, issued }
}

/// ISS-13: `reject` gives no certificate, `ok` and `ignore` give one that holds what the profile says.
fn hostile(world: &World) {
    let Some(folder) = unpacked("hostile-A") else { return };
    let folder = folder.path().join("hostile/csr");
    let table = fs::read_to_string(folder.join("expect.tsv")).expect("the table is readable");
    let mut wrong = Vec::new();
    let mut count = BTreeMap::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, _, expected, ..] = fields[..] else { panic!("{line}") };
        let der = if name == "5-mib" {
            // Left out of the archive for its size.
            vec![0x30; 5 * 1024 * 1024]
        } else {
            fs::read(folder.join(format!("{name}.der"))).expect("the request is readable")
        };
        // The plain ones also under the profile that refuses requested extensions and RSA keys.
        let mut orders = vec![function_ec(&base64(&der))];
        if name != "rsa-in-ec-profile" {
            orders.push(function(&base64(&der)));
        }
        for order in orders {
            let profile = order["profile"].as_str().expect("a profile").to_owned();
            let sent = send(world, &order);
            let fits = match (expected, profile.as_str()) {
                ("reject", _) => sent.issued == 0,
                ("ok", _) | ("ignore", "function") => sent.issued == 1,
                ("ignore", _) => sent.issued == 0 || name == "challenge-password",
                other => panic!("{name}: {other:?}"),
            };
            println!("{name} ({profile}): {} {}", sent.answer.status, sent.answer.code());
            *count.entry(expected).or_insert(0) += 1;
            if !fits {
                wrong.push(format!("{name} ({profile}), {expected}: {:?}", sent.answer));
            }
            if name == "5-mib" && sent.answer.status != 413 {
                wrong.push(format!("{name}: {:?}", sent.answer));
            }
            if sent.issued == 1 {
                must_hold_the_profile_alone(name, &sent.answer);
            }
        }
    }
    println!("{count:?}");
    assert!(count["reject"] > 40 && count["ok"] == 4 && count["ignore"] == 12, "{count:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.server.settle();
}

/// What the hostile requests ask for stands nowhere.
fn must_hold_the_profile_alone(name: &str, answer: &Answer) {
    let text = crate::certificate_text(answer.json["certificate"].as_str().expect("PEM"));
    assert!(text.contains("refusals.example.org"), "{name}: {text}");
    for forbidden in
        ["CA:TRUE", "OCSP Signing", "qcStatements", "1.3.6.1.5.5.7.1.3", "evil", "hunter"]
    {
        assert!(!text.contains(forbidden), "{name} holds {forbidden}: {text}");
    }
}

/// ISS-13: where two of three other parsers refuse, so do we.
fn public(world: &World) {
    let Some(folder) = unpacked("csr-public") else { return };
    let folder = folder.path().join("csr-public");
    let facts = fs::read_to_string(folder.join("facts.tsv")).expect("the table is readable");
    let (mut wrong, mut sent_count, mut issued) = (Vec::new(), 0, 0);
    for line in facts.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [name, openssl, cryptography, mbedtls] = fields[..] else { panic!("{line}") };
        let bytes = fs::read(folder.join(name)).expect("the request is readable");
        let csr = match std::str::from_utf8(&bytes) {
            Ok(text) if text.contains("-----BEGIN") => text.to_owned(),
            _ => base64(&bytes),
        };
        let refusals = [openssl, cryptography]
            .into_iter()
            .filter(|said| said.starts_with("parse-error") || said.starts_with("sig-bad"))
            .count()
            + usize::from(mbedtls.starts_with("MBEDTLS"));
        let sent = send(world, &function(&csr));
        println!("{name}: {} {}", sent.answer.status, sent.answer.code());
        (sent_count, issued) = (sent_count + 1, issued + sent.issued);
        if refusals >= 2 && sent.issued != 0 {
            wrong.push(format!("{name}: {line}: {:?}", sent.answer));
        }
    }
    println!("{issued} of {sent_count} were issued");
    assert!(sent_count >= 30 && issued >= 3, "{issued} of {sent_count}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    world.server.settle();
}

/// Unpacks an archive of `../shared/vectors`; says so where it is absent.
pub fn unpacked(name: &str) -> Option<TempDir> {
    let archive = workspace::shared(&format!("vectors/{name}.tar.xz"))?;
    let folder = tempfile::tempdir().expect("a temporary folder");
    unpack(&archive, folder.path());
    Some(folder)
}

fn unpack(archive: &Path, folder: &Path) {
    let mut command = Command::new("tar");
    command.arg("xJf").arg(archive).arg("-C").arg(folder);
    let said = spoken::run(&mut command, &[]);
    assert_eq!(said.code, 0, "{archive:?}: {}", said.text);
}
