//! eIDs and carriers.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::Certificate;
use crate::revocation::EventReach;

/// Where an eID stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EidStage {
    /// *Utfärdad*: its certificates are issued, and have not been taken into use by a call.
    Issued,
    /// *Aktiv*.
    Active,
    /// *Tillfälligt spärrad*.
    Held,
    /// *Spärrad*.
    Revoked,
    /// *Utgången*.
    Expired,
}

/// Where a carrier stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CarrierStage {
    /// *Beställd*: from the supplier.
    Ordered,
    /// *Skickat*: it can be activated.
    Sent,
    /// *Oanvänt*: a reserve card that belongs to nobody yet.
    Blank,
    /// *Borttagen*: its order was taken back.
    Cancelled,
    /// *Avregistrerad*: taken out of the register; nothing is issued onto it.
    Deregistered,
    /// *Aktivering påbörjad*: no certificate on it has been taken into use by a call.
    Activating,
    /// *Aktiv*.
    Active,
    /// *Spärrad*: it takes no certificate any more.
    Revoked,
    /// *Utgången*.
    Expired,
}

/// An eID: one holder in one organisation on one carrier.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Eid {
    /// `eid_` and a UUID.
    pub id: String,
    /// `car_` and a UUID: what it is on.
    pub carrier: String,
    /// Organisation number of the holder's organisation.
    pub organisation: String,
    /// Organisation number of the issuing one, where it is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuing_organisation: Option<String>,
    /// Where it stands: where those of its certificates stand that are neither revoked by themselves nor over.
    pub stage: EidStage,
    /// The stage as card administrators read it.
    pub stage_sv: String,
    /// When its first certificate was recorded.
    pub created: String,
    /// How much more the event that a revocation named asks to be revoked; only in its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<EventReach>,
    /// The last position of the status log that speaks of one of its certificates, `epoch.index`.
    pub position: String,
    /// Its certificates, oldest first, without the bytes. In the answer of a revocation each says what became of it.
    pub certificates: Vec<Certificate>,
}

/// A carrier: a card or a telephone.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Carrier {
    /// `car_` and a UUID.
    pub id: String,
    /// `ordinary-card`, `reserve-card` or `mobile-device`.
    pub kind: String,
    /// The kind as card administrators read it.
    pub kind_sv: String,
    /// Its family, such as `nls-card-2023`.
    pub family: String,
    /// Where it stands.
    pub stage: CarrierStage,
    /// The stage as card administrators read it.
    pub stage_sv: String,
    /// Since when it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// Number of the organisation that it was registered for; absent of one that came with a certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// When it was registered, or the first certificate on it recorded.
    pub created: String,
    /// How much more the event that a revocation named asks to be revoked; only in its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<EventReach>,
    /// The last position of the status log that speaks of a certificate on it, `epoch.index`; empty while there is none.
    pub position: String,
    /// How many certificates with this card's number live and belong to no eID: from before eIDs were kept, imported, or of calls without
    /// an order. Revoking the carrier does not revoke them; a job by the card's number does (`sigill revoke --cards`).
    #[serde(default)]
    pub unbound: u64,
    /// Whether an eID lives on it of an organisation that the caller does not see. It goes with the carrier when this is revoked.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub foreign: bool,
    /// Every eID on it, of the caller's organisations; of all, for a caller that is limited to none.
    pub eids: Vec<Eid>,
}

/// `POST /v1/carriers`: cards that are taken into the register before there is a certificate on them, all of them or none.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CarrierRegistration {
    /// Their family, such as `nls-card-2023`: of ordinary cards, which are then ordered, or of reserve cards, which are then blank.
    pub family: String,
    /// Number of the organisation that they are for.
    pub organisation: String,
    /// The numbers on them, 1 to 500, each once: 19 digits.
    pub card_numbers: Vec<String>,
}

/// The cards that a call has registered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RegisteredCarriers {
    /// In the order of the call's list. The CA keeps of a card's number a keyed hash alone: keep the numbers beside the ids.
    pub carriers: Vec<Carrier>,
}

/// `POST /v1/carriers/{id}/moves`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CarrierMove {
    /// send, cancel or deregister, as docs/states.md names it.
    pub act: String,
}

/// `POST /v1/carriers/lookup`: a question with a body, because a card number names a person and does not belong into a URL.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CarrierLookup {
    /// The number on the card: 19 digits, with or without spaces.
    #[schema(pattern = "^([0-9][ -]?){18}[0-9]$")]
    pub card_number: String,
}

/// `POST /v1/eids/search`: one of the portal's three fields. A question with a body, because it names a person.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EidSearch {
    /// A personal or coordination number: 12 digits, with or without hyphen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{8}[-+ ]?[0-9]{4}$")]
    pub person: Option<String>,
    /// The end of an HSA-id, at least three characters, in whatever case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[!-~]{3,31}$")]
    pub hsa_id_end: Option<String>,
    /// The number on a card: 19 digits, with or without spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^([0-9][ -]?){18}[0-9]$")]
    pub card_number: Option<String>,
    /// Only of holders in the organisation of this number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<String>,
    /// `next` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,18}$")]
    pub cursor: Option<String>,
    /// At most so many, 1 to 100; 100 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100)]
    pub limit: Option<u32>,
}
