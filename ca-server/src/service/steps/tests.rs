//! ISS-15, API-04, DAT-07: orders whose deadline is over, of other organisations, and of those who have been forgotten. The steps themselves are in the refusals, where an
//! API issues for persons.

mod year;

use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ca::audit::EventCode;
use ca::eid::EidState;
use ca::key_holder::HolderName;
use ca::protection::ProtectionClass;
use ledger::{Frontier, leaf_hash};
use status::{Answer, Position};
use store::{
    Log, OrganisationId, ProtectionChange, PublishedHead, StatusChange, StatusTarget, Store,
    StoredResponse,
};
use x509::crl::ReasonCode;
use x509::key::SpkiHash;
use x509::request::CertificationRequest;

use super::*;
use crate::clock::Clock;
use crate::denied::Warning;
use crate::service::order::position_in;
use crate::service::testing::{Key, World};

fn prepared() -> api::EidOrderRequest {
    serde_json::from_value(json!({
        "routine": "office-visit",
        "role": "id-administrator",
        "holder": "holder-7",
        "identity": { "kind": "personnummer", "number": "191212121212" },
        "carrier": { "family": "nls-card-2023", "card_number": "9752269874512325436" },
        "organisations": { "user": { "name": "Sigill Test", "number": "2321000131" } },
        "profiles": ["person-hsaid-3-authentication"],
    }))
    .unwrap()
}

fn known(id: OrderId) -> Known {
    Known::new(id, prepared(), ActorId::new("a").unwrap())
}

/// Keeps an order that has been made and whose deadline is over then.
pub(crate) fn ordered(world: &World, number: u8, due: UnixTime) -> OrderId {
    ordered_as(world, number, due, &prepared())
}

fn ordered_as(
    world: &World,
    number: u8,
    due: UnixTime,
    prepared: &api::EidOrderRequest,
) -> OrderId {
    let id = OrderId::from_bytes([number; 16]);
    take(world, &made(world, id, (OrderStage::Ordered, due), prepared));
    id
}

/// An order that may issue, and the step that made it.
fn approved(world: &World) -> EidOrderChange {
    let id = OrderId::from_bytes([1; 16]);
    let change = made(world, id, (OrderStage::Approved, UnixTime::LAST), &prepared());
    take(world, &change);
    change
}

/// The step that makes it.
fn made(
    world: &World,
    id: OrderId,
    (stage, due): (OrderStage, UnixTime),
    prepared: &api::EidOrderRequest,
) -> EidOrderChange {
    let said = Said::new(Some("a".to_owned()), None, prepared.clone().kept().unwrap());
    let known = Known::new(id, prepared.clone(), ActorId::new("a").unwrap());
    EidOrderChange {
        order: id,
        call: id,
        rests_on: 0,
        organisation: "2321000131".to_owned(),
        holder: world.service.holder_in(prepared),
        routine: "office-visit".to_owned(),
        act: OrderAct::Order,
        stage,
        client: "portal".to_owned(),
        said: said.written().unwrap(),
        subject: known.subject(),
        due: Some((TermKind::Unused, due)),
        status: None,
        alone: None,
        strike: None,
        limit: None,
    }
}

fn take(world: &World, change: &EidOrderChange) {
    let of = (change.order, change.subject.clone());
    let by = (world.service.system(), None);
    let audit = audit_of(of, (change.act, change.stage), by, json!({}));
    world.service.store().take_eid_order_step(change, audit, world.now()).unwrap();
}

pub(crate) fn stage(store: &dyn Store, id: OrderId) -> OrderStage {
    store.eid_order(id).unwrap().unwrap().row.stage
}

#[test]
fn what_is_over_is_ended_and_nothing_before_its_time() {
    let world = World::new();
    let now = world.now();
    let later = |days: u64| now.checked_add(Duration::from_secs(days * 86_400)).unwrap();
    let (first, second) = (ordered(&world, 1, later(1)), ordered(&world, 2, later(2)));

    world.service.end_overdue_orders(&AtomicBool::new(false)).unwrap();
    let stages = || [first, second].map(|id| stage(world.service.store(), id));
    assert_eq!(stages(), [OrderStage::Ordered, OrderStage::Ordered]);
    let (stops, goes_on) = (AtomicBool::new(true), AtomicBool::new(false));
    world.service.end_due_orders(later(1), &stops).unwrap();
    assert_eq!(stages()[0], OrderStage::Ordered, "it waits for the next start");
    world.service.end_due_orders(later(1), &goes_on).unwrap();
    world.service.end_due_orders(later(1), &goes_on).unwrap();

    assert_eq!(stages(), [OrderStage::Expired, OrderStage::Ordered]);
    assert_eq!(world.leaves(EventCode::OrderClosed), 1);
    assert_eq!(world.last_payload(EventCode::OrderClosed)["event"], "not-activated");
    let shown = world.service.eid_order(&world.caller(), &first.to_string()).unwrap();
    assert_eq!((shown.stage.as_str(), shown.stage_sv.as_str()), ("expired", "Förfallen"));
    let last = shown.steps.last().unwrap();
    assert_eq!((last.client.as_str(), last.by.as_deref()), ("sigill-ca", None));
    assert!(shown.due.is_none() && shown.certificates.is_empty());
}

/// API-02: who repeats a call waits for what its answer rests on, as the first did.
#[test]
fn an_answer_says_where_it_stands_in_the_log() {
    let world = World::new();
    let id = ordered(&world, 1, world.now());
    let mut shown = world.service.eid_order(&world.caller(), &id.to_string()).unwrap();
    assert_eq!(shown.position, None, "it has no certificate");
    let position = Position { epoch: 1, index: 7 };
    shown.position = Some(position.to_string());
    let body = serde_json::to_vec(&shown).unwrap();

    let content_type = "application/json".to_owned();
    let response = StoredResponse { status: 200, content_type, body };
    assert_eq!(position_in(&response), Some(position));
}

/// §2.2: an order that was under way in a backup ends by no deadline of its own, is listed apart, and goes on with the next step of somebody.
#[test]
fn what_was_under_way_in_a_backup_waits_for_somebody() {
    let world = World::new();
    let id = ordered(&world, 1, world.now());
    let store = world.service.store();
    // A leaf that the database has lost: the same as its last one.
    let head = store.log_head(Log::Audit).unwrap();
    let entries = store.log_entries(Log::Audit, head.epoch, 0..head.size).unwrap();
    let lost = entries.last().unwrap().bytes.clone();
    let mut tree = Frontier::new();
    for octets in entries.iter().map(|one| &one.bytes).chain([&lost]) {
        tree.append(leaf_hash(octets)).unwrap();
    }
    let published = PublishedHead { epoch: head.epoch, size: tree.size(), root: tree.root() };
    store.take_over_audit(&published, &[lost]).unwrap();

    world.service.end_overdue_orders(&AtomicBool::new(false)).unwrap();

    assert_eq!(stage(store, id), OrderStage::Ordered);
    let listed = |parked| {
        let query = api::EidOrderQuery { parked: Some(parked), ..api::EidOrderQuery::default() };
        let page = world.service.eid_orders(&world.caller(), &query).unwrap();
        page.items.iter().map(|one| one.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!((listed(true), listed(false)), (vec![id.to_string()], vec![]));
    let shown = world.service.eid_order(&world.caller(), &id.to_string()).unwrap();
    assert!(shown.parked.unwrap().warning_sv.contains("säkerhetskopia"));
    let cancelled = EidOrderChange {
        call: OrderId::from_bytes([2; 16]),
        rests_on: 1,
        act: OrderAct::Cancel,
        stage: OrderStage::Cancelled,
        due: None,
        ..made(&world, id, (OrderStage::Ordered, world.now()), &prepared())
    };
    take(&world, &cancelled);
    let shown = world.service.eid_order(&world.caller(), &id.to_string()).unwrap();
    assert_eq!((shown.stage.as_str(), shown.parked.is_none()), ("cancelled", true));
}

/// ISS-17: whoever's order of a replacement is refused is told in his own words that the old card is not revoked; and nobody who replaces nothing.
#[test]
fn a_refused_replacement_says_that_the_old_card_is_not_revoked() {
    let world = World::new();
    let caller = world.caller();
    let refused = |key: &str, replaces: Value| {
        let mut body = serde_json::to_value(prepared()).unwrap();
        body["by"] = json!("a");
        body["profiles"] = json!(["no-such-profile"]);
        body["replaces"] = replaces;
        let call = world.call("/v1/orders", key, &body);
        let mut denied = None;
        let _ = world.run(&call, |service, work| {
            service.prepare_order(&caller, work).inspect_err(|error| denied = Some(error.clone()))
        });
        denied.unwrap().warning.map(Warning::swedish)
    };

    let eid = "eid_00000000-0000-7000-8000-000000000000";
    let stolen = refused("one", json!({ "eid": eid, "event": "stolen" })).unwrap();
    assert!(stolen.contains("INTE spärrad"), "{stolen}");
    assert_eq!(refused("two", Value::Null), None);
    let put_off = Denied::new(Kind::Unavailable, unknown().refusal);
    assert_eq!(replaced::unrevoked(put_off).warning, None, "nobody knows");
}

/// Before it strikes it is listed.
#[test]
fn what_is_due_is_listed_by_its_time() {
    let world = World::new();
    let now = world.now();
    let due = now.checked_add(Duration::from_secs(86_400)).unwrap();
    let id = ordered(&world, 1, due);
    let listed = |due_before: &str| {
        let due_before = Some(due_before.to_owned());
        let query = api::EidOrderQuery { due_before, ..api::EidOrderQuery::default() };
        let page = world.service.eid_orders(&world.caller(), &query);
        page.map(|page| page.items).map_err(|denied| denied.refusal.code)
    };

    assert!(listed(&now.to_string()).unwrap().is_empty());
    let found = listed(&due.to_string()).unwrap();
    assert_eq!(found[0].id, id.to_string());
    let shown = found[0].due.as_ref().unwrap();
    assert_eq!((shown.term.as_str(), shown.at.as_str()), ("unused", due.to_string().as_str()));
    assert_eq!(listed("tomorrow").unwrap_err(), "query-malformed");
}

/// DAT-01: in a list there is no gap where a protected person's order is, and it is ended like any other.
#[test]
fn an_order_of_a_protected_person_leaves_no_gap() {
    let world = World::new();
    let hidden = ordered(&world, 1, world.now());
    let mut other = prepared();
    other.identity.number = Some("191003229802".to_owned());
    let seen = ordered_as(&world, 2, world.now(), &other);
    let holder = HolderName::number("191212121212");
    let subject = Subject::Holder("191212121212".to_owned());
    let record = Service::record(
        EventCode::ProtectionChanged,
        EventResult::Done,
        world.service.system(),
        ObjectIds::default(),
        None,
        &json!({}),
        subject.clone(),
    );
    let class = Some(ProtectionClass::Marked);
    let change = ProtectionChange { holder, number: None, class, subject, person: Vec::new() };
    world.service.store().put_protection(&change, &record, world.now()).unwrap();

    let query = api::EidOrderQuery { limit: Some(1), ..api::EidOrderQuery::default() };
    let page = world.service.eid_orders(&world.caller(), &query).unwrap();
    let ids: Vec<_> = page.items.iter().map(|one| one.id.clone()).collect();
    assert_eq!((ids, page.next), (vec![seen.to_string()], None));
    let refused = world.service.eid_order(&world.caller(), &hidden.to_string());
    assert_eq!(refused.unwrap_err().refusal.code, "order-not-known");

    world.service.end_overdue_orders(&AtomicBool::new(false)).unwrap();
    assert_eq!(stage(world.service.store(), hidden), OrderStage::Expired);
}

/// What a later program has kept is read by no guess: the order is left out of lists, ends no page of them, and its deadline holds.
#[test]
fn an_order_that_does_not_read_back_ends_no_page_of_a_list() {
    let world = World::new();
    let id = OrderId::from_bytes([1; 16]);
    let made = made(&world, id, (OrderStage::Ordered, world.now()), &prepared());
    let said = br#"{"version":2,"by":"a","acts":null,"body":null}"#.to_vec();
    take(&world, &EidOrderChange { said, ..made });
    let other = ordered(&world, 2, UnixTime::LAST);

    let page = world.service.eid_orders(&world.caller(), &api::EidOrderQuery::default()).unwrap();
    let ids: Vec<_> = page.items.iter().map(|one| one.id.clone()).collect();
    assert_eq!((ids, page.next), (vec![other.to_string()], None));
    let refused = world.service.eid_order(&world.caller(), &id.to_string());
    assert_eq!(refused.unwrap_err().refusal.code, "order-unreadable");

    world.service.end_overdue_orders(&AtomicBool::new(false)).unwrap();
    assert_eq!(stage(world.service.store(), id), OrderStage::Expired);
}

/// What is of another organisation is answered as what is not there.
#[test]
fn an_order_of_another_organisation_is_not_there() {
    let world = World::new();
    let id = ordered(&world, 1, world.now());
    let organisations = Some([OrganisationId::from_bytes([9; 16])].into());
    let stranger = Caller { organisations, ..world.caller() };
    let refused = |id: &str| world.service.eid_order(&stranger, id).unwrap_err().refusal;

    let there = refused(&id.to_string());
    assert_eq!(there.code, "order-not-known");
    assert_eq!(there, refused(&OrderId::from_bytes([7; 16]).to_string()));
    assert_eq!(there, refused("no id"));
    let call = world.call(&format!("/v1/orders/{id}/cancellation"), "one", &json!({ "by": "b" }));
    let taken =
        world.run(&call, |service, work| service.cancel_order(&stranger, &id.to_string(), work));
    assert_eq!(taken.unwrap_err().refusal.code, "order-not-known");
    assert_eq!(stage(world.service.store(), id), OrderStage::Ordered);
}

/// Nobody goes on with an order of one who has been forgotten; the CA ends it all the same.
#[test]
fn an_order_of_the_forgotten_is_gone_on_with_by_nobody() {
    let world = World::new();
    let id = ordered(&world, 1, world.now());
    let record = Service::record(
        EventCode::SubjectErased,
        EventResult::Done,
        world.service.system(),
        ObjectIds::default(),
        None,
        &json!({}),
        Subject::Deployment,
    );
    let holder = Subject::Holder("191212121212".to_owned());
    assert!(world.service.store().forget(&holder, &record, world.now()).unwrap());
    let call = world.call(&format!("/v1/orders/{id}/cancellation"), "one", &json!({ "by": "b" }));

    let refused = world
        .run(&call, |service, work| service.cancel_order(&world.caller(), &id.to_string(), work));
    assert_eq!(refused.unwrap().response.body, b"order-forgotten");
    world.service.end_overdue_orders(&AtomicBool::new(false)).unwrap();

    assert_eq!(stage(world.service.store(), id), OrderStage::Expired);
    let shown = world.service.eid_order(&world.caller(), &id.to_string()).unwrap();
    assert!(shown.profiles.is_empty() && shown.steps[0].by.is_none());
}

/// API-05: without a statement nobody takes a step, but where the deployment takes a client's word; a name must be one.
#[test]
fn who_takes_a_step_has_signed_or_is_named() {
    let mut world = World::new();
    let caller = world.caller();
    let code = |world: &World, by| {
        world.service.who(&caller, by).map(|who| who.id).map_err(|denied| denied.refusal.code)
    };

    assert_eq!(code(&world, Some("b")), Ok(ActorId::new("b").unwrap()));
    assert_eq!(code(&world, None), Err("order-malformed"));
    assert_eq!(code(&world, Some("b c")), Err("order-malformed"));
    world.service.actors.direct = DirectCalls::Refused;
    assert_eq!(code(&world, Some("b")), Err("actor-statement-required"));
}

/// A request of a new key, of which a function's certificate is made here.
fn request(world: &World) -> (api::IssueRequest, SpkiHash) {
    let der = Key::new().request();
    let key = CertificationRequest::from_der(&der).unwrap().public_key().spki_hash();
    let mut request: api::IssueRequest = from_json(&world.order_call("body").body).unwrap();
    request.csr = x509::pem::encode(x509::pem::Label::CertificateRequest, &der);
    (request, key)
}

/// What the certificate of an order comes to: `done`, or the code of a refusal.
fn issued(world: &World, id: OrderId, request: &api::IssueRequest, key: SpkiHash) -> String {
    let call = world.call(&format!("/v1/orders/{id}/issuance"), &key.to_string(), &json!({}));
    let answered = world.run(&call, |service, work| {
        service.issue_one(&world.caller(), &known(id), (request, key), work)?;
        service.order_answered(Outcome::Created, id, work)
    });
    let response = answered.unwrap().response;
    match response.content_type.as_str() {
        "refused" => String::from_utf8(response.body).unwrap(),
        done => done.to_owned(),
    }
}

/// ISS-15, REV-08: nobody is to rely on what is issued in steps before the step that activates it, and in the act of that step it is good.
#[test]
fn what_is_issued_in_steps_is_on_hold_until_it_is_activated() {
    let world = World::new();
    let order = approved(&world);
    let id = order.order;
    let (request, key) = request(&world);
    assert_eq!(issued(&world, id, &request, key), "done");
    let status = || {
        let rows = world.service.store().eid_order_certificates(id).unwrap();
        rows.first().unwrap().status.status
    };

    let Answer::Revoked(shown) = status().answer_at(world.now()) else {
        panic!("{:?}", status());
    };
    assert_eq!(shown.reason, Some(ReasonCode::CertificateHold));
    assert_eq!(EidState::of(&status()), EidState::NotActivated);
    take(
        &world,
        &EidOrderChange {
            call: OrderId::from_bytes([2; 16]),
            rests_on: 1,
            act: OrderAct::Activate,
            stage: OrderStage::Completed,
            status: Some(StatusAct::Activate),
            ..order
        },
    );
    assert_eq!(status().answer_at(world.now()), Answer::Good);
    assert_eq!(EidState::of(&status()), EidState::Active);
}

/// A restored database has the order as it was before the step that activated its eID, and the log has the activation: the deadline ends the
/// order, and leaves the eID.
#[test]
fn a_deadline_revokes_nothing_that_is_in_use() {
    let world = World::new();
    let order = approved(&world);
    let id = order.order;
    let (request, key) = request(&world);
    assert_eq!(issued(&world, id, &request, key), "done");
    take(
        &world,
        &EidOrderChange {
            call: OrderId::from_bytes([2; 16]),
            rests_on: 1,
            act: OrderAct::Activate,
            stage: OrderStage::Delivered,
            due: Some((TermKind::Activation, world.now())),
            status: Some(StatusAct::Activate),
            ..order
        },
    );

    world.service.end_overdue_orders(&AtomicBool::new(false)).unwrap();

    assert_eq!(stage(world.service.store(), id), OrderStage::Expired);
    let rows = world.service.store().eid_order_certificates(id).unwrap();
    assert_eq!(rows.first().unwrap().status.status.answer_at(world.now()), Answer::Good);
    assert_eq!(world.last_payload(EventCode::OrderClosed)["in_use"], true);
}

/// ISS-15: what nobody has taken into use is taken into use by the step that says so, and by no release of a hold.
#[test]
fn a_release_takes_nothing_into_use() {
    let world = World::new();
    let id = approved(&world).order;
    let (request, key) = request(&world);
    assert_eq!(issued(&world, id, &request, key), "done");
    let row = || world.service.store().eid_order_certificates(id).unwrap().remove(0);
    let certificate = row().id;
    let held = StatusChange {
        target: StatusTarget::Certificate(certificate),
        act: StatusAct::Hold,
        requested_at: None,
        alone: None,
    };
    let record = Service::record(
        EventCode::CertificateHeld,
        EventResult::Done,
        world.service.system(),
        ObjectIds::default(),
        None,
        &json!({}),
        Subject::Deployment,
    );
    world.service.store().change_status(&held, &record, world.now()).unwrap();
    let call = world.call(&format!("/v1/certificates/{certificate}/release"), "one", &json!({}));

    let released =
        world.run(&call, |service, work| service.release_hold(&certificate.to_string(), work));

    assert!(released.is_ok(), "{:?}", released.err());
    let Answer::Revoked(shown) = row().status.status.answer_at(world.now()) else {
        panic!("{:?}", row().status);
    };
    assert_eq!(shown.reason, Some(ReasonCode::CertificateHold));
    assert_eq!(EidState::of(&row().status.status), EidState::NotActivated);
}

/// Promise 2: of two calls at once with keys of two cards the second finds the first one's certificate, and makes no other beside it.
#[test]
fn a_call_that_finds_the_certificate_of_another_key_stops() {
    let world = World::new();
    let id = approved(&world).order;
    let (first, key) = request(&world);
    let (second, other) = request(&world);

    assert_eq!(issued(&world, id, &first, key), "done");
    assert_eq!(issued(&world, id, &second, other), "order-other-key");
    assert_eq!(world.service.store().eid_order_certificates(id).unwrap().len(), 1);
}

/// API-04: who may not order all of it takes no step of it, and takes it back only as one who may revoke where something is issued.
#[test]
fn a_client_takes_no_step_of_what_it_may_not_order_or_revoke() {
    let world = World::new();
    let id = approved(&world).order;
    let (request, key) = request(&world);
    assert_eq!(issued(&world, id, &request, key), "done");
    let orders = Caller { profiles: prepared().profiles.into(), ..world.caller() };
    let revokes_not = Caller { revoke: false, ..orders.clone() };
    let code = |caller: &Caller, key: &str| {
        let call = world.call(&format!("/v1/orders/{id}/cancellation"), key, &json!({ "by": "b" }));
        let taken =
            world.run(&call, |service, work| service.cancel_order(caller, &id.to_string(), work));
        taken.map_or_else(
            |denied| denied.refusal.code.to_owned(),
            |answered| String::from_utf8(answered.response.body).unwrap(),
        )
    };

    assert_eq!(code(&world.caller(), "one"), "client-not-allowed");
    assert_eq!(code(&revokes_not, "two"), "client-not-allowed");
    assert_ne!(code(&orders, "three"), "client-not-allowed");
}

/// ISS-15: at the second of its deadline an order is over, whenever the schedule comes by; it can be taken back.
#[test]
fn nothing_but_a_cancellation_is_taken_of_an_order_that_is_overdue() {
    let world = World::new();
    let id = ordered(&world, 1, world.now());
    let order = world.service.store().eid_order(id).unwrap().unwrap();
    let known = Known::read(order).unwrap();
    let refused = |act| world.service.in_time(&known, act).map_err(|denied| denied.refusal.code);

    assert_eq!(refused(OrderAct::Identify), Err("order-overdue"));
    assert_eq!(refused(OrderAct::Activate), Err("order-overdue"));
    assert_eq!(refused(OrderAct::Cancel), Ok(()));
}

/// By a clock that cannot be trusted an order is taken back, and no other step is taken.
#[test]
fn by_a_clock_in_doubt_nothing_but_a_cancellation_is_taken() {
    let mut world = World::new();
    let old = world.now().saturating_sub(Duration::from_secs(100));
    world.service.clock = Clock::start_after(old, Duration::from_secs(10)).into();

    assert!(world.service.time_of(OrderAct::Activate).is_err());
    assert!(world.service.time_of(OrderAct::Cancel).is_ok());
}
