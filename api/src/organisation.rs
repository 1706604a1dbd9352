//! The tree of organisations.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What kind of organisation it is; it says under which others it lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrganisationKind {
    /// *Utgivningsområde*: the area of a responsible issuer. Lies under nothing.
    IssuingArea,
    /// *Direktansluten organisation*: with an agreement of its own. Lies under an issuing area.
    DirectlyConnected,
    /// *Tredjepartsorganisation*: covered by another one's agreement. Lies under an issuing area.
    ThirdParty,
    /// *Underorganisation*: a part of an organisation. Lies under an organisation or another part.
    SubOrganisation,
    /// *Kontor*. Lies under an organisation or a part of one; nothing lies under it.
    Office,
}

/// An organisation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Organisation {
    /// `org_` and a UUID.
    pub id: String,
    /// Its kind.
    pub kind: OrganisationKind,
    /// The kind as card administrators read it.
    pub kind_sv: String,
    /// What it lies under; absent of issuing areas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What people call it.
    pub name: String,
    /// Its organisation number, of kinds that have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// Its id, of offices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub office: Option<String>,
    /// The first day on which it is there, as Stockholm counts: `2026-11-23`.
    pub from: String,
    /// The last one; absent where there is none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Whether today is one of its days.
    pub active: bool,
    /// How often it has been written; a change names the one that it rests on.
    pub revision: u32,
    /// When it was added.
    pub created: String,
    /// When it was last changed.
    pub updated: String,
}

/// `POST /v1/organisations`: adds an organisation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganisationRequest {
    /// Its kind, for ever.
    pub kind: OrganisationKind,
    /// What it lies under; left out of issuing areas, which an operator alone adds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What people call it: 1 to 120 characters.
    #[schema(min_length = 1, max_length = 120)]
    pub name: String,
    /// Its organisation number, 10 digits: of directly connected and third-party organisations, and of parts that have one. One
    /// organisation has a number on each day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{10}$")]
    pub number: Option<String>,
    /// Its id, of offices: 1 to 64 characters a-z0-9 and inner hyphens. One office has an id on each day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    pub office: Option<String>,
    /// The first day on which it is there, for ever: `2026-11-23`. Within the days of what it lies under.
    #[schema(format = "date")]
    pub from: String,
    /// The last one; left out, none is decided yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date")]
    pub until: Option<String>,
    /// Who decided that, by an id; goes into the audit log.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
    /// Why, in words without personal data; goes into the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub note: Option<String>,
}

/// `POST /v1/organisations/{id}/change`: what is left out stays as it is.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganisationChangeRequest {
    /// The revision that the change rests on.
    pub revision: u32,
    /// What it is to lie under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 120)]
    pub name: Option<String>,
    /// Its organisation number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{10}$")]
    pub number: Option<String>,
    /// Its id, of offices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    pub office: Option<String>,
    /// Who decided that, by an id; goes into the audit log.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
    /// Why, in words without personal data; goes into the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub note: Option<String>,
}

/// `POST /v1/organisations/{id}/ending`: gives it its last day, or another one.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrganisationEndRequest {
    /// The revision that the end rests on.
    pub revision: u32,
    /// The last day on which it is there: today or a later day; left out, it gets no end, as long as it has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "date")]
    pub until: Option<String>,
    /// Who decided that, by an id; goes into the audit log.
    #[schema(min_length = 1, max_length = 64, pattern = "\\S")]
    pub actor: String,
    /// Why, in words without personal data; goes into the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 1000, pattern = "\\S")]
    pub note: Option<String>,
}
