//! Days of birth, and how old that makes somebody.

use std::fmt;

use super::{Field, IdentityError};
use crate::day::Day;

/// The day on which a person was born, from 1800 to 2199. Personal data: `Debug` shows no digit.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BirthDate {
    year: u16,
    month: u8,
    day: u8,
}

impl BirthDate {
    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    ///
    /// [`IdentityError::Form`] and [`IdentityError::Date`].
    pub fn parse(text: &str) -> Result<Self, IdentityError> {
        let field = Field::BirthDate;
        let form = IdentityError::Form { field, expected: "YYYY-MM-DD" };
        let plain = |part: &&str, length| {
            part.len() == length && part.bytes().all(|b: u8| b.is_ascii_digit())
        };
        let mut parts = text.split('-');
        let (year, month, day) = (parts.next(), parts.next(), parts.next());
        let (Some(year), Some(month), Some(day), None) = (
            year.filter(|part| plain(part, 4)),
            month.filter(|part| plain(part, 2)),
            day.filter(|part| plain(part, 2)),
            parts.next(),
        ) else {
            return Err(form);
        };
        let (Ok(year), Ok(month), Ok(day)) = (year.parse(), month.parse(), day.parse()) else {
            return Err(form);
        };
        Self::new(year, month, day).ok_or(IdentityError::Date { field })
    }

    /// The day of those numbers, if the Gregorian calendar has it.
    pub(super) fn new(year: u16, month: u8, day: u8) -> Option<Self> {
        let last = match month {
            4 | 6 | 9 | 11 => 30,
            2 if is_leap(year) => 29,
            2 => 28,
            1..=12 => 31,
            _ => 0,
        };
        let exists = (1800..=2199).contains(&year) && (1..=last).contains(&day);
        exists.then_some(Self { year, month, day })
    }

    /// Whole years of age on `day`; zero before birth.
    ///
    /// Somebody born on 29 February is a year older on 1 March where there is no 29th: nobody is
    /// taken to be of age a day early.
    #[must_use]
    pub fn age_on(self, day: Day) -> u16 {
        let (year, month, day) = day.year_month_day();
        let birthday_to_come = (month, day) < (self.month, self.day);
        year.saturating_sub(self.year).saturating_sub(u16::from(birthday_to_come))
    }
}

const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BirthDate")
    }
}

#[cfg(test)]
mod tests {
    use x509::time::UnixTime;

    use super::*;

    fn born(text: &str) -> BirthDate {
        BirthDate::parse(text).unwrap()
    }

    fn day(year: u16, month: u8, day: u8) -> Day {
        Day::containing(UnixTime::of_day(year, month, day).unwrap())
    }

    /// ISS-19: age rules turn on the day, not on the year.
    #[test]
    fn a_person_is_of_age_on_the_birthday_and_not_a_day_before() {
        let person = born("2008-11-22");

        assert_eq!(person.age_on(day(2026, 11, 21)), 17);
        assert_eq!(person.age_on(day(2026, 11, 22)), 18);
        assert_eq!(person.age_on(day(2027, 1, 1)), 18);
        assert_eq!(born("1912-12-12").age_on(day(2026, 12, 12)), 114);
        assert_eq!(born("2030-01-01").age_on(day(2026, 1, 1)), 0);
    }

    #[test]
    fn a_birthday_on_29_february_falls_on_1_march_in_other_years() {
        let person = born("2008-02-29");

        assert_eq!(person.age_on(day(2026, 2, 28)), 17);
        assert_eq!(person.age_on(day(2026, 3, 1)), 18);
        assert_eq!(person.age_on(day(2028, 2, 28)), 19);
        assert_eq!(person.age_on(day(2028, 2, 29)), 20);
    }

    #[test]
    fn refuses_days_that_are_none_and_other_spellings() {
        for text in
            ["2023-02-29", "1900-02-29", "2026-04-31", "2026-00-10", "2026-13-01", "1799-12-31"]
        {
            assert!(matches!(BirthDate::parse(text), Err(IdentityError::Date { .. })), "{text}");
        }
        for text in [
            "",
            "20260101",
            "2026-1-1",
            "+026-01-01",
            "2026-01-01Z",
            "2026-01-01-01",
            "２０２６-01-01",
        ] {
            assert!(matches!(BirthDate::parse(text), Err(IdentityError::Form { .. })), "{text}");
        }
        assert!(BirthDate::parse("2000-02-29").is_ok());
    }

    #[test]
    fn shows_no_digit() {
        assert_eq!(format!("{:?}", born("1912-12-12")), "BirthDate");
    }
}
