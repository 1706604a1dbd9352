//! `sigill-ceremony plan`: judges a plan, says its hash as people compare it, makes the script from it, and counts who approves it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ceremony_core::plan::{MAX_OCTETS, Plan};
use ceremony_core::refusal::Refusal;
use ceremony_core::script::Script;
use clap::{Args, Subcommand};
use serde_json::json;

use crate::approval_command::{self, ApprovalsArguments, ApproveArguments};
use crate::home::replace;
use crate::stopped::Stopped;

/// What is done with a plan.
#[derive(Debug, Subcommand)]
pub(crate) enum PlanCommand {
    /// Hold a plan against every rule, and print its hash.
    ///
    /// Names all faults at once. Exit codes: 0 the plan holds, 10 it does not (R01), 2 wrong use. docs/formats/ceremony-plan.md
    /// tells the format.
    #[command(
        after_help = "Example:\n  sigill-ceremony plan check docs/ceremonies/plans/c1-root-key.toml"
    )]
    Check(Asked),
    /// Print the hash of a plan: as digits, in groups, and in words to read aloud.
    #[command(
        after_help = "Example:\n  sigill-ceremony plan hash docs/ceremonies/plans/c1-root-key.toml"
    )]
    Hash(Asked),
    /// Print the script of a ceremony as text, a page a step.
    #[command(
        after_help = "Example:\n  sigill-ceremony plan show docs/ceremonies/plans/c1-root-key.toml | less"
    )]
    Show(One),
    /// Print the script of a ceremony as one HTML file, to be printed on paper.
    #[command(
        after_help = "Example:\n  sigill-ceremony plan script docs/ceremonies/plans/c1-root-key.toml --out script.html"
    )]
    Script(ScriptArguments),
    /// Sign a plan as one of its approvers.
    ///
    /// What is signed is a text, which is printed. docs/formats/statement.md tells it. Exit codes: 10 the plan does not hold, 11 this
    /// approval would not count (R02).
    #[command(
        after_help = "Example:\n  sigill-ceremony plan approve plan.toml --purpose rehearsal --person anna-berg --key ~/.sigill/anna.key --out anna.approval"
    )]
    Approve(ApproveArguments),
    /// Count the people who approve a plan, and print them.
    ///
    /// Exit codes: 0 enough do, 10 the plan does not hold, 11 another plan was approved (R01) or too few approve this one (R02).
    #[command(
        after_help = "Example:\n  sigill-ceremony plan approvals plan.toml --purpose rehearsal anna.approval bo.approval"
    )]
    Approvals(ApprovalsArguments),
}

/// A plan.
#[derive(Debug, Args)]
pub(crate) struct One {
    /// The plan.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
}

/// A plan, and the form of the answer.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    one: One,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// A plan, and where its script goes.
#[derive(Debug, Args)]
pub(crate) struct ScriptArguments {
    #[command(flatten)]
    one: One,
    /// Write it to this file instead.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Does what was asked for.
///
/// # Errors
///
/// [`Stopped`]; the file system's own.
pub(crate) fn run(command: &PlanCommand) -> anyhow::Result<ExitCode> {
    match command {
        PlanCommand::Check(asked) => {
            let plan = read(&asked.one.plan)?;
            crate::answer(&if asked.json { as_json(&plan) } else { holds(&plan) });
        }
        PlanCommand::Hash(asked) => {
            let plan = read(&asked.one.plan)?;
            crate::answer(&if asked.json { as_json(&plan) } else { hash(&plan) });
        }
        PlanCommand::Show(one) => crate::answer(Script::of(&read(&one.plan)?).to_text().trim_end()),
        PlanCommand::Approve(arguments) => return approval_command::approve(arguments),
        PlanCommand::Approvals(arguments) => return approval_command::approvals(arguments),
        PlanCommand::Script(asked) => {
            let html = Script::of(&read(&asked.one.plan)?).to_html();
            match &asked.out {
                Some(out) => replace(out, html.as_bytes())?,
                None => crate::answer(html.trim_end()),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a plan that holds.
///
/// # Errors
///
/// [`Stopped`] with R01.
pub(crate) fn read(path: &Path) -> Result<Plan, Stopped> {
    let stopped = |why: &dyn std::fmt::Display, next_step| Stopped {
        refusal: Refusal::Plan,
        refused: format!("plan {} is refused: {why}", path.display()),
        next_step,
    };
    let length = fs::metadata(path).map_err(|error| stopped(&error, "correct the path"))?.len();
    // Nobody reads a disk into memory by a wrong path.
    let limit = u64::try_from(MAX_OCTETS).unwrap_or(u64::MAX);
    if length > limit {
        let why = format!("it has {length} octets; a plan has at most {MAX_OCTETS}");
        return Err(stopped(&why, "give the plan, not another file"));
    }
    let bytes = fs::read(path).map_err(|error| stopped(&error, "correct path or permissions"))?;
    Plan::read(&bytes).map_err(|error| {
        let lines: Vec<String> = error.faults.iter().map(|fault| format!("\n  {fault}")).collect();
        let next = "correct the plan; approvals of it are void, since it gets another hash";
        stopped(&lines.concat(), next)
    })
}

fn holds(plan: &Plan) -> String {
    format!(
        "plan {} holds: {} {} for {}, {} steps, {} people\n{}",
        plan.id,
        plan.kind.code(),
        plan.kind.title(plan.language),
        plan.deployment,
        plan.steps.len(),
        plan.people.persons.len(),
        hash(plan)
    )
}

/// The digits alone on the first line, as `sha256sum` prints them.
fn hash(plan: &Plan) -> String {
    format!("{}\n\n{}\n\n{}", plan.hash, plan.hash.groups(), plan.hash.lines_of_words().join("\n"))
}

fn as_json(plan: &Plan) -> String {
    json!({
        "id": plan.id.as_str(),
        "kind": plan.kind.code(),
        "deployment": plan.deployment.to_string(),
        "sha256": plan.hash.to_string(),
        "words": plan.hash.words(),
        "steps": plan.steps.iter().map(|step| json!({
            "id": step.id.as_str(),
            "operation": step.operation.name().as_str(),
            "signatures": step.signatures,
        })).collect::<Vec<_>>(),
    })
    .to_string()
}
