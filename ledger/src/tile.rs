//! Tiles: the files a Merkle tree is stored in (C2SP tlog-tiles).
//!
//! A tile at level *l* holds up to 256 hashes, each the root of 256^*l* leaves; an entry bundle
//! holds the entries beneath one level 0 tile. A full file never changes. A partial one
//! (`.p/<W>`) belongs to a tree size and is superseded by a wider one, never rewritten.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use thiserror::Error;

/// The highest level a path can name. A tree of 64-bit size needs no more than 7.
pub const MAX_LEVEL: u8 = 63;

/// Hashes in a full tile and entries in a full bundle.
pub const FULL_WIDTH: u16 = 256;

/// What a file of the tree holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TileKind {
    /// Hashes of the given level, 32 octets each.
    Hashes(Level),
    /// Log entries behind their lengths.
    Entries,
}

/// The level of a tile, 0 to 63.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(u8);

impl Level {
    /// Takes a level.
    ///
    /// # Errors
    ///
    /// [`TilePathError`] beyond [`MAX_LEVEL`].
    pub const fn new(level: u8) -> Result<Self, TilePathError> {
        if level > MAX_LEVEL { Err(TilePathError::Level) } else { Ok(Self(level)) }
    }

    /// Returns the level's number.
    #[must_use]
    pub const fn number(self) -> u8 {
        self.0
    }
}

/// The levels a tree of 64-bit size can have.
pub(crate) const LEVELS: [Level; 8] =
    [Level(0), Level(1), Level(2), Level(3), Level(4), Level(5), Level(6), Level(7)];

/// How many of its 256 places a file has filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// 1 to 255.
    Partial(NonZeroU8),
    /// All 256.
    Full,
}

impl Width {
    /// Returns the number of hashes or entries, 1 to 256.
    #[must_use]
    pub fn count(self) -> u16 {
        match self {
            Self::Partial(width) => u16::from(width.get()),
            Self::Full => FULL_WIDTH,
        }
    }
}

/// The name of a file of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TilePath {
    /// Hashes of which level, or entries.
    pub kind: TileKind,
    /// The file's index in its level.
    pub index: u64,
    /// How far it is filled.
    pub width: Width,
}

impl TilePath {
    /// Returns the full file that takes this one's place once the tree has grown.
    #[must_use]
    pub const fn full(self) -> Self {
        Self { width: Width::Full, ..self }
    }

    /// Whether a tree of `size` leaves has this file: a checkpoint of that size rests on it.
    #[must_use]
    pub fn is_of_tree(self, size: u64) -> bool {
        let filled = filled(self.kind, size);
        match self.width {
            Width::Full => self.index < filled / u64::from(FULL_WIDTH),
            Width::Partial(_) => last_partial(self.kind, filled) == Some(self),
        }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{}/", level.0)?,
            TileKind::Entries => f.write_str("tile/entries/")?,
        }
        let decimal = self.index.to_string();
        let padding = (3 - decimal.len() % 3) % 3;
        let digits: Vec<char> = "0".repeat(padding).chars().chain(decimal.chars()).collect();
        let groups = digits.chunks(3);
        let last = groups.len().saturating_sub(1);
        for (place, group) in groups.enumerate() {
            let group: String = group.iter().collect();
            if place == last { f.write_str(&group)? } else { write!(f, "x{group}/")? }
        }
        match self.width {
            Width::Partial(width) => write!(f, ".p/{width}"),
            Width::Full => Ok(()),
        }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    /// Reads what [`fmt::Display`] writes and nothing else: one path for one file.
    fn from_str(text: &str) -> Result<Self, TilePathError> {
        let rest = text.strip_prefix("tile/").ok_or(TilePathError::Prefix)?;
        let (kind, rest) = rest.split_once('/').ok_or(TilePathError::Prefix)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            level => TileKind::Hashes(Level::new(decimal(level).ok_or(TilePathError::Level)?)?),
        };
        let (index, width) = match rest.split_once(".p/") {
            Some((index, width)) => {
                let width = decimal(width).ok_or(TilePathError::Width)?;
                (index, Width::Partial(NonZeroU8::new(width).ok_or(TilePathError::Width)?))
            }
            None => (rest, Width::Full),
        };
        let path = Self { kind, index: parse_index(index).ok_or(TilePathError::Index)?, width };
        // Leading zero groups are the one other spelling that is left.
        if path.to_string() == text { Ok(path) } else { Err(TilePathError::Index) }
    }
}

fn parse_index(text: &str) -> Option<u64> {
    let (upper, last) = text.rsplit_once('/').map_or((None, text), |(u, l)| (Some(u), l));
    let upper = upper.into_iter().flat_map(|upper| upper.split('/'));
    upper.map(|group| group.strip_prefix('x')).chain([Some(last)]).try_fold(0u64, |index, group| {
        let group = group.filter(|g| g.len() == 3 && g.bytes().all(|b| b.is_ascii_digit()))?;
        index.checked_mul(1000)?.checked_add(group.parse().ok()?)
    })
}

/// Reads 0 to 255 without leading zeroes or sign.
fn decimal(text: &str) -> Option<u8> {
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Why a text is not the path of a tile.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TilePathError {
    /// Not under `tile/`.
    #[error("path does not begin with tile/<level>/ or tile/entries/")]
    Prefix,
    /// The level.
    #[error("tile level is not a number from 0 to 63")]
    Level,
    /// The index.
    #[error("tile index is not in groups of three digits, all but the last behind an x")]
    Index,
    /// The width.
    #[error("width of a partial tile is not a number from 1 to 255")]
    Width,
}

/// Where the files of a tree are read from: a folder, a server, a map in a test.
pub trait TileSource {
    /// Returns the whole file at `path`.
    ///
    /// # Errors
    ///
    /// [`TileReadError::Missing`] if there is none, which is an ordinary answer: partial files may
    /// be removed once the full one exists.
    fn read(&self, path: &TilePath) -> Result<Vec<u8>, TileReadError>;
}

/// Why a file of the tree could not be read.
#[derive(Debug, Error)]
pub enum TileReadError {
    /// There is no such file.
    #[error("{path} is missing")]
    Missing { path: TilePath },

    /// It has another length than its path says.
    #[error("{path} has {length} octets, {wanted} are needed")]
    WrongLength { path: TilePath, length: usize, wanted: usize },

    /// The medium failed.
    #[error("{path} cannot be read")]
    Unreadable {
        path: TilePath,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl<S: TileSource + ?Sized> TileSource for &S {
    fn read(&self, path: &TilePath) -> Result<Vec<u8>, TileReadError> {
        (**self).read(path)
    }
}

/// Reads a file, or where a partial one is gone the full one that took its place, and says which.
///
/// # Errors
///
/// As [`TileSource::read`]; the path named is the one that was asked for.
pub(crate) fn read_or_full(
    source: &dyn TileSource,
    path: TilePath,
) -> Result<(Width, Vec<u8>), TileReadError> {
    match (source.read(&path), path.width) {
        (Err(TileReadError::Missing { .. }), Width::Partial(_)) => {
            match source.read(&path.full()) {
                Err(TileReadError::Missing { .. }) => Err(TileReadError::Missing { path }),
                other => Ok((Width::Full, other?)),
            }
        }
        (read, width) => Ok((width, read?)),
    }
}

/// Returns the path of every file of a tree of `size` leaves: hash tiles of every level, lowest
/// first, and entry bundles.
pub fn paths(size: u64) -> impl Iterator<Item = TilePath> {
    paths_between(0, size)
}

/// Returns the path of every file that a tree of `new` leaves has and one of `old` had not.
///
/// These are the files to write, before the checkpoint, when the tree grows from `old` to `new`.
/// Nothing is returned when `new` is not larger.
pub fn paths_between(old: u64, new: u64) -> impl Iterator<Item = TilePath> {
    let kinds = LEVELS.into_iter().map(TileKind::Hashes).chain([TileKind::Entries]);
    kinds.flat_map(move |kind| {
        let (old, new) = (filled(kind, old), filled(kind, new));
        let grown = new > old;
        let full = old / u64::from(FULL_WIDTH)..new / u64::from(FULL_WIDTH);
        let full = full.map(move |index| TilePath { kind, index, width: Width::Full });
        full.chain(last_partial(kind, new)).filter(move |_| grown)
    })
}

/// Returns the partial file at the right edge of a kind that has `filled` places taken, if any.
pub(crate) fn last_partial(kind: TileKind, filled: u64) -> Option<TilePath> {
    let full = u64::from(FULL_WIDTH);
    let width = u8::try_from(filled % full).ok().and_then(NonZeroU8::new)?;
    Some(TilePath { kind, index: filled / full, width: Width::Partial(width) })
}

/// Returns how many hashes or entries of this kind a tree of `size` leaves has: size / 256^level.
pub(crate) fn filled(kind: TileKind, size: u64) -> u64 {
    match kind {
        TileKind::Entries => size,
        TileKind::Hashes(level) => size.checked_shr(8 * u32::from(level.0)).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TilePath {
        text.parse().unwrap()
    }

    /// C2SP tlog-tiles: "index 1234067 will be encoded as x001/x234/067".
    #[test]
    fn an_index_is_written_as_the_specification_shows() {
        let tile = TilePath {
            kind: TileKind::Hashes(Level::new(3).unwrap()),
            index: 1_234_067,
            width: Width::Full,
        };

        assert_eq!(tile.to_string(), "tile/3/x001/x234/067");
        assert_eq!(path("tile/entries/000.p/255").to_string(), "tile/entries/000.p/255");
        assert_eq!(path("tile/0/x001/000").index, 1000);
        assert_eq!(path("tile/63/x018/x446/x744/x073/x709/x551/615").index, u64::MAX);
    }

    /// The rule by one file is the rule by all of them.
    #[test]
    fn a_tree_has_the_files_that_are_listed_for_it() {
        for size in [0, 1, 255, 256, 257, 512, 65_535, 65_536, 65_537, 70_000] {
            let listed: Vec<TilePath> = paths(size).collect();
            let other = paths(size + 1).chain(paths(size.saturating_sub(1))).chain(paths(300));
            for path in listed.iter().copied().chain(other) {
                assert_eq!(path.is_of_tree(size), listed.contains(&path), "{path} of {size}");
            }
        }
        assert!(!path("tile/63/000").is_of_tree(u64::MAX));
    }

    #[test]
    fn refuses_every_other_path() {
        for (text, error) in [
            ("", TilePathError::Prefix),
            ("tile", TilePathError::Prefix),
            ("tile/0", TilePathError::Prefix),
            ("/tile/0/000", TilePathError::Prefix),
            ("tile/64/000", TilePathError::Level),
            ("tile/256/000", TilePathError::Level),
            ("tile/00/000", TilePathError::Level),
            ("tile/+1/000", TilePathError::Level),
            ("tile/-1/000", TilePathError::Level),
            ("tile/data/000", TilePathError::Level),
            ("tile/8/0/000", TilePathError::Index),
            ("tile/0/", TilePathError::Index),
            ("tile/0/0", TilePathError::Index),
            ("tile/0/0000", TilePathError::Index),
            ("tile/0/x000/001", TilePathError::Index),
            ("tile/0/x001", TilePathError::Index),
            ("tile/0/001/002", TilePathError::Index),
            ("tile/0/x001//002", TilePathError::Index),
            ("tile/0/../../etc/passwd", TilePathError::Index),
            ("tile/0/x018/x446/x744/x073/x709/x551/616", TilePathError::Index),
            ("tile/0/٠٠٠", TilePathError::Index),
            ("tile/0/000.p/0", TilePathError::Width),
            ("tile/0/000.p/256", TilePathError::Width),
            ("tile/0/000.p/01", TilePathError::Width),
            ("tile/0/000.p/1.p/1", TilePathError::Width),
            ("tile/0/000.p/", TilePathError::Width),
        ] {
            assert_eq!(text.parse::<TilePath>(), Err(error), "{text}");
        }
    }

    /// C2SP tlog-tiles, partial tiles: the tree of size 70,000.
    #[test]
    fn a_tree_of_70000_has_the_files_the_specification_counts() {
        let all: Vec<String> = paths(70_000).map(|path| path.to_string()).collect();
        let count = |prefix: &str, partial: bool| {
            all.iter().filter(|p| p.starts_with(prefix) && p.contains(".p/") == partial).count()
        };

        assert_eq!((count("tile/0/", false), count("tile/0/", true)), (273, 1));
        assert_eq!((count("tile/entries/", false), count("tile/entries/", true)), (273, 1));
        assert!(all.contains(&"tile/0/273.p/112".to_owned()));
        assert!(all.contains(&"tile/1/000".to_owned()));
        assert!(all.contains(&"tile/1/001.p/17".to_owned()));
        assert!(all.contains(&"tile/2/000.p/1".to_owned()));
        assert_eq!(all.len(), 274 * 2 + 3);
    }

    /// C2SP tlog-tiles: "a tree of size 256 will be represented by a full level 0 tile and a
    /// partial level 1 tile of width 1".
    #[test]
    fn only_what_a_larger_tree_adds_is_named() {
        let between = |old, new| paths_between(old, new).map(|p| p.to_string()).collect::<Vec<_>>();

        assert_eq!(between(0, 256), ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
        assert_eq!(between(255, 256), between(0, 256));
        assert_eq!(between(256, 257), ["tile/0/001.p/1", "tile/entries/001.p/1"]);
        assert_eq!(between(0, 0), [""; 0]);
        assert_eq!(between(300, 300), [""; 0]);
        assert_eq!(between(300, 20), [""; 0]);
    }

    proptest::proptest! {
        #[test]
        fn every_path_reads_back(level in 0..=64u8, index: u64, width: u8) {
            let kind = Level::new(level).map_or(TileKind::Entries, TileKind::Hashes);
            let width = NonZeroU8::new(width).map_or(Width::Full, Width::Partial);
            let tile = TilePath { kind, index, width };
            proptest::prop_assert_eq!(tile.to_string().parse(), Ok(tile));
        }

        #[test]
        fn no_text_is_read_as_a_path_it_is_not_written_as(text in "tile/([0-9]{1,3}|entries)/[x0-9/.p]{0,20}") {
            if let Ok(tile) = text.parse::<TilePath>() {
                proptest::prop_assert_eq!(tile.to_string(), text);
            }
        }
    }
}
