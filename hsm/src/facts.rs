//! What a token says of a private key, and what it must say before the key is used (KEY-03).

use std::fmt;
use std::sync::Arc;

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::Session;
use thiserror::Error;

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
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} (CKA_ID ", self.label)?;
        self.id.iter().try_for_each(|octet| write!(f, "{octet:02x}"))?;
        f.write_str(")")
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

/// Checks a private key against [`DEMANDED`]. An attribute that the token does not tell counts as
/// wrong; only CKA_ALWAYS_AUTHENTICATE is optional in the standard (its default is false).
pub(crate) fn check(
    session: &Session,
    key: ObjectHandle,
    name: &KeyName,
) -> Result<(), CheckError> {
    let asked: Vec<AttributeType> = DEMANDED.iter().map(|(kind, ..)| *kind).collect();
    // The binding leaves out what it cannot read, so answers are looked up by type, not by place.
    let answers = session.get_attributes(key, &asked).map_err(CheckError::Device)?;
    for (kind, attribute, demanded) in DEMANDED {
        let answer =
            answers.iter().find(|answer| answer.attribute_type() == kind).and_then(boolean);
        let found = match answer {
            Some(found) if found == demanded => continue,
            None if kind == AttributeType::AlwaysAuthenticate => continue,
            Some(found) => Found::Value(found),
            None => Found::Nothing,
        };
        let name = name.clone();
        return Err(CheckError::Refused(KeyRefused { name, attribute, demanded, found }));
    }
    Ok(())
}

const fn boolean(attribute: &Attribute) -> Option<bool> {
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
        | Attribute::AlwaysAuthenticate(value) => Some(*value),
        _ => None,
    }
}

pub(crate) enum CheckError {
    Refused(KeyRefused),
    Device(Error),
}

/// A key that is not what a key of ours must be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("key {name} has {attribute} {found}, demanded is {demanded}")]
pub struct KeyRefused {
    name: KeyName,
    attribute: &'static str,
    demanded: bool,
    found: Found,
}

impl KeyRefused {
    /// The key.
    #[must_use]
    pub const fn name(&self) -> &KeyName {
        &self.name
    }

    /// The attribute, such as `CKA_EXTRACTABLE`.
    #[must_use]
    pub const fn attribute(&self) -> &'static str {
        self.attribute
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Value(bool),
    Nothing,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => value.fmt(f),
            Self::Nothing => f.write_str("not told"),
        }
    }
}
