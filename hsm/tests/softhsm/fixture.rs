//! What the tests have in common: tokens, keys and recorded intents.

use std::convert::Infallible;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;
use hsm::pin::Pin;
use hsm::token::TokenName;
use hsm::{
    KeyId, KeyOrder, Module, NewToken, OpenError, PinMarkers, Quirks, Removal, Token,
    TokenSettings, init_token,
};
use support::softhsm::{MODULE, SoftHsm};
pub(crate) use support::softhsm::{SO_PIN, USER_PIN};
use x509::device::{curve_parameters, ec_public_key, ed25519_public_key};
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::signing::{
    Intent, IntentId, Pending, Recorded, Recorder, SigningInput, SigningKind, ToBeSigned,
};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) fn module() -> Module {
    Module::load(Path::new(MODULE)).unwrap()
}

/// The PIN through a file of the name `file`, as programs get it.
pub(crate) fn pin(softhsm: &SoftHsm, file: &str, pin: &str) -> Pin {
    let path = softhsm.pins().join(file);
    let _absent = fs::remove_file(&path);
    let drawn = zeroize::Zeroizing::new(pin.to_owned());
    Pin::from_drawn(&drawn).unwrap().create_file(&path).unwrap();
    Pin::from_file(&path).unwrap()
}

pub(crate) fn markers(softhsm: &SoftHsm) -> PinMarkers {
    PinMarkers::in_folder(&softhsm.state()).unwrap()
}

pub(crate) fn new_token(softhsm: &SoftHsm, role: &str) -> TokenName {
    let new = NewToken {
        label: format!("sg-td-ab12-{role}").parse().unwrap(),
        so_pin: pin(softhsm, &format!("{role}.so"), SO_PIN),
        user_pin: pin(softhsm, &format!("{role}.pin"), USER_PIN),
    };
    init_token(&module(), &new, &markers(softhsm)).unwrap()
}

pub(crate) fn settings(softhsm: &SoftHsm, name: &TokenName, user_pin: &str) -> TokenSettings {
    TokenSettings {
        name: name.clone(),
        pin: pin(softhsm, &format!("used-{}.pin", std::process::id()), user_pin),
        markers: markers(softhsm),
        sessions: NonZeroUsize::new(3).unwrap(),
        deadline: DEADLINE,
        quirks: Quirks::default(),
    }
}

pub(crate) fn open(softhsm: &SoftHsm, name: &TokenName) -> Result<Token, OpenError> {
    Token::open(&module(), settings(softhsm, name, USER_PIN))
}

pub(crate) fn order(key_type: KeyType, step: &str) -> KeyOrder {
    KeyOrder {
        key_type,
        label: step.to_owned(),
        id: KeyId::of_step(&[7; 32], step),
        removal: Removal::Forbidden,
    }
}

pub(crate) fn make_key(token: &Token, key_type: KeyType, step: &str) -> PublicKey {
    token.generate_key(order(key_type, step), Duration::from_secs(120)).unwrap()
}

struct Memory;

impl Recorder for Memory {
    type Error = Infallible;
    fn record(self, _: &Intent) -> Result<(), Infallible> {
        Ok(())
    }
}

/// A recorded intent and what waits for its signature.
pub(crate) fn recorded(
    key: &PublicKey,
    algorithm: SignatureAlgorithm,
    kind: SigningKind,
    to_be_signed: ToBeSigned,
) -> (Pending, SigningInput) {
    let id = IntentId::from_bytes([9; 16]);
    let pending = Pending::new(id, kind, key.clone(), algorithm, to_be_signed).unwrap();
    let proof = Recorded::by(Memory, pending.intent()).unwrap();
    let input = pending.input(&proof).unwrap();
    (pending, input)
}

pub(crate) fn bytes(text: &str) -> ToBeSigned {
    ToBeSigned::Bytes(Arc::from(text.as_bytes()))
}

/// A session of another user of the module in this process, for what the room itself never does.
pub(crate) fn raw(name: &TokenName) -> Session {
    static CONTEXT: OnceLock<Pkcs11> = OnceLock::new();
    // The room initialises the module; this context must not.
    let _initialised = module();
    let context = CONTEXT.get_or_init(|| Pkcs11::new(MODULE).unwrap());
    let serial = |slot: &Slot| context.get_token_info(*slot).unwrap().serial_number().to_owned();
    let slot = context
        .get_slots_with_initialized_token()
        .unwrap()
        .into_iter()
        .find(|slot| serial(slot) == name.serial.as_str())
        .unwrap();
    let session = context.open_rw_session(slot).unwrap();
    match session.login(UserType::User, Some(&AuthPin::from(USER_PIN.to_owned()))) {
        Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => session,
        Err(error) => panic!("{error}"),
    }
}

/// A pair as KEY-03 wants it, except for what `changes` says of the private key. Other than a pair of
/// ours it can be changed and destroyed afterwards.
pub(crate) fn raw_pair(
    session: &Session,
    key_type: KeyType,
    label: &str,
    id: &[u8],
    changes: &[Attribute],
) -> RawPair {
    let names = [Attribute::Token(true), Attribute::Label(label.into()), Attribute::Id(id.into())];
    let mut public = names.to_vec();
    let mechanism = match key_type {
        KeyType::Rsa { bits } => {
            public.push(Attribute::ModulusBits(u64::from(bits).into()));
            public.push(Attribute::PublicExponent(vec![1, 0, 1]));
            Mechanism::RsaPkcsKeyPairGen
        }
        KeyType::Ed25519 => Mechanism::EccEdwardsKeyPairGen,
        _ => Mechanism::EccKeyPairGen,
    };
    public.extend(curve_parameters(key_type).into_iter().next().map(Attribute::EcParams));
    public.extend([Attribute::Private(false), Attribute::Verify(true)]);
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
    for change in changes {
        private.retain(|attribute| attribute.attribute_type() != change.attribute_type());
        private.push(change.clone());
    }
    let (public, private) = session.generate_key_pair(&mechanism, &public, &private).unwrap();
    let key = raw_public_key(session, public);
    RawPair { public, private, key }
}

pub(crate) struct RawPair {
    pub(crate) public: ObjectHandle,
    pub(crate) private: ObjectHandle,
    pub(crate) key: PublicKey,
}

fn raw_public_key(session: &Session, public: ObjectHandle) -> PublicKey {
    let kinds = [AttributeType::EcPoint, AttributeType::Modulus, AttributeType::PublicExponent];
    let (mut point, mut modulus, mut exponent) = (Vec::new(), Vec::new(), Vec::new());
    for attribute in session.get_attributes(public, &kinds).unwrap() {
        match attribute {
            Attribute::EcPoint(octets) => point = octets,
            Attribute::Modulus(octets) => modulus = octets,
            Attribute::PublicExponent(octets) => exponent = octets,
            _ => {}
        }
    }
    ec_public_key(&point)
        .or_else(|_| ed25519_public_key(&point))
        .unwrap_or_else(|_| PublicKey::from_rsa_parts(&modulus, &exponent).unwrap())
}
