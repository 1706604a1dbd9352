use ca::revocation::Revoker;
use serde_json::Value;
use store::OrganisationId;

use super::*;
use crate::clock::{Clock, Doubt};
use crate::service::testing::World;

const DAY: u64 = 86_400;

fn issued(world: &World, key: &str) -> String {
    let issued = world.issue(key).unwrap();
    let issued: Value = serde_json::from_slice(&issued.response.body).unwrap();
    issued["id"].as_str().unwrap().to_owned()
}

fn later(world: &World, seconds: u64) -> UnixTime {
    world.now().checked_add(Duration::from_secs(seconds)).unwrap()
}

/// What a call for a revocation of later comes to: what is shown, or the code of a refusal.
fn schedule_as(world: &World, caller: &Caller, key: &str, body: &Value) -> Result<Value, String> {
    let call = world.call("/v1/scheduled-revocations", key, body);
    let answered = world.run(&call, |service, work| service.schedule_revocation(caller, work));
    told(answered.map(|answered| answered.response))
}

fn schedule(world: &World, key: &str, body: &Value) -> Result<Value, String> {
    schedule_as(world, &world.caller(), key, body)
}

fn told(answered: Result<store::StoredResponse, Denied>) -> Result<Value, String> {
    match answered {
        Err(denied) => Err(denied.refusal.code.to_owned()),
        Ok(response) => serde_json::from_slice(&response.body)
            .map_err(|_| String::from_utf8(response.body).unwrap()),
    }
}

fn cancel(world: &World, caller: &Caller, id: &str, key: &str) -> Result<Value, String> {
    let path = format!("/v1/scheduled-revocations/{id}/cancellation");
    let call = world.call(&path, key, &json!({ "actor": { "id": "op-1" } }));
    let answered = world.run(&call, |service, work| service.cancel_scheduled(caller, id, work));
    told(answered.map(|answered| answered.response))
}

fn strike(world: &World, now: UnixTime) {
    let reading = Reading { now, doubt: None };
    world.service.strike_scheduled(reading, &AtomicBool::new(false)).unwrap();
}

fn state(world: &World, id: &str) -> api::CertificateState {
    world.service.show(id).unwrap().state
}

fn due(world: &World, before: UnixTime) -> Vec<String> {
    let due_before = Some(before.to_string());
    let query = api::ScheduledQuery { due_before, ..api::ScheduledQuery::default() };
    let page = world.service.scheduled_revocations(&world.caller(), &query).unwrap();
    page.items.into_iter().map(|one| one.id).collect()
}

/// REV-10: it is listed before it strikes, strikes at its second or when the CA is there again, and counts as asked for at its second.
#[test]
fn a_revocation_of_later_is_listed_and_strikes_also_after_the_ca_was_away() {
    let world = World::new();
    let id = issued(&world, "a");
    let strikes = later(&world, 2 * DAY);
    let body = json!({ "certificate": id, "at": strikes.to_string(), "event": "function-retired",
                       "actor": { "id": "op-1" } });
    let shown = schedule(&world, "one", &body).unwrap();
    assert_eq!((&shown["state"], &shown["event"]), (&json!("waiting"), &json!("function-retired")));
    assert_eq!(shown["at"], strikes.to_string());
    assert_eq!(schedule(&world, "one", &body).unwrap()["id"], shown["id"], "the same call");
    assert_eq!(world.last_payload(EventCode::RevocationScheduled)["actor"]["id"], "op-1");
    let before = strikes.saturating_sub(Duration::from_secs(1));
    assert!(due(&world, before).is_empty());
    assert_eq!(due(&world, strikes), [shown["id"].as_str().unwrap()]);

    world.service.strike_scheduled_revocations(&AtomicBool::new(false)).unwrap();
    strike(&world, before);
    assert_eq!(state(&world, &id), api::CertificateState::Issued);
    let stopped = Reading { now: strikes, doubt: None };
    world.service.strike_scheduled(stopped, &AtomicBool::new(true)).unwrap();
    assert_eq!(state(&world, &id), api::CertificateState::Issued, "it waits for the next start");
    let world = world.restarted();
    let away = strikes.checked_add(Duration::from_secs(DAY)).unwrap();
    strike(&world, away);
    strike(&world, away);

    let revoked = world.service.show(&id).unwrap();
    assert_eq!(revoked.state, api::CertificateState::Revoked);
    assert_eq!(revoked.requested_at, Some(strikes.to_string()));
    assert_eq!(revoked.revoked_at, Some(away.to_string()));
    assert_eq!(world.leaves(EventCode::CertificateRevoked), 1);
    let leaf = world.last_payload(EventCode::CertificateRevoked);
    assert_eq!((&leaf["scheduled"], &leaf["certificates"]), (&shown["id"], &json!([id])));
    let told = shown["id"].as_str().unwrap();
    let done = world.service.scheduled_revocation(&world.caller(), told).unwrap();
    assert_eq!((done.state, done.revoked), (api::ScheduledState::Done, Some(1)));
    assert_eq!(cancel(&world, &world.caller(), told, "late"), Err("scheduled-over".to_owned()));
    assert!(due(&world, away).is_empty());
}

/// REV-10: the last day is a day in Sweden, in summer as in winter.
#[test]
fn the_last_day_ends_at_midnight_in_stockholm() {
    let at = |day: &str, now: &str| {
        let last_day = Some(day.to_owned());
        let request = api::ScheduleRequest { last_day, ..api::ScheduleRequest::default() };
        strikes(&request, time_of(now).unwrap()).map(|time| time.to_string())
    };
    assert_eq!(at("2027-01-31", "2027-01-31T22:59:59Z").unwrap(), "2027-01-31T23:00:00Z");
    assert!(at("2027-01-31", "2027-01-31T23:00:00Z").is_err(), "it is over");
    assert_eq!(at("2027-06-30", "2027-01-31T22:59:59Z").unwrap(), "2027-06-30T22:00:00Z");
    assert!(at("2027-02-30", "2027-01-01T00:00:00Z").is_err());
    assert!(at("2032-02-01", "2027-01-01T00:00:00Z").is_err());
}

/// REV-10: it is taken back by who may revoke, until its second, and never strikes then.
#[test]
fn what_is_taken_back_is_not_revoked() {
    let world = World::new();
    let id = issued(&world, "a");
    let strikes = later(&world, DAY);
    let body = json!({ "certificate": id, "at": strikes.to_string(), "reason": "superseded" });
    let shown = schedule(&world, "one", &body).unwrap();
    let rev = shown["id"].as_str().unwrap();
    let reads = Caller { revoke: false, ..world.caller() };
    assert_eq!(cancel(&world, &reads, rev, "c0"), Err("client-not-allowed".to_owned()));
    let organisations = Some([OrganisationId::from_bytes([9; 16])].into());
    let stranger = Caller {
        name: "stranger".to_owned(),
        revoker: Revoker::Client,
        organisations,
        ..world.caller()
    };
    for (key, unknown) in [("c1", rev), ("c2", "rev_x"), ("c3", &rev.replace("rev_", "ord_"))] {
        let refused = cancel(&world, &stranger, unknown, key);
        assert_eq!(refused, Err("scheduled-unknown".to_owned()));
    }

    assert_eq!(cancel(&world, &world.caller(), rev, "c4").unwrap()["state"], "cancelled");
    assert_eq!(cancel(&world, &world.caller(), rev, "c5").unwrap()["state"], "cancelled");
    assert_eq!(world.leaves(EventCode::RevocationUnscheduled), 1);
    strike(&world, strikes);
    assert_eq!(state(&world, &id), api::CertificateState::Issued);
}

/// REV-05, REV-10: what cannot be carried out later as it is said is refused when it is asked for.
#[test]
fn what_could_not_strike_as_it_is_said_is_refused() {
    let world = World::new();
    let id = issued(&world, "a");
    let at = later(&world, DAY).to_string();
    let past = world.now().to_string();
    let far = later(&world, 6 * 366 * DAY).to_string();
    let eid = "eid_01938d2c-0b1e-7000-8000-000000000001";
    for (key, body, code) in [
        ("1", json!({ "certificate": id, "at": past, "reason": "superseded" }), "scheduled-at"),
        ("2", json!({ "certificate": id, "at": far, "reason": "superseded" }), "scheduled-at"),
        ("3", json!({ "certificate": id, "reason": "superseded" }), "scheduled-at"),
        (
            "4",
            json!({ "certificate": id, "at": at, "last_day": "2099-01-01", "reason": "superseded" }),
            "scheduled-at",
        ),
        ("5", json!({ "certificate": id, "at": "soon", "reason": "superseded" }), "scheduled-at"),
        ("6", json!({ "at": at, "reason": "superseded" }), "scheduled-malformed"),
        (
            "7",
            json!({ "certificate": id, "eid": eid, "at": at, "reason": "superseded" }),
            "scheduled-malformed",
        ),
        ("8", json!({ "eid": eid, "at": at, "reason": "superseded" }), "eid-not-known"),
        ("9", json!({ "certificate": id, "at": at }), "reason-missing"),
        ("10", json!({ "certificate": id, "at": at, "event": "stolen" }), "event-not-for-kind"),
        (
            "11",
            json!({ "certificate": id, "at": at, "event": "wrongly-issued" }),
            "scheduled-reach",
        ),
        (
            "12",
            json!({ "certificate": id, "at": at, "reason": "cACompromise" }),
            "reason-not-allowed",
        ),
    ] {
        assert_eq!(schedule(&world, key, &body), Err(code.to_owned()), "{body}");
    }
    let hold = api::RevocationRequest {
        reason: Some(api::ReasonCode::CertificateHold),
        event: None,
        requested_at: None,
        actor: None,
    };
    let held = Said::read(&hold, None, Revoker::Operator).unwrap();
    assert_eq!(for_good(held.wish).refusal.code, "scheduled-hold");
    assert!(due(&world, later(&world, 6 * 366 * DAY)).is_empty());
    assert_eq!(world.leaves(EventCode::RevocationScheduled), 0);
}

/// REV-09: who may revoke so many in an hour does not get round that by asking for the next minute.
#[test]
fn what_is_asked_for_later_counts_now() {
    let mut world = World::new();
    world.service.alone = 1;
    let (first, second) = (issued(&world, "a"), issued(&world, "b"));
    let at = later(&world, DAY).to_string();
    let body = |id: &str| json!({ "certificate": id, "at": at, "reason": "superseded" });
    assert!(schedule(&world, "one", &body(&first)).is_ok());
    let refused = schedule(&world, "two", &body(&second));
    assert_eq!(refused, Err("revocations-alone-spent".to_owned()));
    assert_eq!(due(&world, later(&world, 6 * 366 * DAY)).len(), 1);
}

/// REV-13, architecture §2.5: a clock that is not believed strikes nothing before its time, and holds up nothing whose time has come.
#[test]
fn a_clock_in_doubt_strikes_nothing_early_and_stops_nothing() {
    let mut world = World::new();
    let id = issued(&world, "a");
    let strikes = later(&world, 50);
    let body = json!({ "certificate": id, "at": strikes.to_string(), "reason": "superseded" });
    schedule(&world, "one", &body).unwrap();
    let real =
        std::mem::replace(&mut world.service.clock, Clock::ahead_by(Duration::from_secs(0)).into());
    // The machine is 100 s past the second, and 200 s ahead of everything recorded: nobody believes it.
    let recorded = world.now().saturating_sub(Duration::from_secs(200));
    world.service.clock = Clock::start_after(recorded, Duration::from_secs(10)).into();
    assert!(world.service.clock().read().doubt.is_some());
    world.service.strike_scheduled_revocations(&AtomicBool::new(false)).unwrap();
    assert_eq!(state(&world, &id), api::CertificateState::Issued);

    world.service.clock = real;
    let doubt = Some(Doubt::Stepped(Duration::from_secs(7)));
    let reading = Reading { now: strikes, doubt };
    world.service.strike_scheduled(reading, &AtomicBool::new(false)).unwrap();
    assert_eq!(state(&world, &id), api::CertificateState::Revoked);
    assert_eq!(world.last_payload(EventCode::CertificateRevoked)["clock"], "a step of 7 s");
}

/// REV-01: requests that were taken elsewhere are each carried out and answered for themselves, once under each reference.
#[test]
fn requests_that_were_taken_elsewhere_are_registered_each_for_itself() {
    let world = World::new();
    let (first, second) = (issued(&world, "a"), issued(&world, "b"));
    let third = issued(&world, "c");
    let asked = world.now().saturating_sub(Duration::from_secs(7200)).to_string();
    let old = world.now().saturating_sub(Duration::from_secs(32 * DAY)).to_string();
    let line = |reference: &str, id: &str, at: &str, reason: &str| {
        json!({ "reference": reference, "requested_at": at, "asked_by": "holder", "way": "telephone",
                "certificate": id, "reason": reason })
    };
    let serial = world.service.show(&second).unwrap().serial;
    let authority = world.authority().name().to_owned();
    let by_serial = json!({ "reference": "B-2", "requested_at": asked, "asked_by": "SE1-1", "way": "paper",
                            "authority": authority, "serial": serial, "event": "key-exposed" });
    let send = |key: &str, lines: &[Value]| {
        let body = json!({ "requests": lines, "actor": { "id": "op-1" } });
        let call = world.call("/v1/revocation-requests", key, &body);
        let answered =
            world.run(&call, |service, work| service.register_requests(&world.caller(), work));
        let told = told(answered.map(|answered| answered.response));
        let answer: Result<api::RegisteredRequests, String> =
            told.map(|value| serde_json::from_value(value).unwrap());
        answer.map(|answer| {
            let outcome = |item: api::RegisteredRequest| {
                let code = item.problem.map(|problem| problem.code);
                (item.line, item.reference, code.unwrap_or_else(|| format!("{:?}", item.outcome)))
            };
            answer.items.into_iter().map(outcome).collect::<Vec<_>>()
        })
    };
    let of = |line: u32, reference: &str, what: &str| (line, reference.to_owned(), what.to_owned());

    let lines = [
        line("B-1", &first, &asked, "keyCompromise"),
        by_serial,
        line("B-3", "crt_01938d2c-0b1e-7000-8000-000000000001", &asked, "superseded"),
        line("B-4", &third, &old, "superseded"),
        line("B-5", &third, "2999-01-01T00:00:00Z", "superseded"),
        line("B 6", &third, &asked, "superseded"),
        line("B-7", &first, &asked, "superseded"),
        json!({ "reference": "B-8", "requested_at": asked, "asked_by": "a", "way": "visit", "reason": "superseded" }),
        json!({ "reference": "B-9", "requested_at": asked, "asked_by": " ", "way": "visit", "certificate": third,
                "reason": "superseded" }),
        line("B-1", &third, &asked, "superseded"),
    ];
    let told = [
        of(1, "B-1", "Done"),
        of(2, "B-2", "Done"),
        of(3, "B-3", "certificate-unknown"),
        of(4, "B-4", "requested-at-old"),
        of(5, "B-5", "requested-at-malformed"),
        of(6, "B 6", "request-malformed"),
        of(7, "B-7", "AlreadySo"),
        of(8, "B-8", "request-malformed"),
        of(9, "B-9", "request-malformed"),
        of(10, "B-1", "request-reference-taken"),
    ];
    assert_eq!(send("one", &lines).unwrap(), told);
    let revoked = world.service.show(&first).unwrap();
    assert_eq!(revoked.requested_at, Some(asked.clone()));
    assert_ne!(revoked.revoked_at, Some(asked.clone()), "REV-06");
    assert_eq!(state(&world, &second), api::CertificateState::Revoked);
    assert_eq!(state(&world, &third), api::CertificateState::Issued);
    let leaf = world.last_payload(EventCode::RevocationRegistered);
    assert_eq!((&leaf["reference"], &leaf["way"]), (&json!("B-7"), &json!("telephone")));
    let (leaves, refused) = (world.leaves(EventCode::RevocationRegistered), 7);
    assert_eq!((leaves, world.leaves(EventCode::RevocationRefused)), (3, refused));

    // Sent again after a break, under another key: nothing is done twice, and a refused reference is free.
    let mended = line("B-4", &third, &asked, "superseded");
    let again = send("two", &[lines[0].clone(), lines[1].clone(), mended]).unwrap();
    assert_eq!(again, [of(1, "B-1", "Done"), of(2, "B-2", "Done"), of(3, "B-4", "Done")]);
    assert_eq!(world.leaves(EventCode::RevocationRegistered), 4);
    assert_eq!(send("three", &[]), Err("request-malformed".to_owned()));
    let many = vec![lines[0].clone(); 101];
    assert_eq!(send("four", &many), Err("request-malformed".to_owned()));
    let reads = Caller { revoke: false, ..world.caller() };
    let call = world.call("/v1/revocation-requests", "five", &json!({ "requests": lines }));
    let refused = world.run(&call, |service, work| service.register_requests(&reads, work));
    assert_eq!(refused.unwrap_err().refusal.code, "client-not-allowed");
}
