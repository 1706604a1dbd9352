//! Key pairs: those of our own template, which the programs will make, and the probe's own.

use aws_lc_rs::digest;
use cryptoki::error::Error;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, ObjectHandle};
use x509::device::curve_parameters;
use x509::key::{KeyType, PublicKey};

use super::bench::{Bench, ID, LABEL, Use};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, call, is_gone};
use super::sign;
use crate::failure::causes;
use crate::find_key::{self, device_key_type};
use crate::generate::{self, GenerateError, KeyId, KeyOrder, Removal};
use crate::quirks::Quirks;

const OURS: &str =
    "made by our template, told as demanded, found by its public value, proven, removed";
const WHY_OURS: &str = "KEY-03; PKCS#11 v3.1 §4.9, C_GenerateKeyPair";

pub(super) const CHECKS: [Check; 6] = [
    Check {
        id: "HP-05",
        title: "session objects",
        expected: "key pairs that are no token objects can be made",
        clause: "PKCS#11 v3.1 §4.4, CKA_TOKEN; without them the probe's keys are token objects",
        run: Run::Calls(session_objects),
    },
    Check {
        id: "HP-10",
        title: "our EC P-256 key",
        expected: OURS,
        clause: WHY_OURS,
        run: Run::Calls(|bench| ours(bench, KeyType::EcP256)),
    },
    Check {
        id: "HP-11",
        title: "our EC P-384 key",
        expected: OURS,
        clause: WHY_OURS,
        run: Run::Calls(|bench| ours(bench, KeyType::EcP384)),
    },
    Check {
        id: "HP-12",
        title: "our RSA 2048 key",
        expected: OURS,
        clause: WHY_OURS,
        run: Run::Calls(|bench| ours(bench, KeyType::Rsa { bits: 2048 })),
    },
    Check {
        id: "HP-13",
        title: "our RSA 4096 key",
        expected: OURS,
        clause: WHY_OURS,
        run: Run::Calls(|bench| ours(bench, KeyType::Rsa { bits: 4096 })),
    },
    Check {
        id: "HP-14",
        title: "our Ed25519 key",
        expected: OURS,
        clause: WHY_OURS,
        run: Run::Calls(|bench| ours(bench, KeyType::Ed25519)),
    },
];

/// The types of keys that a CA may have.
pub(super) const TYPES: [KeyType; 5] = [
    KeyType::EcP256,
    KeyType::EcP384,
    KeyType::Rsa { bits: 2048 },
    KeyType::Rsa { bits: 4096 },
    KeyType::Ed25519,
];

/// A key pair of the probe.
#[derive(Clone, Debug)]
pub(super) struct Pair {
    pub(super) public: ObjectHandle,
    pub(super) private: ObjectHandle,
    pub(super) key: PublicKey,
}

fn session_objects(bench: &mut Bench) -> Result<Outcome, Stop> {
    let refused = match make(bench, KeyType::EcP256, Use::Sign, &[]) {
        Ok(_) => {
            bench.found.session_objects = true;
            return Ok(Outcome::passed("an EC P-256 pair was made"));
        }
        Err(Stop::Call(error)) if !is_gone(&error) => error,
        Err(stop) => return Err(stop),
    };
    bench.on_token = true;
    match make(bench, KeyType::EcP256, Use::Sign, &[]) {
        Ok(_) => Ok(Outcome::unsupported(format!("{}; a token object is made", call(&refused)))),
        // Perhaps it has no such curve; then with RSA.
        Err(_) => {
            bench.on_token = false;
            let rsa = KeyType::Rsa { bits: 2048 };
            if make(bench, rsa, Use::Sign, &[]).is_ok() {
                bench.found.session_objects = true;
                return Ok(Outcome::passed("an RSA 2048 pair was made"));
            }
            bench.on_token = true;
            Ok(Outcome::unsupported(call(&refused)))
        }
    }
}

/// A key by the template, the reading back and the proof that our own keys get.
fn ours(bench: &mut Bench, key_type: KeyType) -> Result<Outcome, Stop> {
    let name = bench.order.name.clone();
    let order = KeyOrder {
        key_type,
        label: format!("{LABEL}{key_type}"),
        id: id_of(key_type),
        removal: Removal::Allowed,
    };
    let ecdsa = sign::ecdsa_input(bench, key_type);
    let quirks = Quirks { ecdsa, ..Quirks::default() };
    let session = bench.session()?;
    let key = match generate::generate(session, &name, &order, &quirks) {
        Ok(key) => key,
        Err(GenerateError::Device(failure)) => {
            return Ok(Outcome::unsupported(format!(
                "{} returned {}",
                failure.function(),
                failure.result()
            )));
        }
        Err(error) => return Ok(Outcome::failed(causes(&error))),
    };
    // To remove it, it is looked up by its public value and proves itself again.
    if let Err(error) = generate::destroy(session, &name, &key, &quirks) {
        return Ok(Outcome::failed(format!("not removed: {}", causes(&error))));
    }
    let id = order.id.as_bytes().to_vec();
    if !session.find_objects(&[Attribute::Id(id)])?.is_empty() {
        return Ok(Outcome::failed("an object of it is there after it was destroyed"));
    }
    bench.found.key_types.push(key_type.to_string());
    Ok(Outcome::passed("as demanded"))
}

/// Makes a pair; attributes in `extra` go before those of the private key's template.
pub(super) fn make(
    bench: &mut Bench,
    key_type: KeyType,
    made_for: Use,
    extra: &[Attribute],
) -> Result<Pair, Stop> {
    let on_token = bench.on_token;
    make_labelled(bench, key_type, made_for, "pair", on_token, extra)
}

/// As [`make`], as a token or a session object and under a label of its own.
pub(super) fn make_labelled(
    bench: &mut Bench,
    key_type: KeyType,
    made_for: Use,
    label: &str,
    on_token: bool,
    extra: &[Attribute],
) -> Result<Pair, Stop> {
    let session = bench.session()?;
    let mechanism = match key_type {
        KeyType::EcP256 | KeyType::EcP384 => Mechanism::EccKeyPairGen,
        KeyType::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        KeyType::Rsa { .. } => Mechanism::RsaPkcsKeyPairGen,
    };
    let mut curves: Vec<Option<Vec<u8>>> =
        curve_parameters(key_type).into_iter().map(Some).collect();
    if curves.is_empty() {
        curves.push(None);
    }
    let mut refused = None;
    for curve in curves {
        let (public, private) = templates(key_type, made_for, label, on_token, curve, extra);
        match session.generate_key_pair(&mechanism, &public, &private) {
            Ok((public, private)) => {
                let key = find_key::public_key_of(session, public)?
                    .filter(|key| key.key_type() == key_type)
                    .ok_or_else(|| {
                        Stop::Row(Outcome::failed(format!(
                            "the public half of an {key_type} pair does not tell such a key"
                        )))
                    })?;
                return Ok(Pair { public, private, key });
            }
            Err(error) => refused = Some(error),
        }
    }
    Err(Stop::Call(refused.unwrap_or(Error::InvalidValue)))
}

fn templates(
    key_type: KeyType,
    made_for: Use,
    label: &str,
    on_token: bool,
    curve: Option<Vec<u8>>,
    extra: &[Attribute],
) -> (Vec<Attribute>, Vec<Attribute>) {
    let common = [
        Attribute::Token(on_token),
        Attribute::Label(format!("{LABEL}{label}").into_bytes()),
        Attribute::Id(ID.to_vec()),
        Attribute::KeyType(device_key_type(key_type)),
    ];
    let moves_keys = made_for == Use::Move && matches!(key_type, KeyType::Rsa { .. });
    let mut public = common.to_vec();
    public.extend([Attribute::Private(false), Attribute::Verify(true)]);
    if let KeyType::Rsa { bits } = key_type {
        public.push(Attribute::ModulusBits(u64::from(bits).into()));
        public.push(Attribute::PublicExponent(vec![0x01, 0x00, 0x01]));
        public.push(Attribute::Wrap(moves_keys));
    }
    public.extend(curve.map(Attribute::EcParams));
    let mut private = extra.to_vec();
    let ours = common.into_iter().chain([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(made_for == Use::Move),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(moves_keys),
    ]);
    for attribute in ours {
        let kind = attribute.attribute_type();
        if extra.iter().all(|one| one.attribute_type() != kind) {
            private.push(attribute);
        }
    }
    (public, private)
}

/// Every CKA_ID that an object of the probe may have.
pub(super) fn ids() -> Vec<Vec<u8>> {
    let of_ours = TYPES.map(|key_type| id_of(key_type).as_bytes().to_vec());
    of_ours.into_iter().chain([ID.to_vec()]).collect()
}

fn id_of(key_type: KeyType) -> KeyId {
    let mut plan = [0; 32];
    let of_probe = digest::digest(&digest::SHA256, ID);
    for (octet, of_digest) in plan.iter_mut().zip(of_probe.as_ref()) {
        *octet = *of_digest;
    }
    KeyId::of_step(&plan, &key_type.to_string())
}
