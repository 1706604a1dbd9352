//! Which certificates are signed for together, and when.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use crate::publication::PublicationPathError;

/// Into how many waves the certificates of a CA fall: with a million certificates each holds about a thousand.
pub const WAVES: u16 = 1024;

/// One of the [`WAVES`] waves of a CA.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Wave(u16);

impl Wave {
    /// The wave of a serial number: the first ten bits of the SHA-256 of its octets, so that all waves hold about as
    /// many, whoever chose the numbers.
    #[must_use]
    pub fn of(serial: &SerialNumber) -> Self {
        let [high, low, ..]: [u8; 32] = Sha256::digest(serial.as_octets()).into();
        Self(u16::from_be_bytes([high, low]) >> 6)
    }

    /// The wave of this number; `None` from [`WAVES`] on.
    #[must_use]
    pub const fn numbered(number: u16) -> Option<Self> {
        if number < WAVES { Some(Self(number)) } else { None }
    }

    /// All waves, in their order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..WAVES).map(Self)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> u16 {
        self.0
    }

    /// Whether the wave is to be signed anew at `now` when the oldest of its answers was made at `made`.
    ///
    /// Each wave has a moment of its own in every `period`, as far from its neighbours' as they are many: so the load
    /// is even, none is ever older than a period, and after a pause the waves fall apart again by themselves.
    #[must_use]
    pub fn is_due(self, made: UnixTime, now: UnixTime, period: Duration) -> bool {
        let period = period.as_secs().max(1);
        let offset = period * u64::from(self.0) / u64::from(WAVES);
        // A period is added so that the first one of all is none before it.
        let turn = |at: UnixTime| (at.secs() + period - offset) / period;
        turn(now) > turn(made)
    }
}

impl fmt::Display for Wave {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}", self.0)
    }
}

impl FromStr for Wave {
    type Err = PublicationPathError;

    /// Four digits.
    fn from_str(text: &str) -> Result<Self, PublicationPathError> {
        let digits = text.len() == 4 && text.bytes().all(|octet| octet.is_ascii_digit());
        let number = text.parse().ok().filter(|_| digits);
        number.and_then(Self::numbered).ok_or_else(|| PublicationPathError::of(text))
    }
}
