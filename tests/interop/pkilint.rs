//! pkilint: RFC 5280 and the DER of every certificate, CRL and OCSP answer.

use std::path::Path;
use std::process::Command;

use support::demo::Issued;
use support::suite::Check;
use support::{spoken, tool, workspace};

use crate::Samples;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("pkilint::finds_nothing_in_certificates", finds_nothing_in_certificates),
    ("pkilint::finds_nothing_between_signer_and_signee", finds_nothing_between_signer_and_signee),
    ("pkilint::finds_nothing_in_crls", finds_nothing_in_crls),
    ("pkilint::finds_nothing_in_ocsp_answers", finds_nothing_in_ocsp_answers),
    ("pkilint::finds_what_is_wrong", finds_what_is_wrong),
];

/// The findings of one of pkilint's linters from WARNING up, and its exit code, which is their
/// number; `None` where it is not installed.
fn lint(issued: &Issued, program: &str, arguments: &[&str]) -> Option<(i32, String)> {
    lint_in(issued.folder(), program, arguments)
}

/// The same in another folder.
pub(crate) fn lint_in(folder: &Path, program: &str, arguments: &[&str]) -> Option<(i32, String)> {
    // The linters' own Python, in the same folder.
    let mut command = Command::new(tool::find(program)?.with_file_name("python3"));
    let runner = workspace::root().join("tests/interop/run_pkilint.py");
    command.arg("-B").arg(runner).arg(program);
    command.args(["lint", "-s", "WARNING"]).args(arguments).current_dir(folder);
    let said = spoken::run(&mut command, &[]);
    Some((said.code, said.text))
}

/// `None` where pkilint is not installed.
fn assert_clean(issued: &Issued, program: &str, arguments: &[&str]) -> Option<()> {
    let (findings, said) = lint(issued, program, arguments)?;
    assert_eq!((findings, said.trim()), (0, ""), "{program} {arguments:?}");
    Some(())
}

/// The certificates of the chain, and the delegates that sign for root and issuing CA.
fn finds_nothing_in_certificates(samples: &Samples) {
    for issued in samples.persons.iter().chain([&samples.good]) {
        let certificates = ["leaf.pem", "issuing.pem", "root.pem"].into_iter();
        for certificate in certificates.chain(delegates(issued)) {
            if assert_clean(issued, "lint_pkix_cert", &[certificate]).is_none() {
                return;
            }
        }
    }
}

/// Takes the responder's certificates out of the answers for leaf and issuing CA.
pub(crate) fn delegates(issued: &Issued) -> [&'static str; 2] {
    answers(issued);
    [("leaf.ocsp", "delegate.pem"), ("issuing.ocsp", "root-delegate.pem")].map(|(answer, file)| {
        let said = issued.openssl(&["ocsp", "-respin", answer, "-noverify", "-resp_text"]).text;
        let begin = said.find("-----BEGIN CERTIFICATE-----").expect("an answer has a certificate");
        let end = said.find("-----END CERTIFICATE-----").expect("a certificate has an end");
        issued.write(file, format!("{}-----END CERTIFICATE-----\n", &said[begin..end]));
        file
    })
}

/// Writes the answers about leaf and issuing CA: `leaf.ocsp`, `issuing.ocsp`.
pub(crate) fn answers(issued: &Issued) {
    let answered = issued.ask(&["-respout", "leaf.ocsp"]);
    assert!(answered.text.contains("leaf.pem: "), "{}", answered.text);
    let url = issued.ocsp_url("issuing.pem");
    let question = ["ocsp", "-issuer", "root.pem", "-cert", "issuing.pem", "-url", &url];
    let more = ["-CAfile", "root.pem", "-no_nonce", "-respout", "issuing.ocsp"];
    let answered = issued.openssl(&[&question[..], &more[..]].concat());
    assert!(answered.text.contains("issuing.pem: good"), "{}", answered.text);
}

fn finds_nothing_between_signer_and_signee(samples: &Samples) {
    for issued in samples.persons.iter().chain([&samples.good]) {
        for pair in [["issuing.pem", "leaf.pem"], ["root.pem", "issuing.pem"]] {
            let program = "lint_pkix_signer_signee_cert_chain";
            if assert_clean(issued, program, &pair).is_none() {
                return;
            }
        }
    }
}

fn finds_nothing_in_crls(samples: &Samples) {
    for issued in [&samples.good, &samples.revoked] {
        issued.fetch_crls();
        for (kind, crl) in [("CRL", "issuing.crl"), ("ARL", "root.crl")] {
            if assert_clean(issued, "lint_crl", &["-t", kind, "-p", "PKIX", crl]).is_none() {
                return;
            }
        }
    }
}

fn finds_nothing_in_ocsp_answers(samples: &Samples) {
    for issued in [&samples.good, &samples.revoked] {
        answers(issued);
        for answer in ["leaf.ocsp", "issuing.ocsp"] {
            if assert_clean(issued, "lint_ocsp_response", &[answer]).is_none() {
                return;
            }
        }
    }
}

/// One octet of each kind of structure changed, and of a signature: pkilint sees it.
fn finds_what_is_wrong(samples: &Samples) {
    let good = &samples.good;
    answers(good);
    // countryName as UTF8String; cRLNumber under another object identifier; producedAt without Z.
    let certificate = changed(&good.der("leaf.pem"), b"\x55\x04\x06\x13", 3, 0x0c);
    let crl = changed(&good.read("issuing.crl"), b"\x55\x1d\x14", 2, 0x63);
    let answer = changed(&good.read("leaf.ocsp"), b"\x18\x0f20", 16, b'0');
    good.write("wrong.der", certificate);
    good.write("wrong.crl", crl);
    good.write("wrong.ocsp", answer);
    for (program, arguments) in [
        ("lint_pkix_cert", &["wrong.der"][..]),
        ("lint_crl", &["-t", "CRL", "-p", "PKIX", "wrong.crl"]),
        ("lint_ocsp_response", &["wrong.ocsp"]),
    ] {
        let Some((findings, said)) = lint(good, program, arguments) else { return };

        assert!(findings > 0 && !said.trim().is_empty(), "{program} finds nothing: {said}");
    }
    let mut forged = good.der("leaf.pem");
    *forged.last_mut().expect("a certificate has octets") ^= 1;
    good.write("forged.der", forged);
    let pair = ["issuing.pem", "forged.der"];
    let program = "lint_pkix_signer_signee_cert_chain";
    let Some((_, said)) = lint(good, program, &pair) else { return };
    assert!(said.contains("pkix.signature_verification_failed"), "{program}: {said}");
}

/// The octets with another one at `position` after the first place where `pattern` stands.
pub(crate) fn changed(octets: &[u8], pattern: &[u8], position: usize, octet: u8) -> Vec<u8> {
    let found = octets.windows(pattern.len()).position(|window| window == pattern);
    let mut changed = octets.to_vec();
    changed[found.expect("the pattern stands there") + position] = octet;
    changed
}
