//! How entries say which CA a serial number belongs to.

use std::fmt;

use sha2::{Digest as _, Sha256};

/// Which CA: SHA-256 over the DER of its subject name and the DER of its SubjectPublicKeyInfo.
///
/// A name alone would not do, since a CA may live on under a new key; nor a key alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerId([u8; 32]);

impl IssuerId {
    /// Computes the id from the exact octets in the CA's certificate.
    #[must_use]
    pub fn of(name_der: &[u8], spki_der: &[u8]) -> Self {
        Self(Sha256::new().chain_update(name_der).chain_update(spki_der).finalize().into())
    }

    /// Takes 32 octets as an id.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for IssuerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for IssuerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IssuerId({self})")
    }
}

/// A CA within one epoch: the leaf index of the entry that declared it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IssuerRef(u64);

impl IssuerRef {
    /// Takes the leaf index of an issuer-declared entry.
    #[must_use]
    pub const fn from_index(index: u64) -> Self {
        Self(index)
    }

    /// Returns the leaf index.
    #[must_use]
    pub const fn index(self) -> u64 {
        self.0
    }
}

impl fmt::Display for IssuerRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
