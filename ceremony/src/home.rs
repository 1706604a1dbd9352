//! Where things lie in the home of a demo deployment.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use host::durable;
pub(crate) use host::durable::folder_of;

/// The home folder.
#[derive(Clone, Debug)]
pub(crate) struct Home(PathBuf);

impl Home {
    /// Makes the home and its folders where they are missing.
    ///
    /// # Errors
    ///
    /// Names the folder that cannot be made.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let path = fs::canonicalize(path).with_context(|| path.display().to_string())?;
        let home = Self(path);
        for secret in ["pins", "keys", "tls", "tokens", "state", "ocsp"] {
            home.private(secret)?;
        }
        let book = ca::book::Book::FOLDERS.map(|below| format!("config/profiles/{below}"));
        let open = ["ceremony", "ceremony/out", "config", "config/profiles", "publish", "outbox"];
        for open in open.into_iter().chain(book.iter().map(String::as_str)) {
            let folder = home.0.join(open);
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        Ok(home)
    }

    /// Makes the folder of a ceremony, or opens it: what is in it is nobody else's.
    ///
    /// # Errors
    ///
    /// Names the folder that cannot be made, or that others may enter.
    pub(crate) fn of_ceremony(path: &Path) -> anyhow::Result<Self> {
        private_folder(path)?;
        let home = Self(fs::canonicalize(path).with_context(|| path.display().to_string())?);
        for folder in ["tokens", "state", "people", "ceremony", "ceremony/out"] {
            home.private(folder)?;
        }
        Ok(home)
    }

    /// Opens the home of an earlier ceremony, whose tokens are used.
    ///
    /// # Errors
    ///
    /// Names the folder that is not there, or is no home.
    pub(crate) fn of_earlier(path: &Path) -> anyhow::Result<Self> {
        let home = Self(fs::canonicalize(path).with_context(|| path.display().to_string())?);
        for folder in ["tokens", "pins", "state"] {
            let folder = home.join(folder);
            ensure!(
                folder.is_dir(),
                "{} is missing: name the home of the ceremony that made the tokens",
                folder.display()
            );
        }
        Ok(home)
    }

    /// Makes a folder that only its owner may enter, where it is missing.
    ///
    /// # Errors
    ///
    /// Names the folder that cannot be made, or that others may enter.
    pub(crate) fn private(&self, folder: &str) -> anyhow::Result<()> {
        private_folder(&self.0.join(folder))
    }

    pub(crate) fn root(&self) -> &Path {
        &self.0
    }

    pub(crate) fn join(&self, path: &str) -> PathBuf {
        self.0.join(path)
    }

    /// A file among the ceremony's outputs.
    pub(crate) fn out(&self, name: &str) -> PathBuf {
        self.0.join("ceremony/out").join(name)
    }

    /// SoftHSM's configuration; its token folder is the home's.
    ///
    /// # Errors
    ///
    /// The file system's own.
    pub(crate) fn softhsm_configuration(&self) -> anyhow::Result<PathBuf> {
        let path = self.join("softhsm2.conf");
        let text = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
            self.join("tokens").display()
        );
        if fs::read_to_string(&path).ok().as_deref() != Some(text.as_str()) {
            replace(&path, text.as_bytes())?;
        }
        Ok(path)
    }
}

/// Makes a folder that only its owner may enter, or finds it so.
///
/// # Errors
///
/// Names the folder that cannot be made, or that others may enter.
pub(crate) fn private_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("cannot make {}", path.display())),
    }
    let mode = fs::metadata(path)?.permissions().mode() & 0o7777;
    ensure!(
        mode == 0o700,
        "folder {} has mode {mode:04o}; only its owner may have access (0700)",
        path.display()
    );
    Ok(())
}

/// Replaces `path` whole, flushed to the disk.
///
/// # Errors
///
/// The file system's own, with the path.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    durable::replace(path, bytes).with_context(|| cannot_write(path))
}

/// Replaces `path` whole; only its owner may read it.
///
/// # Errors
///
/// The file system's own, with the path.
pub(crate) fn replace_secret(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    durable::replace_secret(path, bytes).with_context(|| cannot_write(path))
}

/// Tries whether `path` could be replaced, for whoever has long work before him. Leaves it as it is.
///
/// # Errors
///
/// The file system's own, with the path; it is a folder.
pub(crate) fn try_replacing(path: &Path) -> anyhow::Result<()> {
    ensure!(!path.is_dir(), "cannot write {}: it is a folder", path.display());
    let named = || cannot_write(path);
    let temporary = path.with_extension("trial");
    OpenOptions::new().write(true).create_new(true).open(&temporary).with_context(named)?;
    fs::remove_file(&temporary).with_context(named)
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trying_to_replace_a_file_leaves_it_and_refuses_what_takes_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("device.json");
        fs::write(&file, "before").unwrap();

        try_replacing(&file).unwrap();

        assert_eq!(fs::read_to_string(&file).unwrap(), "before");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(try_replacing(folder.path()).unwrap_err().to_string().ends_with("is a folder"));
        let nowhere = folder.path().join("none/device.json");
        assert!(try_replacing(&nowhere).unwrap_err().to_string().contains("none/device.json"));
    }
}
