//! A tree reduced to what appending needs: its size and the roots of its complete subtrees.
//!
//! For size 13 = 8 + 4 + 1 these are three hashes. A store keeps the 8 + 32 × popcount(size)
//! octets beside its log head; the root follows from them alone.

use thiserror::Error;

use crate::hash::{Hash, node_hash};

/// The complete subtrees of a tree, largest (leftmost) first: one for every 1 bit of its size.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Frontier {
    size: u64,
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Returns the frontier of the tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, peaks: Vec::new() }
    }

    /// Returns the number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the roots of the complete subtrees, largest first.
    #[must_use]
    pub fn peaks(&self) -> &[Hash] {
        &self.peaks
    }

    /// Appends the hash of one leaf and returns its index.
    ///
    /// # Errors
    ///
    /// [`TreeFull`] at 2^64 - 1 leaves; the frontier is then unchanged.
    pub fn append(&mut self, leaf: Hash) -> Result<u64, TreeFull> {
        let index = self.size;
        let size = index.checked_add(1).ok_or(TreeFull)?;

        // Every trailing 1 bit of the old size is a subtree that the new leaf completes.
        let mut merged = leaf;
        for _ in 0..index.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                merged = node_hash(&left, &merged);
            }
        }
        self.peaks.push(merged);
        self.size = size;
        Ok(index)
    }

    /// Returns the root of the tree (RFC 6962 §2.1, `MTH(D[n])`).
    #[must_use]
    pub fn root(&self) -> Hash {
        self.peaks
            .iter()
            .rev()
            .copied()
            .reduce(|right, left| node_hash(&left, &right))
            .unwrap_or_else(Hash::of_empty_tree)
    }

    /// Returns the size as 8 octets, big-endian, and the peaks, 32 octets each.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.size.to_be_bytes().to_vec();
        self.peaks.iter().for_each(|peak| bytes.extend_from_slice(peak.as_bytes()));
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// [`FrontierParseError`] if the number of hashes is not the one that the size asks for.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FrontierParseError> {
        let (size, rest) = bytes
            .split_first_chunk::<8>()
            .ok_or(FrontierParseError::TooShort { length: bytes.len() })?;
        let size = u64::from_be_bytes(*size);
        let (peaks, odd) = rest.as_chunks::<{ Hash::LENGTH }>();
        let wanted = size.count_ones();
        if !odd.is_empty() || u32::try_from(peaks.len()) != Ok(wanted) {
            return Err(FrontierParseError::WrongLength { size, wanted, length: rest.len() });
        }
        Ok(Self { size, peaks: peaks.iter().copied().map(Hash::from_bytes).collect() })
    }

    pub(crate) fn from_parts(size: u64, peaks: Vec<Hash>) -> Self {
        debug_assert_eq!(u32::try_from(peaks.len()), Ok(size.count_ones()));
        Self { size, peaks }
    }
}

/// A tree of 2^64 - 1 leaves takes no more.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the tree has 2^64 - 1 leaves, the most it can have")]
pub struct TreeFull;

/// Why stored bytes are not a frontier.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FrontierParseError {
    /// The size itself is missing.
    #[error("frontier has {length} octets, at least 8 are needed")]
    TooShort { length: usize },

    /// The hashes do not fit the size.
    #[error(
        "frontier of size {size} has {length} octets of hashes, {wanted} hashes of 32 are needed"
    )]
    WrongLength { size: u64, wanted: u32, length: usize },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::leaf_hash;

    /// The leaves and roots of the certificate-transparency project's reference tree.
    const LEAVES: [&[u8]; 8] = [
        b"",
        b"\x00",
        b"\x10",
        b"\x20\x21",
        b"\x30\x31",
        b"\x40\x41\x42\x43",
        b"\x50\x51\x52\x53\x54\x55\x56\x57",
        b"\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f",
    ];
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn the_reference_tree_has_the_published_roots() {
        let mut frontier = Frontier::new();
        assert_eq!(frontier.root(), Hash::of_empty_tree());

        for (leaf, root) in LEAVES.iter().zip(ROOTS) {
            frontier.append(leaf_hash(leaf)).unwrap();

            assert_eq!(frontier.root().to_string(), root, "size {}", frontier.size());
        }
    }

    #[test]
    fn stored_bytes_read_back_at_every_size() {
        let mut frontier = Frontier::new();
        for index in 0..300u64 {
            assert_eq!(Frontier::from_bytes(&frontier.to_bytes()), Ok(frontier.clone()));
            assert_eq!(frontier.append(leaf_hash(&index.to_be_bytes())), Ok(index));
        }
    }

    #[test]
    fn refuses_stored_bytes_of_another_length() {
        let mut frontier = Frontier::new();
        (0..3u8).for_each(|leaf| {
            frontier.append(leaf_hash(&[leaf])).unwrap();
        });
        let bytes = frontier.to_bytes();

        for length in 0..bytes.len() {
            assert!(Frontier::from_bytes(&bytes[..length]).is_err(), "{length}");
        }
        let longer = [&bytes[..], &[0; 32]].concat();
        assert_eq!(
            Frontier::from_bytes(&longer),
            Err(FrontierParseError::WrongLength { size: 3, wanted: 2, length: 96 })
        );
    }

    #[test]
    fn refuses_a_leaf_beyond_the_last_size() {
        let full = Frontier::from_parts(u64::MAX, vec![Hash::of_empty_tree(); 64]);

        let mut frontier = full.clone();
        assert_eq!(frontier.append(leaf_hash(b"one more")), Err(TreeFull));
        assert_eq!(frontier, full);
    }
}
