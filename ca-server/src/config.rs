//! Configuration of `sigill-ca`: one TOML file, every key documented here.
//!
//! Unknown keys are errors. Paths are relative to the folder of the configuration file. Secrets are
//! named by path only. Durations are whole seconds unless a field says otherwise.

mod client;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ca::day::Day;
use ca::key_period::KeyState;
use serde::Deserialize;
use thiserror::Error;

pub(crate) use self::client::ClientSection;
use crate::activation::{ActivationSection, Holding};
use crate::contract::{self, ContractFault};
use crate::danger::DangerSection;
use crate::database::DatabaseSection;
use crate::domain_rule::DomainsSection;
use crate::exchange::ExchangeSection;
use crate::four_eyes::FourEyesSection;
use crate::limits::{LimitSection, ReadingSection, RevocationSection};
use crate::push::PushSection;
use crate::receipts::ReceiptsSection;
use crate::registers::RegisterSection;
use crate::service::delegate::RespondersSection;
use crate::statements::ActorStatementsSection;
use crate::test_certificates::TestCertificatesSection;
use crate::trial_revocations::TrialRevocationsSection;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ConfigFile {
    /// Which deployment this is (promise 8).
    pub(crate) deployment: DeploymentSection,
    /// The HTTPS API.
    pub(crate) api: ApiSection,
    /// Health and metrics.
    pub(crate) observe: ObserveSection,
    /// When the clock is believed.
    #[serde(default)]
    pub(crate) clock: ClockSection,
    /// The database.
    pub(crate) database: DatabaseSection,
    /// Tokens that hold issuing keys.
    pub(crate) hsm: HsmSection,
    /// Renewal of the API's own certificates; without it nothing renews them.
    pub(crate) management: Option<ManagementSection>,
    /// Keys that sign checkpoints and the CRL manifest.
    pub(crate) notes: NotesSection,
    /// Who sees revocations from outside; without it there are no receipts.
    pub(crate) receipts: Option<ReceiptsSection>,
    /// What is asked at issuing.
    pub(crate) register: Option<RegisterSection>,
    /// The publication tree and what comes back from responders.
    pub(crate) publication: PublicationSection,
    /// Exchange with ceremonies, by signed files alone.
    pub(crate) exchange: Option<ExchangeSection>,
    /// The outer hosts that it is pushed to.
    pub(crate) push: Option<PushSection>,
    /// Folder of the profile files (`*.toml`).
    pub(crate) profiles: PathBuf,
    /// The freshness contract from which the schedule of CRLs follows; without one the defaults hold.
    pub(crate) contract: Option<PathBuf>,
    /// Which algorithms may be used on which days; the shipped policy where none is named.
    pub(crate) algorithm_policy: Option<PathBuf>,
    /// Keys that are never certified.
    #[serde(default)]
    pub(crate) key_lists: KeyListsSection,
    /// The published set of test certificates; without it there is none.
    pub(crate) test_certificates: Option<TestCertificatesSection>,
    /// Revocations that are made to be measured; without it there are none.
    pub(crate) trial_revocations: Option<TrialRevocationsSection>,
    /// Whose identities are nobody's.
    #[serde(default)]
    pub(crate) identity: IdentitySection,
    /// Whether DNS names of functions lie under proved domains.
    #[serde(default)]
    pub(crate) domains: DomainsSection,
    /// What a diagnosis knows of other environments.
    #[serde(default)]
    pub(crate) diagnosis: DiagnosisSection,
    /// Responders that get nothing any more.
    #[serde(default)]
    pub(crate) responders: RespondersSection,
    /// The authorities, the root first.
    #[serde(rename = "authority")]
    pub(crate) authorities: Vec<AuthoritySection>,
    /// Whose word about who acts behind a call is taken.
    #[serde(default)]
    pub(crate) actor_statements: ActorStatementsSection,
    /// Who activates what the CA issues with.
    #[serde(default)]
    pub(crate) activation: ActivationSection,
    /// What another person approves before it is done.
    #[serde(default)]
    pub(crate) four_eyes: FourEyesSection,
    /// Who may call.
    #[serde(default, rename = "client")]
    pub(crate) clients: Vec<ClientSection>,
    /// How much one of them may revoke.
    #[serde(default)]
    pub(crate) revocation: RevocationSection,
    /// How much of persons one of them is shown.
    #[serde(default)]
    pub(crate) reading: ReadingSection,
    /// How much they may order; without one nothing is counted.
    #[serde(default, rename = "limit")]
    pub(crate) limits: Vec<LimitSection>,
    /// Stops the service at one point of issuing, for tests; refused outside environment test.
    pub(crate) danger_test: Option<DangerSection>,
    /// The file as it was read.
    #[serde(skip)]
    pub(crate) text: String,
    /// How it stands to the activated one, where `serve` has looked.
    #[serde(skip)]
    pub(crate) holding: Holding,
}

/// Which deployment this is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DeploymentSection {
    /// `test`, `qa` or `prod`.
    pub(crate) environment: String,
    /// `demo`, `systemtest`, `test` or `prod`; only the compiled pairs exist.
    pub(crate) pki: String,
    /// Four characters a-z0-9, drawn for a demo or named in the plan.
    pub(crate) instance: String,
    /// Name of this node among the nodes of the deployment, 1 to 32 characters a-z0-9-.
    pub(crate) node: String,
}

/// Which identities are for tests.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct IdentitySection {
    /// Domains whose mail addresses and user principal names are nobody's, beside the reserved ones.
    #[serde(default)]
    pub(crate) test_mail_domains: Vec<String>,
}

/// The HTTPS API with mutual TLS.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ApiSection {
    /// Address and port.
    pub(crate) listen: std::net::SocketAddr,
    /// Server certificate, PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, PKCS#8 PEM, mode 0600.
    pub(crate) key: PathBuf,
    /// Certificate of the management CA, PEM: the only one whose clients are let in.
    pub(crate) management_ca: PathBuf,
    /// SHA-256 of the management CA's certificate, hexadecimal.
    pub(crate) management_ca_sha256: String,
    /// Connections at once; further ones wait.
    #[serde(default = "default_connections")]
    pub(crate) max_connections: usize,
}

fn default_connections() -> usize {
    512
}

/// Plain HTTP for probes of the machine itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ObserveSection {
    /// Address and port of `/healthz`, `/readyz` and `/metrics`; loopback only.
    pub(crate) listen: std::net::SocketAddr,
}

/// When the machine's clock is believed at start.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ClockSection {
    /// Seconds for which the program may have stood still. A clock that is further ahead of the logs and the published checkpoints signs nothing until `sigill-ca confirm-clock` has been run.
    #[serde(default = "default_longest_stop")]
    pub(crate) longest_stop: u64,
}

impl Default for ClockSection {
    fn default() -> Self {
        Self { longest_stop: default_longest_stop() }
    }
}

impl ClockSection {
    pub(crate) const fn longest_stop(self) -> Duration {
        Duration::from_secs(self.longest_stop)
    }
}

fn default_longest_stop() -> u64 {
    30 * 24 * 3600
}

/// PKCS#11 module and tokens.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct HsmSection {
    /// Path of the PKCS#11 module of tokens that name none.
    pub(crate) module: PathBuf,
    /// Folder for markers of refused PINs.
    pub(crate) state: PathBuf,
    /// Seconds that a signature may take before the caller is told to come back.
    #[serde(default = "default_deadline")]
    pub(crate) deadline: u64,
    /// Whether software tokens may sign outside environment test, with keys that lie in a file. Told at every start, in `/readyz` and in the metrics.
    #[serde(default)]
    pub(crate) danger_software_token: bool,
    /// Device profile of tokens that name neither a module nor a profile of their own.
    pub(crate) profile: Option<PathBuf>,
    /// The tokens.
    #[serde(rename = "token")]
    pub(crate) tokens: Vec<TokenSection>,
}

fn default_deadline() -> u64 {
    10
}

/// One token.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TokenSection {
    /// The role in its label `sg-<code>-<instance>-<role>`.
    pub(crate) role: String,
    /// The token's serial number.
    pub(crate) serial: String,
    /// Path of its PKCS#11 module, where it is another one.
    pub(crate) module: Option<PathBuf>,
    /// Profile of its device, where it is another one.
    pub(crate) profile: Option<PathBuf>,
    /// File of its user PIN, mode 0600 in a folder of mode 0700.
    pub(crate) pin: PathBuf,
    /// Sessions, each on a thread of its own.
    #[serde(default = "default_sessions")]
    pub(crate) sessions: usize,
}

fn default_sessions() -> usize {
    3
}

/// Lists of keys that are never certified (docs/formats/key-list.md).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct KeyListsSection {
    /// The files, of any classes. Without one of class `debian` the start log and `/readyz` say so.
    #[serde(default)]
    pub(crate) files: Vec<PathBuf>,
}

/// Renewal of the certificates of the API's server and clients.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ManagementSection {
    /// Role of the token that holds the management CA's key.
    pub(crate) token: String,
    /// Seconds before its end at which the server certificate is renewed; a third of its life when
    /// left out, and never more than half of it.
    pub(crate) server_renewal: Option<u64>,
}

/// Note keys: software keys (mode 0600), allowed in environment test.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NotesSection {
    /// Signs checkpoints of the status log.
    pub(crate) status: PathBuf,
    /// Signs checkpoints of the audit log.
    pub(crate) audit: PathBuf,
    /// Signs the CRL manifest.
    pub(crate) manifest: PathBuf,
}

/// Where things are published.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PublicationSection {
    /// The publication tree.
    pub(crate) folder: PathBuf,
    /// What responders leave for us.
    pub(crate) outbox: PathBuf,
    /// Tiles and checkpoint of the audit log; never in the publication tree.
    pub(crate) audit: PathBuf,
    /// Folder for CRLs on their way to a signature; on the same file system as `folder`.
    pub(crate) spool: PathBuf,
}

impl PublicationSection {
    /// The folder in the outbox that has a folder of requests for each outer host.
    pub(crate) fn collected(&self) -> PathBuf {
        self.outbox.join("from")
    }
}

/// One certification authority.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct AuthoritySection {
    /// Short name, a-z0-9, as in URLs and file names.
    pub(crate) name: String,
    /// Its class in the policy table, shared by the versions of one CA; left out, its name.
    pub(crate) class: Option<String>,
    /// Its certificate, DER or PEM.
    pub(crate) certificate: PathBuf,
    /// SHA-256 of that certificate, hexadecimal.
    pub(crate) sha256: String,
    /// Role of the token that holds its key; absent for a CA whose key is offline.
    pub(crate) token: Option<String>,
    /// Roles of tokens that hold the same key, one or a list: each is asked when those before it fail.
    #[serde(default, deserialize_with = "one_or_several")]
    pub(crate) standby: Vec<String>,
    /// How it signs certificates, delegates and CRLs, such as `rsa-pss-sha256`; left out, as its type
    /// of key does by default.
    pub(crate) algorithm: Option<String>,
    /// CRL distribution point in what it issues, and the URL of its own CRL.
    pub(crate) crl_url: String,
    /// OCSP URL in what it issues.
    pub(crate) ocsp_url: String,
    /// URL of its own certificate.
    pub(crate) aia_url: String,
    /// Profiles that it may issue.
    #[serde(default)]
    pub(crate) profiles: Vec<String>,
    /// Seconds between CRLs; left out, as the contract says, or 3600 without one.
    pub(crate) crl_period: Option<u64>,
    /// Seconds from thisUpdate to nextUpdate; left out, as the contract says, or 48 hours without one.
    pub(crate) crl_lifetime: Option<u64>,
    /// Put the distribution point into the CRL (critical IDP). Off unless the CA was made so.
    #[serde(default)]
    pub(crate) issuing_distribution_point: bool,
    /// Make a new CRL at once after a revocation, not only when due.
    #[serde(default = "default_true")]
    pub(crate) crl_on_revocation: bool,
    /// Seconds between delta CRLs; there are none without it. Revocations then come on a delta at once.
    pub(crate) delta_crl_period: Option<u64>,
    /// Seconds from thisUpdate to nextUpdate of a delta CRL; left out, as the contract says, or three periods.
    pub(crate) delta_crl_lifetime: Option<u64>,
    /// URL of the delta CRL, which the full one names (freshestCRL).
    pub(crate) delta_crl_url: Option<String>,
    /// What stands before the number in the URLs of its CRL's shards; without it there are none, and certificates name the full CRL.
    pub(crate) crl_shard_url: Option<String>,
    /// Seconds for which a shard takes certificates; left out, a week.
    pub(crate) crl_shard_window: Option<u64>,
    /// How many certificates a shard takes; left out, as many as may be.
    pub(crate) crl_shard_places: Option<u32>,
    /// From this day on expired entries stay on its CRL, which says so (expiredCertsOnCRL); else each goes after one
    /// more CRL.
    pub(crate) crl_keeps_expired_from: Option<Day>,
    /// The first day on which it issues, UTC.
    pub(crate) issue_from: Option<Day>,
    /// The last day on which it issues, UTC; CRLs and responders' delegates go on.
    pub(crate) issue_until: Option<Day>,
    /// `active`, or `retired`: it issues no more; CRLs and responders' delegates go on.
    #[serde(default)]
    pub(crate) state: KeyState,
}

/// A text, or a list of texts.
fn one_or_several<'de, D: serde::Deserializer<'de>>(read: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a role or a list of roles")]
    enum OneOrSeveral {
        One(String),
        Several(Vec<String>),
    }
    Ok(match OneOrSeveral::deserialize(read)? {
        OneOrSeveral::One(one) => vec![one],
        OneOrSeveral::Several(several) => several,
    })
}

fn default_true() -> bool {
    true
}

/// What a diagnosis knows that the status log does not.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DiagnosisSection {
    /// Environments of issuers that are not ours, by the issuers' common names.
    #[serde(default)]
    pub(crate) elsewhere: BTreeMap<String, String>,
}

/// Why a configuration was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ConfigError {
    /// The schedule of CRLs and the freshness contract.
    #[error(transparent)]
    Contract(#[from] ContractFault),
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
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })?;
        let mut config: Self = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_path_buf(),
            source: Box::new(source),
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        config.resolve(folder.unwrap_or(Path::new(".")));
        contract::keep(&mut config)?;
        config.text = text;
        Ok(config)
    }

    fn resolve(&mut self, base: &Path) {
        let mut paths: Vec<&mut PathBuf> = vec![
            &mut self.api.certificate,
            &mut self.api.key,
            &mut self.api.management_ca,
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
        paths.extend(self.database.paths());
        if let Some(push) = &mut self.push {
            paths.extend([&mut push.certificate, &mut push.key]);
        }
        paths.extend(&mut self.hsm.profile);
        paths.extend(self.exchange.iter_mut().flat_map(|one| [&mut one.key, &mut one.folder]));
        paths.extend(self.receipts.iter_mut().map(|receipts| &mut receipts.key));
        paths.extend(self.register.iter_mut().flat_map(RegisterSection::paths));
        paths.extend(&mut self.algorithm_policy);
        paths.extend(&mut self.contract);
        paths.extend(&mut self.key_lists.files);
        paths.extend(self.actor_statements.providers.iter_mut().map(|one| &mut one.key));
        for token in &mut self.hsm.tokens {
            paths.push(&mut token.pin);
            paths.extend(&mut token.profile);
        }
        paths.extend(self.authorities.iter_mut().map(|authority| &mut authority.certificate));
        paths.extend(self.danger_test.iter_mut().map(|danger| &mut danger.mark));
        // What the system makes of a folder behind a link, before `..` is taken away.
        let base = base.canonicalize().unwrap_or_else(|_| base.to_owned());
        for path in paths {
            *path = below(&base, path);
        }
    }
}

/// `path` as seen from `base`, without the `..` that it begins with.
fn below(base: &Path, path: &Path) -> PathBuf {
    let (mut base, mut path) = (base, path);
    while let (Some(parent), Ok(rest)) = (base.parent(), path.strip_prefix("..")) {
        (base, path) = (parent, rest);
    }
    base.join(path)
}

#[cfg(test)]
mod tests {
    use status::freshness::Timing;

    use super::*;

    fn example() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/demo/ca.toml")
    }

    fn read(text: &str) -> Result<ConfigFile, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.toml");
        std::fs::write(&path, text).unwrap();
        ConfigFile::read(&path)
    }

    #[test]
    fn reads_the_annotated_example() {
        let config = ConfigFile::read(&example()).unwrap();

        assert_eq!(config.authorities.len(), 2);
        assert_eq!(config.hsm.deadline, default_deadline());
        assert!(!config.hsm.danger_software_token, "KEY-01: nobody gets it without saying so");
        assert_eq!(config.api.max_connections, default_connections());
        assert_eq!(ClockSection::default().longest_stop(), Duration::from_secs(30 * 86_400));
        let online = config.authorities.last().unwrap();
        assert_eq!(online.crl_period(), Timing::USUAL.crl_period);
        assert_eq!(online.crl_lifetime(), Timing::USUAL.crl_lifetime);
        assert!(config.profiles.is_dir(), "paths are relative to the file: {:?}", config.profiles);
    }

    /// KEY-11, KEY-12: what the example shows as not set is what may be set.
    #[test]
    fn reads_the_policy_and_the_days_that_the_example_shows() {
        let mut text = std::fs::read_to_string(example()).unwrap();
        for key in [
            "algorithm-policy",
            "delta-crl-period",
            "delta-crl-lifetime",
            "delta-crl-url",
            "crl-shard-url",
            "crl-shard-places",
            "crl-keeps-expired-from",
            "issue-from",
            "issue-until",
            "state ",
        ] {
            let shown = format!("# {key}");
            assert!(text.contains(&shown), "{shown}");
            text = text.replacen(&shown, key, 1);
        }

        let config = read(&text).unwrap();

        assert!(config.algorithm_policy.unwrap().ends_with("algorithms.toml"));
        let online = config.authorities.last().unwrap();
        assert_eq!((online.delta_crl_period, online.crl_shard_places), (Some(600), Some(10_000)));
        assert_eq!(online.delta_crl_lifetime, Some(1800));
        assert!(online.delta_crl_url.as_ref().unwrap().ends_with(".delta.crl"));
        assert_eq!(online.crl_keeps_expired_from.unwrap().to_string(), "2026-12-01");
        assert_eq!(online.issue_from.unwrap().to_string(), "2026-12-01");
        assert_eq!(online.issue_until.unwrap().to_string(), "2031-11-30");
        assert_eq!(online.state, KeyState::Retired);
    }

    #[test]
    fn a_path_above_the_configuration_is_named_without_dots() {
        let base = Path::new("/srv/sigill/config");

        assert_eq!(below(base, "../pins/a.pin".as_ref()), Path::new("/srv/sigill/pins/a.pin"));
        assert_eq!(below(base, "../../x".as_ref()), Path::new("/srv/x"));
        assert_eq!(below(base, "profiles".as_ref()), Path::new("/srv/sigill/config/profiles"));
        assert_eq!(below(base, "/etc/x".as_ref()), Path::new("/etc/x"));
    }

    /// Promise 8: a key that is not known is an error, never ignored.
    #[test]
    fn refuses_a_key_that_it_does_not_know_in_every_section() {
        let text = std::fs::read_to_string(example()).unwrap();
        let sections: Vec<&str> = text.lines().filter(|line| line.starts_with('[')).collect();
        assert!(sections.len() > 9, "{sections:?}");
        for section in sections {
            let changed = text.replacen(section, &format!("{section}\ncolour = 1"), 1);
            let error = format!("{:#}", anyhow::Error::new(read(&changed).unwrap_err()));
            assert!(error.contains("colour"), "{section}: {error}");
        }
    }
}
