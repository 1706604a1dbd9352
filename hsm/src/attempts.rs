//! A wrong PIN is tried once, and never again: across restarts, crashes and programs.
//!
//! Tokens lock after a few wrong PINs, and a service that restarts itself reaches that in seconds.
//! So before every login a marker for the token is written, and it is taken away only after the
//! login has worked. A PIN that was refused leaves the marker behind; it is not tried again until
//! another PIN is given or an operator clears the marker, which allows one try.
//!
//! Many results of a login do not say whether the PIN was right, and a program that is killed in its
//! login has seen none. Devices are known that report a wrong PIN so. Such logins are counted in the
//! marker: after [`InDoubt::MOST`] in a row with one PIN and without a success it is not sent again.
//! Only a result that is certain to come before the PIN is judged is not counted.
//!
//! The marker is bound to the token's serial number and recognises the PIN by one octet of
//! HMAC-SHA-256 under a salt of its own. One octet on purpose: a PIN has so few possible values
//! that any longer check could be searched for it, and the refused PIN may be right for another
//! token. Another PIN is thus mistaken for the refused one in 1 of 256 cases; the error says so.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use thiserror::Error;
use x509::time::UnixTime;

use crate::classes::{FailureClass, PinJudged};
use crate::failure::Pkcs11Failure;
use crate::marker::{InDoubt, Marker, Tag};
use crate::open::LoginError;
use crate::pin::Pin;
use crate::quirks::WrongPins;
use crate::remedy::PinRemedy;
use crate::token::{PinState, TokenName};

/// After two logins in a row that came to nothing, before the next: a token that is out of order for
/// a moment is to be well again when the last one is made.
const PAUSE: Duration = Duration::from_secs(60);
/// Between two looks whether another program has ended its login.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// How long clearing a marker waits for a login under way.
const CLEAR_WITHIN: Duration = Duration::from_secs(10);

/// The folder that remembers which PINs were refused.
#[derive(Clone, Debug)]
pub struct PinMarkers {
    folder: PathBuf,
}

/// The right to log in to a token, over all programs that share the folder. What the token tells of
/// its PIN is read while one has it, else another program may have tried in between.
pub(crate) struct LoginTurn<'a> {
    markers: &'a PinMarkers,
    token: &'a TokenName,
    lock: LoginLock,
    number: u64,
}

/// What keeps other programs from logging in. It outlives a turn that is taken over from a login that hangs.
#[derive(Clone, Debug)]
pub(crate) struct LoginLock(Arc<HeldLock>);

#[derive(Debug)]
struct HeldLock {
    _file: File,
    /// The turn that was granted last.
    latest: AtomicU64,
}

impl PinMarkers {
    /// Takes the folder in which programs keep their state; nobody else may write there.
    ///
    /// # Errors
    ///
    /// [`AttemptError`] when it is no folder or others may write to it.
    pub fn in_folder(folder: &Path) -> Result<Self, AttemptError> {
        let refused = |source| AttemptError::Io { path: folder.to_owned(), source };
        let found = fs::metadata(folder).map_err(refused)?;
        if !found.is_dir() {
            return Err(refused(io::ErrorKind::NotADirectory.into()));
        }
        let mode = found.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return Err(AttemptError::Mode { path: folder.to_owned(), found: mode });
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Allows one more try of whatever PIN is configured. For the operator's own command only.
    ///
    /// # Errors
    ///
    /// [`AttemptError`] when the marker cannot be written.
    pub fn clear(&self, token: &TokenName) -> Result<(), AttemptError> {
        let until = Instant::now().checked_add(CLEAR_WITHIN).unwrap_or_else(Instant::now);
        let _lock = self.lock(token, until)?;
        self.write(token, &Marker::Cleared)
    }

    /// Where the marker of `token` lies.
    #[must_use]
    pub fn path(&self, token: &TokenName) -> PathBuf {
        self.file(token, "marker")
    }

    /// Waits until no other program logs in to `token`, no longer than `until`.
    pub(crate) fn turn<'a>(
        &'a self,
        token: &'a TokenName,
        until: Instant,
    ) -> Result<LoginTurn<'a>, AttemptError> {
        let file = self.lock(token, until)?;
        let lock = LoginLock(Arc::new(HeldLock { _file: file, latest: AtomicU64::new(0) }));
        Ok(LoginTurn { markers: self, token, lock, number: 0 })
    }

    /// Takes the turn from a login of this program that hangs. Other programs stay locked out; the
    /// login that hangs stays counted.
    pub(crate) fn take_over<'a>(&'a self, token: &'a TokenName, lock: LoginLock) -> LoginTurn<'a> {
        let number = lock.0.latest.fetch_add(1, Ordering::AcqRel).saturating_add(1);
        LoginTurn { markers: self, token, lock, number }
    }

    fn remedy(&self, token: &TokenName, pin: &Pin) -> Box<PinRemedy> {
        Box::new(PinRemedy {
            pin: pin.file().map(Path::to_owned),
            marker: self.path(token),
            line: Marker::Cleared.to_text(token).trim_end().to_owned(),
        })
    }

    fn refused_before(&self, token: &TokenName, pin: &Pin) -> LoginError {
        let since = self.written(token).map_or_else(unknown_time, rfc3339);
        LoginError::RefusedBefore { since, remedy: self.remedy(token, pin) }
    }

    /// When the marker was written; `None` if nobody knows.
    fn written(&self, token: &TokenName) -> Option<SystemTime> {
        fs::metadata(self.path(token)).and_then(|found| found.modified()).ok()
    }

    /// One login at a time for each token, over all programs that share the folder.
    fn lock(&self, token: &TokenName, until: Instant) -> Result<File, AttemptError> {
        let path = self.file(token, "lock");
        let io = |source| AttemptError::Io { path: path.clone(), source };
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    thread::sleep(LOOK_AGAIN)
                }
                Err(TryLockError::WouldBlock) => return Err(AttemptError::Busy { path }),
                Err(TryLockError::Error(source)) => return Err(io(source)),
            }
        }
    }

    fn read(&self, token: &TokenName, pin: &Pin) -> Result<Option<Marker>, AttemptError> {
        let path = self.path(token);
        match fs::read_to_string(&path) {
            Ok(text) => Marker::parse(&text, token)
                .map(Some)
                .ok_or_else(|| AttemptError::Form { remedy: self.remedy(token, pin) }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(AttemptError::Io { path, source }),
        }
    }

    /// Durable before it returns, since a crash of the machine must not forget it.
    fn write(&self, token: &TokenName, marker: &Marker) -> Result<(), AttemptError> {
        let path = self.path(token);
        let new = self.file(token, "new");
        let write = || {
            let mut file =
                File::options().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
            file.write_all(marker.to_text(token).as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &path)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|source| AttemptError::Io { path: path.clone(), source })
    }

    fn remove(&self, token: &TokenName) -> Result<(), AttemptError> {
        let path = self.path(token);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(AttemptError::Io { path, source: error })
            }
            _ => Ok(()),
        }
    }

    /// Labels are safe in file names; a serial's other characters are written as their code.
    fn file(&self, token: &TokenName, ending: &str) -> PathBuf {
        let serial = token.serial.as_str().bytes().fold(String::new(), |mut name, octet| {
            if octet.is_ascii_alphanumeric() {
                name.push(char::from(octet));
            } else {
                name.push_str(&format!("%{octet:02x}"));
            }
            name
        });
        self.folder.join(format!("pin-{}-{serial}.{ending}", token.label))
    }
}

impl LoginTurn<'_> {
    pub(crate) fn lock(&self) -> LoginLock {
        self.lock.clone()
    }

    fn was_taken_over(&self) -> bool {
        self.lock.0.latest.load(Ordering::Acquire) != self.number
    }

    /// Runs `attempt`, which tries the PIN once, if what is known about the token allows it. The token
    /// told `state` during this turn.
    pub(crate) fn attempt(
        &self,
        pin: &Pin,
        state: PinState,
        wrong_pins: WrongPins,
        attempt: impl FnOnce() -> Result<(), Pkcs11Failure>,
    ) -> Result<(), LoginError> {
        let (markers, token) = (self.markers, self.token);
        if self.was_taken_over() {
            // It hung before it sent the PIN, and another login of this program has the turn.
            return Err(AttemptError::Busy { path: markers.file(token, "lock") }.into());
        }
        let before = markers.read(token, pin)?;
        self.permit(pin, state, wrong_pins, before.as_ref())?;
        let tag = Tag::fresh(token, pin).map_err(|()| AttemptError::Random)?;
        let logins = match &before {
            Some(Marker::Trying(tag, logins)) if tag.is_of(token, pin) => logins.next(),
            // Clearing allows one try, whatever comes of it.
            Some(Marker::Cleared) => InDoubt::MOST,
            _ => InDoubt::ONE,
        };
        markers.write(token, &Marker::Trying(tag.clone(), logins))?;
        match attempt() {
            // The marker is another login's by now, and that one tells what becomes of it.
            Ok(()) if self.was_taken_over() => Ok(()),
            Ok(()) => Ok(markers.remove(token)?),
            Err(failure) => match failure.class() {
                FailureClass::PinRefused | FailureClass::PinLocked | FailureClass::CallHuman => {
                    markers.write(token, &Marker::Refused(tag))?;
                    let remedy = markers.remedy(token, pin);
                    Err(LoginError::Refused { remedy, source: failure })
                }
                _ if failure.pin_was_judged() == PinJudged::No && !self.was_taken_over() => {
                    match before {
                        Some(marker) => markers.write(token, &marker)?,
                        None => markers.remove(token)?,
                    }
                    Err(LoginError::Device(failure))
                }
                // The marker stays, so that this login is counted.
                _ => Err(LoginError::Device(failure)),
            },
        }
    }

    fn permit(
        &self,
        pin: &Pin,
        state: PinState,
        wrong_pins: WrongPins,
        before: Option<&Marker>,
    ) -> Result<(), LoginError> {
        let (markers, token) = (self.markers, self.token);
        match state {
            PinState::Locked => return Err(LoginError::Locked),
            PinState::NotSet => return Err(LoginError::NotSet),
            PinState::MustChange => return Err(LoginError::MustChange),
            PinState::Ready | PinState::TriedWrong | PinState::FinalTry => {}
        }
        match (before, state) {
            (Some(Marker::Cleared), _) => Ok(()),
            (Some(Marker::Refused(tag)), _) if tag.is_of(token, pin) => {
                Err(markers.refused_before(token, pin))
            }
            // Nobody saw how the try ended; the token tells that the PIN was wrong.
            (Some(Marker::Trying(tag, _)), PinState::TriedWrong) if tag.is_of(token, pin) => {
                Err(markers.refused_before(token, pin))
            }
            (_, PinState::FinalTry) => {
                Err(LoginError::FinalTry { remedy: markers.remedy(token, pin) })
            }
            (None, PinState::TriedWrong) => {
                Err(LoginError::TriedWrong { remedy: markers.remedy(token, pin) })
            }
            // It tells of no wrong PIN. Of most tokens that says nothing: they need not tell.
            (Some(Marker::Trying(tag, logins)), _) if tag.is_of(token, pin) => {
                self.permit_again(pin, wrong_pins, *logins)
            }
            (_, _) => Ok(()),
        }
    }

    /// After `logins` in a row that came to nothing.
    fn permit_again(
        &self,
        pin: &Pin,
        wrong_pins: WrongPins,
        logins: InDoubt,
    ) -> Result<(), LoginError> {
        let (markers, token) = (self.markers, self.token);
        if logins >= InDoubt::MOST && wrong_pins != WrongPins::Told {
            let since = markers.written(token).map_or_else(unknown_time, rfc3339);
            return Err(LoginError::InDoubt { since, remedy: markers.remedy(token, pin) });
        }
        let passed = markers.written(token).and_then(|written| written.elapsed().ok());
        match passed.and_then(|passed| PAUSE.checked_sub(passed)) {
            Some(left) if logins > InDoubt::ONE => Err(LoginError::Paused { left }),
            _ => Ok(()),
        }
    }
}

fn unknown_time() -> String {
    "an unknown time".to_owned()
}

fn rfc3339(moment: SystemTime) -> String {
    let since = moment.duration_since(UNIX_EPOCH).ok();
    since
        .and_then(|since| UnixTime::from_secs(since.as_secs()).ok())
        .map_or_else(unknown_time, |time| time.to_string())
}

/// Why refused PINs cannot be remembered. No PIN is tried then.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AttemptError {
    /// Others may write to the folder and so remove a marker.
    #[error("state folder {path:?} has mode {found:04o}; nobody but its owner may write to it")]
    Mode {
        /// The folder.
        path: PathBuf,
        /// Its mode.
        found: u32,
    },
    /// The marker is not one of ours.
    #[error("marker of refused PINs is not one of this token, so no PIN is tried: {remedy}")]
    Form {
        /// The way out.
        remedy: Box<PinRemedy>,
    },
    /// It cannot be read or written.
    #[error("{path:?} cannot be read or written")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another program, or another login of this one, logs in to this token or hangs in its login.
    #[error("another login to this token is under way: {path:?} was not free in time")]
    Busy {
        /// What it holds.
        path: PathBuf,
    },
    /// The operating system gave no random octets.
    #[error("operating system gave no random octets")]
    Random,
}

impl AttemptError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "hsm-login-busy",
            Self::Mode { .. } | Self::Form { .. } | Self::Io { .. } | Self::Random => {
                "hsm-pin-marker"
            }
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Mode { .. } => "chmod the state folder to 0700",
            Self::Form { .. } => "find out who wrote it, then write the line that is named into it",
            Self::Io { .. } => "check the state folder's permissions and space",
            Self::Busy { .. } => {
                "nothing, unless it lasts: then find the program that holds it (fuser) and why its \
                 login hangs"
            }
            Self::Random => "check the machine; nothing works without random numbers",
        }
    }
}

#[cfg(test)]
mod tests;
