//! Mutants of certificates: strict DER and the strings and times that may stand in it.

use lint::Kind;

use crate::Verdict;
use crate::certificates::{mutant, with_octets};
use crate::der::{
    Der, bits, boolean, generalized, ia5, int, null, octets, oid, printable, seq, set, utc, utf8,
};
use crate::sample::{
    BASIC_CONSTRAINTS, KEY_USAGE, NO_CHECK, POINTS, POLICIES, SUBJECT_KEY, attribute, critical,
    extension, point,
};

/// A policy whose qualifier, which may be anything, is `value`.
fn policies_with(value: Der) -> Der {
    seq([seq([oid("2.999.752.1"), seq([seq([oid("1.3.6.1.5.5.7.2.1"), value])])])])
}

/// Strict DER: lengths, tags, single values, strings, times.
pub(crate) fn all() -> Vec<Verdict> {
    use Kind::{Function, OcspResponder, PersonAuthentication, RootCa};
    let other = "2.999.1";
    vec![
        (
            "pro-01/definite-length",
            "subject of indefinite length",
            mutant(Function, |it| it.subject = Der::Raw(vec![0x30, 0x80, 0x00, 0x00])),
        ),
        (
            "pro-01/minimal-length",
            "length of the serial in two octets",
            mutant(Function, |it| {
                it.serial = Der::Raw([&[0x02, 0x81, 0x10][..], &[0x41; 16]].concat());
            }),
        ),
        (
            "pro-01/tag-form",
            "identifier of two octets",
            mutant(Function, |it| {
                *it.attribute("2.5.4.10") = Der::Raw(vec![0x1f, 0x22, 0x01, 0x41]);
            }),
        ),
        (
            "pro-01/constructed",
            "constructed IA5String",
            mutant(Function, |it| {
                it.set(POLICIES, policies_with(Der::List(0x36, vec![ia5("https://a")])));
            }),
        ),
        ("pro-01/complete", "last octet cut off", with_octets(|it| it.truncate(it.len() - 1))),
        (
            "pro-01/complete",
            "value longer than its extension",
            mutant(Function, |it| it.set(SUBJECT_KEY, Der::Raw(vec![0x04, 0x05, 0x01]))),
        ),
        ("pro-01/no-trailing-octets", "one octet more", with_octets(|it| it.push(0))),
        (
            "pro-01/no-trailing-octets",
            "one octet more in an extension",
            mutant(Function, |it| {
                let with_more = [&octets(&it.key_hash()).encode()[..], &[0]].concat();
                it.set(SUBJECT_KEY, Der::Raw(with_more));
            }),
        ),
        (
            "pro-01/depth",
            "forty lists in each other",
            mutant(Function, |it| {
                let deep = (0..40).fold(null(), |inner, _| seq([inner]));
                it.set(POLICIES, policies_with(deep));
            }),
        ),
        (
            "pro-01/structure",
            "subject key identifier that is an INTEGER",
            mutant(Function, |it| it.set(SUBJECT_KEY, int(&[5]))),
        ),
        (
            "pro-01/structure",
            "validity of three times",
            mutant(Function, |it| {
                it.not_after = Der::Raw([utc("300101000000Z").encode(), null().encode()].concat());
            }),
        ),
        (
            "pro-01/minimal-integer",
            "leading zero of a positive serial",
            mutant(Function, |it| it.serial = int(&[&[0x00][..], &[0x41; 16]].concat())),
        ),
        (
            "pro-01/boolean",
            "critical 01",
            mutant(Function, |it| it.extension(KEY_USAGE).critical = Some(boolean(0x01))),
        ),
        (
            "pro-01/bit-string-padding",
            "unused bits that are not zero",
            mutant(Function, |it| it.add(extension(other, bits(4, &[0x0f])))),
        ),
        (
            "pro-01/named-bits",
            "digitalSignature with seven bits that are zero",
            mutant(PersonAuthentication, |it| it.set(KEY_USAGE, bits(0, &[0x80]))),
        ),
        (
            "pro-01/null-empty",
            "nocheck with contents",
            mutant(OcspResponder, |it| it.set(NO_CHECK, Der::Leaf(0x05, vec![0]))),
        ),
        (
            "pro-01/oid-form",
            "policy with a padded arc",
            mutant(Function, |it| {
                let padded = Der::Leaf(0x06, vec![0x88, 0x37, 0x80, 0x01]);
                it.set(POLICIES, seq([seq([padded])]));
            }),
        ),
        (
            "pro-01/set-order",
            "titles in falling order",
            mutant(Function, |it| {
                let titles = set([utf8("B"), utf8("A")]);
                it.add(extension("2.5.29.9", seq([seq([oid("2.5.4.12"), titles])])));
            }),
        ),
        (
            "pro-01/default-omitted",
            "cA FALSE",
            mutant(Function, |it| it.add(critical(BASIC_CONSTRAINTS, seq([boolean(0x00)])))),
        ),
        (
            "pro-01/default-omitted",
            "critical FALSE",
            mutant(Function, |it| it.extension(SUBJECT_KEY).critical = Some(boolean(0x00))),
        ),
        (
            "pro-01/default-omitted",
            "version v1",
            mutant(Function, |it| it.version = Some(int(&[0]))),
        ),
        (
            "pro-02/utf8-string",
            "half a character",
            mutant(Function, |it| *it.attribute("2.5.4.10") = Der::Leaf(0x0c, vec![0x41, 0xc3])),
        ),
        (
            "pro-02/utf8-string",
            "NUL",
            mutant(Function, |it| *it.attribute("2.5.4.10") = utf8("A\0B")),
        ),
        (
            "pro-02/printable-string",
            "underscore, as in certificates of 2013",
            mutant(PersonAuthentication, |it| {
                *it.attribute("2.5.4.5") = printable("T_SERVICES_SE165565594230-1054");
            }),
        ),
        (
            "pro-02/ia5-string",
            "å in a URI",
            mutant(Function, |it| it.set(POINTS, seq([point("http://crl.example.org/å.crl")]))),
        ),
        (
            "pro-02/directory-string",
            "organisation in TeletexString",
            mutant(Function, |it| {
                *it.attribute("2.5.4.10") = Der::Leaf(0x14, b"Region".to_vec());
            }),
        ),
        (
            "pro-02/printable-attribute",
            "serialNumber in UTF8String",
            mutant(PersonAuthentication, |it| {
                *it.attribute("2.5.4.5") = utf8("TST2321000016-1002");
            }),
        ),
        (
            "pro-02/ia5-attribute",
            "domain component in UTF8String",
            mutant(Function, |it| {
                let component = attribute("0.9.2342.19200300.100.1.25", utf8("example"));
                it.subject.parts().push(component);
            }),
        ),
        (
            "pro-02/country",
            "small letters",
            mutant(Function, |it| *it.attribute("2.5.4.6") = printable("se")),
        ),
        (
            "pro-02/attribute-length",
            "organisation of 65 characters",
            mutant(Function, |it| *it.attribute("2.5.4.10") = utf8(&"å".repeat(65))),
        ),
        (
            "pro-02/attribute-length",
            "organisation without characters",
            mutant(Function, |it| *it.attribute("2.5.4.10") = utf8("")),
        ),
        (
            "pro-06/utc-time",
            "no seconds",
            mutant(Function, |it| it.not_before = utc("2601010000Z")),
        ),
        (
            "pro-06/utc-time",
            "an offset from UTC",
            mutant(Function, |it| it.not_before = utc("260101000000+0100")),
        ),
        (
            "pro-06/generalized-time",
            "fractions of a second",
            mutant(RootCa, |it| it.not_after = generalized("20500101000000.5Z")),
        ),
        (
            "pro-06/calendar",
            "30 February",
            mutant(Function, |it| it.not_before = utc("260230000000Z")),
        ),
        (
            "pro-06/calendar",
            "second 60",
            mutant(Function, |it| it.not_before = utc("251231235960Z")),
        ),
        (
            "pro-06/time-choice",
            "GeneralizedTime for the last second of 2049",
            mutant(RootCa, |it| it.not_after = generalized("20491231235959Z")),
        ),
    ]
}

/// PRO-06: the first second of 2050 is GeneralizedTime.
#[test]
fn the_first_second_of_2050_is_generalized_time() {
    let findings = mutant(Kind::RootCa, |it| it.not_after = generalized("20500101000000Z"));

    assert!(findings.is_empty(), "{findings}");
}
