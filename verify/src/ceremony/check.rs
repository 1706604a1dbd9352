//! What is judged of a ceremony, in its order, and what stops it.

use ceremony_core::refusal::Refusal;
use thiserror::Error;

/// What `sigill-verify` ends with where a secret is found in a bundle.
const SECRET_FOUND: u8 = 22;

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Check {
    Bundle,
    Secrets,
    Plan,
    Rehearsal,
    Approvals,
    Transcript,
    Head,
    Window,
    People,
    Budget,
    Shape,
    Program,
    Inputs,
    Outputs,
    Keys,
    Signatures,
    AsPlanned,
}

impl Check {
    /// In the order in which they are judged.
    pub(super) const ALL: [Self; 17] = [
        Self::Bundle,
        Self::Plan,
        Self::Transcript,
        Self::Head,
        Self::Secrets,
        Self::Rehearsal,
        Self::Approvals,
        Self::Window,
        Self::People,
        Self::Budget,
        Self::Shape,
        Self::Program,
        Self::Inputs,
        Self::Outputs,
        Self::Keys,
        Self::Signatures,
        Self::AsPlanned,
    ];

    /// Its stable name.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Bundle => "bundle",
            Self::Secrets => "secrets",
            Self::Plan => "plan",
            Self::Rehearsal => "rehearsal",
            Self::Approvals => "approvals",
            Self::Transcript => "transcript",
            Self::Head => "head",
            Self::Window => "window",
            Self::People => "people",
            Self::Budget => "budget",
            Self::Shape => "shape",
            Self::Program => "program",
            Self::Inputs => "inputs",
            Self::Outputs => "outputs",
            Self::Keys => "keys",
            Self::Signatures => "signatures",
            Self::AsPlanned => "as-planned",
        }
    }
}

/// Why something does not hold, by a row of the table of ceremonies' refusals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// `None` for a secret.
    refusal: Option<Refusal>,
    pub(super) why: String,
}

impl Fault {
    pub(super) fn new(refusal: Refusal, why: impl Into<String>) -> Self {
        Self { refusal: Some(refusal), why: why.into() }
    }

    pub(super) fn secret(why: impl Into<String>) -> Self {
        Self { refusal: None, why: why.into() }
    }
}

/// What holds of one row, in a line.
pub(super) type Said = String;

/// A bundle that is refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{code}: {name}: {why}", code = self.code(), name = check.name(), why = fault.why)]
pub(crate) struct Refused {
    pub(super) check: Check,
    pub(super) fault: Fault,
}

impl Refused {
    /// Its stable code.
    pub(super) fn code(&self) -> &'static str {
        self.fault.refusal.map_or("secret-found", Refusal::code)
    }

    /// What the program ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        self.fault.refusal.map_or(SECRET_FOUND, Refusal::exit_code)
    }
}
