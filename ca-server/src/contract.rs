//! The schedule of CRLs, and the freshness contract that it must keep.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use status::freshness::{Contract, ContractError, Refused, Timing, WrittenDeltas};
use thiserror::Error;

use crate::config::{AuthoritySection, ConfigFile};

/// Has the CRLs of authorities that sign here follow from the contract, where one is named.
///
/// # Errors
///
/// [`ContractFault`]: with what is written, a class of the contract would meet what it excludes.
pub(crate) fn keep(config: &mut ConfigFile) -> Result<(), ContractFault> {
    let Some(path) = &config.contract else { return Ok(()) };
    let text = std::fs::read_to_string(path)
        .map_err(|source| ContractFault::Read { path: path.clone(), source })?;
    let contract = Contract::parse(&text)
        .map_err(|source| ContractFault::Malformed { path: path.clone(), source })?;
    for section in config.authorities.iter_mut().filter(|section| section.token.is_some()) {
        let period = section.crl_period.map(Duration::from_secs);
        let lifetime = section.crl_lifetime.map(Duration::from_secs);
        let deltas = section.delta_crl_url.is_some().then(|| WrittenDeltas {
            period: section.delta_crl_period.map(Duration::from_secs),
            lifetime: section.delta_crl_lifetime.map(Duration::from_secs),
        });
        let timing = contract.timing_of_lists(period, lifetime, deltas).map_err(|source| {
            let authority = section.name.clone();
            ContractFault::Broken { path: path.clone(), authority, source }
        })?;
        section.crl_period = Some(timing.crl_period.as_secs());
        section.crl_lifetime = Some(timing.crl_lifetime.as_secs());
        if deltas.is_some() && contract.reads_deltas() {
            section.delta_crl_period = Some(timing.delta_period.as_secs());
            section.delta_crl_lifetime = Some(timing.delta_lifetime.as_secs());
        }
    }
    Ok(())
}

impl AuthoritySection {
    /// Between two CRLs.
    pub(crate) fn crl_period(&self) -> Duration {
        self.crl_period.map_or(Timing::USUAL.crl_period, Duration::from_secs)
    }

    /// Between two delta CRLs, and from thisUpdate to nextUpdate of each, where there are any.
    pub(crate) fn delta_crls(&self) -> Option<(Duration, Duration)> {
        let period = Duration::from_secs(self.delta_crl_period?);
        let lifetime = self.delta_crl_lifetime.map(Duration::from_secs);
        Some((period, lifetime.unwrap_or_else(|| period.saturating_mul(3))))
    }

    /// From thisUpdate to nextUpdate of a CRL.
    pub(crate) fn crl_lifetime(&self) -> Duration {
        self.crl_lifetime.map_or(Timing::USUAL.crl_lifetime, Duration::from_secs)
    }
}

impl ContractFault {
    /// The stable code, and what to do next.
    pub(crate) const fn told(&self) -> (&'static str, &'static str) {
        match self {
            Self::Broken { source: Refused::Unservable(_), .. } => (
                "contract-unservable",
                "let the class that is named bear more or ask more often, or the outage be shorter",
            ),
            Self::Broken { .. } => (
                "contract-broken",
                "leave periods and lifetimes of CRLs and deltas out to have them derived, or correct them",
            ),
            Self::Malformed { .. } => (
                "contract-malformed",
                "correct what is named; environments/demo/freshness.toml tells each key",
            ),
            Self::Read { .. } => {
                ("contract-unreadable", "correct the path, or the file's permissions")
            }
        }
    }
}

/// Why there is no schedule.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ContractFault {
    /// A class would meet what it excludes, or none can be satisfied.
    #[error("the CRLs of authority {authority} do not go with the contract {path}")]
    Broken {
        /// The contract.
        path: PathBuf,
        /// The authority.
        authority: String,
        /// How.
        #[source]
        source: Refused,
    },
    /// It is no contract.
    #[error("freshness contract {path} is refused")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ContractError,
    },
    /// It is not there.
    #[error("cannot read freshness contract {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// The example under its contract, or another file, with these lines of the lists.
    fn read(lists: &str, file: &str) -> Result<ConfigFile, anyhow::Error> {
        read_with(lists, file, "")
    }

    /// With more lines of the contract.
    fn read_with(lists: &str, file: &str, more: &str) -> Result<ConfigFile, anyhow::Error> {
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../environments/demo");
        let folder = tempfile::tempdir().unwrap();
        let contract = folder.path().join("freshness.toml");
        let declared = std::fs::read_to_string(demo.join("freshness.toml")).unwrap();
        std::fs::write(contract, declared + more).unwrap();
        let text = std::fs::read_to_string(demo.join("ca.toml")).unwrap();
        assert!(text.contains("\n# contract = "));
        let text = text.replacen("# contract", "contract", 1).replacen(
            "freshness.toml\"",
            &format!("{file}\""),
            1,
        );
        let lines = text.lines().filter_map(|line| match line.split_whitespace().next() {
            Some("crl-period") => Some(lists),
            Some("crl-lifetime") => None,
            _ => Some(line),
        });
        let path = folder.path().join("ca.toml");
        std::fs::write(&path, lines.collect::<Vec<_>>().join("\n")).unwrap();
        Ok(ConfigFile::read(&path)?)
    }

    /// CRL-03: what is not written follows from the contract, and what breaks it is refused with the login that shows it.
    #[test]
    fn a_contract_yields_the_lists_and_refuses_what_breaks_it() {
        let derived = read("", "freshness.toml").unwrap();
        let online = derived.authorities.last().unwrap();
        assert_eq!(online.crl_period(), Duration::from_secs(3600));
        assert_eq!(online.crl_lifetime(), Duration::from_secs(86_100));
        for (lists, seen) in [
            ("crl-period = 28800", "nothing valid to rely on"),
            ("crl-lifetime = 86101", "relied on: good, 86401 s old"),
        ] {
            let refused = read(lists, "freshness.toml").unwrap_err();
            assert_eq!(crate::start::code(&refused), "contract-broken");
            assert!(format!("{refused:#}").contains(seen), "{refused:#}");
        }
    }

    /// CRL-08: deltas follow from the class that reads them, and at a CA that makes none the lists must bear it.
    #[test]
    fn a_class_that_reads_deltas_yields_them_or_binds_the_lists() {
        let class = "\n[[class]]\nname = \"near\"\nmax-age = 2400\nclock-skew = 60\ncrl-only = true\ndeltas = true\n";
        let url = "delta-crl-url = \"http://127.0.0.1:18080/crl/d.delta.crl\"";
        let online = |lists: &str| {
            let read = read_with(lists, "freshness.toml", class);
            read.map(|config| config.authorities.into_iter().last().unwrap())
        };

        let with = online(url).unwrap();
        assert_eq!(with.delta_crls(), Some((Duration::from_secs(545), Duration::from_secs(2340))));
        assert_eq!(with.crl_lifetime(), Duration::from_secs(86_100), "as without the class");
        // Lists alone would have to last 2340 s for it, in which class `lists` does not even ask.
        let without = online("").unwrap_err();
        assert_eq!(crate::start::code(&without), "contract-unservable");
        assert!(format!("{without:#}").contains("nothing lasts longer than 2340 s"), "{without:#}");
        let refused = online(&format!("{url}\ndelta-crl-lifetime = 2341")).unwrap_err();
        assert_eq!(crate::start::code(&refused), "contract-broken");
        assert!(format!("{refused:#}").contains("relied on: good, 2401 s old"), "{refused:#}");
    }

    #[test]
    fn refuses_a_contract_that_is_not_there_or_is_none() {
        for (file, code) in
            [("none.toml", "contract-unreadable"), ("ca.toml", "contract-malformed")]
        {
            assert_eq!(crate::start::code(&read("", file).unwrap_err()), code);
        }
    }
}
