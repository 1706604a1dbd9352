//! What the outer hosts have is read before anything is signed (architecture §2.2).
//!
//! A database that was put back from a backup is older than what the world has seen. Where a host has
//! more than the publication folder, its tiles are brought home first; then the folder tells the rest of
//! the program what is missing, and `take-over` brings it into the database.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use ca::deployment::Deployment;
use ledger::checkpoint::CheckpointNote;
use ledger::frontier::Frontier;
use ledger::note::NotePublicKey;
use ledger::origin::{DeploymentName, LogName, LogOrigin};
use ledger::{proof, tile, tree};
use status::PublicationPath;
use store::{LeaseName, Log, Node, Store};

use super::connection::Connection;
use super::error::PushError;
use super::host::Feed;
use super::hosts::OuterHosts;
use super::lists;
use super::settings::HostSection;
use super::tls::client_config;
use crate::clock::Clock;
use crate::config::ConfigFile;
use crate::publication::chain;
use crate::publication::crl_files::CrlFiles;
use crate::publication::files::{LogFolder, replace};
use crate::publication::log::read_under;
use crate::service::recovery;
use crate::start::{self, Told};
use crate::wiring::NoteKeys;

/// What is next when a host has another history.
const EVIDENCE: &str =
    "stop and keep all as evidence: the log of that host and this one are not one history";

/// Reads the configuration of the hosts; `None` where nothing is pushed.
///
/// # Errors
///
/// Names the key or file that is not fit.
pub(crate) fn feed(
    config: &ConfigFile,
    deployment: Deployment,
    notes: &NoteKeys,
    store: &Arc<dyn Store>,
    lists: &Arc<CrlFiles>,
) -> anyhow::Result<Option<Feed>> {
    let Some(section) = &config.push else { return Ok(None) };
    let mut hosts = Vec::new();
    for host in &section.hosts {
        let twice = hosts.iter().any(|(other, _): &(HostSection, _)| {
            other.name == host.name || other.address == host.address
        });
        ensure!(!twice, Told::config(format!("[[push.host]] {} stands there twice", host.name)));
        let tls = client_config(&section.certificate, &section.key, host.pins()?)?;
        hosts.push((host.clone(), tls));
    }
    let deployment: DeploymentName = deployment.to_string().parse()?;
    let epoch = store.log_head(Log::Status)?.epoch;
    Ok(Some(Feed {
        store: Arc::clone(store),
        origin: LogOrigin { deployment, log: LogName::Status, epoch },
        key: NotePublicKey::from_bytes(notes.status.public_key()),
        folder: LogFolder(config.publication.folder.clone()),
        outbox: config.publication.outbox.clone(),
        hosts,
        state: Arc::new(OuterHosts::of(&section.hosts)),
        lists: Arc::clone(lists),
    }))
}

/// How long the log of one host may take that is brought home.
const BRING_HOME: Duration = Duration::from_secs(120);
/// And its lists at a start. What has not come by then is made anew, once the start is over.
const LISTS_AT_A_START: Duration = Duration::from_secs(120);
/// And its lists where an operator brings a database up to them: half a gigabyte at the slowest line that is borne.
const LISTS_AT_A_TAKE_OVER: Duration = Duration::from_secs(900);

/// Whether what a host has is compared with the database here.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Comparison<'a> {
    /// It is: nothing is signed by an older one. Others may be at work meanwhile.
    Now {
        /// The node that starts.
        node: &'a Node,
    },
    /// Later: the database is just being brought up to it, and nobody else works on it.
    Later,
}

impl Comparison<'_> {
    const fn is_now(self) -> bool {
        matches!(self, Self::Now { .. })
    }

    const fn lists_within(self) -> Duration {
        match self {
            Self::Now { .. } => LISTS_AT_A_START,
            Self::Later => LISTS_AT_A_TAKE_OVER,
        }
    }
}

/// Reads every host that can be reached, brings home what the publication folder lacks, and compares.
///
/// # Errors
///
/// A host whose log is not the beginning or the continuation of ours, or that is ahead of the database. A
/// host that cannot be reached is told of, and stays unread: see [`OuterHosts::may_issue`]. One that can be reached
/// and does not give its tiles is told of, and keeps only what is brought up from it from going on. So is one that does not say
/// which lists it serves, or is slow with them: numbers of lists do not rest on it alone.
pub(crate) fn run(feed: &Feed, comparison: Comparison<'_>) -> anyhow::Result<()> {
    let read = run_within(feed, comparison, comparison.lists_within());
    if let (Err(_), Comparison::Now { node }) = (&read, comparison) {
        // It may have the lease of the publication, for which others would wait in vain.
        let _lapses = feed.store.release_lease(&LeaseName::Publication, node);
    }
    read
}

fn run_within(feed: &Feed, comparison: Comparison<'_>, lists: Duration) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        for (section, tls) in &feed.hosts {
            let name = &section.name;
            let reached = async {
                let mut connection = feed.connect(section, tls).await?;
                let note = feed.checkpoint_of(&mut connection).await?;
                Ok::<_, PushError>((connection, note))
            };
            let (mut connection, there) = match reached.await {
                Ok(reached) => reached,
                Err(error) => {
                    tracing::error!(problem.code = error.code(), host.name = name,
                        error = chain(&error),
                        "outer host was not read back: nothing is issued until it is, or until its read-back is waived");
                    continue;
                }
            };
            if let Some((note, bytes)) = &there {
                let brought = bring_home(feed, &mut connection, note, bytes);
                let brought = tokio::time::timeout(BRING_HOME, brought).await;
                let slow = |_| Err(PushError::TimedOut { limit: BRING_HOME }.into());
                match brought.unwrap_or_else(slow) {
                    Ok(()) => {}
                    // Whether the database has what the host has published is compared all the same.
                    Err(error) if is_of_the_host(&error) && may_lack(section, comparison) => {
                        tracing::error!(problem.code = code_of(&error), host.name = name,
                            error = format!("{error:#}"),
                            "outer host does not give what its checkpoint says; the start goes on");
                    }
                    Err(error) => return Err(error.context(format!("outer host {name}"))),
                }
            }
            let listed = lists::bring_home(feed, name, &mut connection, comparison);
            let listed = tokio::time::timeout(lists, listed).await;
            if let Err(error) = listed.unwrap_or(Err(PushError::TimedOut { limit: lists })) {
                tracing::error!(problem.code = error.code(), host.name = name, error = chain(&error),
                    "outer host does not give the CRLs that it serves; this goes on without them");
            }
            if comparison.is_now() {
                let note = there.as_ref().map(|(note, _)| note);
                recovery::compare(feed.store.as_ref(), note).with_context(|| {
                    format!("log of outer host {name} does not fit the database; nothing is signed")
                })?;
                feed.state.has_read(name);
            }
        }
        Ok(())
    })
}

/// Whether it is the host that fails: it breaks off, is slow, or lacks what its checkpoint says. Another history, and
/// a folder here that cannot be written, is something else.
fn is_of_the_host(error: &anyhow::Error) -> bool {
    code_of(error) == "log-gap" || error.downcast_ref::<PushError>().is_some()
}

/// The stable code, of a push as well.
fn code_of(error: &anyhow::Error) -> &'static str {
    error.downcast_ref::<PushError>().map_or_else(|| start::code(error), PushError::code)
}

/// Whether the folder may lack what a host has. A start brings the folder up from the database; a database that
/// is brought up from the folder needs all of it, unless the operator has waived that host.
fn may_lack(section: &HostSection, comparison: Comparison<'_>) -> bool {
    comparison.is_now() || !section.is_waited_for(Clock::start().read().now)
}

/// Copies what a host has beyond the publication folder into it: tiles first, the checkpoint last.
async fn bring_home(
    feed: &Feed,
    connection: &mut Connection,
    note: &CheckpointNote,
    bytes: &[u8],
) -> anyhow::Result<()> {
    let here = read_under(&feed.folder, &feed.origin, feed.key)?;
    let new = note.checkpoint();
    let old = here.as_ref().map_or(0, |here| here.checkpoint().size);
    if new.size <= old {
        return Ok(());
    }
    for path in tile::paths_between(old, new.size) {
        let name = PublicationPath::Tile(path);
        let fetched = connection.get(&format!("publish/{name}"), name.max_octets()).await?;
        // A partial tile that was swept is in the full one.
        let fetched = match fetched {
            Some(bytes) => Some((path, bytes)),
            None => {
                let full = PublicationPath::Tile(path.full());
                let bytes = connection.get(&format!("publish/{full}"), full.max_octets()).await?;
                bytes.map(|bytes| (path.full(), bytes))
            }
        };
        let (path, bytes) = fetched.with_context(|| {
            let what = format!("its checkpoint has {} entries, {name} is missing", new.size);
            Told::new("log-gap", what, "push or copy the missing files to that host, or waive it")
        })?;
        let file = feed.folder.tile(&path);
        replace(&file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
    }
    let hashes = tree::TileHashes::new(new.size, &feed.folder);
    let forked = || Told::new("published-differs", "its log does not begin with ours", EVIDENCE);
    if let Some(here) = &here {
        let old = here.checkpoint();
        let grown = proof::consistency(old.size, new.size, &hashes)?;
        proof::verify_consistency((old.size, old.root), (new.size, new.root), &grown)
            .with_context(forked)?;
    }
    let whole = tree::replay(&Frontier::new(), new.size, &feed.folder, |_, _| {})?;
    ensure!(whole.root() == new.root, forked());
    let file = feed.folder.checkpoint();
    replace(&file, bytes).with_context(|| format!("cannot write {}", file.display()))?;
    tracing::warn!(from = old, to = new.size, "published log was brought home from an outer host");
    Ok(())
}

#[cfg(test)]
mod tests;
