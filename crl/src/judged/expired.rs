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
    for said in [None, Some(since + 1)] {
        let taken_back = follow(&rows, said, 0);
        assert!(
            matches!(taken_back, Err(CompareError::Differs("expiredCertsOnCRL"))),
            "{taken_back:?}"
        );
    }
    follow(&rows, Some(since), 0).unwrap();
    follow(&rows, Some(since - 1), 0).unwrap();
}
