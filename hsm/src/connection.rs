//! A token that is logged in to: found, one login for the whole process, and an anchor session.
//!
//! A login belongs to token and process, not to a session, and ends with the last session. So one
//! session does nothing but stay open. Every new session is opened here, after a look whether the
//! token is still there and the login still stands.
//!
//! No lock is held during a call but the one of logging in, whose holders wait for each other no
//! longer than their deadlines: a call that hangs here must not stop the other threads.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::error::Error;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;
use x509::key::{PublicKey, SpkiHash};

use crate::attempts::{LoginLock, LoginTurn, PinMarkers};
use crate::failure::Pkcs11Failure;
use crate::gate::{Generation, Pass};
use crate::last_proof::LastProofs;
use crate::login::{is_logged_in, log_in};
use crate::module::Module;
use crate::open::{LoginError, Loss, OpenError};
use crate::pin::Pin;
use crate::quirks::Quirks;
use crate::software::SoftwareTokens;
use crate::token::{self, Present, TokenName};

/// After a login that failed for another reason than the PIN, the PIN is not sent again sooner.
const BETWEEN_LOGINS: Duration = Duration::from_secs(2);
/// Whoever waits for another program's login is told so before his own caller gives up: so long before,
/// or a quarter of what is left where that is shorter.
const BEFORE_DEADLINE: Duration = Duration::from_secs(1);
/// A login that is not answered so long after its caller's time is left behind, and another may be made: a
/// wrong PIN would have been answered by then. It stays counted among the logins in doubt.
const LAPSE: Duration = Duration::from_secs(20);
/// A token on which a key has worked within so many milliseconds is not lost.
const LATELY_MS: u64 = 2_000;

/// What it takes to open a logged-in session, again and again.
pub(crate) struct Connection {
    module: Module,
    name: TokenName,
    pin: Pin,
    markers: PinMarkers,
    software: SoftwareTokens,
    quirks: Quirks,
    proofs: LastProofs,
    login: Mutex<Login>,
    login_done: Condvar,
    condition: Mutex<Condition>,
    /// Counts the losses of all sessions at once within a generation of the module.
    epoch: AtomicU64,
    /// Counts sessions of callers that turned out to be lost.
    sessions_lost: AtomicU64,
    logins: AtomicU64,
    outages: AtomicU64,
    begun: Instant,
    /// When a key last worked, in milliseconds since `begun`; 0 for never.
    worked: AtomicU64,
}

/// Who is logged in, and whether somebody is about it.
struct Login {
    under_way: Option<UnderWay>,
    /// Turns that were granted.
    turns: u64,
    anchor: Option<Anchor>,
    failed: Option<(Instant, Pkcs11Failure)>,
}

/// Somebody logs in.
struct UnderWay {
    number: u64,
    /// From then on the turn is whoever's wants it.
    lapses_at: Instant,
    /// What keeps other programs out.
    lock: Option<LoginLock>,
}

struct Anchor {
    session: Session,
    slot: Slot,
    generation: Generation,
}

/// What is known of the token beyond its sessions.
#[derive(Default)]
struct Condition {
    /// It was open once, or is waited for although it never was: it is looked for when it is lost.
    looked_for: bool,
    lost_since: Option<Instant>,
    /// What the last look for it found, and when.
    loss: Option<(Instant, Loss)>,
    /// Keys that have proven themselves here. One that is missing later is a token that is lost.
    proven: HashMap<SpkiHash, PublicKey>,
}

/// What a session may do with objects.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Access {
    /// Sign and read.
    Read,
    /// Make and destroy keys as well.
    Write,
}

impl Connection {
    pub(crate) fn new(
        module: Module,
        name: TokenName,
        pin: Pin,
        markers: PinMarkers,
        software: SoftwareTokens,
    ) -> Self {
        let login = Login { under_way: None, turns: 0, anchor: None, failed: None };
        Self {
            module,
            name,
            pin,
            markers,
            software,
            quirks: Quirks::default(),
            proofs: LastProofs::default(),
            login: Mutex::new(login),
            login_done: Condvar::new(),
            condition: Mutex::default(),
            epoch: AtomicU64::new(0),
            sessions_lost: AtomicU64::new(0),
            logins: AtomicU64::new(0),
            outages: AtomicU64::new(0),
            begun: Instant::now(),
            worked: AtomicU64::new(0),
        }
    }

    /// From now on keys prove themselves as the token signs, and it is compared with its profile at
    /// each login.
    pub(crate) fn heed(&mut self, quirks: Quirks) {
        self.quirks = quirks;
    }

    /// How the token differs from the usual.
    pub(crate) const fn quirks(&self) -> &Quirks {
        &self.quirks
    }

    /// How the token's keys looked when they last proved themselves.
    pub(crate) const fn proofs(&self) -> &LastProofs {
        &self.proofs
    }

    pub(crate) const fn name(&self) -> &TokenName {
        &self.name
    }

    pub(crate) const fn module(&self) -> &Module {
        &self.module
    }

    /// Sessions of an older epoch are neither used nor closed.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// How many sessions turned out to be lost so far.
    pub(crate) fn sessions_lost(&self) -> u64 {
        self.sessions_lost.load(Ordering::Acquire)
    }

    /// One more did.
    pub(crate) fn note_session_lost(&self) {
        self.sessions_lost.fetch_add(1, Ordering::AcqRel);
    }

    /// How often the PIN was sent.
    pub(crate) fn logins(&self) -> u64 {
        self.logins.load(Ordering::Relaxed)
    }

    /// How often the token was lost.
    pub(crate) fn outages(&self) -> u64 {
        self.outages.load(Ordering::Relaxed)
    }

    /// Opens a session, logging in first where nobody in this process has. It is the caller's to
    /// close.
    pub(crate) fn session(
        &self,
        access: Access,
        pass: &Pass,
        until: Instant,
    ) -> Result<Session, OpenError> {
        let present = token::find(&self.module, &self.name)?;
        if self.is_anchored(present.slot, pass.generation()) {
            let session = self.open(present.slot, access)?;
            if is_logged_in(&session).unwrap_or(false) {
                return Ok(session);
            }
            close(session);
        }
        let slot = self.log_in(pass, until)?;
        self.open(slot, access)
    }

    fn is_anchored(&self, slot: Slot, generation: Generation) -> bool {
        let anchored = |anchor: &Anchor| anchor.slot == slot && anchor.generation == generation;
        self.login().anchor.as_ref().is_some_and(anchored)
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn login(&self) -> MutexGuard<'_, Login> {
        self.login.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One at a time.
    fn log_in(&self, pass: &Pass, until: Instant) -> Result<Slot, OpenError> {
        let mut turn = self.turn(until)?;
        let slot = token::find(&self.module, &self.name)?.slot;
        if let Some(anchor) = turn.anchor.take()
            && anchor.generation == pass.generation()
        {
            match is_logged_in(&anchor.session) {
                Ok(true) if anchor.slot == slot => {
                    turn.anchor = Some(anchor);
                    return Ok(slot);
                }
                Ok(_) => close(anchor.session),
                // Neither login nor anchor: every session of the token has ended, and their numbers may
                // be given to others.
                Err(_) => {
                    self.epoch.fetch_add(1, Ordering::AcqRel);
                }
            }
        }
        if let Some((moment, failure)) = &turn.failed
            && moment.elapsed() < BETWEEN_LOGINS
        {
            return Err(self.login_failed(LoginError::Device(failure.clone())));
        }
        let left = until.saturating_duration_since(Instant::now());
        let answer_by = until.checked_sub(BEFORE_DEADLINE.min(left / 4)).unwrap_or(until);
        let login = match turn.lock.take() {
            Some(lock) => self.markers.take_over(&self.name, lock),
            None => self
                .markers
                .turn(&self.name, answer_by)
                .map_err(|error| self.login_failed(LoginError::Attempts(error)))?,
        };
        turn.keep(login.lock())?;
        // What the token tells of its PIN counts only now: another program may have tried one while
        // this one waited.
        let present = token::find(&self.module, &self.name)?;
        let slot = present.slot;
        let session = self.open(slot, Access::Read)?;
        match self.prove_user(&login, &session, &present) {
            Ok(()) => {
                turn.failed = None;
                self.module.note_working(&self.name);
                turn.anchor = Some(Anchor { session, slot, generation: pass.generation() });
                Ok(slot)
            }
            Err(error) => {
                close(session);
                if let OpenError::Login { source: LoginError::Device(failure), .. } = &error {
                    turn.failed = Some((Instant::now(), failure.clone()));
                }
                Err(error)
            }
        }
    }

    fn prove_user(
        &self,
        turn: &LoginTurn<'_>,
        session: &Session,
        present: &Present,
    ) -> Result<(), OpenError> {
        self.judge_software(present)?;
        if let Some(profiled) = &self.quirks.measured_on {
            profiled.judge(&self.module, &self.name, &present.facts)?;
        }
        let failed = |error: Error| Pkcs11Failure::new(&self.name, &error);
        if is_logged_in(session).map_err(|error| OpenError::Session(failed(error)))? {
            return Ok(());
        }
        // Whoever has mended the file need not end the program, whose old PIN would cost another try.
        let pin = self.pin.read_again();
        let login = || {
            self.logins.fetch_add(1, Ordering::Relaxed);
            log_in(session, UserType::User, &pin).map_err(failed)
        };
        turn.attempt(&pin, present.facts.pin, self.quirks.wrong_pins, login)
            .map_err(|source| self.login_failed(source))?;
        tracing::info!(token.label = %self.name.label, token.serial = %self.name.serial,
            token.model = present.facts.model, token.firmware = present.facts.firmware,
            module = self.module.description(), "logged in to the token");
        Ok(())
    }

    /// Waits for another thread that logs in, until `until`. A login that hangs has had its turn
    /// [`LAPSE`] after its caller's time.
    fn turn(&self, until: Instant) -> Result<Turn<'_>, OpenError> {
        let mut login = self.login();
        while let Some(under_way) = &login.under_way {
            let now = Instant::now();
            let lapses_in = under_way.lapses_at.saturating_duration_since(now);
            if lapses_in.is_zero() {
                tracing::warn!(token.label = %self.name.label, token.serial = %self.name.serial,
                    "a login hangs and is left behind; another one is made, as the PIN's budget allows");
                break;
            }
            let left = until.saturating_duration_since(now);
            if left.is_zero() {
                return Err(OpenError::Deadline { token: self.name.clone() });
            }
            let waited = self.login_done.wait_timeout(login, left.min(lapses_in));
            login = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let lock = login.under_way.take().and_then(|under_way| under_way.lock);
        login.turns = login.turns.saturating_add(1);
        let number = login.turns;
        let lapses_at = until.checked_add(LAPSE).unwrap_or(until);
        login.under_way = Some(UnderWay { number, lapses_at, lock: lock.clone() });
        Ok(Turn {
            number,
            lock,
            anchor: login.anchor.take(),
            failed: login.failed.take(),
            connection: self,
        })
    }

    /// Refuses a software token where none may sign, and never takes one in silence where it should
    /// not be (KEY-01).
    fn judge_software(&self, present: &Present) -> Result<(), OpenError> {
        if !present.facts.is_software(&self.module) || self.name.label.allows_software() {
            return Ok(());
        }
        let (token, model) = (self.name.clone(), present.facts.model.clone());
        match self.software {
            SoftwareTokens::TestOnly => Err(OpenError::Software { token, model }),
            SoftwareTokens::DangerAllowed => {
                tracing::error!(problem.code = "danger-software-token", token.label = %token.label,
                    token.serial = %token.serial, token.model = model,
                    "keys of this deployment lie in a software token, outside environment test, and \
                     it is taken all the same");
                Ok(())
            }
        }
    }

    fn open(&self, slot: Slot, access: Access) -> Result<Session, OpenError> {
        let context = self.module.context();
        match access {
            Access::Read => context.open_ro_session_no_drop(slot),
            Access::Write => context.open_rw_session_no_drop(slot),
        }
        .map_err(|error| OpenError::Session(Pkcs11Failure::new(&self.name, &error)))
    }

    fn login_failed(&self, source: LoginError) -> OpenError {
        OpenError::Login { token: self.name.clone(), source }
    }

    /// From now on the token is looked for when it is lost: a session was opened for a caller, or the
    /// token is waited for although it was away from the start.
    pub(crate) fn look_for(&self) {
        self.condition().looked_for = true;
    }

    /// The token is out of reach. True for the first who finds out; never before it is looked for.
    pub(crate) fn note_lost(&self) -> bool {
        let mut condition = self.condition();
        if !condition.looked_for || condition.lost_since.is_some() {
            return false;
        }
        condition.lost_since = Some(Instant::now());
        condition.loss = None;
        self.module.note_idle(&self.name);
        self.outages.fetch_add(1, Ordering::Relaxed);
        true
    }

    /// The token is there again; how long it was not.
    pub(crate) fn note_found(&self) -> Option<Duration> {
        let since = self.condition().lost_since.take()?;
        self.module.note_working(&self.name);
        Some(since.elapsed())
    }

    /// Since when the token is out of reach.
    pub(crate) fn lost_for(&self) -> Option<Duration> {
        self.condition().lost_since.map(|since| since.elapsed())
    }

    /// It was looked for in vain.
    pub(crate) fn note_loss(&self, loss: Loss) {
        self.condition().loss = Some((Instant::now(), loss));
    }

    /// Whether it is known to be out of reach. A key that has worked since it was lost, and since it was
    /// last looked for in vain, says that it is not, whatever else is looked for.
    pub(crate) fn within_reach(&self) -> Result<(), OpenError> {
        let condition = self.condition();
        let Some(since) = condition.lost_since else { return Ok(()) };
        let told = condition.loss.as_ref().map_or(since, |(looked, _)| *looked);
        let worked = Duration::from_millis(self.worked.load(Ordering::Relaxed));
        if worked > told.saturating_duration_since(self.begun) {
            return Ok(());
        }
        let loss = condition.loss.as_ref().map(|(_, loss)| loss.clone());
        Err(OpenError::Lost {
            token: self.name.clone(),
            lost_for: since.elapsed(),
            loss: Box::new(loss.unwrap_or_default()),
        })
    }

    /// A key has worked.
    pub(crate) fn note_worked(&self) {
        self.worked.store(self.milliseconds(), Ordering::Relaxed);
    }

    /// Whether the token works for others, so that one failure says nothing of it.
    pub(crate) fn worked_lately(&self) -> bool {
        let worked = self.worked.load(Ordering::Relaxed);
        worked != 0 && self.milliseconds().saturating_sub(worked) < LATELY_MS
    }

    fn milliseconds(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX).max(1)
    }

    pub(crate) fn is_looked_for(&self) -> bool {
        self.condition().looked_for
    }

    /// The key has proven itself.
    pub(crate) fn note_proven(&self, key: &PublicKey) {
        let mut condition = self.condition();
        condition.proven.entry(key.spki_hash()).or_insert_with(|| key.clone());
    }

    /// The key is not expected here any more.
    pub(crate) fn forget_key(&self, key: &SpkiHash) {
        self.condition().proven.remove(key);
    }

    pub(crate) fn has_proven(&self, key: &SpkiHash) -> bool {
        self.condition().proven.contains_key(key)
    }

    pub(crate) fn proven_keys(&self) -> Vec<PublicKey> {
        self.condition().proven.values().cloned().collect()
    }
}

/// Whoever drops the last handle of a token finds the login ended.
impl Drop for Connection {
    fn drop(&mut self) {
        self.module.note_idle(&self.name);
        let anchor = self.login().anchor.take();
        if let (Some(anchor), Some(pass)) = (anchor, self.module.enter_beside())
            && anchor.generation == pass.generation()
        {
            close(anchor.session);
        }
    }
}

/// The right to log in; puts back what it took.
struct Turn<'a> {
    number: u64,
    /// Of the turn that this one was taken from.
    lock: Option<LoginLock>,
    anchor: Option<Anchor>,
    failed: Option<(Instant, Pkcs11Failure)>,
    connection: &'a Connection,
}

impl Turn<'_> {
    /// Leaves the lock for whoever takes the turn over. Where somebody has, no PIN is sent any more.
    fn keep(&self, lock: LoginLock) -> Result<(), OpenError> {
        match &mut self.connection.login().under_way {
            Some(under_way) if under_way.number == self.number => {
                under_way.lock = Some(lock);
                Ok(())
            }
            _ => Err(OpenError::Deadline { token: self.connection.name.clone() }),
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut login = self.connection.login();
        if login.under_way.as_ref().is_none_or(|under_way| under_way.number != self.number) {
            // Taken over: the login is the other one's.
            drop(login);
            if let Some(anchor) = self.anchor.take() {
                close(anchor.session);
            }
            return;
        }
        login.under_way = None;
        login.anchor = self.anchor.take();
        login.failed = self.failed.take();
        self.connection.login_done.notify_all();
    }
}

/// Closes a session of this generation. An error of closing a lost session tells nothing new.
pub(crate) fn close(session: Session) {
    let _lost = session.close();
}
