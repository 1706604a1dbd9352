//! The right edge of a tree: all that is needed to append entries and write the files they change.
//!
//! An [`Edge`] holds the partial tile of every level and the partial entry bundle: at most
//! 255 × 32 octets a level and 255 entries. After a restart it is rebuilt from the tree's own
//! files, and believed only if it has the root that a signed checkpoint or the store says.

use thiserror::Error;

use crate::bundle::{self, BundleParseError, EntryTooLong};
use crate::frontier::{Frontier, TreeFull};
use crate::hash::{Hash, leaf_hash};
use crate::tile::{
    FULL_WIDTH, LEVELS, Level, TileKind, TilePath, TileReadError, TileSource, Width, filled,
    last_partial, read_or_full,
};
use crate::tree::{subtree_root, tile_hashes};

/// A file of the tree with its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileFile {
    /// Its name.
    pub path: TilePath,
    /// All of its octets.
    pub bytes: Vec<u8>,
}

/// The partial files at the right edge of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edge {
    size: u64,
    levels: [Vec<Hash>; LEVELS.len()],
    bundle: Vec<u8>,
}

impl Edge {
    /// Returns the edge of the tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self { size: 0, levels: LEVELS.map(|_| Vec::new()), bundle: Vec::new() }
    }

    /// Rebuilds the edge of the tree of `size` leaves and `root` from its files.
    ///
    /// # Errors
    ///
    /// [`EdgeLoadError`] if a file is missing or malformed, the entries do not hash to their tile,
    /// or the tiles not to `root`.
    pub fn load(size: u64, root: Hash, source: &dyn TileSource) -> Result<Self, EdgeLoadError> {
        let mut edge = Self { size, ..Self::new() };
        for (level, hashes) in LEVELS.into_iter().zip(&mut edge.levels) {
            let kind = TileKind::Hashes(level);
            if let Some(path) = last_partial(kind, filled(kind, size)) {
                *hashes = tile_hashes(path, source)?;
            }
        }
        if let Some(path) = last_partial(TileKind::Entries, size) {
            let (width, bytes) = read_or_full(source, path)?;
            let mut entries = bundle::split(&bytes, usize::from(width.count()))
                .map_err(|error| EdgeLoadError::Bundle { path, source: error })?;
            entries.truncate(usize::from(path.width.count()));
            let [leaves, ..] = &edge.levels;
            if !entries.iter().map(|entry| leaf_hash(entry)).eq(leaves.iter().copied()) {
                return Err(EdgeLoadError::EntriesDiffer { path });
            }
            entries.iter().try_for_each(|entry| bundle::push(&mut edge.bundle, entry))?;
        }
        let found = edge.root();
        if found != root {
            return Err(EdgeLoadError::RootDiffers { size, wanted: root, found });
        }
        Ok(edge)
    }

    /// Returns the number of leaves.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the root of the tree.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.frontier().root()
    }

    /// Returns the tree's complete subtrees.
    #[must_use]
    pub fn frontier(&self) -> Frontier {
        let mut peaks = Vec::new();
        for hashes in self.levels.iter().rev() {
            let mut rest = hashes.as_slice();
            while !rest.is_empty() {
                let (peak, after) = rest.split_at(1 << rest.len().ilog2());
                peaks.push(subtree_root(peak));
                rest = after;
            }
        }
        Frontier::from_parts(self.size, peaks)
    }

    /// Appends entries and returns the files that the larger tree has and the smaller had not.
    ///
    /// The files must be written, in any order, before a checkpoint of the new size. Each file
    /// comes once; files of sizes in between are not made.
    ///
    /// # Errors
    ///
    /// [`AppendError`]; the edge is then unchanged.
    pub fn append<E: AsRef<[u8]>>(&mut self, entries: &[E]) -> Result<Vec<TileFile>, AppendError> {
        let old = self.size;
        let count = u64::try_from(entries.len()).map_err(|_| TreeFull)?;
        old.checked_add(count).ok_or(TreeFull)?;
        if let Some(entry) = entries.iter().find(|e| e.as_ref().len() > bundle::MAX_ENTRY_LENGTH) {
            return Err(bundle::push(&mut Vec::new(), entry.as_ref())
                .map_or_else(AppendError::from, |()| AppendError::Full(TreeFull)));
        }

        let mut files = Vec::new();
        for entry in entries {
            bundle::push(&mut self.bundle, entry.as_ref())?;
            self.push_leaf(leaf_hash(entry.as_ref()), &mut files);
        }
        files.extend(self.partial_files(old));
        Ok(files)
    }

    fn push_leaf(&mut self, leaf: Hash, files: &mut Vec<TileFile>) {
        self.size += 1;
        let mut hash = leaf;
        for (level, hashes) in LEVELS.into_iter().zip(&mut self.levels) {
            hashes.push(hash);
            if hashes.len() < usize::from(FULL_WIDTH) {
                return;
            }
            let kind = TileKind::Hashes(level);
            files.push(TileFile { path: last_full(kind, self.size), bytes: concatenate(hashes) });
            if level == LEAVES {
                files.push(TileFile {
                    path: last_full(TileKind::Entries, self.size),
                    bytes: std::mem::take(&mut self.bundle),
                });
            }
            hash = subtree_root(hashes);
            hashes.clear();
        }
    }

    /// Returns the partial files of this tree that one of `old` leaves had not.
    pub(crate) fn partial_files(&self, old: u64) -> impl Iterator<Item = TileFile> {
        let grown = move |kind| filled(kind, self.size) > filled(kind, old);
        let partial = move |kind| last_partial(kind, filled(kind, self.size));
        let tiles = LEVELS.into_iter().zip(&self.levels).filter_map(move |(level, hashes)| {
            let kind = TileKind::Hashes(level);
            let path = partial(kind).filter(|_| grown(kind))?;
            Some(TileFile { path, bytes: concatenate(hashes) })
        });
        let bundle = partial(TileKind::Entries).filter(move |_| grown(TileKind::Entries));
        tiles.chain(bundle.map(|path| TileFile { path, bytes: self.bundle.clone() }))
    }
}

impl Default for Edge {
    fn default() -> Self {
        Self::new()
    }
}

const LEAVES: Level = {
    let [leaves, ..] = LEVELS;
    leaves
};

/// Returns the path of the full file that the tree of `size` leaves has just completed.
fn last_full(kind: TileKind, size: u64) -> TilePath {
    let index = (filled(kind, size) / u64::from(FULL_WIDTH)).saturating_sub(1);
    TilePath { kind, index, width: Width::Full }
}

pub(crate) fn concatenate(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// Why entries are not appended.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// An entry's length.
    #[error(transparent)]
    EntryTooLong(#[from] EntryTooLong),
    /// The tree's size.
    #[error(transparent)]
    Full(#[from] TreeFull),
}

/// Why an edge cannot be rebuilt.
#[derive(Debug, Error)]
pub enum EdgeLoadError {
    /// A file cannot be had.
    #[error("the tree's edge cannot be read")]
    Read(#[from] TileReadError),

    /// The bundle is malformed.
    #[error("{path} is not an entry bundle")]
    Bundle {
        path: TilePath,
        #[source]
        source: BundleParseError,
    },

    /// An entry that was read is too long, which a bundle cannot express.
    #[error(transparent)]
    EntryTooLong(#[from] EntryTooLong),

    /// Entries and leaf hashes disagree.
    #[error("the entries in {path} do not hash to the level 0 tile beside it")]
    EntriesDiffer { path: TilePath },

    /// The files are of another tree.
    #[error("tiles of size {size} have root {found}, {wanted} is needed")]
    RootDiffers { size: u64, wanted: Hash, found: Hash },
}
