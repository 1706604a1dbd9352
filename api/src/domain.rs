//! Domains whose control an organisation has proved: what the DNS names of functions rest on.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a domain stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DomainState {
    /// An organisation has stated it; its control was not proved yet.
    Stated,
    /// Its control is proved, and that is fresh.
    Proved,
    /// The newest proof is no longer fresh.
    RunOut,
    /// It was withdrawn.
    Withdrawn,
}

/// A domain of an organisation. It covers itself and every name under it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Domain {
    /// `dom_` and a UUID.
    pub id: String,
    /// Whose it is; it holds for what lies under this organisation, too.
    pub organisation: String,
    /// The name, as certificates have it.
    pub domain: String,
    /// How it stands now.
    pub state: DomainState,
    /// What the next proof by a token shows, in a TXT record or in an answer to a mail; absent where a proof has used it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The last second at which that token may be seen, RFC 3339 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_until: Option<String>,
    /// The last second at which its newest proof holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// When it was stated.
    pub created: String,
    /// When it was withdrawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<String>,
    /// Its proofs, the oldest first; in a list there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<DomainProof>,
}

/// A proof of control as it was recorded.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DomainProof {
    /// How: `owner-form`, `dns-txt` or another method of the reviewed list.
    pub method: String,
    /// When it was seen.
    pub seen_at: String,
    /// The last second at which it holds.
    pub valid_until: String,
    /// When it was recorded.
    pub recorded: String,
    /// Who saw it, by an id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen_by: Option<String>,
    /// Where the evidence is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// `POST /v1/domains`: an organisation states a domain.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainRequest {
    /// Whose it is: `org_` and a UUID.
    pub organisation: String,
    /// The name: A-labels in small letters, no public suffix, no wildcard, no dot at its end.
    #[schema(min_length = 3, max_length = 253, pattern = "^[a-z0-9-]+(\\.[a-z0-9-]+)+$")]
    pub domain: String,
    /// Who decided that, by an id; goes into the audit log.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
    /// Why, in words without personal data; goes into the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub note: Option<String>,
}

/// `POST /v1/domains/{id}/proofs`: control of the domain was proved, for the first time or again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainProofRequest {
    /// How: a method of the reviewed list, such as `dns-txt`.
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    pub method: String,
    /// When somebody saw it, RFC 3339 in UTC. By a token: within 30 days after it was given out.
    #[schema(format = "date-time")]
    pub seen_at: String,
    /// Who saw it, by an id.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub seen_by: String,
    /// Where the evidence is, such as the number of the form in the register, in words without personal data.
    #[schema(min_length = 1, max_length = 200, pattern = "\\S")]
    pub reference: String,
    /// The last second at which it holds, RFC 3339 in UTC: at most so many days after it was seen as its method says.
    #[schema(format = "date-time")]
    pub valid_until: String,
    /// Who records it, by an id; goes into the audit log.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
    /// Why, in words without personal data; goes into the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub note: Option<String>,
}

/// `POST /v1/domains/{id}/token` and `POST /v1/domains/{id}/withdrawal`: who decided that, and why.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainActRequest {
    /// Who decided that, by an id; goes into the audit log.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
    /// Why, in words without personal data; goes into the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub note: Option<String>,
}

/// Whose function a certificate is for.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FunctionFields {
    /// The organisation that owns the function: `org_` and a UUID. The certificate names it, or an organisation that it lies under.
    pub owner: String,
}
