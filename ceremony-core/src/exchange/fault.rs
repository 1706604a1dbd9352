//! Why an exchange file is refused.

use ca::deployment::Deployment;
use thiserror::Error;
use x509::key::KeyError;
use x509::time::UnixTime;

use super::{Nonce, Wanted};
use crate::words::Fingerprint;

/// Why an exchange file is refused. Nothing of it is used then.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeFault {
    /// Another form.
    #[error("this is no exchange file: {why}")]
    Form {
        /// What is another.
        why: &'static str,
    },
    /// A field.
    #[error("this is no exchange file: its field {name} is missing, or cannot be read")]
    Field {
        /// Its name.
        name: &'static str,
    },
    /// Something in it was changed, or its key cannot be used.
    #[error("the signature does not hold")]
    Signature {
        /// Why.
        #[source]
        source: KeyError,
    },
    /// Another statement.
    #[error("it is a statement of kind {seen:?}, not {wanted:?}")]
    Kind {
        /// Its kind.
        seen: String,
        /// The kind that was to come.
        wanted: &'static str,
    },
    /// Somebody else.
    #[error("it is signed with key {seen}, which is not the other zone's")]
    Signer {
        /// SHA-256 of the SubjectPublicKeyInfo.
        seen: Fingerprint,
    },
    /// Another deployment.
    #[error("it is of deployment {seen}, this is {wanted}")]
    Deployment {
        /// Whose it is.
        seen: Deployment,
        /// Whose it must be.
        wanted: Deployment,
    },
    /// An old one, or one that was never asked.
    #[error("it has number {seen}; expected is {wanted}")]
    Number {
        /// Its number.
        seen: u32,
        /// The number that is expected, or the lowest.
        wanted: u64,
    },
    /// A nonce that was used, or is not that of the request.
    #[error("its nonce {seen} was used before, or is not that of the request")]
    Nonce {
        /// The nonce.
        seen: Nonce,
    },
    /// An answer to something else.
    #[error("it answers the request with SHA-256 {seen}, not {wanted}")]
    Request {
        /// What it answers.
        seen: Fingerprint,
        /// What was asked.
        wanted: Fingerprint,
    },
    /// An answer that this side never gave.
    #[error("the last response that was taken in has SHA-256 {seen}; none such was given here")]
    Previous {
        /// Its hash.
        seen: Fingerprint,
    },
    /// Something else than was asked for.
    #[error(
        "it gives {seen} of the issuer with SHA-256 {of}; asked was {wanted} of another, or something else of it"
    )]
    Unasked {
        /// What it gives.
        seen: Wanted,
        /// Whose.
        of: Fingerprint,
        /// What was asked for.
        wanted: Wanted,
    },
    /// The answer of another ceremony.
    #[error("its ceremony was held by plan {seen}, not {wanted}")]
    Plan {
        /// By which.
        seen: Fingerprint,
        /// Which was approved.
        wanted: Fingerprint,
    },
    /// Too early, too late, or for too long.
    #[error("it counts from {created} to {expires}, 14 days at most; now is {now}")]
    Time {
        /// From when.
        created: UnixTime,
        /// Until when.
        expires: UnixTime,
        /// The clock.
        now: UnixTime,
    },
    /// What is behind it is another.
    #[error("what is behind its statement is refused: {why}")]
    Payload {
        /// Why.
        why: &'static str,
    },
    /// A ceremony that did not do it.
    #[error(
        "the ceremony of plan {plan} made no {wanted} of what the request brings, by the issuer that it names"
    )]
    NotHeld {
        /// What is asked for.
        wanted: Wanted,
        /// The plan's hash.
        plan: Fingerprint,
    },
    /// A CRL that was signed ahead, before its time.
    #[error("the CRL that comes next was signed ahead and is true from {begins} on; now is {now}")]
    Early {
        /// Its thisUpdate.
        begins: UnixTime,
        /// The clock.
        now: UnixTime,
    },
    /// A CRL after which another one was given already.
    #[error("the CRL has number {seen} hexadecimal; one with number {given} was given already")]
    Superseded {
        /// Its number.
        seen: String,
        /// The highest that was given.
        given: String,
    },
    /// Something else was taken in as the answer to this request.
    #[error("request {number} was answered with SHA-256 {taken}; this is {seen}")]
    Answered {
        /// The request.
        number: u32,
        /// What was taken.
        taken: Fingerprint,
        /// What was given now.
        seen: Fingerprint,
    },
}

impl ExchangeFault {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Form { .. } | Self::Field { .. } => "exchange-form",
            Self::Signature { .. } => "exchange-signature",
            Self::Kind { .. } => "exchange-kind",
            Self::Signer { .. } => "exchange-signer",
            Self::Deployment { .. } => "exchange-deployment",
            Self::Number { .. } => "exchange-number",
            Self::Nonce { .. } => "exchange-nonce",
            Self::Request { .. } => "exchange-request",
            Self::Previous { .. } => "exchange-previous",
            Self::Unasked { .. } => "exchange-unasked",
            Self::Plan { .. } => "exchange-plan",
            Self::Time { .. } => "exchange-time",
            Self::Payload { .. } => "exchange-payload",
            Self::NotHeld { .. } => "exchange-not-held",
            Self::Early { .. } => "exchange-early",
            Self::Superseded { .. } => "exchange-superseded",
            Self::Answered { .. } => "exchange-answered",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Form { .. } | Self::Field { .. } | Self::Kind { .. } => {
                "bring the file that the other zone's program wrote, whole"
            }
            Self::Signature { .. } | Self::Payload { .. } => {
                "copy the file from the other zone again; if it is refused again, find out who changed it"
            }
            Self::Signer { .. } => {
                "compare the hash of the other zone's key by voice; nobody else's file is taken"
            }
            Self::Deployment { .. } => "take the file to the zone of its own deployment",
            Self::Number { .. } | Self::Nonce { .. } | Self::Request { .. } => {
                "bring the file of the newest exchange; if it is, ask anew with `sigill-ca exchange request`"
            }
            Self::Previous { .. } => {
                "stop: find out who answered in the name of the ceremonies, or which state folder is the wrong one"
            }
            Self::Unasked { .. } => "take in only what was asked for, or ask anew for this",
            Self::Plan { .. } => {
                "compare the plan's hash with the approvers' paper; nothing of another ceremony is taken"
            }
            Self::Time { .. } => {
                "set the clock right if it is wrong; else ask anew, or have the ceremony's answer signed anew"
            }
            Self::NotHeld { .. } => {
                "name plan and home of the ceremony that was held for this request: what it brings is an input of that plan, octet by octet"
            }
            Self::Early { .. } => {
                "keep the CRL until then, and ask anew; the one before it is in force"
            }
            Self::Superseded { .. } => {
                "destroy what was signed ahead and is not released: a later CRL has taken its place"
            }
            Self::Answered { .. } => {
                "keep both files as evidence: two answers to one request were signed"
            }
        }
    }
}
