//! Every rule has a mutant: a sound structure, changed in one place, that only this rule kills.
//!
//! PRO-01, PRO-02, PRO-06, PRO-12, PRO-14, PRO-15 and their neighbours.
#![cfg(test)]
#![expect(clippy::as_conversions, reason = "octets of lengths and arcs that the tests choose")]

mod certificates;
mod crls;
mod der;
mod keys;
mod names;
mod responses;
mod sample;
mod shape;
mod strictness;

use std::collections::BTreeSet;

use lint::{Findings, RULES};

/// The rule that must fire, what was changed, and what was found.
type Verdict = (&'static str, &'static str, Findings);

#[test]
fn each_mutant_is_killed_by_its_rule_alone() {
    let mut wrong = Vec::new();
    for (rule, change, findings) in all() {
        let fired: BTreeSet<_> = findings.iter().map(|finding| finding.rule.as_str()).collect();
        if fired != BTreeSet::from([rule]) {
            wrong.push(format!("{rule}: {change}: {findings}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn every_rule_has_a_mutant() {
    let mutants: BTreeSet<_> = all().into_iter().map(|(rule, _, _)| rule).collect();

    let missing: Vec<_> = RULES.iter().filter(|rule| !mutants.contains(rule.id.as_str())).collect();

    assert!(missing.is_empty(), "{missing:#?}");
}

/// Names are stable and lead to a requirement; every rule names its clause.
#[test]
fn rules_have_names_and_clauses() {
    let names: BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();

    assert_eq!(names.len(), RULES.len());
    for rule in RULES {
        assert!(!rule.clause.is_empty() && !rule.demands.is_empty(), "{rule:?}");
        assert!(rule.id.requirement().split_once('-').is_some(), "{rule:?}");
    }
}

fn all() -> Vec<Verdict> {
    [
        strictness::all(),
        certificates::meaning(),
        names::all(),
        keys::all(),
        shape::all(),
        crls::all(),
        responses::all(),
    ]
    .concat()
}
