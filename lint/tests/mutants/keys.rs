//! Mutants of certificates: keys, what is made of them, serial numbers, and what policies say.

use lint::{Kind, KnownIssuer};

use crate::Verdict;
use crate::certificates::mutant;
use crate::der::{Der, bits, generalized, ia5, implicit, int, null, octets, oid, seq, utf8};
use crate::sample::{
    AUTHORITY_KEY, CLIENT_AUTH, EXTENDED_KEY_USAGE, POLICIES, SERVER_AUTH, SUBJECT_KEY, Sample,
    ec_key, rsa_key_of, sample,
};

pub(crate) fn all() -> Vec<Verdict> {
    [keys(), identifiers(), policies(), fields()].concat()
}

/// A function whose key is this one. Its identifier goes, so that nothing is said about that.
fn function(key: Der) -> lint::Findings {
    mutant(Kind::Function, |it| rekey(it, key))
}

fn rekey(sample: &mut Sample, key: Der) {
    use sha1::Digest as _;
    let Der::List(_, parts) = &key else { panic!() };
    let Der::Leaf(_, bits) = &parts[1] else { panic!() };
    let identifier = sha1::Sha1::digest(&bits[1..]);
    sample.set(SUBJECT_KEY, octets(&identifier));
    sample.key = key;
}

fn modulus(octets: usize) -> Vec<u8> {
    [&[0x00][..], &vec![0xc5; octets]].concat()
}

fn ec(curve: &str, point: &[u8]) -> lint::Findings {
    let algorithm = seq([oid("1.2.840.10045.2.1"), oid(curve)]);
    mutant(Kind::PersonSignature, |it| rekey(it, seq([algorithm, bits(0, point)])))
}

fn keys() -> Vec<Verdict> {
    let p256 = "1.2.840.10045.3.1.7";
    let even = [&modulus(255)[..], &[0xc4]].concat();
    let public = seq([int(&modulus(256)), int(&[1, 0, 1])]).encode();
    let no_parameters = seq([seq([oid("1.2.840.113549.1.1.1")]), bits(0, &public)]);
    let mut huge = vec![0x01; 33];
    huge[0] = 0x7f;
    vec![
        ("iss-11/key-algorithm", "secp256k1", ec("1.3.132.0.10", &[4; 65])),
        ("iss-11/key-algorithm", "RSA without NULL", function(no_parameters)),
        (
            "iss-11/key-algorithm",
            "DSA",
            mutant(Kind::PersonSignature, |it| {
                let algorithm = seq([oid("1.2.840.10040.4.1")]);
                rekey(it, seq([algorithm, bits(0, &int(&[5; 64]).encode())]));
            }),
        ),
        ("iss-11/ec-point", "compressed", ec(p256, &[2; 33])),
        ("iss-11/ec-point", "a point of another curve", ec("1.3.132.0.34", &[4; 65])),
        ("iss-11/rsa-modulus", "1024 bits", function(rsa_key_of(&modulus(128), &[1, 0, 1]))),
        (
            "iss-11/rsa-modulus",
            "2047 bits",
            function(rsa_key_of(&[&[0x65][..], &[0xc5; 255]].concat(), &[1, 0, 1])),
        ),
        ("iss-11/rsa-modulus", "even", function(rsa_key_of(&even, &[1, 0, 1]))),
        ("iss-11/rsa-exponent", "3", function(rsa_key_of(&modulus(256), &[3]))),
        ("iss-11/rsa-exponent", "65536", function(rsa_key_of(&modulus(256), &[1, 0, 0]))),
        ("iss-11/rsa-exponent", "33 octets", function(rsa_key_of(&modulus(256), &huge))),
        (
            "iss-12/issuer-key",
            "the CA's",
            mutant(Kind::PersonSignature, |it| it.set_key(ec_key(2))),
        ),
    ]
}

fn identifiers() -> Vec<Verdict> {
    use Kind::Function;
    vec![
        (
            "pro-14/key-identifier-method",
            "made by another method",
            mutant(Function, |it| it.set(SUBJECT_KEY, octets(&[5; 20]))),
        ),
        (
            "pro-14/key-identifier-alone",
            "issuer and serial too",
            mutant(Function, |it| {
                let Der::List(_, mut parts) = it.extension(AUTHORITY_KEY).value.clone() else {
                    panic!()
                };
                let directory = Der::List(0xa4, vec![it.issuer.clone()]);
                parts.push(Der::List(0xa1, vec![directory]));
                parts.push(implicit(2, &[0x41; 16]));
                it.set(AUTHORITY_KEY, seq(parts));
            }),
        ),
        (
            "pro-09/purpose-once",
            "clientAuth",
            mutant(Function, |it| {
                let purposes = [CLIENT_AUTH, SERVER_AUTH, CLIENT_AUTH].map(oid);
                it.set(EXTENDED_KEY_USAGE, seq(purposes));
            }),
        ),
    ]
}

/// Policies with one qualifier.
fn qualified(kind: &str, value: Der) -> lint::Findings {
    let qualifier = seq([oid(kind), value]);
    mutant(Kind::Function, |it| {
        it.set(POLICIES, seq([seq([oid("2.999.1"), seq([qualifier])])]));
    })
}

fn with_policies(kind: Kind, policies: &[&str]) -> lint::Findings {
    let list = seq(policies.iter().map(|policy| seq([oid(policy)])));
    mutant(kind, |it| it.set(POLICIES, list))
}

/// RFC 5280 §4.2.1.4: a notice in words passes; a function may have one policy of the forum.
#[test]
fn sound_policies_pass() {
    let notice = qualified("1.3.6.1.5.5.7.2.2", seq([utf8(&"å".repeat(200))]));
    let web = with_policies(Kind::Function, &["2.23.140.1.2.2", "2.999.1"]);

    assert!(notice.is_empty(), "{notice}");
    assert!(web.is_empty(), "{web}");
}

fn policies() -> Vec<Verdict> {
    use Kind::{Function, IssuingCa, PersonSignature};
    let (cps, notice) = ("1.3.6.1.5.5.7.2.1", "1.3.6.1.5.5.7.2.2");
    let reference = seq([seq([utf8("Sigill"), seq([int(&[1])])]), utf8("text")]);
    vec![
        ("pro-10/practice-statement", "UTF8String", qualified(cps, utf8("https://example.org/"))),
        ("pro-10/practice-statement", "ftp", qualified(cps, ia5("ftp://example.org/cps"))),
        ("pro-10/practice-statement", "no host", qualified(cps, ia5("https:///cps"))),
        ("pro-10/policy-qualifier", "one of our own", qualified("2.999.2", null())),
        ("pro-10/policy-qualifier", "noticeRef", qualified(notice, reference)),
        ("pro-17/explicit-text", "IA5String", qualified(notice, seq([ia5("text")]))),
        (
            "pro-17/explicit-text",
            "VisibleString",
            qualified(notice, seq([Der::Leaf(0x1a, b"text".to_vec())])),
        ),
        (
            "pro-17/explicit-text",
            "201 characters",
            qualified(notice, seq([utf8(&"å".repeat(201))])),
        ),
        (
            "pro-10/web-policy",
            "a person's",
            with_policies(PersonSignature, &["2.23.140.1.2.2", "2.999.1"]),
        ),
        (
            "pro-10/web-policy",
            "two",
            with_policies(Function, &["2.23.140.1.2.1", "2.23.140.1.2.2"]),
        ),
        ("pro-10/web-policy", "a CA's", with_policies(IssuingCa, &["2.23.140.1.2.2"])),
        (
            "pro-23/no-qualified-policy",
            "QCP-n",
            with_policies(PersonSignature, &["0.4.0.194112.1.0"]),
        ),
        (
            "pro-23/no-qualified-policy",
            "QCP public of TS 101 456",
            with_policies(PersonSignature, &["0.4.0.1456.1.2"]),
        ),
    ]
}

fn fields() -> Vec<Verdict> {
    use Kind::{Function, RootCa};
    let serial = |octets: &[u8]| mutant(Function, |it| it.serial = int(octets));
    vec![
        ("iss-02/serial-form", "15 octets, as by a clock", serial(&[0x41; 15])),
        ("iss-02/serial-form", "63 random bits", serial(&[0x41; 8])),
        ("iss-02/serial-form", "first bits 10", serial(&[&[0x00, 0x81][..], &[0x41; 15]].concat())),
        (
            "pro-06/well-defined-end",
            "the year 9999",
            mutant(RootCa, |it| it.not_after = generalized("99991231235959Z")),
        ),
    ]
}

/// RFC 8410 §4: the octets of an Ed25519 key have no shape, and one in 256 begins as a SEQUENCE does.
#[test]
fn an_ed25519_key_that_begins_as_a_sequence_is_read() {
    let key = *b"\x30\x6c\xb2\xbe\xad\xd3\x90\x04\x88\x2a\x65\x64\xd0\x2d\x75\xf2\
                 \x7a\x85\x24\xd2\xc9\x9b\xda\x2b\xa4\xc1\x2c\x42\x6f\x6a\x8d\x3e";
    let mut issuer = sample(Kind::Function).1.unwrap();

    issuer.set_key(seq([seq([oid("1.3.101.112")]), bits(0, &key)]));

    let read = KnownIssuer::read(&issuer.encode());
    assert!(read.is_ok(), "{read:?}");
}
