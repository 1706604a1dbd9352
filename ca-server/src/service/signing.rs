//! How a signature comes about, for all that this program issues: a token is asked, what it gives is
//! verified, and every try that gave nothing is told of.

use std::time::{Duration, Instant};

use ca::audit::{Actor, EventCode, EventResult, ObjectIds};
use ca::refusal::Refusal;
use hsm::{SignError, SignatureMayExist, SigningService};
use serde_json::Value;
use store::{AuditRecord, Subject};
use x509::signing::{Pending, Recorded, Signed};

use super::{COME_BACK, Service};
use crate::denied::{Denied, Kind};
use crate::publication::chain;

/// How long signing is tried again within one call while no signature has come back.
const SIGNING_TRIES: Duration = Duration::from_secs(8);
/// Pause between two tries.
const BETWEEN_TRIES: Duration = Duration::from_secs(2);

/// What became of one try.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Tried<'a> {
    /// The token gave a signature; it is not verified yet.
    Given,
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
            Self::Refused(seen) | Self::Wrong(seen) => Some(seen),
        }
    }
}

/// Where signatures come from, and who is told of each try.
pub(crate) struct Signing<'a> {
    pub(crate) signer: &'a dyn SigningService,
    pub(crate) tried: &'a dyn Fn(Tried<'_>),
}

impl Signing<'_> {
    /// Has the token sign, again while certainly no signature was made.
    pub(crate) fn signature(
        &self,
        pending: &Pending,
        recorded: &Recorded,
    ) -> Result<Vec<u8>, Denied> {
        let input = pending.input(recorded).map_err(|error| defect(&chain(&error)))?;
        let started = Instant::now();
        loop {
            match self.signer.sign(&input) {
                Ok(signature) => {
                    (self.tried)(Tried::Given);
                    return Ok(signature);
                }
                Err(error) => {
                    metrics::counter!("sigill_signing_failures_total", "code" => error.code())
                        .increment(1);
                    (self.tried)(Tried::Refused(&chain(&error)));
                    let again = error.signature_may_exist() == SignatureMayExist::No
                        && started.elapsed() < SIGNING_TRIES;
                    if !again {
                        return Err(unsigned(&error));
                    }
                    std::thread::sleep(BETWEEN_TRIES);
                }
            }
        }
    }

    /// Verifies what the token gave.
    pub(crate) fn verified(&self, pending: Pending, signature: Vec<u8>) -> Result<Signed, Denied> {
        pending.finish(signature).map_err(|error| {
            metrics::counter!("sigill_signature_alarms_total").increment(1);
            (self.tried)(Tried::Wrong(&chain(&error)));
            defect(&format!("token gave a signature that does not verify: {}", chain(&error)))
        })
    }
}

/// The record of a try that gave no signature that verifies.
pub(crate) fn failed_try(actor: Actor, payload: &Value) -> AuditRecord {
    let (code, failed) = (EventCode::SignatureTried, EventResult::Failed);
    Service::record(code, failed, actor, ObjectIds::default(), None, payload, Subject::Deployment)
}

fn unsigned(error: &SignError) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            error.code(),
            "promise 2: what cannot be signed now is not issued",
            &chain(error),
            "a token that signs within the deadline",
            "an operator looks after the token and, once it is back, restarts sigill-ca; repeat the call with the same key",
        ),
    )
    .retry_after(COME_BACK)
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
