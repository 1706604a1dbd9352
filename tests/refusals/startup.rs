//! Starts that must be refused: one row a fault, each part of a deployment swapped in each place
//! where it stands (promise 8).
//!
//! A refused start ends by itself with an exit code above 0, names both values or the file, and
//! leaves rows, logs, published files, configuration and keys as they were. No key signs, and a
//! token is logged in to only where the fault lies in the token itself.

use std::fs;

use support::suite::Check;

use crate::World;
use crate::database::{self, Lock};
use crate::forged;
use crate::home::{Home, free_address, value_of};
use crate::management::Leaf;
use crate::spy::TokenCalls;
use crate::state::State;

pub const CHECKS: &[Check<World>] = &[
    ("refuses_a_configuration_that_does_not_fit", configurations_are_refused),
    ("refuses_each_part_of_another_deployment_in_each_place", other_deployments_are_refused),
    ("refuses_files_of_others", files_are_refused),
    ("refuses_tokens_that_are_not_the_named_ones", tokens_are_refused),
    ("refuses_outputs_of_another_ceremony", imports_are_refused),
    ("a_second_copy_is_refused", second_copies_are_refused),
];

/// A fault, and what the refusal must say besides.
struct Row {
    fault: String,
    make: Box<dyn Fn(&Home)>,
    says: Vec<String>,
    logins: usize,
}

fn row(fault: &str, make: impl Fn(&Home) + 'static, says: &[&str]) -> Row {
    Row {
        fault: fault.to_owned(),
        make: Box::new(make),
        says: says.iter().map(|word| (*word).to_owned()).collect(),
        logins: 0,
    }
}

fn judge(world: &World, rows: &[Row]) {
    let mut wrong = Vec::new();
    for row in rows {
        let home = world.template.copy();
        (row.make)(&home);
        let before = State::readable(&home);
        let refused = home.serve_refused();
        let mut calls = before.calls;
        calls.logins += row.logins;
        let before = State { calls, ..before };
        println!("{}: {}", row.fault, last_line(&refused.text));
        if refused.code.is_none_or(|code| code == 0) {
            wrong.push(format!("{}: ended with {:?}: {}", row.fault, refused.code, refused.text));
        }
        let missing: Vec<_> =
            row.says.iter().filter(|word| !refused.text.contains(*word)).collect();
        if !missing.is_empty() {
            wrong.push(format!("{}: does not say {missing:?}: {}", row.fault, refused.text));
        }
        let difference = before.difference(&State::readable(&home));
        if !difference.is_empty() {
            wrong.push(format!("{}: {difference}", row.fault));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), rows.len(), wrong.join("\n"));
}

pub fn last_line(text: &str) -> &str {
    text.lines().rev().find(|line| line.starts_with("error:")).unwrap_or_default()
}

/// ENV-01: unknown keys by line, values outside their table, files that are not there.
fn configurations_are_refused(world: &World) {
    let edit = |from: &'static str, to: &'static str| move |home: &Home| home.edit_config(from, to);
    let twice = |home: &Home| {
        let config = home.config();
        let (_, clients) = config.split_at(config.find("[[client]]").expect("clients"));
        home.write("config/ca.toml", format!("{config}\n{clients}"));
    };
    let line = position(&world.template.config(), "[api]") + 1;
    judge(
        world,
        &[
            row(
                "an unknown key",
                edit("[api]\n", "[api]\ntypo = 1\n"),
                &["typo", &format!("line {line}"), "ca.toml"],
            ),
            row(
                "an unknown section",
                edit("[api]\n", "[apis]\nx = 1\n[api]\n"),
                &["apis", "ca.toml"],
            ),
            row("a missing section", edit("[observe]", "[[client]]"), &["ca.toml"]),
            row("no TOML", edit("[api]", "[api"), &["line", "ca.toml"]),
            row(
                "no configuration",
                |home| fs::remove_file(home.path("config/ca.toml")).expect("removed"),
                &["ca.toml"],
            ),
            row(
                "health for everybody",
                |home| home.edit_config(&home.observe.to_string(), "0.0.0.0:1"),
                &["0.0.0.0", "loopback"],
            ),
            row(
                "an instance in capitals",
                |home| home.edit_config(&format!("\"{}\"", home.instance), "\"ABCD\""),
                &["ABCD"],
            ),
            row(
                "a PKI of another environment",
                edit("pki = \"demo\"", "pki = \"prod\""),
                &["test", "prod"],
            ),
            row(
                "an environment that is not",
                edit("environment = \"test\"", "environment = \"dev\""),
                &["dev"],
            ),
            row(
                "software note keys in production",
                |home| {
                    home.edit_config("environment = \"test\"", "environment = \"prod\"");
                    home.edit_config("pki = \"demo\"", "pki = \"prod\"");
                    Leaf::server(&format!("urn:sigill:prod:prod:{}:server:ca1", home.instance))
                        .make(home);
                },
                &["software note keys", "prod"],
            ),
            row("a client twice", twice, &["client portal", "twice"]),
            row(
                "an unreadable client key",
                |home| {
                    let spki = value_of(&home.config(), "spki-sha256");
                    home.edit_config(&spki, "xyz");
                },
                &["client portal"],
            ),
            row(
                "an authority of a token that is not",
                |home| {
                    home.edit_config("role = \"issuing\"", "role = \"other\"");
                },
                &["other"],
            ),
            row(
                "another signature algorithm",
                edit("rsa-pkcs1-sha512", "ecdsa-p256-sha256"),
                &["authority", "ecdsa-p256-sha256"],
            ),
            row(
                "a signature algorithm that is not",
                edit("rsa-pkcs1-sha512", "rsa-pkcs1-sha1"),
                &["authority"],
            ),
            row(
                "a broken profile",
                |home| home.edit("config/profiles/function.toml", "[key]", "[kee]"),
                &["function.toml", "kee"],
            ),
            row(
                "an authority twice",
                |home| {
                    home.edit_config(
                        "name = \"sigilltesteidpersonid3cav1\"",
                        "name = \"sigilltesteidpersonid2cav1\"",
                    );
                },
                &["sigilltesteidpersonid2cav1"],
            ),
        ],
    );
}

fn position(text: &str, wanted: &str) -> usize {
    1 + text.lines().position(|line| line == wanted).expect("the line is there")
}

/// ENV-01, promise 8: environment, PKI and instance, each in configuration, note keys, database,
/// published logs, CRL manifest, token label and server certificate.
fn other_deployments_are_refused(world: &World) {
    let ours = world.template.instance.clone();
    let here = format!("test/demo/{ours}");
    let others = [
        ("instance", "test", "demo", "zzzz".to_owned(), "td"),
        ("PKI", "test", "systemtest", ours.clone(), "ts"),
        ("environment", "qa", "test", ours, "qt"),
    ];
    let mut rows = Vec::new();
    for (part, environment, pki, instance, code) in others {
        let name = format!("{environment}/{pki}/{instance}");
        let (e, p, i) = (environment.to_owned(), pki.to_owned(), instance.clone());
        rows.push(row(
            &format!("{part} of the configuration"),
            move |home| {
                home.edit_config("environment = \"test\"", &format!("environment = \"{e}\""));
                home.edit_config("pki = \"demo\"", &format!("pki = \"{p}\""));
                home.edit_config(&format!("\"{}\"", home.instance), &format!("\"{i}\""));
            },
            // The server's certificate is the first that is compared.
            &[if environment == "qa" { "qa" } else { &name }, "test"],
        ));
        for file in ["note-status.key", "note-audit.key", "note-manifest.key"] {
            let (from, to) = (here.clone(), name.clone());
            rows.push(row(
                &format!("{part} of {file}"),
                move |home| home.edit(&format!("keys/{file}"), &from, &to),
                &[&here, &name, file],
            ));
        }
        let (e, p, i) = (environment.to_owned(), pki.to_owned(), instance.clone());
        rows.push(row(
            &format!("{part} of the database"),
            move |home| {
                database::rename(&home.path("state/ca.sqlite"), &e, &p, &i);
            },
            &[&here, &name, "ca.sqlite"],
        ));
        for (log, file) in [("status", "publish/checkpoint"), ("audit", "audit/checkpoint")] {
            let origin = format!("sigill/{name}/{log}/1");
            let own = format!("sigill/{here}/{log}/1");
            let (made, key) = (origin.clone(), format!("keys/note-{log}.key"));
            rows.push(row(
                &format!("{part} of the published {log} log"),
                move |home| forged::checkpoint(home, &key, &made, file),
                &[&own, &origin, file],
            ));
        }
        let other = name.clone();
        rows.push(row(
            &format!("{part} of the CRL manifest"),
            move |home| forged::manifest(home, "keys/note-manifest.key", &other),
            &[&here, &name, "crl/manifest"],
        ));
        let label = format!("sg-{code}-{instance}-issuing");
        let wanted = format!("sg-td-{}-issuing", world.template.instance);
        let made = label.clone();
        rows.push(row(
            &format!("{part} of the token's label"),
            move |home| forged::token(home, &made),
            &[&wanted, &label],
        ));
        let uri = format!("urn:sigill:{environment}:{pki}:{instance}:server:ca1");
        rows.push(row(
            &format!("{part} of the server's certificate"),
            move |home| Leaf::server(&uri).make(home),
            &[&here, &name, "server.pem"],
        ));
    }
    judge(world, &rows);
}

/// KEY-02, PRO-13: pins of certificates, modes of secrets, files that are another's or none.
fn files_are_refused(world: &World) {
    let copy = |from: &'static str, to: &'static str| {
        move |home: &Home| {
            fs::copy(home.path(from), home.path(to)).expect("a copy");
        }
    };
    let remove =
        |name: &'static str| move |home: &Home| fs::remove_file(home.path(name)).expect("removed");
    let mode = |name: &'static str, mode: u32| move |home: &Home| home.mode(name, mode);
    let wide = |name: &'static str| {
        let file = name.rsplit('/').next().expect("a name");
        row(&format!("mode 0644 of {name}"), mode(name, 0o644), &[file, "0644", "0600"])
    };
    let management = value_of(&world.template.config(), "management-ca-sha256");
    let function = "ceremony/out/sigilltesteidfunctioncav1.cer";
    let person = "ceremony/out/sigilltesteidpersonid2cav1.cer";
    let pinned = pin_of(&world.template.config(), "sigilltesteidfunctioncav1");
    let found = pin_of(&world.template.config(), "sigilltesteidpersonid2cav1");
    judge(
        world,
        &[
            row(
                "another management CA",
                copy("tls/stranger-ca.pem", "tls/management-ca.pem"),
                &["management-ca.pem", &management],
            ),
            row(
                "another CA certificate",
                copy(person, function),
                &["sigilltesteidfunctioncav1.cer", &pinned, &found],
            ),
            row("a CA certificate missing", remove(function), &["sigilltesteidfunctioncav1.cer"]),
            row(
                "a client's certificate for the server",
                copy("tls/portal.pem", "tls/server.pem"),
                &["server.pem", "client:portal"],
            ),
            row(
                "another key for the server",
                copy("tls/portal.key", "tls/server.key"),
                &["server.key"],
            ),
            wide("tls/server.key"),
            wide("keys/note-status.key"),
            wide("keys/sealing.keys"),
            wide("pins/issuing.pin"),
            row("mode 0755 of the PINs' folder", mode("pins", 0o755), &["pins", "0755", "0700"]),
            row("mode 0755 of the keys' folder", mode("keys", 0o755), &["keys", "0755", "0700"]),
            row("mode 0777 of the state's folder", mode("state", 0o777), &["state", "0777"]),
            row("no PIN", remove("pins/issuing.pin"), &["issuing.pin"]),
            row(
                "two PINs in the file",
                |home| home.write("pins/issuing.pin", "12345678\n87654321\n"),
                &["issuing.pin"],
            ),
            row(
                "one note key for two",
                copy("keys/note-status.key", "keys/note-audit.key"),
                &["[notes]", "twice"],
            ),
            row("no note key", remove("keys/note-audit.key"), &["note-audit.key"]),
            row("no database", remove("state/ca.sqlite"), &["ca.sqlite"]),
            row(
                "a text for a database",
                |home| home.write("state/ca.sqlite", "x".repeat(8192)),
                &["ca.sqlite"],
            ),
            row("no sealing keys", remove("keys/sealing.keys"), &["sealing.keys"]),
            row(
                "other sealing keys",
                |home| {
                    let text = home.read("keys/sealing.keys");
                    home.write("keys/sealing.keys", other_digits(&text));
                },
                &["sealing keys"],
            ),
            row(
                "a checkpoint by another key",
                |home| {
                    let origin = format!("sigill/test/demo/{}/status/1", home.instance);
                    forged::checkpoint(home, "keys/note-audit.key", &origin, "publish/checkpoint");
                },
                &["publish/checkpoint", "does not verify"],
            ),
            row(
                "a text for a checkpoint",
                |home| home.write("publish/checkpoint", "hello\n"),
                &["publish/checkpoint"],
            ),
            row(
                "a manifest by another key",
                |home| {
                    forged::manifest(
                        home,
                        "keys/note-audit.key",
                        &format!("test/demo/{}", home.instance),
                    );
                },
                &["crl/manifest"],
            ),
            row(
                "a text for a manifest",
                |home| home.write("publish/crl/manifest", "hello\n"),
                &["crl/manifest"],
            ),
        ],
    );
}

/// The pin of an authority in a configuration.
fn pin_of(config: &str, authority: &str) -> String {
    let (_, rest) = config.split_once(&format!("name = \"{authority}\"")).expect("the authority");
    value_of(rest, "sha256")
}

/// Every hexadecimal digit of the last line another.
fn other_digits(text: &str) -> String {
    let at = text.trim_end().rfind('\n').map_or(0, |at| at + 1);
    let (before, last) = text.split_at(at);
    let turned = last.chars().map(|c| match c {
        '0' => '1',
        'a'..='f' | '1'..='9' => '0',
        other => other,
    });
    format!("{before}{}", turned.collect::<String>())
}

/// KEY-02, KEY-09: a wrong PIN is tried once through three starts; tokens by label and serial.
fn tokens_are_refused(world: &World) {
    judge(
        world,
        &[
            row(
                "token missing",
                |home| {
                    fs::remove_dir_all(home.path("tokens"))
                        .and_then(|()| fs::create_dir(home.path("tokens")))
                        .expect("emptied")
                },
                &["sg-td-", "-issuing"],
            ),
            row(
                "another serial number",
                |home| {
                    let config = home.config();
                    let (_, token) = config.split_once("[[hsm.token]]").expect("a token");
                    home.edit_config(&value_of(token, "serial"), "0123456789abcdef");
                },
                &["0123456789abcdef"],
            ),
            row(
                "no module",
                |home| home.edit_config("pkcs11-spy.so", "no-such.so"),
                &["no-such.so"],
            ),
            row(
                "a module that is none",
                |home| {
                    home.edit_config("/usr/lib/x86_64-linux-gnu/pkcs11-spy.so", "/bin/true");
                },
                &["/bin/true"],
            ),
            Row {
                logins: 1,
                ..row(
                    "a token without the keys",
                    |home| {
                        let label = format!("sg-td-{}-issuing", home.instance);
                        forged::token(home, &label);
                    },
                    &["key of authority"],
                )
            },
        ],
    );
    let home = world.template.copy();
    let right = home.read("pins/issuing.pin");
    home.write("pins/issuing.pin", "this PIN is wrong\n");
    let before = State::of(&home);
    for start in 1..=3 {
        let refused = home.serve_refused();
        assert!(refused.code.is_some_and(|code| code != 0), "start {start}: {}", refused.text);
        for word in ["PIN", &format!("sg-td-{}-issuing", home.instance)] {
            assert!(
                refused.text.contains(word),
                "start {start} does not say {word}: {}",
                refused.text
            );
        }
        assert!(!refused.text.contains("this PIN is wrong"), "{}", refused.text);
        println!("wrong PIN, start {start}: {}", last_line(&refused.text));
        assert_eq!(TokenCalls::of(&home).logins, 1, "start {start}");
    }
    let after = State::of(&home);
    assert_eq!(after.calls.signatures, before.calls.signatures);
    assert_eq!(State { calls: before.calls, ..after }.difference(&before), "");
    // Another PIN is another try, and the right one heals.
    home.write("pins/issuing.pin", right);
    let server = home.serve();
    assert_eq!(TokenCalls::of(&server.home).logins, 2, "the right PIN is tried once");
}

/// ENV-01: outputs of another deployment, or not those of the manifest.
fn imports_are_refused(world: &World) {
    let outputs = "ceremony/out/outputs.json";
    let edit = |from: String, to: &'static str| move |home: &Home| home.edit(outputs, &from, to);
    let quoted = |text: &str| format!("\"{text}\"");
    let ours = format!("test/demo/{}", world.template.instance);
    let fails = |row: &Row| {
        let home = world.template.copy();
        (row.make)(&home);
        let before = State::of(&home);
        let refused = home.import();
        println!("{}: {}", row.fault, last_line(&refused.text));
        assert!(refused.code.is_some_and(|code| code != 0), "{}: {}", row.fault, refused.text);
        for word in &row.says {
            assert!(refused.text.contains(word), "{}: no {word}: {}", row.fault, refused.text);
        }
        assert_eq!(before.difference(&State::of(&home)), "", "{}", row.fault);
    };
    for row in [
        row(
            "instance",
            edit(quoted(&world.template.instance), "\"zzzz\""),
            &[&ours, "test/demo/zzzz", "outputs.json"],
        ),
        row(
            "PKI",
            edit(quoted("demo"), "\"systemtest\""),
            &[&ours, "test/systemtest", "outputs.json"],
        ),
        row(
            "environment",
            |home| {
                home.edit(outputs, "\"test\"", "\"qa\"");
                home.edit(outputs, "\"demo\"", "\"test\"");
            },
            &[&ours, "qa/test", "outputs.json"],
        ),
        row("format", edit("outputs/1".to_owned(), "outputs/9"), &["outputs/9", "outputs.json"]),
        row(
            "unknown field",
            edit("\"format\"".to_owned(), "\"x\": 1, \"format\""),
            &["outputs.json"],
        ),
        row(
            "certificate",
            |home| {
                let folder = home.path("ceremony/out");
                fs::copy(
                    folder.join("sigilltesteidpersonid2cav1.cer"),
                    folder.join("sigilltesteidpersonid3cav1.cer"),
                )
                .expect("a copy");
            },
            &["sigilltesteidpersonid3cav1.cer", "SHA-256"],
        ),
        row(
            "CRL",
            |home| home.write("ceremony/out/sigilltesteidrootcav1.crl", "x"),
            &["sigilltesteidrootcav1.crl"],
        ),
        row(
            "missing",
            |home| fs::remove_file(home.path(outputs)).expect("removed"),
            &["outputs.json"],
        ),
    ] {
        fails(&row);
    }
}

/// Ports and database belong to one program at a time.
fn second_copies_are_refused(world: &World) {
    let running = &world.server.home;
    let api = running.api.to_string();
    let observe = running.observe.to_string();
    judge(
        world,
        &[
            row(
                "the API's port",
                {
                    let api = api.clone();
                    move |home| home.edit_config(&home.api.to_string(), &api)
                },
                &[&api, "another copy"],
            ),
            row(
                "the port of health",
                {
                    let observe = observe.clone();
                    move |home| home.edit_config(&home.observe.to_string(), &observe)
                },
                &[&observe, "another copy"],
            ),
        ],
    );
    let before = State::of(running);
    let config = running.config();
    let moved = config
        .replace(&api, &free_address().to_string())
        .replace(&observe, &free_address().to_string());
    running.write("config/second.toml", moved);
    let refused = running.serve_refused_by("config/second.toml");
    fs::remove_file(running.path("config/second.toml")).expect("removed");
    println!("the database: {}", last_line(&refused.text));
    assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.text);
    assert!(refused.text.contains("ca.sqlite"), "{}", refused.text);
    assert!(refused.text.contains("in use by another program"), "{}", refused.text);
    assert_eq!(before.difference(&State::of(running)), "");

    let home = world.template.copy();
    let lock = Lock::take(&home.path("state/ca.sqlite"));
    let refused = home.serve_refused();
    println!("the database, locked: {}", last_line(&refused.text));
    assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.text);
    assert!(refused.text.contains("locked by another process"), "{}", refused.text);
    assert_eq!(TokenCalls::of(&home).signatures, 0);
    drop(lock);
    drop(home.serve());
}
