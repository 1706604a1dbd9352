//! All profiles of a program, and which issuer issues which.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;
use x509::oid::ObjectIdentifier;

use super::{Profile, ProfileName};
use crate::issuer::Issuer;

/// Profiles by name, no two of which share a name or an own policy (PRO-10).
#[derive(Clone, Debug, Default)]
pub struct ProfileSet {
    by_name: BTreeMap<ProfileName, Profile>,
}

impl ProfileSet {
    /// Puts profiles together.
    ///
    /// # Errors
    ///
    /// [`ProfileSetError::NameTwice`] and [`ProfileSetError::PolicyTwice`].
    pub fn new(profiles: impl IntoIterator<Item = Profile>) -> Result<Self, ProfileSetError> {
        let mut by_name = BTreeMap::new();
        let mut policies = BTreeMap::new();
        for profile in profiles {
            let name = profile.name().clone();
            let own = profile.own_policy().filter(|_| profile.kind().is_subscriber());
            if let Some(policy) = own
                && let Some(first) = policies.insert(policy, name.clone())
            {
                return Err(ProfileSetError::PolicyTwice { policy, first, second: name });
            }
            if by_name.insert(name.clone(), profile).is_some() {
                return Err(ProfileSetError::NameTwice { name });
            }
        }
        Ok(Self { by_name })
    }

    /// The profile of that name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&Profile> {
        self.iter().find(|profile| profile.name().as_str() == name)
    }

    /// All profiles, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.by_name.values()
    }

    /// The profiles that `issuer` lists and may not sign as it does (KEY-11).
    pub fn signed_otherwise<'a>(&'a self, issuer: &'a Issuer) -> impl Iterator<Item = &'a Profile> {
        let listed = issuer.profiles().iter().filter_map(|name| self.by_name.get(name));
        listed.filter(|profile| !profile.allows_signature(issuer.algorithm()))
    }

    /// Checks that the subscriber profiles of an issuer are of one trust level (PRO-11); what it lists and no file has is
    /// left out.
    ///
    /// # Errors
    ///
    /// [`ProfileSetError::TwoTrustLevels`].
    pub fn check_levels(&self, issuer: &Issuer) -> Result<(), ProfileSetError> {
        let listed = issuer.profiles().iter().filter_map(|name| self.by_name.get(name));
        let levels: BTreeSet<_> = listed
            .filter(|profile| profile.kind().is_subscriber())
            .map(Profile::trust_level)
            .collect();
        if levels.len() > 1 {
            return Err(ProfileSetError::TwoTrustLevels { issuer: issuer.name().to_owned() });
        }
        Ok(())
    }
}

/// Why profiles and issuers do not go together.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProfileSetError {
    /// A name is used twice.
    #[error("two profiles are named {name}")]
    NameTwice {
        /// The name.
        name: ProfileName,
    },
    /// Relying parties could not tell the two apart.
    #[error("profiles {first} and {second} have the same own policy {policy}")]
    PolicyTwice {
        /// The policy.
        policy: ObjectIdentifier,
        /// One profile.
        first: ProfileName,
        /// The other.
        second: ProfileName,
    },
    /// Trust levels have issuers of their own.
    #[error("issuer {issuer} has profiles of several trust levels or kinds of subject")]
    TwoTrustLevels {
        /// The issuer.
        issuer: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Hierarchy, all_profiles, profile, profile_text};

    #[test]
    fn refuses_names_and_policies_twice() {
        let copy = |from: &str, to: &str| {
            Profile::parse(profile_text("function").replace(from, to).as_bytes()).unwrap()
        };
        let same_policy = copy("\"function\"\nver", "\"other\"\nver");
        let same_name = copy("1.2.752.74.8.650", "1.3.6.1.4.1.32473.1.1.9");

        assert!(matches!(
            ProfileSet::new([profile("function"), same_policy]),
            Err(ProfileSetError::PolicyTwice { .. })
        ));
        assert!(matches!(
            ProfileSet::new([profile("function"), same_name]),
            Err(ProfileSetError::NameTwice { .. })
        ));
    }

    /// KEY-11: seen before anything is asked for.
    #[test]
    fn names_the_profiles_that_an_issuer_may_not_sign() {
        let shipped = Profile::parse(profile_text("function").as_bytes()).unwrap();
        let set = ProfileSet::new([shipped, profile("function-ec")]).unwrap();
        let issuer = Hierarchy::new(&["function", "function-ec"]).issuing;

        let names: Vec<_> = set.signed_otherwise(&issuer).map(|one| one.name().as_str()).collect();

        assert_eq!(names, ["function"]);
    }

    /// PRO-11: trust levels have authorities of their own.
    #[test]
    fn refuses_an_issuer_that_mixes_trust_levels() {
        let all = all_profiles();
        let check = |profiles: &[&str]| all.check_levels(&Hierarchy::new(profiles).issuing);
        let person = "person-hsaid-3-authentication";

        assert_eq!(check(&[person, "ocsp", "absent"]), Ok(()));
        assert_eq!(check(&["function", "ocsp"]), Ok(()));
        let mixed = check(&[person, "function"]);
        assert!(matches!(mixed, Err(ProfileSetError::TwoTrustLevels { .. })), "{mixed:?}");
        assert!(all.by_name("root").is_some() && all.by_name("Root").is_none());
    }
}
