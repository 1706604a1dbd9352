//! The script as plain text.

use std::fmt::Write as _;

use super::{Item, Page, Script};

/// Columns of a line.
const WIDTH: usize = 80;

pub(super) fn of(script: &Script) -> String {
    let pages = script.pages.len();
    let mut out = String::new();
    for (number, page) in (1..).zip(&script.pages) {
        if number > 1 {
            out.push('\u{c}');
        }
        of_page(&mut out, page);
        let word = script.language.pick("sida", "page");
        // Writing to a string cannot fail.
        let _ = writeln!(out, "\n{} · {word} {number}/{pages}", script.foot);
    }
    out
}

fn of_page(out: &mut String, page: &Page) {
    let _ = writeln!(out, "{}\n{}", page.title, "=".repeat(page.title.chars().count()));
    for item in &page.items {
        out.push('\n');
        match item {
            Item::Heading(text) => {
                let _ = writeln!(out, "{text}\n{}", "-".repeat(text.chars().count()));
            }
            Item::Text(text) => wrapped(out, "", "", text),
            Item::Fact(name, value) => wrapped(out, "", "    ", &format!("{name}: {value}")),
            Item::Mono(lines) => {
                lines.iter().for_each(|line| wrapped(out, "    ", "        ", line))
            }
            Item::Tick(text) => wrapped(out, "[ ] ", "    ", text),
            Item::Write(text) => {
                let _ = writeln!(
                    out,
                    "{text}: {}",
                    "_".repeat(WIDTH.saturating_sub(text.chars().count() + 2))
                );
            }
        }
    }
}

/// Breaks at spaces; a word that is longer than a line stays whole.
fn wrapped(out: &mut String, first: &str, further: &str, text: &str) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(' ') {
        let length = line.chars().count() + 1 + word.chars().count();
        if !is_empty && length > WIDTH {
            out.push_str(&line);
            out.push('\n');
            line = further.to_owned();
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    out.push_str(&line);
    out.push('\n');
}
