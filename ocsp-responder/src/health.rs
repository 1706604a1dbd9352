//! Whether a delegate's key signs now, as its last calls tell.
//!
//! No answer waits for this: a call that is in vain is told so by the token. It is for readiness, and
//! for the proofs by which a key that nobody asks is seen to fail, and one that failed to sign again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A key that has not worked for so long, because nobody asked it, is to prove itself.
const IDLE: Duration = Duration::from_secs(10);
/// Between two proofs of a key that fails.
const PROVE_EVERY: Duration = Duration::from_secs(3);

/// What the last calls told of a key.
#[derive(Debug)]
pub(crate) struct KeyHealth(Mutex<State>);

#[derive(Debug)]
struct State {
    /// It signed, or proved itself.
    worked: Instant,
    /// It was last to prove itself.
    asked: Instant,
    /// What it fails with, since it worked.
    failure: Option<String>,
}

/// What a call came to, beside what was known before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It signed before, and fails now.
    Failed,
    /// It failed before, and signs now.
    Healed,
    None,
}

impl KeyHealth {
    /// A key that has just proven itself.
    pub(crate) fn well(now: Instant) -> Self {
        Self(Mutex::new(State { worked: now, asked: now, failure: None }))
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a call that began at `begun` failed with; `None` if it came to a signature that verifies, or
    /// to a proof. One call that fails says nothing of a key that has worked for others meanwhile.
    pub(crate) fn note(&self, begun: Instant, now: Instant, failure: Option<String>) -> Change {
        let mut state = self.state();
        if failure.is_some() && state.worked > begun {
            return Change::None;
        }
        if failure.is_none() {
            state.worked = now;
        }
        let before = std::mem::replace(&mut state.failure, failure);
        match (before.is_some(), state.failure.is_some()) {
            (false, true) => Change::Failed,
            (true, false) => Change::Healed,
            _ => Change::None,
        }
    }

    /// What it fails with; `None` while it is well.
    pub(crate) fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// Whether it is to prove itself at `now`; if so, it counts as asked.
    pub(crate) fn ask_for_proof(&self, now: Instant) -> bool {
        let mut state = self.state();
        let (since, pause) = match state.failure {
            Some(_) => (state.asked, PROVE_EVERY),
            None => (state.worked, IDLE),
        };
        let is_due = now.saturating_duration_since(since) >= pause;
        if is_due {
            state.asked = now;
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure() -> Option<String> {
        Some("token is away".to_owned())
    }

    /// Questions that fail all the time do not keep a key from proving itself, nor do they when there
    /// are none.
    #[test]
    fn a_key_that_fails_or_is_idle_is_to_prove_itself() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let key = KeyHealth::well(start);
        assert!(!key.ask_for_proof(at(9)));
        assert!(key.ask_for_proof(at(10)), "idle");

        assert_eq!(key.note(at(10), at(10), failure()), Change::Failed);
        assert_eq!(key.note(at(12), at(12), failure()), Change::None);
        assert!(!key.ask_for_proof(at(12)));
        assert_eq!(key.note(at(13), at(13), failure()), Change::None);
        assert!(key.ask_for_proof(at(13)));
        assert!(key.failure().is_some());

        assert_eq!(key.note(at(13), at(14), None), Change::Healed);
        assert_eq!(key.failure(), None);
        assert!(!key.ask_for_proof(at(23)) && key.ask_for_proof(at(24)));
    }

    #[test]
    fn a_call_that_fails_says_nothing_of_a_key_that_has_worked_since_it_began() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let key = KeyHealth::well(start);
        key.note(at(2), at(3), None);

        assert_eq!(key.note(at(1), at(6), failure()), Change::None);
        assert_eq!(key.failure(), None);
        assert_eq!(key.note(at(4), at(7), failure()), Change::Failed);
    }
}
