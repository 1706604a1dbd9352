//! `sigill-ceremony hsm`: what an operator asks a token, outside every ceremony.

use std::process::ExitCode;

use clap::Subcommand;

use crate::inventory::{self, InventoryArguments};
use crate::probe::{self, ProbeArguments};

/// What can be asked of a token.
#[derive(Debug, Subcommand)]
pub(crate) enum HsmCommand {
    /// List every object of a token, say which CA uses it and what is unexpected.
    ///
    /// Nothing is changed, and nothing is signed unless --prove says so. Exit codes: 0 all is as expected, 1 something
    /// is not or the token could not be read, 2 wrong use. docs/formats/key-inventory.md tells the JSON.
    #[command(
        after_help = "Example:\n  sigill-ceremony hsm inventory --module /usr/lib/softhsm/libsofthsm2.so --label sg-td-a1b2-issuing \\\n    --serial 0123456789abcdef --pin .sigill/pins/issuing.pin --state .sigill/state \\\n    --config .sigill/config/ca.toml --json > issuing.json"
    )]
    Inventory(InventoryArguments),
    /// Measure what a token does, check by check, and write its device profile.
    ///
    /// Makes and removes keys of its own on a token that holds no others. Exit codes: 0 nothing that Sigill needs
    /// failed, 1 something did or the token could not be opened, 2 wrong use. docs/formats/device-profile.md tells the
    /// profile and every check.
    #[command(
        after_help = "Example:\n  sigill-ceremony hsm probe --module /usr/lib/softhsm/libsofthsm2.so --label sg-td-a1b2-spare \\\n    --serial 0123456789abcdef --pin .sigill/pins/spare.pin --state .sigill/state --out softhsm.json"
    )]
    Probe(ProbeArguments),
}

/// Does what was asked for.
///
/// # Errors
///
/// What was refused, with its code.
pub(crate) fn run(command: &HsmCommand) -> anyhow::Result<ExitCode> {
    match command {
        HsmCommand::Inventory(arguments) => inventory::run(arguments),
        HsmCommand::Probe(arguments) => probe::run(arguments),
    }
}
