//! OpenSSL reads what is issued and verifies its chain.
#![expect(clippy::disallowed_methods, reason = "tests write files for another program")]

use std::process::Command;

use x509::certificate::Certificate;
use x509::oid::attribute;
use x509::pem::{self, Label};

use crate::issuer::Issuer;
use crate::prepare::{KeySource, Signer};
use crate::profile::Profile;
use crate::testing::{Ask, Hierarchy, TestKey, profile, profile_text, signed};

fn openssl(arguments: &[&str]) -> Option<(bool, String)> {
    match Command::new("openssl").args(arguments).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
        Err(_) => {
            println!("skipped: openssl is not installed");
            None
        }
    }
}

struct Files(tempfile::TempDir);

impl Files {
    fn write(&self, name: &str, certificate: &Certificate) -> String {
        let path = self.0.path().join(name);
        std::fs::write(&path, pem::encode(Label::Certificate, certificate.as_der())).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// PRO-09, PRO-10, PRO-12, PRO-13, PRO-16 as OpenSSL prints them, and the chain under `-x509_strict`.
#[test]
fn openssl_reads_every_end_entity_and_verifies_its_chain() {
    let profiles = [
        (
            "person-hsaid-3-authentication",
            "sslclient",
            &[
                "X509v3 Key Usage: critical\n                Digital Signature\n",
                "TLS Web Client Authentication, Microsoft Smartcard Login",
                "Policy: 1.3.6.1.4.1.32473.1.3.1",
                "CPS: https://pki.example.org/siths/repository",
                "email:tolvan@example.org",
                "URI:http://crl.example.org/issuing.crl",
                "OCSP - URI:http://ocsp.example.org",
                "CA Issuers - URI:http://aia.example.org/issuing.cer",
                "1.2.752.34.2.1",
                "9752269874512325436",
                "C = SE, L = \\C3\\96rebro, O = Sigill Test, CN = Tolvan Tolvansson, SN = Tolvansson, \
                 GN = Tolvan, serialNumber = TST2321000016-1002",
            ][..],
        ),
        (
            "person-hsaid-3-signature",
            "any",
            &[
                "X509v3 Key Usage: critical\n                Non Repudiation\n",
                "Policy: 1.3.6.1.4.1.32473.1.3.2",
            ][..],
        ),
        (
            "function",
            "sslserver",
            &[
                "TLS Web Client Authentication, TLS Web Server Authentication",
                "Policy: 2.23.140.1.2.2",
                "Policy: 1.2.752.74.8.650",
                "DNS:idp.example.org, DNS:idp2.example.org",
                "CN = idp.example.org, serialNumber = TSTNMT2321000156-B02",
            ][..],
        ),
        (
            "person-id-3-authentication",
            "sslclient",
            &[
                "X509v3 Key Usage: critical\n                Digital Signature\n",
                "Policy: 1.3.6.1.4.1.32473.1.5.1",
                "Subject: C = SE, CN = Tolvan Tolvansson, SN = Tolvansson, GN = Tolvan, \
                 serialNumber = 191212121212\n",
                "1.2.752.34.2.1",
            ][..],
        ),
        (
            "mobile-authentication",
            "sslclient",
            &[
                "TLS Web Client Authentication\n",
                "Policy: 1.2.752.74.8.512",
                "GN = Tolvan, serialNumber = 191212121212\n",
            ][..],
        ),
        (
            "function-client",
            "sslclient",
            &["TLS Web Client Authentication\n", "Policy: 1.3.6.1.4.1.32473.1.1.3"][..],
        ),
        (
            "function-machine",
            "sslclient",
            &[
                "CN = Robot 7, serialNumber = TSTNMT2321000156-B02\n",
                "TLS Web Client Authentication\n",
                "X509v3 Key Usage: critical\n                Digital Signature\n",
            ][..],
        ),
        (
            "card-transport",
            "sslclient",
            &[
                "Subject: C = SE, O = Sigill Test, CN = 9752269874512325436, \
                 serialNumber = 9752269874512325436\n",
                "1.2.752.34.2.1",
            ][..],
        ),
        (
            "ocsp",
            "ocsphelper",
            &[
                "OCSP Signing",
                "OCSP No Check",
                "X509v3 Key Usage: critical\n                Digital Sig",
            ][..],
        ),
    ];
    let names: Vec<&str> = profiles.iter().map(|(name, ..)| *name).collect();
    let hierarchy = Hierarchy::new(&names);
    let files = Files(tempfile::tempdir().unwrap());
    let root = files.write("root.pem", hierarchy.root.certificate());
    let issuing = files.write("issuing.pem", hierarchy.issuing.certificate());
    for (name, purpose, wanted) in profiles {
        let (profile, key) = (profile(name), TestKey::new());
        let request = key.request(|_| {});
        let signer = Signer::Issuer(&hierarchy.issuing);
        let prepared = Ask::new(&profile, signer, KeySource::Request(&request)).prepare().unwrap();
        let leaf = files.write("leaf.pem", &signed(prepared, &hierarchy.issuing_key));

        let Some((_, text)) = openssl(&["x509", "-in", &leaf, "-noout", "-text"]) else { return };
        for wanted in wanted {
            assert!(text.contains(wanted), "{name}: no {wanted:?} in\n{text}");
        }
        assert!(!text.contains("CA:TRUE"), "{name}");
        let chain = ["-x509_strict", "-purpose", purpose, "-CAfile", &root, "-untrusted", &issuing];
        let time = ["-attime", "1795298400"];
        let verify = [&["verify"][..], &chain, &time, &[leaf.as_str()]].concat();
        let (verified, said) = openssl(&verify).unwrap();
        assert!(verified, "{name}: {said}");

        // The negative control: without the issuing CA there is no chain.
        let alone = [&["verify", "-CAfile", &root][..], &time, &[leaf.as_str()]].concat();
        assert!(!openssl(&alone).unwrap().0, "{name}");
    }
}

/// KEY-06: who trusts the old root alone follows a link certificate to what the new root issues.
#[test]
fn openssl_follows_a_cross_certificate_to_the_new_root() {
    let old = Hierarchy::new(&[]);
    let new = Hierarchy::under("SIGILL TEST e-id Root CA v2", &["function"]);
    let ecdsa = x509::key::SignatureAlgorithm::EcdsaP256Sha256;
    let text = profile_text("cross").replace("\"rsa-4096\"", "\"ec-p256\"");
    let cross = Profile::parse(text.as_bytes()).unwrap();
    let settings = crate::testing::settings("old", ecdsa, &["cross"]);
    let issuer = Issuer::new(old.root.certificate().clone(), settings).unwrap();
    let key = new.root.public_key();
    let mut ask = Ask::new(&cross, Signer::Issuer(&issuer), KeySource::Proven(key));
    ask.fields.common_name = new.root.subject().text_of(attribute::COMMON_NAME);
    let link = signed(ask.prepare().unwrap(), &old.root_key);
    assert_eq!(link.subject(), new.root.subject());
    let (profile, key) = (profile("function"), TestKey::new());
    let request = key.request(|_| {});
    let ask = Ask::new(&profile, Signer::Issuer(&new.issuing), KeySource::Request(&request));
    let leaf = signed(ask.prepare().unwrap(), &new.issuing_key);
    let files = Files(tempfile::tempdir().unwrap());
    let root = files.write("old.pem", old.root.certificate());
    let leaf = files.write("leaf.pem", &leaf);
    let chain = [&link, new.issuing.certificate()]
        .map(|one| pem::encode(Label::Certificate, one.as_der()))
        .concat();
    let between = files.0.path().join("between.pem");
    std::fs::write(&between, chain).unwrap();
    let issuing = files.write("issuing.pem", new.issuing.certificate());
    let verify = |between: &str| {
        let time = ["-attime", "1795298400", "-CAfile", &root, "-untrusted", between, &leaf];
        openssl(&[&["verify", "-x509_strict", "-purpose", "sslserver"][..], &time].concat())
    };

    let Some((verified, said)) = verify(between.to_str().unwrap()) else { return };

    assert!(verified, "{said}");
    assert!(!verify(&issuing).unwrap().0, "without the link there is no chain");
}

/// Promise 8: the management plane under its own CA, and a client is no server.
#[test]
fn openssl_tells_management_clients_from_servers() {
    let (ca_key, key) = (TestKey::new(), TestKey::new());
    let ecdsa = x509::key::SignatureAlgorithm::EcdsaP256Sha256;
    let ca_profile = profile("management-ca");
    let ask = Ask::new(&ca_profile, Signer::Itself(ecdsa), KeySource::Proven(&ca_key.public));
    let ca = signed(ask.prepare().unwrap(), &ca_key);
    let files = Files(tempfile::tempdir().unwrap());
    let root = files.write("ca.pem", &ca);
    let settings =
        crate::testing::settings("management", ecdsa, &["management-server", "management-client"]);
    let issuer = Issuer::new(ca, settings).unwrap();
    for (name, purpose, other, uri) in [
        (
            "management-server",
            "sslserver",
            "sslclient",
            "URI:urn:sigill:test:demo:ab12:server:sigill-ca",
        ),
        (
            "management-client",
            "sslclient",
            "sslserver",
            "URI:urn:sigill:test:demo:ab12:client:portal",
        ),
    ] {
        let profile = profile(name);
        let ask = Ask::new(&profile, Signer::Issuer(&issuer), KeySource::Proven(&key.public));
        let leaf = files.write("leaf.pem", &signed(ask.prepare().unwrap(), &ca_key));
        let verify = |purpose| {
            openssl(&[
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-CAfile",
                &root,
                "-attime",
                "1795298400",
                &leaf,
            ])
        };

        let Some((verified, said)) = verify(purpose) else { return };

        assert!(verified, "{name}: {said}");
        assert!(!verify(other).unwrap().0, "{name} as {other}");
        let text = openssl(&["x509", "-in", &leaf, "-noout", "-text"]).unwrap().1;
        assert!(text.contains(uri), "{text}");
    }
}
