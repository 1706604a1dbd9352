//! The published set of test certificates (PRO-21): served as the inner zone made it, once it has been judged.
//!
//! The file is signed by nobody, and its certificates are. What is no certificate of an authority here is not served,
//! and of the rest only the fields that are known, so that nothing else leaves by this door.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use host::durable;
use hyper::body::Bytes;
use ledger::origin::DeploymentName;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use status::PublicationPath;
use thiserror::Error;
use x509::certificate::Certificate;
use x509::pem::{self, Label};
use x509::time::UnixTime;

use crate::authority::{Authorities, hex};

/// The first word of the file: what it is, and its version.
const FORMAT: &str = "sigill-test-certificates/1";
/// A set that is refused is judged again after this: the certificate of its authority may have come meanwhile.
const JUDGED_AGAIN: Duration = Duration::from_secs(5);

/// A set that is served.
#[derive(Debug)]
pub(crate) struct ServedSet {
    pub(crate) bytes: Bytes,
    pub(crate) etag: String,
    pub(crate) made_at: UnixTime,
    pub(crate) refresh_at: UnixTime,
}

/// The set, once there is one.
#[derive(Debug, Default)]
pub(crate) struct ServedTestCertificates {
    set: ArcSwapOption<ServedSet>,
}

impl ServedTestCertificates {
    pub(crate) fn get(&self) -> Option<Arc<ServedSet>> {
        self.set.load_full()
    }
}

/// Keeps [`ServedTestCertificates`] as the publication folder has them.
pub(crate) struct TestCertificateKeeper {
    path: PathBuf,
    deployment: String,
    authorities: Arc<ArcSwap<Authorities>>,
    served: Arc<ServedTestCertificates>,
    /// The file that was judged last, and when, if it was refused.
    seen: (Vec<u8>, Option<Instant>),
}

/// The file (docs/formats/test-certificates.md).
#[derive(Debug, Deserialize, Serialize)]
struct Set {
    format: String,
    deployment: String,
    made_at: String,
    refresh_at: String,
    made_of: String,
    certificates: Vec<Entry>,
    missing: Vec<Missing>,
    chains: BTreeMap<String, Vec<String>>,
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    profile: String,
    authority: String,
    state: State,
    ocsp: String,
    on_crl: bool,
    reason: Option<String>,
    certificate: String,
}

/// What a certificate is there to be.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    Good,
    Revoked,
    Held,
    Expired,
}

#[derive(Debug, Deserialize, Serialize)]
struct Missing {
    profile: String,
    authority: String,
    code: String,
}

impl TestCertificateKeeper {
    pub(crate) fn new(
        publication: &Path,
        deployment: &DeploymentName,
        authorities: Arc<ArcSwap<Authorities>>,
        served: Arc<ServedTestCertificates>,
    ) -> Self {
        Self {
            path: publication.join(PublicationPath::TestCertificates.to_string()),
            deployment: deployment.to_string(),
            authorities,
            served,
            seen: (Vec::new(), None),
        }
    }

    /// Looks at the file once, and judges it if it is another one.
    ///
    /// # Errors
    ///
    /// [`TestCertificatesError`]; what was served is served on.
    pub(crate) fn step(&mut self, now: Instant) -> Result<(), TestCertificatesError> {
        let max = PublicationPath::TestCertificates.max_octets();
        let bytes = durable::read(&self.path, max).map_err(TestCertificatesError::Io)?;
        let Some(bytes) = bytes else { return Ok(()) };
        let (seen, refused) = &self.seen;
        let again = refused.is_some_and(|at| now.saturating_duration_since(at) >= JUDGED_AGAIN);
        if *seen == bytes && !again {
            return Ok(());
        }
        let judged = self.judge(&bytes);
        self.seen = (bytes, judged.is_err().then_some(now));
        self.served.set.store(Some(Arc::new(judged?)));
        Ok(())
    }

    /// The set as it is served, if it is what it should be.
    fn judge(&self, bytes: &[u8]) -> Result<ServedSet, TestCertificatesError> {
        let set: Set = serde_json::from_slice(bytes).map_err(TestCertificatesError::Malformed)?;
        if set.format != FORMAT || set.deployment != self.deployment {
            let (found, ours) = (set.deployment, self.deployment.clone());
            return Err(TestCertificatesError::OtherSet { format: set.format, found, ours });
        }
        let known = self.authorities.load();
        let foreign = |certificate: &Certificate| {
            let serial = certificate.serial().to_string();
            Err(TestCertificatesError::Foreign { serial })
        };
        for entry in &set.certificates {
            let certificate = read(&entry.certificate)?;
            let is_of = |ca: &Certificate| {
                ca.subject() == certificate.issuer()
                    && certificate.verify_signed_by(ca.public_key()).is_ok()
            };
            if !known.list().iter().any(|authority| is_of(&authority.certificate)) {
                return foreign(&certificate);
            }
        }
        for text in set.chains.values().flatten() {
            let found = read(text)?;
            if known.list().iter().all(|one| one.certificate.as_der() != found.as_der()) {
                return foreign(&found);
            }
        }
        let (made_at, refresh_at) = (time(&set.made_at)?, time(&set.refresh_at)?);
        let bytes = serde_json::to_vec_pretty(&set).map_err(TestCertificatesError::Malformed)?;
        let etag = hex(&Sha256::digest(&bytes));
        Ok(ServedSet { bytes: bytes.into(), etag, made_at, refresh_at })
    }
}

fn read(text: &str) -> Result<Certificate, TestCertificatesError> {
    let der = pem::decode_one(text, Label::Certificate).ok();
    der.and_then(|der| Certificate::from_der(&der).ok()).ok_or(TestCertificatesError::NoCertificate)
}

fn time(text: &str) -> Result<UnixTime, TestCertificatesError> {
    let at = text.parse::<jiff::Timestamp>().ok();
    at.and_then(|at| UnixTime::from_secs(u64::try_from(at.as_second()).ok()?).ok())
        .ok_or(TestCertificatesError::Time)
}

impl TestCertificatesError {
    /// The codes that mean tampering or a mistake.
    pub(crate) const ALARMS: [&'static str; 2] =
        ["test-certificates-refused", "test-certificates-unreadable"];

    /// The stable code, by which operators find what to do (docs/operations/test-certificates.md).
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Io(_) => "test-certificates-unreadable",
            _ => "test-certificates-refused",
        }
    }
}

/// Why a new set is not served. The earlier one is.
#[derive(Debug, Error)]
pub(crate) enum TestCertificatesError {
    #[error("certificate {serial} is of no authority here")]
    Foreign { serial: String },
    #[error("file cannot be read")]
    Io(#[source] std::io::Error),
    #[error("file is no set of test certificates")]
    Malformed(#[source] serde_json::Error),
    #[error("set has a certificate that is none")]
    NoCertificate,
    #[error("set is a {format:?} of {found}, this is {ours}")]
    OtherSet { format: String, found: String, ours: String },
    #[error("set does not say when it was made and when it is refreshed")]
    Time,
}

#[cfg(test)]
mod tests;
