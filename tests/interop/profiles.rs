//! pkilint about a sample of every shipped profile for every type of key that it allows, also of those
//! that no direct call may have: RFC 5280 for all, and EN 319 412-2 for what persons have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use support::suite::Check;
use support::{program, spoken, tool, workspace};

use crate::Samples;
use crate::pkilint::changed;

pub(crate) const CHECKS: &[Check<Samples>] =
    &[("profiles::pkilint_finds_nothing_in_any_of_them", pkilint_finds_nothing_in_any_of_them)];

const PKIX: &str = "lint_pkix_cert\tlint\t-s\tWARNING";
const PERSON: &str = "lint_etsi_cert\tlint\t-t\tNCP-NATURAL-PERSON-CERTIFICATE\t-s\tWARNING";

/// A sample, as `sigill profile example` prints it.
#[derive(Deserialize)]
struct Sample {
    profile: String,
    key_type: String,
    certificate: String,
}

/// What a profile's file says of itself.
#[derive(Deserialize)]
struct Shipped {
    name: String,
    kind: String,
    key: Keys,
}

#[derive(Deserialize)]
struct Keys {
    allow: Vec<String>,
}

/// PRO-05: each linter judges each sample, and sees what was changed in one of each profile.
fn pkilint_finds_nothing_in_any_of_them(_: &Samples) {
    let Some(linter) = tool::find("lint_pkix_cert") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let samples = samples();
    let mut calls: Vec<(String, Expected)> = Vec::new();
    let mut seen = BTreeSet::new();
    for (shipped, sample) in &samples {
        let name = format!("{}+{}", sample.profile, sample.key_type);
        let der = x509::pem::decode_one(&sample.certificate, x509::pem::Label::Certificate)
            .expect("a sample is PEM");
        let mut call = |linter: &str, name: &str, der: &[u8], expected| {
            fs::write(folder.path().join(name), der).expect("a sample can be written");
            calls.push((format!("{linter}\t{name}"), expected));
        };
        let is_management = shipped.kind.starts_with("management-");
        let good = if is_management { Expected::UrnAlone } else { Expected::Nothing };
        let is_person = shipped.kind.starts_with("person-");
        call(PKIX, &name, &der, good);
        if is_person {
            call(PERSON, &name, &der, Expected::Nothing);
        }
        if !seen.insert(&sample.profile) {
            continue;
        }
        // The issuer's countryName as UTF8String.
        let wrong = changed(&der, b"\x55\x04\x06\x13", 3, 0x0c);
        call(PKIX, &format!("{name}.string"), &wrong, Expected::Something);
        if is_person {
            // The subject's commonName is a title: of that, EN 319 412-2 alone says anything.
            let wrong = nameless(&der);
            call(PKIX, &format!("{name}.name"), &wrong, Expected::Nothing);
            call(PERSON, &format!("{name}.name"), &wrong, Expected::Something);
        }
    }

    let found = lint(&linter, folder.path(), &calls);

    println!("measured: profiles = {}", seen.len());
    println!("measured: samples = {}", samples.len());
    println!("measured: lints = {}", calls.len());
    let wrong: Vec<String> = calls
        .iter()
        .zip(found)
        .filter(|((_, expected), (count, said))| !expected.is(*count, said))
        .map(|((call, _), (count, said))| format!("{call}: {count} findings: {said}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What a linter is to say.
#[derive(Clone, Copy)]
enum Expected {
    Nothing,
    Something,
    /// That a URN is no URI, and nothing else (docs/decisions, record 0013).
    UrnAlone,
}

impl Expected {
    fn is(self, count: i64, said: &str) -> bool {
        let said = said.trim();
        match self {
            Self::Nothing => (count, said) == (0, ""),
            Self::Something => count > 0 && (said.contains("ERROR") || said.contains("FATAL")),
            Self::UrnAlone => {
                count == 1 && said.contains("pkix.invalid_uri_syntax") && said.contains("\"urn:")
            }
        }
    }
}

/// The shipped profiles, each beside its samples: one for each type of key, and none is missing.
fn samples() -> Vec<(Shipped, Sample)> {
    let folder = workspace::root().join("profiles");
    let mut command = Command::new(program::built("sigill"));
    command.args(["--json", "profile", "example", "--key-type", "all"]).arg(&folder);
    let said = spoken::run(&mut command, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    let mut made: Vec<Sample> = serde_json::from_slice(&said.out).expect("samples in JSON");
    let mut samples = Vec::new();
    for entry in fs::read_dir(&folder).expect("the shipped profiles").flatten() {
        if entry.path().extension().is_none_or(|extension| extension != "toml") {
            continue;
        }
        let text = fs::read_to_string(entry.path()).expect("a profile");
        let read = || toml::from_str::<Shipped>(&text).expect("a profile");
        for key in read().key.allow {
            let is_it = |it: &Sample| it.profile == read().name && it.key_type == key;
            let at = made.iter().position(is_it);
            let at = at.unwrap_or_else(|| panic!("no sample of {} for {key}", read().name));
            samples.push((read(), made.swap_remove(at)));
        }
    }
    assert!(made.is_empty(), "samples of profiles that are not shipped");
    assert!(samples.len() > 30, "{} samples", samples.len());
    samples
}

/// The same without a commonName in the subject, which stands behind the issuer's.
fn nameless(der: &[u8]) -> Vec<u8> {
    let common_name = b"\x55\x04\x03";
    let last = der.windows(3).rposition(|octets| octets == common_name).expect("a commonName");
    let mut changed = der.to_vec();
    changed[last + 2] = 0x0c;
    changed
}

/// Number of findings and text for each call, by one process.
fn lint(linter: &Path, folder: &Path, calls: &[(String, Expected)]) -> Vec<(i64, String)> {
    let mut command = Command::new(linter.with_file_name("python3"));
    command.arg("-B").arg(workspace::root().join("tests/interop/run_pkilint.py")).arg("many");
    let input: String = calls.iter().map(|(call, _)| format!("{call}\n")).collect();
    let said = spoken::run(command.current_dir(folder), input.as_bytes());
    assert_eq!(said.code, 0, "{}", said.text);
    let found: Vec<(i64, String)> = serde_json::from_slice(&said.out).expect("findings in JSON");
    assert_eq!(found.len(), calls.len(), "one a call");
    found
}
