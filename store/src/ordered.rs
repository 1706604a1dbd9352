//! Certificates that a caller orders, in two acts: the order with the intent, the certificate with the
//! answer (docs/decisions/0014).

use x509::signing::{Pending, Recorded, Signed};
use x509::time::UnixTime;

use crate::StoreError;
use crate::audit::AuditRecord;
use crate::certificate::{CertificateIntent, Issued, IssuedCertificate};
use crate::order::{BegunOrder, NewOrder, OrderAnswer, StoredResponse};

/// How an order key stands, read without an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderStanding {
    /// Nobody has used it.
    Unknown,
    /// Its order has an answer, is at work elsewhere, or has another body: there is nothing to go on with.
    Told(BegunOrder),
    /// Its order has no answer and nobody works on it: [`Store::begin_order`](crate::Store::begin_order)
    /// gives it to its caller.
    Open,
}

/// What became of an order that was to be recorded together with its intent.
#[derive(Debug)]
pub enum BegunWithIntent {
    /// Both are durable.
    Recorded(Recorded),
    /// Another call of the key was faster. The intent is not recorded and its serial number is free;
    /// where the order was open, this caller has it now ([`BegunOrder::Resume`]).
    Found(BegunOrder),
}

/// What became of a refusal that was to be recorded together with its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusedOrder {
    /// Order, answer and audit leaf are durable.
    Recorded,
    /// Another call of the key was faster; as [`BegunWithIntent::Found`].
    Found(BegunOrder),
}

/// Makes the answer of an order, once the position of its certificate is known. It runs inside the act.
///
/// # Errors
///
/// The act is refused with the error that it gives.
pub type AnswerOf = Box<dyn FnOnce(&Issued) -> Result<OrderAnswer, StoreError> + Send>;

/// A certificate that has been recorded together with the answer of its order. Both may be released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuedAndAnswered {
    /// The certificate.
    pub issued: Issued,
    /// The answer, as it will be replayed.
    pub response: StoredResponse,
}

/// The two acts of a certificate that a caller orders, and what stands beside them. An order that was
/// left half-way goes on by the acts of [`Store`](crate::Store).
pub trait OrderedIssuing {
    /// How the order's key stands for the order's node. Takes nothing: another call may be faster.
    ///
    /// # Errors
    ///
    /// Storage errors.
    fn order_standing(&self, order: &NewOrder, now: UnixTime) -> Result<OrderStanding, StoreError>;

    /// Makes an order and the intent to sign its certificate durable, in one act.
    ///
    /// # Errors
    ///
    /// Those of [`Store::record_intent`](crate::Store::record_intent), with
    /// [`StoreError::OrderState`] when `facts` name another order or node. Then there is no order either.
    fn begin_with_intent(
        &self,
        order: &NewOrder,
        pending: &Pending,
        facts: &CertificateIntent,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<BegunWithIntent, StoreError>;

    /// Records a signed certificate, its status entry `issued` and the answer of its order, in one act.
    /// Only then may certificate and answer be released.
    ///
    /// # Errors
    ///
    /// Those of [`Store::record_issued`](crate::Store::record_issued) and of
    /// [`Store::finish_order`](crate::Store::finish_order). Then neither is recorded, and the intent
    /// stays as it was.
    fn record_issued_and_answer(
        &self,
        signed: &Signed,
        facts: &IssuedCertificate,
        answer: AnswerOf,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<IssuedAndAnswered, StoreError>;

    /// Records an order of which nothing has come yet, and leaves it open to the same key and body. One
    /// that this call has begun under the key is left; others are not touched.
    ///
    /// # Errors
    ///
    /// [`StoreError::NodeSuperseded`], storage errors.
    fn leave_new_order(&self, order: &NewOrder, now: UnixTime) -> Result<(), StoreError>;

    /// Records an order together with a refusal that the same body must always meet and its audit leaf,
    /// in one act. An order of this id that runs on the same node in its first turn gets the answer too.
    ///
    /// # Errors
    ///
    /// [`StoreError::OrderState`] when a later call has taken it up, [`StoreError::NodeSuperseded`],
    /// storage errors.
    fn refuse_order(
        &self,
        order: &NewOrder,
        answer: &OrderAnswer,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<RefusedOrder, StoreError>;
}
