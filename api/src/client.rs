//! Clients of the API: renewal of their own credentials.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `POST /v1/clients/self/renewal`.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewalRequest {
    /// A PKCS#10 request with a new key, PEM or base64 of its DER. Its names are not obeyed; a URI in
    /// it must be the caller's own.
    pub csr: String,
}

/// A client's new certificate.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ClientCredential {
    /// Name of the client, as configured.
    pub client: String,
    /// The serial number, upper-case hexadecimal.
    pub serial: String,
    /// The first second of its validity.
    pub not_before: String,
    /// The last second of its validity.
    pub not_after: String,
    /// SHA-256 of the certificate, hexadecimal.
    pub sha256: String,
    /// SHA-256 of its SubjectPublicKeyInfo, hexadecimal: what a configuration would pin.
    pub spki_sha256: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// That of the management CA, PEM.
    pub chain: Vec<String>,
    /// Until then, and no longer than their certificates last, the keys before this one are accepted.
    pub old_keys_until: String,
}
