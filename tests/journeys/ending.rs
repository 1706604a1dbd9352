//! A CA that ends: its last CRL, made by two persons, and what is no more after it.

use std::time::Duration;

use serde_json::Value;
use support::demo::until;
use support::spoken::Spoken;
use support::suite::Check;

use crate::accounts::Received;
use crate::deployment::{AUTHORITY, Deployment, Template};
use crate::revocation::{crl_text, ocsp, revoke};

pub(crate) const CHECKS: &[Check<Template>] =
    &[("ending::two_persons_end_a_ca_with_its_last_crl", two_persons_end_a_ca)];

const WITHIN: Duration = Duration::from_secs(60);

fn last_crl(deployment: &Deployment, more: &[&str]) -> Spoken {
    deployment.command(&["last-crl"], &[&["--authority", AUTHORITY, "--json"], more].concat())
}

/// CRL-05, KEY-12: refused for one person and while the CA may issue; then made, for ever: the program that runs on
/// makes no other list and issues nothing, and OCSP says the same.
fn two_persons_end_a_ca(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let responder = deployment.responder();
    let issued = Received::read("card", &deployment.api().ask(&deployment.order("card")));
    let says = |deployment: &Deployment, status: &str| {
        let seen = || ocsp(deployment, issued.serial).contains(status).then_some(());
        assert!(until(WITHIN, seen).is_some(), "{}", ocsp(deployment, issued.serial));
    };
    says(&deployment, "Cert Status: good");
    deployment.stop();
    let both = ["--actor", "op-7", "--actor", "op-9"];
    let refused = |deployment: &Deployment, more: &[&str], code: &str, seen: &str| {
        let said = last_crl(deployment, more);
        assert_ne!(said.code, 0, "{}", said.text);
        assert!(said.text.contains(code) && said.text.contains(seen), "{}", said.text);
    };
    refused(&deployment, &["--actor", "op-7", "--actor", "op-7"], "arguments-unfit", "twice");
    refused(&deployment, &both, "last-crl-refused", "it may issue");
    deployment.configure(|config| {
        let name = format!("name = \"{AUTHORITY}\"\n");
        assert!(config.contains(&name), "{config}");
        config.replacen(&name, &format!("{name}state = \"retired\"\n"), 1)
    });
    deployment.start();
    assert_eq!(revoke(&deployment, &issued.id, "cessationOfOperation", "end").status, 200);
    deployment.stop();
    let check = last_crl(&deployment, &[&both[..], &["--check"]].concat());
    assert_eq!(check.code, 0, "{}", check.text);

    let said = last_crl(&deployment, &both);

    assert_eq!(said.code, 0, "{}", said.text);
    let line = said.text.lines().find(|line| line.starts_with('{')).expect("a result");
    let result: Value = serde_json::from_str(line).expect("JSON");
    assert_eq!(result["next_update"], "9999-12-31T23:59:59Z");
    let text = crl_text(&deployment);
    assert!(text.contains("Next Update: Dec 31 23:59:59 9999 GMT"), "{text}");
    assert!(text.contains(&format!("Serial Number: {}", issued.serial)), "{text}");

    refused(&deployment, &both, "authority-ended", AUTHORITY);
    deployment.start();
    says(&deployment, "Cert Status: revoked");
    let late = deployment.api().ask(&deployment.order("late"));
    assert_ne!(late.status, 201, "{}", late.text());
    let graver = revoke(&deployment, &issued.id, "keyCompromise", "graver");
    assert!(graver.text().contains("authority-ended"), "{}", graver.text());
    assert_eq!(crl_text(&deployment), text, "the last CRL stands");
    deployment.verify_log("status");
    drop(responder);
}
