//! What was seen and has not been sent yet: a folder, so that neither a restart nor a CA that is away loses it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use status::SignedObservation;
use x509::time::UnixTime;

use super::sha256;
use crate::client::ClientError;

/// The CA takes nothing older.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Most statements that are kept; the oldest go first.
const MOST: usize = 50_000;
/// Most statements of one call, and what they may take of its body, in octets of JSON.
const OF_A_CALL: usize = 100;
const OCTETS: usize = 96 * 1024;
const END: &str = ".statement";

/// The folder, which one program has at a time.
pub(crate) struct Spool {
    folder: PathBuf,
    _lock: File,
}

/// A part of what waits, which fits one call.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) statements: Vec<String>,
    files: Vec<PathBuf>,
}

impl Spool {
    /// Opens the folder, and makes it where it is not there.
    pub(crate) fn open(folder: &Path) -> Result<Self, ClientError> {
        let failed = |path: &Path| {
            let path = path.to_path_buf();
            move |source| ClientError::Write { path, source }
        };
        std::fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(failed(&path))?;
        lock.try_lock().map_err(|_| ClientError::Value {
            what: "--spool",
            found: folder.display().to_string(),
            limit: "a folder that no other prober has open",
        })?;
        Ok(Self { folder: folder.to_path_buf(), _lock: lock })
    }

    /// Keeps an observation until it was sent.
    pub(crate) fn keep(&self, seen: &SignedObservation) -> Result<(), ClientError> {
        let text = seen.signed().as_str();
        let hash = base16ct::lower::encode_string(&sha256(text.as_bytes()));
        let hash = hash.get(..16).unwrap_or_default();
        // The number of digits is the same for the next two centuries: the names stand in the order of time.
        let path = self.folder.join(format!("{}-{hash}{END}", seen.observation().time.secs()));
        let part = path.with_extension("part");
        std::fs::write(&part, text)
            .and_then(|()| std::fs::rename(&part, &path))
            .map_err(|source| ClientError::Write { path, source })
    }

    /// Forgets what is too old to be taken, and the oldest of too many; returns of how many.
    pub(crate) fn forget(&self, now: UnixTime) -> Result<usize, ClientError> {
        let files = self.files()?;
        let surplus = files.len().saturating_sub(MOST);
        let oldest = now.saturating_sub(LONGEST).secs();
        let mut gone = 0_usize;
        for (place, file) in files.iter().enumerate() {
            if place < surplus || time_of(file).is_some_and(|time| time < oldest) {
                remove(file)?;
                gone = gone.saturating_add(1);
            }
        }
        Ok(gone)
    }

    /// The oldest that fit one call; empty where nothing waits.
    pub(crate) fn batch(&self) -> Result<Batch, ClientError> {
        let mut batch = Batch::default();
        let mut octets = 0_usize;
        for file in self.files()? {
            let read = std::fs::read_to_string(&file);
            let text = read.map_err(|source| ClientError::File { path: file.clone(), source })?;
            // In JSON a new line takes two octets, and quotes and a comma stand around.
            let lines = text.bytes().filter(|octet| *octet == b'\n').count();
            octets = octets.saturating_add(text.len()).saturating_add(lines).saturating_add(3);
            if batch.files.len() == OF_A_CALL || (octets > OCTETS && !batch.files.is_empty()) {
                break;
            }
            batch.statements.push(text);
            batch.files.push(file);
        }
        Ok(batch)
    }

    fn files(&self) -> Result<Vec<PathBuf>, ClientError> {
        let failed = |source| ClientError::File { path: self.folder.clone(), source };
        let mut files = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if time_of(&path).is_some() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

impl Batch {
    /// They were taken, or will never be.
    pub(crate) fn sent(self) -> Result<(), ClientError> {
        self.files.iter().try_for_each(|file| remove(file))
    }
}

fn remove(file: &Path) -> Result<(), ClientError> {
    std::fs::remove_file(file)
        .map_err(|source| ClientError::Write { path: file.to_path_buf(), source })
}

/// When a file of ours was seen; `None` of another file.
fn time_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?.strip_suffix(END)?;
    name.split_once('-')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use status::IssuerId;
    use status::observation::{Observation, Seen, SeenObject, SeenStatus};

    use super::*;
    use crate::probe::key::{Vantage, make};

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(1_800_000_000 + secs).unwrap()
    }

    struct Kept {
        folder: tempfile::TempDir,
        vantage: Vantage,
    }

    impl Kept {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let key = folder.path().join("vantage.key");
            make(&key).unwrap();
            let deployment = "test/demo/ab12".parse().unwrap();
            let vantage = Vantage::open(deployment, "stockholm".parse().unwrap(), &key).unwrap();
            Self { folder, vantage }
        }

        fn spool(&self) -> Result<Spool, ClientError> {
            Spool::open(&self.folder.path().join("spool"))
        }

        fn seen(&self, secs: u64, serials: usize) -> SignedObservation {
            let serial = |n: usize| format!("40{n:030X}").parse().unwrap();
            let seen = |n| Seen { serial: serial(n), status: SeenStatus::Good };
            self.vantage
                .sign(&Observation {
                    deployment: "test/demo/ab12".parse().unwrap(),
                    vantage: "stockholm".parse().unwrap(),
                    method: status::ProbeMethod::Crl,
                    url: "http://crl.example.org/a.crl".to_owned(),
                    issuer: IssuerId::from_bytes([1; 32]),
                    object_sha256: [2; 32],
                    this_update: at(0),
                    next_update: at(90_000),
                    object: SeenObject::Crl { number: "01".to_owned() },
                    position: None,
                    time: at(secs),
                    seen: (0..serials).map(seen).collect(),
                })
                .unwrap()
        }
    }

    #[test]
    fn what_was_not_sent_is_there_after_a_restart_oldest_first() {
        let kept = Kept::new();
        let spool = kept.spool().unwrap();
        for secs in [7, 3, 5] {
            spool.keep(&kept.seen(secs, 1)).unwrap();
        }
        std::fs::write(kept.folder.path().join("spool/1800000001-ab.part"), "half").unwrap();
        assert!(kept.spool().is_err(), "one prober at a time");
        drop(spool);

        let spool = kept.spool().unwrap();
        let batch = spool.batch().unwrap();
        let times = batch
            .statements
            .iter()
            .map(|text| SignedObservation::open(text.as_bytes()).unwrap().observation().time);
        assert_eq!(times.collect::<Vec<_>>(), [at(3), at(5), at(7)]);
        batch.sent().unwrap();
        assert!(spool.batch().unwrap().statements.is_empty());
    }

    /// API-11: a body has at most 128 KiB.
    #[test]
    fn a_call_holds_what_fits_its_body() {
        let kept = Kept::new();
        let spool = kept.spool().unwrap();
        for secs in 0..40 {
            spool.keep(&kept.seen(secs, 100)).unwrap();
        }
        let mut sent = 0;
        loop {
            let batch = spool.batch().unwrap();
            if batch.statements.is_empty() {
                break;
            }
            sent += batch.statements.len();
            let body = api::ObservationsRequest { observations: batch.statements.clone() };
            assert!(serde_json::to_string(&body).unwrap().len() < 128 * 1024);
            batch.sent().unwrap();
        }
        assert_eq!(sent, 40);
    }

    #[test]
    fn what_is_too_old_is_forgotten() {
        let kept = Kept::new();
        let spool = kept.spool().unwrap();
        for secs in [0, 100] {
            spool.keep(&kept.seen(secs, 1)).unwrap();
        }
        assert_eq!(spool.forget(at(86_400)).unwrap(), 0);
        assert_eq!(spool.forget(at(86_401)).unwrap(), 1);
        assert_eq!(spool.batch().unwrap().statements.len(), 1);
    }
}
