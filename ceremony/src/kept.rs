//! Configurations and profiles are the operator's once they are written: bootstrap writes what is
//! missing, keeps what differs, and says so.

use std::path::Path;

use anyhow::Context as _;
use ca::profile::{Profile, ProfileSet};

use crate::home::{Home, replace};

/// What becomes of a file that is there and says something else than bootstrap would.
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
                    "kept {path}, which differs from what bootstrap would write (--rewrite-config \
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

    /// Copies the profiles of `from`. One that was taken away from a home that has its
    /// configuration stays away.
    ///
    /// # Errors
    ///
    /// Names the file that cannot be read or written.
    pub(crate) fn copy_profiles(&mut self, from: &Path) -> anyhow::Result<()> {
        let configured = self.home.join("config/ca.toml").exists();
        for file in profile_files(from)? {
            let bytes = std::fs::read(&file).with_context(|| file.display().to_string())?;
            let name = file.file_name().and_then(|name| name.to_str());
            let path = format!("config/profiles/{}", name.context("profile without a name")?);
            let taken_away = configured && !self.home.join(&path).exists();
            if taken_away && self.existing == Existing::Keep {
                self.said.push(format!(
                    "{path} was taken away and stays away (--rewrite-config writes it anew)"
                ));
                continue;
            }
            self.write(&path, &bytes)?;
        }
        Ok(())
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
