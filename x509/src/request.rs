//! PKCS#10 certification requests, as strangers send them.
//!
//! What a request asks for is input and nothing more: its subject and extensions reach a certificate
//! only where a profile takes them (ISS-13). The one thing it proves is that its sender holds the
//! private key, which is verified over the bytes that were received.

mod info;
mod possession;

use std::fmt;

use thiserror::Error;

pub use self::info::CertificationRequestInfo;

use crate::extension::{self, Extension, ExtensionError, GeneralName, SubjectAltName};
use crate::key::{KeyError, PublicKey, SignatureAlgorithm};
use crate::name::{Name, NameError, NameFault};
use crate::oid::{ObjectIdentifier, request};
use crate::request::possession::PossessionAlgorithm;
use crate::tlv::{self, Element, Elements, NotDer};

/// A certification request (RFC 2986), parsed strictly; its signature is not verified yet.
#[derive(Clone)]
pub struct CertificationRequest {
    der: Vec<u8>,
    info: Vec<u8>,
    subject: Name,
    public_key: PublicKey,
    requested: Vec<Extension>,
    challenge: ChallengePassword,
    algorithm: PossessionAlgorithm,
    algorithm_der: Vec<u8>,
    signature: Vec<u8>,
}

/// Whether a request carries a challenge password, which is a secret of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChallengePassword {
    /// It carries none.
    Absent,
    /// It carries one: the request's bytes must be neither stored nor logged.
    Present,
}

impl CertificationRequest {
    /// The longest request that is read, in octets.
    pub const MAX_OCTETS: usize = 65_536;

    /// Parses the DER of a request.
    ///
    /// Lengths of names and the alphabets of their string types are not judged, because a profile
    /// may ignore them; attributes may stand in any order, because common tools do not sort them.
    ///
    /// # Errors
    ///
    /// [`RequestError`], naming what was refused: more than [`Self::MAX_OCTETS`]; BER; another
    /// version than 0; text that could mislead (control characters, bytes that are no text, a
    /// country that is not two letters); a key or signature algorithm that we do not know, SHA-1
    /// and MD5 among them; an attribute twice or without a value; extensions that are not DER.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > Self::MAX_OCTETS {
            return Err(RequestError::TooLong { octets: der.len() });
        }
        let mut parts = Element::only(der, tlv::SEQUENCE)?.elements();
        let info = parts.tagged(tlv::SEQUENCE)?;
        let algorithm = parts.tagged(tlv::SEQUENCE)?;
        let signature = parts.tagged(tlv::BIT_STRING)?.octet_bits()?.to_vec();
        parts.finish()?;

        let mut fields = info.elements();
        if fields.tagged(tlv::INTEGER)?.content != [0] {
            return Err(RequestError::Version);
        }
        let subject = read_subject(fields.tagged(tlv::SEQUENCE)?.whole)?;
        let public_key = PublicKey::from_spki_der(fields.tagged(tlv::SEQUENCE)?.whole)
            .map_err(RequestError::PublicKey)?;
        let attributes = fields.tagged(tlv::context_constructed(0))?;
        fields.finish()?;
        let (requested, challenge) = read_attributes(attributes.elements())?;
        let algorithm_der = algorithm.whole.to_vec();
        let algorithm = PossessionAlgorithm::of(algorithm.whole, public_key.key_type())
            .ok_or(RequestError::Algorithm)?;
        Ok(Self {
            der: der.to_vec(),
            info: info.whole.to_vec(),
            subject,
            public_key,
            requested,
            challenge,
            algorithm,
            algorithm_der,
            signature,
        })
    }

    /// Verifies that the sender holds the private key: the signature over the received
    /// CertificationRequestInfo under the request's own key (RFC 2986 §4.2, ISS-13).
    ///
    /// # Errors
    ///
    /// [`PossessionError::RsaSize`] for RSA moduli under 2048 or over 8192 bits,
    /// [`PossessionError::BadSignature`] when it does not verify.
    pub fn verify_possession(&self) -> Result<(), PossessionError> {
        self.algorithm.verify(&self.public_key, &self.info, &self.signature)
    }

    /// DER of the CertificationRequestInfo, which is what is signed.
    #[must_use]
    pub fn info_der(&self) -> &[u8] {
        &self.info
    }

    /// The algorithm, where it is one that we sign with too.
    #[must_use]
    pub fn algorithm(&self) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::from_identifier_der(&self.algorithm_der)
    }

    /// The signature value, in the X.509 form.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The DER, byte for byte as received. See [`Self::challenge_password`] before storing it.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Whether the bytes carry a challenge password.
    #[must_use]
    pub const fn challenge_password(&self) -> ChallengePassword {
        self.challenge
    }

    /// The key that the certificate is asked for.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The subject that is asked for.
    #[must_use]
    pub const fn subject(&self) -> &Name {
        &self.subject
    }

    /// The extensions that are asked for, in encoded order.
    #[must_use]
    pub fn requested_extensions(&self) -> &[Extension] {
        &self.requested
    }

    /// The names of the subjectAltName that is asked for.
    #[must_use]
    pub fn requested_alt_names(&self) -> Vec<GeneralName> {
        // The value was read once already when parsing.
        let names = extension::find::<SubjectAltName>(&self.requested).ok().flatten();
        names.map_or_else(Vec::new, |SubjectAltName(names)| names)
    }
}

impl fmt::Debug for CertificationRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificationRequest({:?} {:?})", self.subject, self.public_key)
    }
}

fn read_subject(der: &[u8]) -> Result<Name, RequestError> {
    let subject = Name::from_foreign_der(der).map_err(RequestError::Subject)?;
    match subject.faults().into_iter().find(|fault: &NameFault| fault.is_hostile()) {
        Some(fault) => Err(RequestError::Subject(NameError::Fault(fault))),
        None => Ok(subject),
    }
}

/// Reads the attributes (RFC 2986 §4.1): each type once, each with at least one value.
fn read_attributes(
    mut attributes: Elements<'_>,
) -> Result<(Vec<Extension>, ChallengePassword), RequestError> {
    let mut seen: Vec<ObjectIdentifier> = Vec::new();
    let mut requested = Vec::new();
    let mut challenge = ChallengePassword::Absent;
    while !attributes.is_empty() {
        let mut fields = attributes.tagged(tlv::SEQUENCE)?.elements();
        let oid = fields.tagged(tlv::OID)?.oid()?;
        let mut values = fields.tagged(tlv::SET)?.elements();
        fields.finish()?;
        if seen.contains(&oid) {
            return Err(RequestError::AttributeTwice { oid });
        }
        seen.push(oid);
        if values.is_empty() {
            return Err(RequestError::AttributeWithoutValue { oid });
        }
        let first = values.any()?;
        match oid {
            request::EXTENSION_REQUEST => {
                // RFC 2985 §5.4.2: single-valued.
                values.finish()?;
                requested = extension::list_from_der(first.whole)?;
                extension::check_known_values(&requested)?;
            }
            request::CHALLENGE_PASSWORD => challenge = ChallengePassword::Present,
            _ => {}
        }
        while !values.is_empty() {
            values.any()?;
        }
    }
    Ok((requested, challenge))
}

/// Why bytes were refused as a certification request.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// Known are ECDSA, RSA PKCS#1 and PSS with SHA-2, and Ed25519, by a key of that kind.
    #[error("signature algorithm is not known, too weak, or not one of the request's key")]
    Algorithm,
    /// RFC 2986 §4.1: a SET of attributes of different types.
    #[error("attribute {oid} stands there twice")]
    AttributeTwice {
        /// The attribute's type.
        oid: ObjectIdentifier,
    },
    /// RFC 2986 §4.1: a SET of at least one value.
    #[error("attribute {oid} has no value")]
    AttributeWithoutValue {
        /// The attribute's type.
        oid: ObjectIdentifier,
    },
    /// The extensions that are asked for, or the value of a known one.
    #[error("requested extensions refused")]
    Extension(#[from] ExtensionError),
    /// Not the structure or not strict DER.
    #[error("not the DER of a certification request")]
    NotDer,
    /// The public key.
    #[error("public key of the request refused")]
    PublicKey(#[source] KeyError),
    /// The subject.
    #[error("subject of the request refused")]
    Subject(#[source] NameError),
    /// Longer than what is read.
    #[error(
        "request has {octets} octets; read are at most {limit}",
        limit = CertificationRequest::MAX_OCTETS
    )]
    TooLong {
        /// Its length.
        octets: usize,
    },
    /// RFC 2986 §4.1.
    #[error("version of the request is not 0")]
    Version,
}

impl From<NotDer> for RequestError {
    fn from(_: NotDer) -> Self {
        Self::NotDer
    }
}

/// Why a request does not prove possession of the private key.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PossessionError {
    /// The signature does not verify.
    #[error("signature of the request does not verify under its own public key")]
    BadSignature,
    /// Signatures of smaller and larger keys are not verified at all.
    #[error("RSA modulus has {bits} bits; signatures are verified from 2048 to 8192")]
    RsaSize {
        /// The size of the modulus.
        bits: u16,
    },
}

#[cfg(test)]
mod tests;
