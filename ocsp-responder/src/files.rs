//! CRLs and CA certificates that are served: only what the signed manifest lists, or a pin names.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use host::durable;
use hyper::body::Bytes;
use ledger::manifest::{Manifest, ManifestNoteError};
use ledger::note::NotePublicKey;
use ledger::origin::DeploymentName;
use sha2::{Digest as _, Sha256};
use status::{CRL_MANIFEST, PublishedCrl};
use thiserror::Error;
use x509::crl::{CrlForm, CrlReader};
use x509::time::UnixTime;

use crate::authority::hex;

/// A manifest is at most this long.
const MAX_MANIFEST_OCTETS: u64 = 1 << 20;
/// A CRL is at most this long.
const MAX_CRL_OCTETS: u64 = 1 << 28;

/// A CRL that is served.
#[derive(Debug)]
pub(crate) struct ServedCrl {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    pub(crate) this_update: UnixTime,
    pub(crate) next_update: Option<UnixTime>,
    row: PublishedCrl,
}

/// The CRLs by their path in the publication tree.
#[derive(Debug, Default)]
pub(crate) struct ServedCrls {
    by_path: ArcSwap<HashMap<String, Arc<ServedCrl>>>,
}

impl ServedCrls {
    pub(crate) fn get(&self, path: &str) -> Option<Arc<ServedCrl>> {
        self.by_path.load().get(path).cloned()
    }
}

/// Keeps [`ServedCrls`] as the manifest says.
pub(crate) struct CrlKeeper {
    publication: PathBuf,
    /// The highest number served under each path, so that nobody rolls a CRL back.
    numbers_path: PathBuf,
    numbers: HashMap<String, String>,
    deployment: DeploymentName,
    key: NotePublicKey,
    wanted: Vec<String>,
    served: Arc<ServedCrls>,
    seen: Vec<u8>,
}

impl CrlKeeper {
    /// Takes up where the state folder says it stopped.
    ///
    /// # Errors
    ///
    /// [`CrlKeeperError::Io`] when the stored numbers cannot be read, or are not what was written: without them an older list
    /// would be taken for a newer one.
    pub(crate) fn new(
        publication: &Path,
        state: &Path,
        deployment: DeploymentName,
        key: NotePublicKey,
        wanted: Vec<String>,
        served: Arc<ServedCrls>,
    ) -> Result<Self, CrlKeeperError> {
        let numbers_path = state.join("crl-numbers");
        let stored = durable::read(&numbers_path, MAX_MANIFEST_OCTETS)
            .map_err(|source| CrlKeeperError::Io { path: numbers_path.clone(), source })?;
        let numbers = numbers_of(&stored.unwrap_or_default()).ok_or_else(|| {
            let source = std::io::ErrorKind::InvalidData.into();
            CrlKeeperError::Io { path: numbers_path.clone(), source }
        })?;
        Ok(Self {
            publication: publication.to_owned(),
            numbers_path,
            numbers,
            deployment,
            key,
            wanted,
            served,
            seen: Vec::new(),
        })
    }

    /// Looks at the manifest once, and at the CRLs if it is a new one.
    ///
    /// # Errors
    ///
    /// [`CrlKeeperError`]; what was served is served on. A CRL that is still on its way is tried
    /// again at the next look.
    pub(crate) fn step(&mut self) -> Result<(), CrlKeeperError> {
        let path = self.publication.join("crl").join("manifest");
        let bytes = durable::read(&path, MAX_MANIFEST_OCTETS)
            .map_err(|source| CrlKeeperError::Io { path, source })?;
        let Some(bytes) = bytes.filter(|bytes| *bytes != self.seen) else { return Ok(()) };
        let rows = self.rows(&bytes)?;
        let mut served = HashMap::clone(&self.served.by_path.load());
        let (mut outcome, mut again, mut is_new) = (Ok(()), false, false);
        for row in rows {
            let current = served.get(&row.path);
            if !is_wanted(&self.wanted, &row.path) || current.is_some_and(|crl| crl.row == row) {
                continue;
            }
            match self.load(&row) {
                Ok(crl) => {
                    self.numbers.insert(row.path.clone(), row.number.clone());
                    served.insert(row.path.clone(), Arc::new(crl));
                    is_new = true;
                }
                Err(error) => {
                    // A hash that differs may be a file that is on its way, whatever is wrong with others.
                    again |=
                        matches!(error, CrlKeeperError::Hash { .. } | CrlKeeperError::Io { .. });
                    outcome = Err(error);
                }
            }
        }
        // A look that finds nothing new writes nothing: it comes again soon.
        if is_new {
            let numbers: Vec<String> =
                self.numbers.iter().map(|(path, number)| format!("{path} {number}\n")).collect();
            durable::replace(&self.numbers_path, numbers.concat().as_bytes())
                .map_err(|source| CrlKeeperError::Io { path: self.numbers_path.clone(), source })?;
            self.served.by_path.store(Arc::new(served));
        }
        if !again {
            self.seen = bytes;
        }
        outcome
    }

    fn rows(&self, bytes: &[u8]) -> Result<Vec<PublishedCrl>, CrlKeeperError> {
        let manifest = Manifest::open(bytes, self.key)?;
        if *manifest.deployment() != self.deployment {
            return Err(CrlKeeperError::Deployment {
                found: manifest.deployment().to_string(),
                configured: self.deployment.to_string(),
            });
        }
        let named = CRL_MANIFEST.parse().is_ok_and(|name| *manifest.name() == name);
        if !named {
            return Err(CrlKeeperError::OtherManifest);
        }
        manifest.rows().map(|row| row.parse().map_err(|_| CrlKeeperError::Row)).collect()
    }

    fn load(&self, row: &PublishedCrl) -> Result<ServedCrl, CrlKeeperError> {
        let lower = self
            .numbers
            .get(&row.path)
            .is_some_and(|highest| number_order(&row.number).cmp(&number_order(highest)).is_lt());
        if lower {
            return Err(CrlKeeperError::RolledBack {
                path: row.path.clone(),
                number: row.number.clone(),
                served: self.numbers.get(&row.path).cloned().unwrap_or_default(),
            });
        }
        let path = self.publication.join(&row.path);
        let bytes = durable::read(&path, MAX_CRL_OCTETS)
            .and_then(|bytes| bytes.ok_or_else(|| std::io::ErrorKind::NotFound.into()))
            .map_err(|source| CrlKeeperError::Io { path, source })?;
        let found: [u8; 32] = Sha256::digest(&bytes).into();
        if found != row.sha256 {
            return Err(CrlKeeperError::Hash { path: row.path.clone(), found: hex(&found) });
        }
        let reader = CrlReader::start(&bytes[..], CrlForm::CertificateList, MAX_CRL_OCTETS)
            .map_err(|_| CrlKeeperError::NotACrl { path: row.path.clone() })?;
        let (this_update, next_update) = (reader.head().this_update, reader.head().next_update);
        tracing::info!(crl.path = row.path, crl.number = row.number, "CRL is served");
        Ok(ServedCrl {
            bytes: Bytes::from(bytes),
            etag: hex(&found),
            this_update,
            next_update,
            row: row.clone(),
        })
    }
}

/// Whether a CRL is served, by its path or by its folder.
fn is_wanted(wanted: &[String], path: &str) -> bool {
    let folder = path.rfind('/').and_then(|end| path.get(..=end));
    wanted.iter().any(|one| one == path || Some(one.as_str()) == folder)
}

/// The numbers as they are kept: a path and a number a line. `None` for what was not written here.
fn numbers_of(stored: &[u8]) -> Option<HashMap<String, String>> {
    let text = std::str::from_utf8(stored).ok()?;
    let is_whole = text.is_empty() || text.ends_with('\n');
    let number = |line: &str| {
        let (path, number) = line.split_once(' ')?;
        let is_number = !number.is_empty() && number.bytes().all(|octet| octet.is_ascii_hexdigit());
        (is_number && !path.is_empty()).then(|| (path.to_owned(), number.to_owned()))
    };
    is_whole.then(|| text.lines().map(number).collect())?
}

/// Numbers are content octets in hexadecimal: longer is larger, leading zeros do not count.
fn number_order(number: &str) -> (usize, &str) {
    let digits = number.trim_start_matches('0');
    (digits.len(), digits)
}

impl CrlKeeperError {
    /// The codes that mean tampering or a mistake.
    pub(crate) const ALARMS: [&'static str; 7] = [
        "crl-corrupt",
        "crl-not-listed",
        "crl-rolled-back",
        "crl-unreadable",
        "manifest-malformed",
        "manifest-not-authentic",
        "manifest-other-deployment",
    ];

    /// The stable code, by which operators find what to do (docs/operations/responder.md).
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Deployment { .. } => "manifest-other-deployment",
            Self::Hash { .. } => "crl-not-listed",
            Self::Io { .. } => "crl-unreadable",
            Self::Manifest(_) => "manifest-not-authentic",
            Self::NotACrl { .. } => "crl-corrupt",
            Self::OtherManifest | Self::Row => "manifest-malformed",
            Self::RolledBack { .. } => "crl-rolled-back",
        }
    }
}

/// Why CRLs are not served as the folder has them.
#[derive(Debug, Error)]
pub(crate) enum CrlKeeperError {
    #[error("CRL manifest is of deployment {found}, configured is {configured}")]
    Deployment { found: String, configured: String },
    #[error("{path} has SHA-256 {found}, which the manifest does not list")]
    Hash { path: String, found: String },
    #[error("{path:?} failed")]
    Io {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("CRL manifest is refused")]
    Manifest(#[from] ManifestNoteError),
    #[error("{path} is listed but is no CRL")]
    NotACrl { path: String },
    #[error("manifest is of another list than crl")]
    OtherManifest,
    #[error("{path} has number {number}, and {served} has been served")]
    RolledBack { path: String, number: String, served: String },
    #[error("CRL manifest has a row that is none")]
    Row,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
    use ledger::{NoteSignError, NoteSigner, NoteToSign};

    use super::*;

    struct Key(Ed25519KeyPair);

    impl NoteSigner for Key {
        fn public_key(&self) -> [u8; 32] {
            self.0.public_key().as_ref().try_into().unwrap()
        }

        fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
            Ok(self.0.sign(&note.message()).as_ref().try_into().unwrap())
        }
    }

    /// CRL-12: a list that arrives after its manifest is served, also when another list of it is for good none.
    #[test]
    fn a_list_that_is_on_its_way_is_looked_for_again_whatever_is_wrong_with_others() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("crl")).unwrap();
        let (late, bad) = ("crl/a.crl", "crl/b.crl");
        let row = |path: &str| PublishedCrl {
            path: path.to_owned(),
            sha256: Sha256::digest(path).into(),
            number: "01".to_owned(),
            position: None,
        };
        let deployment: DeploymentName = "test/demo/ab12".parse().unwrap();
        let key = Key(Ed25519KeyPair::generate().unwrap());
        let rows = [late, bad].map(|path| row(path).to_string());
        let manifest =
            Manifest::new(deployment.clone(), CRL_MANIFEST.parse().unwrap(), rows).unwrap();
        let manifest = manifest.sign(&key).unwrap();
        fs::write(home.path().join("crl/manifest"), manifest).unwrap();
        // Its octets are those of the manifest, and no CRL.
        fs::write(home.path().join(bad), bad).unwrap();
        let mut keeper = CrlKeeper::new(
            home.path(),
            home.path(),
            deployment,
            NotePublicKey::from_bytes(key.public_key()),
            vec![late.to_owned(), bad.to_owned()],
            Arc::default(),
        )
        .unwrap();

        for _ in 0..2 {
            assert_eq!(keeper.step().unwrap_err().code(), "crl-corrupt");
        }
        assert!(!home.path().join("crl-numbers").exists(), "nothing new, nothing written");
        fs::write(home.path().join(late), late).unwrap();
        assert_eq!(keeper.step().unwrap_err().code(), "crl-corrupt", "it is looked at");
        keeper.step().unwrap();
    }

    /// CRL-12: after a restart no list is served that is older than one that was; without the numbers of those nothing is.
    #[test]
    fn a_restart_does_not_forget_what_was_served() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("crl")).unwrap();
        let path = "crl/a.crl";
        let deployment: DeploymentName = "test/demo/ab12".parse().unwrap();
        let key = Key(Ed25519KeyPair::generate().unwrap());
        let sha256 = Sha256::digest(path).into();
        let row =
            PublishedCrl { path: path.to_owned(), sha256, number: "0A".to_owned(), position: None };
        let name = CRL_MANIFEST.parse().unwrap();
        let manifest = Manifest::new(deployment.clone(), name, [row.to_string()]).unwrap();
        fs::write(home.path().join("crl/manifest"), manifest.sign(&key).unwrap()).unwrap();
        fs::write(home.path().join(path), path).unwrap();
        let started = || {
            CrlKeeper::new(
                home.path(),
                home.path(),
                deployment.clone(),
                NotePublicKey::from_bytes(key.public_key()),
                vec![path.to_owned()],
                Arc::default(),
            )
        };
        let numbers = |text: &str| fs::write(home.path().join("crl-numbers"), text).unwrap();

        numbers("crl/a.crl 09\n");
        assert_eq!(started().unwrap().step().unwrap_err().code(), "crl-corrupt", "it is looked at");
        numbers("crl/a.crl 0B\n");
        let error = started().unwrap().step().unwrap_err();
        assert_eq!(error.code(), "crl-rolled-back");
        assert_eq!(error.to_string(), "crl/a.crl has number 0A, and 0B has been served");
        for damaged in
            ["crl/a.crl 0B", "crl/a.crl\n", "crl/a.crl 0B\n\0\0", "crl/a.crl xx\n", " 0B\n"]
        {
            numbers(damaged);
            assert!(matches!(started(), Err(CrlKeeperError::Io { .. })), "{damaged:?}");
        }
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(number_order("FF") < number_order("0100"));
        assert!(number_order("0080") > number_order("7F"));
        assert!(number_order("0A") < number_order("0B"));
    }
}
