//! `sigill`: the operator's thin client of the CA's API, and the compiler of profiles.
//!
//! One file a noun under `command`; everything that is printed goes through `terminal`. Exit codes:
//! 0 done, 1 refused, 2 usage.

mod actor;
mod ad;
mod client;
mod command;
mod credential;
mod identity;
mod probe;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use client::{Client, ClientError, Connection};
use terminal::{Format, Terminal};

/// Issue, show, list and revoke certificates of a Sigill CA.
#[derive(Debug, Parser)]
#[command(
    name = "sigill",
    version,
    about,
    after_help = "Example:\n  . .sigill/env\n  sigill certificate list --state revoked"
)]
struct Arguments {
    #[command(flatten)]
    connection: Connection,
    /// Print JSON, as the API gave it.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Certificates: issue, show, list, revoke.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill certificate list --state revoked\n  sigill certificate revoke --help"
    )]
    Certificate(command::certificate::Certificate),
    /// Certification authorities: list, show.
    #[command(subcommand, after_help = "Example:\n  sigill authority list")]
    Authority(command::authority::Authority),
    /// Limits of orders: what this hour has had, what is paused; let a client go on.
    #[command(subcommand, after_help = "Example:\n  sigill limit list")]
    Limit(command::limit::LimitCommand),
    /// Plan to revoke many certificates, and see what it comes to. For operators; nothing is revoked before `sigill job start`.
    #[command(
        after_help = "Example:\n  sigill revoke --cards batch-17.txt --reason keyCompromise --actor op-1 --note \"weak keys of batch 17\"\n  sigill job start job_019… --operation 5f0c… --actor op-1"
    )]
    Revoke(Box<command::revoke::Revoke>),
    /// Revocations of later: schedule, list, take back; and requests taken on paper or by telephone: register.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill revocation list --due-before 2027-02-01T00:00:00Z\n  sigill revocation register --from requests.csv"
    )]
    Revocation(command::revocation::RevocationCommand),
    /// Jobs that revoke many certificates: show, start, approve, pause, follow.
    #[command(subcommand, after_help = "Example:\n  sigill job list\n  sigill job watch job_019…")]
    Job(command::job::JobCommand),
    /// Revocations that the CA makes to measure how long they take to be seen.
    #[command(subcommand, after_help = "Example:\n  sigill trial list")]
    Trial(command::trial::TrialCommand),
    /// eIDs: one holder in one organisation on one carrier; list, show, revoke.
    #[command(subcommand, after_help = "Example:\n  sigill eid list --certificate crt_019…")]
    Eid(command::eid::EidCommand),
    /// Carriers: cards and telephones with the eIDs on them; find, show, revoke.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill carrier find --card-number 9752269874512325436\n  sigill carrier revoke car_019… --event stolen"
    )]
    Carrier(command::eid::CarrierCommand),
    /// Statements of administrators about calls: sign. Asks no CA.
    #[command(subcommand, after_help = "Example:\n  sigill actor sign --help")]
    Actor(command::actor::ActorCommand),
    /// Why a login or a signature fails, and what to do (felsökning).
    #[command(
        after_help = "Example:\n  sigill diagnose --card-number 9752269874512325436 --use signature\n  sigill diagnose --file shown.pem --level 3 --json"
    )]
    Diagnose(command::diagnosis::Diagnose),
    /// Orders for eIDs, step by step: prepare, evidence, approve, receipt, issue, deliver, activate; cancel; what is due.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill order prepare order.json\n  sigill order due --before 2026-11-30T23:00:00Z"
    )]
    Order(command::order::OrderCommand),
    /// Domains whose control organisations have proved: what DNS names of functions rest on.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill domain list --covers idp.example.se\n  sigill domain add --organisation org_019… --domain example.se --actor au-1"
    )]
    Domain(command::domain::DomainCommand),
    /// Organisations: the tree of issuing areas, organisations, their parts and offices.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill organisation list\n  sigill organisation add --kind office --under org_019… --office kontor-17 --name \"Kontor 17\" --from 2026-12-01 --actor op-1"
    )]
    Organisation(command::organisation::OrganisationCommand),
    /// Protected persons (sekretessmarkering, skyddad folkbokföring): list, set. For administrators whose role has them added.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill protection list --json\n  sigill protection set --person 19121212-1212 --class confidentiality-marking --actor TST2321000016-1001"
    )]
    Protection(command::protection::ProtectionCommand),
    /// What one person asks for and another one approves: list, show, approve, reject, withdraw. Any command that acts asks with --ask-approval.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill limit resume --help\n  sigill certificate release crt_019… --actor op-1 --note found --ask-approval \"found at the desk\"\n  sigill approval approve apr_019… --sha256 5f0c…\n  sigill certificate release crt_019… --actor op-1 --note found --approval apr_019…"
    )]
    Approval(command::approval::ApprovalCommand),
    /// Who was shown what of a person, newest first: client, administrator, call. For auditors; asking it is noted, too.
    #[command(after_help = "Example:\n  sigill reads --person 19121212-1212 --json")]
    Reads(command::read::ReadsCommand),
    /// Registers (HSA, the personal-data service): what one says of somebody now. Who asked for whom is noted.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill register check --hsa-id TST2321000016-1002"
    )]
    Register(command::register::RegisterCommand),
    /// This client itself: renew its certificate.
    #[command(subcommand, after_help = "Example:\n  sigill client renew --replace")]
    Client(command::client::ClientCommand),
    /// Profiles: check and compare them, without a server; replay what was issued.
    #[command(subcommand, after_help = "Example:\n  sigill profile check profiles")]
    Profile(command::profile::ProfileCommand),
    /// Lists of keys that are never certified: make, show. Asks no CA.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill key-list make --class debian --source \"github.com/badkeys/debianopenssl\" --out debian.keys spki/"
    )]
    KeyList(command::key_list::KeyListCommand),
    /// Fetch the receipt of a revocation, or have the CA sign it from observations.
    #[command(
        after_help = "Example:\n  sigill receipt crt_019… --method ocsp --out ocsp.receipt\n  sigill receipt crt_019… --method ocsp --out ocsp.receipt seen/*.statement"
    )]
    Receipt(command::receipt::ReceiptCommand),
    /// Look from outside whether revocations can be seen, and sign what was seen.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill probe make-key vantage.key\n  sigill probe certificate --help\n  sigill probe run --help"
    )]
    Probe(command::probe::ProbeCommand),
    /// What relying parties meet: a week under a freshness contract, with parts away. Asks no CA.
    #[command(
        subcommand,
        after_help = "Example:\n  sigill status simulate --contract freshness.toml --away inner-zone:24+6"
    )]
    Status(command::status::StatusCommand),
    /// What administrators may do in each role, in English and Swedish. Asks no CA.
    #[command(after_help = "Example:\n  sigill roles\n  sigill roles id-administrator")]
    Roles(command::roles::RolesCommand),
    /// Where carriers, eIDs and orders can stand, and what leads from where to where, in English and Swedish. Asks no CA.
    #[command(after_help = "Example:\n  sigill states carrier")]
    States(command::states::StatesCommand),
    /// What can have happened where a certificate is revoked (lost, stolen, ...), and what follows from it, in English and Swedish.
    /// Asks no CA.
    #[command(
        after_help = "Example:\n  sigill events\n  sigill certificate revoke crt_019… --event stolen --yes"
    )]
    Events(command::events::EventsCommand),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = if arguments.json { Format::Json } else { Format::Table };
    let terminal = Terminal::new(format);
    let connection = &arguments.connection;
    let outcome = match &arguments.command {
        Command::Profile(command) => command.run(connection, terminal),
        Command::Receipt(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Probe(command) => command
            .run(connection, &terminal)
            .map(|well| if well { ExitCode::SUCCESS } else { ExitCode::from(1) }),
        Command::Actor(command) => command.run(connection, terminal).map(|()| ExitCode::SUCCESS),
        Command::KeyList(command) => command.run(&terminal).map(|()| ExitCode::SUCCESS),
        Command::Status(command) => command.run(&terminal).map(|()| ExitCode::SUCCESS),
        Command::Events(command) => {
            command.run(terminal);
            Ok(ExitCode::SUCCESS)
        }
        Command::Roles(command) => {
            command.run(terminal);
            Ok(ExitCode::SUCCESS)
        }
        Command::States(command) => {
            command.run(terminal);
            Ok(ExitCode::SUCCESS)
        }
        Command::Certificate(command) => {
            connected(connection, |client| command.run(client, &terminal))
        }
        Command::Authority(command) => {
            connected(connection, |client| command.run(client, &terminal))
        }
        Command::Revoke(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Revocation(command) => {
            connected(connection, |client| command.run(client, &terminal))
        }
        Command::Job(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Eid(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Carrier(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Diagnose(command) => {
            connected(connection, |client| command.run(client, &terminal))
        }
        Command::Domain(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Organisation(command) => {
            connected(connection, |client| command.run(client, &terminal))
        }
        Command::Protection(command) => {
            connected(connection, |client| command.run(client, &terminal))
        }
        Command::Approval(command) => {
            connected(connection, |client| command.run(client, connection, &terminal))
        }
        Command::Reads(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Register(command) => {
            connected(connection, |client| command.run(client, &terminal))
        }
        Command::Order(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Limit(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Trial(command) => connected(connection, |client| command.run(client, &terminal)),
        Command::Client(command) => command.before_connecting(connection).and_then(|()| {
            connected(connection, |client| command.run(client, connection, &terminal))
        }),
    };
    match outcome {
        Ok(code) => code,
        Err(ClientError::Asked(asked)) => {
            command::approval::tell(&asked, &terminal);
            ExitCode::SUCCESS
        }
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Does what needs the server.
fn connected(
    connection: &Connection,
    act: impl FnOnce(&Client) -> Result<(), ClientError>,
) -> Result<ExitCode, ClientError> {
    act(&Client::connect(connection)?).map(|()| ExitCode::SUCCESS)
}
