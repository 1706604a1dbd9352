//! From when to when an issuer's key issues, and its state (KEY-06, KEY-12).
//!
//! What ends is issuing: CRLs and the delegates of OCSP responders go on for as long as what was issued
//! may be asked about.

use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use x509::time::UnixTime;

use crate::day::Day;
use crate::issuer::Issuer;

/// The state of an issuer's key, as operators set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyState {
    /// It issues on its days.
    #[default]
    Active,
    /// It issues no more, whatever the day.
    Retired,
}

/// The days on which an issuer's key issues; without one, no bound is set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyPeriod {
    from: Option<Day>,
    until: Option<Day>,
    state: KeyState,
}

impl KeyPeriod {
    /// From its first day to its last, both included.
    ///
    /// # Errors
    ///
    /// [`EmptyPeriod`]: the last day lies before the first.
    pub fn new(
        from: Option<Day>,
        until: Option<Day>,
        state: KeyState,
    ) -> Result<Self, EmptyPeriod> {
        if let (Some(from), Some(until)) = (from, until)
            && until < from
        {
            return Err(EmptyPeriod { from, until });
        }
        Ok(Self { from, until, state })
    }

    /// The same days, on which nothing is issued any more.
    #[must_use]
    pub const fn retired(mut self) -> Self {
        self.state = KeyState::Retired;
        self
    }

    /// Its state.
    #[must_use]
    pub const fn state(&self) -> KeyState {
        self.state
    }
}

/// The last day lies before the first.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("issue-until = {until} is before issue-from = {from}")]
pub struct EmptyPeriod {
    from: Day,
    until: Day,
}

impl Issuer {
    /// Judges whether the issuer's key issues at `now`. A certificate that has ended by itself is
    /// refused elsewhere.
    ///
    /// # Errors
    ///
    /// [`NotIssuing`] says since when or until when.
    pub fn may_issue(&self, now: UnixTime) -> Result<(), NotIssuing> {
        let KeyPeriod { from, until, state } = self.period();
        if state == KeyState::Retired {
            return Err(NotIssuing::Retired);
        }
        if let Some(from) = from.filter(|from| now < from.begin()) {
            return Err(NotIssuing::NotBegun { from });
        }
        if let Some(until) = until.filter(|until| until.end() <= now) {
            return Err(NotIssuing::Ended { until });
        }
        if self.last_for_whole_life() < now && now <= self.not_after() {
            return Err(NotIssuing::NearItsEnd {
                not_after: self.not_after(),
                days: self.longest_life().as_secs() / DAY,
            });
        }
        Ok(())
    }

    /// The first second at which it issues no more, by its last day and by its own end.
    #[must_use]
    pub fn issuing_ends(&self) -> UnixTime {
        let second = Duration::from_secs(1);
        let own = self.last_for_whole_life().checked_add(second).unwrap_or(UnixTime::LAST);
        self.period().until.map_or(own, |until| until.end().min(own))
    }

    /// The last second at which what it issues may have its whole life (GEN-6.5.1-08).
    fn last_for_whole_life(&self) -> UnixTime {
        self.not_after().saturating_sub(self.longest_life())
    }
}

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Why an issuer's key does not issue.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum NotIssuing {
    /// Its last day is over.
    #[error("its last day was {until}")]
    Ended {
        /// The last day.
        until: Day,
    },
    /// What it issues could end after it.
    #[error("it ends at {not_after}, and its profiles last up to {days} days")]
    NearItsEnd {
        /// The end of its certificate.
        not_after: UnixTime,
        /// The longest lifetime of its profiles, in whole days.
        days: u64,
    },
    /// Its first day has not come.
    #[error("its first day is {from}")]
    NotBegun {
        /// The first day.
        from: Day,
    },
    /// Its operator has retired it.
    #[error("it is retired")]
    Retired,
}

impl NotIssuing {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Ended { .. } | Self::NearItsEnd { .. } => "issuing-ended",
            Self::NotBegun { .. } => "issuing-not-begun",
            Self::Retired => "issuer-retired",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::NotBegun { .. } => {
                "order from that day on, or name another authority: GET /v1/authorities"
            }
            Self::Ended { .. } | Self::NearItsEnd { .. } | Self::Retired => {
                "name another authority; if there is none, have the operator make the next issuing CA"
            }
        }
    }
}
