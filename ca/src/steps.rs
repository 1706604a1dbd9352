//! The steps of an order for an eID: where each leads, who may take it, and by when the rest must be done (ISS-14, ISS-15).
//!
//! The stages are [`crate::life`]'s, and what is issued in the end is [`crate::admit`]'s to judge, as of an order that comes in one call: the steps
//! only collect what such an order says, each from the one who answers for it. So nothing here lets through what a single call would not
//! get; what is refused here is refused sooner.

mod receipt;
mod replaced;

use std::collections::BTreeSet;
use std::fmt;

use x509::time::UnixTime;

pub use self::receipt::{HolderReceipt, ReceiptFault, ReceiptWords};
pub use self::replaced::{Struck, judge_revoker, struck, succession};
use crate::actor::ActsFor;
use crate::admit::RuleRefusal;
use crate::book::Book;
use crate::calendar::{Calendar, local};
use crate::life::{Named as _, OrderAct, OrderStage, Stage as _};
use crate::order::ActorId;
use crate::profile::TrustLevel;
use crate::revocation::RevocationWish;
use crate::revocation::event::BusinessEvent;
use crate::routine::{Duty, OrdererRole, ReceiptRule, Routine, TermKind};

/// How far the clocks of those who say when something was done may be ahead of ours, in seconds; as of an order in one call.
const AHEAD_SECONDS: u64 = 300;

/// A step that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// What was done.
    pub act: OrderAct,
    /// By whom.
    pub by: ActorId,
    /// When.
    pub at: UnixTime,
}

/// A step that is to be taken, and what it is held against.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// What is to be done.
    pub act: OrderAct,
    /// By whom.
    pub by: &'a ActorId,
    /// Whether that is the holder, as far as the CA knows.
    pub holder: ActsFor,
    /// The holder as the order names him.
    pub named_holder: Option<&'a ActorId>,
    /// The routine of the order.
    pub routine: &'a Routine,
    /// What was done before, oldest first; by one name of each person ([`by_one_name`]).
    pub taken: &'a [Taken],
}

impl Step<'_> {
    /// Where the step leads an order that stands at `from`.
    ///
    /// # Errors
    ///
    /// `order-stage`: the table of stages has no such step.
    pub fn leads(&self, from: Option<OrderStage>) -> Result<OrderStage, RuleRefusal> {
        let Self { act, routine, .. } = *self;
        let to = OrderStage::step(from, act, routine.receipt);
        let to = to.ok_or_else(|| illegal(from, act, routine))?;
        let approvers = self.held(Duty::Approval).len();
        let enough = approvers >= usize::from(routine.approvals);
        Ok(match (act, to) {
            // Where nobody has to approve, the evidence is the approval.
            (OrderAct::Identify, OrderStage::Identified) if routine.approvals == 0 => {
                OrderStage::Approved
            }
            (OrderAct::Approve, OrderStage::Approved) if !enough => OrderStage::Identified,
            _ => to,
        })
    }

    /// Holds who takes the step against what he, and whoever took the others, has done: nobody handles his own eID, holds two duties that
    /// the routine keeps apart, approves twice, or takes an order that has to be approved through all alone.
    ///
    /// # Errors
    ///
    /// `order-own-eid`, `order-duties`.
    pub fn judge(&self) -> Result<(), RuleRefusal> {
        let Self { act, by, routine, .. } = *self;
        let named = self.named_holder.is_some_and(|holder| is_same(holder, by));
        if self.holder == ActsFor::Himself || named {
            return Err(RuleRefusal::new(
                "order-own-eid",
                "order/holder".to_owned(),
                &"the holder of the eID that is ordered",
                "another administrator: nobody handles his own eID",
                "have another administrator take this step",
            ));
        }
        if act == OrderAct::Approve && self.before(Duty::Approval).contains(&named_as(by)) {
            let limit = format!("{} by different persons", routine.approvals);
            return Err(self.duties("approvals", &"a second approval by one person", limit));
        }
        for &(one, other) in &routine.separate {
            if let Some(duty) = duty_of(act).filter(|duty| [one, other].contains(duty)) {
                let other = if duty == one { other } else { one };
                if self.before(other).contains(&named_as(by)) {
                    let seen = format!("one person holds {duty} and {other}");
                    return Err(self.duties("separate", &seen, "nobody holds both"));
                }
            }
        }
        let closes = matches!(act, OrderAct::Issue | OrderAct::Activate);
        if closes && routine.approvals > 0 {
            let mut persons: BTreeSet<String> = self
                .taken
                .iter()
                .filter(|one| counts(one.act))
                .map(|one| named_as(&one.by))
                .collect();
            persons.insert(named_as(by));
            if persons.len() < 2 {
                let limit = "two persons at least from the order to its end (ISS-14)";
                return Err(self.duties("alone", &"one person in every duty", limit));
            }
        }
        Ok(())
    }

    fn duties(
        &self,
        check: &str,
        seen: &impl fmt::Display,
        limit: impl Into<String>,
    ) -> RuleRefusal {
        let rule = format!("routine/{}/{check}", self.routine.name);
        RuleRefusal::new("order-duties", rule, seen, limit, "have somebody else take this step")
    }

    /// Who has held a duty before this step.
    fn before(&self, duty: Duty) -> BTreeSet<String> {
        if duty == Duty::Holder {
            return self.named_holder.iter().map(|id| named_as(id)).collect();
        }
        let of = self.taken.iter().filter(|one| duty_of(one.act) == Some(duty));
        of.map(|one| named_as(&one.by)).collect()
    }

    /// Who holds a duty once it is taken.
    fn held(&self, duty: Duty) -> BTreeSet<String> {
        let mut held = self.before(duty);
        if duty_of(self.act) == Some(duty) {
            held.insert(named_as(self.by));
        }
        held
    }
}

/// What was done before, with one name for who has done it and takes the next step: somebody who has an eID in each of two organisations signs by two
/// ids, and is one person (ISS-14). `same` says whether an id is another one of his.
///
/// # Errors
///
/// Those of `same`.
pub fn by_one_name<E>(
    taken: &[Taken],
    by: &ActorId,
    mut same: impl FnMut(&ActorId) -> Result<bool, E>,
) -> Result<Vec<Taken>, E> {
    let mut named = taken.to_vec();
    for one in &mut named {
        if !is_same(&one.by, by) && same(&one.by)? {
            one.by = by.clone();
        }
    }
    Ok(named)
}

/// The duty that a step is.
const fn duty_of(act: OrderAct) -> Option<Duty> {
    match act {
        OrderAct::Order => Some(Duty::Order),
        OrderAct::Identify => Some(Duty::Proofing),
        OrderAct::Approve => Some(Duty::Approval),
        _ => None,
    }
}

/// Whether a step makes an eID somebody's: taking it back, or passing a card on, does not.
const fn counts(act: OrderAct) -> bool {
    duty_of(act).is_some() || matches!(act, OrderAct::Activate)
}

/// HSA-ids and the like are the same in any case.
fn named_as(id: &ActorId) -> String {
    id.as_str().to_ascii_lowercase()
}

fn is_same(one: &ActorId, other: &ActorId) -> bool {
    named_as(one) == named_as(other)
}

fn illegal(from: Option<OrderStage>, act: OrderAct, routine: &Routine) -> RuleRefusal {
    let from = from.map_or("no order", |stage| stage.word().name);
    RuleRefusal::new(
        "order-stage",
        format!("states/order/{}", routine.receipt.word().name),
        &format!("{} at {from}", act.word().name),
        "a step that docs/states.md has",
        "show the order and take the step that follows where it stands",
    )
}

/// Refuses an order that is none of administrators: a holder orders by one call, with the eID that proves him.
///
/// # Errors
///
/// `order-in-one-call`.
pub fn judge_orderer(role: OrdererRole) -> Result<(), RuleRefusal> {
    if !matches!(role, OrdererRole::Holder | OrdererRole::System) {
        return Ok(());
    }
    Err(RuleRefusal::new(
        "order-in-one-call",
        "order/orderer".to_owned(),
        &role,
        "an administrator's role",
        "send the whole order with its request to POST /v1/certificates",
    )
    .for_ever())
}

/// Refuses an order in one call where several take part in it: who signs such a call would say for himself that another approved it, and
/// that the holder gave the receipt.
///
/// A holder's own order has no other part than his.
///
/// # Errors
///
/// `order-in-steps`.
pub fn judge_one_call(
    role: OrdererRole,
    routine: &Routine,
    level: Option<TrustLevel>,
) -> Result<(), RuleRefusal> {
    let kept_apart = |(one, other): &(Duty, Duty)| ![*one, *other].contains(&Duty::Holder);
    let receipted = role != OrdererRole::Holder
        && level == Some(TrustLevel::Loa3)
        && routine.receipt != ReceiptRule::None;
    let check = if routine.approvals > 0 {
        "approvals"
    } else if routine.separate.iter().any(kept_apart) {
        "separate"
    } else if receipted {
        "receipt"
    } else {
        return Ok(());
    };
    Err(RuleRefusal::new(
        "order-in-steps",
        format!("routine/{}/{check}", routine.name),
        &"an order in one call, for all of which one person signed",
        "an order in steps, each signed for by who takes it (ISS-14)",
        "make it by POST /v1/orders, and have each take his step",
    ))
}

/// Judges evidence of who the holder is when it comes in, by the list of the day and the routine; once more, with all else, at issuing.
///
/// # Errors
///
/// `order-unknown-name`, `routine-refused`, `identity-refused`, `order-time-ahead`.
pub fn judge_evidence(
    method: &str,
    at: UnixTime,
    routine: &Routine,
    book: &Book,
    now: UnixTime,
) -> Result<(), RuleRefusal> {
    let known = book.proofing_method(method).ok_or_else(|| {
        RuleRefusal::new(
            "order-unknown-name",
            "order/proofing".to_owned(),
            &method,
            "a method of the list of this deployment",
            "correct the name, or have the operator add it to the list",
        )
    })?;
    if !routine.proofing.contains(known.id()) {
        return Err(RuleRefusal::new(
            "routine-refused",
            format!("routine/{}/proofing", routine.name),
            &method,
            crate::admit::listed(&routine.proofing),
            "identify the holder as the routine says",
        ));
    }
    let day = local(now).day;
    if !known.holds_on(day) {
        return Err(RuleRefusal::new(
            "identity-refused",
            format!("proofing/{method}/days"),
            &day,
            crate::book::spoken(known.days()),
            "have the holder show another document",
        ));
    }
    let latest = now.checked_add(std::time::Duration::from_secs(AHEAD_SECONDS)).unwrap_or(now);
    if at > latest {
        return Err(RuleRefusal::new(
            "order-time-ahead",
            "order/proofing".to_owned(),
            &at,
            format!("a time until now, {now}"),
            "set the clocks right, or send when it was done",
        ));
    }
    Ok(())
}

/// Which deadline an order that stands at `stage` meets first, and the first second at which it is over; `None` where none runs.
///
/// An activation begins when the holder is identified; what was issued waits to be handed over from then on. That a card was sent no call
/// tells: the span of a card that is not used counts from the order.
#[must_use]
pub fn due(
    stage: OrderStage,
    routine: &Routine,
    calendar: &Calendar,
    taken: &[Taken],
) -> Option<(TermKind, UnixTime)> {
    if stage.is_final() {
        return None;
    }
    let since = |act| taken.iter().find(|one| one.act == act).map(|one| one.at);
    let ends = routine.terms.iter().filter_map(|term| {
        let from = match term.kind {
            TermKind::Activation => since(OrderAct::Identify),
            TermKind::Claim if stage == OrderStage::Issued => since(OrderAct::Issue),
            TermKind::Unused => since(OrderAct::Order),
            TermKind::Claim | TermKind::NameChange => None,
        };
        Some((term.kind, term.deadline.ends(from?, calendar)))
    });
    ends.min_by_key(|(_, end)| *end)
}

/// What has happened to the certificates of an order that is over, or taken back (`None`), and what follows for them.
#[must_use]
pub const fn ending(term: Option<TermKind>) -> (BusinessEvent, RevocationWish) {
    let event = match term {
        None => BusinessEvent::NotWanted,
        Some(TermKind::Claim) => BusinessEvent::Unclaimed,
        Some(TermKind::Activation | TermKind::Unused | TermKind::NameChange) => {
            BusinessEvent::NotActivated
        }
    };
    (event, event.rule().wish)
}

#[cfg(test)]
mod tests;
