//! The shape of a ceremony: what stays of its transcript when everything is taken away that a second time cannot be the same.
//!
//! Each member of a line's body has a class. What is [`Class::Const`] stands in the shape as it is; of the rest stands
//! the class alone, and for octets of a fixed form their length. A rehearsal and the ceremony itself come out with
//! the same shape, whose hash people approve together with the plan: docs/formats/transcript.md tells it.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::attendance::{
    DESTROYED_UNREAD, LEAVES, PRESENCE, READ_BY_NOBODY, STAND_IN, TAKEN_UP_UNREAD, TO_BE_DESTROYED,
    TO_BE_SIGNED, TO_BE_TAKEN_UP,
};
use crate::budget::SIGN;
use crate::transcript::{Fact, Kind, Record};
use crate::words::Fingerprint;

/// What a member of a line is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// From the plan or the program: the same each time.
    Const,
    /// From a key that was made.
    KeyDerived,
    /// From a signature.
    Signature,
    /// Drawn.
    Random,
    /// From a device.
    Device,
    /// It tells of the run, not of the ceremony, and is no part of the shape.
    Aside,
}

impl Class {
    /// The word of the format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Const => "const",
            Self::KeyDerived => "key-derived",
            Self::Signature => "signature",
            Self::Random => "random",
            Self::Device => "device",
            Self::Aside => "aside",
        }
    }
}

/// The class of each member that a line of this kind may have. Time, number, root and people of a line are no part of a shape: they are
/// never the same twice.
const CLASSES: &[(Kind, &str, Class)] = &[
    (Kind::Genesis, "deployment", Class::Const),
    (Kind::Genesis, "format", Class::Const),
    (Kind::Genesis, "nonce", Class::Random),
    (Kind::Genesis, "plan", Class::Const),
    (Kind::Genesis, "program", Class::Const),
    (Kind::Genesis, "purpose", Class::Aside),
    (Kind::Genesis, "rehearsal", Class::Aside),
    (Kind::Check, "result", Class::Const),
    (Kind::Check, "role", Class::Const),
    (Kind::Check, "seen", Class::Device),
    (Kind::Check, "sha256", Class::Const),
    (Kind::Check, "token", Class::Device),
    (Kind::Check, "what", Class::Const),
    (Kind::Attest, "text", Class::Const),
    (Kind::Attest, "what", Class::Const),
    (Kind::Readback, "sha256", Class::KeyDerived),
    (Kind::Readback, "what", Class::Const),
    (Kind::Intent, "act", Class::Const),
    (Kind::Intent, "algorithm", Class::Const),
    (Kind::Intent, "cka_id", Class::Const),
    (Kind::Intent, "intent", Class::Random),
    (Kind::Intent, "key", Class::KeyDerived),
    (Kind::Intent, "kind", Class::Const),
    (Kind::Intent, "tbs_sha256", Class::KeyDerived),
    (Kind::Intent, "token", Class::Device),
    (Kind::Intent, "type", Class::Const),
    (Kind::Intent, "what", Class::Const),
    (Kind::Result, "adopted", Class::Aside),
    (Kind::Result, "intent", Class::Random),
    (Kind::Result, "sha256", Class::Signature),
    (Kind::Result, "spki_sha256", Class::KeyDerived),
    (Kind::Result, "token", Class::Device),
    (Kind::Checkpoint, "head", Class::Aside),
    (Kind::Checkpoint, "lines", Class::Aside),
    (Kind::Close, "head", Class::Aside),
    (Kind::Close, "lines", Class::Aside),
];

/// The shape of the lines so far.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Shape {
    lines: Vec<String>,
    /// Where the intent stands whose end is not told yet, unless it is one to sign.
    open: Option<usize>,
    /// What was looked at and read back, each once: a run that begins anew looks again.
    seen: BTreeSet<String>,
}

impl Shape {
    /// The shape of these lines.
    ///
    /// # Errors
    ///
    /// [`ShapeFault`] of the first line that has none.
    pub fn of<'a>(records: impl IntoIterator<Item = &'a Record>) -> Result<Self, ShapeFault> {
        let mut shape = Self::default();
        records.into_iter().try_for_each(|record| shape.take(record))?;
        Ok(shape)
    }

    /// Takes the next line.
    ///
    /// # Errors
    ///
    /// [`ShapeFault`] for a member without a class.
    pub fn take(&mut self, record: &Record) -> Result<(), ShapeFault> {
        let what = record.text("what");
        match record.kind {
            // What went otherwise than planned has no place in a plan's shape, and the report shows it first.
            Kind::Exception => {
                if record.body.contains_key("intent")
                    && let Some(place) = self.open.take()
                {
                    self.lines.remove(place);
                }
                return Ok(());
            }
            Kind::Pause | Kind::Resume => return Ok(()),
            // Who comes and goes is the same on no two days; that enough are there is judged by itself.
            Kind::Check if matches!(what, Some(LEAVES | STAND_IN)) => return Ok(()),
            Kind::Attest if what == Some(PRESENCE) => return Ok(()),
            // The same work once more.
            Kind::Intent if record.body.contains_key("again") => return Ok(()),
            _ => {}
        }
        let line = line(record)?;
        let is_looked_at = matches!(record.kind, Kind::Check | Kind::Readback | Kind::Checkpoint);
        if is_looked_at && !self.seen.insert(line.clone()) {
            return Ok(());
        }
        match record.kind {
            // What may have been signed was not planned twice.
            Kind::Intent if record.text("act") == Some(SIGN) => self.open = None,
            Kind::Intent => self.open = Some(self.lines.len()),
            Kind::Result => self.open = None,
            _ => {}
        }
        self.lines.push(line);
        Ok(())
    }

    /// Its hash, which people approve.
    #[must_use]
    pub fn hash(&self) -> Fingerprint {
        let text: String = self.lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
        Fingerprint::of(text.as_bytes())
    }

    /// Its lines.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// Whether these lines, of a ceremony that may still go on, are as that of its rehearsal began.
    ///
    /// # Errors
    ///
    /// [`Deviation`] with the first line that is another.
    pub fn follows(&self, rehearsal: &Self) -> Result<(), Deviation> {
        let lines = self.lines.iter().zip(rehearsal.lines.iter().map(Some).chain([None]));
        for (place, (seen, rehearsed)) in lines.enumerate() {
            if Some(seen) != rehearsed {
                let number = place.saturating_add(1);
                let (seen, rehearsed) = (Some(seen.clone()), rehearsed.cloned());
                return Err(Deviation { number, seen, rehearsed });
            }
        }
        Ok(())
    }

    /// Whether a ceremony that came to its end is as its rehearsal was.
    ///
    /// # Errors
    ///
    /// [`Deviation`] with the first line that is another, or is missing.
    pub fn equals(&self, rehearsal: &Self) -> Result<(), Deviation> {
        self.follows(rehearsal)?;
        match rehearsal.lines.get(self.lines.len()) {
            None => Ok(()),
            Some(missing) => {
                let number = self.lines.len().saturating_add(1);
                Err(Deviation { number, seen: None, rehearsed: Some(missing.clone()) })
            }
        }
    }
}

fn line(record: &Record) -> Result<String, ShapeFault> {
    let mut body = Map::new();
    for (name, fact) in &record.body {
        let of = |(kind, member, _): &&(Kind, &str, Class)| *kind == record.kind && member == name;
        let Some((_, _, class)) = CLASSES.iter().find(of) else {
            return Err(ShapeFault { kind: record.kind, member: name.clone() });
        };
        let value = match (class, fact) {
            (Class::Aside, _) => continue,
            // A rehearsal that nobody sits at is like the ceremony.
            (Class::Const, Fact::Text(text))
                if record.kind == Kind::Readback && text == READ_BY_NOBODY =>
            {
                json!(TO_BE_SIGNED)
            }
            (Class::Const, Fact::Text(text))
                if record.kind == Kind::Readback && text == DESTROYED_UNREAD =>
            {
                json!(TO_BE_DESTROYED)
            }
            (Class::Const, Fact::Text(text))
                if record.kind == Kind::Readback && text == TAKEN_UP_UNREAD =>
            {
                json!(TO_BE_TAKEN_UP)
            }
            (Class::Const, Fact::Text(text)) => json!(text),
            (Class::Const, Fact::Number(number)) => json!(number),
            (Class::Const, Fact::Texts(texts)) => json!(texts),
            (Class::Device, _) | (_, Fact::Number(_) | Fact::Texts(_)) => json!([class.name()]),
            (_, Fact::Text(text)) => json!([class.name(), text.len()]),
        };
        body.insert(name.clone(), value);
    }
    let line =
        json!({ "body": Value::Object(body), "step": record.step, "type": record.kind.name() });
    Ok(line.to_string())
}

/// A member of a line that has no class: nobody can say what it is to be the second time.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("member {member:?} of {} has no class, so the transcript has no shape", kind.name())]
pub struct ShapeFault {
    /// Of which kind of line.
    pub kind: Kind,
    /// Its name.
    pub member: String,
}

/// Where a ceremony goes another way than its rehearsal: R16.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "line {number} of the shape is {}, and was {} in the rehearsal",
    seen.as_deref().unwrap_or("missing"), rehearsed.as_deref().unwrap_or("none")
)]
pub struct Deviation {
    /// Counted from 1, among the lines of the shape.
    pub number: usize,
    /// What it is.
    pub seen: Option<String>,
    /// What it was.
    pub rehearsed: Option<String>,
}

#[cfg(test)]
mod tests;
