//! `sigill-ceremony rehearse`: holds a ceremony with throw-away tokens and keys, and says which shape it has.
//!
//! What it makes is thrown away; what stays is the transcript. Its certificates are like the real ones, so they are not handed out.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use ca::algorithms::AlgorithmPolicy;
use ceremony_core::approval::Purpose;
use ceremony_core::attendance::REHEARSAL;
use ceremony_core::refusal::Refusal;
use ceremony_core::shape::Shape;
use clap::Args;
use hsm::Module;
use serde_json::json;

use crate::ceremony_tokens::{self, Fate};
use crate::company::Company;
use crate::holding::{self, Ceremony, Holders, With};
use crate::home::{self, Home};
use crate::stopped::Stopped;
use crate::transcript::Transcript;
use crate::works::random;
use crate::{approval_command, gates, plan_command};

/// How the folder of what is thrown away begins.
const THROWN_AWAY: &str = "sigill-rehearsal-";
/// The file in it that says so, and what it says.
const MARKER: (&str, &str) =
    ("thrown-away", "made by sigill-ceremony rehearse, which removes it\n");

/// What a rehearsal takes.
#[derive(Debug, Args)]
pub(crate) struct RehearseArguments {
    /// The plan. Its inputs lie below `in` beside it.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// An approval of the plan for rehearsal; as many as the plan requires.
    #[arg(long = "approval", value_name = "FILE", required = true)]
    approvals: Vec<PathBuf>,
    /// Write the transcript to this new file.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// The PKCS#11 module of the throw-away tokens.
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/softhsm/libsofthsm2.so")]
    module: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
    /// The folder of what is thrown away, where the program has begun anew.
    #[arg(long, value_name = "DIR", hide = true)]
    throw_away: Option<PathBuf>,
}

/// Rehearses a ceremony, and prints the hash of its shape.
///
/// # Errors
///
/// [`Stopped`]; the tokens' and the file system's own.
pub(crate) fn run(arguments: &RehearseArguments) -> anyhow::Result<ExitCode> {
    let Some(folder) = &arguments.throw_away else { return Err(begin(arguments)?) };
    // What is removed afterwards is what this program made, and nothing else that somebody names.
    anyhow::ensure!(
        is_thrown_away(folder),
        "{} is no folder that a rehearsal made: leave out --throw-away; nothing was done",
        folder.display()
    );
    let held = rehearse(arguments, folder);
    let removed = fs::remove_dir_all(folder);
    let shape = held?;
    removed.with_context(|| format!("cannot remove {}; remove it", folder.display()))?;
    let hash = shape.hash();
    crate::answer(&if arguments.json {
        let lines = shape.lines().len();
        json!({ "shape": hash.to_string(), "words": hash.words(), "lines": lines }).to_string()
    } else {
        format!("{hash}\n\n{}\n\n{}", hash.groups(), hash.lines_of_words().join("\n"))
    });
    Ok(ExitCode::SUCCESS)
}

/// Starts this program again with the tokens of a folder of its own: their module reads where they lie from the environment when it is loaded, and a
/// process cannot safely change its own.
fn begin(arguments: &RehearseArguments) -> anyhow::Result<anyhow::Error> {
    // What needs no token is refused before any folder is made.
    let plan = plan_command::read(&arguments.plan)?;
    holding::only_what_is_held(&plan)?;
    let name = base16ct::lower::encode_string(&random::<8>()?);
    let home = Home::of_ceremony(&std::env::temp_dir().join(format!("{THROWN_AWAY}{name}")))?;
    fs::write(home.join(MARKER.0), MARKER.1)?;
    let error = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--throw-away")
        .arg(home.root())
        .env("SOFTHSM2_CONF", home.softhsm_configuration()?)
        .exec();
    Ok(anyhow::Error::new(error).context("cannot start again with SOFTHSM2_CONF"))
}

/// A folder that [`begin`] made, where it makes them.
fn is_thrown_away(folder: &Path) -> bool {
    let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
    let above = fs::canonicalize(home::folder_of(folder)).ok();
    name.starts_with(THROWN_AWAY)
        && above
            .is_some_and(|above| fs::canonicalize(std::env::temp_dir()).is_ok_and(|of| of == above))
        && fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir())
        && fs::read_to_string(folder.join(MARKER.0)).is_ok_and(|text| text == MARKER.1)
}

fn rehearse(arguments: &RehearseArguments, folder: &Path) -> anyhow::Result<Shape> {
    let plan = plan_command::read(&arguments.plan)?;
    let approvals = arguments.approvals.iter().map(|path| approval_command::read(path));
    let approvals = approvals.collect::<Result<Vec<_>, _>>()?;
    let approvers = gates::approvals(&plan, Purpose::Rehearsal, &approvals)?;
    let program = gates::program(&plan)?;
    let inputs = gates::inputs(&plan, home::folder_of(&arguments.plan))?;
    let profiles = gates::profiles(&inputs)?;
    if arguments.out.exists() {
        let refused = format!("{} exists", arguments.out.display());
        let next_step = "name a new file: no transcript is written over";
        return Err(Stopped { refusal: Refusal::Output, refused, next_step }.into());
    }
    let home = Home::of_ceremony(folder)?;
    let module = Module::load(&arguments.module)?;
    ceremony_tokens::only_thrown_away(&module, &home)?;
    let paths = std::slice::from_ref(&arguments.out);
    let mut transcript = Transcript::begin_held(paths, &plan, REHEARSAL, None)?;
    gates::tell(&mut transcript, approvers, program, &inputs)?;
    let with = With {
        plan: &plan,
        inputs: &inputs,
        home: &home,
        tokens: &home,
        module: &module,
        profiles: &profiles,
        algorithms: &AlgorithmPolicy::shipped()?,
        fate: Fate::ThrownAway,
    };
    let transcript =
        Ceremony::new(with, Holders::Keys(Company::stand_ins(&plan, &home)?), transcript).hold()?;
    let held = transcript.held().context("this is no ceremony with people")?;
    Ok(held.shape().clone())
}
