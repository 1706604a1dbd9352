//! The list of checks: data beside the code that does them, group by group.
//!
//! Ids keep their meaning for ever, since profiles and incident reports name them: a check that is
//! dropped leaves its number free, and a new one takes a new number.

use super::bench::Bench;
use super::outcome::{Outcome, Row, Stop};
use super::{pairs, permits, secrets, sessions, sign, token, traits, truth, unwrap, vendor, wrap};

/// One check.
pub(super) struct Check {
    /// `HP-` and two digits.
    pub(super) id: &'static str,
    /// What it looks at.
    pub(super) title: &'static str,
    /// What is expected.
    pub(super) expected: &'static str,
    /// Why.
    pub(super) clause: &'static str,
    /// How it is done.
    pub(super) run: Run,
}

/// How a check is done.
pub(super) enum Run {
    /// By calls.
    Calls(fn(&mut Bench) -> Result<Outcome, Stop>),
    /// Not at all, for this reason.
    NotProbed(&'static str),
}

impl Check {
    pub(super) fn row(&self, outcome: Outcome) -> Row {
        Row {
            id: self.id.to_owned(),
            title: self.title.to_owned(),
            expected: self.expected.to_owned(),
            clause: self.clause.to_owned(),
            verdict: outcome.verdict,
            seen: outcome.seen,
        }
    }
}

/// All checks, in the order in which they are done: what closes sessions comes last.
pub(super) fn all() -> Vec<&'static Check> {
    [
        &token::CHECKS[..],
        &pairs::CHECKS,
        &secrets::CHECKS,
        &truth::CHECKS,
        &permits::CHECKS,
        &traits::CHECKS,
        &sign::CHECKS,
        &wrap::CHECKS,
        &unwrap::CHECKS,
        &vendor::CHECKS,
        &sessions::CHECKS,
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The ids of all checks of this version, in the order in which they are done.
pub fn check_ids() -> impl Iterator<Item = &'static str> {
    all().into_iter().map(|check| check.id)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// KEY-01: a row is never missing silently, and an id means one thing.
    #[test]
    fn every_check_has_an_id_of_its_own_and_says_what_is_expected_and_why() {
        let checks = all();
        let mut ids: Vec<_> = checks.iter().map(|check| check.id).collect();
        ids.sort_unstable();
        ids.dedup();

        assert_eq!(ids.len(), checks.len());
        for check in checks {
            let number = check.id.strip_prefix("HP-").unwrap();
            assert!(number.len() == 2 && number.parse::<u8>().is_ok(), "{}", check.id);
            assert!(!check.title.is_empty() && !check.expected.is_empty(), "{}", check.id);
            assert!(check.clause.len() > 5, "{}", check.id);
            if let Run::NotProbed(reason) = check.run {
                assert!(reason.len() > 30, "{}: {reason}", check.id);
            }
        }
    }

    /// The page that tells of the format has every check, and only these.
    #[test]
    fn the_page_tells_every_check() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/device-profile.md");
        let page = std::fs::read_to_string(path).unwrap();
        let told: Vec<&str> = page.lines().filter(|line| line.starts_with("| HP-")).collect();
        let mut wanted: Vec<String> = all()
            .into_iter()
            .map(|Check { id, title, expected, clause, run }| {
                let probed = if matches!(run, Run::NotProbed(_)) { " (not probed)" } else { "" };
                format!("| {id} | {title}{probed} | {expected} | {clause} |")
            })
            .collect();
        wanted.sort();

        assert_eq!(told, wanted, "\n{}", wanted.join("\n"));
    }
}
