//! Everything that a profile fixes, key by key of its file: a certificate by the edited file is none of the profile,
//! and the linter says so.

use std::collections::BTreeMap;

use toml::{Table, Value};
use x509::certificate::Certificate;
use x509::import::ImportedCertificate;

use super::golden;
use super::mutation::{finished_of, with_finished};
use crate::prepare::agreement::{self, Expected};
use crate::prepare::{Disagreement, Part, PrepareError, judgement};
use crate::profile::{Portrait, Profile, differences};
use crate::testing::Ask;

/// Keys that say nothing of what stands in a certificate: who it is for, how it is asked for, which keys are taken.
const SILENT: [&str; 10] = [
    "name",
    "version",
    "description",
    "kind",
    "issue-by",
    "trust-level",
    "key",
    "signature",
    "request",
    "names",
];

const SLOTS: [&str; 11] = [
    "authority-info-access",
    "authority-key-identifier",
    "basic-constraints",
    "card-number",
    "certificate-policies",
    "crl-distribution-points",
    "extended-key-usage",
    "key-usage",
    "ocsp-no-check",
    "subject-alt-name",
    "subject-key-identifier",
];
const USAGES: [&str; 6] = [
    "digital-signature",
    "content-commitment",
    "key-encipherment",
    "key-agreement",
    "key-cert-sign",
    "crl-sign",
];

const PURPOSES: [&str; 5] =
    ["client-auth", "server-auth", "email-protection", "smartcard-logon", "ocsp-signing"];
const SOURCES: [&str; 9] = [
    "common-name",
    "person-name",
    "surname",
    "given-name",
    "card-number",
    "hsa-id",
    "personal-identity-number",
    "organization",
    "locality",
];

/// The words that may stand under a key.
fn words(key: &str) -> &'static [&'static str] {
    match key {
        "order" => &SLOTS,
        "key-usage" | "key-usage-ec" => &USAGES,
        "extended-key-usage" => &PURPOSES,
        "from" => &SOURCES,
        "type" => &["country", "organization", "locality", "common-name", "serial-number"],
        "string" => &["printable-or-utf8"],
        "value" => &["NO"],
        "oid" => &["1.3.6.1.4.1.32473.1.99.1"],
        "cps" => &["https://pki.example.org/siths/elsewhere"],
        "lifetime" | "longest" => &["13d", "20d"],
        "ends-at" => &["21:50:01Z"],
        "backdate" => &["4m"],
        _ => &[],
    }
}

/// Every value that differs from this one in one place, and what was done there.
fn altered(value: &Value, key: &str) -> Vec<(String, Value)> {
    match value {
        Value::Table(table) => altered_table(table, key),
        Value::Array(all) => altered_array(all, key),
        Value::String(text) => {
            let others = words(key).iter().filter(|word| *word != text);
            others.map(|word| (format!("is {word}"), Value::from(*word))).collect()
        }
        Value::Integer(number) => vec![("is one more".to_owned(), Value::from(number + 1))],
        _ => Vec::new(),
    }
}

fn altered_table(table: &Table, key: &str) -> Vec<(String, Value)> {
    let with = |change: &dyn Fn(&mut Table)| {
        let mut table = table.clone();
        change(&mut table);
        Value::Table(table)
    };
    let mut found = Vec::new();
    for (name, value) in table.iter().filter(|(name, _)| !SILENT.contains(&name.as_str())) {
        found.push((format!("{name} is left out"), with(&|it| drop(it.remove(name)))));
        for (what, other) in altered(value, name) {
            let set = |it: &mut Table| drop(it.insert(name.clone(), other.clone()));
            found.push((format!("{name} {what}"), with(&set)));
        }
    }
    let added: &[(&str, Value)] = match key {
        "attributes" => &[("string", Value::from("printable-or-utf8"))],
        "extensions" => &[
            ("path-length", Value::Integer(0)),
            ("key-usage-ec", Value::Array(vec![Value::from("key-agreement")])),
        ],
        _ => &[],
    };
    for (name, value) in added.iter().filter(|(name, _)| !table.contains_key(*name)) {
        let set = |it: &mut Table| drop(it.insert((*name).to_owned(), value.clone()));
        found.push((format!("{name} is added"), with(&set)));
    }
    found
}

fn altered_array(all: &[Value], key: &str) -> Vec<(String, Value)> {
    let with = |change: &dyn Fn(&mut Vec<Value>)| {
        let mut all = all.to_vec();
        change(&mut all);
        Value::Array(all)
    };
    let mut found = Vec::new();
    for (place, value) in all.iter().enumerate() {
        found.push((format!("without {place}"), with(&|it| drop(it.remove(place)))));
        if place + 1 < all.len() {
            found.push((format!("with {place} moved"), with(&|it| it.swap(place, place + 1))));
        }
        for (what, other) in altered(value, key) {
            let set = |it: &mut Vec<Value>| it[place] = other.clone();
            found.push((format!("{place} {what}"), with(&set)));
        }
    }
    for word in words(key).iter().filter(|word| !all.contains(&Value::from(**word))) {
        found.push((format!("with {word}"), with(&|it| it.push(Value::from(*word)))));
    }
    found
}

/// What became of the edits of all profiles.
#[derive(Default)]
struct Tally {
    unreadable: usize,
    unprepared: usize,
    refused: usize,
    same: usize,
    by_linter: usize,
    by_order: usize,
    /// By section, those that the linter found.
    sections: BTreeMap<String, usize>,
    unseen: Vec<String>,
    unseen_by_diff: Vec<String>,
}

/// PRO-03, PRO-19: whatever one key of a profile's file says otherwise, its certificates are refused as those of the
/// profile: by the linter, and where the key says how long they live or which field an attribute is, by comparison with
/// the order. Certificates that no
/// profile may have are refused by the rules for all.
#[test]
fn no_key_of_any_profile_can_say_something_else() {
    let mut tally = Tally::default();
    golden::each(|name, ask| {
        let whole: Table = ask.profile.file().parse().unwrap();
        let portrait = Portrait::of_profile(ask.profile);
        let ask = Ask { admitted: ask.direct(), ..ask.clone() };
        with_finished(&ask, |finished, expected| {
            for (what, edited) in altered(&Value::Table(whole), "") {
                let Some(altered) = tally.prepared(&ask, &edited) else { continue };
                if altered == finished {
                    tally.same += 1;
                } else {
                    tally.judge(&altered, expected, &portrait, name, &what);
                }
            }
        });
    });

    let Tally { unreadable, unprepared, refused, same, by_linter, by_order, .. } = tally;
    println!(
        "measured: edits that are no profile = {unreadable}, that ask for other fields = {unprepared}"
    );
    println!("measured: edits refused by the rules for all = {refused}, without a trace = {same}");
    println!("measured: edits found by the linter = {by_linter}, by the order = {by_order}");
    println!("measured: by section {:?}", tally.sections);
    assert!(tally.unseen.is_empty(), "{:#?}", tally.unseen);
    assert!(tally.unseen_by_diff.is_empty(), "{:#?}", tally.unseen_by_diff);
    assert!(refused > 500 && by_linter > 500 && by_order > 50, "too few");
    for section in ["subject", "extensions", "policy"] {
        assert!(tally.sections.contains_key(section), "nothing of {section}");
    }
}

impl Tally {
    /// What the order comes to by the edited file.
    fn prepared(&mut self, ask: &Ask<'_>, edited: &Value) -> Option<Vec<u8>> {
        let Some(profile) = Profile::readable(&toml::to_string(edited).unwrap()) else {
            self.unreadable += 1;
            return None;
        };
        let other = Ask { profile: &profile, ..ask.clone() };
        match other.prepare() {
            Ok(prepared) => return Some(finished_of(&other, &prepared)),
            Err(PrepareError::Lint(_)) => self.refused += 1,
            // Fields that the order does not have, or an end that is none: nothing comes of it.
            Err(_) => self.unprepared += 1,
        }
        None
    }

    fn judge(
        &mut self,
        altered: &[u8],
        expected: &Expected<'_>,
        portrait: &Portrait,
        name: &str,
        what: &str,
    ) {
        let by_linter = !judgement::findings(altered, expected.preparation).is_empty();
        let by_order = agreement::check(altered, expected).err();
        // How long it lives, which of the order's fields an attribute is, and whether an optional card number that the
        // order has is there.
        let of_order = what.starts_with("validity ")
            || what.contains(" from is ")
            || by_order == Some(Disagreement::Part { part: Part::CardNumber });
        if by_linter {
            self.by_linter += 1;
            let section = what.split(' ').next().unwrap_or_default().to_owned();
            *self.sections.entry(section).or_default() += 1;
            let drawn = ImportedCertificate::from_der(altered).unwrap();
            // A comparison looks at one extension at a time; that emailProtection stands beside every address, the
            // linter knows.
            let beside_mail = what == "extensions extended-key-usage without 2";
            if !beside_mail && differences(portrait, &Portrait::of_certificate(&drawn)).is_empty() {
                self.unseen_by_diff.push(format!("{name}: {what}"));
            }
        } else if of_order && by_order.is_some() {
            self.by_order += 1;
        } else {
            self.unseen.push(format!("{name}: {what}"));
        }
    }
}

/// The signature algorithm, in both places and sound in itself: it is the issuer's, whatever the profile.
#[test]
fn another_signature_algorithm_is_found_by_the_linter() {
    // sha512WithRSAEncryption as sha384WithRSAEncryption, ecdsa-with-SHA256 as ecdsa-with-SHA384.
    const RSA: &[u8] = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01";
    const EC: &[u8] = b"\x2a\x86\x48\xce\x3d\x04\x03";
    golden::each(|name, ask| {
        with_finished(ask, |finished, expected| {
            let certificate = Certificate::from_der(finished).unwrap();
            let mut altered = finished.to_vec();
            let mut changed = 0;
            for arc in [RSA, EC] {
                for place in 0..finished.len() - certificate.signature().len() {
                    let next = place + arc.len();
                    if finished[place..].starts_with(arc) && finished[next] > 1 {
                        altered[next] = if arc == RSA { 12 } else { 3 };
                        changed += 1;
                    }
                }
            }
            assert_eq!(changed, 2, "{name}");
            let findings = judgement::findings(&altered, expected.preparation);
            let rules: Vec<_> = findings.iter().map(|finding| finding.rule.as_str()).collect();
            assert!(rules.contains(&"pro-03/profile-signature"), "{name}: {findings}");
        });
    });
}
