//! Holds a ceremony by its plan: each step with the people whom it requires, announced in the transcript before it is done, looked at
//! after.
//!
//! Nothing here decides what may follow what: a line that people, budget or rehearsal do not allow is not written, and
//! what it would announce is not done ([`ceremony_core::held`]).

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ca::algorithms::AlgorithmPolicy;
use ca::fields::RequestedFields;
use ca::prepare::{KeySource, Signer};
use ca::profile::ProfileSet;
use ceremony_core::attendance::{PRESENCE, STAND_IN};
use ceremony_core::plan::{
    Attributes, BackupWay, Input, InputContent, Kind as CeremonyKind, NumberRule, Operation, Plan,
    Role, Step, Word,
};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Fact, Kind};
use crl::CrlNumber;
use hsm::{Holding, KeyId, KeyOrder, Module, ObjectKind, Proofs, Removal, Token, TokenSigner};
use x509::certificate::Certificate;
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::time::UnixTime;

use crate::home::Home;
use crate::signed::{self, Compared, PlannedRoot};
use crate::stand_ins::StandIns;
use crate::stopped::Stopped;
use crate::transcript::Transcript;
use crate::works::{Work, Works, intent_id, now};
use crate::{gates, throw_away};

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
            "a ceremony of kind {} is not rehearsed by this version: {} is; nothing was done",
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
        bail!("step {}: {lacks} is not rehearsed by this version; nothing was done", step.id);
    }
    Ok(())
}

/// A ceremony that is being held.
pub(crate) struct Ceremony<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) inputs: &'a [(&'a Input, Vec<u8>)],
    pub(crate) home: &'a Home,
    pub(crate) module: &'a Module,
    pub(crate) company: StandIns<'a>,
    pub(crate) profiles: &'a ProfileSet,
    pub(crate) algorithms: &'a AlgorithmPolicy,
    pub(crate) transcript: Transcript<'a>,
    pub(crate) signer: TokenSigner,
    pub(crate) tokens: BTreeMap<&'a Word, Token>,
    /// By the step that made them, with their token.
    pub(crate) keys: BTreeMap<&'a Word, (PublicKey, &'a Word)>,
    /// By the step that signed them.
    pub(crate) certificates: BTreeMap<&'a Word, Certificate>,
}

impl<'a> Ceremony<'a> {
    /// Holds it from its first step to its last; `tell` is told of each.
    ///
    /// # Errors
    ///
    /// [`Stopped`] and the transcript's; what was done until then stands in it.
    pub(crate) fn hold(&mut self, tell: &mut dyn FnMut(&Step)) -> anyhow::Result<()> {
        for (person, spki_sha256) in self.company.hashes().collect::<Vec<_>>() {
            let facts = [("what", Fact::from(STAND_IN)), ("spki_sha256", spki_sha256.into())];
            self.transcript.write_of(Kind::Check, vec![person.to_string()], &facts)?;
        }
        for token in &self.plan.tokens {
            let is_prepared_here = |step: &Step| matches!(&step.operation, Operation::PrepareToken { token: name } if *name == token.name);
            if !self.plan.steps.iter().any(is_prepared_here) {
                self.open_token(&token.name)?;
            }
        }
        for step in &self.plan.steps {
            tell(step);
            self.transcript.enter(step.id.as_str());
            self.gather(step)?;
            self.act(step).with_context(|| format!("step {}", step.id))?;
            if step.operation.is_irreversible() {
                self.transcript.write_head(Kind::Checkpoint)?;
            }
        }
        self.transcript.enter("end");
        self.count_objects()?;
        Ok(self.transcript.write_head(Kind::Close)?)
    }

    /// Whoever is required and not there answers.
    fn gather(&mut self, step: &Step) -> anyhow::Result<()> {
        for requirement in &step.requires {
            for id in self.plan.people.of(requirement.role) {
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
        let facts = [("text", Fact::from(text)), ("what", "declaration".into())];
        Ok(self.transcript.write_of(Kind::Attest, who, &facts)?)
    }

    /// Those who have a role and are there.
    fn present(&self, role: Role) -> Vec<String> {
        let here = self.transcript.held().map(|held| held.attendance().present());
        let is_here = |id: &&Word| here.is_some_and(|here| here.contains(*id));
        self.plan.people.of(role).into_iter().filter(is_here).map(ToString::to_string).collect()
    }

    /// A throw-away token in the place of one that is there before the ceremony begins.
    fn open_token(&mut self, name: &'a Word) -> anyhow::Result<()> {
        let planned = self.plan.token(name).context("the plan has no such token")?;
        let token = throw_away::token(self.module, self.home, planned)?;
        let facts = [
            ("result", Fact::from("there")),
            ("token", token.name().to_string().into()),
            ("what", format!("token {name}").into()),
        ];
        self.transcript.write(Kind::Check, &facts)?;
        self.tokens.insert(name, token);
        Ok(())
    }

    fn prepare_token(&mut self, name: &'a Word) -> anyhow::Result<()> {
        let planned = self.plan.token(name).context("the plan has no such token")?;
        let facts = [
            ("act", Fact::from(PREPARE_TOKEN)),
            ("intent", intent_id(now()?)?.to_string().into()),
            ("what", name.as_str().into()),
        ];
        self.transcript.write(Kind::Intent, &facts)?;
        let token = throw_away::token(self.module, self.home, planned)?;
        let made = [("token", Fact::from(token.name().to_string()))];
        self.transcript.end_work(Kind::Result, &made)?;
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
        let (of, plan) = (self.token(token)?.clone(), self.plan);
        let id = KeyId::of_step(plan.hash.as_bytes(), step.id.as_str());
        let order =
            KeyOrder { key_type, label: step.id.to_string(), id, removal: Removal::Forbidden };
        let key = self.works(&mut nobody()).key(&of, order, KEY_DEADLINE)?;
        let holdings = of.holdings(Proofs::None, DEADLINE)?;
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

    fn root(
        &mut self,
        step: &'a Step,
        key_of: &Word,
        profile: &Word,
        (algorithm, fields, not_after): (SignatureAlgorithm, &RequestedFields, UnixTime),
        out: &str,
    ) -> anyhow::Result<()> {
        let (key, _) = self.keys.get(key_of).context("the key was not made")?.clone();
        let bytes = gates::given(self.inputs, profile, InputContent::Profile)?;
        let profile = ca::profile::Profile::parse(bytes)?;
        let (deployment, algorithms) = (self.plan.deployment, self.algorithms);
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

    fn compared(&self) -> Compared {
        Compared { witnesses: self.present(Role::Witness), tbs_sha256: None }
    }

    fn token(&self, name: &Word) -> anyhow::Result<&Token> {
        self.tokens.get(name).with_context(|| format!("token {name} is not open"))
    }

    fn works<'b>(&'b mut self, compared: &'b mut Compared) -> Works<'b, 'a> {
        Works {
            home: self.home,
            deployment: self.plan.deployment,
            profiles: self.profiles,
            algorithms: self.algorithms,
            signer: &self.signer,
            transcript: &mut self.transcript,
            reader: compared,
        }
    }
}

/// Where nothing is signed nothing is compared.
const fn nobody() -> Compared {
    Compared { witnesses: Vec::new(), tbs_sha256: None }
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
