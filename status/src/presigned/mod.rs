//! Answers that were signed before anybody asked, as the files that carry them between the zones.
//!
//! A CA's certificates are spread over [`WAVES`] waves by the hash of their serial numbers; each wave is one file,
//! `presigned/<ca>/<wave>.answers`, and is signed anew at a moment of its own. A file holds what was signed, not the
//! bytes of responses: [`Said::response_data`] makes these again. docs/formats/presigned-answers.md has
//! the octets.

mod answer;
mod file;
mod wave;

pub use answer::{PresignedAnswer, Said};
pub use file::{MAX_PRESIGNED_OCTETS, MAX_SIGNERS, PresignedError, PresignedFile, PresignedHead};
pub use wave::{WAVES, Wave};

#[cfg(test)]
mod tests;
