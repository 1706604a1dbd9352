//! Why a login or a signature fails.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::certificate::CertificateState;

/// What somebody tries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DiagnosisUse {
    /// *Legitimering*.
    #[default]
    Login,
    /// *Underskrift*.
    Signature,
}

/// `POST /v1/diagnosis`: a question with a body, because card numbers and certificates name persons and do not belong into a URL. It names
/// exactly one of `certificate`, `certificate_pem`, `eid`, `carrier` and `card_number`.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DiagnosisRequest {
    /// A certificate by its id, `crt_` and a UUID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// A certificate itself, in PEM, whoever issued it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_pem: Option<String>,
    /// An eID, `eid_` and a UUID: whether one of its certificates does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eid: Option<String>,
    /// A carrier, `car_` and a UUID: whether one of the certificates on it does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub carrier: Option<String>,
    /// The same, by the number on the card: 19 digits, with or without spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^([0-9][ -]?){18}[0-9]$")]
    pub card_number: Option<String>,
    /// What is tried: a login unless given.
    #[serde(default, rename = "use")]
    pub wanted: DiagnosisUse,
    /// Trust level (*tillitsnivå*) that is wanted at least: 2 or 3; any unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 2, maximum = 3)]
    pub level: Option<u8>,
}

/// A reason for which it fails, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DiagnosisObstacle {
    /// For programs: `expired`, `revoked`, `held`, `not-activated`, `no-signature-certificate`, `low-level`, `other-environment` ...
    pub code: String,
    /// Why, in English.
    pub reason: String,
    /// Why, in Swedish.
    pub reason_sv: String,
    /// What to do, in English.
    pub remedy: String,
    /// What to do, in Swedish.
    pub remedy_sv: String,
}

/// One certificate, judged.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct DiagnosedCertificate {
    /// Its id.
    pub id: String,
    /// The eID that it is of; absent where it is of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eid: Option<String>,
    /// Its serial number, in hexadecimal.
    pub serial: String,
    /// For what it is; absent where it is no person's.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub purpose: Option<DiagnosisUse>,
    /// Its trust level.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// Where it stands.
    pub state: CertificateState,
    /// Its last second.
    pub not_after: String,
    /// Whether it does what is wanted, as far as the CA knows.
    pub works: bool,
    /// Why it does not.
    pub obstacles: Vec<DiagnosisObstacle>,
}

/// What was found.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Diagnosis {
    /// Whether what is wanted succeeds, as far as the CA knows: card readers, drivers and the login's own rules are not judged.
    pub works: bool,
    /// Why it does not: of a carrier or an eID, what stands in the way of the certificate that its holder got last for this use.
    pub obstacles: Vec<DiagnosisObstacle>,
    /// What was looked at, oldest first; of a carrier or an eID only what is for this use.
    pub certificates: Vec<DiagnosedCertificate>,
}
