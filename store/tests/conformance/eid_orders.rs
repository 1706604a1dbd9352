//! ISS-14, ISS-15, API-02: orders of several steps are kept step by step, each with what it does to certificates.

use ca::audit::EventCode;
use ca::key_holder::HolderName;
use ca::life::{OrderAct, OrderStage};
use ca::protection::ProtectionClass;
use ca::role::Protected;
use ca::routine::TermKind;
use status::{CertificateState, RevocationReason};
use store::{
    BegunOrder, CertificateId, CertificateLookup, EidOrderChange, EidOrderChanged, EidOrderFilter,
    EidOrderHolder, Log, NewOrder, OrderId, StatusAct, StoreError, Subject, certificate_key,
};
use x509::signing::{Pending, Recorded};
use x509::time::UnixTime;

use super::Backend;
use super::logs::head_of;
use super::world::{PERSON, World, at, audit, followed, fresh, node, serial, sizes, verified};
use super::{keys, protection};

const REVOKE: StatusAct =
    StatusAct::Revoke { reason: Some(RevocationReason::CessationOfOperation), invalidity: None };

/// A step of an order that has had `rests_on`.
pub(crate) fn step(
    order: OrderId,
    rests_on: u32,
    act: OrderAct,
    stage: OrderStage,
) -> EidOrderChange {
    EidOrderChange {
        order,
        call: OrderId::from_bytes(fresh()),
        rests_on,
        organisation: "2321000131".to_owned(),
        holder: EidOrderHolder::default(),
        routine: "office-visit".to_owned(),
        act,
        stage,
        client: "portal".to_owned(),
        said: format!("step {rests_on} of {PERSON}").into_bytes(),
        subject: Subject::Holder(PERSON.to_owned()),
        due: None,
        status: None,
        alone: None,
        strike: None,
        limit: None,
    }
}

pub(crate) fn take(
    world: &World,
    change: &EidOrderChange,
    now: UnixTime,
) -> Result<Vec<EidOrderChanged>, StoreError> {
    world.store.take_eid_order_step(change, Box::new(|_| vec![audit(EventCode::OrderStep)]), now)
}

/// An order that is approved, with the deadline of its activation.
pub(crate) fn approved(world: &World) -> OrderId {
    let order = OrderId::from_bytes(fresh());
    let due = Some((TermKind::Activation, at(500)));
    for change in [
        step(order, 0, OrderAct::Order, OrderStage::Ordered),
        step(order, 1, OrderAct::Identify, OrderStage::Identified),
        EidOrderChange { due, ..step(order, 2, OrderAct::Approve, OrderStage::Approved) },
    ] {
        take(world, &change, at(5)).unwrap();
    }
    order
}

/// What is about to be signed for an order.
pub(crate) fn intend(
    world: &World,
    order: OrderId,
    profile: &str,
) -> Result<(Pending, Recorded), StoreError> {
    let new = NewOrder { key: certificate_key(order, profile), ..world.new_order("") };
    assert_eq!(world.store.begin_order(&new, at(6)).unwrap(), BegunOrder::New);
    let serial = serial();
    let pending = world.pending(serial);
    let recorded = world.record(new.id, serial, &pending, at(6))?;
    Ok((pending, recorded))
}

fn issue(world: &World, order: OrderId, profile: &str) -> CertificateId {
    let (pending, recorded) = intend(world, order, profile).unwrap();
    world.record_issued(pending, &recorded, at(6)).unwrap().certificate
}

pub(crate) fn states(world: &World, order: OrderId) -> Vec<CertificateState> {
    let rows = world.store.eid_order_certificates(order).unwrap();
    rows.iter().map(|row| row.status.status.state).collect()
}

pub(crate) fn code(refused: Result<Vec<EidOrderChanged>, StoreError>) -> &'static str {
    refused.unwrap_err().code()
}

pub(crate) fn an_order_is_kept_step_by_step(backend: &dyn Backend) {
    let world = World::new(backend);
    let before = sizes(&*world.store);
    let order = approved(&world);

    assert_eq!(sizes(&*world.store), (before.0, before.1 + 3), "a leaf each");
    drop(world);
    let world = World::without_import(backend.open());
    let kept = world.store.eid_order(order).unwrap().unwrap();
    assert_eq!((kept.row.stage, kept.row.steps), (OrderStage::Approved, 3));
    assert_eq!((kept.row.created, kept.row.updated), (at(5), at(5)));
    let acts: Vec<_> = kept.steps.iter().map(|step| (step.number, step.act, step.stage)).collect();
    assert_eq!(
        acts,
        [
            (1, OrderAct::Order, OrderStage::Ordered),
            (2, OrderAct::Identify, OrderStage::Identified),
            (3, OrderAct::Approve, OrderStage::Approved)
        ]
    );
    assert_eq!(kept.steps[1].said.as_deref(), Some(format!("step 1 of {PERSON}").as_bytes()));
    assert_eq!(world.store.eid_order(OrderId::from_bytes(fresh())).unwrap(), None);
}

/// API-02: also where two calls read the order at the same stage, on two nodes.
pub(crate) fn a_step_is_taken_once_and_on_what_it_rests_on(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = approved(&world);
    let before = sizes(&*world.store);
    let next = step(order, 3, OrderAct::TakeReceipt, OrderStage::Receipted);

    take(&world, &next, at(7)).unwrap();
    assert_eq!(take(&world, &next, at(8)).unwrap(), [], "the same call");

    assert_eq!(sizes(&*world.store), (before.0, before.1 + 1));
    let other = step(order, 3, OrderAct::Cancel, OrderStage::Cancelled);
    assert_eq!(code(take(&world, &other, at(8))), "order-moved");
    let unknown = step(OrderId::from_bytes(fresh()), 1, OrderAct::Cancel, OrderStage::Cancelled);
    assert_eq!(code(take(&world, &unknown, at(8))), "order-not-known");
    assert_eq!(sizes(&*world.store), (before.0, before.1 + 1));
}

/// Promise 3: the certificates of one order never come apart.
pub(crate) fn certificates_move_with_the_step(backend: &dyn Backend) {
    let world = World::new(backend);
    let (used, ended) = (approved(&world), approved(&world));
    for order in [used, ended] {
        issue(&world, order, "authentication");
        issue(&world, order, "signature");
        take(&world, &step(order, 3, OrderAct::Issue, OrderStage::Issued), at(7)).unwrap();
        take(&world, &step(order, 4, OrderAct::Deliver, OrderStage::Delivered), at(7)).unwrap();
    }
    let activation = EidOrderChange {
        status: Some(StatusAct::Activate),
        ..step(used, 5, OrderAct::Activate, OrderStage::Completed)
    };
    let revocation = |order, rests_on| EidOrderChange {
        status: Some(REVOKE),
        ..step(order, rests_on, OrderAct::Expire, OrderStage::Expired)
    };

    assert_eq!(take(&world, &activation, at(8)).unwrap().len(), 2);
    assert_eq!(take(&world, &revocation(ended, 5), at(8)).unwrap().len(), 2);

    assert_eq!(states(&world, used), [CertificateState::Activated; 2]);
    assert_eq!(states(&world, ended), [CertificateState::Revoked; 2]);
    // What one of them does not take, none of them gets, and the step is not taken.
    let half = approved(&world);
    let revoked = issue(&world, half, "authentication");
    issue(&world, half, "signature");
    world.revoke(revoked, at(8));
    let activation = EidOrderChange {
        status: Some(StatusAct::Activate),
        ..step(half, 3, OrderAct::Activate, OrderStage::Completed)
    };
    assert_eq!(code(take(&world, &activation, at(9))), "transition-illegal");
    assert_eq!(states(&world, half), [CertificateState::Revoked, CertificateState::Issued]);
    assert_eq!(world.store.eid_order(half).unwrap().unwrap().row.steps, 3);
    assert_eq!(take(&world, &revocation(half, 3), at(9)).unwrap().len(), 1);
}

pub(crate) fn an_order_ends_with_what_is_being_signed_for_it(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = approved(&world);
    let cancel = EidOrderChange {
        status: Some(REVOKE),
        ..step(order, 3, OrderAct::Cancel, OrderStage::Cancelled)
    };
    let (pending, recorded) = intend(&world, order, "authentication").unwrap();

    assert_eq!(code(take(&world, &cancel, at(7))), "order-signing");
    world.record_issued(pending, &recorded, at(7)).unwrap();
    assert_eq!(take(&world, &cancel, at(8)).unwrap().len(), 1);

    // A call that read it before cannot begin another certificate any more.
    let refused = intend(&world, order, "signature").map(drop).unwrap_err();
    assert_eq!(refused.code(), "order-closed");
    assert_eq!(states(&world, order), [CertificateState::Revoked]);
}

/// §2.2: what an order had issued after the backup is revoked with it, also where its serial number is all that is left.
pub(crate) fn an_order_ends_with_what_was_lost_of_it(backend: &dyn Backend) {
    let world = World::new(backend);
    let order = approved(&world);
    issue(&world, order, "authentication");
    let (pending, recorded) = intend(&world, order, "signature").unwrap();
    let older = backend.backup();
    let lost = world.record_issued(pending, &recorded, at(7)).unwrap().certificate;
    let lost = world.store.certificate(&CertificateLookup::Id(lost)).unwrap().unwrap().row;
    let entries = verified(&*world.store, Log::Status);
    let restored = world.over(older.open(), node("a", 2));
    let have = usize::try_from(sizes(&*restored.store).0).unwrap();
    let recovered = audit(EventCode::LogRecovered);
    let mut missing = entries[have..].iter().cloned();
    let head = head_of(&entries);
    restored.store.take_over_published(&head, &mut missing, &recovered, at(8)).unwrap();
    let activation = EidOrderChange {
        status: Some(StatusAct::Activate),
        ..step(order, 3, OrderAct::Activate, OrderStage::Completed)
    };
    let cancel = EidOrderChange {
        status: Some(REVOKE),
        ..step(order, 3, OrderAct::Cancel, OrderStage::Cancelled)
    };

    assert_eq!(code(take(&restored, &activation, at(9))), "certificate-lost");
    let changed = take(&restored, &cancel, at(9)).unwrap();

    let ids: Vec<_> = changed.iter().map(|one| one.certificate).collect();
    assert_eq!((ids.len(), ids[1]), (2, lost.id));
    let index = followed(&*restored.store);
    let issuer = index.issuer(&lost.issuer).unwrap();
    let now = index.lookup(issuer, &lost.serial).unwrap().state;
    assert_eq!(now, CertificateState::Revoked);
    assert_eq!(states(&restored, order), [CertificateState::Revoked]);
}

pub(crate) fn orders_are_listed_by_what_is_due(backend: &dyn Backend) {
    let world = World::new(backend);
    let due = [approved(&world), approved(&world), approved(&world)];
    let order = OrderId::from_bytes(fresh());
    take(&world, &step(order, 0, OrderAct::Order, OrderStage::Ordered), at(5)).unwrap();
    let listed = |due_at: Option<u64>, organisation: Option<&str>, after, limit| {
        let organisation = organisation.map(str::to_owned);
        let filter =
            EidOrderFilter { organisation, due_at: due_at.map(at), ..EidOrderFilter::default() };
        let page = world.store.eid_orders(&filter, after, limit).unwrap();
        (page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), page.next)
    };

    assert_eq!(listed(Some(499), None, None, 10).0, []);
    assert_eq!(listed(Some(500), None, None, 10).0, due);
    let (first, next) = listed(Some(500), None, None, 2);
    assert_eq!(first, due[..2]);
    assert_eq!(listed(Some(500), None, next, 2), (vec![due[2]], None));
    assert_eq!(listed(None, Some("2321000131"), None, 10).0.len(), 4);
    assert_eq!(listed(None, Some("5565594230"), None, 10).0, []);
    let row = world.store.eid_order(due[0]).unwrap().unwrap().row;
    assert_eq!(row.due, Some((TermKind::Activation, at(500))));
}

/// DAT-01: a page is cut of what is seen; where there is a gap, somebody would know why.
pub(crate) fn orders_of_protected_persons_are_passed_over(backend: &dyn Backend) {
    let world = World::new(backend);
    // That the HSA-id is his, an order has said.
    let spki = keys::key();
    keys::issue(&world, keys::ordered(spki, "TST2321000016-1002", PERSON)).unwrap();
    let made = |person: Option<&str>, hsa_id: Option<&str>| {
        let order = OrderId::from_bytes(fresh());
        let name = |text: &str| HolderName::number(text);
        let holder = EidOrderHolder { person: person.map(name), hsa_id: hsa_id.map(name) };
        let change =
            EidOrderChange { holder, ..step(order, 0, OrderAct::Order, OrderStage::Ordered) };
        take(&world, &change, at(5)).unwrap();
        order
    };
    let protected = made(Some(PERSON), None);
    let by_hsa_id = made(None, Some("TST2321000016-1002"));
    let other = made(Some("191003229802"), Some("TST2321000016-1003"));
    let listed = |protected: Protected| {
        let filter = EidOrderFilter { protected, ..EidOrderFilter::default() };
        let page = world.store.eid_orders(&filter, None, 1).unwrap();
        (page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), page.next.is_some())
    };
    assert_eq!(listed(Protected::Unseen), (vec![protected], true));

    protection::put(&world, PERSON, Some(ProtectionClass::Marked), 6);

    assert_eq!(listed(Protected::Unseen), (vec![other], false));
    assert_eq!(listed(Protected::Seen), (vec![protected], true));
    protection::put(&world, PERSON, None, 7);
    assert_eq!(listed(Protected::Unseen), (vec![protected], true));
    let all = world.store.eid_orders(&EidOrderFilter::default(), None, 10).unwrap();
    assert_eq!(all.rows[1].id, by_hsa_id);
}

/// DAT-06: with the holder what was said of him goes, and what calls were answered.
pub(crate) fn what_was_said_is_forgotten_with_the_holder(backend: &dyn Backend) {
    let world = World::new(backend);
    let new = world.new_order("a step");
    world.store.begin_order(&new, at(4)).unwrap();
    let order = OrderId::from_bytes(fresh());
    let change =
        EidOrderChange { call: new.id, ..step(order, 0, OrderAct::Order, OrderStage::Ordered) };
    take(&world, &change, at(5)).unwrap();
    let holder = Subject::Holder(PERSON.to_owned());

    assert!(world.store.forget(&holder, &audit(EventCode::SubjectErased), at(6)).unwrap());

    let kept = world.store.eid_order(order).unwrap().unwrap();
    assert_eq!((kept.row.stage, kept.steps[0].said.clone()), (OrderStage::Ordered, None));
    let call = Subject::Order(new.id);
    let again = world.store.forget(&call, &audit(EventCode::SubjectErased), at(7)).unwrap();
    assert!(!again, "the key of the call went with him");
}
