//! A denied call, in the words of the service: why, and whether coming back helps.
//!
//! The service does not know HTTP; `http::problem` turns the kind into a status.

use std::time::Duration;

use ca::prepare::PrepareError;
use ca::refusal::Refusal;
use thiserror::Error;

/// Why a call was denied, coarsely: what a caller does next depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The call is not well formed.
    Malformed,
    /// Too large to be read.
    TooLarge,
    /// The caller is not known.
    Unauthenticated,
    /// The caller may not do this.
    Forbidden,
    /// The path has no such method.
    Method,
    /// There is no such thing, or the caller may not see it.
    NotFound,
    /// It cannot be done to this thing in its present state.
    Conflict,
    /// The same idempotency key is at work right now.
    Busy,
    /// The caller has had what it may have for now; the same call may succeed later.
    Limited,
    /// A rule of issuing or revoking refuses it; the same call will always be refused.
    Rule,
    /// A key, token, disk or clock is not there; the same call may succeed later.
    Unavailable,
    /// A defect or a broken invariant; somebody must look.
    Internal,
}

/// For how long a refusal holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lasting {
    /// As its kind says.
    ByKind,
    /// Until an operator has changed the configuration, or time has passed.
    ForNow,
}

/// What whoever reads a refusal must not believe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warning {
    /// That the old card or eID is revoked, of an order that was to replace it.
    OldIsNotRevoked,
}

impl Warning {
    pub(crate) const fn english(self) -> &'static str {
        match self {
            Self::OldIsNotRevoked => {
                "this call has revoked nothing: the old card or eID is NOT revoked by it. If it is lost or stolen, revoke it now by a call of its own (POST /v1/eids/{id}/revocation, /v1/carriers/{id}/revocation)"
            }
        }
    }

    /// The same as card administrators read it.
    pub(crate) const fn swedish(self) -> &'static str {
        match self {
            Self::OldIsNotRevoked => {
                "Anropet har inte spärrat något: det gamla kortet eller den gamla e-legitimationen är INTE spärrad genom det. Är det borttappat eller stulet, spärra det nu."
            }
        }
    }
}

impl Kind {
    const fn lasts(self) -> bool {
        matches!(
            self,
            Self::Malformed | Self::NotFound | Self::Conflict | Self::Rule | Self::TooLarge
        )
    }
}

/// A denied call.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{refusal}")]
pub(crate) struct Denied {
    /// What the caller can do about it.
    pub(crate) kind: Kind,
    /// The refusal in all its words.
    pub(crate) refusal: Refusal,
    /// When coming back may help.
    pub(crate) retry_after: Option<Duration>,
    /// For how long it holds.
    pub(crate) lasting: Lasting,
    /// What whoever reads it must not believe.
    pub(crate) warning: Option<Warning>,
}

impl Denied {
    /// Denies by `refusal`.
    pub(crate) const fn new(kind: Kind, refusal: Refusal) -> Self {
        Self { kind, refusal, retry_after: None, lasting: Lasting::ByKind, warning: None }
    }

    /// The same, from which the same call may be free later: it is not stored under its key.
    pub(crate) const fn for_now(mut self) -> Self {
        self.lasting = Lasting::ForNow;
        self
    }

    /// Whether the same call with the same body must always meet this answer, so that it is stored
    /// under its idempotency key and replayed.
    pub(crate) const fn is_final(&self) -> bool {
        self.kind.lasts() && matches!(self.lasting, Lasting::ByKind)
    }

    /// The same, with a time to come back.
    pub(crate) const fn retry_after(mut self, span: Duration) -> Self {
        self.retry_after = Some(span);
        self
    }

    /// The same, with a warning.
    pub(crate) const fn warning(mut self, warning: Warning) -> Self {
        self.warning = Some(warning);
        self
    }

    /// A certificate that was refused before anything was recorded.
    pub(crate) fn unprepared(error: &PrepareError) -> Self {
        let denied = Self::rule(error.refusal());
        if error.is_for_now() { denied.for_now() } else { denied }
    }

    /// A rule of issuing or revoking refuses.
    pub(crate) const fn rule(refusal: Refusal) -> Self {
        Self::new(Kind::Rule, refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// API-02: only what the same body must always meet is stored.
    #[test]
    fn a_refusal_for_now_is_not_final() {
        let refusal = || Refusal::new("x", "a rule", &"seen", "limit", "next");

        assert!(Denied::rule(refusal()).is_final());
        assert!(!Denied::rule(refusal()).for_now().is_final());
        assert!(!Denied::new(Kind::Unavailable, refusal()).is_final());
        assert!(!Denied::new(Kind::Forbidden, refusal()).is_final());
    }
}
