//! How a signature comes about, for all that this program issues: a token is asked, what it gives is
//! verified, and every try that gave nothing is told of.

use std::time::{Duration, Instant};

use ca::audit::{Actor, EventCode, EventResult, ObjectIds};
use ca::refusal::Refusal;
use hsm::{Again, SignError, SigningService};
use serde_json::Value;
use store::{AuditRecord, Subject};
use x509::signing::{Pending, Recorded, Signed};

use super::{COME_BACK, Service};
use crate::denied::{Denied, Kind};
use crate::publication::chain;

/// No try is begun with less time than this: it would hardly end in it, and what ends after its time is
/// nobody's.
const LEAST_TRY: Duration = Duration::from_millis(500);
/// Pause between two tries. None before the second: a session that was lost is replaced at once.
const BETWEEN_TRIES: Duration = Duration::from_secs(1);

/// What became of one try.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tried<'a> {
    /// The token gave a signature; it is not verified yet.
    Given,
    /// The token gave none, and the next one that holds the key is asked: why.
    PassedOver(&'a str),
    /// The token gave none: why.
    Refused(&'a str),
    /// What it gave does not verify.
    Wrong(&'a str),
}

impl<'a> Tried<'a> {
    /// What was seen, where the try has a leaf in the audit log.
    pub(crate) const fn failure(self) -> Option<&'a str> {
        match self {
            Self::Given => None,
            Self::PassedOver(seen) | Self::Refused(seen) | Self::Wrong(seen) => Some(seen),
        }
    }
}

/// Where signatures come from, and who is told of each try.
pub(crate) struct Signing<'a> {
    pub(crate) signer: &'a dyn SigningService,
    pub(crate) tried: &'a dyn Fn(Tried<'_>),
}

impl Signing<'_> {
    /// Has the token sign, again while no signature has come back, all `within` the time that is left.
    /// Each try that fails is told of.
    pub(crate) fn signature(
        &self,
        pending: &Pending,
        recorded: &Recorded,
        within: Duration,
    ) -> Result<Vec<u8>, Denied> {
        let input = pending.input(recorded).map_err(|error| defect(&chain(&error)))?;
        let mut tries = Tries::begin(within);
        loop {
            let signed =
                self.signer.sign_telling(&input, tries.left(Instant::now()), &mut |error| {
                    failed(error);
                    (self.tried)(Tried::PassedOver(&chain(error)));
                });
            let error = match signed {
                Ok(signature) => {
                    (self.tried)(Tried::Given);
                    return Ok(signature);
                }
                Err(error) => error,
            };
            failed(&error);
            (self.tried)(Tried::Refused(&chain(&error)));
            match tries.pause_after(error.again(), Instant::now()) {
                Some(pause) => std::thread::sleep(pause),
                None => return Err(unsigned(&error)),
            }
        }
    }

    /// Verifies what the token gave. A token that gave something else has the key prove itself at
    /// once, so that it is not asked again where another holds the key.
    pub(crate) fn verified(&self, pending: Pending, signature: Vec<u8>) -> Result<Signed, Denied> {
        let key = pending.intent().issuer_key();
        pending.finish(signature).map_err(|error| {
            metrics::counter!("sigill_signature_alarms_total").increment(1);
            (self.tried)(Tried::Wrong(&chain(&error)));
            if let Err(unproven) = self.signer.prove(&key) {
                failed(&unproven);
            }
            defect(&format!("token gave a signature that does not verify: {}", chain(&error)))
        })
    }
}

/// How often one structure has been given to a token.
struct Tries {
    begun: Instant,
    /// For all tries together.
    allowed: Duration,
    failed: u32,
    unreturned: u32,
}

impl Tries {
    fn begin(allowed: Duration) -> Self {
        Self { begun: Instant::now(), allowed, failed: 0, unreturned: 0 }
    }

    /// What the next try is given.
    fn left(&self, now: Instant) -> Duration {
        self.allowed.saturating_sub(now.saturating_duration_since(self.begun))
    }

    /// How long to wait before the next try; `None`: there is none.
    fn pause_after(&mut self, again: Again, now: Instant) -> Option<Duration> {
        self.failed = self.failed.saturating_add(1);
        match again {
            Again::Never => return None,
            // The key worked perhaps: one more try is all it gets.
            Again::Once => self.unreturned = self.unreturned.saturating_add(1),
            Again::WhileTimeAllows => {}
        }
        let pause = if self.failed == 1 { Duration::ZERO } else { BETWEEN_TRIES };
        let in_time = self.left(now) >= pause + LEAST_TRY;
        (self.unreturned < 2 && in_time).then_some(pause)
    }
}

fn failed(error: &SignError) {
    count_failed(error.code());
}

pub(crate) fn count_failed(code: &'static str) {
    metrics::counter!("sigill_signing_failures_total", "code" => code).increment(1);
}

/// The record of a try that gave no signature that verifies.
pub(crate) fn failed_try(actor: Actor, payload: &Value) -> AuditRecord {
    let (code, failed) = (EventCode::SignatureTried, EventResult::Failed);
    Service::record(code, failed, actor, ObjectIds::default(), None, payload, Subject::Deployment)
}

/// A call whose signature is not made now.
pub(crate) fn unsigned(error: &SignError) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            error.code(),
            "promise 2: what cannot be signed now is not issued",
            &chain(error),
            "a token that signs within the deadline",
            "repeat the call with the same key; an operator looks after the token, which is taken into use by itself once it is back",
        ),
    )
    .retry_after(error.come_back().unwrap_or(COME_BACK).max(COME_BACK))
}

/// What must never be: bytes that are not the recorded ones, a signature that does not verify.
pub(crate) fn defect(seen: &str) -> Denied {
    Denied::new(
        Kind::Internal,
        Refusal::new(
            "signature-invalid",
            "KEY-10: what does not verify is never released",
            &seen,
            "a signature that verifies under the issuer's key",
            "an operator examines the token; repeat the call with the same key",
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALLOWED: Duration = Duration::from_secs(10);

    /// KEY-09, KEY-14: a lost session costs no pause, a lost token a second each, and nothing is tried
    /// past the time or after a code that is no proof.
    #[test]
    fn a_lost_session_is_replaced_at_once_and_a_doubtful_try_is_the_last() {
        let start = Instant::now();
        let mut tries = Tries { begun: start, allowed: ALLOWED, failed: 0, unreturned: 0 };

        assert_eq!(tries.pause_after(Again::WhileTimeAllows, start), Some(Duration::ZERO));
        assert_eq!(tries.pause_after(Again::WhileTimeAllows, start), Some(BETWEEN_TRIES));
        assert_eq!(tries.pause_after(Again::Never, start), None);
        let last = start + ALLOWED - BETWEEN_TRIES - LEAST_TRY;
        assert_eq!(tries.pause_after(Again::WhileTimeAllows, last), Some(BETWEEN_TRIES));
        let late = last + Duration::from_millis(1);
        assert_eq!(tries.pause_after(Again::WhileTimeAllows, late), None);
        assert_eq!(tries.left(last), BETWEEN_TRIES + LEAST_TRY);
        assert_eq!(tries.left(start + 2 * ALLOWED), Duration::ZERO);
    }

    /// KEY-14: a key that worked perhaps and returned nothing is asked once more, not on and on.
    #[test]
    fn a_signature_that_was_not_returned_is_asked_for_once_more() {
        let start = Instant::now();
        let mut tries = Tries { begun: start, allowed: ALLOWED, failed: 0, unreturned: 0 };

        assert_eq!(tries.pause_after(Again::Once, start), Some(Duration::ZERO));
        assert_eq!(tries.pause_after(Again::Once, start), None);
    }
}
