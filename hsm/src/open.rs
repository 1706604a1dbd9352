//! Why a token could not be opened or logged in to.

use std::time::Duration;

use thiserror::Error;

use crate::attempts::AttemptError;
use crate::failure::Pkcs11Failure;
use crate::profile::ProfileError;
use crate::remedy::PinRemedy;
use crate::token::{FindTokenError, TokenName};

/// Why a token could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The token was not found.
    #[error("token was not found")]
    Find(#[from] FindTokenError),
    /// No session could be opened.
    #[error("session could not be opened")]
    Session(#[source] Pkcs11Failure),
    /// The login is not allowed, or failed.
    #[error("login to token {token} failed")]
    Login {
        /// The token.
        token: TokenName,
        /// Why.
        source: LoginError,
    },
    /// Keys of real identities live in certified devices (KEY-01).
    #[error("token {token} is a software token ({model}), allowed in environment test only")]
    Software {
        /// The token.
        token: TokenName,
        /// What it says it is.
        model: String,
    },
    /// It is another device than the one that was probed (KEY-01).
    #[error("token does not fit its device profile")]
    Profile(#[from] ProfileError),
    /// The operating system gave no thread.
    #[error("no thread for a session of token {token}")]
    Thread {
        /// The token.
        token: TokenName,
        /// Why.
        source: std::io::Error,
    },
    /// No session answered in time.
    #[error("token {token} did not open within its deadline")]
    Deadline {
        /// The token.
        token: TokenName,
    },
    /// The module is being initialised anew, and that took longer than the caller could wait.
    #[error("module of token {token} is being initialised again, which did not end in time")]
    Initialising {
        /// The token.
        token: TokenName,
    },
    /// It is out of reach and looked for.
    #[error("token {token} has been out of reach for {} s and is looked for: {}", .lost_for.as_secs(), .loss.why)]
    Lost {
        /// The token.
        token: TokenName,
        /// For how long.
        lost_for: Duration,
        /// What the last look found.
        loss: Box<Loss>,
    },
    /// Too many calls hang, so no more are made.
    #[error(
        "token {token}: {hung} calls hang, so no more are made; the next is tried in {} ms",
        .come_back.as_millis()
    )]
    BreakerOpen {
        /// The token.
        token: TokenName,
        /// Calls that have not ended.
        hung: usize,
        /// When a call may be made again.
        come_back: Duration,
    },
}

impl OpenError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Find(error) => error.code(),
            Self::Session(_) => "hsm-session",
            Self::Login { source, .. } => source.code(),
            Self::Software { .. } => "hsm-software-token",
            Self::Profile(error) => error.code(),
            Self::Thread { .. } => "hsm-thread",
            Self::Deadline { .. } => "hsm-open-deadline",
            Self::Initialising { .. } => "hsm-initialising",
            Self::Lost { loss, .. } => loss.code,
            Self::BreakerOpen { .. } => "hsm-breaker-open",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Find(error) => error.next_step(),
            Self::Session(failure) => failure.next_step(),
            Self::Login { source, .. } => source.next_step(),
            Self::Software { .. } => {
                "make the keys in a certified device; where an operator takes the danger upon himself, \
                 [hsm] danger-software-token = true"
            }
            Self::Profile(error) => error.next_step(),
            Self::Thread { .. } => "raise the limit of threads",
            Self::Deadline { .. } => "check the token's connection",
            Self::Initialising { .. } => {
                "try again; if it lasts, the module hangs in its initialisation: restart the program"
            }
            Self::Lost { loss, .. } => loss.next_step,
            Self::BreakerOpen { .. } => {
                "check the token's connection and service; a call is tried every few seconds"
            }
        }
    }

    /// Whether the token is out of reach and may come back: it is looked for then.
    pub(crate) const fn is_lost(&self) -> bool {
        match self {
            Self::Find(FindTokenError::Missing { .. }) => true,
            Self::Find(FindTokenError::Device(failure))
            | Self::Session(failure)
            | Self::Login { source: LoginError::Device(failure), .. } => failure.class().is_lost(),
            // A token that was open has a PIN: it was read while it went away or came back.
            Self::Login { source: LoginError::NotSet, .. } => true,
            Self::Login { source: LoginError::Paused { .. }, .. } => true,
            _ => false,
        }
    }

    /// Whether there is nothing to do about it but to wait.
    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(
            self,
            Self::Deadline { .. }
                | Self::Login {
                    source: LoginError::Paused { .. }
                        | LoginError::Attempts(AttemptError::Busy { .. }),
                    ..
                }
        )
    }

    /// Whether trying again may help within seconds.
    pub(crate) const fn passes(&self) -> bool {
        match self {
            Self::Login { source: LoginError::Attempts(AttemptError::Busy { .. }), .. }
            | Self::Thread { .. }
            | Self::Deadline { .. }
            | Self::Initialising { .. } => true,
            Self::Lost { loss, .. } => loss.passes,
            other => other.is_lost(),
        }
    }
}

/// What a look for a token that is lost found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// The stable code of what was found.
    pub code: &'static str,
    /// What to do next.
    pub next_step: &'static str,
    /// Whether it may be over within seconds; else only a human can help.
    pub passes: bool,
    /// What was found, with its causes.
    pub why: String,
}

impl Default for Loss {
    /// Before the first look.
    fn default() -> Self {
        Self {
            code: "hsm-token-missing",
            next_step: "connect the token, or correct its label and serial",
            passes: true,
            why: "it went away while it was used".to_owned(),
        }
    }
}

/// Why there was no login. Only [`Self::Refused`] means that the PIN was tried.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoginError {
    /// The token refused the PIN. It will not be tried again.
    #[error("token refused the PIN, which is not tried again: {remedy}")]
    Refused {
        /// The way out.
        remedy: Box<PinRemedy>,
        /// The failed call.
        source: Pkcs11Failure,
    },
    /// This PIN was refused before; it was not tried again.
    #[error(
        "this PIN, or one in 256 that looks like it, was refused at {since} and is not tried \
         again: {remedy}"
    )]
    RefusedBefore {
        /// When, RFC 3339.
        since: String,
        /// The way out.
        remedy: Box<PinRemedy>,
    },
    /// Logins came to nothing so often that nobody knows how many tries the token has counted.
    #[error(
        "logins with this PIN ended 3 times in a row, or once since its marker was cleared, without \
         the token saying whether it is right, last at {since}, so it is not sent again: {remedy}"
    )]
    InDoubt {
        /// When it was last sent, RFC 3339.
        since: String,
        /// The way out.
        remedy: Box<PinRemedy>,
    },
    /// Some logins came to nothing; the next is made later.
    #[error(
        "two logins in a row ended without the token saying whether the PIN is right; the next is \
         in {} s", .left.as_secs().saturating_add(1)
    )]
    Paused {
        /// Not before so long from now.
        left: Duration,
    },
    /// Somebody else tried a wrong PIN since the last login, or the marker was deleted.
    #[error("token reports a wrong PIN since the last login, so none is tried: {remedy}")]
    TriedWrong {
        /// The way out.
        remedy: Box<PinRemedy>,
    },
    /// One try is left.
    #[error("token reports that one more wrong PIN will lock it, so none is tried: {remedy}")]
    FinalTry {
        /// The way out.
        remedy: Box<PinRemedy>,
    },
    /// No try is left.
    #[error("token reports that its user PIN is locked")]
    Locked,
    /// The security officer has set no user PIN.
    #[error("token has no user PIN yet")]
    NotSet,
    /// The PIN must be changed first.
    #[error("token demands a new user PIN before use")]
    MustChange,
    /// No refused PIN could be remembered, so none is tried.
    #[error("marker of refused PINs is not usable")]
    Attempts(#[from] AttemptError),
    /// The call failed for another reason than the PIN.
    #[error("login call failed")]
    Device(#[source] Pkcs11Failure),
}

impl LoginError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused { .. } => "hsm-pin-refused",
            Self::RefusedBefore { .. } => "hsm-pin-refused-before",
            Self::InDoubt { .. } => "hsm-pin-in-doubt",
            Self::Paused { .. } => "hsm-login-paused",
            Self::TriedWrong { .. } => "hsm-pin-count-low",
            Self::FinalTry { .. } => "hsm-pin-final-try",
            Self::Locked => "hsm-pin-locked",
            Self::NotSet => "hsm-pin-not-set",
            Self::MustChange => "hsm-pin-must-change",
            Self::Attempts(error) => error.code(),
            Self::Device(_) => "hsm-login",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Refused { .. } | Self::RefusedBefore { .. } => {
                "put the right PIN in the PIN file and start again; if it is right, write the line \
                 that is named into the marker, which allows one try"
            }
            Self::InDoubt { .. } => {
                "find out why the token does not answer a login, and by the vendor's tool how many \
                 tries are left; make sure that the PIN file is right, then write the line that is \
                 named into the marker, which allows one try"
            }
            Self::Paused { .. } => {
                "check the token's connection and service; a program that runs tries again by itself, \
                 one that did not start is to be started again after that time"
            }
            Self::TriedWrong { .. } | Self::FinalTry { .. } => {
                "find out who tried a wrong PIN, make sure that the PIN file is right, then write \
                 the line that is named into the marker, which allows one try"
            }
            Self::Locked => "have the security officer set a new user PIN",
            Self::NotSet => "initialise the token",
            Self::MustChange => "change the PIN with the vendor's tool",
            Self::Attempts(error) => error.next_step(),
            Self::Device(failure) => failure.next_step(),
        }
    }
}
