//! Every use of a key is explained (KEY-14): a signature that came back belongs to one recorded intent
//! of that key, and an intent that was fulfilled to one signature.
//!
//! [`KeyUses`] stands in front of the signer, which nothing else holds, and keeps for which intent each
//! signature came back. The schedule compares this with the store, intent by intent, in both directions.
//! What does not agree is an alarm that stays until the program ends: log, gauge and a leaf
//! of the audit log. Intents of earlier starts were all ended when this one began. A signature that came
//! back after its caller had given up has passed no door: the signer tells for which intent it was, and
//! the audit log that it exists and nobody has it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ca::audit::{EventCode, EventResult, ObjectId, ObjectIds};
use ca::refusal::Refusal;
use hsm::{KeyUse, LateSignature, SignError, SigningService, Standing, TokenState};
use serde_json::json;
use store::{
    BootId, INTENTS_AT_ONCE, IntentBook, IntentNumber, IntentOutcome, IntentState, Node, Store,
    StoreError, Subject,
};
use x509::key::SpkiHash;
use x509::signing::{IntentId, SigningInput};
use x509::time::UnixTime;

use super::{COME_BACK, Service, signing};
use crate::denied::{Denied, Kind};
use crate::publication::{chain, lossy};

/// An intent is fulfilled or voided long before it is this old: signing is tried for a minute.
const DECIDED_WITHIN: Duration = Duration::from_secs(600);
/// What a signature that came back late is counted as.
pub(crate) const LATE_CODE: &str = "hsm-signature-late";
/// A call that hangs for longer is remembered no more: the signature that it gives then is an alarm.
const LATE: Duration = Duration::from_secs(24 * 3600);

/// The signer, with a memory of what it was used for.
pub(crate) struct KeyUses {
    signer: Arc<dyn SigningService>,
    /// The key of the management CA, whose intents do not name it.
    management: Option<SpkiHash>,
    door: Mutex<Door>,
    books: Mutex<Books>,
}

/// What went through.
#[derive(Default)]
struct Door {
    /// Signatures of which the store has not yet told what became of them.
    returned: BTreeMap<IntentId, SpkiHash>,
    doubled: Vec<Unexplained>,
}

impl Door {
    fn returned(&mut self, intent: IntentId, key: SpkiHash) {
        if self.returned.insert(intent, key).is_some() {
            self.doubled.push(Unexplained { key, intent: Some(intent), count: 1, why: TWICE });
        }
    }
}

/// What the store has told so far.
struct Books {
    issuing: Progress,
    management: Progress,
    /// Voided ones whose signature had not come back when they were seen, which was then; it may come
    /// late.
    voided: BTreeMap<IntentId, Instant>,
    unexplained: BTreeMap<SpkiHash, u64>,
}

/// How far a book has been settled.
struct Progress {
    book: IntentBook,
    /// Everything up to here has ended.
    settled: IntentNumber,
    /// What has ended beyond that.
    beyond: BTreeSet<IntentNumber>,
}

/// A use of a key, or a record of one, that nothing explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unexplained {
    key: SpkiHash,
    intent: Option<IntentId>,
    count: u64,
    why: &'static str,
}

const NO_INTENT: &str = "signatures came back for an intent that the store does not know as open";
const OTHER_KEY: &str = "the signature came back from another key than the recorded one";
const TWICE: &str = "a second signature came back for one intent";
const NO_SIGNATURE: &str = "recorded as signed, and no signature had come back";

/// What one look found.
struct Look {
    unexplained: Vec<Unexplained>,
    /// Signatures that came back after their callers had given up.
    late: Vec<LateSignature>,
    /// When the oldest intent that is still open was recorded.
    oldest_open: Option<UnixTime>,
    /// The least of what was read of the books.
    read: Read,
}

/// How much of a book was read in one look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Read {
    /// Nothing: as many intents as are read at once lie behind one that stays open.
    Stuck,
    /// As many intents as are read at once; the next look goes on.
    Part,
    All,
}

impl KeyUses {
    /// Accounts for what `signer` signs from now on. Called before anything is signed.
    ///
    /// # Errors
    ///
    /// The store's.
    pub(crate) fn new(
        signer: Arc<dyn SigningService>,
        management: Option<SpkiHash>,
        store: &dyn Store,
    ) -> Result<Self, StoreError> {
        let progress = |book| {
            let settled = store.last_intent(book)?;
            Ok::<_, StoreError>(Progress { book, settled, beyond: BTreeSet::new() })
        };
        let books = Books {
            issuing: progress(IntentBook::Issuing)?,
            management: progress(IntentBook::Management)?,
            voided: BTreeMap::new(),
            unexplained: BTreeMap::new(),
        };
        let (door, books) = (Mutex::default(), Mutex::new(books));
        Ok(Self { signer, management, door, books })
    }

    /// Whether a signature came back for an intent that is not settled.
    fn came_back(&self, intent: IntentId) -> bool {
        self.door().returned.contains_key(&intent)
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares what went through the door with the store.
    fn look(&self, store: &dyn Store, node: &Node) -> Result<Look, StoreError> {
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        // What came late before the door, and the door before the store: what is in the earlier one is
        // in the later one.
        let late = self.signer.late_signatures();
        let (mut unexplained, waiting) = {
            let mut door = self.door();
            for LateSignature { intent, key, .. } in &late {
                door.returned(*intent, *key);
            }
            let waiting: Vec<IntentId> = door.returned.keys().copied().collect();
            (std::mem::take(&mut door.doubled), waiting)
        };
        let (mut open, mut oldest_open, mut read) = (BTreeSet::new(), None, Read::All);
        let Books { issuing, management, voided, .. } = &mut *books;
        for progress in [issuing, management] {
            let outcomes = store.intents_after(progress.book, progress.settled)?;
            for outcome in &outcomes {
                let ours = outcome.node == *node;
                if ours && outcome.state == IntentState::Open {
                    oldest_open = oldest_open.into_iter().chain([outcome.created]).min();
                    open.insert(outcome.intent);
                } else if ours && progress.beyond.insert(outcome.number) {
                    unexplained.extend(self.settle(voided, outcome));
                }
            }
            read = read.min(progress.advance(&outcomes, node));
        }
        books.voided.retain(|_, seen| seen.elapsed() < LATE);
        if read == Read::All {
            unexplained.extend(self.without_intent(&mut books.voided, &waiting, &open));
        }
        for one in &unexplained {
            let sum = books.unexplained.entry(one.key).or_default();
            *sum = sum.saturating_add(one.count);
        }
        Ok(Look { unexplained, late, oldest_open, read })
    }

    /// What is wrong with an intent of ours that has ended.
    fn settle(
        &self,
        voided: &mut BTreeMap<IntentId, Instant>,
        outcome: &IntentOutcome,
    ) -> Option<Unexplained> {
        let recorded = outcome.key.or(self.management);
        let returned = self.door().returned.remove(&outcome.intent);
        let unexplained =
            |key, why| Some(Unexplained { key, intent: Some(outcome.intent), count: 1, why });
        match (returned, outcome.state) {
            (Some(key), _) if recorded.is_some_and(|recorded| recorded != key) => {
                unexplained(key, OTHER_KEY)
            }
            (Some(_), _) => None,
            (None, IntentState::Fulfilled) => {
                unexplained(recorded.unwrap_or(SpkiHash::from_bytes([0; 32])), NO_SIGNATURE)
            }
            (None, _) => {
                voided.insert(outcome.intent, Instant::now());
                None
            }
        }
    }

    /// Signatures that waited before the store was read, and that it did not tell of.
    fn without_intent(
        &self,
        voided: &mut BTreeMap<IntentId, Instant>,
        waiting: &[IntentId],
        open: &BTreeSet<IntentId>,
    ) -> Vec<Unexplained> {
        let mut door = self.door();
        let unknown = waiting.iter().filter(|intent| !open.contains(intent)).filter_map(|intent| {
            let key = door.returned.remove(intent)?;
            if voided.remove(intent).is_some() {
                return None;
            }
            Some(Unexplained { key, intent: Some(*intent), count: 1, why: NO_INTENT })
        });
        unknown.collect()
    }

    fn unexplained(&self) -> BTreeMap<SpkiHash, u64> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner).unexplained.clone()
    }
}

impl Progress {
    /// Goes on to the first intent of ours that is open.
    fn advance(&mut self, outcomes: &[IntentOutcome], node: &Node) -> Read {
        let is_open =
            |outcome: &&IntentOutcome| outcome.node == *node && outcome.state == IntentState::Open;
        if let Some(last) = outcomes.iter().take_while(|outcome| !is_open(outcome)).last() {
            self.settled = last.number;
            self.beyond.retain(|number| *number > last.number);
        } else if outcomes.len() >= INTENTS_AT_ONCE {
            return Read::Stuck;
        }
        if outcomes.len() < INTENTS_AT_ONCE { Read::All } else { Read::Part }
    }
}

impl SigningService for KeyUses {
    fn sign_telling(
        &self,
        input: &SigningInput,
        within: Duration,
        passed_over: &mut dyn FnMut(&SignError),
    ) -> Result<Vec<u8>, SignError> {
        let (key, intent) = (input.issuer_key(), input.intent_id());
        let signed = self.signer.sign_telling(input, within, passed_over);
        if signed.is_ok() {
            self.door().returned(intent, key);
        }
        signed
    }

    fn deadline(&self) -> Duration {
        self.signer.deadline()
    }

    fn prove(&self, key: &SpkiHash) -> Result<(), SignError> {
        self.signer.prove(key)
    }

    fn within_reach(&self, key: &SpkiHash) -> Result<(), SignError> {
        self.signer.within_reach(key)
    }

    fn prove_stand_bys(&self) {
        self.signer.prove_stand_bys();
    }

    fn keys(&self) -> Vec<SpkiHash> {
        self.signer.keys()
    }

    fn tokens(&self) -> Vec<TokenState> {
        self.signer.tokens()
    }

    fn uses(&self) -> Vec<KeyUse> {
        self.signer.uses()
    }

    /// None: each is told once, and the books are told.
    fn late_signatures(&self) -> Vec<LateSignature> {
        Vec::new()
    }
}

impl Service {
    /// Compares the use of every key with the books, shows both in the metrics, and tells of what does
    /// not agree. Called by the schedule.
    pub(crate) fn reconcile_key_uses(&self) -> Result<(), Denied> {
        let look = self.key_uses.look(self.store(), &self.node);
        self.observe_key_uses();
        let look = look.map_err(|error| self.note_storage(&error))?;
        let now = self.clock().read().now;
        for one in &look.late {
            self.note_late(one, now);
        }
        for one in &look.unexplained {
            tracing::error!(
                problem.code = "key-use-unexplained",
                key.spki = %one.key,
                intent.id = one.intent.map(|intent| intent.to_string()),
                key.count = one.count,
                "use of a key that the books do not explain: {}; next: an operator compares the token's own log with the audit log",
                one.why
            );
            let payload = json!({
                "key": one.key.to_string(),
                "intent": one.intent.map(|intent| intent.to_string()),
                "count": one.count,
                "why": one.why,
            });
            let objects = ObjectIds::of_act([Some(ObjectId::Key(one.key))]);
            let (code, failed) = (EventCode::KeyUseUnexplained, EventResult::Failed);
            let record = Self::record(
                code,
                failed,
                self.system(),
                objects,
                None,
                &payload,
                Subject::Deployment,
            );
            if let Err(error) = self.store().record_audit(&record, now) {
                tracing::error!(error = %chain(&error), "unexplained use of a key could not be recorded");
            }
        }
        let stuck = look.read == Read::Stuck;
        metrics::gauge!("sigill_key_use_stopped").set(if stuck { 1.0 } else { 0.0 });
        match look.oldest_open {
            Some(created) if stuck => Err(stopped(created)),
            Some(created) if now.since(created) > DECIDED_WITHIN => Err(undecided(created)),
            _ => Ok(()),
        }
    }

    /// The try was told of as failed; now it is known that a signature exists that nobody has.
    fn note_late(&self, late: &LateSignature, now: UnixTime) {
        let LateSignature { intent, key, token } = late;
        signing::count_failed(LATE_CODE);
        let payload = json!({
            "intent": intent.to_string(),
            "key": key.to_string(),
            "token": token.to_string(),
            "seen": "the signature came back after its caller had given up; nobody has it",
        });
        let record = signing::failed_try(self.system(), &payload);
        if let Err(error) = self.store().record_audit(&record, now) {
            tracing::error!(intent.id = %intent, key.spki = %key, error = %chain(&error),
                "signature that came back late could not be recorded");
        }
    }

    fn observe_key_uses(&self) {
        let unexplained = self.key_uses.unexplained();
        for one in self.signer.uses() {
            let labels = [("key", one.key.to_string()), ("token", one.token.label.to_string())];
            for (name, value) in [
                ("sigill_key_signatures_total", one.signatures),
                ("sigill_key_proofs_total", one.proofs),
                ("sigill_key_failures_total", one.failures),
                ("sigill_key_late_signatures_total", one.late),
                ("sigill_hsm_failover_total", one.failovers),
            ] {
                metrics::counter!(name, &labels).absolute(value);
            }
            let is = |standing| if one.standing == standing { 1.0 } else { 0.0 };
            metrics::gauge!("sigill_hsm_token_active", &labels).set(is(Standing::Signs));
            metrics::gauge!("sigill_hsm_token_set_aside", &labels).set(is(Standing::SetAside));
            metrics::gauge!("sigill_key_use_unexplained", "key" => one.key.to_string())
                .set(lossy(unexplained.get(&one.key).copied().unwrap_or_default()));
        }
    }

    /// What is known of the signature of an intent that comes to nothing.
    pub(crate) fn signature_of(&self, intent: IntentId, boot: BootId) -> &'static str {
        if boot != self.node.boot {
            "not known"
        } else if self.key_uses.came_back(intent) {
            "came back"
        } else {
            "none came back"
        }
    }
}

fn stopped(created: UnixTime) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "key-use-stopped",
            "KEY-14: every use of a key is compared with the books",
            &format!("an intent of {created} is still open, and so much was recorded after it that nothing is compared"),
            format!("{INTENTS_AT_ONCE} intents"),
            "an operator looks why it is not voided: the log of sigill-ca names the task; what waits is compared then",
        ),
    )
    .retry_after(COME_BACK)
}

fn undecided(created: UnixTime) -> Denied {
    Denied::new(
        Kind::Unavailable,
        Refusal::new(
            "key-use-undecided",
            "KEY-14: an intent to sign is fulfilled or voided in time",
            &format!("an intent of {created} is still open"),
            format!("{} s", DECIDED_WITHIN.as_secs()),
            "an operator looks why it is not voided: the log of sigill-ca names the task",
        ),
    )
    .retry_after(COME_BACK)
}

#[cfg(test)]
mod tests;
