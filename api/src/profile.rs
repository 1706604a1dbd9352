//! Replay: stored issuances under another version of their profile.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What is to be replayed. It is a question: nothing is issued; that it was asked
/// is recorded in the audit log, once a page.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// The file of the profile, TOML. Its name says whose issuances are replayed.
    pub profile: String,
    /// `next` of the page before; the newest issuance when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// Issuances of this page, 1 to 500; 200 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 500)]
    pub limit: Option<u32>,
}

/// A stretch of issuances that were replayed, newest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplayPage {
    /// Name of the profile.
    pub profile: String,
    /// The version that the file says.
    pub version: u32,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Issuances of this page.
    pub replayed: u32,
    /// How many of them would be the same, octet for octet.
    pub same: u32,
    /// All others.
    pub items: Vec<ReplayItem>,
    /// Give it as `cursor` to go on; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A certificate that would not be the same.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ReplayItem {
    /// `crt_` and a UUID.
    pub certificate: String,
    /// What would become of it.
    pub outcome: ReplayOutcome,
    /// In which fields it would differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<ReplayDifference>,
    /// What is refused now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<ReplayRefusal>,
    /// Why it cannot be replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What would become of an issuance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReplayOutcome {
    /// Another certificate.
    Differs,
    /// None: it is refused now.
    NowRefused,
    /// Nobody knows: its data key was deleted.
    Forgotten,
    /// Nobody knows: what it was made of is not stored as it is read today.
    Unreadable,
}

/// A field that would differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayDifference {
    /// The field, as `sigill profile diff` names it.
    pub field: String,
    /// What stands in the certificate; of functions and machines alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
    /// What would stand there; of functions and machines alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_be: Option<String>,
}

/// Why an issuance is refused now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayRefusal {
    /// Stable code, such as `key-not-allowed`.
    pub code: String,
    /// The rule.
    pub rule: String,
}
