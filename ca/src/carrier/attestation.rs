//! A maker's statement that a key was made in one of its carriers (ISS-10).
//!
//! The statement is a signature by one of the maker's keys over `sigill-attestation/1`, the DER of the
//! subject public key info and, of a card, the 19 digits of its number, one after the other. It names
//! the key itself, so a statement about another key proves nothing of this one.

use thiserror::Error;
use x509::key::{KeyError, KeyType, PublicKey, SignatureAlgorithm, SpkiHash};

use super::{AttestationRule, CarrierFamily};
use crate::identity::CardNumber;

const LABEL: &[u8] = b"sigill-attestation/1";

/// A public key of a maker, which came with the evidence; the family's file names its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maker(PublicKey);

impl Maker {
    /// Takes a key that makes signatures which are checked here: ECDSA or RSA.
    ///
    /// # Errors
    ///
    /// [`AttestationError::MakerKey`] for another one.
    pub fn new(key: PublicKey) -> Result<Self, AttestationError> {
        match key.key_type() {
            KeyType::EcP256 | KeyType::EcP384 | KeyType::Rsa { bits: 2048.. } => Ok(Self(key)),
            found => Err(AttestationError::MakerKey { found }),
        }
    }

    /// Its subject public key info, DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        self.0.spki_der()
    }

    const fn algorithm(&self) -> SignatureAlgorithm {
        match self.0.key_type() {
            KeyType::EcP256 => SignatureAlgorithm::EcdsaP256Sha256,
            KeyType::EcP384 => SignatureAlgorithm::EcdsaP384Sha384,
            _ => SignatureAlgorithm::RsaPkcs1Sha256,
        }
    }
}

/// Evidence of where a key was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyEvidence {
    /// The key that signed it.
    pub maker: Maker,
    /// The signature, in its X.509 form.
    pub signature: Vec<u8>,
}

impl KeyEvidence {
    /// What a maker signs about a key.
    #[must_use]
    pub fn statement(key: &PublicKey, card: Option<&CardNumber>) -> Vec<u8> {
        let card = card.map_or("", CardNumber::as_str);
        [LABEL, key.spki_der(), card.as_bytes()].concat()
    }
}

impl CarrierFamily {
    /// Judges the key that is to be certified: one that the family's carriers make, and, where the
    /// family has a maker, one that the evidence is about.
    ///
    /// # Errors
    ///
    /// [`AttestationError`] names what is missing or does not fit.
    pub fn judge_key(
        &self,
        key: &PublicKey,
        card: Option<&CardNumber>,
        evidence: Option<&KeyEvidence>,
    ) -> Result<(), AttestationError> {
        if !self.keys().contains(&key.key_type()) {
            return Err(AttestationError::KeyType {
                found: key.key_type(),
                allowed: self.keys().to_vec(),
            });
        }
        let keys = match (self.attestation(), evidence) {
            (AttestationRule::None, None) => return Ok(()),
            (AttestationRule::None, Some(_)) => return Err(AttestationError::NotTaken),
            (AttestationRule::SignedStatement { .. }, None) => {
                return Err(AttestationError::Missing);
            }
            (AttestationRule::SignedStatement { keys }, Some(_)) => keys,
        };
        let Some(KeyEvidence { maker, signature }) = evidence else {
            return Err(AttestationError::Missing);
        };
        let found = maker.0.spki_hash();
        if !keys.contains(&found) {
            return Err(AttestationError::Maker { found });
        }
        let statement = KeyEvidence::statement(key, card);
        maker
            .0
            .verify(maker.algorithm(), &statement, signature)
            .map_err(AttestationError::Signature)
    }
}

/// Why a key is not shown to live in a carrier of its family.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AttestationError {
    /// The carriers make no such keys.
    #[error("its carriers make no {found} keys")]
    KeyType {
        /// The key's type.
        found: KeyType,
        /// What they make.
        allowed: Vec<KeyType>,
    },
    /// Signed by a key that is not the maker's.
    #[error("evidence is signed by key {found}, which is none of the maker's")]
    Maker {
        /// SHA-256 of the key.
        found: SpkiHash,
    },
    /// A key that makes no signatures which are checked here.
    #[error("a maker's key is ECDSA, or RSA from 2048 bits, and not {found}")]
    MakerKey {
        /// The key's type.
        found: KeyType,
    },
    /// No evidence.
    #[error("no evidence of where the key was made")]
    Missing,
    /// Evidence about carriers that have none.
    #[error("evidence for a family that names no maker")]
    NotTaken,
    /// It does not verify over this key and this card number.
    #[error("evidence is not about this key and this card: {0}")]
    Signature(#[source] KeyError),
}
