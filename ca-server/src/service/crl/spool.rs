//! The files of a CRL on its way to its signature.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crl::CrlSpool;

use crate::publication::crl_files::CrlFiles;

/// Files of a CRL in the making. One CRL of an authority is made at a time.
pub(super) struct SpoolNames {
    pub(super) spool: PathBuf,
    pub(super) finished: PathBuf,
}

impl SpoolNames {
    pub(super) fn new(files: &CrlFiles, authority: &str) -> Self {
        Self {
            spool: files.spool(&format!("{authority}.tbs")),
            finished: files.spool(&format!("{authority}.crl")),
        }
    }

    pub(super) fn open(&self) -> io::Result<CrlSpool<File>> {
        Ok(CrlSpool { file: create(&self.spool)?, path: self.spool.clone() })
    }

    /// Takes so much room in the spool folder and gives it back.
    pub(super) fn try_room(&self, octets: u64) -> io::Result<()> {
        let taken = create(&self.finished).and_then(|file| {
            let mut sink = BufWriter::with_capacity(64 * 1024, file);
            io::copy(&mut io::repeat(0).take(octets), &mut sink)?;
            sink.flush()
        });
        let removed = fs::remove_file(&self.finished);
        taken.and(removed)
    }

    pub(super) fn remove(&self) {
        for path in [&self.spool, &self.finished] {
            if let Err(error) = fs::remove_file(path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(file.path = %path.display(), error = %error, "cannot remove a spool file");
            }
        }
    }
}

pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)
}
