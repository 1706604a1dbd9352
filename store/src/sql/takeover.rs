//! Taking back what a restored database has lost: the published log is the truth (§2.2).

use super::connection::OptionalExtension as _;
use ca::audit::AuditLeaf;
use rusqlite::params;
use status::index::after;
use status::{CertificateEntry, CertificateState, Change, IssuerId, IssuerRef, StatusEntry};
use x509::time::UnixTime;

use super::columns::{from_after, from_before, from_serial, from_time, from_u64, stored};
use super::group::{Act, SerialRow};
use super::{eid_orders, shards};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::log::{PublishedHead, TakenOver};

pub(super) fn take_over(
    act: &mut Act<'_>,
    published: &PublishedHead,
    missing: &[Vec<u8>],
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<TakenOver, StoreError> {
    let ours = act.staged_status()?.size();
    if published.epoch != act.epoch() {
        return Err(StoreError::OtherEpoch { ours: act.epoch(), published: published.epoch });
    }
    let count = u64::try_from(missing.len()).unwrap_or(u64::MAX);
    if ours.checked_add(count) != Some(published.size) {
        return Err(StoreError::LogsDisagree { size: published.size });
    }
    let mut taken = TakenOver { entries: count, only_by_serial: Vec::new() };
    for (index, bytes) in (ours..).zip(missing) {
        let entry = StatusEntry::decode(bytes).map_err(|_| StoreError::Entry { index })?;
        match entry {
            StatusEntry::EpochOpened { .. } => return Err(StoreError::Entry { index }),
            StatusEntry::IssuerDeclared { log_time, issuer } => {
                let position = act.put_status_bytes(bytes, log_time, 0)?;
                super::issuers::enter_id(act.connection(), &issuer, position)
                    .map_err(|_| StoreError::Entry { index: position.index })?;
            }
            StatusEntry::Certificate(entry) => {
                apply(act, &entry, bytes, index, &mut taken)?;
            }
        }
    }
    let frontier = act.staged_status()?;
    if frontier.root() != published.root {
        return Err(StoreError::LogsDisagree { size: published.size });
    }
    pause_jobs(act)?;
    eid_orders::park_all(act.connection(), now)?;
    shards::close_all(act.connection(), now)?;
    act.put_audit(audit, now)?;
    Ok(taken)
}

pub(super) fn take_over_audit(
    act: &mut Act<'_>,
    published: &PublishedHead,
    missing: &[Vec<u8>],
) -> Result<u64, StoreError> {
    if published.epoch != act.audit_epoch() {
        return Err(StoreError::OtherEpoch { ours: act.audit_epoch(), published: published.epoch });
    }
    let ours = act.staged_audit()?.size();
    let count = u64::try_from(missing.len()).unwrap_or(u64::MAX);
    if ours.checked_add(count) != Some(published.size) {
        return Err(StoreError::LogsDisagree { size: published.size });
    }
    let mut last = None;
    for (index, bytes) in (ours..).zip(missing) {
        let leaf = AuditLeaf::decode(bytes).map_err(|_| StoreError::Entry { index })?;
        act.put_audit_bytes(bytes, leaf.time)?;
        last = Some(leaf.time);
    }
    if act.staged_audit()?.root() != published.root {
        return Err(StoreError::LogsDisagree { size: published.size });
    }
    pause_jobs(act)?;
    if let Some(last) = last {
        eid_orders::park_all(act.connection(), last)?;
    }
    Ok(count)
}

/// A job that ran when the backup was made may have been paused or cancelled since: what the log says of a job is in payloads
/// that are lost. Nothing more is revoked before an operator resumes it.
fn pause_jobs(act: &Act<'_>) -> Result<(), StoreError> {
    act.connection()
        .prepare_cached("UPDATE job SET state = 'paused' WHERE state = 'running'")?
        .execute([])?;
    Ok(())
}

fn apply(
    act: &mut Act<'_>,
    entry: &CertificateEntry,
    bytes: &[u8],
    index: u64,
    taken: &mut TakenOver,
) -> Result<(), StoreError> {
    let refused = || StoreError::Entry { index };
    let (issuer, id) = issuer_of(act, entry.issuer)?.ok_or_else(refused)?;
    let serial = match find(act, issuer, entry)? {
        Some(serial) => serial,
        None => enter(act, issuer, entry)?,
    };
    let was_lost = serial.status.is_none();
    let status = after(serial.status.as_ref(), entry).map_err(|_| refused())?;
    let position = act.put_status_bytes(bytes, entry.log_time, 0)?;
    act.project(serial.row, &status, position, serial.requested_at)?;
    if was_lost {
        end_intent(act, serial.row, status.state)?;
        if status.state != CertificateState::Voided {
            taken.only_by_serial.push((id, entry.serial));
        }
    }
    Ok(())
}

fn issuer_of(act: &Act<'_>, reference: IssuerRef) -> Result<Option<(i64, IssuerId)>, StoreError> {
    let found: Option<(i64, [u8; 32])> = act
        .connection()
        .prepare_cached("SELECT row, issuer_id FROM issuer WHERE ref_epoch = ?1 AND ref_idx = ?2")?
        .query_row(params![act.epoch(), from_u64(reference.index(), "issuer reference")?], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(found.map(|(row, id)| (row, IssuerId::from_bytes(id))))
}

fn find(
    act: &Act<'_>,
    issuer: i64,
    entry: &CertificateEntry,
) -> Result<Option<SerialRow>, StoreError> {
    act.serial(
        "serial.issuer = ?1 AND serial.serial = ?2",
        params![issuer, from_serial(&entry.serial)],
    )
}

/// Enters a serial that this database has never seen; its status follows at once.
fn enter(act: &Act<'_>, issuer: i64, entry: &CertificateEntry) -> Result<SerialRow, StoreError> {
    let classes = match entry.change {
        Change::Issued { classes, .. } => classes,
        _ => status::AnswerClasses::USUAL,
    };
    // Which list its certificate names is lost with it: until it ends it stands on those of all shards.
    let shard = shards::row_of_any(act.connection(), issuer)?;
    act.connection()
        .prepare_cached(
            "INSERT INTO serial (issuer, serial, state, effective, not_after, before_activation, \
                 after_expiry, listed, shard) VALUES (?1, ?2, 'reserved', 0, ?3, ?4, ?5, 0, ?6)",
        )?
        .execute(params![
            issuer,
            from_serial(&entry.serial),
            from_time(UnixTime::LAST),
            from_before(classes.before_activation),
            from_after(classes.after_expiry),
            shard,
        ])?;
    stored(find(act, issuer, entry)?, "serial")
}

/// An intent that this database still holds open came to its end after the backup. A certificate
/// that was issued then is lost, but its order must not yield a second one.
fn end_intent(act: &Act<'_>, serial: i64, state: CertificateState) -> Result<(), StoreError> {
    let end = if state == CertificateState::Voided { "voided" } else { "fulfilled" };
    act.connection()
        .prepare_cached("UPDATE intent SET state = ?2 WHERE serial_row = ?1 AND state = 'open'")?
        .execute(params![serial, end])?;
    act.connection()
        .prepare_cached(
            "INSERT INTO lost_certificate \
                 SELECT serial_row, subject_spki, holder_tag, person_tag FROM intent \
                 WHERE serial_row = ?1 AND state = 'fulfilled' AND subject_spki IS NOT NULL \
                     AND NOT EXISTS (SELECT 1 FROM certificate WHERE serial_row = ?1) ON CONFLICT DO NOTHING",
        )?
        .execute([serial])?;
    Ok(())
}
