//! The tokens of the section `[hsm]`, and the keys that are used in them.
//!
//! A token is opened here and nowhere else; `check-config` reads what is said of it in the same way.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::deployment::Deployment;
use hsm::pin::Pin;
use hsm::token::TokenName;
use hsm::{KeyPolicy, Module, OpenError, PinMarkers, Quirks, Token, TokenSettings, TokenSigner};
use x509::certificate::Certificate;

use crate::config::{ConfigFile, ManagementSection, TokenSection};
use crate::service::authority::Authority;
use crate::start::{self, Told};

/// The role of a `[[hsm.token]]`, and what the section says.
type Stated<'a> = (&'a str, anyhow::Result<StatedToken>);

/// What one `[[hsm.token]]` says, read.
struct StatedToken {
    name: TokenName,
    pin: Pin,
    sessions: NonZeroUsize,
}

impl StatedToken {
    fn of(section: &TokenSection, deployment: Deployment) -> anyhow::Result<Self> {
        let unfit = |value: &dyn std::fmt::Debug, key| {
            Told::config(format!("token {}: {key} = {value:?} cannot be", section.role))
        };
        let no_role = || unfit(&section.role, "role");
        let label = deployment.token_label(&section.role.parse().with_context(no_role)?);
        Ok(Self {
            name: TokenName {
                label: label.parse().with_context(no_role)?,
                serial: section.serial.parse().with_context(|| unfit(&section.serial, "serial"))?,
            },
            pin: Pin::from_file(&section.pin).with_context(|| format!("token {}", section.role))?,
            sessions: NonZeroUsize::new(section.sessions)
                .with_context(|| unfit(&section.sessions, "sessions"))?,
        })
    }
}

/// Reads all that is said of the tokens. Every role that an authority names must be among them.
fn stated(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<Vec<Stated<'_>>> {
    let tokens = &config.hsm.tokens;
    for authority in &config.authorities {
        let Some(role) = &authority.token else { continue };
        ensure!(
            tokens.iter().any(|token| token.role == *role),
            Told::config(format!(
                "authority {} names token role {role:?}, which is not configured",
                authority.name
            ))
        );
    }
    let read = |section| StatedToken::of(section, deployment);
    Ok(tokens.iter().map(|section| (section.role.as_str(), read(section))).collect())
}

/// Checks all that is said of the tokens; none is opened, and the module is not loaded.
///
/// # Errors
///
/// As [`signer`], as far as files tell.
pub(crate) fn check(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<()> {
    for (_, one) in stated(config, deployment)? {
        one?;
    }
    Module::locate(&config.hsm.module)?;
    Ok(())
}

/// The PKCS#11 module with the markers of refused PINs.
struct Tokens {
    module: Module,
    markers: PinMarkers,
    deadline: Duration,
    open: fn(&Module, TokenSettings) -> Result<Token, OpenError>,
}

impl Tokens {
    fn load(config: &ConfigFile) -> anyhow::Result<Self> {
        let module = Module::load(&config.hsm.module)?;
        std::fs::create_dir_all(&config.hsm.state).with_context(|| {
            let what = format!("cannot make {}", config.hsm.state.display());
            Told::new("state-unwritable", what, "correct [hsm] state, or the folder's permissions")
        })?;
        let markers = PinMarkers::in_folder(&config.hsm.state)?;
        let deadline = Duration::from_secs(config.hsm.deadline);
        let open = if config.hsm.danger_software_token {
            tracing::error!(
                problem.code = "danger-software-token",
                "[hsm] danger-software-token = true: software tokens may sign in every environment"
            );
            Token::danger_open_software_too
        } else {
            Token::open
        };
        Ok(Self { module, markers, deadline, open })
    }

    fn open(&self, stated: StatedToken) -> anyhow::Result<Token> {
        let StatedToken { name, pin, sessions } = stated;
        let (markers, deadline) = (self.markers.clone(), self.deadline);
        let quirks = Quirks::default();
        let settings = TokenSettings { name, pin, markers, sessions, deadline, quirks };
        Ok((self.open)(&self.module, settings)?)
    }
}

/// Tells of a token without which all goes on but renewing.
fn told(role: &str, error: &anyhow::Error) {
    tracing::error!(
        problem.code = start::code(error),
        token.role = role,
        "it starts without the token of role {role}: {}",
        start::line(error)
    );
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
    let stated = StatedToken::of(management_token(config, section)?, deployment)?;
    let tokens = Tokens::load(config)?;
    let signer = TokenSigner::new(tokens.deadline);
    let token = tokens.open(stated)?;
    signer
        .add(&token, certificate.public_key(), KeyPolicy::issuing())
        .context("key of the management CA")?;
    Ok(signer)
}

/// Opens the tokens and proves the authorities' keys, the management CA's among them. A token that has
/// no authority's key, as the management CA's, may be away: it is told of, and its key is not there.
///
/// # Errors
///
/// Names the token or key of an authority that is not there or not fit.
pub(crate) fn signer(
    config: &ConfigFile,
    deployment: Deployment,
    authorities: &BTreeMap<String, Authority>,
    management: Option<(&ManagementSection, &Certificate)>,
) -> anyhow::Result<TokenSigner> {
    let stated = stated(config, deployment)?;
    let tokens = Tokens::load(config)?;
    let signer = TokenSigner::new(tokens.deadline);
    for (role, one) in stated {
        let mut here = authorities
            .values()
            .filter(|authority| authority.section.token.as_deref() == Some(role))
            .peekable();
        let is_needed = here.peek().is_some();
        let token = match one.and_then(|one| tokens.open(one)) {
            Err(error) if !is_needed => {
                told(role, &error);
                continue;
            }
            opened => opened?,
        };
        if let Some((management, certificate)) = management
            && management.token == role
            && let Err(error) = signer
                .add(&token, certificate.public_key(), KeyPolicy::issuing())
                .context("key of the management CA")
        {
            told(role, &error);
        }
        for authority in here {
            let key = authority.certificate.public_key();
            signer
                .add(&token, key, KeyPolicy::issuing())
                .with_context(|| format!("key of authority {}", authority.name()))?;
        }
    }
    Ok(signer)
}
