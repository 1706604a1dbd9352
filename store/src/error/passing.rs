//! Which failures go away with their cause.

use super::StoreError;

impl StoreError {
    /// The codes of [`Self::is_passing`], apart from a clock that is behind: what a database may fail
    /// with that was well.
    pub const PASSING_CODES: [&str; 11] = [
        "database-busy",
        "database-full",
        "database-read-only",
        "database-device",
        "database-unreachable",
        "database-older",
        "audit-refused",
        "store-closed",
        "store-overloaded",
        "random-unavailable",
        "schema-newer",
    ];

    /// Whether the same act may succeed later because the fault lies in the storage around it.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::ClockBehind { .. }) || Self::PASSING_CODES.contains(&self.code())
    }
}
