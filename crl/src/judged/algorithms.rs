//! Lists signed with every algorithm: OpenSSL verifies them, and so does the reader that streams.

use aws_lc_rs::signature::{
    ECDSA_P384_SHA384_ASN1_SIGNING, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384,
    RSA_PKCS1_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding, RsaKeyPair,
};
use x509::crl::MAX_WHOLE_OCTETS;

use super::*;

/// A CA on a key of the kind that `algorithm` wants, with the certificate and PKCS#8 that OpenSSL
/// made. `None` where it is not installed.
fn authority(algorithm: SignatureAlgorithm) -> Option<(TempDir, CrlIssuer, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let kind: &[&str] = match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => {
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
        }
        SignatureAlgorithm::EcdsaP384Sha384 => {
            &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"]
        }
        SignatureAlgorithm::Ed25519 => &["-algorithm", "ED25519"],
        _ => &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    };
    let (key, pem, der, pkcs8) = (path("key"), path("ca.pem"), path("ca.der"), path("pkcs8"));
    let made = [&["genpkey"], kind, &["-out", &key]].concat();
    let certified = ["req", "-x509", "-new", "-key", &key, "-days", "7000", "-out", &pem];
    let facts = ["-subj", "/C=SE/CN=CA", "-addext", "keyUsage=critical,keyCertSign,cRLSign"];
    let turned = ["pkcs8", "-topk8", "-nocrypt", "-in", &key, "-outform", "DER", "-out", &pkcs8];
    for step in [
        &made[..],
        &[&certified[..], &facts].concat(),
        &["x509", "-in", &pem, "-outform", "DER", "-out", &der],
        &turned,
    ] {
        let Ok(output) = Command::new("openssl").args(step).output() else {
            println!("skipped: openssl is not installed");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let certificate = Certificate::from_der(&read(&der)).unwrap();
    let issuer = CrlIssuer::new(certificate, algorithm).unwrap();
    Some((folder, issuer, read(&pkcs8)))
}

fn sign(algorithm: SignatureAlgorithm, pkcs8: &[u8], message: &[u8]) -> Vec<u8> {
    let random = SystemRandom::new();
    let rsa = |encoding: &'static dyn RsaEncoding| {
        let pair = RsaKeyPair::from_pkcs8(pkcs8).unwrap();
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(encoding, &random, message, &mut signature).unwrap();
        signature
    };
    let ecdsa = |kind| {
        let pair = EcdsaKeyPair::from_pkcs8(kind, pkcs8).unwrap();
        pair.sign(&random, message).unwrap().as_ref().to_vec()
    };
    match algorithm {
        SignatureAlgorithm::EcdsaP256Sha256 => ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
        SignatureAlgorithm::EcdsaP384Sha384 => ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
        SignatureAlgorithm::Ed25519 => {
            let pair = Ed25519KeyPair::from_pkcs8(pkcs8).unwrap();
            pair.sign(message).as_ref().to_vec()
        }
        SignatureAlgorithm::RsaPkcs1Sha256 => rsa(&RSA_PKCS1_SHA256),
        SignatureAlgorithm::RsaPkcs1Sha384 => rsa(&RSA_PKCS1_SHA384),
        SignatureAlgorithm::RsaPkcs1Sha512 => rsa(&RSA_PKCS1_SHA512),
        SignatureAlgorithm::RsaPssSha256 => rsa(&RSA_PSS_SHA256),
        SignatureAlgorithm::RsaPssSha384 => rsa(&RSA_PSS_SHA384),
        SignatureAlgorithm::RsaPssSha512 => rsa(&RSA_PSS_SHA512),
    }
}

/// KEY-11: how a CA signs its lists is its configuration; each way is verified by OpenSSL and by our
/// own reader, and a changed list by neither.
#[test]
fn openssl_verifies_lists_of_every_algorithm() {
    for algorithm in SignatureAlgorithm::ALL {
        let Some((folder, issuer, pkcs8)) = authority(algorithm) else { return };
        let number = CrlNumber::first();
        let mut spool = spool();
        let rows = [entry(1, NOW - 5, None), entry(2, NOW - 4, None)].map(Ok::<_, &str>);
        let none: Option<PreviousCrl<&[u8]>> = None;

        let prepared =
            prepare(&order(&issuer, &number, NOW), rows, &mut spool, none, &mut unexplained)
                .unwrap();
        let recorded = Recorded::by(NoRecord, prepared.pending.intent()).unwrap();
        let input = prepared.pending.input(&recorded).unwrap();
        let tbs = spool.file.get_ref().clone();
        if let ToBeSigned::Bytes(bytes) = input.to_be_signed() {
            assert_eq!((&bytes[..], algorithm), (&tbs[..], SignatureAlgorithm::Ed25519));
        }
        let signed = prepared.pending.finish(sign(algorithm, &pkcs8, &tbs)).unwrap();
        spool.file.rewind().unwrap();
        let mut crl = Vec::new();
        finish(&signed, &mut spool.file, &mut crl).unwrap();

        let judge = |crl: &[u8]| {
            let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
            write(&path("crl"), crl);
            let said = Command::new("openssl")
                .args(["crl", "-inform", "DER", "-in", &path("crl"), "-CAfile", &path("ca.pem")])
                .args(["-noout", "-verify"])
                .output()
                .unwrap();
            let theirs = String::from_utf8_lossy(&said.stderr).contains("verify OK");
            let reader = CrlReader::start(crl, CrlForm::CertificateList, MAX_OCTETS).unwrap();
            let tail = reader.finish().unwrap();
            (theirs, tail.verify(issuer.certificate().public_key()).is_ok())
        };
        assert_eq!(judge(&crl), (true, true), "{algorithm}");
        let last = crl.last_mut().unwrap();
        *last ^= 1;
        assert_eq!(judge(&crl), (false, false), "{algorithm}");
    }
}

/// CRL-14: Ed25519 signs the whole list, so the memory for it has a limit, told by name; what is
/// above it is neither signed nor verified.
#[test]
fn refuses_an_ed25519_list_that_is_too_long_to_be_held() {
    let Some((_folder, issuer, _)) = authority(SignatureAlgorithm::Ed25519) else { return };
    let number = CrlNumber::first();
    let rows = (0..500_000_u32).map(|index| {
        let mut random = [0; 16];
        random[..4].copy_from_slice(&index.to_be_bytes());
        Ok::<_, &str>(CrlEntry::from(RevokedEntry {
            serial: SerialNumber::from_random(random),
            revocation_date: at(NOW - 1),
            reason: None,
            invalidity_date: None,
        }))
    });
    let mut spool = spool();
    let none: Option<PreviousCrl<&[u8]>> = None;

    let refused = prepare(&order(&issuer, &number, NOW), rows, &mut spool, none, &mut unexplained);

    let octets = match refused {
        Err(PrepareError::WholeMessage { octets }) => octets,
        other => panic!("{other:?}"),
    };
    assert!(octets > MAX_WHOLE_OCTETS, "{octets}");
    spool.file.rewind().unwrap();
    let reader = CrlReader::start(&mut spool.file, CrlForm::ToBeSigned, MAX_OCTETS).unwrap();
    assert!(reader.finish().unwrap().message.is_none());
}
