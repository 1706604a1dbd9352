//! Answers that are signed before anybody asks: for an outer zone that may hold no key (decision 0027).
//!
//! In the inner zone [`Presigner`] signs for every certificate, wave after wave, and again at once what the log
//! changes. At the outer host [`Stock`] judges the files that arrive, keeps what it believes in a folder of its own,
//! and finds answers in them. Both follow the log by themselves: what is said from a file is what the log says too.

mod own;
mod presigner;
mod refused;
mod stock;
#[cfg(test)]
mod tests;

pub(crate) use presigner::{Outcome, Presigner, PresignerSettings, Presigning};
pub(crate) use refused::StockError;
pub(crate) use stock::{Given, Stock, StockKeeper, StockState, TakesUp};

use status::presigned::Said;

use crate::answer::Finding;

/// A file's generation is the time of its making, or a few more where several were made in a second. One that is further ahead of the
/// clock is not believed: nobody signs this number, and no later file could take its place.
const GENERATIONS_AHEAD: u64 = 600;

/// Whether a signed answer says what the log says. That a certificate has expired since does not make it say another thing.
pub(crate) fn says(said: &Said, finding: &Finding) -> bool {
    said.status == finding.status && said.invalidity_date == finding.invalidity_date
}
