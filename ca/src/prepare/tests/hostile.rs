//! ISS-13: requests that want more than they may, and requests that are no requests.
#![expect(clippy::disallowed_methods, reason = "tests read vectors from files")]

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::identity::Field;
use crate::prepare::{KeySource, PrepareError, Signer};
use crate::profile::Profile;
use crate::request::RequestError;
use crate::testing::{Ask, Hierarchy, TestKey, profile, profile_text, signed};

const PERSON: &str = "person-hsaid-3-authentication";

fn vectors(name: &str) -> Option<tempfile::TempDir> {
    let archive = format!("{}/../../shared/vectors/{name}.tar.xz", env!("CARGO_MANIFEST_DIR"));
    if !Path::new(&archive).exists() {
        println!("skipped: no {archive}");
        return None;
    }
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").args(["xJf", &archive, "-C"]).arg(folder.path()).status();
    assert!(unpacked.unwrap().success());
    Some(folder)
}

fn find(folder: &Path, name: &str) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() == name {
                return path;
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    panic!("no {name}")
}

/// The table of the hostile corpus: rejected, ignored (issued by the profile), or fine.
#[test]
fn the_hostile_corpus_is_met_as_its_table_says() {
    let Some(folder) = vectors("hostile-A") else { return };
    let hierarchy = Hierarchy::new(&[PERSON]);
    // The corpus asks for RSA to be refused "by a profile that allows EC only".
    let text = profile_text(PERSON).replace(", \"rsa-2048\", \"rsa-3072\", \"rsa-4096\"", "");
    let profile = Profile::parse(text.as_bytes()).unwrap();
    let requests = find(folder.path(), "csr");
    let table = std::fs::read_to_string(requests.join("expect.tsv")).unwrap();
    let mut judged = 0;
    for line in table.lines() {
        let mut columns = line.split('\t');
        let (Some(name), Some(_), Some(expected)) =
            (columns.next(), columns.next(), columns.next())
        else {
            panic!("{line}")
        };
        let Ok(request) = std::fs::read(requests.join(format!("{name}.der"))) else { continue };

        let signer = Signer::Issuer(&hierarchy.issuing);
        let outcome = Ask::new(&profile, signer, KeySource::Request(&request)).prepare();

        match (expected, outcome) {
            ("reject", Err(_)) => {}
            ("ok" | "ignore", Ok(prepared)) => {
                let issued = signed(prepared, &hierarchy.issuing_key);
                assert!(!matches!(
                    issued.basic_constraints(),
                    x509::extension::BasicConstraints::Ca { .. }
                ));
                assert_eq!(issued.extensions().len(), profile.extensions().len(), "{name}");
                assert!(issued.subject().to_string().contains("TST2321000016-1002"), "{name}");
            }
            (_, Ok(_)) => panic!("{name}: issued, expected {expected}"),
            (_, Err(error)) => panic!("{name}: {}, expected {expected}", error.refusal()),
        }
        judged += 1;
    }
    assert!(judged >= 30, "{judged}");
}

/// Requests of other projects: where two of three parsers refuse, so do we, and nothing panics.
#[test]
fn public_requests_are_met_as_other_parsers_meet_them() {
    let Some(folder) = vectors("csr-public") else { return };
    let facts = find(folder.path(), "facts.tsv");
    let table = std::fs::read_to_string(&facts).unwrap();
    let hierarchy = Hierarchy::new(&[PERSON]);
    let profile = profile(PERSON);
    let (mut judged, mut issued) = (0, 0);
    for line in table.lines().skip(1) {
        let mut columns = line.split('\t');
        let name = columns.next().unwrap();
        let verdicts: Vec<&str> = columns.collect();
        let Ok(bytes) = std::fs::read(facts.with_file_name(name)) else { continue };
        let request = match str::from_utf8(&bytes) {
            Ok(text) => crate::request::der_from_text(text).unwrap_or_default(),
            Err(_) => bytes,
        };
        let refused =
            |verdict: &&&str| ["parse-error", "sig-bad"].iter().any(|word| verdict.contains(word));
        let signer = Signer::Issuer(&hierarchy.issuing);

        let outcome = Ask::new(&profile, signer, KeySource::Request(&request)).prepare();

        if verdicts.iter().filter(refused).count() >= 2 {
            assert!(outcome.is_err(), "{name}");
        }
        issued += usize::from(outcome.is_ok());
        judged += 1;
    }
    assert!(judged >= 30 && issued > 0, "{judged} judged, {issued} issued");
}

/// ISS-13: CA:TRUE, another subject and other names are never obeyed; where the profile says so they
/// are refused.
#[test]
fn wishes_are_ignored_or_refused_and_never_obeyed() {
    let hierarchy = Hierarchy::new(&["function", PERSON]);
    let key = TestKey::new();
    let request = key.request(|wishes| {
        wishes.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        wishes.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
        wishes.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::OcspSigning];
        wishes.subject_alt_names =
            vec![rcgen::SanType::DnsName("elsewhere.example.org".try_into().unwrap())];
        wishes.distinguished_name.push(rcgen::DnType::CommonName, "somebody else");
    });
    let signer = Signer::Issuer(&hierarchy.issuing);
    let ignoring = profile("function");
    let text = profile_text("function").replace("= \"ignore\"", "= \"refuse\"");
    let refusing = Profile::parse(text.as_bytes()).unwrap();

    let prepared = Ask::new(&ignoring, signer, KeySource::Request(&request)).prepare().unwrap();
    let refused = Ask::new(&refusing, signer, KeySource::Request(&request)).refusal();

    let plain = key.request(|_| {});
    let without = Ask::new(&ignoring, signer, KeySource::Request(&plain)).prepare().unwrap();
    assert_eq!(prepared.pending().bytes(), without.pending().bytes());
    assert_eq!(refused, "csr-extensions");
}

/// ISS-13: a flipped bit in the signature or in what it covers.
#[test]
fn refuses_a_request_that_proves_nothing() {
    let hierarchy = Hierarchy::new(&[PERSON]);
    let profile = profile(PERSON);
    let request = TestKey::new().request(|_| {});
    let signer = Signer::Issuer(&hierarchy.issuing);
    let mut tampered = request.clone();
    let last = tampered.len() - 1;
    tampered[last] ^= 1;

    let outcome = Ask::new(&profile, signer, KeySource::Request(&tampered)).prepare();

    assert!(matches!(
        outcome,
        Err(PrepareError::Request(RequestError::Possession(_) | RequestError::Malformed(_)))
    ));
    for length in 0..request.len() {
        let cut = request.get(..length).unwrap();
        assert_eq!(
            Ask::new(&profile, signer, KeySource::Request(cut)).refusal(),
            "csr-malformed",
            "{length}"
        );
    }
}

#[test]
fn takes_pem_and_base64_and_nothing_else() {
    let request = TestKey::new().request(|_| {});
    let pem = x509::pem::encode(x509::pem::Label::CertificateRequest, &request);
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();

    assert_eq!(crate::request::der_from_text(&pem), Ok(request.clone()));
    assert_eq!(crate::request::der_from_text(&base64), Ok(request));
    let certificate = pem.replace("CERTIFICATE REQUEST", "CERTIFICATE");
    for text in ["", " ", "not base64!", &certificate, &format!("{pem}{pem}")] {
        let refused = crate::request::der_from_text(text).unwrap_err();
        assert!(matches!(refused, RequestError::Text(_)), "{text}");
        assert_eq!(refused.refusal().code, "csr-unreadable", "{text}");
    }
    assert_eq!(Field::HsaId.to_string(), "hsa_id");
}
