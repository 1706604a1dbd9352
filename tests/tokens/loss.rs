//! The token is lost and comes back, again and again, while certificates are ordered.
//!
//! The p11-kit server stands for an HSM in a network: killed, all connections break in the middle of calls. Between it
//! and SoftHSM stands OpenSC's wrapper, whose log says what reached the token: every login and every signature.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use support::budget;
use support::demo::until;
use x509::certificate::Certificate;

use crate::accounts::{self, Received, Serials, Signatures};
use crate::api::{Api, Request};
use crate::deployment::{Deployment, Template};
use crate::kind::Kind;
use crate::orders::{Bears, Orders};
use crate::place::Place;

/// Callers at once.
const CALLERS: usize = 4;
/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

/// KEY-09, ISS-06: however often the token's server is killed, `sigill-ca` goes on without a restart,
/// every answer is 201 or a 503 that says when to come back, no PIN is sent that is wrong, and what the
/// token signed is what the database knows.
pub(crate) fn of_the_p11_kit_server(_: &()) {
    let Some(deployment) = Template::make().copy() else { return };
    let conf = deployment.home.join("softhsm2.conf");
    let spy = deployment.folder().join("token.log");
    let given = [("SOFTHSM2_CONF", &*conf), ("SIGILL_TOKEN_SPY", &*spy)];
    let Some(place) = Place::start_with(Kind::P11Kit, &given) else { return };
    let mut deployment = deployment.through(place.device());
    let kills = budget::count("token-kills");
    deployment.start();
    let process = deployment.process();
    let api = deployment.api();
    let (orders, form) = (Orders::new("loss"), deployment.form());
    let mut recoveries = Vec::new();

    orders.during(CALLERS, Bears::Outages, (&api, &form), || {
        for kill in 0..kills {
            let issued = orders.count();
            let more = until(PATIENCE, || (orders.count() > issued + 3).then_some(()));
            assert!(
                more.is_some(),
                "nothing is issued before kill {kill}: {}",
                deployment.printed()
            );
            // Anywhere within an order.
            thread::sleep(Duration::from_millis(37 * (kill % 7)));
            place.kill();
            // Now and then so short that nobody notices, now and then longer than a caller's deadline.
            thread::sleep(Duration::from_millis(
                [50, 400, 1500, 4000][usize::try_from(kill % 4).expect("small")],
            ));
            place.revive();
            let (back, issued) = (Instant::now(), orders.count());
            let more = until(PATIENCE, || (orders.count() > issued).then_some(()));
            assert!(
                more.is_some(),
                "nothing is issued after kill {kill}: {}",
                deployment.printed()
            );
            recoveries.push(back.elapsed());
        }
    });

    assert_eq!(deployment.process(), process, "sigill-ca was restarted");
    let received = orders.received();
    let put_off: u64 = orders.put_off().values().sum();
    let slowest = recoveries.iter().max().copied().unwrap_or_default();
    println!("measured: kills of the p11-kit server = {kills}");
    println!("measured: certificates received = {}", received.len());
    println!("measured: answers 503 = {put_off}");
    println!("measured: slowest recovery = {} ms", slowest.as_millis());
    assert!(slowest <= budget::recovery(), "{recoveries:?}");
    every_key_has_one_certificate(&deployment, &api, &received);
    deployment.stop();
    let database = deployment.database();
    let serials = Serials::read(&database);
    let mut issued: BTreeSet<_> = received.iter().map(|one| one.serial).collect();
    assert_eq!(issued.len(), received.len(), "two orders have one serial number");
    issued.extend(accounts::serials_not_ordered(&database));
    assert_eq!(serials.issued, issued, "issued, and held by nobody");
    accounts::logs_add_up(&deployment, &database);
    signatures_are_known(&deployment, &spy);
    logins_were_right(&deployment, &spy);
}

/// One for each order, issued, and given again to whoever asks again.
fn every_key_has_one_certificate(deployment: &Deployment, api: &Api, received: &[Received]) {
    accounts::every_key_gives_its_answer_again(deployment, received);
    accounts::each_order_has_one_certificate(&deployment.database(), received);
    let mut line = None;
    for one in received {
        let path = format!("/v1/certificates?sha256={}", one.sha256);
        let found = api.persevere(&mut line, &Request::get(path)).json();
        assert_eq!(found["items"][0]["state"], "issued", "{}", one.key);
    }
}

/// What the token was asked to sign is a recorded intent or a proof. A call that broke may have signed, and is
/// tried once more for the same intent; nothing is signed that no intent names.
fn signatures_are_known(deployment: &Deployment, spy: &Path) {
    let signatures = Signatures::read(spy);
    assert!(!signatures.made.is_empty(), "the wrapper logged no signature");
    let known: BTreeSet<_> =
        accounts::intents(&deployment.database()).into_iter().map(|one| one.digest).collect();
    let proofs = proofs(deployment);
    let strange =
        |digest: &&accounts::Digest| !known.contains(*digest) && !proofs.contains(*digest);
    let strange: Vec<_> =
        signatures.made.iter().chain(&signatures.unended).filter(strange).collect();
    assert!(strange.is_empty(), "the token signed what nobody recorded: {strange:02x?}");
    println!("measured: signatures = {}", signatures.made.len());
}

/// The digests by which the keys of the ceremony's certificates prove themselves.
fn proofs(deployment: &Deployment) -> BTreeSet<accounts::Digest> {
    let files = fs::read_dir(deployment.home.join("ceremony/out")).expect("a folder");
    let certificates = files
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "cer"));
    certificates
        .map(|path| {
            let der = fs::read(path).expect("a certificate");
            let certificate = Certificate::from_der(&der).expect("a certificate");
            let text = hsm::proof_text(certificate.public_key());
            digest(&SHA256, &text).as_ref().try_into().expect("32 octets")
        })
        .collect()
}

/// No login was refused, and no refused PIN is remembered.
fn logins_were_right(deployment: &Deployment, spy: &Path) {
    let text = fs::read_to_string(spy).expect("the wrapper's log");
    let logins: Vec<_> = text
        .split("\n\n")
        .filter(|record| {
            record.trim().lines().next().is_some_and(|head| head.ends_with(": C_Login"))
        })
        .collect();
    assert!(!logins.is_empty(), "the wrapper logged no login");
    for word in ["CKR_PIN_", "CKR_USER_PIN"] {
        assert!(!text.contains(word), "the token refused a PIN: {word}");
    }
    let state = fs::read_dir(deployment.home.join("state")).expect("a folder");
    let markers: Vec<_> = state
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "marker"))
        .collect();
    assert!(markers.is_empty(), "{markers:?}");
    println!("measured: logins = {}", logins.len());
}
