//! Trial revocations: what the program revokes to measure how long that takes to be seen.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::receipt::ReceiptMethod;

/// `GET /v1/trial-revocations`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrialRevocations {
    /// Seconds between two trials of an authority.
    pub every_seconds: u64,
    /// What those that are listed come to, by authority and method.
    pub summary: Vec<TrialSummary>,
    /// Newest first.
    pub items: Vec<TrialRevocation>,
}

/// What trials come to.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrialSummary {
    /// Short name of the authority.
    pub authority: String,
    /// By what they were looked for.
    pub method: ReceiptMethod,
    /// Seconds past which one is late.
    pub limit_seconds: u64,
    /// Seen everywhere within the limit.
    pub in_time: u64,
    /// Seen later, never, or not yet after the limit.
    pub late: u64,
    /// Not seen everywhere yet, within the limit.
    pub waiting: u64,
    /// Seconds until the slowest of those that were seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slowest_seconds: Option<u64>,
}

/// A certificate that was issued and revoked to be looked for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrialRevocation {
    /// Short name of its authority.
    pub authority: String,
    /// Its order, by which the audit log names it.
    pub order: String,
    /// When it was begun.
    pub begun: String,
    /// The certificate's id; absent where none was issued: its key, or a rule, refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Its serial number, upper-case hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// The revocation date that OCSP and CRL show; absent where it was not revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// What the world was seen to show of it, by method; none where it was not revoked.
    pub sights: Vec<TrialSight>,
}

/// How long a revocation took to be seen by one method at every vantage point.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct TrialSight {
    /// OCSP or CRL.
    pub method: ReceiptMethod,
    /// Seconds past which it is late.
    pub limit_seconds: u64,
    /// Seconds from the revocation until the last point had seen it; absent where one has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_seconds: Option<u64>,
    /// Seconds for which it waits; absent where it was seen everywhere, and where its certificate ended before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_seconds: Option<u64>,
    /// Whether it took, or waits, longer than the limit.
    pub late: bool,
}
