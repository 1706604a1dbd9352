use std::collections::BTreeMap;
use std::path::Path;

use x509_parser::prelude::FromDer as _;

use super::*;
use crate::certificate::{CertificateTemplate, NameField};
use crate::extension::{
    BasicConstraints, Criticality, KeyUsageBit, OcspNoCheck, SubjectKeyIdentifier,
};
use crate::judges;
use crate::name::{AttributeType, NameFault, StringKind};
use crate::oid::{attribute, extension};
use crate::pem::{self, Label};
use crate::signing::assemble;
use crate::validity::Validity;

/// The 30 public SITHS certificates by file name without its ending; none where they are absent.
fn reference() -> BTreeMap<String, Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/reference/siths");
    if !Path::new(folder).exists() {
        println!("skipped: no {folder}");
        return BTreeMap::new();
    }
    let mut found = BTreeMap::new();
    for path in judges::files(Path::new(folder)) {
        if let Some(name) = path.to_str().and_then(|path| path.strip_suffix(".pem")) {
            let text = String::from_utf8(judges::read(&path)).unwrap();
            let name = name.rsplit('/').next().unwrap().to_owned();
            found.insert(name, pem::decode_one(&text, Label::Certificate).unwrap());
        }
    }
    assert_eq!(found.len(), 30);
    found
}

fn components() -> [Defect; 2] {
    ["Services", "Nod1"]
        .map(|text| Defect::DomainComponent { field: NameField::Subject, text: text.to_owned() })
}

fn in_subject(fault: NameFault) -> Defect {
    Defect::Name { field: NameField::Subject, fault }
}

fn underscore() -> Defect {
    in_subject(NameFault::IllegalCharacter {
        attribute: attribute::SERIAL_NUMBER,
        kind: StringKind::Printable,
        character: '_',
    })
}

/// What we know to be wrong with each certificate, from OpenSSL and a hexadecimal dump.
fn known_defects(name: &str) -> Vec<Defect> {
    let [services, nod] = components();
    let underscored =
        vec![services.clone(), nod.clone(), underscore(), Defect::KeyUsageTrailingZeros];
    let with_sha1 = |rest: Vec<Defect>| [vec![Defect::Sha1], rest].concat();
    match name {
        "siths-ca-test-v3" => with_sha1(vec![Defect::KeyUsageNotCritical]),
        "siths-ca-test-v4" | "siths-ca-v3" | "siths-ca-v4" => {
            with_sha1(vec![Defect::NetscapeCertType, Defect::KeyUsageNotCritical])
        }
        "siths-root-ca-v1"
        | "siths-root-ca-v1-pp"
        | "siths-type-2-ca-v1"
        | "siths-type-2-ca-v1-pp" => with_sha1(vec![]),
        "2010-02-vp.qa.tp-siths-ca-v3-rsa1024" => with_sha1(vec![
            services,
            nod,
            in_subject(NameFault::CountryCase),
            Defect::SmallRsaKey { bits: 1024 },
            Defect::KeyUsageTrailingZeros,
            Defect::LdapCrl {
                uri: "ldap://sithscrl.carelink.sjunet.org/cn=SITHS%20CA%20ver%203,o=SITHS%20CA,\
                      c=SE?certificateRevocationList;binary?"
                    .to_owned(),
            },
        ]),
        "2013-04-idp.acctest-type2pp-underscore-printablestring"
        | "2013-10-test.statistik-type2pp-underscore-printablestring"
        | "2014-10-idp2.acctest-type2pp-underscore-printablestring" => with_sha1(underscored),
        "2016-09-idp2.acctest-type3pp-underscore-printablestring" => underscored,
        "2015-06-tstnmt-1025-signature-type1pp-rsa-e3" => {
            with_sha1(vec![Defect::SmallRsaExponent { exponent: 3 }, Defect::KeyUsageTrailingZeros])
        }
        "2016-02-tstnmt-1019-signature-type1pp" => with_sha1(vec![Defect::KeyUsageTrailingZeros]),
        "2023-12-idp.ineratest.org-own-operation-first-weeks" => {
            vec![Defect::CardNumberNotDigits { text: "NONE".to_owned() }]
        }
        _ => vec![],
    }
}

/// MIG-02: every certificate of the other operator is taken over, byte for byte, with its defects named.
#[test]
fn names_the_defects_of_every_reference_certificate_and_keeps_its_bytes() {
    for (name, der) in reference() {
        let imported = ImportedCertificate::from_der(&der).unwrap();

        assert_eq!(imported.as_der(), der, "{name}");
        assert_eq!(imported.defects(), known_defects(&name), "{name}");
    }
}

/// What the strict parser refuses is exactly what has a defect of form, of key or of algorithm.
#[test]
fn the_strict_parser_reads_the_flawless_ones_and_no_other() {
    let harmless = |defect: &Defect| matches!(defect, Defect::CardNumberNotDigits { .. });
    let mut strict = 0;
    for (name, der) in reference() {
        let imported = ImportedCertificate::from_der(&der).unwrap();

        let parsed = Certificate::from_der(&der);

        assert_eq!(parsed.is_ok(), imported.defects().iter().all(harmless), "{name}");
        if let Ok(parsed) = parsed {
            assert_eq!(parsed.as_der(), der);
            assert_eq!(parsed.tbs_der(), imported.tbs_der());
            strict += 1;
        }
    }
    assert!(strict == 0 || strict == 15, "{strict}");
}

/// A second opinion on the facts: another parser.
#[test]
fn reads_the_facts_that_another_parser_reads() {
    for (name, der) in reference() {
        let (_, theirs) = x509_parser::certificate::X509Certificate::from_der(&der).unwrap();

        let ours = ImportedCertificate::from_der(&der).unwrap();

        assert_eq!(ours.serial().as_octets(), theirs.raw_serial(), "{name}");
        assert_eq!(ours.issuer().as_der(), theirs.issuer().as_raw(), "{name}");
        assert_eq!(ours.subject().as_der(), theirs.subject().as_raw(), "{name}");
        assert_eq!(ours.spki_der(), theirs.public_key().raw, "{name}");
        let seconds = |time: UnixTime| i64::try_from(time.secs()).unwrap();
        assert_eq!(seconds(ours.not_before()), theirs.validity().not_before.timestamp());
        assert_eq!(seconds(ours.not_after()), theirs.validity().not_after.timestamp());
        assert_eq!(ours.extensions().len(), theirs.extensions().len());
        assert_eq!(ours.signature(), &*theirs.signature_value.data);
    }
}

/// All signatures of the set verify under the issuer of the set, those with SHA-1 too.
#[test]
fn signatures_verify_under_the_issuers_of_the_set() {
    let all: Vec<_> =
        reference().values().map(|der| ImportedCertificate::from_der(der).unwrap()).collect();
    let mut verified = 0;
    for certificate in &all {
        let issuers = all.iter().filter(|other| other.subject() == certificate.issuer());
        for issuer in issuers {
            let key = issuer.public_key().unwrap();
            assert_eq!(certificate.danger_verify_signed_by(key), Ok(()), "{certificate:?}");
            verified += 1;
        }
    }
    // Missing are only SITHS Type 1 CA v1 PP, which signed two.
    assert!(all.is_empty() || verified == 28, "{verified}");
}

/// MIG-02: a leading zero octet of the serial number stays.
#[test]
fn keeps_the_leading_zero_octet_of_a_serial_number() {
    let Some(der) = reference().remove("siths-root-ca-v1") else { return };

    let imported = ImportedCertificate::from_der(&der).unwrap();

    assert_eq!(imported.serial().to_string(), "00906661A8623D654477043F719AC3970C");
}

/// A template whose finished certificate has nothing wrong with it.
fn flawless() -> CertificateTemplate {
    let key = PublicKey::from_ed25519(&[7; 32]).unwrap();
    let name = |text| Name::builder().with(AttributeType::CommonName, text).unwrap().build();
    let at = |secs| UnixTime::from_secs(secs).unwrap();
    CertificateTemplate {
        serial: SerialNumber::from_content_octets(&[1]).unwrap(),
        issuer: name("issuer"),
        subject: name("issuer"),
        validity: Validity::between(at(1), at(2)).unwrap(),
        public_key: key,
        extensions: vec![
            BasicConstraints::Ca { path_len: None }.extension(Criticality::Critical),
            KeyUsage::of(&[KeyUsageBit::KeyCertSign]).extension(Criticality::Critical),
            SubjectKeyIdentifier(vec![1; 20]).extension(Criticality::NonCritical),
        ],
        algorithm: SignatureAlgorithm::Ed25519,
    }
}

fn finish(template: &CertificateTemplate) -> Vec<u8> {
    let algorithm = template.algorithm;
    assemble(&template.to_tbs_der(), algorithm, &algorithm.placeholder(KeyType::Ed25519)).unwrap()
}

fn defects_of(template: &CertificateTemplate) -> Vec<Defect> {
    ImportedCertificate::from_der(&finish(template)).unwrap().defects().to_vec()
}

/// A certificate with one thing changed, and the defect that must be named for it.
fn check(change: impl FnOnce(&mut CertificateTemplate), expected: &[Defect]) {
    let mut template = flawless();
    change(&mut template);
    assert_eq!(defects_of(&template), expected);
}

#[test]
fn names_each_defect_alone() {
    assert_eq!(defects_of(&flawless()), []);

    for octets in [&[0][..], &[0x80], &[0, 1]] {
        check(
            |t| t.serial = SerialNumber::from_content_octets(octets).unwrap(),
            &[Defect::SerialNotPositive],
        );
    }
    check(|t| t.extensions[0].critical = false, &[Defect::BasicConstraintsNotCritical]);
    check(|t| t.extensions[1].critical = false, &[Defect::KeyUsageNotCritical]);
    check(|t| t.extensions[1].value_der = vec![3, 2, 0, 4], &[Defect::KeyUsageTrailingZeros]);
    check(
        |t| t.extensions[0].value_der = vec![0x30, 3, 1, 1, 0],
        &[Defect::ExtensionValue { oid: extension::BASIC_CONSTRAINTS }],
    );
    for (position, oid) in [(1, extension::KEY_USAGE), (2, extension::SUBJECT_KEY_IDENTIFIER)] {
        check(|t| drop(t.extensions.remove(position)), &[Defect::MissingExtension { oid }]);
    }
    check(
        |t| t.subject = Name::builder().build(),
        &[Defect::MissingExtension { oid: extension::AUTHORITY_KEY_IDENTIFIER }],
    );
    check(
        |t| t.extensions.push(SubjectKeyIdentifier(vec![2]).extension(Criticality::NonCritical)),
        &[Defect::ExtensionTwice { oid: extension::SUBJECT_KEY_IDENTIFIER }],
    );
    let odd = ObjectIdentifier::parse("2.999.1").unwrap();
    check(
        |t| t.extensions.push(Extension { oid: odd, critical: true, value_der: vec![5, 0] }),
        &[Defect::UnknownCritical { oid: odd }],
    );
    check(|t| t.extensions.push(OcspNoCheck.extension(Criticality::NonCritical)), &[]);
}

/// Defects that a template cannot have: the finished bytes are changed.
#[test]
fn names_defects_of_the_frame() {
    let der = finish(&flawless());
    let replaced = |from: &[u8], to: &[u8]| {
        let at = der.windows(from.len()).position(|window| window == from).unwrap();
        let mut changed = der.clone();
        changed[at..at + to.len()].copy_from_slice(to);
        ImportedCertificate::from_der(&changed).unwrap().defects().to_vec()
    };

    assert_eq!(
        replaced(&[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, 1]),
        [Defect::Version { version: 2 }]
    );
    assert_eq!(
        replaced(b"\x17\x0d700101000002Z", b"\x17\x0d700101000000Z"),
        [Defect::ValidityEmpty {
            not_before: UnixTime::from_secs(1).unwrap(),
            not_after: UnixTime::EPOCH,
        }]
    );
    assert_eq!(replaced(&[0x2b, 0x65, 0x70], &[0x2b, 0x65, 0x71]).len(), 2);
    let truth = [0x55, 0x1d, 0x13, 1, 1, 0xff];
    assert_eq!(
        replaced(&truth, &[0x55, 0x1d, 0x13, 1, 1, 0]),
        [
            Defect::SpelledOutDefault { oid: extension::BASIC_CONSTRAINTS },
            Defect::BasicConstraintsNotCritical,
        ]
    );
}

#[test]
fn refuses_a_frame_that_is_not_der_and_a_serial_number_of_21_octets() {
    let der = finish(&flawless());
    let long = tlv::element(tlv::INTEGER, &[&[1; 21]]);
    let tbs = tlv::sequence(&[&[0xa0, 3, 2, 1, 2], &long]);
    let with_long = tlv::sequence(&[&tbs, &tlv::sequence(&[]), &[3, 1, 0]]);

    for cut in 0..der.len() {
        assert_eq!(ImportedCertificate::from_der(&der[..cut]), Err(ImportError::NotDer));
    }
    assert_eq!(ImportedCertificate::from_der(&with_long), Err(ImportError::Serial { octets: 21 }));
    assert_eq!(
        ImportedCertificate::from_der(&vec![0; Certificate::MAX_OCTETS + 1]),
        Err(ImportError::TooLong { octets: Certificate::MAX_OCTETS + 1 })
    );
}

/// Bounded time and no panic on what fuzzers of others found.
#[test]
fn survives_the_corpora_of_fuzzers() {
    for archive in ["openssl-fuzz-x509", "cryptography-x509", "boringssl-pki"] {
        let Some(folder) = judges::vectors(archive) else { continue };
        for path in judges::files(folder.path()) {
            let bytes = judges::read(&path);
            let mut all = vec![bytes.clone()];
            if let Ok(blocks) = pem::decode(&String::from_utf8_lossy(&bytes)) {
                all.extend(blocks.into_iter().map(|(_, der)| der));
            }
            for der in all {
                let strict = Certificate::from_der(&der);
                let lenient = ImportedCertificate::from_der(&der);
                if let Ok(strict) = strict {
                    assert_eq!(strict.as_der(), der);
                    assert_eq!(lenient.unwrap().as_der(), der);
                }
            }
        }
    }
}
