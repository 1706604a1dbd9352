//! Drawn moments: xorshift, seeded from the clock. Where a fault strikes is not to be the same in
//! every run, and nothing else hangs on it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A source of moments.
pub(crate) struct Lot(u64);

impl Lot {
    /// A source of its own for each `salt`.
    pub(crate) fn new(salt: u64) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let seed = u64::from(now.subsec_nanos()) ^ (now.as_secs() << 20);
        Self((seed ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// A time below `limit` milliseconds.
    pub(crate) fn moment(&mut self, limit: u64) -> Duration {
        Duration::from_micros(self.below(limit * 1000))
    }
}
