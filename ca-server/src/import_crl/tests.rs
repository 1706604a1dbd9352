//! Lists of an offline CA, signed by a key in memory, and what may not follow them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use x509::crl::{CrlFacts, IssuingDistributionPoint, Scope, TbsWriter};
use x509::key::SignatureAlgorithm;
use x509::signing::assemble;

use super::*;
use crate::service::testing::World;
use crate::start;

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;

/// A list to be signed.
#[derive(Clone, Copy)]
pub(crate) struct Wanted<'a> {
    number: u8,
    serials: &'a [u8],
    this_update: UnixTime,
    next_update: UnixTime,
    point: Option<&'a IssuingDistributionPoint>,
    key_id: Option<&'a [u8]>,
}

pub(crate) fn offline() -> World {
    let mut world = World::new();
    keep_token(&mut world, None);
    world
}

fn keep_token(world: &mut World, token: Option<&str>) {
    for authority in world.service.authorities.values_mut() {
        authority.section.token = token.map(str::to_owned);
    }
}

pub(crate) fn wanted<'a>(world: &World, number: u8, serials: &'a [u8]) -> Wanted<'a> {
    let this_update = world.now().saturating_sub(HOUR);
    let next_update = world.now().checked_add(DAY * 90).unwrap();
    Wanted { number, serials, this_update, next_update, point: None, key_id: None }
}

pub(crate) fn signed(world: &World, wanted: &Wanted<'_>) -> Vec<u8> {
    let certificate = &world.authority().certificate;
    let entries: Vec<RevokedEntry> = wanted
        .serials
        .iter()
        .map(|octet| RevokedEntry {
            serial: SerialNumber::from_random([*octet; 16]),
            revocation_date: UnixTime::from_secs(1_790_000_000).unwrap(),
            reason: None,
            invalidity_date: None,
        })
        .collect();
    let own = certificate.ski().unwrap().0;
    let facts = CrlFacts {
        algorithm: ALGORITHM,
        issuer: certificate.subject().as_der(),
        authority_key_id: wanted.key_id.unwrap_or(&own),
        this_update: wanted.this_update,
        next_update: wanted.next_update,
        number: &[wanted.number],
        kind: x509::crl::CrlKind::COMPLETE,
        issuing_distribution_point: wanted.point,
        expired_certs_on_crl: None,
    };
    let length = entries.iter().map(RevokedEntry::encoded_length).sum();
    let mut writer = TbsWriter::start(Vec::new(), &facts, length).unwrap();
    entries.iter().for_each(|entry| writer.push(entry).unwrap());
    let (tbs, _) = writer.finish().unwrap();
    assemble(&tbs, ALGORITHM, &world.signer.sign_outside(&tbs)).unwrap()
}

fn import(world: &World, octets: &[u8]) -> Result<Imported, &'static str> {
    let (service, file) = (&world.service, world.folder("root.crl"));
    std::fs::write(&file, octets).unwrap();
    run(&service.authorities, service.store(), &service.files, &file, world.now())
        .map_err(|error| start::code(&error))
}

pub(crate) fn numbers(world: &World) -> (String, u64) {
    let store = world.service.store();
    let id = world.authority().id;
    let mut count = 0;
    store.revoked(id, UnixTime::EPOCH, &mut |view| count = view.rows.count()).unwrap();
    let count = u64::try_from(count).unwrap();
    (store.current_crl(id, &CrlScope::full()).unwrap().unwrap().number.to_string(), count)
}

/// CRL-04: entries and list in one act, published; the same once more changes nothing.
#[test]
fn a_new_list_and_its_entries_are_taken_in_together_and_twice_is_once() {
    let world = offline();
    for (number, serials, entries) in [(5, &[1][..], 2), (6, &[1, 2, 3], 4)] {
        let list = signed(&world, &wanted(&world, number, serials));
        for entries in [entries, 0] {
            assert_eq!(import(&world, &list).unwrap().entries, entries);
            let listed = u64::try_from(serials.len()).unwrap();
            assert_eq!(numbers(&world), (format!("{number:02X}"), listed));
            assert_eq!(std::fs::read(world.service.files.path("crl/issuing.crl")).unwrap(), list);
        }
    }
}

/// CRL-02, OPS-02: outputs that are imported again, as after a restore, leave a newer list where it is; and the tree
/// takes no older list from anybody.
#[test]
fn outputs_that_are_imported_again_leave_a_newer_list_in_place() {
    let world = offline();
    let service = &world.service;
    let (first, newer) = (wanted(&world, 5, &[1]), wanted(&world, 6, &[1, 2]));
    let (first, newer) = (signed(&world, &first), signed(&world, &newer));
    let certificate = world.authority().certificate.as_der();
    let hash = |octets: &[u8]| base16ct::lower::encode_string(&Sha256::digest(octets));
    let manifest = world.folder("outputs.json");
    std::fs::write(world.folder("issuing.cer"), certificate).unwrap();
    std::fs::write(world.folder("first.crl"), &first).unwrap();
    let outputs = json!({
        "format": "sigill-ceremony-outputs/1",
        "deployment": { "environment": "test", "pki": "demo", "instance": "abcd" },
        "authorities": [
            { "name": "issuing", "certificate": "issuing.cer", "sha256": hash(certificate) }
        ],
        "crls": [{ "authority": "issuing", "crl": "first.crl", "sha256": hash(&first) }],
        "delegates": [],
        "responders": [],
    });
    std::fs::write(&manifest, outputs.to_string()).unwrap();
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../environments/demo/ca.toml");
    let mut config = crate::config::ConfigFile::read(Path::new(example)).unwrap();
    config.publication.folder = world.folder("publish");
    let mut section = world.authority().section.clone();
    section.sha256 = hash(certificate);
    config.authorities = vec![section];
    let again = |world: &World| {
        let (service, now) = (&world.service, world.now());
        let (store, files) = (service.store(), &service.files);
        crate::import::run(&config, service.deployment, store, files, &manifest, now).unwrap()
    };
    let published = || std::fs::read(service.files.path("crl/issuing.crl")).unwrap();

    again(&world);
    assert_eq!(published(), first);
    import(&world, &newer).unwrap();
    again(&world);
    assert_eq!((published(), numbers(&world)), (newer.clone(), ("06".to_owned(), 2)));

    let row = |list: &[u8], number: &str| PublishedCrl {
        path: "crl/issuing.crl".to_owned(),
        sha256: Sha256::digest(list).into(),
        number: number.to_owned(),
        position: None,
    };
    let file = world.folder("older.crl");
    std::fs::write(&file, &first).unwrap();
    assert!(service.files.publish(&file, row(&first, "05")).is_err());
    assert_eq!(published(), newer);

    // The database is from a time before the newest list.
    std::fs::write(&file, b"number 9").unwrap();
    service.files.publish(&file, row(b"number 9", "09")).unwrap();
    again(&world);
    let between = signed(&world, &wanted(&world, 8, &[1, 2]));
    assert_eq!(import(&world, &between), Err("crl-not-newer"));
    assert_eq!((published(), numbers(&world)), (b"number 9".to_vec(), ("06".to_owned(), 2)));
}

/// CRL-02, CRL-04, CRL-11: whatever may not follow the last list changes nothing.
#[test]
fn refuses_a_list_that_may_not_follow() {
    let mut world = offline();
    let first = wanted(&world, 5, &[1]);
    let last = signed(&world, &first);
    import(&world, &last).unwrap();
    let good = wanted(&world, 6, &[1]);
    let now = world.now();
    let point = IssuingDistributionPoint { full_name: Vec::new(), scope: Scope::CaCertificates };
    for (list, code) in [
        (Wanted { number: 5, this_update: now.saturating_sub(HOUR / 2), ..good }, "crl-not-newer"),
        (Wanted { number: 4, ..good }, "crl-not-newer"),
        (Wanted { this_update: now.saturating_sub(HOUR * 2), ..good }, "crl-not-newer"),
        (Wanted { serials: &[2], ..good }, "crl-loses-entries"),
        (Wanted { serials: &[], ..good }, "crl-loses-entries"),
        (Wanted { next_update: now.saturating_sub(HOUR / 2), ..good }, "crl-not-valid-now"),
        (Wanted { this_update: now.checked_add(HOUR).unwrap(), ..good }, "crl-not-valid-now"),
        (Wanted { point: Some(&point), ..good }, "crl-scope"),
        (Wanted { key_id: Some(&[1; 20]), ..good }, "crl-scope"),
    ] {
        assert_eq!(import(&world, &signed(&world, &list)), Err(code));
    }
    let list = signed(&world, &good);
    let mut changed = list.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(import(&world, &changed), Err("crl-of-nobody"));
    assert_eq!(import(&world, &list[..list.len() - 1]), Err("crl-unreadable"));
    assert_eq!(import(&world, b"no list"), Err("crl-unreadable"));
    keep_token(&mut world, Some("issuing"));
    assert_eq!(import(&world, &list), Err("crl-of-online-authority"));
    keep_token(&mut world, None);

    assert_eq!(numbers(&world), ("05".to_owned(), 1));
    assert_eq!(std::fs::read(world.service.files.path("crl/issuing.crl")).unwrap(), last);
    import(&world, &list).unwrap();
}

/// CRL-04: not ready for the end of a list that is 60 days away, nor where there is none.
#[test]
fn readiness_tells_of_an_end_until_the_next_list_is_taken_in() {
    let world = offline();
    let is_well = || {
        world.service.observe_offline_crls().unwrap();
        world.service.remind_of_offline_crls().unwrap();
        world.service.readiness.offline_crls.load(Ordering::Relaxed)
    };
    assert!(!is_well(), "no list at all");
    for (number, days, wanted_well) in [(5, 59, false), (6, 61, true), (7, 6, false), (8, 90, true)]
    {
        let next_update = world.now().checked_add(DAY * days).unwrap();
        let list = Wanted { next_update, ..wanted(&world, number, &[]) };
        import(&world, &signed(&world, &list)).unwrap();
        assert_eq!(is_well(), wanted_well, "{days} days");
    }
}
