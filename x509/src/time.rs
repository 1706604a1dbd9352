//! Points in time as whole seconds, and their X.509 spellings.

use std::fmt;
use std::time::Duration;

use der::DateTime;
use thiserror::Error;

/// A point in time: whole seconds since 1970-01-01T00:00:00Z, UTC, no leap seconds.
///
/// Never past 9999-12-31T23:59:59Z, which is the last second GeneralizedTime can write
/// (RFC 5280 §4.1.2.5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(u64);

/// 9999-12-31T23:59:59Z, the "no well-defined expiry" of RFC 5280 §4.1.2.5.
const LAST_SECOND: u64 = 253_402_300_799;

impl UnixTime {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59Z: the last second that X.509 can write.
    pub const LAST: Self = Self(LAST_SECOND);

    /// Takes whole seconds since 1970, UTC.
    ///
    /// # Errors
    ///
    /// [`TimeError::OutOfRange`] after the year 9999.
    pub const fn from_secs(secs: u64) -> Result<Self, TimeError> {
        if secs > LAST_SECOND {
            return Err(TimeError::OutOfRange { secs });
        }
        Ok(Self(secs))
    }

    /// The first second of a day of the calendar, UTC.
    ///
    /// # Errors
    ///
    /// [`TimeError::NoSuchDay`] where the calendar has no such day since 1970.
    pub fn of_day(year: u16, month: u8, day: u8) -> Result<Self, TimeError> {
        DateTime::new(year, month, day, 0, 0, 0).map(Self::from).map_err(|_| TimeError::NoSuchDay {
            year,
            month,
            day,
        })
    }

    /// Whole seconds since 1970, UTC.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// This time plus `span`; parts of a second are dropped. `None` after the year 9999.
    #[must_use]
    pub const fn checked_add(self, span: Duration) -> Option<Self> {
        match self.0.checked_add(span.as_secs()) {
            Some(secs) if secs <= LAST_SECOND => Some(Self(secs)),
            _ => None,
        }
    }

    /// The same second of the day `years` later; of 29 February, 28 February where the year has no
    /// such day. `None` after the year 9999.
    #[must_use]
    pub fn checked_add_years(self, years: u16) -> Option<Self> {
        let from = self.to_date_time().ok()?;
        let year = from.year().checked_add(years)?;
        let on = |day| {
            let (hour, minute, second) = (from.hour(), from.minutes(), from.seconds());
            DateTime::new(year, from.month(), day, hour, minute, second).map(Self::from)
        };
        on(from.day()).or_else(|_| on(28)).ok()
    }

    /// This time minus `span`, not before 1970; parts of a second are dropped.
    #[must_use]
    pub const fn saturating_sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span.as_secs()))
    }

    /// How long `self` is after `earlier`; zero when it is not.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }

    /// The same second in the ASN.1 library's calendar type.
    ///
    /// # Errors
    ///
    /// [`TimeError::OutOfRange`], which cannot happen for a value made by this type.
    pub fn to_date_time(self) -> Result<DateTime, TimeError> {
        DateTime::from_unix_duration(Duration::from_secs(self.0))
            .map_err(|_| TimeError::OutOfRange { secs: self.0 })
    }
}

impl From<DateTime> for UnixTime {
    fn from(value: DateTime) -> Self {
        Self(value.unix_duration().as_secs().min(LAST_SECOND))
    }
}

impl fmt::Display for UnixTime {
    /// RFC 3339 in UTC, such as `2026-11-21T22:27:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_date_time() {
            Ok(t) => write!(f, "{t}"),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}

/// Why a number is not a time that X.509 can write.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeError {
    /// The calendar has no such day, or it lies before 1970.
    #[error("{year:04}-{month:02}-{day:02} is no day since 1970")]
    NoSuchDay {
        /// The year.
        year: u16,
        /// The month, from 1.
        month: u8,
        /// The day, from 1.
        day: u8,
    },
    /// GeneralizedTime has four digits for the year.
    #[error("{secs} seconds since 1970 lie after the year 9999")]
    OutOfRange {
        /// The seconds that were given.
        secs: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_rfc_3339() {
        let t = UnixTime::from_secs(2_524_607_999).unwrap();

        assert_eq!(t.to_string(), "2049-12-31T23:59:59Z");
    }

    #[test]
    fn years_are_those_of_the_calendar() {
        let second = |year, month, day| {
            UnixTime::of_day(year, month, day)
                .unwrap()
                .checked_add(Duration::from_secs(45_296))
                .unwrap()
        };
        for ((from, years), to) in [
            (((2025, 9, 29), 2), (2027, 9, 29)),
            (((2027, 12, 31), 1), (2028, 12, 31)),
            (((2028, 2, 29), 2), (2030, 2, 28)),
            (((2028, 2, 29), 4), (2032, 2, 29)),
            (((2096, 2, 29), 4), (2100, 2, 28)),
            (((2026, 3, 1), 5), (2031, 3, 1)),
        ] {
            let (from, to): ((u16, u8, u8), (u16, u8, u8)) = (from, to);
            let later = second(from.0, from.1, from.2).checked_add_years(years);
            assert_eq!(later, Some(second(to.0, to.1, to.2)), "{from:?} and {years} years");
        }
        assert_eq!(second(9_999, 1, 1).checked_add_years(1), None);
        assert_eq!(UnixTime::EPOCH.checked_add_years(u16::MAX), None);
    }

    #[test]
    fn a_day_begins_at_midnight_and_is_in_the_calendar() {
        let day = UnixTime::of_day(2028, 2, 29).unwrap();

        assert_eq!(day.to_string(), "2028-02-29T00:00:00Z");
        for (year, month, day) in [(2027, 2, 29), (2027, 13, 1), (2027, 4, 0), (1969, 12, 31)] {
            let refused = UnixTime::of_day(year, month, day);
            assert_eq!(refused, Err(TimeError::NoSuchDay { year, month, day }));
        }
    }

    #[test]
    fn refuses_the_year_10000() {
        assert!(UnixTime::from_secs(LAST_SECOND).is_ok());
        assert_eq!(
            UnixTime::from_secs(LAST_SECOND + 1),
            Err(TimeError::OutOfRange { secs: LAST_SECOND + 1 })
        );
        assert_eq!(UnixTime::LAST.checked_add(Duration::from_secs(1)), None);
    }
}
