//! What the two lists of identities have in common: entries with a name, levels and days.

use std::collections::BTreeSet;

use serde::Deserialize;
use thiserror::Error;

use crate::day::Day;
use crate::profile::TrustLevel;

/// The words for trust levels in lists, routines, tables and rules.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LevelWord {
    Loa2,
    Loa3,
}

impl From<LevelWord> for TrustLevel {
    fn from(word: LevelWord) -> Self {
        match word {
            LevelWord::Loa2 => Self::Loa2,
            LevelWord::Loa3 => Self::Loa3,
        }
    }
}

/// First and last day, both included; without a last day it goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub until: Option<Day>,
}

impl Days {
    /// Whether `day` is one of them.
    #[must_use]
    pub fn contain(self, day: Day) -> bool {
        self.from <= day && self.until.is_none_or(|until| day <= until)
    }

    /// Whether all of `others` are among them.
    #[must_use]
    pub fn cover(self, others: Self) -> bool {
        let ends_late_enough = match (self.until, others.until) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(own), Some(other)) => other <= own,
        };
        self.from <= others.from && ends_late_enough
    }
}

/// What every entry of a list is checked for.
pub(super) struct Entry<'a> {
    pub(super) id: &'a str,
    pub(super) levels: &'a [TrustLevel],
    pub(super) days: Days,
}

/// Checks what holds for both lists.
pub(super) fn check<'a>(
    version: u32,
    entries: impl IntoIterator<Item = Entry<'a>>,
) -> Result<(), ListError> {
    if version == 0 {
        return Err(ListError::Version);
    }
    let mut ids = BTreeSet::new();
    for Entry { id, levels, days } in entries {
        if !ids.insert(id) {
            return Err(ListError::Twice { id: id.to_owned() });
        }
        let distinct: BTreeSet<_> = levels.iter().collect();
        if levels.is_empty() || distinct.len() != levels.len() {
            return Err(ListError::Levels { id: id.to_owned() });
        }
        if let Some(until) = days.until.filter(|until| *until < days.from) {
            return Err(ListError::Period { id: id.to_owned(), from: days.from, until });
        }
    }
    if ids.is_empty() {
        return Err(ListError::Nothing);
    }
    Ok(())
}

/// Why a file is no list of identity kinds, proofing methods or proofs of domains.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ListError {
    /// A passport's number may stand in no subject.
    #[error("{id} has in-subject = true; a passport's number stands in no certificate")]
    InSubject {
        /// The entry.
        id: String,
    },
    /// No level, or one twice.
    #[error("{id} has no levels, or one of them twice; allowed are loa2 and loa3, each once")]
    Levels {
        /// The entry.
        id: String,
    },
    /// A proof would hold for no time, or for too long.
    #[error("{id} has no longest of 1 to {most} days")]
    Longest {
        /// The entry.
        id: String,
        /// Days that may be.
        most: u16,
    },
    /// A list without entries allows nobody.
    #[error("the list has no entry")]
    Nothing,
    /// It ends before it begins.
    #[error("{id} has until = {until}, which is before from = {from}")]
    Period {
        /// The entry.
        id: String,
        /// The first day.
        from: Day,
        /// The last day.
        until: Day,
    },
    /// Not TOML, or a key or word that does not exist; the message names line and key.
    #[error("not the TOML of such a list")]
    Toml(#[source] Box<toml::de::Error>),
    /// Two entries of one name.
    #[error("{id} is there twice")]
    Twice {
        /// The entry.
        id: String,
    },
    /// Not UTF-8.
    #[error("the list is not UTF-8 text")]
    Utf8,
    /// Versions count from 1.
    #[error("version = 0; versions count from 1")]
    Version,
}

/// Reads the TOML of a list.
pub(crate) fn read<T: serde::de::DeserializeOwned>(file: &[u8]) -> Result<T, ListError> {
    let text = str::from_utf8(file).map_err(|_| ListError::Utf8)?;
    toml::from_str(text).map_err(|error| ListError::Toml(Box::new(error)))
}

#[cfg(test)]
mod tests {
    use x509::time::UnixTime;

    use super::*;

    #[test]
    fn first_and_last_day_are_among_the_days() {
        let day = |day| Day::containing(UnixTime::of_day(2026, 1, day).unwrap());
        let days = Days { from: day(2), until: Some(day(4)) };
        let open = Days { from: day(2), until: None };

        let within: Vec<bool> = (1..=5).map(|d| days.contain(day(d))).collect();

        assert_eq!(within, [false, true, true, true, false]);
        assert!(open.contain(day(31)) && !open.contain(day(1)));
        assert!(open.cover(days) && days.cover(days) && !days.cover(open));
        assert!(!days.cover(Days { from: day(1), until: Some(day(3)) }));
        assert!(!days.cover(Days { from: day(3), until: Some(day(5)) }));
    }
}
