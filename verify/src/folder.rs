//! Tiles in a folder, as they are published and as they are handed to an auditor.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use ledger::Hash;
use ledger::bundle::MAX_ENTRY_LENGTH;
use ledger::tile::{FULL_WIDTH, TileKind, TilePath, TileReadError, TileSource};

/// A folder that holds `tile/`.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl TileSource for Folder {
    fn read(&self, path: &TilePath) -> Result<Vec<u8>, TileReadError> {
        let unreadable =
            |error: io::Error| TileReadError::Unreadable { path: *path, source: Box::new(error) };
        let file = match File::open(self.0.join(path.to_string())) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(TileReadError::Missing { path: *path });
            }
            Err(error) => return Err(unreadable(error)),
        };
        // One octet more than a file can have, so that a longer one is seen and refused.
        let limit = u64::try_from(longest(path.kind)).unwrap_or(u64::MAX).saturating_add(1);
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
        Ok(bytes)
    }
}

/// Octets of the longest file of a kind.
fn longest(kind: TileKind) -> usize {
    let each = match kind {
        TileKind::Hashes(_) => Hash::LENGTH,
        TileKind::Entries => MAX_ENTRY_LENGTH.saturating_add(2),
    };
    usize::from(FULL_WIDTH).saturating_mul(each)
}
