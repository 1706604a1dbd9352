//! Prepares a blank token: label, security officer's PIN, user PIN (ceremonies and demos).
//!
//! It can be run again after a crash: a token that has its label but no user PIN yet is finished
//! under the same security officer's PIN. One that has both is never touched.

use std::path::PathBuf;
use std::time::Duration;

use cryptoki::error::Error;
use cryptoki::session::UserType;
use thiserror::Error;

use crate::attempts::PinMarkers;
use crate::failure::Pkcs11Failure;
use crate::login::log_in;
use crate::module::Module;
use crate::open::LoginError;
use crate::pin::Pin;
use crate::pool::deadline_in;
use crate::quirks::WrongPins;
use crate::token::{self, PinState, Present, TokenLabel, TokenName};

/// How long to wait for another program that logs in to the token.
const TURN: Duration = Duration::from_secs(10);
/// How long it waits while the module is being initialised; and no call of it hangs that has been out for
/// less.
const ENTER_WITHIN: Duration = Duration::from_secs(60);

/// What a blank token gets.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Its label.
    pub label: TokenLabel,
    /// The security officer's PIN.
    pub so_pin: Pin,
    /// The user PIN.
    pub user_pin: Pin,
}

/// Initialises the first blank token of `module` and returns its label and serial number. For one
/// process at a time: the caller holds the lock of its deployment.
///
/// # Errors
///
/// [`InitError`]. A token that is in use is never initialised again.
pub fn init_token(
    module: &Module,
    new: &NewToken,
    markers: &PinMarkers,
) -> Result<TokenName, InitError> {
    let label = &new.label;
    // All of it is done under one pass, so that no initialisation comes between.
    let _pass = module
        .enter(deadline_in(ENTER_WITHIN))
        .ok_or_else(|| InitError::Initialising { module: module.path().to_owned() })?;
    let labelled = with_label(module, label)?;
    let token = match labelled.as_slice() {
        [] => {
            initialise(module, new)?;
            let made = with_label(module, label)?;
            match made.as_slice() {
                [token] => token.clone(),
                [] => return Err(InitError::NotMade { label: label.clone() }),
                several => {
                    let (label, tokens) = (label.clone(), several.len());
                    return Err(InitError::LabelTaken { label, tokens });
                }
            }
        }
        [token] if token.facts.pin == PinState::NotSet => token.clone(),
        several => {
            return Err(InitError::LabelTaken { label: label.clone(), tokens: several.len() });
        }
    };
    let serial = token.facts.serial.parse().map_err(|_| InitError::Serial {
        label: label.clone(),
        found: token.facts.serial.clone(),
    })?;
    let name = TokenName { label: label.clone(), serial };
    set_user_pin(module, &name, &token, new, markers)?;
    Ok(name)
}

/// Initialises this token again, under its label and its security officer's PIN: everything in it is destroyed, keys that no program
/// may remove too ([`crate::Removal::Forbidden`]; PKCS#11 v3.1 §5.5, C_InitToken). Afterwards it has no user PIN until [`init_token`]
/// sets one. Done again after a crash it comes to the same. No handle of the token may be left: sessions keep a token from being
/// initialised.
///
/// # Errors
///
/// [`InitError`]. A token with another serial number is not touched, and a PIN that the token refused is not tried again.
pub fn erase_token(
    module: &Module,
    name: &TokenName,
    so_pin: &Pin,
    markers: &PinMarkers,
) -> Result<(), InitError> {
    let _pass = module
        .enter(deadline_in(ENTER_WITHIN))
        .ok_or_else(|| InitError::Initialising { module: module.path().to_owned() })?;
    let is_it = |token: &Present| token.facts.serial == name.serial.as_str();
    let labelled = with_label(module, &name.label)?;
    let [token] = labelled.as_slice() else {
        let (label, tokens) = (name.label.clone(), labelled.len());
        return Err(InitError::NotOne { label, tokens });
    };
    if !is_it(token) {
        return Err(InitError::NotOne { label: name.label.clone(), tokens: 0 });
    }
    let erase = || {
        let label = name.label.as_str();
        let erased = module.context().init_token(token.slot, so_pin.secret(), label);
        erased.map_err(|error| Pkcs11Failure::new(name, &error))
    };
    markers
        .turn(name, deadline_in(TURN))
        .map_err(LoginError::Attempts)
        .and_then(|turn| turn.attempt(so_pin, PinState::Ready, WrongPins::Untold, erase))
        .map_err(|source| match source {
            LoginError::Device(failure) => InitError::Device(failure),
            source => InitError::Login { token: name.clone(), source },
        })?;
    tracing::info!(token.label = %name.label, token.serial = %name.serial, "token erased");
    Ok(())
}

/// A token that cannot be asked may be the one: none is made beside it.
fn with_label(module: &Module, label: &TokenLabel) -> Result<Vec<Present>, InitError> {
    let tokens = token::all_present(module).map_err(InitError::Device)?;
    Ok(tokens
        .into_iter()
        .filter(|token| token.initialised && token.facts.label == label.as_str())
        .collect())
}

fn initialise(module: &Module, new: &NewToken) -> Result<(), InitError> {
    let blank = token::present(module)
        .map_err(InitError::Device)?
        .into_iter()
        .find(|token| !token.initialised)
        .ok_or(InitError::NoBlankToken)?;
    module
        .context()
        .init_token(blank.slot, new.so_pin.secret(), new.label.as_str())
        .map_err(|error| InitError::Device(Pkcs11Failure::new(&new.label, &error)))
}

/// The security officer's PIN counts its tries too, so it goes through the markers as well; the
/// token tells nothing about them that we would have to heed before the first.
fn set_user_pin(
    module: &Module,
    name: &TokenName,
    token: &Present,
    new: &NewToken,
    markers: &PinMarkers,
) -> Result<(), InitError> {
    let failed = |error: Error| Pkcs11Failure::new(name, &error);
    let session = module
        .context()
        .open_rw_session(token.slot)
        .map_err(|error| InitError::Device(failed(error)))?;
    markers
        .turn(name, deadline_in(TURN))
        .map_err(LoginError::Attempts)
        .and_then(|turn| {
            turn.attempt(&new.so_pin, PinState::Ready, WrongPins::Untold, || {
                log_in(&session, UserType::So, &new.so_pin).map_err(failed)
            })
        })
        .map_err(|source| InitError::Login { token: name.clone(), source })?;
    let set = session.init_pin(new.user_pin.secret());
    // Whatever came of it, nobody stays logged in as the security officer. The login ends with its
    // session as well, so a token that is made is not refused for this.
    if let Err(error) = session.logout() {
        tracing::warn!(token.label = %name.label, token.serial = %name.serial,
            "the security officer was not logged out before the session ended: {}", failed(error));
    }
    set.map_err(|error| InitError::Device(failed(error)))
}

/// Why a token was not initialised.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InitError {
    /// The label is in use.
    #[error("{tokens} initialised token(s) have the label {label} already")]
    LabelTaken {
        /// The label.
        label: TokenLabel,
        /// How many have it.
        tokens: usize,
    },
    /// The token that is to be erased is not there, or not alone.
    #[error("{tokens} initialised token(s) have the label {label} and the serial number, not one")]
    NotOne {
        /// The label.
        label: TokenLabel,
        /// How many have it.
        tokens: usize,
    },
    /// The module said that it initialised a token, and shows none.
    #[error("module initialised a token and shows none with the label {label}")]
    NotMade {
        /// The label.
        label: TokenLabel,
    },
    /// Every token is initialised.
    #[error("module shows no blank token")]
    NoBlankToken,
    /// The token's serial number is of no form that we take.
    #[error("token {label} has the serial number {found:?}, which is not 1 to 16 characters")]
    Serial {
        /// Its label.
        label: TokenLabel,
        /// Its serial number.
        found: String,
    },
    /// The security officer's login failed.
    #[error("login of the security officer to token {token} failed")]
    Login {
        /// The token.
        token: TokenName,
        /// Why.
        source: LoginError,
    },
    /// The module is being initialised anew, and that took longer than was waited for.
    #[error("module {module:?} is being initialised again, which did not end in time")]
    Initialising {
        /// The module.
        module: PathBuf,
    },
    /// A call failed.
    #[error("token was not initialised")]
    Device(#[source] Pkcs11Failure),
}

impl InitError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::LabelTaken { .. } => "hsm-label-taken",
            Self::NotOne { .. } => "hsm-not-one-token",
            Self::NoBlankToken => "hsm-no-blank-token",
            Self::Serial { .. } => "hsm-token-serial",
            Self::Login { source, .. } => source.code(),
            Self::Initialising { .. } => "hsm-initialising",
            Self::NotMade { .. } | Self::Device(_) => "hsm-init",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::LabelTaken { .. } => "use the token that is there, or another instance",
            Self::NotOne { .. } => {
                "bring the very token, and no other with its label; nothing was erased"
            }
            Self::NotMade { .. } => "look at the tokens with the vendor's tool, then start again",
            Self::NoBlankToken => "add a token or a partition",
            Self::Serial { .. } => "ask the vendor how to give the token a serial number",
            Self::Login { source, .. } => source.next_step(),
            Self::Initialising { .. } => "try again",
            Self::Device(failure) => failure.next_step(),
        }
    }
}
