//! `sigill-verify ceremony`: the bundle of a ceremony, judged from the file and what the auditor has on paper.
//!
//! Two hashes on paper hold everything: that of the plan, which approvers and people in the room compared, and the head of the transcript, which
//! they wrote down at its end. The plan has everybody's keys, and the hash of each input; approvals name the shape of the rehearsal; the head is
//! over every line, and the lines have the hashes of what was made. So no file of the bundle is believed for its own sake.
//! Needs no token and no network, and holds no key.

mod artefacts;
mod check;
mod crls;
mod judge;
mod report;
mod second;
mod secrets;
mod tokens;
mod told;
mod turns;

use std::fmt::Write as _;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ceremony_core::bundle::MAX_OCTETS;
use ceremony_core::script::Language;
use ceremony_core::words::Fingerprint;
use clap::Args;
use serde_json::{Map, Value, json};

use check::{Check, Refused};
use judge::{Held, Judged, Paper};
use report::Report;
use turns::Turn;

/// What is to be judged.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  sigill-verify ceremony root.bundle.tar --plan \"$PLAN_ON_PAPER\" --head \"$HEAD_ON_PAPER\"\n\nExit codes: 0 it holds, 2 wrong use, else that of the row which does not hold (docs/ceremonies)."
)]
pub(crate) struct CeremonyArguments {
    /// The bundle.
    file: PathBuf,
    /// The plan's hash from paper: 32 words, or 64 hexadecimal digits in groups or not.
    #[arg(long, value_name = "WORDS", value_parser = Fingerprint::from_paper)]
    plan: Fingerprint,
    /// The transcript's last head from paper, as the plan's hash.
    #[arg(long, value_name = "WORDS", value_parser = Fingerprint::from_paper)]
    head: Fingerprint,
    /// If everything holds, write the report to this new file: one HTML file that needs nothing else, and prints.
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// The language of the report, sv or en [default: the plan's].
    #[arg(long, value_name = "LANGUAGE", value_parser = language, requires = "report")]
    language: Option<Language>,
}

fn language(tag: &str) -> Result<Language, String> {
    let both = [Language::Swedish, Language::English];
    let found = both.into_iter().find(|language| language.tag() == tag);
    found.ok_or_else(|| "wanted sv or en".to_owned())
}

/// What was found: every row that was judged.
#[derive(Debug)]
pub(crate) struct Findings {
    /// Of the file.
    sha256: Fingerprint,
    judged: Judged,
}

/// Judges a bundle. One that does not hold is a finding too.
///
/// # Errors
///
/// What cannot be read.
pub(crate) fn judge(arguments: &CeremonyArguments) -> anyhow::Result<Findings> {
    let octets = read(&arguments.file)?;
    let paper = Paper { plan: arguments.plan, head: arguments.head };
    let found = Findings { sha256: Fingerprint::of(&octets), judged: judge::judge(&octets, paper) };
    if let (Some(path), Ok(held)) = (&arguments.report, &found.judged.verdict) {
        let language = arguments.language.unwrap_or(held.plan.language);
        let (rows, bundle) = (found.judged.rows.as_slice(), found.sha256);
        write_new(path, Report { held, rows, bundle, language }.to_html().as_bytes())?;
    }
    Ok(found)
}

/// Writes a file where none is. The same one that is there already stays.
fn write_new(path: &Path, octets: &[u8]) -> anyhow::Result<()> {
    if std::fs::read(path).is_ok_and(|found| found == octets) {
        return Ok(());
    }
    let named = || format!("cannot write {}: name a new file", path.display());
    let mut file = File::create_new(path).with_context(named)?;
    file.write_all(octets).and_then(|()| file.sync_all()).with_context(named)
}

/// One octet more than a bundle has is read, and none beyond.
fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let limit = u64::try_from(MAX_OCTETS).unwrap_or(u64::MAX).saturating_add(1);
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut octets))
        .with_context(|| path.display().to_string())?;
    Ok(octets)
}

impl Findings {
    /// The row that does not hold.
    pub(crate) fn refused(&self) -> Option<&Refused> {
        self.judged.verdict.as_ref().err()
    }

    /// Every row: whether it holds, and what it says.
    fn rows(&self) -> impl Iterator<Item = (Check, &'static str, String)> {
        Check::ALL.into_iter().map(|check| {
            let held = self.judged.rows.iter().find(|(of, _)| *of == check);
            let refused = self.refused().filter(|refused| refused.check == check);
            match (held, refused) {
                (Some((_, said)), _) => (check, "holds", said.clone()),
                (None, Some(refused)) => {
                    (check, "refused", format!("{}: {}", refused.code(), refused.fault.why))
                }
                (None, None) => (check, "not judged", String::new()),
            }
        })
    }

    /// The table for people; what went otherwise than planned stands before it.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        if let Ok(held) = &self.judged.verdict {
            for line in warnings(held) {
                let _ = writeln!(text, "! {line}");
            }
        }
        for (check, result, said) in self.rows() {
            let _ = writeln!(text, "{:<13}{result:<12}{said}", check.name());
        }
        if let Ok(held) = &self.judged.verdict {
            for artefact in &held.artefacts {
                let _ = writeln!(text, "{}  {}", artefact.sha256, artefact.file);
            }
        }
        let verdict = if self.refused().is_some() { "does not hold" } else { "holds" };
        let _ = write!(text, "bundle {} {verdict}", self.sha256);
        text
    }

    /// The table for programs.
    pub(crate) fn to_json(&self) -> String {
        let checks: Vec<Value> = self
            .rows()
            .map(|(check, result, said)| {
                json!({ "check": check.name(), "result": result, "said": said })
            })
            .collect();
        let mut found = json!({
            "bundle": self.sha256.to_string(),
            "holds": self.refused().is_none(),
            "code": self.refused().map(Refused::code),
            "checks": checks,
        });
        if let (Ok(held), Some(members)) = (&self.judged.verdict, found.as_object_mut()) {
            members.insert("ceremony".to_owned(), told(held));
        }
        found.to_string()
    }
}

/// What an auditor must see before all else.
fn warnings(held: &Held) -> Vec<String> {
    let mut lines = Vec::new();
    if held.is_unattended() {
        lines.push(
            "nobody sat at it: the program compared what was signed, and no person did".to_owned(),
        );
    }
    for (line, record) in (1..).zip(&held.whole.records) {
        let Some(turn) = Turn::of(record) else { continue };
        let (said, more) = turn.said(Language::English);
        let colon = if more.is_empty() { "" } else { ": " };
        lines.push(format!("{said}, line {line}, step {}{colon}{more}", record.step));
    }
    for one in &held.made.given_up {
        lines.push(format!(
            "a signature of {} may have been made and is used by nobody: {}",
            one.what, one.tbs_sha256
        ));
    }
    lines
}

fn told(held: &Held) -> Value {
    let Held { plan, whole, rehearsal, approvals, came, made, artefacts, .. } = held;
    let times = |whole: &ceremony_core::transcript::Whole| {
        [whole.records.first(), whole.records.last()]
            .map(|record| record.map(|record| record.time.to_string()))
    };
    let approvals: Vec<Value> = approvals
        .iter()
        .map(|one| json!({ "person": one.person, "time": one.time, "key": one.key.to_string() }))
        .collect();
    let keys: Vec<Value> = made
        .keys
        .iter()
        .map(|key| {
            json!({
                "step": key.step, "type": key.key_type, "spki_sha256": key.spki_sha256, "cka_id": key.cka_id,
                "token": key.token,
            })
        })
        .collect();
    let destroyed: Vec<Value> = made
        .destroyed
        .iter()
        .map(|key| json!({ "step": key.step, "spki_sha256": key.spki_sha256, "token": key.token }))
        .collect();
    let artefacts: Vec<Value> = artefacts
        .iter()
        .map(|one| {
            let says: Map<String, Value> = one
                .says
                .iter()
                .map(|(field, said)| (field.name().to_owned(), said.as_str().into()))
                .collect();
            json!({
                "step": one.step, "file": one.file, "sha256": one.sha256, "algorithm": one.algorithm, "key": one.key,
                "says": says,
            })
        })
        .collect();
    json!({
        "id": plan.id.as_str(),
        "kind": plan.kind.code(),
        "deployment": plan.deployment.to_string(),
        "plan": plan.hash.to_string(),
        "shape": held.shape.to_string(),
        "head": Fingerprint::from_bytes(*whole.chain.head().1.as_bytes()).to_string(),
        "times": times(whole),
        "rehearsed": times(rehearsal),
        "unattended": held.is_unattended(),
        "warnings": warnings(held),
        "approvals": approvals,
        "people": came,
        "keys": keys,
        "destroyed": destroyed,
        "artefacts": artefacts,
        "files": held.bundle.files().map(|(name, _)| name).collect::<Vec<_>>(),
    })
}
