//! CER-10: what one person asks for, another one approves, and the first one then does, once.

use std::time::Duration;

use ca::four_eyes::{FourEyes, USUAL_LIFETIME};
use ca::revocation::Revoker;
use ca::role::{ActsAs, Protected, Role};
use serde_json::{Value, json};

use super::*;
use crate::service::actor::tests::who_has_signed;
use crate::service::testing::World;

const PATH: &str = "/v1/protected-persons";

fn world() -> World {
    let mut world = World::new();
    world.service.four_eyes = FourEyes::usual(USUAL_LIFETIME);
    world
}

/// A client behind which the administrator of this number acts, who sees protected persons.
fn by(world: &World, number: u8, role: Role) -> Caller {
    let hsa_id = format!("TSTNMT2321000156-10{number:02}");
    let acting = who_has_signed(world, &hsa_id, number);
    as_who(
        world,
        Acting { acts: ActsAs::Administrator(role, Protected::Seen), ..Acting::clone(&acting) },
    )
}

fn as_who(world: &World, acting: Acting) -> Caller {
    Caller { acting: Some(Arc::new(acting)), ..world.caller() }
}

type Told = Result<Value, String>;

fn run(
    world: &World,
    caller: &Caller,
    call: OrderCall,
    work: impl FnOnce(&Service, &Caller, &OrderWork<'_>) -> Result<Answered, Denied>,
) -> Told {
    let call = OrderCall { client: caller.name.clone(), ..call };
    let answered = world.run(&call, |service, order| work(service, caller, order));
    let answered = answered.map_err(|denied| denied.refusal.code.to_owned())?;
    let body = answered.response.body;
    serde_json::from_slice(&body).map_err(|_| String::from_utf8_lossy(&body).into_owned())
}

fn ends(person: &str) -> Value {
    json!({ "person": person, "class": "none", "actor": "op-1" })
}

fn asked(world: &World, caller: &Caller, key: &str, body: &Value) -> Told {
    let body = json!({ "method": "POST", "path": PATH, "body": body.to_string(), "why": "moved" });
    let call = OrderCall { act: Act::Ask, ..world.call("/v1/approvals", key, &body) };
    run(world, caller, call, Service::ask_approval)
}

fn decided(world: &World, caller: &Caller, key: &str, of: &Value, decision: &str) -> Told {
    let body = json!({ "decision": decision, "sha256": of["sha256"] });
    let id = of["id"].as_str().unwrap();
    let path = format!("/v1/approvals/{id}/decision");
    let call = OrderCall { act: Act::Approve, ..world.call(&path, key, &body) };
    run(world, caller, call, |service, caller, work| service.decide_approval(caller, id, work))
}

fn withdrawn(world: &World, caller: &Caller, key: &str, of: &Value) -> Told {
    let id = of["id"].as_str().unwrap();
    let path = format!("/v1/approvals/{id}/withdrawal");
    let call = OrderCall { act: Act::Approve, ..world.call(&path, key, &json!({})) };
    run(world, caller, call, |service, caller, work| service.withdraw_approval(caller, id, work))
}

/// Ends the protection of a person by the call that was asked for.
fn done(world: &World, caller: &Caller, key: &str, of: Option<&Value>, body: &Value) -> Told {
    let approval = of.map(|of| of["id"].as_str().unwrap().to_owned());
    let named = Named::of(Some(Operation::SetProtection), approval, caller).unwrap();
    let call = OrderCall { act: Act::Protect, named, ..world.call(PATH, key, body) };
    run(world, caller, call, |service, caller, work| service.protect(caller, work))
}

fn told(told: Told) -> String {
    told.unwrap_err()
}

#[test]
fn what_another_person_approved_is_done_once() {
    let world = world();
    let (anna, bo) = (by(&world, 1, Role::Operator), by(&world, 2, Role::Operator));
    let body = ends("191212121212");

    assert_eq!(told(done(&world, &anna, "0", None, &body)), "approval-required");
    let request = asked(&world, &anna, "1", &body).unwrap();
    assert_eq!((&request["stage"], &request["path"]), (&json!("waiting"), &json!(PATH)));
    assert_eq!(asked(&world, &anna, "1", &body).unwrap(), request, "repeated");
    assert_eq!(told(done(&world, &anna, "0", Some(&request), &body)), "approval-stage");
    let yes = decided(&world, &bo, "2", &request, "approve").unwrap();
    assert_eq!((&yes["stage"], &yes["stage_sv"]), (&json!("approved"), &json!("Godkänd")));
    assert_eq!(yes["decided"]["id"], "TSTNMT2321000156-1002");
    assert_eq!(yes.get("body"), None, "an answer that is kept shows nobody");

    // Under the key of the call that was refused for want of it.
    let done_once = done(&world, &anna, "0", Some(&request), &body).unwrap();
    assert_eq!(done_once["class"], "none");
    assert_eq!(done(&world, &anna, "0", Some(&request), &body).unwrap(), done_once, "replayed");
    assert_eq!(told(done(&world, &anna, "9", Some(&request), &body)), "approval-used");
    assert_eq!(told(decided(&world, &bo, "3", &request, "reject")), "approval-stage");
    for (code, leaves) in [
        (EventCode::ApprovalAsked, 1),
        (EventCode::ApprovalGiven, 1),
        (EventCode::ApprovalUsed, 1),
        (EventCode::ApprovalRejected, 0),
    ] {
        assert_eq!(world.leaves(code), leaves, "{code}");
    }
    assert_eq!(world.last_payload(EventCode::ApprovalUsed)["sha256"], request["sha256"]);
}

/// Octet for octet, and by nobody else.
#[test]
fn another_call_than_the_approved_one_is_refused() {
    let world = world();
    let (anna, bo) = (by(&world, 1, Role::Operator), by(&world, 2, Role::Operator));
    let body = ends("191212121212");
    let request = asked(&world, &anna, "1", &body).unwrap();
    decided(&world, &bo, "2", &request, "approve").unwrap();

    let other = ends("197001019876");
    assert_eq!(told(done(&world, &anna, "3", Some(&request), &other)), "approval-differs");
    assert_eq!(told(done(&world, &bo, "4", Some(&request), &body)), "approval-not-asker");
    let named = Named::of(
        Some(Operation::SetProtection),
        Some(request["id"].as_str().unwrap().to_owned()),
        &anna,
    );
    let elsewhere = OrderCall {
        act: Act::Protect,
        named: named.unwrap(),
        ..world.call("/v1/protected-persons/other", "5", &body)
    };
    let elsewhere =
        run(&world, &anna, elsewhere, |service, caller, work| service.protect(caller, work));
    assert_eq!(told(elsewhere), "approval-differs");
    let unknown = json!({ "id": "apr_0198f3f0-0000-7000-8000-000000000000" });
    assert_eq!(told(done(&world, &anna, "6", Some(&unknown), &body)), "approval-unknown");
    let malformed = json!({ "id": "one" });
    assert_eq!(told(done(&world, &anna, "7", Some(&malformed), &body)), "approval-unknown");
    // By a client's own word nothing that needs an approval is done, whatever it names.
    let nobody = world.caller();
    let refused = done(&world, &nobody, "8", Some(&request), &body);
    assert_eq!(told(refused), "actor-statement-required");
    assert_eq!(world.leaves(EventCode::ApprovalUsed), 0);
    // Of a call for which nobody can ask, none can be named.
    let id = Some("apr_1".to_owned());
    let issue = Named::of(Some(Operation::IssueCertificate), id, &anna).unwrap_err();
    assert_eq!(issue.refusal.code, "approval-malformed");
}

#[test]
fn nobody_approves_what_he_asked_for_or_may_not_do() {
    let world = world();
    let (anna, bo) = (by(&world, 1, Role::Operator), by(&world, 2, Role::Operator));
    let body = ends("191212121212");
    let request = asked(&world, &anna, "1", &body).unwrap();

    assert_eq!(told(decided(&world, &anna, "2", &request, "approve")), "approval-own");
    // The same person by another client, and in another role.
    let acts = ActsAs::Administrator(Role::SecurityOfficer, Protected::Seen);
    let same = anna.acting.as_deref().unwrap().clone();
    let officer = as_who(&world, Acting { acts, ..same });
    let officer = Caller { name: "board".to_owned(), ..officer };
    assert_eq!(told(decided(&world, &officer, "2", &request, "approve")), "approval-own");
    let auditor = by(&world, 3, Role::Auditor);
    assert_eq!(told(decided(&world, &auditor, "3", &request, "reject")), "approval-role-refused");
    let other = json!({ "id": request["id"], "sha256": "0".repeat(64) });
    assert_eq!(told(decided(&world, &bo, "4", &other, "approve")), "approval-differs");
    assert_eq!(told(withdrawn(&world, &bo, "5", &request)), "approval-not-asker");
    assert_eq!(
        told(decided(&world, &world.caller(), "6", &request, "approve")),
        "actor-statement-required"
    );
    // Who may approve, and not do it.
    let officer = by(&world, 4, Role::SecurityOfficer);
    decided(&world, &officer, "7", &request, "approve").unwrap();
    // What was approved can be taken back until it is used.
    decided(&world, &bo, "8", &request, "reject").unwrap();
    assert_eq!(told(done(&world, &anna, "9", Some(&request), &body)), "approval-stage");

    let request = asked(&world, &anna, "10", &body).unwrap();
    assert_eq!(withdrawn(&world, &anna, "11", &request).unwrap()["stage"], "withdrawn");
    assert_eq!(told(decided(&world, &bo, "12", &request, "approve")), "approval-stage");
}

#[test]
fn a_request_is_over_in_time() {
    let mut world = world();
    let (anna, bo) = (by(&world, 1, Role::Operator), by(&world, 2, Role::Operator));
    world.service.four_eyes = FourEyes::usual(Duration::ZERO);
    let body = ends("191212121212");
    let request = asked(&world, &anna, "1", &body).unwrap();

    assert_eq!(request["stage"], "expired");
    assert_eq!(told(decided(&world, &bo, "2", &request, "approve")), "approval-expired");
    assert_eq!(told(done(&world, &anna, "3", Some(&request), &body)), "approval-expired");
}

/// API-04: a request is seen by those who reach what the asker reached, and see whom he saw; to others it is not there.
#[test]
fn a_request_of_another_side_is_not_there() {
    let world = world();
    let anna = by(&world, 1, Role::Operator);
    let request = asked(&world, &anna, "1", &ends("191212121212")).unwrap();
    let id = request["id"].as_str().unwrap();
    let bo = by(&world, 2, Role::Operator);
    let acting = bo.acting.as_deref().unwrap().clone();
    let blind = as_who(
        &world,
        Acting { acts: ActsAs::Administrator(Role::Operator, Protected::Unseen), ..acting },
    );
    let elsewhere = store::OrganisationId::from_bytes([7; 16]);
    let elsewhere = Caller { organisations: Some(Arc::from([elsewhere])), ..bo.clone() };

    for stranger in [&blind, &elsewhere] {
        let shown = world.service.show_approval(stranger, id).unwrap_err();
        assert_eq!((shown.kind, shown.refusal.code), (Kind::NotFound, "approval-unknown"));
        let listed = world.service.approvals(stranger, &api::ApprovalQuery::default()).unwrap();
        assert!(listed.items.is_empty());
        assert_eq!(told(decided(&world, stranger, "2", &request, "approve")), "approval-unknown");
    }
    let listed = world.service.approvals(&bo, &api::ApprovalQuery::default()).unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].body, None);
    let shown = serde_json::to_value(world.service.show_approval(&bo, id).unwrap()).unwrap();
    assert_eq!(shown["body"], ends("191212121212").to_string());
    assert_eq!(shown["asked"]["why"], "moved");
    let query = |stage: &str| api::ApprovalQuery {
        stage: Some(stage.to_owned()),
        ..api::ApprovalQuery::default()
    };
    assert!(world.service.approvals(&bo, &query("approved")).unwrap().items.is_empty());
    assert_eq!(world.service.approvals(&bo, &query("waiting")).unwrap().items.len(), 1);
    let refused = world.service.approvals(&bo, &query("done")).unwrap_err();
    assert_eq!(refused.refusal.code, "query-malformed");
}

/// AUD-06, DAT-06: a request that names a person is shown as his, and forgotten with him.
#[test]
fn a_request_is_its_persons() {
    let world = world();
    let anna = by(&world, 1, Role::Operator);
    let request = asked(&world, &anna, "1", &ends("19121212-1212")).unwrap();
    let id = request["id"].as_str().unwrap();
    let mut shown = Vec::new();
    let asked_of = world.service.show_approval(&anna, id).unwrap();
    crate::service::reads::Shows::shows(&asked_of, &mut shown).unwrap();
    assert_eq!(shown.len(), 1);

    let call = world.call("/v1/approvals", "2", &json!({}));
    let payload = json!({});
    let id_of = id.parse().unwrap();
    let audit = record(EventCode::SubjectErased, id_of, None, &call, &payload, Subject::Deployment);
    let holder = Subject::Holder("191212121212".to_owned());
    assert!(world.service.store().forget(&holder, &audit, world.now()).unwrap());
    let shown = serde_json::to_value(world.service.show_approval(&anna, id).unwrap()).unwrap();
    assert_eq!((shown.get("body"), shown.get("asked")), (None, None));
    let bo = by(&world, 2, Role::Operator);
    assert_eq!(told(decided(&world, &bo, "3", &request, "approve")), "approval-unknown");
}

#[test]
fn a_request_names_one_call_that_can_be_asked_for() {
    let world = world();
    let anna = by(&world, 1, Role::Operator);
    let refused = |key: &str, change: Value| {
        let mut body = json!({ "method": "POST", "path": PATH, "body": "{}", "why": "moved" });
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let call = OrderCall { act: Act::Ask, ..world.call("/v1/approvals", key, &body) };
        told(run(&world, &anna, call, Service::ask_approval))
    };
    for (key, change) in [
        ("1", json!({ "path": "/v1/certificates" })),
        ("2", json!({ "path": "/v1/eids/eid_1/revocation" })),
        ("3", json!({ "path": "/v1/protected-persons?x=1" })),
        ("4", json!({ "path": "/v1/approvals" })),
        ("5", json!({ "method": "GET" })),
        ("6", json!({ "why": " " })),
        ("7", json!({ "body": "x".repeat(65_537) })),
        ("8", json!({ "path": format!("/v1/{}", "x".repeat(300)) })),
    ] {
        assert_eq!(refused(key, change), "approval-malformed", "{key}");
    }
    // What his role may not do, he cannot have approved.
    let reader = by(&world, 2, Role::Reader);
    assert_eq!(told(asked(&world, &reader, "9", &ends("191212121212"))), "actor-role-refused");
    let nobody = Caller { revoker: Revoker::Operator, ..world.caller() };
    assert_eq!(
        told(asked(&world, &nobody, "10", &ends("191212121212"))),
        "actor-statement-required"
    );
    assert_eq!(world.leaves(EventCode::ApprovalAsked), 0);
}

/// DAT-01: that somebody becomes protected waits for nobody.
#[test]
fn what_no_rule_demands_is_done_without() {
    let world = world();
    let anna = by(&world, 1, Role::Operator);
    let body =
        json!({ "person": "191212121212", "class": "protected-registration", "actor": "op-1" });

    let done = done(&world, &anna, "1", None, &body).unwrap();

    assert_eq!(done["class"], "protected-registration");
}
