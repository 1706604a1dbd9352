//! What a demo refuses so that nothing that exists is drawn or written anew, with stable codes.

use std::net::SocketAddr;
use std::path::PathBuf;

use ca::algorithms::NotAllowed;
use thiserror::Error;
use x509::key::KeyType;

/// Why a demo changes nothing.
#[derive(Debug, Error)]
pub(crate) enum Refusal {
    /// A token's PIN was taken away, as that of the root is; a new one would be a wrong one.
    #[error(
        "{role}'s PIN is not in {path}, though its token exists: bring the folder back; nothing \
         was tried"
    )]
    PinMissing {
        /// The token's role.
        role: String,
        /// Below the home.
        path: String,
    },
    /// An address stands in certificates and configurations already.
    #[error(
        "this PKI was made with --{option} {made}, not {asked}; its certificates and \
         configurations name that one: leave the option out, or make another PKI in another --home; \
         nothing was changed"
    )]
    Address {
        /// The option, without dashes.
        option: &'static str,
        /// What the home was made with.
        made: SocketAddr,
        /// What was asked for now.
        asked: SocketAddr,
    },
    /// The hierarchy file has an authority sign in a way in which its key does not.
    #[error(
        "{authority}: algorithm = {written:?}, and keys of type {key} sign with {known}: correct it, or \
         leave it out for the default"
    )]
    Algorithm {
        /// Its common name.
        authority: String,
        /// What the file says.
        written: String,
        /// Its type of key.
        key: KeyType,
        /// What would fit.
        known: String,
    },
    /// The algorithm policy does not allow how an authority would sign.
    #[error(
        "{authority}: {source} by the algorithm policy (environments/algorithms.toml): correct key and \
         algorithm; no key was made"
    )]
    AlgorithmPolicy {
        /// Its common name.
        authority: String,
        /// What is not allowed, and when it was.
        source: NotAllowed,
    },
    /// The hierarchy file has a key that the profile of such CAs does not allow.
    #[error(
        "{authority}: keys of type {key} are not in key.allow of profile {profile}: add it to \
         config/profiles/{profile}.toml in the home if that is meant; no key was made"
    )]
    KeyNotAllowed {
        /// Its common name.
        authority: String,
        /// Its type of key.
        key: KeyType,
        /// The profile of its certificate.
        profile: &'static str,
    },
    /// The ceremony came to its end, and something of it is gone.
    #[error(
        "{path:?} is missing, though the ceremony of this home came to its end: bring it back from \
         the backup, or give the hierarchy file that the home was made with; nothing was changed"
    )]
    OutputMissing {
        /// The file.
        path: PathBuf,
    },
    /// No token has the label.
    #[error(
        "{found} tokens have the label {label}, expected is one: bring the folder `tokens` back, or \
         check softhsm2.conf; nothing was changed"
    )]
    Token {
        /// The label.
        label: String,
        /// How many have it.
        found: usize,
    },
}

impl Refusal {
    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::PinMissing { .. } => "ceremony-pin-missing",
            Self::Address { .. } => "ceremony-address",
            Self::Algorithm { .. } => "ceremony-algorithm",
            Self::AlgorithmPolicy { .. } => "ceremony-algorithm-policy",
            Self::KeyNotAllowed { .. } => "ceremony-key-not-allowed",
            Self::OutputMissing { .. } => "ceremony-output-missing",
            Self::Token { .. } => "ceremony-token",
        }
    }
}
