//! `sigill revocation register`: a file of requests, one a line, sent some at a time.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::client::{Client, ClientError};
use crate::command::certificate::{actor, key};
use crate::terminal::{Terminal, table};

/// Requests of a call: few enough that a break costs little to repeat.
const AT_ONCE: usize = 20;
/// Columns of a file, in any order; what a file has no use for is left out.
const COLUMNS: [&str; 11] = [
    "reference",
    "requested_at",
    "asked_by",
    "way",
    "card_number",
    "eid",
    "certificate",
    "authority",
    "serial",
    "event",
    "reason",
];
/// What a line is of.
const LIMIT: &str =
    "a file of lines with a heading, columns parted by ; or , (examples/outage/requests.csv)";

/// A file of requests.
#[derive(Debug, Args)]
pub(crate) struct Register {
    /// The file: a heading, then a request a line, columns parted by ; or , and quoted with " where they hold one.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// Where what became of each is written, a line each, as it is told.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Opaque id of the person who registers them.
    #[arg(long)]
    actor: Option<String>,
}

/// A request, and the line of the file that it stands on.
#[derive(Clone, Debug)]
struct Numbered {
    line: usize,
    request: api::TakenRequest,
}

impl Register {
    pub(super) fn run(&self, client: &Client, terminal: &Terminal) -> Result<(), ClientError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| ClientError::File { path, source }
        };
        let text = std::fs::read_to_string(&self.from).map_err(failed(&self.from))?;
        // All of it is read before anything of it is sent.
        let all = requests(&text).map_err(|fault| self.unreadable(fault))?;
        let mut report = match &self.report {
            Some(path) => Some((path, File::create(path).map_err(failed(path))?)),
            None => None,
        };
        if let Some((path, file)) = &mut report {
            writeln!(file, "{}", HEADINGS.join(";").to_lowercase()).map_err(failed(path))?;
        }
        let mut answer = api::RegisteredRequests::default();
        for part in all.chunks(AT_ONCE) {
            let requests = part.iter().map(|one| one.request.clone()).collect();
            let sent = api::TakenRequests { requests, actor: actor(self.actor.as_deref()) };
            let told: api::RegisteredRequests =
                client.post("/v1/revocation-requests", &key(None)?, &sent)?;
            for (mut item, of) in told.items.into_iter().zip(part) {
                item.line = u32::try_from(of.line).unwrap_or(u32::MAX);
                if let Some((path, file)) = &mut report {
                    let cells: Vec<String> = row(&item).iter().map(|cell| quoted(cell)).collect();
                    writeln!(file, "{}", cells.join(";")).map_err(failed(path))?;
                }
                answer.items.push(item);
            }
            terminal.progress(&bar(answer.items.len(), all.len()));
        }
        let refused = answer
            .items
            .iter()
            .filter(|item| item.outcome == api::RegisteredOutcome::Refused)
            .count();
        terminal.result(&answer, || {
            let rows: Vec<Vec<String>> = answer.items.iter().map(row).collect();
            table(&HEADINGS, &rows)
        });
        if refused > 0 {
            return Err(ClientError::RefusedLines { refused, all: all.len() });
        }
        Ok(())
    }

    fn unreadable(&self, fault: Fault) -> ClientError {
        ClientError::Input { path: self.from.clone(), source: Box::new(fault) }
    }
}

/// Headings of the report.
const HEADINGS: [&str; 9] = [
    "LINE",
    "REFERENCE",
    "OUTCOME",
    "REGISTERED",
    "REVOKED",
    "CORRECTED",
    "ALREADY",
    "UNBOUND",
    "PROBLEM",
];

fn row(item: &api::RegisteredRequest) -> Vec<String> {
    let problem = item.problem.as_ref();
    vec![
        item.line.to_string(),
        item.reference.clone(),
        crate::command::word(Some(item.outcome)),
        item.registered.clone().unwrap_or_default(),
        item.revoked.to_string(),
        item.corrected.to_string(),
        item.already.to_string(),
        item.unbound.to_string(),
        problem
            .map(|one| format!("{}: {}; {}", one.code, one.detail, one.next))
            .unwrap_or_default(),
    ]
}

fn quoted(cell: &str) -> String {
    if cell.contains([';', '"', '\n']) {
        return format!("\"{}\"", cell.replace('"', "\"\""));
    }
    cell.to_owned()
}

/// One line of progress.
fn bar(done: usize, all: usize) -> String {
    const WIDTH: usize = 40;
    let full = done.saturating_mul(WIDTH).checked_div(all).unwrap_or(WIDTH).min(WIDTH);
    let empty = WIDTH.saturating_sub(full);
    format!("[{}{}] {done} of {all} requests", "#".repeat(full), ".".repeat(empty))
}

/// Why a file is not sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {seen}; wanted is {limit}")]
struct Fault {
    line: usize,
    seen: String,
    limit: &'static str,
}

/// The requests of a file, each with its line; empty lines say nothing.
fn requests(text: &str) -> Result<Vec<Numbered>, Fault> {
    // Spreadsheets begin a file with a mark of its encoding.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    let fault = |line, seen: String, limit| Fault { line, seen, limit };
    let (first, heading) =
        lines.next().ok_or_else(|| fault(1, "an empty file".to_owned(), LIMIT))?;
    let parted = if heading.contains(';') { ';' } else { ',' };
    let names =
        cells(heading, parted).ok_or_else(|| fault(first, "an open quote".to_owned(), LIMIT))?;
    for (place, name) in names.iter().enumerate() {
        let twice = names.iter().take(place).any(|before| before == name);
        if twice || !COLUMNS.contains(&name.as_str()) {
            let limit = "reference, requested_at, asked_by, way, card_number, eid, certificate, authority, serial, event, reason, each once";
            return Err(fault(first, format!("column {name:?}"), limit));
        }
    }
    let mut found: Vec<Numbered> = Vec::new();
    for (line, text) in lines {
        let cells =
            cells(text, parted).ok_or_else(|| fault(line, "an open quote".to_owned(), LIMIT))?;
        if cells.len() != names.len() {
            let seen = format!("{} columns under {} headings", cells.len(), names.len());
            return Err(fault(line, seen, "as many as the heading has"));
        }
        let told = names.iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
        let object: serde_json::Map<String, serde_json::Value> =
            told.map(|(name, cell)| (name.clone(), cell.into())).collect();
        let read = serde_json::from_value(serde_json::Value::Object(object));
        let request: api::TakenRequest = read.map_err(|error| {
            fault(line, error.to_string(), "reference, requested_at, asked_by, way (paper, telephone, visit, message), what is revoked, and why")
        })?;
        if let Some(before) = found.iter().find(|one| one.request.reference == request.reference) {
            let seen = format!("{} again, as on line {}", request.reference, before.line);
            return Err(fault(line, seen, "a reference of its own for each form"));
        }
        found.push(Numbered { line, request });
    }
    if found.is_empty() {
        return Err(fault(first, "a heading alone".to_owned(), LIMIT));
    }
    Ok(found)
}

/// The columns of a line; `None` where a quote is left open.
fn cells(line: &str, parted: char) -> Option<Vec<String>> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut()?;
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' if is_quoted => is_quoted = false,
            '"' if cell.trim().is_empty() => is_quoted = true,
            _ if character == parted && !is_quoted => cells.push(String::new()),
            _ => cell.push(character),
        }
    }
    let trimmed = cells.iter().map(|cell| cell.trim().to_owned()).collect();
    (!is_quoted).then_some(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../../examples/outage/requests.csv");

    fn refused(text: &str) -> (usize, String) {
        let fault = requests(text).unwrap_err();
        (fault.line, fault.seen)
    }

    /// REV-01: the example file reads as what it says, each kind of target once.
    #[test]
    fn the_example_file_reads() {
        let all = requests(EXAMPLE).unwrap();
        let lines: Vec<usize> = all.iter().map(|one| one.line).collect();
        assert_eq!(lines, [2, 3, 4, 5]);
        let said: Vec<&api::TakenRequest> = all.iter().map(|one| &one.request).collect();

        assert_eq!(said[0].card_number.as_deref(), Some("9752 2698 7451 2325 436"));
        assert_eq!(said[0].event, Some(api::BusinessEvent::Stolen));
        assert_eq!((said[1].way, said[1].reason), (api::RequestWay::Telephone, None));
        assert!(said[1].eid.is_some() && said[1].card_number.is_none());
        assert_eq!(said[2].asked_by, "SE2321000131-1002; deputy");
        assert_eq!(said[2].reason, Some(api::ReasonCode::KeyCompromise));
        let (authority, serial) = (said[3].authority.as_deref(), said[3].serial.as_deref());
        assert_eq!((authority, serial), (Some("issuing"), Some("0A1B2C")));
        // Commas part the columns as well as semicolons, and a mark of the encoding is passed over.
        let commas = "\u{feff}way,reference,requested_at,asked_by,eid,event\r\n\r\npaper,7,2027-01-12T06:40:00Z,\"a \"\"b\"\", c\",eid_1,lost\r\n";
        let one = &requests(commas).unwrap()[0];
        assert_eq!((one.line, one.request.asked_by.as_str()), (3, "a \"b\", c"));
    }

    #[test]
    fn a_file_that_does_not_read_is_refused_with_its_line() {
        let heading = "reference;requested_at;asked_by;way;eid;event\n";
        let good = "B-1;2027-01-12T06:40:00Z;holder;paper;eid_1;lost\n";
        assert_eq!(refused(""), (1, "an empty file".to_owned()));
        assert_eq!(refused(heading), (1, "a heading alone".to_owned()));
        assert_eq!(refused("reference;name\nB-1;Anna\n"), (1, "column \"name\"".to_owned()));
        assert_eq!(refused("eid;eid\na;b\n"), (1, "column \"eid\"".to_owned()));
        let with = |line: &str| refused(&format!("{heading}{good}{line}\n"));
        assert_eq!(with("B-2;x"), (3, "2 columns under 6 headings".to_owned()));
        assert_eq!(with("B-2;\"x;y;paper;eid_1;lost").1, "an open quote");
        assert_eq!(with("B-1;t;holder;paper;eid_1;lost").1, "B-1 again, as on line 2");
        let (line, seen) = with("B-2;t;holder;pigeon;eid_1;lost");
        assert!(line == 3 && seen.contains("pigeon"), "{seen}");
        assert!(with("B-2;;holder;paper;eid_1;lost").1.contains("requested_at"));
        assert!(with("B-2;t;holder;paper;eid_1;burnt").1.contains("burnt"));
    }

    #[test]
    fn the_report_has_a_line_each_and_the_bar_ends_full() {
        let problem = api::RequestProblem {
            code: "eid-not-known".to_owned(),
            detail: "a; \"b\"".to_owned(),
            next: "look".to_owned(),
        };
        let item = api::RegisteredRequest {
            line: 7,
            reference: "B-7".to_owned(),
            outcome: api::RegisteredOutcome::Refused,
            registered: None,
            revoked: 0,
            corrected: 0,
            already: 0,
            unbound: 0,
            problem: Some(problem),
        };
        let cells: Vec<String> = row(&item).iter().map(|cell| quoted(cell)).collect();
        let line = "7;B-7;refused;;0;0;0;0;\"eid-not-known: a; \"\"b\"\"; look\"";
        assert_eq!(cells.join(";"), line);
        assert_eq!(
            super::cells(line, ';').unwrap().last().unwrap(),
            "eid-not-known: a; \"b\"; look"
        );
        assert!(bar(3, 3).starts_with(&format!("[{}]", "#".repeat(40))));
        assert!(bar(1, 2).starts_with(&format!("[{}.", "#".repeat(20))));
    }
}
