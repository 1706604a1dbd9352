//! What a routine demands of registers: its tables `[registers.employment]` and `[registers.person]`.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;

use super::{Attribute, RegisterKind};
use crate::profile::span;

/// The oldest answer that any routine may take.
const OLDEST: Duration = Duration::from_secs(30 * 86_400);

/// What becomes of an order where the register gives nothing out of a protected person.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IfWithheld {
    /// Who has signed the call, in a role that has protected persons added, stands for what it says.
    ByRole,
    /// Nothing is issued.
    #[default]
    Refuse,
}

/// What a register must say before a certificate is issued by a routine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Which register.
    pub register: RegisterKind,
    /// What must agree, as far as order and certificate say it.
    pub agree: Vec<Attribute>,
    /// How old its answer may be.
    pub age: Duration,
    /// Where it gives nothing out.
    pub withheld: IfWithheld,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RegistersFile {
    employment: Option<DemandFile>,
    person: Option<DemandFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct DemandFile {
    agree: Vec<Attribute>,
    age: String,
    #[serde(default)]
    withheld: IfWithheld,
}

impl RegistersFile {
    /// Whether it demands nothing.
    pub(crate) const fn is_empty(&self) -> bool {
        self.employment.is_none() && self.person.is_none()
    }
}

/// Reads the table `[registers]` of a routine.
pub(crate) fn read(file: RegistersFile) -> Result<Vec<Demand>, DemandError> {
    let both = [(RegisterKind::Employment, file.employment), (RegisterKind::Person, file.person)];
    both.into_iter().filter_map(|(register, file)| Some(one(register, file?))).collect()
}

fn one(register: RegisterKind, file: DemandFile) -> Result<Demand, DemandError> {
    if file.agree.is_empty() {
        return Err(DemandError::Nothing { register });
    }
    let distinct: BTreeSet<Attribute> = file.agree.iter().copied().collect();
    if distinct.len() < file.agree.len() {
        return Err(DemandError::Twice { register });
    }
    if let Some(&attribute) = file.agree.iter().find(|one| !one.is_of(register)) {
        return Err(DemandError::Unknown { register, attribute });
    }
    let age = span(&file.age).filter(|age| *age <= OLDEST);
    let Some(age) = age else { return Err(DemandError::Age { register, found: file.age }) };
    Ok(Demand { register, agree: file.agree, age, withheld: file.withheld })
}

/// Why a table is no demand.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DemandError {
    /// No age.
    #[error(
        "registers.{register}.age: {found:?} is no age such as \"24h\" or \"7d\", at most 30 days"
    )]
    Age {
        /// The register.
        register: RegisterKind,
        /// What was found.
        found: String,
    },
    /// Nothing to agree.
    #[error("registers.{register}.agree names nothing that must agree")]
    Nothing {
        /// The register.
        register: RegisterKind,
    },
    /// The same thing twice.
    #[error("registers.{register}.agree names an attribute twice")]
    Twice {
        /// The register.
        register: RegisterKind,
    },
    /// The register does not know such a thing.
    #[error("registers.{register}.agree: that register knows no {attribute}")]
    Unknown {
        /// The register.
        register: RegisterKind,
        /// The attribute.
        attribute: Attribute,
    },
}
