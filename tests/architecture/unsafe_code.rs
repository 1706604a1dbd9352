//! Unsafe code stands in one file: the C side of the laboratory, which disturbs a PKCS#11 module.
//!
//! The workspace forbids it. The laboratory cannot do without, so its manifest repeats the
//! workspace's lints with `deny` for this one, which only that file lifts.

use std::fs;
use std::path::Path;
use std::str::FromStr as _;

use proc_macro2::{TokenStream, TokenTree};
use support::workspace;
use toml::{Table, Value};

use crate::source::lengths;
use crate::{assert_none, assert_one};

/// The one file.
const ALLOWED: &str = "tests/laboratory/src/ffi.rs";

#[test]
fn unsafe_code_stands_in_one_file() {
    let root = workspace::root();
    let paths = lengths(root).into_iter().map(|(path, _)| path);
    let files: Vec<(String, String)> = paths
        .map(|path| {
            let text = fs::read_to_string(root.join(&path)).unwrap();
            (path, text)
        })
        .collect();
    assert!(files.iter().any(|(path, _)| path == ALLOWED), "{ALLOWED} has moved");
    assert_none(&faults(&files), "no unsafe code outside tests/laboratory/src/ffi.rs");
}

#[test]
fn the_laboratory_keeps_every_other_lint() {
    let root = workspace::root();
    let whole = table(&root.join("Cargo.toml"));
    let own = table(&root.join("tests/laboratory/Cargo.toml"));
    assert_none(
        &lint_faults(&whole["workspace"]["lints"], &own["lints"]),
        "the laboratory's lints are the workspace's, with unsafe_code = \"deny\"",
    );
}

fn faults(files: &[(String, String)]) -> Vec<String> {
    let outside = files.iter().filter(|(path, _)| path != ALLOWED);
    outside
        .flat_map(|(path, text)| {
            let stream = TokenStream::from_str(text).unwrap_or_else(|error| {
                panic!("{path}: {error}");
            });
            let mut lines = Vec::new();
            collect(stream, &mut lines);
            lines.into_iter().map(move |line| format!("{path}:{line} says unsafe"))
        })
        .collect()
}

fn collect(stream: TokenStream, lines: &mut Vec<usize>) {
    for token in stream {
        match token {
            TokenTree::Ident(ident) if ident == "unsafe" => lines.push(ident.span().start().line),
            TokenTree::Group(group) => collect(group.stream(), lines),
            _ => {}
        }
    }
}

fn lint_faults(whole: &Value, own: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for (tool, lints) in whole.as_table().unwrap() {
        for (lint, level) in lints.as_table().unwrap() {
            let wanted = if lint == "unsafe_code" { &Value::from("deny") } else { level };
            if own.get(tool).and_then(|lints| lints.get(lint)) != Some(wanted) {
                faults.push(format!("{tool}::{lint} is not {wanted}"));
            }
        }
    }
    faults
}

fn table(path: &Path) -> Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

#[test]
fn refuses_unsafe_code_elsewhere_tests_included() {
    let source = "#[cfg(test)] mod tests { fn f() {\n unsafe { g() } } }";
    let file = |path: &str| [(path.to_owned(), source.to_owned())];

    assert_one(&faults(&file("hsm/src/worker.rs")), "hsm/src/worker.rs:2 says unsafe");
    assert_one(&faults(&file("tests/laboratory/src/lib.rs")), "lib.rs:2");
    assert_none(&faults(&file(ALLOWED)), "the one file");
}

#[test]
fn a_comment_may_say_unsafe() {
    let source = "/// unsafe\nconst WORD: &str = \"unsafe\";";

    assert_none(&faults(&[("hsm/src/a.rs".to_owned(), source.to_owned())]), "only a word");
}

#[test]
fn refuses_a_laboratory_that_lifts_another_lint() {
    let whole: Table =
        "[rust]\nunsafe_code = \"forbid\"\n[clippy]\nunwrap_used = \"warn\"\ntodo = \"warn\""
            .parse()
            .unwrap();
    let own: Table = "[rust]\nunsafe_code = \"deny\"\n[clippy]\ntodo = \"warn\"".parse().unwrap();

    assert_one(&lint_faults(&whole.into(), &own.into()), "clippy::unwrap_used");
}
