use std::collections::BTreeSet;
use std::path::PathBuf;

use super::*;

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/ceremonies/plans"))
}

#[expect(clippy::disallowed_methods, reason = "the shipped plans are read by their own test")]
fn shipped(name: &str) -> String {
    std::fs::read_to_string(folder().join(format!("{name}.toml"))).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "the shipped plans are read by their own test")]
fn names() -> Vec<String> {
    let files = std::fs::read_dir(folder()).unwrap();
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<String> = files.map(|file| name(file.unwrap().path())).collect();
    names.sort_unstable();
    names
}

fn faults(text: &str) -> Vec<String> {
    match Plan::read(text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(error) => error.faults.iter().map(ToString::to_string).collect(),
    }
}

/// CER-02: there is a plan that holds for every kind of ceremony.
#[test]
fn every_kind_has_a_shipped_plan_that_holds() {
    let mut kinds = BTreeSet::new();
    for name in names() {
        let plan =
            Plan::read(shipped(&name).as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(name.starts_with(&plan.kind.code().to_lowercase()), "{name}");
        kinds.insert(plan.kind.code());
    }
    assert_eq!(kinds, Kind::ALL.iter().map(|kind| kind.code()).collect());
}

/// N3: a space in a comment is another plan.
#[test]
fn the_hash_is_that_of_the_file() {
    let text = shipped("c1-root-key");
    let spaced = text.replacen("# An example:", "# An  example:", 1);
    assert_ne!(spaced, text);

    let (one, two) = (Plan::read(text.as_bytes()).unwrap(), Plan::read(spaced.as_bytes()).unwrap());

    assert_eq!(one.hash, Fingerprint::of(text.as_bytes()));
    assert_ne!(one.hash, two.hash);
}

/// CER-02, KEY-03, KEY-04: one change of a plan that holds, and what it is refused for.
const MUTANTS: &[(&str, &str, &str, &str)] = &[
    // Form.
    ("c1-root-key", "format      =", "format\t=", "U+0009"),
    ("c1-root-key", "ceremony-plan/1", "ceremony-plan/2", "format = \"sigill-ceremony-plan/2\""),
    ("c1-root-key", "auditor     =", "audit       =", "unknown field `audit`"),
    (
        "c1-root-key",
        "[[input]]",
        "[[own-module]]\nfile = \"lib.so\"\nsha256 = \"0c17c2c4e3b9b4cdaae53870a2f793c901d4dc485708ba2cb66a45b63315cbec\"\n[[input]]",
        "own-module lib.so: it needs an absolute path",
    ),
    ("c1-root-key", "[window]", "pin = \"1234\"\n[window]", "unknown field `pin`"),
    ("c1-root-key", "version = \"0.1.0\"\n", "", "missing field `version`"),
    ("c1-root-key", "07:00:00Z", "07:00:00+01:00", "is no time such as"),
    ("c1-root-key", "\"in/device.json\"", "\"in/../device.json\"", "is no file below"),
    (
        "c1-root-key",
        "op         = \"backup\"",
        "op         = \"export\"",
        "unknown variant `export`",
    ),
    ("c1-root-key", "lifetime  = \"180d\"\n", "", "step first-crl: missing field `lifetime`"),
    (
        "c1-root-key",
        "backup     = \"device\"\n",
        "backup     = \"device\"\npin = \"1\"\n",
        "step root-key: unknown field `pin`",
    ),
    (
        "c1-root-key",
        "\"custodian:3\"",
        "\"custodian:03\"",
        "step root-key: \"custodian:03\": wanted a role",
    ),
    (
        "c1-root-key",
        "[\"witness\", \"safe-controller\"]",
        "[\"witness\", \"approver\"]",
        "step safe: \"approver\": wanted a role",
    ),
    // Deployment, window, independent person.
    ("c1-root-key", "pki         = \"prod\"", "pki         = \"test\"", "[deployment]"),
    ("c1-root-key", "not-after  = 2027-02-03", "not-after  = 2027-02-01", "[window] is from"),
    ("c1-root-key", "not-after  = 2027-02-03", "not-after  = 2027-03-06", "[window] is from"),
    (
        "c3-issuing-certificate",
        "auditor     = \"recording\"",
        "auditor     = \"none\"",
        "auditor = None is not allowed for C3",
    ),
    // People.
    (
        "c1-root-key",
        "name     = \"Bo Lind\"",
        "name     = \"Anna Berg\"",
        "two people are called Anna Berg",
    ),
    (
        "c1-root-key",
        "role   = \"safe-controller\"\nperson = \"maria-stal\"",
        "role   = \"safe-controller\"\nperson = \"anna-berg\"",
        "anna-berg is safe-controller and custodian",
    ),
    (
        "c1-root-key",
        "role   = \"safe-controller\"\nperson = \"maria-stal\"",
        "role   = \"safe-controller\"\nperson = \"vera-sund\"",
        "vera-sund is witness and safe-controller",
    ),
    (
        "c1-root-key",
        "deputy-for = \"olle-dahl\"",
        "deputy-for = \"vera-sund\"",
        "operator nils-ek: deputy-for",
    ),
    (
        "c1-root-key",
        "employer = \"Revision Exempel AB\"",
        "employer = \"Sigill Exempel AB\"",
        "auditor ragnar-holm is employed",
    ),
    (
        "c1-root-key",
        "site   = \"Umeå\"",
        "site   = \"Stockholm\"",
        "3 or more shares of custodian lie at Stockholm",
    ),
    (
        "c1-root-key",
        "unit     = \"Utveckling\"",
        "unit     = \"Drift\"",
        "3 or more custodians are of unit Drift",
    ),
    ("c1-root-key", "share  = 5", "share  = 4", "the shares of custodian are not 1 to 5"),
    ("c1-root-key", "share  = 5\n", "", "custodian eva-falk: custodians have"),
    (
        "c1-root-key",
        "approvers     = { m = 2",
        "approvers     = { m = 1",
        "[quorum] approver: 1 of 3",
    ),
    (
        "c1-root-key",
        "approvers     = { m = 2, n = 3",
        "approvers     = { m = 2, n = 4",
        "3 people are approver, and [quorum] says 4",
    ),
    (
        "c2-issuing-key",
        "custodians    = { m = 2",
        "custodians    = { m = 3",
        "[quorum] custodian: 3 of 4",
    ),
    (
        "c1-training",
        "so-custodians = { m = 3",
        "so-custodians = { m = 2",
        "so-custodians: 2 are needed, fewer than the 3",
    ),
    (
        "c1-root-key",
        "custodians    = { m = 3",
        "custodians    = { m = 2",
        "2 are needed; C1 demands at least 3",
    ),
    // Tokens.
    (
        "c1-root-key",
        "label          = \"sg-pp-ex01-root\"",
        "label          = \"sg-qt-ex01-root\"",
        "token root: its label",
    ),
    ("c1-root-key", "serial         = \"4711001\"\n", "", "token root: its serial number lacks"),
    (
        "c1-root-key",
        "expect         = \"empty\"\npins           = \"device\"",
        "expect         = \"empty\"\npins           = \"shares\"",
        "a root in production has a device",
    ),
    (
        "c1-training",
        "expect         = \"blank\"",
        "expect         = \"empty\"",
        "token root: a token is prepared",
    ),
    // Steps.
    (
        "c1-root-key",
        "[[step]]\nid         = \"root-backup\"",
        "[[step]]\nid         = \"safe\"",
        "step or input safe is there twice",
    ),
    (
        "c1-root-key",
        "signatures = 0",
        "signatures = 1",
        "step safe: signatures = 1; what it does takes 0",
    ),
    (
        "c5-root-crl-series",
        "signatures = 3",
        "signatures = 4",
        "signatures = 4; what it does takes 3",
    ),
    ("c1-root-key", "decrypt = false", "decrypt = true", "step root-key: decrypt = true"),
    (
        "c1-root-key",
        "extractable = false",
        "extractable = true",
        "step root-key: extractable = true",
    ),
    ("c1-root-key", "sensitive = true", "sensitive = false", "step root-key: sensitive = false"),
    ("c1-root-key", "\"custodian:3\"", "\"custodian:2\"", "step root-key requires 2 custodian"),
    (
        "c1-root-key",
        "\"custodian:3\"",
        "\"custodian:6\"",
        "step root-key requires custodian:6, and the plan has 5",
    ),
    ("c1-root-key", ", \"auditor\"]", "]", "step root-key requires 0 auditor"),
    (
        "c1-training",
        "\"so-custodian:5\"",
        "\"so-custodian:4\"",
        "step token requires 4 so-custodian",
    ),
    ("c1-root-key", "token  = \"root-b\"", "token  = \"root\"", "is to lie in another token"),
    (
        "c1-root-key",
        "issuer       = \"root-key\"",
        "issuer       = \"safe\"",
        "a root signs itself",
    ),
    (
        "c1-root-key",
        "profile      = \"profile-root\"",
        "profile      = \"device\"",
        "profile = device is to name",
    ),
    (
        "c1-root-key",
        "issuer    = \"root-certificate\"",
        "issuer    = \"root-key\"",
        "issuer = root-key is to name",
    ),
    (
        "c1-root-key",
        "rsa-pkcs1-sha256",
        "ecdsa-p256-sha256",
        "ecdsa-p256-sha256 is no algorithm of rsa-4096 keys",
    ),
    (
        "c1-root-key",
        "not-after    = 2057",
        "not-after    = 2026",
        "step root-certificate: not-after",
    ),
    ("c1-root-key", "lifetime  = \"180d\"", "lifetime  = \"367d\"", "lifetime is 367 days"),
    ("c1-root-key", "gap = 1", "gap = 0", "number.gap = 0"),
    ("c5-root-crl", "previous  = \"previous\"\n", "", "`previous` is left out for the first CRL"),
    (
        "c5-root-crl-series",
        "this-update = 2027-05-03T12:00:00Z, next-update = 2027-10-30T12:00:00Z",
        "this-update = 2027-08-01T12:00:00Z, next-update = 2028-01-28T12:00:00Z",
        "each begins after the one before it began, and before that ends",
    ),
    (
        "c5-root-crl-series",
        "this-update = 2027-05-03T12:00:00Z, next-update = 2027-10-30T12:00:00Z",
        "this-update = 2027-02-02T12:00:00Z, next-update = 2027-08-01T12:00:00Z",
        "each begins after the one before it began, and before that ends",
    ),
    (
        "c5-root-crl-series",
        "next-update = 2027-10-30",
        "next-update = 2027-10-31",
        "for `lifetime`",
    ),
    ("c5-root-crl-series", "number = 13", "number = 12", "above the one before by `gap`"),
    ("c5-root-crl-series", "number = 13", "number = 14", "above the one before by `gap`"),
    ("c5-root-crl-series", "floor = 0", "floor = 12", "its first number is not above the floor"),
    (
        "c5-root-crl-series",
        "this-update = 2027-02-02T12:00:00Z, next-update = 2027-08-01T12:00:00Z",
        "this-update = 2027-02-01T12:00:00Z, next-update = 2027-07-31T12:00:00Z",
        "the first one begins before the window",
    ),
    (
        "c5-root-crl",
        "revoke    = []",
        "revoke    = []\nseries = [{ number = 12, this-update = 2027-02-02T12:00:00Z, next-update = 2027-08-01T12:00:00Z }]",
        "it has 2 to 36 CRLs",
    ),
    (
        "c5-root-crl-emergency",
        "ca-compromise",
        "ca-compromised",
        "revoke 4c9f03aa5b1e77d0812f6c3344556677: its reason",
    ),
    ("c5-root-crl-emergency", "4c9f03aa", "4c9f03a", "it is no serial number"),
    (
        "c5-root-crl-emergency",
        "date = 2027-02-01",
        "date = 2027-02-04",
        "its date is after the window",
    ),
    (
        "c3-issuing-certificate",
        "urls         = ",
        "# urls      = ",
        "says where the issuer publishes",
    ),
    ("c3-issuing-certificate", "http://ocsp", "https://ocsp", "is no absolute http URI"),
    (
        "c3-issuing-certificate",
        "ocsp = \"http://ocsp.example.org\"",
        "ocsp = \"http:///ocsp\"",
        "is no absolute http URI",
    ),
    (
        "c1-root-key",
        "not-after    = 2",
        "urls = { crl = \"http://a\", ocsp = \"http://a\", aia = \"http://a\" }\nnot-after    = 2",
        "a certificate that signs itself",
    ),
    (
        "c6-cross-certificate",
        "like         = \"new-root\"\n",
        "",
        "`like` is for cross-certificates",
    ),
    ("c4b-root-delegates", "http://ocsp", "https://ocsp", "is no absolute http URI"),
    (
        "c4b-root-delegates",
        "crl         = \"crl\"",
        "crl         = \"root\"",
        "crl = root is to name",
    ),
    (
        "c1-root-key",
        "file    = \"in/device.json\"",
        "file    = \"out/device.json\"",
        "out/device.json is to lie below in/",
    ),
    (
        "c1-root-key",
        "out       = \"out/exempeleidrootcav3.crl\"",
        "out       = \"out/exempeleidrootcav3.cer\"",
        "named twice",
    ),
    // What is destroyed.
    ("c7-key-destruction", "final-crl   = \"last-crl\"\n", "", "stand together, or neither does"),
    (
        "c7-key-destruction",
        "\"last-crl\"\nlegal",
        "\"function-ca\"\nlegal",
        "an input that holds a CRL",
    ),
    (
        "c7-key-destruction",
        "certificate = \"function-ca\"",
        "certificate = \"last-crl\"",
        "an input that holds a certificate",
    ),
    (
        "c7-key-destruction",
        "expect         = \"b11a85b296a90afc460430434a504e7acb04b064575b7277724688af0e59d189\"",
        "expect         = \"empty\"",
        "token issuing holds no key before",
    ),
    (
        "c7-key-destruction",
        "[[step]]\nid         = \"destroy\"",
        "[[step]]\nid         = \"twice\"\nop         = \"destroy\"\nrequires   = [\"administrator\", \"operator\", \"witness\", \"custodian:3\"]\nsignatures = 0\ntoken       = \"issuing\"\nkey         = \"8a6e3f788ac06e325a26440652264b905fe36d6cb26aece259b46aa1b05863bd\"\nlegal-basis = \"Another\"\ncopies      = []\n\n[[step]]\nid         = \"destroy\"",
        "token issuing is destroyed by an earlier step",
    ),
];

#[test]
fn every_mutant_is_refused_by_its_rule() {
    for (plan, from, to, wanted) in MUTANTS {
        let text = shipped(plan);
        assert!(text.contains(from), "{plan} has no {from:?}");

        let found = faults(&text.replacen(from, to, 1));

        assert!(found.iter().any(|fault| fault.contains(wanted)), "{plan}: {to:?}: {found:#?}");
    }
}

/// CER-02: a step that a kind does not have, and one that it must have.
#[test]
fn a_kind_has_its_own_operations() {
    let crl = shipped("c5-root-crl");
    let found =
        faults(&crl.replacen("kind        = \"root-crl\"", "kind        = \"root-delegates\"", 1));
    assert!(
        found.iter().any(|fault| fault == "no step does delegate, without which C4b is none"),
        "{found:#?}"
    );

    let found =
        faults(&crl.replacen("kind        = \"root-crl\"", "kind        = \"key-destruction\"", 1));
    assert!(found.iter().any(|fault| fault == "step crl: crl is no operation of C7"), "{found:#?}");
}

/// KEY-04, N2: people are counted, not keys and not names.
#[test]
fn a_key_is_one_persons() {
    let text = shipped("c1-root-key");
    let plan = Plan::read(text.as_bytes()).unwrap();
    let key = |id: &str| {
        plan.people.persons.iter().find(|one| one.id.as_str() == id).unwrap().keys[0].to_string()
    };
    let (anna, bo) = (key("anna-berg"), key("bo-lind"));

    let found = faults(&text.replace(&bo, &anna));
    assert!(
        found.iter().any(|fault| fault.starts_with("anna-berg and bo-lind have the same key")),
        "{found:#?}"
    );

    let second = text.replace(
        &format!("[\"{anna}\"]"),
        &format!("[\"{anna}\", \"{}\"]", Fingerprint::of(b"spare")),
    );
    assert_eq!(faults(&second), Vec::<String>::new());
}

/// CER-09: outside environment test every key of a CA has a second copy.
#[test]
fn a_key_has_a_second_copy() {
    let text = shipped("c1-root-key");
    let without = text.split("[[step]]\nid         = \"root-backup\"").next().unwrap();
    let found = faults(without);
    assert!(
        found.iter().any(|fault| fault.contains("no later step makes the backup")),
        "{found:#?}"
    );

    let none = without.replacen("backup     = \"device\"", "backup     = \"none\"", 1);
    let found = faults(&none);
    assert!(
        found.iter().any(|fault| fault.contains("backup = \"none\" is for environment test and")),
        "{found:#?}"
    );
}

#[test]
fn what_no_step_uses_is_refused() {
    let text = shipped("c1-root-key");
    let more = "[[input]]\nname = \"more\"\ncontent = \"crl\"\nfile = \"in/more.crl\"\nsha256 = \"00\"\nfrom = []\n";
    let more = more.replace("\"00\"", &format!("\"{}\"", Fingerprint::of(b"more")));

    assert_eq!(faults(&format!("{text}\n{more}")), ["input more is used by no step: take it out"]);
}

#[test]
fn all_faults_are_told_at_once() {
    let text = shipped("c1-root-key").replacen("gap = 1", "gap = 0", 1).replacen("180d", "400d", 1);

    assert_eq!(faults(&text).len(), 2);
}
