use std::collections::BTreeSet;

use super::*;
use crate::revocation::check;

const KINDS: [ProfileKind; 5] = [
    ProfileKind::PersonAuthentication,
    ProfileKind::PersonSignature,
    ProfileKind::CardTransport,
    ProfileKind::Function,
    ProfileKind::Machine,
];

/// REV-05: the whole table, a second time by hand: what an event is worth decides what the world sees.
#[test]
fn every_event_has_its_reason_and_its_reach() {
    let expected = [
        ("lost", "keyCompromise", "carrier"),
        ("stolen", "keyCompromise", "carrier"),
        ("mislaid", "certificateHold", "carrier"),
        ("pin-disclosed", "keyCompromise", "carrier"),
        ("damaged", "cessationOfOperation", "carrier"),
        ("replaced", "superseded", "carrier"),
        ("updated", "superseded", "eid"),
        ("name-changed", "affiliationChanged", "eid"),
        ("employment-ended", "affiliationChanged", "holder-in-organisation"),
        ("deceased", "cessationOfOperation", "holder"),
        ("not-wanted", "cessationOfOperation", "eid"),
        ("issued-to-another", "keyCompromise", "carrier"),
        ("wrongly-issued", "superseded", "eid"),
        ("terms-broken", "privilegeWithdrawn", "holder"),
        ("organisation-ended", "cessationOfOperation", "organisation"),
        ("unclaimed", "cessationOfOperation", "eid"),
        ("not-activated", "cessationOfOperation", "carrier"),
        ("key-exposed", "keyCompromise", "certificate"),
        ("function-retired", "cessationOfOperation", "certificate"),
        ("function-renewed", "superseded", "certificate"),
        ("domain-lost", "cessationOfOperation", "certificate"),
        ("weak-key", "keyCompromise", "certificate"),
    ];
    let rules = BusinessEvent::ALL.map(BusinessEvent::rule);
    let found = rules.map(|rule| (rule.name, in_words(rule.wish), rule.reach.name()));

    assert_eq!(found, expected.map(|(name, wish, reach)| (name, wish.to_owned(), reach)));
    let swedish: BTreeSet<&str> = rules.iter().map(|rule| rule.swedish).collect();
    assert_eq!(swedish.len(), rules.len());
}

/// REV-05: where somebody else may have the carrier, nothing on it is left valid.
#[test]
fn what_puts_a_persons_key_into_other_hands_reaches_the_whole_carrier() {
    for event in [
        BusinessEvent::Lost,
        BusinessEvent::Stolen,
        BusinessEvent::Mislaid,
        BusinessEvent::PinDisclosed,
        BusinessEvent::IssuedToAnother,
    ] {
        assert_eq!(event.rule().reach, Reach::Carrier, "{event:?}");
    }
}

/// REV-02, REV-05: every event with every kind and every caller. What an event asks for, the rules of
/// revoking allow too.
#[test]
fn an_event_is_taken_of_the_kinds_and_from_the_parties_that_the_table_names() {
    let clients_not = ["unclaimed", "not-activated", "weak-key"];
    let functions = ["key-exposed", "function-retired", "function-renewed", "domain-lost"];
    let everybody = ["wrongly-issued", "terms-broken", "organisation-ended", "weak-key"];
    let blank = ["lost", "stolen", "damaged", "not-activated"];
    for event in BusinessEvent::ALL {
        let rule = event.rule();
        for kind in KINDS {
            let of = everybody.contains(&rule.name)
                || match kind {
                    ProfileKind::Function | ProfileKind::Machine => functions.contains(&rule.name),
                    ProfileKind::CardTransport => blank.contains(&rule.name),
                    _ => !functions.contains(&rule.name),
                };
            for revoker in [Revoker::Client, Revoker::Operator, Revoker::Program] {
                let by = revoker != Revoker::Client || !clients_not.contains(&rule.name);
                let found = event.wish(None, Some(kind), revoker);
                let code = found.as_ref().map_or_else(|refusal| refusal.code, |_| "taken");
                let expected = match (of, by) {
                    (false, _) => "event-not-for-kind",
                    (true, false) => "event-not-by-client",
                    (true, true) => "taken",
                };
                assert_eq!(code, expected, "{} {kind} {revoker:?}", rule.name);
                if let Ok(wish) = found {
                    assert_eq!(wish, rule.wish);
                    assert_eq!(check(Some(kind), revoker, wish), Ok(()), "{} {kind}", rule.name);
                }
            }
        }
        for kind in [ProfileKind::RootCa, ProfileKind::OcspResponder, ProfileKind::ManagementClient]
        {
            let refusal = event.wish(None, Some(kind), Revoker::Operator).unwrap_err();
            assert_eq!(refusal.code, "event-not-for-kind", "{} {kind}", rule.name);
        }
        let by = !clients_not.contains(&rule.name);
        assert_eq!(event.wish(None, None, Revoker::Client).is_ok(), by, "of what nobody knows");
    }
}

/// REV-05: every event beside every reason that a caller can give.
#[test]
fn a_reason_beside_an_event_is_the_events_or_refused() {
    let reasons = RevocationReason::ALL.map(|reason| RevocationWish::Revoke(Some(reason)));
    let said = reasons.into_iter().chain([RevocationWish::Revoke(None), RevocationWish::Hold]);
    for said in said {
        for event in BusinessEvent::ALL {
            let found = event.wish(Some(said), None, Revoker::Operator);
            if said == event.rule().wish {
                assert_eq!(found, Ok(said), "{event:?}");
            } else {
                let code = found.unwrap_err().code;
                assert_eq!(code, "event-contradicts-reason", "{event:?} {said:?}");
            }
        }
    }
}

/// docs/revocation-events.md is what the code says; `sigill events --markdown > docs/revocation-events.md`
/// writes it anew.
#[test]
fn the_page_says_what_the_code_decides() {
    assert_eq!(include_str!("../../../../docs/revocation-events.md"), markdown());
}
