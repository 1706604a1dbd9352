//! The rows of the table, one after the other: the first that does not hold is the last that is judged.

use std::collections::{BTreeMap, BTreeSet};

use ceremony_core::approval::{self, Purpose};
use ceremony_core::attendance::{Attendance, PRESENCE, PRODUCTION, REHEARSAL, is_unread};
use ceremony_core::budget::Budget;
use ceremony_core::bundle::{self, Bundle, Made};
use ceremony_core::held::REHEARSED_WITHIN;
use ceremony_core::plan::Plan;
use ceremony_core::refusal::Refusal;
use ceremony_core::shape::Shape;
use ceremony_core::transcript::{Kind, Phase, Record, Whole};
use ceremony_core::words::Fingerprint;
use x509::statement::SignedStatement;

use super::artefacts::{self, Artefact};
use super::check::{Check, Fault, Refused, Said};
use super::second::{self, Message};
use super::secrets;
use super::tokens;
use super::told::Told;
use crate::signatures::{self, SignatureError};

/// What the auditor has on paper.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paper {
    /// The hash of the plan.
    pub(super) plan: Fingerprint,
    /// The head of the transcript, over all of its lines.
    pub(super) head: Fingerprint,
}

/// An approval that counts.
#[derive(Clone, Debug)]
pub(super) struct Approval {
    pub(super) person: String,
    pub(super) time: String,
    pub(super) key: Fingerprint,
}

/// A ceremony of which everything holds.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) bundle: Bundle,
    pub(super) plan: Plan,
    pub(super) whole: Whole,
    pub(super) rehearsal: Whole,
    pub(super) shape: Fingerprint,
    pub(super) approvals: Vec<Approval>,
    /// Everybody who answered.
    pub(super) came: BTreeSet<String>,
    pub(super) made: Made,
    pub(super) artefacts: Vec<Artefact>,
}

impl Held {
    /// Whether nobody read what was signed, or which key was destroyed: a ceremony that nobody sat at.
    pub(super) fn is_unattended(&self) -> bool {
        self.whole.records.iter().any(is_unread)
    }
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Judged {
    /// The rows that hold, with what they say.
    pub(super) rows: Vec<(Check, Said)>,
    pub(super) verdict: Result<Held, Refused>,
}

/// Judges the octets of a bundle.
pub(super) fn judge(octets: &[u8], paper: Paper) -> Judged {
    let mut rows = Vec::new();
    let verdict = of(octets, paper, &mut rows);
    Judged { rows, verdict }
}

fn of(octets: &[u8], paper: Paper, rows: &mut Vec<(Check, Said)>) -> Result<Held, Refused> {
    let mut row = Row(rows);
    let bundle = row.of(Check::Bundle, unpacked(octets))?;
    let plan = row.of(Check::Plan, plan(&bundle, paper.plan))?;
    let whole = row.of(Check::Transcript, transcript(&bundle))?;
    row.of(Check::Head, head(&whole, paper.head))?;
    row.of(Check::Secrets, no_secret(&bundle))?;
    let (rehearsal, rehearsed) = row.of(Check::Rehearsal, rehearsal(&plan, &bundle))?;
    let approvals = row.of(Check::Approvals, approvals(&plan, &bundle, &rehearsed))?;
    row.of(Check::Window, window(&plan, &whole, &rehearsal, &approvals))?;
    let came = row.of(Check::People, people(&plan, &bundle, &whole))?;
    row.of(Check::Budget, budget(&plan, &whole))?;
    let shape = row.of(Check::Shape, shape(&whole, &rehearsed))?;
    row.of(Check::Program, program(&plan, &whole, &approvals))?;
    row.of(Check::Inputs, inputs(&plan, &bundle, &whole))?;
    let made = Made::of(&whole.records);
    row.of(Check::Outputs, outputs(&plan, &bundle, &made))?;
    let told = Told(&whole.records);
    let works = artefacts::Works { plan: &plan, bundle: &bundle, made: &made, told };
    row.of(Check::Keys, keys(&plan, &whole, works))?;
    let read = row.of(Check::Signatures, works.signatures())?;
    let artefacts = row.of(Check::AsPlanned, works.as_planned(&read))?;
    Ok(Held { bundle, plan, whole, rehearsal, shape, approvals, came, made, artefacts })
}

/// The tokens, what was made in them, and what ended with them.
fn keys(plan: &Plan, whole: &Whole, works: artefacts::Works<'_>) -> Result<((), Said), Fault> {
    tokens::judge(plan, &whole.records)?;
    let ((), said) = works.keys()?;
    let destroyed = works.destroyed()?;
    let more = if destroyed == 0 { String::new() } else { format!("; {destroyed} destroyed") };
    Ok(((), format!("{said}{more}")))
}

struct Row<'a>(&'a mut Vec<(Check, Said)>);

impl Row<'_> {
    fn of<T>(&mut self, check: Check, judged: Result<(T, Said), Fault>) -> Result<T, Refused> {
        let (found, said) = judged.map_err(|fault| Refused { check, fault })?;
        self.0.push((check, said));
        Ok(found)
    }
}

fn unpacked(octets: &[u8]) -> Result<(Bundle, Said), Fault> {
    let bundle = Bundle::from_archive(octets)
        .map_err(|fault| Fault::new(Refusal::Output, fault.to_string()))?;
    let said = format!("{} files, each as the manifest has it", bundle.files().count());
    Ok((bundle, said))
}

fn no_secret(bundle: &Bundle) -> Result<((), Said), Fault> {
    for (name, octets) in bundle.files() {
        if let Some(what) = secrets::found(octets) {
            return Err(Fault::secret(format!(
                "{name} holds {what}: it was not to leave the room"
            )));
        }
    }
    Ok(((), "no private key in any file".to_owned()))
}

fn plan(bundle: &Bundle, wanted: Fingerprint) -> Result<(Plan, Said), Fault> {
    let octets = bundle.file(bundle::PLAN);
    let seen = Fingerprint::of(octets);
    if seen != wanted {
        let why = format!("the plan has hash {seen}; on paper is {wanted}");
        return Err(Fault::new(Refusal::PlanChanged, why));
    }
    let plan = Plan::read(octets).map_err(|error| Fault::new(Refusal::Plan, error.to_string()))?;
    let said = format!("{} ({}), deployment {}", plan.id, plan.kind.code(), plan.deployment);
    Ok((plan, said))
}

/// A transcript that keeps the rules, came to its end, and is of this purpose.
fn closed(octets: &[u8], purpose: &str) -> Result<Whole, String> {
    let whole = Whole::read(octets).map_err(|fault| fault.to_string())?;
    if whole.torn > 0 || whole.chain.phase() != Phase::Closed {
        return Err("it did not come to its end".to_owned());
    }
    let seen = whole.records.first().and_then(|record| record.text("purpose")).unwrap_or_default();
    if seen != purpose {
        return Err(format!("it is of purpose {seen:?}, not {purpose}"));
    }
    Ok(whole)
}

fn rehearsal(plan: &Plan, bundle: &Bundle) -> Result<((Whole, Shape), Said), Fault> {
    let refused = |why: String| Fault::new(Refusal::Rehearsal, why);
    let octets = bundle.file(bundle::REHEARSAL);
    let whole = closed(octets, REHEARSAL).map_err(refused)?;
    Attendance::judge(plan, octets).map_err(|error| refused(error.to_string()))?;
    spent(plan, &whole).map_err(refused)?;
    let shape = Shape::of(&whole.records).map_err(|fault| refused(fault.to_string()))?;
    let said = format!("closed, its shape is {}", shape.hash());
    Ok(((whole, shape), said))
}

fn approvals(
    plan: &Plan,
    bundle: &Bundle,
    rehearsed: &Shape,
) -> Result<(Vec<Approval>, Said), Fault> {
    let refused = |why: String| Fault::new(Refusal::Approvals, why);
    let purpose = Purpose::Production(rehearsed.hash());
    let (mut signed, mut found) = (Vec::new(), Vec::new());
    for (name, octets) in bundle.below(bundle::APPROVALS) {
        let named = |why: &dyn std::fmt::Display| refused(format!("{name}: {why}"));
        let approval = SignedStatement::open(octets).map_err(|error| named(&error))?;
        second_opinion(&approval).map_err(|error| named(&error))?;
        let person =
            approval::judge_one(plan, purpose, &approval).map_err(|fault| named(&fault))?;
        // So two files are two people.
        if Bundle::approval_of(person.id.as_str()) != name {
            return Err(named(&format!("it is of {}", person.id)));
        }
        let of = |field: &str| approval.statement().fields().find(|(name, _)| *name == field);
        found.push(Approval {
            person: person.id.to_string(),
            time: of("time").map(|(_, time)| time.to_owned()).unwrap_or_default(),
            key: Fingerprint::from_bytes(*approval.key().spki_hash().as_bytes()),
        });
        signed.push(approval);
    }
    approval::judge(plan, purpose, &signed)
        .map_err(|error| Fault::new(error.refusal(), error.to_string()))?;
    let names: Vec<&str> = found.iter().map(|one| one.person.as_str()).collect();
    let needed = plan.people.quorum.approvers.m;
    let said = format!("{} of the {needed} needed: {}", found.len(), names.join(", "));
    Ok((found, said))
}

/// A statement by the second library, RSA too: an approver's token may hold such a key.
fn second_opinion(signed: &SignedStatement) -> Result<(), String> {
    let judged = signatures::verify_statement(signed.as_str());
    if judged != Err(SignatureError::NotAKey) {
        return judged.map_err(|error| error.to_string());
    }
    let (algorithm, signature) =
        signatures::of_statement(signed.as_str()).map_err(|error| error.to_string())?;
    let algorithm =
        algorithm.parse().map_err(|_| format!("algorithm {algorithm:?} is not known"))?;
    let text = Message::Octets(signed.statement().as_str().as_bytes());
    second::verify(signed.key(), algorithm, text, &signature).map_err(|error| error.to_string())
}

fn transcript(bundle: &Bundle) -> Result<(Whole, Said), Fault> {
    let whole = closed(bundle.file(bundle::TRANSCRIPT), PRODUCTION)
        .map_err(|why| Fault::new(Refusal::Transcript, why))?;
    let heads = whole.records.iter().filter(|record| record.kind == Kind::Checkpoint).count();
    let said = format!("{} lines, {heads} checkpoints, closed", whole.records.len());
    Ok((whole, said))
}

fn head(whole: &Whole, wanted: Fingerprint) -> Result<((), Said), Fault> {
    let seen = Fingerprint::from_bytes(*whole.chain.head().1.as_bytes());
    if seen != wanted {
        let why = format!("the transcript has head {seen}; on paper is {wanted}");
        return Err(Fault::new(Refusal::Transcript, why));
    }
    Ok(((), "the one on paper, over every line".to_owned()))
}

fn window(
    plan: &Plan,
    whole: &Whole,
    rehearsal: &Whole,
    approvals: &[Approval],
) -> Result<((), Said), Fault> {
    let window = plan.window;
    for record in &whole.records {
        let begins = matches!(record.kind, Kind::Genesis | Kind::Resume);
        if begins && !(window.not_before..=window.not_after).contains(&record.time) {
            let why = format!(
                "a run began at {}, and the plan may be carried out from {} to {}",
                record.time, window.not_before, window.not_after
            );
            return Err(Fault::new(Refusal::Clock, why));
        }
    }
    let time = |record: Option<&Record>| record.map(|record| record.time);
    let (began, rehearsed) = (time(whole.records.first()), time(rehearsal.records.last()));
    let holds = began.zip(rehearsed).is_some_and(|(began, rehearsed)| {
        let end = rehearsed.checked_add(REHEARSED_WITHIN);
        rehearsed <= began && end.is_some_and(|end| began <= end)
    });
    let at =
        |time: Option<x509::time::UnixTime>| time.map(|time| time.to_string()).unwrap_or_default();
    let (began, rehearsed) = (at(began), at(rehearsed));
    if !holds {
        let why = format!(
            "the rehearsal ended at {rehearsed} and the ceremony began at {began}: it is to end before, at most 14 days"
        );
        return Err(Fault::new(Refusal::Rehearsal, why));
    }
    // One form, whose order as text is that in time.
    let is_later = |one: &&Approval| !is_moment(&one.time) || one.time > began;
    if let Some(Approval { person, time, .. }) = approvals.iter().find(is_later) {
        let why = format!("{person} approved at {time:?}; the ceremony began at {began}");
        return Err(Fault::new(Refusal::Approvals, why));
    }
    Ok(((), format!("began at {began}, rehearsed until {rehearsed}")))
}

/// Whether a text is a second of UTC as all of these formats write it.
fn is_moment(text: &str) -> bool {
    let form = "0000-00-00T00:00:00Z";
    let fits = |(seen, wanted): (u8, u8)| match wanted {
        b'0' => seen.is_ascii_digit(),
        _ => seen == wanted,
    };
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(fits)
}

fn people(plan: &Plan, bundle: &Bundle, whole: &Whole) -> Result<(BTreeSet<String>, Said), Fault> {
    let attendance = Attendance::judge(plan, bundle.file(bundle::TRANSCRIPT))
        .map_err(|error| Fault::new(error.refusal(), error.to_string()))?;
    for (line, record) in (1..).zip(&whole.records) {
        if record.kind == Kind::Attest && record.text("what") == Some(PRESENCE) {
            let answer = record.text("statement").unwrap_or_default();
            let refused = |why: &dyn std::fmt::Display| {
                Fault::new(Refusal::Quorum, format!("line {line}: answer: {why}"))
            };
            let answer =
                SignedStatement::open(answer.as_bytes()).map_err(|error| refused(&error))?;
            second_opinion(&answer).map_err(|why| refused(&why))?;
        }
    }
    let came: BTreeSet<String> = attendance.came().iter().map(ToString::to_string).collect();
    let said = format!("{} answered, at each step those whom it requires", came.len());
    Ok((came, said))
}

/// Why a transcript does more than its plan has, or less.
fn spent(plan: &Plan, whole: &Whole) -> Result<(), String> {
    let mut budget = Budget::new(plan);
    for (line, record) in (1..).zip(&whole.records) {
        budget.take(record).map_err(|over| format!("line {line}: {over}"))?;
    }
    Ok(())
}

fn budget(plan: &Plan, whole: &Whole) -> Result<((), Said), Fault> {
    spent(plan, whole).map_err(|why| Fault::new(Refusal::Budget, why))?;
    let signatures: u32 = plan.steps.iter().map(|step| step.signatures).sum();
    Ok(((), format!("{} steps, {signatures} signatures, as the plan has them", plan.steps.len())))
}

fn shape(whole: &Whole, rehearsed: &Shape) -> Result<(Fingerprint, Said), Fault> {
    let refused = |why: String| Fault::new(Refusal::Rehearsal, why);
    let shape = Shape::of(&whole.records).map_err(|fault| refused(fault.to_string()))?;
    shape.equals(rehearsed).map_err(|deviation| refused(deviation.to_string()))?;
    let said = format!("{} lines, the rehearsal's, which was approved", shape.lines().len());
    Ok((shape.hash(), said))
}

/// What the CHECKs of this name say in this member.
fn checked<'a>(whole: &'a Whole, what: &'a str) -> impl Iterator<Item = &'a Record> {
    let checks = whole.records.iter().filter(|record| record.kind == Kind::Check);
    checks.filter(move |record| record.text("what") == Some(what))
}

/// That the transcript tells of a hash, and never of another.
fn tells(whole: &Whole, what: &str, wanted: Fingerprint) -> Result<(), String> {
    let wanted = wanted.to_string();
    let mut told = checked(whole, what).map(|record| record.text("sha256")).peekable();
    if told.peek().is_none() {
        return Err(format!("the transcript does not tell of the hash of {what}"));
    }
    match told.find(|seen| *seen != Some(wanted.as_str())) {
        None => Ok(()),
        Some(seen) => Err(format!(
            "the transcript tells of {what} with hash {}; the plan has {wanted}",
            seen.unwrap_or("none")
        )),
    }
}

fn program(plan: &Plan, whole: &Whole, approvals: &[Approval]) -> Result<((), Said), Fault> {
    let refused = |why: String| Fault::new(Refusal::Program, why);
    let begins = |record: &&Record| matches!(record.kind, Kind::Genesis | Kind::Resume);
    for record in whole.records.iter().filter(begins) {
        let seen = record.text("program").unwrap_or_default();
        // A pause within a run names no program: it is the same.
        if seen != plan.program.version.as_str()
            && !(seen.is_empty() && record.kind == Kind::Resume)
        {
            let planned = &plan.program.version;
            return Err(refused(format!("a run by program {seen:?}; the plan has {planned}")));
        }
    }
    tells(whole, "program", plan.program.sha256).map_err(refused)?;
    // Whom it counted on the day approved: their signatures are here.
    let known: BTreeSet<&str> = approvals.iter().map(|one| one.person.as_str()).collect();
    let mut told = checked(whole, "approvals").flat_map(|record| &record.who);
    if let Some(person) = told.find(|person| !known.contains(person.as_str())) {
        let why =
            format!("the transcript counts {person} among the approvers, and no approval is here");
        return Err(Fault::new(Refusal::Approvals, why));
    }
    let (version, hash) = (&plan.program.version, plan.program.sha256);
    Ok(((), format!("sigill-ceremony {version} with hash {hash}")))
}

fn inputs(plan: &Plan, bundle: &Bundle, whole: &Whole) -> Result<((), Said), Fault> {
    let refused = |why: String| Fault::new(Refusal::Input, why);
    let mut left: BTreeMap<&str, &[u8]> = bundle.below(bundle::INPUTS).collect();
    for input in &plan.inputs {
        let name = input.file.as_str();
        let octets = left.remove(name).ok_or_else(|| refused(format!("{name} is missing")))?;
        let seen = Fingerprint::of(octets);
        if seen != input.sha256 {
            let why = format!("{name} has hash {seen}; the plan has {}", input.sha256);
            return Err(refused(why));
        }
        tells(whole, &format!("input {}", input.name), input.sha256).map_err(refused)?;
    }
    if let Some(name) = left.keys().next() {
        return Err(refused(format!("{name} is no input of the plan")));
    }
    Ok(((), format!("{}, each the plan's", plan.inputs.len())))
}

fn outputs(plan: &Plan, bundle: &Bundle, made: &Made) -> Result<((), Said), Fault> {
    let refused = |why: String| Fault::new(Refusal::Output, why);
    let mut left: BTreeMap<&str, &[u8]> = bundle.below(bundle::OUTPUTS).collect();
    for signature in &made.signatures {
        let name = format!("{}{}", bundle::OUTPUTS, signature.what);
        if !artefacts::is_of_step(plan, &signature.step, &name) {
            let why = format!(
                "step {} signed {name}, which the plan does not have in it",
                signature.step
            );
            return Err(refused(why));
        }
        let octets = left
            .remove(name.as_str())
            .ok_or_else(|| refused(format!("{name} is missing, or was signed twice")))?;
        let seen = Fingerprint::of(octets).to_string();
        if seen != signature.sha256 {
            let why =
                format!("{name} has hash {seen}; the transcript tells of {}", signature.sha256);
            return Err(refused(why));
        }
    }
    let enrolled = made.enrolled(plan);
    for (out, key) in &enrolled {
        let name = artefacts::below_out(out);
        let octets = left.remove(name.as_str());
        let seen = octets.map(|octets| Fingerprint::of(octets).to_string()).unwrap_or_default();
        if seen != *key {
            let why = format!("{name} has hash {seen}; the key that was made has {key}");
            return Err(refused(why));
        }
    }
    if let Some(name) = left.keys().next() {
        return Err(refused(format!("the transcript tells of no {name}")));
    }
    let count = made.signatures.len().saturating_add(enrolled.len());
    Ok(((), format!("{count}, each the transcript's")))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
