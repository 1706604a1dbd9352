use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _,
};
use der::{Decode as _, Encode as _};
use x509_parser::extensions::ParsedExtension;

use super::*;
use crate::extension::{
    CardNumber, Criticality, FreshestCrl, Ia5Text, KeyUsageBit, OcspNoCheck, PolicyInformation,
    SmtpUtf8Mailbox, UserPrincipalName,
};
use crate::judges::{self, TestCa};
use crate::name::AttributeType;
use crate::oid::{ObjectIdentifier, policy, usage};
use crate::signing::assemble;
use crate::time::UnixTime;

use Criticality::{Critical, NonCritical};

fn text(value: &str) -> Ia5Text {
    Ia5Text::new(value).unwrap()
}

fn person() -> Name {
    [
        (AttributeType::Country, "SE"),
        (AttributeType::Locality, "Skåne län"),
        (AttributeType::Organization, "Sigill Test"),
        (AttributeType::CommonName, "Tolvan Tolvansson-Öberg"),
        (AttributeType::Surname, "Tolvansson-Öberg"),
        (AttributeType::GivenName, "Tolvan"),
        (AttributeType::SerialNumber, "TST2321000016-1002"),
    ]
    .into_iter()
    .try_fold(Name::builder(), |name, (attribute, text)| name.with(attribute, text))
    .unwrap()
    .build()
}

/// Every extension that a certificate of ours may carry, in an order that nobody sorts by.
fn every_extension(authority: &SubjectKeyIdentifier, key: &PublicKey) -> Vec<Extension> {
    let cps = text("https://example.org/cps");
    let policies = CertificatePolicies(vec![
        PolicyInformation::with_cps(ObjectIdentifier::parse("2.999.650").unwrap(), cps),
        PolicyInformation::plain(ObjectIdentifier::parse("2.23.140.1.2.2").unwrap()),
    ]);
    let names = SubjectAltName(vec![
        GeneralName::Upn(UserPrincipalName::new("tolvan@exempel.se").unwrap()),
        GeneralName::Rfc822(text("tolvan@example.org")),
        GeneralName::SmtpUtf8(SmtpUtf8Mailbox::new("åsa@xn--exmple-cua.example.org").unwrap()),
        GeneralName::Dns(text("www.example.org")),
        GeneralName::Uri(text("urn:sigill:test:demo:ab12:client:portal")),
        GeneralName::Ip([127, 0, 0, 1].into()),
    ]);
    let crl = CrlDistributionPoints::at(&[text("http://crl.example.org/a.crl")]);
    let delta = CrlDistributionPoints::at(&[text("http://crl.example.org/d.crl")]);
    let access = AuthorityInfoAccess::of(
        &[text("http://ocsp.example.org")],
        &[text("http://aia.example.org/a.cer")],
    );
    vec![
        ExtendedKeyUsage(vec![usage::CLIENT_AUTH, usage::SERVER_AUTH, usage::SMARTCARD_LOGON])
            .extension(NonCritical),
        AuthorityKeyIdentifier::of(authority).extension(NonCritical),
        access.extension(NonCritical),
        policies.extension(NonCritical),
        crl.extension(NonCritical),
        FreshestCrl(delta).extension(NonCritical),
        SubjectKeyIdentifier(key.key_bits_sha1().to_vec()).extension(NonCritical),
        CardNumber::new("9752269875408500001").unwrap().extension(NonCritical),
        KeyUsage::of(&[KeyUsageBit::DigitalSignature, KeyUsageBit::KeyEncipherment])
            .extension(Critical),
        names.extension(NonCritical),
        BasicConstraints::EndEntity.extension(Critical),
        OcspNoCheck.extension(NonCritical),
    ]
}

fn p256() -> PublicKey {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
    PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap()
}

fn template(issuer: &Certificate) -> CertificateTemplate {
    let public_key = p256();
    let start = issuer.validity().not_before();
    CertificateTemplate {
        serial: SerialNumber::from_random([0xff; 16]),
        issuer: issuer.subject().clone(),
        subject: person(),
        validity: Validity::between(start, UnixTime::LAST).unwrap(),
        extensions: every_extension(&issuer.ski().unwrap(), &public_key),
        public_key,
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
    }
}

/// The CA that OpenSSL made and a certificate signed with its key.
fn issued(change: impl FnOnce(&mut CertificateTemplate)) -> Option<(TestCa, Certificate, Vec<u8>)> {
    let ca = TestCa::new()?;
    let issuer = Certificate::from_der(&ca.certificate).unwrap();
    let mut template = template(&issuer);
    change(&mut template);
    let tbs = template.to_tbs_der();
    let signature = ca.key.sign(&SystemRandom::new(), &tbs).unwrap();
    let der = assemble(&tbs, template.algorithm, signature.as_ref()).unwrap();
    Some((ca, issuer, der))
}

/// PRO-01, PRO-15: reads back field by field what was asked for; issuer bytes are a copy.
#[test]
fn reads_what_it_writes() {
    let mut asked = None;
    let Some((ca, issuer, der)) = issued(|template| asked = Some(template.clone())) else { return };
    let asked = asked.unwrap();

    let read = Certificate::from_der(&der).unwrap();

    assert_eq!(read.as_der(), der);
    assert_eq!(read.tbs_der(), asked.to_tbs_der());
    assert_eq!(read.serial(), asked.serial);
    assert_eq!(read.issuer().as_der(), issuer.subject().as_der());
    assert_eq!(read.subject(), &asked.subject);
    assert_eq!(read.validity(), asked.validity);
    assert_eq!(read.public_key(), &asked.public_key);
    assert_eq!(read.extensions(), asked.extensions);
    assert_eq!(read.aki(), issuer.ski().map(|id| id.0));
    assert_eq!(read.crl_uris(), ["http://crl.example.org/a.crl"]);
    assert_eq!(read.ocsp_uris(), ["http://ocsp.example.org"]);
    assert_eq!(read.ca_issuers_uris(), ["http://aia.example.org/a.cer"]);
    assert_eq!(read.subject_alt_names().len(), 6);
    assert_eq!(read.card_number().unwrap().as_str(), "9752269875408500001");
    assert_eq!(read.verify_signed_by(&ca.public_key), Ok(()));
    assert_eq!(read.verify_signed_by(&p256()), Err(KeyError::BadSignature));
}

/// PRO-01: another library reads it and writes the same bytes.
#[test]
fn another_library_reencodes_the_same_bytes() {
    let Some((_, _, der)) = issued(|_| {}) else { return };

    let theirs = x509_cert::Certificate::from_der(&der).unwrap();

    assert_eq!(theirs.to_der().unwrap(), der);
}

/// PRO-02, PRO-06: a second parser reads names, times and every extension.
#[test]
fn another_parser_reads_every_extension() {
    let Some((_, issuer, der)) = issued(|_| {}) else { return };
    let (rest, theirs) = x509_parser::parse_x509_certificate(&der).unwrap();

    assert!(rest.is_empty());
    assert_eq!(theirs.validity().not_after.timestamp(), 253_402_300_799);
    assert_eq!(theirs.issuer().as_raw(), issuer.subject().as_der());
    let unknown: Vec<_> = theirs
        .extensions()
        .iter()
        .filter(|e| matches!(e.parsed_extension(), ParsedExtension::UnsupportedExtension { .. }))
        .map(|extension| extension.oid.to_id_string())
        .collect();
    assert_eq!(
        unknown,
        ["2.5.29.46", "1.2.752.34.2.1", "1.3.6.1.5.5.7.48.1.5"],
        "freshestCRL, cardNumber and nocheck are not in its list"
    );
    let parse_error =
        |parsed: &ParsedExtension<'_>| matches!(parsed, ParsedExtension::ParseError { .. });
    assert!(!theirs.extensions().iter().any(|e| parse_error(e.parsed_extension())));
    let policies = theirs.extensions().iter().find_map(|e| match e.parsed_extension() {
        ParsedExtension::CertificatePolicies(policies) => Some(policies),
        _ => None,
    });
    // Its text would be wrong: it takes the first octet of 2.999 for two arcs.
    assert_eq!(policies.unwrap()[0].policy_id.as_bytes(), [0x88, 0x37, 0x85, 0x0a]);
}

/// PRO-01, PRO-02, PRO-06, PRO-14: OpenSSL shows every field as it was asked for.
#[test]
fn openssl_shows_every_extension() {
    let Some((ca, issuer, der)) = issued(|_| {}) else { return };
    judges::write(&ca.path("leaf.der"), &der);
    let leaf = ca.text_path("leaf.der");

    let shown = judges::run(
        "openssl",
        &[
            "x509",
            "-inform",
            "DER",
            "-in",
            &leaf,
            "-noout",
            "-text",
            "-nameopt",
            "RFC2253,utf8,-esc_msb",
        ],
    )
    .unwrap();

    let key_id = issuer.ski().unwrap().0;
    let key_id: Vec<_> = key_id.iter().map(|octet| format!("{octet:02X}")).collect();
    for expected in [
        "Version: 3 (0x2)",
        "7f:ff:ff:ff:ff:ff:ff:ff:ff:ff:ff:ff:ff:ff:ff:ff",
        "Signature Algorithm: ecdsa-with-SHA256",
        "Not After : Dec 31 23:59:59 9999 GMT",
        "TLS Web Client Authentication, TLS Web Server Authentication, Microsoft Smartcard Login",
        &key_id.join(":"),
        "OCSP - URI:http://ocsp.example.org",
        "CA Issuers - URI:http://aia.example.org/a.cer",
        "Policy: 2.999.650",
        "CPS: https://example.org/cps",
        "Policy: 2.23.140.1.2.2",
        "URI:http://crl.example.org/a.crl",
        "X509v3 Freshest CRL",
        "URI:http://crl.example.org/d.crl",
        "1.2.752.34.2.1",
        "..9752269875408500001",
        "X509v3 Key Usage: critical\n                Digital Signature, Key Encipherment",
        "othername: UPN::tolvan@exempel.se, email:tolvan@example.org, \
         othername: SmtpUTF8Mailbox::åsa@xn--exmple-cua.example.org, DNS:www.example.org, \
         URI:urn:sigill:test:demo:ab12:client:portal, IP Address:127.0.0.1",
        "X509v3 Basic Constraints: critical\n                CA:FALSE",
        "OCSP No Check",
    ] {
        assert!(shown.contains(expected), "{expected} is missing in\n{shown}");
    }
    let names = format!("Subject: {}", person());
    assert!(shown.contains(&names), "{names} is missing in\n{shown}");
}

/// PRO-02: OpenSSL's dump shows the string types.
#[test]
fn openssl_shows_the_string_types() {
    let Some((ca, _, der)) = issued(|_| {}) else { return };
    judges::write(&ca.path("leaf.der"), &der);

    let shown = judges::run(
        "openssl",
        &[
            "x509",
            "-inform",
            "DER",
            "-in",
            &ca.text_path("leaf.der"),
            "-noout",
            "-subject",
            "-nameopt",
            "RFC2253,show_type",
        ],
    )
    .unwrap();

    for (attribute, kind) in [
        ("serialNumber", "PRINTABLESTRING"),
        ("GN", "UTF8STRING"),
        ("SN", "UTF8STRING"),
        ("CN", "UTF8STRING"),
        ("O", "UTF8STRING"),
        ("L", "UTF8STRING"),
        ("C", "PRINTABLESTRING"),
    ] {
        assert!(shown.contains(&format!("{attribute}={kind}:")), "{attribute} {kind}: {shown}");
    }
}

/// PRO-14, PRO-15: OpenSSL builds the chain, and refuses it once a bit is flipped.
#[test]
fn openssl_verifies_the_chain() {
    let Some((ca, _, der)) = issued(|_| {}) else { return };
    let verify = |name: &str, der: &[u8]| {
        let path = ca.path(name);
        judges::write(&path, crate::pem::encode(crate::pem::Label::Certificate, der).as_bytes());
        let (root, leaf) = (ca.text_path("ca.pem"), ca.text_path(name));
        judges::run("openssl", &["verify", "-x509_strict", "-CAfile", &root, &leaf]).unwrap()
    };
    let mut flipped = der.clone();
    *flipped.last_mut().unwrap() ^= 1;

    let (good, bad) = (verify("good.pem", &der), verify("bad.pem", &flipped));

    assert!(good.ends_with("good.pem: OK\n"), "{good}");
    assert!(bad.contains("certificate signature failure"), "{bad}");
}

/// PRO-06 at the boundary of the two spellings, read by OpenSSL.
#[test]
fn openssl_reads_both_spellings_of_time() {
    let last_utc = UnixTime::from_secs(2_524_607_999).unwrap();
    let first_generalized = UnixTime::from_secs(2_524_608_000).unwrap();
    let validity = Validity::between(last_utc, first_generalized).unwrap();
    let Some((ca, _, der)) = issued(|template| template.validity = validity) else { return };
    judges::write(&ca.path("leaf.der"), &der);

    let shown =
        judges::run("openssl", &["asn1parse", "-inform", "DER", "-in", &ca.text_path("leaf.der")])
            .unwrap();

    assert!(shown.contains("UTCTIME           :491231235959Z"), "{shown}");
    assert!(shown.contains("GENERALIZEDTIME   :20500101000000Z"), "{shown}");
}

/// PRO-14: the authority key identifier copies a key identifier made by another method, byte for byte.
#[test]
fn the_authority_key_identifier_is_a_copy() {
    let odd = SubjectKeyIdentifier(b"by another method".to_vec());
    let Some((_, _, der)) = issued(|template| {
        template.extensions[1] = AuthorityKeyIdentifier::of(&odd).extension(NonCritical);
    }) else {
        return;
    };

    assert_eq!(Certificate::from_der(&der).unwrap().aki(), Some(odd.0));
}

/// PRO-15: issuers of 2004 with PrintableString and TeletexString are copied, not re-encoded.
#[test]
fn issuer_names_of_other_string_types_are_copied() {
    let teletex = b"\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x14\x04\xc5sa!";
    let printable = b"\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x13\x04Asa ";
    for name in [&teletex[..], printable] {
        let issuer = Name::from_der(name).unwrap();
        let Some((_, _, der)) = issued(|template| template.issuer = issuer) else { return };

        assert_eq!(Certificate::from_der(&der).unwrap().issuer().as_der(), name);
    }
}

/// A certificate of our own making, without OpenSSL, to be broken.
fn unsigned(change: impl FnOnce(&mut CertificateTemplate)) -> Vec<u8> {
    let key = p256();
    let mut template = CertificateTemplate {
        serial: SerialNumber::from_random([1; 16]),
        issuer: person(),
        subject: person(),
        validity: Validity::between(UnixTime::EPOCH, UnixTime::LAST).unwrap(),
        extensions: every_extension(&SubjectKeyIdentifier(vec![1; 20]), &key),
        public_key: key,
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
    };
    change(&mut template);
    let algorithm = template.algorithm;
    let placeholder = algorithm.placeholder(template.public_key.key_type());
    assemble(&template.to_tbs_der(), algorithm, &placeholder).unwrap()
}

fn replaced(der: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = der.windows(from.len()).position(|window| window == from).unwrap();
    [&der[..at], to, &der[at + from.len()..]].concat()
}

/// PRO-01: one refusal for each thing that our own certificates never are.
#[test]
fn refuses_what_we_would_not_write() {
    let der = unsigned(|_| {});
    let serial = |octets: &[u8]| {
        unsigned(|template| template.serial = SerialNumber::from_content_octets(octets).unwrap())
    };
    let policy_twice = CertificatePolicies(vec![PolicyInformation::plain(policy::ANY); 2]);
    let utf8_country = replaced(&der, b"\x13\x02SE", b"\x0c\x02SE");

    for (bytes, error) in [
        (vec![0; Certificate::MAX_OCTETS + 1], CertificateError::TooLong { octets: 65_537 }),
        ([&der[..], &[0]].concat(), CertificateError::NotDer),
        (der[..der.len() - 1].to_vec(), CertificateError::NotDer),
        (replaced(&der, &[0xa0, 3, 2, 1, 2], &[0xa0, 3, 2, 1, 1]), CertificateError::Version),
        (serial(&[0]), CertificateError::Serial),
        (serial(&[0x80]), CertificateError::Serial),
        (serial(&[0, 1]), CertificateError::Serial),
        (
            replaced(&der, b"\x04\x03\x02\x30", b"\x04\x03\x03\x30"),
            CertificateError::AlgorithmsDiffer,
        ),
        (
            replaced(&der, b"\x17\x0d700101000000Z", b"\x17\x0d700101000060Z"),
            CertificateError::Validity,
        ),
        (
            unsigned(|template| template.extensions.push(OcspNoCheck.extension(NonCritical))),
            CertificateError::Extension(ExtensionError::Duplicate { oid: OcspNoCheck::OID }),
        ),
        (
            unsigned(|template| {
                template.extensions = vec![policy_twice.extension(NonCritical)];
            }),
            CertificateError::Extension(ExtensionError::Value { oid: CertificatePolicies::OID }),
        ),
        (
            unsigned(|template| template.extensions[11].value_der = vec![5, 1, 0]),
            CertificateError::Extension(ExtensionError::Value { oid: OcspNoCheck::OID }),
        ),
    ] {
        assert_eq!(Certificate::from_der(&bytes), Err(error));
    }
    assert!(matches!(
        Certificate::from_der(&utf8_country),
        Err(CertificateError::Name { field: NameField::Issuer, .. })
    ));
}

/// PRO-01: BER frames, and nesting that would exhaust a stack, are refused in time.
#[test]
fn refuses_ber_and_deep_nesting() {
    let indefinite = [&[0x30, 0x80][..], &unsigned(|_| {}), &[0, 0]].concat();
    let mut deep = Vec::new();
    for _ in 0..10_000 {
        deep = if deep.len() < 65_000 { tlv::sequence(&[&deep]) } else { deep };
    }

    assert_eq!(Certificate::from_der(&indefinite), Err(CertificateError::NotDer));
    assert_eq!(Certificate::from_der(&deep), Err(CertificateError::NotDer));
}

/// Every truncation and every flipped byte is refused or read with the bytes kept.
#[test]
fn survives_every_flipped_byte() {
    let der = unsigned(|_| {});
    for position in 0..der.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut changed = der.clone();
            changed[position] ^= flip;
            if let Ok(read) = Certificate::from_der(&changed) {
                assert_eq!(read.as_der(), changed);
                assert_ne!(read.fingerprint(), <[u8; 32]>::from(Sha256::digest(&der)));
            }
        }
    }
}

/// P-384 issuers sign with SHA-384, and their certificates verify.
#[test]
fn a_p384_issuer_signs_with_sha384() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).unwrap();
    let issuer = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
    let mut template = None;
    unsigned(|asked| template = Some(asked.clone()));
    let mut template = template.unwrap();
    template.algorithm = SignatureAlgorithm::EcdsaP384Sha384;
    let tbs = template.to_tbs_der();
    let signature = pair.sign(&SystemRandom::new(), &tbs).unwrap();

    let der = assemble(&tbs, template.algorithm, signature.as_ref()).unwrap();

    assert_eq!(Certificate::from_der(&der).unwrap().verify_signed_by(&issuer), Ok(()));
}
