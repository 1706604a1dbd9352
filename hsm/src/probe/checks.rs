//! The list of checks: data beside the code that does them, group by group.
//!
//! Ids keep their meaning for ever, since profiles and incident reports name them: a check that is
//! dropped leaves its number free, and a new one takes a new number.

use super::bench::Bench;
use super::outcome::{Outcome, Row, Stop};
use super::{
    officer, pairs, permits, secrets, sessions, sign, token, traits, truth, unwrap, vendor, wrap,
};

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

/// All checks, in the order in which they are done: what closes sessions comes last, and
/// after it what wipes the token.
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
        &officer::CHECKS,
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

    /// What was measured of SoftHSM before there was a probe, table by table: a word of each row, and
    /// the checks that look at it.
    #[rustfmt::skip]
    const MEASURED: [(&str, &[&str]); 37] = [
        ("0x2109", &["HP-70"]),
        ("0x210A", &["HP-71", "HP-72"]),
        ("0x210B", &["HP-73"]),
        ("CKM_AES_CBC", &["HP-74"]),
        ("CKM_AES_CBC_PAD", &["HP-75", "HP-76"]),
        ("CKM_RSA_PKCS v1.5", &["HP-77"]),
        ("OAEP SHA-1", &["HP-78"]),
        ("OAEP SHA-256", &["HP-79"]),
        ("0x1054", &["HP-80", "HP-81"]),
        ("PKCS#8", &["HP-90", "HP-34"]),
        ("--aes", &["HP-91"]),
        ("SENSITIVE", &["HP-16"]),
        ("from birth", &["HP-17", "HP-18"]),
        ("backup", &["HP-21"]),
        ("EXTRACTABLE false", &["HP-19", "HP-20"]),
        ("created", &["HP-84", "HP-34"]),
        ("defaults", &["HP-85"]),
        ("MODIFIABLE", &["HP-22", "HP-23", "HP-24", "HP-25"]),
        ("public half", &["HP-86"]),
        ("UNWRAP_TEMPLATE", &["HP-87"]),
        ("GENERIC_SECRET", &["HP-87", "HP-88"]),
        ("WRAP_TEMPLATE", &["HP-89"]),
        ("WRAP_WITH_TRUSTED", &["HP-28", "HP-30"]),
        ("CKA_TRUSTED", &["HP-29", "HP-30"]),
        ("ALLOWED_MECHANISMS", &["HP-26"]),
        ("ALWAYS_AUTHENTICATE", &["HP-27"]),
        ("two keys", &["HP-31"]),
        ("foreign", &["HP-32"]),
        ("wrong KEK", &["HP-82", "HP-83"]),
        ("lockout", &["HP-69", "HP-97", "HP-03"]),
        ("resets", &["HP-92"]),
        ("re-init", &["HP-93"]),
        ("copy", &["HP-94"]),
        ("kill", &["HP-95"]),
        ("sign", &["HP-40", "HP-41", "HP-42", "HP-43", "HP-45", "HP-46", "HP-47", "HP-48", "HP-49"]),
        ("CHECK_VALUE", &["HP-33"]),
        ("attestation", &["HP-96", "HP-03"]),
    ];

    /// KEY-01: no row of what was measured by hand is without a check, were it one that says why it is not
    /// probed.
    #[test]
    fn every_row_that_was_measured_by_hand_has_its_checks() {
        for (row, ids) in MEASURED {
            assert!(
                !ids.is_empty() && ids.iter().all(|id| check_ids().any(|one| one == *id)),
                "{row}"
            );
        }
        // Outside of the repository, and so no page of it.
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/design");
        let path = folder.join("ceremony").with_extension("md");
        let Ok(page) = std::fs::read_to_string(&path) else {
            return println!("skipped: {} is not there", path.display());
        };
        let appendix = page.lines().skip_while(|line| !line.starts_with("## Appendix A"));
        let appendix = appendix.skip(1).take_while(|line| !line.starts_with("## "));
        let cells = appendix.filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
        let rows: Vec<&str> = cells
            .filter(|cell| !cell.starts_with("Mechanism (") && !cell.starts_with("Attribute or"))
            .collect();

        assert_eq!(rows.len(), MEASURED.len(), "{rows:#?}");
        for (row, (word, _)) in rows.iter().zip(MEASURED) {
            assert!(row.contains(word), "{row:?} is not the row of {word:?}");
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
