//! The policy table: which policy states what (PRO-10; decision 0012).
//!
//! A row says that certificates of one profile, from one class of issuers, on one kind of carrier, for
//! one kind of identity, at one trust level, ordered by one routine, state one policy from one day to
//! another. A policy has one row, so that relying parties read from it how the holder was identified.
//! Rows are looked up, never reckoned: what stands in no row is not issued.

mod check;
pub mod page;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509::oid::ObjectIdentifier;

pub(crate) use self::check::{Checked, check};
pub use self::check::{RowFault, TableError};
use crate::book::{NoDays, days};
use crate::carrier::CarrierKind;
use crate::day::Day;
use crate::identity::list::LevelWord;
use crate::identity::{Days, IdentityKindId};
use crate::profile::{ProfileName, TrustLevel};
use crate::routine::RoutineName;
use crate::word::word_type;

word_type!(
    /// A class of issuers, such as `person-hsaid-3`: the versions of one CA share it.
    IssuerClass
);

/// What determines a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tuple {
    /// The profile.
    pub profile: ProfileName,
    /// The class of its issuer.
    pub issuer: IssuerClass,
    /// On what the key lives: persons with an order only.
    pub carrier: Option<CarrierKind>,
    /// How the person is known: persons with an order only.
    pub identity: Option<IdentityKindId>,
    /// The trust level: persons only.
    pub level: Option<TrustLevel>,
    /// The routine: persons only.
    pub routine: Option<RoutineName>,
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The policy.
    pub policy: ObjectIdentifier,
    /// What states it.
    pub tuple: Tuple,
    /// The days (in Stockholm) on which it is issued under.
    pub days: Days,
}

/// The whole table, in the order of its file.
#[derive(Clone, Debug, Default)]
pub struct PolicyTable {
    version: u32,
    sha256: [u8; 32],
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableFile {
    version: u32,
    #[serde(default)]
    row: Vec<RowFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RowFile {
    policy: String,
    profile: String,
    issuer: IssuerClass,
    carrier: Option<CarrierKind>,
    identity: Option<IdentityKindId>,
    level: Option<LevelWord>,
    routine: Option<RoutineName>,
    from: Day,
    to: Option<Day>,
}

impl PolicyTable {
    /// Reads `tables/policies.toml`. What it names is checked when the whole book is read.
    ///
    /// # Errors
    ///
    /// [`TableFileError`]: not UTF-8 TOML of a table, an unknown key or word, or no policy.
    pub fn parse(file: &[u8]) -> Result<Self, TableFileError> {
        let text = str::from_utf8(file).map_err(|_| TableFileError::NotUtf8)?;
        let read: TableFile =
            toml::from_str(text).map_err(|source| TableFileError::Toml(Box::new(source)))?;
        if read.version == 0 {
            return Err(TableFileError::Version);
        }
        Ok(Self {
            version: read.version,
            sha256: Sha256::digest(file).into(),
            rows: read.row.into_iter().map(RowFile::into_row).collect::<Result<_, _>>()?,
        })
    }

    /// Rows that no file has, for samples.
    pub(crate) const fn of_rows(rows: Vec<Row>) -> Self {
        Self { version: 1, sha256: [0; 32], rows }
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// SHA-256 of its file.
    #[must_use]
    pub const fn sha256(&self) -> &[u8; 32] {
        &self.sha256
    }

    /// All rows, in the order of the file.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// The row of a tuple on a day (in Stockholm). The check of the book allows one at most.
    #[must_use]
    pub fn row_of(&self, tuple: &Tuple, day: Day) -> Option<&Row> {
        self.rows.iter().find(|row| row.tuple == *tuple && row.days.contain(day))
    }

    /// The rows of a routine.
    pub(crate) fn rows_by<'a>(&'a self, routine: &'a RoutineName) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row.tuple.routine.as_ref() == Some(routine))
    }

    /// The rows of a profile.
    pub fn rows_of<'a>(&'a self, profile: &'a ProfileName) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row.tuple.profile == *profile)
    }
}

impl RowFile {
    fn into_row(self) -> Result<Row, TableFileError> {
        let policy = self
            .policy
            .parse()
            .map_err(|_| TableFileError::Policy { found: self.policy.clone() })?;
        let profile = self
            .profile
            .parse()
            .map_err(|_| TableFileError::Profile { found: self.profile.clone() })?;
        Ok(Row {
            policy,
            tuple: Tuple {
                profile,
                issuer: self.issuer,
                carrier: self.carrier,
                identity: self.identity,
                level: self.level.map(TrustLevel::from),
                routine: self.routine,
            },
            days: days(self.from, self.to)
                .map_err(|source| TableFileError::Days { policy: self.policy, source })?,
        })
    }
}

/// Why a file is no policy table.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TableFileError {
    /// Days that never come.
    #[error("row of policy {policy}: {source}")]
    Days {
        /// The row.
        policy: String,
        /// What is wrong.
        source: NoDays,
    },
    /// Not text.
    #[error("file is not UTF-8")]
    NotUtf8,
    /// Not an object identifier.
    #[error("policy {found:?} is no object identifier")]
    Policy {
        /// What was found.
        found: String,
    },
    /// Not the name of a profile.
    #[error("profile {found:?} is no name of a profile")]
    Profile {
        /// What was found.
        found: String,
    },
    /// Not TOML, an unknown key, a missing one, or a word that is none.
    #[error("file is no policy table")]
    Toml(#[source] Box<toml::de::Error>),
    /// Version 0.
    #[error("version is 1 or more")]
    Version,
}

#[cfg(test)]
mod tests;
