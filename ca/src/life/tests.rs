use std::collections::BTreeSet;

use status::{CertificateState, HeldFrom, transition};

use super::*;
use crate::carrier::CarrierKind;
use crate::routine::ReceiptRule;

/// The legal steps, as `from act to` with the ways; written here a second time, by hand.
fn assert_is<S: Stage>(legal: &[(&str, &[&str])]) {
    let expected: BTreeSet<(String, &str)> = legal
        .iter()
        .flat_map(|(step, ways)| ways.iter().map(|way| ((*step).to_owned(), *way)))
        .collect();
    let mut found = BTreeSet::new();
    let mut pairs = 0;
    for from in std::iter::once(None).chain(S::ALL.iter().copied().map(Some)) {
        for act in S::ACTS {
            for way in S::WAYS {
                pairs += 1;
                let Some(to) = S::step(from, *act, *way) else { continue };
                let from = from.map_or("-", |from| from.word().name);
                let step = format!("{from} {} {}", act.word().name, to.word().name);
                found.insert((step, way.word().name));
            }
        }
    }
    assert_eq!(pairs, (S::ALL.len() + 1) * S::ACTS.len() * S::WAYS.len());
    let missing: Vec<_> = expected.difference(&found).collect();
    let illegal: Vec<_> = found.difference(&expected).collect();
    assert!(missing.is_empty() && illegal.is_empty(), "missing {missing:?}, illegal {illegal:?}");
}

/// ISS-15: every triple of stage, act and kind of carrier is decided.
#[test]
fn every_step_of_a_carrier_is_decided() {
    const O: &[&str] = &["ordinary-card"];
    const R: &[&str] = &["reserve-card"];
    const M: &[&str] = &["mobile-device"];
    const RM: &[&str] = &["reserve-card", "mobile-device"];
    const ALL: &[&str] = &["ordinary-card", "reserve-card", "mobile-device"];
    assert_is::<CarrierStage>(&[
        ("- order ordered", O),
        ("- register blank", R),
        ("- begin-activation activating", M),
        ("ordered send sent", O),
        ("ordered cancel cancelled", O),
        ("sent begin-activation activating", O),
        ("sent deregister deregistered", O),
        ("sent revoke revoked", O),
        ("sent expire expired", O),
        ("blank begin-activation activating", R),
        ("blank deregister deregistered", R),
        ("blank revoke revoked", R),
        ("blank expire expired", R),
        ("activating activate active", ALL),
        ("activating let-lapse sent", O),
        ("activating let-lapse deregistered", RM),
        ("activating revoke revoked", ALL),
        ("activating expire expired", ALL),
        ("active revoke revoked", ALL),
        ("active expire expired", ALL),
    ]);
}

/// ISS-15: every pair of stage and act is decided.
#[test]
fn every_step_of_an_eid_is_decided() {
    let one: &[&str] = &[""];
    let legal = [
        "- order ordered",
        "ordered issue issued",
        "ordered cancel cancelled",
        "issued activate active",
        "issued revoke revoked",
        "issued expire expired",
        "active hold held",
        "active revoke revoked",
        "active expire expired",
        "held release active",
        "held revoke revoked",
        "held expire expired",
    ];
    assert_is::<EidStage>(&legal.map(|step| (step, one)));
}

/// CER-10: every pair of stage and act is decided.
#[test]
fn every_step_of_an_approval_is_decided() {
    let one: &[&str] = &[""];
    let legal = [
        "- ask waiting",
        "waiting approve approved",
        "waiting reject rejected",
        "waiting withdraw withdrawn",
        "waiting let-lapse expired",
        "approved use used",
        "approved reject rejected",
        "approved withdraw withdrawn",
        "approved let-lapse expired",
    ];
    assert_is::<ApprovalStage>(&legal.map(|step| (step, one)));
}

/// CER-10: what waits or is approved is over from its end on; what is over stays what it was.
#[test]
fn an_approval_is_over_in_time_without_an_act() {
    let at = |secs| x509::time::UnixTime::from_secs(secs).unwrap();
    for stage in ApprovalStage::ALL {
        let lapses = matches!(stage, ApprovalStage::Waiting | ApprovalStage::Approved);
        let after = if lapses { ApprovalStage::Expired } else { *stage };

        assert_eq!(stage.at(at(10), at(9)), *stage);
        assert_eq!(stage.at(at(10), at(10)), after);
        assert_eq!(ApprovalStage::from_name(stage.word().name), Some(*stage));
    }
    assert_eq!(ApprovalStage::from_name("done"), None);
}

/// ISS-15: every triple of stage, act and rule of the receipt is decided.
#[test]
fn every_step_of_an_order_is_decided() {
    const BEFORE: &[&str] = &["receipt-before-issuing"];
    const AFTER: &[&str] = &["receipt-after-issuing"];
    const WITH: &[&str] = &["receipt-before-issuing", "receipt-after-issuing"];
    const NOT_BEFORE: &[&str] = &["receipt-after-issuing", "no-receipt"];
    const NOT_AFTER: &[&str] = &["receipt-before-issuing", "no-receipt"];
    const ALL: &[&str] = &["receipt-before-issuing", "receipt-after-issuing", "no-receipt"];
    assert_is::<OrderStage>(&[
        ("- order ordered", ALL),
        ("ordered identify identified", ALL),
        ("identified approve approved", ALL),
        ("approved take-receipt receipted", BEFORE),
        ("approved issue issued", NOT_BEFORE),
        ("receipted issue issued", BEFORE),
        ("receipted activate completed", AFTER),
        ("issued deliver delivered", ALL),
        ("delivered take-receipt receipted", AFTER),
        ("delivered activate completed", NOT_AFTER),
        ("ordered cancel cancelled", ALL),
        ("identified cancel cancelled", ALL),
        ("approved cancel cancelled", ALL),
        ("receipted cancel cancelled", WITH),
        ("issued cancel cancelled", ALL),
        ("delivered cancel cancelled", ALL),
        ("ordered expire expired", ALL),
        ("identified expire expired", ALL),
        ("approved expire expired", ALL),
        ("receipted expire expired", WITH),
        ("issued expire expired", ALL),
        ("delivered expire expired", ALL),
    ]);
}

/// Every list of acts that leads from nothing to `end`. The tables have no way round but the lapse of an
/// activation, so that `limit` acts are enough.
fn paths<S: Stage>(way: S::Way, end: S, limit: usize) -> Vec<Vec<S::Act>> {
    let mut open = vec![(None, Vec::new())];
    let mut found = Vec::new();
    while let Some((from, path)) = open.pop() {
        if from == Some(end) {
            found.push(path);
            continue;
        }
        if path.len() == limit {
            continue;
        }
        for act in S::ACTS {
            if let Some(to) = S::step(from, *act, way) {
                let mut longer: Vec<S::Act> = path.clone();
                longer.push(*act);
                open.push((Some(to), longer));
            }
        }
    }
    found
}

/// ISS-14, ISS-15: no way to a finished order leaves out who the holder is, the approvals, the holder's
/// receipt where its routine wants one, or the handing over; and each is passed once.
#[test]
fn no_order_is_completed_with_a_step_left_out() {
    for way in OrderStage::WAYS {
        let all = paths(*way, OrderStage::Completed, 12);

        assert_eq!(all.len(), 1, "{way:?}");
        let path = &all[0];
        let times = |act: OrderAct| path.iter().filter(|one| **one == act).count();
        for act in [
            OrderAct::Order,
            OrderAct::Identify,
            OrderAct::Approve,
            OrderAct::Issue,
            OrderAct::Deliver,
            OrderAct::Activate,
        ] {
            assert_eq!(times(act), 1, "{way:?} {act:?}");
        }
        assert_eq!(times(OrderAct::TakeReceipt), usize::from(*way != ReceiptRule::None), "{way:?}");
        let place = |act: OrderAct| path.iter().position(|one| *one == act);
        let before = place(OrderAct::TakeReceipt) < place(OrderAct::Issue);
        assert_eq!(before, *way != ReceiptRule::AfterIssuing, "{way:?}");
        assert_eq!(path.last(), Some(&OrderAct::Activate), "{way:?}");
    }
}

/// ISS-15: no carrier comes into use without an activation that was begun.
#[test]
fn no_carrier_is_active_without_its_activation() {
    for way in CarrierStage::WAYS {
        let all = paths(*way, CarrierStage::Active, 7);

        assert!(!all.is_empty(), "{way:?}");
        for path in all {
            let [.., begun, done] = path.as_slice() else { panic!("{path:?}") };
            let expected = (CarrierAct::BeginActivation, CarrierAct::Activate);
            assert_eq!((*begun, *done), expected, "{way:?}");
        }
    }
}

/// Stages that are reached by `way`.
fn reached<S: Stage>(way: S::Way) -> Vec<S> {
    let mut reached: Vec<S> = Vec::new();
    let mut open = vec![None];
    while let Some(from) = open.pop() {
        for to in S::ACTS.iter().filter_map(|act| S::step(from, *act, way)) {
            if !reached.contains(&to) {
                reached.push(to);
                open.push(Some(to));
            }
        }
    }
    reached
}

/// REV-03: what is over stays over, and what is not can be ended.
fn ends<S: Stage + std::fmt::Debug>(finals: &[S]) {
    let mut known = Vec::new();
    for way in S::WAYS {
        for stage in reached::<S>(*way) {
            let next = S::ACTS.iter().filter_map(|act| S::step(Some(stage), *act, *way));
            let next: Vec<S> = next.collect();
            assert_eq!(next.is_empty(), finals.contains(&stage), "{stage:?}");
            let ended = next.iter().any(|to| finals.contains(to));
            assert!(finals.contains(&stage) || ended, "{stage:?} cannot be ended");
            known.push(stage);
        }
    }
    assert!(S::ALL.iter().all(|stage| known.contains(stage)), "a stage that nothing leads to");
    for stage in S::ALL {
        assert_eq!(stage.is_final(), finals.contains(stage), "{stage:?}");
    }
}

#[test]
fn what_is_over_stays_over_and_all_else_can_be_ended() {
    use CarrierStage as C;
    ends(&[C::Cancelled, C::Deregistered, C::Revoked, C::Expired]);
    ends(&[EidStage::Cancelled, EidStage::Revoked, EidStage::Expired]);
    ends(&[OrderStage::Completed, OrderStage::Cancelled, OrderStage::Expired]);
}

/// REV-03: whatever is done to an eID, each of its certificates can follow, and then they stand where the eID says.
#[test]
fn the_certificates_of_an_eid_follow_each_of_its_steps() {
    for from in std::iter::once(None).chain(EidStage::ALL.iter().copied().map(Some)) {
        for act in EidStage::ACTS {
            let Some(to) = EidStage::step(from, *act, ()) else { continue };
            let stood: Vec<Option<CertificateState>> = match from.map(EidStage::certificates) {
                None | Some([]) => vec![None],
                Some(states) => states.iter().copied().map(Some).collect(),
            };
            for state in stood {
                let next = match act.of_each_certificate() {
                    Some(act) => Some(transition(state, act).expect("legal for the certificates")),
                    None => state,
                };
                let stands: Vec<CertificateState> = next.into_iter().collect();
                let expected = to.certificates();
                assert!(
                    stands.iter().all(|state| expected.contains(state))
                        && stands.is_empty() == expected.is_empty(),
                    "{from:?} {act:?}: {stands:?}"
                );
            }
        }
    }
}

/// An eID whose certificates stand together stands where its table says; one that lost a certificate stands with the rest.
#[test]
fn an_eid_stands_where_its_certificates_do() {
    for stage in EidStage::ALL {
        for state in stage.certificates().iter().filter(|_| *stage != EidStage::Expired) {
            assert_eq!(EidStage::of(&[Some(*state); 2]), Some(*stage), "{state:?}");
        }
    }
    let (issued, revoked) = (Some(CertificateState::Issued), Some(CertificateState::Revoked));
    let (active, held) =
        (Some(CertificateState::Activated), Some(CertificateState::Held(HeldFrom::Activated)));
    for (certificates, stage) in [
        (vec![], None),
        (vec![issued, revoked], Some(EidStage::Issued)),
        (vec![active, issued], Some(EidStage::Issued)),
        (vec![active, held], Some(EidStage::Held)),
        (vec![active, None], Some(EidStage::Active)),
        (vec![revoked, None], Some(EidStage::Revoked)),
        (vec![Some(CertificateState::Voided)], Some(EidStage::Revoked)),
        (vec![None, None], Some(EidStage::Expired)),
    ] {
        assert_eq!(EidStage::of(&certificates), stage, "{certificates:?}");
    }
    for (eids, stage) in [
        (vec![EidStage::Issued], CarrierStage::Activating),
        (vec![EidStage::Issued, EidStage::Active], CarrierStage::Active),
        (vec![EidStage::Held, EidStage::Revoked], CarrierStage::Active),
        (vec![EidStage::Revoked], CarrierStage::Active),
        (vec![EidStage::Expired], CarrierStage::Expired),
        (vec![EidStage::Expired, EidStage::Issued], CarrierStage::Activating),
    ] {
        assert_eq!(CarrierStage::bearing(&eids), stage, "{eids:?}");
    }
}

/// Words are told apart in both languages, and those of the API are words.
#[test]
fn no_two_stages_share_a_word() {
    for machine in page::machines() {
        let names: BTreeSet<&str> = machine.stages.iter().map(|row| row.word.name).collect();
        let swedish: BTreeSet<&str> = machine.stages.iter().map(|row| row.word.swedish).collect();
        let count = machine.stages.len();

        assert_eq!((names.len(), swedish.len()), (count, count), "{}", machine.thing.name);
        let is_word = |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-');
        assert!(names.iter().all(is_word), "{names:?}");
    }
    let kinds = CarrierStage::WAYS.iter().map(|kind| kind.word().name);
    assert!(kinds.eq(CarrierStage::WAYS.iter().map(|kind| CarrierKind::name(*kind))));
}

/// docs/states.md is what the code says; `sigill states --markdown > docs/states.md` writes it anew.
#[test]
fn the_page_says_what_the_code_decides() {
    assert_eq!(include_str!("../../../docs/states.md"), page::markdown());
}
