//! Mutants of OCSP responses.

use lint::{Findings, Kind};
use x509::key::PublicKey;
use x509::name::Name;

use crate::Verdict;
use crate::der::{
    Der, bits, boolean, context, enumerated, generalized, implicit, int, null, octets, oid, seq,
    utc,
};
use crate::sample::{
    EXTENDED_KEY_USAGE, Extension, NO_CHECK, Sample, critical, ecdsa_with_sha256, extension,
    sample, sha256_with_rsa,
};

const BASIC: &str = "1.3.6.1.5.5.7.48.1.1";
const NONCE: &str = "1.3.6.1.5.5.7.48.1.2";
const EXTENDED_REVOKE: &str = "1.3.6.1.5.5.7.48.1.9";
const SHA_1: &str = "1.3.14.3.2.26";
const SHA_256: &str = "2.16.840.1.101.3.4.2.1";

/// An OCSP response in parts.
#[derive(Clone)]
struct Response {
    status: Der,
    version: Option<Der>,
    responder: Der,
    produced_at: Der,
    answers: Vec<Answer>,
    extensions: Vec<Extension>,
    algorithm: Der,
    certificates: Vec<Sample>,
}

/// A SingleResponse in parts.
#[derive(Clone)]
struct Answer {
    algorithm: Der,
    name_hash: Vec<u8>,
    key_hash: Vec<u8>,
    status: Der,
    this_update: Der,
    next_update: Option<Der>,
    extensions: Vec<Extension>,
}

fn explicit(number: u8, extensions: &[Extension]) -> Option<Der> {
    let list = extensions.iter().map(Extension::encode);
    (!extensions.is_empty()).then(|| context(number, [seq(list)]))
}

impl Answer {
    fn encode(&self) -> Der {
        let id = seq([
            self.algorithm.clone(),
            octets(&self.name_hash),
            octets(&self.key_hash),
            int(&[0x41; 16]),
        ]);
        let fields = [
            Some(id),
            Some(self.status.clone()),
            Some(self.this_update.clone()),
            self.next_update.clone().map(|time| context(0, [time])),
            explicit(1, &self.extensions),
        ];
        seq(fields.into_iter().flatten())
    }
}

impl Response {
    fn encode(&self) -> Vec<u8> {
        let data = [
            self.version.clone().map(|version| context(0, [version])),
            Some(self.responder.clone()),
            Some(self.produced_at.clone()),
            Some(seq(self.answers.iter().map(Answer::encode))),
            explicit(1, &self.extensions),
        ];
        let signature = bits(0, &seq([int(&[0x55; 32]), int(&[0x55; 32])]).encode());
        let certificates = self.certificates.iter().map(|it| Der::Raw(it.encode()));
        let certificates = (!self.certificates.is_empty()).then(|| context(0, [seq(certificates)]));
        let basic = [
            Some(seq(data.into_iter().flatten())),
            Some(self.algorithm.clone()),
            Some(signature),
            certificates,
        ];
        let basic = Der::Octets(Box::new(seq(basic.into_iter().flatten())));
        seq([self.status.clone(), context(0, [seq([oid(BASIC), basic])])]).encode()
    }
}

fn delegate_and_issuer() -> (Sample, Sample) {
    let (delegate, issuer) = sample(Kind::OcspResponder);
    (delegate, issuer.unwrap())
}

fn issuer_name() -> Name {
    Name::from_der(&delegate_and_issuer().1.subject.encode()).unwrap()
}

/// A sound answer: good, asked by SHA-1 and with a nonce.
fn good() -> Response {
    let (delegate, issuer) = delegate_and_issuer();
    let answer = Answer {
        algorithm: seq([oid(SHA_1), null()]),
        name_hash: issuer_name().sha1().to_vec(),
        key_hash: issuer.key_hash().to_vec(),
        status: implicit(0, &[]),
        this_update: generalized("20260110120000Z"),
        next_update: Some(generalized("20260110130000Z")),
        extensions: Vec::new(),
    };
    Response {
        status: enumerated(0),
        version: None,
        responder: context(2, [octets(&delegate.key_hash())]),
        produced_at: generalized("20260110120001Z"),
        answers: vec![answer],
        extensions: vec![extension(NONCE, octets(&[9; 32]))],
        algorithm: ecdsa_with_sha256(),
        certificates: vec![delegate],
    }
}

fn revoked(reason: u8) -> Response {
    let mut response = good();
    let reason = context(0, [enumerated(reason)]);
    response.answers[0].status = context(1, [generalized("20260109000000Z"), reason]);
    response
}

fn unknown() -> Response {
    let mut response = good();
    response.answers[0].status = implicit(2, &[]);
    response.answers[0].next_update = Some(generalized("20260110120101Z"));
    response
}

/// Never issued, and revoked by the extended definition.
fn never_issued() -> Response {
    let mut response = unknown();
    let hold = context(0, [enumerated(6)]);
    response.answers[0].status = context(1, [generalized("19700101000000Z"), hold]);
    response.extensions.push(extension(EXTENDED_REVOKE, null()));
    response
}

/// The same by SHA-256, without a nonce.
fn by_sha256() -> Response {
    let (_, issuer) = delegate_and_issuer();
    let key = PublicKey::from_spki_der(&issuer.key.encode()).unwrap();
    let mut response = good();
    response.extensions.clear();
    response.answers[0].algorithm = seq([oid(SHA_256)]);
    response.answers[0].name_hash = issuer_name().sha256().to_vec();
    response.answers[0].key_hash = key.key_bits_sha256().to_vec();
    response
}

fn judge(octets: &[u8]) -> Findings {
    lint::ocsp_response(octets, &delegate_and_issuer().1.encode())
}

fn mutant(mut response: Response, change: impl FnOnce(&mut Response)) -> Findings {
    change(&mut response);
    judge(&response.encode())
}

/// A good answer whose one SingleResponse is changed.
fn answer(change: impl FnOnce(&mut Answer)) -> Findings {
    mutant(good(), |it| change(&mut it.answers[0]))
}

/// A good answer whose delegate's certificate is changed.
fn delegate(change: impl FnOnce(&mut Sample)) -> Findings {
    mutant(good(), |it| change(&mut it.certificates[0]))
}

#[test]
fn sound_responses_pass() {
    let empty = seq([enumerated(6)]).encode();
    let good_and_unknown = {
        let mut both = good();
        both.answers.extend(unknown().answers);
        both.encode()
    };
    for response in [good(), revoked(1), unknown(), never_issued(), by_sha256()] {
        let findings = mutant(response, |_| ());

        assert!(findings.is_empty(), "{findings}");
    }
    for octets in [empty, good_and_unknown] {
        let findings = judge(&octets);

        assert!(findings.is_empty(), "{findings}");
    }
}

#[test]
fn every_truncation_is_a_finding_and_never_a_panic() {
    let octets = good().encode();
    for length in 0..octets.len() {
        assert!(!judge(&octets[..length]).is_empty(), "{length} of {} octets", octets.len());
    }
}

pub(crate) fn all() -> Vec<Verdict> {
    [shape(), signer(), answers()].concat()
}

fn shape() -> Vec<Verdict> {
    vec![
        (
            "ocsp-02/response-bytes",
            "an answer beside tryLater",
            mutant(good(), |it| it.status = enumerated(3)),
        ),
        ("ocsp-02/response-bytes", "successful without an answer", {
            judge(&seq([enumerated(0)]).encode())
        }),
        ("ocsp-02/response-bytes", "the unused status 4", judge(&seq([enumerated(4)]).encode())),
        ("ocsp-14/some-answer", "none", mutant(good(), |it| it.answers.clear())),
        ("pro-01/default-omitted", "version v1", mutant(good(), |it| it.version = Some(int(&[0])))),
        (
            "ocsp-08/nonce",
            "129 octets",
            mutant(good(), |it| it.extensions[0].value = octets(&[9; 129])),
        ),
        ("ocsp-08/nonce", "no octet", mutant(good(), |it| it.extensions[0].value = octets(&[]))),
        (
            "pro-16/known-critical",
            "critical nonce",
            mutant(good(), |it| it.extensions[0].critical = Some(boolean(0xff))),
        ),
        (
            "pro-16/known-critical",
            "a critical extension of one answer",
            answer(|it| it.extensions.push(critical("2.999.1", null()))),
        ),
        (
            "pro-16/extension-once",
            "two nonces",
            mutant(good(), |it| it.extensions.push(extension(NONCE, octets(&[9; 32])))),
        ),
        (
            "pro-01/structure",
            "producedAt as UTCTime",
            mutant(good(), |it| it.produced_at = utc("260110120001Z")),
        ),
        (
            "pro-06/generalized-time",
            "fractions of a second",
            mutant(good(), |it| it.produced_at = generalized("20260110120001.5Z")),
        ),
    ]
}

fn signer() -> Vec<Verdict> {
    vec![
        (
            "ocsp-06/by-key",
            "by name",
            mutant(good(), |it| it.responder = context(1, [it.certificates[0].subject.clone()])),
        ),
        (
            "ocsp-06/responder-key",
            "another key",
            mutant(good(), |it| it.responder = context(2, [octets(&[3; 20])])),
        ),
        ("ocsp-06/certificate-included", "none", mutant(good(), |it| it.certificates.clear())),
        (
            "ocsp-06/certificate-included",
            "the issuer's too",
            mutant(good(), |it| it.certificates.push(delegate_and_issuer().1)),
        ),
        (
            "ocsp-12/algorithm-fits-key",
            "RSA under an EC key",
            mutant(good(), |it| it.algorithm = sha256_with_rsa()),
        ),
        (
            "ocsp-07/within-responder-validity",
            "past the delegate's end",
            answer(|it| it.next_update = Some(generalized("20260115000001Z"))),
        ),
        (
            "ocsp-07/within-responder-validity",
            "for ever, by a delegate that does not end with its CA",
            answer(|it| it.next_update = Some(generalized("99991231235959Z"))),
        ),
        ("pro-12/no-check", "a delegate without nocheck", delegate(|it| it.remove(NO_CHECK))),
        (
            "pro-12/ocsp-signing",
            "a delegate without its purpose",
            delegate(|it| it.remove(EXTENDED_KEY_USAGE)),
        ),
        (
            "pro-01/minimal-integer",
            "a delegate's serial with a leading zero",
            delegate(|it| it.serial = int(&[&[0x00][..], &[0x41; 16]].concat())),
        ),
    ]
}

fn answers() -> Vec<Verdict> {
    vec![
        ("ocsp-07/next-update", "none", answer(|it| it.next_update = None)),
        (
            "ocsp-07/time-order",
            "known later than it was said",
            answer(|it| it.this_update = generalized("20260110120002Z")),
        ),
        (
            "ocsp-07/time-order",
            "stale when it was said",
            answer(|it| it.next_update = Some(generalized("20260110120001Z"))),
        ),
        (
            "promise-5/unknown-is-short",
            "unknown for 61 seconds",
            mutant(unknown(), |it| {
                it.answers[0].next_update = Some(generalized("20260110120102Z"));
            }),
        ),
        (
            "promise-5/unknown-is-short",
            "never issued for 61 seconds",
            mutant(never_issued(), |it| {
                it.answers[0].next_update = Some(generalized("20260110120102Z"));
            }),
        ),
        (
            "ocsp-03/extended-revoke",
            "never issued, and the response does not say so",
            mutant(never_issued(), |it| it.extensions.truncate(1)),
        ),
        (
            "ocsp-03/extended-revoke",
            "never issued for keyCompromise",
            mutant(never_issued(), |it| {
                let reason = context(0, [enumerated(1)]);
                it.answers[0].status = context(1, [generalized("19700101000000Z"), reason]);
            }),
        ),
        (
            "pro-01/null-empty",
            "an extended-revoke with contents",
            mutant(never_issued(), |it| {
                it.extensions[1] = extension(EXTENDED_REVOKE, Der::Raw(vec![5, 1, 0]));
            }),
        ),
        ("rev-04/reason", "unspecified", mutant(revoked(0), |_| ())),
        ("rev-04/reason", "removeFromCRL", mutant(revoked(8), |_| ())),
        ("ocsp-05/cert-id", "a hash of 19 octets", answer(|it| it.name_hash.truncate(19))),
        ("ocsp-05/cert-id", "another issuer's key", answer(|it| it.key_hash = vec![1; 20])),
        ("ocsp-05/cert-id", "another issuer's name", answer(|it| it.name_hash = vec![1; 20])),
        ("pro-01/null-empty", "good with contents", answer(|it| it.status = implicit(0, &[0]))),
        (
            "pro-01/structure",
            "a status that does not exist",
            answer(|it| it.status = implicit(3, &[])),
        ),
        (
            "pro-06/calendar",
            "31 April",
            answer(|it| it.this_update = generalized("20250431120000Z")),
        ),
    ]
}
