//! Configurations that two persons activate: what one is, in one hash, and whose signatures make it the one that holds (CER-10, ISS-22, PRO-19).
//!
//! A [`Manifest`] has one line for each part of what a program runs with: each section of its configuration, each client, each file that the
//! configuration names, the table of roles. Its hash is what persons sign. Who may sign for the next one stands in the one that holds, so that
//! nobody makes himself a signer by writing into a file; the first one names its own. How a deployment comes to that is written in
//! docs/operations/configuration.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use x509::key::SpkiHash;
use x509::statement::{SignedStatement, Statement, StatementError};
use x509::time::UnixTime;

use crate::actor::statement::hexadecimal;

/// The first line of a manifest.
const HEADER: &str = "sigill configuration/1";
/// The kind of statement.
const KIND: &str = "configuration-activation";
/// What stands for the configuration before the first one.
pub const NONE: &str = "none";
/// The oldest statement that counts: a forgotten one does not come back.
pub const LONGEST: Duration = Duration::from_secs(7 * 86_400);
/// How far the signer's clock may be ahead.
const AHEAD: Duration = Duration::from_secs(300);

/// SHA-256 of a manifest.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConfigurationHash([u8; 32]);

impl ConfigurationHash {
    /// Takes the 32 octets.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 octets.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for ConfigurationHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hexadecimal(&self.0))
    }
}

impl fmt::Debug for ConfigurationHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The parts of what a program runs with, each under its name with its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest(BTreeMap<String, String>);

impl Manifest {
    /// Adds a part.
    ///
    /// # Errors
    ///
    /// [`PartFault`]: a name with other characters than visible ASCII, or one that is there.
    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<(), PartFault> {
        let fits = !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic());
        let digest: [u8; 32] = Sha256::digest(content).into();
        if !fits || self.0.insert(name.to_owned(), hexadecimal(&digest)).is_some() {
            return Err(PartFault { name: name.to_owned() });
        }
        Ok(())
    }

    /// The text that is hashed: a line for each part, in the order of their names.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("{HEADER}\n");
        for (name, digest) in &self.0 {
            text.push_str(&format!("{name} {digest}\n"));
        }
        text
    }

    /// Reads a text back; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = BTreeMap::new();
        for line in text.strip_prefix(HEADER)?.strip_prefix('\n')?.lines() {
            let (name, digest) = line.split_once(' ')?;
            parts.insert(name.to_owned(), digest.to_owned());
        }
        let read = Self(parts);
        (read.text() == text).then_some(read)
    }

    /// The hash.
    #[must_use]
    pub fn hash(&self) -> ConfigurationHash {
        ConfigurationHash(Sha256::digest(self.text()).into())
    }

    /// Whether a part is in `other` as it is here.
    #[must_use]
    pub fn shares(&self, name: &str, other: &Self) -> bool {
        self.0.get(name).is_some_and(|digest| other.0.get(name) == Some(digest))
    }

    /// What has changed from `before` to this one, by the names of the parts.
    #[must_use]
    pub fn since(&self, before: &Self) -> Changes {
        let (mut added, mut changed) = (Vec::new(), Vec::new());
        for (name, digest) in &self.0 {
            match before.0.get(name) {
                None => added.push(name.clone()),
                Some(known) if known != digest => changed.push(name.clone()),
                Some(_) => {}
            }
        }
        let removed = before.0.keys().filter(|name| !self.0.contains_key(*name));
        Changes { added, changed, removed: removed.cloned().collect() }
    }
}

/// A part that cannot be named.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{name:?} is the name of two parts, or of none: a name is visible ASCII")]
pub struct PartFault {
    /// The name.
    pub name: String,
}

/// Names of parts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Changes {
    /// Only there now.
    pub added: Vec<String>,
    /// There, and another.
    pub changed: Vec<String>,
    /// Only there before.
    pub removed: Vec<String>,
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)];
        let some = all.iter().filter(|(_, names)| !names.is_empty());
        let told: Vec<_> =
            some.map(|(word, names)| format!("{word}: {}", names.join(", "))).collect();
        f.write_str(if told.is_empty() { "nothing" } else { "" })?;
        f.write_str(&told.join("; "))
    }
}

/// In which role somebody activates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationRole {
    /// Answers for security; one of the two always is.
    SecurityOfficer,
    /// Keeps the CA running; the other one is.
    SystemAdministrator,
}

impl ActivationRole {
    /// Both are needed.
    pub const ALL: [Self; 2] = [Self::SecurityOfficer, Self::SystemAdministrator];

    /// Its word, that of the table of roles.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SecurityOfficer => "security-officer",
            Self::SystemAdministrator => "system-administrator",
        }
    }
}

/// Somebody who may activate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ActivationPerson {
    /// An opaque id.
    pub id: String,
    /// His role.
    pub role: ActivationRole,
    /// SHA-256 of the SubjectPublicKeyInfo of each of his keys, hexadecimal.
    pub keys: Vec<String>,
}

/// Those who may activate the next configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActivationRegister(Vec<ActivationPerson>);

impl ActivationRegister {
    /// Takes persons: somebody in each role, each once, no key twice.
    ///
    /// # Errors
    ///
    /// [`RegisterFault`].
    pub fn new(persons: Vec<ActivationPerson>) -> Result<Self, RegisterFault> {
        let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for person in &persons {
            let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            let id = &person.id;
            if id.is_empty() || id.len() > 64 || !id.chars().all(is_word) || !ids.insert(id) {
                return Err(RegisterFault::Id { id: id.clone() });
            }
            let fits =
                |key: &String| key.parse::<SpkiHash>().is_ok_and(|one| one.to_string() == *key);
            if person.keys.is_empty()
                || !person.keys.iter().all(|key| fits(key) && keys.insert(key))
            {
                return Err(RegisterFault::Key { id: id.clone() });
            }
        }
        for role in ActivationRole::ALL {
            if !persons.iter().any(|person| person.role == role) {
                return Err(RegisterFault::Role { role: role.name() });
            }
        }
        Ok(Self(persons))
    }

    /// The text that is kept with the configuration.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads it back; `None` if it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::new(serde_json::from_str::<Self>(text).ok()?.0).ok()
    }

    fn person(&self, id: &str) -> Option<&ActivationPerson> {
        self.0.iter().find(|person| person.id == id)
    }
}

/// Why persons are no register.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RegisterFault {
    /// An id.
    #[error("person {id:?}: an id is 1 to 64 characters a-z0-9-, and one person's")]
    Id {
        /// Which.
        id: String,
    },
    /// A key.
    #[error(
        "person {id:?} has no key, or one that is none (64 lower-case hexadecimal digits) or another one's"
    )]
    Key {
        /// Whose.
        id: String,
    },
    /// Nobody in a role.
    #[error("nobody is {role}")]
    Role {
        /// Which.
        role: &'static str,
    },
}

/// What is activated, where, and after what.
#[derive(Clone, Copy, Debug)]
pub struct Activation<'a> {
    /// The deployment, as `environment/pki/instance`.
    pub deployment: &'a str,
    /// The configuration.
    pub configuration: ConfigurationHash,
    /// The one that holds until now; `None`: it is the first.
    pub after: Option<ConfigurationHash>,
}

impl Activation<'_> {
    fn fields(&self) -> [(&'static str, String); 3] {
        [
            ("deployment", self.deployment.to_owned()),
            ("configuration", self.configuration.to_string()),
            ("after", self.after.map_or_else(|| NONE.to_owned(), |hash| hash.to_string())),
        ]
    }

    /// What a person signs.
    ///
    /// # Errors
    ///
    /// [`StatementError`] for an id that stands on no line.
    pub fn statement(&self, person: &str, time: UnixTime) -> Result<Statement, StatementError> {
        let mut fields = self.fields().to_vec();
        fields.push(("person", person.to_owned()));
        fields.push(("time", time.to_string()));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Statement::new(KIND, &fields)
    }

    /// Holds statements against it: a security officer and a system administrator, two persons of the register, who have signed for this very
    /// step lately. Their ids, in the order of their roles.
    ///
    /// # Errors
    ///
    /// [`NotActivated`]: the first that does not count, or who is missing.
    pub fn judge(
        &self,
        register: &ActivationRegister,
        statements: &[SignedStatement],
        now: UnixTime,
    ) -> Result<Vec<String>, NotActivated> {
        let mut by_role: BTreeMap<ActivationRole, String> = BTreeMap::new();
        for signed in statements {
            let person = self.judge_one(register, signed, now)?;
            if by_role.insert(person.role, person.id.clone()).is_some() {
                return Err(NotActivated::Again { role: person.role.name() });
            }
        }
        for role in ActivationRole::ALL {
            if !by_role.contains_key(&role) {
                return Err(NotActivated::Missing { role: role.name() });
            }
        }
        Ok(by_role.into_values().collect())
    }

    fn judge_one<'r>(
        &self,
        register: &'r ActivationRegister,
        signed: &SignedStatement,
        now: UnixTime,
    ) -> Result<&'r ActivationPerson, NotActivated> {
        let said = signed.statement();
        let fields: BTreeMap<&str, &str> = said.fields().collect();
        let of = |name: &str| fields.get(name).copied().unwrap_or_default();
        if said.kind() != KIND {
            return Err(NotActivated::Kind { seen: said.kind().to_owned() });
        }
        let person = register.person(of("person"));
        let person =
            person.ok_or_else(|| NotActivated::Nobody { seen: of("person").to_owned() })?;
        let key = signed.key().spki_hash().to_string();
        if !person.keys.contains(&key) {
            return Err(NotActivated::Key { person: person.id.clone(), key });
        }
        for (field, wanted) in self.fields() {
            let seen = of(field);
            if seen != wanted {
                let (person, seen) = (person.id.clone(), seen.to_owned());
                return Err(NotActivated::Other { person, field, seen, wanted });
            }
        }
        let time: Option<UnixTime> = time_of(of("time"));
        let lately = |at: &UnixTime| at.since(now) <= AHEAD && now.since(*at) <= LONGEST;
        if time.as_ref().is_none_or(|at| !lately(at)) {
            return Err(NotActivated::Time {
                person: person.id.clone(),
                seen: of("time").to_owned(),
            });
        }
        Ok(person)
    }
}

fn time_of(text: &str) -> Option<UnixTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    UnixTime::from_secs(u64::try_from(time.as_second()).ok()?).ok()
}

/// Why statements do not activate a configuration.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum NotActivated {
    /// A statement of another kind.
    #[error("a statement is of kind {seen}")]
    Kind {
        /// Its kind.
        seen: String,
    },
    /// Somebody who may not.
    #[error("{seen:?} is not one of those who may activate the next configuration")]
    Nobody {
        /// Who.
        seen: String,
    },
    /// Another key than the person's.
    #[error("person {person} signed with key {key}, which is none of that person's")]
    Key {
        /// Who.
        person: String,
        /// With what.
        key: String,
    },
    /// Something else than what is activated.
    #[error("person {person} signed for {field} {seen}, not for {wanted}")]
    Other {
        /// Who.
        person: String,
        /// What differs.
        field: &'static str,
        /// What was signed.
        seen: String,
        /// What is activated.
        wanted: String,
    },
    /// Too old, or not yet.
    #[error("person {person} signed at {seen}; a statement counts for seven days")]
    Time {
        /// Who.
        person: String,
        /// When.
        seen: String,
    },
    /// Two in one role.
    #[error("two statements are those of a {role}; one of each role is wanted")]
    Again {
        /// Which.
        role: &'static str,
    },
    /// Nobody in a role.
    #[error("no {role} has signed")]
    Missing {
        /// Which.
        role: &'static str,
    },
}

#[cfg(test)]
mod tests;
