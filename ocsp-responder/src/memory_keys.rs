//! The delegates' keys that lie in this process, and their files (decision 0029).
//!
//! `<state>/memory-keys/<ca>/<spki>.key`, mode 0600 in folders of mode 0700. A file is there whole before its key is
//! asked for a request, and until its delegate has ended: so the responder answers after a restart without the
//! inner zone. A file that is refused is told of and keeps other keys from being made for its CA: one that a
//! stranger may have read or changed is for an operator to judge.

use std::collections::HashSet;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use hsm::memory::{MemoryKey, MemoryKeyError, key_path};
use ledger::origin::DeploymentName;
use thiserror::Error;
use x509::key::{KeyType, SpkiHash};

/// Keys by CA and hash.
pub(crate) struct MemoryKeys {
    folder: PathBuf,
    deployment: DeploymentName,
}

impl MemoryKeys {
    /// Those of this state folder; nothing is made before there is a key.
    pub(crate) fn below(state: &Path, deployment: DeploymentName) -> Self {
        Self { folder: state.join("memory-keys"), deployment }
    }

    /// A key of ours; `None` where there is no file of this name.
    pub(crate) fn open(
        &self,
        authority: &str,
        key: SpkiHash,
    ) -> Result<Option<MemoryKey>, MemoryKeysError> {
        let folder = self.folder.join(authority);
        let path = key_path(&folder, key);
        // A link that leads nowhere is a file that is refused, and not a key that was never made.
        match fs::symlink_metadata(&path) {
            Ok(_) => Ok(Some(MemoryKey::open(&folder, &self.deployment, key)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(MemoryKeysError::Io { path, source }),
        }
    }

    /// A key of this type that waits for its certificate, which none of the `used` ones is.
    pub(crate) fn waiting(
        &self,
        authority: &str,
        key_type: KeyType,
        used: &HashSet<SpkiHash>,
    ) -> Result<Option<MemoryKey>, MemoryKeysError> {
        let folder = self.folder.join(authority);
        let failed = |source| MemoryKeysError::Io { path: folder.clone(), source };
        let listing = match fs::read_dir(&folder) {
            Ok(listing) => listing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let mut waiting = None;
        for entry in listing {
            let name = entry.map_err(failed)?.file_name();
            let hash = name.to_str().and_then(|name| name.strip_suffix(".key")?.parse().ok());
            let Some(hash) = hash.filter(|hash| !used.contains(hash)) else { continue };
            let key = MemoryKey::open(&folder, &self.deployment, hash)?;
            if key.public_key().key_type() == key_type {
                waiting = Some(key);
            }
        }
        Ok(waiting)
    }

    /// Draws a key for the CA.
    pub(crate) fn make(
        &self,
        authority: &str,
        key_type: KeyType,
    ) -> Result<MemoryKey, MemoryKeysError> {
        let folder = self.folder.join(authority);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|source| MemoryKeysError::Io { path: folder.clone(), source })?;
        Ok(MemoryKey::create(&folder, &self.deployment, key_type)?)
    }

    /// Deletes the file of a key that has ended, if there is one.
    pub(crate) fn destroy(&self, authority: &str, key: SpkiHash) -> Result<(), MemoryKeysError> {
        let folder = self.folder.join(authority);
        let path = key_path(&folder, key);
        let deleted = match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            deleted => deleted,
        };
        deleted
            .and_then(|()| File::open(&folder)?.sync_all())
            .map_err(|source| MemoryKeysError::Io { path, source })
    }
}

/// Why a key in memory was not made, found or ended.
#[derive(Debug, Error)]
pub(crate) enum MemoryKeysError {
    #[error("{path:?} failed")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("delegate key in process memory is not used")]
    Key(#[from] MemoryKeyError),
}
