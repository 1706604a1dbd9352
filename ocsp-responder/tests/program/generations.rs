//! Several certificates of one CA, and several CAs of one name, answered for at once (OCSP-05, MIG-10).

use std::process::Command;

use status::{
    BeforeActivation, CertificateEntry, Change, IssuerRef, RevocationReason, StatusEntry,
};
use support::softhsm::alone;
use support::test_name;
use x509::certificate::Certificate;
use x509::ocsp::{CertId, CertIdHash, CertStatus, OcspRequest, OcspResponse};
use x509::serial::SerialNumber;

use crate::client::{get, post};
use crate::fixture::{TestCa, World, change, hex, issued, now, serial, wait_for};

/// Puts a CA's certificate into the publication tree and the configuration.
fn configure(world: &World, name: &str, certificate: &Certificate, delegates: &str) {
    std::fs::write(world.path(&format!("publish/aia/{name}.cer")), certificate.as_der()).unwrap();
    let sha256 = hex(&certificate.fingerprint());
    world.edit_config(|text| {
        format!(
            "{text}[[authority]]\nname = \"{name}\"\nsha256 = \"{sha256}\"\ndelegates = \"{delegates}\"\n"
        )
    });
}

/// What the responder says of a certificate, in the CertID that was asked with.
fn ask(world: &World, issuer: &Certificate, hash: CertIdHash, serial: SerialNumber) -> CertStatus {
    let id = CertId::new(hash, issuer.subject().as_der(), issuer.public_key(), serial);
    let request = OcspRequest { cert_ids: vec![id.clone()], nonce: None, preferred: Vec::new() };
    // A machine that stands still for seconds puts a question off: then again.
    let basic = wait_for("an answer", || {
        let body = post(world.address, "/ocsp", &request.to_der()).body;
        match OcspResponse::from_der(&body).unwrap() {
            OcspResponse::Basic(basic) => Some(basic),
            OcspResponse::Refused(3) => None,
            OcspResponse::Refused(code) => panic!("refused: {code}"),
        }
    });
    let delegate = Certificate::from_der(&basic.certificates[0]).unwrap();
    delegate.verify_signed_by(issuer.public_key()).unwrap();
    basic.verify(delegate.public_key()).unwrap();
    assert_eq!(basic.answers[0].cert_id.as_der(), id.as_der(), "echoed octet by octet");
    basic.answers[0].status
}

/// What OpenSSL hears that knows this certificate of the CA alone.
fn openssl(world: &World, issuer: &Certificate, hash: &str, serial: SerialNumber) -> String {
    let (der, pem) = (world.path("issuer.der"), world.path("issuer.pem"));
    std::fs::write(&der, issuer.as_der()).unwrap();
    let converted = Command::new("openssl")
        .args(["x509", "-inform", "DER", "-in"])
        .arg(&der)
        .arg("-out")
        .arg(&pem)
        .status();
    assert!(converted.unwrap().success());
    let output = Command::new("openssl")
        .args(["ocsp", hash, "-no_nonce", "-partial_chain", "-issuer"])
        .arg(&pem)
        .arg("-CAfile")
        .arg(&pem)
        .args(["-url", &format!("http://{}/ocsp", world.address)])
        .args(["-serial", &format!("0x{serial}")])
        .output()
        .unwrap();
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}

const HASHES: [(CertIdHash, &str); 4] = [
    (CertIdHash::Sha1, "-sha1"),
    (CertIdHash::Sha256, "-sha256"),
    (CertIdHash::Sha384, "-sha384"),
    (CertIdHash::Sha512, "-sha512"),
];

/// OCSP-05, MIG-10: by each hash and each certificate of each generation the answer is the one of the
/// CA that issued, under its own key; a serial of one generation is not the other's.
#[test]
fn every_generation_of_a_ca_is_answered_for_by_every_hash() {
    alone(test_name!(every_generation_of_a_ca_is_answered_for_by_every_hash), |softhsm| {
        let mut world = World::new(softhsm);
        let (root, rekeyed) = (TestCa::new("root"), TestCa::new("person3"));
        let renewed = world.ca.further(&world.ca, std::time::Duration::from_secs(40 * 86_400));
        let crossed = world.ca.further(&root, std::time::Duration::from_secs(3600));
        assert_eq!(rekeyed.certificate.subject(), world.ca.certificate.subject());
        configure(&world, "person3-renewed", &renewed, "shared");
        configure(&world, "person3-crossed", &crossed, "shared");
        configure(&world, "person3-rekeyed", &rekeyed.certificate, "requested");
        let second = IssuerRef::from_index(world.inner.lock().unwrap().next_index());
        let expired = {
            let not_after = now().saturating_sub(std::time::Duration::from_secs(86_400));
            let classes = status::AnswerClasses::USUAL;
            change(world.issuer, 3, Change::Issued { not_after, classes })
        };
        world.append(&[
            StatusEntry::IssuerDeclared { log_time: now(), issuer: rekeyed.issuer_id() },
            issued(world.issuer, 1, BeforeActivation::Good),
            expired,
            issued(second, 2, BeforeActivation::Good),
            change(second, 2, Change::Revoked { reason: None, invalidity_date: None }),
        ]);
        world.beat();
        let _server = world.start();
        world.answer_request();
        world.answer_request_of("person3-rekeyed", &rekeyed);
        world.wait_until_ready();
        assert_eq!(
            std::fs::read_dir(world.path("outbox/responder")).unwrap().count(),
            2,
            "a further certificate of a CA asks for no delegate of its own"
        );

        let old = [&world.ca.certificate, &renewed, &crossed];
        for (hash, option) in HASHES {
            for issuer in old {
                assert_eq!(ask(&world, issuer, hash, serial(1)), CertStatus::Good);
                assert_eq!(ask(&world, issuer, hash, serial(2)), CertStatus::Unknown);
                let said = openssl(&world, issuer, option, serial(1));
                assert!(said.contains("Response verify OK") && said.contains(": good"), "{said}");
            }
            let new = &rekeyed.certificate;
            assert!(matches!(ask(&world, new, hash, serial(2)), CertStatus::Revoked { .. }));
            assert_eq!(ask(&world, new, hash, serial(1)), CertStatus::Unknown);
            let said = openssl(&world, new, option, serial(2));
            assert!(said.contains("Response verify OK") && said.contains(": revoked"), "{said}");
        }

        // OCSP-13: the archive begins with the oldest certificate of the CA, whichever is asked by.
        let question = world.ca.question(CertIdHash::Sha1, 3, None);
        let body = post(world.address, "/ocsp", &question).body;
        let answer = crate::answers::verified(&world, &body).answers.remove(0);
        assert_eq!(answer.status, CertStatus::Good);
        assert_eq!(answer.archive_cutoff, Some(renewed.validity().not_before()));

        // One request may mix certificates of one issuer, and not of two of the same name.
        let one = |issuer: &Certificate, octet| {
            let (name, key) = (issuer.subject().as_der(), issuer.public_key());
            CertId::new(CertIdHash::Sha256, name, key, serial(octet))
        };
        for (ids, refused) in [
            (vec![one(&renewed, 1), one(&crossed, 3)], false),
            (vec![one(&renewed, 1), one(&rekeyed.certificate, 2)], true),
        ] {
            let request = OcspRequest { cert_ids: ids, nonce: None, preferred: Vec::new() };
            let body = post(world.address, "/ocsp", &request.to_der()).body;
            let is_refused = OcspResponse::from_der(&body) == Ok(OcspResponse::Refused(6));
            assert_eq!(is_refused, refused);
        }
    });
}

/// A further certificate whose CA has no authority with delegates is told of by readiness, and asked
/// about it gets tryLater.
#[test]
fn a_shared_delegate_that_nobody_has_is_told_of() {
    alone(test_name!(a_shared_delegate_that_nobody_has_is_told_of), |softhsm| {
        let mut world = World::new(softhsm);
        let lonely = TestCa::new("lonely");
        configure(&world, "lonely", &lonely.certificate, "shared");
        world.beat();
        let _server = world.start();
        world.answer_request();

        let said = wait_for("readiness to miss one delegate alone", || {
            let said = get(world.observe, "localhost", "/readyz");
            let said = String::from_utf8(said.body).unwrap();
            (!said.contains("person3") && said.contains("lonely")).then_some(said)
        });
        assert!(said.contains("no delegate for authority lonely"), "{said}");
        let body = post(world.address, "/ocsp", &lonely.question(CertIdHash::Sha1, 1, None)).body;
        assert_eq!(OcspResponse::from_der(&body), Ok(OcspResponse::Refused(3)));
    });
}

/// OCSP-05: certificates of another operator keep their serials, of whatever length and sign, and their
/// revocation dates.
#[test]
fn imported_serials_are_answered_for_as_they_are() {
    alone(test_name!(imported_serials_are_answered_for_as_they_are), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();
        let serials: Vec<SerialNumber> =
            [&[0x00][..], &[0x05], &[0x00, 0xff], &[0xff, 0x01], &[0x00, 0x00, 0x07], &[0x7f; 20]]
                .iter()
                .map(|octets| SerialNumber::from_content_octets(octets).unwrap())
                .collect();
        let long_ago = now().saturating_sub(std::time::Duration::from_secs(9_000_000));
        let entry = |serial, effective_time, change| {
            let (log_time, issuer) = (now(), world.issuer);
            StatusEntry::Certificate(CertificateEntry {
                log_time,
                effective_time,
                issuer,
                serial,
                change,
            })
        };
        let not_after = now().checked_add(std::time::Duration::from_secs(86_400)).unwrap();
        let classes = status::AnswerClasses::USUAL;
        let reason = Some(RevocationReason::KeyCompromise);
        let revoked = Change::Revoked { reason, invalidity_date: None };
        for serial in &serials {
            world.append(&[
                entry(*serial, long_ago, Change::Issued { not_after, classes }),
                entry(*serial, long_ago, revoked),
            ]);
        }
        let issuer = &world.ca.certificate;
        for (hash, _) in HASHES {
            for serial in &serials {
                let reason = Some(x509::crl::ReasonCode::KeyCompromise);
                let said = CertStatus::Revoked { at: long_ago, reason };
                wait_for("the log", || (ask(&world, issuer, hash, *serial) == said).then_some(()));
            }
        }
    });
}
