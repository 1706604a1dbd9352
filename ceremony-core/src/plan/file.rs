//! The plan's file as it stands.

use ca::deployment::Deployment;
use serde::Deserialize;

use super::check;
use super::fault::Fault;
use super::kind::{Audit, Kind};
use super::people::{Duty, People, Person, Quorum};
use super::step::Step;
use super::text;
use super::values::{Line, Word};
use super::{FORMAT, Image, Input, OwnModule, Plan, PlannedToken, Program, Window};
use crate::script::Language;
use crate::words::Fingerprint;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    format: String,
    id: Word,
    kind: Kind,
    title: Line,
    language: Language,
    cps_section: Line,
    auditor: Audit,
    deployment: DeploymentFile,
    window: Window,
    program: Program,
    image: Image,
    quorum: Quorum,
    person: Vec<Person>,
    duty: Vec<Duty>,
    token: Vec<PlannedToken>,
    #[serde(default)]
    own_module: Vec<OwnModule>,
    input: Vec<Input>,
    step: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeploymentFile {
    environment: String,
    pki: String,
    instance: String,
}

/// Looked at where the rest does not fit, so that a plan of another format is not told of its keys.
#[derive(Deserialize)]
struct FormatOnly {
    format: String,
}

pub(super) fn read(bytes: &[u8]) -> Result<Plan, Vec<Fault>> {
    let text = text::read(bytes).map_err(|fault| vec![fault.into()])?;
    let file: File = toml::from_str(text).map_err(|error| {
        let format = toml::from_str(text).ok().map(|FormatOnly { format }| format);
        let message = error.to_string().trim_end().to_owned();
        vec![other(format).unwrap_or(Fault::Toml { message })]
    })?;
    let File { format, id, kind, title, language, cps_section, auditor, .. } = file;
    if let Some(fault) = other(Some(format)) {
        return Err(vec![fault]);
    }
    let of = file.deployment;
    let deployment = Deployment::from_parts(&of.environment, &of.pki, &of.instance)
        .map_err(|error| vec![Fault::Deployment { why: error.to_string() }])?;
    let plan = Plan {
        hash: Fingerprint::of(bytes),
        id,
        kind,
        title,
        language,
        deployment,
        window: file.window,
        cps_section,
        auditor,
        program: file.program,
        image: file.image,
        people: People { persons: file.person, duties: file.duty, quorum: file.quorum },
        tokens: file.token,
        own_modules: file.own_module,
        inputs: file.input,
        steps: file.step,
    };
    let faults = check::faults(&plan);
    if faults.is_empty() { Ok(plan) } else { Err(faults) }
}

/// The fault of a format that is not ours.
fn other(format: Option<String>) -> Option<Fault> {
    format.filter(|format| format != FORMAT).map(|seen| Fault::Format { seen })
}
