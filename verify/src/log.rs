//! `sigill-verify log`: a status log or audit log, judged from its checkpoint and files.
//!
//! The signature lines are verified twice, by two libraries. The root is rebuilt from the entries,
//! every tile compared with what they hash to, and every entry decoded and applied: a status log in
//! which something cannot be after what stands before it is refused although its root is right.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail, ensure};
use ca::audit::{AuditLeaf, LeafParseError};
use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use ledger::note::{MAX_NOTE_LENGTH, NotePublicKey};
use ledger::{CheckpointNote, LogName, LogOrigin};
use serde_json::json;
use status::entry::EntryParseError;
use status::index::ApplyError;
use status::{CertificateState, Index, Position, StatusEntry};
use thiserror::Error;
use x509::time::UnixTime;

use crate::folder::Folder;
use crate::signatures;

/// From how many entries on a progress bar is shown.
const LONG: u64 = 50_000;

/// What is to be judged.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  . .sigill/env\n  sigill-verify log --checkpoint \"$SIGILL_HOME/publish/checkpoint\" --tiles \"$SIGILL_HOME/publish\" \\\n    --key \"$SIGILL_STATUS_KEY\" --origin \"$SIGILL_STATUS_ORIGIN\""
)]
pub(crate) struct LogArguments {
    /// The signed checkpoint.
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// The folder that holds `tile/`.
    #[arg(long, value_name = "DIR")]
    tiles: PathBuf,
    /// Public key of the log's checkpoints, 64 hexadecimal digits, from a source that you trust.
    #[arg(long, value_name = "HEX")]
    key: NotePublicKey,
    /// The log that it must be: `sigill/<environment>/<pki>/<instance>/<log>/<epoch>`.
    #[arg(long, value_name = "TEXT")]
    origin: LogOrigin,
    /// Which log it is; must agree with the origin.
    #[arg(long)]
    log: Option<Kind>,
}

/// The two logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// Certificates' states, published.
    Status,
    /// Who did what, kept for auditors.
    Audit,
}

/// What was found in a log that holds.
#[derive(Debug)]
pub(crate) struct Findings {
    origin: LogOrigin,
    size: u64,
    root: ledger::Hash,
    signed_at: UnixTime,
    last_entry_at: Option<UnixTime>,
    content: Content,
}

/// What the entries add up to.
#[derive(Debug)]
enum Content {
    Status { issuers: usize, certificates: usize, states: Vec<(CertificateState, usize)> },
    Audit { events: u64 },
}

/// Judges a log.
///
/// # Errors
///
/// The first thing that does not hold, with the file, position or rule.
pub(crate) fn judge(arguments: &LogArguments) -> anyhow::Result<Findings> {
    judge_and_read(arguments, &mut |_, _| {})
}

/// Judges a log and hands out each leaf of an audit log, in their order; believe none before this returns.
///
/// # Errors
///
/// As of [`judge`].
pub(crate) fn judge_and_read(
    arguments: &LogArguments,
    on_leaf: &mut dyn FnMut(u64, &AuditLeaf),
) -> anyhow::Result<Findings> {
    let origin = &arguments.origin;
    let kind = match origin.log {
        LogName::Status => Kind::Status,
        LogName::Audit => Kind::Audit,
    };
    if let Some(wanted) = arguments.log {
        ensure!(wanted == kind, "--log and --origin {origin} name different logs");
    }
    let (note, signed_at) = checkpoint(arguments)?;
    let checkpoint = note.checkpoint();
    let progress = progress(checkpoint.size);
    let mut reader = Reader::new(kind, origin.epoch);
    ledger::tree::verify(
        checkpoint.size,
        checkpoint.root,
        &Folder(arguments.tiles.clone()),
        |index, entry| {
            reader.read(index, entry, on_leaf);
            if index % 1024 == 0 {
                progress.set_position(index);
            }
        },
    )
    .context("the files are not the signed tree")?;
    progress.finish_and_clear();
    let (last_entry_at, content) = reader.finish()?;
    Ok(Findings {
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        root: checkpoint.root,
        signed_at,
        last_entry_at,
        content,
    })
}

/// Reads the checkpoint, which must be of the wanted log and signed as two libraries see it.
fn checkpoint(arguments: &LogArguments) -> anyhow::Result<(CheckpointNote, UnixTime)> {
    let path = &arguments.checkpoint;
    let length = std::fs::metadata(path).with_context(|| path.display().to_string())?.len();
    ensure!(
        usize::try_from(length).is_ok_and(|length| length <= MAX_NOTE_LENGTH),
        "{} has {length} octets, a checkpoint has at most {MAX_NOTE_LENGTH}",
        path.display()
    );
    let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
    let note = CheckpointNote::open(&bytes, arguments.key).context("first verification")?;
    let found = &note.checkpoint().origin;
    if *found != arguments.origin {
        bail!("checkpoint is of {found}, not of {}", arguments.origin);
    }
    let name = found.to_string();
    let signed = signatures::verify(&bytes, &name, arguments.key.as_bytes())
        .context("second verification")?;
    ensure!(
        signed.text == note.checkpoint().to_text() && signed.timestamp == note.timestamp().secs(),
        "two readers of the checkpoint disagree: text {:?} at {}, {:?} at {}",
        note.checkpoint().to_text(),
        note.timestamp().secs(),
        signed.text,
        signed.timestamp
    );
    let signed_at = UnixTime::from_secs(signed.timestamp).context("timestamp of the checkpoint")?;
    Ok((note, signed_at))
}

fn progress(size: u64) -> ProgressBar {
    if size < LONG {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {human_pos}/{human_len} entries {eta}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(size).with_style(style)
}

/// Decodes entries one by one and keeps the first fault.
struct Reader {
    entries: Entries,
    last: Option<UnixTime>,
    fault: Option<EntryError>,
}

enum Entries {
    Status { epoch: u32, index: Box<Index> },
    Audit { events: u64 },
}

impl Reader {
    fn new(kind: Kind, epoch: u32) -> Self {
        let entries = match kind {
            Kind::Status => Entries::Status { epoch, index: Box::new(Index::new(epoch)) },
            Kind::Audit => Entries::Audit { events: 0 },
        };
        Self { entries, last: None, fault: None }
    }

    fn read(&mut self, index: u64, octets: &[u8], on_leaf: &mut dyn FnMut(u64, &AuditLeaf)) {
        if self.fault.is_some() {
            return;
        }
        match self.entries.read(index, octets, self.last, on_leaf) {
            Ok(time) => self.last = Some(time),
            Err(fault) => self.fault = Some(fault),
        }
    }

    fn finish(self) -> anyhow::Result<(Option<UnixTime>, Content)> {
        if let Some(fault) = self.fault {
            return Err(fault.into());
        }
        let content = match self.entries {
            Entries::Audit { events } => Content::Audit { events },
            Entries::Status { index, .. } => Content::Status {
                issuers: index.issuers().count(),
                certificates: index.len(),
                states: states(&index),
            },
        };
        Ok((self.last, content))
    }
}

impl Entries {
    /// Takes the next entry and returns its time.
    fn read(
        &mut self,
        index: u64,
        octets: &[u8],
        last: Option<UnixTime>,
        on_leaf: &mut dyn FnMut(u64, &AuditLeaf),
    ) -> Result<UnixTime, EntryError> {
        match self {
            Self::Status { epoch, index: statuses } => {
                let position = Position { epoch: *epoch, index };
                let entry = StatusEntry::decode(octets)
                    .map_err(|source| EntryError::Status { position, source })?;
                statuses
                    .apply(position, &entry)
                    .map_err(|source| EntryError::Sequence { position, source })?;
                Ok(entry.log_time())
            }
            Self::Audit { events } => {
                let leaf = AuditLeaf::decode(octets)
                    .map_err(|source| EntryError::Audit { index, source })?;
                if let Some(last) = last.filter(|last| leaf.time < *last) {
                    return Err(EntryError::TimeRunsBack { index, time: leaf.time, last });
                }
                *events = events.saturating_add(1);
                on_leaf(index, &leaf);
                Ok(leaf.time)
            }
        }
    }
}

/// How many certificates stand where.
fn states(index: &Index) -> Vec<(CertificateState, usize)> {
    let all: Vec<CertificateState> = index
        .issuers()
        .flat_map(|(issuer, _)| index.certificates(issuer))
        .map(|(_, status)| status.state)
        .collect();
    CertificateState::ALL
        .into_iter()
        .map(|state| (state, all.iter().filter(|one| **one == state).count()))
        .filter(|(_, count)| *count > 0)
        .collect()
}

/// Why an entry is refused although it is in the signed tree.
#[derive(Debug, Error)]
enum EntryError {
    /// Not an audit leaf.
    #[error("audit entry {index} is refused")]
    Audit {
        index: u64,
        #[source]
        source: LeafParseError,
    },
    /// It cannot come after what stands before it.
    #[error("status entry {position} is refused")]
    Sequence {
        position: Position,
        #[source]
        source: ApplyError,
    },
    /// Not a status entry.
    #[error("status entry {position} is refused")]
    Status {
        position: Position,
        #[source]
        source: EntryParseError,
    },
    /// Log time never runs backwards.
    #[error("audit entry {index} is of {time}, the one before it of {last}")]
    TimeRunsBack { index: u64, time: UnixTime, last: UnixTime },
}

impl LogArguments {
    /// The log that it must be.
    pub(crate) const fn origin(&self) -> &LogOrigin {
        &self.origin
    }

    /// Which log it is said to be.
    pub(crate) const fn kind(&self) -> Option<Kind> {
        self.log
    }
}

impl Findings {
    /// How many entries the log has.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// For programs.
    pub(crate) fn to_json(&self) -> String {
        let mut value = json!({
            "origin": self.origin.to_string(),
            "size": self.size,
            "root": self.root.to_base64(),
            "signed_at": self.signed_at.to_string(),
            "last_entry_at": self.last_entry_at.map(|time| time.to_string()),
        });
        let more = match &self.content {
            Content::Audit { events } => json!({ "events": events }),
            Content::Status { issuers, certificates, states } => {
                let states: serde_json::Map<_, _> =
                    states.iter().map(|(state, count)| (state.to_string(), json!(count))).collect();
                json!({ "issuers": issuers, "certificates": certificates, "states": states })
            }
        };
        if let (Some(value), Some(more)) = (value.as_object_mut(), more.as_object()) {
            value.extend(more.clone());
        }
        value.to_string()
    }

    /// For people.
    pub(crate) fn to_text(&self) -> String {
        let mut text = format!(
            "verified    {}\nsize        {}\nroot        {}\nsigned at   {}, by both lines of the checkpoint\n",
            self.origin,
            self.size,
            self.root.to_base64(),
            self.signed_at
        );
        if let Some(last) = self.last_entry_at {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "last entry  {last}");
        }
        let _ = match &self.content {
            Content::Audit { events } => write!(text, "events      {events}"),
            Content::Status { issuers, certificates, states } => {
                let states: Vec<_> =
                    states.iter().map(|(state, count)| format!("{count} {state}")).collect();
                write!(
                    text,
                    "authorities {issuers}\ncertificates {certificates} ({})",
                    states.join(", ")
                )
            }
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use status::IssuerId;

    use super::*;

    fn at(secs: u64) -> UnixTime {
        UnixTime::from_secs(secs).unwrap()
    }

    fn declared(id: u8, secs: u64) -> Vec<u8> {
        let issuer = IssuerId::from_bytes([id; 32]);
        StatusEntry::IssuerDeclared { issuer, log_time: at(secs) }.encode().to_vec()
    }

    fn refused(kind: Kind, epoch: u32, entries: &[Vec<u8>]) -> String {
        let mut reader = Reader::new(kind, epoch);
        for (index, entry) in (0..).zip(entries) {
            reader.read(index, entry, &mut |_, _| {});
        }
        format!("{:#}", reader.finish().unwrap_err())
    }

    /// A right root does not excuse entries that cannot follow each other.
    #[test]
    fn refuses_entries_that_cannot_follow_each_other() {
        let twice = refused(Kind::Status, 1, &[declared(1, 100), declared(1, 101)]);
        assert!(twice.starts_with("status entry 1.1 is refused"), "{twice}");

        let back = refused(Kind::Status, 1, &[declared(1, 100), declared(2, 99)]);
        assert!(back.starts_with("status entry 1.1 is refused"), "{back}");

        let unopened = refused(Kind::Status, 2, &[declared(1, 100)]);
        assert!(unopened.starts_with("status entry 2.0 is refused"), "{unopened}");
    }

    #[test]
    fn names_the_first_entry_that_is_none() {
        let entries = [declared(1, 100), vec![0; 66], vec![0; 3]];

        let said = refused(Kind::Status, 1, &entries);
        assert!(said.starts_with("status entry 1.1 is refused"), "{said}");
        assert!(refused(Kind::Audit, 1, &entries).starts_with("audit entry 0 is refused"));
    }
}
