//! `sigill-ocsp`: the OCSP responder of the outer zone, which also serves CRLs and CA certificates.
//!
//! It knows nothing but what the inner zone publishes: a signed log of status entries, CRLs listed in
//! a signed manifest, CA certificates pinned in its configuration, and certificates for delegate keys
//! that live in its own token. It opens no connection. Where it cannot be sure it says tryLater.
//!
//! [`follow`] believes the log, [`answer`] decides, [`responder`] puts question, log and [`signer`]
//! together, [`keeper`] provides the delegates, [`http`] speaks to strangers.

mod alarms;
mod answer;
mod authority;
mod caching;
mod check;
mod clock;
mod complaint;
mod config;
mod contract;
mod delegate;
mod due;
mod files;
mod follow;
mod health;
#[cfg(test)]
mod histories;
mod http;
mod identity;
mod keeper;
mod manage;
mod memory_keys;
mod metrics;
mod presigned;
mod receive;
mod responder;
#[cfg(test)]
mod restart;
mod run;
mod server;
mod signer;
mod start;
mod status_page;
mod test_certificates;
#[cfg(test)]
mod testing;
mod turns;
mod view;
mod waiting;
mod work;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Parser, Subcommand};

/// For everything in the process, PKCS#11 modules too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

use crate::config::Config;

/// OCSP responder and CRL server of the outer zone.
#[derive(Debug, Parser)]
#[command(
    name = "sigill-ocsp",
    version,
    after_help = "Example:\n  sigill-ocsp serve --config config/ocsp.toml"
)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: `serve`.
    #[command(flatten)]
    serve: Option<WithoutCommand>,
}

#[derive(Debug, Args)]
struct WithoutCommand {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// What `check-config` was called at first.
    #[arg(long, hide = true)]
    check_config: bool,
}

impl From<WithoutCommand> for Command {
    fn from(without: WithoutCommand) -> Self {
        let arguments = ConfigArguments { config: without.config };
        if without.check_config { Self::CheckConfig(arguments) } else { Self::Serve(arguments) }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Answers OCSP and serves CRLs and CA certificates until SIGTERM.
    #[command(after_help = "Example:\n  sigill-ocsp serve --config config/ocsp.toml")]
    Serve(ConfigArguments),
    /// Reads the configuration and says what is wrong; opens no token and changes nothing.
    #[command(after_help = "Example:\n  sigill-ocsp check-config --config config/ocsp.toml")]
    CheckConfig(ConfigArguments),
    /// Makes the identity key in the token and writes its public half, which `sigill-ca enrol-responder` takes.
    #[command(
        after_help = "Example (64 zeros as `[hsm] identity` until the key is there):\n  sigill-ocsp make-identity --config config/ocsp.toml --out ocsp2.spki"
    )]
    MakeIdentity {
        #[command(flatten)]
        config: ConfigArguments,
        /// The file that is written: SubjectPublicKeyInfo, DER.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, Args)]
struct ConfigArguments {
    /// Configuration file.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl Arguments {
    fn command(self) -> Command {
        self.command.or_else(|| self.serve.map(Command::from)).unwrap_or_else(|| {
            <Self as clap::CommandFactory>::command()
                .error(ErrorKind::MissingRequiredArgument, "--config FILE is missing")
                .exit()
        })
    }
}

impl Command {
    fn config(&self) -> &Path {
        let (Self::Serve(arguments)
        | Self::CheckConfig(arguments)
        | Self::MakeIdentity { config: arguments, .. }) = self;
        &arguments.config
    }
}

/// An error and its causes on one line: `a: b: c`.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "the program's own terminal")]
fn main() -> ExitCode {
    let command = Arguments::parse().command();
    let config = match Config::read(command.config()) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("error: {}", start::line(&error.into()));
            return ExitCode::from(1);
        }
    };
    if matches!(command, Command::CheckConfig(_)) {
        if let Err(error) = check::run(&config) {
            eprintln!("error: {}", start::line(&error));
            return ExitCode::from(1);
        }
        println!("configuration of {} is good", config.deployment);
        return ExitCode::SUCCESS;
    }
    if let Command::MakeIdentity { out, .. } = &command {
        return match identity::make(&config, out) {
            Ok(hash) => {
                println!("{hash}");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("error: {}", start::line(&error));
                ExitCode::from(1)
            }
        };
    }
    tracing_subscriber::fmt()
        .json()
        .with_writer(std::io::stderr)
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_env("SIGILL_LOG")
                .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info")),
        )
        .init();
    match run::run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let line = start::line(&error);
            tracing::error!(problem.code = start::code(&error), error = line, "stopped");
            eprintln!("error: {line}");
            ExitCode::from(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(words: &[&str]) -> Command {
        Arguments::parse_from(std::iter::once("sigill-ocsp").chain(words.iter().copied())).command()
    }

    #[test]
    fn takes_the_words_that_earlier_pages_named() {
        assert!(matches!(command(&["--config", "f"]), Command::Serve(_)));
        let checks = [["--config", "f", "--check-config"], ["--check-config", "--config", "f"]];
        for words in checks {
            assert!(matches!(command(&words), Command::CheckConfig(_)), "{words:?}");
        }
        assert!(matches!(command(&["check-config", "--config", "f"]), Command::CheckConfig(_)));
    }
}
