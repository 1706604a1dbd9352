//! Who waits awake: for work, or for an answer.
//!
//! To wake a sleeping thread on another processor takes longer than a fast signature, and leaves its caches cold.
//! So whoever expects to wait for less than [`AWAKE`] looks again and again for so long, and then sleeps: a caller
//! while the token's work is that short, a session's thread while callers come back that soon. Only where a
//! processor is to spare: with more calls under way, at whichever token, nobody looks, since that would take the
//! processor from whoever signs. A token at which nothing happens has nobody awake.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// The longest look: about what it takes to fall asleep, be woken by another processor and run again.
const AWAKE: Duration = Duration::from_micros(200);
/// How often somebody looks before he lets others run.
const LOOKS: usize = 50;
/// How often a thread lets others run before it sleeps.
const YIELDS: usize = 4;
/// `ended_at` while no work has ended yet.
const NEVER: u64 = u64::MAX;

/// Who keeps the processors busy, over all tokens.
#[derive(Default)]
struct Busy {
    calls: AtomicUsize,
    /// Threads that look for work.
    looking: AtomicUsize,
}

static BUSY: Busy = Busy { calls: AtomicUsize::new(0), looking: AtomicUsize::new(0) };

/// What is known of a token's calls.
pub(crate) struct Alert {
    /// Calls that may be under way while somebody looks: each needs a processor for its thread, and one for whoever
    /// looks.
    calls: usize,
    busy: &'static Busy,
    began: Instant,
    /// Nanoseconds after `began`.
    ended_at: AtomicU64,
    /// Whether work is short.
    work: Habit,
    /// Whether callers come back soon.
    callers: Habit,
}

/// What mostly happens. One exception changes nothing: a processor may have been taken away for a moment.
#[derive(Default)]
struct Habit(AtomicU8);

impl Habit {
    const FIRM: u8 = 3;

    fn note(&self, happened: bool) {
        let so_far = self.0.load(Ordering::Relaxed);
        let now = if happened {
            so_far.saturating_add(1).min(Self::FIRM)
        } else {
            so_far.saturating_sub(1)
        };
        if now != so_far {
            self.0.store(now, Ordering::Relaxed);
        }
    }

    fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }
}

/// A call that is waiting for a thread, or that a thread works on. It is over when its thread has done the work or
/// its caller waits no longer, whichever comes first: a call that hangs keeps nobody from looking.
#[derive(Clone)]
pub(crate) struct UnderWay(Arc<Call>);

struct Call {
    alert: Arc<Alert>,
    is_over: AtomicBool,
}

/// A thread that looks for work.
pub(crate) struct Looking<'a>(&'a Alert);

impl Alert {
    pub(crate) fn new() -> Self {
        Self::on(thread::available_parallelism().map_or(1, usize::from), &BUSY)
    }

    fn on(processors: usize, busy: &'static Busy) -> Self {
        Self {
            calls: processors / 2,
            busy,
            began: Instant::now(),
            ended_at: AtomicU64::new(NEVER),
            work: Habit::default(),
            callers: Habit::default(),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(NEVER)
    }

    /// A call begins.
    pub(crate) fn call(self: &Arc<Self>) -> UnderWay {
        let since = self.now().checked_sub(self.ended_at.load(Ordering::Relaxed));
        let soon = since.is_some_and(|since| Duration::from_nanos(since) <= AWAKE);
        self.callers.note(soon);
        self.busy.calls.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::new(Call { alert: Arc::clone(self), is_over: AtomicBool::new(false) }))
    }

    /// Looks whether the answer `is_there`, if it is worth it.
    pub(crate) fn look_for_answer(&self, is_there: impl Fn() -> bool) {
        look(AWAKE, is_there, || self.caller_may_look());
    }

    fn caller_may_look(&self) -> bool {
        self.work.holds() && self.busy.calls.load(Ordering::Relaxed) <= self.calls
    }

    /// A thread without work begins to look for some, if it is worth it.
    pub(crate) fn looking(&self) -> Option<Looking<'_>> {
        let others = self.busy.looking.load(Ordering::Relaxed);
        self.thread_may_look(others).then(|| {
            self.busy.looking.fetch_add(1, Ordering::Relaxed);
            Looking(self)
        })
    }

    /// Whether a thread without work may look for some, beside `others` that do.
    fn thread_may_look(&self, others: usize) -> bool {
        let busy = self.busy.calls.load(Ordering::Relaxed).saturating_add(others);
        self.callers.holds() && busy < self.calls
    }
}

impl Looking<'_> {
    /// Looks whether work `is_there`.
    pub(crate) fn look(&self, is_there: impl Fn() -> bool) {
        let others = || self.0.busy.looking.load(Ordering::Relaxed).saturating_sub(1);
        look(AWAKE, is_there, || self.0.thread_may_look(others()));
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.0.busy.looking.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Lets others run a few times before a thread sleeps, since they may bring work.
pub(crate) fn let_others_run(is_there: impl Fn() -> bool) {
    for _ in 0..YIELDS {
        if is_there() {
            break;
        }
        thread::yield_now();
    }
}

impl UnderWay {
    /// Times `work`, after which the call is over.
    pub(crate) fn end_with<T>(self, work: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = work();
        self.0.alert.work.note(begun.elapsed() <= AWAKE);
        done
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        if !self.0.is_over.swap(true, Ordering::Relaxed) {
            let alert = &self.0.alert;
            alert.ended_at.store(alert.now(), Ordering::Relaxed);
            alert.busy.calls.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Looks for at most so long, as long as one may.
fn look(most: Duration, is_there: impl Fn() -> bool, may: impl Fn() -> bool) {
    if !may() {
        return;
    }
    let begun = Instant::now();
    loop {
        let goes_on = may() && begun.elapsed() < most;
        // Also when not: a call that has just begun is a moment from being there.
        for _ in 0..LOOKS {
            if is_there() {
                return;
            }
            std::hint::spin_loop();
        }
        if !goes_on {
            return;
        }
        // Whoever is waited for may have been put on this very processor.
        thread::yield_now();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Alone on so many processors.
    fn alert(processors: usize) -> Arc<Alert> {
        Arc::new(Alert::on(processors, Box::leak(Box::default())))
    }

    /// Work was short so often that it is a habit. On a slow machine none may be.
    fn short_work(alert: &Alert) {
        (0..Habit::FIRM).for_each(|_| alert.work.note(true));
    }

    fn long_work(alert: &Arc<Alert>) {
        alert.call().end_with(|| thread::sleep(2 * AWAKE));
    }

    #[test]
    fn nobody_looks_before_anything_is_known_or_on_one_processor() {
        let alert = alert(2);
        let _waiting = alert.call();
        assert!(!alert.caller_may_look() && !alert.thread_may_look(0));
        let single = self::alert(1);
        short_work(&single);
        let _waiting = single.call();
        assert!(!single.caller_may_look());
    }

    #[test]
    fn a_caller_looks_while_the_work_is_short_and_no_processor_is_taken_from_it() {
        let alert = alert(2);
        short_work(&alert);
        let one = alert.call();
        assert!(alert.caller_may_look());
        let two = alert.call();
        assert!(!alert.caller_may_look(), "two calls on two processors");
        drop((one, two));
        long_work(&alert);
        assert!(alert.caller_may_look(), "one was long");
        long_work(&alert);
        assert!(!alert.caller_may_look(), "work is long");
    }

    #[test]
    fn work_that_is_short_is_noticed() {
        let alert = alert(2);
        assert!((0..10_000).any(|_| {
            alert.call().end_with(|| ());
            alert.work.holds()
        }));
    }

    #[test]
    fn a_thread_looks_while_callers_come_back_at_once() {
        // The machine may be slow in coming back itself.
        let alert = alert(2);
        for _ in 0..10_000 {
            drop(alert.call());
            if alert.thread_may_look(0) {
                break;
            }
        }
        assert!(alert.thread_may_look(0) && !alert.thread_may_look(1));
        let another = alert.call();
        assert!(!alert.thread_may_look(0));
        drop(another);
        for _ in 0..3 {
            thread::sleep(2 * AWAKE);
            drop(alert.call());
        }
        assert!(!alert.thread_may_look(0), "callers come late");
    }

    #[test]
    fn a_call_is_over_when_its_work_is_done_or_its_caller_has_gone() {
        let alert = alert(2);
        let calls = || alert.busy.calls.load(Ordering::Relaxed);
        let (thread, caller) = (alert.call(), alert.call());
        let (hung, gone) = (thread.clone(), caller.clone());
        assert_eq!(calls(), 2);
        thread.end_with(|| ());
        assert_eq!(calls(), 1);
        drop(caller);
        assert_eq!(calls(), 0, "the thread is still at it");
        drop((hung, gone));
        assert_eq!(calls(), 0, "counted once");
    }

    #[test]
    fn tokens_share_the_processors() {
        let here = alert(2);
        let there = Arc::new(Alert::on(2, here.busy));
        for _ in 0..10_000 {
            drop(here.call());
            if here.thread_may_look(0) {
                break;
            }
        }
        let look = here.looking();
        assert!(look.is_some() && here.looking().is_none(), "one processor is to spare");
        drop(look);
        let elsewhere = there.call();
        assert!(here.looking().is_none());
        drop(elsewhere);
        assert!(here.looking().is_some());
    }

    #[test]
    fn a_look_ends_when_it_is_there_when_it_may_not_go_on_and_after_its_time() {
        let looks = Cell::new(0_u32);
        let count = || looks.set(looks.get() + 1);
        // However slow the machine is.
        let long = Duration::from_secs(60);
        look(
            long,
            || looks.get() == 5,
            || {
                count();
                true
            },
        );
        assert_eq!(looks.get(), 5);
        look(
            long,
            || false,
            || {
                count();
                looks.get() < 8
            },
        );
        assert_eq!(looks.get(), 8);
        let begun = Instant::now();
        look(AWAKE, || false, || true);
        assert!(begun.elapsed() >= AWAKE);
    }
}
