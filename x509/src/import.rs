//! Certificates of another operator, read leniently and kept byte for byte.
//!
//! Keys and data that are taken over come with certificates that our strict parser refuses and that
//! relying parties have trusted for years. They are answered for as they are: nothing is repaired,
//! and each way in which one falls short is a named [`Defect`]. Only the frame must be DER, because
//! without it nothing in the certificate can be found.

mod defect;

use std::fmt;

use aws_lc_rs::signature::{self, UnparsedPublicKey};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::certificate::Certificate;
use crate::extension::{Extension, ExtensionError, ExtensionValue, KeyUsage};
pub use crate::import::defect::{Defect, TimeField};
use crate::key::{KeyError, KeyType, PublicKey, SignatureAlgorithm};
use crate::name::Name;
use crate::oid::{ObjectIdentifier, signature as algorithm};
use crate::serial::SerialNumber;
use crate::time::UnixTime;
use crate::time_der;
use crate::tlv::{self, Element, NotDer};

/// A certificate of another operator: its bytes, what they say, and what is wrong with them.
#[derive(Clone, PartialEq, Eq)]
pub struct ImportedCertificate {
    der: Vec<u8>,
    facts: Facts,
    defects: Vec<Defect>,
}

/// What a certificate says, read field by field.
#[derive(Clone, PartialEq, Eq)]
struct Facts {
    tbs: Vec<u8>,
    version: u8,
    serial: SerialNumber,
    serial_is_minimal: bool,
    issuer: Name,
    not_before: (UnixTime, u8),
    not_after: (UnixTime, u8),
    subject: Name,
    spki: Vec<u8>,
    public_key: Option<PublicKey>,
    has_unique_id: bool,
    extensions: Vec<Extension>,
    spelled_out_defaults: Vec<ObjectIdentifier>,
    inner_algorithm: Vec<u8>,
    outer_algorithm: Vec<u8>,
    algorithm_oid: ObjectIdentifier,
    signature: Vec<u8>,
}

impl ImportedCertificate {
    /// Reads a certificate and names its defects.
    ///
    /// # Errors
    ///
    /// [`ImportError`] when the frame is not DER, so that fields cannot be told apart; when the
    /// serial number has more than 20 octets, which no status entry can carry; when it is longer
    /// than [`Certificate::MAX_OCTETS`].
    pub fn from_der(der: &[u8]) -> Result<Self, ImportError> {
        if der.len() > Certificate::MAX_OCTETS {
            return Err(ImportError::TooLong { octets: der.len() });
        }
        let facts = Facts::read(der)?;
        let defects = defect::all_of(&facts);
        Ok(Self { der: der.to_vec(), facts, defects })
    }

    /// The DER, byte for byte as received.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// The TBSCertificate, byte for byte as received.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.facts.tbs
    }

    /// What falls short of our own rules, in the order of the fields.
    #[must_use]
    pub fn defects(&self) -> &[Defect] {
        &self.defects
    }

    /// version as people count it: 3 for all that has extensions.
    #[must_use]
    pub const fn version(&self) -> u8 {
        self.facts.version
    }

    /// serialNumber: its content octets as received.
    #[must_use]
    pub const fn serial(&self) -> SerialNumber {
        self.facts.serial
    }

    /// issuer, byte for byte.
    #[must_use]
    pub const fn issuer(&self) -> &Name {
        &self.facts.issuer
    }

    /// subject, byte for byte.
    #[must_use]
    pub const fn subject(&self) -> &Name {
        &self.facts.subject
    }

    /// notBefore.
    #[must_use]
    pub const fn not_before(&self) -> UnixTime {
        self.facts.not_before.0
    }

    /// notAfter.
    #[must_use]
    pub const fn not_after(&self) -> UnixTime {
        self.facts.not_after.0
    }

    /// subjectPublicKeyInfo, byte for byte.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.facts.spki
    }

    /// The public key, where it is of a kind that we know.
    #[must_use]
    pub const fn public_key(&self) -> Option<&PublicKey> {
        self.facts.public_key.as_ref()
    }

    /// The extensions in encoded order, whatever their values hold.
    #[must_use]
    pub fn extensions(&self) -> &[Extension] {
        &self.facts.extensions
    }

    /// The value of the extension `T`, if it is there and readable.
    #[must_use]
    pub fn extension<T: ExtensionValue>(&self) -> Option<T> {
        self.facts.extension()
    }

    /// keyUsage, also where its trailing zero bits are written out.
    #[must_use]
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.facts.key_usage()
    }

    /// The signature algorithm, where it is one that we sign with ourselves, hashes of RSASSA-PSS
    /// without parameters included (RFC 4055 §2.1).
    #[must_use]
    pub fn algorithm(&self) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::from_foreign_identifier_der(&self.facts.inner_algorithm)
    }

    /// The signature algorithm's object identifier.
    #[must_use]
    pub const fn algorithm_oid(&self) -> ObjectIdentifier {
        self.facts.algorithm_oid
    }

    /// The signature value in its X.509 form.
    #[must_use]
    pub fn signature(&self) -> &[u8] {
        &self.facts.signature
    }

    /// SHA-256 of the whole certificate.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.der).into()
    }

    /// Verifies the signature under the issuer's key, also where it was made with SHA-1.
    ///
    /// A SHA-1 signature that verifies shows that a file was not damaged since it was exported; it
    /// is no proof against a forger and must decide nothing else.
    ///
    /// # Errors
    ///
    /// [`KeyError::BadSignature`] when it does not verify, its algorithm is not known, or the
    /// algorithm inside differs from the one outside; [`KeyError::AlgorithmMismatch`] when the key
    /// makes no such signatures.
    pub fn danger_verify_signed_by(&self, issuer: &PublicKey) -> Result<(), KeyError> {
        let facts = &self.facts;
        if facts.inner_algorithm != facts.outer_algorithm {
            return Err(KeyError::BadSignature);
        }
        if let Some(algorithm) = self.algorithm() {
            return issuer.verify(algorithm, &facts.tbs, &facts.signature);
        }
        if facts.algorithm_oid != algorithm::RSA_SHA1
            || !matches!(issuer.key_type(), KeyType::Rsa { .. })
        {
            return Err(KeyError::BadSignature);
        }
        UnparsedPublicKey::new(
            &signature::RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
            issuer.key_bits(),
        )
        .verify(&facts.tbs, &facts.signature)
        .map_err(|_| KeyError::BadSignature)
    }
}

impl fmt::Debug for ImportedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "ImportedCertificate({} {:?} {:?})",
            self.facts.serial, self.facts.subject, self.defects
        )
    }
}

impl Facts {
    fn read(der: &[u8]) -> Result<Self, ImportError> {
        let mut parts = Element::only(der, tlv::SEQUENCE)?.elements();
        let tbs = parts.tagged(tlv::SEQUENCE)?;
        let outer_algorithm = parts.tagged(tlv::SEQUENCE)?.whole.to_vec();
        let signature = parts.tagged(tlv::BIT_STRING)?.octet_bits()?.to_vec();
        parts.finish()?;

        let mut fields = tbs.elements();
        let version = match fields.optional(tlv::context_constructed(0))? {
            Some(explicit) => {
                Element::only(explicit.content, tlv::INTEGER)?.small_integer()?.saturating_add(1)
            }
            None => 1,
        };
        let serial_element = fields.tagged(tlv::INTEGER)?;
        let octets = serial_element.content.len();
        let serial = SerialNumber::from_content_octets(serial_element.content)
            .map_err(|_| ImportError::Serial { octets })?;
        let inner = fields.tagged(tlv::SEQUENCE)?;
        let algorithm_oid = inner.elements().tagged(tlv::OID)?.oid()?;
        let issuer = read_name(&fields.tagged(tlv::SEQUENCE)?)?;
        let mut times = fields.tagged(tlv::SEQUENCE)?.elements();
        let not_before = read_time(&times.any()?)?;
        let not_after = read_time(&times.any()?)?;
        times.finish()?;
        let subject = read_name(&fields.tagged(tlv::SEQUENCE)?)?;
        let spki = fields.tagged(tlv::SEQUENCE)?.whole.to_vec();
        let issuer_id = fields.optional(tlv::context(1))?;
        let subject_id = fields.optional(tlv::context(2))?;
        let (extensions, spelled_out_defaults) =
            match fields.optional(tlv::context_constructed(3))? {
                Some(explicit) => read_extensions(explicit.content)?,
                None => (Vec::new(), Vec::new()),
            };
        fields.finish()?;
        Ok(Self {
            tbs: tbs.whole.to_vec(),
            version,
            serial,
            serial_is_minimal: serial_element.integer_octets().is_ok(),
            issuer,
            not_before,
            not_after,
            subject,
            public_key: PublicKey::from_spki_der(&spki).ok(),
            spki,
            has_unique_id: issuer_id.is_some() || subject_id.is_some(),
            extensions,
            spelled_out_defaults,
            inner_algorithm: inner.whole.to_vec(),
            outer_algorithm,
            algorithm_oid,
            signature,
        })
    }

    fn key_usage(&self) -> Option<KeyUsage> {
        let found = self.extensions.iter().find(|found| found.oid == KeyUsage::OID)?;
        KeyUsage::from_padded_der(&found.value_der).ok()
    }

    /// The value of the extension `T`, if it is there and readable.
    fn extension<T: ExtensionValue>(&self) -> Option<T> {
        let values = self.extensions.iter().map(Extension::value::<T>);
        values.filter_map(|value: Result<_, ExtensionError>| value.ok().flatten()).next()
    }
}

fn read_name(element: &Element<'_>) -> Result<Name, NotDer> {
    Name::from_foreign_der(element.whole).map_err(|_| NotDer)
}

/// The time and the identifier octet of its spelling.
fn read_time(element: &Element<'_>) -> Result<(UnixTime, u8), NotDer> {
    let time = time_der::parse_time(element.tag, element.content).ok_or(NotDer)?;
    Ok((time, element.tag))
}

/// The extensions, and those of them whose critical FALSE is spelled out.
fn read_extensions(der: &[u8]) -> Result<(Vec<Extension>, Vec<ObjectIdentifier>), NotDer> {
    let mut elements = Element::only(der, tlv::SEQUENCE)?.elements();
    let (mut extensions, mut spelled_out) = (Vec::new(), Vec::new());
    while !elements.is_empty() {
        let mut fields = elements.tagged(tlv::SEQUENCE)?.elements();
        let oid = fields.tagged(tlv::OID)?.oid()?;
        let flag = fields.optional(tlv::BOOLEAN)?.map(|flag| flag.boolean()).transpose()?;
        let value_der = fields.tagged(tlv::OCTET_STRING)?.content.to_vec();
        fields.finish()?;
        if flag == Some(false) {
            spelled_out.push(oid);
        }
        extensions.push(Extension { oid, critical: flag.unwrap_or(false), value_der });
    }
    Ok((extensions, spelled_out))
}

/// Why a certificate of another operator cannot be taken over at all.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImportError {
    /// Its fields cannot be told apart.
    #[error("frame of the certificate is not DER")]
    NotDer,
    /// A status entry carries 1 to 20 octets.
    #[error("serial number has {octets} content octets; allowed are 1 to 20")]
    Serial {
        /// How many it has.
        octets: usize,
    },
    /// Longer than what is read.
    #[error("certificate has {octets} octets; read are at most {limit}", limit = Certificate::MAX_OCTETS)]
    TooLong {
        /// Its length.
        octets: usize,
    },
}

impl From<NotDer> for ImportError {
    fn from(_: NotDer) -> Self {
        Self::NotDer
    }
}

#[cfg(test)]
mod tests;
