//! CRL-08: base and delta are the complete list, for every history in a model and for two certificates in OpenSSL.

use status::{
    AfterExpiry, AnswerClasses, BeforeActivation, CertificateEntry, Change, Index, IssuerId,
    IssuerRef, RevocationReason, StatusEntry,
};
use x509::crl::CrlKind;

use super::*;

const SERIALS: u8 = 12;

/// What a history does to a certificate, or to the lists.
#[derive(Clone, Copy, Debug)]
enum Step {
    Change(u8, Change),
    /// Time goes on by so many seconds.
    Later(u64),
    /// A complete list is published.
    Full,
    /// A delta to the last complete list is made and judged.
    Delta,
}

fn any_step() -> impl Strategy<Value = Step> {
    let classes = AnswerClasses {
        before_activation: BeforeActivation::Held,
        after_expiry: AfterExpiry::Kept,
    };
    let ends =
        (1_u64..400).prop_map(move |secs| Change::Issued { not_after: at(NOW + secs), classes });
    let reason = proptest::option::of(proptest::sample::select(RevocationReason::ALL.to_vec()));
    let change = prop_oneof![
        3 => ends,
        2 => Just(Change::Activated),
        3 => Just(Change::Held),
        3 => Just(Change::Released),
        2 => reason.prop_map(|reason| Change::Revoked { reason, invalidity_date: None }),
    ];
    prop_oneof![
        8 => (0..SERIALS, change).prop_map(|(serial, change)| Step::Change(serial, change)),
        2 => (1_u64..90).prop_map(Step::Later),
        1 => Just(Step::Full),
        3 => Just(Step::Delta),
    ]
}

/// What a complete list made now says.
fn rows(index: &Index, previous: Option<u64>) -> Vec<CrlEntry> {
    let listing = Listing::UntilExpired { previous: previous.map(at) };
    let serials = (0..SERIALS).map(|octet| SerialNumber::from_random([octet; 16]));
    let entry = |serial| {
        let status = index.lookup(IssuerRef::from_index(0), &serial)?;
        CrlEntry::of(serial, &status, listing)
    };
    let mut rows: Vec<CrlEntry> = serials.filter_map(entry).collect();
    rows.sort();
    rows
}

fn map(entries: impl IntoIterator<Item = RevokedEntry>) -> BTreeMap<SerialNumber, RevokedEntry> {
    entries.into_iter().map(|entry| (entry.serial, entry)).collect()
}

/// A relying party that has the base and gets the delta (RFC 5280 §6.3.3).
fn applied(
    base: &BTreeMap<SerialNumber, RevokedEntry>,
    delta: &[RevokedEntry],
) -> BTreeMap<SerialNumber, RevokedEntry> {
    let mut merged = base.clone();
    for entry in delta {
        if entry.reason == Some(ReasonCode::RemoveFromCrl) {
            merged.remove(&entry.serial);
        } else {
            merged.insert(entry.serial, *entry);
        }
    }
    merged
}

fn written(rows: &[CrlEntry], kind: CrlKind<'_>, number: &[u8], now: u64) -> Vec<u8> {
    let facts = x509::crl::CrlFacts {
        algorithm: SignatureAlgorithm::EcdsaP256Sha256,
        issuer: &[0x30, 0x02, 0x31, 0x00],
        authority_key_id: &[1; 20],
        this_update: at(now),
        next_update: at(now + DAY),
        number,
        kind,
        issuing_distribution_point: None,
        expired_certs_on_crl: None,
    };
    let length = rows.iter().map(|row| row.revoked().encoded_length()).sum();
    let mut writer = x509::crl::TbsWriter::start(Vec::new(), &facts, length).unwrap();
    rows.iter().for_each(|row| writer.push(row.revoked()).unwrap());
    writer.finish().unwrap().0
}

fn reader(tbs: &[u8]) -> CrlReader<&[u8]> {
    CrlReader::start(tbs, CrlForm::ToBeSigned, MAX_OCTETS).unwrap()
}

fn entries(tbs: &[u8]) -> Vec<RevokedEntry> {
    reader(tbs).map(Result::unwrap).collect()
}

fn merged(
    base: &[u8],
    last: Option<&[u8]>,
    rows: &[CrlEntry],
    departure: impl FnMut(&RevokedEntry) -> Departure,
) -> Result<Vec<CrlEntry>, DeltaError<&'static str>> {
    delta(reader(base), last.map(reader), rows.iter().copied().map(Ok), departure).collect()
}

/// Why a certificate has no entry now.
fn why(index: &Index, serial: &SerialNumber) -> Departure {
    match index.lookup(IssuerRef::from_index(0), serial) {
        Some(status) if status.revocation().is_none() => Departure::Released,
        Some(status) => Departure::Expired { not_after: status.not_after },
        None => Departure::Unexplained,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// CRL-08: over random histories with hold, release and expiry, base and delta are the complete list of that
    /// instant, also for a party that has put each delta before to the base; and the delta says nothing that base and
    /// deltas before said already.
    #[test]
    fn base_and_delta_are_the_complete_list(steps in proptest::collection::vec(any_step(), 0..120)) {
        let mut index = Index::new(1);
        let declared = StatusEntry::IssuerDeclared {
            log_time: at(NOW),
            issuer: IssuerId::from_bytes([1; 32]),
        };
        index.apply(index.next(), &declared).unwrap();
        let (mut now, mut base_time) = (NOW, NOW);
        let mut base = written(&rows(&index, None), CrlKind::COMPLETE, &[1], now);
        let mut last: Option<Vec<u8>> = None;
        let mut party = map(entries(&base));
        for step in steps {
            match step {
                Step::Change(octet, change) => {
                    let serial = SerialNumber::from_random([octet; 16]);
                    let issuer = IssuerRef::from_index(0);
                    let entry = CertificateEntry::own(at(now), issuer, serial, change);
                    // What the state machine refuses is not in any log.
                    let _refused = index.apply(index.next(), &StatusEntry::Certificate(entry));
                }
                Step::Later(secs) => now += secs,
                Step::Full => {
                    base = written(&rows(&index, Some(base_time)), CrlKind::COMPLETE, &[1], now);
                    base_time = now;
                    last = None;
                    party = map(entries(&base));
                }
                Step::Delta => {
                    let full = rows(&index, Some(base_time));
                    let departure = |entry: &RevokedEntry| why(&index, &entry.serial);
                    let delta = merged(&base, last.as_deref(), &full, departure).unwrap();
                    let kind = CrlKind::Delta { base: &[1] };
                    let octets = written(&delta, kind, &[2], now);
                    let delta = entries(&octets);
                    let before = map(last.as_deref().map(entries).unwrap_or_default());
                    let full = map(full.iter().map(|row| *row.revoked()));
                    let base = map(entries(&base));
                    prop_assert_eq!(&applied(&base, &delta), &full);
                    party = applied(&party, &delta);
                    prop_assert_eq!(&party, &full);
                    let is_news = |entry: &RevokedEntry| {
                        base.get(&entry.serial) != Some(entry) || before.contains_key(&entry.serial)
                    };
                    prop_assert!(delta.iter().all(is_news));
                    last = Some(octets);
                }
            }
        }
    }
}

#[test]
fn refuses_a_base_out_of_order_and_ends_with_the_first_error() {
    let unsorted = [entry(2, NOW, None), entry(1, NOW, None)];
    let base = written(&unsorted, CrlKind::COMPLETE, &[1], NOW);
    let released = |_: &RevokedEntry| Departure::Released;
    let made = merged(&base, None, &[], released);
    assert!(matches!(made, Err(DeltaError::Order { .. })), "{made:?}");

    let base = written(&[], CrlKind::COMPLETE, &[1], NOW);
    let broken = [Err("the database went away"), Ok(entry(1, NOW, None))];
    let made: Vec<_> = delta(reader(&base), None, broken.into_iter(), released).collect();
    assert!(
        matches!(made.as_slice(), [Err(DeltaError::Rows("the database went away"))]),
        "{made:?}"
    );
}

/// CRL-08, CRL-11: a row that is missing takes nobody off the list unless the certificate was released from hold, or
/// ended before the base was made; and what is final stays as it is.
#[test]
fn refuses_to_take_a_revocation_back_without_a_reason() {
    let hold = Some(ReasonCode::CertificateHold);
    let listed = |entry: CrlEntry| written(&[entry], CrlKind::COMPLETE, &[1], NOW);
    let (revoked, held) = (entry(1, NOW - 100, None), entry(1, NOW - 100, hold));
    let expired = |secs| Departure::Expired { not_after: at(secs) };
    for (on_base, why, may_leave) in [
        (revoked, Departure::Unexplained, false),
        (revoked, Departure::Released, false),
        (revoked, expired(NOW), false),
        (revoked, expired(NOW - 1), true),
        (held, Departure::Unexplained, false),
        (held, Departure::Released, true),
    ] {
        let made = merged(&listed(on_base), None, &[], |_| why);
        match made {
            Ok(made) => assert!(may_leave && made.len() == 1, "{on_base:?} {why:?}"),
            Err(error) => {
                assert!(!may_leave && matches!(error, DeltaError::Lost { .. }), "{error:?}");
            }
        }
    }
    for (row, may_be) in [
        (held, false),
        (entry(1, NOW - 99, None), false),
        (entry(1, NOW - 100, Some(ReasonCode::KeyCompromise)), true),
    ] {
        let made = merged(&listed(revoked), None, &[row], |_| Departure::Unexplained);
        assert_eq!(made.is_ok(), may_be, "{row:?} {made:?}");
        assert!(may_be || matches!(made, Err(DeltaError::Unrevoked { .. })), "{made:?}");
    }
}

/// CRL-08, RFC 5280 §5.2.4: a hold that came after the base and stood on a delta is taken back on every one that
/// follows; a revocation that did is not.
#[test]
fn a_hold_that_came_and_went_between_two_deltas_is_removed() {
    let hold = Some(ReasonCode::CertificateHold);
    let kind = CrlKind::Delta { base: &[1] };
    let base = written(&[], CrlKind::COMPLETE, &[1], NOW);
    let released = |_: &RevokedEntry| Departure::Released;
    let mut last = written(&[entry(1, NOW, hold)], kind, &[2], NOW);
    for _ in 0..2 {
        let made = merged(&base, Some(&last), &[], released).unwrap();
        assert_eq!(made, [entry(1, NOW, Some(ReasonCode::RemoveFromCrl))]);
        last = written(&made, kind, &[3], NOW);
    }
    let again = entry(1, NOW + 9, hold);
    assert_eq!(merged(&base, Some(&last), &[again], released).unwrap(), [again]);

    let last = written(&[entry(1, NOW, None)], kind, &[2], NOW);
    let made = merged(&base, Some(&last), &[], released);
    assert!(matches!(made, Err(DeltaError::Lost { .. })), "{made:?}");
}

fn openssl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The certificate of serial `octet`, 16 times, under the CA.
fn leaf(ca: &TestCa, octet: u8) -> String {
    let serial = SerialNumber::from_random([octet; 16]);
    let (key, request, pem) =
        (ca.path("leaf.key"), ca.path("leaf.csr"), ca.path(&format!("{octet}.pem")));
    let asked = ["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let rest = ["-subj", "/C=SE/CN=leaf", "-keyout", &key, "-out", &request];
    assert!(openssl(&[&asked[..], &rest].concat()).0);
    let number = format!("0x{serial}");
    let (ca_pem, ca_key) = (ca.path("ca.pem"), ca.path("key.der"));
    let (made, text) = openssl(&[
        "x509",
        "-req",
        "-in",
        &request,
        "-CA",
        &ca_pem,
        "-CAkey",
        &ca_key,
        "-CAkeyform",
        "DER",
        "-set_serial",
        &number,
        "-days",
        "6000",
        "-out",
        &pem,
    ]);
    assert!(made, "{text}");
    pem
}

/// CRL-08: OpenSSL takes base and delta together: what the delta revokes is revoked, what it removes is good, and
/// without the delta both stand as on the base.
#[test]
fn openssl_believes_base_and_delta_together() {
    let Some(ca) = TestCa::new() else { return };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let (held, lost) =
        (entry(1, now - 500, Some(ReasonCode::CertificateHold)), entry(2, now - 60, None));
    let (one, two) = (CrlNumber::from(127), CrlNumber::from(128));
    let freshest = Some("http://crl.example.org/ca.delta.crl");
    let base =
        CrlOrder { kind: CrlKind::Complete { freshest }, ..order(&ca.issuer, &one, now - 100) };
    let (base, _) = make(&ca, &base, &[held], None, &mut unexplained).unwrap();
    let made: Vec<CrlEntry> = {
        let base = CrlReader::start(&base[..], CrlForm::CertificateList, MAX_OCTETS).unwrap();
        let rows = [Ok::<_, &str>(lost)].into_iter();
        delta(base, None, rows, |_| Departure::Released).map(Result::unwrap).collect()
    };
    assert_eq!(made.len(), 2);
    let next = CrlOrder {
        kind: CrlKind::Delta { base: one.as_octets() },
        ..order(&ca.issuer, &two, now - 50)
    };
    let (next, _) = make(&ca, &next, &made, None, &mut unexplained).unwrap();
    let pem = |octets: &[u8], name: &str| {
        let (der, pem) = (ca.path(&format!("{name}.crl")), ca.path(&format!("{name}.pem")));
        write(&der, octets);
        assert!(openssl(&["crl", "-inform", "DER", "-in", &der, "-out", &pem]).0);
        read(&pem)
    };
    let (base, next) = (pem(&base, "base"), pem(&next, "delta"));
    write(&ca.path("both"), &[base.clone(), next].concat());
    write(&ca.path("alone"), &base);
    let (held, lost) = (leaf(&ca, 1), leaf(&ca, 2));
    for (lists, leaf, good) in [
        ("alone", &held, false),
        ("alone", &lost, true),
        ("both", &held, true),
        ("both", &lost, false),
    ] {
        let (authority, lists) = (ca.path("ca.pem"), ca.path(lists));
        let (accepted, text) = openssl(&[
            "verify",
            "-crl_check",
            "-use_deltas",
            "-CAfile",
            &authority,
            "-CRLfile",
            &lists,
            leaf,
        ]);
        assert_eq!(accepted, good, "{lists} {leaf}: {text}");
        assert!(good || text.contains("certificate revoked"), "{text}");
    }
}
