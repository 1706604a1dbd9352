//! The only way from an answer to its signature: counted, signed, verified.
//!
//! An answer's record is a counter per delegate (promise 1). Counts are made durable in blocks
//! before they are used: after a crash the stored count is at least the number of signatures that
//! the key made, and after an orderly stop exactly that (KEY-14).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use host::durable;
use hsm::{Begun, SignError, SigningService};
use thiserror::Error;
use tokio::sync::oneshot;
use x509::key::{PublicKey, SignatureAlgorithm, SpkiHash};
use x509::signing::{
    Intent, IntentId, Pending, PendingError, Recorded, Recorder, SigningInput, SigningKind,
    ToBeSigned,
};

/// Counts that are made durable at once.
const BLOCK: u64 = 4096;
/// With so many left the next block is made durable, beside the answers.
const FEW: u64 = BLOCK / 2;
/// After so many more it is tried again.
const AGAIN: u64 = BLOCK / 8;
/// How long an answer waits for a count.
const COUNTED_WITHIN: Duration = Duration::from_secs(5);

/// The durable count of what one delegate key was asked to sign.
#[derive(Debug)]
pub(crate) struct Counter {
    path: PathBuf,
    key: SpkiHash,
    /// Never held over I/O: tasks that answer look here.
    state: Mutex<CounterState>,
    /// Held while the file is written; what it says, where that is known.
    file: Mutex<Option<u64>>,
    /// Whose turn it is to have a thread wait for the disk: however many answers wait, one does.
    turn: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone, Copy, Debug)]
struct CounterState {
    used: u64,
    durable: u64,
}

impl CounterState {
    const fn left(self) -> u64 {
        self.durable.saturating_sub(self.used)
    }
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
        Ok(Self {
            path,
            key,
            state: Mutex::new(CounterState { used, durable: used }),
            file: Mutex::new(Some(used)),
            turn: Arc::default(),
        })
    }

    fn state(&self) -> MutexGuard<'_, CounterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self) -> MutexGuard<'_, Option<u64>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next count, and how many are left, if it is durable already.
    fn taken(&self) -> Option<(u64, u64)> {
        let mut state = self.state();
        if state.left() == 0 {
            return None;
        }
        state.used = state.used.saturating_add(1);
        Some((state.used, state.left()))
    }

    /// The next count, durable. Waits for the disk where none is left.
    fn next(&self) -> Result<u64, CountError> {
        loop {
            if let Some((count, _)) = self.taken() {
                return Ok(count);
            }
            self.counts()?;
        }
    }

    /// As [`Self::next`], and the disk is waited for by another thread, for at most so long. While half of a block is left
    /// the next one is made durable, so that seldom anybody waits.
    async fn next_beside(self: &Arc<Self>, within: Duration) -> Result<u64, AnswerSignError> {
        let next = async {
            loop {
                if let Some((count, left)) = self.taken() {
                    self.count_ahead(left);
                    return Ok::<_, AnswerSignError>(count);
                }
                let turn = Arc::clone(&self.turn).lock_owned().await;
                // Whoever had the turn before has made some durable, or could not.
                if self.is_at_hand() {
                    continue;
                }
                let own = Arc::clone(self);
                let counted = tokio::task::spawn_blocking(move || {
                    let _turn = turn;
                    own.counts()
                });
                counted.await.map_err(|_| AnswerSignError::Lost)??;
            }
        };
        let late = |_| Err(self.failed(io::ErrorKind::TimedOut.into()).into());
        tokio::time::timeout(within, next).await.unwrap_or_else(late)
    }

    /// Has a thread make the next block durable where few counts are left, but none where one does already.
    fn count_ahead(self: &Arc<Self>, left: u64) {
        if left == 0 || left > FEW || !left.is_multiple_of(AGAIN) {
            return;
        }
        let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() else { return };
        let own = Arc::clone(self);
        drop(tokio::task::spawn_blocking(move || {
            let _turn = turn;
            if let Err(error) = own.reserve(|left| (1..=FEW).contains(&left)) {
                tracing::warn!(key.spki = %own.key, error = crate::chain(&error),
                    "signature counts are not made durable ahead");
            }
        }));
    }

    /// Whether there is a next count: without one nothing is signed, however well the key is.
    pub(crate) fn counts(&self) -> Result<(), CountError> {
        if self.is_at_hand() { Ok(()) } else { self.reserve(|left| left == 0) }
    }

    /// Whether the next count is durable already.
    fn is_at_hand(&self) -> bool {
        self.state().left() > 0
    }

    /// Makes a block of counts durable where so few are left that it `is_needed`.
    fn reserve(&self, is_needed: impl Fn(u64) -> bool) -> Result<(), CountError> {
        let mut file = self.file();
        let state = *self.state();
        if !is_needed(state.left()) {
            return Ok(());
        }
        let no_more = || self.failed(io::ErrorKind::InvalidData.into());
        let durable = state.used.checked_add(BLOCK).ok_or_else(no_more)?;
        self.write(&mut file, durable)?;
        self.state().durable = durable;
        Ok(())
    }

    /// Gives back the rest of the block, at an orderly stop.
    pub(crate) fn settle(&self) -> Result<u64, CountError> {
        let mut file = self.file();
        let used = {
            let mut state = self.state();
            // From here on nobody takes what the file gives back.
            state.durable = state.used;
            state.used
        };
        if *file != Some(used) {
            self.write(&mut file, used)?;
        }
        Ok(used)
    }

    fn write(&self, file: &mut Option<u64>, count: u64) -> Result<(), CountError> {
        // A write that fails leaves the old count or the new one.
        *file = None;
        durable::replace(&self.path, format!("{count}\n").as_bytes())
            .map_err(|source| self.failed(source))?;
        *file = Some(count);
        Ok(())
    }

    fn failed(&self, source: io::Error) -> CountError {
        CountError { path: self.path.clone(), source }
    }

    /// What an answer is signed as, counted. Waits for no disk on this thread, and for no count longer than is bearable.
    ///
    /// # Errors
    ///
    /// [`AnswerSignError`]: it was not counted, and is not signed.
    pub(crate) async fn intent_beside(self: &Arc<Self>) -> Result<IntentId, AnswerSignError> {
        Ok(intent_id(self.key, self.next_beside(COUNTED_WITHIN).await?))
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
/// came back, as on a session that was lost, is made once more in what is left of the deadline; both
/// are counted.
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
    let (begun, deadline) = (Instant::now(), service.deadline());
    let sign = |within| {
        let id = intent_id(counter.key, counter.next()?);
        sign_once(service, key, id, response_data, within)
    };
    let error = match sign(deadline) {
        Err(AnswerSignError::Key(error)) if error.may_help_at_once() => error,
        signed => return signed,
    };
    let left = deadline.saturating_sub(begun.elapsed());
    if left.is_zero() { Err(error.into()) } else { sign(left) }
}

/// Signs what was counted as `id`, in one try.
///
/// # Errors
///
/// [`AnswerSignError`]; nothing was released.
pub(crate) fn sign_once(
    service: &dyn SigningService,
    key: &PublicKey,
    id: IntentId,
    response_data: &Arc<[u8]>,
    within: Duration,
) -> Result<Vec<u8>, AnswerSignError> {
    let (pending, input) = recorded(key, id, response_data)?;
    let signature = service.sign_telling(&input, within, &mut |_| {})?;
    Ok(pending.finish(signature)?.signature().to_vec())
}

/// What is given to the key, counted, and what verifies what comes back.
fn recorded(
    key: &PublicKey,
    id: IntentId,
    response_data: &Arc<[u8]>,
) -> Result<(Pending, SigningInput), AnswerSignError> {
    let pending = Pending::new(
        id,
        SigningKind::OcspAnswer,
        key.clone(),
        SignatureAlgorithm::default_for(key.key_type()),
        ToBeSigned::Bytes(Arc::clone(response_data)),
    )?;
    let recorded = Recorded::by(Counted { id }, pending.intent())?;
    let input = pending.input(&recorded)?;
    Ok((pending, input))
}

/// As [`sign_once`], without holding a thread while the key's own signs, nor this one where the key has none.
///
/// # Errors
///
/// [`AnswerSignError`]; nothing was released.
pub(crate) async fn sign_beside(
    service: &Arc<dyn SigningService>,
    key: &PublicKey,
    id: IntentId,
    response_data: &Arc<[u8]>,
) -> Result<Vec<u8>, AnswerSignError> {
    let (pending, input) = recorded(key, id, response_data)?;
    let (told, outcome) = oneshot::channel();
    let done = Box::new(move |signed| {
        // Whoever asked may be gone: the answer is worth nothing to others.
        let _gone = told.send(signed);
    });
    let within = service.deadline();
    let signature = match service.begin(&input, within, done)? {
        Some(begun) => wait(&begun, outcome).await?,
        None => {
            let service = Arc::clone(service);
            let sign = move || service.sign_telling(&input, within, &mut |_| {});
            tokio::task::spawn_blocking(sign).await.map_err(|_| AnswerSignError::Lost)??
        }
    };
    Ok(pending.finish(signature)?.signature().to_vec())
}

/// What came of a signature, which is looked after as long as it is waited for.
async fn wait(
    begun: &Begun,
    mut outcome: oneshot::Receiver<Result<Vec<u8>, SignError>>,
) -> Result<Vec<u8>, AnswerSignError> {
    loop {
        let in_vain = match tokio::time::timeout_at(begun.next_look().into(), &mut outcome).await {
            Ok(Ok(signed)) => return Ok(signed?),
            Ok(Err(_)) => return Err(begun.give_up().into()),
            Err(_) => begun.look(),
        };
        if let Some(error) = in_vain {
            // It may have come meanwhile.
            return Ok(outcome.try_recv().unwrap_or(Err(error))?);
        }
    }
}

/// Why a count could not be made durable.
#[derive(Debug, Error)]
#[error("signature counter {path:?} failed")]
pub(crate) struct CountError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl AnswerSignError {
    /// Whether one more try at once may help.
    pub(crate) const fn may_help_at_once(&self) -> bool {
        matches!(self, Self::Key(error) if error.may_help_at_once())
    }
}

/// Why an answer was not signed.
#[derive(Debug, Error)]
pub(crate) enum AnswerSignError {
    #[error("answer could not be counted")]
    Count(#[from] CountError),
    #[error("key did not sign")]
    Key(#[from] SignError),
    #[error("key's thread broke off")]
    Lost,
    #[error("count belongs to another intent")]
    OtherCount,
    #[error("answer cannot be signed by this key")]
    Pending(#[from] PendingError),
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::mem::ManuallyDrop;
    use std::sync::mpsc;

    use hsm::token::TokenName;
    use hsm::{KeyUse, LateSignature, OpenError, TokenState};

    use super::*;

    const DEADLINE: Duration = Duration::from_millis(600);

    /// A service whose tries all take this share of their time and fail so; remembers how long each
    /// might have taken.
    struct Failing {
        error: fn(TokenName, Duration) -> SignError,
        share: f32,
        tries: Mutex<Vec<Duration>>,
    }

    impl SigningService for Failing {
        fn sign_telling(
            &self,
            _: &SigningInput,
            within: Duration,
            _: &mut dyn FnMut(&SignError),
        ) -> Result<Vec<u8>, SignError> {
            self.tries.lock().unwrap().push(within);
            std::thread::sleep(within.mul_f32(self.share));
            let (label, serial) = ("sg-td-ab12-ocsp".parse(), "1234".parse());
            let token = TokenName { label: label.unwrap(), serial: serial.unwrap() };
            Err((self.error)(token, within))
        }

        fn deadline(&self) -> Duration {
            DEADLINE
        }

        fn prove(&self, _: &SpkiHash) -> Result<(), SignError> {
            Ok(())
        }

        fn within_reach(&self, _: &SpkiHash) -> Result<(), SignError> {
            Ok(())
        }

        fn prove_stand_bys(&self) {}

        fn keys(&self) -> Vec<SpkiHash> {
            Vec::new()
        }

        fn tokens(&self) -> Vec<TokenState> {
            Vec::new()
        }

        fn uses(&self) -> Vec<KeyUse> {
            Vec::new()
        }

        fn late_signatures(&self) -> Vec<LateSignature> {
            Vec::new()
        }
    }

    /// The times of the tries for one answer.
    fn tries(error: fn(TokenName, Duration) -> SignError, share: f32) -> Vec<Duration> {
        let folder = tempfile::tempdir().unwrap();
        let counter = Counter::open(folder.path(), key()).unwrap();
        let service = Failing { error, share, tries: Mutex::default() };
        let mut point = vec![4];
        point.extend_from_slice(&P256_GENERATOR);
        let key = PublicKey::from_ec_point(&point).unwrap();

        let refused = sign(&service, &key, &counter, &Arc::from(&b"text"[..])).unwrap_err();

        assert!(matches!(refused, AnswerSignError::Key(_)), "{refused}");
        service.tries.into_inner().unwrap()
    }

    /// A point of the curve, so that there is a key (SEC 2 §2.4.2).
    const P256_GENERATOR: [u8; 64] = [
        0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40,
        0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98,
        0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c,
        0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68,
        0x37, 0xbf, 0x51, 0xf5,
    ];

    /// KEY-09: all tries together keep the deadline.
    #[test]
    fn two_tries_have_the_time_of_one() {
        let passes = |token, _| SignError::Token(OpenError::Deadline { token });

        // A machine that stalls in the first try leaves no time for a second: then again.
        let two = (0..10).map(|_| tries(passes, 0.5)).find(|tries| tries.len() == 2);
        let two = two.expect("two tries");
        assert_eq!(two[0], DEADLINE);
        assert!(two[1] <= DEADLINE / 2, "{two:?}");

        assert_eq!(tries(passes, 1.0), [DEADLINE], "no time is left");
    }

    /// KEY-09: a token that has more work than sessions is not given the same work twice.
    #[test]
    fn a_busy_token_is_asked_once() {
        assert_eq!(tries(|token, waited| SignError::Busy { token, waited }, 0.0), [DEADLINE]);
    }

    fn key() -> SpkiHash {
        SpkiHash::from_bytes([7; 32])
    }

    /// KEY-14: never fewer counted than signed, exactly as many after an orderly stop.
    #[test]
    fn counts_survive_a_crash_upwards_and_a_stop_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let counter = Counter::open(folder.path(), key()).unwrap();
        assert!(!counter.is_at_hand());
        for expected in 1..=3 {
            assert_eq!(counter.next().unwrap(), expected);
            assert!(counter.is_at_hand());
        }

        let after_crash = Counter::open(folder.path(), key()).unwrap();
        assert_eq!(after_crash.next().unwrap(), BLOCK + 1);

        assert_eq!(counter.settle().unwrap(), 3);
        let after_stop = Counter::open(folder.path(), key()).unwrap();
        assert_eq!(after_stop.next().unwrap(), 4);
    }

    /// KEY-14: while the disk has stalled, answers are counted from what is durable, then they are told in time, whatever
    /// else the runtime has to do goes on, and what was signed is counted exactly.
    #[test]
    fn a_disk_that_has_stalled_stops_no_task_that_answers() {
        const LONG: Duration = Duration::from_secs(60);
        let folder = tempfile::tempdir().unwrap();
        let counter = Arc::new(Counter::open(folder.path(), key()).unwrap());
        counter.counts().unwrap();
        // Whoever writes waits, as in a call that the disk does not answer.
        let stalled = counter.file();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build();
        // Where a check fails, nobody waits for the threads that the disk holds.
        let runtime = ManuallyDrop::new(runtime.unwrap());
        let (told, outcomes) = mpsc::channel();
        let ask = |count: u64, within| {
            for _ in 0..count {
                let (told, counter) = (told.clone(), Arc::clone(&counter));
                drop(runtime.spawn(async move { told.send(counter.next_beside(within).await) }));
            }
        };
        let outcome = || outcomes.recv_timeout(LONG).expect("is told");

        ask(BLOCK, LONG);
        let mut counts: Vec<u64> = (0..BLOCK).map(|_| outcome().unwrap()).collect();
        counts.sort_unstable();
        assert!(counts.into_iter().eq(1..=BLOCK));
        ask(8, Duration::from_millis(50));
        for _ in 0..8 {
            assert!(matches!(outcome(), Err(AnswerSignError::Count(_))));
        }
        assert!(counter.turn.try_lock().is_err(), "it has stalled");

        drop(stalled);
        ask(1, LONG);
        assert_eq!(outcome().unwrap(), BLOCK + 1);
        assert_eq!(Counter::open(folder.path(), key()).unwrap().state().used, 2 * BLOCK);
        ManuallyDrop::into_inner(runtime).shutdown_timeout(LONG);
        assert_eq!(counter.settle().unwrap(), BLOCK + 1);
        assert_eq!(Counter::open(folder.path(), key()).unwrap().next().unwrap(), BLOCK + 2);
    }

    /// Of a block's second half nobody waits for the disk.
    #[tokio::test]
    async fn the_next_block_is_durable_before_the_last_is_used_up() {
        let folder = tempfile::tempdir().unwrap();
        let counter = Arc::new(Counter::open(folder.path(), key()).unwrap());
        for _ in 0..FEW {
            counter.next_beside(Duration::from_secs(60)).await.unwrap();
        }
        // The thread that was begun holds the turn until it has ended.
        drop(counter.turn.lock().await);
        assert_eq!(counter.state().left(), BLOCK);
        assert_eq!(Counter::open(folder.path(), key()).unwrap().state().used, FEW + BLOCK);
    }

    #[test]
    fn a_counter_that_is_at_its_end_signs_no_more() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!("{}.count", key())), u64::MAX.to_string()).unwrap();

        assert!(Counter::open(folder.path(), key()).unwrap().next().is_err());
    }

    #[test]
    fn refuses_a_counter_that_is_no_number() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(format!("{}.count", key())), "many").unwrap();

        assert!(Counter::open(folder.path(), key()).is_err());
    }

    #[test]
    fn intents_of_two_keys_and_counts_differ() {
        let other = SpkiHash::from_bytes([8; 32]);
        assert_ne!(intent_id(key(), 1), intent_id(key(), 2));
        assert_ne!(intent_id(key(), 1), intent_id(other, 1));
    }
}
