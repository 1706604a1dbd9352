//! A certificate under an order key, in two acts of the store: the order with the intent, the
//! certificate with the answer (docs/decisions/0014).
//!
//! Until the first act nothing of the call is recorded. A refusal that the same body must always meet is
//! recorded together with the order, and a call that comes to nothing before leaves the order open, so
//! that its key has its body. What a crash or a fault leaves half-way goes on by the acts of an order
//! that stands already.

use std::sync::Arc;
use std::time::Instant;

use store::{
    AnswerOf, BegunOrder, BegunWithIntent, Issued, NewOrder, OrderAnswer, OrderStanding,
    RefusedOrder, SharedText, StoreError, StoredResponse, Subject,
};
use x509::signing::Signed;

use super::Service;
use super::caller::Caller;
use super::issue::{Commission, Done};
use super::order::{
    AtWork, NextStep, OpenOnDrop, OrderAnswered, OrderCall, OrderWork, Outcome, Replies,
};
use super::signing::defect;
use crate::danger::Window;
use crate::denied::Denied;

/// What working on a key that nobody had used came to.
enum First {
    /// The order has its answer.
    Answered(OrderAnswered),
    /// Another call of the key was faster.
    Found(BegunOrder),
}

impl Service {
    /// Issues one certificate for the call's PKCS#10 request, or replays what it was answered before.
    pub(crate) fn issue_under_key(
        &self,
        caller: &Caller,
        call: &OrderCall,
        replies: &Arc<dyn Replies>,
    ) -> Result<OrderAnswered, Denied> {
        let started = Instant::now();
        let order = self.new_order(call)?;
        loop {
            let found = match self.standing(&order)? {
                OrderStanding::Unknown => match self.first_work(caller, &order, call, replies)? {
                    First::Answered(answered) => return Ok(answered),
                    First::Found(found) => found,
                },
                OrderStanding::Told(found) => found,
                OrderStanding::Open => self.begin(&order)?,
            };
            match self.next_step(found, order.id, call, started)? {
                NextStep::Work(id, progress) => {
                    let work =
                        |service: &Self, work: &OrderWork<'_>| service.go_on_issuing(caller, work);
                    return self.work_on(id, progress, call, work, replies.as_ref());
                }
                NextStep::Answered(answered) => return Ok(answered),
                NextStep::LookAgain => {}
            }
        }
    }

    fn standing(&self, order: &NewOrder) -> Result<OrderStanding, Denied> {
        let now = self.clock().read().now;
        self.store().order_standing(order, now).map_err(|e| self.note_storage(&e))
    }

    /// Works for a key that nobody has used. Whatever ends it leaves the order with an answer or open.
    fn first_work(
        &self,
        caller: &Caller,
        order: &NewOrder,
        call: &OrderCall,
        replies: &Arc<dyn Replies>,
    ) -> Result<First, Denied> {
        let open = OpenOnDrop::new(self, AtWork::New(order));
        let worked = self.with_commission(caller, call, order.id, |commission| {
            self.issue_in_two_acts(commission, order, replies)
        });
        let first = match worked {
            Err(denied) if denied.is_final() => self.refused(order, call, &denied, replies)?,
            worked => worked?,
        };
        open.disarm();
        if let First::Answered(OrderAnswered { position: Some(position), .. }) = &first {
            self.await_publication(*position, call.wait_for_publication)?;
        }
        Ok(first)
    }

    fn issue_in_two_acts(
        &self,
        commission: Commission<'_>,
        order: &NewOrder,
        replies: &Arc<dyn Replies>,
    ) -> Result<First, Denied> {
        let ready = self.ready(commission)?;
        let authority = ready.commission.authority;
        let (intent, record) = ready.intent(&self.node);
        self.danger.pass(Window::BeforeIntent, order.id);
        let now = self.signing_time()?;
        let begun = self
            .store()
            .begin_with_intent(order, ready.prepared.pending(), &intent, &record, now)
            .map_err(|error| self.unrecorded(&intent, &error, now))?;
        let recorded = match begun {
            BegunWithIntent::Recorded(recorded) => recorded,
            BegunWithIntent::Found(found) => return Ok(First::Found(found)),
        };
        let Done { signed, facts, record } = self.signed(ready, &recorded)?;
        let soon = self.shown_soon(authority, &intent, &facts, &der_of(&signed)?);
        let shared = self.chain_text_of(authority).into_iter().collect();
        let answer = answer_to_come(soon, order.subject.clone(), shared, Arc::clone(replies));
        let now = self.clock().read().now;
        let done = self
            .store()
            .record_issued_and_answer(&signed, &facts, answer, &record, now)
            .map_err(|e| self.note_storage(&e))?;
        self.note_issued(&facts, order.id);
        let position = Some(done.issued.position);
        Ok(First::Answered(OrderAnswered { response: done.response, replayed: false, position }))
    }

    fn refused(
        &self,
        order: &NewOrder,
        call: &OrderCall,
        denied: &Denied,
        replies: &Arc<dyn Replies>,
    ) -> Result<First, Denied> {
        let response: StoredResponse = replies.refused(denied)?;
        let audit = self.refusal_record(order.id, call, denied);
        let answer = OrderAnswer {
            response: response.clone(),
            subject: order.subject.clone(),
            shared: Vec::new(),
        };
        let now = self.clock().read().now;
        let refused = self
            .store()
            .refuse_order(order, &answer, &audit, now)
            .map_err(|e| self.note_storage(&e))?;
        Ok(match refused {
            RefusedOrder::Found(found) => First::Found(found),
            RefusedOrder::Recorded => {
                First::Answered(OrderAnswered { response, replayed: false, position: None })
            }
        })
    }
}

fn der_of(signed: &Signed) -> Result<Vec<u8>, Denied> {
    signed.to_der().ok_or_else(|| defect("a signed certificate without bytes"))
}

/// The answer with a certificate that is shown as `soon`, all but its position.
fn answer_to_come(
    mut soon: api::Certificate,
    subject: Subject,
    shared: Vec<SharedText>,
    replies: Arc<dyn Replies>,
) -> AnswerOf {
    Box::new(move |issued: &Issued| {
        soon.position = issued.position.to_string();
        let json = serde_json::to_vec(&soon).map_err(|_| StoreError::Unwritable)?;
        Ok(OrderAnswer { response: replies.done(Outcome::Created, json), subject, shared })
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use ca::audit::EventCode;
    use ca::key_holder::{KeyHolder, KeyReuse};
    use ledger::{Frontier, leaf_hash};
    use status::{AnswerClasses, CertificateEntry, Change, IssuerRef, StatusEntry};
    use store::{
        BootId, CertificateIntent, IssuedWhen, LeaseName, Log, Node, PublishedHead, SubjectKey,
    };
    use x509::key::SignatureAlgorithm;
    use x509::serial::SerialNumber;
    use x509::signing::{Pending, SigningKind, ToBeSigned};

    use super::*;
    use crate::service::order::Wait;
    use crate::service::testing::World;

    /// API-02, ISS-06: the answer that is made while the certificate is recorded says what the database
    /// says of it afterwards, octet for octet.
    #[test]
    fn the_answer_is_what_the_certificate_is_shown_as() {
        let world = World::new();

        let answered = world.issue("one").unwrap();

        let body: serde_json::Value = serde_json::from_slice(&answered.response.body).unwrap();
        let shown = world.service.show(body["id"].as_str().unwrap()).unwrap();
        let shown_later = serde_json::to_vec(&shown).unwrap();
        assert_eq!(answered.response.body, shown_later, "{body}");
        assert_eq!(body["position"], answered.position.unwrap().to_string());
        assert_eq!(body["state"], "issued");
        assert_eq!(body["ended_by"], "profile");
    }

    /// ISS-05, ISS-06: order and intent are one act, certificate and answer are the other.
    #[test]
    fn a_certificate_takes_two_acts() {
        let world = World::new();
        let before = world.counts();

        world.issue("one").unwrap();

        assert_eq!(world.counts(), (before.0 + 1, before.1 + 2));
        assert_eq!(world.leaves(EventCode::CertificateIntent), 1);
        assert_eq!(world.leaves(EventCode::CertificateIssued), 1);
    }

    /// API-02: a call that comes to nothing before the intent leaves its order open: the same body goes
    /// on with it, another one is refused.
    #[test]
    fn what_comes_to_nothing_before_the_intent_leaves_its_order_open() {
        let mut world = World::new();
        let call = world.order_call("one");
        let order = world.service.new_order(&call).unwrap();
        let before = world.counts();
        let authorities = std::mem::take(&mut world.service.authorities);

        let refused = world.order(&call).unwrap_err();

        assert_eq!(refused.refusal.code, "authority-not-fitting");
        assert_eq!(world.counts(), before);
        let standing = world.service.standing(&order).unwrap();
        assert_eq!(standing, OrderStanding::Open);
        world.service.authorities = authorities;
        let other_body = world.issue("one").unwrap_err();
        assert_eq!(other_body.refusal.code, "idempotency-key-reused");
        let issued = world.order(&call).unwrap();
        assert_eq!((issued.replayed, issued.response.status), (false, 1));
    }

    /// API-02, promise 2: nobody gets an answer before what it rests on is published, where he or the
    /// environment asks for it; a replay does not go round that.
    #[test]
    fn a_replay_waits_for_the_publication_as_its_first_call_did() {
        let world = World::new();
        assert!(!world.issue_again("one").unwrap().replayed);
        let call = OrderCall { wait_for_publication: Wait::Yes, ..world.order_call("one") };

        thread::scope(|scope| {
            let replay = scope.spawn(|| world.order(&call));
            world.service.publication.until_somebody_waits(|| !replay.is_finished());
            world.service.publication.has_published(world.counts().0);

            assert!(replay.join().unwrap().unwrap().replayed);
        });
    }

    /// API-02, ISS-06: callers that all found the key unused get one certificate.
    #[test]
    fn callers_of_one_key_at_once_get_one_certificate() {
        let world = World::new();
        let start = Barrier::new(8);
        for round in 0..10 {
            let key = format!("round {round}");
            let answers: Vec<_> = thread::scope(|scope| {
                let callers: Vec<_> = (0..8)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            loop {
                                match world.issue_again(&key) {
                                    // The first takes long on a busy machine: as its caller is told to.
                                    Err(denied) if denied.refusal.code == "order-running" => {}
                                    answered => break answered.unwrap(),
                                }
                            }
                        })
                    })
                    .collect();
                callers.into_iter().map(|caller| caller.join().unwrap()).collect()
            });

            assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
            assert!(answers.iter().all(|answer| answer.response == answers[0].response));
            assert_eq!(world.leaves(EventCode::CertificateIntent), round + 1);
        }
    }

    /// ISS-07: what could not be signed leaves the order open with its intent, and the same key goes on
    /// with another serial number.
    #[test]
    fn an_order_that_could_not_be_signed_is_gone_on_with() {
        let world = World::new();
        world.signer.works(false);
        assert!(world.issue_again("one").is_err());
        assert_eq!(world.service.store().open_intents().unwrap().len(), 1);
        world.signer.works(true);

        let issued = world.issue_again("one").unwrap();

        assert_eq!((issued.replayed, issued.response.status), (false, 1));
        assert!(world.service.store().open_intents().unwrap().is_empty());
        assert_eq!(world.leaves(EventCode::CertificateVoided), 1);
        assert!(world.issue_again("one").unwrap().replayed);
    }

    /// Brings the database to where a backup stands that was made between the two acts of `call`, once it has
    /// taken over from the published log that the certificate was issued. Gives back the serial number.
    fn restored_between_the_acts(world: &World, call: &OrderCall) -> SerialNumber {
        let (service, store, now) = (&world.service, world.service.store(), world.now());
        let authority = world.authority();
        let order = service.new_order(call).unwrap();
        let serial = service.draw_serial().unwrap();
        let intent = CertificateIntent {
            order: order.id,
            certificate: service.draw_certificate_id(now).unwrap(),
            issuer: authority.id,
            serial,
            key: SubjectKey {
                spki: authority.key(),
                holder: KeyHolder::named_by(authority.certificate.subject()),
                reuse: KeyReuse::SameHolder,
            },
            not_after: now,
            answers: AnswerClasses::USUAL,
            node: service.node.clone(),
            subject: Subject::Order(order.id),
            proven_by: None,
            volume: None,
            shard: None,
            issued: IssuedWhen::BeforeItsEnd,
        };
        let pending = Pending::new(
            service.draw_intent_id(now).unwrap(),
            SigningKind::Certificate,
            authority.certificate.public_key().clone(),
            SignatureAlgorithm::EcdsaP256Sha256,
            ToBeSigned::Bytes(b"lost"[..].into()),
        );
        let record = service.refusal_record(order.id, call, &defect("of no matter"));
        let begun = store.begin_with_intent(&order, &pending.unwrap(), &intent, &record, now);
        assert!(matches!(begun, Ok(BegunWithIntent::Recorded(_))));

        let change = Change::Issued { not_after: now, classes: AnswerClasses::USUAL };
        let issued = CertificateEntry::own(now, IssuerRef::from_index(0), serial, change);
        let missing = StatusEntry::Certificate(issued).encode().to_vec();
        let head = store.log_head(Log::Status).unwrap();
        let mut frontier = Frontier::new();
        for entry in store.log_entries(Log::Status, head.epoch, 0..head.size).unwrap() {
            frontier.append(leaf_hash(&entry.bytes)).unwrap();
        }
        frontier.append(leaf_hash(&missing)).unwrap();
        let (epoch, size, root) = (head.epoch, frontier.size(), frontier.root());
        let published = PublishedHead { epoch, size, root };
        store.take_over_published(&published, &mut [missing].into_iter(), &record, now).unwrap();
        serial
    }

    /// Promise 2, API-02, MIG-07: an order whose certificate went with the database is answered for good, with
    /// the serial number that an operator revokes; it does not fail for ever.
    #[test]
    fn an_order_whose_certificate_a_restored_database_lost_is_refused_for_good() {
        let world = World::new();
        let call = world.order_call("one");
        let serial = restored_between_the_acts(&world, &call);
        let world = world.restarted();
        let refusals = world.leaves(EventCode::CertificateRefused);

        let refused = world.order(&call).unwrap();
        let again = world.order(&call).unwrap();

        assert_eq!((refused.replayed, again.replayed), (false, true));
        assert_eq!(refused.response.body, b"certificate-lost");
        assert_eq!(again.response, refused.response);
        assert_eq!(world.leaves(EventCode::CertificateRefused), refusals + 1);
        let payload = world.last_payload(EventCode::CertificateRefused).to_string();
        assert!(payload.contains(&serial.to_string()), "{payload}");
        assert_eq!(world.issue("another key").unwrap().response.status, 1);
    }

    /// Promise 2, MIG-07: no rule that would refuse the order today keeps from its caller that it has had a
    /// certificate, which is out in the world and which somebody must revoke.
    #[test]
    fn a_lost_certificate_is_told_of_also_where_its_order_would_be_refused_now() {
        let world = World::new();
        let body = serde_json::json!({ "profile": "function-ec", "csr": "no request" });
        let call = world.call("/v1/certificates", "one", &body);
        let refused = world.order(&OrderCall { key: "two".to_owned(), ..call.clone() }).unwrap();
        assert_ne!(refused.response.body, b"certificate-lost");
        restored_between_the_acts(&world, &call);
        let world = world.restarted();

        let told = world.order(&call).unwrap();

        assert_eq!(told.response.body, b"certificate-lost");
        assert_eq!(world.order(&call).unwrap().response, told.response);
    }

    /// Promise 2: a program that stood still finds its own lease lapsed; what it was signing is its own.
    #[test]
    fn a_lapsed_lease_of_its_own_voids_nothing() {
        let world = World::new();
        let store = world.service.store();
        let lease = LeaseName::Node(world.service.node.name.clone());
        let long_ago = world.now().saturating_sub(Duration::from_secs(600));
        store.lease(&lease, &world.service.node, long_ago).unwrap();
        world.signer.works(false);
        assert!(world.issue_again("one").is_err());
        assert_eq!(store.open_intents().unwrap().len(), 1);

        world.service.void_stale_intents().unwrap();

        assert_eq!(store.open_intents().unwrap().len(), 1);
        // One whose name a later start has taken voids nothing, and says so.
        let later = Node { boot: BootId::from_bytes([9; 16]), ..world.service.node.clone() };
        store.lease(&lease, &later, world.now()).unwrap();
        assert_eq!(world.service.void_stale_intents().unwrap_err().refusal.code, "node-name-taken");
        assert_eq!(store.open_intents().unwrap().len(), 1);
    }

    /// API-02, promise 2: the same for a revocation, whose answer rests on the log as well.
    #[test]
    fn a_replayed_revocation_waits_as_its_first_call_would() {
        let world = World::new();
        let issued = world.issue("one").unwrap();
        let shown: serde_json::Value = serde_json::from_slice(&issued.response.body).unwrap();
        let id = shown["id"].as_str().unwrap();
        let body = serde_json::json!({ "reason": "superseded" });
        let call = world.call(&format!("/v1/certificates/{id}/revocation"), "two", &body);
        let revoke = |call: &OrderCall| {
            world.run(call, |service, work| {
                service.revoke(ca::revocation::Revoker::Client, id, work)
            })
        };
        assert!(!revoke(&call).unwrap().replayed);
        let waiting = OrderCall { wait_for_publication: Wait::Yes, ..call };

        thread::scope(|scope| {
            let replay = scope.spawn(|| revoke(&waiting));
            world.service.publication.until_somebody_waits(|| !replay.is_finished());
            world.service.publication.has_published(world.counts().0);

            assert!(replay.join().unwrap().unwrap().replayed);
        });
    }

    /// The store's refusals by rule are answers too: the order is recorded with them.
    #[test]
    fn a_refusal_by_the_first_act_is_replayed() {
        let world = World::new();
        world.issue_with_its_request("TSTNMT2321000156-B01", "one").unwrap();

        let refused = world.issue_again("two").unwrap();
        let again = world.issue_again("two").unwrap();

        assert_eq!((refused.replayed, again.replayed), (false, true));
        assert_eq!(refused.response.body, StoreError::KeyOfAnother.code().as_bytes());
        assert_eq!(refused.response, again.response);
    }
}
