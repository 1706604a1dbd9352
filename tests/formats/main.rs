//! The formats that are for ever: vectors in docs/formats/vectors are what the code writes today.
//!
//! `SIGILL_REGENERATE_VECTORS=1` writes them anew, which only a new version of a format may need.
//! tests/formats/decode.py reads the same files with code that shares nothing with ours.

mod audit;
mod event_table;
mod keys;
mod merkle;
mod notes;
mod presigned;
mod receipts;
mod status;
mod tree;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use support::workspace::root;

/// Made by the second readers (tests/formats/revocation_job.py, transcript.py and exchange.py), and by another library, and held against the code by
/// ca/src/job/tests.rs, ceremony-core/src/transcript/tests.rs, ceremony-core/src/exchange/tests.rs and ca/src/actor/tests.rs; and a ceremony that was held (ceremony/tests/approvals/bundle.rs
/// holds it anew), by verify/src/ceremony/tests.rs.
const BY_THE_SECOND_READERS: [&str; 7] = [
    "actor-statement.jws",
    "ceremony-bundle.json",
    "ceremony-bundle.tar",
    "exchange.json",
    "pin-shares.json",
    "revocation-job.json",
    "transcripts.json",
];

/// Files by their path below docs/formats/vectors.
type Files = BTreeMap<String, Vec<u8>>;

#[test]
fn vectors_are_what_the_code_writes() {
    let folder = root().join("docs/formats/vectors");
    let mut files = tree::files();
    for (name, value) in [
        ("status-entries.json", status::vectors()),
        ("audit-leaves.json", audit::vectors()),
        ("merkle.json", merkle::vectors()),
        ("notes.json", notes::vectors()),
        ("receipts.json", receipts::vectors()),
        ("presigned-answers.json", presigned::vectors()),
    ] {
        let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
        files.insert(name.to_owned(), text.into_bytes());
    }

    for name in BY_THE_SECOND_READERS {
        files.insert(name.to_owned(), fs::read(folder.join(name)).unwrap());
    }

    if std::env::var_os("SIGILL_REGENERATE_VECTORS").is_some() {
        if folder.exists() {
            fs::remove_dir_all(&folder).unwrap();
        }
        for (path, bytes) in &files {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
    }

    let stored = stored(&folder);
    let paths: Vec<&String> = stored.keys().collect();
    assert_eq!(paths, files.keys().collect::<Vec<_>>(), "other files than the code writes");
    for (path, bytes) in &files {
        assert!(stored[path] == *bytes, "{path} differs from what the code writes");
    }
}

fn stored(folder: &Path) -> Files {
    let mut files = Files::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(below) = folders.pop() {
        for entry in fs::read_dir(folder.join(&below)).unwrap() {
            let entry = entry.unwrap();
            let path = below.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                folders.push(path);
            } else {
                files.insert(path.to_str().unwrap().to_owned(), fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

fn hex(octets: impl AsRef<[u8]>) -> String {
    octets.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}
