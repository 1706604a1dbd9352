//! What the plan and the rehearsal say of a transcript: who had to be there, and which shape it was to have.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::Context as _;
use ceremony_core::attendance::{Attendance, PRESENCE, PRODUCTION, REHEARSAL};
use ceremony_core::budget::Budget;
use ceremony_core::plan::{MAX_OCTETS, Plan};
use ceremony_core::refusal::Refusal;
use ceremony_core::shape::Shape;
use ceremony_core::transcript::{Kind, Phase, Whole};

use super::{Broken, read};
use crate::signatures;

/// The people who came, each once, after every step was found to have had whom the plan requires, and to have signed no more often than
/// that has it.
///
/// # Errors
///
/// [`Broken`] with R01, R07, R08 or R14 and the line; R08 also for an answer that a second library does not verify.
pub(super) fn people(
    path: &Path,
    octets: &[u8],
    whole: &Whole,
) -> anyhow::Result<BTreeSet<String>> {
    let mut bytes = Vec::new();
    // One octet more than a plan has is no plan either, and nobody reads a disk into memory by a wrong path.
    let limit = u64::try_from(MAX_OCTETS).unwrap_or(u64::MAX).saturating_add(1);
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .with_context(|| path.display().to_string())?;
    let plan = Plan::read(&bytes).map_err(|error| Broken {
        refusal: Refusal::Plan,
        why: format!("plan {}: {error}", path.display()),
    })?;
    let attendance = Attendance::judge(&plan, octets)
        .map_err(|error| Broken { refusal: error.refusal(), why: error.to_string() })?;
    let mut budget = Budget::new(&plan);
    for (place, record) in whole.records.iter().enumerate() {
        let line = place.saturating_add(1);
        budget.take(record).map_err(|over| Broken {
            refusal: Refusal::Budget,
            why: format!("line {line}: {over}"),
        })?;
        if record.kind != Kind::Attest || record.text("what") != Some(PRESENCE) {
            continue;
        }
        let answer = record.text("statement").unwrap_or_default();
        signatures::verify_statement(answer).map_err(|error| Broken {
            refusal: Refusal::Quorum,
            why: format!("line {line}: answer: {error}"),
        })?;
    }
    Ok(attendance.came().iter().map(ToString::to_string).collect())
}

/// Holds a shape against that of the rehearsal, which is a whole transcript of its own.
///
/// # Errors
///
/// [`Broken`] with R16 for a transcript that is no rehearsal, is not whole, or has another shape; the line is that of the shape.
pub(super) fn like_rehearsal(rehearsal: &Path, whole: &Whole) -> anyhow::Result<()> {
    let stopped = |why: String| Broken { refusal: Refusal::Rehearsal, why };
    let of = Whole::read(&read(rehearsal)?)
        .map_err(|fault| stopped(format!("rehearsal {}: {fault}", rehearsal.display())))?;
    if of.chain.phase() != Phase::Closed || of.torn > 0 {
        let why = format!("rehearsal {} did not come to its end", rehearsal.display());
        return Err(stopped(why).into());
    }
    let purpose = |whole: &Whole| {
        let genesis = whole.records.first();
        genesis.and_then(|record| record.text("purpose")).unwrap_or_default().to_owned()
    };
    for (name, whole, wanted) in [("rehearsal", &of, REHEARSAL), ("transcript", whole, PRODUCTION)]
    {
        let seen = purpose(whole);
        if seen != wanted {
            return Err(stopped(format!("the {name} is of purpose {seen:?}, not {wanted}")).into());
        }
    }
    let shaped =
        |whole: &Whole| Shape::of(&whole.records).map_err(|fault| stopped(fault.to_string()));
    let (seen, rehearsed) = (shaped(whole)?, shaped(&of)?);
    seen.equals(&rehearsed).map_err(|deviation| stopped(deviation.to_string()).into())
}
