//! When the next list is due.

use std::time::Duration;

use thiserror::Error;
use x509::time::UnixTime;

/// How often a CA signs a list, and how long each stays valid beyond that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    period: Duration,
    overlap: Duration,
}

/// Whether a list is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Now; `missed` whole periods have passed beside the one that makes it due. The first is an
    /// alarm (CRL-03).
    Now {
        /// Periods without a list.
        missed: u64,
    },
    /// Not before this.
    At(UnixTime),
}

impl Schedule {
    /// A list every `period`, each valid for `period` + `overlap`.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] unless the period is at least a second and the overlap lets two lists be
    /// missed (CRL-03).
    pub fn new(period: Duration, overlap: Duration) -> Result<Self, ScheduleError> {
        if period < Duration::from_secs(1) {
            return Err(ScheduleError::Period);
        }
        if overlap < period.saturating_mul(2) {
            return Err(ScheduleError::Overlap { overlap, period });
        }
        Ok(Self { period, overlap })
    }

    /// nextUpdate of a list made at `this_update`; `None` after the year 9999.
    #[must_use]
    pub fn next_update(&self, this_update: UnixTime) -> Option<UnixTime> {
        this_update.checked_add(self.period.checked_add(self.overlap)?)
    }

    /// Whether a list is due at `now`, the last one having been made at `last`.
    ///
    /// Nothing but time counts here: a list is due although nothing was revoked.
    #[must_use]
    pub fn due(&self, last: Option<UnixTime>, now: UnixTime) -> Due {
        let Some(last) = last else { return Due::Now { missed: 0 } };
        match last.checked_add(self.period) {
            Some(at) if at > now => Due::At(at),
            _ => {
                let periods = now.since(last).as_secs().checked_div(self.period.as_secs());
                Due::Now { missed: periods.unwrap_or(0).saturating_sub(1) }
            }
        }
    }
}

/// Why a schedule was refused.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScheduleError {
    /// CRL-03: the publication may fail twice before relying parties are without a list.
    #[error("overlap of {overlap:?} is less than twice the period of {period:?}")]
    Overlap {
        /// What was given.
        overlap: Duration,
        /// The period.
        period: Duration,
    },
    /// Times on CRLs are whole seconds.
    #[error("period is shorter than a second")]
    Period,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    /// CRL-03: due by time alone, and a missed period is told.
    #[test]
    fn a_list_is_due_every_period_and_misses_are_counted() {
        let hourly = Schedule::new(HOUR, HOUR * 23).unwrap();

        assert_eq!(hourly.due(None, at(0)), Due::Now { missed: 0 });
        assert_eq!(hourly.due(Some(at(100)), at(3699)), Due::At(at(3700)));
        assert_eq!(hourly.due(Some(at(100)), at(3700)), Due::Now { missed: 0 });
        assert_eq!(hourly.due(Some(at(100)), at(7300)), Due::Now { missed: 1 });
        assert_eq!(hourly.due(Some(at(7300)), at(100)), Due::At(at(10_900)));
        assert_eq!(hourly.next_update(at(100)), Some(at(86_500)));
    }

    /// CRL-03: two failures in a row leave a valid list.
    #[test]
    fn refuses_a_schedule_that_two_failures_break() {
        assert!(Schedule::new(HOUR, HOUR * 2).is_ok());
        assert_eq!(
            Schedule::new(HOUR, HOUR),
            Err(ScheduleError::Overlap { overlap: HOUR, period: HOUR })
        );
        assert_eq!(Schedule::new(Duration::ZERO, HOUR), Err(ScheduleError::Period));
    }
}
