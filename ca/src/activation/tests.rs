//! CER-10: one person is not two, and a signature is for one step of one deployment.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use x509::key::{PublicKey, SignatureAlgorithm};

use super::*;

const HERE: &str = "prod/prod/abcd";
const NOW: u64 = 1_800_000_000;

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

fn pair(octet: u8) -> (Ed25519KeyPair, PublicKey) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[octet; 32]).unwrap();
    let key = PublicKey::from_ed25519(pair.public_key().as_ref().try_into().unwrap()).unwrap();
    (pair, key)
}

fn person(id: &str, role: ActivationRole, octet: u8) -> ActivationPerson {
    let keys = vec![pair(octet).1.spki_hash().to_string()];
    ActivationPerson { id: id.to_owned(), role, keys }
}

fn register() -> ActivationRegister {
    use ActivationRole::{SecurityOfficer, SystemAdministrator};
    ActivationRegister::new(vec![
        person("anna", SecurityOfficer, 1),
        person("bo", SystemAdministrator, 2),
        person("cia", SystemAdministrator, 3),
    ])
    .unwrap()
}

fn manifest(parts: &[(&str, &str)]) -> Manifest {
    let mut manifest = Manifest::default();
    for (name, content) in parts {
        manifest.add(name, content.as_bytes()).unwrap();
    }
    manifest
}

fn step() -> Activation<'static> {
    let after = Some(ConfigurationHash::from_bytes([9; 32]));
    Activation { deployment: HERE, configuration: manifest(&[("limit", "1")]).hash(), after }
}

fn signed(step: &Activation<'_>, id: &str, octet: u8, time: u64) -> SignedStatement {
    let statement = step.statement(id, at(time)).unwrap();
    sign(&statement, octet)
}

fn sign(statement: &Statement, octet: u8) -> SignedStatement {
    let (pair, key) = pair(octet);
    let signature = pair.sign(statement.as_str().as_bytes());
    SignedStatement::assemble(statement, &key, SignatureAlgorithm::Ed25519, signature.as_ref())
        .unwrap()
}

fn refused(statements: &[SignedStatement]) -> String {
    step().judge(&register(), statements, at(NOW)).unwrap_err().to_string()
}

#[test]
fn a_security_officer_and_a_system_administrator_activate() {
    let two = [signed(&step(), "bo", 2, NOW - 10), signed(&step(), "anna", 1, NOW - 86_400)];

    assert_eq!(step().judge(&register(), &two, at(NOW)).unwrap(), ["anna", "bo"]);
}

#[test]
fn one_person_or_two_of_one_role_do_not() {
    let (anna, bo, cia) = (
        signed(&step(), "anna", 1, NOW),
        signed(&step(), "bo", 2, NOW),
        signed(&step(), "cia", 3, NOW),
    );
    assert_eq!(refused(&[]), "no security-officer has signed");
    assert_eq!(refused(std::slice::from_ref(&anna)), "no system-administrator has signed");
    assert!(refused(&[anna.clone(), anna.clone()]).contains("two statements"));
    assert!(refused(&[bo, cia]).contains("two statements"));
    // Anna's key under the name of the other.
    let as_bo = signed(&step(), "bo", 1, NOW);
    assert!(refused(&[anna.clone(), as_bo]).contains("none of that person's"));
    let stranger = signed(&step(), "dan", 4, NOW);
    assert!(refused(&[anna, stranger]).contains("\"dan\" is not one of those"));
}

#[test]
fn a_signature_is_for_one_step_of_one_deployment_and_for_a_week() {
    let anna = || signed(&step(), "anna", 1, NOW);
    let elsewhere = Activation { deployment: "qa/test/abcd", ..step() };
    let other = Activation { configuration: manifest(&[("limit", "2")]).hash(), ..step() };
    let first = Activation { after: None, ..step() };
    for (step, field) in [(elsewhere, "deployment"), (other, "configuration"), (first, "after")] {
        let told = refused(&[anna(), signed(&step, "bo", 2, NOW)]);
        assert!(told.contains(&format!("signed for {field} ")), "{told}");
    }
    for (time, counts) in [
        (NOW - 7 * 86_400, true),
        (NOW - 7 * 86_400 - 1, false),
        (NOW + 300, true),
        (NOW + 301, false),
    ] {
        let two = [anna(), signed(&step(), "bo", 2, time)];
        let judged = step().judge(&register(), &two, at(NOW));
        assert_eq!(judged.is_ok(), counts, "{time}: {judged:?}");
    }
    let other = Statement::new("plan-approval", &[("person", "bo")]).unwrap();
    assert!(refused(&[anna(), sign(&other, 2)]).contains("of kind plan-approval"));
    let fields = step().fields();
    let mut fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.extend([("person", "bo"), ("time", "tomorrow")]);
    let timeless = Statement::new(KIND, &fields).unwrap();
    assert!(refused(&[anna(), sign(&timeless, 2)]).contains("signed at tomorrow"));
}

#[test]
fn a_register_has_somebody_in_each_role_and_everybody_once() {
    use ActivationRole::{SecurityOfficer, SystemAdministrator};
    let fault =
        |persons: Vec<ActivationPerson>| ActivationRegister::new(persons).unwrap_err().to_string();
    let (anna, bo) = (person("anna", SecurityOfficer, 1), person("bo", SystemAdministrator, 2));

    assert_eq!(fault(vec![]), "nobody is security-officer");
    assert_eq!(fault(vec![anna.clone()]), "nobody is system-administrator");
    let again = person("anna", SystemAdministrator, 3);
    assert!(fault(vec![anna.clone(), again]).contains("one person's"));
    let same_key = person("cia", SystemAdministrator, 1);
    assert!(fault(vec![anna.clone(), same_key]).contains("another one's"));
    let keyless = ActivationPerson { keys: vec![], ..bo.clone() };
    assert!(fault(vec![anna.clone(), keyless]).contains("no key"));
    let shouted = ActivationPerson { keys: vec![bo.keys[0].to_uppercase()], ..bo.clone() };
    assert!(fault(vec![anna.clone(), shouted]).contains("none"));
    let named = ActivationPerson { id: "Bo Ek".to_owned(), ..bo.clone() };
    assert!(fault(vec![anna.clone(), named]).contains("a-z0-9-"));

    let register = ActivationRegister::new(vec![anna, bo]).unwrap();
    assert_eq!(ActivationRegister::parse(&register.text()), Some(register));
    assert_eq!(ActivationRegister::parse("[]"), None);
}

/// PRO-19, ISS-22: what differs is named, and every part counts.
#[test]
fn what_changed_is_named_by_its_parts() {
    let before = manifest(&[("client/portal", "a"), ("limit", "1"), ("profile/x.toml", "p")]);
    let after = manifest(&[("client/desk", "a"), ("limit", "2"), ("profile/x.toml", "p")]);

    let changes = after.since(&before);

    assert_eq!(changes.to_string(), "added: client/desk; changed: limit; removed: client/portal");
    assert_ne!(before.hash(), after.hash());
    assert_eq!(after.since(&after).to_string(), "nothing");
    assert!(after.shares("profile/x.toml", &before) && !after.shares("limit", &before));
    assert!(!after.shares("client/desk", &before) && !after.shares("none", &before));
    // The content of one part is not that of another.
    let moved = manifest(&[("client/desk", "2"), ("limit", "a"), ("profile/x.toml", "p")]);
    assert_ne!(moved.hash(), after.hash());
    assert_eq!(Manifest::parse(&after.text()), Some(after.clone()));
    for damaged in ["", "sigill configuration/2\n", &format!("{}x", after.text())] {
        assert_eq!(Manifest::parse(damaged), None, "{damaged}");
    }
    let mut twice = after;
    assert!(twice.add("limit", b"3").is_err() && twice.add("two words", b"").is_err());
    assert!(twice.add("", b"").is_err() && twice.add("a\nb", b"").is_err());
}
