//! `sigill profile diff`: two profiles, or a profile and a certificate, field by field.

use std::path::PathBuf;
use std::process::ExitCode;

use ca::profile::{Difference, differences};
use clap::Args;
use serde::Serialize;

use super::source::Source;
use super::{Clean, exit_code};
use crate::client::ClientError;
use crate::terminal::Terminal;

/// What is compared.
#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// A profile, or a certificate in PEM or DER.
    left: PathBuf,
    /// Another one.
    right: PathBuf,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    left: String,
    right: String,
    differences: Vec<DifferenceReport>,
}

#[derive(Serialize)]
struct DifferenceReport {
    field: String,
    left: String,
    right: String,
}

impl Diff {
    pub(super) fn run(&self, terminal: Terminal) -> Result<ExitCode, ClientError> {
        let (left, right) = (Source::read(&self.left)?, Source::read(&self.right)?);
        let found = differences(&left.portrait(), &right.portrait());
        let report = Report {
            left: left.title(),
            right: right.title(),
            differences: found
                .iter()
                .map(|one| DifferenceReport {
                    field: one.field.to_string(),
                    left: one.left.to_string(),
                    right: one.right.to_string(),
                })
                .collect(),
        };
        terminal.result(&report, || lines(&report, &found));
        Ok(exit_code(Clean::of(&found)))
    }
}

fn lines(report: &Report, found: &[Difference]) -> Vec<String> {
    let mut lines = vec![format!("- {}", report.left), format!("+ {}", report.right)];
    for one in found {
        lines.push(one.field.to_string());
        lines.push(format!("  - {}", one.left));
        lines.push(format!("  + {}", one.right));
    }
    lines.push(match found.len() {
        0 => "no difference".to_owned(),
        1 => "1 difference".to_owned(),
        many => format!("{many} differences"),
    });
    lines
}
