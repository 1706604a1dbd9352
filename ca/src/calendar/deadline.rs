//! Spans within which something must have been done (*frist*), and when they end.
//!
//! The day on which a span begins does not count, and its last day counts whole, in Stockholm. These are terms of
//! an issuer and no times of law, so that a last day that is free is not moved (lag 1930:173 2 § is about others);
//! who wants that says working days.

use std::fmt;

use jiff::ToSpan as _;
use x509::time::UnixTime;

use super::{Calendar, date_of, day_of, first_second_after, local};
use crate::day::Day;

/// A span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// So many days of the calendar.
    Days(u16),
    /// So many working days.
    WorkingDays(u16),
    /// So many months: to the day of the same number, or to the last one of a month that has no such day.
    Months(u16),
}

impl Deadline {
    /// Reads what a file says: `14 days` or `5 working-days`, 1 to 400, or `3 months`, 1 to 60; `None` for
    /// anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_once(' ')?;
        let number: u16 = number.parse().ok().filter(|number| *number > 0)?;
        match unit {
            "days" if number <= 400 => Some(Self::Days(number)),
            "working-days" if number <= 400 => Some(Self::WorkingDays(number)),
            "months" if number <= 60 => Some(Self::Months(number)),
            _ => None,
        }
    }

    /// The last day of the span that begins at `from`, in Stockholm; the calendar's last day past its end.
    #[must_use]
    pub fn last_day(self, from: UnixTime, calendar: &Calendar) -> Day {
        let first = local(from).day;
        let span = match self {
            Self::WorkingDays(count) => return calendar.add_workdays(first, count.into()),
            Self::Days(count) => i64::from(count).days(),
            Self::Months(count) => i64::from(count).months(),
        };
        day_of(date_of(first).saturating_add(span)).unwrap_or(first)
    }

    /// The first second at which the span is over.
    #[must_use]
    pub fn ends(self, from: UnixTime, calendar: &Calendar) -> UnixTime {
        first_second_after(self.last_day(from, calendar))
    }
}

impl fmt::Display for Deadline {
    /// As files write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Days(count) => write!(f, "{count} days"),
            Self::WorkingDays(count) => write!(f, "{count} working-days"),
            Self::Months(count) => write!(f, "{count} months"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::tests::swedish;

    /// What another reckoning says (`calendar/deadlines.py`).
    const OTHERS: &str = include_str!("deadlines.tsv");

    fn at(text: &str) -> UnixTime {
        UnixTime::from_secs(text.parse().unwrap()).unwrap()
    }

    /// ISS-15: 5 working days, 14 days, 100 days and 3 months, to the second, from hours by day and by night of ten
    /// years: over Easter, midsummer and Christmas, the change of the clock, leap days and the ends of short months.
    #[test]
    fn another_reckoning_has_the_same_last_days_and_ends() {
        let calendar = swedish();
        let mut compared = 0;
        for line in OTHERS.lines().filter(|line| !line.starts_with('#')) {
            let [from, span, day, end] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let deadline = Deadline::parse(span).unwrap();
            let found =
                (deadline.last_day(at(from), &calendar), deadline.ends(at(from), &calendar));

            assert_eq!((found.0.to_string().as_str(), found.1), (day, at(end)), "{line}");
            compared += 1;
        }
        assert!(compared > 1_000, "{compared}");
    }

    #[test]
    fn a_span_reads_back_as_files_write_it() {
        for text in ["14 days", "400 days", "5 working-days", "1 months", "60 months"] {
            assert_eq!(Deadline::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["0 days", "401 days", "401 working-days", "61 months", "-1 days", "3", "3 weeks", ""]
        {
            assert_eq!(Deadline::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_end_of_the_calendar_is_an_end() {
        let last = Deadline::Months(60).last_day(UnixTime::LAST, &swedish());
        assert_eq!(last.to_string(), "9999-12-31");
    }
}
