//! `sigill profile deadlines`: by when what must have been done, by the routines and the calendar of a folder.

use std::path::PathBuf;
use std::process::ExitCode;

use ca::routine::{Routine, Term};
use ca::rules::RuleBook;
use clap::Args;
use serde_json::{Value, json};
use x509::time::UnixTime;

use super::source::book_of;
use crate::client::ClientError;
use crate::terminal::{Terminal, table};

/// Which spans, and from when.
#[derive(Debug, Args)]
pub(crate) struct Deadlines {
    /// The folder of profiles, with routines and rules in it.
    folder: PathBuf,
    /// When the spans begin (RFC 3339, UTC).
    #[arg(long, value_name = "TIME")]
    from: String,
    /// Only of this routine.
    #[arg(long)]
    routine: Option<String>,
}

impl Deadlines {
    pub(super) fn run(&self, terminal: Terminal) -> Result<ExitCode, ClientError> {
        let book = book_of(&self.folder)?;
        let from = self.begin()?;
        let rules = book.rules().ok_or_else(|| ClientError::Value {
            what: "the folder",
            found: format!("{}: no dated rules", self.folder.display()),
            limit: "a folder whose rules/ has a file with [calendar]",
        })?;
        let routines: Vec<&Routine> = match &self.routine {
            None => book.routines().iter().collect(),
            Some(name) => vec![book.routine(name).ok_or_else(|| ClientError::Value {
                what: "--routine",
                found: name.clone(),
                limit: "the name of a file of routines/ without .toml",
            })?],
        };
        let rows: Vec<Row<'_>> = routines
            .iter()
            .flat_map(|routine| {
                routine.terms.iter().map(|term| Row::new(routine, *term, from, rules))
            })
            .collect();
        let value: Vec<Value> = rows.iter().map(Row::in_json).collect();
        terminal.result(&value, || {
            let rows: Vec<Vec<String>> = rows.iter().map(Row::cells).collect();
            let head =
                ["ROUTINE", "DEADLINE", "PÅ SVENSKA", "SPAN", "FROM", "LAST DAY", "ENDS", "THEN"];
            table(&head, &rows)
        });
        Ok(ExitCode::SUCCESS)
    }

    fn begin(&self) -> Result<UnixTime, ClientError> {
        let time = self.from.parse::<jiff::Timestamp>().ok();
        let time = time.and_then(|time| u64::try_from(time.as_second()).ok());
        time.and_then(|secs| UnixTime::from_secs(secs).ok()).ok_or_else(|| ClientError::Value {
            what: "--from",
            found: self.from.clone(),
            limit: "a time in UTC, such as 2026-12-22T09:30:00Z",
        })
    }
}

/// A span of a routine, reckoned.
struct Row<'a> {
    routine: &'a Routine,
    term: Term,
    last_day: String,
    ends: String,
}

impl<'a> Row<'a> {
    fn new(routine: &'a Routine, term: Term, from: UnixTime, rules: &RuleBook) -> Self {
        let calendar = rules.calendar();
        Self {
            routine,
            term,
            last_day: term.deadline.last_day(from, calendar).to_string(),
            ends: term.deadline.ends(from, calendar).to_string(),
        }
    }

    fn in_json(&self) -> Value {
        json!({
            "routine": self.routine.name.as_str(),
            "deadline": self.term.kind.name(),
            "sv": self.term.kind.swedish(),
            "span": self.term.deadline.to_string(),
            "from": self.term.kind.counted_from(),
            "last_day": self.last_day,
            "ends": self.ends,
            "then": self.term.kind.then(),
        })
    }

    fn cells(&self) -> Vec<String> {
        vec![
            self.routine.name.to_string(),
            self.term.kind.name().to_owned(),
            self.term.kind.swedish().to_owned(),
            self.term.deadline.to_string(),
            self.term.kind.counted_from().to_owned(),
            self.last_day.clone(),
            self.ends.clone(),
            self.term.kind.then().to_owned(),
        ]
    }
}
