//! What a ceremony's lines must agree with beside the rules of a transcript: people, shape and signatures.
//!
//! Who holds a ceremony asks before a line is written, and does not do what a line would announce that is refused.

use std::time::Duration;

use ledger::Hash;
use thiserror::Error;

use crate::attendance::{Attendance, AttendanceFault};
use crate::budget::{Budget, OverBudget};
use crate::plan::Plan;
use crate::refusal::Refusal;
use crate::shape::{Deviation, Shape, ShapeFault};
use crate::transcript::{Kind, Record};

/// How long before a ceremony its rehearsal may have ended.
pub const REHEARSED_WITHIN: Duration = Duration::from_secs(14 * 86_400);

/// A ceremony so far.
#[derive(Clone, Debug)]
pub struct Held<'a> {
    attendance: Attendance<'a>,
    budget: Budget<'a>,
    shape: Shape,
    rehearsal: Option<Shape>,
}

impl<'a> Held<'a> {
    /// A ceremony by this plan, which has no line yet, and goes the way of its rehearsal where it has had one.
    #[must_use]
    pub fn new(plan: &'a Plan, rehearsal: Option<Shape>) -> Self {
        let (attendance, budget) = (Attendance::new(plan), Budget::new(plan));
        Self { attendance, budget, shape: Shape::default(), rehearsal }
    }

    /// Who is there.
    #[must_use]
    pub const fn attendance(&self) -> &Attendance<'a> {
        &self.attendance
    }

    /// What it looks like so far.
    #[must_use]
    pub const fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The ceremony with the next line, before which the transcript has this head. This one stays as it is, for a line that
    /// cannot be written.
    ///
    /// # Errors
    ///
    /// [`HeldFault`]; what the line announces must not be done. A shape that deviates from the rehearsal's is one for lines that
    /// announce work, so that pauses and exceptions can be told whatever came before.
    pub fn next(&self, head: (u64, Hash), record: &Record) -> Result<Self, HeldFault> {
        let mut after = self.clone();
        after.attendance.take(head, record)?;
        after.budget.take(record)?;
        after.shape.take(record)?;
        if let (Kind::Intent, Some(rehearsal)) = (record.kind, &self.rehearsal) {
            after.shape.follows(rehearsal)?;
        }
        if let (Kind::Close, Some(rehearsal)) = (record.kind, &self.rehearsal) {
            after.shape.equals(rehearsal)?;
        }
        Ok(after)
    }
}

/// Why a line is not written.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum HeldFault {
    /// People.
    #[error(transparent)]
    People(#[from] AttendanceFault),
    /// Signatures.
    #[error(transparent)]
    Budget(#[from] OverBudget),
    /// It has no shape.
    #[error(transparent)]
    Unshaped(#[from] ShapeFault),
    /// It has another shape.
    #[error(transparent)]
    Shape(#[from] Deviation),
}

impl HeldFault {
    /// The row of the table.
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::People(fault) => fault.refusal(),
            Self::Budget(_) => Refusal::Budget,
            Self::Unshaped(_) | Self::Shape(_) => Refusal::Rehearsal,
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::People(_) => {
                "have whoever is missing come and answer, or hold the ceremony on its standby day"
            }
            Self::Budget(_) => {
                "stop: the plan has no such work, or not so often; other work needs another plan and its approvals"
            }
            Self::Unshaped(_) | Self::Shape(_) => {
                "stop: find out what is different from the rehearsal, and rehearse this very plan with this very program"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attendance::tests::{ALL, Held as Lines, TEXT, plan};
    use crate::attendance::{PRODUCTION, REHEARSAL, TO_BE_SIGNED};
    use crate::transcript::{Chain, Whole};

    /// Asks of each line before it is taken, as who holds a ceremony does.
    fn asked(
        plan: &Plan,
        rehearsal: Option<&Shape>,
        octets: &[u8],
    ) -> Result<(), (u64, HeldFault)> {
        let (mut chain, mut held) = (Chain::new(), Held::new(plan, rehearsal.cloned()));
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            let head = chain.head();
            let record = chain.take(line.strip_suffix(b"\n").unwrap()).unwrap();
            held = held.next(head, &record).map_err(|fault| (head.0 + 1, fault))?;
        }
        assert!(!held.attendance().present().is_empty() && !held.shape().lines().is_empty());
        Ok(())
    }

    /// A ceremony in which the key of this name is made; all have come.
    fn made<'a>(plan: &'a Plan, purpose: &str, what: &str) -> Lines<'a> {
        let mut lines = Lines::begun(plan, purpose).with(&ALL);
        let key = [("act", "generate-key"), ("what", what), ("intent", "k1")];
        lines.write(Kind::Intent, "root-key", &[], &key).unwrap();
        let spki = plan.hash.to_string();
        let result = [("intent", "k1"), ("spki_sha256", spki.as_str())];
        lines.write(Kind::Result, "root-key", &[], &result).unwrap();
        lines
    }

    fn shape(lines: &Lines<'_>) -> Shape {
        Shape::of(&Whole::read(&lines.octets).unwrap().records).unwrap()
    }

    /// R16: another way than the rehearsal's ends before the next work, and what is not work can be told all the same.
    #[test]
    fn work_that_was_not_rehearsed_is_not_begun() {
        let plan = plan(TEXT);
        let rehearsal = shape(&made(&plan, REHEARSAL, "root-key"));
        let same = made(&plan, PRODUCTION, "root-key");
        assert_eq!(asked(&plan, Some(&rehearsal), &same.octets), Ok(()));

        let other = made(&plan, PRODUCTION, "another-key");
        let (line, fault) = asked(&plan, Some(&rehearsal), &other.octets).unwrap_err();
        assert_eq!((line, fault.refusal().code(), fault.refusal().exit_code()), (9, "R16", 13));
        assert_eq!(asked(&plan, None, &other.octets), Ok(()), "a rehearsal has none before it");

        let mut told = Lines::begun(&plan, PRODUCTION).with(&ALL);
        told.write(Kind::Check, "root-key", &[], &[("what", "something else")]).unwrap();
        told.write(Kind::Exception, "root-key", &[], &[("reason", "something else")]).unwrap();
        assert_eq!(asked(&plan, Some(&rehearsal), &told.octets), Ok(()));
        let key = [("act", "generate-key"), ("what", "root-key"), ("intent", "k1")];
        told.write(Kind::Intent, "root-key", &[], &key).unwrap();
        let (line, fault) = asked(&plan, Some(&rehearsal), &told.octets).unwrap_err();
        assert_eq!((line, fault.refusal().code()), (11, "R16"));
    }

    /// Each rule is asked: people, signatures, and that every member has a class.
    #[test]
    fn each_rule_has_its_row() {
        let (plan, other) =
            (plan(TEXT), plan(&TEXT.replacen("# An example:", "# An  example:", 1)));
        let mut signs = Lines::begun(&plan, PRODUCTION).with(&ALL);
        let tbs = plan.hash.to_string();
        let compared = [("what", TO_BE_SIGNED), ("sha256", tbs.as_str())];
        signs.write(Kind::Readback, "root-key", &["vera-sund"], &compared).unwrap();
        let sign = [("act", "sign"), ("tbs_sha256", tbs.as_str()), ("intent", "s1")];
        signs.write(Kind::Intent, "root-key", &[], &sign).unwrap();
        let mut unshaped = Lines::begun(&plan, PRODUCTION).with(&ALL);
        unshaped.write(Kind::Check, "root-key", &[], &[("colour", "red")]).unwrap();
        for (lines, refused, code) in [(signs, 10, "R14"), (unshaped, 9, "R16")] {
            let (line, fault) = asked(&plan, None, &lines.octets).unwrap_err();
            assert_eq!((line, fault.refusal().code()), (refused, code), "{fault}");
            assert!(!fault.next_step().is_empty());
        }
        let few = made(&plan, PRODUCTION, "root-key").octets;
        let (line, fault) = asked(&other, None, &few).unwrap_err();
        assert_eq!((line, fault.refusal().code()), (1, "R01"), "{fault}");
    }
}
