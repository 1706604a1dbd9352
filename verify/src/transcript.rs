//! `sigill-verify transcript`: the transcript of a ceremony, judged by the rules by which it was written.
//!
//! Nothing of it is signed by the program that wrote it. What holds it is the head that people wrote on paper, or signed:
//! a transcript whose head is another one was changed, however well its lines follow one another. Where the plan is given, each
//! step must have had the people in the room whom the plan requires; where the rehearsal is, it must have had the same shape.

mod held;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ceremony_core::refusal::Refusal;
use ceremony_core::shape::{Shape, ShapeFault};
use ceremony_core::transcript::{Kind, MAX_TRANSCRIPT, Phase, Record, Whole, line_of_difference};
use ceremony_core::words::Fingerprint;
use clap::Args;
use serde_json::json;
use thiserror::Error;

/// What is to be judged.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sigill-verify transcript first/transcript.jsonl --mirror second/transcript.jsonl --head \"$HEAD_ON_PAPER\""
)]
pub(crate) struct TranscriptArguments {
    /// The transcript.
    file: PathBuf,
    /// Its copy on the other medium, which must be the same octet for octet.
    #[arg(long, value_name = "FILE")]
    mirror: Option<PathBuf>,
    /// A head that was written on paper: 32 words, or 64 hexadecimal digits in groups or not. The transcript must have it.
    #[arg(long, value_name = "WORDS", value_parser = Fingerprint::from_paper)]
    head: Option<Fingerprint>,
    /// The plan: each step must have had the people in the room whom it requires.
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
    /// The transcript of the rehearsal, which must have the same shape.
    #[arg(long, value_name = "FILE", conflicts_with = "unclosed")]
    rehearsal: Option<PathBuf>,
    /// Judge a ceremony that has not come to its end.
    #[arg(long)]
    unclosed: bool,
}

/// A transcript that does not hold, by a row of the table of refusals.
#[derive(Debug, Error)]
#[error("{code}: {why}", code = refusal.code())]
pub(crate) struct Broken {
    refusal: Refusal,
    why: String,
}

impl Broken {
    /// What the program ends with.
    pub(crate) const fn exit_code(&self) -> u8 {
        self.refusal.exit_code()
    }

    /// R17: it breaks its own rules.
    const fn rules(why: String) -> Self {
        Self { refusal: Refusal::Transcript, why }
    }
}

/// A transcript that holds.
#[derive(Debug)]
pub(crate) struct Findings {
    whole: Whole,
    head: Fingerprint,
    /// How many lines the head on paper is over, from the first.
    held: Option<u64>,
    /// Those who came, where the plan was given.
    people: Option<BTreeSet<String>>,
    /// Its shape, where every member of its lines has a class.
    shape: Result<Shape, ShapeFault>,
}

/// Judges a transcript.
///
/// # Errors
///
/// [`Broken`] with the first thing that does not hold; else what cannot be read.
pub(crate) fn judge(arguments: &TranscriptArguments) -> anyhow::Result<Findings> {
    let octets = read(&arguments.file)?;
    let whole = Whole::read(&octets).map_err(|fault| Broken::rules(fault.to_string()))?;
    if let Some(mirror) = &arguments.mirror
        && let Some(line) = line_of_difference(&octets, &read(mirror)?)
    {
        return Err(Broken::rules(format!("the copies differ from line {line} on")).into());
    }
    let lines = whole.chain.head().0;
    if whole.torn > 0 {
        let torn = format!("line {} has no end", lines.saturating_add(1));
        return Err(Broken::rules(torn).into());
    }
    if whole.chain.phase() != Phase::Closed && !arguments.unclosed {
        let cut = format!(
            "it ends after {lines} lines without CLOSE: the ceremony was broken off, or its end was cut off \
             (--unclosed judges what is there)"
        );
        return Err(Broken::rules(cut).into());
    }
    let head = Fingerprint::from_bytes(*whole.chain.head().1.as_bytes());
    let held = match arguments.head {
        None => None,
        Some(wanted) if wanted == head => Some(lines),
        Some(wanted) => match lines_under(&whole, wanted) {
            None => {
                let told = format!("the head {} is not in it", wanted.groups());
                return Err(Broken::rules(told).into());
            }
            found => found,
        },
    };
    let plan = arguments.plan.as_ref();
    let people = plan.map(|plan| held::people(plan, &octets, &whole)).transpose()?;
    if let Some(rehearsal) = &arguments.rehearsal {
        held::like_rehearsal(rehearsal, &whole)?;
    }
    let shape = Shape::of(&whole.records);
    Ok(Findings { whole, head, held, people, shape })
}

/// How many lines a head is over that a CHECKPOINT or CLOSE names. Theirs alone are compared with the lines before them.
fn lines_under(whole: &Whole, wanted: Fingerprint) -> Option<u64> {
    let heads =
        whole.records.iter().filter(|record| matches!(record.kind, Kind::Checkpoint | Kind::Close));
    let wanted = wanted.to_string();
    heads.into_iter().find(|record| record.text("head") == Some(&wanted))?.number("lines")
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let file = File::open(path).with_context(|| path.display().to_string())?;
    file.take(MAX_TRANSCRIPT.saturating_add(1))
        .read_to_end(&mut octets)
        .with_context(|| path.display().to_string())?;
    if u64::try_from(octets.len()).is_ok_and(|length| length > MAX_TRANSCRIPT) {
        let long = format!("{} has more than {MAX_TRANSCRIPT} octets", path.display());
        return Err(Broken::rules(long).into());
    }
    Ok(octets)
}

impl Findings {
    fn genesis(&self, name: &str) -> &str {
        self.whole.records.first().and_then(|record| record.text(name)).unwrap_or_default()
    }

    fn count(&self, kind: Kind) -> usize {
        self.whole.records.iter().filter(|record| record.kind == kind).count()
    }

    fn acts(&self, act: &str) -> usize {
        let intents = self.whole.records.iter().filter(|record| record.kind == Kind::Intent);
        intents.filter(|record| record.text("act") == Some(act)).count()
    }

    /// Each with its line, counted from 1.
    fn exceptions(&self) -> impl Iterator<Item = (usize, &Record)> {
        let numbered = self.whole.records.iter().enumerate();
        let exceptions = numbered.filter(|(_, record)| record.kind == Kind::Exception);
        exceptions.map(|(place, record)| (place.saturating_add(1), record))
    }

    fn times(&self) -> [String; 2] {
        let of = |record: Option<&Record>| record.map(|one| one.time.to_string());
        [self.whole.records.first(), self.whole.records.last()]
            .map(|record| of(record).unwrap_or_default())
    }

    fn is_closed(&self) -> bool {
        self.whole.chain.phase() == Phase::Closed
    }

    /// The findings for people; what went otherwise than planned stands first.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        for (line, record) in self.exceptions() {
            let reason = record.text("reason").unwrap_or_default();
            let _ = writeln!(text, "exception   line {line}, {}: {reason}", record.step);
        }
        let [from, to] = self.times();
        let closed = if self.is_closed() { "closed" } else { "not closed" };
        let rows = [
            ("deployment", self.genesis("deployment").to_owned()),
            ("purpose", self.genesis("purpose").to_owned()),
            ("plan", self.genesis("plan").to_owned()),
            ("program", self.genesis("program").to_owned()),
            ("time", format!("{from} to {to}")),
            ("lines", format!("{}, {closed}", self.whole.records.len())),
            ("runs", self.count(Kind::Resume).saturating_add(1).to_string()),
            ("keys", self.acts("generate-key").to_string()),
            ("signatures", self.acts("sign").to_string()),
            ("head", self.head.to_string()),
        ];
        for (name, value) in rows {
            let _ = writeln!(text, "{name:<12}{value}");
        }
        let _ = match &self.shape {
            Ok(shape) => writeln!(text, "{:<12}{}", "shape", shape.hash()),
            Err(fault) => writeln!(text, "{:<12}none: {fault}", "shape"),
        };
        if let Some(people) = &self.people {
            let names: Vec<&str> = people.iter().map(String::as_str).collect();
            let _ = writeln!(text, "{:<12}{}", "people", names.join(", "));
        }
        if let Some(held) = self.held {
            let _ =
                writeln!(text, "{:<12}lines 1 to {held} are held by the head given", "on paper");
        }
        for line in self.head.lines_of_words() {
            let _ = writeln!(text, "{:12}{line}", "");
        }
        text.trim_end().to_owned()
    }

    /// The findings for programs.
    pub(crate) fn to_json(&self) -> String {
        let exceptions: Vec<_> = self
            .exceptions()
            .map(|(line, record)| {
                json!({ "line": line, "step": record.step, "reason": record.text("reason") })
            })
            .collect();
        let [from, to] = self.times();
        json!({
            "deployment": self.genesis("deployment"),
            "purpose": self.genesis("purpose"),
            "plan": self.genesis("plan"),
            "program": self.genesis("program"),
            "from": from,
            "to": to,
            "lines": self.whole.records.len(),
            "closed": self.is_closed(),
            "runs": self.count(Kind::Resume).saturating_add(1),
            "keys": self.acts("generate-key"),
            "signatures": self.acts("sign"),
            "exceptions": exceptions,
            "held_lines": self.held,
            "people": self.people,
            "shape": self.shape.as_ref().ok().map(|shape| shape.hash().to_string()),
            "head": self.head.to_string(),
            "words": self.head.words(),
        })
        .to_string()
    }
}
