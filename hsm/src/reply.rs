//! One answer from a session's thread to one caller, who sleeps until it comes or the time is up.
//!
//! A channel would do, but its receivers always spin and yield before they sleep, and callers that wait for a
//! signature then take the processor from the thread that makes it. Whether that is worth it is
//! [`Alert`](crate::alert::Alert)'s to say.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

enum State<T> {
    /// Nothing has come; whether the caller sleeps and is to be woken (which costs a system call).
    Waiting {
        asleep: bool,
    },
    Answered(T),
    /// Taken, or never to come.
    Closed,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
    /// The answer has come, for a caller who looks.
    is_there: AtomicBool,
}

impl<T> Slot<T> {
    /// The state is replaced whole, so a panic elsewhere cannot leave it half written.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The end of the thread that works.
pub(crate) struct Reply<T>(Arc<Slot<T>>);

/// The caller's end.
pub(crate) struct Answer<T>(Arc<Slot<T>>);

pub(crate) fn reply<T>() -> (Reply<T>, Answer<T>) {
    let (state, changed) = (Mutex::new(State::Waiting { asleep: false }), Condvar::new());
    let slot = Arc::new(Slot { state, changed, is_there: AtomicBool::new(false) });
    (Reply(Arc::clone(&slot)), Answer(slot))
}

impl<T> Reply<T> {
    /// Answers. A caller who has stopped waiting does not mind.
    pub(crate) fn send(self, answer: T) {
        let before = std::mem::replace(&mut *self.0.state(), State::Answered(answer));
        self.0.is_there.store(true, Ordering::Release);
        if matches!(before, State::Waiting { asleep: true }) {
            self.0.changed.notify_one();
        }
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if matches!(*state, State::Waiting { .. }) {
            *state = State::Closed;
            self.0.changed.notify_one();
        }
    }
}

impl<T> Answer<T> {
    /// Whether the answer has come. For whoever looks; takes nothing.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_there.load(Ordering::Acquire)
    }

    /// Sleeps until the answer comes, at most until `deadline`; `None` if it has not come or never
    /// will.
    pub(crate) fn wait_until(&self, deadline: Instant) -> Option<T> {
        let mut state = self.0.state();
        while matches!(*state, State::Waiting { .. }) {
            let left = deadline.saturating_duration_since(Instant::now());
            *state = State::Waiting { asleep: !left.is_zero() };
            if left.is_zero() {
                return None;
            }
            let waited = self.0.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        take(&mut state)
    }

    /// The answer, if it has come.
    pub(crate) fn take(&self) -> Option<T> {
        take(&mut self.0.state())
    }
}

fn take<T>(state: &mut State<T>) -> Option<T> {
    match std::mem::replace(state, State::Closed) {
        State::Answered(answer) => Some(answer),
        waiting @ State::Waiting { .. } => {
            *state = waiting;
            None
        }
        State::Closed => None,
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    fn in_time() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn the_answer_comes_and_a_lost_one_is_told_at_once() {
        let (send, wait) = reply();
        let waiting = thread::spawn(move || wait.wait_until(in_time()));
        send.send(5);
        assert_eq!(waiting.join().unwrap(), Some(5));

        let (send, wait) = reply::<u8>();
        let waiting = thread::spawn(move || wait.wait_until(in_time()));
        drop(send);
        assert_eq!(waiting.join().unwrap(), None);
    }

    #[test]
    fn a_caller_whose_time_is_up_can_still_take_what_came_late() {
        let (send, wait) = reply();
        assert_eq!(wait.wait_until(Instant::now() + Duration::from_millis(5)), None);
        assert_eq!(wait.take(), None);
        assert!(!wait.is_there());
        send.send(5);
        assert!(wait.is_there());
        assert_eq!(wait.take(), Some(5));
        assert_eq!(wait.take(), None);
    }
}
