//! Files that survive a crash: written aside, flushed to the disk, renamed, their folder flushed.

use std::fs::{self, File, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use tempfile::Builder;

/// What a new file may be read and written by, before the process's mask takes away.
const MODE: u32 = 0o666;
/// What only its owner may read and write.
const SECRET: u32 = 0o600;

/// Replaces `path` by `bytes`: after a crash there is the old content or the new, never a part.
///
/// # Errors
///
/// The file system's own; the old content stands then.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put(path, bytes)?;
    flush(folder_of(path))
}

/// As [`replace`]; only its owner may read it, whatever stood there before.
///
/// # Errors
///
/// The file system's own; the old content stands then.
pub fn replace_secret(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put_as(path, bytes, SECRET)?;
    flush(folder_of(path))
}

/// As [`replace`], but that it is this file may be forgotten by a crash until its folder has been [`flush`]ed.
///
/// # Errors
///
/// The file system's own; the old content stands then.
pub fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    put_as(path, bytes, MODE)
}

fn put_as(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    // Where it is dropped before its end, as on a full disk, nothing of it stays and fills the disk further.
    let mut aside = Builder::new()
        .prefix(".")
        .suffix(".new")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder_of(path))?;
    aside.write_all(bytes)?;
    aside.as_file().sync_all()?;
    aside.persist(path)?;
    Ok(())
}

/// Makes durable which files a folder has.
///
/// # Errors
///
/// The file system's own.
pub fn flush(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Moves a finished file of the same file system to `path`, as durably as [`replace`].
///
/// # Errors
///
/// The file system's own.
pub fn move_into_place(from: &Path, path: &Path) -> io::Result<()> {
    File::open(from)?.sync_all()?;
    fs::rename(from, path)?;
    flush(folder_of(path))
}

/// The folder that a file lies in; of a bare name the present one.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The bytes of a file of at most `max` octets; `None` where there is none.
///
/// # Errors
///
/// The file system's own, and [`io::ErrorKind::FileTooLarge`].
pub fn read(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > max) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {max} octets")));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_replaced_is_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("count");
        replace(&file, b"1").unwrap();
        replace(&file, b"22").unwrap();

        assert_eq!(read(&file, 2).unwrap().unwrap(), b"22");
        assert_eq!(names(folder.path()), ["count"]);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let usual = folder.path().join("usual");
        fs::write(&usual, b"").unwrap();
        assert_eq!(mode(&file), mode(&usual), "as any other file of the process");
    }

    /// Nor by what a crash or somebody else left beside it.
    #[test]
    fn a_secret_is_its_owners_whatever_was_there_before() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pin");
        for before in ["pin", "pin.new", ".pin.new"] {
            let path = folder.path().join(before);
            fs::write(&path, b"").unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        }
        replace_secret(&file, b"1234").unwrap();
        assert_eq!(read(&file, 4).unwrap().unwrap(), b"1234");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_cannot_be_replaced_stands_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        fs::create_dir_all(taken.join("inside")).unwrap();
        assert!(replace(&taken, b"1").is_err(), "it is a folder with something in it");
        assert_eq!(names(folder.path()), ["taken"]);
        let missing = replace(&folder.path().join("gone/count"), b"1").unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn what_is_too_long_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("count");
        assert_eq!(read(&file, 2).unwrap(), None);
        replace(&file, b"333").unwrap();
        assert_eq!(read(&file, 2).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read(&file, 3).unwrap().unwrap(), b"333");
    }

    #[test]
    fn a_bare_name_lies_in_the_present_folder() {
        assert_eq!(folder_of(Path::new("count")), Path::new("."));
        assert_eq!(folder_of(Path::new("a/count")), Path::new("a"));
    }
}
