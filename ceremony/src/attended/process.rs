//! What must hold of the process and its console before a secret is in it (R20): no debugger, no core dump, no swap, memory that is locked, a
//! terminal of 80 by 24.

use std::fs;
use std::io::{self, IsTerminal as _};

use anyhow::Context as _;
use ceremony_core::refusal::Refusal;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};
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

/// The bit of `CapEff` by which a process locks as much memory as it likes (CAP_IPC_LOCK, capability.h).
const MAY_LOCK: u64 = 1 << 14;

/// What is seen of it.
#[derive(Clone, Debug)]
struct Seen {
    /// Whether all of its memory stays in memory, now and later.
    is_locked: bool,
    /// `/proc/self/status`.
    status: String,
    /// `/proc/swaps`.
    swaps: String,
    is_terminal: bool,
    /// Columns and rows.
    size: Option<(usize, usize)>,
}

/// Forbids core dumps of this process, whatever it does: a PIN may be typed in most commands.
///
/// # Errors
///
/// The operating system's.
pub(crate) fn forbid_dumps() -> anyhow::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("core dumps of this process cannot be forbidden")?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })
        .context("core dumps of this process cannot be forbidden")
}

/// Locks all memory of the process, that of the PKCS#11 module and of later threads too, so that no copy of a PIN is written to a disk. Where only so
/// much may be locked nothing is: what is asked for past that would fail in the midst of a ceremony.
fn lock_memory(status: &str) -> bool {
    let limit = getrlimit(Resource::Memlock);
    if limit.current.is_some() && limit.maximum.is_none() {
        // What may be raised is: whether it was is seen below.
        let _ = setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None });
    }
    let may_lock = getrlimit(Resource::Memlock).current.is_none() || has_capability(status);
    may_lock && mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE).is_ok()
}

fn has_capability(status: &str) -> bool {
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    set.is_some_and(|set| set & MAY_LOCK != 0)
}

/// Judges the process and locks its memory. Whether memory may be written to a disk, which is told where it is no refusal.
///
/// # Errors
///
/// [`Stopped`] with R20.
pub(crate) fn judge(setting: Setting) -> anyhow::Result<Option<String>> {
    forbid_dumps()?;
    let size = tcgetwinsize(io::stdout()).ok();
    let status = fs::read_to_string("/proc/self/status").context("/proc/self/status")?;
    let seen = Seen {
        is_locked: lock_memory(&status),
        status,
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
        if setting == Setting::Real && !self.is_locked {
            let refused = "the memory of this process cannot be locked".to_owned();
            return stop(
                refused,
                "ulimit -l unlimited, as root or by limits.conf; nothing was done",
            );
        }
        // The first line is a heading.
        let swap = self.swaps.lines().nth(1).and_then(|line| line.split_whitespace().next());
        match (swap, setting) {
            (None, _) => Ok(None),
            // Swap is refused all the same where it counts: hibernation writes what is locked, too.
            (Some(_), Setting::Demo { .. }) if self.is_locked => Ok(None),
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
            is_locked: true,
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
        assert_eq!(swapping.judge(demo).unwrap(), None, "its memory is locked");
        let loose = Seen { is_locked: false, ..swapping.clone() };
        assert_eq!(loose.judge(demo).unwrap().as_deref(), Some("/dev/sda2"));
        let piped = Seen { is_terminal: false, size: None, ..fine.clone() };
        assert_eq!(piped.judge(driven).unwrap(), None, "a file answers");
        let traced = Seen { status: "TracerPid:\t71\n".to_owned(), ..fine.clone() };
        for (seen, setting, wanted) in [
            (&swapping, Setting::Real, "/dev/sda2"),
            (&loose, Setting::Real, "cannot be locked"),
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

    /// Whoever may lock as much as he likes is known by the capability, not by his user.
    #[test]
    fn a_process_that_may_lock_memory_is_known() {
        for (status, wanted) in [
            ("CapEff:\t0000000000004000\n", true),
            ("CapInh:\t0000000000004000\nCapEff:\t000001ffffffffff\n", true),
            ("CapInh:\t0000000000004000\nCapEff:\t0000000000002000\n", false),
            ("CapEff:\tnone\n", false),
            ("", false),
        ] {
            assert_eq!(has_capability(status), wanted, "{status:?}");
        }
    }
}
