//! What comes out of a blob, and what of it the token tells (MIG, ceremony by wrapping).

use aws_lc_rs::rand;
use cryptoki::object::{
    Attribute, AttributeType, KeyType as DeviceKeyType, ObjectClass, ObjectHandle,
};
use cryptoki::session::Session;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use x509::device::curve_parameters;
use x509::key::{KeyType, PublicKey};
use zeroize::Zeroizing;

use super::bench::{Bench, ID, LABEL, Use};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, is_gone, result};
use super::pairs::Pair;
use super::template::{self, Nested};
use super::truth::{flag, unlike};
use super::wrap::{PAD, private_template};
use super::{secrets, sign};
use crate::find_key::device_key_type;
use crate::quirks::Quirks;
use crate::recover_point;

pub(super) const CHECKS: [Check; 9] = [
    Check {
        id: "HP-82",
        title: "a blob that was changed, and another key's blob",
        expected: "both refused",
        clause: "RFC 5649 §3: the integrity check; MIG-01",
        run: Run::Calls(tampered),
    },
    Check {
        id: "HP-83",
        title: "a blob of another type than the template",
        expected: "refused",
        clause: "PKCS#11 v3.1 §5.18, C_UnwrapKey",
        run: Run::Calls(other_type),
    },
    Check {
        id: "HP-84",
        title: "what is told of an unwrapped key",
        expected: "not LOCAL, not ALWAYS_SENSITIVE, not NEVER_EXTRACTABLE",
        clause: "KEY-03; PKCS#11 v3.1 §5.18, C_UnwrapKey",
        run: Run::Calls(told_of_an_unwrapped_key),
    },
    Check {
        id: "HP-34",
        title: "a private key taken in clear (C_CreateObject)",
        expected: "refused, or not LOCAL, not ALWAYS_SENSITIVE, not NEVER_EXTRACTABLE",
        clause: "KEY-03; PKCS#11 v3.1 §5.7, C_CreateObject: what imports by a vendor's tool end in",
        run: Run::Calls(taken_in_clear),
    },
    Check {
        id: "HP-85",
        title: "an unwrapped key where nothing was stated",
        expected: "SENSITIVE and not EXTRACTABLE",
        clause: "PKCS#11 v3.1 §4.9 leaves the defaults to the token; a ceremony states all",
        run: Run::Calls(defaults),
    },
    Check {
        id: "HP-86",
        title: "public half of an unwrapped key",
        expected: "told by the private object: modulus and exponent, EC point",
        clause: "PKCS#11 v3.1 §4.9; else it is proven by a signature",
        run: Run::Calls(public_half),
    },
    Check {
        id: "HP-87",
        title: "CKA_UNWRAP_TEMPLATE",
        expected: "enforced against what is stated otherwise, and not to be changed later",
        clause: "PKCS#11 v3.1 §4.9; keeps a transport key from opening a CA key as a secret",
        run: Run::Calls(unwrap_template),
    },
    Check {
        id: "HP-88",
        title: "a private key's blob unwrapped as a generic secret",
        expected: "refused",
        clause: "else who may unwrap can read the key; UNWRAP_TEMPLATE with CLASS is the remedy",
        run: Run::Calls(as_secret),
    },
    Check {
        id: "HP-89",
        title: "CKA_WRAP_TEMPLATE",
        expected: "taken, and enforced",
        clause: "PKCS#11 v3.1 §4.8, §4.10",
        run: Run::Calls(wrap_template),
    },
];

/// An extractable EC key and its blob under the key that wraps.
fn blob(bench: &mut Bench) -> Result<(Pair, Vec<u8>), Stop> {
    let kek = secrets::kek(bench)?;
    blob_under(bench, kek.handle)
}

fn blob_under(bench: &mut Bench, kek: ObjectHandle) -> Result<(Pair, Vec<u8>), Stop> {
    let pair = bench.pair(KeyType::EcP384, Use::Move)?;
    let session = bench.session()?;
    let blob = PAD.with(|mechanism| session.wrap_key(mechanism, kek, pair.private))?;
    Ok((pair, blob))
}

fn tampered(bench: &mut Bench) -> Result<Outcome, Stop> {
    let (pair, right) = blob(bench)?;
    let (kek, other) = (secrets::kek(bench)?, secrets::other_kek(bench)?);
    let mut changed = right.clone();
    if let Some(octet) = changed.get_mut(20) {
        *octet ^= 1;
    }
    let template = private_template(pair.key.key_type(), bench.on_token);
    let session = bench.session()?;
    let mut seen = Vec::new();
    for (name, kek, blob) in
        [("changed", kek.handle, &changed), ("of another key", other.handle, &right)]
    {
        match PAD.with(|mechanism| session.unwrap_key(mechanism, kek, blob, &template)) {
            Ok(_) => return Ok(Outcome::failed(format!("{name}: it opens"))),
            Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
            Err(error) => seen.push(format!("{name}: {}", result(&error))),
        }
    }
    Ok(Outcome::passed(seen.join(", ")))
}

fn other_type(bench: &mut Bench) -> Result<Outcome, Stop> {
    let (_, blob) = blob(bench)?;
    let kek = secrets::kek(bench)?;
    let template = private_template(KeyType::Rsa { bits: 2048 }, bench.on_token);
    let session = bench.session()?;
    match PAD.with(|mechanism| session.unwrap_key(mechanism, kek.handle, &blob, &template)) {
        Ok(_) => Ok(Outcome::failed("an EC key's blob opens as an RSA key")),
        Err(error) if is_gone(&error) => Err(Stop::Call(error)),
        Err(error) => Ok(Outcome::passed(result(&error))),
    }
}

fn told_of_an_unwrapped_key(bench: &mut Bench) -> Result<Outcome, Stop> {
    let (pair, blob) = blob(bench)?;
    let kek = secrets::kek(bench)?;
    let template = private_template(pair.key.key_type(), bench.on_token);
    let session = bench.session()?;
    let key = PAD.with(|mechanism| session.unwrap_key(mechanism, kek.handle, &blob, &template))?;
    let told = told_of_a_key_from_outside(session, key);
    session.destroy_object(key)?;
    Ok(told.map_or_else(Outcome::failed, Outcome::passed))
}

/// What is told of a key that was not made inside; as an error, what of it is wrong.
fn told_of_a_key_from_outside(session: &Session, key: ObjectHandle) -> Result<String, String> {
    let wrong = unlike(
        session,
        key,
        &[
            (AttributeType::Local, "LOCAL", false),
            (AttributeType::AlwaysSensitive, "ALWAYS_SENSITIVE", false),
            (AttributeType::NeverExtractable, "NEVER_EXTRACTABLE", false),
            (AttributeType::Sensitive, "SENSITIVE", true),
            (AttributeType::Extractable, "EXTRACTABLE", false),
        ],
    );
    if !wrong.is_empty() {
        return Err(wrong.join(", "));
    }
    let made_by = match session.get_attributes(key, &[AttributeType::KeyGenMechanism]).as_deref() {
        Ok([Attribute::KeyGenMechanism(mechanism)]) => mechanism.to_string(),
        _ => "unavailable".to_owned(),
    };
    Ok(format!("LOCAL=0 ALWAYS_SENSITIVE=0 NEVER_EXTRACTABLE=0 KEY_GEN_MECHANISM={made_by}"))
}

/// A key of which the host knew the private value.
fn taken_in_clear(bench: &mut Bench) -> Result<Outcome, Stop> {
    let no_key = || Stop::Row(Outcome::skipped("no key could be made in software"));
    let mut scalar = Zeroizing::new([0; 32]);
    rand::fill(scalar.as_mut()).map_err(|_| no_key())?;
    let secret = p256::SecretKey::from_slice(scalar.as_ref()).map_err(|_| no_key())?;
    let point = secret.public_key().to_sec1_point(false);
    let public = PublicKey::from_ec_point(point.as_bytes()).map_err(|_| no_key())?;
    let curve = curve_parameters(KeyType::EcP256).into_iter().next().ok_or_else(no_key)?;
    let mut template = private_template(KeyType::EcP256, bench.on_token);
    template.extend([Attribute::EcParams(curve), Attribute::Value(scalar.to_vec())]);
    let key = match bench.session()?.create_object(&template) {
        Ok(key) => key,
        Err(error) if is_gone(&error) => return Err(Stop::Call(error)),
        Err(error) => return Ok(Outcome::passed(format!("refused: {}", result(&error)))),
    };
    let told = told_of_a_key_from_outside(bench.session()?, key);
    let pair = Pair { public: key, private: key, key: public };
    let signed = sign::way_of(bench, &pair)
        .and_then(|way| Ok(way.verified(bench.session()?, &pair.key, key, 1)?));
    bench.session()?.destroy_object(key)?;
    Ok(match (told, signed) {
        (Err(wrong), _) => Outcome::failed(wrong),
        (Ok(told), Ok(1)) => Outcome::passed(format!("taken, and signs; {told}")),
        (Ok(_), Ok(_)) => Outcome::failed("taken, and signs as another key"),
        (Ok(told), Err(stop)) => {
            Outcome::differs(format!("taken; {told}; {}", stop.outcome().seen))
        }
    })
}

/// Two private keys of one blob, under one label and one id; both are removed again.
pub(super) fn opens_twice(bench: &mut Bench) -> Result<(), Stop> {
    let (pair, blob) = blob(bench)?;
    let kek = secrets::kek(bench)?;
    let template = private_template(pair.key.key_type(), bench.on_token);
    let session = bench.session()?;
    let open = || PAD.with(|mechanism| session.unwrap_key(mechanism, kek.handle, &blob, &template));
    let first = open()?;
    let second = open();
    session.destroy_object(first)?;
    session.destroy_object(second?)?;
    Ok(())
}

fn defaults(bench: &mut Bench) -> Result<Outcome, Stop> {
    let rsa = KeyType::Rsa { bits: 4096 };
    let pair = bench.pair(rsa, Use::Move)?;
    let kek = secrets::kek(bench)?;
    let mut template = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(device_key_type(rsa)),
        Attribute::Label(format!("{LABEL}opened").into_bytes()),
        Attribute::Id(ID.to_vec()),
    ];
    if bench.on_token {
        template.push(Attribute::Token(true));
    }
    let session = bench.session()?;
    let blob = PAD.with(|mechanism| session.wrap_key(mechanism, kek.handle, pair.private))?;
    let key = PAD.with(|mechanism| session.unwrap_key(mechanism, kek.handle, &blob, &template))?;
    let asked = [
        (AttributeType::Sensitive, "SENSITIVE"),
        (AttributeType::Extractable, "EXTRACTABLE"),
        (AttributeType::Sign, "SIGN"),
        (AttributeType::Unwrap, "UNWRAP"),
        (AttributeType::Decrypt, "DECRYPT"),
    ];
    let told = asked.map(|(kind, name)| (name, flag(session, key, kind)));
    session.destroy_object(key)?;
    let digit = |value: Option<bool>| value.map_or('?', |is| if is { '1' } else { '0' });
    let seen: Vec<String> =
        told.iter().map(|(name, value)| format!("{name}={}", digit(*value))).collect();
    let [(_, sensitive), (_, extractable), ..] = told;
    Ok(if (sensitive, extractable) == (Some(true), Some(false)) {
        Outcome::passed(seen.join(" "))
    } else {
        Outcome::differs(seen.join(" "))
    })
}

fn public_half(bench: &mut Bench) -> Result<Outcome, Stop> {
    let kek = secrets::kek(bench)?;
    let ecdsa = bench.found.ecdsa.unwrap_or_default();
    let quirks = Quirks { ecdsa, ..Quirks::default() };
    let mut seen = Vec::new();
    let mut whole = true;
    for (name, key_type, kinds) in [
        (
            "RSA: modulus and exponent",
            KeyType::Rsa { bits: 4096 },
            &[AttributeType::Modulus, AttributeType::PublicExponent][..],
        ),
        ("EC: point", KeyType::EcP384, &[AttributeType::EcPoint]),
    ] {
        let Ok(pair) = bench.pair(key_type, Use::Move) else { continue };
        let template = private_template(key_type, bench.on_token);
        let session = bench.session()?;
        let blob = PAD.with(|mechanism| session.wrap_key(mechanism, kek.handle, pair.private))?;
        let key =
            PAD.with(|mechanism| session.unwrap_key(mechanism, kek.handle, &blob, &template))?;
        let told = session.get_attributes(key, kinds).unwrap_or_default();
        let recovered = recover_point::recover(session, key, &quirks);
        session.destroy_object(key)?;
        let is_told = told.len() == kinds.len()
            && told.iter().all(|attribute| match attribute {
                Attribute::Modulus(octets)
                | Attribute::PublicExponent(octets)
                | Attribute::EcPoint(octets) => !octets.is_empty(),
                _ => false,
            });
        whole &= is_told;
        seen.push(match (is_told, recovered) {
            (true, _) => format!("{name} told"),
            (false, Ok(Some(key))) if key == pair.key => {
                format!("{name} not told, found by a signature")
            }
            (false, _) => format!("{name} not told"),
        });
    }
    Ok(if whole { Outcome::passed(seen.join(", ")) } else { Outcome::differs(seen.join(", ")) })
}

fn unwrap_template(bench: &mut Bench) -> Result<Outcome, Stop> {
    let nested = Nested::new(template::UNWRAP)
        .flag(template::SENSITIVE, true)
        .flag(template::EXTRACTABLE, false);
    let with_class = Nested::new(template::UNWRAP)
        .number(template::CLASS, template::PRIVATE_KEY)
        .flag(template::SENSITIVE, true)
        .flag(template::EXTRACTABLE, false);
    let keys = [&nested, &with_class].map(|nested| {
        let wraps = [Attribute::Wrap(true), Attribute::Unwrap(true), nested.attribute()];
        secrets::make(bench, "unwrap-template", &wraps)
    });
    let [Ok(plain), Ok(with_class)] = keys else {
        return Ok(Outcome::unsupported("not taken for an AES key"));
    };
    let (pair, blob) = blob_under(bench, plain.handle)?;
    let full = private_template(pair.key.key_type(), bench.on_token);
    let contrary: Vec<Attribute> = replaced(&full, Attribute::Extractable(true));
    let unstated: Vec<Attribute> = full
        .iter()
        .filter(|one| !matches!(one, Attribute::Sensitive(_) | Attribute::Extractable(_)))
        .cloned()
        .collect();
    let session = bench.session()?;
    let open = |kek, blob: &[u8], template: &[Attribute]| {
        PAD.with(|mechanism| session.unwrap_key(mechanism, kek, blob, template))
    };
    let mut seen = Vec::new();
    match open(plain.handle, &blob, &contrary) {
        Ok(key) if flag(session, key, AttributeType::Extractable) != Some(false) => {
            return Ok(Outcome::differs("taken, and not kept to"));
        }
        Ok(_) => seen.push("contrary: overridden".to_owned()),
        Err(error) => seen.push(format!("contrary: {}", result(&error))),
    }
    for (name, template) in [("unstated", &unstated), ("stated", &full)] {
        seen.push(match open(plain.handle, &blob, template) {
            Ok(_) => format!("{name}: opens"),
            Err(error) => format!("{name}: {}", result(&error)),
        });
    }
    // Where it does not say the class, a private key still opens as a secret that nobody can read.
    let closed = replaced(&secret_from_blob(bench.on_token), Attribute::Sensitive(true));
    let closed = replaced(&closed, Attribute::Extractable(false));
    let session = bench.session()?;
    let as_secret =
        PAD.with(|mechanism| session.unwrap_key(mechanism, plain.handle, &blob, &closed));
    seen.push(match as_secret {
        Ok(_) => "CLASS not in it: opens as a secret".to_owned(),
        Err(error) => format!("CLASS not in it: {}", result(&error)),
    });
    let other = Nested::new(template::UNWRAP).flag(template::SENSITIVE, true);
    match session.update_attributes(plain.handle, &[other.attribute()]) {
        Ok(()) => return Ok(Outcome::differs(format!("{}; changed later", seen.join(", ")))),
        Err(error) => seen.push(format!("changed later: {}", result(&error))),
    }
    let (_, blob) = blob_under(bench, with_class.handle)?;
    let secret = secret_from_blob(bench.on_token);
    let session = bench.session()?;
    let as_secret =
        PAD.with(|mechanism| session.unwrap_key(mechanism, with_class.handle, &blob, &secret));
    match as_secret {
        Ok(_) => return Ok(Outcome::differs(format!("{}; CLASS: not kept to", seen.join(", ")))),
        Err(error) => seen.push(format!("another CLASS: {}", result(&error))),
    }
    Ok(Outcome::passed(seen.join(", ")))
}

fn replaced(template: &[Attribute], by: Attribute) -> Vec<Attribute> {
    let kind = by.attribute_type();
    let others = template.iter().filter(|one| one.attribute_type() != kind).cloned();
    others.chain([by]).collect()
}

/// A generic secret whose value may be read.
fn secret_from_blob(on_token: bool) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(DeviceKeyType::GENERIC_SECRET),
        Attribute::Token(on_token),
        Attribute::Label(format!("{LABEL}opened").into_bytes()),
        Attribute::Id(ID.to_vec()),
        Attribute::Private(true),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ]
}

fn as_secret(bench: &mut Bench) -> Result<Outcome, Stop> {
    let (_, blob) = blob(bench)?;
    let kek = secrets::kek(bench)?;
    let template = secret_from_blob(bench.on_token);
    let session = bench.session()?;
    match PAD.with(|mechanism| session.unwrap_key(mechanism, kek.handle, &blob, &template)) {
        Err(error) if is_gone(&error) => Err(Stop::Call(error)),
        Err(error) => Ok(Outcome::passed(result(&error))),
        Ok(secret) => {
            let told = session.get_attributes(secret, &[AttributeType::Value]).unwrap_or_default();
            session.destroy_object(secret)?;
            let is_clear = matches!(
                told.first(),
                Some(Attribute::Value(octets)) if octets.first() == Some(&0x30)
            );
            Ok(Outcome::differs(if is_clear {
                "it opens, and the private key can be read in clear"
            } else {
                "it opens as a secret"
            }))
        }
    }
}

fn wrap_template(bench: &mut Bench) -> Result<Outcome, Stop> {
    // Only secrets may be wrapped by it.
    const SECRET_KEY: u64 = 4;
    let nested = Nested::new(template::WRAP).number(template::CLASS, SECRET_KEY);
    let wraps = [Attribute::Wrap(true), nested.attribute()];
    let kek = match secrets::make(bench, "wrap-template", &wraps) {
        Ok(kek) => kek,
        Err(Stop::Call(error)) => return Ok(Outcome::unsupported(result(&error))),
        Err(stop) => return Err(stop),
    };
    let pair = bench.pair(KeyType::EcP384, Use::Move)?;
    let session = bench.session()?;
    match PAD.with(|mechanism| session.wrap_key(mechanism, kek.handle, pair.private)) {
        Ok(_) => Ok(Outcome::differs("taken, and a key of another class is wrapped")),
        Err(error) => Ok(Outcome::passed(format!("taken; another class: {}", result(&error)))),
    }
}
