//! Signature algorithms with all their parameters, and the form of their values.
//!
//! An algorithm is known by the DER of its AlgorithmIdentifier, parameters included: what differs by
//! an octet from what we write is another algorithm, and is refused by name.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{digest, signature};
use der::asn1::{ObjectIdentifier, UintRef};
use der::{Encode as _, Sequence};
use thiserror::Error;

use super::pss::{self, PssError};
use super::{ID_ED25519, KeyError, KeyType};
use crate::oid;
use crate::tlv::{self, Element, NotDer};

/// A signature algorithm with all its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256 under a P-256 key (RFC 5758 §3.2).
    EcdsaP256Sha256,
    /// ecdsa-with-SHA384 under a P-384 key (RFC 5758 §3.2).
    EcdsaP384Sha384,
    /// Ed25519 over the whole message (RFC 8410).
    Ed25519,
    /// sha256WithRSAEncryption (RFC 4055 §5).
    RsaPkcs1Sha256,
    /// sha384WithRSAEncryption (RFC 4055 §5).
    RsaPkcs1Sha384,
    /// sha512WithRSAEncryption (RFC 4055 §5).
    RsaPkcs1Sha512,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 octets (RFC 4055 §3.1).
    RsaPssSha256,
    /// RSASSA-PSS with SHA-384, MGF1 with SHA-384 and a salt of 48 octets.
    RsaPssSha384,
    /// RSASSA-PSS with SHA-512, MGF1 with SHA-512 and a salt of 64 octets.
    RsaPssSha512,
}

/// The hash that goes into a signature before the private key sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// The implementation, for one-shot and streaming use.
    #[must_use]
    pub fn implementation(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }
}

impl fmt::Display for HashAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sha256 => "SHA-256",
            Self::Sha384 => "SHA-384",
            Self::Sha512 => "SHA-512",
        })
    }
}

impl SignatureAlgorithm {
    /// All algorithms, for tables and tests.
    pub const ALL: [Self; 9] = [
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::Ed25519,
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
    ];

    /// How keys of `key_type` sign where nothing else is configured: the one way there is, or for RSA
    /// PKCS#1 v1.5 with SHA-256, which every relying party verifies.
    #[must_use]
    pub const fn default_for(key_type: KeyType) -> Self {
        match key_type {
            KeyType::EcP256 => Self::EcdsaP256Sha256,
            KeyType::EcP384 => Self::EcdsaP384Sha384,
            KeyType::Ed25519 => Self::Ed25519,
            KeyType::Rsa { .. } => Self::RsaPkcs1Sha256,
        }
    }

    /// The object identifier of the AlgorithmIdentifier.
    #[must_use]
    pub const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::EcdsaP256Sha256 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2"),
            Self::EcdsaP384Sha384 => ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3"),
            Self::Ed25519 => ID_ED25519,
            Self::RsaPkcs1Sha256 => ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11"),
            Self::RsaPkcs1Sha384 => ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12"),
            Self::RsaPkcs1Sha512 => ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13"),
            Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => {
                ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.10")
            }
        }
    }

    /// The DER of the AlgorithmIdentifier: parameters NULL for RSA with PKCS#1 v1.5 (RFC 4055 §5),
    /// RSASSA-PSS-params for PSS (RFC 4055 §3.1), absent for the others (RFC 5758 §3.2, RFC 8410 §3).
    #[must_use]
    pub fn identifier_der(self) -> Vec<u8> {
        let parameters = match self {
            Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha384 | Self::RsaPkcs1Sha512 => {
                vec![tlv::NULL, 0]
            }
            Self::RsaPssSha256 => pss::parameters_der(HashAlgorithm::Sha256),
            Self::RsaPssSha384 => pss::parameters_der(HashAlgorithm::Sha384),
            Self::RsaPssSha512 => pss::parameters_der(HashAlgorithm::Sha512),
            Self::EcdsaP256Sha256 | Self::EcdsaP384Sha384 | Self::Ed25519 => Vec::new(),
        };
        tlv::sequence(&[&tlv::element(tlv::OID, &[self.oid().as_bytes()]), &parameters])
    }

    /// The algorithm of an AlgorithmIdentifier's DER, parameters included. `None` for any other.
    #[must_use]
    pub fn from_identifier_der(der: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.identifier_der() == der)
    }

    /// As [`Self::from_identifier_der`], saying what was refused.
    ///
    /// # Errors
    ///
    /// [`AlgorithmError`]: another algorithm, or other parameters than those that we write.
    pub fn read_identifier(der: &[u8]) -> Result<Self, AlgorithmError> {
        if let Some(known) = Self::from_identifier_der(der) {
            return Ok(known);
        }
        let oid = Element::only(der, tlv::SEQUENCE)?.elements().tagged(tlv::OID)?.oid()?;
        if oid != oid::signature::RSA_PSS {
            return Err(AlgorithmError::Unknown { oid });
        }
        // What can be read and is none of ours spells the hash without its NULL.
        pss::read(der)?;
        Err(AlgorithmError::Pss(PssError::HashWithoutNull))
    }

    /// The algorithm of an AlgorithmIdentifier that somebody else wrote: also one in which the hashes
    /// of RSASSA-PSS have no parameters, which every reader must accept (RFC 4055 §2.1).
    #[must_use]
    pub fn from_foreign_identifier_der(der: &[u8]) -> Option<Self> {
        Self::from_identifier_der(der).or_else(|| pss::read(der).ok().map(Self::rsa_pss))
    }

    const fn rsa_pss(hash: HashAlgorithm) -> Self {
        match hash {
            HashAlgorithm::Sha256 => Self::RsaPssSha256,
            HashAlgorithm::Sha384 => Self::RsaPssSha384,
            HashAlgorithm::Sha512 => Self::RsaPssSha512,
        }
    }

    /// The hash that is signed; `None` for Ed25519, which signs the whole message.
    #[must_use]
    pub const fn hash(self) -> Option<HashAlgorithm> {
        match self {
            Self::EcdsaP256Sha256 | Self::RsaPkcs1Sha256 | Self::RsaPssSha256 => {
                Some(HashAlgorithm::Sha256)
            }
            Self::EcdsaP384Sha384 | Self::RsaPkcs1Sha384 | Self::RsaPssSha384 => {
                Some(HashAlgorithm::Sha384)
            }
            Self::RsaPkcs1Sha512 | Self::RsaPssSha512 => Some(HashAlgorithm::Sha512),
            Self::Ed25519 => None,
        }
    }

    /// Whether keys of `key_type` make such signatures.
    #[must_use]
    pub const fn fits(self, key_type: KeyType) -> bool {
        matches!(
            (self, key_type),
            (Self::EcdsaP256Sha256, KeyType::EcP256)
                | (Self::EcdsaP384Sha384, KeyType::EcP384)
                | (Self::Ed25519, KeyType::Ed25519)
                | (
                    Self::RsaPkcs1Sha256
                        | Self::RsaPkcs1Sha384
                        | Self::RsaPkcs1Sha512
                        | Self::RsaPssSha256
                        | Self::RsaPssSha384
                        | Self::RsaPssSha512,
                    KeyType::Rsa { .. }
                )
        )
    }

    /// The names of the algorithms that keys of `key_type` sign with, for refusals.
    #[must_use]
    pub fn names_for(key_type: KeyType) -> String {
        let fitting = Self::ALL.into_iter().filter(|algorithm| algorithm.fits(key_type));
        fitting.map(Self::name).collect::<Vec<_>>().join(", ")
    }

    /// The name used in configuration and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::Ed25519 => "ed25519",
            Self::RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
            Self::RsaPkcs1Sha384 => "rsa-pkcs1-sha384",
            Self::RsaPkcs1Sha512 => "rsa-pkcs1-sha512",
            Self::RsaPssSha256 => "rsa-pss-sha256",
            Self::RsaPssSha384 => "rsa-pss-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
        }
    }

    /// A well-formed signature value of this algorithm and key, for linting finished structures
    /// before any key is touched. It verifies under no key that anybody holds.
    #[must_use]
    pub fn placeholder(self, key_type: KeyType) -> Vec<u8> {
        let ecdsa = |octets: usize| {
            let half = vec![0x55; octets];
            UintRef::new(&half)
                .and_then(|half| EcdsaSigValue { r: half, s: half }.to_der())
                .unwrap_or_default()
        };
        match (self, key_type) {
            (Self::EcdsaP256Sha256, _) => ecdsa(32),
            (Self::EcdsaP384Sha384, _) => ecdsa(48),
            (Self::Ed25519, _) => vec![0x55; 64],
            (_, KeyType::Rsa { bits }) => vec![0x55; usize::from(bits).div_ceil(8)],
            (_, _) => vec![0x55; 256],
        }
    }

    /// How such signatures are verified; RSA from 2048 to 8192 bits.
    pub(crate) fn verification(self) -> &'static dyn signature::VerificationAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::Ed25519 => &signature::ED25519,
            Self::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RsaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
            Self::RsaPssSha256 => &signature::RSA_PSS_2048_8192_SHA256,
            Self::RsaPssSha384 => &signature::RSA_PSS_2048_8192_SHA384,
            Self::RsaPssSha512 => &signature::RSA_PSS_2048_8192_SHA512,
        }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for SignatureAlgorithm {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::ALL.into_iter().find(|a| a.name() == text).ok_or(KeyError::UnknownName)
    }
}

/// Ecdsa-Sig-Value (RFC 3279 §2.2.3).
#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

/// Turns the `r || s` of PKCS#11 (two halves of equal length) into the DER Ecdsa-Sig-Value of
/// X.509 (RFC 3279 §2.2.3).
///
/// # Errors
///
/// [`KeyError::Encoding`] when `raw` is empty or of odd length.
pub fn ecdsa_signature_to_der(raw: &[u8]) -> Result<Vec<u8>, KeyError> {
    if raw.is_empty() || !raw.len().is_multiple_of(2) {
        return Err(KeyError::Encoding);
    }
    let (r, s) = raw.split_at(raw.len() / 2);
    let der = |r, s| EcdsaSigValue { r: UintRef::new(r)?, s: UintRef::new(s)? }.to_der();
    der(r, s).map_err(|_| KeyError::Encoding)
}

/// Why an AlgorithmIdentifier was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum AlgorithmError {
    /// Not the structure or not strict DER.
    #[error("not the DER of an AlgorithmIdentifier")]
    NotDer,
    /// RSASSA-PSS with other parameters than ours.
    #[error("parameters of RSASSA-PSS refused: {0}")]
    Pss(PssError),
    /// An algorithm, or parameters, that we do not know.
    #[error("signature algorithm {oid} or its parameters are not known")]
    Unknown {
        /// The algorithm.
        oid: oid::ObjectIdentifier,
    },
}

impl From<NotDer> for AlgorithmError {
    fn from(_: NotDer) -> Self {
        Self::NotDer
    }
}

impl From<PssError> for AlgorithmError {
    fn from(error: PssError) -> Self {
        Self::Pss(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_algorithm_is_found_by_its_name_and_its_bytes() {
        for algorithm in SignatureAlgorithm::ALL {
            let der = algorithm.identifier_der();

            assert_eq!(algorithm.name().parse(), Ok(algorithm));
            assert_eq!(SignatureAlgorithm::from_identifier_der(&der), Some(algorithm));
            assert_eq!(SignatureAlgorithm::read_identifier(&der), Ok(algorithm));
        }
    }

    /// KEY-11: nobody has to say how a key signs, and the default fits it.
    #[test]
    fn the_default_fits_every_type_of_key() {
        let rsa = KeyType::Rsa { bits: 3072 };
        for key_type in [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519, rsa] {
            assert!(SignatureAlgorithm::default_for(key_type).fits(key_type), "{key_type}");
        }
    }

    #[test]
    fn names_the_algorithm_that_it_does_not_know() {
        let sha1 = tlv::sequence(&[&tlv::oid(oid::signature::RSA_SHA1), &[tlv::NULL, 0]]);
        let without_null = tlv::sequence(&[&tlv::oid(oid::signature::RSA_SHA256)]);

        for (der, oid) in
            [(sha1, oid::signature::RSA_SHA1), (without_null, oid::signature::RSA_SHA256)]
        {
            let refused = SignatureAlgorithm::read_identifier(&der);
            assert_eq!(refused, Err(AlgorithmError::Unknown { oid }));
        }
        assert_eq!(SignatureAlgorithm::read_identifier(&[0x30]), Err(AlgorithmError::NotDer));
    }
}
