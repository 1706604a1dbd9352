//! Where people sit: a console on which one thing at a time is shown and answered, or in deployment test/demo a file of answers.
//!
//! The terminal stays in its line mode, so that whoever types sees and mends it as anywhere; secrets are typed without being shown.
//! Whatever was typed before a question is thrown away, so that no Enter answers a question that nobody has read.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use ceremony_core::script::Language;
use zeroize::Zeroizing;

use super::layout::Screen;
use super::terminal::Terminal;
use crate::stopped::Paused;

/// Where screens are shown and answered.
pub(crate) struct Desk {
    pub(crate) language: Language,
    source: Source,
}

enum Source {
    Terminal(Terminal),
    Answers { answers: RefCell<Answers>, out: File },
}

/// A file of answers: `SCREEN = ANSWER` on each line, in the order in which the screens come. Empty lines and those that begin with `#` say nothing.
struct Answers {
    path: PathBuf,
    /// Number of the line, screen, answer.
    lines: VecDeque<(usize, String, Zeroizing<String>)>,
}

impl Desk {
    /// The terminal of this program.
    ///
    /// # Errors
    ///
    /// The operating system's.
    pub(crate) fn terminal(language: Language) -> anyhow::Result<Self> {
        let terminal = Terminal::take(language, standard_output()?)?;
        Ok(Self { language, source: Source::Terminal(terminal) })
    }

    /// Answers from a file.
    ///
    /// # Errors
    ///
    /// The file's; names the line that is none.
    pub(crate) fn answers(language: Language, path: &Path) -> anyhow::Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let text = Zeroizing::new(text);
        let mut lines = VecDeque::new();
        for (number, line) in (1..).zip(text.lines()) {
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            let (screen, answer) = line.split_once('=').with_context(|| {
                format!("line {number} of {} is not SCREEN = ANSWER", path.display())
            })?;
            let answer = Zeroizing::new(answer.trim().to_owned());
            lines.push_back((number, screen.trim().to_owned(), answer));
        }
        let answers = Answers { path: path.to_owned(), lines };
        let source = Source::Answers { answers: RefCell::new(answers), out: standard_output()? };
        Ok(Self { language, source })
    }

    /// Whether a file answers.
    pub(crate) fn is_driven(&self) -> bool {
        matches!(self.source, Source::Answers { .. })
    }

    /// Shows what is being done, and asks nothing.
    ///
    /// # Errors
    ///
    /// The terminal's.
    pub(crate) fn tell(&self, screen: &Screen) -> anyhow::Result<()> {
        for page in screen.pages("") {
            self.show(&page)?;
        }
        Ok(())
    }

    /// Shows a screen and takes the line that is typed.
    ///
    /// # Errors
    ///
    /// [`Paused`] where that is asked for, nobody answers for 10 minutes, a signal comes, or the terminal is gone; the answers file's.
    pub(crate) fn ask(&self, screen: &Screen) -> anyhow::Result<String> {
        let answer = self.asked(screen, Terminal::line)?;
        if answer.trim() == "p" {
            let why = self.language.pick("begärd vid skärmen", "asked for at the screen");
            return Err(Paused { why: why.to_owned() }.into());
        }
        Ok(answer.trim().to_owned())
    }

    /// As [`Self::ask`], and nothing of what is typed is shown.
    ///
    /// # Errors
    ///
    /// As [`Self::ask`].
    pub(crate) fn ask_secret(&self, screen: &Screen) -> anyhow::Result<Zeroizing<String>> {
        self.asked(screen, Terminal::secret)
    }

    fn asked(
        &self,
        screen: &Screen,
        typed: impl FnOnce(&Terminal) -> anyhow::Result<Zeroizing<String>>,
    ) -> anyhow::Result<Zeroizing<String>> {
        let more = self.language.pick("Enter: nästa sida", "Enter: next page");
        let pages = screen.pages(more);
        let terminal = match &self.source {
            Source::Terminal(terminal) => terminal,
            Source::Answers { answers, .. } => {
                pages.iter().try_for_each(|page| self.show(page))?;
                return answers.borrow_mut().of(&screen.id);
            }
        };
        let (last, before) = pages.split_last().context("a screen has a page")?;
        let answer = (|| {
            for page in before {
                terminal.show(page)?;
                drop(terminal.line()?);
            }
            terminal.show(last)?;
            typed(terminal)
        })();
        // Nothing of it stays on the screen while the machine works, or when people have gone.
        let cleared = terminal.clear();
        answer.and_then(|answer| cleared.map(|()| answer))
    }

    fn show(&self, page: &Zeroizing<String>) -> anyhow::Result<()> {
        match &self.source {
            Source::Terminal(terminal) => terminal.show(page),
            Source::Answers { out, .. } => {
                let mut out = out;
                out.write_all(page.as_bytes()).context("the screen cannot be written")
            }
        }
    }
}

impl Answers {
    fn of(&mut self, screen: &str) -> anyhow::Result<Zeroizing<String>> {
        let path = self.path.display();
        match self.lines.pop_front() {
            None => anyhow::bail!("{path} ends, and the screen asks {screen:?}"),
            Some((_, of, answer)) if of == screen => Ok(answer),
            Some((number, of, _)) => {
                anyhow::bail!(
                    "line {number} of {path} answers {of:?}, and the screen asks {screen:?}"
                )
            }
        }
    }
}

fn standard_output() -> anyhow::Result<File> {
    Ok(File::from(io::stdout().as_fd().try_clone_to_owned()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer is for the screen that it names: one too many or too few is noticed, and answers no other question.
    #[test]
    fn an_answer_is_for_the_screen_that_it_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("answers");
        fs::write(&path, "# who\n\npresent anna = keys/anna.key\nstep root-key =\n").unwrap();
        let desk = Desk::answers(Language::English, &path).unwrap();
        assert!(desk.is_driven());

        assert_eq!(desk.ask(&Screen::new("present anna", "t")).unwrap(), "keys/anna.key");
        let other = desk.ask(&Screen::new("step token", "t")).unwrap_err().to_string();
        assert!(other.contains("line 4") && other.contains("asks \"step token\""), "{other}");
        let ended = desk.ask(&Screen::new("step root-key", "t")).unwrap_err().to_string();
        assert!(ended.contains("ends"), "{ended}");

        fs::write(&path, "step = p\n").unwrap();
        let desk = Desk::answers(Language::English, &path).unwrap();
        assert!(desk.ask(&Screen::new("step", "t")).unwrap_err().is::<Paused>());
        fs::write(&path, "no answer\n").unwrap();
        assert!(Desk::answers(Language::English, &path).is_err());
    }
}
