//! What relying parties are told, as OpenSSL and our own reader see it.

use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use status::{BeforeActivation, Change, RevocationReason};
use support::softhsm::{SoftHsm, alone};
use support::test_name;
use x509::certificate::Certificate;
use x509::crl::ReasonCode;
use x509::key::KeyType;
use x509::ocsp::{BasicResponse, CertIdHash, CertStatus, OcspResponse};

use crate::client::{Answer, get, post};
use crate::fixture::{World, change, issued, now, wait_for};

/// Reads and verifies an answer under the delegate that came with it and the CA above that.
pub(crate) fn verified(world: &World, der: &[u8]) -> BasicResponse {
    let OcspResponse::Basic(basic) = OcspResponse::from_der(der).unwrap() else {
        panic!("refused: {der:02x?}")
    };
    let delegate = Certificate::from_der(&basic.certificates[0]).unwrap();
    delegate.verify_signed_by(world.ca.certificate.public_key()).unwrap();
    basic.verify(delegate.public_key()).unwrap();
    for answer in &basic.answers {
        assert!(answer.this_update <= basic.produced_at);
        assert!(answer.next_update.unwrap() <= delegate.validity().not_after());
    }
    basic
}

fn ask(world: &World, octet: u8) -> CertStatus {
    let answer = answered(world, &world.ca.question(CertIdHash::Sha256, octet, None));
    verified(world, &answer.body).answers[0].status
}

/// The answer to a question. On a machine that stalls for seconds it may be tryLater first, as relying parties
/// are told when there is no newer checkpoint: then again.
pub(crate) fn answered(world: &World, question: &[u8]) -> Answer {
    wait_for("another answer than tryLater", || {
        let answer = post(world.address, "/ocsp", question);
        assert_eq!(answer.status, 200);
        let put_off = OcspResponse::from_der(&answer.body) == Ok(OcspResponse::Refused(3));
        (!put_off).then_some(answer)
    })
}

pub(crate) fn openssl(world: &World, more: &[&str]) -> String {
    let url = format!("http://{}/ocsp", world.address);
    let pem = world.path("ca.pem");
    let pem = pem.to_str().unwrap();
    wait_for("another answer than tryLater", || {
        let output = Command::new("openssl")
            .args(["ocsp", "-issuer", pem, "-CAfile", pem, "-url", &url])
            .args(more)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        (!text.contains("trylater")).then_some(text)
    })
}

pub(crate) fn serial_text(octet: u8) -> String {
    format!("0x{}", crate::fixture::serial(octet))
}

/// Promise 5, OCSP-03, OCSP-05, OCSP-06, OCSP-08: OpenSSL verifies good, revoked and unknown, by SHA-1
/// and SHA-256, with and without a nonce.
#[test]
fn openssl_is_told_good_revoked_and_unknown() {
    alone(test_name!(openssl_is_told_good_revoked_and_unknown), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        let issuer = world.issuer;
        let reason = Some(RevocationReason::KeyCompromise);
        world.append(&[
            issued(issuer, 1, BeforeActivation::Good),
            issued(issuer, 2, BeforeActivation::Good),
            change(issuer, 2, Change::Revoked { reason, invalidity_date: None }),
        ]);
        for hash in ["-sha1", "-sha256"] {
            for nonce in ["-nonce", "-no_nonce"] {
                for (octet, status) in [(1, "good"), (2, "revoked"), (9, "unknown")] {
                    let serial = serial_text(octet);
                    let text = openssl(&world, &[hash, nonce, "-serial", &serial]);
                    assert!(text.contains("Response verify OK"), "{hash} {nonce}: {text}");
                    assert!(
                        text.contains(&format!("{serial}: {status}")),
                        "{hash} {nonce}: {text}"
                    );
                    assert!(!text.contains("no nonce in response"), "{text}");
                    assert!(!text.contains("WARNING"), "{text}");
                }
            }
        }
        let text = openssl(&world, &["-serial", &serial_text(2)]);
        assert!(text.contains("Reason: keyCompromise"), "{text}");
    });
}

/// OCSP-11, OCSP-18, promise 4: a change of the log is the next answer, cached or not; voided and not
/// activated are revoked.
#[test]
fn a_change_of_the_log_is_the_next_answer() {
    alone(test_name!(a_change_of_the_log_is_the_next_answer), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        let issuer = world.issuer;
        let not_after = now().checked_add(Duration::from_secs(9999)).unwrap();
        world.append(&[
            issued(issuer, 1, BeforeActivation::Good),
            issued(issuer, 2, BeforeActivation::Held),
            change(issuer, 3, Change::Voided { not_after }),
        ]);
        let held = Some(ReasonCode::CertificateHold);
        let reason_of = |octet| match ask(&world, octet) {
            CertStatus::Revoked { reason, .. } => Some(reason),
            _ => None,
        };
        wait_for("the log", || (ask(&world, 1) == CertStatus::Good).then_some(()));
        assert_eq!((reason_of(2), reason_of(3)), (Some(held), Some(None)));
        assert_eq!(ask(&world, 1), CertStatus::Good);

        for (octet, what, expected) in [
            (1, Change::Held, Some(held)),
            (1, Change::Released, None),
            (1, Change::Revoked { reason: None, invalidity_date: None }, Some(None)),
            (2, Change::Activated, None),
        ] {
            world.append(&[change(issuer, octet, what)]);
            let started = Instant::now();
            wait_for("the change", || (reason_of(octet) == expected).then_some(()));
            // A fraction of a second on an idle machine; far below what a kept answer would live.
            assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        }
    });
}

/// Promise 5: unknown is said only from a checkpoint later than the question; a certificate that is
/// issued while the question waits is never called unknown.
#[test]
fn unknown_waits_for_a_later_checkpoint() {
    alone(test_name!(unknown_waits_for_a_later_checkpoint), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        let question = world.ca.question(CertIdHash::Sha1, 7, None);

        let unknown = answered(&world, &question);
        let basic = verified(&world, &unknown.body);
        assert_eq!(basic.answers[0].status, CertStatus::Unknown);
        let life = basic.answers[0].next_update.unwrap().since(basic.produced_at);
        assert!(life <= Duration::from_secs(60));
        assert_eq!(unknown.header("cache-control"), Some("no-store"));

        world.stop_beating();
        // On a machine that stalls for seconds the three seconds may be over: then again.
        let answered = (10..20).any(|octet| {
            let question = world.ca.question(CertIdHash::Sha1, octet, None);
            let address = world.address;
            let waiting = std::thread::spawn(move || post(address, "/ocsp", &question));
            wait_for("the question to wait", || {
                let metrics = get(world.observe, "localhost", "/metrics").body;
                let waits = String::from_utf8_lossy(&metrics).contains("sigill_ocsp_waiting 1\n");
                (waits || waiting.is_finished()).then_some(())
            });
            world.append(&[issued(world.issuer, octet, BeforeActivation::Good)]);
            let answer = waiting.join().unwrap();
            if OcspResponse::from_der(&answer.body) == Ok(OcspResponse::Refused(3)) {
                return false;
            }
            assert_eq!(verified(&world, &answer.body).answers[0].status, CertStatus::Good);
            true
        });
        assert!(answered);

        // And with nothing newer to wait for: tryLater within three seconds and some.
        let started = Instant::now();
        let late = post(world.address, "/ocsp", &world.ca.question(CertIdHash::Sha1, 8, None));
        assert_eq!(OcspResponse::from_der(&late.body), Ok(OcspResponse::Refused(3)));
        assert_eq!(late.header("cache-control"), Some("no-store"));
        assert!(started.elapsed() < Duration::from_secs(30));
    });
}

/// OCSP-09: GET at any path, with the headers of RFC 9919; the same bytes while they are young.
#[test]
fn get_is_cacheable_and_says_so() {
    alone(test_name!(get_is_cacheable_and_says_so), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        let question = world.ca.question(CertIdHash::Sha256, 1, None);
        let text = base64::engine::general_purpose::STANDARD.encode(question);
        let encoded = text.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");

        let first = wait_for("good", || {
            let answer = get(world.address, "ocsp1.example.org", &format!("/{encoded}"));
            answer.header("etag").is_some().then_some(answer)
        });
        let second = get(world.address, "any", &format!("/ocsp/{text}"));

        let basic = verified(&world, &first.body);
        assert_eq!(first.body, second.body);
        assert_eq!(first.header("content-type"), Some("application/ocsp-response"));
        let control = first.header("cache-control").unwrap();
        assert!(
            control.starts_with("max-age=300, public, no-transform, must-revalidate"),
            "{control}"
        );
        assert_eq!(first.header("sigill-position"), Some("1.2"));
        let (modified, expires) = (first.header("last-modified"), first.header("expires"));
        assert!(modified.unwrap().ends_with(" GMT") && expires.unwrap().ends_with(" GMT"));
        assert!(basic.answers[0].next_update.unwrap() > now());

        let etag = first.header("etag").unwrap();
        let head = format!("GET /ocsp/{encoded} HTTP/1.1\r\nHost: any\r\nIf-None-Match: {etag}");
        let again = crate::client::send(world.address, &head, b"");
        assert_eq!((again.status, again.body.len()), (304, 0));

        let nonce = world.ca.question(CertIdHash::Sha1, 1, Some(&[7; 16]));
        let answer = answered(&world, &nonce);
        assert_eq!(verified(&world, &answer.body).nonce, Some(vec![7; 16]));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    });
}

/// The delegate's key survives a restart, and no second one is made (section 2.3).
#[test]
fn a_restart_goes_on_with_the_same_delegate() {
    alone(test_name!(a_restart_goes_on_with_the_same_delegate), |softhsm| {
        let mut world = World::new(softhsm);
        let mut server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        wait_for("good", || (ask(&world, 1) == CertStatus::Good).then_some(()));
        let before = delegate_of(&world);
        server.kill();

        let _server = world.start();
        world.wait_until_ready();

        assert_eq!(delegate_of(&world), before);
        assert_eq!(keys(softhsm), 2, "identity and one delegate");
    });
}

fn delegate_of(world: &World) -> Vec<u8> {
    let answer = answered(world, &world.ca.question(CertIdHash::Sha1, 1, None));
    verified(world, &answer.body).certificates[0].clone()
}

/// Private keys in the token's folder: each is a file, as is each public key and the token itself.
fn keys(softhsm: &SoftHsm) -> usize {
    let token = std::fs::read_dir(softhsm.tokens()).unwrap().next().unwrap().unwrap().path();
    let objects = std::fs::read_dir(token).unwrap();
    let count = objects
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            name.to_str()
                .is_some_and(|name| name.ends_with(".object") && !name.starts_with("token"))
        })
        .count();
    count / 2
}

/// OCSP-06: delegates with RSA keys for relying parties that verify nothing else. A responder whose configuration is changed asks for one at
/// once, goes on with the one it has until it comes, and OpenSSL verifies both.
#[test]
fn an_authority_may_have_rsa_delegates() {
    alone(test_name!(an_authority_may_have_rsa_delegates), |softhsm| {
        let mut world = World::new(softhsm);
        let server = world.ready();
        world.append(&[issued(world.issuer, 1, BeforeActivation::Good)]);
        wait_for("good", || (ask(&world, 1) == CertStatus::Good).then_some(()));
        drop(server);
        let config = std::fs::read_to_string(world.path("ocsp.toml")).unwrap();
        let config =
            config.replace("name = \"person3\"", "name = \"person3\"\ndelegate-key = \"rsa-2048\"");
        std::fs::write(world.path("ocsp.toml"), config).unwrap();
        let _server = world.start();
        wait_for("good by the key that there is", || {
            let answer =
                post(world.address, "/ocsp", &world.ca.question(CertIdHash::Sha1, 1, None));
            matches!(OcspResponse::from_der(&answer.body), Ok(OcspResponse::Basic(_))).then_some(())
        });

        let key = world.answer_request();

        assert_eq!(key.key_type(), KeyType::Rsa { bits: 2048 });
        wait_for("an answer by the RSA key", || {
            let answer = answered(&world, &world.ca.question(CertIdHash::Sha256, 1, None));
            let basic = verified(&world, &answer.body);
            let signer = Certificate::from_der(&basic.certificates[0]).unwrap();
            (signer.public_key() == &key).then_some(())
        });
        let text = openssl(&world, &["-serial", &serial_text(1), "-resp_text"]);
        assert!(text.contains("Response verify OK"), "{text}");
        assert!(text.contains("sha256WithRSAEncryption"), "{text}");
    });
}
