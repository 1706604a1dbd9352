//! `sigill-ca take-over`: an older database, put back from a backup, learns what was published since.
//!
//! The published logs are the truth (architecture §2.2). The audit log comes first, so that the
//! take-over itself is a leaf behind everything that had been published. Run it again until it says
//! that nothing is missing; then `sigill-ca serve` starts.

use anyhow::{Context as _, ensure};
use ca::audit::{Actor, EventCode, EventResult, ObjectIds};
use ca::deployment::Deployment;
use ledger::origin::{DeploymentName, LogName, LogOrigin};
use ledger::signer::NoteSigner;
use ledger::{Frontier, tree};
use serde_json::json;
use store::{Log, LogHead, PublishedHead, Store, Subject, TakenOver};
use x509::time::UnixTime;

use crate::config::ConfigFile;
use crate::publication::files::LogFolder;
use crate::publication::log::read_published;
use crate::service::Service;
use crate::wiring::NoteKeys;

/// What was taken over.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Audit leaves; their payloads are lost.
    pub(crate) leaves: u64,
    /// Status entries, and the serials that are known only by them.
    pub(crate) status: TakenOver,
}

/// Brings the database up to the published logs.
///
/// # Errors
///
/// Says which log does not continue this database; nothing of that log was taken over then.
pub(crate) fn run(
    config: &ConfigFile,
    deployment: Deployment,
    notes: &NoteKeys,
    store: &dyn Store,
    now: UnixTime,
) -> anyhow::Result<Outcome> {
    let name: DeploymentName = deployment.to_string().parse()?;
    let mut outcome = Outcome::default();

    let head = store.log_head(Log::Audit)?;
    let folder = LogFolder(config.publication.audit.clone());
    let origin = LogOrigin { deployment: name.clone(), log: LogName::Audit, epoch: head.epoch };
    if let Some((published, missing)) = missing(&folder, &origin, notes.audit.as_ref(), &head)? {
        outcome.leaves = store
            .take_over_audit(&published, &missing)
            .context("audit log cannot be taken over")?;
    }

    let head = store.log_head(Log::Status)?;
    let folder = LogFolder(config.publication.folder.clone());
    let origin = LogOrigin { deployment: name, log: LogName::Status, epoch: head.epoch };
    if let Some((published, missing)) = missing(&folder, &origin, notes.status.as_ref(), &head)? {
        let record = Service::record(
            EventCode::LogRecovered,
            EventResult::Done,
            Actor::System([0; 16]),
            ObjectIds::default(),
            None,
            &json!({ "from": head.size, "to": published.size }),
            Subject::Deployment,
        );
        outcome.status = store
            .take_over_published(&published, &mut missing.into_iter(), &record, now)
            .context("status log cannot be taken over")?;
    }
    Ok(outcome)
}

/// The published head and the entries after ours, verified against its root. `None` when nothing is
/// missing.
fn missing(
    folder: &LogFolder,
    origin: &LogOrigin,
    signer: &dyn NoteSigner,
    head: &LogHead,
) -> anyhow::Result<Option<(PublishedHead, Vec<Vec<u8>>)>> {
    let Some(note) = read_published(folder, origin, signer)? else { return Ok(None) };
    let checkpoint = note.checkpoint();
    if checkpoint.size <= head.size {
        return Ok(None);
    }
    let mut missing = Vec::new();
    let frontier = tree::replay(&Frontier::new(), checkpoint.size, folder, |index, entry| {
        if index >= head.size {
            missing.push(entry.to_vec());
        }
    })?;
    ensure!(
        frontier.root() == checkpoint.root,
        "tiles of {origin} do not carry its checkpoint of size {}",
        checkpoint.size
    );
    let published =
        PublishedHead { epoch: origin.epoch, size: checkpoint.size, root: checkpoint.root };
    Ok(Some((published, missing)))
}
