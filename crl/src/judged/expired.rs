//! CRL-10: what a list says about expired certificates holds for those that follow it.

use super::*;

fn keeping(order: CrlOrder<'_>, since: Option<u64>) -> CrlOrder<'_> {
    CrlOrder { expired_certs_on_crl: since.map(at), ..order }
}

/// CRL-10: an entry that the list says to keep is not lost, and the saying is not taken back.
#[test]
fn what_is_said_to_be_kept_is_kept() {
    let Some(ca) = TestCa::new() else { return };
    let since = NOW - 100;
    let (one, two) = (CrlNumber::from(1), CrlNumber::from(2));
    let rows = [entry(1, NOW - 900, None)];
    let first = keeping(order(&ca.issuer, &one, NOW), Some(since));
    let (crl, _) = make(&ca, &first, &rows, None, &mut unexplained).unwrap();
    let follow = |rows: &[CrlEntry], said: Option<u64>, not_after: u64| {
        let next = keeping(order(&ca.issuer, &two, NOW + 60), said);
        let mut expired = |_: &RevokedEntry| Departure::Expired { not_after: at(not_after) };
        match make(&ca, &next, rows, Some(&crl), &mut expired) {
            Ok(_) => Ok(()),
            Err(PrepareError::Compare(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    };

    for not_after in [since, since + 50] {
        let lost = follow(&[], Some(since), not_after);
        assert!(matches!(lost, Err(CompareError::Lost { .. })), "{lost:?}");
    }
    follow(&[], Some(since), since - 1).unwrap();
    for said in [None, Some(since + 1), Some(since - 1)] {
        let refused = follow(&rows, said, 0);
        assert!(matches!(refused, Err(CompareError::Kept(_))), "{said:?} {refused:?}");
    }
    follow(&rows, Some(since), 0).unwrap();
}

/// CRL-10: a list that says it for the first time names a time that the one before it has not passed.
#[test]
fn what_may_have_left_is_not_said_to_be_kept() {
    let Some(ca) = TestCa::new() else { return };
    let (one, two) = (CrlNumber::from(1), CrlNumber::from(2));
    let (crl, _) = make(&ca, &order(&ca.issuer, &one, NOW), &[], None, &mut unexplained).unwrap();
    let follow = |since| {
        let next = keeping(order(&ca.issuer, &two, NOW + 60), Some(since));
        make(&ca, &next, &[], Some(&crl), &mut unexplained)
    };

    let passed = follow(NOW - 1);
    assert!(matches!(passed, Err(PrepareError::Compare(CompareError::Kept(_)))), "{passed:?}");
    follow(NOW).unwrap();
}
