//! The queue in front of a token's sessions, and what becomes of calls that hang.
//!
//! PKCS#11 calls block, and some hang. A session is used by one thread only, so a hung call costs
//! that thread and nobody else: callers stop waiting, work that nobody waits for any more is not
//! begun, and a thread whose call has not ended in its time is replaced. Beyond as many hung calls as
//! the token has sessions the [`Breaker`](crate::breaker::Breaker) opens. Nobody watches for all this by the clock: callers
//! look when they come and while they wait.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::alert::{Alert, UnderWay};
use crate::breaker::{Admitted, BreakerState};
use crate::connection::Connection;
use crate::healer;
use crate::open::OpenError;
use crate::queue::{NotTaken, Queue};
use crate::reply::reply;
use crate::seats::{Next, Seats};
use crate::stage::{GivenUp, Stage};
use crate::state::TokenState;
use crate::worker::Worker;

/// Calls that may wait for a free session: a store's group of 256 acts, so that one group never
/// waits on itself. Beyond it callers wait outside, still within their deadline.
const QUEUE: usize = 256;
/// How long the end of a token's use waits for calls under way. A call that hangs longer is left
/// behind.
const LAST_CALLS: Duration = Duration::from_secs(5);
/// No call hangs that has been in the module for less, however little time its caller had.
const HUNG_AFTER: Duration = Duration::from_secs(1);
/// How long the way of a signature that is there to its caller can take.
const HANDED_OVER: Duration = Duration::from_secs(60);

/// The threads of a token.
pub(crate) struct Workers {
    queue: Arc<Queue<Job>>,
    alert: Arc<Alert>,
    /// Disconnected when the last thread has closed its session.
    ended: Receiver<()>,
    shared: Arc<Shared>,
}

/// What the threads, their callers and the healer share.
pub(crate) struct Shared {
    connection: Arc<Connection>,
    seats: Mutex<Seats>,
    /// `None` once no more threads may begin.
    hatch: Mutex<Option<Hatch>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    retries: AtomicU64,
    healing: Mutex<Healing>,
    ending: Condvar,
}

/// What a new thread gets.
struct Hatch {
    jobs: Arc<Queue<Job>>,
    running: Sender<()>,
}

#[derive(Default)]
struct Healing {
    is_under_way: bool,
    is_ending: bool,
}

/// Work for a session.
pub(crate) struct Job {
    run: Box<dyn FnOnce(&mut Worker) + Send>,
    stage: Stage,
    deadline: Instant,
    allowed: Duration,
    admitted: Admitted,
}

/// Why a caller got no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallError {
    /// No session took the work, and none will.
    NotBegun,
    /// A session began and did not end in time; no signature was asked for, and none will be.
    NotEnded,
    /// A signature was asked for and did not come in time.
    NotSigned,
    /// So many calls hang that this one was not made.
    BreakerOpen {
        /// Calls that hang.
        hung: usize,
        /// When one may be made.
        come_back: Duration,
    },
}

impl Workers {
    /// Starts `sessions` threads; each opens its session when it is first needed.
    pub(crate) fn start(connection: &Arc<Connection>, sessions: usize) -> std::io::Result<Self> {
        let alert = Arc::new(Alert::new());
        let queue = Arc::new(Queue::new(QUEUE, Job::is_over, Arc::clone(&alert)));
        let jobs = Arc::clone(&queue);
        let (running, ended) = bounded::<()>(0);
        let shared = Arc::new(Shared {
            connection: Arc::clone(connection),
            seats: Mutex::new(Seats::new(sessions)),
            hatch: Mutex::new(Some(Hatch { jobs, running })),
            threads: Mutex::new(Vec::with_capacity(sessions)),
            retries: AtomicU64::new(0),
            healing: Mutex::default(),
            ending: Condvar::new(),
        });
        let workers = Self { queue, alert, ended, shared };
        for _ in 0..sessions {
            workers.shared.add_thread()?;
        }
        Ok(workers)
    }

    /// Has some session do `work` and waits for it, at most `within`.
    pub(crate) fn call<T: Send + 'static>(
        &self,
        within: Duration,
        work: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let admitted = self.shared.admit()?;
        let done = self.admitted(within, admitted, work);
        if admitted == Admitted::OnTrial && matches!(done, Err(CallError::NotBegun)) {
            self.shared.seats().open_breaker(Instant::now());
        }
        done
    }

    /// Leaves `work` for some session and returns; `done` gets what comes of it, on the session's thread. Where
    /// the work is given up nothing comes of it, unless that [`Left`] says otherwise. `None` where there is no room, for which
    /// [`Self::call`] waits; a call on trial does not.
    pub(crate) fn leave<T>(
        &self,
        within: Duration,
        work: impl FnOnce(&mut Worker) -> T + Send + 'static,
        done: impl FnOnce(T) + Send + 'static,
    ) -> Result<Option<Left>, CallError> {
        let admitted = self.shared.admit()?;
        let deadline = deadline_in(within);
        let stage = Stage::new();
        // Over also when nobody looks after it any more.
        let call = self.alert.call();
        let at_work = call.clone();
        let job = Job {
            run: Box::new(move |worker| done(at_work.end_with(|| work(worker)))),
            stage: stage.clone(),
            deadline,
            allowed: within.max(HUNG_AFTER),
            admitted,
        };
        let (shared, queue) = (Arc::clone(&self.shared), Arc::clone(&self.queue));
        let left = Left { shared, queue, stage, deadline, admitted, _call: call };
        match self.queue.put(job, Instant::now()) {
            Ok(()) => Ok(Some(left)),
            Err(NotTaken::Full(_)) if admitted == Admitted::Usual => Ok(None),
            Err(_) => Err(CallError::NotBegun),
        }
    }

    fn admitted<T: Send + 'static>(
        &self,
        within: Duration,
        admitted: Admitted,
        work: impl FnOnce(&mut Worker) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let deadline = deadline_in(within);
        let stage = Stage::new();
        let (reply, answer) = reply();
        // Over also when this caller gives up.
        let call = self.alert.call();
        let at_work = call.clone();
        let mut job = Job {
            run: Box::new(move |worker| reply.send(at_work.end_with(|| work(worker)))),
            stage: stage.clone(),
            deadline,
            allowed: within.max(HUNG_AFTER),
            admitted,
        };
        loop {
            match self.queue.put(job, self.shared.next_look(deadline)) {
                Ok(()) => break,
                Err(NotTaken::Closed) => return Err(CallError::NotBegun),
                Err(NotTaken::Full(kept)) => {
                    if Instant::now() >= deadline {
                        return Err(CallError::NotBegun);
                    }
                    self.shared.look(Instant::now());
                    self.shared.refused_while_open()?;
                    job = kept;
                }
            }
        }
        self.alert.look_for_answer(|| answer.is_there());
        loop {
            let look = self.shared.next_look(deadline);
            if let Some(done) = answer.wait_until(look) {
                return Ok(done);
            }
            let now = Instant::now();
            // Before its time: the answer will never come.
            if now >= deadline || now < look {
                break;
            }
            self.shared.look(now);
            if let Err(refused) = self.shared.refused_while_open()
                && stage.take_back()
            {
                self.queue.make_room();
                return Err(refused);
            }
        }
        let (answered, otherwise) = match stage.give_up() {
            GivenUp::Waiting => {
                self.queue.make_room();
                return Err(CallError::NotBegun);
            }
            // It may have ended between the deadline and now.
            GivenUp::BeforeSigning => (answer.take(), CallError::NotEnded),
            GivenUp::Signing => (answer.take(), CallError::NotSigned),
            GivenUp::Signed => (answer.wait_until(deadline_in(HANDED_OVER)), CallError::NotSigned),
        };
        answered.ok_or(otherwise)
    }

    /// From now on the token is looked for while it is away.
    pub(crate) fn look_for(&self) {
        self.shared.connection.look_for();
    }

    /// How often work was begun again on a new session.
    pub(crate) fn retries(&self) -> u64 {
        self.shared.retries.load(Ordering::Relaxed)
    }

    /// Whether a call is not known to be in vain: the token is not lost, and the breaker lets it through.
    /// Makes none.
    pub(crate) fn within_reach(&self) -> Result<(), OpenError> {
        let now = Instant::now();
        self.shared.look(now);
        {
            let seats = self.shared.seats();
            if let Some(come_back) = seats.breaker.put_off(now) {
                let (token, hung) = (self.shared.connection.name().clone(), seats.hung());
                return Err(OpenError::BreakerOpen { token, hung, come_back });
            }
        }
        self.shared.connection.within_reach()
    }

    pub(crate) fn state(&self) -> TokenState {
        self.shared.look(Instant::now());
        let (connection, seats) = (&self.shared.connection, self.shared.seats());
        let left_behind = seats.left_behind(Instant::now());
        TokenState {
            name: connection.name().clone(),
            lost_for: connection.lost_for(),
            hung: seats.hung(),
            left_behind,
            serving: seats.serving(),
            breaker: seats.breaker.state(),
            breaker_openings: seats.breaker.openings(),
            outages: connection.outages(),
            retries: self.retries(),
            logins: connection.logins(),
            initialisations: connection.module().generation().renewals(),
        }
    }
}

/// Modules tear themselves down when the process exits, and a call at that moment can crash it. So
/// whoever drops the last handle of a token finds its sessions closed.
impl Drop for Workers {
    fn drop(&mut self) {
        self.queue.close();
        self.shared.end();
        if self.ended.recv_timeout(LAST_CALLS) == Err(RecvTimeoutError::Timeout) {
            tracing::warn!("a token's session did not end in time and is left behind");
            return;
        }
        let mut threads = self.shared.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // A panic was its own caller's, who got no answer.
            let _panicked = thread.join();
        }
    }
}

impl Shared {
    pub(crate) const fn connection(&self) -> &Arc<Connection> {
        &self.connection
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn seats(&self) -> MutexGuard<'_, Seats> {
        self.seats.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn healing(&self) -> MutexGuard<'_, Healing> {
        self.healing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// One more thread, unless all are to end.
    fn add_thread(self: &Arc<Self>) -> std::io::Result<()> {
        let hatch = self.hatch.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(Hatch { jobs, running }) = &*hatch else { return Ok(()) };
        let (jobs, running) = (Arc::clone(jobs), running.clone());
        let number = self.seats().take();
        let worker = Worker::new(Arc::clone(self), number);
        let name = format!("{}#{number}", self.connection.name().label);
        let begun = thread::Builder::new().name(name).spawn(move || {
            worker.serve(&jobs);
            drop(running);
        });
        match begun {
            Ok(thread) => {
                let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
                Ok(())
            }
            Err(error) => {
                self.seats().leave();
                Err(error)
            }
        }
    }

    fn add_threads(self: &Arc<Self>, count: usize) {
        for _ in 0..count {
            if let Err(error) = self.add_thread() {
                tracing::error!(token.label = %self.connection.name().label,
                    "no thread in the place of one that hangs: {error}");
            }
        }
    }

    /// Whether a call may be made. A call on trial finds a thread that takes it.
    fn admit(self: &Arc<Self>) -> Result<Admitted, CallError> {
        let now = Instant::now();
        self.look(now);
        let mut seats = self.seats();
        let hung = seats.hung();
        let admitted = seats
            .breaker
            .admit(now)
            .map_err(|come_back| CallError::BreakerOpen { hung, come_back })?;
        if admitted == Admitted::OnTrial && seats.serving() == 0 {
            drop(seats);
            self.add_threads(1);
        }
        Ok(admitted)
    }

    fn refused_while_open(&self) -> Result<(), CallError> {
        let seats = self.seats();
        match seats.breaker.left(Instant::now()) {
            Some(come_back) => Err(CallError::BreakerOpen { hung: seats.hung(), come_back }),
            None => Ok(()),
        }
    }

    /// When the next call becomes overdue, at most `deadline`.
    fn next_look(&self, deadline: Instant) -> Instant {
        self.seats().next_overdue().map_or(deadline, |next| next.min(deadline))
    }

    /// Counts the calls that hang by now, replaces their threads, or opens the breaker.
    fn look(self: &Arc<Self>, now: Instant) {
        let mut seats = self.seats();
        let replaced = seats.count_hung(now);
        let (hung, is_open) = (seats.hung(), seats.breaker.state() == BreakerState::Open);
        drop(seats);
        if replaced.found > 0 {
            let name = self.connection.name();
            tracing::error!(token.label = %name.label, token.serial = %name.serial, hung,
                breaker.open = is_open, "{} call(s) did not end in time", replaced.found);
        }
        self.add_threads(replaced.replace);
    }

    /// A thread begins; false when nobody waits for the work any more.
    pub(crate) fn begin(&self, number: u64, job: &Job) -> bool {
        if !job.stage.begin() {
            return false;
        }
        self.seats().begin(number, deadline_in(job.allowed), job.admitted);
        true
    }

    /// Whether the thread was counted as hung and perhaps replaced.
    pub(crate) fn is_hung(&self, number: u64) -> bool {
        self.seats().is_hung(number)
    }

    /// A thread has ended its work.
    pub(crate) fn end_of_work(self: &Arc<Self>, number: u64) -> Next {
        let mut seats = self.seats();
        let (next, add) = seats.end(number, Instant::now());
        drop(seats);
        self.add_threads(add);
        next
    }

    /// The token is out of reach: from now on it is looked for until it is back.
    pub(crate) fn note_lost(self: &Arc<Self>) {
        let mut healing = self.healing();
        if !self.connection.note_lost() || healing.is_under_way || healing.is_ending {
            return;
        }
        let running = {
            let hatch = self.hatch.lock().unwrap_or_else(PoisonError::into_inner);
            hatch.as_ref().map(|hatch| hatch.running.clone())
        };
        let Some(running) = running else { return };
        let shared = Arc::clone(self);
        let name = format!("{} healer", self.connection.name().label);
        let begun = thread::Builder::new().name(name).spawn(move || {
            healer::heal(&shared);
            drop(shared);
            drop(running);
        });
        match begun {
            Ok(_) => healing.is_under_way = true,
            Err(error) => {
                // The next use of the token looks again.
                self.connection.note_found();
                tracing::error!("no thread that looks for a lost token: {error}");
            }
        }
    }

    /// The healer's work is done. How long the token was lost.
    pub(crate) fn note_found(&self) -> Option<Duration> {
        let mut healing = self.healing();
        healing.is_under_way = false;
        self.connection.note_found()
    }

    /// Sleeps; true when the token is not used any more.
    pub(crate) fn rest(&self, span: Duration) -> bool {
        let until = deadline_in(span);
        let mut healing = self.healing();
        while !healing.is_ending {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.ending.wait_timeout(healing, left);
            healing = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn end(&self) {
        *self.hatch.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.healing().is_ending = true;
        self.ending.notify_all();
    }
}

/// Work that was left for a session.
pub(crate) struct Left {
    shared: Arc<Shared>,
    queue: Arc<Queue<Job>>,
    stage: Stage,
    deadline: Instant,
    admitted: Admitted,
    _call: UnderWay,
}

impl Left {
    /// When to look at the latest.
    pub(crate) fn next_look(&self) -> Instant {
        self.shared.next_look(self.stage.awaited_until(self.deadline, HANDED_OVER))
    }

    /// Looks whether there is still something to wait for, as callers do while they wait; why not, otherwise. Past the
    /// deadline there is not, but for a signature that is there and on its way.
    pub(crate) fn look(&self) -> Option<CallError> {
        let now = Instant::now();
        self.shared.look(now);
        if now >= self.deadline {
            return self.give_up().or_else(|| {
                let is_lost = now >= self.stage.awaited_until(self.deadline, HANDED_OVER);
                is_lost.then_some(CallError::NotSigned)
            });
        }
        let refused = self.shared.refused_while_open().err()?;
        self.stage.take_back().then_some(refused)
    }

    /// Waits no longer: what is said for it. `None` where the signature is there and on its way.
    pub(crate) fn give_up(&self) -> Option<CallError> {
        match self.stage.give_up() {
            GivenUp::Waiting => {
                self.was_not_begun();
                Some(CallError::NotBegun)
            }
            GivenUp::BeforeSigning => Some(CallError::NotEnded),
            GivenUp::Signing => Some(CallError::NotSigned),
            GivenUp::Signed => None,
        }
    }

    fn was_not_begun(&self) {
        if self.admitted == Admitted::OnTrial {
            self.shared.seats().open_breaker(Instant::now());
        }
    }
}

/// Work that nobody waits for any more is not begun, and keeps nobody else out.
impl Drop for Left {
    fn drop(&mut self) {
        if self.stage.take_back() {
            self.was_not_begun();
        }
        if self.stage.is_given_up() {
            self.queue.make_room();
        }
    }
}

impl Job {
    pub(crate) const fn deadline(&self) -> Instant {
        self.deadline
    }

    pub(crate) const fn stage(&self) -> &Stage {
        &self.stage
    }

    /// Whether nobody waits for it any more.
    fn is_over(&self) -> bool {
        self.stage.is_given_up()
    }

    pub(crate) fn run(self, worker: &mut Worker) {
        (self.run)(worker);
    }
}

/// When a call that begins now must have ended.
pub(crate) fn deadline_in(span: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(span).unwrap_or(now)
}
