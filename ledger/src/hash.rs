//! The hashes of a Merkle tree: RFC 6962 §2.1 with SHA-256.
//!
//! Leaves and inner nodes are hashed with different first octets, so that a leaf can never be
//! passed off as a node.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// A SHA-256 value in a Merkle tree: of a leaf, of an inner node or of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; Self::LENGTH]);

impl Hash {
    /// Length in octets.
    pub const LENGTH: usize = 32;

    /// Returns the root of the tree without leaves: the SHA-256 of nothing (RFC 6962 §2.1).
    #[must_use]
    pub fn of_empty_tree() -> Self {
        Self(Sha256::digest([]).into())
    }

    /// Takes 32 octets as a hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::LENGTH]) -> Self {
        Self(bytes)
    }

    /// Returns the 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }

    /// Returns the standard base64 form with padding, 44 characters, as checkpoints carry it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Reads the 44 characters that [`Self::to_base64`] writes, and no other spelling of them.
    ///
    /// # Errors
    ///
    /// [`HashParseError`] if the text is not the canonical base64 of 32 octets.
    pub fn from_base64(text: &str) -> Result<Self, HashParseError> {
        let bytes = STANDARD.decode(text).map_err(|_| HashParseError)?;
        Ok(Self(bytes.try_into().map_err(|_| HashParseError)?))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl FromStr for Hash {
    type Err = HashParseError;

    /// Reads 64 lower-case hexadecimal digits, as [`fmt::Display`] writes them.
    fn from_str(text: &str) -> Result<Self, HashParseError> {
        decode_hex(text).map(Self).ok_or(HashParseError)
    }
}

/// The text is not a hash.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not the encoding of a 32-octet hash")]
pub struct HashParseError;

/// Returns the hash of a leaf: SHA-256(0x00 || entry). Source: RFC 6962 §2.1.
#[must_use]
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut digest = Sha256::new();
    digest.update([0x00]);
    digest.update(entry);
    Hash(digest.finalize().into())
}

/// Returns the hash of an inner node: SHA-256(0x01 || left || right). Source: RFC 6962 §2.1.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut digest = Sha256::new();
    digest.update([0x01]);
    digest.update(left.0);
    digest.update(right.0);
    Hash(digest.finalize().into())
}

/// Reads exactly 32 octets from lower-case hexadecimal digits.
pub(crate) fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |octet: u8| match octet {
        b'0'..=b'9' => Some(octet - b'0'),
        b'a'..=b'f' => Some(octet - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let octets: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    octets?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_tree_has_the_root_rfc_6962_names() {
        assert_eq!(
            Hash::of_empty_tree().to_string(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }

    #[test]
    fn both_text_forms_read_back() {
        let hash = leaf_hash(b"entry");

        assert_eq!(hash.to_string().parse(), Ok(hash));
        assert_eq!(Hash::from_base64(&hash.to_base64()), Ok(hash));
    }

    #[test]
    fn refuses_other_spellings() {
        let hash = leaf_hash(b"entry");
        let upper = hash.to_string().to_uppercase();
        let base64 = hash.to_base64();

        assert_eq!(upper.parse::<Hash>(), Err(HashParseError));
        assert_eq!(hash.to_string()[1..].parse::<Hash>(), Err(HashParseError));
        assert_eq!(Hash::from_base64(base64.trim_end_matches('=')), Err(HashParseError));
        assert_eq!(Hash::from_base64(&format!("{base64}\n")), Err(HashParseError));
        // The last character before the padding carries two bits that must be zero.
        assert_eq!(
            Hash::from_base64("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="),
            Err(HashParseError)
        );
    }
}
