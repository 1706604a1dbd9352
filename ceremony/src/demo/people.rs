//! The participants of a demo's ceremonies: generated, with software keys that answer and approve in the place of people.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use hsm::statement::SoftwarePersonKey;
use x509::statement::{SignedStatement, Statement};

use crate::home::private_folder;

/// Shares of each PIN, and how many of them open a token.
pub(super) const SHARES: u8 = 5;
/// How many custodians come for each step that uses a key.
pub(super) const CUSTODIANS: u8 = 3;
/// Those who sign each plan; the quorum is all of them.
pub(super) const APPROVERS: [&str; 2] = ["approver-1", "approver-2"];
/// Who has one duty that nobody shares, but for the auditor, whom another employs.
const ALONE: [&str; 5] = ["administrator", "operator", "witness", "security-officer", AUDITOR];
const AUDITOR: &str = "auditor";

/// Everybody, with the keys that the plans name.
pub(super) struct People {
    folder: PathBuf,
    /// As the plans call them, with the hashes of their keys.
    persons: Vec<(String, String)>,
}

impl People {
    /// Makes the keys that are missing, each in a file of this folder.
    ///
    /// # Errors
    ///
    /// A key's file.
    pub(super) fn in_folder(folder: &Path) -> anyhow::Result<Self> {
        private_folder(folder)?;
        let shared = (1..=SHARES)
            .flat_map(|share| [format!("custodian-{share}"), format!("so-custodian-{share}")]);
        let alone = ALONE.into_iter().chain(APPROVERS).map(str::to_owned);
        let mut persons = Vec::new();
        for person in alone.chain(shared) {
            let path = folder.join(format!("{person}.key"));
            let key = match path.exists() {
                true => SoftwarePersonKey::open(&path)?,
                false => SoftwarePersonKey::create(&path)?,
            };
            let hash = key.key().spki_hash().to_string();
            persons.push((person, hash));
        }
        Ok(Self { folder: folder.to_owned(), persons })
    }

    /// Where the keys lie.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// How many they are.
    pub(super) const fn count(&self) -> usize {
        self.persons.len()
    }

    /// What a person signs.
    ///
    /// # Errors
    ///
    /// The key's file; a statement that is too long.
    pub(super) fn sign(
        &self,
        person: &str,
        statement: &Statement,
    ) -> anyhow::Result<SignedStatement> {
        let path = self.folder.join(format!("{person}.key"));
        let key = SoftwarePersonKey::open(&path).with_context(|| path.display().to_string())?;
        Ok(key.statement(statement)?)
    }

    /// Quorum, people and duties, as plans say them.
    pub(super) fn to_toml(&self) -> String {
        let approvers = APPROVERS.len();
        let mut text = format!(
            "[quorum]\n\
             approvers     = {{ m = {approvers}, n = {approvers} }}\n\
             custodians    = {{ m = {CUSTODIANS}, n = {SHARES} }}\n\
             so-custodians = {{ m = {CUSTODIANS}, n = {SHARES} }}\n"
        );
        for (number, (person, hash)) in self.persons.iter().enumerate() {
            let employer = if person == AUDITOR { "Sigill Demo Auditors" } else { "Sigill Demo" };
            let _ = write!(
                text,
                "\n[[person]]\nid       = \"{person}\"\nname     = \"Demo {}\"\nemployer = \"{employer}\"\nunit     = \"Unit {number}\"\nkeys     = [\"{hash}\"]\n",
                person.replace('-', " ")
            );
        }
        for (person, _) in &self.persons {
            let share = person.rsplit_once('-').filter(|(role, _)| role.ends_with("custodian"));
            let (role, kept) = match (share, APPROVERS.contains(&person.as_str())) {
                (Some((role, share)), _) => {
                    (role, format!("share  = {share}\nsite   = \"Site {share}\"\n"))
                }
                (None, true) => ("approver", String::new()),
                (None, false) => (person.as_str(), String::new()),
            };
            let _ = write!(text, "\n[[duty]]\nrole   = \"{role}\"\nperson = \"{person}\"\n{kept}");
        }
        text
    }
}
