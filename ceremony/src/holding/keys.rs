//! Tokens and the keys in them: what is there before, what is made, and that nothing else is there after.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::{Context as _, bail};
use ceremony_core::plan::{
    Attributes, Content, Input, InputContent, Kind as CeremonyKind, Operation, PlannedToken, Step,
    Word,
};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Fact, Kind, Record};
use ceremony_core::words::Fingerprint;
use hsm::{Holding, KeyId, KeyOrder, KeyPolicy, ObjectKind, Proofs, Removal, Token};
use indicatif::{ProgressBar, ProgressStyle};
use x509::certificate::Certificate;

use super::{Ceremony, DEADLINE, Holders, KEY_DEADLINE, PREPARE_TOKEN, nobody, stop};
use crate::attended::{NewPins, WrongPin};
use crate::authority;
use crate::ceremony_tokens::{self, Fate};
use crate::gates;
use crate::home::replace;
use crate::inventory;
use crate::stopped::Stopped;
use crate::trial_key::TrialKey;
use crate::works::{intent_id, now};

impl<'a> Ceremony<'a> {
    /// A token that is there before the ceremony begins, with what the plan says that it holds; at a rehearsal a throw-away one in its place,
    /// with throw-away keys in the place of its issuers'.
    pub(super) fn open_token(&mut self, name: &'a Word) -> anyhow::Result<()> {
        let planned = self.plan.token(name).context("the plan has no such token")?;
        let token = match self.with.fate {
            Fate::ThrownAway => self.open(name)?,
            Fate::Kept => self.recall_token(name)?,
        };
        let what = format!("token {name}");
        let is_of = |record: &Record| record.text("what") == Some(&what);
        let is_first = !self.transcript.told_before(Kind::Check).any(is_of);
        let signs: Vec<&'a Word> =
            self.plan.steps.iter().filter_map(|step| self.issuer_input(step, name)).collect();
        if self.with.fate == Fate::ThrownAway {
            for issuer in &signs {
                self.stand_in(&token, issuer)?;
            }
            if let Some(step) = self.destroys(name) {
                self.doom(&token, step)?;
            }
        }
        let holdings = token.holdings(Proofs::None, DEADLINE)?;
        let seen = inventory::contents(&holdings)?;
        if self.with.fate == Fate::Kept {
            match planned.expect {
                Content::Inventory(wanted) if seen != wanted => {
                    let holds = format!(
                        "token {} holds what has SHA-256 {seen}, the plan expects {wanted}",
                        token.name()
                    );
                    return Err(stop(Refusal::Token, holds).into());
                }
                Content::Empty if is_first && !holdings.is_empty() => {
                    return Err(not_empty(&token, holdings.len()).into());
                }
                _ => {}
            }
        }
        if matches!(planned.expect, Content::Inventory(_)) {
            self.contents.insert(name, seen);
        }
        let facts = [
            ("result", Fact::from("there")),
            ("seen", seen.to_string().into()),
            ("token", token.name().to_string().into()),
            ("what", what.as_str().into()),
        ];
        self.transcript.write(Kind::Check, &facts)?;
        for issuer in signs {
            self.take_up(&token, issuer)?;
        }
        self.tokens.insert(name, token);
        Ok(())
    }

    /// The input with the certificate of who signs in this step, on this token.
    fn issuer_input(&self, step: &'a Step, name: &Word) -> Option<&'a Word> {
        let (Operation::Certificate { issuer, token, .. }
        | Operation::Delegate { issuer, token, .. }
        | Operation::Crl { issuer, token, .. }) = &step.operation
        else {
            return None;
        };
        let is_input =
            |input: &&Input| input.name == *issuer && input.content == InputContent::Certificate;
        (token == name && self.plan.inputs.iter().any(|input| is_input(&input))).then_some(issuer)
    }

    /// The certificate of an issuer that comes from outside.
    pub(super) fn real_issuer(&self, issuer: &Word) -> anyhow::Result<Certificate> {
        let der = gates::given(self.with.inputs, issuer, InputContent::Certificate)?;
        Ok(authority::certificate(issuer, der)?)
    }

    /// A throw-away key in the place of an issuer's, and its certificate with it.
    fn stand_in(&mut self, token: &Token, issuer: &'a Word) -> anyhow::Result<()> {
        if self.certificates.contains_key(issuer) {
            return Ok(());
        }
        let real = self.real_issuer(issuer)?;
        let order = KeyOrder {
            key_type: real.public_key().key_type(),
            label: issuer.to_string(),
            id: KeyId::of_step(self.plan.hash.as_bytes(), issuer.as_str()),
            removal: Removal::Forbidden,
        };
        TrialKey::ahead(order.key_type);
        let key = token.generate_key(order, KEY_DEADLINE)?;
        self.certificates.insert(issuer, authority::stand_in(&real, &key)?);
        Ok(())
    }

    /// The key of an issuer's certificate is on the token, and proves itself.
    fn take_up(&mut self, token: &Token, issuer: &'a Word) -> anyhow::Result<()> {
        let certificate = match self.certificates.get(issuer) {
            Some(known) => known.clone(),
            None => self.real_issuer(issuer)?,
        };
        let key = certificate.public_key();
        if token.key_by_hash(key.spki_hash())?.as_ref() != Some(key) {
            let refused = format!(
                "token {} does not hold the key of certificate {issuer}, {}",
                token.name(),
                key.spki_hash()
            );
            return Err(stop(Refusal::Key, refused).into());
        }
        token.prove(key)?;
        self.signer.add(token, key, KeyPolicy::issuing())?;
        self.certificates.insert(issuer, certificate);
        Ok(())
    }

    /// A token that an earlier run or ceremony made. A rehearsal has no earlier one.
    pub(super) fn recall_token(&mut self, name: &Word) -> anyhow::Result<Token> {
        let planned = self.plan.token(name).context("the plan has no such token")?;
        let (module, tokens) = (self.with.module, self.with.tokens);
        let Holders::Room(room) = self.holders else {
            return ceremony_tokens::recall(module, tokens, planned);
        };
        let found = ceremony_tokens::found(module, planned)?;
        loop {
            let pin = room.user_pin(&mut self.transcript, tokens, planned)?;
            match ceremony_tokens::open_by(module, tokens, planned, found.clone(), pin) {
                Err(error) if ceremony_tokens::is_wrong_pin(&error) => {
                    room.refused(&mut self.transcript, planned, WrongPin)?;
                }
                opened => return opened,
            }
        }
    }

    /// A blank token gets PINs that people have in their hands before anything is announced; one that an earlier run began to prepare has them
    /// already.
    fn new_pins(&mut self, planned: &PlannedToken) -> anyhow::Result<Option<NewPins>> {
        let Holders::Room(room) = self.holders else { return Ok(None) };
        let tokens = self.with.tokens;
        let is_announced =
            self.transcript.unfinished(PREPARE_TOKEN, planned.name.as_str()).is_some();
        Ok(Some(if is_announced {
            room.pins_again(&mut self.transcript, tokens, planned)?
        } else {
            room.new_pins(tokens, planned)?
        }))
    }

    fn open(&self, name: &Word) -> anyhow::Result<Token> {
        let planned = self.plan.token(name).context("the plan has no such token")?;
        ceremony_tokens::open(self.with.module, self.with.tokens, planned, self.with.fate)
    }

    pub(super) fn prepare_token(&mut self, name: &'a Word) -> anyhow::Result<()> {
        let is_told = self.transcript.told_before(Kind::Result).next().is_some();
        let is_announced = self.transcript.unfinished(PREPARE_TOKEN, name.as_str()).is_some();
        let planned = self.plan.token(name).context("the plan has no such token")?;
        let pins = if is_told { None } else { self.new_pins(planned)? };
        if !is_told && !is_announced {
            let facts = [
                ("act", Fact::from(PREPARE_TOKEN)),
                ("intent", intent_id(now()?)?.to_string().into()),
                ("what", name.as_str().into()),
            ];
            self.transcript.write(Kind::Intent, &facts)?;
        }
        let token = match pins {
            _ if is_told => self.recall_token(name)?,
            None => self.open(name)?,
            Some(pins) => {
                let (module, tokens) = (self.with.module, self.with.tokens);
                ceremony_tokens::prepare(module, tokens, planned, pins)?
            }
        };
        let objects = token.holdings(Proofs::None, DEADLINE)?.len();
        if objects > 0 {
            return Err(not_empty(&token, objects).into());
        }
        if !is_told {
            let made = [("token", Fact::from(token.name().to_string()))];
            self.transcript.end_work(Kind::Result, &made)?;
        }
        self.tokens.insert(name, token);
        Ok(())
    }

    pub(super) fn key(&mut self, step: &'a Step) -> anyhow::Result<()> {
        let Operation::GenerateKey { token, key, attributes, .. } = &step.operation else {
            bail!("step {} makes no key", step.id);
        };
        let key_type = *key;
        let (of, id) = (self.token(token)?.clone(), self.key_id(step));
        self.judge_objects(&of, token, step)?;
        let order =
            KeyOrder { key_type, label: step.id.to_string(), id, removal: Removal::Forbidden };
        let bar = self.spinner(step);
        TrialKey::ahead(key_type);
        let key = self.works(&mut nobody()).key(&of, order, KEY_DEADLINE);
        bar.finish_and_clear();
        let key = key?;
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
        if let Holders::Room(room) = self.holders {
            let path = self.with.home.join(&format!("ceremony/{}.spki", step.id));
            replace(&path, key.spki_der())?;
            let hash = Fingerprint::of(key.spki_der());
            room.read_back(&format!("{}.spki", step.id), &path, &hash)?;
        }
        self.signer.add(&of, &key, self.policy())?;
        self.keys.insert(&step.id, (key, token));
        Ok(())
    }

    /// While a token makes a key, which may take it minutes, people at the screen see that time goes by.
    fn spinner(&self, step: &Step) -> ProgressBar {
        if matches!(self.holders, Holders::Keys(_)) || !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{spinner} {elapsed_precise} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let bar = ProgressBar::new_spinner().with_style(style).with_message(step.id.to_string());
        bar.enable_steady_tick(Duration::from_millis(500));
        bar
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

    /// What a key that is made here may sign: a root's all that a CA signs, any other its own request.
    pub(super) fn policy(&self) -> KeyPolicy {
        match self.plan.kind {
            CeremonyKind::RootKey => KeyPolicy::issuing(),
            _ => KeyPolicy::requesting(),
        }
    }

    pub(super) fn key_id(&self, step: &Step) -> KeyId {
        KeyId::of_step(self.plan.hash.as_bytes(), step.id.as_str())
    }

    /// Each token holds both halves of each key that was made in it, and nothing else; or what it held before.
    pub(super) fn count_objects(&mut self) -> anyhow::Result<()> {
        for (name, token) in self.tokens.clone() {
            let holdings = token.holdings(Proofs::None, DEADLINE)?;
            if let Some(before) = self.contents.get(name) {
                let now = inventory::contents(&holdings)?;
                if now != *before {
                    let refused =
                        format!("token {} holds something else than before: {now}", token.name());
                    return Err(stop(Refusal::Token, refused).into());
                }
                self.checked(&format!("objects of {name}"), "as before")?;
                continue;
            }
            let planned = self.pairs(name);
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
}

fn not_empty(token: &Token, objects: usize) -> Stopped {
    let refused = format!("token {} holds {objects} objects, and is to be empty", token.name());
    stop(Refusal::Token, refused)
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
