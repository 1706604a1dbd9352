//! Public keys, what they are called, and verification of signatures under them.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::{digest, signature};
use der::asn1::{BitStringRef, ObjectIdentifier, UintRef};
use der::{Decode, Encode, Sequence};
use sha2::{Digest as _, Sha256};
use spki::SubjectPublicKeyInfoRef;
use thiserror::Error;

use crate::tlv;

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

impl SignatureAlgorithm {
    /// All algorithms, for tables and tests.
    pub const ALL: [Self; 6] = [
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::Ed25519,
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
    ];

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
        }
    }

    /// The AlgorithmIdentifier: parameters NULL for RSA (RFC 4055 §5), absent for the others
    /// (RFC 5758 §3.2, RFC 8410 §3).
    #[must_use]
    pub fn identifier(self) -> spki::AlgorithmIdentifierOwned {
        let parameters = match self {
            Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha384 | Self::RsaPkcs1Sha512 => {
                Some(der::Any::null())
            }
            _ => None,
        };
        spki::AlgorithmIdentifierOwned { oid: self.oid(), parameters }
    }

    /// The DER of [`Self::identifier`].
    #[must_use]
    pub fn identifier_der(self) -> Vec<u8> {
        let identifier = self.identifier();
        let parameters: &[u8] = if identifier.parameters.is_some() { &[tlv::NULL, 0] } else { &[] };
        tlv::sequence(&[&tlv::element(tlv::OID, &[identifier.oid.as_bytes()]), parameters])
    }

    /// The algorithm of an AlgorithmIdentifier's DER, parameters included. `None` for any other.
    #[must_use]
    pub fn from_identifier_der(der: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.identifier_der() == der)
    }

    /// The hash that is signed; `None` for Ed25519, which signs the whole message.
    #[must_use]
    pub const fn hash(self) -> Option<HashAlgorithm> {
        match self {
            Self::EcdsaP256Sha256 | Self::RsaPkcs1Sha256 => Some(HashAlgorithm::Sha256),
            Self::EcdsaP384Sha384 | Self::RsaPkcs1Sha384 => Some(HashAlgorithm::Sha384),
            Self::RsaPkcs1Sha512 => Some(HashAlgorithm::Sha512),
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
                    Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha384 | Self::RsaPkcs1Sha512,
                    KeyType::Rsa { .. }
                )
        )
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

    fn verification(self) -> &'static dyn signature::VerificationAlgorithm {
        match self {
            Self::EcdsaP256Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::EcdsaP384Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::Ed25519 => &signature::ED25519,
            Self::RsaPkcs1Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Self::RsaPkcs1Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Self::RsaPkcs1Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
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
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    spki: Vec<u8>,
    key_type: KeyType,
    key_bits: Vec<u8>,
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
    /// on the curve is a matter of key quality and judged there, and again at verification.
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
        Ok(Self { spki: spki.to_vec(), key_type, key_bits })
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
        &self.spki
    }

    /// What kind of key it is.
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }

    /// The content of the subjectPublicKey BIT STRING: an EC point, an RSAPublicKey, 32 octets.
    #[must_use]
    pub fn key_bits(&self) -> &[u8] {
        &self.key_bits
    }

    /// RSA modulus and exponent, big-endian without leading zeros; `None` for other keys.
    #[must_use]
    pub fn rsa_parts(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        let key = RsaPublicKey::from_der(&self.key_bits).ok()?;
        matches!(self.key_type, KeyType::Rsa { .. })
            .then(|| (key.modulus.as_bytes().to_vec(), key.exponent.as_bytes().to_vec()))
    }

    /// SHA-256 of the SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_hash(&self) -> SpkiHash {
        SpkiHash(Sha256::digest(&self.spki).into())
    }

    /// SHA-1 of the subjectPublicKey bits: RFC 5280 §4.2.1.2 method 1, and the issuerKeyHash of a
    /// SHA-1 CertID (RFC 6960 §4.1.1).
    #[must_use]
    pub fn key_bits_sha1(&self) -> [u8; 20] {
        sha1::Sha1::digest(&self.key_bits).into()
    }

    /// SHA-256 of the subjectPublicKey bits: the issuerKeyHash of a SHA-256 CertID.
    #[must_use]
    pub fn key_bits_sha256(&self) -> [u8; 32] {
        Sha256::digest(&self.key_bits).into()
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
        self.verifier(algorithm)?.verify(message, signature).map_err(|_| KeyError::BadSignature)
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
        self.verifier(algorithm)?
            .verify_digest(&digest, signature)
            .map_err(|_| KeyError::BadSignature)
    }

    fn verifier(
        &self,
        algorithm: SignatureAlgorithm,
    ) -> Result<signature::UnparsedPublicKey<&[u8]>, KeyError> {
        if !algorithm.fits(self.key_type) {
            return Err(KeyError::AlgorithmMismatch { algorithm, key_type: self.key_type });
        }
        Ok(signature::UnparsedPublicKey::new(algorithm.verification(), self.key_bits.as_slice()))
    }
}

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
    /// Only uncompressed points of the curve's length are read (RFC 5480 §2.2).
    #[error("EC point of {octets} octets is not an uncompressed P-256 or P-384 point")]
    Point {
        /// Its length.
        octets: usize,
    },
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
