//! ISS-22: certificates counted by client, profile and hour, and pauses.

use std::sync::atomic::{AtomicU64, Ordering};

use ca::audit::EventCode;
use ca::limit::{HourLimit, Sudden};
use store::{
    AnswerOfStanding, BegunOrder, CertificateIntent, HeldOrder, NewOrder, NewPause, OrderAnswer,
    OrderId, Pause, PauseEnd, Store, StoreError, StoredResponse, Subject, VoidScope, Volume,
    VolumeStanding,
};
use x509::signing::{Pending, Recorded};
use x509::time::UnixTime;

use super::Backend;
use super::world::{World, at, audit, node, serial, sizes};

const DAY: u64 = 24 * 3600;
/// `at(0)` is 800 s into its hour.
const NEXT_HOUR: u64 = 2800;

fn of(client: &str, profile: &str, limit: Option<HourLimit>) -> Volume {
    Volume { client: client.to_owned(), profile: profile.to_owned(), limit }
}

fn per_hour(per_hour: u64) -> Option<HourLimit> {
    Some(HourLimit { per_hour: Some(per_hour), sudden: None })
}

fn sudden(times: u64, at_least: u64) -> Option<HourLimit> {
    Some(HourLimit { per_hour: None, sudden: Some(Sudden { times, at_least }) })
}

fn record(
    world: &World,
    order: OrderId,
    volume: &Volume,
    now: UnixTime,
) -> Result<(Pending, Recorded), StoreError> {
    let serial = serial();
    let pending = world.pending(serial);
    let volume = Some(volume.clone());
    let facts = CertificateIntent { volume, ..world.intent_facts(order, serial) };
    let audit = audit(EventCode::CertificateIntent);
    let recorded = world.store.record_intent(&pending, &facts, &audit, now)?;
    Ok((pending, recorded))
}

fn ordered(world: &World, volume: &Volume, now: UnixTime) -> Result<(), StoreError> {
    record(world, world.order(), volume, now).map(drop)
}

fn standing(store: &dyn Store, volume: &Volume, now: UnixTime) -> Option<VolumeStanding> {
    let standings = store.volumes(now).unwrap();
    standings.into_iter().find(|one| one.client == volume.client && one.profile == volume.profile)
}

fn issued(store: &dyn Store, volume: &Volume, now: UnixTime) -> u64 {
    standing(store, volume, now).map_or(0, |one| one.issued)
}

pub(crate) fn an_hour_has_what_its_limit_says(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", per_hour(2));
    for _ in 0..2 {
        ordered(&world, &portal, at(1)).unwrap();
    }
    let order = world.order();
    let before = sizes(&*world.store);

    let refused = record(&world, order, &portal, at(2)).unwrap_err();

    let StoreError::HourSpent { per_hour: 2, ends } = refused else { panic!("{refused}") };
    assert_eq!(ends, at(NEXT_HOUR));
    assert_eq!(sizes(&*world.store), before, "a refused order leaves nothing");
    assert_eq!(issued(&*world.store, &portal, at(2)), 2);
    // What one client has had takes nothing from another, nor from another profile.
    ordered(&world, &of("desk", "function", per_hour(2)), at(2)).unwrap();
    ordered(&world, &of("portal", "server", per_hour(2)), at(2)).unwrap();
    ordered(&world, &of("portal", "person", None), at(2)).unwrap();
    assert_eq!(standing(&*world.store, &of("portal", "person", None), at(2)), None, "not counted");
    // The order is as good as before: it is issued when the hour is over.
    drop(record(&world, order, &portal, at(NEXT_HOUR)).unwrap());
    assert_eq!(issued(&*world.store, &portal, at(NEXT_HOUR)), 1);
}

pub(crate) fn an_order_is_counted_once(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", per_hour(1));
    let order = world.order();
    for tried in 1..4 {
        let (pending, _) = record(&world, order, &portal, at(tried)).unwrap();
        let scope = VoidScope::Intent(pending.intent().id());
        let voided = |_: &store::IntentRow| audit(EventCode::CertificateVoided);
        assert_eq!(world.store.void_intents(&scope, &voided, at(tried)).unwrap().len(), 1);
    }

    assert_eq!(issued(&*world.store, &portal, at(4)), 1);
    let refused = ordered(&world, &portal, at(4)).unwrap_err();
    assert!(matches!(refused, StoreError::HourSpent { .. }), "{refused}");
}

pub(crate) fn a_limit_is_exact_under_load(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", per_hour(25));
    let (passed, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..8 {
                    let count = match ordered(&world, &portal, at(1)) {
                        Ok(()) => &passed,
                        Err(StoreError::HourSpent { .. }) => &refused,
                        Err(other) => panic!("{other}"),
                    };
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });

    assert_eq!((passed.into_inner(), refused.into_inner()), (25, 39));
    assert_eq!(issued(&*world.store, &portal, at(1)), 25);
}

pub(crate) fn counts_and_pauses_outlive_a_restart(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", per_hour(2));
    let desk = of("desk", "function", None);
    ordered(&world, &portal, at(1)).unwrap();
    ordered(&world, &portal, at(1)).unwrap();
    pause(&world, &desk, (7, 3), at(1)).unwrap();
    let World { store, issuer, classes, not_after, .. } = world;
    drop(store);

    let world = World { store: backend.open(), issuer, node: node("a", 2), classes, not_after };

    assert!(matches!(ordered(&world, &portal, at(2)), Err(StoreError::HourSpent { .. })));
    let refused = ordered(&world, &desk, at(2)).unwrap_err();
    assert!(matches!(refused, StoreError::Paused { since } if since == at(1)), "{refused}");
    let shown = standing(&*world.store, &desk, at(NEXT_HOUR)).unwrap();
    assert_eq!(shown.pause, Some(Pause { since: at(1), issued: 7, usual: 3 }));
}

fn pause(
    world: &World,
    volume: &Volume,
    (issued, usual): (u64, u64),
    now: UnixTime,
) -> Result<bool, StoreError> {
    let (client, profile) = (volume.client.clone(), volume.profile.clone());
    let new = NewPause { client, profile, issued, usual };
    world.store.pause(&new, &audit(EventCode::LimitPaused), now)
}

fn resume(world: &World, volume: &Volume, now: UnixTime) -> bool {
    let order = world.order();
    let ended = resume_by(world, volume, order, Box::new(move |_| Ok(answer(order))), now);
    ended.unwrap().is_some()
}

fn resume_by(
    world: &World,
    volume: &Volume,
    order: OrderId,
    answer: AnswerOfStanding,
    now: UnixTime,
) -> Result<Option<StoredResponse>, StoreError> {
    let (client, profile) = (volume.client.clone(), volume.profile.clone());
    let order = HeldOrder::first(order);
    let end = PauseEnd { client, profile, order, node: world.node.clone() };
    world.store.resume(&end, answer, &audit(EventCode::LimitResumed), now)
}

fn answer(order: OrderId) -> OrderAnswer {
    let (status, content_type) = (200, "application/json".to_owned());
    let response = StoredResponse { status, content_type, body: b"ended".to_vec() };
    OrderAnswer { response, subject: Subject::Order(order), shared: Vec::new() }
}

/// API-02: whatever ends the act, there is never a pause that has ended and an order that does not know it.
pub(crate) fn a_pause_ends_with_the_answer_of_its_order_or_not_at_all(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", sudden(2, 3));
    pause(&world, &portal, (3, 0), at(1)).unwrap();
    let before = sizes(&*world.store);
    let order = world.new_order("end");
    world.store.begin_order(&order, at(2)).unwrap();
    let left = world.order();
    world.store.leave_order(HeldOrder::first(left), &world.node, at(2)).unwrap();

    let unwritable =
        resume_by(&world, &portal, order.id, Box::new(|_| Err(StoreError::Unwritable)), at(3));
    assert!(matches!(unwritable, Err(StoreError::Unwritable)), "{unwritable:?}");
    let not_held = resume_by(&world, &portal, left, Box::new(move |_| Ok(answer(left))), at(3));
    assert!(matches!(not_held, Err(StoreError::OrderState { .. })), "{not_held:?}");

    assert_eq!(sizes(&*world.store), before, "no leaf");
    let shown = standing(&*world.store, &portal, at(3)).unwrap();
    assert!(shown.pause.is_some(), "{shown:?}");

    let id = order.id;
    let seen = move |standing: &VolumeStanding| {
        assert_eq!((standing.pause, standing.usual), (None, 14), "as it is from now on");
        Ok(answer(id))
    };
    let ended = resume_by(&world, &portal, id, Box::new(seen), at(4)).unwrap().unwrap();

    // As whoever got no answer calls again, also after a restart.
    let again = NewOrder { id: OrderId::from_bytes([9; 16]), node: node("a", 2), ..order };
    let replay = world.store.begin_order(&again, at(5)).unwrap();
    assert_eq!(replay, BegunOrder::Replay { order: id, response: ended });
    assert_eq!(sizes(&*world.store).1, before.1 + 1, "one leaf");
}

pub(crate) fn a_sudden_rise_is_refused_against_the_week_before(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", sudden(3, 4));
    let other_hour = NEXT_HOUR;
    // 14 in the same hour of seven days: two a day. What other hours had, and older days, says nothing.
    for day in 0..8 {
        for _ in 0..2 {
            ordered(&world, &portal, at(day * DAY)).unwrap();
        }
        for _ in 0..3 {
            ordered(&world, &portal, at(day * DAY + other_hour)).unwrap();
        }
    }
    let now = at(8 * DAY);
    for _ in 0..6 {
        ordered(&world, &portal, now).unwrap();
    }

    for _ in 0..2 {
        let refused = ordered(&world, &portal, now).unwrap_err();
        let StoreError::SuddenRise { issued: 7, usual: 14 } = refused else { panic!("{refused}") };
    }
    assert_eq!(issued(&*world.store, &portal, now), 6);
    ordered(&world, &of("desk", "function", sudden(3, 4)), now).unwrap();
}

/// A client that orders as much every day is not paused for being new.
pub(crate) fn days_before_the_first_certificate_say_nothing(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", sudden(2, 3));
    for day in 0..3 {
        // Two on the first day, since more of what was never seen would be sudden.
        for _ in 0..2 + 2 * day {
            ordered(&world, &portal, at(day * DAY)).unwrap();
        }
    }
    // 2, 4 and 6 in three days: four a day.
    for _ in 0..8 {
        ordered(&world, &portal, at(3 * DAY)).unwrap();
    }
    let refused = ordered(&world, &portal, at(3 * DAY)).unwrap_err();
    assert!(matches!(refused, StoreError::SuddenRise { issued: 9, usual: 28 }), "{refused}");
}

/// An operator may come when the hour of the pause is over.
pub(crate) fn what_was_accepted_is_usual_in_the_hour_of_the_word(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", sudden(2, 3));
    for _ in 0..2 {
        ordered(&world, &portal, at(1)).unwrap();
    }
    assert!(matches!(ordered(&world, &portal, at(1)), Err(StoreError::SuddenRise { .. })));
    pause(&world, &portal, (3, 0), at(1)).unwrap();

    assert!(resume(&world, &portal, at(NEXT_HOUR)));

    for _ in 0..4 {
        ordered(&world, &portal, at(NEXT_HOUR)).unwrap();
    }
    let refused = ordered(&world, &portal, at(NEXT_HOUR)).unwrap_err();
    assert!(matches!(refused, StoreError::SuddenRise { issued: 5, usual: 14 }), "{refused}");
}

pub(crate) fn a_pause_ends_by_a_word_and_not_by_itself(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", sudden(2, 3));
    ordered(&world, &portal, at(1)).unwrap();
    ordered(&world, &portal, at(1)).unwrap();
    assert!(matches!(ordered(&world, &portal, at(1)), Err(StoreError::SuddenRise { .. })));
    let (_, leaves) = sizes(&*world.store);

    assert!(pause(&world, &portal, (3, 0), at(1)).unwrap());
    assert!(!pause(&world, &portal, (9, 9), at(2)).unwrap(), "it is paused already");

    let (_, paused) = sizes(&*world.store);
    assert_eq!(paused, leaves + 1, "one leaf");
    let taken_out = of("portal", "function", None);
    for volume in [&portal, &taken_out] {
        for now in [at(2), at(2 * NEXT_HOUR)] {
            let refused = ordered(&world, volume, now).unwrap_err();
            assert!(matches!(refused, StoreError::Paused { since } if since == at(1)), "{refused}");
        }
    }
    ordered(&world, &of("desk", "function", sudden(2, 3)), at(3)).unwrap();
    ordered(&world, &of("portal", "server", sudden(2, 3)), at(3)).unwrap();
}

/// What an operator has accepted is usual for the rest of the hour: twice as much of it would pause again.
pub(crate) fn after_a_pause_an_hour_is_measured_by_what_was_accepted(backend: &dyn Backend) {
    let world = World::new(backend);
    let portal = of("portal", "function", sudden(2, 3));
    for _ in 0..2 {
        ordered(&world, &portal, at(1)).unwrap();
    }
    assert!(matches!(ordered(&world, &portal, at(1)), Err(StoreError::SuddenRise { .. })));
    pause(&world, &portal, (3, 0), at(1)).unwrap();
    let (_, leaves) = sizes(&*world.store);

    assert!(resume(&world, &portal, at(2)));
    assert!(!resume(&world, &portal, at(2)), "it is not paused any more");

    assert_eq!(sizes(&*world.store).1, leaves + 1, "one leaf");
    for _ in 0..2 {
        ordered(&world, &portal, at(3)).unwrap();
    }
    let refused = ordered(&world, &portal, at(3)).unwrap_err();
    assert!(matches!(refused, StoreError::SuddenRise { issued: 5, usual: 14 }), "{refused}");
    let shown = standing(&*world.store, &portal, at(3)).unwrap();
    assert_eq!((shown.issued, shown.pause), (4, None));
}
