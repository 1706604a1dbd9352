//! API-04: the tree by calls, as clients of one organisation and another meet it.

use ca::carrier::CarrierKind;
use ca::life::CarrierStage;
use ca::revocation::Revoker;
use ca::role::{ActsAs, Protected, Role};
use serde_json::{Value, json};
use store::{CarrierId, IndexTag, IndexTerm, NewCarriers, OrderId};

use super::*;
use crate::service::actor::Acting;
use crate::service::order::Act;
use crate::service::testing::World;

fn operator(world: &World) -> Caller {
    Caller { name: "desk".to_owned(), revoker: Revoker::Operator, ..world.caller() }
}

/// A client of these organisations that may change what lies under them.
fn client_of(world: &World, own: &[&Value]) -> Caller {
    let own = own.iter().map(|one| one["id"].as_str().unwrap().parse().unwrap());
    Caller { organisations: Some(own.collect()), organise: true, ..world.caller() }
}

type Work = fn(&Service, &Caller, &OrderWork<'_>) -> Result<Answered, Denied>;

fn called(
    world: &World,
    caller: &Caller,
    key: &str,
    body: &Value,
    work: impl FnOnce(&Service, &Caller, &OrderWork<'_>) -> Result<Answered, Denied>,
) -> Result<Value, String> {
    let mut call = world.call("/v1/organisations", key, body);
    call.act = Act::Organise;
    call.client.clone_from(&caller.name);
    let answered = world.run(&call, |service, order| work(service, caller, order));
    let answered = answered.map_err(|denied| denied.refusal.code.to_owned())?;
    let body = answered.response.body;
    serde_json::from_slice(&body).map_err(|_| String::from_utf8_lossy(&body).into_owned())
}

fn body(kind: &str, name: &str, parent: Option<&Value>) -> Value {
    let mut body = json!({
        "kind": kind, "name": name, "from": "2020-01-01", "actor": "op-1", "note": "agreement 17",
    });
    if let Some(parent) = parent {
        body["parent"] = parent["id"].clone();
    }
    body
}

fn with(mut body: Value, field: &str, value: &str) -> Value {
    body[field] = json!(value);
    body
}

const ADD: Work = Service::add_organisation;

fn added(world: &World, body: &Value) -> Value {
    let key = format!("add {}", body["name"]);
    called(world, &operator(world), &key, body, ADD).unwrap()
}

/// Adds one that ended with the year 2021, as somebody did before.
fn ended(world: &World, area: &Value, name: &str, number: &str) {
    let until = Some(day("until", "2021-12-31").unwrap());
    let days = Days::new(day("from", "2020-01-01").unwrap(), until).unwrap();
    let text = OrganisationText { name, number: Some(number), office: None };
    let id = OrganisationId::from_bytes([1; 16]);
    let area = Some(area["id"].as_str().unwrap().parse().unwrap());
    let change = OrganisationChange {
        organisation: Organisation::new(id, area, OrganisationKind::ThirdParty, days, &text)
            .unwrap(),
        rests_on: None,
        order: OrderId::from_bytes([1; 16]),
        scope: Scope::All,
        today: days.from(),
    };
    let record = crate::service::signing::failed_try(world.service.system(), &json!({}));
    world.service.store().put_organisation(&change, &record, world.now()).unwrap();
}

/// An area, a region with a part and its office, and another organisation of the area.
struct Sweden {
    area: Value,
    region: Value,
    part: Value,
    office: Value,
    other: Value,
}

fn sweden(world: &World) -> Sweden {
    let area = added(world, &body("issuing-area", "Väst", None));
    let region = body("directly-connected", "Sigill Test", Some(&area));
    let region = added(world, &with(region, "number", "2321000131"));
    let part = added(world, &body("sub-organisation", "Ambulans", Some(&region)));
    let office = added(world, &with(body("office", "Kontor 1", Some(&part)), "office", "kontor-1"));
    let other = body("third-party", "Bolaget", Some(&area));
    let other = added(world, &with(other, "number", "5565594230"));
    Sweden { area, region, part, office, other }
}

fn names(page: &api::Page<api::Organisation>) -> Vec<String> {
    let mut names: Vec<_> = page.items.iter().map(|one| one.name.clone()).collect();
    names.sort();
    names
}

#[test]
fn a_client_sees_its_organisations_and_what_lies_under_them() {
    let world = World::new();
    let tree = sweden(&world);
    let list = |caller: &Caller, query: &OrganisationQuery| {
        let page = world.service.organisations(caller, query).unwrap();
        names(&page)
    };
    let all = OrganisationQuery::default();
    let own = client_of(&world, &[&tree.part]);

    let everything = ["Ambulans", "Bolaget", "Kontor 1", "Sigill Test", "Väst"];
    assert_eq!(list(&operator(&world), &all), everything);
    assert_eq!(list(&own, &all), ["Ambulans", "Kontor 1"]);
    assert_eq!(list(&world.caller(), &all), <[&str; 0]>::default(), "deny by default");
    let under = Some(tree.region["id"].as_str().unwrap().to_owned());
    let query = OrganisationQuery { under, ..OrganisationQuery::default() };
    assert_eq!(list(&operator(&world), &query), ["Ambulans", "Kontor 1", "Sigill Test"]);
    let refused = world.service.organisations(&own, &query).unwrap_err();
    assert_eq!((refused.kind, refused.refusal.code), (Kind::NotFound, "organisation-unknown"));
    let offices = OrganisationQuery { kind: Some("office".to_owned()), ..all.clone() };
    assert_eq!(list(&operator(&world), &offices), ["Kontor 1"]);
    let before = OrganisationQuery { on: Some("2019-12-31".to_owned()), ..all.clone() };
    assert_eq!(list(&operator(&world), &before), <[&str; 0]>::default());

    // Page by page without loss.
    let mut query = OrganisationQuery { limit: Some(2), ..all };
    let mut walked = Vec::new();
    loop {
        let page = world.service.organisations(&operator(&world), &query).unwrap();
        walked.extend(page.items.iter().map(|one| one.name.clone()));
        query.cursor = page.next;
        if query.cursor.is_none() {
            break;
        }
    }
    walked.sort();
    assert_eq!(walked, everything);
    for query in [
        OrganisationQuery { kind: Some("region".to_owned()), ..OrganisationQuery::default() },
        OrganisationQuery { on: Some("today".to_owned()), ..OrganisationQuery::default() },
        OrganisationQuery { limit: Some(1001), ..OrganisationQuery::default() },
        OrganisationQuery { cursor: Some("5".to_owned()), ..OrganisationQuery::default() },
    ] {
        let refused = world.service.organisations(&own, &query).unwrap_err();
        assert_eq!(refused.refusal.code, "organisation-malformed", "{query:?}");
    }
    let blind = Caller { read: false, ..own };
    assert_eq!(
        world.service.organisations(&blind, &OrganisationQuery::default()).unwrap_err().kind,
        Kind::Forbidden
    );
}

/// API-04: of a foreign organisation a client hears exactly what it hears of one that is not there.
#[test]
fn a_foreign_organisation_is_not_there() {
    let world = World::new();
    let tree = sweden(&world);
    let own = client_of(&world, &[&tree.region]);
    let nowhere = format!("org_{}", "0198c0de-0000-7000-8000-000000000000");
    let show = |id: &str| world.service.organisation(&own, id).unwrap_err();

    assert!(world.service.organisation(&own, tree.office["id"].as_str().unwrap()).is_ok());
    for foreign in [&tree.area, &tree.other] {
        let foreign = foreign["id"].as_str().unwrap();
        assert_eq!(show(foreign), show(&nowhere));
        assert_eq!(show(foreign), show("no id"));
    }

    let change = json!({ "revision": 1, "name": "Vårt", "actor": "op-2" });
    let end = json!({ "revision": 1, "until": "2031-12-31", "actor": "op-2" });
    for (number, id) in [tree.other["id"].as_str().unwrap(), &nowhere].into_iter().enumerate() {
        let key = format!("change {number}");
        let changed = called(&world, &own, &key, &change, |service, who, work| {
            service.change_organisation(who, id, work)
        });
        let key = format!("end {number}");
        let ended = called(&world, &own, &key, &end, |service, who, work| {
            service.end_organisation(who, id, work)
        });
        let mut under = body("sub-organisation", "Under", None);
        under["parent"] = json!(id);
        let under = called(&world, &own, &format!("add {number}"), &under, ADD);

        assert_eq!(changed.unwrap_err(), "organisation-unknown");
        assert_eq!(ended.unwrap_err(), "organisation-unknown");
        assert_eq!(under.unwrap_err(), "organisation-above-unknown");
    }
    // A role does not reach its own organisation, nor a root.
    let mine = tree.region["id"].as_str().unwrap();
    let changed = called(&world, &own, "own", &change, |service, who, work| {
        service.change_organisation(who, mine, work)
    });
    assert_eq!(changed.unwrap_err(), "organisation-own");
    let root = called(&world, &own, "root", &body("issuing-area", "Öst", None), ADD);
    assert_eq!(root.unwrap_err(), "organisation-above-unknown");
    assert_eq!(world.leaves(EventCode::OrganisationChanged), 0);
    assert_eq!(world.leaves(EventCode::OrganisationAdded), 5);
    // And without the right it changes nothing at all.
    let reader = Caller { organise: false, ..own };
    let refused = called(&world, &reader, "reader", &body("office", "Kontor", None), ADD);
    assert_eq!(refused.unwrap_err(), "client-not-allowed");
}

#[test]
fn a_client_changes_what_lies_under_its_organisation() {
    let world = World::new();
    let tree = sweden(&world);
    let own = client_of(&world, &[&tree.region]);
    let office = tree.office["id"].as_str().unwrap().to_owned();
    let moved = json!({
        "revision": 1, "name": "Kontor Nord", "parent": tree.region["id"], "actor": "op-2",
    });
    let change = |key: &str, body: &Value| {
        called(&world, &own, key, body, |service, who, work| {
            service.change_organisation(who, &office, work)
        })
    };
    let end = |key: &str, body: &Value| {
        called(&world, &own, key, body, |service, who, work| {
            service.end_organisation(who, &office, work)
        })
    };

    let changed = change("move", &moved).unwrap();
    assert_eq!(
        (&changed["name"], &changed["parent"], &changed["office"], &changed["revision"]),
        (&json!("Kontor Nord"), &tree.region["id"], &json!("kontor-1"), &json!(2))
    );
    let leaf = world.last_payload(EventCode::OrganisationChanged);
    assert_eq!(leaf["before"]["name"], json!("Kontor 1"));
    assert_eq!(leaf["after"]["name"], json!("Kontor Nord"));
    assert_eq!((&leaf["by"], &leaf["actor"]), (&json!("portal"), &json!("op-2")));
    assert_eq!(
        change("move", &moved).unwrap(),
        changed,
        "a call that is repeated finds its answer"
    );
    assert_eq!(change("late", &moved).unwrap_err(), "organisation-changed");

    let past = json!({ "revision": 2, "until": "2024-12-31", "actor": "op-2" });
    assert_eq!(end("past", &past).unwrap_err(), "organisation-past");
    let early = json!({ "revision": 2, "until": "2019-12-31", "actor": "op-2" });
    assert_eq!(end("early", &early).unwrap_err(), "organisation-malformed");
    let last = json!({ "revision": 2, "until": "2099-12-31", "actor": "op-2" });
    let ended = end("end", &last).unwrap();
    assert_eq!((&ended["until"], &ended["active"]), (&json!("2099-12-31"), &json!(true)));
    assert_eq!(world.leaves(EventCode::OrganisationEnded), 1);
    // What lies under it must end first.
    let region = tree.part["id"].as_str().unwrap().to_owned();
    let below = with(body("office", "Kontor 2", Some(&tree.part)), "office", "kontor-2");
    called(&world, &own, "below", &below, ADD).unwrap();
    let used = json!({ "revision": 1, "until": "2098-12-31", "actor": "op-2" });
    let used = called(&world, &own, "used", &used, |service, who, work| {
        service.end_organisation(who, &region, work)
    });
    assert_eq!(used.unwrap_err(), "organisation-still-used");
}

#[test]
fn a_body_says_who_and_what() {
    let world = World::new();
    let desk = operator(&world);
    let area = added(&world, &body("issuing-area", "Väst", None));
    let long = "x".repeat(1001);
    let third = || body("third-party", "Bolaget", Some(&area));
    for (key, wanted, code) in [
        ("kind", with(body("office", "Kontor", Some(&area)), "kind", "region"), "body-malformed"),
        ("actor", with(third(), "actor", " "), "organisation-malformed"),
        ("note", with(third(), "note", &long), "organisation-malformed"),
        ("from", with(third(), "from", "2026-02-30"), "organisation-malformed"),
        ("until", with(third(), "until", "2019-12-31"), "organisation-malformed"),
        ("number", third(), "organisation-malformed"),
        ("parent", with(third(), "parent", "org_1"), "organisation-above-unknown"),
        ("field", with(third(), "colour", "red"), "body-malformed"),
    ] {
        let refused = called(&world, &desk, key, &wanted, ADD).unwrap_err();
        assert_eq!(refused, code, "{key}");
    }
}

/// API-04: a client that is limited to organisations orders for these alone.
#[test]
fn a_limited_client_orders_for_its_organisations_alone() {
    let world = World::new();
    let tree = sweden(&world);
    let request = |organisation: &str| -> api::IssueRequest {
        serde_json::from_value(json!({
            "profile": "function-ec", "csr": "none", "subject": { "organization": organisation },
        }))
        .unwrap()
    };
    let may = |caller: &Caller, organisation: &str| {
        world.service.must_order_for(caller, &request(organisation), None)
    };
    let own = client_of(&world, &[&tree.region]);

    assert_eq!(may(&own, "Sigill Test"), Ok(()));
    assert_eq!(may(&world.caller(), "Bolaget"), Ok(()), "a client that is not limited");
    for foreign in ["Bolaget", "Väst", "Nobody"] {
        let refused = may(&own, foreign).unwrap_err();
        let seen = (refused.kind, refused.refusal.code);
        assert_eq!(seen, (Kind::Forbidden, "organisation-not-allowed"), "{foreign}");
    }
    assert!(may(&client_of(&world, &[]), "Sigill Test").is_err(), "limited to none");
    // It names parts of its organisation as it likes, and so orders for none of them.
    let part = body("sub-organisation", "Region Stockholm", Some(&tree.region));
    called(&world, &own, "part", &part, ADD).unwrap();
    assert!(may(&own, "Region Stockholm").is_err());
    let numbered =
        with(body("sub-organisation", "Bolaget", Some(&tree.region)), "number", "5565594255");
    assert_eq!(called(&world, &own, "no", &numbered, ADD).unwrap_err(), "organisation-numbered");
    // The same in the whole of a call, before anything is recorded of a certificate.
    let csr = x509::pem::encode(
        x509::pem::Label::CertificateRequest,
        &crate::service::testing::Key::new().request(),
    );
    let body = json!({
        "profile": "function-ec", "csr": csr,
        "subject": {
            "common_name": "idp.example.org", "hsa_id": "TSTNMT2321000156-B02", "organization": "Bolaget",
        },
        "alternative_names": { "dns": ["idp.example.org"] },
    });
    let call = world.call("/v1/certificates", "foreign", &body);
    let words: std::sync::Arc<dyn crate::service::order::Replies> =
        std::sync::Arc::new(crate::service::testing::Words);
    let refused = world.service.issue_under_key(&own, &call, &words).unwrap_err();
    assert_eq!(refused.refusal.code, "organisation-not-allowed");
    assert_eq!(world.leaves(EventCode::CertificateIntent), 0);
}

/// API-04: who acts on one organisation sees and revokes the functions of this one, of all that the client has ordered.
#[test]
fn who_acts_on_an_organisation_sees_its_functions_alone() {
    let world = World::new();
    let tree = sweden(&world);
    let issued = world.issue("a").unwrap().response.body;
    let issued: Value = serde_json::from_slice(&issued).unwrap();
    let id = issued["id"].as_str().unwrap();
    let acting = |on: Option<&Value>| {
        let organisation = on.map(|one| one["id"].as_str().unwrap().parse().unwrap());
        let mut caller = client_of(&world, &[&tree.area]);
        caller.act_by(Acting {
            id: ca::order::ActorId::new("TSTNMT2321000156-1001").unwrap(),
            eid: None,
            acts: ActsAs::Administrator(Role::ResponsibleIssuer, Protected::Unseen),
            organisation,
            stated: status::Position { epoch: 1, index: 0 },
        });
        caller
    };
    let sees = |on| world.service.show_to(&acting(on), id).map_err(|denied| denied.refusal.code);

    assert!(sees(Some(&tree.region)).is_ok(), "the one that its subject names");
    assert!(sees(Some(&tree.area)).is_ok(), "it lies under this one");
    assert!(sees(None).is_ok(), "on none: the client's own functions");
    for foreign in [&tree.other, &tree.part, &tree.office] {
        assert_eq!(sees(Some(foreign)).unwrap_err(), "certificate-unknown", "{foreign}");
        let call =
            world.call("/v1/certificates/revocation", &foreign["id"].to_string(), &json!({}));
        let caller = acting(Some(foreign));
        let code = match world.run(&call, |service, work| service.revoke_for(&caller, id, work)) {
            Ok(answered) => String::from_utf8(answered.response.body).unwrap(),
            Err(denied) => denied.refusal.code.to_owned(),
        };
        assert_eq!(code, "certificate-unknown", "{foreign}");
    }
    let of_another = Caller { name: "other".to_owned(), ..acting(Some(&tree.region)) };
    assert!(world.service.show_to(&of_another, id).is_err(), "another client's");
}

/// The same by the order of a person: by the number of the holder's organisation, and by that of the issuing one.
#[test]
fn an_order_for_a_person_names_an_organisation_of_the_client() {
    let world = World::new();
    let tree = sweden(&world);
    let order = |(name, user): (&str, &str), issuing: Option<(&str, &str)>| {
        let mut fields = json!({
            "routine": "office-visit",
            "orderer": { "role": "id-administrator", "id": "administrator-1" },
            "holder": "holder-7",
            "identity": { "kind": "personnummer", "number": "191212121212" },
            "proofing": { "method": "swedish-passport", "at": "2026-11-20T09:00:00Z", "by": "administrator-1" },
            "carrier": { "family": "nls-card-2023", "card_number": "9752269874512325436" },
            "organisations": { "user": { "name": name, "number": user } },
        });
        if let Some((name, number)) = issuing {
            fields["organisations"]["issuing"] = json!({ "name": name, "number": number });
        }
        let fields: api::OrderFields = serde_json::from_value(fields).unwrap();
        world.service.order_of(&fields).unwrap()
    };
    let request: api::IssueRequest =
        serde_json::from_value(json!({ "profile": "p", "csr": "none", "subject": {} })).unwrap();
    let may = |caller: &Caller, user, issuing| {
        let order = order(user, issuing);
        let judged = world.service.must_order_for(caller, &request, Some(&order));
        judged.map_err(|denied| denied.refusal.seen)
    };
    let (region, other) = (("Sigill Test", "2321000131"), ("Bolaget", "5565594230"));
    let own = client_of(&world, &[&tree.region]);
    let of_area = client_of(&world, &[&tree.area]);

    assert_eq!(may(&own, region, None), Ok(()));
    assert_eq!(may(&own, region, Some(region)), Ok(()));
    assert_eq!(may(&of_area, other, Some(region)), Ok(()));
    assert_eq!(may(&own, other, None), Err("order/organisations/user".to_owned()));
    let issuing = "order/organisations/issuing".to_owned();
    assert_eq!(may(&own, region, Some(other)), Err(issuing));
    let unknown = ("Okänd", "2321000016");
    assert_eq!(may(&of_area, unknown, None), Err("order/organisations/user".to_owned()));
    // Once it has ended it is nobody's.
    let late = client_of(&world, &[&tree.office]);
    assert!(may(&late, region, None).is_err(), "a role under it does not reach up");
    // What ended and was added again is there.
    let number = "5565594255";
    ended(&world, &tree.area, "Bolaget Två", number);
    let again = with(body("third-party", "Bolaget Två", Some(&tree.area)), "number", number);
    added(&world, &with(again, "from", "2022-01-01"));
    assert_eq!(may(&of_area, ("Bolaget Två", number), None), Ok(()));
    // The name is what the certificate shows: that of another does not go with an own number.
    let (user, issuing) = ("order/organisations/user/name", "order/organisations/issuing/name");
    let posing = ("Bolaget", region.1);
    assert_eq!(may(&own, posing, None), Err(user.to_owned()));
    assert_eq!(may(&own, region, Some(posing)), Err(issuing.to_owned()));
    assert_eq!(may(&of_area, other, Some(posing)), Err(issuing.to_owned()));
    assert_eq!(may(&world.caller(), posing, None), Ok(()), "a client that is not limited");
    // A card that another one has taken into the register is that one's until there is a certificate on it.
    let card = IndexTerm::new(IndexTag::CardNumber, "9752269874512325436");
    let stock = NewCarriers {
        call: OrderId::from_bytes([7; 16]),
        kind: CarrierKind::OrdinaryCard,
        family: "nls-card-2023".to_owned(),
        organisation: other.1.to_owned(),
        stage: CarrierStage::Ordered,
        cards: vec![(CarrierId::from_bytes([8; 16]), card)],
    };
    let leaf = Service::record(
        EventCode::CarriersRegistered,
        EventResult::Done,
        world.service.system(),
        ObjectIds::default(),
        None,
        &json!({}),
        Subject::Deployment,
    );
    world.service.store().register_carriers(&stock, &leaf, world.now()).unwrap();
    assert_eq!(may(&own, region, None), Err("order/carrier/card_number".to_owned()));
    assert_eq!(may(&of_area, other, None), Ok(()), "its own stock");
    assert_eq!(may(&world.caller(), region, None), Ok(()), "a client that is not limited");
}
