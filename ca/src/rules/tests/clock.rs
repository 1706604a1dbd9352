//! The two dispensations at every boundary of day and hour, by another reckoning.
//!
//! The oracle shares nothing with the code: the time zone database's offsets and another calendar's
//! free days (`calendar/sweden.tsv`), and the dispensations written out here by hand.

use std::collections::BTreeSet;

use super::*;
use crate::calendar::tests::{free_days, offsets};
use crate::day::Day;

/// 2025-11-01 and 2026-08-01: before the restriction and after both dispensations.
const FIRST: u64 = 1_761_955_200;
const LAST: u64 = 1_785_542_400;
const DAY_SECONDS: u64 = 86_400;

struct Oracle {
    free: BTreeSet<String>,
    offsets: Vec<(u64, u64)>,
}

/// What a clock on a wall in Stockholm shows: `2026-03-29`, days since Monday 1970-01-05, seconds.
struct Wall {
    day: String,
    weekday: u64,
    second: u64,
}

impl Oracle {
    fn new() -> Self {
        let free = free_days().into_keys().collect();
        Self { free, offsets: offsets() }
    }

    fn wall(&self, second: u64) -> Wall {
        let offset = self.offsets.iter().rev().find(|(from, _)| *from <= second).unwrap().1;
        let shown = second + offset;
        let days = shown / DAY_SECONDS;
        // 1970-01-01 was a Thursday.
        Wall { day: name_of(days), weekday: (days + 3) % 7, second: shown % DAY_SECONDS }
    }

    fn workday(&self, wall: &Wall) -> bool {
        wall.weekday < 5 && !self.free.contains(&wall.day)
    }

    /// Whether somebody with a personnummer gets a LoA 2 certificate on a reserve card.
    fn reserve_card(&self, second: u64) -> bool {
        let wall = self.wall(second);
        let office = (9 * 3_600..15 * 3_600 + 60).contains(&wall.second) && self.workday(&wall);
        *wall.day < *"2025-12-01" || (*wall.day <= *"2026-06-30" && !office)
    }

    /// Whether somebody with a samordningsnummer or a passport gets one on an ordinary card.
    fn without_number(&self, second: u64) -> bool {
        *self.wall(second).day <= *"2026-03-31"
    }
}

/// The date of a day since 1970, counted out month by month.
fn name_of(mut days: u64) -> String {
    let (mut year, mut month) = (1970, 1);
    loop {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        if days < length {
            return format!("{year}-{month:02}-{:02}", days + 1);
        }
        days -= length;
        (year, month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    }
}

/// Each second at which something may change, and the seconds beside it: midnight, nine, three and
/// one past three by Stockholm's clock and by UTC, and the hours in which the clock is changed.
fn boundaries() -> BTreeSet<u64> {
    let hours = [0, 9 * 3_600, 15 * 3_600, 15 * 3_600 + 60, DAY_SECONDS - 60];
    let days = (FIRST..LAST).step_by(86_400);
    let walls = days.flat_map(|day| hours.map(|hour| day + hour));
    let shifted = walls.flat_map(|at| [at, at - 3_600, at - 7_200]);
    let changes = [1_774_746_000]; // 2026-03-29T01:00:00Z
    let around = changes.into_iter().flat_map(|at| (at - 10_800..at + 10_800).step_by(30));
    shifted.chain(around).flat_map(|at| [at - 1, at, at + 1]).collect()
}

/// The restriction and its two dispensations hold from the second on that they say, and to the second:
/// on workdays, holidays and eves, in winter and summer time, and when the clock is changed.
#[test]
fn the_dispensations_hold_to_the_second_as_another_reckoning_says() {
    let (rules, oracle) = (shipped(), Oracle::new());
    let samordningsnummer =
        Ask::new(TrustLevel::Loa2, CarrierKind::OrdinaryCard, "samordningsnummer");
    let passport = Ask::new(TrustLevel::Loa2, CarrierKind::OrdinaryCard, "passport-holder");
    let ordinary = Ask::new(TrustLevel::Loa2, CarrierKind::OrdinaryCard, "personnummer");
    let reserve = reserve_card();
    let mut turns = 0;
    let mut before = None;

    for second in boundaries() {
        let at = UnixTime::from_secs(second).unwrap();
        let allowed = |ask: &Ask| rules.judge(&ask.facts(), at).is_ok();
        let by_oracle = oracle.reserve_card(second);
        assert_eq!(allowed(&reserve), by_oracle, "reserve card at {at}");
        for ask in [&samordningsnummer, &passport] {
            assert_eq!(allowed(ask), oracle.without_number(second), "without number at {at}");
        }
        assert_eq!(allowed(&ordinary), *oracle.wall(second).day < *"2025-12-01", "{at}");
        turns += u32::from(before.replace(by_oracle).is_some_and(|before| before != by_oracle));
    }

    // 141 workdays of two turns each, from 2025-12-01 to 2026-06-30, and the end.
    assert_eq!(turns, 141 * 2 + 1);
}

/// Trust level 3 and functions are none of these rules' business, at whatever hour.
#[test]
fn trust_level_3_is_never_touched() {
    let rules = shipped();
    let person = Ask::new(TrustLevel::Loa3, CarrierKind::ReserveCard, "personnummer");
    let function = Facts {
        level: None,
        carrier: None,
        identity: None,
        profile: &person.profile,
        organisations: &[],
        routine: None,
    };

    for second in boundaries() {
        let at = UnixTime::from_secs(second).unwrap();
        assert_eq!(rules.judge(&person.facts(), at), Ok(Judged::default()), "{at}");
        assert_eq!(rules.judge(&function, at), Ok(Judged::default()), "{at}");
    }
}

/// The boundaries by name, for readers.
#[test]
fn the_boundaries_are_where_the_sources_put_them() {
    let rules = shipped();
    let reserve = reserve_card();
    let foreign = Ask::new(TrustLevel::Loa2, CarrierKind::OrdinaryCard, "passport-holder");
    let allowed = |ask: &Ask, at: &str| rules.judge(&ask.facts(), utc(at)).is_ok();

    for (ask, at, expected) in [
        // A Tuesday in winter: office hours are 08:00:00 to 14:00:59 UTC.
        (&reserve, "2026-01-13T07:59:59Z", true),
        (&reserve, "2026-01-13T08:00:00Z", false),
        (&reserve, "2026-01-13T14:00:59Z", false),
        (&reserve, "2026-01-13T14:01:00Z", true),
        // A Monday in summer time: an hour earlier by UTC.
        (&reserve, "2026-03-30T06:59:59Z", true),
        (&reserve, "2026-03-30T07:00:00Z", false),
        (&reserve, "2026-03-30T13:00:59Z", false),
        (&reserve, "2026-03-30T13:01:00Z", true),
        // Noon of Good Friday, Ascension Day, the national day, Midsummer Eve, Epiphany.
        (&reserve, "2026-04-03T10:00:00Z", true),
        (&reserve, "2026-05-14T10:00:00Z", true),
        (&reserve, "2026-05-15T10:00:00Z", false),
        (&reserve, "2026-06-06T10:00:00Z", true),
        (&reserve, "2026-06-19T10:00:00Z", true),
        (&reserve, "2026-01-06T11:00:00Z", true),
        (&reserve, "2026-01-05T11:00:00Z", false),
        // The last days end at midnight in Stockholm.
        (&reserve, "2026-06-30T21:59:59Z", true),
        (&reserve, "2026-06-30T22:00:00Z", false),
        (&foreign, "2026-03-31T21:59:59Z", true),
        (&foreign, "2026-03-31T22:00:00Z", false),
        // Level 2 ends for all others with 30 November 2025 in Stockholm.
        (&foreign, "2025-11-30T22:59:59Z", true),
        (&foreign, "2025-11-30T23:00:00Z", true),
    ] {
        assert_eq!(allowed(ask, at), expected, "{at}");
    }
}

#[test]
fn a_dispensation_caps_what_it_lets_through() {
    let rules = shipped();
    let night = utc("2026-01-13T22:00:00Z");

    let judged = rules.judge(&reserve_card().facts(), night).unwrap();
    let foreign = Ask::new(TrustLevel::Loa2, CarrierKind::ReserveCard, "passport-holder");
    let both = rules.judge(&foreign.facts(), night).unwrap();

    assert_eq!(judged.longest, Some(Duration::from_secs(14 * DAY_SECONDS)));
    assert_eq!(judged.shortened_by.unwrap().to_string(), "rules/reserve-card-outside-office-hours");
    let names: Vec<String> = judged.rules.iter().map(ToString::to_string).collect();
    assert_eq!(names, ["rules/loa2-ended", "rules/reserve-card-outside-office-hours"]);
    // Where both fit, the one that lets through most counts.
    assert_eq!((both.longest, both.shortened_by), (None, None));
}

/// Promise 9: the refusal names the rule, each dispensation, and why it does not fit.
#[test]
fn a_refusal_names_the_rule_and_why_no_dispensation_fits() {
    let rules = shipped();

    let refused = rules.judge(&reserve_card().facts(), utc("2026-01-13T11:00:00Z")).unwrap_err();
    let refusal = refused.refusal();
    let today = rules.judge(&reserve_card().facts(), utc("2026-11-22T15:00:00Z")).unwrap_err();

    assert_eq!(refused.restriction().to_string(), "rules/loa2-ended");
    assert_eq!(refusal.code, "restricted-by-rule");
    assert_eq!(
        refusal.seen,
        "rules/loa2-ended: persons get trust level 3 since 2025-12-01; it is 2026-01-13 12:00:00 in Stockholm"
    );
    assert_eq!(
        refusal.limit,
        "what a dispensation lets through: rules/reserve-card-outside-office-hours (not at this \
         hour of this day), rules/persons-without-personnummer (for other identity kinds)"
    );
    let misfits: Vec<_> = today.misfits().iter().map(|(_, misfit)| *misfit).collect();
    let ended = |month, day| Misfit::Ended { until: Day::new(2026, month, day).unwrap() };
    assert_eq!(misfits, [ended(6, 30), ended(3, 31)]);
}
