//! Makes key pairs inside a token, reads back what came of it, and removes delegates that are done.
//!
//! A half-done run must be found again: a key's CKA_ID is computed from the plan and step that made
//! it, and a second run meets the key of the first ([`GenerateError::IdTaken`]). The id is a hint
//! for that only; keys are used by their public value.

use std::fmt;
use std::time::Duration;

use aws_lc_rs::digest;
use cryptoki::error::Error;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use thiserror::Error;
use x509::device::curve_parameters;
use x509::key::{KeyType, PublicKey};

use crate::classes::FailureClass;
use crate::facts::{self, CheckError, KeyName, KeyRefused};
use crate::failure::Pkcs11Failure;
use crate::find_key::{self, FindKeyError, device_key_type};
use crate::open::OpenError;
use crate::opened::Token;
use crate::operation::proves;
use crate::pool::CallError;
use crate::quirks::Quirks;
use crate::token::TokenName;

/// A CKA_ID of ours: 20 octets, a hint for recovery and never a selector.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyId([u8; 20]);

impl KeyId {
    /// The first 20 octets of SHA-256("sigill-key/1" || plan hash || step id).
    #[must_use]
    pub fn of_step(plan_hash: &[u8; 32], step: &str) -> Self {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"sigill-key/1");
        context.update(plan_hash);
        context.update(step.as_bytes());
        let mut id = [0; 20];
        for (octet, of_digest) in id.iter_mut().zip(context.finish().as_ref()) {
            *octet = *of_digest;
        }
        Self(id)
    }

    /// The 20 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// Whether a key may ever be destroyed by a program (CKA_DESTROYABLE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Never: CA, identity and note keys end with their token.
    Forbidden,
    /// By [`Token::destroy_key`]: delegates that are renewed every few days.
    Allowed,
}

/// A key pair to be made.
#[derive(Clone, Debug)]
pub struct KeyOrder {
    /// Its type; RSA from 2048 bits.
    pub key_type: KeyType,
    /// Its CKA_LABEL, for people.
    pub label: String,
    /// Its CKA_ID, for recovery.
    pub id: KeyId,
    /// Whether it may be destroyed.
    pub removal: Removal,
}

/// The fewest bits of an RSA key that is made here (ETSI TS 119 312).
const MIN_RSA_BITS: u16 = 2048;
/// The most: a token takes minutes for longer ones.
const MAX_RSA_BITS: u16 = 4096;

impl Token {
    /// Makes a key pair in the token and returns its public key, once the private key has been read
    /// back (SENSITIVE, not EXTRACTABLE, made here, for signing only) and has proven itself. Waits
    /// at most `within`; RSA keys of 4096 bits can take a token a minute.
    ///
    /// # Errors
    ///
    /// [`GenerateError`]. Where the key was made and then refused the error names it; it is never
    /// used. Nothing is tried twice, so that no second key appears.
    pub fn generate_key(
        &self,
        order: KeyOrder,
        within: Duration,
    ) -> Result<PublicKey, GenerateError> {
        if let KeyType::Rsa { bits } = order.key_type
            && !(MIN_RSA_BITS..=MAX_RSA_BITS).contains(&bits)
        {
            return Err(GenerateError::KeySize { bits });
        }
        let (name, quirks) = (self.name().clone(), self.quirks());
        self.call(within, move |worker| {
            worker.write(|session| generate(session, &name, &order, &quirks))
        })
        .map_err(|error| self.late(error, within))?
    }

    /// Looks for the key pair that an earlier run made under this id. `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`GenerateError`], also when the id is there more than once or without its public half.
    pub fn key_by_id(&self, id: KeyId) -> Result<Option<PublicKey>, GenerateError> {
        let (name, within) = (self.name().clone(), self.deadline());
        self.call(within, move |worker| worker.write(|session| find_by_id(session, &name, id)))
            .map_err(|error| self.late(error, within))?
    }

    /// Destroys both halves of a key that was made with [`Removal::Allowed`].
    ///
    /// # Errors
    ///
    /// [`GenerateError::Device`] also for a key that may not be destroyed
    /// (`CKR_ACTION_PROHIBITED`).
    pub fn destroy_key(&self, key: &PublicKey) -> Result<(), GenerateError> {
        let (name, within, key) = (self.name().clone(), self.deadline(), key.clone());
        let quirks = self.quirks();
        self.call(within, move |worker| {
            worker.forget_key(&key.spki_hash());
            worker.write(|session| destroy(session, &name, &key, &quirks))
        })
        .map_err(|error| self.late(error, within))?
    }

    fn late(&self, error: CallError, waited: Duration) -> GenerateError {
        let token = self.name().clone();
        match error {
            CallError::BreakerOpen { hung, come_back } => {
                GenerateError::Token(OpenError::BreakerOpen { token, hung, come_back })
            }
            CallError::NotBegun | CallError::NotEnded | CallError::NotSigned => {
                GenerateError::Deadline { token, waited }
            }
        }
    }
}

/// As [`Token::generate_key`], in a session that may write.
pub(crate) fn generate(
    session: &Session,
    token: &TokenName,
    order: &KeyOrder,
    quirks: &Quirks,
) -> Result<PublicKey, GenerateError> {
    let failed = |error: &Error| GenerateError::Device(Pkcs11Failure::new(token, error));
    let same_id = session
        .find_objects(&[Attribute::Id(order.id.as_bytes().to_vec())])
        .map_err(|error| failed(&error))?;
    if !same_id.is_empty() {
        return Err(GenerateError::IdTaken { token: token.clone(), id: order.id });
    }
    let (public, private) = make_pair(session, token, order, &quirks.mechanisms(order.key_type))?;
    let name = KeyName::new(&order.label, order.id.as_bytes());
    let unreadable = || GenerateError::Unreadable { token: token.clone(), name: name.clone() };
    let key = find_key::public_key_of(session, public)
        .map_err(|error| failed(&error))?
        .ok_or_else(unreadable)?;
    if key.key_type() != order.key_type {
        return Err(unreadable());
    }
    facts::check(session, private, &name).map_err(|error| match error {
        CheckError::Refused(source) => GenerateError::Refused { token: token.clone(), source },
        CheckError::Device(error) => failed(&error),
    })?;
    if !proves(session, private, &key, quirks).map_err(|error| failed(&error))? {
        return Err(GenerateError::NotProven { token: token.clone(), name });
    }
    tracing::info!(token.label = %token.label, key.spki = %key.spki_hash(),
        key.id = %order.id, "key pair made");
    Ok(key)
}

/// Tries the spellings of the curve, each first with the attributes that not every token takes.
fn make_pair(
    session: &Session,
    token: &TokenName,
    order: &KeyOrder,
    allowed: &[MechanismType],
) -> Result<(ObjectHandle, ObjectHandle), GenerateError> {
    let mut spellings: Vec<Option<Vec<u8>>> =
        curve_parameters(order.key_type).into_iter().map(Some).collect();
    if spellings.is_empty() {
        spellings.push(None);
    }
    let mechanism = match order.key_type {
        KeyType::EcP256 | KeyType::EcP384 => Mechanism::EccKeyPairGen,
        KeyType::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        KeyType::Rsa { .. } => Mechanism::RsaPkcsKeyPairGen,
    };
    let mut refused = None;
    for curve in spellings {
        for extras in [Extras::All, Extras::None] {
            let (public, private) = templates(order, curve.as_deref(), allowed, extras);
            let failure = match session.generate_key_pair(&mechanism, &public, &private) {
                Ok(pair) => return Ok(pair),
                Err(error) => Pkcs11Failure::new(token, &error),
            };
            if failure.class() != FailureClass::Template {
                return Err(GenerateError::Device(failure));
            }
            refused = Some(failure);
        }
    }
    Err(refused.map_or(GenerateError::NoTemplate { token: token.clone() }, GenerateError::Device))
}

/// Attributes that some tokens do not take; the demanded ones are asserted afterwards.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Extras {
    All,
    None,
}

fn templates(
    order: &KeyOrder,
    curve: Option<&[u8]>,
    allowed: &[MechanismType],
    extras: Extras,
) -> (Vec<Attribute>, Vec<Attribute>) {
    let names = [
        Attribute::Token(true),
        Attribute::Label(order.label.as_bytes().to_vec()),
        Attribute::Id(order.id.as_bytes().to_vec()),
        Attribute::KeyType(device_key_type(order.key_type)),
    ];
    let mut public = names.to_vec();
    public.extend([
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::VerifyRecover(false),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
    ]);
    if let KeyType::Rsa { bits } = order.key_type {
        public.push(Attribute::ModulusBits(u64::from(bits).into()));
        public.push(Attribute::PublicExponent(vec![0x01, 0x00, 0x01]));
    }
    if let Some(curve) = curve {
        public.push(Attribute::EcParams(curve.to_vec()));
    }
    let mut private = names.to_vec();
    private.extend([
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::SignRecover(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
    ]);
    if extras == Extras::All {
        let destroyable = order.removal == Removal::Allowed;
        for template in [&mut public, &mut private] {
            template.extend([
                Attribute::Modifiable(false),
                Attribute::Copyable(false),
                Attribute::Destroyable(destroyable),
            ]);
        }
        private.push(Attribute::AllowedMechanisms(allowed.to_vec()));
    }
    (public, private)
}

fn find_by_id(
    session: &Session,
    token: &TokenName,
    id: KeyId,
) -> Result<Option<PublicKey>, GenerateError> {
    let entries = find_key::list(session, token).map_err(GenerateError::Find)?;
    let mut entries = entries.into_iter().filter(|entry| entry.name.id() == id.as_bytes());
    match (entries.next(), entries.next()) {
        (None, _) => Ok(None),
        (Some(entry), None) => entry
            .public_key
            .map(Some)
            .ok_or_else(|| GenerateError::Unreadable { token: token.clone(), name: entry.name }),
        (Some(_), Some(_)) => Err(GenerateError::IdTaken { token: token.clone(), id }),
    }
}

/// As [`Token::destroy_key`], in a session that may write.
pub(crate) fn destroy(
    session: &Session,
    token: &TokenName,
    key: &PublicKey,
    quirks: &Quirks,
) -> Result<(), GenerateError> {
    let failed = |error: Error| GenerateError::Device(Pkcs11Failure::new(token, &error));
    let private = find_key::find(session, token, key, quirks).map_err(GenerateError::Find)?;
    session.destroy_object(private.handle).map_err(failed)?;
    for public in
        session.find_objects(&[Attribute::Class(ObjectClass::PUBLIC_KEY)]).map_err(failed)?
    {
        if find_key::public_key_of(session, public).map_err(failed)?.as_ref() == Some(key) {
            session.destroy_object(public).map_err(failed)?;
        }
    }
    tracing::info!(token.label = %token.label, key.spki = %key.spki_hash(), "key pair destroyed");
    Ok(())
}

impl From<OpenError> for GenerateError {
    fn from(error: OpenError) -> Self {
        Self::Token(error)
    }
}

/// Why a key was not made, found or destroyed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// Shorter or longer than is allowed.
    #[error("RSA key of {bits} bits is not between 2048 and 4096")]
    KeySize {
        /// What was asked for.
        bits: u16,
    },
    /// An object with this id is there already.
    #[error("token {token} holds the CKA_ID {id} already")]
    IdTaken {
        /// The token.
        token: TokenName,
        /// The id.
        id: KeyId,
    },
    /// The token does not tell the public key of the pair.
    #[error("token {token} does not tell the public key of {name}")]
    Unreadable {
        /// The token.
        token: TokenName,
        /// The key.
        name: KeyName,
    },
    /// The pair was made and is not what was demanded (KEY-03).
    #[error("token {token} made a key that may not be used")]
    Refused {
        /// The token.
        token: TokenName,
        /// What is wrong with it.
        source: KeyRefused,
    },
    /// The pair was made, and its halves differ.
    #[error("key {name} made on token {token} does not sign as its public half")]
    NotProven {
        /// The token.
        token: TokenName,
        /// The key.
        name: KeyName,
    },
    /// We have no template for such keys.
    #[error("no template for such keys is known for token {token}")]
    NoTemplate {
        /// The token.
        token: TokenName,
    },
    /// The token could not be reached.
    #[error("token could not be reached")]
    Token(#[source] OpenError),
    /// The key could not be looked up.
    #[error("key could not be looked up")]
    Find(#[source] FindKeyError),
    /// The token refused.
    #[error("token did not do it")]
    Device(#[source] Pkcs11Failure),
    /// The token did not answer in time; it may still make the key.
    #[error("token {token} did not answer within {waited:?}")]
    Deadline {
        /// The token.
        token: TokenName,
        /// How long the caller waited.
        waited: Duration,
    },
}

impl GenerateError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::KeySize { .. } => "hsm-key-size",
            Self::IdTaken { .. } => "hsm-key-id-taken",
            Self::Unreadable { .. } => "hsm-key-unreadable",
            Self::Refused { .. } => "hsm-key-refused",
            Self::NotProven { .. } => "hsm-key-not-proven",
            Self::NoTemplate { .. } => "hsm-key-template",
            Self::Token(error) => error.code(),
            Self::Find(error) => error.code(),
            Self::Device(_) => "hsm-generate",
            Self::Deadline { .. } => "hsm-generate-deadline",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::KeySize { .. } => "correct the plan",
            Self::IdTaken { .. } => "an earlier run made it; resume that run, or use another plan",
            Self::Unreadable { .. } | Self::Refused { .. } | Self::NotProven { .. } => {
                "do not use the key; record it, and ask the token's vendor for its key templates"
            }
            Self::NoTemplate { .. } => "use another key type",
            Self::Token(error) => error.next_step(),
            Self::Find(error) => error.next_step(),
            Self::Device(failure) => failure.next_step(),
            Self::Deadline { .. } => "wait, then run again: it finds a key that was made meanwhile",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's hashlib.
    #[test]
    fn the_id_of_a_step_is_fixed() {
        let id = KeyId::of_step(&[0; 32], "root-1");

        assert_eq!(id.to_string(), "ae56d793952c12a13424ce2cf90465dc719055dd");
        assert_ne!(id, KeyId::of_step(&[1; 32], "root-1"));
        assert_ne!(id, KeyId::of_step(&[0; 32], "root-2"));
    }
}
