//! What is looked at before a ceremony begins: its program, its approvals and what it is given.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ca::profile::{Profile, ProfileSet};
use ceremony_core::approval::{self, Purpose};
use ceremony_core::attendance::{Attendance, REHEARSAL};
use ceremony_core::budget::Budget;
use ceremony_core::held::REHEARSED_WITHIN;
use ceremony_core::plan::{Input, InputContent, Plan, Window};
use ceremony_core::refusal::Refusal;
use ceremony_core::shape::Shape;
use ceremony_core::transcript::{Fact, Kind, Record, Whole};
use ceremony_core::words::Fingerprint;
use x509::statement::SignedStatement;
use x509::time::UnixTime;

use crate::stopped::Stopped;
use crate::transcript::Transcript;

/// The longest input: a CRL of a root has some megabytes at most.
const MAX_INPUT: u64 = 64 * 1024 * 1024;
/// The member of a ceremony's first line that has the hash of its rehearsal.
pub(crate) const TOLD: &str = "rehearsal";

/// Who approves the plan for this purpose.
///
/// # Errors
///
/// [`Stopped`] with R01 for approvals of another plan, with R02 for too few.
pub(crate) fn approvals(
    plan: &Plan,
    purpose: Purpose,
    approvals: &[SignedStatement],
) -> Result<Vec<String>, Stopped> {
    match approval::judge(plan, purpose, approvals) {
        Ok(people) => Ok(people.into_iter().map(ToString::to_string).collect()),
        Err(error) => Err(Stopped {
            refusal: error.refusal(),
            refused: error.to_string(),
            next_step: "have the approvers read and sign this very plan",
        }),
    }
}

/// The hash of this program's file, which is that of the plan. It proves nothing alone: the file is hashed on a second machine too.
///
/// # Errors
///
/// [`Stopped`] with R04.
pub(crate) fn program(plan: &Plan) -> anyhow::Result<Fingerprint> {
    let version = env!("CARGO_PKG_VERSION");
    let file = fs::read("/proc/self/exe").context("cannot read this program's own file")?;
    let seen = Fingerprint::of(&file);
    let planned = &plan.program;
    if planned.version.as_str() == version && planned.sha256 == seen {
        return Ok(seen);
    }
    let refused = format!(
        "this program is version {version} with SHA-256 {seen}; the plan names version {} with {}",
        planned.version, planned.sha256
    );
    let next_step = "use the program that the plan names, or plan anew with this one";
    Err(Stopped { refusal: Refusal::Program, refused, next_step }.into())
}

/// Reads the inputs from below the plan's folder, where nothing else lies.
///
/// # Errors
///
/// [`Stopped`] with R09.
pub(crate) fn inputs<'a>(
    plan: &'a Plan,
    folder: &Path,
) -> Result<Vec<(&'a Input, Vec<u8>)>, Stopped> {
    let mut read = Vec::new();
    for input in &plan.inputs {
        let path = folder.join(input.file.as_str());
        let bytes = bounded(&path).map_err(|why| not_given(input, &path, &why))?;
        let seen = Fingerprint::of(&bytes);
        if seen != input.sha256 {
            let why = format!("it has SHA-256 {seen}, the plan names {}", input.sha256);
            return Err(not_given(input, &path, &why));
        }
        read.push((input, bytes));
    }
    let planned: BTreeSet<PathBuf> =
        plan.inputs.iter().map(|input| folder.join(input.file.as_str())).collect();
    let mut found = Vec::new();
    let below = folder.join("in");
    if !plan.inputs.is_empty() || below.exists() {
        list(&below, &mut found)
            .map_err(|error| input_stop(format!("{}: {error}", below.display())))?;
    }
    match found.into_iter().find(|path| !planned.contains(path)) {
        Some(path) => Err(input_stop(format!(
            "{} lies among the inputs, and the plan does not name it",
            path.display()
        ))),
        None => Ok(read),
    }
}

/// The octets of the one input of this name that holds `content`.
///
/// # Errors
///
/// There is none: a plan that holds has it.
pub(crate) fn given<'a>(
    inputs: &'a [(&Input, Vec<u8>)],
    name: &ceremony_core::plan::Word,
    content: InputContent,
) -> anyhow::Result<&'a [u8]> {
    let found = inputs.iter().find(|(input, _)| input.name == *name && input.content == content);
    let (_, bytes) = found.with_context(|| format!("input {name} is missing"))?;
    Ok(bytes)
}

/// The profiles among the inputs.
///
/// # Errors
///
/// [`Stopped`] with R09 for one that is no profile.
pub(crate) fn profiles(inputs: &[(&Input, Vec<u8>)]) -> anyhow::Result<ProfileSet> {
    let mut profiles = Vec::new();
    for (input, bytes) in inputs.iter().filter(|(input, _)| input.content == InputContent::Profile)
    {
        let profile = Profile::parse(bytes).map_err(|error| Stopped {
            refusal: Refusal::Input,
            refused: format!("input {} is no profile: {error}", input.name),
            next_step: "correct the profile; the plan then names another hash",
        })?;
        profiles.push(profile);
    }
    Ok(ProfileSet::new(profiles)?)
}

/// Tells in the transcript what was looked at.
///
/// # Errors
///
/// The transcript's.
pub(crate) fn tell(
    transcript: &mut Transcript<'_>,
    approvers: Vec<String>,
    program: Fingerprint,
    inputs: &[(&Input, Vec<u8>)],
) -> anyhow::Result<()> {
    let facts = [("result", Fact::from("as many as required")), ("what", "approvals".into())];
    transcript.write_of(Kind::Check, approvers, &facts)?;
    let named = [("program".to_owned(), program)];
    let given = inputs.iter().map(|(input, _)| (format!("input {}", input.name), input.sha256));
    for (what, sha256) in named.into_iter().chain(given) {
        let facts = [("sha256", Fact::from(sha256.to_string())), ("what", what.into())];
        transcript.write(Kind::Check, &facts)?;
    }
    Ok(())
}

/// The time is one of the plan's window.
///
/// # Errors
///
/// [`Stopped`] with R03.
pub(crate) fn window(plan: &Plan, now: UnixTime) -> Result<(), Stopped> {
    let Window { not_before, not_after } = plan.window;
    if (not_before..=not_after).contains(&now) {
        return Ok(());
    }
    let refused =
        format!("it is {now}, and the plan may be carried out from {not_before} to {not_after}");
    let next_step = "set the clock if it is wrong; else plan another day";
    Err(Stopped { refusal: Refusal::Clock, refused, next_step })
}

/// A rehearsal that came to its end.
#[derive(Clone, Debug)]
pub(crate) struct Rehearsal {
    /// What it looked like.
    pub(crate) shape: Shape,
    /// The hash of its transcript, which the first line of the ceremony tells.
    pub(crate) sha256: Fingerprint,
    /// The time of its last line.
    pub(crate) ended: UnixTime,
}

impl Rehearsal {
    /// It ended before the ceremony began, and within the two weeks before: what the auditor's program asks.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R16.
    pub(crate) fn is_before(&self, began: UnixTime) -> Result<(), Stopped> {
        let Self { ended, .. } = *self;
        if ended > began {
            let why = format!("it ended at {ended}, after {began}, when the ceremony began");
            return Err(not_rehearsed(&why));
        }
        if ended.checked_add(REHEARSED_WITHIN).is_none_or(|end| end < began) {
            let why = format!(
                "it ended at {ended}, more than 14 days before {began}, when the ceremony began"
            );
            return Err(not_rehearsed(&why));
        }
        Ok(())
    }

    /// It is the one with which the ceremony of this first line began.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R16.
    pub(crate) fn is_of(&self, genesis: &Record) -> Result<(), Stopped> {
        let told = genesis.text(TOLD).unwrap_or("none");
        if told != self.sha256.to_string() {
            let why = format!(
                "it has SHA-256 {}, and the ceremony began with the rehearsal {told}",
                self.sha256
            );
            return Err(not_rehearsed(&why));
        }
        self.is_before(genesis.time)
    }
}

/// The plan's rehearsal, from its transcript: whole, and with its people.
///
/// # Errors
///
/// [`Stopped`] with R16.
pub(crate) fn rehearsal(plan: &Plan, path: &Path) -> Result<Rehearsal, Stopped> {
    let stopped = |why: &str| not_rehearsed(&format!("{}: {why}", path.display()));
    let octets = fs::read(path).map_err(|error| stopped(&error.to_string()))?;
    Attendance::judge(plan, &octets).map_err(|error| stopped(&error.to_string()))?;
    let whole = Whole::read(&octets).map_err(|error| stopped(&error.to_string()))?;
    let (first, last) = match (whole.records.first(), whole.records.last()) {
        (Some(first), Some(last)) if last.kind == Kind::Close && whole.torn == 0 => (first, last),
        _ => return Err(stopped("it did not come to its end")),
    };
    if first.text("purpose") != Some(REHEARSAL) {
        return Err(stopped("it is the transcript of no rehearsal"));
    }
    let mut budget = Budget::new(plan);
    let judged = whole.records.iter().try_for_each(|record| budget.take(record));
    judged.map_err(|over| stopped(&over.to_string()))?;
    let shape = Shape::of(&whole.records).map_err(|fault| stopped(&fault.to_string()))?;
    Ok(Rehearsal { shape, sha256: Fingerprint::of(&octets), ended: last.time })
}

fn not_rehearsed(why: &str) -> Stopped {
    Stopped {
        refusal: Refusal::Rehearsal,
        refused: format!("rehearsal: {why}"),
        next_step: "give the rehearsal of this very plan with which the ceremony began; before it begins, rehearse the plan with this very program, and have its shape approved",
    }
}

fn bounded(path: &Path) -> Result<Vec<u8>, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MAX_INPUT {
        return Err(format!("it has {length} octets; an input has at most {MAX_INPUT}"));
    }
    fs::read(path).map_err(|error| error.to_string())
}

/// Every file below a folder, links as what they are.
fn list(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            list(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}

fn not_given(input: &Input, path: &Path, why: &str) -> Stopped {
    input_stop(format!("input {} at {}: {why}", input.name, path.display()))
}

fn input_stop(refused: String) -> Stopped {
    let next_step =
        "bring the medium that was compared when the plan was approved; nothing was done";
    Stopped { refusal: Refusal::Input, refused, next_step }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R16: what the auditor's program refuses is not begun.
    #[test]
    fn a_rehearsal_ends_before_the_ceremony_and_within_two_weeks() {
        let at = |secs: u64| UnixTime::from_secs(1_795_000_000 + secs).unwrap();
        let (shape, sha256) = (Shape::default(), Fingerprint::of(b""));
        let ended = Rehearsal { shape, sha256, ended: at(0) };
        let weeks = REHEARSED_WITHIN.as_secs();
        for began in [at(0), at(1), at(weeks)] {
            ended.is_before(began).unwrap();
        }
        for (ended, began, wanted) in
            [(at(1), at(0), "when the ceremony began"), (at(0), at(weeks + 1), "more than 14 days")]
        {
            let rehearsal = Rehearsal { ended, shape: Shape::default(), sha256 };
            let stopped = rehearsal.is_before(began).unwrap_err();
            assert_eq!(stopped.refusal.code(), "R16");
            assert!(stopped.refused.contains(wanted), "{}", stopped.refused);
        }
    }
}
