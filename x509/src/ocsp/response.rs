//! OCSPResponse, read (RFC 6960 §4.2): for clients, probes and tests.

use thiserror::Error;

use super::cert_id::CertId;
use super::write::CertStatus;
use super::{
    ARCHIVE_CUTOFF_OID, BASIC_OID, ENUMERATED, EXTENDED_REVOKE_OID, INVALIDITY_DATE_OID, NONCE_OID,
};
use crate::crl::extension_parts;
use crate::key::{KeyError, PublicKey, SignatureAlgorithm};
use crate::time::UnixTime;
use crate::time_der;
use crate::tlv::{self, Element, Elements, NotDer};

/// A response of at most this length is read.
const MAX_RESPONSE_OCTETS: usize = 64 * 1024;

/// What a responder sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OcspResponse {
    /// A signed basic response.
    Basic(BasicResponse),
    /// An exception: the value of OCSPResponseStatus, not 0.
    Refused(u8),
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ResponderId {
    /// SHA-1 of the signer's public key bits.
    ByKey(Vec<u8>),
    /// DER of the signer's Name.
    ByName(Vec<u8>),
}

/// One SingleResponse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Which certificate.
    pub cert_id: CertId,
    /// What is said.
    pub status: CertStatus,
    /// When the status was known to be true.
    pub this_update: UnixTime,
    /// Until when the answer may be used.
    pub next_update: Option<UnixTime>,
    /// archiveCutoff.
    pub archive_cutoff: Option<UnixTime>,
    /// invalidityDate.
    pub invalidity_date: Option<UnixTime>,
}

/// A basic response. Its signature has not been judged: see [`Self::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasicResponse {
    /// The signed bytes.
    pub response_data: Vec<u8>,
    /// Who says to have signed.
    pub responder: ResponderId,
    /// When it was signed.
    pub produced_at: UnixTime,
    /// The answers.
    pub answers: Vec<Answer>,
    /// The nonce.
    pub nonce: Option<Vec<u8>>,
    /// Whether it says that what was never issued is called revoked (RFC 6960 §4.4.8).
    pub extended_revoke: bool,
    /// DER of the signature's AlgorithmIdentifier.
    pub algorithm_der: Vec<u8>,
    /// The signature value.
    pub signature: Vec<u8>,
    /// DER of the certificates that came along.
    pub certificates: Vec<Vec<u8>>,
}

impl OcspResponse {
    /// Parses a response.
    ///
    /// # Errors
    ///
    /// [`ResponseError`], which names the field.
    pub fn from_der(der: &[u8]) -> Result<Self, ResponseError> {
        if der.len() > MAX_RESPONSE_OCTETS {
            return Err(ResponseError::TooLong { octets: der.len() });
        }
        let form = form("OCSPResponse");
        let mut fields = Element::only(der, tlv::SEQUENCE).map_err(form)?.elements();
        let status = fields.tagged(ENUMERATED).map_err(form)?;
        let bytes = fields.optional(tlv::context_constructed(0)).map_err(form)?;
        fields.finish().map_err(form)?;
        match (status.content, bytes) {
            ([0], Some(bytes)) => Self::from_response_bytes(bytes.content),
            ([0], None) => Err(ResponseError::Form("responseBytes")),
            ([code], None) => Ok(Self::Refused(*code)),
            _ => Err(ResponseError::Form("responseStatus")),
        }
    }

    fn from_response_bytes(der: &[u8]) -> Result<Self, ResponseError> {
        let form = form("responseBytes");
        let mut fields = Element::only(der, tlv::SEQUENCE).map_err(form)?.elements();
        let oid = fields.tagged(tlv::OID).map_err(form)?;
        let basic = fields.tagged(tlv::OCTET_STRING).map_err(form)?;
        fields.finish().map_err(form)?;
        if oid.content != BASIC_OID {
            return Err(ResponseError::Form("responseType"));
        }
        BasicResponse::from_der(basic.content).map(Self::Basic)
    }
}

impl BasicResponse {
    fn from_der(der: &[u8]) -> Result<Self, ResponseError> {
        let form = form("BasicOCSPResponse");
        let mut fields = Element::only(der, tlv::SEQUENCE).map_err(form)?.elements();
        let data = fields.tagged(tlv::SEQUENCE).map_err(form)?;
        let algorithm = fields.tagged(tlv::SEQUENCE).map_err(form)?;
        let signature = fields.tagged(tlv::BIT_STRING).and_then(|bits| bits.octet_bits());
        let signature = signature.map_err(form)?;
        let mut certificates = Vec::new();
        if let Some(list) = fields.optional(tlv::context_constructed(0)).map_err(form)? {
            let mut list = Element::only(list.content, tlv::SEQUENCE).map_err(form)?.elements();
            while !list.is_empty() {
                certificates.push(list.tagged(tlv::SEQUENCE).map_err(form)?.whole.to_vec());
            }
        }
        fields.finish().map_err(form)?;
        let mut response = Self {
            response_data: data.whole.to_vec(),
            responder: ResponderId::ByKey(Vec::new()),
            produced_at: UnixTime::EPOCH,
            answers: Vec::new(),
            nonce: None,
            extended_revoke: false,
            algorithm_der: algorithm.whole.to_vec(),
            signature: signature.to_vec(),
            certificates,
        };
        response.read_data(data.elements())?;
        Ok(response)
    }

    fn read_data(&mut self, mut fields: Elements<'_>) -> Result<(), ResponseError> {
        let form = form("tbsResponseData");
        if let Some(version) = fields.optional(tlv::context_constructed(0)).map_err(form)?
            && version.content != [tlv::INTEGER, 1, 0]
        {
            return Err(ResponseError::Form("version"));
        }
        let responder = fields.any().map_err(form)?;
        self.responder = if responder.tag == tlv::context_constructed(1) {
            ResponderId::ByName(responder.content.to_vec())
        } else if responder.tag == tlv::context_constructed(2) {
            let key = Element::only(responder.content, tlv::OCTET_STRING).map_err(form)?;
            ResponderId::ByKey(key.content.to_vec())
        } else {
            return Err(ResponseError::Form("responderID"));
        };
        self.produced_at = time(&mut fields, "producedAt")?;
        let mut list = fields.tagged(tlv::SEQUENCE).map_err(form)?.elements();
        while !list.is_empty() {
            self.answers.push(answer(list.tagged(tlv::SEQUENCE).map_err(form)?.elements())?);
        }
        let extensions = fields.optional(tlv::context_constructed(1)).map_err(form)?;
        fields.finish().map_err(form)?;
        each_extension(extensions, |oid, value| {
            match oid {
                NONCE_OID => {
                    self.nonce = Some(Element::only(value, tlv::OCTET_STRING)?.content.to_vec());
                }
                EXTENDED_REVOKE_OID => {
                    Element::only(value, tlv::NULL)?;
                    self.extended_revoke = true;
                }
                _ => return Ok(false),
            }
            Ok(true)
        })
    }

    /// Verifies the signature under the signer's key.
    ///
    /// # Errors
    ///
    /// [`KeyError::UnknownName`] for an algorithm that we do not know, else those of
    /// [`PublicKey::verify`].
    pub fn verify(&self, signer: &PublicKey) -> Result<(), KeyError> {
        let algorithm = SignatureAlgorithm::from_identifier_der(&self.algorithm_der)
            .ok_or(KeyError::UnknownName)?;
        signer.verify(algorithm, &self.response_data, &self.signature)
    }
}

fn answer(mut fields: Elements<'_>) -> Result<Answer, ResponseError> {
    let form = form("SingleResponse");
    let cert_id = CertId::read(fields.tagged(tlv::SEQUENCE).map_err(form)?)
        .map_err(|_| ResponseError::Form("certID"))?;
    let status = status(fields.any().map_err(form)?).ok_or(ResponseError::Form("certStatus"))?;
    let this_update = time(&mut fields, "thisUpdate")?;
    let next_update = match fields.optional(tlv::context_constructed(0)).map_err(form)? {
        None => None,
        Some(next) => Some(time(&mut next.elements(), "nextUpdate")?),
    };
    let extensions = fields.optional(tlv::context_constructed(1)).map_err(form)?;
    fields.finish().map_err(form)?;
    let mut answer = Answer {
        cert_id,
        status,
        this_update,
        next_update,
        archive_cutoff: None,
        invalidity_date: None,
    };
    each_extension(extensions, |oid, value| {
        let date = || {
            let date = Element::only(value, tlv::GENERALIZED_TIME)?;
            time_der::parse_time(date.tag, date.content).ok_or(NotDer)
        };
        match oid {
            ARCHIVE_CUTOFF_OID => answer.archive_cutoff = Some(date()?),
            INVALIDITY_DATE_OID => answer.invalidity_date = Some(date()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(answer)
}

fn status(element: Element<'_>) -> Option<CertStatus> {
    if element.tag == tlv::context(0) {
        return element.content.is_empty().then_some(CertStatus::Good);
    }
    if element.tag == tlv::context(2) {
        return element.content.is_empty().then_some(CertStatus::Unknown);
    }
    if element.tag != tlv::context_constructed(1) {
        return None;
    }
    let mut fields = element.elements();
    let at = time(&mut fields, "revocationTime").ok()?;
    let reason = match fields.optional(tlv::context_constructed(0)).ok()? {
        None => None,
        Some(reason) => super::reason(Element::only(reason.content, ENUMERATED).ok()?.content)?,
    };
    fields.finish().ok()?;
    Some(CertStatus::Revoked { at, reason })
}

/// Calls `take` with each extension; it says whether it knew it. Unknown critical ones are refused.
fn each_extension(
    explicit: Option<Element<'_>>,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<bool, NotDer>,
) -> Result<(), ResponseError> {
    let form = form("extensions");
    let Some(explicit) = explicit else { return Ok(()) };
    let mut list = Element::only(explicit.content, tlv::SEQUENCE).map_err(form)?.elements();
    while !list.is_empty() {
        let parts = extension_parts(list.tagged(tlv::SEQUENCE).map_err(form)?.elements())
            .ok_or(ResponseError::Form("extensions"))?;
        if !take(parts.oid, parts.value).map_err(form)? && parts.critical {
            return Err(ResponseError::Critical);
        }
    }
    Ok(())
}

fn time(fields: &mut Elements<'_>, name: &'static str) -> Result<UnixTime, ResponseError> {
    let element = fields.tagged(tlv::GENERALIZED_TIME).map_err(form(name))?;
    time_der::parse_time(element.tag, element.content).ok_or(ResponseError::Form(name))
}

fn form(name: &'static str) -> impl Fn(NotDer) -> ResponseError + Copy {
    move |_| ResponseError::Form(name)
}

/// Why a response could not be read.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseError {
    /// What must be understood and is not.
    #[error("response has a critical extension that is not known")]
    Critical,
    /// The named field is missing, followed by others, or not strict DER.
    #[error("response field {0} is missing or not strict DER")]
    Form(&'static str),
    /// Bounds our work.
    #[error("response has {octets} octets; at most {MAX_RESPONSE_OCTETS} are read")]
    TooLong {
        /// Its length.
        octets: usize,
    },
}
