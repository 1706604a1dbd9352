//! `[four-eyes]`: what another person approves before it is done (CER-10).

use std::time::Duration;

use anyhow::ensure;
use ca::deployment::{Deployment, Environment};
use ca::four_eyes::{FourEyes, RULES, USUAL_LIFETIME};
use serde::Deserialize;

use crate::start::Told;

/// The shortest and the longest time for which a request counts: a minute, and a week.
const LIFETIMES: std::ops::RangeInclusive<u64> = 60..=604_800;

/// The section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct FourEyesSection {
    /// Names of rules; left out, the usual ones in environment prod and none elsewhere.
    demand: Option<Vec<String>>,
    /// Seconds for which a request counts, 60 to 604800.
    #[serde(default = "default_lifetime")]
    lifetime: u64,
}

impl Default for FourEyesSection {
    fn default() -> Self {
        Self { demand: None, lifetime: default_lifetime() }
    }
}

const fn default_lifetime() -> u64 {
    USUAL_LIFETIME.as_secs()
}

impl FourEyesSection {
    /// What the deployment demands.
    ///
    /// # Errors
    ///
    /// Names the rule that is none, or the time that cannot be.
    pub(crate) fn read(&self, deployment: Deployment) -> anyhow::Result<FourEyes> {
        ensure!(
            LIFETIMES.contains(&self.lifetime),
            Told::config(format!(
                "[four-eyes] lifetime = {}, allowed are {} to {} seconds",
                self.lifetime,
                LIFETIMES.start(),
                LIFETIMES.end()
            ))
        );
        let lifetime = Duration::from_secs(self.lifetime);
        match &self.demand {
            Some(names) => {
                FourEyes::new(names.iter().map(String::as_str), lifetime).map_err(|name| {
                    let known: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
                    let known = known.join(", ");
                    let what = format!("[four-eyes] demand names {name:?}; there are {known}");
                    Told::config(what).into()
                })
            }
            None if deployment.environment() == Environment::Prod => Ok(FourEyes::usual(lifetime)),
            None => Ok(FourEyes::none(lifetime)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, environment: &str, pki: &str) -> Result<Vec<&'static str>, String> {
        let section: FourEyesSection = toml::from_str(text).map_err(|error| error.to_string())?;
        let deployment = Deployment::from_parts(environment, pki, "abcd").unwrap();
        let read = section.read(deployment).map_err(|error| error.to_string())?;
        Ok(read.names().collect())
    }

    /// CER-10: prod has four eyes without saying so; who says otherwise says all of it.
    #[test]
    fn the_usual_rules_hold_in_prod_alone_unless_others_are_named() {
        let usual = ["end-organisation", "end-protection", "release-certificate", "resume-limit"];
        assert_eq!(read("", "prod", "prod").unwrap(), usual);
        assert!(read("", "qa", "test").unwrap().is_empty());
        assert!(read("", "test", "demo").unwrap().is_empty());
        let one = "demand = [\"move-carrier\"]";
        assert_eq!(read(one, "prod", "prod").unwrap(), ["move-carrier"]);
        assert_eq!(read(one, "test", "demo").unwrap(), ["move-carrier"]);
    }

    #[test]
    fn what_is_no_rule_or_no_time_is_refused() {
        let refused = |text: &str| read(text, "test", "demo").unwrap_err();

        assert!(refused("demand = [\"revoke\"]").contains("\"revoke\""));
        assert!(refused("demand = [\"revoke\"]").contains("release-certificate"));
        assert!(refused("lifetime = 59").contains("60 to 604800"));
        assert!(refused("lifetime = 604801").contains("60 to 604800"));
        assert!(refused("demanded = []").contains("unknown field"));
    }
}
