//! The time in a cosignature.

use std::fmt;
use std::time::Duration;

use thiserror::Error;

/// Whole seconds since the Unix epoch, UTC, at most 2^63 - 1 (C2SP tlog-cosignature).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The largest value a cosignature may carry.
    pub const MAX: Self = Self((1 << 63) - 1);

    /// Takes whole seconds since the Unix epoch.
    ///
    /// # Errors
    ///
    /// [`TimestampTooLarge`] beyond 2^63 - 1.
    pub const fn from_secs(secs: u64) -> Result<Self, TimestampTooLarge> {
        if secs > Self::MAX.0 { Err(TimestampTooLarge { secs }) } else { Ok(Self(secs)) }
    }

    /// Returns whole seconds since the Unix epoch.
    #[must_use]
    pub const fn secs(self) -> u64 {
        self.0
    }

    /// Returns how much later `self` is than `earlier`, or zero if it is not.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The seconds do not fit a cosignature.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("timestamp {secs} is beyond 2^63 - 1")]
pub struct TimestampTooLarge {
    secs: u64,
}
