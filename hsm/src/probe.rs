//! Measures what a token does, check by check, so that nothing of it has to be taken on trust.
//!
//! Vendors' manuals, models and even mechanism numbers say little about what a device does. So
//! every check of the list has an id, says what is expected and why, and gets a verdict; whatever a
//! program cannot measure over PKCS#11 stays in the list as "not probed", with the reason. The result
//! is the device profile (docs/formats/device-profile.md) that the programs read their quirks from.
//!
//! The probe makes keys of its own and signs fixed texts with them and with no other key. They are
//! session objects where the token has those, else token objects under the label `sigill-probe-`
//! and ids of our own, which are removed at the end and by the next probe. A token that holds other
//! keys is refused unless its operator says otherwise. It logs in with the given PIN, by the rules
//! of [`crate::PinMarkers`]. An empty token whose operator gives the security officer's PIN as well is
//! thrown away: its PIN is locked, and it is initialised again.

mod bench;
mod checks;
mod officer;
mod outcome;
mod pairs;
mod parallel;
mod permits;
mod secrets;
mod sessions;
mod sign;
mod software;
mod story;
mod template;
mod token;
mod traits;
mod truth;
mod unwrap;
mod vendor;
mod wrap;

use std::num::NonZeroUsize;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use thiserror::Error;

use crate::attempts::PinMarkers;
use crate::failure::Pkcs11Failure;
use crate::module::Module;
use crate::open::OpenError;
use crate::pin::Pin;
use crate::profile::{Measured, ModuleTold, TokenTold};
use crate::token::TokenName;

use bench::Bench;
use checks::Check;
pub use checks::check_ids;
pub use outcome::{Row, Verdict};
pub(crate) use sessions::WRONG_PIN;

/// What is to be probed, and how far.
#[derive(Clone, Debug)]
pub struct ProbeOrder {
    /// The token.
    pub name: TokenName,
    /// Its user PIN.
    pub pin: Pin,
    /// Where refused PINs are remembered.
    pub markers: PinMarkers,
    /// What becomes of a token that holds keys.
    pub other_keys: OtherKeys,
    /// Whether one wrong PIN is tried.
    pub wrong_pin: WrongPin,
    /// The security officer's PIN of a token that is thrown away: its user PIN is locked and set anew,
    /// and it is initialised again, under the same label and PINs. `None` leaves these checks out.
    pub officer: Option<Pin>,
    /// How many sessions are tried to be open at a time.
    pub sessions: NonZeroUsize,
    /// How many of them sign in parallel.
    pub parallel: NonZeroUsize,
    /// How long a session is left alone before it must sign; `None` leaves the check out.
    pub idle: Option<Duration>,
    /// How long one check may take, beside the idle time.
    pub deadline: Duration,
}

/// What becomes of a token that holds keys which are not the probe's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherKeys {
    /// Nothing is probed.
    Refuse,
    /// They are left alone.
    Beside,
}

/// Whether the probe tries one wrong PIN, to see whether the token tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WrongPin {
    /// Never.
    Never,
    /// Once, on a token that holds no keys, with the right PIN after it.
    Once,
}

/// What the probe is at.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A check begins.
    Begins {
        /// Its place in the list, from 1.
        number: usize,
        /// How many there are.
        of: usize,
        /// Its id.
        id: &'a str,
        /// What it looks at.
        title: &'a str,
    },
    /// A check has its row.
    Ended(&'a Row),
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Report {
    /// The module, as it tells of itself.
    pub module: ModuleTold,
    /// The token, as it tells of itself.
    pub token: TokenTold,
    /// What the programs need to know.
    pub measured: Measured,
    /// A row for every check, in the order of the list.
    pub rows: Vec<Row>,
    /// Objects of the probe that could not be removed; `None` where the token could not be asked at the end.
    pub left_behind: Option<usize>,
}

impl Report {
    /// The rows in which something that Sigill needs is not so.
    pub fn failed(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.verdict == Verdict::Failed)
    }
}

/// What the thread that makes the calls tells.
enum Told {
    Begins(usize),
    Ended(Row),
    Done(Box<Ended>),
}

struct Ended {
    measured: Measured,
    left_behind: Option<usize>,
}

/// Does every check of the list. `watch` is told of each as it begins and ends.
///
/// # Errors
///
/// [`ProbeError`]: no check was done. A check that fails or hangs is a row of the report.
pub fn probe(
    module: &Module,
    order: ProbeOrder,
    watch: &mut dyn FnMut(Step<'_>),
) -> Result<Report, ProbeError> {
    let limit = order.deadline.saturating_add(order.idle.unwrap_or_default());
    let mut bench = Bench::open(module, order)?;
    let (told_module, told_token) = bench.identity();
    let checks = checks::all();
    // A call that hangs must not hang the probe: the calls are made on a thread that can be left.
    let (tell, told) = mpsc::channel();
    thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || {
            for (place, check) in checks::all().into_iter().enumerate() {
                if tell.send(Told::Begins(place)).is_err() {
                    return;
                }
                let row = bench.row(check);
                if tell.send(Told::Ended(row)).is_err() {
                    return;
                }
            }
            let left_behind = bench.remove_objects();
            let ended = Ended { measured: bench.measured(), left_behind };
            // The sessions are closed before the answer, so that the caller may end the process.
            drop(bench);
            let _nobody_waits = tell.send(Told::Done(Box::new(ended)));
        })
        .map_err(ProbeError::Thread)?;
    let mut rows: Vec<Row> = Vec::with_capacity(checks.len());
    let ended = loop {
        match told.recv_timeout(limit) {
            Ok(Told::Begins(place)) => {
                if let Some(check) = checks.get(place) {
                    let number = place.saturating_add(1);
                    let (id, title) = (check.id, check.title);
                    watch(Step::Begins { number, of: checks.len(), id, title });
                }
            }
            Ok(Told::Ended(row)) => {
                watch(Step::Ended(&row));
                rows.push(row);
            }
            Ok(Told::Done(ended)) => break *ended,
            Err(reason) => break cut_short(&checks, &mut rows, reason, limit),
        }
    };
    let Ended { measured, left_behind } = ended;
    Ok(Report { module: told_module, token: told_token, measured, rows, left_behind })
}

/// The rows that are missing when a check neither ended nor will.
fn cut_short(
    checks: &[&'static Check],
    rows: &mut Vec<Row>,
    reason: RecvTimeoutError,
    limit: Duration,
) -> Ended {
    let seen = match reason {
        RecvTimeoutError::Timeout => format!("no answer within {} s", limit.as_secs()),
        RecvTimeoutError::Disconnected => "the check ended in a panic".to_owned(),
    };
    for (place, check) in checks.iter().enumerate().skip(rows.len()).collect::<Vec<_>>() {
        rows.push(if place == rows.len() && !rows.iter().any(|row| row.seen == seen) {
            check.row(outcome::Outcome::failed(&seen))
        } else {
            check.row(outcome::Outcome::skipped("an earlier check did not end"))
        });
    }
    Ended { measured: Measured::default(), left_behind: None }
}

/// Why nothing was probed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The token could not be opened.
    #[error("token could not be opened")]
    Open(#[from] OpenError),
    /// The token is in use.
    #[error("token {token} holds {keys} private or secret keys that are not the probe's")]
    HoldsKeys {
        /// The token.
        token: TokenName,
        /// How many.
        keys: usize,
    },
    /// The token's objects could not be listed.
    #[error("token's objects could not be listed")]
    Device(#[source] Pkcs11Failure),
    /// The operating system gave no thread.
    #[error("no thread for the probe")]
    Thread(#[source] std::io::Error),
}

impl ProbeError {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Open(error) => error.code(),
            Self::HoldsKeys { .. } => "hsm-probe-keys",
            Self::Device(_) => "hsm-probe",
            Self::Thread(_) => "hsm-thread",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn next_step(&self) -> &'static str {
        match self {
            Self::Open(error) => error.next_step(),
            Self::HoldsKeys { .. } => {
                "probe an empty token of the same device, or say --beside-keys; the keys are not \
                 touched then"
            }
            Self::Device(failure) => failure.next_step(),
            Self::Thread(_) => "raise the limit of threads",
        }
    }
}
