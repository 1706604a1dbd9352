//! `sigill-verify`: judges evidence from files alone.
//!
//! For auditors: needs no network, no token and no database, and checks signatures with another
//! library than the programs that made them. One file a kind of evidence; [`leaves`] lists what an audit log tells. Exit codes: 0 the evidence
//! holds, 1 it does not (for a transcript the code of its row in the table of ceremonies' refusals, 18 for its own rules; for the bundle of a ceremony that
//! of the row, 22 for a secret in it), 2 wrong use.

mod ceremony;
mod folder;
mod leaves;
mod log;
mod receipt;
mod signatures;
mod transcript;

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Judge evidence of a Sigill deployment from files alone.
#[derive(Debug, Parser)]
#[command(
    name = "sigill-verify",
    version,
    about,
    after_help = "Example:\n  . .sigill/env\n  sigill-verify log --checkpoint \"$SIGILL_HOME/publish/checkpoint\" --tiles \"$SIGILL_HOME/publish\" \\\n    --key \"$SIGILL_STATUS_KEY\" --origin \"$SIGILL_STATUS_ORIGIN\""
)]
struct Arguments {
    /// Print the findings as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    evidence: Evidence,
}

#[derive(Debug, Subcommand)]
enum Evidence {
    /// A status log or audit log: signatures, tree, and every entry.
    Log(log::LogArguments),
    /// Judge an audit log as `log` does, and list its leaves: who did what, when, to what.
    ///
    /// What a leaf tells no more than by its hash, the payload, lies sealed in the database (docs/formats/audit-leaf.md).
    Leaves(leaves::LeavesArguments),
    /// A receipt of revocations: who saw them where, under which keys, and that everybody who had to has.
    Receipt(receipt::ReceiptArguments),
    /// The transcript of a ceremony: its rules, its copy, the head that people have on paper, who was in the room, and its rehearsal.
    Transcript(transcript::TranscriptArguments),
    /// The bundle of a ceremony: plan, approvals, rehearsal, transcript, people, and everything that was made.
    Ceremony(ceremony::CeremonyArguments),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let found = match &arguments.evidence {
        Evidence::Log(evidence) => log::judge(evidence)
            .map(|found| if arguments.json { found.to_json() } else { found.to_text() }),
        Evidence::Leaves(evidence) => leaves::list(evidence)
            .map(|found| if arguments.json { found.to_json() } else { found.to_text() }),
        Evidence::Receipt(evidence) => receipt::judge(evidence)
            .map(|found| if arguments.json { found.to_json() } else { found.to_text() }),
        Evidence::Transcript(evidence) => transcript::judge(evidence)
            .map(|found| if arguments.json { found.to_json() } else { found.to_text() }),
        Evidence::Ceremony(evidence) => return told(ceremony::judge(evidence), arguments.json),
    };
    match found {
        Ok(text) => {
            // A reader that went away (a closed pipe) is no error of ours.
            let _ = writeln!(io::stdout().lock(), "{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "refused: {error:#}");
            let broken = error.downcast_ref::<transcript::Broken>();
            ExitCode::from(broken.map_or(1, transcript::Broken::exit_code))
        }
    }
}

/// A ceremony's table is told whether it holds or not.
fn told(judged: anyhow::Result<ceremony::Findings>, json: bool) -> ExitCode {
    match judged {
        Ok(found) => {
            let text = if json { found.to_json() } else { found.to_text() };
            let _ = writeln!(io::stdout().lock(), "{text}");
            let Some(refused) = found.refused() else { return ExitCode::SUCCESS };
            let _ = writeln!(io::stderr().lock(), "refused: {refused}");
            ExitCode::from(refused.exit_code())
        }
        Err(error) => {
            let _ = writeln!(io::stderr().lock(), "refused: {error:#}");
            ExitCode::FAILURE
        }
    }
}
