//! Answers of registers, as an adapter gives them (docs/formats/register-answer.md).
//!
//! Everything is read strictly: what is not understood is no answer. Errors say where, and never what: it is somebody's.

use std::fmt;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509::time::UnixTime;

use super::{Attribute, Question, RegisterKind};
use crate::identity::{Identity, bare_number};
use crate::protection::ProtectionClass;

/// The format of an answer.
const ANSWER: &str = "sigill/register-answer/1";
/// The format of a file of them.
const FILE: &str = "sigill/register-file/1";
/// Values of an attribute, at most.
const MOST_VALUES: usize = 16;
/// Characters of a value, at most.
const LONGEST_VALUE: usize = 256;

/// What a register has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// As of when that is so.
    pub as_of: UnixTime,
    /// SHA-256 of its octets.
    pub sha256: [u8; 32],
    /// It.
    pub said: Said,
}

/// What a register can say of whom it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// He was in it, and is no more: the employment has ended, the person is dead or struck off.
    Ended(Option<ProtectionClass>),
    /// He is in it.
    Found(Option<ProtectionClass>, Box<Attributes>),
    /// It knows nobody by that key.
    Missing,
    /// He is protected, and it says nothing more.
    Withheld(ProtectionClass),
}

/// What a register says somebody is called, and where he is. Of each attribute any of its values agrees.
///
/// `Debug` shows none of it.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Attributes {
    personal_identity_number: Vec<String>,
    passport: Vec<String>,
    given_name: Vec<String>,
    surname: Vec<String>,
    organization: Vec<String>,
    organisation_number: Vec<String>,
    upn: Vec<String>,
    email: Vec<String>,
    locality: Vec<String>,
}

impl Attributes {
    /// The values of an attribute; those of an identity are numbers and passports.
    #[must_use]
    pub fn of(&self, attribute: Attribute) -> Vec<String> {
        let one = match attribute {
            Attribute::Identity => {
                let numbers = self.personal_identity_number.iter().map(|text| bare_number(text));
                return numbers.chain(self.passport.iter().cloned()).collect();
            }
            Attribute::GivenName => &self.given_name,
            Attribute::Surname => &self.surname,
            Attribute::Organization => &self.organization,
            Attribute::OrganisationNumber => &self.organisation_number,
            Attribute::Upn => &self.upn,
            Attribute::Email => &self.email,
            Attribute::Locality => &self.locality,
        };
        one.clone()
    }

    /// Whether it is about the person of an identity.
    #[must_use]
    pub fn are_of(&self, identity: &Identity) -> bool {
        self.of(Attribute::Identity).contains(&super::identity(identity))
    }

    /// Each attribute that there is, by its member in an answer, with its values.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &[String])> {
        let names = [
            "personal-identity-number",
            "passport",
            "given-name",
            "surname",
            "organization",
            "organisation-number",
            "upn",
            "email",
            "locality",
        ];
        let all = names.into_iter().zip(self.lists());
        all.filter(|(_, values)| !values.is_empty()).map(|(name, values)| (name, values.as_slice()))
    }

    fn lists(&self) -> [&Vec<String>; 9] {
        [
            &self.personal_identity_number,
            &self.passport,
            &self.given_name,
            &self.surname,
            &self.organization,
            &self.organisation_number,
            &self.upn,
            &self.email,
            &self.locality,
        ]
    }

    fn is_empty(&self) -> bool {
        self.lists().iter().all(|list| list.is_empty())
    }

    fn fits(&self) -> bool {
        let fits = |text: &String| (1..=LONGEST_VALUE).contains(&text.chars().count());
        self.lists().iter().all(|list| list.len() <= MOST_VALUES && list.iter().all(fits))
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Attributes").finish_non_exhaustive()
    }
}

/// Why something is no answer. It quotes nothing of it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{what} at line {line}, column {column}")]
pub struct MalformedAnswer {
    what: &'static str,
    line: usize,
    column: usize,
}

impl MalformedAnswer {
    const fn new(what: &'static str) -> Self {
        Self { what, line: 0, column: 0 }
    }

    fn json(error: &serde_json::Error) -> Self {
        let what = match error.classify() {
            serde_json::error::Category::Syntax => "no JSON",
            serde_json::error::Category::Eof => "JSON that breaks off",
            _ => "another member, or a value of another form,",
        };
        Self { what, line: error.line(), column: error.column() }
    }
}

/// A member that an answer says how somebody is protected by.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ProtectionWord {
    None,
    ConfidentialityMarking,
    ProtectedRegistration,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AnswerWord {
    Ended,
    Found,
    Missing,
    Withheld,
}

/// What is said of one person: a line of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct RecordText {
    key: String,
    answer: AnswerWord,
    protection: Option<ProtectionWord>,
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct AnswerText {
    format: String,
    register: RegisterKind,
    as_of: String,
    key: String,
    answer: AnswerWord,
    protection: Option<ProtectionWord>,
    attributes: Option<Attributes>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct FileHeaderText {
    format: String,
    register: RegisterKind,
    as_of: String,
    records: u64,
}

/// One record of a register file. `Debug` shows no key.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Of whom: an HSA-id, or a number of 12 digits.
    pub key: String,
    /// What is said.
    pub said: Said,
    /// SHA-256 of the line.
    pub sha256: [u8; 32],
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").finish_non_exhaustive()
    }
}

impl Said {
    /// Its word in answers.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Ended(_) => "ended",
            Self::Found(..) => "found",
            Self::Missing => "missing",
            Self::Withheld(_) => "withheld",
        }
    }
}

impl Record {
    /// Reads a line of a register file.
    ///
    /// # Errors
    ///
    /// [`MalformedAnswer`]: no record, or one that contradicts itself.
    pub fn parse(line: &[u8]) -> Result<Self, MalformedAnswer> {
        let text: RecordText =
            serde_json::from_slice(line).map_err(|error| MalformedAnswer::json(&error))?;
        let said = text.said()?;
        Ok(Self { key: text.key, said, sha256: Sha256::digest(line).into() })
    }
}

/// The first line of a register file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// Of which register.
    pub register: RegisterKind,
    /// As of when all of it is so, also that somebody is not in it.
    pub as_of: UnixTime,
    /// How many records follow.
    pub records: u64,
}

impl FileHeader {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// [`MalformedAnswer`].
    pub fn parse(line: &[u8]) -> Result<Self, MalformedAnswer> {
        let text: FileHeaderText =
            serde_json::from_slice(line).map_err(|error| MalformedAnswer::json(&error))?;
        if text.format != FILE {
            return Err(MalformedAnswer::new("another format"));
        }
        let as_of = time(&text.as_of)?;
        Ok(Self { register: text.register, as_of, records: text.records })
    }
}

impl Answer {
    /// Reads what a register sent to a question.
    ///
    /// # Errors
    ///
    /// [`MalformedAnswer`]: no answer, one that contradicts itself, or one to another question.
    pub fn parse(octets: &[u8], question: &Question) -> Result<Self, MalformedAnswer> {
        let text: AnswerText =
            serde_json::from_slice(octets).map_err(|error| MalformedAnswer::json(&error))?;
        if text.format != ANSWER {
            return Err(MalformedAnswer::new("another format"));
        }
        if text.register != question.register() || text.key != question.key() {
            return Err(MalformedAnswer::new("an answer to another question"));
        }
        let as_of = time(&text.as_of)?;
        let AnswerText { key, answer, protection, attributes, .. } = text;
        let said = RecordText { key, answer, protection, attributes }.said()?;
        Ok(Self { as_of, sha256: Sha256::digest(octets).into(), said })
    }
}

impl RecordText {
    fn said(&self) -> Result<Said, MalformedAnswer> {
        let Self { answer, protection, attributes, .. } = self;
        // An adapter that forgets to say it would have nobody protected.
        let class = || match protection {
            Some(ProtectionWord::None) => Ok(None),
            Some(ProtectionWord::ConfidentialityMarking) => Ok(Some(ProtectionClass::Marked)),
            Some(ProtectionWord::ProtectedRegistration) => Ok(Some(ProtectionClass::Relocated)),
            None => Err(MalformedAnswer::new("no word on protection")),
        };
        match (answer, attributes) {
            (AnswerWord::Found, Some(attributes)) => {
                if attributes.is_empty() || !attributes.fits() {
                    return Err(MalformedAnswer::new("no attributes, or too much of one"));
                }
                Ok(Said::Found(class()?, Box::new(attributes.clone())))
            }
            (AnswerWord::Ended, None) => Ok(Said::Ended(class()?)),
            (AnswerWord::Withheld, None) => match class()? {
                Some(class) => Ok(Said::Withheld(class)),
                None => Err(MalformedAnswer::new("nothing given out of nobody who is protected")),
            },
            (AnswerWord::Missing, None) if protection.is_none() => Ok(Said::Missing),
            _ => Err(MalformedAnswer::new("members that the answer does not have")),
        }
    }
}

fn time(text: &str) -> Result<UnixTime, MalformedAnswer> {
    let read = text.parse::<jiff::Timestamp>().ok();
    read.and_then(|time| UnixTime::from_secs(u64::try_from(time.as_second()).ok()?).ok())
        .ok_or(MalformedAnswer::new("no time in UTC"))
}
