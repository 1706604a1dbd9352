use status::{AfterExpiry, AnswerClasses, CertificateEntry, Change, RevocationReason, StatusEntry};
use store::{CertificateFilter, Log, StatusAct, StatusChange, StatusTarget};

use super::*;
use crate::service::testing::World;

const FUNCTION: &str = "TSTNMT2321000156-B02";
const ANOTHER: &str = "TSTNMT2321000156-B03";

/// `done`, or the code of the refusal that the call is answered with.
fn issue(world: &World, hsa_id: &str, key: &str) -> String {
    let response = world.issue_with_its_request(hsa_id, key).unwrap().response;
    match response.content_type.as_str() {
        "refused" => String::from_utf8(response.body).unwrap(),
        done => done.to_owned(),
    }
}

fn revoke_all(world: &World, reason: RevocationReason) {
    let store = world.service.store();
    let page = store.list_certificates(&CertificateFilter::default(), None, 100).unwrap();
    for row in page.rows {
        let change = StatusChange {
            target: StatusTarget::Certificate(row.id),
            act: StatusAct::Revoke { reason: Some(reason), invalidity: None },
            requested_at: None,
            alone: None,
        };
        let record = Service::record(
            EventCode::CertificateRevoked,
            EventResult::Done,
            world.service.system(),
            ObjectIds::default(),
            None,
            &json!({}),
            Subject::Deployment,
        );
        store.change_status(&change, &record, world.service.clock().read().now).unwrap();
    }
}

/// ISS-12: refused before anything is recorded.
#[test]
fn a_key_of_another_or_of_a_compromise_is_refused() {
    let world = World::new();

    assert_eq!(issue(&world, FUNCTION, "one"), "done");
    assert_eq!(issue(&world, FUNCTION, "two"), "done");
    assert_eq!(issue(&world, ANOTHER, "three"), "key-of-another");
    revoke_all(&world, RevocationReason::Superseded);
    assert_eq!(issue(&world, FUNCTION, "four"), "done");
    assert_eq!(world.leaves(EventCode::CertificateIntent), 3);

    let world = World::new();
    assert_eq!(issue(&world, FUNCTION, "one"), "done");
    revoke_all(&world, RevocationReason::KeyCompromise);
    assert_eq!(issue(&world, FUNCTION, "two"), "key-compromised");
    assert_eq!(world.leaves(EventCode::CertificateIntent), 1);
}

/// ISS-12: a profile that wants a new key for each certificate.
#[test]
fn a_profile_that_wants_new_keys_refuses_the_second_use() {
    let mut world = World::new();
    world.edit_profile("function-ec", "[key]", "[key]\nreuse = \"never\"");

    assert_eq!(issue(&world, FUNCTION, "one"), "done");
    assert_eq!(issue(&world, FUNCTION, "two"), "key-used");
}

/// OCSP-13: the status log says of each certificate what its profile chose for the time after its end.
#[test]
fn the_log_says_what_the_profile_chose_for_after_the_end() {
    let section = "[status]\nafter-expiry = \"unknown\"\n\n[request]";
    for (to, after_expiry) in [("[request]", AfterExpiry::Kept), (section, AfterExpiry::Unknown)] {
        let mut world = World::new();
        world.edit_profile("function-ec", "[request]", to);
        assert_eq!(issue(&world, FUNCTION, "one"), "done");
        let store = world.service.store();
        let head = store.log_head(Log::Status).unwrap();
        let entries = store.log_entries(Log::Status, head.epoch, 0..head.size).unwrap();
        let chosen: Vec<AnswerClasses> = entries
            .iter()
            .filter_map(|entry| match StatusEntry::decode(&entry.bytes).unwrap() {
                StatusEntry::Certificate(CertificateEntry {
                    change: Change::Issued { classes, .. },
                    ..
                }) => Some(classes),
                _ => None,
            })
            .collect();
        assert_eq!(chosen, [AnswerClasses { after_expiry, ..AnswerClasses::USUAL }]);
    }
}
