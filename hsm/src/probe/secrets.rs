//! The probe's AES keys, and what the token says of them.

use aws_lc_rs::rand;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use zeroize::Zeroizing;

use super::bench::{Bench, ID, LABEL};
use super::checks::{Check, Run};
use super::outcome::{Outcome, Stop, call, is_gone};
use super::software;

pub(super) const CHECKS: [Check; 1] = [Check {
    id: "HP-33",
    title: "CKA_CHECK_VALUE of an AES key",
    expected: "the first three octets of a block of zeros under the key",
    clause: "PKCS#11 v3.1 §4.10.2; key components are compared by it at ceremonies",
    run: Run::Calls(check_value),
}];

/// An AES-256 key; its value is known where the token took one from outside.
#[derive(Clone)]
pub(super) struct Secret {
    pub(super) handle: ObjectHandle,
    pub(super) value: Option<Zeroizing<Vec<u8>>>,
}

/// The key that wraps.
pub(super) fn kek(bench: &mut Bench) -> Result<Secret, Stop> {
    secret(bench, "kek", &[Attribute::Wrap(true), Attribute::Unwrap(true)])
}

/// A second key that wraps.
pub(super) fn other_kek(bench: &mut Bench) -> Result<Secret, Stop> {
    secret(bench, "other-kek", &[Attribute::Wrap(true), Attribute::Unwrap(true)])
}

/// A key to be wrapped; it also wraps, and encrypts so that copies can be compared.
pub(super) fn target(bench: &mut Bench) -> Result<Secret, Stop> {
    let template = [
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
    ];
    secret(bench, "target", &template)
}

/// The key of this name, made when it is first asked for.
pub(super) fn secret(
    bench: &mut Bench,
    name: &'static str,
    template: &[Attribute],
) -> Result<Secret, Stop> {
    if let Some(secret) = bench.secrets.get(name) {
        return Ok(secret.clone());
    }
    let secret = make(bench, name, template)?;
    bench.secrets.insert(name, secret.clone());
    Ok(secret)
}

/// Takes a key from outside, where the token does, else has it make one.
pub(super) fn make(bench: &mut Bench, name: &str, template: &[Attribute]) -> Result<Secret, Stop> {
    let on_token = bench.on_token;
    let session = bench.session()?;
    let mut attributes = template.to_vec();
    let ours = [
        Attribute::Token(on_token),
        Attribute::Label(format!("{LABEL}{name}").into_bytes()),
        Attribute::Id(ID.to_vec()),
        Attribute::KeyType(KeyType::AES),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
    ];
    for attribute in ours {
        let kind = attribute.attribute_type();
        if template.iter().all(|one| one.attribute_type() != kind) {
            attributes.push(attribute);
        }
    }
    let mut value = Zeroizing::new(vec![0; 32]);
    rand::fill(&mut value)
        .map_err(|_| Stop::Row(Outcome::skipped("the operating system gave no random octets")))?;
    let mut imported = attributes.clone();
    imported.push(Attribute::Class(ObjectClass::SECRET_KEY));
    imported.push(Attribute::Value(value.to_vec()));
    match session.create_object(&imported) {
        Ok(handle) => Ok(Secret { handle, value: Some(value) }),
        Err(error) if is_gone(&error) => Err(Stop::Call(error)),
        Err(_) => {
            attributes.push(Attribute::ValueLen(32.into()));
            let handle = session.generate_key(&Mechanism::AesKeyGen, &attributes)?;
            Ok(Secret { handle, value: None })
        }
    }
}

/// A block of zeros under the key.
pub(super) fn fingerprint(bench: &mut Bench, key: ObjectHandle) -> Result<Vec<u8>, Stop> {
    Ok(bench.session()?.encrypt(&Mechanism::AesEcb, key, &[0; 16])?)
}

fn check_value(bench: &mut Bench) -> Result<Outcome, Stop> {
    let mut seen = Vec::new();
    for (encrypts, key) in [("ENCRYPT", target(bench)?), ("no ENCRYPT", kek(bench)?)] {
        let Some(right) = key.value.as_deref().and_then(|value| software::check_value(value))
        else {
            return Ok(Outcome::skipped("the token takes no AES key from outside"));
        };
        let told = match bench.session()?.get_attributes(key.handle, &[AttributeType::CheckValue]) {
            Ok(told) => told,
            Err(error) => return Ok(Outcome::unsupported(call(&error))),
        };
        match told.as_slice() {
            [Attribute::CheckValue(value)] if value.as_slice() == right => {
                seen.push(format!("right with {encrypts}"));
            }
            [Attribute::CheckValue(value)] if !value.is_empty() => {
                return Ok(Outcome::differs(format!("wrong with {encrypts}")));
            }
            _ => return Ok(Outcome::unsupported("not told")),
        }
    }
    Ok(Outcome::passed(seen.join(", ")))
}
