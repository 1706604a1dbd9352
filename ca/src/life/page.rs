//! The tables as people read them: docs/states.md, and what `sigill states` prints.

use status::{Act as CertificateAct, CertificateState};

use super::{
    ApprovalStage, CarrierStage, EidAct, EidStage, Machine, Named as _, OrderStage, Stage as _,
};

/// Every table: carrier, eID, order, request for approval.
#[must_use]
pub fn machines() -> [Machine; 4] {
    [
        Machine::of::<CarrierStage>(),
        Machine::of::<EidStage>(),
        Machine::of::<OrderStage>(),
        Machine::of::<ApprovalStage>(),
    ]
}

const HEAD: &str = "\
# Where carriers, eIDs, orders, approvals and certificates stand

This page is written by `sigill states --markdown` from the code that decides; a test fails when they differ. English words are those of the API, Swedish ones those that
card administrators see; *Beställd*, *Skickat* and *Aktiv* are the portal's own, the others are ours after its verbs (*Spärra*, *Ta bort beställning*, *Avregistrera*).

A step that is not listed does not exist. A stage from which no step leads is final: nothing comes back from it, a new carrier, eID or order takes its place.
Certificates move by these rules. eIDs and carriers are held and revoked by calls (record 0037 in docs/decisions) and stand where their certificates do. Orders of several steps go through theirs by calls (record 0048). Cards are registered, sent, taken back and deregistered by calls before there is a certificate on them; from then on a carrier stands where its eIDs do (record 0057). No call does the other steps of carriers and eIDs: their rules are published here, for whoever builds against them (record 0033).
";

const OF_CARRIERS: &str = "\
An ordinary card whose activation lapses waits for another try. On a reserve card or in a telephone the holder's keys may be by then: those are taken out of the register.
Whatever is final is among the portal's *ogiltiga bärare*. A blank card is a reserve card that stands at *blank*.
";

const OF_EIDS: &str = "\
An eID is one holder in one organisation on one carrier, and all its certificates move by one act in one transaction, so that they never come apart. *Uppdatera SITHS eID* is an
order for another eID on the same carrier; the old one is revoked when the new one is activated.
";

const OF_ORDERS: &str = "\
Which way an order goes, its routine says (`receipt` in profiles/routines). Once certificates are issued, taking the order back or letting it expire revokes them.
";

const OF_APPROVALS: &str = "\
What one person asks for, another one approves and the first one then does, once (record 0063). What is waiting or approved ends by itself when its time is over; what was approved may be rejected until it is used.
";

const OF_CERTIFICATES: &str = "\
The status log says where a certificate stands. That one has ended is reckoned from its last second and stands in no log.
";

/// The page, in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut page = String::from(HEAD);
    let texts = [OF_CARRIERS, OF_EIDS, OF_ORDERS, OF_APPROVALS];
    for (machine, text) in machines().iter().zip(texts) {
        let word = machine.thing;
        page.push_str(&format!("\n## {} ({})\n\n{text}\n", word.name, word.swedish));
        push_stages(&mut page, machine);
        push_steps(&mut page, machine);
        if machine.thing == EidStage::THING {
            push_eids_certificates(&mut page);
        }
    }
    page.push_str(&format!("\n## certificate (Certifikat)\n\n{OF_CERTIFICATES}\n"));
    push_certificates(&mut page);
    page
}

fn line(page: &mut String, cells: &[&str]) {
    page.push_str(&format!("| {} |\n", cells.join(" | ")));
}

fn head(page: &mut String, cells: &[&str]) {
    line(page, cells);
    line(page, &vec!["---"; cells.len()]);
}

fn push_stages(page: &mut String, machine: &Machine) {
    head(page, &["stage", "på svenska", "final"]);
    for stage in &machine.stages {
        line(page, &[stage.word.name, stage.word.swedish, if stage.is_final { "yes" } else { "" }]);
    }
    page.push('\n');
}

fn push_steps(page: &mut String, machine: &Machine) {
    head(page, &["from", "act", "på svenska", "only", "to"]);
    for step in &machine.steps {
        let ways: Vec<&str> = step.ways.iter().map(|way| way.name).collect();
        let from = step.from.map_or("", |word| word.name);
        line(page, &[from, step.act.name, step.act.swedish, &ways.join(", "), step.to.name]);
    }
}

/// How the stages of an eID and those of its certificates hang together.
fn push_eids_certificates(page: &mut String) {
    page.push_str("\n### The certificates of an eID\n\n");
    head(page, &["the eID stands at", "each certificate is"]);
    for stage in EidStage::ALL {
        let words: Vec<String> = stage.certificates().iter().map(ToString::to_string).collect();
        let words = if words.is_empty() { "not there".to_owned() } else { words.join(", ") };
        line(page, &[stage.word().name, &words]);
    }
    page.push('\n');
    head(page, &["done to the eID", "done to each certificate"]);
    for act in EidStage::ACTS {
        let done = act.of_each_certificate().map_or("nothing".to_owned(), |act| act.to_string());
        line(page, &[EidAct::word(*act).name, &done]);
    }
}

fn push_certificates(page: &mut String) {
    head(page, &["from", "act", "to"]);
    let froms = std::iter::once(None).chain(CertificateState::ALL.map(Some));
    for from in froms {
        for act in CertificateAct::ALL {
            let Ok(to) = status::transition(from, act) else { continue };
            line(page, &[&state(from), &act.to_string(), &state(Some(to))]);
        }
    }
}

/// A state in words that tell one hold from the other.
fn state(state: Option<CertificateState>) -> String {
    match state {
        None => String::new(),
        Some(CertificateState::Held(from)) => format!(
            "held, {} before",
            match from {
                status::HeldFrom::Issued => CertificateState::Issued,
                status::HeldFrom::Activated => CertificateState::Activated,
            }
        ),
        Some(state) => state.to_string(),
    }
}
