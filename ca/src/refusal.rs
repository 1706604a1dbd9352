//! A refusal that ends the search: what was refused, by which rule, what was seen, what to do next.
//!
//! The same value stands in an API problem, on a terminal and in the log (promise 9); the caller
//! adds correlation id and time. Codes never change their meaning once released.

use std::fmt;

/// One refusal, in the words that everybody gets to see.
///
/// `seen` may quote what the caller sent, shortened; it never holds a secret. It may hold what the
/// caller said of a person, so it goes back to the caller and into sealed columns, not into logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code, such as `key-not-allowed`: lower-case words joined by hyphens.
    pub code: &'static str,
    /// The rule that refused, with its clause or requirement.
    pub rule: Box<str>,
    /// What was seen.
    pub seen: String,
    /// What would have been accepted.
    pub limit: String,
    /// What to do next.
    pub next: &'static str,
}

impl Refusal {
    /// The most characters of a caller's value that are quoted back.
    pub const SEEN_LIMIT: usize = 120;

    /// Puts a refusal together; `seen` is shortened to [`Self::SEEN_LIMIT`] characters and its
    /// control characters are made visible, so that no caller can break a log line.
    #[must_use]
    pub fn new(
        code: &'static str,
        rule: impl Into<Box<str>>,
        seen: &impl fmt::Display,
        limit: impl Into<String>,
        next: &'static str,
    ) -> Self {
        let seen = seen.to_string();
        let mut shown: String = seen
            .chars()
            .take(Self::SEEN_LIMIT)
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        if seen.chars().nth(Self::SEEN_LIMIT).is_some() {
            shown.push('…');
        }
        Self { code, rule: rule.into(), seen: shown, limit: limit.into(), next }
    }
}

impl fmt::Display for Refusal {
    /// One line: code, rule, what was seen, the limit, what to do next.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, rule, seen, limit, next } = self;
        write!(f, "{code}: {rule}; seen: {seen}; allowed: {limit}; next: {next}")
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(seen: &str) -> Refusal {
        Refusal::new("code", "rule", &seen, "limit", "next")
    }

    /// Promise 9: code, rule, seen, limit and next step in one line.
    #[test]
    fn says_everything_in_one_line() {
        assert_eq!(
            refusal("value").to_string(),
            "code: rule; seen: value; allowed: limit; next: next"
        );
    }

    #[test]
    fn a_hostile_value_neither_breaks_the_line_nor_fills_the_log() {
        let hostile = format!("a\nb\u{1b}[31m{}", "å".repeat(500));

        let seen = refusal(&hostile).seen;

        assert!(!seen.chars().any(char::is_control));
        assert_eq!(seen.chars().count(), Refusal::SEEN_LIMIT + 1);
    }
}
