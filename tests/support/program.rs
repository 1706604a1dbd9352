//! Our own programs, run as an operator runs them: built, started, waited for, ended.

use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

/// How long a server may take until it accepts a connection.
const START_LIMIT: Duration = Duration::from_secs(60);

/// The path of one of our programs (`sigill-ca`), as built into the target folder of this test.
///
/// # Panics
///
/// If it has not been built: `cargo test` builds only the package's own programs, so a stage that
/// needs this starts with `cargo build --workspace --bins`.
#[must_use]
pub fn built(name: &str) -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    let folder = test.parent().and_then(Path::parent).expect("a test lies in target/PROFILE/deps");
    let program = folder.join(name);
    assert!(program.is_file(), "{program:?} is not built; run cargo build --workspace --bins");
    program
}

/// A server that runs until it is dropped.
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts `command`, its output going to `log`, and waits until `address` accepts.
    ///
    /// # Panics
    ///
    /// If it cannot be started, ends by itself, or does not accept within a minute; the message
    /// holds what it printed.
    #[must_use]
    pub fn start(command: &mut Command, log: &Path, address: SocketAddr) -> Self {
        let output = File::create(log).expect("the log can be written");
        let errors = output.try_clone().expect("a file can be shared");
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let mut server = Self { child, log: log.to_owned() };
        server.wait_for(address);
        server
    }

    /// Waits until it has printed `text`: a port accepts before the program behind it serves.
    ///
    /// # Panics
    ///
    /// If it ends by itself, or has not printed that within a minute; the message holds what it printed.
    #[must_use]
    pub fn once_it_says(mut self, text: &str) -> Self {
        let started = Instant::now();
        while !self.printed().contains(text) {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                panic!("ended with {status} before it said {text:?}: {}", self.printed());
            }
            let silent = started.elapsed();
            assert!(silent < START_LIMIT, "{text:?} was not said: {}", self.printed());
            thread::sleep(Duration::from_millis(20));
        }
        self
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it at once, as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, as an operator does, and waits for that.
    ///
    /// # Panics
    ///
    /// If it has not ended after `limit`.
    pub fn end(&mut self, limit: Duration) -> ExitStatus {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "{} cannot be asked", self.child.id());
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                return status;
            }
            assert!(started.elapsed() < limit, "still runs after {limit:?}: {}", self.printed());
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn wait_for(&mut self, address: SocketAddr) {
        let started = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            if let Some(status) = self.child.try_wait().expect("the child can be asked") {
                panic!("ended with {status} before it accepted: {}", self.printed());
            }
            assert!(
                started.elapsed() < START_LIMIT,
                "nothing accepts at {address} after {START_LIMIT:?}: {}",
                self.printed()
            );
            thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::free_address;

    #[test]
    #[should_panic(expected = "before it accepted: out of order")]
    fn a_server_that_ends_by_itself_is_named_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "echo out of order; exit 3"]);

        let _ = Server::start(&mut command, &folder.path().join("log"), free_address());
    }

    #[test]
    fn a_server_is_waited_for_until_it_says_that_it_serves() {
        let folder = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 0.2; echo serving; sleep 60"]);
        let log = folder.path().join("log");
        let server = Server::start(&mut command, &log, listener.local_addr().unwrap());

        assert_eq!(server.once_it_says("serving").printed(), "serving\n");
    }

    #[test]
    #[should_panic(expected = "before it said \"serving\": out of order")]
    fn a_server_that_ends_before_it_serves_is_named_with_what_it_said() {
        let folder = tempfile::tempdir().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 0.2; echo out of order; exit 3"]);
        let log = folder.path().join("log");
        let server = Server::start(&mut command, &log, listener.local_addr().unwrap());

        drop(server.once_it_says("serving"));
    }

    #[test]
    #[should_panic(expected = "is not built")]
    fn a_program_that_is_not_built_is_named() {
        let _ = built("no-such-program");
    }
}
