//! A day as policies and configurations write it: `2028-12-31`, in UTC.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};
use thiserror::Error;
use toml::value::Datetime;
use x509::time::UnixTime;

/// A day of the calendar, UTC, from 1970 to 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(UnixTime);

/// Seconds of a day.
const DAY: std::time::Duration = std::time::Duration::from_secs(86_400);

impl Day {
    /// The day that a time falls on.
    #[must_use]
    pub fn containing(time: UnixTime) -> Self {
        Self(time.saturating_sub(std::time::Duration::from_secs(time.secs() % DAY.as_secs())))
    }

    /// The day of those numbers; `None` where the calendar has no such day from 1970 to 9999.
    #[must_use]
    pub fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        UnixTime::of_day(year, month, day).ok().map(Self)
    }

    /// Year, month from 1 and day from 1.
    #[must_use]
    pub fn year_month_day(self) -> (u16, u8, u8) {
        // A day is made from a time of the calendar, so that the first arm is the only one.
        self.0.to_date_time().map_or((1970, 1, 1), |at| (at.year(), at.month(), at.day()))
    }

    /// Its first second.
    #[must_use]
    pub const fn begin(self) -> UnixTime {
        self.0
    }

    /// The first second after it; the last that X.509 can write after the last day of 9999.
    #[must_use]
    pub fn end(self) -> UnixTime {
        self.0.checked_add(DAY).unwrap_or(UnixTime::LAST)
    }
}

impl fmt::Display for Day {
    /// As it was written.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0.to_string();
        f.write_str(time.split_once('T').map_or(time.as_str(), |(day, _)| day))
    }
}

impl FromStr for Day {
    type Err = NoDay;

    /// As it is written: `2028-12-31`.
    fn from_str(text: &str) -> Result<Self, NoDay> {
        let mut parts = text.split('-');
        let mut number = || parts.next()?.parse::<u16>().ok();
        let read = number().zip(number()).zip(number()).and_then(|((year, month), day)| {
            Self::new(year, month.try_into().ok()?, day.try_into().ok()?)
        });
        // One spelling a day.
        read.filter(|day| day.to_string() == text).ok_or(NoDay)
    }
}

/// The text is no day.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("not a day such as 2028-12-31, from 1970 to 9999")]
pub struct NoDay;

impl<'de> Deserialize<'de> for Day {
    /// A date of TOML without a time.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Datetime::deserialize(deserializer)?;
        let refused = |why: &dyn fmt::Display| {
            serde::de::Error::custom(format!("{found} is no day such as 2028-12-31: {why}"))
        };
        let Datetime { date: Some(date), time: None, offset: None } = found else {
            return Err(refused(&"it has a time"));
        };
        UnixTime::of_day(date.year, date.month, date.day).map(Self).map_err(|error| refused(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        day: Day,
    }

    fn read(text: &str) -> Result<Day, toml::de::Error> {
        toml::from_str(&format!("day = {text}")).map(|file: File| file.day)
    }

    #[test]
    fn a_day_lasts_from_midnight_to_midnight() {
        let day = read("2028-12-31").unwrap();

        assert_eq!(day.to_string(), "2028-12-31");
        assert_eq!(day.year_month_day(), (2028, 12, 31));
        assert_eq!(Day::new(2028, 12, 31), Some(day));
        assert_eq!(Day::new(2027, 2, 29), None);
        assert_eq!(day.begin().to_string(), "2028-12-31T00:00:00Z");
        assert_eq!(day.end().to_string(), "2029-01-01T00:00:00Z");
        assert_eq!(read("9999-12-31").unwrap().end(), UnixTime::LAST);
    }

    #[test]
    fn a_day_reads_back_in_its_one_spelling() {
        assert_eq!("2028-02-29".parse(), Ok(Day::new(2028, 2, 29).unwrap()));
        for text in [
            "2027-02-29",
            "2028-2-29",
            "2028-02-29 ",
            "28-02-29",
            "2028-02-29-1",
            "+2028-02-29",
            "1969-12-31",
            "",
        ] {
            assert_eq!(text.parse::<Day>(), Err(NoDay), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_a_day() {
        for text in [
            "2028-12-31T00:00:00Z",
            "12:00:00",
            "2027-02-29",
            "1969-12-31",
            "\"2028-12-31\"",
            "2028",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
