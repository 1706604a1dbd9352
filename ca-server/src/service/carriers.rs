//! Carriers before the first certificate on them: registered, sent, taken back, taken out of the register.
//!
//! Which act follows which stage is `ca::life`'s to say. Once there is a certificate on a carrier, it stands where its eIDs do.

use std::collections::BTreeSet;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::carrier::CarrierKind;
use ca::identity::{CardNumber, OrganisationNumber};
use ca::life::{CarrierAct, CarrierStage, Named as _, Stage as _};
use ca::refusal::Refusal;
use serde_json::{Value, json};
use store::{
    AuditRecord, CarrierFault, CarrierFilter, CarrierId, CarrierMove, IndexTag, IndexTerm,
    NewCarriers, Subject,
};

use super::bindings::no_such;
use super::body::from_json;
use super::caller::Caller;
use super::order::{Answered, OrderWork, Outcome};
use super::record::{call_object, client};
use super::{Service, milliseconds};
use crate::denied::{Denied, Kind};

/// Most cards of a call.
const MOST_CARDS: usize = 500;
/// Most rows of a page.
const PAGE: u32 = 1000;

impl Service {
    /// Takes cards into the register, all of them or none.
    pub(crate) fn register_carriers(
        &self,
        caller: &Caller,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let request: api::CarrierRegistration = from_json(&work.call.body)?;
        let family = self.book.carrier(&request.family);
        let family = family.ok_or_else(|| malformed("family", &"no family of the book"))?;
        let act = match family.kind() {
            CarrierKind::OrdinaryCard => CarrierAct::Order,
            CarrierKind::ReserveCard => CarrierAct::Register,
            kind @ (CarrierKind::MobileDevice | CarrierKind::BlankCard) => {
                return Err(malformed("family", &kind));
            }
        };
        let stage = CarrierStage::step(None, act, family.kind());
        let stage = stage.ok_or_else(|| malformed("family", &family.kind()))?;
        let number = OrganisationNumber::parse(&request.organisation)
            .map_err(|error| Denied::rule(error.refusal()))?;
        if !self.is_of(caller, number.as_str())? {
            return Err(no_such("organisation-unknown", "organisation"));
        }
        let count = request.card_numbers.len();
        if !(1..=MOST_CARDS).contains(&count) {
            return Err(malformed("card_numbers", &count));
        }
        let now = self.clock().read().now;
        let (mut cards, mut seen) = (Vec::new(), BTreeSet::new());
        for text in &request.card_numbers {
            let number = CardNumber::parse(text).map_err(|error| Denied::rule(error.refusal()))?;
            if !seen.insert(number.as_str().to_owned()) {
                return Err(malformed("card_numbers", &"one card twice"));
            }
            let id = CarrierId::from_time_and_random(milliseconds(now), self.randomness.draw()?);
            cards.push((id, IndexTerm::new(IndexTag::CardNumber, number.as_str())));
        }
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "by": caller.acting.as_ref().map(|acting| acting.id.to_string()),
            "kind": family.kind().name(),
            "family": request.family,
            "organisation": number.as_str(),
            "cards": count,
        });
        let audit = record(EventCode::CarriersRegistered, None, work, &payload);
        let new = NewCarriers {
            call: work.order,
            kind: family.kind(),
            family: request.family,
            organisation: number.as_str().to_owned(),
            stage,
            cards,
        };
        let rows = self.store().register_carriers(&new, &audit, now);
        let rows = rows.map_err(|e| self.note_storage(&e))?;
        let carriers = rows.iter().map(|row| self.shown_carrier(caller, row));
        let carriers = carriers.collect::<Result<_, _>>()?;
        Answered::unlogged(Outcome::Created, &api::RegisteredCarriers { carriers })
    }

    /// Moves a carrier before there is a certificate on it. What stands so already is answered as if it had been moved.
    pub(crate) fn move_carrier(
        &self,
        caller: &Caller,
        id: &str,
        work: &OrderWork<'_>,
    ) -> Result<Answered, Denied> {
        let request: api::CarrierMove = from_json(&work.call.body)?;
        let row = self.seen_carrier(caller, id)?;
        let named = |act: &&CarrierAct| act.word().name == request.act;
        let act = CarrierAct::BEFORE_CERTIFICATES.iter().find(named).copied();
        let act = act.ok_or_else(|| malformed("act", &"another word"))?;
        let carrier = row.id;
        let from = match (row.revoked, row.stage) {
            (None, Some(stage)) => stage,
            (Some(_), _) => return Err(illegal(act, CarrierStage::Revoked)),
            (None, None) => return Err(illegal(act, CarrierStage::Activating)),
        };
        let to = match CarrierStage::step(Some(from), act, row.kind) {
            Some(to) => to,
            None if from == led_to(act) => from,
            None => return Err(illegal(act, from)),
        };
        let payload = json!({
            "call": work.call.correlation_id,
            "client": work.call.client,
            "by": caller.acting.as_ref().map(|acting| acting.id.to_string()),
            "act": act.word().name,
            "stage": to.word().name,
        });
        let object = Some(ObjectId::Carrier(*carrier.as_bytes()));
        let audit = record(EventCode::CarrierMoved, object, work, &payload);
        let now = self.clock().read().now;
        let moved = self.store().move_carrier(&CarrierMove { carrier, from, to }, &audit, now);
        moved.map_err(|e| self.note_storage(&e))?;
        let row = self.seen_carrier(caller, id)?;
        Answered::unlogged(Outcome::Changed, &self.shown_carrier(caller, &row)?)
    }

    /// A page of the carriers that were registered. A client that is limited to organisations names one of them.
    pub(crate) fn registered_carriers(
        &self,
        caller: &Caller,
        query: &api::CarrierQuery,
    ) -> Result<api::Page<api::Carrier>, Denied> {
        caller.must_read()?;
        let limit = query.limit.unwrap_or(100);
        if !(1..=PAGE).contains(&limit) {
            return Err(asked("limit", "1 to 1000"));
        }
        let after = query.cursor.as_deref().map(str::parse::<u64>).transpose();
        let after = after.map_err(|_| asked("cursor", "`next` of a page"))?;
        let stage = query.stage.as_deref().map(|name| {
            let found = CarrierStage::ALL.iter().copied().find(|one| one.word().name == name);
            found.ok_or_else(|| asked("stage", "a stage before the first certificate"))
        });
        let filter = CarrierFilter {
            organisation: self.listed_organisation(caller, query.organisation.as_deref())?,
            stage: stage.transpose()?,
            protected: caller.protected(),
        };
        let page = self.store().registered_carriers(&filter, after, limit);
        let page = page.map_err(|e| self.note_storage(&e))?;
        let items = page.rows.iter().map(|row| self.shown_carrier(caller, row));
        Ok(api::Page {
            items: items.collect::<Result<_, _>>()?,
            next: page.next.map(|next| next.to_string()),
        })
    }
}

/// Where an act leads.
const fn led_to(act: CarrierAct) -> CarrierStage {
    match act {
        CarrierAct::Send => CarrierStage::Sent,
        CarrierAct::Cancel => CarrierStage::Cancelled,
        _ => CarrierStage::Deregistered,
    }
}

fn record(
    code: EventCode,
    object: Option<ObjectId>,
    work: &OrderWork<'_>,
    payload: &Value,
) -> AuditRecord {
    let objects = ObjectIds::of_act([object, Some(call_object(work.call))]);
    let (done, actor) = (EventResult::Done, client(&work.call.client));
    Service::record(code, done, actor, objects, None, payload, Subject::Deployment)
}

fn illegal(act: CarrierAct, stage: CarrierStage) -> Denied {
    let refusal = Refusal::new(
        "carrier-stage",
        "states/carrier",
        &format!("{} at {}", act.word().name, stage.word().name),
        "a step that docs/states.md has",
        "show the carrier; one with certificates on it is revoked",
    );
    Denied::new(Kind::Conflict, refusal).for_now()
}

/// An act on a carrier, or a certificate for it, that the store did not take.
pub(super) fn fault(fault: &CarrierFault) -> Denied {
    let (rule, limit, next) = match fault {
        CarrierFault::Known { .. } => (
            "a card is in the register once",
            "cards that no order and no registration has named",
            "look the card up; leave out those that are known",
        ),
        CarrierFault::Moved { .. } => (
            "one step of a carrier is taken at a time",
            "a carrier as it was read",
            "show the carrier, and take the step that follows where it stands",
        ),
        CarrierFault::Stage { .. } => (
            "a registered card gets certificates once it is sent, and a reserve card while it is blank (docs/states.md)",
            "a card that is sent, or blank",
            "send it first; of one that was given up take another card",
        ),
        CarrierFault::Family { .. } => (
            "a registered card is what it was registered as",
            "the family of the register",
            "name that family in the order",
        ),
    };
    let refusal = Refusal::new(fault.code(), rule, fault, limit, next);
    Denied::new(Kind::Conflict, refusal).for_now()
}

fn malformed(field: &'static str, seen: &impl std::fmt::Display) -> Denied {
    let limit = "a family of ordinary or reserve cards, 1 to 500 card numbers, each once; an act that is send, cancel or deregister";
    Denied::rule(Refusal::new("carrier-malformed", field, seen, limit, "correct the call"))
}

fn asked(field: &'static str, limit: &str) -> Denied {
    let refusal =
        Refusal::new("query-malformed", field, &"another value", limit, "correct the question");
    Denied::new(Kind::Malformed, refusal)
}
