//! What may follow what.

use ledger::{Frontier, Hash, leaf_hash};
use x509::time::UnixTime;

use super::MAX_DRIFT;
use super::fault::{LineFault, TranscriptFault};
use super::record::{Fact, Kind, Line, Record};
use crate::words::Fingerprint;

/// Where a transcript stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Phase {
    /// It has no line.
    #[default]
    Empty,
    /// Work goes on.
    Running,
    /// Work stands still.
    Paused,
    /// It has come to its end.
    Closed,
}

/// Work that was announced, and whose end is not told yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenIntent {
    /// Its line, counted from 1.
    pub line: u64,
    /// What was announced.
    pub record: Record,
}

impl OpenIntent {
    /// Its name.
    #[must_use]
    pub fn id(&self) -> &str {
        self.record.text("intent").unwrap_or_default()
    }
}

/// A clock reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Clocks {
    wall: UnixTime,
    run_ms: u64,
}

/// Lines that follow one another by the rules.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Chain {
    frontier: Frontier,
    phase: Phase,
    /// The line before, and the first of its run.
    clocks: Option<(Clocks, Clocks)>,
    open: Option<OpenIntent>,
}

impl Chain {
    /// The chain of no lines.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Lines so far, and the Merkle root over them.
    #[must_use]
    pub fn head(&self) -> (u64, Hash) {
        (self.frontier.size(), self.frontier.root())
    }

    /// Where it stands.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Work under way.
    #[must_use]
    pub const fn open(&self) -> Option<&OpenIntent> {
        self.open.as_ref()
    }

    /// What a CHECKPOINT or CLOSE must say here: the root in hexadecimal digits, which people read as words.
    #[must_use]
    pub fn head_facts(&self) -> [(String, Fact); 2] {
        let (lines, root) = self.head();
        let head = Fingerprint::from_bytes(*root.as_bytes());
        [("head".to_owned(), Fact::Text(head.to_string())), ("lines".to_owned(), lines.into())]
    }

    /// The next line for a record, without its end, and the chain with it. This one stays as it is, for a line that
    /// cannot be written.
    ///
    /// # Errors
    ///
    /// [`TranscriptFault`] for a record that may not stand here.
    pub fn next(&self, record: &Record) -> Result<(Vec<u8>, Self), TranscriptFault> {
        let (size, root) = self.head();
        let line = Line::of(record, size, root.to_base64());
        let octets = line.encode().map_err(|fault| self.here(fault))?;
        let mut after = self.clone();
        after.take(&octets)?;
        Ok((octets, after))
    }

    /// Takes one line, without its end, and returns what it says.
    ///
    /// # Errors
    ///
    /// [`TranscriptFault`] with the first rule that it breaks; the chain is then as before.
    pub fn take(&mut self, octets: &[u8]) -> Result<Record, TranscriptFault> {
        let record = self.judge(octets).map_err(|fault| self.here(fault))?;
        let mut frontier = self.frontier.clone();
        frontier.append(leaf_hash(octets)).map_err(|_| self.here(LineFault::Root))?;
        let now = Clocks { wall: record.time, run_ms: record.run_ms };
        let begun = match (record.kind, self.clocks) {
            (Kind::Genesis | Kind::Resume, _) | (_, None) => now,
            (_, Some((_, begun))) => begun,
        };
        self.clocks = Some((now, begun));
        self.phase = match record.kind {
            Kind::Pause => Phase::Paused,
            Kind::Close => Phase::Closed,
            _ => Phase::Running,
        };
        match record.kind {
            Kind::Intent => {
                let line = self.frontier.size().saturating_add(1);
                self.open = Some(OpenIntent { line, record: record.clone() });
            }
            Kind::Result => self.open = None,
            Kind::Exception if record.body.contains_key("intent") => self.open = None,
            _ => {}
        }
        self.frontier = frontier;
        Ok(record)
    }

    fn here(&self, fault: LineFault) -> TranscriptFault {
        TranscriptFault { line: self.frontier.size().saturating_add(1), fault }
    }

    fn judge(&self, octets: &[u8]) -> Result<Record, LineFault> {
        let line = Line::decode(octets)?;
        let (size, root) = self.head();
        if line.seq != size {
            return Err(LineFault::Sequence { expected: size, seen: line.seq });
        }
        if line.root != root.to_base64() {
            return Err(LineFault::Root);
        }
        let record = line.into_record()?;
        self.judge_phase(record.kind)?;
        self.judge_clocks(&record)?;
        self.judge_work(&record)?;
        let is_head = |name: &str, fact: Fact| record.body.get(name) == Some(&fact);
        if matches!(record.kind, Kind::Checkpoint | Kind::Close)
            && !self.head_facts().into_iter().all(|(name, fact)| is_head(&name, fact))
        {
            return Err(LineFault::Head);
        }
        Ok(record)
    }

    const fn judge_phase(&self, kind: Kind) -> Result<(), LineFault> {
        match (self.phase, kind) {
            (Phase::Empty, Kind::Genesis) | (Phase::Paused, Kind::Resume) => Ok(()),
            (Phase::Empty, _) => Err(LineFault::Beginning { kind, begins: true }),
            (Phase::Closed, _) => Err(LineFault::AfterClose { kind }),
            (_, Kind::Genesis) => Err(LineFault::Beginning { kind, begins: false }),
            (Phase::Paused, _) => Err(LineFault::Paused { kind }),
            (Phase::Running, _) => Ok(()),
        }
    }

    fn judge_clocks(&self, record: &Record) -> Result<(), LineFault> {
        let Some((before, begun)) = self.clocks else { return Ok(()) };
        let (earlier, seen) = (before.wall.secs(), record.time.secs());
        if seen < earlier {
            return Err(LineFault::ClockBack { clock: "wall", before: earlier, seen });
        }
        // A run that begins anew has a monotonic clock of its own.
        if record.kind == Kind::Resume {
            return Ok(());
        }
        if record.run_ms < before.run_ms {
            let (before, seen) = (before.run_ms, record.run_ms);
            return Err(LineFault::ClockBack { clock: "monotonic", before, seen });
        }
        let wall = seen.saturating_sub(begun.wall.secs());
        let run = record.run_ms.saturating_sub(begun.run_ms).div_euclid(1000);
        if wall.abs_diff(run) > MAX_DRIFT {
            return Err(LineFault::Drift { wall, run });
        }
        Ok(())
    }

    /// Who announces work tells of its end before he announces other work, or closes.
    fn judge_work(&self, record: &Record) -> Result<(), LineFault> {
        let named = record.text("intent");
        match (record.kind, &self.open) {
            // The same work once more, such as a signature after a session was lost.
            (Kind::Intent, Some(open))
                if named == Some(open.id()) && record.body.contains_key("again") =>
            {
                Ok(())
            }
            (Kind::Intent | Kind::Close, Some(open)) => {
                Err(LineFault::Open { open: open.id().to_owned(), line: open.line })
            }
            (Kind::Result, open) if open.as_ref().map(OpenIntent::id) != named => {
                Err(LineFault::NotOpen { seen: named.unwrap_or_default().to_owned() })
            }
            (Kind::Exception, open)
                if record.body.contains_key("intent")
                    && open.as_ref().map(OpenIntent::id) != named =>
            {
                Err(LineFault::NotOpen { seen: named.unwrap_or_default().to_owned() })
            }
            _ => Ok(()),
        }
    }
}

/// A transcript from its first line to its last.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Whole {
    /// What it says.
    pub records: Vec<Record>,
    /// Its lines by the rules.
    pub chain: Chain,
    /// Octets of a last line without its end, which was never flushed whole.
    pub torn: usize,
}

impl Whole {
    /// Reads all lines.
    ///
    /// # Errors
    ///
    /// [`TranscriptFault`] of the first line that breaks a rule.
    pub fn read(octets: &[u8]) -> Result<Self, TranscriptFault> {
        let mut chain = Chain::new();
        let mut records = Vec::new();
        let mut torn = 0;
        for line in octets.split_inclusive(|octet| *octet == b'\n') {
            match line.strip_suffix(b"\n") {
                Some(line) => records.push(chain.take(line)?),
                None => torn = line.len(),
            }
        }
        Ok(Self { records, chain, torn })
    }
}

/// The first line, counted from 1, in which two copies differ; `None` where they are the same octet for octet.
#[must_use]
pub fn line_of_difference(copy: &[u8], other: &[u8]) -> Option<usize> {
    if copy == other {
        return None;
    }
    let same = copy.iter().zip(other).take_while(|(one, other)| one == other);
    Some(same.filter(|(octet, _)| **octet == b'\n').count().saturating_add(1))
}
