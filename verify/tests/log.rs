//! `sigill-verify log` over the shipped vectors, and over copies in which one thing is wrong.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

const STATUS_ORIGIN: &str = "sigill/test/demo/a1b2/status/1";

/// What is done to a file, and how.
type Change = (&'static str, fn(&mut Vec<u8>));

struct Copy {
    folder: TempDir,
    key: String,
    origin: String,
}

fn vectors() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/vectors/tree")
}

/// A copy of the vectors' log `name` (`publish` or `audit`), to be changed.
fn copy(name: &str) -> Copy {
    let keys = fs::read_to_string(vectors().join("keys.json")).unwrap();
    let keys: serde_json::Value = serde_json::from_str(&keys).unwrap();
    let folder = tempfile::tempdir().unwrap();
    copy_all(&vectors().join(name), folder.path());
    let checkpoint = fs::read_to_string(folder.path().join("checkpoint")).unwrap();
    let origin = checkpoint.lines().next().unwrap().to_owned();
    Copy { folder, key: keys[name].as_str().unwrap().to_owned(), origin }
}

fn copy_all(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_all(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

impl Copy {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Changes the octets of a file.
    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut octets = fs::read(self.path(name)).unwrap();
        change(&mut octets);
        fs::write(self.path(name), octets).unwrap();
    }

    fn judged(&self, more: &[&str]) -> Output {
        self.asked("log", more)
    }

    fn asked(&self, command: &str, more: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_sigill-verify"))
            .args([command, "--checkpoint"])
            .arg(self.path("checkpoint"))
            .arg("--tiles")
            .arg(self.folder.path())
            .args(["--key", &self.key, "--origin", &self.origin])
            .args(more)
            .output()
            .unwrap()
    }

    /// What it says on refusing.
    fn refused(&self) -> String {
        let output = self.judged(&[]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

/// AUD-03: both logs are verified from files and a pinned key alone.
#[test]
fn both_logs_of_the_vectors_hold() {
    let status = copy("publish").judged(&["--log", "status", "--json"]);
    assert!(status.status.success(), "{status:?}");
    let found: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(found["size"], 300);
    let states = found["states"].as_object().unwrap();
    let counted: u64 = states.values().map(|count| count.as_u64().unwrap()).sum();
    assert_eq!(Some(counted), found["certificates"].as_u64());

    let audit = copy("audit").judged(&["--log", "audit", "--json"]);
    assert!(audit.status.success(), "{audit:?}");
    let found: serde_json::Value = serde_json::from_slice(&audit.stdout).unwrap();
    assert_eq!(found["events"], 10);
}

/// AUD-03: an operator finds the leaves of an event, and sees of each all but the sealed payload.
#[test]
fn the_leaves_of_an_audit_log_are_listed_by_event() {
    let listed = |more: &[&str]| {
        let output = copy("audit").asked("leaves", more);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let all: serde_json::Value = serde_json::from_str(&listed(&["--json"])).unwrap();
    let leaves = all["leaves"].as_array().unwrap();
    assert_eq!((leaves.len(), &all["size"]), (10, &10.into()));
    let read = serde_json::json!({
        "index": 1,
        "time": "2026-11-22T01:51:28Z",
        "event": "certificate.intent",
        "result": "done",
        "actor": { "kind": "system", "id": "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1" },
        "policy": null,
        "objects": [
            { "kind": "certificate", "id": "crt_00000000-0000-0000-0000-000000000000" },
            { "kind": "order", "id": "ord_00000000-0000-0000-0000-000000000000" },
        ],
        "payload": "e755e87317612154a438c682a32eea2968d264925a693d766328d46abc425511",
    });
    assert_eq!(leaves[1], read);

    let event = leaves[0]["event"].as_str().unwrap();
    let some = listed(&["--event", event]);
    let of_event = leaves.iter().filter(|leaf| leaf["event"] == event).count();
    assert_eq!(some.lines().count(), of_event + 1, "{some}");
    assert!(some.starts_with("0  2026-11-22T01:51:28Z  server.started  done  system:a1"), "{some}");
    let last =
        format!("\n{of_event} of 10 leaves of sigill/test/demo/ab12/audit/1, which was verified\n");
    assert!(some.ends_with(&last), "{some}");
}

#[test]
fn no_leaf_is_listed_of_a_log_that_does_not_hold_or_has_none() {
    let broken = Copy { key: copy("publish").key, ..copy("audit") };
    let status = copy("publish");
    for (log, event, code, why) in [
        (&broken, "signature.tried", 1, "first verification"),
        (&status, "signature.tried", 1, "is no audit log"),
        (&status, "signature.lost", 2, "not the name of an audit event"),
    ] {
        let output = log.asked("leaves", &["--event", event]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(output.stdout.is_empty(), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(why), "{said}");
    }
}

#[test]
fn people_are_told_size_root_and_time() {
    let said = copy("publish").judged(&[]).stdout;
    let said = String::from_utf8(said).unwrap();

    for word in ["verified", "300", "signed at", "authorities", "revoked"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn refuses_another_key_another_log_and_contradicting_arguments() {
    let log = copy("publish");
    let other = Copy { key: copy("audit").key, ..copy("publish") };
    assert!(other.refused().contains("first verification"), "{}", other.refused());

    let other = Copy { origin: STATUS_ORIGIN.replace("a1b2", "zzzz"), ..copy("publish") };
    assert!(other.refused().contains("checkpoint is of"), "{}", other.refused());

    let contradicting = log.judged(&["--log", "audit"]);
    assert_eq!(contradicting.status.code(), Some(1));
}

#[test]
fn refuses_a_checkpoint_with_a_changed_size_root_timestamp_or_line() {
    let line = |text: &str, n: usize| text.lines().nth(n).unwrap().to_owned();
    let whole = fs::read_to_string(copy("publish").path("checkpoint")).unwrap();
    // Lines: origin, size, root, empty, plain signature, cosignature.
    let changed_tail = |text: &str| {
        let last = text.chars().rev().nth(3).unwrap();
        let other = if last == 'A' { 'B' } else { 'A' };
        let at = text.len() - 4;
        format!("{}{other}{}", &text[..at], &text[at + 1..])
    };
    let changes = [
        whole.replacen("\n300\n", "\n299\n", 1),
        whole.replacen(&line(&whole, 2), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", 1),
        whole.replacen(&line(&whole, 4), &changed_tail(&line(&whole, 4)), 1),
        whole.replacen(&line(&whole, 5), &changed_tail(&line(&whole, 5)), 1),
        whole.replacen(&format!("{}\n", line(&whole, 4)), "", 1),
        whole.replacen(&format!("{}\n", line(&whole, 5)), "", 1),
        format!("{whole}{}\n", line(&whole, 5)),
        String::new(),
    ];
    for changed in changes {
        assert_ne!(changed, whole);
        let log = copy("publish");
        fs::write(log.path("checkpoint"), &changed).unwrap();

        assert!(log.refused().contains("verification"), "{changed}");
    }
}

/// AUD-03: no octet of a log can be changed unseen.
#[test]
fn refuses_every_file_with_a_changed_octet_a_missing_octet_or_missing_altogether() {
    let changes: [Change; 3] = [
        ("changed", |octets| octets[20] ^= 1),
        ("cut", |octets| octets.truncate(octets.len() - 1)),
        ("longer", |octets| octets.push(0)),
    ];
    for name in ["publish", "audit"] {
        for file in files(&copy(name).path("tile")) {
            let file = Path::new("tile").join(file).to_str().unwrap().to_owned();
            for (what, change) in changes {
                let log = copy(name);
                log.change(&file, change);

                assert!(log.refused().contains("not the signed tree"), "{name} {file} {what}");
            }
            let log = copy(name);
            fs::remove_file(log.path(&file)).unwrap();
            assert!(log.refused().contains("missing"), "{name} {file}");
        }
    }
}

/// Every file below a folder, relative to it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn wrong_use_ends_with_2() {
    let output = Command::new(env!("CARGO_BIN_EXE_sigill-verify")).arg("log").output().unwrap();

    assert_eq!(output.status.code(), Some(2));
}
