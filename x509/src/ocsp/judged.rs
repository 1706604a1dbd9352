//! Our OCSP messages before OpenSSL, and other people's before our parser.
#![expect(clippy::disallowed_methods, reason = "tests measure how long reading takes")]

use std::time::{Duration, Instant};

use super::*;
use crate::judges::{self, NoRecord, TestCa};
use crate::key::{PublicKey, SignatureAlgorithm};
use crate::serial::SerialNumber;
use crate::signing::{IntentId, Pending, Recorded, SigningKind, ToBeSigned};
use crate::time::UnixTime;
use crate::tlv;

const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;
const NOW: u64 = 1_800_000_000;

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

fn serial(octet: u8) -> SerialNumber {
    SerialNumber::from_random([octet; 16])
}

fn respond(ca: &TestCa, answers: &[SingleAnswer<'_>], nonce: Option<&[u8]>) -> Vec<u8> {
    let data = ResponseData {
        responder_key: ca.public_key.key_bits_sha1(),
        produced_at: at(NOW),
        answers,
        nonce,
    }
    .to_der();
    let pending = Pending::new(
        IntentId::from_bytes([1; 16]),
        SigningKind::OcspAnswer,
        ca.public_key.clone(),
        ALGORITHM,
        ToBeSigned::Bytes(data.clone().into()),
    )
    .unwrap();
    let recorded = Recorded::by(NoRecord, pending.intent()).unwrap();
    let signature = ca.sign(&pending.input(&recorded).unwrap(), &data);
    let signed = pending.finish(signature).unwrap();
    successful(&data, ALGORITHM, signed.signature(), &ca.certificate).unwrap()
}

fn answer<'a>(cert_id: &'a CertId, status: CertStatus) -> SingleAnswer<'a> {
    SingleAnswer {
        cert_id,
        status,
        this_update: at(NOW - 10),
        next_update: at(NOW + 3600),
        archive_cutoff: None,
        invalidity_date: None,
    }
}

/// OCSP-05, OCSP-06, OCSP-07, OCSP-08: OpenSSL verifies the answer and reads the same, for every hash.
#[test]
fn openssl_verifies_our_answers_and_reads_the_same() {
    let Some(ca) = TestCa::new() else { return };
    let (issuer, _) = ca.name_and_key_id();
    let revoked =
        CertStatus::Revoked { at: at(NOW - 500), reason: Some(ReasonCode::CertificateHold) };
    for hash in CertIdHash::ALL {
        let ids: Vec<CertId> = (1..=4)
            .map(|octet| CertId::new(hash, &issuer, &ca.public_key, serial(octet)))
            .collect();
        let answers = [
            answer(&ids[0], CertStatus::Good),
            answer(&ids[1], revoked),
            answer(&ids[2], CertStatus::Revoked { at: at(NOW - 500), reason: None }),
            answer(&ids[3], CertStatus::Unknown),
        ];
        judges::write(&ca.path("r.der"), &respond(&ca, &answers, Some(&[0x6e; 32])));

        let text = judges::run(
            "openssl",
            &[
                "ocsp",
                "-respin",
                &ca.text_path("r.der"),
                "-CAfile",
                &ca.text_path("ca.pem"),
                "-resp_text",
                "-no_nonce",
            ],
        )
        .unwrap();

        assert!(text.contains("Response verify OK"), "{text}");
        for part in [
            "Cert Status: good",
            "Cert Status: revoked",
            "Cert Status: unknown",
            "Revocation Reason: certificateHold (0x6)",
            "Responder Id: ",
            "Produced At: Jan 15 08:00:00 2027 GMT",
            "This Update: Jan 15 07:59:50 2027 GMT",
            "Next Update: Jan 15 09:00:00 2027 GMT",
            "Revocation Time: Jan 15 07:51:40 2027 GMT",
            &"6E".repeat(32),
        ] {
            assert!(text.contains(part), "{part} not in {text}");
        }
        assert_eq!(text.matches("Revocation Reason").count(), 1);
    }
}

/// OCSP-05: what OpenSSL asks we read, and its CertID is the one that we compute.
#[test]
fn reads_the_requests_that_openssl_writes() {
    let Some(ca) = TestCa::new() else { return };
    let (issuer, _) = ca.name_and_key_id();
    for (flag, hash) in [
        ("-sha1", CertIdHash::Sha1),
        ("-sha256", CertIdHash::Sha256),
        ("-sha384", CertIdHash::Sha384),
        ("-sha512", CertIdHash::Sha512),
    ] {
        for nonce in ["-nonce", "-no_nonce"] {
            judges::run(
                "openssl",
                &[
                    "ocsp",
                    flag,
                    nonce,
                    "-issuer",
                    &ca.text_path("ca.pem"),
                    "-serial",
                    "0x5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a",
                    "-reqout",
                    &ca.text_path("q.der"),
                ],
            );
            let der = judges::read(&ca.path("q.der"));

            let request = OcspRequest::from_der(&der).unwrap();

            let ours = CertId::new(hash, &issuer, &ca.public_key, serial(0x5a));
            assert_eq!(request.cert_ids, [ours]);
            assert_eq!(request.nonce.is_some(), nonce == "-nonce");
            assert_eq!(request.to_der(), der);
        }
    }
}

/// OCSP-03: what was never issued, called revoked as RFC 6960 §2.2 has it, field by field, as OpenSSL
/// reads it; an answer about a certificate that was issued says nothing of that.
#[test]
fn what_was_never_issued_may_be_called_revoked() {
    let Some(ca) = TestCa::new() else { return };
    let (issuer, _) = ca.name_and_key_id();
    let id = CertId::new(CertIdHash::Sha1, &issuer, &ca.public_key, serial(1));
    let seen = |status| {
        let der = respond(&ca, &[answer(&id, status)], None);
        judges::write(&ca.path("r.der"), &der);
        let file = ca.text_path("r.der");
        let text =
            judges::run("openssl", &["ocsp", "-respin", &file, "-noverify", "-resp_text"]).unwrap();
        let OcspResponse::Basic(read) = OcspResponse::from_der(&der).unwrap() else {
            panic!("basic")
        };
        (text, read)
    };

    let (text, read) = seen(CertStatus::NeverIssued);

    for part in [
        "Cert Status: revoked",
        "Revocation Time: Jan  1 00:00:00 1970 GMT",
        "Revocation Reason: certificateHold (0x6)",
        "Response Extensions:",
        // What OpenSSL calls 1.3.6.1.5.5.7.48.1.9.
        "        valid:",
    ] {
        assert!(text.contains(part), "{part} not in {text}");
    }
    assert!(!text.contains("Response Single Extensions"), "{text}");
    let reason = Some(ReasonCode::CertificateHold);
    assert_eq!(read.answers[0].status, CertStatus::Revoked { at: UnixTime::EPOCH, reason });
    assert!(read.extended_revoke);
    let (text, read) = seen(CertStatus::Revoked { at: at(NOW - 500), reason });
    assert!(!text.contains("valid:") && !read.extended_revoke, "{text}");
}

/// RFC 6960 §4.4.7, OCSP-12: wishes for signature algorithms are read in their order, critical or
/// not; SHA-1 and what nobody knows is none, and a list that is none is malformed.
#[test]
fn wishes_for_algorithms_are_read_without_the_weak_ones() {
    let key = PublicKey::from_ec_point(&[4; 65]).unwrap();
    let id = CertId::new(CertIdHash::Sha1, b"\x30\x00", &key, serial(1));
    let preferred = vec![SignatureAlgorithm::RsaPkcs1Sha256, ALGORITHM];
    let request = OcspRequest { cert_ids: vec![id.clone()], nonce: Some(vec![1]), preferred };
    assert_eq!(OcspRequest::from_der(&request.to_der()), Ok(request));

    // sha1WithRSAEncryption, ecdsa-with-SHA1, then ecdsa-with-SHA256 with the curve beside it.
    let sha1_rsa = b"\x30\x0f\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00";
    let sha1_ecdsa = b"\x30\x0b\x30\x09\x06\x07\x2a\x86\x48\xce\x3d\x04\x01";
    let sha256_with_curve = b"\x30\x21\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02\
        \x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07";
    let asked = |value: &[u8], critical: bool| {
        let mut extension = Vec::new();
        crate::crl::push_extension(&mut extension, PREFERRED_ALGORITHMS_OID, critical, value);
        let extensions = tlv::sequence(&[&extension]);
        let list = tlv::sequence(&[&tlv::sequence(&[id.as_der()])]);
        let extensions = tlv::element(tlv::context_constructed(2), &[&extensions]);
        OcspRequest::from_der(&tlv::sequence(&[&tlv::sequence(&[&list, &extensions])]))
            .map(|request| request.preferred)
    };
    let weak_first = tlv::sequence(&[sha1_rsa, sha1_ecdsa, sha256_with_curve]);
    for critical in [false, true] {
        assert_eq!(asked(&weak_first, critical), Ok(vec![ALGORITHM]));
        assert_eq!(asked(&tlv::sequence(&[sha1_rsa]), critical), Ok(Vec::new()));
    }
    let malformed = Err(RequestError::Form("preferredSignatureAlgorithms"));
    assert_eq!(asked(&[tlv::NULL, 0], false), malformed);
    assert_eq!(asked(&tlv::sequence(&[&[tlv::NULL, 0]]), false), malformed);
    let many = vec![&sha256_with_curve[..]; 33];
    assert_eq!(asked(&tlv::sequence(&many), false), Err(RequestError::TooMany));
}

/// OCSP-05: a serial that no certificate of ours can have is asked about like any other, and echoed.
#[test]
fn a_serial_of_any_length_is_read_and_echoed() {
    let key = PublicKey::from_ec_point(&[4; 65]).unwrap();
    let hashes = CertId::new(CertIdHash::Sha256, b"\x30\x00", &key, serial(1));
    for (content, known) in
        [(&[0x00, 0x7f][..], true), (&[0xff; 20], true), (&[0x41; 21], false), (&[0; 200], false)]
    {
        let fields = tlv::Element::only(hashes.as_der(), tlv::SEQUENCE).unwrap().content;
        let (rest, _) = fields.split_at(fields.len() - 18);
        let der = tlv::sequence(&[rest, &tlv::element(tlv::INTEGER, &[content])]);
        let asked = tlv::sequence(&[&tlv::sequence(&[&tlv::sequence(&[&tlv::sequence(&[&der])])])]);

        let read = OcspRequest::from_der(&asked).unwrap();

        assert_eq!(read.cert_ids[0].as_der(), der);
        let octets = read.cert_ids[0].serial().map(|serial| serial.as_octets().to_vec());
        assert_eq!(octets, known.then(|| content.to_vec()));
    }
}

#[test]
fn our_parser_reads_and_verifies_what_we_wrote() {
    let Some(ca) = TestCa::new() else { return };
    let (issuer, _) = ca.name_and_key_id();
    let id = CertId::new(CertIdHash::Sha256, &issuer, &ca.public_key, serial(7));
    let single = SingleAnswer {
        archive_cutoff: Some(at(NOW - 100_000)),
        invalidity_date: Some(at(NOW - 9000)),
        ..answer(
            &id,
            CertStatus::Revoked { at: at(NOW - 1), reason: Some(ReasonCode::KeyCompromise) },
        )
    };
    let der = respond(&ca, &[single], Some(b"nonce"));

    let OcspResponse::Basic(read) = OcspResponse::from_der(&der).unwrap() else { panic!("basic") };

    assert_eq!(read.verify(&ca.public_key), Ok(()));
    assert_eq!(read.responder, ResponderId::ByKey(ca.public_key.key_bits_sha1().to_vec()));
    assert_eq!(read.nonce.as_deref(), Some(&b"nonce"[..]));
    assert_eq!(read.certificates, std::slice::from_ref(&ca.certificate));
    let [one] = &read.answers[..] else { panic!("one answer") };
    assert_eq!((&one.cert_id, one.status), (&id, single.status));
    assert_eq!((one.this_update, one.next_update), (at(NOW - 10), Some(at(NOW + 3600))));
    assert_eq!(
        (one.archive_cutoff, one.invalidity_date),
        (single.archive_cutoff, single.invalidity_date)
    );
    for index in 0..der.len() {
        let mut bad = der.clone();
        bad[index] ^= 0x11;
        if let Ok(OcspResponse::Basic(bad)) = OcspResponse::from_der(&bad) {
            let same = bad.response_data == read.response_data
                && bad.signature == read.signature
                && bad.algorithm_der == read.algorithm_der;
            assert!(same || bad.verify(&ca.public_key).is_err(), "octet {index}");
        }
    }
}

/// OCSP-02: five octets each, which OpenSSL names.
#[test]
fn refusals_are_what_openssl_calls_them() {
    let Some(ca) = TestCa::new() else { return };
    for (refusal, name) in [
        (Refusal::MalformedRequest, "malformedrequest"),
        (Refusal::InternalError, "internalerror"),
        (Refusal::TryLater, "trylater"),
        (Refusal::Unauthorized, "unauthorized"),
    ] {
        judges::write(&ca.path("r.der"), &refusal.to_der());

        let text = judges::run("openssl", &["ocsp", "-respin", &ca.text_path("r.der")]).unwrap();

        assert!(text.contains(name), "{text}");
        assert_eq!(
            OcspResponse::from_der(&refusal.to_der()),
            Ok(OcspResponse::Refused(refusal.code()))
        );
    }
}

/// OCSP-08: 1 to 128 octets are read, 0 and 129 are not (RFC 9654 §2.1).
#[test]
fn nonce_lengths_are_those_of_rfc_9654() {
    let key = PublicKey::from_ec_point(&[4; 65]).unwrap();
    let id = CertId::new(CertIdHash::Sha1, b"\x30\x00", &key, serial(1));
    for octets in [0_usize, 1, 15, 16, 32, 33, 128, 129] {
        let request = OcspRequest {
            cert_ids: vec![id.clone()],
            nonce: Some(vec![0x6e; octets]),
            preferred: Vec::new(),
        };

        let read = OcspRequest::from_der(&request.to_der());

        if (1..=128).contains(&octets) {
            assert_eq!(read, Ok(request));
        } else {
            assert_eq!(read, Err(RequestError::Nonce { octets }));
        }
    }
}

/// OCSP-14: 1, N and N + 1 questions.
#[test]
fn the_number_of_questions_is_bounded() {
    let key = PublicKey::from_ec_point(&[4; 65]).unwrap();
    let id = CertId::new(CertIdHash::Sha512, b"\x30\x00", &key, serial(1));
    for (count, good) in [(1, true), (MAX_REQUESTS, true), (MAX_REQUESTS + 1, false)] {
        let request =
            OcspRequest { cert_ids: vec![id.clone(); count], nonce: None, preferred: Vec::new() };

        assert_eq!(OcspRequest::from_der(&request.to_der()).is_ok(), good);
    }
}

/// OCSP-01: every hostile request has the outcome that its table allows.
#[test]
fn hostile_requests_have_the_outcome_of_their_table() {
    let Some(folder) = judges::vectors("hostile-A") else { return };
    let ocsp = folder.path().join("hostile/ocsp");
    let table = String::from_utf8(judges::read(&ocsp.join("expect.tsv"))).unwrap();
    let mut judged = 0;
    for line in table.lines() {
        let mut columns = line.split('\t');
        let (Some(name), Some(_), Some(allowed)) = (columns.next(), columns.next(), columns.next())
        else {
            panic!("{line}")
        };
        let der = judges::read(&ocsp.join(format!("{name}.der")));
        let started = Instant::now();

        let outcome = match OcspRequest::from_der(&der) {
            Ok(_) => "ok",
            Err(RequestError::UnknownHash) => "unauthorized",
            Err(_) => "malformed",
        };

        assert!(started.elapsed() < Duration::from_secs(5), "{name}");
        // Whether we are the issuer is decided later, so that ok may still become unauthorized.
        let fits = allowed
            .split('|')
            .any(|one| one == outcome || (one == "unauthorized" && outcome == "ok"));
        assert!(fits, "{name}: {outcome}, allowed {allowed}");
        judged += 1;
    }
    assert!(judged > 20);
}

/// OCSP-01, OCSP-08: public requests, and everything that looks like a message, without a panic.
#[test]
fn public_messages_are_read_or_refused_and_soon() {
    let verdicts = [
        // Its serial has 21 octets, which no certificate of ours or imported has: it is unknown.
        ("req-sha1.der", true),
        ("ocsp-army.valid-req.der", true),
        ("ocsp-army.inapplicable-req.der", true),
        ("req-ext-unknown-oid.der", true),
        ("req-duplicate-ext.der", false),
        ("req-invalid-version.der", false),
    ];
    if let Some(folder) = judges::vectors("ocsp-public") {
        for (name, good) in verdicts {
            let der = judges::read(&folder.path().join("ocsp-public").join(name));
            assert_eq!(OcspRequest::from_der(&der).is_ok(), good, "{name}");
        }
    }
    for archive in ["cryptography-x509", "boringssl-pki"] {
        let Some(folder) = judges::vectors(archive) else { continue };
        let mut read = 0;
        for path in judges::files(folder.path()) {
            let bytes = judges::read(&path);
            let started = Instant::now();
            let request = OcspRequest::from_der(&bytes).is_ok();
            let response = OcspResponse::from_der(&bytes).is_ok();
            read += u32::from(request) + u32::from(response);
            assert!(started.elapsed() < Duration::from_secs(5), "{}", path.display());
        }
        println!("{archive}: {read} messages read");
    }
}
