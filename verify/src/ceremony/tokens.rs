//! Which tokens a ceremony saw, and what they held: the lines of its transcript against the plan.

use ceremony_core::plan::{Content, Operation, Plan, PlannedToken};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Kind, Record};
use ceremony_core::words::Fingerprint;

use super::check::Fault;

/// What a line tells of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen<'a> {
    /// Label and serial number.
    pub(super) name: &'a str,
    /// The hash of what it held, of a token that was there before the ceremony.
    pub(super) content: Option<&'a str>,
}

/// What the lines tell of a token of the plan: each time that it was opened, or that it was prepared.
pub(super) fn seen<'a>(
    plan: &'a Plan,
    records: &'a [Record],
    planned: &'a PlannedToken,
) -> impl Iterator<Item = Seen<'a>> {
    let prepares = |operation: &Operation| matches!(operation, Operation::PrepareToken { token } if *token == planned.name);
    let step = plan.steps.iter().find(|step| prepares(&step.operation));
    let what = format!("token {}", planned.name);
    let tells = move |record: &&Record| match step {
        Some(step) => record.kind == Kind::Result && record.step == step.id.as_str(),
        None => record.kind == Kind::Check && record.text("what") == Some(&what),
    };
    let of = |record: &'a Record| Seen {
        name: record.text("token").unwrap_or_default(),
        content: record.text("seen"),
    };
    records.iter().filter(tells).map(of)
}

/// Whether label and serial number are those of the plan; one that is prepared may get its serial number then.
pub(super) fn is_planned(planned: &PlannedToken, name: &str) -> bool {
    let rest = name.strip_prefix(&format!("{} (serial ", planned.label));
    let serial = planned.serial.as_ref().map(|serial| format!("{serial})"));
    rest.is_some_and(|rest| serial.is_none_or(|serial| rest == serial))
}

/// Each token of the plan was seen, was the same each time, and held before what the plan has.
///
/// # Errors
///
/// R06.
pub(super) fn judge(plan: &Plan, records: &[Record]) -> Result<(), Fault> {
    for planned in &plan.tokens {
        let refused =
            |why: String| Fault::new(Refusal::Token, format!("token {}: {why}", planned.name));
        let mut first = None;
        for one in seen(plan, records, planned) {
            let before = *first.get_or_insert(one);
            if !is_planned(planned, one.name) || one.name != before.name {
                let serial = planned.serial.as_ref().map(ToString::to_string);
                let serial = serial.unwrap_or_else(|| "not given".to_owned());
                return Err(refused(format!(
                    "seen was {}, and before {}; the plan has {} (serial {serial})",
                    one.name, before.name, planned.label
                )));
            }
            if let Content::Inventory(wanted) = planned.expect
                && one.content != Some(wanted.to_string().as_str())
            {
                let held = one.content.unwrap_or("nothing that is told");
                return Err(refused(format!("it held {held}; the plan has {wanted}")));
            }
        }
        let first = first.ok_or_else(|| refused("no line tells that it was seen".to_owned()))?;
        // Later runs find in it what the earlier ones made.
        let nothing = Fingerprint::of(b"").to_string();
        if planned.expect == Content::Empty
            && first.content.is_some_and(|content| content != nothing)
        {
            let held = first.content.unwrap_or_default();
            return Err(refused(format!("it held {held}; the plan has nothing in it")));
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "tests/tokens.rs"]
mod tests;
