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
    /// Why.
    pub reason: ReasonCode,
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
