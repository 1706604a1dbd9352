//! A refusal that names the rule of the book which refuses.

use std::fmt;

use thiserror::Error;

use crate::identity::IdentityError;
use crate::refusal::Refusal;

/// Refused by a rule of the book, such as `routine/office-visit/minimum-age`.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{refusal}")]
pub struct RuleRefusal {
    refusal: Box<Refusal>,
    lasting: Lasting,
}

/// How long the same order is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasting {
    /// Another book or another day may let it through.
    ForNow,
    /// What is wrong stands in the order itself.
    ForEver,
}

impl RuleRefusal {
    /// What this book refuses on this day: the same order may be free later.
    pub(crate) fn new(
        code: &'static str,
        rule: String,
        seen: &impl fmt::Display,
        limit: impl Into<String>,
        next: &'static str,
    ) -> Self {
        let refusal = Box::new(Refusal::new(code, rule, seen, limit, next));
        Self { refusal, lasting: Lasting::ForNow }
    }

    /// The same of what an order says itself, which no book and no day changes.
    pub(crate) fn for_ever(self) -> Self {
        Self { lasting: Lasting::ForEver, ..self }
    }

    /// What is wrong with an identifier that an order states.
    pub(crate) fn of_identity(error: &IdentityError) -> Self {
        Self { refusal: Box::new(error.refusal()), lasting: Lasting::ForEver }
    }

    /// The rule.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.refusal.rule
    }

    /// Whether the same order may be free later, by another book or on another day.
    #[must_use]
    pub fn is_for_now(&self) -> bool {
        self.lasting == Lasting::ForNow
    }

    /// The same in the words of a refusal (promise 9).
    #[must_use]
    pub fn refusal(&self) -> Refusal {
        (*self.refusal).clone()
    }
}
