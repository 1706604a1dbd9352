//! Whoever sees a code in an answer, a log line or on a terminal finds it on a page of the docs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use support::workspace;

use crate::source::{Kind, SourceFile, rooms};
use crate::{assert_none, assert_one};

/// API-04, promise 9: each code that a refusal or alarm names by itself.
#[test]
fn every_code_stands_on_a_page() {
    let told: BTreeSet<String> = pages(&workspace::root().join("docs"))
        .iter()
        .flat_map(|page| page.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>())
        .collect();

    assert_none(
        &untold(&rooms(workspace::root()), &told),
        "docs/operations/codes.md or a page of its own has it",
    );
}

fn pages(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .flat_map(|path| match path.extension().and_then(|end| end.to_str()) {
            _ if path.is_dir() => pages(&path),
            Some("md") => vec![std::fs::read_to_string(&path).unwrap()],
            _ => Vec::new(),
        })
        .collect()
}

fn untold(files: &[SourceFile], told: &BTreeSet<String>) -> Vec<String> {
    let said: BTreeMap<&str, &str> =
        files.iter().flat_map(|file| codes(file).map(|code| (code, file.path.as_str()))).collect();
    let untold = said.iter().filter(|(code, _)| !told.contains(**code));
    untold.map(|(code, path)| format!("{code} of {path} is on no page")).collect()
}

/// Texts in the form of a code: those in a function `code`, and what a line of the log has as `problem.code`.
fn codes(file: &SourceFile) -> impl Iterator<Item = &str> {
    let mut within = false;
    file.words.iter().enumerate().filter_map(move |(at, word)| {
        let before = |back: usize| at.checked_sub(back).map(|index| &file.words[index].kind);
        let is_ident = |kind: Option<&Kind>, name: &str| {
            matches!(kind, Some(Kind::Ident(found)) if found == name)
        };
        match &word.kind {
            Kind::Ident(name) if name == "fn" => within = false,
            Kind::Ident(name) if name == "code" && is_ident(before(1), "fn") => within = true,
            Kind::Text(text) if is_code(text) => {
                let is_logged = is_ident(before(2), "code") && is_ident(before(4), "problem");
                return (within || is_logged).then_some(text.as_str());
            }
            _ => {}
        }
        None
    })
}

fn is_code(text: &str) -> bool {
    text.contains('-')
        && text.split('-').all(|word| {
            let mut letters = word.chars();
            letters.next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
                && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        })
}

#[test]
fn refuses_a_code_that_is_on_no_page() {
    let text = "fn code(&self) -> &'static str { match self { A => \"a-lost\", B => \"b-lost\" } }
                fn other() { let _ = \"no-code\"; tracing::warn!(problem.code = \"c-lost\", \"lost\"); }";
    let file = || [SourceFile::parse("store/src/a.rs", text)];
    let told = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();

    assert_none(&untold(&file(), &told(&["a-lost", "b-lost", "c-lost"])), "told");
    for left_out in ["a-lost", "b-lost", "c-lost"] {
        let others: Vec<&str> =
            ["a-lost", "b-lost", "c-lost"].into_iter().filter(|code| *code != left_out).collect();
        assert_one(&untold(&file(), &told(&others)), &format!("{left_out} of store/src/a.rs"));
    }
}
