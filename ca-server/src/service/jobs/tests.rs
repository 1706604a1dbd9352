//! REV-09, REV-11: one decision, as the service takes and carries it out.

use std::sync::Arc;

use ca::revocation::Revoker;
use serde_json::{Value, json};
use status::ReceiptMethod;
use store::{CertificateLookup, Log};

use super::worker::Round;
use super::*;
use crate::service::actor::Acting;
use crate::service::actor::tests::who_has_signed;
use crate::service::order::{Act, OrderAnswered};
use crate::service::probing::tests::sees_what_is_so;
use crate::service::receipt::tests::Revoked;
use crate::service::testing::World;

fn operator(world: &World, name: &str) -> Caller {
    Caller { name: name.to_owned(), revoker: Revoker::Operator, ..world.caller() }
}

fn asked(
    world: &World,
    (who, key): (&str, &str),
    body: &Value,
    work: impl FnOnce(&Service, &Caller, &OrderWork<'_>) -> Result<Answered, Denied>,
) -> Result<Value, Denied> {
    let caller = operator(world, who);
    let mut call = world.call("/v1/jobs", key, body);
    call.act = Act::Decide;
    call.client = who.to_owned();
    let answered = world.run(&call, |service, order| work(service, &caller, order))?;
    shown(&answered)
}

fn shown(answered: &OrderAnswered) -> Result<Value, Denied> {
    match serde_json::from_slice(&answered.response.body) {
        Ok(shown) => Ok(shown),
        // A refusal that was stored stands there by its code.
        Err(_) => Err(malformed(&String::from_utf8_lossy(&answered.response.body), "")),
    }
}

fn plan_body(wave: u32) -> Value {
    json!({
        "reason": "keyCompromise", "selector": { "profile": "function-ec" }, "wave": wave, "pause": 0,
        "actor": "op-1", "note": "weak keys of one maker"
    })
}

fn planned(world: &World, key: &str, body: &Value) -> Value {
    asked(world, ("desk", key), body, Service::plan_job).unwrap()
}

fn acted(world: &World, who: (&str, &str), job: &Value, body: &Value) -> Result<Value, Denied> {
    let id = job["id"].as_str().unwrap().to_owned();
    asked(world, who, body, |service, caller, work| service.act_on_job(caller, &id, work))
}

fn forecast(world: &World, job: &Value) -> Value {
    acted(world, ("desk", "forecast"), job, &json!({ "act": "forecast", "actor": "op-1" }))
        .unwrap();
    worked(world);
    let shown = world.service.job(job["id"].as_str().unwrap()).unwrap();
    serde_json::to_value(shown).unwrap()
}

fn worked(world: &World) {
    while world.service.work_on_jobs().unwrap() == Round::More {}
}

fn start(operation: &Value) -> Value {
    json!({ "act": "start", "actor": "op-1", "operation": operation })
}

fn states(world: &World) -> Vec<String> {
    let page = world.service.list(&world.caller(), &api::CertificateQuery::default()).unwrap();
    page.items.iter().map(|one| format!("{:?}", one.state)).collect()
}

#[test]
fn what_two_decide_is_done_and_nothing_else() {
    let mut world = World::new();
    world.service.alone = 1;
    world.issue("a").unwrap();
    world.issue("b").unwrap();
    let job = planned(&world, "plan", &plan_body(10));
    assert_eq!(planned(&world, "plan", &plan_body(10)), job, "a call that is repeated finds it");
    let counted = forecast(&world, &job);
    world.issue("late").unwrap();

    let told = &counted["forecast"];
    assert_eq!((&told["certificates"], &told["waves"]), (&json!(2), &json!(1)));
    assert_eq!(told["authorities"][0]["authority"], json!("issuing"));
    let stranger = acted(&world, ("board", "stranger"), &job, &start(&told["operation"]));
    let stranger = stranger.unwrap_err();
    assert_eq!((stranger.kind, stranger.refusal.code), (Kind::Forbidden, "job-start-other"));
    let waits = acted(&world, ("desk", "s"), &job, &start(&told["operation"])).unwrap();
    assert_eq!(waits["state"], json!("waiting"));
    worked(&world);
    assert_eq!(states(&world), ["Issued"; 3]);

    let approve =
        |actor: &str| json!({ "act": "approve", "actor": actor, "operation": told["operation"] });
    let own = acted(&world, ("desk", "own"), &job, &approve("op-2")).unwrap_err();
    assert_eq!((own.kind, own.refusal.code), (Kind::Forbidden, "job-approval-own"));
    let same = acted(&world, ("board", "same"), &job, &approve("op-1")).unwrap_err();
    assert_eq!(same.refusal.code, "job-approval-own");
    let mut other = approve("op-2");
    other["operation"] = json!("0".repeat(64));
    let other = acted(&world, ("board", "other"), &job, &other).unwrap_err();
    assert_eq!((other.kind, other.refusal.code), (Kind::Conflict, "job-operation-differs"));
    acted(&world, ("board", "a"), &job, &approve("op-2")).unwrap();
    worked(&world);

    assert_eq!(states(&world), ["Revoked", "Revoked", "Issued"]);
    let done = world.service.job(job["id"].as_str().unwrap()).unwrap();
    assert_eq!((done.state, done.issued_since), (api::JobState::Done, Some(1)));
    assert_eq!(world.leaves(EventCode::JobRevoked), 1);
    let leaf = world.last_payload(EventCode::JobRevoked);
    assert_eq!((&leaf["certificates"], &leaf["wave-ended"]), (&json!(2), &json!(true)));
    assert!(
        world.authority().take_crl_wish(|| Ok(None)).unwrap(),
        "its CRL is asked for when the wave has ended"
    );
}

/// REV-09: where somebody signed, two clients and two names in their calls do not make two of him.
#[test]
fn one_administrator_with_two_clients_is_one_hand() {
    let mut world = World::new();
    world.service.alone = 0;
    world.issue("a").unwrap();
    let one = who_has_signed(&world, "TSTNMT2321000156-1001", 1);
    let another = who_has_signed(&world, "TSTNMT2321000156-1002", 2);
    let by = |caller: &Caller, who: &Arc<Acting>| Caller {
        acting: Some(Arc::clone(who)),
        ..caller.clone()
    };
    let job = asked(&world, ("desk", "plan"), &plan_body(10), |service, caller, work| {
        service.plan_job(&by(caller, &one), work)
    })
    .unwrap();
    let counted = forecast(&world, &job);
    let operation = &counted["forecast"]["operation"];
    let id = job["id"].as_str().unwrap();
    let signed = |who: &Arc<Acting>, call: (&str, &str), body: &Value| {
        asked(&world, call, body, |service, caller, work| {
            service.act_on_job(&by(caller, who), id, work)
        })
    };
    let waits = signed(&one, ("desk", "start"), &start(operation)).unwrap();
    assert_eq!(waits["state"], json!("waiting"));

    let approve = json!({ "act": "approve", "actor": "op-2", "operation": operation });
    let own = signed(&one, ("board", "own"), &approve).unwrap_err();
    assert_eq!((own.kind, own.refusal.code), (Kind::Forbidden, "job-approval-own"));
    let runs = signed(&another, ("board", "other"), &approve).unwrap();
    assert_eq!(runs["state"], json!("running"));
}

/// REV-09: one credential that revokes one after the other is stopped, and somebody hears of it once.
#[test]
fn a_credential_is_stopped_at_what_it_may_alone() {
    let mut world = World::new();
    world.service.alone = 2;
    let ids: Vec<String> = (0..4)
        .map(|number| {
            let issued = world.issue(&format!("order-{number}")).unwrap();
            let issued: Value = serde_json::from_slice(&issued.response.body).unwrap();
            issued["id"].as_str().unwrap().to_owned()
        })
        .collect();
    let revoke = |id: &String| {
        let mut call =
            world.call("/v1/certificates/x/revocation", id, &json!({ "reason": "superseded" }));
        call.act = Act::Revoke;
        world.run(&call, |service, work| service.revoke(Revoker::Client, id, work))
    };
    let mut refused = Vec::new();
    for id in &ids {
        refused.extend(revoke(id).err());
    }

    // The hour may end meanwhile: then two more pass.
    if refused.is_empty() {
        return a_credential_is_stopped_at_what_it_may_alone();
    }
    let denied = refused.last().unwrap();
    assert_eq!((denied.kind, denied.refusal.code), (Kind::Limited, "revocations-alone-spent"));
    assert!(denied.refusal.next.contains("sigill revoke"), "{denied}");
    assert!(denied.retry_after.is_some());
    assert_eq!(world.leaves(EventCode::LimitRevocations), 1);
    // Two who decide are not stopped.
    let job = planned(&world, "plan", &plan_body(10));
    let counted = forecast(&world, &job);
    let operation = &counted["forecast"]["operation"];
    acted(&world, ("desk", "s"), &job, &start(operation)).unwrap();
    let approve = json!({ "act": "approve", "actor": "op-2", "operation": operation });
    if counted["forecast"]["certificates"].as_u64().unwrap() > 2 {
        acted(&world, ("board", "a"), &job, &approve).unwrap();
    }
    worked(&world);
    assert!(states(&world).iter().all(|state| state == "Revoked"), "{:?}", states(&world));
}

#[test]
fn jobs_are_for_operators_and_say_what_they_want() {
    let world = World::new();
    let client = Caller { revoker: Revoker::Client, ..world.caller() };
    assert_eq!(may_decide(&client).unwrap_err().refusal.code, "client-not-allowed");
    let reader = Caller { revoke: false, ..operator(&world, "desk") };
    assert_eq!(may_decide(&reader).unwrap_err().refusal.code, "client-not-allowed");

    let mut body = plan_body(0);
    let mut refused = |key: &str, change: Value| {
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let denied = asked(&world, ("desk", key), &body, Service::plan_job).unwrap_err();
        // One that was stored is read back by its code.
        [denied.refusal.code.to_owned(), denied.refusal.seen]
    };
    for (number, (change, code)) in [
        (json!({}), "job-malformed"),
        (json!({ "wave": 1, "pause": 86_401 }), "job-malformed"),
        (json!({ "pause": 0, "reason": "certificateHold" }), "job-malformed"),
        (json!({ "reason": "cACompromise" }), "reason-not-allowed"),
        (json!({ "reason": "superseded", "note": " " }), "job-malformed"),
        (json!({ "note": "x", "selector": { "issued_from": "yesterday" } }), "job-malformed"),
        (json!({ "selector": { "authority": "nobody" } }), "authority-unknown"),
        (json!({ "selector": { "profile_sha256": "ab" } }), "job-malformed"),
        (json!({ "selector": { "person": "x" } }), "body-malformed"),
    ]
    .into_iter()
    .enumerate()
    {
        let said = refused(&format!("k-{number}"), change);
        assert!(said.contains(&code.to_owned()), "{number}: {said:?}");
    }
    assert_eq!(world.service.store().jobs().unwrap(), []);
}

/// A responder's delegate is not revoked by a job that does not name its profile: nobody would hear of the others.
#[test]
fn what_keeps_the_pki_at_work_goes_by_its_name_only() {
    let world = World::new();
    let selector = |profile: Option<&str>| {
        let profile = profile.map(str::to_owned);
        world
            .service
            .selector_of(&api::JobSelector { profile, ..api::JobSelector::default() })
            .unwrap()
    };

    let of_all = selector(None).excluded;
    assert!(of_all.contains(&"ocsp".to_owned()), "{of_all:?}");
    assert!(!of_all.contains(&"function-ec".to_owned()), "{of_all:?}");
    assert!(!selector(Some("ocsp")).excluded.contains(&"ocsp".to_owned()));
}

/// REV-11: an organisation stands for its number and those of what lies under it; one without any selects nothing, and not all.
#[test]
fn a_job_is_about_an_organisation_and_what_lies_under_it() {
    let world = World::new();
    let add = |name: &str, kind: &str, under: Option<&Value>, number: Option<&str>| {
        let mut body = json!({ "kind": kind, "name": name, "from": "2020-01-01", "actor": "op-1" });
        if let Some(under) = under {
            body["parent"] = under["id"].clone();
        }
        if let Some(number) = number {
            body["number"] = json!(number);
        }
        asked(&world, ("desk", name), &body, |service, caller, work| {
            service.add_organisation(caller, work)
        })
        .unwrap()
    };
    let empty = add("Öst", "issuing-area", None, None);
    let area = add("Väst", "issuing-area", None, None);
    let region = add("Region", "directly-connected", Some(&area), Some("2321000131"));
    add("Ambulans", "sub-organisation", Some(&region), Some("5565594230"));
    add("Bolaget", "third-party", Some(&area), Some("2321000016"));
    let selector = |selector: Value| {
        let wanted: api::JobSelector = serde_json::from_value(selector).unwrap();
        let read = world.service.selector_of(&wanted);
        read.map(|one| one.organisations).map_err(|denied| denied.refusal.code)
    };

    let of_region = selector(json!({ "organisation": region["id"] })).unwrap();
    assert_eq!(of_region, ["2321000131", "5565594230"]);
    assert_eq!(selector(json!({ "organisation": area["id"] })).unwrap().len(), 3);
    let both = json!({ "organisation": region["id"], "organisations": ["2321000016"] });
    assert_eq!(selector(both).unwrap().len(), 3);
    assert_eq!(selector(json!({ "organisation": empty["id"] })), Err("job-malformed"));
    assert_eq!(selector(json!({ "organisation": "org_1" })), Err("organisation-unknown"));
    assert_eq!(selector(json!({ "organisations": ["2321000132"] })), Err("job-malformed"));
    let mut body = plan_body(10);
    body["selector"] = json!({ "organisation": region["id"] });
    let job = planned(&world, "plan", &body);
    assert_eq!(job["selector"]["organisations"], json!(of_region));
    // Functions are of no eID.
    world.issue("a").unwrap();
    assert_eq!(forecast(&world, &job)["forecast"]["certificates"], json!(0));
}

#[test]
fn a_list_is_added_in_parts_and_selects_alone() {
    let world = World::new();
    let issued: Vec<Value> = ["a", "b"]
        .map(|key| serde_json::from_slice(&world.issue(key).unwrap().response.body).unwrap())
        .into();
    let mut body = plan_body(10);
    body["selector"] = json!({});
    let job = planned(&world, "plan", &body);
    let id = job["id"].as_str().unwrap().to_owned();
    let add = |key: &str, body: Value| {
        asked(&world, ("desk", key), &body, |service, caller, work| {
            service.add_job_terms(caller, &id, work)
        })
    };

    let serial = json!({ "authority": "issuing", "serial": issued[1]["serial"] });
    assert_eq!(add("1", json!({ "serials": [serial] })).unwrap()["terms"], 1);
    assert_eq!(add("2", json!({ "cards": ["9752269800000000001"] })).unwrap()["terms"], 2);
    for (number, refused) in [
        json!({ "keys": ["ab"] }),
        json!({ "certificates": ["crt_1"] }),
        json!({ "cards": [""] }),
        json!({ "serials": [{ "authority": "issuing", "serial": "no" }] }),
        json!({ "holders": ["1212121212"] }),
        json!({ "holders": ["TST2321000016-1"] }),
        json!({ "hsa_ids": ["TST2321000016-100200000000000000"] }),
        json!({ "hsa_ids": ["TST 1"] }),
    ]
    .into_iter()
    .enumerate()
    {
        assert!(add(&format!("r-{number}"), refused).is_err(), "{number}");
    }
    let person = json!({ "holders": ["19121212-1212"], "hsa_ids": ["TST2321000016-1002"] });
    assert_eq!(add("p", person).unwrap()["terms"], 4);
    let said = add("s", json!({ "holders": ["1912121212121"] })).unwrap_err();
    assert!(!format!("{said:?}").contains("19121212"), "a refused number is not repeated");
    let counted = forecast(&world, &job);

    let told = &counted["forecast"];
    assert_eq!((&told["certificates"], &told["unmatched_terms"]), (&json!(1), &json!(3)));
    let items = world.service.job_items(&world.caller(), &id, None, None).unwrap().items;
    assert_eq!(json!(items[0].certificate), issued[1]["id"]);
    let late = add("3", json!({ "cards": ["1"] })).unwrap_err();
    assert_eq!((late.kind, late.refusal.code), (Kind::Conflict, "job-state"));
}

/// REV-09, CRL-06: lists of shards are counted, in signatures and octets.
#[test]
fn a_forecast_counts_the_lists_of_shards() {
    let mut world = World::new();
    let hour = std::time::Duration::from_secs(3600);
    let plan = crl::ShardPlan::new("http://crl.example.org/issuing/", hour, 1).unwrap();
    for authority in world.service.authorities.values_mut() {
        *authority.places.lock().unwrap() = None;
        authority.shard_plan = Some(plan.clone());
    }
    for order in ["a", "b"] {
        assert!(world.service.tend_shards(world.authority()).is_ok());
        world.issue(order).unwrap();
    }
    let counted = forecast(&world, &planned(&world, "plan", &plan_body(10)));

    let (told, part) = (&counted["forecast"], &counted["forecast"]["authorities"][0]);
    assert_eq!((&part["crl_shards"], &told["waves"]), (&json!(2), &json!(1)));
    assert_eq!(told["crl_signatures"], json!(3), "the full one and two of shards");
    let number = |name: &str| part[name].as_u64().unwrap();
    assert!(number("crl_shard_octets") > 0);
    assert_eq!(
        number("crl_shard_octets_after") - number("crl_shard_octets"),
        number("crl_octets_after") - number("crl_octets")
    );
    let slow = planned(&world, "slow", &plan_body(1));
    let act = json!({ "act": "forecast", "actor": "op-1" });
    acted(&world, ("desk", "forecast-2"), &slow, &act).unwrap();
    worked(&world);
    let slow = world.service.job(slow["id"].as_str().unwrap()).unwrap().forecast.unwrap();
    assert_eq!(slow.crl_signatures, 4, "two waves, one certificate in each");
}

/// REV-11: what a job could not revoke is refused where it is named, not passed over.
#[test]
fn a_serial_of_an_offline_authority_is_refused() {
    let mut world = World::new();
    let job = planned(&world, "plan", &plan_body(10));
    let id = job["id"].as_str().unwrap().to_owned();
    world.service.authorities.get_mut("issuing").unwrap().section.token = None;
    let body = json!({ "serials": [{ "authority": "issuing", "serial": "0A0B" }] });

    let refused = asked(&world, ("desk", "add"), &body, |service, caller, work| {
        service.add_job_terms(caller, &id, work)
    });

    assert_eq!(refused.unwrap_err().refusal.code, "authority-offline");
}

/// REV-11: an authority that went out of the configuration stops no job.
#[test]
fn a_job_goes_on_where_an_authority_is_gone() {
    let mut world = World::new();
    for number in 0..3 {
        world.issue(&format!("order-{number}")).unwrap();
    }
    let job = planned(&world, "plan", &plan_body(1));
    let counted = forecast(&world, &job);
    acted(&world, ("desk", "s"), &job, &start(&counted["forecast"]["operation"])).unwrap();
    world.service.authorities.clear();

    worked(&world);

    let done = world.service.job_row(job_id(job["id"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!((done.state, done.progress.revoked), (ca::job::JobState::Done, 3));
}

/// Each step's certificates, entries and leaf are there or not: a restart goes on where it was.
#[test]
fn a_restart_goes_on_with_the_job() {
    let world = World::new();
    for number in 0..3 {
        world.issue(&format!("order-{number}")).unwrap();
    }
    let job = planned(&world, "plan", &plan_body(1));
    let counted = forecast(&world, &job);
    acted(&world, ("desk", "s"), &job, &start(&counted["forecast"]["operation"])).unwrap();
    assert_eq!(world.service.work_on_jobs().unwrap(), Round::More);
    let before = world.counts();

    let world = world.restarted();
    worked(&world);

    let page = world.service.list(&world.caller(), &api::CertificateQuery::default()).unwrap();
    assert!(page.items.iter().all(|one| one.state == api::CertificateState::Revoked));
    assert_eq!(world.counts().0, before.0 + 2);
    let head = world.service.store().log_head(Log::Status).unwrap();
    let id = page.items[0].id.parse().unwrap();
    let record = world.service.store().certificate(&CertificateLookup::Id(id)).unwrap().unwrap();
    assert!(record.row.status.position.index < head.size);
}

/// Promise 4, REV-11: a job tells how much of it the world has been seen to show, OCSP and CRL apart, and past which limit
/// somebody is told of the rest.
#[test]
fn a_job_tells_what_is_receipted_and_what_waits_past_its_limit() {
    let mut revoked = Revoked::new("");
    revoked.world.issue("another").unwrap();
    let world = &revoked.world;
    let job = planned(world, "plan", &plan_body(1));
    let counted = forecast(world, &job);
    acted(world, ("desk", "s"), &job, &start(&counted["forecast"]["operation"])).unwrap();
    worked(world);
    let shown = |world: &World| world.service.job(job["id"].as_str().unwrap()).unwrap();
    let told = |of: &[api::job::JobReceipts]| -> Vec<_> {
        of.iter().map(|one| (one.of, one.receipted, one.waiting, one.limit_seconds)).collect()
    };
    assert_eq!(shown(world).state, api::JobState::Done);
    assert_eq!(told(&shown(world).receipts), [(2, 0, 2, 60), (2, 0, 2, 3600)]);

    sees_what_is_so(&revoked, "stockholm");
    assert_eq!(told(&shown(world).receipts), [(2, 0, 2, 60), (2, 0, 2, 3600)], "one has not");
    std::thread::sleep(std::time::Duration::from_millis(1100));
    revoked.world.service.receipts.as_mut().unwrap().ocsp_limit = std::time::Duration::ZERO;
    let world = &revoked.world;
    let late: Vec<_> = shown(world).receipts.iter().map(api::job::JobReceipts::is_late).collect();
    assert_eq!(late, [true, false], "OCSP alone is past its limit");

    assert_eq!(sees_what_is_so(&revoked, "umea").receipted, 4);
    let all = shown(world);
    assert_eq!(told(&all.receipts), [(2, 2, 0, 0), (2, 2, 0, 3600)]);
    assert!(all.receipts.iter().all(|one| !one.is_late() && one.slowest_serial.is_some()));
    let waves: Vec<_> = all.waves.iter().map(|wave| told(&wave.receipts)).collect();
    assert_eq!(waves, [[(1, 1, 0, 0), (1, 1, 0, 3600)], [(1, 1, 0, 0), (1, 1, 0, 3600)]]);

    revoked.world.service.receipts.as_mut().unwrap().methods = vec![ReceiptMethod::Crl];
    assert_eq!(told(&shown(&revoked.world).receipts), [(2, 2, 0, 3600)]);
    revoked.world.service.receipts = None;
    assert!(shown(&revoked.world).receipts.is_empty(), "where nobody looks nothing is told");
}
