//! What a home holds: rows of the database, sizes of the logs, calls of the tokens, files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::database::{self, Counts};
use crate::home::Home;
use crate::spy::TokenCalls;

/// All of it, to be compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// Rows of each table; tables that only keep time (leases, checkpoints) are left out.
    pub rows: BTreeMap<String, u64>,
    /// Entries of the status log and leaves of the audit log.
    pub logs: (u64, u64),
    /// Signatures and logins.
    pub calls: TokenCalls,
    /// SHA-256 of each file that is published, configured or secret.
    pub files: BTreeMap<String, String>,
}

/// Folders whose files nothing but an act changes.
const FOLDERS: [&str; 7] =
    ["publish/crl", "publish/aia", "publish/responder", "config", "keys", "pins", "tls"];

impl State {
    /// As it is now.
    pub fn of(home: &Home) -> Self {
        let Counts { rows, status, audit } = database::counts(&home.path("state/ca.sqlite"));
        let logs = (status, audit);
        Self { rows, logs, calls: TokenCalls::of(home), files: published_and_secret(home) }
    }

    /// As [`Self::of`], without rows where the database is the thing that is broken.
    pub fn readable(home: &Home) -> Self {
        let whole = fs::read(home.path("state/ca.sqlite"))
            .is_ok_and(|bytes| bytes.starts_with(b"SQLite format 3"));
        if whole {
            return Self::of(home);
        }
        let (rows, logs) = (BTreeMap::new(), (0, 0));
        Self { rows, logs, calls: TokenCalls::of(home), files: published_and_secret(home) }
    }

    /// What differs, in words; empty if nothing does.
    pub fn difference(&self, later: &Self) -> String {
        let mut said = Vec::new();
        for (table, before) in &self.rows {
            let after = later.rows.get(table).copied().unwrap_or_default();
            if *before != after {
                said.push(format!("{table}: {before} -> {after} rows"));
            }
        }
        if self.logs != later.logs {
            said.push(format!("logs (status, audit): {:?} -> {:?}", self.logs, later.logs));
        }
        if self.calls != later.calls {
            said.push(format!("{:?} -> {:?}", self.calls, later.calls));
        }
        for (name, hash) in &self.files {
            if later.files.get(name) != Some(hash) {
                said.push(format!("{name} was changed or removed"));
            }
        }
        for name in later.files.keys().filter(|name| !self.files.contains_key(*name)) {
            said.push(format!("{name} is new"));
        }
        said.join("; ")
    }

    /// The same with more rows and leaves, as one act leaves behind.
    pub fn with(&self, more: &[(&str, u64)], leaves: u64) -> Self {
        let mut expected = self.clone();
        for (table, count) in more {
            *expected.rows.get_mut(*table).unwrap_or_else(|| panic!("no table {table}")) += count;
        }
        expected.logs.1 += leaves;
        expected
    }
}

fn published_and_secret(home: &Home) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for folder in FOLDERS {
        hash_files(&home.path(folder), &mut files);
    }
    files
}

fn hash_files(folder: &Path, into: &mut BTreeMap<String, String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            hash_files(&path, into);
        } else if let Ok(bytes) = fs::read(&path) {
            let hash = Sha256::digest(&bytes).iter().map(|octet| format!("{octet:02x}")).collect();
            into.insert(path.display().to_string(), hash);
        }
    }
}
