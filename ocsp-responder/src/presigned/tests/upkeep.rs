//! What is kept up while something is amiss: a CA without a delegate, a delegate that ends, certificates that are forgotten, files that
//! are lost, and heads that a carrier wrote.

use status::presigned::{PresignedAnswer, Said};

use super::*;
use crate::testing::signed_by;

/// What a certificate of another CA of the log is told of by.
fn of_the_other(issuer: IssuerRef, number: u32, change: Change) -> StatusEntry {
    let time = at(START - HOUR);
    StatusEntry::Certificate(CertificateEntry::own(time, issuer, serial(number), change))
}

/// Zones with a second CA, `person4`, of 20 certificates, which has no delegate; and how the log names it.
fn with_an_other(certificates: u32) -> (Zones, Arc<Authority>, IssuerRef) {
    let mut zones = Zones::new(certificates);
    let other = authority_of(&pair(), "person4");
    let list = vec![zones.authority(), Arc::clone(&other)];
    zones.authorities = Authorities::new(list, 2);
    let log_time = at(START - HOUR);
    let mut entries = vec![StatusEntry::IssuerDeclared { log_time, issuer: other.issuer }];
    let classes = AnswerClasses {
        before_activation: BeforeActivation::Good,
        after_expiry: AfterExpiry::Unknown,
    };
    let not_after = at(START + 100 * DAY);
    let change = Change::Issued { not_after, classes };
    // By the entry that declares it.
    let issuer = IssuerRef::from_index(u64::from(certificates) + 1);
    entries.extend((0..20).map(|number| of_the_other(issuer, number, change)));
    zones.beat(START, &entries);
    (zones, other, issuer)
}

/// OCSP-10, promise 5: a CA that nothing can be signed for holds up no other, however much the log changes of it; it is counted, and signed
/// for as soon as it has a delegate.
#[test]
fn a_ca_without_a_delegate_holds_up_no_other() {
    let (mut zones, _, issuer) = with_an_other(50);
    assert_eq!(zones.sign(START), 50);
    let figures = Arc::clone(&zones.presigner.figures);
    assert_eq!(figures.figures(at(START))[3], 1);

    let change =
        Change::Revoked { reason: Some(RevocationReason::KeyCompromise), invalidity_date: None };
    for minute in (5..=60).step_by(5) {
        let now = START + minute * 60;
        let number = u32::try_from(minute / 5).unwrap();
        zones.beat(now, &[of_the_other(issuer, number, change)]);
        zones.sign(now);
    }
    assert!(zones.refused(START + HOUR).is_empty());
    assert!(zones.stock.state_of("person3").unwrap().ends >= at(START + 2 * HOUR - 300));

    let delegates = zones.delegates.of("person3");
    zones.delegates.set("person4", delegates);
    assert!(zones.sign(START + HOUR) >= 20);
    assert_eq!(figures.figures(at(START))[3], 0);
}

/// Item 3: a file that cannot be written holds up neither its CA's others nor another CA, and is made when it can be.
#[test]
fn a_file_that_fails_holds_up_no_other() {
    let mut zones = Zones::new(50);
    let wave = Wave::of(&serial(7));
    // A folder in its place cannot be read.
    fs::create_dir_all(zones.file(wave)).unwrap();
    let (mut failures, mut now) = (0, START);
    while now < START + 10 {
        match zones.presigner.step(&zones.authorities, at(now)) {
            Ok(Outcome::Done) => {}
            Ok(Outcome::NotNow | Outcome::Idle) => now += 1,
            Err(error) => {
                assert_eq!(error.code(), "presign-storage");
                failures += 1;
            }
        }
    }
    assert_eq!(failures, 1);
    let others = (0..50).filter(|number| Wave::of(&serial(*number)) != wave).count();
    assert_eq!(zones.token.signed.load(Ordering::SeqCst), u64::try_from(others).unwrap());

    fs::remove_dir(zones.file(wave)).unwrap();
    zones.beat(START + 60, &[]);
    zones.sign(START + 60);
    assert!(fs::read(zones.file(wave)).is_ok());
}

/// OCSP-10: what ends with an old delegate is signed anew as soon as a younger one is there, once, and does not wait for its wave's turn.
#[test]
fn answers_that_end_with_a_delegate_are_signed_anew_under_the_next() {
    let mut zones = Zones::new(50);
    zones.delegate(START + 1200 - 14 * DAY);
    assert_eq!(zones.sign(START), 50);
    zones.beat(START + 1, &[]);
    assert_eq!(zones.sign(START + 1), 0, "there is no other");

    zones.delegate(START - 300);
    zones.beat(START + 2, &[]);
    assert_eq!(zones.sign(START + 2), 50);
    assert_eq!(zones.sign(START + 2), 0);
    assert!(zones.refused(START + 2).is_empty());
    assert!(zones.stock.state_of("person3").unwrap().ends > at(START + HOUR));
}

/// An answer that ends because its certificate is forgotten then has no successor, and is missed on neither side.
#[test]
fn what_is_forgotten_is_not_missed() {
    let mut zones = Zones::new(50);
    let now = START + 7 * DAY;
    zones.beat(now, &[issued(50, 1800)]);
    assert_eq!(zones.sign(now), 51);
    assert!(zones.refused(now).is_empty());

    let later = now + 1801;
    assert!(zones.stock.state_of("person3").unwrap().ends > at(later));
    assert!(zones.presigner.figures.figures(at(later))[2] > 0);
}

/// A file of the outer host that is damaged or deleted while the program runs is told of, and taken up anew from what was carried.
#[test]
fn a_lost_file_is_told_of_and_replaced() {
    let mut zones = Zones::new(1);
    zones.sign(START);
    assert!(zones.refused(START).is_empty());
    let wave = Wave::of(&serial(0));
    let own = zones.folder.path().join(format!("outer/presigned/person3/{wave}.answers"));
    assert_eq!(zones.given(0), Some(CertStatus::Good));

    fs::write(&own, b"damaged").unwrap();
    assert_eq!(zones.given(0), None);
    assert_eq!(zones.refused(START), ["presigned-lost"]);
    assert_eq!(zones.given(0), Some(CertStatus::Good));

    fs::remove_file(&own).unwrap();
    assert_eq!((zones.given(0), zones.given(0)), (None, None));
    assert_eq!(zones.refused(START), ["presigned-lost"]);
    assert_eq!(zones.given(0), Some(CertStatus::Good));
    assert!(zones.refused(START).is_empty());
}

/// Promise 5: the delegate of one CA, which was judged, signs for no other.
#[test]
fn a_delegate_is_judged_for_each_ca() {
    let (mut zones, other, _) = with_an_other(1);
    zones.sign(START);
    assert!(zones.refused(START).is_empty());
    let signers = vec![zones.delegates.of("person3")[0].certificate.clone()];
    let said = Said {
        serial: serial(0),
        status: CertStatus::Good,
        invalidity_date: None,
        archive_cutoff: None,
        produced_at: at(START),
        this_update: at(START),
        next_update: at(START + HOUR),
    };
    let (ca, key) = (&other.certificate, signers[0].public_key().key_bits_sha1());
    let data = said.response_data(ca.subject(), ca.public_key(), key);
    let signature = signed_by(&zones.token.pair, &data);
    let wave = Wave::of(&serial(0));
    let own = fs::read(zones.file(wave)).unwrap();
    let head = PresignedFile::read(&own).unwrap().head().clone();
    let forged = PresignedHead { issuer: other.issuer, signers, ..head };
    let bytes = forged.write(vec![PresignedAnswer { said, signer: 0, signature }]).unwrap();
    let folder = zones.folder.path().join("presigned/person4");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join(format!("{wave}.answers")), bytes).unwrap();

    let mut codes = Vec::new();
    let requested = DelegateSource::Requested;
    zones.keeper.step(&other, requested, at(START), &mut |error| codes.push(error.code()));
    assert_eq!(codes, ["presigned-signer"]);
}

/// OCSP-11, promise 5: nobody signs the head of a file. A carrier that writes one of a generation that no later file could exceed, or leaves answers
/// out, is refused, and the next file that was signed is believed.
#[test]
fn a_head_that_a_carrier_wrote_keeps_no_later_file_out() {
    let mut zones = Zones::new(1);
    zones.sign(START);
    assert!(zones.refused(START).is_empty());
    let wave = Wave::of(&serial(0));
    let own = fs::read(zones.file(wave)).unwrap();
    let head = PresignedFile::read(&own).unwrap().head().clone();
    let answers: Vec<_> = PresignedFile::read(&own).unwrap().answers().collect();

    for (generation, answers, code) in [
        (u64::MAX, answers, "presigned-future"),
        (u64::MAX, Vec::new(), "presigned-future"),
        (head.generation + 1, Vec::new(), "presigned-lacking"),
    ] {
        let forged = PresignedHead { generation, ..head.clone() };
        fs::write(zones.file(wave), forged.write(answers).unwrap()).unwrap();
        assert_eq!(zones.refused(START + 1), [code]);
        assert_eq!(zones.given(0), Some(CertStatus::Good));
    }

    // And inside, where somebody wrote it into the folder, the next file has a number that is believed.
    let forged = PresignedHead { generation: u64::MAX, ..head };
    fs::write(zones.file(wave), forged.write(Vec::new()).unwrap()).unwrap();
    zones.beat(START + 1, &[revoked(0)]);
    assert_eq!(zones.sign(START + 1), 1);
    assert!(zones.refused(START + 1).is_empty());
    assert!(matches!(zones.given(0), Some(CertStatus::Revoked { .. })));
}
