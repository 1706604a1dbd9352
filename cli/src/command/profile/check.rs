//! `sigill profile check`: every fault of profiles at once.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ca::book::{Book, BookFault};
use ca::profile::{Fault, Profile, ProfileSource, check};
use clap::Args;
use serde::Serialize;

use super::source::{book_files, is_book, profiles_of};
use super::{Clean, exit_code};
use crate::client::ClientError;
use crate::terminal::Terminal;

/// Which profiles.
#[derive(Debug, Args)]
pub(crate) struct Check {
    /// Files of profiles, or folders of them, judged together; of a folder also its card families,
    /// routines, lists and policy table.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Report {
    profiles: usize,
    faults: Vec<FaultReport>,
    exceptions: Vec<ExceptionReport>,
}

/// A rule of the linter that a profile excepts itself from.
#[derive(Serialize)]
struct ExceptionReport {
    profile: String,
    rule: &'static str,
    reason: String,
}

#[derive(Serialize)]
struct FaultReport {
    file: String,
    line: Option<usize>,
    rule: String,
    says: String,
}

/// What is wrong with a book beside its profiles, which were judged one by one before.
fn faults_of_book(folder: &Path) -> Result<Vec<Fault>, ClientError> {
    let files = book_files(folder)?;
    let files = files.iter().map(|(path, octets)| (path.as_str(), octets.as_slice()));
    let Err(errors) = Book::parse(files) else { return Ok(Vec::new()) };
    let others = errors
        .iter()
        .filter(|error| !matches!(error.fault(), BookFault::Profile(_) | BookFault::Profiles(_)));
    let faults = others.map(|error| {
        let text = error.to_string();
        let says = text.strip_prefix(error.file()).and_then(|rest| rest.strip_prefix(": "));
        Fault {
            file: folder.join(error.file()).display().to_string(),
            line: None,
            rule: "book".to_owned(),
            says: says.unwrap_or(&text).to_owned(),
        }
    });
    Ok(faults.collect())
}

impl Check {
    pub(super) fn run(&self, terminal: Terminal) -> Result<ExitCode, ClientError> {
        let files = profiles_of(&self.paths)?;
        let sources: Vec<_> =
            files.iter().map(|(path, octets)| ProfileSource { path, octets }).collect();
        let (profiles, mut faults) = check(&sources);
        for folder in self.paths.iter().filter(|path| is_book(path)) {
            faults.extend(faults_of_book(folder)?);
        }
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
            exceptions: profiles.iter().flat_map(exceptions_of).collect(),
        };
        terminal.result(&report, || {
            let mut lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
            lines.extend(report.exceptions.iter().map(|one| {
                format!("{} is excepted from {}: {}", one.profile, one.rule, one.reason)
            }));
            lines.push(format!("{} profiles, {} faults", sources.len(), faults.len()));
            lines
        });
        Ok(exit_code(Clean::of(&faults)))
    }
}

fn exceptions_of(profile: &Profile) -> impl Iterator<Item = ExceptionReport> {
    profile.lint_exceptions().iter().map(|one| ExceptionReport {
        profile: profile.name().to_string(),
        rule: one.rule.as_str(),
        reason: one.reason.clone(),
    })
}
