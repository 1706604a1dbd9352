//! What a step of an order does to what the order replaces (ISS-17).

use x509::time::UnixTime;

use crate::admit::RuleRefusal;
use crate::calendar::Calendar;
use crate::life::OrderAct;
use crate::operation::Operation;
use crate::revocation::BusinessEvent;
use crate::role::ActsAs;
use crate::routine::{Routine, Succession, TermKind};

/// What a step does to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Struck {
    /// It is as it was, and no deadline runs.
    Spared,
    /// It is revoked in the act of the step.
    Now,
    /// It is revoked by the CA at this second.
    At(UnixTime),
}

impl Struck {
    /// Whether a revocation follows without another step: what is asked of whoever revokes is asked of him who takes the step.
    #[must_use]
    pub const fn revokes(self) -> bool {
        matches!(self, Self::Now | Self::At(_))
    }
}

/// Holds who makes an order against what follows from it at once: a revocation is for a role that revokes, also where an order asks for it.
///
/// # Errors
///
/// `actor-role-refused`.
pub fn judge_revoker(acts: ActsAs) -> Result<(), RuleRefusal> {
    if acts.may(Operation::RevokeEid) && acts.may(Operation::RevokeCarrier) {
        return Ok(());
    }
    Err(RuleRefusal::new(
        "actor-role-refused",
        "order/replaces".to_owned(),
        &acts,
        "a role that revokes eIDs and carriers (docs/roles.md), for what ends with the order (API-04)",
        "have somebody revoke the old one in such a role, and order without naming it",
    ))
}

/// The routine's rule for what has happened.
///
/// # Errors
///
/// `routine-refused`: it has none.
pub fn succession(routine: &Routine, event: BusinessEvent) -> Result<Succession, RuleRefusal> {
    let found = routine.replaces.iter().find(|one| one.event == event);
    found.copied().ok_or_else(|| {
        let known: Vec<&str> = routine.replaces.iter().map(|one| one.event.rule().name).collect();
        RuleRefusal::new(
            "routine-refused",
            format!("routine/{}/replaces", routine.name),
            &event.rule().name,
            known.join(", "),
            "name what has happened, or revoke the old one by a call of its own",
        )
    })
}

/// What a step does to what the order replaces; `None`: nothing that it did not before. `due` is the second that was told before; `since`
/// when it happened.
///
/// The deadline of a former name runs whatever becomes of the order, unless an administrator takes the order back. One that is over when the
/// order is made strikes in that act, where its revocation is asked for and counted: it is not left to the schedule, which asks nobody.
#[must_use]
pub fn struck(
    succession: Succession,
    routine: &Routine,
    act: OrderAct,
    (since, now): (UnixTime, UnixTime),
    due: Option<UnixTime>,
    calendar: &Calendar,
) -> Option<Struck> {
    if act == OrderAct::Cancel {
        return Some(Struck::Spared);
    }
    let after = |deadline: crate::calendar::Deadline, from| deadline.ends(from, calendar);
    if act == succession.at.act() {
        return Some(match succession.after {
            None => Struck::Now,
            Some(span) => {
                let ends = after(span, now);
                Struck::At(due.map_or(ends, |due| due.min(ends)))
            }
        });
    }
    if act != OrderAct::Order {
        return None;
    }
    let named = succession.event == BusinessEvent::NameChanged;
    let term = routine.terms.iter().find(|one| named && one.kind == TermKind::NameChange);
    let Some(term) = term else { return Some(Struck::Spared) };
    let ends = after(term.deadline, since);
    Some(if ends <= now { Struck::Now } else { Struck::At(ends) })
}
