//! `sigill profile replay`: what stored issuances would become under a changed profile.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

use api::{ReplayItem, ReplayOutcome, ReplayPage, ReplayRequest};
use ca::profile::Profile;
use clap::Args;
use serde::Serialize;

use crate::client::{Client, ClientError, Connection};
use crate::terminal::{Terminal, table};

/// Issuances that are asked for at once where they are counted (`--last`); else the server says how many.
const COUNTED: u64 = 200;

/// What is replayed.
#[derive(Debug, Args)]
pub(crate) struct Replay {
    /// The profile as it would become; its name says whose issuances are replayed.
    profile: PathBuf,
    /// Only so many issuances, the newest; all when left out.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    last: Option<u64>,
    /// So many certificates are shown that would differ, that would be refused, and that cannot be read.
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    samples: usize,
}

/// What is printed as JSON.
#[derive(Debug, Default, Serialize)]
struct Report {
    profile: String,
    version: u32,
    sha256: String,
    replayed: u64,
    same: u64,
    differs: u64,
    now_refused: u64,
    forgotten: u64,
    unreadable: u64,
    /// Certificates by the field in which they would differ.
    fields: BTreeMap<String, u64>,
    /// Certificates by the code and the rule that would refuse them.
    refusals: BTreeMap<String, u64>,
    samples: Vec<ReplayItem>,
}

impl Replay {
    pub(super) fn run(&self, connection: &Connection, terminal: Terminal) -> ExitCode {
        match self.replayed(connection, terminal) {
            Ok(report) => {
                terminal.result(&report, || lines(&report));
                ExitCode::from(report.exit_code())
            }
            // Whatever it is that cannot be told, 1 would say that certificates differ.
            Err(error) => {
                terminal.error(&error);
                ExitCode::from(2)
            }
        }
    }

    fn replayed(&self, connection: &Connection, terminal: Terminal) -> Result<Report, ClientError> {
        let refused = |source: Box<dyn std::error::Error + Send + Sync>| ClientError::Input {
            path: self.profile.clone(),
            source,
        };
        let profile = std::fs::read_to_string(&self.profile).map_err(|e| refused(e.into()))?;
        Profile::parse(profile.as_bytes()).map_err(|e| refused(e.into()))?;
        let client = Client::connect(connection)?;
        let mut report = Report::default();
        let mut cursor = None;
        loop {
            let left = self.last.map(|last| last.saturating_sub(report.replayed).min(COUNTED));
            let limit = left.and_then(|left| u32::try_from(left).ok());
            if limit == Some(0) {
                return Ok(report);
            }
            let asked = ReplayRequest { profile: profile.clone(), cursor: cursor.take(), limit };
            let page: ReplayPage = client.ask("/v1/profiles/replay", &asked)?;
            cursor.clone_from(&page.next);
            report.add(page, self.samples);
            if cursor.is_none() {
                return Ok(report);
            }
            let (done, other) = (report.replayed, report.replayed.saturating_sub(report.same));
            terminal.progress(&format!("{done} replayed, {other} not the same"));
        }
    }
}

impl Report {
    fn add(&mut self, page: ReplayPage, samples: usize) {
        (self.profile, self.version, self.sha256) = (page.profile, page.version, page.sha256);
        self.replayed = self.replayed.saturating_add(page.replayed.into());
        self.same = self.same.saturating_add(page.same.into());
        for item in page.items {
            let shown = {
                let count = self.count(item.outcome);
                *count = count.saturating_add(1);
                item.outcome != ReplayOutcome::Forgotten
                    && usize::try_from(*count).is_ok_and(|count| count <= samples)
            };
            for one in &item.differences {
                count_up(&mut self.fields, &one.field);
            }
            if let Some(refusal) = &item.refusal {
                count_up(&mut self.refusals, &format!("{}: {}", refusal.code, refusal.rule));
            }
            if shown {
                self.samples.push(item);
            }
        }
    }

    const fn count(&mut self, outcome: ReplayOutcome) -> &mut u64 {
        match outcome {
            ReplayOutcome::Differs => &mut self.differs,
            ReplayOutcome::NowRefused => &mut self.now_refused,
            ReplayOutcome::Forgotten => &mut self.forgotten,
            ReplayOutcome::Unreadable => &mut self.unreadable,
        }
    }

    /// 0: all that can be known is the same. 1: something is not. 2: something could not be read.
    const fn exit_code(&self) -> u8 {
        match (self.differs, self.now_refused, self.unreadable) {
            (0, 0, 0) => 0,
            (0, 0, _) => 2,
            _ => 1,
        }
    }
}

fn count_up(counts: &mut BTreeMap<String, u64>, what: &str) {
    let count = counts.entry(what.to_owned()).or_default();
    *count = count.saturating_add(1);
}

fn lines(report: &Report) -> Vec<String> {
    let mut lines = vec![
        format!("profile {} version {}", report.profile, report.version),
        format!(
            "{} replayed: {} the same, {} would differ, {} would be refused, {} forgotten, {} unreadable",
            report.replayed,
            report.same,
            report.differs,
            report.now_refused,
            report.forgotten,
            report.unreadable
        ),
    ];
    for (what, counts) in [("DIFFERS IN", &report.fields), ("REFUSED BY", &report.refusals)] {
        if !counts.is_empty() {
            let row = |(name, count): (&String, &u64)| vec![name.clone(), count.to_string()];
            lines.extend(table(
                &[what, "CERTIFICATES"],
                &counts.iter().map(row).collect::<Vec<_>>(),
            ));
        }
    }
    for item in &report.samples {
        let word = crate::command::word(Some(item.outcome));
        let why = item.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(format!("{} {word}{why}", item.certificate));
        for one in &item.differences {
            lines.push(format!("  {}", one.field));
            lines.extend(one.was.iter().map(|was| format!("    - {was}")));
            lines.extend(one.would_be.iter().map(|would_be| format!("    + {would_be}")));
        }
        let refusal = item.refusal.iter();
        lines.extend(refusal.map(|refusal| format!("  {}: {}", refusal.code, refusal.rule)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use api::{ReplayDifference, ReplayRefusal};

    use super::*;

    fn item(outcome: ReplayOutcome) -> ReplayItem {
        ReplayItem {
            certificate: "crt_1".to_owned(),
            outcome,
            differences: Vec::new(),
            refusal: None,
            why: None,
        }
    }

    fn report(items: Vec<ReplayItem>, same: u32) -> Report {
        let mut report = Report::default();
        let replayed = u32::try_from(items.len()).unwrap() + same;
        let (profile, sha256) = ("function".to_owned(), "00".to_owned());
        let page = ReplayPage { profile, version: 2, sha256, replayed, same, items, next: None };
        report.add(page, 1);
        report
    }

    /// PRO-19: the exit code is the answer.
    #[test]
    fn the_exit_code_says_what_came_of_it() {
        let code = |outcomes: &[ReplayOutcome]| {
            report(outcomes.iter().copied().map(item).collect(), 3).exit_code()
        };

        assert_eq!(code(&[]), 0);
        assert_eq!(code(&[ReplayOutcome::Forgotten]), 0);
        assert_eq!(code(&[ReplayOutcome::Unreadable]), 2);
        assert_eq!(code(&[ReplayOutcome::Unreadable, ReplayOutcome::Differs]), 1);
        assert_eq!(code(&[ReplayOutcome::NowRefused, ReplayOutcome::Forgotten]), 1);
    }

    #[test]
    fn counts_all_and_shows_as_many_samples_as_are_asked_for() {
        let difference = ReplayDifference {
            field: "validity".to_owned(),
            was: Some("one".to_owned()),
            would_be: Some("two".to_owned()),
        };
        let refusal =
            ReplayRefusal { code: "key-not-allowed".to_owned(), rule: "ISS-11".to_owned() };
        let differs = ReplayItem { differences: vec![difference], ..item(ReplayOutcome::Differs) };
        let refused = ReplayItem { refusal: Some(refusal), ..item(ReplayOutcome::NowRefused) };

        let report = report(vec![differs.clone(), differs, refused], 4);

        assert_eq!((report.replayed, report.same), (7, 4));
        assert_eq!((report.differs, report.now_refused, report.samples.len()), (2, 1, 2));
        assert_eq!(report.fields["validity"], 2);
        assert_eq!(report.refusals["key-not-allowed: ISS-11"], 1);
        let text = lines(&report).join("\n");
        for part in ["7 replayed: 4 the same, 2 would differ", "    - one", "    + two", "ISS-11"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
