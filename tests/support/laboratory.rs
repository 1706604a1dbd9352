//! The laboratory between a program and its tokens: lets calls fail by a script, and counts.
//!
//! The script and the counters are told in tests/laboratory/src/lib.rs.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

pub use laboratory::{Counted, Counter, Fate, Function, RESULTS, Script, Signed};

use crate::softhsm::{MODULE, SoftHsm};
use crate::workspace;

/// The module, which programs load instead of SoftHSM's.
///
/// Cargo builds it with everything that names `support`, and puts it among the dependencies of this
/// test; `cargo build --workspace --lib` puts it beside the programs as well. The newer one counts.
///
/// # Panics
///
/// If neither is there.
#[must_use]
pub fn module() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    let deps = test.parent().expect("a test lies in target/PROFILE/deps");
    let places = [Some(deps), deps.parent()].into_iter().flatten();
    let built = places.filter_map(|folder| {
        let path = folder.join("liblaboratory.so");
        Some((fs::metadata(&path).ok()?.modified().ok()?, path))
    });
    let newest = built.max().map(|(_, path)| path);
    newest
        .unwrap_or_else(|| panic!("no liblaboratory.so in {deps:?}; run cargo build -p laboratory"))
}

/// A deliberately faulty device: a script of tests/laboratory/faulty.
///
/// # Panics
///
/// If there is none of this name.
#[must_use]
pub fn faulty(name: &str) -> String {
    let path = workspace::root().join("tests/laboratory/faulty").join(format!("{name}.toml"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// A laboratory's script and counters.
#[derive(Clone, Debug)]
pub struct Laboratory {
    folder: PathBuf,
}

impl Laboratory {
    /// The one of throwaway tokens, whose environment names it already.
    #[must_use]
    pub fn of(softhsm: &SoftHsm) -> Self {
        Self::in_folder(&softhsm.laboratory())
    }

    /// One with its files in `folder`, which exists.
    #[must_use]
    pub fn in_folder(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// What a program's environment must say besides SoftHSM's own.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, OsString); 3] {
        [
            ("LABORATORY_MODULE", MODULE.into()),
            ("LABORATORY_SCRIPT", self.script().into()),
            ("LABORATORY_COUNTERS", self.folder.clone().into()),
        ]
    }

    /// Where the script lies.
    #[must_use]
    pub fn script(&self) -> PathBuf {
        self.folder.join("script.toml")
    }

    /// Puts a script in place; the next call sees it.
    ///
    /// # Panics
    ///
    /// If it is none, or cannot be written.
    pub fn disturb(&self, script: &str) {
        Script::parse(script).unwrap_or_else(|error| panic!("{script}\n{error}"));
        let new = self.folder.join("script.new");
        fs::write(&new, script).expect("a script is written");
        fs::rename(&new, self.script()).expect("a script is put in place");
    }

    /// Disturbs nothing any more.
    ///
    /// # Panics
    ///
    /// If the script cannot be written.
    pub fn calm(&self) {
        self.disturb("");
    }

    /// What was counted so far, over all processes.
    ///
    /// # Panics
    ///
    /// If it cannot be read, or the laboratory itself failed.
    #[must_use]
    pub fn counted(&self) -> Counted {
        let counted = Counted::read(&self.folder).expect("counters are readable");
        assert_eq!(counted.errors(), "", "the laboratory failed");
        counted
    }

    /// The signatures that the real module made so far.
    ///
    /// # Panics
    ///
    /// If they cannot be read.
    #[must_use]
    pub fn signed(&self) -> Vec<Signed> {
        Signed::read(&self.folder).expect("signatures are readable")
    }
}
