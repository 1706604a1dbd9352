//! Orders of several steps as they are shown: where they stand, how they came there, what is due.

use std::collections::BTreeSet;

use ca::life::{CarrierStage, Named as _, OrderAct, Stage as _};
use ca::refusal::Refusal;
use ca::role::Protected;
use store::{
    BoundTo, CertificateLookup, CertificateRow, EidId, EidOrder, EidOrderFilter, EidOrderReplaces,
    EidOrderRow, StoreError,
};

use super::kept::{Said, Unreadable};
use super::replaced::is_over;
use super::said::unreadable;
use crate::denied::{Denied, Kind};
use crate::service::Service;
use crate::service::bindings::stage_of;
use crate::service::caller::Caller;
use crate::service::ordered::time;
use crate::service::signing::defect;

/// What is told of an order that is parked.
const PARKED: &str = "the database was put back from a backup: this order may have gone on, or been taken back, since. No deadline of it ends anything before somebody takes its next step, or takes it back";
const PARKED_SV: &str = "Databasen har lästs tillbaka från en säkerhetskopia: beställningen kan ha hanterats vidare eller tagits bort sedan dess. Inga frister löper förrän någon tar nästa steg eller tar bort den. Kontrollera med den som beställde.";

/// Most rows of a page.
const PAGE: u32 = 1000;

impl Service {
    /// One order, if the caller sees it.
    pub(crate) fn eid_order(&self, caller: &Caller, id: &str) -> Result<api::EidOrder, Denied> {
        caller.must_read()?;
        self.shown_order(&self.seen_order(caller, id)?)
    }

    /// A page of orders, oldest first. A client that is limited to organisations names one of them.
    pub(crate) fn eid_orders(
        &self,
        caller: &Caller,
        query: &api::EidOrderQuery,
    ) -> Result<api::Page<api::EidOrder>, Denied> {
        caller.must_read()?;
        let limit = query.limit.unwrap_or(100);
        if !(1..=PAGE).contains(&limit) {
            return Err(malformed("limit", "1 to 1000"));
        }
        let after = query.cursor.as_deref().map(str::parse::<u64>).transpose();
        let after = after.map_err(|_| malformed("cursor", "`next` of a page"))?;
        let until = |name, text: &Option<String>| {
            let limit = "a time in UTC such as 2026-11-21T09:30:00Z";
            // What is a time no schema says: RFC 3339 has some that are none here.
            let none = || Denied { kind: Kind::Rule, ..malformed(name, limit) };
            let read = |text| time(name, text).map_err(|_| none());
            text.as_deref().map(read).transpose()
        };
        let filter = EidOrderFilter {
            organisation: self.listed_organisation(caller, query.organisation.as_deref())?,
            due_at: until("due_before", &query.due_before)?,
            strikes_at: until("strikes_before", &query.strikes_before)?,
            parked: query.parked,
            protected: caller.protected(),
        };
        let page = self.store().eid_orders(&filter, after, limit);
        let page = page.map_err(|e| self.note_storage(&e))?;
        let mut items = Vec::new();
        for row in &page.rows {
            if self.is_listed(caller, row)? {
                items.push(shown_row(row));
            }
        }
        Ok(api::Page { items, next: page.next.map(|next| next.to_string()) })
    }

    /// Whether a row is shown in a list: one from before orders kept whose they are is looked at. One that does not read back says of nobody that
    /// he is not protected, and ends no page.
    fn is_listed(&self, caller: &Caller, row: &EidOrderRow) -> Result<bool, Denied> {
        if caller.protected() == Protected::Seen {
            return Ok(true);
        }
        let seen = match self.store().eid_order(row.id) {
            Ok(Some(order)) => self.may_see(caller, &order),
            Ok(None) => Ok(false),
            Err(StoreError::Sealed { .. }) => Err(unreadable(Unreadable)),
            Err(error) => return Err(self.note_storage(&error)),
        };
        match seen {
            Err(denied) if denied == unreadable(Unreadable) => {
                tracing::error!(order.id = %row.id, "order left out of a list: what is kept of it does not read back");
                Ok(false)
            }
            seen => seen,
        }
    }

    /// An order with its steps; with its certificates once all of them are there, and not before.
    pub(super) fn shown_order(&self, order: &EidOrder) -> Result<api::EidOrder, Denied> {
        let mut shown = shown_row(&order.row);
        for step in &order.steps {
            let said = step.said.as_deref().map(Said::read).transpose().map_err(unreadable)?;
            let act = step.act.word();
            match (step.act, &said) {
                (OrderAct::Order, Some(said)) => {
                    shown.profiles = said.order().map_err(unreadable)?.profiles
                }
                (OrderAct::TakeReceipt, Some(said)) => {
                    shown.receipt = Some(said.receipt().map_err(unreadable)?)
                }
                _ => {}
            }
            shown.steps.push(api::EidOrderStep {
                number: step.number,
                act: act.name.to_owned(),
                act_sv: act.swedish.to_owned(),
                stage: step.stage.word().name.to_owned(),
                at: step.at.to_string(),
                client: step.client.clone(),
                by: said.and_then(|said| said.by),
            });
        }
        let rows = self.store().eid_order_certificates(order.row.id);
        let rows = rows.map_err(|e| self.note_storage(&e))?;
        // Also of those that are not shown yet: an order that ends before all are there has revoked them.
        let mut positions: Vec<_> = rows.iter().map(|row| row.status.position).collect();
        if let (Some(replaced), Some(told)) = (order.row.replaces, &mut shown.replaces) {
            let mut old = self.bound(replaced.what)?;
            if replaced.done.is_some() {
                positions.extend(old.iter().map(|(_, row)| row.status.position));
            }
            // An update on the same card may have joined the eID that ends.
            old.retain(|(_, row)| rows.iter().all(|own| own.id != row.id));
            self.tell_old(told, &order.row, &old)?;
        }
        let last = positions.into_iter().max();
        shown.position = last.map(|position| position.to_string());
        if order.steps.iter().any(|step| step.act == OrderAct::Issue) {
            for row in rows {
                let lookup = CertificateLookup::Id(row.id);
                let record =
                    self.store().certificate(&lookup).map_err(|e| self.note_storage(&e))?;
                let record = record.ok_or_else(|| defect("a certificate that is not there"))?;
                shown.certificates.push(self.shown(&record)?);
            }
        }
        Ok(shown)
    }
}

impl Service {
    /// Says how what an order replaces stands, and plainly that it is not revoked where that is so.
    fn tell_old(
        &self,
        told: &mut api::EidOrderReplaced,
        order: &EidOrderRow,
        old: &[(EidId, CertificateRow)],
    ) -> Result<(), Denied> {
        let Some(replaces) = order.replaces else { return Ok(()) };
        let now = self.clock().read().now;
        let word = match replaces.what {
            BoundTo::Eid(_) => stage_of(old.iter().map(|(_, row)| row), now).word(),
            BoundTo::Carrier(id) => {
                let carrier = self.store().carrier(id, Protected::Seen);
                let carrier = carrier.map_err(|e| self.note_storage(&e))?;
                let eids: BTreeSet<_> = old.iter().map(|(eid, _)| *eid).collect();
                let own = |eid| old.iter().filter(move |(of, _)| *of == eid).map(|(_, row)| row);
                let stages: Vec<_> = eids.into_iter().map(|eid| stage_of(own(eid), now)).collect();
                let revoked = carrier.is_some_and(|carrier| carrier.revoked.is_some());
                if revoked { CarrierStage::Revoked } else { CarrierStage::bearing(&stages) }.word()
            }
        };
        told.stage = Some(word.name.to_owned());
        told.stage_sv = Some(word.swedish.to_owned());
        if old.iter().any(|(_, row)| row.not_after >= now && !is_over(row)) {
            let (english, swedish) = still_there(order, &replaces);
            (told.warning, told.warning_sv) = (Some(english), Some(swedish));
        }
        Ok(())
    }
}

/// What is told of something old that lives.
fn still_there(order: &EidOrderRow, replaces: &EidOrderReplaces) -> (String, String) {
    let (what, sv, it_sv) = match replaces.what {
        BoundTo::Eid(_) => {
            ("the old eID is NOT revoked", "Den gamla e-legitimationen är INTE spärrad", "den")
        }
        BoundTo::Carrier(_) => {
            ("the old card is NOT revoked", "Det gamla kortet är INTE spärrat", "det")
        }
    };
    match (replaces.done, replaces.due, order.stage.is_final()) {
        (Some(_), ..) => (
            format!("{what}, or not all of it, though this order ended it: look at it"),
            format!(
                "{sv}, eller inte helt, trots att beställningen har spärrat {it_sv}: kontrollera."
            ),
        ),
        (None, Some(due), _) if order.parked.is_none() => (
            format!(
                "{what} yet: the CA revokes it at {due}. If it is lost or stolen, revoke it now"
            ),
            format!(
                "{sv} än: CA spärrar {it_sv} {due}. Borttappat eller stulet spärras nu, med ett eget anrop."
            ),
        ),
        (None, _, true) => (
            format!(
                "{what}: this order is over and ends nothing. If it is lost or stolen, revoke it now"
            ),
            format!(
                "{sv}: beställningen är avslutad och spärrar inget. Borttappat eller stulet spärras nu, med ett eget anrop."
            ),
        ),
        (None, _, false) => (
            format!(
                "{what}: it ends with a later step of this order. If it is lost or stolen, revoke it now"
            ),
            format!(
                "{sv}: {it_sv} spärras först i ett senare steg av beställningen. Borttappat eller stulet spärras nu, med ett eget anrop."
            ),
        ),
    }
}

fn shown_row(row: &EidOrderRow) -> api::EidOrder {
    let stage = row.stage.word();
    api::EidOrder {
        id: row.id.to_string(),
        stage: stage.name.to_owned(),
        stage_sv: stage.swedish.to_owned(),
        routine: row.routine.clone(),
        organisation: row.organisation.clone(),
        profiles: Vec::new(),
        due: row.due.map(|(term, at)| api::EidOrderDue {
            term: term.name().to_owned(),
            term_sv: term.swedish().to_owned(),
            at: at.to_string(),
        }),
        replaces: row.replaces.as_ref().map(shown_replaced),
        parked: row.parked.map(|since| api::EidOrderParked {
            since: since.to_string(),
            warning: PARKED.to_owned(),
            warning_sv: PARKED_SV.to_owned(),
        }),
        created: row.created.to_string(),
        updated: row.updated.to_string(),
        position: None,
        steps: Vec::new(),
        receipt: None,
        certificates: Vec::new(),
    }
}

fn shown_replaced(replaces: &EidOrderReplaces) -> api::EidOrderReplaced {
    let rule = replaces.event.rule();
    let (eid, carrier) = match replaces.what {
        BoundTo::Eid(id) => (Some(id.to_string()), None),
        BoundTo::Carrier(id) => (None, Some(id.to_string())),
    };
    api::EidOrderReplaced {
        eid,
        carrier,
        event: rule.name.to_owned(),
        event_sv: rule.swedish.to_owned(),
        due: replaces.due.map(|time| time.to_string()),
        done: replaces.done.map(|time| time.to_string()),
        stage: None,
        stage_sv: None,
        warning: None,
        warning_sv: None,
    }
}

fn malformed(field: &'static str, limit: &str) -> Denied {
    let seen = "another value";
    let refusal = Refusal::new("query-malformed", field, &seen, limit, "correct the question");
    Denied::new(Kind::Malformed, refusal)
}
