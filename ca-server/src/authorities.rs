//! The authorities of a configuration: their certificates, read and pinned, and how they sign.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use ca::issuer::{CrlScopeStated, Issuer, IssuerSettings};
use ca::key_period::KeyPeriod;
use ca::table::IssuerClass;
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
    let found = base16ct::lower::encode_string(&Sha256::digest(&der));
    ensure!(
        found == section.sha256,
        Told::new(
            "authority-certificate-pin",
            format!("{path} has SHA-256 {found}, the configuration pins {}", section.sha256),
            "put the pinned certificate back",
        )
    );
    deltas(section).with_context(|| format!("authority {}", section.name))?;
    let unfit = || Told::config("certificate and section do not make an issuing authority");
    let certificate = Certificate::from_der(&der).with_context(unfit)?;
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
    Ok(Authority::new(section.clone(), certificate, issuer))
}

/// As for full lists: deltas are not made more often than this by time alone.
const SHORTEST_PERIOD: Duration = Duration::from_secs(60);

/// Delta CRLs have a period, which is shorter than that of the full ones, and a URL, or there are none.
fn deltas(section: &AuthoritySection) -> anyhow::Result<()> {
    let (period, url) = match (section.delta_crl_period, &section.delta_crl_url) {
        (None, None) => return Ok(()),
        (Some(period), Some(url)) => (period, url),
        _ => bail!(Told::config("delta-crl-period and delta-crl-url belong together")),
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
        for bad in [
            "delta-crl-period = 600".to_owned(),
            url.to_owned(),
            format!("delta-crl-period = 0\n{url}"),
            format!("delta-crl-period = 59\n{url}"),
            format!("delta-crl-period = 3600\n{url}"),
            "delta-crl-period = 600\ndelta-crl-url = \"https://crl.example.org/d\"".to_owned(),
            "delta-crl-period = 600\ndelta-crl-url = \"http:///d\"".to_owned(),
            "delta-crl-period = 600\ndelta-crl-url = \"http://crl.example.org/one.crl\"".to_owned(),
        ] {
            assert_eq!(read(&bad), Err("config-value"), "{bad}");
        }
    }
}
