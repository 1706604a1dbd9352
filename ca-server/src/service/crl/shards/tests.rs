//! Shards of a service whose key is in memory.

use ca::audit::EventCode;
use ca::key_period::KeyState;
use ca::revocation::Revoker;
use crl::{CrlNumber, ShardPlan};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use status::PublishedCrl;
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlReader};
use x509::serial::SerialNumber;

use super::*;
use crate::publication::crl_files::CrlFiles;
use crate::service::testing::World;

const URLS: &str = "http://crl.example.org/issuing/";
const FULL: &str = "http://crl.example.org/issuing.crl";
const HOUR: Duration = Duration::from_secs(3600);

fn number(number: u32) -> ShardNumber {
    ShardNumber::new(number).unwrap()
}

fn choose(world: &mut World, urls: Option<&str>, places: u32) {
    let plan = urls.map(|urls| ShardPlan::new(urls, HOUR, places).unwrap());
    for authority in world.service.authorities.values_mut() {
        *authority.places.lock().unwrap() = None;
        authority.shard_plan.clone_from(&plan);
    }
}

fn sharded(places: u32) -> World {
    let mut world = World::new();
    choose(&mut world, Some(URLS), places);
    tend(&world);
    world
}

fn tend(world: &World) {
    if let Err(denied) = world.service.tend_shards(world.authority()) {
        panic!("{}: {}", denied.refusal.code, denied.refusal.seen);
    }
}

/// A certificate, and the URL that it names.
fn issue(world: &World, key: &str) -> (String, Certificate, String) {
    let shown: Value = serde_json::from_slice(&world.issue(key).unwrap().response.body).unwrap();
    let id = shown["id"].as_str().unwrap().to_owned();
    let pem = shown["certificate"].as_str().unwrap();
    let der = x509::pem::decode_one(pem, x509::pem::Label::Certificate).unwrap();
    let certificate = Certificate::from_der(&der).unwrap();
    let url = certificate.crl_uris().pop().unwrap();
    (id, certificate, url)
}

fn revoke(world: &World, id: &str) {
    let path = format!("/v1/certificates/{id}/revocation");
    let call = world.call(&path, &format!("revoke {id}"), &json!({ "reason": "superseded" }));
    let answer = world.run(&call, |service, work| service.revoke(Revoker::Client, id, work));
    assert!(answer.is_ok());
}

/// Entries, the URL of the IDP, number and nextUpdate of a published list.
fn list(world: &World, path: &str) -> (Vec<SerialNumber>, Option<String>, Vec<u8>, UnixTime) {
    let octets = fs::read(world.service.files.path(path)).unwrap();
    let form = CrlForm::CertificateList;
    let mut reader = CrlReader::start(octets.as_slice(), form, crl::MAX_OCTETS).unwrap();
    let entries = reader.by_ref().map(|entry| entry.unwrap().serial).collect();
    let next = reader.head().next_update.unwrap();
    let extensions = reader.finish().unwrap().extensions;
    let point = extensions.issuing_distribution_point;
    let point = point.and_then(|value| IssuingDistributionPoint::from_der(&value));
    let url = point.and_then(|mut point| point.full_name.pop());
    (entries, url, extensions.number.unwrap(), next)
}

fn shard(world: &World, shard: u32) -> (Vec<SerialNumber>, Option<String>, Vec<u8>, UnixTime) {
    list(world, &CrlFiles::shard_path("issuing", number(shard)))
}

/// CRL-06, CRL-07: a certificate names the list of the shard that it is put into, whose issuing distribution point is that
/// URL to the octet; once revoked it stands on that list, on no other shard's, and on the full one.
#[test]
fn a_certificate_stands_on_the_list_that_it_names() {
    let world = sharded(1);
    let (first, one, at_one) = issue(&world, "one");
    tend(&world);
    let (second, two, at_two) = issue(&world, "two");
    assert_eq!(at_one, format!("{URLS}000001.crl"));
    assert_eq!(at_two, format!("{URLS}000002.crl"));

    revoke(&world, &first);
    tend(&world);
    let before = shard(&world, 2).2;
    assert_eq!(shard(&world, 1).0, [one.serial()]);
    assert_eq!(shard(&world, 2).0, []);
    revoke(&world, &second);
    tend(&world);
    for (shard, serial, url) in
        [(shard(&world, 1), one.serial(), at_one), (shard(&world, 2), two.serial(), at_two)]
    {
        assert_eq!((shard.0, shard.1), (vec![serial], Some(url)));
    }
    assert!(shard(&world, 2).2 > before, "numbers rise");

    world.service.make_list(world.authority(), List::Full).unwrap();
    let (mut full, point, ..) = list(&world, "crl/issuing.crl");
    let mut both = vec![one.serial(), two.serial()];
    full.sort();
    both.sort();
    assert_eq!((full, point), (both, None), "the full list tells all");
}

/// CRL-03, CRL-06: what another node has changed is on the list of its shard, too, as soon as this one has seen it in the log; and
/// what the list has already costs no other.
#[test]
fn what_another_node_has_revoked_is_on_the_list_of_its_shard() {
    let world = sharded(2);
    let (id, one, _) = issue(&world, "one");
    tend(&world);
    revoke(&world, &id);
    // The wish of this node's own call is another's: taken, and kept by nobody.
    assert!(world.authority().take_shard_wish());
    tend(&world);
    assert_eq!(shard(&world, 1).0, [], "nobody has told of it");
    let head = world.service.store().log_head(store::Log::Status).unwrap();
    let position = status::Position { epoch: head.epoch, index: head.size - 1 };
    world.authority().ask_for_crl_over(position);

    tend(&world);

    let (entries, _, listed, _) = shard(&world, 1);
    assert_eq!(entries, [one.serial()]);
    world.authority().ask_for_crl_over(position);
    tend(&world);
    assert_eq!(shard(&world, 1).2, listed, "the list has it");
}

/// CRL-06: a shard whose first list is not published gives no places away, so that nobody finds nothing at its URL. Until
/// then certificates name the full list, which stands.
#[test]
fn nobody_is_sent_to_a_list_that_is_not_there() {
    let mut world = World::new();
    choose(&mut world, Some(URLS), 1);
    assert_eq!(issue(&world, "early").2, FULL);
    world.service.publication.tell_theirs();
    tend(&world);
    assert_eq!(issue(&world, "of another node").2, FULL, "the node that publishes opens shards");
    world.takes_the_publication();
    tend(&world);
    assert_eq!(issue(&world, "one").2, format!("{URLS}000001.crl"));
    assert_eq!(issue(&world, "full").2, FULL, "one place, and no further shard yet");
}

/// CRL-07: another choice holds for new certificates alone; the lists that older ones name go on at their URLs.
#[test]
fn another_choice_moves_no_certificate() {
    let mut world = sharded(10);
    let (first, one, at_one) = issue(&world, "one");
    choose(&mut world, Some("http://crl2.example.org/other/"), 10);
    tend(&world);
    let (second, two, at_two) = issue(&world, "two");
    assert_eq!(at_two, "http://crl2.example.org/other/000002.crl", "that of before is closed");
    choose(&mut world, None, 0);
    tend(&world);
    let (third, _, at_three) = issue(&world, "three");
    assert_eq!(at_three, FULL);

    for id in [&first, &second, &third] {
        revoke(&world, id);
    }
    tend(&world);

    let (entries, url, ..) = shard(&world, 1);
    assert_eq!((entries, url), (vec![one.serial()], Some(at_one)));
    let (entries, url, ..) = shard(&world, 2);
    assert_eq!((entries, url), (vec![two.serial()], Some(at_two)));
}

/// Publishes the list of shard 1 as that of number 7, which the database does not know: as if it had been put back from a
/// backup.
fn publish_unknown(world: &World) {
    let octets = fs::read(world.service.files.path("crl/issuing/000001.crl")).unwrap();
    let file = world.service.files.spool("unknown.crl");
    fs::write(&file, &octets).unwrap();
    let row = PublishedCrl {
        path: CrlFiles::shard_path("issuing", number(7)),
        sha256: Sha256::digest(&octets).into(),
        number: "7F".to_owned(),
        position: None,
    };
    world.service.files.publish(&file, row).unwrap();
}

/// CRL-11: the list of a shard is compared with the one before it, and not published without an entry that it had; that keeps
/// back no other shard's.
#[test]
fn a_shard_loses_no_entry() {
    let world = sharded(2);
    let (first, one, _) = issue(&world, "one");
    revoke(&world, &first);
    tend(&world);
    publish_unknown(&world);
    let (second, two, _) = issue(&world, "two");
    revoke(&world, &second);

    let denied = world.service.tend_shards(world.authority()).unwrap_err();

    assert_eq!(denied.refusal.code, "crl-refused", "{}", denied.refusal.seen);
    let mut both = vec![one.serial(), two.serial()];
    both.sort();
    assert_eq!(shard(&world, 1).0, both);
    assert_eq!(shard(&world, 7).0, [one.serial()], "what was published stands");
}

/// CRL-02, CRL-07: a database that was put back from before a shard was opened learns of it from what is published, and
/// gives neither its number nor its URL to another. Its list goes on, above the number that is published.
#[test]
fn a_published_shard_is_not_opened_again() {
    let world = sharded(1);
    publish_unknown(&world);
    issue(&world, "one");
    tend(&world);
    issue(&world, "two");
    tend(&world);
    let shards = world.service.shards(world.authority()).unwrap();
    let told: Vec<_> = shards.iter().map(|shard| (shard.number.value(), shard.places)).collect();
    assert_eq!(told, [(1, 0), (7, 0), (8, 0), (9, 1)]);
    let (entries, url, above, _) = shard(&world, 7);
    assert_eq!((entries, url), (vec![], Some(format!("{URLS}000001.crl"))));
    assert!(CrlNumber::from_content_octets(&above).unwrap() > CrlNumber::from(0x7f));
}

/// CRL-05: with the last full list each shard has its last, too; those that are lost come back from our own copies.
#[test]
fn a_ca_ends_with_the_last_lists_of_its_shards() {
    let mut world = sharded(5);
    let (id, one, _) = issue(&world, "one");
    revoke(&world, &id);
    for authority in world.service.authorities.values_mut() {
        authority.issuer = authority.issuer.clone().retired();
        assert_eq!(authority.issuer.period().state(), KeyState::Retired);
    }
    let both = ["op-7".to_owned(), "op-9".to_owned()];

    world.service.make_last_crl(world.authority(), &both).unwrap();

    let (entries, _, _, next) = shard(&world, 1);
    assert_eq!((entries, next), (vec![one.serial()], UnixTime::LAST));
    let made = world.leaves(EventCode::CrlIssued);
    let path = world.service.files.path("crl/issuing/000001.crl");
    let octets = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();
    world.authority().ask_for_crl();
    tend(&world);
    assert_eq!(fs::read(&path).unwrap(), octets);
    assert_eq!(world.leaves(EventCode::CrlIssued), made);
}

/// CRL-05: as long as the last full list is refused or cannot be signed no shard ends, so that what is revoked still comes on its
/// list; once the full one is made, a shard that got no last list then gets it by itself.
#[test]
fn a_shard_ends_after_its_ca_and_not_before() {
    let world = sharded(5);
    let (id, one, _) = issue(&world, "one");
    tend(&world);
    let both = ["op-7".to_owned(), "op-9".to_owned()];
    // As a node that has looked and found nothing in the way.
    let refused = world.service.make_last_of_shards(world.authority(), &both).unwrap_err();
    assert_eq!(refused.refusal.code, "last-crl-refused");
    assert!(shard(&world, 1).3 < UnixTime::LAST);
    revoke(&world, &id);
    tend(&world);
    assert_eq!(shard(&world, 1).0, [one.serial()]);

    let last = Term::Last { actors: &both };
    world.service.make_of_term(world.authority(), List::Full, last).unwrap();
    tend(&world);

    for of in 1..=2 {
        assert_eq!(shard(&world, of).3, UnixTime::LAST, "{of}");
    }
    assert_eq!(world.last_payload(EventCode::CrlIssued)["last"], json!({ "full": true }));
    let made = world.leaves(EventCode::CrlIssued);
    world.authority().ask_for_crl();
    tend(&world);
    assert_eq!(world.leaves(EventCode::CrlIssued), made);
}

/// CRL-05, CRL-09: a shard whose last certificate has ended gets a last list, once; nothing follows it.
#[test]
fn a_shard_ends_with_its_last_certificate() {
    let world = sharded(5);
    let (authority, long_ago) = (world.authority().id, world.now().saturating_sub(HOUR * 48));
    let url = format!("{URLS}{}.crl", number(9));
    world.service.store().know_crl_shard(authority, number(9), &url, long_ago).unwrap();
    tend(&world);
    let (entries, point, first, next) = shard(&world, 9);
    assert_eq!((entries, point, next), (vec![], Some(url), UnixTime::LAST));
    world.authority().ask_for_crl();
    tend(&world);
    assert_eq!(shard(&world, 9).2, first);
    assert!(shard(&world, 1).3 < UnixTime::LAST, "one that takes certificates goes on");
}

/// CRL-06: `OpenSSL` refuses what is revoked on the list that the certificate names, and takes no other shard's for it.
#[test]
fn openssl_takes_the_list_that_a_certificate_names() {
    let world = sharded(1);
    let (first, one, _) = issue(&world, "one");
    tend(&world);
    let (_, two, _) = issue(&world, "two");
    revoke(&world, &first);
    tend(&world);
    let pem = |name: &str, certificate: &Certificate| {
        let text = x509::pem::encode(x509::pem::Label::Certificate, certificate.as_der());
        let path = world.folder(name);
        fs::write(&path, text).unwrap();
        path
    };
    let ca = pem("ca.pem", &world.authority().certificate);
    let leaves = [pem("one.pem", &one), pem("two.pem", &two)];
    let judge = |leaf: &std::path::Path, list: u32| {
        let octets = world.service.files.path(&CrlFiles::shard_path("issuing", number(list)));
        let crl = world.folder("list.pem");
        let run = |arguments: &[&std::ffi::OsStr]| {
            let ran = std::process::Command::new("openssl").args(arguments).output().unwrap();
            let text = [ran.stdout, ran.stderr].concat();
            (ran.status.success(), String::from_utf8_lossy(&text).into_owned())
        };
        let words = ["crl", "-inform", "DER", "-in"].map(std::ffi::OsStr::new);
        let (is_read, said) =
            run(&[&words[..], &[octets.as_os_str(), "-out".as_ref(), crl.as_os_str()]].concat());
        assert!(is_read, "{said}");
        let words = ["verify", "-partial_chain", "-crl_check", "-CAfile"].map(std::ffi::OsStr::new);
        let files = [ca.as_os_str(), "-CRLfile".as_ref(), crl.as_os_str(), leaf.as_os_str()];
        run(&[&words[..], &files].concat())
    };
    let [one, two] = &leaves;
    for (leaf, list, expected) in [
        (one, 1, "certificate revoked"),
        (one, 2, "different crl scope"),
        (two, 1, "different crl scope"),
        (two, 2, "OK"),
    ] {
        let (is_good, said) = judge(leaf, list);
        assert_eq!(is_good, expected == "OK", "{said}");
        // Between 1.1 and 3.0 it has changed its case.
        let said = said.to_lowercase();
        assert!(said.contains(&expected.to_lowercase()), "{}, list {list}: {said}", leaf.display());
    }
}

/// CRL-06: each shard is listed with what it takes, what its list would have, and its last list; a page at a time, and of nobody else's.
#[test]
fn shards_are_listed_with_their_windows_entries_and_lists() {
    let world = sharded(1);
    let (first, one, at_one) = issue(&world, "one");
    tend(&world);
    issue(&world, "two");
    revoke(&world, &first);
    tend(&world);
    let service = &world.service;

    let all = service.crl_shards("issuing", None, None).unwrap();

    assert_eq!(all.next, None);
    let [full, other, spare] = all.items.as_slice() else { panic!("{all:?}") };
    assert_eq!((full.number.as_str(), &full.url, full.places), ("000001", &at_one, 0));
    assert_eq!((full.entries, other.entries, spare.entries), (1, 0, 0));
    assert!(full.takes_until.is_some() && spare.takes_until.is_none());
    assert_eq!(full.last_end, Some(one.validity().not_after().to_string()));
    let (_, _, number, next) = shard(&world, 1);
    let list = full.list.as_ref().unwrap();
    assert_eq!(list.number, base16ct::upper::encode_string(&number));
    assert_eq!(list.next_update, next.to_string());

    let page = service.crl_shards("issuing", None, Some(2)).unwrap();
    assert_eq!((page.items.len(), page.next.as_deref()), (2, Some("000002")));
    let rest = service.crl_shards("issuing", page.next.as_deref(), Some(2)).unwrap();
    assert_eq!((rest.items[0].number.as_str(), rest.next), ("000003", None));
    for (name, cursor, limit) in
        [("nobody", None, None), ("issuing", Some("x"), None), ("issuing", None, Some(101))]
    {
        assert!(service.crl_shards(name, cursor, limit).is_err(), "{name} {cursor:?} {limit:?}");
    }
    let authority = world.authority();
    let lengths: u64 = [full, other].iter().map(|one| one.list.as_ref().unwrap().length).sum();
    assert_eq!(service.shards_going_on(authority).unwrap(), (2, lengths), "the spare one is empty");
}
