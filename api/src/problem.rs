//! Refusals (RFC 9457, `application/problem+json`).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Media type of a refusal.
pub const MEDIA_TYPE: &str = "application/problem+json";

/// Why a call was refused: what, by which rule and limit, what was seen, and what to do next.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:sigill:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The code in words; the same for every refusal of this code.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Stable code, such as `key-not-allowed`. Programs decide by it.
    pub code: String,
    /// What was refused, for people.
    pub detail: String,
    /// The rule or requirement that refused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
    /// The limit that it broke.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// What nobody is to believe after this refusal, such as that an old card is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The same as card administrators read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_sv: Option<String>,
    /// The id by which log and audit speak of this refusal.
    pub correlation_id: String,
    /// When (RFC 3339, UTC).
    pub time: String,
}
