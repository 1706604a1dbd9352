//! Whether `serve` works on the database while a local command wants it alone: a file is locked, on a server the leases
//! of the nodes tell.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use store::{LEASE, PostgresStore};
use x509::time::UnixTime;

use crate::clock::Clock;
use crate::config::ConfigFile;
use crate::database::DatabasePlace;
use crate::start::Told;

/// Which nodes a command cannot work beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Beside {
    /// The one whose name it takes.
    NotOwnName,
    /// Any.
    Nobody,
}

/// How often the leases are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Waits until the leases of nodes that have died end, and refuses where one is renewed. Nothing is changed.
///
/// # Errors
///
/// `node-at-work`; the database's own.
pub(crate) fn must_be_stopped(config: &ConfigFile, beside: Beside) -> anyhow::Result<()> {
    let place = config.database.place()?;
    let DatabasePlace::Server(server) = &place else { return Ok(()) };
    let own = &config.deployment.node;
    let begun = Instant::now();
    let mut first: Option<BTreeMap<String, UnixTime>> = None;
    loop {
        let now = Clock::start().read().now;
        let mut live: BTreeMap<_, _> = PostgresStore::nodes_at_work(server, now)
            .with_context(|| format!("database {place}"))?
            .into_iter()
            .collect();
        live.retain(|name, _| beside == Beside::Nobody || name == own);
        let before = first.get_or_insert_with(|| live.clone());
        let Some((name, until)) = live.iter().next() else { return Ok(()) };
        let renewed = live.iter().any(|(name, until)| before.get(name) != Some(until));
        ensure!(
            !renewed && begun.elapsed() <= LEASE,
            Told::new(
                "node-at-work",
                format!("node {name} works on the database {place}: its lease lasts until {until}"),
                "stop `serve` there, then run it again; nothing was changed",
            )
        );
        thread::sleep(LOOK_EVERY);
    }
}
