//! The tokens of the section `[hsm]`, and the keys that are used in them.
//!
//! A token is opened here and nowhere else; `check-config` reads what is said of it in the same way.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::deployment::{Deployment, Environment};
use hsm::pin::Pin;
use hsm::profile::{Mismatch, ProfileError, Profiled};
use hsm::token::TokenName;
use hsm::{
    Away, KeyPolicy, Module, PinMarkers, Quirks, SoftwareTokens, TokenSettings, TokenSigner,
    TokenSource,
};
use x509::certificate::Certificate;
use x509::key::PublicKey;

use crate::config::{AuthoritySection, ConfigFile, HsmSection, ManagementSection, TokenSection};
use crate::publication::chain;
use crate::service::authority::Authority;
use crate::start::{self, Told};

/// The role of a `[[hsm.token]]`, and what the section says.
type Stated<'a> = (&'a str, anyhow::Result<StatedToken>);

/// What one `[[hsm.token]]` says, read.
struct StatedToken {
    name: TokenName,
    module: PathBuf,
    pin: Pin,
    sessions: NonZeroUsize,
    quirks: Quirks,
}

impl StatedToken {
    fn of(
        section: &TokenSection,
        hsm: &HsmSection,
        deployment: Deployment,
    ) -> anyhow::Result<Self> {
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
            module: section.module.as_ref().unwrap_or(&hsm.module).clone(),
            pin: Pin::from_file(&section.pin).with_context(|| format!("token {}", section.role))?,
            sessions: NonZeroUsize::new(section.sessions)
                .with_context(|| unfit(&section.sessions, "sessions"))?,
            quirks: quirks(section, hsm, deployment)
                .with_context(|| format!("token {}", section.role))?,
        })
    }
}

/// What the token's device profile says of it; the usual where there is none.
fn quirks(
    section: &TokenSection,
    hsm: &HsmSection,
    deployment: Deployment,
) -> Result<Quirks, ProfileError> {
    let path = match (&section.profile, &section.module) {
        (None, None) => hsm.profile.as_ref(),
        (own, _) => own.as_ref(),
    };
    let Some(path) = path else { return Ok(Quirks::default()) };
    let mismatch = match deployment.environment() {
        Environment::Prod => Mismatch::Refused,
        Environment::Test | Environment::Qa => Mismatch::Told,
    };
    Ok(Profiled::read(path, mismatch)?.quirks())
}

/// The roles of an authority's tokens, the preferred one first. None where its key is offline.
fn roles(section: &AuthoritySection) -> impl Iterator<Item = &str> {
    section.token.iter().chain(&section.standby).map(String::as_str)
}

/// Reads all that is said of the tokens. Every role that an authority names must be among them.
fn stated(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<Vec<Stated<'_>>> {
    let tokens = &config.hsm.tokens;
    let mut stated = BTreeSet::new();
    for token in tokens {
        ensure!(
            stated.insert(token.role.as_str()),
            Told::config(format!(
                "two [[hsm.token]] have role = {:?}; each role names one token",
                token.role
            ))
        );
    }
    for authority in &config.authorities {
        let name = &authority.name;
        ensure!(
            authority.token.is_some() || authority.standby.is_empty(),
            Told::config(format!(
                "authority {name} has standby = {:?} and no token that they stand by for",
                authority.standby
            ))
        );
        let mut named = BTreeSet::new();
        for role in roles(authority) {
            ensure!(
                tokens.iter().any(|token| token.role == *role),
                Told::config(format!(
                    "authority {name} names token role {role:?}, which is not configured"
                ))
            );
            ensure!(
                named.insert(role),
                Told::config(format!("authority {name} names token role {role:?} twice"))
            );
        }
    }
    let read = |section| StatedToken::of(section, &config.hsm, deployment);
    Ok(tokens.iter().map(|section| (section.role.as_str(), read(section))).collect())
}

/// Checks all that is said of the tokens; none is opened, and no module is loaded. What [`signer`] would refuse
/// for, as far as files tell.
pub(crate) fn faults(
    config: &ConfigFile,
    deployment: Deployment,
    authorities: &BTreeMap<String, Authority>,
) -> Vec<anyhow::Error> {
    let stated = match stated(config, deployment) {
        Ok(stated) => stated,
        Err(error) => return vec![error],
    };
    let mut faults = Vec::from_iter(able(authorities, &stated).err());
    let mut modules = BTreeSet::from([config.hsm.module.clone()]);
    for (_, one) in stated {
        match one {
            Ok(one) => {
                modules.insert(one.module);
            }
            Err(error) => faults.push(error),
        }
    }
    let located = modules.iter().map(|module| Module::locate(module));
    faults.extend(located.filter_map(Result::err).map(anyhow::Error::new));
    faults
}

/// Refuses an authority whose algorithm one of its tokens does not have, as its device profile tells: the
/// first signature would be refused, and the first is a CRL.
fn able(authorities: &BTreeMap<String, Authority>, stated: &[Stated<'_>]) -> anyhow::Result<()> {
    for authority in authorities.values() {
        let algorithm = authority.issuer.algorithm();
        for role in roles(&authority.section) {
            let of_role = stated.iter().filter(|(named, _)| *named == role);
            let mut read = of_role.filter_map(|(_, one)| one.as_ref().ok());
            ensure!(
                read.all(|one| one.quirks.signs(algorithm)),
                Told::new(
                    "authority-algorithm",
                    format!(
                        "authority {} signs with {algorithm}, which the device profile of its token \
                         {role} was not seen to sign",
                        authority.name()
                    ),
                    "choose an `algorithm` that the profile has, or probe the device again",
                )
            );
        }
    }
    Ok(())
}

/// What all tokens have in common.
struct Tokens {
    markers: PinMarkers,
    deadline: Duration,
    software: SoftwareTokens,
}

impl Tokens {
    fn prepare(config: &ConfigFile) -> anyhow::Result<Self> {
        std::fs::create_dir_all(&config.hsm.state).with_context(|| {
            let what = format!("cannot make {}", config.hsm.state.display());
            Told::new("state-unwritable", what, "correct [hsm] state, or the folder's permissions")
        })?;
        let markers = PinMarkers::in_folder(&config.hsm.state)?;
        let deadline = Duration::from_secs(config.hsm.deadline);
        let software = if config.hsm.danger_software_token {
            tracing::error!(
                problem.code = "danger-software-token",
                "[hsm] danger-software-token = true: software tokens may sign in every environment"
            );
            SoftwareTokens::DangerAllowed
        } else {
            SoftwareTokens::TestOnly
        };
        Ok(Self { markers, deadline, software })
    }

    /// The token, which is not opened yet.
    fn source(&self, stated: StatedToken) -> Arc<TokenSource> {
        let StatedToken { name, module, pin, sessions, quirks } = stated;
        let (markers, deadline) = (self.markers.clone(), self.deadline);
        let settings = TokenSettings { name, pin, markers, sessions, deadline, quirks };
        Arc::new(TokenSource::new(&module, settings, self.software))
    }
}

/// Tells of a token without which all goes on but renewing.
fn told(role: &str, error: anyhow::Error) {
    tracing::error!(
        problem.code = start::code(&error),
        token.role = role,
        "it starts without the token of role {role}: {}",
        start::line(&error)
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
    let section = management_token(config, section)?;
    let stated = StatedToken::of(section, &config.hsm, deployment)?;
    let tokens = Tokens::prepare(config)?;
    let signer = TokenSigner::new(tokens.deadline);
    let token = tokens.source(stated);
    signer
        .add(token.open()?, certificate.public_key(), KeyPolicy::issuing())
        .context("key of the management CA")?;
    Ok(signer)
}

/// Proves that the key of an authority that is to come lies in the token that its section names.
///
/// # Errors
///
/// Names the token or key that is not there or not fit.
pub(crate) fn prove(
    config: &ConfigFile,
    deployment: Deployment,
    section: &AuthoritySection,
    key: &PublicKey,
) -> anyhow::Result<()> {
    let named = || format!("key of authority {}", section.name);
    let mut tokens = config.hsm.tokens.iter();
    let of_role = tokens.find(|token| Some(&token.role) == section.token.as_ref());
    let of_role = of_role.with_context(|| {
        let (name, role) = (&section.name, &section.token);
        Told::config(format!("authority {name} names token role {role:?}, which is not configured"))
    })?;
    let stated = StatedToken::of(of_role, &config.hsm, deployment)?;
    let source = Tokens::prepare(config)?.source(stated);
    source.open().with_context(named)?.prove(key).with_context(named)
}

/// The tokens, opened.
pub(crate) struct Opened {
    pub(crate) signer: TokenSigner,
    /// Why the management CA's key is not there, though it was asked for.
    pub(crate) without_management: Option<anyhow::Error>,
}

/// Opens the tokens and proves the authorities' keys, the management CA's among them. Of the tokens of
/// an authority one must be there; those that are away are told of, and taken into use when they come. A
/// token that has no authority's key, as the management CA's, may be away: it is told of, and its key is
/// not there.
///
/// # Errors
///
/// Names the token or key of an authority that is not there or not fit.
pub(crate) fn signer(
    config: &ConfigFile,
    deployment: Deployment,
    authorities: &BTreeMap<String, Authority>,
    management: Option<(&ManagementSection, &Certificate)>,
) -> anyhow::Result<Opened> {
    let stated = stated(config, deployment)?;
    able(authorities, &stated)?;
    let tokens = Tokens::prepare(config)?;
    let signer = TokenSigner::new(tokens.deadline);
    let needed: BTreeSet<&str> =
        authorities.values().flat_map(|authority| roles(&authority.section)).collect();
    let (mut sources, mut absent) = (BTreeMap::new(), BTreeMap::new());
    for (role, one) in stated {
        match one {
            Ok(one) => {
                sources.insert(role, tokens.source(one));
            }
            Err(error) if !needed.contains(role) => {
                absent.insert(role, error);
            }
            Err(error) => return Err(error),
        }
    }
    for authority in authorities.values().filter(|authority| authority.signs_here()) {
        let named = roles(&authority.section).filter_map(|role| sources.get(role));
        let named: Vec<_> = named.cloned().collect();
        let key = authority.certificate.public_key();
        let away = signer
            .add_in_order(&named, key, KeyPolicy::issuing())
            .with_context(|| format!("key of authority {}", authority.name()))?;
        for away in away {
            told_away(authority.name(), &away);
        }
    }
    for (role, source) in sources.iter().filter(|(role, _)| !needed.contains(*role)) {
        if let Err(error) = source.open() {
            absent.insert(role, error.into());
        }
    }
    let without_management = management.and_then(|(section, certificate)| {
        let role = section.token.as_str();
        let why = absent.remove(role).or_else(|| {
            let open = sources.get(role)?.open();
            let key = certificate.public_key();
            let added = open.and_then(|token| signer.add(token, key, KeyPolicy::issuing()));
            added.err().map(Into::into)
        });
        why.map(|error| error.context(format!("key of the management CA, token of role {role}")))
    });
    for (role, error) in absent {
        told(role, error);
    }
    Ok(Opened { signer, without_management })
}

/// Tells of a token without which an authority has one token less to sign with.
fn told_away(authority: &str, away: &Away) {
    let error = &away.error;
    tracing::error!(
        problem.code = error.code(),
        authority.name = authority,
        token.label = %away.token.name().label,
        token.serial = %away.token.name().serial,
        "it starts without this token of the authority, and takes it into use when the key proves itself in it: {}; next: {}",
        chain(error.as_ref()),
        error.next_step()
    );
}
