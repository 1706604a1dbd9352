//! The bundle of a ceremony: everything that an auditor needs years later, in one file with one form.
//!
//! It holds the plan, the approvals, both transcripts, what came from outside and what was made, and first of all a manifest of their
//! hashes. The same files give the same octets, so that two people who pack one ceremony have one hash to compare. Nothing of a bundle is
//! signed as such: what holds it are the hash of the plan and the head of the transcript, which people have on paper
//! (docs/formats/ceremony-bundle.md).

mod archive;
mod made;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use thiserror::Error;

use crate::words::Fingerprint;

pub use made::{DestroyedKey, GivenUp, Made, MadeKey, MadeSignature};

/// The form, as the first line of the manifest names it.
pub const FORMAT: &str = "sigill-ceremony-bundle/1";
/// Octets of a bundle at most.
pub const MAX_OCTETS: usize = 256 * 1024 * 1024;
/// The plan.
pub const PLAN: &str = "plan.toml";
/// The transcript of the ceremony.
pub const TRANSCRIPT: &str = "transcript.jsonl";
/// The transcript of its rehearsal.
pub const REHEARSAL: &str = "rehearsal.jsonl";
/// The folder of approvals for production, one a person: `ID.approval`.
pub const APPROVALS: &str = "approvals/";
/// The folder of what came from outside, by the plan's names of files.
pub const INPUTS: &str = "in/";
/// The folder of what was made, by the plan's names of files.
pub const OUTPUTS: &str = "out/";
/// What holds the hashes of all others.
const MANIFEST: &str = "MANIFEST";
/// How an approval's file ends.
const APPROVAL: &str = ".approval";
/// The longest name of a file in it, in octets, and the longest part of one: what an archive of this form holds.
const MAX_NAME: usize = 128;
const MAX_PART: usize = 100;

/// The files of a bundle by their names. The manifest is made from them and is none of them.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Bundle {
    files: BTreeMap<String, Vec<u8>>,
}

impl Bundle {
    /// A bundle without a file.
    #[must_use]
    pub const fn new() -> Self {
        Self { files: BTreeMap::new() }
    }

    /// Puts a file into it.
    ///
    /// # Errors
    ///
    /// [`BundleFault`] for a name that has no place in a bundle, and for one that is there.
    pub fn put(&mut self, name: &str, octets: Vec<u8>) -> Result<(), BundleFault> {
        if !has_place(name) {
            return Err(BundleFault::Name { seen: name.to_owned() });
        }
        if self.files.insert(name.to_owned(), octets).is_some() {
            return Err(BundleFault::Twice { name: name.to_owned() });
        }
        Ok(())
    }

    /// The file of an approver's approval.
    #[must_use]
    pub fn approval_of(person: &str) -> String {
        format!("{APPROVALS}{person}{APPROVAL}")
    }

    /// A file; empty where it is missing, which [`Self::from_archive`] lets no needed one be.
    #[must_use]
    pub fn file(&self, name: &str) -> &[u8] {
        self.files.get(name).map_or(&[], Vec::as_slice)
    }

    /// The files below a folder, whose name ends with `/`, by their whole names.
    pub fn below<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        self.files().filter(move |(name, _)| name.starts_with(folder))
    }

    /// All of them, in the order of their names.
    pub fn files(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, octets)| (name.as_str(), octets.as_slice()))
    }

    /// The hashes of all files, as `sha256sum --check` reads them; its first line names the form.
    #[must_use]
    pub fn manifest(&self) -> String {
        let mut text = format!("# {FORMAT}\n");
        for (name, octets) in &self.files {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}  {name}", Fingerprint::of(octets));
        }
        text
    }

    /// The one form of it in octets: an archive that `tar` unpacks.
    ///
    /// # Errors
    ///
    /// [`BundleFault::Missing`] without plan or transcripts, [`BundleFault::TooLong`].
    pub fn to_archive(&self) -> Result<Vec<u8>, BundleFault> {
        for name in [PLAN, TRANSCRIPT, REHEARSAL] {
            if !self.files.contains_key(name) {
                return Err(BundleFault::Missing { name });
            }
        }
        let manifest = self.manifest();
        let mut octets = Vec::new();
        archive::entry(&mut octets, MANIFEST, manifest.as_bytes());
        for (name, file) in &self.files {
            archive::entry(&mut octets, name, file);
        }
        archive::end(&mut octets);
        if octets.len() > MAX_OCTETS {
            return Err(BundleFault::TooLong { octets: octets.len() });
        }
        Ok(octets)
    }

    /// Reads a bundle in its one form, and in no other.
    ///
    /// # Errors
    ///
    /// [`BundleFault`] with the first file that is not what the manifest says, or the first octet that is another.
    pub fn from_archive(octets: &[u8]) -> Result<Self, BundleFault> {
        if octets.len() > MAX_OCTETS {
            return Err(BundleFault::TooLong { octets: octets.len() });
        }
        let mut entries = archive::read(octets)?.into_iter();
        let manifest = match entries.next() {
            Some((name, manifest)) if name == MANIFEST => manifest,
            _ => return Err(BundleFault::Missing { name: MANIFEST }),
        };
        let mut bundle = Self::new();
        for (name, file) in entries {
            bundle.put(&name, file.to_vec())?;
        }
        bundle.held_by(manifest)?;
        let again = bundle.to_archive()?;
        let differs = again.iter().zip(octets).position(|(one, other)| one != other);
        match differs {
            None if again.len() == octets.len() => Ok(bundle),
            found => {
                Err(BundleFault::Form { octet: found.unwrap_or(again.len().min(octets.len())) })
            }
        }
    }

    /// The files are those of a manifest, and no other.
    fn held_by(&self, manifest: &[u8]) -> Result<(), BundleFault> {
        let ours = self.manifest();
        if ours.as_bytes() == manifest {
            return Ok(());
        }
        // Which file it is helps whoever has another copy of it: one that is here and not there, or else the other way round.
        let theirs = String::from_utf8_lossy(manifest);
        let here = ours.lines().find(|line| theirs.lines().all(|other| other != *line));
        let there = theirs.lines().find(|line| ours.lines().all(|other| other != *line));
        let named = here.or(there).and_then(|line| line.split_once("  "));
        let file = named.map(|(_, name)| name.to_owned());
        Err(BundleFault::Manifest { file })
    }
}

/// Whether a bundle has a file of this name.
fn has_place(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let part = |part: &str| {
        (1..=MAX_PART).contains(&part.len()) && !part.starts_with('.') && part.chars().all(allowed)
    };
    if name.len() > MAX_NAME || !name.split('/').all(part) {
        return false;
    }
    let of_person = |rest: &str| rest.strip_suffix(APPROVAL).is_some_and(|id| !id.contains('/'));
    [PLAN, TRANSCRIPT, REHEARSAL].contains(&name)
        || [INPUTS, OUTPUTS].iter().any(|folder| name.starts_with(folder))
        || name.strip_prefix(APPROVALS).is_some_and(of_person)
}

/// Octets that are no bundle, or a file that has no place in one.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BundleFault {
    /// Not a file of a bundle.
    #[error(
        "{seen:?} has no place in a bundle: plan, transcripts and what lies in approvals, in and out have; a part of a name has \
         at most {MAX_PART} octets"
    )]
    Name {
        /// Its name.
        seen: String,
    },
    /// Two files of one name.
    #[error("{name} is there twice")]
    Twice {
        /// The name.
        name: String,
    },
    /// Without what every bundle has.
    #[error("{name} is missing")]
    Missing {
        /// The name.
        name: &'static str,
    },
    /// Too long.
    #[error("a bundle of {octets} octets; one has at most {MAX_OCTETS}")]
    TooLong {
        /// Octets.
        octets: usize,
    },
    /// It ends in the middle, or something else stands there.
    #[error("this is no archive: octet {octet} begins none of its parts")]
    NoArchive {
        /// Where, counted from 0.
        octet: usize,
    },
    /// Another file than the manifest has.
    #[error("{} is not what the manifest has", file.as_deref().unwrap_or("the manifest's form"))]
    Manifest {
        /// The first file that differs, or that is on one side alone; `None` where the manifest has another form.
        file: Option<String>,
    },
    /// The same files in another form.
    #[error("octet {octet} is another one than this archive is to have")]
    Form {
        /// Where, counted from 0.
        octet: usize,
    },
}
