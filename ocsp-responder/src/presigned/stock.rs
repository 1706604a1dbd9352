//! The outer host's answers: files that were judged whole, in a folder that nobody else writes.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use status::presigned::{MAX_PRESIGNED_OCTETS, PresignedAnswer, PresignedFile, Said, Wave};
use x509::certificate::Certificate;
use x509::key::SignatureAlgorithm;
use x509::ocsp::successful;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::refused::StockError;
use crate::authority::Authority;
use crate::config::DelegateSource;
use crate::delegate::{MAX_LIFETIME, judge};
use crate::durable;

/// Octets of a file that are there already are not written again.
const FOLDER: &str = "presigned";

/// What is known of the files that are believed, by CA and wave: when the first of their answers ends.
type Ends = BTreeMap<(String, Wave), UnixTime>;

/// Files that are believed; answers are read from them as they are asked for.
#[derive(Debug)]
pub(crate) struct Stock {
    folder: PathBuf,
    ends: Mutex<Ends>,
    /// Certificates of delegates that were judged, by their hash.
    judged: Mutex<HashSet<[u8; 32]>>,
}

/// An answer as it is sent.
#[derive(Debug)]
pub(crate) struct Given {
    pub(crate) said: Said,
    pub(crate) signer: Certificate,
    pub(crate) body: Vec<u8>,
}

/// How the files of one CA are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StockState {
    /// Files.
    pub(crate) waves: usize,
    /// When the first of all answers ends.
    pub(crate) ends: UnixTime,
}

impl Stock {
    /// The files that were believed before this start are believed still.
    ///
    /// # Errors
    ///
    /// The folder cannot be made.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        let folder = state.join(FOLDER);
        fs::create_dir_all(&folder)?;
        Ok(Self { folder, ends: Mutex::default(), judged: Mutex::default() })
    }

    fn path(&self, authority: &str, wave: Wave) -> PathBuf {
        self.folder.join(authority).join(format!("{wave}.answers"))
    }

    /// The answer about a serial number, its signature verified. Reads one file.
    pub(crate) fn find(&self, authority: &Authority, serial: &SerialNumber) -> Option<Given> {
        let path = self.path(&authority.name, Wave::of(serial));
        let bytes = durable::read(&path, MAX_PRESIGNED_OCTETS).ok()??;
        let file = PresignedFile::read(&bytes).ok()?;
        let answer = file.find(serial)?;
        let signer = file.signer_of(&answer)?.clone();
        let ca = &authority.certificate;
        if !self.judged().contains(&signer.fingerprint()) {
            // Judged whole when it came, before this start.
            signer.verify_signed_by(ca.public_key()).ok()?;
            self.judged().insert(signer.fingerprint());
        }
        let data = answer.verified(ca.subject(), ca.public_key(), signer.public_key()).ok()?;
        let algorithm = SignatureAlgorithm::default_for(signer.public_key().key_type());
        let body = successful(&data, algorithm, &answer.signature, signer.as_der())?;
        Some(Given { said: answer.said, signer, body })
    }

    /// How the files of a CA are; `None` while there is none.
    pub(crate) fn state_of(&self, authority: &str) -> Option<StockState> {
        let ends = self.ends();
        let own = || ends.iter().filter(|((name, _), _)| name == authority).map(|(_, ends)| *ends);
        own().min().map(|ends| StockState { waves: own().count(), ends })
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn ends(&self) -> MutexGuard<'_, Ends> {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn judged(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes up what arrives in the publication folder.
pub(crate) struct StockKeeper {
    publication: PathBuf,
    stock: Arc<Stock>,
    /// From thisUpdate to nextUpdate of the answers.
    validity: Duration,
    clock_bound: Duration,
    /// Length and time of the files that were looked at, so that each is judged once.
    seen: HashMap<(String, Wave), (u64, Option<SystemTime>)>,
}

/// A file where it arrived, and what it must be of.
struct Arrived<'a> {
    authority: &'a Authority,
    delegates: DelegateSource,
    wave: Wave,
    path: String,
}

impl StockKeeper {
    pub(crate) fn new(
        publication: &Path,
        stock: Arc<Stock>,
        validity: Duration,
        clock_bound: Duration,
    ) -> Self {
        let publication = publication.to_owned();
        Self { publication, stock, validity, clock_bound, seen: HashMap::new() }
    }

    /// Looks at the files of a CA once and takes up those that are new; told of each that is refused.
    pub(crate) fn step(
        &mut self,
        authority: &Authority,
        delegates: DelegateSource,
        now: UnixTime,
        refused: &mut dyn FnMut(&StockError),
    ) {
        for wave in Wave::all() {
            let path = format!("{FOLDER}/{}/{wave}.answers", authority.name);
            let Ok(facts) = fs::metadata(self.publication.join(&path)) else { continue };
            let key = (authority.name.clone(), wave);
            let mark = (facts.len(), facts.modified().ok());
            if self.seen.get(&key) == Some(&mark) {
                continue;
            }
            let taken = self.take(&Arrived { authority, delegates, wave, path }, now);
            if !taken.as_ref().is_err_and(StockError::passes) {
                self.seen.insert(key, mark);
            }
            if let Err(error) = taken {
                refused(&error);
            }
        }
    }

    /// Judges a file, and keeps it if all of it is good.
    fn take(&self, arrived: &Arrived<'_>, now: UnixTime) -> Result<(), StockError> {
        let path = &arrived.path;
        let io = |source| StockError::Io { path: path.clone(), source };
        let bytes =
            durable::read(&self.publication.join(path), MAX_PRESIGNED_OCTETS).map_err(io)?;
        let Some(bytes) = bytes else { return Ok(()) };
        let file = PresignedFile::read(&bytes)
            .map_err(|source| StockError::Malformed { path: path.clone(), source })?;
        let (authority, wave) = (arrived.authority, arrived.wave);
        if file.head().issuer != authority.issuer || file.head().wave != wave {
            return Err(StockError::Foreign { path: path.clone() });
        }
        let own = self.stock.path(&authority.name, wave);
        let believed_bytes = durable::read(&own, MAX_PRESIGNED_OCTETS).map_err(io)?;
        // What is damaged here is replaced.
        let believed = believed_bytes.as_deref().and_then(|own| PresignedFile::read(own).ok());
        if believed_bytes.as_deref() != Some(&bytes[..]) {
            self.judge(&file, believed.as_ref(), arrived, now)?;
            if let Some(folder) = own.parent() {
                fs::create_dir_all(folder).map_err(io)?;
            }
            durable::replace(&own, &bytes).map_err(io)?;
        }
        let ends = file.answers().map(|answer| answer.said.next_update).min();
        let key = (authority.name.clone(), wave);
        self.stock.ends().insert(key, ends.unwrap_or(UnixTime::LAST));
        Ok(())
    }

    fn judge(
        &self,
        file: &PresignedFile<'_>,
        believed: Option<&PresignedFile<'_>>,
        arrived: &Arrived<'_>,
        now: UnixTime,
    ) -> Result<(), StockError> {
        let path = || arrived.path.clone();
        let head = file.head();
        if let Some(believed) = believed.map(|file| file.head().generation) {
            let found = head.generation;
            match found.cmp(&believed) {
                std::cmp::Ordering::Less => {
                    return Err(StockError::RolledBack { path: path(), found, believed });
                }
                std::cmp::Ordering::Equal => return Err(StockError::Altered { path: path() }),
                std::cmp::Ordering::Greater => {}
            }
        }
        let latest = file.answers().map(|answer| answer.said.this_update).max();
        let latest = latest.unwrap_or(head.checkpoint).max(head.checkpoint);
        if latest.since(now) > self.clock_bound {
            let (checkpoint, now) = (latest.secs(), now.secs());
            return Err(StockError::Future { path: path(), checkpoint, now });
        }
        let last = file.answers().map(|answer| answer.said.next_update).max();
        if last.is_some_and(|last| last <= now) {
            return Err(StockError::Stale { path: path() });
        }
        for signer in &head.signers {
            self.judge_signer(signer, arrived, now)?;
        }
        for answer in file.answers() {
            if believed.is_some_and(|believed| has_the_same(believed, file, &answer)) {
                continue;
            }
            self.verify(file, &answer, arrived)?;
        }
        Ok(())
    }

    fn judge_signer(
        &self,
        signer: &Certificate,
        arrived: &Arrived<'_>,
        now: UnixTime,
    ) -> Result<(), StockError> {
        let known = self.stock.judged().contains(&signer.fingerprint());
        if known && now < signer.validity().not_after() {
            return Ok(());
        }
        let most = match arrived.delegates {
            DelegateSource::Requested => Some(MAX_LIFETIME),
            DelegateSource::Ceremony | DelegateSource::Shared => None,
        };
        judge(signer, arrived.authority, most, self.validity, now).map_err(|source| {
            StockError::Signer { path: arrived.path.clone(), source: Box::new(source) }
        })?;
        self.stock.judged().insert(signer.fingerprint());
        Ok(())
    }

    fn verify(
        &self,
        file: &PresignedFile<'_>,
        answer: &PresignedAnswer,
        arrived: &Arrived<'_>,
    ) -> Result<(), StockError> {
        let ca = &arrived.authority.certificate;
        let Some(signer) = file.signer_of(answer) else {
            return Err(StockError::Foreign { path: arrived.path.clone() });
        };
        let (path, serial) = (arrived.path.clone(), answer.said.serial);
        answer
            .verified(ca.subject(), ca.public_key(), signer.public_key())
            .map(|_| ())
            .map_err(|source| StockError::Signature { path, serial, source })
    }
}

/// Whether the answer stands, byte for byte and by the same signer, in a file whose answers were verified.
fn has_the_same(
    believed: &PresignedFile<'_>,
    file: &PresignedFile<'_>,
    answer: &PresignedAnswer,
) -> bool {
    believed.find(&answer.said.serial).is_some_and(|known| {
        known.said == answer.said
            && known.signature == answer.signature
            && believed.signer_of(&known) == file.signer_of(answer)
    })
}
