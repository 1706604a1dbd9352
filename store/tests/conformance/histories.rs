//! Promises 3 and 5 as a model: whatever happens in whatever order, log, states, CRL and OCSP say the same at every
//! position, what was revoked stays revoked, and no answer contradicts the checkpoint that it rests on.
//!
//! The model knows nothing of this room: it writes down what each act said that it did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ca::audit::EventCode;
use ca::job::JobState;
use crl::{CrlEntry, Listing};
use ledger::{Frontier, leaf_hash};
use status::{
    AfterExpiry, Answer, AnswerClasses, BeforeActivation, Index, Position, RevocationReason,
    StatusEntry,
};
use store::{
    ChangeOutcome, IssuerKeeping, JobChange, JobId, JobPlan, JobSelector, JobStart, JobStep, Log,
    PublishedHead, StatusAct, StatusChange, StatusTarget, StoreError, VoidScope,
};
use x509::crl::ReasonCode;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::Backend;
use super::jobs::{frozen, planned, step};
use super::world::{Issuer, World, at, audit, node, serial};

const STEPS: u64 = 60;

/// What histories are made of.
pub(crate) const HAPPENINGS: [&str; 13] = [
    "activated",
    "crashed",
    "expired",
    "expired and forgotten",
    "held",
    "issued",
    "issuing stopped by the clock",
    "lagged",
    "released",
    "restored an older database",
    "revoked",
    "revoked by a job",
    "voided",
];

/// xorshift64: a history is its seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn of(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn throw(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % sides
    }

    pub(crate) fn pick<T: Copy>(&mut self, among: &[T]) -> Option<T> {
        let sides = u64::try_from(among.len()).unwrap().max(1);
        let place = usize::try_from(self.throw(sides)).unwrap();
        among.get(place).copied()
    }
}

/// What a certificate is, as the acts said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Issued,
    Active,
    HeldFrom(Before, UnixTime),
    Revoked(UnixTime, Option<RevocationReason>),
    Voided(UnixTime),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Before {
    Issued,
    Active,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    known: Known,
    classes: AnswerClasses,
    issued: UnixTime,
    pub(crate) not_after: UnixTime,
}

impl Certificate {
    /// When it is revoked in the eyes of the world, and why; `None` while it is good.
    pub(crate) fn shown(&self) -> Option<(UnixTime, Option<ReasonCode>)> {
        let hold = Some(ReasonCode::CertificateHold);
        match self.known {
            Known::Issued if self.classes.before_activation == BeforeActivation::Held => {
                Some((self.issued, hold))
            }
            Known::Issued | Known::Active => None,
            Known::HeldFrom(_, since) => Some((since, hold)),
            Known::Revoked(at, reason) => {
                Some((at, reason.and_then(|reason| ReasonCode::from_code(reason.code()))))
            }
            Known::Voided(at) => Some((at, None)),
        }
    }

    /// From when on nothing is known of it, a week after its end; of a voided one everything is kept.
    pub(crate) fn forgotten_from(&self) -> Option<UnixTime> {
        let week = Duration::from_secs(7 * 86_400);
        let is_kept = self.classes.after_expiry == AfterExpiry::Kept
            || matches!(self.known, Known::Voided(_));
        (!is_kept).then(|| self.not_after.checked_add(week).unwrap())
    }
}

/// Whoever sees the CA from outside, through other code than this room's.
pub(crate) trait Outside {
    /// Looks after each step. What is acknowledged by then is published: a database is lost between two steps.
    fn look(&mut self, inside: &Inside<'_>);
}

/// The CA between two steps.
#[allow(dead_code, reason = "whoever looks is in another room: ocsp-responder/src/histories")]
pub(crate) struct Inside<'a> {
    pub(crate) world: &'a World,
    /// What the acts made of each certificate.
    pub(crate) certificates: &'a BTreeMap<SerialNumber, Certificate>,
    /// By the clock of the CA, which may have been set back.
    pub(crate) now: UnixTime,
}

/// Nobody.
struct Nobody;

impl Outside for Nobody {
    fn look(&mut self, _: &Inside<'_>) {}
}

/// A responder: what it has read, and what it makes of it.
struct Follower {
    index: Index,
    seen: Vec<Vec<u8>>,
}

/// One history.
struct History<'a> {
    dice: Dice,
    /// `None` between the end of the program and its next start.
    world: Option<World>,
    backend: &'a dyn Backend,
    /// Where the program works now, after a restore.
    at_work: Option<Box<dyn Backend>>,
    backup: Option<Box<dyn Backend>>,
    boot: u8,
    clock: u64,
    certificates: BTreeMap<SerialNumber, Certificate>,
    open: Vec<(SerialNumber, AnswerClasses, UnixTime)>,
    follower: Follower,
    job: Option<JobId>,
    /// What has happened, by name: a model in which nothing happens shows nothing.
    happened: BTreeSet<&'static str>,
}

impl History<'_> {
    fn world(&self) -> &World {
        self.world.as_ref().unwrap()
    }

    fn note(&mut self, what: &'static str) {
        self.happened.insert(what);
    }

    fn now(&self) -> UnixTime {
        at(self.clock)
    }

    fn step(&mut self) {
        match self.dice.throw(24) {
            0..=4 => self.issue(),
            5 => self.intend(),
            6..=13 => self.change(),
            14..=15 => self.run_a_job(),
            16 => self.crash(),
            17 => self.clock += self.dice.pick(&[1, 100, 400, 8 * 86_400]).unwrap(),
            18 => self.clock = self.clock.saturating_sub(self.dice.throw(50)),
            19 => self.back_up(),
            20 => self.restore(),
            _ => self.follow(),
        }
        self.clock += self.dice.throw(3);
        self.agree();
    }

    fn draw_certificate(&mut self) -> (AnswerClasses, UnixTime) {
        let before = [BeforeActivation::Good, BeforeActivation::Held];
        let after = [AfterExpiry::Kept, AfterExpiry::Unknown];
        let classes = AnswerClasses {
            before_activation: self.dice.pick(&before).unwrap(),
            after_expiry: self.dice.pick(&after).unwrap(),
        };
        let life = self.dice.pick(&[300, 10_000_000]).unwrap();
        (classes, at(self.clock + life))
    }

    fn issue(&mut self) {
        let (classes, not_after) = self.draw_certificate();
        let world = self.world.as_mut().unwrap();
        (world.classes, world.not_after) = (classes, not_after);
        let (order, serial) = (self.world().order(), serial());
        let pending = self.world().pending(serial);
        let recorded = match self.world().record(order, serial, &pending, self.now()) {
            Ok(recorded) => recorded,
            Err(StoreError::ClockBehind { .. }) => {
                return self.note("issuing stopped by the clock");
            }
            Err(other) => panic!("{other}"),
        };
        let issued = self.world().record_issued(pending, &recorded, self.now()).unwrap();
        let certificate =
            Certificate { known: Known::Issued, classes, issued: issued.time, not_after };
        self.certificates.insert(serial, certificate);
        self.note("issued");
    }

    /// An intent of which nothing comes.
    fn intend(&mut self) {
        let (classes, not_after) = self.draw_certificate();
        let world = self.world.as_mut().unwrap();
        (world.classes, world.not_after) = (classes, not_after);
        let (order, serial) = (self.world().order(), serial());
        let pending = self.world().pending(serial);
        if self.world().record(order, serial, &pending, self.now()).is_ok() {
            self.open.push((serial, classes, not_after));
        }
    }

    fn change(&mut self) {
        let serials: Vec<SerialNumber> = self.certificates.keys().copied().collect();
        let Some(serial) = self.dice.pick(&serials) else { return };
        let reason = self.dice.pick(&[None, Some(RevocationReason::KeyCompromise)]).unwrap();
        let act = [
            StatusAct::Activate,
            StatusAct::Hold,
            StatusAct::Release,
            StatusAct::Revoke { reason, invalidity: None },
        ];
        let act = self.dice.pick(&act).unwrap();
        let target = StatusTarget::Serial(self.world().issuer.id(), serial);
        let change = StatusChange { target, act, requested_at: None, alone: None };
        let record = audit(EventCode::CertificateRevoked);
        let done = match self.world().store.change_status(&change, &record, self.now()) {
            Ok(done) => done,
            Err(StoreError::Transition(_)) => return,
            Err(other) => panic!("{other}"),
        };
        let certificate = self.certificates.get_mut(&serial).unwrap();
        if done.outcome == ChangeOutcome::Already {
            return;
        }
        let when = done.status.status.effective_time;
        certificate.known = match (act, certificate.known) {
            (StatusAct::Activate, _) => Known::Active,
            (StatusAct::Hold, Known::Active) => Known::HeldFrom(Before::Active, when),
            (StatusAct::Hold, Known::Issued) => Known::HeldFrom(Before::Issued, when),
            (StatusAct::Release, Known::HeldFrom(Before::Active, _)) => Known::Active,
            (StatusAct::Release, Known::HeldFrom(Before::Issued, _)) => {
                certificate.issued = when;
                Known::Issued
            }
            (StatusAct::Revoke { reason, .. }, known) => {
                assert!(!matches!(known, Known::Revoked(..) | Known::Voided(_)), "revoked twice");
                Known::Revoked(when, reason)
            }
            (act, known) => panic!("{act:?} of {known:?} said that it changed something"),
        };
        self.note(match act {
            StatusAct::Activate => "activated",
            StatusAct::Hold => "held",
            StatusAct::Release => "released",
            StatusAct::Revoke { .. } | StatusAct::CorrectReason { .. } => "revoked",
        });
    }

    /// A job over everything, begun, or gone on with for a step.
    fn run_a_job(&mut self) {
        let job = if let Some(job) = self.job {
            job
        } else {
            let plan = JobPlan {
                reason: None,
                corrects: Vec::new(),
                wave: 2,
                pause: Duration::from_secs(5),
                actor: "op-1".to_owned(),
                note: "a history".to_owned(),
                selector: JobSelector {
                    issued_until: Some(at(self.clock / 2)),
                    ..JobSelector::default()
                },
            };
            let job = planned(self.world(), plan, &[]);
            let operation = frozen(self.world(), job).operation;
            let change = JobChange {
                job,
                client: "desk".to_owned(),
                actor: "op-1".to_owned(),
                signed_by: None,
            };
            let start = JobStart { operation, alone: u64::MAX };
            let record = audit(EventCode::JobStarted);
            self.world().store.start_job(&change, &start, &record, self.now()).unwrap();
            self.job = Some(job);
            job
        };
        let before = self.world().store.log_head(Log::Status).unwrap().size;
        let most = 1 + u32::try_from(self.dice.throw(3)).unwrap();
        match step(&*self.world().store, job, most, self.now()) {
            JobStep::Taken { .. } | JobStep::Waits(_) => {}
            JobStep::Elsewhere(state) => {
                assert_eq!(state, JobState::Done);
                self.job = None;
            }
        }
        self.learn_revocations(before);
    }

    /// What a job revoked, from what it wrote.
    fn learn_revocations(&mut self, from: u64) {
        let head = self.world().store.log_head(Log::Status).unwrap();
        if head.size == from {
            return;
        }
        for entry in self.world().store.log_entries(Log::Status, 1, from..head.size).unwrap() {
            let Ok(StatusEntry::Certificate(entry)) = StatusEntry::decode(&entry.bytes) else {
                panic!("a job wrote something else")
            };
            let certificate = self.certificates.get_mut(&entry.serial).unwrap();
            assert!(!matches!(certificate.known, Known::Revoked(..) | Known::Voided(_)), "twice");
            certificate.known = Known::Revoked(entry.effective_time, None);
            self.happened.insert("revoked by a job");
        }
    }

    /// The program ends and starts again, on the database that is at work then.
    fn restart(&mut self, on: Option<Box<dyn Backend>>) {
        // One program has a database open at a time.
        let World { store, issuer, classes, not_after, .. } = self.world.take().unwrap();
        drop(store);
        self.at_work = on.or(self.at_work.take());
        self.boot = self.boot.wrapping_add(1).max(2);
        let store = self.at_work.as_deref().unwrap_or(self.backend).open();
        self.world = Some(World { store, issuer, node: node("a", self.boot), classes, not_after });
    }

    /// What was begun to be signed is voided at the next start.
    fn crash(&mut self) {
        self.note("crashed");
        self.restart(None);
        self.void_open();
    }

    fn void_open(&mut self) {
        let scope = VoidScope::EarlierBoots(self.world().node.clone());
        let record = |_: &store::IntentRow| audit(EventCode::CertificateVoided);
        let head = self.world().store.log_head(Log::Status).unwrap().size;
        let voided = self.world().store.void_intents(&scope, &record, self.now()).unwrap();
        assert_eq!(voided.len(), self.open.len());
        let entries = self.world().store.log_head(Log::Status).unwrap().size;
        for entry in self.world().store.log_entries(Log::Status, 1, head..entries).unwrap() {
            let Ok(StatusEntry::Certificate(entry)) = StatusEntry::decode(&entry.bytes) else {
                panic!("not about a certificate")
            };
            let place = self.open.iter().position(|(serial, ..)| *serial == entry.serial).unwrap();
            let (serial, classes, not_after) = self.open.remove(place);
            let known = Known::Voided(entry.effective_time);
            let issued = entry.effective_time;
            self.certificates.insert(serial, Certificate { known, classes, issued, not_after });
            self.happened.insert("voided");
        }
        assert!(self.open.is_empty());
    }

    fn back_up(&mut self) {
        // What is open then is open in the copy: it would be voided after a restore, or has become a certificate.
        if self.open.is_empty()
            && self.job.is_none()
            && self.at_work.is_none()
            && self.backup.is_none()
        {
            self.backup = Some(self.backend.backup());
        }
    }

    /// The database is lost; the backup takes back what was published. All that was acknowledged was.
    fn restore(&mut self) {
        if self.backup.is_none() || !self.open.is_empty() || self.job.is_some() {
            return;
        }
        self.follow();
        let backup = self.backup.take();
        self.restart(backup);
        let mut frontier = Frontier::new();
        for entry in &self.follower.seen {
            frontier.append(leaf_hash(entry)).unwrap();
        }
        let published = PublishedHead { epoch: 1, size: frontier.size(), root: frontier.root() };
        let have = self.world().store.log_head(Log::Status).unwrap().size;
        let mut missing = self.follower.seen[usize::try_from(have).unwrap()..].iter().cloned();
        let record = audit(EventCode::LogRecovered);
        let now = self.now();
        self.world().store.take_over_published(&published, &mut missing, &record, now).unwrap();
        self.world().store.compare_with_published(&published).unwrap();
        if published.size > have {
            self.note("restored an older database");
        }
    }

    /// The responder reads what it has not read yet.
    fn follow(&mut self) {
        let from = self.follower.index.next().index;
        let size = self.world().store.log_head(Log::Status).unwrap().size;
        if from == size {
            return;
        }
        for entry in self.world().store.log_entries(Log::Status, 1, from..size).unwrap() {
            let position = Position { epoch: 1, index: entry.index };
            let read = StatusEntry::decode(&entry.bytes).unwrap();
            self.follower.index.apply(position, &read).unwrap();
            self.follower.seen.push(entry.bytes);
        }
    }

    /// The invariant, after each step.
    fn agree(&mut self) {
        let store = Arc::clone(&self.world().store);
        let size = store.log_head(Log::Status).unwrap().size;
        let mut index = Index::new(1);
        let mut last = None;
        for entry in store.log_entries(Log::Status, 1, 0..size).unwrap() {
            let position = Position { epoch: 1, index: entry.index };
            let place = usize::try_from(entry.index).unwrap();
            // What somebody has read never reads otherwise: not after a crash, not after a restore.
            if let Some(seen) = self.follower.seen.get(place) {
                assert_eq!(seen, &entry.bytes, "the log was rewritten at {position}");
            }
            let read = StatusEntry::decode(&entry.bytes).unwrap();
            assert!(last <= Some(read.log_time()), "log times run back at {position}");
            last = Some(read.log_time());
            index.apply(position, &read).unwrap();
        }
        assert!(self.follower.index.next().index <= size);
        // Nobody asks before the log's own last time.
        let now = self.now().max(last.unwrap());
        let listed = self.listed(now);
        let issuer = index.issuer(&self.world().issuer.id()).unwrap();
        for (serial, certificate) in &self.certificates {
            let expected = certificate.shown();
            let answered = match index.answer(issuer, serial, now) {
                Answer::Good => None,
                Answer::Revoked(shown) => Some((shown.time, shown.reason)),
                Answer::Unknown => {
                    self.happened.insert("expired and forgotten");
                    let forgotten = certificate.forgotten_from().is_some_and(|from| now >= from);
                    assert!(forgotten, "unknown of what is remembered: {serial}");
                    continue;
                }
            };
            assert_eq!(answered, expected, "OCSP of {serial}: {certificate:?}");
            if now > certificate.not_after {
                self.happened.insert("expired");
            } else {
                assert_eq!(
                    listed.get(serial).copied(),
                    expected,
                    "CRL of {serial}: {certificate:?}"
                );
            }
        }
        for serial in listed.keys() {
            assert!(self.certificates.contains_key(serial), "{serial} is listed and nobody's");
        }
        assert_eq!(index.answer(issuer, &SerialNumber::from_random([9; 16]), now), Answer::Unknown);
        if self.follower.index.next().index < size {
            self.happened.insert("lagged");
        }
        self.lags(now);
    }

    /// What the CRL of this moment lists.
    fn listed(&self, now: UnixTime) -> BTreeMap<SerialNumber, (UnixTime, Option<ReasonCode>)> {
        let mut listed = BTreeMap::new();
        let listing = Listing::UntilExpired { previous: Some(now) };
        self.world()
            .store
            .revoked(self.world().issuer.id(), at(0), &mut |snapshot| {
                for row in snapshot.rows {
                    let row = row.unwrap();
                    if let Some(entry) = CrlEntry::of(row.serial, &row.status, listing) {
                        let shown = entry.revoked();
                        listed.insert(row.serial, (shown.revocation_date, shown.reason));
                    }
                }
            })
            .unwrap();
        listed
    }

    /// A responder behind the log answers as the log was at its position, to the last word.
    fn lags(&self, now: UnixTime) {
        let mut then = Index::new(1);
        for (place, bytes) in (0..).zip(&self.follower.seen) {
            let position = Position { epoch: 1, index: place };
            then.apply(position, &StatusEntry::decode(bytes).unwrap()).unwrap();
        }
        let id = self.world().issuer.id();
        let Some(issuer) = self.follower.index.issuer(&id) else { return };
        for serial in self.certificates.keys() {
            let answer = self.follower.index.answer(issuer, serial, now);
            assert_eq!(answer, then.answer(then.issuer(&id).unwrap(), serial, now));
        }
    }
}

/// The history of this seed, on an empty database. Returns what happened in it.
pub(crate) fn run(backend: &dyn Backend, seed: u64) -> BTreeSet<&'static str> {
    let issuer = Issuer::new("CN=SIGILL TEST issuing", IssuerKeeping::Online);
    seen_from(backend, issuer, seed, &mut Nobody)
}

/// The same, of this issuer, with somebody outside who looks.
pub(crate) fn seen_from(
    backend: &dyn Backend,
    issuer: Issuer,
    seed: u64,
    outside: &mut dyn Outside,
) -> BTreeSet<&'static str> {
    let mut history = History {
        dice: Dice::of(seed),
        world: Some(World::of(backend, issuer)),
        backend,
        at_work: None,
        backup: None,
        boot: 1,
        clock: 10,
        certificates: BTreeMap::new(),
        open: Vec::new(),
        follower: Follower { index: Index::new(1), seen: Vec::new() },
        job: None,
        happened: BTreeSet::new(),
    };
    for _ in 0..STEPS {
        history.step();
        let (world, certificates) = (history.world(), &history.certificates);
        outside.look(&Inside { world, certificates, now: history.now() });
    }
    history.happened
}
