//! How often a step's keys may sign: as often as its plan says, and not once more.
//!
//! Counted is each signature that is announced in the transcript, before it is made. One that came to nothing, or is made once more
//! because a session or the program was lost, is of the same signature: the transcript tells of it, and so does the device's own count.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::plan::Plan;
use crate::transcript::{Kind, Record};

/// What an INTENT to sign is called.
pub const SIGN: &str = "sign";

/// Signatures by step, so far.
#[derive(Clone, Debug)]
pub struct Budget<'a> {
    plan: &'a Plan,
    spent: BTreeMap<String, u32>,
    /// The step of the signature that is under way.
    open: Option<String>,
}

impl<'a> Budget<'a> {
    /// Nothing is signed yet.
    #[must_use]
    pub const fn new(plan: &'a Plan) -> Self {
        Self { plan, spent: BTreeMap::new(), open: None }
    }

    /// Takes the next line.
    ///
    /// # Errors
    ///
    /// [`OverBudget`] for a signature more than the plan has in this step; it must not be made.
    pub fn take(&mut self, record: &Record) -> Result<(), OverBudget> {
        match record.kind {
            Kind::Intent if record.text("act") != Some(SIGN) => self.open = None,
            Kind::Intent if record.body.contains_key("again") => {}
            Kind::Intent => {
                let step = self.plan.steps.iter().find(|step| step.id.as_str() == record.step);
                let allowed = step.map_or(0, |step| step.signatures);
                let spent = self.spent.entry(record.step.clone()).or_default();
                if *spent >= allowed {
                    return Err(OverBudget { step: record.step.clone(), allowed });
                }
                *spent = spent.saturating_add(1);
                self.open = Some(record.step.clone());
            }
            Kind::Result => self.open = None,
            Kind::Exception if record.body.contains_key("intent") => {
                if let Some(spent) = self.open.take().and_then(|step| self.spent.get_mut(&step)) {
                    *spent = spent.saturating_sub(1);
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A signature more than the plan has: R14.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("step {step:?} has signed {allowed} times, as often as the plan allows")]
pub struct OverBudget {
    /// The step.
    pub step: String,
    /// How often it may.
    pub allowed: u32,
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

    /// N34: a second signature of a step that has one, and one of a step that has none.
    #[test]
    fn a_signature_more_than_the_plan_has_is_refused() {
        let plan = Plan::read(TEXT.as_bytes()).unwrap();
        let mut budget = Budget::new(&plan);
        let over = |step: &str, allowed| OverBudget { step: step.to_owned(), allowed };
        budget.take(&intent("root-certificate")).unwrap();
        budget.take(&record(Kind::Result, "root-certificate", &[("intent", "1")])).unwrap();
        assert_eq!(budget.take(&intent("root-certificate")), Err(over("root-certificate", 1)));
        assert_eq!(budget.take(&intent("root-key")), Err(over("root-key", 0)));
        assert_eq!(budget.take(&intent("lunch")), Err(over("lunch", 0)));
        budget.take(&intent("first-crl")).unwrap();
        let key = record(Kind::Intent, "root-key", &[("act", "generate-key"), ("intent", "2")]);
        budget.take(&key).unwrap();
    }

    /// N22: the same signature once more is no second one.
    #[test]
    fn a_signature_that_came_to_nothing_or_is_made_again_is_one() {
        let plan = Plan::read(TEXT.as_bytes()).unwrap();
        let mut budget = Budget::new(&plan);
        budget.take(&intent("first-crl")).unwrap();
        let mut again = intent("first-crl");
        again.body.insert("again".to_owned(), "session lost".into());
        budget.take(&again).unwrap();
        let nothing = [("intent", "1"), ("reason", "no effect")];
        budget.take(&record(Kind::Exception, "first-crl", &nothing)).unwrap();
        budget.take(&intent("first-crl")).unwrap();
        let lost = [("reason", "a medium is lost")];
        budget.take(&record(Kind::Exception, "first-crl", &lost)).unwrap();
        assert!(budget.take(&intent("first-crl")).is_err());
    }
}
