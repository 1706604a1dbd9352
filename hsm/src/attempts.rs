//! A wrong PIN is tried once, and never again: across restarts, crashes and programs.
//!
//! Tokens lock after a few wrong PINs, and a service that restarts itself reaches that in seconds.
//! So before every login a marker for the token is written, and it is taken away only after the
//! login has worked. A PIN that was refused leaves the marker behind; it is not tried again until
//! another PIN is given or an operator clears the marker, which allows one try.
//!
//! The marker is bound to the token's serial number and recognises the PIN by one octet of
//! HMAC-SHA-256 under a salt of its own. One octet on purpose: a PIN has so few possible values
//! that any longer check could be searched for it, and the refused PIN may be right for another
//! token. Another PIN is thus mistaken for the refused one in 1 of 256 cases; the error says so.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use aws_lc_rs::{hmac, rand};
use secrecy::ExposeSecret as _;
use thiserror::Error;
use x509::time::UnixTime;

use crate::classes::FailureClass;
use crate::failure::Pkcs11Failure;
use crate::open::LoginError;
use crate::pin::Pin;
use crate::remedy::PinRemedy;
use crate::token::{PinState, TokenName};

/// The folder that remembers which PINs were refused.
#[derive(Clone, Debug)]
pub struct PinMarkers {
    folder: PathBuf,
}

/// What the last login of a token came to.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Marker {
    /// It began and nobody saw its end.
    Trying(Tag),
    /// The PIN was refused.
    Refused(Tag),
    /// An operator allows one try.
    Cleared,
}

/// Recognises a PIN without telling it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    salt: [u8; 16],
    octet: u8,
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
        let _lock = self.lock(token)?;
        self.write(token, &Marker::Cleared)
    }

    /// Where the marker of `token` lies.
    #[must_use]
    pub fn path(&self, token: &TokenName) -> PathBuf {
        self.file(token, "marker")
    }

    /// Runs `attempt`, which tries the PIN once, if what is known about the token allows it.
    pub(crate) fn attempt(
        &self,
        token: &TokenName,
        pin: &Pin,
        state: PinState,
        attempt: impl FnOnce() -> Result<(), Pkcs11Failure>,
    ) -> Result<(), LoginError> {
        let _lock = self.lock(token)?;
        let before = self.read(token, pin)?;
        self.permit(token, pin, state, before.as_ref())?;
        let tag = Tag::fresh(token, pin).map_err(|()| AttemptError::Random)?;
        self.write(token, &Marker::Trying(tag.clone()))?;
        match attempt() {
            Ok(()) => Ok(self.remove(token)?),
            Err(failure) => match failure.class() {
                FailureClass::PinRefused | FailureClass::PinLocked | FailureClass::CallHuman => {
                    self.write(token, &Marker::Refused(tag))?;
                    Err(LoginError::Refused { remedy: self.remedy(token, pin), source: failure })
                }
                _ => {
                    match before {
                        Some(marker) => self.write(token, &marker)?,
                        None => self.remove(token)?,
                    }
                    Err(LoginError::Device(failure))
                }
            },
        }
    }

    fn permit(
        &self,
        token: &TokenName,
        pin: &Pin,
        state: PinState,
        before: Option<&Marker>,
    ) -> Result<(), LoginError> {
        match state {
            PinState::Locked => return Err(LoginError::Locked),
            PinState::NotSet => return Err(LoginError::NotSet),
            PinState::MustChange => return Err(LoginError::MustChange),
            PinState::Ready | PinState::TriedWrong | PinState::FinalTry => {}
        }
        match (before, state) {
            (Some(Marker::Cleared), _) => Ok(()),
            (Some(Marker::Refused(tag)), _) if tag.is_of(token, pin) => {
                Err(self.refused_before(token, pin))
            }
            // The program died while it tried; the token tells whether the PIN was wrong.
            (Some(Marker::Trying(tag)), PinState::TriedWrong) if tag.is_of(token, pin) => {
                Err(self.refused_before(token, pin))
            }
            (_, PinState::FinalTry) => {
                Err(LoginError::FinalTry { remedy: self.remedy(token, pin) })
            }
            (None, PinState::TriedWrong) => {
                Err(LoginError::TriedWrong { remedy: self.remedy(token, pin) })
            }
            (_, _) => Ok(()),
        }
    }

    fn remedy(&self, token: &TokenName, pin: &Pin) -> Box<PinRemedy> {
        Box::new(PinRemedy {
            pin: pin.file().map(Path::to_owned),
            marker: self.path(token),
            line: Marker::Cleared.to_text(token).trim_end().to_owned(),
        })
    }

    fn refused_before(&self, token: &TokenName, pin: &Pin) -> LoginError {
        let since = fs::metadata(self.path(token))
            .and_then(|found| found.modified())
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| UnixTime::from_secs(since.as_secs()).ok())
            .map_or_else(|| "an unknown time".to_owned(), |time| time.to_string());
        LoginError::RefusedBefore { since, remedy: self.remedy(token, pin) }
    }

    /// One login at a time for each token, over all programs that share the folder.
    fn lock(&self, token: &TokenName) -> Result<File, AttemptError> {
        let path = self.file(token, "lock");
        let open = || {
            let file =
                File::options().create(true).truncate(false).write(true).mode(0o600).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        open().map_err(|source| AttemptError::Io { path: path.clone(), source })
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

impl Tag {
    fn fresh(token: &TokenName, pin: &Pin) -> Result<Self, ()> {
        let mut salt = [0; 16];
        rand::fill(&mut salt).map_err(|_| ())?;
        Ok(Self { salt, octet: Self::octet(&salt, token, pin) })
    }

    fn is_of(&self, token: &TokenName, pin: &Pin) -> bool {
        Self::octet(&self.salt, token, pin) == self.octet
    }

    fn octet(salt: &[u8; 16], token: &TokenName, pin: &Pin) -> u8 {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, salt));
        context.update(token.serial.as_str().as_bytes());
        context.update(&[0]);
        context.update(pin.secret().expose_secret().as_bytes());
        context.sign().as_ref().first().copied().unwrap_or_default()
    }
}

/// `sigill-pin/1 <state> <serial>[ <salt> <octet>]`, one line.
impl Marker {
    fn to_text(&self, token: &TokenName) -> String {
        let (word, tag) = match self {
            Self::Trying(tag) => ("trying", Some(tag)),
            Self::Refused(tag) => ("refused", Some(tag)),
            Self::Cleared => ("cleared", None),
        };
        let tag = tag.map_or_else(String::new, |tag| {
            format!(" {:032x} {:02x}", u128::from_be_bytes(tag.salt), tag.octet)
        });
        format!("sigill-pin/1 {word} {}{tag}\n", token.serial)
    }

    fn parse(text: &str, token: &TokenName) -> Option<Self> {
        let parts: Vec<&str> = text.strip_suffix('\n').unwrap_or(text).split(' ').collect();
        let ["sigill-pin/1", word, serial, tag @ ..] = parts.as_slice() else { return None };
        if *serial != token.serial.as_str() {
            return None;
        }
        let tag = match tag {
            [] => None,
            [salt, octet] => Some(Tag {
                salt: u128::from_str_radix(salt, 16).ok()?.to_be_bytes(),
                octet: u8::from_str_radix(octet, 16).ok()?,
            }),
            _ => return None,
        };
        match (*word, tag) {
            ("trying", Some(tag)) => Some(Self::Trying(tag)),
            ("refused", Some(tag)) => Some(Self::Refused(tag)),
            ("cleared", None) => Some(Self::Cleared),
            _ => None,
        }
    }
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
    /// The operating system gave no random octets.
    #[error("operating system gave no random octets")]
    Random,
}

impl AttemptError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "hsm-pin-marker"
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Mode { .. } => "chmod the state folder to 0700",
            Self::Form { .. } => "find out who wrote it, then write the line that is named into it",
            Self::Io { .. } => "check the state folder's permissions and space",
            Self::Random => "check the machine; nothing works without random numbers",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use cryptoki::context::Function;
    use cryptoki::error::{Error, RvError};
    use zeroize::Zeroizing;

    use super::*;

    struct Fixture {
        folder: tempfile::TempDir,
        markers: PinMarkers,
        token: TokenName,
    }

    impl Fixture {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
            let token = TokenName {
                label: "sg-td-ab12-issuing".parse().unwrap(),
                serial: "0123/4567".parse().unwrap(),
            };
            let markers = PinMarkers::in_folder(folder.path()).unwrap();
            Self { folder, markers, token }
        }

        fn pin_in_a_file(&self) -> Pin {
            let path = self.folder.path().join("issuing.pin");
            if !path.exists() {
                pin("pin-in-a-file").create_file(&path).unwrap();
            }
            Pin::from_file(&path).unwrap()
        }

        fn attempt(&self, pin: &Pin, state: PinState, result: RvError) -> LoginError {
            self.markers.attempt(&self.token, pin, state, || Err(failure(result))).unwrap_err()
        }

        fn succeeds(&self, pin: &Pin, state: PinState) -> Result<(), LoginError> {
            self.markers.attempt(&self.token, pin, state, || Ok(()))
        }
    }

    fn failure(result: RvError) -> Pkcs11Failure {
        Pkcs11Failure::new(&"token", &Error::Pkcs11(result, Function::Login))
    }

    fn with_causes(error: &dyn std::error::Error) -> String {
        let causes = std::iter::successors(error.source(), |error| error.source());
        causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
    }

    fn pin(text: &str) -> Pin {
        Pin::from_drawn(&Zeroizing::new(text.to_owned())).unwrap()
    }

    /// A PIN that the marker's one octet tells from `than`.
    fn other_pin(fixture: &Fixture, than: &Pin) -> Pin {
        let marker = fixture.markers.read(&fixture.token, than).unwrap().unwrap();
        let (Marker::Refused(tag) | Marker::Trying(tag)) = marker else { panic!("{marker:?}") };
        assert!(tag.is_of(&fixture.token, than));
        let other = (0..).map(|number| pin(&format!("other-{number}")));
        other.into_iter().find(|pin| !tag.is_of(&fixture.token, pin)).unwrap()
    }

    #[test]
    fn a_refused_pin_is_not_tried_again_and_another_one_is() {
        let fixture = Fixture::new();
        let wrong = pin("wrong-pin");

        let refused = fixture.attempt(&wrong, PinState::Ready, RvError::PinIncorrect);
        assert!(matches!(refused, LoginError::Refused { .. }));
        for state in [PinState::Ready, PinState::TriedWrong, PinState::FinalTry] {
            let again = fixture.succeeds(&wrong, state);
            assert!(matches!(again, Err(LoginError::RefusedBefore { .. })), "{state:?}");
        }
        let other = other_pin(&fixture, &wrong);
        fixture.succeeds(&other, PinState::TriedWrong).unwrap();

        assert!(!fixture.markers.path(&fixture.token).exists());
    }

    /// The program dies between the try and its result: what the token says decides.
    #[test]
    fn a_try_whose_end_nobody_saw_is_judged_by_what_the_token_says() {
        let died = |pin: &Pin| {
            let fixture = Fixture::new();
            let tag = Tag::fresh(&fixture.token, pin).unwrap();
            fixture.markers.write(&fixture.token, &Marker::Trying(tag)).unwrap();
            fixture
        };
        let tried = pin("tried-pin");

        died(&tried).succeeds(&tried, PinState::Ready).unwrap();
        let again = died(&tried).succeeds(&tried, PinState::TriedWrong);
        assert!(matches!(again, Err(LoginError::RefusedBefore { .. })));
        let fixture = died(&tried);
        let other = other_pin(&fixture, &tried);
        fixture.succeeds(&other, PinState::TriedWrong).unwrap();
    }

    #[test]
    fn never_takes_the_last_try_unless_an_operator_allows_it() {
        let fixture = Fixture::new();
        let right = pin("right-pin");

        let last = fixture.succeeds(&right, PinState::FinalTry);
        assert!(matches!(last, Err(LoginError::FinalTry { .. })));
        fixture.markers.clear(&fixture.token).unwrap();
        fixture.succeeds(&right, PinState::FinalTry).unwrap();
    }

    /// Promise 9: whatever keeps a PIN from being tried names the PIN file, the marker and the line
    /// that allows a try; and that line does so.
    #[test]
    fn each_refusal_names_the_way_out_and_the_way_out_works() {
        type Before<'a> = &'a dyn Fn(&Fixture);
        let spoil = |fixture: &Fixture| {
            fs::write(fixture.markers.path(&fixture.token), "sigill-pin/1 claered x\n").unwrap();
        };
        let refuse = |fixture: &Fixture| {
            let wrong = fixture.pin_in_a_file();
            fixture.attempt(&wrong, PinState::Ready, RvError::PinIncorrect);
        };
        let nothing = |_: &Fixture| {};
        let cases: [(&str, Before<'_>, PinState); 4] = [
            ("is not one of this token", &spoil, PinState::Ready),
            ("was refused at", &refuse, PinState::TriedWrong),
            ("a wrong PIN since the last login", &nothing, PinState::TriedWrong),
            ("one more wrong PIN will lock it", &nothing, PinState::FinalTry),
        ];
        for (text, before, state) in cases {
            let fixture = Fixture::new();
            before(&fixture);
            let pin = fixture.pin_in_a_file();
            let refused = fixture.succeeds(&pin, state).unwrap_err();
            let said = with_causes(&refused);

            assert!(said.contains(text), "{said}");
            let line = "sigill-pin/1 cleared 0123/4567";
            assert!(said.contains(&format!("write \"{line}\" into")), "{said}");
            assert!(
                said.contains(fixture.markers.path(&fixture.token).to_str().unwrap()),
                "{said}"
            );
            assert!(said.contains("issuing.pin"), "{said}");
            // As an editor leaves it, and as `printf` does.
            for ending in ["\n", ""] {
                fs::write(fixture.markers.path(&fixture.token), format!("{line}{ending}")).unwrap();
                fixture.succeeds(&pin, state).unwrap();
            }
        }
    }

    #[test]
    fn nothing_is_tried_on_a_locked_or_unready_token() {
        let fixture = Fixture::new();
        fixture.markers.clear(&fixture.token).unwrap();
        for state in [PinState::Locked, PinState::NotSet, PinState::MustChange] {
            let attempt = || -> Result<(), Pkcs11Failure> { panic!("tried on {state:?}") };
            let refused =
                fixture.markers.attempt(&fixture.token, &pin("1234"), state, attempt).unwrap_err();
            assert!(!refused.next_step().is_empty());
        }
    }

    /// A broken connection says nothing about the PIN.
    #[test]
    fn a_failure_that_is_not_the_pins_leaves_things_as_they_were() {
        let fixture = Fixture::new();
        let right = pin("right-pin");

        let failed = fixture.attempt(&right, PinState::Ready, RvError::DeviceError);
        assert!(matches!(failed, LoginError::Device(_)));
        assert!(!fixture.markers.path(&fixture.token).exists());
        fixture.markers.clear(&fixture.token).unwrap();
        fixture.attempt(&right, PinState::TriedWrong, RvError::DeviceError);

        fixture.succeeds(&right, PinState::TriedWrong).unwrap();
    }

    /// KEY-02: nothing in the marker tells more than one octet about the PIN.
    #[test]
    fn the_marker_tells_one_octet_and_no_more() {
        let fixture = Fixture::new();
        fixture.attempt(&pin("wrong-pin"), PinState::Ready, RvError::PinIncorrect);

        let text = fs::read_to_string(fixture.markers.path(&fixture.token)).unwrap();

        let parts: Vec<&str> = text.trim_end().split(' ').collect();
        let ["sigill-pin/1", "refused", "0123/4567", salt, octet] = parts[..] else {
            panic!("{text}")
        };
        assert_eq!((salt.len(), octet.len()), (32, 2));
        let mode = fs::metadata(fixture.markers.path(&fixture.token)).unwrap().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
