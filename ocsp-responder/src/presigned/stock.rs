//! The outer host's answers: files that were judged whole, in a folder that nobody else writes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use host::durable;
use status::IssuerId;
use status::presigned::{MAX_PRESIGNED_OCTETS, PresignedAnswer, PresignedFile, Said, Wave};
use x509::certificate::Certificate;
use x509::key::SignatureAlgorithm;
use x509::ocsp::successful;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::GENERATIONS_AHEAD;
use super::refused::StockError;
use crate::authority::Authority;
use crate::config::DelegateSource;
use crate::delegate::{DelegateError, MAX_LIFETIME, judge};
use crate::view::View;

/// Octets of a file that are there already are not written again.
const FOLDER: &str = "presigned";

/// A file may lack what is forgotten so soon: the clocks of the zones differ.
const ALMOST_FORGOTTEN: Duration = Duration::from_secs(3600);

/// What is known of the files that are believed, by CA and wave: when the first of their answers ends, but for those of certificates that are
/// forgotten then.
type Ends = BTreeMap<(String, Wave), UnixTime>;

/// Which files are taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TakesUp {
    /// All: there is no key here.
    All,
    /// Those of the final answers of CAs that have ended: of all others this program signs itself.
    Final,
}

/// Files that are believed; answers are read from them as they are asked for.
#[derive(Debug)]
pub(crate) struct Stock {
    folder: PathBuf,
    ends: Mutex<Ends>,
    /// Certificates of delegates that were judged, by the CA whose they are and their hash.
    judged: Mutex<HashSet<(IssuerId, [u8; 32])>>,
    /// Files that were believed and cannot be read any more.
    lost: Mutex<BTreeSet<(String, Wave)>>,
    /// CAs with files of final answers.
    ended: Mutex<BTreeSet<String>>,
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
        Ok(Self {
            folder,
            ends: Mutex::default(),
            judged: Mutex::default(),
            lost: Mutex::default(),
            ended: Mutex::default(),
        })
    }

    fn path(&self, authority: &str, wave: Wave) -> PathBuf {
        self.folder.join(authority).join(format!("{wave}.answers"))
    }

    /// The answer about a serial number, its signature verified. Reads one file; one that is gone or damaged is told to the [`StockKeeper`],
    /// who replaces it.
    pub(crate) fn find(&self, authority: &Authority, serial: &SerialNumber) -> Option<Given> {
        let wave = Wave::of(serial);
        let read = durable::read(&self.path(&authority.name, wave), MAX_PRESIGNED_OCTETS);
        let bytes = read.ok().flatten();
        let Some(file) = bytes.as_deref().and_then(|bytes| PresignedFile::read(bytes).ok()) else {
            let key = (authority.name.clone(), wave);
            if self.ends().contains_key(&key) {
                self.lost().insert(key);
            }
            return None;
        };
        let answer = file.find(serial)?;
        let signer = file.signer_of(&answer)?.clone();
        let ca = &authority.certificate;
        let known = (authority.issuer, signer.fingerprint());
        if !self.judged().contains(&known) {
            // Judged whole when it came, before this start.
            signer.verify_signed_by(ca.public_key()).ok()?;
            if !file.is_final() {
                self.judged().insert(known);
            }
        }
        let data = answer.verified(ca.subject(), ca.public_key(), signer.public_key()).ok()?;
        let algorithm = SignatureAlgorithm::default_for(signer.public_key().key_type());
        let body = successful(&data, algorithm, &answer.signature, signer.as_der())?;
        Some(Given { said: answer.said, signer, body })
    }

    /// Whether there are final answers of one of these CAs: it has ended (decision 0035).
    pub(crate) fn has_final(&self, authorities: &[String]) -> bool {
        let ended = self.ended();
        !ended.is_empty() && authorities.iter().any(|name| ended.contains(name))
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

    fn judged(&self) -> MutexGuard<'_, HashSet<(IssuerId, [u8; 32])>> {
        self.judged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lost(&self) -> MutexGuard<'_, BTreeSet<(String, Wave)>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes up what arrives in the publication folder.
pub(crate) struct StockKeeper {
    publication: PathBuf,
    stock: Arc<Stock>,
    view: Arc<View>,
    /// From thisUpdate to nextUpdate of the answers.
    validity: Duration,
    clock_bound: Duration,
    takes_up: TakesUp,
    /// Length and time of the files that were looked at, so that each is judged once.
    seen: HashMap<(String, Wave), (u64, Option<SystemTime>)>,
    /// CAs whose final answers of before this start are known.
    recalled: HashSet<String>,
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
        view: Arc<View>,
        validity: Duration,
        clock_bound: Duration,
        takes_up: TakesUp,
    ) -> Self {
        Self {
            publication: publication.to_owned(),
            stock,
            view,
            validity,
            clock_bound,
            takes_up,
            seen: HashMap::new(),
            recalled: HashSet::new(),
        }
    }

    /// Looks at the files of a CA once and takes up those that are new; told of each that is refused, or lost. Before the log is known there
    /// is nothing to compare them with, and nothing is answered.
    pub(crate) fn step(
        &mut self,
        authority: &Authority,
        delegates: DelegateSource,
        now: UnixTime,
        refused: &mut dyn FnMut(&StockError),
    ) {
        if self.view.look_back(|_| ()).is_none() {
            return;
        }
        let lost: Vec<_> =
            self.stock.lost().extract_if(.., |(name, _)| *name == authority.name).collect();
        for key in lost {
            let path = self.stock.path(&key.0, key.1);
            refused(&StockError::Lost { path: path.display().to_string() });
            self.seen.remove(&key);
            self.stock.ends().remove(&key);
        }
        // What stands for ever does so whatever lies in the publication folder by now, or does not.
        if self.recalled.insert(authority.name.clone()) {
            self.recall(authority);
        }
        // Of most CAs of a program that signs itself there is nothing to look at.
        if !self.publication.join(FOLDER).join(&authority.name).is_dir() {
            return;
        }
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

    /// Learns of the final answers that were believed before this start.
    fn recall(&self, authority: &Authority) {
        if !self.stock.folder.join(&authority.name).is_dir() {
            return;
        }
        for wave in Wave::all() {
            let read = durable::read(&self.stock.path(&authority.name, wave), MAX_PRESIGNED_OCTETS);
            let bytes = read.ok().flatten();
            let file = bytes.as_deref().and_then(|bytes| PresignedFile::read(bytes).ok());
            let stands = |file: &PresignedFile<'_>| {
                file.head().issuer == authority.issuer && file.is_final()
            };
            if let Some(file) = file.filter(stands) {
                self.believe(authority, wave, &file);
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
        // Nobody signs day by day under a name that shares the delegates of another.
        let finals_alone =
            self.takes_up == TakesUp::Final || arrived.delegates == DelegateSource::Shared;
        if finals_alone && !file.is_final() {
            return Ok(());
        }
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
        self.believe(authority, wave, &file);
        Ok(())
    }

    /// Keeps what a file says of its times.
    fn believe(&self, authority: &Authority, wave: Wave, file: &PresignedFile<'_>) {
        let forgotten = self.forgotten(authority, file);
        let ends = file.answers().zip(forgotten).filter(|(answer, forgotten)| {
            forgotten.is_none_or(|forgotten| answer.said.next_update < forgotten)
        });
        let ends = ends.map(|(answer, _)| answer.said.next_update).min();
        let key = (authority.name.clone(), wave);
        self.stock.ends().insert(key, ends.unwrap_or(UnixTime::LAST));
        if file.is_final() {
            self.stock.ended().insert(authority.name.clone());
        }
    }

    /// From when on the log forgets the certificates of a file, in their order.
    fn forgotten(&self, authority: &Authority, file: &PresignedFile<'_>) -> Vec<Option<UnixTime>> {
        let found = self.view.look_back(|index| {
            let issuer = index.issuer(&authority.issuer);
            let find = |answer: PresignedAnswer| {
                index.lookup(issuer?, &answer.said.serial)?.forgotten_from()
            };
            file.answers().map(find).collect()
        });
        found.unwrap_or_default()
    }

    /// The first certificate that is answered for in the file that is believed, and not in this one, while the log answers for it.
    fn lacking(
        &self,
        file: &PresignedFile<'_>,
        believed: &PresignedFile<'_>,
        authority: &Authority,
        now: UnixTime,
    ) -> Option<SerialNumber> {
        let soon = now.checked_add(ALMOST_FORGOTTEN).unwrap_or(now);
        let found = self.view.look_back(|index| {
            let issuer = index.issuer(&authority.issuer)?;
            let is_answered = |serial: &SerialNumber| {
                let known = index.lookup(issuer, serial);
                let known = known.filter(|known| !file.is_final() || known.has_ended_at(now));
                known.is_some_and(|known| known.forgotten_from().is_none_or(|from| from > soon))
            };
            let mut serials = believed.answers().map(|answer| answer.said.serial);
            serials.find(|serial| file.find(serial).is_none() && is_answered(serial))
        });
        found.flatten()
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
        // Whatever generation it gives itself.
        if believed.is_some_and(PresignedFile::is_final) && !file.is_final() {
            return Err(StockError::Ended { path: path() });
        }
        let most = now.secs().saturating_add(GENERATIONS_AHEAD);
        if head.generation > most {
            let (generation, now) = (head.generation, now.secs());
            return Err(StockError::Ahead { path: path(), generation, now });
        }
        let generation = believed.map(|file| file.head().generation);
        if let Some(believed) = generation.filter(|believed| *believed <= most) {
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
        let made = file.answers().map(|answer| answer.said.produced_at).max();
        // Of what stands for ever its making is held against our clock as well: by it is judged what had ended.
        let made = made.filter(|_| file.is_final());
        let latest = made.map_or(latest, |made| made.max(latest));
        if latest.since(now) > self.clock_bound {
            let (checkpoint, now) = (latest.secs(), now.secs());
            return Err(StockError::Future { path: path(), checkpoint, now });
        }
        let last = file.answers().map(|answer| answer.said.next_update).max();
        if last.is_some_and(|last| last <= now) {
            return Err(StockError::Stale { path: path() });
        }
        let lacks = believed.and_then(|old| self.lacking(file, old, arrived.authority, now));
        if let Some(serial) = lacks {
            return Err(StockError::Lacking { path: path(), serial });
        }
        if let Some(serial) = self.unended(file, arrived.authority, now) {
            return Err(StockError::Unended { path: path(), serial });
        }
        // Who signed what stands for ever may have ended since.
        let signed = made.map_or(now, |made| made.min(now));
        for signer in &head.signers {
            self.judge_signer(signer, file, arrived, signed)?;
        }
        for answer in file.answers() {
            if believed.is_some_and(|believed| has_the_same(believed, file, &answer)) {
                continue;
            }
            self.verify(file, &answer, arrived)?;
        }
        Ok(())
    }

    /// Of a file that stands for ever, the first certificate of which something may still become by our own log: neither expired nor revoked
    /// when the answer was made, and by our own clock. So nobody gets final answers of a CA that goes on, whoever signs them.
    fn unended(
        &self,
        file: &PresignedFile<'_>,
        authority: &Authority,
        now: UnixTime,
    ) -> Option<SerialNumber> {
        if !file.is_final() {
            return None;
        }
        let found = self.view.look_back(|index| {
            let issuer = index.issuer(&authority.issuer);
            let has_ended = |said: &Said| {
                let known = issuer.and_then(|issuer| index.lookup(issuer, &said.serial));
                known.is_some_and(|known| known.has_ended_at(said.produced_at.min(now)))
            };
            let mut said = file.answers().map(|answer| answer.said);
            said.find(|said| !has_ended(said)).map(|said| said.serial)
        });
        found.flatten()
    }

    fn judge_signer(
        &self,
        signer: &Certificate,
        file: &PresignedFile<'_>,
        arrived: &Arrived<'_>,
        now: UnixTime,
    ) -> Result<(), StockError> {
        let key = (arrived.authority.issuer, signer.fingerprint());
        let known = self.stock.judged().contains(&key);
        if known && !file.is_final() && now < signer.validity().not_after() {
            return Ok(());
        }
        let refuse =
            |source| StockError::Signer { path: arrived.path.clone(), source: Box::new(source) };
        let ca = &arrived.authority.certificate;
        if file.is_final() && signer.validity().not_after() != ca.validity().not_after() {
            return Err(refuse(DelegateError::Rule(
                "it signs what stands for ever and does not end with its CA",
            )));
        }
        let most = match arrived.delegates {
            // It ends with its CA: the lint lets nobody else live longer than delegates of ceremonies.
            _ if file.is_final() => None,
            DelegateSource::Requested => Some(MAX_LIFETIME),
            DelegateSource::Ceremony | DelegateSource::Shared => None,
        };
        judge(signer, arrived.authority, most, self.validity, now).map_err(refuse)?;
        // What signs final answers alone, which live long, passes for nobody else.
        if !file.is_final() {
            self.stock.judged().insert(key);
        }
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
