//! Keeps one outer host abreast: the log first, then what stands beside it, then what the host asks for.

mod log;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use host::vital;
use ledger::checkpoint::CheckpointNote;
use ledger::note::NotePublicKey;
use ledger::origin::LogOrigin;
use ledger::tile::TilePath;
use rustls::ClientConfig;
use sha2::{Digest as _, Sha256};
use status::{OutboxPath, PublicationPath};
use store::Store;

use super::connection::{CONNECT_TIMEOUT, Connection, FileBody, MAX_LISTING};
use super::error::PushError;
use super::hosts::OuterHosts;
use super::lists;
use super::settings::HostSection;
use crate::publication::crl_files::CrlFiles;
use crate::publication::files::{LogFolder, replace};
use crate::publication::{PublicationState, chain};
use crate::service::recovery;

/// How often the tree is looked at: with the publisher's own gap a revocation is outside within half a second.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often files beside the log are looked at, and the host's outbox.
const FILES_EVERY: Duration = Duration::from_millis(500);
/// A file that was refused is sent again after this, or once it has changed.
const REFUSED_AGAIN: Duration = Duration::from_secs(60);
/// Files of answers that are sent before the log is looked at again.
const PRESIGNED_AT_ONCE: usize = 64;
/// The shortest and the longest pause after a failure.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));
/// How long the end of the program waits for the hosts to have the last checkpoint. Another node waits as long for
/// the tree, which is this one's until then.
const STOP_WITHIN: Duration = Duration::from_secs(5);
/// Requests of one host that are kept.
const MAX_REQUESTS: usize = 1024;

/// What all hosts' threads share.
pub(crate) struct Feed {
    pub(super) store: Arc<dyn Store>,
    pub(super) origin: LogOrigin,
    pub(super) key: NotePublicKey,
    pub(super) folder: LogFolder,
    pub(super) outbox: PathBuf,
    pub(super) hosts: Vec<(HostSection, Arc<ClientConfig>)>,
    pub(super) state: Arc<OuterHosts>,
    /// What is listed in the publication tree.
    pub(super) lists: Arc<CrlFiles>,
}

impl Feed {
    /// How the hosts are.
    pub(crate) fn state(&self) -> Arc<OuterHosts> {
        Arc::clone(&self.state)
    }

    /// A connection to a host.
    pub(super) async fn connect(
        &self,
        section: &HostSection,
        tls: &Arc<ClientConfig>,
    ) -> Result<Connection, PushError> {
        Connection::open(section, tls, &self.origin.deployment.to_string()).await
    }

    /// The checkpoint that a host has; only one of ours is an answer.
    pub(super) async fn checkpoint_of(
        &self,
        connection: &mut Connection,
    ) -> Result<Option<(CheckpointNote, Vec<u8>)>, PushError> {
        let path = PublicationPath::Checkpoint;
        let bytes = connection.get(&format!("publish/{path}"), path.max_octets()).await?;
        let Some(bytes) = bytes else { return Ok(None) };
        let note = CheckpointNote::open(&bytes, self.key).map_err(PushError::Foreign)?;
        let found = &note.checkpoint().origin;
        if *found != self.origin {
            let (found, ours) = (found.to_string(), self.origin.to_string());
            return Err(PushError::OtherLog { found, ours });
        }
        Ok(Some((note, bytes)))
    }
}

/// The threads, until they are stopped.
pub(crate) struct Pushing {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Pushing {
    /// Ends the threads; the publisher has written its last checkpoint before. A host that has not had it by
    /// then is told of and left: a slow one keeps no program from its end, and no restart from its beginning.
    pub(crate) fn stop(self) {
        self.stop_within(STOP_WITHIN);
    }

    fn stop_within(self, limit: Duration) {
        self.stop.store(true, Ordering::Relaxed);
        let until = Instant::now() + limit;
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(10));
            }
            if thread.is_finished() {
                let _ended = thread.join();
                continue;
            }
            let name = thread.thread().name().unwrap_or_default();
            tell_unsent(name.strip_prefix(THREAD_PREFIX).unwrap_or(name));
        }
    }
}

/// A thread's name is this and the host's.
const THREAD_PREFIX: &str = "push ";

fn tell_unsent(host: &str) {
    tracing::warn!(
        host.name = host,
        "outer host has not had the last checkpoint yet; it gets it after the next start"
    );
}

/// Starts a thread for each host.
///
/// # Errors
///
/// The operating system's, when no thread or runtime can be made.
pub(crate) fn start(
    feed: Option<Feed>,
    publication: &Arc<PublicationState>,
) -> io::Result<Pushing> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    let Some(feed) = feed.map(Arc::new) else { return Ok(Pushing { stop, threads }) };
    for (section, tls) in feed.hosts.iter().cloned() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for code in PushError::CODES {
            let host = section.name.clone();
            metrics::counter!("sigill_push_failures_total", "host" => host, "code" => code)
                .absolute(0);
        }
        let (feed, stop) = (Arc::clone(&feed), Arc::clone(&stop));
        let name = format!("{THREAD_PREFIX}{}", section.name);
        let mut host = Host::new(feed, section, tls, Arc::clone(publication));
        threads.push(vital::spawn(&name, move || runtime.block_on(host.run(&stop)))?);
    }
    Ok(Pushing { stop, threads })
}

/// What tells that a file is another than before.
type Seen = (u64, i64, i64, u64);

/// Whether a host has told the numbers of the CRLs that it serves since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Numbers {
    Unasked,
    /// It was asked then, and what it said tells none.
    Untold {
        asked: Instant,
    },
    Known,
}

/// One host.
struct Host {
    feed: Arc<Feed>,
    section: HostSection,
    tls: Arc<ClientConfig>,
    /// Whether this node publishes: another one's tree is not this one's to push.
    publication: Arc<PublicationState>,
    /// The checkpoint that the host took last.
    taken: Option<Vec<u8>>,
    /// Whole tiles that the host has beyond it: a push that breaks off goes on behind them.
    carried: BTreeSet<TilePath>,
    /// When the host last had the checkpoint that is published here.
    abreast: Instant,
    /// Files beside the log that the host has, or has refused at that time.
    sent: BTreeMap<PublicationPath, (Seen, Option<Instant>)>,
    /// Hashes of its requests that lie in our outbox.
    requests: BTreeMap<OutboxPath, String>,
    /// Whether the numbers of the CRLs that it serves are known.
    numbers: Numbers,
    /// What it failed with last, so that it is told once.
    failure: Option<String>,
}

impl Host {
    fn new(
        feed: Arc<Feed>,
        section: HostSection,
        tls: Arc<ClientConfig>,
        publication: Arc<PublicationState>,
    ) -> Self {
        Self {
            feed,
            section,
            tls,
            publication,
            taken: None,
            carried: BTreeSet::new(),
            abreast: Instant::now(),
            sent: BTreeMap::new(),
            requests: BTreeMap::new(),
            numbers: Numbers::Unasked,
            failure: None,
        }
    }

    /// Sessions until one has ended well, which is after the last checkpoint was taken. An order to stop finds
    /// the host in a pause, too, or breaks off with its session: it is then tried once more.
    async fn run(&mut self, stop: &AtomicBool) {
        let (shortest, longest) = PAUSES;
        let mut pause = shortest;
        while !self.feed.state.is_contradicted() {
            let is_last = stop.load(Ordering::Relaxed);
            let begun = Instant::now();
            match self.session(stop).await {
                Ok(()) => return,
                Err(error) => self.tell_failure(&error),
            }
            self.observe();
            if is_last {
                tell_unsent(&self.section.name);
                return;
            }
            // A connection that held for a while is worth another try at once.
            pause = if begun.elapsed() > longest + CONNECT_TIMEOUT { shortest } else { pause };
            let until = Instant::now() + pause;
            while Instant::now() < until && !self.is_over(stop) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            pause = (pause * 2).min(longest);
        }
    }

    /// Nothing more is sent: the program ends, or a host has what the database has not. What this database
    /// would say then is not for any host.
    fn is_over(&self, stop: &AtomicBool) -> bool {
        stop.load(Ordering::Relaxed) || self.feed.state.is_contradicted()
    }

    fn tell_failure(&mut self, error: &PushError) {
        let (host, text) = (self.section.name.clone(), chain(error));
        let code = error.code();
        metrics::counter!("sigill_push_failures_total", "host" => host, "code" => code)
            .increment(1);
        if self.failure.as_ref() != Some(&text) {
            tracing::error!(
                problem.code = code,
                host.name = self.section.name,
                error = text,
                "outer host is not pushed to; it is tried again, the others and issuing go on"
            );
            self.failure = Some(text);
        }
    }

    /// One connection, until it breaks off or the program ends.
    async fn session(&mut self, stop: &AtomicBool) -> Result<(), PushError> {
        let feed = Arc::clone(&self.feed);
        let mut connection = feed.connect(&self.section, &self.tls).await?;
        let there = feed.checkpoint_of(&mut connection).await?;
        self.read_back(there.as_ref().map(|(note, _)| note))?;
        self.learn_numbers(&mut connection).await?;
        let mut size = there.as_ref().map_or(0, |(note, _)| note.checkpoint().size);
        self.taken = there.map(|(_, bytes)| bytes);
        let listing = connection.get("inventory", MAX_LISTING).await?.unwrap_or_default();
        let inventory: BTreeMap<String, String> = rows(&listing)?.into_iter().collect();
        self.sent.clear();
        self.requests = requests_in(&self.requests_folder())?;
        let mut files_at = None;
        let mut is_new = true;
        while !self.is_over(stop) {
            if !self.publication.is_ours() {
                // Who publishes pushes. What this node's folder has is older, or another's to send.
                self.abreast = Instant::now();
                self.observe();
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
            // A log that is refused keeps neither CRLs from the host nor requests from the CA.
            let pushed = match self.push_log(&mut connection, size).await {
                Err(error) if !matches!(error, PushError::Refused { .. }) => return Err(error),
                pushed => pushed,
            };
            if files_at.is_none_or(|at: Instant| at.elapsed() >= FILES_EVERY) {
                self.learn_numbers(&mut connection).await?;
                self.push_files(&mut connection, &inventory).await?;
                self.collect(&mut connection).await?;
                files_at = Some(Instant::now());
            }
            size = pushed?;
            self.observe();
            if std::mem::take(&mut is_new) {
                self.failure = None;
                tracing::info!(
                    host.name = self.section.name,
                    log.size = size,
                    "outer host is pushed to"
                );
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if !feed.state.is_contradicted() && self.publication.is_ours() {
            // What was published while the program was ending.
            self.push_log(&mut connection, size).await?;
        }
        Ok(())
    }

    /// Learns the numbers of the CRLs that the host serves, unless it has told them. An answer that tells none keeps no log from it:
    /// numbers of lists that are made here go by the time as well. It is asked again after a while.
    async fn learn_numbers(&mut self, connection: &mut Connection) -> Result<(), PushError> {
        let (feed, host) = (Arc::clone(&self.feed), self.section.name.clone());
        match self.numbers {
            Numbers::Known => return Ok(()),
            Numbers::Untold { asked } if asked.elapsed() < REFUSED_AGAIN => return Ok(()),
            Numbers::Unasked | Numbers::Untold { .. } => {}
        }
        let error = match lists::learn_numbers(&feed, &host, connection).await {
            Ok(()) => {
                self.numbers = Numbers::Known;
                return Ok(());
            }
            Err(
                error @ (PushError::ForeignManifest(_)
                | PushError::Unexpected { .. }
                | PushError::LongAnswer { .. }
                | PushError::Refused { .. }),
            ) => error,
            Err(error) => return Err(error),
        };
        self.tell_failure(&error);
        self.numbers = Numbers::Untold { asked: Instant::now() };
        // The answer may not have been read to its end.
        *connection = feed.connect(&self.section, &self.tls).await?;
        Ok(())
    }

    /// Compares the log of a host that was away at the start with the database. Nothing is sent before that:
    /// CRLs of a database that is too old would take the place of newer ones.
    fn read_back(&self, there: Option<&CheckpointNote>) -> Result<(), PushError> {
        let Feed { store, state, .. } = &*self.feed;
        let host = &self.section.name;
        if state.is_read(host) {
            return Ok(());
        }
        if let Err(error) = recovery::compare(store.as_ref(), there) {
            if error.code() == "published-ahead" || error.code() == "logs-disagree" {
                state.contradict(format!("outer host {host}: {}", chain(&error)));
            }
            return Err(PushError::NotCompared(error));
        }
        state.has_read(host);
        tracing::info!(host.name = host, "outer host was read back");
        Ok(())
    }

    /// Sends certificates and CRLs that the host has not, and the manifest after them.
    async fn push_files(
        &mut self,
        connection: &mut Connection,
        inventory: &BTreeMap<String, String>,
    ) -> Result<(), PushError> {
        let mut files = BTreeSet::<PublicationPath>::new();
        for part in ["aia", "crl", "responder", "presigned"] {
            walk(&self.feed.folder.0, part, &mut files)?;
        }
        files.insert(PublicationPath::TestCertificates);
        let mut presigned_left = PRESIGNED_AT_ONCE;
        // In the order of the kinds: the manifest after the lists, what shows what they say after it, and answers signed beforehand last.
        for path in &files {
            if matches!(path, PublicationPath::Presigned(_)) && presigned_left == 0 {
                // The log goes first again, which all of them are believed by.
                break;
            }
            if *path == PublicationPath::CrlManifest && files.iter().any(|one| self.refuses(one)) {
                // The host's own names the lists that it has; ours would name one that it has not.
                continue;
            }
            let file = self.feed.folder.0.join(path.to_string());
            let Ok(facts) = fs::metadata(&file) else { continue };
            let seen = (facts.len(), facts.mtime(), facts.mtime_nsec(), facts.ino());
            let known = self.sent.get(path);
            let again = |at: &Instant| at.elapsed() >= REFUSED_AGAIN;
            if known.is_some_and(|(was, at)| *was == seen && !at.as_ref().is_some_and(again)) {
                continue;
            }
            let is_there = known.is_none() && {
                let name = path.to_string();
                inventory.get(&name).is_some_and(|hash| hash_of(&file).as_ref().ok() == Some(hash))
            };
            let mut refused_at = None;
            if !is_there {
                if matches!(path, PublicationPath::Presigned(_)) {
                    presigned_left -= 1;
                }
                let body = FileBody::open(&file).map_err(PushError::local(&file))?;
                match connection.put(path, body).await {
                    Ok(()) => {}
                    Err(error @ PushError::Refused { .. }) => {
                        // One file that is refused must not keep the log from the host.
                        self.tell_failure(&error);
                        refused_at = Some(Instant::now());
                    }
                    Err(error) => return Err(error),
                }
            }
            self.sent.insert(path.clone(), (seen, refused_at));
            self.observe();
        }
        Ok(())
    }

    /// Whether the host has refused this CRL, so that it is without it for now.
    fn refuses(&self, path: &PublicationPath) -> bool {
        let refused = self.sent.get(path).is_some_and(|(_, refused_at)| refused_at.is_some());
        matches!(path, PublicationPath::Crl(_)) && refused
    }

    /// Where its requests lie: a folder of its own, so that no host can take the place of another's requests.
    fn requests_folder(&self) -> PathBuf {
        self.feed.outbox.join("from").join(&self.section.name)
    }

    /// Fetches the requests of the host's responder. What it lists no more goes first, so that never more
    /// than [`MAX_REQUESTS`] lie here, whatever it lists and however often it breaks off.
    async fn collect(&mut self, connection: &mut Connection) -> Result<(), PushError> {
        let listing = connection.get("outbox", MAX_LISTING).await?.unwrap_or_default();
        let folder = self.requests_folder();
        let mut listed = BTreeMap::new();
        for (name, hash) in rows(&listing)?.into_iter().take(MAX_REQUESTS) {
            let path: OutboxPath =
                name.parse().map_err(|_| PushError::Unexpected { what: "no name of a request" })?;
            listed.insert(path, hash);
        }
        drop_unlisted(&folder, &mut self.requests, &listed)?;
        for (path, hash) in listed {
            if self.requests.get(&path) == Some(&hash) {
                continue;
            }
            let bytes = connection.get(&format!("outbox/{path}"), OutboxPath::MAX_OCTETS).await?;
            // One that was replaced or removed meanwhile is listed otherwise next time.
            let Some(bytes) = bytes.filter(|bytes| hex(&Sha256::digest(bytes)) == hash) else {
                continue;
            };
            let file = folder.join(path.to_string());
            replace(&file, &bytes).map_err(PushError::local(&file))?;
            self.requests.insert(path, hash);
        }
        Ok(())
    }

    /// Puts how the host is into the metrics, and tells of one that falls behind or comes back.
    fn observe(&self) {
        let behind = self.abreast.elapsed();
        let host = self.section.name.clone();
        metrics::gauge!("sigill_push_behind_seconds", "host" => host).set(behind.as_secs_f64());
        let is_behind = behind > self.section.behind_after();
        if !self.feed.state.tell_behind(&self.section.name, is_behind) {
            return;
        }
        if is_behind {
            tracing::error!(
                problem.code = "outer-host-behind",
                host.name = self.section.name,
                behind.seconds = behind.as_secs(),
                "outer host has not the last checkpoint; after its freshness it answers tryLater"
            );
        } else {
            tracing::info!(host.name = self.section.name, "outer host is abreast again");
        }
    }
}

/// Names and hashes of a listing, a line each.
fn rows(listing: &[u8]) -> Result<Vec<(String, String)>, PushError> {
    let unexpected = || PushError::Unexpected { what: "no listing" };
    let text = std::str::from_utf8(listing).map_err(|_| unexpected())?;
    let row =
        |line: &str| line.split_once(' ').map(|(hash, name)| (name.to_owned(), hash.to_owned()));
    text.lines().map(|line| row(line).ok_or_else(unexpected)).collect()
}

/// The requests that lie in a folder, with their hashes: also those that an earlier start or connection left.
fn requests_in(folder: &Path) -> Result<BTreeMap<OutboxPath, String>, PushError> {
    let mut found = BTreeSet::new();
    walk(folder, "responder", &mut found)?;
    // One that cannot be read has no hash, and is fetched anew.
    let hashed = |path: OutboxPath| {
        let hash = hash_of(&folder.join(path.to_string())).unwrap_or_default();
        (path, hash)
    };
    Ok(found.into_iter().map(hashed).collect())
}

/// Removes the requests that are not listed, and the folders that are empty then.
fn drop_unlisted(
    folder: &Path,
    requests: &mut BTreeMap<OutboxPath, String>,
    listed: &BTreeMap<OutboxPath, String>,
) -> Result<(), PushError> {
    let mut gone = Vec::new();
    requests.retain(|path, _| {
        let stays = listed.contains_key(path);
        if !stays {
            gone.push(folder.join(path.to_string()));
        }
        stays
    });
    for file in gone {
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(PushError::local(file)(error));
            }
            // It refuses as long as something lies in it.
            _ => drop(file.parent().map(fs::remove_dir)),
        }
    }
    Ok(())
}

/// Finds the files below `folder/part`; what has no name of ours is on its way, or not ours.
fn walk<P: FromStr + Ord>(
    folder: &Path,
    part: &str,
    found: &mut BTreeSet<P>,
) -> Result<(), PushError> {
    let path = folder.join(part);
    let entries = match fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(PushError::local(&path))?,
    };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{part}/{name}");
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(folder, &name, found)?;
        } else if let Ok(path) = name.parse() {
            found.insert(path);
        }
    }
    Ok(())
}

fn hash_of(file: &Path) -> io::Result<String> {
    let mut bytes = fs::File::open(file)?;
    let mut hash = Sha256::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let count = io::Read::read(&mut bytes, &mut chunk)?;
        if count == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(chunk.get(..count).unwrap_or_default());
    }
}

fn hex(octets: &[u8]) -> String {
    base16ct::lower::encode_string(octets)
}

#[cfg(test)]
mod tests;
