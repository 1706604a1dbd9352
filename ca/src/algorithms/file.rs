//! The policy file as it is written, and what of it cannot be.

use serde::Deserialize;
use thiserror::Error;
use x509::key::{KeyError, KeyType, SignatureAlgorithm};

use super::{Allowed, KeyPurpose};
use crate::day::Day;

/// The version of the format that is read.
const VERSION: u32 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    version: u32,
    #[serde(default)]
    allow: Vec<AllowFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowFile {
    purpose: PurposeWord,
    key: String,
    #[serde(default)]
    signatures: Vec<String>,
    from: Day,
    to: Option<Day>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PurposeWord {
    Issuing,
    Management,
    Responder,
    Subscriber,
}

impl From<PurposeWord> for KeyPurpose {
    fn from(word: PurposeWord) -> Self {
        match word {
            PurposeWord::Issuing => Self::Issuing,
            PurposeWord::Management => Self::Management,
            PurposeWord::Responder => Self::Responder,
            PurposeWord::Subscriber => Self::Subscriber,
        }
    }
}

/// Reads the lines of a policy.
pub(super) fn read(text: &str) -> Result<Vec<Allowed>, AlgorithmPolicyError> {
    let file: PolicyFile =
        toml::from_str(text).map_err(|error| AlgorithmPolicyError::Toml(Box::new(error)))?;
    if file.version != VERSION {
        return Err(AlgorithmPolicyError::Version { found: file.version });
    }
    if file.allow.is_empty() {
        return Err(AlgorithmPolicyError::Nothing);
    }
    file.allow.into_iter().map(line).collect()
}

fn line(file: AllowFile) -> Result<Allowed, AlgorithmPolicyError> {
    let purpose = KeyPurpose::from(file.purpose);
    let key: KeyType = file
        .key
        .parse()
        .map_err(|source| AlgorithmPolicyError::Key { found: file.key.clone(), source })?;
    if file.signatures.is_empty() == purpose.signs() {
        return Err(AlgorithmPolicyError::Signatures { purpose, key });
    }
    let signatures = file
        .signatures
        .into_iter()
        .map(|written| {
            let parsed: Option<SignatureAlgorithm> = written.parse().ok();
            parsed
                .filter(|algorithm| algorithm.fits(key))
                .ok_or(AlgorithmPolicyError::Signature { written, key })
        })
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(to) = file.to.filter(|to| *to < file.from) {
        return Err(AlgorithmPolicyError::Period { from: file.from, to });
    }
    Ok(Allowed { purpose, key, signatures, from: file.from, to: file.to })
}

/// Why a file is no policy.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AlgorithmPolicyError {
    /// No type of key.
    #[error("key = {found:?} is no type of key")]
    Key {
        /// What was found.
        found: String,
        /// Why.
        #[source]
        source: KeyError,
    },
    /// A policy that allows nothing is no policy.
    #[error("policy has no [[allow]]")]
    Nothing,
    /// It ends before it begins.
    #[error("to = {to} is before from = {from}")]
    Period {
        /// The first day.
        from: Day,
        /// The last day.
        to: Day,
    },
    /// No signature of such a key.
    #[error("signatures has {written:?}; {key} keys sign with {}", SignatureAlgorithm::names_for(*key))]
    Signature {
        /// What was found.
        written: String,
        /// The key of the line.
        key: KeyType,
    },
    /// Signatures are named for keys that sign certificates, and for no others.
    #[error(
        "key = \"{key}\" of purpose {purpose}: signatures stand with issuing and management, and only there"
    )]
    Signatures {
        /// The purpose of the line.
        purpose: KeyPurpose,
        /// Its key.
        key: KeyType,
    },
    /// Not TOML, or a key or word that does not exist; the message names line and key.
    #[error("not the TOML of an algorithm policy")]
    Toml(#[source] Box<toml::de::Error>),
    /// Another format.
    #[error("version = {found}, known is {VERSION}")]
    Version {
        /// What was found.
        found: u32,
    },
}
