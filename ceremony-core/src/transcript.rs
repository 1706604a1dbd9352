//! The transcript of a ceremony: what is about to be done is a line of it before it is done, and what came of it after.
//!
//! A line is a [`Record`] in one canonical form, and carries the number of lines before it and the Merkle root over them
//! (RFC 9162 §2.1, as the logs have it), so that none can be changed, taken out, moved or put in. [`Chain`] has the
//! rules by which a ceremony writes lines and an auditor judges them: `docs/formats/transcript.md`.

mod chain;
mod fault;
mod record;
#[cfg(test)]
mod tests;

pub use chain::{Chain, OpenIntent, Phase, Whole, line_of_difference};
pub use fault::{LineFault, TranscriptFault};
pub use record::{Fact, Kind, Record};

/// What the first line names as its form.
pub const FORMAT: &str = "sigill-transcript/1";
/// Octets of a line at most, its end not counted.
pub const MAX_LINE: usize = 16 * 1024;
/// Octets of a transcript at most.
pub const MAX_TRANSCRIPT: u64 = 64 * 1024 * 1024;
/// Seconds by which the wall clock and the monotonic clock of a run may drift apart (R03).
pub const MAX_DRIFT: u64 = 60;
