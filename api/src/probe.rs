//! What vantage points are asked to look at, and what they saw.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `GET /v1/probe/work`: what a vantage point looks at now. Serial numbers and URLs, and nobody's name.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProbeWork {
    /// The CA's clock, seconds since 1970: a vantage point whose clock says otherwise signs nothing.
    pub now: u64,
    /// What to look at. It does not say what will be seen.
    pub targets: Vec<ProbeTarget>,
    /// `after` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A serial and where to look for it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ProbeTarget {
    /// SHA-256 over the DER of the CA's subject name and SubjectPublicKeyInfo, lower-case hexadecimal, as in observations.
    pub issuer: String,
    /// The serial number, upper-case hexadecimal.
    pub serial: String,
    /// Where and how.
    pub looks: Vec<ProbeLook>,
}

/// A URL and how it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbeLook {
    /// `ocsp-get`, `ocsp-post` or `crl`.
    pub method: String,
    /// The URL as it stands in certificates.
    pub url: String,
}

/// `POST /v1/probe/observations`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ObservationsRequest {
    /// Signed statements of the vantage point that calls (docs/formats/observation.md), at most 200.
    pub observations: Vec<String>,
}

/// What became of observations. They may be sent again: what was taken before changes nothing.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ObservationsTaken {
    /// So many were taken.
    pub taken: usize,
    /// So many revocations and holds have a receipt by them.
    pub receipted: usize,
    /// What is not as the log says: serial, source and position, a line each.
    pub differences: Vec<String>,
    /// Those that were not taken. They are never taken as they stand.
    pub refused: Vec<RefusedObservation>,
}

/// An observation that was not taken.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusedObservation {
    /// Its place in the request, from 0.
    pub number: usize,
    /// The stable code.
    pub code: String,
    /// What was seen.
    pub detail: String,
}
