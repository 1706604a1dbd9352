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
    let takers = takers(files);
    let said: BTreeMap<&str, &str> = files
        .iter()
        .flat_map(|file| codes(file, &takers).map(|code| (code, file.path.as_str())))
        .collect();
    let untold = said.iter().filter(|(code, _)| !told.contains(**code));
    untold.map(|(code, path)| format!("{code} of {path} is on no page")).collect()
}

/// What is called with a code first: `Refusal::new`, and by its name alone whatever else is a function or closure with a first parameter `code`.
fn takers(files: &[SourceFile]) -> BTreeSet<String> {
    let mut takers = BTreeSet::new();
    for file in files {
        let spelt: Vec<&str> = file.words.iter().map(|word| spelt(&word.kind)).collect();
        let mut whose = "";
        for words in spelt.windows(5) {
            match *words {
                ["impl", name, ..] => whose = name,
                ["fn", "new", "(", "code", ":"] => _ = takers.insert(format!("{whose}::new")),
                ["fn", name, "(", "code", ":"] | ["let", name, "=", "|", "code"] => {
                    takers.insert(name.to_owned());
                }
                _ => {}
            }
        }
    }
    takers
}

fn spelt(kind: &Kind) -> &str {
    match kind {
        Kind::Ident(text) | Kind::Punct(text) => text,
        Kind::Open => "(",
        Kind::Text(_) => "\"",
    }
}

/// Texts in the form of a code: those in a function `code`, what a field or variable `code` is set to, what stands first in the tuples that
/// `let (code, ..)` chooses from, and the first argument of what takes a code.
fn codes<'a>(
    file: &'a SourceFile,
    takers: &'a BTreeSet<String>,
) -> impl Iterator<Item = &'a str> + 'a {
    let (mut within, mut chosen) = (false, false);
    file.words.iter().enumerate().filter_map(move |(at, word)| {
        let before =
            |back: usize| at.checked_sub(back).map_or("", |index| spelt(&file.words[index].kind));
        let last = [before(4), before(3), before(2), before(1)];
        match &word.kind {
            Kind::Ident(name) if name == "fn" => (within, chosen) = (false, false),
            Kind::Ident(name) if name == "code" => match last {
                [.., "fn"] => within = true,
                [.., "let", "("] => chosen = true,
                _ => {}
            },
            Kind::Text(text) if is_word(text) => {
                let is_code = match last {
                    [whose, "::", "new", "("] => takers.contains(&format!("{whose}::new")),
                    [.., name, "("] if takers.contains(name) => is_code(text),
                    [.., "=", ">", "("] | [.., ">", "(", "("] => {
                        (within || chosen) && is_code(text)
                    }
                    [.., "code", "=" | ":"] => is_code(text),
                    _ => within && is_code(text),
                };
                return is_code.then_some(text.as_str());
            }
            _ => {}
        }
        None
    })
}

/// Lower-case words joined by hyphens, of which a code that nobody takes for something else has two.
fn is_code(text: &str) -> bool {
    text.contains('-') && is_word(text)
}

fn is_word(text: &str) -> bool {
    text.split('-').all(|word| {
        let mut letters = word.chars();
        letters.next().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
            && letters.all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    })
}

#[test]
fn refuses_a_code_that_is_on_no_page() {
    let text = "fn code(&self) -> &'static str { match self { A => \"a-lost\", B => \"b-lost\" } }
                fn other() { let _ = \"no-code\"; tracing::warn!(problem.code = \"c-lost\", \"lost\"); }
                impl Refusal { fn new(code: &str, rule: &str) -> Self { Self { code, rule } } }
                fn missing(code: &str) -> Refusal { Refusal::new(code, \"no-rule\") }
                fn refused() { Refusal::new(\"lost\", \"no-rule\"); super::missing(\"d-lost\"); found(\"no-code\"); }
                fn closed() { let late = |code, seen: &str| (code, seen); late(\"e-lost\", \"no-seen\"); }
                fn chosen() { let (code, next) = match self { A => (\"f-lost\", \"no-next\") }; }
                fn known() { Known { code: \"g-lost\", next: \"no-next\" } }";
    let file = || [SourceFile::parse("store/src/a.rs", text)];
    let told = |codes: &[&str]| codes.iter().map(|code| (*code).to_owned()).collect();
    let lost = ["a-lost", "b-lost", "c-lost", "d-lost", "e-lost", "f-lost", "g-lost", "lost"];

    assert_none(&untold(&file(), &told(&lost)), "told");
    for left_out in lost {
        let others: Vec<&str> = lost.into_iter().filter(|code| *code != left_out).collect();
        assert_one(&untold(&file(), &told(&others)), &format!("{left_out} of store/src/a.rs"));
    }
}
