//! No file past 600 lines: one idea a file.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;
use support::workspace;

use crate::source::lengths;
use crate::{assert_none, assert_one};

/// Past this many lines a file holds more than one idea, or says why not.
const LIMIT_LINES: usize = 600;

#[test]
fn no_file_is_longer_than_a_reader_can_hold() {
    let path = workspace::root().join("tests/architecture/long-files.toml");
    let allowed: LongFiles = toml::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    assert_none(
        &faults(&lengths(workspace::root()), &allowed),
        "split the file by idea, or give its reason in tests/architecture/long-files.toml",
    );
}

/// Path of a longer file -> why it is one idea.
#[derive(Deserialize)]
#[serde(transparent)]
struct LongFiles(BTreeMap<String, String>);

fn faults(files: &[(String, usize)], allowed: &LongFiles) -> Vec<String> {
    let mut faults = Vec::new();
    for (path, lines) in files.iter().filter(|(_, lines)| *lines > LIMIT_LINES) {
        match allowed.0.get(path) {
            None => faults.push(format!("{path} has {lines} lines, more than {LIMIT_LINES}")),
            Some(reason) if reason.trim().is_empty() => {
                faults.push(format!("{path} is listed without a reason"));
            }
            Some(_) => {}
        }
    }
    for path in allowed.0.keys() {
        if !files.iter().any(|(name, lines)| name == path && *lines > LIMIT_LINES) {
            faults.push(format!("{path} is listed and is not longer than {LIMIT_LINES} lines"));
        }
    }
    faults
}

fn long_file() -> (String, usize) {
    ("ca/src/long.rs".to_owned(), LIMIT_LINES + 1)
}

fn listed(reason: &str) -> LongFiles {
    LongFiles(BTreeMap::from([("ca/src/long.rs".to_owned(), reason.to_owned())]))
}

#[test]
fn sees_tests_too() {
    let files = lengths(workspace::root());

    for path in ["tests/architecture/length.rs", "lint/tests/mutants/main.rs", "lint/src/lib.rs"] {
        assert!(files.iter().any(|(name, _)| name == path), "{path}");
    }
}

#[test]
fn refuses_a_long_file() {
    assert_one(
        &faults(&[long_file()], &LongFiles(BTreeMap::new())),
        "ca/src/long.rs has 601 lines",
    );
}

#[test]
fn refuses_a_long_file_without_a_reason() {
    assert_one(&faults(&[long_file()], &listed(" ")), "without a reason");
}

#[test]
fn refuses_an_entry_that_is_no_longer_needed() {
    assert_one(&faults(&[], &listed("one table")), "is listed and is not longer");
}

#[test]
fn allows_a_long_file_with_a_reason() {
    assert_none(&faults(&[long_file()], &listed("one table")), "a reason was given");
}
