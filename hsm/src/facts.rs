//! What a token says of a key, and what it must say of a private key before that is used (KEY-03).

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use cryptoki::error::Error;
use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use thiserror::Error;

use crate::classes::is_gone;

/// A private key as an operator knows it: label and CKA_ID. Names it in errors, never selects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyName {
    label: Arc<str>,
    id: Arc<[u8]>,
}

impl KeyName {
    pub(crate) fn new(label: &str, id: &[u8]) -> Self {
        Self { label: label.into(), id: id.into() }
    }

    /// Its CKA_LABEL.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Its CKA_ID.
    #[must_use]
    pub fn id(&self) -> &[u8] {
        &self.id
    }

    /// Its CKA_ID in lower-case hexadecimal.
    #[must_use]
    pub fn hexadecimal_id(&self) -> String {
        self.id.iter().fold(String::new(), |mut text, octet| {
            // Writing to a String cannot fail.
            let _infallible = write!(text, "{octet:02x}");
            text
        })
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (CKA_ID {})", self.label, self.hexadecimal_id())
    }
}

/// The value of an attribute, as the token tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// Yes or no.
    Flag(bool),
    /// The standard's name of a mechanism, such as `CKM_EC_KEY_PAIR_GEN`.
    Mechanism(String),
    /// Names of mechanisms.
    Mechanisms(Vec<String>),
}

impl fmt::Display for AttributeValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(value) => value.fmt(f),
            Self::Mechanism(name) => f.write_str(name),
            Self::Mechanisms(names) => f.write_str(&names.join(" ")),
        }
    }
}

/// The attributes of a key by their names in the standard. What the token does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyAttributes(BTreeMap<&'static str, AttributeValue>);

impl KeyAttributes {
    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &AttributeValue)> {
        self.0.iter().map(|(name, value)| (*name, value))
    }

    /// One of them, such as `CKA_EXTRACTABLE`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&AttributeValue> {
        self.0.get(name)
    }

    /// Whether one that is yes or no is set, by its name in plans of ceremonies, such as `extractable`; `None` where it is not
    /// told.
    #[must_use]
    pub fn flag(&self, name: &str) -> Option<bool> {
        match self.value(&format!("CKA_{}", name.to_uppercase())) {
            Some(AttributeValue::Flag(flag)) => Some(*flag),
            _ => None,
        }
    }

    fn take(&mut self, names: &[(AttributeType, &'static str)], answers: &[Attribute]) {
        for answer in answers {
            let kind = answer.attribute_type();
            let name = names.iter().find(|(named, _)| *named == kind);
            if let (Some((_, name)), Some(value)) = (name, value(answer)) {
                self.0.insert(name, value);
            }
        }
    }
}

/// What every private key of ours must be: made in its token, never outside it, for signing only.
const DEMANDED: [(AttributeType, &str, bool); 13] = [
    (AttributeType::Token, "CKA_TOKEN", true),
    (AttributeType::Private, "CKA_PRIVATE", true),
    (AttributeType::Sensitive, "CKA_SENSITIVE", true),
    (AttributeType::AlwaysSensitive, "CKA_ALWAYS_SENSITIVE", true),
    (AttributeType::Extractable, "CKA_EXTRACTABLE", false),
    (AttributeType::NeverExtractable, "CKA_NEVER_EXTRACTABLE", true),
    (AttributeType::Local, "CKA_LOCAL", true),
    (AttributeType::Sign, "CKA_SIGN", true),
    (AttributeType::SignRecover, "CKA_SIGN_RECOVER", false),
    (AttributeType::Decrypt, "CKA_DECRYPT", false),
    (AttributeType::Unwrap, "CKA_UNWRAP", false),
    (AttributeType::Derive, "CKA_DERIVE", false),
    (AttributeType::AlwaysAuthenticate, "CKA_ALWAYS_AUTHENTICATE", false),
];

/// What else is told of a key, and demanded of none: usage of its public half, what may be done with
/// the object, and where it came from.
const TOLD: [(AttributeType, &str); 11] = [
    (AttributeType::KeyGenMechanism, KEY_GEN_MECHANISM),
    (AttributeType::AllowedMechanisms, "CKA_ALLOWED_MECHANISMS"),
    (AttributeType::Modifiable, "CKA_MODIFIABLE"),
    (AttributeType::Copyable, "CKA_COPYABLE"),
    (AttributeType::Destroyable, "CKA_DESTROYABLE"),
    (AttributeType::WrapWithTrusted, "CKA_WRAP_WITH_TRUSTED"),
    (AttributeType::Trusted, "CKA_TRUSTED"),
    (AttributeType::Verify, "CKA_VERIFY"),
    (AttributeType::VerifyRecover, "CKA_VERIFY_RECOVER"),
    (AttributeType::Encrypt, "CKA_ENCRYPT"),
    (AttributeType::Wrap, "CKA_WRAP"),
];

const KEY_GEN_MECHANISM: &str = "CKA_KEY_GEN_MECHANISM";

/// What makes key pairs inside a token.
const GENERATORS: [MechanismType; 3] = [
    MechanismType::ECC_KEY_PAIR_GEN,
    MechanismType::ECC_EDWARDS_KEY_PAIR_GEN,
    MechanismType::RSA_PKCS_KEY_PAIR_GEN,
];

/// Reads the attributes that [`refusals`] judges. Those of a session that is gone are an error.
fn judged(session: &Session, key: ObjectHandle) -> Result<KeyAttributes, Error> {
    let names: Vec<_> = DEMANDED.iter().map(|(kind, name, _)| (*kind, *name)).collect();
    let kinds: Vec<AttributeType> = names.iter().map(|(kind, _)| *kind).collect();
    let mut attributes = KeyAttributes::default();
    // The binding leaves out what it cannot read, so answers are looked up by type, not by place.
    attributes.take(&names, &session.get_attributes(key, &kinds)?);
    attributes.take(&TOLD, &optional(session, key, &[AttributeType::KeyGenMechanism])?);
    Ok(attributes)
}

/// Reads all that a token tells of a key of any class.
pub(crate) fn all(session: &Session, key: ObjectHandle) -> Result<KeyAttributes, Error> {
    let demanded = DEMANDED.iter().map(|(kind, name, _)| (*kind, *name));
    let names: Vec<_> = demanded.chain(TOLD).collect();
    let kinds: Vec<AttributeType> = names.iter().map(|(kind, _)| *kind).collect();
    let mut attributes = KeyAttributes::default();
    for some in kinds.chunks(DEMANDED.len()) {
        attributes.take(&names, &optional(session, key, some)?);
    }
    Ok(attributes)
}

/// Checks a private key against [`DEMANDED`] and returns what it was judged by. An attribute that
/// the token does not tell counts as wrong; only CKA_ALWAYS_AUTHENTICATE is optional in the standard
/// (its default is false).
pub(crate) fn check(
    session: &Session,
    key: ObjectHandle,
    name: &KeyName,
) -> Result<KeyAttributes, CheckError> {
    let attributes = judged(session, key).map_err(CheckError::Device)?;
    match refusals(&attributes, name).into_iter().next() {
        Some(refused) => Err(CheckError::Refused(refused)),
        None => Ok(attributes),
    }
}

/// All that is wrong with a private key, the gravest first as [`DEMANDED`] lists them.
pub(crate) fn refusals(attributes: &KeyAttributes, name: &KeyName) -> Vec<KeyRefused> {
    let refused = |attribute, demanded, found: Option<&AttributeValue>| {
        let found = found.map_or_else(|| "not told".to_owned(), ToString::to_string);
        let wrong = Box::new(Wrong { attribute, demanded, found });
        KeyRefused { name: name.clone(), wrong }
    };
    let mut refusals = Vec::new();
    for (kind, attribute, demanded) in DEMANDED {
        let found = attributes.value(attribute);
        let untold = found.is_none() && kind == AttributeType::AlwaysAuthenticate;
        if found != Some(&AttributeValue::Flag(demanded)) && !untold {
            refusals.push(refused(attribute, if demanded { "true" } else { "false" }, found));
        }
    }
    let generator = attributes.value(KEY_GEN_MECHANISM);
    let made_here = |value: &AttributeValue| {
        let value = value.to_string();
        GENERATORS.iter().any(|mechanism| mechanism.to_string() == value)
    };
    if generator.is_some_and(|value| !made_here(value)) {
        refusals.push(refused(KEY_GEN_MECHANISM, "one that makes key pairs", generator));
    }
    refusals
}

/// The value of an attribute that is a CK_BBOOL; `None` for others.
pub(crate) const fn flag(attribute: &Attribute) -> Option<bool> {
    match attribute {
        Attribute::Token(value)
        | Attribute::Private(value)
        | Attribute::Sensitive(value)
        | Attribute::AlwaysSensitive(value)
        | Attribute::Extractable(value)
        | Attribute::NeverExtractable(value)
        | Attribute::Local(value)
        | Attribute::Sign(value)
        | Attribute::SignRecover(value)
        | Attribute::Decrypt(value)
        | Attribute::Unwrap(value)
        | Attribute::Derive(value)
        | Attribute::AlwaysAuthenticate(value)
        | Attribute::Modifiable(value)
        | Attribute::Copyable(value)
        | Attribute::Destroyable(value)
        | Attribute::WrapWithTrusted(value)
        | Attribute::Trusted(value)
        | Attribute::Verify(value)
        | Attribute::VerifyRecover(value)
        | Attribute::Encrypt(value)
        | Attribute::Wrap(value) => Some(*value),
        _ => None,
    }
}

fn value(attribute: &Attribute) -> Option<AttributeValue> {
    if let Some(flag) = flag(attribute) {
        return Some(AttributeValue::Flag(flag));
    }
    match attribute {
        Attribute::KeyGenMechanism(mechanism) => {
            Some(AttributeValue::Mechanism(mechanism.to_string()))
        }
        Attribute::AllowedMechanisms(mechanisms) => {
            let mut names: Vec<String> = mechanisms.iter().map(ToString::to_string).collect();
            names.sort();
            Some(AttributeValue::Mechanisms(names))
        }
        _ => None,
    }
}

/// Reads attributes that a token need not know. Where it refuses them together, each is asked for
/// by itself, so that one that it does not know hides no other; those that it refuses are left out.
/// An answer that says nothing of an attribute, as of a broken link, is an error.
pub(crate) fn optional(
    session: &Session,
    object: ObjectHandle,
    kinds: &[AttributeType],
) -> Result<Vec<Attribute>, Error> {
    let refused = match session.get_attributes(object, kinds) {
        Ok(told) => return Ok(told),
        Err(error) => error,
    };
    if is_gone(&refused) {
        return Err(refused);
    }
    if kinds.len() < 2 {
        return Ok(Vec::new());
    }
    let mut told = Vec::new();
    for kind in kinds {
        told.extend(optional(session, object, &[*kind])?);
    }
    Ok(told)
}

pub(crate) enum CheckError {
    Refused(KeyRefused),
    Device(Error),
}

/// A key that is not what a key of ours must be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("key {name} has {} {}, demanded is {}", wrong.attribute, wrong.found, wrong.demanded)]
pub struct KeyRefused {
    name: KeyName,
    wrong: Box<Wrong>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wrong {
    attribute: &'static str,
    demanded: &'static str,
    found: String,
}

impl KeyRefused {
    /// The key.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The attribute, such as `CKA_EXTRACTABLE`.
    #[must_use]
    pub fn attribute(&self) -> &'static str {
        self.wrong.attribute
    }

    /// What it must be.
    #[must_use]
    pub fn demanded(&self) -> &'static str {
        self.wrong.demanded
    }

    /// What the token tells, or `not told`.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.wrong.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(changed: &'static str, value: Option<AttributeValue>) -> KeyAttributes {
        let right = DEMANDED.map(|(_, name, demanded)| (name, AttributeValue::Flag(demanded)));
        let mut attributes = KeyAttributes(BTreeMap::from(right));
        match value {
            Some(value) => attributes.0.insert(changed, value),
            None => attributes.0.remove(changed),
        };
        attributes
    }

    /// KEY-03: each attribute by itself, wrong and untold.
    #[test]
    fn names_each_attribute_that_is_wrong_or_not_told() {
        let name = KeyName::new("k", &[1]);
        for (kind, attribute, demanded) in DEMANDED {
            let wrong = told(attribute, Some(AttributeValue::Flag(!demanded)));
            let [refused]: [KeyRefused; 1] = refusals(&wrong, &name).try_into().unwrap();
            assert_eq!(refused.attribute(), attribute);
            assert_eq!(refused.found(), (!demanded).to_string());

            let untold = refusals(&told(attribute, None), &name);
            assert_eq!(untold.is_empty(), kind == AttributeType::AlwaysAuthenticate, "{attribute}");
        }
        let right = told("CKA_SIGN", Some(AttributeValue::Flag(true)));
        assert!(refusals(&right, &name).is_empty());
        assert_eq!(right.flag("sign"), Some(true));
        assert_eq!((right.flag("extractable"), right.flag("modifiable")), (Some(false), None));
    }

    /// KEY-03: where the token tells how the key came about, it must have been made as a pair.
    #[test]
    fn refuses_a_key_that_came_about_by_another_mechanism() {
        let name = KeyName::new("k", &[1]);
        let by = |mechanism: &str| {
            refusals(
                &told(KEY_GEN_MECHANISM, Some(AttributeValue::Mechanism(mechanism.into()))),
                &name,
            )
        };
        for generator in GENERATORS {
            assert!(by(&generator.to_string()).is_empty(), "{generator}");
        }
        let [refused]: [KeyRefused; 1] = by("CKM_AES_KEY_WRAP").try_into().unwrap();
        assert!(
            refused.to_string().contains("CKA_KEY_GEN_MECHANISM CKM_AES_KEY_WRAP"),
            "{refused}"
        );
    }
}
