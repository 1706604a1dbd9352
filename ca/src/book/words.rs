//! What several files of the book say in the same words: days from and to, trust levels.

use std::fmt;

use thiserror::Error;

use crate::day::Day;
use crate::identity::Days;
use crate::profile::TrustLevel;

/// From the first day to the last; without a last day, until further notice.
///
/// # Errors
///
/// [`NoDays`]: the last day lies before the first.
pub(crate) fn days(from: Day, until: Option<Day>) -> Result<Days, NoDays> {
    match until {
        Some(until) if until < from => Err(NoDays { from, until }),
        _ => Ok(Days { from, until }),
    }
}

/// Whether two periods have a day in common.
pub(crate) fn overlap(one: Days, other: Days) -> bool {
    one.until.is_none_or(|until| other.from <= until)
        && other.until.is_none_or(|until| one.from <= until)
}

/// The days in words: `2026-06-01 to 2026-06-30`, `from 2026-06-01`.
pub(crate) fn spoken(days: Days) -> String {
    match days.until {
        Some(until) => format!("{} to {until}", days.from),
        None => format!("from {}", days.from),
    }
}

/// The last day lies before the first.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("its last day {until} lies before its first, {from}")]
pub struct NoDays {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub until: Day,
}

impl TrustLevel {
    /// The word for it in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loa2 => "loa2",
            Self::Loa3 => "loa3",
        }
    }

    /// Its number, as people say it.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Loa2 => 2,
            Self::Loa3 => 3,
        }
    }

    /// The level of a number; `None` for what is none of ours.
    #[must_use]
    pub const fn of_number(number: u8) -> Option<Self> {
        match number {
            2 => Some(Self::Loa2),
            3 => Some(Self::Loa3),
            _ => None,
        }
    }
}

impl fmt::Display for TrustLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: u8) -> Day {
        Day::containing(x509::time::UnixTime::of_day(2026, 6, day).unwrap())
    }

    #[test]
    fn periods_overlap_when_they_share_a_day() {
        let (early, late) = (days(day(1), Some(day(15))).unwrap(), days(day(15), None).unwrap());
        let later = days(day(16), Some(day(20))).unwrap();

        assert!(overlap(early, late) && overlap(late, early));
        assert!(!overlap(early, later) && !overlap(later, early));
        assert!(overlap(late, later));
        assert!(days(day(2), Some(day(1))).is_err());
    }
}
