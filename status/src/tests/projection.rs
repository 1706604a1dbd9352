//! The index: what it answers, and which entries it does not take.

use std::collections::HashMap;

use proptest::prelude::*;
use x509::crl::ReasonCode;
use x509::time::UnixTime;

use super::{CLASSES, ISSUER, at, serial};
use crate::entry::{CertificateEntry, Change, StatusEntry};
use crate::index::{ApplyError, Index};
use crate::issuer::{IssuerId, IssuerRef};
use crate::position::Position;
use crate::reason::RevocationReason;
use crate::shown::{
    AfterExpiry, Answer, AnswerClasses, BeforeActivation, CertificateStatus, ShownRevocation,
};
use crate::state::{Act, CertificateState, HeldFrom, IllegalTransition};

const NOT_AFTER: u64 = 2_000;
const WEEK: u64 = 7 * 24 * 60 * 60;

/// An index with one issuer, whose certificate `[1]` meets `changes` at 1001, 1002 and so on.
fn after(changes: &[Change]) -> Index {
    let mut index = Index::new(1);
    let issuer = IssuerId::of(b"name", b"key");
    apply(&mut index, &StatusEntry::IssuerDeclared { log_time: at(1000), issuer }).unwrap();
    for (secs, change) in (1001..).zip(changes) {
        apply(&mut index, &certificate(secs, *change)).unwrap();
    }
    index
}

fn apply(index: &mut Index, entry: &StatusEntry) -> Result<(), ApplyError> {
    index.apply(index.next(), entry)
}

fn certificate(secs: u64, change: Change) -> StatusEntry {
    StatusEntry::Certificate(CertificateEntry::own(at(secs), ISSUER, serial(&[1]), change))
}

const fn issued(before_activation: BeforeActivation, after_expiry: AfterExpiry) -> Change {
    let classes = AnswerClasses { before_activation, after_expiry };
    let Ok(not_after) = UnixTime::from_secs(NOT_AFTER) else { unreachable!() };
    Change::Issued { not_after, classes }
}

const PLAIN: Change = issued(BeforeActivation::Good, AfterExpiry::Kept);
const HELD_FIRST: Change = issued(BeforeActivation::Held, AfterExpiry::Unknown);
const REVOKED: Change =
    Change::Revoked { reason: Some(RevocationReason::KeyCompromise), invalidity_date: None };

fn revoked(secs: u64, reason: Option<ReasonCode>) -> Answer {
    Answer::Revoked(ShownRevocation { time: at(secs), reason, invalidity_date: None })
}

fn answer(changes: &[Change], now: u64) -> Answer {
    after(changes).answer(ISSUER, &serial(&[1]), at(now))
}

#[test]
fn every_state_has_its_answer() {
    const HOLD: Option<ReasonCode> = Some(ReasonCode::CertificateHold);
    let invalid = Change::Revoked { reason: None, invalidity_date: Some(at(900)) };
    for (changes, expected) in [
        (&[][..], Answer::Unknown),
        (&[PLAIN], Answer::Good),
        (&[PLAIN, Change::Activated], Answer::Good),
        (&[HELD_FIRST], revoked(1001, HOLD)),
        (&[HELD_FIRST, Change::Activated], Answer::Good),
        (&[PLAIN, Change::Held], revoked(1002, HOLD)),
        (&[PLAIN, Change::Held, Change::Released], Answer::Good),
        (&[HELD_FIRST, Change::Held, Change::Released], revoked(1003, HOLD)),
        (&[PLAIN, REVOKED], revoked(1002, Some(ReasonCode::KeyCompromise))),
        (&[HELD_FIRST, REVOKED], revoked(1002, Some(ReasonCode::KeyCompromise))),
        (&[PLAIN, Change::Held, REVOKED], revoked(1003, Some(ReasonCode::KeyCompromise))),
        (&[Change::Voided { not_after: at(NOT_AFTER) }], revoked(1001, None)),
        (
            &[PLAIN, invalid],
            Answer::Revoked(ShownRevocation {
                time: at(1002),
                reason: None,
                invalidity_date: Some(at(900)),
            }),
        ),
    ] {
        assert_eq!(answer(changes, 1500), expected, "{changes:?}");
    }
}

#[test]
fn an_expired_certificate_is_kept_or_forgotten_as_its_class_says() {
    let last = NOT_AFTER + WEEK;
    let good = issued(BeforeActivation::Good, AfterExpiry::Unknown);
    let key_compromise = revoked(1002, Some(ReasonCode::KeyCompromise));

    for now in [NOT_AFTER, NOT_AFTER + 1, last - 1] {
        assert_eq!(answer(&[good], now), Answer::Good, "{now}");
        assert_eq!(answer(&[good, REVOKED], now), key_compromise, "{now}");
    }
    for now in [last, last + 1, UnixTime::LAST.secs()] {
        assert_eq!(answer(&[good], now), Answer::Unknown, "{now}");
        assert_eq!(answer(&[good, REVOKED], now), Answer::Unknown, "{now}");
        assert_eq!(answer(&[PLAIN], now), Answer::Good, "{now}");
        assert_eq!(answer(&[PLAIN, REVOKED], now), key_compromise, "{now}");
        let voided = Change::Voided { not_after: at(NOT_AFTER) };
        assert_eq!(answer(&[voided], now), revoked(1001, None), "{now}");
    }
}

#[test]
fn a_certificate_valid_to_the_end_of_time_is_never_forgotten() {
    let classes = AnswerClasses { after_expiry: AfterExpiry::Unknown, ..CLASSES };
    let change = Change::Issued { not_after: UnixTime::LAST, classes };

    assert_eq!(answer(&[change], UnixTime::LAST.secs()), Answer::Good);
}

/// Promise 5: a serial of another issuer, or the same octets with a leading zero, is not ours.
#[test]
fn answers_for_the_exact_issuer_and_serial_only() {
    let index = after(&[PLAIN]);

    assert_eq!(index.answer(ISSUER, &serial(&[1]), at(1500)), Answer::Good);
    assert_eq!(index.answer(ISSUER, &serial(&[0, 1]), at(1500)), Answer::Unknown);
    assert_eq!(index.answer(ISSUER, &serial(&[1, 0]), at(1500)), Answer::Unknown);
    assert_eq!(index.answer(IssuerRef::from_index(1), &serial(&[1]), at(1500)), Answer::Unknown);
    assert_eq!(index.issuer(&IssuerId::of(b"name", b"key")), Some(ISSUER));
    assert_eq!(index.issuer(&IssuerId::of(b"name", b"other key")), None);
}

#[test]
fn an_imported_revocation_keeps_the_other_operators_time() {
    let mut index = after(&[PLAIN]);
    let entry = CertificateEntry {
        log_time: at(1002),
        effective_time: at(400),
        issuer: ISSUER,
        serial: serial(&[1]),
        change: REVOKED,
    };
    apply(&mut index, &StatusEntry::Certificate(entry)).unwrap();

    let expected = revoked(400, Some(ReasonCode::KeyCompromise));
    assert_eq!(index.answer(ISSUER, &serial(&[1]), at(1500)), expected);
}

/// REV-06: a later correction of the reason keeps the revocation date.
#[test]
fn a_correction_keeps_the_revocation_date() {
    let mut index = after(&[PLAIN, REVOKED]);
    let change = Change::Revoked {
        reason: Some(RevocationReason::Superseded),
        invalidity_date: Some(at(700)),
    };
    let entry = |effective: u64| {
        StatusEntry::Certificate(CertificateEntry {
            log_time: at(1100),
            effective_time: at(effective),
            issuer: ISSUER,
            serial: serial(&[1]),
            change,
        })
    };

    let again = IllegalTransition { state: Some(CertificateState::Revoked), act: Act::Revoke };
    assert_eq!(apply(&mut index, &entry(1100)), Err(ApplyError::Illegal(again)));
    apply(&mut index, &entry(1002)).unwrap();

    let expected = Answer::Revoked(ShownRevocation {
        time: at(1002),
        reason: Some(ReasonCode::Superseded),
        invalidity_date: Some(at(700)),
    });
    assert_eq!(index.answer(ISSUER, &serial(&[1]), at(1500)), expected);
}

#[test]
fn refuses_gaps_and_repetitions() {
    let mut index = after(&[PLAIN]);
    let next = index.next();
    assert_eq!(next, Position { epoch: 1, index: 2 });

    let entry = certificate(1002, Change::Activated);
    for position in [
        Position { epoch: 1, index: 1 },
        Position { epoch: 1, index: 3 },
        Position { epoch: 2, index: 2 },
    ] {
        let refused = ApplyError::NotNext { wanted: next, found: position };
        assert_eq!(index.apply(position, &entry), Err(refused));
    }
    assert_eq!(index.next(), next);
    assert_eq!(index.apply(next, &entry), Ok(()));
}

#[test]
fn refuses_entries_that_cannot_follow() {
    let mut index = after(&[PLAIN, REVOKED]);
    let next = index.next();
    let state = Some(CertificateState::Revoked);
    let issuer = IssuerId::of(b"name", b"key");
    let elsewhere = CertificateEntry::own(at(1002), IssuerRef::from_index(1), serial(&[2]), PLAIN);
    let root = ledger::Hash::of_empty_tree();

    for (entry, error) in [
        (
            certificate(1002, Change::Released),
            ApplyError::Illegal(IllegalTransition { state, act: Act::Release }),
        ),
        (
            certificate(1002, PLAIN),
            ApplyError::Illegal(IllegalTransition { state, act: Act::Issue }),
        ),
        (
            certificate(1001, Change::Released),
            ApplyError::TimeRunsBack { log_time: at(1001), last: at(1002) },
        ),
        (
            StatusEntry::Certificate(elsewhere),
            ApplyError::UndeclaredIssuer { issuer: IssuerRef::from_index(1) },
        ),
        (
            StatusEntry::IssuerDeclared { log_time: at(1002), issuer },
            ApplyError::DeclaredTwice { issuer, earlier: ISSUER },
        ),
        (
            StatusEntry::EpochOpened { log_time: at(1002), old_size: 0, old_root: root },
            ApplyError::EpochOpening { position: next },
        ),
    ] {
        assert_eq!(apply(&mut index, &entry), Err(error));
        assert_eq!((index.next(), index.len()), (next, 1));
    }
}

#[test]
fn every_epoch_but_the_first_begins_with_its_opening() {
    let opened = StatusEntry::EpochOpened {
        log_time: at(1),
        old_size: 9,
        old_root: ledger::Hash::of_empty_tree(),
    };
    let declared =
        StatusEntry::IssuerDeclared { log_time: at(1), issuer: IssuerId::of(b"name", b"key") };

    let (mut first, mut second) = (Index::new(1), Index::new(2));
    assert!(matches!(apply(&mut first, &opened), Err(ApplyError::EpochOpening { .. })));
    assert!(matches!(apply(&mut second, &declared), Err(ApplyError::EpochOpening { .. })));
    assert_eq!(apply(&mut second, &opened), Ok(()));
    assert_eq!(apply(&mut second, &declared), Ok(()));
    let issuer = second.issuer(&IssuerId::of(b"name", b"key")).unwrap();
    assert_eq!(issuer, IssuerRef::from_index(1));
}

#[test]
fn lists_the_certificates_of_one_issuer() {
    let mut index = after(&[PLAIN]);
    let issuer = IssuerId::of(b"name", b"second key");
    let second = IssuerRef::from_index(index.next().index);
    apply(&mut index, &StatusEntry::IssuerDeclared { log_time: at(1100), issuer }).unwrap();
    for octet in [7, 3, 5] {
        let entry = CertificateEntry::own(at(1100), second, serial(&[octet]), PLAIN);
        apply(&mut index, &StatusEntry::Certificate(entry)).unwrap();
    }

    let serials: Vec<_> = index.certificates(second).map(|(serial, _)| serial).collect();
    assert_eq!(serials, [serial(&[7]), serial(&[3]), serial(&[5])]);
    assert_eq!(index.certificates(IssuerRef::from_index(9)).count(), 0);
    assert_eq!(index.issuers().count(), 2);
}

/// An act and the certificate it is done to.
fn acts() -> impl Strategy<Value = Vec<(u8, u8)>> {
    proptest::collection::vec((0..12u8, 0..6u8), 0..400)
}

proptest! {
    /// REV-03: whatever the order of acts, the index holds what a plain map and the state machine
    /// hold, and a refused entry changes nothing.
    #[test]
    fn the_index_agrees_with_a_plain_map(acts in acts()) {
        let mut index = after(&[]);
        let mut model: HashMap<u8, CertificateStatus> = HashMap::new();
        for (secs, (certificate, act)) in (1001..).zip(acts) {
            let change = match act {
                0 => HELD_FIRST,
                1 => Change::Activated,
                2 => Change::Held,
                3 => Change::Released,
                4 => REVOKED,
                _ => Change::Voided { not_after: at(NOT_AFTER) },
            };
            let entry = CertificateEntry::own(at(secs), ISSUER, serial(&[certificate]), change);
            let expected = crate::index::after(model.get(&certificate), &entry);
            let applied = apply(&mut index, &StatusEntry::Certificate(entry));
            prop_assert_eq!(applied.is_ok(), expected.is_ok());
            if let Ok(status) = expected {
                model.insert(certificate, status);
            }
            for certificate in 0..12 {
                let found = index.lookup(ISSUER, &serial(&[certificate]));
                prop_assert_eq!(found.as_ref(), model.get(&certificate));
            }
        }
        prop_assert_eq!(index.len(), model.len());
        let held = model.values().filter(|s| s.state == CertificateState::Held(HeldFrom::Issued));
        prop_assert!(held.count() <= 12);
    }
}

/// Many certificates: every one is found, and nothing else is.
#[test]
fn finds_each_of_many_certificates() {
    let mut index = after(&[]);
    let octets = |n: u32| [&[0x40][..], &n.wrapping_mul(0x9e37_79b9).to_be_bytes()].concat();
    for n in 0..20_000 {
        let entry = CertificateEntry::own(at(1001), ISSUER, serial(&octets(n)), PLAIN);
        apply(&mut index, &StatusEntry::Certificate(entry)).unwrap();
    }

    assert_eq!(index.len(), 20_000);
    for n in 0..20_000 {
        assert_eq!(index.answer(ISSUER, &serial(&octets(n)), at(1500)), Answer::Good);
        assert_eq!(index.answer(ISSUER, &serial(&octets(n + 20_000)), at(1500)), Answer::Unknown);
    }
}
