//! Card families: what a private key may live in, as data.
//!
//! A family says which keys its carriers make, how long they last, which trust levels they bear, and
//! how its maker proves that a key was made in one of them (ISS-10). The kinds are closed, because the
//! policy table and the routines hang on them; families are files, because cards change.

mod attestation;

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use thiserror::Error;
use x509::key::{KeyType, SpkiHash};

pub use self::attestation::{AttestationError, KeyEvidence, Maker};
use crate::book::{NoDays, days};
use crate::day::Day;
use crate::identity::list::LevelWord;
use crate::identity::{CardNumber, Days};
use crate::profile::TrustLevel;
use crate::word::word_type;

word_type!(
    /// The name of a card family, such as `nls-card-2023`.
    CarrierName
);

/// What sort of thing a carrier (*bärare*) is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CarrierKind {
    /// A person's own card.
    OrdinaryCard,
    /// A card for a while (*reservkort*).
    ReserveCard,
    /// A telephone or tablet.
    MobileDevice,
    /// A card that belongs to nobody yet.
    BlankCard,
}

impl CarrierKind {
    /// The word for it in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OrdinaryCard => "ordinary-card",
            Self::ReserveCard => "reserve-card",
            Self::MobileDevice => "mobile-device",
            Self::BlankCard => "blank-card",
        }
    }

    /// Whether its carriers bear a card number.
    #[must_use]
    pub const fn is_card(self) -> bool {
        !matches!(self, Self::MobileDevice)
    }
}

impl fmt::Display for CarrierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How the maker of a family's carriers proves where a key was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttestationRule {
    /// Not at all: trust level 3 has such carriers in environment test only.
    None,
    /// By a statement that one of these keys signed, over the key and, of cards, the card number.
    SignedStatement {
        /// SHA-256 of the subject public key infos of the maker's keys.
        keys: Vec<SpkiHash>,
    },
}

/// A checked card family.
#[derive(Clone, Debug)]
pub struct CarrierFamily {
    name: CarrierName,
    version: u32,
    kind: CarrierKind,
    days: Days,
    keys: Vec<KeyType>,
    longest_life: Duration,
    card_number_prefixes: Vec<String>,
    levels: Vec<TrustLevel>,
    attestation: AttestationRule,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FamilyFile {
    name: CarrierName,
    version: u32,
    kind: CarrierKind,
    /// For readers; a family without one is not reviewable.
    source: String,
    from: Day,
    until: Option<Day>,
    keys: Vec<String>,
    longest_life: String,
    #[serde(default)]
    card_number_prefix: Vec<String>,
    levels: Vec<LevelWord>,
    attestation: AttestationFile,
}

#[derive(Deserialize)]
#[serde(tag = "kind", deny_unknown_fields, rename_all = "kebab-case")]
enum AttestationFile {
    None {},
    SignedStatement { keys: Vec<String> },
}

impl CarrierFamily {
    /// The most years of a carrier, in days: a card outlives no eID (ISS-09).
    const LONGEST: Duration = Duration::from_secs(1_827 * 86_400);

    /// The same, of which nobody is asked to prove where its keys were made. For samples.
    pub(crate) fn unattested(&self) -> Self {
        Self { attestation: AttestationRule::None, ..self.clone() }
    }

    /// Reads a file of `profiles/carriers/`.
    ///
    /// # Errors
    ///
    /// [`CarrierError`]: not UTF-8 TOML of a family, an unknown key or word, a life past five years,
    /// nothing where there must be something.
    pub fn parse(file: &[u8]) -> Result<Self, CarrierError> {
        let text = str::from_utf8(file).map_err(|_| CarrierError::NotUtf8)?;
        let file: FamilyFile =
            toml::from_str(text).map_err(|source| CarrierError::Toml(Box::new(source)))?;
        for (key, is_empty) in [
            ("source", file.source.trim().is_empty()),
            ("keys", file.keys.is_empty()),
            ("levels", file.levels.is_empty()),
            ("version", file.version == 0),
        ] {
            if is_empty {
                return Err(CarrierError::Empty { key });
            }
        }
        if !file.kind.is_card() && !file.card_number_prefix.is_empty() {
            return Err(CarrierError::NumberOfNoCard { kind: file.kind });
        }
        Ok(Self {
            name: file.name,
            version: file.version,
            kind: file.kind,
            days: days(file.from, file.until)?,
            keys: file
                .keys
                .iter()
                .map(|text| text.parse().map_err(|_| CarrierError::KeyType { found: text.clone() }))
                .collect::<Result<_, _>>()?,
            longest_life: life(&file.longest_life)?,
            card_number_prefixes: file
                .card_number_prefix
                .into_iter()
                .map(prefix)
                .collect::<Result<_, _>>()?,
            levels: file.levels.into_iter().map(TrustLevel::from).collect(),
            attestation: file.attestation.into_rule()?,
        })
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &CarrierName {
        &self.name
    }

    /// Its version.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// What its carriers are.
    #[must_use]
    pub const fn kind(&self) -> CarrierKind {
        self.kind
    }

    /// The days (in Stockholm) on which certificates are issued to its carriers.
    #[must_use]
    pub const fn days(&self) -> Days {
        self.days
    }

    /// The keys that its carriers make.
    #[must_use]
    pub fn keys(&self) -> &[KeyType] {
        &self.keys
    }

    /// How long a carrier lasts: no certificate on it ends later after issuing.
    #[must_use]
    pub const fn longest_life(&self) -> Duration {
        self.longest_life
    }

    /// The trust levels that its carriers bear.
    #[must_use]
    pub fn levels(&self) -> &[TrustLevel] {
        &self.levels
    }

    /// How its maker proves where a key was made.
    #[must_use]
    pub const fn attestation(&self) -> &AttestationRule {
        &self.attestation
    }

    /// Whether a card number begins as those of the family do. Like the check digit, another beginning
    /// is a warning and no refusal.
    #[must_use]
    pub fn has_number(&self, number: &CardNumber) -> bool {
        let prefixes = &self.card_number_prefixes;
        prefixes.is_empty() || prefixes.iter().any(|prefix| number.as_str().starts_with(prefix))
    }
}

impl AttestationFile {
    fn into_rule(self) -> Result<AttestationRule, CarrierError> {
        let Self::SignedStatement { keys } = self else { return Ok(AttestationRule::None) };
        if keys.is_empty() {
            return Err(CarrierError::Empty { key: "attestation.keys" });
        }
        let keys = keys.into_iter().map(|text| match text.parse() {
            Ok(hash) => Ok(hash),
            Err(_) => Err(CarrierError::Hash { found: text }),
        });
        Ok(AttestationRule::SignedStatement { keys: keys.collect::<Result<_, _>>()? })
    }
}

fn life(text: &str) -> Result<Duration, CarrierError> {
    crate::profile::span(text)
        .filter(|&span| span <= CarrierFamily::LONGEST)
        .ok_or_else(|| CarrierError::Life { found: text.to_owned() })
}

fn prefix(text: String) -> Result<String, CarrierError> {
    if (1..=19).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(text);
    }
    Err(CarrierError::Prefix { found: text })
}

/// Why a file is no card family.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CarrierError {
    /// Nothing where there must be something.
    #[error("{key} says nothing")]
    Empty {
        /// The key.
        key: &'static str,
    },
    /// Not SHA-256 in hexadecimal.
    #[error("attestation.keys: {found:?} is not 64 hexadecimal digits")]
    Hash {
        /// What was found.
        found: String,
    },
    /// Days that never come.
    #[error(transparent)]
    Days(#[from] NoDays),
    /// A key type that is not known.
    #[error("keys: {found:?} is no key type such as ec-p256")]
    KeyType {
        /// What was found.
        found: String,
    },
    /// A span that is none, or past five years.
    #[error("longest-life: {found:?} is no span such as 1826d, or longer than five years")]
    Life {
        /// What was found.
        found: String,
    },
    /// Devices have no card number.
    #[error("card-number-prefix: a {kind} has no card number")]
    NumberOfNoCard {
        /// The kind.
        kind: CarrierKind,
    },
    /// Not text.
    #[error("file is not UTF-8")]
    NotUtf8,
    /// Not the beginning of a card number.
    #[error("card-number-prefix: {found:?} is not 1 to 19 digits")]
    Prefix {
        /// What was found.
        found: String,
    },
    /// Not TOML, an unknown key, a missing one, or a word that is none.
    #[error("file is no card family")]
    Toml(#[source] Box<toml::de::Error>),
}

#[cfg(test)]
mod tests;
