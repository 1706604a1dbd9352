//! The catalogue: every rule with its name and its clause.
//!
//! A rule's name starts with the id of the requirement it serves. Names are stable: they stand in
//! audit entries and in refusals.

use crate::finding::RuleId;

/// One rule.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its stable name.
    pub id: RuleId,
    /// Where it is written.
    pub clause: &'static str,
    /// What it demands.
    pub demands: &'static str,
}

/// Makes one constant a rule and [`RULES`] of them all, so that none is left out.
macro_rules! catalogue {
    ($($name:ident = $id:literal, $clause:literal, $demands:literal;)*) => {
        $(pub(crate) const $name: Rule =
            Rule { id: RuleId::new($id), clause: $clause, demands: $demands };)*
        /// Every rule of this room.
        pub static RULES: &[Rule] = &[$($name),*];
    };
}

catalogue! {
    DEFINITE_LENGTH = "pro-01/definite-length", "X.690 §10.1",
        "every length is of the definite form";
}
