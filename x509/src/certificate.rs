//! Certificates: what is to be signed, and what was received, byte for byte.
//!
//! [`CertificateTemplate::to_tbs_der`] writes exactly the fields and extensions it is given, in that
//! order. [`Certificate::from_der`] reads only what a careful CA would write; certificates of other
//! operators that fall short of it go through [`crate::import`].

use std::fmt;
use std::ops::Range;

use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::extension::{
    self, AuthorityInfoAccess, AuthorityKeyIdentifier, BasicConstraints, CardNumber,
    CertificatePolicies, CrlDistributionPoints, ExtendedKeyUsage, Extension, ExtensionError,
    ExtensionValue, GeneralName, KeyUsage, SubjectAltName, SubjectKeyIdentifier,
};
use crate::key::{AlgorithmError, KeyError, PublicKey, SignatureAlgorithm};
use crate::name::{Name, NameError};
use crate::serial::SerialNumber;
use crate::tlv::{self, Element, NotDer};
use crate::validity::Validity;

/// Everything that goes into a certificate but the signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateTemplate {
    /// serialNumber; its content octets are copied.
    pub serial: SerialNumber,
    /// issuer; a byte copy of the subject of the issuer's certificate (PRO-15).
    pub issuer: Name,
    /// subject.
    pub subject: Name,
    /// validity.
    pub validity: Validity,
    /// subjectPublicKeyInfo; its bytes are copied.
    pub public_key: PublicKey,
    /// extensions, exactly these in exactly this order.
    pub extensions: Vec<Extension>,
    /// The algorithm that the issuer will sign with.
    pub algorithm: SignatureAlgorithm,
}

impl CertificateTemplate {
    /// The DER of the TBSCertificate, version 3 (RFC 5280 §4.1).
    #[must_use]
    pub fn to_tbs_der(&self) -> Vec<u8> {
        let version = tlv::element(tlv::context_constructed(0), &[&tlv::integer(2)]);
        let serial = tlv::element(tlv::INTEGER, &[self.serial.as_octets()]);
        let extensions = if self.extensions.is_empty() {
            Vec::new()
        } else {
            let list = extension::list_to_der(&self.extensions);
            tlv::element(tlv::context_constructed(3), &[&list])
        };
        tlv::sequence(&[
            &version,
            &serial,
            &self.algorithm.identifier_der(),
            self.issuer.as_der(),
            &self.validity.to_der(),
            self.subject.as_der(),
            self.public_key.spki_der(),
            &extensions,
        ])
    }
}

/// A certificate, parsed strictly, with the bytes that were received.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    tbs: Range<usize>,
    serial: SerialNumber,
    issuer: Name,
    validity: Validity,
    subject: Name,
    public_key: PublicKey,
    extensions: Vec<Extension>,
    algorithm: SignatureAlgorithm,
    signature: Vec<u8>,
}

impl Certificate {
    /// The longest certificate that is read, in octets. Ours stay under 3 000.
    pub const MAX_OCTETS: usize = 65_536;

    /// Parses the one DER encoding of a version 3 certificate (RFC 5280 §4.1).
    ///
    /// Strict in form: minimal DER everywhere that we read, values of all extensions that have a
    /// type in [`crate::extension`] included; a positive serial number of at most 20 octets; legal
    /// strings in names; times in the spelling of their year; a key and a signature algorithm that
    /// we know. Whether the certificate makes sense is for lint to say.
    ///
    /// # Errors
    ///
    /// [`CertificateError`], naming the first field that was refused.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > Self::MAX_OCTETS {
            return Err(CertificateError::TooLong { octets: der.len() });
        }
        let outer = Element::only(der, tlv::SEQUENCE)?;
        let mut parts = outer.elements();
        let tbs = parts.tagged(tlv::SEQUENCE)?;
        let outer_algorithm = parts.tagged(tlv::SEQUENCE)?;
        let signature = parts.tagged(tlv::BIT_STRING)?.octet_bits()?.to_vec();
        parts.finish()?;

        let mut fields = tbs.elements();
        read_version(fields.tagged(tlv::context_constructed(0)))?;
        let serial = read_serial(&fields.tagged(tlv::INTEGER)?)?;
        let inner_algorithm = fields.tagged(tlv::SEQUENCE)?;
        if inner_algorithm.whole != outer_algorithm.whole {
            return Err(CertificateError::AlgorithmsDiffer);
        }
        let algorithm = SignatureAlgorithm::read_identifier(inner_algorithm.whole)
            .map_err(CertificateError::Algorithm)?;
        let issuer = read_name(fields.tagged(tlv::SEQUENCE)?.whole, NameField::Issuer)?;
        let validity =
            Validity::of(&fields.tagged(tlv::SEQUENCE)?).map_err(|_| CertificateError::Validity)?;
        let subject = read_name(fields.tagged(tlv::SEQUENCE)?.whole, NameField::Subject)?;
        let public_key = PublicKey::from_spki_der(fields.tagged(tlv::SEQUENCE)?.whole)
            .map_err(CertificateError::PublicKey)?;
        let extensions = match fields.optional(tlv::context_constructed(3))? {
            Some(explicit) => extension::list_from_der(explicit.content)?,
            None => Vec::new(),
        };
        // What is left would be an issuerUniqueID or subjectUniqueID out of place.
        fields.finish()?;
        extension::check_known_values(&extensions)?;

        let start = der.len().saturating_sub(outer.content.len());
        let tbs = start..start.saturating_add(tbs.whole.len());
        let der = der.to_vec();
        Ok(Self {
            der,
            tbs,
            serial,
            issuer,
            validity,
            subject,
            public_key,
            extensions,
            algorithm,
            signature,
        })
    }

    /// The DER, byte for byte as received.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The TBSCertificate, byte for byte as received.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        self.der.get(self.tbs.clone()).unwrap_or_default()
    }

    /// serialNumber.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.serial
    }

    /// issuer.
    #[must_use]
    pub const fn issuer(&self) -> &Name {
        &self.issuer
    }

    /// subject.
    #[must_use]
    pub const fn subject(&self) -> &Name {
        &self.subject
    }

    /// validity.
    #[must_use]
    pub const fn validity(&self) -> Validity {
        self.validity
    }

    /// subjectPublicKeyInfo.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// The algorithm of the signature, the same inside and outside.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// The signature value in its X.509 form.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The extensions in encoded order.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.extensions
    }

    /// The value of the extension `T`, if it is there.
    #[must_use]
    pub fn extension<T: ExtensionValue>(&self) -> Option<T> {
        // The value was read once already when parsing.
        extension::find(&self.extensions).ok().flatten()
    }

    /// subjectKeyIdentifier: what certificates and CRLs below this one carry as their authority key
    /// identifier, byte for byte (PRO-14).
    #[must_use]
    pub fn ski(&self) -> Option<SubjectKeyIdentifier> {
        self.extension()
    }

    /// The keyIdentifier of authorityKeyIdentifier.
    #[must_use]
    pub fn aki(&self) -> Option<Vec<u8>> {
        let authority: AuthorityKeyIdentifier = self.extension()?;
        authority.key_identifier().map(<[u8]>::to_vec)
    }

    /// basicConstraints; an end entity where the extension is missing.
    #[must_use]
    pub fn basic_constraints(&self) -> BasicConstraints {
        self.extension().unwrap_or(BasicConstraints::EndEntity)
    }

    /// keyUsage.
    #[must_use]
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.extension()
    }

    /// extKeyUsage; `None` where the extension is missing.
    #[must_use]
    pub fn extended_key_usage(&self) -> Option<ExtendedKeyUsage> {
        self.extension()
    }

    /// The names of subjectAltName; empty where the extension is missing.
    #[must_use]
    pub fn subject_alt_names(&self) -> Vec<GeneralName> {
        self.extension().map_or_else(Vec::new, |SubjectAltName(names)| names)
    }

    /// certificatePolicies.
    #[must_use]
    pub fn policies(&self) -> Option<CertificatePolicies> {
        self.extension()
    }

    /// cardNumber.
    #[must_use]
    pub fn card_number(&self) -> Option<CardNumber> {
        self.extension()
    }

    /// The URIs of cRLDistributionPoints.
    #[must_use]
    pub fn crl_uris(&self) -> Vec<String> {
        let points: Option<CrlDistributionPoints> = self.extension();
        points.map_or_else(Vec::new, |points| points.uris().map(str::to_owned).collect())
    }

    /// The URIs of OCSP responders.
    #[must_use]
    pub fn ocsp_uris(&self) -> Vec<String> {
        let access: Option<AuthorityInfoAccess> = self.extension();
        access.map_or_else(Vec::new, |access| access.ocsp_uris().map(str::to_owned).collect())
    }

    /// The URIs of the issuer's certificate.
    #[must_use]
    pub fn ca_issuers_uris(&self) -> Vec<String> {
        let access: Option<AuthorityInfoAccess> = self.extension();
        access.map_or_else(Vec::new, |access| access.ca_issuers_uris().map(str::to_owned).collect())
    }

    /// SHA-256 of the whole certificate.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Verifies the signature under the issuer's key, over the received bytes.
    ///
    /// # Errors
    ///
    /// As [`PublicKey::verify`].
    pub fn verify_signed_by(&self, issuer: &PublicKey) -> Result<(), KeyError> {
        issuer.verify(self.algorithm, self.tbs_der(), &self.signature)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} {:?})", self.serial, self.subject)
    }
}

fn read_version(explicit: Result<Element<'_>, NotDer>) -> Result<(), CertificateError> {
    let version = explicit.map_err(|_| CertificateError::Version)?;
    let version = Element::only(version.content, tlv::INTEGER)?.small_integer()?;
    if version == 2 { Ok(()) } else { Err(CertificateError::Version) }
}

fn read_serial(element: &Element<'_>) -> Result<SerialNumber, CertificateError> {
    let octets = element.integer_octets().map_err(|_| CertificateError::Serial)?;
    // RFC 5280 §4.1.2.2: positive.
    if octets == [0] || octets.first().is_some_and(|first| first & 0x80 != 0) {
        return Err(CertificateError::Serial);
    }
    SerialNumber::from_content_octets(octets).map_err(|_| CertificateError::Serial)
}

fn read_name(der: &[u8], field: NameField) -> Result<Name, CertificateError> {
    Name::from_der(der).map_err(|cause| CertificateError::Name { field, cause })
}

/// Which of the two names of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameField {
    /// issuer.
    Issuer,
    /// subject.
    Subject,
}

impl fmt::Display for NameField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Issuer => "issuer",
            Self::Subject => "subject",
        })
    }
}

/// Why bytes were refused as a certificate.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum CertificateError {
    /// RFC 5280 §4.1.1.2: the same algorithm inside and outside.
    #[error("signature algorithm inside differs from the one outside")]
    AlgorithmsDiffer,
    /// The extensions or the value of a known one.
    #[error("certificate has refused extensions")]
    Extension(#[from] ExtensionError),
    /// One of the two names.
    #[error("certificate has a refused {field}")]
    Name {
        /// Which one.
        field: NameField,
        /// Why.
        #[source]
        cause: NameError,
    },
    /// Not the structure or not strict DER.
    #[error("not the DER of a certificate")]
    NotDer,
    /// The public key.
    #[error("certificate has a refused public key")]
    PublicKey(#[source] KeyError),
    /// RFC 5280 §4.1.2.2.
    #[error("serial number is not a positive minimal integer of at most 20 octets")]
    Serial,
    /// Longer than what is read.
    #[error("certificate has {octets} octets; read are at most {limit}", limit = Certificate::MAX_OCTETS)]
    TooLong {
        /// Its length.
        octets: usize,
    },
    /// Not one that we sign with.
    #[error("certificate has a refused signature algorithm")]
    Algorithm(#[source] AlgorithmError),
    /// RFC 5280 §4.1.2.5.
    #[error("validity is not two times in order, each spelled as its year demands")]
    Validity,
    /// Only version 3 is read.
    #[error("certificate is not of version 3")]
    Version,
}

impl From<NotDer> for CertificateError {
    fn from(_: NotDer) -> Self {
        Self::NotDer
    }
}

#[cfg(test)]
mod tests;
