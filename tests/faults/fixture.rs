//! A token behind the laboratory, with a key that signs.

use std::convert::Infallible;
use std::error::Error;
use std::fs;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use hsm::pin::Pin;
use hsm::token::TokenName;
use hsm::{
    Again, KeyId, KeyOrder, KeyPolicy, Module, NewToken, OpenError, PinMarkers, Pkcs11Failure,
    Quirks, Removal, SignError, SigningService as _, Token, TokenSettings, TokenSigner, init_token,
};
use support::laboratory::{self, Laboratory};
use support::softhsm::SoftHsm;
pub(crate) use support::softhsm::{SO_PIN, USER_PIN};
use support::two_tokens::{Made, PREFERRED};
use x509::key::{KeyType, PublicKey, SignatureAlgorithm};
use x509::signing::{
    Intent, IntentId, Pending, Recorded, Recorder, SigningInput, SigningKind, ToBeSigned,
};

/// How long a caller waits for a signature, and a token may take to open.
pub(crate) const DEADLINE: Duration = Duration::from_secs(5);

/// What a busy machine may add to an answer; a call that hangs would add all there is.
pub(crate) const ROOM: Duration = Duration::from_secs(4);

/// What everything is signed for.
pub(crate) const INTENT: IntentId = IntentId::from_bytes([9; 16]);

/// A token behind the laboratory.
pub(crate) struct Bench<'a> {
    pub(crate) softhsm: &'a SoftHsm,
    pub(crate) laboratory: Laboratory,
    pub(crate) name: TokenName,
}

impl<'a> Bench<'a> {
    pub(crate) fn new(softhsm: &'a SoftHsm) -> Self {
        let new = NewToken {
            label: PREFERRED.parse().unwrap(),
            so_pin: pin(softhsm, "so", SO_PIN),
            user_pin: pin(softhsm, "user", USER_PIN),
        };
        let name = init_token(&module(), &new, &markers(softhsm)).unwrap();
        Self::of(softhsm, name)
    }

    /// Of a token that is there.
    pub(crate) fn of(softhsm: &'a SoftHsm, name: TokenName) -> Self {
        Self { softhsm, laboratory: Laboratory::of(softhsm), name }
    }

    pub(crate) fn settings(&self, sessions: usize) -> TokenSettings {
        TokenSettings {
            name: self.name.clone(),
            pin: pin(self.softhsm, "used", USER_PIN),
            markers: markers(self.softhsm),
            sessions: NonZeroUsize::new(sessions).unwrap(),
            deadline: DEADLINE,
            quirks: Quirks::default(),
        }
    }

    pub(crate) fn open(&self, sessions: usize) -> Result<Token, OpenError> {
        Token::open(&module(), self.settings(sessions))
    }

    /// A token that is open, and one key of it that signs.
    pub(crate) fn signing(&self, sessions: usize) -> Signing {
        self.signing_by(self.settings(sessions))
    }

    /// As [`Self::signing`] by these settings; the key that was made before is used again.
    pub(crate) fn signing_by(&self, settings: TokenSettings) -> Signing {
        let sessions = settings.sessions.get();
        let token = Token::open(&module(), settings).unwrap();
        let made = token.keys().unwrap().into_iter().find_map(|entry| entry.public_key);
        let key = made
            .unwrap_or_else(|| make_key(&token, KeyType::EcP256, "issuing", Removal::Forbidden));
        let signer = TokenSigner::new(DEADLINE);
        signer.add(&token, &key, KeyPolicy::issuing()).unwrap();
        Signing { token, key, signer, sessions }
    }
}

/// A token behind the laboratory with one key that signs, for [`with_two_tokens`].
///
/// [`with_two_tokens`]: support::two_tokens::with_two_tokens
pub(crate) fn made(softhsm: &SoftHsm) -> Made {
    let bench = Bench::new(softhsm);
    let token = bench.open(1).unwrap();
    let key = make_key(&token, KeyType::EcP256, "issuing", Removal::Forbidden);
    Made { serial: bench.name.serial.as_str().to_owned(), keys: vec![key.spki_der().to_vec()] }
}

/// The one key.
pub(crate) fn key(made: &Made) -> PublicKey {
    PublicKey::from_spki_der(&made.keys[0]).unwrap()
}

/// The token of this label and serial number, that is there.
pub(crate) fn bench<'a>(softhsm: &'a SoftHsm, label: &str, serial: &str) -> Bench<'a> {
    let (label, serial) = (label.parse().unwrap(), serial.parse().unwrap());
    Bench::of(softhsm, TokenName { label, serial })
}

/// A token that is open, with a key that signs.
pub(crate) struct Signing {
    pub(crate) token: Token,
    pub(crate) key: PublicKey,
    pub(crate) signer: TokenSigner,
    sessions: usize,
}

/// Why there is no verified signature.
#[derive(Debug)]
pub(crate) enum Unsigned {
    /// The room returned none.
    Refused(SignError),
    /// The room returned one that does not verify.
    Wrong,
}

impl Signing {
    /// Signs and verifies as the CA does, save its pauses: the same bytes are given to the key again while
    /// the room says that this may help and cannot double a signature, until each session and the token
    /// may have been found lost.
    pub(crate) fn sign(&self, text: &str) -> Result<(), Unsigned> {
        sign_with(&self.key, text, |input| {
            let mut unreturned = 0;
            let mut tries = 0;
            loop {
                tries += 1;
                let error = match self.signer.sign(input) {
                    Ok(signature) => return Ok(signature),
                    Err(error) => error,
                };
                unreturned += usize::from(error.again() == Again::Once);
                if error.again() == Again::Never || unreturned > 1 || tries > self.sessions + 1 {
                    return Err(error);
                }
            }
        })
    }
}

/// Has `sign` sign `text` with a P-256 key, and verifies what it gives.
pub(crate) fn sign_with(
    key: &PublicKey,
    text: &str,
    sign: impl FnOnce(&SigningInput) -> Result<Vec<u8>, SignError>,
) -> Result<(), Unsigned> {
    let algorithm = SignatureAlgorithm::EcdsaP256Sha256;
    let id = INTENT;
    let bytes = ToBeSigned::Bytes(Arc::from(text.as_bytes()));
    let kind = SigningKind::Certificate;
    let pending = Pending::new(id, kind, key.clone(), algorithm, bytes).unwrap();
    let proof = Recorded::by(Memory, pending.intent()).unwrap();
    let input = pending.input(&proof).unwrap();
    let signature = sign(&input).map_err(Unsigned::Refused)?;
    pending.finish(signature).map(|_| ()).map_err(|_| Unsigned::Wrong)
}

pub(crate) struct Memory;

impl Recorder for Memory {
    type Error = Infallible;
    fn record(self, _: &Intent) -> Result<(), Infallible> {
        Ok(())
    }
}

pub(crate) fn module() -> Module {
    Module::load(&laboratory::module()).unwrap()
}

pub(crate) fn markers(softhsm: &SoftHsm) -> PinMarkers {
    PinMarkers::in_folder(&softhsm.state()).unwrap()
}

/// The PIN through a file of the name `file`, as programs get it.
pub(crate) fn pin(softhsm: &SoftHsm, file: &str, pin: &str) -> Pin {
    let path = softhsm.pins().join(file);
    let _absent = fs::remove_file(&path);
    Pin::from_drawn(&zeroize::Zeroizing::new(pin.to_owned())).unwrap().create_file(&path).unwrap();
    Pin::from_file(&path).unwrap()
}

pub(crate) fn make_key(
    token: &Token,
    key_type: KeyType,
    step: &str,
    removal: Removal,
) -> PublicKey {
    let id = KeyId::of_step(&[7; 32], step);
    let order = KeyOrder { key_type, label: step.to_owned(), id, removal };
    token.generate_key(order, Duration::from_secs(60)).unwrap()
}

/// The failed call behind an error.
pub(crate) fn failed_call<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Pkcs11Failure> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref() {
            return Some(failure);
        }
        next = error.source();
    }
    None
}

/// What C_Sign is given for a text.
pub(crate) fn input_of(text: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, text).as_ref().to_vec()
}
