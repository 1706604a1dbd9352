//! `sigill-ca check-config`: all that `serve` compares before it serves, without a token and without writing.
//!
//! Reads every file that the configuration names, and the database as far as it must be compared with them, and
//! changes nothing; `serve` may be running. It logs in to no token: a PIN that is wrong is seen by `serve`, once.
//! It says all that is wrong at once; what rests on something that is wrong is judged when that has been mended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::ensure;
use ca::book::Book;
use ca::deployment::Deployment;
use ca::profile::ProfileSet;
use store::new_profiles;
use thiserror::Error;

use crate::config::{ClientSection, ConfigFile, ObserveSection};
use crate::danger::Danger;
use crate::database;
use crate::http::peer::Clients;
use crate::http::tls::{ServerIdentity, server_config};
use crate::registers::Registers;
use crate::service::authority::Authority;
use crate::service::delegate::WithdrawnResponders;
use crate::service::versions::numbered;
use crate::start::{self, Told};
use crate::statements::ActorStatements;
use crate::test_certificates::TestCertificates;
use crate::trial_revocations::TrialRevocations;
use crate::unfit::UnfitProfiles;
use crate::{
    algorithms, exchange, kept_expired, key_lists, limits, statements, test_domains, tokens, wiring,
};

/// All that is wrong with a configuration and what it names: at least one thing.
#[derive(Debug, Error)]
#[error("{} faults", .0.len())]
pub(crate) struct Faults(Vec<anyhow::Error>);

impl Faults {
    /// Each of them, in the order in which they were met.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &anyhow::Error> {
        self.0.iter()
    }
}

/// What has been met so far.
#[derive(Default)]
struct Met(Vec<anyhow::Error>);

impl Met {
    /// What was read, unless that is a fault.
    fn take<T>(&mut self, read: anyhow::Result<T>) -> Option<T> {
        read.map_err(|error| self.all([error])).ok()
    }

    /// One thing that several sections name is told of once.
    fn all(&mut self, faults: impl IntoIterator<Item = anyhow::Error>) {
        for fault in faults {
            let line = start::line(&fault);
            if self.0.iter().all(|one| start::line(one) != line) {
                self.0.push(fault);
            }
        }
    }
}

/// Checks a configuration and what it names.
///
/// # Errors
///
/// All for which `serve` would refuse, and all that it would tell of at its start, but for the samples.
pub(crate) fn run(config: &ConfigFile) -> Result<Deployment, Faults> {
    let mut met = Met::default();
    let deployment = met.take(wiring::deployment(config));
    met.take(loopback(&config.observe));
    let (authorities, faults) = crate::authorities::fit(config);
    met.all(faults);
    met.all(kept_expired::unfit(config, authorities.values()));
    if let Some(policy) = met.take(algorithms::read(config)) {
        met.take(algorithms::judge(&policy, &authorities));
    }
    let book = met.take(crate::book::read(&config.profiles));
    if let Some(book) = &book {
        let profiles = book.profiles();
        if let Some(section) = &config.management {
            met.take(wiring::check_management(config, section, profiles));
        }
        met.all(limits::unheld(config, profiles));
        met.take(statements::judge(config, profiles));
        met.all(unnamed_profiles(config, profiles));
        met.all(signed_otherwise(profiles, &authorities));
        met.all(UnfitProfiles::of(book, &authorities).told());
        met.all(unruled(book));
        met.all(unrowed(book, &authorities));
    }
    met.take(limits::read(config));
    met.take(key_lists::read(config));
    if let Some(deployment) = deployment {
        met.take(Danger::new(config.danger_test.as_ref(), deployment).map_err(Into::into));
        met.take(crate::domain_rule::read(config, deployment));
        met.take(test_domains::read(config, deployment));
        met.take(ActorStatements::read(config, deployment));
        if let Some(registers) = met.take(Registers::read(config, deployment)) {
            met.all(registers.unready());
            met.all(book.iter().flat_map(|book| registers.lacking(book, deployment)));
        }
        met.take(config.four_eyes.read(deployment));
        met.take(config.activation.read(deployment));
        met.take(TestCertificates::read(config, deployment));
        let profiles = book.as_ref().map(Book::profiles);
        met.take(TrialRevocations::read(config, deployment, profiles));
        met.take(wiring::NoteKeys::open(config, deployment));
        met.take(api(config, deployment));
        met.take(clients(config, deployment));
        met.take(WithdrawnResponders::read(config));
        met.take(exchange::signers(config, deployment));
        met.all(tokens::faults(config, deployment, &authorities));
        if let Some(changed) = met.take(changed(config, deployment, book.as_ref())) {
            met.all(changed);
        }
    }
    match deployment {
        Some(deployment) if met.0.is_empty() => Ok(deployment),
        _ => Err(Faults(met.0)),
    }
}

/// What the API serves by.
fn api(config: &ConfigFile, deployment: Deployment) -> anyhow::Result<()> {
    let identity = ServerIdentity::load(deployment, &config.api.certificate, &config.api.key)?;
    server_config(Arc::new(identity), &config.api)?;
    Ok(())
}

/// Profiles that were changed since a program last started with this database, and whose version was not counted
/// up: `serve` starts, and issues nothing under them (PRO-19).
fn changed(
    config: &ConfigFile,
    deployment: Deployment,
    book: Option<&Book>,
) -> anyhow::Result<Vec<anyhow::Error>> {
    let recorded = database::profile_versions(&config.database, deployment)?;
    let profiles = book.into_iter().flat_map(|book| book.profiles().iter());
    let compared = profiles.map(|profile| new_profiles(&[numbered(profile)], &recorded));
    Ok(compared.filter_map(Result::err).map(anyhow::Error::new).collect())
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
    let demand = |client: &ClientSection| statements::demand(config, client);
    Ok(Clients::new(deployment, &config.clients, demand).map_err(unfit)?)
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
