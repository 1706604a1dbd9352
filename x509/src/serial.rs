//! Certificate serial numbers, kept as the octets that were received.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// A serial number: the 1 to 20 content octets of its DER INTEGER, exactly as received.
///
/// Ordered by those octets (shorter first, then octet by octet), which is the order of CRL entries.
/// Imported serials may carry a leading zero octet or a set sign bit; ours never do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SerialNumber {
    length: u8,
    octets: [u8; Self::MAX_OCTETS],
}

impl SerialNumber {
    /// RFC 5280 §4.1.2.2: conforming CAs must not use more than 20 octets.
    pub const MAX_OCTETS: usize = 20;
    /// Content octets of every serial that we give ourselves.
    pub const OWN_OCTETS: usize = 16;

    /// Makes a new serial: 16 octets whose first two bits are `01`, the other 126 from `random`.
    ///
    /// Positive, minimal and of constant length by construction, so that no draw is thrown away
    /// (ISS-02; RFC 5280 §4.1.2.2). `random` must come from the operating system's generator.
    #[must_use]
    pub const fn from_random(random: [u8; Self::OWN_OCTETS]) -> Self {
        let mut octets = [0; Self::MAX_OCTETS];
        let (own, _) = octets.split_at_mut(Self::OWN_OCTETS);
        own.copy_from_slice(&random);
        if let [first, ..] = own {
            *first = (*first & 0x3f) | 0x40;
        }
        Self { length: 16, octets }
    }

    /// Takes the content octets of a DER INTEGER, as received.
    ///
    /// # Errors
    ///
    /// [`SerialError::Length`] unless there are 1 to 20 of them.
    pub fn from_content_octets(content: &[u8]) -> Result<Self, SerialError> {
        let refused = SerialError::Length { octets: content.len() };
        let length = u8::try_from(content.len()).map_err(|_| refused)?;
        let mut octets = [0; Self::MAX_OCTETS];
        match octets.get_mut(..content.len()) {
            Some(target) if !content.is_empty() => target.copy_from_slice(content),
            _ => return Err(refused),
        }
        Ok(Self { length, octets })
    }

    /// The content octets of the DER INTEGER.
    #[must_use]
    pub fn as_octets(&self) -> &[u8] {
        self.octets.get(..usize::from(self.length)).unwrap_or_default()
    }
}

impl fmt::Display for SerialNumber {
    /// Upper-case hexadecimal, two digits an octet.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_octets().iter().try_for_each(|octet| write!(f, "{octet:02X}"))
    }
}

impl fmt::Debug for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SerialNumber({self})")
    }
}

impl FromStr for SerialNumber {
    type Err = SerialError;

    /// Reads hexadecimal, two digits an octet, either case.
    fn from_str(text: &str) -> Result<Self, SerialError> {
        let octets = base16ct::mixed::decode_vec(text).map_err(|_| SerialError::NotHexadecimal)?;
        Self::from_content_octets(&octets)
    }
}

/// Why some octets or digits are not a serial number.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum SerialError {
    /// RFC 5280 §4.1.2.2.
    #[error("serial number has {octets} content octets; allowed are 1 to 20")]
    Length {
        /// How many octets were given.
        octets: usize,
    },
    /// Only pairs of hexadecimal digits are read.
    #[error("serial number is not an even count of hexadecimal digits")]
    NotHexadecimal,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ISS-02: positive, minimal, 16 octets for every possible draw of the first octet.
    #[test]
    fn every_draw_gives_sixteen_positive_minimal_octets() {
        for first in 0..=u8::MAX {
            let mut random = [0xff; 16];
            random[0] = first;

            let serial = SerialNumber::from_random(random);

            assert_eq!(serial.as_octets().len(), 16);
            assert_eq!(serial.as_octets()[0] >> 6, 0b01);
            assert_eq!(serial.as_octets()[0] & 0x3f, first & 0x3f);
        }
    }

    #[test]
    fn keeps_a_leading_zero_octet_of_an_imported_serial() {
        let content = [0x00, 0x90, 0x66];

        let serial = SerialNumber::from_content_octets(&content).unwrap();

        assert_eq!(serial.as_octets(), content);
        assert_eq!(serial.to_string(), "009066");
        assert_eq!("009066".parse(), Ok(serial));
    }

    #[test]
    fn refuses_empty_and_21_octets() {
        assert_eq!(SerialNumber::from_content_octets(&[]), Err(SerialError::Length { octets: 0 }));
        assert_eq!(
            SerialNumber::from_content_octets(&[1; 21]),
            Err(SerialError::Length { octets: 21 })
        );
    }
}
