//! How many calls are at work at once. A call works on a blocking thread that goes on when its caller
//! hangs up: without a bound, whoever calls and hangs up again fills the memory with work.
//!
//! Each kind of call has places of its own, so that no flood of one kind keeps the others out, least
//! of all revocations (promise 4). A call has a connection by then: who gets one is the matter of
//! [`super::doors`], which gives one client a quarter of them at most. A place is held until the work has ended, whether or not somebody
//! still waits for it. A call that finds no place is told so at once and comes back.

use std::sync::Arc;
use std::time::Duration;

use ca::refusal::Refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::denied::{Denied, Kind};
use crate::service::order::Act;

/// When a call that found no place may come back.
const COME_BACK: Duration = Duration::from_secs(1);
/// Leaves of refused calls that are written at once; further refusals are counted.
const AUDITING: usize = 16;
/// Threads for what is no call.
const OWN_THREADS: usize = 8;

/// A kind of call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Orders a certificate, or changes organisations.
    Issuing,
    /// Reads.
    Reading,
    /// Revokes or holds, or ends a pause.
    Revoking,
}

/// Puts the counters of calls that found no place at 0.
pub(crate) fn start_alarms() {
    for lane in Lane::ALL {
        not_admitted(lane).absolute(0);
    }
}

fn not_admitted(lane: Lane) -> metrics::Counter {
    metrics::counter!("sigill_calls_not_admitted_total", "kind" => lane.name())
}

impl From<Act> for Lane {
    fn from(act: Act) -> Self {
        match act {
            Act::Issue
            | Act::Renew
            | Act::Organise
            | Act::Protect
            | Act::Step
            | Act::Ask
            | Act::Approve => Self::Issuing,
            // Operators alone end pauses and decide about jobs: few calls, which no flood of orders is to keep out.
            Act::Revoke | Act::Resume | Act::Decide => Self::Revoking,
        }
    }
}

impl Lane {
    const ALL: [Self; 3] = [Self::Issuing, Self::Reading, Self::Revoking];

    const fn name(self) -> &'static str {
        match self {
            Self::Issuing => "issuing",
            Self::Reading => "reading",
            Self::Revoking => "revoking",
        }
    }

    /// Places among `connections`: half of them issue, so that no flood of orders takes all threads.
    fn places(self, connections: usize) -> usize {
        let share = match self {
            Self::Issuing => connections.div_ceil(2),
            Self::Reading | Self::Revoking => connections.div_ceil(4),
        };
        share.max(1)
    }
}

/// The places of all lanes.
#[derive(Clone, Debug)]
pub(crate) struct Admission {
    issuing: Places,
    reading: Places,
    revoking: Places,
    auditing: Arc<Semaphore>,
}

#[derive(Clone, Debug)]
struct Places {
    free: Arc<Semaphore>,
    all: usize,
}

impl Admission {
    /// Places for a server of at most `connections` connections.
    pub(crate) fn new(connections: usize) -> Self {
        let places = |lane: Lane| {
            let all = lane.places(connections);
            Places { free: Arc::new(Semaphore::new(all)), all }
        };
        Self {
            issuing: places(Lane::Issuing),
            reading: places(Lane::Reading),
            revoking: places(Lane::Revoking),
            auditing: Arc::new(Semaphore::new(AUDITING)),
        }
    }

    /// Blocking threads that all places together need: whoever has a place has a thread.
    pub(crate) fn threads(connections: usize) -> usize {
        Lane::ALL
            .into_iter()
            .map(|lane| lane.places(connections))
            .fold(AUDITING.saturating_add(OWN_THREADS), usize::saturating_add)
    }

    /// A place for a call, to be kept until its work has ended.
    ///
    /// # Errors
    ///
    /// `calls-too-many` when there is none.
    pub(crate) fn admit(&self, lane: Lane) -> Result<OwnedSemaphorePermit, Denied> {
        let places = match lane {
            Lane::Issuing => &self.issuing,
            Lane::Reading => &self.reading,
            Lane::Revoking => &self.revoking,
        };
        Arc::clone(&places.free).try_acquire_owned().map_err(|_| {
            not_admitted(lane).increment(1);
            Denied::new(
                Kind::Unavailable,
                Refusal::new(
                    "calls-too-many",
                    "so many calls of a kind work at once, also those whose caller has hung up",
                    &format!("{} {} calls at work", places.all, lane.name()),
                    format!("{} at once", places.all),
                    "repeat the call with the same key after Retry-After",
                ),
            )
            .retry_after(COME_BACK)
        })
    }

    /// A place to write the audit leaf of a refused call; `None` when it is to be counted only.
    pub(crate) fn audit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.auditing).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_the_work_has_ended_and_not_before() {
        let admission = Admission::new(4);
        let held: Vec<_> = (0..2).map(|_| admission.admit(Lane::Issuing).unwrap()).collect();

        let denied = admission.admit(Lane::Issuing).unwrap_err();

        assert_eq!((denied.kind, denied.refusal.code), (Kind::Unavailable, "calls-too-many"));
        assert_eq!(denied.retry_after, Some(COME_BACK));
        drop(held);
        assert!(admission.admit(Lane::Issuing).is_ok());
    }

    /// Promise 4: a flood of orders leaves revocations their places and their threads.
    #[test]
    fn revocations_have_places_of_their_own() {
        for connections in [1, 4, 512] {
            let admission = Admission::new(connections);
            let mut held = Vec::new();
            for lane in [Lane::Issuing, Lane::Reading] {
                held.extend(std::iter::from_fn(|| admission.admit(lane).ok()));
            }

            held.push(admission.admit(Lane::Revoking).unwrap());

            assert!(held.len() + AUDITING < Admission::threads(connections));
        }
    }

    /// The finding itself: callers that hang up while their work goes on. The work stays bounded.
    #[test]
    fn work_of_callers_that_hung_up_keeps_its_place() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let admission = Admission::new(4);
        let (end, ended) = std::sync::mpsc::channel::<()>();
        runtime.block_on(async {
            let ended = Arc::new(std::sync::Mutex::new(ended));
            let mut refused = 0;
            for _ in 0..10 {
                let ended = Arc::clone(&ended);
                let call = super::super::at_work(&admission, Lane::Issuing, move || {
                    let _ = ended.lock().unwrap().recv();
                });
                // The caller hangs up at once: its future is dropped.
                let hung_up = tokio::time::timeout(Duration::from_millis(20), call);
                if let Ok(Err(denied)) = hung_up.await {
                    assert_eq!(denied.refusal.code, "calls-too-many");
                    refused += 1;
                }
            }
            assert_eq!(refused, 8);
        });
        drop(end);
    }
}
