//! Mutants of CRLs.

use lint::{Findings, Kind};
use x509::key::{KeyType, SignatureAlgorithm};

use crate::Verdict;
use crate::der::{
    Der, bits, boolean, context, enumerated, generalized, implicit, int, octets, printable, seq,
    utc,
};
use crate::sample::{
    AUTHORITY_KEY, Extension, KEY_USAGE, Sample, attribute, critical, ecdsa_with_sha256, extension,
    point, root, sha256_with_rsa, uri,
};

const NUMBER: &str = "2.5.29.20";
const REASON: &str = "2.5.29.21";
const INVALIDITY_DATE: &str = "2.5.29.24";
const DELTA: &str = "2.5.29.27";
const POINT: &str = "2.5.29.28";
const CERTIFICATE_ISSUER: &str = "2.5.29.29";
const FRESHEST: &str = "2.5.29.46";

/// A CRL in parts.
#[derive(Clone)]
struct Crl {
    version: Option<Der>,
    inner: Der,
    issuer: Der,
    this_update: Der,
    next_update: Option<Der>,
    entries: Option<Der>,
    extensions: Vec<Extension>,
    outer: Der,
}

impl Crl {
    fn to_be_signed(&self) -> Der {
        let extensions = self.extensions.iter().map(Extension::encode);
        let fields = [
            self.version.clone(),
            Some(self.inner.clone()),
            Some(self.issuer.clone()),
            Some(self.this_update.clone()),
            self.next_update.clone(),
            self.entries.clone(),
            Some(context(0, [seq(extensions)])),
        ];
        seq(fields.into_iter().flatten())
    }

    fn encode(&self) -> Vec<u8> {
        let signature = bits(0, &seq([int(&[0x55; 32]), int(&[0x55; 32])]).encode());
        seq([self.to_be_signed(), self.outer.clone(), signature]).encode()
    }

    fn extension(&mut self, id: &str) -> &mut Extension {
        self.extensions.iter_mut().find(|extension| extension.id == id).unwrap()
    }

    fn remove(&mut self, id: &str) {
        self.extensions.retain(|extension| extension.id != id);
    }

    fn entry(&mut self, number: usize) -> &mut Vec<Der> {
        self.entries.as_mut().unwrap().parts()[number].parts()
    }
}

fn entry(serial: &[u8], extensions: impl IntoIterator<Item = Extension>) -> Der {
    let extensions: Vec<Der> = extensions.into_iter().map(|it| it.encode()).collect();
    let list = (!extensions.is_empty()).then(|| seq(extensions));
    seq([int(serial), utc("260301120000Z")].into_iter().chain(list))
}

fn reason(code: u8) -> Extension {
    extension(REASON, enumerated(code))
}

/// A sound full CRL: two entries of our own serials and one of an older operator's.
fn full() -> Crl {
    let entries = [
        entry(&[0x01, 0x6a, 0xba], []),
        entry(&[0x41; 16], [reason(1), extension(INVALIDITY_DATE, generalized("20260228110000Z"))]),
        entry(&[0x42; 16], [reason(6)]),
    ];
    Crl {
        version: Some(int(&[1])),
        inner: ecdsa_with_sha256(),
        issuer: root().subject,
        this_update: utc("260401000000Z"),
        next_update: Some(utc("260402000000Z")),
        entries: Some(seq(entries)),
        extensions: vec![
            extension(AUTHORITY_KEY, seq([implicit(0, &root().key_hash())])),
            extension(NUMBER, int(&[7])),
        ],
        outer: ecdsa_with_sha256(),
    }
}

fn delta() -> Crl {
    let mut crl = full();
    crl.extensions.push(critical(DELTA, int(&[6])));
    crl.entry(2)[2] = seq([reason(8).encode()]);
    crl
}

/// A full CRL of one shard.
fn shard() -> Crl {
    let mut crl = full();
    let name = context(0, [context(0, [uri("http://crl.example.org/ca/1.crl")])]);
    crl.extensions.push(critical(POINT, seq([name, implicit(1, &[0xff])])));
    crl
}

fn judge(octets: &[u8], issuer: &Sample) -> Findings {
    lint::crl(octets, &issuer.encode()).unwrap()
}

fn mutant(mut crl: Crl, change: impl FnOnce(&mut Crl)) -> Findings {
    change(&mut crl);
    judge(&crl.encode(), &root())
}

#[test]
fn sound_crls_pass() {
    let mut empty = full();
    empty.entries = None;
    for crl in [full(), delta(), shard(), empty] {
        let findings = mutant(crl, |_| ());

        assert!(findings.is_empty(), "{findings}");
    }
}

/// The to-be-signed bytes are judged as the CRL that they will become.
#[test]
fn a_crl_before_its_signature_is_judged_like_one_after() {
    let to_be_signed = full().to_be_signed().encode();
    let judge = |octets: &[u8], algorithm, key_type| {
        let length = octets.len() as u64;
        lint::to_be_signed_crl(octets, length, algorithm, key_type, &root().encode()).unwrap()
    };
    let rules = |findings: Findings| {
        findings.iter().map(|finding| finding.rule.as_str()).collect::<Vec<_>>()
    };

    let sound = judge(&to_be_signed, SignatureAlgorithm::EcdsaP256Sha256, KeyType::EcP256);
    let other =
        judge(&to_be_signed, SignatureAlgorithm::RsaPkcs1Sha256, KeyType::Rsa { bits: 2048 });
    let short = judge(
        &to_be_signed[..to_be_signed.len() - 1],
        SignatureAlgorithm::EcdsaP256Sha256,
        KeyType::EcP256,
    );

    assert!(sound.is_empty(), "{sound}");
    assert_eq!(rules(other), ["api-09/algorithms-agree"]);
    assert!(!short.is_empty());
}

/// CRL-14: entries are judged as they pass, 50 000 of them here, in the order of their serials.
#[test]
fn a_long_crl_is_read_as_a_stream() {
    let mut crl = full();
    let serials = (0..50_000_u32).map(|number| [&[0x41; 12][..], &number.to_be_bytes()].concat());
    let entries: Vec<u8> = serials.flat_map(|it| entry(&it, [reason(4)]).encode()).collect();
    let length = &u32::try_from(entries.len()).unwrap().to_be_bytes()[1..];
    crl.entries = Some(Der::Raw([&[0x30, 0x83], length, &entries].concat()));
    let to_be_signed = crl.to_be_signed().encode();
    // The lengths of `Der` end at two octets; these need three.
    let body = &to_be_signed[4..];
    let length = &u32::try_from(body.len()).unwrap().to_be_bytes()[1..];
    let to_be_signed = [&[0x30, 0x83], length, body].concat();

    let findings = lint::to_be_signed_crl(
        to_be_signed.as_slice(),
        to_be_signed.len() as u64,
        SignatureAlgorithm::EcdsaP256Sha256,
        KeyType::EcP256,
        &root().encode(),
    )
    .unwrap();

    assert!(findings.is_empty(), "{findings}");
}

/// Defects in the stream itself: the findings are those of a slice.
#[test]
fn every_truncation_is_a_finding_and_never_a_panic() {
    let octets = full().encode();
    for length in 0..octets.len() {
        let findings = judge(&octets[..length], &root());

        assert!(!findings.is_empty(), "{length} of {} octets", octets.len());
    }
}

pub(crate) fn all() -> Vec<Verdict> {
    [fields(), extensions(), entries()].concat()
}

fn fields() -> Vec<Verdict> {
    vec![
        ("crl-01/version-2", "version 1", mutant(full(), |it| it.version = None)),
        ("crl-01/next-update", "none", mutant(full(), |it| it.next_update = None)),
        (
            "crl-01/update-order",
            "next at this",
            mutant(full(), |it| it.next_update = Some(it.this_update.clone())),
        ),
        (
            "pro-06/time-choice",
            "GeneralizedTime in 2026",
            mutant(full(), |it| it.next_update = Some(generalized("20260402000000Z"))),
        ),
        (
            "api-09/algorithms-agree",
            "another algorithm outside",
            mutant(full(), |it| it.outer = sha256_with_rsa()),
        ),
        (
            "ocsp-12/algorithm-fits-key",
            "RSA under an EC key",
            mutant(full(), |it| (it.inner, it.outer) = (sha256_with_rsa(), sha256_with_rsa())),
        ),
        (
            "pro-15/issuer-bytes",
            "the same name in other strings",
            mutant(full(), |it| {
                it.issuer.parts()[1] = attribute("2.5.4.10", printable("Sigill Test"));
            }),
        ),
        ("pro-14/issuer-may-sign", "an issuer without cRLSign", {
            let mut issuer = root();
            issuer.extensions.retain(|it| it.id != KEY_USAGE);
            issuer.add(critical(KEY_USAGE, bits(2, &[0x04])));
            judge(&full().encode(), &issuer)
        }),
        ("pro-01/no-trailing-octets", "one octet more", {
            let octets = [&full().encode()[..], &[0]].concat();
            judge(&octets, &root())
        }),
        ("pro-01/complete", "a value longer than the list", {
            let mut crl = full();
            crl.entries = Some(Der::Raw(vec![0x30, 0x84, 0x7f, 0xff, 0xff, 0xff]));
            judge(&crl.encode(), &root())
        }),
        ("pro-01/definite-length", "entries of indefinite length", {
            let mut crl = full();
            crl.entries = Some(Der::Raw(vec![0x30, 0x80, 0x00, 0x00]));
            judge(&crl.encode(), &root())
        }),
        (
            "crl-01/empty-list-absent",
            "an empty list",
            mutant(full(), |it| it.entries = Some(seq([]))),
        ),
    ]
}

fn extensions() -> Vec<Verdict> {
    vec![
        ("crl-01/authority-key-identifier", "none", mutant(full(), |it| it.remove(AUTHORITY_KEY))),
        (
            "pro-14/authority-key-identifier-bytes",
            "of another CA",
            mutant(full(), |it| it.extension(AUTHORITY_KEY).value = seq([implicit(0, &[2; 20])])),
        ),
        ("crl-01/crl-number", "none", mutant(full(), |it| it.remove(NUMBER))),
        (
            "crl-01/crl-number",
            "negative",
            mutant(full(), |it| it.extension(NUMBER).value = int(&[0x87])),
        ),
        (
            "crl-01/crl-number",
            "below its base",
            mutant(delta(), |it| it.extension(DELTA).value = int(&[8])),
        ),
        (
            "pro-16/not-critical",
            "critical number",
            mutant(full(), |it| it.extension(NUMBER).critical = Some(boolean(0xff))),
        ),
        (
            "pro-16/known-critical",
            "the point under subjectInfoAccess, as a library writes it",
            mutant(shard(), |it| it.extension(POINT).id = "1.3.6.1.5.5.7.1.11"),
        ),
        (
            "pro-16/extension-once",
            "two numbers",
            mutant(full(), |it| it.extensions.push(extension(NUMBER, int(&[7])))),
        ),
        (
            "crl-06/point-critical",
            "not critical",
            mutant(shard(), |it| it.extension(POINT).critical = None),
        ),
        (
            "crl-06/point-not-empty",
            "empty",
            mutant(shard(), |it| it.extension(POINT).value = seq([])),
        ),
        (
            "crl-06/point-scope",
            "users and CAs at once",
            mutant(shard(), |it| {
                it.extension(POINT).value.parts().push(implicit(2, &[0xff]));
            }),
        ),
        (
            "crl-06/point-scope",
            "an indirect CRL",
            mutant(shard(), |it| {
                it.extension(POINT).value.parts().push(implicit(4, &[0xff]));
            }),
        ),
        (
            "pro-01/default-omitted",
            "onlyContainsUserCerts FALSE",
            mutant(shard(), |it| it.extension(POINT).value.parts()[1] = implicit(1, &[0x00])),
        ),
        (
            "pro-01/boolean",
            "onlyContainsUserCerts 01",
            mutant(shard(), |it| it.extension(POINT).value.parts()[1] = implicit(1, &[0x01])),
        ),
        (
            "crl-08/delta-critical",
            "not critical",
            mutant(delta(), |it| it.extension(DELTA).critical = None),
        ),
        (
            "crl-08/freshest-only-in-full",
            "in a delta",
            mutant(delta(), |it| {
                let points = seq([point("http://crl.example.org/ca.delta.crl")]);
                it.extensions.push(extension(FRESHEST, points));
            }),
        ),
        (
            "pro-01/structure",
            "number that is an OCTET STRING",
            mutant(full(), |it| it.extension(NUMBER).value = octets(&[7])),
        ),
    ]
}

fn entries() -> Vec<Verdict> {
    let with_extension =
        |extension: Extension| mutant(full(), |it| it.entry(2)[2] = seq([extension.encode()]));
    vec![
        (
            "crl-11/serial-order",
            "falling",
            mutant(full(), |it| it.entries.as_mut().unwrap().parts().swap(1, 2)),
        ),
        ("crl-11/serial-order", "twice", mutant(full(), |it| it.entry(2)[0] = int(&[0x41; 16]))),
        ("rev-04/reason", "unspecified", with_extension(reason(0))),
        ("rev-04/reason", "the unused 7", with_extension(reason(7))),
        ("rev-04/reason", "removeFromCRL in a full CRL", with_extension(reason(8))),
        ("rev-04/reason", "aACompromise", with_extension(reason(10))),
        ("pro-16/not-critical", "critical reason", with_extension(critical(REASON, enumerated(1)))),
        (
            "pro-16/known-critical",
            "an entry of another issuer",
            with_extension(critical(CERTIFICATE_ISSUER, seq([context(4, [root().subject])]))),
        ),
        (
            "pro-16/extension-once",
            "two reasons",
            mutant(full(), |it| {
                it.entry(2)[2] = seq([reason(1).encode(), reason(1).encode()]);
            }),
        ),
        (
            "pro-06/time-choice",
            "revoked at a GeneralizedTime in 2026",
            mutant(full(), |it| it.entry(0)[1] = generalized("20260301120000Z")),
        ),
        (
            "pro-06/generalized-time",
            "invalid from a fraction of a second",
            with_extension(extension(INVALIDITY_DATE, generalized("20260228110000.5Z"))),
        ),
        (
            "pro-01/minimal-integer",
            "serial with a leading zero",
            mutant(full(), |it| it.entry(0)[0] = int(&[0x00, 0x41, 0x42])),
        ),
        (
            "pro-01/structure",
            "an empty list of entry extensions",
            mutant(full(), |it| it.entry(2)[2] = seq([])),
        ),
        ("crl-01/version-2", "entry extensions in version 1", {
            let mut crl = full();
            crl.version = Some(int(&[0]));
            judge(&crl.encode(), &root())
        }),
    ]
}

/// The issuer of all these CRLs is a root; its kind plays no part.
#[test]
fn the_issuer_of_these_crls_is_sound() {
    let findings = crate::sample::judge(&root().encode(), None, Kind::RootCa);

    assert!(findings.is_empty(), "{findings}");
}
