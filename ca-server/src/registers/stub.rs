//! A register that somebody has made up, for portals and tests: each person's answer, and every way in which a register can fail.
//!
//! What it says is always of this moment. That is why it is for environment test alone.

use std::path::PathBuf;
use std::time::Duration;

use ca::register::{Answer, Question, Record, Said};
use serde::Deserialize;
use serde_json::{Value, json};
use x509::time::UnixTime;

use super::{AskFault, Register};

/// Longer than anybody waits.
const HANGS: Duration = Duration::from_secs(60);
/// Older than any routine takes.
const OLD: Duration = Duration::from_secs(31 * 86_400);

/// A file of answers, read anew for each question.
pub(super) struct StubRegister(PathBuf);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StubFile {
    /// Whoever is not named is missing.
    #[serde(default, rename = "answer")]
    answers: Vec<StubAnswer>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StubAnswer {
    key: String,
    says: Says,
    protection: Option<String>,
    attributes: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Says {
    Ended,
    Found,
    Malformed,
    Missing,
    Stale,
    TimeOut,
    Unavailable,
    Withheld,
}

impl StubRegister {
    pub(super) const fn new(path: PathBuf) -> Self {
        Self(path)
    }

    fn read(&self) -> Result<StubFile, AskFault> {
        let why = |error: &dyn std::fmt::Display| {
            AskFault::Unavailable(format!("{}: {error}", self.0.display()))
        };
        let text = std::fs::read_to_string(&self.0).map_err(|error| why(&error))?;
        toml::from_str(&text).map_err(|error| why(&error.message()))
    }
}

impl Register for StubRegister {
    fn answer(&self, question: &Question, _: Duration, now: UnixTime) -> Result<Answer, AskFault> {
        let file = self.read()?;
        let missing = Answer { as_of: now, sha256: [0; 32], said: Said::Missing };
        let named = file.answers.into_iter().find(|one| one.key == question.key());
        let Some(StubAnswer { key, says, protection, attributes }) = named else {
            return Ok(missing);
        };
        let (word, as_of) = match says {
            Says::Missing => return Ok(missing),
            Says::Malformed => return Err(AskFault::Malformed("as the stub says".to_owned())),
            Says::Unavailable => return Err(AskFault::Unavailable("as the stub says".to_owned())),
            Says::TimeOut => {
                std::thread::sleep(HANGS);
                return Err(AskFault::Unavailable("as the stub says, at last".to_owned()));
            }
            Says::Found => ("found", now),
            Says::Stale => ("found", now.saturating_sub(OLD)),
            Says::Ended => ("ended", now),
            Says::Withheld => ("withheld", now),
        };
        let protection = protection.unwrap_or_else(|| "none".to_owned());
        let mut record = json!({ "key": key, "answer": word, "protection": protection });
        if let (Some(attributes), Some(record)) = (attributes, record.as_object_mut()) {
            record.insert("attributes".to_owned(), attributes);
        }
        let record = Record::parse(record.to_string().as_bytes())
            .map_err(|error| AskFault::Malformed(format!("{}: {error}", self.0.display())))?;
        Ok(Answer { as_of, sha256: record.sha256, said: record.said })
    }

    fn check(&self) -> Result<(), AskFault> {
        self.read().map(drop)
    }
}
