//! `sigill-ceremony hsm inventory`: what stands on a token, which CA uses it, and what is unexpected.
//!
//! The record of an inventory is a file that operators keep; the next one is compared with it, so that
//! whatever changed on a token between two ceremonies has a name (KEY-07). Nothing on the token is
//! changed.

mod compare;
mod judge;
mod record;
mod table;
mod users;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use ca::algorithms::AlgorithmPolicyError;
use ceremony_core::words::Fingerprint;
use clap::Args;
use hsm::profile::{Mismatch, Profiled};
use hsm::token::{TokenLabel, TokenName};
use hsm::{Holding, Proofs, Token, TokenSettings};
use thiserror::Error;

use crate::named_token::NamedToken;
use crate::works::now;
use record::{ModuleRecord, Record, TokenRecord};
use users::Users;

/// Longest wait for the token to open.
const OPEN_WITHIN: Duration = Duration::from_secs(60);
/// Longest wait for all of its objects: a network HSM takes a millisecond and more for each question.
const READ_WITHIN: Duration = Duration::from_secs(15 * 60);

/// What an inventory takes.
#[derive(Debug, Args)]
pub(crate) struct InventoryArguments {
    #[command(flatten)]
    token: NamedToken,
    /// Configuration of sigill-ca or sigill-ocsp whose keys are expected; may be given more than once.
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// An earlier record (--json) to compare with.
    #[arg(long, value_name = "FILE")]
    expect: Option<PathBuf>,
    /// Have each private key sign to prove itself; counts as its use.
    #[arg(long)]
    prove: bool,
    /// Print the record as JSON.
    #[arg(long)]
    json: bool,
    /// Print the SHA-256 of what the token holds, and nothing else: what a plan of a ceremony expects of it.
    #[arg(long, conflicts_with_all = ["json", "prove", "expect"])]
    hash: bool,
}

/// The hash of what a token holds (docs/formats/key-inventory.md).
///
/// # Errors
///
/// What cannot be written as JSON.
pub(crate) fn contents(holdings: &[Holding]) -> anyhow::Result<Fingerprint> {
    let objects: Vec<_> = holdings.iter().map(record::ObjectRecord::new).collect();
    record::contents(&objects)
}

/// Takes the inventory and prints it.
///
/// # Errors
///
/// What was refused: a file, the PIN, the token.
pub(crate) fn run(arguments: &InventoryArguments) -> anyhow::Result<ExitCode> {
    let name = arguments.token.name();
    let users = Users::read(&arguments.config, &name)?;
    let expected = arguments.expect.as_deref().map(Record::read).transpose()?;
    let mut record = take(arguments, &name, &users)?;
    if arguments.hash {
        crate::answer(&record.contents()?.to_string());
        return Ok(ExitCode::SUCCESS);
    }
    record.note_users(&users);
    let policy = users.algorithms()?;
    let pairs = expected.as_ref().map(|expected| compare::pairs(expected, &record));
    record.findings = judge::findings(&record, &users, expected.as_ref().zip(pairs.as_deref()));
    record.findings.extend(judge::of_algorithms(&record, &policy, now()?));
    record.differences = expected
        .as_ref()
        .zip(pairs.as_deref())
        .map(|(expected, pairs)| compare::differences(expected, &record, pairs));
    let text = if arguments.json { record.to_json()? } else { table::of(&record) };
    crate::answer(&text);
    Ok(if record.is_as_expected() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads the token. A software token is read wherever it stands: nothing is issued with it here, and
/// the record says that it is one.
fn take(arguments: &InventoryArguments, name: &TokenName, users: &Users) -> anyhow::Result<Record> {
    // What differs from the profile is told: nothing is issued here.
    let quirks = users.profile().map(|path| Profiled::read(path, Mismatch::Told)).transpose()?;
    let module = arguments.token.load()?;
    let settings = TokenSettings {
        name: name.clone(),
        pin: arguments.token.pin()?,
        markers: arguments.token.markers()?,
        sessions: NonZeroUsize::MIN,
        deadline: OPEN_WITHIN,
        quirks: quirks.map(|profiled| profiled.quirks()).unwrap_or_default(),
    };
    let token = Token::danger_open_software_too(&module, settings)?;
    let proofs = if arguments.prove { Proofs::Every } else { Proofs::None };
    let holdings = token.holdings(proofs, READ_WITHIN)?;
    let facts = hsm::token::list(&module)?
        .into_iter()
        .find(|facts| facts.label == name.label.as_str() && facts.serial == name.serial.as_str())
        .with_context(|| format!("token {name} went away while it was read"))?;
    Ok(Record::new(
        now()?,
        ModuleRecord {
            path: module.path().to_path_buf(),
            description: module.description().to_owned(),
        },
        TokenRecord::new(&facts, facts.is_software(&module)),
        proofs,
        &holdings,
    ))
}

/// Wrong use: a file that was given cannot be what it was given as.
#[derive(Debug, Error)]
pub(crate) enum InventoryError {
    /// It cannot be read.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no record of an inventory.
    #[error("{path} is no record of an inventory: {why}")]
    Record {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// It is no configuration, or names what is none.
    #[error("{path} is no configuration of sigill-ca or sigill-ocsp: {why}")]
    Config {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// It is no algorithm policy.
    #[error("{path} is no algorithm policy: {source}")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: AlgorithmPolicyError,
    },
    /// It is the configuration of another deployment.
    #[error("{path} is of deployment {found}, which has no token labelled {label}")]
    OtherDeployment {
        /// The file.
        path: PathBuf,
        /// Its deployment.
        found: String,
        /// The label of the command line.
        label: TokenLabel,
    },
}

impl InventoryError {
    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "inventory-file",
            Self::Record { .. } => "inventory-record",
            Self::Config { .. } => "inventory-config",
            Self::Policy { .. } => "inventory-algorithm-policy",
            Self::OtherDeployment { .. } => "inventory-other-deployment",
        }
    }

    /// What to do next.
    pub(crate) const fn next_step(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "correct the path, or the file's permissions",
            Self::Record { .. } => "give what `hsm inventory --json` wrote",
            Self::Config { .. } => "let the program judge the file: check-config",
            Self::Policy { .. } => {
                "correct the file, or let the program judge it: check-config of sigill-ca"
            }
            Self::OtherDeployment { .. } => {
                "check that this is the right token, then give its deployment's configurations"
            }
        }
    }

    fn unreadable(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        |source| Self::Unreadable { path: path.to_path_buf(), source }
    }
}
