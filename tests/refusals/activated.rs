//! The configuration that two persons activate, against a server (CER-10): nobody activates one alone, and with one that nobody activated nothing is issued, while
//! revocation and publication go on.

use std::fs;
use std::process::Command;
use std::rc::Rc;

use serde_json::{Value, json};
use support::suite::Check;
use support::{program, spoken};

use crate::World;
use crate::home::{CONFIG, Home};
use crate::requests::{self, base64};
use crate::running::{Call, Running};
use crate::signed::refused;

pub const CHECKS: &[Check<World>] =
    &[("a_configuration_that_nobody_activated_issues_nothing", held)];

/// The lines that a command prints, or the one in which it is refused.
fn configuration(home: &Home, act: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program::built("sigill-ca"));
    command.args(["configuration", act, "--config"]).arg(home.path(CONFIG)).args(arguments);
    let said = spoken::run(&mut command, &[]);
    let out = String::from_utf8_lossy(&said.out).trim().to_owned();
    if said.code == 0 { Ok(out) } else { Err(said.text) }
}

/// A person's key, and its hash.
fn key(home: &Home, id: &str) -> String {
    let mut command = Command::new(program::built("sigill-ceremony"));
    command.args(["person", "make-key", "--out"]).arg(home.path(&format!("persons/{id}.key")));
    let said = spoken::run(&mut command, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    String::from_utf8_lossy(&said.out).trim().to_owned()
}

/// Signs for the configuration as it lies there; where the statement is.
fn approved(home: &Home, id: &str, after: &str) -> String {
    let hash = configuration(home, "hash", &[]).expect("a hash");
    let (key, out) =
        (home.path(&format!("persons/{id}.key")), home.path(&format!("persons/{id}.approval")));
    let (key, out) = (key.display().to_string(), out.display().to_string());
    let arguments =
        ["--sha256", &hash, "--after", after, "--person", id, "--key", &key, "--out", &out];
    configuration(home, "approve", &arguments).expect("a statement");
    out
}

fn activated(home: &Home, approvals: &[&str]) -> Result<String, String> {
    let arguments: Vec<_> = approvals.iter().flat_map(|file| ["--approval", file]).collect();
    configuration(home, "activate", &arguments)
}

fn status(home: &Home) -> Value {
    let said = configuration(home, "status", &["--json"]).expect("a status");
    serde_json::from_str(&said).expect("JSON")
}

fn function() -> Call {
    Call::order(&requests::function_ec(&base64(&requests::p256())))
}

fn ready(server: &Running) -> Value {
    let (status, text) = server.observed("/readyz");
    assert_eq!(status, 200, "{text}");
    serde_json::from_str::<Value>(&text).expect("JSON")["parts"]["configuration"].clone()
}

fn held(world: &World) {
    let home = world.template.copy();
    fs::create_dir(home.path("persons")).expect("a folder");
    home.mode("persons", 0o700);
    let [anna, bo, eva] = ["anna", "bo", "eva"].map(|id| key(&home, id));
    let person = |id: &str, role: &str, key: &str| {
        format!("[[activation.person]]\nid = \"{id}\"\nrole = \"{role}\"\nkeys = [\"{key}\"]\n")
    };
    let two =
        person("anna", "security-officer", &anna) + &person("bo", "system-administrator", &bo);
    let server = home.serve();
    let older = server.call(&function());
    assert_eq!(older.status, 201, "{older:?}");
    let home: Rc<Home> = server.stop();
    home.write(CONFIG, format!("{}\n[activation]\nrequired = true\n\n{two}", home.config()));

    // None was ever activated, as after an upgrade: who may revoke does, and nothing is issued.
    let server = Running::start(home);
    assert_eq!(ready(&server), json!(false));
    refused(&server.call(&function()), 503, "configuration-not-activated");
    let id = older.json["id"].as_str().expect("an id");
    let revoked = server.call(&Call::revocation(id, &json!({ "reason": "superseded" })));
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let home = server.stop();
    assert_eq!(status(&home)["activated"], Value::Null);

    let [by_anna, by_bo, by_eva] = ["anna", "bo", "eva"].map(|id| approved(&home, id, "none"));
    for (approvals, why) in [
        (vec![by_anna.as_str()], "no system-administrator has signed"),
        (vec![&by_anna, &by_anna], "two statements are those of a security-officer"),
        (vec![&by_anna, &by_eva], "\"eva\" is not one of those"),
    ] {
        let line = activated(&home, &approvals).expect_err("refused");
        assert!(line.contains("configuration-not-activated: ") && line.contains(why), "{line}");
    }
    let done = activated(&home, &[&by_anna, &by_bo]).expect("activated");
    assert!(done.contains("activated by anna and bo"), "{done}");
    let first = status(&home);
    assert_eq!((&first["holds"], &first["changes"]["changed"]), (&json!(true), &json!([])));
    let server = Running::start(home);
    assert_eq!(ready(&server), json!(true));
    let issued = server.call(&function());
    assert_eq!(issued.status, 201, "{issued:?}");

    // Somebody changes a limit, writes himself in, and lets a client revoke without end.
    let home = server.stop();
    let strangers =
        person("anna", "security-officer", &anna) + &person("eva", "system-administrator", &eva);
    home.edit_config(&two, &strangers);
    home.write(
        CONFIG,
        format!(
            "{}\n[[limit]]\nclient = \"*\"\nprofile = \"*\"\nper-hour = 100000\n",
            home.config()
        ),
    );
    let server = Running::start(home);
    assert_eq!(ready(&server), json!(false));
    refused(&server.call(&function()), 503, "configuration-not-activated");
    let id = issued.json["id"].as_str().expect("an id");
    let revoked = server.call(&Call::revocation(id, &json!({ "reason": "superseded" })));
    assert_eq!(revoked.status, 200, "{revoked:?}");
    assert_eq!(server.home.audited("configuration.not-activated").len(), 2);

    let home = server.stop();
    let now = status(&home);
    assert_eq!(now["changes"]["added"], json!(["limit"]), "{now}");
    assert_eq!(now["changes"]["changed"], json!(["activation"]), "{now}");
    let after = first["configuration"].as_str().expect("a hash");
    let [by_anna, by_eva] = ["anna", "eva"].map(|id| approved(&home, id, after));
    let line = activated(&home, &[&by_anna, &by_eva]).expect_err("refused");
    assert!(line.contains("\"eva\" is not one of those"), "{line}");
    let again = approved(&home, "bo", "none");
    let line = activated(&home, &[&by_anna, &again]).expect_err("refused");
    assert!(line.contains("person bo signed for after none"), "{line}");
    let other = configuration(
        &home,
        "approve",
        &["--sha256", after, "--after", "none", "--person", "bo", "--key", "x", "--out", "y"],
    );
    assert!(other.expect_err("refused").contains("configuration-differs: "));
    let by_bo = approved(&home, "bo", after);
    activated(&home, &[&by_anna, &by_bo]).expect("activated");
    let server = Running::start(home);
    let issued = server.call(&function());
    assert_eq!(issued.status, 201, "{issued:?}");
    assert_eq!(server.home.audited("configuration.activated").len(), 2);
}
