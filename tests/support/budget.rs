//! How often a counting test does its work, and how soon: `tests/budget.toml`.

use std::collections::BTreeMap;
use std::time::Duration;
use std::{env, fs};

use serde::Deserialize;

use crate::workspace;

/// How soon after its token is back a program signs again, as operators are promised (KEY-09).
const PROMISED_RECOVERY: Duration = Duration::from_secs(5);
/// By then it has come back by itself, however busy the machine; without another hand it never would.
const BUSY_RECOVERY: Duration = Duration::from_secs(20);

/// The figure of `tests/budget.toml` for the count `name`.
///
/// `./check` exports each as `SIGILL_COUNT_NAME`, which goes first. Without it the file is read:
/// its `evidence` figure if `SIGILL_BUDGET=evidence`, else its `check` figure.
///
/// # Panics
///
/// If the file has no such count, or the variable holds no positive number.
#[must_use]
pub fn count(name: &str) -> u64 {
    let variable = format!("SIGILL_COUNT_{}", name.to_uppercase().replace('-', "_"));
    if let Ok(text) = env::var(&variable) {
        return positive(&text, &variable);
    }
    let path = workspace::root().join("tests/budget.toml");
    let text = fs::read_to_string(&path).expect("tests/budget.toml is readable");
    let file: BudgetFile = toml::from_str(&text).expect("tests/budget.toml is well formed");
    let figures = file.count.get(name).unwrap_or_else(|| panic!("no count {name} in {path:?}"));
    if is_evidence() { figures.evidence } else { figures.check }
}

/// How soon after its token is back a program must sign again: what is promised where evidence is run,
/// on a machine that does nothing else, and four times as long in the check. The tests print what they
/// measured in both.
#[must_use]
pub fn recovery() -> Duration {
    if is_evidence() { PROMISED_RECOVERY } else { BUSY_RECOVERY }
}

fn is_evidence() -> bool {
    env::var("SIGILL_BUDGET").as_deref() == Ok("evidence")
}

fn positive(text: &str, variable: &str) -> u64 {
    match text.parse() {
        Ok(figure) if figure > 0 => figure,
        _ => panic!("{variable} is {text:?}, wanted a positive number"),
    }
}

#[derive(Deserialize)]
struct BudgetFile {
    #[serde(default)]
    count: BTreeMap<String, Figures>,
}

#[derive(Deserialize)]
struct Figures {
    check: u64,
    evidence: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_count_of_the_file() {
        assert!(count("property-cases") > 0);
    }

    #[test]
    #[should_panic(expected = "no count no-such-count")]
    fn refuses_a_count_that_the_file_does_not_name() {
        let _ = count("no-such-count");
    }

    #[test]
    #[should_panic(expected = "wanted a positive number")]
    fn refuses_a_variable_that_is_no_number() {
        positive("many", "SIGILL_COUNT_X");
    }
}
