//! Certification authorities of the deployment.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// One authority with its certificate and current CRL.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Authority {
    /// Short name, lower case, as in URLs: `sigilltesteidfunctioncav1`.
    pub name: String,
    /// Subject of its certificate, RFC 4514.
    pub subject: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: String,
    /// SHA-256 of its certificate.
    pub sha256: String,
    /// Kind of its key, such as `rsa-4096`.
    pub key_type: String,
    /// Last second of its validity.
    pub not_after: String,
    /// Whether its key is here and ready; the root's is offline.
    pub signs_here: bool,
    /// Its certificate in PEM.
    pub certificate: String,
    /// Its current CRL, when there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crl: Option<AuthorityCrl>,
}

/// A published CRL.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AuthorityCrl {
    /// CRL number (RFC 5280 §5.2.3), hexadecimal, two digits an octet.
    pub number: String,
    /// When it was made.
    pub this_update: String,
    /// When the next one is due at the latest.
    pub next_update: String,
    /// SHA-256 of the CRL.
    pub sha256: String,
    /// Its length in octets.
    pub length: u64,
    /// The position of the status log that it rests on, `epoch.index`.
    pub position: String,
    /// The CRL, base64 of DER. Present only where one authority is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub der: Option<String>,
}

/// A shard of an authority's CRL: a small list beside the full one, of the certificates of one window of time.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CrlShard {
    /// Its number, six digits.
    pub number: String,
    /// The URL that stands in its certificates and on its list.
    pub url: String,
    /// How many certificates it still takes.
    pub places: u32,
    /// Until when it takes any; absent while it has none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub takes_until: Option<String>,
    /// When the last certificate that is, or may be, in it ends; absent where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_end: Option<String>,
    /// Entries that its list would have now: revoked and held certificates that have not expired.
    pub entries: u64,
    /// Its last list, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<AuthorityCrl>,
}
