//! What a contract declares, and the file that it stands in.

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

/// A class asks about nothing that is older than this.
const LONGEST: u64 = 366 * 86_400;
/// The longest clock error of a class.
const LONGEST_SKEW: u64 = 3600;
/// An answer lasts five days at most, and so does what it may survive.
const LONGEST_OUTAGE: u64 = 4 * 86_400;
/// Checkpoints come every second; less than this is no outage but a busy machine.
const SHORTEST_OUTAGE: u64 = 10;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ContractFile {
    #[serde(default)]
    outage: OutageSection,
    #[serde(rename = "class")]
    classes: Vec<ClassSection>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct OutageSection {
    inner_zone: u64,
}

impl Default for OutageSection {
    fn default() -> Self {
        Self { inner_zone: 60 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct ClassSection {
    name: String,
    max_age: u64,
    clock_skew: u64,
    #[serde(default)]
    nonce: bool,
    #[serde(default)]
    crl_only: bool,
    #[serde(default)]
    deltas: bool,
    #[serde(default)]
    polls_every: u64,
}

/// How a class learns the status of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// By OCSP, through whatever caches lie between.
    Ocsp,
    /// By OCSP with a nonce, which no cache answers.
    OcspWithNonce,
    /// By the CRL alone, through whatever caches lie between.
    Crl,
    /// By the CRL together with its delta, and by neither without the other; through whatever caches lie between. A CA that makes no
    /// deltas says all in its CRL.
    CrlDelta,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ocsp => "ocsp",
            Self::OcspWithNonce => "ocsp-nonce",
            Self::Crl => "crl",
            Self::CrlDelta => "crl-delta",
        })
    }
}

/// A class of relying parties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyClass {
    pub(super) name: String,
    pub(super) max_age: Duration,
    pub(super) skew: Duration,
    pub(super) method: Method,
    pub(super) poll: Duration,
}

impl PartyClass {
    /// Its name in the contract.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long ago may have been true what it relies on: from thisUpdate to the moment of use.
    #[must_use]
    pub const fn max_age(&self) -> Duration {
        self.max_age
    }

    /// How far its clock may be off ours, either way; it bears as much in thisUpdate.
    #[must_use]
    pub const fn clock_skew(&self) -> Duration {
        self.skew
    }

    /// How it learns the status.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }

    /// How long it uses one answer before it asks again; zero where it asks at each use.
    #[must_use]
    pub const fn polls_every(&self) -> Duration {
        self.poll
    }
}

/// Classes of relying parties, and for how long they are not to notice that the inner zone is away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contract {
    pub(super) classes: Vec<PartyClass>,
    pub(super) outage: Duration,
}

impl Contract {
    /// Reads a contract, a TOML text as `environments/demo/freshness.toml`.
    ///
    /// # Errors
    ///
    /// [`ContractError`]: an unknown key, a class twice, or a value out of its range.
    pub fn parse(text: &str) -> Result<Self, ContractError> {
        let file: ContractFile = toml::from_str(text).map_err(Box::new)?;
        let outage =
            range("[outage] inner-zone", file.outage.inner_zone, SHORTEST_OUTAGE, LONGEST_OUTAGE)?;
        let mut names = HashSet::new();
        let mut classes = Vec::with_capacity(file.classes.len());
        for section in file.classes {
            let class = class(section)?;
            if !names.insert(class.name.clone()) {
                return Err(ContractError::Name { name: class.name });
            }
            classes.push(class);
        }
        if classes.is_empty() {
            return Err(ContractError::Empty);
        }
        Ok(Self { classes, outage })
    }

    /// The classes, as they stand in the file.
    #[must_use]
    pub fn classes(&self) -> &[PartyClass] {
        &self.classes
    }

    /// For how long nothing may come from the inner zone without any class noticing.
    #[must_use]
    pub const fn outage(&self) -> Duration {
        self.outage
    }

    /// Whether a class reads delta CRLs.
    #[must_use]
    pub fn reads_deltas(&self) -> bool {
        self.by(&[Method::CrlDelta]).next().is_some()
    }

    /// The contract as a CA meets it that makes no deltas: its CRL says all, and its parties find no delta named.
    #[must_use]
    pub fn without_deltas(&self) -> Self {
        let mut contract = self.clone();
        for class in &mut contract.classes {
            if class.method == Method::CrlDelta {
                class.method = Method::Crl;
            }
        }
        contract
    }

    /// The classes that ask by one of these methods.
    pub(super) fn by<'a>(
        &'a self,
        methods: &'a [Method],
    ) -> impl Iterator<Item = &'a PartyClass> + Clone {
        self.classes.iter().filter(|class| methods.contains(&class.method))
    }
}

fn class(section: ClassSection) -> Result<PartyClass, ContractError> {
    let ClassSection { name, max_age, clock_skew, nonce, crl_only, deltas, polls_every } = section;
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !(1..=32).contains(&name.len()) || !name.bytes().all(plain) {
        return Err(ContractError::Name { name });
    }
    let method = match (nonce, crl_only, deltas) {
        (false, false, false) => Method::Ocsp,
        (true, false, false) => Method::OcspWithNonce,
        (false, true, false) => Method::Crl,
        (false, true, true) => Method::CrlDelta,
        (true, true, _) => return Err(ContractError::NonceInCrl { name }),
        (_, false, true) => return Err(ContractError::DeltasOfAnswers { name }),
    };
    let max_age = range("max-age", max_age, 60, LONGEST)?;
    Ok(PartyClass {
        name,
        max_age,
        skew: range("clock-skew", clock_skew, 0, LONGEST_SKEW.min(max_age.as_secs() / 2))?,
        method,
        poll: range("polls-every", polls_every, 0, max_age.as_secs())?,
    })
}

fn range(key: &'static str, found: u64, least: u64, most: u64) -> Result<Duration, ContractError> {
    if (least..=most).contains(&found) {
        Ok(Duration::from_secs(found))
    } else {
        Err(ContractError::Value { key, found, least, most })
    }
}

/// Why a contract was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ContractError {
    /// Nobody relies on anything.
    #[error("no [[class]]: a contract declares at least one class of relying parties")]
    Empty,
    /// The name of a class.
    #[error("class {name:?}: name is not new, or not 1 to 32 characters a-z0-9-")]
    Name {
        /// What was given.
        name: String,
    },
    /// Only who reads lists reads deltas.
    #[error("class {name}: deltas belong to crl-only, OCSP has none")]
    DeltasOfAnswers {
        /// The class.
        name: String,
    },
    /// A list answers no question.
    #[error("class {name}: crl-only and nonce exclude each other, a CRL has no nonce")]
    NonceInCrl {
        /// The class.
        name: String,
    },
    /// It is not the TOML that a contract is; the cause names line and key.
    #[error("it is no contract")]
    Parse(#[from] Box<toml::de::Error>),
    /// A value out of its range.
    #[error("{key} = {found} is refused, wanted are {least} to {most} seconds")]
    Value {
        /// The key.
        key: &'static str,
        /// What was given.
        found: u64,
        /// The least that is taken.
        least: u64,
        /// The most that is taken; for clock-skew also half of max-age, for polls-every max-age.
        most: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../environments/demo/freshness.toml");

    #[test]
    fn reads_the_annotated_example() {
        let contract = Contract::parse(EXAMPLE).unwrap();

        let methods: Vec<Method> = contract.classes().iter().map(PartyClass::method).collect();
        assert_eq!(methods, [Method::Ocsp, Method::OcspWithNonce, Method::Ocsp, Method::Crl]);
    }

    /// Each rule of the file refuses something.
    #[test]
    fn refuses_what_no_contract_can_say() {
        let class = |rest: &str| {
            format!("[[class]]\nname = \"a\"\nmax-age = 3600\nclock-skew = 300\n{rest}\n")
        };
        assert!(Contract::parse(&class("")).is_ok());
        for (text, seen) in [
            (class("colour = 1"), "it is no contract"),
            (class("nonce = true\ncrl-only = true"), "exclude each other"),
            (class("deltas = true"), "deltas belong to crl-only"),
            (class("deltas = true\nnonce = true"), "deltas belong to crl-only"),
            (class("") + &class(""), "name is not new"),
            (class("").replace("\"a\"", "\"A b\""), "name is not new"),
            (class("").replace("3600", "59"), "max-age = 59"),
            (class("").replace("300", "1801"), "clock-skew = 1801"),
            (class("polls-every = 3601"), "polls-every = 3601"),
            (format!("[outage]\ninner-zone = 9\n{}", class("")), "inner-zone = 9"),
            ("class = []".to_owned(), "no [[class]]"),
        ] {
            let refused = Contract::parse(&text).unwrap_err().to_string();
            assert!(refused.contains(seen), "{text}: {refused}");
        }
    }
}
