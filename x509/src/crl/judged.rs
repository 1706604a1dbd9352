//! Our CRLs before other people's decoders, and other people's CRLs before our reader.
#![expect(clippy::disallowed_methods, reason = "tests measure how long reading takes")]

use std::io::Read as _;
use std::time::{Duration, Instant};

use der::Encode as _;
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::Extension;

use super::*;
use crate::judges::{self, NoRecord, TestCa};
use crate::key::SignatureAlgorithm;
use crate::serial::SerialNumber;
use crate::signing::{IntentId, Pending, Recorded, SigningKind, Spool, ToBeSigned};
use crate::time::UnixTime;

const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;
const MAX: u64 = 1 << 30;

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

fn facts<'a>(issuer: &'a [u8], key_id: &'a [u8], now: u64) -> CrlFacts<'a> {
    CrlFacts {
        algorithm: ALGORITHM,
        issuer,
        authority_key_id: key_id,
        this_update: at(now),
        next_update: at(now + 86_400),
        number: &[0x01, 0x00],
        kind: CrlKind::COMPLETE,
        issuing_distribution_point: None,
        expired_certs_on_crl: None,
    }
}

fn to_be_signed(facts: &CrlFacts<'_>, entries: &[RevokedEntry]) -> Vec<u8> {
    let length = entries.iter().map(RevokedEntry::encoded_length).sum();
    let mut writer = TbsWriter::start(Vec::new(), facts, length).unwrap();
    entries.iter().for_each(|entry| writer.push(entry).unwrap());
    let (out, length) = writer.finish().unwrap();
    assert_eq!(u64::try_from(out.len()).unwrap(), length);
    out
}

fn finished(ca: &TestCa, tbs: &[u8]) -> Vec<u8> {
    let sha256: [u8; 32] = Sha256::digest(tbs).into();
    let spool = Spool {
        path: ca.path("spool"),
        length: u64::try_from(tbs.len()).unwrap(),
        sha256,
        message_digest: sha256.to_vec(),
    };
    let pending = Pending::new(
        IntentId::from_bytes([1; 16]),
        SigningKind::Crl,
        ca.public_key.clone(),
        ALGORITHM,
        ToBeSigned::Spool(spool),
    )
    .unwrap();
    let recorded = Recorded::by(NoRecord, pending.intent()).unwrap();
    let signature = ca.sign(&pending.input(&recorded).unwrap(), tbs);
    let signed = pending.finish(signature).unwrap();

    let mut altered = tbs.to_vec();
    *altered.last_mut().unwrap() ^= 1;
    for bad in [&altered[..], &tbs[1..], &[tbs, &[0]].concat()] {
        let refused = write_certificate_list(&signed, bad, Vec::new());
        assert!(matches!(refused, Err(CrlWriteError::Spool)));
    }

    let mut out = Vec::new();
    let length = write_certificate_list(&signed, tbs, &mut out).unwrap();
    assert_eq!(u64::try_from(out.len()).unwrap(), length);
    out
}

fn some_entries(now: u64) -> Vec<RevokedEntry> {
    let entry = |serial: u8, reason, invalidity_date| RevokedEntry {
        serial: SerialNumber::from_random([serial; 16]),
        revocation_date: at(now - 1000),
        reason,
        invalidity_date,
    };
    vec![
        entry(1, None, None),
        entry(2, Some(ReasonCode::KeyCompromise), Some(at(now - 90_000))),
        entry(3, Some(ReasonCode::CertificateHold), None),
    ]
}

fn now() -> u64 {
    let (_, parsed) = x509_parser::parse_x509_certificate(&TestCa::new().unwrap().certificate)
        .map(|(rest, parsed)| (rest.to_vec(), parsed.validity().not_before.timestamp()))
        .unwrap();
    u64::try_from(parsed).unwrap()
}

/// CRL-01: another program verifies it, with and without entries, and reads what we wrote.
#[test]
fn openssl_verifies_our_lists_and_reads_the_same() {
    let Some(ca) = TestCa::new() else { return };
    let (issuer, key_id) = ca.name_and_key_id();
    let now = now();
    let point = IssuingDistributionPoint {
        full_name: vec!["http://crl.example.org/a.crl".to_owned()],
        scope: Scope::UserCertificates,
    };
    let plain = facts(&issuer, &key_id, now);
    let with_point = CrlFacts {
        issuing_distribution_point: Some(&point),
        expired_certs_on_crl: Some(at(now - 1_000_000)),
        ..plain.clone()
    };
    for (facts, entries) in
        [(&plain, vec![]), (&plain, some_entries(now)), (&with_point, some_entries(now))]
    {
        let crl = finished(&ca, &to_be_signed(facts, &entries));
        judges::write(&ca.path("a.crl"), &crl);

        let text = judges::run(
            "openssl",
            &[
                "crl",
                "-inform",
                "DER",
                "-in",
                &ca.text_path("a.crl"),
                "-CAfile",
                &ca.text_path("ca.pem"),
                "-noout",
                "-text",
            ],
        )
        .unwrap();

        assert!(text.contains("verify OK"), "{text}");
        assert!(text.contains("Version 2"), "{text}");
        assert_eq!(text.contains("No Revoked Certificates"), entries.is_empty());
        assert_eq!(text.matches("Serial Number:").count(), entries.len());
        assert_eq!(
            text.contains("Only User Certificates"),
            facts.issuing_distribution_point.is_some()
        );
        if !entries.is_empty() {
            assert!(text.contains("Key Compromise") && text.contains("Invalidity Date"), "{text}");
            assert!(text.contains("Certificate Hold"), "{text}");
        }
    }
}

/// CRL-01: and a second library reads the same.
#[test]
fn x509_parser_reads_the_same() {
    let Some(ca) = TestCa::new() else { return };
    let (issuer, key_id) = ca.name_and_key_id();
    let now = now();
    let entries = some_entries(now);
    let crl = finished(&ca, &to_be_signed(&facts(&issuer, &key_id, now), &entries));

    let (rest, parsed) = x509_parser::parse_x509_crl(&crl).unwrap();

    assert!(rest.is_empty());
    assert_eq!(parsed.issuer().as_raw(), issuer);
    assert_eq!(parsed.crl_number().unwrap().to_bytes_be(), [1, 0]);
    let theirs: Vec<_> = parsed
        .iter_revoked_certificates()
        .map(|entry| (entry.raw_serial().to_vec(), entry.reason_code().map(|(_, code)| code.0)))
        .collect();
    let ours: Vec<_> = entries
        .iter()
        .map(|entry| (entry.serial.as_octets().to_vec(), entry.reason.map(ReasonCode::code)))
        .collect();
    assert_eq!(theirs, ours);
}

#[test]
fn our_reader_reads_and_verifies_what_we_wrote() {
    let Some(ca) = TestCa::new() else { return };
    let (issuer, key_id) = ca.name_and_key_id();
    let entries = some_entries(1_800_000_000);
    let tbs = to_be_signed(&facts(&issuer, &key_id, 1_800_000_000), &entries);
    let crl = finished(&ca, &tbs);

    let mut reader = CrlReader::start(&crl[..], CrlForm::CertificateList, MAX).unwrap();
    let read: Vec<_> = reader.by_ref().map(Result::unwrap).collect();
    let head = reader.head().clone();
    let tail = reader.finish().unwrap();

    assert_eq!(read, entries);
    assert_eq!((head.issuer, head.version_2, head.list_present), (issuer, true, true));
    assert_eq!(tail.extensions.authority_key_id, Some(key_id));
    assert_eq!(tail.extensions.number, Some(vec![1, 0]));
    assert_eq!(tail.tbs_sha256, Some(<[u8; 32]>::from(Sha256::digest(&tbs))));
    assert_eq!(tail.tbs_length, u64::try_from(tbs.len()).unwrap());
    assert_eq!(tail.verify(&ca.public_key), Ok(()));

    let spool = CrlReader::start(&tbs[..], CrlForm::ToBeSigned, MAX).unwrap();
    assert_eq!(spool.finish().unwrap().entries, 3);
}

/// CRL-11: going by what two lists share stops where they differ, at the end of either, and leaves count and hash as they are.
#[test]
fn what_is_the_same_on_two_lists_is_gone_by_on_both() {
    let Some(ca) = TestCa::new() else { return };
    let (issuer, key_id) = ca.name_and_key_id();
    let facts = facts(&issuer, &key_id, 1_800_000_000);
    let entries = some_entries(1_800_000_000);
    let mut changed = entries.clone();
    changed[1].reason = Some(ReasonCode::Superseded);
    let shorter = &entries[..2];
    let lists = [&entries, &changed, shorter].map(|entries| to_be_signed(&facts, entries));
    let reader =
        |list: usize| CrlReader::start(lists[list].as_slice(), CrlForm::ToBeSigned, MAX).unwrap();

    let (mut one, mut other) = (reader(0), reader(1));
    assert_eq!(one.pass_same(&mut other), Some(entries[0].serial));
    assert_eq!(one.pass_same(&mut other), None, "it has changed");
    assert_eq!(one.next().unwrap().unwrap(), entries[1]);
    assert_eq!(other.next().unwrap().unwrap(), changed[1]);
    assert_eq!(one.pass_same(&mut other), Some(entries[2].serial));
    assert_eq!(one.pass_same(&mut other), None, "nothing is left");
    for (list, reader) in [one, other].into_iter().enumerate() {
        let tail = reader.finish().unwrap();
        assert_eq!((tail.entries, tail.tbs_sha256), (3, Some(Sha256::digest(&lists[list]).into())));
    }

    for (longer, shorter) in [(0, 2), (2, 0)] {
        let (mut one, mut other) = (reader(longer), reader(shorter));
        let passed = std::iter::from_fn(|| one.pass_same(&mut other)).count();
        assert_eq!(passed, 2);
        assert!(one.finish().is_ok() && other.finish().is_ok());
    }
}

#[test]
fn a_changed_octet_is_refused_or_fails_verification() {
    let Some(ca) = TestCa::new() else { return };
    let (issuer, key_id) = ca.name_and_key_id();
    let facts = facts(&issuer, &key_id, 1_800_000_000);
    let crl = finished(&ca, &to_be_signed(&facts, &some_entries(1_800_000_000)));
    for index in 0..crl.len() {
        let mut bad = crl.clone();
        bad[index] ^= 0x11;

        let verified = CrlReader::start(&bad[..], CrlForm::CertificateList, MAX)
            .and_then(CrlReader::finish)
            .is_ok_and(|tail| tail.verify(&ca.public_key).is_ok());

        assert!(!verified, "octet {index}");
        let cut = CrlReader::start(&crl[..index], CrlForm::CertificateList, MAX);
        assert!(cut.and_then(CrlReader::finish).is_err());
    }
    let longer = [&crl[..], &[0]].concat();
    let reader = CrlReader::start(&longer[..], CrlForm::CertificateList, MAX).unwrap();
    assert!(reader.finish().is_err());
}

#[test]
fn refuses_facts_that_a_list_cannot_say() {
    let issuer = [0x30, 0x02, 0x31, 0x00];
    let good = facts(&issuer, &[1; 20], 1_800_000_000);
    for (bad, field) in [
        (CrlFacts { number: &[0x80], ..good.clone() }, "cRLNumber"),
        (CrlFacts { number: &[0, 1], ..good.clone() }, "cRLNumber"),
        (CrlFacts { number: &[1; 21], ..good.clone() }, "cRLNumber"),
        (CrlFacts { number: &[], ..good.clone() }, "cRLNumber"),
        (CrlFacts { kind: CrlKind::Delta { base: &[2, 0] }, ..good.clone() }, "deltaCRLIndicator"),
        (CrlFacts { kind: CrlKind::Delta { base: &[0, 1] }, ..good.clone() }, "deltaCRLIndicator"),
        (
            CrlFacts { kind: CrlKind::Complete { freshest: Some("å") }, ..good.clone() },
            "freshestCRL",
        ),
        (CrlFacts { next_update: good.this_update, ..good.clone() }, "nextUpdate"),
        (CrlFacts { authority_key_id: &[], ..good.clone() }, "authorityKeyIdentifier"),
        (CrlFacts { issuer: &[0x30, 0], ..good.clone() }, "issuer"),
    ] {
        let refused = TbsWriter::start(Vec::new(), &bad, 0);
        assert!(matches!(refused, Err(CrlWriteError::Fact(name)) if name == field), "{field}");
    }
    let octets = |entries| good.octets_before_entries(entries).unwrap();
    assert_eq!(octets(1 << 24), octets(1 << 30), "above 16 MiB all are announced alike");
    assert_ne!(octets(1 << 24), octets((1 << 24) - 1));
    let mut short = TbsWriter::start(Vec::new(), &good, 10).unwrap();
    assert!(matches!(short.push(&some_entries(1_000_000)[0]), Err(CrlWriteError::Length)));
    assert!(matches!(short.finish(), Err(CrlWriteError::Length)));
}

/// A billion octets of length are announced, nothing is allocated for them.
#[test]
fn announced_lengths_are_bounded_before_they_are_believed() {
    let huge =
        b"\x30\x84\x3b\x9a\xca\x00\x30\x84\x3b\x9a\xc9\x00\x02\x01\x01\x30\x84\x3b\x00\x00\x00";

    let unbounded = CrlReader::start(&huge[..], CrlForm::CertificateList, u64::MAX);
    let bounded = CrlReader::start(&huge[..], CrlForm::CertificateList, 1000);

    assert!(matches!(unbounded, Err(CrlReadError::Form { .. })));
    assert!(matches!(bounded, Err(CrlReadError::TooLong { max: 1000, .. })));
}

fn library_bytes(facts: &CrlFacts<'_>, entries: &[RevokedEntry]) -> Vec<u8> {
    use der::Decode as _;
    let date = |time: UnixTime| {
        let date = time.to_date_time().unwrap();
        if date.year() < 2050 {
            x509_cert::time::Time::UtcTime(der::asn1::UtcTime::from_date_time(date).unwrap())
        } else {
            x509_cert::time::Time::GeneralTime(date.into())
        }
    };
    let octets = |der: Vec<u8>| der::asn1::OctetString::new(der).unwrap();
    let extension = |oid: &str, der: Vec<u8>| Extension {
        extn_id: oid.parse().unwrap(),
        critical: false,
        extn_value: octets(der),
    };
    let revoked = |entry: &RevokedEntry| {
        let mut extensions = Vec::new();
        if let Some(reason) = entry.reason {
            extensions.push(extension("2.5.29.21", vec![0x0a, 1, reason.code()]));
        }
        if let Some(time) = entry.invalidity_date {
            let time = der::asn1::GeneralizedTime::from(time.to_date_time().unwrap());
            extensions.push(extension("2.5.29.24", time.to_der().unwrap()));
        }
        RevokedCert {
            serial_number: x509_cert::serial_number::SerialNumber::new(entry.serial.as_octets())
                .unwrap(),
            revocation_date: date(entry.revocation_date),
            crl_entry_extensions: (!extensions.is_empty()).then_some(extensions),
        }
    };
    let key_id = x509_cert::ext::pkix::AuthorityKeyIdentifier {
        key_identifier: Some(octets(facts.authority_key_id.to_vec())),
        ..Default::default()
    };
    let number = der::asn1::UintRef::new(facts.number).unwrap();
    let list: TbsCertList = TbsCertList {
        version: x509_cert::Version::V2,
        signature: spki::AlgorithmIdentifierOwned::from_der(&facts.algorithm.identifier_der())
            .unwrap(),
        issuer: x509_cert::name::Name::from_der(facts.issuer).unwrap(),
        this_update: date(facts.this_update),
        next_update: Some(date(facts.next_update)),
        revoked_certificates: (!entries.is_empty()).then(|| entries.iter().map(revoked).collect()),
        crl_extensions: Some(vec![
            extension("2.5.29.35", key_id.to_der().unwrap()),
            extension("2.5.29.20", number.to_der().unwrap()),
        ]),
    };
    list.to_der().unwrap()
}

fn any_time() -> impl Strategy<Value = UnixTime> {
    prop_oneof![0_u64..2_600_000_000, 2_524_607_990_u64..2_524_608_010].prop_map(at)
}

prop_compose! {
    fn any_entry()(
        random in any::<[u8; 16]>(),
        revocation_date in any_time(),
        reason in proptest::option::of(proptest::sample::select(ReasonCode::ALL.to_vec())),
        invalidity_date in proptest::option::of(any_time()),
    ) -> RevokedEntry {
        let serial = SerialNumber::from_random(random);
        RevokedEntry { serial, revocation_date, reason, invalidity_date }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// CRL-14, REV-06: the streamed bytes are those of the library's structures, for any rows.
    #[test]
    fn streams_the_bytes_that_the_library_writes(
        entries in proptest::collection::vec(any_entry(), 0..80),
        this_update in any_time(),
        number in 1_u32..0x7fff_ffff,
    ) {
        let issuer = b"\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04Test";
        let number: Vec<u8> =
            number.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
        prop_assume!(number[0] < 0x80);
        let facts = CrlFacts {
            number: &number,
            next_update: this_update.checked_add(Duration::from_secs(3600)).unwrap(),
            this_update,
            ..facts(issuer, &[7; 20], 0)
        };

        let ours = to_be_signed(&facts, &entries);

        prop_assert_eq!(&ours, &library_bytes(&facts, &entries));
        let reader = CrlReader::start(&ours[..], CrlForm::ToBeSigned, MAX).unwrap();
        let read: Vec<_> = reader.map(Result::unwrap).collect();
        prop_assert_eq!(read, entries);
    }
}

/// Never a panic, never long: every CRL of the fuzz corpora, and every other file as if it were one.
#[test]
fn hostile_lists_end_in_an_error_or_a_list_and_soon() {
    for archive in ["openssl-fuzz-crl", "cryptography-x509", "boringssl-pki", "pkits"] {
        let Some(folder) = judges::vectors(archive) else { continue };
        let mut read_well = 0_u32;
        for path in judges::files(folder.path()) {
            let bytes = judges::read(&path);
            let started = Instant::now();
            for form in [CrlForm::CertificateList, CrlForm::ToBeSigned] {
                let Ok(mut reader) = CrlReader::start(bytes.as_slice(), form, MAX) else {
                    continue;
                };
                if reader.by_ref().count() < usize::MAX && reader.finish().is_ok() {
                    read_well += 1;
                }
            }
            assert!(started.elapsed() < Duration::from_secs(10), "{}", path.display());
        }
        println!("{archive}: {read_well} lists read to their end");
    }
}

/// Memory does not grow with the list: entries are drawn from an iterator that keeps none.
#[test]
fn reads_a_stream_that_is_never_held() {
    let issuer = b"\x30\x0f\x31\x0d\x30\x0b\x06\x03\x55\x04\x03\x0c\x04Test";
    let facts = facts(issuer, &[7; 20], 1_800_000_000);
    let entry = some_entries(1_800_000_000)[0];
    let count = 200_000_u64;
    let mut writer =
        TbsWriter::start(Sha256Sink::default(), &facts, entry.encoded_length() * count).unwrap();
    for _ in 0..count {
        writer.push(&entry).unwrap();
    }
    let (sink, length) = writer.finish().unwrap();

    let head = to_be_signed(&facts, &[entry]);
    assert!(length > 35 * count && head.len() < 300);
    assert_eq!(sink.octets, length);

    let mut piece = Vec::new();
    std::io::repeat(0).take(10).read_to_end(&mut piece).unwrap();
    assert!(CrlReader::start(&piece[..], CrlForm::ToBeSigned, MAX).is_err());
}

#[derive(Default)]
struct Sha256Sink {
    octets: u64,
}

impl std::io::Write for Sha256Sink {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.octets += u64::try_from(octets.len()).unwrap();
        Ok(octets.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
