//! Finds the private key of a public key on a token, and has it prove itself (promise 6).
//!
//! Labels and ids are hints that tokens, vendors and firmware updates mix up: the two halves of a
//! pair may carry different labels, a restored key another id, and some tokens keep no public
//! object at all. So a private key is taken for what its own public value says, else for what a
//! public object with its id says; where neither says so, it may show by signing. Whatever was found
//! proves itself before its first use by signing a text that verifies under the public key, so a
//! stranger's public object beside a key neither selects that key nor hides it.

use cryptoki::error::Error;
use cryptoki::object::{
    Attribute, AttributeType, KeyType as DeviceKeyType, ObjectClass, ObjectHandle,
};
use cryptoki::session::Session;
use thiserror::Error;
use x509::device::{ec_public_key, ed25519_public_key};
use x509::key::{KeyType, PublicKey, SpkiHash};

use crate::facts::{self, CheckError, KeyName, KeyRefused};
use crate::failure::Pkcs11Failure;
use crate::last_proof::Sighting;
use crate::operation::proves;
use crate::quirks::Quirks;
use crate::recover_point;
use crate::token::TokenName;

/// A key pair that a token shows. The public half is `None` where the token does not tell it.
#[derive(Clone, Debug)]
pub struct KeyEntry {
    /// Label and id of the private key.
    pub name: KeyName,
    /// Its public key, as the token tells it; unproven.
    pub public_key: Option<PublicKey>,
}

/// A private key that was found, and has proven itself.
pub(crate) struct Found {
    pub(crate) handle: ObjectHandle,
    /// How it looked.
    pub(crate) sighting: Sighting,
}

/// A private key that may be the wanted one.
struct Candidate {
    handle: ObjectHandle,
    told: Told,
    /// The public keys of the public objects with its id.
    beside: Vec<PublicKey>,
}

/// What speaks for a private key being the wanted one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// Its own public value.
    Own,
    /// A public object with its id.
    Beside,
    /// Nothing, and nothing that it tells itself against it.
    Silent,
    /// Its own public value is another.
    Against,
}

impl Candidate {
    fn evidence(&self, wanted: &PublicKey) -> Evidence {
        match &self.told.public {
            PublicValue::Key(own) if own == wanted => Evidence::Own,
            PublicValue::Modulus(own)
                if wanted.rsa_parts().is_some_and(|(modulus, _)| modulus == *own) =>
            {
                Evidence::Own
            }
            PublicValue::Nothing if self.beside.contains(wanted) => Evidence::Beside,
            PublicValue::Nothing => Evidence::Silent,
            PublicValue::Key(_) | PublicValue::Modulus(_) => Evidence::Against,
        }
    }

    /// Its own public value, else what is told beside it.
    fn likely(&self) -> Option<PublicKey> {
        self.told.public.likely().or_else(|| self.beside.first().cloned())
    }
}

/// Lists the private keys of the logged-in token with what is told of their public halves.
pub(crate) fn list(session: &Session, token: &TokenName) -> Result<Vec<KeyEntry>, FindKeyError> {
    let failed = |error: Error| FindKeyError::Device(Pkcs11Failure::new(token, &error));
    let mut entries = Vec::new();
    for key_type in DEVICE_KEY_TYPES {
        for candidate in candidates(session, key_type).map_err(failed)? {
            let public_key = candidate.likely();
            entries.push(KeyEntry { name: candidate.told.name, public_key });
        }
    }
    Ok(entries)
}

/// Finds and proves the one private key of `wanted`.
pub(crate) fn find(
    session: &Session,
    token: &TokenName,
    wanted: &PublicKey,
    quirks: &Quirks,
) -> Result<Found, FindKeyError> {
    let failed = |error: Error| FindKeyError::Device(Pkcs11Failure::new(token, &error));
    let key = wanted.spki_hash();
    let all = candidates(session, device_key_type(wanted.key_type())).map_err(failed)?;
    let with = |evidence| -> Vec<&Candidate> {
        all.iter().filter(|candidate| candidate.evidence(wanted) == evidence).collect()
    };
    let own = with(Evidence::Own);
    if let [one] = own.as_slice() {
        let found = found(session, token, wanted, one)?;
        tracing::debug!(token.label = %token.label, key.spki = %key, "key proves itself");
        return if proves(session, one.handle, wanted, quirks).map_err(failed)? {
            Ok(found)
        } else {
            Err(not_proven(token, one, key))
        };
    }
    let mut shown = own;
    let beside = with(Evidence::Beside);
    for keys in [&beside, &with(Evidence::Silent)] {
        if shown.is_empty() {
            shown = shown_by_signing(session, token, wanted, quirks, keys)?;
        }
    }
    match (shown.as_slice(), beside.first()) {
        ([one], _) => found(session, token, wanted, one),
        // It may not be allowed to sign, which its attributes then tell.
        ([], Some(one)) => {
            found(session, token, wanted, one)?;
            Err(not_proven(token, one, key))
        }
        ([], None) => {
            let key_type = wanted.key_type();
            Err(FindKeyError::Missing { token: token.clone(), key, key_type })
        }
        (several, _) => {
            let names = several.iter().map(|candidate| candidate.told.name.to_string()).collect();
            Err(FindKeyError::Duplicate { token: token.clone(), key, names })
        }
    }
}

/// Finds the public key with this hash whose private half may be on the token: among what is told,
/// else among what can be recovered from signatures. Unproven; `None` where neither knows it.
pub(crate) fn by_hash(
    session: &Session,
    token: &TokenName,
    wanted: &SpkiHash,
    quirks: &Quirks,
) -> Result<Option<PublicKey>, FindKeyError> {
    let failed = |error: Error| FindKeyError::Device(Pkcs11Failure::new(token, &error));
    let is_wanted = |key: &PublicKey| key.spki_hash() == *wanted;
    let mut silent = Vec::new();
    for key_type in DEVICE_KEY_TYPES {
        for (_, public_key) in published(session, key_type).map_err(failed)? {
            if is_wanted(&public_key) {
                return Ok(Some(public_key));
            }
        }
        for candidate in candidates(session, key_type).map_err(failed)? {
            match candidate.told.public {
                // One of which something is told beside it needs no signature to be named.
                PublicValue::Nothing => {
                    if key_type == DeviceKeyType::EC && candidate.beside.is_empty() {
                        silent.push(candidate.handle);
                    }
                }
                public => {
                    if let Some(key) = public.possible().find(is_wanted) {
                        return Ok(Some(key));
                    }
                }
            }
        }
    }
    for handle in silent {
        match recover_point::recover(session, handle, quirks) {
            Ok(Some(key)) if is_wanted(&key) => return Ok(Some(key)),
            Ok(_) => {}
            Err(error) => unless_lost(token, &error)?,
        }
    }
    Ok(None)
}

/// Checks what was found (KEY-03), and notes how it looks.
fn found(
    session: &Session,
    token: &TokenName,
    wanted: &PublicKey,
    candidate: &Candidate,
) -> Result<Found, FindKeyError> {
    let name = &candidate.told.name;
    let attributes =
        facts::check(session, candidate.handle, name).map_err(|error| match error {
            CheckError::Refused(source) => FindKeyError::Refused { token: token.clone(), source },
            CheckError::Device(error) => FindKeyError::Device(Pkcs11Failure::new(token, &error)),
        })?;
    let beside = candidate.beside.iter().filter(|key| *key != wanted);
    let strangers = beside.map(PublicKey::spki_hash).collect();
    let sighting = Sighting::new(name.clone(), attributes, strangers);
    Ok(Found { handle: candidate.handle, sighting })
}

fn not_proven(token: &TokenName, candidate: &Candidate, key: SpkiHash) -> FindKeyError {
    FindKeyError::NotProven { token: token.clone(), name: candidate.told.name.clone(), key }
}

/// Has keys sign, and keeps those that sign as `wanted`.
fn shown_by_signing<'a>(
    session: &Session,
    token: &TokenName,
    wanted: &PublicKey,
    quirks: &Quirks,
    keys: &[&'a Candidate],
) -> Result<Vec<&'a Candidate>, FindKeyError> {
    let mut shown = Vec::new();
    for candidate in keys {
        match proves(session, candidate.handle, wanted, quirks) {
            Ok(true) => shown.push(*candidate),
            Ok(false) => {}
            // A key that may not sign does not show itself.
            Err(error) => unless_lost(token, &error)?,
        }
    }
    Ok(shown)
}

/// Passes over what a token refuses, but not over its loss.
fn unless_lost(token: &TokenName, error: &Error) -> Result<(), FindKeyError> {
    let failure = Pkcs11Failure::new(token, error);
    if failure.class().is_lost() { Err(FindKeyError::Device(failure)) } else { Ok(()) }
}

/// The kinds of key that we use.
const DEVICE_KEY_TYPES: [DeviceKeyType; 3] =
    [DeviceKeyType::EC, DeviceKeyType::EC_EDWARDS, DeviceKeyType::RSA];

fn of_class(
    session: &Session,
    class: ObjectClass,
    key_type: DeviceKeyType,
) -> Result<Vec<ObjectHandle>, Error> {
    let class = Attribute::Class(class);
    session.find_objects(&[class, Attribute::Token(true), Attribute::KeyType(key_type)])
}

/// The public objects: id and public key of each that tells both.
fn published(
    session: &Session,
    key_type: DeviceKeyType,
) -> Result<Vec<(Vec<u8>, PublicKey)>, Error> {
    let mut published = Vec::new();
    for handle in of_class(session, ObjectClass::PUBLIC_KEY, key_type)? {
        let told = told(session, handle)?;
        if let PublicValue::Key(public_key) = told.public {
            published.push((told.name.id().to_vec(), public_key));
        }
    }
    Ok(published)
}

fn candidates(session: &Session, key_type: DeviceKeyType) -> Result<Vec<Candidate>, Error> {
    let published = published(session, key_type)?;
    let mut candidates = Vec::new();
    for handle in of_class(session, ObjectClass::PRIVATE_KEY, key_type)? {
        let told = told(session, handle)?;
        let id = told.name.id();
        let beside = published
            .iter()
            .filter(|(of_public, _)| !id.is_empty() && of_public == id)
            .map(|(_, public_key)| public_key.clone())
            .collect();
        candidates.push(Candidate { handle, told, beside });
    }
    Ok(candidates)
}

/// What an object itself tells.
pub(crate) struct Told {
    pub(crate) name: KeyName,
    pub(crate) public: PublicValue,
}

/// What an object tells of the public half of its key.
pub(crate) enum PublicValue {
    Key(PublicKey),
    /// RSA without its public exponent.
    Modulus(Vec<u8>),
    Nothing,
}

/// Public exponents that RSA keys are made with, the usual one first.
const EXPONENTS: [&[u8]; 4] = [&[1, 0, 1], &[3], &[17], &[1, 1]];

impl PublicValue {
    /// The public keys that it may mean, the likely one first.
    pub(crate) fn possible(self) -> impl Iterator<Item = PublicKey> {
        let (key, modulus) = match self {
            Self::Key(key) => (Some(key), None),
            Self::Modulus(modulus) => (None, Some(modulus)),
            Self::Nothing => (None, None),
        };
        let with = move |exponent| PublicKey::from_rsa_parts(modulus.as_deref()?, exponent).ok();
        key.into_iter().chain(EXPONENTS.into_iter().filter_map(with))
    }

    fn likely(&self) -> Option<PublicKey> {
        match self {
            Self::Key(key) => Some(key.clone()),
            Self::Modulus(modulus) => {
                EXPONENTS.first().and_then(|e| PublicKey::from_rsa_parts(modulus, e).ok())
            }
            Self::Nothing => None,
        }
    }
}

/// Reads label, id and public value of a key object of either class.
pub(crate) fn told(session: &Session, handle: ObjectHandle) -> Result<Told, Error> {
    let mut attributes =
        session.get_attributes(handle, &[AttributeType::Label, AttributeType::Id])?;
    // Each by itself: one type that a token does not know must not hide the others.
    for kind in [
        AttributeType::PublicKeyInfo,
        AttributeType::EcPoint,
        AttributeType::Modulus,
        AttributeType::PublicExponent,
    ] {
        attributes.extend(facts::optional(session, handle, &[kind])?);
    }
    let (mut label, mut id, mut info, mut point) = (String::new(), Vec::new(), None, None);
    let (mut modulus, mut exponent) = (None, None);
    for attribute in attributes {
        match attribute {
            Attribute::Label(octets) => label = String::from_utf8_lossy(&octets).into_owned(),
            Attribute::Id(octets) => id = octets,
            Attribute::PublicKeyInfo(octets) => info = Some(octets),
            Attribute::EcPoint(octets) => point = Some(octets),
            Attribute::Modulus(octets) => modulus = without_zeros(octets),
            Attribute::PublicExponent(octets) => exponent = without_zeros(octets),
            _ => {}
        }
    }
    let of_curve =
        |point: Vec<u8>| ec_public_key(&point).or_else(|_| ed25519_public_key(&point)).ok();
    let key = info
        .and_then(|spki| PublicKey::from_spki_der(&spki).ok())
        .or_else(|| point.and_then(of_curve));
    let public = match (key, modulus, exponent) {
        (Some(key), ..) => PublicValue::Key(key),
        (None, Some(modulus), Some(exponent)) => PublicKey::from_rsa_parts(&modulus, &exponent)
            .map_or(PublicValue::Nothing, PublicValue::Key),
        (None, Some(modulus), None) => PublicValue::Modulus(modulus),
        (None, None, _) => PublicValue::Nothing,
    };
    Ok(Told { name: KeyName::new(&label, &id), public })
}

/// An unsigned number as the standard writes it, or `None` for an empty one.
fn without_zeros(octets: Vec<u8>) -> Option<Vec<u8>> {
    let start = octets.iter().position(|octet| *octet != 0)?;
    octets.get(start..).map(<[u8]>::to_vec)
}

/// Reads the public key of a pair that was just made.
pub(crate) fn public_key_of(
    session: &Session,
    handle: ObjectHandle,
) -> Result<Option<PublicKey>, Error> {
    Ok(match told(session, handle)?.public {
        PublicValue::Key(key) => Some(key),
        PublicValue::Modulus(_) | PublicValue::Nothing => None,
    })
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
    /// Whether the key is at fault, so that it must not be used, rather than the way to it.
    pub(crate) const fn is_of_key(&self) -> bool {
        !matches!(self, Self::Device(_))
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modulus_alone_means_a_key_of_each_usual_exponent_the_likely_one_first() {
        let modulus = vec![0xc1; 256];
        let exponents = |value: PublicValue| -> Vec<Vec<u8>> {
            let parts = |key: PublicKey| key.rsa_parts().unwrap().1.to_vec();
            value.possible().map(parts).collect()
        };

        let found = exponents(PublicValue::Modulus(modulus.clone()));

        assert_eq!(found, EXPONENTS.map(<[u8]>::to_vec));
        let likely = PublicValue::Modulus(modulus.clone()).likely().unwrap();
        assert_eq!(likely, PublicKey::from_rsa_parts(&modulus, &[1, 0, 1]).unwrap());
        assert!(exponents(PublicValue::Nothing).is_empty());
    }
}
