//! Orders whose deadline is over: ended by the CA, with what was issued for them, in one act each (ISS-15).

use std::sync::atomic::{AtomicBool, Ordering};

use ca::life::{Named as _, OrderAct, OrderStage};
use ca::role::Protected;
use ca::steps::ending;
use serde_json::{Value, json};
use status::{CertificateState, CertificateStatus, HeldFrom};
use store::{
    EidOrderChange, EidOrderFault, EidOrderFilter, EidOrderHolder, EidOrderRow, OrderId,
    StoreError, Subject,
};
use x509::time::UnixTime;

use super::kept::Said;
use super::said::Known;
use super::{audit_of, revocation};
use crate::denied::Denied;
use crate::service::Service;

/// Orders of a page.
const AT_ONCE: u32 = 200;
/// Who takes the steps that the program takes itself.
const PROGRAM: &str = "sigill-ca";

impl Service {
    /// Ends what is overdue by the clock, and what orders replace when that is due; nothing while that cannot be trusted, because a clock that is ahead would end everything.
    pub(crate) fn end_overdue_orders(&self, stop: &AtomicBool) -> Result<(), Denied> {
        let parked = self.store().parked_orders().map_err(|e| self.note_storage(&e))?;
        // More of them than a number of this kind holds there are not.
        metrics::gauge!("sigill_orders_parked").set(u32::try_from(parked).unwrap_or(u32::MAX));
        let now = self.signing_time()?;
        let ended = self.end_due_orders(now, stop);
        ended.and(self.strike_what_is_due(now, stop))
    }

    /// Ends the orders whose deadline is over at `now`, the time that the log would have. One that cannot be ended does not hold up the others.
    /// Ends early when `stop` turns true: what is left is as overdue after the next start. What is parked waits for somebody.
    ///
    /// # Errors
    ///
    /// That of the first that could not be ended.
    pub(super) fn end_due_orders(&self, now: UnixTime, stop: &AtomicBool) -> Result<(), Denied> {
        let filter = EidOrderFilter {
            due_at: Some(now),
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
        let made =
            self.store().eid_order_certificates(row.id).map_err(|e| self.note_storage(&e))?;
        // A database that was restored knows less of an order than the log of what was issued for it: nobody's working eID ends by a deadline.
        let in_use = made.iter().any(|one| was_activated(&one.status.status));
        // Of one who has been forgotten nothing is left that names him, and what does not open names nobody: it is ended all the same.
        let kept = match self.store().eid_order(row.id) {
            Err(StoreError::Sealed { .. }) => None,
            kept => kept.map_err(|e| self.note_storage(&e))?,
        };
        let known = kept.and_then(|order| Known::read(order).ok());
        let subject = known.map_or(Subject::Order(row.id), |known| known.subject());
        let (act, stage) = (OrderAct::Expire, OrderStage::Expired);
        let payload = json!({
            "order": row.id.to_string(),
            "step": act.word().name,
            "stage": stage.word().name,
            "deadline": term.name(),
            "due": due.to_string(),
            "event": event.rule().name,
            "in_use": in_use,
        });
        let audit =
            audit_of((row.id, subject.clone()), (act, stage), (self.system(), None), payload);
        let said = Said::new(None, None, Value::Null).written()?;
        let call: OrderId = self.draw_order_id(now)?;
        let change = EidOrderChange {
            order: row.id,
            call,
            rests_on: row.steps,
            organisation: row.organisation.clone(),
            holder: EidOrderHolder::default(),
            routine: row.routine.clone(),
            act,
            stage,
            client: PROGRAM.to_owned(),
            said,
            subject,
            due: None,
            status: if in_use { None } else { revocation(wish) },
            alone: None,
            // A former name ends by itself, also where nobody has finished the order for another eID.
            strike: None,
            limit: None,
        };
        match self.store().take_eid_order_step(&change, audit, now) {
            Ok(changed) => {
                self.note_changed(change.status, &changed);
                if in_use {
                    tracing::error!(
                        order.id = %row.id,
                        problem.code = "order-in-use",
                        "order ended whose deadline was over, and its eID is in use by the log: it was not revoked; revoke it if its holder never took it"
                    );
                }
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

/// Whether its holder has taken it into use, whatever became of it since.
fn was_activated(status: &CertificateStatus) -> bool {
    matches!(
        status.state,
        CertificateState::Activated | CertificateState::Held(HeldFrom::Activated)
    )
}
