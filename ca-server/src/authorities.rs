//! The authorities of a configuration: their certificates, read and pinned, and how they sign.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use ca::issuer::{CrlScopeStated, Issuer, IssuerSettings};
use ca::key_period::KeyPeriod;
use ca::table::IssuerClass;
use crl::ShardPlan;
use sha2::{Digest as _, Sha256};
use x509::certificate::Certificate;
use x509::key::{KeyType, SignatureAlgorithm};

use crate::config::{AuthoritySection, ConfigFile};
use crate::service::authority::Authority;
use crate::start::Told;

/// Reads and pins the authorities' certificates.
///
/// # Errors
///
/// Names the authority whose certificate is not the pinned one or does not fit its section.
pub(crate) fn read(config: &ConfigFile) -> anyhow::Result<BTreeMap<String, Authority>> {
    let (authorities, faults) = fit(config);
    faults.into_iter().next().map_or(Ok(authorities), Err)
}

/// The authorities that are as [`read`] wants them, and what is wrong with each of the others.
pub(crate) fn fit(config: &ConfigFile) -> (BTreeMap<String, Authority>, Vec<anyhow::Error>) {
    let (mut authorities, mut faults) = (BTreeMap::new(), Vec::new());
    for section in &config.authorities {
        let name = &section.name;
        match authority(section).with_context(|| format!("authority {name}")) {
            Ok(_) if authorities.contains_key(name) => {
                let twice = format!("authority {name} stands twice in the configuration");
                faults.push(Told::config(twice).into());
            }
            Ok(authority) if shares_urls(&authority, authorities.values()) => {
                let shared = format!(
                    "authority {name}: a URL below crl-shard-url is that of another list too"
                );
                faults.push(shards_refused(shared).into());
            }
            Ok(authority) => {
                authorities.insert(name.clone(), authority);
            }
            Err(error) => faults.push(error),
        }
    }
    (authorities, faults)
}

fn authority(section: &AuthoritySection) -> anyhow::Result<Authority> {
    let path = section.certificate.display();
    let bytes = std::fs::read(&section.certificate).with_context(|| {
        let what = format!("cannot read {path}");
        Told::new("authority-certificate", what, "correct the path, or put the certificate there")
    })?;
    let der = match std::str::from_utf8(&bytes) {
        Ok(text) if text.contains("-----BEGIN") => {
            x509::pem::decode_one(text, x509::pem::Label::Certificate).with_context(|| {
                Told::new(
                    "authority-certificate",
                    format!("cannot read {path}"),
                    "put the certificate there",
                )
            })?
        }
        _ => bytes,
    };
    of(section, &der)
}

/// The authority that this certificate, which its section pins, makes.
///
/// # Errors
///
/// It is another, or fits no issuing authority.
pub(crate) fn of(section: &AuthoritySection, der: &[u8]) -> anyhow::Result<Authority> {
    let path = section.certificate.display();
    let found = base16ct::lower::encode_string(&Sha256::digest(der));
    ensure!(
        found == section.sha256,
        Told::new(
            "authority-certificate-pin",
            format!("{path} has SHA-256 {found}, the configuration pins {}", section.sha256),
            "put the pinned certificate back",
        )
    );
    deltas(section).with_context(|| format!("authority {}", section.name))?;
    let shards = shards(section).with_context(|| format!("authority {}", section.name))?;
    let unfit = || Told::config("certificate and section do not make an issuing authority");
    let certificate = Certificate::from_der(der).with_context(unfit)?;
    let settings = IssuerSettings {
        name: section.name.clone(),
        algorithm: algorithm(section, certificate.public_key().key_type())?,
        crl_url: section.crl_url.clone(),
        ocsp_url: section.ocsp_url.clone(),
        aia_url: section.aia_url.clone(),
        profiles: section
            .profiles
            .iter()
            .map(|name| name.parse())
            .collect::<Result<_, _>>()
            .with_context(unfit)?,
        crl_scope_stated: if section.issuing_distribution_point {
            CrlScopeStated::Yes
        } else {
            CrlScopeStated::No
        },
        period: KeyPeriod::new(section.issue_from, section.issue_until, section.state)
            .with_context(unfit)?,
    };
    let mut issuer = Issuer::new(certificate.clone(), settings).with_context(unfit)?;
    if let Some(class) = &section.class {
        issuer = issuer.of_class(IssuerClass::new(class).with_context(unfit)?);
    }
    Ok(Authority::new(section.clone(), certificate, issuer).with_shards(shards))
}

/// As for full lists: deltas are not made more often than this by time alone.
const SHORTEST_PERIOD: Duration = Duration::from_secs(60);

/// Delta CRLs have a period, which is shorter than that of the full ones, and a URL, or there are none.
fn deltas(section: &AuthoritySection) -> anyhow::Result<()> {
    let (period, url) = match (section.delta_crl_period, &section.delta_crl_url) {
        (None, None) if section.delta_crl_lifetime.is_none() => return Ok(()),
        (Some(period), Some(url)) => (period, url),
        _ => bail!(Told::config(
            "delta-crl-period and delta-crl-url belong together, and delta-crl-lifetime to both"
        )),
    };
    let full = section.crl_period();
    let shortest = SHORTEST_PERIOD.as_secs();
    ensure!(
        period >= shortest && Duration::from_secs(period) < full,
        Told::config(format!(
            "delta-crl-period is {period} s; it is at least {shortest} and below crl-period, {} s",
            full.as_secs()
        ))
    );
    let lifetime = section.delta_crls().unwrap_or_default().1;
    ensure!(
        lifetime >= Duration::from_secs(period.saturating_mul(3))
            && lifetime <= section.crl_lifetime(),
        Told::config(format!(
            "delta-crl-lifetime is {} s; it is at least three times delta-crl-period, {period} s, so that two may be missed, and at most \
             crl-lifetime, {} s",
            lifetime.as_secs(),
            section.crl_lifetime().as_secs()
        ))
    );
    let host = url.strip_prefix("http://").unwrap_or_default();
    ensure!(
        !host.is_empty()
            && !host.starts_with('/')
            && url.bytes().all(|octet| octet.is_ascii_graphic())
            && *url != section.crl_url,
        Told::config(format!(
            "delta-crl-url {url:?} is not an absolute http URI in visible ASCII, or is that of the full CRL"
        ))
    );
    Ok(())
}

/// A week.
const USUAL_SHARD_WINDOW: u64 = 7 * 24 * 3600;

/// How its shards are opened, where it has any: such that each can be made, and found at its URL alone.
fn shards(section: &AuthoritySection) -> anyhow::Result<Option<ShardPlan>> {
    let Some(urls) = &section.crl_shard_url else {
        ensure!(
            section.crl_shard_window.is_none() && section.crl_shard_places.is_none(),
            shards_refused("crl-shard-window and crl-shard-places belong to crl-shard-url")
        );
        return Ok(None);
    };
    ensure!(
        section.token.is_some(),
        shards_refused("crl-shard-url, and its key is not here: its CRLs come from ceremonies")
    );
    let window = Duration::from_secs(section.crl_shard_window.unwrap_or(USUAL_SHARD_WINDOW));
    let places = section.crl_shard_places.unwrap_or(crl::MOST_PLACES);
    ShardPlan::new(urls, window, places)
        .map(Some)
        .map_err(|error| shards_refused(format!("shards of its CRL: {error}")).into())
}

fn shards_refused(what: impl Into<String>) -> Told {
    let next = "correct crl-shard-url, crl-shard-window and crl-shard-places, or leave them out; docs/operations/run.md";
    Told::new("authority-crl-shards", what, next)
}

/// Whether a list of one could be asked for at a URL of another, or a full or delta list at that of a shard.
fn shares_urls<'a>(new: &Authority, others: impl Iterator<Item = &'a Authority> + Clone) -> bool {
    let covers = |plan: &ShardPlan, of: &Authority| {
        let delta = of.section.delta_crl_url.as_deref().unwrap_or_default();
        plan.covers(&of.section.crl_url) || plan.covers(delta)
    };
    let own = new.shard_plan();
    let shares = |other: &Authority| {
        let its = other.shard_plan();
        own.is_some_and(|plan| covers(plan, other))
            || its.is_some_and(|plan| covers(plan, new))
            || own.zip(its).is_some_and(|(one, two)| one.urls() == two.urls())
    };
    own.is_some_and(|plan| covers(plan, new)) || others.clone().any(shares)
}

/// How the authority signs: what its section says, if keys of its type do so; else their default.
fn algorithm(section: &AuthoritySection, key_type: KeyType) -> anyhow::Result<SignatureAlgorithm> {
    let Some(written) = &section.algorithm else {
        return Ok(SignatureAlgorithm::default_for(key_type));
    };
    let parsed = written.parse().ok();
    let fitting = parsed.filter(|algorithm: &SignatureAlgorithm| algorithm.fits(key_type));
    fitting.with_context(|| {
        let known = SignatureAlgorithm::names_for(key_type);
        let what =
            format!("algorithm = {written:?}, and its key is {key_type}, which signs with {known}");
        let next = "correct `algorithm`, or leave it out for the default of the key's type";
        Told::new("authority-algorithm", what, next)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::World;

    /// CRL-08: a period without a URL, one that is no shorter than the full CRL's, and a URL that nobody can fetch are
    /// refused at the start.
    #[test]
    fn refuses_deltas_that_cannot_be() {
        const SECTION: &str = "name = \"one\"\ncertificate = \"one.cer\"\nsha256 = \"\"\n\
            crl-url = \"http://crl.example.org/one.crl\"\nocsp-url = \"http://ocsp.example.org\"\n\
            aia-url = \"http://aia.example.org/one.cer\"\ncrl-period = 3600\n";
        let read = |more: &str| {
            let section: AuthoritySection = toml::from_str(&format!("{SECTION}{more}")).unwrap();
            deltas(&section).map_err(|error| crate::start::code(&error))
        };
        let url = "delta-crl-url = \"http://crl.example.org/one.delta.crl\"";

        assert_eq!(read(""), Ok(()));
        assert_eq!(read(&format!("delta-crl-period = 600\n{url}")), Ok(()));
        assert_eq!(
            read(&format!("delta-crl-period = 600\ndelta-crl-lifetime = 1800\n{url}")),
            Ok(())
        );
        for bad in [
            "delta-crl-period = 600".to_owned(),
            url.to_owned(),
            format!("delta-crl-period = 0\n{url}"),
            format!("delta-crl-period = 59\n{url}"),
            format!("delta-crl-period = 3600\n{url}"),
            "delta-crl-lifetime = 1800".to_owned(),
            format!("delta-crl-period = 600\ndelta-crl-lifetime = 1799\n{url}"),
            format!("delta-crl-period = 600\ndelta-crl-lifetime = 172801\n{url}"),
            "delta-crl-period = 600\ndelta-crl-url = \"https://crl.example.org/d\"".to_owned(),
            "delta-crl-period = 600\ndelta-crl-url = \"http:///d\"".to_owned(),
            "delta-crl-period = 600\ndelta-crl-url = \"http://crl.example.org/one.crl\"".to_owned(),
        ] {
            assert_eq!(read(&bad), Err("config-value"), "{bad}");
        }
    }
    /// CRL-06: shards of a CA whose key is not here, without a URL, with one that nobody can fetch, and larger or shorter
    /// ones than may be are refused at the start.
    #[test]
    fn refuses_shards_that_cannot_be() {
        const SECTION: &str = "name = \"one\"\ncertificate = \"one.cer\"\nsha256 = \"\"\n\
            crl-url = \"http://crl.example.org/one.crl\"\nocsp-url = \"http://ocsp.example.org\"\n\
            aia-url = \"http://aia.example.org/one.cer\"\n";
        let read = |more: &str| {
            let section: AuthoritySection = toml::from_str(&format!("{SECTION}{more}")).unwrap();
            shards(&section).map_err(|error| crate::start::code(&error))
        };
        let url = "token = \"issuing\"\ncrl-shard-url = \"http://crl.example.org/one/\"\n";

        assert_eq!(read(""), Ok(None));
        let plan = read(url).unwrap().unwrap();
        assert_eq!((plan.places(), plan.window().as_secs()), (10_000, 604_800));
        for bad in [
            "crl-shard-window = 86400".to_owned(),
            "crl-shard-places = 100".to_owned(),
            url.replace("token = \"issuing\"\n", ""),
            url.replace("one/", "one"),
            url.replace("http:", "https:"),
            format!("{url}crl-shard-window = 3599"),
            format!("{url}crl-shard-places = 0"),
            format!("{url}crl-shard-places = 10001"),
        ] {
            assert_eq!(read(&bad), Err("authority-crl-shards"), "{bad}");
        }
    }

    /// CRL-06: at a URL there is one list: two CAs do not share theirs, nor a shard and a full or delta list.
    #[test]
    fn refuses_shards_at_the_urls_of_other_lists() {
        let authority = |urls: Option<&str>, full: &str| {
            let mut world = World::new();
            let authorities = std::mem::take(&mut world.service.authorities);
            let mut authority = authorities.into_values().next().unwrap();
            authority.section.crl_url = full.to_owned();
            let week = Duration::from_secs(604_800);
            authority.with_shards(urls.map(|urls| ShardPlan::new(urls, week, 10).unwrap()))
        };
        let (a, b) = ("http://crl.example.org/a/", "http://crl.example.org/b/");
        let full = "http://crl.example.org/a.crl";
        let of_a_shard = "http://crl.example.org/a/000009.crl";
        let sharded = authority(Some(a), full);

        assert!(!shares_urls(&sharded, [authority(Some(b), full), authority(None, full)].iter()));
        for (new, other) in [
            (authority(Some(a), of_a_shard), None),
            (authority(Some(a), full), Some(authority(Some(a), full))),
            (authority(Some(a), full), Some(authority(None, of_a_shard))),
            (authority(None, of_a_shard), Some(authority(Some(a), full))),
        ] {
            assert!(shares_urls(&new, other.iter()));
        }
    }
}
