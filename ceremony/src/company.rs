//! The keys with which people answer at a ceremony that nobody sits at: throw-away ones at a rehearsal, else their own, each in a file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use ceremony_core::plan::{Person, Plan, Requirement, Role, Word};
use hsm::statement::SoftwarePersonKey;
use x509::statement::{SignedStatement, Statement};

use crate::home::Home;

/// Those who can answer.
pub(crate) struct Company<'a> {
    plan: &'a Plan,
    keys: BTreeMap<&'a Word, SoftwarePersonKey>,
    whose: Whose,
}

/// Whose keys they are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// People's own, which the plan has.
    Own,
    /// Throw-away ones, in a rehearsal.
    StandIns,
}

impl<'a> Company<'a> {
    /// Makes a throw-away key for each person who has a duty in the room.
    ///
    /// # Errors
    ///
    /// A key's file.
    pub(crate) fn stand_ins(plan: &'a Plan, home: &Home) -> anyhow::Result<Self> {
        let mut keys = BTreeMap::new();
        for person in in_the_room(plan) {
            if !keys.contains_key(person) {
                let path = home.join(&format!("people/{person}.key"));
                keys.insert(person, SoftwarePersonKey::create(&path)?);
            }
        }
        Ok(Self { plan, keys, whose: Whose::StandIns })
    }

    /// Opens the key of each person of whom the folder has one, `ID.key`. Who has none there is absent.
    ///
    /// # Errors
    ///
    /// A key's file that is there.
    pub(crate) fn of_folder(plan: &'a Plan, folder: &Path) -> anyhow::Result<Self> {
        let mut keys = BTreeMap::new();
        for person in in_the_room(plan) {
            let path = folder.join(format!("{person}.key"));
            if path.exists() {
                keys.insert(person, SoftwarePersonKey::open(&path)?);
            }
        }
        Ok(Self { plan, keys, whose: Whose::Own })
    }

    /// Each person for whom a throw-away key stands in, with its hash.
    pub(crate) fn stand_in_hashes(&self) -> Vec<(&'a Word, String)> {
        let keys = self.keys.iter().filter(|_| self.whose == Whose::StandIns);
        keys.map(|(person, key)| (*person, key.key().spki_hash().to_string())).collect()
    }

    /// Who comes for a role: those who have it, and where they are too few, deputies.
    pub(crate) fn for_role(&self, Requirement { role, people }: Requirement) -> Vec<&'a Word> {
        let comes = |person: &&'a Word| self.keys.contains_key(*person);
        let mut coming: Vec<&Word> = self.plan.people.of(role).into_iter().filter(comes).collect();
        let duties = self.plan.people.duties.iter();
        let deputies = duties.filter(|duty| duty.role == role && duty.deputy_for.is_some());
        for deputy in deputies.map(|duty| &duty.person).filter(comes) {
            if coming.len() < usize::from(people) && !coming.contains(&deputy) {
                coming.push(deputy);
            }
        }
        coming
    }

    /// What the person answers.
    ///
    /// # Errors
    ///
    /// The person is absent, or the statement too long.
    pub(crate) fn answer(
        &self,
        person: &Person,
        statement: &Statement,
    ) -> anyhow::Result<SignedStatement> {
        let key = self.keys.get(&person.id);
        let key = key.with_context(|| format!("{} is not there", person.id))?;
        Ok(key.statement(statement)?)
    }
}

fn in_the_room(plan: &Plan) -> impl Iterator<Item = &Word> {
    let duties = plan.people.duties.iter().filter(|duty| duty.role != Role::Approver);
    duties.map(|duty| &duty.person)
}
