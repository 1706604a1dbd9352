//! The sessions that are open on the real module, and who uses them now.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cryptoki_sys::{CK_MECHANISM_TYPE, CK_SESSION_HANDLE, CK_SLOT_ID};

/// How the laboratory hashes for a mechanism that the real module does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

/// What C_SignInit has begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signing {
    pub(crate) mechanism: CK_MECHANISM_TYPE,
    pub(crate) hash: Option<Hash>,
    /// Another key signs than the one that was asked for.
    pub(crate) other_key: bool,
}

struct Open {
    slot: CK_SLOT_ID,
    used: Instant,
    calls: u64,
    signing: Option<Signing>,
}

/// All open sessions. Slots are the real module's.
#[derive(Default)]
pub(crate) struct Sessions {
    open: HashMap<CK_SESSION_HANDLE, Open>,
    calls: u64,
    /// More calls came at once than the device bears.
    pub(crate) dead: bool,
}

/// What was seen when a call began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entered {
    /// Calls under way, this one included.
    pub(crate) at_once: u64,
    /// Another call is under way on the same session.
    pub(crate) shared: bool,
}

impl Sessions {
    pub(crate) fn opened(&mut self, session: CK_SESSION_HANDLE, slot: CK_SLOT_ID) {
        let open = Open { slot, used: Instant::now(), calls: 0, signing: None };
        self.open.insert(session, open);
    }

    pub(crate) fn closed(&mut self, session: CK_SESSION_HANDLE) {
        self.open.remove(&session);
    }

    pub(crate) fn all_closed(&mut self, slot: CK_SLOT_ID) {
        self.open.retain(|_, open| open.slot != slot);
    }

    /// Everything ends with a finalisation, death included.
    pub(crate) fn finalised(&mut self) {
        self.open.clear();
        self.dead = false;
    }

    pub(crate) fn count(&self) -> usize {
        self.open.len()
    }

    /// Calls under way.
    pub(crate) const fn under_way(&self) -> u64 {
        self.calls
    }

    pub(crate) fn on_slot(&self, slot: CK_SLOT_ID) -> usize {
        self.open.values().filter(|open| open.slot == slot).count()
    }

    pub(crate) fn slot(&self, session: CK_SESSION_HANDLE) -> Option<CK_SLOT_ID> {
        self.open.get(&session).map(|open| open.slot)
    }

    /// How long a session has not been used.
    pub(crate) fn idle(&self, session: CK_SESSION_HANDLE) -> Option<Duration> {
        self.open.get(&session).filter(|open| open.calls <= 1).map(|open| open.used.elapsed())
    }

    pub(crate) fn enter(&mut self, session: CK_SESSION_HANDLE) -> Entered {
        self.calls = self.calls.saturating_add(1);
        let shared = self.open.get_mut(&session).is_some_and(|open| {
            open.calls = open.calls.saturating_add(1);
            open.calls > 1
        });
        Entered { at_once: self.calls, shared }
    }

    pub(crate) fn leave(&mut self, session: CK_SESSION_HANDLE) {
        self.calls = self.calls.saturating_sub(1);
        if let Some(open) = self.open.get_mut(&session) {
            open.calls = open.calls.saturating_sub(1);
            open.used = Instant::now();
        }
    }

    pub(crate) fn begin_signing(&mut self, session: CK_SESSION_HANDLE, signing: Signing) {
        if let Some(open) = self.open.get_mut(&session) {
            open.signing = Some(signing);
        }
    }

    pub(crate) fn signing(&self, session: CK_SESSION_HANDLE) -> Option<Signing> {
        self.open.get(&session).and_then(|open| open.signing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_on_one_session_are_seen() {
        let mut sessions = Sessions::default();
        sessions.opened(1, 0);
        sessions.opened(2, 0);

        assert_eq!(sessions.enter(1), Entered { at_once: 1, shared: false });
        assert_eq!(sessions.enter(2), Entered { at_once: 2, shared: false });
        assert_eq!(sessions.enter(1), Entered { at_once: 3, shared: true });
        sessions.leave(1);
        sessions.leave(1);
        sessions.leave(2);
        assert_eq!(sessions.enter(1), Entered { at_once: 1, shared: false });
    }

    #[test]
    fn closing_all_of_a_slot_leaves_the_others() {
        let mut sessions = Sessions::default();
        sessions.opened(1, 0);
        sessions.opened(2, 5);

        sessions.all_closed(0);

        assert_eq!((sessions.count(), sessions.on_slot(5), sessions.slot(1)), (1, 1, None));
    }
}
