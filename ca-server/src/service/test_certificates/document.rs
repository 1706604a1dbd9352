//! The file of a set: JSON, with the certificates in PEM (docs/formats/test-certificates.md).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};
use x509::pem::{Label, encode};
use x509::time::UnixTime;

use super::State;

/// The first word of the file: what it is, and its version.
const FORMAT: &str = "sigill-test-certificates/1";

/// What a file shows.
pub(super) struct Shown<'a> {
    pub(super) deployment: &'a str,
    pub(super) made_of: &'a str,
    pub(super) made_at: UnixTime,
    pub(super) refresh_at: UnixTime,
    /// Of each authority its certificate and those above it, in PEM.
    pub(super) chains: BTreeMap<&'a str, Vec<String>>,
    pub(super) certificates: Vec<Certificate<'a>>,
    pub(super) missing: Vec<Missing<'a>>,
}

/// A certificate of the set.
pub(super) struct Certificate<'a> {
    pub(super) authority: &'a str,
    pub(super) profile: &'a str,
    pub(super) state: State,
    pub(super) der: &'a [u8],
}

/// A profile that refused, by which code.
pub(super) struct Missing<'a> {
    pub(super) authority: &'a str,
    pub(super) profile: &'a str,
    pub(super) code: &'a str,
}

/// The file.
pub(super) fn write(shown: &Shown<'_>) -> Vec<u8> {
    let certificates: Vec<Value> = shown.certificates.iter().map(certificate).collect();
    let missing = |one: &Missing<'_>| json!({ "profile": one.profile, "authority": one.authority, "code": one.code });
    let document = json!({
        "format": FORMAT,
        "deployment": shown.deployment,
        "made_at": shown.made_at.to_string(),
        "refresh_at": shown.refresh_at.to_string(),
        "made_of": shown.made_of,
        "certificates": certificates,
        "missing": shown.missing.iter().map(missing).collect::<Vec<_>>(),
        "chains": shown.chains,
    });
    format!("{document:#}\n").into_bytes()
}

/// What OCSP and CRL say of it beside what it is.
fn certificate(one: &Certificate<'_>) -> Value {
    let (ocsp, on_crl, reason) = match one.state {
        State::Good | State::Expired => ("good", false, None),
        State::Revoked => ("revoked", true, Some("superseded")),
        State::Held => ("revoked", true, Some("certificateHold")),
    };
    json!({
        "profile": one.profile,
        "authority": one.authority,
        "state": one.state.name(),
        "ocsp": ocsp,
        "on_crl": on_crl,
        "reason": reason,
        "certificate": encode(Label::Certificate, one.der),
    })
}

/// As much of a file as says whether it stands.
#[derive(Deserialize)]
pub(super) struct Standing {
    format: String,
    deployment: String,
    refresh_at: String,
    made_of: String,
}

impl Standing {
    /// The file at `path`; `None` where there is none, or none of ours.
    ///
    /// # Errors
    ///
    /// The file system's own.
    pub(super) fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether nothing is to be made anew yet.
    pub(super) fn stands(&self, deployment: &str, made_of: &str, now: UnixTime) -> bool {
        let refresh_at = self.refresh_at.parse::<jiff::Timestamp>().ok();
        let refresh_at = refresh_at.and_then(|at| u64::try_from(at.as_second()).ok());
        self.format == FORMAT
            && self.deployment == deployment
            && self.made_of == made_of
            && refresh_at.is_some_and(|at| now.secs() < at)
    }
}
