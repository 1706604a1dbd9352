//! OCSP requests and responses (RFC 6960, RFC 9919, nonce RFC 9654).
//!
//! [`OcspRequest`] is what a responder reads from strangers: strict, bounded, without recursion.
//! [`ResponseData`] is what it signs, [`successful`] and [`Refusal`] what it sends.
//! [`OcspResponse`] reads responses, for clients and tests.

mod cert_id;
#[cfg(test)]
mod judged;
mod request;
mod response;
mod write;

pub use cert_id::{CertId, CertIdHash};
pub use request::{MAX_NONCE_OCTETS, MAX_REQUEST_OCTETS, MAX_REQUESTS, OcspRequest, RequestError};
pub use response::{Answer, BasicResponse, OcspResponse, ResponderId, ResponseError};
pub use write::{CertStatus, Refusal, ResponseData, SingleAnswer, successful};

use crate::crl::ReasonCode;
use crate::oid;

const NONCE_OID: &[u8] = oid::ocsp::NONCE.as_bytes();
const ARCHIVE_CUTOFF_OID: &[u8] = oid::ocsp::ARCHIVE_CUTOFF.as_bytes();
const ACCEPTABLE_RESPONSES_OID: &[u8] = oid::ocsp::ACCEPTABLE_RESPONSES.as_bytes();
const PREFERRED_ALGORITHMS_OID: &[u8] = oid::ocsp::PREFERRED_SIGNATURE_ALGORITHMS.as_bytes();
const EXTENDED_REVOKE_OID: &[u8] = oid::ocsp::EXTENDED_REVOKE.as_bytes();
const BASIC_OID: &[u8] = oid::ocsp::BASIC.as_bytes();
/// RFC 6960 §4.4.5 takes invalidityDate over from CRL entries.
const INVALIDITY_DATE_OID: &[u8] = oid::extension::INVALIDITY_DATE.as_bytes();
const ENUMERATED: u8 = 0x0a;

/// CRLReason from its content octets: `Some(None)` for unspecified.
fn reason(content: &[u8]) -> Option<Option<ReasonCode>> {
    match *content {
        [0] => Some(None),
        [code] => ReasonCode::from_code(code).map(Some),
        _ => None,
    }
}
