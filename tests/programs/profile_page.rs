//! docs/profiles.md says of every shipped profile what it is for.

use std::fs;

use support::workspace;

/// Whoever ships another profile says who is to rely on it, and whoever takes one away takes its line.
#[test]
fn the_page_names_every_shipped_profile_and_no_other() {
    let root = workspace::root();
    let page = fs::read_to_string(root.join("docs/profiles.md")).expect("the page");
    let (_, tables) = page.split_once("\n## What each is for\n").expect("the tables");
    let (tables, _) = tables.split_once("\n## ").expect("the end of the tables");
    let first_cells = tables.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut named: Vec<&str> = first_cells
        .filter_map(|line| line.split_once("` |"))
        .flat_map(|(cell, _)| cell.split("`, `"))
        .collect();
    named.sort_unstable();
    let folder = fs::read_dir(root.join("profiles")).expect("the profiles");
    let mut shipped: Vec<String> = folder
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter_map(|name| name.strip_suffix(".toml").map(str::to_owned))
        .collect();
    shipped.sort_unstable();

    assert_eq!(named, shipped);
}
