//! What stands on the lists of a service whose key is in memory.

use ca::audit::Actor;
use status::{AnswerClasses, RevocationReason};
use store::{Import, ImportedChange, ImportedState};
use x509::crl::{CrlForm, CrlReader, CrlTail};

use super::*;
use crate::service::testing::World;

const DAY: Duration = Duration::from_secs(86_400);

/// A certificate that was revoked and has ended two days ago.
fn expired(world: &World, octet: u8) -> SerialNumber {
    let (now, serial) = (world.now(), SerialNumber::from_random([octet; 16]));
    let state = ImportedState {
        issuer: world.authority().id,
        serial,
        not_after: now.saturating_sub(DAY * 2),
        answers: AnswerClasses::USUAL,
        change: ImportedChange::Revoked {
            reason: Some(RevocationReason::Superseded),
            effective: now.saturating_sub(DAY * 3),
            invalidity: None,
        },
    };
    let record = Service::record(
        EventCode::ImportRevocation,
        EventResult::Done,
        Actor::System([0; 16]),
        ObjectIds::default(),
        None,
        &json!({}),
        Subject::Deployment,
    );
    let import = Import { states: vec![state], ..Import::default() };
    world.service.store().import(&import, &record, now).unwrap();
    serial
}

fn published(world: &World) -> (Vec<SerialNumber>, CrlTail) {
    let octets = fs::read(world.service.files.path("crl/issuing.crl")).unwrap();
    let mut reader =
        CrlReader::start(octets.as_slice(), CrlForm::CertificateList, crl::MAX_OCTETS).unwrap();
    let serials = reader.by_ref().map(|entry| entry.unwrap().serial).collect();
    (serials, reader.finish().unwrap())
}

fn keep_from(world: &mut World, from: Option<Day>) {
    for authority in world.service.authorities.values_mut() {
        authority.section.crl_keeps_expired_from = from;
    }
}

fn make(world: &World) -> Result<(), &'static str> {
    world.service.make_crl(world.authority()).map_err(|denied| denied.refusal.code)
}

/// CRL-09, CRL-10: without the day an expired entry goes after one more list; with it it stays, the list says so,
/// and the day is not taken back.
#[test]
fn expired_entries_stay_on_the_list_from_the_configured_day_on() {
    let world = World::new();
    let serial = expired(&world, 1);
    make(&world).unwrap();
    let (listed, tail) = published(&world);
    assert_eq!((listed, tail.extensions.expired_certs_on_crl), (vec![serial], None));
    make(&world).unwrap();
    assert_eq!(published(&world).0, []);

    let mut world = World::new();
    let serial = expired(&world, 1);
    let day = Day::containing(world.now().saturating_sub(DAY * 2));
    keep_from(&mut world, Some(day));
    for _ in 0..3 {
        make(&world).unwrap();
        let (listed, tail) = published(&world);
        assert_eq!(listed, [serial]);
        assert_eq!(tail.extensions.expired_certs_on_crl, Some(day.begin()));
    }
    for other in [None, Some(Day::containing(world.now()))] {
        keep_from(&mut world, other);
        assert_eq!(make(&world), Err("crl-refused"), "{other:?}");
    }
    assert_eq!(published(&world).0, [serial]);
}
