//! PRO-20: domains by calls, and the rule at issuing, as organisations and the clients of others meet them.

use std::time::Duration;

use ca::revocation::Revoker;

use super::*;
use crate::service::order::Act;
use crate::service::testing::{Key, World};

type Acted<'a> = &'a dyn Fn(&Service, &Caller, &OrderWork<'_>) -> Result<Answered, Denied>;

fn operator(world: &World) -> Caller {
    Caller { name: "desk".to_owned(), revoker: Revoker::Operator, ..world.caller() }
}

fn called(
    world: &World,
    caller: &Caller,
    key: &str,
    body: &Value,
    work: Acted<'_>,
) -> Result<Value, String> {
    let mut call = world.call("/v1/domains", key, body);
    call.act = Act::Organise;
    call.client.clone_from(&caller.name);
    let answered = world.run(&call, |service, order| work(service, caller, order));
    let body = answered.map_err(|denied| denied.refusal.code.to_owned())?.response.body;
    serde_json::from_slice(&body).map_err(|_| String::from_utf8_lossy(&body).into_owned())
}

fn id(shown: &Value) -> String {
    shown["id"].as_str().unwrap().to_owned()
}

/// An area with a region, which has a part, and another organisation beside it.
struct Sweden {
    region: String,
    part: String,
    other: String,
}

fn sweden(world: &World) -> Sweden {
    let add = |kind: &str, name: &str, parent: Option<&str>, number: Option<&str>| {
        let mut body = json!({ "kind": kind, "name": name, "from": "2020-01-01", "actor": "op-1" });
        for (field, value) in [("parent", parent), ("number", number)] {
            if let Some(value) = value {
                body[field] = json!(value);
            }
        }
        let add: Acted<'_> = &|service, caller, work| service.add_organisation(caller, work);
        id(&called(world, &operator(world), name, &body, add).unwrap())
    };
    let area = add("issuing-area", "Väst", None, None);
    let region = add("directly-connected", "Sigill Test", Some(&area), Some("2321000131"));
    let part = add("sub-organisation", "Ambulans", Some(&region), None);
    let other = add("third-party", "Bolaget", Some(&area), Some("5565594230"));
    Sweden { region, part, other }
}

/// A client of this organisation that may change what lies under it.
fn client_of(world: &World, organisation: &str) -> Caller {
    let own = [organisation.parse().unwrap()];
    Caller { organisations: Some(own.into()), organise: true, ..world.caller() }
}

fn state(
    world: &World,
    caller: &Caller,
    organisation: &str,
    domain: &str,
) -> Result<Value, String> {
    let body = json!({ "organisation": organisation, "domain": domain, "actor": "au-1" });
    let key = format!("{} {domain} {organisation}", caller.name);
    called(world, caller, &key, &body, &|service, caller, work| service.state_domain(caller, work))
}

fn proof(world: &World, method: &str, lasts: u64) -> Value {
    let until = world.now().checked_add(Duration::from_secs(lasts)).unwrap();
    json!({
        "method": method, "seen_at": world.now().to_string(), "seen_by": "au-1",
        "reference": "form 17", "valid_until": until.to_string(), "actor": "au-1",
    })
}

fn prove(
    world: &World,
    caller: &Caller,
    domain: &Value,
    key: &str,
    body: &Value,
) -> Result<Value, String> {
    let id = id(domain);
    called(world, caller, key, body, &|service, caller, work| {
        service.prove_domain(caller, &id, work)
    })
}

fn proved(world: &World, organisation: &str, domain: &str, lasts: u64) -> Value {
    let operator = operator(world);
    let stated = state(world, &operator, organisation, domain).unwrap();
    let key = format!("prove {domain} {organisation}");
    prove(world, &operator, &stated, &key, &proof(world, "owner-form", lasts)).unwrap()
}

/// `done`, or the code of the refusal.
fn ordered(world: &World, owner: Option<&str>, name: &str, key: &str) -> String {
    let csr = x509::pem::encode(x509::pem::Label::CertificateRequest, &Key::new().request());
    let mut body = json!({
        "profile": "function-ec", "csr": csr,
        "subject": {
            "common_name": name, "hsa_id": "TSTNMT2321000156-B02", "organization": "Sigill Test",
        },
        "alternative_names": { "dns": [name] },
    });
    if let Some(owner) = owner {
        body["function"] = json!({ "owner": owner });
    }
    match world.order(&world.call("/v1/certificates", key, &body)) {
        Ok(answered) if answered.response.content_type == "done" => "done".to_owned(),
        Ok(answered) => String::from_utf8(answered.response.body).unwrap(),
        Err(denied) => denied.refusal.code.to_owned(),
    }
}

#[test]
fn a_domain_is_stated_proved_proved_again_and_withdrawn() {
    let world = World::new();
    let Sweden { region, part, .. } = sweden(&world);
    let own = client_of(&world, &region);

    let stated = state(&world, &own, &region, "example.se").unwrap();
    assert_eq!(stated["state"], "stated");
    assert!(stated["token"].as_str().unwrap().starts_with("sigill-domain-proof="));
    assert_eq!(state(&world, &own, &region, "example.se").unwrap(), stated, "the same call");
    let by_token = proof(&world, "dns-txt", 86_400);
    let shown = prove(&world, &own, &stated, "one", &by_token).unwrap();
    assert_eq!((&shown["state"], &shown["token"]), (&json!("proved"), &Value::Null));
    let again = prove(&world, &own, &stated, "two", &by_token).unwrap_err();
    assert_eq!(again, "domain-proof-token", "a token is for one proof");
    let act = json!({ "actor": "au-1", "note": "next year" });
    let (of, with) = (id(&stated), &act);
    let token: Acted<'_> = &|service, caller, work| service.token_of_domain(caller, &of, work);
    let fresh = called(&world, &own, "token", with, token).unwrap();
    assert_ne!(fresh["token"], stated["token"]);
    let shown = prove(&world, &own, &stated, "three", &by_token).unwrap();
    assert_eq!(shown["proofs"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&shown["proofs"][0]["seen_by"], &shown["proofs"][0]["reference"]),
        (&json!("au-1"), &json!("form 17"))
    );

    let below = state(&world, &client_of(&world, &part), &part, "ambulans.example.se").unwrap();
    let list = |caller: &Caller, query: api::DomainQuery| {
        let page = world.service.domains(caller, &query).unwrap();
        let mut names: Vec<_> = page.items.into_iter().map(|one| one.domain).collect();
        names.sort();
        names
    };
    let covers = |name: &str| api::DomainQuery {
        covers: Some(name.to_owned()),
        ..api::DomainQuery::default()
    };
    assert_eq!(list(&own, covers("a.ambulans.example.se")), ["ambulans.example.se", "example.se"]);
    assert_eq!(list(&own, covers("evilexample.se")), <[&str; 0]>::default());
    assert_eq!(
        list(&client_of(&world, &part), covers("a.ambulans.example.se")),
        ["ambulans.example.se"]
    );

    // Which proofs end, by when: neither what has none nor, below, what was withdrawn.
    let before = |secs: u64| {
        let time = world.now().checked_add(Duration::from_secs(secs)).unwrap();
        api::DomainQuery { until_before: Some(time.to_string()), ..api::DomainQuery::default() }
    };
    assert_eq!(list(&own, before(86_500)), ["example.se"]);
    assert_eq!(list(&own, before(80_000)), <[&str; 0]>::default());
    let soon = api::DomainQuery { until_before: Some("soon".to_owned()), ..before(1) };
    assert_eq!(world.service.domains(&own, &soon).unwrap_err().refusal.code, "domain-malformed");

    let withdraw: Acted<'_> = &|service, caller, work| service.withdraw_domain(caller, &of, work);
    let gone = called(&world, &own, "withdraw", &act, withdraw).unwrap();
    assert_eq!(gone["state"], "withdrawn");
    assert_eq!(list(&own, before(86_500)), <[&str; 0]>::default());
    assert_eq!(called(&world, &own, "again", &act, withdraw).unwrap_err(), "domain-withdrawn");
    assert_eq!(id(&below), world.service.domain(&own, &id(&below)).unwrap().id);
    assert_eq!(world.leaves(EventCode::DomainStated), 3);
    assert_eq!(world.leaves(EventCode::DomainProved), 2);
    assert_eq!(world.leaves(EventCode::DomainWithdrawn), 1);
}

/// API-04: what is another organisation's is not there; what a right does not cover is refused.
#[test]
fn nobody_reaches_the_domains_of_others() {
    let world = World::new();
    let Sweden { region, part, other } = sweden(&world);
    let theirs = proved(&world, &other, "example.org", 86_400);
    let above = proved(&world, &region, "example.se", 86_400);
    let own = client_of(&world, &region);
    let act = json!({ "actor": "au-1" });

    for (caller, domain) in [(&own, &theirs), (&client_of(&world, &part), &above)] {
        let of = id(domain);
        let shown = world.service.domain(caller, &of).unwrap_err();
        assert_eq!((shown.kind, shown.refusal.code), (Kind::NotFound, "domain-unknown"));
        let refused = [
            prove(&world, caller, domain, "prove", &proof(&world, "owner-form", 9)),
            called(&world, caller, "token", &act, &|s, c, w| s.token_of_domain(c, &of, w)),
            called(&world, caller, "withdraw", &act, &|s, c, w| s.withdraw_domain(c, &of, w)),
        ];
        for refused in refused {
            assert_eq!(refused.unwrap_err(), "domain-unknown");
        }
    }
    assert_eq!(state(&world, &own, &other, "x.example.org").unwrap_err(), "organisation-unknown");
    let may_not = Caller { organise: false, ..client_of(&world, &region) };
    assert_eq!(state(&world, &may_not, &region, "x.se").unwrap_err(), "client-not-allowed");
    let under = api::DomainQuery { organisation: Some(other), ..api::DomainQuery::default() };
    let refused = world.service.domains(&own, &under).unwrap_err();
    assert_eq!(refused.refusal.code, "organisation-unknown");
    // One organisation at a time has proved a domain.
    let second = state(&world, &own, &region, "example.org").unwrap();
    let taken = prove(&world, &own, &second, "second", &proof(&world, "owner-form", 9));
    assert_eq!(taken.unwrap_err(), "domain-taken");
}

#[test]
fn what_is_no_domain_and_no_proof_is_refused() {
    let world = World::new();
    let Sweden { region, .. } = sweden(&world);
    let own = client_of(&world, &region);
    for (domain, code) in [
        ("se", "domain-malformed"),
        ("example.se.", "domain-malformed"),
        ("Example.se", "domain-malformed"),
        ("*.example.se", "domain-malformed"),
        ("exämple.se", "domain-malformed"),
        ("co.uk", "domain-public-suffix"),
    ] {
        assert_eq!(state(&world, &own, &region, domain).unwrap_err(), code, "{domain}");
    }
    let stated = state(&world, &own, &region, "example.se").unwrap();
    let with = |field: &str, value: &str| {
        let mut body = proof(&world, "owner-form", 86_400);
        body[field] = json!(value);
        body
    };
    for (body, code) in [
        (with("method", "hearsay"), "domain-proof-method"),
        (with("method", "No method"), "domain-proof-method"),
        (with("seen_at", "2099-01-01T00:00:00Z"), "domain-proof-seen"),
        (with("valid_until", "2099-01-01T00:00:00Z"), "domain-proof-until"),
        (with("valid_until", "2020-01-01T00:00:00Z"), "domain-proof-until"),
        (with("seen_at", "yesterday"), "domain-malformed"),
        (with("seen_by", " "), "domain-malformed"),
        (with("reference", &"x".repeat(201)), "domain-malformed"),
    ] {
        let key = body.to_string();
        assert_eq!(prove(&world, &own, &stated, &key, &body).unwrap_err(), code, "{body}");
    }
}

/// PRO-20: each DNS name lies under a domain that its owner, or what that lies under, has proved, and that is fresh.
#[test]
fn a_name_without_a_fresh_proof_of_its_owner_is_refused() {
    let mut world = World::new();
    let Sweden { region, part, other } = sweden(&world);
    assert_eq!(ordered(&world, None, "idp.example.se", "waived"), "done");
    assert_eq!(ordered(&world, Some(&other), "idp.example.se", "named"), "function-owner-refused");
    world.service.domain_rule = DomainRule::Kept;
    let refused = |owner: Option<&str>, name: &str, key: &str, code: &str| {
        let before = world.leaves(EventCode::CertificateIntent);
        assert_eq!(ordered(&world, owner, name, key), code, "{key}");
        assert_eq!(world.leaves(EventCode::CertificateIntent), before, "{key}");
    };
    let (of_region, of_part) = (Some(region.as_str()), Some(part.as_str()));

    refused(None, "idp.example.se", "no owner", "function-owner-missing");
    refused(Some("org_none"), "idp.example.se", "no such", "function-owner-refused");
    refused(of_region, "idp.example.se", "early", "domain-not-proved");
    let domain = proved(&world, &region, "example.se", 86_400);
    proved(&world, &other, "example.org", 86_400);
    // A refusal that time may lift is not kept: the same call goes on.
    assert_eq!(ordered(&world, of_region, "idp.example.se", "now"), "done");
    assert_eq!(ordered(&world, of_part, "a.b.example.se", "below"), "done");
    assert_eq!(world.last_payload(EventCode::CertificateIntent)["owner"], json!(part));
    for (name, code) in [
        ("idp.example.org", "domain-of-another"),
        ("evilexample.se", "domain-not-proved"),
        ("example.se.evil.com", "domain-not-proved"),
        ("xn--exmple-cua.se", "domain-not-proved"),
        ("idp.example.se.", "field-malformed"),
        ("IDP.example.se", "field-character"),
    ] {
        let answered = ordered(&world, of_region, name, name);
        if code.starts_with("domain") {
            assert_eq!(answered, code, "{name}");
        } else {
            assert!(answered.starts_with("field-"), "{name}: {answered}");
        }
    }
    // What lies under an organisation proves nothing for it.
    proved(&world, &part, "ambulans.example.net", 86_400);
    refused(of_region, "a.ambulans.example.net", "of below", "domain-of-another");
    assert_eq!(ordered(&world, of_part, "a.ambulans.example.net", "own"), "done");
    // Withdrawn: from that act on.
    let of = id(&domain);
    let act = json!({ "actor": "au-1" });
    let withdraw: Acted<'_> = &|service, caller, work| service.withdraw_domain(caller, &of, work);
    called(&world, &operator(&world), "withdraw", &act, withdraw).unwrap();
    refused(of_region, "idp.example.se", "withdrawn", "domain-not-proved");
}

/// PRO-20: to the second.
#[test]
fn a_proof_that_ran_out_carries_no_certificate() {
    let mut world = World::new();
    let Sweden { region, .. } = sweden(&world);
    world.service.domain_rule = DomainRule::Kept;
    proved(&world, &region, "example.se", 1);
    std::thread::sleep(Duration::from_millis(2_100));
    assert_eq!(ordered(&world, Some(&region), "idp.example.se", "late"), "domain-run-out");
}
