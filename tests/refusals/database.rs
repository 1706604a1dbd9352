//! The database seen from outside the programs, by Python's SQLite.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;
use support::{spoken, workspace};

/// What it holds.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Counts {
    /// Rows of each table; tables that only keep time (leases, checkpoints) are left out.
    pub rows: BTreeMap<String, u64>,
    /// Entries of the status log.
    pub status: u64,
    /// Leaves of the audit log.
    pub audit: u64,
}

/// Counts, by one process for all.
pub fn counts(path: &Path) -> Counts {
    static COUNTER: Mutex<Option<Counter>> = Mutex::new(None);
    let mut counter = COUNTER.lock().unwrap_or_else(PoisonError::into_inner);
    counter.get_or_insert_with(Counter::start).ask(path)
}

struct Counter {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Counter {
    fn start() -> Self {
        let mut child = script("counts")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let input = child.stdin.take().expect("its input was piped");
        let output = BufReader::new(child.stdout.take().expect("its output was piped"));
        Self { child, input, output }
    }

    fn ask(&mut self, path: &Path) -> Counts {
        writeln!(self.input, "{}", path.display()).expect("python3 listens");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("python3 answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }
}

impl Drop for Counter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Makes it the database of another deployment.
pub fn rename(path: &Path, environment: &str, pki: &str, instance: &str) {
    let said = spoken::run(script("deployment").arg(path).args([environment, pki, instance]), &[]);
    assert_eq!(said.code, 0, "{}", said.text);
}

/// A process that holds the write lock; it lets go when this is dropped.
pub struct Lock {
    child: Child,
    input: Option<ChildStdin>,
}

impl Lock {
    /// Takes the lock.
    pub fn take(path: &Path) -> Self {
        Self::taken(path, "IMMEDIATE")
    }

    /// Takes it so that others cannot even begin to write.
    pub fn exclusive(path: &Path) -> Self {
        Self::taken(path, "EXCLUSIVE")
    }

    fn taken(path: &Path, how: &str) -> Self {
        let mut child = script("lock")
            .arg(path)
            .arg(how)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output was piped");
        BufReader::new(output).read_line(&mut line).expect("it says that it is locked");
        assert_eq!(line, "locked\n");
        let input = child.stdin.take();
        Self { child, input }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn script(act: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg("-B").arg(workspace::root().join("tests/refusals/database.py")).arg(act);
    command
}
