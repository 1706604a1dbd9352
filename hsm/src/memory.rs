//! A delegate's key in the memory of the process, with a file of its own that survives a restart.
//!
//! For operators of OCSP responders whose policy allows it (decision 0029); CA keys, identity keys and note keys
//! of production lie in tokens. A [`MemoryKey`] signs OCSP answers and its own request to be certified, and
//! nothing else. docs/formats/key-files.md tells its file.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use ledger::origin::DeploymentName;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use thiserror::Error;
use x509::key::{KeyType, PublicKey, SpkiHash};
use x509::name::Name;
use x509::request::{CertificationRequest, CertificationRequestInfo};
use x509::signing::{SigningInput, SigningKind, ToBeSigned};
use zeroize::Zeroizing;

use crate::operation::{proof_text, proving_algorithm};
use crate::request::SignRequestError;
use crate::secret_file::{self, SecretFileError};
use crate::secret_text;
use crate::service::{KeyPolicy, KeyUse, LateSignature, SignError, SigningService};
use crate::signer::checked_digest;
use crate::state::TokenState;

/// The first line of a key file.
const HEADER: &str = "sigill-delegate-key/1";
/// How long signing may take by [`SigningService::deadline`]; it never waits for anything.
const DEADLINE: Duration = Duration::from_secs(1);

/// A delegate's private key: P-256, or RSA of 2048 or 3072 bits. The library wipes it when it is dropped.
pub struct MemoryKey {
    pair: Pair,
    public: PublicKey,
}

enum Pair {
    EcP256(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl MemoryKey {
    /// Draws a key and writes it to `<folder>/<SPKI hash>.key`, mode 0600, durable and whole before this returns. The
    /// folder has mode 0700.
    ///
    /// # Errors
    ///
    /// [`MemoryKeyError`]: another type of key, a folder that others can reach, a full disk.
    pub fn create(
        folder: &Path,
        deployment: &DeploymentName,
        key_type: KeyType,
    ) -> Result<Self, MemoryKeyError> {
        forbid_core_dumps()?;
        let (pair, pkcs8) = drawn(key_type)?;
        let key = Self::of(pair).ok_or(MemoryKeyError::Draw)?;
        let text = text_of(deployment, &pkcs8);
        let path = key_path(folder, key.public.spki_hash());
        secret_file::create_whole(&path, text.as_bytes()).map_err(MemoryKeyError::File)?;
        Ok(key)
    }

    /// Reads the key with this hash from its file in `folder`, a regular one of mode 0600 in a folder of mode 0700,
    /// both of this process's user, and has it prove itself.
    ///
    /// # Errors
    ///
    /// [`MemoryKeyError`]: there is no such file or it was refused, it is of another deployment (promise 8), it is
    /// torn or damaged, or it holds another key than its name says (promise 6).
    pub fn open(
        folder: &Path,
        deployment: &DeploymentName,
        key: SpkiHash,
    ) -> Result<Self, MemoryKeyError> {
        forbid_core_dumps()?;
        let path = key_path(folder, key);
        let malformed = || MemoryKeyError::Form { path: path.clone() };
        let octets = secret_file::read(&path).map_err(MemoryKeyError::File)?;
        let text = str::from_utf8(&octets).map_err(|_| malformed())?;
        let mut lines = text.strip_suffix('\n').ok_or_else(malformed)?.split('\n');
        let (Some(HEADER), Some(found), Some(digits), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(malformed());
        };
        if found != deployment.as_str() {
            return Err(MemoryKeyError::OtherDeployment {
                path,
                found: found.to_owned(),
                expected: deployment.clone(),
            });
        }
        let pkcs8 = secret_text::read(digits).ok_or_else(malformed)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8)
            .map(Pair::EcP256)
            .or_else(|_| RsaKeyPair::from_pkcs8(&pkcs8).map(Pair::Rsa))
            .map_err(|_| malformed())?;
        let opened = Self::of(pair).ok_or_else(malformed)?;
        let found = opened.public.spki_hash();
        if found != key {
            return Err(MemoryKeyError::OtherKey { path, found });
        }
        opened.prove(&key).map_err(|_| malformed())?;
        Ok(opened)
    }

    /// Its public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Has the key sign a PKCS#10 request for `subject` (RFC 2986).
    ///
    /// # Errors
    ///
    /// [`SignRequestError`]: it did not sign, or the signature does not verify.
    pub fn certification_request(
        &self,
        subject: &Name,
    ) -> Result<CertificationRequest, SignRequestError> {
        let public_key = self.public.clone();
        let info = CertificationRequestInfo { subject: subject.clone(), public_key };
        let signature = self.signature(&info.to_der()).map_err(SignRequestError::Sign)?;
        info.with_signature(proving_algorithm(self.public.key_type()), &signature)
            .map_err(SignRequestError::Request)
    }

    fn of(pair: Pair) -> Option<Self> {
        let public = match &pair {
            Pair::EcP256(pair) => PublicKey::from_ec_point(pair.public_key().as_ref()).ok(),
            Pair::Rsa(pair) => {
                let spki: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
                PublicKey::from_spki_der(spki.as_ref()).ok()
            }
        }?;
        is_allowed(public.key_type()).then_some(Self { pair, public })
    }

    /// Signs by the algorithm of the key's type, in the X.509 form.
    fn signature(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        let random = SystemRandom::new();
        let signed = match &self.pair {
            Pair::EcP256(pair) => {
                pair.sign(&random, message).map(|signature| signature.as_ref().to_vec())
            }
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).map(|()| signature)
            }
        };
        signed.map_err(|_| SignError::InMemory { key: self.public.spki_hash() })
    }

    fn is_ours(&self, key: &SpkiHash) -> Result<(), SignError> {
        if *key == self.public.spki_hash() {
            Ok(())
        } else {
            Err(SignError::UnknownKey { key: *key })
        }
    }
}

/// As a token's key it is held to its use, and the digest is taken again from the bytes.
impl SigningService for MemoryKey {
    fn sign_telling(
        &self,
        input: &SigningInput,
        _within: Duration,
        _passed_over: &mut dyn FnMut(&SignError),
    ) -> Result<Vec<u8>, SignError> {
        let key = input.issuer_key();
        self.is_ours(&key)?;
        let bytes = match (input.kind(), input.to_be_signed()) {
            (SigningKind::OcspAnswer, ToBeSigned::Bytes(bytes)) => bytes,
            (kind, _) => {
                let allowed = KeyPolicy::answering().names();
                return Err(SignError::KindNotAllowed { key, kind: kind.name(), allowed });
            }
        };
        let (algorithm, key_type) = (input.algorithm(), self.public.key_type());
        if algorithm != proving_algorithm(key_type) {
            return Err(SignError::Algorithm { key, key_type, algorithm });
        }
        checked_digest(input, bytes)?;
        self.signature(bytes)
    }

    fn deadline(&self) -> Duration {
        DEADLINE
    }

    fn prove(&self, key: &SpkiHash) -> Result<(), SignError> {
        self.is_ours(key)?;
        let text = proof_text(&self.public);
        let signature = self.signature(&text)?;
        let algorithm = proving_algorithm(self.public.key_type());
        self.public
            .verify(algorithm, &text, &signature)
            .map_err(|_| SignError::InMemory { key: *key })
    }

    fn within_reach(&self, key: &SpkiHash) -> Result<(), SignError> {
        self.is_ours(key)
    }

    fn prove_stand_bys(&self) {}

    fn keys(&self) -> Vec<SpkiHash> {
        vec![self.public.spki_hash()]
    }

    fn tokens(&self) -> Vec<TokenState> {
        Vec::new()
    }

    fn uses(&self) -> Vec<KeyUse> {
        Vec::new()
    }

    fn late_signatures(&self) -> Vec<LateSignature> {
        Vec::new()
    }
}

impl fmt::Debug for MemoryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryKey({}, hidden)", self.public.spki_hash())
    }
}

/// Where the key with this hash lies in `folder`.
#[must_use]
pub fn key_path(folder: &Path, key: SpkiHash) -> PathBuf {
    folder.join(format!("{key}.key"))
}

const fn is_allowed(key_type: KeyType) -> bool {
    matches!(key_type, KeyType::EcP256 | KeyType::Rsa { bits: 2048 | 3072 })
}

/// A new key and its PKCS#8 form.
fn drawn(key_type: KeyType) -> Result<(Pair, Zeroizing<Vec<u8>>), MemoryKeyError> {
    let rsa = |size| -> Result<_, Unspecified> {
        let pair = RsaKeyPair::generate(size)?;
        let pkcs8: Pkcs8V1Der<'_> = pair.as_der()?;
        let pkcs8 = Zeroizing::new(pkcs8.as_ref().to_vec());
        Ok((Pair::Rsa(pair), pkcs8))
    };
    let ec = || -> Result<_, Unspecified> {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING)?;
        let pkcs8 = Zeroizing::new(pair.to_pkcs8v1()?.as_ref().to_vec());
        Ok((Pair::EcP256(pair), pkcs8))
    };
    match key_type {
        KeyType::EcP256 => ec(),
        KeyType::Rsa { bits: 2048 } => rsa(KeySize::Rsa2048),
        KeyType::Rsa { bits: 3072 } => rsa(KeySize::Rsa3072),
        found => return Err(MemoryKeyError::Type { found }),
    }
    .map_err(|_| MemoryKeyError::Draw)
}

fn text_of(deployment: &DeploymentName, pkcs8: &[u8]) -> Zeroizing<String> {
    let room = pkcs8.len().saturating_mul(2).saturating_add(256);
    let mut text = Zeroizing::new(String::with_capacity(room));
    text.push_str(HEADER);
    text.push('\n');
    text.push_str(deployment.as_str());
    text.push('\n');
    secret_text::push(&mut text, pkcs8);
    text.push('\n');
    text
}

/// From now on a crash of the process writes no core file, and no other process of the same user reads its memory.
fn forbid_core_dumps() -> Result<(), MemoryKeyError> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| MemoryKeyError::CoreDumps(error.into()))
}

/// Why there is no key in memory.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MemoryKeyError {
    /// The system would write the key into a core file.
    #[error("core dumps of this process cannot be forbidden")]
    CoreDumps(#[source] std::io::Error),
    /// The library drew no key.
    #[error("no key could be drawn")]
    Draw,
    /// The file was refused.
    #[error("file of a delegate's key was refused")]
    File(#[source] SecretFileError),
    /// The file is not a key file.
    #[error("{path:?} is no delegate key of version 1: it is torn or damaged")]
    Form {
        /// The file.
        path: PathBuf,
    },
    /// The file belongs to another deployment (promise 8).
    #[error("delegate key {path:?} is of deployment {found:?}, but this is {expected}")]
    OtherDeployment {
        /// The file.
        path: PathBuf,
        /// The deployment that it names.
        found: String,
        /// This one.
        expected: DeploymentName,
    },
    /// The file holds another key than its name says (promise 6).
    #[error("{path:?} holds the key {found}")]
    OtherKey {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: SpkiHash,
    },
    /// Such keys are not kept in memory.
    #[error("a delegate's key in memory is P-256 or RSA of 2048 or 3072 bits, not {found}")]
    Type {
        /// What was asked for.
        found: KeyType,
    },
}

impl MemoryKeyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::CoreDumps(_) => "delegate-key-core-dumps",
            Self::Draw => "delegate-key-draw",
            Self::File(error) => error.code(),
            Self::Form { .. } => "delegate-key-form",
            Self::OtherDeployment { .. } => "delegate-key-deployment",
            Self::OtherKey { .. } => "delegate-key-other",
            Self::Type { .. } => "delegate-key-type",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::CoreDumps(_) => "keep the delegates' keys in the token on this system",
            Self::Draw => "check the machine; nothing works without random numbers",
            Self::File(error) => error.next_step(),
            Self::Form { .. } | Self::OtherKey { .. } => {
                "delete the file: the delegate is lost, and another key is made as soon as there is a place"
            }
            Self::OtherDeployment { .. } => {
                "check the paths: the state folder is another deployment's"
            }
            Self::Type { .. } => "choose another delegate-key, or keep the keys in the token",
        }
    }
}

#[cfg(test)]
mod tests;
