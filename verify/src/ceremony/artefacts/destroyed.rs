//! Keys that were destroyed: announced and told, with every other copy named, and by a CA that needs its key no more.

use ceremony_core::destruction::{AFTERWARDS, GONE, OTHER_COPY, is_final};
use ceremony_core::plan::{Line, Operation, Role, Step, Word};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{Kind, Record};
use ceremony_core::words::Fingerprint;

use super::Works;
use crate::ceremony::check::Fault;
use crate::ceremony::crls;
use crate::ceremony::tokens;

impl Works<'_> {
    /// Each key that the plan destroys was destroyed once, in its token, as the plan has it.
    ///
    /// # Errors
    ///
    /// R12 for another key, R06 for another token or one that still holds it, R08 for a copy that nobody named, R13 for a CA that needs its key.
    pub(in crate::ceremony) fn destroyed(&self) -> Result<usize, Fault> {
        for step in &self.plan.steps {
            let Operation::Destroy { token, key, copies, certificate, final_crl, .. } =
                &step.operation
            else {
                continue;
            };
            self.is_destroyed(step, token, *key)?;
            copies.iter().try_for_each(|copy| self.is_named(step, copy))?;
            if let (Some(certificate), Some(list)) = (certificate, final_crl) {
                self.is_final(step, *key, certificate, list)?;
            }
        }
        Ok(self.made.destroyed.len())
    }

    fn is_destroyed(&self, step: &Step, token: &Word, key: Fingerprint) -> Result<(), Fault> {
        let refused =
            |refusal: Refusal, why: String| Fault::new(refusal, format!("step {}: {why}", step.id));
        let mut of = self.made.destroyed.iter().filter(|one| one.step == step.id.as_str());
        let (Some(one), None) = (of.next(), of.next()) else {
            return Err(refused(Refusal::Key, "it destroyed not one key".to_owned()));
        };
        for (whose, seen) in [("announced", &one.announced), ("told", &one.spki_sha256)] {
            if *seen != key.to_string() {
                let why = format!("{whose} is the key {seen}; the plan destroys {key}");
                return Err(refused(Refusal::Key, why));
            }
        }
        let planned = self.plan.token(token);
        if !planned.is_some_and(|planned| tokens::is_planned(planned, &one.token)) {
            let why = format!("destroyed in token {}; the plan has {token}", one.token);
            return Err(refused(Refusal::Token, why));
        }
        let of_step = self.told.0.iter().filter(|record| record.step == step.id.as_str());
        let after = of_step.skip_while(|record| record.kind != Kind::Result);
        let is_gone = |record: &Record| {
            record.kind == Kind::Check
                && record.text("what") == Some(AFTERWARDS)
                && record.text("result") == Some(GONE)
        };
        if !after.into_iter().any(is_gone) {
            let why = format!("no line after it tells that there is {GONE}");
            return Err(refused(Refusal::Token, why));
        }
        Ok(())
    }

    /// Two people who were there name a copy, and one of them is a witness.
    fn is_named(&self, step: &Step, copy: &Line) -> Result<(), Fault> {
        let witnesses = self.plan.people.of(Role::Witness);
        let names = |record: &&Record| {
            record.kind == Kind::Attest
                && record.step == step.id.as_str()
                && record.text("what") == Some(OTHER_COPY)
                && record.text("text") == Some(copy.as_str())
        };
        let is_witness = |id: &String| witnesses.iter().any(|one| one.as_str() == id);
        let mut named = self.told.0.iter().filter(names).map(|record| &record.who);
        if named.any(|who| who.iter().any(is_witness) && who.iter().any(|id| !is_witness(id))) {
            return Ok(());
        }
        let why = format!("step {}: no witness and another person name the copy {copy:?}", step.id);
        Err(Fault::new(Refusal::Quorum, why))
    }

    /// The last CRL of a CA whose key was destroyed answers until its end.
    fn is_final(
        &self,
        step: &Step,
        key: Fingerprint,
        certificate: &Word,
        list: &Word,
    ) -> Result<(), Fault> {
        let named = |refusal: Refusal| {
            move |why: String| Fault::new(refusal, format!("step {}: {why}", step.id))
        };
        let issuer = self.issuer(certificate).map_err(named(Refusal::Key))?;
        let seen = issuer.public_key().spki_hash().to_string();
        if seen != key.to_string() {
            let why = format!("certificate {certificate} has key {seen}, and {key} was destroyed");
            return Err(named(Refusal::Key)(why));
        }
        let refused = named(Refusal::Crl);
        let octets = self.input(list, ceremony_core::plan::InputContent::Crl).map_err(refused)?;
        let list = crls::read(octets).map_err(refused)?;
        list.is_whole_and_of(&issuer).map_err(refused)?;
        let (next, end) = (list.next_update().map_err(refused)?, issuer.validity().not_after());
        if is_final(next, end) {
            return Ok(());
        }
        Err(refused(format!(
            "the last CRL is in force until {next}, and certificates of the CA until {end}"
        )))
    }
}

#[cfg(test)]
#[path = "../tests/destroyed.rs"]
mod tests;
