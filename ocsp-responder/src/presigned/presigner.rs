//! The inner zone's side: signs for every certificate, wave after wave, and again at once what the log changes.
//!
//! A wave is one file. It is signed anew as a whole at its own moment of every period; between these moments
//! only answers that say another thing than the log are signed, and the others stand as they are. A crash leaves the old file or the
//! new one, and a start compares every file with the log.
//!
//! What fails, and a CA for which nothing can be signed, is passed over: it holds up nobody else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use host::durable;
use status::freshness::resign_after;
use status::presigned::{
    MAX_PRESIGNED_OCTETS, MAX_SIGNERS, PresignedAnswer, PresignedError, PresignedFile,
    PresignedHead, Said, Wave,
};
use status::{IssuerId, Position};
use thiserror::Error;
use x509::certificate::Certificate;
use x509::ocsp::CertStatus;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::own::{Look, Own, Urgency};
use super::{GENERATIONS_AHEAD, says};
use crate::answer::{Archived, Finding, NeverIssued, Times, look_up, times};
use crate::authority::{Authorities, Authority, Issuer};
use crate::chain;
use crate::delegate::{Delegate, Delegates};
use crate::metrics::{Counted, Metrics};
use crate::signer::AnswerSignError;
use crate::view::{Change, View};

/// Nothing is signed from an older checkpoint: what it says may be true no more, and the answer would end the sooner.
const CHECKPOINT_AT_MOST: Duration = Duration::from_secs(10);

/// Where it signs, and how.
pub(crate) struct PresignerSettings {
    /// The publication tree.
    pub(crate) publication: PathBuf,
    /// From thisUpdate to nextUpdate.
    pub(crate) validity: Duration,
    /// Signatures at once: the token's sessions.
    pub(crate) at_once: NonZeroUsize,
    /// The CAs that are signed for; of several certificates of one, the one that has delegates.
    pub(crate) names: Vec<String>,
}

/// Signs beforehand.
pub(crate) struct Presigner {
    settings: PresignerSettings,
    view: Arc<View>,
    delegates: Arc<Delegates>,
    metrics: Arc<Metrics>,
    changes: mpsc::Receiver<Change>,
    own: BTreeMap<IssuerId, Own>,
    /// CAs for which nothing can be signed, by name.
    unsigned: BTreeSet<String>,
    /// CAs that have ended, by name: their final answers are there, and they get no delegates any more.
    ended: BTreeSet<String>,
    /// Steps so far, by which CAs take turns.
    steps: u64,
    /// The last step took what had changed.
    after_change: bool,
    pub(super) figures: Arc<Presigning>,
}

/// Figures for `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Presigning {
    certificates: AtomicU64,
    behind: AtomicU64,
    /// Unix time; 0 while there is no answer.
    ends: AtomicU64,
    unsigned: AtomicU64,
}

impl Presigning {
    /// Certificates signed for, waves that are still to be looked at, for how many seconds all answers last, and CAs that nothing can be signed for.
    pub(crate) fn figures(&self, now: UnixTime) -> [u64; 4] {
        let ends = self.ends.load(Ordering::Relaxed);
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let left = ends.saturating_sub(now.secs());
        [read(&self.certificates), read(&self.behind), left, read(&self.unsigned)]
    }
}

/// What became of a wave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Its file was right, or is right now.
    Done,
    /// Nothing can be signed now: no fresh checkpoint, or no delegate.
    NotNow,
    /// There was nothing to do.
    Idle,
}

/// A wave that is to be looked at, and by whom it would be signed.
struct Chosen<'a> {
    authority: &'a Authority,
    issuer: &'a Issuer,
    delegate: Arc<Delegate>,
    look: Look,
    urgency: Urgency,
    wave: Wave,
}

/// What the log says about the certificates of a wave, at one moment.
struct Facts {
    wave: Wave,
    findings: Vec<(SerialNumber, Finding)>,
    checkpoint: UnixTime,
    position: Position,
}

impl Presigner {
    pub(crate) fn new(
        settings: PresignerSettings,
        view: Arc<View>,
        delegates: Arc<Delegates>,
        metrics: Arc<Metrics>,
        figures: Arc<Presigning>,
    ) -> Self {
        let changes = view.changes();
        Self {
            settings,
            view,
            delegates,
            metrics,
            changes,
            own: BTreeMap::new(),
            unsigned: BTreeSet::new(),
            ended: BTreeSet::new(),
            steps: 0,
            after_change: false,
            figures,
        }
    }

    /// Looks at one wave: of all CAs one that the log has changed first, and by turns with that one whose answers end before long.
    ///
    /// # Errors
    ///
    /// [`PresignError`], told in the log; the wave's file is as it was, and is looked at again after a pause, while others have their turns.
    pub(crate) fn step(
        &mut self,
        authorities: &Authorities,
        now: UnixTime,
    ) -> Result<Outcome, PresignError> {
        self.hear();
        self.learn(authorities, now);
        let chosen = self.choose(authorities, now);
        self.tell();
        let Some(chosen) = chosen else {
            return Ok(if self.unsigned.is_empty() { Outcome::Idle } else { Outcome::NotNow });
        };
        let outcome = self.sign_wave(&chosen);
        if matches!(outcome, Ok(Outcome::NotNow | Outcome::Idle)) {
            return outcome;
        }
        let Chosen { authority, urgency, wave, .. } = chosen;
        self.steps = self.steps.saturating_add(1);
        self.after_change = urgency == Urgency::Changed;
        let Some(own) = self.own.get_mut(&authority.issuer) else { return outcome };
        own.served = self.steps;
        match &outcome {
            Ok(_) => own.done(wave),
            Err(error) => {
                let faulty = error.is_of_the_file().then_some(wave);
                if own.fail(faulty, error.code(), now) {
                    tracing::error!(
                        problem.code = error.code(),
                        authority.name = authority.name,
                        error = chain(error),
                        "answers are not signed"
                    );
                }
            }
        }
        outcome
    }

    /// The wave whose turn it is, of the CAs that have a delegate.
    fn choose<'a>(&mut self, authorities: &'a Authorities, now: UnixTime) -> Option<Chosen<'a>> {
        let (period, validity) = (self.period(), self.settings.validity);
        let after_change = self.after_change;
        let mut chosen: Option<((u8, u64), Chosen<'a>)> = None;
        for (id, own) in &self.own {
            let name = &own.name;
            let mut list = authorities.list().iter();
            let authority = list.find(|one| one.issuer == *id && one.name == *name);
            let Some((authority, issuer)) = authority.zip(authorities.issuer_of(name)) else {
                continue;
            };
            let Some(delegate) = self.delegates.choose(&issuer.names, &[], now) else {
                if self.ended.contains(name) {
                    continue;
                }
                if self.unsigned.insert(name.clone()) {
                    let publication = &self.settings.publication;
                    if issuer.names.iter().any(|name| has_final_answers(publication, name)) {
                        self.unsigned.remove(name);
                        self.ended.insert(name.clone());
                        continue;
                    }
                    tracing::warn!(
                        problem.code = "presign-no-delegate",
                        authority.name = name,
                        "answers for an authority are not signed: it has no live delegate"
                    );
                }
                continue;
            };
            if self.unsigned.remove(name) {
                tracing::info!(authority.name = name, "answers for an authority can be signed");
            }
            let margin = validity / 8 * 3;
            let delegate_ends = delegate.not_after();
            let look = Look { now, period, margin, delegate_ends, after_change };
            let Some((urgency, wave)) = own.next(&look) else { continue };
            let rank = match urgency {
                Urgency::Changed => u8::from(after_change),
                Urgency::Ending => u8::from(!after_change),
                Urgency::InTurn => 2,
            };
            let order = (rank, own.served);
            if chosen.as_ref().is_none_or(|(best, _)| order < *best) {
                chosen = Some((order, Chosen { authority, issuer, delegate, look, urgency, wave }));
            }
        }
        chosen.map(|(_, chosen)| chosen)
    }

    fn period(&self) -> Duration {
        resign_after(self.settings.validity)
    }

    /// Notes what the log has changed.
    fn hear(&mut self) {
        while let Ok(change) = self.changes.try_recv() {
            match change {
                Change::All => self.own.clear(),
                Change::Certificates(list) => {
                    for (issuer, serial) in list {
                        if let Some(own) = self.own.get_mut(&issuer) {
                            own.note(serial);
                        }
                    }
                }
            }
        }
    }

    /// Reads the certificates of CAs that are new here. What the log changes meanwhile is heard of next.
    fn learn(&mut self, authorities: &Authorities, now: UnixTime) {
        for authority in authorities.list() {
            let name = &authority.name;
            if self.own.contains_key(&authority.issuer) || !self.settings.names.contains(name) {
                continue;
            }
            let own = self.view.read(now, |seen| {
                let reference = seen.index.issuer(&authority.issuer);
                let known = reference.into_iter().flat_map(|one| seen.index.certificates(one));
                Own::new(name.clone(), known.map(|(serial, _)| serial))
            });
            if let Some(own) = own {
                self.own.insert(authority.issuer, own);
            }
        }
    }

    fn tell(&self) {
        let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
        let all = || self.own.values().map(Own::figures);
        let certificates = all().map(|(certificates, _)| number(certificates)).sum();
        let ends = all().filter_map(|(_, ends)| ends).min();
        let behind = self.own.values().map(|own| number(own.behind())).sum();
        self.figures.unsigned.store(number(self.unsigned.len()), Ordering::Relaxed);
        self.figures.certificates.store(certificates, Ordering::Relaxed);
        self.figures.behind.store(behind, Ordering::Relaxed);
        self.figures.ends.store(ends.map_or(0, UnixTime::secs), Ordering::Relaxed);
    }

    /// Brings the file of a wave abreast of the log.
    fn sign_wave(&mut self, chosen: &Chosen<'_>) -> Result<Outcome, PresignError> {
        let Chosen { authority, issuer, delegate, look, wave, .. } = chosen;
        let (wave, now) = (*wave, look.now);
        let Some(own) = self.own.get(&authority.issuer) else { return Ok(Outcome::NotNow) };
        let path = self.path(&own.name, wave);
        let Some(facts) = self.facts(own, issuer, wave, now) else { return Ok(Outcome::NotNow) };
        let bytes = durable::read(&path, MAX_PRESIGNED_OCTETS).map_err(PresignError::io(&path))?;
        let before = bytes.as_deref().and_then(|bytes| PresignedFile::read(bytes).ok());
        let before = before.filter(|file| file.head().issuer == authority.issuer);
        if let Some(file) = before.as_ref().filter(|file| file.is_final()) {
            // The CA has ended: nothing is signed over its final answers.
            self.note(authority.issuer, &facts, file);
            return Ok(Outcome::Done);
        }

        let is_due = |answer: &PresignedAnswer, finding: &Finding| {
            let ends = answer.said.next_update;
            wave.is_due(answer.said.produced_at, now, look.period)
                || ends <= now
                || (!is_the_last(answer, finding) && look.ends_early(ends))
        };
        let stands = before.as_ref().is_some_and(|file| {
            file.answers().count() == facts.findings.len()
                && facts.findings.iter().all(|(serial, finding)| {
                    let answer = file.find(serial);
                    answer.is_some_and(|answer| {
                        says(&answer.said, finding) && !is_due(&answer, finding)
                    })
                })
        });
        // A CA without certificates has one file, by which the outer host sees that it is signed for.
        let is_empty = facts.findings.is_empty() && before.is_none() && wave.number() != 0;
        if !stands && !is_empty {
            let anew = before.as_ref().is_some_and(|file| {
                let mut answers = file.answers();
                answers.any(|one| {
                    facts.of(&one.said.serial).is_some_and(|finding| is_due(&one, finding))
                })
            });
            let kept = before.as_ref().filter(|_| !anew);
            let file = self.make(authority, issuer, &facts, kept, delegate, now)?;
            let generation = before.as_ref().map_or(0, |file| file.head().generation);
            let written = file.write(later_generation(generation, now))?;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(PresignError::io(&path))?;
            }
            // Signing takes seconds: final answers may have arrived meanwhile.
            let arrived = final_file(&path).map_err(PresignError::io(&path))?;
            if arrived.is_none() {
                durable::replace(&path, &written).map_err(PresignError::io(&path))?;
            }
            let there = arrived.as_deref().unwrap_or(&written);
            self.note(authority.issuer, &facts, &PresignedFile::read(there)?);
        } else if let Some(file) = &before {
            self.note(authority.issuer, &facts, file);
        }
        Ok(Outcome::Done)
    }

    fn path(&self, authority: &str, wave: Wave) -> PathBuf {
        let name = format!("presigned/{authority}/{wave}.answers");
        self.settings.publication.join(name)
    }

    /// Keeps what the file says of its times. What ends because its certificate is forgotten then has no successor, and nobody waits for one.
    fn note(&mut self, issuer: IssuerId, facts: &Facts, file: &PresignedFile<'_>) {
        let members = self.own.get_mut(&issuer).and_then(|own| own.members_mut(facts.wave));
        let has_successor = |answer: &PresignedAnswer| {
            facts.of(&answer.said.serial).is_some_and(|finding| !is_the_last(answer, finding))
        };
        if let Some(members) = members {
            // What stands for ever has no turn any more.
            let oldest = file.answers().map(|answer| answer.said.produced_at).min();
            members.oldest = oldest.filter(|_| !file.is_final());
            let lasting = file.answers().filter(has_successor);
            members.ends = lasting.map(|answer| answer.said.next_update).min();
        }
    }

    /// What the log says about the certificates of a wave; `None` without a checkpoint that is fresh enough. What is
    /// forgotten after its end is left out.
    fn facts(&self, own: &Own, issuer: &Issuer, wave: Wave, now: UnixTime) -> Option<Facts> {
        let serials = &own.members(wave)?.serials;
        let facts = self.view.read(now, |seen| {
            let reference = seen.index.issuer(&issuer.id);
            let find = |serial: &SerialNumber| {
                look_up(seen.index, reference, Some(serial), NeverIssued::Unknown, now)
            };
            let findings = serials.iter().map(|serial| (*serial, find(serial)));
            let is_said = |status| matches!(status, CertStatus::Good | CertStatus::Revoked { .. });
            let findings = findings.filter(|(_, finding)| is_said(finding.status)).collect();
            Facts { wave, findings, checkpoint: seen.checkpoint, position: seen.position }
        })?;
        (now.since(facts.checkpoint) <= CHECKPOINT_AT_MOST).then_some(facts)
    }

    /// Puts a file together: of what `kept` has what says what the log says, and for the rest new signatures.
    fn make(
        &self,
        authority: &Authority,
        issuer: &Issuer,
        facts: &Facts,
        kept: Option<&PresignedFile<'_>>,
        delegate: &Delegate,
        now: UnixTime,
    ) -> Result<Making, PresignError> {
        let ca = &authority.certificate;
        let mut making = Making {
            issuer: authority.issuer,
            wave: facts.wave,
            position: facts.position,
            checkpoint: facts.checkpoint,
            // Whoever signs now has its place, however many signed before.
            signers: vec![delegate.certificate.clone()],
            answers: Vec::new(),
        };
        let mut to_sign = Vec::new();
        for (serial, finding) in &facts.findings {
            let known = kept.and_then(|file| {
                let answer = file.find(serial).filter(|answer| says(&answer.said, finding))?;
                let signer = file.signer_of(&answer)?;
                // A damaged one must not keep the file from being believed.
                answer.verified(ca.subject(), ca.public_key(), signer.public_key()).ok()?;
                Some((answer, signer.clone()))
            });
            if let Some((answer, signer)) = known
                && making.add(answer, &signer)
            {
                continue;
            }
            let ends = (finding.status, finding.ends);
            let validity = self.settings.validity;
            let not_after = delegate.not_after();
            let times = times(ends, facts.checkpoint, now, validity, not_after);
            let Times { this_update, next_update, produced_at } =
                times.ok_or(PresignError::DelegateEnds)?;
            to_sign.push(Said {
                serial: *serial,
                status: finding.status,
                invalidity_date: finding.invalidity_date,
                archive_cutoff: (finding.archived == Archived::Yes).then_some(issuer.since),
                produced_at,
                this_update,
                next_update,
            });
        }
        making.answers.extend(self.sign(authority, delegate, &to_sign)?);
        Ok(making)
    }

    /// Signs, over as many sessions as the token has; all or nothing.
    fn sign(
        &self,
        authority: &Authority,
        delegate: &Delegate,
        all: &[Said],
    ) -> Result<Vec<PresignedAnswer>, PresignError> {
        let ca = &authority.certificate;
        let share = all.len().div_ceil(self.settings.at_once.get()).max(1);
        let metrics = self.metrics.as_ref();
        let sign_one = |said: &Said| {
            let key = delegate.key().key_bits_sha1();
            let data = said.response_data(ca.subject(), ca.public_key(), key);
            let signature = delegate.sign(&data.into())?;
            metrics.count(Counted::Signed);
            Ok(PresignedAnswer { said: *said, signer: 0, signature })
        };
        let signed: Vec<Result<Vec<PresignedAnswer>, AnswerSignError>> = thread::scope(|scope| {
            let sign_one = &sign_one;
            let threads: Vec<_> = all
                .chunks(share)
                .map(|part| scope.spawn(move || part.iter().map(sign_one).collect()))
                .collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            threads.into_iter().map(join).collect()
        });
        let mut answers = Vec::with_capacity(all.len());
        for part in signed {
            answers.extend(part.inspect_err(|_| self.metrics.count(Counted::SignFailure))?);
        }
        Ok(answers)
    }
}

impl Facts {
    /// About one of the certificates, which are in their order.
    fn of(&self, serial: &SerialNumber) -> Option<&Finding> {
        let place = self.findings.binary_search_by_key(serial, |(serial, _)| *serial).ok()?;
        self.findings.get(place).map(|(_, finding)| finding)
    }
}

/// Whether a CA's files are those of its final answers.
fn has_final_answers(publication: &Path, authority: &str) -> bool {
    let files = fs::read_dir(publication.join("presigned").join(authority));
    let mut files = files.into_iter().flatten().flatten();
    files.any(|entry| final_file(&entry.path()).is_ok_and(|file| file.is_some()))
}

/// The octets of a file if it is there and one of final answers.
fn final_file(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let octets = durable::read(path, MAX_PRESIGNED_OCTETS)?;
    Ok(octets.filter(|octets| PresignedFile::read(octets).is_ok_and(|file| file.is_final())))
}

/// Whether an answer ends because the log forgets its certificate then.
fn is_the_last(answer: &PresignedAnswer, finding: &Finding) -> bool {
    finding.ends.is_some_and(|ends| ends <= answer.said.next_update)
}

/// The number of the file after that of generation `before`. One that is far ahead of the clock was never believed outside.
fn later_generation(before: u64, now: UnixTime) -> u64 {
    let is_ahead = before > now.secs().saturating_add(GENERATIONS_AHEAD);
    if is_ahead { now.secs() } else { before.saturating_add(1).max(now.secs()) }
}

/// A file that is being put together.
struct Making {
    issuer: IssuerId,
    wave: Wave,
    position: Position,
    checkpoint: UnixTime,
    signers: Vec<Certificate>,
    answers: Vec<PresignedAnswer>,
}

impl Making {
    /// Adds an answer of an earlier file; false where its signer would be one too many.
    fn add(&mut self, answer: PresignedAnswer, signer: &Certificate) -> bool {
        let known = self.signers.iter().position(|one| one == signer);
        let place = known.unwrap_or(self.signers.len());
        if place >= MAX_SIGNERS {
            return false;
        }
        let Ok(number) = u8::try_from(place) else { return false };
        if known.is_none() {
            self.signers.push(signer.clone());
        }
        self.answers.push(PresignedAnswer { signer: number, ..answer });
        true
    }

    fn write(self, generation: u64) -> Result<Vec<u8>, PresignedError> {
        let Self { issuer, wave, position, checkpoint, signers, answers } = self;
        PresignedHead { issuer, wave, generation, position, checkpoint, signers }.write(answers)
    }
}

/// Why a wave was not signed.
#[derive(Debug, Error)]
pub(crate) enum PresignError {
    #[error("the delegate ends before an answer could begin")]
    DelegateEnds,
    #[error("{path:?} cannot be read or written")]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("an answer was not signed")]
    Sign(#[from] AnswerSignError),
    #[error("a file of answers cannot be written")]
    File(#[from] PresignedError),
}

impl PresignError {
    fn io(path: &Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }

    /// Whether another file of the same CA may be signed meanwhile.
    const fn is_of_the_file(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::File(_))
    }

    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::DelegateEnds => "presign-delegate-ends",
            Self::Io { .. } => "presign-storage",
            Self::Sign(_) => "presign-not-signed",
            Self::File(_) => "presign-file",
        }
    }
}
