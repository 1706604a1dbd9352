//! What the portal remembers: every call of the CA that changes something, written down before it is made.
//!
//! A file of lines of JSON, appended to and made durable line by line. A call has its idempotency key and its body from its first line on, so that
//! whatever is killed when, the same call is made again and does nothing twice (API-02).

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use portal::files;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use thiserror::Error;

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Line {
    /// Somebody wants a call to be made.
    Begun(Begun),
    /// He has signed for it: from here on it is made, again and again until there is an answer.
    Signed { act: String, statement: String },
    /// The CA does not take the statement any more: it is signed anew, for the same call, which the CA answers as before if it has done it.
    Unsigned { act: String, problem: Value },
    /// The CA has done it.
    Answered { act: String, answer: Value },
    /// The CA will not do it.
    Refused { act: String, problem: Value },
    /// He does not want it any more, and never signed for it.
    Dropped { act: String },
}

/// A call that is wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Begun {
    /// Names it in the portal.
    pub(crate) act: String,
    /// What it does, by the name of a row of the table of acts.
    pub(crate) kind: String,
    /// HSA-id of who wants it, and signs.
    pub(crate) by: String,
    /// Path of the call.
    pub(crate) target: String,
    /// Its idempotency key.
    pub(crate) key: String,
    /// Its body, octet for octet.
    pub(crate) body: String,
    /// The page to go on at; empty: that of what the answer names.
    pub(crate) after: String,
    /// Unix seconds.
    pub(crate) at: u64,
}

/// Where a call stands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Standing {
    /// It waits for a signature; why once more, where it had one.
    ToSign(Option<Value>),
    /// It has one, and no answer yet.
    Sent(String),
    /// Done.
    Done(Value),
    /// Refused.
    Refused(Value),
    /// Given up before it was signed.
    Dropped,
}

/// A call.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Act {
    pub(crate) begun: Begun,
    pub(crate) standing: Standing,
}

/// The ledger, open.
#[derive(Debug)]
pub(crate) struct Ledger {
    file: File,
    /// Octets that are whole lines.
    length: u64,
    acts: BTreeMap<String, Act>,
    /// In the order in which they began.
    order: Vec<String>,
}

/// Why the ledger is not as it should be.
#[derive(Debug, Error)]
pub(crate) enum LedgerError {
    /// The file system.
    #[error("cannot use {}", path.display())]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Another portal has it.
    #[error("{} is another portal's, which runs; end that one first", path.display())]
    InUse { path: PathBuf },
    /// A whole line that says nothing. Only a torn last line is what a kill leaves.
    #[error("{}: line {line} is no line of this ledger; put the file back from a copy", path.display())]
    Line { path: PathBuf, line: usize },
    /// A step that does not follow.
    #[error("{act} does not stand so that this can follow")]
    Standing { act: String },
    /// Writing.
    #[error("the ledger cannot be written; nothing was begun")]
    Write(#[source] io::Error),
}

impl Ledger {
    /// Opens the ledger of a folder. A last line that was not finished is taken away.
    pub(crate) fn open(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join("ledger.jsonl");
        let file = |source| LedgerError::File { path: path.clone(), source };
        files::private_folder(folder).map_err(file)?;
        let mut opened = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(file)?;
        opened.try_lock().map_err(|_| LedgerError::InUse { path: path.clone() })?;
        files::sync_folder_of(&path).map_err(file)?;
        let mut octets = Vec::new();
        opened.read_to_end(&mut octets).map_err(file)?;
        let whole = octets.iter().rposition(|octet| *octet == b'\n').map_or(0, |last| last + 1);
        octets.truncate(whole);
        let length = u64::try_from(whole).unwrap_or_default();
        opened.set_len(length).map_err(file)?;
        opened.seek(SeekFrom::End(0)).map_err(file)?;
        let mut ledger = Self { file: opened, length, acts: BTreeMap::new(), order: Vec::new() };
        for (number, line) in octets.split(|octet| *octet == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let faulty = || LedgerError::Line { path: path.clone(), line: number + 1 };
            let line = serde_json::from_slice(line).map_err(|_| faulty())?;
            ledger.take(line).map_err(|_| faulty())?;
        }
        Ok(ledger)
    }

    /// Writes a line, which is durable when this returns. Where it cannot be written nothing has happened.
    pub(crate) fn write(&mut self, line: &Line) -> Result<(), LedgerError> {
        self.may_follow(line)?;
        let mut octets =
            serde_json::to_vec(line).map_err(|error| LedgerError::Write(error.into()))?;
        octets.push(b'\n');
        let written = self.file.write_all(&octets).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // What stands there of it goes away again; if not even that, the next start does it.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(LedgerError::Write(error));
        }
        self.length = self.length.saturating_add(u64::try_from(octets.len()).unwrap_or_default());
        self.take(line.clone())
    }

    /// An act by its id.
    pub(crate) fn act(&self, id: &str) -> Option<&Act> {
        self.acts.get(id)
    }

    /// All of them, oldest first.
    pub(crate) fn acts(&self) -> impl DoubleEndedIterator<Item = &Act> {
        self.order.iter().filter_map(|id| self.acts.get(id))
    }

    fn may_follow(&self, line: &Line) -> Result<(), LedgerError> {
        let standing = |act: &str| self.acts.get(act).map(|act| &act.standing);
        let (act, follows) = match line {
            Line::Begun(begun) => (&begun.act, standing(&begun.act).is_none()),
            Line::Signed { act, .. } | Line::Dropped { act } => {
                (act, matches!(standing(act), Some(Standing::ToSign(_))))
            }
            Line::Unsigned { act, .. } | Line::Answered { act, .. } | Line::Refused { act, .. } => {
                (act, matches!(standing(act), Some(Standing::Sent(_))))
            }
        };
        if follows { Ok(()) } else { Err(LedgerError::Standing { act: act.clone() }) }
    }

    fn take(&mut self, line: Line) -> Result<(), LedgerError> {
        self.may_follow(&line)?;
        let (act, standing) = match line {
            Line::Begun(begun) => {
                let id = begun.act.clone();
                self.order.push(id.clone());
                self.acts.insert(id, Act { begun, standing: Standing::ToSign(None) });
                return Ok(());
            }
            Line::Signed { act, statement } => (act, Standing::Sent(statement)),
            Line::Unsigned { act, problem } => (act, Standing::ToSign(Some(problem))),
            Line::Answered { act, answer } => (act, Standing::Done(answer)),
            Line::Refused { act, problem } => (act, Standing::Refused(problem)),
            Line::Dropped { act } => (act, Standing::Dropped),
        };
        if let Some(found) = self.acts.get_mut(&act) {
            found.standing = standing;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn begun(act: &str) -> Line {
        Line::Begun(Begun {
            act: act.to_owned(),
            kind: "prepare".to_owned(),
            by: "TST1".to_owned(),
            target: "/v1/orders".to_owned(),
            key: format!("key-{act}"),
            body: "{}".to_owned(),
            after: String::new(),
            at: 1,
        })
    }

    fn signed(act: &str) -> Line {
        Line::Signed { act: act.to_owned(), statement: "a.b.c".to_owned() }
    }

    fn answered(act: &str) -> Line {
        Line::Answered { act: act.to_owned(), answer: json!({ "id": "ord_1" }) }
    }

    /// API-02: wherever a kill cuts the file, what was durable before is there, and the call goes on with its key.
    #[test]
    fn a_ledger_that_was_cut_anywhere_has_every_whole_line() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path()).unwrap();
        let lines = [begun("a"), signed("a"), begun("b"), answered("a")];
        for line in &lines {
            ledger.write(line).unwrap();
        }
        drop(ledger);
        let path = folder.path().join("ledger.jsonl");
        let octets = fs::read(&path).unwrap();
        let ends: Vec<_> = octets
            .iter()
            .enumerate()
            .filter(|(_, octet)| **octet == b'\n')
            .map(|(at, _)| at + 1)
            .collect();
        // Around the end of each line, and here and there within.
        let near =
            |cut: &usize| cut.is_multiple_of(16) || ends.iter().any(|end| end.abs_diff(*cut) < 2);
        for cut in (0..=octets.len()).filter(near) {
            fs::write(&path, &octets[..cut]).unwrap();
            let mut ledger = Ledger::open(folder.path()).unwrap();
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let found = ledger.act("a").map(|act| act.standing.clone());
            let expected = [
                None,
                Some(Standing::ToSign(None)),
                Some(Standing::Sent("a.b.c".to_owned())),
                Some(Standing::Sent("a.b.c".to_owned())),
                Some(Standing::Done(json!({ "id": "ord_1" }))),
            ];
            assert_eq!(found, expected[whole], "cut at {cut}");
            // It goes on from there.
            if let Some(next) = lines.get(whole) {
                ledger.write(next).unwrap();
                drop(ledger);
                assert_eq!(fs::read(&path).unwrap(), &octets[..ends[whole]], "cut at {cut}");
            }
        }
    }

    #[test]
    fn what_does_not_follow_is_refused_and_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path()).unwrap();
        ledger.write(&begun("a")).unwrap();
        let dropped = Line::Dropped { act: "a".to_owned() };
        for wrong in [begun("a"), answered("a"), signed("b")] {
            assert!(matches!(ledger.write(&wrong), Err(LedgerError::Standing { .. })), "{wrong:?}");
        }
        ledger.write(&signed("a")).unwrap();
        for wrong in [signed("a"), dropped] {
            assert!(matches!(ledger.write(&wrong), Err(LedgerError::Standing { .. })), "{wrong:?}");
        }
        drop(ledger);
        assert_eq!(
            fs::read_to_string(folder.path().join("ledger.jsonl")).unwrap().lines().count(),
            2
        );
    }

    #[test]
    fn a_damaged_line_and_a_second_portal_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(folder.path()).unwrap();
        ledger.write(&begun("a")).unwrap();
        assert!(matches!(Ledger::open(folder.path()), Err(LedgerError::InUse { .. })));
        drop(ledger);
        let path = folder.path().join("ledger.jsonl");
        let text = fs::read_to_string(&path).unwrap();
        for damaged in
            [format!("{{}}\n{text}"), format!("{text}{text}"), text.replace("begun", "begum")]
        {
            fs::write(&path, damaged).unwrap();
            assert!(matches!(Ledger::open(folder.path()), Err(LedgerError::Line { .. })));
        }
    }
}
