//! One answer from the writer to one caller, who sleeps until it comes.
//!
//! A channel would do, but its receivers spin before they sleep, and hundreds of callers that wait
//! for one fsync then take the processor from the thread that they wait for.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

enum State<T> {
    Waiting,
    Answered(T),
    /// The writer is gone and will never answer.
    Closed,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Slot<T> {
    /// The state is replaced whole, so a panic elsewhere cannot leave it half written.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer's end.
pub(super) struct Reply<T>(Arc<Slot<T>>);

/// The caller's end.
pub(super) struct Answer<T>(Arc<Slot<T>>);

pub(super) fn reply<T>() -> (Reply<T>, Answer<T>) {
    let slot = Arc::new(Slot { state: Mutex::new(State::Waiting), changed: Condvar::new() });
    (Reply(Arc::clone(&slot)), Answer(slot))
}

impl<T> Reply<T> {
    /// Answers. A caller who has gone away does not mind.
    pub(super) fn send(self, answer: T) {
        *self.0.state() = State::Answered(answer);
        self.0.changed.notify_one();
    }
}

impl<T> Drop for Reply<T> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if matches!(*state, State::Waiting) {
            *state = State::Closed;
            self.0.changed.notify_one();
        }
    }
}

impl<T> Answer<T> {
    /// Sleeps until the answer comes; `None` if it never will.
    pub(super) fn wait(self) -> Option<T> {
        let mut state = self.0.state();
        loop {
            match std::mem::replace(&mut *state, State::Closed) {
                State::Answered(answer) => return Some(answer),
                State::Closed => return None,
                State::Waiting => {
                    *state = State::Waiting;
                    state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn the_answer_comes_and_a_lost_one_is_told() {
        let (send, wait) = reply();
        let waiting = thread::spawn(move || wait.wait());
        send.send(5);
        assert_eq!(waiting.join().unwrap(), Some(5));

        let (send, wait) = reply::<u8>();
        let waiting = thread::spawn(move || wait.wait());
        drop(send);
        assert_eq!(waiting.join().unwrap(), None);
    }
}
