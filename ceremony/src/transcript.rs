//! The transcript on its media: a line is on all of them before what it announces is done.
//!
//! The rules of its lines are [`ceremony_core::transcript`]'s. Here they get a clock and files: two, on two media, so
//! that one may be pulled out while the ceremony goes on. This is the ceremony's recorder: an intent is durable
//! when its line is on the disk.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ca::deployment::Deployment;
use ceremony_core::attendance::AttendanceFault;
use ceremony_core::budget::SIGN;
use ceremony_core::held::{Held, HeldFault};
use ceremony_core::plan::{Plan, Role, Step};
use ceremony_core::refusal::Refusal;
use ceremony_core::transcript::{
    Chain, FORMAT, Fact, Kind, MAX_TRANSCRIPT, OpenIntent, Phase, Record, TranscriptFault, Whole,
    line_of_difference,
};
use thiserror::Error;
use x509::signing::{Intent, Recorded, Recorder};

use crate::gates::{Rehearsal, TOLD};
use crate::home::{self, Home};
use crate::stopped::Stopped;
use crate::works::{now, random};

/// What the making of a key is called in an intent.
pub(crate) const GENERATE_KEY: &str = "generate-key";

/// Named members of a body.
pub(crate) type Facts<'a> = &'a [(&'a str, Fact)];

/// An open transcript.
pub(crate) struct Transcript<'a> {
    media: Vec<Medium>,
    chain: Chain,
    /// What earlier runs wrote.
    earlier: Vec<Record>,
    /// What this run wrote that went otherwise than planned.
    exceptions: Vec<Record>,
    /// When this run began.
    began: Instant,
    /// The step that lines are of.
    step: String,
    /// What the lines of a ceremony with people agree with; a demo has none.
    held: Option<Held<'a>>,
    /// The home's file, where that was lost and its lines are those of the mirror.
    restored: Option<PathBuf>,
    /// The nonce of the first line of a ceremony with people.
    ceremony: String,
}

/// A file on a medium.
struct Medium {
    path: PathBuf,
    /// `None` from when it was lost.
    file: Option<File>,
}

impl<'a> Transcript<'a> {
    /// Opens the transcript at these paths, the home's first, judges it, and goes on with it. A last line without its end was never
    /// flushed whole and is taken off; a copy that is behind is brought abreast.
    ///
    /// The home is written first. A mirror that says more was written by somebody else, unless the home's file is away or torn.
    ///
    /// # Errors
    ///
    /// [`Stopped`] by R17 for a transcript that breaks its rules, for copies that differ, and for a mirror that is ahead of its
    /// home; [`TranscriptError`] where a medium fails.
    pub(crate) fn open(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut media = Vec::new();
        let mut copies = Vec::new();
        for path in paths {
            let fault = |source| TranscriptError::Open { path: path.clone(), source };
            let mut file = open(path).map_err(fault)?;
            let mut octets = Vec::new();
            io::Read::by_ref(&mut file)
                .take(MAX_TRANSCRIPT.saturating_add(1))
                .read_to_end(&mut octets)
                .map_err(fault)?;
            let whole = judge(path, &octets)?;
            octets.truncate(octets.len().saturating_sub(whole.torn));
            media.push(Medium { path: path.clone(), file: Some(file) });
            copies.push((octets, whole));
        }
        let longest = copies.iter().max_by_key(|(octets, _)| octets.len()).cloned();
        let (octets, whole) = longest.unwrap_or_default();
        for (medium, (copy, _)) in media.iter().zip(&copies) {
            if !octets.starts_with(copy) {
                return Err(differ(&medium.path, copy, &octets).into());
            }
        }
        let mut restored = None;
        if let Some((copy, home)) = copies.first().filter(|(copy, _)| copy.len() < octets.len()) {
            let is_lost = copy.is_empty() || home.torn > 0;
            let lines = (home.records.len(), whole.records.len());
            // No line can be written behind the last one that says whose lines they are.
            if !is_lost || whole.chain.phase() == Phase::Closed {
                return Err(ahead(paths, lines, is_lost).into());
            }
            restored = paths.first().cloned();
        }
        for (medium, (copy, _)) in media.iter_mut().zip(&copies) {
            medium.bring_abreast(copy.len(), octets.get(copy.len()..).unwrap_or_default())?;
        }
        Ok(Self {
            media,
            chain: whole.chain,
            earlier: whole.records,
            exceptions: Vec::new(),
            began: Instant::now(),
            step: "begin".to_owned(),
            held: None,
            restored,
            ceremony: String::new(),
        })
    }

    /// Opens the transcript of a ceremony with people and says what is begun, or begun again. One that came to its end is left as it
    /// is.
    ///
    /// # Errors
    ///
    /// As [`Self::open`] and [`Self::write`]; [`Stopped`] for a transcript whose lines this plan does not allow.
    pub(crate) fn begin_held(
        paths: &[PathBuf],
        plan: &'a Plan,
        purpose: &str,
        rehearsal: Option<Rehearsal>,
    ) -> anyhow::Result<Self> {
        let mut transcript = Self::open(paths)?;
        let begun = transcript.earlier.first().map(|genesis| genesis.text("purpose"));
        if let Some(seen) = begun.filter(|seen| *seen != Some(purpose)) {
            let seen = seen.unwrap_or_default();
            return Err(Stopped {
                refusal: Refusal::Deployment,
                refused: format!("the transcript is of purpose {seen:?}, not of {purpose:?}"),
                next_step: "name another home, or the transcript of this ceremony; nothing was done",
            }
            .into());
        }
        let sha256 = rehearsal.as_ref().map(|rehearsal| rehearsal.sha256.to_string());
        let shape = rehearsal.as_ref().map(|rehearsal| rehearsal.shape.clone());
        let (mut chain, mut held) = (Chain::new(), Held::new(plan, shape));
        for record in &transcript.earlier {
            let (_, after) = chain.next(record)?;
            held = held.next(chain.head(), record).map_err(TranscriptError::Held)?;
            chain = after;
        }
        transcript.held = Some(held);
        if let Some((rehearsal, genesis)) = rehearsal.as_ref().zip(transcript.earlier.first()) {
            rehearsal.is_of(genesis)?;
        }
        let nonce = base16ct::lower::encode_string(&random::<16>()?);
        let facts = [
            ("deployment", Fact::from(plan.deployment.to_string())),
            ("format", FORMAT.into()),
            ("nonce", nonce.as_str().into()),
            ("plan", plan.hash.to_string().into()),
            ("program", env!("CARGO_PKG_VERSION").into()),
            ("purpose", purpose.into()),
        ];
        let begun = transcript.earlier.first().and_then(|genesis| genesis.text("nonce"));
        transcript.ceremony = begun.map_or_else(|| nonce.clone(), str::to_owned);
        match transcript.phase() {
            Phase::Empty => {
                let mut facts = facts.to_vec();
                facts.extend(sha256.map(|sha256| (TOLD, Fact::from(sha256))));
                transcript.write(Kind::Genesis, &facts)?;
            }
            Phase::Running | Phase::Paused => transcript.write(Kind::Resume, &facts)?,
            Phase::Closed => {}
        }
        if let Some(home) = transcript.restored.take() {
            let facts = [
                (
                    "reason",
                    Fact::from("the home's transcript was lost, and is taken from its mirror"),
                ),
                ("medium", home.display().to_string().into()),
            ];
            transcript.write(Kind::Exception, &facts)?;
        }
        Ok(transcript)
    }

    /// What earlier runs wrote of this kind in the step that is entered, the last one first.
    pub(crate) fn told_before(&self, kind: Kind) -> impl Iterator<Item = &Record> {
        let lines = self.earlier.iter().rev();
        lines.filter(move |record| record.kind == kind && record.step == self.step)
    }

    /// What no other ceremony has: the nonce of its first line.
    pub(crate) fn ceremony(&self) -> &str {
        &self.ceremony
    }

    /// All that went otherwise than planned, in earlier runs and in this one.
    pub(crate) fn exceptions(&self) -> impl Iterator<Item = &Record> {
        let earlier = self.earlier.iter().filter(|record| record.kind == Kind::Exception);
        earlier.chain(&self.exceptions)
    }

    /// Whether those are there whom the step requires.
    ///
    /// # Errors
    ///
    /// [`TranscriptError::Held`] with the first role that is not filled.
    pub(crate) fn require(&self, step: &Step) -> Result<(), TranscriptError> {
        let Some(held) = &self.held else { return Ok(()) };
        held.attendance().require(step).map_err(|fault| TranscriptError::Held(fault.into()))
    }

    /// Those who have a role and are there.
    pub(crate) fn present(&self, role: Role) -> Vec<String> {
        let held = self.held.iter();
        held.flat_map(|held| held.attendance().of(role)).map(ToString::to_string).collect()
    }

    /// Opens the transcript of a demo and says what is begun, or begun again.
    ///
    /// # Errors
    ///
    /// As [`Self::open`] and [`Self::write`]; [`Stopped`] by R17 for the transcript of another deployment or plan.
    pub(crate) fn begin(
        home: &Home,
        deployment: Deployment,
        plan: &[u8; 32],
    ) -> anyhow::Result<Self> {
        let path = home.join("ceremony/transcript.jsonl");
        let mut transcript = Self::open(std::slice::from_ref(&path))?;
        let facts = [
            ("deployment", Fact::from(deployment.to_string())),
            ("format", FORMAT.into()),
            ("plan", base16ct::lower::encode_string(plan).into()),
            ("program", env!("CARGO_PKG_VERSION").into()),
            ("purpose", "unattended-demo".into()),
        ];
        let genesis = transcript.earlier.first();
        for (name, ours) in facts.iter().filter(|(name, _)| ["deployment", "plan"].contains(name)) {
            let theirs = genesis.and_then(|genesis| genesis.body.get(*name));
            if theirs.is_some_and(|theirs| theirs != ours) {
                return Err(of_another(&path, name, theirs, ours).into());
            }
        }
        match transcript.phase() {
            Phase::Empty => transcript.write(Kind::Genesis, &facts)?,
            Phase::Running | Phase::Paused => transcript.write(Kind::Resume, &facts)?,
            // It ended between the last line and the manifest: all that is left is to write files anew.
            Phase::Closed => {}
        }
        Ok(transcript)
    }

    /// Where it stands.
    pub(crate) const fn phase(&self) -> Phase {
        self.chain.phase()
    }

    /// Lines so far, and the root over them.
    pub(crate) fn head(&self) -> (u64, ledger::Hash) {
        self.chain.head()
    }

    /// The ceremony with people that it is of.
    pub(crate) const fn held(&self) -> Option<&Held<'a>> {
        self.held.as_ref()
    }

    /// Names the step that the next lines are of.
    pub(crate) fn enter(&mut self, step: &str) {
        step.clone_into(&mut self.step);
    }

    /// Writes one line to every medium and flushes it to the disk. A medium that fails is left, and that is a line
    /// of the others.
    ///
    /// # Errors
    ///
    /// [`TranscriptError`]; what the line announces must not be done then.
    pub(crate) fn write(&mut self, kind: Kind, facts: Facts<'_>) -> Result<(), TranscriptError> {
        // Work is everybody's who is there.
        let present = self.held.as_ref().filter(|_| kind == Kind::Intent);
        let present = present.into_iter().flat_map(|held| held.attendance().present());
        let who: Vec<String> = present.map(ToString::to_string).collect();
        self.write_of(kind, who, facts)
    }

    /// As [`Self::write`], of these people.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(crate) fn write_of(
        &mut self,
        kind: Kind,
        who: Vec<String>,
        facts: Facts<'_>,
    ) -> Result<(), TranscriptError> {
        // Its own for each line: with one of before a slow act would look like a clock that was set.
        let now = now().map_err(|error| TranscriptError::Clock { why: error.to_string() })?;
        let body = facts.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone()));
        let run_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let step = self.step.clone();
        let record = Record { time: now, run_ms, step, kind, who, body: body.collect() };
        let (mut line, chain) = self.chain.next(&record)?;
        let held = self.held.as_ref().map(|held| held.next(self.chain.head(), &record));
        let held = held.transpose()?;
        line.push(b'\n');
        let lost = self.put(&line)?;
        self.chain = chain;
        self.held = held;
        if record.kind == Kind::Exception {
            self.exceptions.push(record);
        }
        for (path, source) in lost {
            let facts = [
                ("reason", Fact::from("a medium of the transcript is lost")),
                ("medium", Fact::from(path.display().to_string())),
                ("error", Fact::from(source.to_string())),
            ];
            self.write(Kind::Exception, &facts)?;
        }
        Ok(())
    }

    /// Writes the head over the lines before, or that and the end.
    ///
    /// # Errors
    ///
    /// As [`Self::write`].
    pub(crate) fn write_head(&mut self, kind: Kind) -> Result<(), TranscriptError> {
        let facts = self.chain.head_facts();
        let facts = facts.each_ref().map(|(name, fact)| (name.as_str(), fact.clone()));
        self.write(kind, &facts)
    }

    /// Records an intent to sign; `again` says why, where it is the same signature once more.
    ///
    /// # Errors
    ///
    /// [`TranscriptError`]; nothing may be signed then.
    pub(crate) fn record(
        &mut self,
        what: &str,
        again: Option<&str>,
        intent: &Intent,
    ) -> Result<Recorded, TranscriptError> {
        Recorded::by(IntentLine { transcript: self, what, again }, intent)
    }

    /// Work on `what` that an earlier run announced, and of whose end it told nothing.
    pub(crate) fn unfinished(&self, act: &str, what: &str) -> Option<&OpenIntent> {
        let open = self.chain.open()?;
        let is_it = open.record.text("act") == Some(act) && open.record.text("what") == Some(what);
        is_it.then_some(open)
    }

    /// Tells what came of the work under way.
    ///
    /// # Errors
    ///
    /// As [`Self::write`]; [`TranscriptError::Rule`] where no work is under way.
    pub(crate) fn end_work(&mut self, kind: Kind, facts: Facts<'_>) -> Result<(), TranscriptError> {
        let intent = self.chain.open().map(|open| open.id().to_owned()).unwrap_or_default();
        let mut all = vec![("intent", Fact::from(intent))];
        all.extend_from_slice(facts);
        self.write(kind, &all)
    }

    /// Puts a line on the media that are there; which of them are lost now.
    fn put(&mut self, line: &[u8]) -> Result<Vec<(PathBuf, io::Error)>, TranscriptError> {
        let mut lost = Vec::new();
        for medium in &mut self.media {
            let Some(file) = &mut medium.file else { continue };
            if let Err(error) = file.write_all(line).and_then(|()| file.sync_data()) {
                medium.file = None;
                lost.push((medium.path.clone(), error));
            }
        }
        if self.media.iter().any(|medium| medium.file.is_some()) {
            return Ok(lost);
        }
        match lost.pop() {
            Some((path, source)) => Err(TranscriptError::Write { path, source }),
            None => Err(TranscriptError::NoMedium),
        }
    }
}

impl Medium {
    fn bring_abreast(&mut self, whole: usize, missing: &[u8]) -> Result<(), TranscriptError> {
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut act = || {
            file.set_len(u64::try_from(whole).unwrap_or(u64::MAX))?;
            file.seek(SeekFrom::End(0))?;
            file.write_all(missing)?;
            file.sync_all()
        };
        act().map_err(|source| TranscriptError::Write { path: self.path.clone(), source })
    }
}

fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    // A name that is not on the disk leads to no line.
    File::open(home::folder_of(path))?.sync_all()?;
    Ok(file)
}

fn judge(path: &Path, octets: &[u8]) -> Result<Whole, Stopped> {
    let too_long = u64::try_from(octets.len()).is_ok_and(|length| length > MAX_TRANSCRIPT);
    let refused = match Whole::read(octets) {
        _ if too_long => format!("it has more than {MAX_TRANSCRIPT} octets"),
        Ok(whole) => return Ok(whole),
        Err(fault) => fault.to_string(),
    };
    Err(Stopped {
        refusal: Refusal::Transcript,
        refused: format!("transcript {}: {refused}", path.display()),
        next_step: "take the other copy of the transcript, and find out who changed this one; nothing was done",
    })
}

fn differ(path: &Path, copy: &[u8], other: &[u8]) -> Stopped {
    let line = line_of_difference(copy, other).unwrap_or_default();
    Stopped {
        refusal: Refusal::Transcript,
        refused: format!(
            "transcript {} differs from its other copy from line {line} on",
            path.display()
        ),
        next_step: "find out which copy was changed; nothing was done",
    }
}

/// The mirror says more than the home: so many lines of each.
fn ahead(paths: &[PathBuf], (home, mirror): (usize, usize), is_lost: bool) -> Stopped {
    let path = paths.first().map(|path| path.display().to_string()).unwrap_or_default();
    Stopped {
        refusal: Refusal::Transcript,
        refused: format!(
            "a mirror of transcript {path} is ahead of it: {mirror} lines, and {home} in the home, which is written first"
        ),
        next_step: if is_lost {
            "the mirror has the end of a ceremony: where its head is the one on paper, copy it to the home; nothing was done"
        } else {
            "find out who wrote into the mirror; where the home's medium failed and the mirror's lines are known, empty the home's file, and an EXCEPTION tells so; nothing was done"
        },
    }
}

fn of_another(path: &Path, name: &str, theirs: Option<&Fact>, ours: &Fact) -> Stopped {
    let text = |fact: Option<&Fact>| match fact {
        Some(Fact::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let (theirs, ours) = (text(theirs), text(Some(ours)));
    Stopped {
        refusal: Refusal::Transcript,
        refused: format!("transcript {} is of {name} {theirs}, not of {ours}", path.display()),
        next_step: "go on with the hierarchy file that this home was begun with, or begin in an empty home; nothing was done",
    }
}

struct IntentLine<'a, 'p> {
    transcript: &'a mut Transcript<'p>,
    what: &'a str,
    again: Option<&'a str>,
}

impl Recorder for IntentLine<'_, '_> {
    type Error = TranscriptError;

    fn record(self, intent: &Intent) -> Result<(), TranscriptError> {
        let mut facts = vec![
            ("act", Fact::from(SIGN)),
            ("what", self.what.into()),
            ("intent", intent.id().to_string().into()),
            ("kind", intent.kind().name().into()),
            ("key", intent.issuer_key().to_string().into()),
            ("algorithm", intent.algorithm().name().into()),
            ("tbs_sha256", base16ct::lower::encode_string(intent.digest()).into()),
        ];
        facts.extend(self.again.map(|why| ("again", why.into())));
        self.transcript.write(Kind::Intent, &facts)
    }
}

/// Why a line was not written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum TranscriptError {
    /// It may not stand there.
    #[error("the transcript takes no such line: {0}")]
    Rule(#[from] TranscriptFault),
    /// The ceremony may not go on so.
    #[error(transparent)]
    Held(#[from] HeldFault),
    /// No time to write.
    #[error("{why}")]
    Clock {
        /// Why.
        why: String,
    },
    /// No medium is left.
    #[error("every medium of the transcript was lost before")]
    NoMedium,
    /// A medium cannot be opened.
    #[error("cannot open transcript {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The last medium failed.
    #[error("cannot write transcript {path}, and no other medium is left")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl TranscriptError {
    /// Somebody's answer shows nothing; he may give another.
    pub(crate) const fn is_of_an_answer(&self) -> bool {
        matches!(self, Self::Held(HeldFault::People(AttendanceFault::Answer(_))))
    }
}

#[cfg(test)]
mod tests;
