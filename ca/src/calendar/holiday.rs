//! The general holidays of Sweden: lag (1989:253) om allmänna helgdagar, as it reads since 1 April
//! 2005 (2004:1320); and the eves that lag (1930:173) 2 § names beside them.

use jiff::civil::{Date, Weekday};
use serde::Deserialize;

use super::date_of;
use crate::day::Day;

/// A general holiday that has a name (1 §). Every Sunday is one too, by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holiday {
    /// Nyårsdagen, 1 January.
    NewYearsDay,
    /// Trettondedag jul, 6 January.
    Epiphany,
    /// Långfredagen, the Friday before Easter Day.
    GoodFriday,
    /// Påskdagen, the Sunday after the full moon on or after 21 March.
    EasterDay,
    /// Annandag påsk, the day after Easter Day.
    EasterMonday,
    /// Första maj.
    MayDay,
    /// Kristi himmelsfärdsdag, the sixth Thursday after Easter Day.
    AscensionDay,
    /// Pingstdagen, the seventh Sunday after Easter Day.
    Whitsunday,
    /// Nationaldagen, 6 June.
    NationalDay,
    /// Midsommardagen, the Saturday from 20 to 26 June.
    MidsummerDay,
    /// Alla helgons dag, the Saturday from 31 October to 6 November.
    AllSaintsDay,
    /// Juldagen, 25 December.
    ChristmasDay,
    /// Annandag jul, 26 December.
    SecondDayOfChristmas,
}

/// The named holiday that `day` is (2 §). Where two fall on one day, that of the fixed date.
#[must_use]
pub fn holiday(day: Day) -> Option<Holiday> {
    let date = date_of(day);
    let saturday = date.weekday() == Weekday::Saturday;
    match (date.month(), date.day()) {
        (1, 1) => Some(Holiday::NewYearsDay),
        (1, 6) => Some(Holiday::Epiphany),
        (5, 1) => Some(Holiday::MayDay),
        (6, 6) => Some(Holiday::NationalDay),
        (6, 20..=26) if saturday => Some(Holiday::MidsummerDay),
        (10, 31) | (11, 1..=6) if saturday => Some(Holiday::AllSaintsDay),
        (12, 25) => Some(Holiday::ChristmasDay),
        (12, 26) => Some(Holiday::SecondDayOfChristmas),
        (3..=6, _) => of_easter(date),
        _ => None,
    }
}

fn of_easter(date: Date) -> Option<Holiday> {
    let easter = easter_day(date.year())?;
    match (date - easter).get_days() {
        -2 => Some(Holiday::GoodFriday),
        0 => Some(Holiday::EasterDay),
        1 => Some(Holiday::EasterMonday),
        39 => Some(Holiday::AscensionDay),
        49 => Some(Holiday::Whitsunday),
        _ => None,
    }
}

/// Easter Day of the Gregorian calendar (Meeus, *Astronomical Algorithms*, chapter 8).
fn easter_day(year: i16) -> Option<Date> {
    let wide = i32::from(year);
    let golden = wide % 19;
    let (century, in_century) = (wide / 100, wide % 100);
    let (leap_centuries, century_rest) = (century / 4, century % 4);
    let moon_shift = (century - (century + 8) / 25 + 1) / 3;
    let epact = (19 * golden + century - leap_centuries - moon_shift + 15) % 30;
    let (leap_years, year_rest) = (in_century / 4, in_century % 4);
    let to_sunday = (32 + 2 * century_rest + 2 * leap_years - epact - year_rest) % 7;
    let late = (golden + 11 * epact + 22 * to_sunday) / 451;
    let days_after = epact + to_sunday - 7 * late + 114;
    let (month, day) = (days_after / 31, days_after % 31 + 1);
    Date::new(year, month.try_into().ok()?, day.try_into().ok()?).ok()
}

/// An eve that may count as a free day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Eve {
    /// Julafton, 24 December.
    #[serde(rename = "christmas-eve")]
    Christmas,
    /// Midsommarafton, the day before Midsummer Day.
    #[serde(rename = "midsummer-eve")]
    Midsummer,
    /// Nyårsafton, 31 December.
    #[serde(rename = "new-years-eve")]
    NewYear,
}

impl Eve {
    /// The eve that `day` is.
    #[must_use]
    pub fn of(day: Day) -> Option<Self> {
        let date = date_of(day);
        match (date.month(), date.day()) {
            (6, 19..=25) if date.weekday() == Weekday::Friday => Some(Self::Midsummer),
            (12, 24) => Some(Self::Christmas),
            (12, 31) => Some(Self::NewYear),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan as _;

    use super::*;

    /// Days of Easter from published tables, the earliest and the latest possible among them.
    #[test]
    fn easter_falls_where_the_tables_have_it() {
        for (year, month, day) in [
            (1818, 3, 22),
            (1886, 4, 25),
            (1943, 4, 25),
            (2000, 4, 23),
            (2008, 3, 23),
            (2019, 4, 21),
            (2026, 4, 5),
            (2038, 4, 25),
            (2285, 3, 22),
        ] {
            assert_eq!(easter_day(year), Date::new(year, month, day).ok(), "{year}");
        }
    }

    /// The sixth Thursday and the seventh Sunday after Easter Day, counted out.
    #[test]
    fn ascension_and_whitsun_are_counted_from_easter() {
        for year in 1970..=2199 {
            let easter = easter_day(year).unwrap();
            let thursdays = (1..60).map(|n| easter + n.days());
            let sixth = thursdays.filter(|date| date.weekday() == Weekday::Thursday).nth(5);
            let sundays = (1..60).map(|n| easter + n.days());
            let seventh = sundays.filter(|date| date.weekday() == Weekday::Sunday).nth(6);

            assert_eq!(easter.weekday(), Weekday::Sunday, "{year}");
            assert_eq!(of_easter(sixth.unwrap()), Some(Holiday::AscensionDay), "{year}");
            assert_eq!(of_easter(seventh.unwrap()), Some(Holiday::Whitsunday), "{year}");
        }
    }
}
