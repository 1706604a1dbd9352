//! Presence: a person in the room answers a challenge with a key that the plan has for him.
//!
//! The challenge is where the transcript stands, in the step that is being done, with a number that this run of the program has
//! drawn. So an answer holds in one place of one transcript: it cannot be given before the day, for another ceremony, or kept for
//! somebody who has left. Whose key it was says the plan; what counts are people, not keys.

use std::collections::BTreeMap;

use thiserror::Error;
use x509::key::KeyType;
use x509::statement::{SignedStatement, Statement, StatementError};

use crate::plan::{Person, Plan, Role, Word};
use crate::words::Fingerprint;

/// The kind of statement.
const KIND: &str = "presence";
/// Lower-case hexadecimal digits of the number that each run draws, 16 octets.
pub const NONCE_DIGITS: usize = 32;

/// What people in the room are asked.
#[derive(Clone, Copy, Debug)]
pub struct Challenge<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// `rehearsal` or `production`.
    pub purpose: &'a str,
    /// What this run has drawn.
    pub nonce: &'a str,
    /// The step that is being done.
    pub step: &'a str,
    /// Lines of the transcript so far.
    pub lines: u64,
    /// The head over them.
    pub head: Fingerprint,
}

impl Challenge<'_> {
    fn fields(&self) -> [(&'static str, String); 7] {
        [
            ("deployment", self.plan.deployment.to_string()),
            ("plan", self.plan.hash.to_string()),
            ("purpose", self.purpose.to_owned()),
            ("step", self.step.to_owned()),
            ("lines", self.lines.to_string()),
            ("head", self.head.to_string()),
            ("nonce", self.nonce.to_owned()),
        ]
    }

    /// What `person` signs to show that he is there.
    ///
    /// # Errors
    ///
    /// [`PresenceFault::NotInTheRoom`] for somebody who has no duty there.
    pub fn statement(&self, person: &str) -> Result<Statement, PresenceFault> {
        let person = in_the_room(self.plan, person)
            .ok_or_else(|| PresenceFault::NotInTheRoom { person: person.to_owned() })?;
        let mut fields = self.fields().to_vec();
        fields.extend([("person", person.id.to_string()), ("name", person.name.to_string())]);
        let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Statement::new(KIND, &fields).map_err(PresenceFault::Statement)
    }

    /// The person who is there by this answer. `stand_ins` are keys that stand for people's own in a rehearsal.
    ///
    /// # Errors
    ///
    /// [`PresenceFault`]: why it shows nobody's presence.
    pub fn judge<'a>(
        &'a self,
        answer: &SignedStatement,
        stand_ins: &BTreeMap<&Word, Fingerprint>,
    ) -> Result<&'a Person, PresenceFault> {
        let said = answer.statement();
        if said.kind() != KIND {
            return Err(PresenceFault::Kind { seen: said.kind().to_owned() });
        }
        let given: BTreeMap<&str, &str> = said.fields().collect();
        let of = |name: &str| given.get(name).copied().unwrap_or_default();
        let person = in_the_room(self.plan, of("person"))
            .ok_or_else(|| PresenceFault::NotInTheRoom { person: of("person").to_owned() })?;
        let key = Fingerprint::from_bytes(*answer.key().spki_hash().as_bytes());
        let is_his = match stand_ins.get(&person.id) {
            Some(stand_in) => *stand_in == key,
            None => person.keys.contains(&key),
        };
        if !is_his {
            return Err(PresenceFault::Key { person: person.id.clone(), key });
        }
        if matches!(answer.key().key_type(), KeyType::Rsa { .. }) {
            return Err(PresenceFault::KeyType { person: person.id.clone() });
        }
        let name = ("name", person.name.to_string());
        for (field, wanted) in self.fields().into_iter().chain([name]) {
            if of(field) != wanted {
                let (person, seen) = (person.id.clone(), of(field).to_owned());
                return Err(PresenceFault::Other { person, field, seen, wanted });
            }
        }
        Ok(person)
    }
}

/// The person of this id, if he has a duty in the room. Approvers did theirs before the day.
fn in_the_room<'a>(plan: &'a Plan, id: &str) -> Option<&'a Person> {
    let person = plan.people.persons.iter().find(|person| person.id.as_str() == id)?;
    let mut duties = plan.people.duties.iter();
    duties.any(|duty| duty.person == person.id && duty.role != Role::Approver).then_some(person)
}

/// Why an answer shows nobody's presence.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum PresenceFault {
    /// Another statement.
    #[error("a statement of kind {seen:?} shows nobody's presence")]
    Kind {
        /// Its kind.
        seen: String,
    },
    /// Somebody else.
    #[error("{person:?} has no duty in the room by this plan")]
    NotInTheRoom {
        /// Who answers.
        person: String,
    },
    /// Not a key of his.
    #[error("{person}: key {key} is not among the plan's keys of this person")]
    Key {
        /// Who it is said to be.
        person: Word,
        /// The key that signed.
        key: Fingerprint,
    },
    /// A key whose signatures no second library verifies for the auditor.
    #[error(
        "{person}: answers with an RSA key; the auditor's program verifies Ed25519 and ECDSA on P-256 and P-384"
    )]
    KeyType {
        /// Who.
        person: Word,
    },
    /// An answer to something else.
    #[error("{person}: answers for {field} {seen}, not {wanted}")]
    Other {
        /// Who.
        person: Word,
        /// What differs.
        field: &'static str,
        /// What was answered for.
        seen: String,
        /// What was asked.
        wanted: String,
    },
    /// The statement cannot be made or read.
    #[error(transparent)]
    Statement(StatementError),
}
