//! ISS-22: what is refused, what pauses, and who lets a client go on.

use std::time::Duration;

use ca::audit::EventCode;
use ca::limit::{Hour, HourLimit, Limit, Limits, Pattern, Sudden};
use ca::revocation::Revoker;
use serde_json::json;

use super::*;
use crate::clock::Clock;
use crate::service::order::{Act, OrderAnswered};
use crate::service::testing::{Words, World};

fn limited(world: &mut World, limit: HourLimit) {
    let limit = Limit::new(Pattern::All, Pattern::parse("function-*").unwrap(), limit).unwrap();
    world.service.limits = Limits::new(vec![limit]).unwrap();
}

/// A world whose hour has just begun.
fn world(limit: HourLimit) -> World {
    let left = Hour::seconds_left(Clock::start().read().now);
    let mut world = World::by(Clock::ahead_by(Duration::from_secs(left)));
    limited(&mut world, limit);
    world
}

fn resumed(world: &World, revoker: Revoker, key: &str) -> Result<OrderAnswered, Denied> {
    let body = json!({ "client": "portal", "profile": "function-ec", "actor": "op-7", "note": "as agreed" });
    resumed_by(world, revoker, key, &body)
}

fn resumed_by(
    world: &World,
    revoker: Revoker,
    key: &str,
    body: &serde_json::Value,
) -> Result<OrderAnswered, Denied> {
    let mut call = world.call("/v1/limits/resumption", key, body);
    call.act = Act::Resume;
    let caller = Caller { revoker, ..world.caller() };
    let words: Arc<dyn Replies> = Arc::new(Words);
    world.run(&call, |service, work| service.resume(&caller, work, &words))
}

fn code(answer: Result<OrderAnswered, Denied>) -> &'static str {
    answer.unwrap_err().refusal.code
}

#[test]
fn past_its_hour_a_client_comes_back_with_the_same_order() {
    let mut world = world(HourLimit { per_hour: Some(2), sudden: None });
    world.issue("one").unwrap();
    world.issue_again("two").unwrap();
    assert!(world.issue_again("two").unwrap().replayed, "a repeated key is no further certificate");

    let csr = x509::pem::encode(
        x509::pem::Label::CertificateRequest,
        &crate::service::testing::Key::new().request(),
    );
    let denied = world.issue_for("three", "function-ec", &csr).unwrap_err();

    assert_eq!((denied.kind, denied.refusal.code), (Kind::Limited, "limit-hour"));
    assert!(denied.refusal.limit.starts_with("2 in an hour"), "{denied}");
    let wait = denied.retry_after.unwrap();
    assert!((1..=3600).contains(&wait.as_secs()), "{wait:?}");
    assert_eq!(world.leaves(EventCode::CertificateIntent), 2, "no serial number was spent");
    assert_eq!(world.leaves(EventCode::LimitPaused), 0);
    // The order stays open: it is issued when there is room.
    limited(&mut world, HourLimit { per_hour: Some(3), sudden: None });
    assert!(!world.issue_for("three", "function-ec", &csr).unwrap().replayed);
    assert_eq!(code(world.issue("five")), "limit-hour");
}

#[test]
fn a_sudden_change_pauses_until_an_operator_lets_it_go_on() {
    let sudden = Sudden { times: 2, at_least: 3 };
    let world = world(HourLimit { per_hour: None, sudden: Some(sudden) });
    world.issue("one").unwrap();
    world.issue("two").unwrap();

    let denied = world.issue_again("three").unwrap_err();

    assert_eq!((denied.kind, denied.refusal.code), (Kind::Forbidden, "limit-paused"));
    assert!(!denied.is_final());
    assert_eq!(world.leaves(EventCode::LimitPaused), 1);
    let payload = world.last_payload(EventCode::LimitPaused);
    assert_eq!((&payload["client"], &payload["issued"]), (&json!("portal"), &json!(3)));
    let told = world.service.readiness.answer().1.0;
    assert_eq!(told["paused"], json!([{ "client": "portal", "profile": "function-ec" }]));

    let mut world = world.restarted();
    assert_eq!(code(world.issue("four")), "limit-paused");
    // Taking the limit out of the configuration ends no pause.
    world.service.limits = Limits::default();
    assert_eq!(code(world.issue("five")), "limit-paused");
    limited(&mut world, HourLimit { per_hour: None, sudden: Some(sudden) });
    assert_eq!(world.leaves(EventCode::LimitPaused), 1, "one pause, one leaf");

    assert_eq!(code(resumed(&world, Revoker::Client, "r-one")), "client-not-allowed");
    assert_eq!(world.leaves(EventCode::LimitResumed), 0);
    resumed(&world, Revoker::Operator, "r-two").unwrap();

    assert_eq!(world.leaves(EventCode::LimitResumed), 1);
    let payload = world.last_payload(EventCode::LimitResumed);
    assert_eq!((&payload["actor"], &payload["note"]), (&json!("op-7"), &json!("as agreed")));
    assert_eq!(world.service.readiness.answer().1.0.get("paused"), None);
    assert!(!world.issue_again("three").unwrap().replayed, "the same order goes on");
    assert!(resumed(&world, Revoker::Operator, "r-two").unwrap().replayed);
    assert_eq!(code(resumed(&world, Revoker::Operator, "r-three")), "limit-not-paused");
}

/// Promise 4: whoever is paused can still revoke.
#[test]
fn a_paused_client_revokes_and_is_seen() {
    let world = world(HourLimit { per_hour: None, sudden: Some(Sudden { times: 2, at_least: 2 }) });
    let issued = world.issue("one").unwrap();
    assert_eq!(code(world.issue("two")), "limit-paused");
    let shown: serde_json::Value = serde_json::from_slice(&issued.response.body).unwrap();
    let id = shown["id"].as_str().unwrap().to_owned();
    let body = json!({ "reason": "keyCompromise" });
    let call = world.call(&format!("/v1/certificates/{id}/revocation"), "rev", &body);

    world.run(&call, |service, work| service.revoke(Revoker::Client, &id, work)).unwrap();

    assert_eq!(world.leaves(EventCode::CertificateRevoked), 1);
    let own = world.service.limit_standings(&world.caller()).unwrap().items;
    let [standing] = own.as_slice() else { panic!("{own:?}") };
    assert_eq!((standing.issued, standing.paused.as_ref().unwrap().issued), (1, 2));
    let stranger = Caller { name: "desk".to_owned(), ..world.caller() };
    assert!(world.service.limit_standings(&stranger).unwrap().items.is_empty());
    let operator = Caller { revoker: Revoker::Operator, ..stranger };
    assert_eq!(world.service.limit_standings(&operator).unwrap().items.len(), 1);
}

#[test]
fn refuses_a_resumption_that_says_nothing() {
    let world = World::new();
    for field in ["client", "profile", "actor", "note"] {
        for value in [" ".to_owned(), "x".repeat(1001)] {
            let mut body = json!({ "client": "portal", "profile": "function-ec", "actor": "op-7", "note": "n" });
            body[field] = json!(value);
            let key = format!("{field}-{}", value.len());

            let answer = resumed_by(&world, Revoker::Operator, &key, &body).unwrap();

            assert_eq!(answer.response.body, b"field-malformed", "{field}");
        }
    }
    assert_eq!(world.leaves(EventCode::LimitResumed), 0);
}
