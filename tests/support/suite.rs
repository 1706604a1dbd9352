//! A suite whose checks share one costly thing, which is put away when the last has ended.
//!
//! libtest has no such end: what its tests share lives until the process is gone, and servers that
//! were started for them outlive it. The lines that are printed are libtest's.

use std::any::Any;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{env, io};

/// How many of the checks that took longest are named at the end.
const SLOWEST: usize = 10;
/// How much of what a failed check said last is repeated there, in characters.
const SAID: usize = 1000;

/// A check by its name.
pub type Check<T> = (&'static str, fn(&T));

/// Runs the checks whose names contain one of the command line's words (all, without words) and
/// counts them. `shared` is made only if there is one to run.
///
/// # Panics
///
/// As `shared` does; a check that panics has failed.
pub fn run<T>(checks: &[Check<T>], shared: impl FnOnce() -> T) -> ExitCode {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word));
    let chosen: Vec<_> = checks.iter().filter(|(name, _)| wanted(name)).collect();
    if env::args().any(|word| word == "--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let (mut passed, mut failed, mut took) = (0, Vec::new(), Vec::new());
    if !chosen.is_empty() {
        let shared = shared();
        for (name, check) in &chosen {
            println!("---- {name} stdout ----");
            let begun = Instant::now();
            let verdict = match panic::catch_unwind(AssertUnwindSafe(|| check(&shared))) {
                Ok(()) => {
                    passed += 1;
                    "ok"
                }
                Err(said) => {
                    failed.push((*name, said_by(said.as_ref())));
                    "FAILED"
                }
            };
            took.push((begun.elapsed(), *name));
            println!("test {name} ... {verdict}");
            let _ = io::Write::flush(&mut io::stdout());
        }
    }
    let (verdict, code) =
        if failed.is_empty() { ("ok", ExitCode::SUCCESS) } else { ("FAILED", ExitCode::FAILURE) };
    took.sort_unstable_by(|one, other| other.cmp(one));
    let whole: Duration = took.iter().map(|(time, _)| *time).sum();
    println!("took: {:.1} s, of which", whole.as_secs_f64());
    for (time, name) in took.iter().take(SLOWEST) {
        println!("took: {:6.1} s {name}", time.as_secs_f64());
    }
    // At the end, where the reader of a long log begins.
    failed.iter().for_each(|(name, said)| println!("failed: {name}: {said}"));
    println!(
        "test result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; {} filtered out",
        failed.len(),
        checks.len() - chosen.len()
    );
    code
}

/// What a check said when it failed.
fn said_by(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("");
    said.chars().take(SAID).collect()
}
