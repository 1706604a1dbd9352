//! The plan: the one reviewed file that says everything about a ceremony, and holds no secret.
//!
//! A plan is read strictly, and nothing that ends up in a certificate or an attribute of a key has a default. What is
//! approved is its hash; what people read is [`crate::script`], which is made from it.

mod check;
mod fault;
mod file;
mod kind;
mod people;
mod step;
mod text;
mod values;

use std::fmt;

use ca::deployment::Deployment;
use serde::Deserialize;
use thiserror::Error;
use x509::time::UnixTime;

pub use fault::Fault;
pub use kind::{Audit, Kind, Zone};
pub use people::{Duty, People, Person, Quorum, Requirement, Role, Threshold};
pub use step::{
    Ahead, Attributes, BackupWay, DELEGATE_AFTER_CRL, IssuerUrls, NumberRule, Operation,
    OperationName, Revocation, Step,
};
pub use text::{MAX_OCTETS, TextFault};
pub(crate) use values::moment;
pub use values::{Line, RelativeFile, Word};

use crate::script::Language;
use crate::words::Fingerprint;

/// The format that is read here.
pub const FORMAT: &str = "sigill-ceremony-plan/1";

/// A plan that holds by itself.
#[derive(Clone, Debug)]
pub struct Plan {
    /// SHA-256 of the file.
    pub hash: Fingerprint,
    /// What it is called.
    pub id: Word,
    /// The kind of ceremony.
    pub kind: Kind,
    /// One line that says what it is for.
    pub title: Line,
    /// The language of script, screens and report.
    pub language: Language,
    /// The deployment that it is held for.
    pub deployment: Deployment,
    /// When it may be held.
    pub window: Window,
    /// The certification practice statement, with version and section.
    pub cps_section: Line,
    /// How the independent person takes part.
    pub auditor: Audit,
    /// The program that holds it.
    pub program: Program,
    /// What the machine is started from.
    pub image: Image,
    /// Who takes part.
    pub people: People,
    /// The tokens.
    pub tokens: Vec<PlannedToken>,
    /// The PKCS#11 modules of people's own tokens, beside that of the ceremony.
    pub own_modules: Vec<OwnModule>,
    /// What comes from outside.
    pub inputs: Vec<Input>,
    /// What is done.
    pub steps: Vec<Step>,
}

/// From when until when; both seconds are of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Window {
    /// The first second.
    #[serde(deserialize_with = "values::moment")]
    pub not_before: UnixTime,
    /// The last.
    #[serde(deserialize_with = "values::moment")]
    pub not_after: UnixTime,
}

/// A program by its version and hash.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Program {
    /// Its version.
    pub version: Line,
    /// SHA-256 of its file.
    pub sha256: Fingerprint,
}

/// The medium that the machine is started from.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// SHA-256 of it, computed on a second machine.
    pub sha256: Fingerprint,
    /// How it was built.
    pub build: Line,
}

/// A token by what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct PlannedToken {
    /// What the plan calls it.
    pub name: Word,
    /// Its label.
    pub label: Line,
    /// Its serial number; a token that is prepared in the ceremony may get it then.
    pub serial: Option<Line>,
    /// Its model.
    pub model: Line,
    /// Its firmware.
    pub firmware: Line,
    /// SHA-256 of the PKCS#11 module.
    pub module_sha256: Fingerprint,
    /// The input that holds what was measured of such devices.
    pub device_profile: Word,
    /// What it is to hold before.
    #[serde(deserialize_with = "values::parsed")]
    pub expect: Content,
    /// Who holds its PINs.
    pub pins: Pins,
}

/// A PKCS#11 module of people's own tokens. It runs in the process that has the PINs of the ceremony, so it is reviewed as that is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnModule {
    /// Where it lies: an absolute path.
    pub file: Line,
    /// SHA-256 of it.
    pub sha256: Fingerprint,
}

/// What a token is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// It is not initialised.
    Blank,
    /// It has PINs and no object.
    Empty,
    /// The inventory of this hash.
    Inventory(Fingerprint),
}

impl std::str::FromStr for Content {
    type Err = NoContent;

    fn from_str(text: &str) -> Result<Self, NoContent> {
        match text {
            "blank" => Ok(Self::Blank),
            "empty" => Ok(Self::Empty),
            _ => text.parse().map(Self::Inventory).map_err(|_| NoContent),
        }
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blank => f.write_str("blank"),
            Self::Empty => f.write_str("empty"),
            Self::Inventory(hash) => hash.fmt(f),
        }
    }
}

/// A text says nothing of what a token holds.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("wanted blank, empty or the SHA-256 of an inventory")]
pub struct NoContent;

/// How a token's PINs are kept from any one person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pins {
    /// The device itself asks for its quorum of cards.
    Device,
    /// They are drawn here, and their shares are handed to the custodians.
    Shares,
}

/// A file that comes from outside.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
    /// What the plan calls it.
    pub name: Word,
    /// What it holds.
    pub content: InputContent,
    /// Where it lies, below `in/`.
    pub file: RelativeFile,
    /// Its SHA-256.
    pub sha256: Fingerprint,
    /// The places that it was taken from and compared.
    pub from: Vec<Line>,
}

/// What an input holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputContent {
    /// A certificate.
    Certificate,
    /// A CRL.
    Crl,
    /// A certification request.
    Request,
    /// A certificate profile.
    Profile,
    /// What was measured of a device.
    DeviceProfile,
}

impl Plan {
    /// Reads a plan and holds it against the rules of its kind.
    ///
    /// # Errors
    ///
    /// [`PlanError`] with every fault that was found.
    pub fn read(bytes: &[u8]) -> Result<Self, PlanError> {
        file::read(bytes).map_err(|faults| PlanError { faults })
    }

    /// The token of this name.
    #[must_use]
    pub fn token(&self, name: &Word) -> Option<&PlannedToken> {
        self.tokens.iter().find(|token| token.name == *name)
    }

    /// The input of this name.
    #[must_use]
    pub fn input(&self, name: &Word) -> Option<&Input> {
        self.inputs.iter().find(|input| input.name == *name)
    }
}

/// Why a plan is refused, and nothing was done by it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// Every fault.
    pub faults: Vec<Fault>,
}

impl std::error::Error for PlanError {}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, fault) in self.faults.iter().enumerate() {
            if place > 0 {
                f.write_str("\n")?;
            }
            fault.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
