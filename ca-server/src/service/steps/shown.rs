//! Orders of several steps as they are shown: where they stand, how they came there, what is due.

use ca::life::{Named as _, OrderAct};
use ca::refusal::Refusal;
use store::{CertificateLookup, EidOrder, EidOrderFilter, EidOrderRow};

use super::said::Said;
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
        let due_at = query.due_before.as_deref().map(|text| {
            time("due_before", text)
                .map_err(|_| malformed("due_before", "a time in UTC such as 2026-11-21T09:30:00Z"))
        });
        let filter = EidOrderFilter {
            organisation: self.listed_organisation(caller, query.organisation.as_deref())?,
            due_at: due_at.transpose()?,
        };
        let page = self.store().eid_orders(&filter, after, limit);
        let page = page.map_err(|e| self.note_storage(&e))?;
        let mut items = Vec::new();
        for row in &page.rows {
            if let Some(order) = self.kept_order(row.id)?
                && self.may_see(caller, &order)?
            {
                items.push(shown_row(row));
            }
        }
        Ok(api::Page { items, next: page.next.map(|next| next.to_string()) })
    }

    /// An order with its steps; with its certificates once all of them are there, and not before.
    pub(super) fn shown_order(&self, order: &EidOrder) -> Result<api::EidOrder, Denied> {
        let mut shown = shown_row(&order.row);
        for step in &order.steps {
            let said = step.said.as_deref().map(serde_json::from_slice::<Said>).transpose();
            let said = said.map_err(|_| defect("a step of an order that does not read back"))?;
            let act = step.act.word();
            let (by, body) = said.map_or((None, None), |said| (said.by, Some(said.body)));
            match (step.act, body) {
                (OrderAct::Order, Some(body)) => {
                    let prepared = serde_json::from_value::<api::EidOrderRequest>(body);
                    shown.profiles = prepared.map(|said| said.profiles).unwrap_or_default();
                }
                (OrderAct::TakeReceipt, Some(body)) => {
                    shown.receipt = serde_json::from_value(body).ok();
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
                by,
            });
        }
        if order.steps.iter().any(|step| step.act == OrderAct::Issue) {
            let rows = self.store().eid_order_certificates(order.row.id);
            for row in rows.map_err(|e| self.note_storage(&e))? {
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
        created: row.created.to_string(),
        updated: row.updated.to_string(),
        steps: Vec::new(),
        receipt: None,
        certificates: Vec::new(),
    }
}

fn malformed(field: &'static str, limit: &str) -> Denied {
    let seen = "another value";
    let refusal = Refusal::new("query-malformed", field, &seen, limit, "correct the question");
    Denied::new(Kind::Malformed, refusal)
}
