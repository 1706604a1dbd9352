//! Rust files as words: comments, attributes and test code left out.
//!
//! Guards look for words (`Recorded::by`, an SQL statement, an OID) in code that runs in a program.
//! Searching text would trip over comments and tests; a full parser is more than they need.

use std::fs;
use std::iter::Peekable;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree, token_stream};

/// One file of a room.
pub(crate) struct SourceFile {
    /// From the root of the checkout, with forward slashes.
    pub(crate) path: String,
    /// What is left of it, in order.
    pub(crate) words: Vec<Word>,
    /// Its attributes, each with the line it stands on.
    pub(crate) attributes: Vec<(usize, String)>,
    /// Modules in files of their own that exist in tests only.
    test_modules: Vec<String>,
}

/// A word and the line it stands on, from 1.
pub(crate) struct Word {
    pub(crate) line: usize,
    pub(crate) kind: Kind,
}

/// What kind of word.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword.
    Ident(String),
    /// The content of a string literal, escapes as written.
    Text(String),
    /// Punctuation; `::` is one word.
    Punct(String),
    /// The start of a bracketed group.
    Open,
}

impl SourceFile {
    /// Reads the words of `text`, which would stand at `path`.
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let stream = TokenStream::from_str(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut reading = Reading::default();
        reading.collect(stream);
        Self {
            path: path.to_owned(),
            words: reading.words,
            attributes: reading.attributes,
            test_modules: reading.test_modules,
        }
    }

    /// The paths, without extension, of the modules that exist in tests only.
    fn test_paths(&self) -> impl Iterator<Item = String> {
        let whole = self.path.trim_end_matches(".rs");
        let folder = ["/lib", "/main", "/mod"]
            .iter()
            .find_map(|name| whole.strip_suffix(name))
            .unwrap_or(whole);
        self.test_modules.iter().map(move |module| format!("{folder}/{module}"))
    }

    /// The folder of the room the file lies in.
    pub(crate) fn room(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// The identifiers.
    pub(crate) fn idents(&self) -> impl Iterator<Item = (usize, &str)> {
        self.words.iter().filter_map(|word| match &word.kind {
            Kind::Ident(name) => Some((word.line, name.as_str())),
            _ => None,
        })
    }

    /// The contents of the string literals.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (usize, &str)> {
        self.words.iter().filter_map(|word| match &word.kind {
            Kind::Text(text) => Some((word.line, text.as_str())),
            _ => None,
        })
    }
}

/// Every Rust file under a `src` folder of a room, without modules that exist in tests only.
pub(crate) fn rooms(root: &Path) -> Vec<SourceFile> {
    without_tests(everything(root))
}

fn without_tests(mut files: Vec<SourceFile>) -> Vec<SourceFile> {
    let tests: Vec<String> = files.iter().flat_map(SourceFile::test_paths).collect();
    files.retain(|file| {
        !tests.iter().any(|test| {
            file.path
                .strip_prefix(test.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        })
    });
    files
}

/// Every Rust file under a `src` folder of a room.
pub(crate) fn everything(root: &Path) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for room in folders(root) {
        let name = room.file_name().unwrap_or_default();
        if name != "tests" && name != "target" && room.join("Cargo.toml").is_file() {
            read_folder(root, &room.join("src"), &mut files);
        }
    }
    assert!(!files.is_empty(), "no room has a Rust file under {root:?}");
    files
}

/// The length in lines of every Rust file of the checkout, tests included.
pub(crate) fn lengths(root: &Path) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for room in folders(root) {
        if room.join("Cargo.toml").is_file() {
            read_lengths(root, &room, &mut found);
        }
    }
    found
}

fn read_lengths(root: &Path, folder: &Path, found: &mut Vec<(String, usize)>) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() {
            read_lengths(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            found.push((name, fs::read_to_string(&path).unwrap().lines().count()));
        }
    }
}

fn read_folder(root: &Path, folder: &Path, files: &mut Vec<SourceFile>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            read_folder(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
            files.push(SourceFile::parse(&name, &text));
        }
    }
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    found.sort();
    found
}

#[derive(Default)]
struct Reading {
    words: Vec<Word>,
    attributes: Vec<(usize, String)>,
    test_modules: Vec<String>,
}

impl Reading {
    fn collect(&mut self, stream: TokenStream) {
        let mut tokens = stream.into_iter().peekable();
        while let Some(token) = tokens.next() {
            let line = token.span().start().line;
            match token {
                TokenTree::Punct(punct)
                    if punct.as_char() == '#' && starts_attribute(&mut tokens) =>
                {
                    let attribute = attribute(&mut tokens);
                    if names_test(&attribute) {
                        self.test_modules.extend(skip_item(&mut tokens));
                    } else {
                        self.attributes.push((line, attribute));
                    }
                }
                TokenTree::Punct(punct) => {
                    let mut text = punct.as_char().to_string();
                    if text == ":" && punct.spacing() == Spacing::Joint {
                        tokens.next();
                        text.push(':');
                    }
                    self.words.push(Word { line, kind: Kind::Punct(text) });
                }
                TokenTree::Ident(ident) => {
                    self.words.push(Word { line, kind: Kind::Ident(ident.to_string()) });
                }
                TokenTree::Literal(literal) => {
                    if let Some(text) = content(&literal.to_string()) {
                        self.words.push(Word { line, kind: Kind::Text(text) });
                    }
                }
                TokenTree::Group(group) => {
                    self.words.push(Word { line, kind: Kind::Open });
                    self.collect(group.stream());
                }
            }
        }
    }
}

type Tokens = Peekable<token_stream::IntoIter>;

fn starts_attribute(tokens: &mut Tokens) -> bool {
    match tokens.peek() {
        Some(TokenTree::Punct(punct)) => punct.as_char() == '!',
        Some(TokenTree::Group(group)) => group.delimiter() == Delimiter::Bracket,
        _ => false,
    }
}

fn attribute(tokens: &mut Tokens) -> String {
    match tokens.next() {
        Some(TokenTree::Group(group)) => group.stream().to_string(),
        _ => tokens.next().map(|group| group.to_string()).unwrap_or_default(),
    }
}

/// `#[test]`, `#[cfg(test)]` and conditions that hold in tests only.
fn names_test(attribute: &str) -> bool {
    let plain: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
    plain == "test" || plain.starts_with("cfg(test") || plain.starts_with("cfg(all(test")
}

/// Leaves out what an attribute belongs to: up to its block or semicolon. Returns the name of a
/// module whose text lies in another file.
fn skip_item(tokens: &mut Tokens) -> Option<String> {
    let mut module = None;
    let mut after_mod = false;
    for token in tokens.by_ref() {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return None,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return module,
            TokenTree::Ident(ident) => {
                if after_mod {
                    module = Some(ident.to_string());
                }
                after_mod = ident == "mod";
            }
            _ => {}
        }
    }
    None
}

/// What stands between the quotes of a string literal; `None` for numbers and characters.
fn content(literal: &str) -> Option<String> {
    if literal.starts_with('\'') || literal.starts_with("b'") {
        return None;
    }
    let (start, end) = (literal.find('"')?, literal.rfind('"')?);
    literal.get(start + 1..end).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        let file = SourceFile::parse("room/src/file.rs", source);
        file.texts().map(|(_, text)| text.to_owned()).collect()
    }

    #[test]
    fn comments_attributes_and_tests_are_left_out() {
        let source = r##"
            //! "header"
            /// "doc"
            #[expect(clippy::x, reason = "attribute")]
            fn kept() -> &'static str { /* "block" */ "kept" }
            #[cfg(test)]
            mod tests { fn left_out() { "test"; } }
            #[cfg(test)]
            use left::out;
            fn after() { r#"raw"#; b"bytes"; 'c'; 1.5; }
        "##;

        assert_eq!(texts(source), ["kept", "raw", "bytes"]);
    }

    #[test]
    fn a_path_keeps_its_line_and_its_double_colon() {
        let file = SourceFile::parse("room/src/file.rs", "\nfn f() { a::b() }");

        let found = file.words.iter().position(|word| word.kind == Kind::Punct("::".into()));
        assert_eq!(file.words[found.unwrap()].line, 2);
    }

    #[test]
    fn what_follows_a_test_function_is_seen_again() {
        assert_eq!(texts(r#"#[test] fn t() { "no" } fn f() { "yes" }"#), ["yes"]);
    }

    #[test]
    fn modules_that_exist_in_tests_only_are_left_out_with_their_children() {
        let declares = "pub mod kept; #[cfg(test)] mod judged;";
        let files = vec![
            SourceFile::parse("room/src/crl.rs", declares),
            SourceFile::parse("room/src/lib.rs", "#[cfg(test)] pub(crate) mod judges;"),
            SourceFile::parse("room/src/crl/kept.rs", ""),
            SourceFile::parse("room/src/crl/judged.rs", ""),
            SourceFile::parse("room/src/crl/judged/deep.rs", ""),
            SourceFile::parse("room/src/judges.rs", ""),
        ];

        let left: Vec<String> = without_tests(files).into_iter().map(|file| file.path).collect();

        assert_eq!(left, ["room/src/crl.rs", "room/src/lib.rs", "room/src/crl/kept.rs"]);
    }
}
