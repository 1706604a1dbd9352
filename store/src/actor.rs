//! Statements of administrators, taken once.

use std::fmt;

use status::Position;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::CertificateId;
use crate::sealing::IndexTerm;

/// A statement that has been verified and is about the call that it came with.
#[derive(Clone)]
pub struct StatementUse {
    /// Names it among all: over whose key signed it, and its `jti`.
    pub name: [u8; 32],
    /// SHA-256 of what was signed.
    pub signed: [u8; 32],
    /// The certificate of the eID whose key signed it; `None` of an identity provider's.
    pub eid: Option<CertificateId>,
    /// Who signed it, by the name that the CA knows him by.
    pub administrator: IndexTerm,
    /// The opaque id that he gets if he is new: 16 random octets.
    pub drawn: [u8; 16],
    /// Whether it may come again.
    pub again: Again,
    /// The last second at which it counts.
    pub until: UnixTime,
    /// Whether its call only reads: it is taken behind what changes something.
    pub reads: bool,
}

/// Whether one statement may come with a second call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// With the same call, where that does nothing twice: under its order's key, or because it only reads.
    SameCall,
    /// Never.
    Never,
}

impl fmt::Debug for StatementUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StatementUse").field("eid", &self.eid).finish_non_exhaustive()
    }
}

/// The part of [`Store`](crate::Store) that knows what administrators signed.
pub trait ActorStatements {
    /// Takes a statement, on whichever node: the eID whose key signed it is active at the position that this act has in the log, and the
    /// statement has not come with another call. The audit leaf stands in the same act; its actor becomes the administrator's opaque id. Where
    /// that leaf stands.
    ///
    /// # Errors
    ///
    /// [`StoreError::EidNotActive`], [`StoreError::StatementReplayed`], storage errors. Nothing is written then.
    fn take_statement(
        &self,
        used: &StatementUse,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Position, StoreError>;

    /// Forgets statements that count no more since `before`, some thousands at a time. Returns how many.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn forget_statements(&self, before: UnixTime) -> Result<u64, StoreError>;
}
