//! The program's one clock, and whether it can be trusted to issue.
//!
//! Read once per use case and passed down. Every reading is compared with the monotonic clock: a
//! step above [`MAX_STEP`] between the two means that somebody or something moved the time. Issuing
//! and CRLs stop then; revocations go on, at the time that the monotonic clock makes likely
//! (architecture §2.5). The clock heals without a restart when both agree again.

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use x509::time::UnixTime;

/// The largest step of wall time against monotonic time that is taken for slewing.
pub(crate) const MAX_STEP: Duration = Duration::from_secs(5);

/// How often the reference moves on while both clocks agree, so that honest slewing never adds up.
const REBASE_AFTER: Duration = Duration::from_secs(60);

/// A reading of the clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Wall time; after a step, the time at which the monotonic clock expects it.
    pub(crate) now: UnixTime,
    /// How far wall time stands from where the monotonic clock expects it, when above
    /// [`MAX_STEP`].
    pub(crate) step: Option<Duration>,
}

/// Wall time checked against monotonic time.
#[derive(Debug)]
pub(crate) struct Clock {
    reference: Mutex<(Duration, Instant)>,
}

impl Clock {
    /// Starts the clock; the present wall time becomes the reference.
    pub(crate) fn start() -> Self {
        Self { reference: Mutex::new((wall(), Instant::now())) }
    }

    /// Reads the clock.
    pub(crate) fn read(&self) -> Reading {
        let mut reference = match self.reference.lock() {
            Ok(guard) => guard,
            // The guarded pair is written in one assignment, so a panic elsewhere left it whole.
            Err(poisoned) => poisoned.into_inner(),
        };
        let (reading, rebased) = compare(*reference, wall(), Instant::now());
        *reference = rebased;
        reading
    }
}

/// Pure part of [`Clock::read`]: the reading, and the reference for the next one.
fn compare(
    reference: (Duration, Instant),
    wall: Duration,
    monotonic: Instant,
) -> (Reading, (Duration, Instant)) {
    let elapsed = monotonic.saturating_duration_since(reference.1);
    let expected = reference.0.saturating_add(elapsed);
    let step = Some(wall.abs_diff(expected)).filter(|step| *step > MAX_STEP);
    // After a step the time goes on as the monotonic clock counts it, so that a jump ahead never
    // gets into the log, whose time cannot go back.
    let told = if step.is_some() { expected } else { wall };
    let now = UnixTime::from_secs(told.as_secs()).unwrap_or(UnixTime::LAST);
    let rebased =
        if step.is_none() && elapsed >= REBASE_AFTER { (wall, monotonic) } else { reference };
    (Reading { now, step }, rebased)
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400 * 365 * 50);

    fn step_after(elapsed: u64, wall: u64) -> Option<Duration> {
        let start = Instant::now();
        let monotonic = start + Duration::from_secs(elapsed);
        compare((DAY, start), DAY + Duration::from_secs(wall), monotonic).0.step
    }

    #[test]
    fn slewing_is_not_a_step_and_a_jump_is() {
        assert_eq!(step_after(100, 103), None);
        assert_eq!(step_after(100, 106), Some(Duration::from_secs(6)));
        assert_eq!(step_after(100, 90), Some(Duration::from_secs(10)));
    }

    #[test]
    fn a_jump_ahead_never_becomes_the_time_of_an_act() {
        let start = Instant::now();
        let later = start + Duration::from_secs(100);

        let (reading, _) = compare((DAY, start), DAY + Duration::from_secs(400_000), later);

        assert!(reading.step.is_some());
        assert_eq!(reading.now.secs(), DAY.as_secs() + 100);
    }

    #[test]
    fn a_jump_back_heals_the_clock() {
        let start = Instant::now();
        let later = start + Duration::from_secs(100);
        let (jumped, reference) = compare((DAY, start), DAY + Duration::from_secs(4000), later);
        let (healed, _) =
            compare(reference, DAY + Duration::from_secs(110), start + Duration::from_secs(110));

        assert!(jumped.step.is_some());
        assert!(healed.step.is_none());
    }
}
