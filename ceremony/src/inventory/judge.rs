//! What of an inventory is not as it should be.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ca::algorithms::{AlgorithmPolicy, KeyPurpose};
use hsm::ObjectKind;
use x509::key::KeyType;
use x509::time::UnixTime;

use super::compare::Pair;
use super::record::{Finding, ObjectRecord, Record};
use super::users::Users;

/// Findings that an earlier record with the same object has settled: somebody has seen them. A key
/// that is not fit, is there twice or does not prove itself never is.
const SETTLED: [&str; 6] = [
    "key-unknown",
    "half-pair",
    "id-shared",
    "object-foreign",
    "object-unnamed",
    "public-half-unknown",
];

/// Judges the objects and what is missing.
pub(crate) fn findings(
    record: &Record,
    users: &Users,
    expected: Option<(&Record, &[Pair])>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    of_token(record, users, &mut findings);
    let is_recorded = |place: usize| {
        expected.is_some_and(|(_, pairs)| {
            pairs.iter().any(|pair| pair.now == Some(place) && pair.before.is_some())
        })
    };
    let judges_use = users.are_known() || expected.is_some();
    for (place, object) in record.objects.iter().enumerate() {
        let mut of_object = Vec::new();
        judge(record, object, judges_use, &mut of_object);
        let settled = is_recorded(place);
        findings.extend(of_object.into_iter().filter_map(|(code, what)| {
            let dropped = settled && SETTLED.contains(&code);
            (!dropped).then(|| finding(code, format!("{}: {what}", object.name())))
        }));
    }
    duplicates(record, &mut findings);
    for (key, user) in users.here() {
        let is_here = record
            .objects
            .iter()
            .any(|object| object.is_private() && object.spki_sha256.as_deref() == Some(key));
        if !is_here {
            findings
                .push(finding("key-missing", format!("{user}: its key {key} is not told of here")));
        }
    }
    findings
}

/// Private keys that the algorithm policy does not allow now, for what they are used for or, where
/// nobody uses them yet, for anything. No record settles that (KEY-07).
pub(crate) fn of_algorithms(
    record: &Record,
    policy: &AlgorithmPolicy,
    now: UnixTime,
) -> Vec<Finding> {
    let keys = record.objects.iter().filter(|object| object.is_private());
    let judged = keys.flat_map(|object| {
        // What is of no type that Sigill knows has been told of as such.
        let key = object.key_type.parse::<KeyType>().ok();
        let purposes: BTreeSet<_> = object.used_by.iter().map(|user| purpose_of(user)).collect();
        let purposes = if purposes.is_empty() { BTreeSet::from([None]) } else { purposes };
        purposes.into_iter().filter_map(move |purpose| {
            let refused = policy.key(purpose, key?, now).err()?;
            Some(finding("key-algorithm-not-allowed", format!("{}: {refused}", object.name())))
        })
    });
    judged.collect()
}

/// What a key is for, by the words of [`Users`].
fn purpose_of(user: &str) -> Option<KeyPurpose> {
    match user {
        "management CA" => Some(KeyPurpose::Management),
        user if user.starts_with("authority ") => Some(KeyPurpose::Issuing),
        user if user.starts_with("delegate of ") => Some(KeyPurpose::Responder),
        _ => None,
    }
}

fn of_token(record: &Record, users: &Users, findings: &mut Vec<Finding>) {
    let token = &record.token;
    let is_of_test = ["sg-td-", "sg-ts-"].iter().any(|start| token.label.starts_with(start));
    if token.software && !is_of_test && !users.allow_software() {
        findings.push(finding(
            "token-software",
            format!(
                "token {} is a software token ({}) outside environment test",
                token.label, token.model
            ),
        ));
    }
    if let Some(module) = users.module()
        && !same_file(module, &record.module.path)
    {
        findings.push(finding(
            "module-other",
            format!(
                "the token was read by {}, the configuration uses {}",
                record.module.path.display(),
                module.display()
            ),
        ));
    }
    if !users.name_the_token() {
        findings.push(finding(
            "token-unknown",
            format!("no configuration names token {} with serial {}", token.label, token.serial),
        ));
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    one == other || real(one) == real(other)
}

/// What is to be said of one object, with its code.
fn judge(
    record: &Record,
    object: &ObjectRecord,
    judges_use: bool,
    found: &mut Vec<(&'static str, String)>,
) {
    if object.label.is_empty() && object.id.is_empty() {
        found.push(("object-unnamed", "it has neither label nor id".to_owned()));
    }
    let same_key = |kind: ObjectKind| {
        object.spki_sha256.is_some()
            && record
                .objects
                .iter()
                .any(|other| other.is(kind) && other.spki_sha256 == object.spki_sha256)
    };
    if object.is_private() {
        for wrong in &object.wrong {
            found.push(("key-unfit", wrong.clone()));
        }
        of_proof(object, found);
        if object.spki_sha256.is_some() && !same_key(ObjectKind::PublicKey) {
            found.push(("half-pair", "no public object of the same key is there".to_owned()));
        }
        if judges_use && object.used_by.is_empty() {
            found.push((
                "key-unknown",
                "no CA of the configuration uses it, no record has it".to_owned(),
            ));
        }
        of_neighbours(record, object, found);
    } else if object.is(ObjectKind::PublicKey) {
        if !same_key(ObjectKind::PrivateKey) {
            found.push(("half-pair", "no private key is told to be its other half".to_owned()));
        }
    } else if object.is(ObjectKind::Certificate) {
        if !same_key(ObjectKind::PrivateKey) {
            found.push(("object-foreign", "no private key is told to be that of it".to_owned()));
        }
    } else {
        found.push(("object-foreign", format!("nothing of ours is a {}", object.key_type)));
    }
}

fn of_proof(object: &ObjectRecord, found: &mut Vec<(&'static str, String)>) {
    if object.spki_sha256.is_none() {
        let next = match object.proof.as_str() {
            "not-asked" if object.key_type.starts_with("ec-") => {
                "its public half is not told; --prove recovers it"
            }
            _ => "its public half is not told, and cannot be recovered",
        };
        found.push(("public-half-unknown", next.to_owned()));
    }
    if object.proof.starts_with("refuted") {
        let proof = &object.proof;
        found.push((
            "proof-refuted",
            format!("it does not sign as the token tells of it ({proof})"),
        ));
    } else if object.proof.starts_with("refused") {
        found.push(("proof-refused", format!("it does not sign ({})", object.proof)));
    }
}

/// Others under the id of a private key: a hint that somebody may believe.
fn of_neighbours(record: &Record, object: &ObjectRecord, found: &mut Vec<(&'static str, String)>) {
    if object.id.is_empty() {
        return;
    }
    for other in &record.objects {
        let another_key = match (&object.spki_sha256, &other.spki_sha256) {
            (Some(one), Some(other)) => one != other,
            (None, None) => other != object && other.is_private(),
            _ => true,
        };
        if other.id == object.id && another_key {
            found.push(("id-shared", format!("{} has its id and another key", other.name())));
        }
    }
}

fn duplicates(record: &Record, findings: &mut Vec<Finding>) {
    let mut by_key: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for object in record.objects.iter().filter(|object| object.is_private()) {
        if let Some(key) = &object.spki_sha256 {
            by_key.entry(key).or_default().push(object.name());
        }
    }
    for (key, names) in by_key.into_iter().filter(|(_, names)| names.len() > 1) {
        let names = names.join(", ");
        findings
            .push(finding("key-duplicate", format!("key {key} is there more than once: {names}")));
    }
}

fn finding(code: &str, what: String) -> Finding {
    Finding { code: code.to_owned(), what }
}
