//! Mutants of certificates: names, in the subject and beside it.

use lint::Kind;

use crate::Verdict;
use crate::certificates::mutant;
use crate::der::{Der, context, ia5, implicit, oid, printable, seq, set, utc, utf8};
use crate::sample::{
    ALTERNATIVE_NAMES, CA_ISSUERS, INFORMATION, OCSP, POINTS, POLICIES, Sample, attribute,
    extension, uri,
};

const CARD_NUMBER: &str = "1.2.752.34.2.1";
const MAILBOX: &str = "1.3.6.1.5.5.7.8.9";
const UPN: &str = "1.3.6.1.4.1.311.20.2.3";

pub(crate) fn all() -> Vec<Verdict> {
    [hosts(), mail(), forms(), subjects(), subjects_of_kinds()].concat()
}

/// A function that has this dNSName beside its own.
fn host(name: &str) -> lint::Findings {
    mutant(Kind::Function, |it| {
        it.set(ALTERNATIVE_NAMES, seq([dns("idp.example.org"), dns(name)]));
    })
}

fn dns(name: &str) -> Der {
    implicit(2, name.as_bytes())
}

/// A person with these alternative names.
fn person(names: impl IntoIterator<Item = Der>) -> lint::Findings {
    mutant(Kind::PersonAuthentication, |it| {
        it.add(extension(ALTERNATIVE_NAMES, seq(names)));
    })
}

fn address(text: &str) -> Der {
    implicit(1, text.as_bytes())
}

fn other(kind: &str, value: Der) -> Der {
    context(0, [oid(kind), context(0, [value])])
}

/// PRO-17: what is written as the standards ask breaks no rule.
#[test]
fn sound_names_pass() {
    for name in ["*.example.org", "xn--exmple-cua.se", "a.b-c.example.org", "IDP2.Example.org"] {
        let findings = host(name);

        assert!(findings.is_empty(), "{name}: {findings}");
    }
    let findings = person([
        other(UPN, utf8("asa@region.example.org")),
        address("o'brien+x@xn--exmple-cua.se"),
        other(MAILBOX, utf8("åsa@xn--exmple-cua.se")),
    ]);

    assert!(findings.is_empty(), "{findings}");
    let findings = mutant(Kind::Function, |it| {
        let name = context(0, [context(0, [uri("http://crl.xn--exmple-cua.se/a--b.crl")])]);
        it.set(POINTS, seq([seq([name])]));
        with(it, "0.9.2342.19200300.100.1.25", ia5("xn--exmple-cua"));
    });

    assert!(findings.is_empty(), "{findings}");
}

/// ISS-09: five years to the second, and five years from a leap day.
#[test]
fn five_years_pass() {
    for (begins, ends) in [("260101000000Z", "301231235959Z"), ("280229120000Z", "330228235959Z")] {
        let findings = mutant(Kind::PersonSignature, |it| {
            (it.not_before, it.not_after) = (utc(begins), utc(ends));
        });

        assert!(findings.is_empty(), "{begins} to {ends}: {findings}");
    }
}

fn hosts() -> Vec<Verdict> {
    vec![
        ("pro-17/dns-name", "an underscore", host("a_b.example.org")),
        ("pro-17/dns-name", "a dot at the end", host("a.example.org.")),
        ("pro-17/dns-name", "an address", host("192.0.2.1")),
        ("pro-17/dns-name", "a label of 64", host(&format!("{}.example.org", "a".repeat(64)))),
        ("pro-17/dns-name", "254 characters", host(&format!("{}example.org", "a.".repeat(122)))),
        ("pro-17/dns-name", "a hyphen at the end of a label", host("a-.example.org")),
        ("pro-17/dns-name", "a star inside a label", host("a*.example.org")),
        ("pro-17/dns-name", "a star before one label", host("*.org")),
        ("pro-17/a-label", "no Punycode", host("xn--a-9.example.org")),
        ("pro-17/a-label", "another prefix", host("ab--cd.example.org")),
        (
            "pro-17/a-label",
            "in the host of a mail address",
            person([address("a@xn--a-9.example.org")]),
        ),
        (
            "pro-17/a-label",
            "in the host of a CRL",
            mutant(Kind::Function, |it| {
                let name = context(0, [context(0, [uri("http://xn--a-9.example.org/a.crl")])]);
                it.set(POINTS, seq([seq([name])]));
            }),
        ),
        (
            "pro-17/a-label",
            "in the host of a responder",
            mutant(Kind::Function, |it| {
                let at = |method, text| seq([oid(method), uri(text)]);
                let responder = at(OCSP, "http://xn--a-9.example.org:80");
                let issuer = at(CA_ISSUERS, "http://aia.example.org/a.cer");
                it.set(INFORMATION, seq([responder, issuer]));
            }),
        ),
        (
            "pro-17/a-label",
            "in the host of a practice statement",
            mutant(Kind::Function, |it| {
                let statement = ia5("https://xn--a-9.example.org/cps");
                let qualifier = seq([oid("1.3.6.1.5.5.7.2.1"), statement]);
                it.set(POLICIES, seq([seq([oid("1.3.6.1.4.1.32473.1.1.1"), seq([qualifier])])]));
            }),
        ),
        (
            "pro-17/a-label",
            "in a domain component",
            mutant(Kind::Function, |it| {
                with(it, "0.9.2342.19200300.100.1.25", ia5("xn--a-9"));
            }),
        ),
        ("pro-20/qualified-name", "no domain", host("intranet")),
    ]
}

fn mail() -> Vec<Verdict> {
    let mailbox = |text: &str| person([other(MAILBOX, utf8(text))]);
    let long = format!("{}@example.org", "a".repeat(65));
    vec![
        ("pro-17/mail-address", "no host", person([address("asa")])),
        ("pro-17/mail-address", "no local part", person([address("@example.org")])),
        ("pro-17/mail-address", "a capital host", person([address("a@Example.org")])),
        ("pro-17/mail-address", "two dots", person([address("a..b@example.org")])),
        ("pro-17/mail-address", "a space", person([address("a b@example.org")])),
        ("pro-17/mail-address", "a local part of 65", person([address(&long)])),
        ("pro-17/smtp-utf8-mailbox", "needs no UTF-8", mailbox("asa@example.org")),
        ("pro-17/smtp-utf8-mailbox", "host in UTF-8 alone", mailbox("asa@exämple.se")),
        ("pro-17/smtp-utf8-mailbox", "a capital host", mailbox("åsa@Example.org")),
        ("pro-17/smtp-utf8-mailbox", "no host", mailbox("åsa@")),
        (
            "pro-17/smtp-utf8-mailbox",
            "another string",
            person([other(MAILBOX, Der::Leaf(0x1e, "åsa@example.org".into()))]),
        ),
        ("pro-17/byte-order-mark", "at the front", mailbox("\u{feff}åsa@example.org")),
        ("pro-17/upn-form", "IA5String", person([other(UPN, ia5("asa@example.org"))])),
        ("pro-17/upn-form", "no realm", person([other(UPN, utf8("asa"))])),
    ]
}

fn forms() -> Vec<Verdict> {
    use Kind::{Function, Machine, ManagementClient};
    let twice = seq([dns("idp.example.org"), dns("idp.example.org")]);
    vec![
        (
            "pro-16/alternative-name-once",
            "a host twice",
            mutant(Function, |it| it.set(ALTERNATIVE_NAMES, twice)),
        ),
        ("pro-16/alternative-name-once", "a host again in capitals", host("IDP.Example.org")),
        (
            "pro-13/absolute-uri",
            "a path",
            mutant(ManagementClient, |it| {
                let deployment = uri("urn:sigill:test:demo:ab12:client:portal");
                it.set(ALTERNATIVE_NAMES, seq([deployment, uri("/client/portal")]));
            }),
        ),
        ("pro-20/name-forms", "a person with a host", person([dns("idp.example.org")])),
        (
            "pro-20/name-forms",
            "a machine with a host",
            mutant(Machine, |it| {
                it.add(extension(ALTERNATIVE_NAMES, seq([dns("idp.example.org")])));
            }),
        ),
        (
            "pro-20/name-forms",
            "a function with an address",
            mutant(Function, |it| {
                let names = [dns("idp.example.org"), implicit(7, &[192, 0, 2, 1])];
                it.set(ALTERNATIVE_NAMES, seq(names));
            }),
        ),
    ]
}

/// The subject has this attribute too.
fn with(sample: &mut Sample, kind: &str, value: Der) {
    sample.subject.parts().push(attribute(kind, value));
}

fn subjects() -> Vec<Verdict> {
    use Kind::{Function, IssuingCa, PersonSignature};
    let organisation = "2.5.4.10";
    vec![
        (
            "pro-02/normal-form",
            "a and a ring",
            mutant(Function, |it| *it.attribute(organisation) = utf8("Ga\u{30a}rd")),
        ),
        (
            "pro-02/outer-space",
            "at the end",
            mutant(Function, |it| *it.attribute(organisation) = utf8("Region ")),
        ),
        (
            "pro-02/outer-space",
            "nothing else",
            mutant(Function, |it| *it.attribute(organisation) = printable(" ")),
        ),
        (
            "pro-07/attribute-once",
            "two organisations of a person",
            mutant(PersonSignature, |it| with(it, organisation, utf8("Region Gotland"))),
        ),
        (
            "pro-07/single-valued",
            "common name and serial number in one",
            mutant(PersonSignature, |it| {
                let last = it.subject.parts().pop().unwrap();
                let Der::List(_, serial) = last else { panic!() };
                let name = it.subject.parts().remove(2);
                let Der::List(_, name) = name else { panic!() };
                it.subject.parts().push(set(name.into_iter().chain(serial)));
            }),
        ),
        (
            "pro-17/no-mail-in-subject",
            "emailAddress",
            mutant(Function, |it| with(it, "1.2.840.113549.1.9.1", ia5("it@example.org"))),
        ),
        (
            "pro-14/ca-name",
            "no country",
            mutant(IssuingCa, |it| drop(it.subject.parts().remove(0))),
        ),
        (
            "pro-14/other-subject",
            "the issuer's",
            mutant(IssuingCa, |it| it.subject = it.issuer.clone()),
        ),
    ]
}

fn subjects_of_kinds() -> Vec<Verdict> {
    use Kind::{CardTransport, Function, Machine, PersonAuthentication};
    let card = |value: Der| mutant(PersonAuthentication, |it| it.set(CARD_NUMBER, value));
    let numbered =
        |text: &str| mutant(PersonAuthentication, |it| *it.attribute("2.5.4.5") = printable(text));
    vec![
        (
            "pro-20/function-subject",
            "two serial numbers",
            mutant(Function, |it| with(it, "2.5.4.5", printable("TST2321000016-F2"))),
        ),
        (
            "pro-20/function-subject",
            "two serial numbers of a machine",
            mutant(Machine, |it| with(it, "2.5.4.5", printable("TST2321000016-F2"))),
        ),
        (
            "pro-20/function-subject",
            "no organisation",
            mutant(Function, |it| drop(it.subject.parts().remove(1))),
        ),
        ("pro-08/no-implied-semantics", "PNO", numbered("PNOSE-199001011239")),
        ("pro-08/no-implied-semantics", "a local scheme", numbered("HS:SE-2321000016-1002")),
        ("pro-07/card-number", "NONE", card(printable("NONE"))),
        (
            "pro-07/card-number",
            "of 18 digits on a blank card",
            mutant(CardTransport, |it| it.set(CARD_NUMBER, printable("975227000000000000"))),
        ),
        ("pro-07/card-number", "UTF8String", card(utf8("9752270000000000006"))),
        (
            "pro-07/card-number",
            "a function's",
            mutant(Function, |it| {
                it.add(extension(CARD_NUMBER, printable("9752270000000000006")));
            }),
        ),
    ]
}
