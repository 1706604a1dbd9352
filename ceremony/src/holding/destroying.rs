//! The destruction of a key with its token: announced before, gone on with after a crash, looked for afterwards.
//!
//! The key of a CA is made such that no program removes it (CKA_DESTROYABLE), so what ends it is the initialising of its token, which holds nothing
//! else. That can be done again and comes to the same, so what a run left by half the next one ends.

use anyhow::{Context as _, bail};
use ceremony_core::attendance::DESTROYED_UNREAD;
use ceremony_core::destruction::{AFTERWARDS, GONE, OTHER_COPY};
use ceremony_core::plan::{InputContent, Line, Operation, OperationName, Role, Step, Word};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Fact, Kind, Record};
use hsm::{Holding, KeyId, KeyOrder, ObjectKind, Proofs, Removal, Token};
use x509::key::{KeyType, PublicKey, SpkiHash};

use super::{Ceremony, DEADLINE, KEY_DEADLINE, stop};
use crate::ceremony_tokens::{self, Fate};
use crate::gates;
use crate::home::replace;
use crate::lists;
use crate::stopped::Stopped;
use crate::works::{adopted, intent_id, now};

/// What an INTENT to destroy is called.
const DESTROY: &str = OperationName::Destroy.as_str();

impl<'a> Ceremony<'a> {
    /// The step that destroys what is in this token.
    pub(super) fn destroys(&self, name: &Word) -> Option<&'a Step> {
        let ends = |step: &&Step| matches!(&step.operation, Operation::Destroy { token, .. } if token == name);
        self.plan.steps.iter().find(ends)
    }

    /// Whether an earlier run announced that it would destroy what is in this token, so that it is not as it was before.
    pub(super) fn was_doomed(&mut self, name: &Word) -> bool {
        let Some(step) = self.destroys(name) else { return false };
        self.transcript.enter(step.id.as_str());
        let is_doomed = self.transcript.told_before(Kind::Intent).next().is_some();
        self.transcript.enter("begin");
        is_doomed
    }

    /// A throw-away key in the place of the one that is destroyed on the day.
    pub(super) fn doom(&mut self, token: &Token, step: &'a Step) -> anyhow::Result<()> {
        let order = KeyOrder {
            key_type: KeyType::EcP384,
            label: step.id.to_string(),
            id: KeyId::of_step(self.plan.hash.as_bytes(), step.id.as_str()),
            removal: Removal::Forbidden,
        };
        let key = token.generate_key(order, KEY_DEADLINE)?;
        self.doomed.insert(&step.id, key.spki_hash());
        Ok(())
    }

    pub(super) fn destroy(&mut self, step: &'a Step) -> anyhow::Result<()> {
        let Operation::Destroy { token: name, key, copies, .. } = &step.operation else {
            bail!("step {} destroys no key", step.id);
        };
        let stands_in = self.doomed.get(&step.id).copied();
        let key = stands_in.unwrap_or(SpkiHash::from_bytes(*key.as_bytes()));
        let is_told = self.transcript.told_before(Kind::Result).next().is_some();
        let is_announced = self.transcript.unfinished(DESTROY, name.as_str()).is_some();
        if !is_told && !is_announced {
            self.may_be_destroyed(step, name, key)?;
            self.name_copies(copies)?;
            let compared =
                [("sha256", Fact::from(key.to_string())), ("what", DESTROYED_UNREAD.into())];
            self.transcript.write(Kind::Readback, &compared)?;
            let facts = [
                ("act", Fact::from(DESTROY)),
                ("intent", intent_id(now()?)?.to_string().into()),
                ("key", key.to_string().into()),
                ("token", self.token(name)?.name().to_string().into()),
                ("what", name.as_str().into()),
            ];
            self.transcript.write(Kind::Intent, &facts)?;
        }
        let known = std::fs::read(self.kept_key(step)).context("the key is not known any more")?;
        let known = PublicKey::from_spki_der(&known)?;
        let token = if is_told { self.emptied(name)? } else { self.erase(name, key)? };
        self.is_gone(&token, &known)?;
        if !is_told {
            let mut facts = vec![("spki_sha256", Fact::from(key.to_string()))];
            facts.extend(is_announced.then(adopted));
            self.transcript.end_work(Kind::Result, &facts)?;
        }
        self.contents.remove(name);
        self.tokens.insert(name, token);
        self.checked(AFTERWARDS, GONE)
    }

    /// A token in which an earlier run destroyed everything holds nothing.
    pub(super) fn recall_destroyed(&mut self, name: &'a Word) -> anyhow::Result<()> {
        let token = self.emptied(name)?;
        let left = token.holdings(Proofs::None, DEADLINE)?.len();
        if left > 0 {
            return Err(still_holds(&token, left).into());
        }
        self.tokens.insert(name, token);
        Ok(())
    }

    /// The key is there and proves itself, it is alone with its public half, and its CA does not need it any more.
    fn may_be_destroyed(&mut self, step: &Step, name: &Word, key: SpkiHash) -> anyhow::Result<()> {
        let token = self.token(name)?.clone();
        let Some(found) = token.key_by_hash(key)? else {
            let refused = format!("token {} does not hold the key {key}", token.name());
            return Err(stop(Refusal::Key, refused).into());
        };
        token.prove(&found)?;
        let holdings = token.holdings(Proofs::None, DEADLINE)?;
        let halves = |kind: ObjectKind| {
            let is_it = |one: &&Holding| one.kind == kind && one.public.key() == Some(&found);
            holdings.iter().filter(is_it).count()
        };
        let seen = (halves(ObjectKind::PrivateKey), halves(ObjectKind::PublicKey), holdings.len());
        if seen != (1, 1, 2) {
            let refused = format!(
                "token {} holds {} objects, and a key ends with its token: both halves of {key}, and nothing else, are to be in it",
                token.name(),
                holdings.len()
            );
            return Err(kept(Refusal::Token, refused).into());
        }
        self.final_crl(step)?;
        // Public, and needed by a later run, which finds it nowhere else.
        replace(&self.kept_key(step), found.spki_der())?;
        self.checked("the key before", "there, proven, and nothing else in its token")
    }

    fn kept_key(&self, step: &Step) -> std::path::PathBuf {
        self.with.home.join(&format!("ceremony/{}.spki", step.id))
    }

    /// Whoever relies on a certificate of the CA has an answer until it ends, and needs the key for none.
    fn final_crl(&mut self, step: &Step) -> anyhow::Result<()> {
        let Operation::Destroy {
            certificate: Some(certificate), final_crl: Some(list), key, ..
        } = &step.operation
        else {
            return Ok(());
        };
        let authority = self.real_issuer(certificate)?;
        let seen = authority.public_key().spki_hash().to_string();
        if seen != key.to_string() {
            let refused =
                format!("certificate {certificate} has key {seen}; the plan destroys {key}");
            return Err(kept(Refusal::Key, refused).into());
        }
        lists::last(gates::given(self.with.inputs, list, InputContent::Crl)?, &authority)?;
        self.checked("last CRL of the CA", "in force until its end, two libraries verify it")
    }

    /// Each other copy is named by two people: what becomes of it no program sees.
    fn name_copies(&mut self, copies: &[Line]) -> anyhow::Result<()> {
        for copy in copies {
            let is_it = |record: &Record| {
                record.text("what") == Some(OTHER_COPY)
                    && record.text("text") == Some(copy.as_str())
            };
            if self.transcript.told_before(Kind::Attest).any(is_it) {
                continue;
            }
            let mut who = self.transcript.present(Role::Witness);
            who.truncate(1);
            who.extend(self.transcript.present(Role::Operator).into_iter().take(1));
            let facts = [("text", Fact::from(copy.as_str())), ("what", OTHER_COPY.into())];
            self.transcript.write_of(Kind::Attest, who, &facts)?;
        }
        Ok(())
    }

    /// Erases a token, or what an earlier run left of it. Only what was announced ends: another key keeps it from being erased.
    fn erase(&mut self, name: &'a Word, key: SpkiHash) -> anyhow::Result<Token> {
        let token = match self.tokens.remove(name) {
            Some(token) => token,
            None => self.emptied(name)?,
        };
        let of = token.name().clone();
        let told = self.transcript.unfinished(DESTROY, name.as_str());
        let told = told.and_then(|open| open.record.text("token").map(str::to_owned));
        if told.is_some_and(|told| told != of.to_string()) {
            let refused = format!("token {of} is not the one of which the transcript tells");
            return Err(kept(Refusal::Token, refused).into());
        }
        // What a crash left by half can keep a token from listing any.
        let listed = token.holdings(Proofs::None, DEADLINE);
        if let Ok(holdings) = &listed {
            let other =
                |one: &Holding| one.public.key().is_some_and(|public| public.spki_hash() != key);
            if holdings.iter().any(other) {
                let refused = format!("token {of} holds another key than {key} by now");
                return Err(kept(Refusal::Token, refused).into());
            }
            if holdings.is_empty() {
                return Ok(token);
            }
        }
        // A token of which a session is left is not initialised.
        drop(token);
        let planned = self.plan.token(name).context("the plan has no such token")?;
        ceremony_tokens::erase(self.with.module, self.with.tokens, planned, &of, self.with.fate)
    }

    /// A token that an earlier run may have erased.
    fn emptied(&self, name: &Word) -> anyhow::Result<Token> {
        if self.with.fate == Fate::ThrownAway {
            bail!("a rehearsal has no earlier run");
        }
        let planned = self.plan.token(name).context("the plan has no such token")?;
        ceremony_tokens::reopen(self.with.module, self.with.tokens, planned)
    }

    /// Nothing is found in the token, and the key signs nothing.
    fn is_gone(&self, token: &Token, key: &PublicKey) -> Result<(), anyhow::Error> {
        let left = token.holdings(Proofs::None, DEADLINE)?.len();
        if left > 0 || token.key_by_hash(key.spki_hash())?.is_some() || token.prove(key).is_ok() {
            return Err(still_holds(token, left).into());
        }
        Ok(())
    }
}

fn still_holds(token: &Token, left: usize) -> Stopped {
    let refused = format!("token {} still holds {left} objects", token.name());
    let next_step = "stop: the key is not destroyed; keep the token under lock, and ask its maker how it is erased";
    Stopped { refusal: Refusal::Token, refused, next_step }
}

fn kept(refusal: Refusal, refused: String) -> Stopped {
    let next_step = "plan anew with what is there; nothing was destroyed";
    Stopped { refusal, refused, next_step }
}
