//! Certificates of others: what strict DER says of the public SITHS certificates, that the rules
//! about issuers hold along their chains, and that no malformed vector stops the linter.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "tests read the published certificates")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use lint::{Findings, IssuerContext, Kind};

/// File -> the rules that it breaks. All others break none.
///
/// Two defects of an operator before 2017: HSA-ids with an underscore in a PrintableString, and
/// keyUsage bits that are not cut after the last one.
const DEFECTS: [(&str, &[&str]); 7] = [
    ("2010-02-vp.qa.tp-siths-ca-v3-rsa1024", &["pro-01/named-bits", "pro-02/country"]),
    (
        "2013-04-idp.acctest-type2pp-underscore-printablestring",
        &["pro-01/named-bits", "pro-02/printable-string"],
    ),
    (
        "2013-10-test.statistik-type2pp-underscore-printablestring",
        &["pro-01/named-bits", "pro-02/printable-string"],
    ),
    (
        "2014-10-idp2.acctest-type2pp-underscore-printablestring",
        &["pro-01/named-bits", "pro-02/printable-string"],
    ),
    (
        "2016-09-idp2.acctest-type3pp-underscore-printablestring",
        &["pro-01/named-bits", "pro-02/printable-string"],
    ),
    ("2015-06-tstnmt-1025-signature-type1pp-rsa-e3", &["pro-01/named-bits"]),
    ("2016-02-tstnmt-1019-signature-type1pp", &["pro-01/named-bits"]),
];

/// Certificate -> its issuer's, among the reference certificates (their README names the chains).
const CHAINS: [(&str, &str); 10] = [
    ("siths-e-id-root-ca-v2", "siths-e-id-root-ca-v2"),
    ("siths-e-id-function-ca-v1", "siths-e-id-root-ca-v2"),
    ("test-siths-e-id-function-ca-v1", "test-siths-e-id-root-ca-v2"),
    ("siths-type-2-ca-v1", "siths-root-ca-v1"),
    ("siths-type-3-ca-v1", "siths-root-ca-v1"),
    ("2021-06-at.e2e.inera.se", "test-siths-e-id-function-ca-v1"),
    ("2022-02-idp.ineratest.org", "test-siths-e-id-function-ca-v1"),
    ("2022-09-test.nordicmedtest.se", "test-siths-e-id-function-ca-v1"),
    ("2023-12-idp.ineratest.org-own-operation-first-weeks", "test-siths-e-id-function-ca-v1"),
    ("2025-09-clientcert-idp.qa.siths.se-own-operation", "test-siths-e-id-function-ca-v1"),
];

/// A file or folder of the data beside the checkout; said aloud where it is absent.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(name);
    if !path.exists() {
        println!("skipped: no ../shared/{name} beside the checkout");
        return None;
    }
    Some(path)
}

/// Name -> DER of the reference certificates.
fn reference() -> Option<BTreeMap<String, Vec<u8>>> {
    let folder = shared("reference/siths")?;
    let mut found = BTreeMap::new();
    for part in ["ca", "function", "person-test"] {
        for entry in std::fs::read_dir(folder.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let (_, der) = pem_rfc7468::decode_vec(&std::fs::read(&path).unwrap()).unwrap();
            found.insert(path.file_stem().unwrap().to_str().unwrap().to_owned(), der);
        }
    }
    Some(found)
}

fn rules(findings: &Findings) -> BTreeSet<&'static str> {
    findings.iter().map(|finding| finding.rule.as_str()).collect()
}

/// PRO-01, PRO-02: the defects of 30 real certificates, each named.
#[test]
fn names_the_defects_of_the_reference_certificates() {
    let Some(certificates) = reference() else { return };
    assert_eq!(certificates.len(), 30);
    let expected: BTreeMap<_, _> = DEFECTS.into_iter().collect();
    for (name, der) in &certificates {
        let findings = lint::certificate(der, &IssuerContext::NotAtHand, Kind::Imported);

        let known = expected.get(name.as_str()).copied().unwrap_or_default();
        assert_eq!(rules(&findings), known.iter().copied().collect(), "{name}: {findings}");
    }
}

/// PRO-14, PRO-15: issuer and key identifier of real chains agree octet for octet; with the issuer
/// of another chain they do not.
#[test]
fn real_chains_agree_and_others_do_not() {
    let Some(certificates) = reference() else { return };
    let stranger = &certificates["siths-root-ca-v1-pp"];
    for (name, issuer) in CHAINS {
        let der = &certificates[name];
        let judge =
            |issuer| lint::certificate(der, &IssuerContext::Certificate(issuer), Kind::Imported);

        let (right, wrong) = (judge(&certificates[issuer]), judge(stranger));

        assert!(right.is_empty(), "{name}: {right}");
        let expected =
            BTreeSet::from(["pro-14/authority-key-identifier-bytes", "pro-15/issuer-bytes"]);
        assert_eq!(rules(&wrong), expected, "{name}");
    }
}

/// Malformed certificates, CRLs and responses of others: judged as each of the three, without a
/// panic.
#[test]
fn no_malformed_vector_stops_the_linter() {
    let archives = ["cryptography-x509", "openssl-fuzz-crl", "openssl-fuzz-x509", "pkits"];
    let Some(root) = reference().and_then(|mut all| all.remove("siths-e-id-root-ca-v2")) else {
        return;
    };
    for archive in archives {
        let Some(path) = shared(&format!("vectors/{archive}.tar.xz")) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let unpacked =
            Command::new("tar").arg("xJf").arg(path).arg("-C").arg(folder.path()).status();
        assert!(unpacked.unwrap().success(), "{archive} unpacks");
        let mut count = 0;
        for octets in files(folder.path()) {
            count += 1;
            judge_as_everything(&octets, &root);
        }
        assert!(count > 100, "{archive} holds {count} files");
    }
}

fn judge_as_everything(octets: &[u8], root: &[u8]) {
    let decoded = pem_rfc7468::decode_vec(octets).map(|(_, der)| der);
    let octets = decoded.as_deref().unwrap_or(octets);
    let certificate = |kind| lint::certificate(octets, &IssuerContext::Certificate(root), kind);
    let as_certificate = certificate(Kind::Imported);
    let as_crl = lint::crl(octets, root).unwrap();
    let as_response = lint::ocsp_response(octets, root);
    let as_own = certificate(Kind::PersonSignature);

    assert!(!as_own.is_empty(), "no vector is a certificate of ours");
    assert!(!as_crl.is_empty(), "no vector is a CRL of that root");
    let _ = (as_certificate.to_string(), as_response.to_string());
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(std::fs::read(path).unwrap());
        }
    }
    found
}
