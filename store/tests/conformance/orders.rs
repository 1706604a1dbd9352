//! API-02: a repeated call is harmless.

use std::thread;

use ca::audit::EventCode;
use store::{
    BegunOrder, HeldOrder, Log, OrderAnswer, OrderState, SharedText, StoreError, StoredResponse,
    Subject,
};

use super::Backend;
use super::world::{World, at, audit, node, sizes};

fn answer(world: &World) -> OrderAnswer {
    OrderAnswer {
        shared: Vec::new(),
        response: StoredResponse {
            status: 201,
            content_type: "application/json".to_owned(),
            body: b"{ \"as\":  \"sent\" }".to_vec(),
        },
        subject: world.subject(),
    }
}

pub(crate) fn a_new_key_makes_an_order(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");

    assert_eq!(world.store.begin_order(&order, at(1)).unwrap(), BegunOrder::New);

    let row = world.store.order(order.id).unwrap().unwrap();
    assert_eq!((row.state, row.key, row.created), (OrderState::Running, order.key, at(1)));
}

/// Texts that answers hold in common are kept once, and each answer is what it was: one that holds none of them, one of
/// them, several, the same twice, or nothing else.
pub(crate) fn answers_share_texts_and_are_replayed_byte_for_byte(backend: &dyn Backend) {
    let world = World::new(backend);
    let text = |text: &str| SharedText::new(text.as_bytes().to_vec()).unwrap();
    let shared = vec![text("[\"chain one\"]"), text("[\"chain two\"]"), text("[\"chain")];
    let bodies = [
        "{\"chain\":[]}",
        "{\"chain\":[\"chain one\"]}",
        "{\"a\":[\"chain two\"],\"b\":[\"chain one\"],\"c\":[\"chain two\"]}",
        "[\"chain one\"][\"chain one\"]",
        "[\"chain one\"]",
        "[\"chain t\"]",
        "",
    ];
    for (number, body) in bodies.iter().enumerate() {
        let order = world.new_order(&format!("k{number}"));
        world.store.begin_order(&order, at(1)).unwrap();
        let response = StoredResponse { body: body.as_bytes().to_vec(), ..answer(&world).response };
        let answer = OrderAnswer { response, shared: shared.clone(), ..answer(&world) };
        world.store.finish_order(HeldOrder::first(order.id), &world.node, &answer, at(2)).unwrap();
    }
    for (number, body) in bodies.iter().enumerate() {
        let again = world.new_order(&format!("k{number}"));
        let BegunOrder::Replay { response, .. } = world.store.begin_order(&again, at(3)).unwrap()
        else {
            panic!("not replayed")
        };
        assert_eq!(String::from_utf8(response.body).unwrap(), *body);
    }
}

pub(crate) fn an_answer_is_replayed_byte_for_byte(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();
    let answer = answer(&world);

    world.store.finish_order(HeldOrder::first(order.id), &world.node, &answer, at(2)).unwrap();

    let again = world.new_order("k");
    let replay = BegunOrder::Replay { order: order.id, response: answer.response.clone() };
    assert_eq!(world.store.begin_order(&again, at(3)).unwrap(), replay);
    assert!(matches!(
        world.store.finish_order(HeldOrder::first(order.id), &world.node, &answer, at(4)),
        Err(StoreError::OrderState { .. })
    ));
    assert!(matches!(
        world.store.leave_order(HeldOrder::first(order.id), &world.node, at(4)),
        Err(StoreError::OrderState { .. })
    ));
}

pub(crate) fn another_body_under_the_key_is_told_apart(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();
    let mut other = world.new_order("k");
    other.body_sha256 = [9; 32];

    let differs = BegunOrder::BodyDiffers { order: order.id };
    assert_eq!(world.store.begin_order(&other, at(2)).unwrap(), differs);
    world
        .store
        .finish_order(HeldOrder::first(order.id), &world.node, &answer(&world), at(2))
        .unwrap();
    assert_eq!(world.store.begin_order(&other, at(3)).unwrap(), differs);
}

pub(crate) fn a_running_order_is_not_given_twice(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();

    let again = world.store.begin_order(&world.new_order("k"), at(2)).unwrap();

    assert_eq!(again, BegunOrder::Running { order: order.id });
}

pub(crate) fn a_restart_takes_its_orders_over_at_once(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();
    let restarted = world.over(world.store.clone(), node("a", 2));

    let BegunOrder::Resume(progress) =
        restarted.store.begin_order(&restarted.new_order("k"), at(2)).unwrap()
    else {
        panic!("not resumed")
    };

    assert_eq!(progress.order, order.id);
    assert_eq!((progress.certificate, progress.open_intent), (None, None));
}

pub(crate) fn another_node_takes_an_order_over_when_the_lease_has_ended(backend: &dyn Backend) {
    let world = World::new(backend);
    let lease = store::LeaseName::Node("a".to_owned());
    world.store.lease(&lease, &world.node, at(0)).unwrap();
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();
    let other = world.over(world.store.clone(), node("b", 9));
    let begin = |now| other.store.begin_order(&other.new_order("k"), at(now)).unwrap();

    assert_eq!(begin(29), BegunOrder::Running { order: order.id });
    assert!(matches!(begin(30), BegunOrder::Resume(_)));
}

pub(crate) fn a_5xx_leaves_the_order_to_the_same_key(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();

    world.store.leave_order(HeldOrder::first(order.id), &world.node, at(2)).unwrap();

    let again = world.store.begin_order(&world.new_order("k"), at(3)).unwrap();
    assert!(matches!(again, BegunOrder::Resume(progress) if progress.order == order.id));
}

pub(crate) fn the_key_belongs_to_client_method_and_path(backend: &dyn Backend) {
    let world = World::new(backend);
    world.store.begin_order(&world.new_order("k"), at(1)).unwrap();
    for part in 0..3 {
        let mut other = world.new_order("k");
        match part {
            0 => other.key.client = "other".to_owned(),
            1 => other.key.method = "PUT".to_owned(),
            _ => other.key.path = "/v1/other".to_owned(),
        }

        assert_eq!(world.store.begin_order(&other, at(2)).unwrap(), BegunOrder::New);
    }
}

pub(crate) fn eight_callers_of_one_key_get_one_order(backend: &dyn Backend) {
    let world = World::new(backend);
    for round in 0..50 {
        let key = format!("round {round}");
        let outcomes: Vec<BegunOrder> = thread::scope(|scope| {
            let callers: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| world.store.begin_order(&world.new_order(&key), at(1))))
                .collect();
            callers.into_iter().map(|caller| caller.join().unwrap().unwrap()).collect()
        });

        let new = outcomes.iter().filter(|outcome| **outcome == BegunOrder::New).count();
        let running = outcomes.iter().filter(|o| matches!(o, BegunOrder::Running { .. })).count();
        assert_eq!((new, running), (1, 7));
    }
}

/// Promise 9: refusals of an authenticated client stand in the audit.
pub(crate) fn a_refusal_is_stored_with_its_audit_leaf(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();
    let before = sizes(&*world.store);
    let answer = OrderAnswer { subject: Subject::Order(order.id), ..answer(&world) };

    let refused = audit(EventCode::CertificateRefused);
    world
        .store
        .record_refusal(HeldOrder::first(order.id), &world.node, &answer, &refused, at(2))
        .unwrap();

    assert_eq!(sizes(&*world.store), (before.0, before.1 + 1));
    assert!(matches!(
        world.store.begin_order(&world.new_order("k"), at(3)).unwrap(),
        BegunOrder::Replay { .. }
    ));
    assert!(
        world
            .store
            .record_refusal(HeldOrder::first(order.id), &world.node, &answer, &refused, at(2))
            .is_err()
    );
    assert_eq!(world.store.log_head(Log::Audit).unwrap().size, before.1 + 1);
}

/// API-02, ISS-07: who comes late must not end an order that somebody else works on by now.
pub(crate) fn only_its_holder_ends_an_order(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();
    let later = world.over(world.store.clone(), node("a", 2));
    let taken = later.store.begin_order(&later.new_order("k"), at(2)).unwrap();
    let BegunOrder::Resume(progress) = taken else { panic!("{taken:?}") };
    let before = sizes(&*world.store);
    let (answer, refused) = (answer(&world), audit(EventCode::CertificateRefused));

    for late in [&world.node, &node("b", 1)] {
        for outcome in [
            world.store.finish_order(HeldOrder::first(order.id), late, &answer, at(3)),
            world.store.leave_order(HeldOrder::first(order.id), late, at(3)),
            world.store.record_refusal(HeldOrder::first(order.id), late, &answer, &refused, at(3)),
        ] {
            assert!(matches!(outcome, Err(StoreError::OrderState { .. })), "{outcome:?}");
        }
    }

    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.order(order.id).unwrap().unwrap().state, OrderState::Running);
    later.store.finish_order(progress.held(), &later.node, &answer, at(4)).unwrap();
}

/// API-02, ISS-07: nor one that another call of the same start has taken up meanwhile, as it does when an intent was
/// voided while its signature was slow.
pub(crate) fn a_late_call_of_the_same_start_ends_nothing(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();
    let first = HeldOrder::first(order.id);
    world.store.leave_order(first, &world.node, at(2)).unwrap();
    let taken = world.store.begin_order(&world.new_order("k"), at(3)).unwrap();
    let BegunOrder::Resume(progress) = taken else { panic!("{taken:?}") };
    assert_eq!(progress.held(), HeldOrder { turn: 1, ..first });
    let before = sizes(&*world.store);
    let (answer, refused) = (answer(&world), audit(EventCode::CertificateRefused));

    for outcome in [
        world.store.finish_order(first, &world.node, &answer, at(4)),
        world.store.leave_order(first, &world.node, at(4)),
        world.store.record_refusal(first, &world.node, &answer, &refused, at(4)),
        world.store.refuse_order(&order, &answer, &refused, at(4)).map(|_| ()),
    ] {
        assert!(matches!(outcome, Err(StoreError::OrderState { .. })), "{outcome:?}");
    }
    world.store.leave_new_order(&order, at(4)).unwrap();

    assert_eq!(sizes(&*world.store), before);
    assert_eq!(world.store.order(order.id).unwrap().unwrap().state, OrderState::Running);
    world.store.finish_order(progress.held(), &world.node, &answer, at(5)).unwrap();
}

/// An order that was left has no holder: the one who left it has no say in it any more.
pub(crate) fn an_order_that_was_left_is_ended_by_nobody(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(1)).unwrap();
    world.store.leave_order(HeldOrder::first(order.id), &world.node, at(2)).unwrap();

    let late =
        world.store.finish_order(HeldOrder::first(order.id), &world.node, &answer(&world), at(3));

    assert!(matches!(late, Err(StoreError::OrderState { .. })), "{late:?}");
    assert_eq!(world.store.order(order.id).unwrap().unwrap().state, OrderState::Open);
}
