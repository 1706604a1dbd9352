//! Our trees, proofs and tiles against two published libraries, and proofs against forgery.

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use proptest::prelude::*;
use sha2::Sha256;
use tlog_tiles::{HashReader, Tile};

use super::{Log, entry};
use crate::hash::{Hash, leaf_hash};
use crate::proof::{
    ProofError, ProofMakeError, consistency, inclusion, verify_consistency, verify_inclusion,
};
use crate::tile::{TileKind, paths_between};
use crate::tree::TileHashes;

/// Every size up to here is tried with every leaf and every smaller size.
const ALL_SIZES: u64 = 300;

/// The hashes that `tlog_tiles` wants stored, in its own numbering.
#[derive(Default)]
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::Error> {
        Ok(indexes.iter().map(|index| self.0[usize::try_from(*index).unwrap()]).collect())
    }
}

impl Stored {
    fn of_size(size: u64) -> Self {
        let mut stored = Self::default();
        for index in 0..size {
            let more = tlog_tiles::stored_hashes(index, &entry(index), &stored).unwrap();
            stored.0.extend(more);
        }
        stored
    }
}

fn octets(proof: &[Hash]) -> Vec<u8> {
    proof.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// RFC 6962 §2.1.1: every inclusion proof of every small tree is the one that both libraries make.
#[test]
fn inclusion_proofs_are_those_of_both_oracles() {
    let stored = Stored::of_size(ALL_SIZES);
    let (mut log, mut tree) = (Log::of_size(0), MemoryBackedTree::<Sha256, Vec<u8>>::new());
    for size in 1..=ALL_SIZES {
        log.grow_to(size);
        tree.push(entry(size - 1));
        let hashes = TileHashes::new(size, &log.files);
        assert_eq!(log.root().as_bytes()[..], tree.root().as_bytes()[..], "{size}");

        for index in 0..size {
            let proof = inclusion(index, size, &hashes).unwrap();

            let theirs = tree.prove_inclusion(usize::try_from(index).unwrap());
            assert_eq!(octets(&proof), theirs.as_bytes(), "{index} of {size}");
            let theirs = tlog_tiles::prove_record(size, index, &stored).unwrap();
            assert_eq!(octets(&proof), theirs.iter().flat_map(|h| h.0).collect::<Vec<u8>>());
            let leaf = leaf_hash(&entry(index));
            assert_eq!(verify_inclusion(leaf, index, size, log.root(), &proof), Ok(()));
        }
    }
}

/// RFC 6962 §2.1.2: every consistency proof of every pair of small trees is the one that both
/// libraries make.
#[test]
fn consistency_proofs_are_those_of_both_oracles() {
    let stored = Stored::of_size(ALL_SIZES);
    let (mut log, mut tree) = (Log::of_size(0), MemoryBackedTree::<Sha256, Vec<u8>>::new());
    let mut roots = vec![log.root()];
    for new in 1..=ALL_SIZES {
        log.grow_to(new);
        tree.push(entry(new - 1));
        roots.push(log.root());
        let root = |size: u64| roots[usize::try_from(size).unwrap()];
        let hashes = TileHashes::new(new, &log.files);
        for old in 0..=new {
            let proof = consistency(old, new, &hashes).unwrap();

            if 0 < old && old < new {
                let theirs = tree.prove_consistency(usize::try_from(new - old).unwrap());
                assert_eq!(octets(&proof), theirs.as_bytes(), "{old} in {new}");
                let theirs = tlog_tiles::prove_tree(new, old, &stored).unwrap();
                assert_eq!(octets(&proof), theirs.iter().flat_map(|h| h.0).collect::<Vec<u8>>());
            }
            assert_eq!(verify_consistency((old, root(old)), (new, root(new)), &proof), Ok(()));
        }
    }
}

/// A tree with a partial tile on three levels: every tile has the octets that the oracle writes.
#[test]
fn tiles_hold_the_hashes_of_the_oracle() {
    let size = 66_000;
    let stored = Stored::of_size(size);
    let log = Log::of_size(size);

    let theirs = Tile::new_tiles(8, 0, size);
    let ours = paths_between(0, size).filter(|path| path.kind != TileKind::Entries);
    assert_eq!(ours.count(), theirs.len());
    for tile in theirs {
        let data = tile.read_data(&stored).unwrap();
        let found = log.files.0.iter().any(|(path, bytes)| same(path, &tile) && *bytes == data);
        assert!(found, "{}", tile.path());
    }
}

fn same(path: &crate::tile::TilePath, tile: &Tile) -> bool {
    let TileKind::Hashes(level) = path.kind else { return false };
    level.number() == tile.level()
        && path.index == tile.level_index()
        && u32::from(path.width.count()) == tile.width()
}

#[test]
fn refuses_to_prove_what_is_not_in_the_tree() {
    let log = Log::of_size(5);
    let hashes = TileHashes::new(5, &log.files);

    for (proof, wanted) in [(inclusion(5, 5, &hashes), 5), (consistency(6, 5, &hashes), 6)] {
        assert!(
            matches!(proof, Err(ProofMakeError::OutOfTree { wanted: w, size: 5 }) if w == wanted)
        );
    }
    assert!(matches!(
        inclusion(0, 5, &TileHashes::new(5, &super::Files::default())),
        Err(ProofMakeError::Source(_))
    ));
}

#[test]
fn refuses_sizes_that_cannot_be() {
    let root = Hash::of_empty_tree();

    assert_eq!(verify_inclusion(root, 0, 0, root, &[]), Err(ProofError::Sizes));
    assert_eq!(verify_inclusion(root, u64::MAX, u64::MAX, root, &[]), Err(ProofError::Sizes));
    assert_eq!(verify_consistency((2, root), (1, root), &[]), Err(ProofError::Sizes));
    assert_eq!(verify_consistency((0, root), (9, root), &[root]), Err(ProofError::Length));
    assert_eq!(verify_consistency((0, leaf_hash(b"")), (9, root), &[]), Err(ProofError::Root));
    assert_eq!(verify_consistency((9, root), (9, leaf_hash(b"")), &[]), Err(ProofError::Root));
}

fn random_sizes() -> impl Strategy<Value = (u64, u64)> {
    (1..6000u64).prop_flat_map(|new| (0..=new, Just(new)))
}

proptest! {
    /// Larger trees, and every way to spoil a proof that proves.
    #[test]
    fn proofs_of_random_trees_prove_and_spoiled_ones_do_not(
        (old, new) in random_sizes(),
        spoil in 0..64usize,
    ) {
        let (small, large) = (Log::of_size(old), Log::of_size(new));
        let hashes = TileHashes::new(new, &large.files);
        let (first, last) = ((old, small.root()), (new, large.root()));

        let proof = consistency(old, new, &hashes).unwrap();
        prop_assert_eq!(verify_consistency(first, last, &proof), Ok(()));
        for spoiled in spoiled(&proof, spoil) {
            prop_assert!(verify_consistency(first, last, &spoiled).is_err());
        }
        let other = leaf_hash(b"another root");
        prop_assert!(verify_consistency((old, other), last, &proof).is_err());
        // An empty tree says nothing of the one that follows it.
        prop_assert!(old == 0 || verify_consistency(first, (new, other), &proof).is_err());

        let index = old.min(new - 1);
        let leaf = leaf_hash(&entry(index));
        let proof = inclusion(index, new, &hashes).unwrap();
        prop_assert_eq!(verify_inclusion(leaf, index, new, last.1, &proof), Ok(()));
        for spoiled in spoiled(&proof, spoil) {
            prop_assert!(verify_inclusion(leaf, index, new, last.1, &spoiled).is_err());
        }
        prop_assert!(verify_inclusion(other, index, new, last.1, &proof).is_err());
        prop_assert!(verify_inclusion(leaf, index ^ 1, new, last.1, &proof).is_err() || new == 1);
    }

    #[test]
    fn hostile_proofs_end(
        sizes: (u64, u64),
        hashes in proptest::collection::vec(any::<[u8; 32]>(), 0..140),
    ) {
        let proof: Vec<Hash> = hashes.into_iter().map(Hash::from_bytes).collect();
        let root = Hash::of_empty_tree();
        prop_assert!(verify_inclusion(root, sizes.0, sizes.1, root, &proof).is_err());
        prop_assert!(sizes.0 == sizes.1
            || verify_consistency((sizes.0, leaf_hash(b"")), (sizes.1, root), &proof).is_err());
    }

    #[test]
    fn the_files_to_write_are_those_of_the_oracle(old in 0..1u64 << 40, more in 0..2000u64) {
        let new = old + more;
        let ours: Vec<_> =
            paths_between(old, new).filter(|path| path.kind != TileKind::Entries).collect();
        let theirs = Tile::new_tiles(8, old, new);
        prop_assert_eq!(ours.len(), theirs.len());
        prop_assert!(ours.iter().zip(&theirs).all(|(path, tile)| same(path, tile)));
    }
}

/// Returns a proof with a hash changed, taken away and put in.
fn spoiled(proof: &[Hash], at: usize) -> Vec<Vec<Hash>> {
    let other = leaf_hash(b"not in the tree");
    let at = at % proof.len().max(1);
    let mut longer = proof.to_vec();
    longer.insert(at, other);
    if proof.is_empty() {
        return vec![longer];
    }
    let (mut changed, mut shorter) = (proof.to_vec(), proof.to_vec());
    changed[at] = other;
    shorter.remove(at);
    vec![changed, shorter, longer]
}
