//! `sigill-ca confirm-clock`: an operator says that a clock far ahead of the records is right.
//!
//! Log times never go back, so a clock that is years ahead for one second would stop issuing for
//! years. After a long rest the program cannot tell such a clock from a right one; an operator with
//! a watch can. The confirmation is a leaf of the audit log at the confirmed time, which the next
//! start finds.

use std::time::Duration;

use anyhow::Context as _;
use ca::audit::{Actor, EventCode, EventResult};
use serde_json::json;
use store::{Store, Subject};
use thiserror::Error;
use x509::time::UnixTime;

use crate::clock::{Clock, Doubt};
use crate::config::ClockSection;
use crate::service::Service;

/// How far the operator's watch may be from this machine's clock: time to type it.
const WATCH_DIFFERS: Duration = Duration::from_secs(120);

/// Why a clock was not believed or not confirmed.
#[derive(Debug, Error)]
pub(crate) enum ConfirmError {
    /// Ahead of the records.
    #[error(
        "the clock says {now}, the records end at {last_seen}, more than {bound} s before \
         ([clock] longest-stop)"
    )]
    Unconfirmed {
        /// Wall time.
        now: UnixTime,
        /// The last time recorded.
        last_seen: UnixTime,
        /// The bound, in seconds.
        bound: u64,
    },
    /// The operator's time.
    #[error("--utc {0} is not a time in UTC")]
    Malformed(String),
    /// The operator's time and the machine's differ.
    #[error("this machine's clock says {now}, --utc says {utc}; 120 s apart at most are taken")]
    Differs {
        /// Wall time.
        now: UnixTime,
        /// What the operator said.
        utc: UnixTime,
    },
}

/// Wall time for a command that writes to the logs, unless it is too far ahead of them.
///
/// # Errors
///
/// [`ConfirmError::Unconfirmed`].
pub(crate) fn believed(
    last_seen: UnixTime,
    section: ClockSection,
) -> Result<UnixTime, ConfirmError> {
    let reading = Clock::start_after(last_seen, section.longest_stop()).read();
    match reading.doubt {
        Some(Doubt::Unconfirmed { bound, .. }) => Err(ConfirmError::Unconfirmed {
            now: Clock::start().read().now,
            last_seen,
            bound: bound.as_secs(),
        }),
        Some(Doubt::Stepped(_)) | None => Ok(reading.now),
    }
}

/// Records that the clock is right; the time that was recorded.
///
/// # Errors
///
/// [`ConfirmError`] when the operator's time is another one, and the store's errors.
pub(crate) fn run(store: &dyn Store, last_seen: UnixTime, utc: &str) -> anyhow::Result<UnixTime> {
    let now = Clock::start().read().now;
    let told = parse(utc).ok_or_else(|| ConfirmError::Malformed(utc.to_owned()))?;
    if told.since(now).max(now.since(told)) > WATCH_DIFFERS {
        return Err(ConfirmError::Differs { now, utc: told }.into());
    }
    let record = Service::record(
        EventCode::RuleWaived,
        EventResult::Done,
        Actor::System([0; 16]),
        ca::audit::ObjectIds::default(),
        None,
        &json!({ "rule": "clock-unconfirmed", "last_seen": last_seen.to_string(), "utc": utc }),
        Subject::Deployment,
    );
    store.record_audit(&record, now).context("the confirmation was not recorded")?;
    Ok(now)
}

fn parse(text: &str) -> Option<UnixTime> {
    let time: jiff::Timestamp = text.parse().ok()?;
    UnixTime::from_secs(u64::try_from(time.as_second()).ok()?).ok()
}
