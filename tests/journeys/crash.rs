//! `kill -9` between any two steps of issuing, while others are issued beside it.
//!
//! Callers order certificates all the time and go on with the same key until they have them. The CA
//! is stopped at a point, killed there, and started again; nobody repairs anything. Afterwards the
//! books must be right.

use std::collections::BTreeSet;
use std::fs;
use std::thread;
use std::time::Duration;

use serde_json::json;
use support::budget;
use support::demo::until;
use support::spoken;
use support::suite::Check;
use x509::serial::SerialNumber;

use crate::accounts::{self, Received, Serials, Signatures};
use crate::api::{Api, Request};
use crate::deployment::{AUTHORITY, Deployment, Template};
use crate::lot::Lot;
use crate::orders::{Bears, Orders};

pub(crate) const CHECKS: &[Check<Template>] = &[(
    "crash::no_kill_loses_doubles_or_hides_a_certificate",
    no_kill_loses_doubles_or_hides_a_certificate,
)];

const WINDOWS: [&str; 5] =
    ["before-intent", "intent-sign", "sign-verify", "verify-issued", "issued-released"];
/// Callers at once.
const CALLERS: usize = 6;
/// How long after a start the first order may take to reach the window.
const WINDOW_LIMIT: Duration = Duration::from_secs(60);
/// The CA stays in the window this long unless it is killed: longer than all of the above.
const PAUSE_MS: u64 = 90_000;

/// ISS-03, ISS-05, ISS-06, ISS-07, AUD-02: at whatever step of issuing the CA is killed, no
/// certificate is lost, doubled or unknown to status, and every signature is accounted for.
fn no_kill_loses_doubles_or_hides_a_certificate(template: &Template) {
    let Some(deployment) = template.copy() else { return };
    let mut deployment = deployment.spied();
    // All that was issued is revoked one by one in the end.
    deployment.configure(|config| format!("{config}\n[revocation]\nalone = 1000000\n"));
    let kills = budget::count("crash-kills");
    let api = deployment.api();
    let (orders, form) = (Orders::new("crash"), deployment.form());
    let mut signatures = Signatures::default();

    orders.during(CALLERS, Bears::Everything, (&api, &form), || {
        for window in WINDOWS {
            for _ in 0..kills {
                signatures.add(kill_in(window, &mut deployment));
            }
            println!("measured: kills {window} = {kills}");
        }
        deployment.start();
        // Some orders more on the mended CA; the callers then finish what they have begun.
        thread::sleep(Duration::from_secs(2));
    });

    let received = orders.received();
    println!("measured: callers = {CALLERS}");
    println!("measured: certificates received = {}", received.len());
    every_order_has_one_certificate(&deployment, &received);
    voided_serials_are_revoked(&deployment);
    every_certificate_is_known_and_good(&api, &received);
    answered_by_ocsp(&deployment, &received);
    every_certificate_is_revocable(&deployment, &api, &received);
    deployment.stop();
    signatures.add(Signatures::read(&deployment.spy_log()));

    let database = deployment.database();
    let serials = Serials::read(&database);
    println!("measured: serials voided = {}", serials.voided.len());
    let held: BTreeSet<_> = received.iter().map(|received| received.serial).collect();
    assert_eq!(held.len(), received.len(), "two orders have one serial number");
    let mut issued = held;
    issued.extend(accounts::serials_not_ordered(&database));
    assert_eq!(serials.issued, issued, "issued, and held by nobody");
    let proofs = accounts::signatures_add_up(&deployment, &database, &signatures);
    println!("measured: signatures = {}", signatures.made.len());
    println!("measured: of these key proofs = {proofs}");
    accounts::logs_add_up(&deployment, &database);
}

/// Starts the CA, waits until an order stands in `window`, kills it there, and sees in what it left
/// that it was there.
fn kill_in(window: &str, deployment: &mut Deployment) -> Signatures {
    let mark = deployment.folder().join("mark");
    let _ = fs::remove_file(&mark);
    deployment.start_with(&format!(
        "[danger-test]\npause-at = \"{window}\"\npause-ms = {PAUSE_MS}\nmark = \"{}\"\n",
        mark.display()
    ));
    let order = until(WINDOW_LIMIT, || fs::read_to_string(&mark).ok().filter(|id| id.len() == 40));
    let order = order.unwrap_or_else(|| panic!("no order came to {window}"));
    // The others are anywhere by then.
    thread::sleep(Lot::new(0).moment(120));
    deployment.kill();
    let signatures = Signatures::read(&deployment.spy_log());
    stood_in(window, &order, deployment, &signatures);
    signatures
}

/// What the killed CA left says that this order stood where the kill was meant to strike.
fn stood_in(window: &str, order: &str, deployment: &Deployment, signatures: &Signatures) {
    let (_folder, database) = deployment.copy_of_database();
    let id = order.trim_start_matches("ord_").replace('-', "");
    let text = |sql: &str| -> String {
        database.query_row(sql, [&id], |row| row.get(0)).unwrap_or_else(|_| "none".to_owned())
    };
    let order_state = text("SELECT state FROM orders WHERE hex(order_id) = upper(?1)");
    let intent_state = text(
        "SELECT intent.state FROM intent JOIN orders ON orders.row = order_row \
         WHERE hex(order_id) = upper(?1) ORDER BY intent.row DESC LIMIT 1",
    );
    let certificates = text(
        "SELECT CAST(count(*) AS TEXT) FROM certificate JOIN orders ON orders.row = order_row \
         WHERE hex(order_id) = upper(?1)",
    );
    let digest: Option<accounts::Digest> = database
        .query_row(
            "SELECT digest FROM intent JOIN orders ON orders.row = order_row \
             WHERE hex(order_id) = upper(?1) AND intent.state <> 'voided'",
            [&id],
            |row| row.get(0),
        )
        .ok();
    let signed = digest.is_some_and(|digest| signatures.made.contains(&digest));
    let found = (order_state.as_str(), intent_state.as_str(), signed, certificates.as_str());
    let right = match window {
        // Nothing is recorded of a new order; an older one is gone on with.
        "before-intent" => {
            matches!(found, ("none", "none", false, "0") | ("running", "voided", false, "0"))
        }
        "intent-sign" => matches!(found, ("running", "open", false, "0")),
        "sign-verify" | "verify-issued" => matches!(found, ("running", "open", true, "0")),
        // One that was gone on with has its certificate before its answer.
        _ => matches!(found, ("done" | "running", "fulfilled", true, "1")),
    };
    assert!(right, "{order} was not in {window}: order, intent, signed, certificates = {found:?}");
}

/// ISS-06, API-02: asked once more, every key gives the answer that its caller got, octet for octet.
fn every_order_has_one_certificate(deployment: &Deployment, received: &[Received]) {
    accounts::every_key_gives_its_answer_again(deployment, received);
    let database = deployment.database();
    accounts::each_order_has_one_certificate(&database, received);
    let issued =
        "SELECT count(*) FROM certificate WHERE origin = 'issued' AND profile = 'function-ec'";
    let count = u64::try_from(received.len()).expect("a count");
    assert_eq!(accounts::number(&database, issued), count);
    let open = "SELECT count(*) FROM orders WHERE state <> 'done' AND method = 'POST'";
    assert_eq!(accounts::number(&database, open), 0, "orders that nobody finished");
}

/// Promise 2: a voided serial stands on the CRL.
fn voided_serials_are_revoked(deployment: &Deployment) {
    let voided = Serials::read(&deployment.database()).voided;
    let listed = until(Duration::from_secs(60), || {
        Some(accounts::on_crl(deployment)).filter(|listed| listed.is_superset(&voided))
    });
    assert!(listed.is_some(), "voided serials are not on the CRL: {voided:?}");
    assert_eq!(listed, Some(voided), "nothing but voided serials is revoked yet");
}

/// Every certificate that a client holds is found by its hash, and its state is issued.
fn every_certificate_is_known_and_good(api: &Api, received: &[Received]) {
    let mut line = None;
    for one in received {
        let path = format!("/v1/certificates?sha256={}", one.sha256);
        let found = api.persevere(&mut line, &Request::get(path)).json();
        let found = &found["items"][0];
        assert_eq!(found["id"], one.id.as_str(), "{}", one.key);
        assert_eq!(found["state"], "issued", "{}", one.key);
    }
}

/// Every certificate can be revoked, and the CRL then lists all of them beside the voided serials.
fn every_certificate_is_revocable(deployment: &Deployment, api: &Api, received: &[Received]) {
    let mut line = None;
    for one in received {
        let path = format!("/v1/certificates/{}/revocation", one.id);
        let key = format!("revoke-{}", one.key);
        let request = Request::post(path, key, &json!({ "reason": "superseded" }));
        let answer = api.persevere(&mut line, &request);
        assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("revoked")));
    }
    let mut revoked = Serials::read(&deployment.database()).voided;
    revoked.extend(received.iter().map(|one| one.serial));
    let listed = until(Duration::from_secs(60), || {
        Some(accounts::on_crl(deployment)).filter(|listed| *listed == revoked)
    });
    assert!(listed.is_some(), "the CRL does not list what was voided and revoked");
}

/// Certificates that one OCSP request asks about: as many as the responder takes.
const ASKED_AT_ONCE: usize = 16;

/// The responder, started on the tree that the killed CA left, says good of every certificate that a
/// client holds, revoked of every serial that was voided, and unknown of one that never was.
fn answered_by_ocsp(deployment: &Deployment, received: &[Received]) {
    let responder = deployment.responder();
    let url = deployment.ocsp_url();
    let issuer = deployment.home.join(format!("ceremony/out/{AUTHORITY}.cer"));
    let root = deployment.home.join("ceremony/out/sigilltesteidrootcav1.cer");
    for (der, pem) in [(&issuer, "issuer.pem"), (&root, "root.pem")] {
        let der = der.to_str().expect("UTF-8");
        let arguments = ["x509", "-inform", "DER", "-in", der, "-out", pem];
        let made = spoken::openssl(deployment.folder(), &arguments).expect("openssl is there");
        assert_eq!(made.code, 0, "{}", made.text);
    }
    let ask = |serials: &[SerialNumber]| {
        let mut arguments = vec!["ocsp", "-issuer", "issuer.pem", "-url", &url];
        arguments.extend(["-CAfile", "root.pem", "-verify_other", "issuer.pem"]);
        let serials: Vec<_> = serials.iter().map(|serial| format!("0x{serial}")).collect();
        arguments.extend(serials.iter().flat_map(|serial| ["-serial", serial.as_str()]));
        spoken::openssl(deployment.folder(), &arguments).expect("openssl is there").text
    };
    let first = [received.first().expect("a certificate").serial];
    // It asks the CA for its delegate first.
    let ready =
        until(Duration::from_secs(60), || Some(ask(&first)).filter(|s| s.contains(": good")));
    assert!(ready.is_some(), "{}\n{}", ask(&first), responder.printed());
    let good: Vec<_> = received.iter().map(|one| one.serial).collect();
    let voided: Vec<_> = Serials::read(&deployment.database()).voided.into_iter().collect();
    let never = vec![SerialNumber::from_random([0x5a; 16])];
    for (serials, wanted) in [(&good, "good"), (&voided, "revoked"), (&never, "unknown")] {
        for serials in serials.chunks(ASKED_AT_ONCE) {
            let said = ask(serials);
            assert!(said.contains("Response verify OK"), "{said}");
            for serial in serials {
                let answer = format!("0x{serial}: {wanted}");
                assert!(said.lines().any(|line| line.trim() == answer), "no {answer}: {said}");
            }
        }
        println!("measured: answered {wanted} by OCSP = {}", serials.len());
    }
}
