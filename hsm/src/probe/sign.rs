//! Signatures: by which mechanism, of which input; each is verified in software.

use cryptoki::error::Error;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use x509::key::{HashAlgorithm, KeyType, PublicKey, SignatureAlgorithm};

use super::bench::{Bench, Use};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, is_gone, result};
use super::pairs::Pair;
use crate::operation::{How, Operation};
use crate::quirks::EcdsaInput;

const VERIFIES: &str = "every signature verifies in software";
const WHY: &str = "KEY-10; PKCS#11 v3.1 §5.13, C_Sign";

pub(super) const CHECKS: [Check; 12] = [
    Check {
        id: "HP-40",
        title: "ECDSA P-256 over a digest (CKM_ECDSA)",
        expected: VERIFIES,
        clause: WHY,
        run: Run::Calls(|bench| ecdsa(bench, P256, EcdsaInput::Raw)),
    },
    Check {
        id: "HP-41",
        title: "ECDSA P-384 over a digest (CKM_ECDSA)",
        expected: VERIFIES,
        clause: WHY,
        run: Run::Calls(|bench| ecdsa(bench, P384, EcdsaInput::Raw)),
    },
    Check {
        id: "HP-42",
        title: "ECDSA P-256, hashed in the token (CKM_ECDSA_SHA256)",
        expected: VERIFIES,
        clause: WHY,
        run: Run::Calls(|bench| ecdsa(bench, P256, EcdsaInput::Hashed)),
    },
    Check {
        id: "HP-43",
        title: "ECDSA P-384, hashed in the token (CKM_ECDSA_SHA384)",
        expected: VERIFIES,
        clause: WHY,
        run: Run::Calls(|bench| ecdsa(bench, P384, EcdsaInput::Hashed)),
    },
    Check {
        id: "HP-45",
        title: "RSA PKCS#1 over a DigestInfo (CKM_RSA_PKCS)",
        expected: VERIFIES,
        clause: WHY,
        run: Run::Calls(|bench| {
            let outcome = rsa(bench, PKCS1, How::Digest)?;
            bench.found.rsa_pkcs1 = outcome.works();
            Ok(outcome)
        }),
    },
    Check {
        id: "HP-46",
        title: "RSA PKCS#1, hashed in the token (CKM_SHA256_RSA_PKCS ...)",
        expected: VERIFIES,
        clause: WHY,
        run: Run::Calls(|bench| rsa(bench, PKCS1, How::Message)),
    },
    Check {
        id: "HP-47",
        title: "RSA PSS over a digest (CKM_RSA_PKCS_PSS)",
        expected: VERIFIES,
        clause: WHY,
        run: Run::Calls(|bench| {
            let outcome = rsa(bench, PSS, How::Digest)?;
            bench.found.pss = outcome.works();
            Ok(outcome)
        }),
    },
    Check {
        id: "HP-48",
        title: "RSA PSS, hashed in the token (CKM_SHA256_RSA_PKCS_PSS ...)",
        expected: VERIFIES,
        clause: WHY,
        run: Run::Calls(|bench| rsa(bench, PSS, How::Message)),
    },
    Check {
        id: "HP-49",
        title: "Ed25519 (CKM_EDDSA)",
        expected: VERIFIES,
        clause: "KEY-10; PKCS#11 v3.1 §6.3.16",
        run: Run::Calls(|bench| {
            let pair = bench.pair(KeyType::Ed25519, Use::Sign)?;
            let outcome = all(bench, &pair, &[ED25519])?;
            bench.found.ed25519 = outcome.works();
            Ok(outcome)
        }),
    },
    Check {
        id: "HP-50",
        title: "longest message in one call",
        expected: "16 MiB, where the token signs whole messages: a CRL is one",
        clause: "PKCS#11 v3.1 §5.13, CKR_DATA_LEN_RANGE; CRL-14",
        run: Run::Calls(longest),
    },
    Check {
        id: "HP-51",
        title: "200 signatures in one session",
        expected: "every signature verifies, and the session stays",
        clause: "KEY-09, KEY-10",
        run: Run::Calls(endurance),
    },
    Check {
        id: "HP-59",
        title: "a key of some type is made by our template and signs",
        expected: "yes, else no CA can use the token",
        clause: "KEY-01, KEY-03",
        run: Run::Calls(usable),
    },
];

/// One way to sign.
#[derive(Clone, Copy)]
pub(super) struct Way {
    algorithm: SignatureAlgorithm,
    how: How,
}

const P256: SignatureAlgorithm = SignatureAlgorithm::EcdsaP256Sha256;
const P384: SignatureAlgorithm = SignatureAlgorithm::EcdsaP384Sha384;
const PKCS1: [SignatureAlgorithm; 3] = [
    SignatureAlgorithm::RsaPkcs1Sha256,
    SignatureAlgorithm::RsaPkcs1Sha384,
    SignatureAlgorithm::RsaPkcs1Sha512,
];
const PSS: [SignatureAlgorithm; 3] = [
    SignatureAlgorithm::RsaPssSha256,
    SignatureAlgorithm::RsaPssSha384,
    SignatureAlgorithm::RsaPssSha512,
];
/// What also signs in parts.
pub(super) const RSA_HASHED: Way =
    Way { algorithm: SignatureAlgorithm::RsaPkcs1Sha256, how: How::Message };
const ED25519: Way = Way { algorithm: SignatureAlgorithm::Ed25519, how: How::Message };

impl Way {
    const fn name(&self) -> &'static str {
        match self.algorithm.hash() {
            Some(HashAlgorithm::Sha256) => "SHA-256",
            Some(HashAlgorithm::Sha384) => "SHA-384",
            Some(HashAlgorithm::Sha512) => "SHA-512",
            None => "Ed25519",
        }
    }

    pub(super) fn operation(&self, message: &[u8]) -> Result<Operation, Error> {
        Operation::by(self.algorithm, self.how, message).map_err(|_| Error::InvalidValue)
    }

    /// Has the token sign `message`.
    pub(super) fn sign(
        &self,
        session: &Session,
        key: ObjectHandle,
        message: &[u8],
    ) -> Result<Vec<u8>, Error> {
        self.operation(message)?.run(session, key)
    }

    /// Whether what the token gave is a signature of `message`.
    pub(super) fn verifies(&self, key: &PublicKey, message: &[u8], given: &[u8]) -> bool {
        self.operation(message).is_ok_and(|operation| operation.verifies(key, message, given))
    }

    /// Signs `times` texts; how many of the signatures verify.
    pub(super) fn verified(
        &self,
        session: &Session,
        key: &PublicKey,
        handle: ObjectHandle,
        times: usize,
    ) -> Result<usize, Error> {
        let mut verified = 0_usize;
        for number in 0..times {
            let text = text(number);
            let given = self.sign(session, handle, &text)?;
            verified = verified.saturating_add(usize::from(self.verifies(key, &text, &given)));
        }
        Ok(verified)
    }
}

/// A text that nothing else than a probe signs; it begins with an octet that no DER begins with.
fn text(number: usize) -> Vec<u8> {
    [b"\xffsigill probe/1 ", number.to_string().as_bytes()].concat()
}

/// The ways that may work for a key of this type, the one that the programs use first.
fn ways(key_type: KeyType) -> Vec<Way> {
    let algorithm = SignatureAlgorithm::default_for(key_type);
    match key_type {
        KeyType::Ed25519 => vec![ED25519],
        KeyType::EcP256 | KeyType::EcP384 | KeyType::Rsa { .. } => {
            [How::Digest, How::Message].map(|how| Way { algorithm, how }).to_vec()
        }
    }
}

/// The first way that works for `pair`.
pub(super) fn way_of(bench: &mut Bench, pair: &Pair) -> Result<Way, Stop> {
    let session = bench.session()?;
    let mut refused = None;
    for way in ways(pair.key.key_type()) {
        match way.sign(session, pair.private, &text(0)) {
            Ok(_) => return Ok(way),
            Err(error) => refused = Some(error),
        }
    }
    Err(Stop::Call(refused.unwrap_or(Error::InvalidValue)))
}

/// What a key of this type is given for ECDSA, before the checks tell; the usual where none signs.
pub(super) fn ecdsa_input(bench: &mut Bench, key_type: KeyType) -> EcdsaInput {
    if !matches!(key_type, KeyType::EcP256 | KeyType::EcP384) {
        return EcdsaInput::default();
    }
    let way = bench.pair(key_type, Use::Sign).and_then(|pair| way_of(bench, &pair));
    match way {
        Ok(Way { how: How::Message, .. }) => EcdsaInput::Hashed,
        _ => EcdsaInput::Raw,
    }
}

/// Signs by each way. A signature that does not verify is a fault whatever else works.
fn all(bench: &mut Bench, pair: &Pair, ways: &[Way]) -> Result<Outcome, Stop> {
    const TIMES: usize = 16;
    let session = bench.session()?;
    let (mut works, mut refused) = (Vec::new(), Vec::new());
    for way in ways {
        match way.verified(session, &pair.key, pair.private, TIMES) {
            Ok(TIMES) => works.push(way.name()),
            Ok(verified) => {
                return Ok(Outcome::failed(format!(
                    "{}: {} of {TIMES} signatures do not verify",
                    way.name(),
                    TIMES.saturating_sub(verified)
                )));
            }
            Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
            Err(error) => refused.push(format!("{}: {}", way.name(), result(&error))),
        }
    }
    Ok(match (works.is_empty(), refused.is_empty()) {
        (false, true) => {
            Outcome::passed(format!("{}: {TIMES} of {TIMES} verify", works.join(", ")))
        }
        (false, false) => {
            Outcome::differs(format!("{} verify; {}", works.join(", "), refused.join(", ")))
        }
        _ => Outcome::unsupported(refused.join(", ")),
    })
}

impl Outcome {
    /// Whether every way works.
    fn works(&self) -> bool {
        self.verdict == super::Verdict::Passed
    }
}

fn ecdsa(
    bench: &mut Bench,
    algorithm: SignatureAlgorithm,
    input: EcdsaInput,
) -> Result<Outcome, Stop> {
    let (key_type, how) = match (algorithm, input) {
        (P384, EcdsaInput::Raw) => (KeyType::EcP384, How::Digest),
        (P384, EcdsaInput::Hashed) => (KeyType::EcP384, How::Message),
        (_, EcdsaInput::Raw) => (KeyType::EcP256, How::Digest),
        (_, EcdsaInput::Hashed) => (KeyType::EcP256, How::Message),
    };
    let pair = bench.pair(key_type, Use::Sign)?;
    let outcome = all(bench, &pair, &[Way { algorithm, how }])?;
    // Raw goes first, where the token takes both: it keeps whole CRLs off the wire.
    if outcome.works() && bench.found.ecdsa.is_none() {
        bench.found.ecdsa = Some(input);
    }
    Ok(outcome)
}

fn rsa(bench: &mut Bench, algorithms: [SignatureAlgorithm; 3], how: How) -> Result<Outcome, Stop> {
    let pair = bench.pair(KeyType::Rsa { bits: 2048 }, Use::Sign)?;
    all(bench, &pair, &algorithms.map(|algorithm| Way { algorithm, how }))
}

/// The pair and way by which sessions are tried.
pub(super) fn any_way(bench: &mut Bench) -> Result<(Pair, Way), Stop> {
    let mut refused = None;
    for key_type in [KeyType::EcP256, KeyType::Rsa { bits: 2048 }, KeyType::Ed25519] {
        let found = bench
            .pair(key_type, Use::Sign)
            .and_then(|pair| way_of(bench, &pair).map(|way| (pair, way)));
        match found {
            Ok(found) => return Ok(found),
            Err(stop) => refused = Some(stop),
        }
    }
    Err(refused.unwrap_or_else(|| Stop::Row(Outcome::skipped("no key signs"))))
}

fn longest(bench: &mut Bench) -> Result<Outcome, Stop> {
    const SIZES: [usize; 4] = [1 << 10, 1 << 16, 1 << 20, 1 << 24];
    let candidates = [
        (KeyType::Ed25519, ED25519),
        (KeyType::EcP256, Way { algorithm: P256, how: How::Message }),
        (KeyType::Rsa { bits: 2048 }, RSA_HASHED),
    ];
    for (key_type, way) in candidates {
        let Ok(pair) = bench.pair(key_type, Use::Sign) else { continue };
        let session = bench.session()?;
        if way.sign(session, pair.private, &text(0)).is_err() {
            continue;
        }
        let mut most = 0;
        for size in SIZES {
            let message = vec![0xff; size];
            match way.sign(session, pair.private, &message) {
                Ok(given) if way.verifies(&pair.key, &message, &given) => most = size,
                Ok(_) => {
                    return Ok(Outcome::failed(format!(
                        "{key_type}: the signature of {size} octets does not verify"
                    )));
                }
                Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
                Err(error) => {
                    bench.found.longest_message = Some(most);
                    let seen = format!("{key_type}: {most} octets; then {}", result(&error));
                    return Ok(Outcome::differs(seen));
                }
            }
        }
        bench.found.longest_message = Some(most);
        return Ok(Outcome::passed(format!("{key_type}: {most} octets")));
    }
    Ok(Outcome::skipped("the token signs digests only"))
}

fn endurance(bench: &mut Bench) -> Result<Outcome, Stop> {
    const TIMES: usize = 200;
    let (pair, way) = any_way(bench)?;
    let verified = way.verified(bench.session()?, &pair.key, pair.private, TIMES)?;
    Ok(if verified == TIMES {
        Outcome::passed(format!("{TIMES} of {TIMES} verify"))
    } else {
        Outcome::failed(format!("{verified} of {TIMES} verify"))
    })
}

fn usable(bench: &mut Bench) -> Result<Outcome, Stop> {
    let found = &bench.found;
    let signs = |key_type: &String| match key_type.as_str() {
        "ed25519" => found.ed25519,
        rsa if rsa.starts_with("rsa-") => found.rsa_pkcs1 || found.pss,
        _ => found.ecdsa.is_some(),
    };
    let usable: Vec<&str> =
        found.key_types.iter().filter(|key_type| signs(key_type)).map(String::as_str).collect();
    Ok(if usable.is_empty() { Outcome::failed("none") } else { Outcome::passed(usable.join(", ")) })
}
