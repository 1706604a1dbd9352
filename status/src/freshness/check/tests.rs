//! Counter-examples: what is refused by one, and that what is accepted has none.

use proptest::prelude::*;

use super::*;
use crate::freshness::{Span, WEEK};

const WHEN_ASKED: AnswerSigning = AnswerSigning::WhenAsked;

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn contract(rest: &str) -> Contract {
    let text = format!("[[class]]\nname = \"one\"\nmax-age = 3600\nclock-skew = 300\n{rest}\n");
    Contract::parse(&text).unwrap()
}

/// The timeline says when it was revoked, what is away, who asked when, and what is relied on then.
#[test]
fn an_answer_that_lasts_too_long_is_refused_with_the_login_that_it_would_let_through() {
    let refused =
        contract("").timing_of_answers(WHEN_ASKED, Some(secs(3400)), None, None).unwrap_err();

    assert_eq!(
        refused.to_string(),
        "class one (ocsp, max-age 3600 s, clock-skew 300 s, polls-every 0 s) is broken; thisUpdate 00:00:00, \
         nextUpdate 00:56:40; revoked 00:00:01; inner-zone away from 00:00:00; asked 00:00:00; asked 01:01:40; \
         at 01:01:40 relied on: good, 3700 s old"
    );
    assert!(contract("").timing_of_answers(WHEN_ASKED, Some(secs(3300)), None, None).is_ok());
}

#[test]
fn copies_that_leave_nothing_valid_are_refused_with_the_login_that_they_would_stop() {
    let refused =
        contract("").timing_of_answers(WHEN_ASKED, None, Some(secs(2000)), None).unwrap_err();

    let told = refused.to_string();
    assert!(told.contains("signed 00:01:00; cached 00:27:59; asked 00:54:58"), "{told}");
    assert!(told.ends_with("at 00:54:58 nothing valid to rely on"), "{told}");
}

/// CRL-03: a list that two missed publications leave without a valid one, and one that outlives the class.
#[test]
fn lists_are_refused_that_end_before_the_third_or_after_the_class_bears_them() {
    let contract = contract("crl-only = true");
    for (period, lifetime, seen) in [
        (Some(1200), None, "nothing valid"),
        (None, Some(3301), "relied on: good, 3601 s old"),
        (Some(60), Some(300), "nothing valid"),
    ] {
        let refused =
            contract.timing_of_lists(period.map(secs), lifetime.map(secs), None).unwrap_err();
        assert!(refused.to_string().contains(seen), "{period:?} {lifetime:?}: {refused}");
    }
    assert!(contract.timing_of_lists(Some(secs(600)), Some(secs(3300)), None).is_ok());
    // The responder keeps lists too, and knows only what the contract says of them.
    let refused = contract.timing_of_answers(WHEN_ASKED, None, Some(secs(1000)), None).unwrap_err();
    assert!(refused.to_string().contains("(crl,"), "{refused}");
}

/// CRL-08: deltas that a class cannot bear are refused with the login that they would let through or stop; a full list that is old is
/// none, as long as deltas to it come; and at a CA without deltas the list must bear the class.
#[test]
fn deltas_are_refused_that_end_before_the_third_or_after_the_class_bears_them() {
    let contract = contract("crl-only = true\ndeltas = true");
    let with = |period: Option<u64>, lifetime: Option<u64>| {
        let (period, lifetime) = (period.map(secs), lifetime.map(secs));
        contract.timing_of_lists(None, None, Some(WrittenDeltas { period, lifetime }))
    };
    for (period, lifetime, seen) in [
        (None, Some(3301), "relied on: good, 3601 s old"),
        (Some(1200), None, "nothing valid"),
        (Some(300), Some(1000), "nothing valid"),
        (
            Some(600),
            Some(2600),
            "class one reads CRL and delta together: delta CRLs last 2600 s, and 2760 s",
        ),
    ] {
        let refused = with(period, lifetime).unwrap_err().to_string();
        assert!(refused.contains(seen), "{period:?} {lifetime:?}: {refused}");
    }
    let derived = with(None, None).unwrap();
    assert_eq!((derived.delta_period, derived.delta_lifetime), (secs(600), secs(3300)));
    assert_eq!((derived.crl_period, derived.crl_lifetime), (secs(3600), secs(48 * 3600)));
    let list_is_short = contract.timing_of_lists(
        Some(secs(3600)),
        Some(secs(11_500)),
        Some(WrittenDeltas::default()),
    );
    assert!(matches!(list_is_short, Err(Refused::Apart { what: "CRLs with deltas", .. })));

    let alone = contract.timing_of_lists(None, None, None).unwrap();
    assert_eq!(alone.crl_lifetime, secs(3300));
    let refused = contract.timing_of_lists(None, Some(secs(86_400)), None).unwrap_err();
    assert!(refused.to_string().contains("(crl, max-age 3600 s"), "{refused}");
    // The responder keeps deltas too.
    let refused = contract.timing_of_answers(WHEN_ASKED, None, Some(secs(1500)), None);
    assert!(matches!(refused, Err(Refused::Apart { .. } | Refused::Broken(_))));
}

fn method() -> impl Strategy<Value = Method> {
    prop_oneof![
        Just(Method::Ocsp),
        Just(Method::OcspWithNonce),
        Just(Method::Crl),
        Just(Method::CrlDelta)
    ]
}

fn contracts() -> impl Strategy<Value = Contract> {
    let class = (method(), 900_u64..200_000, 0_u64..400, 0_u64..4000);
    (proptest::collection::vec(class, 1..4), 10_u64..4000).prop_map(|(classes, outage)| Contract {
        classes: classes
            .into_iter()
            .enumerate()
            .map(|(number, (method, max_age, skew, poll))| PartyClass {
                name: format!("c{number}"),
                max_age: secs(max_age),
                skew: secs(skew),
                method,
                poll: secs(poll.min(max_age)),
            })
            .collect(),
        outage: secs(outage),
    })
}

fn signing() -> impl Strategy<Value = AnswerSigning> {
    prop_oneof![Just(AnswerSigning::WhenAsked), Just(AnswerSigning::Beforehand)]
}

/// Answers signed beforehand: one that is due when the inner zone goes away must last until it is back and one has arrived; and
/// who insists on a nonce cannot be served.
#[test]
fn answers_signed_beforehand_last_through_the_outage_from_their_half_on() {
    let timing = |rest: &str, validity: Option<u64>, freshness| {
        let beforehand = AnswerSigning::Beforehand;
        contract(rest).timing_of_answers(beforehand, validity.map(secs), None, freshness)
    };
    let derived = timing("", None, None).unwrap();
    assert_eq!((derived.validity, derived.freshness), (secs(3300), secs(60)));
    let refused = timing("", None, Some(secs(1500))).unwrap_err().to_string();
    assert!(refused.ends_with("nothing valid to rely on"), "{refused}");
    assert!(refused.contains("inner-zone away from 00:27:29 to 00:52:30"), "{refused}");
    let refused = timing("", Some(3400), None).unwrap_err().to_string();
    assert!(refused.ends_with("relied on: good, 3700 s old"), "{refused}");
    let refused = timing("nonce = true", None, None).unwrap_err();
    assert!(matches!(&refused, Refused::Nonce { class } if class == "one"), "{refused}");
}

/// What a contract lets fail: the inner zone or the way from it for as long as it says, or for two lists.
fn failing(contract: &Contract, timing: &Timing, part: Part, from: u64) -> Away {
    let spans = contract.classes.iter().map(|class| match class.method {
        Method::Crl => timing.crl_period * 2,
        Method::CrlDelta => timing.delta_period.min(timing.crl_period) * 2,
        Method::Ocsp | Method::OcspWithNonce => timing.freshness.min(timing.crl_period * 2),
    });
    let span = spans.min().unwrap();
    Away { part, from: secs(from), until: secs(from) + span }
}

fn outer() -> impl Strategy<Value = Part> {
    prop_oneof![Just(Part::InnerZone), Just(Part::Publication)]
}

fn none_broken(contract: &Contract, timing: &Timing, away: &[Away]) -> Result<(), TestCaseError> {
    for class in contract.simulate(timing, away) {
        prop_assert_eq!(&class.too_old, &Vec::<Span>::new(), "{}", class.name);
        prop_assert_eq!(&class.nothing_valid, &Vec::<Span>::new(), "{}", class.name);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 100_000, ..ProptestConfig::default() })]

    /// OCSP-10, CRL-03: a derived schedule is accepted, and a simulated week in which as much fails as may has no
    /// answer and no list that is expired or too old for its class.
    #[test]
    fn what_is_derived_breaks_no_week(
        contract in contracts(), part in outer(), from in 0..WEEK.as_secs(), signing in signing(),
    ) {
        let Ok(timing) = contract.timing(signing) else { return Ok(()) };
        prop_assert_eq!(contract.counter_example(&timing), None);
        none_broken(&contract, &timing, &[failing(&contract, &timing, part, from)])?;
    }

    /// The same of settings by hand; and those that are refused break, as often as their timeline is played, and do
    /// not under the derived schedule. Whatever fails, nothing too old is ever relied on under what was accepted.
    #[test]
    fn what_is_accepted_breaks_no_week_and_what_is_refused_does(
        contract in contracts(),
        (validity, max_age, freshness) in (60_u64..200_000, 0_u64..4000, 1_u64..4000),
        (period, lifetime) in (60_u64..20_000, 60_u64..200_000),
        (delta_period, delta_lifetime) in (60_u64..4000, 60_u64..50_000),
        (part, from, long) in (0_usize..4, 0..WEEK.as_secs(), 1_u64..400_000),
        (own, answers) in (outer(), signing()),
    ) {
        let timing = Timing {
            answers,
            validity: secs(validity),
            max_age: secs(max_age),
            freshness: secs(freshness),
            crl_period: secs(period),
            crl_lifetime: secs(lifetime),
            delta_period: secs(delta_period),
            delta_lifetime: secs(delta_lifetime),
        };
        if let Some(example) = contract.counter_example(&timing) {
            prop_assert_eq!(example.play(&timing), Some(example.broken()));
            if let Broken::TooOld(age) = example.broken() {
                prop_assert!(age > example.class().max_age());
            }
            if let Ok(derived) = contract.timing(answers) {
                prop_assert!(!matches!(example.play(&derived), Some(Broken::TooOld(_))));
            }
            return Ok(());
        }
        if contract.missed_by_deltas(&timing).is_none() {
            none_broken(&contract, &timing, &[failing(&contract, &timing, own, from)])?;
        }
        let away = [Away { part: Part::ALL[part].0, from: secs(from), until: secs(from + long) }];
        for class in contract.simulate(&timing, &away) {
            prop_assert_eq!(&class.too_old, &Vec::<Span>::new(), "{}", class.name);
        }
    }
}
