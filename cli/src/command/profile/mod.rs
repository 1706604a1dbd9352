//! `sigill profile`: the compiler of profiles. It works on files; only a replay asks the server.

mod check;
mod deadlines;
mod diff;
mod example;
mod replay;
mod source;
mod table;

use std::process::ExitCode;

use clap::Subcommand;

use crate::client::{ClientError, Connection};
use crate::terminal::Terminal;

/// What can be done with profiles.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// Judge profiles: every fault with its file and rule (exit 1 if there is one).
    #[command(after_help = "Example:\n  sigill profile check profiles")]
    Check(check::Check),
    /// Print by when what must have been done, by each routine, from a time on (Swedish working days).
    #[command(
        after_help = "Example:\n  sigill profile deadlines profiles --from 2026-12-22T09:30:00Z --routine office-visit"
    )]
    Deadlines(deadlines::Deadlines),
    /// Compare two profiles, or a profile and a certificate, field by field (exit 1 if they differ).
    #[command(
        after_help = "Of a certificate everything is compared but names, key, serial number, dates, issuer and hosts.\n\nExample:\n  sigill profile diff profiles/function.toml server.pem"
    )]
    Diff(diff::Diff),
    /// Make a sample of what a profile issues, for the Swedish test person or a test function.
    #[command(
        after_help = "The sample is prepared and linted like any certificate; its signature verifies under no key.\n\nExample:\n  sigill profile example profiles/function.toml --key-type rsa-3072 --out samples"
    )]
    Example(example::Example),
    /// Ask what stored issuances would become under a changed profile (exit 0 if all are the same, 1 if
    /// some differ or are refused, 2 if that cannot be told).
    #[command(
        after_help = "The server prepares them anew, with their serial numbers and times; nothing is issued. Values are shown of functions and machines alone. The client must be an operator.\n\nExample:\n  sigill profile replay profiles/function.toml --last 10000 --cert operator.pem --key operator.key"
    )]
    Replay(replay::Replay),
    /// Print which policy states what, for relying parties.
    #[command(after_help = "Example:\n  sigill profile table profiles --format markdown")]
    Table(table::Table),
}

impl ProfileCommand {
    pub(crate) fn run(
        &self,
        connection: &Connection,
        terminal: Terminal,
    ) -> Result<ExitCode, ClientError> {
        match self {
            Self::Check(check) => check.run(terminal),
            Self::Deadlines(deadlines) => deadlines.run(terminal),
            Self::Diff(diff) => diff.run(terminal),
            Self::Example(example) => example.run(terminal),
            Self::Replay(replay) => Ok(replay.run(connection, terminal)),
            Self::Table(table) => table.run(terminal),
        }
    }
}

/// What a comparison or a judgement came to.
const fn exit_code(is_clean: Clean) -> ExitCode {
    match is_clean {
        Clean::Yes => ExitCode::SUCCESS,
        Clean::No => ExitCode::FAILURE,
    }
}

/// Whether nothing was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clean {
    Yes,
    No,
}

impl Clean {
    const fn of<T>(found: &[T]) -> Self {
        if found.is_empty() { Self::Yes } else { Self::No }
    }
}
