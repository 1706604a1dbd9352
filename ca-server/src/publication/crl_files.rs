//! CRL files of the publication tree and the signed manifest that names them.
//!
//! The CRL is moved into place first, the manifest last: a responder believes a CRL only when the
//! manifest lists its hash, and keeps the one it has until then.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crl::{CrlNumber, ShardNumber};
use ledger::manifest::{Manifest, ManifestError, ManifestName, ManifestNoteError};
use ledger::note::NotePublicKey;
use ledger::origin::DeploymentName;
use ledger::signer::{NoteSignError, NoteSigner};
use status::{CRL_MANIFEST, PublishedCrl};
use thiserror::Error;

use super::files::{move_into_place, replace};

/// The CRL side of the publication tree.
pub(crate) struct CrlFiles {
    folder: PathBuf,
    spool: PathBuf,
    copies: PathBuf,
    deployment: DeploymentName,
    signer: Arc<dyn NoteSigner>,
    rows: Mutex<BTreeMap<String, PublishedCrl>>,
    /// By authority: numbers that are or may be published elsewhere and are listed here nowhere.
    floors: Mutex<BTreeMap<String, CrlNumber>>,
}

impl CrlFiles {
    /// Opens the tree and reads the manifest that stands there.
    ///
    /// # Errors
    ///
    /// [`CrlFilesError`] when the manifest is not this deployment's.
    pub(crate) fn open(
        folder: PathBuf,
        spool: PathBuf,
        copies: PathBuf,
        deployment: DeploymentName,
        signer: Arc<dyn NoteSigner>,
    ) -> Result<Self, CrlFilesError> {
        std::fs::create_dir_all(&spool)
            .map_err(|source| CrlFilesError::File { path: spool.clone(), source })?;
        let rows = listed(&folder, &deployment, signer.as_ref())?;
        let (rows, floors) = (Mutex::new(rows), Mutex::default());
        Ok(Self { folder, spool, copies, deployment, signer, rows, floors })
    }

    /// The rows of a manifest that was found elsewhere.
    ///
    /// # Errors
    ///
    /// [`CrlFilesError`] when it is not this deployment's; `place` names it there.
    pub(crate) fn rows_of(
        &self,
        bytes: &[u8],
        place: &Path,
    ) -> Result<BTreeMap<String, PublishedCrl>, CrlFilesError> {
        rows_of(bytes, place, &self.deployment, self.signer.as_ref())
    }

    /// Numbers from now on are above this one, which the list of some scope of the authority has elsewhere, or may have.
    pub(crate) fn keep_above(&self, authority: &str, number: CrlNumber) {
        let mut floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        let floor = floors.entry(authority.to_owned()).or_insert_with(|| number.clone());
        *floor = number.max(floor.clone());
    }

    /// The highest number of the authority's lists, of all scopes, that is known to be published, or may be; what is listed and
    /// cannot be read is an error.
    pub(crate) fn highest(&self, authority: &str) -> Result<Option<CrlNumber>, &'static str> {
        let floors = self.floors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut highest = floors.get(authority).cloned();
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows.values().filter(|row| authority_of(&row.path) == Some(authority)) {
            let number = number_of(row).ok_or("the manifest's CRL number is none")?;
            highest = highest.max(Some(number));
        }
        Ok(highest)
    }

    /// Where our own copy of the last CRL lies: beside the database, in nobody else's reach.
    pub(crate) fn copy(&self, name: &str) -> PathBuf {
        self.copies.join(name)
    }

    /// Where a CRL lies on its way to its signature.
    pub(crate) fn spool(&self, name: &str) -> PathBuf {
        self.spool.join(name)
    }

    /// Path below the folder of an authority's full CRL.
    pub(crate) fn full_path(authority: &str) -> String {
        format!("crl/{authority}.crl")
    }

    /// Name of our own copy of an authority's last full CRL.
    pub(crate) fn copy_name(authority: &str) -> String {
        format!("{authority}.last.crl")
    }

    /// Path below the folder of the list of a shard.
    pub(crate) fn shard_path(authority: &str, number: ShardNumber) -> String {
        format!("crl/{authority}/{number}.crl")
    }

    /// Name of our own copy of the last list of a shard.
    pub(crate) fn shard_copy_name(authority: &str, number: ShardNumber) -> String {
        format!("{authority}.{number}.last.crl")
    }

    /// The shards of an authority whose lists are published.
    pub(crate) fn shards(&self, authority: &str) -> Vec<(ShardNumber, PublishedCrl)> {
        let folder = format!("crl/{authority}/");
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let below = rows.range(folder.clone()..).take_while(|(path, _)| path.starts_with(&folder));
        let shard = |path: &str| path.strip_prefix(&folder)?.strip_suffix(".crl")?.parse().ok();
        below.filter_map(|(path, row)| Some((shard(path)?, row.clone()))).collect()
    }

    /// Path below the folder of an authority's delta CRL.
    pub(crate) fn delta_path(authority: &str) -> String {
        format!("crl/{authority}.delta.crl")
    }

    /// The published file of that path and its row.
    pub(crate) fn published(&self, path: &str) -> Option<(PathBuf, PublishedCrl)> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        rows.get(path).map(|row| (self.path(path), row.clone()))
    }

    /// Where the file of that path lies, published or not.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Moves a finished CRL file into the tree and lists it. The one that is listed may come again, an older one never.
    ///
    /// # Errors
    ///
    /// [`CrlFilesError`]. The file may then already be in place while the manifest still names its
    /// predecessor: publishing again mends it.
    pub(crate) fn publish(&self, file: &Path, row: PublishedCrl) -> Result<(), CrlFilesError> {
        let path = self.folder.join(&row.path);
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        self.take_newer(&mut rows);
        if let Some(listed) = rows.get(&row.path)
            && number_of(listed).zip(number_of(&row)).is_some_and(|(listed, new)| new < listed)
        {
            let (listed, found) = (listed.number.clone(), row.number);
            return Err(CrlFilesError::Older { path, found, listed });
        }
        move_into_place(file, &path).map_err(|source| CrlFilesError::File { path, source })?;
        let mut next = rows.clone();
        next.insert(row.path.clone(), row);
        self.write_manifest(&next)?;
        *rows = next;
        Ok(())
    }

    /// Lists what another node has listed in the same tree since, where it is newer than what is known here. A manifest that
    /// is lost or was changed is written anew.
    fn take_newer(&self, rows: &mut BTreeMap<String, PublishedCrl>) {
        let Ok(found) = listed(&self.folder, &self.deployment, self.signer.as_ref()) else {
            return;
        };
        for (path, row) in found {
            if rows.get(&path).is_none_or(|known| number_of(known) < number_of(&row)) {
                rows.insert(path, row);
            }
        }
    }

    fn write_manifest(&self, rows: &BTreeMap<String, PublishedCrl>) -> Result<(), CrlFilesError> {
        let name: ManifestName = CRL_MANIFEST.parse().map_err(CrlFilesError::Rows)?;
        let rows = rows.values().map(ToString::to_string);
        let manifest =
            Manifest::new(self.deployment.clone(), name, rows).map_err(CrlFilesError::Rows)?;
        let note = manifest.sign(self.signer.as_ref()).map_err(CrlFilesError::Sign)?;
        let path = self.folder.join("crl/manifest");
        replace(&path, note.as_bytes()).map_err(|source| CrlFilesError::File { path, source })
    }
}

/// The rows of the manifest in the tree; none where there is no manifest yet.
fn listed(
    folder: &Path,
    deployment: &DeploymentName,
    signer: &dyn NoteSigner,
) -> Result<BTreeMap<String, PublishedCrl>, CrlFilesError> {
    let path = folder.join("crl/manifest");
    match std::fs::read(&path) {
        Ok(bytes) => rows_of(&bytes, &path, deployment, signer),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(source) => Err(CrlFilesError::File { path, source }),
    }
}

fn rows_of(
    bytes: &[u8],
    path: &Path,
    deployment: &DeploymentName,
    signer: &dyn NoteSigner,
) -> Result<BTreeMap<String, PublishedCrl>, CrlFilesError> {
    let path = path.to_path_buf();
    let key = NotePublicKey::from_bytes(signer.public_key());
    let manifest = Manifest::open(bytes, key)
        .map_err(|source| CrlFilesError::Open { path: path.clone(), source })?;
    if manifest.deployment() != deployment {
        return Err(CrlFilesError::Deployment {
            path,
            found: manifest.deployment().to_string(),
            ours: deployment.to_string(),
        });
    }
    manifest
        .rows()
        .map(|row| {
            // A row that were left out would take its CRL off the list for good.
            let row = row
                .parse::<PublishedCrl>()
                .map_err(|_| CrlFilesError::Row { path: path.clone() })?;
            Ok((row.path.clone(), row))
        })
        .collect()
}

/// The short name of the authority whose list lies under that path, whatever its scope.
pub(crate) fn authority_of(path: &str) -> Option<&str> {
    path.strip_prefix("crl/")?.split(['.', '/']).next()
}

/// The number of a row, where it can be read.
pub(crate) fn number_of(row: &PublishedCrl) -> Option<CrlNumber> {
    let octets = base16ct::upper::decode_vec(&row.number).ok()?;
    CrlNumber::from_content_octets(&octets).ok()
}

/// Why a CRL was not published. What had been published stands.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum CrlFilesError {
    /// The manifest is of another deployment.
    #[error("CRL manifest {path} is of deployment {found}, this is {ours}")]
    Deployment {
        /// The file.
        path: PathBuf,
        /// Its deployment.
        found: String,
        /// Ours.
        ours: String,
    },
    /// The folder did not take or give a file.
    #[error("cannot read or write {path}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A newer one is listed.
    #[error("CRL {path} has number {listed} and is not replaced by number {found}")]
    Older {
        /// The file.
        path: PathBuf,
        /// The number that was to be published.
        found: String,
        /// The number that is.
        listed: String,
    },
    /// The manifest does not verify.
    #[error("CRL manifest {path} does not verify under this deployment's manifest key")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ManifestNoteError,
    },
    /// A row is of another version, or none.
    #[error("CRL manifest {path} has a row that this program cannot read")]
    Row {
        /// The file.
        path: PathBuf,
    },
    /// The rows make no manifest.
    #[error("CRL manifest cannot be written")]
    Rows(#[source] ManifestError),
    /// The note key did not sign.
    #[error("CRL manifest was not signed")]
    Sign(#[source] NoteSignError),
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use hsm::note::SoftwareNoteKey;

    use super::*;

    /// CRL-02: a node that takes the publication over lists what the one before it listed, and no older list again.
    #[test]
    fn two_nodes_list_into_one_tree() {
        let folder = tempfile::tempdir().unwrap();
        let own = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(folder.path(), own).unwrap();
        let deployment: DeploymentName = "test/demo/ab12".parse().unwrap();
        let key = SoftwareNoteKey::create(&folder.path().join("key"), &deployment).unwrap();
        let key: Arc<dyn NoteSigner> = Arc::new(key);
        let tree = folder.path().join("tree");
        let node = || {
            let (spool, copies) = (folder.path().join("spool"), folder.path().to_path_buf());
            CrlFiles::open(tree.clone(), spool, copies, deployment.clone(), Arc::clone(&key))
                .unwrap()
        };
        let publish = |node: &CrlFiles, authority: &str, number: &str| {
            let file = node.spool("a.crl");
            std::fs::write(&file, number).unwrap();
            let path = CrlFiles::full_path(authority);
            let row =
                PublishedCrl { path, sha256: [0; 32], number: number.to_owned(), position: None };
            node.publish(&file, row)
        };
        let (first, second) = (node(), node());
        publish(&first, "a", "02").unwrap();
        publish(&second, "b", "01").unwrap();

        let both = node();
        for (authority, number) in [("a", "02"), ("b", "01")] {
            let (_, row) = both.published(&CrlFiles::full_path(authority)).unwrap();
            assert_eq!(row.number, number);
        }
        let older = publish(&second, "a", "01").unwrap_err();
        assert!(matches!(older, CrlFilesError::Older { .. }), "{older:?}");
    }
}
