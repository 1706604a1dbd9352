//! Throwaway SoftHSM tokens, and tests that run in a process of their own.
//!
//! SoftHSM reads the environment variable `SOFTHSM2_CONF` when it is initialised, once a process.
//! So a test that needs tokens runs its own binary again with the variable set, asking for that one
//! test, and waits for it; tests stay independent of each other however many run at a time.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::laboratory::Laboratory;

/// Where Debian puts the module.
pub const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
/// The PIN of the user of tokens that tests make.
pub const USER_PIN: &str = "user-pin-of-32-characters-000001";
/// The PIN of their security officer.
pub const SO_PIN: &str = "officer-pin-of-32-characters-002";
/// Where Debian puts OpenSC's wrapper, which logs every call.
pub const SPY: &str = "/usr/lib/x86_64-linux-gnu/pkcs11-spy.so";

/// Where SoftHSM finds its settings.
const VARIABLE: &str = "SOFTHSM2_CONF";
/// Where [`SoftHsm::second_module`] does.
const SECOND_VARIABLE: &str = "SOFTHSM2_CONB";

const CHILD: &str = "SIGILL_TEST_CHILD";
const FOLDER: &str = "SIGILL_TEST_SOFTHSM";

/// A folder with a SoftHSM configuration and the tokens made under it.
pub struct SoftHsm {
    folder: PathBuf,
    owned: Option<tempfile::TempDir>,
}

/// On which side of the second process a test is.
pub enum Side {
    /// It is to start children with [`SoftHsm::child`].
    Parent(SoftHsm),
    /// It is a child, told to do `phase`.
    Child {
        /// The parent's tokens.
        softhsm: SoftHsm,
        /// What to do.
        phase: String,
    },
}

impl SoftHsm {
    /// Makes an empty folder of tokens, in memory where the machine has `/dev/shm`.
    ///
    /// Where SoftHSM is not installed this prints a `skipped:` line, which `./check` counts.
    ///
    /// # Panics
    ///
    /// If it is not installed and `SIGILL_REQUIRE_TOOLS` is set, or the folder cannot be made.
    #[must_use]
    pub fn new() -> Option<Self> {
        if !Path::new(MODULE).is_file() {
            assert!(
                env::var_os("SIGILL_REQUIRE_TOOLS").is_none(),
                "{MODULE} is missing and SIGILL_REQUIRE_TOOLS is set"
            );
            println!("skipped: SoftHSM is not installed ({MODULE})");
            return None;
        }
        let memory = Path::new("/dev/shm");
        let owned =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }
                .expect("a temporary folder");
        let softhsm = Self { folder: owned.path().to_owned(), owned: Some(owned) };
        for folder in [softhsm.tokens(), softhsm.state(), softhsm.pins(), softhsm.laboratory()] {
            fs::create_dir(&folder).expect("a folder");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o700)).expect("its mode");
        }
        let conf = format!(
            "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n\
             slots.removable = false\n",
            softhsm.tokens().display()
        );
        fs::write(softhsm.conf(), conf).expect("a configuration");
        Some(softhsm)
    }

    /// The configuration, for `SOFTHSM2_CONF`.
    #[must_use]
    pub fn conf(&self) -> PathBuf {
        self.folder.join("softhsm2.conf")
    }

    /// The folder of the tokens' files.
    #[must_use]
    pub fn tokens(&self) -> PathBuf {
        self.folder.join("tokens")
    }

    /// A folder of mode 0700 for a program's state.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// A folder of mode 0700 for PIN files.
    #[must_use]
    pub fn pins(&self) -> PathBuf {
        self.folder.join("pins")
    }

    /// The folder of the [`Laboratory`]'s script and counters.
    #[must_use]
    pub fn laboratory(&self) -> PathBuf {
        self.folder.join("laboratory")
    }

    /// A second module in the same process: SoftHSM's own file, with tokens of its own in
    /// [`Self::second_tokens`]. It reads the name of its settings from another variable, which has the
    /// same length, and [`Self::environment`] sets both.
    ///
    /// # Panics
    ///
    /// If the file is not as expected or cannot be written.
    #[must_use]
    pub fn second_module(&self) -> PathBuf {
        let mut octets = fs::read(MODULE).expect("SoftHSM");
        let places: Vec<usize> = octets
            .windows(VARIABLE.len())
            .enumerate()
            .filter_map(|(place, window)| (window == VARIABLE.as_bytes()).then_some(place))
            .collect();
        let [place] = places[..] else { panic!("{VARIABLE} stands in {MODULE} at {places:?}") };
        octets[place..place + VARIABLE.len()].copy_from_slice(SECOND_VARIABLE.as_bytes());
        let path = self.folder.join("second-module.so");
        fs::write(&path, octets).expect("a module");
        let conf = fs::read_to_string(self.conf()).expect("a configuration");
        let (first, second) = (self.tokens(), self.second_tokens());
        fs::create_dir(&second).expect("a folder");
        let conf = conf.replace(&*first.to_string_lossy(), &second.to_string_lossy());
        fs::write(self.second_conf(), conf).expect("a configuration");
        path
    }

    /// The folder of the tokens' files of [`Self::second_module`].
    #[must_use]
    pub fn second_tokens(&self) -> PathBuf {
        self.folder.join("second-tokens")
    }

    fn second_conf(&self) -> PathBuf {
        self.folder.join("second-softhsm2.conf")
    }

    /// The log of the wrapper [`SPY`], when a child uses that as its module.
    #[must_use]
    pub fn spy_log(&self) -> PathBuf {
        self.folder.join("spy.log")
    }

    /// `command` with the environment that a program needs to see these tokens.
    pub fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env(VARIABLE, self.conf())
            .env(SECOND_VARIABLE, self.second_conf())
            .env("PKCS11SPY", MODULE)
            .env("PKCS11SPY_OUTPUT", self.spy_log())
            .envs(Laboratory::of(self).environment())
    }

    /// Runs the test `name` of this binary again as a child that does `phase`.
    ///
    /// # Panics
    ///
    /// If the child cannot be started.
    #[must_use]
    pub fn child(&self, name: &str, phase: &str) -> Output {
        let program = env::current_exe().expect("this program's path");
        let mut command = Command::new(program);
        command.args(["--exact", name, "--include-ignored", "--nocapture", "--test-threads=1"]);
        self.child_environment(&mut command, phase).output().expect("a child process")
    }

    /// `command` with the environment of a child that does `phase`, for children that are started
    /// by something else.
    pub fn child_environment<'a>(&self, command: &'a mut Command, phase: &str) -> &'a mut Command {
        self.environment(command).env(CHILD, phase).env(FOLDER, &self.folder)
    }

    /// As [`Self::child`], and the child must succeed.
    ///
    /// # Panics
    ///
    /// If it does not, with all it wrote.
    pub fn succeeds(&self, name: &str, phase: &str) {
        let output = self.child(name, phase);
        let text = |octets| String::from_utf8_lossy(octets).into_owned();
        assert!(
            output.status.success(),
            "{name} ({phase}) ended with {}\n{}\n{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        for line in text(&output.stdout).lines().filter(|line| line.starts_with("measured: ")) {
            println!("{line}");
        }
    }
}

impl Drop for SoftHsm {
    fn drop(&mut self) {
        if env::var_os("SIGILL_KEEP").is_some()
            && let Some(folder) = self.owned.take()
        {
            println!("kept {}", folder.keep().display());
        }
    }
}

/// Makes a second token of the one labelled `label`, with the same keys and PINs, as a vendor's tool
/// clones a partition: its files are copied, and label and serial number in them are changed. No program
/// may have the tokens open. Returns its folder, within the folder `to`.
///
/// # Panics
///
/// If there is no such token, or its files are not as expected.
#[must_use]
pub fn clone_token(tokens: &Path, label: &str, to: &Path, new: (&str, &str)) -> PathBuf {
    let original = token_folder(tokens, label);
    let clone = to.join(format!("{:0>8}-0000-4000-8000-{:0>12}", "c", new.1));
    fs::create_dir(&clone).expect("a folder");
    for entry in fs::read_dir(&original).expect("a token") {
        let path = entry.expect("a file").path();
        fs::copy(&path, clone.join(path.file_name().expect("a name"))).expect("a copy");
    }
    let object = clone.join("token.object");
    let mut octets = fs::read(&object).expect("the token's object");
    for (kind, length, value) in [(LABEL, 32, new.0), (SERIAL, 16, new.1)] {
        let value = format!("{value:length$}");
        assert_eq!(value.len(), length, "{value:?}");
        let place = attribute(&octets, kind, length);
        octets[place..place + length].copy_from_slice(value.as_bytes());
    }
    fs::write(object, octets).expect("the token's object");
    clone
}

/// The folder of the token labelled `label`.
///
/// # Panics
///
/// If there is none.
#[must_use]
pub fn token_folder(tokens: &Path, label: &str) -> PathBuf {
    let padded = format!("{label:32}");
    let is_it = |folder: &PathBuf| {
        fs::read(folder.join("token.object")).is_ok_and(|octets| {
            octets.windows(padded.len()).any(|window| window == padded.as_bytes())
        })
    };
    let folders = fs::read_dir(tokens).expect("a folder of tokens");
    let mut folders = folders.map(|entry| entry.expect("a folder").path());
    folders.find(is_it).unwrap_or_else(|| panic!("no token {label} in {}", tokens.display()))
}

/// CKA_OS_TOKENLABEL and CKA_OS_TOKENSERIAL of SoftHSM's files.
const LABEL: u64 = 0x8000_5349;
const SERIAL: u64 = 0x8000_534a;

/// Where the value of an attribute of octets stands: behind its type, its kind (3) and its length, 8
/// octets each.
fn attribute(octets: &[u8], kind: u64, length: usize) -> usize {
    let head = [kind, 3, u64::try_from(length).expect("a length")].map(u64::to_be_bytes).concat();
    let place = octets.windows(head.len()).position(|window| window == head);
    place.expect("the attribute") + head.len()
}

/// Says on which side of the second process this is. `None` where SoftHSM is missing.
///
/// # Panics
///
/// As [`SoftHsm::new`].
#[must_use]
pub fn side() -> Option<Side> {
    match (env::var(CHILD), env::var_os(FOLDER)) {
        (Ok(phase), Some(folder)) => {
            let softhsm = SoftHsm { folder: folder.into(), owned: None };
            Some(Side::Child { softhsm, phase })
        }
        _ => SoftHsm::new().map(Side::Parent),
    }
}

/// Runs `body` once, in a process of its own that sees an empty folder of tokens. `name` is the
/// test's full name, as [`crate::test_name!`] gives it.
///
/// # Panics
///
/// If `body` panics.
pub fn alone(name: &str, body: impl FnOnce(&SoftHsm)) {
    match side() {
        Some(Side::Parent(softhsm)) => softhsm.succeeds(name, "body"),
        Some(Side::Child { softhsm, .. }) => body(&softhsm),
        None => {}
    }
}

/// The full name of the test function that calls it: its module's path within the binary and the
/// function's own name.
#[macro_export]
macro_rules! test_name {
    ($function:ident) => {{
        let _exists: fn() = $function;
        let path = concat!(module_path!(), "::", stringify!($function));
        path.split_once("::").map_or(path, |(_, within)| within)
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_differs_in_label_and_serial_number_alone() {
        alone(test_name!(a_clone_differs_in_label_and_serial_number_alone), |softhsm| {
            let mut util = Command::new("softhsm2-util");
            util.args(["--init-token", "--free", "--label", "one", "--so-pin", "12345678"]);
            let made = softhsm.environment(&mut util).args(["--pin", "1234"]).output().unwrap();
            assert!(made.status.success(), "{made:?}");

            let new = ("two", "00000000000000b2");
            let clone = clone_token(&softhsm.tokens(), "one", &softhsm.tokens(), new);

            assert_eq!(token_folder(&softhsm.tokens(), "two"), clone);
            let mut util = Command::new("softhsm2-util");
            let shown = softhsm.environment(&mut util).arg("--show-slots").output().unwrap();
            let shown = String::from_utf8(shown.stdout).unwrap();
            for line in ["Label:            one", "Label:            two", "00000000000000b2"] {
                assert!(shown.contains(line), "{line}: {shown}");
            }
        });
    }

    #[test]
    fn a_child_sees_its_own_folder() {
        alone(test_name!(a_child_sees_its_own_folder), |softhsm| {
            assert_eq!(env::var_os("SOFTHSM2_CONF"), Some(softhsm.conf().into_os_string()));
            assert!(softhsm.tokens().is_dir());
        });
    }
}
