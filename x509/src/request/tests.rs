use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

use super::*;
use crate::extension::{Criticality, ExtensionValue as _, Ia5Text, OcspNoCheck};
use crate::judges;
use crate::key::SignatureAlgorithm;
use crate::oid::attribute;
use crate::pem::{self, Label};

/// What a table says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Refused,
}

fn judged(der: &[u8]) -> Verdict {
    let proven = CertificationRequest::from_der(der)
        .is_ok_and(|request| request.verify_possession().is_ok());
    if proven { Verdict::Accepted } else { Verdict::Refused }
}

/// Requests that a profile refuses and that are well-formed and proven: `ca` has their tests.
const FOR_THE_PROFILE: [&str; 3] = ["rsa-in-ec-profile", "cn-65-chars", "san-wildcard-tld"];

/// ISS-13: the hostile requests, as their table says.
#[test]
fn judges_the_hostile_requests_as_their_table_does() {
    let Some(folder) = judges::vectors("hostile-A") else { return };
    let csr = folder.path().join("hostile/csr");
    let table = String::from_utf8(judges::read(&csr.join("expect.tsv"))).unwrap();
    let mut judged_ones = 0;
    for line in table.lines() {
        let mut columns = line.split('\t');
        let (name, expectation) = (columns.next().unwrap(), columns.nth(1).unwrap());
        let path = csr.join(format!("{name}.der"));
        if !path.exists() || FOR_THE_PROFILE.contains(&name) {
            continue;
        }
        let expected = match expectation {
            "ok" | "ignore" => Verdict::Accepted,
            _ => Verdict::Refused,
        };

        assert_eq!(judged(&judges::read(&path)), expected, "{name}");
        judged_ones += 1;
    }
    assert_eq!(judged_ones, 34);
}

/// ISS-13: the refusal names what was refused.
#[test]
fn names_what_is_wrong_with_the_hostile_requests() {
    let Some(folder) = judges::vectors("hostile-A") else { return };
    let read = |name: &str| {
        let path = folder.path().join(format!("hostile/csr/{name}.der"));
        CertificationRequest::from_der(&judges::read(&path))
    };

    for (name, error) in [
        ("zeros", RequestError::NotDer),
        ("nested-10000", RequestError::NotDer),
        ("indefinite-length", RequestError::NotDer),
        ("trailing-bytes", RequestError::NotDer),
        ("truncated-header", RequestError::NotDer),
        ("version-negative", RequestError::Version),
        ("signature-sha1", RequestError::Algorithm),
        ("subject-100k", RequestError::TooLong { octets: 106_758 }),
        ("extreq-twice", RequestError::AttributeTwice { oid: request::EXTENSION_REQUEST }),
        ("attr-empty-set", RequestError::AttributeWithoutValue { oid: request::EXTENSION_REQUEST }),
        (
            "san-empty-sequence",
            RequestError::Extension(ExtensionError::Value { oid: SubjectAltName::OID }),
        ),
        ("country-3-letters", RequestError::Subject(NameError::Fault(NameFault::Country))),
    ] {
        assert_eq!(read(name).err(), Some(error), "{name}");
    }
    assert_eq!(
        read("signature-by-other-key").unwrap().verify_possession(),
        Err(PossessionError::BadSignature)
    );
    assert_eq!(
        read("rsa-1024").unwrap().verify_possession(),
        Err(PossessionError::RsaSize { bits: 1024 })
    );
    let with_password = read("challenge-password").unwrap();
    assert_eq!(with_password.challenge_password(), ChallengePassword::Present);
    assert!(!format!("{with_password:?}").contains("secret"));
}

/// ISS-13: where two of three known parsers refuse, we refuse; nothing else panics or hangs.
#[test]
fn refuses_the_public_requests_that_two_other_parsers_refuse() {
    let Some(folder) = judges::vectors("csr-public") else { return };
    let root = folder.path().join("csr-public");
    let facts = String::from_utf8(judges::read(&root.join("facts.tsv"))).unwrap();
    let mut accepted = Vec::new();
    for line in facts.lines().filter(|line| !line.starts_with('#')) {
        let columns: Vec<&str> = line.split('\t').collect();
        let bytes = judges::read(&root.join(columns[0]));
        let der = match std::str::from_utf8(&bytes) {
            Ok(text) => pem::decode_one(text, Label::CertificateRequest).unwrap_or(bytes.clone()),
            Err(_) => bytes.clone(),
        };
        let refusals = columns[1..]
            .iter()
            .filter(|fact| {
                fact.starts_with("parse-error")
                    || fact.starts_with("sig-bad")
                    || fact.contains("MBEDTLS_ERR")
            })
            .count();

        let verdict = judged(&der);

        assert!(refusals < 2 || verdict == Verdict::Refused, "{line}");
        if verdict == Verdict::Accepted {
            accepted.push(columns[0].to_owned());
        }
    }
    accepted.sort();
    assert_eq!(
        accepted,
        [
            "boulder/cn_and_san.der.csr",
            "boulder/ct_poison_extension_empty.der.csr",
            "boulder/long_cn.der.csr",
            "boulder/must_staple.der.csr",
            "boulder/no_names.der.csr",
            "boulder/unsupported_extension.der.csr",
            "cryptography/ec_sha256.der",
            "cryptography/ec_sha256.pem",
            "cryptography/rsa_sha256.pem",
            "mbedtls/unsupported_critical_extension_critical_true.der",
            "mbedtls/unsupported_non_critical_extension_critical_undefined.der",
        ]
    );
}

/// Every algorithm in the list, by the tool that most requesters use.
#[test]
fn accepts_requests_of_openssl_with_every_algorithm() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let pss = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:digest"];
    for (key, digests, options) in [
        ("ec:P-256", &["sha256", "sha384", "sha512"][..], &[][..]),
        ("ec:P-384", &["sha256", "sha384", "sha512"], &[]),
        ("rsa:2048", &["sha256", "sha384", "sha512"], &[]),
        ("rsa:2048", &["sha256", "sha384", "sha512"], &pss),
        ("ed25519", &["null"], &[]),
    ] {
        let generate: Vec<String> = match key.split_once(':') {
            Some(("ec", curve)) => {
                vec!["EC".into(), "-pkeyopt".into(), format!("ec_paramgen_curve:{curve}")]
            }
            Some((_, bits)) => {
                vec!["RSA".into(), "-pkeyopt".into(), format!("rsa_keygen_bits:{bits}")]
            }
            None => vec!["ED25519".into()],
        };
        let key_path = path("key.pem");
        let mut arguments = vec!["genpkey", "-out", &key_path, "-algorithm"];
        arguments.extend(generate.iter().map(String::as_str));
        if judges::run("openssl", &arguments).is_none() {
            return;
        }
        for digest in digests {
            let (csr, hash) = (path("csr.der"), format!("-{digest}"));
            let mut arguments = vec![
                "req",
                "-new",
                "-key",
                &key_path,
                "-outform",
                "DER",
                "-out",
                &csr,
                "-subj",
                "/C=SE/O=Åkeri/CN=a.example.org",
                "-utf8",
                "-addext",
                "subjectAltName=DNS:a.example.org,email:a@example.org",
            ];
            arguments.extend(options);
            if *digest != "null" {
                arguments.push(&hash);
            }
            judges::run("openssl", &arguments).unwrap();

            let request = CertificationRequest::from_der(&judges::read(csr.as_ref())).unwrap();

            assert_eq!(request.verify_possession(), Ok(()), "{key} {digest} {options:?}");
            assert_eq!(request.subject().to_string(), "CN=a.example.org,O=Åkeri,C=SE");
            assert_eq!(
                request.requested_alt_names(),
                [
                    GeneralName::Dns(Ia5Text::new("a.example.org").unwrap()),
                    GeneralName::Rfc822(Ia5Text::new("a@example.org").unwrap()),
                ]
            );
        }
    }
}

/// A request made here, to be varied where OpenSSL would not.
fn made(subject: &[u8], attributes: &[&[u8]]) -> Vec<u8> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    let key = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
    let attributes = tlv::element(tlv::context_constructed(0), attributes);
    let info = tlv::sequence(&[&[2, 1, 0], subject, key.spki_der(), &attributes]);
    let signature = pair.sign(&SystemRandom::new(), &info).unwrap();
    crate::signing::assemble(&info, SignatureAlgorithm::EcdsaP256Sha256, signature.as_ref())
        .unwrap()
}

fn attribute(oid: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    tlv::sequence(&[&tlv::oid(oid), &tlv::element(tlv::SET, &[value])])
}

/// ISS-13: what a profile may ignore is not judged here.
#[test]
fn tolerates_long_names_foreign_string_types_and_unsorted_attributes() {
    let long = [&b"\x30\x51\x31\x4f\x30\x4d\x06\x03\x55\x04\x03\x0c\x46"[..], &[b'a'; 70]].concat();
    let underscore = b"\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x05\x13\x03a_b";
    let lower_case = b"\x30\x0d\x31\x0b\x30\x09\x06\x03\x55\x04\x06\x13\x02se";
    let empty = [0x30, 0];
    let extensions = extension::list_to_der(&[OcspNoCheck.extension(Criticality::Critical)]);
    let unsorted = [
        attribute(request::EXTENSION_REQUEST, &extensions),
        attribute(ObjectIdentifier::parse("1.2.3").unwrap(), &[5, 0]),
    ];
    let unsorted: Vec<&[u8]> = unsorted.iter().map(Vec::as_slice).collect();

    for subject in [&long[..], underscore, lower_case, &empty] {
        let request = CertificationRequest::from_der(&made(subject, &unsorted)).unwrap();

        assert_eq!(request.subject().as_der(), subject);
        assert_eq!(request.verify_possession(), Ok(()));
        assert_eq!(request.requested_extensions().len(), 1);
        assert_eq!(request.challenge_password(), ChallengePassword::Absent);
    }
}

/// ISS-13: text that may mislead whoever approves it.
#[test]
fn refuses_control_characters_in_the_subject() {
    let subject = b"\x30\x0e\x31\x0c\x30\x0a\x06\x03\x55\x04\x03\x0c\x03a\0b";

    assert_eq!(
        CertificationRequest::from_der(&made(subject, &[])).err(),
        Some(RequestError::Subject(NameError::Fault(NameFault::IllegalCharacter {
            attribute: attribute::COMMON_NAME,
            kind: crate::name::StringKind::Utf8,
            character: '\0',
        })))
    );
}

#[test]
fn refuses_two_values_of_the_single_valued_extension_request() {
    let extensions = extension::list_to_der(&[OcspNoCheck.extension(Criticality::Critical)]);
    let twice = attribute(request::EXTENSION_REQUEST, &extensions.repeat(2));

    assert_eq!(
        CertificationRequest::from_der(&made(&[0x30, 0], &[&twice])).err(),
        Some(RequestError::NotDer)
    );
}

/// ISS-13: possession is proven over the received bytes: no flipped bit survives.
#[test]
fn no_flipped_bit_survives() {
    let der = made(&[0x30, 0], &[]);
    assert_eq!(judged(&der), Verdict::Accepted);
    for position in 0..der.len() {
        let mut changed = der.clone();
        changed[position] ^= 1;

        assert_eq!(judged(&changed), Verdict::Refused, "octet {position}");
    }
}
