//! `sigill-ceremony bundle`: packs a ceremony that came to its end into the one file that an auditor gets.
//!
//! Packed is what the plan and the transcript name, and nothing else: no token, no PIN, no key. What the program looks at here is only that
//! it packs one ceremony and not pieces of two; whether the ceremony holds, `sigill-verify ceremony` judges from the file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use ceremony_core::approval::{self, Purpose};
use ceremony_core::attendance::{Attendance, PRODUCTION};
use ceremony_core::bundle::{Bundle, INPUTS, Made, OUTPUTS, PLAN, REHEARSAL, TRANSCRIPT};
use ceremony_core::plan::Plan;
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Phase, Whole};
use ceremony_core::words::Fingerprint;
use clap::Args;
use serde_json::json;
use x509::statement::SignedStatement;

use crate::home::{self, replace};
use crate::stopped::Stopped;
use crate::{approval_command, gates, plan_command};

/// What packing takes.
#[derive(Debug, Args)]
pub(crate) struct BundleArguments {
    /// The plan. Its inputs lie below `in` beside it.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// The home of the ceremony, which came to its end.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// An approval of plan and shape for production; as many as the plan requires.
    #[arg(long = "approval", value_name = "FILE", required = true)]
    approvals: Vec<PathBuf>,
    /// The transcript of the rehearsal.
    #[arg(long, value_name = "FILE")]
    rehearsal: PathBuf,
    /// Write the bundle to this new file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Packs a ceremony that was held earlier, and prints the hash of the bundle and what is held against it.
///
/// # Errors
///
/// [`Stopped`]; the file system's own.
pub(crate) fn run(arguments: &BundleArguments) -> anyhow::Result<ExitCode> {
    let plan = plan_command::read(&arguments.plan)?;
    let packed = pack(&Parts {
        plan: &plan,
        plan_file: &arguments.plan,
        home: &arguments.home,
        approvals: &arguments.approvals,
        rehearsal: &arguments.rehearsal,
    })?;
    packed.write(&arguments.out)?;
    let Packed { octets, head } = &packed;
    let sha256 = Fingerprint::of(octets);
    crate::answer(&if arguments.json {
        json!({
            "file": arguments.out, "sha256": sha256.to_string(), "plan": plan.hash.to_string(), "head": head.to_string(),
        })
        .to_string()
    } else {
        format!("{sha256}  {}\n\nplan\n{}\n\nhead\n{}", arguments.out.display(), plan.hash, head)
    });
    Ok(ExitCode::SUCCESS)
}

/// Where the parts of a bundle lie.
pub(crate) struct Parts<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) plan_file: &'a Path,
    pub(crate) home: &'a Path,
    pub(crate) approvals: &'a [PathBuf],
    pub(crate) rehearsal: &'a Path,
}

/// A bundle that is not written yet.
pub(crate) struct Packed {
    octets: Vec<u8>,
    /// The head of the transcript, as people have it on paper.
    head: Fingerprint,
}

impl Packed {
    /// Writes it to a new file and reads it back. The same bundle that is there already stays.
    ///
    /// # Errors
    ///
    /// [`Stopped`] with R19 for another file that is there, and for one that is read back differently; the file system's own.
    pub(crate) fn write(&self, out: &Path) -> anyhow::Result<()> {
        let stopped =
            |refused: String, next_step| Stopped { refusal: Refusal::Output, refused, next_step };
        match fs::read(out) {
            Ok(found) if found == self.octets => return Ok(()),
            Ok(_) => {
                let refused = format!("{} exists, and is another", out.display());
                return Err(stopped(refused, "name a new file: no bundle is written over").into());
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| out.display().to_string()),
        }
        replace(out, &self.octets)?;
        let read = fs::read(out).with_context(|| out.display().to_string())?;
        if read == self.octets && Bundle::from_archive(&read).is_ok() {
            return Ok(());
        }
        let refused = format!("{} is read back differently", out.display());
        Err(stopped(refused, "use another medium, and pack the ceremony anew").into())
    }
}

/// Packs a ceremony that came to its end.
///
/// # Errors
///
/// [`Stopped`] with the row of what is missing or does not belong together.
pub(crate) fn pack(parts: &Parts<'_>) -> anyhow::Result<Packed> {
    let plan = parts.plan;
    let (transcript, whole) = held(plan, parts.home)?;
    let rehearsal = gates::rehearsal(plan, parts.rehearsal)?;
    whole.records.first().map_or(Ok(()), |genesis| rehearsal.is_of(genesis))?;
    let shape = rehearsal.shape;
    let purpose = Purpose::Production(shape.hash());
    let given = parts.approvals.iter().map(|path| approval_command::read(path));
    let given = given.collect::<Result<Vec<_>, _>>()?;
    gates::approvals(plan, purpose, &given)?;

    let mut bundle = Bundle::new();
    let plan_octets = fs::read(parts.plan_file).context("cannot read the plan again")?;
    anyhow::ensure!(Fingerprint::of(&plan_octets) == plan.hash, "the plan was changed meanwhile");
    bundle.put(PLAN, plan_octets)?;
    bundle.put(TRANSCRIPT, transcript)?;
    let rehearsal = fs::read(parts.rehearsal).context("cannot read the rehearsal again")?;
    bundle.put(REHEARSAL, rehearsal)?;
    for (person, approval) in counted(plan, purpose, &given) {
        bundle.put(&Bundle::approval_of(person), approval.as_str().as_bytes().to_vec())?;
    }
    for (input, octets) in gates::inputs(plan, home::folder_of(parts.plan_file))? {
        let name = input.file.as_str();
        let name =
            if name.starts_with(INPUTS) { name.to_owned() } else { format!("{INPUTS}{name}") };
        bundle.put(&name, octets)?;
    }
    let made = Made::of(&whole.records);
    for (out, key) in made.enrolled(plan) {
        let name = out.as_str().trim_start_matches(OUTPUTS);
        let path = parts.home.join("ceremony").join(OUTPUTS).join(name);
        let octets = fs::read(&path).map_err(|error| output(&path, &error.to_string()))?;
        if Fingerprint::of(&octets).to_string() != key {
            return Err(output(&path, "it is not the key that was made").into());
        }
        bundle.put(&format!("{OUTPUTS}{name}"), octets)?;
    }
    for signature in made.signatures {
        let path = parts.home.join("ceremony").join(OUTPUTS).join(&signature.what);
        let octets = fs::read(&path).map_err(|error| output(&path, &error.to_string()))?;
        if Fingerprint::of(&octets).to_string() != signature.sha256 {
            return Err(output(&path, "it is not what the transcript tells of").into());
        }
        bundle.put(&format!("{OUTPUTS}{}", signature.what), octets)?;
    }
    let head = Fingerprint::from_bytes(*whole.chain.head().1.as_bytes());
    Ok(Packed { octets: bundle.to_archive()?, head })
}

/// The transcript of the ceremony of this home, which was held by this plan and came to its end.
///
/// # Errors
///
/// [`Stopped`] with R17 for one that did not, with the row of what its people lack.
pub(crate) fn held(plan: &Plan, home: &Path) -> Result<(Vec<u8>, Whole), Stopped> {
    let transcript_file = home.join("ceremony/transcript.jsonl");
    let transcript =
        fs::read(&transcript_file).map_err(|error| broken(&transcript_file, error.to_string()))?;
    let whole = Whole::read(&transcript).map_err(|fault| broken(&transcript_file, fault))?;
    let purpose = whole.records.first().and_then(|genesis| genesis.text("purpose"));
    if whole.chain.phase() != Phase::Closed || whole.torn > 0 || purpose != Some(PRODUCTION) {
        return Err(broken(&transcript_file, "it is of no ceremony that came to its end"));
    }
    Attendance::judge(plan, &transcript).map_err(|error| Stopped {
        refusal: error.refusal(),
        refused: format!("{}: {error}", transcript_file.display()),
        next_step: "name the home of the ceremony that was held by this plan",
    })?;
    Ok((transcript, whole))
}

/// The first approval of each person that counts. What else was given is packed by nobody: the auditor's program refuses a bundle with one that
/// does not count.
fn counted<'a>(
    plan: &'a Plan,
    purpose: Purpose,
    given: &'a [SignedStatement],
) -> BTreeMap<&'a str, &'a SignedStatement> {
    let mut found = BTreeMap::new();
    for signed in given {
        if let Ok(person) = approval::judge_one(plan, purpose, signed) {
            found.entry(person.id.as_str()).or_insert(signed);
        }
    }
    found
}

fn broken(path: &Path, why: impl std::fmt::Display) -> Stopped {
    Stopped {
        refusal: Refusal::Transcript,
        refused: format!("{}: {why}", path.display()),
        next_step: "hold the ceremony to its end first: run the same command again",
    }
}

fn output(path: &Path, why: &str) -> Stopped {
    Stopped {
        refusal: Refusal::Output,
        refused: format!("{}: {why}", path.display()),
        next_step: "bring the output of the ceremony back from its medium, and find out who changed this one",
    }
}
