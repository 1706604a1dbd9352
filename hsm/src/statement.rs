//! Keys of people, who sign what they say at a ceremony: in a token of their own, or in a file.
//!
//! Both are handed a typed [`Statement`], whose first line says what it is, and never bytes of a caller's choice.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str;

use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use thiserror::Error;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::statement::{SignedStatement, Statement, StatementError};
use zeroize::Zeroizing;

use crate::opened::Token;
use crate::operation::proving_algorithm;
use crate::request::SignRequestError;
use crate::secret_file::{self, SecretFileError};

/// The first line of a key file.
const HEADER: &str = "sigill-person-key/1";

impl Token {
    /// Has the private key of `key` sign what its owner says.
    ///
    /// # Errors
    ///
    /// [`SignRequestError`]: the token's or key's, or a signature that does not verify.
    pub fn statement(
        &self,
        key: &PublicKey,
        statement: &Statement,
    ) -> Result<SignedStatement, SignRequestError> {
        let signature = self.sign_typed(key, statement.as_str().as_bytes())?;
        SignedStatement::assemble(statement, key, proving_algorithm(key.key_type()), &signature)
            .map_err(SignRequestError::Statement)
    }
}

/// An Ed25519 key of a person in a file of mode 0600: for rehearsals, training and environment test.
///
/// The file is two lines: `sigill-person-key/1`, and the private key (RFC 8032 §5.1.5) as 64 hexadecimal digits.
pub struct SoftwarePersonKey {
    pair: Ed25519KeyPair,
    key: PublicKey,
}

impl SoftwarePersonKey {
    /// Reads the key from a file of mode 0600 in a folder of mode 0700.
    ///
    /// # Errors
    ///
    /// [`PersonKeyError`].
    pub fn open(path: &Path) -> Result<Self, PersonKeyError> {
        let malformed = || PersonKeyError::Form { path: path.to_owned() };
        let octets = secret_file::read(path).map_err(PersonKeyError::File)?;
        let text = str::from_utf8(&octets).map_err(|_| malformed())?;
        let mut lines = text.strip_suffix('\n').ok_or_else(malformed)?.split('\n');
        let (Some(HEADER), Some(seed), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(malformed());
        };
        let seed = crate::note::seed_of(seed).ok_or_else(malformed)?;
        Self::from_seed(&seed).ok_or(PersonKeyError::Random)
    }

    /// Makes a new key and its file.
    ///
    /// # Errors
    ///
    /// [`PersonKeyError`]: a file that is there already, wider modes of the folder.
    pub fn create(path: &Path) -> Result<Self, PersonKeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        rand::fill(seed.as_mut()).map_err(|_| PersonKeyError::Random)?;
        let key = Self::from_seed(&seed).ok_or(PersonKeyError::Random)?;
        let mut text = Zeroizing::new(String::with_capacity(128));
        text.push_str(HEADER);
        text.push('\n');
        for octet in seed.iter() {
            // Digit by digit, since a formatted piece would leave a copy behind.
            for half in [octet >> 4, octet & 15] {
                text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
        secret_file::create(path, text.as_bytes()).map_err(PersonKeyError::File)?;
        Ok(key)
    }

    /// Its public half.
    #[must_use]
    pub const fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Signs what its owner says.
    ///
    /// # Errors
    ///
    /// [`StatementError`] for one that is too long.
    pub fn statement(&self, statement: &Statement) -> Result<SignedStatement, StatementError> {
        let signature = self.pair.sign(statement.as_str().as_bytes());
        SignedStatement::assemble(
            statement,
            &self.key,
            SignatureAlgorithm::Ed25519,
            signature.as_ref(),
        )
    }

    fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let octets = pair.public_key().as_ref().try_into().ok()?;
        let key = PublicKey::from_ed25519(octets).ok()?;
        Some(Self { pair, key })
    }
}

impl fmt::Debug for SoftwarePersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SoftwarePersonKey({})", self.key.spki_hash())
    }
}

/// Why the key of a person cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PersonKeyError {
    /// Its file.
    #[error("file of the key was refused")]
    File(#[source] SecretFileError),
    /// Not a key file.
    #[error(
        "{path} is no key of a person: wanted {HEADER:?} and 64 hexadecimal digits, each on a line"
    )]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The generator.
    #[error("no random numbers for a key")]
    Random,
}

impl PersonKeyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::File(_) => "hsm-person-key-file",
            Self::Form { .. } => "hsm-person-key-form",
            Self::Random => "hsm-person-key-random",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::File(_) => {
                "mode 0600 in a folder of mode 0700, both yours; an existing file is never replaced"
            }
            Self::Form { .. } => "name the file that `sigill-ceremony person make-key` wrote",
            Self::Random => "the machine's random number generator does not work: do not use it",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_that_is_read_again_signs_the_same() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let path = folder.path().join("anna.key");
        let made = SoftwarePersonKey::create(&path).unwrap();
        let statement = Statement::new("plan-approval", &[("person", "anna")]).unwrap();

        let read = SoftwarePersonKey::open(&path).unwrap();

        let (one, two) = (made.statement(&statement).unwrap(), read.statement(&statement).unwrap());
        assert_eq!(one, two);
        assert_eq!(one.key(), made.key());
        assert_eq!(SoftwarePersonKey::create(&path).unwrap_err().code(), "hsm-person-key-file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(SoftwarePersonKey::open(&path).unwrap_err().code(), "hsm-person-key-file");
    }

    #[test]
    fn refuses_a_file_of_another_form() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        let digits = "0".repeat(64);
        for (name, text) in [
            ("a", String::new()),
            ("b", format!("sigill-note-key/1\n{digits}\n")),
            ("c", format!("{HEADER}\n{}\n", &digits[1..])),
            ("d", format!("{HEADER}\n{digits}")),
            ("e", format!("{HEADER}\n{digits}\n\n")),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();

            assert_eq!(
                SoftwarePersonKey::open(&path).unwrap_err().code(),
                "hsm-person-key-form",
                "{name}"
            );
        }
    }
}
