//! Orders whose deadline is over: ended by the CA, with what was issued for them, in one act each (ISS-15).

use ca::life::{Named as _, OrderAct, OrderStage};
use ca::steps::ending;
use serde_json::{Value, json};
use store::{
    EidOrderChange, EidOrderFault, EidOrderFilter, EidOrderRow, OrderId, StoreError, Subject,
};
use x509::time::UnixTime;

use super::said::{Known, Said};
use super::{audit_of, kept, revocation};
use crate::denied::Denied;
use crate::service::Service;
use crate::service::record::written;

/// Orders of a page.
const AT_ONCE: u32 = 200;
/// Who takes the steps that the program takes itself.
const PROGRAM: &str = "sigill-ca";

impl Service {
    /// Ends what is overdue by the clock; nothing while that cannot be trusted, because a clock that is ahead would end everything.
    pub(crate) fn end_overdue_orders(&self) -> Result<(), Denied> {
        self.signing_time().and_then(|now| self.end_due_orders(now))
    }

    /// Ends the orders whose deadline is over at `now`, the time that the log would have. One that cannot be ended does not hold up the others.
    ///
    /// # Errors
    ///
    /// That of the first that could not be ended.
    pub(super) fn end_due_orders(&self, now: UnixTime) -> Result<(), Denied> {
        let filter = EidOrderFilter { due_at: Some(now), ..EidOrderFilter::default() };
        let (mut first, mut after) = (Ok(()), None);
        loop {
            let page = self.store().eid_orders(&filter, after, AT_ONCE);
            let page = page.map_err(|e| self.note_storage(&e))?;
            for row in &page.rows {
                let ended = self.end_due_order(row, now);
                if let Err(denied) = &ended {
                    tracing::warn!(
                        order.id = %row.id,
                        problem.code = denied.refusal.code,
                        "order whose deadline is over could not be ended: {}", denied.refusal.seen
                    );
                }
                first = first.and(ended);
            }
            after = page.next;
            if after.is_none() {
                return first;
            }
        }
    }

    fn end_due_order(&self, row: &EidOrderRow, now: UnixTime) -> Result<(), Denied> {
        let Some((term, due)) = row.due else { return Ok(()) };
        let (event, wish) = ending(Some(term));
        // Of one who has been forgotten nothing is left that names him.
        let known = self.kept_order(row.id)?.and_then(|order| Known::read(order).ok());
        let subject = known.map_or(Subject::Order(row.id), |known| known.subject());
        let (act, stage) = (OrderAct::Expire, OrderStage::Expired);
        let payload = json!({
            "order": row.id.to_string(),
            "step": act.word().name,
            "stage": stage.word().name,
            "deadline": term.name(),
            "due": due.to_string(),
            "event": event.rule().name,
        });
        let audit =
            audit_of((row.id, subject.clone()), (act, stage), (self.system(), None), payload);
        let said = Said { by: None, acts: None, body: Value::Null };
        let call: OrderId = self.draw_order_id(now)?;
        let change = EidOrderChange {
            order: row.id,
            call,
            rests_on: row.steps,
            organisation: row.organisation.clone(),
            routine: row.routine.clone(),
            act,
            stage,
            client: PROGRAM.to_owned(),
            said: written(&kept(&said)?),
            subject,
            due: None,
            status: revocation(wish),
            alone: None,
        };
        match self.store().take_eid_order_step(&change, audit, now) {
            Ok(changed) => {
                self.note_changed(change.status, &changed);
                tracing::info!(order.id = %row.id, deadline = term.name(), "order ended: its deadline is over");
                Ok(())
            }
            // The next round looks again.
            Err(StoreError::EidOrder(
                EidOrderFault::Moved { .. } | EidOrderFault::Signing { .. },
            )) => Ok(()),
            Err(error) => Err(self.note_storage(&error)),
        }
    }
}
