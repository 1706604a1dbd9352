//! Our own linter on what the demo has published, so that the judges around it also judge it: what
//! they accept it must accept, and it sees what the demo did not lint before signing.

use lint::{Findings, IssuerContext, Kind};
use support::suite::Check;

use crate::Samples;
use crate::pkilint::answers;

pub(crate) const CHECKS: &[Check<Samples>] = &[
    ("ours::finds_nothing_in_certificates", finds_nothing_in_certificates),
    ("ours::finds_nothing_in_crls_and_answers", finds_nothing_in_crls_and_answers),
    ("ours::finds_what_belongs_to_another_issuer", finds_what_belongs_to_another_issuer),
];

fn assert_clean(what: &str, findings: &Findings) {
    assert!(findings.is_empty(), "{what}: {findings}");
}

fn finds_nothing_in_certificates(samples: &Samples) {
    let persons = samples.persons.iter().zip([Kind::PersonAuthentication, Kind::PersonSignature]);
    for (issued, kind) in persons.chain([(&samples.good, Kind::Function)]) {
        let [leaf, issuing, root] =
            ["leaf.pem", "issuing.pem", "root.pem"].map(|it| issued.der(it));
        let judge = |der, issuer, kind| lint::certificate(der, &issuer, kind);

        assert_clean("leaf", &judge(&leaf, IssuerContext::Certificate(&issuing), kind));
        assert_clean(
            "issuing CA",
            &judge(&issuing, IssuerContext::Certificate(&root), Kind::IssuingCa),
        );
        assert_clean("root", &judge(&root, IssuerContext::SelfSigned, Kind::RootCa));
    }
}

fn finds_nothing_in_crls_and_answers(samples: &Samples) {
    for issued in [&samples.good, &samples.revoked] {
        issued.fetch_crls();
        answers(issued);
        for (issuer, crl, answer) in
            [("issuing.pem", "issuing.crl", "leaf.ocsp"), ("root.pem", "root.crl", "issuing.ocsp")]
        {
            let issuer = issued.der(issuer);
            let list = lint::crl(&issued.read(crl)[..], &issuer).expect("a slice can be read");

            assert_clean(crl, &list);
            assert_clean(answer, &lint::ocsp_response(&issued.read(answer), &issuer));
        }
    }
}

fn finds_what_belongs_to_another_issuer(samples: &Samples) {
    let good = &samples.good;
    answers(good);
    let root = good.der("root.pem");

    let list = lint::crl(&good.read("issuing.crl")[..], &root).expect("a slice can be read");
    let answer = lint::ocsp_response(&good.read("leaf.ocsp"), &root);

    assert!(list.iter().any(|it| it.rule.as_str() == "pro-15/issuer-bytes"), "{list}");
    assert!(answer.iter().any(|it| it.rule.as_str() == "ocsp-05/cert-id"), "{answer}");
}
