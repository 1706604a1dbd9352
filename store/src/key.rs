//! Keys of subjects: who holds them, and the RSA moduli that are compared with each other.

use ca::key_holder::{KeyHolder, KeyReuse};
use x509::key::SpkiHash;
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;

/// The key that is about to be certified, and for whom (ISS-12).
#[derive(Clone, Debug)]
pub struct SubjectKey {
    /// The key.
    pub spki: SpkiHash,
    /// Who it is of. Kept as keyed hashes, which outlive the holder's data.
    pub holder: KeyHolder,
    /// Whether the profile takes a key that has been certified before.
    pub reuse: KeyReuse,
}

/// An RSA key of some certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaKey {
    /// Its place in the order in which keys were collected, from 1.
    pub number: u64,
    /// The key.
    pub spki: SpkiHash,
    /// Its modulus, big-endian.
    pub modulus: Vec<u8>,
}

/// The RSA keys of all certificates, collected and compared in the background. Each step is an act of its
/// own, so that a survey goes on where it was broken off.
pub trait KeySurvey {
    /// Takes the RSA keys of the next certificates, at most `limit`, into the collection; how many
    /// certificates were read. What has been forgotten before it was read is not there.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn collect_rsa_keys(&self, limit: u32) -> Result<u32, StoreError>;

    /// The collected keys after number `after`, at most `limit`, in the order of their numbers.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn rsa_keys(&self, after: u64, limit: u32) -> Result<Vec<RsaKey>, StoreError>;

    /// Up to which number the keys have been compared with each other.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn keys_compared(&self) -> Result<u64, StoreError>;

    /// Records that the keys up to number `up_to` have been compared, with what was found.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn record_keys_compared(
        &self,
        up_to: u64,
        found: &[AuditRecord],
        now: UnixTime,
    ) -> Result<(), StoreError>;
}
