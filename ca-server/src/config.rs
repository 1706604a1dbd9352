//! Configuration of `sigill-ca`: one TOML file, every key documented here.
//!
//! Unknown keys are errors. Paths are relative to the folder of the configuration file. Secrets are
//! named by path only. Durations are whole seconds unless a field says otherwise.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use thiserror::Error;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ConfigFile {
    /// Which deployment this is (promise 8).
    pub deployment: DeploymentSection,
    /// The HTTPS API.
    pub api: ApiSection,
    /// Health and metrics.
    pub observe: ObserveSection,
    /// The database.
    pub database: DatabaseSection,
    /// Tokens that hold issuing keys.
    pub hsm: HsmSection,
    /// Keys that sign checkpoints and the CRL manifest.
    pub notes: NotesSection,
    /// The publication tree and what comes back from responders.
    pub publication: PublicationSection,
    /// Folder of the profile files (`*.toml`).
    pub profiles: PathBuf,
    /// The authorities, the root first.
    #[serde(rename = "authority")]
    pub authorities: Vec<AuthoritySection>,
    /// The responders whose delegated keys are certified here.
    #[serde(default, rename = "responder")]
    pub responders: Vec<ResponderSection>,
    /// Who may call.
    #[serde(default, rename = "client")]
    pub clients: Vec<ClientSection>,
}

/// Which deployment this is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DeploymentSection {
    /// `test`, `qa` or `prod`.
    pub environment: String,
    /// `demo`, `systemtest`, `test` or `prod`; only the compiled pairs exist.
    pub pki: String,
    /// Four characters a-z0-9, drawn at bootstrap or named in the plan.
    pub instance: String,
    /// Name of this node among the nodes of the deployment, 1 to 32 characters a-z0-9-.
    pub node: String,
}

/// The HTTPS API with mutual TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ApiSection {
    /// Address and port.
    pub listen: std::net::SocketAddr,
    /// Server certificate, PEM.
    pub certificate: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0600.
    pub key: PathBuf,
    /// Certificate of the management CA, PEM: the only one whose clients are let in.
    pub management_ca: PathBuf,
    /// SHA-256 of the management CA's certificate, hexadecimal.
    pub management_ca_sha256: String,
    /// Connections at once; further ones wait.
    #[serde(default = "default_connections")]
    pub max_connections: usize,
}

fn default_connections() -> usize {
    512
}

/// Plain HTTP for probes of the machine itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ObserveSection {
    /// Address and port of `/healthz`, `/readyz` and `/metrics`; loopback only.
    pub listen: std::net::SocketAddr,
}

/// The database and the keys of its sealed columns.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct DatabaseSection {
    /// SQLite file. It must exist: `sigill-ca import` makes it.
    pub path: PathBuf,
    /// File of the master key that wraps data keys, mode 0600.
    pub master_key: PathBuf,
    /// File of the key of the blind index, mode 0600.
    pub index_key: PathBuf,
}

/// PKCS#11 module and tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HsmSection {
    /// Path of the PKCS#11 module.
    pub module: PathBuf,
    /// Folder for markers of refused PINs.
    pub state: PathBuf,
    /// Seconds that a signature may take before the caller is told to come back.
    #[serde(default = "default_deadline")]
    pub deadline: u64,
    /// The tokens.
    #[serde(rename = "token")]
    pub tokens: Vec<TokenSection>,
}

fn default_deadline() -> u64 {
    10
}

/// One token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TokenSection {
    /// The role in its label `sg-<code>-<instance>-<role>`.
    pub role: String,
    /// The token's serial number.
    pub serial: String,
    /// File of its user PIN, mode 0600 in a folder of mode 0700.
    pub pin: PathBuf,
    /// Sessions, each on a thread of its own.
    #[serde(default = "default_sessions")]
    pub sessions: usize,
}

fn default_sessions() -> usize {
    3
}

/// Note keys: software keys (mode 0600), allowed in environment test.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NotesSection {
    /// Signs checkpoints of the status log.
    pub status: PathBuf,
    /// Signs checkpoints of the audit log.
    pub audit: PathBuf,
    /// Signs the CRL manifest.
    pub manifest: PathBuf,
}

/// Where things are published.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PublicationSection {
    /// The publication tree.
    pub folder: PathBuf,
    /// What responders leave for us.
    pub outbox: PathBuf,
    /// Tiles and checkpoint of the audit log; never in the publication tree.
    pub audit: PathBuf,
    /// Folder for CRLs on their way to a signature; on the same file system as `folder`.
    pub spool: PathBuf,
}

/// One certification authority.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AuthoritySection {
    /// Short name, a-z0-9, as in URLs and file names.
    pub name: String,
    /// Its certificate, DER or PEM.
    pub certificate: PathBuf,
    /// SHA-256 of that certificate, hexadecimal.
    pub sha256: String,
    /// Role of the token that holds its key; absent for a CA whose key is offline.
    pub token: Option<String>,
    /// How it signs, such as `rsa-pkcs1-sha512`.
    pub algorithm: String,
    /// CRL distribution point in what it issues, and the URL of its own CRL.
    pub crl_url: String,
    /// OCSP URL in what it issues.
    pub ocsp_url: String,
    /// URL of its own certificate.
    pub aia_url: String,
    /// Profiles that it may issue.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Seconds between CRLs.
    #[serde(default = "default_crl_period")]
    pub crl_period: u64,
    /// Seconds from thisUpdate to nextUpdate.
    #[serde(default = "default_crl_lifetime")]
    pub crl_lifetime: u64,
    /// Put the distribution point into the CRL (critical IDP). Off unless the CA was made so.
    #[serde(default)]
    pub issuing_distribution_point: bool,
    /// Make a new CRL at once after a revocation, not only when due.
    #[serde(default = "default_true")]
    pub crl_on_revocation: bool,
}

fn default_crl_period() -> u64 {
    3600
}

fn default_crl_lifetime() -> u64 {
    48 * 3600
}

fn default_true() -> bool {
    true
}

/// One responder of the outer zone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ResponderSection {
    /// Its name.
    pub name: String,
    /// SHA-256 of its identity key's SubjectPublicKeyInfo, pinned at its enrolment.
    pub identity_spki_sha256: String,
    /// The identity key, DER SubjectPublicKeyInfo.
    pub identity: PathBuf,
}

/// One client of the API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ClientSection {
    /// The name in its certificate's SAN URI.
    pub name: String,
    /// SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: String,
    /// Profiles that it may order.
    #[serde(default)]
    pub profiles: Vec<String>,
    /// Whether it may revoke.
    #[serde(default)]
    pub revoke: bool,
    /// Whether it may read certificates and lists.
    #[serde(default)]
    pub read: bool,
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file could not be read.
    #[error("cannot read configuration {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is not the TOML that this program takes; the message names line and key.
    #[error("configuration {path} is refused")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: Box<toml::de::Error>,
    },
}

impl ConfigFile {
    /// Reads a file and makes its paths absolute.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file, and the line and key where there is one.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let mut config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_path_buf(),
            source: Box::new(source),
        })?;
        config.resolve(path.parent().unwrap_or(Path::new(".")));
        Ok(config)
    }

    fn resolve(&mut self, base: &Path) {
        let mut paths: Vec<&mut PathBuf> = vec![
            &mut self.api.certificate,
            &mut self.api.key,
            &mut self.api.management_ca,
            &mut self.database.path,
            &mut self.database.master_key,
            &mut self.database.index_key,
            &mut self.hsm.state,
            &mut self.notes.status,
            &mut self.notes.audit,
            &mut self.notes.manifest,
            &mut self.publication.folder,
            &mut self.publication.outbox,
            &mut self.publication.audit,
            &mut self.publication.spool,
            &mut self.profiles,
        ];
        paths.extend(self.hsm.tokens.iter_mut().map(|token| &mut token.pin));
        paths.extend(self.authorities.iter_mut().map(|authority| &mut authority.certificate));
        paths.extend(self.responders.iter_mut().map(|responder| &mut responder.identity));
        for path in paths {
            *path = base.join(&*path);
        }
    }
}
