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

/// The content octets of id-pkix-ocsp-nonce, 1.3.6.1.5.5.7.48.1.2.
const NONCE_OID: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];
/// id-pkix-ocsp-archive-cutoff, 1.3.6.1.5.5.7.48.1.6.
const ARCHIVE_CUTOFF_OID: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x06];
/// id-pkix-ocsp-basic, 1.3.6.1.5.5.7.48.1.1.
const BASIC_OID: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
/// invalidityDate, 2.5.29.24, which RFC 6960 §4.4.5 takes over from CRL entries.
const INVALIDITY_DATE_OID: &[u8] = &[0x55, 0x1d, 0x18];
const ENUMERATED: u8 = 0x0a;

/// CRLReason from its content octets: `Some(None)` for unspecified.
fn reason(content: &[u8]) -> Option<Option<ReasonCode>> {
    match *content {
        [0] => Some(None),
        [code] => ReasonCode::from_code(code).map(Some),
        _ => None,
    }
}
