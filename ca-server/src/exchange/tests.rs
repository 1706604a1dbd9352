//! Both sides of an exchange: what is asked here, an answer as a ceremony gives it, and all that is no answer.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ca::audit::EventCode;
use ceremony_core::exchange::{Opened, Response};
use store::Imported;
use x509::key::PublicKey;

use super::*;
use crate::config::AuthoritySection;
use crate::import_crl::tests::{numbers, offline, signed, wanted};
use crate::service::testing::{Key, World};
use crate::start;

/// A service whose one authority is offline, the ceremonies' side, and what both have exchanged.
struct Zones {
    world: World,
    config: ConfigFile,
    own: SoftwarePersonKey,
    ceremony: SoftwarePersonKey,
    plan: Fingerprint,
    kept: Kept,
    /// The keys in the token of the authorities here.
    in_token: Vec<PublicKey>,
}

impl Zones {
    fn new() -> Self {
        let world = offline();
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/../environments/demo/ca.toml");
        let mut config = ConfigFile::read(Path::new(example)).unwrap();
        config.publication.folder = world.folder("publish");
        let certificate = world.authority().certificate.as_der();
        let mut section = world.authority().section.clone();
        section.certificate = world.folder("issuing.cer");
        std::fs::write(&section.certificate, certificate).unwrap();
        section.sha256 = Fingerprint::of(certificate).to_string();
        config.authorities = vec![section];
        let [own, ceremony] = ["asker.key", "zone.key"]
            .map(|name| SoftwarePersonKey::create(&world.folder(name)).unwrap());
        let kept = Kept::open(&world.folder("exchange")).unwrap();
        let plan = Fingerprint::of(b"plan");
        Self { world, config, own, ceremony, plan, kept, in_token: Vec::new() }
    }

    /// Asks, as the command does.
    fn asks(&self, wanted: Wanted, payload: Vec<u8>) -> Opened<Request> {
        let created = self.world.now();
        let number = self.kept.last().unwrap() + 1;
        let request = Request {
            matter: Matter {
                deployment: self.world.service.deployment,
                number,
                nonce: Nonce::from_random([u8::try_from(number).unwrap(); 16]),
                created,
                expires: created.checked_add(LONGEST).unwrap(),
                wanted,
                issuer: Fingerprint::of(self.world.authority().certificate.as_der()),
            },
            previous: self.kept.last_answer().unwrap(),
            plan: None,
            payload,
        };
        let file = request.file(&self.own.statement(&request.statement().unwrap()).unwrap());
        self.kept.keep_request(number, file.as_bytes()).unwrap();
        self.kept.newest().unwrap().unwrap()
    }

    /// What a ceremony answers, with one thing changed.
    fn answer(
        &self,
        request: &Opened<Request>,
        payload: &[u8],
        change: impl FnOnce(&mut Response),
    ) -> Vec<u8> {
        self.answer_by(&self.ceremony, request, payload, change)
    }

    fn answer_by(
        &self,
        key: &SoftwarePersonKey,
        request: &Opened<Request>,
        payload: &[u8],
        change: impl FnOnce(&mut Response),
    ) -> Vec<u8> {
        let (head, now) = (Fingerprint::of(b"head"), self.world.now());
        let mut response = Response::to(request, self.plan, head, payload.to_vec(), now);
        change(&mut response);
        let signed = key.statement(&response.statement().unwrap()).unwrap();
        response.file(&signed).into_bytes()
    }

    fn takes(&self, octets: &[u8]) -> Result<Imported, &'static str> {
        self.takes_at(octets, self.world.now())
    }

    fn takes_at(&self, octets: &[u8], now: UnixTime) -> Result<Imported, &'static str> {
        let service = &self.world.service;
        let key = Fingerprint::from_bytes(*self.ceremony.key().spki_hash().as_bytes());
        let proves = |_: &AuthoritySection, key: &PublicKey| {
            ensure!(
                self.in_token.contains(key),
                Told::new("hsm-key-missing", "no such key", "is this the token?")
            );
            Ok(())
        };
        let taking = Taking {
            config: &self.config,
            deployment: service.deployment,
            signers: &[key],
            kept: &self.kept,
            store: service.store(),
            files: &service.files,
            plan: self.plan,
            proves: &proves,
            now,
        };
        taking.take(octets).map_err(|error| start::code(&error))
    }

    /// A CA whose section pins this certificate, with its key in the token.
    fn expects(&mut self, key: &Key, certificate: &x509::certificate::Certificate) {
        let mut section = self.config.authorities[0].clone();
        section.name = "second".to_owned();
        section.certificate = self.second();
        section.sha256 = Fingerprint::of(certificate.as_der()).to_string();
        section.token = Some("issuing".to_owned());
        self.config.authorities.truncate(1);
        self.config.authorities.push(section);
        self.in_token = vec![key.public.clone()];
    }

    fn second(&self) -> PathBuf {
        self.world.folder("second.cer")
    }

    fn folder(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.world.folder("exchange")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// CER-07, A6, CRL-04: the next CRL of the root comes as the answer to a request, and the same answer once more does the same, also after its end.
#[test]
fn the_answer_to_the_newest_request_is_taken_in_and_twice_is_once() {
    let zones = Zones::new();
    let list = |number| signed(&zones.world, &wanted(&zones.world, number, &[1]));
    let request = zones.asks(Wanted::RootCrl, list(4));
    let answer = zones.answer(&request, &list(5), |_| ());

    assert_eq!(zones.takes(&answer).unwrap().entries, 2);

    let leaves = zones.world.leaves(EventCode::CrlImported);
    let told = zones.world.last_payload(EventCode::CrlImported);
    assert_eq!(told["exchange"], 1);
    assert_eq!(told["plan"], zones.plan.to_string());
    let late = Response::open(&answer).unwrap().said.matter.expires;
    for now in [zones.world.now(), late] {
        // After it has ended the list itself is known; that it is recorded already is enough.
        assert_eq!(zones.takes_at(&answer, now).unwrap().entries, 0);
    }
    assert_eq!(numbers(&zones.world), ("05".to_owned(), 1));
    assert!(zones.world.leaves(EventCode::CrlImported) >= leaves);
    let next = zones.asks(Wanted::RootCrl, list(5));
    assert_eq!(next.said.previous, Some(Fingerprint::of(&answer)));
    assert_eq!(zones.takes(&answer).unwrap_err(), "exchange-number", "an old answer");
}

/// N27, N30: another signer, deployment, plan, number, nonce, request, time or thing, and a changed octet, change nothing.
#[test]
fn what_is_not_the_answer_is_refused_by_its_code_and_changes_nothing() {
    let zones = Zones::new();
    let first = signed(&zones.world, &wanted(&zones.world, 4, &[1]));
    let next = signed(&zones.world, &wanted(&zones.world, 5, &[1]));
    let nobody_asked = zones.answer_by(
        &zones.ceremony,
        &Zones::new().asks(Wanted::RootCrl, first.clone()),
        &next,
        |_| (),
    );
    assert_eq!(zones.takes(&nobody_asked).unwrap_err(), "exchange-number");
    let old = zones.asks(Wanted::RootCrl, first.clone());
    let request = zones.asks(Wanted::RootCrl, first.clone());
    let (before, counts) = (zones.folder(), zones.world.counts());
    let answer = |change: &dyn Fn(&mut Response)| zones.answer(&request, &next, change);
    let qa = "qa/test/abcd".parse().unwrap();
    let other = "test/demo/abce".parse().unwrap();
    let never = Fingerprint::of(b"never");
    let day = std::time::Duration::from_secs(86_400);
    let past = zones.world.now().saturating_sub(day * 15);
    let mut changed = answer(&|_| ());
    changed[60] ^= 1;
    for (code, file) in [
        ("exchange-signature", changed),
        ("exchange-form", answer(&|_| ())[1..].to_vec()),
        ("exchange-signer", zones.answer_by(&zones.own, &request, &next, |_| ())),
        ("exchange-deployment", answer(&|it| it.matter.deployment = qa)),
        ("exchange-deployment", answer(&|it| it.matter.deployment = other)),
        ("exchange-number", zones.answer(&old, &next, |_| ())),
        ("exchange-number", answer(&|it| it.matter.number = 3)),
        ("exchange-nonce", answer(&|it| it.matter.nonce = old.said.matter.nonce)),
        ("exchange-request", answer(&|it| it.request = old.file)),
        ("exchange-unasked", answer(&|it| it.matter.issuer = never)),
        ("exchange-plan", answer(&|it| it.plan = never)),
        (
            "exchange-time",
            answer(&|it| {
                it.matter.created = past;
                it.matter.expires = past.checked_add(day * 14).unwrap();
            }),
        ),
        ("crl-unreadable", zones.answer(&request, b"no list", |_| ())),
        ("crl-of-nobody", zones.answer(&request, &next, |it| *it.payload.last_mut().unwrap() ^= 1)),
        ("crl-of-nobody", {
            let another = offline();
            let theirs = signed(&another, &wanted(&another, 9, &[1]));
            zones.answer(&request, &theirs, |_| ())
        }),
    ] {
        assert_eq!(zones.takes(&file).unwrap_err(), code);
        assert_eq!((zones.folder(), zones.world.counts()), (before.clone(), counts), "{code}");
    }
    let not_a_response = std::fs::read(zones.world.folder("exchange/00000002.request")).unwrap();
    assert_eq!(zones.takes(&not_a_response).unwrap_err(), "exchange-kind");

    // A CRL whose number goes back is refused when its answer is the right one, and the answer is not kept.
    zones.takes(&answer(&|_| ())).unwrap();
    let third = zones.asks(Wanted::RootCrl, next.clone());
    let back = zones.answer(&third, &first, |_| ());
    assert_eq!(zones.takes(&back).unwrap_err(), "crl-not-newer");
    assert!(!zones.folder().contains("00000003.response"));
    // Two answers to one request are evidence, and the first stands.
    let sixth = signed(&zones.world, &wanted(&zones.world, 6, &[1]));
    zones.takes(&zones.answer(&third, &sixth, |_| ())).unwrap();
    let seventh = signed(&zones.world, &wanted(&zones.world, 7, &[1]));
    let second = zones.answer(&third, &seventh, |_| ());
    assert_eq!(zones.takes(&second).unwrap_err(), "exchange-answered");
    assert_eq!(numbers(&zones.world), ("06".to_owned(), 1));
}

/// A6, N27: the certificate of an issuing CA is that of the key which asked, by the CA that was asked, pinned, and its key is in our token; else nothing is kept.
#[test]
fn the_certificate_of_an_issuing_ca_is_that_of_our_key() {
    let mut zones = Zones::new();
    let key = Key::new();
    let certificate = zones.world.signer.certifies(&key);
    let request = zones.asks(Wanted::IssuingCertificate, key.request());
    let answer = |zones: &Zones, der: &[u8]| zones.answer(&request, der, |_| ());
    let good = answer(&zones, certificate.as_der());
    assert_eq!(zones.takes(&good).unwrap_err(), "exchange-certificate-unpinned");
    zones.expects(&key, &certificate);
    let before = zones.folder();

    let another = zones.world.signer.certifies(&Key::new());
    let strangers = World::new().signer.certifies(&key);
    for (der, code) in [
        (another.as_der(), "exchange-certificate"),
        (strangers.as_der(), "exchange-certificate"),
        (&b"no certificate"[..], "exchange-certificate"),
    ] {
        assert_eq!(zones.takes(&answer(&zones, der)).unwrap_err(), code);
    }
    let in_token = std::mem::take(&mut zones.in_token);
    assert_eq!(zones.takes(&good).unwrap_err(), "hsm-key-missing");
    zones.in_token = in_token;
    std::fs::write(zones.second(), "another").unwrap();
    assert_eq!(zones.takes(&good).unwrap_err(), "authority-certificate-pin");
    std::fs::remove_file(zones.second()).unwrap();
    assert_eq!(zones.folder(), before);

    // Broken off at any point, it is taken in by the same command: kept and no more; with the file in its place; registered and not published.
    let aia = zones.world.folder("publish/aia/second.cer");
    zones.kept.keep_response(1, &good).unwrap();
    let imported = zones.takes(&good).unwrap();
    assert_eq!((imported.issuers, imported.certificates), (1, 1));
    assert_eq!(std::fs::read(&aia).unwrap(), certificate.as_der());
    for gone in [&aia, &zones.second()] {
        std::fs::remove_file(gone).unwrap();
        let imported = zones.takes(&good).unwrap();
        assert_eq!((imported.issuers, imported.certificates), (0, 0));
        assert_eq!(std::fs::read(gone).unwrap(), certificate.as_der());
    }
    let told = zones.world.last_payload(EventCode::ImportCeremony);
    assert_eq!(told["plan"], zones.plan.to_string());
}

/// Two commands do not use the folder at once, and what lies there damaged is no reason to ask or take anything.
#[test]
fn the_folder_of_exchanges_is_used_by_one_and_whole() {
    let zones = Zones::new();
    let folder = zones.world.folder("exchange");
    let second = Kept::open(&folder).map(drop).unwrap_err();
    assert_eq!(start::code(&second), "exchange-folder");
    let request = zones.asks(Wanted::RootCrl, b"octets".to_vec());
    let again = zones.kept.keep_request(1, b"another").unwrap_err();
    assert_eq!(start::code(&again), "exchange-folder");
    std::fs::write(folder.join("00000001.request"), "damaged").unwrap();
    let answer = zones.answer(&request, b"octets", |_| ());
    assert_eq!(zones.takes(&answer).unwrap_err(), "exchange-form");
    std::fs::write(folder.join("1.request"), "not one of ours").unwrap();
    assert_eq!(zones.kept.last().unwrap(), 1);
}

/// What the section says is judged when the configuration is checked, and no software key speaks for environment prod.
#[test]
fn a_section_that_names_nobody_or_is_for_prod_is_refused() {
    let mut zones = Zones::new();
    let deployment = zones.world.service.deployment;
    let hash = zones.ceremony.key().spki_hash().to_string();
    let mut judged = |keys: &[&str], deployment| {
        let section = ExchangeSection {
            key: PathBuf::new(),
            folder: PathBuf::new(),
            ceremony_keys: keys.iter().map(ToString::to_string).collect(),
        };
        zones.config.exchange = Some(section);
        signers(&zones.config, deployment).map_err(|error| start::code(&error))
    };
    assert_eq!(judged(&[&hash], deployment).unwrap().len(), 1);
    assert_eq!(judged(&[], deployment).unwrap_err(), "config-value");
    assert_eq!(judged(&[&hash[1..]], deployment).unwrap_err(), "config-value");
    let prod = "prod/prod/abcd".parse().unwrap();
    assert_eq!(judged(&[&hash], prod).unwrap_err(), "exchange-key-environment");
}

/// ISS-13: only what proves its key is carried to a ceremony.
#[test]
fn a_request_that_proves_no_key_is_not_carried_to_a_ceremony() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issuing.csr");
    let der = Key::new().request();
    for (octets, code) in [
        (der.clone(), None),
        (pem::encode(pem::Label::CertificateRequest, &der).into_bytes(), None),
        ([&der[..der.len() - 1], &[der[der.len() - 1] ^ 1]].concat(), Some(())),
        (b"none".to_vec(), Some(())),
    ] {
        std::fs::write(&path, octets).unwrap();
        let read = certification_request(&path);
        let refused = read.as_ref().err().map(start::code);
        assert_eq!(refused, code.map(|()| "exchange-certification-request"));
        assert!(read.is_err() || read.unwrap() == der);
    }
    let missing = certification_request(&folder.path().join("none")).unwrap_err();
    assert_eq!(start::code(&missing), "exchange-unreadable");
}

/// AUD-01: each request has a leaf with the hash of its file, once, whether it was answered or not; while somebody asks nobody waits for the folder.
#[test]
fn each_request_has_a_leaf_of_the_audit_log_once() {
    let zones = Zones::new();
    let recorded = || {
        let now = zones.world.now();
        asked::record(&zones.kept, zones.world.service.store(), now).unwrap();
        zones.world.leaves(EventCode::ExchangeRequested)
    };
    assert_eq!(recorded(), 0);
    zones.asks(Wanted::RootCrl, b"first".to_vec());
    let second = zones.asks(Wanted::RootCrl, b"second".to_vec());
    assert_eq!(recorded(), 2);
    assert_eq!(recorded(), 2, "once");
    let told = zones.world.last_payload(EventCode::ExchangeRequested);
    assert_eq!(told["exchange"], 2);
    assert_eq!(told["request"], second.file.to_string());
    // As if the program had died between leaf and mark.
    std::fs::remove_file(zones.world.folder("exchange/00000002.told")).unwrap();
    assert_eq!(recorded(), 3);
    assert!(Kept::open_if_free(&zones.world.folder("exchange")).unwrap().is_none());
}
