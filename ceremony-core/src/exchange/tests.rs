//! The vectors that the second reader has made, and what the two sides remember.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use serde::Deserialize;
use x509::key::{PublicKey, SignatureAlgorithm};

use super::*;

const VECTORS: &str = include_str!("../../../docs/formats/vectors/exchange.json");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vectors {
    deployment: String,
    asker: Fingerprint,
    ceremony: Fingerprint,
    plan: Fingerprint,
    now: u64,
    request: String,
    response: String,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    kind: String,
    name: String,
    file: String,
    code: String,
}

/// The vectors, with what they are judged by.
struct World {
    vectors: Vectors,
    request: Opened<Request>,
    response: Opened<Response>,
    nothing: BTreeSet<Fingerprint>,
}

impl World {
    fn new() -> Self {
        let vectors: Vectors = serde_json::from_str(VECTORS).unwrap();
        let request = Request::open(vectors.request.as_bytes()).unwrap();
        let response = Response::open(vectors.response.as_bytes()).unwrap();
        Self { vectors, request, response, nothing: BTreeSet::new() }
    }

    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.vectors.now).unwrap()
    }

    fn deployment(&self) -> Deployment {
        self.vectors.deployment.parse().unwrap()
    }

    fn asks(&self) -> Askers<'_> {
        Askers {
            deployment: self.deployment(),
            signers: std::slice::from_ref(&self.vectors.ceremony),
            request: &self.request,
            plan: self.vectors.plan,
            now: self.now(),
        }
    }

    fn answers<'a>(&'a self, answered: &'a [Opened<Request>]) -> Ceremonys<'a> {
        Ceremonys {
            deployment: self.deployment(),
            signer: self.vectors.asker,
            answered,
            answers: &self.nothing,
            now: self.now(),
        }
    }
}

fn key(octet: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[octet; 32]).unwrap()
}

fn sign(key: &Ed25519KeyPair, statement: &Statement) -> SignedStatement {
    let public = PublicKey::from_ed25519(key.public_key().as_ref().try_into().unwrap()).unwrap();
    let signature = key.sign(statement.as_str().as_bytes());
    let algorithm = SignatureAlgorithm::Ed25519;
    SignedStatement::assemble(statement, &public, algorithm, signature.as_ref()).unwrap()
}

/// CER-07: what another program has written is read, and written again it is the same octets.
#[test]
fn the_vectors_are_what_this_program_writes() {
    let World { vectors, request, response, .. } = World::new();

    let asked = request.said.file(&sign(&key(1), &request.said.statement().unwrap()));
    let given = response.said.file(&sign(&key(2), &response.said.statement().unwrap()));

    assert_eq!((asked, given), (vectors.request, vectors.response));
    let created = response.said.matter.created;
    let Response { plan, head, payload, .. } = response.said.clone();
    assert_eq!(Response::to(&request, plan, head, payload, created), response.said);
}

/// N27, N30: each thing that makes it another file is refused by its code.
#[test]
fn what_was_not_asked_for_is_refused_by_its_code() {
    let world = World::new();
    world.asks().judge(&world.response).unwrap();
    world.answers(&[]).judge(&world.request).unwrap();
    assert!(world.vectors.refused.len() > 20);
    for Refused { kind, name, file, code } in &world.vectors.refused {
        let judged = if kind == "request" {
            Request::open(file.as_bytes()).and_then(|file| world.answers(&[]).judge(&file))
        } else {
            Response::open(file.as_bytes()).and_then(|file| world.asks().judge(&file))
        };
        let fault = judged.expect_err(name);
        assert_eq!(fault.code(), code, "{name}: {fault}");
        assert!(!fault.next_step().is_empty());
    }
}

/// CER-07: no octet can be another one.
#[test]
fn no_changed_octet_survives() {
    let world = World::new();
    for place in 0..world.vectors.response.len() {
        let mut octets = world.vectors.response.clone().into_bytes();
        octets[place] ^= 1;
        assert!(Response::open(&octets).is_err(), "octet {place}");
    }
    let response = &world.vectors.response;
    for other in [format!("{response}\n"), response.replace('\n', "\r\n"), String::new()] {
        assert_eq!(Response::open(other.as_bytes()).unwrap_err().code(), "exchange-form");
    }
    assert_eq!(Response::open(&vec![b'a'; MAX_OCTETS + 1]).unwrap_err().code(), "exchange-form");
}

/// N30: a request is answered once, and only later ones after it; and none that knows of an answer which was never given.
#[test]
fn the_ceremonys_side_answers_no_request_twice() {
    let world = World::new();
    let answered = std::slice::from_ref(&world.request);
    let judged = |number, nonce: [u8; 16], previous| {
        let mut request = world.request.clone();
        request.said.matter.number = number;
        request.said.matter.nonce = Nonce::from_random(nonce);
        request.said.previous = previous;
        let answers = BTreeSet::from([world.response.file]);
        let side = Ceremonys { answers: &answers, ..world.answers(answered) };
        side.judge(&request).map_err(|fault| fault.code())
    };
    let (own, other) = (world.request.said.matter.nonce.0, [9; 16]);
    assert_eq!(judged(3, own, None), Err("exchange-number"));
    assert_eq!(judged(2, other, None), Err("exchange-number"));
    assert_eq!(judged(4, own, None), Err("exchange-nonce"));
    assert_eq!(judged(4, other, Some(world.request.file)), Err("exchange-previous"));
    assert_eq!(judged(4, other, None), Ok(()));
    assert_eq!(judged(4, other, Some(world.response.file)), Ok(()));
}

/// A response that was taken in time may be taken once more after its end, as a broken-off import is.
#[test]
fn the_end_of_a_response_ends_no_import_that_has_begun() {
    let world = World::new();
    let late = Askers { now: world.response.said.matter.expires, ..world.asks() };
    assert_eq!(late.judge(&world.response).unwrap_err().code(), "exchange-time");
    late.is_answer(&world.response).unwrap();
}
