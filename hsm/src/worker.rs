//! One session and the thread that uses it.
//!
//! All of a piece of work is done under one [`Pass`] of the module, so that its sessions and handles
//! are of one generation.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use x509::key::{PublicKey, SpkiHash};

use crate::connection::{Access, Connection, close};
use crate::find_key::{self, FindKeyError};
use crate::gate::{Generation, Pass};
use crate::login::is_logged_in;
use crate::open::OpenError;
use crate::pool::{Job, Shared, deadline_in};
use crate::queue::Queue;
use crate::seats::Next;
use crate::stage::Stage;

/// How long the end of a thread waits to close its session.
const LAST_CLOSE: Duration = Duration::from_secs(1);

/// One session and the keys that were found and proven on it.
pub(crate) struct Worker {
    shared: Arc<Shared>,
    number: u64,
    held: Option<Held>,
    keys: HashMap<SpkiHash, Proven>,
    /// There while there is work.
    pass: Option<Pass>,
    /// When the work must have ended.
    until: Instant,
    /// How far the work is, and whether anybody waits for it.
    stage: Stage,
}

/// An open session.
struct Held {
    session: Session,
    age: Age,
    /// Losses of the token's sessions that were known when this one last showed that it stands.
    losses: u64,
}

/// What a session was opened in. One of another age is neither used nor closed: its number may be
/// another session's by now.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Age {
    generation: Generation,
    epoch: u64,
}

/// A failure of work on a session.
pub(crate) trait SessionFailure: From<OpenError> {
    /// Whether the session is lost, so that a new one may succeed. Never when a signature came
    /// back.
    fn session_lost(&self) -> bool;
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, number: u64) -> Self {
        let until = Instant::now();
        let (keys, stage) = (HashMap::new(), Stage::new());
        Self { shared, number, held: None, keys, pass: None, until, stage }
    }

    pub(crate) fn serve(mut self, jobs: &Queue<Job>) {
        while let Some(job) = jobs.next() {
            if self.shared.begin(self.number, &job) && self.perform(job) == Next::End {
                break;
            }
        }
        self.pass = self.shared.connection().module().enter(deadline_in(LAST_CLOSE));
        self.let_go();
    }

    fn perform(&mut self, job: Job) -> Next {
        self.until = job.deadline();
        self.stage = job.stage().clone();
        self.pass = self.shared.connection().module().enter(self.until);
        // A panic is its own caller's, who gets no answer; the thread goes on.
        let panicked = catch_unwind(AssertUnwindSafe(|| job.run(self))).is_err();
        if panicked || self.shared.is_hung(self.number) {
            self.let_go();
        }
        self.pass = None;
        self.shared.end_of_work(self.number)
    }

    /// Closes the session, if it is of this generation.
    fn let_go(&mut self) {
        self.keys.clear();
        if let (Some(held), Ok(now)) = (self.held.take(), self.age())
            && held.age == now
        {
            close(held.session);
        }
    }

    /// Does `work` on the session. When the session turns out to be lost, opens a new one and does
    /// it once more.
    pub(crate) fn run<T, E: SessionFailure>(
        &mut self,
        mut work: impl FnMut(&mut Keys<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        match self.run_once(&mut work) {
            Err(error) if error.session_lost() => {
                self.shared.note_retry();
                let name = self.shared.connection().name();
                tracing::warn!(token.label = %name.label, token.serial = %name.serial,
                    "session lost; trying once more on a new one");
                self.run_once(&mut work)
            }
            result => result,
        }
    }

    /// Does `work` on the session, once.
    pub(crate) fn run_once<T, E: SessionFailure>(
        &mut self,
        work: &mut impl FnMut(&mut Keys<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let now = self.age()?;
        let kept = self.held.take().filter(|held| held.age == now);
        let kept = kept.and_then(|held| self.standing(held));
        let is_fresh = kept.is_none();
        let held = match kept {
            Some(held) => held,
            None => {
                self.keys.clear();
                self.hold()?
            }
        };
        let connection = Arc::clone(self.shared.connection());
        let mut keys = Keys {
            session: &held.session,
            connection: &connection,
            found: &mut self.keys,
            stage: &self.stage,
            key_vanished: false,
        };
        let result = work(&mut keys);
        let key_vanished = keys.key_vanished;
        let session_lost = result.as_ref().is_err_and(SessionFailure::session_lost);
        self.held = Some(held);
        if session_lost || key_vanished {
            connection.note_session_lost();
            self.let_go();
        }
        if key_vanished || (session_lost && is_fresh && !connection.worked_lately()) {
            self.shared.note_lost();
        }
        result
    }

    /// Sessions are often lost all at once. So once one was, each other is asked before it is used:
    /// whoever tries again does not meet the next one that is lost.
    fn standing(&self, mut held: Held) -> Option<Held> {
        let losses = self.shared.connection().sessions_lost();
        if held.losses == losses {
            return Some(held);
        }
        match is_logged_in(&held.session) {
            Ok(true) => {
                held.losses = losses;
                Some(held)
            }
            Ok(false) => {
                close(held.session);
                None
            }
            // Not there any more; its number may be another session's by now.
            Err(_) => None,
        }
    }

    fn hold(&mut self) -> Result<Held, OpenError> {
        let losses = self.shared.connection().sessions_lost();
        let session = self.open(Access::Read)?;
        Ok(Held { session, age: self.age()?, losses })
    }

    fn age(&self) -> Result<Age, OpenError> {
        let pass = self.pass.as_ref().ok_or_else(|| self.initialising())?;
        Ok(Age { generation: pass.generation(), epoch: self.shared.connection().epoch() })
    }

    fn initialising(&self) -> OpenError {
        OpenError::Initialising { token: self.shared.connection().name().clone() }
    }

    /// Opens a session. Where a token is lost that is looked for, the module is initialised anew, by the
    /// first who meets the loss; after that the healer does it.
    fn open(&mut self, access: Access) -> Result<Session, OpenError> {
        let connection = Arc::clone(self.shared.connection());
        let mut lost = match self.open_once(access) {
            Err(error) if error.is_lost() && connection.is_looked_for() => error,
            opened => return opened,
        };
        if connection.lost_for().is_none() {
            let seen = self.age()?.generation;
            self.let_go();
            self.pass = None;
            let (module, name) = (connection.module(), connection.name());
            let renewed = module.initialise_anew(name, Duration::ZERO, seen, self.until);
            self.pass = connection.module().enter(self.until);
            if renewed.is_ok() {
                lost = match self.open_once(access) {
                    Err(error) if error.is_lost() => error,
                    opened => return opened,
                };
            }
        }
        self.shared.note_lost();
        Err(lost)
    }

    fn open_once(&self, access: Access) -> Result<Session, OpenError> {
        let pass = self.pass.as_ref().ok_or_else(|| self.initialising())?;
        let connection = self.shared.connection();
        let session = connection.session(access, pass, self.until)?;
        connection.look_for();
        Ok(session)
    }

    /// Does `work` on a session for making and destroying keys, which ends with it.
    pub(crate) fn write<T, E: From<OpenError>>(
        &mut self,
        work: impl FnOnce(&Session) -> Result<T, E>,
    ) -> Result<T, E> {
        let session = self.open(Access::Write)?;
        let done = work(&session);
        close(session);
        done
    }

    /// The key is going to be destroyed.
    pub(crate) fn forget_key(&self, key: &SpkiHash) {
        self.shared.connection().forget_key(key);
    }
}

/// A session with its keys.
pub(crate) struct Keys<'a> {
    pub(crate) session: &'a Session,
    connection: &'a Connection,
    found: &'a mut HashMap<SpkiHash, Proven>,
    stage: &'a Stage,
    /// A key that was there before is not.
    key_vanished: bool,
}

/// A private key that has proven itself on a session.
#[derive(Clone, Copy)]
struct Proven {
    handle: ObjectHandle,
    /// How often the key had been refused when it did; another number makes it void.
    refusals: u64,
}

impl Keys<'_> {
    /// The handle of the private key, found and proven when it is first asked for.
    pub(crate) fn private_key(&mut self, key: &PublicKey) -> Result<ObjectHandle, FindKeyError> {
        let hash = key.spki_hash();
        let (token, proofs) = (self.connection.name(), self.connection.proofs());
        let refusals = proofs.refusals(&hash);
        if let Some(proven) = self.found.get(&hash)
            && proven.refusals == refusals
        {
            return Ok(proven.handle);
        }
        let found = find_key::find(self.session, token, key, self.connection.quirks())
            .inspect_err(|error| {
                let missing = matches!(error, FindKeyError::Missing { .. });
                self.key_vanished |= missing && self.connection.has_proven(&hash);
                if error.is_of_key() {
                    proofs.refused(hash);
                    if let Some(last) = proofs.name(&hash) {
                        tracing::error!(problem.code = error.code(), token.label = %token.label,
                        token.serial = %token.serial, key.spki = %hash,
                        "a key that has proven itself as {last} is refused now: {error}");
                    }
                }
            })?;
        for drift in proofs.proven(hash, found.sighting) {
            tracing::warn!(problem.code = "hsm-key-drift", token.label = %token.label,
                token.serial = %token.serial, key.spki = %hash,
                "the token tells another thing of a key than at its last proof: {drift}");
        }
        self.found.insert(hash, Proven { handle: found.handle, refusals });
        self.connection.note_proven(key);
        self.worked();
        Ok(found.handle)
    }

    /// As [`Self::private_key`], found and proven now.
    pub(crate) fn proven_again(&mut self, key: &PublicKey) -> Result<ObjectHandle, FindKeyError> {
        self.found.remove(&key.spki_hash());
        self.private_key(key)
    }

    /// Whether the caller still waits, so that the key may be asked to sign for him. Asked last: from
    /// here on a signature may exist.
    pub(crate) fn may_sign(&self) -> bool {
        self.stage.sign()
    }

    /// A signature came back; whether its caller still waited for it.
    pub(crate) fn signed_in_time(&self) -> bool {
        self.stage.signed()
    }

    /// A key has signed.
    pub(crate) fn worked(&self) {
        self.connection.note_worked();
    }
}
