//! Keys of subjects: who holds them, and the RSA moduli that are compared with each other.

use ca::key_holder::{KeyHolder, KeyReuse};
use x509::key::SpkiHash;

/// The key that is about to be certified, and for whom (ISS-12).
#[derive(Clone, Debug)]
pub struct SubjectKey {
    /// The key.
    pub spki: SpkiHash,
    /// Who the subject names. Kept as a keyed hash, which outlives the holder's data.
    pub holder: KeyHolder,
    /// Whether the profile takes a key that has been certified before.
    pub reuse: KeyReuse,
}
