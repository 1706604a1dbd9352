//! OpenSSL: path validation with CRLs, CRLs by themselves, OCSP.

use support::demo::Issued;
use support::suite::Check;

use crate::Samples;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("openssl::verifies_the_chain_and_every_crl", verifies_the_chain_and_every_crl),
    ("openssl::refuses_the_revoked_certificate_by_crl", refuses_the_revoked_certificate_by_crl),
    ("openssl::refuses_without_a_crl_and_after_its_end", refuses_without_a_crl_and_after_its_end),
    ("openssl::asks_for_purpose_and_policy", asks_for_purpose_and_policy),
    ("openssl::judges_as_the_shipped_script_does", judges_as_the_shipped_script_does),
    ("openssl::refuses_another_trust_anchor", refuses_another_trust_anchor),
    ("openssl::verifies_the_crls_by_themselves", verifies_the_crls_by_themselves),
    ("openssl::hears_good_and_revoked_by_ocsp", hears_good_and_revoked_by_ocsp),
    ("openssl::hears_unknown_for_a_serial_never_issued", hears_unknown_for_a_serial_never_issued),
    ("openssl::hears_the_root_answer_for_the_issuing_ca", hears_the_root_answer_for_the_issuing_ca),
    ("openssl::refuses_answers_under_another_trust_anchor", refuses_answers_of_strangers),
];

/// The strictest path validation that OpenSSL has, every certificate looked up in its CRL.
fn verify(issued: &Issued, more: &[&str]) -> String {
    let strict = ["verify", "-x509_strict", "-crl_check_all", "-untrusted", "issuing.pem"];
    issued.openssl(&[&strict[..], more, &["leaf.pem"]].concat()).text
}

const TRUST: [&str; 4] = ["-CAfile", "root.pem", "-CRLfile", "all.crl"];

fn verifies_the_chain_and_every_crl(samples: &Samples) {
    for issued in samples.persons.iter().chain([&samples.good]) {
        issued.fetch_crls();

        let said = verify(issued, &TRUST);

        assert!(said.contains("leaf.pem: OK"), "{said}");
    }
}

fn refuses_the_revoked_certificate_by_crl(samples: &Samples) {
    let said = verify(&samples.revoked, &TRUST);

    assert!(said.contains("error 23 "), "{said}");
}

fn refuses_without_a_crl_and_after_its_end(samples: &Samples) {
    let without = verify(&samples.good, &["-CAfile", "root.pem"]);
    // Two years on, the CRLs have ended and so has the certificate: error 12 names the CRL.
    let late = verify(&samples.good, &[&TRUST[..], &["-attime", "1893456000"]].concat());

    assert!(without.contains("error 3 "), "{without}");
    assert!(late.contains("error 12 "), "{late}");
}

/// docs/relying-parties/openssl.sh, as it stands.
fn judges_as_the_shipped_script_does(samples: &Samples) {
    let script = support::workspace::root().join("docs/relying-parties/openssl.sh");
    for (issued, holds) in [(&samples.good, true), (&samples.revoked, false)] {
        issued.fetch_crls();
        let mut command = std::process::Command::new("sh");
        command.arg(&script).args(["leaf.pem", "issuing.pem", "root.pem", "all.crl"]);
        let said = support::spoken::run(command.current_dir(issued.folder()), &[]);

        assert_eq!(said.code == 0, holds, "{}", said.text);
    }
}

/// A certificate is good for its purposes and its policy, and for no others: functions, then persons' certificates for
/// authentication and for signatures.
fn asks_for_purpose_and_policy(samples: &Samples) {
    let purposes = [&["sslclient", "sslserver"][..], &["sslclient"], &["smimesign"]];
    for (issued, good) in [&samples.good].into_iter().chain(&samples.persons).zip(purposes) {
        issued.fetch_crls();
        let policy = policy(issued);
        let with = |policy, purpose| {
            let asked =
                ["-policy", policy, "-explicit_policy", "-policy_check", "-purpose", purpose];
            verify(issued, &[&TRUST[..], &asked].concat())
        };
        for purpose in ["sslclient", "sslserver", "smimesign"] {
            let said = with(&policy, purpose);

            let expected = if good.contains(&purpose) { "leaf.pem: OK" } else { "error 26 " };
            assert!(said.contains(expected), "{purpose}: {said}");
        }
        let said = with("1.2.3.4", good[0]);
        assert!(said.contains("error 43 "), "{said}");
    }
}

/// The last policy that a certificate states: of ours the one that says how it was come by.
pub(crate) fn policy(issued: &Issued) -> String {
    let said =
        issued.openssl(&["x509", "-in", "leaf.pem", "-noout", "-ext", "certificatePolicies"]);
    let found =
        said.text.lines().filter_map(|line| line.trim().strip_prefix("Policy: ")).next_back();
    found.unwrap_or_else(|| panic!("no policy: {}", said.text)).to_owned()
}

fn refuses_another_trust_anchor(samples: &Samples) {
    stranger(&samples.good);

    let said = verify(&samples.good, &["-CAfile", "stranger.pem", "-CRLfile", "all.crl"]);

    assert!(!said.contains("OK") && said.contains("error "), "{said}");
}

/// A self-signed certificate that nobody here knows, as `stranger.pem`.
pub(crate) fn stranger(issued: &Issued) {
    let key = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let rest = ["-keyout", "stranger.key", "-out", "stranger.pem", "-subj", "/CN=stranger"];
    let made = issued.openssl(&[&key[..], &rest[..]].concat());
    assert_eq!(made.code, 0, "{}", made.text);
}

fn verifies_the_crls_by_themselves(samples: &Samples) {
    let judge = |crl, ca| {
        samples.good.openssl(&["crl", "-in", crl, "-CAfile", ca, "-noout", "-verify", "-crlnumber"])
    };

    let (issuing, root) =
        (judge("issuing.crl.pem", "issuing.pem"), judge("root.crl.pem", "root.pem"));
    let wrong = judge("issuing.crl.pem", "root.pem");

    for right in [issuing, root] {
        assert!(right.text.contains("verify OK") && right.text.contains("crlNumber="), "{right:?}");
    }
    assert!(!wrong.text.contains("verify OK"), "{wrong:?}");
}

/// The exit code says nothing: it is 0 for revoked and stale too, so the text is read.
fn hears_good_and_revoked_by_ocsp(samples: &Samples) {
    for more in [&[][..], &["-no_nonce"], &["-sha256"], &["-sha256", "-no_nonce"]] {
        let (good, revoked) = (samples.good.ask(more).text, samples.revoked.ask(more).text);

        assert!(good.contains("Response verify OK"), "{more:?}: {good}");
        assert!(good.contains("leaf.pem: good"), "{more:?}: {good}");
        assert!(!good.contains("no nonce in response"), "{more:?}: {good}");
        assert!(revoked.contains("Response verify OK"), "{more:?}: {revoked}");
        assert!(revoked.contains("leaf.pem: revoked"), "{more:?}: {revoked}");
        assert!(revoked.contains("Reason: keyCompromise"), "{more:?}: {revoked}");
    }
}

fn hears_unknown_for_a_serial_never_issued(samples: &Samples) {
    let good = &samples.good;
    let url = good.ocsp_url("leaf.pem");
    let serial = "0x4123456789abcdef0123456789abcdef";
    let question = ["ocsp", "-issuer", "issuing.pem", "-serial", serial, "-url", &url];

    let said = good.openssl(&[&question[..], &["-CAfile", "root.pem"]].concat()).text;

    assert!(said.contains("Response verify OK"), "{said}");
    assert!(said.contains(": unknown"), "{said}");
}

fn hears_the_root_answer_for_the_issuing_ca(samples: &Samples) {
    let good = &samples.good;
    let url = good.ocsp_url("issuing.pem");
    let question = ["ocsp", "-issuer", "root.pem", "-cert", "issuing.pem", "-url", &url];

    let said = good.openssl(&[&question[..], &["-CAfile", "root.pem"]].concat()).text;

    assert!(said.contains("Response verify OK"), "{said}");
    assert!(said.contains("issuing.pem: good"), "{said}");
}

fn refuses_answers_of_strangers(samples: &Samples) {
    let good = &samples.good;
    stranger(good);
    let url = good.ocsp_url("leaf.pem");
    let question = ["ocsp", "-issuer", "issuing.pem", "-cert", "leaf.pem", "-url", &url];

    let said = good.openssl(&[&question[..], &["-CAfile", "stranger.pem"]].concat()).text;

    assert!(!said.contains("Response verify OK"), "{said}");
    assert!(said.contains("Response Verify Failure"), "{said}");
}
