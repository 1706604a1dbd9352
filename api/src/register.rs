//! What registers say of a person.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::protection::ProtectionClass;

/// `POST /v1/registers/lookup`: a question with a body, because it names a person. By an HSA-id the catalogue of employments is asked, by a number
/// the personal-data service.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterLookup {
    /// An HSA-id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsa_id: Option<String>,
    /// A personal or coordination number: 12 digits, with or without hyphen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{8}[-+ ]?[0-9]{4}$")]
    pub person: Option<String>,
}

/// What a register says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RegisterSays {
    /// `employment` or `person`.
    pub register: String,
    /// The register by its name in the configuration.
    pub source: String,
    /// As of when it says so.
    pub as_of: String,
    /// `found`, `missing`, `ended` or `withheld` (docs/formats/register-answer.md). A protected person is missing to who does not see him.
    pub answer: String,
    /// How it says that the person is protected; absent of who is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protection: Option<ProtectionClass>,
    /// What it says he is called, and where he is: each attribute with its values.
    pub attributes: BTreeMap<String, Vec<String>>,
}
