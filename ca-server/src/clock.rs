//! The program's one clock, and whether it can be trusted to issue.
//!
//! Read once per use case and passed down. At start it is compared with what the logs and published
//! checkpoints say: a clock that is further ahead of them than a service stands still is not believed
//! until an operator has confirmed it, because log times never go back. From then on every reading is
//! compared with the time since boot, suspension included: a step above [`MAX_STEP`] between the two
//! means that somebody or something moved the time. Issuing and CRLs stop in both cases; revocations
//! go on, at the time that the other clock makes likely (architecture §2.5). A step heals without a
//! restart when both agree again.

use std::fmt;
use std::ops::Add;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use x509::time::UnixTime;

/// The largest step of wall time against time since boot that is taken for slewing.
pub(crate) const MAX_STEP: Duration = Duration::from_secs(5);

/// How often the reference moves on while both clocks agree, so that honest slewing never adds up.
const REBASE_AFTER: Duration = Duration::from_secs(60);

/// A reading of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reading {
    /// Wall time; while there is a doubt, the time at which the other clock expects it.
    pub(crate) now: UnixTime,
    /// Why wall time is not believed.
    pub(crate) doubt: Option<Doubt>,
}

/// Why wall time is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// It stands this far from where the time since boot expects it, more than [`MAX_STEP`].
    Stepped(Duration),
    /// At the start of the program it was further ahead of everything recorded than configured.
    Unconfirmed {
        /// How far ahead it is.
        ahead: Duration,
        /// The bound (`[clock] longest-stop`).
        bound: Duration,
    },
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stepped(step) => write!(f, "a step of {} s", step.as_secs()),
            Self::Unconfirmed { ahead, .. } => {
                write!(f, "{} s ahead of everything recorded before the start", ahead.as_secs())
            }
        }
    }
}

/// Wall time at one instant of the time since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reference {
    wall: Duration,
    boot: Duration,
    /// Where wall time has not been believed yet: how far ahead of the reference it may be.
    unconfirmed: Option<Duration>,
}

/// Wall time checked against the time since boot.
#[derive(Debug)]
pub(crate) struct Clock {
    reference: Mutex<Reference>,
    /// How far it is ahead of the machine's.
    #[cfg(test)]
    ahead: Duration,
}

impl Clock {
    /// Starts the clock; the present wall time becomes the reference.
    pub(crate) fn start() -> Self {
        let reference = Reference { wall: wall(), boot: since_boot(), unconfirmed: None };
        Self {
            reference: Mutex::new(reference),
            #[cfg(test)]
            ahead: Duration::ZERO,
        }
    }

    /// A clock that is so far ahead of the machine's: for tests that want a whole hour before them.
    #[cfg(test)]
    pub(crate) fn ahead_by(ahead: Duration) -> Self {
        let reference = Reference { wall: wall() + ahead, boot: since_boot(), unconfirmed: None };
        Self { reference: Mutex::new(reference), ahead }
    }

    #[cfg(not(test))]
    fn wall(&self) -> Duration {
        wall()
    }

    #[cfg(test)]
    fn wall(&self) -> Duration {
        wall() + self.ahead
    }

    /// Starts the clock of a program whose records end at `last_seen` ([`UnixTime::EPOCH`] where
    /// there are none). Wall time is believed if it is at most `longest_stop` later.
    pub(crate) fn start_after(last_seen: UnixTime, longest_stop: Duration) -> Self {
        let clock = Self::start();
        if last_seen != UnixTime::EPOCH {
            let wall = Duration::from_secs(last_seen.secs());
            let reference = Reference { wall, boot: since_boot(), unconfirmed: Some(longest_stop) };
            *clock.reference.lock().unwrap_or_else(PoisonError::into_inner) = reference;
        }
        clock
    }

    /// Reads the clock.
    pub(crate) fn read(&self) -> Reading {
        // The guarded value is written in one assignment, so a panic elsewhere left it whole.
        let mut reference = self.reference.lock().unwrap_or_else(PoisonError::into_inner);
        let (reading, rebased) = compare(*reference, self.wall(), since_boot());
        *reference = rebased;
        reading
    }
}

/// Pure part of [`Clock::read`]: the reading, and the reference for the next one.
fn compare(reference: Reference, wall: Duration, boot: Duration) -> (Reading, Reference) {
    let elapsed = boot.saturating_sub(reference.boot);
    let expected = reference.wall.saturating_add(elapsed);
    let here = Reference { wall, boot, unconfirmed: None };
    let (doubt, rebased) = match reference.unconfirmed {
        Some(bound) => {
            let ahead = wall.saturating_sub(expected);
            if ahead > bound {
                (Some(Doubt::Unconfirmed { ahead, bound }), reference)
            } else {
                (None, here)
            }
        }
        None => {
            let step = Some(wall.abs_diff(expected)).filter(|step| *step > MAX_STEP);
            let moves_on = step.is_none() && elapsed >= REBASE_AFTER;
            (step.map(Doubt::Stepped), if moves_on { here } else { reference })
        }
    };
    // While in doubt the time goes on as the time since boot counts it, so that a jump ahead never
    // gets into the log, whose time cannot go back.
    let told = if doubt.is_some() { expected } else { wall };
    let now = UnixTime::from_secs(told.as_secs()).unwrap_or(UnixTime::LAST);
    (Reading { now, doubt }, rebased)
}

/// An instant by the time since boot, with the time that the machine was suspended: what counts how long a lease lasts, which goes
/// on meanwhile for everybody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SinceBoot(Duration);

impl SinceBoot {
    pub(crate) fn now() -> Self {
        Self(since_boot())
    }

    pub(crate) fn elapsed(self) -> Duration {
        since_boot().saturating_sub(self.0)
    }
}

impl Add<Duration> for SinceBoot {
    type Output = Self;

    fn add(self, more: Duration) -> Self {
        Self(self.0.saturating_add(more))
    }
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time since boot with the time that the machine was suspended, unlike [`std::time::Instant`] on
/// Linux: a virtual machine that slept wakes with both clocks in agreement.
fn since_boot() -> Duration {
    let time = clock_gettime(ClockId::Boottime);
    let secs = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: Duration = Duration::from_secs(86_400 * 365 * 50);
    const BOOT: Duration = Duration::from_secs(1000);
    const DAY: Duration = Duration::from_secs(86_400);
    const REFERENCE: Reference = Reference { wall: WALL, boot: BOOT, unconfirmed: None };

    fn after(reference: Reference, elapsed: u64, wall: u64) -> (Reading, Reference) {
        let secs = Duration::from_secs;
        compare(reference, WALL + secs(wall), BOOT + secs(elapsed))
    }

    #[test]
    fn slewing_is_not_a_step_and_a_jump_is() {
        let doubt_after = |elapsed, wall| after(REFERENCE, elapsed, wall).0.doubt;

        assert_eq!(doubt_after(100, 103), None);
        assert_eq!(doubt_after(100, 106), Some(Doubt::Stepped(Duration::from_secs(6))));
        assert_eq!(doubt_after(100, 90), Some(Doubt::Stepped(Duration::from_secs(10))));
    }

    #[test]
    fn a_jump_ahead_never_becomes_the_time_of_an_act() {
        let (reading, _) = after(REFERENCE, 100, 400_000);

        assert!(reading.doubt.is_some());
        assert_eq!(reading.now.secs(), WALL.as_secs() + 100);
    }

    #[test]
    fn a_jump_back_heals_the_clock() {
        let (jumped, reference) = after(REFERENCE, 100, 4000);
        let (healed, _) = after(reference, 110, 110);

        assert!(jumped.doubt.is_some());
        assert!(healed.doubt.is_none());
    }

    /// The time since boot goes on while the machine sleeps; [`std::time::Instant`] stands still then.
    #[test]
    fn the_other_clock_counts_from_boot_and_not_from_the_last_wake() {
        let uptime = std::fs::read_to_string("/proc/uptime").unwrap();
        let uptime: f64 = uptime.split_whitespace().next().unwrap().parse().unwrap();
        assert!((since_boot().as_secs_f64() - uptime).abs() < 2.0, "{:?} {uptime}", since_boot());
        assert!((SinceBoot::now().0.as_secs_f64() - uptime).abs() < 20.0, "leases go by it");
    }

    /// Architecture §2.5: a clock years ahead at start must not get into a log that cannot go back.
    #[test]
    fn a_start_far_ahead_of_the_records_is_not_believed() {
        let started = Reference { unconfirmed: Some(DAY), ..REFERENCE };
        let (reading, kept) = after(started, 10, 10 + 86_401);

        let (ahead, bound) = (DAY + Duration::from_secs(1), DAY);
        assert_eq!(reading.doubt, Some(Doubt::Unconfirmed { ahead, bound }));
        assert_eq!(reading.now.secs(), WALL.as_secs() + 10);
        assert_eq!(kept, started);

        // Set right, it is believed without a restart, and steps are steps from then on.
        let (healed, reference) = after(kept, 20, 5000);
        assert_eq!((healed.doubt, healed.now.secs()), (None, WALL.as_secs() + 5000));
        assert_eq!(after(reference, 30, 5010).0.doubt, None);
        assert!(after(reference, 30, 6000).0.doubt.is_some());
    }

    #[test]
    fn a_start_within_the_bound_or_behind_the_records_is_taken() {
        let started = Reference { unconfirmed: Some(DAY), ..REFERENCE };

        assert_eq!(after(started, 0, 86_400).0.doubt, None);
        // Behind: the store refuses to issue then, and says so by itself.
        let (reading, _) = compare(started, WALL - DAY, BOOT);
        assert_eq!((reading.doubt, reading.now.secs()), (None, (WALL - DAY).as_secs()));
    }

    #[test]
    fn a_first_start_has_no_records_to_be_compared_with() {
        assert_eq!(Clock::start_after(UnixTime::EPOCH, DAY).read().doubt, None);
        let year = Duration::from_secs(365 * 86_400);
        let old = Clock::start().read().now.saturating_sub(year);
        let reading = Clock::start_after(old, DAY).read();
        assert!(matches!(reading.doubt, Some(Doubt::Unconfirmed { .. })));
        assert!(reading.now.since(old) <= Duration::from_secs(1));
    }
}
