//! A signature that was asked for, and for which no thread of its caller waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use x509::signing::SigningInput;

use crate::opened::Token;
use crate::pool::{CallError, Left};
use crate::route::KeyRoutes;
use crate::service::SignError;
use crate::signer::not_signed;

/// What [`SigningService::begin`](crate::SigningService::begin) left with a key. Dropped before a session has begun, it takes
/// the work back.
///
/// Nothing watches a token's calls by the clock: callers look when they come and while they wait. So whoever waits for the outcome
/// calls [`Self::look`] at [`Self::next_look`], for as long as it has not come.
pub struct Begun(Waiting);

/// What a session of a token was left with.
pub(crate) struct Waiting {
    pub(crate) left: Left,
    pub(crate) routes: Arc<KeyRoutes>,
    pub(crate) token: Token,
    pub(crate) within: std::time::Duration,
    pub(crate) asked: SigningInput,
    /// Whether the outcome was counted.
    pub(crate) counted: Arc<AtomicBool>,
}

impl Begun {
    pub(crate) const fn waiting(waiting: Waiting) -> Self {
        Self(waiting)
    }

    /// When to look at the latest.
    #[must_use]
    pub fn next_look(&self) -> Instant {
        self.0.left.next_look()
    }

    /// Looks whether there is still something to wait for; why not, otherwise: then nothing was signed, or nobody gets it, as
    /// [`SignError::signature_may_exist`] says. The outcome may have come meanwhile, and counts then.
    #[must_use]
    pub fn look(&self) -> Option<SignError> {
        Some(self.0.in_vain(self.0.left.look()?))
    }

    /// Waits no longer, since the outcome will not come: its session's thread has broken off.
    #[must_use]
    pub fn give_up(&self) -> SignError {
        self.0.in_vain(self.0.left.give_up().unwrap_or(CallError::NotSigned))
    }
}

impl Waiting {
    fn in_vain(&self, error: CallError) -> SignError {
        let error = self.token.unanswered(error, self.within);
        if !self.counted.swap(true, Ordering::AcqRel) {
            self.routes.count(&Err(&error));
        }
        not_signed(&self.asked, &error);
        error
    }
}
