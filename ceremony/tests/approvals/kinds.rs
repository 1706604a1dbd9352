//! What comes after a root's own ceremony: an issuing CA has a key and asks, the root signs it, its next CRL, and its OCSP delegate; each as rehearsed, whenever it is broken off, and refused what the
//! plan does not have.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use ceremony_core::exchange::Wanted;
use ceremony_core::transcript::{Kind, Record};
use support::softhsm::{MODULE, SoftHsm, alone};
use support::{spoken, test_name, workspace};
use x509::certificate::Certificate;
use x509::crl::{CrlForm, CrlReader, ReasonCode};
use x509::key::PublicKey;
use x509::pem;
use x509::request::CertificationRequest;
use x509::time::UnixTime;

use super::bundle;
use super::exchange::Exchange;
use super::rehearsal::{BOTH, Rehearsed, texts};
use super::run::{Ready, twice};

/// What the same octets are called of which a line tells.
const ALIKE: &str = "to be signed alike in every run";

/// A root whose ceremony was held.
pub(crate) struct Root<'a> {
    softhsm: &'a SoftHsm,
    pub(crate) home: PathBuf,
}

impl<'a> Root<'a> {
    pub(crate) fn held(softhsm: &'a SoftHsm) -> Self {
        let ready = Ready::new(softhsm);
        let (code, said) = ready.run("root");
        assert_eq!(code, 0, "{said}");
        Self { softhsm, home: ready.0.folder.join("root") }
    }

    pub(crate) fn out(&self, name: &str) -> Vec<u8> {
        fs::read(self.home.join("ceremony/out").join(name)).unwrap()
    }

    /// The serial number of its token.
    pub(crate) fn serial(&self) -> String {
        let transcript = fs::read_to_string(self.home.join("ceremony/transcript.jsonl")).unwrap();
        let (_, serial) = transcript.split_once("(serial ").unwrap();
        serial.split_once(')').unwrap().0.to_owned()
    }

    /// What another run of the program says of its token.
    pub(crate) fn inventory(&self, form: &str) -> Output {
        let home = |name: &str| self.home.join(name).display().to_string();
        let said = Command::new(env!("CARGO_BIN_EXE_sigill-ceremony"))
            .args(["hsm", "inventory", form, "--module", MODULE, "--label", "sg-td-tr01-root"])
            .args(["--serial", &self.serial(), "--pin", &home("pins/root.pin")])
            .args(["--state", &home("state")])
            .env("SOFTHSM2_CONF", home("softhsm2.conf"))
            .output()
            .unwrap();
        assert!(said.status.success(), "{said:?}");
        said
    }

    /// How a plan names its token: serial number, and the hash of what it holds.
    pub(crate) fn token(&self) -> Vec<(String, String)> {
        let (serial, said) = (self.serial(), self.inventory("--hash"));
        let hash = String::from_utf8(said.stdout).unwrap().trim().to_owned();
        assert_eq!(hash.len(), 64, "{hash}");
        let expected = "b11a85b296a90afc460430434a504e7acb04b064575b7277724688af0e59d189";
        vec![("0123456789abcdef".to_owned(), serial), (expected.to_owned(), hash)]
    }

    /// The plan by which it signs an issuing CA, for this request.
    fn issuing(&self, request: Vec<u8>) -> Rehearsed<'a> {
        let inputs = [
            ("in/training.cer", self.out("training.cer")),
            ("in/issuing.csr", request),
            ("in/profiles/issuing.toml", fs::read(profile("issuing")).unwrap()),
        ];
        Rehearsed::of(self.softhsm, "c3-training", &inputs, self.token())
    }

    /// A request that OpenSSL has made.
    fn asked(&self, curve: &str) -> Option<Vec<u8>> {
        let folder = self.softhsm.state();
        let key = ["ecparam", "-name", curve, "-genkey", "-noout", "-out", "issuing.key"];
        spoken::openssl(&folder, &key)?;
        let request = ["req", "-new", "-key", "issuing.key", "-sha384", "-subj", "/CN=asked for"];
        let request = [&request[..], &["-outform", "DER", "-out", "issuing.csr"]].concat();
        let made = spoken::openssl(&folder, &request)?;
        assert_eq!(made.code, 0, "{}", made.text);
        Some(fs::read(folder.join("issuing.csr")).unwrap())
    }

    /// The plan by which it signs its next CRL, which revokes a certificate from `date` on.
    fn next_crl(&self, date: UnixTime) -> Rehearsed<'a> {
        let inputs = [
            ("in/training.cer", self.out("training.cer")),
            ("in/training.crl", self.out("training.crl")),
        ];
        let mut more = self.token();
        more.push(("date = 2027-02-01T12:00:00Z".to_owned(), format!("date = {date}")));
        // Named as the spool of the trial: what is kept of an output lies apart from it.
        more.push(("out/training.crl".to_owned(), "out/trial".to_owned()));
        Rehearsed::of(self.softhsm, "c5-training", &inputs, more)
    }
}

fn profile(name: &str) -> PathBuf {
    workspace::root().join(format!("profiles/{name}.toml"))
}

fn checks<'r>(records: &'r [Record], what: &str) -> Vec<&'r str> {
    let is_it = |record: &&Record| record.kind == Kind::Check && record.text("what") == Some(what);
    records.iter().filter(is_it).filter_map(|record| record.text("sha256")).collect()
}

/// OpenSSL judges these words in a folder.
#[track_caller]
fn openssl(folder: &Path, words: &[&str]) {
    let judged = spoken::openssl(folder, words).unwrap();
    assert_eq!(judged.code, 0, "{words:?}: {}", judged.text);
    assert!(judged.text.to_lowercase().contains("ok"), "{words:?}: {}", judged.text);
}

/// The request of an issuing CA's key, whose ceremony is held and broken off where something was announced: one key, and one request.
fn requested(key: &Ready<'_>) -> Vec<u8> {
    let (code, said) = key.run("issuing-key");
    assert_eq!(code, 0, "{said}");
    let records = key.judge_transcript("issuing-key");
    assert_eq!(texts(&records, "act"), ["prepare-token", "generate-key", "sign"]);
    let out = key.0.folder.join("issuing-key/ceremony/out");
    let request = fs::read(out.join("issuing.csr")).unwrap();
    let of = |der: &[u8]| CertificationRequest::from_der(der).unwrap().public_key().clone();
    assert_eq!(texts(&records, "spki_sha256"), [of(&request).spki_hash().to_string()]);
    if spoken::openssl(&out, &["version"]).is_some() {
        let words = ["req", "-inform", "DER", "-in", "issuing.csr", "-verify", "-noout"];
        openssl(&out, &words);
    }
    let lines = key.announced("issuing-key", "sign", "issuing.csr") + 1;
    key.cut("issuing-key", lines, &["issuing.csr"]);
    assert_eq!(key.run("issuing-key").0, 0);
    twice(&key.judge_transcript("issuing-key"), "issuing.csr");
    let lines = key.announced("issuing-key", "generate-key", "issuing-key") + 1;
    key.cut("issuing-key", lines, &["issuing.csr"]);
    assert_eq!(key.run("issuing-key").0, 0);
    let records = key.judge_transcript("issuing-key");
    assert_eq!(texts(&records, "adopted"), ["found by a later run"]);
    bundle::holds(key, "issuing-key");
    // Changed afterwards, it is not handed on.
    let again = fs::read(out.join("issuing.csr")).unwrap();
    assert_eq!(of(&again), of(&request), "one key");
    let (_, cut) = again.split_first().unwrap();
    fs::write(out.join("issuing.csr"), cut).unwrap();
    key.refused("issuing-key", "R19", 13, "is not what the transcript tells of");
    again
}

/// A6, N20, N22, N28: the key of an issuing CA asks for its certificate; of its request the root certifies the key and nothing else; broken off each
/// signs the same octets once more.
#[test]
fn a_root_signs_an_issuing_ca_as_it_was_rehearsed() {
    alone(test_name!(a_root_signs_an_issuing_ca_as_it_was_rehearsed), |softhsm| {
        let root = Root::held(softhsm);
        let key = Ready::of(Rehearsed::of(softhsm, "c2-training", &[], Vec::new()), None);
        let request = requested(&key);
        let ready = Ready::of(root.issuing(request.clone()), Some(root.home.clone()));
        let (code, said) = ready.run("issuing");
        assert_eq!(code, 0, "{said}");
        let records = ready.judge_transcript("issuing");
        assert_eq!(texts(&records, "act"), ["sign"]);
        assert_eq!(checks(&records, ALIKE).len(), 1);
        bundle::holds(&ready, "issuing");

        let out = ready.0.folder.join("issuing/ceremony/out");
        let der = fs::read(out.join("issuing.cer")).unwrap();
        let issued = Certificate::from_der(&der).unwrap();
        let of_root = Certificate::from_der(&root.out("training.cer")).unwrap();
        let request = CertificationRequest::from_der(&request).unwrap();
        assert_eq!(issued.public_key(), request.public_key());
        assert_ne!(issued.subject(), request.subject(), "the subject is the plan's");
        assert_eq!(issued.crl_uris(), ["http://crl.example.org/training.crl"]);
        assert_eq!(issued.validity().not_after(), of_root.validity().not_after());
        for (name, der) in [("root", of_root.as_der()), ("issued", &der)] {
            let text = pem::encode(pem::Label::Certificate, der);
            fs::write(softhsm.state().join(format!("{name}.pem")), text).unwrap();
        }
        if spoken::openssl(&softhsm.state(), &["version"]).is_some() {
            let words = ["verify", "-x509_strict", "-CAfile", "root.pem", "issued.pem"];
            openssl(&softhsm.state(), &words);
        }

        // Announced, and killed: with what it signed gone, and with what it signed there.
        let announced = ready.announced("issuing", "sign", "issuing.cer") + 1;
        ready.cut("issuing", announced, &["issuing.cer"]);
        assert_eq!(ready.run("issuing").0, 0);
        twice(&ready.judge_transcript("issuing"), "issuing.cer");
        let again = fs::read(out.join("issuing.cer")).unwrap();
        assert_eq!(Certificate::from_der(&again).unwrap().tbs_der(), issued.tbs_der());
        ready.cut("issuing", announced, &[]);
        assert_eq!(ready.run("issuing").0, 0);
        let records = ready.judge_transcript("issuing");
        assert_eq!(texts(&records, "adopted"), ["found by a later run"]);
        assert_eq!(fs::read(out.join("issuing.cer")).unwrap(), again);
        // Told, and killed: nothing is signed any more, and the file is the one of which was told.
        let told = ready.records("issuing").iter().rposition(|one| one.kind == Kind::Checkpoint);
        ready.cut("issuing", told.unwrap() + 1, &[]);
        fs::write(out.join("issuing.cer"), &der[1..]).unwrap();
        ready.refused("issuing", "R19", 13, "is not what the transcript tells of");
        fs::write(out.join("issuing.cer"), &again).unwrap();
        assert_eq!(ready.run("issuing").0, 0);
        assert_eq!(texts(&ready.judge_transcript("issuing"), "act"), ["sign"]);

        let asked = (Wanted::IssuingCertificate, of_root.as_der(), request.as_der());
        let exchange = Exchange::new(&ready, "issuing", asked);
        exchange.is_answered_once(&again, &["x509", "-noout"]);
        exchange.is_refused_otherwise();

        // Without its token, and with one that holds something else.
        let away = root.home.join("tokens.away");
        fs::rename(root.home.join("tokens"), &away).unwrap();
        fs::create_dir(root.home.join("tokens")).unwrap();
        ready.refused("elsewhere", "R06", 14, "was made before, and is not there");
        fs::remove_dir(root.home.join("tokens")).unwrap();
        fs::rename(&away, root.home.join("tokens")).unwrap();
        assert!(texts(&ready.records("elsewhere"), "act").is_empty());
    });
}

/// N27, N28: what the plan does not have, or the issuer may not sign, is found at the rehearsal, and the key signs nothing.
#[test]
fn a_root_signs_no_issuing_ca_that_is_not_as_planned() {
    alone(test_name!(a_root_signs_no_issuing_ca_that_is_not_as_planned), |softhsm| {
        let root = Root::held(softhsm);
        let Some(request) = root.asked("secp384r1") else {
            return println!("skipped: openssl is not installed");
        };
        let world = root.issuing(request);
        let none = |records: Vec<Record>| assert!(texts(&records, "act").is_empty());
        let end = "not-after    = 2030-01-01T00:00:00Z";
        // One second over its issuer: it would end with it, and that is not what the plan says.
        world.plan(end, "not-after    = 2030-01-01T00:00:01Z");
        none(world.refused(BOTH, "R11", 15, "would end at 2030-01-01T00:00:00Z"));
        world.plan("SIGILL TRAINING Issuing CA v1", "SIGILL TRAINING Root CA v1");
        none(world.refused(BOTH, "R11", 15, "pro-14/other-subject"));
        world.plan("algorithm    = \"ecdsa-p384-sha384\"", "algorithm    = \"rsa-pkcs1-sha256\"");
        none(world.refused(BOTH, "R12", 16, "cannot sign with"));

        let request = Path::new(&world.path("in/issuing.csr")).to_owned();
        let mut der = fs::read(&request).unwrap();
        let last = der.len() - 1;
        der[last] ^= 1;
        fs::write(&request, &der).unwrap();
        world.plan("", "");
        none(world.refused(BOTH, "R12", 16, "request issuing-request"));
        der[last] ^= 1;
        fs::write(&request, &der).unwrap();
        world.plan("", "");

        // The token of another root, or one that holds more than was approved, does not sign.
        let hash = world.expected();
        world.plan(&hash, &"ab".repeat(32));
        let ready = Ready::of(world, Some(root.home.clone()));
        ready.refused("issuing", "R06", 14, "the plan expects abab");
        assert!(texts(&ready.records("issuing"), "act").is_empty());
        // With nothing said of where the token is, none is made in its place.
        let nowhere = Ready::of(ready.0, None);
        nowhere.refused("nowhere", "R06", 14, "no --tokens says in which home");
        assert!(!Path::new(&nowhere.0.path("nowhere")).exists());
    });
}

/// N11, N13, N20, N22: the next CRL has a higher number and all that was revoked; broken off it is the same one.
#[test]
fn a_root_signs_its_next_crl_and_loses_nothing() {
    alone(test_name!(a_root_signs_its_next_crl_and_loses_nothing), |softhsm| {
        let root = Root::held(softhsm);
        let read = |der: &[u8]| {
            let octets = u64::try_from(der.len()).unwrap();
            let mut reader = CrlReader::start(der, CrlForm::CertificateList, octets).unwrap();
            let entries: Vec<_> = reader.by_ref().collect::<Result<_, _>>().unwrap();
            let head = reader.head().clone();
            (head, entries, reader.finish().unwrap().extensions.number.unwrap())
        };
        let (head, entries, number) = read(&root.out("training.crl"));
        assert_eq!((entries.len(), number), (0, vec![1]));
        let date = head.this_update;
        let ready = Ready::of(root.next_crl(date), Some(root.home.clone()));
        let (code, said) = ready.run("crl");
        assert_eq!(code, 0, "{said}");
        let records = ready.judge_transcript("crl");
        assert_eq!(texts(&records, "act"), ["sign"]);
        bundle::holds(&ready, "crl");
        let out = ready.0.folder.join("crl/ceremony/out");
        let der = fs::read(out.join("trial")).unwrap();
        let (_, entries, number) = read(&der);
        assert_eq!(number, [2]);
        let told = entries.iter().map(|entry| (entry.revocation_date, entry.reason));
        assert_eq!(told.collect::<Vec<_>>(), [(date, Some(ReasonCode::Superseded))]);
        let root_pem = pem::encode(pem::Label::Certificate, &root.out("training.cer"));
        fs::write(softhsm.state().join("root.pem"), root_pem).unwrap();
        fs::write(softhsm.state().join("next.crl"), &der).unwrap();
        if spoken::openssl(&softhsm.state(), &["version"]).is_some() {
            let words =
                ["crl", "-inform", "DER", "-in", "next.crl", "-CAfile", "root.pem", "-noout"];
            openssl(&softhsm.state(), &words);
        }

        let (issuer, previous) = (root.out("training.cer"), root.out("training.crl"));
        let exchange = Exchange::new(&ready, "crl", (Wanted::RootCrl, &issuer, &previous));
        exchange.is_answered_once(&der, &["crl", "-noout"]);

        let announced = ready.announced("crl", "sign", "trial") + 1;
        ready.cut("crl", announced, &["trial"]);
        assert_eq!(ready.run("crl").0, 0);
        twice(&ready.judge_transcript("crl"), "trial");

        // After it comes the third, of the same entries: what is revoked already is not revoked again, nor before the list on which it
        // would have stood, nor later than now; and another CA's list is followed by none.
        let world = &ready.0;
        fs::write(world.path("in/training.crl"), &der).unwrap();
        world.plan("", "");
        world.refused(BOTH, "R13", 17, "it is revoked already");
        let revoked = "serial = \"4c9f03aa17d2e0b1\"";
        let other = "serial = \"4c9f03aa17d2e0b2\"";
        let early = UnixTime::from_secs(date.secs() - 1).unwrap();
        let date_of = |date: UnixTime| format!("date = {date}");
        world.plan_twice((revoked, other), (&date_of(date), &date_of(early)));
        world.refused(BOTH, "R13", 17, "before the previous CRL");
        let late = UnixTime::from_secs(date.secs() + 80_000).unwrap();
        world.plan_twice((revoked, other), (&date_of(date), &date_of(late)));
        world.refused(BOTH, "R13", 17, "its date is after thisUpdate");
        world.plan_twice(
            (revoked, other),
            ("lifetime  = \"180d\"", "overdue-since = 2026-01-01T00:00:00Z\nlifetime  = \"180d\""),
        );
        world.refused(BOTH, "R13", 17, "overdue-since = 2026-01-01T00:00:00Z, and");
        let mut forged = der.clone();
        let last = forged.len() - 1;
        forged[last] ^= 1;
        fs::write(world.path("in/training.crl"), &forged).unwrap();
        world.plan("", "");
        let records = world.refused(BOTH, "R13", 17, "is not one of the issuer's");
        assert!(texts(&records, "act").is_empty());
    });
}

/// The root's delegate ends 30 days after the CRL that was signed with it, and is for OCSP alone.
#[test]
fn a_root_signs_its_delegate_with_a_crl() {
    alone(test_name!(a_root_signs_its_delegate_with_a_crl), |softhsm| {
        let root = Root::held(softhsm);
        let Some(request) = root.asked("prime256v1") else {
            return println!("skipped: openssl is not installed");
        };
        let inputs = [
            ("in/training.cer", root.out("training.cer")),
            ("in/training.crl", root.out("training.crl")),
            ("in/ocsp1.csr", request.clone()),
            ("in/profiles/ocsp-offline.toml", fs::read(profile("ocsp-offline")).unwrap()),
        ];
        let world = Rehearsed::of(softhsm, "c4b-training", &inputs, root.token());
        let offline = world.path("in/profiles/ocsp-offline.toml");
        fs::copy(profile("issuing"), &offline).unwrap();
        world.plan("", "");
        let records = world.refused(BOTH, "R11", 15, "is of another kind of certificate");
        assert_eq!(texts(&records, "kind"), ["crl"]);
        fs::copy(profile("ocsp-offline"), &offline).unwrap();
        world.plan("", "");

        let ready = Ready::of(world, Some(root.home.clone()));
        let (code, said) = ready.run("delegate");
        assert_eq!(code, 0, "{said}");
        let records = ready.judge_transcript("delegate");
        assert_eq!(texts(&records, "kind"), ["crl", "ocsp-delegate"]);
        assert_eq!(checks(&records, ALIKE).len(), 2);
        bundle::holds(&ready, "delegate");
        let out = ready.0.folder.join("delegate/ceremony/out");
        let delegate = Certificate::from_der(&fs::read(out.join("ocsp1.cer")).unwrap()).unwrap();
        let asked = CertificationRequest::from_der(&request).unwrap();
        assert_eq!(delegate.public_key(), asked.public_key());
        let list = fs::read(out.join("training.crl")).unwrap();
        let octets = u64::try_from(list.len()).unwrap();
        let reader = CrlReader::start(&list[..], CrlForm::CertificateList, octets).unwrap();
        let ended = reader.head().next_update.unwrap();
        assert_eq!(delegate.validity().not_after().secs(), ended.secs() + 30 * 86_400);
        for (name, der) in
            [("root", root.out("training.cer")), ("ocsp1", delegate.as_der().to_vec())]
        {
            let text = pem::encode(pem::Label::Certificate, &der);
            fs::write(softhsm.state().join(format!("{name}.pem")), text).unwrap();
        }
        let words = ["verify", "-purpose", "ocsphelper", "-CAfile", "root.pem", "ocsp1.pem"];
        openssl(&softhsm.state(), &words);

        // Broken off after the CRL: that stays, and the delegate's octets are signed once more.
        ready.cut("delegate", ready.announced("delegate", "sign", "ocsp1.cer") + 1, &["ocsp1.cer"]);
        assert_eq!(ready.run("delegate").0, 0);
        twice(&ready.judge_transcript("delegate"), "ocsp1.cer");
        assert_eq!(fs::read(out.join("training.crl")).unwrap(), list);
        let again = Certificate::from_der(&fs::read(out.join("ocsp1.cer")).unwrap()).unwrap();
        assert_eq!(again.tbs_der(), delegate.tbs_der());
        bundle::holds(&ready, "delegate");
    });
}

/// CER-02, N20: the identity key of a responder is made and taken up as rehearsed; what goes out is its public key and nothing else, and the auditor's program holds it against the key
/// that was made.
#[test]
fn the_key_of_a_responder_is_taken_up() {
    alone(test_name!(the_key_of_a_responder_is_taken_up), |softhsm| {
        let ready = Ready::of(Rehearsed::of(softhsm, "c4-training", &[], Vec::new()), None);
        let (code, said) = ready.run("ocsp1");
        assert_eq!(code, 0, "{said}");
        let records = ready.judge_transcript("ocsp1");
        assert_eq!(texts(&records, "act"), ["prepare-token", "generate-key"]);
        let made = texts(&records, "spki_sha256");
        let out = ready.0.folder.join("ocsp1/ceremony/out");
        let file = out.join("responder-ocsp1.spki");
        let key = PublicKey::from_spki_der(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(made, [key.spki_hash().to_string()]);
        let words = ["pkey", "-pubin", "-inform", "DER", "-in", "responder-ocsp1.spki", "-noout"];
        if let Some(judged) = spoken::openssl(&out, &[&words[..], &["-text"]].concat()) {
            assert!(judged.text.contains("prime256v1"), "{}", judged.text);
        }
        bundle::holds(&ready, "ocsp1");

        // Killed between the key and its taking up: the same key is taken up.
        let lines = ready.records("ocsp1");
        let enrols = |one: &Record| one.step == "take-up" && one.kind == Kind::Readback;
        let at = lines.iter().position(enrols).unwrap();
        ready.cut("ocsp1", at, &["responder-ocsp1.spki"]);
        assert_eq!(ready.run("ocsp1").0, 0);
        assert_eq!(PublicKey::from_spki_der(&fs::read(&file).unwrap()).unwrap(), key);
        bundle::holds(&ready, "ocsp1");
        // Another key in its place goes nowhere.
        fs::write(&file, &key.spki_der()[1..]).unwrap();
        ready.refused("ocsp1", "R19", 13, "is not what the transcript tells of");
    });
}
