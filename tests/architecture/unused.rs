//! No manifest names a library that no code of its room uses: each one costs a review with every
//! update.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proc_macro2::{TokenStream, TokenTree};
use support::workspace;
use toml::{Table, Value};

use crate::{assert_none, assert_one};

const SECTIONS: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

#[test]
fn every_library_of_a_manifest_is_used() {
    let root = workspace::root();
    let whole = table(&root.join("Cargo.toml"));
    let members = whole["workspace"]["members"].as_array().unwrap();
    let mut faults = Vec::new();
    let mut named = BTreeSet::new();
    for member in members.iter().filter_map(Value::as_str) {
        let mut idents = BTreeSet::new();
        read_folder(&root.join(member), &mut idents);
        let manifest = table(&root.join(member).join("Cargo.toml"));
        for file in files_elsewhere(&manifest) {
            collect(&fs::read_to_string(root.join(member).join(file)).unwrap(), &mut idents);
        }
        let wanted = libraries(&manifest);
        faults.extend(unused(&format!("{member}/Cargo.toml"), &wanted, &idents));
        named.extend(wanted);
    }
    let offered = whole["workspace"]["dependencies"].as_table().unwrap().keys().cloned().collect();
    faults.extend(unused("Cargo.toml", &offered, &named));
    assert_none(&faults, "take the line out of the manifest");
}

/// What a manifest names, in every section.
fn libraries(manifest: &Table) -> BTreeSet<String> {
    let sections = SECTIONS.iter().filter_map(|section| manifest.get(*section)?.as_table());
    sections.flat_map(|section| section.keys().cloned()).collect()
}

/// Sources that a manifest names outside its folder.
fn files_elsewhere(manifest: &Table) -> Vec<String> {
    let targets = ["example", "bench", "test"].map(|kind| manifest.get(kind));
    let targets = targets.into_iter().flatten().filter_map(Value::as_array).flatten();
    let paths = targets.filter_map(|target| target.get("path")?.as_str());
    paths.filter(|path| path.starts_with("..")).map(str::to_owned).collect()
}

fn unused(manifest: &str, named: &BTreeSet<String>, used: &BTreeSet<String>) -> Vec<String> {
    let idle = named
        .iter()
        .filter(|name| !used.contains(*name) && !used.contains(&name.replace('-', "_")));
    idle.map(|name| format!("{manifest} names {name}, which nothing uses")).collect()
}

/// Every identifier under a folder, tests included and comments left out.
fn read_folder(folder: &Path, idents: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_folder(&path, idents);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            collect(&fs::read_to_string(&path).unwrap(), idents);
        }
    }
}

fn collect(text: &str, idents: &mut BTreeSet<String>) {
    fn walk(stream: TokenStream, idents: &mut BTreeSet<String>) {
        for token in stream {
            match token {
                TokenTree::Ident(ident) => {
                    idents.insert(ident.to_string());
                }
                TokenTree::Group(group) => walk(group.stream(), idents),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
    walk(text.parse().unwrap(), idents);
}

fn table(path: &Path) -> Table {
    fs::read_to_string(path).unwrap().parse().unwrap()
}

#[test]
fn refuses_a_library_that_only_a_comment_names() {
    let manifest: Table = "[dependencies]\nhttp-body-util = \"1\"\ntower = \"1\"".parse().unwrap();
    let mut idents = BTreeSet::new();
    collect("/* tower::Layer */ use http_body_util::BodyExt;", &mut idents);

    assert_one(
        &unused("room/Cargo.toml", &libraries(&manifest), &idents),
        "room/Cargo.toml names tower",
    );
}
