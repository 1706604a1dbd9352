//! `sigill-ca check-config` refuses what `serve` would refuse for, as far as files can tell, and logs
//! in to no token.

use std::fs;

use support::spoken;
use support::suite::Check;

use crate::World;
use crate::home::{CONFIG, Home};

pub const CHECKS: &[Check<World>] = &[
    ("check_config_refuses_what_serve_would", faults_are_seen),
    ("serve_refuses_a_profile_that_is_in_no_file", unknown_profiles_are_refused),
];

type Fault = (&'static str, fn(&Home), &'static [&'static str]);

const FAULTS: &[Fault] = &[
    ("no PIN", |home| remove(home, "pins/issuing.pin"), &["issuing.pin"]),
    ("mode of a PIN", |home| home.mode("pins/issuing.pin", 0o644), &["issuing.pin", "0644"]),
    ("mode of the PINs' folder", |home| home.mode("pins", 0o755), &["pins", "0755"]),
    ("two PINs", |home| home.write("pins/issuing.pin", "1234\n5678\n"), &["issuing.pin"]),
    ("mode of the sealing keys", |home| home.mode("keys/sealing.keys", 0o644), &["0644"]),
    ("no sealing keys", |home| remove(home, "keys/sealing.keys"), &["sealing.keys"]),
    ("mode of a note key", |home| home.mode("keys/note-audit.key", 0o644), &["note-audit.key"]),
    ("mode of the server's key", |home| home.mode("tls/server.key", 0o644), &["server.key"]),
    ("health for everybody", everybody, &["0.0.0.0", "loopback"]),
    ("a token that is not", |home| home.edit_config("role = \"issuing\"", OTHER), &["issuing"]),
    ("an unknown profile", misspelt, MISSPELT),
    (
        "a CA certificate missing",
        |home| remove(home, "ceremony/out/sigilltesteidfunctioncav1.cer"),
        &["sigilltesteidfunctioncav1.cer"],
    ),
    (
        "another CA certificate",
        |home| copy(home, "sigilltesteidpersonid2cav1.cer", "sigilltesteidfunctioncav1.cer"),
        &["sigilltesteidfunctioncav1.cer", "SHA-256"],
    ),
];

const OTHER: &str = "role = \"other\"";
const MISSPELT: &[&str] = &["profile funktion of client portal is in no file of", "profiles"];

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

/// A client that may order what no file tells of.
fn misspelt(home: &Home) {
    let config = home.config();
    let (before, client) = config.split_once("[[client]]").expect("a client");
    let client = client.replacen("\"function\"", "\"funktion\"", 1);
    assert!(client.contains("funktion"), "{client}");
    home.write(CONFIG, format!("{before}[[client]]{client}"));
}

fn faults_are_seen(world: &World) {
    let good = world.template.copy();
    let said = spoken::run(&mut good.command("check-config", CONFIG), &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    let mut wrong = Vec::new();
    for (fault, make, says) in FAULTS {
        let home = world.template.copy();
        make(&home);
        let said = spoken::run(&mut home.command("check-config", CONFIG), &[]);
        println!("{fault}: {}", said.text.trim());
        let missing: Vec<_> = says.iter().filter(|word| !said.text.contains(*word)).collect();
        if said.code != 1 || !missing.is_empty() || home.spy_log().exists() {
            wrong.push(format!("{fault}: ended with {}, lacks {missing:?}", said.code));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), FAULTS.len());
}

/// A name that is written wrongly is no name of nothing.
fn unknown_profiles_are_refused(world: &World) {
    let home = world.template.copy();
    misspelt(&home);

    let refused = home.serve_refused();

    assert!(refused.code.is_some_and(|code| code != 0), "{:?} {}", refused.code, refused.text);
    assert!(MISSPELT.iter().all(|word| refused.text.contains(word)), "{}", refused.text);
}
