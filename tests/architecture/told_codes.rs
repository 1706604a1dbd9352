//! The codes of tokens, keys and modules that operators meet stand in docs/operations/hsm.md, and no
//! others do.

use std::collections::BTreeSet;
use std::fs;

use support::workspace;

use crate::source::{SourceFile, rooms};
use crate::{assert_none, assert_one};

/// What they begin with.
const PREFIX: &str = "hsm-";

/// KEY-09, promise 9.
#[test]
fn operators_are_told_of_every_code_of_the_hsm_room() {
    let files: Vec<SourceFile> =
        rooms(workspace::root()).into_iter().filter(|file| file.room() == "hsm").collect();
    let path = workspace::root().join("docs/operations/hsm.md");
    let page = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"));

    assert_none(&faults(&files, &page), "docs/operations/hsm.md has the codes of hsm/src");
}

fn faults(files: &[SourceFile], page: &str) -> Vec<String> {
    let said: BTreeSet<&str> =
        files.iter().flat_map(SourceFile::texts).map(|(_, text)| text).filter(is_code).collect();
    let told: BTreeSet<&str> = page.split('`').skip(1).step_by(2).filter(is_code).collect();
    let untold = said.difference(&told).map(|code| format!("{code} is not told"));
    let unsaid = told.difference(&said).map(|code| format!("{code} is told and never said"));
    untold.chain(unsaid).collect()
}

fn is_code(text: &&str) -> bool {
    text.strip_prefix(PREFIX).is_some_and(|rest| {
        !rest.is_empty() && rest.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')
    })
}

#[test]
fn refuses_a_code_that_is_told_or_said_alone() {
    let code = "fn code() -> &'static str { \"hsm-lost\" }";
    let file = || [SourceFile::parse("hsm/src/a.rs", code)];

    assert_none(&faults(&file(), "| `hsm-lost` | it is lost |"), "told and said");
    assert_one(&faults(&file(), "| hsm-lost |"), "hsm-lost is not told");
    assert_one(&faults(&file(), "`hsm-lost`, `hsm-old`"), "hsm-old is told and never said");
}
