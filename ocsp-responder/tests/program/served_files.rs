//! CRLs and CA certificates over HTTP (CRL-12).

use ledger::manifest::Manifest;
use sha2::{Digest as _, Sha256};
use status::{CRL_MANIFEST, PublishedCrl};
use support::softhsm::alone;
use support::test_name;
use x509::crl::{CrlFacts, TbsWriter};
use x509::key::SignatureAlgorithm;
use x509::signing;

use crate::client::{get, send};
use crate::fixture::{DEPLOYMENT, NoteKey, World, hex, now, replace, wait_for};

fn crl(world: &World, number: u8) -> Vec<u8> {
    let ca = &world.ca.certificate;
    let facts = CrlFacts {
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
        issuer: ca.subject().as_der(),
        authority_key_id: &ca.ski().unwrap().0,
        this_update: now(),
        next_update: now().checked_add(std::time::Duration::from_secs(3600)).unwrap(),
        number: &[number],
        kind: x509::crl::CrlKind::COMPLETE,
        issuing_distribution_point: None,
        expired_certs_on_crl: None,
    };
    let (tbs, _) = TbsWriter::start(Vec::new(), &facts, 0).unwrap().finish().unwrap();
    signing::assemble(&tbs, facts.algorithm, &world.ca.sign(&tbs)).unwrap()
}

fn publish(world: &World, key: &NoteKey, number: u8, listed: &[u8], file: &[u8]) {
    replace(&world.path("publish/crl/person3.crl"), file);
    let row = PublishedCrl {
        path: "crl/person3.crl".to_owned(),
        sha256: Sha256::digest(listed).into(),
        number: format!("{number:02X}"),
        position: None,
    };
    let name = CRL_MANIFEST.parse().unwrap();
    let manifest = Manifest::new(DEPLOYMENT.parse().unwrap(), name, [row.to_string()]).unwrap();
    replace(&world.path("publish/crl/manifest"), manifest.sign(key).unwrap().as_bytes());
}

/// CRL-12, CRL-11: one DER with its type and its labels, over IPv4 and IPv6, at the URL itself; nothing else than what is listed, and nothing older.
#[test]
fn serves_only_what_the_signed_manifest_lists_and_never_an_older_one() {
    alone(
        test_name!(serves_only_what_the_signed_manifest_lists_and_never_an_older_one),
        |softhsm| {
            let mut world = World::new(softhsm);
            let server = world.ready();
            let fetch = || get(world.address, "crl1.example.org", "/person3.crl");
            assert_eq!(fetch().status, 404);
            let inner = world.inner.lock().unwrap();
            let (one, two) = (crl(&world, 1), crl(&world, 2));

            publish(&world, &inner.manifest_key, 1, &one, &one);
            let answer = wait_for("the first CRL", || Some(fetch()).filter(|it| it.status == 200));
            assert_eq!(answer.body, one);
            assert_eq!(answer.header("content-type"), Some("application/pkix-crl"));
            let etag = format!("\"{}\"", hex(&Sha256::digest(&one)));
            assert_eq!(answer.header("etag"), Some(etag.as_str()));
            assert!(answer.header("cache-control").unwrap().starts_with("max-age=300,"));
            assert!(answer.header("last-modified").is_some() && answer.header("expires").is_some());
            // At once, over IPv6 as over IPv4, and with what it says of its length.
            let on_v6 = get(world.address_v6, "crl1.example.org", "/person3.crl");
            assert_eq!((on_v6.status, &on_v6.body, on_v6.header("location")), (200, &one, None));
            let length = one.len().to_string();
            assert_eq!(on_v6.header("content-length"), Some(length.as_str()));
            let head = format!("GET /person3.crl HTTP/1.1\r\nHost: a\r\nIf-None-Match: {etag}");
            assert_eq!(send(world.address, &head, b"").status, 304);

            // Another file than the listed one, and a manifest by another key.
            publish(&world, &inner.manifest_key, 2, &two, b"not the list");
            wait_for("a refusal", || server.printed().contains("does not list").then_some(()));
            assert_eq!(fetch().body, one);
            publish(&world, &NoteKey::new(), 2, &two, &two);
            wait_for("a refusal", || server.printed().contains("not authentic").then_some(()));
            assert_eq!(fetch().body, one);

            publish(&world, &inner.manifest_key, 2, &two, &two);
            wait_for("the second CRL", || (fetch().body == two).then_some(()));
            publish(&world, &inner.manifest_key, 1, &one, &one);
            wait_for("a refusal", || server.printed().contains("has been served").then_some(()));
            assert_eq!(fetch().body, two);
        },
    );
}

#[test]
fn serves_the_pinned_certificate_with_its_type() {
    alone(test_name!(serves_the_pinned_certificate_with_its_type), |softhsm| {
        let mut world = World::new(softhsm);
        let _server = world.ready();

        let answer = get(world.address, "aia", "/person3.cer");

        assert_eq!(answer.status, 200);
        assert_eq!(answer.body, world.ca.certificate.as_der());
        assert_eq!(answer.header("content-type"), Some("application/pkix-cert"));
        let head = send(world.address, "HEAD /person3.cer HTTP/1.1\r\nHost: a", b"");
        assert_eq!((head.status, head.body.len()), (200, 0));
    });
}
