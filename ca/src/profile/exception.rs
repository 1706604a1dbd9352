//! Exceptions from rules of the linter: only in a profile, only with a reason, and never from a closed list.

use std::collections::BTreeSet;

use lint::{RULES, RuleId};
use serde::Deserialize;

use super::ProfileError;

/// `[lint]` of a profile.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LintFile {
    #[serde(default)]
    ignore: Vec<IgnoreFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IgnoreFile {
    rule: String,
    reason: String,
}

/// A rule that certificates of a profile need not keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LintException {
    /// The rule.
    pub rule: RuleId,
    /// Why, for those who review the profile.
    pub reason: String,
}

impl LintFile {
    /// Checks that each rule exists, may be excepted, stands once and has a reason.
    pub(super) fn into_exceptions(self) -> Result<Vec<LintException>, ProfileError> {
        let mut seen = BTreeSet::new();
        let exception = |one: IgnoreFile| {
            let rule = RULES.iter().find(|rule| rule.id.as_str() == one.rule);
            let Some(rule) = rule.filter(|rule| seen.insert(rule.id)) else {
                return Err(ProfileError::LintRule { found: one.rule });
            };
            if !rule.may_be_ignored() {
                return Err(ProfileError::NeverIgnored { rule: rule.id });
            }
            if one.reason.trim().is_empty() {
                return Err(ProfileError::NoReason { rule: rule.id });
            }
            Ok(LintException { rule: rule.id, reason: one.reason })
        };
        self.ignore.into_iter().map(exception).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::prepare::{KeySource, Signer};
    use crate::profile::{Profile, ProfileError};
    use crate::testing::{Ask, Hierarchy, TestKey, profile_text};

    const PERSON: &str = "person-hsaid-3-authentication";

    /// The profile's text with these exceptions.
    fn excepting(entries: &[(&str, &str)]) -> String {
        let entry = |(rule, reason): &(&str, &str)| {
            format!("\n[[lint.ignore]]\nrule = {rule:?}\nreason = {reason:?}\n")
        };
        let exceptions: String = entries.iter().map(entry).collect();
        format!("{}{exceptions}", profile_text(PERSON))
    }

    /// PRO-03: an exception is from one known rule, with a reason, and from none that holds the CA together.
    #[test]
    fn refuses_exceptions_without_rule_or_reason_and_from_what_may_never_be_broken() {
        let refused = |entries: &[(&str, &str)]| -> ProfileError {
            Profile::parse(excepting(entries).as_bytes()).unwrap_err()
        };
        let rule = "pro-09/extended-key-usage";

        assert!(matches!(refused(&[("pro-99/no-rule", "because")]), ProfileError::LintRule { .. }));
        assert!(matches!(refused(&[(rule, "a"), (rule, "b")]), ProfileError::LintRule { .. }));
        assert!(matches!(refused(&[(rule, "  ")]), ProfileError::NoReason { .. }));
        for never in lint::RULES.iter().filter(|rule| !rule.may_be_ignored()) {
            let refused = refused(&[(never.id.as_str(), "because")]);
            assert!(matches!(refused, ProfileError::NeverIgnored { .. }), "{refused}");
        }
    }

    /// PRO-03: what is excepted is issued, and nothing else is; the exception can be read from the profile.
    #[test]
    fn an_exception_lets_its_rule_pass_alone() {
        let hierarchy = Hierarchy::new(&[PERSON]);
        let key = TestKey::new();
        // A policy of web servers, which persons do not have: one rule of the linter.
        let issue = |entries: &[(&str, &str)]| {
            let text = excepting(entries);
            let policies = "[[policy]]\noid = \"2.23.140.1.2.3\"\n\n[[policy]]";
            let profile = Profile::unjudged(&text.replacen("[[policy]]", policies, 1));
            let signer = Signer::Issuer(&hierarchy.issuing);
            let ask = Ask::new(&profile, signer, KeySource::Proven(&key.public));
            (ask.refusal(), profile.lint_exceptions().len())
        };

        assert_eq!(issue(&[]), ("lint", 0));
        assert_eq!(issue(&[("pro-17/upn-form", "another rule")]), ("lint", 1));
        assert_eq!(issue(&[("pro-10/web-policy", "a test of S/MIME policies")]), ("issued", 1));
    }
}
