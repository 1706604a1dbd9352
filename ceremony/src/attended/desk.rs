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
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use ceremony_core::script::Language;
use hsm::pin::line_from_terminal;
use rustix::termios::{QueueSelector, tcflush};
use zeroize::Zeroizing;

use super::layout::Screen;
use crate::stopped::Paused;

/// How long nobody may answer before the ceremony is paused.
const IDLE: Duration = Duration::from_secs(600);
/// The top left corner, and everything away, what was scrolled off too.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J\x1b[3J";

/// Where screens are shown and answered.
pub(crate) struct Desk {
    pub(crate) language: Language,
    source: Source,
    /// Not Rust's own, whose buffer keeps what was shown.
    out: File,
}

enum Source {
    Terminal,
    Answers(RefCell<Answers>),
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
        Ok(Self { language, source: Source::Terminal, out: standard_output()? })
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
        let source = Source::Answers(RefCell::new(answers));
        Ok(Self { language, source, out: standard_output()? })
    }

    /// Whether a file answers.
    pub(crate) fn is_driven(&self) -> bool {
        matches!(self.source, Source::Answers(_))
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
    /// [`Paused`] where that is asked for, nobody answers for 10 minutes, or the terminal is gone; the answers file's.
    pub(crate) fn ask(&self, screen: &Screen) -> anyhow::Result<String> {
        let answer = self.asked(screen, || line(IDLE))?;
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
        self.asked(screen, || Ok(line_from_terminal("> ")?))
    }

    fn asked(
        &self,
        screen: &Screen,
        typed: impl FnOnce() -> anyhow::Result<Zeroizing<String>>,
    ) -> anyhow::Result<Zeroizing<String>> {
        let more = self.language.pick("Enter: nästa sida", "Enter: next page");
        let pages = screen.pages(more);
        if let Source::Answers(answers) = &self.source {
            pages.iter().try_for_each(|page| self.show(page))?;
            return answers.borrow_mut().of(&screen.id);
        }
        let (last, before) = pages.split_last().context("a screen has a page")?;
        for page in before {
            self.show(page)?;
            drop(line(IDLE)?);
        }
        self.show(last)?;
        let answer = typed()?;
        // Nothing of it stays on the screen while the machine works.
        (&self.out).write_all(CLEAR)?;
        Ok(answer)
    }

    fn show(&self, page: &Zeroizing<String>) -> anyhow::Result<()> {
        let mut out = &self.out;
        if !self.is_driven() {
            // What is typed is an answer to what stands on the screen, and not to what stood there before.
            let _ = tcflush(io::stdin(), QueueSelector::IFlush);
            out.write_all(CLEAR)?;
        }
        out.write_all(page.as_bytes()).context("the screen cannot be written")
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

/// A line from the terminal. Nothing else reads it after a time-out: that ends the run.
fn line(within: Duration) -> anyhow::Result<Zeroizing<String>> {
    let (sender, typed) = mpsc::channel();
    thread::spawn(move || {
        let mut line = Zeroizing::new(String::with_capacity(4096));
        let read = io::stdin().read_line(&mut line);
        // Nobody waits any more where the time was out.
        let _ = sender.send(read.map(|octets| (octets, line)));
    });
    match typed.recv_timeout(within) {
        Ok(Ok((octets, line))) if octets > 0 => Ok(line),
        Ok(_) => Err(Paused { why: "the terminal is gone".to_owned() }.into()),
        Err(_) => {
            let minutes = within.as_secs() / 60;
            Err(Paused { why: format!("nobody answered for {minutes} minutes") }.into())
        }
    }
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
