//! What an order replaces (ISS-17): found and judged when the order is made, ended by the rule of its routine with a later step, or by the
//! schedule when its second has come.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::calendar::Calendar;
use ca::key_holder::HolderName;
use ca::life::OrderAct;
use ca::order::Order;
use ca::refusal::Refusal;
use ca::revocation::BusinessEvent;
use ca::revocation::event::Reach;
use ca::role::Protected;
use ca::routine::{Routine, StrikesAt, Succession};
use ca::steps::{Struck, judge_revoker, struck, succession};
use serde_json::json;
use status::CertificateState;
use store::{
    BoundTo, CarrierId, CarrierLimit, CertificateRow, EidFilter, EidId, EidOrderAudit,
    EidOrderChanged, EidOrderFilter, EidOrderReplaces, EidOrderRow, EidOrderStrike, EidRow,
    Subject,
};
use x509::time::UnixTime;

use super::said::Known;
use super::{denied, malformed};
use crate::denied::{Denied, Kind, Warning};
use crate::service::Service;
use crate::service::bindings::mark_of;
use crate::service::caller::Caller;
use crate::service::ordered::time;
use crate::service::revoke::event_of;

/// Orders, or eIDs of a carrier, of a page.
const AT_ONCE: u32 = 200;
/// How far the clocks of those who say when something happened may be ahead of ours.
const AHEAD: Duration = Duration::from_secs(300);

impl Service {
    /// What a new order does to what it replaces: that is the same holder's, in the same organisation, and the caller's to see.
    pub(super) fn replacing(
        &self,
        caller: &Caller,
        (said, ordered): (Option<&api::EidOrderReplaces>, &Order),
        routine: &Routine,
        now: UnixTime,
    ) -> Result<Option<EidOrderStrike>, Denied> {
        let Some(said) = said else { return Ok(None) };
        let event = event_of(said.event);
        let rule = succession(routine, event).map_err(|refused| denied(&refused))?;
        let since = said.since.as_deref().map(|text| time("order/replaces", text)).transpose()?;
        let since = since.unwrap_or(now);
        if since > now.checked_add(AHEAD).unwrap_or(now) {
            let limit = format!("a time until now, {now}");
            return Err(malformed("replaces", &since, &limit).for_now());
        }
        let what = self.named_to_be_replaced(caller, said, event)?;
        self.must_be_the_holders(what, ordered)?;
        let certificates = self.bound(what)?;
        let living: Vec<_> =
            certificates.into_iter().filter(|(_, row)| row.not_after >= now).collect();
        self.must_all_be_here(&living, event.rule().wish)?;
        let times = (since, now);
        let struck = self.with_calendar(|days| {
            struck(rule, routine, OrderAct::Order, times, None, days).unwrap_or(Struck::Spared)
        });
        if struck.revokes() {
            caller.must_revoke()?;
            if let Some(acting) = &caller.acting {
                judge_revoker(acting.acts).map_err(|refused| denied(&refused))?;
            }
        }
        Ok(Some(EidOrderStrike { what, event, struck }))
    }

    /// What a later step does to it. Where the book has the rule no more, the old one ends when the new one is taken into use.
    pub(super) fn strike_of(
        &self,
        known: &Known,
        routine: &Routine,
        act: OrderAct,
        now: UnixTime,
    ) -> Option<EidOrderStrike> {
        let EidOrderReplaces { what, event, due, done } = known.replaces?;
        if done.is_some() {
            return None;
        }
        let without = Succession { event, at: StrikesAt::Activation, after: None };
        let rule = succession(routine, event).unwrap_or(without);
        let struck =
            self.with_calendar(|days| struck(rule, routine, act, (now, now), due, days))?;
        Some(EidOrderStrike { what, event, struck })
    }

    pub(super) fn with_calendar<T>(&self, work: impl FnOnce(&Calendar) -> T) -> T {
        match self.book.rules() {
            Some(rules) => work(rules.calendar()),
            None => work(&Calendar::new([])),
        }
    }

    /// How many carriers the holder may have, where a step is held against that: when it is ordered, and when it is taken into use.
    pub(super) fn limit_of(
        &self,
        ordered: &Order,
        routine: &Routine,
        act: OrderAct,
    ) -> Option<CarrierLimit> {
        let most = routine.most_carriers?;
        // An extra eID is on another organisation's card.
        let counts = matches!(act, OrderAct::Order | OrderAct::Activate);
        if !counts || ordered.issuing.is_some() {
            return None;
        }
        let kind = self.book.carrier(ordered.carrier.as_str())?.kind();
        Some(CarrierLimit { kind, most, mark: mark_of(ordered) })
    }

    fn named_to_be_replaced(
        &self,
        caller: &Caller,
        said: &api::EidOrderReplaces,
        event: BusinessEvent,
    ) -> Result<BoundTo, Denied> {
        let rule = event.rule();
        match (said.eid.as_deref(), said.carrier.as_deref(), rule.reach) {
            (Some(eid), None, Reach::Carrier) => {
                Ok(BoundTo::Carrier(self.seen_eid(caller, eid)?.carrier))
            }
            (Some(eid), None, _) => Ok(BoundTo::Eid(self.seen_eid(caller, eid)?.id)),
            (None, Some(carrier), Reach::Carrier) => {
                Ok(BoundTo::Carrier(self.seen_carrier(caller, carrier)?.id))
            }
            (None, Some(_), _) => {
                let seen = format!("a carrier, because of {}", rule.name);
                Err(malformed("replaces", &seen, "the eID to which it has happened"))
            }
            _ => Err(malformed("replaces", &"neither, or both", "an eID or a carrier")),
        }
    }

    /// Refuses what bears a living eID of somebody else, or none of the holder in the organisation of the order; and the card that is
    /// ordered, which would end with the old one.
    fn must_be_the_holders(&self, what: BoundTo, ordered: &Order) -> Result<(), Denied> {
        let holder = HolderName::of_identity(&ordered.identity);
        let carrier = match what {
            BoundTo::Carrier(carrier) => carrier,
            BoundTo::Eid(eid) => self.eid_row(eid)?.map(|row| row.carrier).ok_or_else(another)?,
        };
        let own = self.eids_on(carrier, Some(holder))?;
        let is_meant = |eid: &EidRow| match what {
            BoundTo::Carrier(_) => true,
            BoundTo::Eid(id) => eid.id == id,
        };
        let user = ordered.user.number.as_str();
        let here = own.iter().any(|eid| is_meant(eid) && eid.organisation == user);
        let living = self.bound(what)?.into_iter().filter(|(_, row)| !is_over(row));
        let all_his = living.into_iter().all(|(id, _)| own.iter().any(|eid| eid.id == id));
        if !here || !all_his {
            return Err(another());
        }
        let (BoundTo::Carrier(old), Some(mark)) = (what, mark_of(ordered)) else { return Ok(()) };
        let new = self.store().carrier_of_card(&mark, Protected::Seen);
        let new = new.map_err(|e| self.note_storage(&e))?;
        if new.is_some_and(|new| new.id == old) {
            return Err(Denied::rule(Refusal::new(
                "order-replaces-itself",
                "ISS-17: what is replaced ends, with all that is on it",
                &"an order for the carrier that it replaces",
                "another carrier, or an event that happens to one eID",
                "name the event `updated` for another eID on the same card",
            )));
        }
        Ok(())
    }

    fn eid_row(&self, eid: EidId) -> Result<Option<EidRow>, Denied> {
        self.store().eid(eid, Protected::Seen).map_err(|e| self.note_storage(&e))
    }

    fn eids_on(
        &self,
        carrier: CarrierId,
        holder: Option<HolderName>,
    ) -> Result<Vec<EidRow>, Denied> {
        let (carrier, protected) = (Some(carrier), Protected::Seen);
        let filter = EidFilter { carrier, holder, protected, ..EidFilter::default() };
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.store().eids(&filter, after, AT_ONCE);
            let page = page.map_err(|e| self.note_storage(&e))?;
            all.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// Revokes what orders replace whose second has come at `now`. One that cannot be revoked does not hold up the others.
    ///
    /// # Errors
    ///
    /// That of the first that could not be revoked.
    pub(super) fn strike_what_is_due(
        &self,
        now: UnixTime,
        stop: &AtomicBool,
    ) -> Result<(), Denied> {
        let filter = EidOrderFilter {
            strikes_at: Some(now),
            parked: Some(false),
            protected: Protected::Seen,
            ..EidOrderFilter::default()
        };
        let (mut first, mut after) = (Ok(()), None);
        loop {
            let page = self.store().eid_orders(&filter, after, AT_ONCE);
            let page = page.map_err(|e| self.note_storage(&e))?;
            for row in &page.rows {
                if stop.load(Ordering::Relaxed) {
                    return first;
                }
                let struck = self.strike_due(row, now);
                if let Err(denied) = &struck {
                    tracing::warn!(
                        order.id = %row.id,
                        problem.code = denied.refusal.code,
                        "what an order replaces could not be revoked when that was due: {}", denied.refusal.seen
                    );
                }
                first = first.and(struck);
            }
            after = page.next;
            if after.is_none() {
                return first;
            }
        }
    }

    fn strike_due(&self, row: &EidOrderRow, now: UnixTime) -> Result<(), Denied> {
        let Some(replaces) = row.replaces else { return Ok(()) };
        let (order, actor) = (row.id, self.system());
        let rule = replaces.event.rule();
        let payload = json!({
            "order": order.to_string(),
            "replaced": replaces.what.to_string(),
            "event": rule.name,
            "due": replaces.due.map(|due| due.to_string()),
        });
        let audit: EidOrderAudit = Box::new(move |changed: &[EidOrderChanged]| {
            if changed.is_empty() {
                return Vec::new();
            }
            let mut payload = payload;
            if let Some(object) = payload.as_object_mut() {
                let ids: Vec<_> = changed.iter().map(|one| one.certificate.to_string()).collect();
                object.insert("certificates".to_owned(), json!(ids));
            }
            let certificates =
                changed.iter().map(|one| ObjectId::Certificate(*one.certificate.as_bytes()));
            let objects = std::iter::once(ObjectId::Order(*order.as_bytes()));
            let objects = ObjectIds::first_of(objects.chain(certificates));
            let (code, done) = (EventCode::CertificateRevoked, EventResult::Done);
            vec![Self::record(code, done, actor, objects, None, &payload, Subject::Order(order))]
        });
        let changed = self.store().strike_replaced(order, audit, now);
        let changed = changed.map_err(|e| self.note_storage(&e))?;
        self.note_changed(None, &changed);
        tracing::info!(order.id = %order, event = rule.name, "what an order replaces was due and is revoked");
        Ok(())
    }
}

/// Whether an order is to end something that it has not ended yet.
pub(super) fn waits(row: &EidOrderRow) -> bool {
    row.replaces.is_some_and(|one| one.done.is_none())
}

/// A call that was refused, of an order that replaces something: nobody is to believe that the old card is revoked. Of what is put off nobody
/// knows that it did nothing.
pub(super) fn unrevoked(denied: Denied) -> Denied {
    if matches!(denied.kind, Kind::Unavailable | Kind::Internal | Kind::Busy) {
        return denied;
    }
    denied.warning(Warning::OldIsNotRevoked)
}

pub(super) fn is_over(row: &CertificateRow) -> bool {
    matches!(row.status.status.state, CertificateState::Revoked | CertificateState::Voided)
}

fn another() -> Denied {
    Denied::rule(Refusal::new(
        "order-replaces-another",
        "ISS-17: an order replaces what the same holder has in the same organisation",
        &"an eID or a carrier of another holder or organisation, or one that bears such an eID",
        "an eID of the holder of the order in his organisation",
        "name the old eID of this holder; revoke what is another's by a call of its own",
    ))
}
