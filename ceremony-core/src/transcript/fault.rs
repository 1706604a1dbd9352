//! What is wrong with a transcript, by its line.

use thiserror::Error;

use super::record::Kind;
use super::{FORMAT, MAX_DRIFT, MAX_LINE};

/// A transcript that does not hold, and where.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {fault}")]
pub struct TranscriptFault {
    /// Counted from 1, as editors do.
    pub line: u64,
    /// What is wrong there.
    #[source]
    pub fault: LineFault,
}

/// What is wrong with a line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum LineFault {
    /// Too long.
    #[error("it has {seen} octets, a line has at most {MAX_LINE}")]
    TooLong {
        /// Octets.
        seen: usize,
    },
    /// No JSON, or not of this form.
    #[error("it is no record: {why}")]
    NoRecord {
        /// The reader's words.
        why: String,
    },
    /// The same record has another form.
    #[error("it is not in the canonical form (RFC 8785)")]
    NotCanonical,
    /// A number past what can be written.
    #[error("{seen} is past the numbers that a record can have")]
    Number {
        /// The number.
        seen: u64,
    },
    /// A member's name.
    #[error("member {seen:?} is not named in ASCII")]
    Name {
        /// The name.
        seen: String,
    },
    /// A member is missing.
    #[error("{} without {name:?} in its body", kind.name())]
    Member {
        /// What it is.
        kind: Kind,
        /// What it lacks.
        name: &'static str,
    },
    /// A first line of another form.
    #[error("its form is {seen:?}, not {FORMAT:?}")]
    Format {
        /// What it names.
        seen: String,
    },
    /// A line was taken out, put in or moved.
    #[error("it is numbered {seen}, and {expected} lines stand before it")]
    Sequence {
        /// Lines before it.
        expected: u64,
        /// Its number.
        seen: u64,
    },
    /// A line before it was changed.
    #[error("it continues other lines than those before it")]
    Root,
    /// What begins it, or begins it again.
    #[error("{} where a transcript {}", kind.name(), if *begins { "begins with GENESIS" } else { "has begun" })]
    Beginning {
        /// What it is.
        kind: Kind,
        /// Whether it is the first line.
        begins: bool,
    },
    /// After the end.
    #[error("{} after CLOSE", kind.name())]
    AfterClose {
        /// What it is.
        kind: Kind,
    },
    /// After a pause.
    #[error("{} after PAUSE, which only RESUME ends", kind.name())]
    Paused {
        /// What it is.
        kind: Kind,
    },
    /// A clock went back.
    #[error("the {clock} clock shows {seen}, before {before} of the line before")]
    ClockBack {
        /// Which.
        clock: &'static str,
        /// Of the line before.
        before: u64,
        /// Of this one.
        seen: u64,
    },
    /// The clocks of a run drift apart.
    #[error(
        "since this run began {wall} s passed by the wall clock and {run} s by the monotonic one; \
         more than {MAX_DRIFT} s apart"
    )]
    Drift {
        /// By the wall clock.
        wall: u64,
        /// By the other.
        run: u64,
    },
    /// Work is begun beside work whose end is not told.
    #[error("it comes before the end of intent {open} of line {line} is told")]
    Open {
        /// The intent's name.
        open: String,
        /// Its line, counted from 1.
        line: u64,
    },
    /// An end without a beginning.
    #[error("it ends intent {seen:?}, which is not under way")]
    NotOpen {
        /// The intent it names.
        seen: String,
    },
    /// A head that is not that of the lines before it.
    #[error("it names another head than that of the lines before it")]
    Head,
}
