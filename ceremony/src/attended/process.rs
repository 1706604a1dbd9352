//! What must hold of the process and its console before a secret is in it (R20): no debugger, no core dump, no swap, a terminal of 80 by 24.

use std::fs;
use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use ceremony_core::refusal::Refusal;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use rustix::termios::tcgetwinsize;

use super::layout::{COLUMNS, ROWS};
use crate::stopped::Stopped;

/// How strictly it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// Deployment test/demo: nothing that is relied on. Swap is told, and answers may come from a file.
    Demo {
        /// Whether a file answers.
        is_driven: bool,
    },
    /// Any other.
    Real,
}

/// What is seen of it.
#[derive(Clone, Debug)]
struct Seen {
    /// `/proc/self/status`.
    status: String,
    /// `/proc/swaps`.
    swaps: String,
    is_terminal: bool,
    /// Columns and rows.
    size: Option<(usize, usize)>,
}

/// Forbids core dumps and judges the process. Whether memory may be written to a disk, which is told where it is no refusal.
///
/// # Errors
///
/// [`Stopped`] with R20.
pub(crate) fn judge(setting: Setting) -> anyhow::Result<Option<String>> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("core dumps of this process cannot be forbidden")?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .context("core dumps of this process cannot be forbidden")?;
    let size = tcgetwinsize(io::stdout()).ok();
    let seen = Seen {
        status: fs::read_to_string("/proc/self/status").context("/proc/self/status")?,
        swaps: fs::read_to_string("/proc/swaps").unwrap_or_default(),
        is_terminal: io::stdin().is_terminal() && io::stdout().is_terminal(),
        size: size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row))),
    };
    Ok(seen.judge(setting)?)
}

impl Seen {
    fn judge(&self, setting: Setting) -> Result<Option<String>, Stopped> {
        let stop = |refused: String, next_step| {
            Err(Stopped { refusal: Refusal::Process, refused, next_step })
        };
        let tracer = self.status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
        match tracer.map(str::trim) {
            Some("0") => {}
            Some(other) => {
                let refused = format!("process {other} traces this one and sees all that it knows");
                return stop(refused, "end the debugger; nothing was done");
            }
            None => {
                let refused = "nobody can say whether a debugger is attached".to_owned();
                return stop(refused, "hold the ceremony on Linux with /proc; nothing was done");
            }
        }
        if setting != (Setting::Demo { is_driven: true }) {
            if !self.is_terminal {
                let refused = "standard input and output are not a terminal".to_owned();
                return stop(
                    refused,
                    "start it at the console, with nothing piped in or out; nothing was done",
                );
            }
            if let Some((columns, rows)) = self.size
                && (columns < COLUMNS || rows < ROWS)
            {
                let refused = format!(
                    "the terminal has {columns} columns and {rows} rows; a screen needs {COLUMNS} and {ROWS}"
                );
                return stop(refused, "make the terminal larger; nothing was done");
            }
        }
        // The first line is a heading.
        let swap = self.swaps.lines().nth(1).and_then(|line| line.split_whitespace().next());
        match (swap, setting) {
            (None, _) => Ok(None),
            (Some(swap), Setting::Demo { .. }) => Ok(Some(swap.to_owned())),
            (Some(swap), Setting::Real) => {
                let refused = format!("memory may be written to {swap}, which is swap");
                stop(refused, "swapoff -a; nothing was done")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R20, item by item.
    #[test]
    fn a_process_that_others_can_look_into_holds_no_ceremony() {
        let fine = Seen {
            status: "Name:\tx\nTracerPid:\t0\n".to_owned(),
            swaps: "Filename Type Size Used Priority\n".to_owned(),
            is_terminal: true,
            size: Some((80, 24)),
        };
        let driven = Setting::Demo { is_driven: true };
        let demo = Setting::Demo { is_driven: false };
        assert_eq!(fine.judge(Setting::Real).unwrap(), None);
        let swap = "Filename Type Size Used Priority\n/dev/sda2 partition 1 0 -2\n".to_owned();
        let swapping = Seen { swaps: swap, ..fine.clone() };
        assert_eq!(swapping.judge(demo).unwrap().as_deref(), Some("/dev/sda2"));
        let piped = Seen { is_terminal: false, size: None, ..fine.clone() };
        assert_eq!(piped.judge(driven).unwrap(), None, "a file answers");
        let traced = Seen { status: "TracerPid:\t71\n".to_owned(), ..fine.clone() };
        for (seen, setting, wanted) in [
            (&swapping, Setting::Real, "/dev/sda2"),
            (&piped, Setting::Real, "not a terminal"),
            (&piped, demo, "not a terminal"),
            (&traced, driven, "process 71 traces"),
            (&Seen { status: String::new(), ..fine.clone() }, driven, "nobody can say"),
            (&Seen { size: Some((79, 24)), ..fine.clone() }, demo, "79 columns and 24 rows"),
            (&Seen { size: Some((80, 23)), ..fine }, demo, "80 columns and 23 rows"),
        ] {
            let refused = seen.judge(setting).unwrap_err();
            assert_eq!((refused.refusal.code(), refused.refusal.exit_code()), ("R20", 13));
            assert!(refused.refused.contains(wanted), "{}", refused.refused);
        }
    }
}
