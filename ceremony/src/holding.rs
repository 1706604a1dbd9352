//! Holds a ceremony by its plan: each step with the people whom it requires, announced in the transcript before it is done, looked at
//! after.
//!
//! Nothing here decides what may follow what: a line that people, budget or rehearsal do not allow is not written, and
//! what it would announce is not done ([`ceremony_core::held`]).

use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ca::algorithms::AlgorithmPolicy;
use ca::fields::RequestedFields;
use ca::prepare::{KeySource, Signer};
use ca::profile::ProfileSet;
use ceremony_core::attendance::{DECLARATION, PRESENCE, STAND_IN};
use ceremony_core::plan::{
    Attributes, BackupWay, Input, InputContent, Kind as CeremonyKind, NumberRule, Operation, Plan,
    Role, Step, Word,
};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Fact, Kind, Record};
use ceremony_core::words::Fingerprint;
use crl::CrlNumber;
use hsm::{Holding, KeyId, KeyOrder, Module, ObjectKind, Proofs, Removal, Token, TokenSigner};
use indicatif::{ProgressBar, ProgressStyle};
use x509::certificate::Certificate;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::time::UnixTime;

use crate::ceremony_tokens::{self, Fate};
use crate::company::Company;
use crate::gates;
use crate::home::Home;
use crate::signed::{self, Compared, PlannedRoot};
use crate::stopped::Stopped;
use crate::transcript::{Transcript, TranscriptError};
use crate::works::{Work, Works, intent_id, now};

/// Longest wait for a key: RSA 4096 takes seconds, and much more on a slow token.
const KEY_DEADLINE: Duration = Duration::from_secs(600);
/// Longest wait for a list of what a token holds, and for a signature.
const DEADLINE: Duration = Duration::from_secs(60);
/// What the initialising of a token is called in an intent.
const PREPARE_TOKEN: &str = "prepare-token";

/// Refuses a plan with a step that is not done here, before any is.
///
/// # Errors
///
/// Names the kind or the step.
pub(crate) fn only_what_is_held(plan: &Plan) -> anyhow::Result<()> {
    if plan.kind != CeremonyKind::RootKey {
        bail!(
            "a ceremony of kind {} is not held by this version: {} is; nothing was done",
            plan.kind.code(),
            CeremonyKind::RootKey.code()
        );
    }
    for step in &plan.steps {
        let lacks = match &step.operation {
            Operation::GenerateKey { backup: BackupWay::Wrapped, .. } => {
                "a key with a wrapped copy"
            }
            Operation::Crl { series, revoke, .. } if series.is_some() || !revoke.is_empty() => {
                "a first CRL that is a series or names certificates"
            }
            Operation::Declare { .. }
            | Operation::PrepareToken { .. }
            | Operation::GenerateKey { .. }
            | Operation::Certificate { .. }
            | Operation::Crl { .. } => continue,
            other => other.name().as_str(),
        };
        bail!("step {}: {lacks} is not held by this version; nothing was done", step.id);
    }
    Ok(())
}

/// What a ceremony is held with.
#[derive(Clone, Copy)]
pub(crate) struct With<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) inputs: &'a [(&'a Input, Vec<u8>)],
    pub(crate) home: &'a Home,
    pub(crate) module: &'a Module,
    pub(crate) profiles: &'a ProfileSet,
    pub(crate) algorithms: &'a AlgorithmPolicy,
    pub(crate) fate: Fate,
}

/// A ceremony that is being held.
pub(crate) struct Ceremony<'a> {
    with: With<'a>,
    plan: &'a Plan,
    company: Company<'a>,
    transcript: Transcript<'a>,
    signer: TokenSigner,
    tokens: BTreeMap<&'a Word, Token>,
    /// By the step that made them, with their token.
    keys: BTreeMap<&'a Word, (PublicKey, &'a Word)>,
    /// By the step that signed them.
    certificates: BTreeMap<&'a Word, Certificate>,
}

impl<'a> Ceremony<'a> {
    /// A ceremony of which nothing is done in this run.
    pub(crate) fn new(with: With<'a>, company: Company<'a>, transcript: Transcript<'a>) -> Self {
        Self {
            with,
            plan: with.plan,
            company,
            transcript,
            signer: TokenSigner::new(DEADLINE),
            tokens: BTreeMap::new(),
            keys: BTreeMap::new(),
            certificates: BTreeMap::new(),
        }
    }

    /// Holds it from its first step to its last, with a bar on a terminal, and returns its transcript.
    ///
    /// # Errors
    ///
    /// [`Stopped`] and the transcript's; what was done until then stands in it.
    pub(crate) fn hold(mut self) -> anyhow::Result<Transcript<'a>> {
        let bar = progress(self.plan);
        for (person, spki_sha256) in self.company.stand_in_hashes() {
            let facts = [("what", Fact::from(STAND_IN)), ("spki_sha256", spki_sha256.into())];
            self.transcript.write_of(Kind::Check, vec![person.to_string()], &facts)?;
        }
        for token in &self.plan.tokens {
            let prepares = |step: &Step| matches!(&step.operation, Operation::PrepareToken { token: name } if *name == token.name);
            if !self.plan.steps.iter().any(prepares) {
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
                self.require(step)?;
            }
            let acted = if is_done { self.recall(step) } else { self.act(step) };
            acted.with_context(|| format!("step {}", step.id))?;
            if !is_done && step.operation.is_irreversible() {
                self.transcript.write_head(Kind::Checkpoint)?;
            }
        }
        self.transcript.enter("end");
        self.count_objects()?;
        self.transcript.write_head(Kind::Close)?;
        bar.finish_and_clear();
        Ok(self.transcript)
    }

    /// Whoever is required and not there answers. Who cannot is absent, and whether too many are the transcript says.
    fn gather(&mut self, step: &Step) -> anyhow::Result<()> {
        for requirement in &step.requires {
            for id in self.company.for_role(*requirement) {
                let held = self.transcript.held().context("this is no ceremony with people")?;
                let attendance = held.attendance();
                if attendance.present().contains(id) {
                    continue;
                }
                let person = self.plan.people.person(id).context("the plan has no such person")?;
                let challenge = attendance.challenge(self.transcript.head(), step.id.as_str());
                let answer = self.company.answer(person, &challenge.statement(id.as_str())?)?;
                let facts = [("what", Fact::from(PRESENCE)), ("statement", answer.as_str().into())];
                self.transcript.write_of(Kind::Attest, vec![id.to_string()], &facts)?;
            }
        }
        Ok(())
    }

    /// What an earlier run announced is not taken up by fewer people than it takes to announce it.
    fn require(&self, step: &Step) -> Result<(), TranscriptError> {
        let Some(held) = self.transcript.held() else { return Ok(()) };
        held.attendance().require(step).map_err(|fault| TranscriptError::Held(fault.into()))
    }

    /// Takes up what an earlier run did in a step that came to its end, and compares it with what it told.
    fn recall(&mut self, step: &'a Step) -> anyhow::Result<()> {
        match &step.operation {
            Operation::PrepareToken { token } => {
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
                self.signer.add(&of, &key, hsm::KeyPolicy::issuing())?;
                self.keys.insert(&step.id, (key, token));
            }
            Operation::Certificate { out, .. } => {
                let der = self.output(out.as_str())?;
                self.certificates.insert(&step.id, Certificate::from_der(&der)?);
            }
            Operation::Crl { out, .. } => drop(self.output(out.as_str())?),
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
        if self.told("sha256") != Some(Fingerprint::of(&der).to_string()) {
            let refused = format!("{} is not what the transcript tells of", path.display());
            return Err(stop(Refusal::Output, refused).into());
        }
        Ok(der)
    }

    fn act(&mut self, step: &'a Step) -> anyhow::Result<()> {
        match &step.operation {
            Operation::Declare { by, text } => self.declare(*by, text.as_str()),
            Operation::PrepareToken { token } => self.prepare_token(token),
            Operation::GenerateKey { token, key, attributes, .. } => {
                self.key(step, token, *key, attributes)
            }
            Operation::Certificate {
                key_of,
                profile,
                algorithm,
                common_name,
                organization,
                not_after,
                out,
                ..
            } => {
                let fields = RequestedFields {
                    common_name: Some(common_name.to_string()),
                    organization: Some(organization.to_string()),
                    ..RequestedFields::default()
                };
                self.root(step, key_of, profile, (*algorithm, &fields, *not_after), out.as_str())
            }
            Operation::Crl { issuer, algorithm, number, lifetime, out, .. } => {
                self.first_crl(issuer, *algorithm, *number, *lifetime, out.as_str())
            }
            other => bail!("{} is not done by this version", other.name().as_str()),
        }
    }

    fn declare(&mut self, by: Role, text: &str) -> anyhow::Result<()> {
        let who = self.present(by).into_iter().take(1).collect();
        let facts = [("text", Fact::from(text)), ("what", DECLARATION.into())];
        Ok(self.transcript.write_of(Kind::Attest, who, &facts)?)
    }

    /// Those who have a role and are there.
    fn present(&self, role: Role) -> Vec<String> {
        let Some(held) = self.transcript.held() else { return Vec::new() };
        let here = held.attendance().present();
        let duties = self.plan.people.duties.iter().filter(|duty| duty.role == role);
        let people: BTreeSet<&Word> = duties.map(|duty| &duty.person).collect();
        people.into_iter().filter(|id| here.contains(id)).map(ToString::to_string).collect()
    }

    /// A token in the place of one that is there before the ceremony begins.
    fn open_token(&mut self, name: &'a Word) -> anyhow::Result<()> {
        let token = self.open(name)?;
        let facts = [
            ("result", Fact::from("there")),
            ("token", token.name().to_string().into()),
            ("what", format!("token {name}").into()),
        ];
        self.transcript.write(Kind::Check, &facts)?;
        self.tokens.insert(name, token);
        Ok(())
    }

    /// A token that an earlier run made. A rehearsal has no earlier one.
    fn recall_token(&self, name: &Word) -> anyhow::Result<Token> {
        let planned = self.plan.token(name).context("the plan has no such token")?;
        ceremony_tokens::recall(self.with.module, self.with.home, planned)
    }

    fn open(&self, name: &Word) -> anyhow::Result<Token> {
        let planned = self.plan.token(name).context("the plan has no such token")?;
        ceremony_tokens::open(self.with.module, self.with.home, planned, self.with.fate)
    }

    fn prepare_token(&mut self, name: &'a Word) -> anyhow::Result<()> {
        let is_told = self.transcript.told_before(Kind::Result).next().is_some();
        let is_announced = self.transcript.unfinished(PREPARE_TOKEN, name.as_str()).is_some();
        if !is_told && !is_announced {
            let facts = [
                ("act", Fact::from(PREPARE_TOKEN)),
                ("intent", intent_id(now()?)?.to_string().into()),
                ("what", name.as_str().into()),
            ];
            self.transcript.write(Kind::Intent, &facts)?;
        }
        let token = if is_told { self.recall_token(name)? } else { self.open(name)? };
        let objects = token.holdings(Proofs::None, DEADLINE)?.len();
        if objects > 0 {
            let refused =
                format!("token {} holds {objects} objects, and is to be empty", token.name());
            return Err(stop(Refusal::Token, refused).into());
        }
        if !is_told {
            let made = [("token", Fact::from(token.name().to_string()))];
            self.transcript.end_work(Kind::Result, &made)?;
        }
        self.tokens.insert(name, token);
        Ok(())
    }

    fn key(
        &mut self,
        step: &'a Step,
        token: &'a Word,
        key_type: KeyType,
        attributes: &Attributes,
    ) -> anyhow::Result<()> {
        let (of, id) = (self.token(token)?.clone(), self.key_id(step));
        self.judge_objects(&of, token, step)?;
        let order =
            KeyOrder { key_type, label: step.id.to_string(), id, removal: Removal::Forbidden };
        let key = self.works(&mut nobody()).key(&of, order, KEY_DEADLINE)?;
        let holdings = of.holdings(Proofs::None, DEADLINE)?;
        let whole = self.pairs(token).saturating_add(1).saturating_mul(2);
        if holdings.len() != whole {
            return Err(by_half(&of, step, holdings.len(), whole).into());
        }
        let is_it = |holding: &&Holding| {
            holding.kind == ObjectKind::PrivateKey && holding.name.id() == id.as_bytes()
        };
        let mut found = holdings.iter().filter(is_it);
        let (Some(private), None) = (found.next(), found.next()) else {
            let refused =
                format!("token {} has not one private key of step {}", of.name(), step.id);
            return Err(stop(Refusal::Token, refused).into());
        };
        compare_attributes(private, attributes)?;
        let facts = [("result", Fact::from("as planned")), ("what", "attributes".into())];
        self.transcript.write(Kind::Check, &facts)?;
        self.signer.add(&of, &key, hsm::KeyPolicy::issuing())?;
        self.keys.insert(&step.id, (key, token));
        Ok(())
    }

    /// What lies on a token before its next key is made: whole pairs of this ceremony, or what an earlier run announced and did not come to
    /// tell of. A key that nobody announced, and one that was made by half, end the ceremony.
    fn judge_objects(&self, of: &Token, token: &Word, step: &Step) -> anyhow::Result<()> {
        let whole = self.pairs(token).saturating_mul(2);
        let is_announced = self.transcript.told_before(Kind::Intent).next().is_some();
        let objects = match of.holdings(Proofs::None, DEADLINE) {
            Ok(holdings) => holdings.len(),
            Err(error) if !is_announced => return Err(error.into()),
            // A half-written object can keep a token from listing any.
            Err(_) => usize::MAX,
        };
        if objects == whole || (is_announced && objects == whole.saturating_add(2)) {
            return Ok(());
        }
        Err(by_half(of, step, objects, whole).into())
    }

    /// Pairs of this ceremony on a token.
    fn pairs(&self, token: &Word) -> usize {
        self.keys.values().filter(|(_, on)| *on == token).count()
    }

    fn key_id(&self, step: &Step) -> KeyId {
        KeyId::of_step(self.plan.hash.as_bytes(), step.id.as_str())
    }

    fn root(
        &mut self,
        step: &'a Step,
        key_of: &Word,
        profile: &Word,
        (algorithm, fields, not_after): (SignatureAlgorithm, &RequestedFields, UnixTime),
        out: &str,
    ) -> anyhow::Result<()> {
        let (key, _) = self.keys.get(key_of).context("the key was not made")?.clone();
        let bytes = gates::given(self.with.inputs, profile, InputContent::Profile)?;
        let profile = ca::profile::Profile::parse(bytes)?;
        let (deployment, algorithms) = (self.plan.deployment, self.with.algorithms);
        let profile_of = &profile;
        let planned = PlannedRoot {
            deployment,
            algorithms,
            profile: profile_of,
            algorithm,
            fields,
            not_after,
        };
        signed::trial(&planned, &key)?;
        self.checked("trial with a throw-away key", "no finding, two libraries verify it")?;
        let mut compared = self.compared();
        let certificate = self.works(&mut compared).certificate(Work {
            file: file(out),
            profile: profile.name().as_str(),
            signer: Signer::Itself(algorithm),
            key: KeySource::Proven(&key),
            public_key: &key,
            fields: fields.clone(),
            ends_at: Some(not_after),
        })?;
        signed::finished_certificate(certificate.as_der(), &profile, &compared)?;
        self.checked(out, "no finding, two libraries verify it, signed is what was compared")?;
        self.certificates.insert(&step.id, certificate);
        Ok(())
    }

    fn first_crl(
        &mut self,
        issuer: &Word,
        algorithm: SignatureAlgorithm,
        NumberRule { floor, gap }: NumberRule,
        lifetime: Duration,
        out: &str,
    ) -> anyhow::Result<()> {
        let authority = self.certificates.get(issuer).context("its certificate was not made")?;
        let authority = authority.clone();
        // Above the floor, by the gap; there is no list before it.
        let above = floor.checked_add(gap).and_then(|number| number.checked_sub(1));
        let number = above.and_then(|above| CrlNumber::first().above_by(above));
        let number = number.context("the plan gives the CRL no number")?;
        let mut compared = self.compared();
        let der = self.works(&mut compared).first_crl(
            &authority,
            algorithm,
            &number,
            &file(out),
            lifetime,
        )?;
        signed::finished_crl(&der, &authority, &compared)?;
        self.checked(out, "no finding, two libraries verify it, signed is what was compared")
    }

    /// Each token holds both halves of each key that was made in it, and nothing else.
    fn count_objects(&mut self) -> anyhow::Result<()> {
        for (name, token) in self.tokens.clone() {
            let planned = self.keys.values().filter(|(_, of)| *of == name).count();
            let holdings = token.holdings(Proofs::None, DEADLINE)?;
            let count =
                |kind: ObjectKind| holdings.iter().filter(|holding| holding.kind == kind).count();
            let seen =
                (count(ObjectKind::PrivateKey), count(ObjectKind::PublicKey), holdings.len());
            if seen != (planned, planned, planned.saturating_mul(2)) {
                let refused = format!(
                    "token {} holds {} private and {} public keys among {} objects; {planned} pairs were made in it",
                    token.name(),
                    seen.0,
                    seen.1,
                    seen.2
                );
                return Err(stop(Refusal::Token, refused).into());
            }
            self.checked(&format!("objects of {name}"), &format!("{planned} key pairs"))?;
        }
        Ok(())
    }

    fn checked(&mut self, what: &str, result: &str) -> anyhow::Result<()> {
        let facts = [("result", Fact::from(result)), ("what", what.into())];
        Ok(self.transcript.write(Kind::Check, &facts)?)
    }

    /// With what an earlier run had compared in this step.
    fn compared(&self) -> Compared {
        let before = self.transcript.told_before(Kind::Readback).next();
        let before = before.and_then(|record| record.text("sha256")?.parse::<Fingerprint>().ok());
        let tbs_sha256 = before.map(|hash| *hash.as_bytes());
        Compared { tbs_sha256 }
    }

    fn token(&self, name: &Word) -> anyhow::Result<&Token> {
        self.tokens.get(name).with_context(|| format!("token {name} is not open"))
    }

    fn works<'b>(&'b mut self, compared: &'b mut Compared) -> Works<'b, 'a> {
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

fn by_half(of: &Token, step: &Step, objects: usize, whole: usize) -> Stopped {
    let held = if objects == usize::MAX {
        "objects that cannot be listed".to_owned()
    } else {
        format!("{objects} objects")
    };
    Stopped {
        refusal: Refusal::Token,
        refused: format!(
            "token {} holds {held} at the key of step {}, and {whole} were to be there: a key was made that nobody \
             announced, or by half",
            of.name(),
            step.id
        ),
        next_step: "stop: nothing on this token is used; hold the ceremony anew with another token, in a new home",
    }
}

fn is_declaration(record: &Record) -> bool {
    record.text("what") == Some(DECLARATION)
}

/// Where nothing is signed nothing is compared.
const fn nobody() -> Compared {
    Compared { tbs_sha256: None }
}

/// The name among the outputs: the plan's outputs all lie below `out/`.
fn file(out: &str) -> String {
    out.strip_prefix("out/").unwrap_or(out).to_owned()
}

/// Reads back what the key is and holds it against the plan.
///
/// # Errors
///
/// [`Stopped`] with R12 and the first attribute that is another, or is not told.
fn compare_attributes(private: &Holding, planned: &Attributes) -> Result<(), Stopped> {
    for (name, wanted) in planned.rows() {
        let found = private.attributes.flag(name);
        if found != Some(wanted) {
            let found = found.map_or_else(|| "not told".to_owned(), |flag| flag.to_string());
            let refused = format!("key {}: {name} is {found}, the plan has {wanted}", private.name);
            return Err(stop(Refusal::Key, refused));
        }
    }
    Ok(())
}

fn stop(refusal: Refusal, refused: String) -> Stopped {
    let next_step = "stop: do not use the key, and find out what the token does";
    Stopped { refusal, refused, next_step }
}
