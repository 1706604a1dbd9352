//! Every rule about what is printed: the result on stdout, everything else on stderr.

use std::error::Error;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use serde::Serialize;

use crate::client::ClientError;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// JSON, one document.
    Json,
    /// For people.
    Table,
}

/// The terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terminal {
    format: Format,
}

impl Terminal {
    pub(crate) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints a result: as JSON, or as `lines` for people.
    pub(crate) fn result(self, value: &impl Serialize, lines: impl FnOnce() -> Vec<String>) {
        let text = match self.format {
            Format::Json => serde_json::to_string_pretty(value).unwrap_or_default(),
            Format::Table => lines().join("\n"),
        };
        // A reader that went away (a closed pipe) is no error of ours.
        let _ = writeln!(io::stdout().lock(), "{text}");
    }

    /// Says on stderr how far a longer work has come.
    pub(crate) fn progress(self, line: &str) {
        let _ = writeln!(io::stderr().lock(), "{line}");
    }

    /// Says why nothing came of it, and what to do next.
    pub(crate) fn error(self, error: &ClientError) {
        let mut out = io::stderr().lock();
        if let (Format::Json, ClientError::Refused(problem)) = (self.format, error) {
            let text = serde_json::to_string_pretty(problem).unwrap_or_default();
            let _ = writeln!(out, "{text}");
            return;
        }
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        let _ = writeln!(out, "error: {text}");
        if let ClientError::Refused(problem) = error {
            if let Some(next) = &problem.next {
                let _ = writeln!(out, "hint: {next}");
            }
            for warning in [&problem.warning, &problem.warning_sv].into_iter().flatten() {
                let _ = writeln!(out, "warning: {warning}");
            }
            let _ = writeln!(out, "call: {} at {}", problem.correlation_id, problem.time);
        }
    }

    /// Says on stderr what is about to happen and asks, unless `yes` was given beforehand.
    pub(crate) fn confirmed(self, act: &str, yes: Yes) -> Result<(), ClientError> {
        let mut out = io::stderr().lock();
        let _ = writeln!(out, "{act}");
        if yes == Yes::Given {
            return Ok(());
        }
        let refused = || ClientError::Value {
            what: "confirmation",
            found: "not given".to_owned(),
            limit: "answer yes, or give --yes",
        };
        if !io::stdin().is_terminal() {
            return Err(refused());
        }
        let _ = write!(out, "Type yes to go on: ");
        let _ = out.flush();
        let mut line = String::new();
        match io::stdin().lock().read_line(&mut line) {
            Ok(_) if line.trim() == "yes" => Ok(()),
            _ => Err(refused()),
        }
    }
}

/// Whether `--yes` was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Yes {
    Given,
    Ask,
}

/// Rows under headings, columns as wide as their widest cell.
pub(crate) fn table(headings: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .chain(headings.get(column).map(|heading| heading.chars().count()))
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(&mut headings.iter().copied())];
    lines.extend(rows.iter().map(|row| line(&mut row.iter().map(String::as_str))));
    lines
}

/// Names and values, one a line; empty values are left out.
pub(crate) fn facts(rows: &[(&str, String)]) -> Vec<String> {
    let width = rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    rows.iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name:<width$}  {value}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_by_characters_not_octets() {
        let rows =
            vec![vec!["åäö".to_owned(), "1".to_owned()], vec!["abcd".to_owned(), "2".to_owned()]];

        assert_eq!(table(&["name", "n"], &rows), ["name  n", "åäö   1", "abcd  2"]);
    }
}
