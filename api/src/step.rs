//! Orders for eIDs that are made in several steps.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::{AlternativeNames, Certificate, SubjectFields};
use crate::order::{OrderCarrier, OrderEid, OrderEvidence, OrderIdentity, OrderOrganisations};
use crate::revocation::BusinessEvent;

/// `POST /v1/orders`: what is wanted, for whom, on what. Nothing is issued.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EidOrderRequest {
    /// Name of the issuing routine, such as `office-visit`.
    pub routine: String,
    /// In which role it is ordered: id-administrator, reserve-card-administrator-2, reserve-card-administrator-3 or responsible-issuer.
    pub role: String,
    /// Opaque id of who orders. He who signs the call is he, and it may be left out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The holder's opaque id as an actor of the portal. Needed where the routine keeps duties apart from being the holder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Who the holder is.
    pub identity: OrderIdentity,
    /// On what the keys live.
    pub carrier: OrderCarrier,
    /// The organisations.
    pub organisations: OrderOrganisations,
    /// When the certificates are to end at the latest, RFC 3339 in UTC. Absent: as their profiles say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<String>,
    /// The profiles of its certificates, 1 to 4, each once.
    pub profiles: Vec<String>,
    /// The names that go into the subjects, as the profiles take them.
    #[serde(default)]
    pub subject: SubjectFields,
    /// The names that go into subjectAltName, as the profiles take them.
    #[serde(default)]
    pub alternative_names: AlternativeNames,
    /// What it replaces: that ends by the routine's rule for what has happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<EidOrderReplaces>,
}

/// An eID or a carrier of the same holder in the same organisation that an order replaces.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EidOrderReplaces {
    /// The eID, `eid_` and a UUID. With an event that happens to carriers, the carrier that it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eid: Option<String>,
    /// Or the carrier, `car_` and a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// What has happened: one of the events for which the routine has a rule.
    pub event: BusinessEvent,
    /// When it happened, RFC 3339 in UTC; a deadline counts from it. Absent: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

/// `POST /v1/orders/{id}/evidence`: how the holder was identified.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EidOrderEvidence {
    /// Name of the method, such as `swedish-passport`: of the list of the deployment, on the day.
    pub method: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// Where: the id of the office, 1 to 64 visible ASCII characters.
    pub place: String,
    /// The holder's own eID of this CA, where that is the method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eid: Option<OrderEid>,
    /// Opaque id of who saw to it. He who signs the call is he, and it may be left out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// `POST /v1/orders/{id}/receipt`: the holder's receipt (*kvittens*).
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EidOrderReceiptRequest {
    /// electronic, on-paper or registered-post.
    pub form: String,
    /// The version of the terms: 1 to 64 printable ASCII characters.
    pub terms: String,
    /// What the holder's region adds to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addition: Option<String>,
    /// Of an electronic one before issuing: the key of the card that signed, base64 of its subject public key info. The certificate for
    /// authentication is issued to this key. After issuing it is that of the certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Of an electronic one: the signature, as docs/formats/holder-receipt.md has it; base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Of one on paper: SHA-256 of its picture or of the document, hexadecimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Opaque id of who took it. He who signs the call is he, and it may be left out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// `POST /v1/orders/{id}/issuance`: a request for each certificate of the order. All of them are issued, or none is given out.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EidOrderIssuance {
    /// One for each profile of the order.
    pub requests: Vec<EidOrderCertificateRequest>,
    /// Opaque id of who has them issued. He who signs the call is he, and it may be left out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A request for a certificate of an order.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EidOrderCertificateRequest {
    /// A profile of the order.
    pub profile: String,
    /// Short name of the authority that is to issue. Needed only where several issue the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// PKCS#10 request with its proof of possession: PEM, or base64 of its DER.
    pub csr: String,
    /// The maker's statement of where the key was made, where the card family has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<OrderEvidence>,
}

/// An approval, a delivery, an activation, or a cancellation: who takes the step says all of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EidOrderStepRequest {
    /// Opaque id of who takes it. He who signs the call is he, and it may be left out then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// An order with its history.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EidOrder {
    /// `ord_` and a UUID.
    pub id: String,
    /// Where it stands, as docs/states.md names it.
    pub stage: String,
    /// The stage as card administrators read it.
    pub stage_sv: String,
    /// The routine.
    pub routine: String,
    /// Organisation number of the holder's organisation.
    pub organisation: String,
    /// The profiles of its certificates; in listings none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub profiles: Vec<String>,
    /// The deadline that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<EidOrderDue>,
    /// What it replaces, and what became of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<EidOrderReplaced>,
    /// Present while the order is parked: it was under way when the database was put back from a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<EidOrderParked>,
    /// When it was made.
    pub created: String,
    /// When the last step was taken.
    pub updated: String,
    /// Where the last that was done to its certificates, or to what it replaces, stands in the status log; absent while there is nothing, and in listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// The steps that were taken, oldest first; in listings none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<EidOrderStep>,
    /// The holder's receipt, once it is there; in listings none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<EidOrderReceipt>,
    /// Its certificates, once all of them are issued; in listings none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Certificate>,
}

/// An order of which the CA does not know what became of it in the time that its database has lost. The next step that somebody takes, or its
/// cancellation, ends that.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EidOrderParked {
    /// Since when.
    pub since: String,
    /// What that means.
    pub warning: String,
    /// The same as card administrators read it.
    pub warning_sv: String,
}

/// A deadline.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EidOrderDue {
    /// activation, claim or unused.
    pub term: String,
    /// The same as card administrators read it.
    pub term_sv: String,
    /// The first second at which it is over. The order is ended then, and what was issued for it revoked.
    pub at: String,
}

/// What an order replaces, and what became of that.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EidOrderReplaced {
    /// The eID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eid: Option<String>,
    /// Or the carrier, with every eID on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// What has happened, as docs/revocation-events.md names it.
    pub event: String,
    /// The same as card administrators read it.
    pub event_sv: String,
    /// The second at which the CA revokes it by itself; absent where no deadline runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// When it was revoked for this order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
    /// Where it stands now, as docs/states.md names it; in listings absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// The stage as card administrators read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage_sv: Option<String>,
    /// Present while something of it is not revoked: that, and what ends it. In listings absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
    /// The same as card administrators read it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_sv: Option<String>,
}

/// A step that was taken.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EidOrderStep {
    /// The first is 1.
    pub number: u32,
    /// What was done, as docs/states.md names it.
    pub act: String,
    /// The same as card administrators read it.
    pub act_sv: String,
    /// Where it led.
    pub stage: String,
    /// When.
    pub at: String,
    /// The client that called; `sigill-ca` for what the CA did itself.
    pub client: String,
    /// Opaque id of who took it; absent for what the CA did itself, and once the holder has been forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A receipt as it was taken.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EidOrderReceipt {
    /// electronic, on-paper or registered-post.
    pub form: String,
    /// When it was taken.
    pub at: String,
    /// The version of the terms.
    pub terms: String,
    /// What the holder's region adds to them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub addition: Option<String>,
    /// SHA-256 of what was signed, or of the document; hexadecimal.
    pub sha256: String,
    /// What was signed, of an electronic one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The key, base64 of its subject public key info.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The signature, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
}
