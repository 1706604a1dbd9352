use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use ca::revocation::Revoker;
use hsm::note::SoftwareNoteKey;
use ledger::note::NotePublicKey;
use ledger::{NoteSigner as _, ReceiptText};
use serde_json::Value;
use status::ProbeMethod;
use status::observation::{Observation, Seen, SeenBase, SeenObject, SeenStatus};
use x509::crl::ReasonCode;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::statement::SignedStatement;

use super::*;
use crate::service::testing::World;

pub(in crate::service) const PLACES: [&str; 2] = ["stockholm", "umea"];

/// A vantage point's key, the same for each name.
fn key(name: &str) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[name.as_bytes()[0]; 32]).unwrap()
}

fn public(pair: &Ed25519KeyPair) -> PublicKey {
    PublicKey::from_ed25519(pair.public_key().as_ref().try_into().unwrap()).unwrap()
}

pub(in crate::service) fn signed(observation: &Observation, by: &str) -> String {
    let statement = observation.to_statement().unwrap();
    let pair = key(by);
    let signature = pair.sign(statement.as_str().as_bytes());
    let algorithm = SignatureAlgorithm::Ed25519;
    let signed =
        SignedStatement::assemble(&statement, &public(&pair), algorithm, signature.as_ref());
    signed.unwrap().as_str().to_owned()
}

/// Promise 4: relying parties ask the URLs of a certificate of another operator, whatever is wrong with it otherwise.
#[test]
fn the_urls_of_a_defective_certificate_are_those_that_are_asked() {
    let answered = World::new().issue("one").unwrap();
    let body: Value = serde_json::from_slice(&answered.response.body).unwrap();
    let pem = body["certificate"].as_str().unwrap();
    let (_, mut der) = x509::pem::decode(pem).unwrap().remove(0);
    // ecdsa-with-SHA256, as it stands for the second time, outside what is signed: SHA384 there.
    let oid = [0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x04, 0x03, 0x02];
    let at = der.windows(oid.len()).rposition(|octets| octets == oid).unwrap();
    der[at + oid.len() - 1] = 0x03;
    assert!(x509::certificate::Certificate::from_der(&der).is_err(), "it is defective");

    assert_eq!(urls_in(&der, ReceiptMethod::Ocsp), ["http://ocsp.example.org"]);
    assert_eq!(urls_in(&der, ReceiptMethod::Crl), ["http://crl.example.org/issuing.crl"]);
    assert!(urls_in(b"none", ReceiptMethod::Crl).is_empty());
}

/// A revoked certificate, two vantage points, and what they would see.
pub(in crate::service) struct Revoked {
    pub(in crate::service) world: World,
    pub(in crate::service) id: String,
    pub(in crate::service) receipt_key: NotePublicKey,
}

impl Revoked {
    pub(in crate::service) fn new(reason: &str) -> Self {
        let mut world = World::new();
        let deployment: ledger::DeploymentName = "test/demo/abcd".parse().unwrap();
        let signer = SoftwareNoteKey::create(&world.folder("receipt.key"), &deployment).unwrap();
        let receipt_key = NotePublicKey::from_bytes(signer.public_key());
        let vantages =
            PLACES.map(|name| (name.parse().unwrap(), public(&key(name)).spki_hash())).to_vec();
        world.service.receipts = Some(Receipts {
            deployment,
            signer: std::sync::Arc::new(ledger::signer::ReceiptSigner::new(signer)),
            vantages,
            ocsp_limit: Duration::from_secs(60),
            crl_limit: Duration::from_secs(3600),
            methods: ReceiptMethod::ALL.to_vec(),
            told: std::sync::Mutex::default(),
        });
        let issued = world.issue("issue").unwrap();
        let issued: Value = serde_json::from_slice(&issued.response.body).unwrap();
        let id = issued["id"].as_str().unwrap().to_owned();
        let revoked = Self { world, id, receipt_key };
        if !reason.is_empty() {
            revoked.revoke(reason);
        }
        revoked
    }

    /// The same service after a start of its program.
    pub(in crate::service) fn restarted(self) -> Self {
        let mut revoked = self;
        let receipts = revoked.world.service.receipts.take();
        revoked.world = revoked.world.restarted();
        revoked.world.service.receipts = receipts;
        revoked
    }

    /// Another certificate of the same authority, revoked.
    pub(in crate::service) fn another(&self, reason: &str) -> String {
        let issued = self.world.issue("another").unwrap();
        let issued: Value = serde_json::from_slice(&issued.response.body).unwrap();
        let id = issued["id"].as_str().unwrap().to_owned();
        self.revoke_one(&id, reason);
        id
    }

    pub(in crate::service) fn serial(&self) -> String {
        self.world.service.record_of(&self.id).unwrap().row.serial.to_string()
    }

    fn revoke(&self, reason: &str) {
        self.revoke_one(&self.id, reason);
    }

    fn revoke_one(&self, id: &str, reason: &str) {
        let path = format!("/v1/certificates/{id}/revocation");
        let call = self.world.call(&path, reason, &json!({ "reason": reason }));
        let done = self.world.run(&call, |service, work| service.revoke(Revoker::Client, id, work));
        assert_eq!(done.unwrap().response.content_type, "done");
    }

    fn seen(&self, place: &str, method: ProbeMethod) -> Observation {
        self.seen_as(place, method, self.world.now())
    }

    /// The revocation, seen at that time.
    pub(in crate::service) fn seen_as(
        &self,
        place: &str,
        method: ProbeMethod,
        now: UnixTime,
    ) -> Observation {
        let record = self.world.service.record_of(&self.id).unwrap();
        let entry = entry(&record).unwrap();
        let base = "http://crl.example.org/issuing.crl".to_owned();
        let number = || "01".to_owned();
        let (url, object) = match method {
            ProbeMethod::Crl => (base, SeenObject::Crl { number: number() }),
            ProbeMethod::CrlDelta => {
                let base = SeenBase { url: base, sha256: [2; 32], number: number() };
                let url = "http://crl.example.org/issuing.delta.crl".to_owned();
                (url, SeenObject::Delta { number: "02".to_owned(), base })
            }
            ProbeMethod::OcspGet | ProbeMethod::OcspPost => {
                ("http://ocsp.example.org".to_owned(), SeenObject::Ocsp { produced_at: now })
            }
        };
        Observation {
            deployment: "test/demo/abcd".parse().unwrap(),
            vantage: place.parse().unwrap(),
            method,
            url,
            issuer: entry.issuer,
            object_sha256: [1; 32],
            this_update: now,
            next_update: now.checked_add(Duration::from_secs(3600)).unwrap(),
            object,
            position: None,
            time: now,
            seen: vec![Seen {
                serial: entry.serial,
                status: SeenStatus::Revoked(entry.revocation),
            }],
        }
    }

    fn all(&self, methods: &[ProbeMethod]) -> Vec<String> {
        let each =
            PLACES.iter().flat_map(|place| methods.iter().map(move |method| (place, method)));
        each.map(|(place, method)| signed(&self.seen(place, *method), place)).collect()
    }

    /// The answer's kind, and its body: a receipt or a code.
    fn ask(&self, method: &str, observations: &[String], name: &str) -> Result<Value, Denied> {
        let path = format!("/v1/certificates/{}/receipt", self.id);
        let body = json!({ "method": method, "observations": observations });
        let mut call = self.world.call(&path, name, &body);
        call.act = crate::service::order::Act::Revoke;
        let answer = self.world.run(&call, |service, work| service.receipt(&self.id, work))?;
        Ok(serde_json::from_slice(&answer.response.body)
            .unwrap_or_else(|_| Value::from(String::from_utf8(answer.response.body).unwrap())))
    }

    fn refused(&self, method: &str, observations: &[String], name: &str) -> (&'static str, String) {
        match self.ask(method, observations, name) {
            Err(denied) => (denied.refusal.code, denied.refusal.seen.clone()),
            Ok(answer) => panic!("{name}: {answer}"),
        }
    }
}

const OCSP: [ProbeMethod; 2] = [ProbeMethod::OcspGet, ProbeMethod::OcspPost];

/// REV-07, promise 4: OCSP and CRL are receipted apart, a hold too, and each receipt holds under the pinned keys.
#[test]
fn a_revocation_that_was_seen_everywhere_is_receipted() {
    for reason in ["keyCompromise", "unspecified"] {
        let revoked = Revoked::new(reason);
        for (method, probes) in [("ocsp", &OCSP[..]), ("crl", &[ProbeMethod::Crl])] {
            let answer = revoked.ask(method, &revoked.all(probes), method).unwrap();
            let note = answer["receipt"].as_str().unwrap();
            let text = ReceiptText::open(note.as_bytes(), revoked.receipt_key).unwrap();
            let receipt = Receipt::from_text(&text).unwrap();

            assert_eq!(receipt.entries().len(), 1);
            assert_eq!(receipt.points().len(), PLACES.len() * probes.len());
            let again = revoked.ask(method, &revoked.all(probes), method);
            assert!(again.is_err() || again.unwrap() == answer, "one key, one receipt");
        }
        let kept = revoked.world.service.receipts(&revoked.id).unwrap().items;
        let methods: Vec<_> = kept.iter().map(|one| one.method).collect();
        assert_eq!(methods, [api::ReceiptMethod::Ocsp, api::ReceiptMethod::Crl]);
        let (authority, serial) = (&kept[0].authority, &kept[0].serial);
        let of_serial = revoked.world.service.receipts_of_serial(authority, serial).unwrap().items;
        assert_eq!(of_serial[0].receipt, kept[0].receipt);
        assert_eq!(revoked.world.leaves(EventCode::RevocationConfirmed), 2);
        let leaf = revoked.world.last_payload(EventCode::RevocationConfirmed);
        assert_eq!(leaf["method"], "crl");
    }
}

/// REV-07: who has not seen it is named, with what was seen instead.
#[test]
fn a_stale_mirror_keeps_the_receipt_back_and_is_named() {
    let revoked = Revoked::new("keyCompromise");
    let mut all = revoked.all(&OCSP);
    all.pop().unwrap();
    let (code, seen) = revoked.refused("ocsp", &all, "one missing");
    assert_eq!(code, "revocation-not-seen");
    assert!(seen.contains("umea by ocsp-post at http://ocsp.example.org saw nothing"), "{seen}");

    let good = revoked.seen("umea", ProbeMethod::OcspPost);
    let serial = good.seen[0].serial;
    let stale = Observation { seen: vec![Seen { serial, status: SeenStatus::Good }], ..good };
    let with_stale = [all.clone(), vec![signed(&stale, "umea")]].concat();
    let (code, seen) = revoked.refused("ocsp", &with_stale, "stale");
    assert_eq!(code, "revocation-not-seen");
    assert!(seen.contains("umea by ocsp-post") && seen.contains("saw Good"), "{seen}");
    assert!(!seen.contains("stockholm"), "{seen}");

    // A CRL that was seen says nothing of OCSP.
    let lists = revoked.all(&[ProbeMethod::Crl]);
    assert_eq!(revoked.refused("ocsp", &lists, "lists").0, "revocation-not-seen");
    // The refusal is not for ever: with a later one the same revocation has its receipt.
    let later = stale.time.checked_add(Duration::from_secs(1)).unwrap();
    let last = Observation { time: later, ..revoked.seen("umea", ProbeMethod::OcspPost) };
    let last = signed(&last, "umea");
    assert!(revoked.ask("ocsp", &[with_stale, vec![last]].concat(), "whole").is_ok());
}

/// REV-07: the time is that of the first sight, however often and late it is looked again, and whoever asks again is shown the
/// same receipt.
#[test]
fn the_first_sight_is_what_counts_for_the_time() {
    let revoked = Revoked::new("keyCompromise");
    let first = revoked.seen("umea", ProbeMethod::OcspPost);
    let minutes = |count: u64| first.time.checked_add(Duration::from_secs(count)).unwrap();
    let all = revoked.all(&OCSP);
    let again: Vec<String> = OCSP
        .iter()
        .flat_map(|method| PLACES.map(|place| (place, *method)))
        .map(|(place, method)| {
            signed(&Observation { time: minutes(40), ..revoked.seen(place, method) }, place)
        })
        .collect();

    let receipt = revoked.ask("ocsp", &[again.clone(), all].concat(), "all").unwrap();
    assert_eq!(receipt["seen_at"], first.time.to_string());
    let later = revoked.ask("ocsp", &again, "later").unwrap();
    assert_eq!(later, receipt);
    assert_eq!(revoked.world.leaves(EventCode::RevocationConfirmed), 1);

    // After a break it counts from anew.
    let broken = Revoked::new("keyCompromise");
    let seen = broken.seen("umea", ProbeMethod::OcspPost);
    let good = vec![Seen { serial: seen.seen[0].serial, status: SeenStatus::Good }];
    let at = |secs: u64| seen.time.checked_add(Duration::from_secs(secs)).unwrap();
    let lapse = signed(&Observation { time: at(10), seen: good, ..seen.clone() }, "umea");
    let back = signed(&Observation { time: at(20), ..seen.clone() }, "umea");
    let receipt = broken.ask("ocsp", &[broken.all(&OCSP), vec![lapse, back]].concat(), "broken");
    assert_eq!(receipt.unwrap()["seen_at"], at(20).to_string());
}

/// Promise 4: the answer of a revocation says where its receipts will be.
#[test]
fn a_revocation_says_where_its_receipts_will_be() {
    let revoked = Revoked::new("keyCompromise");
    let service = &revoked.world.service;
    let shown = service.show(&revoked.id).unwrap();
    assert_eq!(shown.receipts, Some(format!("/v1/certificates/{}/receipts", revoked.id)));
    assert!(service.receipts(&revoked.id).unwrap().items.is_empty(), "nobody has seen it");

    let good = Revoked::new("");
    assert_eq!(good.world.service.show(&good.id).unwrap().receipts, None);
    let mut nobody = Revoked::new("keyCompromise");
    nobody.world.service.receipts = None;
    assert_eq!(nobody.world.service.show(&nobody.id).unwrap().receipts, None);
}

/// Promise 4: a mirror that has shown the revocation and shows "good" again keeps the receipt back.
#[test]
fn what_a_point_saw_last_counts() {
    let revoked = Revoked::new("keyCompromise");
    let all = revoked.all(&OCSP);
    let seen = revoked.seen("umea", ProbeMethod::OcspPost);
    let serial = seen.seen[0].serial;
    let good = Observation { seen: vec![Seen { serial, status: SeenStatus::Good }], ..seen };
    let later = good.time.checked_add(Duration::from_secs(1)).unwrap();
    for (name, time) in [("later", later), ("in the same second", good.time)] {
        let good = signed(&Observation { time, ..good.clone() }, "umea");
        for (order, statements) in [
            ("after", [all.clone(), vec![good.clone()]].concat()),
            ("before", [vec![good.clone()], all.clone()].concat()),
        ] {
            let name = format!("{name}, sent {order}");
            let (code, seen) = revoked.refused("ocsp", &statements, &name);
            assert_eq!(code, "revocation-not-seen", "{name}");
            assert!(seen.contains("umea by ocsp-post") && seen.contains("saw Good"), "{seen}");
        }
    }
    // Of other serials it says nothing.
    let other = vec![Seen { serial: "0A".parse().unwrap(), status: SeenStatus::Good }];
    let other = signed(&Observation { time: later, seen: other, ..good }, "umea");
    assert!(revoked.ask("ocsp", &[all, vec![other]].concat(), "another serial").is_ok());
}

#[test]
fn an_observation_of_a_stranger_of_elsewhere_or_of_yesterday_is_refused() {
    let revoked = Revoked::new("keyCompromise");
    let seen = revoked.seen("stockholm", ProbeMethod::OcspGet);
    let hours = |count: u64| Duration::from_secs(count * 3600);
    let old = Observation { time: seen.time.saturating_sub(hours(25)), ..seen.clone() };
    let ahead = Observation {
        time: seen.time.checked_add(hours(1)).unwrap(),
        next_update: seen.time.checked_add(hours(9)).unwrap(),
        ..seen.clone()
    };
    let ended = Observation { next_update: seen.time.saturating_sub(hours(1)), ..seen.clone() };
    let elsewhere = Observation { deployment: "test/demo/zz99".parse().unwrap(), ..seen.clone() };
    let stranger = Observation { vantage: "lund".parse().unwrap(), ..seen.clone() };
    let good = signed(&seen, "stockholm");
    for (name, statement) in [
        ("old", signed(&old, "stockholm")),
        ("ahead", signed(&ahead, "stockholm")),
        ("ended", signed(&ended, "stockholm")),
        ("elsewhere", signed(&elsewhere, "stockholm")),
        ("stranger", signed(&stranger, "lund")),
        ("another's key", signed(&seen, "umea")),
        ("changed", good.replacen("ocsp-get", "ocsp-post", 1)),
        ("none", "a letter".to_owned()),
    ] {
        // It is not stored under its key: with a vantage point that is configured later it may be taken.
        assert_eq!(revoked.refused("ocsp", &[statement], name).0, "observation-refused", "{name}");
    }
}

#[test]
fn what_is_not_revoked_or_has_another_reason_now_has_no_receipt() {
    let issued = Revoked::new("");
    assert_eq!(issued.refused("ocsp", &[], "none").0, "not-revoked");

    let corrected = Revoked::new("superseded");
    let before = corrected.all(&OCSP);
    corrected.revoke("keyCompromise");
    assert_eq!(corrected.refused("ocsp", &before, "before").0, "revocation-not-seen");
    let record = corrected.world.service.record_of(&corrected.id).unwrap();
    assert_eq!(entry(&record).unwrap().revocation.reason, Some(ReasonCode::KeyCompromise));
    assert!(corrected.ask("ocsp", &corrected.all(&OCSP), "after").is_ok());

    let mut nobody = Revoked::new("keyCompromise");
    nobody.world.service.receipts = None;
    assert_eq!(nobody.refused("ocsp", &[], "nobody").0, "receipts-not-configured");
}
