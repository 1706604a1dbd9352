//! What the transcript tells of a file before a key signs it, which is held against the file itself.

use ceremony_core::bundle::MadeSignature;
use ceremony_core::transcript::{Kind, Record};
use ceremony_core::words::Fingerprint;
use x509::time::UnixTime;

/// What a CHECK calls the hash of what every run of a plan signs alike (docs/formats/transcript.md).
pub(super) const ALIKE: &str = "to be signed alike in every run";

/// The lines of a transcript.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a>(pub(super) &'a [Record]);

impl Told<'_> {
    /// What the step of a file had approved is what the file is: approvals name a shape, and the shape has this hash. A step that signs several has one
    /// for each, in their order; a run that begins anew tells of them again.
    ///
    /// # Errors
    ///
    /// The step tells of another hash at this place, or of none.
    pub(super) fn alike(
        self,
        of: &MadeSignature,
        (place, count): (usize, usize),
        seen: Fingerprint,
    ) -> Result<(), String> {
        let seen = seen.to_string();
        let is_it = |record: &&Record| {
            record.kind == Kind::Check
                && record.step == of.step
                && record.text("what") == Some(ALIKE)
        };
        let mut told: Vec<&str> = Vec::new();
        for hash in self.0.iter().filter(is_it).map(|record| record.text("sha256")) {
            let hash = hash.unwrap_or("none");
            if !told.contains(&hash) {
                told.push(hash);
            }
        }
        // More than the step signs: one of them is of something else.
        let other = told.iter().copied().find(|told| *told != seen);
        match told.get(place).copied() {
            None => Err(format!("no line of step {} tells what is {ALIKE}", of.step)),
            Some(at) if at == seen && told.len() <= count => Ok(()),
            Some(at) => {
                let approved = if at == seen { other.unwrap_or(at) } else { at };
                Err(format!("{ALIKE} is {seen}; people approved {approved}"))
            }
        }
    }

    /// Between which times a file came to say what it says: the beginning of the run that announced its signature first, and that line. A
    /// later run signs the same octets once more, and a pause begins no run.
    pub(super) fn announced(self, of: &MadeSignature) -> Option<(UnixTime, UnixTime)> {
        let is_it = |record: &Record| {
            record.kind == Kind::Intent
                && record.step == of.step
                && record.text("what") == Some(&of.what)
                && record.text("tbs_sha256") == Some(&of.tbs_sha256)
        };
        let begins = |record: &&Record| match record.kind {
            Kind::Genesis => true,
            Kind::Resume => record.body.contains_key("program"),
            _ => false,
        };
        let (before, from) = self.0.split_at_checked(self.0.iter().position(is_it)?)?;
        Some((before.iter().rev().find(begins)?.time, from.first()?.time))
    }
}
