//! `sigill-ceremony`: makes keys and certificates where no network is.
//!
//! It judges the plans of ceremonies and makes their scripts (`plan`), rehearses ceremonies (`rehearse`) and holds them with people at the screen, or in a demo
//! deployment with nobody at it (`run`), makes the whole hierarchy of a demo deployment by such ceremonies (`demo`), and asks tokens what they hold and what
//! they do (`hsm`). It speaks files and PKCS#11 only.

mod addresses;
mod approval_command;
mod attended;
mod authority;
mod bundle_command;
mod ceremony_tokens;
mod company;
mod demo;
mod exchange_command;
mod finished;
mod gates;
mod hierarchy;
mod holding;
mod home;
mod hsm_command;
mod inventory;
mod kept;
mod lists;
mod named_token;
mod numbers;
mod outputs;
mod plan_command;
mod probe;
mod refusal;
mod rehearse_command;
mod run_command;
mod second_opinion;
mod share_command;
mod signed;
mod stopped;
mod surroundings;
mod tokens;
mod transcript;
mod trial_key;
mod works;

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ceremony_core::exchange::ExchangeFault;
use ceremony_core::share::ShareError;
use ceremony_core::words::Fingerprint;
use clap::{Args, Parser, Subcommand};
use rustix::process::{Signal, set_parent_process_death_signal};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use addresses::Asked;
use approval_command::PersonCommand;
use bundle_command::BundleArguments;
use demo::RefusedPart;
use exchange_command::ExchangeCommand;
use hsm_command::HsmCommand;
use inventory::InventoryError;
use kept::Existing;
use outputs::Made;
use plan_command::PlanCommand;
use refusal::Refusal;
use rehearse_command::RehearseArguments;
use run_command::RunArguments;
use share_command::ShareCommand;
use stopped::Paused;

/// Key ceremonies of Sigill.
#[derive(Debug, Parser)]
#[command(
    name = "sigill-ceremony",
    version,
    about,
    after_help = "Example:\n  sigill-ceremony demo --home .sigill --hierarchy environments/demo/hierarchy.toml"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Ends with the process that started it: a part of a demo's ceremonies.
    #[arg(long, hide = true)]
    end_with_parent: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the hierarchy of deployment test/demo by ceremonies that nobody sits at: planned, approved, rehearsed and held with generated participants; refuses every other.
    ///
    /// Plans, approvals, rehearsals and bundles lie in `ceremonies` of the home, the root's token in `offline`. No network is needed. Exit codes: 1, and those of the refusals (docs/ceremonies), 2 wrong use.
    #[command(
        after_help = "Example:\n  sigill-ceremony demo --home .sigill --hierarchy environments/demo/hierarchy.toml"
    )]
    Demo(Demo),
    /// Judge the plan of a ceremony, say its hash, and make the script from it.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill-ceremony plan check docs/ceremonies/plans/c1-root-key.toml"
    )]
    Plan(PlanCommand),
    /// Hold a ceremony (a root's key, an issuing CA's key and request, its certificate, a root's OCSP delegates and CRL) with throw-away tokens and keys, and print the hash of its shape, which is approved for production.
    ///
    /// Everything is as on the day but for the people, whose keys are thrown away too, the clock, the network, and the tokens, which are software. What was signed is
    /// thrown away; the transcript stays (docs/formats/transcript.md). Exit codes: those of the refusals (docs/ceremonies), 2 wrong use.
    #[command(
        after_help = "Example:\n  sigill-ceremony rehearse plan.toml --approval anna.approval --approval bo.approval --out rehearsal.jsonl"
    )]
    Rehearse(RehearseArguments),
    /// Hold a ceremony (a root's key, an issuing CA's key and request, its certificate, a root's OCSP delegates and CRL) with people at the screen, in environment test; in deployment test/demo also with nobody at it. The keys stay.
    ///
    /// Run again after it was broken off or paused, it goes on where its transcript ends. Exit codes: those of the refusals (docs/ceremonies), 2 wrong use, 3 paused.
    #[command(
        after_help = "Example:\n  sigill-ceremony run plan.toml --home root --people keys --approval anna.approval --approval bo.approval --rehearsal rehearsal.jsonl --mirror /media/mirror/transcript.jsonl"
    )]
    Run(RunArguments),
    /// Pack a ceremony that came to its end into one file for auditors, which `sigill-verify ceremony` judges.
    ///
    /// Packed twice it is the same file (docs/formats/ceremony-bundle.md). Exit codes: those of the refusals (docs/ceremonies), 2 wrong use.
    #[command(
        after_help = "Example:\n  sigill-ceremony bundle plan.toml --home root --approval anna.approval --approval bo.approval --rehearsal rehearsal.jsonl --out root.bundle.tar"
    )]
    Bundle(BundleArguments),
    /// Print the SHA-256 of a file as numbered words and groups of digits: the paper of the second machine, from which a witness reads at a ceremony.
    #[command(after_help = "Example:\n  sigill-ceremony words training.cer.tbs")]
    Words {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// What comes from the zone of the issuing CAs as a signed file, and goes back to it.
    #[command(subcommand, after_help = "Example:\n  sigill-ceremony exchange answer --help")]
    Exchange(ExchangeCommand),
    /// The keys with which people answer at ceremonies.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill-ceremony person make-key --out ~/.sigill/anna.key"
    )]
    Person(PersonCommand),
    /// PINs of tokens that know no M of N: split among custodians, and put together again from enough of them.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill-ceremony shares make --token sg-td-ab12-root --pin user --custodian anna --custodian bo --custodian cecilia --threshold 2 --pin-file pins/root --out shares-root"
    )]
    Shares(ShareCommand),
    /// Ask a token what it holds and what it does; no ceremony.
    #[command(subcommand, after_help = "Example:\n  sigill-ceremony hsm probe --help")]
    Hsm(HsmCommand),
}

/// What a demo takes.
#[derive(Debug, Args)]
struct Demo {
    /// The home folder; made where it is missing.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The hierarchy file.
    #[arg(long, value_name = "FILE", default_value = "environments/demo/hierarchy.toml")]
    hierarchy: PathBuf,
    /// Folder of the profile files.
    #[arg(long, value_name = "DIR", default_value = "profiles")]
    profiles: PathBuf,
    /// The PKCS#11 module.
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/softhsm/libsofthsm2.so")]
    module: PathBuf,
    /// Where the API listens [default: what the home was made with, else 127.0.0.1:18443].
    #[arg(long, value_name = "IP:PORT")]
    api: Option<SocketAddr>,
    /// Where OCSP, CRLs and CA certificates are served; stands in every certificate [default: what the home was made with, else 127.0.0.1:18080].
    #[arg(long, value_name = "IP:PORT")]
    public: Option<SocketAddr>,
    /// Health and metrics of the CA [default: what the home was made with, else 127.0.0.1:18444].
    #[arg(long, value_name = "IP:PORT")]
    observe_ca: Option<SocketAddr>,
    /// Health and metrics of the responder [default: what the home was made with, else 127.0.0.1:18081].
    #[arg(long, value_name = "IP:PORT")]
    observe_ocsp: Option<SocketAddr>,
    /// Write configurations and profiles anew where they differ; without it they are kept.
    #[arg(long)]
    rewrite_config: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.end_with_parent
        && let Err(error) = set_parent_process_death_signal(Some(Signal::TERM))
    {
        say(&format!("error: this process cannot be made to end with its parent: {error}"));
        return ExitCode::FAILURE;
    }
    let done = attended::forbid_dumps().and_then(|()| match &arguments.command {
        Command::Demo(demo) => run(demo).map(|()| ExitCode::SUCCESS),
        Command::Plan(command) => plan_command::run(command),
        Command::Rehearse(arguments) => rehearse_command::run(arguments),
        Command::Run(arguments) => run_command::run(arguments),
        Command::Bundle(arguments) => bundle_command::run(arguments),
        Command::Words { file } => words(file),
        Command::Exchange(command) => exchange_command::run(command),
        Command::Person(command) => approval_command::person(command),
        Command::Shares(command) => share_command::run(command),
        Command::Hsm(command) => hsm_command::run(command),
    });
    match done {
        Ok(code) => code,
        Err(error) if error.is::<Paused>() => {
            say(&format!("{error:#}; next: run the same command again, and it goes on"));
            ExitCode::from(Paused::EXIT_CODE)
        }
        Err(error) if error.is::<RefusedPart>() => {
            // It said its own code and next step; here it is told where.
            let part = error.downcast_ref::<RefusedPart>();
            say(&part.map(ToString::to_string).unwrap_or_default());
            say(&format!("in {}", outermost(&error)));
            ExitCode::from(part.map_or(1, |part| part.code))
        }
        Err(error) => {
            match code(&error) {
                Some(code) => say(&format!("error: {code}: {error:#}{}", next(&error))),
                None => say(&format!("error: {error:#}")),
            }
            // What was given cannot be used, as with an option that clap refuses.
            let is_wrong_use = error.is::<InventoryError>();
            match stopped::row(&error) {
                Some((refusal, _)) => ExitCode::from(refusal.exit_code()),
                None if error.is::<ExchangeFault>() => ExitCode::from(exchange_command::EXIT_CODE),
                None if is_wrong_use => ExitCode::from(2),
                None => ExitCode::FAILURE,
            }
        }
    }
}

/// The outermost of what it was done for.
fn outermost(error: &anyhow::Error) -> String {
    error.chain().next().map(ToString::to_string).unwrap_or_default()
}

/// The stable code of what was refused.
fn code(error: &anyhow::Error) -> Option<&'static str> {
    let refusal = error.downcast_ref::<Refusal>().map(Refusal::code);
    refusal
        .or_else(|| stopped::row(error).map(|(refusal, _)| refusal.code()))
        .or_else(|| error.downcast_ref::<InventoryError>().map(InventoryError::code))
        .or_else(|| error.downcast_ref::<ShareError>().map(ShareError::code))
        .or_else(|| error.downcast_ref::<ExchangeFault>().map(ExchangeFault::code))
        .or_else(|| error.chain().find_map(hsm::told).map(|(code, _)| code))
}

/// What to do about a plan, a token or an inventory; the other refusals say it themselves.
fn next(error: &anyhow::Error) -> String {
    let stopped = stopped::row(error).map(|(_, next_step)| next_step);
    let own = error.downcast_ref::<InventoryError>().map(InventoryError::next_step);
    let own = own.or_else(|| error.downcast_ref::<ShareError>().map(ShareError::next_step));
    let own = own.or_else(|| error.downcast_ref::<ExchangeFault>().map(ExchangeFault::next_step));
    let step = stopped.or(own).or_else(|| error.chain().find_map(hsm::told).map(|(_, step)| step));
    let step = step.filter(|_| !error.is::<Refusal>());
    step.map(|step| format!("; next: {step}")).unwrap_or_default()
}

/// Prints what is read at a ceremony.
fn words(file: &Path) -> anyhow::Result<ExitCode> {
    let named = || file.display().to_string();
    let mut read = BufReader::new(File::open(file).with_context(named)?);
    let mut hash = Sha256::new();
    loop {
        let octets = read.fill_buf().with_context(named)?;
        if octets.is_empty() {
            break;
        }
        hash.update(octets);
        let taken = octets.len();
        read.consume(taken);
    }
    let hash = Fingerprint::from_bytes(hash.finalize().into());
    answer(&format!("SHA-256 {}\n", file.display()));
    answer(&hash.lines_of_groups().join("\n"));
    answer(&format!("\n{}", attended::numbered(&hash.words()).join("\n")));
    Ok(ExitCode::SUCCESS)
}

fn run(demo: &Demo) -> anyhow::Result<()> {
    // Before anything is made: elsewhere than in a checkout the defaults name nothing.
    hierarchy::Hierarchy::read(&demo.hierarchy).with_context(|| {
        format!(
            "hierarchy file {} is not usable: name yours with --hierarchy (the checkout has \
             environments/demo/hierarchy.toml); nothing was made",
            demo.hierarchy.display()
        )
    })?;
    anyhow::ensure!(
        demo.profiles.is_dir(),
        "{} is no folder: name the folder of the profiles with --profiles (the checkout has \
         profiles); nothing was made",
        demo.profiles.display()
    );
    let home = home::Home::open(&demo.home)?;
    let configuration = home.softhsm_configuration()?;
    // SoftHSM reads its configuration's path from the environment when it is loaded; a process
    // cannot safely change its own environment, so this one starts itself again with it.
    if std::env::var_os("SOFTHSM2_CONF").as_deref() != Some(configuration.as_os_str()) {
        let error = std::process::Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env("SOFTHSM2_CONF", &configuration)
            .exec();
        return Err(anyhow::Error::new(error).context("cannot start again with SOFTHSM2_CONF"));
    }
    let demo::Done { made, said } = demo::run(&demo::Order {
        home: demo.home.clone(),
        hierarchy: demo.hierarchy.clone(),
        profiles: demo.profiles.clone(),
        module: demo.module.clone(),
        addresses: Asked {
            api: demo.api,
            public: demo.public,
            observe_ca: demo.observe_ca,
            observe_ocsp: demo.observe_ocsp,
        },
        existing: if demo.rewrite_config { Existing::Rewrite } else { Existing::Keep },
    })?;
    for line in said {
        say(&line);
    }
    if demo.json {
        answer(&as_json(&home, &made));
    } else {
        for authority in &made.authorities {
            let certificate = &authority.certificate;
            answer(&format!(
                "{}  {}  {}",
                base16ct::lower::encode_string(&certificate.fingerprint()),
                certificate.public_key().key_type(),
                certificate.subject()
            ));
        }
    }
    Ok(())
}

fn as_json(home: &home::Home, made: &Made) -> String {
    let authorities: Vec<_> = made
        .authorities
        .iter()
        .map(|authority| {
            json!({
                "name": authority.planned.name,
                "subject": authority.certificate.subject().to_string(),
                "sha256": base16ct::lower::encode_string(&authority.certificate.fingerprint()),
            })
        })
        .collect();
    json!({
        "home": home.root(),
        "authorities": authorities,
        "management_ca_sha256": base16ct::lower::encode_string(&made.management.fingerprint()),
        "management_token": made.management_token.to_string(),
    })
    .to_string()
}

#[expect(clippy::print_stderr, reason = "the one place where this program speaks to its terminal")]
fn say(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "the result of the command")]
fn answer(line: &str) {
    println!("{line}");
}
