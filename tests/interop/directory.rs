//! The line by which Active Directory maps a certificate to an account, as `sigill certificate show --ad`
//! prints it, against what OpenSSL reads of the certificate.

use std::process::Command;

use serde_json::Value;
use support::demo::{Demo, Issued};
use support::spoken::Spoken;
use support::suite::Check;
use support::{program, spoken};

use crate::Samples;

pub(crate) const CHECKS: &[Check<Samples>] =
    &[("directory::maps_by_issuer_and_reversed_serial_number", maps_by_issuer_and_reversed_serial)];

/// Of each of the running CA's certificates the line is the one that its own octets give, found by id and by
/// hash, and a certificate that the CA does not have has none.
fn maps_by_issuer_and_reversed_serial(samples: &Samples) {
    let Some(demo) = &samples.demo else { return };
    let mut lines = Vec::new();
    for issued in samples.persons.iter().chain([&samples.good, &samples.revoked]) {
        let expected = reckoned(issued);

        let by_id = shown(demo, &[&issued.id, "--ad"]);
        let by_hash = shown(demo, &[&sha256(issued), "--ad"]);
        let json = shown(demo, &[&issued.id, "--ad", "--json"]);

        assert_eq!((by_id.code, by_id.text), (0, format!("{expected}\n")));
        assert_eq!((by_hash.code, by_hash.text), (0, format!("{expected}\n")));
        let json: Value = serde_json::from_slice(&json.out).expect("JSON");
        assert_eq!(json["alt_security_identities"], expected);
        lines.push(expected);
    }
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), samples.persons.len() + 2, "one line a certificate: {lines:?}");

    let unknown = shown(demo, &["crt_00000000000000000000000000000000", "--ad"]);
    assert!(unknown.code == 1 && !unknown.text.contains("X509:"), "{unknown:?}");
}

/// What OpenSSL makes of it: the issuer as encoded and not turned round, the serial number's octets from the last.
fn reckoned(issued: &Issued) -> String {
    let options = ["x509", "-in", "leaf.pem", "-noout", "-issuer", "-serial"];
    let names = ["-nameopt", "utf8,sname,sep_comma_plus"];
    let said = issued.openssl(&[&options[..], &names].concat()).text;
    let after = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name}: {said}")).trim().to_owned()
    };
    let (issuer, serial) = (after("issuer="), after("serial=").to_lowercase());
    assert!(issuer.starts_with("C=SE,O=") && serial.len().is_multiple_of(2), "{said}");
    let octets: Vec<&str> = (0..serial.len()).step_by(2).map(|at| &serial[at..at + 2]).collect();
    let reversed: String = octets.into_iter().rev().collect();
    format!("X509:<I>{issuer}<SR>{reversed}")
}

fn sha256(issued: &Issued) -> String {
    let said =
        issued.openssl(&["x509", "-in", "leaf.pem", "-noout", "-fingerprint", "-sha256"]).text;
    let (_, found) = said.trim().split_once('=').expect("a fingerprint");
    found.replace(':', "").to_lowercase()
}

/// What `sigill certificate show` says, called as the portal.
fn shown(demo: &Demo, arguments: &[&str]) -> Spoken {
    let mut command = Command::new(program::built("sigill"));
    command.args(["certificate", "show"]).args(arguments);
    let names = ["API_URL", "MANAGEMENT_CA", "PORTAL_CERT", "PORTAL_KEY"];
    for name in names.map(|name| format!("SIGILL_{name}")) {
        command.env(&name, demo.variable(&name));
    }
    spoken::run(&mut command, &[])
}
