//! CRL and OCSP are two projections of one log: at equal position they agree (REV-08, promise 3).

use proptest::prelude::*;
use status::{
    AfterExpiry, Answer, AnswerClasses, BeforeActivation, CertificateEntry, Change, Index,
    IssuerId, IssuerRef, RevocationReason, StatusEntry,
};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::{CrlEntry, Listing};

const SERIALS: u8 = 6;
const NOT_AFTER: u64 = 1_000_000;

fn at(secs: u64) -> UnixTime {
    UnixTime::from_secs(secs).unwrap()
}

fn any_change() -> impl Strategy<Value = Change> {
    let classes = (any::<bool>(), any::<bool>()).prop_map(|(held, unknown)| AnswerClasses {
        before_activation: if held { BeforeActivation::Held } else { BeforeActivation::Good },
        after_expiry: if unknown { AfterExpiry::Unknown } else { AfterExpiry::Kept },
    });
    let reason = proptest::option::of(proptest::sample::select(RevocationReason::ALL.to_vec()));
    prop_oneof![
        3 => classes.prop_map(|classes| Change::Issued { not_after: at(NOT_AFTER), classes }),
        2 => Just(Change::Activated),
        2 => Just(Change::Held),
        2 => Just(Change::Released),
        2 => (reason, proptest::option::of(0_u64..500)).prop_map(|(reason, date)| {
            Change::Revoked { reason, invalidity_date: date.map(at) }
        }),
        1 => Just(Change::Voided { not_after: at(NOT_AFTER) }),
    ]
}

/// Applies what is legal of a history, a second apart.
fn index_of(history: &[(u8, Change)]) -> Index {
    let mut index = Index::new(1);
    let issuer = IssuerId::from_bytes([1; 32]);
    let declared = StatusEntry::IssuerDeclared { log_time: at(1000), issuer };
    index.apply(index.next(), &declared).unwrap();
    for (second, (octet, change)) in (1001..).zip(history) {
        let serial = SerialNumber::from_random([*octet; 16]);
        let issuer = IssuerRef::from_index(0);
        let entry = CertificateEntry::own(at(second), issuer, serial, *change);
        // What the state machine refuses is not in any log.
        let _refused = index.apply(index.next(), &StatusEntry::Certificate(entry));
    }
    index
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    /// REV-08: for every history and every serial, the CRL lists what OCSP calls revoked, with the same
    /// date, reason and invalidity date, and nothing else.
    #[test]
    fn the_list_says_what_ocsp_says(
        history in proptest::collection::vec((0..SERIALS, any_change()), 0..60)
    ) {
        let index = index_of(&history);
        let issuer = IssuerRef::from_index(0);
        let now = at(NOT_AFTER - 1);
        for octet in 0..SERIALS {
            let serial = SerialNumber::from_random([octet; 16]);
            let listed = index
                .lookup(issuer, &serial)
                .and_then(|status| {
                    CrlEntry::of(serial, &status, Listing::UntilExpired { previous: Some(now) })
                })
                .map(|entry| *entry.revoked());

            match index.answer(issuer, &serial, now) {
                Answer::Good | Answer::Unknown => prop_assert_eq!(listed, None),
                Answer::Revoked(shown) => {
                    let listed = listed.unwrap();
                    prop_assert_eq!(listed.revocation_date, shown.time);
                    prop_assert_eq!(listed.reason, shown.reason);
                    prop_assert_eq!(listed.invalidity_date, shown.invalidity_date);
                }
            }
        }
    }
}
