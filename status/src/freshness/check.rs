//! Counter-examples: timelines that were played, and in which a class meets what its contract excludes.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::contract::{Contract, Method, PartyClass};
use super::timing::{AnswerSigning, PUBLISHED_WITHIN, Timing, Unservable, resign_after};
use super::world::{Away, Part, Party, World};

const SECOND: Duration = Duration::from_secs(1);

/// What a class meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It relies on something of this age.
    TooOld(Duration),
    /// It has nothing that is valid by its clock, though no more failed than may.
    NothingValid,
}

/// When somebody else's questions came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Others {
    /// For this one the responder signed what it then kept.
    signed: Option<Duration>,
    /// This one filled the cache on the party's way.
    cached: Option<Duration>,
}

/// A timeline in which a class of the contract meets what it excludes. All moments count from the same start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterExample {
    class: PartyClass,
    broken: Broken,
    away: Vec<Away>,
    others: Others,
    revoked: Option<Duration>,
    asked: Vec<Duration>,
    used: Duration,
    valid: Option<(Duration, Duration)>,
}

impl CounterExample {
    /// The class.
    #[must_use]
    pub const fn class(&self) -> &PartyClass {
        &self.class
    }

    /// What it meets.
    #[must_use]
    pub const fn broken(&self) -> Broken {
        self.broken
    }

    /// What is away in it.
    #[must_use]
    pub fn away(&self) -> &[Away] {
        &self.away
    }

    /// Plays it through under another schedule.
    #[must_use]
    pub fn play(&self, timing: &Timing) -> Option<Broken> {
        let plan = Plan {
            class: &self.class,
            away: self.away.clone(),
            others: self.others,
            revoked: self.revoked,
            asked: self.asked.clone(),
            used: self.used,
        };
        plan.play(timing).map(|played| played.broken)
    }
}

impl fmt::Display for CounterExample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { class, .. } = self;
        write!(
            f,
            "class {} ({}, max-age {} s, clock-skew {} s, polls-every {} s) is broken",
            class.name,
            class.method,
            class.max_age.as_secs(),
            class.skew.as_secs(),
            class.poll.as_secs()
        )?;
        if let Some((this_update, next_update)) = self.valid {
            write!(f, "; thisUpdate {}, nextUpdate {}", Clock(this_update), Clock(next_update))?;
        }
        if let Some(revoked) = self.revoked {
            write!(f, "; revoked {}", Clock(revoked))?;
        }
        for away in &self.away {
            write!(f, "; {} away from {}", away.part.name(), Clock(away.from))?;
            if away.until < Duration::MAX {
                write!(f, " to {}", Clock(away.until))?;
            }
        }
        for (what, at) in [("signed", self.others.signed), ("cached", self.others.cached)] {
            if let Some(at) = at {
                write!(f, "; {what} {}", Clock(at))?;
            }
        }
        for asked in &self.asked {
            write!(f, "; asked {}", Clock(*asked))?;
        }
        match self.broken {
            Broken::TooOld(age) => {
                write!(f, "; at {} relied on: good, {} s old", Clock(self.used), age.as_secs())
            }
            Broken::NothingValid => write!(f, "; at {} nothing valid to rely on", Clock(self.used)),
        }
    }
}

/// A moment as hours, minutes and seconds from the start.
struct Clock(Duration);

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        write!(f, "{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
    }
}

/// A timeline that may turn out to be a counter-example.
struct Plan<'a> {
    class: &'a PartyClass,
    away: Vec<Away>,
    others: Others,
    revoked: Option<Duration>,
    asked: Vec<Duration>,
    used: Duration,
}

impl Plan<'_> {
    fn play(self, timing: &Timing) -> Option<CounterExample> {
        let mut world = World::new(timing, &self.away, self.used);
        let mut party = Party::new(self.class);
        if let Some(signed) = self.others.signed {
            let _ = world.ask(signed, self.class.method);
        }
        if let Some(cached) = self.others.cached {
            let _ = world.fetch(cached, self.class.method);
        }
        for asked in &self.asked {
            party.fetch(&mut world, *asked);
        }
        let too_old = party.relied_on(self.used).filter(|age| *age > self.class.max_age);
        let broken = match (too_old, self.revoked) {
            (Some(age), _) => Broken::TooOld(age),
            (None, None) if !party.has_valid(self.used) => Broken::NothingValid,
            (None, _) => return None,
        };
        Some(CounterExample {
            class: self.class.clone(),
            broken,
            valid: party.held().map(|held| (held.this_update, held.next_update)),
            away: self.away,
            others: self.others,
            revoked: self.revoked,
            asked: self.asked,
            used: self.used,
        })
    }
}

impl Contract {
    /// A timeline in which a class meets what the contract excludes, where `timing` has one.
    #[must_use]
    pub fn counter_example(&self, timing: &Timing) -> Option<CounterExample> {
        let plans = self
            .classes
            .iter()
            .flat_map(|class| [held_to_the_end(class, timing), late(class, timing)]);
        plans.into_iter().find_map(|plan| plan.play(timing))
    }

    /// The schedule of a responder, whose own settings count where they are given.
    ///
    /// # Errors
    ///
    /// [`Refused`]; what `sigill-ca` makes under the same contract is reckoned with, to the list that ends first.
    pub fn timing_of_answers(
        &self,
        answers: AnswerSigning,
        validity: Option<Duration>,
        max_age: Option<Duration>,
        freshness: Option<Duration>,
    ) -> Result<Timing, Refused> {
        if answers == AnswerSigning::Beforehand
            && let Some(class) = self.by(&[Method::OcspWithNonce]).next()
        {
            return Err(Refused::Nonce { class: class.name.clone() });
        }
        let derived = self.timing(answers)?;
        let timing = Timing {
            validity: or(validity, derived.validity),
            max_age: or(max_age, derived.max_age),
            freshness: or(freshness, derived.freshness),
            ..derived
        };
        match self.counter_example(&self.with_tightest_lists(timing, derived)) {
            Some(example) => Err(Refused::Broken(Box::new(example))),
            None => Ok(timing),
        }
    }

    /// The schedule of a CA's lists, whose own settings count where they are given.
    ///
    /// # Errors
    ///
    /// [`Refused`]; what a responder does under the same contract is reckoned with.
    pub fn timing_of_lists(
        &self,
        period: Option<Duration>,
        lifetime: Option<Duration>,
    ) -> Result<Timing, Refused> {
        let derived = self.timing(AnswerSigning::WhenAsked)?;
        let timing = Timing {
            crl_period: or(period, derived.crl_period),
            crl_lifetime: or(lifetime, derived.crl_lifetime),
            ..derived
        };
        self.counter_example(&timing)
            .map_or(Ok(timing), |example| Err(Refused::Broken(Box::new(example))))
    }
}

/// What is written, as far as ten years; else what is derived.
fn or(written: Option<Duration>, derived: Duration) -> Duration {
    written.map_or(derived, |written| written.min(Duration::from_secs(10 * 366 * 86_400)))
}

/// Why settings do not go with a contract.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refused {
    /// A timeline shows it.
    #[error("{0}")]
    Broken(Box<CounterExample>),
    /// A class asks for what answers signed beforehand cannot have.
    #[error(
        "class {class} asks with a nonce, and no answer that was signed beforehand has one (RFC 9919 section 3.2.1)"
    )]
    Nonce {
        /// The class.
        class: String,
    },
    /// None would do.
    #[error(transparent)]
    Unservable(#[from] Unservable),
}

/// Revoked just after it was signed, and nothing newer comes: whoever has it relies on it to its end by a slow clock.
fn held_to_the_end<'a>(class: &'a PartyClass, timing: &Timing) -> Plan<'a> {
    let lasts = if class.method == Method::Crl { timing.crl_lifetime } else { timing.validity };
    let used = lasts + class.skew;
    let away = vec![Away { part: Part::InnerZone, from: Duration::ZERO, until: Duration::MAX }];
    let asked = vec![Duration::ZERO, used];
    Plan { class, away, others: Others::default(), revoked: Some(SECOND), asked, used }
}

/// As much fails as may, what comes is as old as it gets, and it is used until the next question by a fast clock.
fn late<'a>(class: &'a PartyClass, timing: &Timing) -> Plan<'a> {
    let asked_late = |given: Duration, lasts: Duration| {
        let kept = timing.max_age.min(lasts.saturating_sub(given + SECOND));
        given + kept.saturating_sub(SECOND)
    };
    let silent = timing.freshness;
    let unheard = Away { part: Part::InnerZone, from: Duration::ZERO, until: silent + SECOND };
    let (away, others, asked) = match class.method {
        Method::Crl => {
            // Two lists are missed, and the third comes when it must (CRL-03).
            let period = timing.crl_period.max(SECOND);
            let missed = Away { part: Part::InnerZone, from: period - SECOND, until: period * 3 };
            let given = period * 3 + PUBLISHED_WITHIN - SECOND;
            let others = Others { signed: None, cached: Some(given) };
            (missed, others, asked_late(given, timing.crl_lifetime))
        }
        Method::Ocsp | Method::OcspWithNonce if timing.answers == AnswerSigning::Beforehand => {
            // It went away just before the next answer was due, which is made as soon as it is back.
            let due = resign_after(timing.validity).max(SECOND);
            let away = Away { part: Part::InnerZone, from: due - SECOND, until: due + silent };
            let given = due + silent + PUBLISHED_WITHIN - SECOND;
            let is_cached = class.method == Method::Ocsp;
            let others =
                Others { signed: Some(Duration::ZERO), cached: is_cached.then_some(given) };
            let asked = if is_cached { asked_late(given, timing.validity) } else { given };
            (away, others, asked)
        }
        Method::OcspWithNonce => (unheard, Others::default(), silent),
        Method::Ocsp => {
            let kept = resign_after(timing.validity.saturating_sub(silent));
            let given = silent + kept.saturating_sub(SECOND);
            let others = Others { signed: Some(silent), cached: Some(given) };
            (unheard, others, asked_late(given, timing.validity))
        }
    };
    let used = asked + class.poll.saturating_sub(SECOND);
    Plan { class, away: vec![away], others, revoked: None, asked: vec![asked], used }
}

#[cfg(test)]
mod tests {
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
                contract.timing_of_lists(period.map(secs), lifetime.map(secs)).unwrap_err();
            assert!(refused.to_string().contains(seen), "{period:?} {lifetime:?}: {refused}");
        }
        assert!(contract.timing_of_lists(Some(secs(600)), Some(secs(3300))).is_ok());
        // The responder keeps lists too, and knows only what the contract says of them.
        let refused =
            contract.timing_of_answers(WHEN_ASKED, None, Some(secs(1000)), None).unwrap_err();
        assert!(refused.to_string().contains("(crl,"), "{refused}");
    }

    fn method() -> impl Strategy<Value = Method> {
        prop_oneof![Just(Method::Ocsp), Just(Method::OcspWithNonce), Just(Method::Crl)]
    }

    fn contracts() -> impl Strategy<Value = Contract> {
        let class = (method(), 900_u64..200_000, 0_u64..400, 0_u64..4000);
        (proptest::collection::vec(class, 1..4), 10_u64..4000).prop_map(|(classes, outage)| {
            Contract {
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
            }
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
        let crl = contract.classes.iter().all(|class| class.method == Method::Crl);
        let span =
            if crl { timing.crl_period * 2 } else { timing.freshness.min(timing.crl_period * 2) };
        Away { part, from: secs(from), until: secs(from) + span }
    }

    fn outer() -> impl Strategy<Value = Part> {
        prop_oneof![Just(Part::InnerZone), Just(Part::Publication)]
    }

    fn none_broken(
        contract: &Contract,
        timing: &Timing,
        away: &[Away],
    ) -> Result<(), TestCaseError> {
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
            none_broken(&contract, &timing, &[failing(&contract, &timing, own, from)])?;
            let away = [Away { part: Part::ALL[part].0, from: secs(from), until: secs(from + long) }];
            for class in contract.simulate(&timing, &away) {
                prop_assert_eq!(&class.too_old, &Vec::<Span>::new(), "{}", class.name);
            }
        }
    }
}
