//! Who works on what: threads at work, those that hang, and what the [`Breaker`] makes of it.
//!
//! Counting only: it makes no call, starts no thread and is told the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::breaker::{Admitted, Breaker, BreakerState, LONG_PAUSE, PAUSE};

/// A call that hangs for longer is left behind: it says nothing of how the token is now, and its thread
/// is lost until the program ends.
const LEFT_AFTER: Duration = Duration::from_secs(600);
/// Calls that may hang, beyond twice the sessions, before trials become rare.
const TRIALS: usize = 32;

/// The seats of a token's threads.
pub(crate) struct Seats {
    /// As many threads are to serve.
    sessions: usize,
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
    hung_since: Option<Instant>,
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

impl AtWork {
    /// Whether it hangs and did not begin to long ago.
    fn hangs_since_lately(&self, now: Instant) -> bool {
        self.hung_since.is_some_and(|since| now.saturating_duration_since(since) < LEFT_AFTER)
    }
}

impl Seats {
    pub(crate) const fn new(sessions: usize) -> Self {
        Self {
            sessions,
            at_work: BTreeMap::new(),
            serving: 0,
            hung: 0,
            next: 1,
            breaker: Breaker::new(),
        }
    }

    /// Threads that take calls.
    pub(crate) const fn serving(&self) -> usize {
        self.serving
    }

    /// Calls that have not ended in their time.
    pub(crate) const fn hung(&self) -> usize {
        self.hung
    }

    /// Those of them that have hung for so long that nothing is to be expected of them.
    pub(crate) fn left_behind(&self, now: Instant) -> usize {
        self.hung.saturating_sub(self.hung_lately(now))
    }

    fn hung_lately(&self, now: Instant) -> usize {
        self.at_work.values().filter(|work| work.hangs_since_lately(now)).count()
    }

    /// Makes no calls for a while: a short one, unless very many have hung.
    pub(crate) fn open_breaker(&mut self, now: Instant) {
        let quick = self.sessions.saturating_mul(2).saturating_add(TRIALS);
        self.breaker.open(now, if self.hung < quick { PAUSE } else { LONG_PAUSE });
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
        self.at_work.insert(number, AtWork { overdue_at, admitted, hung_since: None });
    }

    /// Whether the thread was counted as hung and perhaps replaced.
    pub(crate) fn is_hung(&self, number: u64) -> bool {
        self.at_work.get(&number).is_some_and(|work| work.hung_since.is_some())
    }

    /// When the next call becomes overdue.
    pub(crate) fn next_overdue(&self) -> Option<Instant> {
        let waited_for = self.at_work.values().filter(|work| work.hung_since.is_none());
        waited_for.map(|work| work.overdue_at).min()
    }

    /// Counts the calls that hang by now. One on trial, and one more than there are sessions, opens the
    /// breaker; the others' threads are to be replaced.
    pub(crate) fn count_hung(&mut self, now: Instant) -> Replaced {
        let mut replaced = Replaced::default();
        let (mut lately, mut opens) = (self.hung_lately(now), false);
        for work in self.at_work.values_mut() {
            if work.hung_since.is_some() || work.overdue_at > now {
                continue;
            }
            work.hung_since = Some(now);
            self.serving = self.serving.saturating_sub(1);
            self.hung = self.hung.saturating_add(1);
            lately = lately.saturating_add(1);
            replaced.found = replaced.found.saturating_add(1);
            if work.admitted == Admitted::OnTrial || lately > self.sessions {
                opens = true;
            } else {
                replaced.replace = replaced.replace.saturating_add(1);
            }
        }
        if opens {
            self.open_breaker(now);
        }
        replaced
    }

    /// What the thread does next, and how many others begin, so that as many serve as there are sessions.
    pub(crate) fn end(&mut self, number: u64, now: Instant) -> (Next, usize) {
        let Some(work) = self.at_work.remove(&number) else { return (Next::Serve, 0) };
        let mut next = Next::Serve;
        if work.hung_since.is_some() {
            self.hung = self.hung.saturating_sub(1);
            if self.serving < self.sessions {
                self.serving = self.serving.saturating_add(1);
            } else {
                next = Next::End;
            }
        }
        let came_back = work.hung_since.is_some() && self.hung_lately(now) <= self.sessions;
        let answers = work.admitted == Admitted::OnTrial || came_back;
        if !answers || self.breaker.state() == BreakerState::Closed {
            return (next, 0);
        }
        self.breaker.close();
        (next, self.sessions.saturating_sub(self.serving))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SESSIONS: usize = 2;

    fn seats(now: Instant) -> Seats {
        let mut seats = Seats::new(SESSIONS);
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
            let replaced = self.count_hung(now);
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

        assert_eq!(seats.end(1, now), (Next::Serve, 0), "three still hang");
        assert_eq!(seats.breaker.state(), BreakerState::Open);
        assert_eq!(seats.end(2, now), (Next::Serve, 0));
        assert_eq!(seats.breaker.state(), BreakerState::Closed);
        assert_eq!(seats.end(3, now), (Next::End, 0));
        assert_eq!(seats.end(4, now), (Next::End, 0));
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

        assert_eq!(seats.end(5, now), (Next::Serve, 1));

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

    /// Hangs the calls of all trials, one after the other, until `count` hang.
    fn hang_in_trials(seats: &mut Seats, count: usize, mut now: Instant) -> Instant {
        while seats.hung() < count {
            now += seats.breaker.left(now).unwrap_or_default();
            let admitted = seats.breaker.admit(now).unwrap();
            let number = seats.take();
            // A thread that serves takes it, where there is one.
            seats.serving -= usize::from(seats.serving() > 1);
            seats.begin(number, now, admitted);
            seats.replace(now);
        }
        now
    }

    /// KEY-09: a token whose trials all hung is still tried, once a minute, and says so.
    #[test]
    fn trials_become_rare_and_never_end() {
        let mut seats = seats(Instant::now());
        let most = 2 * SESSIONS + TRIALS;
        let now = hang_in_trials(&mut seats, most - 1, Instant::now());
        assert_eq!(seats.breaker.left(now), Some(PAUSE));
        let now = hang_in_trials(&mut seats, most, now);
        assert_eq!(seats.breaker.left(now), Some(LONG_PAUSE));
        let now = hang_in_trials(&mut seats, most + 20, now);
        assert_eq!(seats.breaker.admit(now), Err(LONG_PAUSE));
    }

    /// KEY-09: a token that works again serves at full width whatever was left behind, and one later
    /// call that hangs costs it nothing.
    #[test]
    fn calls_left_behind_do_not_count_against_a_token_that_works_again() {
        let mut seats = seats(Instant::now());
        let now = hang_in_trials(&mut seats, 50, Instant::now());
        let now = now + seats.breaker.left(now).unwrap();
        let admitted = seats.breaker.admit(now).unwrap();
        let number = seats.take();
        seats.begin(number, now + PAUSE, admitted);
        let (next, add) = seats.end(number, now);
        assert_eq!((next, seats.serving() + add), (Next::Serve, SESSIONS));
        seats.serving += add;

        let later = now + LEFT_AFTER;
        assert_eq!((seats.hung(), seats.left_behind(later)), (50, 50));
        seats.hangs(number, later);
        assert_eq!(seats.replace(later), Replaced { found: 1, replace: 1 });
        assert_eq!(seats.breaker.state(), BreakerState::Closed);
        assert_eq!((seats.serving(), seats.left_behind(later)), (SESSIONS, 50));
    }
}
