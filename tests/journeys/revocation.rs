//! Revocations as the world sees them: a graver reason, a serial without its certificate, and CRLs
//! after a restore, a loss and a change of their files.

use std::fs;
use std::time::Duration;

use ca::audit::{AuditLeaf, EventCode};
use rusqlite::Connection;
use serde_json::{Value, json};
use support::demo::until;
use support::spoken;
use support::suite::Check;
use x509::serial::SerialNumber;

use crate::accounts::{self, Received};
use crate::api::{Answer, Request};
use crate::deployment::{AUTHORITY, Deployment, Template};

pub(crate) const CHECKS: &[Check<Template>] = &[
    ("revocation::a_graver_reason_reaches_the_world", a_graver_reason_reaches_the_world),
    ("revocation::a_serial_is_revoked_after_a_restore", a_serial_is_revoked_after_a_restore),
    ("revocation::a_lost_or_changed_crl_is_made_again", a_lost_or_changed_crl_is_made_again),
];

/// How long OCSP and CRL may take to say what is recorded.
const SEEN_WITHIN: Duration = Duration::from_secs(60);

/// The answer to a revocation of a certificate.
pub(crate) fn revoke(deployment: &Deployment, id: &str, reason: &str, key: &str) -> Answer {
    let path = format!("/v1/certificates/{id}/revocation");
    deployment.api().ask(&Request::post(path, key, &json!({ "reason": reason })))
}

/// What the responder tells OpenSSL of a serial.
pub(crate) fn ocsp(deployment: &Deployment, serial: SerialNumber) -> String {
    ocsp_at(deployment, &deployment.ocsp_url(), serial)
}

/// The same, of the responder at that URL.
pub(crate) fn ocsp_at(deployment: &Deployment, url: &str, serial: SerialNumber) -> String {
    let arguments = ocsp_arguments(deployment, url, serial);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    spoken::openssl(deployment.folder(), &arguments).expect("openssl is there").text
}

/// How OpenSSL asks a responder about a serial.
pub(crate) fn ocsp_arguments(
    deployment: &Deployment,
    url: &str,
    serial: SerialNumber,
) -> Vec<String> {
    let issuer = deployment.home.join(format!("ceremony/out/{AUTHORITY}.cer"));
    let (issuer, serial) = (issuer.display().to_string(), format!("0x{serial}"));
    let question = ["ocsp", "-issuer", &issuer, "-serial", &serial];
    let rest = ["-url", url, "-noverify", "-resp_text"];
    question.iter().chain(&rest).map(|word| (*word).to_owned()).collect()
}

pub(crate) fn crl_text(deployment: &Deployment) -> String {
    let file = deployment.home.join(format!("publish/crl/{AUTHORITY}.crl"));
    let arguments =
        ["crl", "-inform", "DER", "-noout", "-text", "-in", file.to_str().expect("UTF-8")];
    let said = spoken::openssl(deployment.folder(), &arguments).expect("openssl is there");
    // Lost for a moment where a journey has taken it away.
    if said.code == 0 { said.text } else { String::new() }
}

/// What the CRL says of a serial, from its number to the next entry.
pub(crate) fn crl_entry(deployment: &Deployment, serial: SerialNumber) -> Option<String> {
    let text = crl_text(deployment);
    let (_, after) = text.split_once(&format!("Serial Number: {serial}\n"))?;
    let end = after.find("Serial Number: ").or_else(|| after.find("Signature Algorithm"));
    Some(after[..end.unwrap_or(after.len())].to_owned())
}

fn crl_number(deployment: &Deployment) -> Option<u64> {
    let text = crl_text(deployment);
    let (_, after) = text.split_once("X509v3 CRL Number:")?;
    let digits = after.split_whitespace().next()?;
    let hexadecimal = digits.strip_prefix("0x");
    hexadecimal.map_or_else(|| digits.parse(), |digits| u64::from_str_radix(digits, 16)).ok()
}

/// Waits until the responder and the published CRL both give `reason` for a serial.
fn seen(deployment: &Deployment, serial: SerialNumber, ocsp_reason: &str, crl_reason: &str) {
    let reason = format!("Reason: {ocsp_reason}");
    let answered = until(SEEN_WITHIN, || ocsp(deployment, serial).contains(&reason).then_some(()));
    assert!(answered.is_some(), "no {reason}: {}", ocsp(deployment, serial));
    let listed =
        until(SEEN_WITHIN, || crl_entry(deployment, serial)?.contains(crl_reason).then_some(()));
    assert!(listed.is_some(), "no {crl_reason}: {:?}", crl_entry(deployment, serial));
}

/// The events of the audit log, oldest first.
pub(crate) fn events(database: &Connection) -> Vec<EventCode> {
    let mut statement =
        database.prepare("SELECT leaf FROM audit_leaf ORDER BY epoch, idx").expect("a query");
    let leaves = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).expect("leaves");
    leaves
        .map(|leaf| AuditLeaf::decode(&leaf.expect("a leaf")).expect("a leaf").event.code)
        .collect()
}

fn count(events: &[EventCode], code: EventCode) -> usize {
    events.iter().filter(|event| **event == code).count()
}

/// REV-06: keyCompromise after superseded reaches OCSP and CRL with the first revocation date; no
/// call makes it lighter again, and each answer and the audit log say what was done.
fn a_graver_reason_reaches_the_world(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let _responder = deployment.responder();
    let issued = Received::read("card", &deployment.api().ask(&deployment.order("card")));
    let recorded = |answer: &Answer| {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let json = answer.json();
        (json["outcome"].clone(), json["reason"].clone(), json["revoked_at"].clone())
    };
    let (outcome, reason, date) = recorded(&revoke(&deployment, &issued.id, "superseded", "a"));
    assert_eq!((outcome, reason), (json!("changed"), json!("superseded")));
    seen(&deployment, issued.serial, "superseded", "Superseded");
    let time = |text: &str| {
        let line = text.lines().find(|line| line.contains("Revocation"));
        line.map(|line| line.trim().to_owned())
    };
    let first = time(&ocsp(&deployment, issued.serial));
    assert!(first.is_some());

    let graver = recorded(&revoke(&deployment, &issued.id, "keyCompromise", "b"));
    assert_eq!(graver, (json!("reason-corrected"), json!("keyCompromise"), date.clone()));
    seen(&deployment, issued.serial, "keyCompromise", "Key Compromise");
    assert_eq!(time(&ocsp(&deployment, issued.serial)), first, "the revocation date stays");

    let entries = "SELECT size FROM log_head WHERE log = 'status'";
    let before = accounts::number(&deployment.database(), entries);
    for (reason, key) in [("superseded", "c"), ("keyCompromise", "d"), ("unspecified", "e")] {
        let again = recorded(&revoke(&deployment, &issued.id, reason, key));
        let expected = (json!("already-so"), json!("keyCompromise"), date.clone());
        assert_eq!(again, expected, "{reason}");
    }
    assert_eq!(accounts::number(&deployment.database(), entries), before);
    let held = revoke(&deployment, &issued.id, "certificateHold", "f");
    assert_eq!(held.status, 422, "{}", held.text());
    deployment.stop();

    let database = deployment.database();
    let events = events(&database);
    assert_eq!(count(&events, EventCode::CertificateRevoked), 2);
    assert_eq!(count(&events, EventCode::RevocationRepeated), 3);
    assert_eq!(count(&events, EventCode::RevocationRefused), 1);
    accounts::logs_add_up(&deployment, &database);
}

/// CRL-02, REV-08: a database is put back from before two revocations and an issuing. The next CRL's
/// number is above the published one's, and a serial that is known from the log alone is revoked in
/// OCSP and CRL.
fn a_serial_is_revoked_after_a_restore(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let early = Received::read("early", &deployment.api().ask(&deployment.order("early")));
    deployment.stop();
    let (state, kept) = (deployment.home.join("state/ca.sqlite"), deployment.folder().join("kept"));
    fs::copy(&state, &kept).expect("a backup");
    deployment.start();
    let lost = Received::read("lost", &deployment.api().ask(&deployment.order("lost")));
    let backed_up = crl_number(&deployment).expect("a CRL");
    for key in ["one", "two"] {
        let number = crl_number(&deployment);
        let more = Received::read(key, &deployment.api().ask(&deployment.order(key)));
        assert_eq!(revoke(&deployment, &more.id, "superseded", key).status, 200);
        let made = until(SEEN_WITHIN, || (crl_number(&deployment) > number).then_some(()));
        assert!(made.is_some(), "no CRL after a revocation");
    }
    deployment.stop();
    let published = crl_number(&deployment).expect("a CRL");
    assert!(published >= backed_up + 2, "{published} after {backed_up}");
    fs::copy(&kept, &state).expect("the backup is put back");
    let taken = deployment.command(&["take-over"], &["--json"]);
    assert_eq!(taken.code, 0, "{}", taken.text);

    deployment.start();
    let _responder = deployment.responder();
    let path = |authority: &str, serial: &str| {
        format!("/v1/authorities/{authority}/serials/{serial}/revocation")
    };
    let serial = lost.serial.to_string();
    let ask = |path: String, key: &str, reason: &str| {
        deployment.api().ask(&Request::post(path, key, &json!({ "reason": reason })))
    };
    let root = "sigilltesteidrootcav1";
    for (authority, serial, reason, status, code) in [
        (AUTHORITY, "xyz", "superseded", 404, "certificate-unknown"),
        (AUTHORITY, "7F00000000000000000000000000000A", "superseded", 404, "serial-unknown"),
        ("nobody", &serial, "superseded", 404, "authority-unknown"),
        (root, &serial, "superseded", 409, "authority-offline"),
        (AUTHORITY, &serial, "certificateHold", 422, "hold-without-certificate"),
    ] {
        let key = format!("{authority}-{serial}-{reason}");
        let refused = ask(path(authority, serial), &key, reason);
        assert_eq!(refused.status, status, "{key}: {}", refused.text());
        assert_eq!(refused.json()["code"], code, "{key}: {}", refused.text());
    }
    let number = crl_number(&deployment);
    let revoked = ask(path(AUTHORITY, &serial), "lost", "keyCompromise");
    assert_eq!(revoked.status, 200, "{}", revoked.text());
    let json: Value = revoked.json();
    assert_eq!((&json["outcome"], &json["state"]), (&json!("changed"), &json!("revoked")));
    seen(&deployment, lost.serial, "keyCompromise", "Key Compromise");
    // A certificate that is here is revoked by its serial just as well, by its own rules.
    let here = path(AUTHORITY, &early.serial.to_string());
    assert_eq!(ask(here.clone(), "hold", "certificateHold").json()["code"], "hold-not-for-kind");
    assert_eq!(ask(here, "early", "superseded").status, 200);
    seen(&deployment, early.serial, "superseded", "Superseded");
    assert!(crl_number(&deployment) > number.max(Some(published)), "{number:?} {published}");
    deployment.stop();
    accounts::logs_add_up(&deployment, &deployment.database());
}

/// CRL-11: a CRL file that is lost is made again by itself; one that was changed is replaced by one
/// that is compared with our own copy: entries that the database has lost are noticed.
fn a_lost_or_changed_crl_is_made_again(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let ids: Vec<Received> = ["gone", "next", "last"]
        .map(|key| Received::read(key, &deployment.api().ask(&deployment.order(key))))
        .into();
    let [gone, next, last] = &ids[..] else { panic!("three certificates") };
    assert_eq!(revoke(&deployment, &gone.id, "superseded", "gone").status, 200);
    let on_crl =
        |serial| until(SEEN_WITHIN, || crl_entry(&deployment, serial).map(|_| ())).is_some();
    assert!(on_crl(gone.serial));

    let file = deployment.home.join(format!("publish/crl/{AUTHORITY}.crl"));
    let number = crl_number(&deployment);
    fs::remove_file(&file).expect("the CRL is lost");
    let again = until(SEEN_WITHIN, || (crl_number(&deployment) > number).then_some(()));
    assert!(again.is_some(), "the lost CRL is not made again");

    // With its folder and the manifest: our own copy is compared with all the same.
    let number = crl_number(&deployment);
    // One that is being written meanwhile keeps the folder from going.
    let folder = file.parent().expect("a folder");
    let removed = until(SEEN_WITHIN, || fs::remove_dir_all(folder).ok());
    assert!(removed.is_some(), "the CRLs are lost");
    let again = until(SEEN_WITHIN, || (crl_number(&deployment) > number).then_some(()));
    assert!(again.is_some(), "the lost folder is not made again: {}", deployment.printed());
    assert!(!deployment.printed().contains("without comparison"), "{}", deployment.printed());

    // Changed in place, nobody notices by its length; the next CRL finds another hash.
    let mut octets = fs::read(&file).expect("a CRL");
    *octets.last_mut().expect("octets") ^= 1;
    fs::write(&file, &octets).expect("the CRL is changed");
    assert_eq!(revoke(&deployment, &next.id, "superseded", "next").status, 200);
    assert!(on_crl(next.serial), "{}", deployment.printed());
    assert!(deployment.printed().contains("compared with our own copy"));

    // Changed again, and the database has lost a revocation: nothing is signed.
    let number = crl_number(&deployment);
    let mut octets = fs::read(&file).expect("a CRL");
    *octets.last_mut().expect("octets") ^= 1;
    fs::write(&file, &octets).expect("the CRL is changed");
    let serial = [&[16], gone.serial.as_octets()].concat();
    let forgotten = deployment
        .database()
        .execute("UPDATE serial SET listed = 0 WHERE serial = ?1", [&serial])
        .expect("an update");
    assert_eq!(forgotten, 1);
    assert_eq!(revoke(&deployment, &last.id, "superseded", "last").status, 200);
    let refused = until(SEEN_WITHIN, || deployment.printed().contains("crl-refused").then_some(()));
    assert!(refused.is_some(), "{}", deployment.printed());
    assert_eq!(crl_number(&deployment), number, "a CRL without {} was signed", gone.serial);
}
