//! Section `[domains]`: whether the DNS names of functions must lie under domains that their owners have proved (PRO-20).

use anyhow::ensure;
use ca::deployment::{Deployment, Environment};
use serde::Deserialize;

use crate::config::ConfigFile;
use crate::service::domains::DomainRule;
use crate::start::Told;

/// The section.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct DomainsSection {
    /// Whether they must; left out, in production alone.
    pub(crate) required: Option<bool>,
}

/// Reads the section.
///
/// # Errors
///
/// Names a waiver in production, where there is none.
pub(crate) fn read(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<DomainRule> {
    rule(&config.domains, deployment.environment())
}

fn rule(section: &DomainsSection, environment: Environment) -> anyhow::Result<DomainRule> {
    let is_production = environment == Environment::Prod;
    ensure!(
        !is_production || section.required != Some(false),
        Told::config(
            "[domains] required = false stands in production, where each DNS name lies under a proved domain"
        )
    );
    let is_kept = section.required.unwrap_or(is_production);
    Ok(if is_kept { DomainRule::Kept } else { DomainRule::Waived })
}

/// Says at start where the rule is waived.
pub(crate) fn tell(rule: DomainRule) {
    if rule == DomainRule::Waived {
        tracing::warn!(
            "DNS names of functions need no proved domain in this environment: [domains] required = true has them proved"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_is_kept_in_production_and_where_it_is_asked_for() {
        for (environment, required, expected) in [
            (Environment::Prod, None, Some(DomainRule::Kept)),
            (Environment::Prod, Some(true), Some(DomainRule::Kept)),
            (Environment::Prod, Some(false), None),
            (Environment::Test, None, Some(DomainRule::Waived)),
            (Environment::Test, Some(true), Some(DomainRule::Kept)),
            (Environment::Qa, None, Some(DomainRule::Waived)),
        ] {
            let read = rule(&DomainsSection { required }, environment);
            assert_eq!(read.ok(), expected, "{environment:?} {required:?}");
        }
    }
}
