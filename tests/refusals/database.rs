//! The database seen from outside the programs, by Python's SQLite.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

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

/// Counts.
pub fn counts(path: &Path) -> Counts {
    let said = spoken::run(&mut script("counts", path), &[]);
    assert_eq!(said.code, 0, "{}", said.text);
    serde_json::from_slice(&said.out).unwrap_or_else(|error| panic!("{}: {error}", said.text))
}

/// Makes it the database of another deployment.
pub fn rename(path: &Path, environment: &str, pki: &str, instance: &str) {
    let said = spoken::run(script("deployment", path).args([environment, pki, instance]), &[]);
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
        let mut child = script("lock", path)
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

fn script(act: &str, path: &Path) -> Command {
    let mut command = Command::new("python3");
    command.arg("-B").arg(workspace::root().join("tests/refusals/database.py")).arg(act).arg(path);
    command
}
