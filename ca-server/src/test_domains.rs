//! Domains of test addresses, as the configuration names them (DAT-08).

use anyhow::{Context as _, ensure};
use ca::deployment::Deployment;
use ca::identity::TestDomains;

use crate::config::ConfigFile;
use crate::start::Told;

/// Reads the domains.
///
/// # Errors
///
/// Names the value that is no domain, and any in production, where test addresses are refused.
pub(crate) fn read(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<TestDomains> {
    let named = &config.identity.test_mail_domains;
    let told =
        |what: &str| Told::config(format!("[identity] test-mail-domains = {named:?} {what}"));
    ensure!(
        named.is_empty() || deployment.environment().allows_only_test_identities(),
        told("stands in production, which has no test addresses")
    );
    TestDomains::new(named.iter().map(String::as_str))
        .with_context(|| told("holds what is no domain of two labels or more, in small letters"))
}
