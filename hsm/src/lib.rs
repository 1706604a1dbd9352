//! Keys that never leave their tokens, over PKCS#11, and no key that signs certificates elsewhere. No other room names PKCS#11.
//!
//! What leaves this room is typed: [`SigningService`] signs recorded intents, [`note`] signs log
//! heads and manifests, [`request`] signs what a key needs to be certified, [`statement`] signs what a person says. There is no way to have
//! bytes of one's own choice signed.
//!
//! From the bottom: [`Module`] is the one context of a PKCS#11 library in this process; a [`Token`]
//! is found by label and serial number, logged in to once, and used through one thread a session; when
//! it is lost it is looked for until it is back, and calls that hang are left to themselves;
//! a key is found by its public key, checked and proven before it is used. PINs come from files that
//! only their owner can read, or from a terminal, and a wrong one is never tried twice. The one kind of key that may
//! lie in no token is a delegate's of an OCSP responder, by its operator's choice ([`memory`]). The files are
//! told in docs/formats/key-files.md. What a device does is measured by [`probe`], and what of it the
//! programs must heed is read from its [`profile`].

mod alert;
mod attempts;
mod begun;
mod breaker;
mod classes;
mod comeback;
mod connection;
mod facts;
mod failure;
mod find_key;
mod gate;
mod generate;
#[cfg(test)]
mod hanging;
mod healer;
mod init;
mod inventory;
mod last_proof;
mod login;
mod marker;
pub mod memory;
mod module;
pub mod note;
mod open;
mod opened;
mod operation;
pub mod pin;
mod pool;
pub mod probe;
pub mod profile;
mod queue;
mod quirks;
mod recover_point;
mod remedy;
mod reply;
pub mod request;
mod route;
mod seats;
mod secret_file;
mod secret_text;
mod service;
mod signer;
mod software;
mod source;
mod stage;
mod state;
pub mod statement;
pub mod token;
mod told;
mod worker;

pub use attempts::{AttemptError, PinMarkers};
pub use begun::Begun;
pub use breaker::BreakerState;
pub use classes::FailureClass;
pub use facts::{AttributeValue, KeyAttributes, KeyName, KeyRefused};
pub use failure::Pkcs11Failure;
pub use find_key::{FindKeyError, KeyEntry};
pub use generate::{GenerateError, KeyId, KeyOrder, Removal};
pub use init::{InitError, NewToken, erase_token, init_token};
pub use inventory::{Half, Holding, KeyProof, ObjectKind, Proofs};
pub use module::{Module, ModuleError};
pub use open::{LoginError, Loss, OpenError};
pub use opened::{Token, TokenSettings};
pub use operation::proof_text;
pub use quirks::{EcdsaInput, Quirks, WrongPins};
pub use recover_point::RECOVERY_TEXT;
pub use remedy::PinRemedy;
pub use route::Away;
pub use secret_file::SecretFileError;
pub use service::{
    Again, KeyPolicy, KeyUse, LateSignature, SignError, SignatureDone, SignatureMayExist,
    SigningService, Standing,
};
pub use signer::TokenSigner;
pub use software::SoftwareTokens;
pub use source::TokenSource;
pub use state::TokenState;
pub use told::told;
