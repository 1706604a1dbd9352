//! Holds a ceremony by its plan: each step with the people whom it requires, announced in the transcript before it is done, looked at
//! after.
//!
//! Nothing here decides what may follow what: a line that people, budget or rehearsal do not allow is not written, and
//! what it would announce is not done ([`ceremony_core::held`]).

mod destroying;
mod enrolling;
mod keys;
mod signing;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ca::algorithms::AlgorithmPolicy;
use ca::profile::ProfileSet;
use ceremony_core::attendance::{DECLARATION, PRESENCE, STAND_IN};
use ceremony_core::plan::{
    BackupWay, Content, Input, Kind as CeremonyKind, Operation, Plan, Role, Step, Word,
};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Fact, Kind, Record};
use ceremony_core::words::Fingerprint;
use hsm::{Module, Token, TokenSigner};
use indicatif::{ProgressBar, ProgressStyle};
use x509::certificate::Certificate;
use x509::key::{PublicKey, SpkiHash};

use crate::attended::Room;
use crate::ceremony_tokens::Fate;
use crate::company::Company;
use crate::home::Home;
use crate::signed::Compared;
use crate::stopped::{Paused, Stopped};
use crate::transcript::Transcript;
use crate::works::Works;

/// Longest wait for a key: RSA 4096 takes seconds, and much more on a slow token.
const KEY_DEADLINE: Duration = Duration::from_secs(600);
/// Longest wait for a list of what a token holds, and for a signature.
const DEADLINE: Duration = Duration::from_secs(60);
/// The kinds of ceremony that are held. What each takes and needs is the plan's (`ceremony_core::plan::Kind`); what a step does is its
/// operation's, whatever the kind.
const HELD: [CeremonyKind; 8] = [
    CeremonyKind::RootKey,
    CeremonyKind::IssuingKey,
    CeremonyKind::IssuingCertificate,
    CeremonyKind::Responder,
    CeremonyKind::RootDelegates,
    CeremonyKind::RootCrl,
    CeremonyKind::CrossCertificate,
    CeremonyKind::KeyDestruction,
];
/// What the initialising of a token is called in an intent.
const PREPARE_TOKEN: &str = "prepare-token";

/// Refuses a plan with a step that is not done here, before any is.
///
/// # Errors
///
/// Names the kind or the step.
pub(crate) fn only_what_is_held(plan: &Plan) -> anyhow::Result<()> {
    if !HELD.contains(&plan.kind) {
        bail!(
            "a ceremony of kind {} is not held by this version: {} are; nothing was done",
            plan.kind.code(),
            HELD.map(CeremonyKind::code).join(", ")
        );
    }
    for step in &plan.steps {
        let lacks = match &step.operation {
            Operation::GenerateKey { backup: BackupWay::Wrapped, .. } => {
                "a key with a wrapped copy"
            }
            Operation::GenerateKey { token, .. } if holds_others(plan, token) => {
                "a key in a token that holds others"
            }
            Operation::Declare { .. }
            | Operation::PrepareToken { .. }
            | Operation::GenerateKey { .. }
            | Operation::Certificate { .. }
            | Operation::Delegate { .. }
            | Operation::Request { .. }
            | Operation::Crl { .. }
            | Operation::Enrol { .. }
            | Operation::Destroy { .. } => continue,
            other => other.name().as_str(),
        };
        bail!("step {}: {lacks} is not held by this version; nothing was done", step.id);
    }
    Ok(())
}

/// Refuses a plan with a step that is not done by people at the screen, before any is.
///
/// # Errors
///
/// Names the step.
pub(crate) fn only_what_people_hold(plan: &Plan) -> anyhow::Result<()> {
    let destroys = |step: &&Step| matches!(step.operation, Operation::Destroy { .. });
    match plan.steps.iter().find(destroys) {
        None => Ok(()),
        Some(step) => bail!(
            "step {}: a key is destroyed with nobody at the screen alone (--unattended) by this version; nothing was done",
            step.id
        ),
    }
}

fn holds_others(plan: &Plan, token: &Word) -> bool {
    plan.token(token).is_some_and(|token| matches!(token.expect, Content::Inventory(_)))
}

/// What a ceremony is held with.
#[derive(Clone, Copy)]
pub(crate) struct With<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) inputs: &'a [(&'a Input, Vec<u8>)],
    pub(crate) home: &'a Home,
    /// Where the tokens and their PINs lie: the home, or that of the ceremony that made them.
    pub(crate) tokens: &'a Home,
    pub(crate) module: &'a Module,
    pub(crate) profiles: &'a ProfileSet,
    pub(crate) algorithms: &'a AlgorithmPolicy,
    pub(crate) fate: Fate,
}

/// Who holds it.
pub(crate) enum Holders<'a> {
    /// Nobody sits at it; keys answer in people's place.
    Keys(Company<'a>),
    /// People at a screen.
    Room(&'a Room<'a>),
}

/// A ceremony that is being held.
pub(crate) struct Ceremony<'a> {
    with: With<'a>,
    plan: &'a Plan,
    holders: Holders<'a>,
    transcript: Transcript<'a>,
    signer: TokenSigner,
    tokens: BTreeMap<&'a Word, Token>,
    /// What tokens hold that were made before, by the plan; at a rehearsal, what stands in for it.
    contents: BTreeMap<&'a Word, Fingerprint>,
    /// By the step that made them, with their token.
    keys: BTreeMap<&'a Word, (PublicKey, &'a Word)>,
    /// By the step that signed them, or the input that holds them; at a rehearsal those of issuers have throw-away keys.
    certificates: BTreeMap<&'a Word, Certificate>,
    /// At a rehearsal, by the step that destroys it, the throw-away key in the place of the plan's.
    doomed: BTreeMap<&'a Word, SpkiHash>,
}

impl<'a> Ceremony<'a> {
    /// A ceremony of which nothing is done in this run.
    pub(crate) fn new(with: With<'a>, holders: Holders<'a>, transcript: Transcript<'a>) -> Self {
        Self {
            with,
            plan: with.plan,
            holders,
            transcript,
            signer: TokenSigner::new(DEADLINE),
            tokens: BTreeMap::new(),
            contents: BTreeMap::new(),
            keys: BTreeMap::new(),
            certificates: BTreeMap::new(),
            doomed: BTreeMap::new(),
        }
    }

    /// Holds it from its first step to its last, with a bar on a terminal that nobody sits at, and returns its transcript.
    ///
    /// # Errors
    ///
    /// [`Stopped`], [`Paused`] and the transcript's; what was done until then stands in it.
    pub(crate) fn hold(mut self) -> anyhow::Result<Transcript<'a>> {
        let held = self.hold_all();
        if let Err(error) = held {
            if let Some(paused) = error.downcast_ref::<Paused>() {
                // Nobody stays logged in while people are away.
                self.tokens.clear();
                self.transcript.write(Kind::Pause, &[("reason", paused.why.as_str().into())])?;
            }
            return Err(error);
        }
        Ok(self.transcript)
    }

    fn hold_all(&mut self) -> anyhow::Result<()> {
        let bar = match self.holders {
            Holders::Keys(_) => progress(self.plan),
            Holders::Room(_) => ProgressBar::hidden(),
        };
        if let Holders::Room(room) = self.holders {
            room.begin()?;
        }
        if let Holders::Keys(company) = &self.holders {
            for (person, spki_sha256) in company.stand_in_hashes() {
                let facts = [("what", Fact::from(STAND_IN)), ("spki_sha256", spki_sha256.into())];
                self.transcript.write_of(Kind::Check, vec![person.to_string()], &facts)?;
            }
        }
        for token in &self.plan.tokens {
            let prepares = |step: &Step| matches!(&step.operation, Operation::PrepareToken { token: name } if *name == token.name);
            if !self.plan.steps.iter().any(prepares) && !self.was_doomed(&token.name) {
                self.gather_for(&token.name, "begin")?;
                self.open_token(&token.name)?;
            }
        }
        for step in &self.plan.steps {
            bar.inc(1);
            bar.set_message(step.id.to_string());
            self.transcript.enter(step.id.as_str());
            let is_done = match step.operation {
                Operation::Declare { .. } => {
                    self.transcript.told_before(Kind::Attest).any(is_declaration)
                }
                _ => self.transcript.told_before(Kind::Checkpoint).next().is_some(),
            };
            if !is_done {
                self.gather(step)?;
                // What an earlier run announced is not taken up by fewer people than it takes to announce it.
                self.transcript.require(step)?;
            }
            let acted = if is_done { self.recall(step) } else { self.act(step) };
            acted.with_context(|| format!("step {}", step.id))?;
            if !is_done && step.operation.is_irreversible() {
                self.transcript.write_head(Kind::Checkpoint)?;
                if let Holders::Room(room) = self.holders {
                    room.done(step)?;
                }
                self.show_head(step.id.as_str())?;
            }
        }
        self.transcript.enter("end");
        self.count_objects()?;
        self.transcript.write_head(Kind::Close)?;
        bar.finish_and_clear();
        self.show_head("end")
    }

    /// Before a token that has PINs is opened those are there whom the first step that uses it requires: nobody logs in before (R08).
    fn gather_for(&mut self, token: &Word, entered: &str) -> anyhow::Result<()> {
        let Holders::Room(room) = self.holders else { return Ok(()) };
        let uses = |step: &&Step| {
            step.operation.token() == Some(token)
                && !matches!(step.operation, Operation::PrepareToken { .. })
        };
        let Some(step) = self.plan.steps.iter().find(uses) else { return Ok(()) };
        self.transcript.enter(step.id.as_str());
        room.gather(&mut self.transcript, step)?;
        self.transcript.require(step)?;
        self.transcript.enter(entered);
        Ok(())
    }

    /// For the papers of those who are there.
    fn show_head(&self, of: &str) -> anyhow::Result<()> {
        match self.holders {
            Holders::Keys(_) => Ok(()),
            Holders::Room(room) => room.head(of, &self.transcript),
        }
    }

    /// Whoever is required and not there answers. Who cannot is absent, and whether too many are the transcript says.
    fn gather(&mut self, step: &Step) -> anyhow::Result<()> {
        let company = match &self.holders {
            Holders::Keys(company) => company,
            Holders::Room(room) => return room.agree(&mut self.transcript, step),
        };
        for requirement in &step.requires {
            for id in company.for_role(*requirement) {
                let held = self.transcript.held().context("this is no ceremony with people")?;
                let attendance = held.attendance();
                if attendance.present().contains(id) {
                    continue;
                }
                let person = self.plan.people.person(id).context("the plan has no such person")?;
                let challenge = attendance.challenge(self.transcript.head(), step.id.as_str());
                let answer = company.answer(person, &challenge.statement(id.as_str())?)?;
                let facts = [("what", Fact::from(PRESENCE)), ("statement", answer.as_str().into())];
                self.transcript.write_of(Kind::Attest, vec![id.to_string()], &facts)?;
            }
        }
        Ok(())
    }

    /// Takes up what an earlier run did in a step that came to its end, and compares it with what it told.
    fn recall(&mut self, step: &'a Step) -> anyhow::Result<()> {
        match &step.operation {
            Operation::PrepareToken { token } => {
                self.gather_for(token, step.id.as_str())?;
                let opened = self.recall_token(token)?;
                self.tokens.insert(token, opened);
            }
            Operation::GenerateKey { token, .. } => {
                let (of, id) = (self.token(token)?.clone(), self.key_id(step));
                let key = of.key_by_id(id)?;
                let key =
                    key.filter(|key| self.told("spki_sha256") == Some(key.spki_hash().to_string()));
                let Some(key) = key else {
                    let refused = format!("token {} lacks the key of step {}", of.name(), step.id);
                    return Err(stop(Refusal::Key, refused).into());
                };
                self.signer.add(&of, &key, self.policy())?;
                self.keys.insert(&step.id, (key, token));
            }
            Operation::Certificate { out, .. } | Operation::Delegate { out, .. } => {
                let der = self.output(out.as_str())?;
                self.certificates.insert(&step.id, Certificate::from_der(&der)?);
            }
            Operation::Request { .. } | Operation::Crl { .. } => {
                for out in step.operation.outs() {
                    drop(self.output(out.as_str())?);
                }
            }
            Operation::Destroy { token, .. } => self.recall_destroyed(token)?,
            _ => {}
        }
        Ok(())
    }

    /// What the RESULT of the step that is entered says, where an earlier run told one.
    fn told(&self, name: &str) -> Option<String> {
        self.transcript
            .told_before(Kind::Result)
            .find_map(|record| record.text(name))
            .map(str::to_owned)
    }

    /// A file that an earlier run made.
    fn output(&self, out: &str) -> anyhow::Result<Vec<u8>> {
        let path = self.with.home.out(&file(out));
        let der = std::fs::read(&path).with_context(|| path.display().to_string())?;
        let hash = Fingerprint::of(&der).to_string();
        if !self
            .transcript
            .told_before(Kind::Result)
            .any(|record| record.text("sha256") == Some(&hash))
        {
            let refused = format!("{} is not what the transcript tells of", path.display());
            return Err(stop(Refusal::Output, refused).into());
        }
        Ok(der)
    }

    fn act(&mut self, step: &'a Step) -> anyhow::Result<()> {
        if let Holders::Room(room) = self.holders {
            room.works(step)?;
        }
        match &step.operation {
            Operation::Declare { by, text } => self.declare(*by, text.as_str()),
            Operation::PrepareToken { token } => self.prepare_token(token),
            Operation::GenerateKey { .. } => self.key(step),
            Operation::Certificate { .. } => self.certificate(step),
            Operation::Delegate { .. } => self.delegate(step),
            Operation::Request { .. } => self.request(step),
            Operation::Crl { .. } => self.crl(step),
            Operation::Enrol { key_of, out, .. } => self.enrol(key_of, out),
            Operation::Destroy { .. } => self.destroy(step),
            other => bail!("{} is not done by this version", other.name().as_str()),
        }
    }

    fn declare(&mut self, by: Role, text: &str) -> anyhow::Result<()> {
        let who: Vec<String> = self.transcript.present(by).into_iter().take(1).collect();
        if let (Holders::Room(room), [person]) = (&self.holders, who.as_slice()) {
            room.declares(person, text)?;
        }
        let facts = [("text", Fact::from(text)), ("what", DECLARATION.into())];
        Ok(self.transcript.write_of(Kind::Attest, who, &facts)?)
    }

    fn checked(&mut self, what: &str, result: &str) -> anyhow::Result<()> {
        let facts = [("result", Fact::from(result)), ("what", what.into())];
        Ok(self.transcript.write(Kind::Check, &facts)?)
    }

    /// With what an earlier run had compared in this step.
    fn compared(&self) -> Compared<'a> {
        let before = self.transcript.told_before(Kind::Readback).next();
        let before = before.and_then(|record| record.text("sha256")?.parse::<Fingerprint>().ok());
        let tbs_sha256 = before.map(|hash| *hash.as_bytes());
        let reader = match self.holders {
            Holders::Keys(_) => None,
            Holders::Room(room) => Some(room),
        };
        Compared { tbs_sha256, reader }
    }

    fn token(&self, name: &Word) -> anyhow::Result<&Token> {
        self.tokens.get(name).with_context(|| format!("token {name} is not open"))
    }

    fn works<'b>(&'b mut self, compared: &'b mut Compared<'a>) -> Works<'b, 'a> {
        Works {
            home: self.with.home,
            deployment: self.plan.deployment,
            profiles: self.with.profiles,
            algorithms: self.with.algorithms,
            signer: &self.signer,
            transcript: &mut self.transcript,
            reader: compared,
        }
    }
}

fn progress(plan: &Plan) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(u64::try_from(plan.steps.len()).unwrap_or(0)).with_style(style)
}

fn is_declaration(record: &Record) -> bool {
    record.text("what") == Some(DECLARATION)
}

/// Where nothing is signed nothing is compared.
const fn nobody<'a>() -> Compared<'a> {
    Compared { tbs_sha256: None, reader: None }
}

/// The name among the outputs: the plan's outputs all lie below `out/`.
fn file(out: &str) -> String {
    out.strip_prefix("out/").unwrap_or(out).to_owned()
}

fn stop(refusal: Refusal, refused: String) -> Stopped {
    let next_step = "stop: do not use the key, and find out what the token does";
    Stopped { refusal, refused, next_step }
}
