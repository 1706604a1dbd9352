//! Looking from outside: what the URLs in certificates say of their status, verified as a relying party verifies it.

pub(crate) mod delta;
pub(crate) mod judge;
pub(crate) mod key;
pub(crate) mod list;
pub(crate) mod ocsp;
pub(crate) mod run;
pub(crate) mod spool;
pub(crate) mod web;

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::digest::{SHA256, digest};
use status::observation::{Observation, Seen, SeenObject, SignedObservation};
use status::{IssuerId, Position, ProbeMethod};
use thiserror::Error;
use x509::certificate::Certificate;
use x509::time::UnixTime;

use key::Vantage;

/// A CA whose answers are believed, because its certificate is pinned here.
#[derive(Clone, Debug)]
pub(crate) struct PinnedIssuer {
    pub(crate) certificate: Certificate,
    pub(crate) id: IssuerId,
}

impl PinnedIssuer {
    pub(crate) fn of(certificate: Certificate) -> Self {
        let spki = certificate.public_key().spki_der();
        let id = IssuerId::of(certificate.subject().as_der(), spki);
        Self { certificate, id }
    }
}

/// An object that was fetched and verified, before a vantage point signs what it says.
#[derive(Debug)]
pub(crate) struct Looked {
    pub(crate) sha256: [u8; 32],
    pub(crate) this_update: UnixTime,
    pub(crate) next_update: UnixTime,
    pub(crate) object: SeenObject,
    pub(crate) position: Option<Position>,
    pub(crate) time: UnixTime,
    pub(crate) seen: Vec<Seen>,
}

impl Looked {
    /// Signs it in the name of the vantage point.
    pub(crate) fn signed(
        self,
        vantage: &Vantage,
        method: ProbeMethod,
        url: &str,
        issuer: &PinnedIssuer,
    ) -> Result<SignedObservation, ProbeFault> {
        vantage.sign(&Observation {
            deployment: vantage.deployment.clone(),
            vantage: vantage.name.clone(),
            method,
            url: url.to_owned(),
            issuer: issuer.id,
            object_sha256: self.sha256,
            this_update: self.this_update,
            next_update: self.next_update,
            object: self.object,
            position: self.position,
            time: self.time,
            seen: self.seen,
        })
    }
}

/// The prober's clock.
pub(crate) fn now() -> Result<UnixTime, ProbeFault> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| ProbeFault::Clock)?;
    UnixTime::from_secs(since.as_secs()).map_err(|_| ProbeFault::Clock)
}

pub(crate) fn sha256(octets: &[u8]) -> [u8; 32] {
    digest(&SHA256, octets).as_ref().try_into().unwrap_or_default()
}

/// Keeps an object under its SHA-256 in `folder`, for whoever judges the observation later.
pub(crate) fn keep(folder: Option<&Path>, octets: &[u8], end: &str) -> Result<(), ProbeFault> {
    let Some(folder) = folder else { return Ok(()) };
    let name = format!("{}.{end}", base16ct::lower::encode_string(&sha256(octets)));
    let (path, part) = (folder.join(&name), folder.join(format!("{name}.part")));
    std::fs::write(&part, octets)
        .and_then(|()| std::fs::rename(&part, &path))
        .map_err(|source| ProbeFault::Keep { path, source })
}

/// Why a look came to nothing that could be signed.
#[derive(Debug, Error)]
pub(crate) enum ProbeFault {
    /// No answer, or one that broke off.
    #[error("{url} gave no answer")]
    Silent {
        url: String,
        #[source]
        source: Box<ureq::Error>,
    },
    /// An answer of HTTP that is not the object.
    #[error("{url} answered with status {status}")]
    Status { url: String, status: u16 },
    /// A URL that is not asked.
    #[error("{url:?} is no http:// URL of at most 512 characters")]
    Url { url: String },
    /// An OCSP response that says why it does not answer.
    #[error("responder answered with exception {status} instead of a status")]
    Exception { status: u8 },
    /// An answer that is not to be believed.
    #[error("{what} is not to be believed: {why}")]
    Unbelievable { what: &'static str, why: String },
    /// The clock of this machine.
    #[error("the clock of this machine stands before 1970 or after 9999")]
    Clock,
    /// No random numbers for a nonce.
    #[error("no random numbers")]
    Random,
    /// The key of the vantage point.
    #[error("the key of the vantage point did not sign: {why}")]
    Key { why: String },
    /// An object that was to be kept.
    #[error("cannot keep {}", path.display())]
    Keep {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl ProbeFault {
    /// The stable code that `sigill-ca` keeps beside what is pending.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Silent { .. } => "probe-silent",
            Self::Status { .. } => "probe-http-status",
            Self::Url { .. } => "probe-url",
            Self::Exception { .. } => "probe-ocsp-exception",
            Self::Unbelievable { .. } => "probe-unbelievable",
            Self::Clock => "probe-clock",
            Self::Random => "probe-random",
            Self::Key { .. } => "probe-key",
            Self::Keep { .. } => "probe-keep",
        }
    }

    /// The whole of it in one line of at most 200 printable ASCII characters.
    pub(crate) fn line(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        let printable = |c: char| if c == ' ' || c.is_ascii_graphic() { c } else { '?' };
        text.chars().map(printable).take(200).collect()
    }
}

/// What is wrong with what came back.
pub(crate) fn unbelievable(
    what: &'static str,
    why: &(impl std::fmt::Display + ?Sized),
) -> ProbeFault {
    ProbeFault::Unbelievable { what, why: why.to_string() }
}
