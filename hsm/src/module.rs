//! The PKCS#11 module: loaded once a process, and initialised anew where only that finds a token again.
//!
//! Two contexts of one module in one process disturb each other: the second initialisation fails or
//! crashes, and finalising one ends every session of the other. So this file holds the only
//! registry; [`Module::load`] hands out the context that is there. A module may hang while it is
//! loaded or initialised: that is done on a thread that can be left, and keeps up nobody who loads
//! another one.
//!
//! Some modules look for their tokens only when they are initialised (SoftHSM), some connect only then
//! (p11-kit's client). So a token that is lost and does not come back by itself is looked for by
//! `C_Finalize` and `C_Initialize`. That ends every session of every token of the module: it is done
//! behind the [`Gate`], and seldom.
//!
//! There may be two ways to one module's state: a hard link to its file, a wrapper that logs the calls,
//! p11-kit's proxy. Behind two gates one would tear down what the other is in the midst of. So a file
//! is known by its device and inode; and a module that says when it is loaded that it is initialised
//! already is refused beside others of ours, and otherwise is somebody else's, to be used and never
//! finalised.
//!
//! A module reads its own settings from the process environment when it is initialised
//! (SoftHSM: `SOFTHSM2_CONF`), so they must be there when the program starts.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use thiserror::Error;

use crate::failure::Pkcs11Failure;
use crate::gate::{Gate, Generation, NotRenewed, Pass};
use crate::pool::deadline_in;
use crate::token::TokenName;

/// Between two initialisations while no token of the module works.
const ALONE: Duration = Duration::from_secs(1);
/// Between two while other tokens of the module work and the lost one has been lost for less than a
/// minute: each costs the others a login.
const BESIDE_OTHERS: Duration = Duration::from_secs(3);
/// A token is looked for beside others the more seldom the longer it is lost: this part of that time.
const SELDOMER: u32 = 20;
/// At least so often while other tokens of the module work.
const BESIDE_OTHERS_AT_LEAST: Duration = Duration::from_secs(60);
/// At least so often while others are there of which nobody has used one since the last initialisation.
const BESIDE_IDLE_AT_LEAST: Duration = Duration::from_secs(10);

static LOADED: Mutex<BTreeMap<PathBuf, Arc<Place>>> = Mutex::new(BTreeMap::new());

/// The place of a module in the registry.
struct Place {
    path: PathBuf,
    /// Device and inode of the file.
    file: (u64, u64),
    loading: Mutex<Loading>,
    changed: Condvar,
}

#[derive(Default)]
enum Loading {
    #[default]
    Not,
    UnderWay,
    Done(Module),
    Failed(NotLoaded),
}

/// What went wrong on the thread that loads.
#[derive(Clone)]
enum NotLoaded {
    Shared(Vec<PathBuf>),
    Load(Pkcs11Failure),
    Initialise(Pkcs11Failure),
}

/// A loaded and initialised PKCS#11 module. Clones share one context.
#[derive(Clone)]
pub struct Module {
    loaded: Arc<Loaded>,
}

struct Loaded {
    path: PathBuf,
    context: Pkcs11,
    description: String,
    initialised_by: Initialiser,
    gate: Arc<Gate>,
    in_use: Mutex<InUse>,
}

/// Tokens that were logged in to and are not lost.
#[derive(Default)]
struct InUse {
    /// Since the last initialisation.
    working: Vec<TokenName>,
    /// Before it, and not since.
    idle: Vec<TokenName>,
}

/// Who else is disturbed by an initialisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    None,
    Idle,
    Working,
}

/// Who may finalise a module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Initialiser {
    Us,
    /// Another part of this process, before we loaded it.
    Another,
}

/// p11-kit's proxy is its library. It has modules initialised that are initialised already, and does
/// not tell.
fn is_proxy(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("libp11-kit.so") || name.starts_with("p11-kit-proxy.")
}

impl Module {
    /// Loads the module at an absolute `path`, or returns the one that was loaded before.
    ///
    /// # Errors
    ///
    /// [`ModuleError`]; nothing is kept then, and a later call may succeed.
    pub fn load(path: &Path) -> Result<Self, ModuleError> {
        Self::place_of(path)?.module(None)
    }

    /// As [`Self::load`], and waits at most `within`. A module that hangs is left to itself and not
    /// loaded a second time: a later call waits for it again.
    ///
    /// # Errors
    ///
    /// [`ModuleError`].
    pub fn load_within(path: &Path, within: Duration) -> Result<Self, ModuleError> {
        Self::place_of(path)?.module(Some(within))
    }

    fn place_of(path: &Path) -> Result<Arc<Place>, ModuleError> {
        let canonical = Self::locate(path)?;
        let unreadable = |source| ModuleError::Unreadable { path: path.to_owned(), source };
        let file = fs::metadata(&canonical).map_err(unreadable)?;
        let file = (file.dev(), file.ino());
        let mut places = places();
        let same = places.values().find(|place| place.file == file).cloned();
        let place = same.unwrap_or_else(|| Arc::new(Place::of(canonical.clone(), file)));
        Ok(Arc::clone(places.entry(canonical).or_insert(place)))
    }

    /// The file that [`Module::load`] would load at an absolute `path`, symbolic links resolved.
    /// Nothing is loaded.
    ///
    /// # Errors
    ///
    /// [`ModuleError::NotAbsolute`], and [`ModuleError::Unreadable`] for what is no file.
    pub fn locate(path: &Path) -> Result<PathBuf, ModuleError> {
        if !path.is_absolute() {
            return Err(ModuleError::NotAbsolute { path: path.to_owned() });
        }
        let unreadable = |source| ModuleError::Unreadable { path: path.to_owned(), source };
        let canonical = path.canonicalize().map_err(unreadable)?;
        if !canonical.is_file() {
            return Err(unreadable(std::io::Error::other("not a file")));
        }
        Ok(canonical)
    }

    /// Refuses a module whose state is, or may be, that of another one.
    fn judge_alone(&self) -> Result<(), NotLoaded> {
        let Loaded { path, initialised_by, .. } = &*self.loaded;
        if *initialised_by == Initialiser::Another {
            let others = loaded_beside(path);
            if !others.is_empty() {
                return Err(NotLoaded::Shared(others));
            }
            tracing::warn!(module = %path.display(), "module was initialised by another part of \
                this process: it is used and never initialised again, so a token that only \
                that would find stays lost until the program is restarted");
        }
        Ok(())
    }

    fn initialise(path: &Path) -> Result<Self, NotLoaded> {
        let failed = |error: &Error| Pkcs11Failure::new(&path.display(), error);
        if is_proxy(path) {
            let others = loaded_beside(path);
            if !others.is_empty() {
                return Err(NotLoaded::Shared(others));
            }
        }
        let context = Pkcs11::new(path).map_err(|error| NotLoaded::Load(failed(&error)))?;
        let initialised_by =
            initialise(&context).map_err(|error| NotLoaded::Initialise(failed(&error)))?;
        let info = context.get_library_info().map_err(|error| {
            if initialised_by == Initialiser::Us {
                // Left as it is the next try would take it for somebody else's.
                let _was_not = context.clone().finalize();
            }
            NotLoaded::Initialise(failed(&error))
        })?;
        let description = format!(
            "{} {} {} (PKCS#11 {})",
            info.manufacturer_id().trim(),
            info.library_description().trim(),
            info.library_version(),
            info.cryptoki_version()
        );
        let loaded = Loaded {
            path: path.to_owned(),
            context,
            description,
            initialised_by,
            gate: Gate::new(),
            in_use: Mutex::default(),
        };
        let module = Self { loaded: Arc::new(loaded) };
        module.judge_alone()?;
        Ok(module)
    }

    /// The file that was loaded, symbolic links resolved.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.loaded.path
    }

    /// Manufacturer, description and versions, as the module tells them (KEY-01).
    #[must_use]
    pub fn description(&self) -> &str {
        &self.loaded.description
    }

    pub(crate) fn context(&self) -> &Pkcs11 {
        &self.loaded.context
    }

    /// Every call of the module is made under a pass. `None`: it was being initialised until `until`.
    pub(crate) fn enter(&self, until: Instant) -> Option<Pass> {
        self.loaded.gate.enter(until)
    }

    /// As [`Self::enter`] without waiting, for closing a session.
    pub(crate) fn enter_beside(&self) -> Option<Pass> {
        self.loaded.gate.enter_beside()
    }

    pub(crate) fn generation(&self) -> Generation {
        self.loaded.gate.generation()
    }

    /// Each change is whole, so a panic elsewhere cannot leave it half made.
    fn in_use(&self) -> MutexGuard<'_, InUse> {
        self.loaded.in_use.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token was logged in to.
    pub(crate) fn note_working(&self, token: &TokenName) {
        let mut in_use = self.in_use();
        in_use.remove(token);
        in_use.working.push(token.clone());
    }

    /// The token is lost, or not used any more.
    pub(crate) fn note_idle(&self, token: &TokenName) {
        self.in_use().remove(token);
    }

    /// Initialises the module anew for `token`, which has been lost for so long, unless somebody has
    /// since `seen`. The caller holds no pass. Every session, handle and login ends.
    pub(crate) fn initialise_anew(
        &self,
        token: &TokenName,
        lost_for: Duration,
        seen: Generation,
        until: Instant,
    ) -> Result<(), NotRenewed<Pkcs11Failure>> {
        let loaded = &self.loaded;
        if loaded.initialised_by == Initialiser::Another {
            return Err(NotRenewed::NotOurs);
        }
        let pace = pace(self.in_use().beside(token), lost_for);
        let renewed = loaded.gate.renew(seen, pace, until, || {
            self.in_use().end();
            self.finalise_and_initialise()
        });
        if let Err(NotRenewed::Failed(failure)) = &renewed {
            tracing::warn!(module = %loaded.path.display(), "module did not initialise again: {failure}");
        }
        renewed
    }

    /// That finalising fails says nothing: what was to be torn down may be gone already.
    fn finalise_and_initialise(&self) -> Result<(), Pkcs11Failure> {
        let failed = |error: &Error| Pkcs11Failure::new(&self.loaded.path.display(), error);
        match self.loaded.context.clone().finalize() {
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiNotInitialized, _)) => {}
            Err(error) => tracing::warn!("module did not end well: {}", failed(&error)),
        }
        initialise(&self.loaded.context).map_err(|error| failed(&error))?;
        tracing::debug!(module = %self.loaded.path.display(), "module initialised again");
        Ok(())
    }
}

/// Between two initialisations for a token that has been lost for so long.
fn pace(others: Others, lost_for: Duration) -> Duration {
    let seldom = lost_for / SELDOMER;
    match others {
        Others::None => ALONE,
        Others::Idle => seldom.clamp(ALONE, BESIDE_IDLE_AT_LEAST),
        Others::Working => seldom.clamp(BESIDE_OTHERS, BESIDE_OTHERS_AT_LEAST),
    }
}

impl InUse {
    fn remove(&mut self, token: &TokenName) {
        self.working.retain(|other| other != token);
        self.idle.retain(|other| other != token);
    }

    /// All logins end.
    fn end(&mut self) {
        self.idle.append(&mut self.working);
    }

    fn beside(&self, token: &TokenName) -> Others {
        let has_other = |tokens: &[TokenName]| tokens.iter().any(|other| other != token);
        if has_other(&self.working) {
            Others::Working
        } else if has_other(&self.idle) {
            Others::Idle
        } else {
            Others::None
        }
    }
}

fn places() -> MutexGuard<'static, BTreeMap<PathBuf, Arc<Place>>> {
    LOADED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The other modules that are loaded, or being loaded.
fn loaded_beside(path: &Path) -> Vec<PathBuf> {
    let places = places();
    let others = places.values().filter(|place| place.path != path && place.is_taken());
    others.map(|place| place.path.clone()).collect()
}

impl Place {
    const fn of(path: PathBuf, file: (u64, u64)) -> Self {
        Self { path, file, loading: Mutex::new(Loading::Not), changed: Condvar::new() }
    }

    fn is_taken(&self) -> bool {
        matches!(*self.loading(), Loading::UnderWay | Loading::Done(_))
    }

    fn loading(&self) -> MutexGuard<'_, Loading> {
        self.loading.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The module of this place, loaded now if it is not. Without `within` waits as long as it takes.
    fn module(self: &Arc<Self>, within: Option<Duration>) -> Result<Module, ModuleError> {
        let until = within.map(deadline_in);
        let mut loading = self.loading();
        let mut has_waited = false;
        loop {
            match &*loading {
                Loading::Done(module) => return Ok(module.clone()),
                Loading::Failed(error) if has_waited => return Err(self.told(error.clone())),
                Loading::Not if has_waited => break,
                Loading::Not | Loading::Failed(_) => {
                    self.begin()?;
                    *loading = Loading::UnderWay;
                }
                Loading::UnderWay => {}
            }
            has_waited = true;
            loading = match until {
                None => self.changed.wait(loading).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    let waited = self.changed.wait_timeout(loading, left);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        Err(ModuleError::Deadline { path: self.path.clone(), waited: within.unwrap_or_default() })
    }

    /// Has a thread load the module; it takes its time.
    fn begin(self: &Arc<Self>) -> Result<(), ModuleError> {
        let place = Arc::clone(self);
        let load = move || {
            // A panic has been printed, and nothing is loaded.
            let loaded = catch_unwind(|| Module::initialise(&place.path));
            *place.loading() = match loaded {
                Ok(Ok(module)) => Loading::Done(module),
                Ok(Err(error)) => Loading::Failed(error),
                Err(_) => Loading::Not,
            };
            place.changed.notify_all();
        };
        let begun = thread::Builder::new().name("module-load".to_owned()).spawn(load);
        let failed = |source| ModuleError::Thread { path: self.path.clone(), source };
        begun.map(|_| ()).map_err(failed)
    }

    fn told(&self, error: NotLoaded) -> ModuleError {
        match error {
            NotLoaded::Load(failure) => ModuleError::Load(failure),
            NotLoaded::Initialise(failure) => ModuleError::Initialise(failure),
            NotLoaded::Shared(others) => ModuleError::Shared { path: self.path.clone(), others },
        }
    }
}

/// Who has initialised it; when it is not the first time, somebody else may have been faster.
fn initialise(context: &Pkcs11) -> Result<Initialiser, Error> {
    match context.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
        Ok(()) => Ok(Initialiser::Us),
        Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(Initialiser::Another),
        Err(error) => Err(error),
    }
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Module({})", self.loaded.path.display())
    }
}

/// Why there is no module.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModuleError {
    /// A relative path would be looked for along the loader's search path.
    #[error("PKCS#11 module {path:?} is not an absolute path")]
    NotAbsolute {
        /// What was given.
        path: PathBuf,
    },
    /// No such file, or no access to it.
    #[error("PKCS#11 module {path:?} cannot be read")]
    Unreadable {
        /// What was given.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no PKCS#11 module.
    #[error("PKCS#11 module did not load")]
    Load(#[source] Pkcs11Failure),
    /// Calls through two paths to one state would disturb each other.
    #[error(
        "PKCS#11 module {path:?} is another way to a module that this program has loaded already \
         as one of {others:?}"
    )]
    Shared {
        /// What was to be loaded.
        path: PathBuf,
        /// What is.
        others: Vec<PathBuf>,
    },
    /// The module did not start.
    #[error("PKCS#11 module did not initialise")]
    Initialise(#[source] Pkcs11Failure),
    /// Loading or C_Initialize hangs.
    #[error("PKCS#11 module {path:?} did not load and initialise within {waited:?}")]
    Deadline {
        /// The module.
        path: PathBuf,
        /// How long the caller waited.
        waited: Duration,
    },
    /// The operating system gave no thread.
    #[error("no thread to load the PKCS#11 module {path:?}")]
    Thread {
        /// The module.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl ModuleError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotAbsolute { .. } => "hsm-module-path",
            Self::Unreadable { .. } => "hsm-module-unreadable",
            Self::Load(_) => "hsm-module-load",
            Self::Shared { .. } => "hsm-module-shared",
            Self::Initialise(_) => "hsm-module-initialise",
            Self::Deadline { .. } => "hsm-module-deadline",
            Self::Thread { .. } => "hsm-thread",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::NotAbsolute { .. } => "write the module's absolute path in the configuration",
            Self::Unreadable { .. } => "install the module or correct its path",
            Self::Load(_) => "check that the file is a PKCS#11 module for this machine",
            Self::Shared { .. } => {
                "name one and the same module for all its tokens: not a wrapper or p11-kit-proxy.so \
                 here and the module itself there"
            }
            Self::Initialise(_) => {
                "check the module's own settings in the environment this program was started with \
                 (SoftHSM: SOFTHSM2_CONF)"
            }
            Self::Deadline { .. } => {
                "check the way to its device; if it lasts, the module hangs in its initialisation: \
                 restart the program"
            }
            Self::Thread { .. } => "raise the limit of threads",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// KEY-09: a token that is lost for ever does not disturb the others for ever, and one that has just
    /// been lost is found soon.
    #[test]
    fn looks_for_a_token_the_more_seldom_the_longer_it_is_lost() {
        let seconds = Duration::from_secs;
        for (lost_for, beside_working, beside_idle) in
            [(0, 3, 1), (59, 3, 3), (120, 6, 6), (600, 30, 10), (1200, 60, 10), (86_400, 60, 10)]
        {
            let paces = [Others::Working, Others::Idle, Others::None]
                .map(|others| pace(others, seconds(lost_for)).as_secs_f64().ceil());
            let wanted = [beside_working, beside_idle, 1].map(f64::from);
            assert_eq!(paces, wanted, "lost for {lost_for} s");
        }
    }

    #[test]
    fn an_initialisation_makes_tokens_idle_until_they_are_logged_in_to() {
        let name =
            |label: &str| TokenName { label: label.parse().unwrap(), serial: "1".parse().unwrap() };
        let (lost, other) = (name("sg-td-ab12-lost"), name("sg-td-ab12-other"));
        let mut in_use = InUse::default();
        assert_eq!(in_use.beside(&lost), Others::None);
        in_use.working.push(other.clone());
        assert_eq!((in_use.beside(&lost), in_use.beside(&other)), (Others::Working, Others::None));
        in_use.end();
        assert_eq!(in_use.beside(&lost), Others::Idle);
        in_use.remove(&other);
        assert_eq!(in_use.beside(&lost), Others::None);
    }

    #[test]
    fn refuses_a_relative_path_and_a_missing_file() {
        assert!(matches!(
            Module::load(Path::new("libsofthsm2.so")),
            Err(ModuleError::NotAbsolute { .. })
        ));
        assert!(matches!(
            Module::load(Path::new("/nowhere/module.so")),
            Err(ModuleError::Unreadable { .. })
        ));
    }
}
