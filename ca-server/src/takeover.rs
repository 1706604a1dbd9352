//! `sigill-ca take-over`: an older database, put back from a backup, learns what was published since.
//!
//! The published logs are the truth (architecture §2.2). The audit log comes first, so that the
//! take-over itself is a leaf behind everything that had been published. Run it again until it says
//! that nothing is missing; then `sigill-ca serve` starts.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use ca::audit::{Actor, EventCode, EventResult, ObjectIds};
use ca::deployment::Deployment;
use ca::job::JobState;
use ledger::origin::{DeploymentName, LogName, LogOrigin};
use ledger::signer::NoteSigner;
use ledger::{Frontier, tree};
use serde_json::json;
use store::{JobId, Log, LogHead, PublishedHead, Store, Subject, TakenOver};
use x509::time::UnixTime;

use crate::config::ConfigFile;
use crate::publication::files::LogFolder;
use crate::publication::log::read_published;
use crate::service::Service;
use crate::service::authority::Authority;
use crate::wiring::NoteKeys;

/// What was taken over.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Audit leaves; their payloads are lost.
    pub(crate) leaves: u64,
    /// Status entries, and the serials that are known only by them.
    pub(crate) status: TakenOver,
    /// Jobs that ran in the backup: they may have been cancelled since, and wait for an operator.
    pub(crate) paused: Vec<JobId>,
    /// Orders in steps that were under way in the backup: they may have been taken back since, and wait for an administrator.
    pub(crate) parked: u64,
}

/// A certificate of which the database knows no more than that it was issued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct KnownBySerial {
    /// The hash of the issuer's name and key, hexadecimal.
    pub(crate) issuer: String,
    /// The issuer's short name; `None` for one that is not configured.
    pub(crate) authority: Option<String>,
    /// Upper-case hexadecimal.
    pub(crate) serial: String,
}

impl KnownBySerial {
    /// Who issued it, its serial number, and the command that revokes it.
    pub(crate) fn line(&self) -> String {
        let serial = &self.serial;
        self.authority.as_ref().map_or_else(
            || format!("  {serial} of an issuer that is not configured, {}", self.issuer),
            |name| format!("  {name} {serial}: sigill certificate revoke-serial {name} {serial}"),
        )
    }
}

impl Outcome {
    /// What was taken over and is known only by its serial number, under its issuer's short name.
    pub(crate) fn only_by_serial(
        &self,
        authorities: &BTreeMap<String, Authority>,
    ) -> Vec<KnownBySerial> {
        let known = self.status.only_by_serial.iter().map(|(issuer, serial)| KnownBySerial {
            issuer: issuer.to_string(),
            authority: authorities
                .values()
                .find(|authority| authority.id == *issuer)
                .map(|authority| authority.name().to_owned()),
            serial: serial.to_string(),
        });
        known.collect()
    }
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
    let ran = running(store)?;

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
    let still = running(store)?;
    outcome.parked = store.parked_orders()?;
    outcome.paused = ran.into_iter().filter(|job| !still.contains(job)).collect();
    Ok(outcome)
}

fn running(store: &dyn Store) -> anyhow::Result<Vec<JobId>> {
    let jobs = store.jobs()?.into_iter().filter(|job| job.state == JobState::Running);
    Ok(jobs.map(|job| job.id).collect())
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told can be given to the command that revokes it.
    #[test]
    fn a_line_has_the_authority_the_serial_and_the_next_command() {
        let mut known = KnownBySerial {
            issuer: "de1a7e98".to_owned(),
            authority: Some("sigilltesteidfunctioncav1".to_owned()),
            serial: "6D9C2162".to_owned(),
        };
        let command = "sigill certificate revoke-serial sigilltesteidfunctioncav1 6D9C2162";

        assert!(known.line().ends_with(command), "{}", known.line());
        known.authority = None;
        assert!(known.line().contains("not configured, de1a7e98"), "{}", known.line());
    }
}
