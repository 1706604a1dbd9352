//! `sigill-ca configuration`: what the CA runs with, and the two persons who activate it (CER-10, docs/operations/configuration.md).
//!
//! `hash` and `approve` need the files alone, so that whoever signs does it where he has read them; `status` looks at the database beside a running
//! `serve`; `activate` takes both statements while `serve` stands still.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::activation::{Activation, ActivationRegister, Changes, ConfigurationHash, Manifest, NONE};
use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use ca::deployment::{Deployment, Environment};
use clap::{Args, Subcommand};
use hsm::pin::Pin;
use hsm::statement::SoftwarePersonKey;
use hsm::token::{TokenLabel, TokenName, TokenSerial};
use hsm::{Module, PinMarkers, Proofs, Quirks, Token, TokenSettings};
use serde_json::json;
use store::{ActivatedConfiguration, Subject};
use x509::statement::{SignedStatement, Statement};
use x509::time::UnixTime;

use crate::activation;
use crate::clock::Clock;
use crate::config::ConfigFile;
use crate::database::{self, Create};
use crate::service::Service;
use crate::start::Told;
use crate::{confirm, wiring};

/// Longest wait for a person's token.
const DEADLINE: Duration = Duration::from_secs(60);
/// The longest signed statement, in octets.
const MAX_OCTETS: u64 = 16 * 1024;

/// What can be done about configurations.
#[derive(Debug, Subcommand)]
pub(crate) enum Configuration {
    /// Print the hash of all that the CA runs with: the file, and the files that it names. Needs no database.
    #[command(
        after_help = "Example:\n  sigill-ca configuration hash --config config/ca.toml --json"
    )]
    Hash(Looked),
    /// Say which configuration was activated last, and what differs from it; `serve` may be running.
    #[command(
        after_help = "Example:\n  sigill-ca configuration status --config config/ca.toml --json"
    )]
    Status(Looked),
    /// Sign for a configuration that you have read. Needs the files and your key, no database.
    #[command(
        after_help = "Example:\n  sigill-ca configuration approve --config config/ca.toml --sha256 5f0c… --after none --person anna --key ~/.sigill/anna.key --out anna.approval"
    )]
    Approve(Box<Approve>),
    /// Take the statements of two persons, while `serve` does not run: from the next start on the CA issues with this configuration.
    #[command(
        after_help = "Example:\n  sigill-ca configuration activate --config config/ca.toml --approval anna.approval --approval bo.approval"
    )]
    Activate(Activate),
}

/// Which configuration.
#[derive(Debug, Args)]
pub(crate) struct Looked {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Print the result as JSON, with every part.
    #[arg(long)]
    json: bool,
}

/// What signing takes.
#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The hash that you were told of or have read: what the files come to here must be the same.
    #[arg(long, value_name = "HASH")]
    sha256: String,
    /// The configuration that holds until now, as `status` says; `none` for the first.
    #[arg(long, value_name = "HASH")]
    after: String,
    /// Who signs: an id of `[[activation.person]]`.
    #[arg(long, value_name = "ID")]
    person: String,
    /// File of the person's software key (`sigill-ceremony person make-key`); refused for environment prod.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "module",
        conflicts_with = "module"
    )]
    key: Option<PathBuf>,
    /// PKCS#11 module of the person's own token.
    #[arg(long, value_name = "FILE", requires_all = ["label", "serial", "state", "spki"])]
    module: Option<PathBuf>,
    /// The token's label.
    #[arg(long, value_name = "LABEL", requires = "module", value_parser = TokenLabel::of_person)]
    label: Option<TokenLabel>,
    /// The token's serial number.
    #[arg(long, value_name = "SERIAL", requires = "module")]
    serial: Option<TokenSerial>,
    /// The hash of the key in the token that signs.
    #[arg(long, value_name = "HASH", requires = "module")]
    spki: Option<String>,
    /// File of the token's user PIN; left out, it is asked for.
    #[arg(long, value_name = "FILE", requires = "module")]
    pin: Option<PathBuf>,
    /// Folder of the markers of refused PINs.
    #[arg(long, value_name = "DIR", requires = "module")]
    state: Option<PathBuf>,
    /// Write the statement to this file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What activating takes.
#[derive(Debug, Args)]
pub(crate) struct Activate {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The statement of a person; twice.
    #[arg(long = "approval", required = true, value_name = "FILE")]
    approvals: Vec<PathBuf>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

impl Configuration {
    /// Does it; returns the lines of the result.
    ///
    /// # Errors
    ///
    /// Says what was refused; nothing was activated then.
    pub(crate) fn run(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Hash(looked) => hash(looked),
            Self::Status(looked) => status(looked),
            Self::Approve(approve) => approve.run(),
            Self::Activate(activate) => activate.run(),
        }
    }
}

fn hash(looked: &Looked) -> anyhow::Result<Vec<String>> {
    let config = ConfigFile::read(&looked.config)?;
    wiring::deployment(&config)?;
    let manifest = activation::manifest(&config)?;
    let hash = manifest.hash().to_string();
    if looked.json {
        return Ok(vec![json!({ "configuration": hash, "manifest": manifest.text() }).to_string()]);
    }
    Ok(vec![hash])
}

fn status(looked: &Looked) -> anyhow::Result<Vec<String>> {
    let config = ConfigFile::read(&looked.config)?;
    let deployment = wiring::deployment(&config)?;
    let manifest = activation::manifest(&config)?;
    let activated = database::activated(&config.database, deployment)?;
    let known = activated.as_ref().and_then(|one| Manifest::parse(&one.manifest));
    let changes = manifest.since(&known.unwrap_or_default());
    let seen = manifest.hash().to_string();
    let last = activated.as_ref().map(|one| ConfigurationHash::from_bytes(one.hash).to_string());
    let holds = last.as_ref() == Some(&seen);
    if looked.json {
        return Ok(vec![
            json!({
                "configuration": seen,
                "activated": last,
                "since": activated.map(|one| one.at.to_string()),
                "holds": holds,
                "changes": changes,
            })
            .to_string(),
        ]);
    }
    let (last, since) = match (last, activated) {
        (Some(last), Some(one)) => (last, format!(", since {}", one.at)),
        _ => (NONE.to_owned(), String::new()),
    };
    Ok(vec![
        format!("{seen}  this configuration"),
        format!("{last}  the activated one{since}"),
        if holds { "it holds".to_owned() } else { format!("it does not hold: {changes}") },
    ])
}

impl Approve {
    fn run(&self) -> anyhow::Result<Vec<String>> {
        let config = ConfigFile::read(&self.config)?;
        let deployment = wiring::deployment(&config)?;
        let configuration = activation::manifest(&config)?.hash();
        ensure!(
            configuration.to_string() == self.sha256,
            Told::new(
                "configuration-differs",
                format!("these files come to {configuration}, --sha256 is {}", self.sha256),
                "find out which file differs: `sigill-ca configuration hash --json` lists each with its hash",
            )
        );
        let after = read_after(&self.after)?;
        let named = deployment.to_string();
        let activation = Activation { deployment: &named, configuration, after };
        let now = Clock::start().read().now;
        let statement = activation.statement(&self.person, now);
        let statement = statement.map_err(|error| unfit(format!("--person: {error}")))?;
        let signed = self.signed(deployment, &statement)?;
        host::durable::replace(&self.out, signed.as_str().as_bytes())
            .with_context(|| format!("cannot write {}", self.out.display()))?;
        let key = signed.key().spki_hash().to_string();
        if self.json {
            let (configuration, person) = (configuration.to_string(), &self.person);
            let result = json!({ "configuration": configuration, "after": self.after, "person": person, "spki_sha256": key });
            return Ok(vec![result.to_string()]);
        }
        Ok(vec![statement.as_str().trim_end().to_owned(), format!("signed with key {key}")])
    }

    fn signed(
        &self,
        deployment: Deployment,
        statement: &Statement,
    ) -> anyhow::Result<SignedStatement> {
        let is_prod = deployment.environment() == Environment::Prod;
        if let Some(path) = &self.key {
            ensure!(
                !is_prod,
                unfit(format!(
                    "{} is a file; a configuration of {deployment} is signed for with a key in a token of one's own",
                    path.display()
                ))
            );
            return Ok(SoftwarePersonKey::open(path)?.statement(statement)?);
        }
        let (Some(module), Some(label), Some(serial), Some(state), Some(spki)) =
            (&self.module, &self.label, &self.serial, &self.state, &self.spki)
        else {
            return Err(unfit("--module goes with --label, --serial, --state and --spki").into());
        };
        let name = TokenName { label: label.clone(), serial: serial.clone() };
        let module = Module::load(module)?;
        let pin = match &self.pin {
            Some(path) => Pin::from_file(path)?,
            None => Pin::from_terminal(&format!("PIN of {name}: "))?,
        };
        let settings = TokenSettings {
            name: name.clone(),
            pin,
            markers: PinMarkers::in_folder(state)?,
            sessions: NonZeroUsize::MIN,
            deadline: DEADLINE,
            quirks: Quirks::default(),
        };
        // A software token is a file, too.
        let token = if is_prod {
            Token::open(&module, settings)?
        } else {
            Token::danger_open_software_too(&module, settings)?
        };
        let holdings = token.holdings(Proofs::None, DEADLINE)?;
        let mut keys = holdings.iter().filter_map(|holding| holding.public.key());
        let key = keys.find(|key| key.spki_hash().to_string() == *spki);
        let key = key.ok_or_else(|| unfit(format!("token {name} holds no key {spki}")))?;
        Ok(token.statement(key, statement)?)
    }
}

impl Activate {
    fn run(&self) -> anyhow::Result<Vec<String>> {
        let config = ConfigFile::read(&self.config)?;
        let deployment = wiring::deployment(&config)?;
        let register = config.activation.read(deployment)?.ok_or_else(|| {
            Told::config("[[activation.person]] names nobody: the configuration says who activates the next one")
        })?;
        let manifest = activation::manifest(&config)?;
        let statements = self.approvals.iter().map(|path| read(path));
        let statements = statements.collect::<anyhow::Result<Vec<_>>>()?;
        let notes = wiring::NoteKeys::open(&config, deployment)?;
        let store = wiring::open_alone(&config, deployment, Create::Never)?;
        // A leaf in a database older than its published log would be another history.
        wiring::compare_with_published(&config, deployment, &notes, store.as_ref())?;
        let last_seen = wiring::last_seen(&config, deployment, &notes, store.as_ref())?;
        let now = confirm::believed(last_seen, config.clock)?;
        let known = store.activated_configuration()?;
        let new =
            Step { deployment, manifest: &manifest, register: &register, known: known.as_ref() };
        let judged = new.judged(&statements, now)?;
        let after = known.as_ref().map(|one| one.hash);
        let record = judged.record();
        let done = store.activate_configuration(&judged.row, after, &record, now)?;
        ensure!(
            done,
            Told::new(
                "configuration-not-activated",
                "another configuration was activated meanwhile",
                "look at `sigill-ca configuration status`, and have both persons sign anew",
            )
        );
        let hash = manifest.hash().to_string();
        if self.json {
            let result = json!({ "configuration": hash, "after": after.map(|one| ConfigurationHash::from_bytes(one).to_string()), "persons": judged.persons, "changes": judged.changes });
            return Ok(vec![result.to_string()]);
        }
        Ok(vec![
            format!(
                "{deployment}: configuration {hash} is activated by {}",
                judged.persons.join(" and ")
            ),
            format!("what changed: {}", judged.changes),
        ])
    }
}

/// One configuration after another.
struct Step<'a> {
    deployment: Deployment,
    manifest: &'a Manifest,
    /// Of the new one.
    register: &'a ActivationRegister,
    known: Option<&'a ActivatedConfiguration>,
}

/// A step that may be taken.
struct Judged {
    row: ActivatedConfiguration,
    after: Option<ConfigurationHash>,
    persons: Vec<String>,
    changes: Changes,
}

impl Step<'_> {
    /// Holds the statements against the register of the configuration that holds until now; the first is judged by its own.
    fn judged(&self, statements: &[SignedStatement], now: UnixTime) -> anyhow::Result<Judged> {
        let damaged = || {
            Told::new(
                "stored-data-unreadable",
                "the activated configuration in the database cannot be read",
                "put the database back from its backup (docs/operations/backup-restore.md)",
            )
        };
        let configuration = self.manifest.hash();
        let after = self.known.map(|one| ConfigurationHash::from_bytes(one.hash));
        let told = |what: String| {
            let next = "have a security officer and a system administrator of the activated configuration sign for exactly this one (docs/operations/configuration.md)";
            Told::new("configuration-not-activated", what, next)
        };
        ensure!(after != Some(configuration), told("this configuration holds already".to_owned()));
        let until_now = self.known.map(|one| ActivationRegister::parse(&one.persons));
        let until_now = until_now.map(|one| one.ok_or_else(damaged)).transpose()?;
        let register = until_now.as_ref().unwrap_or(self.register);
        let named = self.deployment.to_string();
        let activation = Activation { deployment: &named, configuration, after };
        let persons = activation.judge(register, statements, now);
        let persons = persons.map_err(|fault| told(fault.to_string()))?;
        let before = self.known.map(|one| Manifest::parse(&one.manifest));
        let before = before.map(|one| one.ok_or_else(damaged)).transpose()?.unwrap_or_default();
        let texts: Vec<&str> = statements.iter().map(SignedStatement::as_str).collect();
        let row = ActivatedConfiguration {
            hash: *configuration.as_bytes(),
            manifest: self.manifest.text(),
            persons: self.register.text(),
            statements: texts.concat(),
            at: now,
        };
        Ok(Judged { row, after, persons, changes: self.manifest.since(&before) })
    }
}

impl Judged {
    fn record(&self) -> store::AuditRecord {
        let document = |hash: [u8; 32]| ObjectId::Document(ledger::Hash::from_bytes(hash));
        Service::record(
            EventCode::ConfigurationActivated,
            EventResult::Done,
            Actor::System([0; 16]),
            ObjectIds::of_act([
                Some(document(self.row.hash)),
                self.after.map(|hash| document(*hash.as_bytes())),
            ]),
            None,
            &json!({
                "configuration": ConfigurationHash::from_bytes(self.row.hash).to_string(),
                "after": self.after.map(|hash| hash.to_string()),
                "persons": self.persons,
                "changes": self.changes,
                "manifest": self.row.manifest,
                "statements": self.row.statements,
            }),
            Subject::Deployment,
        )
    }
}

fn read_after(text: &str) -> anyhow::Result<Option<ConfigurationHash>> {
    if text == NONE {
        return Ok(None);
    }
    let mut hash = [0; 32];
    let read = base16ct::lower::decode(text, &mut hash).is_ok_and(|octets| octets.len() == 32);
    ensure!(read, unfit(format!("--after is {text}: `none`, or 64 lower-case hexadecimal digits")));
    Ok(Some(ConfigurationHash::from_bytes(hash)))
}

fn read(path: &Path) -> anyhow::Result<SignedStatement> {
    let told = |why: &dyn std::fmt::Display| {
        let what = format!("approval {}: {why}", path.display());
        Told::new(
            "configuration-approval",
            what,
            "give files that `sigill-ca configuration approve` wrote",
        )
    };
    let length = std::fs::metadata(path).map_err(|error| told(&error))?.len();
    ensure!(
        length <= MAX_OCTETS,
        told(&format!("it has {length} octets; at most {MAX_OCTETS} are read"))
    );
    let bytes = std::fs::read(path).map_err(|error| told(&error))?;
    Ok(SignedStatement::open(&bytes).map_err(|error| told(&error))?)
}

fn unfit(what: impl Into<String>) -> Told {
    Told::new("arguments-unfit", what, "`sigill-ca configuration --help` shows an example")
}

#[cfg(test)]
mod tests;
