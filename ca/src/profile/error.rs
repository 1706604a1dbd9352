//! Why a file is no profile.

use lint::RuleId;
use thiserror::Error;
use x509::name::AttributeType;

use super::ProfileName;
use super::rules::ProfileRule;

/// Why a file is no profile.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// An attribute has both a value and a field, or neither.
    #[error("subject attribute {attribute} has not exactly one of `from` and `value`")]
    AttributeSource {
        /// The attribute.
        attribute: AttributeType,
    },
    /// Not a rule of the linter, or one twice.
    #[error("lint.ignore names {found:?}, which is no rule of the linter or stands twice")]
    LintRule {
        /// What was given.
        found: String,
    },
    /// A rule that every certificate keeps.
    #[error("lint.ignore names {rule}, which no profile may except itself from")]
    NeverIgnored {
        /// The rule.
        rule: RuleId,
    },
    /// An exception says why.
    #[error("lint.ignore of {rule} has no reason")]
    NoReason {
        /// The rule.
        rule: RuleId,
    },
    /// Not a profile's name.
    #[error("profile name {found:?} is not 1 to 64 characters a-z0-9 and hyphens")]
    Name {
        /// What was given.
        found: String,
    },
    /// Reviewers need to know what it is for.
    #[error("profile has an empty description")]
    NoDescription,
    /// TOML is UTF-8.
    #[error("profile is not UTF-8")]
    NotUtf8,
    /// Neither or both of the two ways to end.
    #[error("validity has `lifetime`, or `end = \"order\"` and `longest`")]
    NoEnd,
    /// Nothing was said to round, or not how.
    #[error("validity.ends-at and validity.round stand together or not at all")]
    NoRounding,
    /// Not a second of the day.
    #[error("validity.ends-at = {found:?} is not a second of the day in UTC such as 21:50:00Z")]
    NoSecondOfDay {
        /// What was given.
        found: String,
    },
    /// Neither an OID nor the table, both, or the table before another policy.
    #[error("a policy has oid, or from = \"table\" where it is the last")]
    PolicySource,
    /// Not an object identifier.
    #[error("policy {found:?} is not an object identifier")]
    Oid {
        /// What was given.
        found: String,
    },
    /// It asks for something that must not be issued.
    #[error("profile {profile} breaks rule {} ({}): {}", rule.id, rule.clause, rule.says)]
    Rule {
        /// The profile.
        profile: ProfileName,
        /// The rule.
        rule: &'static ProfileRule,
    },
    /// No script, or one twice.
    #[error("names.scripts is empty or names a script twice; known are latin, greek and cyrillic")]
    Scripts,
    /// Not a span of time.
    #[error("{key} = {found:?} is not a whole number above zero and one of {units}")]
    Span {
        /// The key in the file.
        key: &'static str,
        /// The units that it has.
        units: &'static str,
        /// What was given.
        found: String,
    },
    /// Versions are counted from 1.
    #[error("version = 0; the first version is 1")]
    NoVersion,
    /// Not the TOML of a profile; the cause names line and key.
    #[error("profile cannot be read")]
    Toml(#[source] Box<toml::de::Error>),
    /// Not the name of a signature algorithm.
    #[error("signature algorithm {found:?} is not known")]
    UnknownAlgorithm {
        /// What was given.
        found: String,
    },
    /// Not the name of a key type.
    #[error("key type {found:?} is not known")]
    UnknownKeyType {
        /// What was given.
        found: String,
    },
    /// Not a kind of profile.
    #[error("kind {found:?} is not known")]
    UnknownKind {
        /// What was given.
        found: String,
    },
}
