//! `Recorded::by` stands in three places only: what makes an intent durable (promises 1 and 2).
//!
//! A fourth would be a second idea of what "recorded" means, and so a way to a signature that no
//! record covers.

use std::collections::BTreeMap;

use support::workspace;

use crate::source::{Kind, SourceFile, rooms};
use crate::{assert_none, assert_one};

/// The rooms that may call it, and what the name of the one file must contain.
const RECORDERS: &[(&str, &str)] =
    &[("store", ""), ("ceremony", "transcript"), ("ocsp-responder", "signer")];

/// Where it is written.
const HOME: &str = "x509/src/signing.rs";

#[test]
fn only_the_three_recorders_call_recorded_by() {
    assert_none(
        &faults(&rooms(workspace::root())),
        "`Recorded::by` may be called in one file each of store, ceremony (transcript) and ocsp-responder (signer)",
    );
}

fn faults(files: &[SourceFile]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut callers: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path != HOME) {
        for line in renamings(file) {
            faults.push(format!(
                "{}:{line} gives Recorded another name, which hides its callers",
                file.path
            ));
        }
        let Some(line) = calls(file).first().copied() else { continue };
        let allowed = RECORDERS
            .iter()
            .any(|(room, part)| file.room() == *room && file.path[room.len()..].contains(part));
        if allowed {
            callers.entry(file.room()).or_default().push(&file.path);
        } else {
            faults.push(format!("{}:{line} calls Recorded::by", file.path));
        }
    }
    for (room, paths) in callers.iter().filter(|(_, paths)| paths.len() > 1) {
        faults.push(format!(
            "{room} calls Recorded::by in {} files: {}",
            paths.len(),
            paths.join(", ")
        ));
    }
    faults
}

/// The lines with `Recorded::by`, called or passed on.
fn calls(file: &SourceFile) -> Vec<usize> {
    sequences(file, &[ident("Recorded"), Kind::Punct("::".into()), ident("by")])
}

/// The lines with `Recorded as ...` and `= Recorded;`.
fn renamings(file: &SourceFile) -> Vec<usize> {
    let mut lines = sequences(file, &[ident("Recorded"), ident("as")]);
    let assigned =
        sequences(file, &[Kind::Punct("=".into()), ident("Recorded"), Kind::Punct(";".into())]);
    lines.extend(assigned);
    lines
}

fn sequences(file: &SourceFile, wanted: &[Kind]) -> Vec<usize> {
    let windows = file.words.windows(wanted.len());
    windows
        .filter(|found| found.iter().map(|word| &word.kind).eq(wanted))
        .map(|found| found[0].line)
        .collect()
}

fn ident(name: &str) -> Kind {
    Kind::Ident(name.to_owned())
}

fn file(path: &str, source: &str) -> SourceFile {
    SourceFile::parse(path, source)
}

const CALL: &str = "fn f() { let recorded = Recorded::by(recorder, intent)?; }";

#[test]
fn allows_each_recorder_one_file() {
    let files = [
        file("store/src/intent.rs", CALL),
        file("ceremony/src/transcript.rs", CALL),
        file("ocsp-responder/src/signer.rs", CALL),
        file(HOME, CALL),
    ];

    assert_none(&faults(&files), "the three recorders and the home of the type");
}

#[test]
fn refuses_a_call_in_another_room() {
    assert_one(&faults(&[file("ca/src/prepare.rs", CALL)]), "ca/src/prepare.rs:1 calls");
}

#[test]
fn refuses_a_call_in_another_file_of_the_ceremony() {
    assert_one(&faults(&[file("ceremony/src/steps.rs", CALL)]), "steps.rs:1 calls");
}

#[test]
fn refuses_a_second_file_of_the_store() {
    let files = [file("store/src/intent.rs", CALL), file("store/src/crl.rs", CALL)];

    assert_one(&faults(&files), "store calls Recorded::by in 2 files");
}

#[test]
fn refuses_the_function_passed_as_a_value() {
    let source = "fn f() { intents.map(x509::signing::Recorded::by) }";

    assert_one(&faults(&[file("hsm/src/worker.rs", source)]), "hsm/src/worker.rs:1");
}

#[test]
fn refuses_another_name_for_the_type() {
    assert_one(
        &faults(&[file("hsm/src/worker.rs", "use x509::signing::Recorded as R;")]),
        "another name",
    );
    assert_one(&faults(&[file("hsm/src/worker.rs", "type R = Recorded;")]), "another name");
}

#[test]
fn a_call_in_a_test_is_free() {
    let source = "#[cfg(test)] mod tests { fn f() { Recorded::by(a, b); } }";

    assert_none(&faults(&[file("hsm/src/worker.rs", source)]), "tests may record");
}
