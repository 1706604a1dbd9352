//! Counter-examples: timelines that were played, and in which a class meets what its contract excludes.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use super::contract::{Contract, Method, PartyClass};
use super::timing::{
    AnswerSigning, PUBLISHED_WITHIN, Timing, Unservable, beside_deltas, resign_after,
};
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
        let mut world = World::new(timing, &self.away, self.used, self.class.method);
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
        self.must_keep(&self.with_tightest_lists(timing, derived))?;
        Ok(timing)
    }

    fn must_keep(&self, timing: &Timing) -> Result<(), Refused> {
        if let Some(example) = self.counter_example(timing) {
            return Err(Refused::Broken(Box::new(example)));
        }
        self.missed_by_deltas(timing).map_or(Ok(()), Err)
    }

    /// Lists and deltas that come apart: what a class needs when a full list is made just when the third delta comes. It depends on
    /// how the two periods meet, so no single timeline is the worst, and the bound of all of them is asked.
    fn missed_by_deltas(&self, timing: &Timing) -> Option<Refused> {
        self.by(&[Method::CrlDelta]).find_map(|class| {
            let beside = beside_deltas(class, timing.max_age);
            let pairs = [
                ("delta CRLs", timing.delta_period, timing.delta_lifetime),
                ("CRLs with deltas", timing.crl_period, timing.crl_lifetime),
            ];
            pairs.into_iter().find_map(|(what, period, lasts)| {
                let (class, needed) = (class.name.clone(), period * 3 + beside);
                (lasts < needed).then_some(Refused::Apart { class, what, lasts, needed })
            })
        })
    }

    /// The schedule of a CA's lists, whose own settings count where they are given.
    ///
    /// # Errors
    ///
    /// [`Refused`]; what a responder does under the same contract is reckoned with. Where a CA makes no deltas its lists must
    /// bear the classes that would read them.
    pub fn timing_of_lists(
        &self,
        period: Option<Duration>,
        lifetime: Option<Duration>,
        deltas: Option<WrittenDeltas>,
    ) -> Result<Timing, Refused> {
        let without = deltas.is_none().then(|| self.without_deltas());
        let (contract, deltas) = (without.as_ref().unwrap_or(self), deltas.unwrap_or_default());
        let derived = contract.timing(AnswerSigning::WhenAsked)?;
        let timing = Timing {
            crl_period: or(period, derived.crl_period),
            crl_lifetime: or(lifetime, derived.crl_lifetime),
            delta_period: or(deltas.period, derived.delta_period),
            delta_lifetime: or(deltas.lifetime, derived.delta_lifetime),
            ..derived
        };
        contract.must_keep(&timing)?;
        Ok(timing)
    }
}

/// What a CA that makes deltas has written of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WrittenDeltas {
    /// Between two.
    pub period: Option<Duration>,
    /// From thisUpdate to nextUpdate.
    pub lifetime: Option<Duration>,
}

/// What is written, as far as ten years; else what is derived.
fn or(written: Option<Duration>, derived: Duration) -> Duration {
    written.map_or(derived, |written| written.min(Duration::from_secs(10 * 366 * 86_400)))
}

/// Why settings do not go with a contract.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refused {
    /// List and delta may come apart for longer than they last.
    #[error(
        "class {class} reads CRL and delta together: {what} last {} s, and {} s are needed for three periods, the way outwards, a copy of \
         each on the way, two questions and its clock-skew",
        lasts.as_secs(), needed.as_secs()
    )]
    Apart {
        /// The class.
        class: String,
        /// Which of the two.
        what: &'static str,
        /// How long they last.
        lasts: Duration,
        /// How long they would have to.
        needed: Duration,
    },
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
    let lasts = match class.method {
        Method::Crl => timing.crl_lifetime,
        Method::CrlDelta => timing.delta_lifetime.min(timing.crl_lifetime),
        Method::Ocsp | Method::OcspWithNonce => timing.validity,
    };
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
        Method::Crl | Method::CrlDelta => {
            // Two lists are missed, and the third comes when it must (CRL-03).
            let (period, lasts) = if class.method == Method::Crl {
                (timing.crl_period.max(SECOND), timing.crl_lifetime)
            } else {
                (timing.delta_period.max(SECOND), timing.delta_lifetime)
            };
            let missed = Away { part: Part::InnerZone, from: period - SECOND, until: period * 3 };
            let given = period * 3 + PUBLISHED_WITHIN - SECOND;
            let others = Others { signed: None, cached: Some(given) };
            (missed, others, asked_late(given, lasts))
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
mod tests;
