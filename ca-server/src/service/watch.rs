//! Whether the clock can be trusted, told in readiness, metrics, log and audit log (REV-13).

use std::fmt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ca::audit::{EventCode, EventResult};
use ca::refusal::Refusal;
use serde_json::json;
use store::{CLOCK_TOLERANCE, Log, Subject};
use x509::time::UnixTime;

use super::{COME_BACK, Service, storage};
use crate::clock::{Doubt, MAX_STEP, Reading};
use crate::denied::{Denied, Kind};

/// Why issuing and CRLs stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Distrust {
    /// The clock doubts itself.
    Doubt(Doubt),
    /// It is behind the logs; the store refuses to issue.
    Behind(Duration),
}

impl Distrust {
    fn of(reading: Reading, last: UnixTime) -> Option<Self> {
        let behind = last.since(reading.now);
        reading
            .doubt
            .map(Self::Doubt)
            .or_else(|| (behind > CLOCK_TOLERANCE).then_some(Self::Behind(behind)))
    }

    const fn next_step(self) -> &'static str {
        match self {
            Self::Doubt(doubt) => next_step(doubt),
            Self::Behind(_) => "set the clock right; issuing goes on when it has reached the logs",
        }
    }
}

const fn next_step(doubt: Doubt) -> &'static str {
    match doubt {
        Doubt::Stepped(_) => {
            "set the clock right; issuing goes on by itself, or after a restart if the new time is right"
        }
        Doubt::Unconfirmed { .. } => {
            "look at another clock: if this one is right, because the service stood still so long, stop \
             sigill-ca, run `sigill-ca confirm-clock`, start it again; if it is wrong, set it right, and \
             everything goes on by itself"
        }
    }
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Doubt(doubt) => doubt.fmt(f),
            Self::Behind(behind) => write!(f, "{} s behind the logs", behind.as_secs()),
        }
    }
}

impl Service {
    /// The time for a signature that rests on it. Refused while wall time is in doubt (§2.5).
    pub(crate) fn signing_time(&self) -> Result<UnixTime, Denied> {
        let reading = self.clock.read();
        reading.doubt.map_or(Ok(reading.now), |doubt| Err(denied(&doubt)))
    }

    /// Looks whether the clock has become wrong or right since the last look, and records it: one
    /// leaf of the audit log each time. Called by the schedule.
    pub(crate) fn watch_clock(&self) -> Result<(), Denied> {
        let (reading, distrust) = self.distrust()?;
        let trusted = distrust.is_none();
        metrics::gauge!("sigill_clock_trusted").set(if trusted { 1.0 } else { 0.0 });
        self.readiness.clock.store(trusted, Ordering::Relaxed);
        if self.clock_told.load(Ordering::Relaxed) == trusted {
            return Ok(());
        }
        let seen = distrust.map(|distrust| distrust.to_string());
        let (code, result) = match distrust {
            Some(_) => (EventCode::ClockDistrusted, EventResult::Failed),
            None => (EventCode::ClockTrusted, EventResult::Done),
        };
        let record = Self::record(
            code,
            result,
            self.system(),
            ca::audit::ObjectIds::default(),
            None,
            &json!({ "node": self.node.name, "seen": seen }),
            Subject::Deployment,
        );
        // Where the leaf cannot be written, the next round tries again.
        self.store().record_audit(&record, reading.now).map_err(|e| storage(&e))?;
        self.clock_told.store(trusted, Ordering::Relaxed);
        if trusted {
            tracing::info!("clock can be trusted: issuing and CRLs go on");
            return Ok(());
        }
        self.remind_of_clock()
    }

    /// Says in the log, as long as it lasts, that the clock cannot be trusted and what to do: an
    /// operator has to see it in whatever stretch of the log he looks at.
    pub(crate) fn remind_of_clock(&self) -> Result<(), Denied> {
        if let (_, Some(distrust)) = self.distrust()? {
            tracing::error!(
                clock.seen = %distrust,
                next_step = distrust.next_step(),
                "clock cannot be trusted: issuing and CRLs stop, revocations are recorded"
            );
        }
        Ok(())
    }

    fn distrust(&self) -> Result<(Reading, Option<Distrust>), Denied> {
        let mut last = UnixTime::EPOCH;
        for log in [Log::Status, Log::Audit] {
            last = last.max(self.store().log_head(log).map_err(|e| storage(&e))?.last_time);
        }
        // Read after the logs, which other threads write on with their own later readings.
        let reading = self.clock().read();
        Ok((reading, Distrust::of(reading, last)))
    }
}

fn denied(doubt: &Doubt) -> Denied {
    let refusal = match doubt {
        Doubt::Stepped(_) => Refusal::new(
            "clock-stepped",
            "REV-13: nothing is issued while wall time and the time since boot disagree",
            doubt,
            format!("{} s", MAX_STEP.as_secs()),
            next_step(*doubt),
        ),
        Doubt::Unconfirmed { bound, .. } => Refusal::new(
            "clock-unconfirmed",
            "REV-13: nothing is issued by a clock that the program's own records make unlikely",
            doubt,
            format!("{} s ([clock] longest-stop)", bound.as_secs()),
            next_step(*doubt),
        ),
    };
    Denied::new(Kind::Unavailable, refusal).retry_after(COME_BACK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::confirm;
    use crate::service::testing::World;

    /// Architecture §2.5: 2 s behind the logs is tolerated, more is not; a doubt goes first.
    #[test]
    fn a_clock_behind_the_logs_is_not_trusted() {
        let at = |secs| UnixTime::from_secs(secs).unwrap();
        let read = |secs, doubt| Reading { now: at(secs), doubt };

        assert_eq!(Distrust::of(read(100, None), at(102)), None);
        let behind = Distrust::Behind(Duration::from_secs(3));
        assert_eq!(Distrust::of(read(100, None), at(103)), Some(behind));
        let stepped = Doubt::Stepped(Duration::from_secs(9));
        assert_eq!(Distrust::of(read(100, Some(stepped)), at(103)), Some(Distrust::Doubt(stepped)));
    }

    /// REV-13: distrust and trust are each told once, and issuing stops in between.
    #[test]
    fn distrust_of_the_clock_is_in_the_audit_log_once() {
        let year = Duration::from_secs(365 * 86_400);
        let old = Clock::start().read().now.saturating_sub(year);
        let mut world = World::by(Clock::start_after(old, Duration::from_secs(86_400)));
        let leaves = |world: &World| {
            (world.leaves(EventCode::ClockDistrusted), world.leaves(EventCode::ClockTrusted))
        };
        for _ in 0..2 {
            world.service.watch_clock().unwrap();
            assert_eq!(leaves(&world), (1, 0));
        }
        let denied = world.service.signing_time().unwrap_err();
        assert_eq!(denied.refusal.code, "clock-unconfirmed");
        assert!(!world.service.readiness.clock.load(Ordering::Relaxed));

        // Confirmed, and started again.
        let now = Clock::start().read().now;
        let confirmed = confirm::run(world.service.store(), old, &now.to_string()).unwrap();
        let bound = Duration::from_secs(86_400);
        world.service.clock = std::sync::Arc::new(Clock::start_after(confirmed, bound));
        for _ in 0..2 {
            world.service.watch_clock().unwrap();
            assert_eq!(leaves(&world), (1, 1));
        }
        assert!(world.service.signing_time().is_ok());
    }
}
