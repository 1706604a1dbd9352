//! `sigill profile check`: every fault of profiles at once.

use std::path::PathBuf;
use std::process::ExitCode;

use ca::profile::{ProfileSource, check};
use clap::Args;
use serde::Serialize;

use super::source::profiles_of;
use super::{Clean, exit_code};
use crate::client::ClientError;
use crate::terminal::Terminal;

/// Which profiles.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Files of profiles, or folders of them, judged together.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    profiles: usize,
    faults: Vec<FaultReport>,
}

#[derive(Serialize)]
struct FaultReport {
    file: String,
    line: Option<usize>,
    rule: String,
    says: String,
}

impl Check {
    pub(super) fn run(&self, terminal: Terminal) -> Result<ExitCode, ClientError> {
        let files = profiles_of(&self.paths)?;
        let sources: Vec<_> =
            files.iter().map(|(path, octets)| ProfileSource { path, octets }).collect();
        let (_, faults) = check(&sources);
        let report = Report {
            profiles: sources.len(),
            faults: faults
                .iter()
                .map(|fault| FaultReport {
                    file: fault.file.clone(),
                    line: fault.line,
                    rule: fault.rule.clone(),
                    says: fault.says.clone(),
                })
                .collect(),
        };
        terminal.result(&report, || {
            let mut lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
            lines.push(format!("{} profiles, {} faults", sources.len(), faults.len()));
            lines
        });
        Ok(exit_code(Clean::of(&faults)))
    }
}
