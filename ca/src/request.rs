//! Certification requests as the rules see them: a key with proof of possession, and wishes that are
//! judged but never obeyed (ISS-13).

use thiserror::Error;
use x509::extension::GeneralName;
use x509::name::{AttributeType, NameAttribute};
use x509::oid::ObjectIdentifier;
use x509::pem;
use x509::request::{CertificationRequest, PossessionError};

use crate::identity::{DnsName, Wildcard};
use crate::profile::{Profile, ProfileName, RequestedExtensions};
use crate::refusal::Refusal;

/// The most names in a requested subjectAltName, whatever happens to them: no profile takes more.
const MOST_NAMES: usize = 100;
/// The most characters of an attribute without a bound of its own.
const MOST_CHARACTERS: usize = 256;

/// Takes the DER out of what a caller sends: a PEM block, or base64 of the DER.
///
/// # Errors
///
/// [`RequestError::Text`] when it is neither, or holds another block or several.
pub fn der_from_text(text: &str) -> Result<Vec<u8>, RequestError> {
    let label = pem::Label::CertificateRequest;
    let decoded = if text.trim_ascii_start().starts_with("-----BEGIN") {
        pem::decode_one(text, label)
    } else {
        // Bare base64 is the inside of a block.
        let block = format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n");
        pem::decode_one(&block, label)
    };
    match decoded {
        Ok(der) if der.is_empty() => Err(RequestError::Text(pem::PemError::NoBlock)),
        Ok(der) => Ok(der),
        Err(error) => Err(RequestError::Text(error)),
    }
}

/// Reads a request and judges its wishes. Its key is not judged and its signature not verified yet.
///
/// Subject and extensions are read past where the profile ignores them, and yet a request whose
/// wishes are malformed is refused: its sender's software is broken, or tries what it can do.
///
/// # Errors
///
/// [`RequestError`] names what was refused.
pub fn read(der: &[u8], profile: &Profile) -> Result<CertificationRequest, RequestError> {
    let request = CertificationRequest::from_der(der).map_err(RequestError::Malformed)?;
    request.subject().attributes().try_for_each(|attribute| check_bound(&attribute))?;
    let wishes = request.requested_extensions();
    if let (RequestedExtensions::Refuse, Some(first)) =
        (profile.requested_extensions(), wishes.first())
    {
        let profile = profile.name().clone();
        return Err(RequestError::ExtensionsRefused { profile, first: first.oid });
    }
    let names = request.requested_alt_names();
    if names.len() > MOST_NAMES {
        return Err(RequestError::NameCount { found: names.len() });
    }
    let is_illegal = |name: &GeneralName| match name {
        GeneralName::Dns(text) => DnsName::parse(text.as_str(), Wildcard::Allowed).is_err(),
        _ => false,
    };
    if names.iter().any(is_illegal) {
        return Err(RequestError::DnsName);
    }
    Ok(request)
}

fn check_bound(attribute: &NameAttribute<'_>) -> Result<(), RequestError> {
    let of_type = AttributeType::ALL.into_iter().find(|known| known.oid() == attribute.oid());
    let limit = of_type.and_then(AttributeType::max_characters).unwrap_or(MOST_CHARACTERS);
    let found = attribute.text().chars().count();
    if found > limit {
        return Err(RequestError::SubjectLength { attribute: attribute.oid(), found, limit });
    }
    Ok(())
}

/// Why a request was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// A requested dNSName is no DNS name.
    #[error("request asks for a dNSName that is no DNS name")]
    DnsName,
    /// The profile refuses requests with wishes.
    #[error("profile {profile} takes no requested extensions; the request asks for {first}")]
    ExtensionsRefused {
        /// The profile.
        profile: ProfileName,
        /// The first extension.
        first: ObjectIdentifier,
    },
    /// Not a request that can be read.
    #[error("request cannot be read: {0}")]
    Malformed(x509::request::RequestError),
    /// Too many names.
    #[error("request asks for {found} alternative names; at most {MOST_NAMES} are read")]
    NameCount {
        /// How many.
        found: usize,
    },
    /// The signature does not prove possession of the key.
    #[error("request proves no possession of its key: {0}")]
    Possession(PossessionError),
    /// An attribute of the subject is too long.
    #[error("subject attribute {attribute} has {found} characters; allowed are {limit}")]
    SubjectLength {
        /// The attribute.
        attribute: ObjectIdentifier,
        /// Its length.
        found: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Neither PEM nor base64.
    #[error("request is neither one PEM block CERTIFICATE REQUEST nor base64 of its DER: {0}")]
    Text(pem::PemError),
}

impl RequestError {
    /// The same in the words of a refusal.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let (code, rule, limit, next) = match self {
            Self::Possession(_) => (
                "csr-possession",
                "proof of possession of the private key (RFC 2986 §4.2; ISS-13)",
                "a signature by the request's own key with SHA-2".to_owned(),
                "sign the request with the key that it names",
            ),
            Self::ExtensionsRefused { .. } => (
                "csr-extensions",
                "requested-extensions of the profile",
                "a request without an extensionRequest attribute".to_owned(),
                "leave the extensions out of the request",
            ),
            Self::DnsName | Self::NameCount { .. } | Self::SubjectLength { .. } => (
                "csr-names",
                "names in a request are well-formed even where they are ignored (ISS-13)",
                format!("bounds of RFC 5280 appendix A.1, at most {MOST_NAMES} alternative names"),
                "make the request with plain names, or with none",
            ),
            Self::Text(_) => (
                "csr-unreadable",
                "a PKCS#10 request comes as PEM or as base64 of its DER (ISS-13)",
                format!(
                    "one CERTIFICATE REQUEST of at most {} octets",
                    CertificationRequest::MAX_OCTETS
                ),
                "make the request anew, for example with openssl req -new",
            ),
            Self::Malformed(_) => (
                "csr-malformed",
                "a PKCS#10 request in strict DER (RFC 2986)",
                format!("PEM or base64 of at most {} octets", CertificationRequest::MAX_OCTETS),
                "make a new request, for example with `openssl req -new -key KEY -subj /CN=x`",
            ),
        };
        Refusal::new(code, rule, self, limit, next)
    }
}
