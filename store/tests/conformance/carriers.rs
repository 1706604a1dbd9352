//! ISS-15: cards before the first certificate on them: registered all or none, moved on what they rest on, and nothing is issued onto what is
//! not there to be activated.

use ca::audit::EventCode;
use ca::carrier::CarrierKind;
use ca::life::CarrierStage;
use ca::revocation::RevocationWish;
use ca::role::Protected;
use status::RevocationReason;
use store::{
    Binding, BoundChange, BoundTo, CarrierFilter, CarrierId, CarrierMove, CarrierRow, IndexTag,
    IndexTerm, NewCarriers, OrderId, StoreError,
};

use super::Backend;
use super::bound::{binding, try_issue};
use super::world::{PERSON, World, at, audit, fresh, sizes};

const CARDS: [&str; 3] = ["9752269874512325436", "9752269874512325444", "9752269874512325451"];
const HERE: &str = "2321000131";

fn new(numbers: &[&str], stage: CarrierStage) -> NewCarriers {
    let card = |number: &&str| {
        (CarrierId::from_bytes(fresh()), IndexTerm::new(IndexTag::CardNumber, number))
    };
    let kind = match stage {
        CarrierStage::Blank => CarrierKind::ReserveCard,
        _ => CarrierKind::OrdinaryCard,
    };
    NewCarriers {
        call: OrderId::from_bytes(fresh()),
        kind,
        family: "nls-card-2023".to_owned(),
        organisation: HERE.to_owned(),
        stage,
        cards: numbers.iter().map(card).collect(),
    }
}

fn register(world: &World, new: &NewCarriers) -> Result<Vec<CarrierRow>, StoreError> {
    world.store.register_carriers(new, &audit(EventCode::CarriersRegistered), at(5))
}

fn move_on(
    world: &World,
    carrier: CarrierId,
    from: CarrierStage,
    to: CarrierStage,
) -> Result<(), StoreError> {
    let change = CarrierMove { carrier, from, to };
    world.store.move_carrier(&change, &audit(EventCode::CarrierMoved), at(5))
}

fn listed(world: &World, stage: Option<CarrierStage>, organisation: &str) -> Vec<CarrierId> {
    let organisation = Some(organisation.to_owned());
    let filter = CarrierFilter { organisation, stage, protected: Protected::Unseen };
    let page = world.store.registered_carriers(&filter, None, 10).unwrap();
    page.rows.iter().map(|row| row.id).collect()
}

pub(crate) fn cards_are_registered_all_or_none_and_once(backend: &dyn Backend) {
    let world = World::new(backend);
    let first = new(&CARDS[..2], CarrierStage::Blank);
    let rows = register(&world, &first).unwrap();
    let ids: Vec<_> = first.cards.iter().map(|(id, _)| *id).collect();
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), ids);
    let one = &rows[0];
    assert_eq!((one.stage, one.kind), (Some(CarrierStage::Blank), CarrierKind::ReserveCard));
    assert_eq!(one.organisation.as_deref(), Some(HERE));

    let before = sizes(&*world.store);
    // The same call with ids that were drawn anew.
    let again = NewCarriers { call: first.call, ..new(&CARDS[..2], CarrierStage::Blank) };
    assert_eq!(register(&world, &again).unwrap(), rows);
    let known = register(&world, &new(&[CARDS[2], CARDS[1]], CarrierStage::Blank)).unwrap_err();
    assert_eq!(known.code(), "carrier-known");
    assert_eq!(sizes(&*world.store), before);
    assert_eq!(listed(&world, None, HERE), ids, "none of those");
    let limited = CarrierFilter::default();
    let page = world.store.registered_carriers(&limited, None, 1).unwrap();
    assert_eq!((page.rows.len(), page.next.is_some()), (1, true));
    let rest = world.store.registered_carriers(&limited, page.next, 10).unwrap();
    assert_eq!((rest.rows[0].id, rest.next), (ids[1], None));
    assert_eq!(listed(&world, None, "5565594230"), []);
    // By its number it is found as any other.
    let card = IndexTerm::new(IndexTag::CardNumber, CARDS[0]);
    let found = world.store.carrier_of_card(&card, Protected::Unseen).unwrap().unwrap();
    assert_eq!(found.id, ids[0]);
}

pub(crate) fn a_card_is_moved_on_what_it_rests_on(backend: &dyn Backend) {
    use CarrierStage::{Cancelled, Deregistered, Ordered, Sent};
    let world = World::new(backend);
    let rows = register(&world, &new(&CARDS, Ordered)).unwrap();
    let [one, two, three] = [rows[0].id, rows[1].id, rows[2].id];

    move_on(&world, one, Ordered, Sent).unwrap();
    let before = sizes(&*world.store);
    move_on(&world, one, Ordered, Sent).unwrap();
    let moved = move_on(&world, one, Ordered, Cancelled).unwrap_err();
    assert_eq!((moved.code(), sizes(&*world.store)), ("carrier-moved", before));
    move_on(&world, one, Sent, Deregistered).unwrap();
    assert_eq!(listed(&world, Some(Ordered), HERE), [two, three]);
    assert_eq!(listed(&world, Some(Deregistered), HERE), [one]);
    let unknown = move_on(&world, CarrierId::from_bytes(fresh()), Ordered, Sent).unwrap_err();
    assert_eq!(unknown.code(), "carrier-moved");
    // Revoked, it goes nowhere, and is listed at no stage of before.
    let (to, alone) = (BoundTo::Carrier(two), None);
    let wish = RevocationWish::Revoke(Some(RevocationReason::KeyCompromise));
    let change = BoundChange { to, wish, requested_at: None, alone };
    let leaf = Box::new(|_: &[_]| audit(EventCode::CertificateRevoked));
    assert_eq!(world.store.revoke_bound(&change, leaf, at(6)).unwrap(), []);
    let refused = move_on(&world, two, Ordered, Sent).unwrap_err();
    assert_eq!(refused.code(), "carrier-revoked");
    assert_eq!(listed(&world, Some(Ordered), HERE), [three]);
}

pub(crate) fn nothing_is_issued_onto_a_card_that_is_not_there_to_be_activated(
    backend: &dyn Backend,
) {
    use CarrierStage::{Blank, Deregistered, Ordered, Sent};
    let world = World::new(backend);
    let card = register(&world, &new(&CARDS[..1], Ordered)).unwrap().remove(0).id;
    let issue = |number: &str, family: &str| {
        let family = family.to_owned();
        let wanted = Binding { family, ..binding(Some(number), PERSON, HERE) };
        try_issue(&world, "authentication", wanted, 6)
    };
    let stage = || world.store.carrier(card, Protected::Seen).unwrap().unwrap().stage;

    assert_eq!(issue(CARDS[0], "nls-card-2023").unwrap_err().code(), "carrier-stage");
    move_on(&world, card, Ordered, Sent).unwrap();
    assert_eq!(issue(CARDS[0], "another-2023").unwrap_err().code(), "carrier-family");
    assert_eq!(stage(), Some(Sent));
    issue(CARDS[0], "nls-card-2023").unwrap();
    assert_eq!(stage(), None, "it stands where its eIDs do");
    assert_eq!(move_on(&world, card, Sent, Deregistered).unwrap_err().code(), "carrier-moved");
    let blank = register(&world, &new(&CARDS[1..2], Blank)).unwrap().remove(0).id;
    move_on(&world, blank, Blank, Deregistered).unwrap();
    assert_eq!(issue(CARDS[1], "nls-card-2023").unwrap_err().code(), "carrier-stage");
    // What nobody registered comes with its certificate, as before.
    issue(CARDS[2], "nls-card-2023").unwrap();
    assert_eq!(listed(&world, None, HERE), [card, blank]);
}
