//! Configuration of `sigill-ocsp`: one TOML file, every key documented here.
//!
//! Unknown keys are errors. Paths are relative to the folder of the configuration file. Secrets are
//! named by path only. Durations are whole seconds.

mod hsm;
mod refused;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger::note::NotePublicKey;
use ledger::origin::{DeploymentName, LogName, LogOrigin};
use serde::Deserialize;
use status::freshness::{AnswerSigning, Timing};
use x509::key::SpkiHash;

use crate::status_page::Surroundings;

use crate::answer::NeverIssued;
use crate::contract::Written;
use crate::delegate::{DelegateKey, KeyPlace};
use crate::receive::{Receive, ReceiveSection};
pub(crate) use hsm::Hsm;
use hsm::HsmSection;
pub(crate) use refused::ConfigError;

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ConfigFile {
    /// Which deployment this is (promise 8).
    deployment: DeploymentSection,
    /// Folder of the program's own state, mode 0700: the checkpoint it trusts, its counters, what
    /// it knows of its keys. Losing it is a fresh start from the pinned key.
    state: PathBuf,
    /// The freshness contract from which the schedule follows; without one the defaults hold.
    contract: Option<PathBuf>,
    /// What the inner zone pushes, and what is left for it.
    publication: PublicationSection,
    /// The listener that the inner zone pushes to; left out where something else carries the folder.
    receive: Option<ReceiveSection>,
    /// The status log that is followed.
    log: LogSection,
    /// The token with the identity key and the delegate keys; left out where answers come signed beforehand.
    hsm: Option<HsmSection>,
    /// Plain HTTP for relying parties; left out where answers are signed beforehand.
    http: Option<HttpSection>,
    /// Health and metrics.
    observe: ObserveSection,
    /// How answers are made.
    #[serde(default)]
    answers: AnswersSection,
    /// What the status page knows of the world around.
    #[serde(default)]
    status_page: Surroundings,
    /// The CAs that are answered for.
    #[serde(rename = "authority")]
    authorities: Vec<AuthoritySection>,
    /// What is served where.
    #[serde(rename = "serve", default)]
    routes: Vec<RouteSection>,
}

/// Which deployment this is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DeploymentSection {
    /// `test`, `qa` or `prod`.
    environment: String,
    /// `demo`, `systemtest`, `test` or `prod`; only the compiled pairs exist.
    pki: String,
    /// Four characters a-z0-9, drawn for a demo or named in the plan.
    instance: String,
}

/// What the inner zone pushes, and what is left for it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PublicationSection {
    /// The publication tree; only read.
    folder: PathBuf,
    /// Requests for delegate certificates; only written.
    outbox: PathBuf,
}

/// The status log that is followed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LogSection {
    /// Ed25519 public key of its checkpoints, 64 hexadecimal digits.
    key: String,
    /// Ed25519 public key of the CRL manifest, 64 hexadecimal digits.
    manifest_key: String,
    /// The epoch that is followed; a new one begins only by an operation of two persons.
    #[serde(default = "one")]
    epoch: u32,
    /// How old a checkpoint may be before every question gets tryLater; 60 without a contract.
    freshness: Option<u64>,
    /// The bound on the distance of the clocks of the two zones: 0 on one host, 1 across zones.
    #[serde(default)]
    clock_bound: u64,
}

const fn one() -> u32 {
    1
}

/// Plain HTTP for relying parties.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct HttpSection {
    /// Address and port, or several: IPv4 and IPv6 beside each other.
    #[serde(deserialize_with = "one_or_several")]
    listen: Vec<SocketAddr>,
    /// Connections at once at each address; further ones wait to be accepted.
    #[serde(default = "default_connections")]
    max_connections: usize,
}

/// An address, or a list of addresses.
fn one_or_several<'de, D: serde::Deserializer<'de>>(read: D) -> Result<Vec<SocketAddr>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected an address with its port, or a list of them")]
    enum OneOrSeveral {
        One(SocketAddr),
        Several(Vec<SocketAddr>),
    }
    Ok(match OneOrSeveral::deserialize(read)? {
        OneOrSeveral::One(one) => vec![one],
        OneOrSeveral::Several(several) => several,
    })
}

const fn default_connections() -> usize {
    1024
}

/// Health and metrics.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ObserveSection {
    /// Address and port of `/healthz`, `/readyz` and `/metrics`; loopback only.
    listen: SocketAddr,
}

/// How answers are made.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct AnswersSection {
    /// `when-asked`, or `beforehand`: with a token this program signs them into the publication folder, without one it gives what
    /// arrives there.
    signed: SignedWhen,
    /// From thisUpdate to nextUpdate; never past the end of the signer's certificate. 3600 without a contract.
    validity: Option<u64>,
    /// How long others may keep a good or revoked answer (HTTP max-age); 300 without a contract.
    max_age: Option<u64>,
    /// Signed answers that are kept in memory, some 1 200 octets each.
    cache: usize,
    /// What is said of a serial that was never issued: `unknown`, or `revoked` by the extended
    /// definition of RFC 6960 section 2.2.
    never_issued: NeverIssued,
}

impl Default for AnswersSection {
    fn default() -> Self {
        Self {
            signed: SignedWhen::default(),
            validity: None,
            max_age: None,
            cache: 100_000,
            never_issued: NeverIssued::default(),
        }
    }
}

/// When answers are signed.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum SignedWhen {
    /// When somebody asks.
    #[default]
    WhenAsked,
    /// Before anybody asks, in the inner zone.
    Beforehand,
}

impl From<SignedWhen> for AnswerSigning {
    fn from(signed: SignedWhen) -> Self {
        match signed {
            SignedWhen::WhenAsked => Self::WhenAsked,
            SignedWhen::Beforehand => Self::Beforehand,
        }
    }
}

/// One CA that is answered for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AuthoritySection {
    /// Its name in the publication tree: `aia/<name>.cer`, `responder/<name>/`.
    name: String,
    /// SHA-256 of its certificate, 64 hexadecimal digits.
    sha256: String,
    /// Where the certificates of delegate keys come from.
    #[serde(default)]
    delegates: DelegateSource,
    /// Which keys are made for its delegates.
    #[serde(default)]
    delegate_key: DelegateKey,
    /// Where they are made and lie.
    #[serde(default)]
    delegate_key_place: KeyPlace,
}

/// Where the certificates of delegate keys come from.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DelegateSource {
    /// Asked for through the outbox, and renewed.
    #[default]
    Requested,
    /// Made at a ceremony with the CA's CRL; keys and certificates are only looked for.
    Ceremony,
    /// Of another authority with the same name and key: this is a further certificate of that CA,
    /// renewed with the same key or signed by another CA.
    Shared,
}

/// What is served at one host and path.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RouteSection {
    /// The Host header without port, in lower case; absent for any host.
    host: Option<String>,
    /// The path, beginning with `/`. For OCSP also what stands before the encoded request in GET.
    path: String,
    /// `ocsp`, `status-page`, a file of the publication tree: `crl/<...>.crl` or `aia/<...>.cer`, or the lists of a CA's shards,
    /// which are found below the path: `crl/<ca>/`.
    object: String,
}

/// The checked configuration.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// `<environment>/<pki>/<instance>`.
    pub(crate) deployment: DeploymentName,
    pub(crate) state: PathBuf,
    pub(crate) publication: PathBuf,
    pub(crate) outbox: PathBuf,
    pub(crate) receive: Option<Receive>,
    pub(crate) origin: LogOrigin,
    pub(crate) log_key: NotePublicKey,
    pub(crate) manifest_key: NotePublicKey,
    /// Validity and max-age of answers, the age of checkpoints, and what follows from them.
    pub(crate) timing: Timing,
    pub(crate) clock_bound: Duration,
    pub(crate) role: Role,
    pub(crate) listen: Vec<SocketAddr>,
    pub(crate) max_connections: usize,
    pub(crate) observe: SocketAddr,
    pub(crate) cache: usize,
    pub(crate) never_issued: NeverIssued,
    pub(crate) authorities: Vec<PinnedAuthority>,
    pub(crate) routes: Vec<Route>,
    pub(crate) status_page: Surroundings,
}

/// What this program does about answers.
#[derive(Clone, Debug)]
pub(crate) enum Role {
    /// Signs them when somebody asks.
    SignsWhenAsked(Hsm),
    /// Signs them beforehand, into the publication folder, and answers nobody.
    SignsBeforehand(Hsm),
    /// Gives those that were signed beforehand, and holds no key.
    GivesFromStock,
}

impl Role {
    /// The token, where there is one.
    pub(crate) const fn hsm(&self) -> Option<&Hsm> {
        match self {
            Self::SignsWhenAsked(hsm) | Self::SignsBeforehand(hsm) => Some(hsm),
            Self::GivesFromStock => None,
        }
    }
}

/// A CA by its name in the publication tree and the hash of its certificate.
#[derive(Clone, Debug)]
pub(crate) struct PinnedAuthority {
    pub(crate) name: String,
    pub(crate) sha256: [u8; 32],
    pub(crate) delegates: DelegateSource,
    pub(crate) delegate_key: DelegateKey,
    pub(crate) delegate_key_place: KeyPlace,
}

/// What is served at one host and path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    /// `None`: any host.
    pub(crate) host: Option<String>,
    /// Begins with `/`, ends with none unless it is all.
    pub(crate) path: String,
    pub(crate) object: Object,
}

/// What can be served.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Object {
    Ocsp,
    /// Its path in the publication tree.
    Crl(String),
    /// Their folder in the publication tree, with `/` behind it: each is found by its name below the route's path.
    CrlShards(String),
    /// The name of the CA.
    Certificate(String),
    /// The page that tells how a certificate stands.
    StatusPage,
    /// The published set of test certificates.
    TestCertificates,
}

/// The pairs of environment and PKI that exist, with the code in token labels (promise 8).
const DEPLOYMENTS: [(&str, &str, &str); 4] = [
    ("test", "demo", "td"),
    ("test", "systemtest", "ts"),
    ("qa", "test", "qt"),
    ("prod", "prod", "pp"),
];

impl Config {
    /// Whether this is of environment test, in which there are test certificates.
    pub(crate) fn is_test(&self) -> bool {
        self.status_page.environment == "test"
    }

    /// Reads and checks a configuration file.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] names the file or the key.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let file: ConfigFile = toml::from_str(&text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            source: Box::new(source),
        })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        // What the system makes of a folder behind a link, before `..` is taken away.
        let base = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        Self::check(file, &base)
    }

    fn check(file: ConfigFile, base: &Path) -> Result<Self, ConfigError> {
        let DeploymentSection { environment, pki, instance } = &file.deployment;
        let name = format!("{environment}/{pki}/{instance}");
        let (_, _, code) = DEPLOYMENTS
            .into_iter()
            .find(|(one, two, _)| one == environment && two == pki)
            .ok_or_else(|| ConfigError::Deployment { name: name.clone() })?;
        let deployment: DeploymentName =
            name.parse().map_err(|_| ConfigError::Deployment { name: name.clone() })?;
        let hsm = file.hsm.map(|section| section.check((code, instance), environment, base));
        let role = role(file.answers.signed, hsm.transpose()?, file.http.as_ref())?;
        if matches!(role, Role::GivesFromStock) && file.answers.never_issued == NeverIssued::Revoked
        {
            let wanted = "unknown: nothing is signed beforehand about what nobody issued";
            return Err(value("answers.never-issued", &"revoked", wanted));
        }
        if !file.observe.listen.ip().is_loopback() {
            return Err(value("observe.listen", &file.observe.listen, "a loopback address"));
        }
        let written = Written {
            signed: file.answers.signed.into(),
            validity: file.answers.validity,
            max_age: file.answers.max_age,
            freshness: file.log.freshness,
        };
        let contract = file.contract.as_ref().map(|path| below(base, path));
        let timing = written.timing(contract.as_deref())?;
        let origin = LogOrigin {
            deployment: deployment.clone(),
            log: LogName::Status,
            epoch: file.log.epoch,
        };
        let mut names = HashSet::new();
        let authorities: Vec<PinnedAuthority> = file
            .authorities
            .into_iter()
            .map(|section| authority(section, &mut names))
            .collect::<Result<_, _>>()?;
        let routes = file
            .routes
            .into_iter()
            .map(|section| route(section, &names))
            .collect::<Result<Vec<_>, _>>()?;
        let is_of_tests = |route: &&Route| route.object == Object::TestCertificates;
        if environment != "test"
            && let Some(Route { path, .. }) = routes.iter().find(is_of_tests)
        {
            // No other environment has any.
            let object = "test-certificates".to_owned();
            return Err(ConfigError::Route { path: path.clone(), object });
        }
        let receive = file.receive.map(|section| section.check(|path| below(base, path)));
        let receive = receive.transpose().map_err(|found| {
            value("receive.senders", &found, "1 to 8 keys of 64 hexadecimal digits")
        })?;
        Ok(Self {
            deployment,
            state: below(base, &file.state),
            publication: below(base, &file.publication.folder),
            outbox: below(base, &file.publication.outbox),
            receive,
            origin,
            log_key: note_key(&file.log.key, "log.key")?,
            manifest_key: note_key(&file.log.manifest_key, "log.manifest-key")?,
            timing,
            clock_bound: Duration::from_secs(file.log.clock_bound),
            role,
            max_connections: file.http.as_ref().map_or(1, |http| http.max_connections.max(1)),
            listen: file.http.map(|http| addresses(http.listen)).transpose()?.unwrap_or_default(),
            observe: file.observe.listen,
            cache: file.answers.cache,
            never_issued: file.answers.never_issued,
            authorities,
            routes,
            status_page: Surroundings { environment: environment.clone(), ..file.status_page },
        })
    }
}

/// What follows from when answers are signed, and from what there is.
fn role(
    signed: SignedWhen,
    hsm: Option<Hsm>,
    http: Option<&HttpSection>,
) -> Result<Role, ConfigError> {
    match (signed, hsm, http) {
        (SignedWhen::WhenAsked, Some(hsm), Some(_)) => Ok(Role::SignsWhenAsked(hsm)),
        (SignedWhen::Beforehand, Some(hsm), None) => Ok(Role::SignsBeforehand(hsm)),
        (SignedWhen::Beforehand, None, Some(_)) => Ok(Role::GivesFromStock),
        (SignedWhen::WhenAsked, Some(_), None) => {
            Err(value("http", &"nothing", "a section: answers are signed when somebody asks"))
        }
        (SignedWhen::WhenAsked, None, _) => {
            Err(value("hsm", &"nothing", "a section, or answers.signed = \"beforehand\""))
        }
        (SignedWhen::Beforehand, Some(_), Some(_)) => Err(value(
            "answers.signed",
            &"beforehand",
            "[hsm] where answers are signed, or [http] where they are given, and not both",
        )),
        (SignedWhen::Beforehand, None, None) => Err(value(
            "http",
            &"nothing",
            "a section: answers that were signed beforehand are given",
        )),
    }
}

/// At least one address, and none twice.
fn addresses(listen: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, ConfigError> {
    let different: HashSet<&SocketAddr> = listen.iter().collect();
    if listen.is_empty() || different.len() != listen.len() {
        let found = format!("{listen:?}");
        return Err(value("http.listen", &found, "one address or more, each once"));
    }
    Ok(listen)
}

/// `path` as seen from `base`, without the `..` that it begins with.
fn below(base: &Path, path: &Path) -> PathBuf {
    let (mut base, mut path) = (base, path);
    while let (Some(parent), Ok(rest)) = (base.parent(), path.strip_prefix("..")) {
        (base, path) = (parent, rest);
    }
    base.join(path)
}

fn note_key(digits: &str, key: &'static str) -> Result<NotePublicKey, ConfigError> {
    digits.parse().map_err(|_| value(key, &digits, "64 hexadecimal digits"))
}

fn value(key: &'static str, found: &impl ToString, wanted: &'static str) -> ConfigError {
    ConfigError::Value { key, found: found.to_string(), wanted }
}

fn authority(
    section: AuthoritySection,
    names: &mut HashSet<String>,
) -> Result<PinnedAuthority, ConfigError> {
    let AuthoritySection { name, sha256, delegates, delegate_key, delegate_key_place } = section;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(plain) || !names.insert(name.clone()) {
        return Err(ConfigError::Authority { name });
    }
    if delegate_key_place == KeyPlace::ProcessMemory && delegates != DelegateSource::Requested {
        let wanted = "token where delegates are not \"requested\": others make their keys";
        return Err(value("authority.delegate-key-place", &"process-memory", wanted));
    }
    // An SPKI hash is 64 hexadecimal digits as well.
    let sha256: SpkiHash =
        sha256.parse().map_err(|_| ConfigError::Authority { name: name.clone() })?;
    let sha256 = *sha256.as_bytes();
    Ok(PinnedAuthority { name, sha256, delegates, delegate_key, delegate_key_place })
}

fn route(section: RouteSection, names: &HashSet<String>) -> Result<Route, ConfigError> {
    let RouteSection { host, path, object } = section;
    let refused = || ConfigError::Route { path: path.clone(), object: object.clone() };
    let known = if object == "ocsp" {
        Object::Ocsp
    } else if object == "status-page" {
        Object::StatusPage
    } else if object == "test-certificates" {
        Object::TestCertificates
    } else if let Some(name) =
        object.strip_prefix("aia/").and_then(|name| name.strip_suffix(".cer"))
    {
        names.get(name).map(|name| Object::Certificate(name.clone())).ok_or_else(refused)?
    } else if let Some(name) = object.strip_prefix("crl/").and_then(|rest| rest.strip_suffix('/')) {
        names.contains(name).then(|| Object::CrlShards(object.clone())).ok_or_else(refused)?
    } else if object.starts_with("crl/")
        && object.ends_with(".crl")
        && !object.split('/').any(|part| part.is_empty() || part.starts_with('.'))
    {
        Object::Crl(object.clone())
    } else {
        return Err(refused());
    };
    if !path.starts_with('/') || path.contains(['?', '#', '%']) {
        return Err(refused());
    }
    let trimmed = path.trim_end_matches('/');
    let path = if trimmed.is_empty() { "/".to_owned() } else { trimmed.to_owned() };
    Ok(Route { host: host.map(|host| host.to_ascii_lowercase()), path, object: known })
}

#[cfg(test)]
mod tests;
