//! A whole CA on a token: made, issue, revoke, CRL, OCSP by a delegate, restart, and again.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use support::demo::until;
use support::spoken;

use crate::accounts::{self, Received};
use crate::api::Request;
use crate::deployment::{AUTHORITY, Deployment, Device, Template};
use crate::kind::Kind;
use crate::place::Place;

/// By then a CRL is there, a responder has its delegate, or a slow token has signed.
const SECONDS: Duration = Duration::from_secs(60);

pub(crate) fn on_softhsm(_: &()) {
    let Some(place) = Place::start(Kind::SoftHsm) else { return };
    // The demo keeps SoftHSM's tokens in its home, with a configuration of its own there.
    let device = Device { environment: Vec::new(), ..place.device() };
    lives_on(Kind::SoftHsm, Template::make_on(device, &[]).copy());
}

/// Made with SoftHSM itself and then run behind `p11-kit server`, as an operator moves a module out of the CA.
pub(crate) fn on_p11_kit(_: &()) {
    let Some(deployment) = Template::make().copy() else { return };
    let conf = deployment.home.join("softhsm2.conf");
    let Some(place) = Place::start_with(Kind::P11Kit, &[("SOFTHSM2_CONF", &conf)]) else { return };
    lives_on(Kind::P11Kit, Some(deployment.through(place.device())));
}

pub(crate) fn on_kryoptic(_: &()) {
    let Some(place) = Place::start(Kind::Kryoptic) else { return };
    lives_on(Kind::Kryoptic, Template::make_on(place.device(), &[]).copy());
}

/// KEY-09: certificates, CRLs and answers come from keys on this token, before and after a restart of everything.
fn lives_on(kind: Kind, deployment: Option<Deployment>) {
    let Some(mut deployment) = deployment else { return };
    let told = |step: &str, said: &str| println!("measured: {}: {step} = {said}", kind.name());
    told("demo", "ok");
    let mut received = Vec::new();
    for run in ["first", "second"] {
        deployment.start();
        let api = deployment.api();
        let started = Instant::now();
        let good = Received::read(run, &api.persevere(&mut None, &deployment.order(run)));
        let name = format!("{run}-revoked");
        let revoked = Received::read(&name, &api.persevere(&mut None, &deployment.order(&name)));
        told(&format!("issue, {run} run"), &format!("ok, two in {:?}", started.elapsed()));
        let path = format!("/v1/certificates/{}/revocation", revoked.id);
        let request =
            Request::post(path, format!("revoke-{run}"), &json!({ "reason": "superseded" }));
        assert_eq!(api.persevere(&mut None, &request).status, 200);
        let listed = until(SECONDS, || {
            accounts::on_crl(&deployment).contains(&revoked.serial).then_some(())
        });
        assert!(listed.is_some(), "{run}: the CRL does not list it\n{}", deployment.printed());
        crl_holds(&deployment);
        told(&format!("CRL, {run} run"), "ok, OpenSSL verifies it");

        let responder = deployment.responder();
        for (one, wanted) in [(&good, "good"), (&revoked, "revoked")] {
            let line = format!("0x{}: {wanted}", one.serial);
            let said = until(SECONDS, || {
                let said = asked(&deployment, one);
                (said.contains("Response verify OK") && said.contains(&line)).then_some(())
            });
            let last = || asked(&deployment, one);
            assert!(said.is_some(), "{run}: no {line}: {}\n{}", last(), responder.printed());
        }
        told(&format!("OCSP delegate, {run} run"), "ok, OpenSSL verifies good and revoked");
        drop(responder);
        deployment.stop();
        received.extend([good, revoked]);
    }
    let database = deployment.database();
    let serials = accounts::Serials::read(&database);
    for one in &received {
        assert!(serials.issued.contains(&one.serial), "{}", one.key);
    }
    accounts::logs_add_up(&deployment, &database);
    told("restart, find again", "ok");
}

/// The published CRL verifies under the authority's key, as OpenSSL sees it.
fn crl_holds(deployment: &Deployment) {
    let crl = deployment.home.join(format!("publish/crl/{AUTHORITY}.crl"));
    let chain = deployment.home.join("trust/chain.pem");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let (crl, chain) = (text(&crl), text(&chain));
    let words = ["crl", "-inform", "DER", "-in", &crl, "-noout", "-CAfile", &chain];
    let said = spoken::openssl(deployment.folder(), &words).expect("openssl is there");
    assert!(said.text.contains("verify OK"), "{}", said.text);
}

/// What OpenSSL says when it asks about a certificate.
pub(crate) fn asked(deployment: &Deployment, one: &Received) -> String {
    let issuer = deployment.home.join(format!("ceremony/out/{AUTHORITY}.cer"));
    let root = deployment.home.join("trust/root.pem");
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    let made = ["x509", "-inform", "DER", "-in", &text(&issuer), "-out", "issuer.pem"];
    let made = spoken::openssl(deployment.folder(), &made).expect("openssl is there");
    assert_eq!(made.code, 0, "{}", made.text);
    let (url, serial, root) = (deployment.ocsp_url(), format!("0x{}", one.serial), text(&root));
    let words = ["ocsp", "-issuer", "issuer.pem", "-url", &url, "-serial", &serial, "-CAfile"];
    let words = [&words[..], &[&root, "-verify_other", "issuer.pem"]].concat();
    spoken::openssl(deployment.folder(), &words).expect("openssl is there").text
}
