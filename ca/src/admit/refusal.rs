//! A refusal that names the rule of the book which refuses.

use std::fmt;

use thiserror::Error;

use crate::identity::IdentityError;
use crate::refusal::Refusal;

/// Refused by a rule of the book, such as `routine/office-visit/minimum-age`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0}")]
pub struct RuleRefusal(Box<Refusal>);

impl RuleRefusal {
    pub(crate) fn new(
        code: &'static str,
        rule: String,
        seen: &impl fmt::Display,
        limit: impl Into<String>,
        next: &'static str,
    ) -> Self {
        Self(Box::new(Refusal::new(code, rule, seen, limit, next)))
    }

    /// What is wrong with an identifier that an order states.
    pub(crate) fn of_identity(error: &IdentityError) -> Self {
        Self(Box::new(error.refusal()))
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.0.rule
    }

    /// Whether the same order may be free later, by another book or on another day.
    #[must_use]
    pub fn is_for_now(&self) -> bool {
        matches!(
            self.0.code,
            "carrier-refused"
                | "eid-carrier"
                | "eid-held"
                | "eid-kind"
                | "eid-level"
                | "eid-missing"
                | "eid-not-activated"
                | "eid-not-begun"
                | "eid-not-taken"
                | "eid-of-unknown"
                | "eid-unknown"
                | "identity-refused"
                | "order-time-ahead"
                | "order-unknown-name"
                | "restricted-by-rule"
                | "routine-refused"
                | "rules-missing"
                | "table-issuer"
                | "table-no-row"
        )
    }

    /// The same in the words of a refusal (promise 9).
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        (*self.0).clone()
    }
}
