//! What is done in each step, and how often: what its plan says, and not once more.
//!
//! Counted is each act that is announced in the transcript, before it is done. The people who must be there are those of the step, so a
//! step's line announces the act of its operation alone. A signature that is made once more because a session or the program was
//! lost is of the same octets, and the same one; one that an EXCEPTION ended may have been made, and stays counted. Of a key or a token the
//! objects on the token say whether it was made.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::attendance::DECLARATION;
use crate::plan::{Operation, Plan, Step};
use crate::transcript::{Kind, Record};

/// What an INTENT to sign is called.
pub const SIGN: &str = "sign";

/// What was done by step, so far.
#[derive(Clone, Debug)]
pub struct Budget<'a> {
    plan: &'a Plan,
    /// How often the act of a step was announced.
    spent: BTreeMap<String, u32>,
    /// How often its end was told, or something declared.
    told: BTreeMap<String, u32>,
    /// What is under way.
    open: Option<Open>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Open {
    step: String,
    act: String,
    /// Of a signature: the hash of what is signed.
    tbs_sha256: Option<String>,
}

impl<'a> Budget<'a> {
    /// Nothing is done yet.
    #[must_use]
    pub const fn new(plan: &'a Plan) -> Self {
        Self { plan, spent: BTreeMap::new(), told: BTreeMap::new(), open: None }
    }

    /// Takes the next line.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] for an act that the plan does not have in this step, or not so often, which must not be done; and for an end before
    /// everything is done.
    pub fn take(&mut self, record: &Record) -> Result<(), OverBudget> {
        match record.kind {
            Kind::Intent => self.announce(record)?,
            Kind::Result => {
                if let Some(open) = self.open.take() {
                    self.tell(open.step);
                }
            }
            Kind::Attest if record.text("what") == Some(DECLARATION) => {
                self.tell(record.step.clone());
            }
            Kind::Exception if record.body.contains_key("intent") => {
                if let Some(open) = self.open.take()
                    && open.act != SIGN
                    && let Some(spent) = self.spent.get_mut(&open.step)
                {
                    *spent = spent.saturating_sub(1);
                }
            }
            Kind::Close => {
                for step in &self.plan.steps {
                    let told = self.told.get(step.id.as_str()).copied().unwrap_or_default();
                    let planned = ends(step);
                    if told < planned {
                        let step = step.id.to_string();
                        return Err(OverBudget::Undone { step, planned, told });
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn tell(&mut self, step: String) {
        let told = self.told.entry(step).or_default();
        *told = told.saturating_add(1);
    }

    fn announce(&mut self, record: &Record) -> Result<(), OverBudget> {
        let text = |name: &str| record.text(name).unwrap_or_default().to_owned();
        let step = record.step.clone();
        let (act, tbs_sha256) = (text("act"), record.text("tbs_sha256").map(str::to_owned));
        let announced = Open { step, act, tbs_sha256 };
        if record.body.contains_key("again") {
            if self.open.as_ref() == Some(&announced) {
                return Ok(());
            }
            return Err(OverBudget::Again { step: announced.step });
        }
        let step = self.plan.steps.iter().find(|step| step.id.as_str() == record.step);
        let (planned, allowed) = step.and_then(acts).unwrap_or(("nothing", 0));
        let Open { step, act, .. } = announced.clone();
        if act != planned {
            return Err(OverBudget::Act { step, act, planned });
        }
        let spent = self.spent.entry(step.clone()).or_default();
        if *spent >= allowed {
            return Err(OverBudget::Spent { step, act, allowed });
        }
        *spent = spent.saturating_add(1);
        self.open = Some(announced);
        Ok(())
    }
}

/// What is announced in a step, and how often; `None` where nothing is.
fn acts(step: &Step) -> Option<(&'static str, u32)> {
    let name = step.operation.name().as_str();
    match &step.operation {
        Operation::Declare { .. } | Operation::Enrol { .. } => None,
        Operation::PrepareToken { .. }
        | Operation::GenerateKey { .. }
        | Operation::Backup { .. }
        | Operation::Destroy { .. } => Some((name, 1)),
        Operation::Certificate { .. }
        | Operation::Request { .. }
        | Operation::Crl { .. }
        | Operation::Delegate { .. } => Some((SIGN, step.signatures)),
    }
}

/// How many results, or declarations, a step has at the end. The taking up of a responder's key announces nothing.
fn ends(step: &Step) -> u32 {
    match &step.operation {
        Operation::Declare { .. } => 1,
        _ => acts(step).map_or(0, |(_, count)| count),
    }
}

/// What the plan does not have: R14.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OverBudget {
    /// Another act than the step's.
    #[error("step {step:?} announces {act:?}, and the plan has {planned} in it")]
    Act {
        /// The step.
        step: String,
        /// What is announced.
        act: String,
        /// What its operation announces.
        planned: &'static str,
    },
    /// Once more.
    #[error("step {step:?} has announced {act} {allowed} times, as often as the plan allows")]
    Spent {
        /// The step.
        step: String,
        /// What.
        act: String,
        /// How often it may.
        allowed: u32,
    },
    /// As if it were what is under way.
    #[error("step {step:?} announces again what is not under way: another step, act or hash")]
    Again {
        /// The step.
        step: String,
    },
    /// The end before its time.
    #[error(
        "step {step:?} has {told} of the {planned} results or declarations that it is to have at the end"
    )]
    Undone {
        /// The step.
        step: String,
        /// How many.
        planned: u32,
        /// How many there are.
        told: u32,
    },
}

#[cfg(test)]
mod tests {
    use x509::time::UnixTime;

    use super::*;
    use crate::transcript::Fact;

    const TEXT: &str = include_str!("../../docs/ceremonies/plans/c1-root-key.toml");

    fn record(kind: Kind, step: &str, facts: &[(&str, &str)]) -> Record {
        let facts = facts.iter().map(|(name, text)| ((*name).to_owned(), Fact::from(*text)));
        let step = step.to_owned();
        let who = Vec::new();
        Record { time: UnixTime::EPOCH, run_ms: 0, step, kind, who, body: facts.collect() }
    }

    fn intent(step: &str) -> Record {
        record(Kind::Intent, step, &[("act", SIGN), ("intent", "1")])
    }

    fn spent(step: &str, act: &str, allowed: u32) -> OverBudget {
        OverBudget::Spent { step: step.to_owned(), act: act.to_owned(), allowed }
    }

    fn result(step: &str) -> Record {
        record(Kind::Result, step, &[("intent", "1")])
    }

    /// N34: a second signature of a step that has one, and one of a step that has none.
    #[test]
    fn a_signature_more_than_the_plan_has_is_refused() {
        let plan = Plan::read(TEXT.as_bytes()).unwrap();
        let mut budget = Budget::new(&plan);
        let other = |step: &str, planned| OverBudget::Act {
            step: step.to_owned(),
            act: SIGN.to_owned(),
            planned,
        };
        budget.take(&intent("root-certificate")).unwrap();
        budget.take(&result("root-certificate")).unwrap();
        let second = budget.take(&intent("root-certificate"));
        assert_eq!(second, Err(spent("root-certificate", SIGN, 1)));
        for (step, planned) in
            [("root-key", "generate-key"), ("safe", "nothing"), ("lunch", "nothing")]
        {
            assert_eq!(budget.take(&intent(step)), Err(other(step, planned)));
        }
        budget.take(&intent("first-crl")).unwrap();
    }

    /// The people who must be there are the step's, so what is done is the step's too: no key is made by those who open a safe.
    #[test]
    fn a_key_is_made_in_its_own_step_and_once() {
        let plan = Plan::read(TEXT.as_bytes()).unwrap();
        let mut budget = Budget::new(&plan);
        let key =
            |step: &str| record(Kind::Intent, step, &[("act", "generate-key"), ("intent", "1")]);
        for step in ["safe", "root-certificate", "lunch"] {
            let refused = budget.take(&key(step)).unwrap_err();
            assert!(matches!(refused, OverBudget::Act { .. }), "{refused}");
        }
        budget.take(&key("root-key")).unwrap();
        // None was made by the first, which ended.
        let nothing = [("intent", "1"), ("reason", "no effect")];
        budget.take(&record(Kind::Exception, "root-key", &nothing)).unwrap();
        budget.take(&key("root-key")).unwrap();
        budget.take(&result("root-key")).unwrap();
        assert_eq!(budget.take(&key("root-key")), Err(spent("root-key", "generate-key", 1)));
    }

    /// Nobody closes a ceremony of which something is not done.
    #[test]
    fn a_ceremony_ends_when_each_step_has_its_end() {
        let plan = Plan::read(TEXT.as_bytes()).unwrap();
        let close = record(Kind::Close, "end", &[]);
        let mut budget = Budget::new(&plan);
        for step in &plan.steps {
            let refused = budget.take(&close).unwrap_err();
            let undone = OverBudget::Undone { step: step.id.to_string(), planned: 1, told: 0 };
            assert_eq!(refused, undone);
            let id = step.id.as_str();
            match acts(step) {
                None => {
                    let declared = [("what", DECLARATION), ("text", "whole")];
                    budget.take(&record(Kind::Attest, id, &declared)).unwrap();
                }
                Some((act, _)) => {
                    let facts = [("act", act), ("intent", "1")];
                    budget.take(&record(Kind::Intent, id, &facts)).unwrap();
                    assert_eq!(budget.take(&close), Err(undone));
                    budget.take(&result(id)).unwrap();
                }
            }
        }
        budget.take(&close).unwrap();
    }

    /// N22: the same signature once more is no second one. One that may have been made stays counted.
    #[test]
    fn a_signature_that_is_made_again_is_one_and_one_that_was_broken_off_too() {
        let plan = Plan::read(TEXT.as_bytes()).unwrap();
        let mut budget = Budget::new(&plan);
        let signs = |tbs: &str, again: bool| {
            let mut signs = intent("first-crl");
            signs.body.insert("tbs_sha256".to_owned(), tbs.into());
            if again {
                signs.body.insert("again".to_owned(), "session lost".into());
            }
            signs
        };
        let again = Err(OverBudget::Again { step: "first-crl".to_owned() });
        assert_eq!(budget.take(&signs("aa", true)), again, "nothing is under way");
        budget.take(&signs("aa", false)).unwrap();
        budget.take(&signs("aa", true)).unwrap();
        assert_eq!(budget.take(&signs("ab", true)), again, "other octets");
        let lost = [("reason", "a medium is lost")];
        budget.take(&record(Kind::Exception, "first-crl", &lost)).unwrap();
        budget.take(&signs("aa", true)).unwrap();
        let nothing = [("intent", "1"), ("reason", "no effect")];
        budget.take(&record(Kind::Exception, "first-crl", &nothing)).unwrap();
        assert_eq!(budget.take(&signs("aa", false)), Err(spent("first-crl", SIGN, 1)));
    }
}
