//! The publication folder as its receiver keeps it: files are put into place whole, after they were judged.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use host::durable;
use ledger::Timestamp;
use ledger::checkpoint::CheckpointNote;
use ledger::follow::{FollowRules, verify_advance};
use ledger::manifest::Manifest;
use ledger::note::NotePublicKey;
use ledger::tile::{self, TileKind, TilePath, Width};
use sha2::{Digest as _, Sha256};
use status::{OutboxPath, PublicationPath};
use thiserror::Error;
use x509::time::UnixTime;

use super::refused::Refused;
use super::room::Room;
use super::settings::default_most_unproven;
use crate::authority::hex;
use crate::config::{Config, PinnedAuthority};
use crate::follow::Folder;

/// Where files lie while they arrive; on the file system of the tree, and no part of it.
const INCOMING: &str = ".incoming";
/// A partial tile stays this long after a larger one took its place: the follower may have read the
/// older checkpoint.
const PARTIAL_TILE_STAYS: Duration = Duration::from_secs(60);
/// A full tile beyond the trusted checkpoint stays this long at least: its checkpoint follows it within seconds, or it never does.
const TILE_AHEAD_STAYS: Duration = Duration::from_secs(3600);
/// Files that a listing shows: more is no outbox and no tree of ours.
const MAX_LISTED: usize = 100_000;

/// The publication folder, the outbox, and what is trusted of the log.
pub(crate) struct Tree {
    folder: PathBuf,
    outbox: PathBuf,
    rules: FollowRules,
    manifest_key: NotePublicKey,
    is_test: bool,
    authorities: Vec<PinnedAuthority>,
    log: Mutex<Log>,
    sequence: AtomicU64,
}

/// What is known of the log in the folder.
struct Log {
    /// The latest checkpoint that was judged good, here or by the follower.
    trusted: Option<CheckpointNote>,
    /// Partial tiles that were put into place, to be removed when larger ones have taken their place.
    partial: VecDeque<(Instant, TilePath)>,
    /// Full tiles that came before their checkpoint, to be removed where none has come for them.
    ahead: VecDeque<(Instant, TilePath)>,
    /// What lies there on the word of whoever pushed it.
    room: Room,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It is in place now.
    New,
    /// It was there, byte for byte.
    Same,
}

impl Tree {
    /// Opens the folder; what arrived only in part before is removed.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when the folder cannot be used.
    pub(crate) fn open(config: &Config, rules: FollowRules) -> Result<Self, TreeError> {
        let incoming = config.publication.join(INCOMING);
        let of = |path: &Path| {
            let path = path.to_owned();
            move |source| TreeError { path, source }
        };
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(of(&incoming)(error));
            }
            _ => {}
        }
        fs::create_dir_all(&incoming).map_err(of(&incoming))?;
        fs::create_dir_all(&config.outbox).map_err(of(&config.outbox))?;
        let stored = [config.state.join("checkpoint"), config.publication.join("checkpoint")];
        let mut trusted = None;
        for path in stored {
            let max = PublicationPath::Checkpoint.max_octets();
            let bytes = durable::read(&path, max).map_err(of(&path))?;
            let note = bytes.and_then(|bytes| CheckpointNote::open(&bytes, rules.key).ok());
            let note = note.filter(|note| note.checkpoint().origin == rules.origin);
            let place = |note: &CheckpointNote| (note.checkpoint().size, note.timestamp());
            trusted = [trusted, note].into_iter().flatten().max_by_key(place);
        }
        let most = config.receive.as_ref().map(|receive| receive.most_unproven);
        let most = most.unwrap_or_else(default_most_unproven);
        let tree = Self {
            folder: config.publication.clone(),
            outbox: config.outbox.clone(),
            rules,
            manifest_key: config.manifest_key,
            is_test: config.is_test(),
            authorities: config.authorities.clone(),
            log: Mutex::new(Log {
                room: Room::new(most),
                trusted,
                partial: VecDeque::new(),
                ahead: VecDeque::new(),
            }),
            sequence: AtomicU64::new(0),
        };
        tree.measure().map_err(of(&config.publication))?;
        Ok(tree)
    }

    /// Counts what lies there that no trusted checkpoint covers.
    fn measure(&self) -> io::Result<()> {
        let mut log = self.log();
        let size = log.trusted.as_ref().map_or(0, |note| note.checkpoint().size);
        for part in ["aia", "crl", "responder", "presigned", "tile"] {
            measure(&self.folder, part, &mut |path, octets| {
                if let PublicationPath::Tile(tile) = path {
                    if tile.is_of_tree(size) {
                        return;
                    }
                    log.ahead.push_back((Instant::now(), tile));
                }
                log.room.put(path, octets);
            })?;
        }
        Ok(())
    }

    /// A place for a file that is arriving.
    pub(crate) fn incoming(&self) -> PathBuf {
        let number = self.sequence.fetch_add(1, Ordering::Relaxed);
        self.folder.join(INCOMING).join(number.to_string())
    }

    /// Judges the file at `arrived` and puts it into place under `path`. It is gone afterwards, taken or
    /// not.
    ///
    /// # Errors
    ///
    /// [`Refused`]; the tree is as it was.
    pub(crate) fn take(
        &self,
        path: &PublicationPath,
        arrived: &Path,
        now: UnixTime,
    ) -> Result<Taken, Refused> {
        let taken = match path {
            PublicationPath::Tile(tile) => self.take_tile(tile, arrived),
            PublicationPath::Checkpoint => self.take_checkpoint(arrived, now),
            PublicationPath::Authority(_) => {
                self.must_be_pinned(path, arrived).and_then(|()| self.place_beside(path, arrived))
            }
            PublicationPath::CrlManifest => {
                self.must_be_our_manifest(arrived).and_then(|()| self.place_beside(path, arrived))
            }
            // No other environment has test certificates.
            PublicationPath::TestCertificates if !self.is_test => Err(Refused::Path),
            // Whoever serves or answers from these judges them first.
            PublicationPath::Crl(_)
            | PublicationPath::Delegate(_)
            | PublicationPath::Presigned(_)
            | PublicationPath::TestCertificates => self.place_beside(path, arrived),
        };
        let _gone = fs::remove_file(arrived);
        taken
    }

    /// What a trusted checkpoint covers is what it is: a tile that is missing may come back, a tile with
    /// other bytes may not. Others are replaced; no checkpoint rests on them.
    fn take_tile(&self, tile: &TilePath, arrived: &Path) -> Result<Taken, Refused> {
        let path = PublicationPath::Tile(*tile);
        let bytes = read(arrived, path.max_octets())?;
        let found = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if let TileKind::Hashes(_) = tile.kind
            && found != path.max_octets()
        {
            let (path, wanted) = (path.to_string(), path.max_octets());
            return Err(Refused::TileLength { path, found, wanted });
        }
        let mut log = self.log();
        let size = log.trusted.as_ref().map_or(0, |note| note.checkpoint().size);
        if tile.is_of_tree(size)
            && let Some(there) = self.read(&path)?
        {
            return if there == bytes {
                Ok(Taken::Same)
            } else {
                Err(Refused::Altered { path: path.to_string() })
            };
        }
        if tile.is_of_tree(size) {
            return self.place(&path, arrived);
        }
        if log.room.must_have(&path, found).is_err() {
            self.sweep(&mut log, size, Instant::now());
        }
        log.room.must_have(&path, found)?;
        let taken = self.place(&path, arrived)?;
        let is_first = log.room.put(path, found);
        match tile.width {
            Width::Partial(_) => log.partial.push_back((Instant::now(), *tile)),
            // One that is sent again and again is remembered once.
            Width::Full if is_first => log.ahead.push_back((Instant::now(), *tile)),
            Width::Full => {}
        }
        Ok(taken)
    }

    /// The follower's own judgement, before the file is where the follower looks: an old or foreign
    /// checkpoint must not take the place of a good one.
    fn take_checkpoint(&self, arrived: &Path, now: UnixTime) -> Result<Taken, Refused> {
        let path = PublicationPath::Checkpoint;
        let bytes = read(arrived, path.max_octets())?;
        let clock = Timestamp::from_secs(now.secs())
            .map_err(|_| storage(&path, io::Error::other("the clock is out of range")))?;
        let mut log = self.log();
        let tiles = Folder::new(&self.folder);
        let note = verify_advance(log.trusted.as_ref(), &bytes, &self.rules, clock, &tiles)
            .map_err(Refused::Checkpoint)?;
        let size = note.checkpoint().size;
        // What the folder's own checkpoint covers was looked for when that one came.
        let before = self.read(&path)?;
        let before = before.and_then(|bytes| CheckpointNote::open(&bytes, self.rules.key).ok());
        let before = before.map_or(0, |note| note.checkpoint().size);
        let missing = tile::paths_between(before, size)
            .find(|tile| !self.folder.join(tile.to_string()).is_file());
        if let Some(tile) = missing {
            return Err(Refused::Gap { path: tile.to_string(), size });
        }
        let taken = self.place(&path, arrived)?;
        log.trusted = Some(note);
        log.room.proven(size);
        self.sweep(&mut log, size, Instant::now());
        Ok(taken)
    }

    fn must_be_pinned(&self, path: &PublicationPath, arrived: &Path) -> Result<(), Refused> {
        let name = path.authority();
        let Some(pin) = self.authorities.iter().find(|one| Some(one.name.as_str()) == name) else {
            return Ok(());
        };
        let found: [u8; 32] = Sha256::digest(read(arrived, path.max_octets())?).into();
        if found == pin.sha256 {
            return Ok(());
        }
        let (path, found, pinned) = (path.to_string(), hex(&found), hex(&pin.sha256));
        Err(Refused::Pin { path, found, pinned })
    }

    fn must_be_our_manifest(&self, arrived: &Path) -> Result<(), Refused> {
        let bytes = read(arrived, PublicationPath::CrlManifest.max_octets())?;
        let manifest = Manifest::open(&bytes, self.manifest_key).map_err(Refused::Manifest)?;
        let ours = &self.rules.origin.deployment;
        if manifest.deployment() == ours {
            return Ok(());
        }
        let (found, ours) = (manifest.deployment().to_string(), ours.to_string());
        Err(Refused::OtherManifest { found, ours })
    }

    /// Moves a file that stands beside the log to its place, if there is room for it.
    fn place_beside(&self, path: &PublicationPath, arrived: &Path) -> Result<Taken, Refused> {
        let facts = fs::metadata(arrived).map_err(|source| storage(path, source))?;
        let mut log = self.log();
        log.room.must_have(path, facts.len())?;
        let taken = self.place(path, arrived)?;
        log.room.put(path.clone(), facts.len());
        Ok(taken)
    }

    /// Moves a file that is whole and on the disk to its place.
    fn place(&self, path: &PublicationPath, arrived: &Path) -> Result<Taken, Refused> {
        let target = self.folder.join(path.to_string());
        let folder = target.parent().unwrap_or(&self.folder);
        self.make_folder(folder)
            .and_then(|()| fs::rename(arrived, &target))
            .and_then(|()| durable::flush(folder))
            .map_err(|source| storage(path, source))?;
        Ok(Taken::New)
    }

    /// Makes a folder of the tree that outlasts a crash: a checkpoint must not survive its tiles.
    fn make_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        fs::create_dir_all(folder)?;
        let above = folder.ancestors().skip(1).take_while(|one| one.starts_with(&self.folder));
        above.into_iter().try_for_each(durable::flush)
    }

    /// Removes partial tiles that no checkpoint needs any more, and full ones for which none has come, some time after: what whoever holds
    /// a key that may push has put there goes by itself.
    fn sweep(&self, log: &mut Log, size: u64, now: Instant) {
        let due = |stays: Duration| {
            move |(since, _): &mut (Instant, TilePath)| {
                now.saturating_duration_since(*since) >= stays
            }
        };
        while let Some((_, tile)) = log.ahead.pop_front_if(due(TILE_AHEAD_STAYS)) {
            if !tile.is_of_tree(size) {
                let _gone = fs::remove_file(self.folder.join(tile.to_string()));
                log.room.take(&PublicationPath::Tile(tile));
            }
        }
        while let Some((_, tile)) = log.partial.pop_front_if(due(PARTIAL_TILE_STAYS)) {
            if tile.is_of_tree(size) {
                log.partial.push_back((Instant::now(), tile));
                continue;
            }
            let _gone = fs::remove_file(self.folder.join(tile.to_string()));
            log.room.take(&PublicationPath::Tile(tile));
        }
    }

    /// A file of the tree; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`Refused::Storage`].
    pub(crate) fn read(&self, path: &PublicationPath) -> Result<Option<Vec<u8>>, Refused> {
        let file = self.folder.join(path.to_string());
        durable::read(&file, path.max_octets()).map_err(|source| storage(path, source))
    }

    /// A file of the outbox; `None` where there is none.
    ///
    /// # Errors
    ///
    /// [`Refused::Storage`].
    pub(crate) fn read_outbox(&self, path: &OutboxPath) -> Result<Option<Vec<u8>>, Refused> {
        durable::read(&self.outbox.join(path.to_string()), OutboxPath::MAX_OCTETS)
            .map_err(|source| storage(path, source))
    }

    /// Hash and name of every file beside the log: CRLs, certificates, the manifest.
    ///
    /// # Errors
    ///
    /// [`Refused::Storage`].
    pub(crate) fn inventory(&self) -> Result<Vec<([u8; 32], String)>, Refused> {
        let mut found = Vec::new();
        for part in ["aia", "crl", "responder", "presigned"] {
            list(&self.folder, part, &|name| name.parse::<PublicationPath>().is_ok(), &mut found)?;
        }
        let path = PublicationPath::TestCertificates;
        if let Some(bytes) = self.read(&path)? {
            found.push((Sha256::digest(bytes).into(), path.to_string()));
        }
        Ok(found)
    }

    /// Hash and name of every request in the outbox.
    ///
    /// # Errors
    ///
    /// [`Refused::Storage`].
    pub(crate) fn requests(&self) -> Result<Vec<([u8; 32], String)>, Refused> {
        let mut found = Vec::new();
        let known = |name: &str| name.parse::<OutboxPath>().is_ok();
        list(&self.outbox, "responder", &known, &mut found)?;
        Ok(found)
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Walks `folder/part` for names that `known` knows.
fn list(
    folder: &Path,
    part: &str,
    known: &dyn Fn(&str) -> bool,
    found: &mut Vec<([u8; 32], String)>,
) -> Result<(), Refused> {
    let of = |source| storage(&part, source);
    let entries = match fs::read_dir(folder.join(part)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries.map_err(of)?,
    };
    for entry in entries {
        let entry = entry.map_err(of)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{part}/{name}");
        if entry.file_type().map_err(of)?.is_dir() {
            list(folder, &name, known, found)?;
        } else if known(&name) && found.len() < MAX_LISTED {
            // One that is replaced or removed meanwhile is told at the next look.
            let Ok(mut file) = File::open(entry.path()) else { continue };
            let mut hash = Sha256::new();
            io::copy(&mut file, &mut Hashed(&mut hash)).map_err(of)?;
            found.push((hash.finalize().into(), name));
        }
    }
    Ok(())
}

/// Walks `folder/part` and tells of each file of the tree and how long it is.
fn measure(
    folder: &Path,
    part: &str,
    tell: &mut impl FnMut(PublicationPath, u64),
) -> io::Result<()> {
    let entries = match fs::read_dir(folder.join(part)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = format!("{part}/{name}");
        if entry.file_type()?.is_dir() {
            measure(folder, &name, tell)?;
        } else if let Ok(path) = name.parse() {
            tell(path, entry.metadata()?.len());
        }
    }
    Ok(())
}

/// Bytes that are hashed as they are written.
struct Hashed<'a>(&'a mut Sha256);

impl io::Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn read(arrived: &Path, max: u64) -> Result<Vec<u8>, Refused> {
    let missing = || io::Error::from(io::ErrorKind::NotFound);
    durable::read(arrived, max)
        .and_then(|bytes| bytes.ok_or_else(missing))
        .map_err(|source| storage(&INCOMING, source))
}

pub(super) fn storage(path: &impl ToString, source: io::Error) -> Refused {
    Refused::Storage { path: path.to_string(), source }
}

/// Why the publication folder cannot be received into.
#[derive(Debug, Error)]
#[error("{path:?} cannot be used to receive")]
pub(crate) struct TreeError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../../../environments/demo/ocsp.toml");

    /// A tree of this environment in a folder of its own.
    fn tree(folder: &Path, deployment: (&str, &str)) -> Tree {
        tree_with(folder, deployment, "most-unproven = 17179869184")
    }

    /// The same with more in its section `[receive]`.
    fn tree_with(folder: &Path, (environment, pki): (&str, &str), receive: &str) -> Tree {
        let text = EXAMPLE
            .replace("most-unproven = 17179869184", receive)
            .replace("environment = \"test\"", &format!("environment = \"{environment}\""))
            .replace("pki         = \"demo\"", &format!("pki         = \"{pki}\""))
            .replace("object = \"test-certificates\"", "object = \"status-page\"");
        let file = folder.join("ocsp.toml");
        fs::write(&file, text).unwrap();
        let config = Config::read(&file).unwrap();
        let rules = FollowRules {
            origin: config.origin.clone(),
            key: config.log_key,
            freshness: config.timing.freshness,
            clock_bound: config.clock_bound,
        };
        Tree::open(&config, rules).unwrap()
    }

    fn take(tree: &Tree, path: &str, bytes: &[u8]) -> Result<Taken, &'static str> {
        let arrived = tree.incoming();
        fs::write(&arrived, bytes).unwrap();
        let now = UnixTime::from_secs(1_795_000_000).unwrap();
        tree.take(&path.parse().unwrap(), &arrived, now).map_err(|refused| refused.code())
    }

    /// PRO-21, promise 7.
    #[test]
    fn test_certificates_are_taken_in_environment_test_alone() {
        for (deployment, taken) in [
            (("test", "demo"), Ok(Taken::New)),
            (("qa", "test"), Err("path-refused")),
            (("prod", "prod"), Err("path-refused")),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let tree = tree(folder.path(), deployment);
            assert_eq!(take(&tree, "test-certificates.json", b"{}"), taken, "{deployment:?}");
            assert_eq!(tree.inventory().unwrap().len(), usize::from(taken.is_ok()));
        }
    }

    /// Decision 0018: who holds a key that may push cannot fill the disk with files that nothing proves, not by
    /// starting anew either; what was there is replaced all the same.
    #[test]
    fn no_more_lies_there_unproven_than_may() {
        let folder = tempfile::tempdir().unwrap();
        let most = "most-unproven = 20000";
        let tree = tree_with(folder.path(), ("test", "demo"), most);
        let full = [0; 8192];
        assert_eq!(take(&tree, "tile/0/000", &full), Ok(Taken::New));
        assert_eq!(take(&tree, "crl/person3.crl", &[1; 8192]), Ok(Taken::New));
        let refused = Err("unproven-files");
        assert_eq!(take(&tree, "tile/0/001", &full), refused, "far beyond any checkpoint");
        assert_eq!(take(&tree, "crl/other.crl", &full), refused);
        assert_eq!(take(&tree, "aia/other.cer", &full), refused);
        assert_eq!(take(&tree, "crl/person3.crl", &[2; 10_000]), Ok(Taken::New), "in its place");
        assert!(!folder.path().join("publish/tile/0/001").exists());

        drop(tree);
        let tree = tree_with(folder.path(), ("test", "demo"), most);
        assert_eq!(take(&tree, "tile/0/001", &full), refused, "after a restart");
        tree.log().room.proven(256);
        assert_eq!(take(&tree, "tile/0/001", &full), Ok(Taken::New), "a checkpoint made room");
    }

    /// Decision 0018: a room that is full of tiles for which no checkpoint comes is free again by itself, after a restart too; what is
    /// young stays, since its checkpoint may be on its way.
    #[test]
    fn tiles_without_a_checkpoint_do_not_fill_the_room_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let most = "most-unproven = 20000";
        let tree = tree_with(folder.path(), ("test", "demo"), most);
        let full = [0; 8192];
        for _ in 0..2 {
            assert!(
                take(&tree, "tile/0/777", &full).is_ok()
                    && take(&tree, "tile/0/778", &full).is_ok()
            );
        }
        assert_eq!(tree.log().ahead.len(), 2, "each is remembered once");
        assert_eq!(take(&tree, "tile/0/000", &full), Err("unproven-files"), "they are young");
        drop(tree);

        let tree = tree_with(folder.path(), ("test", "demo"), most);
        assert_eq!(tree.log().ahead.len(), 2, "known after a restart");
        tree.sweep(&mut tree.log(), 0, Instant::now());
        assert_eq!(take(&tree, "tile/0/000", &full), Err("unproven-files"), "young still");
        let later = Instant::now() + TILE_AHEAD_STAYS;
        // A checkpoint of that size covers one of them.
        tree.sweep(&mut tree.log(), 778 * 256, later);
        assert!(folder.path().join("publish/tile/0/777").exists());
        assert!(!folder.path().join("publish/tile/0/778").exists());
        assert_eq!(take(&tree, "tile/0/000", &full), Ok(Taken::New), "there is room again");
    }
}
