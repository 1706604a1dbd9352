//! The two acts of a certificate that a caller orders: the order with the intent, the certificate with
//! the answer.

use std::thread;

use ca::audit::EventCode;
use ca::key_holder::KeyReuse;
use store::{
    BegunOrder, BegunWithIntent, CertificateLookup, HeldOrder, IntentRow, LeaseName, NewOrder,
    OrderAnswer, OrderStanding, OrderState, RefusedOrder, StoreError, StoredResponse, Subject,
    VoidScope,
};
use x509::signing::{Pending, Recorded};

use super::Backend;
use super::world::{
    World, at, audit, followed, fresh, node, response, serial, sizes, subject_key, verified,
};

fn begun(world: &World, order: &NewOrder, now: u64) -> (Pending, Recorded) {
    let serial = serial();
    let pending = world.pending(serial);
    match world.begin_with_intent(order, serial, &pending, at(now)).unwrap() {
        BegunWithIntent::Recorded(recorded) => (pending, recorded),
        BegunWithIntent::Found(found) => panic!("{found:?}"),
    }
}

/// Tries to begin `order` with a new serial number, which must come to another call's order.
fn found(world: &World, order: &NewOrder, now: u64) -> BegunOrder {
    let serial = serial();
    match world.begin_with_intent(order, serial, &world.pending(serial), at(now)).unwrap() {
        BegunWithIntent::Found(found) => found,
        BegunWithIntent::Recorded(recorded) => panic!("{recorded:?}"),
    }
}

fn standing(world: &World, order: &NewOrder, now: u64) -> OrderStanding {
    world.store.order_standing(order, at(now)).unwrap()
}

fn refusal(order: &NewOrder) -> OrderAnswer {
    let response = StoredResponse {
        status: 422,
        content_type: "application/problem+json".to_owned(),
        body: b"{\"code\":  \"rule\"}".to_vec(),
    };
    OrderAnswer { response, subject: Subject::Order(order.id), shared: Vec::new() }
}

fn refuse(world: &World, order: &NewOrder, now: u64) -> Result<RefusedOrder, StoreError> {
    let refused = audit(EventCode::CertificateRefused);
    world.store.refuse_order(order, &refusal(order), &refused, at(now))
}

fn void_all(world: &World, now: u64) -> usize {
    let scope = VoidScope::EarlierBoots(world.node.clone());
    let record = |_: &IntentRow| audit(EventCode::CertificateVoided);
    world.store.void_intents(&scope, &record, at(now)).unwrap().len()
}

/// ISS-01, ISS-05: before a key is touched there are order, intent and audit leaf, or nothing.
pub(crate) fn an_order_and_its_intent_are_one_act(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    assert_eq!(standing(&world, &order, 1), OrderStanding::Unknown);
    let before = sizes(&*world.store);

    let (pending, _) = begun(&world, &order, 1);

    assert_eq!(sizes(&*world.store), (before.0, before.1 + 1));
    let open = world.store.open_intents().unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].id, open[0].order), (pending.intent().id(), Some(order.id)));
    let running = BegunOrder::Running { order: order.id };
    assert_eq!(standing(&world, &world.new_order("k"), 2), OrderStanding::Told(running));
}

/// ISS-06, API-02: when the certificate is there its answer is, and it is replayed byte for byte.
pub(crate) fn a_certificate_and_its_answer_are_one_act(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    let (pending, recorded) = begun(&world, &order, 1);
    let before = sizes(&*world.store);

    let done = world.record_and_answer(pending, &recorded, at(2)).unwrap();

    assert_eq!(done.response, response(&done.issued));
    assert_eq!(sizes(&*world.store), (before.0 + 1, before.1 + 1));
    assert!(world.store.open_intents().unwrap().is_empty());
    let row = world.store.order(order.id).unwrap().unwrap();
    assert_eq!((row.state, row.certificate), (OrderState::Done, Some(done.issued.certificate)));
    let found = world.store.certificate(&CertificateLookup::Id(done.issued.certificate));
    let found = found.unwrap().unwrap();
    assert_eq!(found.der.as_ref(), Some(&done.issued.der));
    assert_eq!(found.row.status.position, done.issued.position);
    let again = world.new_order("k");
    let replay = BegunOrder::Replay { order: order.id, response: done.response };
    assert_eq!(standing(&world, &again, 3), OrderStanding::Told(replay.clone()));
    assert_eq!(self::found(&world, &again, 3), replay);
    assert_eq!(world.store.begin_order(&again, at(3)).unwrap(), replay);
    followed(&*world.store);
    verified(&*world.store, store::Log::Audit);
}

/// ISS-03, ISS-12: a refused intent takes its order with it, and the key is as if nobody had used it.
pub(crate) fn a_refused_intent_leaves_no_order(backend: &dyn Backend) {
    let world = World::new(backend);
    let taken = serial();
    let first = world.new_order("first");
    let pending = world.pending(taken);
    let begun = world.begin_with_intent(&first, taken, &pending, at(1000)).unwrap();
    assert!(matches!(begun, BegunWithIntent::Recorded(_)));
    let before = sizes(&*world.store);
    let order = world.new_order("k");
    let record = audit(EventCode::CertificateIntent);
    let serial = serial();
    let facts = world.intent_facts(order.id, serial);
    let mut of_another_order = facts.clone();
    of_another_order.order = first.id;
    let mut of_another_node = facts.clone();
    of_another_node.node = node("b", 1);
    let mut used_serial = world.intent_facts(order.id, taken);
    used_serial.key = facts.key.clone();
    let mut used_key = facts.clone();
    let claimed = world.intent_facts(first.id, taken).key.spki;
    used_key.key = subject_key(claimed, "191010101010", KeyReuse::SameHolder);

    for (code, facts, now) in [
        ("order-state", of_another_order, 1001),
        ("order-state", of_another_node, 1001),
        ("serial-taken", used_serial, 1001),
        ("key-of-another", used_key, 1001),
        ("clock-behind", facts, 1),
    ] {
        let pending = world.pending(facts.serial);
        let refused = world.store.begin_with_intent(&order, &pending, &facts, &record, at(now));

        assert_eq!(refused.unwrap_err().code(), code);
        assert_eq!(standing(&world, &order, 1001), OrderStanding::Unknown, "{code}");
        assert_eq!(world.store.order(order.id).unwrap(), None, "{code}");
    }

    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.open_intents().unwrap().len(), 1);
    let mut other_body = world.new_order("k");
    other_body.body_sha256 = [9; 32];
    let _ = self::begun(&world, &other_body, 1002);
}

/// Promise 2: no certificate without the answer that it is released with.
pub(crate) fn without_its_answer_no_certificate_is_recorded(backend: &dyn Backend) {
    let world = World::new(backend);
    let (first, left) = (world.new_order("k"), world.new_order("left"));
    let (pending, recorded) = begun(&world, &first, 1);
    let (pending_left, recorded_left) = begun(&world, &left, 1);
    world.store.leave_order(HeldOrder::first(left.id), &world.node, at(2)).unwrap();
    let before = sizes(&*world.store);
    let (id, signed) = (pending.intent().id(), world.issuer.sign(pending, &recorded));
    let record = audit(EventCode::CertificateIssued);
    let facts = world.facts();

    let unwritten = world.store.record_issued_and_answer(
        &signed,
        &facts,
        Box::new(|_| Err(StoreError::Unwritable)),
        &record,
        at(3),
    );
    assert!(matches!(unwritten, Err(StoreError::Unwritable)), "{unwritten:?}");
    // Whoever has left the order has no answer to give.
    let late = world.record_and_answer(pending_left, &recorded_left, at(3));
    assert!(matches!(late, Err(StoreError::OrderState { .. })), "{late:?}");

    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.open_intents().unwrap().len(), 2);
    assert!(world.store.open_intents().unwrap().iter().any(|open| open.id == id));
    for order in [&first, &left] {
        assert_eq!(world.store.order(order.id).unwrap().unwrap().certificate, None);
    }
    let answer = Box::new(move |issued: &store::Issued| {
        let subject = Subject::Order(first.id);
        Ok(OrderAnswer { response: response(issued), subject, shared: Vec::new() })
    });
    world.store.record_issued_and_answer(&signed, &facts, answer, &record, at(4)).unwrap();
    let again = world.store.record_issued_and_answer(
        &signed,
        &facts,
        Box::new(|_| Err(StoreError::Unwritable)),
        &record,
        at(4),
    );
    assert!(matches!(again, Err(StoreError::IntentFulfilled)), "{again:?}");
}

/// API-02, ISS-06: of callers that all found the key unused, one may sign.
pub(crate) fn of_eight_callers_of_one_key_one_may_sign(backend: &dyn Backend) {
    let world = World::new(backend);
    for round in 0..50 {
        let key = format!("round {round}");
        let calls: Vec<_> = (0..8).map(|_| (world.new_order(&key), serial())).collect();
        let begun: Vec<_> = thread::scope(|scope| {
            let callers: Vec<_> = calls
                .iter()
                .map(|(order, serial)| {
                    let world = &world;
                    scope.spawn(move || {
                        world.begin_with_intent(order, *serial, &world.pending(*serial), at(1))
                    })
                })
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect()
        });

        let winner = begun.iter().position(|b| matches!(b, BegunWithIntent::Recorded(_))).unwrap();
        for (place, begun) in begun.iter().enumerate().filter(|(place, _)| *place != winner) {
            let BegunWithIntent::Found(found) = begun else { panic!("two may sign: {place}") };
            assert_eq!(*found, BegunOrder::Running { order: calls[winner].0.id });
            assert_eq!(world.store.order(calls[place].0.id).unwrap(), None);
        }
        assert_eq!(world.store.open_intents().unwrap().len(), round + 1);
        // The serial numbers of the others were not spent.
        let loser = calls[(winner + 1) % 8].1;
        let (other, pending) = (world.new_order(&format!("loser {round}")), world.pending(loser));
        let used = world.begin_with_intent(&other, loser, &pending, at(1)).unwrap();
        let BegunWithIntent::Recorded(recorded) = used else { panic!("{used:?}") };
        world.record_and_answer(pending, &recorded, at(1)).unwrap();
    }
}

/// ISS-05, ISS-07: killed between the acts, the intent is voided and the order goes on; the signature
/// that comes after all is nobody's.
pub(crate) fn a_kill_between_the_two_acts_leaves_an_order_to_go_on_with(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    let (pending, recorded) = begun(&world, &order, 1);
    let restarted = world.over(world.store.clone(), node("a", 2));
    let again = restarted.new_order("k");
    assert_eq!(standing(&restarted, &again, 2), OrderStanding::Open);

    assert_eq!(void_all(&restarted, 2), 1);

    let late = world.record_and_answer(pending, &recorded, at(3));
    assert!(matches!(late, Err(StoreError::IntentVoided)), "{late:?}");
    assert_eq!(world.store.order(order.id).unwrap().unwrap().certificate, None);
    assert_eq!(standing(&restarted, &again, 3), OrderStanding::Open);
    // A call that had found the key unused before meets the order, and has it.
    let BegunOrder::Resume(progress) = found(&restarted, &again, 3) else { panic!("no resume") };
    assert_eq!((progress.order, progress.open_intent), (order.id, None));
    assert!(restarted.store.open_intents().unwrap().is_empty());
    let serial = serial();
    let pending = restarted.pending(serial);
    let recorded = restarted.record(order.id, serial, &pending, at(4)).unwrap();
    let done = restarted.record_and_answer(pending, &recorded, at(5)).unwrap();
    let row = world.store.order(order.id).unwrap().unwrap();
    assert_eq!((row.state, row.certificate), (OrderState::Done, Some(done.issued.certificate)));
}

/// API-02: killed after the second act, the next call gets the answer that nobody got.
pub(crate) fn a_kill_after_both_acts_leaves_the_answer(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    let (pending, recorded) = begun(&world, &order, 1);
    let done = world.record_and_answer(pending, &recorded, at(2)).unwrap();
    let restarted = world.over(world.store.clone(), node("a", 2));

    assert_eq!(void_all(&restarted, 3), 0);

    let replay = BegunOrder::Replay { order: order.id, response: done.response };
    assert_eq!(standing(&restarted, &restarted.new_order("k"), 3), OrderStanding::Told(replay));
}

/// Promise 9, API-02: a refusal is stored with its order and its leaf, and is what every call meets.
pub(crate) fn a_refused_order_is_stored_in_one_act(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    let before = sizes(&*world.store);

    assert_eq!(refuse(&world, &order, 1).unwrap(), RefusedOrder::Recorded);

    assert_eq!(sizes(&*world.store), (before.0, before.1 + 1));
    let replay = BegunOrder::Replay { order: order.id, response: refusal(&order).response };
    let again = world.new_order("k");
    assert_eq!(standing(&world, &again, 2), OrderStanding::Told(replay.clone()));
    assert_eq!(refuse(&world, &again, 2).unwrap(), RefusedOrder::Found(replay));
    let mut other = world.new_order("k");
    other.body_sha256 = [9; 32];
    let differs = BegunOrder::BodyDiffers { order: order.id };
    assert_eq!(standing(&world, &other, 2), OrderStanding::Told(differs.clone()));
    assert_eq!(found(&world, &other, 2), differs);
    assert_eq!(refuse(&world, &other, 2).unwrap(), RefusedOrder::Found(differs));
    assert_eq!(sizes(&*world.store), (before.0, before.1 + 1));
}

/// API-02: who refuses what another call is certifying ends nothing; his own order he ends.
pub(crate) fn a_refusal_ends_no_order_of_another_call(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();
    let before = sizes(&*world.store);
    let running = RefusedOrder::Found(BegunOrder::Running { order: order.id });

    assert_eq!(refuse(&world, &world.new_order("k"), 2).unwrap(), running);

    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.order(order.id).unwrap().unwrap().state, OrderState::Running);
    assert_eq!(refuse(&world, &order, 3).unwrap(), RefusedOrder::Recorded);
    assert_eq!(world.store.order(order.id).unwrap().unwrap().state, OrderState::Done);
}

/// API-02: a call that came to nothing has bound its key to its body, and nothing else.
pub(crate) fn an_order_of_which_nothing_came_is_left_open(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    let before = sizes(&*world.store);

    world.store.leave_new_order(&order, at(1)).unwrap();

    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.order(order.id).unwrap().unwrap().state, OrderState::Open);
    assert_eq!(standing(&world, &world.new_order("k"), 2), OrderStanding::Open);
    let mut other = world.new_order("k");
    other.body_sha256 = [9; 32];
    let differs = OrderStanding::Told(BegunOrder::BodyDiffers { order: order.id });
    assert_eq!(standing(&world, &other, 2), differs);

    // Left again by a call that had found the key unused, and by one whose intent was recorded.
    world.store.leave_new_order(&world.new_order("k"), at(3)).unwrap();
    assert_eq!(standing(&world, &order, 4), OrderStanding::Open);
    let begun_order = world.new_order("begun");
    let _ = begun(&world, &begun_order, 5);
    world.store.leave_new_order(&begun_order, at(6)).unwrap();
    assert_eq!(standing(&world, &begun_order, 7), OrderStanding::Open);
    // What another call works on or has finished is not touched.
    let (running, done) = (world.new_order("running"), world.new_order("done"));
    world.store.begin_order(&running, at(8)).unwrap();
    refuse(&world, &done, 8).unwrap();
    for (key, state, id) in
        [("running", OrderState::Running, running.id), ("done", OrderState::Done, done.id)]
    {
        world.store.leave_new_order(&world.new_order(key), at(9)).unwrap();
        assert_eq!(world.store.order(id).unwrap().unwrap().state, state, "{key}");
    }
}

/// Promise 2: what has lost its name begins nothing.
pub(crate) fn a_superseded_start_begins_and_refuses_nothing(backend: &dyn Backend) {
    let world = World::new(backend);
    let later = world.over(world.store.clone(), node("a", 2));
    let name = LeaseName::Node("a".to_owned());
    for start in [&world, &later] {
        start.store.lease(&name, &start.node, at(1)).unwrap();
    }
    let (order, serial) = (world.new_order("k"), serial());

    let begun = world.begin_with_intent(&order, serial, &world.pending(serial), at(2));
    assert!(matches!(begun, Err(StoreError::NodeSuperseded { .. })), "{begun:?}");
    let left = world.store.leave_new_order(&order, at(2));
    assert!(matches!(left, Err(StoreError::NodeSuperseded { .. })), "{left:?}");
    let refused = refuse(&world, &order, 2);
    assert!(matches!(refused, Err(StoreError::NodeSuperseded { .. })), "{refused:?}");

    assert_eq!(world.store.order(order.id).unwrap(), None);
    let key = format!("{:?}", fresh());
    let _ = self::begun(&later, &later.new_order(&key), 3);
}
