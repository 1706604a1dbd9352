//! The PKCS#11 module: loaded once a process, and initialised anew where only that finds a token again.
//!
//! Two contexts of one module in one process disturb each other: the second initialisation fails or
//! crashes, and finalising one ends every session of the other. So this file holds the only
//! registry; [`Module::load`] hands out the context that is there.
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
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use thiserror::Error;

use crate::failure::Pkcs11Failure;
use crate::gate::{Gate, Generation, NotRenewed, Pass};
use crate::token::TokenName;

/// Between two initialisations while no token of the module works.
const ALONE: Duration = Duration::from_secs(1);
/// Between two while other tokens of the module work: each costs them a login.
const BESIDE_OTHERS: Duration = Duration::from_secs(3);

static LOADED: Mutex<BTreeMap<PathBuf, Module>> = Mutex::new(BTreeMap::new());

/// A loaded and initialised PKCS#11 module. Clones share one context.
#[derive(Clone)]
pub struct Module {
    loaded: Arc<Loaded>,
}

struct Loaded {
    path: PathBuf,
    context: Pkcs11,
    description: String,
    /// Device and inode of the file.
    file: (u64, u64),
    initialised_by: Initialiser,
    gate: Arc<Gate>,
    /// Tokens that were logged in to since the last initialisation and are not lost.
    working: Mutex<Vec<TokenName>>,
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
        let canonical = Self::locate(path)?;
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(module) = loaded.get(&canonical) {
            return Ok(module.clone());
        }
        let unreadable = |source| ModuleError::Unreadable { path: path.to_owned(), source };
        let file = fs::metadata(&canonical).map_err(unreadable)?;
        let file = (file.dev(), file.ino());
        let same = loaded.values().find(|module| module.loaded.file == file).cloned();
        let module = match same {
            Some(module) => module,
            None => {
                let others: Vec<PathBuf> = loaded.keys().cloned().collect();
                if is_proxy(&canonical) && !others.is_empty() {
                    return Err(ModuleError::Shared { path: canonical, others });
                }
                let module = Self::initialise(&canonical, file)?;
                module.judge_alone(others)?;
                module
            }
        };
        loaded.insert(canonical, module.clone());
        Ok(module)
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

    /// Refuses a module whose state is, or may be, that of one of the `others`.
    fn judge_alone(&self, others: Vec<PathBuf>) -> Result<(), ModuleError> {
        let Loaded { path, initialised_by, .. } = &*self.loaded;
        if *initialised_by == Initialiser::Another {
            if !others.is_empty() {
                return Err(ModuleError::Shared { path: path.clone(), others });
            }
            tracing::warn!(module = %path.display(), "module was initialised by another part of \
                this process: it is used and never initialised again, so a token that only \
                that would find stays lost until the program is restarted");
        }
        Ok(())
    }

    fn initialise(path: &Path, file: (u64, u64)) -> Result<Self, ModuleError> {
        let failed = |error: &Error| Pkcs11Failure::new(&path.display(), error);
        let context = Pkcs11::new(path).map_err(|error| ModuleError::Load(failed(&error)))?;
        let initialised_by =
            initialise(&context).map_err(|error| ModuleError::Initialise(failed(&error)))?;
        let info =
            context.get_library_info().map_err(|error| ModuleError::Initialise(failed(&error)))?;
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
            file,
            initialised_by,
            gate: Gate::new(),
            working: Mutex::default(),
        };
        Ok(Self { loaded: Arc::new(loaded) })
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
    fn working(&self) -> MutexGuard<'_, Vec<TokenName>> {
        self.loaded.working.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token was logged in to.
    pub(crate) fn note_working(&self, token: &TokenName) {
        let mut working = self.working();
        if !working.contains(token) {
            working.push(token.clone());
        }
    }

    /// The token is lost, or not used any more.
    pub(crate) fn note_idle(&self, token: &TokenName) {
        self.working().retain(|other| other != token);
    }

    /// Initialises the module anew for `token`, unless somebody has since `seen`. The caller holds no
    /// pass. Every session, handle and login ends.
    pub(crate) fn initialise_anew(
        &self,
        token: &TokenName,
        seen: Generation,
        until: Instant,
    ) -> Result<(), NotRenewed<Pkcs11Failure>> {
        let loaded = &self.loaded;
        if loaded.initialised_by == Initialiser::Another {
            return Err(NotRenewed::NotOurs);
        }
        let others_work = self.working().iter().any(|other| other != token);
        let pace = if others_work { BESIDE_OTHERS } else { ALONE };
        let renewed = loaded.gate.renew(seen, pace, until, || {
            self.working().clear();
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
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
