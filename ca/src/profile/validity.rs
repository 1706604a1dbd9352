//! From when until when certificates of a profile are valid, as reviewers write it.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use x509::time::UnixTime;

/// Seconds of a day.
const DAY: u64 = 86_400;
/// A day.
const ONE_DAY: Duration = Duration::from_secs(DAY);
/// Five years: every five years in a row have at least 1826 days (ISS-09; 2096-2104 apart).
const FIVE_YEARS: Duration = Duration::from_secs(1_826 * DAY);

/// How long a certificate lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifetime {
    /// So many seconds, notBefore and notAfter included (RFC 5280 §4.1.2.5).
    Seconds(Duration),
    /// So many years of the calendar.
    Years(u16),
}

/// The second of the day at which certificates end, UTC, counted from midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondOfDay(u32);

/// Whether an end is moved forth or back to its second of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    /// Back: the last such second in the lifetime.
    Down,
    /// Forth: the first such second after the lifetime.
    Up,
}

/// What ends a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndOf {
    /// Its lifetime, unless an earlier end is named.
    Lifetime,
    /// The end that its order names, within the lifetime.
    Order,
}

/// What happens when the end of validity would lie after that of the issuer, or of the carrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PastEnd {
    /// It is refused.
    Refuse,
    /// It ends with it.
    Cap,
}

/// How long certificates are valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ValidityRule {
    /// What ends them.
    pub end_of: EndOf,
    /// From notBefore on, at most.
    pub lifetime: Lifetime,
    /// The second of the day on which they end, if there is one, and how they get there.
    pub ends_at: Option<(SecondOfDay, Round)>,
    /// How long before issuing notBefore lies; at most an hour (ISS-08).
    pub backdate: Duration,
    /// What happens at the issuer's end.
    pub past_issuer: PastEnd,
    /// What happens at the end of the carrier's life; left out, it ends with its carrier.
    pub past_carrier: Option<PastEnd>,
}

impl ValidityRule {
    /// The last second that a certificate may have whose first one is `not_before`. `None` where it lies after
    /// the year 9999, or where nothing is left of it.
    #[must_use]
    pub fn end(&self, not_before: UnixTime) -> Option<UnixTime> {
        let whole = match self.lifetime {
            Lifetime::Seconds(lifetime) => not_before.checked_add(lifetime)?,
            Lifetime::Years(years) => not_before.checked_add_years(years)?,
        };
        // Both ends are inside the period.
        let last = whole.secs().checked_sub(1)?;
        let last = match self.ends_at {
            None => last,
            Some((SecondOfDay(second), round)) => {
                let behind = (last % DAY + DAY - u64::from(second)) % DAY;
                match round {
                    Round::Down => last.checked_sub(behind)?,
                    Round::Up => last.checked_add((DAY - behind) % DAY)?,
                }
            }
        };
        UnixTime::from_secs(last).ok().filter(|last| *last >= not_before)
    }

    /// Whether a certificate may last from this second to that one.
    #[must_use]
    pub fn allows(&self, not_before: UnixTime, not_after: UnixTime) -> bool {
        let latest = self.end(not_before);
        match self.end_of {
            EndOf::Lifetime if self.ends_with_issuer() => {
                latest.is_some_and(|latest| (not_before..=latest).contains(&not_after))
            }
            EndOf::Lifetime => latest == Some(not_after),
            EndOf::Order => latest.is_some_and(|latest| (not_before..=latest).contains(&not_after)),
        }
    }

    /// Whether a certificate ends with its issuer, whatever the issuer's life: none lives for 99 years.
    #[must_use]
    pub fn ends_with_issuer(&self) -> bool {
        let is_of_no_issuer = self.lifetime == Lifetime::Years(99) && self.ends_at.is_none();
        is_of_no_issuer && self.past_issuer == PastEnd::Cap
    }

    /// No certificate lives longer than this, its first and last second included.
    #[must_use]
    pub fn longest(&self) -> Duration {
        let most = match self.lifetime {
            Lifetime::Seconds(lifetime) => lifetime,
            Lifetime::Years(years) => {
                let years = u64::from(years);
                Duration::from_secs((years * 365 + years.div_ceil(4)) * DAY)
            }
        };
        match self.ends_at {
            Some((_, Round::Up)) => most.saturating_add(ONE_DAY),
            _ => most,
        }
    }

    /// Every certificate lives at least this long, unless its issuer ends before it.
    pub(super) fn shortest(&self) -> Duration {
        let least = match self.lifetime {
            Lifetime::Seconds(lifetime) => lifetime,
            Lifetime::Years(years) => ONE_DAY.saturating_mul(u32::from(years) * 365),
        };
        match self.ends_at {
            Some((_, Round::Down)) => least.saturating_sub(ONE_DAY),
            _ => least,
        }
    }

    /// Whether no certificate lives longer than five years of the calendar (ISS-09).
    pub(super) fn is_within_five_years(&self) -> bool {
        let rounded_up = matches!(self.ends_at, Some((_, Round::Up)));
        match self.lifetime {
            Lifetime::Years(years) if !rounded_up => years <= 5,
            _ => self.longest() <= FIVE_YEARS,
        }
    }
}

impl Lifetime {
    /// Reads `2y`, or a number of days, hours, minutes or seconds as in [`duration`](super::duration).
    pub(super) fn parse(text: &str) -> Option<Self> {
        let Some(years) = text.strip_suffix('y') else {
            return super::duration::parse(text).map(Self::Seconds);
        };
        let plain = years.bytes().all(|octet| octet.is_ascii_digit());
        years.parse().ok().filter(|years| plain && (1..=1_000).contains(years)).map(Self::Years)
    }
}

impl fmt::Display for Lifetime {
    /// As profiles write it, in the largest unit that leaves nothing over.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = match self {
            Self::Years(years) => return write!(f, "{years}y"),
            Self::Seconds(lifetime) => lifetime.as_secs(),
        };
        let units = [(DAY, "d"), (3_600, "h"), (60, "m")];
        let (size, unit) =
            units.into_iter().find(|(size, _)| seconds % size == 0).unwrap_or((1, "s"));
        write!(f, "{}{unit}", seconds / size)
    }
}

impl SecondOfDay {
    /// Seconds since midnight.
    #[must_use]
    pub const fn secs(self) -> u32 {
        self.0
    }

    /// Reads `21:50:00Z`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.strip_suffix('Z')?.split(':').collect();
        let [hour, minute, second] = parts[..] else { return None };
        let number = |text: &str, below: u32| {
            let plain = text.len() == 2 && text.bytes().all(|octet| octet.is_ascii_digit());
            text.parse().ok().filter(|number| plain && *number < below)
        };
        let (hour, minute, second): (u32, u32, u32) =
            (number(hour, 24)?, number(minute, 60)?, number(second, 60)?);
        Some(Self(hour * 3_600 + minute * 60 + second))
    }
}

impl fmt::Display for SecondOfDay {
    /// As profiles write it: `21:50:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}:{:02}Z", self.0 / 3_600, self.0 / 60 % 60, self.0 % 60)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Down => "down",
            Self::Up => "up",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(lifetime: &str, ends_at: Option<(&str, Round)>) -> ValidityRule {
        ValidityRule {
            end_of: EndOf::Lifetime,
            lifetime: Lifetime::parse(lifetime).unwrap(),
            ends_at: ends_at.map(|(text, round)| (SecondOfDay::parse(text).unwrap(), round)),
            backdate: Duration::from_mins(5),
            past_issuer: PastEnd::Refuse,
            past_carrier: None,
        }
    }

    fn day(year: u16, month: u8, day: u8, second: u64) -> UnixTime {
        let midnight = UnixTime::of_day(year, month, day).unwrap();
        midnight.checked_add(Duration::from_secs(second)).unwrap()
    }

    /// The ends that the real function certificates of 2023 and 2025 have for their beginnings.
    #[test]
    fn ends_as_the_real_function_certificates_do() {
        let rule = rule("2y", Some(("21:50:00Z", Round::Up)));

        for (begin, end) in [
            ((2025, 9, 29, "09:26:38Z"), "2027-09-29T21:50:00Z"),
            ((2023, 12, 18, "16:59:57Z"), "2025-12-18T21:50:00Z"),
            // The second itself is inside; one later is the next day's.
            ((2026, 3, 1, "21:50:01Z"), "2028-03-01T21:50:00Z"),
            ((2026, 3, 1, "21:50:02Z"), "2028-03-02T21:50:00Z"),
            ((2028, 2, 29, "10:00:00Z"), "2030-02-28T21:50:00Z"),
            ((2026, 12, 31, "23:00:00Z"), "2029-01-01T21:50:00Z"),
        ] {
            let (year, month, of_month, second) = begin;
            let second = SecondOfDay::parse(second).unwrap();
            let begin = day(year, month, of_month, second.secs().into());

            assert_eq!(rule.end(begin).unwrap().to_string(), end, "{begin}");
        }
    }

    #[test]
    fn an_end_is_rounded_down_within_the_lifetime() {
        let rule = rule("730d", Some(("21:50:00Z", Round::Down)));
        let begin = day(2026, 3, 1, 36_000);

        let end = rule.end(begin).unwrap();

        assert_eq!(end.to_string(), "2028-02-28T21:50:00Z");
        assert!(end.since(begin) < rule.longest() && end.since(begin) > rule.shortest());
        let hour = self::rule("1h", Some(("21:50:00Z", Round::Down)));
        assert_eq!(hour.end(begin), None);
    }

    /// RFC 5280 §4.1.2.5: both ends are inside.
    #[test]
    fn a_lifetime_counts_its_first_and_its_last_second() {
        let begin = day(2027, 3, 1, 0);

        assert_eq!(rule("47d", None).end(begin).unwrap().since(begin).as_secs(), 4_060_799);
        assert_eq!(rule("1y", None).end(begin), Some(day(2028, 2, 29, 86_399)));
        assert_eq!(rule("1s", None).end(begin), Some(begin));
        assert_eq!(rule("1d", None).end(UnixTime::LAST), None);
    }

    #[test]
    fn an_ordered_end_lies_within_the_lifetime() {
        let by_order = ValidityRule { end_of: EndOf::Order, ..rule("90d", None) };
        let begin = day(2026, 3, 1, 0);
        let latest = by_order.end(begin).unwrap();
        let later = day(2026, 5, 30, 0);

        assert_eq!(later.since(latest).as_secs(), 1);
        assert!(by_order.allows(begin, latest) && by_order.allows(begin, begin));
        assert!(!by_order.allows(begin, later) && !by_order.allows(latest, begin));
        assert!(rule("90d", None).allows(begin, latest) && !rule("90d", None).allows(begin, begin));
    }

    /// ISS-09: years of the calendar, of which five may have two leap days.
    #[test]
    fn no_end_lies_past_the_longest_lifetime() {
        for years in [1_u16, 2, 4, 5, 30] {
            for up in [None, Some(("00:00:00Z", Round::Up)), Some(("21:50:00Z", Round::Down))] {
                let rule = rule(&format!("{years}y"), up);
                for (year, month, of_month) in
                    [(2023, 3, 1), (2024, 2, 28), (2024, 2, 29), (2024, 3, 1), (2027, 12, 31)]
                {
                    let begin = day(year, month, of_month, 43_210);
                    let life = rule.end(begin).unwrap().since(begin) + Duration::from_secs(1);

                    assert!(life <= rule.longest(), "{life:?} {rule:?} from {begin}");
                    assert!(life >= rule.shortest(), "{life:?} {rule:?} from {begin}");
                }
            }
        }
        assert!(
            rule("5y", None).is_within_five_years() && !rule("6y", None).is_within_five_years()
        );
        assert!(!rule("5y", Some(("21:50:00Z", Round::Up))).is_within_five_years());
        assert!(rule("1826d", None).is_within_five_years());
        assert!(!rule("157766401s", None).is_within_five_years());
    }

    #[test]
    fn reads_and_writes_lifetimes_and_seconds_of_the_day() {
        for text in ["2y", "730d", "7h", "90m", "61s"] {
            assert_eq!(Lifetime::parse(text).unwrap().to_string(), text);
        }
        for text in ["y", "0y", "1001y", "+1y", "1.5y", "2 y", "-1y", "99999y", "1Y"] {
            assert_eq!(Lifetime::parse(text), None, "{text}");
        }
        for text in ["00:00:00Z", "21:50:00Z", "23:59:59Z"] {
            assert_eq!(SecondOfDay::parse(text).unwrap().to_string(), text);
        }
        for text in ["21:50:00", "24:00:00Z", "21:60:00Z", "21:50Z", "1:50:00Z", "+1:50:00Z", "Z"] {
            assert_eq!(SecondOfDay::parse(text), None, "{text}");
        }
    }
}
