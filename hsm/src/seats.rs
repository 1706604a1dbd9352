//! Who works on what: threads at work, those that hang, and what the [`Breaker`] makes of it.
//!
//! Counting only: it makes no call, starts no thread and is told the time.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::breaker::{Admitted, Breaker, BreakerState};

/// The seats of a token's threads.
pub(crate) struct Seats {
    at_work: BTreeMap<u64, AtWork>,
    /// Threads that take work or are at work that does not hang.
    serving: usize,
    hung: usize,
    next: u64,
    pub(crate) breaker: Breaker,
}

struct AtWork {
    overdue_at: Instant,
    admitted: Admitted,
    is_hung: bool,
}

/// What a thread does after its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Serve,
    /// Another one has taken its place.
    End,
}

/// Calls found hanging, and how many threads take the places of theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Replaced {
    pub(crate) found: usize,
    pub(crate) replace: usize,
}

impl Seats {
    pub(crate) const fn new() -> Self {
        Self { at_work: BTreeMap::new(), serving: 0, hung: 0, next: 1, breaker: Breaker::new() }
    }

    /// Threads that take calls.
    pub(crate) const fn serving(&self) -> usize {
        self.serving
    }

    /// Calls that have not ended in their time.
    pub(crate) const fn hung(&self) -> usize {
        self.hung
    }

    /// A thread is about to begin; its number.
    pub(crate) const fn take(&mut self) -> u64 {
        let number = self.next;
        self.next = number.saturating_add(1);
        self.serving = self.serving.saturating_add(1);
        number
    }

    /// It could not begin.
    pub(crate) const fn leave(&mut self) {
        self.serving = self.serving.saturating_sub(1);
    }

    /// A thread is at work, which hangs if it has not ended at `overdue_at`.
    pub(crate) fn begin(&mut self, number: u64, overdue_at: Instant, admitted: Admitted) {
        self.at_work.insert(number, AtWork { overdue_at, admitted, is_hung: false });
    }

    /// Whether the thread was counted as hung and perhaps replaced.
    pub(crate) fn is_hung(&self, number: u64) -> bool {
        self.at_work.get(&number).is_some_and(|work| work.is_hung)
    }

    /// When the next call becomes overdue.
    pub(crate) fn next_overdue(&self) -> Option<Instant> {
        let waited_for = self.at_work.values().filter(|work| !work.is_hung);
        waited_for.map(|work| work.overdue_at).min()
    }

    /// Counts the calls that hang by now. One on trial, and one more than there are `sessions`, opens
    /// the breaker; the others' threads are to be replaced.
    pub(crate) fn count_hung(&mut self, now: Instant, sessions: usize) -> Replaced {
        let mut replaced = Replaced::default();
        for work in self.at_work.values_mut() {
            if work.is_hung || work.overdue_at > now {
                continue;
            }
            work.is_hung = true;
            self.serving = self.serving.saturating_sub(1);
            self.hung = self.hung.saturating_add(1);
            replaced.found = replaced.found.saturating_add(1);
            if work.admitted == Admitted::OnTrial || self.hung > sessions {
                self.breaker.open(now);
            } else {
                replaced.replace = replaced.replace.saturating_add(1);
            }
        }
        replaced
    }

    /// What the thread does next, and how many others begin.
    pub(crate) fn end(&mut self, number: u64, sessions: usize, most_hung: usize) -> (Next, usize) {
        let Some(work) = self.at_work.remove(&number) else { return (Next::Serve, 0) };
        let mut next = Next::Serve;
        if work.is_hung {
            self.hung = self.hung.saturating_sub(1);
            if self.serving < sessions {
                self.serving = self.serving.saturating_add(1);
            } else {
                next = Next::End;
            }
        }
        let answers = work.admitted == Admitted::OnTrial || (work.is_hung && self.hung <= sessions);
        if !answers || self.breaker.state() == BreakerState::Closed {
            return (next, 0);
        }
        self.breaker.close();
        let room = most_hung.saturating_sub(self.hung);
        (next, sessions.saturating_sub(self.serving).min(room))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SESSIONS: usize = 2;
    const MOST: usize = 6;

    fn seats(now: Instant) -> Seats {
        let mut seats = Seats::new();
        for _ in 0..SESSIONS {
            let number = seats.take();
            seats.hangs(number, now);
        }
        seats
    }

    impl Seats {
        fn hangs(&mut self, number: u64, since: Instant) {
            self.begin(number, since, Admitted::Usual);
        }

        fn replace(&mut self, now: Instant) -> Replaced {
            let replaced = self.count_hung(now, SESSIONS);
            self.serving += replaced.replace;
            replaced
        }
    }

    /// KEY-09: as many hung calls as sessions are replaced, then the breaker opens; each is counted
    /// once.
    #[test]
    fn hung_calls_are_replaced_until_the_breaker_opens() {
        let now = Instant::now();
        let mut seats = seats(now);
        assert_eq!(seats.replace(now - Duration::from_secs(1)), Replaced::default());

        assert_eq!(seats.replace(now), Replaced { found: 2, replace: 2 });
        assert_eq!(seats.replace(now), Replaced::default());
        assert_eq!((seats.serving, seats.hung), (2, 2));
        assert_eq!(seats.breaker.state(), BreakerState::Closed);

        seats.hangs(3, now);
        assert_eq!(seats.replace(now), Replaced { found: 1, replace: 0 });
        assert_eq!((seats.serving, seats.hung), (1, 3));
        assert_eq!(seats.breaker.state(), BreakerState::Open);
    }

    /// KEY-09: a hung call that comes back is discounted, its thread ends where another has its place,
    /// and the breaker closes.
    #[test]
    fn a_hung_call_that_comes_back_closes_the_breaker() {
        let now = Instant::now();
        let mut seats = seats(now);
        seats.replace(now);
        for number in 3..=4 {
            seats.hangs(number, now);
        }
        seats.replace(now);
        assert_eq!((seats.serving, seats.hung), (0, 4));

        assert_eq!(seats.end(1, SESSIONS, MOST), (Next::Serve, 0), "three still hang");
        assert_eq!(seats.breaker.state(), BreakerState::Open);
        assert_eq!(seats.end(2, SESSIONS, MOST), (Next::Serve, 0));
        assert_eq!(seats.breaker.state(), BreakerState::Closed);
        assert_eq!(seats.end(3, SESSIONS, MOST), (Next::End, 0));
        assert_eq!(seats.end(4, SESSIONS, MOST), (Next::End, 0));
        assert_eq!((seats.serving, seats.hung), (2, 0));
    }

    #[test]
    fn a_trial_that_ends_closes_the_breaker_and_fills_the_seats() {
        let now = Instant::now();
        let mut seats = seats(now);
        seats.replace(now);
        for number in 3..=4 {
            seats.hangs(number, now);
        }
        seats.replace(now);
        seats.serving += 1;
        seats.begin(5, now, Admitted::OnTrial);

        assert_eq!(seats.end(5, SESSIONS, MOST), (Next::Serve, 1));

        assert_eq!(seats.breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_trial_that_hangs_keeps_the_breaker_open_and_is_not_replaced() {
        let now = Instant::now();
        let mut seats = seats(now);
        seats.at_work.clear();
        seats.begin(5, now, Admitted::OnTrial);

        assert_eq!(seats.replace(now), Replaced { found: 1, replace: 0 });

        assert_eq!(seats.breaker.state(), BreakerState::Open);
    }
}
