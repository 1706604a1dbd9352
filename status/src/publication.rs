//! The files of the publication tree and of the outbox, by their names (architecture §2.3).
//!
//! What carries files between the zones takes these and nothing else: a name that is not here names no
//! file of ours, and one that is here cannot lead out of the tree or to a file on its way (`.name`).

use std::fmt;
use std::str::FromStr;

use ledger::bundle::MAX_ENTRY_LENGTH;
use ledger::tile::{TileKind, TilePath};
use thiserror::Error;

use crate::presigned::{MAX_PRESIGNED_OCTETS, Wave};

/// The longest part of a path between two slashes.
const MAX_PART: usize = 80;
/// A checkpoint, certificate or request is at most this long.
const MAX_SMALL: u64 = 64 * 1024;
/// A manifest is at most this long.
const MAX_MANIFEST: u64 = 1 << 20;
/// A set of test certificates is at most this long: some thousand certificates.
const MAX_TEST_CERTIFICATES: u64 = 4 << 20;
/// A CRL is at most this long: some seven million entries.
const MAX_CRL: u64 = 1 << 28;

/// A file of the publication tree.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PublicationPath {
    /// A tile or entry bundle of the status log.
    Tile(TilePath),
    /// The signed head of the status log.
    Checkpoint,
    /// The certificate of a CA: `aia/<ca>.cer`.
    Authority(String),
    /// The certificate of a delegate: `responder/<ca>/<spki>.cer`.
    Delegate(String),
    /// A CRL: `crl/<ca>.crl`, `crl/<ca>.delta.crl`, `crl/<ca>/<shard>.crl`.
    Crl(String),
    /// The signed list of the CRLs.
    CrlManifest,
    /// The published set of test certificates, in environment test alone.
    TestCertificates,
    /// Answers of a CA that were signed beforehand: `presigned/<ca>/<wave>.answers`. There are many, so they go last.
    Presigned(String),
}

impl PublicationPath {
    /// The most octets that a file of this name may have.
    #[must_use]
    pub fn max_octets(&self) -> u64 {
        match self {
            Self::Tile(tile) => {
                let count = u64::from(tile.width.count());
                match tile.kind {
                    TileKind::Hashes(_) => count * 32,
                    TileKind::Entries => {
                        count * (2 + u64::try_from(MAX_ENTRY_LENGTH).unwrap_or_default())
                    }
                }
            }
            Self::Checkpoint | Self::Authority(_) | Self::Delegate(_) => MAX_SMALL,
            Self::Crl(_) => MAX_CRL,
            Self::CrlManifest => MAX_MANIFEST,
            Self::TestCertificates => MAX_TEST_CERTIFICATES,
            Self::Presigned(_) => MAX_PRESIGNED_OCTETS,
        }
    }

    /// The name of the CA, for the certificate of one.
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        let Self::Authority(path) = self else { return None };
        path.strip_prefix("aia/")?.strip_suffix(".cer")
    }
}

impl fmt::Display for PublicationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tile(tile) => tile.fmt(f),
            Self::Checkpoint => f.write_str("checkpoint"),
            Self::CrlManifest => f.write_str("crl/manifest"),
            Self::TestCertificates => f.write_str("test-certificates.json"),
            Self::Authority(path)
            | Self::Delegate(path)
            | Self::Crl(path)
            | Self::Presigned(path) => f.write_str(path),
        }
    }
}

impl FromStr for PublicationPath {
    type Err = PublicationPathError;

    fn from_str(text: &str) -> Result<Self, PublicationPathError> {
        let refused = PublicationPathError::of(text);
        if let Ok(tile) = text.parse() {
            return Ok(Self::Tile(tile));
        }
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["checkpoint"] => Ok(Self::Checkpoint),
            ["crl", "manifest"] => Ok(Self::CrlManifest),
            ["test-certificates.json"] => Ok(Self::TestCertificates),
            ["crl", name] if is_file(name, ".crl") => Ok(Self::Crl(text.to_owned())),
            ["crl", authority, name] if is_name(authority) && is_file(name, ".crl") => {
                Ok(Self::Crl(text.to_owned()))
            }
            ["aia", name] if is_file(name, ".cer") => Ok(Self::Authority(text.to_owned())),
            ["responder", authority, name] if is_name(authority) && is_key(name, ".cer") => {
                Ok(Self::Delegate(text.to_owned()))
            }
            ["presigned", authority, name] if is_name(authority) && is_wave(name) => {
                Ok(Self::Presigned(text.to_owned()))
            }
            _ => Err(refused),
        }
    }
}

/// A file of the outbox: `responder/<ca>/<spki>.req`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutboxPath(String);

impl OutboxPath {
    /// The most octets that a request may have.
    pub const MAX_OCTETS: u64 = 16 * 1024;
}

impl fmt::Display for OutboxPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OutboxPath {
    type Err = PublicationPathError;

    fn from_str(text: &str) -> Result<Self, PublicationPathError> {
        let parts: Vec<&str> = text.split('/').collect();
        match parts.as_slice() {
            ["responder", authority, name] if is_name(authority) && is_key(name, ".req") => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(PublicationPathError::of(text)),
        }
    }
}

/// a-z, 0-9 and `-`: the short name of a CA.
fn is_name(part: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=MAX_PART).contains(&part.len()) && part.bytes().all(plain)
}

/// Names with single dots between them, and the ending.
fn is_file(part: &str, ending: &str) -> bool {
    part.strip_suffix(ending).is_some_and(|stem| stem.split('.').all(is_name))
        && part.len() <= MAX_PART
}

/// The number of a wave in four digits, and the ending.
fn is_wave(part: &str) -> bool {
    part.strip_suffix(".answers").is_some_and(|number| number.parse::<Wave>().is_ok())
}

/// A SHA-256 in lower-case hexadecimal, and the ending.
fn is_key(part: &str, ending: &str) -> bool {
    let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    part.strip_suffix(ending).is_some_and(|stem| stem.len() == 64 && stem.bytes().all(digit))
}

/// A text that names no file of the tree. It is not repeated: it may come from a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("name of {length} octets names no file of the tree")]
pub struct PublicationPathError {
    length: usize,
}

impl PublicationPathError {
    pub(crate) const fn of(text: &str) -> Self {
        Self { length: text.len() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    #[test]
    fn every_file_of_the_tree_has_its_name() {
        let delegate = format!("responder/person3/{KEY}.cer");
        for text in [
            "checkpoint",
            "tile/entries/x001/000.p/17",
            "tile/0/000",
            "crl/manifest",
            "test-certificates.json",
            "crl/person3.crl",
            "crl/person3.delta.crl",
            "crl/person3/2026-48.crl",
            "aia/sigilltesteidrootcav1.cer",
            "presigned/person3/0000.answers",
            "presigned/person3/1023.answers",
            &delegate,
        ] {
            let path: PublicationPath = text.parse().unwrap();
            assert_eq!(path.to_string(), text);
            assert!(path.max_octets() >= 32);
        }
        let request = format!("responder/person3/{KEY}.req");
        assert_eq!(request.parse::<OutboxPath>().unwrap().to_string(), request);
        let tile: PublicationPath = "tile/0/000.p/3".parse().unwrap();
        assert_eq!(tile.max_octets(), 96);
    }

    /// A carrier must not be led out of the tree, nor to a file that is being written.
    #[test]
    fn refuses_every_other_name() {
        let upper = format!("responder/person3/{}.cer", KEY.to_uppercase());
        let long = format!("aia/{}.cer", "a".repeat(200));
        for text in [
            "",
            "/",
            "/checkpoint",
            "checkpoint/",
            "../checkpoint",
            "crl/../checkpoint",
            "crl/..crl",
            "crl/.crl",
            "crl/.person3.crl",
            "crl/a..crl",
            "crl//a.crl",
            "crl/a/b/c.crl",
            "crl/manifest.crl/x",
            "aia/Person3.cer",
            "aia/a\0.cer",
            "aia/å.cer",
            "tile/0/000.p/0",
            "state/checkpoint",
            "test-certificates/a.json",
            "outbox/x.req",
            "presigned/person3/1024.answers",
            "presigned/person3/7.answers",
            "presigned/person3/+007.answers",
            "presigned/0000.answers",
            "responder/person3/abc.cer",
            &upper,
            &long,
        ] {
            assert!(text.parse::<PublicationPath>().is_err(), "{text}");
            assert!(text.parse::<OutboxPath>().is_err(), "{text}");
        }
    }
}
