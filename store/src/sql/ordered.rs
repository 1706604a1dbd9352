//! The two acts of a certificate that a caller orders.

use x509::signing::{Intent, Pending, Signed};
use x509::time::UnixTime;

use super::certificates::{self, NewlySigned};
use super::group::Act;
use super::intents::{self, NewIntent};
use super::orders::{self, Holder, Taken};
use super::{Backend, SqlStore, recorder};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::certificate::{CertificateIntent, IssuedCertificate};
use crate::order::{BegunOrder, HeldOrder, NewOrder, OrderAnswer};
use crate::ordered::{
    AnswerOf, BegunWithIntent, IssuedAndAnswered, OrderStanding, OrderedIssuing, RefusedOrder,
};

impl<B: Backend> OrderedIssuing for SqlStore<B> {
    fn order_standing(&self, order: &NewOrder, now: UnixTime) -> Result<OrderStanding, StoreError> {
        self.readers.read(|connection| orders::standing(connection, &self.sealer, order, now))
    }

    fn begin_with_intent(
        &self,
        order: &NewOrder,
        pending: &Pending,
        facts: &CertificateIntent,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<BegunWithIntent, StoreError> {
        if facts.order != order.id || facts.node != order.node {
            return Err(StoreError::OrderState { order: facts.order });
        }
        let bytes = pending.bytes().ok_or(StoreError::OtherBytes)?.to_vec();
        let (order, facts, audit) = (order.clone(), facts.clone(), audit.clone());
        let recorded = recorder::record(pending.intent(), |intent: &Intent| {
            let new = NewIntent { intent: intent.clone(), bytes, facts };
            let found = self.writer.run(move |act| begin(act, &order, &new, &audit, now));
            match found.map_err(NotRecorded::Refused)? {
                None => Ok(()),
                Some(found) => Err(NotRecorded::Found(found)),
            }
        });
        match recorded {
            Ok(recorded) => Ok(BegunWithIntent::Recorded(recorded)),
            Err(NotRecorded::Found(found)) => Ok(BegunWithIntent::Found(found)),
            Err(NotRecorded::Refused(error)) => Err(error),
        }
    }

    fn record_issued_and_answer(
        &self,
        signed: &Signed,
        facts: &IssuedCertificate,
        answer: AnswerOf,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<IssuedAndAnswered, StoreError> {
        let new = NewlySigned {
            intent: signed.intent().clone(),
            der: signed.to_der().ok_or(StoreError::OtherBytes)?,
            facts: facts.clone(),
        };
        let audit = audit.clone();
        self.writer.run(move |act| issue(act, &new, answer, &audit, now))
    }

    fn leave_new_order(&self, order: &NewOrder, now: UnixTime) -> Result<(), StoreError> {
        let order = order.clone();
        self.writer.run(move |act| leave(act, &order, now))
    }

    fn refuse_order(
        &self,
        order: &NewOrder,
        answer: &OrderAnswer,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<RefusedOrder, StoreError> {
        let (order, answer, audit) = (order.clone(), answer.clone(), audit.clone());
        self.writer.run(move |act| refuse(act, &order, &answer, &audit, now))
    }
}

/// Why an intent was not recorded.
enum NotRecorded {
    Found(BegunOrder),
    Refused(StoreError),
}

fn begin(
    act: &mut Act<'_>,
    order: &NewOrder,
    new: &NewIntent,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<Option<BegunOrder>, StoreError> {
    match orders::take(act, order, now)? {
        Taken::Found(found) => Ok(Some(found)),
        Taken::New(row) => intents::record_under(act, row, new, audit, now).map(|()| None),
    }
}

fn issue(
    act: &mut Act<'_>,
    new: &NewlySigned,
    answer: AnswerOf,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<IssuedAndAnswered, StoreError> {
    let (issued, intent) = certificates::issue(act, new, audit, now)?;
    let order = intent.order.ok_or(StoreError::OtherBytes)?;
    let answer = answer(&issued)?;
    orders::finish(act, Holder::Intent(order, &intent.node), &answer, now)?;
    Ok(IssuedAndAnswered { issued, response: answer.response })
}

fn leave(act: &mut Act<'_>, order: &NewOrder, now: UnixTime) -> Result<(), StoreError> {
    let held = match orders::take(act, order, now)? {
        Taken::New(_) => HeldOrder::first(order.id),
        Taken::Found(BegunOrder::Running { order: id }) if id == order.id => HeldOrder::first(id),
        Taken::Found(BegunOrder::Resume(progress)) => progress.held(),
        Taken::Found(_) => return Ok(()),
    };
    match orders::leave(act, held, &order.node, now) {
        // A later call of the key works on it.
        Err(StoreError::OrderState { .. }) => Ok(()),
        left => left,
    }
}

fn refuse(
    act: &mut Act<'_>,
    order: &NewOrder,
    answer: &OrderAnswer,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<RefusedOrder, StoreError> {
    match orders::take(act, order, now)? {
        Taken::Found(BegunOrder::Running { order: id }) if id == order.id => {}
        Taken::Found(found) => return Ok(RefusedOrder::Found(found)),
        Taken::New(_) => {}
    }
    orders::refuse(act, HeldOrder::first(order.id), &order.node, answer, audit, now)?;
    Ok(RefusedOrder::Recorded)
}
