//! OCSPRequest, read strictly (RFC 6960 §4.1).

use thiserror::Error;

use super::cert_id::CertId;
use super::{ACCEPTABLE_RESPONSES_OID, NONCE_OID, PREFERRED_ALGORITHMS_OID};
use crate::crl::{extension_parts, push_extension};
use crate::key::SignatureAlgorithm;
use crate::tlv::{self, Element, Elements};

/// A request is at most this long: 16 signed questions with certificates fit.
pub const MAX_REQUEST_OCTETS: usize = 16 * 1024;
/// A request asks about at most this many certificates (OCSP-14).
pub const MAX_REQUESTS: usize = 16;
/// RFC 9654 §2.1.
pub const MAX_NONCE_OCTETS: usize = 128;
/// A request wishes for at most this many signature algorithms.
const MAX_PREFERRED: usize = 32;

/// What somebody asks.
///
/// A requestor name and a signature are passed over: answers are the same for everybody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OcspRequest {
    /// The certificates asked about, 1 to [`MAX_REQUESTS`].
    pub cert_ids: Vec<CertId>,
    /// The nonce, 1 to [`MAX_NONCE_OCTETS`] octets.
    pub nonce: Option<Vec<u8>>,
    /// The signature algorithms that the client wishes for, the dearest first (RFC 6960 §4.4.7),
    /// without those that we do not know, SHA-1 among them. A wish, which policy may not grant.
    pub preferred: Vec<SignatureAlgorithm>,
}

/// What the extensions of a request say.
#[derive(Debug, Default)]
struct Extensions {
    nonce: Option<Vec<u8>>,
    preferred: Vec<SignatureAlgorithm>,
}

impl OcspRequest {
    /// Parses a request.
    ///
    /// # Errors
    ///
    /// [`RequestError::UnknownHash`] when an issuer is named by a hash that we do not know; all
    /// others are a malformedRequest.
    pub fn from_der(der: &[u8]) -> Result<Self, RequestError> {
        if der.len() > MAX_REQUEST_OCTETS {
            return Err(RequestError::TooLong { octets: der.len() });
        }
        let form = |_| RequestError::Form("OCSPRequest");
        let mut outer = Element::only(der, tlv::SEQUENCE).map_err(form)?.elements();
        let mut fields = outer.tagged(tlv::SEQUENCE).map_err(form)?.elements();
        outer.optional(tlv::context_constructed(0)).map_err(form)?;
        outer.finish().map_err(form)?;

        if let Some(version) = fields.optional(tlv::context_constructed(0)).map_err(form)? {
            let version = Element::only(version.content, tlv::INTEGER).map_err(form)?;
            if version.content != [0] {
                return Err(RequestError::Version);
            }
        }
        fields.optional(tlv::context_constructed(1)).map_err(form)?;
        let list = fields.tagged(tlv::SEQUENCE).map_err(form)?;
        let extensions = fields.optional(tlv::context_constructed(2)).map_err(form)?;
        fields.finish().map_err(form)?;
        let Extensions { nonce, preferred } = match extensions {
            None => Extensions::default(),
            Some(extensions) => read_extensions(extensions.content)?,
        };
        Ok(Self { cert_ids: read_list(list.elements())?, nonce, preferred })
    }

    /// The DER of an unsigned request, for clients.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let requests: Vec<Vec<u8>> =
            self.cert_ids.iter().map(|id| tlv::sequence(&[id.as_der()])).collect();
        let requests: Vec<&[u8]> = requests.iter().map(Vec::as_slice).collect();
        let list = tlv::sequence(&requests);
        let mut extensions = Vec::new();
        if let Some(nonce) = &self.nonce {
            extensions.extend(nonce_extension(nonce));
        }
        if !self.preferred.is_empty() {
            let wishes: Vec<Vec<u8>> =
                self.preferred.iter().map(|one| tlv::sequence(&[&one.identifier_der()])).collect();
            let wishes: Vec<&[u8]> = wishes.iter().map(Vec::as_slice).collect();
            let value = tlv::sequence(&wishes);
            push_extension(&mut extensions, PREFERRED_ALGORITHMS_OID, false, &value);
        }
        if !extensions.is_empty() {
            extensions =
                tlv::element(tlv::context_constructed(2), &[&tlv::sequence(&[&extensions])]);
        }
        tlv::sequence(&[&tlv::sequence(&[&list, &extensions])])
    }
}

/// The nonce as an Extension, the same in requests and responses (RFC 9654 §2.1).
pub(super) fn nonce_extension(nonce: &[u8]) -> Vec<u8> {
    let mut extension = Vec::with_capacity(nonce.len().saturating_add(24));
    let value = tlv::element(tlv::OCTET_STRING, &[nonce]);
    push_extension(&mut extension, NONCE_OID, false, &value);
    extension
}

fn read_list(mut list: Elements<'_>) -> Result<Vec<CertId>, RequestError> {
    let form = |_| RequestError::Form("requestList");
    let mut cert_ids = Vec::new();
    while !list.is_empty() {
        if cert_ids.len() == MAX_REQUESTS {
            return Err(RequestError::TooMany);
        }
        let mut request = list.tagged(tlv::SEQUENCE).map_err(form)?.elements();
        cert_ids.push(CertId::read(request.tagged(tlv::SEQUENCE).map_err(form)?)?);
        if let Some(single) = request.optional(tlv::context_constructed(0)).map_err(form)?
            && read_extensions(single.content)?.nonce.is_some()
        {
            return Err(RequestError::Form("singleRequestExtensions"));
        }
        request.finish().map_err(form)?;
    }
    if cert_ids.is_empty() {
        return Err(RequestError::Form("requestList"));
    }
    Ok(cert_ids)
}

/// Reads an Extensions list. Extensions that we do not know are passed over unless they are
/// critical; none may stand twice.
fn read_extensions(der: &[u8]) -> Result<Extensions, RequestError> {
    let form = |_| RequestError::Form("extensions");
    let mut list = Element::only(der, tlv::SEQUENCE).map_err(form)?.elements();
    let mut seen: Vec<&[u8]> = Vec::new();
    let mut read = Extensions::default();
    if list.is_empty() {
        return Err(RequestError::Form("extensions"));
    }
    while !list.is_empty() {
        let extension = list.tagged(tlv::SEQUENCE).map_err(form)?;
        let parts =
            extension_parts(extension.elements()).ok_or(RequestError::Form("extensions"))?;
        if seen.contains(&parts.oid) {
            return Err(RequestError::ExtensionTwice);
        }
        seen.push(parts.oid);
        if seen.len() > 16 {
            return Err(RequestError::TooMany);
        }
        if parts.oid == NONCE_OID {
            let value = Element::only(parts.value, tlv::OCTET_STRING)
                .map_err(|_| RequestError::Form("nonce"))?;
            if value.content.is_empty() || value.content.len() > MAX_NONCE_OCTETS {
                return Err(RequestError::Nonce { octets: value.content.len() });
            }
            read.nonce = Some(value.content.to_vec());
        } else if parts.oid == PREFERRED_ALGORITHMS_OID {
            read.preferred = preferred(parts.value)?;
        } else if parts.oid == ACCEPTABLE_RESPONSES_OID {
            // Every client accepts basic responses (RFC 6960 §4.4.3), and there are no others.
            Element::only(parts.value, tlv::SEQUENCE)
                .map_err(|_| RequestError::Form("acceptableResponses"))?;
        } else if parts.critical {
            return Err(RequestError::Critical);
        }
    }
    Ok(read)
}

/// PreferredSignatureAlgorithms (RFC 6960 §4.4.7.1). What is said of keys beside an algorithm is
/// passed over: a delegate's key has one kind and size.
fn preferred(der: &[u8]) -> Result<Vec<SignatureAlgorithm>, RequestError> {
    let form = |_| RequestError::Form("preferredSignatureAlgorithms");
    let mut list = Element::only(der, tlv::SEQUENCE).map_err(form)?.elements();
    let (mut wishes, mut count) = (Vec::new(), 0_usize);
    while !list.is_empty() {
        count = count.saturating_add(1);
        if count > MAX_PREFERRED {
            return Err(RequestError::TooMany);
        }
        let mut wish = list.tagged(tlv::SEQUENCE).map_err(form)?.elements();
        let algorithm = wish.tagged(tlv::SEQUENCE).map_err(form)?;
        wish.optional(tlv::SEQUENCE).map_err(form)?;
        wish.finish().map_err(form)?;
        wishes.extend(SignatureAlgorithm::from_foreign_identifier_der(algorithm.whole));
    }
    Ok(wishes)
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// OCSP-08: what must be understood and is not.
    #[error("request has a critical extension that is not known")]
    Critical,
    /// RFC 5280 §4.2.
    #[error("request has the same extension twice")]
    ExtensionTwice,
    /// The named field is missing, followed by others, or not strict DER.
    #[error("request field {0} is missing or not strict DER")]
    Form(&'static str),
    /// RFC 9654 §2.1.
    #[error("nonce has {octets} octets; allowed are 1 to {MAX_NONCE_OCTETS}")]
    Nonce {
        /// Its length.
        octets: usize,
    },
    /// Bounds our work.
    #[error("request has {octets} octets; at most {MAX_REQUEST_OCTETS} are read")]
    TooLong {
        /// Its length.
        octets: usize,
    },
    /// Bounds our work.
    #[error(
        "request asks about more than {MAX_REQUESTS} certificates, or has more extensions or wishes \
         than are read"
    )]
    TooMany,
    /// The issuer's hashes are of an algorithm that we do not know, so we answer for no such issuer.
    #[error("request names issuers by a hash that is not known")]
    UnknownHash,
    /// Only v1 exists.
    #[error("request is not of version 1")]
    Version,
}
