//! `sigill`: the operator's thin client of the CA's API.
//!
//! One file a noun under `command`; everything that is printed goes through `terminal`. Exit codes:
//! 0 done, 1 refused, 2 usage.

mod client;
mod command;
mod credential;
mod identity;
mod terminal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use client::{Client, Connection};
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
    /// This client itself: renew its certificate.
    #[command(subcommand, after_help = "Example:\n  sigill client renew --replace")]
    Client(command::client::ClientCommand),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let format = if arguments.json { Format::Json } else { Format::Table };
    let terminal = Terminal::new(format);
    let prepared = match &arguments.command {
        Command::Client(command) => command.before_connecting(&arguments.connection),
        _ => Ok(()),
    };
    let outcome =
        prepared.and_then(|()| Client::connect(&arguments.connection)).and_then(|client| {
            match &arguments.command {
                Command::Certificate(command) => command.run(&client, &terminal),
                Command::Authority(command) => command.run(&client, &terminal),
                Command::Client(command) => command.run(&client, &arguments.connection, &terminal),
            }
        });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
