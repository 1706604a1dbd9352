//! Stockholm's clock.
//!
//! The European Union's rule for summer time is written as a POSIX zone, so that nothing depends on the
//! time zone files of a machine: last Sunday of March and of October, 01:00 UTC (directive
//! 2000/84/EC; förordning (2001:127) om sommartid). Should the rule change, this line does.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use x509::time::UnixTime;

use super::{date_of, day_of};
use crate::day::Day;

#[expect(clippy::expect_used, reason = "a constant; every test of this file reads it")]
static ZONE: LazyLock<TimeZone> =
    LazyLock::new(|| TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a POSIX zone"));

/// What calendar and clock show in Stockholm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Local {
    /// The day.
    pub day: Day,
    /// The time of day.
    pub time: TimeOfDay,
}

/// What Stockholm's calendar and clock show at `at`; of times after 9999-12-30T22:00Z, at that second.
#[must_use]
pub fn local(at: UnixTime) -> Local {
    let shown = ZONE.to_datetime(timestamp(at));
    let part = |number: i8| u32::try_from(number).unwrap_or(0);
    let seconds = part(shown.hour()) * 3_600 + part(shown.minute()) * 60 + part(shown.second());
    let day = day_of(shown.date()).unwrap_or_else(|| Day::containing(at));
    Local { day, time: TimeOfDay(seconds) }
}

/// The first second after `day` in Stockholm.
#[must_use]
pub fn first_second_after(day: Day) -> UnixTime {
    let midnight = date_of(day).tomorrow().ok().and_then(|next| {
        let zoned = next.to_zoned(ZONE.clone()).ok()?;
        UnixTime::from_secs(zoned.timestamp().as_second().try_into().ok()?).ok()
    });
    midnight.unwrap_or(UnixTime::LAST)
}

fn timestamp(at: UnixTime) -> Timestamp {
    let seconds = i64::try_from(at.secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).unwrap_or(Timestamp::MAX)
}

/// A time of day, to the second; 24:00 is the end of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u32);

impl TimeOfDay {
    /// 00:00:00.
    pub const MIDNIGHT: Self = Self(0);
    /// 24:00:00, which no clock shows.
    pub const END: Self = Self(86_400);

    /// How long after midnight, on a day of 24 hours.
    #[must_use]
    pub fn after_midnight(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl FromStr for TimeOfDay {
    type Err = NoTimeOfDay;

    /// Reads `09:00`, `15:00:59` or `24:00`.
    fn from_str(text: &str) -> Result<Self, NoTimeOfDay> {
        let refused = || NoTimeOfDay { found: text.chars().take(20).collect() };
        let numbers: Vec<u32> = text
            .split(':')
            .map(|part| {
                let plain = part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit());
                part.parse().ok().filter(|_| plain)
            })
            .collect::<Option<_>>()
            .ok_or_else(refused)?;
        match numbers.as_slice() {
            [24, 0] => Ok(Self::END),
            [hour @ 0..=23, minute @ 0..=59] => Ok(Self(hour * 3_600 + minute * 60)),
            [hour @ 0..=23, minute @ 0..=59, second @ 0..=59] => {
                Ok(Self(hour * 3_600 + minute * 60 + second))
            }
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for TimeOfDay {
    /// `09:00:00`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}", self.0 / 3_600, self.0 / 60 % 60, self.0 % 60)
    }
}

/// A text is no time of day.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{found:?} is no time of day such as 09:00, 15:00:59 or 24:00")]
pub struct NoTimeOfDay {
    found: String,
}

#[cfg(test)]
mod tests {
    use super::super::tests::offsets;
    use super::*;

    fn shown(at: UnixTime) -> String {
        let Local { day, time } = local(at);
        format!("{day}T{time}")
    }

    /// The time zone database, read by another program: every change of the clock of 22 years, a
    /// second before and after, and noon of every day.
    #[test]
    fn the_time_zone_database_has_the_same_clock() {
        let offsets = offsets();
        let (first, last) = (offsets[0].0, 2_240_611_200); // 2041-01-01
        let offset_at = |second| {
            offsets
                .iter()
                .rev()
                .find(|(from, _)| *from <= second)
                .map(|(_, offset)| *offset)
                .unwrap()
        };
        let around = offsets[1..].iter().flat_map(|(from, _)| [from - 1, *from, from + 1]);
        let noons = (first + 43_200..last).step_by(86_400);

        let mut seen = 0;
        for second in around.chain(noons) {
            let ahead = UnixTime::from_secs(second + offset_at(second)).unwrap();
            let at = UnixTime::from_secs(second).unwrap();
            assert_eq!(shown(at), ahead.to_string().trim_end_matches('Z'), "{at}");
            seen += 1;
        }

        assert_eq!((offsets.len(), seen), (45, 44 * 3 + 8036));
    }

    #[test]
    fn a_day_ends_at_midnight_in_stockholm() {
        let end = |year, month, day| first_second_after(Day::new(year, month, day).unwrap());

        assert_eq!(end(2026, 6, 30).to_string(), "2026-06-30T22:00:00Z");
        assert_eq!(end(2026, 3, 31).to_string(), "2026-03-31T22:00:00Z");
        assert_eq!(end(2025, 11, 30).to_string(), "2025-11-30T23:00:00Z");
        // 23 and 25 hours long.
        assert_eq!(end(2026, 3, 29).since(end(2026, 3, 28)), Duration::from_secs(23 * 3_600));
        assert_eq!(end(2026, 10, 25).since(end(2026, 10, 24)), Duration::from_secs(25 * 3_600));
        assert_eq!(end(9999, 12, 31), UnixTime::LAST);
        assert_eq!(shown(UnixTime::LAST), "9999-12-30T23:00:00");
        assert_eq!(shown(UnixTime::EPOCH), "1970-01-01T01:00:00");
    }

    #[test]
    fn reads_times_of_day_and_nothing_else() {
        let read = |text: &str| text.parse::<TimeOfDay>();

        assert_eq!(read("15:01").unwrap().to_string(), "15:01:00");
        assert_eq!(read("08:59:59").unwrap().to_string(), "08:59:59");
        assert_eq!(read("24:00"), Ok(TimeOfDay::END));
        assert_eq!(read("00:00").unwrap().after_midnight(), Duration::ZERO);
        for text in [
            "",
            "9:00",
            "09",
            "24:01",
            "25:00",
            "09:60",
            "09:00:60",
            "09:00:00:00",
            "+9:00",
            "09.00",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
