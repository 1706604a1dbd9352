//! How often each refusal was given, by its stable code, for the metrics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

/// Counts by code; those that mean tampering or a mistake are shown from the start, at 0.
#[derive(Debug)]
pub(crate) struct AlarmCounts(Mutex<BTreeMap<&'static str, u64>>);

impl AlarmCounts {
    pub(crate) fn of(codes: &[&'static str]) -> Self {
        Self(Mutex::new(codes.iter().map(|code| (*code, 0)).collect()))
    }

    pub(crate) fn count(&self, code: &'static str) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(code).or_default();
        *count = count.saturating_add(1);
    }

    /// The Prometheus text format.
    pub(crate) fn render(&self, name: &str, help: &str) -> String {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = format!("# HELP {name} {help}\n# TYPE {name} counter\n");
        for (code, count) in counts.iter() {
            let _ = writeln!(text, "{name}{{code=\"{code}\"}} {count}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// That a counter rises is not seen when it begins at 1.
    #[test]
    fn codes_are_shown_before_anything_is_counted() {
        let counts = AlarmCounts::of(&["log-forked", "log-gap"]);
        counts.count("log-gap");
        counts.count("other");

        let text = counts.render("refusals_total", "Refusals.");

        for line in ["{code=\"log-forked\"} 0", "{code=\"log-gap\"} 1", "{code=\"other\"} 1"] {
            assert!(text.contains(&format!("refusals_total{line}\n")), "{line}: {text}");
        }
    }
}
