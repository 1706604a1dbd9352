//! The pure rooms stay pure: their `clippy.toml` forbids clock, randomness, files, environment,
//! network and threads, nothing in them switches that off, and nothing in them is asynchronous.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::workspace;
use toml::{Table, Value};

use crate::source::{SourceFile, rooms};
use crate::{assert_none, assert_one};

const PURE: &[&str] = &["x509", "lint", "ledger", "status", "ca", "crl", "ceremony-core"];

#[test]
fn every_pure_room_forbids_what_the_canonical_list_forbids() {
    let root = workspace::root();
    let canonical = table(&root.join("tests/architecture/pure-room.clippy.toml"));
    let faults: Vec<String> = PURE
        .iter()
        .flat_map(|room| {
            clippy_faults(room, &table(&root.join(room).join("clippy.toml")), &canonical)
        })
        .collect();
    assert_none(&faults, "a pure room's clippy.toml is tests/architecture/pure-room.clippy.toml");
}

#[test]
fn every_room_inherits_the_lints_of_the_workspace() {
    let root = workspace::root();
    let members =
        table(&root.join("Cargo.toml"))["workspace"]["members"].as_array().unwrap().clone();
    let rooms: Vec<&str> = members
        .iter()
        .map(|member| member.as_str().unwrap())
        .filter(|name| !name.starts_with("tests"))
        .collect();
    let faults: Vec<String> = rooms
        .iter()
        .filter_map(|room| manifest_fault(room, &table(&root.join(room).join("Cargo.toml"))))
        .collect();
    assert!(rooms.len() >= PURE.len(), "only {rooms:?} were read");
    assert_none(&faults, "a manifest says `[lints] workspace = true`");
}

#[test]
fn no_pure_room_lifts_the_ban_or_is_asynchronous() {
    let faults: Vec<String> = rooms(workspace::root()).iter().flat_map(async_faults).collect();
    assert_none(&faults, "pure rooms are synchronous");

    let faults: Vec<String> = rooms(workspace::root()).iter().flat_map(lifted_faults).collect();
    assert_none(&faults, "no code in a pure room may lift clippy::disallowed_methods");
}

fn clippy_faults(room: &str, found: &Table, canonical: &Table) -> Vec<String> {
    let (found, canonical) = (paths(found), paths(canonical));
    assert!(!canonical.is_empty(), "the canonical list is empty");
    canonical
        .difference(&found)
        .map(|path| format!("{room}/clippy.toml does not forbid {path}"))
        .collect()
}

fn paths(table: &Table) -> BTreeSet<String> {
    let empty = Vec::new();
    let methods = table.get("disallowed-methods").and_then(Value::as_array).unwrap_or(&empty);
    methods.iter().map(|method| method["path"].as_str().unwrap().to_owned()).collect()
}

fn manifest_fault(room: &str, manifest: &Table) -> Option<String> {
    let inherits =
        manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    (inherits != Some(true))
        .then(|| format!("{room}/Cargo.toml does not inherit the workspace's lints"))
}

fn async_faults(file: &SourceFile) -> Vec<String> {
    let words = file
        .idents()
        .filter(|(_, word)| PURE.contains(&file.room()) && matches!(*word, "async" | "await"));
    words.map(|(line, word)| format!("{}:{line} says {word}", file.path)).collect()
}

fn lifted_faults(file: &SourceFile) -> Vec<String> {
    let lifted = file.attributes.iter().filter(|(_, attribute)| {
        let plain: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
        PURE.contains(&file.room()) && plain.contains("clippy::disallowed_methods")
    });
    lifted
        .map(|(line, _)| format!("{}:{line} lifts clippy::disallowed_methods", file.path))
        .collect()
}

fn table(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    text.parse().unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The list itself works: clippy, reading it, refuses one of each kind in a made-up pure room.
#[test]
fn clippy_refuses_what_the_canonical_list_names() {
    let impure = [
        ("std::time::SystemTime::now", "let _ = std::time::SystemTime::now();"),
        ("std::time::Instant::now", "let _ = std::time::Instant::now();"),
        ("std::fs::read", "let _ = std::fs::read(\"file\");"),
        ("std::env::var", "let _ = std::env::var(\"HOME\");"),
        ("std::net::TcpStream::connect", "let _ = std::net::TcpStream::connect(\"[::1]:1\");"),
        ("std::thread::spawn", "std::thread::spawn(|| ());"),
        ("std::process::Command::new", "let _ = std::process::Command::new(\"sh\");"),
    ];
    let folder = tempfile::tempdir().unwrap();
    let room = folder.path();
    fs::create_dir_all(room.join("src")).unwrap();
    let manifest = "[package]\nname = \"impure-room\"\nedition = \"2024\"\n[workspace]\n";
    fs::write(room.join("Cargo.toml"), manifest).unwrap();
    let lines: String = impure.iter().map(|(_, line)| format!("    {line}\n")).collect();
    fs::write(room.join("src/lib.rs"), format!("pub fn impure() {{\n{lines}}}\n")).unwrap();
    let list = workspace::root().join("tests/architecture/pure-room.clippy.toml");
    fs::copy(list, room.join("clippy.toml")).unwrap();

    let verdict = Command::new("cargo")
        .args(["clippy", "--quiet", "--offline", "--", "-D", "clippy::disallowed_methods"])
        .env("CARGO_TARGET_DIR", room.join("target"))
        .current_dir(room)
        .output()
        .unwrap();

    let said = String::from_utf8_lossy(&verdict.stderr);
    assert!(!verdict.status.success(), "clippy accepted the impure room: {said}");
    for (path, _) in impure {
        assert!(said.contains(&format!("disallowed method `{path}`")), "{path} passed: {said}");
    }
}

#[test]
fn refuses_a_room_that_allows_the_clock() {
    let canonical =
        r#"disallowed-methods = [{ path = "a::now" }, { path = "b::read" }]"#.parse().unwrap();
    let found =
        r#"disallowed-methods = [{ path = "b::read" }, { path = "c::own" }]"#.parse().unwrap();

    assert_one(&clippy_faults("ca", &found, &canonical), "ca/clippy.toml does not forbid a::now");
}

#[test]
fn refuses_a_room_without_a_list() {
    let canonical = r#"disallowed-methods = [{ path = "a::now" }]"#.parse().unwrap();

    assert_one(&clippy_faults("ca", &Table::new(), &canonical), "a::now");
}

#[test]
fn refuses_a_manifest_with_lints_of_its_own() {
    assert!(manifest_fault("ca", &"[lints.clippy]\ntodo = \"allow\"".parse().unwrap()).is_some());
    assert!(manifest_fault("ca", &Table::new()).is_some());
    assert!(manifest_fault("ca", &"[lints]\nworkspace = true".parse().unwrap()).is_none());
}

#[test]
fn refuses_asynchronous_code_in_a_pure_room_only() {
    let source = "async fn f() {}";

    assert_one(
        &async_faults(&SourceFile::parse("crl/src/due.rs", source)),
        "crl/src/due.rs:1 says async",
    );
    assert_none(&async_faults(&SourceFile::parse("ca-server/src/http.rs", source)), "servers may");
}

#[test]
fn refuses_a_lifted_ban_outside_tests() {
    let lifts = "#[expect(clippy::disallowed_methods, reason = \"just once\")] fn f() {}";
    let in_tests = format!("#[cfg(test)] mod tests {{ {lifts} }}");

    assert_one(&lifted_faults(&SourceFile::parse("ca/src/a.rs", lifts)), "ca/src/a.rs:1 lifts");
    assert_none(&lifted_faults(&SourceFile::parse("ca/src/a.rs", &in_tests)), "tests may");
    assert_none(&lifted_faults(&SourceFile::parse("store/src/a.rs", lifts)), "edges may");
}
