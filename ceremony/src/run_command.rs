//! `sigill-ceremony run`: holds a ceremony whose keys stay, with people at the screen, or in deployment test/demo with nobody at it.
//!
//! Run again after it was broken off, it goes on where its transcript ends: what is there is taken up and compared with what was told, and
//! nothing is made twice.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context as _;
use ca::algorithms::AlgorithmPolicy;
use ca::deployment::Environment;
use ceremony_core::approval::Purpose;
use ceremony_core::attendance::PRODUCTION;
use ceremony_core::plan::{Operation, Plan};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Kind, Phase, Whole};
use ceremony_core::words::Fingerprint;
use clap::Args;
use hsm::Module;
use serde_json::json;

use crate::attended::{self, Desk, Room, Setting};
use crate::bundle_command::{self, Parts};
use crate::ceremony_tokens::{self, Fate};
use crate::company::Company;
use crate::holding::{self, Ceremony, Holders, With};
use crate::home::{self, Home};
use crate::stopped::Stopped;
use crate::transcript::Transcript;
use crate::works::now;
use crate::{approval_command, gates, plan_command};

/// What a run takes.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// The plan. Its inputs lie below `in` beside it.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Nobody sits at it: people's software keys answer, and the PINs of tokens lie in files. For deployment test/demo alone.
    #[arg(long, requires = "people", conflicts_with = "answers")]
    unattended: bool,
    /// A file answers in people's place, screen by screen. For deployment test/demo alone.
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// The folder of tokens, PINs, transcript and outputs, mode 0700; made where it is missing.
    #[arg(long, value_name = "DIR")]
    home: PathBuf,
    /// The home of the ceremony that made the tokens, where this one does not make them itself.
    #[arg(long, value_name = "DIR")]
    tokens: Option<PathBuf>,
    /// The folder of people's keys: software keys `ID.key`, and at the screen `ID.toml`, which names a token. With nobody at it, who has none there is absent; at the screen
    /// another file may be typed.
    #[arg(long, value_name = "DIR")]
    people: Option<PathBuf>,
    /// An approval of plan and shape for production; as many as the plan requires.
    #[arg(long = "approval", value_name = "FILE", required = true)]
    approvals: Vec<PathBuf>,
    /// The transcript of the rehearsal, at most 14 days old.
    #[arg(long, value_name = "FILE")]
    rehearsal: PathBuf,
    /// Write the transcript to this file too, on another medium.
    #[arg(long, value_name = "FILE")]
    mirror: Option<PathBuf>,
    /// At the end, pack the ceremony into this new file for auditors.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    /// The PKCS#11 module of the tokens.
    #[arg(long, value_name = "FILE", default_value = "/usr/lib/softhsm/libsofthsm2.so")]
    module: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// Holds the ceremony, and prints its outputs and the head of its transcript.
///
/// # Errors
///
/// [`Stopped`]; the tokens' and the file system's own.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<ExitCode> {
    let plan = plan_command::read(&arguments.plan)?;
    holding::only_what_is_held(&plan)?;
    // What came to its end is told at any time.
    let now = if is_closed(&arguments.home) { None } else { Some(now()?) };
    let setting = setting(arguments, &plan)?;
    if setting.is_some() {
        holding::only_what_people_hold(&plan)?;
    }
    // Of what must hold of the process (R20) a run with nobody at it waives the terminal alone.
    let judged = setting.unwrap_or(Setting::Demo { is_driven: true });
    let notice = if now.is_some() { attended::judge_process(judged)? } else { None };
    if let Some(now) = now {
        gates::window(&plan, now)?;
    }
    let rehearsal = gates::rehearsal(&plan, &arguments.rehearsal)?;
    // A ceremony that has begun is asked by its first line.
    if let Some(now) = now.filter(|_| !has_begun(&arguments.home)) {
        rehearsal.is_before(now)?;
    }
    let approvals = arguments.approvals.iter().map(|path| approval_command::read(path));
    let approvals = approvals.collect::<Result<Vec<_>, _>>()?;
    let approvers =
        gates::approvals(&plan, Purpose::Production(rehearsal.shape.hash()), &approvals)?;
    let program = gates::program(&plan)?;
    ceremony_tokens::judge(&plan.tokens, arguments.tokens.as_deref(), &arguments.module)?;
    let inputs = gates::inputs(&plan, home::folder_of(&arguments.plan))?;
    let profiles = gates::profiles(&inputs)?;
    let home = Home::of_ceremony(&arguments.home)?;
    let tokens = match &arguments.tokens {
        None => home.clone(),
        Some(path) => Home::of_earlier(path)?,
    };
    let configuration = tokens.softhsm_configuration()?;
    // SoftHSM reads its configuration's path from the environment when it is loaded; a process cannot safely change its own
    // environment, so this one starts itself again with it.
    if std::env::var_os("SOFTHSM2_CONF").as_deref() != Some(configuration.as_os_str()) {
        let error = Command::new(std::env::current_exe()?)
            .args(std::env::args_os().skip(1))
            .env("SOFTHSM2_CONF", &configuration)
            .exec();
        return Err(anyhow::Error::new(error).context("cannot start again with SOFTHSM2_CONF"));
    }
    let lock = fs::File::create(home.join("state/run.lock"))?;
    lock.try_lock().context("another run is at work in this home")?;
    let their_lock = fs::File::create(tokens.join("state/tokens.lock"))?;
    their_lock.try_lock().context("another run is at work with these tokens")?;
    let file = home.join("ceremony/transcript.jsonl");
    if !file.exists() && fs::read_dir(home.join("ceremony/out"))?.next().is_some() {
        let refused =
            format!("{} is not empty, and there is no transcript", home.out("").display());
        let next_step = "name another home: no output is written over";
        return Err(Stopped { refusal: Refusal::Output, refused, next_step }.into());
    }
    let paths: Vec<PathBuf> = std::iter::once(file).chain(arguments.mirror.clone()).collect();
    let (module, algorithms) = (Module::load(&arguments.module)?, AlgorithmPolicy::shipped()?);
    let people = arguments.people.as_deref();
    let room = match setting.filter(|_| now.is_some()) {
        None => None,
        Some(_) => {
            let desk = match &arguments.answers {
                Some(path) => Desk::answers(plan.language, path)?,
                None => Desk::terminal(plan.language)?,
            };
            Some(Room::new(&plan, &arguments.plan, desk, people, &home, &arguments.module, notice))
        }
    };
    let mut transcript = Transcript::begin_held(&paths, &plan, PRODUCTION, Some(rehearsal))?;
    if transcript.phase() == Phase::Closed {
        as_told(&plan, &home, &mut transcript)?;
    } else if now.is_none() {
        anyhow::bail!("the transcript was changed meanwhile; nothing was done");
    } else {
        gates::tell(&mut transcript, approvers, program, &inputs)?;
        let with = With {
            plan: &plan,
            inputs: &inputs,
            home: &home,
            tokens: &tokens,
            module: &module,
            profiles: &profiles,
            algorithms: &algorithms,
            fate: Fate::Kept,
        };
        let holders = match (&room, people) {
            (Some(room), _) => Holders::Room(room),
            (None, people) => {
                let people = people.context("--unattended goes with --people")?;
                Holders::Keys(Company::of_folder(&plan, people)?)
            }
        };
        transcript = Ceremony::new(with, holders, transcript).hold()?;
    }
    if let Some(out) = &arguments.bundle {
        let parts = Parts {
            plan: &plan,
            plan_file: &arguments.plan,
            home: &arguments.home,
            approvals: &arguments.approvals,
            rehearsal: &arguments.rehearsal,
        };
        bundle_command::pack(&parts)?.write(out)?;
    }
    tell(arguments, &plan, &home, &transcript)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether the transcript of this home has a line.
fn has_begun(home: &Path) -> bool {
    let octets = fs::read(home.join("ceremony/transcript.jsonl")).unwrap_or_default();
    octets.contains(&b'\n')
}

/// Whether the ceremony of this home came to its end.
fn is_closed(home: &Path) -> bool {
    let whole = fs::read(home.join("ceremony/transcript.jsonl")).ok();
    let whole = whole.and_then(|octets| Whole::read(&octets).ok());
    whole.is_some_and(|whole| whole.chain.phase() == Phase::Closed)
}

/// The outputs of a ceremony that came to its end are those of which its transcript tells.
///
/// # Errors
///
/// [`Stopped`] with R19 for one that is away or another.
fn as_told(plan: &Plan, home: &Home, transcript: &mut Transcript<'_>) -> Result<(), Stopped> {
    for step in &plan.steps {
        for out in step.operation.outs() {
            let path = home.out(out.as_str().trim_start_matches("out/"));
            // The file of a public key has the hash that was told of the key when it was made.
            let (of, member) = match &step.operation {
                Operation::Enrol { key_of, .. } => (key_of, "spki_sha256"),
                _ => (&step.id, "sha256"),
            };
            transcript.enter(of.as_str());
            let seen = fs::read(&path).ok().map(|octets| Fingerprint::of(&octets).to_string());
            let mut told = transcript.told_before(Kind::Result).map(|record| record.text(member));
            if seen.is_none() || !told.any(|told| told == seen.as_deref()) {
                let refused = format!("{} is not what the transcript tells of", path.display());
                let next_step = "bring the output of the ceremony back from its medium, and find out who changed this one";
                return Err(Stopped { refusal: Refusal::Output, refused, next_step });
            }
        }
    }
    Ok(())
}

/// How people sit at it; none where nobody does.
///
/// # Errors
///
/// [`Stopped`] with R07: with nobody at it, or a file that answers, it is no ceremony for anything that is relied on.
fn setting(arguments: &RunArguments, plan: &Plan) -> Result<Option<Setting>, Stopped> {
    let deployment = plan.deployment;
    let is_test = deployment.environment() == Environment::Test;
    let is_demo = is_test && deployment.pki() == ca::deployment::Pki::Demo;
    let refused = |what: &str, next_step| {
        let refused = format!("{what}; the plan is of {deployment}");
        Err(Stopped { refusal: Refusal::Deployment, refused, next_step })
    };
    if arguments.unattended {
        if is_demo {
            return Ok(None);
        }
        return refused(
            "a run that nobody sits at is for deployment test/demo alone",
            "leave out --unattended, and hold it with people at the screen",
        );
    }
    let is_driven = arguments.answers.is_some();
    if !is_test {
        return refused(
            "a ceremony with people at the screen is held in environment test alone by this version, which looks neither at the network (R05) nor at the device (R10)",
            "rehearse the plan, and hold a training by one of environment test",
        );
    }
    if is_driven && !is_demo {
        return refused(
            "a file answers in deployment test/demo alone",
            "leave out --answers, and hold it with people at the screen",
        );
    }
    Ok(Some(if is_demo { Setting::Demo { is_driven } } else { Setting::Real }))
}

fn tell(
    arguments: &RunArguments,
    plan: &Plan,
    home: &Home,
    transcript: &Transcript<'_>,
) -> anyhow::Result<()> {
    let (lines, root) = transcript.head();
    let head = Fingerprint::from_bytes(*root.as_bytes());
    let mut outputs = Vec::new();
    for out in plan.steps.iter().flat_map(|step| step.operation.outs()) {
        let name = out.as_str().trim_start_matches("out/");
        let bytes =
            fs::read(home.out(name)).with_context(|| home.out(name).display().to_string())?;
        outputs.push((home.out(name), Fingerprint::of(&bytes)));
    }
    if arguments.json {
        let outputs: Vec<_> = outputs
            .iter()
            .map(|(path, sha256)| json!({ "file": path, "sha256": sha256.to_string() }))
            .collect();
        let told = json!({
            "home": home.root(), "outputs": outputs, "lines": lines, "head": head.to_string(), "words": head.words(),
        });
        crate::answer(&told.to_string());
        return Ok(());
    }
    for (path, sha256) in outputs {
        crate::answer(&format!("{sha256}  {}", path.display()));
    }
    crate::answer(&format!(
        "\n{lines} lines, head\n{head}\n\n{}",
        head.lines_of_words().join("\n")
    ));
    Ok(())
}
