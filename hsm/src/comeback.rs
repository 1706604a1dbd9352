//! How a token that was set aside comes back into use: by a proof, made beside the traffic.
//!
//! A thread of its own has the key prove itself every few seconds while some token is set aside. It
//! ends when all are trusted, so that nothing is awake while all is well.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use x509::key::SpkiHash;

use crate::route::{KeyRoutes, StandBys, lacks};

/// Pause between two proofs in a token that was set aside.
const PROVE_EVERY: Duration = Duration::from_secs(3);

/// The keys of a signer.
pub(crate) type Keys = RwLock<HashMap<SpkiHash, Arc<KeyRoutes>>>;

/// Looks after tokens that were set aside. Dropping it ends the thread.
#[derive(Debug)]
pub(crate) struct Comeback {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    keys: Arc<Keys>,
    deadline: Duration,
    state: Mutex<State>,
    woken: Condvar,
}

#[derive(Debug, Default)]
struct State {
    thread: Option<JoinHandle<()>>,
    runs: bool,
    /// Stand-bys are to be proven at once.
    stand_bys: bool,
    ends: bool,
}

impl Comeback {
    /// A proof may take `deadline`.
    pub(crate) fn new(keys: Arc<Keys>, deadline: Duration) -> Self {
        let (state, woken) = (Mutex::default(), Condvar::new());
        Self { shared: Arc::new(Shared { keys, deadline, state, woken }) }
    }

    /// Proves tokens that were set aside until all are trusted, and with `StandBys::Too` those that
    /// stand by once, at once. Does not wait for it.
    pub(crate) fn begin(&self, stand_bys: StandBys) {
        let mut state = self.shared.state();
        if stand_bys == StandBys::Too {
            state.stand_bys = true;
            self.shared.woken.notify_all();
        }
        if state.runs || state.ends {
            return;
        }
        let shared = Arc::clone(&self.shared);
        let spawned = thread::Builder::new().name("token-comeback".to_owned());
        match spawned.spawn(move || shared.run()) {
            Ok(thread) => {
                state.thread = Some(thread);
                state.runs = true;
            }
            Err(error) => {
                tracing::error!(
                    problem.code = "hsm-thread",
                    "no thread to prove tokens that were set aside; the next failure tries again: {error}"
                );
            }
        }
    }
}

/// A call into a module while the process exits can crash it, so the thread has ended before.
impl Drop for Comeback {
    fn drop(&mut self) {
        let thread = {
            let mut state = self.shared.state();
            state.ends = true;
            self.shared.woken.notify_all();
            state.thread.take()
        };
        if let Some(thread) = thread {
            // A panic has been printed.
            let _panicked = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        loop {
            let stand_bys = {
                let state = self.state();
                let pause = |state: &mut State| !state.ends && !state.stand_bys;
                let waited = self.woken.wait_timeout_while(state, PROVE_EVERY, pause);
                let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                if state.ends {
                    return;
                }
                std::mem::take(&mut state.stand_bys)
            };
            self.prove(if stand_bys { StandBys::Too } else { StandBys::Not });
            // Whoever sets a token aside does so before he takes this lock.
            let mut state = self.state();
            if !state.stand_bys && !self.all().iter().any(|key| key.any_set_aside()) {
                state.runs = false;
                return;
            }
        }
    }

    fn all(&self) -> Vec<Arc<KeyRoutes>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.values().cloned().collect()
    }

    /// One round. A token that fails one key is not asked for the others: it may make each wait. Where it
    /// is away it is so for each of them. But for a key that it lacks nobody waits.
    fn prove(&self, stand_bys: StandBys) {
        let mut failed = BTreeSet::new();
        for key in self.all() {
            for route in key.to_prove(stand_bys) {
                let name = route.source().name();
                if self.state().ends {
                    continue;
                }
                if failed.contains(name) {
                    key.set_aside_if_away(route);
                    continue;
                }
                if let Err(error) = key.prove_in(route, self.deadline) {
                    tracing::debug!(problem.code = error.code(), key.spki = %key.spki_hash(),
                        token.label = %name.label, token.serial = %name.serial,
                        "the key does not prove itself: {error}");
                    if !lacks(&error) {
                        failed.insert(name.clone());
                    }
                }
            }
        }
    }
}
