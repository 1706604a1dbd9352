//! What profiles make of a fixed sample, so that a later program that makes something else of it is noticed.

use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::certificate::ProfileVersion;

/// What a version of a profile makes of one of its samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Canary {
    /// The profile and its file.
    pub profile: ProfileVersion,
    /// Which of its samples: a kind of identity, or `direct`.
    pub kind: String,
    /// SHA-256 of the book that decided.
    pub book: [u8; 32],
    /// SHA-256 of the sample certificate in hexadecimal, or the code of its refusal.
    pub result: String,
    /// Version of the program that made it.
    pub engine: String,
}

/// The part of [`Store`](crate::Store) that remembers samples.
pub trait Canaries {
    /// All that were recorded, by profile, file and kind.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn canaries(&self) -> Result<Vec<Canary>, StoreError>;

    /// Records samples, in the place of earlier ones of the same versions and kinds, with one audit leaf.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn record_canaries(
        &self,
        canaries: &[Canary],
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError>;
}
