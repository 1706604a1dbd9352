//! Changes of a certificate's status: activation, hold, release, revocation, correction.

use status::{Act as StatusMachineAct, CertificateState, Change};
use x509::time::UnixTime;

use super::columns::{from_serial, stored};
use super::group::{Act, Effective, SerialRow};
use super::issuers::row_of;
use super::jobs;
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::certificate::{
    ChangeOutcome, StatusAct, StatusChange, StatusChanged, StatusRow, StatusTarget,
};

pub(super) fn change(
    act: &mut Act<'_>,
    wanted: &StatusChange,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<StatusChanged, StoreError> {
    let changed = apply(act, wanted, now)?;
    if changed.outcome == ChangeOutcome::Changed {
        act.put_audit(audit, now)?;
    }
    Ok(changed)
}

/// The change without its leaf, which the caller's act writes.
pub(super) fn apply(
    act: &mut Act<'_>,
    wanted: &StatusChange,
    now: UnixTime,
) -> Result<StatusChanged, StoreError> {
    let clock = act.clock(now);
    let serial = target(act, &wanted.target)?;
    if !serial.online {
        return Err(StoreError::OfflineIssuer);
    }
    let known = serial.status.ok_or(StoreError::UnknownSerial)?;
    if let Some(same) = stands_so(&known, wanted.act) {
        let status = StatusRow {
            status: same,
            requested_at: serial.requested_at,
            position: stored(serial.position, "position")?,
        };
        return Ok(StatusChanged { outcome: ChangeOutcome::Already, status, clock });
    }
    if serial.ended {
        return Err(StoreError::IssuerEnded);
    }

    if matches!(wanted.act, StatusAct::Hold | StatusAct::Revoke { .. })
        && let Some(alone) = &wanted.alone
    {
        jobs::count_alone(act.connection(), alone, 1, now)?;
    }
    let (change, effective) = match wanted.act {
        StatusAct::Activate => (Change::Activated, Effective::Logged),
        StatusAct::Hold => (Change::Held, Effective::Logged),
        StatusAct::Release => (Change::Released, Effective::Logged),
        StatusAct::Revoke { reason, invalidity } => {
            (Change::Revoked { reason, invalidity_date: invalidity }, Effective::Logged)
        }
        StatusAct::CorrectReason { from: _, reason, invalidity } => {
            // A correction in any other state would be a revocation.
            let refused = |state| {
                status::transition(state, StatusMachineAct::CorrectReason)
                    .map_err(StoreError::Transition)
            };
            refused(Some(known.state))?;
            (
                Change::Revoked { reason, invalidity_date: invalidity },
                Effective::Kept(known.effective_time),
            )
        }
    };
    let requested_at = match wanted.act {
        StatusAct::CorrectReason { .. } => serial.requested_at,
        _ => wanted.requested_at.or(serial.requested_at),
    };
    let (status, position, _) = act.put_change(&serial, change, effective, requested_at, now)?;
    let status = StatusRow { status, requested_at, position };
    Ok(StatusChanged { outcome: ChangeOutcome::Changed, status, clock })
}

fn target(act: &Act<'_>, target: &StatusTarget) -> Result<SerialRow, StoreError> {
    match target {
        StatusTarget::Certificate(id) => act
            .serial(
                "serial.row = (SELECT serial_row FROM certificate WHERE certificate_id = ?1)",
                [id.as_bytes()],
            )?
            .ok_or(StoreError::UnknownCertificate { certificate: *id }),
        StatusTarget::Serial(issuer, serial) => {
            let issuer = row_of(act.connection(), issuer)?;
            act.serial(
                "serial.issuer = ?1 AND serial.serial = ?2",
                rusqlite::params![issuer, from_serial(serial)],
            )?
            .ok_or(StoreError::UnknownSerial)
        }
    }
}

/// The status, if the act would change nothing of it. A repeated revocation is answered with what
/// stands, whatever reason it brings: a reason is changed by [`StatusAct::CorrectReason`] only.
fn stands_so(
    known: &status::CertificateStatus,
    act: StatusAct,
) -> Option<status::CertificateStatus> {
    let so = match act {
        StatusAct::Activate => known.state == CertificateState::Activated,
        StatusAct::Hold => matches!(known.state, CertificateState::Held(_)),
        StatusAct::Release => {
            matches!(known.state, CertificateState::Issued | CertificateState::Activated)
        }
        StatusAct::Revoke { .. } => known.state == CertificateState::Revoked,
        StatusAct::CorrectReason { from, reason, invalidity } => {
            let same = known.reason == reason && known.invalidity_date == invalidity;
            known.state == CertificateState::Revoked && (same || known.reason != from)
        }
    };
    so.then_some(*known)
}
