//! Reading a stored tree: hashes for proofs, entries for followers, and the whole for auditors.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use thiserror::Error;

use crate::bundle::{self, BundleParseError};
use crate::edge::{AppendError, Edge, TileFile, concatenate};
use crate::frontier::{Frontier, TreeFull};
use crate::hash::{Hash, leaf_hash, node_hash};
use crate::proof::{HashSource, Subtree};
use crate::tile::{
    FULL_WIDTH, LEVELS, Level, TileKind, TilePath, TileReadError, TileSource, Width, filled,
    last_partial, read_or_full,
};

/// The hashes of a tree of a given size, read from its tiles as proofs need them.
///
/// What the tiles say is not verified: the proof made from it is, against a signed root. Every tile
/// is read and every inner node computed once, however many proofs are made.
pub struct TileHashes<'a> {
    source: &'a dyn TileSource,
    size: u64,
    tiles: RefCell<HashMap<TilePath, Vec<Hash>>>,
    inner: RefCell<HashMap<Subtree, Hash>>,
}

impl<'a> TileHashes<'a> {
    /// Reads tiles of the tree of `size` leaves.
    #[must_use]
    pub fn new(size: u64, source: &'a dyn TileSource) -> Self {
        Self { source, size, tiles: RefCell::default(), inner: RefCell::default() }
    }

    fn in_tile(&self, level: Level, position: u64) -> Result<Hash, TileReadError> {
        let path = file_of(TileKind::Hashes(level), position, self.size);
        let mut tiles = self.tiles.borrow_mut();
        let hashes = match tiles.entry(path) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => place.insert(tile_hashes(path, self.source)?),
        };
        let place = usize::try_from(position % u64::from(FULL_WIDTH)).unwrap_or_default();
        hashes.get(place).copied().ok_or(TileReadError::Missing { path })
    }
}

impl HashSource for TileHashes<'_> {
    fn hash(&self, subtree: Subtree) -> Result<Hash, TileReadError> {
        let level = LEVELS.into_iter().find(|l| u32::from(l.number()) * 8 == subtree.height);
        if let Some(level) = level {
            return self.in_tile(level, subtree.index);
        }
        if let Some(known) = self.inner.borrow().get(&subtree) {
            return Ok(*known);
        }
        // Levels between those of tiles are hashed from the one below.
        let child = |index| Subtree { height: subtree.height.saturating_sub(1), index };
        let left = self.hash(child(subtree.index << 1))?;
        let hash = node_hash(&left, &self.hash(child(subtree.index << 1 | 1))?);
        self.inner.borrow_mut().insert(subtree, hash);
        Ok(hash)
    }
}

/// Reads the entries after those of `frontier`, up to `size`, and returns the larger frontier.
///
/// `visit` is given each entry and its index before anything is verified: what it does must be
/// undone unless the returned frontier has the root of a trusted checkpoint. Only entry bundles
/// are read, so equality of the root proves both the entries and that the tree only grew.
///
/// # Errors
///
/// [`ReplayError`] if `size` is smaller or a bundle is missing or malformed.
pub fn replay(
    frontier: &Frontier,
    size: u64,
    source: &dyn TileSource,
    mut visit: impl FnMut(u64, &[u8]),
) -> Result<Frontier, ReplayError> {
    if size < frontier.size() {
        return Err(ReplayError::Smaller { have: frontier.size(), size });
    }
    let mut frontier = frontier.clone();
    while frontier.size() < size {
        let path = file_of(TileKind::Entries, frontier.size(), size);
        let (width, bytes) = read_or_full(source, path)?;
        let mut entries = bundle::split(&bytes, usize::from(width.count()))
            .map_err(|error| ReplayError::Bundle { path, source: error })?;
        entries.truncate(usize::from(path.width.count()));
        let known = usize::try_from(frontier.size() % u64::from(FULL_WIDTH)).unwrap_or_default();
        for entry in entries.into_iter().skip(known) {
            let index = frontier.append(leaf_hash(entry))?;
            visit(index, entry);
        }
    }
    Ok(frontier)
}

/// Checks every file of the tree of `size` leaves against `root` and gives each entry to `visit`.
///
/// Memory use does not depend on the size. `visit` sees entries before the root is reached: as
/// with [`replay`], they are believed once this function has returned.
///
/// # Errors
///
/// [`TreeError`] names the first file that is missing, malformed or not the tree's.
pub fn verify(
    size: u64,
    root: Hash,
    source: &dyn TileSource,
    mut visit: impl FnMut(u64, &[u8]),
) -> Result<(), TreeError> {
    let mut edge = Edge::new();
    while edge.size() < size {
        let start = edge.size();
        let path = file_of(TileKind::Entries, start, size);
        let (width, bytes) = read_or_full(source, path)?;
        let mut entries = bundle::split(&bytes, usize::from(width.count()))
            .map_err(|error| TreeError::Bundle { path, source: error })?;
        entries.truncate(usize::from(path.width.count()));
        let files = edge.append(&entries)?;

        // Partial files of sizes on the way are not the tree's.
        let mut full = files.iter().filter(|file| file.path.width == Width::Full);
        full.try_for_each(|file| same_tile(file, source))?;
        (start..).zip(entries).for_each(|(index, entry)| visit(index, entry));
    }
    edge.partial_files(0).try_for_each(|file| same_tile(&file, source))?;
    let found = edge.root();
    if found == root { Ok(()) } else { Err(TreeError::RootDiffers { size, wanted: root, found }) }
}

fn same_tile(file: &TileFile, source: &dyn TileSource) -> Result<(), TreeError> {
    if file.path.kind == TileKind::Entries {
        // The file that the tile was computed from.
        return Ok(());
    }
    let stored = tile_hashes(file.path, source)?;
    if concatenate(&stored) == file.bytes {
        Ok(())
    } else {
        Err(TreeError::TileDiffers { path: file.path })
    }
}

/// Returns the root over 2^k hashes of one height.
pub(crate) fn subtree_root(hashes: &[Hash]) -> Hash {
    let mut frontier = Frontier::new();
    for hash in hashes {
        // A tile has 256 hashes at most: the frontier cannot be full.
        let _: Result<u64, TreeFull> = frontier.append(*hash);
    }
    frontier.root()
}

/// Reads a tile, or the full one in its place, and returns as many hashes as its path says.
pub(crate) fn tile_hashes(
    path: TilePath,
    source: &dyn TileSource,
) -> Result<Vec<Hash>, TileReadError> {
    let (width, bytes) = read_or_full(source, path)?;
    let wanted = usize::from(width.count()) * Hash::LENGTH;
    let (hashes, _) = bytes.as_chunks::<{ Hash::LENGTH }>();
    if bytes.len() != wanted {
        return Err(TileReadError::WrongLength { path, length: bytes.len(), wanted });
    }
    let count = usize::from(path.width.count());
    Ok(hashes.iter().take(count).copied().map(Hash::from_bytes).collect())
}

/// Returns the file that holds a kind's place `position` in the tree of `size` leaves.
fn file_of(kind: TileKind, position: u64, size: u64) -> TilePath {
    let index = position / u64::from(FULL_WIDTH);
    last_partial(kind, filled(kind, size))
        .filter(|partial| partial.index == index)
        .unwrap_or(TilePath { kind, index, width: Width::Full })
}

/// Why entries cannot be read.
#[derive(Debug, Error)]
pub enum ReplayError {
    /// The tree is smaller than what is known of it.
    #[error("the tree has {size} entries, {have} are known already")]
    Smaller { have: u64, size: u64 },

    /// A file cannot be had.
    #[error("the log's entries cannot be read")]
    Read(#[from] TileReadError),

    /// A bundle is malformed.
    #[error("{path} is not an entry bundle")]
    Bundle {
        path: TilePath,
        #[source]
        source: BundleParseError,
    },

    /// The tree's size.
    #[error(transparent)]
    Full(#[from] TreeFull),
}

/// Why stored files are not the tree they should be.
#[derive(Debug, Error)]
pub enum TreeError {
    /// A file cannot be had.
    #[error("the tree cannot be read")]
    Read(#[from] TileReadError),

    /// A bundle is malformed.
    #[error("{path} is not an entry bundle")]
    Bundle {
        path: TilePath,
        #[source]
        source: BundleParseError,
    },

    /// The tree's size.
    #[error(transparent)]
    Append(#[from] AppendError),

    /// A tile does not follow from the entries.
    #[error("{path} does not hold the hashes of the entries beneath it")]
    TileDiffers { path: TilePath },

    /// The entries are of another tree.
    #[error("entries of size {size} have root {found}, {wanted} is needed")]
    RootDiffers { size: u64, wanted: Hash, found: Hash },
}
