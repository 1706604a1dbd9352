//! What holds between the parts of a plan.

mod references;
mod steps;

use std::collections::BTreeSet;
use std::time::Duration;

use ca::deployment::{Environment, RoleName};

use super::fault::Fault;
use super::kind::Zone;
use super::step::{Operation, OperationName};
use super::{Content, Pins, Plan, PlannedToken, Word};

/// Longest window: whoever needs longer has another plan approved.
const LONGEST_WINDOW: Duration = Duration::from_secs(31 * 86_400);

/// Every fault of a plan whose text is well-formed.
pub(super) fn faults(plan: &Plan) -> Vec<Fault> {
    let mut faults = Vec::new();
    let (from, to) = (plan.window.not_before, plan.window.not_after);
    if to <= from || to.since(from) > LONGEST_WINDOW {
        faults.push(Fault::Window { from, to });
    }
    if !plan.kind.allows(plan.auditor) {
        faults.push(Fault::Audit { kind: plan.kind, audit: plan.auditor });
    }
    faults.extend(plan.people.faults(plan.kind, plan.auditor));
    faults.extend(names(plan));
    faults.extend(files(plan));
    for token in &plan.tokens {
        faults.extend(of_token(plan, token));
    }
    faults.extend(own_modules(plan));
    faults.extend(operations(plan));
    faults.extend(steps::faults(plan));
    faults.extend(references::faults(plan));
    faults
}

/// Each name is one thing's.
fn names(plan: &Plan) -> Vec<Fault> {
    let twice = |what: &'static str, names: Vec<&Word>| {
        let mut seen = BTreeSet::new();
        let again = names.into_iter().filter(move |name| !seen.insert(*name));
        again.map(move |name| Fault::Twice { what, name: name.clone() }).collect::<Vec<_>>()
    };
    // Steps and inputs share their names: `issuer` and `key-of` name either.
    let named =
        plan.steps.iter().map(|step| &step.id).chain(plan.inputs.iter().map(|input| &input.name));
    let mut faults = twice("step or input", named.collect());
    faults.extend(twice("token", plan.tokens.iter().map(|token| &token.name).collect()));
    faults
}

/// Inputs lie in one folder and outputs in another, each in a file of its own.
fn files(plan: &Plan) -> Vec<Fault> {
    let inputs = plan.inputs.iter().map(|input| (input.file.clone(), "in"));
    let outputs = plan.steps.iter().flat_map(|step| step.operation.outs());
    let outputs = outputs.map(|file| (file, "out"));
    let mut seen = BTreeSet::new();
    let mut faults = Vec::new();
    for (file, folder) in inputs.chain(outputs) {
        let below = file.as_str().split_once('/').is_some_and(|(first, _)| first == folder);
        if !below {
            faults.push(Fault::Folder { file: file.clone(), folder });
        }
        if !seen.insert(file.clone()) {
            faults.push(Fault::FileTwice { file });
        }
    }
    faults
}

/// Each is one file, wherever the program is started.
fn own_modules(plan: &Plan) -> Vec<Fault> {
    let mut seen = BTreeSet::new();
    let mut fits = |file: &str| {
        file.starts_with('/')
            && !file.split('/').any(|part| part == "..")
            && seen.insert(file.to_owned())
    };
    let wrong = plan.own_modules.iter().filter(|module| !fits(module.file.as_str()));
    wrong.map(|module| Fault::OwnModule { file: module.file.clone() }).collect()
}

fn of_token(plan: &Plan, token: &PlannedToken) -> Vec<Fault> {
    let prepared = plan.steps.iter().any(|step| {
        matches!(&step.operation, Operation::PrepareToken { token: name } if *name == token.name)
    });
    let blank = token.expect == Content::Blank;
    let shares = token.pins == Pins::Shares;
    let production = plan.deployment.environment() == Environment::Prod;
    let role = token.name.as_str().parse::<RoleName>().ok();
    let label = role.map(|role| plan.deployment.token_label(&role));
    let quorum = &plan.people.quorum;
    let rules = [
        (
            prepared != blank,
            "a token is prepared in the ceremony if it is expected to be blank, and only then",
        ),
        (
            !blank && token.serial.is_none(),
            "its serial number lacks; a token that is not blank has one",
        ),
        (
            shares && production && plan.kind.zone() == Zone::Offline,
            "pins = \"shares\" puts the PIN into the machine's memory: a root in production has a device with a quorum of its own",
        ),
        (shares && quorum.custodians.is_none(), "pins = \"shares\" needs [quorum] custodians"),
        (
            shares && prepared && quorum.so_custodians.is_none(),
            "a token whose PINs are shared is prepared with [quorum] so-custodians: who has the SO PIN sets the user PIN",
        ),
        (
            label.as_deref() != Some(token.label.as_str()),
            "its label is not the one of its name in this deployment, such as sg-td-ab12-root of root",
        ),
    ];
    let broken = rules.into_iter().filter(|(breaks, _)| *breaks);
    broken.map(|(_, why)| Fault::Token { token: token.name.clone(), why }).collect()
}

/// The kind of ceremony fixes what may be done in it.
fn operations(plan: &Plan) -> Vec<Fault> {
    let mut faults = Vec::new();
    for step in &plan.steps {
        let operation = step.operation.name();
        if !plan.kind.takes().contains(&operation) {
            faults.push(Fault::Operation { step: step.id.clone(), operation, kind: plan.kind });
        }
    }
    let done = |name: &OperationName| plan.steps.iter().any(|step| step.operation.name() == *name);
    for operation in plan.kind.needs().iter().filter(|name| !done(name)) {
        faults.push(Fault::Lacks { operation: *operation, kind: plan.kind });
    }
    faults
}
