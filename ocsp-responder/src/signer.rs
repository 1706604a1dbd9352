//! The only way from an answer to its signature: counted, signed, verified.
//!
//! An answer's record is a counter per delegate (promise 1). Counts are made durable in blocks
//! before they are used: after a crash the stored count is at least the number of signatures that
//! the key made, and after an orderly stop exactly that (KEY-14).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use hsm::{Again, SignError, SigningService};
use thiserror::Error;
use x509::key::{PublicKey, SignatureAlgorithm, SpkiHash};
use x509::signing::{
    Intent, IntentId, Pending, PendingError, Recorded, Recorder, SigningKind, ToBeSigned,
};

use crate::durable;

/// Counts that are made durable at once.
const BLOCK: u64 = 4096;

/// The durable count of what one delegate key was asked to sign.
#[derive(Debug)]
pub(crate) struct Counter {
    path: PathBuf,
    key: SpkiHash,
    state: Mutex<CounterState>,
}

#[derive(Debug)]
struct CounterState {
    used: u64,
    durable: u64,
}

impl Counter {
    /// Opens the counter of a key in `folder`; a key without one begins at 0.
    pub(crate) fn open(folder: &Path, key: SpkiHash) -> Result<Self, CountError> {
        let path = folder.join(format!("{key}.count"));
        let failed = |source| CountError { path: path.clone(), source };
        let used = match durable::read(&path, 32).map_err(failed)? {
            None => 0,
            Some(bytes) => std::str::from_utf8(&bytes)
                .ok()
                .and_then(|text| text.trim_end().parse().ok())
                .ok_or_else(|| failed(io::ErrorKind::InvalidData.into()))?,
        };
        Ok(Self { path, key, state: Mutex::new(CounterState { used, durable: used }) })
    }

    /// The next count, durable.
    fn next(&self) -> Result<u64, CountError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let next = state.used.saturating_add(1);
        if next > state.durable {
            let durable = state.used.saturating_add(BLOCK);
            self.write(durable)?;
            state.durable = durable;
        }
        state.used = next;
        Ok(next)
    }

    /// Gives back the rest of the block, at an orderly stop.
    pub(crate) fn settle(&self) -> Result<u64, CountError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.durable != state.used {
            self.write(state.used)?;
            state.durable = state.used;
        }
        Ok(state.used)
    }

    fn write(&self, count: u64) -> Result<(), CountError> {
        durable::replace(&self.path, format!("{count}\n").as_bytes())
            .map_err(|source| CountError { path: self.path.clone(), source })
    }
}

/// Names an intent by its key and count.
fn intent_id(key: SpkiHash, count: u64) -> IntentId {
    let mut id = [0; 16];
    for (octet, from) in
        id.iter_mut().zip(key.as_bytes().iter().take(8).chain(&count.to_be_bytes()))
    {
        *octet = *from;
    }
    IntentId::from_bytes(id)
}

/// A count that is durable already: recording checks that it is the intent's.
struct Counted {
    id: IntentId,
}

impl Recorder for Counted {
    type Error = AnswerSignError;

    fn record(self, intent: &Intent) -> Result<(), AnswerSignError> {
        if intent.id() == self.id { Ok(()) } else { Err(AnswerSignError::OtherCount) }
    }
}

/// Signs `response_data` under `key` and returns the verified signature. A try from which no signature
/// came back, as on a session that was lost, is made once more; both are counted.
///
/// # Errors
///
/// [`AnswerSignError`]; nothing was released.
pub(crate) fn sign(
    service: &dyn SigningService,
    key: &PublicKey,
    counter: &Counter,
    response_data: &Arc<[u8]>,
) -> Result<Vec<u8>, AnswerSignError> {
    match sign_once(service, key, counter, response_data) {
        Err(AnswerSignError::Key(error)) if error.again() != Again::Never => {
            sign_once(service, key, counter, response_data)
        }
        signed => signed,
    }
}

fn sign_once(
    service: &dyn SigningService,
    key: &PublicKey,
    counter: &Counter,
    response_data: &Arc<[u8]>,
) -> Result<Vec<u8>, AnswerSignError> {
    let id = intent_id(counter.key, counter.next()?);
    let pending = Pending::new(
        id,
        SigningKind::OcspAnswer,
        key.clone(),
        SignatureAlgorithm::EcdsaP256Sha256,
        ToBeSigned::Bytes(Arc::clone(response_data)),
    )?;
    let recorded = Recorded::by(Counted { id }, pending.intent())?;
    let input = pending.input(&recorded)?;
    let signature = service.sign(&input)?;
    Ok(pending.finish(signature)?.signature().to_vec())
}

/// Why a count could not be made durable.
#[derive(Debug, Error)]
#[error("signature counter {path:?} failed")]
pub(crate) struct CountError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Why an answer was not signed.
#[derive(Debug, Error)]
pub(crate) enum AnswerSignError {
    #[error("answer could not be counted")]
    Count(#[from] CountError),
    #[error("key did not sign")]
    Key(#[from] SignError),
    #[error("count belongs to another intent")]
    OtherCount,
    #[error("answer cannot be signed by this key")]
    Pending(#[from] PendingError),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SpkiHash {
        SpkiHash::from_bytes([7; 32])
    }

    /// KEY-14: never fewer counted than signed, exactly as many after an orderly stop.
    #[test]
    fn counts_survive_a_crash_upwards_and_a_stop_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let counter = Counter::open(folder.path(), key()).unwrap();
        for expected in 1..=3 {
            assert_eq!(counter.next().unwrap(), expected);
        }

        let after_crash = Counter::open(folder.path(), key()).unwrap();
        assert_eq!(after_crash.next().unwrap(), BLOCK + 1);

        assert_eq!(counter.settle().unwrap(), 3);
        let after_stop = Counter::open(folder.path(), key()).unwrap();
        assert_eq!(after_stop.next().unwrap(), 4);
    }

    #[test]
    fn refuses_a_counter_that_is_no_number() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(format!("{}.count", key())), "many").unwrap();

        assert!(Counter::open(folder.path(), key()).is_err());
    }

    #[test]
    fn intents_of_two_keys_and_counts_differ() {
        let other = SpkiHash::from_bytes([8; 32]);
        assert_ne!(intent_id(key(), 1), intent_id(key(), 2));
        assert_ne!(intent_id(key(), 1), intent_id(other, 1));
    }
}
