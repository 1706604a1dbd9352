//! `sigill-verify receipt` over the shipped vectors, and over copies in which one thing is wrong.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

struct Vectors {
    folder: TempDir,
    document: Value,
}

impl Vectors {
    fn new() -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/formats/vectors/receipts.json");
        let document = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), document }
    }

    fn text(&self, name: &str) -> &str {
        self.document[name].as_str().unwrap()
    }

    fn pinned(&self, vantage: &str) -> String {
        format!("{vantage}={}", self.document["vantage points"][vantage].as_str().unwrap())
    }

    fn judge(
        &self,
        note: &[u8],
        key: &str,
        deployment: &str,
        vantages: &[String],
        more: &[&str],
    ) -> Output {
        let file = self.folder.path().join("receipt");
        fs::write(&file, note).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_sigill-verify"));
        command
            .arg("receipt")
            .arg(file)
            .args(["--key", key, "--deployment", deployment])
            .args(more);
        vantages.iter().for_each(|one| {
            command.args(["--vantage", one]);
        });
        command.output().unwrap()
    }

    fn refused(&self, note: &[u8], key: &str, deployment: &str, vantages: &[String], why: &str) {
        let output = self.judge(note, key, deployment, vantages, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{why}: {said}");
        assert!(said.contains(why), "{why}: {said}");
    }
}

/// REV-07.
#[test]
fn a_receipt_holds_under_its_pinned_keys_and_under_no_others() {
    let vectors = Vectors::new();
    let (key, deployment) = (vectors.text("public key"), vectors.text("deployment"));
    let both = [vectors.pinned("stockholm"), vectors.pinned("umea")];
    let note = vectors.document["receipts"][0]["note"].as_str().unwrap().as_bytes();

    let held = vectors.judge(note, key, deployment, &both, &["--json"]);
    assert!(held.status.success(), "{}", String::from_utf8_lossy(&held.stderr));
    let found: Value = serde_json::from_slice(&held.stdout).unwrap();
    assert_eq!(found["method"], "ocsp");
    let revocation = &vectors.document["receipts"][0]["revocations"][0];
    assert_eq!(found["revocations"][0]["serial"], revocation["serial"]);
    assert_eq!(found["points"].as_array().unwrap().len(), 4);
    let wave = vectors.document["receipts"][1]["note"].as_str().unwrap().as_bytes();
    assert!(vectors.judge(wave, key, deployment, &both[..1], &[]).status.success());

    vectors.refused(note, &"51".repeat(32), deployment, &both, "first verification");
    vectors.refused(note, key, "test/demo/zz99", &both, "receipt is of test/demo/ab12");
    vectors.refused(note, key, deployment, &both[..1], "which no --vantage names");
    vectors.refused(wave, key, deployment, &both, "does not rest on vantage point umea");
    let strange = [both[0].clone(), format!("umea={}", "00".repeat(32))];
    vectors.refused(note, key, deployment, &strange, "which no --vantage names");
}

/// REV-07: each field tampered with, each octet another one.
#[test]
fn nothing_that_was_changed_holds() {
    let vectors = Vectors::new();
    let (key, deployment) = (vectors.text("public key"), vectors.text("deployment"));
    let both = [vectors.pinned("stockholm"), vectors.pinned("umea")];
    for refused in vectors.document["refused"].as_array().unwrap() {
        let note = refused["note"].as_str().unwrap().as_bytes();
        let output = vectors.judge(note, key, deployment, &both, &[]);
        assert_eq!(output.status.code(), Some(1), "{}", refused["name"]);
    }
    let note = vectors.document["receipts"][0]["note"].as_str().unwrap().as_bytes();
    for place in (0..note.len()).step_by(97) {
        let mut changed = note.to_vec();
        changed[place] ^= 1;
        let output = vectors.judge(&changed, key, deployment, &both, &[]);
        assert_eq!(output.status.code(), Some(1), "octet {place}");
    }
}

/// Who has not kept the objects is told so, and never that they fit.
#[test]
fn an_object_that_is_missing_or_another_one_is_refused() {
    let vectors = Vectors::new();
    let (key, deployment) = (vectors.text("public key"), vectors.text("deployment"));
    let wave = vectors.document["receipts"][1]["note"].as_str().unwrap().as_bytes();
    let folder = vectors.folder.path().to_str().unwrap();
    let one = [vectors.pinned("stockholm")];

    let missing = vectors.judge(wave, key, deployment, &one, &["--objects", folder]);
    assert_eq!(missing.status.code(), Some(1));
    fs::write(vectors.folder.path().join(format!("{}.crl", "0b".repeat(32))), "another").unwrap();
    let another = vectors.judge(wave, key, deployment, &one, &["--objects", folder]);
    let said = String::from_utf8_lossy(&another.stderr).into_owned();
    assert!(said.contains("is not what its name says"), "{said}");
}
