//! A token that runs, in a folder of its own, started and stopped by `token.sh`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::spoken::{self, Spoken};
use support::workspace;
use tempfile::TempDir;

use crate::deployment::Device;
use crate::kind::Kind;

/// A token and what its programs must find in their environment.
pub(crate) struct Place {
    kind: Kind,
    folder: TempDir,
    environment: BTreeMap<String, String>,
    given: Vec<(String, PathBuf)>,
}

/// What `token.sh` ends with where something is not installed.
const NOT_INSTALLED: i32 = 3;

impl Place {
    /// Starts a token. `None` where it is not installed, and that has been said.
    pub(crate) fn start(kind: Kind) -> Option<Self> {
        Self::start_with(kind, &[])
    }

    /// As [`Self::start`], with more in the environment of `token.sh`.
    pub(crate) fn start_with(kind: Kind, given: &[(&str, &Path)]) -> Option<Self> {
        if kind == Kind::Kryoptic && all() {
            let built = script("kryoptic.sh", &[]);
            assert_eq!(built.code, 0, "{}", built.text);
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let given =
            given.iter().map(|(name, value)| ((*name).to_owned(), value.to_path_buf())).collect();
        let mut place = Self { kind, folder, environment: BTreeMap::new(), given };
        let said = place.script(&["start", kind.name()]);
        if said.code == NOT_INSTALLED && !all() {
            // Kryoptic is built on demand, not installed: without it CI has not failed.
            let reason = said.text.trim().trim_start_matches("error: ");
            println!("skipped: {}: {reason} (SIGILL_TOKENS=all)", kind.name());
            return None;
        }
        assert_eq!(said.code, 0, "{}", said.text);
        place.read();
        Some(place)
    }

    /// Ends its processes as a crash does.
    pub(crate) fn kill(&self) {
        let said = self.script(&["kill"]);
        assert_eq!(said.code, 0, "{}", said.text);
    }

    /// Starts them again.
    pub(crate) fn revive(&self) {
        let said = self.script(&["start", self.kind.name()]);
        assert_eq!(said.code, 0, "{}", said.text);
    }

    /// A folder for what belongs to the token.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The module that programs load.
    pub(crate) fn module(&self) -> &str {
        &self.environment["SIGILL_MODULE"]
    }

    /// `command` with the environment that the module wants.
    pub(crate) fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs(&self.environment)
    }

    /// As the deployments of the journeys see it.
    pub(crate) fn device(&self) -> Device {
        let environment = self.environment.clone().into_iter().collect();
        Device { module: self.module().into(), environment }
    }

    fn read(&mut self) {
        let text = fs::read_to_string(self.folder().join("env")).expect("token.sh wrote env");
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        self.environment = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    }

    fn script(&self, words: &[&str]) -> Spoken {
        let mut command = Command::new(workspace::root().join("tests/tokens/token.sh"));
        command.args(words).arg(self.folder());
        command.envs(self.given.iter().map(|(name, value)| (name, value)));
        spoken::run(&mut command, &[])
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in ["server.log", "tpm.log", "manager.log"] {
                if let Ok(text) = fs::read_to_string(self.folder().join(name)) {
                    eprintln!("{name}:\n{text}");
                }
            }
        }
        // The folder goes next.
        let _ = self.script(&["stop"]);
    }
}

fn all() -> bool {
    std::env::var("SIGILL_TOKENS").is_ok_and(|value| value == "all")
}

fn script(name: &str, words: &[&str]) -> Spoken {
    let mut command = Command::new(workspace::root().join("tests/tokens").join(name));
    spoken::run(command.args(words), &[])
}
