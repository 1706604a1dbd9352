//! `sigill-ceremony plan approve` and `plan approvals`: people sign the hash of a plan, and are counted.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use ca::deployment::Environment;
use ceremony_core::approval::{self, Purpose};
use ceremony_core::plan::{Person, Plan};
use ceremony_core::refusal::Refusal;
use ceremony_core::words::Fingerprint;
use clap::{Args, Subcommand, ValueEnum};
use hsm::pin::Pin;
use hsm::statement::SoftwarePersonKey;
use hsm::token::{TokenLabel, TokenName, TokenSerial};
use hsm::{Module, PinMarkers, Proofs, Quirks, Token, TokenSettings};
use x509::statement::{SignedStatement, Statement};

use crate::home::replace;
use crate::plan_command;
use crate::stopped::Stopped;
use crate::works::now;

/// Longest wait for a person's token.
const DEADLINE: Duration = Duration::from_secs(60);
/// The longest approval, in octets.
const MAX_OCTETS: u64 = 64 * 1024;

/// What a plan is approved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum PurposeName {
    /// A rehearsal, with throw-away keys.
    Rehearsal,
    /// The ceremony itself, which comes out as its rehearsal did.
    Production,
}

/// What is approved.
#[derive(Debug, Args)]
struct What {
    /// The plan.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// What it is approved for.
    #[arg(long, value_enum)]
    purpose: PurposeName,
    /// Shape hash that the rehearsal came out with; for production.
    #[arg(long, value_name = "SHA256", required_if_eq("purpose", "production"))]
    shape: Option<Fingerprint>,
}

/// What approving takes.
#[derive(Debug, Args)]
pub(crate) struct ApproveArguments {
    #[command(flatten)]
    what: What,
    /// Who approves, as the plan calls the person.
    #[arg(long, value_name = "ID")]
    person: String,
    /// File of the person's software key: not for plans of environment prod, their rehearsals apart.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "module",
        conflicts_with = "module"
    )]
    key: Option<PathBuf>,
    /// PKCS#11 module of the person's own token.
    #[arg(long, value_name = "FILE", requires_all = ["label", "serial", "state"])]
    module: Option<PathBuf>,
    /// The token's label.
    #[arg(long, value_name = "LABEL", requires = "module", value_parser = TokenLabel::of_person)]
    label: Option<TokenLabel>,
    /// The token's serial number.
    #[arg(long, value_name = "SERIAL", requires = "module")]
    serial: Option<TokenSerial>,
    /// File of the token's user PIN; left out, it is asked for.
    #[arg(long, value_name = "FILE", requires = "module")]
    pin: Option<PathBuf>,
    /// Folder of the markers of refused PINs.
    #[arg(long, value_name = "DIR", requires = "module")]
    state: Option<PathBuf>,
    /// Write the approval to this file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// What counting approvals takes.
#[derive(Debug, Args)]
pub(crate) struct ApprovalsArguments {
    #[command(flatten)]
    what: What,
    /// The approvals.
    #[arg(value_name = "FILE", required = true)]
    approvals: Vec<PathBuf>,
}

/// The keys of people.
#[derive(Debug, Subcommand)]
pub(crate) enum PersonCommand {
    /// Make a software key of a person, for rehearsals and environment test, and print its hash for the plan.
    ///
    /// A key in a token of one's own is made with the token's tool; `hsm inventory` prints its hash.
    #[command(after_help = "Example:\n  sigill-ceremony person make-key --out ~/.sigill/anna.key")]
    MakeKey {
        /// The new file, in a folder of mode 0700.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

/// Makes a key of a person.
///
/// # Errors
///
/// The file's.
pub(crate) fn person(command: &PersonCommand) -> anyhow::Result<ExitCode> {
    let PersonCommand::MakeKey { out } = command;
    let key = SoftwarePersonKey::create(out)?;
    crate::answer(&key.key().spki_hash().to_string());
    Ok(ExitCode::SUCCESS)
}

/// Signs an approval.
///
/// # Errors
///
/// [`Stopped`]; the key's or token's own.
pub(crate) fn approve(arguments: &ApproveArguments) -> anyhow::Result<ExitCode> {
    let plan = plan_command::read(&arguments.what.plan)?;
    let purpose = arguments.what.purpose();
    let statement =
        approval::statement(&plan, purpose, &arguments.person, now()?).map_err(|fault| {
            let next_step = "name an approver of the plan with --person";
            Stopped { refusal: Refusal::Approvals, refused: fault.to_string(), next_step }
        })?;
    let person = plan.people.persons.iter().find(|one| one.id.as_str() == arguments.person);
    let person = person.context("the plan has no such person")?;
    let signed = sign(arguments, &plan, person, &statement)?;
    // What does not count here is not handed on.
    if let Err(error) = approval::judge_one(&plan, purpose, &signed) {
        let next_step = "sign with a key that the plan has for this person";
        let refused = error.to_string();
        return Err(Stopped { refusal: Refusal::Approvals, refused, next_step }.into());
    }
    replace(&arguments.out, signed.as_str().as_bytes())?;
    crate::say(statement.as_str().trim_end());
    Ok(ExitCode::SUCCESS)
}

fn sign(
    arguments: &ApproveArguments,
    plan: &Plan,
    person: &Person,
    statement: &Statement,
) -> anyhow::Result<SignedStatement> {
    let is_real = plan.deployment.environment() == Environment::Prod
        && arguments.what.purpose == PurposeName::Production;
    if let Some(path) = &arguments.key {
        if is_real {
            let refused = format!(
                "{} is a file; a plan of {} is approved with a key in a token of one's own",
                path.display(),
                plan.deployment
            );
            let next_step = "give --module, --label, --serial and --state of the token";
            return Err(Stopped { refusal: Refusal::Approvals, refused, next_step }.into());
        }
        return Ok(SoftwarePersonKey::open(path)?.statement(statement)?);
    }
    let (Some(module), Some(label), Some(serial), Some(state)) =
        (&arguments.module, &arguments.label, &arguments.serial, &arguments.state)
    else {
        anyhow::bail!("--module goes with --label, --serial and --state");
    };
    let name = TokenName { label: label.clone(), serial: serial.clone() };
    let module = Module::load(module)?;
    let pin = match &arguments.pin {
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
    let token = if is_real {
        Token::open(&module, settings)?
    } else {
        Token::danger_open_software_too(&module, settings)?
    };
    let holdings = token.holdings(Proofs::None, DEADLINE)?;
    let keys = holdings.iter().filter_map(|holding| holding.public.key());
    let of_person = |hash: &[u8; 32]| person.keys.iter().any(|key| key.as_bytes() == hash);
    let key = keys.into_iter().find(|key| of_person(key.spki_hash().as_bytes()));
    let Some(key) = key else {
        let refused = format!("token {name} holds no key that the plan has for {}", person.id);
        let next_step = "check the person's keys in the plan against `hsm inventory` of the token";
        return Err(Stopped { refusal: Refusal::Approvals, refused, next_step }.into());
    };
    Ok(token.statement(key, statement)?)
}

/// Counts who approves a plan.
///
/// # Errors
///
/// [`Stopped`] with R01 for approvals of another plan, with R02 for too few.
pub(crate) fn approvals(arguments: &ApprovalsArguments) -> anyhow::Result<ExitCode> {
    let plan = plan_command::read(&arguments.what.plan)?;
    let read = arguments.approvals.iter().map(|path| read(path)).collect::<Result<Vec<_>, _>>()?;
    let people =
        approval::judge(&plan, arguments.what.purpose(), &read).map_err(|error| Stopped {
            refusal: error.refusal(),
            refused: error.to_string(),
            next_step: "have the approvers read and sign this very plan",
        })?;
    for person in people {
        crate::answer(person.as_str());
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads an approval, whose signature holds.
///
/// # Errors
///
/// [`Stopped`] with R02.
pub(crate) fn read(path: &Path) -> Result<SignedStatement, Stopped> {
    let stopped = |why: &dyn std::fmt::Display| Stopped {
        refusal: Refusal::Approvals,
        refused: format!("approval {} is refused: {why}", path.display()),
        next_step: "give files that `sigill-ceremony plan approve` wrote",
    };
    let length = fs::metadata(path).map_err(|error| stopped(&error))?.len();
    if length > MAX_OCTETS {
        return Err(stopped(&format!(
            "it has {length} octets; an approval has at most {MAX_OCTETS}"
        )));
    }
    let bytes = fs::read(path).map_err(|error| stopped(&error))?;
    SignedStatement::open(&bytes).map_err(|error| stopped(&error))
}

impl What {
    fn purpose(&self) -> Purpose {
        match (self.purpose, self.shape) {
            (PurposeName::Production, Some(shape)) => Purpose::Production(shape),
            // A rehearsal has no shape yet; production without one is refused when the options are read.
            _ => Purpose::Rehearsal,
        }
    }
}
