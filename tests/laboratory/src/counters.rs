//! What is counted, in files that tests read while the program runs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cryptoki_sys::CK_MECHANISM_TYPE;
use sha2::{Digest as _, Sha256};

use crate::functions::Function;

/// Octets of a line of the counters' file, so that each value has its place.
const LINE: usize = 64;
/// Inputs of C_Sign up to this length are written out.
const WRITTEN_OUT: usize = 128;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// What is counted besides `calls.C_X`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Counter { $($(#[$doc])* $name),* }

        impl Counter {
            const ALL: &[Self] = &[$(Self::$name),*];

            /// Its name in the file.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

counters! {
    /// Logins that the real module took.
    LoginsRight = "logins.right",
    /// PINs that the real module refused as wrong.
    LoginsWrong = "logins.wrong",
    /// Logins that the real module answered otherwise, such as with CKR_USER_ALREADY_LOGGED_IN.
    LoginsOther = "logins.other",
    /// Signings that the real module began.
    SignInits = "sign-inits",
    /// Signatures that the real module made.
    Signatures = "signatures",
    /// Sessions that were opened.
    Opened = "sessions.opened",
    /// Sessions that are open.
    Open = "sessions.open",
    /// The most sessions that were open at a time.
    MostOpen = "sessions.most",
    /// Initialisations that the real module took.
    Initialised = "initialised",
    /// Finalisations by the caller that the real module took.
    Finalised = "finalised",
    /// Calls after the caller itself had finalised: a defect of the caller.
    AfterFinalise = "defects.after-finalise",
    /// Finalisations by the caller while calls of its own were under way: a defect of the caller.
    FinalisedUnderCalls = "defects.finalised-under-calls",
    /// Calls on a session on which another call was under way: a defect of the caller.
    SharedSession = "defects.shared-session",
    /// The most calls on sessions under way at a time.
    AtOnce = "at-once",
    /// How often faults of scripts struck.
    Struck = "struck",
    /// Scripts read.
    Scripts = "scripts",
    /// Scripts that could not be read.
    ScriptErrors = "script-errors",
}

/// The place of a counter in the file.
#[derive(Clone, Copy)]
pub(crate) enum Place {
    Of(Counter),
    Calls(Function),
}

impl Place {
    #[expect(clippy::as_conversions, reason = "the number of a variant of an enum without values")]
    const fn index(self) -> usize {
        match self {
            Self::Of(counter) => counter as usize,
            Self::Calls(function) => Counter::ALL.len() + function as usize,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Of(counter) => counter.name().to_owned(),
            Self::Calls(function) => format!("calls.{}", function.name()),
        }
    }

    fn all() -> impl Iterator<Item = Self> {
        let counters = Counter::ALL.iter().copied().map(Self::Of);
        counters.chain(Function::ALL.iter().copied().map(Self::Calls))
    }
}

/// What came of a signature that the real module made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The caller got it as it was.
    Delivered,
    /// The caller got it with a bit turned round, or of another key.
    Spoiled,
    /// The caller got an error instead.
    Withheld,
}

impl Fate {
    const ALL: [(&str, Self); 3] =
        [("delivered", Self::Delivered), ("spoiled", Self::Spoiled), ("withheld", Self::Withheld)];
}

/// The counters of this process.
pub(crate) struct Counters {
    written: Mutex<Written>,
}

#[derive(Default)]
struct Written {
    values: Vec<u64>,
    counters: Option<File>,
    signed: Option<File>,
    error: Option<File>,
}

impl Counters {
    /// Begins the files of this process in `folder`. Without one nothing is written.
    pub(crate) fn begin(folder: Option<&Path>) -> Self {
        let values = Place::all().map(|_| 0).collect();
        let file = |ending: &str| {
            let path = folder?.join(format!("{}.{ending}", std::process::id()));
            let appended = ending != "counters";
            File::options()
                .create(true)
                .append(appended)
                .write(true)
                .truncate(false)
                .open(path)
                .ok()
        };
        let counters = file("counters");
        let written = Written { values, counters, signed: file("signed"), error: file("error") };
        for place in Place::all() {
            written.write(place);
        }
        Self { written: Mutex::new(written) }
    }

    pub(crate) fn add(&self, place: Place) {
        self.change(place, |value| value.saturating_add(1));
    }

    pub(crate) fn set(&self, counter: Counter, value: u64) {
        self.change(Place::Of(counter), |_| value);
    }

    pub(crate) fn raise(&self, counter: Counter, value: u64) {
        self.change(Place::Of(counter), |before| before.max(value));
    }

    fn change(&self, place: Place, change: impl FnOnce(u64) -> u64) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = written.values.get_mut(place.index()) {
            *value = change(*value);
            written.write(place);
        }
    }

    /// Notes a signature that the real module made.
    pub(crate) fn signed(&self, fate: Fate, mechanism: CK_MECHANISM_TYPE, input: &[u8]) {
        let fate = Fate::ALL.iter().find(|(_, one)| *one == fate).map_or("", |(name, _)| name);
        let line = format!("{fate} {mechanism:#x} {}\n", written_out(input));
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        write_line(written.signed.as_ref(), &line);
    }

    pub(crate) fn error(&self, text: &str) {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        write_line(written.error.as_ref(), &format!("{text}\n"));
    }
}

impl Written {
    fn write(&self, place: Place) {
        let value = self.values.get(place.index()).copied().unwrap_or_default();
        let line = format!("{:<40} = {value:>20}\n", place.name());
        let offset = u64::try_from(place.index().saturating_mul(LINE)).unwrap_or_default();
        if let Some(file) = &self.counters {
            // A full disk shows in the test that reads the counters.
            let _unwritten = file.write_all_at(line.as_bytes(), offset);
        }
    }
}

fn write_line(file: Option<&File>, line: &str) {
    if let Some(mut file) = file {
        let _unwritten = file.write_all(line.as_bytes());
    }
}

fn written_out(input: &[u8]) -> String {
    let hexadecimal = |octets: &[u8]| {
        octets.iter().fold(String::new(), |text, octet| format!("{text}{octet:02x}"))
    };
    if input.len() <= WRITTEN_OUT {
        hexadecimal(input)
    } else {
        format!("sha256:{}", hexadecimal(&Sha256::digest(input)))
    }
}

/// A signature that the real module made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What came of it.
    pub fate: Fate,
    /// The input of C_Sign, as the crate's header tells it.
    pub input: String,
}

impl Signed {
    /// Reads all signatures that were noted in a folder so far, in order within a process.
    ///
    /// # Errors
    ///
    /// When the folder or a file in it cannot be read.
    pub fn read(folder: &Path) -> io::Result<Vec<Self>> {
        let texts = texts(folder, "signed")?;
        Ok(texts.iter().flat_map(|text| text.lines().filter_map(signed)).collect())
    }

    /// Whether this is what was signed: the input of C_Sign.
    #[must_use]
    pub fn is_over(&self, input: &[u8]) -> bool {
        self.input == written_out(input)
    }
}

/// The counters of all processes that wrote to a folder, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    values: BTreeMap<String, u64>,
    errors: String,
}

impl Counted {
    /// Reads what was counted so far.
    ///
    /// # Errors
    ///
    /// When the folder or a file in it cannot be read.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut counted = Self { errors: texts(folder, "error")?.concat(), ..Self::default() };
        texts(folder, "counters")?.iter().for_each(|text| counted.add(text));
        Ok(counted)
    }

    fn add(&mut self, text: &str) {
        for (name, value) in text.lines().filter_map(|line| line.split_once('=')) {
            let value: u64 = value.trim().parse().unwrap_or_default();
            let sum = self.values.entry(name.trim().to_owned()).or_default();
            *sum = sum.saturating_add(value);
        }
    }

    /// The value of a counter.
    #[must_use]
    pub fn of(&self, counter: Counter) -> u64 {
        self.values.get(counter.name()).copied().unwrap_or_default()
    }

    /// How often a function was called.
    #[must_use]
    pub fn calls(&self, function: Function) -> u64 {
        self.values.get(&Place::Calls(function).name()).copied().unwrap_or_default()
    }

    /// Why scripts could not be read or the real module not be loaded; empty if they could.
    #[must_use]
    pub fn errors(&self) -> &str {
        &self.errors
    }
}

/// The files of this ending.
fn texts(folder: &Path, ending: &str) -> io::Result<Vec<String>> {
    let mut texts = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|found| found == ending) {
            texts.push(fs::read_to_string(&path)?);
        }
    }
    Ok(texts)
}

fn signed(line: &str) -> Option<Signed> {
    let (fate, rest) = line.split_once(' ')?;
    let (_mechanism, input) = rest.split_once(' ')?;
    let (_, fate) = Fate::ALL.iter().find(|(name, _)| *name == fate)?;
    Some(Signed { fate: *fate, input: input.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let counters = Counters::begin(Some(folder.path()));
        counters.add(Place::Calls(Function::Sign));
        counters.add(Place::Calls(Function::Sign));
        counters.raise(Counter::MostOpen, 3);
        counters.raise(Counter::MostOpen, 2);
        counters.signed(Fate::Withheld, 1, b"digest");
        counters.signed(Fate::Delivered, 1, &[7; 300]);

        let counted = Counted::read(folder.path()).unwrap();

        assert_eq!(counted.calls(Function::Sign), 2);
        assert_eq!(counted.calls(Function::Login), 0);
        assert_eq!(counted.of(Counter::MostOpen), 3);
        assert_eq!(counted.errors(), "");
        let signed = Signed::read(folder.path()).unwrap();
        assert_eq!(signed[0].fate, Fate::Withheld);
        assert!(signed[0].is_over(b"digest"));
        assert!(signed[1].is_over(&[7; 300]));
        assert!(!signed[1].is_over(&[8; 300]));
    }

    #[test]
    fn each_counter_has_a_line_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let _counters = Counters::begin(Some(folder.path()));
        let path = folder.path().join(format!("{}.counters", std::process::id()));
        let text = fs::read_to_string(path).unwrap();

        assert_eq!(text.lines().count(), Counter::ALL.len() + Function::ALL.len());
        assert!(text.lines().all(|line| line.len() + 1 == LINE), "{text}");
    }
}
