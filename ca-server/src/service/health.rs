//! Whether each authority's key signs now. What is bound to come to nothing is refused before anything
//! is recorded for it: an intent without a signature costs a serial number, which stands on the CRL until
//! the certificate would have ended.
//!
//! Two things say that a key does not sign: its tokens, which know when they are lost or take no calls,
//! and its last calls. Neither heals by callers: the schedule has the key prove itself until it does.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hsm::{Again, OpenError, SignError};
use x509::key::SpkiHash;

use super::authority::Authority;
use super::signing::unsigned;
use super::{COME_BACK, Service};
use crate::denied::{Denied, Kind};

/// Calls in a row that came to nothing, after which no more are made until the key has proven itself.
const FAILED_IN_A_ROW: u32 = 3;
/// A key that proves itself and whose signatures come to nothing all the same is tried once in so long: its
/// proof is another mechanism, or other bytes.
const TRIAL_EVERY: Duration = Duration::from_secs(60);
/// Codes of a signature that came to nothing where a proof may well come to something.
const OF_THE_SIGNATURE: [&str; 5] =
    ["hsm-sign", "hsm-sign-in-doubt", "hsm-signature-form", "hsm-algorithm", "signature-invalid"];
/// A key that nobody has used for so long is to prove itself: an idle CA learns that its token is dead.
const PROVE_AFTER: Duration = Duration::from_secs(60);
/// Between two looks for a token that went away a moment ago.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// What the last calls told of each key.
#[derive(Debug)]
pub(crate) struct SigningHealth(Mutex<BTreeMap<SpkiHash, KeyHealth>>);

#[derive(Clone, Debug)]
struct KeyHealth {
    worked: Instant,
    /// The last call came to something.
    is_well: bool,
    /// Calls that came to nothing since it worked, though its tokens know of nothing.
    unexplained: u32,
    /// What the last of them met.
    last: Option<Denied>,
    /// When it was last tried although so many came to nothing.
    tried: Instant,
}

impl KeyHealth {
    const fn well(now: Instant) -> Self {
        Self { worked: now, is_well: true, unexplained: 0, last: None, tried: now }
    }

    const fn is_shut(&self) -> bool {
        self.unexplained >= FAILED_IN_A_ROW
    }

    /// Whether what it met says nothing of its proofs, nor they of it.
    fn is_of_the_signature(&self) -> bool {
        self.last.as_ref().is_some_and(|last| OF_THE_SIGNATURE.contains(&last.refusal.code))
    }
}

impl SigningHealth {
    /// The keys of `authorities` that sign here, which have just proven themselves.
    pub(crate) fn of<'a>(authorities: impl IntoIterator<Item = &'a Authority>) -> Self {
        let now = Instant::now();
        let signing = authorities.into_iter().filter(|authority| authority.signs_here());
        Self(Mutex::new(signing.map(|one| (one.key(), KeyHealth::well(now))).collect()))
    }

    fn keys(&self) -> MutexGuard<'_, BTreeMap<SpkiHash, KeyHealth>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It made a signature that verifies.
    fn note_worked(&self, key: &SpkiHash, now: Instant) {
        if let Some(health) = self.keys().get_mut(key) {
            *health = KeyHealth::well(now);
        }
    }

    /// It proved itself.
    fn note_proven(&self, key: &SpkiHash, now: Instant) {
        if let Some(health) = self.keys().get_mut(key) {
            if health.is_of_the_signature() {
                health.is_well = !health.is_shut();
                health.worked = now;
            } else {
                *health = KeyHealth::well(now);
            }
        }
    }

    /// It did not, and its tokens are known to be away.
    fn note_away(&self, key: &SpkiHash) {
        if let Some(health) = self.keys().get_mut(key) {
            health.is_well = false;
        }
    }

    /// It did not, though its tokens know of nothing.
    fn note_failed(&self, key: &SpkiHash, denied: &Denied) {
        if let Some(health) = self.keys().get_mut(key) {
            health.is_well = false;
            health.unexplained = health.unexplained.saturating_add(1);
            health.last = Some(denied.clone());
            health.tried = Instant::now();
        }
    }

    fn is_well(&self, key: &SpkiHash) -> bool {
        self.keys().get(key).is_some_and(|health| health.is_well)
    }

    fn has_worked_since(&self, key: &SpkiHash, begun: Instant) -> bool {
        self.keys().get(key).is_some_and(|health| health.worked > begun)
    }

    fn is_idle(&self, key: &SpkiHash, now: Instant) -> bool {
        let since = |health: &KeyHealth| now.saturating_duration_since(health.worked);
        self.keys().get(key).is_some_and(|health| since(health) >= PROVE_AFTER)
    }

    /// What the last call met, where so many in a row came to nothing that no more are made.
    fn shut(&self, key: &SpkiHash) -> Option<Denied> {
        let keys = self.keys();
        let shut = keys.get(key).filter(|health| health.is_shut())?;
        let last = shut.last.clone()?;
        // Of this call nothing was made that could be wrong.
        Some(Denied { kind: Kind::Unavailable, ..last }.retry_after(COME_BACK))
    }

    /// The one call in [`TRIAL_EVERY`] that is made although so many came to nothing, if this is it.
    fn trial(&self, key: &SpkiHash, now: Instant) -> Option<Trial<'_>> {
        let mut keys = self.keys();
        let health = keys.get_mut(key)?;
        let is_due = health.is_shut()
            && health.is_of_the_signature()
            && now.saturating_duration_since(health.tried) >= TRIAL_EVERY;
        is_due.then(|| {
            let before = std::mem::replace(&mut health.tried, now);
            Trial { health: self, key: *key, taken: now, before }
        })
    }
}

/// Leave to try a key that so many calls have come to nothing with. Dropped before the key was asked, because
/// another call of the same order was faster or the order was refused, it is the next caller's.
struct Trial<'a> {
    health: &'a SigningHealth,
    key: SpkiHash,
    taken: Instant,
    before: Instant,
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if let Some(health) = self.health.keys().get_mut(&self.key)
            && health.tried == self.taken
        {
            health.tried = self.before;
        }
    }
}

/// Leave to ask a key for a signature.
#[must_use]
pub(crate) struct Leave<'a> {
    /// How long the signature may take.
    within: Duration,
    trial: Option<Trial<'a>>,
}

impl Leave<'_> {
    /// The key is asked now: how long the signature may take.
    pub(crate) fn used(self) -> Duration {
        if let Some(trial) = self.trial {
            std::mem::forget(trial);
        }
        self.within
    }
}

impl Service {
    /// Refuses what the authority's key is known not to sign now, before anything is recorded for it.
    pub(crate) fn may_sign(&self, authority: &Authority) -> Result<Leave<'_>, Denied> {
        let trial = self.admit(authority).map_err(put_off)?;
        Ok(Leave { within: self.signer.deadline(), trial })
    }

    /// Whether a call would be made now. Counts nothing and takes nobody's trial.
    pub(crate) fn is_within_reach(&self, authority: &Authority) -> bool {
        self.reach(authority).is_ok()
    }

    /// As [`Self::may_sign`], and waits for a token that went away just now, as signing itself would, for
    /// half the deadline at most. What is left of it is the signature's.
    pub(crate) fn may_sign_soon(&self, authority: &Authority) -> Result<Leave<'_>, Denied> {
        let begun = Instant::now();
        let deadline = self.signer.deadline();
        let patience = deadline / 2;
        loop {
            match self.admit(authority) {
                Ok(trial) => {
                    let within = deadline.saturating_sub(begun.elapsed());
                    return Ok(Leave { within, trial });
                }
                Err(obstacle)
                    if obstacle.passes == Passes::Perhaps && begun.elapsed() < patience =>
                {
                    std::thread::sleep(LOOK_EVERY);
                }
                Err(obstacle) => return Err(put_off(obstacle)),
            }
        }
    }

    fn admit(&self, authority: &Authority) -> Result<Option<Trial<'_>>, Obstacle> {
        let Err(obstacle) = self.reach(authority) else { return Ok(None) };
        let trial = obstacle.shut.then(|| self.health.trial(&authority.key(), Instant::now()));
        trial.flatten().map(Some).ok_or(obstacle)
    }

    fn reach(&self, authority: &Authority) -> Result<(), Obstacle> {
        let key = authority.key();
        if let Err(error) = self.signer.within_reach(&key) {
            return Err(Obstacle {
                passes: Passes::of(&error, self.signer.deadline()),
                shut: false,
                denied: Box::new(unsigned(&error)),
            });
        }
        match self.health.shut(&key) {
            Some(denied) => {
                Err(Obstacle { passes: Passes::Not, shut: true, denied: Box::new(denied) })
            }
            None => Ok(()),
        }
    }

    /// What a call for a signature of `key`, made at `begun`, came to.
    pub(crate) fn note_signing<T>(
        &self,
        key: SpkiHash,
        begun: Instant,
        outcome: &Result<T, Denied>,
    ) {
        match outcome {
            Ok(_) => self.health.note_worked(&key, Instant::now()),
            // One call that hangs says nothing of a key that works for others meanwhile.
            Err(_) if self.health.has_worked_since(&key, begun) => {}
            // They say themselves when they are back, at once.
            Err(_) if self.signer.within_reach(&key).is_err() => self.health.note_away(&key),
            Err(denied) => self.health.note_failed(&key, denied),
        }
        if outcome.is_ok() != self.is_ready_to_sign() {
            self.tell_readiness_to_sign();
        }
    }

    /// Puts into readiness and metrics which authorities' keys sign, as far as is known without a call.
    pub(crate) fn tell_readiness_to_sign(&self) {
        let mut not_signing = Vec::new();
        for authority in self.signing_authorities() {
            if self.signs_now(authority) {
                crate::observe::signing_authority(authority.name());
            } else {
                crate::observe::silent_authority(authority.name());
                not_signing.push(authority.name().to_owned());
            }
        }
        self.readiness.tell_not_signing(not_signing);
    }

    /// As the readiness says.
    pub(crate) fn is_ready_to_sign(&self) -> bool {
        self.readiness.signing.load(Ordering::Relaxed)
    }

    /// Whether a key does not sign or nobody has used it for a while.
    pub(crate) fn wants_proofs(&self, now: Instant) -> bool {
        self.signing_authorities().any(|authority| self.wants_proof(authority, now))
    }

    /// Has each key that wants it prove itself, so that a CA without orders becomes ready again when its
    /// tokens are back, and learns that they are gone. One deadline each at most.
    pub(crate) fn probe_signing(&self, now: Instant) -> Result<(), Denied> {
        let mut failed = Ok(());
        for authority in self.signing_authorities() {
            if !self.wants_proof(authority, now) {
                continue;
            }
            let key = authority.key();
            let begun = Instant::now();
            let proven = self.signer.prove(&key).map_err(|error| unproven(authority, &error));
            match proven {
                Ok(()) => self.health.note_proven(&key, Instant::now()),
                Err(_) => self.note_signing(key, begun, &proven),
            }
            failed = failed.and(proven);
        }
        self.tell_readiness_to_sign();
        failed
    }

    fn signing_authorities(&self) -> impl Iterator<Item = &Authority> {
        self.authorities.values().filter(|authority| authority.signs_here())
    }

    fn signs_now(&self, authority: &Authority) -> bool {
        let key = authority.key();
        self.health.is_well(&key) && self.signer.within_reach(&key).is_ok()
    }

    fn wants_proof(&self, authority: &Authority, now: Instant) -> bool {
        !self.signs_now(authority) || self.health.is_idle(&authority.key(), now)
    }
}

/// Why a key is not asked.
struct Obstacle {
    passes: Passes,
    /// Its tokens know of nothing; so many calls came to nothing.
    shut: bool,
    denied: Box<Denied>,
}

/// Whether a token may be back within a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Passes {
    Perhaps,
    Not,
}

impl Passes {
    fn of(error: &SignError, deadline: Duration) -> Self {
        match error {
            SignError::Token(OpenError::Lost { lost_for, .. })
                if *lost_for < deadline && error.again() != Again::Never =>
            {
                Self::Perhaps
            }
            _ => Self::Not,
        }
    }
}

fn put_off(obstacle: Obstacle) -> Denied {
    let code = obstacle.denied.refusal.code;
    metrics::counter!("sigill_signing_put_off_total", "code" => code).increment(1);
    *obstacle.denied
}

fn unproven(authority: &Authority, error: &SignError) -> Denied {
    let mut denied = unsigned(error);
    denied.refusal.seen = format!("key of {}: {}", authority.name(), denied.refusal.seen);
    denied
}

#[cfg(test)]
mod tests;
