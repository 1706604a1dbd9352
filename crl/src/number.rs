//! cRLNumber (RFC 5280 §5.2.3).

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;
use x509::time::UnixTime;

/// A CRL number: not negative, at most 20 octets, rising within an issuer and scope (CRL-02).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CrlNumber {
    /// Content octets of the DER INTEGER, minimal.
    octets: Vec<u8>,
}

impl CrlNumber {
    /// RFC 5280 §5.2.3.
    pub const MAX_OCTETS: usize = 20;

    /// The number that a CA begins with: 1.
    #[must_use]
    pub fn first() -> Self {
        Self { octets: vec![1] }
    }

    /// Numbers for each second: more lists than a CA can sign and commit in one.
    const IN_A_SECOND: u64 = 1 << 16;

    /// The lowest number of a list that is made at `time`: 65 536 for each second since 1970. A list is above all that were made
    /// in an earlier second, also above those of which nothing here has heard.
    #[must_use]
    pub fn lowest_at(time: UnixTime) -> Self {
        let zero = Self { octets: vec![0] };
        zero.above_by(time.secs().saturating_mul(Self::IN_A_SECOND)).unwrap_or(zero)
    }

    /// Takes the content octets of a DER INTEGER.
    ///
    /// # Errors
    ///
    /// [`CrlNumberError`] unless they are 1 to 20, minimal and not negative.
    pub fn from_content_octets(octets: &[u8]) -> Result<Self, CrlNumberError> {
        if octets.is_empty() || octets.len() > Self::MAX_OCTETS {
            return Err(CrlNumberError::Length { octets: octets.len() });
        }
        match octets {
            [first, ..] if *first >= 0x80 => Err(CrlNumberError::Negative),
            [0, second, ..] if *second < 0x80 => Err(CrlNumberError::NotMinimal),
            _ => Ok(Self { octets: octets.to_vec() }),
        }
    }

    /// The content octets of the DER INTEGER.
    #[must_use]
    pub fn as_octets(&self) -> &[u8] {
        &self.octets
    }

    /// The number after this one; `None` past 20 octets.
    #[must_use]
    pub fn next(&self) -> Option<Self> {
        self.above_by(1)
    }

    /// The number that is larger by this; `None` past 20 octets.
    #[must_use]
    pub fn above_by(&self, more: u64) -> Option<Self> {
        // Two octets for what is carried: into the longest sum, and into the sign bit (7f -> 0080).
        let mut octets = vec![0; Self::MAX_OCTETS + 2 - self.octets.len()];
        octets.extend_from_slice(&self.octets);
        let mut more = u128::from(more);
        for octet in octets.iter_mut().rev() {
            more += u128::from(*octet);
            [*octet, ..] = more.to_le_bytes();
            more >>= 8;
        }
        let is_padding = |pair: &[u8]| matches!(pair, [0, second] if *second < 0x80);
        let padding = octets.windows(2).take_while(|pair| is_padding(pair)).count();
        Self::from_content_octets(octets.get(padding..).unwrap_or_default()).ok()
    }
}

impl From<u32> for CrlNumber {
    fn from(value: u32) -> Self {
        let octets = value.to_be_bytes();
        let first = octets.iter().position(|octet| *octet != 0).unwrap_or(3);
        let mut octets = octets.get(first..).unwrap_or_default().to_vec();
        if octets.first().is_some_and(|first| *first >= 0x80) {
            octets.insert(0, 0);
        }
        Self { octets }
    }
}

impl Ord for CrlNumber {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |number: &Self| {
            let zero = number.octets.len() > 1 && number.octets.first() == Some(&0);
            number.octets.get(usize::from(zero)..).unwrap_or_default().to_vec()
        };
        let (own, other) = (key(self), key(other));
        own.len().cmp(&other.len()).then_with(|| own.cmp(&other))
    }
}

impl PartialOrd for CrlNumber {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for CrlNumber {
    /// Upper-case hexadecimal of the content octets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.octets.iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

impl fmt::Debug for CrlNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CrlNumber({self})")
    }
}

impl FromStr for CrlNumber {
    type Err = CrlNumberError;

    /// Reads what [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, CrlNumberError> {
        let digits = text.as_bytes();
        if !digits.len().is_multiple_of(2) {
            return Err(CrlNumberError::NotHexadecimal);
        }
        let octet = |pair: &[u8]| {
            let pair = std::str::from_utf8(pair).ok()?;
            let plain = pair.bytes().all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
            plain.then(|| u8::from_str_radix(pair, 16).ok())?
        };
        let octets: Option<Vec<u8>> = digits.chunks(2).map(octet).collect();
        Self::from_content_octets(&octets.ok_or(CrlNumberError::NotHexadecimal)?)
    }
}

/// Why octets or digits are not a CRL number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CrlNumberError {
    /// RFC 5280 §5.2.3.
    #[error("CRL number has {octets} octets; allowed are 1 to 20")]
    Length {
        /// How many octets were given.
        octets: usize,
    },
    /// CRL numbers are not negative.
    #[error("CRL number is negative")]
    Negative,
    /// Only pairs of upper-case hexadecimal digits are read.
    #[error("CRL number is not an even count of upper-case hexadecimal digits")]
    NotHexadecimal,
    /// DER INTEGERs are minimal (X.690 §8.3.2).
    #[error("CRL number has leading zero octets")]
    NotMinimal,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CRL-02: strictly rising over every carry, up to 20 octets and no further.
    #[test]
    fn the_next_number_is_larger_until_twenty_octets_are_full() {
        let mut number = CrlNumber::first();
        for expected in 2..70_000_u32 {
            let next = number.next().unwrap();
            assert!(next > number, "{next} after {number}");
            assert_eq!(next, CrlNumber::from(expected));
            number = next;
        }
        let mut last = vec![0xff; 20];
        last[0] = 0x7f;
        assert_eq!(CrlNumber::from_content_octets(&last).unwrap().next(), None);
    }

    /// CRL-02: a larger number is as far as that many single steps.
    #[test]
    fn a_larger_number_is_the_sum() {
        for from in [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x00ff_ffff] {
            for more in [0, 1, 0x7f, 0x80, 0x100, 0xffff, 0x7fff_0000] {
                let sum = CrlNumber::from(from).above_by(more.into()).unwrap();
                assert_eq!(sum, CrlNumber::from(from + more), "{from} + {more}");
                assert!(CrlNumber::from_content_octets(sum.as_octets()).is_ok());
            }
        }
        let mut last = vec![0xff; 20];
        last[0] = 0x7f;
        last[19] = 0xf0;
        let last = CrlNumber::from_content_octets(&last).unwrap();
        assert!(last.above_by(15).is_some());
        assert_eq!([last.above_by(16), last.above_by(u64::MAX)], [None, None]);
    }

    /// CRL-02: a second has more numbers than lists can be made in it, and the next one begins above them.
    #[test]
    fn a_later_second_has_higher_numbers() {
        let at = |secs| CrlNumber::lowest_at(UnixTime::from_secs(secs).unwrap());
        assert_eq!(at(0), CrlNumber::from(0));
        assert_eq!(at(1), CrlNumber::from(0x1_0000));
        let noon = UnixTime::of_day(2026, 11, 23).unwrap().secs();
        assert_eq!(at(noon).above_by(0xffff).unwrap().next().unwrap(), at(noon + 1));
        let last = CrlNumber::lowest_at(UnixTime::LAST);
        assert!(last > at(noon) && last.as_octets().len() <= 8, "{last}");
    }

    #[test]
    fn refuses_negative_long_and_padded_numbers() {
        let refusal = |octets: &[u8]| CrlNumber::from_content_octets(octets).unwrap_err();
        assert_eq!(refusal(&[]), CrlNumberError::Length { octets: 0 });
        assert_eq!(refusal(&[1; 21]), CrlNumberError::Length { octets: 21 });
        assert_eq!(refusal(&[0x80]), CrlNumberError::Negative);
        assert_eq!(refusal(&[0, 1]), CrlNumberError::NotMinimal);
        assert_eq!("1".parse::<CrlNumber>(), Err(CrlNumberError::NotHexadecimal));
        assert_eq!("0a".parse::<CrlNumber>(), Err(CrlNumberError::NotHexadecimal));
        assert_eq!("0080".parse::<CrlNumber>().unwrap().to_string(), "0080");
    }
}
