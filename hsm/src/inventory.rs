//! Reads all that stands on a token, for an inventory. Nothing here chooses a key to sign with.
//!
//! What is read is what the token tells. Only where proofs are asked for does a key sign: the text of
//! a proof, and an EC key of which nothing is told also a fixed text from which its public key is
//! recovered.

use std::collections::HashMap;

use aws_lc_rs::digest;
use cryptoki::error::Error;
use cryptoki::object::{
    Attribute, AttributeType, KeyType as DeviceKeyType, ObjectClass, ObjectHandle,
};
use cryptoki::session::Session;
use x509::import::ImportedCertificate;
use x509::key::{KeyType, PublicKey};

use crate::classes::is_gone;
use crate::facts::{self, KeyAttributes, KeyName, KeyRefused};
use crate::failure::Pkcs11Failure;
use crate::find_key::{self, PublicValue};
use crate::operation::proves;
use crate::quirks::Quirks;
use crate::recover_point;

/// Whether the private keys sign for an inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proofs {
    /// Nothing is signed.
    None,
    /// Each private key proves itself.
    Every,
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// CKO_PRIVATE_KEY.
    PrivateKey,
    /// CKO_PUBLIC_KEY.
    PublicKey,
    /// CKO_SECRET_KEY.
    SecretKey,
    /// CKO_CERTIFICATE.
    Certificate,
    /// Anything else.
    Other,
}

impl ObjectKind {
    /// Its name in inventories.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PrivateKey => "private-key",
            Self::PublicKey => "public-key",
            Self::SecretKey => "secret-key",
            Self::Certificate => "certificate",
            Self::Other => "other",
        }
    }
}

/// One object of a token.
#[derive(Clone, Debug)]
pub struct Holding {
    /// What it is.
    pub kind: ObjectKind,
    /// Label and id.
    pub name: KeyName,
    /// Its type, such as `ec-p256`, `rsa-3072`, `CKK_AES` or `X.509`; `unknown` where it is not told.
    pub key_type: String,
    /// The public half of its key.
    pub public: Half,
    /// Whether it signs so; for private keys alone.
    pub proof: KeyProof,
    /// Its attributes; for keys alone.
    pub attributes: KeyAttributes,
    /// What is wrong with it as a key of ours (KEY-03); for private keys alone.
    pub refusals: Vec<KeyRefused>,
    /// SHA-256 of a certificate's DER.
    pub certificate_sha256: Option<[u8; 32]>,
}

/// How the public half of a key is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Half {
    /// The object tells it itself.
    Told(PublicKey),
    /// One public object or certificate with its id tells it.
    Beside(PublicKey),
    /// RSA without its exponent: 65537 is taken for it.
    Assumed(PublicKey),
    /// It was recovered from signatures.
    Recovered(PublicKey),
    /// Nothing is told, several objects with its id tell different ones, or it has none.
    Unknown,
}

impl Half {
    /// The public key.
    #[must_use]
    pub const fn key(&self) -> Option<&PublicKey> {
        match self {
            Self::Told(key) | Self::Beside(key) | Self::Assumed(key) | Self::Recovered(key) => {
                Some(key)
            }
            Self::Unknown => None,
        }
    }

    /// How it is known, as inventories write it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Told(_) => "told",
            Self::Beside(_) => "beside",
            Self::Assumed(_) => "assumed",
            Self::Recovered(_) => "recovered",
            Self::Unknown => "unknown",
        }
    }
}

/// What came of having a private key prove itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyProof {
    /// It was not asked to.
    NotAsked,
    /// It signs as its public half.
    Proven,
    /// It signs, and not as what the token tells of it.
    Refuted {
        /// What the token tells, if anything.
        told: Option<PublicKey>,
    },
    /// Its public half is not known, so that nothing could be verified.
    NothingToProve,
    /// It does not sign: the refused call.
    Refused(Pkcs11Failure),
}

/// Reads all token objects: private keys first, each kind by label and id.
pub(crate) fn read(
    session: &Session,
    proofs: Proofs,
    quirks: &Quirks,
) -> Result<Vec<Holding>, Error> {
    let mut holdings = Vec::new();
    let mut handles = Vec::new();
    for handle in session.find_objects(&[Attribute::Token(true)])? {
        let holding = one(session, handle)?;
        if holding.kind == ObjectKind::PrivateKey {
            handles.push((holdings.len(), handle));
        }
        holdings.push(holding);
    }
    tell_by_id(&mut holdings);
    if proofs == Proofs::Every {
        for (place, handle) in handles {
            if let Some(holding) = holdings.get_mut(place) {
                prove(session, handle, holding, quirks)?;
            }
        }
    }
    holdings.sort_by(|one, other| {
        let key = |holding: &Holding| {
            (holding.kind, holding.name.label().to_owned(), holding.name.id().to_vec())
        };
        key(one).cmp(&key(other))
    });
    Ok(holdings)
}

fn one(session: &Session, handle: ObjectHandle) -> Result<Holding, Error> {
    let told = facts::optional(session, handle, &[AttributeType::Class])?;
    let kind = told.iter().find_map(|attribute| match attribute {
        Attribute::Class(class) => Some(kind_of(*class)),
        _ => None,
    });
    match kind.unwrap_or(ObjectKind::Other) {
        ObjectKind::Certificate => certificate(session, handle),
        ObjectKind::Other => other(session, handle),
        kind => key(session, handle, kind),
    }
}

const fn kind_of(class: ObjectClass) -> ObjectKind {
    match class {
        ObjectClass::PRIVATE_KEY => ObjectKind::PrivateKey,
        ObjectClass::PUBLIC_KEY => ObjectKind::PublicKey,
        ObjectClass::SECRET_KEY => ObjectKind::SecretKey,
        ObjectClass::CERTIFICATE => ObjectKind::Certificate,
        _ => ObjectKind::Other,
    }
}

fn key(session: &Session, handle: ObjectHandle, kind: ObjectKind) -> Result<Holding, Error> {
    let (name, public) = if kind == ObjectKind::SecretKey {
        (name_of(session, handle)?, Half::Unknown)
    } else {
        let told = find_key::told(session, handle)?;
        let half = match told.public {
            PublicValue::Key(key) => Half::Told(key),
            value @ PublicValue::Modulus(_) => {
                value.possible().next().map_or(Half::Unknown, Half::Assumed)
            }
            PublicValue::Nothing => Half::Unknown,
        };
        (told.name, half)
    };
    let attributes = facts::all(session, handle)?;
    let refusals = match kind {
        ObjectKind::PrivateKey => facts::refusals(&attributes, &name),
        _ => Vec::new(),
    };
    let key_type = match public.key() {
        Some(key) => key.key_type().to_string(),
        None => key_type(session, handle)?,
    };
    Ok(Holding {
        kind,
        name,
        key_type,
        public,
        proof: KeyProof::NotAsked,
        attributes,
        refusals,
        certificate_sha256: None,
    })
}

/// The type of a key whose public value is not told.
fn key_type(session: &Session, handle: ObjectHandle) -> Result<String, Error> {
    if let Some(curve) = recover_point::curve(session, handle)? {
        return Ok(curve.to_string());
    }
    let told = facts::optional(session, handle, &[AttributeType::KeyType])?;
    let named = told.into_iter().find_map(|attribute| match attribute {
        Attribute::KeyType(key_type) => Some(key_type),
        _ => None,
    });
    Ok(match named {
        Some(DeviceKeyType::EC) => "ec on another curve".to_owned(),
        Some(DeviceKeyType::RSA) => "rsa".to_owned(),
        Some(other) => other.to_string(),
        None => "unknown".to_owned(),
    })
}

fn certificate(session: &Session, handle: ObjectHandle) -> Result<Holding, Error> {
    let told = facts::optional(session, handle, &[AttributeType::Value])?;
    let der = told.into_iter().find_map(|attribute| match attribute {
        Attribute::Value(octets) => Some(octets),
        _ => None,
    });
    let read = der.as_deref().and_then(|der| ImportedCertificate::from_der(der).ok());
    let public = read
        .as_ref()
        .and_then(ImportedCertificate::public_key)
        .map_or(Half::Unknown, |key| Half::Told(key.clone()));
    let sha256 = der
        .and_then(|der| <[u8; 32]>::try_from(digest::digest(&digest::SHA256, &der).as_ref()).ok());
    Ok(Holding {
        kind: ObjectKind::Certificate,
        name: name_of(session, handle)?,
        key_type: if read.is_some() { "X.509" } else { "unknown" }.to_owned(),
        public,
        proof: KeyProof::NotAsked,
        attributes: KeyAttributes::default(),
        refusals: Vec::new(),
        certificate_sha256: sha256,
    })
}

fn other(session: &Session, handle: ObjectHandle) -> Result<Holding, Error> {
    let told = facts::optional(session, handle, &[AttributeType::Class])?;
    let class = told.iter().find_map(|attribute| match attribute {
        Attribute::Class(class) => Some(class.to_string()),
        _ => None,
    });
    Ok(Holding {
        kind: ObjectKind::Other,
        name: name_of(session, handle)?,
        key_type: class.unwrap_or_else(|| "unknown".to_owned()),
        public: Half::Unknown,
        proof: KeyProof::NotAsked,
        attributes: KeyAttributes::default(),
        refusals: Vec::new(),
        certificate_sha256: None,
    })
}

fn name_of(session: &Session, handle: ObjectHandle) -> Result<KeyName, Error> {
    let kinds = [AttributeType::Label, AttributeType::Id];
    let (mut label, mut id) = (String::new(), Vec::new());
    for attribute in facts::optional(session, handle, &kinds)? {
        match attribute {
            Attribute::Label(octets) => label = String::from_utf8_lossy(&octets).into_owned(),
            Attribute::Id(octets) => id = octets,
            _ => {}
        }
    }
    Ok(KeyName::new(&label, &id))
}

/// Gives private keys that tell nothing themselves what objects with their id tell, where these tell
/// one thing.
fn tell_by_id(holdings: &mut [Holding]) {
    let mut by_id: HashMap<Vec<u8>, Vec<PublicKey>> = HashMap::new();
    for holding in holdings.iter() {
        let speaks = matches!(holding.kind, ObjectKind::PublicKey | ObjectKind::Certificate);
        let (Some(key), true) = (holding.public.key(), speaks) else { continue };
        let keys = by_id.entry(holding.name.id().to_vec()).or_default();
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    let silent = holdings.iter_mut().filter(|holding| {
        holding.kind == ObjectKind::PrivateKey
            && holding.public == Half::Unknown
            && !holding.name.id().is_empty()
    });
    for holding in silent {
        if let Some([key]) = by_id.get(holding.name.id()).map(Vec::as_slice)
            && fits(&holding.key_type, key.key_type())
        {
            holding.public = Half::Beside(key.clone());
            holding.key_type = key.key_type().to_string();
        }
    }
}

/// Whether a private key of this told type may have such a public half.
fn fits(told: &str, key_type: KeyType) -> bool {
    match key_type {
        KeyType::Rsa { .. } => told == "rsa",
        other => told == other.to_string() || told == "CKK_EC_EDWARDS",
    }
}

/// Has the key sign. What it signs as is believed, and what was told of it is kept beside.
fn prove(
    session: &Session,
    handle: ObjectHandle,
    holding: &mut Holding,
    quirks: &Quirks,
) -> Result<(), Error> {
    let told = holding.public.key().cloned();
    let possible: Vec<PublicKey> = match &holding.public {
        Half::Assumed(key) => {
            let modulus = key.rsa_parts().map(|(modulus, _)| modulus).unwrap_or_default();
            PublicValue::Modulus(modulus).possible().collect()
        }
        other => other.key().cloned().into_iter().collect(),
    };
    let proven = || -> Result<Option<PublicKey>, Error> {
        for key in &possible {
            if proves(session, handle, key, quirks)? {
                return Ok(Some(key.clone()));
            }
        }
        recover_point::recover(session, handle, quirks)
    };
    let lost = |error: &Error| Pkcs11Failure::new(&holding.name, error).class().is_lost();
    let outcome = match proven() {
        // Of a key, or of a link that broke? A key that is refused again is told of in between.
        Err(error) if lost(&error) && !is_gone(&error) => {
            session.get_attributes(handle, &[AttributeType::Class]).and_then(|_| proven())
        }
        proven => proven,
    };
    match outcome {
        Ok(Some(key)) if told.as_ref() == Some(&key) => holding.proof = KeyProof::Proven,
        Ok(Some(key)) => {
            holding.proof = match (&holding.public, told) {
                (Half::Told(_) | Half::Beside(_), told) => KeyProof::Refuted { told },
                _ => KeyProof::Proven,
            };
            holding.key_type = key.key_type().to_string();
            holding.public = Half::Recovered(key);
        }
        Ok(None) => {
            holding.proof = match told {
                Some(told) => KeyProof::Refuted { told: Some(told) },
                None => KeyProof::NothingToProve,
            };
        }
        Err(error) if is_gone(&error) => return Err(error),
        Err(error) => {
            holding.proof = KeyProof::Refused(Pkcs11Failure::new(&holding.name, &error));
        }
    }
    Ok(())
}
