//! CertID: which certificate is asked about (RFC 6960 §4.1.1).

use std::fmt;

use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::request::RequestError;
use crate::key::PublicKey;
use crate::oid::hash;
use crate::serial::SerialNumber;
use crate::tlv::{self, Element};

/// The hash that names the issuer in a CertID. SHA-1 names, it protects nothing (OCSP-05).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CertIdHash {
    /// What RFC 5019 clients and Windows send.
    Sha1,
    /// What RFC 9919 clients send.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl CertIdHash {
    /// Every hash that we answer.
    pub const ALL: [Self; 4] = [Self::Sha1, Self::Sha256, Self::Sha384, Self::Sha512];

    const fn oid(self) -> crate::oid::ObjectIdentifier {
        match self {
            Self::Sha1 => hash::SHA1,
            Self::Sha256 => hash::SHA256,
            Self::Sha384 => hash::SHA384,
            Self::Sha512 => hash::SHA512,
        }
    }

    /// Octets of the hash.
    #[must_use]
    pub const fn octets(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The hash of `bytes`.
    #[must_use]
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha1 => Sha1::digest(bytes).to_vec(),
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }
}

/// A CertID as received, to be echoed byte for byte.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CertId {
    der: Vec<u8>,
    hash: CertIdHash,
    issuer_name_hash: Vec<u8>,
    issuer_key_hash: Vec<u8>,
    /// `None` for one that is longer than any certificate may have.
    serial: Option<SerialNumber>,
}

impl CertId {
    /// Names the certificate that the issuer of this Name (DER) and key gave this serial.
    #[must_use]
    pub fn new(
        hash: CertIdHash,
        issuer_name: &[u8],
        issuer_key: &PublicKey,
        serial: SerialNumber,
    ) -> Self {
        let issuer_name_hash = hash.of(issuer_name);
        let issuer_key_hash = hash.of(issuer_key.key_bits());
        let algorithm = tlv::sequence(&[&tlv::oid(hash.oid()), &tlv::element(tlv::NULL, &[])]);
        let der = tlv::sequence(&[
            &algorithm,
            &tlv::element(tlv::OCTET_STRING, &[&issuer_name_hash]),
            &tlv::element(tlv::OCTET_STRING, &[&issuer_key_hash]),
            &tlv::element(tlv::INTEGER, &[serial.as_octets()]),
        ]);
        Self { der, hash, issuer_name_hash, issuer_key_hash, serial: Some(serial) }
    }

    /// Reads a CertID; hash parameters may be NULL or absent. The serial's octets are kept as they
    /// are, minimal or not and of whatever length, because certificates of others carry what they
    /// carry and whoever asks about one has done nothing wrong.
    pub(super) fn read(element: Element<'_>) -> Result<Self, RequestError> {
        let form = |_| RequestError::Form("reqCert");
        let mut fields = element.elements();
        let mut algorithm = fields.tagged(tlv::SEQUENCE).map_err(form)?.elements();
        let oid = algorithm.tagged(tlv::OID).and_then(|oid| oid.oid()).map_err(form)?;
        let parameters = algorithm.optional(tlv::NULL).map_err(form)?;
        algorithm.finish().map_err(form)?;
        if parameters.is_some_and(|null| !null.content.is_empty()) {
            return Err(RequestError::Form("hashAlgorithm"));
        }
        let name = fields.tagged(tlv::OCTET_STRING).map_err(form)?;
        let key = fields.tagged(tlv::OCTET_STRING).map_err(form)?;
        let serial = fields.tagged(tlv::INTEGER).map_err(form)?;
        fields.finish().map_err(form)?;
        if serial.content.is_empty() {
            return Err(RequestError::Form("serialNumber"));
        }
        let hash = CertIdHash::ALL
            .into_iter()
            .find(|hash| hash.oid() == oid)
            .ok_or(RequestError::UnknownHash)?;
        if name.content.len() != hash.octets() || key.content.len() != hash.octets() {
            return Err(RequestError::Form("issuer hashes"));
        }
        Ok(Self {
            der: element.whole.to_vec(),
            hash,
            issuer_name_hash: name.content.to_vec(),
            issuer_key_hash: key.content.to_vec(),
            serial: SerialNumber::from_content_octets(serial.content).ok(),
        })
    }

    /// The DER, as received.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The hash that names the issuer.
    #[must_use]
    pub const fn hash(&self) -> CertIdHash {
        self.hash
    }

    /// Hash of the issuer's Name.
    #[must_use]
    pub fn issuer_name_hash(&self) -> &[u8] {
        &self.issuer_name_hash
    }

    /// Hash of the issuer's public key bits.
    #[must_use]
    pub fn issuer_key_hash(&self) -> &[u8] {
        &self.issuer_key_hash
    }

    /// The serial number's content octets; `None` for one of more than
    /// [`SerialNumber::MAX_OCTETS`], which no certificate that we know can have.
    #[must_use]
    pub const fn serial(&self) -> Option<SerialNumber> {
        self.serial
    }
}

impl fmt::Debug for CertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.serial {
            Some(serial) => write!(f, "CertId({:?} serial {serial})", self.hash),
            None => write!(f, "CertId({:?} serial of too many octets)", self.hash),
        }
    }
}
