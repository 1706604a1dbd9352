//! Configurations and profiles are the operator's once they are written: a demo writes what is
//! missing, keeps what differs, and says so.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Context as _;
use ca::book::Book;
use ca::profile::{Profile, ProfileSet};

use crate::home::{Home, replace};

/// The profiles that a demo has shipped so far, one name a line.
const WRITTEN: &str = "ceremony/profiles-shipped";

/// What becomes of a file that is there and says something else than a demo would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Existing {
    /// It stays.
    Keep,
    /// It is written anew (`--rewrite-config`).
    Rewrite,
}

/// Writes files of the operator and remembers what to say about them.
pub(crate) struct Keeper<'a> {
    home: &'a Home,
    existing: Existing,
    said: Vec<String>,
}

impl<'a> Keeper<'a> {
    pub(crate) const fn new(home: &'a Home, existing: Existing) -> Self {
        Self { home, existing, said: Vec::new() }
    }

    /// One line for each file that was kept or written anew.
    pub(crate) fn said(self) -> Vec<String> {
        self.said
    }

    /// Writes `bytes` to a file below the home, unless it is there with another content.
    ///
    /// # Errors
    ///
    /// The file system's own, with the path.
    pub(crate) fn write(&mut self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let file = self.home.join(path);
        match std::fs::read(&file) {
            Ok(found) if found == bytes => return Ok(()),
            Ok(_) if self.existing == Existing::Keep => {
                self.said.push(format!(
                    "kept {path}, which differs from what a demo would write (--rewrite-config \
                     writes it anew)"
                ));
                return Ok(());
            }
            Ok(_) => self.said.push(format!("{path} was written anew")),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| file.display().to_string()),
        }
        replace(&file, bytes)
    }

    /// Writes a file that says nothing of the operator's own, where it is missing.
    ///
    /// # Errors
    ///
    /// The file system's own, with the path.
    pub(crate) fn write_missing(&self, path: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let file = self.home.join(path);
        if file.exists() && self.existing == Existing::Keep {
            return Ok(());
        }
        replace(&file, bytes)
    }

    /// Copies the profiles of `from`. One that was written before and is not there any more was taken
    /// away and stays away; one that was never written is new.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read or written.
    pub(crate) fn copy_profiles(&mut self, from: &Path) -> anyhow::Result<()> {
        let configured = self.home.join("config/ca.toml").exists();
        let mut written = self.profiles_written()?;
        let shipped = book_files(from)?;
        for (name, file) in &shipped {
            let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
            let path = format!("config/profiles/{name}");
            let there = self.home.join(&path).exists();
            let of_profile = !name.contains('/');
            // What an older version did not have was not taken away.
            let unnoted = configured && of_profile;
            let before = written.as_ref().map_or(unnoted, |written| written.contains(name));
            let taken_away = before && !there;
            if configured && !before {
                let told = if of_profile { "; no client may order it yet" } else { "" };
                self.said.push(format!("{path} is new in this version{told}"));
            }
            if taken_away && self.existing == Existing::Keep {
                self.said.push(format!(
                    "{path} was taken away and stays away (--rewrite-config writes it anew)"
                ));
                continue;
            }
            self.write(&path, &bytes)?;
        }
        // What is there and what stays away: of neither may it be said next time that it is new.
        written.get_or_insert_default().extend(shipped.into_iter().map(|(name, _)| name));
        let lines: String = written.iter().flatten().map(|name| format!("{name}\n")).collect();
        replace(&self.home.join(WRITTEN), lines.as_bytes())
    }

    /// Names of the profiles that an earlier run shipped; `None` where none has noted them.
    fn profiles_written(&self) -> anyhow::Result<Option<BTreeSet<String>>> {
        let file = self.home.join(WRITTEN);
        match std::fs::read_to_string(&file) {
            Ok(text) => Ok(Some(text.lines().map(str::to_owned).collect())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| file.display().to_string()),
        }
    }
}

/// The profiles that lie in the home.
///
/// # Errors
///
/// Names the file that is refused.
pub(crate) fn profiles(home: &Home) -> anyhow::Result<ProfileSet> {
    let mut profiles = Vec::new();
    for file in profile_files(&home.join("config/profiles"))? {
        let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
        profiles.push(Profile::parse(&bytes).with_context(|| file.display().to_string())?);
    }
    Ok(ProfileSet::new(profiles)?)
}

/// The files of the book: names below the folder, with `/` between their parts, and where they lie.
fn book_files(folder: &Path) -> anyhow::Result<Vec<(String, std::path::PathBuf)>> {
    let mut files = Vec::new();
    let below = Book::FOLDERS.into_iter().filter(|below| folder.join(below).exists());
    for below in std::iter::once("").chain(below) {
        for file in profile_files(&folder.join(below))? {
            let name = file.file_name().and_then(|name| name.to_str());
            let name = name.context("profile without a name")?;
            let name = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            files.push((name, file));
        }
    }
    Ok(files)
}

fn profile_files(folder: &Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let entries = std::fs::read_dir(folder)
        .with_context(|| format!("cannot read profiles from {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
