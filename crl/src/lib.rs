//! Certificate revocation lists: which entries, under which number, when, and never worse than the last.
//!
//! [`prepare`] streams the rows of one snapshot into a spool file, has it linted, compares it with
//! the previous list and yields the [`x509::signing::Pending`] that leads to the signature;
//! [`finish`] streams the signed list out. Past 16 MiB of entries memory does not grow with the list.
//!
//! This room opens no file and reads no clock: files come as [`std::io`] values, times as arguments.

#[cfg(test)]
mod agreement;
mod compare;
mod delta;
mod entry;
#[cfg(test)]
mod judged;
mod kept;
mod number;
mod prepare;
mod schedule;
mod shard;

pub use compare::{CompareError, Comparison, Departure, NewDates, PreviousCrl, Which, compare};
pub use delta::{DeltaError, delta};
pub use entry::{CrlEntry, Listing};
pub use kept::{KeptError, LastKept};
pub use number::{CrlNumber, CrlNumberError};
pub use prepare::{
    CrlIssuer, CrlIssuerError, CrlOrder, CrlSpool, FinishedCrl, PrepareError, PreparedCrl, finish,
    prepare,
};
pub use schedule::{Due, Schedule, ScheduleError};
pub use shard::{
    LONGEST_WINDOW, MOST_PLACES, SHORTEST_WINDOW, ShardNumber, ShardNumberError, ShardPlan,
    ShardPlanError, has_ended,
};

/// The longest CRL that is written or read, in octets: some twenty million entries.
pub const MAX_OCTETS: u64 = 1 << 30;
