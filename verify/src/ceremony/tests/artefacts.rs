//! Requests and certificates under a given issuer, as OpenSSL makes them.

use std::path::Path;
use std::process::Command;

use ceremony_core::bundle::MadeKey;
use ceremony_core::words::Fingerprint;

use super::*;

const EC: [&str; 2] = ["EC", "ec_paramgen_curve:P-384"];
const RSA: [&str; 2] = ["RSA", "rsa_keygen_bits:2048"];

/// A folder in which OpenSSL works.
struct Folder(tempfile::TempDir);

impl Folder {
    fn speaks(&self, words: &[&str]) -> bool {
        let run = Command::new("openssl").args(words).current_dir(&self.0).output();
        run.is_ok_and(|run| run.status.success())
    }

    fn octets(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    /// A key, and the hash of its public half; `None` without OpenSSL.
    fn key(&self, name: &str, [algorithm, option]: [&str; 2]) -> Option<String> {
        let (key, public) = (format!("{name}.key"), format!("{name}.spki"));
        if !self.speaks(&["genpkey", "-algorithm", algorithm, "-pkeyopt", option, "-out", &key]) {
            return None;
        }
        assert!(self.speaks(&["pkey", "-in", &key, "-pubout", "-outform", "DER", "-out", &public]));
        Some(Fingerprint::of(&self.octets(&public)).to_string())
    }

    fn request(&self, key: &str, subject: &str, out: &str) {
        let key = format!("{key}.key");
        let words = [
            "req", "-new", "-sha384", "-key", &key, "-subj", subject, "-outform", "DER", "-out",
            out,
        ];
        assert!(self.speaks(&words));
    }
}

fn plan(name: &str) -> Plan {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/ceremonies/plans");
    Plan::read(&std::fs::read(folder.join(name)).unwrap()).unwrap()
}

fn signature(step: &str, what: &str, key: &str, tbs: &[u8], octets: &[u8]) -> MadeSignature {
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
    let folder = Folder(tempfile::tempdir().unwrap());
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
            given_up: Vec::new(),
        };
        assert!(is_of_step(&plan, step.id.as_str(), &file));
        let works = Works { plan: &plan, bundle: &bundle, made: &made };
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
    let folder = Folder(tempfile::tempdir().unwrap());
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
        let works = Works { plan: &plan, bundle: &bundle, made: &made };
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

/// Outputs of a series, and of what no step makes.
#[test]
fn the_files_of_a_series_are_numbered() {
    let plan = plan("c5-root-crl-series.toml");
    let found = plan.steps.iter().find_map(|step| match &step.operation {
        Operation::Crl { series: Some(series), out, .. } => Some((step, series.count, out)),
        _ => None,
    });
    let (step, count, out) = found.unwrap();
    let id = step.id.as_str();
    for number in 1..=count {
        assert!(is_of_step(&plan, id, &of_series(out, number)), "{number}");
    }
    assert!(!is_of_step(&plan, id, &of_series(out, 0)));
    assert!(!is_of_step(&plan, id, &of_series(out, count + 1)));
    assert!(!is_of_step(&plan, id, &below_out(out)));
    assert!(!is_of_step(&plan, "no-step", &of_series(out, 1)));
    assert!(of_series(out, 1).ends_with("-1.crl"), "{}", of_series(out, 1));
}
