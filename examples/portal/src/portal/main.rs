//! A small card-ordering portal: pages for administrators, and a client of the CA's API behind them.
//!
//! It has no key that anybody trusts for an eID: each call that changes something is signed by the card of the administrator who wants it. It writes
//! such a call down before it makes it, so that it can be killed at any point and goes on where it was.

mod acts;
mod ca;
mod config;
mod desk;
mod ledger;
mod pages;
mod session;
mod statement;

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use clap::{Parser, Subcommand};
use portal::serving::{Site, serve};

use crate::config::Config;
use crate::desk::Desk;

/// A small portal for ordering eIDs, as an example of a client of the API.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example:\n  example-portal serve --config portal.toml")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the portal's pages until ended.
    #[command(after_help = "Example:\n  example-portal serve --config portal.toml")]
    Serve {
        /// Its configuration; examples/portal/portal.toml is an annotated one.
        #[arg(long)]
        config: PathBuf,
    },
}

fn main() -> ExitCode {
    let Command::Serve { config } = Arguments::parse().command;
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &std::path::Path) -> anyhow::Result<()> {
    let config = Config::read(config)?;
    let site = Site { listen: config.listen, partners: vec![config.reader.clone()] };
    let desk = Arc::new(Desk::open(config)?);
    let carrying = Arc::clone(&desk);
    thread::spawn(move || carrying.carry_on());
    let ready = |site: &Site| {
        let _ = writeln!(io::stdout().lock(), "portal at {}", site.origin());
    };
    serve(site, ready, move |request| pages::answer(&desk, request))?;
    Ok(())
}
