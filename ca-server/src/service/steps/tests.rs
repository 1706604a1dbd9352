//! ISS-15, API-04, DAT-07: orders whose deadline is over, of other organisations, and of those who have been forgotten. The steps themselves are in the refusals, where an
//! API issues for persons.

use std::time::Duration;

use ca::audit::EventCode;
use ca::routine::TermKind;
use store::OrganisationId;
use x509::time::UnixTime;

use super::*;
use crate::service::testing::World;

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

/// Keeps an order that has been made and whose deadline is over then.
fn ordered(world: &World, number: u8, due: UnixTime) -> OrderId {
    let said = Said { by: Some("a".to_owned()), acts: None, body: kept(&prepared()).unwrap() };
    let id = OrderId::from_bytes([number; 16]);
    let known = Known::new(id, prepared(), ActorId::new("a").unwrap());
    let change = EidOrderChange {
        order: id,
        call: id,
        rests_on: 0,
        organisation: "2321000131".to_owned(),
        routine: "office-visit".to_owned(),
        act: OrderAct::Order,
        stage: OrderStage::Ordered,
        client: "portal".to_owned(),
        said: written(&kept(&said).unwrap()),
        subject: known.subject(),
        due: Some((TermKind::Unused, due)),
        status: None,
        alone: None,
    };
    let of = (id, known.subject());
    let by = (world.service.system(), None);
    let audit = audit_of(of, (OrderAct::Order, OrderStage::Ordered), by, json!({}));
    world.service.store().take_eid_order_step(&change, audit, world.now()).unwrap();
    id
}

fn stage(world: &World, id: OrderId) -> OrderStage {
    world.service.store().eid_order(id).unwrap().unwrap().row.stage
}

#[test]
fn what_is_over_is_ended_and_nothing_before_its_time() {
    let world = World::new();
    let now = world.now();
    let later = |days: u64| now.checked_add(Duration::from_secs(days * 86_400)).unwrap();
    let (first, second) = (ordered(&world, 1, later(1)), ordered(&world, 2, later(2)));

    world.service.end_overdue_orders().unwrap();
    assert_eq!(
        (stage(&world, first), stage(&world, second)),
        (OrderStage::Ordered, OrderStage::Ordered)
    );
    world.service.end_due_orders(later(1)).unwrap();
    world.service.end_due_orders(later(1)).unwrap();

    assert_eq!(
        (stage(&world, first), stage(&world, second)),
        (OrderStage::Expired, OrderStage::Ordered)
    );
    assert_eq!(world.leaves(EventCode::OrderClosed), 1);
    assert_eq!(world.last_payload(EventCode::OrderClosed)["event"], "not-activated");
    let shown = world.service.eid_order(&world.caller(), &first.to_string()).unwrap();
    assert_eq!((shown.stage.as_str(), shown.stage_sv.as_str()), ("expired", "Förfallen"));
    let last = shown.steps.last().unwrap();
    assert_eq!((last.client.as_str(), last.by.as_deref()), ("sigill-ca", None));
    assert!(shown.due.is_none() && shown.certificates.is_empty());
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
    assert_eq!(stage(&world, id), OrderStage::Ordered);
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
    world.service.end_overdue_orders().unwrap();

    assert_eq!(stage(&world, id), OrderStage::Expired);
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
