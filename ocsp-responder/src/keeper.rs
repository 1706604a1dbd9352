//! Keeps every CA provided with a delegate: makes keys, asks for certificates, takes them up, ends them.
//!
//! A key is asked for when a CA has no delegate and again from day four of the newest. The request
//! stays in the outbox, written anew after longer and longer pauses with a higher counter, until the
//! certificate has been pushed and judged. The private keys never leave the token, but for those that an operator
//! has made in memory ([`crate::memory_keys`]).

mod refused;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use host::durable;
use hsm::memory::MemoryKey;
use hsm::{
    FindKeyError, KeyId, KeyOrder, KeyPolicy, Removal, SignError, SigningService, Token,
    TokenSigner,
};
use ledger::origin::DeploymentName;
use status::freshness::Timing;
use x509::certificate::Certificate;
use x509::key::{KeyType, PublicKey, SpkiHash};
use x509::name::{AttributeType, Name};
use x509::responder_request::ResponderRequestBody;
use x509::time::UnixTime;
use x509::validity::Validity;

use crate::authority::Authority;
use crate::config::{DelegateSource, PinnedAuthority};
use crate::delegate::{Delegate, DelegateSigner, Delegates, KeyPlace, MAX_LIFETIME, judge};
use crate::due::is_due;
use crate::memory_keys::MemoryKeys;
use crate::signer::{AnswerSignError, Counter};
pub(crate) use refused::KeeperError;
use refused::io_error;

/// When an unanswered request is written anew for the first time. The counter is one for all CAs of
/// a deployment, so that a request that the CA sees too late is refused and needs a higher one.
const ASK_AGAIN: Duration = Duration::from_secs(20);
/// The longest pause between two requests; each is twice the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How long making a key may take: an RSA key of 3072 bits needs some seconds of a slow token.
const MAKE_KEY_WITHIN: Duration = Duration::from_secs(60);

/// Where everything lies.
pub(crate) struct KeeperFolders {
    pub(crate) publication: PathBuf,
    pub(crate) outbox: PathBuf,
    pub(crate) state: PathBuf,
}

/// A file's length and time, by which another content is known.
type Mark = (u64, Option<std::time::SystemTime>);

/// A certificate file that was looked at.
#[derive(Clone, Copy)]
struct Seen {
    mark: Mark,
    /// When to look again; `None` for never.
    again: Option<UnixTime>,
    pause: Duration,
}

impl Seen {
    /// To be looked at again after a pause, twice the one before: a token that shows nothing for a moment
    /// must not hide a delegate for good, and looking for a stranger's key may make each key of ours sign.
    fn not_now(mark: Mark, before: Option<Self>, now: UnixTime) -> Self {
        let pause = before.map_or(ASK_AGAIN, |seen| seen.pause.saturating_mul(2));
        let pause = pause.min(LONGEST_PAUSE);
        Self { mark, again: Some(now.checked_add(pause).unwrap_or(UnixTime::LAST)), pause }
    }
}

/// What became of a certificate file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// It is in use, or never will be: it need not be looked at again.
    Settled,
    /// Its key was made here, and the token does not show it now.
    KeyAway,
    /// Its key is another responder's, or the token does not show it now.
    KeyNotFound,
}

/// A request in the outbox.
#[derive(Clone, Copy)]
struct Asked {
    at: UnixTime,
    pause: Duration,
}

/// A key that waits for its certificate.
enum WaitingKey {
    Token(PublicKey),
    Memory(MemoryKey),
}

impl WaitingKey {
    const fn public(&self) -> &PublicKey {
        match self {
            Self::Token(key) => key,
            Self::Memory(key) => key.public_key(),
        }
    }
}

/// Keeps [`Delegates`] provided.
pub(crate) struct Keeper {
    folders: KeeperFolders,
    memory: MemoryKeys,
    deployment: DeploymentName,
    token: Token,
    signer: Arc<TokenSigner>,
    identity: PublicKey,
    delegates: Arc<Delegates>,
    timing: Timing,
    /// Certificate files that were taken up or refused, so that each is looked at once, and those of
    /// other responders, so that each is looked at more and more rarely.
    seen: HashMap<PathBuf, Seen>,
    /// When the waiting request of a CA was written, and when it is to be written again.
    asked: HashMap<String, Asked>,
}

impl Keeper {
    /// Finds the identity key in the token and has it prove itself.
    ///
    /// # Errors
    ///
    /// [`KeeperError::Identity`] when the pinned identity key is not in the token.
    pub(crate) fn new(
        folders: KeeperFolders,
        deployment: DeploymentName,
        token: Token,
        signer: Arc<TokenSigner>,
        identity: SpkiHash,
        delegates: Arc<Delegates>,
        timing: Timing,
    ) -> Result<Self, KeeperError> {
        let identity = token.key_by_hash(identity)?.ok_or(KeeperError::Identity { identity })?;
        token.prove(&identity)?;
        let memory = MemoryKeys::below(&folders.state, deployment.clone());
        let keeper = Self {
            folders,
            memory,
            deployment,
            token,
            signer,
            identity,
            delegates,
            timing,
            seen: HashMap::new(),
            asked: HashMap::new(),
        };
        make_folder(&keeper.folders.state.join("counters"))?;
        Ok(keeper)
    }

    /// Looks after one CA. What fails is logged by the caller and tried again at the next look.
    ///
    /// # Errors
    ///
    /// [`KeeperError`]; delegates that are in use stay in use.
    pub(crate) fn look_after(
        &mut self,
        authority: &Authority,
        pinned: &PinnedAuthority,
        now: UnixTime,
    ) -> Result<(), KeeperError> {
        let taken = self.take_up(authority, pinned, now);
        self.end_expired(authority, pinned, now)?;
        self.prove(authority, now)?;
        if pinned.delegates == DelegateSource::Requested {
            self.ask(authority, pinned, now)?;
        }
        taken
    }

    fn certificate_folder(&self, name: &str) -> PathBuf {
        self.folders.publication.join("responder").join(name)
    }

    fn request_path(&self, name: &str, key: SpkiHash) -> PathBuf {
        self.folders.outbox.join("responder").join(name).join(format!("{key}.req"))
    }

    fn key_folder(&self, name: &str) -> PathBuf {
        self.folders.state.join("delegates").join(name)
    }

    /// Takes up certificates that have been pushed since the last look.
    fn take_up(
        &mut self,
        authority: &Authority,
        pinned: &PinnedAuthority,
        now: UnixTime,
    ) -> Result<(), KeeperError> {
        let folder = self.certificate_folder(&authority.name);
        let mut outcome = Ok(());
        for path in files(&folder, "cer")? {
            let facts = fs::metadata(&path).map_err(|source| io_error(&path, source))?;
            let mark = (facts.len(), facts.modified().ok());
            let seen = self.seen.get(&path).filter(|seen| seen.mark == mark).copied();
            if seen.is_some_and(|seen| seen.again.is_none_or(|again| now < again)) {
                continue;
            }
            match self.take_up_one(&path, authority, pinned, now) {
                // The token may be away: look again.
                Err(KeeperError::Token(error)) => return Err(KeeperError::Token(error)),
                // An operator may mend the file: look again.
                Err(KeeperError::Memory(error)) => outcome = outcome.and(Err(error.into())),
                Ok(Taken::KeyAway) => {}
                Ok(Taken::KeyNotFound) => {
                    self.seen.insert(path, Seen::not_now(mark, seen, now));
                }
                Err(error) if !error.lies_in_the_bytes() => {
                    self.seen.insert(path, Seen::not_now(mark, seen, now));
                    outcome = outcome.and(Err(error));
                }
                result => {
                    let settled = Seen { mark, again: None, pause: Duration::ZERO };
                    self.seen.insert(path, settled);
                    outcome = outcome.and(result.map(|_| ()));
                }
            }
        }
        outcome
    }

    fn take_up_one(
        &mut self,
        path: &Path,
        authority: &Authority,
        pinned: &PinnedAuthority,
        now: UnixTime,
    ) -> Result<Taken, KeeperError> {
        let max = u64::try_from(Certificate::MAX_OCTETS).unwrap_or(u64::MAX);
        let bytes = durable::read(path, max).map_err(|source| io_error(path, source))?;
        let Some(bytes) = bytes else { return Ok(Taken::Settled) };
        let certificate = Certificate::from_der(&bytes)
            .map_err(|source| KeeperError::Certificate { path: path.to_owned(), source })?;
        let key = certificate.public_key().spki_hash();
        let known = self.delegates.of(&authority.name);
        if known.iter().any(|delegate| delegate.certificate == certificate) {
            return Ok(Taken::Settled);
        }
        let name = &authority.name;
        if certificate.validity().not_after() <= now
            && certificate.verify_signed_by(authority.certificate.public_key()).is_ok()
        {
            // It ended while this program did not run.
            self.memory.destroy(name, key)?;
        }
        let memory = self.memory.open(name, key)?;
        // By its hash: not every token tells the public halves of its keys.
        if memory.is_none() && self.token.key_by_hash(key)?.is_none() {
            return Ok(self.not_shown(name, key));
        }
        let max_lifetime = match pinned.delegates {
            DelegateSource::Requested => Some(MAX_LIFETIME),
            DelegateSource::Ceremony | DelegateSource::Shared => None,
        };
        judge(&certificate, authority, max_lifetime, self.timing.validity, now)
            .map_err(|source| KeeperError::Delegate { path: path.to_owned(), source })?;
        let signer = if let Some(key) = memory {
            DelegateSigner { place: KeyPlace::ProcessMemory, service: Arc::new(key) }
        } else {
            match self.signer.add(&self.token, certificate.public_key(), KeyPolicy::answering()) {
                Err(error) if is_missing(&error) => return Ok(self.not_shown(name, key)),
                added => added?,
            }
            let service: Arc<dyn SigningService> = self.signer.clone();
            DelegateSigner { place: KeyPlace::Token, service }
        };
        let counter = Counter::open(&self.folders.state.join("counters"), key)?;
        tracing::info!(
            authority.name = name,
            key.spki = %key,
            key.place = signer.place.name(),
            certificate.not_after = %certificate.validity().not_after(),
            "delegate certificate taken up"
        );
        let mut delegates: Vec<_> =
            known.into_iter().filter(|delegate| delegate.spki() != key).collect();
        delegates.push(Arc::new(Delegate::proven(certificate, counter, signer)));
        self.delegates.set(name, delegates);
        self.asked.remove(name);
        remove(&self.request_path(name, key))?;
        Ok(Taken::Settled)
    }

    /// Ends delegates whose certificates have run out.
    fn end_expired(
        &mut self,
        authority: &Authority,
        pinned: &PinnedAuthority,
        now: UnixTime,
    ) -> Result<(), KeeperError> {
        let (live, ended): (Vec<_>, Vec<_>) = self
            .delegates
            .of(&authority.name)
            .into_iter()
            .partition(|delegate| delegate.not_after() > now);
        if ended.is_empty() {
            return Ok(());
        }
        self.delegates.set(&authority.name, live);
        for delegate in ended {
            self.signer.remove(&delegate.spki());
            delegate.counter.settle()?;
            tracing::info!(authority.name = authority.name, key.spki = %delegate.spki(),
                "delegate ended");
            match (delegate.signer.place, pinned.delegates) {
                (KeyPlace::ProcessMemory, _) => {
                    self.memory.destroy(&authority.name, delegate.spki())?;
                }
                (KeyPlace::Token, DelegateSource::Requested) => {
                    self.token.destroy_key(delegate.key())?;
                    let known = format!("{}.spki", delegate.spki());
                    remove(&self.key_folder(&authority.name).join(known))?;
                }
                (KeyPlace::Token, DelegateSource::Ceremony | DelegateSource::Shared) => {}
            }
        }
        Ok(())
    }

    /// Has the key that signs for the CA prove itself where no answer shows whether it does, and its
    /// token is not known to be away. A key that is gone from a token that works is given up.
    fn prove(&mut self, authority: &Authority, now: UnixTime) -> Result<(), KeeperError> {
        let own = std::slice::from_ref(&authority.name);
        let Some(delegate) = self.delegates.choose(own, &[], now) else { return Ok(()) };
        if delegate.signer.service.within_reach(&delegate.spki()).is_err()
            || !delegate.health.ask_for_proof(Instant::now())
        {
            return Ok(());
        }
        match delegate.prove() {
            Err(AnswerSignError::Key(error))
                if is_missing(&error) && self.is_gone(delegate.key()) =>
            {
                self.give_up(authority, &delegate)
            }
            // What it fails with otherwise is kept for readiness, and told in the log.
            _ => Ok(()),
        }
    }

    /// Ends a delegate whose key is gone from the token, so that another is asked for. Its certificate is
    /// looked at again, as a stranger's is: the key may be back one day, as from another backup.
    fn give_up(&mut self, authority: &Authority, gone: &Delegate) -> Result<(), KeeperError> {
        let (name, key) = (&authority.name, gone.spki());
        tracing::error!(problem.code = "hsm-key-missing", authority.name = name, key.spki = %key,
            "delegate key is gone from a token that works; the delegate is given up");
        let mut left = self.delegates.of(name);
        left.retain(|delegate| delegate.spki() != key);
        self.delegates.set(name, left);
        self.signer.remove(&key);
        let certificates = self.certificate_folder(name);
        self.seen.retain(|path, _| !path.starts_with(&certificates));
        remove(&self.key_folder(name).join(format!("{key}.spki")))?;
        gone.counter.settle()?;
        Ok(())
    }

    /// Asks for a certificate where one is needed.
    fn ask(
        &mut self,
        authority: &Authority,
        pinned: &PinnedAuthority,
        now: UnixTime,
    ) -> Result<(), KeeperError> {
        let (key_type, place) = (pinned.delegate_key.key_type(), pinned.delegate_key_place);
        let delegates = self.delegates.of(&authority.name);
        let live: Vec<((KeyType, KeyPlace), Validity)> = delegates
            .iter()
            .map(|delegate| {
                let kind = (delegate.key().key_type(), delegate.signer.place);
                (kind, delegate.certificate.validity())
            })
            .collect();
        if !is_due(&live, &(key_type, place), now, Timing::DELEGATES_RENEWED_AFTER) {
            return Ok(());
        }
        let used: HashSet<SpkiHash> = delegates.iter().map(|delegate| delegate.spki()).collect();
        let key = match place {
            KeyPlace::Token => {
                WaitingKey::Token(match self.waiting_key(&authority.name, key_type, &used)? {
                    Some(key) => key,
                    None => self.make_key(&authority.name, key_type, now)?,
                })
            }
            KeyPlace::ProcessMemory => {
                WaitingKey::Memory(match self.memory.waiting(&authority.name, key_type, &used)? {
                    Some(key) => key,
                    None => self.memory.make(&authority.name, key_type)?,
                })
            }
        };
        let hash = key.public().spki_hash();
        let path = self.request_path(&authority.name, hash);
        let asked = self.asked.get(&authority.name).copied();
        if asked.is_some_and(|asked| now.since(asked.at) < asked.pause) && path.exists() {
            return Ok(());
        }
        let subject = Name::builder()
            .with(AttributeType::CommonName, "Sigill OCSP delegate")
            .map_err(|_| KeeperError::Subject)?
            .build();
        let request = match &key {
            WaitingKey::Token(key) => self.token.certification_request(key, &subject)?,
            WaitingKey::Memory(key) => key.certification_request(&subject)?,
        };
        let body = ResponderRequestBody {
            deployment: self.deployment.to_string(),
            authority: authority.certificate.fingerprint(),
            identity: self.identity.spki_hash(),
            counter: self.next_counter(now)?,
            time: now,
            request: request.as_der().to_vec(),
        };
        let signed = self.token.responder_request(&self.identity, &body)?;
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        durable::replace(&path, signed.as_der()).map_err(|source| io_error(&path, source))?;
        let pause = asked.map_or(ASK_AGAIN, |last| last.pause.saturating_mul(2).min(LONGEST_PAUSE));
        self.asked.insert(authority.name.clone(), Asked { at: now, pause });
        tracing::info!(authority.name = authority.name, key.spki = %hash,
            key.place = place.name(), request.counter = body.counter, "delegate certificate asked for");
        Ok(())
    }

    /// A key of ours that was made for the CA and has no certificate in use.
    fn waiting_key(
        &self,
        name: &str,
        key_type: KeyType,
        used: &HashSet<SpkiHash>,
    ) -> Result<Option<PublicKey>, KeeperError> {
        for path in files(&self.key_folder(name), "spki")? {
            let bytes = durable::read(&path, 4096).map_err(|source| io_error(&path, source))?;
            let key = bytes.and_then(|bytes| PublicKey::from_spki_der(&bytes).ok());
            let fits =
                |key: &PublicKey| key.key_type() == key_type && !used.contains(&key.spki_hash());
            if let Some(key) = key.filter(fits) {
                match self.token.prove(&key) {
                    Ok(()) => return Ok(Some(key)),
                    // Gone from the token: a certificate for it would be of no use. A token that is
                    // going away may show no keys as well, before it is known to be lost.
                    Err(error) if is_missing(&error) && self.is_gone(&key) => {
                        remove(&path)?;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(None)
    }

    /// Whether a key that was not found is not in a token that works: which shows the identity key and
    /// private keys, and still not this one. Its public half may have stayed.
    fn is_gone(&self, key: &PublicKey) -> bool {
        let identity = self.token.key_by_hash(self.identity.spki_hash());
        matches!(identity, Ok(Some(_)))
            && self.token.keys().is_ok_and(|keys| !keys.is_empty())
            && self.token.prove(key).is_err_and(|error| is_missing(&error))
            && self.token.state().lost_for.is_none()
    }

    /// What becomes of a certificate whose key the token does not show.
    fn not_shown(&self, name: &str, key: SpkiHash) -> Taken {
        let ours = self.key_folder(name).join(format!("{key}.spki")).exists();
        if ours { Taken::KeyAway } else { Taken::KeyNotFound }
    }

    fn make_key(
        &self,
        name: &str,
        key_type: KeyType,
        now: UnixTime,
    ) -> Result<PublicKey, KeeperError> {
        let order = KeyOrder {
            key_type,
            label: format!("ocsp delegate {name}"),
            id: KeyId::of_step(self.identity.spki_hash().as_bytes(), &format!("{name}/{now}")),
            removal: Removal::Allowed,
        };
        let key = self.token.generate_key(order, MAKE_KEY_WITHIN)?;
        let folder = self.key_folder(name);
        make_folder(&folder)?;
        let path = folder.join(format!("{}.spki", key.spki_hash()));
        durable::replace(&path, key.spki_der()).map_err(|source| io_error(&path, source))?;
        Ok(key)
    }

    /// The next counter of the identity key, durable before it is used. Never below the time in
    /// seconds, so that a lost state folder does not lead below what was used before.
    fn next_counter(&self, now: UnixTime) -> Result<u64, KeeperError> {
        let path = self.folders.state.join("request.count");
        let bytes = durable::read(&path, 32).map_err(|source| io_error(&path, source))?;
        let last: u64 = match &bytes {
            None => 0,
            Some(bytes) => std::str::from_utf8(bytes)
                .ok()
                .and_then(|text| text.trim_end().parse().ok())
                .ok_or_else(|| io_error(&path, io::ErrorKind::InvalidData.into()))?,
        };
        let next = last.saturating_add(1).max(now.secs());
        durable::replace(&path, format!("{next}\n").as_bytes())
            .map_err(|source| io_error(&path, source))?;
        Ok(next)
    }
}

/// Whether the token is there and shows no such private key.
const fn is_missing(error: &SignError) -> bool {
    matches!(error, SignError::Key(FindKeyError::Missing { .. }))
}

/// The files of a folder that end so, sorted; none where there is no folder.
fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, KeeperError> {
    let listing = match fs::read_dir(folder) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error(folder, error)),
    };
    let mut found = Vec::new();
    for entry in listing {
        let path = entry.map_err(|source| io_error(folder, source))?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn make_folder(folder: &Path) -> Result<(), KeeperError> {
    fs::create_dir_all(folder).map_err(|source| io_error(folder, source))
}

fn remove(path: &Path) -> Result<(), KeeperError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    /// A certificate whose key is not shown is looked at again, more and more rarely, and never given up.
    #[test]
    fn a_certificate_whose_key_is_not_shown_is_looked_at_again() {
        let (mark, mut now, mut seen) = ((1, None), at(1_800_000_000), None);
        let pauses = [20, 40, 80, 160, 320, 600, 600].map(|secs| {
            let next = Seen::not_now(mark, seen, now);
            assert_eq!(next.again.map(|again| again.since(now)), Some(Duration::from_secs(secs)));
            now = next.again.unwrap();
            seen = Some(next);
            next.pause.as_secs()
        });
        assert_eq!(pauses, [20, 40, 80, 160, 320, 600, 600]);
    }
}
