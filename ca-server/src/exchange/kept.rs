//! What this side remembers of exchanges: each request, and the response that was taken in as its answer.
//!
//! A response is kept before it changes anything, so that after a crash it and no other goes on.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ceremony_core::exchange::{Opened, Request};
use ceremony_core::words::Fingerprint;

use crate::publication::files::replace;
use crate::start::Told;

/// The folder of exchanges, held alone.
pub(super) struct Kept {
    folder: PathBuf,
    _lock: File,
}

impl Kept {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    ///
    /// `exchange-folder`: it cannot be used, or another command uses it.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .with_context(|| unfit(folder))?;
        let kept = Self::open_if_free(folder)?;
        kept.with_context(|| unfit(folder))
    }

    /// Opens a folder that is there; none where another command has it just now.
    ///
    /// # Errors
    ///
    /// `exchange-folder`: it cannot be used.
    pub(super) fn open_if_free(folder: &Path) -> anyhow::Result<Option<Self>> {
        let lock = File::create(folder.join("exchange.lock")).with_context(|| unfit(folder))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { folder: folder.to_owned(), _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| unfit(folder)),
        }
    }

    /// The number of the newest request; 0 where there is none.
    pub(super) fn last(&self) -> anyhow::Result<u32> {
        Ok(self.numbers("request")?.into_iter().max().unwrap_or(0))
    }

    /// The newest request.
    pub(super) fn newest(&self) -> anyhow::Result<Option<Opened<Request>>> {
        let number = self.last()?;
        if number == 0 {
            return Ok(None);
        }
        Ok(Some(self.request(number)?))
    }

    fn request(&self, number: u32) -> anyhow::Result<Opened<Request>> {
        let path = self.path(number, "request");
        let request = fs::read(&path).with_context(|| unfit(&path))?;
        Request::open(&request).with_context(|| unfit(&path))
    }

    /// Requests of which the audit log does not tell yet, by their numbers.
    pub(super) fn untold(&self) -> anyhow::Result<Vec<Opened<Request>>> {
        let mut numbers = self.numbers("request")?;
        numbers.retain(|number| !self.path(*number, "told").exists());
        numbers.sort_unstable();
        numbers.into_iter().map(|number| self.request(number)).collect()
    }

    /// Marks a request as told of by the audit log.
    pub(super) fn mark_told(&self, number: u32) -> anyhow::Result<()> {
        let path = self.path(number, "told");
        replace(&path, b"").with_context(|| unfit(&path))
    }

    /// What was taken in as the answer to a request.
    pub(super) fn answer(&self, number: u32) -> anyhow::Result<Option<Vec<u8>>> {
        let path = self.path(number, "response");
        match fs::read(&path) {
            Ok(octets) => Ok(Some(octets)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| unfit(&path)),
        }
    }

    /// The hash of the last response that was taken in.
    pub(super) fn last_answer(&self) -> anyhow::Result<Option<Fingerprint>> {
        let Some(number) = self.numbers("response")?.into_iter().max() else { return Ok(None) };
        Ok(self.answer(number)?.map(|octets| Fingerprint::of(&octets)))
    }

    /// Keeps a request that has a number of its own.
    pub(super) fn keep_request(&self, number: u32, octets: &[u8]) -> anyhow::Result<()> {
        let path = self.path(number, "request");
        ensure!(!path.exists(), unfit(&path));
        replace(&path, octets).with_context(|| unfit(&path))
    }

    /// Keeps a response.
    pub(super) fn keep_response(&self, number: u32, octets: &[u8]) -> anyhow::Result<()> {
        let path = self.path(number, "response");
        replace(&path, octets).with_context(|| unfit(&path))
    }

    fn numbers(&self, kind: &str) -> anyhow::Result<Vec<u32>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.folder).with_context(|| unfit(&self.folder))? {
            let path = entry.with_context(|| unfit(&self.folder))?.path();
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
            let number = number.filter(|number| path == self.path(*number, kind));
            numbers.extend(number);
        }
        Ok(numbers)
    }

    fn path(&self, number: u32, kind: &str) -> PathBuf {
        self.folder.join(format!("{number:08}.{kind}"))
    }
}

fn unfit(path: &Path) -> Told {
    Told::new(
        "exchange-folder",
        format!("{} of [exchange] cannot be used, or another command uses it", path.display()),
        "wait for the other command, correct the permissions, or bring the folder back whole from its backup",
    )
}
