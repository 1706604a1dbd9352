//! AUD-06: who may ask who was shown a person, and that the answer to it is a read, too.

use std::sync::Arc;

use ca::protection::ProtectionClass;
use ca::revocation::Revoker;
use ca::role::{ActsAs, Protected, Role};
use store::ProtectionChange;

use super::*;
use crate::service::actor::Acting;
use crate::service::actor::tests::who_has_signed;
use crate::service::testing::World;

const NUMBER: &str = "191212121212";
const LISTS: ReadCall<'static> =
    ReadCall { id: "00000000000000000000000000000001", operation: Operation::ListProtectedPersons };
const ASKS: ReadCall<'static> =
    ReadCall { id: "00000000000000000000000000000002", operation: Operation::SearchReads };

fn search(fields: &Value) -> api::ReadSearch {
    serde_json::from_value(fields.clone()).unwrap()
}

fn person() -> api::ReadSearch {
    search(&json!({ "person": "19121212-1212" }))
}

fn operator(world: &World) -> Caller {
    Caller { revoker: Revoker::Operator, ..world.caller() }
}

/// An auditor of the CA, with protected persons or without.
fn auditor(world: &World, number: u8, protected: Protected) -> Caller {
    let signed = who_has_signed(world, "TSTNMT2321000156-1001", number);
    let acts = ActsAs::Administrator(Role::Auditor, protected);
    let acting = Arc::new(Acting { acts, ..(*signed).clone() });
    Caller { acting: Some(acting), ..world.caller() }
}

fn protect(world: &World) {
    let change = ProtectionChange {
        holder: HolderName::number(NUMBER),
        number: None,
        class: Some(ProtectionClass::Marked),
        subject: Subject::Holder(NUMBER.to_owned()),
        person: format!("{{\"person\":\"{NUMBER}\"}}").into_bytes(),
    };
    let record = Service::record(
        EventCode::ProtectionChanged,
        EventResult::Done,
        world.service.system(),
        ObjectIds::default(),
        None,
        &json!({}),
        Subject::Deployment,
    );
    world.service.store().put_protection(&change, &record, world.now()).unwrap();
}

fn told(world: &World, caller: &Caller) -> Vec<api::PersonRead> {
    let found = world.service.reading(caller, ASKS, |service| service.reads_of(caller, &person()));
    found.unwrap().page.items
}

#[test]
fn who_was_shown_a_person_is_told_to_who_reaches_everywhere_and_is_known() {
    let world = World::new();
    let ask = |caller: &Caller| {
        let found = world.service.reads_of(caller, &person());
        found.map(|_| ()).map_err(|denied| denied.refusal.code)
    };
    let limited = Caller { organisations: Some(Arc::from([])), ..world.caller() };

    assert_eq!(ask(&world.caller()), Err("client-not-allowed"), "nobody has signed");
    assert_eq!(ask(&limited), Err("client-not-allowed"));
    assert_eq!(
        ask(&Caller { organisations: Some(Arc::from([])), ..auditor(&world, 1, Protected::Seen) }),
        Err("client-not-allowed")
    );
    assert_eq!(ask(&Caller { read: false, ..operator(&world) }), Err("client-not-allowed"));
    assert_eq!(ask(&operator(&world)), Ok(()));
    assert_eq!(ask(&auditor(&world, 2, Protected::Unseen)), Ok(()));
    assert_eq!(world.leaves(EventCode::SealedRead), 0, "nobody was shown to anybody");
}

#[test]
fn a_question_that_names_not_one_person_is_refused_and_not_repeated() {
    let world = World::new();
    let passport = json!({ "state": "DNK", "number": "301234567", "birth_date": "1980-01-01" });
    for (fields, kind) in [
        (json!({}), Kind::Malformed),
        (json!({ "person": NUMBER, "passport": passport }), Kind::Malformed),
        (json!({ "person": "1212121212" }), Kind::Malformed),
        (json!({ "person": "19121212121A" }), Kind::Malformed),
        (json!({ "person": NUMBER, "limit": 0 }), Kind::Malformed),
        (json!({ "person": NUMBER, "limit": 101 }), Kind::Malformed),
        (json!({ "person": NUMBER, "cursor": "191212121212" }), Kind::Malformed),
        (
            json!({ "passport": { "state": "Danmark", "number": "301234567", "birth_date": "1980-01-01" } }),
            Kind::Rule,
        ),
    ] {
        let denied = world.service.reads_of(&operator(&world), &search(&fields)).unwrap_err();

        assert_eq!((denied.kind, denied.refusal.code), (kind, "query-malformed"), "{fields}");
        let said = format!("{denied:?}").replace("19121212-1212", "an example");
        for part in ["1912", "1212", "301234567", "Danmark"] {
            assert!(!said.contains(part), "{fields}: {said}");
        }
    }
}

/// AUD-06: who reads in a loop is shown so much in an hour, is told when to come back, and somebody hears of it once.
#[test]
fn a_client_that_reads_in_a_loop_is_stopped_until_the_hour_is_over() {
    let mut world = World::new();
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../environments/demo/ca.toml");
    let text = std::fs::read_to_string(manifest).unwrap();
    let few = text.replacen("per-hour = 50000", "per-hour = 2", 1);
    world.service.read_limits = crate::limits::ReadLimits::read(&toml::from_str(&few).unwrap());
    protect(&world);
    let privy = auditor(&world, 1, Protected::Seen);
    let query = api::ProtectedQuery::default();
    let list = || world.service.reading(&privy, LISTS, |one| one.protected_persons(&privy, &query));
    assert!(list().is_ok() && list().is_ok());

    let denied = list().unwrap_err();

    assert_eq!((denied.kind, denied.refusal.code), (Kind::Limited, "limit-reads"));
    let left = denied.retry_after.unwrap().as_secs();
    assert!((1..=3600).contains(&left), "{left}");
    assert_eq!(
        world.leaves(EventCode::SealedRead),
        2,
        "what is not shown is not on record as shown"
    );
    let ends = world.now().checked_add(denied.retry_after.unwrap()).unwrap();
    assert!(!world.service.reads_told.is_first("portal", ends), "it has been told");
    let nobodys = |service: &Service| service.limit_standings(&privy);
    assert!(world.service.reading(&privy, LISTS, nobodys).is_ok(), "what is nobody's is shown");
}

/// DAT-01: the listing of protected persons is a read of each, which is found by who sees them alone; and so is the finding.
#[test]
fn who_is_listed_is_shown_and_so_is_who_was_shown() {
    let world = World::new();
    protect(&world);
    let privy = auditor(&world, 1, Protected::Seen);
    let query = api::ProtectedQuery::default();
    let listed = world.service.reading(&privy, LISTS, |one| one.protected_persons(&privy, &query));
    assert_eq!(listed.unwrap().page.items.len(), 1);
    let leaf = world.last_payload(EventCode::SealedRead);
    assert_eq!((&leaf["operation"], &leaf["persons"]), (&json!("listProtectedPersons"), &json!(1)));
    assert!(!leaf.to_string().contains(NUMBER), "{leaf}");

    for other in [auditor(&world, 2, Protected::Unseen), operator(&world)] {
        assert_eq!(told(&world, &other), []);
    }
    let [first] = &told(&world, &privy)[..] else { panic!("one read") };
    assert_eq!((first.operation.as_str(), first.call.as_str()), ("listProtectedPersons", LISTS.id));
    assert_eq!((&first.shown[..], first.client.as_str()), (&["person".to_owned()][..], "portal"));
    let [second, again] = &told(&world, &privy)[..] else { panic!("two reads") };
    assert_eq!((second.operation.as_str(), again), ("searchReads", first));
    assert_eq!(world.leaves(EventCode::SealedRead), 3);
}
