//! Lists from rows to the finished file, judged by OpenSSL and by a model of what may follow what.
#![expect(clippy::disallowed_methods, reason = "tests run other programs and write files for them")]

mod algorithms;
mod deltas;
mod expired;
mod memory;
mod taken_over;

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Seek as _};
use std::process::Command;
use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use proptest::prelude::*;
use tempfile::TempDir;
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlReader, IssuingDistributionPoint, ReasonCode, RevokedEntry, Scope};
use x509::key::SignatureAlgorithm;
use x509::serial::SerialNumber;
use x509::signing::{Intent, IntentId, Recorded, Recorder, ToBeSigned};
use x509::time::UnixTime;

use crate::*;

const DAY: u64 = 86_400;
const NOW: u64 = 1_900_000_000;

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

struct TestCa {
    folder: TempDir,
    key: EcdsaKeyPair,
    issuer: CrlIssuer,
}

impl TestCa {
    fn new() -> Option<Self> {
        Self::named("/C=SE/O=Sigill Test/CN=SIGILL TEST CA", "utf8only")
    }

    /// A CA of that name, whose texts are of the string types that OpenSSL's `string_mask` chooses.
    fn named(subject: &str, mask: &str) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let config = format!(
            "[req]\ndistinguished_name = dn\nstring_mask = {mask}\nx509_extensions = ca\n[dn]\n\
             [ca]\nbasicConstraints = critical, CA:true\nsubjectKeyIdentifier = hash\n\
             authorityKeyIdentifier = keyid:always\nkeyUsage = critical, keyCertSign, cRLSign\n"
        );
        write(&path("req.cnf"), config.as_bytes());
        let steps: [&[&str]; 3] = [
            &[
                "genpkey",
                "-algorithm",
                "EC",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-outform",
                "DER",
                "-out",
                &path("key.der"),
            ],
            &[
                "req",
                "-x509",
                "-new",
                "-key",
                &path("key.der"),
                "-sha256",
                "-days",
                "7000",
                "-set_serial",
                "0x4011223344556677",
                "-utf8",
                "-subj",
                subject,
                "-config",
                &path("req.cnf"),
                "-out",
                &path("ca.pem"),
            ],
            &["x509", "-in", &path("ca.pem"), "-outform", "DER", "-out", &path("ca.der")],
        ];
        for step in steps {
            let Ok(output) = Command::new("openssl").args(step).output() else {
                println!("skipped: openssl is not installed");
                return None;
            };
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let pkcs8 = Command::new("openssl")
            .args([
                "pkcs8",
                "-topk8",
                "-nocrypt",
                "-inform",
                "DER",
                "-in",
                &path("key.der"),
                "-outform",
                "DER",
            ])
            .output()
            .unwrap()
            .stdout;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).unwrap();
        let certificate = Certificate::from_der(&read(&path("ca.der"))).unwrap();
        let issuer = CrlIssuer::new(certificate, SignatureAlgorithm::EcdsaP256Sha256).unwrap();
        Some(Self { folder, key, issuer })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

fn read(path: &str) -> Vec<u8> {
    std::fs::read(path).unwrap()
}

fn write(path: &str, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}

struct NoRecord;

impl Recorder for NoRecord {
    type Error = std::convert::Infallible;
    fn record(self, _: &Intent) -> Result<(), Self::Error> {
        Ok(())
    }
}

fn entry(octet: u8, secs: u64, reason: Option<ReasonCode>) -> CrlEntry {
    CrlEntry::from(RevokedEntry {
        serial: SerialNumber::from_random([octet; 16]),
        revocation_date: at(secs),
        reason,
        invalidity_date: None,
    })
}

fn order<'a>(issuer: &'a CrlIssuer, number: &'a CrlNumber, now: u64) -> CrlOrder<'a> {
    CrlOrder {
        issuer,
        intent: IntentId::from_bytes([9; 16]),
        number,
        kind: x509::crl::CrlKind::COMPLETE,
        this_update: at(now),
        next_update: at(now + DAY),
        issuing_distribution_point: None,
        expired_certs_on_crl: None,
        new_dates: NewDates::SincePrevious,
    }
}

type Memory = Cursor<Vec<u8>>;
type Refusal = PrepareError<&'static str>;

fn spool() -> CrlSpool<Memory> {
    CrlSpool { file: Cursor::default(), path: "spool".into() }
}

/// Prepares, signs and finishes a list.
fn make(
    ca: &TestCa,
    order: &CrlOrder<'_>,
    rows: &[CrlEntry],
    previous: Option<&[u8]>,
    departure: &mut dyn FnMut(&RevokedEntry) -> Departure,
) -> Result<(Vec<u8>, Option<Comparison>), Refusal> {
    let mut spool = spool();
    let previous = previous.map(|crl| {
        PreviousCrl::ours(CrlReader::start(crl, CrlForm::CertificateList, MAX_OCTETS).unwrap())
    });
    let rows = rows.iter().copied().map(Ok);
    let prepared = prepare(order, rows, &mut spool, previous, departure)?;
    let recorded = Recorded::by(NoRecord, prepared.pending.intent()).unwrap();
    let input = prepared.pending.input(&recorded).unwrap();
    let ToBeSigned::Spool(given) = input.to_be_signed() else { panic!("spool") };
    assert_eq!(given.length, prepared.length);

    let tbs = spool.file.get_ref().clone();
    let signature = ca.key.sign(&SystemRandom::new(), &tbs).unwrap();
    let signed = prepared.pending.finish(signature.as_ref().to_vec()).unwrap();
    spool.file.rewind().unwrap();
    let mut crl = Vec::new();
    let finished = finish(&signed, &mut spool.file, &mut crl).unwrap();
    assert_eq!(finished.length, u64::try_from(crl.len()).unwrap());
    Ok((crl, prepared.comparison))
}

fn unexplained(_: &RevokedEntry) -> Departure {
    Departure::Unexplained
}

/// The comparison's refusal of a second list after a first.
fn refusal(
    ca: &TestCa,
    first: &[CrlEntry],
    second: (&CrlOrder<'_>, &[CrlEntry]),
    departure: &mut dyn FnMut(&RevokedEntry) -> Departure,
) -> CompareError {
    let number = CrlNumber::from(10);
    let (crl, _) =
        make(ca, &order(&ca.issuer, &number, NOW), first, None, &mut unexplained).unwrap();
    match make(ca, second.0, second.1, Some(&crl), departure) {
        Err(PrepareError::Compare(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// CRL-01: OpenSSL verifies lists with and without entries; number and key identifier are there.
#[test]
fn openssl_verifies_the_finished_list() {
    let Some(ca) = TestCa::new() else { return };
    let number = CrlNumber::from(0x0102);
    let point = IssuingDistributionPoint {
        full_name: vec!["http://crl.example.org/ca.crl".to_owned()],
        scope: Scope::UserCertificates,
    };
    let rows = [
        entry(1, NOW - 5, None),
        entry(2, NOW - 4, Some(ReasonCode::CertificateHold)),
        entry(3, NOW - 3, Some(ReasonCode::Superseded)),
    ];
    for (rows, point) in [(&rows[..0], None), (&rows, None), (&rows, Some(&point))] {
        let order =
            CrlOrder { issuing_distribution_point: point, ..order(&ca.issuer, &number, NOW) };
        let (crl, _) = make(&ca, &order, rows, None, &mut unexplained).unwrap();
        write(&ca.path("a.crl"), &crl);

        let output = Command::new("openssl")
            .args([
                "crl",
                "-inform",
                "DER",
                "-in",
                &ca.path("a.crl"),
                "-CAfile",
                &ca.path("ca.pem"),
                "-noout",
                "-text",
            ])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();

        assert!(text.contains("verify OK"), "{text}");
        assert!(text.contains("X509v3 CRL Number: \n                258"), "{text}");
        assert!(text.contains("X509v3 Authority Key Identifier"), "{text}");
        assert_eq!(text.contains("No Revoked Certificates."), rows.is_empty(), "{text}");
        assert_eq!(text.matches("Serial Number: ").count(), rows.len());
    }
}

#[test]
fn a_list_may_follow_with_new_entries_final_holds_and_explained_departures() {
    let Some(ca) = TestCa::new() else { return };
    let hold = Some(ReasonCode::CertificateHold);
    let first = [
        entry(1, NOW - 500, hold),
        entry(2, NOW - 400, hold),
        entry(3, NOW - 300, None),
        entry(4, NOW - 200, Some(ReasonCode::Superseded)),
    ];
    let second = [
        entry(1, NOW + 5, Some(ReasonCode::KeyCompromise)),
        entry(4, NOW - 200, Some(ReasonCode::KeyCompromise)),
        entry(5, NOW, None),
    ];
    let (one, two) = (CrlNumber::from(127), CrlNumber::from(128));
    let (crl, none) =
        make(&ca, &order(&ca.issuer, &one, NOW), &first, None, &mut unexplained).unwrap();
    let later = order(&ca.issuer, &two, NOW + 3600);

    let (_, comparison) = make(&ca, &later, &second, Some(&crl), &mut |gone| {
        if gone.reason.is_some() {
            Departure::Released
        } else {
            Departure::Expired { not_after: at(NOW - 1) }
        }
    })
    .unwrap();

    assert_eq!(none, None);
    let expected = Comparison { added: 1, departed: 2, changed: 2, entries: 3 };
    assert_eq!(comparison, Some(expected));
}

/// CRL-11: a cut-off query does not get published; CRL-09: nor an early departure.
#[test]
fn refuses_to_lose_an_entry_without_a_reason() {
    let Some(ca) = TestCa::new() else { return };
    let number = CrlNumber::from(11);
    let rows = [entry(1, NOW - 9, None), entry(2, NOW - 9, None), entry(3, NOW - 9, None)];
    let later = order(&ca.issuer, &number, NOW + 60);
    for kept in 0..3 {
        let lost = refusal(&ca, &rows, (&later, &rows[..kept]), &mut unexplained);
        let CompareError::Lost { serial } = lost else { panic!("{lost}") };
        assert_eq!(serial, rows[kept].serial());
    }
    let released = refusal(&ca, &rows, (&later, &rows[..2]), &mut |_| Departure::Released);
    assert!(matches!(released, CompareError::Lost { .. }));
    for not_after in [NOW, NOW + 1] {
        let early = refusal(&ca, &rows, (&later, &rows[..2]), &mut |_| Departure::Expired {
            not_after: at(not_after),
        });
        assert!(matches!(early, CompareError::LeftTooEarly { .. }));
    }
}

/// CRL-02: the number rises, strictly.
#[test]
fn refuses_a_number_that_does_not_rise() {
    let Some(ca) = TestCa::new() else { return };
    for bad in [10, 9, 1] {
        let number = CrlNumber::from(bad);
        let later = order(&ca.issuer, &number, NOW + 60);
        let refused = refusal(&ca, &[], (&later, &[]), &mut unexplained);
        assert!(matches!(refused, CompareError::NumberNotRisen { .. }), "{refused}");
    }
}

/// REV-03, REV-06: dates stay, nothing is backdated, revoked does not become held.
#[test]
fn refuses_changed_dates_backdated_entries_and_unrevoking() {
    let Some(ca) = TestCa::new() else { return };
    let hold = Some(ReasonCode::CertificateHold);
    let number = CrlNumber::from(11);
    let later = order(&ca.issuer, &number, NOW + 60);
    let first = [entry(1, NOW - 90, None), entry(2, NOW - 90, hold)];
    let second = |one, two| [one, two];

    let moved = second(entry(1, NOW - 89, None), first[1]);
    let refused = refusal(&ca, &first, (&later, &moved), &mut unexplained);
    assert!(matches!(refused, CompareError::DateChanged { .. }));

    let earlier = second(first[0], entry(2, NOW - 91, None));
    let refused = refusal(&ca, &first, (&later, &earlier), &mut unexplained);
    assert!(matches!(refused, CompareError::DateChanged { .. }));

    let held = second(entry(1, NOW - 90, hold), first[1]);
    let refused = refusal(&ca, &first, (&later, &held), &mut unexplained);
    assert!(matches!(refused, CompareError::Unrevoked { .. }));

    let backdated = [first[0], first[1], entry(3, NOW - 1, None)];
    let refused = refusal(&ca, &first, (&later, &backdated), &mut unexplained);
    assert!(matches!(refused, CompareError::Backdated { .. }));

    let imported = CrlOrder { new_dates: NewDates::Imported, ..later.clone() };
    let number = CrlNumber::from(10);
    let (crl, _) =
        make(&ca, &order(&ca.issuer, &number, NOW), &first, None, &mut unexplained).unwrap();
    assert!(make(&ca, &imported, &backdated, Some(&crl), &mut unexplained).is_ok());
}

/// CRL-05: the last list is what RFC 5280 §4.1.2.5 writes for a time without end, OpenSSL reads it, and nothing follows it.
#[test]
fn nothing_follows_the_last_list() {
    let Some(ca) = TestCa::new() else { return };
    let (one, two) = (CrlNumber::from(10), CrlNumber::from(11));
    let last = CrlOrder { next_update: UnixTime::LAST, ..order(&ca.issuer, &one, NOW) };
    let rows = [entry(1, NOW - 5, None)];
    let (crl, _) = make(&ca, &last, &rows, None, &mut unexplained).unwrap();
    assert!(crl.windows(17).any(|window| window == b"\x18\x0f99991231235959Z"));
    write(&ca.path("last.crl"), &crl);
    let output = Command::new("openssl")
        .args(["crl", "-inform", "DER", "-in", &ca.path("last.crl"), "-noout", "-nextupdate"])
        .args(["-CAfile", &ca.path("ca.pem")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(said.contains("verify OK"), "{said}");
    assert!(said.contains("nextUpdate=Dec 31 23:59:59 9999 GMT"), "{said}");

    for next_update in [at(NOW + DAY), UnixTime::LAST] {
        let next = CrlOrder { next_update, ..order(&ca.issuer, &two, NOW + 60) };
        let refused = make(&ca, &next, &rows, Some(&crl), &mut unexplained);
        assert!(
            matches!(refused, Err(PrepareError::Compare(CompareError::AfterLast))),
            "{refused:?}"
        );
    }
}

/// CRL-11: issuer, key identifier and distribution point of a CA never change; time does not run back.
#[test]
fn refuses_another_issuer_another_scope_and_an_earlier_list() {
    let (Some(ca), Some(mut other)) = (TestCa::new(), TestCa::new()) else { return };
    let number = CrlNumber::from(11);
    let point = IssuingDistributionPoint { full_name: Vec::new(), scope: Scope::CaCertificates };
    let scoped = CrlOrder {
        issuing_distribution_point: Some(&point),
        ..order(&ca.issuer, &number, NOW + 60)
    };
    let refused = refusal(&ca, &[], (&scoped, &[]), &mut unexplained);
    assert!(matches!(refused, CompareError::Differs("issuingDistributionPoint")));

    let earlier = order(&ca.issuer, &number, NOW - 1);
    let refused = refusal(&ca, &[], (&earlier, &[]), &mut unexplained);
    assert!(matches!(refused, CompareError::ThisUpdate { .. }));

    // The same name under another key.
    other.folder = tempfile::tempdir().unwrap();
    let stranger = order(&other.issuer, &number, NOW + 60);
    let refused = refusal(&ca, &[], (&stranger, &[]), &mut unexplained);
    assert!(matches!(refused, CompareError::Differs("authorityKeyIdentifier")));
}

#[test]
fn refuses_rows_out_of_order_and_rows_that_end_in_an_error() {
    let Some(ca) = TestCa::new() else { return };
    let number = CrlNumber::first();
    let order = order(&ca.issuer, &number, NOW);
    let none = || None::<PreviousCrl<&[u8]>>;
    let (one, two) = (entry(1, NOW, None), entry(2, NOW, None));

    for rows in [[two, one], [one, one]] {
        let rows = rows.map(Ok::<_, &str>);
        let refused = prepare(&order, rows, &mut spool(), none(), &mut unexplained);
        assert!(matches!(refused, Err(PrepareError::Order { .. })));
    }
    let broken = [Ok(one), Err("the database went away")];
    let refused = prepare(&order, broken, &mut spool(), none(), &mut unexplained);
    assert!(matches!(refused, Err(PrepareError::Rows("the database went away"))));
}

/// A list of another operator need not ascend: it is sorted, and then nothing of it may be lost.
#[test]
fn the_first_list_after_a_takeover_follows_an_unsorted_one() {
    let Some(ca) = TestCa::new() else { return };
    let sorted = [entry(1, NOW - 9, None), entry(2, NOW - 9, None), entry(3, NOW - 9, None)];
    let length = sorted.iter().map(|entry| entry.revoked().encoded_length()).sum();
    let facts = x509::crl::CrlFacts {
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
        issuer: ca.issuer.certificate().subject().as_der(),
        authority_key_id: &ca.issuer.certificate().ski().unwrap().0,
        this_update: at(NOW - 5),
        next_update: at(NOW),
        number: &[5],
        kind: x509::crl::CrlKind::COMPLETE,
        issuing_distribution_point: None,
        expired_certs_on_crl: None,
    };
    let mut writer = x509::crl::TbsWriter::start(Vec::new(), &facts, length).unwrap();
    [2, 0, 1].into_iter().for_each(|index: usize| writer.push(sorted[index].revoked()).unwrap());
    let (foreign, _) = writer.finish().unwrap();
    let reader = || CrlReader::start(&foreign[..], CrlForm::ToBeSigned, MAX_OCTETS).unwrap();
    let number = CrlNumber::from(6);
    let order = CrlOrder { new_dates: NewDates::Imported, ..order(&ca.issuer, &number, NOW) };
    let rows = |count: usize| sorted.into_iter().take(count).map(Ok::<_, &str>);

    let sorted_first = Some(PreviousCrl::foreign(reader()).unwrap());
    let made = prepare(&order, rows(3), &mut spool(), sorted_first, &mut unexplained).unwrap();
    assert_eq!(made.comparison.unwrap(), Comparison { entries: 3, ..Comparison::default() });

    let streamed = Some(PreviousCrl::ours(reader()));
    let refused = prepare(&order, rows(3), &mut spool(), streamed, &mut unexplained);
    assert!(matches!(
        refused,
        Err(PrepareError::Compare(CompareError::Order { which: Which::Previous, .. }))
    ));
    let lost = Some(PreviousCrl::foreign(reader()).unwrap());
    let refused = prepare(&order, rows(2), &mut spool(), lost, &mut unexplained);
    assert!(matches!(refused, Err(PrepareError::Compare(CompareError::Lost { .. }))));
}

/// CRL-14: a hundred thousand rows, counted octets, and the reader of the finished list agrees.
#[test]
fn a_hundred_thousand_rows_stream_through() {
    let Some(ca) = TestCa::new() else { return };
    let number = CrlNumber::first();
    let rows = (0..100_000_u32).map(|index| {
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

    let made = prepare(
        &order(&ca.issuer, &number, NOW),
        rows,
        &mut spool,
        None::<PreviousCrl<&[u8]>>,
        &mut unexplained,
    )
    .unwrap();

    assert_eq!(made.entries, 100_000);
    spool.file.rewind().unwrap();
    let mut tbs = Vec::new();
    spool.file.read_to_end(&mut tbs).unwrap();
    assert_eq!(u64::try_from(tbs.len()).unwrap(), made.length);
    let reader = CrlReader::start(&tbs[..], CrlForm::ToBeSigned, MAX_OCTETS).unwrap();
    assert_eq!(reader.finish().unwrap().entries, 100_000);
}

prop_compose! {
    fn rows()(
        rows in proptest::collection::btree_map(0_u8..60, (0_u64..100, 0_usize..10), 0..50)
    ) -> BTreeMap<u8, (u64, Option<ReasonCode>)> {
        rows.into_iter()
            .map(|(serial, (age, reason))| {
                // The linter refuses these two on a full list (REV-04).
                let refused = [ReasonCode::RemoveFromCrl, ReasonCode::AaCompromise];
                let reason =
                    ReasonCode::ALL.get(reason).copied().filter(|reason| !refused.contains(reason));
                (serial, (NOW - age, reason))
            })
            .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// CRL-11: the streaming merge decides as set arithmetic does.
    #[test]
    fn the_merge_agrees_with_sets(old in rows(), new in rows()) {
        static CA: LazyLock<Option<TestCa>> = LazyLock::new(TestCa::new);
        let Some(ca) = &*CA else { return Ok(()) };
        let entries = |rows: &BTreeMap<u8, (u64, Option<ReasonCode>)>| -> Vec<CrlEntry> {
            let mut all: Vec<CrlEntry> = rows
                .iter()
                .map(|(serial, (date, reason))| entry(*serial, *date, *reason))
                .collect();
            all.sort();
            all
        };
        // Octets 0 to 59 give distinct serials, since the first two bits are fixed only in the first.
        let (one, two) = (CrlNumber::first(), CrlNumber::from(2));
        let (crl, _) = make(ca, &order(&ca.issuer, &one, NOW - 200), &entries(&old), None,
            &mut unexplained).unwrap();
        let order = CrlOrder { new_dates: NewDates::Imported, ..order(&ca.issuer, &two, NOW) };

        let made = make(ca, &order, &entries(&new), Some(&crl), &mut unexplained);

        let nothing_lost = old.keys().all(|serial| new.contains_key(serial));
        let hold = Some(ReasonCode::CertificateHold);
        let dates_kept = old.iter().all(|(serial, (date, reason))| {
            new.get(serial).is_none_or(|(new_date, new_reason)| {
                let may_move = *reason == hold && new_date >= date;
                (date == new_date || may_move) && (*reason == hold || *new_reason != hold)
            })
        });
        prop_assert_eq!(made.is_ok(), nothing_lost && dates_kept);
        if let Ok((_, Some(comparison))) = made {
            let added = new.keys().filter(|serial| !old.contains_key(serial)).count();
            prop_assert_eq!(comparison.added, u64::try_from(added).unwrap());
            prop_assert_eq!(comparison.entries, u64::try_from(new.len()).unwrap());
        }
    }
}
