//! One record, and its one form in octets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use x509::time::UnixTime;

use super::fault::LineFault;
use super::{FORMAT, MAX_LINE};

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// The first: which ceremony this is.
    Genesis,
    /// Something was looked at, and how it was.
    Check,
    /// A person vouches for something.
    Attest,
    /// A hash was compared: by people, or by the program where it says so.
    Readback,
    /// What is done next, before it is done.
    Intent,
    /// What came of it.
    Result,
    /// Something went otherwise than planned. It may end an intent that comes to nothing.
    Exception,
    /// Work stops for a while.
    Pause,
    /// A run of the program begins anew, after a pause or after its death.
    Resume,
    /// The head over the lines before, as people write it on their papers.
    Checkpoint,
    /// The last, with the head over the lines before.
    Close,
}

impl Kind {
    /// The word of the format.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Genesis => "GENESIS",
            Self::Check => "CHECK",
            Self::Attest => "ATTEST",
            Self::Readback => "READBACK",
            Self::Intent => "INTENT",
            Self::Result => "RESULT",
            Self::Exception => "EXCEPTION",
            Self::Pause => "PAUSE",
            Self::Resume => "RESUME",
            Self::Checkpoint => "CHECKPOINT",
            Self::Close => "CLOSE",
        }
    }

    /// Members that its body must have.
    #[must_use]
    pub const fn members(self) -> &'static [&'static str] {
        match self {
            Self::Genesis => &["deployment", "format", "plan", "program", "purpose"],
            Self::Intent => &["act", "intent"],
            Self::Result => &["intent"],
            Self::Exception | Self::Pause => &["reason"],
            Self::Checkpoint | Self::Close => &["head", "lines"],
            Self::Check | Self::Attest | Self::Readback | Self::Resume => &[],
        }
    }
}

/// A member of a body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fact {
    /// A text.
    Text(String),
    /// A number below 2^53, which every reader of JSON reads alike.
    Number(u64),
    /// Several texts.
    Texts(Vec<String>),
}

impl From<&str> for Fact {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Fact {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<u64> for Fact {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

/// A record, without its place in the transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The wall clock.
    pub time: UnixTime,
    /// Milliseconds since this run of the program began, by a clock that nobody sets.
    pub run_ms: u64,
    /// The plan's name of the step.
    pub step: String,
    /// What it is.
    pub kind: Kind,
    /// The people who take part in it, by the plan's names.
    pub who: Vec<String>,
    /// What else is to be known of it.
    pub body: BTreeMap<String, Fact>,
}

impl Record {
    /// A text of the body.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.body.get(name) {
            Some(Fact::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A number of the body.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.body.get(name) {
            Some(Fact::Number(number)) => Some(*number),
            _ => None,
        }
    }
}

/// A line as JSON has it. The members stand in the order of their names, as RFC 8785 §3.2.3 wants them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    body: BTreeMap<String, Fact>,
    pub(super) root: String,
    run_ms: u64,
    pub(super) seq: u64,
    step: String,
    time: u64,
    r#type: Kind,
    who: Vec<String>,
}

/// Numbers from here on are not the same to every reader of JSON (RFC 8785 appendix D).
const NUMBERS_END: u64 = 1 << 53;

impl Line {
    pub(super) fn of(record: &Record, seq: u64, root: String) -> Self {
        Self {
            body: record.body.clone(),
            root,
            run_ms: record.run_ms,
            seq,
            step: record.step.clone(),
            time: record.time.secs(),
            r#type: record.kind,
            who: record.who.clone(),
        }
    }

    /// The octets of the line, its end not among them.
    pub(super) fn encode(&self) -> Result<Vec<u8>, LineFault> {
        let numbers = self.body.values().filter_map(|fact| match fact {
            Fact::Number(number) => Some(*number),
            _ => None,
        });
        if let Some(seen) =
            numbers.chain([self.run_ms, self.seq, self.time]).find(|seen| *seen >= NUMBERS_END)
        {
            return Err(LineFault::Number { seen });
        }
        // Names that are no ASCII would stand in another order by UTF-16 than by octets.
        if let Some(seen) = self.body.keys().find(|name| !name.is_ascii()) {
            return Err(LineFault::Name { seen: seen.clone() });
        }
        let octets = serde_json::to_vec(self).map_err(|_| LineFault::NotCanonical)?;
        if octets.len() > MAX_LINE {
            return Err(LineFault::TooLong { seen: octets.len() });
        }
        Ok(octets)
    }

    /// Reads a line in its canonical form, and in no other.
    pub(super) fn decode(octets: &[u8]) -> Result<Self, LineFault> {
        if octets.len() > MAX_LINE {
            return Err(LineFault::TooLong { seen: octets.len() });
        }
        let line: Self = serde_json::from_slice(octets)
            .map_err(|error| LineFault::NoRecord { why: error.to_string() })?;
        if line.encode()? != octets {
            return Err(LineFault::NotCanonical);
        }
        Ok(line)
    }

    pub(super) fn into_record(self) -> Result<Record, LineFault> {
        let Self { body, run_ms, step, time, r#type: kind, who, .. } = self;
        let time = UnixTime::from_secs(time).map_err(|_| LineFault::Number { seen: time })?;
        let record = Record { time, run_ms, step, kind, who, body };
        if let Some(missing) = kind.members().iter().find(|name| !record.body.contains_key(**name))
        {
            return Err(LineFault::Member { kind, name: missing });
        }
        if kind == Kind::Genesis && record.text("format") != Some(FORMAT) {
            let seen = record.text("format").unwrap_or_default().to_owned();
            return Err(LineFault::Format { seen });
        }
        Ok(record)
    }
}
