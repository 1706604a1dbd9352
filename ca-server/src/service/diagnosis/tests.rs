//! Certificates that are shown, whoever issued them. What lies on cards is diagnosed in tests/refusals.

use std::sync::Arc;

use serde_json::{Value, json};
use status::{AnswerClasses, RevocationReason};
use store::{Import, ImportedChange, ImportedState, OrganisationId};

use super::super::testing::World;
use super::*;

/// A function's certificate, by its bytes.
fn pem_of(world: &World, key: &str) -> String {
    let body: Value = serde_json::from_slice(&world.issue(key).unwrap().response.body).unwrap();
    body["certificate"].as_str().unwrap().to_owned()
}

fn about(pem: &str) -> api::DiagnosisRequest {
    api::DiagnosisRequest { certificate_pem: Some(pem.to_owned()), ..Default::default() }
}

fn codes(found: &api::Diagnosis) -> Vec<&str> {
    found.obstacles.iter().map(|one| one.code.as_str()).collect()
}

#[test]
fn a_certificate_is_of_the_ca_whose_key_signed_it() {
    let (ours, mut theirs) = (World::new(), World::new());
    let pem = pem_of(&ours, "one");
    let ask = |world: &World| world.service.diagnose(&world.caller(), &about(&pem)).unwrap();

    let found = ask(&ours);
    assert_eq!(
        (found.works, codes(&found), found.certificates.len()),
        (false, vec!["not-of-a-person"], 1)
    );
    // A CA of the same name, with another key.
    assert_eq!(codes(&ask(&theirs)), ["forged"]);
    let name = ours.authority().certificate.subject().text_of(AttributeType::CommonName.oid());
    theirs.service.authorities.clear();
    assert_eq!(codes(&ask(&theirs)), ["unknown-issuer"]);
    theirs.service.elsewhere.insert(name.unwrap(), "prod".to_owned());
    let found = ask(&theirs);
    assert_eq!(codes(&found), ["other-environment"]);
    assert!(found.obstacles[0].reason_sv.contains("miljö, prod"), "{found:?}");
}

/// A certificate that the database has lost is as the log says of its serial number, and not one that was never issued.
#[test]
fn a_certificate_that_the_database_has_not_is_as_the_log_says() {
    let world = World::new();
    let (authority, now) = (world.authority(), world.now());
    // The CA's key has signed it, and no table has it.
    let certificate = &authority.certificate;
    let pem = pem::encode(Label::Certificate, certificate.as_der());
    let ask = || world.service.diagnose(&world.caller(), &about(&pem)).unwrap();
    assert_eq!(codes(&ask()), ["never-issued"]);

    let reason = Some(RevocationReason::KeyCompromise);
    let state = ImportedState {
        issuer: authority.id,
        serial: certificate.serial(),
        not_after: certificate.validity().not_after(),
        answers: AnswerClasses::USUAL,
        change: ImportedChange::Revoked { reason, effective: now, invalidity: None },
    };
    let import = Import { states: vec![state], ..Import::default() };
    let record = crate::service::signing::failed_try(world.service.system(), &json!({}));
    world.service.store().import(&import, &record, now).unwrap();

    assert_eq!(codes(&ask()), ["revoked", "not-of-a-person"]);
}

/// API-04: who is limited to organisations hears the same of another's certificate as of none.
#[test]
fn what_is_not_the_callers_is_not_there() {
    let (world, other) = (World::new(), World::new());
    let organisations: Arc<[OrganisationId]> =
        ["org_019f0000-0000-7000-8000-000000000001".parse().unwrap()].into();
    let name = "another".to_owned();
    let limited = Caller { name, organisations: Some(organisations), ..world.caller() };
    let id = |world: &World| {
        let body: Value =
            serde_json::from_slice(&world.issue("id").unwrap().response.body).unwrap();
        body["id"].as_str().unwrap().to_owned()
    };
    let by_id = |id: String| api::DiagnosisRequest { certificate: Some(id), ..Default::default() };
    let (theirs, none) = (by_id(id(&world)), by_id(id(&other)));

    let refused = |asked: &api::DiagnosisRequest| {
        let denied = world.service.diagnose(&limited, asked).unwrap_err();
        (denied.kind, denied.refusal)
    };
    assert_eq!(refused(&theirs), refused(&none));
    assert_eq!(refused(&theirs), refused(&about(&pem_of(&world, "two"))));
    assert!(world.service.diagnose(&world.caller(), &theirs).is_ok());
    let blind = Caller { read: false, ..world.caller() };
    assert_eq!(world.service.diagnose(&blind, &theirs).unwrap_err().kind, Kind::Forbidden);
}

#[test]
fn a_question_names_one_thing_in_a_form_that_can_be_read() {
    let world = World::new();
    let pem = pem_of(&world, "one");
    let refused = |asked: &api::DiagnosisRequest| {
        let denied = world.service.diagnose(&world.caller(), asked).unwrap_err();
        let refusal = denied.refusal;
        (refusal.code, refusal.seen)
    };
    let two = api::DiagnosisRequest { card_number: Some("1".to_owned()), ..about(&pem) };
    let level = api::DiagnosisRequest { level: Some(4), ..about(&pem) };
    let malformed = |seen: &str| ("diagnosis-malformed", seen.to_owned());

    assert_eq!(refused(&api::DiagnosisRequest::default()), malformed("0 things"));
    assert_eq!(refused(&two), malformed("2 things"));
    assert_eq!(refused(&level), malformed("4"));
    // What was sent is not repeated.
    for text in
        ["", "Tolvan", &pem.replace("MII", "MIJ"), &pem.replace("CERTIFICATE", "PRIVATE KEY")]
    {
        assert_eq!(refused(&about(text)), malformed("another text"), "{text}");
    }
}
