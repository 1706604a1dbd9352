//! A week, minute by minute: what every class meets while parts are away.

use std::time::Duration;

use super::contract::{Contract, Method, PartyClass};
use super::timing::Timing;
use super::world::{Away, Party, World};

/// What is simulated.
pub const WEEK: Duration = Duration::from_secs(7 * 86_400);
const MINUTE: Duration = Duration::from_secs(60);
/// Parties of a class that do not ask at each use, each asking at another moment.
const PARTIES: u32 = 8;

/// Minutes in a row: the first one, and the first that is not meant any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first minute.
    pub from: Duration,
    /// The first minute after it.
    pub until: Duration,
}

/// What a class met in a week.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassWeek {
    /// The class.
    pub name: String,
    /// How it asks.
    pub method: Method,
    /// The oldest that any party relied on.
    pub oldest: Duration,
    /// When a new question was answered tryLater.
    pub try_later: Vec<Span>,
    /// When the CRL that is served, or its delta, was expired.
    pub crl_expired: Vec<Span>,
    /// When a party that asks as the class does had nothing that was valid by its clock.
    pub nothing_valid: Vec<Span>,
    /// When a party relied on something older than the class bears; never, unless the contract is broken.
    pub too_old: Vec<Span>,
}

impl Contract {
    /// Plays a week, minute by minute, in which parts are away. Parties begin with what is fresh then.
    #[must_use]
    pub fn simulate(&self, timing: &Timing, away: &[Away]) -> Vec<ClassWeek> {
        self.classes.iter().map(|class| week_of(class, timing, away)).collect()
    }
}

fn week_of(class: &PartyClass, timing: &Timing, away: &[Away]) -> ClassWeek {
    let mut world = World::new(timing, away, WEEK, class.method);
    let mut week = ClassWeek {
        name: class.name.clone(),
        method: class.method,
        oldest: Duration::ZERO,
        try_later: Vec::new(),
        crl_expired: Vec::new(),
        nothing_valid: Vec::new(),
        too_old: Vec::new(),
    };
    let every = class.poll.max(Duration::from_secs(1));
    let at_each_use = class.poll < MINUTE;
    let count = if at_each_use { 1 } else { PARTIES };
    let mut parties: Vec<(Duration, Party<'_>)> =
        (0..count).map(|number| (every * number / count, Party::new(class))).collect();
    for (_, party) in &mut parties {
        party.fetch(&mut world, Duration::ZERO);
    }
    let mut minute = Duration::ZERO;
    while minute < WEEK {
        if at_each_use {
            for (_, party) in &mut parties {
                party.fetch(&mut world, minute);
            }
        }
        // All questions of the minute before, in their order.
        while !at_each_use
            && let Some((next, party)) = parties.iter_mut().min_by_key(|(next, _)| *next)
            && *next <= minute
        {
            party.fetch(&mut world, *next);
            *next += every;
        }
        meet(&mut week, &mut world, &parties, minute);
        minute += MINUTE;
    }
    week
}

/// Notes what is met in one minute.
fn meet(
    week: &mut ClassWeek,
    world: &mut World<'_>,
    parties: &[(Duration, Party<'_>)],
    minute: Duration,
) {
    match week.method {
        Method::Crl | Method::CrlDelta
            if world.listed(minute, week.method).is_none_or(|one| one.next_update < minute) =>
        {
            note(&mut week.crl_expired, minute);
        }
        Method::Ocsp | Method::OcspWithNonce if world.ask(minute, week.method).is_none() => {
            note(&mut week.try_later, minute);
        }
        Method::Crl | Method::CrlDelta | Method::Ocsp | Method::OcspWithNonce => {}
    }
    if !parties.iter().all(|(_, party)| party.has_valid(minute)) {
        note(&mut week.nothing_valid, minute);
    }
    let relied_on = parties
        .iter()
        .filter_map(|(_, party)| Some((party.relied_on(minute)?, party.class.max_age)));
    for (age, most) in relied_on {
        week.oldest = week.oldest.max(age);
        if age > most {
            note(&mut week.too_old, minute);
        }
    }
}

fn note(spans: &mut Vec<Span>, minute: Duration) {
    let until = minute + MINUTE;
    match spans.last_mut() {
        Some(last) if last.until >= minute => last.until = until,
        _ => spans.push(Span { from: minute, until }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::{AnswerSigning, Part};

    const HOUR: Duration = Duration::from_secs(3600);
    const EXAMPLE: &str = include_str!("../../../environments/demo/freshness.toml");

    fn simulated(part: Part, hours: u32) -> Vec<ClassWeek> {
        let contract = Contract::parse(EXAMPLE).unwrap();
        let away = [Away { part, from: HOUR * 24, until: HOUR * (24 + hours) }];
        contract.simulate(&contract.timing(AnswerSigning::WhenAsked).unwrap(), &away)
    }

    /// OCSP-16: the inner zone gone for six hours: good answers end, tryLater comes, nothing stale, and all heals.
    #[test]
    fn an_inner_zone_that_is_long_away_ends_in_try_later_and_never_in_a_stale_good() {
        for class in simulated(Part::InnerZone, 6) {
            assert!(class.too_old.is_empty(), "{class:?}");
            if class.method == Method::Crl {
                assert!(
                    class.nothing_valid.is_empty() && class.crl_expired.is_empty(),
                    "{class:?}"
                );
            } else {
                // The limit of the example is a quarter of an hour.
                let span = Span { from: HOUR * 24 + MINUTE * 16, until: HOUR * 30 };
                assert_eq!(class.try_later, [span], "{}", class.name);
                assert!(!class.nothing_valid.is_empty(), "{}", class.name);
            }
        }
    }

    /// Without the responder's token there is no answer with a nonce at once, and none without one at half of their life.
    #[test]
    fn a_token_that_is_away_stops_nonces_first() {
        let weeks = simulated(Part::ResponderToken, 2);
        let begin = |name: &str| {
            weeks
                .iter()
                .find(|class| class.name == name)
                .and_then(|class| class.try_later.first().copied())
        };

        assert_eq!(begin("strict").map(|span| span.from), Some(HOUR * 24 + MINUTE));
        assert!(begin("login").is_some_and(|span| span.from > HOUR * 24 + MINUTE));
        assert!(weeks.iter().all(|class| class.too_old.is_empty()));
    }

    /// CRL-08: who reads deltas is the first to notice that none are made, and has nothing while full lists are still valid.
    #[test]
    fn an_issuing_token_that_is_away_stops_deltas_first() {
        let class = "max-age = 7200\nclock-skew = 60\ncrl-only = true\n";
        let text = format!(
            "[[class]]\nname = \"lists\"\n{}[[class]]\nname = \"deltas\"\n{class}deltas = true\n",
            class.replace("7200", "86400")
        );
        let contract = Contract::parse(&text).unwrap();
        let timing = contract.timing(AnswerSigning::WhenAsked).unwrap();
        let away = [Away { part: Part::IssuingToken, from: HOUR * 24, until: HOUR * 30 }];

        let weeks = contract.simulate(&timing, &away);

        let [lists, deltas] = weeks.as_slice() else { panic!("{weeks:?}") };
        assert!(lists.crl_expired.is_empty() && lists.nothing_valid.is_empty(), "{lists:?}");
        assert_eq!(deltas.crl_expired.first().map(|span| span.until), Some(HOUR * 30 + MINUTE));
        assert_eq!(deltas.crl_expired.len(), 1, "{deltas:?}");
        assert!(!deltas.nothing_valid.is_empty(), "{deltas:?}");
        assert!(weeks.iter().all(|week| week.too_old.is_empty()), "{weeks:?}");
    }

    /// A schedule that breaks the contract is seen to break it: lists and answers that outlive their classes.
    #[test]
    fn a_week_shows_what_a_broken_contract_lets_through() {
        let contract = Contract::parse(EXAMPLE).unwrap();
        let derived = contract.timing(AnswerSigning::WhenAsked).unwrap();
        let timing = Timing { validity: HOUR * 3, crl_lifetime: HOUR * 48, ..derived };
        let away = [Away { part: Part::InnerZone, from: HOUR * 24, until: HOUR * 72 }];

        for class in contract.simulate(&timing, &away) {
            assert!(!class.too_old.is_empty(), "{class:?}");
        }
        let expired = contract.simulate(&derived, &away).pop().unwrap().crl_expired;
        assert_eq!(expired.first().map(|span| span.until), Some(HOUR * 72 + MINUTE));
    }
}
