//! What stands in for people at a rehearsal: a throw-away key for each, which answers whenever it is asked.

use std::collections::BTreeMap;

use anyhow::Context as _;
use ceremony_core::plan::{Person, Plan, Role, Word};
use hsm::statement::SoftwarePersonKey;
use x509::statement::{SignedStatement, Statement};

use crate::home::Home;

/// The throw-away keys of everybody who has a duty in the room.
pub(crate) struct StandIns<'a> {
    keys: BTreeMap<&'a Word, SoftwarePersonKey>,
}

impl<'a> StandIns<'a> {
    /// Makes a key for each person.
    ///
    /// # Errors
    ///
    /// A key's file.
    pub(crate) fn make(plan: &'a Plan, home: &Home) -> anyhow::Result<Self> {
        let mut keys = BTreeMap::new();
        for duty in plan.people.duties.iter().filter(|duty| duty.role != Role::Approver) {
            if keys.contains_key(&duty.person) {
                continue;
            }
            let path = home.join(&format!("people/{}.key", duty.person));
            keys.insert(&duty.person, SoftwarePersonKey::create(&path)?);
        }
        Ok(Self { keys })
    }

    /// Each person with the hash of the key that stands in.
    pub(crate) fn hashes(&self) -> impl Iterator<Item = (&'a Word, String)> {
        self.keys.iter().map(|(person, key)| (*person, key.key().spki_hash().to_string()))
    }

    /// What the person answers.
    ///
    /// # Errors
    ///
    /// Nobody stands in for this person, or the statement is too long.
    pub(crate) fn answer(
        &self,
        person: &Person,
        statement: &Statement,
    ) -> anyhow::Result<SignedStatement> {
        let key = self.keys.get(&person.id);
        let key = key.with_context(|| format!("nobody stands in for {}", person.id))?;
        Ok(key.statement(statement)?)
    }
}
