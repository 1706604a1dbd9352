//! Keeps calls of a module and its initialisation apart.
//!
//! Initialising a module anew while a call is in it is undefined (PKCS#11 v3.1 §5.4.2) and crashes real
//! modules. So every piece of work on a module holds a [`Pass`], and the gate is closed for a renewal
//! only when no pass is out. Each renewal begins a new generation: sessions, handles and logins of an
//! older one are neither used nor closed, since the module may have given their numbers to others.
//!
//! A closed gate keeps everybody waiting. So it is not closed for calls of which it is known that they
//! hang: those that are past their time, and those that it was closed for before in vain.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a renewal waits for the calls under way; nobody else begins meanwhile.
const DRAIN: Duration = Duration::from_secs(1);
/// A renewal that found calls under way is not tried again sooner.
const AFTER_CALLS: Duration = Duration::from_secs(4);
/// No pass is past its time that has been out for less, however little time its holder had.
const HUNG_AFTER: Duration = Duration::from_secs(1);
/// What closing a session may take.
const BESIDE: Duration = Duration::from_secs(5);

/// Which initialisation of the module something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation(u64);

impl Generation {
    /// How often the module was initialised anew.
    pub(crate) const fn renewals(self) -> u64 {
        self.0
    }
}

pub(crate) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// The passes that are out, by number, and when each is past its time.
    out: BTreeMap<u64, Instant>,
    next: u64,
    /// The gate was closed in vain for passes with lower numbers.
    in_vain_below: u64,
    is_closed: bool,
    generation: Generation,
    /// When the last renewal ended.
    renewed: Option<Instant>,
    /// No renewal before: calls were under way.
    not_before: Option<Instant>,
}

/// The right to call the module. The generation stays the same as long as one is held.
pub(crate) struct Pass {
    gate: Arc<Gate>,
    number: u64,
    generation: Generation,
}

/// Why the module was not initialised anew.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotRenewed<E> {
    /// It was, a moment ago.
    TooSoon,
    /// Calls are in it and do not end.
    CallsUnderWay(usize),
    /// Somebody else's renewal did not end in time.
    UnderWay,
    /// Somebody else in the process initialised it.
    NotOurs,
    /// It failed.
    Failed(E),
}

impl Gate {
    pub(crate) fn new() -> Arc<Self> {
        let generation = Generation(0);
        let state = State {
            out: BTreeMap::new(),
            next: 0,
            in_vain_below: 0,
            is_closed: false,
            generation,
            renewed: None,
            not_before: None,
        };
        Arc::new(Self { state: Mutex::new(state), changed: Condvar::new() })
    }

    /// Each change of the state is whole, so a panic elsewhere cannot leave it half made.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn generation(&self) -> Generation {
        self.state().generation
    }

    /// Waits at most until `until` while the module is being initialised; `None` if that did not end.
    /// A pass that is out later than that hangs.
    pub(crate) fn enter(self: &Arc<Self>, until: Instant) -> Option<Pass> {
        let mut state = self.state();
        while state.is_closed {
            state = self.wait(state, until)?;
        }
        Some(self.pass(&mut state, until))
    }

    /// Without waiting, and also beside a pass of the same thread: for closing a session.
    pub(crate) fn enter_beside(self: &Arc<Self>) -> Option<Pass> {
        let mut state = self.state();
        if state.is_closed && state.out.is_empty() {
            return None;
        }
        let until = Instant::now().checked_add(BESIDE)?;
        Some(self.pass(&mut state, until))
    }

    fn pass(self: &Arc<Self>, state: &mut State, until: Instant) -> Pass {
        let now = Instant::now();
        let overdue_at = until.max(now.checked_add(HUNG_AFTER).unwrap_or(now));
        let number = state.next;
        state.next = number.saturating_add(1);
        state.out.insert(number, overdue_at);
        Pass { gate: Arc::clone(self), number, generation: state.generation }
    }

    /// Does `work` while no call is in the module, unless that has been done since `seen`. The caller
    /// holds no pass, and the last renewal is `pace` ago.
    pub(crate) fn renew<E>(
        &self,
        seen: Generation,
        pace: Duration,
        until: Instant,
        work: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), NotRenewed<E>> {
        let mut state = self.state();
        while state.is_closed {
            state = self.wait(state, until).ok_or(NotRenewed::UnderWay)?;
        }
        if state.generation != seen {
            return Ok(());
        }
        let now = Instant::now();
        let is_soon = |moment: Instant| now.saturating_duration_since(moment) < pace;
        if state.renewed.is_some_and(is_soon) || state.not_before.is_some_and(|moment| now < moment)
        {
            return Err(NotRenewed::TooSoon);
        }
        if state.hangs(now) {
            return Err(NotRenewed::CallsUnderWay(state.out.len()));
        }
        state.is_closed = true;
        let drained = now.checked_add(DRAIN).unwrap_or(now).min(until);
        while !state.out.is_empty() {
            state = match self.wait(state, drained) {
                Some(state) => state,
                None => {
                    let mut state = self.state();
                    if state.out.is_empty() {
                        state
                    } else {
                        state.is_closed = false;
                        state.not_before = Instant::now().checked_add(AFTER_CALLS);
                        state.in_vain_below = state.next;
                        self.changed.notify_all();
                        return Err(NotRenewed::CallsUnderWay(state.out.len()));
                    }
                }
            };
        }
        state.generation = Generation(state.generation.0.saturating_add(1));
        drop(state);
        let reopened = Reopened(self);
        let done = work();
        drop(reopened);
        done.map_err(NotRenewed::Failed)
    }

    /// `None` when the time is up.
    fn wait<'a>(
        &'a self,
        state: MutexGuard<'a, State>,
        until: Instant,
    ) -> Option<MutexGuard<'a, State>> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let waited = self.changed.wait_timeout(state, left);
        Some(waited.unwrap_or_else(PoisonError::into_inner).0)
    }
}

impl State {
    /// Whether it is known of some call that it does not end soon.
    fn hangs(&self, now: Instant) -> bool {
        let in_vain = self.out.keys().next().is_some_and(|first| *first < self.in_vain_below);
        in_vain || self.out.values().any(|overdue_at| *overdue_at <= now)
    }
}

/// Opens the gate again, whatever became of the work.
struct Reopened<'a>(&'a Gate);

impl Drop for Reopened<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.is_closed = false;
        state.renewed = Some(Instant::now());
        self.0.changed.notify_all();
    }
}

impl Pass {
    pub(crate) const fn generation(&self) -> Generation {
        self.generation
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        state.out.remove(&self.number);
        if state.out.is_empty() && state.is_closed {
            self.gate.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn renew(gate: &Gate, seen: Generation) -> Result<(), NotRenewed<()>> {
        gate.renew(seen, Duration::ZERO, soon(), || Ok(()))
    }

    /// KEY-09: no call is ever in the module while it is initialised anew.
    #[test]
    fn no_pass_is_out_during_a_renewal() {
        let gate = Gate::new();
        let (inside, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        let _pass = gate.enter(soon()).unwrap();
                        inside.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
            for _ in 0..50 {
                let seen = gate.generation();
                let renewed = gate.renew(seen, Duration::ZERO, soon(), || {
                    let before = inside.load(Ordering::SeqCst);
                    thread::sleep(Duration::from_millis(1));
                    if before + inside.load(Ordering::SeqCst) == 0 { Ok(()) } else { Err(()) }
                });
                assert_eq!(renewed, Ok(()));
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert_eq!(gate.generation().renewals(), 50);
    }

    #[test]
    fn one_renewal_is_enough_for_all_who_saw_the_same_loss() {
        let gate = Gate::new();
        let seen = gate.generation();
        let done = AtomicUsize::new(0);
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let work = || {
                        done.fetch_add(1, Ordering::SeqCst);
                        Ok::<(), ()>(())
                    };
                    gate.renew(seen, Duration::from_secs(9), soon(), work).unwrap();
                });
            }
        });
        assert_eq!(done.load(Ordering::SeqCst), 1);
        let seen = gate.generation();
        let again = gate.renew(seen, Duration::from_secs(9), soon(), || Ok::<(), ()>(()));
        assert_eq!(again, Err(NotRenewed::TooSoon));
        // What is asked for now counts, not what was when the last one began.
        assert_eq!(renew(&gate, seen), Ok(()));
    }

    /// A call that hangs is not torn down: the module goes on for everybody else.
    #[test]
    fn a_call_that_does_not_end_puts_a_renewal_off() {
        let gate = Gate::new();
        let hung = gate.enter(soon()).unwrap();

        assert_eq!(renew(&gate, gate.generation()), Err(NotRenewed::CallsUnderWay(1)));

        assert_eq!(gate.generation(), hung.generation());
        drop(gate.enter(soon()).unwrap());
        assert_eq!(renew(&gate, gate.generation()), Err(NotRenewed::TooSoon));
    }

    /// Who waits at a gate that is closed in vain waits for nothing.
    #[test]
    fn the_gate_is_not_closed_for_calls_that_are_known_to_hang() {
        let gate = Gate::new();
        let hung = gate.enter(Instant::now()).unwrap();
        thread::sleep(HUNG_AFTER);
        // A machine that stalls makes some of them slow; one that waits makes all.
        let is_refused_at_once = || {
            (0..10).any(|_| {
                gate.state().not_before = None;
                let begun = Instant::now();
                assert_eq!(renew(&gate, gate.generation()), Err(NotRenewed::CallsUnderWay(1)));
                begun.elapsed() < DRAIN / 2
            })
        };
        assert!(is_refused_at_once(), "it is past its time");
        drop(hung);

        let long = gate.enter(soon()).unwrap();
        assert_eq!(renew(&gate, gate.generation()), Err(NotRenewed::CallsUnderWay(1)));
        assert!(is_refused_at_once(), "it was closed for it before");

        drop(long);
        assert_eq!(renew(&gate, gate.generation()), Ok(()));
    }

    #[test]
    fn nobody_waits_at_a_closed_gate_past_the_deadline() {
        let gate = Gate::new();
        let seen = gate.generation();
        let renewed = gate.renew(seen, Duration::ZERO, soon(), || {
            let until = Instant::now() + Duration::from_millis(20);
            let other = Arc::clone(&gate);
            let entered = thread::spawn(move || other.enter(until).is_some()).join().unwrap();
            if entered || gate.enter_beside().is_some() { Err(()) } else { Ok(()) }
        });

        assert_eq!(renewed, Ok(()));
        assert!(gate.enter(soon()).is_some());
    }

    #[test]
    fn a_renewal_that_fails_opens_the_gate_again() {
        let gate = Gate::new();
        let failed = gate.renew(gate.generation(), Duration::ZERO, soon(), || Err(7));

        assert_eq!(failed, Err(NotRenewed::Failed(7)));
        assert!(gate.enter(soon()).is_some());
        assert_eq!(renew(&gate, gate.generation()), Ok(()));
    }
}
