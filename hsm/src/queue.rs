//! The queue in front of the threads of a token's sessions.
//!
//! A channel would do, but it wakes a sleeping thread for each piece of work, even where another is awake and looks
//! ([`Alert`]); on an idle machine that costs more than a fast signature.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::alert::{Alert, let_others_run};

/// Work in the order in which it came, for whichever thread is free.
pub(crate) struct Queue<T> {
    most: usize,
    /// Whether nobody waits for a piece of work any more: where there is no room it loses its place.
    is_over: fn(&T) -> bool,
    state: Mutex<State<T>>,
    /// Pieces in the queue, for threads that look.
    length: AtomicUsize,
    /// Work for a thread that sleeps, or the end.
    came: Condvar,
    /// Room for a caller, or the end.
    left: Condvar,
    alert: Arc<Alert>,
}

struct State<T> {
    waiting: VecDeque<T>,
    /// Threads that are awake and will look once more.
    looking: usize,
    /// Threads that sleep, and callers that sleep until there is room: to wake nobody is a system call too.
    asleep: usize,
    kept_out: usize,
    is_closed: bool,
}

/// Why work was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotTaken<T> {
    /// There was no room in time.
    Full(T),
    /// No thread takes work any more.
    Closed,
}

impl<T> Queue<T> {
    /// A queue for at most `most` pieces of work that wait.
    pub(crate) fn new(most: usize, is_over: fn(&T) -> bool, alert: Arc<Alert>) -> Self {
        let waiting = VecDeque::with_capacity(most);
        let state = State { waiting, looking: 0, asleep: 0, kept_out: 0, is_closed: false };
        Self {
            most,
            is_over,
            state: Mutex::new(state),
            length: AtomicUsize::new(0),
            came: Condvar::new(),
            left: Condvar::new(),
            alert,
        }
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves `work` for a thread; waits for room at most until `deadline`.
    pub(crate) fn put(&self, work: T, deadline: Instant) -> Result<(), NotTaken<T>> {
        // Dropped when the queue is free again: nobody knows what hangs on it.
        let mut over = VecDeque::new();
        let mut state = self.state();
        self.take_out(&mut state, &mut over);
        while state.waiting.len() >= self.most && !state.is_closed {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(NotTaken::Full(work));
            }
            state.kept_out = state.kept_out.saturating_add(1);
            state = self.left.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            state.kept_out = state.kept_out.saturating_sub(1);
        }
        if state.is_closed {
            return Err(NotTaken::Closed);
        }
        state.waiting.push_back(work);
        self.length.store(state.waiting.len(), Ordering::Release);
        // Whoever looks asks once more, under the lock, before he sleeps.
        let wake = state.asleep > 0 && state.waiting.len() > state.looking;
        drop(state);
        if wake {
            self.came.notify_one();
        }
        Ok(())
    }

    /// Where there is no room, some is made of what nobody waits for any more.
    pub(crate) fn make_room(&self) {
        let mut over = VecDeque::new();
        let mut state = self.state();
        self.take_out(&mut state, &mut over);
        let wake = state.kept_out > 0;
        drop(state);
        if wake && !over.is_empty() {
            self.left.notify_all();
        }
    }

    fn take_out(&self, state: &mut State<T>, over: &mut VecDeque<T>) {
        if state.waiting.len() < self.most || !state.waiting.iter().any(self.is_over) {
            return;
        }
        let all = std::mem::take(&mut state.waiting);
        (*over, state.waiting) = all.into_iter().partition(self.is_over);
        self.length.store(state.waiting.len(), Ordering::Release);
    }

    /// The next piece of work; `None` once the queue is closed and empty.
    pub(crate) fn next(&self) -> Option<T> {
        let mut state = self.state();
        if state.waiting.is_empty() && !state.is_closed {
            let is_there = || self.length.load(Ordering::Acquire) > 0;
            // Also whoever merely lets others run takes what comes meanwhile: to wake another for it costs more.
            state.looking = state.looking.saturating_add(1);
            drop(state);
            match self.alert.looking() {
                Some(look) => look.look(is_there),
                None => let_others_run(is_there),
            }
            state = self.state();
            state.looking = state.looking.saturating_sub(1);
        }
        loop {
            if let Some(work) = state.waiting.pop_front() {
                self.length.store(state.waiting.len(), Ordering::Release);
                let wake = state.kept_out > 0;
                drop(state);
                if wake {
                    self.left.notify_one();
                }
                return Some(work);
            }
            if state.is_closed {
                return None;
            }
            state.asleep = state.asleep.saturating_add(1);
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.asleep = state.asleep.saturating_sub(1);
        }
    }

    /// Takes no more work; what waits is still given out.
    pub(crate) fn close(&self) {
        self.state().is_closed = true;
        self.came.notify_all();
        self.left.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Nobody waits for it.
    const OVER: u32 = u32::MAX;

    fn queue(most: usize) -> Queue<u32> {
        Queue::new(most, |work| *work == OVER, Arc::new(Alert::new()))
    }

    fn in_time() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn what_waits_is_given_out_in_order_and_before_the_end() {
        let queue = queue(4);
        for work in 0..3 {
            queue.put(work, in_time()).unwrap();
        }
        queue.close();
        assert_eq!(queue.put(9, in_time()), Err(NotTaken::Closed));
        let rest: Vec<u32> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(rest, [0, 1, 2]);
    }

    #[test]
    fn a_full_queue_keeps_a_caller_until_there_is_room_or_his_time_is_up() {
        let queue = queue(1);
        queue.put(1, in_time()).unwrap();
        let short = Instant::now() + Duration::from_millis(5);
        assert_eq!(queue.put(2, short), Err(NotTaken::Full(2)));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.put(3, in_time()));
            assert_eq!(queue.next(), Some(1));
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.put(4, in_time()));
            thread::sleep(Duration::from_millis(5));
            queue.close();
            assert_eq!(waiting.join().unwrap(), Err(NotTaken::Closed));
        });
    }

    /// What nobody waits for keeps nobody out.
    #[test]
    fn work_that_is_over_gives_its_place_to_others() {
        let queue = queue(3);
        for work in [OVER, 1, OVER] {
            queue.put(work, Instant::now()).unwrap();
        }
        assert_eq!(queue.put(2, Instant::now()), Ok(()));
        assert_eq!(queue.put(3, Instant::now()), Ok(()));
        assert_eq!(queue.put(4, Instant::now()), Err(NotTaken::Full(4)));
        queue.close();
        let rest: Vec<u32> = std::iter::from_fn(|| queue.next()).collect();
        assert_eq!(rest, [1, 2, 3]);
    }

    /// Also where it is over only when somebody waits for room.
    #[test]
    fn whoever_waits_for_room_gets_the_place_of_what_is_over() {
        static IS_OVER: AtomicUsize = AtomicUsize::new(0);
        let queue = Queue::new(1, |_| IS_OVER.load(Ordering::SeqCst) > 0, Arc::new(Alert::new()));
        queue.put(1, in_time()).unwrap();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.put(2, in_time()));
            while queue.state().kept_out == 0 {
                thread::yield_now();
            }
            IS_OVER.store(1, Ordering::SeqCst);
            queue.make_room();
            assert_eq!(waiting.join().unwrap(), Ok(()));
        });
        assert_eq!(queue.next(), Some(2));
    }

    /// Threads that look and threads that sleep, and nothing is left lying or given out twice.
    #[test]
    fn each_piece_of_work_reaches_exactly_one_thread() {
        const EACH: u32 = 5_000;
        for callers in [1, 2, 5] {
            let alert = Arc::new(Alert::new());
            let queue = Queue::new(3, |_| false, Arc::clone(&alert));
            let sum: u64 = thread::scope(|scope| {
                let threads: Vec<_> = (0..4)
                    .map(|_| {
                        scope.spawn(|| {
                            let mut sum = 0_u64;
                            while let Some((work, call)) = queue.next() {
                                sum += u64::from(work);
                                let call: crate::alert::UnderWay = call;
                                drop(call);
                            }
                            sum
                        })
                    })
                    .collect();
                let putting: Vec<_> = (0..callers)
                    .map(|_| {
                        scope.spawn(|| {
                            for work in 1..=EACH {
                                assert!(queue.put((work, alert.call()), in_time()).is_ok());
                            }
                        })
                    })
                    .collect();
                putting.into_iter().for_each(|caller| caller.join().unwrap());
                queue.close();
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            assert_eq!(sum, callers * u64::from(EACH) * u64::from(EACH + 1) / 2);
        }
    }
}
