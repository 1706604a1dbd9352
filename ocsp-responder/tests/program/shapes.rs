//! Every shape of answer before another's linter (RFC 6960, 9654, 9919).

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use status::{AnswerClasses, BeforeActivation, Change, RevocationReason};
use support::softhsm::alone;
use support::{test_name, tool, workspace};
use x509::ocsp::{CertIdHash, OcspRequest};

use crate::answers::verified;
use crate::client::post;
use crate::fixture::{World, change, issued, now, wait_for};

const REASONS: [Option<RevocationReason>; 8] = [
    None,
    Some(RevocationReason::KeyCompromise),
    Some(RevocationReason::CaCompromise),
    Some(RevocationReason::AffiliationChanged),
    Some(RevocationReason::Superseded),
    Some(RevocationReason::CessationOfOperation),
    Some(RevocationReason::PrivilegeWithdrawn),
    Some(RevocationReason::AaCompromise),
];

/// Enters a certificate in each state; the octets of their serials, and of one that is not there.
fn every_state(world: &World) -> Vec<u8> {
    let issuer = world.issuer;
    let ago = |days: u64| now().saturating_sub(Duration::from_secs(days * 86_400));
    let not_after = now().checked_add(Duration::from_secs(86_400)).unwrap();
    let expired = Change::Issued { not_after: ago(400), classes: AnswerClasses::USUAL };
    let mut entries = vec![
        issued(issuer, 1, BeforeActivation::Good),
        issued(issuer, 2, BeforeActivation::Held),
        issued(issuer, 3, BeforeActivation::Good),
        change(issuer, 3, Change::Held),
        change(issuer, 4, Change::Voided { not_after }),
        change(issuer, 5, expired),
        change(issuer, 6, expired),
        change(issuer, 6, Change::Revoked { reason: None, invalidity_date: Some(ago(500)) }),
    ];
    for (octet, reason) in (10..).zip(REASONS) {
        for (octet, invalidity_date) in [(octet, None), (octet + 10, Some(ago(3)))] {
            entries.push(issued(issuer, octet, BeforeActivation::Good));
            entries.push(change(issuer, octet, Change::Revoked { reason, invalidity_date }));
        }
    }
    world.append(&entries);
    (1..=6).chain(10..18).chain(20..28).chain([60]).collect()
}

/// Writes the answer to a request into a file.
fn keep(world: &World, name: &str, request: &OcspRequest) -> PathBuf {
    let answer = wait_for("an answer", || {
        let answer = post(world.address, "/ocsp", &request.to_der());
        (answer.body.len() > 5).then_some(answer)
    });
    verified(world, &answer.body);
    let path = world.path(&format!("{name}.ocsp"));
    std::fs::write(&path, answer.body).unwrap();
    path
}

/// What pkilint finds from WARNING up in each file: the number of findings, and what it says.
fn pkilint(files: &[PathBuf]) -> Option<Vec<(i64, String)>> {
    let program = tool::find("lint_ocsp_response")?;
    let mut child = Command::new(program.with_file_name("python3"))
        .arg("-B")
        .arg(workspace::root().join("tests/interop/run_pkilint.py"))
        .arg("many")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line =
        |file: &PathBuf| format!("lint_ocsp_response\tlint\t-s\tWARNING\t{}\n", file.display());
    let calls: String = files.iter().map(line).collect();
    child.stdin.take().unwrap().write_all(calls.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// OCSP-07, OCSP-08, OCSP-13, OCSP-18, PRO-04: pkilint finds nothing in an answer of any status,
/// reason, hash, nonce length or number of questions, and something in each that was changed.
#[test]
fn another_linter_finds_nothing_in_any_shape_of_answer() {
    alone(test_name!(another_linter_finds_nothing_in_any_shape_of_answer), |softhsm| {
        let mut world = World::new(softhsm);
        let server = world.ready();
        let octets = every_state(&world);
        let request = |hash, octets: &[u8], nonce: Option<usize>| OcspRequest {
            cert_ids: octets
                .iter()
                .flat_map(|octet| {
                    let question = world.ca.question(hash, *octet, None);
                    OcspRequest::from_der(&question).unwrap().cert_ids
                })
                .collect(),
            nonce: nonce.map(|length| vec![0x6e; length]),
            preferred: Vec::new(),
        };
        let mut files = Vec::new();
        for (place, octet) in octets.iter().enumerate() {
            let hash = CertIdHash::ALL[place % 4];
            files.push(keep(&world, &format!("one-{octet}"), &request(hash, &[*octet], None)));
        }
        for length in [1, 15, 16, 32, 33, 128] {
            let asked = request(CertIdHash::Sha1, &[1], Some(length));
            files.push(keep(&world, &format!("nonce-{length}"), &asked));
        }
        files.push(keep(&world, "several", &request(CertIdHash::Sha384, &octets[..16], None)));
        drop(server);
        world.edit_config(|text| format!("{text}[answers]\nnever-issued = \"revoked\"\n"));
        let _server = world.start();
        world.wait_until_ready();
        files.push(keep(&world, "extended", &request(CertIdHash::Sha256, &[60], Some(32))));
        let judged = files.len();

        // Refused controls: producedAt without Z, a status that does not exist, one octet too few.
        let good = std::fs::read(&files[0]).unwrap();
        let mut no_zone = good.clone();
        let at = good.windows(4).position(|window| window == b"\x18\x0f20").unwrap();
        no_zone[at + 16] = b'0';
        let mut status = good.clone();
        let at = good.windows(4).position(|window| window == b"\x80\x00\x18\x0f").unwrap();
        status[at] = 0x83;
        for (name, bytes) in
            [("no-zone", &no_zone[..]), ("status", &status), ("short", &good[..good.len() - 1])]
        {
            let path = world.path(&format!("wrong-{name}.ocsp"));
            std::fs::write(&path, bytes).unwrap();
            files.push(path);
        }
        let Some(verdicts) = pkilint(&files) else { return };
        assert_eq!(verdicts.len(), files.len());
        for (place, ((findings, said), file)) in verdicts.iter().zip(&files).enumerate() {
            let clean = *findings == 0 && said.trim().is_empty();
            assert_eq!(clean, place < judged, "{}: {findings} {said}", file.display());
        }
    });
}
