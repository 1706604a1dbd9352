//! Starts of `sigill-ocsp` that must be refused.

use std::fs;

use support::suite::Check;

use crate::World;
use crate::forged;
use crate::home::{Home, OCSP_CONFIG, Refused, value_of};
use crate::spy::TokenCalls;
use crate::starts::{judge_with, last_line, not_told, row};
use crate::state::State;

pub const CHECKS: &[Check<World>] = &[
    ("responder_refuses_what_does_not_fit", what_does_not_fit_is_refused),
    ("responder_refuses_each_part_of_another_deployment", other_deployments_are_refused),
    ("responder_tries_a_wrong_pin_once", a_wrong_pin_is_tried_once),
];

fn edit(from: &'static str, to: &'static str) -> impl Fn(&Home) {
    move |home| home.edit(OCSP_CONFIG, from, to)
}

/// KEY-09: configuration, ports, folders and tokens.
fn what_does_not_fit_is_refused(world: &World) {
    let taken = world.server.home.api.to_string();
    let listen = move |section: &'static str| {
        let taken = taken.clone();
        move |home: &Home| {
            let config = home.read(OCSP_CONFIG);
            let (_, rest) = config.split_once(section).expect("the section is there");
            home.edit(OCSP_CONFIG, &value_of(rest, "listen"), &taken);
        }
    };
    let taken = world.server.home.api.to_string();
    let without = |name: &'static str| {
        move |home: &Home| fs::rename(home.path(name), home.beside("away")).expect("moved away")
    };
    judge_with(
        world,
        &[
            row("no configuration", "config-unreadable", without(OCSP_CONFIG), &["ocsp.toml"]),
            row(
                "an unknown key",
                "config-malformed",
                edit("[http]\n", "[http]\ntypo = 1\n"),
                &["typo", "line", "ocsp.toml"],
            ),
            row("no TOML", "config-malformed", edit("[http]", "[http"), &["line", "ocsp.toml"]),
            row(
                "health for everybody",
                "config-value",
                |home| {
                    let config = home.read(OCSP_CONFIG);
                    let (_, rest) = config.split_once("[observe]").expect("the section");
                    home.edit(OCSP_CONFIG, &value_of(rest, "listen"), "0.0.0.0:1");
                },
                &["observe.listen", "0.0.0.0:1", "loopback"],
            ),
            row(
                "an identity that is no hash",
                "config-value",
                |home| {
                    let identity = value_of(&home.read(OCSP_CONFIG), "identity");
                    home.edit(OCSP_CONFIG, &identity, "abc");
                },
                &["hsm.identity", "abc"],
            ),
            row(
                "the port of answers",
                "address-in-use",
                listen("[http]"),
                &[&taken, "another copy"],
            ),
            row("the port of health", "address-in-use", listen("[observe]"), &[&taken]),
            row(
                "no publication folder",
                "publication-unreadable",
                without("publish"),
                &["publish", "[publication] folder"],
            ),
            row(
                "a file for the publication folder",
                "publication-unreadable",
                |home| {
                    fs::rename(home.path("publish"), home.beside("away")).expect("moved away");
                    home.write("publish", "in the way");
                },
                &["publish", "[publication] folder"],
            ),
            row("no PIN", "secret-file-io", without("pins/responder.pin"), &["responder.pin"]),
            row(
                "mode 0644 of the PIN",
                "secret-file-mode",
                |home| home.mode("pins/responder.pin", 0o644),
                &["responder.pin", "0644", "0600"],
            ),
            row(
                "no module",
                "hsm-module-unreadable",
                edit("pkcs11-spy.so", "no-such.so"),
                &["no-such.so"],
            ),
            row(
                "token missing",
                "hsm-token-missing",
                |home| {
                    fs::remove_dir_all(home.path("tokens"))
                        .and_then(|()| fs::create_dir(home.path("tokens")))
                        .expect("emptied")
                },
                &["sg-td-", "-responder"],
            ),
            row(
                "another serial number",
                "hsm-token-serial-mismatch",
                |home| {
                    let serial = value_of(&home.read(OCSP_CONFIG), "serial");
                    home.edit(OCSP_CONFIG, &serial, "0123456789abcdef");
                },
                &["0123456789abcdef"],
            ),
            row(
                "another identity key",
                "identity-missing",
                |home| {
                    let identity = value_of(&home.read(OCSP_CONFIG), "identity");
                    home.edit(OCSP_CONFIG, &identity, &"ab".repeat(32));
                },
                &["abababab"],
            )
            .logging_in(),
            row(
                "a text for the trusted checkpoint",
                "state-checkpoint",
                |home| {
                    fs::create_dir_all(home.path("ocsp")).expect("a folder");
                    home.mode("ocsp", 0o700);
                    home.write("ocsp/checkpoint", "hello\n");
                },
                &["checkpoint", "pinned key"],
            ),
        ],
        Home::ocsp_refused,
    );
}

/// ENV-01, promise 8: environment, PKI and instance, each in the configuration, the token's label, the
/// published log, the CRL manifest and the state.
fn other_deployments_are_refused(world: &World) {
    let ours = world.template.instance.clone();
    let here = format!("test/demo/{ours}");
    let others = [
        ("instance", "test", "demo", "zzzz".to_owned(), "td"),
        ("PKI", "test", "systemtest", ours.clone(), "ts"),
        ("environment", "qa", "test", ours.clone(), "qt"),
    ];
    let mut rows = Vec::new();
    for (part, environment, pki, instance, code) in others {
        let name = format!("{environment}/{pki}/{instance}");
        let (e, p, i) = (environment.to_owned(), pki.to_owned(), instance.clone());
        // Nothing is published yet: the token's label is what the configuration disagrees with.
        rows.push(row(
            &format!("{part} of the configuration"),
            "deployment-mismatch",
            move |home| {
                home.edit(OCSP_CONFIG, "environment = \"test\"", &format!("environment = \"{e}\""));
                home.edit(OCSP_CONFIG, "pki = \"demo\"", &format!("pki = \"{p}\""));
                home.edit(OCSP_CONFIG, &format!("\"{}\"", home.instance), &format!("\"{i}\""));
            },
            &[&here, &name, "crl/manifest"],
        ));
        let label = format!("sg-{code}-{instance}-responder");
        let made = label.clone();
        rows.push(row(
            &format!("{part} of the token's label"),
            "hsm-token-label-mismatch",
            move |home| forged::token_of(home, OCSP_CONFIG, "pins/responder.pin", &made),
            &[&label, &format!("sg-td-{ours}-responder")],
        ));
        let (origin, own) = (format!("sigill/{name}/status/1"), format!("sigill/{here}/status/1"));
        let made = origin.clone();
        rows.push(row(
            &format!("{part} of the published log"),
            "deployment-mismatch",
            move |home| {
                forged::checkpoint(home, "keys/note-status.key", &made, "publish/checkpoint")
            },
            &[&here, &name, "publish/checkpoint"],
        ));
        let other = name.clone();
        rows.push(row(
            &format!("{part} of the CRL manifest"),
            "deployment-mismatch",
            move |home| forged::manifest(home, "keys/note-manifest.key", &other),
            &[&here, &name, "crl/manifest"],
        ));
        rows.push(row(
            &format!("{part} of the trusted checkpoint"),
            "deployment-mismatch",
            move |home| {
                fs::create_dir_all(home.path("ocsp")).expect("a folder");
                home.mode("ocsp", 0o700);
                forged::checkpoint(home, "keys/note-status.key", &origin, "ocsp/checkpoint");
            },
            &[&own, &name, "ocsp/checkpoint"],
        ));
    }
    judge_with(world, &rows, Home::ocsp_refused);
}

/// KEY-09: a refused PIN is tried once, whatever the number of starts; the right one heals.
fn a_wrong_pin_is_tried_once(world: &World) {
    let home = world.template.copy();
    home.write("pins/responder.pin", "this PIN is wrong\n");
    let before = State::of(&home);
    for start in 1..=3 {
        let refused: Refused = home.ocsp_refused();
        println!("wrong PIN, start {start}: {}", last_line(&refused.text));
        assert!(refused.code.is_some_and(|code| code != 0), "start {start}: {}", refused.text);
        let code = if start == 1 { "hsm-pin-refused" } else { "hsm-pin-refused-before" };
        assert_eq!(not_told(&refused, code), None, "start {start}");
        assert!(refused.text.contains(&format!("sg-td-{}-responder", home.instance)));
        assert!(!refused.text.contains("this PIN is wrong"), "{}", refused.text);
        assert_eq!(TokenCalls::of(&home).logins, 1, "start {start}");
    }
    let after = State::of(&home);
    assert_eq!(after.calls.signatures, before.calls.signatures);
    assert_eq!(State { calls: before.calls, ..after }.difference(&before), "");
}
