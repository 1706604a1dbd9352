//! Starts of `sigill-ca` that must be refused: one row a fault, each part of a deployment swapped in
//! each place where it stands (promise 8).

use std::fs;

use support::suite::Check;

use crate::World;
use crate::database;
use crate::forged;
use crate::home::{Home, value_of};
use crate::management::Leaf;
use crate::starts::{judge, row};

pub const CHECKS: &[Check<World>] = &[
    ("refuses_a_configuration_that_does_not_fit", configurations_are_refused),
    ("refuses_each_part_of_another_deployment_in_each_place", other_deployments_are_refused),
    ("refuses_files_of_others", files_are_refused),
];

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
                "config-malformed",
                edit("[api]\n", "[api]\ntypo = 1\n"),
                &["typo", &format!("line {line}"), "ca.toml"],
            ),
            row(
                "an unknown section",
                "config-malformed",
                edit("[api]\n", "[apis]\nx = 1\n[api]\n"),
                &["apis", "ca.toml"],
            ),
            row(
                "a missing section",
                "config-malformed",
                edit("[observe]", "[[client]]"),
                &["ca.toml"],
            ),
            row("no TOML", "config-malformed", edit("[api]", "[api"), &["line", "ca.toml"]),
            row(
                "no configuration",
                "config-unreadable",
                |home| fs::remove_file(home.path("config/ca.toml")).expect("removed"),
                &["ca.toml"],
            ),
            row(
                "health for everybody",
                "config-value",
                |home| home.edit_config(&home.observe.to_string(), "0.0.0.0:1"),
                &["0.0.0.0", "loopback"],
            ),
            row(
                "an instance in capitals",
                "deployment-unknown",
                |home| home.edit_config(&format!("\"{}\"", home.instance), "\"ABCD\""),
                &["ABCD"],
            ),
            row(
                "a PKI of another environment",
                "deployment-unknown",
                edit("pki = \"demo\"", "pki = \"prod\""),
                &["test", "prod"],
            ),
            row(
                "an environment that is not",
                "deployment-unknown",
                edit("environment = \"test\"", "environment = \"dev\""),
                &["dev"],
            ),
            row(
                "software note keys in production",
                "note-key-environment",
                |home| {
                    home.edit_config("environment = \"test\"", "environment = \"prod\"");
                    home.edit_config("pki = \"demo\"", "pki = \"prod\"");
                    Leaf::server(&format!("urn:sigill:prod:prod:{}:server:ca1", home.instance))
                        .make(home);
                },
                &["software note keys", "prod"],
            ),
            row(
                "a test domain that is none",
                "config-value",
                edit("[observe]", "[identity]\ntest-mail-domains = [\"se\"]\n\n[observe]"),
                &["test-mail-domains", "se"],
            ),
            row("a client twice", "config-value", twice, &["client portal", "twice"]),
            row(
                "an unreadable client key",
                "config-value",
                |home| {
                    let spki = value_of(&home.config(), "spki-sha256");
                    home.edit_config(&spki, "xyz");
                },
                &["client portal"],
            ),
            row(
                "an authority of a token that is not",
                "config-value",
                edit("role = \"issuing\"", "role = \"other\""),
                &["issuing", "not configured"],
            ),
            row(
                "another signature algorithm",
                "authority-algorithm",
                edit("rsa-pkcs1-sha512", "ecdsa-p256-sha256"),
                &["authority", "ecdsa-p256-sha256"],
            ),
            row(
                "a signature algorithm that is not",
                "authority-algorithm",
                edit("rsa-pkcs1-sha512", "rsa-pkcs1-sha1"),
                &["authority"],
            ),
            row(
                "an algorithm policy that is not there",
                "algorithm-policy-unreadable",
                |home| names_policy(home, "none.toml"),
                &["none.toml"],
            ),
            row(
                "a broken algorithm policy",
                "algorithm-policy-malformed",
                |home| policy(home, "purpose", "purposes"),
                &["policy.toml", "purposes"],
            ),
            row(
                "an algorithm that the policy does not have",
                "algorithm-not-allowed",
                |home| policy(home, "rsa-pss-sha256", "rsa-pss-sha384"),
                &[
                    "authority sigilltesteid",
                    "keys of purpose issuing that sign with",
                    "not allowed",
                ],
            ),
            row(
                "an authority that ends before it begins",
                "config-value",
                |home| {
                    let name = "name = \"sigilltesteidpersonid2cav1\"";
                    let days = "issue-from = 2027-01-02\nissue-until = 2027-01-01";
                    home.edit_config(name, &format!("{name}\n{days}"));
                },
                &["sigilltesteidpersonid2cav1", "2027-01-01 is before issue-from = 2027-01-02"],
            ),
            row(
                "a broken profile",
                "profile-malformed",
                |home| home.edit("config/profiles/function.toml", "[key]", "[kee]"),
                &["function.toml", "kee"],
            ),
            row(
                "an authority twice",
                "config-value",
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

/// KEY-11: a policy of the home's own, which does not allow how the demo signs, with `to` for `from`.
fn policy(home: &Home, from: &str, to: &str) {
    let text = "version = 1\n[[allow]]\npurpose = \"issuing\"\nkey = \"rsa-4096\"\n\
                signatures = [\"rsa-pkcs1-sha256\", \"rsa-pss-sha256\"]\nfrom = 2020-01-01\n";
    home.write("config/policy.toml", text.replacen(from, to, 1));
    names_policy(home, "policy.toml");
}

fn names_policy(home: &Home, file: &str) {
    let profiles = "profiles = \"profiles\"";
    home.edit_config(profiles, &format!("algorithm-policy = \"{file}\"\n{profiles}"));
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
            "deployment-mismatch",
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
                "note-key-deployment",
                move |home| home.edit(&format!("keys/{file}"), &from, &to),
                &[&here, &name, file],
            ));
        }
        let (e, p, i) = (environment.to_owned(), pki.to_owned(), instance.clone());
        rows.push(row(
            &format!("{part} of the database"),
            "deployment-mismatch",
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
                "deployment-mismatch",
                move |home| forged::checkpoint(home, &key, &made, file),
                &[&own, &origin, file],
            ));
        }
        let other = name.clone();
        rows.push(row(
            &format!("{part} of the CRL manifest"),
            "deployment-mismatch",
            move |home| forged::manifest(home, "keys/note-manifest.key", &other),
            &[&here, &name, "crl/manifest"],
        ));
        let label = format!("sg-{code}-{instance}-issuing");
        let wanted = format!("sg-td-{}-issuing", world.template.instance);
        let made = label.clone();
        rows.push(row(
            &format!("{part} of the token's label"),
            "hsm-token-label-mismatch",
            move |home| forged::token(home, &made),
            &[&wanted, &label],
        ));
        let uri = format!("urn:sigill:{environment}:{pki}:{instance}:server:ca1");
        rows.push(row(
            &format!("{part} of the server's certificate"),
            "deployment-mismatch",
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
        row(
            &format!("mode 0644 of {name}"),
            "secret-file-mode",
            mode(name, 0o644),
            &[file, "0644", "0600"],
        )
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
                "management-ca-pin",
                copy("tls/stranger-ca.pem", "tls/management-ca.pem"),
                &["management-ca.pem", &management],
            ),
            row(
                "another CA certificate",
                "authority-certificate-pin",
                copy(person, function),
                &["sigilltesteidfunctioncav1.cer", &pinned, &found],
            ),
            row(
                "a CA certificate missing",
                "authority-certificate",
                remove(function),
                &["sigilltesteidfunctioncav1.cer"],
            ),
            row(
                "a client's certificate for the server",
                "management-uri",
                copy("tls/portal.pem", "tls/server.pem"),
                &["server.pem", "client:portal"],
            ),
            row(
                "another key for the server",
                "tls-unfit",
                copy("tls/portal.key", "tls/server.key"),
                &["server.key"],
            ),
            wide("tls/server.key"),
            wide("keys/note-status.key"),
            wide("keys/sealing.keys"),
            wide("pins/issuing.pin"),
            row(
                "mode 0755 of the PINs' folder",
                "secret-file-mode",
                mode("pins", 0o755),
                &["pins", "0755", "0700"],
            ),
            row(
                "mode 0755 of the keys' folder",
                "secret-file-mode",
                mode("keys", 0o755),
                &["keys", "0755", "0700"],
            ),
            row(
                "mode 0777 of the state's folder",
                "hsm-pin-marker",
                mode("state", 0o777),
                &["state", "0777"],
            ),
            row("no PIN", "secret-file-io", remove("pins/issuing.pin"), &["issuing.pin"]),
            row(
                "two PINs in the file",
                "pin-form",
                |home| home.write("pins/issuing.pin", "12345678\n87654321\n"),
                &["issuing.pin"],
            ),
            row(
                "one note key for two",
                "note-key-twice",
                copy("keys/note-status.key", "keys/note-audit.key"),
                &["[notes]", "twice"],
            ),
            row(
                "no note key",
                "secret-file-io",
                remove("keys/note-audit.key"),
                &["note-audit.key"],
            ),
            row("no database", "database-open", remove("state/ca.sqlite"), &["ca.sqlite"]),
            row(
                "a text for a database",
                "database-damaged",
                |home| home.write("state/ca.sqlite", "x".repeat(8192)),
                &["ca.sqlite"],
            ),
            row(
                "no sealing keys",
                "sealing-keys-missing",
                remove("keys/sealing.keys"),
                &["sealing.keys"],
            ),
            row(
                "other sealing keys",
                "sealing-keys-form",
                |home| {
                    let text = home.read("keys/sealing.keys");
                    home.write("keys/sealing.keys", other_digits(&text));
                },
                &["sealing keys"],
            ),
            row(
                "a checkpoint by another key",
                "published-checkpoint",
                |home| {
                    let origin = format!("sigill/test/demo/{}/status/1", home.instance);
                    forged::checkpoint(home, "keys/note-audit.key", &origin, "publish/checkpoint");
                },
                &["publish/checkpoint", "does not verify"],
            ),
            row(
                "a text for a checkpoint",
                "published-checkpoint",
                |home| home.write("publish/checkpoint", "hello\n"),
                &["publish/checkpoint"],
            ),
            row(
                "a manifest by another key",
                "crl-manifest",
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
                "crl-manifest",
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
