//! The to-be-signed bytes of every shipped profile, byte for byte, from fixed keys, times and serials.
//!
//! `cargo test -p ca -- --ignored writes_the_golden_files` writes them anew after a wanted change.
#![expect(clippy::disallowed_methods, reason = "tests read and write golden files")]

use std::path::PathBuf;

use x509::certificate::Certificate;
use x509::key::{PublicKey, SignatureAlgorithm};
use x509::signing::assemble;

use crate::issuer::Issuer;
use crate::prepare::{KeySource, Signer};
use crate::profile::Profile;
use crate::testing::{Ask, PROFILES, edited_policy, profile, profile_text, settings};

/// The generator of P-256 as a public key (SEC 2 §2.4.2): nobody's key.
const POINT: &str = "046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296\
                     4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5";

fn point() -> PublicKey {
    let octets: Vec<u8> = POINT
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect();
    PublicKey::from_ec_point(&octets).unwrap()
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "src", "prepare", "golden"].iter().collect()
}

fn rsa(file: &str) -> PublicKey {
    PublicKey::from_spki_der(&std::fs::read(folder().join(file)).unwrap()).unwrap()
}

/// Asks for a certificate of every profile, under a root of its own shape.
pub(super) fn each(mut visit: impl FnMut(&'static str, &Ask<'_>)) {
    let (rsa, successor, point) = (rsa("rsa-4096.spki"), rsa("successor.spki"), point());
    let sha512 = SignatureAlgorithm::RsaPkcs1Sha512;
    let root_profile = profile("root");
    let root_algorithm = SignatureAlgorithm::RsaPkcs1Sha256;
    let root = Ask::new(&root_profile, Signer::Itself(root_algorithm), KeySource::Proven(&rsa));
    visit("root", &root);
    let root = bytes(&root);
    let finished = assemble(&root, root_algorithm, &root_algorithm.placeholder(rsa.key_type()));
    let root_certificate = Certificate::from_der(&finished.unwrap()).unwrap();
    let issued: Vec<&str> = PROFILES.iter().map(|(name, _)| *name).collect();
    let issuer = Issuer::new(root_certificate, settings("sigilltesteidrootcav1", sha512, &issued));
    let issuer = issuer.unwrap();
    for name in issued.into_iter().filter(|name| *name != "root") {
        let profile = Profile::parse(profile_text(name).as_bytes()).unwrap();
        let signer = if profile.kind().is_self_signed() {
            Signer::Itself(SignatureAlgorithm::EcdsaP256Sha256)
        } else {
            Signer::Issuer(&issuer)
        };
        let key = if profile.keys().contains(&point.key_type()) { &point } else { &successor };
        let mut ask = Ask::new(&profile, signer, KeySource::Proven(key));
        // One issuer for all, the management plane's too.
        ask.algorithms = edited_policy(
            "version = 1",
            "version = 1\n[[allow]]\npurpose = \"management\"\nkey = \"rsa-4096\"\n\
             signatures = [\"rsa-pkcs1-sha512\"]\nfrom = 2026-01-01",
        );
        visit(name, &ask);
    }
}

fn bytes(ask: &Ask<'_>) -> Vec<u8> {
    ask.prepare().unwrap().pending().bytes().unwrap().to_vec()
}

/// Every profile's bytes.
fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut all = Vec::new();
    each(|name, ask| all.push((name, bytes(ask))));
    all
}

/// PRO-01, PRO-02: a change of one octet in what any profile issues is seen here first.
#[test]
fn every_profile_issues_its_golden_bytes() {
    for (name, bytes) in all() {
        let golden = std::fs::read(folder().join(format!("{name}.tbs"))).unwrap();

        assert_eq!(bytes, golden, "{name}");
    }
}

#[test]
#[ignore = "writes the golden files"]
fn writes_the_golden_files() {
    for (name, bytes) in all() {
        std::fs::write(folder().join(format!("{name}.tbs")), bytes).unwrap();
    }
}
