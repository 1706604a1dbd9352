//! Requests and certificates under a given issuer, as OpenSSL makes them.

use std::path::Path;
use std::process::Command;

use ceremony_core::bundle::MadeKey;

use x509::time::UnixTime;

use super::certificates::points_as_planned;
use super::*;
use crate::ceremony::told::ALIKE;

const EC: [&str; 2] = ["EC", "ec_paramgen_curve:P-384"];
const RSA: [&str; 2] = ["RSA", "rsa_keygen_bits:2048"];

/// A folder in which OpenSSL works.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.0.path().join(name), text).unwrap();
    }

    pub(super) fn speaks(&self, words: &[&str]) -> bool {
        let run = Command::new("openssl").args(words).current_dir(&self.0).output();
        run.is_ok_and(|run| run.status.success())
    }

    pub(super) fn octets(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    /// A key, and the hash of its public half; `None` without OpenSSL.
    pub(super) fn key(&self, name: &str, [algorithm, option]: [&str; 2]) -> Option<String> {
        let (key, public) = (format!("{name}.key"), format!("{name}.spki"));
        if !self.speaks(&["genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", &key]) {
            return None;
        }
        assert!(self.speaks(&["pkey", "-in", &key, "-pubout", "-outform", "DER", "-out", &public]));
        Some(Fingerprint::of(&self.octets(&public)).to_string())
    }

    pub(super) fn request(&self, key: &str, subject: &str, out: &str) {
        let key = format!("{key}.key");
        let words = [
            "req", "-new", "-sha384", "-key", &key, "-subj", subject, "-outform", "DER", "-out",
            out,
        ];
        assert!(self.speaks(&words));
    }
}

pub(super) fn plan(name: &str) -> Plan {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ceremonies/plans");
    Plan::read(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

pub(super) fn signature(
    step: &str,
    what: &str,
    key: &str,
    tbs: &[u8],
    octets: &[u8],
) -> MadeSignature {
    MadeSignature {
        step: step.to_owned(),
        what: what.to_owned(),
        kind: String::new(),
        algorithm: "ecdsa-p384-sha384".to_owned(),
        key: key.to_owned(),
        tbs_sha256: Fingerprint::of(tbs).to_string(),
        sha256: Fingerprint::of(octets).to_string(),
        announced: 1,
    }
}

/// C2: a request is for the key that was made, by it, and for the planned name.
#[test]
fn a_request_is_for_the_key_that_was_made() {
    let plan = plan("c2-issuing-key.toml");
    let found = plan.steps.iter().find_map(|step| match &step.operation {
        Operation::Request { key_of, common_name, out } => {
            Some((step, key_of, common_name, below_out(out)))
        }
        _ => None,
    });
    let (step, key_of, common_name, file) = found.unwrap();
    let folder = Folder::new();
    let (Some(key), Some(other)) = (folder.key("one", EC), folder.key("other", EC)) else {
        return println!("skipped: openssl is not installed");
    };
    folder.request("one", &format!("/CN={common_name}"), "request");
    folder.request("one", "/CN=Another", "another");
    let judged = |request: &str, made: &str, signed_by: &str| {
        let octets = folder.octets(request);
        let mut bundle = Bundle::new();
        bundle.put(&file, octets.clone()).unwrap();
        let tbs = CertificationRequest::from_der(&octets).unwrap().info_der().to_vec();
        let what = file.strip_prefix(OUTPUTS).unwrap();
        let made = Made {
            keys: vec![MadeKey {
                step: key_of.to_string(),
                spki_sha256: made.to_owned(),
                cka_id: String::new(),
                key_type: String::new(),
                token: String::new(),
                adopted: false,
            }],
            signatures: vec![signature(step.id.as_str(), what, signed_by, &tbs, &octets)],
            ..Made::default()
        };
        assert!(is_of_step(&plan, step.id.as_str(), &file));
        let works = Works { plan: &plan, bundle: &bundle, made: &made, told: Told(&[]) };
        let (read, _) = works.signatures()?;
        works.as_planned(&read).map(|(artefacts, _)| artefacts.len())
    };
    assert_eq!(judged("request", &key, &key), Ok(1));
    for (request, made, signed_by, said) in [
        ("request", &other, &key, "its key is"),
        ("request", &key, &other, "its signer's key is"),
        ("another", &key, &key, "it asks for CN=Another"),
    ] {
        let fault = judged(request, made, signed_by).unwrap_err();
        assert!(fault.why.contains(said), "{said}: {}", fault.why);
    }
}

/// C3: a certificate is by the key of the issuer that the plan gives, for the key of the request that it gives.
#[test]
fn a_certificate_is_by_the_issuer_that_the_plan_gives() {
    let plan = plan("c3-issuing-certificate.toml");
    let found = plan.steps.iter().find_map(|step| match &step.operation {
        Operation::Certificate { key_of, issuer, common_name, organization, out, .. } => {
            Some((step, key_of, issuer, common_name, organization, below_out(out)))
        }
        _ => None,
    });
    let (step, key_of, issuer, common_name, organization, file) = found.unwrap();
    let file_of = |name: &Word| plan.input(name).unwrap().file.as_str();
    let folder = Folder::new();
    let keys = [("root", RSA), ("stranger", RSA), ("ca", EC), ("other", EC)];
    let keys = keys.map(|(name, kind)| folder.key(name, kind));
    let [Some(root), Some(_), Some(_), Some(_)] = &keys else {
        return println!("skipped: openssl is not installed");
    };
    for name in ["root", "stranger"] {
        let key = format!("{name}.key");
        let words =
            ["req", "-x509", "-new", "-sha512", "-key", &key, "-subj", "/CN=Root", "-out", name];
        assert!(folder.speaks(&words));
        let der = format!("{name}.cer");
        assert!(folder.speaks(&["x509", "-in", name, "-outform", "DER", "-out", &der]));
    }
    let subject = format!("/O={organization}/CN={common_name}");
    for (key, out) in [("ca", "request"), ("other", "other-request")] {
        folder.request(key, &subject, out);
    }
    let issue =
        ["x509", "-req", "-inform", "DER", "-in", "request", "-CA", "root", "-CAkey", "root.key"];
    std::fs::write(folder.0.path().join("ext"), "basicConstraints=CA:TRUE\n").unwrap();
    let more =
        ["-sha512", "-set_serial", "77", "-extfile", "ext", "-outform", "DER", "-out", "issued"];
    assert!(folder.speaks(&[&issue[..], &more].concat()));
    let judged = |certificate_of_issuer: &str, request: &str| {
        let octets = folder.octets("issued");
        let mut bundle = Bundle::new();
        bundle.put(&file, octets.clone()).unwrap();
        bundle.put(file_of(issuer), folder.octets(certificate_of_issuer)).unwrap();
        bundle.put(file_of(key_of), folder.octets(request)).unwrap();
        let tbs = Certificate::from_der(&octets).unwrap().tbs_der().to_vec();
        let what = file.strip_prefix(OUTPUTS).unwrap();
        let mut of = signature(step.id.as_str(), what, root, &tbs, &octets);
        of.algorithm = "rsa-pkcs1-sha512".to_owned();
        let made = Made { signatures: vec![of], ..Made::default() };
        let works = Works { plan: &plan, bundle: &bundle, made: &made, told: Told(&[]) };
        let (read, _) = works.signatures()?;
        works.as_planned(&read).map(|(artefacts, _)| artefacts.len())
    };
    // Its signature holds, and its key is the request's; it is no certificate of our profile.
    for (issuer, request, said) in [
        ("root.cer", "request", "it ends at"),
        ("stranger.cer", "request", "its signer's key is"),
        ("root.cer", "other-request", "; request "),
    ] {
        let fault = judged(issuer, request).unwrap_err();
        assert!(fault.why.contains(said), "{said}: {}", fault.why);
    }
}

/// C4b: a delegate is by its issuer's key, in the CRL's algorithm, for the key of the request, and ends 30 days after the CRL of its plan.
#[test]
fn a_delegate_ends_so_long_after_the_crl_of_its_plan() {
    let plan = plan("c4b-training.toml");
    let found = plan.steps.iter().find_map(|step| match &step.operation {
        Operation::Delegate { request, issuer, crl, out, .. } => {
            Some((step, request, issuer, crl, below_out(out)))
        }
        _ => None,
    });
    let (step, request, issuer, crl, file) = found.unwrap();
    let lists = plan.steps.iter().find(|step| step.id == *crl).unwrap();
    let list = below_out(lists.operation.out().unwrap());
    let folder = Folder::new();
    let (Some(root), Some(_), Some(_)) =
        (folder.key("root", EC), folder.key("own", EC), folder.key("other", EC))
    else {
        return println!("skipped: openssl is not installed");
    };
    let own = ["req", "-x509", "-new", "-sha384", "-key", "root.key", "-subj", "/CN=Root"];
    assert!(folder.speaks(&[&own[..], &["-out", "root"]].concat()));
    assert!(folder.speaks(&["x509", "-in", "root", "-outform", "DER", "-out", "root.cer"]));
    let subject = "/O=Sigill Test/CN=SIGILL TRAINING Root CA v1 OCSP ocsp1";
    folder.request("own", subject, "own.csr");
    folder.request("other", subject, "other.csr");
    let issued = |request: &str, days: &str| {
        let by = ["x509", "-req", "-inform", "DER", "-in", request, "-CA", "root", "-CAkey"];
        let how = ["root.key", "-sha384", "-set_serial", "77", "-days", days, "-extfile", "ext"];
        assert!(folder.speaks(&[&by[..], &how, &["-outform", "DER", "-out", "issued"]].concat()));
        folder.octets("issued")
    };
    for (name, text) in [
        ("conf", "[ca]\ndefault_ca=d\n[d]\ndatabase=index\ncrlnumber=number\ndefault_md=sha384\n"),
        ("ext", "extendedKeyUsage=OCSPSigning\n"),
        ("index", ""),
        ("number", "01\n"),
    ] {
        folder.write(name, text);
    }
    let signs = ["ca", "-config", "conf", "-gencrl", "-cert", "root", "-keyfile", "root.key"];
    assert!(folder.speaks(&[&signs[..], &["-crldays", "180", "-out", "crl.pem"]].concat()));
    assert!(folder.speaks(&["crl", "-in", "crl.pem", "-outform", "DER", "-out", "crl"]));
    let crl_octets = folder.octets("crl");
    let name = |file: &str| file.strip_prefix(OUTPUTS).unwrap().to_owned();
    let judged = |octets: &[u8], signed_list: bool, algorithm: &str| {
        let mut bundle = Bundle::new();
        bundle.put(&file, octets.to_vec()).unwrap();
        bundle.put(&list, crl_octets.clone()).unwrap();
        bundle.put(plan.input(issuer).unwrap().file.as_str(), folder.octets("root.cer")).unwrap();
        bundle.put(plan.input(request).unwrap().file.as_str(), folder.octets("own.csr")).unwrap();
        let tbs = Certificate::from_der(octets).unwrap().tbs_der().to_vec();
        let mut own = signature(step.id.as_str(), &name(&file), &root, &tbs, octets);
        own.algorithm = algorithm.to_owned();
        let tbs = alike::signed_part(&crl_octets).unwrap();
        let of_list = signature(crl.as_str(), &name(&list), &root, tbs, &crl_octets);
        let signatures = if signed_list { vec![of_list, own] } else { vec![own] };
        let made = Made { signatures, ..Made::default() };
        let works = Works { plan: &plan, bundle: &bundle, made: &made, told: Told(&[]) };
        let (read, _) = works.signatures().map_err(|fault| fault.why)?;
        let delegate = read.last().unwrap();
        let What::Certificate(own) = &delegate.what else { panic!("it is a certificate") };
        works.certificate(delegate, own, &read).map(drop)
    };
    let ours = "ecdsa-p384-sha384";
    let ends = crls::read(&crl_octets).unwrap().next_update().unwrap();
    let ends = ends.checked_add(ceremony_core::plan::DELEGATE_AFTER_CRL).unwrap();
    for (octets, signed_list, algorithm, said) in [
        (issued("own.csr", "209"), true, ours, format!("by the plan at {ends}")),
        (issued("own.csr", "210"), false, ours, format!("step {crl} signed no CRL")),
        (issued("other.csr", "210"), true, ours, format!("; request {request} has")),
        (issued("own.csr", "210"), true, "ecdsa-p256-sha256", "announced was".to_owned()),
    ] {
        let why = judged(&octets, signed_list, algorithm).unwrap_err();
        assert!(why.contains(&said), "{said}: {why}");
    }
}

/// Outputs of a series, and of what no step makes.
#[test]
fn the_files_of_a_series_are_numbered() {
    let plan = plan("c5-root-crl-series.toml");
    let is_series = |step: &&Step| matches!(&step.operation, Operation::Crl { series, .. } if series.len() == 3);
    let step = plan.steps.iter().find(is_series).unwrap();
    let id = step.id.as_str();
    let made =
        |number: usize| is_of_step(&plan, id, &format!("out/exempeleidrootcav3-{number}.crl"));
    assert!((1..=3).all(made));
    assert!(!made(0) && !made(4));
    assert!(!is_of_step(&plan, id, "out/exempeleidrootcav3.crl"));
    assert!(!is_of_step(&plan, "no-step", "out/exempeleidrootcav3-1.crl"));
}

/// A responder's key that was taken up is the one that was made, and a line tells who compared it.
#[test]
fn a_key_that_is_taken_up_is_the_one_that_was_made() {
    let plan = plan("c4-training.toml");
    let bundle = Bundle::new();
    let key = "8a".repeat(32);
    let makes = |step: &&Step| matches!(step.operation, Operation::GenerateKey { .. });
    let step = plan.steps.iter().find(makes).unwrap();
    let none = Made::default();
    let of_none = Works { plan: &plan, bundle: &bundle, made: &none, told: Told(&[]) };
    let made = Made {
        keys: vec![MadeKey {
            step: step.id.to_string(),
            spki_sha256: key.clone(),
            cka_id: of_none.key_id(step),
            key_type: "ec-p256".to_owned(),
            token: "sg-td-tr01-responder (serial 4711)".to_owned(),
            adopted: false,
        }],
        ..Made::default()
    };
    let judged = |told: &[Record]| {
        let works = Works { plan: &plan, bundle: &bundle, made: &made, told: Told(told) };
        works.keys().map(drop)
    };
    let read = |step: &str, what: &str, key: &str| {
        line(Kind::Readback, step, &[("what", what), ("sha256", key)])
    };
    for what in [TO_BE_TAKEN_UP, TAKEN_UP_UNREAD] {
        assert_eq!(judged(&[read("take-up", what, &key)]), Ok(()));
    }
    let other = "8b".repeat(32);
    for told in [
        vec![],
        vec![read("identity", TO_BE_TAKEN_UP, &key)],
        vec![read("take-up", "to be signed", &key)],
        vec![read("take-up", TO_BE_TAKEN_UP, &other)],
        vec![read("take-up", TO_BE_TAKEN_UP, &key), read("take-up", TO_BE_TAKEN_UP, &other)],
    ] {
        let fault = judged(&told).unwrap_err();
        assert!(fault.why.contains("compared was not the key of step identity"), "{}", fault.why);
    }
}

/// A line of a step.
fn line(kind: Kind, step: &str, facts: &[(&str, &str)]) -> Record {
    let body = facts.iter().map(|(name, text)| ((*name).to_owned(), (*text).into()));
    let (step, body) = (step.to_owned(), body.collect());
    Record { time: UnixTime::EPOCH, run_ms: 0, step, kind, who: Vec::new(), body }
}

fn told_alike(step: &str, sha256: &str) -> Record {
    line(Kind::Check, step, &[("sha256", sha256), ("what", ALIKE)])
}

/// Record 0039: a certificate under an issuer that was there before has every octet that people approved; the names, the end and the key alone
/// are not enough. One that points elsewhere than the plan is refused too.
#[test]
fn a_certificate_is_the_one_that_was_approved() {
    let plan = plan("c3-issuing-certificate.toml");
    let signs = |step: &&Step| matches!(step.operation, Operation::Certificate { .. });
    let step = plan.steps.iter().find(signs).unwrap();
    let Operation::Certificate { issuer, urls: Some(urls), out, .. } = &step.operation else {
        panic!("C3 signs a certificate");
    };
    let folder = Folder::new();
    let (Some(root), Some(_)) = (folder.key("root", RSA), folder.key("ca", EC)) else {
        return println!("skipped: openssl is not installed");
    };
    let own = ["req", "-x509", "-new", "-sha512", "-key", "root.key", "-subj", "/CN=Root"];
    assert!(folder.speaks(&[&own[..], &["-out", "root"]].concat()));
    assert!(folder.speaks(&["x509", "-in", "root", "-outform", "DER", "-out", "root.cer"]));
    folder.request("ca", "/CN=Person", "request");
    let issued = |extensions: &str, serial: &str| {
        std::fs::write(folder.0.path().join("ext"), extensions).unwrap();
        let by = ["x509", "-req", "-inform", "DER", "-in", "request", "-CA", "root", "-CAkey"];
        let how = ["root.key", "-sha512", "-set_serial", serial, "-extfile", "ext"];
        let end = ["-days", "3650", "-outform", "DER", "-out", "issued"];
        assert!(folder.speaks(&[&by[..], &how, &end].concat()));
        folder.octets("issued")
    };
    let (crl, aia) = (urls.crl.as_str(), urls.aia.as_str());
    let points =
        format!("crlDistributionPoints=URI:{crl}\nauthorityInfoAccess=caIssuers;URI:{aia}\n");
    let approved = issued(&format!("basicConstraints=CA:TRUE,pathlen:0\n{points}"), "0x4711");
    let without_limit = issued(&format!("basicConstraints=CA:TRUE\n{points}"), "0x4711");
    let elsewhere = issued("crlDistributionPoints=URI:http://crl.example.net/a.crl\n", "0x4711");

    let of = |octets: &[u8]| Certificate::from_der(octets).unwrap();
    assert_eq!(points_as_planned(&of(&approved), Some(urls)), Ok(()));
    for (octets, urls, said) in [
        (&elsewhere, Some(urls), "http://crl.example.net/a.crl for CRL; the plan has http"),
        (&approved, None, "for CRL; the plan has none"),
    ] {
        let why = points_as_planned(&of(octets), urls).unwrap_err();
        assert!(why.contains(said), "{said}: {why}");
    }

    let file = below_out(out);
    let judged = |octets: &[u8], told: &[Record]| {
        let mut bundle = Bundle::new();
        bundle.put(&file, octets.to_vec()).unwrap();
        let issuer = plan.input(issuer).unwrap().file.as_str();
        bundle.put(issuer, folder.octets("root.cer")).unwrap();
        let what = file.strip_prefix(OUTPUTS).unwrap();
        let mut of = signature(step.id.as_str(), what, &root, of(octets).tbs_der(), octets);
        of.algorithm = "rsa-pkcs1-sha512".to_owned();
        let made = Made { signatures: vec![of], ..Made::default() };
        let works = Works { plan: &plan, bundle: &bundle, made: &made, told: Told(told) };
        let (read, _) = works.signatures().unwrap();
        works.alike(&read[0], 0)
    };
    let masked = alike::certificate(of(&approved).tbs_der()).unwrap();
    let hash = Fingerprint::of(&masked).to_string();
    let id = step.id.as_str();
    let told = [told_alike(id, &hash), told_alike("another", &"0f".repeat(32))];
    assert_eq!(judged(&approved, &told), Ok(()));
    let other = [told_alike(id, &hash), told_alike(id, &"0f".repeat(32))];
    for (octets, told, said) in [
        (&without_limit, &told[..], "people approved"),
        (&approved, &other[..], "people approved 0f0f"),
        (&approved, &told[1..], "tells what is to be signed alike"),
    ] {
        let fault = judged(octets, told).unwrap_err();
        assert_eq!(fault, Fault::new(Refusal::Lint, fault.why.clone()));
        assert!(fault.why.contains(said), "{said}: {}", fault.why);
    }
}

/// The same of a CRL under an issuer that was there before.
#[test]
fn a_crl_is_the_one_that_was_approved() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let shipped = std::fs::read(folder.join("formats/vectors/ceremony-bundle.tar")).unwrap();
    let shipped = Bundle::from_archive(&shipped).unwrap();
    let text = std::fs::read_to_string(folder.join("ceremonies/plans/c5-root-crl.toml")).unwrap();
    let text = text.replace("\"rsa-pkcs1-sha256\"", "\"ecdsa-p384-sha384\"");
    let plan = Plan::read(text.as_bytes()).unwrap();
    let signs = |step: &&Step| matches!(step.operation, Operation::Crl { .. });
    let step = plan.steps.iter().find(signs).unwrap();
    let Operation::Crl { issuer, out, .. } = &step.operation else { panic!("C5 signs a CRL") };
    let issuer = plan.input(issuer).unwrap().file.as_str();
    let (file, octets) = (below_out(out), shipped.file("out/training.crl"));
    let mut bundle = Bundle::new();
    bundle.put(&file, octets.to_vec()).unwrap();
    bundle.put(issuer, shipped.file("out/training.cer").to_vec()).unwrap();
    let root = Certificate::from_der(shipped.file("out/training.cer")).unwrap();
    let (what, tbs) = (file.strip_prefix(OUTPUTS).unwrap(), alike::signed_part(octets).unwrap());
    let key = root.public_key().spki_hash().to_string();
    let id = step.id.as_str();
    let made = Made { signatures: vec![signature(id, what, &key, tbs, octets)], ..Made::default() };
    let judged = |told: &[Record]| {
        let works = Works { plan: &plan, bundle: &bundle, made: &made, told: Told(told) };
        let (read, _) = works.signatures().unwrap();
        works.alike(&read[0], 0)
    };
    let hash = Fingerprint::of(&alike::crl(tbs).unwrap()).to_string();
    assert_eq!(judged(&[told_alike(id, &hash)]), Ok(()));
    for (told, said) in [
        (&[told_alike(id, &"0f".repeat(32))][..], "people approved 0f0f"),
        (&[], "tells what is to be signed alike"),
    ] {
        let fault = judged(told).unwrap_err();
        assert!(fault.why.contains(said), "{said}: {}", fault.why);
    }
}

/// What a case does to the records of a transcript.
type Change<'a> = dyn Fn(&mut Vec<Record>) + 'a;

/// What a file says of its own time is from the run that announced it: not before that run began, but for what the profile dates back, and not after
/// it was announced.
#[test]
fn a_file_is_dated_in_the_run_that_announced_it() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/vectors/ceremony-bundle.tar");
    let bundle = Bundle::from_archive(&std::fs::read(path).unwrap()).unwrap();
    let plan = Plan::read(bundle.file(ceremony_core::bundle::PLAN)).unwrap();
    let lines = bundle.file(ceremony_core::bundle::TRANSCRIPT);
    let records = ceremony_core::transcript::Whole::read(lines).unwrap().records;
    let made = Made::of(&records);
    let announced = |what: &str| {
        records
            .iter()
            .position(|record| record.kind == Kind::Intent && record.text("what") == Some(what))
    };
    let run = records.iter().rposition(|record| record.kind == Kind::Resume).unwrap();
    let judged = |what: &str, change: &dyn Fn(&mut Vec<Record>)| {
        let mut records = records.clone();
        change(&mut records);
        let works = Works { plan: &plan, bundle: &bundle, made: &made, told: Told(&records) };
        let (read, _) = works.signatures().unwrap();
        let signed = read.iter().find(|signed| signed.of.what == what).unwrap();
        works.is_of_its_run(signed)
    };
    let moved = |records: &mut Vec<Record>, at: usize, by: i64| {
        let secs = records[at].time.secs().checked_add_signed(by).unwrap();
        records[at].time = UnixTime::from_secs(secs).unwrap();
    };
    for what in ["training.cer", "training.crl"] {
        let at = announced(what).unwrap();
        assert_eq!(judged(what, &|_| {}), Ok(()), "{what}");
        // A pause within a run begins none, and what was announced once more was announced before.
        let paused = |records: &mut Vec<Record>| {
            let mut again = records[at].clone();
            again.body.insert("again".to_owned(), "session-lost".into());
            records.insert(at + 1, again);
            moved(records, at + 1, 500);
            let resume = line(Kind::Resume, "", &[("nonce", "0f")]);
            records.insert(at, Record { time: records[at].time, ..resume });
        };
        assert_eq!(judged(what, &paused), Ok(()), "{what}");
        let changes: [&Change<'_>; 3] = [
            &|records| moved(records, run, 86_400),
            &|records| moved(records, at, -86_400),
            &|records| drop(records.remove(at)),
        ];
        for change in changes {
            let fault = judged(what, change).unwrap_err();
            assert_eq!(fault, Fault::new(Refusal::Clock, fault.why.clone()), "{what}");
        }
    }
    // A CRL is not dated back.
    let late = judged("training.crl", &|records| moved(records, run, 1)).unwrap_err();
    assert!(late.why.contains("its thisUpdate is"), "{}", late.why);
}
