//! CRLs as rows, and the revoked serials that they are made from.

use std::fmt;

use status::{CertificateStatus, IssuerId, Position};
use x509::serial::SerialNumber;
use x509::signing::IntentId;
use x509::time::UnixTime;

use crate::id::Node;
use crate::log::LogHead;
use ::crl::CrlNumber;

/// Which of an issuer's CRLs: `full`, `delta`, or the name of a shard.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CrlScope(pub String);

impl CrlScope {
    /// The full CRL at one stable URL.
    #[must_use]
    pub fn full() -> Self {
        Self("full".to_owned())
    }

    /// The delta CRL to the full one.
    #[must_use]
    pub fn delta() -> Self {
        Self("delta".to_owned())
    }
}

impl fmt::Display for CrlScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is recorded with an intent to sign a CRL.
#[derive(Clone, Debug)]
pub struct CrlIntent {
    /// Whose.
    pub issuer: IssuerId,
    /// Which of its CRLs.
    pub scope: CrlScope,
    /// Its number: above every number recorded before and above the floor.
    pub number: CrlNumber,
    /// The position of the first entry that it does not rest on.
    pub position: Position,
    /// thisUpdate.
    pub this_update: UnixTime,
    /// nextUpdate.
    pub next_update: UnixTime,
    /// Who is about to sign it.
    pub node: Node,
}

/// A CRL as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrlRow {
    /// Whose.
    pub issuer: IssuerId,
    /// Which of its CRLs.
    pub scope: CrlScope,
    /// Its number.
    pub number: CrlNumber,
    /// The intent; `None` for one that was signed elsewhere.
    pub intent: Option<IntentId>,
    /// What it rests on; `None` for one that was signed elsewhere.
    pub position: Option<Position>,
    /// thisUpdate.
    pub this_update: UnixTime,
    /// nextUpdate.
    pub next_update: UnixTime,
    /// SHA-256 of the whole file.
    pub sha256: [u8; 32],
    /// Length of the whole file in octets.
    pub length: u64,
    /// When its file was put into the publication tree.
    pub published: Option<UnixTime>,
}

/// A serial that a CRL lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RevokedRow {
    /// The serial.
    pub serial: SerialNumber,
    /// What the log says; its [`CertificateStatus::revocation`] is never `None`.
    pub status: CertificateStatus,
}

/// One consistent view of an issuer's revoked serials.
pub struct RevokedSnapshot<'a> {
    /// The status log's head in this view: the CRL rests on exactly its entries.
    pub head: LogHead,
    /// The rows in the order of serial octets, read as they are asked for, in constant memory.
    pub rows: &'a mut dyn Iterator<Item = Result<RevokedRow, crate::StoreError>>,
}
