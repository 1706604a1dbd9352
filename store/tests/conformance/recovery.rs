//! Promise 2: what a crash leaves open is voided, and its order goes on.

use ::crl::CrlNumber;
use ca::audit::EventCode;
use status::{CertificateState, Index};
use store::{
    BegunOrder, HeldOrder, IntentBook, IntentRow, IntentState, LeaseName, LeaseOutcome, Node,
    StoreError, VoidScope, VoidedIntent,
};

use super::Backend;
use super::world::{World, at, audit, followed, node, serial, sizes};

fn void(world: &World, scope: VoidScope, now: u64) -> Vec<VoidedIntent> {
    let record = |_: &IntentRow| audit(EventCode::CertificateVoided);
    world.store.void_intents(&scope, &record, at(now)).unwrap()
}

fn state(index: &Index, voided: &VoidedIntent) -> CertificateState {
    let certificate = voided.certificate.as_ref().unwrap();
    let reference = index.issuer(&certificate.issuer).unwrap();
    index.lookup(reference, &certificate.serial).unwrap().state
}

/// ISS-05: after a crash each reserved serial ends as issued or as voided, none unknown.
pub(crate) fn a_restart_voids_what_it_finds_open(backend: &dyn Backend) {
    let world = World::new(backend);
    let _ = world.intend(at(1)).unwrap();
    let _ = world.intend(at(1)).unwrap();
    world.issue(at(1));
    assert!(void(&world, VoidScope::EarlierBoots(world.node.clone()), 2).is_empty());
    let before = sizes(&*world.store);
    let restarted: Node = node("a", 2);

    let voided = void(&world, VoidScope::EarlierBoots(restarted.clone()), 3);

    assert_eq!(voided.len(), 2);
    assert_eq!(sizes(&*world.store), (before.0 + 2, before.1 + 2));
    let index = followed(&*world.store);
    for intent in &voided {
        assert_eq!(state(&index, intent), CertificateState::Voided);
    }
    assert!(void(&world, VoidScope::EarlierBoots(restarted), 4).is_empty());
    assert!(world.store.open_intents().unwrap().is_empty());
}

/// ISS-07: a signature that comes after its intent was voided must not be released.
pub(crate) fn a_voided_intent_never_yields_a_certificate(backend: &dyn Backend) {
    let world = World::new(backend);
    let (_, pending, recorded) = world.intend(at(1)).unwrap();
    void(&world, VoidScope::Intent(pending.intent().id()), 2);
    let before = sizes(&*world.store);
    let id = pending.intent().id();

    let refused = world.record_issued(pending, &recorded, at(3)).unwrap_err();

    assert!(matches!(refused, StoreError::IntentVoided));
    let tried = audit(EventCode::SignatureTried);
    assert!(world.store.record_failed_try(id, &tried, at(3)).is_err());
    assert_eq!(sizes(&*world.store), before);
}

/// ISS-07: whoever voids an intent of the order at hand goes on with that order.
pub(crate) fn a_caller_that_voids_its_intent_keeps_the_order(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(0)).unwrap();
    let (first, second) = (serial(), serial());
    let given_up = world.pending(first);
    let _ = world.record(order.id, first, &given_up, at(1)).unwrap();

    let voided = void(&world, VoidScope::Intent(given_up.intent().id()), 2);

    assert_eq!(voided.len(), 1);
    let pending = world.pending(second);
    let recorded = world.record(order.id, second, &pending, at(3)).unwrap();
    world.record_issued(pending, &recorded, at(4)).unwrap();
}

pub(crate) fn a_voided_order_goes_on_with_another_serial(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(0)).unwrap();
    let first = serial();
    let _ = world.record(order.id, first, &world.pending(first), at(1)).unwrap();
    let restarted = world.over(world.store.clone(), node("a", 2));
    void(&restarted, VoidScope::EarlierBoots(restarted.node.clone()), 2);

    let again = restarted.store.begin_order(&restarted.new_order("k"), at(3)).unwrap();
    let BegunOrder::Resume(progress) = again else { panic!("{again:?}") };
    assert_eq!((progress.order, progress.open_intent), (order.id, None));

    let second = serial();
    let pending = restarted.pending(second);
    let recorded = restarted.record(order.id, second, &pending, at(4)).unwrap();
    restarted.record_issued(pending, &recorded, at(5)).unwrap();
    let index = followed(&*restarted.store);
    let reference = index.issuer(&restarted.issuer.id()).unwrap();
    assert_eq!(index.lookup(reference, &first).unwrap().state, CertificateState::Voided);
    assert_eq!(index.lookup(reference, &second).unwrap().state, CertificateState::Issued);
}

pub(crate) fn signing_that_fails_for_a_minute_is_voided(backend: &dyn Backend) {
    let world = World::new(backend);
    let (_, pending, _) = world.intend(at(1)).unwrap();
    let _ = world.intend(at(1)).unwrap();
    let failing = || VoidScope::Failing(world.node.clone());
    let tried = audit(EventCode::SignatureTried);

    assert!(void(&world, failing(), 1000).is_empty());
    world.store.record_failed_try(pending.intent().id(), &tried, at(1000)).unwrap();
    world.store.record_failed_try(pending.intent().id(), &tried, at(1030)).unwrap();
    assert!(void(&world, failing(), 1059).is_empty());

    let voided = void(&world, failing(), 1060);
    assert_eq!(voided.iter().map(|v| v.intent).collect::<Vec<_>>(), [pending.intent().id()]);

    // Its order was left, and not even the failure could be recorded.
    let (order, left, _) = world.intend(at(2000)).unwrap();
    world.store.leave_order(HeldOrder::first(order), &world.node, at(2001)).unwrap();
    assert!(void(&world, failing(), 2059).is_empty());
    let voided = void(&world, failing(), 2060);
    assert_eq!(voided.iter().map(|v| v.intent).collect::<Vec<_>>(), [left.intent().id()]);
}

pub(crate) fn an_ended_lease_voids_the_intents_of_its_node(backend: &dyn Backend) {
    let world = World::new(backend);
    let name = LeaseName::Node("a".to_owned());
    world.store.lease(&name, &world.node, at(0)).unwrap();
    let _ = world.intend(at(1)).unwrap();

    let other = || VoidScope::EndedLeases(node("b", 1));
    assert!(void(&world, other(), 29).is_empty());
    // Its own lease has lapsed: it was slow, and is at work.
    let own = VoidScope::EndedLeases(world.node.clone());
    assert!(void(&world, own, 300).is_empty());
    let later_start = VoidScope::EndedLeases(node("a", 2));
    assert!(void(&world, later_start, 29).is_empty());
    assert_eq!(void(&world, other(), 30).len(), 1);
}

/// Promise 2: two programs of one node name do not take turns. The later start has the name; the
/// earlier one, should it be alive, gets nothing more done.
pub(crate) fn the_later_of_two_live_starts_has_the_name_for_good(backend: &dyn Backend) {
    let earlier = World::new(backend);
    let later = earlier.over(earlier.store.clone(), node("a", 2));
    let lease = |world: &World, name: &LeaseName, now| {
        world.store.lease(name, &world.node, at(now)).unwrap()
    };
    let leases = [LeaseName::Node("a".to_owned()), LeaseName::Publication];
    let order = earlier.new_order("k");
    for name in &leases {
        assert!(matches!(lease(&earlier, name, 0), LeaseOutcome::Held { .. }));
    }
    earlier.store.begin_order(&order, at(1)).unwrap();
    for name in &leases {
        assert!(matches!(lease(&later, name, 2), LeaseOutcome::Held { .. }));
    }
    let taken = later.store.begin_order(&later.new_order("k"), at(3)).unwrap();
    assert!(matches!(taken, BegunOrder::Resume(_)), "{taken:?}");

    // Neither at once, nor when the later start's lease has ended, nor after it gave it back.
    for name in &leases {
        for now in [4, 500] {
            let met = lease(&earlier, name, now);
            assert!(matches!(&met, LeaseOutcome::Taken { by, .. } if *by == later.node), "{met:?}");
        }
        later.store.release_lease(name, &later.node).unwrap();
        assert!(matches!(lease(&earlier, name, 501), LeaseOutcome::Taken { .. }));
        assert!(matches!(lease(&later, name, 502), LeaseOutcome::Held { .. }));
    }
    let superseded = |error: StoreError| matches!(error, StoreError::NodeSuperseded { .. });
    for key in ["k", "another"] {
        let order = earlier.new_order(key);
        assert!(superseded(earlier.store.begin_order(&order, at(503)).unwrap_err()), "{key}");
    }
    let serial = serial();
    let refused = earlier.record(order.id, serial, &earlier.pending(serial), at(504)).unwrap_err();
    assert!(superseded(refused));
    let list = super::crls::facts(&earlier, &CrlNumber::from(1), 1);
    assert!(superseded(super::crls::intend(&earlier, &list).unwrap_err()));
    let recorded = later.record(order.id, serial, &later.pending(serial), at(506));
    assert!(recorded.is_ok(), "{recorded:?}");
}

/// KEY-14: the order of recording is kept while outcomes change, so that a reader can go on from where
/// it was.
pub(crate) fn what_became_of_each_intent_is_told_in_order(backend: &dyn Backend) {
    let world = World::new(backend);
    let told = |after| {
        let outcomes = world.store.intents_after(IntentBook::Issuing, after).unwrap();
        assert!(outcomes.iter().all(|outcome| outcome.number > after));
        assert!(outcomes.iter().all(|outcome| outcome.node == world.node));
        assert!(outcomes.iter().all(|o| o.key == Some(world.issuer.public.spki_hash())));
        outcomes
    };
    let state = |outcome: &store::IntentOutcome| (outcome.intent, outcome.state);
    world.issue(at(1));
    let before = world.store.last_intent(IntentBook::Issuing).unwrap();
    assert!(told(before).is_empty());
    let (_, voided, _) = world.intend(at(2)).unwrap();
    let (_, issued, recorded) = world.intend(at(3)).unwrap();
    let (voided, second) = (voided.intent().id(), issued.intent().id());
    let open = [(voided, IntentState::Open), (second, IntentState::Open)];
    assert_eq!(told(before).iter().map(state).collect::<Vec<_>>(), open);

    world.record_issued(issued, &recorded, at(4)).unwrap();
    void(&world, VoidScope::Intent(voided), 5);

    let ended = [(voided, IntentState::Voided), (second, IntentState::Fulfilled)];
    let outcomes = told(before);
    assert_eq!(outcomes.iter().map(state).collect::<Vec<_>>(), ended);
    assert_eq!(outcomes.iter().map(|o| o.created).collect::<Vec<_>>(), [at(2), at(3)]);
    assert_eq!(told(outcomes[0].number), outcomes[1..]);
    assert_eq!(world.store.last_intent(IntentBook::Issuing).unwrap(), outcomes[1].number);
    assert!(told(outcomes[1].number).is_empty());
}
