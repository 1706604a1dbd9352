//! Threads and tasks without which a program would only look alive: a publisher or a schedule of `sigill-ca` that has gone, what follows the
//! log in `sigill-ocsp`, or what takes calls at one of several addresses, would be missed by nobody while calls are still answered elsewhere.
//!
//! One that panics ends the program, for the service manager to start again: what is recorded bears an end at any moment.

use std::future::Future;
use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts such a thread.
///
/// # Errors
///
/// The operating system's, when no thread can be made.
pub fn spawn<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let vital = Vital(name.to_owned());
    Builder::new().name(name.to_owned()).spawn(move || {
        let _vital = vital;
        work()
    })
}

/// Such a task: what it does, and the end of the program where that panics.
pub fn task<F: Future>(name: &str, work: F) -> impl Future<Output = F::Output> + use<F> {
    let vital = Vital(name.to_owned());
    async move {
        let _vital = vital;
        work.await
    }
}

struct Vital(String);

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!(
                problem.code = "thread-ended",
                thread.name = self.0,
                "a thread or task of the program ended in a panic: the program ends; next: start it again, and report the defect"
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

    /// Says to the test, run as a program of its own, what its thread or task does.
    const CHILD: &str = "SIGILL_TEST_VITAL";

    /// How the test of this name ends, run as a program of its own that is told what to do.
    fn ended(name: &str, act: &str) -> Option<i32> {
        let mut child = Command::new(std::env::current_exe().unwrap());
        let name = format!("vital::tests::{name}");
        let ended = child.args([name.as_str(), "--exact"]).env(CHILD, act).output().unwrap();
        ended.status.code()
    }

    /// A runtime catches what panics in a task, and whoever does not ask it is told nothing.
    #[test]
    fn a_vital_task_that_panics_ends_the_program() {
        if let Ok(act) = std::env::var(CHILD) {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build();
            let work = async move {
                tokio::task::yield_now().await;
                assert_eq!(act, "ends", "as the test asks");
            };
            let runtime = runtime.unwrap();
            let _ended = runtime.block_on(runtime.spawn(task("vital", work)));
            std::process::exit(7);
        }
        let name = "a_vital_task_that_panics_ends_the_program";
        assert_eq!((ended(name, "panics"), ended(name, "ends")), (Some(1), Some(7)));
    }

    #[test]
    fn a_vital_thread_that_panics_ends_the_program() {
        if let Ok(act) = std::env::var(CHILD) {
            let thread = spawn("vital", move || assert_eq!(act, "ends", "as the test asks"));
            let _ended = thread.unwrap().join();
            // Not reached by the program whose thread has panicked.
            std::thread::sleep(Duration::from_millis(1));
            std::process::exit(7);
        }
        let name = "a_vital_thread_that_panics_ends_the_program";
        assert_eq!((ended(name, "panics"), ended(name, "ends")), (Some(1), Some(7)));
    }
}
