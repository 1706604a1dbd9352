//! Arrows point down: what each room may name in its manifest, compared with `cargo metadata`.
//!
//! The table is tests/architecture/rooms.toml. A new arrow or a new library in a pure room is a
//! decision: change the table in the same commit and say why.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};
use serde::Deserialize;
use support::workspace;

use crate::{assert_none, assert_one};

#[test]
fn every_room_depends_only_on_what_the_table_allows() {
    let metadata = metadata();
    let faults: Vec<String> = direct(&metadata)
        .iter()
        .flat_map(|(room, names)| direct_faults(room, names, &rule()))
        .collect();
    assert_none(&faults, "see tests/architecture/rooms.toml and ARCHITECTURE.md");
}

#[test]
fn no_program_links_what_it_must_be_free_of() {
    let metadata = metadata();
    let faults: Vec<String> = linked(&metadata)
        .iter()
        .flat_map(|(room, names)| linked_faults(room, names, &rule()))
        .collect();
    assert_none(&faults, "see `free-of` in tests/architecture/rooms.toml");
}

/// tests/architecture/rooms.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    room: BTreeMap<String, Room>,
    /// Library -> the rooms that may name it.
    only: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Room {
    /// Our rooms it may name.
    rooms: BTreeSet<String>,
    /// The libraries it may name; absent: any that `only` does not keep for others.
    libraries: Option<BTreeSet<String>>,
    /// What may not be linked into it, at any distance.
    #[serde(default)]
    free_of: BTreeSet<String>,
}

fn direct_faults(room: &str, names: &BTreeSet<String>, rule: &Rule) -> Vec<String> {
    let Some(row) = rule.room.get(room) else {
        return vec![format!("{room} has no row")];
    };
    let (ours, libraries): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| rule.room.contains_key(*name));
    let surplus_rooms = ours.into_iter().filter(|name| !row.rooms.contains(*name));
    let surplus_libraries = libraries.into_iter().filter(|name| {
        let kept_for_others = rule.only.get(*name).is_some_and(|rooms| !rooms.contains(room));
        let listed = row.libraries.as_ref().is_none_or(|allowed| allowed.contains(*name));
        kept_for_others || !listed
    });
    surplus_rooms
        .chain(surplus_libraries)
        .map(|name| format!("{room} may not depend on {name}"))
        .collect()
}

fn linked_faults(room: &str, names: &BTreeSet<String>, rule: &Rule) -> Vec<String> {
    let free_of = rule.room.get(room).map(|row| &row.free_of);
    let linked = free_of.into_iter().flatten().filter(|name| names.contains(*name));
    linked.map(|name| format!("{room} links {name}, directly or through another")).collect()
}

fn rule() -> Rule {
    let path = workspace::root().join("tests/architecture/rooms.toml");
    toml::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

fn metadata() -> Metadata {
    let manifest = workspace::root().join("Cargo.toml");
    // Other platforms' packages need not have been downloaded.
    let options = ["--offline", "--filter-platform", "host-tuple"].map(str::to_owned).to_vec();
    MetadataCommand::new().manifest_path(manifest).other_options(options).exec().unwrap()
}

/// Room -> what its manifest names, dev-dependencies apart.
fn direct(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let members = metadata.workspace_packages();
    let rooms = members.iter().filter(|package| package.name.as_str() != "support");
    rooms
        .map(|package| {
            let names =
                package.dependencies.iter().filter(|one| one.kind != DependencyKind::Development);
            (package.name.to_string(), names.map(|one| one.name.clone()).collect())
        })
        .collect()
}

/// Room -> the name of every package linked into it, at any distance.
fn linked(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let mut edges: BTreeMap<&PackageId, Vec<&PackageId>> = BTreeMap::new();
    for node in &metadata.resolve.as_ref().unwrap().nodes {
        let normal = node
            .deps
            .iter()
            .filter(|one| one.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        edges.insert(&node.id, normal.map(|one| &one.pkg).collect());
    }
    let members = metadata.workspace_packages();
    let rooms = members.iter().filter(|package| package.name.as_str() != "support");
    rooms
        .map(|package| {
            let reached = reach(&package.id, &edges);
            (
                package.name.to_string(),
                reached.iter().map(|id| metadata[id].name.to_string()).collect(),
            )
        })
        .collect()
}

fn reach<'a>(
    start: &'a PackageId,
    edges: &BTreeMap<&'a PackageId, Vec<&'a PackageId>>,
) -> BTreeSet<&'a PackageId> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![start];
    while let Some(id) = waiting.pop() {
        for next in edges.get(id).into_iter().flatten() {
            if reached.insert(*next) {
                waiting.push(next);
            }
        }
    }
    reached
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn refuses_an_arrow_that_points_up() {
    assert_one(
        &direct_faults("crl", &names(&["x509", "store"]), &rule()),
        "crl may not depend on store",
    );
}

#[test]
fn refuses_an_arrow_between_ca_and_crl() {
    assert_one(&direct_faults("ca", &names(&["crl"]), &rule()), "ca may not depend on crl");
    assert_one(&direct_faults("crl", &names(&["ca"]), &rule()), "crl may not depend on ca");
}

#[test]
fn refuses_a_library_kept_for_another_room() {
    for (room, library) in [
        ("ca-server", "rusqlite"),
        ("ca-server", "cryptoki"),
        ("store", "der"),
        ("hsm", "tokio"),
        ("cli", "p256"),
    ] {
        assert_one(&direct_faults(room, &names(&[library]), &rule()), library);
    }
}

#[test]
fn refuses_a_library_that_a_pure_room_does_not_list() {
    assert_one(
        &direct_faults("status", &names(&["getrandom"]), &rule()),
        "status may not depend on getrandom",
    );
}

/// The laboratory disturbs a PKCS#11 module: a thing for tests.
#[test]
fn refuses_the_laboratory_outside_tests() {
    for room in rule().room.keys() {
        assert_one(
            &direct_faults(room, &names(&["laboratory"]), &rule()),
            "may not depend on laboratory",
        );
    }
}

#[test]
fn refuses_a_room_without_a_row() {
    assert_one(&direct_faults("helpers", &names(&[]), &rule()), "helpers has no row");
}

#[test]
fn refuses_sql_linked_into_the_responder() {
    assert_one(
        &linked_faults("ocsp-responder", &names(&["rusqlite", "x509"]), &rule()),
        "links rusqlite",
    );
}

#[test]
fn sees_a_package_at_a_distance() {
    let metadata = metadata();

    assert!(
        linked(&metadata)["store"].contains("libsqlite3-sys"),
        "store links SQLite through rusqlite"
    );
}
