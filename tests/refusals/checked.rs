//! `sigill-ca check-config` refuses what `serve` would refuse for, as far as files can tell, and logs
//! in to no token.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use support::spoken;
use support::suite::Check;

use crate::World;
use crate::home::{CONFIG, Home, OCSP_CONFIG, Refused, value_of};
use crate::starts::{last_line, not_told};

pub const CHECKS: &[Check<World>] = &[
    ("check_config_refuses_what_serve_would_under_the_same_code", faults_are_seen),
    ("check_config_says_all_that_is_wrong_at_once", all_faults_are_said),
    ("a_day_of_expired_entries_that_has_passed_is_refused", a_passed_day_is_refused),
    ("check_config_of_the_responder_refuses_under_a_code", faults_of_the_responder_are_seen),
];

/// What is wrong, its code, how it is made, and what the refusal says.
type Fault = (&'static str, &'static str, fn(&Home), &'static [&'static str]);

/// Faults that `serve` tells of and starts with, because revoking goes on without what they concern.
const STARTS: [&str; 7] = [
    "a profile of before the policy table",
    "a token of the management CA that is not",
    "an algorithm that its profile does not allow",
    "an authority without its class",
    "an unknown profile",
    "no dated rules",
    "two trust levels of one authority",
];

const FAULTS: &[Fault] = &[
    ("no PIN", "secret-file-io", |home| remove(home, "pins/issuing.pin"), &["issuing.pin"]),
    (
        "mode of a PIN",
        "secret-file-mode",
        |home| home.mode("pins/issuing.pin", 0o644),
        &["issuing.pin", "0644"],
    ),
    (
        "mode of the PINs' folder",
        "secret-file-mode",
        |home| home.mode("pins", 0o755),
        &["pins", "0755"],
    ),
    (
        "two PINs",
        "pin-form",
        |home| home.write("pins/issuing.pin", "1234\n5678\n"),
        &["issuing.pin"],
    ),
    (
        "mode of the sealing keys",
        "secret-file-mode",
        |home| home.mode("keys/sealing.keys", 0o644),
        &["0644"],
    ),
    (
        "no sealing keys",
        "sealing-keys-missing",
        |home| remove(home, "keys/sealing.keys"),
        &["sealing.keys"],
    ),
    (
        "mode of a note key",
        "secret-file-mode",
        |home| home.mode("keys/note-audit.key", 0o644),
        &["note-audit.key"],
    ),
    (
        "mode of the server's key",
        "secret-file-mode",
        |home| home.mode("tls/server.key", 0o644),
        &["server.key"],
    ),
    ("health for everybody", "config-value", everybody, &["0.0.0.0", "loopback"]),
    (
        "a token that is not",
        "config-value",
        |home| home.edit_config("role = \"issuing\"", "role = \"other\""),
        &["issuing"],
    ),
    (
        "a stand-by that is not",
        "config-value",
        |home| stand_by(home, "token = \"issuing\"\nstandby = \"nowhere\""),
        &["nowhere", "not configured"],
    ),
    (
        "a token that stands by for itself",
        "config-value",
        |home| stand_by(home, "token = \"issuing\"\nstandby = [\"issuing\"]"),
        &["issuing", "twice"],
    ),
    (
        "two tokens of one role",
        "config-value",
        |home| {
            let again = "\n[[hsm.token]]\nrole = \"issuing\"\nserial = \"1\"\npin = \"../pins/issuing.pin\"\n";
            home.write(CONFIG, home.config() + again);
        },
        &["issuing", "two"],
    ),
    (
        "a stand-by for no token",
        "config-value",
        |home| stand_by(home, "standby = \"issuing\""),
        &["standby", "no token"],
    ),
    (
        "no module of a token's own",
        "hsm-module-unreadable",
        |home| {
            let own = "role = \"issuing\"\nmodule = \"/no/such-module.so\"";
            home.edit_config("role = \"issuing\"", own);
        },
        &["/no/such-module.so"],
    ),
    (
        "a role that is no name",
        "deployment-unknown",
        |home| home.edit_config("\"issuing\"", "\"Issuing!\""),
        &["Issuing!", "role"],
    ),
    (
        "a token of the management CA that is not",
        "config-value",
        |home| home.write(CONFIG, home.config() + "\n[management]\ntoken = \"nowhere\"\n"),
        &["[management]", "nowhere"],
    ),
    (
        "a serial number that is none",
        "config-value",
        |home| home.edit_config(&value_of(&home.config(), "serial"), ""),
        &["serial"],
    ),
    (
        "no device profile",
        "hsm-profile-unreadable",
        |home| home.edit_config("[hsm]\n", "[hsm]\nprofile = \"no-such.json\"\n"),
        &["no-such.json", "[hsm] profile"],
    ),
    (
        "a device profile that is none, of one token",
        "hsm-profile-form",
        |home| {
            home.write("config/device.json", "{\"format\": \"sigill-device-profile/9\"}");
            let own = "role = \"issuing\"\nprofile = \"device.json\"";
            home.edit_config("role = \"issuing\"", own);
        },
        &["device.json", "sigill-device-profile/9", "sigill-device-profile/1"],
    ),
    (
        "no module",
        "hsm-module-unreadable",
        |home| home.edit_config("pkcs11-spy.so", "no-such.so"),
        &["no-such.so"],
    ),
    (
        "no management CA",
        "tls-file-unreadable",
        |home| remove(home, &of_management(home)),
        &["management"],
    ),
    (
        "another management CA",
        "management-ca-pin",
        |home| {
            let other = home.read("tls/server.pem");
            home.write(&of_management(home), other);
        },
        &["SHA-256", "pins"],
    ),
    (
        "an unknown profile",
        "config-value",
        misspelt,
        &["profile funktion of client portal is in no file of", "profiles"],
    ),
    (
        "a profile of before the policy table",
        "profile-closed",
        |home| home.edit(PERSON, "from = \"table\"", "oid = \"1.3.6.1.4.1.32473.1.3.1\""),
        &["profile person-hsaid-3-authentication", "states another policy of its own"],
    ),
    (
        "no dated rules",
        "rules-missing",
        |home| fs::remove_dir_all(home.path("config/profiles/rules")).expect("removed"),
        &["no file of dated rules"],
    ),
    (
        "an authority without its class",
        "authority-class",
        |home| home.edit_config("class = \"person-hsaid-3\"\n", ""),
        &["is of class sigilltesteidpersonhsaid3cav1", "person-hsaid-3"],
    ),
    (
        "two trust levels of one authority",
        "authority-levels",
        |home| home.edit_config("\"person-hsaid-3-signature\"", "\"person-hsaid-2-signature\""),
        &["sigilltesteidpersonhsaid3cav1", "several trust levels"],
    ),
    (
        "a CA certificate missing",
        "authority-certificate",
        |home| remove(home, "ceremony/out/sigilltesteidfunctioncav1.cer"),
        &["sigilltesteidfunctioncav1.cer"],
    ),
    (
        "an algorithm that is not the key's",
        "authority-algorithm",
        |home| home.edit_config("rsa-pkcs1-sha512", "ecdsa-p256-sha256"),
        &["ecdsa-p256-sha256", "rsa-4096", "rsa-pss-sha256"],
    ),
    (
        "an algorithm that is none",
        "authority-algorithm",
        |home| home.edit_config("rsa-pkcs1-sha512", "rsa-pss"),
        &["\"rsa-pss\"", "rsa-pss-sha256"],
    ),
    (
        "an algorithm that its profile does not allow",
        "profile-signature",
        |home| home.edit_config("rsa-pkcs1-sha512", "rsa-pkcs1-sha384"),
        &["sigilltesteidfunctioncav1", "rsa-pkcs1-sha384", "profile function", "rsa-pkcs1-sha512"],
    ),
    (
        "an algorithm that the token's device does not sign",
        "authority-algorithm",
        |home| {
            home.write("config/device.json", WITHOUT_RSA);
            let own = "role = \"issuing\"\nprofile = \"device.json\"";
            home.edit_config("role = \"issuing\"", own);
        },
        &["rsa-pkcs1-sha512", "token issuing", "device profile"],
    ),
    (
        "another CA certificate",
        "authority-certificate-pin",
        |home| copy(home, "sigilltesteidpersonid2cav1.cer", "sigilltesteidfunctioncav1.cer"),
        &["sigilltesteidfunctioncav1.cer", "SHA-256"],
    ),
];

const PERSON: &str = "config/profiles/person-hsaid-3-authentication.toml";

/// The profile of a device that signs with EC keys only.
const WITHOUT_RSA: &str = r#"{
    "format": "sigill-device-profile/1", "probed-at": "2026-11-22T08:00:00Z", "program": "p",
    "module": {"path": "/m.so", "description": "M"},
    "token": {"label": "sg-td-ab12-spare", "serial": "1", "manufacturer": "M", "model": "M",
              "firmware": "1", "hardware": "1"},
    "quirks": {"key-types": ["ec-p256"], "ecdsa": "raw", "rsa-pkcs1": false, "pss": false,
               "ed25519": false, "max-sessions": null, "idle-seconds": null, "longest-message": null,
               "session-objects": true},
    "rows": [{"id": "HP-01", "title": "t", "expected": "e", "clause": "c", "verdict": "passed",
              "seen": "s"}]
}"#;

fn stand_by(home: &Home, lines: &str) {
    home.edit_config("token = \"issuing\"", lines);
}

const FAULTS_OF_THE_RESPONDER: &[Fault] = &[
    ("no PIN", "secret-file-io", |home| remove(home, "pins/responder.pin"), &["responder.pin"]),
    (
        "mode of the PIN",
        "secret-file-mode",
        |home| home.mode("pins/responder.pin", 0o644),
        &["responder.pin", "0644"],
    ),
    (
        "no device profile",
        "hsm-profile-unreadable",
        |home| home.edit(OCSP_CONFIG, "[hsm]\n", "[hsm]\nprofile = \"no-such.json\"\n"),
        &["no-such.json", "[hsm] profile"],
    ),
    (
        "no module",
        "hsm-module-unreadable",
        |home| home.edit(OCSP_CONFIG, "pkcs11-spy.so", "no-such.so"),
        &["no-such.so"],
    ),
    (
        "a relative module",
        "hsm-module-path",
        |home| {
            let module = value_of(&home.read(OCSP_CONFIG), "module");
            home.edit(OCSP_CONFIG, &module, "spy.so");
        },
        &["spy.so", "absolute"],
    ),
    (
        "no publication folder",
        "publication-unreadable",
        |home| fs::rename(home.path("publish"), home.beside("away")).expect("moved away"),
        &["publish"],
    ),
    ("no configuration", "config-unreadable", |home| remove(home, OCSP_CONFIG), &["ocsp.toml"]),
];

/// Of these `serve` says nothing at its start: it answers tryLater for the one CA.
const CA_OF_THE_RESPONDER: Fault = (
    "another CA certificate",
    "authority-certificate-pin",
    |home| {
        fs::create_dir_all(home.path("publish/aia")).expect("a folder");
        home.write("publish/aia/sigilltesteidfunctioncav1.cer", "another");
    },
    &["sigilltesteidfunctioncav1", "SHA-256"],
);

fn remove(home: &Home, name: &str) {
    fs::remove_file(home.path(name)).expect("removed");
}

fn copy(home: &Home, from: &str, to: &str) {
    let [from, to] = [from, to].map(|name| home.path(&format!("ceremony/out/{name}")));
    fs::copy(from, to).expect("a copy");
}

fn everybody(home: &Home) {
    home.edit_config(&home.observe.to_string(), "0.0.0.0:1");
}

/// The file of the management CA's certificate.
fn of_management(home: &Home) -> String {
    value_of(&home.config(), "management-ca").trim_start_matches("../").to_owned()
}

/// A client that may order what no file tells of.
fn misspelt(home: &Home) {
    let config = home.config();
    let (before, client) = config.split_once("[[client]]").expect("a client");
    let client = client.replacen("\"function\"", "\"funktion\"", 1);
    assert!(client.contains("funktion"), "{client}");
    home.write(CONFIG, format!("{before}[[client]]{client}"));
}

/// Promise 9: a fault has one code, whichever command meets it.
fn faults_are_seen(world: &World) {
    let good = world.template.copy();
    let said = spoken::run(&mut good.command("check-config", CONFIG), &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    let mut wrong = Vec::new();
    for fault in FAULTS {
        let home = world.template.copy();
        (fault.2)(&home);
        wrong.extend(checked(fault, &home, |home| home.command("check-config", CONFIG)));
        if !STARTS.contains(&fault.0) {
            wrong.extend(judged(fault, "serve", &home.serve_refused()));
        }
    }
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

/// An operator with an old home mends it in one round: each profile, each reason, and what else is wrong.
fn all_faults_are_said(world: &World) {
    let home = world.template.copy();
    everybody(&home);
    remove(&home, "pins/issuing.pin");
    remove(&home, "ceremony/out/sigilltesteidfunctioncav1.cer");
    for name in ["person-hsaid-3-authentication", "person-hsaid-3-signature"] {
        let oid = format!("oid = \"1.3.6.1.4.1.32473.1.3.{}\"", name.len());
        home.edit(&format!("config/profiles/{name}.toml"), "from = \"table\"", &oid);
    }
    home.edit_config("class = \"person-hsaid-3\"\n", "");

    let said = spoken::run(&mut home.command("check-config", CONFIG), &[]);

    let lines: Vec<_> = said.text.lines().filter(|line| line.starts_with("error: ")).collect();
    let told =
        |words: &[&str]| lines.iter().any(|line| words.iter().all(|word| line.contains(word)));
    for words in [
        &["config-value: ", "0.0.0.0"][..],
        &["secret-file-io: ", "issuing.pin"],
        &["authority-certificate: ", "sigilltesteidfunctioncav1.cer"],
        &["profile-closed: ", "profile person-hsaid-3-authentication", "another policy of its own"],
        &["profile-closed: ", "profile person-hsaid-3-signature", "another policy of its own"],
        &["authority-class: ", "sigilltesteidpersonhsaid3cav1", "person-hsaid-3-signature"],
    ] {
        assert!(told(words), "{words:?} is not in {lines:#?}");
    }
    let different: BTreeSet<_> = lines.iter().collect();
    assert_eq!(different.len(), lines.len(), "{lines:#?}");
    assert_eq!(said.code, 1);
}

/// CRL-10: the day from which on expired entries are kept begins after the last CRL, or it would end full CRLs.
fn a_passed_day_is_refused(world: &World) {
    let running = world.template.copy().serve();
    let (name, begun) = ("sigilltesteidpersonhsaid3cav1", Instant::now());
    while !running.home.path(&format!("publish/crl/{name}.crl")).exists() {
        assert!(begun.elapsed() < Duration::from_secs(120), "no CRL is made: {}", running.log());
        thread::sleep(Duration::from_millis(50));
    }
    let home = running.stop();
    let from = |day: &str| format!("class = \"person-hsaid-3\"\ncrl-keeps-expired-from = {day}\n");
    home.edit_config("class = \"person-hsaid-3\"\n", &from("2001-01-01"));

    let check = || spoken::run(&mut home.command("check-config", CONFIG), &[]);
    let said = check();
    let refused = Refused { code: Some(said.code), text: said.text };
    for refused in [refused, home.serve_refused()] {
        assert_eq!(not_told(&refused, "crl-expired-day"), None, "{}", refused.text);
        for word in [name, "crl-keeps-expired-from", "or later", "next: write tomorrow"] {
            assert!(refused.text.contains(word), "{word}: {}", refused.text);
        }
    }
    home.edit_config(&from("2001-01-01"), &from("2999-01-01"));
    let said = check();
    assert_eq!(said.code, 0, "{}", said.text);
}

fn faults_of_the_responder_are_seen(world: &World) {
    let check = |home: &Home| home.ocsp_command("check-config");
    let good = world.template.copy();
    let said = spoken::run(&mut check(&good), &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    let mut wrong = Vec::new();
    for fault in FAULTS_OF_THE_RESPONDER {
        let home = world.template.copy();
        (fault.2)(&home);
        wrong.extend(checked(fault, &home, check));
        wrong.extend(judged(fault, "serve", &home.ocsp_refused()));
    }
    let home = world.template.copy();
    (CA_OF_THE_RESPONDER.2)(&home);
    wrong.extend(checked(&CA_OF_THE_RESPONDER, &home, check));
    assert!(wrong.is_empty(), "{} wrong: {wrong:#?}", wrong.len());
}

/// Runs `check-config`, which opens no token.
fn checked(fault: &Fault, home: &Home, command: impl Fn(&Home) -> Command) -> Vec<String> {
    let said = spoken::run(&mut command(home), &[]);
    let mut wrong =
        judged(fault, "check-config", &Refused { code: Some(said.code), text: said.text });
    if home.spy_log().exists() {
        wrong.push(format!("{}: check-config called the module", fault.0));
    }
    wrong
}

fn judged((fault, code, _, says): &Fault, by: &str, refused: &Refused) -> Vec<String> {
    println!("{fault}: {by}: {}", last_line(&refused.text));
    let mut wrong = Vec::from_iter(not_told(refused, code));
    if refused.code.is_none_or(|code| code == 0) {
        wrong.push(format!("ended with {:?}", refused.code));
    }
    let missing = says.iter().filter(|word| !refused.text.contains(*word));
    wrong.extend(missing.map(|word| format!("does not say {word}")));
    wrong.into_iter().map(|what| format!("{fault}: {by}: {what}")).collect()
}
