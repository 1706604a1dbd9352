//! `sigill-ocsp`: the OCSP responder of the outer zone, which also serves CRLs and CA certificates.
//!
//! It knows nothing but what the inner zone publishes: a signed log of status entries, CRLs listed in
//! a signed manifest, CA certificates pinned in its configuration, and certificates for delegate keys
//! that live in its own token. It opens no connection. Where it cannot be sure it says tryLater.
//!
//! [`follow`] believes the log, [`answer`] decides, [`responder`] puts question, log and [`signer`]
//! together, [`keeper`] provides the delegates, [`http`] speaks to strangers.

mod answer;
mod authority;
mod clock;
mod config;
mod delegate;
mod durable;
mod files;
mod follow;
mod http;
mod keeper;
mod manage;
mod metrics;
mod responder;
mod run;
mod server;
mod signer;
mod view;
mod waiting;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::config::Config;

/// OCSP responder and CRL server of the outer zone.
#[derive(Debug, Parser)]
#[command(name = "sigill-ocsp", version)]
struct Arguments {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Check the configuration and stop.
    #[arg(long)]
    check_config: bool,
}

/// An error and its causes on one line: `a: b: c`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "the program's own terminal")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = match Config::read(&arguments.config) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {}", chain(&error));
            return ExitCode::from(1);
        }
    };
    if arguments.check_config {
        println!("configuration of {} is good", config.deployment);
        return ExitCode::SUCCESS;
    }
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    match run::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopped");
            eprintln!("error: {error:#}");
            ExitCode::from(1)
        }
    }
}
