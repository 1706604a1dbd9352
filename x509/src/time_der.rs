//! UTCTime and GeneralizedTime as RFC 5280 writes them: seconds always, fractions never, always Z.

use crate::time::UnixTime;
use crate::{stream, tlv};

/// 2050-01-01T00:00:00Z: from here on Time is a GeneralizedTime (RFC 5280 §4.1.2.5).
const FIRST_GENERALIZED: u64 = 2_524_608_000;

/// The alternative of the Time CHOICE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeForm {
    Utc,
    Generalized,
}

impl TimeForm {
    /// The alternative that RFC 5280 §4.1.2.5 demands for `time`.
    pub(crate) const fn of(time: UnixTime) -> Self {
        if time.secs() < FIRST_GENERALIZED { Self::Utc } else { Self::Generalized }
    }
}

/// Appends a Time: UTCTime until 2049, GeneralizedTime from 2050.
pub(crate) fn push_time(out: &mut Vec<u8>, time: UnixTime) {
    let digits = generalized(time);
    match (TimeForm::of(time), digits) {
        (TimeForm::Utc, [_, _, utc @ ..]) => stream::push(out, tlv::UTC_TIME, &utc),
        (TimeForm::Generalized, _) => stream::push(out, tlv::GENERALIZED_TIME, &digits),
    }
}

/// Appends a GeneralizedTime, whatever the year.
pub(crate) fn push_generalized(out: &mut Vec<u8>, time: UnixTime) {
    stream::push(out, tlv::GENERALIZED_TIME, &generalized(time));
}

/// Appends the content octets of a GeneralizedTime.
pub(crate) fn push_generalized_digits(out: &mut Vec<u8>, time: UnixTime) {
    out.extend_from_slice(&generalized(time));
}

/// `YYYYMMDDHHMMSSZ`.
fn generalized(time: UnixTime) -> [u8; 15] {
    let secs = time.secs();
    let (year, month, day) = civil(secs / 86_400);
    let second = secs % 86_400;
    let mut out = [b'Z'; 15];
    let fields = [year / 100, year % 100, month, day, second / 3600, second / 60 % 60, second % 60];
    for (pair, field) in out.chunks_exact_mut(2).zip(fields) {
        pair.copy_from_slice(&two_digits(field));
    }
    out
}

fn two_digits(value: u64) -> [u8; 2] {
    let digit = |value: u64| b'0'.saturating_add(u8::try_from(value % 10).unwrap_or(0));
    [digit(value / 10), digit(value)]
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Counts from 0000-03-01, so that the leap day ends a year, in eras of 400 years.
const fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

/// Reads the content octets of a UTCTime or GeneralizedTime. `None` unless they are of the one form
/// that RFC 5280 §4.1.2.5.1 and §4.1.2.5.2 allow, and not before 1970.
pub(crate) fn parse_time(tag: u8, content: &[u8]) -> Option<UnixTime> {
    let pair = |at: usize| -> Option<u8> {
        let [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] = content.get(at..at.checked_add(2)?)? else {
            return None;
        };
        (tens & 0x0f).checked_mul(10)?.checked_add(ones & 0x0f)
    };
    let (year, at) = match (tag, content.len()) {
        (tlv::UTC_TIME, 13) => {
            let year = u16::from(pair(0)?);
            (if year < 50 { year.checked_add(2000)? } else { year.checked_add(1900)? }, 2)
        }
        (tlv::GENERALIZED_TIME, 15) => {
            (u16::from(pair(0)?).checked_mul(100)?.checked_add(u16::from(pair(2)?))?, 4)
        }
        _ => return None,
    };
    let field = |index: usize| pair(index.checked_mul(2)?.checked_add(at)?);
    let days = days_of(year, field(0)?, field(1)?)?;
    let (hour, minute, second) = (field(2)?, field(3)?, field(4)?);
    if hour > 23 || minute > 59 || second > 59 || content.last() != Some(&b'Z') {
        return None;
    }
    let of_day = (u64::from(hour) * 60 + u64::from(minute)) * 60 + u64::from(second);
    UnixTime::from_secs(days * 86_400 + of_day).ok()
}

/// Days from 1970-01-01 to a day of the Gregorian calendar; `None` of a day before, or that there is not. The reverse of [`civil`].
fn days_of(year: u16, month: u8, day: u8) -> Option<u64> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    if year < 1970 || day < 1 || day > last {
        return None;
    }
    let (year, month, day) = (u64::from(year), u64::from(month), u64::from(day));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + day_of_year;
    (year / 400 * 146_097 + day_of_era).checked_sub(719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Our calendar against the ASN.1 library's, from 1970 to 9999.
    #[test]
    fn writes_the_dates_that_the_library_reads() {
        let mut secs = 0;
        while secs < UnixTime::LAST.secs() {
            let time = UnixTime::from_secs(secs).unwrap();
            let mut out = Vec::new();
            push_generalized_digits(&mut out, time);

            let library = time.to_date_time().unwrap().to_string().replace(['-', ':', 'T'], "");

            assert_eq!(String::from_utf8(out.clone()).unwrap(), library);
            assert_eq!(parse_time(tlv::GENERALIZED_TIME, &out), Some(time));
            secs += 86_399 * 7;
        }
    }

    /// Every day and time of day that two digits can say, in years of each kind, against the ASN.1 library's.
    #[test]
    fn reads_the_days_that_the_library_knows_and_no_others() {
        let mut read = 0;
        for year in [1969, 1970, 1972, 1999, 2000, 2026, 2100, 2400, 9999] {
            for (month, day) in (0..=99).flat_map(|month| (0..=99).map(move |day| (month, day))) {
                let text = format!("{year:04}{month:02}{day:02}123456Z");
                let library = der::DateTime::new(year, month, day, 12, 34, 56).ok();
                let found = parse_time(tlv::GENERALIZED_TIME, text.as_bytes());
                assert_eq!(found, library.map(UnixTime::from), "{text}");
                read += u32::from(found.is_some());
            }
        }
        assert_eq!(read, 8 * 365 + 3);
        for (hour, rest) in (0..=99).flat_map(|hour| (0..=99).map(move |rest| (hour, rest))) {
            for (minute, second) in [(rest, 0), (0, rest)] {
                let text = format!("20260301{hour:02}{minute:02}{second:02}Z");
                let library = der::DateTime::new(2026, 3, 1, hour, minute, second).ok();
                let found = parse_time(tlv::GENERALIZED_TIME, text.as_bytes());
                assert_eq!(found, library.map(UnixTime::from), "{text}");
            }
        }
    }

    #[test]
    fn refuses_offsets_fractions_missing_seconds_and_impossible_dates() {
        for bad in
            ["2611212247Z", "261121224700+0100", "26112122470Z", "261321224700Z", "26112122470 Z"]
        {
            assert_eq!(parse_time(tlv::UTC_TIME, bad.as_bytes()), None, "{bad}");
        }
        for bad in ["20261121224700", "20261121224700.5Z", "20260230000000Z", "19691231235959Z"] {
            assert_eq!(parse_time(tlv::GENERALIZED_TIME, bad.as_bytes()), None, "{bad}");
        }
    }
}
