//! What a rule is, and what it says when it is broken.

use std::borrow::Cow;
use std::fmt;

use thiserror::Error;

use crate::rules::Rule;

/// A rule's stable name, such as `pro-02/printable-string`: the requirement, then the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId(&'static str);

impl RuleId {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// The id of the requirement that the rule serves, such as `PRO-02`.
    #[must_use]
    pub fn requirement(self) -> String {
        self.0.split('/').next().unwrap_or_default().to_ascii_uppercase()
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Where in a structure something was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Octets from the start of the structure that was given to the linter.
    pub offset: u64,
    /// The part of the structure, such as `certificate extension 2.5.29.15`.
    pub within: Cow<'static, str>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, octet {}", self.within, self.offset)
    }
}

/// One rule, broken in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: RuleId,
    /// Where the rule is written, such as `RFC 5280 §4.1.2.2`.
    pub clause: &'static str,
    /// What was seen instead.
    pub seen: String,
    /// Where.
    pub place: Place,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {} [{}]", self.rule, self.clause, self.seen, self.place)
    }
}

/// Everything that was found in one structure. Empty means: no rule is broken.
///
/// As an error it says how many findings there are and names the first ones.
#[derive(Clone, Debug, Default, Error, PartialEq, Eq)]
#[must_use]
pub struct Findings {
    kept: Vec<Finding>,
    count: u64,
}

impl Findings {
    /// Findings that are kept; the rest are only counted, because a CRL of a million entries can
    /// break a rule a million times.
    pub const KEPT: usize = 64;

    /// Whether no rule is broken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many findings there are, those that were not kept included.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// The first [`Self::KEPT`] findings, in the order of the structure's checks.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.kept.iter()
    }

    /// Puts aside the kept findings of these rules: what is left, and what was put aside. Findings that were
    /// only counted are left.
    pub fn without(self, rules: &[RuleId]) -> (Self, Self) {
        let (aside, kept): (Vec<_>, Vec<_>) =
            self.kept.into_iter().partition(|finding| rules.contains(&finding.rule));
        let put = u64::try_from(aside.len()).unwrap_or_default();
        let left = Self { kept, count: self.count.saturating_sub(put) };
        (left, Self { kept: aside, count: put })
    }

    /// `Ok` when no rule is broken.
    ///
    /// # Errors
    ///
    /// The findings themselves, when there are any.
    pub fn into_result(self) -> Result<(), Self> {
        if self.is_empty() { Ok(()) } else { Err(self) }
    }

    pub(crate) fn add(&mut self, rule: &Rule, seen: String, place: Place) {
        self.count = self.count.saturating_add(1);
        if self.kept.len() < Self::KEPT {
            self.kept.push(Finding { rule: rule.id, clause: rule.clause, seen, place });
        }
    }
}

impl<'a> IntoIterator for &'a Findings {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} broken rules", self.count)?;
        for (number, finding) in self.kept.iter().take(4).enumerate() {
            write!(f, "{} {finding}", if number == 0 { ":" } else { ";" })?;
        }
        Ok(())
    }
}

/// Collects findings while a structure is read; knows which part is being read.
#[derive(Debug)]
pub(crate) struct Report {
    findings: Findings,
    within: Cow<'static, str>,
    readable: bool,
}

impl Report {
    pub(crate) fn new(within: &'static str) -> Self {
        Self { findings: Findings::default(), within: Cow::Borrowed(within), readable: true }
    }

    /// Names the part that is read from now on, and returns the name of the last one.
    pub(crate) fn enter(&mut self, within: impl Into<Cow<'static, str>>) -> Cow<'static, str> {
        std::mem::replace(&mut self.within, within.into())
    }

    /// Where the findings of a part begin that is about to be read; see [`Self::name_since`].
    pub(crate) const fn mark(&self) -> usize {
        self.findings.kept.len()
    }

    /// Names the part that was read since `mark`, if anything was found in it: most parts are sound, and then no
    /// name is written.
    pub(crate) fn name_since(&mut self, mark: usize, name: impl FnOnce() -> String) {
        let found = self.findings.kept.get_mut(mark..).unwrap_or_default();
        if !found.is_empty() {
            let within = format!("{} {}", self.within, name());
            for finding in found {
                finding.place.within = within.clone().into();
            }
        }
    }

    pub(crate) fn add(&mut self, rule: &Rule, offset: u64, seen: impl Into<String>) {
        let place = Place { offset, within: self.within.clone() };
        self.findings.add(rule, seen.into(), place);
    }

    /// Adds a finding after which the structure cannot be understood, so that the rules about its
    /// meaning are not judged: one defect, one finding.
    pub(crate) fn stop(&mut self, rule: &Rule, offset: u64, seen: impl Into<String>) {
        self.readable = false;
        self.add(rule, offset, seen);
    }

    /// Whether everything so far could be understood.
    pub(crate) const fn is_readable(&self) -> bool {
        self.readable
    }

    pub(crate) fn into_findings(self) -> Findings {
        self.findings
    }
}
