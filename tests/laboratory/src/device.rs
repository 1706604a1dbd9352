//! What happens to a call: counted, disturbed as the script says, passed on, noted.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};
use std::{env, fs, process};

use cryptoki_sys::{
    CK_RV, CK_SESSION_HANDLE, CK_SLOT_ID, CKR_DEVICE_REMOVED, CKR_GENERAL_ERROR, CKR_OK,
    CKR_PIN_INCORRECT, CKR_SESSION_HANDLE_INVALID, CKR_TOKEN_NOT_PRESENT,
};

use crate::counters::{Counter, Counters, Place};
use crate::functions::Function;
use crate::script::{Act, Asks, Fault, Renumbered, Script, TokenLie};
use crate::sessions::Sessions;

/// How often a hang looks whether its file is there.
const LOOK: Duration = Duration::from_millis(10);

/// What the laboratory does with the real module behind the caller's back.
pub(crate) trait Device {
    fn close_session(&self, session: CK_SESSION_HANDLE);
    fn close_all_sessions(&self, slot: CK_SLOT_ID);
    fn log_out(&self, session: CK_SESSION_HANDLE);
    fn finalise(&self);
    /// Initialised slots' tokens by label, padding removed.
    fn token_label(&self, slot: CK_SLOT_ID) -> Option<String>;
}

/// A call, before it is passed on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) on: On,
    pub(crate) asks: Asks,
}

/// What a call is made on.
#[derive(Clone, Copy, Debug)]
pub(crate) enum On {
    Module,
    /// As the caller numbers it.
    Slot(CK_SLOT_ID),
    Session(CK_SESSION_HANDLE),
}

/// What the script has decided about a call.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    hangs: Vec<Hang>,
    acts: Vec<Act>,
    result: Option<CK_RV>,
    passed: bool,
    pub(crate) flip_bit: Option<usize>,
}

impl Verdict {
    pub(crate) fn other_key(&self) -> bool {
        self.acts.contains(&Act::OtherKey)
    }

    /// Whether the caller hears an error whatever the real module did.
    pub(crate) fn withholds(&self) -> bool {
        self.result.is_some_and(|result| result != CKR_OK)
    }
}

#[derive(Debug)]
enum Hang {
    For(Duration),
    Until(PathBuf),
}

impl Hang {
    fn wait(&self) {
        match self {
            Self::For(span) => thread::sleep(*span),
            Self::Until(path) => {
                while !path.exists() {
                    thread::sleep(LOOK);
                }
            }
        }
    }
}

/// The laboratory of this process.
pub(crate) struct Laboratory {
    script: Option<PathBuf>,
    current: Mutex<Current>,
    counters: Counters,
    sessions: Mutex<Sessions>,
}

struct Current {
    stamp: Option<Stamp>,
    script: Result<Arc<Script>, ()>,
    read: Instant,
    /// Of each fault, how many calls have matched.
    matched: Vec<u64>,
    /// What is added to slots' numbers now.
    added: u64,
    /// The caller has initialised and not finalised.
    initialised: bool,
    finalised: bool,
}

/// Tells one version of the script from the next.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    inode: u64,
}

impl Laboratory {
    /// Takes script and counters from the environment.
    pub(crate) fn from_environment() -> Self {
        let path = |name| env::var_os(name).map(PathBuf::from);
        Self {
            script: path("LABORATORY_SCRIPT"),
            current: Mutex::new(Current {
                stamp: None,
                script: Ok(Arc::default()),
                read: Instant::now(),
                matched: Vec::new(),
                added: 0,
                initialised: false,
                finalised: false,
            }),
            counters: Counters::begin(path("LABORATORY_COUNTERS").as_deref()),
            sessions: Mutex::default(),
        }
    }

    pub(crate) const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Puts a call through: counted, disturbed, passed on by `pass`, noted.
    pub(crate) fn run(
        &self,
        device: &impl Device,
        call: Call,
        pass: impl FnOnce(&Script, &Verdict) -> CK_RV,
    ) -> CK_RV {
        self.counters.add(Place::Calls(call.function));
        let Ok(script) = self.refreshed() else { return CKR_GENERAL_ERROR };
        let _under_way = self.enter(&script, call);
        let verdict = self.judge(device, &script, call);
        verdict.hangs.iter().for_each(Hang::wait);
        for act in &verdict.acts {
            self.act(device, *act, call);
        }
        if let Some(refused) = self.refused(device, &script, call) {
            return refused;
        }
        if let Some(result) = verdict.result.filter(|_| !verdict.passed) {
            return result;
        }
        let own = pass(&script, &verdict);
        self.note(&script, call, own);
        verdict.result.unwrap_or(own)
    }

    /// The real number of a slot, as the caller knows it.
    pub(crate) fn real_slot(&self, shown: CK_SLOT_ID) -> Option<CK_SLOT_ID> {
        shown.checked_sub(self.current().added)
    }

    /// A real slot's number as the caller is to know it.
    pub(crate) fn shown_slot(&self, real: CK_SLOT_ID) -> CK_SLOT_ID {
        real.saturating_add(self.current().added)
    }

    /// Whether the token in a real slot is away.
    pub(crate) fn is_missing(&self, device: &impl Device, slot: CK_SLOT_ID) -> bool {
        let since = self.current().read.elapsed();
        self.lies(device, slot).iter().any(|lie| lie.is_missing(since))
    }

    /// What the script tells of the token in a real slot.
    pub(crate) fn lies(&self, device: &impl Device, slot: CK_SLOT_ID) -> Vec<TokenLie> {
        let script = match &self.current().script {
            Ok(script) if !script.token.is_empty() => Arc::clone(script),
            _ => return Vec::new(),
        };
        let label = device.token_label(slot);
        let of_token = |lie: &&TokenLie| lie.label.is_none() || lie.label == label;
        script.token.iter().filter(of_token).cloned().collect()
    }

    pub(crate) fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the table of sessions and notes how many are open now.
    pub(crate) fn change_sessions(&self, change: impl FnOnce(&mut Sessions)) {
        let mut sessions = self.sessions();
        change(&mut sessions);
        let open = u64::try_from(sessions.count()).unwrap_or(u64::MAX);
        self.counters.set(Counter::Open, open);
        self.counters.raise(Counter::MostOpen, open);
    }

    fn current(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The script as it lies there now.
    fn refreshed(&self) -> Result<Arc<Script>, ()> {
        let mut current = self.current();
        let stamp = self.script.as_deref().and_then(|path| stamp(&fs::metadata(path).ok()?));
        if let Some(path) = self.script.as_deref().filter(|_| stamp != current.stamp) {
            self.counters.add(Place::Of(Counter::Scripts));
            current.stamp = stamp;
            current.read = Instant::now();
            current.script = Script::read(path).map(Arc::new).map_err(|why| {
                self.counters.add(Place::Of(Counter::ScriptErrors));
                self.counters.error(&why);
            });
            let script = current.script.clone()?;
            current.matched = vec![0; script.fault.len()];
            if script.slots.when == Renumbered::Now {
                current.added = script.slots.add;
            }
        }
        current.script.clone()
    }

    fn enter(&self, script: &Script, call: Call) -> Option<UnderWay<'_>> {
        let begins = matches!(call.function, Function::GetFunctionList | Function::Initialize);
        if self.current().finalised && !begins {
            self.counters.add(Place::Of(Counter::AfterFinalise));
        }
        if call.function == Function::Finalize && self.sessions().under_way() > 0 {
            self.counters.add(Place::Of(Counter::FinalisedUnderCalls));
        }
        let On::Session(session) = call.on else { return None };
        let mut sessions = self.sessions();
        let entered = sessions.enter(session);
        self.counters.raise(Counter::AtOnce, entered.at_once);
        if entered.shared {
            self.counters.add(Place::Of(Counter::SharedSession));
        }
        if script.sessions.at_once.is_some_and(|most| entered.at_once > most) {
            sessions.dead = true;
        }
        drop(sessions);
        Some(UnderWay { laboratory: self, session })
    }

    fn judge(&self, device: &impl Device, script: &Script, call: Call) -> Verdict {
        let mut verdict = Verdict::default();
        let mut current = self.current();
        let (since, added) = (current.read.elapsed(), current.added);
        for (fault, matched) in script.fault.iter().zip(&mut current.matched) {
            if !self.matches(device, fault, call, added) || !fault.strikes_at(since) {
                continue;
            }
            *matched = matched.saturating_add(1);
            if !fault.calls.contains(*matched) {
                continue;
            }
            self.counters.add(Place::Of(Counter::Struck));
            verdict.hangs.extend(fault.hang().map(Hang::For));
            verdict.hangs.extend(fault.hang_until.clone().map(Hang::Until));
            verdict.acts.extend(fault.act);
            if verdict.result.is_none() {
                verdict.result = fault.result.map(|code| code.0);
                verdict.passed = fault.passed;
            }
            verdict.flip_bit = verdict.flip_bit.or(fault.flip_bit);
        }
        verdict
    }

    /// Called under the lock of `current`, hence `added` as an argument.
    fn matches(&self, device: &impl Device, fault: &Fault, call: Call, added: u64) -> bool {
        fault.function.contains(call.function)
            && fault.asks.is_none_or(|asks| asks == call.asks)
            && fault.token.as_ref().is_none_or(|token| {
                let slot = match call.on {
                    On::Module => None,
                    On::Slot(shown) => shown.checked_sub(added),
                    On::Session(session) => self.sessions().slot(session),
                };
                slot.and_then(|slot| device.token_label(slot)).as_ref() == Some(token)
            })
    }

    fn act(&self, device: &impl Device, act: Act, call: Call) {
        let slot = match call.on {
            On::Module => None,
            On::Slot(shown) => self.real_slot(shown),
            On::Session(session) => self.sessions().slot(session),
        };
        match (act, call.on) {
            (Act::DropSession, On::Session(session)) => {
                device.close_session(session);
                self.change_sessions(|sessions| sessions.closed(session));
            }
            (Act::DropSessions, _) => {
                if let Some(slot) = slot {
                    device.close_all_sessions(slot);
                    self.change_sessions(|sessions| sessions.all_closed(slot));
                }
            }
            (Act::LogOut, On::Session(session)) => device.log_out(session),
            (Act::Finalise, _) => {
                device.finalise();
                self.change_sessions(Sessions::finalised);
            }
            (Act::Abort, _) => process::abort(),
            // The others are for C_SignInit, or have nothing to act on.
            _ => {}
        }
    }

    /// What the device in its present state answers without being asked.
    fn refused(&self, device: &impl Device, script: &Script, call: Call) -> Option<CK_RV> {
        match call.on {
            On::Module => None,
            On::Slot(shown) => {
                let slot = self.real_slot(shown)?;
                let needs_token = call.function != Function::GetSlotInfo;
                let missing = needs_token && self.is_missing(device, slot);
                missing.then_some(CKR_TOKEN_NOT_PRESENT)
            }
            On::Session(session) => {
                let slot = self.sessions().slot(session)?;
                if self.is_missing(device, slot) {
                    device.close_all_sessions(slot);
                    self.change_sessions(|sessions| sessions.all_closed(slot));
                    return Some(CKR_DEVICE_REMOVED);
                }
                if self.sessions().dead {
                    return Some(script.sessions.dead());
                }
                let idle = self.sessions().idle(session);
                if idle.zip(script.sessions.idle()).is_some_and(|(idle, most)| idle > most) {
                    device.close_session(session);
                    self.change_sessions(|sessions| sessions.closed(session));
                    return Some(CKR_SESSION_HANDLE_INVALID);
                }
                None
            }
        }
    }

    /// Notes what the real module answered.
    fn note(&self, script: &Script, call: Call, own: CK_RV) {
        match (call.function, own) {
            (Function::Initialize, CKR_OK) => {
                self.counters.add(Place::Of(Counter::Initialised));
                let mut current = self.current();
                current.initialised = true;
                current.finalised = false;
                current.added = script.slots.add;
            }
            (Function::Finalize, CKR_OK) => {
                self.counters.add(Place::Of(Counter::Finalised));
                self.change_sessions(Sessions::finalised);
                let mut current = self.current();
                current.finalised = current.initialised;
            }
            (Function::Login, CKR_OK) => self.counters.add(Place::Of(Counter::LoginsRight)),
            (Function::Login, CKR_PIN_INCORRECT) => {
                self.counters.add(Place::Of(Counter::LoginsWrong));
            }
            (Function::Login, _) => self.counters.add(Place::Of(Counter::LoginsOther)),
            (Function::SignInit, CKR_OK) => self.counters.add(Place::Of(Counter::SignInits)),
            _ => {}
        }
    }
}

fn stamp(found: &fs::Metadata) -> Option<Stamp> {
    use std::os::unix::fs::MetadataExt as _;
    Some(Stamp { modified: found.modified().ok()?, length: found.len(), inode: found.ino() })
}

/// A call on a session, from its beginning to its end.
struct UnderWay<'a> {
    laboratory: &'a Laboratory,
    session: CK_SESSION_HANDLE,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.laboratory.sessions().leave(self.session);
    }
}
