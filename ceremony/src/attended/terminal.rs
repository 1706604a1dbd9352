//! The terminal: lines that people type, shown or not, and what else ends a question: a signal, a terminal that is gone, nobody there.
//!
//! Ctrl-C and its like do not end the program in the midst of something: they are a pause, at the question that stands there or the next one. So no share
//! of a PIN stays on a screen, and the terminal is left as it was found.

use std::fs::File;
use std::io::{self, Write as _};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use ceremony_core::script::Language;
use hsm::pin::line_from_terminal;
use rustix::termios::{
    OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcgetwinsize, tcsetattr,
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use zeroize::Zeroizing;

use super::layout::{COLUMNS, ROWS};
use crate::stopped::Paused;

/// How long nobody may answer before the ceremony is paused.
const IDLE: Duration = Duration::from_secs(600);
/// The top left corner, and everything away, what was scrolled off too.
const CLEAR: &[u8] = b"\x1b[H\x1b[2J\x1b[3J";
/// What a person at the keyboard or an operating system ends programs with, or lays them aside with open sessions.
const SIGNALS: [i32; 5] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP];

/// What a question ends with.
#[derive(Debug)]
enum Event {
    /// A line; none where the terminal is gone.
    Line(Option<Zeroizing<String>>),
    /// A signal that would have ended the program.
    Signal,
}

/// The terminal that this program was started at.
pub(super) struct Terminal {
    language: Language,
    events: Receiver<Event>,
    sender: Sender<Event>,
    /// Its settings before anything was asked.
    before: Option<Termios>,
    /// Not Rust's own, whose buffer keeps what was shown.
    out: File,
}

impl Terminal {
    /// Takes it, and the signals of the program, until it is dropped.
    pub(super) fn take(language: Language, out: File) -> anyhow::Result<Self> {
        let (sender, events) = mpsc::channel();
        let mut signals = Signals::new(SIGNALS).context("signals cannot be taken")?;
        let of_signals = sender.clone();
        thread::spawn(move || {
            for _ in signals.forever() {
                if of_signals.send(Event::Signal).is_err() {
                    // The ceremony is over, and nobody waits: what comes now ends the program as ever.
                    return;
                }
            }
        });
        let before = tcgetattr(io::stdin()).ok();
        Ok(Self { language, events, sender, before, out })
    }

    /// Shows a page, on a screen that takes it whole.
    ///
    /// # Errors
    ///
    /// [`Paused`]; the terminal's.
    pub(super) fn show(&self, page: &str) -> anyhow::Result<()> {
        while let Some((columns, rows)) = too_small() {
            self.clear()?;
            let more = self.language.pick(
                "Gör terminalen större, sedan Enter.",
                "Make the terminal larger, then Enter.",
            );
            write!(&self.out, "{columns} x {rows} < {COLUMNS} x {ROWS}\n{more}\n")
                .context("the screen cannot be written")?;
            drop(self.line()?);
        }
        // What is typed is an answer to what stands on the screen, and not to what stood there before.
        let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        self.clear()?;
        (&self.out).write_all(page.as_bytes()).context("the screen cannot be written")
    }

    /// Nothing of what was shown stays.
    pub(super) fn clear(&self) -> anyhow::Result<()> {
        (&self.out).write_all(CLEAR).context("the screen cannot be written")
    }

    /// A line that is seen while it is typed.
    ///
    /// # Errors
    ///
    /// [`Paused`] where the terminal is gone, a signal came, or nobody answered for 10 minutes.
    pub(super) fn line(&self) -> anyhow::Result<Zeroizing<String>> {
        self.typed(|| {
            let mut line = Zeroizing::new(String::with_capacity(4096));
            let read = io::stdin().read_line(&mut line);
            Some(line).filter(|_| read.is_ok_and(|octets| octets > 0))
        })
    }

    /// A line of which nothing is shown.
    ///
    /// # Errors
    ///
    /// As [`Self::line`].
    pub(super) fn secret(&self) -> anyhow::Result<Zeroizing<String>> {
        self.typed(|| line_from_terminal("> ").ok())
    }

    /// Waits in a thread of its own, which nobody waits for after a time-out: that ends the run.
    fn typed(
        &self,
        read: impl FnOnce() -> Option<Zeroizing<String>> + Send + 'static,
    ) -> anyhow::Result<Zeroizing<String>> {
        let sender = self.sender.clone();
        thread::spawn(move || sender.send(Event::Line(read())));
        ended(self.events.recv_timeout(IDLE).ok())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Where the terminal is gone nothing is left to do.
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, before);
        }
    }
}

fn ended(event: Option<Event>) -> anyhow::Result<Zeroizing<String>> {
    let why = match event {
        Some(Event::Line(Some(line))) => return Ok(line),
        Some(Event::Line(None)) => "the terminal is gone, or its input ended".to_owned(),
        Some(Event::Signal) => "interrupted at the keyboard, or told to end".to_owned(),
        None => format!("nobody answered for {} minutes", IDLE.as_secs() / 60),
    };
    Err(Paused { why }.into())
}

/// Columns and rows, where there are too few of them by now.
fn too_small() -> Option<(usize, usize)> {
    let size = tcgetwinsize(io::stdout()).ok()?;
    let (columns, rows) = (usize::from(size.ws_col), usize::from(size.ws_row));
    (columns < COLUMNS || rows < ROWS).then_some((columns, rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is no line is a pause, and says why.
    #[test]
    fn what_is_no_line_is_a_pause() {
        let line = Zeroizing::new("yes\n".to_owned());
        assert_eq!(ended(Some(Event::Line(Some(line)))).unwrap().as_str(), "yes\n");
        for (event, wanted) in [
            (Some(Event::Line(None)), "its input ended"),
            (Some(Event::Signal), "interrupted"),
            (None, "10 minutes"),
        ] {
            let error = ended(event).unwrap_err();
            assert!(error.is::<Paused>() && error.to_string().contains(wanted), "{error}");
        }
    }
}
