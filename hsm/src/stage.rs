//! How far a piece of work has come: what its caller and its thread agree on when one of them is late.
//!
//! A caller who gives up before the key is asked to sign knows that nothing was signed, because the
//! thread asks here first and then does not. A signature that comes after its caller has gone is seen
//! by the thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const SIGNING: u8 = 2;
const SIGNED: u8 = 3;
const GIVEN_UP: u8 = 4;

/// Shared by caller and thread.
#[derive(Clone, Debug)]
pub(crate) struct Stage(Arc<AtomicU8>);

/// How far the work was when its caller gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// No thread takes it any more.
    Waiting,
    /// It is at work and signs nothing any more.
    BeforeSigning,
    /// The key was asked, and may sign.
    Signing,
    /// Too late to give up: the signature is there.
    Signed,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicU8::new(WAITING)))
    }

    fn step(&self, from: u8, to: u8) -> bool {
        self.0.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }

    /// A thread takes the work; false when nobody waits for it any more.
    pub(crate) fn begin(&self) -> bool {
        self.step(WAITING, BEGUN)
    }

    /// The key is about to be asked; false when nobody waits any more, and it must not be.
    pub(crate) fn sign(&self) -> bool {
        self.step(BEGUN, SIGNING)
    }

    /// A signature came back; false when nobody waits any more, and nobody gets it.
    pub(crate) fn signed(&self) -> bool {
        self.step(SIGNING, SIGNED)
    }

    /// Takes back work that no thread has begun.
    pub(crate) fn take_back(&self) -> bool {
        self.step(WAITING, GIVEN_UP)
    }

    /// Whether nobody waits any more.
    pub(crate) fn is_given_up(&self) -> bool {
        self.0.load(Ordering::Acquire) == GIVEN_UP
    }

    /// How long the outcome is worth waiting for: until `deadline`, and longer only for a signature that is there, which its
    /// thread may take up to `hand_over` to bring.
    pub(crate) fn awaited_until(&self, deadline: Instant, hand_over: Duration) -> Instant {
        let is_there = self.0.load(Ordering::Acquire) == SIGNED;
        let longer = is_there.then(|| deadline.checked_add(hand_over)).flatten();
        longer.unwrap_or(deadline)
    }

    /// Waits no longer.
    pub(crate) fn give_up(&self) -> GivenUp {
        let given_up = |stage| (stage != SIGNED).then_some(GIVEN_UP);
        match self.0.fetch_update(Ordering::AcqRel, Ordering::Acquire, given_up) {
            Ok(WAITING) => GivenUp::Waiting,
            Ok(BEGUN) => GivenUp::BeforeSigning,
            Ok(_) => GivenUp::Signing,
            Err(_) => GivenUp::Signed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KEY-09, KEY-14: who gives up before the key is asked knows that it is not asked.
    #[test]
    fn work_that_was_given_up_asks_no_key_and_tells_of_a_late_signature() {
        let stage = Stage::new();
        assert!(!stage.is_given_up());
        assert_eq!(stage.give_up(), GivenUp::Waiting);
        assert!(!stage.begin() && stage.is_given_up());

        let stage = Stage::new();
        assert!(stage.begin() && !stage.take_back());
        assert_eq!(stage.give_up(), GivenUp::BeforeSigning);
        assert!(!stage.sign());

        let stage = Stage::new();
        assert!(stage.begin() && stage.sign());
        assert_eq!(stage.give_up(), GivenUp::Signing);
        assert!(!stage.signed());

        let stage = Stage::new();
        assert!(stage.begin() && stage.sign() && stage.signed());
        assert_eq!(stage.give_up(), GivenUp::Signed);
    }

    /// KEY-09: whoever looks once more when his time is up finds it up, however late he looks; only a signature that is
    /// there is waited for beyond it.
    #[test]
    fn beyond_the_deadline_only_a_signature_that_is_there_is_waited_for() {
        let (deadline, hand_over) = (Instant::now(), Duration::from_secs(60));
        let stage = Stage::new();
        let until = || stage.awaited_until(deadline, hand_over);
        assert_eq!(until(), deadline);
        assert!(stage.begin());
        assert_eq!(until(), deadline);
        assert!(stage.sign());
        assert_eq!(until(), deadline, "the key may hang");
        assert!(stage.signed());
        assert_eq!(until(), deadline + hand_over);
    }
}
