//! `sigill-ocsp make-identity`: the key by which `sigill-ca` knows this responder.
//!
//! Made in the responder's own token, on its own host. Two persons carry its public half to `sigill-ca
//! enrol-responder`, by its hash (architecture §2.3).

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use host::durable;
use hsm::{KeyId, KeyOrder, Removal};
use sha2::{Digest as _, Sha256};
use x509::key::{KeyType, SpkiHash};

use crate::config::Config;
use crate::follow::make_state_folder;
use crate::start::Told;
use crate::{run, start};

/// Longest wait for the token to make a key.
const WITHIN: Duration = Duration::from_secs(120);
/// What the key is called in the token.
const LABEL: &str = "responder-identity";

/// Makes the key where the token has none, has it prove itself, and writes its public half to `out`.
///
/// # Errors
///
/// Another copy works with this state, or the token, or the file.
pub(crate) fn make(config: &Config, out: &Path) -> anyhow::Result<SpkiHash> {
    let path = std::path::absolute(out).with_context(|| out.display().to_string())?;
    let hsm = config.role.hsm().context(Told::new(
        "config-value",
        "configuration has no [hsm], and so no token to make a key in",
        "call it with the configuration of the program that signs",
    ))?;
    make_state_folder(&config.state)?;
    let _alone = start::alone(&config.state)?;
    let token = run::open_token(hsm, &config.state)?;
    let named = format!("sigill responder identity\n{}\n{}", config.deployment, hsm.token);
    let id = KeyId::of_step(&Sha256::digest(named).into(), LABEL);
    let found = token.key_by_id(id).context("keys of the token cannot be read")?;
    let key = match found {
        Some(key) => key,
        None => {
            let (key_type, label) = (KeyType::EcP256, LABEL.to_owned());
            let order = KeyOrder { key_type, label, id, removal: Removal::Allowed };
            token.generate_key(order, WITHIN).context("identity key cannot be made")?
        }
    };
    token.prove(&key).context("identity key does not sign")?;
    durable::replace(&path, key.spki_der())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key.spki_hash())
}
