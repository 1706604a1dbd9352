//! What ceremonies and other operators made: issuers, certificates, states and CRLs in one act.

use super::connection::OptionalExtension as _;
use aws_lc_rs::digest::{SHA256, digest};
use ca::audit::{AuditEvent, EventCode, EventResult, ObjectId, ObjectIds};
use rusqlite::params;
use status::{CertificateState, Change};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::certificates::{NewRow, insert};
use super::columns::{from_after, from_before, from_serial, from_time, stored};
use super::crls;
use super::group::{Act, Effective, SerialRow};
use super::issuers::{Declared, declare, row_of};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::issuer::{
    Import, Imported, ImportedCertificate, ImportedChange, ImportedState, NewIssuer,
};

pub(super) fn import(
    act: &mut Act<'_>,
    import: &Import,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<Imported, StoreError> {
    let mut done = Imported { issuers: 0, certificates: 0, entries: 0, last: None };
    for issuer in &import.issuers {
        if declare(act, issuer, now)? == Declared::New {
            done.issuers += 1;
            done.entries += 1;
            act.put_audit(&declaration(issuer, audit), now)?;
        }
    }
    for certificate in &import.certificates {
        if register(act, certificate, &mut done, now)? == Declared::New {
            done.certificates += 1;
        }
    }
    for state in &import.states {
        let serial = known_by_state(act, state, &mut done, now)?;
        change(act, &serial, state.change, &mut done, now)?;
    }
    for crl in &import.crls {
        crls::import(act, crl)?;
    }
    if done.entries > 0 {
        done.last = act.last_entry();
    }
    act.put_audit(audit, now)?;
    Ok(done)
}

/// What the audit log says of an issuer that an import declares.
fn declaration(issuer: &NewIssuer, import: &AuditRecord) -> AuditRecord {
    let certificate = digest(&SHA256, &issuer.certificate_der);
    let mut hash = [0; 32];
    hash.copy_from_slice(certificate.as_ref());
    let objects = [ObjectId::Issuer(issuer.id), ObjectId::Document(ledger::Hash::from_bytes(hash))];
    let event = AuditEvent {
        code: EventCode::IssuerDeclared,
        result: EventResult::Done,
        actor: import.event.actor,
        objects: ObjectIds::new(objects).unwrap_or_default(),
        policy: None,
    };
    let payload = serde_json::json!({ "issuer": issuer.name }).to_string().into_bytes();
    AuditRecord { event, payload, subject: import.subject.clone() }
}

/// Enters a certificate, with `issued` if its serial is new.
fn register(
    act: &mut Act<'_>,
    new: &ImportedCertificate,
    done: &mut Imported,
    now: UnixTime,
) -> Result<Declared, StoreError> {
    let issuer = row_of(act.connection(), &new.issuer)?;
    let serial = find(act, issuer, &new.serial)?;
    let known: Option<i64> = act
        .connection()
        .prepare_cached("SELECT serial_row FROM certificate WHERE sha256 = ?1")?
        .query_row([digest(&SHA256, &new.der).as_ref()], |row| row.get(0))
        .optional()?;
    let (serial, declared) = match (serial, known) {
        (Some(serial), Some(row)) if serial.row == row => (serial, Declared::Known),
        (_, Some(_)) => return Err(StoreError::SerialTaken),
        // Reserved by an intent of ours that has not come to its end.
        (Some(SerialRow { status: None, .. }), None) => return Err(StoreError::SerialTaken),
        // Known by its serial alone: a second certificate under it is refused by `insert`.
        (Some(serial), None) => (serial, Declared::New),
        (None, None) => {
            let issued = Issued {
                issuer,
                serial: new.serial,
                not_after: new.not_after,
                effective: new.not_before.min(now),
                classes: new.answers,
            };
            (enter(act, &issued, done, now)?, Declared::New)
        }
    };
    if declared == Declared::New {
        insert(
            act,
            &NewRow {
                id: new.id,
                serial_row: serial.row,
                order_row: None,
                origin: new.origin,
                profile: None,
                ended_by: None,
                policy: new.policy.as_deref(),
                not_before: new.not_before,
                not_after: new.not_after,
                spki: new.spki,
                person: new.person.as_ref(),
                defects: &new.defects,
                der: &new.der,
                privacy: &new.privacy,
                index: &new.index,
            },
        )?;
    }
    if let Some(wanted) = new.change {
        change(act, &serial, wanted, done, now)?;
    }
    Ok(declared)
}

/// A serial that a CRL or list names, entered if it is new.
fn known_by_state(
    act: &mut Act<'_>,
    state: &ImportedState,
    done: &mut Imported,
    now: UnixTime,
) -> Result<SerialRow, StoreError> {
    let issuer = row_of(act.connection(), &state.issuer)?;
    match find(act, issuer, &state.serial)? {
        Some(SerialRow { status: None, .. }) => Err(StoreError::SerialTaken),
        Some(serial) => Ok(serial),
        None => {
            let issued = Issued {
                issuer,
                serial: state.serial,
                not_after: state.not_after,
                effective: now,
                classes: state.answers,
            };
            enter(act, &issued, done, now)
        }
    }
}

/// An `issued` entry for a serial that was not known.
struct Issued {
    issuer: i64,
    serial: SerialNumber,
    not_after: UnixTime,
    effective: UnixTime,
    classes: status::AnswerClasses,
}

fn enter(
    act: &mut Act<'_>,
    new: &Issued,
    done: &mut Imported,
    now: UnixTime,
) -> Result<SerialRow, StoreError> {
    act.connection()
        .prepare_cached(
            "INSERT INTO serial (issuer, serial, state, effective, not_after, before_activation, \
                 after_expiry, listed) VALUES (?1, ?2, 'reserved', 0, ?3, ?4, ?5, 0)",
        )?
        .execute(params![
            new.issuer,
            from_serial(&new.serial),
            from_time(new.not_after),
            from_before(new.classes.before_activation),
            from_after(new.classes.after_expiry),
        ])?;
    let serial = stored(find(act, new.issuer, &new.serial)?, "serial")?;
    let issued = Change::Issued { not_after: new.not_after, classes: new.classes };
    let effective = Effective::Kept(new.effective);
    let (status, position, _) = act.put_change(&serial, issued, effective, None, now)?;
    done.entries += 1;
    Ok(SerialRow { status: Some(status), position: Some(position), ..serial })
}

fn find(
    act: &Act<'_>,
    issuer: i64,
    serial: &SerialNumber,
) -> Result<Option<SerialRow>, StoreError> {
    act.serial("serial.issuer = ?1 AND serial.serial = ?2", params![issuer, from_serial(serial)])
}

/// Writes another record's change with the time that record has, unless it stands so already.
fn change(
    act: &mut Act<'_>,
    serial: &SerialRow,
    wanted: ImportedChange,
    done: &mut Imported,
    now: UnixTime,
) -> Result<(), StoreError> {
    let known = stored(serial.status, "state")?;
    let (change, effective, same) = match wanted {
        ImportedChange::Held { effective } => {
            (Change::Held, effective, matches!(known.state, CertificateState::Held(_)))
        }
        ImportedChange::Revoked { reason, effective, invalidity } => (
            Change::Revoked { reason, invalidity_date: invalidity },
            effective,
            known.state == CertificateState::Revoked
                && known.reason == reason
                && known.invalidity_date == invalidity,
        ),
    };
    if same && known.effective_time == effective {
        return Ok(());
    }
    act.put_change(serial, change, Effective::Kept(effective), serial.requested_at, now)?;
    done.entries += 1;
    Ok(())
}
