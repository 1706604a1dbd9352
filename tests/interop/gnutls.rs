//! GnuTLS: `certtool` with CRLs, `ocsptool`.

use std::path::Path;
use std::process::Command;

use support::demo::Issued;
use support::suite::Check;
use support::{spoken, tool};

use crate::Samples;
use crate::openssl::stranger;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("gnutls::trusts_the_chain_and_its_crls", trusts_the_chain_and_its_crls),
    ("gnutls::refuses_the_revoked_certificate_by_crl", refuses_the_revoked_certificate_by_crl),
    ("gnutls::refuses_another_trust_anchor", refuses_another_trust_anchor),
    ("gnutls::hears_good_and_revoked_by_ocsp", hears_good_and_revoked_by_ocsp),
    ("gnutls::refuses_answers_under_another_trust_anchor", refuses_answers_of_strangers),
];

/// What GnuTLS says, in the certificate's folder; `None` where it is not installed.
fn run(issued: &Issued, program: &str, arguments: &[&str]) -> Option<String> {
    run_in(issued.folder(), program, arguments)
}

/// The same in another folder.
pub(crate) fn run_in(folder: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(tool::find(program)?);
    command.args(arguments).current_dir(folder);
    Some(spoken::run(&mut command, &[]).text)
}

fn verify(issued: &Issued, anchor: &str) -> Option<String> {
    let trust = ["--verify", "--load-ca-certificate", anchor, "--load-crl", "all.crl"];
    run(issued, "certtool", &[&trust[..], &["--infile", "chain.pem"]].concat())
}

pub(crate) const TRUSTED: &str = "Chain verification output: Verified. The certificate is trusted.";

fn trusts_the_chain_and_its_crls(samples: &Samples) {
    for issued in samples.persons.iter().chain([&samples.good]) {
        issued.fetch_crls();
        let Some(said) = verify(issued, "root.pem") else { return };

        assert!(said.contains(TRUSTED), "{said}");
    }
}

fn refuses_the_revoked_certificate_by_crl(samples: &Samples) {
    let Some(said) = verify(&samples.revoked, "root.pem") else { return };

    assert!(!said.contains(TRUSTED) && said.contains("revoked"), "{said}");
}

fn refuses_another_trust_anchor(samples: &Samples) {
    stranger(&samples.good);
    let Some(said) = verify(&samples.good, "stranger.pem") else { return };

    assert!(!said.contains(TRUSTED) && said.contains("Not verified"), "{said}");
}

fn ask(issued: &Issued, trust: &str) -> Option<String> {
    let url = format!("--ask={}", issued.ocsp_url("leaf.pem"));
    let trust = format!("--load-trust={trust}");
    let known = ["--load-cert=leaf.pem", "--load-issuer=issuing.pem", "--nonce"];
    run(issued, "ocsptool", &[&[url.as_str(), &trust][..], &known[..]].concat())
}

const GENUINE: &str = "Verifying OCSP Response: Success.";

/// The exit code says nothing: it is 0 for revoked too, so the text is read.
fn hears_good_and_revoked_by_ocsp(samples: &Samples) {
    // It looks for the responder's issuer among the trusted certificates only.
    let good = ask(&samples.good, "cas.pem");
    let (Some(good), Some(revoked)) = (good, ask(&samples.revoked, "cas.pem")) else { return };

    assert!(good.contains("Certificate Status: good") && good.contains(GENUINE), "{good}");
    assert!(revoked.contains("Certificate Status: revoked"), "{revoked}");
    assert!(revoked.contains(GENUINE), "{revoked}");
}

fn refuses_answers_of_strangers(samples: &Samples) {
    stranger(&samples.good);
    let Some(said) = ask(&samples.good, "stranger.pem") else { return };

    assert!(!said.contains(GENUINE), "{said}");
}
