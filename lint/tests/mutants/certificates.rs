//! Mutants of certificates: what their fields and extensions mean.

use lint::{Findings, Kind};

use crate::Verdict;
use crate::der::{
    Der, bits, boolean, context, implicit, int, null, octets, oid, printable, seq, utc, utf8,
};
use crate::sample::{
    ALTERNATIVE_NAMES, AUTHORITY_KEY, BASIC_CONSTRAINTS, CA_ISSUERS, CLIENT_AUTH,
    EXTENDED_KEY_USAGE, INFORMATION, KEY_USAGE, KINDS, NO_CHECK, OCSP, OCSP_SIGNING, POINTS,
    POLICIES, SERVER_AUTH, SUBJECT_KEY, Sample, access, attribute, critical, extension, judge,
    point, sample, sha256_with_rsa,
};

#[test]
fn sound_certificates_of_every_kind_pass() {
    for kind in KINDS {
        let (sample, issuer) = sample(kind);

        let findings = judge(&sample.encode(), issuer.as_ref(), kind);

        assert!(findings.is_empty(), "{kind:?}: {findings}");
    }
}

/// PRO-15: an issuer whose name has strings that we would not write is copied, not judged.
#[test]
fn an_issuer_of_another_time_keeps_its_strings() {
    let (mut host, issuer) = sample(Kind::Function);
    let mut issuer = issuer.unwrap();
    *issuer.attribute("2.5.4.10") = Der::Leaf(0x14, b"Carelink".to_vec());
    *issuer.attribute("2.5.4.3") = printable("SITHS_CA v3");
    host.issuer = issuer.subject.clone();

    let findings = judge(&host.encode(), Some(&issuer), Kind::Function);

    assert!(findings.is_empty(), "{findings}");
}

/// A sound certificate of `kind`, changed.
pub(crate) fn mutant(kind: Kind, change: impl FnOnce(&mut Sample)) -> Findings {
    let (mut sample, issuer) = sample(kind);
    change(&mut sample);
    judge(&sample.encode(), issuer.as_ref(), kind)
}

/// A sound certificate of `kind` under a changed issuer.
fn under(kind: Kind, change: impl FnOnce(&mut Sample)) -> Findings {
    let (sample, issuer) = sample(kind);
    let mut issuer = issuer.unwrap();
    change(&mut issuer);
    judge(&sample.encode(), Some(&issuer), kind)
}

pub(crate) fn with_octets(change: impl FnOnce(&mut Vec<u8>)) -> Findings {
    let (sample, issuer) = sample(Kind::Function);
    let mut octets = sample.encode();
    change(&mut octets);
    judge(&octets, issuer.as_ref(), Kind::Function)
}

/// What the fields and extensions of a certificate mean.
pub(crate) fn meaning() -> Vec<Verdict> {
    [fields(), authority(), usage(), pointers(), special()].concat()
}

fn fields() -> Vec<Verdict> {
    use Kind::{Function, PersonAuthentication};
    vec![
        (
            "pro-06/validity-order",
            "ends before it begins",
            mutant(Function, |it| it.not_before = utc("300101000001Z")),
        ),
        ("iss-02/serial", "zero", mutant(Function, |it| it.serial = int(&[0]))),
        ("iss-02/serial", "negative", mutant(Function, |it| it.serial = int(&[0x81]))),
        ("iss-02/serial", "21 octets", mutant(Function, |it| it.serial = int(&[0x41; 21]))),
        (
            "iss-08/within-issuer-validity",
            "one second longer than the issuer",
            mutant(Function, |it| it.not_after = utc("490101000001Z")),
        ),
        (
            "iss-09/five-years",
            "five years and a second, the first and the last one counted",
            mutant(PersonAuthentication, |it| it.not_after = utc("310101000000Z")),
        ),
        (
            "iss-09/five-years",
            "from a leap day into March",
            mutant(PersonAuthentication, |it| {
                (it.not_before, it.not_after) = (utc("280229120000Z"), utc("330301000000Z"));
            }),
        ),
        (
            "api-09/algorithms-agree",
            "another algorithm outside",
            mutant(Function, |it| it.outer = sha256_with_rsa()),
        ),
        (
            "ocsp-12/algorithm-fits-key",
            "RSA under an EC key",
            mutant(Function, |it| (it.inner, it.outer) = (sha256_with_rsa(), sha256_with_rsa())),
        ),
        (
            "ocsp-12/algorithm-fits-key",
            "NULL as parameters of ECDSA",
            mutant(Function, |it| {
                let with_null = seq([oid("1.2.840.10045.4.3.2"), null()]);
                (it.inner, it.outer) = (with_null.clone(), with_null);
            }),
        ),
        ("pro-14/version", "version 1", mutant(Function, |it| it.version = None)),
        ("pro-14/version", "version 2", mutant(Function, |it| it.version = Some(int(&[1])))),
        (
            "pro-14/no-unique-identifiers",
            "a subjectUniqueID",
            mutant(Function, |it| it.unique = Some(implicit(2, &[0, 1]))),
        ),
    ]
}

fn authority() -> Vec<Verdict> {
    use Kind::{Function, IssuingCa, RootCa};
    vec![
        ("pro-14/ca-subject", "an empty subject", mutant(IssuingCa, |it| it.subject = seq([]))),
        ("pro-14/subject-key-identifier", "none", mutant(Function, |it| it.remove(SUBJECT_KEY))),
        (
            "pro-14/authority-key-identifier",
            "none",
            mutant(Function, |it| it.remove(AUTHORITY_KEY)),
        ),
        (
            "pro-14/authority-key-identifier",
            "without a keyIdentifier",
            mutant(Function, |it| it.set(AUTHORITY_KEY, seq([]))),
        ),
        (
            "pro-14/authority-key-identifier-bytes",
            "another",
            mutant(Function, |it| it.set(AUTHORITY_KEY, seq([implicit(0, &[2; 20])]))),
        ),
        (
            "pro-14/basic-constraints-of-ca",
            "none",
            mutant(IssuingCa, |it| it.remove(BASIC_CONSTRAINTS)),
        ),
        (
            "pro-14/basic-constraints-critical",
            "not critical",
            mutant(IssuingCa, |it| it.extension(BASIC_CONSTRAINTS).critical = None),
        ),
        (
            "pro-14/end-entity-is-no-ca",
            "cA TRUE",
            under_a_long_path(|it| it.add(critical(BASIC_CONSTRAINTS, seq([boolean(0xff)])))),
        ),
        (
            "pro-14/path-length",
            "without cA",
            mutant(Function, |it| it.add(critical(BASIC_CONSTRAINTS, seq([int(&[0])])))),
        ),
        (
            "pro-14/key-cert-sign",
            "no cRLSign",
            mutant(RootCa, |it| it.set(KEY_USAGE, bits(2, &[0x04]))),
        ),
        (
            "pro-14/issuer-may-sign",
            "an issuer that is no CA",
            under(Function, |it| it.remove(BASIC_CONSTRAINTS)),
        ),
        (
            "pro-14/issuer-may-sign",
            "an issuer without keyCertSign",
            under(Function, |it| it.set(KEY_USAGE, bits(1, &[0x02]))),
        ),
        (
            "pro-14/issuer-path-length",
            "a CA below pathLenConstraint 0",
            under(IssuingCa, |it| it.set(BASIC_CONSTRAINTS, seq([boolean(0xff), int(&[0])]))),
        ),
        (
            "pro-15/issuer-bytes",
            "the same name in other strings",
            mutant(Function, |it| {
                it.issuer.parts()[1] = attribute("2.5.4.10", printable("Sigill Test"));
            }),
        ),
    ]
}

/// A changed function certificate whose issuer has no pathLenConstraint.
fn under_a_long_path(change: impl FnOnce(&mut Sample)) -> Findings {
    let (mut sample, issuer) = sample(Kind::Function);
    let mut issuer = issuer.unwrap();
    issuer.set(BASIC_CONSTRAINTS, seq([boolean(0xff)]));
    change(&mut sample);
    judge(&sample.encode(), Some(&issuer), Kind::Function)
}

fn usage() -> Vec<Verdict> {
    use Kind::{
        CardTransport, CrossCa, Function, IssuingCa, Machine, ManagementClient,
        PersonAuthentication, PersonSignature,
    };
    vec![
        ("pro-09/key-usage-present", "none", mutant(Function, |it| it.remove(KEY_USAGE))),
        (
            "pro-09/key-usage-critical",
            "not critical",
            mutant(Function, |it| it.extension(KEY_USAGE).critical = None),
        ),
        (
            "pro-09/key-usage",
            "nonRepudiation beside digitalSignature",
            mutant(PersonSignature, |it| it.set(KEY_USAGE, bits(6, &[0xc0]))),
        ),
        (
            "pro-09/key-usage",
            "digitalSignature in a CA",
            mutant(IssuingCa, |it| it.set(KEY_USAGE, bits(1, &[0x86]))),
        ),
        (
            "pro-09/key-usage",
            "keyAgreement of a blank card",
            mutant(CardTransport, |it| it.set(KEY_USAGE, bits(3, &[0x88]))),
        ),
        (
            "pro-09/key-usage",
            "digitalSignature in a successor",
            mutant(CrossCa, |it| it.set(KEY_USAGE, bits(1, &[0x86]))),
        ),
        (
            "pro-09/key-usage-fits-key",
            "keyEncipherment with an EC key",
            mutant(PersonAuthentication, |it| it.set(KEY_USAGE, bits(5, &[0xa0]))),
        ),
        (
            "pro-09/extended-key-usage",
            "serverAuth for a person",
            mutant(PersonAuthentication, |it| {
                it.set(EXTENDED_KEY_USAGE, seq([oid(CLIENT_AUTH), oid(SERVER_AUTH)]));
            }),
        ),
        (
            "pro-09/extended-key-usage",
            "a machine that may serve",
            mutant(Machine, |it| {
                it.set(EXTENDED_KEY_USAGE, seq([oid(CLIENT_AUTH), oid(SERVER_AUTH)]));
            }),
        ),
        (
            "pro-09/extended-key-usage",
            "a management client that may serve",
            mutant(ManagementClient, |it| {
                it.set(EXTENDED_KEY_USAGE, seq([oid(CLIENT_AUTH), oid(SERVER_AUTH)]));
            }),
        ),
        (
            "pro-16/extension-once",
            "two subject key identifiers",
            mutant(Function, |it| it.add(extension(SUBJECT_KEY, octets(&[5; 20])))),
        ),
        (
            "pro-16/not-critical",
            "extended key usage",
            mutant(Function, |it| it.extension(EXTENDED_KEY_USAGE).critical = Some(boolean(0xff))),
        ),
        (
            "pro-16/known-critical",
            "an extension of our own",
            mutant(Function, |it| it.add(critical("2.999.1", null()))),
        ),
        (
            "pro-16/alternative-name-critical",
            "critical beside a subject",
            mutant(Function, |it| it.extension(ALTERNATIVE_NAMES).critical = Some(boolean(0xff))),
        ),
        (
            "pro-16/alternative-name-critical",
            "not critical without a subject",
            mutant(Function, |it| it.subject = seq([])),
        ),
        (
            "pro-16/no-path-extensions",
            "name constraints",
            mutant(Function, |it| {
                let permitted = context(0, [seq([implicit(2, b"example.org")])]);
                it.add(critical("2.5.29.30", seq([permitted])));
            }),
        ),
        (
            "pro-23/no-qc-statements",
            "QcCompliance",
            mutant(PersonSignature, |it| {
                it.add(extension("1.3.6.1.5.5.7.1.3", seq([seq([oid("0.4.0.1862.1.1")])])));
            }),
        ),
    ]
}

fn pointers() -> Vec<Verdict> {
    use Kind::{Function, PersonAuthentication};
    vec![
        ("pro-10/policies-present", "none", mutant(Function, |it| it.remove(POLICIES))),
        (
            "pro-10/policy-once",
            "twice",
            mutant(Function, |it| {
                it.set(POLICIES, seq([seq([oid("2.999.1")]), seq([oid("2.999.1")])]));
            }),
        ),
        (
            "pro-10/no-any-policy",
            "anyPolicy for a person",
            mutant(PersonAuthentication, |it| it.set(POLICIES, seq([seq([oid("2.5.29.32.0")])]))),
        ),
        ("pro-13/distribution-point", "none", mutant(Function, |it| it.remove(POINTS))),
        (
            "crl-07/all-reasons",
            "keyCompromise only",
            mutant(Function, |it| {
                let mut limited = point("http://crl.example.org/ca.crl");
                limited.parts().push(implicit(1, &[6, 0x40]));
                it.set(POINTS, seq([limited]));
            }),
        ),
        (
            "pro-13/authority-information",
            "no OCSP",
            mutant(Function, |it| {
                it.set(INFORMATION, seq([access(CA_ISSUERS, "http://aia.example.org/ca.cer")]));
            }),
        ),
        (
            "pro-13/http-uri",
            "https",
            mutant(Function, |it| it.set(POINTS, seq([point("https://crl.example.org/ca.crl")]))),
        ),
        (
            "pro-13/http-uri",
            "no host",
            mutant(Function, |it| it.set(POINTS, seq([point("http:///ca.crl")]))),
        ),
        (
            "pro-13/http-uri",
            "a space",
            mutant(Function, |it| it.set(POINTS, seq([point("http://crl.example.org/c a.crl")]))),
        ),
    ]
}

/// Rules of one kind: responders, persons, functions, the management plane.
fn special() -> Vec<Verdict> {
    use Kind::{Function, IssuingCa, ManagementClient, OcspResponder, PersonSignature};
    vec![
        (
            "pro-12/ocsp-signing",
            "a second purpose",
            mutant(OcspResponder, |it| {
                it.set(EXTENDED_KEY_USAGE, seq([oid(OCSP_SIGNING), oid(CLIENT_AUTH)]));
            }),
        ),
        (
            "pro-12/ocsp-signing-elsewhere",
            "in a CA",
            mutant(IssuingCa, |it| {
                it.add(extension(EXTENDED_KEY_USAGE, seq([oid(OCSP_SIGNING)])));
            }),
        ),
        ("pro-12/no-check", "none", mutant(OcspResponder, |it| it.remove(NO_CHECK))),
        (
            "pro-12/no-check",
            "an empty list instead of NULL",
            mutant(OcspResponder, |it| it.set(NO_CHECK, seq([]))),
        ),
        (
            "pro-12/no-check",
            "in a function certificate",
            mutant(Function, |it| it.add(extension(NO_CHECK, null()))),
        ),
        (
            "pro-12/no-status-pointers",
            "an OCSP pointer",
            mutant(OcspResponder, |it| {
                it.add(extension(INFORMATION, seq([access(OCSP, "http://ocsp.example.org")])));
            }),
        ),
        (
            "pro-12/short-life",
            "399 days",
            mutant(OcspResponder, |it| it.not_after = utc("270204000000Z")),
        ),
        (
            "pro-07/person-subject",
            "two common names",
            mutant(PersonSignature, |it| {
                it.subject.parts().push(attribute("2.5.4.3", utf8("Åsa")));
            }),
        ),
        (
            "pro-07/person-subject",
            "a pseudonym beside the name",
            mutant(PersonSignature, |it| {
                it.subject.parts().push(attribute("2.5.4.65", utf8("Å")));
            }),
        ),
        (
            "pro-20/common-name-in-alternative-names",
            "another host",
            mutant(Function, |it| *it.attribute("2.5.4.3") = utf8("sp.example.org")),
        ),
        (
            "promise-8/deployment-uri",
            "none",
            mutant(ManagementClient, |it| it.remove(ALTERNATIVE_NAMES)),
        ),
    ]
}
