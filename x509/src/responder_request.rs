//! What an OCSP responder sends inward to have a delegate key certified.
//!
//! The responder lives in the outer zone and opens no connection; it leaves this file in its outbox.
//! The body names the deployment, the CA and the delegate's PKCS#10 request, and is signed with the
//! responder's identity key, which two persons pinned at its enrolment. Counter and time keep an old
//! file from being used again. The format is told in docs/formats/responder-request.md.

use thiserror::Error;

use crate::key::{KeyError, PublicKey, SignatureAlgorithm, SpkiHash};
use crate::time::UnixTime;
use crate::tlv::{self, Element, NotDer};
use crate::{signing, stream, time_der};

/// The first words of every body: no other structure that is signed anywhere begins like this.
const LABEL: &[u8] = b"sigill responder request";
/// A request file is at most this long.
const MAX_OCTETS: usize = 16 * 1024;

/// What is asked for, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponderRequestBody {
    /// `<environment>/<pki>/<instance>`.
    pub deployment: String,
    /// SHA-256 of the DER of the CA certificate under whose key the delegate is to be certified.
    pub authority: [u8; 32],
    /// The responder's identity key.
    pub identity: SpkiHash,
    /// Rises with every request of this identity key; the CA takes none that does not.
    pub counter: u64,
    /// When the request was made.
    pub time: UnixTime,
    /// DER of the delegate's PKCS#10 CertificationRequest, signed by the delegate's own key.
    pub request: Vec<u8>,
}

impl ResponderRequestBody {
    /// The bytes that the identity key signs.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let mut time = Vec::with_capacity(17);
        time_der::push_generalized(&mut time, self.time);
        tlv::sequence(&[
            &tlv::integer(1),
            &tlv::element(tlv::UTF8_STRING, &[LABEL]),
            &tlv::element(tlv::UTF8_STRING, &[self.deployment.as_bytes()]),
            &tlv::element(tlv::OCTET_STRING, &[&self.authority]),
            &tlv::element(tlv::OCTET_STRING, &[self.identity.as_bytes()]),
            &tlv::integer(self.counter),
            &time,
            &self.request,
        ])
    }

    fn read(body: Element<'_>) -> Result<Self, ResponderRequestError> {
        let mut fields = body.elements();
        if fields.tagged(tlv::INTEGER)?.small_integer()? != 1 {
            return Err(ResponderRequestError::Version);
        }
        if fields.tagged(tlv::UTF8_STRING)?.content != LABEL {
            return Err(ResponderRequestError::Version);
        }
        let deployment = fields.tagged(tlv::UTF8_STRING)?.content;
        let authority = fields.tagged(tlv::OCTET_STRING)?.content;
        let identity = fields.tagged(tlv::OCTET_STRING)?.content;
        let counter = counter(fields.tagged(tlv::INTEGER)?.integer_octets()?)?;
        let time = fields.tagged(tlv::GENERALIZED_TIME)?;
        let request = fields.tagged(tlv::SEQUENCE)?.whole.to_vec();
        fields.finish()?;
        Ok(Self {
            deployment: String::from_utf8(deployment.to_vec()).map_err(|_| NotDer)?,
            authority: authority.try_into().map_err(|_| NotDer)?,
            identity: SpkiHash::from_bytes(identity.try_into().map_err(|_| NotDer)?),
            counter,
            time: time_der::parse_time(time.tag, time.content).ok_or(NotDer)?,
            request,
        })
    }
}

/// A signed request. Its signature has been verified when it comes from
/// [`ResponderRequest::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponderRequest {
    body: ResponderRequestBody,
    der: Vec<u8>,
}

impl ResponderRequest {
    /// Puts body and signature together.
    ///
    /// # Errors
    ///
    /// [`ResponderRequestError::Key`] when the signature does not verify under `identity`,
    /// [`ResponderRequestError::OtherIdentity`] when the body names another key.
    pub fn assemble(
        body: &ResponderRequestBody,
        algorithm: SignatureAlgorithm,
        signature: &[u8],
        identity: &PublicKey,
    ) -> Result<Self, ResponderRequestError> {
        let der = signing::assemble(&body.to_der(), algorithm, signature).ok_or(NotDer)?;
        Self::open(&der, identity)
    }

    /// Reads a request and verifies its signature under the pinned identity key.
    ///
    /// Whether deployment, authority, counter and time are right is the caller's to compare, and
    /// whether the PKCS#10 request in it is good as well.
    ///
    /// # Errors
    ///
    /// [`ResponderRequestError`]; nothing in the bytes may be believed then.
    pub fn open(der: &[u8], identity: &PublicKey) -> Result<Self, ResponderRequestError> {
        if der.len() > MAX_OCTETS {
            return Err(ResponderRequestError::TooLong { octets: stream::octets(der) });
        }
        let mut fields = Element::only(der, tlv::SEQUENCE)?.elements();
        let body = fields.tagged(tlv::SEQUENCE)?;
        let algorithm = fields.tagged(tlv::SEQUENCE)?.whole;
        let signature = fields.tagged(tlv::BIT_STRING)?.octet_bits()?;
        fields.finish()?;
        let algorithm = SignatureAlgorithm::from_identifier_der(algorithm)
            .ok_or(ResponderRequestError::Key(KeyError::UnknownName))?;
        identity.verify(algorithm, body.whole, signature).map_err(ResponderRequestError::Key)?;
        let body = ResponderRequestBody::read(body)?;
        if body.identity != identity.spki_hash() {
            return Err(ResponderRequestError::OtherIdentity { named: body.identity });
        }
        Ok(Self { body, der: der.to_vec() })
    }

    /// What is asked for.
    #[must_use]
    pub const fn body(&self) -> &ResponderRequestBody {
        &self.body
    }

    /// The file's content.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }
}

fn counter(octets: &[u8]) -> Result<u64, NotDer> {
    let magnitude = octets.strip_prefix(&[0]).unwrap_or(octets);
    if octets.first().is_some_and(|first| *first >= 0x80) || magnitude.len() > 8 {
        return Err(NotDer);
    }
    Ok(magnitude.iter().fold(0, |sum, octet| sum << 8 | u64::from(*octet)))
}

/// Why a responder's request is not believed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponderRequestError {
    /// The octets.
    #[error("responder request is malformed")]
    Form(#[from] NotDer),
    /// The signature.
    #[error("responder request is not signed by the pinned identity key")]
    Key(#[source] KeyError),
    /// Signed by the pinned key, but it says another.
    #[error("responder request names identity key {named}, which did not sign it")]
    OtherIdentity {
        /// The key that the body names.
        named: SpkiHash,
    },
    /// Bounds our work.
    #[error("responder request has {octets} octets; at most {MAX_OCTETS} are read")]
    TooLong {
        /// Its length.
        octets: u64,
    },
    /// Another format.
    #[error("responder request is not of version 1")]
    Version,
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

    use super::*;

    const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;

    fn key() -> (EcdsaKeyPair, PublicKey) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = PublicKey::from_ec_point(pair.public_key().as_ref()).unwrap();
        (pair, public)
    }

    fn body(identity: SpkiHash, counter: u64) -> ResponderRequestBody {
        ResponderRequestBody {
            deployment: "test/demo/a1b2".to_owned(),
            authority: [7; 32],
            identity,
            counter,
            time: UnixTime::from_secs(1_800_000_000).unwrap(),
            request: vec![0x30, 0x03, 0x02, 0x01, 0x00],
        }
    }

    fn sign(pair: &EcdsaKeyPair, body: &ResponderRequestBody) -> Vec<u8> {
        pair.sign(&SystemRandom::new(), &body.to_der()).unwrap().as_ref().to_vec()
    }

    #[test]
    fn reads_back_with_every_counter() {
        let (pair, identity) = key();
        for counter in [0, 1, 127, 128, 255, 256, u64::MAX] {
            let body = body(identity.spki_hash(), counter);
            let signature = sign(&pair, &body);

            let made = ResponderRequest::assemble(&body, ALGORITHM, &signature, &identity).unwrap();
            let read = ResponderRequest::open(made.as_der(), &identity).unwrap();

            assert_eq!(read.body(), &body);
        }
    }

    #[test]
    fn refuses_any_changed_octet_and_another_identity() {
        let (pair, identity) = key();
        let (_, stranger) = key();
        let body_of = |named| body(named, 5);
        let good = body_of(identity.spki_hash());
        let made =
            ResponderRequest::assemble(&good, ALGORITHM, &sign(&pair, &good), &identity).unwrap();
        for index in 0..made.as_der().len() {
            let mut bad = made.as_der().to_vec();
            bad[index] ^= 0x11;
            assert!(ResponderRequest::open(&bad, &identity).is_err(), "octet {index}");
        }
        assert!(matches!(
            ResponderRequest::open(made.as_der(), &stranger),
            Err(ResponderRequestError::Key(KeyError::BadSignature))
        ));

        let lying = body_of(stranger.spki_hash());
        let refused =
            ResponderRequest::assemble(&lying, ALGORITHM, &sign(&pair, &lying), &identity);
        assert!(matches!(refused, Err(ResponderRequestError::OtherIdentity { .. })));
    }
}
