//! Certificates: asking for one, and what is known of one.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::domain::FunctionFields;
use crate::order::OrderFields;
use crate::revocation::{EventReach, ReasonCode, StatusOutcome};

/// `POST /v1/certificates`: one certificate for one PKCS#10 request.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct IssueRequest {
    /// The profile's name, such as `person-hsaid-3-authentication`.
    pub profile: String,
    /// Short name of the authority that is to issue. Needed only where several issue the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<String>,
    /// PKCS#10 request: PEM, or base64 of its DER. At most 64 KiB.
    pub csr: String,
    /// The names that go into the subject, as the profile takes them.
    #[serde(default)]
    pub subject: SubjectFields,
    /// The names that go into subjectAltName, as the profile takes them.
    #[serde(default)]
    pub alternative_names: AlternativeNames,
    /// Who acts behind the client, for the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// The order, for certificates of persons. Left out, the call stands for itself: functions, and
    /// in environment test persons under policies of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<OrderFields>,
    /// Whose function it is for. Where the DNS names of functions must lie under proved domains (environment prod), these are its owner's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<FunctionFields>,
}

/// Subject names. A profile says which are required, which may be given and which are refused.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubjectFields {
    /// commonName of a function or server; persons get given name and surname.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// Given name (*förnamn*).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_name: Option<String>,
    /// Surname (*efternamn*).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surname: Option<String>,
    /// HSA-id of the person in this organisation, or of the function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsa_id: Option<String>,
    /// Personnummer or samordningsnummer, 12 digits. Stored sealed; in the certificate only where
    /// the profile says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal_identity_number: Option<String>,
    /// Name of the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Place or county.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locality: Option<String>,
    /// Serial number of the card (*kortserienummer*), 19 digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_number: Option<String>,
}

/// Alternative names.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlternativeNames {
    /// User principal name for directory logon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upn: Option<String>,
    /// E-mail address, ASCII local part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// DNS names of a function, lower case, no wildcard unless the profile allows it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
}

/// Who acts behind the client (*ID-administratör*). An opaque id, never a name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// Opaque id, 1 to 128 visible ASCII characters.
    pub id: String,
    /// The role in which the actor acts, such as `handlaggare`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// Where a certificate stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateState {
    /// Issued and usable.
    Issued,
    /// Activated by its holder.
    Activated,
    /// On hold; OCSP and CRL say revoked(certificateHold).
    Held,
    /// Revoked for good (*spärrat*).
    Revoked,
}

/// How a certificate came here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// Issued through this API.
    Issued,
    /// Imported from another operator.
    Imported,
    /// Made in a key ceremony.
    Ceremony,
}

/// One certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// `crt_` and a UUID.
    pub id: String,
    /// `ord_` and a UUID: the order that it fulfils. Absent for imported certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// How it came here.
    pub origin: Origin,
    /// Name of the issuing authority.
    pub authority: String,
    /// Serial number, upper-case hexadecimal.
    pub serial: String,
    /// Profile; empty for imported certificates.
    pub profile: String,
    /// Where it stands.
    pub state: CertificateState,
    /// Start of validity.
    pub not_before: String,
    /// Last second of validity.
    pub not_after: String,
    /// What says that: profile, order, carrier, issuer, or a dated rule by its name. Absent for certificates
    /// that were taken over, or issued before it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_by: Option<String>,
    /// SHA-256 of the certificate, lower-case hexadecimal.
    pub sha256: String,
    /// Why it was revoked or held; absent when it is not, or no reason was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonCode>,
    /// The revocation date that OCSP and CRL show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<String>,
    /// When revocation was asked for, where that was earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_at: Option<String>,
    /// What a revocation, hold or release did; only in their answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<StatusOutcome>,
    /// How much the event that a revocation named asks to be revoked; only in its answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reach: Option<EventReach>,
    /// The last position of the status log that speaks of it, `epoch.index`.
    pub position: String,
    /// Path of this API where the receipts of its revocation or hold are once the world shows it; absent where there is none,
    /// or none are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipts: Option<String>,
    /// The certificate in PEM. Absent in listings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// PEM of the issuing certificates, nearest first, root last. Absent in listings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub chain: Vec<String>,
}
