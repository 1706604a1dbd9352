//! KEY-14: what the door, the signer and the store say of the use of keys, where they agree and where
//! they do not.

use std::convert::Infallible;
use std::sync::atomic::Ordering;

use x509::key::SignatureAlgorithm;
use x509::signing::{Intent, Pending, Recorded, Recorder, SigningKind, ToBeSigned};

use super::*;
use crate::service::order::OrderAnswered;
use crate::service::testing::{Key, World, token};

fn key(world: &World) -> SpkiHash {
    world.signer.keys()[0]
}

/// A request that stays the same when an order is sent again.
fn request() -> String {
    x509::pem::encode(x509::pem::Label::CertificateRequest, &Key::new().request())
}

fn order(world: &World, key: &str, csr: &str) -> Result<OrderAnswered, Denied> {
    world.issue_for(key, "function-ec", csr)
}

/// What one look finds, by its reason.
fn found(world: &World) -> Vec<&'static str> {
    let look = world.service.key_uses.look(world.service.store(), &world.service.node).unwrap();
    look.unexplained.into_iter().map(|one| one.why).collect()
}

/// An input for the key that no store has recorded.
fn unrecorded(world: &World, id: [u8; 16]) -> SigningInput {
    struct Nowhere;
    impl Recorder for Nowhere {
        type Error = Infallible;
        fn record(self, _: &Intent) -> Result<(), Infallible> {
            Ok(())
        }
    }
    let pending = Pending::new(
        IntentId::from_bytes(id),
        SigningKind::Certificate,
        world.authority().certificate.public_key().clone(),
        SignatureAlgorithm::EcdsaP256Sha256,
        ToBeSigned::Bytes(b"a certificate that nobody ordered".as_slice().into()),
    )
    .unwrap();
    let recorded = Recorded::by(Nowhere, pending.intent()).unwrap();
    pending.input(&recorded).unwrap()
}

#[test]
fn what_was_issued_and_what_was_voided_is_explained() {
    let world = World::new();
    for round in 0..3 {
        world.issue(&format!("good {round}")).unwrap();
        assert_eq!(found(&world), [""; 0]);
    }
    let csr = request();
    world.signer.works(false);
    assert!(order(&world, "no signature", &csr).is_err());
    assert_eq!(found(&world), [""; 0]);
    world.signer.works(true);
    // The same key voids the intent and goes on with another serial number.
    order(&world, "no signature", &csr).unwrap();

    assert_eq!(found(&world), [""; 0]);
    assert_eq!(world.service.key_uses.door().returned.len(), 0, "all are settled");
    assert_eq!(world.signer.signatures.load(Ordering::Relaxed), 4);
    let voided = world.last_payload(EventCode::CertificateVoided);
    assert_eq!(voided["signature"], "none came back");
    world.service.reconcile_key_uses().unwrap();
    assert_eq!(world.leaves(EventCode::KeyUseUnexplained), 0);
}

/// KEY-14: a signature that came back when nobody waited for it is explained by its voided intent, and told
/// of once in the audit log.
#[test]
fn a_signature_that_came_back_late_is_told_of_and_explained_by_its_voided_intent() {
    let world = World::new();
    let csr = request();
    for settles_before in [false, true] {
        let order_key = format!("late {settles_before}");
        world.signer.works(false);
        assert!(order(&world, &order_key, &csr).is_err());
        world.signer.works(true);
        let tried = world.leaves(EventCode::SignatureTried);
        let intent = world.signer.asked.lock().unwrap().unwrap();
        if settles_before {
            order(&world, &order_key, &csr).unwrap();
            assert_eq!(found(&world), [""; 0]);
        }
        let late = LateSignature { intent, key: key(&world), token: token() };
        world.signer.late.lock().unwrap().push(late);

        world.service.reconcile_key_uses().unwrap();
        world.service.reconcile_key_uses().unwrap();

        assert_eq!(world.leaves(EventCode::SignatureTried), tried + 1, "told once");
        let payload = world.last_payload(EventCode::SignatureTried);
        assert_eq!(payload["intent"], intent.to_string());
        assert_eq!(payload["token"], token().to_string());
        if !settles_before {
            order(&world, &order_key, &csr).unwrap();
            let voided = world.last_payload(EventCode::CertificateVoided);
            assert_eq!(voided["signature"], "came back");
        }
    }
    assert_eq!(found(&world), [""; 0]);
    assert_eq!(world.leaves(EventCode::KeyUseUnexplained), 0);
}

/// KEY-14: it is an alarm where the intent is unknown or another signature came back for it.
#[test]
fn a_late_signature_that_no_voided_intent_explains_is_an_alarm() {
    let world = World::new();
    world.service.signer.sign(&unrecorded(&world, [9; 16])).unwrap();
    for id in [[8; 16], [9; 16]] {
        let intent = IntentId::from_bytes(id);
        let late = LateSignature { intent, key: key(&world), token: token() };
        world.signer.late.lock().unwrap().push(late);
    }

    let mut found = found(&world);
    found.sort_unstable();
    assert_eq!(found.iter().filter(|why| **why == NO_INTENT).count(), 2, "{found:?}");
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn a_signature_whose_intent_nobody_recorded_is_an_alarm() {
    let world = World::new();
    world.issue("good").unwrap();
    world.service.signer.sign(&unrecorded(&world, [9; 16])).unwrap();

    world.service.reconcile_key_uses().unwrap();
    world.service.reconcile_key_uses().unwrap();

    assert_eq!(world.leaves(EventCode::KeyUseUnexplained), 1, "told once");
    let payload = world.last_payload(EventCode::KeyUseUnexplained);
    assert_eq!((&payload["why"], &payload["count"]), (&json!(NO_INTENT), &json!(1)));
    let leaf = world.leaf(EventCode::KeyUseUnexplained);
    assert_eq!(leaf.event.objects, ObjectIds::of_act([Some(ObjectId::Key(key(&world)))]));
    assert_eq!(world.service.key_uses.unexplained(), BTreeMap::from([(key(&world), 1)]));
}

#[test]
fn a_second_signature_of_one_intent_is_an_alarm() {
    let world = World::new();
    for _ in 0..2 {
        world.service.signer.sign(&unrecorded(&world, [9; 16])).unwrap();
    }

    let found = found(&world);

    assert!(found.contains(&TWICE), "{found:?}");
}

#[test]
fn a_certificate_that_no_signature_came_back_for_is_an_alarm() {
    let world = World::new();
    world.issue("good").unwrap();
    world.service.key_uses.door().returned.clear();

    assert_eq!(found(&world), [NO_SIGNATURE]);
}

#[test]
fn a_signature_by_another_key_is_an_alarm() {
    let world = World::new();
    world.issue("good").unwrap();
    let other = SpkiHash::from_bytes([3; 32]);
    world.service.key_uses.door().returned.values_mut().for_each(|key| *key = other);

    assert_eq!(found(&world), [OTHER_KEY]);
}

/// An open intent is not judged before it has ended, and does not keep later ones from being settled.
#[test]
fn an_open_intent_waits_and_later_ones_are_settled() {
    let world = World::new();
    let csr = request();
    world.signer.works(false);
    assert!(order(&world, "waits", &csr).is_err());
    world.signer.works(true);
    for later in ["one", "two"] {
        world.issue(later).unwrap();
        assert_eq!(found(&world), [""; 0]);
        assert_eq!(world.service.key_uses.door().returned.len(), 0);
    }
    order(&world, "waits", &csr).unwrap();

    assert_eq!(found(&world), [""; 0]);
    assert_eq!(world.service.key_uses.door().returned.len(), 0);
}

/// One that stays open while as many follow as are read at once ends the comparing, which is told.
#[test]
fn comparing_that_has_stopped_behind_an_open_intent_is_told() {
    let world = World::new();
    world.signer.works(false);
    assert!(order(&world, "stays open", &request()).is_err());
    let (store, node) = (world.service.store(), &world.service.node);
    let first =
        store.intents_after(IntentBook::Issuing, IntentNumber::default()).unwrap().remove(0);
    let progress = || Progress {
        book: IntentBook::Issuing,
        settled: IntentNumber::default(),
        beyond: BTreeSet::new(),
    };
    let ended = IntentOutcome { state: IntentState::Fulfilled, ..first.clone() };
    let follow = |count| std::iter::repeat_n(ended.clone(), count);
    let full: Vec<_> = std::iter::once(first).chain(follow(INTENTS_AT_ONCE - 1)).collect();

    assert_eq!(progress().advance(&full, node), Read::Stuck);

    assert_eq!(progress().advance(&full[..INTENTS_AT_ONCE - 1], node), Read::All);
    assert_eq!(progress().advance(&full[1..], node), Read::All);
    let ended: Vec<_> = follow(INTENTS_AT_ONCE).collect();
    assert_eq!(progress().advance(&ended, node), Read::Part, "the next look goes on");
    let denied = stopped(world.now());
    assert_eq!(denied.refusal.code, "key-use-stopped");
}

/// Memory does not grow with every serial that was voided.
#[test]
fn voided_intents_are_remembered_no_longer_than_a_signature_may_come_late() {
    let world = World::new();
    let Some(long_ago) = Instant::now().checked_sub(LATE) else { return };
    let (old, new) = (IntentId::from_bytes([1; 16]), IntentId::from_bytes([2; 16]));
    let voided = BTreeMap::from([(old, long_ago), (new, Instant::now())]);
    world.service.key_uses.books.lock().unwrap().voided = voided;

    assert_eq!(found(&world), [""; 0]);

    let kept: Vec<_> =
        world.service.key_uses.books.lock().unwrap().voided.keys().copied().collect();
    assert_eq!(kept, [new]);
}

/// What earlier starts recorded is not this one's to explain.
#[test]
fn earlier_starts_are_left_out() {
    let world = World::new();
    world.issue("before").unwrap();
    let (store, node) = (world.service.store(), &world.service.node);

    let uses = KeyUses::new(world.signer.clone(), None, store).unwrap();

    assert_eq!(uses.look(store, node).unwrap().unexplained, []);
}

#[test]
fn each_key_and_token_has_its_counters() {
    let world = World::new();
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        for order in ["one", "two"] {
            world.issue(order).unwrap();
        }
        world.service.signer.sign(&unrecorded(&world, [9; 16])).unwrap();
        world.service.reconcile_key_uses().unwrap();
        world.service.reconcile_key_uses().unwrap();
    });

    let text = recorder.handle().render();

    let key = key(&world);
    let of = format!("{{key=\"{key}\",token=\"sg-td-abcd-issuing\"}}");
    for line in [
        format!("sigill_key_signatures_total{of} 3"),
        format!("sigill_key_proofs_total{of} 0"),
        format!("sigill_key_failures_total{of} 0"),
        format!("sigill_hsm_failover_total{of} 0"),
        format!("sigill_hsm_token_active{of} 1"),
        format!("sigill_hsm_token_set_aside{of} 0"),
        format!("sigill_key_use_unexplained{{key=\"{key}\"}} 1"),
    ] {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
}
