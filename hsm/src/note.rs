//! Keys that sign notes: checkpoints of the logs and manifests. In a token, or, in environment test
//! only, in a file.
//!
//! Both implement [`NoteSigner`]: they are handed a typed statement and never bytes. They are kept
//! apart from issuing keys, so that an outage of the issuing token does not stop revocation.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str;
use std::time::Duration;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ledger::origin::DeploymentName;
use ledger::{NoteSignError, NoteSigner, NoteToSign};
use thiserror::Error;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use zeroize::Zeroizing;

use crate::opened::Token;
use crate::operation::Operation;
use crate::secret_file::{self, SecretFileError};
use crate::secret_text;
use crate::service::SignError;

/// The first line of a key file.
const HEADER: &str = "sigill-note-key/1";
/// The environment whose note keys may lie in files (architecture, section 2.2).
const SOFTWARE_ENVIRONMENT: &str = "test";

/// An Ed25519 note key in a token.
#[derive(Debug)]
pub struct TokenNoteKey {
    token: Token,
    key: PublicKey,
    octets: [u8; 32],
    deadline: Duration,
}

impl TokenNoteKey {
    /// Finds the private key of `key` on `token` and has it prove itself. Signing takes at most
    /// `deadline`.
    ///
    /// # Errors
    ///
    /// [`NoteKeyError::NotEd25519`] for another type of key, [`NoteKeyError::Token`] when the token
    /// does not hold it or it may not be used.
    pub fn open(token: &Token, key: &PublicKey, deadline: Duration) -> Result<Self, NoteKeyError> {
        let octets = match (key.key_type(), key.key_bits().try_into()) {
            (KeyType::Ed25519, Ok(octets)) => octets,
            (found, _) => return Err(NoteKeyError::NotEd25519 { found }),
        };
        token.prove(key).map_err(NoteKeyError::Token)?;
        Ok(Self { token: token.clone(), key: key.clone(), octets, deadline })
    }
}

impl NoteSigner for TokenNoteKey {
    fn public_key(&self) -> [u8; 32] {
        self.octets
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        let sign = || {
            let algorithm = SignatureAlgorithm::Ed25519;
            let operation =
                Operation::over_message(algorithm, &note.message(), self.token.quirks())
                    .map_err(|_| NoteKeyError::NotEd25519 { found: self.key.key_type() })?;
            let signature = self
                .token
                .sign_twice(&self.key, operation, self.deadline)
                .map_err(NoteKeyError::Token)?;
            signature
                .try_into()
                .map_err(|_| NoteKeyError::NotEd25519 { found: self.key.key_type() })
        };
        sign().map_err(|error| NoteSignError::Key(Box::new(error)))
    }
}

/// An Ed25519 note key in a file of mode 0600, for environment test.
///
/// The file is three lines: `sigill-note-key/1`, the deployment, and the private key (RFC 8032
/// §5.1.5) as 64 hexadecimal digits.
pub struct SoftwareNoteKey {
    pair: Ed25519KeyPair,
    octets: [u8; 32],
}

impl SoftwareNoteKey {
    /// Reads the key from a file of mode 0600 in a folder of mode 0700.
    ///
    /// # Errors
    ///
    /// [`NoteKeyError`]: any environment but test, wider modes, a key of another deployment.
    pub fn open(path: &Path, deployment: &DeploymentName) -> Result<Self, NoteKeyError> {
        only_in_test(deployment)?;
        let malformed = || NoteKeyError::Form { path: path.to_owned() };
        let octets = secret_file::read(path).map_err(NoteKeyError::File)?;
        let text = str::from_utf8(&octets).map_err(|_| malformed())?;
        let mut lines = text.strip_suffix('\n').ok_or_else(malformed)?.split('\n');
        let (Some(HEADER), Some(found), Some(seed), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed());
        };
        if found != deployment.as_str() {
            return Err(NoteKeyError::OtherDeployment {
                path: path.to_owned(),
                found: found.to_owned(),
                expected: deployment.clone(),
            });
        }
        let seed = seed_of(seed).ok_or_else(malformed)?;
        Self::from_seed(&seed)
    }

    /// Makes a new key and its file.
    ///
    /// # Errors
    ///
    /// [`NoteKeyError`]: any environment but test, a file that is there already, wider modes of the
    /// folder.
    pub fn create(path: &Path, deployment: &DeploymentName) -> Result<Self, NoteKeyError> {
        only_in_test(deployment)?;
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(seed.as_mut()).map_err(|_| NoteKeyError::Random)?;
        let key = Self::from_seed(&seed)?;
        let mut text = Zeroizing::new(String::with_capacity(128));
        text.push_str(&format!("{HEADER}\n{deployment}\n"));
        secret_text::push(&mut text, seed.as_ref());
        text.push('\n');
        secret_file::create(path, text.as_bytes()).map_err(NoteKeyError::File)?;
        Ok(key)
    }

    fn from_seed(seed: &[u8; 32]) -> Result<Self, NoteKeyError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteKeyError::Random)?;
        let octets = pair
            .public_key()
            .as_ref()
            .try_into()
            .map_err(|_| NoteKeyError::NotEd25519 { found: KeyType::Ed25519 })?;
        Ok(Self { pair, octets })
    }
}

impl NoteSigner for SoftwareNoteKey {
    fn public_key(&self) -> [u8; 32] {
        self.octets
    }

    fn sign_note(&self, note: &NoteToSign) -> Result<[u8; 64], NoteSignError> {
        self.pair
            .sign(&note.message())
            .as_ref()
            .try_into()
            .map_err(|_| NoteSignError::WrongSignature)
    }
}

impl fmt::Debug for SoftwareNoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SoftwareNoteKey(hidden)")
    }
}

fn only_in_test(deployment: &DeploymentName) -> Result<(), NoteKeyError> {
    match deployment.as_str().split('/').next() {
        Some(SOFTWARE_ENVIRONMENT) => Ok(()),
        _ => Err(NoteKeyError::Environment { deployment: deployment.clone() }),
    }
}

pub(crate) fn seed_of(digits: &str) -> Option<Zeroizing<[u8; 32]>> {
    let octets = secret_text::read(digits)?;
    octets.as_slice().try_into().ok().map(Zeroizing::new)
}

/// Why there is no note key.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum NoteKeyError {
    /// Note keys in files are for environment test.
    #[error("deployment {deployment} may not keep note keys in files; only environment test may")]
    Environment {
        /// The deployment.
        deployment: DeploymentName,
    },
    /// The file belongs to another deployment (promise 8).
    #[error("note key {path:?} is of deployment {found:?}, but this is {expected}")]
    OtherDeployment {
        /// The file.
        path: PathBuf,
        /// The deployment that it names.
        found: String,
        /// This one.
        expected: DeploymentName,
    },
    /// The file is not a key file.
    #[error("{path:?} is not a note key of version 1")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The file was refused.
    #[error("note key file was refused")]
    File(#[source] SecretFileError),
    /// Notes are signed with Ed25519 only.
    #[error("note key is {found}, notes are signed with ed25519")]
    NotEd25519 {
        /// What was given.
        found: KeyType,
    },
    /// The token does not hold the key, or did not sign.
    #[error("note key on the token could not be used")]
    Token(#[source] SignError),
    /// The operating system gave no random octets, or the library no key.
    #[error("no key could be drawn")]
    Random,
}

impl NoteKeyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Environment { .. } => "note-key-environment",
            Self::OtherDeployment { .. } => "note-key-deployment",
            Self::Form { .. } => "note-key-form",
            Self::File(error) => error.code(),
            Self::NotEd25519 { .. } => "note-key-type",
            Self::Token(error) => error.code(),
            Self::Random => "note-key-random",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Environment { .. } => "put the note keys in a token of their own",
            Self::OtherDeployment { .. } => "use the key file that belongs to this deployment",
            Self::Form { .. } => "restore the file from its backup, or make a new deployment",
            Self::File(error) => error.next_step(),
            Self::NotEd25519 { .. } => "make an ed25519 key for notes",
            Self::Token(error) => error.next_step(),
            Self::Random => "check the machine; nothing works without random numbers",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use ledger::{Checkpoint, CheckpointNote, Frontier, LogName, LogOrigin, Timestamp};

    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        folder
    }

    fn deployment(text: &str) -> DeploymentName {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_that_was_made_reads_back_and_signs() {
        let folder = folder();
        let path = folder.path().join("status.key");
        let demo = deployment("test/demo/ab12");

        let made = SoftwareNoteKey::create(&path, &demo).unwrap();
        let read = SoftwareNoteKey::open(&path, &demo).unwrap();

        assert_eq!(made.public_key(), read.public_key());
        assert_ne!(made.public_key(), [0; 32]);
        let origin = LogOrigin { deployment: demo, log: LogName::Status, epoch: 1 };
        let checkpoint = Checkpoint { origin, size: 0, root: Frontier::default().root() };
        let note = NoteToSign::Checkpoint(checkpoint);
        let signature = read.sign_note(&note).unwrap();
        PublicKey::from_ed25519(&made.public_key())
            .unwrap()
            .verify(SignatureAlgorithm::Ed25519, &note.message(), &signature)
            .unwrap();
    }

    /// The demo's default must not reach beyond environment test.
    #[test]
    fn refuses_every_environment_but_test() {
        let folder = folder();
        let path = folder.path().join("status.key");
        SoftwareNoteKey::create(&path, &deployment("test/demo/ab12")).unwrap();

        for other in ["qa/test/ab12", "prod/prod/ab12"] {
            let other = deployment(other);
            let opened = SoftwareNoteKey::open(&path, &other);
            assert!(matches!(opened, Err(NoteKeyError::Environment { .. })));
            let created = SoftwareNoteKey::create(&folder.path().join("new"), &other);
            assert!(matches!(created, Err(NoteKeyError::Environment { .. })));
        }
    }

    /// Promise 8: both values and the file are named.
    #[test]
    fn refuses_the_key_of_another_deployment() {
        let folder = folder();
        let path = folder.path().join("status.key");
        SoftwareNoteKey::create(&path, &deployment("test/demo/ab12")).unwrap();

        let refused = SoftwareNoteKey::open(&path, &deployment("test/demo/zz99")).unwrap_err();

        let text = refused.to_string();
        assert!(text.contains("ab12") && text.contains("zz99") && text.contains("status.key"));
    }

    #[test]
    fn refuses_wider_modes_and_other_content() {
        let folder = folder();
        let demo = deployment("test/demo/ab12");
        let path = folder.path().join("status.key");
        SoftwareNoteKey::create(&path, &demo).unwrap();
        let good = fs::read_to_string(&path).unwrap();
        for bad in [
            good.replace("/1\n", "/2\n"),
            good.trim_end().to_owned(),
            format!("{good}\n"),
            good.replacen("test/demo/ab12\n", "test/demo/ab12\n0", 1),
            good.trim_end().chars().rev().skip(2).collect::<String>(),
        ] {
            fs::write(&path, &bad).unwrap();
            let refused = SoftwareNoteKey::open(&path, &demo);
            assert!(matches!(refused, Err(NoteKeyError::Form { .. })));
        }
        fs::write(&path, &good).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = SoftwareNoteKey::open(&path, &demo);
        assert!(matches!(refused, Err(NoteKeyError::File(SecretFileError::Mode { .. }))));
    }

    #[test]
    fn a_checkpoint_signed_by_a_file_key_verifies() {
        let folder = folder();
        let demo = deployment("test/demo/ab12");
        let key = SoftwareNoteKey::create(&folder.path().join("status.key"), &demo).unwrap();
        let origin = LogOrigin { deployment: demo, log: LogName::Status, epoch: 1 };
        let checkpoint = Checkpoint { origin, size: 0, root: Frontier::default().root() };

        let timestamp = Timestamp::from_secs(1_800_000_000).unwrap();
        let note = CheckpointNote::sign(checkpoint, timestamp, &key).unwrap();

        assert_eq!(note.timestamp(), timestamp);
    }
}
