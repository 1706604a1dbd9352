//! ISS-17: what an order replaces ends with the step of its rule, in one act, or at its second; and nobody has more cards than he may.

use ca::audit::EventCode;
use ca::carrier::CarrierKind;
use ca::key_holder::HolderName;
use ca::life::{OrderAct, OrderStage};
use ca::revocation::BusinessEvent;
use ca::role::Protected;
use ca::routine::TermKind;
use ca::steps::Struck;
use status::{CertificateState, RevocationReason};
use store::{
    Alone, BoundTo, CarrierLimit, CertificateId, CertificateLookup, ChangedOf, EidOrderChange,
    EidOrderFilter, EidOrderHolder, EidOrderReplaces, EidOrderStrike, IndexTag, IndexTerm, Log,
    OrderId,
};

use super::Backend;
use super::bound::{binding, issue_on, record};
use super::eid_orders::{approved, code, intend, states, step, take};
use super::logs::head_of;
use super::world::{PERSON, World, at, audit, followed, fresh, node, sizes, verified};

const OLD: &str = "9752269874512325436";
const NEW: &str = "9752269874512325444";
const HERE: &str = "2321000131";

fn strike(what: BoundTo, event: BusinessEvent, struck: Struck) -> Option<EidOrderStrike> {
    Some(EidOrderStrike { what, event, struck })
}

/// The first step of a new order.
fn ordered(strike: Option<EidOrderStrike>) -> EidOrderChange {
    let order = OrderId::from_bytes(fresh());
    EidOrderChange { strike, ..step(order, 0, OrderAct::Order, OrderStage::Ordered) }
}

/// How a certificate stands, by its row and by the published log.
fn state(world: &World, id: CertificateId) -> (CertificateState, Option<RevocationReason>) {
    let row = world.store.certificate(&CertificateLookup::Id(id)).unwrap().unwrap().row;
    let index = followed(&*world.store);
    let logged = index.lookup(index.issuer(&row.issuer).unwrap(), &row.serial).unwrap();
    assert_eq!(logged.state, row.status.status.state, "{id}");
    (row.status.status.state, row.status.status.reason)
}

fn replaces(world: &World, order: OrderId) -> EidOrderReplaces {
    world.store.eid_order(order).unwrap().unwrap().row.replaces.unwrap()
}

pub(crate) fn what_an_order_replaces_ends_in_the_act_of_its_step(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, eid) = issue_on(&world, OLD, PERSON, HERE);
    let (extra, _) = issue_on(&world, OLD, PERSON, "5565594230");
    let what = BoundTo::Carrier(eid.carrier);
    let first = ordered(strike(what, BusinessEvent::Replaced, Struck::Spared));
    take(&world, &first, at(6)).unwrap();
    assert_eq!(state(&world, old).0, CertificateState::Issued);
    let waits = EidOrderReplaces { what, event: BusinessEvent::Replaced, due: None, done: None };
    assert_eq!(replaces(&world, first.order), waits);

    let last = EidOrderChange {
        strike: strike(what, BusinessEvent::Replaced, Struck::Now),
        ..step(first.order, 1, OrderAct::Activate, OrderStage::Completed)
    };
    // A step that is not taken ends nothing: on another number of steps, and past what the client may alone.
    let before = sizes(&*world.store);
    let stale = EidOrderChange { rests_on: 7, ..last.clone() };
    assert_eq!(code(take(&world, &stale, at(7))), "order-moved");
    let alone = Some(Alone { client: "portal".to_owned(), most: 1 });
    let spent = EidOrderChange { alone, ..last.clone() };
    assert_eq!(code(take(&world, &spent, at(7))), "revocations-alone-spent");
    assert_eq!((sizes(&*world.store), state(&world, old).0), (before, CertificateState::Issued));

    let changed = take(&world, &last, at(8)).unwrap();

    let told: Vec<_> = changed.iter().map(|one| (one.of, one.certificate)).collect();
    assert_eq!(told, [(ChangedOf::Replaced, old), (ChangedOf::Replaced, extra)]);
    let superseded = (CertificateState::Revoked, Some(RevocationReason::Superseded));
    assert_eq!([state(&world, old), state(&world, extra)], [superseded; 2]);
    let carrier = world.store.carrier(eid.carrier, Protected::Seen).unwrap().unwrap();
    assert_eq!(carrier.revoked, Some(at(8)), "nothing more comes onto it");
    let done = EidOrderReplaces { done: Some(at(8)), ..waits };
    assert_eq!(replaces(&world, first.order), done);
    assert_eq!(take(&world, &last, at(9)).unwrap(), [], "the same call");
}

pub(crate) fn what_is_replaced_later_is_listed_and_ends_at_its_second(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, eid) = issue_on(&world, OLD, PERSON, HERE);
    let (kept, renamed) = issue_on(&world, NEW, PERSON, HERE);
    let what = BoundTo::Eid(eid.id);
    let named = ordered(strike(what, BusinessEvent::NameChanged, Struck::At(at(500))));
    take(&world, &named, at(6)).unwrap();
    let listed = |until: u64| {
        let strikes_at = Some(at(until));
        let filter = EidOrderFilter { strikes_at, ..EidOrderFilter::default() };
        let page = world.store.eid_orders(&filter, None, 10).unwrap();
        page.rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let due = |order, now| {
        let leaf = Box::new(|_: &[_]| vec![audit(EventCode::CertificateRevoked)]);
        world.store.strike_replaced(order, leaf, at(now)).unwrap().len()
    };

    assert_eq!((listed(499), listed(500)), (vec![], vec![named.order]));
    assert_eq!((due(named.order, 499), state(&world, old).0), (0, CertificateState::Issued));
    // That the order itself is over keeps no former name.
    let over = step(named.order, 1, OrderAct::Expire, OrderStage::Expired);
    take(&world, &over, at(400)).unwrap();
    assert_eq!(due(named.order, 500), 1);
    let changed = (CertificateState::Revoked, Some(RevocationReason::AffiliationChanged));
    assert_eq!(state(&world, old), changed);
    let ended = replaces(&world, named.order);
    assert_eq!((ended.due, ended.done), (None, Some(at(500))));
    let before = sizes(&*world.store);
    assert_eq!((due(named.order, 600), listed(600)), (0, vec![]));
    assert_eq!(sizes(&*world.store), before);

    // Who takes the order back leaves the old one as it was.
    let what = BoundTo::Eid(renamed.id);
    let other = ordered(strike(what, BusinessEvent::NameChanged, Struck::At(at(700))));
    take(&world, &other, at(601)).unwrap();
    let cancel = EidOrderChange {
        strike: strike(what, BusinessEvent::NameChanged, Struck::Spared),
        ..step(other.order, 1, OrderAct::Cancel, OrderStage::Cancelled)
    };
    take(&world, &cancel, at(602)).unwrap();
    assert_eq!((due(other.order, 800), state(&world, kept).0), (0, CertificateState::Issued));
}

/// §2.2: a backup from before an order was taken back ends nothing by the deadlines of that, whichever log tells that it is old; a step that somebody takes
/// goes on with it.
pub(crate) fn the_orders_of_a_restored_database_are_parked(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, eid) = issue_on(&world, OLD, PERSON, HERE);
    let (_, other) = issue_on(&world, NEW, PERSON, HERE);
    let named = |eid| strike(BoundTo::Eid(eid), BusinessEvent::NameChanged, Struck::At(at(500)));
    let due = Some((TermKind::Unused, at(300)));
    let first = EidOrderChange { due, ..ordered(named(eid.id)) };
    take(&world, &first, at(6)).unwrap();
    let over = EidOrderChange { due, ..ordered(named(other.id)) };
    take(&world, &over, at(6)).unwrap();
    take(&world, &step(over.order, 1, OrderAct::Expire, OrderStage::Expired), at(7)).unwrap();
    let older = backend.backup();
    // In the time that is lost it is taken back; and a certificate is issued.
    let cancel = EidOrderChange {
        strike: strike(BoundTo::Eid(eid.id), BusinessEvent::NameChanged, Struck::Spared),
        ..step(first.order, 1, OrderAct::Cancel, OrderStage::Cancelled)
    };
    take(&world, &cancel, at(8)).unwrap();
    let before_issuing = verified(&*world.store, Log::Audit);
    world.issue(at(9));
    let restored = world.over(older.open(), node("a", 2));
    let have = sizes(&*restored.store);
    let since = |entries: &[Vec<u8>], from: u64| entries[usize::try_from(from).unwrap()..].to_vec();
    let parked = || {
        let parked = Some(true);
        let filter = EidOrderFilter { parked, ..EidOrderFilter::default() };
        let rows = restored.store.eid_orders(&filter, None, 10).unwrap().rows;
        assert_eq!(restored.store.parked_orders().unwrap(), u64::try_from(rows.len()).unwrap());
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let strikes = |now| {
        let leaf = Box::new(|_: &[_]| vec![audit(EventCode::CertificateRevoked)]);
        restored.store.strike_replaced(first.order, leaf, at(now)).unwrap().len()
    };
    assert_eq!(parked(), []);

    let missing = since(&before_issuing, have.1);
    restored.store.take_over_audit(&head_of(&before_issuing), &missing).unwrap();

    assert_eq!(parked(), [first.order], "what is over does not change any more");
    let left = EidOrderFilter { parked: Some(false), ..EidOrderFilter::default() };
    let left = EidOrderFilter { due_at: Some(at(900)), ..left };
    assert_eq!(restored.store.eid_orders(&left, None, 10).unwrap().rows, []);
    assert_eq!((strikes(900), state(&restored, old).0), (0, CertificateState::Issued));
    let go_on = step(first.order, 1, OrderAct::Identify, OrderStage::Identified);
    take(&restored, &go_on, at(10)).unwrap();
    assert_eq!(
        (parked(), restored.store.eid_order(first.order).unwrap().unwrap().row.parked),
        (vec![], None)
    );

    let entries = verified(&*world.store, Log::Status);
    let (head, missing) = (head_of(&entries), since(&entries, have.0));
    let recovered = audit(EventCode::LogRecovered);
    restored
        .store
        .take_over_published(&head, &mut missing.into_iter(), &recovered, at(11))
        .unwrap();
    assert_eq!(parked(), [first.order]);
    assert_eq!(strikes(900), 0);
    let cancel = EidOrderChange { call: OrderId::from_bytes(fresh()), rests_on: 2, ..cancel };
    take(&restored, &cancel, at(12)).unwrap();
    assert_eq!(
        (parked(), strikes(900), state(&restored, old).0),
        (vec![], 0, CertificateState::Issued)
    );
}

/// ISS-17: what ends with the hand-over ends for a card that can be taken into use, and for no other.
pub(crate) fn a_card_whose_eid_is_revoked_is_handed_over_to_nobody(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, eid) = issue_on(&world, OLD, PERSON, HERE);
    let order = approved(&world);
    let (pending, recorded) = intend(&world, order, "authentication").unwrap();
    let new = world.record_issued(pending, &recorded, at(6)).unwrap().certificate;
    let delivery = EidOrderChange {
        strike: strike(BoundTo::Eid(eid.id), BusinessEvent::Damaged, Struck::Now),
        ..step(order, 3, OrderAct::Deliver, OrderStage::Delivered)
    };
    world.revoke(new, at(7));

    assert_eq!(code(take(&world, &delivery, at(8))), "order-eid-over");
    assert_eq!(state(&world, old).0, CertificateState::Issued);
    assert_eq!(world.store.eid_order(order).unwrap().unwrap().row.steps, 3);
}

/// An update on the same card: what is new may have joined the eID that ends.
pub(crate) fn what_the_order_itself_issued_is_spared(backend: &dyn Backend) {
    let world = World::new(backend);
    let (old, eid) = issue_on(&world, OLD, PERSON, HERE);
    let order = approved(&world);
    let (pending, recorded) = intend(&world, order, "signature").unwrap();
    let bound = binding(Some(OLD), PERSON, HERE);
    let new = record(&world, pending, &recorded, "signature", bound, 7).unwrap();
    let what = BoundTo::Eid(eid.id);
    let joined = world.store.bound_certificates(what).unwrap();
    assert_eq!(joined.iter().map(|(_, row)| row.id).collect::<Vec<_>>(), [old, new]);

    let last = EidOrderChange {
        strike: strike(what, BusinessEvent::Updated, Struck::Now),
        ..step(order, 3, OrderAct::Activate, OrderStage::Completed)
    };
    take(&world, &last, at(8)).unwrap();

    assert_eq!(state(&world, old).0, CertificateState::Revoked);
    assert_eq!(states(&world, order), [CertificateState::Issued]);
}

pub(crate) fn a_holder_has_so_many_carriers_of_a_kind_in_one_organisation(backend: &dyn Backend) {
    let world = World::new(backend);
    let (_, eid) = issue_on(&world, OLD, PERSON, HERE);
    let wanted = |number: &str, strike| {
        let mark = Some(IndexTerm::new(IndexTag::CardNumber, number));
        let limit = Some(CarrierLimit { kind: CarrierKind::OrdinaryCard, most: 1, mark });
        let person = Some(HolderName::number(PERSON));
        let holder = EidOrderHolder { person, hsa_id: None };
        EidOrderChange { holder, limit, ..ordered(strike) }
    };
    let orders = || world.store.eid_orders(&EidOrderFilter::default(), None, 10).unwrap().rows;
    let other = |organisation: &str, person: &str, kind| {
        let change = wanted(NEW, None);
        let limit = change.limit.clone().map(|limit| CarrierLimit { kind, ..limit });
        let person = Some(HolderName::number(person));
        let holder = EidOrderHolder { person, hsa_id: None };
        let organisation = organisation.to_owned();
        take(&world, &EidOrderChange { organisation, holder, limit, ..change }, at(6)).unwrap();
    };

    assert_eq!(code(take(&world, &wanted(NEW, None), at(6))), "order-enough-carriers");
    assert_eq!(orders().len(), 0, "nothing of it is there");
    take(&world, &wanted(OLD, None), at(6)).unwrap();
    other("5565594230", PERSON, CarrierKind::OrdinaryCard);
    other(HERE, "191003229802", CarrierKind::OrdinaryCard);
    other(HERE, PERSON, CarrierKind::ReserveCard);

    // The one that is replaced does not count, while it waits for its end either: neither by its carrier nor by its eID.
    let what = BoundTo::Carrier(eid.carrier);
    let named = strike(BoundTo::Eid(eid.id), BusinessEvent::NameChanged, Struck::Spared);
    take(&world, &wanted(NEW, named), at(6)).unwrap();
    assert_eq!(code(take(&world, &wanted(NEW, None), at(6))), "order-enough-carriers");
    let later = strike(what, BusinessEvent::Replaced, Struck::At(at(900)));
    let replaced = wanted(NEW, later);
    take(&world, &replaced, at(6)).unwrap();
    take(&world, &wanted(NEW, None), at(6)).unwrap();

    // Taken into use, the step is held against what came into use meanwhile.
    issue_on(&world, "9752269874512325451", PERSON, HERE);
    let last = EidOrderChange {
        limit: replaced.limit.clone(),
        holder: replaced.holder.clone(),
        ..step(replaced.order, 1, OrderAct::Activate, OrderStage::Completed)
    };
    assert_eq!(code(take(&world, &last, at(6))), "order-enough-carriers");
    assert_eq!(world.store.eid_order(replaced.order).unwrap().unwrap().row.steps, 1);
}
