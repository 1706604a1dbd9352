//! Sealing keys in a file that only its owner may read: for environment test.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::{KeySource, KeySourceError, SealingKeys};

const FIRST_LINE: &str = "sigill-sealing-keys/1";

/// A key file is three short lines; more is something else.
const MOST_OCTETS: u64 = 256;

/// A file of three lines: `sigill-sealing-keys/1`, `master <64 hexadecimal digits>`,
/// `index <64 hexadecimal digits>`.
#[derive(Clone, Debug)]
pub struct FileKeySource {
    path: PathBuf,
}

impl FileKeySource {
    /// Names the file; it is read when the store is opened.
    #[must_use]
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Draws new keys into a new file of mode 0600, durable when this returns.
    ///
    /// # Errors
    ///
    /// [`KeySourceError::File`] when it cannot be made or exists already,
    /// [`KeySourceError::Random`] when there are no random numbers.
    pub fn create(path: &Path) -> Result<Self, KeySourceError> {
        let draw = || {
            let mut key = Zeroizing::new([0; 32]);
            rand::fill(key.as_mut()).map_err(|_| KeySourceError::Random).map(|()| key)
        };
        let hex = |key: &[u8; 32]| Zeroizing::new(base16ct::lower::encode_string(key));
        let (master, index) = (hex(&*draw()?), hex(&*draw()?));
        let text = Zeroizing::new(format!(
            "{FIRST_LINE}\nmaster {}\nindex {}\n",
            master.as_str(),
            index.as_str()
        ));

        let write = || {
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            path.parent().map_or(Ok(()), |folder| {
                let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                File::open(folder)?.sync_all()
            })
        };
        write().map_err(|source| KeySourceError::File { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned() })
    }

    fn read(&self) -> Result<Zeroizing<String>, KeySourceError> {
        let failed = |source| KeySourceError::File { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeySourceError::Mode { path: self.path.clone(), mode });
        }
        let mut text = Zeroizing::new(String::with_capacity(256));
        file.take(MOST_OCTETS).read_to_string(&mut text).map_err(failed)?;
        Ok(text)
    }
}

impl KeySource for FileKeySource {
    fn sealing_keys(&self) -> Result<SealingKeys, KeySourceError> {
        let text = self.read()?;
        let lines: Vec<&str> = text.lines().collect();
        let key = |line: &str, name: &str| {
            let digits = line.strip_prefix(name)?.strip_prefix(' ')?;
            let mut key = Zeroizing::new([0; 32]);
            let length = base16ct::lower::decode(digits, key.as_mut()).ok()?.len();
            (length == 32).then_some(key)
        };
        let keys = match lines.as_slice() {
            [FIRST_LINE, master, index] => key(master, "master").zip(key(index, "index")),
            _ => None,
        };
        let (master, index) =
            keys.ok_or_else(|| KeySourceError::Format { path: self.path.clone() })?;
        Ok(SealingKeys::new(master, index))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_created_file_reads_back_and_is_never_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.keys");

        let source = FileKeySource::create(&path).unwrap();
        let first = source.sealing_keys().unwrap();
        let again = FileKeySource::new(&path).sealing_keys().unwrap();

        assert_eq!(first.master, again.master);
        assert_eq!(first.index, again.index);
        assert_ne!(first.master, first.index);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(matches!(FileKeySource::create(&path), Err(KeySourceError::File { .. })));
    }

    #[test]
    fn refuses_a_file_that_others_may_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.keys");
        let source = FileKeySource::create(&path).unwrap();

        for mode in [0o640, 0o604, 0o660, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();

            let refused = source.sealing_keys().unwrap_err();

            assert!(matches!(refused, KeySourceError::Mode { mode: seen, .. } if seen == mode));
        }
    }

    #[test]
    fn refuses_anything_that_is_not_exactly_a_key_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sealing.keys");
        let source = FileKeySource::create(&path).unwrap();
        let good = fs::read_to_string(&path).unwrap();

        let tampered = [
            String::new(),
            good.replace("/1", "/2"),
            good.replace("master", "mester"),
            good.to_uppercase(),
            format!("{good}extra\n"),
            good.chars().take(100).collect(),
            "x".repeat(10_000),
        ];
        for text in tampered {
            fs::write(&path, &text).unwrap();

            assert!(matches!(source.sealing_keys(), Err(KeySourceError::Format { .. })), "{text}");
        }
    }
}
