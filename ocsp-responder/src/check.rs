//! `sigill-ocsp check-config`: the files that the configuration names, beside the configuration itself.
//!
//! Changes nothing and logs in to no token. What has not been pushed yet is not missing.

use anyhow::Context as _;
use hsm::Module;
use hsm::pin::Pin;

use crate::authority::Authority;
use crate::config::Config;
use crate::{run, start};

/// Checks the files.
///
/// # Errors
///
/// The first that `serve` would refuse, or for which it would answer tryLater for ever.
pub(crate) fn run(config: &Config) -> anyhow::Result<()> {
    start::publication_is_ours(config)?;
    if let Some(hsm) = config.role.hsm() {
        Module::locate(&hsm.module).context("PKCS#11 module cannot be loaded")?;
        run::quirks(hsm)?;
        Pin::from_file(&hsm.pin).context("PIN of the token cannot be read")?;
    }
    for pinned in &config.authorities {
        Authority::read(&config.publication, pinned)?;
    }
    Ok(())
}
