//! Orders of several steps as they are shown: where they stand, how they came there, what is due.

use ca::life::{Named as _, OrderAct};
use ca::refusal::Refusal;
use ca::role::Protected;
use store::{
    BoundTo, CertificateLookup, EidOrder, EidOrderFilter, EidOrderReplaces, EidOrderRow, StoreError,
};

use super::kept::{Said, Unreadable};
use super::said::unreadable;
use crate::denied::{Denied, Kind};
use crate::service::Service;
use crate::service::caller::Caller;
use crate::service::ordered::time;
use crate::service::signing::defect;

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
        if let Some(replaced) = order.row.replaces.filter(|one| one.done.is_some()) {
            let ended = self.bound(replaced.what)?.into_iter();
            positions.extend(ended.map(|(_, row)| row.status.position));
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
    }
}

fn malformed(field: &'static str, limit: &str) -> Denied {
    let seen = "another value";
    let refusal = Refusal::new("query-malformed", field, &seen, limit, "correct the question");
    Denied::new(Kind::Malformed, refusal)
}
