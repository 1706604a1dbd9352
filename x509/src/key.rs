//! Public keys, what they are called, and verification of signatures under them.

mod algorithm;
mod point;
mod pss;

mod prepared;

use std::fmt;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use der::asn1::{BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Sequence};
use sha2::{Digest as _, Sha256};
use spki::SubjectPublicKeyInfoRef;
use thiserror::Error;

pub use algorithm::{AlgorithmError, HashAlgorithm, SignatureAlgorithm, ecdsa_signature_to_der};
use prepared::Prepared;
pub use pss::PssError;

const ID_EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const SECP256R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const ID_ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What kind of key a public key is; RSA with its modulus size in bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyType {
    /// ECDSA or ECDH on NIST P-256 (RFC 5480 §2.1.1.1).
    EcP256,
    /// ECDSA or ECDH on NIST P-384.
    EcP384,
    /// Ed25519 (RFC 8410).
    Ed25519,
    /// RSA (RFC 8017).
    Rsa {
        /// Size of the modulus in bits.
        bits: u16,
    },
}

impl fmt::Display for KeyType {
    /// The name used in profiles and errors: `ec-p256`, `rsa-3072`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EcP256 => f.write_str("ec-p256"),
            Self::EcP384 => f.write_str("ec-p384"),
            Self::Ed25519 => f.write_str("ed25519"),
            Self::Rsa { bits } => write!(f, "rsa-{bits}"),
        }
    }
}

impl FromStr for KeyType {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text {
            "ec-p256" => Ok(Self::EcP256),
            "ec-p384" => Ok(Self::EcP384),
            "ed25519" => Ok(Self::Ed25519),
            _ => text
                .strip_prefix("rsa-")
                .and_then(|bits| bits.parse().ok())
                .filter(|bits| (1024..=16384).contains(bits))
                .map(|bits| Self::Rsa { bits })
                .ok_or(KeyError::UnknownName),
        }
    }
}

/// SHA-256 of a SubjectPublicKeyInfo's DER: the name of a key everywhere in Sigill (promise 6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpkiHash([u8; 32]);

impl SpkiHash {
    /// Takes the 32 octets of the hash.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 octets of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SpkiHash {
    /// Lower-case hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for SpkiHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SpkiHash({self})")
    }
}

impl FromStr for SpkiHash {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        match base16ct::mixed::decode(text, &mut bytes) {
            Ok(decoded) if decoded.len() == 32 => Ok(Self(bytes)),
            _ => Err(KeyError::UnknownName),
        }
    }
}

/// A public key, parsed strictly, with the SubjectPublicKeyInfo bytes that were received.
///
/// Clones share one key, and what was computed of it once: its hashes, and its form for verifying. So a key that
/// is kept verifies faster than one that is parsed anew.
#[derive(Clone)]
pub struct PublicKey {
    key_type: KeyType,
    parts: Arc<Parts>,
}

/// What clones of a key share.
struct Parts {
    spki: Vec<u8>,
    key_bits: Vec<u8>,
    spki_hash: OnceLock<SpkiHash>,
    key_bits_sha1: OnceLock<[u8; 20]>,
    prepared: Prepared,
}

/// RSAPublicKey (RFC 8017 A.1.1).
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

impl PublicKey {
    /// Parses a DER SubjectPublicKeyInfo of a key type that we know.
    ///
    /// EC points must be uncompressed (RFC 5480 §2.2) and of the curve's length; whether they lie
    /// on the curve is said by [`Self::check_point`], and again at verification.
    ///
    /// # Errors
    ///
    /// [`KeyError::Encoding`] when it is not strict DER, [`KeyError::UnknownAlgorithm`] for another
    /// algorithm, curve or parameters, [`KeyError::Point`] for another form of point.
    pub fn from_spki_der(spki: &[u8]) -> Result<Self, KeyError> {
        let parsed = SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| KeyError::Encoding)?;
        let bits: BitStringRef<'_> = parsed.subject_public_key;
        let key_bits = bits.as_bytes().ok_or(KeyError::Encoding)?.to_vec();
        let key_type = Self::key_type_of(&parsed, &key_bits)?;
        if parsed.to_der().map_err(|_| KeyError::Encoding)? != spki {
            return Err(KeyError::Encoding);
        }
        let parts = Parts {
            spki: spki.to_vec(),
            key_bits,
            spki_hash: OnceLock::new(),
            key_bits_sha1: OnceLock::new(),
            prepared: Prepared::default(),
        };
        Ok(Self { key_type, parts: Arc::new(parts) })
    }

    fn key_type_of(
        parsed: &SubjectPublicKeyInfoRef<'_>,
        key_bits: &[u8],
    ) -> Result<KeyType, KeyError> {
        let unknown = KeyError::UnknownAlgorithm { oid: parsed.algorithm.oid };
        match parsed.algorithm.oid {
            ID_EC_PUBLIC_KEY => {
                let (key_type, length) = match parsed.algorithm.parameters_oid() {
                    Ok(SECP256R1) => (KeyType::EcP256, 65),
                    Ok(SECP384R1) => (KeyType::EcP384, 97),
                    _ => return Err(unknown),
                };
                if key_bits.first() != Some(&0x04) || key_bits.len() != length {
                    return Err(KeyError::Point { octets: key_bits.len() });
                }
                Ok(key_type)
            }
            RSA_ENCRYPTION => {
                if parsed.algorithm.parameters.map(|p| p.is_null()) != Some(true) {
                    return Err(unknown);
                }
                let key = RsaPublicKey::from_der(key_bits).map_err(|_| KeyError::Encoding)?;
                let bits = bit_length(key.modulus.as_bytes());
                let bits = u16::try_from(bits).map_err(|_| KeyError::Encoding)?;
                Ok(KeyType::Rsa { bits })
            }
            ID_ED25519 if parsed.algorithm.parameters.is_none() => {
                if key_bits.len() != 32 {
                    return Err(KeyError::Encoding);
                }
                Ok(KeyType::Ed25519)
            }
            _ => Err(unknown),
        }
    }

    /// Wraps an uncompressed point `04 || X || Y` (65 or 97 octets) as a SubjectPublicKeyInfo.
    ///
    /// # Errors
    ///
    /// [`KeyError::Point`] for another form or length.
    pub fn from_ec_point(point: &[u8]) -> Result<Self, KeyError> {
        let curve = match point.len() {
            65 => SECP256R1,
            97 => SECP384R1,
            octets => return Err(KeyError::Point { octets }),
        };
        Self::assemble(ID_EC_PUBLIC_KEY, Some(der::Any::from(curve)), point)
    }

    /// Wraps an RSA modulus and exponent (big-endian, unsigned) as a SubjectPublicKeyInfo.
    ///
    /// # Errors
    ///
    /// [`KeyError::Encoding`] when either is too long to encode.
    pub fn from_rsa_parts(modulus: &[u8], exponent: &[u8]) -> Result<Self, KeyError> {
        let parts =
            |m, e| RsaPublicKey { modulus: UintRef::new(m)?, exponent: UintRef::new(e)? }.to_der();
        let bits = parts(modulus, exponent).map_err(|_| KeyError::Encoding)?;
        Self::assemble(RSA_ENCRYPTION, Some(der::Any::null()), &bits)
    }

    /// Wraps a 32-octet Ed25519 public key as a SubjectPublicKeyInfo (RFC 8410 §4).
    ///
    /// # Errors
    ///
    /// [`KeyError::Encoding`], which cannot happen for 32 octets.
    pub fn from_ed25519(key: &[u8; 32]) -> Result<Self, KeyError> {
        Self::assemble(ID_ED25519, None, key)
    }

    fn assemble(
        oid: ObjectIdentifier,
        parameters: Option<der::Any>,
        bits: &[u8],
    ) -> Result<Self, KeyError> {
        let encode = || {
            spki::SubjectPublicKeyInfoOwned {
                algorithm: spki::AlgorithmIdentifierOwned { oid, parameters },
                subject_public_key: der::asn1::BitString::from_bytes(bits)?,
            }
            .to_der()
        };
        Self::from_spki_der(&encode().map_err(|_| KeyError::Encoding)?)
    }

    /// The SubjectPublicKeyInfo, byte for byte as received.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.parts.spki
    }

    /// What kind of key it is.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The content of the subjectPublicKey BIT STRING: an EC point, an RSAPublicKey, 32 octets.
    #[must_use]
    pub fn key_bits(&self) -> &[u8] {
        &self.parts.key_bits
    }

    /// RSA modulus and exponent, big-endian without leading zeros; `None` for other keys.
    #[must_use]
    pub fn rsa_parts(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let key = RsaPublicKey::from_der(self.key_bits()).ok()?;
        matches!(self.key_type, KeyType::Rsa { .. })
            .then(|| (key.modulus.as_bytes().to_vec(), key.exponent.as_bytes().to_vec()))
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_hash(&self) -> SpkiHash {
        *self.parts.spki_hash.get_or_init(|| SpkiHash(Sha256::digest(self.spki_der()).into()))
    }

    /// SHA-1 of the subjectPublicKey bits: RFC 5280 §4.2.1.2 method 1, and the issuerKeyHash of a
    /// SHA-1 CertID (RFC 6960 §4.1.1).
    #[must_use]
    pub fn key_bits_sha1(&self) -> [u8; 20] {
        *self.parts.key_bits_sha1.get_or_init(|| sha1::Sha1::digest(self.key_bits()).into())
    }

    /// SHA-256 of the subjectPublicKey bits: the issuerKeyHash of a SHA-256 CertID.
    #[must_use]
    pub fn key_bits_sha256(&self) -> [u8; 32] {
        Sha256::digest(self.key_bits()).into()
    }

    /// Verifies `signature` (in its X.509 form) over `message`.
    ///
    /// # Errors
    ///
    /// [`KeyError::AlgorithmMismatch`] when the key makes no such signatures,
    /// [`KeyError::BadSignature`] when it does not verify.
    pub fn verify(
        &self,
        algorithm: SignatureAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        self.may_verify(algorithm)?;
        self.parts
            .prepared
            .verify(algorithm, self.key_bits(), message, signature)
            .map_err(|_| KeyError::BadSignature)
    }

    /// Verifies `signature` over a message of which only the algorithm's own hash is at hand.
    ///
    /// # Errors
    ///
    /// As [`Self::verify`]; [`KeyError::AlgorithmMismatch`] also for Ed25519 and for a `digest` of
    /// another hash's length.
    pub fn verify_digest(
        &self,
        algorithm: SignatureAlgorithm,
        digest: &[u8],
        signature: &[u8],
    ) -> Result<(), KeyError> {
        let mismatch = KeyError::AlgorithmMismatch { algorithm, key_type: self.key_type };
        let hash = algorithm.hash().ok_or(mismatch)?;
        let digest = digest::Digest::import_less_safe(digest, hash.implementation())
            .map_err(|_| mismatch)?;
        self.may_verify(algorithm)?;
        self.parts
            .prepared
            .verify_digest(algorithm, self.key_bits(), &digest, signature)
            .map_err(|_| KeyError::BadSignature)
    }

    fn may_verify(&self, algorithm: SignatureAlgorithm) -> Result<(), KeyError> {
        let key_type = self.key_type;
        if algorithm.fits(key_type) {
            Ok(())
        } else {
            Err(KeyError::AlgorithmMismatch { algorithm, key_type })
        }
    }
}

/// Two keys are the same when their SubjectPublicKeyInfo is.
impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.spki_der() == other.spki_der()
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.key_type, self.spki_hash())
    }
}

/// Bits in a big-endian unsigned number without leading zero octets.
fn bit_length(octets: &[u8]) -> usize {
    let leading = octets.first().map_or(0, |first| first.leading_zeros());
    octets.len().saturating_mul(8).saturating_sub(usize::try_from(leading).unwrap_or(0))
}

/// Why a key or a signature was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The key cannot make signatures of that algorithm.
    #[error("{key_type} keys make no {algorithm} signatures")]
    AlgorithmMismatch {
        /// The algorithm that was asked for.
        algorithm: SignatureAlgorithm,
        /// The key that was given.
        key_type: KeyType,
    },
    /// The signature does not verify under this key.
    #[error("signature does not verify under the public key")]
    BadSignature,
    /// Not the one DER encoding of a SubjectPublicKeyInfo or of a signature value.
    #[error("public key or signature is not strict DER of its type")]
    Encoding,
    /// Not a point of its curve.
    #[error("{key_type} key is not a point of its curve")]
    NotOnCurve {
        /// What it would be.
        key_type: KeyType,
    },
    /// Only uncompressed points of the curve's length are read (RFC 5480 §2.2).
    #[error("EC point of {octets} octets is not an uncompressed P-256 or P-384 point")]
    Point {
        /// Its length.
        octets: usize,
    },
    /// A point of so small an order that every signature may verify under it.
    #[error("ed25519 key is a point of small order")]
    SmallOrder,
    /// Known are id-ecPublicKey on P-256 and P-384, rsaEncryption with NULL, and Ed25519.
    #[error("public key algorithm {oid} or its parameters are not known")]
    UnknownAlgorithm {
        /// The algorithm's object identifier.
        oid: ObjectIdentifier,
    },
    /// Not the name of a key type, algorithm or key.
    #[error("not the name of a key type, signature algorithm or key")]
    UnknownName,
}

#[cfg(test)]
pub(crate) mod wycheproof;
