//! The token of the configuration.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ::hsm::profile::Mismatch;
use ::hsm::token::{TokenLabel, TokenName};
use serde::Deserialize;
use x509::key::SpkiHash;

use super::{ConfigError, below, value};

/// The token with the identity key and the delegate keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct HsmSection {
    /// Absolute path of the PKCS#11 module.
    module: PathBuf,
    /// The role in the token's label `sg-<code>-<instance>-<role>`.
    role: String,
    /// The token's serial number.
    serial: String,
    /// File of its user PIN, mode 0600 in a folder of mode 0700.
    pin: PathBuf,
    /// SHA-256 of the identity key's SubjectPublicKeyInfo, as pinned at the responder's enrolment.
    identity: String,
    /// Sessions, each on a thread of its own.
    #[serde(default = "default_sessions")]
    sessions: NonZeroUsize,
    /// How long a signature may take.
    #[serde(default = "default_deadline")]
    deadline: u64,
    /// Whether a software token may sign outside environment test, with keys that lie in a file. Told
    /// at every start, in `/readyz` and in the metrics.
    #[serde(default)]
    danger_software_token: bool,
    /// The device profile that the token must fit and is treated by.
    profile: Option<PathBuf>,
}

const fn default_sessions() -> NonZeroUsize {
    NonZeroUsize::MIN.saturating_add(2)
}

const fn default_deadline() -> u64 {
    5
}

/// The token with the identity key and the delegate keys, checked.
#[derive(Clone, Debug)]
pub(crate) struct Hsm {
    pub(crate) module: PathBuf,
    pub(crate) token: TokenName,
    pub(crate) pin: PathBuf,
    pub(crate) danger_software_token: bool,
    pub(crate) profile: Option<PathBuf>,
    /// What it means that the profile is of another device.
    pub(crate) mismatch: Mismatch,
    pub(crate) identity: SpkiHash,
    pub(crate) sessions: NonZeroUsize,
    pub(crate) deadline: Duration,
}

impl HsmSection {
    /// Checks the section of a deployment of this code and instance.
    pub(super) fn check(
        self,
        (code, instance): (&str, &str),
        environment: &str,
        base: &Path,
    ) -> Result<Hsm, ConfigError> {
        let label: TokenLabel = format!("sg-{code}-{instance}-{}", self.role)
            .parse()
            .map_err(|_| value("hsm.role", &self.role, "a role in at most 32 octets of label"))?;
        let serial = self
            .serial
            .parse()
            .map_err(|_| value("hsm.serial", &self.serial, "1 to 16 printable characters"))?;
        Ok(Hsm {
            module: self.module,
            token: TokenName { label, serial },
            pin: below(base, &self.pin),
            danger_software_token: self.danger_software_token,
            profile: self.profile.map(|path| below(base, &path)),
            mismatch: if environment == "prod" { Mismatch::Refused } else { Mismatch::Told },
            identity: self
                .identity
                .parse()
                .map_err(|_| value("hsm.identity", &self.identity, "64 hexadecimal digits"))?,
            sessions: self.sessions,
            deadline: Duration::from_secs(self.deadline),
        })
    }
}
