//! Section `[test-certificates]`: the published set that relying parties test against (PRO-21).

use std::time::Duration;

use anyhow::ensure;
use ca::deployment::{Deployment, Environment};
use serde::Deserialize;

use crate::config::ConfigFile;
use crate::start::Told;

/// A shorter life leaves no time to make the next set in.
const SHORTEST_LIFE: u64 = 40;
/// A set whose certificates live longer would be older than the profiles that it shows.
const LONGEST_LIFE: u64 = 90 * 86_400;

/// The section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct TestCertificatesSection {
    /// How long the certificates of a set live; the next set is there when a quarter of it is left.
    #[serde(default = "default_life")]
    pub(crate) life: u64,
    /// The profiles that it shows; left out, all that an authority here issues to subscribers.
    pub(crate) profiles: Option<Vec<String>>,
}

fn default_life() -> u64 {
    14 * 86_400
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TestCertificates {
    /// How long its certificates live.
    pub(crate) life: Duration,
    profiles: Option<Vec<String>>,
}

impl TestCertificates {
    /// Reads the section; `None` where there is none.
    ///
    /// # Errors
    ///
    /// Names the value that cannot be, and the section itself outside environment test: no other CA issues to persons who
    /// do not exist.
    pub(crate) fn read(
        config: &ConfigFile,
        deployment: Deployment,
    ) -> anyhow::Result<Option<Self>> {
        let Some(section) = &config.test_certificates else { return Ok(None) };
        let environment = deployment.environment();
        ensure!(
            environment == Environment::Test,
            Told::config(format!(
                "[test-certificates] stands in environment {environment}; such certificates are made in environment test alone"
            ))
        );
        ensure!(
            (SHORTEST_LIFE..=LONGEST_LIFE).contains(&section.life),
            Told::config(format!(
                "[test-certificates] life = {} s; a set lives {SHORTEST_LIFE} to {LONGEST_LIFE} s",
                section.life
            ))
        );
        let profiles = section.profiles.clone();
        let is_issued = |name: &&String| {
            config.authorities.iter().any(|authority| authority.profiles.contains(name))
        };
        if let Some(name) = profiles.iter().flatten().find(|name| !is_issued(name)) {
            let told =
                format!("[test-certificates] profiles names {name}, which no [[authority]] issues");
            return Err(Told::config(told).into());
        }
        Ok(Some(Self { life: Duration::from_secs(section.life), profiles }))
    }

    /// Whether it shows this profile.
    pub(crate) fn shows(&self, profile: &str) -> bool {
        self.profiles.as_ref().is_none_or(|shown| shown.iter().any(|one| one == profile))
    }

    /// How long the certificate lives that is to have expired.
    pub(crate) fn shortest_life(&self) -> Duration {
        (self.life / 8).min(Duration::from_secs(60))
    }

    /// The next set is made when so much of the life has gone.
    pub(crate) fn refreshed_after(&self) -> Duration {
        self.life / 4 * 3
    }

    /// A set that has not come about in this time is begun anew: its certificates are too old by then.
    pub(crate) fn made_within(&self) -> Duration {
        self.life / 2
    }

    #[cfg(test)]
    pub(crate) const fn of(life: Duration) -> Self {
        Self { life, profiles: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_with(
        section: &str,
        (environment, pki): (&str, &str),
    ) -> anyhow::Result<Option<TestCertificates>> {
        let text = include_str!("../../environments/demo/ca.toml");
        let (before, rest) = text.split_once("[test-certificates]").expect("it is in the example");
        let (_, after) = rest.split_once("\n\n").expect("an end");
        let config: ConfigFile = toml::from_str(&format!("{before}{section}\n\n{after}"))?;
        TestCertificates::read(&config, Deployment::from_parts(environment, pki, "a1b2")?)
    }

    const DEMO: (&str, &str) = ("test", "demo");

    #[test]
    fn a_set_lives_two_weeks_and_is_made_anew_before_the_last_quarter() {
        let set = read_with("[test-certificates]", DEMO).unwrap().unwrap();

        assert_eq!(set.life, Duration::from_secs(14 * 86_400));
        assert!(set.refreshed_after() + set.life / 4 <= set.life);
        assert!(set.made_within() < set.refreshed_after());
        assert!(set.shows("person-hsaid-3-signature"));
        assert_eq!(read_with("", DEMO).unwrap(), None);
    }

    /// PRO-21: no CA of another environment issues to persons who do not exist.
    #[test]
    fn refuses_every_environment_but_test_and_values_that_cannot_be() {
        let told = |section, deployment| {
            let refused = read_with(section, deployment).unwrap_err();
            crate::start::line(&refused)
        };
        for deployment in [("qa", "test"), ("prod", "prod")] {
            let told = told("[test-certificates]", deployment);
            assert!(told.contains("environment test alone"), "{told}");
        }
        let short = told("[test-certificates]\nlife = 39", DEMO);
        assert!(short.contains("40 to 7776000 s"), "{short}");
        let unknown = told("[test-certificates]\nprofiles = [\"function-x\"]", DEMO);
        assert!(unknown.contains("function-x, which no [[authority]] issues"), "{unknown}");
    }
}
