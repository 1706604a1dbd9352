//! Reads a secret from a file that only its owner can reach.
//!
//! The file must be a regular one of mode 0600 or narrower in a folder of mode 0700 or narrower,
//! both owned by the user that the program runs as, neither a symbolic link. It is opened relative
//! to the folder that was checked, so that what was checked is what is read.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstat, open, openat, renameat, unlinkat};
use rustix::io::Errno;
use thiserror::Error;
use zeroize::Zeroizing;

/// The most octets of a secret file: room for any PIN or key, and no more.
pub(crate) const MAX_OCTETS: u64 = 4096;

/// Reads the file whole.
pub(crate) fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretFileError> {
    let refused = |source: io::Error| SecretFileError::Io { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| SecretFileError::NoFile { path: path.to_owned() })?;
    let folder_path = folder_of(path);
    let folder = open_folder(&folder_path)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = openat(&folder, name, flags, Mode::empty()).map_err(|error| link(path, error))?;
    check(path, &file, FileType::RegularFile)?;

    let mut octets = Zeroizing::new(Vec::with_capacity(usize::try_from(MAX_OCTETS).unwrap_or(0)));
    File::from(file).take(MAX_OCTETS).read_to_end(&mut octets).map_err(refused)?;
    if u64::try_from(octets.len()).unwrap_or(MAX_OCTETS) >= MAX_OCTETS {
        return Err(SecretFileError::TooLong { path: path.to_owned() });
    }
    Ok(octets)
}

/// Creates the file with mode 0600 and makes it durable. Refuses to replace one.
pub(crate) fn create(path: &Path, octets: &[u8]) -> Result<(), SecretFileError> {
    use std::io::Write as _;

    let refused = |source: io::Error| SecretFileError::Io { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| SecretFileError::NoFile { path: path.to_owned() })?;
    let folder = open_folder(&folder_of(path))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file =
        openat(&folder, name, flags, Mode::RUSR | Mode::WUSR).map_err(|error| link(path, error))?;
    let mut file = File::from(file);
    file.write_all(octets).and_then(|()| file.sync_all()).map_err(refused)?;
    rustix::fs::fsync(&folder).map_err(|error| refused(error.into()))
}

/// As [`create`], but after a crash the file is there whole or not at all. What an earlier crash left beside it
/// is nobody's secret and is taken away. The caller sees to it that the name is new.
pub(crate) fn create_whole(path: &Path, octets: &[u8]) -> Result<(), SecretFileError> {
    let refused = |source: io::Error| SecretFileError::Io { path: path.to_owned(), source };
    let name = path.file_name().ok_or_else(|| SecretFileError::NoFile { path: path.to_owned() })?;
    let mut hidden = OsString::from(".");
    hidden.push(name);
    hidden.push(".new");
    let folder = open_folder(&folder_of(path))?;
    match unlinkat(&folder, &hidden, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(refused(error.into())),
    }
    create(&path.with_file_name(&hidden), octets)?;
    renameat(&folder, &hidden, &folder, name).map_err(|error| refused(error.into()))?;
    rustix::fs::fsync(&folder).map_err(|error| refused(error.into()))
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn open_folder(path: &Path) -> Result<OwnedFd, SecretFileError> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = open(path, flags, Mode::empty()).map_err(|error| link(path, error))?;
    check(path, &folder, FileType::Directory)?;
    Ok(folder)
}

/// A symbolic link shows as ELOOP, or as ENOTDIR where a folder was wanted.
fn link(path: &Path, error: Errno) -> SecretFileError {
    let is_link = path.symlink_metadata().is_ok_and(|found| found.file_type().is_symlink());
    if is_link {
        SecretFileError::SymbolicLink { path: path.to_owned() }
    } else {
        SecretFileError::Io { path: path.to_owned(), source: error.into() }
    }
}

fn check(path: &Path, opened: &OwnedFd, wanted: FileType) -> Result<(), SecretFileError> {
    let stat: Stat = fstat(opened)
        .map_err(|error| SecretFileError::Io { path: path.to_owned(), source: error.into() })?;
    if FileType::from_raw_mode(stat.st_mode) != wanted {
        return Err(SecretFileError::NotRegular { path: path.to_owned() });
    }
    let owner = rustix::process::geteuid().as_raw();
    if stat.st_uid != owner {
        return Err(SecretFileError::Owner { path: path.to_owned(), found: stat.st_uid, owner });
    }
    let found = stat.st_mode & 0o7777;
    let limit = if wanted == FileType::Directory { 0o700 } else { 0o600 };
    if found & !limit != 0 {
        return Err(SecretFileError::Mode { path: path.to_owned(), found, limit });
    }
    Ok(())
}

/// Why a secret file was not read or not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SecretFileError {
    /// It names no file.
    #[error("{path:?} names no file")]
    NoFile {
        /// What was given.
        path: PathBuf,
    },
    /// It is a symbolic link.
    #[error("{path:?} is a symbolic link")]
    SymbolicLink {
        /// The link.
        path: PathBuf,
    },
    /// It is a device, a pipe or the like.
    #[error("{path:?} is not a regular file in a folder")]
    NotRegular {
        /// The path.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error("{path:?} belongs to user {found}, but this program runs as user {owner}")]
    Owner {
        /// The file or folder.
        path: PathBuf,
        /// Its owner's number.
        found: u32,
        /// The program's.
        owner: u32,
    },
    /// Others can reach it.
    #[error("{path:?} has mode {found:04o}, at most {limit:04o} is allowed")]
    Mode {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        found: u32,
        /// The widest mode allowed.
        limit: u32,
    },
    /// It is longer than any secret.
    #[error("{path:?} has 4096 octets or more")]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be read or written.
    #[error("{path:?} cannot be opened")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SecretFileError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NoFile { .. } => "secret-file-name",
            Self::SymbolicLink { .. } => "secret-file-link",
            Self::NotRegular { .. } => "secret-file-kind",
            Self::Owner { .. } => "secret-file-owner",
            Self::Mode { .. } => "secret-file-mode",
            Self::TooLong { .. } => "secret-file-length",
            Self::Io { .. } => "secret-file-io",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::NoFile { .. } | Self::Io { .. } => "correct the path or the file's permissions",
            Self::SymbolicLink { .. } => "configure the file itself, in its own folder",
            Self::NotRegular { .. } | Self::TooLong { .. } => "put the secret in a file of its own",
            Self::Owner { .. } => "give the file and its folder to the program's user",
            Self::Mode { .. } => {
                "chmod the file to 0600 and its folder to 0700, then change the \
                                  secret if others may have read it"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn folder(mode: u32) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
        folder
    }

    fn secret(folder: &Path, mode: u32) -> PathBuf {
        let path = folder.join("secret");
        fs::write(&path, b"content").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn reads_a_file_that_only_its_owner_can_reach() {
        let folder = folder(0o700);

        assert_eq!(read(&secret(folder.path(), 0o600)).unwrap().as_slice(), b"content");
        assert_eq!(read(&secret(folder.path(), 0o400)).unwrap().as_slice(), b"content");
    }

    /// KEY-02: every wider mode of the file is refused.
    #[test]
    fn refuses_a_file_that_others_can_reach_or_run() {
        let folder = folder(0o700);

        for mode in [0o601, 0o602, 0o604, 0o610, 0o620, 0o640, 0o700, 0o4600] {
            let refused = read(&secret(folder.path(), mode)).unwrap_err();
            assert!(matches!(refused, SecretFileError::Mode { found, .. } if found == mode));
        }
    }

    #[test]
    fn refuses_a_folder_that_others_can_reach() {
        for mode in [0o701, 0o710, 0o750, 0o755, 0o777] {
            let folder = folder(mode);
            let refused = read(&secret(folder.path(), 0o600)).unwrap_err();
            assert!(matches!(refused, SecretFileError::Mode { found, .. } if found == mode));
        }
    }

    #[test]
    fn refuses_symbolic_links_to_file_and_folder() {
        let real = folder(0o700);
        let path = secret(real.path(), 0o600);
        let linked_file = real.path().join("link");
        symlink(&path, &linked_file).unwrap();
        let elsewhere = folder(0o700);
        let linked_folder = elsewhere.path().join("folder");
        symlink(real.path(), &linked_folder).unwrap();

        for link in [linked_file, linked_folder.join("secret")] {
            assert!(matches!(read(&link), Err(SecretFileError::SymbolicLink { .. })), "{link:?}");
        }
    }

    #[test]
    fn refuses_a_folder_and_a_file_that_is_too_long() {
        let folder = folder(0o700);
        let long = folder.path().join("long");
        create(&long, &[b'x'; 4096]).unwrap();

        assert!(matches!(read(&long), Err(SecretFileError::TooLong { .. })));
        assert!(matches!(
            read(folder.path()),
            Err(SecretFileError::Mode { .. } | SecretFileError::NotRegular { .. })
        ));
    }

    /// KEY-02: a crash in the middle leaves no half of a key under its name.
    #[test]
    fn a_file_that_is_created_whole_takes_the_place_of_what_a_crash_left_aside() {
        let folder = folder(0o700);
        let (path, aside) = (folder.path().join("new"), folder.path().join(".new.new"));
        fs::write(&aside, b"ha").unwrap();

        create_whole(&path, b"whole").unwrap();

        assert_eq!(read(&path).unwrap().as_slice(), b"whole");
        assert!(!aside.exists());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let refused = create_whole(&folder.path().join("other"), b"whole");
        assert!(matches!(refused, Err(SecretFileError::Mode { .. })));
    }

    #[test]
    fn refuses_to_replace_a_file() {
        let folder = folder(0o700);
        let path = folder.path().join("new");

        create(&path, b"first").unwrap();

        assert!(create(&path, b"second").is_err());
        assert_eq!(read(&path).unwrap().as_slice(), b"first");
    }
}
