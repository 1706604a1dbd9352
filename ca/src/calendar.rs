//! Days and hours as people in Sweden reckon them: Stockholm's clock, holidays, workdays.
//!
//! Rules with dates and hours in them hold by this calendar, certificates by UTC. Which days are
//! holidays is law and stands in code ([`holiday`]); which eves count as free days is a reading of
//! another law and stands in a reviewed file.

mod deadline;
mod holiday;
mod stockholm;

use std::collections::BTreeSet;
use std::fmt;

use jiff::civil::Date;
use serde::Deserialize;

pub use self::deadline::Deadline;
pub use self::holiday::{Eve, Holiday, holiday};
pub use self::stockholm::{Local, NoTimeOfDay, TimeOfDay, first_second_after, local};
use crate::day::Day;

/// Which days are worked on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calendar {
    eves: BTreeSet<Eve>,
}

/// Why a day is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Free {
    /// An eve that the calendar counts as one.
    Eve(Eve),
    /// A general holiday (law 1989:253).
    Holiday(Holiday),
    /// A Saturday.
    Saturday,
    /// A Sunday, itself a general holiday.
    Sunday,
}

impl Calendar {
    /// A calendar in which these eves are free days, as Saturdays, Sundays and holidays are.
    pub fn new(eves: impl IntoIterator<Item = Eve>) -> Self {
        Self { eves: eves.into_iter().collect() }
    }

    /// Why `day` is free; `None` on workdays.
    #[must_use]
    pub fn why_free(&self, day: Day) -> Option<Free> {
        let eve = || Eve::of(day).filter(|eve| self.eves.contains(eve)).map(Free::Eve);
        let weekend = || match Weekday::of(day) {
            Weekday::Saturday => Some(Free::Saturday),
            Weekday::Sunday => Some(Free::Sunday),
            _ => None,
        };
        holiday(day).map(Free::Holiday).or_else(eve).or_else(weekend)
    }

    /// Whether `day` is worked on: Monday to Friday, no holiday and no free eve.
    #[must_use]
    pub fn is_workday(&self, day: Day) -> bool {
        self.why_free(day).is_none()
    }

    /// The `count`th workday after `day`; `day` itself for none, and the calendar's last day past its
    /// end.
    #[must_use]
    pub fn add_workdays(&self, day: Day, count: u32) -> Day {
        let mut left = count;
        let mut date = date_of(day);
        while left > 0 {
            let Ok(next) = date.tomorrow() else { break };
            date = next;
            if day_of(date).is_some_and(|day| self.is_workday(day)) {
                left -= 1;
            }
        }
        day_of(date).unwrap_or(day)
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
pub enum Weekday {
    /// Monday.
    #[serde(rename = "mon")]
    Monday,
    /// Tuesday.
    #[serde(rename = "tue")]
    Tuesday,
    /// Wednesday.
    #[serde(rename = "wed")]
    Wednesday,
    /// Thursday.
    #[serde(rename = "thu")]
    Thursday,
    /// Friday.
    #[serde(rename = "fri")]
    Friday,
    /// Saturday.
    #[serde(rename = "sat")]
    Saturday,
    /// Sunday.
    #[serde(rename = "sun")]
    Sunday,
}

impl Weekday {
    /// The day of the week of `day`.
    #[must_use]
    pub fn of(day: Day) -> Self {
        use jiff::civil::Weekday as Jiff;
        match date_of(day).weekday() {
            Jiff::Monday => Self::Monday,
            Jiff::Tuesday => Self::Tuesday,
            Jiff::Wednesday => Self::Wednesday,
            Jiff::Thursday => Self::Thursday,
            Jiff::Friday => Self::Friday,
            Jiff::Saturday => Self::Saturday,
            Jiff::Sunday => Self::Sunday,
        }
    }
}

impl fmt::Display for Weekday {
    /// As rules write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Monday => "mon",
            Self::Tuesday => "tue",
            Self::Wednesday => "wed",
            Self::Thursday => "thu",
            Self::Friday => "fri",
            Self::Saturday => "sat",
            Self::Sunday => "sun",
        })
    }
}

/// The same day in the calendar library. Both calendars have all days from 1970 to 9999.
fn date_of(day: Day) -> Date {
    let (year, month, day) = day.year_month_day();
    let part = |number: u8| i8::try_from(number).unwrap_or(1);
    i16::try_from(year)
        .ok()
        .and_then(|year| Date::new(year, part(month), part(day)).ok())
        .unwrap_or(Date::MAX)
}

fn day_of(date: Date) -> Option<Day> {
    let (year, month, day) = (date.year(), date.month(), date.day());
    Day::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use x509::time::UnixTime;

    use super::*;

    /// What others say of the Swedish calendar (`calendar/sweden.py`).
    const OTHERS: &str = include_str!("calendar/sweden.tsv");

    /// Days that others call free, with their names for them.
    pub(crate) fn free_days() -> BTreeMap<String, &'static str> {
        rows("free").map(|(day, name)| (day.to_owned(), name)).collect()
    }

    /// From which second on Stockholm is how many seconds ahead of UTC.
    pub(crate) fn offsets() -> Vec<(u64, u64)> {
        let number = |text: &str| text.parse().unwrap();
        rows("clock").map(|(from, offset)| (number(from), number(offset))).collect()
    }

    fn rows(sort: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
        OTHERS.lines().filter_map(move |line| {
            let mut parts = line.split('\t');
            (parts.next()? == sort).then(|| (parts.next().unwrap(), parts.next().unwrap()))
        })
    }

    pub(crate) fn swedish() -> Calendar {
        Calendar::new([Eve::Christmas, Eve::Midsummer, Eve::NewYear])
    }

    fn every_day() -> impl Iterator<Item = Day> {
        let first = UnixTime::of_day(2019, 1, 1).unwrap();
        (0..22 * 365 + 6).map(move |n: u64| {
            let span = std::time::Duration::from_secs(n * 86_400);
            Day::containing(first.checked_add(span).unwrap())
        })
    }

    /// ISS-19: every day of 22 years, as another calendar has it.
    #[test]
    fn another_calendar_has_the_same_workdays() {
        let (calendar, free) = (swedish(), free_days());
        let mut weekday = (0..7).cycle().skip(1); // 2019-01-01 was a Tuesday
        let mut days = 0;

        for day in every_day() {
            let by_others = free.contains_key(&day.to_string());
            let weekend = weekday.next().unwrap() >= 5;
            assert_eq!(calendar.is_workday(day), !by_others && !weekend, "{day}");
            days += 1;
        }

        assert_eq!(days, 8036);
        assert_eq!(every_day().last().unwrap().to_string(), "2040-12-31");
    }

    #[test]
    fn another_calendar_has_the_same_holidays() {
        let names = [
            (Holiday::NewYearsDay, "New Year's Day"),
            (Holiday::Epiphany, "Epiphany"),
            (Holiday::GoodFriday, "Good Friday"),
            (Holiday::EasterDay, "Easter Sunday"),
            (Holiday::EasterMonday, "Easter Monday"),
            (Holiday::MayDay, "May Day"),
            (Holiday::AscensionDay, "Ascension Day"),
            (Holiday::Whitsunday, "Pentecost"),
            (Holiday::NationalDay, "National Day"),
            (Holiday::MidsummerDay, "Midsummer Day"),
            (Holiday::AllSaintsDay, "All Saints' Day"),
            (Holiday::ChristmasDay, "Christmas Day"),
            (Holiday::SecondDayOfChristmas, "Second Day of Christmas"),
        ];
        let free = free_days();

        for day in every_day() {
            let others = free.get(&day.to_string());
            let others: Vec<&str> = others.map_or(vec![], |name| name.split("; ").collect());
            let own = holiday(day).map(|own| names.iter().find(|(h, _)| *h == own).unwrap().1);
            let is_eve = others.iter().all(|name| name.ends_with("Eve"));
            assert!(
                own.map_or(is_eve, |own| others.contains(&own)),
                "{day}: {own:?}, others {others:?}"
            );
        }
    }

    #[test]
    fn counts_workdays_over_holidays_and_weekends() {
        let day = |text: &str| {
            let parts: Vec<u16> = text.split('-').map(|part| part.parse().unwrap()).collect();
            Day::new(parts[0], parts[1].try_into().unwrap(), parts[2].try_into().unwrap()).unwrap()
        };
        let calendar = swedish();

        for (from, count, to) in [
            ("2026-11-23", 0, "2026-11-23"),
            ("2026-11-23", 5, "2026-11-30"),
            ("2026-04-02", 1, "2026-04-07"), // over Easter
            ("2026-06-18", 1, "2026-06-22"), // over Midsummer
            ("2026-12-23", 2, "2026-12-29"), // over Christmas
            ("2026-11-21", 1, "2026-11-23"), // from a Saturday
        ] {
            assert_eq!(calendar.add_workdays(day(from), count), day(to), "{from} + {count}");
        }
        assert_eq!(calendar.add_workdays(day("9999-12-30"), 9), day("9999-12-31"));
    }

    #[test]
    fn an_eve_is_free_only_where_the_calendar_says_so() {
        let eve = Day::new(2026, 12, 24).unwrap();

        assert_eq!(swedish().why_free(eve), Some(Free::Eve(Eve::Christmas)));
        assert!(Calendar::new([]).is_workday(eve));
    }
}
