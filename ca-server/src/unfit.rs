//! Profiles under which nothing is issued because files do not agree: with the policy table, or with the issuer's other
//! profiles. `serve` tells of them and starts, because revoking needs none; `check-config` refuses.

use std::collections::BTreeMap;

use ca::book::Book;
use ca::refusal::Refusal;

use crate::service::authority::Authority;
use crate::start::Told;

/// By profile: which code tells of it, and what is wrong.
#[derive(Debug, Default)]
pub(crate) struct UnfitProfiles(BTreeMap<String, (&'static str, String)>);

impl UnfitProfiles {
    /// Looks for them.
    pub(crate) fn of(book: &Book, authorities: &BTreeMap<String, Authority>) -> Self {
        let closed =
            book.closed().map(|(name, why)| (name.to_string(), ("profile-closed", why.to_owned())));
        let mut unfit: BTreeMap<_, _> = closed.collect();
        for authority in authorities.values() {
            let Err(error) = book.profiles().check_levels(&authority.issuer) else { continue };
            let listed = authority.issuer.profiles().iter();
            let listed = listed.filter_map(|name| book.profiles().by_name(name.as_str()));
            for profile in listed.filter(|profile| profile.kind().is_subscriber()) {
                unfit
                    .entry(profile.name().to_string())
                    .or_insert_with(|| ("authority-levels", error.to_string()));
            }
        }
        Self(unfit)
    }

    /// Each of them as a start tells of it.
    pub(crate) fn told(&self) -> impl Iterator<Item = anyhow::Error> {
        self.0.iter().map(|(name, (code, why))| {
            let next = if *code == "authority-levels" {
                "give each trust level an authority of its own"
            } else {
                "copy the shipped profiles and the folders below them together, or correct the table"
            };
            let what = format!("nothing is issued under profile {name}: {why}");
            anyhow::Error::new(Told::new(code, what, next))
        })
    }

    /// Each of them with what is told to whoever orders under it.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (String, Refusal)> {
        self.0.iter().map(|(name, (_, why))| {
            let refusal = Refusal::new(
                "profile-closed",
                "profiles, policy table and authorities say the same (PRO-10, PRO-11)",
                &format!("profile {name}: {why}"),
                "a profile that they agree on",
                "tell the operator: `sigill-ca check-config` names what to correct",
            );
            (name.clone(), refusal)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denied::Kind;
    use crate::service::closed::ClosedProfiles;
    use crate::service::testing::World;

    /// A profile of before the policy table issues nothing, and all else goes on.
    #[test]
    fn a_profile_that_the_table_does_not_fit_issues_nothing() {
        let mut world = World::new();
        let before = world.issue("one").unwrap();
        assert_eq!(before.response.status, 1);
        world.edit_profile("function-ec", "1.3.6.1.4.1.32473.1.1.2", "1.3.6.1.4.1.32473.1.1.7");
        let unfit = UnfitProfiles::of(&world.service.book, &world.service.authorities);
        world.service.closed = ClosedProfiles::of(unfit.refusals());
        assert_eq!(world.service.closed.names(), ["function-ec"]);

        let denied = world.issue_again("two").unwrap_err();

        assert_eq!((denied.kind, denied.refusal.code), (Kind::Unavailable, "profile-closed"));
        assert!(world.service.closed.must_be_open("function").is_ok());
    }
}
