//! A CA that is pressed: by callers that say nothing, by a kill at the wrong moment, by what only a part
//! of it needs and what is not there. Revoking goes on (promise 4).

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::demo::until;
use support::spoken;
use support::suite::Check;

use crate::accounts::Received;
use crate::api::{Api, Request};
use crate::deployment::{AUTHORITY, Deployment, Template};

pub(crate) const CHECKS: &[Check<Template>] = &[
    (
        "pressure::silent_connections_keep_no_revocation_out",
        silent_connections_keep_no_revocation_out,
    ),
    (
        "pressure::a_kill_after_a_revocation_costs_no_crl_entry",
        a_kill_after_a_revocation_costs_no_crl_entry,
    ),
    (
        "pressure::what_only_renews_keeps_nothing_from_starting",
        what_only_renews_keeps_nothing_from_starting,
    ),
];

/// As many connections as the API takes in all.
const SILENT: usize = 512;
/// A CRL is there by then.
const SOON: Duration = Duration::from_secs(30);
/// A stop that waits for those who say nothing takes longer.
const STOPS_WITHIN: Duration = Duration::from_secs(10);

fn issued(deployment: &Deployment, api: &Api, name: &str) -> Received {
    Received::read(name, &api.persevere(&mut None, &deployment.order(name)))
}

fn revocation(id: &str, key: &str) -> Request {
    let path = format!("/v1/certificates/{id}/revocation");
    Request::post(path, key, &json!({ "reason": "superseded" }))
}

fn must_be_revoked(api: &Api, id: &str, key: &str) {
    let revoked = api.ask(&revocation(id, key));
    assert_eq!((revoked.status, &revoked.json()["state"]), (200, &json!("revoked")));
}

/// The published CRL as OpenSSL reads it; empty where there is none.
fn crl(home: &Path) -> String {
    let file = home.join(format!("publish/crl/{AUTHORITY}.crl")).display().to_string();
    let words = ["crl", "-inform", "DER", "-in", &file, "-noout", "-text"];
    spoken::openssl(home, &words).map(|said| said.text).unwrap_or_default()
}

fn lists(deployment: &Deployment, serial: &str) -> bool {
    crl(&deployment.home).to_lowercase().contains(&serial.to_lowercase())
}

/// Somebody without a certificate opens all connections that there are, and says nothing.
fn silent_connections_keep_no_revocation_out(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let api = deployment.api();
    let one = issued(&deployment, &api, "one");
    let silent: Vec<_> = (0..SILENT)
        .map(|_| TcpStream::connect(deployment.api_address()).expect("the port is open"))
        .collect();
    // They come from the very address of the one who revokes, so that it is among their number.
    std::thread::sleep(Duration::from_secs(1));

    let started = Instant::now();
    must_be_revoked(&api, &one.id, "revoke");

    println!("measured: revoked under silence after = {} ms", started.elapsed().as_millis());
    // The first of them are cut off ten seconds after they came.
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    let metrics = deployment.metrics();
    let refused =
        metrics.lines().filter(|line| line.starts_with("sigill_connections_refused_total"));
    assert!(refused.clone().any(|line| !line.ends_with(" 0")), "{metrics}");
    // A stop does not wait for them either.
    let started = Instant::now();
    deployment.stop();
    assert!(started.elapsed() < STOPS_WITHIN, "{:?}", started.elapsed());
    drop(silent);
}

/// REV-01: that a revocation waits for a CRL outlives the program.
fn a_kill_after_a_revocation_costs_no_crl_entry(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    // On a machine that stalls for two seconds the CRL comes before the kill: then again.
    let second = (0..10).find_map(|round| {
        let [first, second] = ["first", "second"]
            .map(|name| issued(&deployment, &deployment.api(), &format!("{name}-{round}")));
        must_be_revoked(&deployment.api(), &first.id, &format!("one-{round}"));
        let listed = until(SOON, || lists(&deployment, &first.serial.to_string()).then_some(()));
        assert!(listed.is_some(), "{}", crl(&deployment.home));
        // The next CRL is two seconds away.
        must_be_revoked(&deployment.api(), &second.id, &format!("two-{round}"));
        deployment.kill();
        if lists(&deployment, &second.serial.to_string()) {
            deployment.start();
            return None;
        }
        Some(second)
    });
    let second = second.expect("a kill that came before the CRL");

    deployment.start();

    let listed = until(SOON, || lists(&deployment, &second.serial.to_string()).then_some(()));
    assert!(listed.is_some(), "{}", crl(&deployment.home));
    deployment.stop();
}

/// The management CA's token only renews certificates of the API, and a profile is only ordered from:
/// neither keeps revocations out, and both are told of.
fn what_only_renews_keeps_nothing_from_starting(template: &Template) {
    let Some(mut deployment) = template.copy() else { return };
    deployment.start();
    let one = issued(&deployment, &deployment.api(), "one");
    deployment.stop();
    fs::write(deployment.home.join("pins/management.pin"), "00000000\n").expect("a wrong PIN");
    fs::remove_file(deployment.home.join("config/profiles/function-ec.toml")).expect("a profile");

    deployment.start();

    must_be_revoked(&deployment.api(), &one.id, "revoke");
    // Publishing is true from the first look at the CRLs on.
    let answered = until(SOON, || {
        let answer = deployment.api().ask(&Request::get("/readyz"));
        (answer.status == 200).then(|| answer.json())
    });
    let ready: Value = answered.expect("no call is taken away over renewing");
    assert_eq!(ready["parts"]["renewal"], false, "{ready}");
    let metrics = deployment.metrics();
    assert!(metrics.contains("\nsigill_renewal_unavailable 1\n"), "{metrics}");
    let log = deployment.printed();
    for said in ["it starts without renewing", "is in no file of"] {
        assert!(log.contains(said), "{said}: {log}");
    }
    // One cause is told, and it is the token's.
    let why = log.lines().find(|line| line.contains("it starts without renewing"));
    assert!(
        why.is_some_and(|line| line.contains("\"problem.code\":\"hsm-pin-refused\"")),
        "{why:?}"
    );
    assert!(!log.contains("hsm-key-missing"), "{log}");
    deployment.stop();
    let checked = deployment.command(&["check-config"], &[]);
    assert_eq!(checked.code, 1, "{}", checked.text);
    assert!(checked.text.contains("function-ec"), "{}", checked.text);
}
