//! What the tests have in common: tokens, keys and recorded intents.

use std::convert::Infallible;
use std::fs;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hsm::pin::Pin;
use hsm::token::TokenName;
use hsm::{
    KeyId, KeyOrder, Module, NewToken, OpenError, PinMarkers, Quirks, Removal, Token,
    TokenSettings, init_token,
};
use support::softhsm::{MODULE, SoftHsm};
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::signing::{
    Intent, IntentId, Pending, Recorded, Recorder, SigningInput, SigningKind, ToBeSigned,
};

pub(crate) const USER_PIN: &str = "user-pin-of-32-characters-000001";
pub(crate) const SO_PIN: &str = "officer-pin-of-32-characters-002";
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
