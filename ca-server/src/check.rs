//! `sigill-ca check-config`: all that `serve` compares before it opens the database or a token.
//!
//! Reads every file that the configuration names and changes nothing. It logs in to no token: a PIN
//! that is wrong is seen by `serve`, once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::ensure;
use ca::book::Book;
use ca::deployment::Deployment;
use ca::profile::ProfileSet;
use store::{FileKeySource, KeySource as _, StoreError};

use crate::config::{ConfigFile, ObserveSection};
use crate::danger::Danger;
use crate::http::peer::Clients;
use crate::http::tls::{ServerIdentity, server_config};
use crate::service::authority::Authority;
use crate::start::Told;
use crate::unfit::UnfitProfiles;
use crate::{algorithms, key_lists, limits, test_domains, tokens, wiring};

/// Checks a configuration and what it names.
///
/// # Errors
///
/// The first thing for which `serve` would refuse.
pub(crate) fn run(config: &ConfigFile) -> anyhow::Result<Deployment> {
    loopback(&config.observe)?;
    let deployment = wiring::deployment(config)?;
    Danger::new(config.danger_test.as_ref(), deployment)?;
    let book = wiring::book(&config.profiles)?;
    let profiles = book.profiles();
    if let Some(section) = &config.management {
        wiring::check_management(config, section, profiles)?;
    }
    let authorities = wiring::authorities(config)?;
    algorithms::judge(&algorithms::read(config)?, &authorities)?;
    key_lists::read(config)?;
    test_domains::read(config, deployment)?;
    limits::read(config)?;
    limits::unheld(config, profiles).next().map_or(Ok(()), Err)?;
    unnamed_profiles(config, profiles).next().map_or(Ok(()), Err)?;
    signed_otherwise(profiles, &authorities).next().map_or(Ok(()), Err)?;
    UnfitProfiles::of(&book, &authorities).told().next().map_or(Ok(()), Err)?;
    unruled(&book).map_or(Ok(()), Err)?;
    unrowed(&book, &authorities).next().map_or(Ok(()), Err)?;
    wiring::NoteKeys::open(config, deployment)?;
    let identity = ServerIdentity::load(deployment, &config.api.certificate, &config.api.key)?;
    server_config(Arc::new(identity), &config.api)?;
    clients(config, deployment)?;
    tokens::check(config, deployment, &authorities)?;
    let section = &config.database;
    // `import` makes both where there is neither.
    if section.sealing_keys.exists() || section.path.exists() {
        FileKeySource::new(&section.sealing_keys).sealing_keys().map_err(StoreError::Keys)?;
    }
    Ok(deployment)
}

/// Refuses health and metrics for everybody.
///
/// # Errors
///
/// Names the address that is not of the machine itself.
pub(crate) fn loopback(section: &ObserveSection) -> anyhow::Result<()> {
    ensure!(
        section.listen.ip().is_loopback(),
        Told::config(format!("[observe] listen = {} is not a loopback address", section.listen))
    );
    Ok(())
}

/// Takes the clients.
///
/// # Errors
///
/// Names the client whose section cannot be used.
pub(crate) fn clients(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<Clients> {
    let unfit = |name: String| {
        Told::config(format!(
            "client {name}: key hash unreadable, or its name or key stands there twice"
        ))
    };
    Ok(Clients::new(deployment, &config.clients).map_err(unfit)?)
}

/// Profiles whose authority signs otherwise than they allow: what is ordered under them is refused.
/// `serve` tells of them and starts, because revoking needs none.
pub(crate) fn signed_otherwise<'a>(
    profiles: &'a ProfileSet,
    authorities: &'a BTreeMap<String, Authority>,
) -> impl Iterator<Item = anyhow::Error> {
    authorities.values().map(|authority| &authority.issuer).flat_map(move |issuer| {
        profiles.signed_otherwise(issuer).map(move |profile| {
            let allowed = profile.signatures().unwrap_or_default().iter();
            let allowed = allowed.map(ToString::to_string).collect::<Vec<_>>().join(", ");
            anyhow::Error::new(Told::new(
                "profile-signature",
                format!(
                    "authority {} signs with {}, and its profile {} allows {allowed}",
                    issuer.name(),
                    issuer.algorithm(),
                    profile.name()
                ),
                "change `algorithm` of the authority, or [signature] of the profile",
            ))
        })
    })
}

/// Routines for orders, and no file of dated rules: what is ordered is refused. `serve` tells of it and starts.
pub(crate) fn unruled(book: &Book) -> Option<anyhow::Error> {
    book.lacks_rules().then(|| {
        anyhow::Error::new(Told::new(
            "rules-missing",
            "nothing is issued to subscribers: there are routines, and no file of dated rules in profiles/rules",
            "put the shipped files back; where there are to be no rules, sweden.toml alone",
        ))
    })
}

/// Profiles of an authority that are issued by a row of the table, and that no row of its class has: every order under them is refused as `table-issuer` or
/// `table-no-row`. `serve` tells of them and starts.
pub(crate) fn unrowed<'a>(
    book: &'a Book,
    authorities: &'a BTreeMap<String, Authority>,
) -> impl Iterator<Item = anyhow::Error> {
    authorities.values().map(|authority| &authority.issuer).flat_map(move |issuer| {
        let listed = issuer.profiles().iter().filter_map(|name| book.profiles().by_name(name.as_str()));
        let by_row = listed.filter(|profile| {
            profile.kind().is_person()
                || profile.kind().is_subscriber() && profile.own_policy().is_none()
        });
        let unrowed = by_row.filter(|profile| {
            !book.table().rows_of(profile.name()).any(|row| row.tuple.issuer == *issuer.class())
        });
        unrowed.map(|profile| {
            let classes: BTreeSet<_> =
                book.table().rows_of(profile.name()).map(|row| row.tuple.issuer.as_str()).collect();
            let classes = match classes.len() {
                0 => "none".to_owned(),
                _ => classes.into_iter().collect::<Vec<_>>().join(", "),
            };
            anyhow::Error::new(Told::new(
                "authority-class",
                format!(
                    "authority {} is of class {}, and the policy table has rows of its profile {} for classes: {classes}",
                    issuer.name(),
                    issuer.class(),
                    profile.name()
                ),
                "add `class` to the authority as environments/demo/hierarchy.toml has it, or rows to the table",
            ))
        })
    })
}

/// Profiles that a client may order or an authority issue, and that are in no file: each is said with
/// where it stands, and the folder. `serve` tells of them and starts, because revoking needs none.
pub(crate) fn unnamed_profiles(
    config: &ConfigFile,
    profiles: &ProfileSet,
) -> impl Iterator<Item = anyhow::Error> {
    let of_clients = config.clients.iter().map(|one| ("client", &one.name, &one.profiles));
    let of_authorities =
        config.authorities.iter().map(|one| ("authority", &one.name, &one.profiles));
    of_authorities.chain(of_clients).flat_map(move |(kind, name, named)| {
        let missing = named.iter().filter(|profile| profiles.by_name(profile).is_none());
        missing.map(move |profile| {
            anyhow::Error::new(Told::config(format!(
                "profile {profile} of {kind} {name} is in no file of {}",
                config.profiles.display()
            )))
        })
    })
}
