//! The period in which a certificate may be used.

use std::time::Duration;

use thiserror::Error;

use crate::time::UnixTime;
use crate::time_der::{self, TimeForm};
use crate::tlv::{self, Element, NotDer};

/// notBefore and notAfter (RFC 5280 §4.1.2.5). Both seconds are inside the period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Validity {
    not_before: UnixTime,
    not_after: UnixTime,
}

impl Validity {
    /// The period from one second to another, both inside.
    ///
    /// # Errors
    ///
    /// [`ValidityError::Empty`] when `not_after` is before `not_before`.
    pub fn between(not_before: UnixTime, not_after: UnixTime) -> Result<Self, ValidityError> {
        if not_after < not_before {
            return Err(ValidityError::Empty { not_before, not_after });
        }
        Ok(Self { not_before, not_after })
    }

    /// Returns the validity that starts `backdate` before `now` and lasts `lifetime`.
    ///
    /// Both ends are whole seconds in UTC and both are inside the period, so a lifetime of
    /// 47 days ends 4_060_799 s after it starts, not 4_060_800. Parts of a second in either
    /// duration are dropped.
    ///
    /// # Errors
    ///
    /// [`ValidityError::Instant`] if `lifetime` is under one second, and
    /// [`ValidityError::OutOfRange`] if either end is before 1970 or after 9999, which
    /// GeneralizedTime cannot write.
    ///
    /// Source: RFC 5280 §4.1.2.5.
    pub fn starting(
        now: UnixTime,
        backdate: Duration,
        lifetime: Duration,
    ) -> Result<Self, ValidityError> {
        let last = lifetime.as_secs().checked_sub(1).ok_or(ValidityError::Instant)?;
        let not_before = now
            .secs()
            .checked_sub(backdate.as_secs())
            .and_then(|secs| UnixTime::from_secs(secs).ok())
            .ok_or(ValidityError::OutOfRange)?;
        let not_after =
            not_before.checked_add(Duration::from_secs(last)).ok_or(ValidityError::OutOfRange)?;
        Ok(Self { not_before, not_after })
    }

    /// The first second of the period.
    #[must_use]
    pub const fn not_before(self) -> UnixTime {
        self.not_before
    }

    /// The last second of the period.
    #[must_use]
    pub const fn not_after(self) -> UnixTime {
        self.not_after
    }

    /// Whether the second lies in the period.
    #[must_use]
    pub fn contains(self, time: UnixTime) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }

    /// How long the period lasts, its last second included.
    #[must_use]
    pub const fn lifetime(self) -> Duration {
        self.not_after.since(self.not_before).saturating_add(Duration::from_secs(1))
    }

    /// `SEQUENCE { notBefore, notAfter }`: UTCTime through 2049, GeneralizedTime from 2050 (PRO-06).
    #[must_use]
    pub fn to_der(self) -> Vec<u8> {
        let mut times = Vec::new();
        time_der::push_time(&mut times, self.not_before);
        time_der::push_time(&mut times, self.not_after);
        tlv::sequence(&[&times])
    }

    pub(crate) fn of(element: &Element<'_>) -> Result<Self, NotDer> {
        let mut fields = element.elements();
        let not_before = time_of(&fields.any()?)?;
        let not_after = time_of(&fields.any()?)?;
        fields.finish()?;
        Self::between(not_before, not_after).map_err(|_| NotDer)
    }
}

/// Reads a Time in the one spelling that its year has (PRO-06).
fn time_of(element: &Element<'_>) -> Result<UnixTime, NotDer> {
    let time = time_der::parse_time(element.tag, element.content).ok_or(NotDer)?;
    let spelling = match TimeForm::of(time) {
        TimeForm::Utc => tlv::UTC_TIME,
        TimeForm::Generalized => tlv::GENERALIZED_TIME,
    };
    if element.tag == spelling { Ok(time) } else { Err(NotDer) }
}

/// Why there is no such period.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ValidityError {
    /// The end lies before the start.
    #[error("validity would end at {not_after}, before it starts at {not_before}")]
    Empty {
        /// The start.
        not_before: UnixTime,
        /// The end.
        not_after: UnixTime,
    },
    /// A certificate is valid for at least one second.
    #[error("validity would last less than one second")]
    Instant,
    /// RFC 5280 §4.1.2.5.2 writes years of four digits, and we none before 1970.
    #[error("validity would start before 1970 or end after 9999")]
    OutOfRange,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    #[test]
    fn counts_both_ends() {
        let now = at(1_800_000_000);

        let validity =
            Validity::starting(now, Duration::from_mins(5), Duration::from_secs(47 * DAY)).unwrap();

        assert_eq!(validity.not_before(), at(1_799_999_700));
        assert_eq!(validity.not_after(), at(1_799_999_700 + 4_060_799));
        assert_eq!(validity.lifetime(), Duration::from_secs(47 * DAY));
        assert!(
            validity.contains(validity.not_before()) && validity.contains(validity.not_after())
        );
        assert!(!validity.contains(at(validity.not_after().secs() + 1)));
    }

    #[test]
    fn refuses_less_than_a_second_and_ends_that_cannot_be_written() {
        let starting = |now, backdate, lifetime| {
            Validity::starting(at(now), Duration::from_secs(backdate), lifetime)
        };

        assert_eq!(starting(100, 0, Duration::from_millis(999)), Err(ValidityError::Instant));
        assert_eq!(starting(100, 101, Duration::from_secs(1)), Err(ValidityError::OutOfRange));
        assert_eq!(
            starting(UnixTime::LAST.secs(), 0, Duration::from_secs(2)),
            Err(ValidityError::OutOfRange)
        );
        assert_eq!(
            Validity::between(at(2), at(1)),
            Err(ValidityError::Empty { not_before: at(2), not_after: at(1) })
        );
    }

    /// PRO-06: the boundary between the two spellings.
    #[test]
    fn switches_to_generalized_time_in_2050() {
        let validity = Validity::between(at(2_524_607_999), at(2_524_608_000)).unwrap();

        let der = validity.to_der();

        assert_eq!(der, b"\x30\x20\x17\x0d491231235959Z\x18\x0f20500101000000Z");
        let element = Element::only(&der, tlv::SEQUENCE).unwrap();
        assert_eq!(Validity::of(&element), Ok(validity));
    }

    /// PRO-06: the other spelling of a time is refused, and so are offsets and missing seconds.
    #[test]
    fn refuses_other_spellings() {
        for bad in [
            &b"\x30\x20\x17\x0d491231235959Z\x18\x0f20491231235959Z"[..],
            b"\x30\x1c\x17\x0d491231235959Z\x17\x0b4912312359Z",
            b"\x30\x22\x17\x0d491231235959Z\x17\x11491231235959+0100",
            b"\x30\x1e\x17\x0d491231235959Z\x17\x0d481231235959Z",
        ] {
            assert_eq!(Validity::of(&Element::only(bad, tlv::SEQUENCE).unwrap()), Err(NotDer));
        }
    }
}
