//! Who was shown what of a person.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::order::OrderPassport;

/// `POST /v1/reads/search`: a question with a body, because it names a person: by a number or by a passport.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadSearch {
    /// A personal or coordination number: 12 digits, with or without hyphen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{8}[-+ ]?[0-9]{4}$")]
    pub person: Option<String>,
    /// The passport of a person who is known by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passport: Option<OrderPassport>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[1-9][0-9]{0,8}\\.(0|[1-9][0-9]{0,17})$")]
    pub cursor: Option<String>,
    /// At most so many, 1 to 100; 100 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}

/// An answer that showed something of the person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PersonRead {
    /// When.
    pub at: String,
    /// The leaf of the audit log that tells of it, `epoch.index`.
    pub position: String,
    /// The call, by its correlation id.
    pub call: String,
    /// The client that was answered, by its name in the configuration.
    pub client: String,
    /// What was asked, by its `operationId` in this contract.
    pub operation: String,
    /// Of a search: by what it was: `person`, `card-number` or `hsa-id-end`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Who signed for the call, by an HSA-id; absent where nobody did, or where that administrator has been forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administrator: Option<String>,
    /// In which role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// The organisation that the role is on, `org_` and a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// What of this person was shown: ids of certificates, eIDs and orders; `person` where it was shown that he is protected, or who was shown
    /// what of him.
    pub shown: Vec<String>,
}
