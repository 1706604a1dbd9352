//! Java's PKIX path validator with a revocation checker that fails hard: by OCSP alone, by CRLs
//! alone, given and fetched.

use std::path::Path;
use std::process::Command;

use support::demo::Issued;
use support::suite::Check;
use support::{ports, spoken, tool, workspace};

use crate::Samples;
use crate::openssl::{self, stranger};

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("java::accepts_the_good_chains_by_ocsp_and_by_crl", accepts_the_good_chains),
    ("java::refuses_the_revoked_chain_by_ocsp_and_by_crl", refuses_the_revoked_chain),
    ("java::refuses_a_corrupted_certificate", refuses_a_corrupted_certificate),
    ("java::refuses_another_trust_anchor", refuses_another_trust_anchor),
    ("java::refuses_a_crl_that_has_ended", refuses_a_crl_that_has_ended),
    ("java::asks_for_the_policy", asks_for_the_policy),
    ("java::refuses_while_nobody_answers", refuses_while_nobody_answers),
    ("java::does_what_the_shipped_properties_say", does_what_the_shipped_properties_say),
];

/// What Java says, in the certificate's folder; `None` where it is not installed.
fn judge(issued: &Issued, arguments: &[&str]) -> Option<String> {
    judge_with(issued, &[], arguments)
}

/// The same with options for Java itself.
fn judge_with(issued: &Issued, options: &[&str], arguments: &[&str]) -> Option<String> {
    judge_in(issued.folder(), options, arguments)
}

/// The same in another folder.
pub(crate) fn judge_in(folder: &Path, options: &[&str], arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(tool::find("java")?);
    let program = workspace::root().join("tests/interop/PkixCheck.java");
    command.args(options).arg(program).args(arguments).current_dir(folder);
    let said = spoken::run(&mut command, &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    Some(said.text)
}

const BY_OCSP: [&str; 4] = ["ocsp", "0", "root.pem", "chain.pem"];
const BY_CRL: [&str; 6] = ["crl", "0", "root.pem", "chain.pem", "issuing.crl", "root.crl"];
const BY_FETCHED_CRL: [&str; 4] = ["crl", "0", "root.pem", "chain.pem"];

fn accepts_the_good_chains(samples: &Samples) {
    for issued in samples.persons.iter().chain([&samples.good]) {
        issued.fetch_crls();
        for way in [&BY_OCSP[..], &BY_CRL, &BY_FETCHED_CRL] {
            let Some(said) = judge(issued, way) else { return };

            assert_eq!(said.trim(), "valid", "{way:?}");
        }
    }
}

fn refuses_the_revoked_chain(samples: &Samples) {
    for way in [&BY_OCSP[..], &BY_CRL, &BY_FETCHED_CRL] {
        let Some(said) = judge(&samples.revoked, way) else { return };

        assert!(said.starts_with("refused: REVOKED"), "{way:?}: {said}");
        assert!(said.contains("KEY_COMPROMISE"), "{way:?}: {said}");
    }
}

/// The policy of a certificate, or none of it: RFC 5280 §6.1 with a policy that must be there.
fn asks_for_the_policy(samples: &Samples) {
    for issued in samples.persons.iter().chain([&samples.good]) {
        let right = format!("-Dpolicy={}", openssl::policy(issued));
        let Some(right) = judge_with(issued, &[&right], &BY_OCSP) else { return };
        let Some(wrong) = judge_with(issued, &["-Dpolicy=1.2.3.4"], &BY_OCSP) else { return };

        assert_eq!(right.trim(), "valid");
        assert!(wrong.starts_with("refused: INVALID_POLICY"), "{wrong}");
    }
}

/// The last octet of the signature is another one.
fn refuses_a_corrupted_certificate(samples: &Samples) {
    let good = &samples.good;
    let mut der = good.der("leaf.pem");
    *der.last_mut().expect("a certificate has octets") ^= 1;
    good.write("corrupt.der", der);
    let made =
        good.openssl(&["x509", "-inform", "DER", "-in", "corrupt.der", "-out", "corrupt.pem"]);
    assert_eq!(made.code, 0, "{}", made.text);
    good.write("corrupt-chain.pem", [good.read("corrupt.pem"), good.read("issuing.pem")].concat());
    let Some(said) = judge(good, &["ocsp", "0", "root.pem", "corrupt-chain.pem"]) else { return };

    assert!(said.starts_with("refused: INVALID_SIGNATURE"), "{said}");
}

fn refuses_another_trust_anchor(samples: &Samples) {
    stranger(&samples.good);
    let Some(said) = judge(&samples.good, &["ocsp", "0", "stranger.pem", "chain.pem"]) else {
        return;
    };

    assert!(said.starts_with("refused: NO_TRUST_ANCHOR"), "{said}");
}

/// Ninety days on, the issuing CA's CRL has ended, the certificates have not.
fn refuses_a_crl_that_has_ended(samples: &Samples) {
    let mut later = BY_CRL;
    later[1] = "90";
    let Some(said) = judge(&samples.good, &later) else { return };

    assert!(said.starts_with("refused: UNDETERMINED_REVOCATION_STATUS"), "{said}");
}

/// docs/relying-parties/java.security, as it stands.
fn does_what_the_shipped_properties_say(samples: &Samples) {
    let shipped = workspace::root().join("docs/relying-parties/java.security");
    let properties = format!("-Djava.security.properties={}", shipped.display());
    let options = [properties.as_str(), "-Dcom.sun.security.enableCRLDP=true"];
    let configured = ["configured", "0", "root.pem", "chain.pem"];
    let Some(good) = judge_with(&samples.good, &options, &configured) else { return };
    let Some(revoked) = judge_with(&samples.revoked, &options, &configured) else { return };

    assert_eq!(good.trim(), "valid");
    assert!(revoked.starts_with("refused: REVOKED"), "{revoked}");
}

fn refuses_while_nobody_answers(samples: &Samples) {
    let nobody = format!("ocsp=http://{}/", ports::free_address());
    let Some(said) = judge(&samples.good, &[&nobody, "0", "root.pem", "chain.pem"]) else { return };

    assert!(said.starts_with("refused: UNDETERMINED_REVOCATION_STATUS"), "{said}");
}
