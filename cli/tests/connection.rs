//! What `sigill` says of files and values before it sends anything: exit code 2, the option and the
//! file by name, and never a panic.

#![cfg(test)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// Two pairs that OpenSSL made: `one.pem` with `one.key`, `other.pem` with `other.key`.
fn pairs() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["one", "other"] {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .args(["-nodes", "-days", "1", "-subj", "/CN=test"])
            .args(["-keyout", &format!("{name}.key"), "-out", &format!("{name}.pem")])
            .current_dir(&folder)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    folder
}

/// Runs `sigill` against a port that nobody listens on.
fn sigill(cert: &Path, key: &Path, ca: &Path, command: &[&str]) -> (Option<i32>, String) {
    let output: Output = Command::new(env!("CARGO_BIN_EXE_sigill"))
        .args(["--url", "https://127.0.0.1:1"])
        .arg("--cert")
        .arg(cert)
        .arg("--key")
        .arg(key)
        .arg("--ca")
        .arg(ca)
        .args(command)
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

const LIST: &[&str] = &["authority", "list"];

#[test]
fn refuses_a_key_that_is_not_of_the_certificate() {
    let folder = pairs();
    let [cert, key] = ["one.pem", "other.key"].map(|name| folder.path().join(name));

    let (code, said) = sigill(&cert, &key, &cert, LIST);

    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("error: --key does not belong to --cert"), "{said}");
    for path in [cert, key] {
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }
}

#[test]
fn refuses_every_file_that_is_not_the_pem_it_should_be() {
    let folder = pairs();
    let file = |name: &str, content: &str| -> PathBuf {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    };
    let [cert, key] = ["one.pem", "one.key"].map(|name| folder.path().join(name));
    let armour =
        |label: &str| format!("-----BEGIN {label}-----\naGVsbG8=\n-----END {label}-----\n");
    let bad = [
        folder.path().join("missing"),
        folder.path().to_owned(),
        file("empty", ""),
        file("text", "hello\n"),
        file("cut", "-----BEGIN CERTIFICATE-----\naGVs\n"),
        file("no-certificate", &armour("CERTIFICATE")),
        file("no-key", &armour("PRIVATE KEY")),
    ];

    for bad in &bad {
        let wrong = [
            ("--cert", sigill(bad, &key, &cert, LIST)),
            ("--key", sigill(&cert, bad, &cert, LIST)),
            ("--ca", sigill(&cert, &key, bad, LIST)),
        ];
        for (option, (code, said)) in wrong {
            assert_eq!(code, Some(2), "{option} {bad:?}: {said}");
            assert!(said.starts_with("error: "), "{option} {bad:?}: {said}");
            assert!(said.contains(&format!("{option} {}", bad.display())), "{said}");
        }
    }
    // Exchanged: the key where the certificate should be.
    let (code, said) = sigill(&key, &cert, &cert, LIST);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("does not hold a certificate"), "{said}");
}

#[test]
fn a_pair_that_fits_is_taken_to_the_api() {
    let folder = pairs();
    let [cert, key] = ["one.pem", "one.key"].map(|name| folder.path().join(name));

    let (code, said) = sigill(&cert, &key, &cert, LIST);

    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("cannot reach https://127.0.0.1:1"), "{said}");
}

#[test]
fn refuses_a_time_that_is_none_before_it_says_that_it_revokes() {
    let folder = pairs();
    let [cert, key] = ["one.pem", "one.key"].map(|name| folder.path().join(name));
    let command =
        ["certificate", "revoke", "crt_1", "--requested-at", "yesterday", "--yes"].as_slice();

    let (code, said) = sigill(&cert, &key, &cert, command);

    assert_eq!(code, Some(2), "{said}");
    assert!(said.starts_with("error: --requested-at is yesterday"), "{said}");
}

#[test]
fn refuses_to_list_none() {
    let folder = pairs();
    let [cert, key] = ["one.pem", "one.key"].map(|name| folder.path().join(name));

    let (code, said) = sigill(&cert, &key, &cert, &["certificate", "list", "--limit", "0"]);

    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--limit"), "{said}");
}

/// A request's key and the client's key are not to be confused.
#[test]
fn connection_options_stand_behind_those_of_the_command() {
    let output = Command::new(env!("CARGO_BIN_EXE_sigill"))
        .args(["certificate", "issue", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    let (own, connection) = help.split_once("Connection:").expect(&help);

    assert!(own.contains("--csr") && !own.contains("--key <FILE>"), "{help}");
    assert!(connection.contains("Private key of the API client's certificate (--cert)"), "{help}");
}
