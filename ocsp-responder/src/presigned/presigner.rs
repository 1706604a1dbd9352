//! The inner zone's side: signs for every certificate, wave after wave, and again at once what the log changes.
//!
//! A wave is one file. It is signed anew as a whole at its own moment of every period; between these moments
//! only answers that say another thing than the log are signed, and the others stand as they are. A crash leaves the old file or the
//! new one, and a start compares every file with the log.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use hsm::SigningService;
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

use super::own::Own;
use super::says;
use crate::answer::{Archived, Finding, NeverIssued, Times, look_up, times};
use crate::authority::{Authorities, Authority, Issuer};
use crate::delegate::{Delegate, Delegates};
use crate::durable;
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
    service: Arc<dyn SigningService>,
    metrics: Arc<Metrics>,
    changes: mpsc::Receiver<Change>,
    own: BTreeMap<IssuerId, Own>,
    figures: Arc<Presigning>,
}

/// Figures for `/metrics`.
#[derive(Debug, Default)]
pub(crate) struct Presigning {
    certificates: AtomicU64,
    behind: AtomicU64,
    /// Unix time; 0 while there is no answer.
    ends: AtomicU64,
}

impl Presigning {
    /// Certificates signed for, waves that are still to be looked at, and for how many seconds all answers last.
    pub(crate) fn figures(&self, now: UnixTime) -> [u64; 3] {
        let ends = self.ends.load(Ordering::Relaxed);
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        [read(&self.certificates), read(&self.behind), ends.saturating_sub(now.secs())]
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
        service: Arc<dyn SigningService>,
        metrics: Arc<Metrics>,
        figures: Arc<Presigning>,
    ) -> Self {
        let changes = view.changes();
        let own = BTreeMap::new();
        Self { settings, view, delegates, service, metrics, changes, own, figures }
    }

    /// Looks at one wave: of all CAs one that the log has changed first.
    ///
    /// # Errors
    ///
    /// [`PresignError`]; the wave's file is as it was, and the wave is looked at again.
    pub(crate) fn step(
        &mut self,
        authorities: &Authorities,
        now: UnixTime,
    ) -> Result<Outcome, PresignError> {
        self.hear();
        self.learn(authorities, now);
        self.tell();
        let period = self.period();
        let candidates = self.own.iter().filter_map(|(issuer, own)| {
            let (urgency, wave) = own.next(|wave, made| wave.is_due(made, now, period))?;
            Some((urgency, *issuer, wave))
        });
        let Some((_, issuer, wave)) = candidates.min_by_key(|(urgency, ..)| *urgency) else {
            return Ok(Outcome::Idle);
        };
        let name = self.own.get(&issuer).map(|own| own.name.as_str()).unwrap_or_default();
        let list = authorities.list().iter();
        let found = list.filter(|one| one.issuer == issuer).find(|one| one.name == name);
        let Some((authority, named)) = found.zip(authorities.issuer_of(name)) else {
            return Ok(Outcome::NotNow);
        };
        let outcome = self.sign_wave(authority, named, wave, now)?;
        if outcome == Outcome::Done
            && let Some(own) = self.own.get_mut(&issuer)
        {
            own.done(wave);
        }
        Ok(outcome)
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
        self.figures.certificates.store(certificates, Ordering::Relaxed);
        self.figures.behind.store(behind, Ordering::Relaxed);
        self.figures.ends.store(ends.map_or(0, UnixTime::secs), Ordering::Relaxed);
    }

    /// Brings the file of a wave abreast of the log.
    fn sign_wave(
        &mut self,
        authority: &Authority,
        issuer: &Issuer,
        wave: Wave,
        now: UnixTime,
    ) -> Result<Outcome, PresignError> {
        let Some(own) = self.own.get(&authority.issuer) else { return Ok(Outcome::NotNow) };
        let path = self.path(&own.name, wave);
        let Some(facts) = self.facts(own, issuer, wave, now) else { return Ok(Outcome::NotNow) };
        let Some(delegate) = self.delegates.choose(&issuer.names, &[], now) else {
            return Ok(Outcome::NotNow);
        };
        let bytes = durable::read(&path, MAX_PRESIGNED_OCTETS).map_err(PresignError::io(&path))?;
        let before = bytes.as_deref().and_then(|bytes| PresignedFile::read(bytes).ok());
        let before = before.filter(|file| file.head().issuer == authority.issuer);

        let is_due = |answer: &PresignedAnswer| {
            wave.is_due(answer.said.produced_at, now, self.period())
                || answer.said.next_update <= now
        };
        let stands = before.as_ref().is_some_and(|file| {
            file.answers().count() == facts.findings.len()
                && facts.findings.iter().all(|(serial, finding)| {
                    let answer = file.find(serial);
                    answer.is_some_and(|answer| says(&answer.said, finding) && !is_due(&answer))
                })
        });
        // A CA without certificates has one file, by which the outer host sees that it is signed for.
        let is_empty = facts.findings.is_empty() && before.is_none() && wave.number() != 0;
        if !stands && !is_empty {
            let anew = before.as_ref().is_some_and(|file| file.answers().any(|one| is_due(&one)));
            let kept = before.as_ref().filter(|_| !anew);
            let file = self.make(authority, issuer, &facts, kept, &delegate, now)?;
            let generation = before.as_ref().map_or(0, |file| file.head().generation);
            let written = file.write(generation.saturating_add(1).max(now.secs()))?;
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(PresignError::io(&path))?;
            }
            durable::replace(&path, &written).map_err(PresignError::io(&path))?;
            self.note(authority.issuer, wave, &PresignedFile::read(&written)?);
        } else if let Some(file) = &before {
            self.note(authority.issuer, wave, file);
        }
        Ok(Outcome::Done)
    }

    fn path(&self, authority: &str, wave: Wave) -> PathBuf {
        let name = format!("presigned/{authority}/{wave}.answers");
        self.settings.publication.join(name)
    }

    /// Keeps what the file says of its times.
    fn note(&mut self, issuer: IssuerId, wave: Wave, file: &PresignedFile<'_>) {
        let members = self.own.get_mut(&issuer).and_then(|own| own.members_mut(wave));
        if let Some(members) = members {
            members.oldest = file.answers().map(|answer| answer.said.produced_at).min();
            members.ends = file.answers().map(|answer| answer.said.next_update).min();
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
        let (service, metrics) = (self.service.as_ref(), self.metrics.as_ref());
        let sign_one = |said: &Said| {
            let key = delegate.key().key_bits_sha1();
            let data = said.response_data(ca.subject(), ca.public_key(), key);
            let signature = delegate.sign(service, &data.into())?;
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
    fn io(path: &std::path::Path) -> impl Fn(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
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
