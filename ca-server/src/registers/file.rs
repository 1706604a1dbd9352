//! A register in a file: a header, then a record a line, put there and replaced as a whole by an integration of the operator.
//!
//! Of the file is remembered where each person's line begins, by a hash of the key; a line is read when it is asked for. Another file under the
//! name is taken from the next question on.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ca::register::{Answer, FileHeader, Question, Record, RegisterKind, Said};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use x509::time::UnixTime;

use super::{AskFault, Register};

/// Octets of a line, at most.
const LONGEST_LINE: usize = 64 * 1024;
/// Nobody but its owner and its group may read who is employed where.
const OTHERS: u32 = 0o007;

/// A file of records.
pub(super) struct FileRegister {
    register: RegisterKind,
    path: PathBuf,
    opened: Mutex<Option<Opened>>,
}

/// What tells that a file is another than before.
type Seen = (u64, u64, u64, i64, i64);

/// The file as it was read.
struct Opened {
    file: File,
    seen: Seen,
    header: FileHeader,
    header_sha256: [u8; 32],
    /// Where the line of a key begins, and its octets.
    lines: HashMap<[u8; 16], (u64, usize)>,
}

/// What of a line is looked at before it is asked for.
#[derive(Deserialize)]
struct Keyed {
    key: String,
}

impl FileRegister {
    pub(super) fn new(register: RegisterKind, path: PathBuf) -> Self {
        Self { register, path, opened: Mutex::default() }
    }

    fn unavailable(&self, why: &dyn std::fmt::Display) -> AskFault {
        AskFault::Unavailable(format!("{}: {why}", self.path.display()))
    }

    fn malformed(&self, line: u64, why: &dyn std::fmt::Display) -> AskFault {
        AskFault::Malformed(format!("{}, line {line}: {why}", self.path.display()))
    }

    /// What there is under the name now; a folder or a pipe is no register.
    fn seen(&self) -> Result<Seen, AskFault> {
        let facts = std::fs::metadata(&self.path).map_err(|error| self.unavailable(&error))?;
        self.fits(&facts)
    }

    fn fits(&self, facts: &std::fs::Metadata) -> Result<Seen, AskFault> {
        if !facts.is_file() {
            return Err(self.unavailable(&"is no file"));
        }
        if facts.mode() & OTHERS != 0 {
            let mode = facts.mode() & 0o7777;
            return Err(self.unavailable(&format_args!(
                "mode {mode:04o}: everybody on the machine may read or write it, wanted 0640 or less"
            )));
        }
        Ok((facts.dev(), facts.ino(), facts.len(), facts.mtime(), facts.mtime_nsec()))
    }

    fn open(&self) -> Result<Opened, AskFault> {
        let file = File::open(&self.path).map_err(|error| self.unavailable(&error))?;
        let facts = || file.metadata().map_err(|error| self.unavailable(&error));
        let seen = self.fits(&facts()?)?;
        let mut reader = BufReader::with_capacity(1 << 20, &file);
        let mut line = Vec::new();
        let mut next = |number: u64, line: &mut Vec<u8>| {
            line.clear();
            let limit = u64::try_from(LONGEST_LINE).unwrap_or(u64::MAX);
            let read = (&mut reader).take(limit).read_until(b'\n', line);
            let read = read.map_err(|error| self.unavailable(&error))?;
            match line.pop() {
                None => Ok(None),
                Some(b'\n') => Ok(Some(read)),
                Some(_) => Err(self.malformed(number, &"does not end, or is longer than 64 KiB")),
            }
        };
        let Some(length) = next(1, &mut line)? else {
            return Err(self.malformed(1, &"the file is empty"));
        };
        let header = FileHeader::parse(&line).map_err(|error| self.malformed(1, &error))?;
        if header.register != self.register {
            let found = header.register;
            return Err(self.malformed(1, &format_args!("a file of the {found} register")));
        }
        let header_sha256 = Sha256::digest(&line).into();
        let mut lines = HashMap::new();
        let (mut at, mut number) = (u64::try_from(length).unwrap_or(u64::MAX), 1_u64);
        while let Some(length) = next(number.saturating_add(1), &mut line)? {
            number = number.saturating_add(1);
            let keyed: Keyed = serde_json::from_slice(&line)
                .map_err(|_| self.malformed(number, &"no record with a key"))?;
            if lines.insert(hashed(&keyed.key), (at, line.len())).is_some() {
                return Err(self.malformed(number, &"the key stands there twice"));
            }
            at = at.saturating_add(u64::try_from(length).unwrap_or(u64::MAX));
        }
        let found = number.saturating_sub(1);
        if found != header.records {
            let why = format!("{found} records, and the header says {}", header.records);
            return Err(self.malformed(number, &why));
        }
        if self.fits(&facts()?)? != seen {
            return Err(self.unavailable(&"was written while it was read: replace it as a whole"));
        }
        Ok(Opened { file, seen, header, header_sha256, lines })
    }

    fn with<T>(&self, work: impl FnOnce(&Opened) -> Result<T, AskFault>) -> Result<T, AskFault> {
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = self.seen()?;
        if opened.as_ref().is_none_or(|one| one.seen != seen) {
            // What could not be read is not asked in the name of what was there before.
            *opened = None;
            *opened = Some(self.open()?);
        }
        match opened.as_ref() {
            Some(opened) => work(opened),
            None => Err(self.unavailable(&"is not open")),
        }
    }
}

impl Register for FileRegister {
    fn answer(&self, question: &Question, _: Duration, _: UnixTime) -> Result<Answer, AskFault> {
        self.with(|opened| {
            let as_of = opened.header.as_of;
            let Some(&(at, length)) = opened.lines.get(&hashed(question.key())) else {
                return Ok(Answer { as_of, sha256: opened.header_sha256, said: Said::Missing });
            };
            let mut line = vec![0; length];
            opened.file.read_exact_at(&mut line, at).map_err(|error| self.unavailable(&error))?;
            let malformed = |why: &dyn std::fmt::Display| {
                let path = self.path.display();
                AskFault::Malformed(format!("{path}, at octet {at}: {why}"))
            };
            let record = Record::parse(&line).map_err(|error| malformed(&error))?;
            if record.key != question.key() {
                return Err(malformed(
                    &"another record than was there: replace the file as a whole",
                ));
            }
            Ok(Answer { as_of, sha256: record.sha256, said: record.said })
        })
    }

    fn check(&self) -> Result<(), AskFault> {
        self.with(|_| Ok(()))
    }
}

fn hashed(key: &str) -> [u8; 16] {
    let mut first = [0; 16];
    let hash: [u8; 32] = Sha256::digest(key).into();
    first.copy_from_slice(hash.split_at(16).0);
    first
}
