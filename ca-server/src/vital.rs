//! Threads without which a program would only look alive: a publisher or a schedule of `sigill-ca` that has gone, or what follows the
//! log in `sigill-ocsp`, would be missed by nobody while calls are still answered.
//!
//! One that panics ends the program, for the service manager to start again: what is recorded bears an end at any moment.
//! The file is part of both programs.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts such a thread.
///
/// # Errors
///
/// The operating system's, when no thread can be made.
pub(crate) fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let vital = Vital(name.to_owned());
    Builder::new().name(name.to_owned()).spawn(move || {
        let _vital = vital;
        work()
    })
}

struct Vital(String);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                problem.code = "thread-ended",
                thread.name = self.0,
                "a thread of the program ended in a panic: the program ends; next: start it again, and report the defect"
            );
            std::process::exit(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use super::*;

    /// Says to the test, run as a program of its own, what its thread does.
    const CHILD: &str = "SIGILL_TEST_VITAL_THREAD";

    #[test]
    fn a_vital_thread_that_panics_ends_the_program() {
        if let Ok(act) = std::env::var(CHILD) {
            let thread = spawn("vital", move || assert_eq!(act, "ends", "as the test asks"));
            let _ended = thread.unwrap().join();
            // Not reached by the program whose thread has panicked.
            std::thread::sleep(Duration::from_millis(1));
            std::process::exit(7);
        }
        let program = std::env::current_exe().unwrap();
        let name = "vital::tests::a_vital_thread_that_panics_ends_the_program";
        for (act, code) in [("panics", 1), ("ends", 7)] {
            let mut child = Command::new(&program);
            let ended = child.args([name, "--exact"]).env(CHILD, act).output().unwrap();
            assert_eq!(ended.status.code(), Some(code), "{act}: {ended:?}");
        }
    }
}
