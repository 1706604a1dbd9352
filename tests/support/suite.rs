//! A suite whose checks share one costly thing, which is put away when the last has ended.
//!
//! libtest has no such end: what its tests share lives until the process is gone, and servers that
//! were started for them outlive it. The lines that are printed are libtest's.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::{env, io};

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
    let (mut passed, mut failed) = (0, Vec::new());
    if !chosen.is_empty() {
        let shared = shared();
        for (name, check) in &chosen {
            println!("---- {name} stdout ----");
            match panic::catch_unwind(AssertUnwindSafe(|| check(&shared))) {
                Ok(()) => passed += 1,
                Err(_) => failed.push(*name),
            }
            let verdict = if failed.last() == Some(name) { "FAILED" } else { "ok" };
            println!("test {name} ... {verdict}");
            let _ = io::Write::flush(&mut io::stdout());
        }
    }
    let (verdict, code) =
        if failed.is_empty() { ("ok", ExitCode::SUCCESS) } else { ("FAILED", ExitCode::FAILURE) };
    failed.iter().for_each(|name| println!("failed: {name}"));
    println!(
        "test result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; {} filtered out",
        failed.len(),
        checks.len() - chosen.len()
    );
    code
}
