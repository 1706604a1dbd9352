//! API-04: what a client that is limited to organisations hears of certificates that are not its.

use api::CertificateQuery;
use serde_json::{Value, json};

use super::*;
use crate::service::testing::World;

fn limited(world: &World, name: &str) -> Caller {
    Caller { name: name.to_owned(), organisations: Some([].into()), ..world.caller() }
}

/// A function's certificate that `portal` ordered.
fn issued(world: &World) -> Value {
    let issued = world.issue("a").unwrap();
    serde_json::from_slice(&issued.response.body).unwrap()
}

/// All that a refusal says, but for the name that was asked by.
fn said(denied: &Denied) -> (Kind, &'static str, &str, &str, &'static str) {
    let Denied { kind, refusal, .. } = denied;
    (*kind, refusal.code, &refusal.rule, &refusal.limit, refusal.next)
}

#[test]
fn what_a_client_does_not_see_is_not_there_whatever_it_asks() {
    let world = World::new();
    let one = issued(&world);
    let (id, serial) = (one["id"].as_str().unwrap(), one["serial"].as_str().unwrap());
    let (nothing, no_serial) = ("crt_019f0000-0000-7000-8000-000000000001", "7A01");
    let other = limited(&world, "other");
    let service = &world.service;
    let body = json!({ "reason": "superseded", "observations": [], "method": "ocsp" });
    let act = |key: &str,
               body: &Value,
               work: &dyn Fn(&Service, &OrderWork<'_>) -> Result<Answered, Denied>| {
        let mut call = world.call("/v1/certificates", key, body);
        call.client.clone_from(&other.name);
        match world.run(&call, |service, order| work(service, order)) {
            Ok(answered) => String::from_utf8(answered.response.body).unwrap(),
            Err(denied) => format!("{denied:?}"),
        }
    };
    let reason = json!({ "reason": "superseded" });
    let of = |name: &str| {
        [
            act(&format!("revoke {name}"), &reason, &|service, work| {
                service.revoke_for(&other, name, work)
            }),
            act(&format!("release {name}"), &json!({}), &|service, work| {
                service.release_for(&other, name, work)
            }),
            act(&format!("receipt {name}"), &body, &|service, work| {
                service.receipt_for(&other, name, work)
            }),
        ]
    };
    let hidden = of(id).map(|said| said.replace(id, nothing));
    assert_eq!(hidden, of(nothing));
    assert!(hidden.iter().all(|said| said.contains("certificate-unknown")), "{hidden:?}");
    let by_serial = |serial: &str| {
        act(&format!("serial {serial}"), &reason, &|service, work| {
            service.revoke_serial(&other, "issuing", serial, work)
        })
    };
    assert!(by_serial(serial).contains("serial-unknown"));
    assert_eq!(by_serial(serial), by_serial(no_serial));

    let shown = |id: &str| service.show_to(&other, id).unwrap_err();
    assert_eq!(said(&shown(id)), said(&shown(nothing)));
    assert_eq!(said(&shown(id)), said(&shown("no id")));
    let receipts = |id: &str| service.receipts_to(&other, id).unwrap_err();
    assert_eq!(said(&receipts(id)), said(&receipts(nothing)));
    let receipts = service.receipts_of_serial_to(&other, "issuing", serial).unwrap();
    assert!(receipts.items.is_empty());
    for (sha256, serial) in [(Some(one["sha256"].as_str().unwrap()), None), (None, Some(serial))] {
        let query = CertificateQuery {
            sha256: sha256.map(str::to_owned),
            authority: serial.map(|_| "issuing".to_owned()),
            serial: serial.map(str::to_owned),
            ..CertificateQuery::default()
        };
        assert!(service.list(&other, &query).unwrap().items.is_empty());
        assert_eq!(service.list(&world.caller(), &query).unwrap().items.len(), 1);
    }
    assert_eq!(
        service.show(id).unwrap().state,
        api::CertificateState::Issued,
        "nothing was done to it"
    );
}

#[test]
fn a_function_is_its_clients_and_a_list_is_of_one_organisation() {
    let world = World::new();
    let id = issued(&world)["id"].as_str().unwrap().to_owned();
    let own = limited(&world, "portal");
    let service = &world.service;

    assert!(service.show_to(&own, &id).is_ok());
    assert!(service.receipts_to(&own, &id).is_ok());
    let refused = service.list(&own, &CertificateQuery::default()).unwrap_err();
    assert_eq!((refused.kind, refused.refusal.code), (Kind::Rule, "query-malformed"));
    let of = |organisation: &str| CertificateQuery {
        organisation: Some(organisation.to_owned()),
        ..CertificateQuery::default()
    };
    let refused = service.list(&own, &of("2321000131")).unwrap_err();
    assert_eq!((refused.kind, refused.refusal.code), (Kind::NotFound, "organisation-unknown"));
    let blind = Caller { read: false, ..own.clone() };
    assert_eq!(service.show_to(&blind, &id).unwrap_err().kind, Kind::Forbidden);
    assert_eq!(service.list(&blind, &of("2321000131")).unwrap_err().kind, Kind::Forbidden);
    // What is of all organisations is not for it; an operator is limited to none.
    assert_eq!(own.must_read_all("read jobs").unwrap_err().refusal.code, "client-not-allowed");
    let operator = Caller { revoker: ca::revocation::Revoker::Operator, ..limited(&world, "desk") };
    assert!(operator.must_read_all("read jobs").is_ok());
    assert!(service.show_to(&operator, &id).is_ok());
    // Of no eID: found by who is limited to none.
    let unbound =
        |eid: &str| CertificateQuery { eid: Some(eid.to_owned()), ..CertificateQuery::default() };
    let found = service.list(&world.caller(), &unbound("none")).unwrap();
    assert!(found.items.iter().any(|one| one.id == id));
    let refused = service.list(&world.caller(), &unbound("every")).unwrap_err();
    assert_eq!(refused.refusal.code, "query-malformed");
}
