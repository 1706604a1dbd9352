//! What a check came to, and what stops one before its end.

use std::fmt;

use cryptoki::error::{Error, RvError};
use serde::{Deserialize, Serialize};

pub(super) use crate::classes::is_gone;
use crate::failure::{Pkcs11Failure, causes};
use crate::open::OpenError;

/// What a check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is as expected.
    Passed,
    /// Something that Sigill needs is not so, or the token does or tells something wrong.
    Failed,
    /// It is otherwise than expected, and Sigill can live with it.
    Differs,
    /// The token does not do it.
    NotSupported,
    /// It was left out in this run.
    Skipped,
    /// No program can measure it over PKCS#11, or none without spoiling the device.
    NotProbed,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Differs => "differs",
            Self::NotSupported => "not supported",
            Self::Skipped => "skipped",
            Self::NotProbed => "not probed",
        })
    }
}

/// One check and what it came to, as it stands in a device profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// The check's id, such as `HP-40`; ids keep their meaning.
    pub id: String,
    /// What it looks at.
    pub title: String,
    /// What is expected.
    pub expected: String,
    /// Why: the clause that says so, or what of Sigill rests on it.
    pub clause: String,
    /// What it came to.
    pub verdict: Verdict,
    /// What was seen; where nothing was, the reason.
    pub seen: String,
}

/// What a check came to, before it has the check's name.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) verdict: Verdict,
    pub(super) seen: String,
}

impl Outcome {
    fn new(verdict: Verdict, seen: impl Into<String>) -> Self {
        Self { verdict, seen: seen.into() }
    }

    pub(super) fn passed(seen: impl Into<String>) -> Self {
        Self::new(Verdict::Passed, seen)
    }

    pub(super) fn failed(seen: impl Into<String>) -> Self {
        Self::new(Verdict::Failed, seen)
    }

    pub(super) fn differs(seen: impl Into<String>) -> Self {
        Self::new(Verdict::Differs, seen)
    }

    pub(super) fn unsupported(seen: impl Into<String>) -> Self {
        Self::new(Verdict::NotSupported, seen)
    }

    pub(super) fn skipped(seen: impl Into<String>) -> Self {
        Self::new(Verdict::Skipped, seen)
    }

    pub(super) fn not_probed(seen: impl Into<String>) -> Self {
        Self::new(Verdict::NotProbed, seen)
    }
}

/// Why a check stopped before its end.
pub(super) enum Stop {
    /// A call was refused.
    Call(Error),
    /// No session could be opened.
    Open(OpenError),
    /// What it needs is not there, and the row says so.
    Row(Outcome),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Call(error)
    }
}

impl From<OpenError> for Stop {
    fn from(error: OpenError) -> Self {
        Self::Open(error)
    }
}

impl Stop {
    /// Whether an operation stands in the way that was begun before.
    pub(super) const fn is_operation_active(&self) -> bool {
        matches!(self, Self::Call(Error::Pkcs11(RvError::OperationActive, _)))
    }

    /// A call that was refused says that the token does not do it; one that finds session, login
    /// or object gone is a fault, whatever was asked.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Call(error) if is_gone(&error) => Outcome::failed(call(&error)),
            Self::Call(error) => Outcome::unsupported(call(&error)),
            Self::Open(error) => Outcome::failed(causes(&error)),
            Self::Row(outcome) => outcome,
        }
    }
}

/// The name of a call's result, such as `CKR_MECHANISM_INVALID`.
pub(super) fn result(error: &Error) -> String {
    Pkcs11Failure::new(&"the token", error).result().to_owned()
}

/// The call and its result, such as `C_SignInit returned CKR_MECHANISM_INVALID`.
pub(super) fn call(error: &Error) -> String {
    let failure = Pkcs11Failure::new(&"the token", error);
    format!("{} returned {}", failure.function(), failure.result())
}
