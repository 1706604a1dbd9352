//! What an order for a person's certificate says, beside the names in it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The facts of an order. The book of the deployment (profiles, routines, card families, lists, the
/// policy table) decides whether a certificate is issued for it, and under which policy.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "routine": "office-visit",
    "orderer": { "role": "id-administrator", "id": "administrator-1" },
    "holder": "holder-7",
    "identity": { "kind": "personnummer", "number": "191212121212" },
    "proofing": { "method": "swedish-passport", "at": "2026-11-20T09:00:00Z", "by": "administrator-1" },
    "carrier": { "family": "nls-card-2023", "card_number": "9752269874512325436" },
    "organisations": { "user": { "name": "Sigill Test", "number": "2321000131" } },
    "approvals": [{ "by": "administrator-2", "at": "2026-11-20T09:05:00Z" }],
    "receipt": {
        "form": "electronic",
        "sha256": "abababababababababababababababababababababababababababababababab",
        "at": "2026-11-20T09:10:00Z",
    },
}))]
pub struct OrderFields {
    /// Name of the issuing routine, such as `office-visit`.
    pub routine: String,
    /// Who ordered.
    pub orderer: Orderer,
    /// The holder's opaque id as an actor of the portal. Needed where the routine keeps duties apart
    /// from being the holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Who the holder is.
    pub identity: OrderIdentity,
    /// How that was proven.
    pub proofing: OrderProofing,
    /// On what the key lives.
    pub carrier: OrderCarrier,
    /// The organisations.
    pub organisations: OrderOrganisations,
    /// When the certificate is to end at the latest, RFC 3339 in UTC. Absent: as the profile says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// Who approved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approvals: Vec<OrderApproval>,
    /// The holder's receipt (*kvittens*), where the routine has one before issuing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<OrderReceipt>,
    /// The maker's statement of where the key was made, where the card family has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<OrderEvidence>,
}

/// Who ordered.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Orderer {
    /// id-administrator, reserve-card-administrator-2, reserve-card-administrator-3,
    /// responsible-issuer, holder or system.
    pub role: String,
    /// Opaque id, 1 to 128 visible ASCII characters.
    pub id: String,
}

/// Who the holder is: a number or a passport, as the kind says.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderIdentity {
    /// Name of the kind of identity, such as `personnummer`.
    pub kind: String,
    /// Personnummer or samordningsnummer, 12 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// A passport.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passport: Option<OrderPassport>,
}

/// A passport.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderPassport {
    /// Issuing state, three letters.
    pub state: String,
    /// Number.
    pub number: String,
    /// Day of birth, `YYYY-MM-DD`.
    pub birth_date: String,
}

/// How identity was proven.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderProofing {
    /// Name of the method, such as `swedish-passport`.
    pub method: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Opaque id of who saw to it.
    pub by: String,
    /// The eID of this CA by which the holder proved himself, where that is the method (`own-siths-eid`).
    /// It must be his, be for authentication, have the level, and be active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eid: Option<OrderEid>,
}

/// An eID, named by its certificate, or by authority and serial number.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderEid {
    /// Its certificate: PEM, or base64 of the DER.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// Short name of the authority that issued it; with `serial`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// Its serial number, hexadecimal; with `authority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
}

/// On what the key lives.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderCarrier {
    /// Name of the card family, such as `nls-card-2023`.
    pub family: String,
    /// Number of the card, 19 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_number: Option<String>,
    /// Of a telephone or tablet: the id that its application has of itself, the same for all that is issued to it. 1 to 128 visible ASCII
    /// characters, kept as a keyed hash. Absent: a carrier of its own for each certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// When its own life ends, RFC 3339 in UTC. Absent: its family's longest life after issuing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<String>,
}

/// The organisations of an order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderOrganisations {
    /// The holder's.
    pub user: OrderOrganisation,
    /// The one that issues, where it is another one (extra eID).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuing: Option<OrderOrganisation>,
}

/// An organisation.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderOrganisation {
    /// Name.
    pub name: String,
    /// Organisation number, 10 digits.
    pub number: String,
}

/// An approval.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderApproval {
    /// Opaque id of who approved.
    pub by: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
}

/// A receipt.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderReceipt {
    /// electronic, on-paper or registered-post.
    pub form: String,
    /// SHA-256 of it, hexadecimal.
    pub sha256: String,
    /// When it was given, RFC 3339 in UTC.
    pub at: String,
}

/// A maker's statement that the key was made in one of its carriers.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderEvidence {
    /// The maker's subject public key info, base64 of its DER.
    pub key: String,
    /// Its signature over `sigill-attestation/1`, the DER of the certified key's subject public key info
    /// and the card number, one after the other; base64.
    pub signature: String,
}
