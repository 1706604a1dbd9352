//! What a ceremony's command stops with: a row of the table of refusals, what was seen, and what to do.

use ceremony_core::refusal::Refusal;
use thiserror::Error;

use crate::transcript::TranscriptError;

/// Why it does not go on.
#[derive(Debug, Error)]
#[error("{refused}")]
pub(crate) struct Stopped {
    /// The row.
    pub(crate) refusal: Refusal,
    /// What was refused, with what was seen.
    pub(crate) refused: String,
    /// What to do next.
    pub(crate) next_step: &'static str,
}

/// It was paused: people go on with it later, by the same command.
#[derive(Debug, Error)]
#[error("the ceremony is paused: {why}")]
pub(crate) struct Paused {
    /// Why.
    pub(crate) why: String,
}

impl Paused {
    /// What the program ends with.
    pub(crate) const EXIT_CODE: u8 = 3;
}

/// The row by which an error stops a ceremony, and what to do next.
pub(crate) fn row(error: &anyhow::Error) -> Option<(Refusal, &'static str)> {
    let stopped = error.downcast_ref::<Stopped>();
    let stopped = stopped.map(|stopped| (stopped.refusal, stopped.next_step));
    stopped.or_else(|| match error.downcast_ref::<TranscriptError>() {
        Some(TranscriptError::Held(fault)) => Some((fault.refusal(), fault.next_step())),
        _ => None,
    })
}
