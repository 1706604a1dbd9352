//! What a responder gets, and what one that was broken into gets at most.

use std::fs;

use ca::audit::EventCode;
use ca::revocation::Revoker;
use store::Responder;
use x509::key::SignatureAlgorithm;
use x509::responder_request::{ResponderRequest, ResponderRequestBody};

use crate::service::Service;
use crate::service::testing::{Key, World};

/// A responder that signs whatever it likes.
struct Zone {
    world: World,
    identity: Key,
    counter: u64,
}

impl Zone {
    fn new() -> Self {
        let world = World::new();
        let identity = Key::new();
        let responder = Responder {
            name: "r1".to_owned(),
            key: identity.public.spki_hash(),
            spki_der: identity.public.spki_der().to_vec(),
            counter: 0,
            enrolled: world.now(),
        };
        let record = Service::record(
            EventCode::OcspDelegateEnrolled,
            ca::audit::EventResult::Done,
            world.service.system(),
            ca::audit::ObjectIds::default(),
            None,
            &serde_json::json!({}),
            store::Subject::Deployment,
        );
        world.service.store().enrol_responder(&responder, &record, world.now()).unwrap();
        fs::create_dir_all(world.folder("outbox/responder/issuing")).unwrap();
        Self { world, identity, counter: 0 }
    }

    /// One whose delegates begin an hour before they are issued, so that none comes too soon.
    fn without_gap() -> Self {
        let mut zone = Self::new();
        zone.world.edit_profile("ocsp", r#"backdate    = "5m""#, r#"backdate    = "1h""#);
        zone
    }

    fn body(&mut self, request: Vec<u8>) -> ResponderRequestBody {
        self.counter += 1;
        ResponderRequestBody {
            deployment: self.world.service.deployment().to_string(),
            authority: self.world.authority().certificate.fingerprint(),
            identity: self.identity.public.spki_hash(),
            counter: self.counter,
            time: self.world.now(),
            request,
        }
    }

    fn leave(&self, name: &str, body: &ResponderRequestBody) {
        let signature = self.identity.sign(&body.to_der());
        let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
        let request =
            ResponderRequest::assemble(body, algorithm, &signature, &self.identity.public);
        let path = self.world.folder("outbox/responder/issuing").join(format!("{name}.req"));
        fs::write(path, request.unwrap().as_der()).unwrap();
    }

    fn ask(&mut self, key: &Key) {
        let body = self.body(key.request());
        self.leave(&key.public.spki_hash().to_string(), &body);
    }

    /// The code of what the round met, if it was not good.
    fn round(&self) -> Option<&'static str> {
        self.world.service.serve_delegates().err().map(|denied| denied.refusal.code)
    }

    fn rounds(&self, count: usize) -> Option<&'static str> {
        (0..count).map(|_| self.round()).last().flatten()
    }

    /// Delegate certificates in the publication tree.
    fn published(&self) -> usize {
        let folder = self.world.folder("publish/responder/issuing");
        fs::read_dir(folder).map_or(0, Iterator::count)
    }

    fn orders(&self) -> u64 {
        self.world.service.store().counts().unwrap().open_orders
    }

    fn refused(&self) -> usize {
        self.world.leaves(EventCode::OcspDelegateRefused)
    }

    fn issued(&self) -> usize {
        self.world.leaves(EventCode::OcspDelegateIssued)
    }

    /// As an operator does with `sigill certificate revoke-serial`.
    fn revoke_all(&self) {
        let world = &self.world;
        let filter = store::CertificateFilter::default();
        for row in world.service.store().list_certificates(&filter, None, 100).unwrap().rows {
            let serial = row.serial.to_string();
            let path = format!("/v1/authorities/issuing/serials/{serial}/revocation");
            let body = serde_json::json!({ "reason": "superseded" });
            let revoke = |by| {
                let call = world.call(&path, &format!("{serial} {by:?}"), &body);
                let caller = crate::service::caller::Caller { revoker: by, ..world.caller() };
                let answer = world
                    .run(&call, |ca, work| ca.revoke_serial(&caller, "issuing", &serial, work));
                String::from_utf8(answer.unwrap().response.body).unwrap()
            };
            assert!(revoke(Revoker::Client).contains("revocation-not-by-client"));
            revoke(Revoker::Operator);
        }
    }
}

/// Architecture §2.3: at most two delegates live; what is refused is told once and signed never.
#[test]
fn a_responder_that_was_broken_into_gets_two_delegates_at_most() {
    let mut zone = Zone::without_gap();
    for issued in [1, 2] {
        zone.ask(&Key::new());
        assert_eq!((zone.rounds(5), zone.published()), (None, issued));
    }

    for refused in 1..=5 {
        zone.ask(&Key::new());
        assert_eq!((zone.rounds(3), zone.refused()), (Some("delegate-limit"), refused));
    }
    assert_eq!((zone.published(), zone.issued()), (2, 2));
    assert_eq!(zone.world.signer.signatures.load(std::sync::atomic::Ordering::Relaxed), 2);
    assert_eq!(zone.orders(), 0, "refused requests make no orders");

    // The operator's way out for one that has lost its keys: the last request gets its answer.
    zone.revoke_all();
    zone.world = zone.world.restarted();
    assert_eq!((zone.rounds(2), zone.issued()), (Some("delegate-limit"), 4));
}

/// Two delegates in one hour are one too many; a restart does not change that.
#[test]
fn a_second_delegate_does_not_follow_within_an_hour() {
    let mut zone = Zone::new();
    zone.ask(&Key::new());
    assert_eq!((zone.rounds(2), zone.issued()), (None, 1));
    zone.ask(&Key::new());

    assert_eq!(zone.rounds(5), Some("delegate-too-soon"));
    assert_eq!((zone.issued(), zone.refused()), (1, 1));
    zone.world = zone.world.restarted();

    assert_eq!((zone.rounds(5), zone.issued()), (Some("delegate-too-soon"), 1));
}

/// A responder that has not seen its answer asks again under a higher counter, and gets that answer.
#[test]
fn a_key_that_has_its_delegate_gets_the_same_again() {
    let (mut zone, key) = (Zone::new(), Key::new());
    zone.ask(&key);
    assert_eq!(zone.round(), None);
    let path =
        zone.world.folder(&format!("publish/responder/issuing/{}.cer", key.public.spki_hash()));
    let certificate = fs::read(&path).unwrap();
    fs::remove_file(&path).unwrap();

    zone.ask(&key);

    assert_eq!(zone.rounds(3), None);
    assert_eq!(fs::read(&path).unwrap(), certificate);
    assert_eq!((zone.issued(), zone.refused()), (1, 0));
}

/// AUD-02, promise 9: refusals of a known responder are in the audit log, a flood of them counted.
#[test]
fn a_flood_of_refused_requests_is_counted() {
    let mut zone = Zone::new();
    for number in 0..30 {
        let body = zone.body(vec![0x30, 0]);
        zone.leave(&format!("bad{number:02}"), &body);
    }

    assert_eq!(zone.round(), Some("csr-malformed"));
    assert!(zone.rounds(3).is_some(), "refusals stay while the requests lie there");

    assert_eq!((zone.refused(), zone.issued()), (10, 0));
    assert_eq!(zone.orders(), 0);
    // Ten were looked at; the others made no orders.
    for number in 0..10 {
        let path = format!("outbox/responder/issuing/bad{number:02}.req");
        fs::remove_file(zone.world.folder(&path)).unwrap();
    }
    assert_eq!(zone.round(), Some("delegate-flood"));
}

/// What a stranger wrote stands in the log of the program only.
#[test]
fn a_request_of_nobody_known_leaves_no_leaf() {
    let mut zone = Zone::new();
    zone.identity = Key::new();
    zone.ask(&Key::new());
    let before = zone.world.counts();

    assert_eq!(zone.rounds(3), Some("responder-unknown"));

    assert_eq!(zone.world.counts(), before);
}

/// CRL-05: after the last CRL the CA signs nothing, a delegate neither; one that lives keeps no CA from ending.
#[test]
fn a_ca_that_has_ended_certifies_no_delegate() {
    let mut zone = Zone::without_gap();
    zone.ask(&Key::new());
    assert_eq!((zone.round(), zone.issued()), (None, 1));
    for authority in zone.world.service.authorities.values_mut() {
        authority.issuer = authority.issuer.clone().retired();
    }
    let both = ["op-7".to_owned(), "op-9".to_owned()];
    zone.world.service.make_last_crl(zone.world.authority(), &both).unwrap();

    zone.ask(&Key::new());

    assert_eq!((zone.rounds(2), zone.issued()), (Some("authority-ended"), 1));
}

/// CRL-05: after the last CRL nothing of the CA changes any more, a delegate neither whose responder is withdrawn: no list could say
/// so, and nobody asks after it. It is taken out of the publication tree.
#[test]
fn a_responder_that_is_withdrawn_after_the_end_changes_no_status() {
    let mut zone = Zone::without_gap();
    zone.ask(&Key::new());
    assert_eq!((zone.rounds(2), zone.published()), (None, 1));
    for authority in zone.world.service.authorities.values_mut() {
        authority.issuer = authority.issuer.clone().retired();
    }
    let both = ["op-7".to_owned(), "op-9".to_owned()];
    zone.world.service.make_last_crl(zone.world.authority(), &both).unwrap();
    let before = zone.world.counts();

    zone.world.service.withdrawn =
        withdrawn(&[&zone.identity.public.spki_hash().to_string()]).unwrap();

    assert_eq!((zone.rounds(3), zone.published()), (None, 0));
    assert_eq!(zone.world.counts(), before, "no entry and no leaf");
    assert_eq!(zone.world.service.wanted_crl(zone.world.authority()).unwrap(), None);
}

#[test]
fn a_request_for_another_deployment_or_an_old_one_is_told_once() {
    let mut zone = Zone::new();
    let mut other = zone.body(Key::new().request());
    other.deployment = "test/demo/zzzz".to_owned();
    zone.leave("other", &other);
    assert_eq!(zone.rounds(4), Some("deployment-mismatch"));
    fs::remove_file(zone.world.folder("outbox/responder/issuing/other.req")).unwrap();
    let mut old = zone.body(Key::new().request());
    old.time = x509::time::UnixTime::from_secs(old.time.secs() - 90_000).unwrap();
    zone.leave("old", &old);
    assert_eq!(zone.rounds(4), Some("responder-request-age"));

    assert_eq!((zone.refused(), zone.issued()), (2, 0));
}

/// A request whose counter does not rise is refused for good, after a restart too.
#[test]
fn a_replayed_request_is_refused_once_and_for_good() {
    let mut zone = Zone::without_gap();
    zone.counter = 7;
    zone.ask(&Key::new());
    assert_eq!(zone.round(), None);
    zone.counter = 3;
    zone.ask(&Key::new());

    assert_eq!(zone.rounds(4), Some("request-replayed"));

    assert_eq!((zone.refused(), zone.issued(), zone.orders()), (1, 1, 0));
    zone.world = zone.world.restarted();
    assert_eq!((zone.rounds(2), zone.refused(), zone.issued()), (None, 1, 1));
}

/// Architecture §2.3: a stolen identity key gets nothing any more once it is withdrawn, and what it has got is revoked, with its
/// audit leaf, and taken out of the publication tree. Others go on.
#[test]
fn a_withdrawn_responder_gets_nothing_and_loses_what_it_has() {
    let mut zone = Zone::without_gap();
    zone.ask(&Key::new());
    assert_eq!((zone.rounds(2), zone.published()), (None, 1));
    let revoked = |zone: &Zone| zone.world.leaves(EventCode::CertificateRevoked);
    assert_eq!(revoked(&zone), 0);

    zone.world.service.withdrawn =
        withdrawn(&[&zone.identity.public.spki_hash().to_string()]).unwrap();
    zone.ask(&Key::new());

    assert_eq!(zone.rounds(3), Some("responder-withdrawn"));
    assert_eq!((zone.published(), zone.issued(), revoked(&zone)), (0, 1, 1));
    let filter = store::CertificateFilter::default();
    let rows = zone.world.service.store().list_certificates(&filter, None, 100).unwrap().rows;
    let delegates =
        rows.iter().filter(|row| row.profile.as_ref().is_some_and(|one| one.name == "ocsp"));
    let reasons: Vec<_> = delegates.map(|row| row.status.status.reason).collect();
    assert_eq!(reasons, [Some(status::RevocationReason::KeyCompromise)]);

    zone.world.service.withdrawn = withdrawn(&[&"77".repeat(32)]).unwrap();
    zone.world = zone.world.restarted();
    assert_eq!(
        (zone.rounds(2), zone.issued()),
        (None, 2),
        "another key's withdrawal is not its own"
    );
}

#[test]
fn refuses_to_withdraw_what_is_no_key() {
    let told = format!("{:#}", withdrawn(&["77"]).unwrap_err());

    assert!(
        told.contains("[responders] withdrawn = \"77\" is not 64 hexadecimal digits"),
        "{told}"
    );
}

fn withdrawn(keys: &[&str]) -> anyhow::Result<super::WithdrawnResponders> {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/demo/ca.toml");
    let text = fs::read_to_string(path).unwrap();
    let text = text.replacen("withdrawn = []", &format!("withdrawn = {keys:?}"), 1);
    super::WithdrawnResponders::read(&toml::from_str(&text).unwrap())
}
