//! Orders of several steps: prepared, identified, approved, receipted, issued, delivered, activated; or taken back, or over.
//!
//! Each step is one act of the store, under the key of its call: a repeated call finds the step that it has taken. What the steps have
//! said together is an order as it comes in one call, and goes the way of one ([`super::issue`]): there is one engine. Who takes a step is
//! who signed the call (decision 0042); `ca::steps` keeps their duties apart.

mod due;
mod issue;
mod kept;
mod receipt;
mod replaced;
mod said;
mod shown;

use std::collections::BTreeSet;

use ca::actor::ActsFor;
use ca::admit::RuleRefusal;
use ca::audit::{Actor, EventCode, EventResult, ObjectId, ObjectIds};
use ca::life::{Named as _, OrderAct, OrderStage};
use ca::order::{ActorId, Order};
use ca::refusal::Refusal;
use ca::revocation::RevocationWish;
use ca::routine::{OrdererRole, Routine, TermKind};
use ca::steps::{Step, Taken, by_one_name, ending, judge_evidence, judge_orderer};
use serde_json::{Value, json};
use store::{
    Alone, ChangedOf, EidOrder, EidOrderAudit, EidOrderChange, EidOrderChanged, EidOrderFault,
    EidOrderStrike, OrderId, StatusAct, Subject,
};
use x509::time::UnixTime;

use self::kept::{Keep as _, Said};
use self::said::Known;
use super::Service;
use super::actor::{Acting, statement_required};
use super::bindings::no_such;
use super::body::from_json;
use super::caller::Caller;
use super::order::{Answered, OrderWork, Outcome, unwritable};
use super::ordered::time;
use super::record::{call_object, client};
use crate::denied::{Denied, Kind};
use crate::statements::DirectCalls;

/// Most certificates of an order.
const MOST_PROFILES: usize = 4;
/// Characters of the id of an office.
const PLACE_LIMIT: usize = 64;

/// Who takes a step.
struct Who<'a> {
    id: ActorId,
    /// His statement; none where the deployment takes a client's word.
    acting: Option<&'a Acting>,
}

/// A step as a call asks for it.
struct Move {
    act: OrderAct,
    /// What is said, beside who says it.
    body: Value,
    /// What is done to each certificate in the same act.
    status: Option<StatusAct>,
    /// Whose word revokes, and how much of that an hour takes.
    alone: Option<Alone>,
    /// What a new order does to what it replaces.
    strike: Option<EidOrderStrike>,
}

impl Move {
    const fn of(act: OrderAct, body: Value) -> Self {
        Self { act, body, status: None, alone: None, strike: None }
    }
}

impl Service {
    /// Makes an order. Its id is that of the call: a call that is repeated finds it.
    pub(crate) fn prepare_order(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let request: api::EidOrderRequest = from_json(&work.call.body)?;
        if self.kept_order(work.order)?.is_none() {
            let waits = request.replaces.is_some();
            let made = self.make_order(caller, request, work);
            made.map_err(|denied| if waits { replaced::unrevoked(denied) } else { denied })?;
        }
        self.order_answered(Outcome::Created, work.order, work)
    }

    fn make_order(
        &self,
        caller: &Caller,
        request: api::EidOrderRequest,
        work: &OrderWork<'_>,
    ) -> Result<(), Denied> {
        let who = self.who(caller, request.by.as_deref())?;
        let role = OrdererRole::from_word(&request.role)
            .ok_or_else(|| malformed("role", &request.role, "a role such as id-administrator"))?;
        judge_orderer(role).map_err(|refused| denied(&refused))?;
        let named = request.profiles.len();
        let distinct: BTreeSet<&String> = request.profiles.iter().collect();
        if !(1..=MOST_PROFILES).contains(&named) || distinct.len() < named {
            let limit = "1 to 4 profiles, each once";
            return Err(malformed("profiles", &named.to_string(), limit));
        }
        let said = request.clone().kept()?;
        let now = self.signing_time()?;
        let known = Known::new(work.order, request, who.id.clone());
        let (routine, ordered) = self.foreseen(caller, &known, now)?;
        let replaces = (known.prepared.replaces.as_ref(), &ordered);
        let strike = self.replacing(caller, replaces, routine, now)?;
        let revokes = strike.is_some_and(|one| one.struck.revokes());
        let alone = revokes.then(|| self.alone_of(work));
        let moved = Move { strike, alone, ..Move::of(OrderAct::Order, said) };
        self.take_step(&known, (routine, &ordered), &who, moved, work)
    }

    /// Takes evidence of who the holder is.
    pub(crate) fn add_order_evidence(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let request: api::EidOrderEvidence = from_json(&work.call.body)?;
        self.next_step_of(caller, id, work, request.by.as_deref(), |known| {
            let visible = request.place.bytes().all(|octet| octet.is_ascii_graphic());
            if !visible || !(1..=PLACE_LIMIT).contains(&request.place.len()) {
                let limit = "1 to 64 visible ASCII characters";
                return Err(malformed("place", &"another text", limit));
            }
            let at = time("order/proofing", &request.at)?;
            let now = self.clock().read().now;
            judge_evidence(&request.method, at, self.routine_of(known)?, &self.book, now)
                .map_err(|refused| denied(&refused))?;
            Ok(Move::of(OrderAct::Identify, request.clone().kept()?))
        })
    }

    /// Takes an approval, or the word that the carrier is in the holder's hands.
    pub(crate) fn say_of_order(
        &self,
        caller: &Caller,
        id: &str,
        act: OrderAct,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let request: api::EidOrderStepRequest = from_json(&work.call.body)?;
        let moved = Move::of(act, Value::Null);
        self.next_step_of(caller, id, work, request.by.as_deref(), |_| Ok(moved))
    }

    /// Takes the eID into use: all its certificates, in the act of the step.
    pub(crate) fn activate_order(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let request: api::EidOrderStepRequest = from_json(&work.call.body)?;
        let status = Some(StatusAct::Activate);
        let moved = Move { status, ..Move::of(OrderAct::Activate, Value::Null) };
        self.next_step_of(caller, id, work, request.by.as_deref(), |_| Ok(moved))
    }

    /// Takes an order back. What was issued for it is revoked in the act of the step.
    pub(crate) fn cancel_order(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let request: api::EidOrderStepRequest = from_json(&work.call.body)?;
        let moved = Move {
            status: revocation(ending(None).1),
            alone: Some(self.alone_of(work)),
            ..Move::of(OrderAct::Cancel, Value::Null)
        };
        let made = self.store().eid_order_certificates(self.seen_order(caller, id)?.row.id);
        if !made.map_err(|e| self.note_storage(&e))?.is_empty() {
            caller.must_revoke()?;
        }
        self.next_step_of(caller, id, work, request.by.as_deref(), |_| Ok(moved))
    }

    fn alone_of(&self, work: &OrderWork<'_>) -> Alone {
        Alone { client: work.call.client.clone(), most: self.alone }
    }

    /// Takes the step that `says` of an order that is there, unless the call has taken it before.
    fn next_step_of(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
        by: Option<&str>,
        says: impl FnOnce(&Known) -> Result<Move, Denied>,
    ) -> Result<Answered, Denied> {
        let order = self.seen_order(caller, id)?;
        let number = order.row.id;
        if !order.steps.iter().any(|step| step.call == work.order) {
            let waits = replaced::waits(&order.row);
            let taken = self.take_next(caller, order, work, by, says);
            taken.map_err(|denied| if waits { replaced::unrevoked(denied) } else { denied })?;
        }
        self.order_answered(Outcome::Changed, number, work)
    }

    fn take_next(
        &self,
        caller: &Caller,
        order: EidOrder,
        work: &OrderWork<'_>,
        by: Option<&str>,
        says: impl FnOnce(&Known) -> Result<Move, Denied>,
    ) -> Result<(), Denied> {
        let known = Known::read(order)?;
        must_order_all(caller, &known)?;
        let who = self.who(caller, by)?;
        let routine = self.routine_of(&known)?;
        let ordered = self.order_of(&self.said_so_far(&known, routine))?;
        let moved = says(&known)?;
        self.take_step(&known, (routine, &ordered), &who, moved, work)
    }

    /// Who takes a step: who signed the call, or, where the deployment takes that, whom the client names.
    fn who<'a>(&self, caller: &'a Caller, by: Option<&str>) -> Result<Who<'a>, Denied> {
        let id = match (caller.acting.as_deref(), by) {
            (Some(acting), by) => {
                if let Some(other) = by.filter(|by| *by != acting.id.as_str()) {
                    return Err(forbidden(
                        "order-by-another",
                        "API-05: who takes a step has signed the call",
                        &other,
                        &format!("{}, who signed the statement, or nobody", acting.id),
                        "leave `by` out, or have him sign whom it names",
                    ));
                }
                acting.id.clone()
            }
            (None, _) if self.actors.direct != DirectCalls::Taken => {
                return Err(statement_required());
            }
            (None, by) => {
                let limit = "an opaque id, 1 to 128 visible ASCII characters";
                let id = by.and_then(ActorId::new);
                id.ok_or_else(|| malformed("by", &"no id", limit))?
            }
        };
        Ok(Who { id, acting: caller.acting.as_deref() })
    }

    /// Holds a step against duties, role and stages, and records it with what it does to the certificates.
    fn take_step(
        &self,
        known: &Known,
        (routine, ordered): (&Routine, &Order),
        who: &Who<'_>,
        moved: Move,
        work: &OrderWork<'_>,
    ) -> Result<(), Denied> {
        let stage = self.judged_step(known, (routine, ordered), who, moved.act)?;
        let acts = who.acting.map(|acting| acting.acts.to_string());
        let said = Said::new(Some(who.id.to_string()), acts, moved.body.clone());
        let now = self.time_of(moved.act)?;
        let strike = moved.strike.or_else(|| self.strike_of(known, routine, moved.act, now));
        // No step but a cancellation is taken by a clock in doubt.
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "clock": self.clock().read().doubt.map(|doubt| doubt.to_string()),
            "order": known.id.to_string(),
            "step": moved.act.word().name,
            "stage": stage.word().name,
            "by": who.id.as_str(),
            "replaced": strike.map(|one| one.what.to_string()),
            "event": strike.map(|one| one.event.rule().name),
        });
        let of = (known.id, known.subject());
        let by = (client(&work.call.client), Some(call_object(work.call)));
        let audit = audit_of(of, (moved.act, stage), by, payload);
        let mut taken = known.taken.clone();
        taken.push(Taken { act: moved.act, by: who.id.clone(), at: now });
        let change = EidOrderChange {
            order: known.id,
            call: work.order,
            rests_on: known.steps,
            organisation: known.prepared.organisations.user.number.clone(),
            holder: self.holder_in(&known.prepared),
            routine: routine.name.to_string(),
            act: moved.act,
            stage,
            client: work.call.client.clone(),
            said: said.written()?,
            subject: known.subject(),
            due: self.with_calendar(|days| ca::steps::due(stage, routine, days, &taken)),
            status: moved.status,
            alone: moved.alone,
            strike,
            limit: self.limit_of(ordered, routine, moved.act),
        };
        let changed = self
            .store()
            .take_eid_order_step(&change, audit, now)
            .map_err(|e| self.unrevoked(&work.call.client, &e, now))?;
        self.note_changed(change.status, &changed);
        Ok(())
    }

    /// The time of a step. Taking an order back revokes: that is done whatever the clock says.
    fn time_of(&self, act: OrderAct) -> Result<UnixTime, Denied> {
        if act == OrderAct::Cancel { Ok(self.clock().read().now) } else { self.signing_time() }
    }

    /// Refuses a step of an order that is over, even before the schedule has ended it; it is taken back all the same.
    fn in_time(&self, known: &Known, act: OrderAct) -> Result<(), Denied> {
        let now = self.time_of(act)?;
        match known.due.filter(|(_, end)| act != OrderAct::Cancel && now >= *end) {
            Some((term, end)) => Err(overdue(term, end)),
            None => Ok(()),
        }
    }

    /// Where a step of this one leads, if it may be taken.
    fn judged_step(
        &self,
        known: &Known,
        (routine, ordered): (&Routine, &Order),
        who: &Who<'_>,
        act: OrderAct,
    ) -> Result<OrderStage, Denied> {
        self.in_time(known, act)?;
        let mut holder = ActsFor::Another;
        if let Some(acting) = who.acting {
            if !acting.acts.orders_as(ordered.role) {
                return Err(forbidden(
                    "actor-role-refused",
                    "API-04: each step of an order is taken in a role that orders so",
                    &acting.acts,
                    &format!("a role that orders as {} (docs/roles.md)", ordered.role),
                    "have somebody take the step who has such a role",
                ));
            }
            let hsa_id = known.prepared.subject.hsa_id.as_deref();
            holder = self.acts_for(acting, ordered, hsa_id)?;
        }
        let taken = by_one_name(&known.taken, &who.id, |other| self.is_one_person(other, &who.id))?;
        let step = Step {
            act,
            by: &who.id,
            holder,
            named_holder: ordered.holder.as_ref(),
            routine,
            taken: &taken,
        };
        let stage = step.leads(known.stage).map_err(|refused| denied(&refused))?;
        step.judge().map_err(|refused| denied(&refused))?;
        Ok(stage)
    }

    /// What follows when a step has changed certificates.
    fn note_changed(&self, status: Option<StatusAct>, changed: &[EidOrderChanged]) {
        for one in changed {
            let Ok(authority) = self.authority_of(one.issuer) else { continue };
            let own = matches!(status, Some(StatusAct::Revoke { .. }));
            if own || one.of == ChangedOf::Replaced {
                metrics::counter!("sigill_revocations_total", "authority" => authority.name().to_owned())
                    .increment(1);
            }
            authority.ask_for_crl();
        }
        if !changed.is_empty() {
            self.publication.wake();
        }
    }

    /// The answer of a call: the order as it stands, once what it rests on can be seen where the call waits for that.
    fn order_answered(
        &self,
        outcome: Outcome,
        order: OrderId,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let order = self.kept_order(order)?.ok_or_else(unknown)?;
        let shown = self.shown_order(&order)?;
        match shown.position.as_deref().and_then(|position| position.parse().ok()) {
            Some(position) => {
                self.await_publication(position, work.call.wait_for_publication)?;
                Answered::new(outcome, &shown, position)
            }
            None => Answered::unlogged(outcome, &shown),
        }
    }
}

/// What revokes, of an event that does.
const fn revocation(wish: RevocationWish) -> Option<StatusAct> {
    match wish {
        RevocationWish::Revoke(reason) => Some(StatusAct::Revoke { reason, invalidity: None }),
        RevocationWish::Hold | RevocationWish::Release => None,
    }
}

/// Makes the leaf of a step: of the certificates where it changes some, else of the order.
fn audit_of(
    (order, subject): (OrderId, Subject),
    (act, stage): (OrderAct, OrderStage),
    (actor, call): (Actor, Option<ObjectId>),
    payload: Value,
) -> EidOrderAudit {
    let order = *order.as_bytes();
    Box::new(move |changed: &[EidOrderChanged]| {
        let of = |of| changed.iter().filter(move |one| one.of == of).collect::<Vec<_>>();
        let (own, replaced) = (of(ChangedOf::Order), of(ChangedOf::Replaced));
        let code = match (own.is_empty(), act, stage) {
            (false, OrderAct::Activate, _) => EventCode::CertificateActivated,
            (false, ..) => EventCode::CertificateRevoked,
            (true, OrderAct::Order, _) => EventCode::OrderReceived,
            (true, _, OrderStage::Cancelled | OrderStage::Expired) => EventCode::OrderClosed,
            (true, ..) => EventCode::OrderStep,
        };
        let record = |code, changed: &[&EidOrderChanged]| {
            let mut payload = payload.clone();
            if let Some(object) = payload.as_object_mut() {
                let ids: Vec<_> = changed.iter().map(|one| one.certificate.to_string()).collect();
                object.insert("certificates".to_owned(), json!(ids));
            }
            let certificates =
                changed.iter().map(|one| ObjectId::Certificate(*one.certificate.as_bytes()));
            let objects = std::iter::once(ObjectId::Order(order)).chain(call).chain(certificates);
            let objects = ObjectIds::first_of(objects);
            let (done, subject) = (EventResult::Done, subject.clone());
            Service::record(code, done, actor, objects, None, &payload, subject)
        };
        let mut records = vec![record(code, &own)];
        // What the order replaces has a leaf of its own.
        if !replaced.is_empty() {
            records.push(record(EventCode::CertificateRevoked, &replaced));
        }
        records
    })
}

/// One answer for what is not there and for what is not the caller's.
fn unknown() -> Denied {
    no_such("order-not-known", "order")
}

/// Refuses a client that may not order every certificate of an order: its steps are not that client's.
fn must_order_all(caller: &Caller, known: &Known) -> Result<(), Denied> {
    known.prepared.profiles.iter().try_for_each(|name| caller.must_order(name))
}

/// The schedule ends it within a minute; until then it is over all the same.
fn overdue(term: TermKind, end: UnixTime) -> Denied {
    let refusal = Refusal::new(
        "order-overdue",
        "ISS-15: what is not finished in time is ended",
        &format!("a step of an order whose deadline {} was over at {end}", term.name()),
        "a step before the deadline of the order, or its cancellation",
        "make a new order",
    );
    Denied::new(Kind::Conflict, refusal)
}

fn forbidden(
    code: &'static str,
    rule: &'static str,
    seen: &impl std::fmt::Display,
    limit: &str,
    next: &'static str,
) -> Denied {
    Denied::new(Kind::Forbidden, Refusal::new(code, rule, seen, limit, next))
}

fn malformed(field: &'static str, seen: &impl std::fmt::Display, limit: &str) -> Denied {
    Denied::rule(Refusal::new("order-malformed", field, seen, limit, "correct the call"))
}

/// Who may not is told so, and may be somebody else next time; what the stage does not allow may be allowed later.
fn denied(refused: &RuleRefusal) -> Denied {
    let refusal = refused.refusal();
    match refusal.code {
        "order-own-eid" | "order-duties" | "actor-role-refused" => {
            Denied::new(Kind::Forbidden, refusal)
        }
        "order-stage" => Denied::new(Kind::Conflict, refusal).for_now(),
        _ if refused.is_for_now() => Denied::rule(refusal).for_now(),
        _ => Denied::rule(refusal),
    }
}

/// A step that the store did not take.
pub(super) fn fault(fault: EidOrderFault) -> Denied {
    let (rule, limit, next) = match fault {
        EidOrderFault::Unknown { .. } => return unknown(),
        EidOrderFault::Moved { .. } => (
            "one step of an order is taken at a time",
            "an order as it was read",
            "show the order, and take the step that follows where it stands",
        ),
        EidOrderFault::Signing { .. } => (
            "an order is taken back, or ended, with all its certificates, those that are being signed too",
            "an order for which nothing is being signed",
            "repeat the call with the same key in a few seconds",
        ),
        EidOrderFault::Enough { .. } => (
            "a holder has so many carriers of a kind in one organisation as the routine says",
            "an order that names what it replaces",
            "name the old eID in `replaces`, or revoke it first",
        ),
        EidOrderFault::Over { .. } => (
            "a carrier is handed over with an eID that can be taken into use",
            "an order none of whose certificates is revoked",
            "cancel the order and make another one; what it replaces is as it was",
        ),
        EidOrderFault::Closed { .. } => (
            "an order that is taken back, or over, yields no certificate",
            "an order that is approved",
            "show the order and see what became of it",
        ),
    };
    let refusal = Refusal::new(fault.code(), rule, &fault, limit, next);
    Denied::new(Kind::Conflict, refusal).for_now()
}

#[cfg(test)]
pub(crate) mod tests;
