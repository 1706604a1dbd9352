//! Profiles under which nothing is issued because files do not agree: with the policy table, or with the issuer's other
//! profiles. `serve` tells of them and starts, because revoking needs none; `check-config` refuses.

use std::collections::BTreeMap;

use ca::book::Book;
use ca::refusal::Refusal;

use crate::service::authority::Authority;
use crate::start::Told;

/// By profile: all that is wrong.
#[derive(Debug, Default)]
pub(crate) struct UnfitProfiles(BTreeMap<String, Vec<Misfit>>);

/// One thing that does not agree.
#[derive(Debug)]
enum Misfit {
    /// A profile and the policy table.
    Table(String),
    /// The profiles of one authority.
    Levels(String),
}

impl Misfit {
    fn why(&self) -> &str {
        match self {
            Self::Table(why) | Self::Levels(why) => why,
        }
    }

    fn told(&self, profile: &str) -> Told {
        let (code, next) = match self {
            Self::Table(_) => (
                "profile-closed",
                "copy the shipped profiles and the folders below them together, or correct the table",
            ),
            Self::Levels(_) => {
                ("authority-levels", "give each trust level an authority of its own")
            }
        };
        Told::new(code, format!("nothing is issued under profile {profile}: {}", self.why()), next)
    }
}

impl UnfitProfiles {
    /// Looks for them.
    pub(crate) fn of(book: &Book, authorities: &BTreeMap<String, Authority>) -> Self {
        let mut unfit: BTreeMap<String, Vec<Misfit>> = BTreeMap::new();
        for (name, why) in book.closed() {
            let why = why.iter().cloned().map(Misfit::Table);
            unfit.entry(name.to_string()).or_default().extend(why);
        }
        for authority in authorities.values() {
            let Err(error) = book.profiles().check_levels(&authority.issuer) else { continue };
            let listed = authority.issuer.profiles().iter();
            let listed = listed.filter_map(|name| book.profiles().by_name(name.as_str()));
            for profile in listed.filter(|profile| profile.kind().is_subscriber()) {
                let of_profile = unfit.entry(profile.name().to_string()).or_default();
                of_profile.push(Misfit::Levels(error.to_string()));
            }
        }
        Self(unfit)
    }

    /// All that is wrong, as a start tells of it.
    pub(crate) fn told(&self) -> impl Iterator<Item = anyhow::Error> {
        self.0.iter().flat_map(|(name, misfits)| {
            misfits.iter().map(move |misfit| anyhow::Error::new(misfit.told(name)))
        })
    }

    /// Each of them with what is told to whoever orders under it.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (String, Refusal)> {
        self.0.iter().map(|(name, misfits)| {
            let why = misfits.iter().map(Misfit::why).collect::<Vec<_>>().join("; ");
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
