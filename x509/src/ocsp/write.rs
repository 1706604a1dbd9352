//! Responses, from the decided status to the bytes that are sent (RFC 6960 §4.2).

use super::cert_id::CertId;
use super::request::nonce_extension;
use super::{ARCHIVE_CUTOFF_OID, BASIC_OID, ENUMERATED, EXTENDED_REVOKE_OID, INVALIDITY_DATE_OID};
use crate::crl::{ReasonCode, push_extension};
use crate::key::SignatureAlgorithm;
use crate::time::UnixTime;
use crate::{signing, stream, time_der, tlv};

/// What is said about one certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CertStatus {
    /// Issued and not revoked.
    Good,
    /// Revoked or on hold.
    Revoked {
        /// The same as revocationDate on the CRL.
        at: UnixTime,
        /// Absent for unspecified.
        reason: Option<ReasonCode>,
    },
    /// Not known to us.
    Unknown,
    /// Never issued, and told so as revoked: certificateHold since 1970-01-01, in a response that
    /// says that it does so (RFC 6960 §2.2, §4.4.8). A reader sees [`Self::Revoked`].
    NeverIssued,
}

/// One SingleResponse.
#[derive(Clone, Copy, Debug)]
pub struct SingleAnswer<'a> {
    /// The question, echoed byte for byte.
    pub cert_id: &'a CertId,
    /// What is said.
    pub status: CertStatus,
    /// When the status was known to be true (OCSP-07).
    pub this_update: UnixTime,
    /// Until when the answer may be used.
    pub next_update: UnixTime,
    /// Answers are given for certificates that expired since then (RFC 6960 §4.4.4).
    pub archive_cutoff: Option<UnixTime>,
    /// invalidityDate, as on the CRL (RFC 6960 §4.4.5).
    pub invalidity_date: Option<UnixTime>,
}

/// ResponseData of a basic response: what is signed.
#[derive(Clone, Copy, Debug)]
pub struct ResponseData<'a> {
    /// SHA-1 of the signer's public key bits (RFC 6960 §4.2.2.3, RFC 9919 §2.2.2).
    pub responder_key: [u8; 20],
    /// When it is signed.
    pub produced_at: UnixTime,
    /// The answers, in the order of the questions.
    pub answers: &'a [SingleAnswer<'a>],
    /// The request's nonce, echoed.
    pub nonce: Option<&'a [u8]>,
}

impl ResponseData<'_> {
    /// The DER to be signed.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let mut content = Vec::with_capacity(512);
        let by_key = tlv::element(tlv::OCTET_STRING, &[&self.responder_key]);
        stream::push(&mut content, tlv::context_constructed(2), &by_key);
        time_der::push_generalized(&mut content, self.produced_at);
        let mut list = Vec::with_capacity(256);
        for answer in self.answers {
            answer.push_to(&mut list);
        }
        stream::push(&mut content, tlv::SEQUENCE, &list);
        let mut extensions = Vec::new();
        if let Some(nonce) = self.nonce {
            extensions.extend(nonce_extension(nonce));
        }
        if self.answers.iter().any(|answer| answer.status == CertStatus::NeverIssued) {
            push_extension(&mut extensions, EXTENDED_REVOKE_OID, false, &[tlv::NULL, 0]);
        }
        if !extensions.is_empty() {
            let list = tlv::sequence(&[&extensions]);
            stream::push(&mut content, tlv::context_constructed(1), &list);
        }
        tlv::sequence(&[&content])
    }
}

impl SingleAnswer<'_> {
    fn push_to(&self, out: &mut Vec<u8>) {
        let mut content = Vec::with_capacity(192);
        content.extend_from_slice(self.cert_id.as_der());
        match self.status {
            CertStatus::Good => content.extend_from_slice(&[tlv::context(0), 0]),
            CertStatus::Unknown => content.extend_from_slice(&[tlv::context(2), 0]),
            CertStatus::Revoked { at, reason } => push_revoked(&mut content, at, reason),
            CertStatus::NeverIssued => {
                push_revoked(&mut content, UnixTime::EPOCH, Some(ReasonCode::CertificateHold));
            }
        }
        time_der::push_generalized(&mut content, self.this_update);
        stream::push(&mut content, tlv::context_constructed(0), &time(self.next_update));
        let mut extensions = Vec::new();
        if let Some(since) = self.archive_cutoff {
            push_extension(&mut extensions, ARCHIVE_CUTOFF_OID, false, &time(since));
        }
        if let Some(date) = self.invalidity_date {
            push_extension(&mut extensions, INVALIDITY_DATE_OID, false, &time(date));
        }
        if !extensions.is_empty() {
            let list = tlv::sequence(&[&extensions]);
            stream::push(&mut content, tlv::context_constructed(1), &list);
        }
        stream::push(out, tlv::SEQUENCE, &content);
    }
}

fn push_revoked(out: &mut Vec<u8>, at: UnixTime, reason: Option<ReasonCode>) {
    let mut info = Vec::with_capacity(22);
    time_der::push_generalized(&mut info, at);
    if let Some(reason) = reason {
        let code = tlv::element(ENUMERATED, &[&[reason.code()]]);
        stream::push(&mut info, tlv::context_constructed(0), &code);
    }
    stream::push(out, tlv::context_constructed(1), &info);
}

fn time(time: UnixTime) -> Vec<u8> {
    let mut out = Vec::with_capacity(17);
    time_der::push_generalized(&mut out, time);
    out
}

/// The OCSPResponse around signed ResponseData, with the certificate of the delegate that signed it
/// (OCSP-06). `None` only when lengths pass what DER lengths of our encoder can say (4 GiB).
#[must_use]
pub fn successful(
    response_data: &[u8],
    algorithm: SignatureAlgorithm,
    signature: &[u8],
    delegate_certificate: &[u8],
) -> Option<Vec<u8>> {
    let certificates =
        tlv::element(tlv::context_constructed(0), &[&tlv::sequence(&[delegate_certificate])]);
    let signed = signing::assemble(response_data, algorithm, signature)?;
    let signed = tlv::Element::only(&signed, tlv::SEQUENCE).ok()?;
    let basic = tlv::sequence(&[signed.content, &certificates]);
    let bytes = tlv::sequence(&[
        &tlv::element(tlv::OID, &[BASIC_OID]),
        &tlv::element(tlv::OCTET_STRING, &[&basic]),
    ]);
    Some(tlv::sequence(&[
        &[ENUMERATED, 1, 0],
        &tlv::element(tlv::context_constructed(0), &[&bytes]),
    ]))
}

/// An unsigned response: an exception (RFC 6960 §4.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The request does not parse.
    MalformedRequest,
    /// We are not able to answer.
    InternalError,
    /// We are not able to answer now.
    TryLater,
    /// We do not answer for that issuer.
    Unauthorized,
}

impl Refusal {
    /// Every refusal that we send.
    pub const ALL: [Self; 4] =
        [Self::MalformedRequest, Self::InternalError, Self::TryLater, Self::Unauthorized];

    /// OCSPResponseStatus.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::MalformedRequest => 1,
            Self::InternalError => 2,
            Self::TryLater => 3,
            Self::Unauthorized => 6,
        }
    }

    /// The whole OCSPResponse.
    #[must_use]
    pub const fn to_der(self) -> [u8; 5] {
        [tlv::SEQUENCE, 3, ENUMERATED, 1, self.code()]
    }
}
