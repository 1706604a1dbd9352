//! Leave for functions, machines and blank cards: nobody's identity is stated, so there is no order, routine
//! or carrier to judge. What is left are the dated rules and the table.

use super::judge;
use super::{Admitted, Moment, RuleRefusal, row};
use crate::book::Book;
use crate::issuer::Issuer;
use crate::profile::Profile;
use crate::rules::Facts;
use crate::table::Tuple;

/// Admits a call under the profile's own policy, or under that of the row that joins it and the issuer's
/// class; nobody else's profile has such a row.
pub(super) fn admit(
    profile: &Profile,
    issuer: &Issuer,
    book: &Book,
    at: Moment,
) -> Result<Admitted, RuleRefusal> {
    let tuple = Tuple {
        profile: profile.name().clone(),
        issuer: issuer.class().clone(),
        carrier: None,
        identity: None,
        level: None,
        routine: None,
    };
    if !profile.kind().is_subscriber() {
        return Err(judge::no_row(&tuple));
    }
    let rules = judge::dated(&Facts::of(profile.name()), None, book, at)?;
    let policy = match profile.own_policy() {
        Some(policy) => policy,
        None => row(&tuple, book, at)?.policy,
    };
    Ok(Admitted {
        rule_end: rules.latest,
        rules: rules.names,
        ..Admitted::bare(profile, issuer, policy, book, at)
    })
}
