//! The circuit breaker in front of a token whose calls hang.
//!
//! A hung call costs a thread and a session, and waiting for the next one costs a caller its whole
//! deadline. So when too many hang, callers are refused at once and told when to come back; then one
//! call is let through on trial.

use std::time::{Duration, Instant};

/// How long callers are refused before one is let through on trial.
pub(crate) const PAUSE: Duration = Duration::from_secs(3);
/// The same where so many trials have hung that the next one will hardly end: each costs a thread.
pub(crate) const LONG_PAUSE: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Breaker {
    state: State,
    openings: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Open {
        until: Instant,
    },
    /// One call is under way.
    Trial,
}

/// As metrics and logs name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls are made.
    Closed,
    /// One call is made; all others are refused.
    Trial,
    /// Calls are refused.
    Open,
}

/// What a call may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// Go on.
    Usual,
    /// Go on; all others wait for how this one ends.
    OnTrial,
}

impl Breaker {
    pub(crate) const fn new() -> Self {
        Self { state: State::Closed, openings: 0 }
    }

    /// Whether a call may be made now; else how long to stay away.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<Admitted, Duration> {
        match self.state {
            State::Closed => Ok(Admitted::Usual),
            State::Trial => Err(PAUSE),
            State::Open { until } => {
                let left = until.saturating_duration_since(now);
                if left.is_zero() {
                    self.state = State::Trial;
                    Ok(Admitted::OnTrial)
                } else {
                    Err(left)
                }
            }
        }
    }

    /// How long whoever has something to lose by a call in vain stays away; `None`: a call may be made.
    /// Changes nothing: the call on trial is another's, who loses nothing. Where none has come a pause
    /// after its time, anybody's will do.
    pub(crate) fn put_off(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Closed => None,
            State::Trial => Some(PAUSE),
            State::Open { until } => {
                let nobody_came = until.checked_add(PAUSE).is_none_or(|late| now >= late);
                (!nobody_came).then(|| until.saturating_duration_since(now))
            }
        }
    }

    /// Too many calls hang, or the one on trial did not end: none is made for `pause`.
    pub(crate) fn open(&mut self, now: Instant, pause: Duration) {
        if self.state == State::Closed {
            self.openings = self.openings.saturating_add(1);
        }
        self.state = State::Open { until: now.checked_add(pause).unwrap_or(now) };
    }

    /// A call has ended.
    pub(crate) const fn close(&mut self) {
        self.state = State::Closed;
    }

    pub(crate) const fn state(&self) -> BreakerState {
        match self.state {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::Trial => BreakerState::Trial,
        }
    }

    /// How long it is open still; `None` when it is not.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        match self.state {
            State::Open { until } => Some(until.saturating_duration_since(now)),
            State::Closed | State::Trial => None,
        }
    }

    /// How often it opened.
    pub(crate) const fn openings(&self) -> u64 {
        self.openings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_breaker_refuses_until_its_pause_is_over_and_then_lets_one_call_through() {
        let (mut breaker, start) = (Breaker::new(), Instant::now());
        assert_eq!(breaker.admit(start), Ok(Admitted::Usual));

        breaker.open(start, PAUSE);
        assert_eq!(breaker.admit(start), Err(PAUSE));
        let almost = start + PAUSE - Duration::from_millis(1);
        assert_eq!(breaker.admit(almost), Err(Duration::from_millis(1)));
        assert_eq!(breaker.admit(start + PAUSE), Ok(Admitted::OnTrial));
        assert_eq!(breaker.state(), BreakerState::Trial);
        assert_eq!(breaker.admit(start + PAUSE), Err(PAUSE));

        breaker.close();
        assert_eq!(breaker.admit(start), Ok(Admitted::Usual));
    }

    /// KEY-09: the trial is left to whoever loses nothing by it, but not for ever.
    #[test]
    fn callers_that_would_lose_something_stay_away_until_the_trial_has_ended() {
        let (mut breaker, start) = (Breaker::new(), Instant::now());
        assert_eq!(breaker.put_off(start), None);

        breaker.open(start, PAUSE);
        assert_eq!(breaker.put_off(start), Some(PAUSE));
        let due = start + PAUSE;
        assert_eq!(breaker.put_off(due), Some(Duration::ZERO), "the trial is another's");
        assert_eq!(breaker.put_off(due + PAUSE), None, "nobody came");
        assert_eq!(breaker.admit(due), Ok(Admitted::OnTrial), "asking has changed nothing");
        assert_eq!(breaker.put_off(due + PAUSE), Some(PAUSE));
        breaker.close();
        assert_eq!(breaker.put_off(due), None);
    }

    #[test]
    fn a_trial_that_fails_opens_it_for_another_pause() {
        let (mut breaker, start) = (Breaker::new(), Instant::now());
        breaker.open(start, PAUSE);
        let later = start + PAUSE;
        assert_eq!(breaker.admit(later), Ok(Admitted::OnTrial));

        breaker.open(later, PAUSE);

        assert_eq!(breaker.admit(later), Err(PAUSE));
        assert_eq!(breaker.openings(), 1, "it was open all the time");
    }
}
