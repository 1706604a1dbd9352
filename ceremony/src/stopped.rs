//! What a ceremony's command stops with: a row of the table of refusals, what was seen, and what to do.

use ceremony_core::refusal::Refusal;
use thiserror::Error;

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
