//! Receipts of revocations: what vantage points saw, and that all of them have.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/certificates/{id}/receipt`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReceiptRequest {
    /// What is asked for: by asking, or by list.
    pub method: ReceiptMethod,
    /// Signed statements of vantage points (docs/formats/observation.md), at most 200. Those that show nothing of this
    /// revocation are passed over, so that a caller may send all that it has.
    pub observations: Vec<String>,
}

/// By which of the two the world learns of a revocation; they are receipted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ReceiptMethod {
    /// OCSP, by GET and by POST.
    Ocsp,
    /// The CRLs of its distribution points.
    Crl,
}

/// `GET /v1/certificates/{id}/receipts`, and the same for `/v1/authorities/{name}/serials/{serial}/receipts`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Receipts {
    /// Those of the last revocation or hold first, OCSP before CRL.
    pub items: Vec<Receipt>,
}

/// A revocation that was seen from every vantage point.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The certificate's id; absent where only its serial number is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Short name of its authority.
    pub authority: String,
    /// Its serial number, upper-case hexadecimal.
    pub serial: String,
    /// By what it was seen.
    pub method: ReceiptMethod,
    /// The position of the status log that says so, `epoch.index`.
    pub position: String,
    /// The revocation date that OCSP and CRL show.
    pub revoked_at: String,
    /// When the last vantage point had seen it.
    pub seen_at: String,
    /// The receipt itself, a signed note (docs/formats/receipt.md), which `sigill-verify receipt` judges.
    pub receipt: String,
}
