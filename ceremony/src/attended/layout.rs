//! What stands on a console of 80 columns and 24 rows, whatever it says: longer texts are turned page by page.

use zeroize::{Zeroize as _, Zeroizing};

/// Columns of a screen.
pub(crate) const COLUMNS: usize = 80;
/// Rows of a screen.
pub(crate) const ROWS: usize = 24;
/// Rows for what is told: those without title, rule, an empty row, two of a question and one of its answer, and one more, so that the last
/// Enter scrolls nothing away.
const BODY: usize = ROWS - 7;
/// Room for a line of any letters.
const LINE_OCTETS: usize = COLUMNS * 4;

/// One thing that people see and answer; wiped when dropped, since some of it is a share of a PIN.
#[derive(Clone, Debug)]
pub(crate) struct Screen {
    /// What an answers file calls it.
    pub(crate) id: String,
    pub(crate) title: String,
    /// Each begins on a row of its own, and on as many more as it has line feeds.
    pub(crate) paragraphs: Vec<String>,
    /// What is to be typed.
    pub(crate) question: String,
}

impl Screen {
    /// With nothing told yet.
    pub(crate) fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        let (id, title) = (id.into(), title.into());
        Self { id, title, paragraphs: Vec::new(), question: String::new() }
    }

    pub(crate) fn tell(mut self, text: impl Into<String>) -> Self {
        self.paragraphs.push(text.into());
        self
    }

    pub(crate) fn tell_all(mut self, texts: impl IntoIterator<Item = String>) -> Self {
        self.paragraphs.extend(texts);
        self
    }

    pub(crate) fn asks(mut self, question: impl Into<String>) -> Self {
        self.question = question.into();
        self
    }

    /// Its pages, each with the title, one page's rows and the question: `more` on all but the last.
    pub(crate) fn pages(&self, more: &str) -> Vec<Zeroizing<String>> {
        let rows: Vec<Zeroizing<String>> =
            self.paragraphs.iter().flat_map(|text| wrapped(text)).collect();
        let chunks: Vec<&[Zeroizing<String>]> =
            if rows.is_empty() { vec![&[]] } else { rows.chunks(BODY).collect() };
        let count = chunks.len();
        let page = |(number, rows): (usize, &[Zeroizing<String>])| {
            let question = if number == count { self.question.as_str() } else { more };
            let numbered = if count > 1 { format!(" ({number}/{count})") } else { String::new() };
            let mut text = Zeroizing::new(String::with_capacity(ROWS * LINE_OCTETS));
            let width = COLUMNS.saturating_sub(numbered.len());
            text.extend(self.title.chars().map(seen).take(width).chain(numbered.chars()));
            text.push('\n');
            text.push_str(&"-".repeat(COLUMNS));
            text.push('\n');
            for row in rows {
                text.push_str(row);
                text.push('\n');
            }
            text.push('\n');
            for row in wrapped(question).iter().take(2) {
                text.push_str(row);
                text.push('\n');
            }
            text
        };
        (1..).zip(chunks).map(page).collect()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.paragraphs.iter_mut().for_each(|text| text.zeroize());
    }
}

/// The rows of a text: broken at spaces, and a word that is longer than a row where the row ends. What follows stands below the
/// text, not below a box to tick.
fn wrapped(text: &str) -> Vec<Zeroizing<String>> {
    let mut rows = Vec::new();
    for line in text.split('\n') {
        let spaces = line.chars().take_while(|letter| *letter == ' ').count();
        let indent = if line.starts_with("[ ] ") { 4 } else { spaces };
        let mut row = begun(spaces);
        let mut is_empty = true;
        for word in line.split(' ').filter(|word| !word.is_empty()) {
            let wanted = row.chars().count() + usize::from(!is_empty) + word.chars().count();
            if wanted > COLUMNS && !is_empty {
                rows.push(std::mem::replace(&mut row, begun(indent)));
                is_empty = true;
            }
            if !is_empty {
                row.push(' ');
            }
            for letter in word.chars().map(seen) {
                if row.chars().count() == COLUMNS {
                    rows.push(std::mem::replace(&mut row, begun(indent)));
                }
                row.push(letter);
            }
            is_empty = false;
        }
        rows.push(row);
    }
    rows
}

/// A character as it is shown: names in certificates and files are whoever wrote them's, and one that is not seen (an escape sequence, an order of writing
/// that is turned round) would show another screen than this.
fn seen(letter: char) -> char {
    let is_hidden = letter.is_control()
        || matches!(letter, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    if is_hidden { char::REPLACEMENT_CHARACTER } else { letter }
}

fn begun(spaces: usize) -> Zeroizing<String> {
    let mut row = Zeroizing::new(String::with_capacity(LINE_OCTETS));
    row.extend(std::iter::repeat_n(' ', spaces.min(COLUMNS / 2)));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is told stands on 80 columns and 24 rows, with its question, and nothing of it is lost.
    #[test]
    fn every_screen_fits_a_console_of_80_by_24() {
        let long = "é".repeat(200);
        for paragraphs in [
            vec![],
            vec!["short".to_owned()],
            vec![long.clone()],
            vec!["[ ] a box with a text that is longer than one row and goes on below its text, not below its box".to_owned(); 30],
            vec!["    indented words that go on and on and on and on and on and on and on and on and on".to_owned(); 9],
            vec!["line\nfeeds\n\nstay".to_owned(); 20],
        ] {
            let screen = Screen::new("id", "title ".repeat(40)).tell_all(paragraphs.clone());
            let screen = screen.asks("What is it? ".repeat(10));
            let pages = screen.pages("Enter: more");
            let mut seen = String::new();
            for page in &pages {
                assert!(page.lines().count() < ROWS, "{} rows:\n{}", page.lines().count(), **page);
                assert!(page.lines().all(|line| line.chars().count() <= COLUMNS), "{}", **page);
                seen.extend(page.lines().skip(2).map(|line| format!("{line}\n")));
            }
            let letters = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).count();
            let told: usize = paragraphs.iter().map(|text| letters(text)).sum();
            let asked = letters("Enter: more") * (pages.len() - 1);
            let question = pages.last().unwrap().lines().rev().take(2).map(letters).sum::<usize>();
            assert_eq!(letters(&seen), told + asked + question);
            assert!(pages.last().unwrap().contains("What is it?"));
        }
    }

    /// What somebody wrote into a name moves no cursor, clears nothing and turns no text round.
    #[test]
    fn nothing_in_a_name_changes_the_screen() {
        let hostile = "A\x1b[2J\x1b]0;t\x07B\u{202e}C\u{200b}D\rE\u{9b}31m\u{e0041}F";
        let screen = Screen::new("id", hostile).tell(hostile).asks(hostile);
        for page in screen.pages(hostile) {
            let hidden = |letter: &char| *letter != '\n' && seen(*letter) != *letter;
            assert_eq!(page.chars().find(hidden), None, "{page:?}");
            assert_eq!(page.matches("A\u{fffd}[2J").count(), 3, "{page:?}");
        }
        assert_eq!(seen('é'), 'é');
    }

    #[test]
    fn what_follows_a_box_stands_below_its_text() {
        let rows = wrapped(&format!("[ ] {}", "word ".repeat(20)));
        assert_eq!(rows.len(), 2);
        assert!(rows[0].starts_with("[ ] word") && rows[1].starts_with("    word"));
    }
}
