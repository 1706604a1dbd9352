//! Orders: every POST runs under its idempotency key, so that a repeated call is harmless (API-02).
//!
//! The first call of a key makes an order; one for a certificate makes it together with its intent ([`super::two_acts`]). A final answer (what was done, or a refusal that the same
//! body must always meet) is stored with the order and replayed to every later call. Anything else leaves the order open: the same key goes on with
//! it. The work runs to its end even when the caller hangs up.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ca::refusal::Refusal;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use status::Position;
use store::{
    BegunOrder, HeldOrder, NewOrder, Node, OrderAnswer, OrderId, OrderKey, OrderProgress, Store,
    StoreError, StoredResponse,
};
use x509::time::UnixTime;

use super::Service;
use super::approvals::Named;
use crate::denied::{Denied, Kind};
use crate::publication::chain;

/// How long a second call of a key waits for the first.
const SECOND_CALL_WAITS: Duration = Duration::from_secs(5);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// When it is told to come back.
const COME_BACK: Duration = Duration::from_secs(2);

/// Whether the answer waits until followers can see the act.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As the environment says: in prod it does (promise 2).
    ByEnvironment,
    /// The caller asked for it (`Prefer: wait`).
    Yes,
}

/// What a call under a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A certificate.
    Issue,
    /// A new certificate of the caller itself.
    Renew,
    /// Revocation or hold.
    Revoke,
    /// The end of a pause.
    Resume,
    /// A decision about a job.
    Decide,
    /// A change of the tree of organisations.
    Organise,
    /// A change of how a person is protected.
    Protect,
    /// A step of an order of several, or of a card before there is a certificate on it.
    Step,
    /// A request for another person's approval.
    Ask,
    /// A decision on one, or its withdrawal.
    Approve,
}

/// What an act came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Something is there that was not there before.
    Created,
    /// Something that was there has changed, or had done so already.
    Changed,
}

/// How answers are put into the words of whoever called; the store keeps them as they are put.
pub(crate) trait Replies: Send + Sync {
    /// The answer with what was done, as JSON of the contract.
    fn done(&self, outcome: Outcome, json: Vec<u8>) -> StoredResponse;

    /// The answer of a final refusal.
    ///
    /// # Errors
    ///
    /// When it cannot be put into words.
    fn refused(&self, denied: &Denied) -> Result<StoredResponse, Denied>;
}

/// One call that acts, authenticated, with its body as received.
#[derive(Clone, Debug)]
pub(crate) struct OrderCall {
    pub(crate) act: Act,
    pub(crate) client: String,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) key: String,
    pub(crate) body: Vec<u8>,
    pub(crate) wait_for_publication: Wait,
    pub(crate) correlation_id: String,
    /// What it says of another person's approval.
    pub(crate) named: Named,
}

/// What the work under a key gives back when it was done; stored from now on.
#[derive(Clone, Debug)]
pub(crate) enum Answered {
    /// Its answer is to be recorded.
    Shown { outcome: Outcome, json: Vec<u8>, position: Option<Position> },
    /// The answer was recorded in the act that did it.
    Recorded(StoredResponse),
}

impl Answered {
    /// An answer that shows `shown` and rests on `position`.
    ///
    /// # Errors
    ///
    /// When `shown` is no JSON.
    pub(crate) fn new(
        outcome: Outcome,
        shown: &impl Serialize,
        position: Position,
    ) -> Result<Self, Denied> {
        let json = serde_json::to_vec(shown).map_err(|_| unwritable())?;
        Ok(Self::Shown { outcome, json, position: Some(position) })
    }

    /// An answer that rests on nothing in the status log.
    ///
    /// # Errors
    ///
    /// When `shown` is no JSON.
    pub(crate) fn unlogged(outcome: Outcome, shown: &impl Serialize) -> Result<Self, Denied> {
        let json = serde_json::to_vec(shown).map_err(|_| unwritable())?;
        Ok(Self::Shown { outcome, json, position: None })
    }
}

/// The answer of a call under a key.
#[derive(Clone, Debug)]
pub(crate) struct OrderAnswered {
    pub(crate) response: StoredResponse,
    pub(crate) replayed: bool,
    pub(crate) position: Option<Position>,
}

/// An order at work.
#[derive(Debug)]
pub(crate) struct OrderWork<'a> {
    /// The order: its first id, whichever call goes on with it.
    pub(crate) order: OrderId,
    /// The same in the turn of this call.
    pub(crate) held: HeldOrder,
    /// How far an earlier call came.
    pub(crate) progress: Option<OrderProgress>,
    /// The call.
    pub(crate) call: &'a OrderCall,
}

impl Service {
    /// Runs `work` once for the call's key, or replays what it answered before.
    pub(crate) fn under_key(
        &self,
        call: &OrderCall,
        work: impl FnOnce(&Self, &OrderWork<'_>) -> Result<Answered, Denied>,
        replies: &dyn Replies,
    ) -> Result<OrderAnswered, Denied> {
        let started = Instant::now();
        loop {
            let order = self.new_order(call)?;
            let begun = self.begin(&order)?;
            match self.next_step(begun, order.id, call, started)? {
                NextStep::Work(order, progress) => {
                    return self.work_on(order, progress, call, work, replies);
                }
                NextStep::Answered(answered) => return Ok(answered),
                NextStep::LookAgain => {}
            }
        }
    }

    pub(super) fn begin(&self, order: &NewOrder) -> Result<BegunOrder, Denied> {
        let now = self.clock().read().now;
        self.store().begin_order(order, now).map_err(|e| self.note_storage(&e))
    }

    /// What a call does next whose key stands so; `new` is the order if it is new.
    pub(super) fn next_step(
        &self,
        begun: BegunOrder,
        new: OrderId,
        call: &OrderCall,
        started: Instant,
    ) -> Result<NextStep, Denied> {
        match begun {
            BegunOrder::New => Ok(NextStep::Work(HeldOrder::first(new), None)),
            BegunOrder::Resume(progress) => Ok(NextStep::Work(progress.held(), Some(progress))),
            BegunOrder::Replay { response, .. } => {
                self.await_what_is_replayed(&response, call)?;
                let answered = OrderAnswered { response, replayed: true, position: None };
                Ok(NextStep::Answered(answered))
            }
            BegunOrder::BodyDiffers { order } => Err(body_differs(order)),
            BegunOrder::Running { .. } if started.elapsed() < SECOND_CALL_WAITS => {
                std::thread::sleep(LOOK_EVERY);
                Ok(NextStep::LookAgain)
            }
            BegunOrder::Running { order } => Err(still_running(order)),
        }
    }

    /// Waits for what an answer rests on as the first call did: the answer was recorded before that could be
    /// published, and that call may have gone without it, or may not have asked to wait.
    fn await_what_is_replayed(
        &self,
        response: &StoredResponse,
        call: &OrderCall,
    ) -> Result<(), Denied> {
        match position_in(response) {
            Some(position) if self.waits(call.wait_for_publication) => {
                self.await_publication(position, call.wait_for_publication)
            }
            _ => Ok(()),
        }
    }

    /// The order that a call makes if its key is new.
    pub(super) fn new_order(&self, call: &OrderCall) -> Result<NewOrder, Denied> {
        let now = self.clock().read().now;
        let key = OrderKey {
            client: call.client.clone(),
            method: call.method.clone(),
            path: call.path.clone(),
            key: call.key.clone(),
        };
        let id = match call.act {
            Act::Revoke => self.revocation_order_id(now, &key),
            _ => self.draw_order_id(now)?,
        };
        Ok(NewOrder {
            id,
            key,
            body_sha256: Sha256::digest(&call.body).into(),
            body: call.body.clone(),
            subject: self.subject_of_call(call, id),
            node: self.node().clone(),
        })
    }
}

/// Where in the status log stands what an answer tells of; `None` for refusals and for what is in no log.
pub(super) fn position_in(response: &StoredResponse) -> Option<Position> {
    /// The one field of an answer that counts here.
    #[derive(Deserialize)]
    struct Placed {
        position: String,
    }
    let placed: Placed = serde_json::from_slice(&response.body).ok()?;
    placed.position.parse().ok()
}

/// What a call under a key does next.
pub(super) enum NextStep {
    /// It works on this order; how far an earlier one came.
    Work(HeldOrder, Option<OrderProgress>),
    /// There is an answer.
    Answered(OrderAnswered),
    /// Another call is at work; it has waited a moment.
    LookAgain,
}

impl Service {
    pub(super) fn work_on(
        &self,
        held: HeldOrder,
        progress: Option<OrderProgress>,
        call: &OrderCall,
        work: impl FnOnce(&Self, &OrderWork<'_>) -> Result<Answered, Denied>,
        replies: &dyn Replies,
    ) -> Result<OrderAnswered, Denied> {
        let order = held.id;
        let released = OpenOnDrop::new(self, AtWork::Recorded(held));
        let outcome = self.must_be_approved(call, order);
        let outcome = outcome.and_then(|()| work(self, &OrderWork { order, held, progress, call }));
        let now = self.clock().read().now;
        match outcome {
            Ok(Answered::Recorded(response)) => {
                released.disarm();
                Ok(OrderAnswered { response, replayed: false, position: None })
            }
            Ok(Answered::Shown { outcome, json, position }) => {
                let response = replies.done(outcome, json);
                let answer = self.answer_of(call, order, &response);
                self.store()
                    .finish_order(held, self.node(), &answer, now)
                    .map_err(|e| self.note_storage(&e))?;
                released.disarm();
                Ok(OrderAnswered { response, replayed: false, position })
            }
            Err(denied) if denied.is_final() => {
                let response = replies.refused(&denied)?;
                let answer = self.answer_of(call, order, &response);
                let audit = self.refusal_record(order, call, &denied);
                self.store()
                    .record_refusal(held, self.node(), &answer, &audit, now)
                    .map_err(|e| self.note_storage(&e))?;
                released.disarm();
                Ok(OrderAnswered { response, replayed: false, position: None })
            }
            Err(denied) => Err(denied),
        }
    }
}

impl Service {
    pub(super) fn answer_of(
        &self,
        call: &OrderCall,
        order: OrderId,
        response: &StoredResponse,
    ) -> OrderAnswer {
        let subject = self.subject_of_call(call, order);
        OrderAnswer { response: response.clone(), subject, shared: self.shared_texts() }
    }
}

/// Leaves the order open when the work ends without a stored answer, by whatever way.
pub(super) struct OpenOnDrop<'a> {
    service: &'a Service,
    order: AtWork<'a>,
    armed: bool,
}

/// An order at work.
#[derive(Clone, Copy)]
pub(super) enum AtWork<'a> {
    /// It is recorded.
    Recorded(HeldOrder),
    /// It is recorded with the intent; left before, it is recorded then: its key has its body.
    New(&'a NewOrder),
}

impl<'a> OpenOnDrop<'a> {
    pub(super) const fn new(service: &'a Service, order: AtWork<'a>) -> Self {
        Self { service, order, armed: true }
    }

    pub(super) fn disarm(mut self) {
        self.armed = false;
    }
}

impl Drop for OpenOnDrop<'_> {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let now = self.service.clock().read().now;
        let store = self.service.store();
        let (order, left) = match self.order {
            AtWork::Recorded(order) => (order, store.leave_order(order, self.service.node(), now)),
            AtWork::New(order) => (HeldOrder::first(order.id), store.leave_new_order(order, now)),
        };
        match left {
            // It has been left or given to another already, or this program is no longer the node.
            Ok(()) | Err(StoreError::OrderState { .. } | StoreError::NodeSuperseded { .. }) => {}
            Err(error) => self.service.orders_left.note(order, &error),
        }
    }
}

/// Orders whose work has ended without a record of it, because the database took none. Their keys
/// answer 409 until they are opened: the schedule does it as soon as the database writes again.
#[derive(Debug, Default)]
pub(crate) struct OrdersLeft(Mutex<Vec<HeldOrder>>);

impl OrdersLeft {
    /// Remembers an order that could not be left.
    pub(crate) fn note(&self, order: HeldOrder, error: &StoreError) {
        tracing::error!(
            order.id = %order.id,
            error = %chain(error),
            "order could not be opened again; it is opened when the database writes again"
        );
        self.lock().push(order);
    }

    /// Opens them.
    ///
    /// # Errors
    ///
    /// The store's, while it takes no acts.
    pub(crate) fn open(
        &self,
        store: &dyn Store,
        node: &Node,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let left = self.lock().clone();
        for order in left {
            match store.leave_order(order, node, now) {
                // It has come to its end by another way.
                Ok(()) | Err(StoreError::OrderState { .. } | StoreError::UnknownOrder { .. }) => {
                    self.lock().retain(|one| *one != order);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<HeldOrder>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Service {
    /// Opens the orders whose end could not be recorded.
    pub(crate) fn open_left_orders(&self) -> Result<(), Denied> {
        let now = self.clock().read().now;
        self.orders_left.open(self.store(), self.node(), now).map_err(|e| self.note_storage(&e))
    }
}

/// What should have been JSON is not.
pub(crate) fn unwritable() -> Denied {
    Denied::new(
        Kind::Internal,
        Refusal::new("internal", "an answer is JSON", &"an answer that is not", "", "report it"),
    )
}

fn body_differs(order: OrderId) -> Denied {
    Denied::rule(Refusal::new(
        "idempotency-key-reused",
        "API-02: a key belongs to one body",
        &format!("another body under the key of order {order}"),
        "the body that was first sent under this key, octet for octet",
        "send a fresh key with a new order",
    ))
}

pub(super) fn still_running(order: OrderId) -> Denied {
    Denied::new(
        Kind::Busy,
        Refusal::new(
            "order-running",
            "API-02: one call works on an order at a time; a second one waits at most 5 s",
            &format!("order {order} still running after 5 s"),
            "5 s",
            "repeat the same call with the same key",
        ),
    )
    .retry_after(COME_BACK)
}

#[cfg(test)]
mod tests {
    use ca::deployment::Deployment;
    use serde_json::Value;
    use store::{BootId, FileKeySource, SqliteStore, Subject};

    use super::*;
    use crate::service::testing::{Key, World};

    /// API-02: after a full disk has been mended the same key goes on with the same order.
    #[test]
    fn an_order_that_could_not_be_left_is_opened_later() {
        let folder = tempfile::tempdir().unwrap();
        let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
        let keys = FileKeySource::create(&folder.path().join("seal.key")).unwrap();
        let now = UnixTime::from_secs(1_800_000_000).unwrap();
        let path = folder.path().join("ca.db");
        let store = SqliteStore::open_or_create(&path, deployment, &keys, now).unwrap();
        let order = NewOrder {
            id: OrderId::from_time_and_random(1, [1; 10]),
            key: OrderKey {
                client: "portal".to_owned(),
                method: "POST".to_owned(),
                path: "/v1/certificates".to_owned(),
                key: "one".to_owned(),
            },
            body_sha256: [0; 32],
            body: Vec::new(),
            subject: Subject::Deployment,
            node: Node { name: "ca1".to_owned(), boot: BootId::from_bytes([1; 16]) },
        };
        assert!(matches!(store.begin_order(&order, now), Ok(BegunOrder::New)));
        let left = OrdersLeft::default();
        left.note(HeldOrder::first(order.id), &StoreError::Full);
        let unknown = OrderId::from_time_and_random(2, [2; 10]);
        left.note(HeldOrder::first(unknown), &StoreError::Full);
        assert!(matches!(store.begin_order(&order, now), Ok(BegunOrder::Running { .. })));

        left.open(&store, &order.node, now).unwrap();

        assert!(matches!(store.begin_order(&order, now), Ok(BegunOrder::Resume(_))));
        assert!(left.lock().is_empty());
    }

    /// API-02: an order that was refused for want of configuration is not refused for ever.
    #[test]
    fn what_an_operator_may_configure_is_no_final_answer() {
        let mut world = World::new();
        let csr = x509::pem::encode(x509::pem::Label::CertificateRequest, &Key::new().request());
        let order = |world: &World| world.issue_for("one", "function-ec", &csr);
        let no_book = ca::book::Book::parse([]).unwrap();
        let book = std::mem::replace(&mut world.service.book, no_book);
        assert_eq!(order(&world).unwrap_err().refusal.code, "profile-unknown");
        world.service.book = book;
        let authorities = std::mem::take(&mut world.service.authorities);
        assert_eq!(order(&world).unwrap_err().refusal.code, "authority-not-fitting");
        world.service.authorities = authorities;

        let world = world.restarted();
        let issued = order(&world).unwrap();

        assert_eq!((issued.replayed, issued.response.status), (false, 1));
        assert!(order(&world).unwrap().replayed);
    }

    /// API-02: the same for a revocation.
    #[test]
    fn a_certificate_of_an_authority_to_come_is_revoked_when_it_has_come() {
        let mut world = World::new();
        let issued = world.issue("one").unwrap();
        let shown: Value = serde_json::from_slice(&issued.response.body).unwrap();
        let id = shown["id"].as_str().unwrap().to_owned();
        let body = serde_json::json!({ "reason": "superseded" });
        let revoke = |world: &World| {
            let call = world.call(&format!("/v1/certificates/{id}/revocation"), "two", &body);
            world.run(&call, |service, work| {
                service.revoke(ca::revocation::Revoker::Client, &id, work)
            })
        };
        let authorities = std::mem::take(&mut world.service.authorities);
        assert_eq!(revoke(&world).unwrap_err().refusal.code, "authority-not-configured");

        world.service.authorities = authorities;
        let world = world.restarted();

        assert_eq!(revoke(&world).unwrap().response.status, 1);
    }

    /// DAT-06: what is refused before anything is issued holds the person all the same, and is forgotten with him.
    #[test]
    fn a_refused_order_is_forgotten_with_its_person() {
        let world = World::new();
        let call = |profile: &str, subject: Value| {
            let body = serde_json::json!({ "profile": profile, "csr": "none", "subject": subject });
            world.call("/v1/certificates", "one", &body)
        };
        let number = serde_json::json!({ "personal_identity_number": "19121212\u{a0}-1212\t" });
        let call_for_number = call("function-ec", number);
        let refused = world.order(&call_for_number).unwrap();
        assert_eq!(refused.response.body, b"csr-malformed");
        let id = OrderId::from_time_and_random(1, [1; 10]);
        let record = world.service.refusal_record(id, &call_for_number, &body_differs(id));
        let record = store::AuditRecord { subject: Subject::Deployment, ..record };
        let holder = Subject::Holder("191212121212".to_owned());

        assert!(world.service.store().forget(&holder, &record, world.now()).unwrap());

        let again = world.order(&call_for_number).unwrap();
        assert!(again.replayed && again.response.body.is_empty());
        // A person without a number is named by his HSA-id; a function is nobody.
        let hsa_id = "TST2321000016-1002";
        let subject_of = |profile| {
            let call = call(profile, serde_json::json!({ "hsa_id": hsa_id }));
            world.service.subject_of_call(&call, id)
        };
        let person = subject_of("person-hsaid-3-authentication");
        assert_eq!(person, Subject::Holder(hsa_id.to_owned()));
        assert_eq!(subject_of("function-ec"), Subject::Order(id));
    }

    /// What no configuration can heal stays as it was answered.
    #[test]
    fn a_refusal_of_the_body_is_final() {
        let world = World::new();
        let order = || world.issue_for("one", "function-ec", "no request").unwrap();

        assert_eq!((order().replayed, order().replayed), (false, true));
        assert_eq!(order().response.body, b"csr-unreadable");
    }
}
