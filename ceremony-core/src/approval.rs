//! Approvals: people sign the hash of a plan before the day. Enough of them, and each counted once.
//!
//! An approval names deployment, plan, purpose and the shape that the rehearsal came out with, so that none of them can
//! be changed under it. Whose key signed it says the plan; what counts are people, not keys.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use x509::statement::{SignedStatement, Statement, StatementError};
use x509::time::UnixTime;

use crate::plan::{Person, Plan, Role, Word};
use crate::refusal::Refusal;
use crate::words::Fingerprint;

/// The kind of statement.
const KIND: &str = "plan-approval";
/// What stands for the shape where there is none yet.
const NO_SHAPE: &str = "none";

/// What a plan is approved for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A rehearsal with throw-away keys, which finds out the shape.
    Rehearsal,
    /// The ceremony itself; it must come out with this shape.
    Production(Fingerprint),
}

impl Purpose {
    /// The word used everywhere.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rehearsal => "rehearsal",
            Self::Production(_) => "production",
        }
    }

    fn shape(self) -> String {
        match self {
            Self::Rehearsal => NO_SHAPE.to_owned(),
            Self::Production(shape) => shape.to_string(),
        }
    }
}

/// What `person` signs to approve the plan.
///
/// # Errors
///
/// [`ApprovalFault::NotApprover`] for somebody who has no such duty in the plan.
pub fn statement(
    plan: &Plan,
    purpose: Purpose,
    person: &str,
    time: UnixTime,
) -> Result<Statement, ApprovalFault> {
    let Some(person) = approver(plan, person) else {
        return Err(ApprovalFault::NotApprover { person: person.to_owned() });
    };
    let fields = [
        ("deployment", plan.deployment.to_string()),
        ("plan", plan.hash.to_string()),
        ("purpose", purpose.name().to_owned()),
        ("shape", purpose.shape()),
        ("person", person.id.to_string()),
        ("name", person.name.to_string()),
        ("time", time.to_string()),
    ];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    Statement::new(KIND, &fields).map_err(ApprovalFault::Statement)
}

/// Counts the people who approve the plan for this purpose, and says who they are.
///
/// # Errors
///
/// [`NotApproved`] with what is wrong with each approval that does not count.
pub fn judge<'a>(
    plan: &'a Plan,
    purpose: Purpose,
    approvals: &[SignedStatement],
) -> Result<BTreeSet<&'a Word>, NotApproved> {
    let mut people = BTreeSet::new();
    let mut faults = Vec::new();
    for approval in approvals {
        match judge_one(plan, purpose, approval) {
            // A second approval of one person, with another key too, is no second person.
            Ok(person) if !people.insert(&person.id) => {
                faults.push(ApprovalFault::Again { person: person.id.clone() });
            }
            Ok(_) => {}
            Err(fault) => faults.push(fault),
        }
    }
    let (needed, seen) = (plan.people.quorum.approvers.m, people.len());
    if seen < usize::from(needed) {
        return Err(NotApproved { needed, seen, faults });
    }
    Ok(people)
}

/// The person who approves the plan by this statement.
///
/// # Errors
///
/// [`ApprovalFault`]: why it does not count.
pub fn judge_one<'a>(
    plan: &'a Plan,
    purpose: Purpose,
    approval: &SignedStatement,
) -> Result<&'a Person, ApprovalFault> {
    let said = approval.statement();
    if said.kind() != KIND {
        return Err(ApprovalFault::Kind { seen: said.kind().to_owned() });
    }
    let fields: BTreeMap<&str, &str> = said.fields().collect();
    let of = |name: &str| fields.get(name).copied().unwrap_or_default();
    let key = Fingerprint::from_bytes(*approval.key().spki_hash().as_bytes());
    let person = approver(plan, of("person"))
        .ok_or_else(|| ApprovalFault::NotApprover { person: of("person").to_owned() })?;
    if !person.keys.contains(&key) {
        return Err(ApprovalFault::Key { person: person.id.clone(), key });
    }
    // The plan first: a changed plan is what approvals are there to find.
    let deployment = plan.deployment.to_string();
    let wanted = [
        ("plan", plan.hash.to_string()),
        ("deployment", deployment),
        ("purpose", purpose.name().to_owned()),
        ("shape", purpose.shape()),
        ("name", person.name.to_string()),
    ];
    for (field, wanted) in wanted {
        if of(field) != wanted {
            let (person, seen) = (person.id.clone(), of(field).to_owned());
            return Err(ApprovalFault::Other { person, field, seen, wanted });
        }
    }
    Ok(person)
}

fn approver<'a>(plan: &'a Plan, id: &str) -> Option<&'a Person> {
    let person = plan.people.persons.iter().find(|person| person.id.as_str() == id)?;
    plan.people.of(Role::Approver).contains(&person.id).then_some(person)
}

/// Too few people approve the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotApproved {
    /// How many are needed.
    pub needed: u8,
    /// How many there are.
    pub seen: usize,
    /// Why others do not count.
    pub faults: Vec<ApprovalFault>,
}

impl NotApproved {
    /// R01 where an approval is of another plan, for that is what stops first; R02 where there are too few.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        let of_another_plan =
            |fault: &ApprovalFault| matches!(fault, ApprovalFault::Other { field: "plan", .. });
        if self.faults.iter().any(of_another_plan) {
            Refusal::PlanChanged
        } else {
            Refusal::Approvals
        }
    }
}

impl std::error::Error for NotApproved {}

impl std::fmt::Display for NotApproved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of the {} people who must approve the plan do", self.seen, self.needed)?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

/// Why an approval does not count.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ApprovalFault {
    /// Another statement.
    #[error("a statement of kind {seen:?} approves nothing")]
    Kind {
        /// Its kind.
        seen: String,
    },
    /// Somebody else.
    #[error("{person:?} is no approver of this plan")]
    NotApprover {
        /// Who says so.
        person: String,
    },
    /// Not a key of his.
    #[error("{person}: key {key} is not among the plan's keys of this person")]
    Key {
        /// Who it is said to be.
        person: Word,
        /// The key that signed.
        key: Fingerprint,
    },
    /// Of something else.
    #[error("{person}: approves {field} {seen}, not {wanted}")]
    Other {
        /// Who.
        person: Word,
        /// What differs.
        field: &'static str,
        /// What was approved.
        seen: String,
        /// What is to be.
        wanted: String,
    },
    /// A second approval.
    #[error("{person}: approves twice, and is counted once")]
    Again {
        /// Who.
        person: Word,
    },
    /// The statement cannot be made.
    #[error(transparent)]
    Statement(StatementError),
}

#[cfg(test)]
mod tests;
