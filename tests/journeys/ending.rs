//! A CA that ends: its last CRL, made by two persons, and what is no more after it.

use std::time::Duration;

use serde_json::Value;
use support::demo::until;
use support::spoken::{self, Spoken};
use support::suite::Check;
use x509::certificate::Certificate;

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
    final_answers_stand_for_ever(deployment, &issued);
}

fn final_answers(deployment: &Deployment, more: &[&str]) -> Spoken {
    deployment.command(&["final-answers"], &[&["--authority", AUTHORITY, "--json"], more].concat())
}

/// OCSP-13, KEY-12: refused until its profile is named; then OpenSSL believes the answer, without a delegate and without the program that would
/// publish, on the last day of the CA too.
fn final_answers_stand_for_ever(mut deployment: Deployment, issued: &Received) {
    deployment.stop();
    let sign =
        ["--actor", "op-7", "--actor", "op-9", "--delegate-key", "process-memory"].as_slice();
    for (more, code) in
        [(&["--check"][..], "final-answers-missing"), (sign, "final-answers-refused")]
    {
        let said = final_answers(&deployment, more);
        assert!(said.code != 0 && said.text.contains(code), "{}", said.text);
    }
    deployment.configure(|config| {
        let (before, section) = config.split_once(&format!("name = \"{AUTHORITY}\"\n")).unwrap();
        let section = section.replacen("\"ocsp\"", "\"ocsp\", \"ocsp-final\"", 1);
        format!("{before}name = \"{AUTHORITY}\"\n{section}")
    });
    deployment.start();
    deployment.stop();

    let said = final_answers(&deployment, sign);

    assert_eq!(said.code, 0, "{}", said.text);
    let check = final_answers(&deployment, &["--check"]);
    assert_eq!(check.code, 0, "{}", check.text);
    let line = check.text.lines().find(|line| line.starts_with('{')).expect("a result");
    let result: Value = serde_json::from_str(line).expect("JSON");
    assert!(result["revoked"].as_u64() >= Some(1) && result["complete"] == true, "{line}");

    let delegates = deployment.home.join("publish/responder").join(AUTHORITY);
    std::fs::remove_dir_all(delegates).expect("the delegates' certificates");
    let responder = deployment.responder();
    let ca = deployment.home.join(format!("ceremony/out/{AUTHORITY}.cer"));
    let certificate = Certificate::from_der(&std::fs::read(&ca).expect("a CA")).expect("DER");
    let (ca, pem) = (ca.display().to_string(), deployment.folder().join("trusted.pem"));
    let pem = pem.display().to_string();
    let openssl = |arguments: &[&str]| {
        spoken::openssl(deployment.folder(), arguments).expect("openssl is there")
    };
    assert_eq!(openssl(&["x509", "-in", &ca, "-out", &pem]).code, 0);
    let (serial, url) = (format!("0x{}", issued.serial), deployment.ocsp_url());
    let last_day = certificate.validity().not_after().secs() - 86_400;
    let last_day = last_day.to_string();
    let question = ["ocsp", "-issuer", &ca, "-serial", &serial, "-url", &url, "-resp_text"];
    let trust = ["-no_nonce", "-CAfile", &pem, "-partial_chain", "-attime", &last_day];
    let ask = [&question[..], &trust].concat();
    let mut text = String::new();
    let is_final = || {
        text = openssl(&ask).text;
        text.contains("Next Update: Dec 31 23:59:59 9999 GMT").then_some(())
    };
    let given = until(WITHIN, is_final);
    assert!(given.is_some(), "{text}");
    for expected in ["Response verify OK", "Cert Status: revoked", "Archive Cutoff"] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    drop(responder);
    deployment.verify_log("status");
}
