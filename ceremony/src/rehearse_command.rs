//! `sigill-ceremony rehearse`: holds a ceremony with throw-away tokens and keys, and says which shape it has.
//!
//! What it makes is thrown away; what stays is the transcript. Its certificates are like the real ones, so they are not handed out.

use std::collections::BTreeMap;
use std::fs;
use std::io::IsTerminal as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::Context as _;
use ca::algorithms::AlgorithmPolicy;
use ca::profile::{Profile, ProfileSet};
use ceremony_core::approval::Purpose;
use ceremony_core::attendance::REHEARSAL;
use ceremony_core::plan::{Input, InputContent, Plan};
use ceremony_core::refusal::Refusal;
use ceremony_core::shape::Shape;
use ceremony_core::transcript::{Fact, Kind};
use clap::Args;
use hsm::{Module, TokenSigner};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use crate::holding::{self, Ceremony};
use crate::home::{self, Home};
use crate::stand_ins::StandIns;
use crate::stopped::Stopped;
use crate::transcript::Transcript;
use crate::works::random;
use crate::{approval_command, gates, plan_command};

/// Longest wait for a signature.
const DEADLINE: Duration = Duration::from_secs(60);

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
    let home = Home::for_rehearsal(&std::env::temp_dir().join(format!("sigill-rehearsal-{name}")))?;
    let error = Command::new(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .arg("--throw-away")
        .arg(home.root())
        .env("SOFTHSM2_CONF", home.softhsm_configuration()?)
        .exec();
    Ok(anyhow::Error::new(error).context("cannot start again with SOFTHSM2_CONF"))
}

fn rehearse(arguments: &RehearseArguments, folder: &Path) -> anyhow::Result<Shape> {
    let plan = plan_command::read(&arguments.plan)?;
    let approvals = arguments.approvals.iter().map(|path| approval_command::read(path));
    let approvals = approvals.collect::<Result<Vec<_>, _>>()?;
    let approvers = gates::approvals(&plan, Purpose::Rehearsal, &approvals)?;
    let program = gates::program(&plan)?;
    let inputs = gates::inputs(&plan, home::folder_of(&arguments.plan))?;
    let profiles = profiles(&inputs)?;
    if arguments.out.exists() {
        let refused = format!("{} exists", arguments.out.display());
        let next_step = "name a new file: no transcript is written over";
        return Err(Stopped { refusal: Refusal::Output, refused, next_step }.into());
    }
    let home = Home::for_rehearsal(folder)?;
    let module = Module::load(&arguments.module)?;
    let paths = std::slice::from_ref(&arguments.out);
    let mut transcript = Transcript::begin_held(paths, &plan, REHEARSAL, None)?;
    let facts = [("result", Fact::from("as many as required")), ("what", "approvals".into())];
    transcript.write_of(Kind::Check, approvers, &facts)?;
    let named = [("program".to_owned(), program)];
    let given = inputs.iter().map(|(input, _)| (format!("input {}", input.name), input.sha256));
    for (what, sha256) in named.into_iter().chain(given) {
        let facts = [("sha256", Fact::from(sha256.to_string())), ("what", what.into())];
        transcript.write(Kind::Check, &facts)?;
    }
    let bar = progress(&plan);
    let mut ceremony = Ceremony {
        plan: &plan,
        inputs: &inputs,
        home: &home,
        module: &module,
        company: StandIns::make(&plan, &home)?,
        profiles: &profiles,
        algorithms: &AlgorithmPolicy::shipped()?,
        transcript,
        signer: TokenSigner::new(DEADLINE),
        tokens: BTreeMap::new(),
        keys: BTreeMap::new(),
        certificates: BTreeMap::new(),
    };
    ceremony.hold(&mut |step| {
        bar.inc(1);
        bar.set_message(step.id.to_string());
    })?;
    bar.finish_and_clear();
    let held = ceremony.transcript.held().context("this is no ceremony with people")?;
    Ok(held.shape().clone())
}

/// The profiles among the inputs.
fn profiles(inputs: &[(&Input, Vec<u8>)]) -> anyhow::Result<ProfileSet> {
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

fn progress(plan: &Plan) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(u64::try_from(plan.steps.len()).unwrap_or(0)).with_style(style)
}
