//! `sigill-ca exchange`: what is asked of ceremonies, and what comes back from them, as signed files (docs/formats/exchange.md).
//!
//! What the offline zone's keys sign comes in here as the answer to the newest request and to nothing else, by the plan that the operator has on
//! paper, and once. The rules are `ceremony_core::exchange`'s.

mod asked;
mod kept;
mod taking;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ca::deployment::{Deployment, Environment};
use ceremony_core::exchange::{LONGEST, MAX_OCTETS, Matter, Nonce, Request, Wanted};
use ceremony_core::words::Fingerprint;
use clap::{Args, Subcommand};
use hsm::statement::SoftwarePersonKey;
use serde::Deserialize;
use serde_json::json;
use x509::pem;
use x509::request::CertificationRequest;
use x509::time::UnixTime;

pub(crate) use self::asked::start;
use self::kept::Kept;
use self::taking::Taking;
use crate::config::ConfigFile;
use crate::database::Create;
use crate::import_crl;
use crate::imports;
use crate::publication::crl_files::CrlFiles;
use crate::publication::files::replace;
use crate::service::authority::Authority;
use crate::start::Told;
use crate::wiring::{self, NoteKeys};
use crate::{authorities, confirm, tokens};

/// The section `[exchange]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ExchangeSection {
    /// Signs requests and nothing else: a software key, mode 0600 in a folder of mode 0700; not for environment prod.
    pub(crate) key: PathBuf,
    /// Folder of all requests and of the responses that were taken in.
    pub(crate) folder: PathBuf,
    /// SHA-256 of the SubjectPublicKeyInfo of each key by which responses of ceremonies are believed.
    pub(crate) ceremony_keys: Vec<String>,
}

/// What is done with exchange files.
#[derive(Debug, Subcommand)]
pub(crate) enum Exchange {
    /// Make the key that requests are signed with, where the section `[exchange]` names it, and print its hash.
    #[command(after_help = "Example:\n  sigill-ca exchange make-key --config config/ca.toml")]
    MakeKey {
        /// The configuration file.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Ask a ceremony for the next CRL of an offline authority, or for the certificate of an issuing CA. It takes the place of the request before.
    #[command(
        after_help = "Examples:\n  sigill-ca exchange request --config config/ca.toml --authority root1 --wanted root-crl --out 3.request\n  sigill-ca exchange request --config config/ca.toml --authority root1 --wanted issuing-certificate --csr issuing.csr --plan HASH --out 4.request"
    )]
    Request(Asking),
    /// Take in what a ceremony gave back: the answer to the newest request, and nothing else. The same answer once more does the same.
    #[command(
        after_help = "Example (while `serve` does not run):\n  sigill-ca exchange import --config config/ca.toml --plan '32 words from paper' 3.response"
    )]
    Import(Answered),
}

/// What asking takes.
#[derive(Debug, Args)]
pub(crate) struct Asking {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The offline authority whose key is to sign: its short name.
    #[arg(long, value_name = "NAME")]
    authority: String,
    /// `root-crl` or `issuing-certificate`.
    #[arg(long)]
    wanted: Wanted,
    /// The PKCS#10 request of the issuing CA's key, DER or PEM; for `issuing-certificate`.
    #[arg(long, value_name = "FILE", required_if_eq("wanted", "issuing-certificate"))]
    csr: Option<PathBuf>,
    /// Hash of the plan of the ceremony that made that key, where one did.
    #[arg(long, value_name = "SHA256", requires = "csr")]
    plan: Option<Fingerprint>,
    /// Write the request to this file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What taking in takes.
#[derive(Debug, Args)]
pub(crate) struct Answered {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Hash of the ceremony's plan as the approvers have it on paper: 32 words, or 64 hexadecimal digits, in groups or not.
    #[arg(long, value_name = "HASH", value_parser = Fingerprint::from_paper)]
    plan: Fingerprint,
    /// The response.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Exchange {
    /// Does it, and returns what is said.
    ///
    /// # Errors
    ///
    /// Says by its code what is refused; nothing was asked or taken in then.
    pub(crate) fn run(&self) -> anyhow::Result<String> {
        match self {
            Self::MakeKey { config } => make_key(&ConfigFile::read(config)?),
            Self::Request(asking) => asking.run(),
            Self::Import(answered) => answered.run(),
        }
    }
}

fn section(config: &ConfigFile) -> anyhow::Result<&ExchangeSection> {
    let missing = || Told::config("the configuration has no section [exchange]");
    config.exchange.as_ref().with_context(missing)
}

/// The keys by which responses are believed.
///
/// # Errors
///
/// `config-value` for what is no hash, and for none; `exchange-key-environment` in environment prod.
pub(crate) fn signers(
    config: &ConfigFile,
    deployment: Deployment,
) -> anyhow::Result<Vec<Fingerprint>> {
    let Some(section) = &config.exchange else { return Ok(Vec::new()) };
    ensure!(
        deployment.environment() != Environment::Prod,
        Told::new(
            "exchange-key-environment",
            "software keys sign no exchange files in environment prod",
            "leave out the section [exchange]; keys in tokens are not used for it yet",
        )
    );
    let keys = section.ceremony_keys.iter().map(|hash| {
        hash.parse::<Fingerprint>()
            .with_context(|| Told::config(format!("[exchange] ceremony-keys has {hash:?}")))
    });
    let keys = keys.collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(!keys.is_empty(), Told::config("[exchange] ceremony-keys names nobody"));
    Ok(keys)
}

fn make_key(config: &ConfigFile) -> anyhow::Result<String> {
    signers(config, wiring::deployment(config)?)?;
    let path = &section(config)?.key;
    let key = SoftwarePersonKey::create(path)?;
    Ok(format!("{}  key of requests, {}", key.key().spki_hash(), path.display()))
}

impl Asking {
    fn run(&self) -> anyhow::Result<String> {
        let config = ConfigFile::read(&self.config)?;
        let deployment = wiring::deployment(&config)?;
        signers(&config, deployment)?;
        let section = section(&config)?;
        let key = SoftwarePersonKey::open(&section.key)?;
        let (known, _) = authorities::fit(&config);
        let issuer = known.get(&self.authority).filter(|one| !one.signs_here());
        let issuer = issuer.with_context(|| {
            unfit(format!("--authority {} is no offline authority that is fit", self.authority))
        })?;
        let payload = match (self.wanted, &self.csr) {
            (Wanted::RootCrl, None) => newest_crl(&config, issuer)?,
            (Wanted::IssuingCertificate, Some(csr)) => certification_request(csr)?,
            _ => return Err(unfit("--csr goes with --wanted issuing-certificate").into()),
        };
        let kept = Kept::open(&section.folder)?;
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).context("no random numbers")?;
        let created = crate::clock::Clock::start().read().now;
        let request = Request {
            matter: Matter {
                deployment,
                number: kept.last()?.saturating_add(1),
                nonce: Nonce::from_random(nonce),
                created,
                expires: created.checked_add(LONGEST).unwrap_or(UnixTime::LAST),
                wanted: self.wanted,
                issuer: Fingerprint::of(issuer.certificate.as_der()),
            },
            previous: kept.last_answer()?,
            plan: self.plan,
            payload,
        };
        let signed = key.statement(&request.statement()?)?;
        let file = request.file(&signed).into_bytes();
        Request::open(&file)?;
        kept.keep_request(request.matter.number, &file)?;
        replace(&self.out, &file)
            .with_context(|| format!("cannot write {}", self.out.display()))?;
        Ok(self.told(&request.matter, Fingerprint::of(&file)))
    }

    fn told(&self, matter: &Matter, sha256: Fingerprint) -> String {
        let Matter { number, wanted, expires, .. } = matter;
        if self.json {
            let result = json!({
                "file": self.out, "sha256": sha256.to_string(), "number": number,
                "wanted": wanted.name(), "expires": expires.to_string(),
            });
            return result.to_string();
        }
        format!("{sha256}  {}\nnumber {number}, {wanted}, until {expires}", self.out.display())
    }
}

impl Answered {
    fn run(&self) -> anyhow::Result<String> {
        let config = ConfigFile::read(&self.config)?;
        let deployment = wiring::deployment(&config)?;
        let signers = signers(&config, deployment)?;
        let kept = Kept::open(&section(&config)?.folder)?;
        let octets = read(&self.file)?;
        let notes = NoteKeys::open(&config, deployment)?;
        let store = wiring::open_alone(&config, deployment, Create::Never)?;
        wiring::compare_with_published(&config, deployment, &notes, store.as_ref())?;
        let files = wiring::crl_files(&config, deployment, &notes)?;
        let last_seen = wiring::last_seen(&config, deployment, &notes, store.as_ref())?;
        let now = confirm::believed(last_seen, config.clock)?;
        let taking = Taking {
            config: &config,
            deployment,
            signers: &signers,
            kept: &kept,
            store: store.as_ref(),
            files: &files,
            plan: self.plan,
            proves: &|section, key| tokens::prove(&config, deployment, section, key),
            now,
        };
        asked::record(&kept, store.as_ref(), now)?;
        let imported = taking.take(&octets).with_context(|| self.file.display().to_string())?;
        Ok(imports::told(deployment, &imported, self.json))
    }
}

/// A file that is not read without end.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let unreadable = || {
        let what = format!("cannot read {}", path.display());
        Told::new("exchange-unreadable", what, "correct the path, or copy the file again")
    };
    let longest = u64::try_from(MAX_OCTETS).unwrap_or(u64::MAX).saturating_add(1);
    let mut octets = Vec::new();
    let file = std::fs::File::open(path).with_context(unreadable)?;
    file.take(longest).read_to_end(&mut octets).with_context(unreadable)?;
    Ok(octets)
}

/// The published CRL of an offline authority, which the next one follows.
fn newest_crl(config: &ConfigFile, issuer: &Authority) -> anyhow::Result<Vec<u8>> {
    let path = config.publication.folder.join(CrlFiles::full_path(issuer.name()));
    let octets = read(&path)?;
    import_crl::read_signed(&[issuer], octets.clone(), &path.display().to_string())?;
    Ok(octets)
}

/// A request that proves its key.
fn certification_request(path: &Path) -> anyhow::Result<Vec<u8>> {
    let octets = read(path)?;
    let refused = || {
        let what = format!("{} is no certification request that proves its key", path.display());
        let next = "give the PKCS#10 request that the ceremony of the key has made";
        Told::new("exchange-certification-request", what, next)
    };
    let der = match std::str::from_utf8(&octets) {
        Ok(text) if text.contains("-----BEGIN") => {
            pem::decode_one(text, pem::Label::CertificateRequest).with_context(refused)?
        }
        _ => octets,
    };
    let request = CertificationRequest::from_der(&der).with_context(refused)?;
    request.verify_possession().with_context(refused)?;
    Ok(der)
}

fn unfit(what: impl Into<String>) -> Told {
    Told::new("arguments-unfit", what, "`sigill-ca exchange request --help` shows examples")
}

#[cfg(test)]
mod tests;
