//! What the ceremony's side remembers of exchanges: each request that it answered, and each answer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use ceremony_core::exchange::{Opened, Request, Response};
use ceremony_core::words::Fingerprint;

use crate::home::{private_folder, replace};

/// The folder of exchanges, held alone.
pub(super) struct Kept {
    folder: PathBuf,
    /// Those that were answered.
    pub(super) requests: Vec<Opened<Request>>,
    /// Files of the answers.
    pub(super) answers: BTreeSet<Fingerprint>,
    /// What they say.
    pub(super) given: Vec<Response>,
    _lock: fs::File,
}

impl Kept {
    /// Opens the folder, or makes it.
    pub(super) fn open(folder: &Path) -> anyhow::Result<Self> {
        private_folder(folder)?;
        let lock = fs::File::create(folder.join("exchange.lock"))?;
        lock.try_lock().context("another exchange is at work in this folder")?;
        let (mut requests, mut answers, mut given) = (Vec::new(), BTreeSet::new(), Vec::new());
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            let kind = path.extension().and_then(|end| end.to_str());
            let read = || fs::read(&path).with_context(|| path.display().to_string());
            match kind {
                Some("request") => {
                    let request = Request::open(&read()?);
                    requests.push(request.with_context(|| path.display().to_string())?);
                }
                Some("response") => {
                    let response = Response::open(&read()?);
                    let response = response.with_context(|| path.display().to_string())?;
                    answers.insert(response.file);
                    given.push(response.said);
                }
                _ => {}
            }
        }
        let kept = Self { folder: folder.to_owned(), requests, answers, given, _lock: lock };
        for request in &kept.requests {
            let path = kept.path(request.said.matter.number, "response");
            ensure!(path.exists(), "{} is missing: bring the folder back whole", path.display());
        }
        Ok(kept)
    }

    /// The answer that this very request was given.
    pub(super) fn answer_to(&self, request: &Opened<Request>) -> Option<Vec<u8>> {
        let is_it = |one: &&Opened<Request>| one.file == request.file;
        let known = self.requests.iter().find(is_it)?;
        fs::read(self.path(known.said.matter.number, "response")).ok()
    }

    /// Keeps an answer, and then the request: what is not handed out yet may be made anew, what is answered is not.
    pub(super) fn keep(&self, number: u32, request: &[u8], response: &[u8]) -> anyhow::Result<()> {
        replace(&self.path(number, "response"), response)?;
        replace(&self.path(number, "request"), request)
    }

    fn path(&self, number: u32, kind: &str) -> PathBuf {
        self.folder.join(format!("{number:08}.{kind}"))
    }
}
