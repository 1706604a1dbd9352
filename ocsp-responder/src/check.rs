//! `sigill-ocsp check-config`: the files that the configuration names, beside the configuration itself.
//!
//! Changes nothing and logs in to no token. What has not been pushed yet is not missing.

use anyhow::{Context as _, ensure};
use hsm::pin::Pin;

use crate::authority::Authority;
use crate::config::Config;

/// Checks the files.
///
/// # Errors
///
/// The first that `serve` would refuse, or for which it would answer tryLater for ever.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    Pin::from_file(&config.pin).context("PIN of the token cannot be read")?;
    ensure!(config.module.is_file(), "hsm.module {} is no file", config.module.display());
    for pinned in &config.authorities {
        Authority::read(&config.publication, pinned)?;
    }
    Ok(())
}
