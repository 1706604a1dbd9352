//! Revocation (*spärr*).

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::{Actor, CertificateState};

/// Why a certificate is revoked (RFC 5280 §5.3.1), the codes that a client may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReasonCode {
    /// No reason given; the extension is left out.
    Unspecified,
    /// The holder's private key, card or PIN may be in other hands.
    KeyCompromise,
    /// Made in error by the CA.
    #[serde(rename = "cACompromise")]
    CaCompromise,
    /// Name or organisation changed.
    AffiliationChanged,
    /// Replaced by a newer certificate.
    Superseded,
    /// No longer needed.
    CessationOfOperation,
    /// On hold; can be released.
    CertificateHold,
    /// A right was taken back.
    PrivilegeWithdrawn,
}

/// What has happened, where a certificate is to be revoked or held for it. Reason and hold follow from it
/// (docs/revocation-events.md, which has the Swedish words too).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BusinessEvent {
    /// *Förlorad*: keyCompromise.
    Lost,
    /// *Stulen*: keyCompromise.
    Stolen,
    /// *Borta för tillfället*: certificateHold.
    Mislaid,
    /// *Röjd pinkod*: keyCompromise.
    PinDisclosed,
    /// *Trasig*: cessationOfOperation.
    Damaged,
    /// *Ersatt*: superseded.
    Replaced,
    /// *Uppdaterat SITHS eID*: superseded.
    Updated,
    /// *Namnbyte*: affiliationChanged.
    NameChanged,
    /// *Avslutad anställning*: affiliationChanged.
    EmploymentEnded,
    /// *Avliden*: cessationOfOperation.
    Deceased,
    /// *Eget önskemål*: cessationOfOperation.
    NotWanted,
    /// *Utlämnad till fel person*: keyCompromise.
    IssuedToAnother,
    /// *Felaktigt utfärdad*: superseded.
    WronglyIssued,
    /// *Brott mot villkoren*: privilegeWithdrawn.
    TermsBroken,
    /// *Organisationen har upphört*: cessationOfOperation.
    OrganisationEnded,
    /// *Inte hämtad i tid*: cessationOfOperation. Not from clients.
    Unclaimed,
    /// *Inte aktiverad i tid*: cessationOfOperation. Not from clients.
    NotActivated,
    /// *Röjd nyckel*, of a function: keyCompromise.
    KeyExposed,
    /// *Avvecklad funktion*: cessationOfOperation.
    FunctionRetired,
    /// *Förnyat funktionscertifikat*: superseded.
    FunctionRenewed,
    /// *Domänen har bytt ägare*: cessationOfOperation.
    DomainLost,
    /// *Svag nyckel*: keyCompromise. Not from clients.
    WeakKey,
}

/// How much an event asks to be revoked. The call has revoked the certificate that it names, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EventReach {
    /// This certificate: nothing is left to do.
    Certificate,
    /// The other certificates of the same eID too.
    Eid,
    /// Every certificate on the same carrier, those of other organisations too.
    Carrier,
    /// Every eID that the holder has in the same organisation.
    HolderInOrganisation,
    /// Every eID of the holder.
    Holder,
    /// Everything of the organisation.
    Organisation,
}

/// What a call did to the status of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StatusOutcome {
    /// It was revoked, held or released by this call.
    Changed,
    /// It was revoked before; this call recorded a graver reason and kept the revocation date.
    ReasonCorrected,
    /// Nothing: it stood so already, by another call or by an earlier try of this one. `reason` and
    /// `revoked_at` are what is recorded, whatever the call asked for.
    AlreadySo,
    /// Nothing: its authority has ended, and what its last CRL says stands. It was revoked before, and a graver reason was not recorded; or it had
    /// expired.
    /// Only where an eID or a carrier was revoked.
    AuthorityEnded,
}

/// The state of a serial whose certificate is not here.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SerialStatus {
    /// Short name of the authority.
    pub authority: String,
    /// The serial number, upper-case hexadecimal.
    pub serial: String,
    /// Where it stands.
    pub state: CertificateState,
    /// Why; absent for unspecified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// The revocation date that OCSP and CRL show.
    pub revoked_at: String,
    /// When revocation was asked for, where that was earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<String>,
    /// What the call did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<StatusOutcome>,
    /// How much the event that the call named asks to be revoked; only in its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<EventReach>,
    /// The position of the status log that says so, `epoch.index`.
    pub position: String,
    /// Path of this API where its receipts are once the world shows the revocation; absent where none are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<String>,
}

/// `POST /v1/certificates/{id}/revocation`, and the same for
/// `/v1/authorities/{name}/serials/{serial}/revocation`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationRequest {
    /// Why. May be left out where `event` says what has happened, and must be the event's reason where both are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// What has happened; the reason follows from it (REV-05).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<BusinessEvent>,
    /// When revocation was asked for (RFC 3339, UTC), if earlier than this call. Never the
    /// revocation date, which is when the CA acts (REV-06).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<String>,
    /// Who acts behind the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}

/// `POST /v1/certificates/{id}/release`: ends a hold.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReleaseRequest {
    /// Who acts behind the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
}
