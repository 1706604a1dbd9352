//! Finds the private key of a public key on a token, and has it prove itself (promise 6).
//!
//! Labels and ids are hints that tokens, vendors and firmware updates mix up: the two halves of a
//! pair may carry different labels, a restored key another id, and some tokens keep no public
//! object at all. So a private key is taken for what its own public value says, else for what a
//! public object with its id says, and where neither tells, it may show by signing. Whatever was
//! found proves itself before its first use by signing a text that verifies under the public key.

use cryptoki::error::Error;
use cryptoki::object::{
    Attribute, AttributeType, KeyType as DeviceKeyType, ObjectClass, ObjectHandle,
};
use cryptoki::session::Session;
use thiserror::Error;
use x509::device::{ec_public_key, ed25519_public_key};
use x509::key::{KeyType, PublicKey, SpkiHash};

use crate::facts::{self, CheckError, KeyName, KeyRefused};
use crate::failure::{FailureClass, Pkcs11Failure};
use crate::operation::proves;
use crate::token::TokenName;

/// A key pair that a token shows. The public half is `None` where the token does not tell it.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// Label and id of the private key.
    pub name: KeyName,
    /// Its public key, as the token tells it; unproven.
    pub public_key: Option<PublicKey>,
}

/// A private key that may be the wanted one.
struct Candidate {
    handle: ObjectHandle,
    name: KeyName,
    /// `None`: nothing on the token tells its public key.
    public_keys: Option<Vec<PublicKey>>,
}

impl Candidate {
    fn may_be(&self, wanted: &PublicKey) -> bool {
        self.public_keys.as_ref().is_some_and(|keys| keys.contains(wanted))
    }
}

/// Lists the private keys of the logged-in token with what is told of their public halves.
pub(crate) fn list(session: &Session, token: &TokenName) -> Result<Vec<KeyEntry>, FindKeyError> {
    let failed = |error: Error| FindKeyError::Device(Pkcs11Failure::new(token, &error));
    let mut entries = Vec::new();
    for key_type in [DeviceKeyType::EC, DeviceKeyType::EC_EDWARDS, DeviceKeyType::RSA] {
        for candidate in candidates(session, key_type).map_err(failed)? {
            let public_key = candidate.public_keys.and_then(|keys| keys.into_iter().next());
            entries.push(KeyEntry { name: candidate.name, public_key });
        }
    }
    Ok(entries)
}

/// Finds and proves the one private key of `wanted`.
pub(crate) fn find(
    session: &Session,
    token: &TokenName,
    wanted: &PublicKey,
) -> Result<ObjectHandle, FindKeyError> {
    let failed = |error: Error| FindKeyError::Device(Pkcs11Failure::new(token, &error));
    let key = wanted.spki_hash();
    let (told, silent): (Vec<Candidate>, Vec<Candidate>) =
        candidates(session, device_key_type(wanted.key_type()))
            .map_err(failed)?
            .into_iter()
            .partition(|candidate| candidate.public_keys.is_some());
    let told: Vec<Candidate> =
        told.into_iter().filter(|candidate| candidate.may_be(wanted)).collect();
    let found =
        if told.is_empty() { shown_by_signing(session, token, wanted, silent)? } else { told };
    match found.as_slice() {
        [one] => {
            check(session, token, one)?;
            tracing::debug!(token.label = %token.label, key.spki = %key, "key proves itself");
            if proves(session, one.handle, wanted).map_err(failed)? {
                return Ok(one.handle);
            }
            Err(FindKeyError::NotProven { token: token.clone(), name: one.name.clone(), key })
        }
        [] => {
            let key_type = wanted.key_type();
            Err(FindKeyError::Missing { token: token.clone(), key, key_type })
        }
        several => {
            let names = several.iter().map(|candidate| candidate.name.to_string()).collect();
            Err(FindKeyError::Duplicate { token: token.clone(), key, names })
        }
    }
}

/// Has keys of which nothing is told sign, and keeps those that sign as `wanted`.
fn shown_by_signing(
    session: &Session,
    token: &TokenName,
    wanted: &PublicKey,
    silent: Vec<Candidate>,
) -> Result<Vec<Candidate>, FindKeyError> {
    let mut shown = Vec::new();
    for candidate in silent {
        match proves(session, candidate.handle, wanted) {
            Ok(true) => shown.push(candidate),
            Ok(false) => {}
            Err(error) => {
                let failure = Pkcs11Failure::new(token, &error);
                if failure.class() == FailureClass::SessionLost {
                    return Err(FindKeyError::Device(failure));
                }
                // A key that may not sign is not the wanted one.
            }
        }
    }
    Ok(shown)
}

fn check(session: &Session, token: &TokenName, candidate: &Candidate) -> Result<(), FindKeyError> {
    facts::check(session, candidate.handle, &candidate.name).map_err(|error| match error {
        CheckError::Refused(source) => FindKeyError::Refused { token: token.clone(), source },
        CheckError::Device(error) => FindKeyError::Device(Pkcs11Failure::new(token, &error)),
    })
}

fn candidates(session: &Session, key_type: DeviceKeyType) -> Result<Vec<Candidate>, Error> {
    let of_class = |class| {
        session.find_objects(&[
            Attribute::Class(class),
            Attribute::Token(true),
            Attribute::KeyType(key_type),
        ])
    };
    let mut published: Vec<(Vec<u8>, PublicKey)> = Vec::new();
    for handle in of_class(ObjectClass::PUBLIC_KEY)? {
        let told = told(session, handle)?;
        if let Some(public_key) = told.public_key {
            published.push((told.name.id().to_vec(), public_key));
        }
    }
    let mut candidates = Vec::new();
    for handle in of_class(ObjectClass::PRIVATE_KEY)? {
        let Told { name, public_key } = told(session, handle)?;
        let by_id = || -> Vec<PublicKey> {
            published
                .iter()
                .filter(|(id, _)| !id.is_empty() && id == name.id())
                .map(|(_, public_key)| public_key.clone())
                .collect()
        };
        let public_keys = match public_key {
            Some(own) => Some(vec![own]),
            None => Some(by_id()).filter(|keys| !keys.is_empty()),
        };
        candidates.push(Candidate { handle, name, public_keys });
    }
    Ok(candidates)
}

/// What an object itself tells.
struct Told {
    name: KeyName,
    public_key: Option<PublicKey>,
}

/// Reads the public value of a key object of either class.
fn told(session: &Session, handle: ObjectHandle) -> Result<Told, Error> {
    // Each by itself: one type that a token does not know must not hide the others.
    let mut attributes =
        session.get_attributes(handle, &[AttributeType::Label, AttributeType::Id])?;
    for kinds in [
        &[AttributeType::PublicKeyInfo][..],
        &[AttributeType::EcPoint],
        &[AttributeType::Modulus, AttributeType::PublicExponent],
    ] {
        attributes.extend(session.get_attributes(handle, kinds).unwrap_or_default());
    }
    let (mut label, mut id, mut info, mut point) = (String::new(), Vec::new(), None, None);
    let (mut modulus, mut exponent) = (None, None);
    for attribute in attributes {
        match attribute {
            Attribute::Label(octets) => label = String::from_utf8_lossy(&octets).into_owned(),
            Attribute::Id(octets) => id = octets,
            Attribute::PublicKeyInfo(octets) => info = Some(octets),
            Attribute::EcPoint(octets) => point = Some(octets),
            Attribute::Modulus(octets) => modulus = Some(octets),
            Attribute::PublicExponent(octets) => exponent = Some(octets),
            _ => {}
        }
    }
    let public_key = info
        .and_then(|spki| PublicKey::from_spki_der(&spki).ok())
        .or_else(|| {
            let point = point?;
            ec_public_key(&point).or_else(|_| ed25519_public_key(&point)).ok()
        })
        .or_else(|| PublicKey::from_rsa_parts(&modulus?, &exponent?).ok());
    Ok(Told { name: KeyName::new(&label, &id), public_key })
}

/// Reads the public key of a pair that was just made.
pub(crate) fn public_key_of(
    session: &Session,
    handle: ObjectHandle,
) -> Result<Option<PublicKey>, Error> {
    Ok(told(session, handle)?.public_key)
}

pub(crate) const fn device_key_type(key_type: KeyType) -> DeviceKeyType {
    match key_type {
        KeyType::EcP256 | KeyType::EcP384 => DeviceKeyType::EC,
        KeyType::Ed25519 => DeviceKeyType::EC_EDWARDS,
        KeyType::Rsa { .. } => DeviceKeyType::RSA,
    }
}

/// Why a key was not found or may not be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FindKeyError {
    /// No private key of the token is the wanted one.
    #[error("token {token} holds no {key_type} private key with the SPKI hash {key}")]
    Missing {
        /// The token.
        token: TokenName,
        /// The key.
        key: SpkiHash,
        /// Its type.
        key_type: KeyType,
    },
    /// Several private keys are the wanted one.
    #[error("token {token} holds the key {key} more than once: {names:?}")]
    Duplicate {
        /// The token.
        token: TokenName,
        /// The key.
        key: SpkiHash,
        /// Labels and ids of all of them.
        names: Vec<String>,
    },
    /// The key is not what a key of ours must be (KEY-03).
    #[error("token {token} holds a key that may not be used")]
    Refused {
        /// The token.
        token: TokenName,
        /// What is wrong with it.
        source: KeyRefused,
    },
    /// Its signatures do not verify under the public key that the token shows for it.
    #[error("key {name} on token {token} does not sign as the public key {key}")]
    NotProven {
        /// The token.
        token: TokenName,
        /// The private key.
        name: KeyName,
        /// The public key that it should belong to.
        key: SpkiHash,
    },
    /// A call failed.
    #[error("keys could not be read")]
    Device(#[source] Pkcs11Failure),
}

impl FindKeyError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "hsm-key-missing",
            Self::Duplicate { .. } => "hsm-key-duplicate",
            Self::Refused { .. } => "hsm-key-refused",
            Self::NotProven { .. } => "hsm-key-not-proven",
            Self::Device(_) => "hsm-key-read",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "check that this is the token that the key was made in",
            Self::Duplicate { .. } => "find out how the copies came about and remove all but one",
            Self::Refused { .. } => "make a new key in the token; this one may be known elsewhere",
            Self::NotProven { .. } => {
                "compare the token's objects with the inventory; public and private half differ"
            }
            Self::Device(failure) => failure.next_step(),
        }
    }
}
