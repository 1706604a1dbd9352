//! Protected persons.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::eid::Eid;
use crate::order::OrderPassport;

/// How a person is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProtectionClass {
    /// Not at all.
    None,
    /// *Sekretessmarkering*.
    ConfidentialityMarking,
    /// *Skyddad folkbokföring*.
    ProtectedRegistration,
}

/// `POST /v1/protected-persons`: how a person is protected from now on. He need not have anything yet.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProtectionRequest {
    /// A personal or coordination number: 12 digits, with or without hyphen. Either this or a passport.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{8}[-+ ]?[0-9]{4}$")]
    pub person: Option<String>,
    /// The passport of a person who is known by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passport: Option<OrderPassport>,
    /// How; `none` ends it.
    pub class: ProtectionClass,
    /// Who decided that, by an id; goes into the audit log.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
}

/// How a person is protected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Protection {
    /// How.
    pub class: ProtectionClass,
    /// The same as card administrators read it.
    pub class_sv: String,
    /// Since when; absent of one who is not protected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// A protected person, in the listing of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProtectedPerson {
    /// The number; absent of one who is known by a passport.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    /// The passport of one who is known by that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passport: Option<OrderPassport>,
    /// How.
    pub class: ProtectionClass,
    /// The same as card administrators read it.
    pub class_sv: String,
    /// Since when.
    pub since: String,
    /// The eIDs of that person in the caller's organisations; in all, for a caller that is limited to none.
    pub eids: Vec<Eid>,
}
