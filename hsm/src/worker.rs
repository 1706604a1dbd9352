//! One thread a session, fed by a bounded queue; callers wait no longer than their deadline.
//!
//! PKCS#11 calls block, and some hang. A session is used by one thread only, so a hung call costs
//! that thread and nobody else: callers stop waiting, and work that nobody waits for any more is
//! not begun.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use x509::key::{PublicKey, SpkiHash};

use crate::connection::{Access, Connection};
use crate::failure::{FailureClass, Pkcs11Failure};
use crate::find_key::{self, FindKeyError};
use crate::open::OpenError;
use crate::reply::reply;

/// Calls that may wait for a free session: a store's group of 256 acts, so that one group never
/// waits on itself. Beyond it callers wait outside, still within their deadline.
const QUEUE: usize = 256;

type Job = Box<dyn FnOnce(&mut Worker) + Send>;

/// How long the end of a token's use waits for calls under way. A call that hangs longer is left
/// behind.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// The queue in front of a token's sessions.
pub(crate) struct Workers {
    /// `None` only while being dropped.
    queue: Option<Sender<Job>>,
    /// Disconnected when the last thread has closed its session.
    ended: Receiver<()>,
    threads: Vec<JoinHandle<()>>,
    retries: Arc<AtomicU64>,
}

/// Why a caller got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// No session took the work, and none will.
    NotBegun,
    /// A session began and did not end in time.
    NotEnded,
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Workers {
    /// Starts `sessions` threads; each opens its session when it is first needed.
    pub(crate) fn start(connection: &Arc<Connection>, sessions: usize) -> std::io::Result<Self> {
        let (queue, jobs) = bounded::<Job>(QUEUE);
        let (running, ended) = bounded::<()>(0);
        let retries = Arc::new(AtomicU64::new(0));
        let mut threads = Vec::with_capacity(sessions);
        for number in 1..=sessions {
            let worker = Worker {
                connection: Arc::clone(connection),
                session: None,
                keys: HashMap::new(),
                retries: Arc::clone(&retries),
            };
            let (jobs, running) = (jobs.clone(), running.clone());
            let name = format!("{}#{number}", connection.name().label);
            threads.push(thread::Builder::new().name(name).spawn(move || {
                worker.serve(&jobs);
                drop(running);
            })?);
        }
        Ok(Self { queue: Some(queue), ended, threads, retries })
    }

    /// Has some session do `work` and waits for it until `deadline`.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        deadline: Instant,
        work: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let stage = Arc::new(AtomicU8::new(WAITING));
        let (reply, answer) = reply();
        let begin = Arc::clone(&stage);
        let job: Job = Box::new(move |worker| {
            let begun = begin.compare_exchange(WAITING, BEGUN, Ordering::AcqRel, Ordering::Acquire);
            if begun.is_ok() {
                reply.send(work(worker));
            }
        });
        let queue = self.queue.as_ref().ok_or(CallError::NotBegun)?;
        queue.send_deadline(job, deadline).map_err(|_| CallError::NotBegun)?;
        if let Some(done) = answer.wait_until(deadline) {
            return Ok(done);
        }
        match stage.compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => Err(CallError::NotBegun),
            // It may have ended between the deadline and now.
            Err(_) => answer.take().ok_or(CallError::NotEnded),
        }
    }

    /// How often work was begun again on a new session.
    pub(crate) fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }
}

/// Modules tear themselves down when the process exits, and a call at that moment can crash it. So
/// whoever drops the last handle of a token finds its sessions closed.
impl Drop for Workers {
    fn drop(&mut self) {
        self.queue = None;
        if self.ended.recv_timeout(LAST_CALLS) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a token's session did not end in time and is left behind");
            return;
        }
        for thread in self.threads.drain(..) {
            // A panic was its own caller's, who got no answer.
            let _panicked = thread.join();
        }
    }
}

/// One session and the keys that were found and proven on it.
pub(crate) struct Worker {
    // Fields are dropped in this order: the session before what may hold the last anchor session.
    session: Option<Session>,
    keys: HashMap<SpkiHash, Proven>,
    connection: Arc<Connection>,
    retries: Arc<AtomicU64>,
}

/// A failure of work on a session.
pub(crate) trait SessionFailure: From<OpenError> {
    /// Whether the session is lost, so that a new one may succeed. Never when a signature came
    /// back.
    fn session_lost(&self) -> bool;
}

impl Worker {
    fn serve(mut self, jobs: &Receiver<Job>) {
        while let Ok(job) = jobs.recv() {
            job(&mut self);
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
                self.retries.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(token.label = %self.connection.name().label,
                    token.serial = %self.connection.name().serial,
                    "session lost before anything was signed; trying once more on a new one");
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
        let session = match self.session.take() {
            Some(session) => session,
            None => {
                self.keys.clear();
                self.connection.session(Access::Read)?
            }
        };
        let result = work(&mut Keys {
            session: &session,
            connection: &self.connection,
            found: &mut self.keys,
        });
        if result.as_ref().is_err_and(SessionFailure::session_lost) {
            // Dropping closes it. An error of closing a lost session tells nothing new.
            drop(session);
            self.keys.clear();
        } else {
            self.session = Some(session);
        }
        result
    }

    /// Opens a session for making and destroying keys; it ends with its use.
    pub(crate) fn writing_session(&self) -> Result<Session, OpenError> {
        self.connection.session(Access::Write)
    }
}

/// A session with its keys.
pub(crate) struct Keys<'a> {
    pub(crate) session: &'a Session,
    connection: &'a Connection,
    found: &'a mut HashMap<SpkiHash, Proven>,
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
        let found = find_key::find(self.session, token, key).inspect_err(|error| {
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
        Ok(found.handle)
    }

    /// As [`Self::private_key`], found and proven now.
    pub(crate) fn proven_again(&mut self, key: &PublicKey) -> Result<ObjectHandle, FindKeyError> {
        self.found.remove(&key.spki_hash());
        self.private_key(key)
    }
}

/// Whether a failed call means that the session is lost.
pub(crate) fn is_lost(failure: &Pkcs11Failure) -> bool {
    failure.class() == FailureClass::SessionLost
}

/// When a call that begins now must have ended.
pub(crate) fn deadline_in(span: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(span).unwrap_or(now)
}
