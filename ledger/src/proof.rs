//! Inclusion and consistency proofs (RFC 6962 §2.1.1 and §2.1.2).
//!
//! Proofs are made from a [`HashSource`]: tiles through [`crate::tree::TileHashes`], or all leaf
//! hashes in memory. They are verified with the two roots and the sizes alone.

use thiserror::Error;

use crate::hash::{Hash, node_hash};
use crate::tile::TileReadError;

/// A complete subtree: 2^`height` leaves, the first of them at `index` × 2^`height`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Subtree {
    /// 0 for a leaf, at most 63.
    pub height: u32,
    /// Position among the subtrees of this height.
    pub index: u64,
}

/// Where proofs take the hashes of complete subtrees from.
pub trait HashSource {
    /// Returns the root of a complete subtree.
    ///
    /// # Errors
    ///
    /// [`TileReadError`] if its hash cannot be had.
    fn hash(&self, subtree: Subtree) -> Result<Hash, TileReadError>;
}

/// Returns the proof that the leaf at `index` is in the tree of `size` leaves.
///
/// # Errors
///
/// [`ProofMakeError::OutOfTree`] if it is not, and the source's own errors.
pub fn inclusion(
    index: u64,
    size: u64,
    source: &dyn HashSource,
) -> Result<Vec<Hash>, ProofMakeError> {
    if index >= size {
        return Err(ProofMakeError::OutOfTree { wanted: index, size });
    }
    let (mut start, mut end) = (0, size);
    let mut proof = Vec::new();
    // Walk from the root to the leaf and note the sibling at every turn.
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            proof.push(range_root(middle, end, source)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, source)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// Returns the proof that the tree of `old` leaves is the beginning of the tree of `new` leaves.
///
/// It is empty if `old` is 0 or equal to `new`.
///
/// # Errors
///
/// [`ProofMakeError::OutOfTree`] if `old` is larger, and the source's own errors.
pub fn consistency(
    old: u64,
    new: u64,
    source: &dyn HashSource,
) -> Result<Vec<Hash>, ProofMakeError> {
    if old > new {
        return Err(ProofMakeError::OutOfTree { wanted: old, size: new });
    }
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, new);
    // RFC 6962 §2.1.2, SUBPROOF, from the top.
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range_root(middle, end, source)?);
            end = middle;
        } else {
            proof.push(range_root(start, middle, source)?);
            start = middle;
        }
    }
    // The verifier knows the old root itself: it is left out when it is this very subtree.
    if start != 0 {
        proof.push(range_root(start, end, source)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Verifies an inclusion proof. Source: RFC 9162 §2.1.3.2, the algorithm for RFC 6962 proofs.
///
/// # Errors
///
/// [`ProofError`] if `leaf` is not shown to be at `index` of the tree of `size` leaves and `root`.
pub fn verify_inclusion(
    leaf: Hash,
    index: u64,
    size: u64,
    root: Hash,
    proof: &[Hash],
) -> Result<(), ProofError> {
    if index >= size {
        return Err(ProofError::Sizes);
    }
    let (mut node, mut last) = (index, size - 1);
    let mut hash = leaf;
    for sibling in proof {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            // A right edge without sibling is carried up unchanged.
            let up = if node & 1 == 1 { 0 } else { node.trailing_zeros() };
            (node, last) = (shift(node, up), shift(last, up));
        } else {
            hash = node_hash(&hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if hash == root { Ok(()) } else { Err(ProofError::Root) }
}

/// Verifies a consistency proof. Source: RFC 9162 §2.1.4.2, the algorithm for RFC 6962 proofs.
///
/// # Errors
///
/// [`ProofError`] if the tree of `old` leaves and `old_root` is not shown to be the beginning of
/// the tree of `new` leaves and `new_root`.
pub fn verify_consistency(
    (old, old_root): (u64, Hash),
    (new, new_root): (u64, Hash),
    proof: &[Hash],
) -> Result<(), ProofError> {
    if old > new {
        return Err(ProofError::Sizes);
    }
    if old == 0 || old == new {
        let expected = if old == 0 { Hash::of_empty_tree() } else { new_root };
        return match proof {
            [] if old_root == expected => Ok(()),
            [] => Err(ProofError::Root),
            _ => Err(ProofError::Length),
        };
    }

    let (mut node, mut last) = (old - 1, new - 1);
    let up = node.trailing_ones();
    (node, last) = (shift(node, up), shift(last, up));

    let (first, rest) = if old.is_power_of_two() {
        (old_root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofError::Length)?;
        (*first, rest)
    };
    let (mut old_hash, mut new_hash) = (first, first);
    for sibling in rest {
        if last == 0 {
            return Err(ProofError::Length);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(sibling, &old_hash);
            new_hash = node_hash(sibling, &new_hash);
            let up = if node & 1 == 1 { 0 } else { node.trailing_zeros() };
            (node, last) = (shift(node, up), shift(last, up));
        } else {
            new_hash = node_hash(&new_hash, sibling);
        }
        (node, last) = (node >> 1, last >> 1);
    }
    if last != 0 {
        return Err(ProofError::Length);
    }
    if old_hash == old_root && new_hash == new_root { Ok(()) } else { Err(ProofError::Root) }
}

/// Returns the root over the leaves from `start` to before `end`, a range that occurs in proofs:
/// complete subtrees of falling size from left to right.
fn range_root(mut start: u64, end: u64, source: &dyn HashSource) -> Result<Hash, TileReadError> {
    let mut peaks = Vec::new();
    while start < end {
        let height = (end - start).ilog2();
        peaks.push(source.hash(Subtree { height, index: start >> height })?);
        start += 1 << height;
    }
    let root = peaks.into_iter().rev().reduce(|right, left| node_hash(&left, &right));
    Ok(root.unwrap_or_else(Hash::of_empty_tree))
}

/// Returns the largest power of two below `size`, which is at least 2 (RFC 6962 §2.1, *k*).
const fn split(size: u64) -> u64 {
    1 << (size - 1).ilog2()
}

/// Shifts right by up to 64 places; zero stays zero.
const fn shift(value: u64, places: u32) -> u64 {
    match value.checked_shr(places) {
        Some(shifted) => shifted,
        None => 0,
    }
}

/// Why a proof cannot be made.
#[derive(Debug, Error)]
pub enum ProofMakeError {
    /// The leaf or old tree lies beyond the tree.
    #[error("a proof for {wanted} was asked of a tree of {size} leaves")]
    OutOfTree { wanted: u64, size: u64 },

    /// A hash could not be had.
    #[error("a hash for the proof cannot be had")]
    Source(#[from] TileReadError),
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProofError {
    /// The leaf or old tree lies beyond the tree.
    #[error("proof is for a leaf or tree beyond the tree")]
    Sizes,

    /// Too few or too many hashes.
    #[error("proof has another number of hashes than its sizes need")]
    Length,

    /// The hashes lead elsewhere.
    #[error("proof does not lead to the root")]
    Root,
}
