//! The two ordered logs, their heads and their published checkpoints.

use std::fmt;

use ledger::Hash;
use x509::time::UnixTime;

use crate::lease::Fencing;

/// Which log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Log {
    /// The status log. Its lock is taken first (promise 3).
    Status,
    /// The audit log.
    Audit,
}

impl Log {
    /// The name in rows and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Audit => "audit",
        }
    }
}

impl fmt::Display for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The head of a log in one view of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// Which log.
    pub log: Log,
    /// Its current epoch.
    pub epoch: u32,
    /// Its entries in that epoch.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
    /// The time of its last entry.
    pub last_time: UnixTime,
}

/// One entry of a log, as it is hashed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its index in the epoch.
    pub index: u64,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

/// A checkpoint that has been signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// Of which log.
    pub log: Log,
    /// Of which epoch.
    pub epoch: u32,
    /// Its size.
    pub size: u64,
    /// The note, with both signature lines.
    pub note: Vec<u8>,
    /// The lease under which it was stored.
    pub fencing: Fencing,
}

/// The largest valid status checkpoint that was found among all publication points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublishedHead {
    /// Its epoch.
    pub epoch: u32,
    /// Its size.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// What was taken over from a published log that was ahead of this database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TakenOver {
    /// Entries appended.
    pub entries: u64,
    /// Serials that are now known only by their status: certificates that this database has lost.
    pub only_by_serial: Vec<(status::IssuerId, x509::serial::SerialNumber)>,
}

/// Numbers for metrics and reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Certificates that this program issued.
    pub issued: u64,
    /// Certificates that were imported or made at ceremonies.
    pub imported: u64,
    /// Serials that are revoked for good.
    pub revoked: u64,
    /// Serials that are held.
    pub held: u64,
    /// Intents that were voided.
    pub voided: u64,
    /// Intents that wait for their signature.
    pub open_intents: u64,
    /// Orders without an answer.
    pub open_orders: u64,
    /// Entries of the status log in this epoch.
    pub status_size: u64,
    /// Leaves of the audit log in this epoch.
    pub audit_size: u64,
    /// Octets of the database without its write-ahead log.
    pub database_bytes: u64,
}
