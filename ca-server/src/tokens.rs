//! The tokens of the section `[hsm]`, and the keys that are used in them.
//!
//! A token is opened here and nowhere else.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::deployment::Deployment;
use hsm::pin::Pin;
use hsm::token::TokenName;
use hsm::{KeyPolicy, Module, PinMarkers, SigningService as _, Token, TokenSettings, TokenSigner};
use x509::certificate::Certificate;

use crate::config::{ConfigFile, ManagementSection, TokenSection};
use crate::service::authority::Authority;
use crate::start::Told;

/// The PKCS#11 module with the markers of refused PINs.
struct Tokens {
    module: Module,
    markers: PinMarkers,
    deployment: Deployment,
    deadline: Duration,
}

impl Tokens {
    fn load(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<Self> {
        let module = Module::load(&config.hsm.module)?;
        std::fs::create_dir_all(&config.hsm.state).with_context(|| {
            let what = format!("cannot make {}", config.hsm.state.display());
            Told::new("state-unwritable", what, "correct [hsm] state, or the folder's permissions")
        })?;
        let markers = PinMarkers::in_folder(&config.hsm.state)?;
        let deadline = Duration::from_secs(config.hsm.deadline);
        Ok(Self { module, markers, deployment, deadline })
    }

    fn open(&self, section: &TokenSection) -> anyhow::Result<Token> {
        let unnamed = || Told::config(format!("token role {:?}", section.role));
        let label = self.deployment.token_label(&section.role.parse().with_context(unnamed)?);
        let name = TokenName {
            label: label.parse().with_context(unnamed)?,
            serial: section.serial.parse().with_context(unnamed)?,
        };
        Ok(Token::open(
            &self.module,
            TokenSettings {
                name,
                pin: Pin::from_file(&section.pin)?,
                markers: self.markers.clone(),
                sessions: NonZeroUsize::new(section.sessions)
                    .with_context(|| Told::config("sessions = 0"))?,
                deadline: self.deadline,
            },
        )?)
    }
}

/// The token of the section `[management]`, which must stand in section `[hsm]`.
///
/// # Errors
///
/// Names the role that is missing.
pub(crate) fn management_token<'a>(
    config: &'a ConfigFile,
    section: &ManagementSection,
) -> anyhow::Result<&'a TokenSection> {
    let mut tokens = config.hsm.tokens.iter();
    tokens.find(|token| token.role == section.token).with_context(|| {
        Told::config(format!(
            "[management] names token role {:?}, which is not configured",
            section.token
        ))
    })
}

/// A signer for the management CA's key alone, as `tls recover` needs it.
///
/// # Errors
///
/// Names the token or key that is not there or not fit.
pub(crate) fn management_signer(
    config: &ConfigFile,
    section: &ManagementSection,
    deployment: Deployment,
    certificate: &Certificate,
) -> anyhow::Result<TokenSigner> {
    let tokens = Tokens::load(config, deployment)?;
    let signer = TokenSigner::new(tokens.deadline);
    let token = tokens.open(management_token(config, section)?)?;
    signer
        .add(&token, certificate.public_key(), KeyPolicy::issuing())
        .context("key of the management CA")?;
    Ok(signer)
}

/// Opens the tokens and proves the authorities' keys, the management CA's among them.
///
/// # Errors
///
/// Names the token or key that is not there or not fit.
pub(crate) fn signer(
    config: &ConfigFile,
    deployment: Deployment,
    authorities: &BTreeMap<String, Authority>,
    management: Option<(&ManagementSection, &Certificate)>,
) -> anyhow::Result<TokenSigner> {
    let tokens = Tokens::load(config, deployment)?;
    let signer = TokenSigner::new(tokens.deadline);
    for section in &config.hsm.tokens {
        let token = tokens.open(section)?;
        if let Some((management, certificate)) = management
            && management.token == section.role
        {
            signer
                .add(&token, certificate.public_key(), KeyPolicy::issuing())
                .context("key of the management CA")?;
        }
        for authority in authorities.values() {
            if authority.section.token.as_deref() == Some(section.role.as_str()) {
                let key = authority.certificate.public_key();
                signer
                    .add(&token, key, KeyPolicy::issuing())
                    .with_context(|| format!("key of authority {}", authority.name()))?;
            }
        }
    }
    for authority in authorities.values().filter(|authority| authority.signs_here()) {
        let key = authority.certificate.public_key().spki_hash();
        ensure!(
            signer.keys().contains(&key),
            Told::config(format!(
                "authority {} names token role {:?}, which is not configured",
                authority.name(),
                authority.section.token
            ))
        );
    }
    Ok(signer)
}
