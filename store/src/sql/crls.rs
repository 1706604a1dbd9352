//! CRLs: the rows they are made from, their numbers, their records.

use super::connection::{Connection, OptionalExtension as _, Row};
use ::crl::CrlNumber;
use rusqlite::params;
use status::{IssuerId, Position};
use x509::signing::{Intent, IntentId};
use x509::time::UnixTime;

use super::columns::{
    array, column, from_crl_number, from_time, from_u64, opt_time, position, stored, time,
    to_crl_number, to_u64,
};
use super::group::{Act, head};
use super::intents::{close, must_be_open};
use super::issuers::{online_row_of, row_of};
use super::listed::Listed;
use super::{endings, leases};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::crl::{CrlIntent, CrlRow, CrlScope, RevokedSnapshot};
use crate::issuer::ImportedCrl;
use crate::log::Log;

/// Streams the listed serials of an issuer. The connection is in one snapshot.
pub(super) fn revoked(
    connection: &Connection,
    issuer: IssuerId,
    not_expired_before: UnixTime,
    read: &mut dyn FnMut(RevokedSnapshot<'_>),
) -> Result<(), StoreError> {
    let issuer = row_of(connection, &issuer)?;
    let (head, _) = head(connection, Log::Status)?;
    // The index gives the order, so nothing is sorted and nothing is kept.
    let mut statement = connection.stream(
        "SELECT entry FROM serial INDEXED BY serial_listed \
         WHERE issuer = ?1 AND listed = 1 ORDER BY entry",
    )?;
    let mut rows = Listed { rows: statement.query([issuer])?, not_expired_before };
    read(RevokedSnapshot { head, rows: &mut rows });
    Ok(())
}

/// The highest number that an issuer has used: in one scope, or in any.
fn highest(
    connection: &Connection,
    issuer: i64,
    scope: Option<&CrlScope>,
) -> Result<Option<CrlNumber>, StoreError> {
    let floor: Option<Vec<u8>> = connection
        .prepare_cached("SELECT crl_number_floor FROM issuer WHERE row = ?1")?
        .query_row([issuer], |row| row.get(0))?;
    let used: Option<Vec<u8>> = connection
        .prepare_cached(
            "SELECT number FROM crl \
             WHERE issuer = ?1 AND (CAST(?2 AS TEXT) IS NULL OR scope = ?2) \
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![issuer, scope.map(|scope| &scope.0)], |row| row.get(0))
        .optional()?;
    floor.max(used).map(|blob| to_crl_number(&blob)).transpose()
}

/// One above every number of the issuer, whatever the scope: a full CRL and a delta made at one
/// instant may then share a number, and no two others do (RFC 5280 §5.2.3).
pub(super) fn next_number(
    connection: &Connection,
    issuer: IssuerId,
) -> Result<CrlNumber, StoreError> {
    let issuer = row_of(connection, &issuer)?;
    match highest(connection, issuer, None)? {
        None => Ok(CrlNumber::first()),
        Some(number) => stored(number.next(), "crl number of more than 20 octets"),
    }
}

fn refuse_old_number(
    connection: &Connection,
    issuer: i64,
    scope: &CrlScope,
    number: &CrlNumber,
) -> Result<(), StoreError> {
    match highest(connection, issuer, Some(scope))? {
        Some(last) if *number <= last => Err(StoreError::CrlNumber { last: last.to_string() }),
        _ => Ok(()),
    }
}

pub(super) fn record_intent(
    act: &mut Act<'_>,
    intent: &Intent,
    facts: &CrlIntent,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    act.refuse_late_clock(now)?;
    let connection = act.connection();
    leases::must_have_its_name(connection, &facts.node)?;
    let issuer = online_row_of(connection, &facts.issuer)?;
    refuse_old_number(connection, issuer, &facts.scope, &facts.number)?;
    refuse_old_position(act, issuer, facts)?;

    let connection = act.connection();
    endings::may_be_made(connection, issuer, facts, now)?;
    let row: i64 = connection.insert_new(
        "INSERT INTO intent (intent_id, kind, issuer, algorithm, digest, node, boot, state, \
                 created, failed_tries) VALUES (?1, 'crl', ?2, ?3, ?4, ?5, ?6, 'open', ?7, 0) \
             RETURNING row",
        params![
            intent.id().as_bytes(),
            issuer,
            intent.algorithm().name(),
            intent.digest(),
            facts.node.name,
            facts.node.boot.as_bytes(),
            from_time(now),
        ],
    )?;
    connection
        .prepare_cached(
            "INSERT INTO crl (issuer, scope, number, state, intent, epoch, idx, this_update, \
                 next_update) VALUES (?1, ?2, ?3, 'intended', ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute(params![
            issuer,
            facts.scope.0,
            from_crl_number(&facts.number),
            row,
            facts.position.epoch,
            from_u64(facts.position.index, "index")?,
            from_time(facts.this_update),
            from_time(facts.next_update),
        ])?;
    act.put_audit(audit, now).map(|_| ())
}

/// A CRL never rests on less than the one before it, nor on what is not there yet.
fn refuse_old_position(act: &Act<'_>, issuer: i64, facts: &CrlIntent) -> Result<(), StoreError> {
    let found = facts.position;
    let head = Position { epoch: act.epoch(), index: act.staged_status()?.size() };
    let last: Option<(u32, i64)> = act
        .connection()
        .prepare_cached(
            "SELECT epoch, idx FROM crl WHERE issuer = ?1 AND scope = ?2 AND epoch IS NOT NULL \
             ORDER BY number DESC LIMIT 1",
        )?
        .query_row(params![issuer, facts.scope.0], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let last = last
        .map(|(epoch, index)| {
            Ok::<_, StoreError>(Position { epoch, index: to_u64(index, "index")? })
        })
        .transpose()?;
    match last {
        Some(last) if found < last => Err(StoreError::CrlPosition { found, last }),
        _ if found > head => Err(StoreError::CrlPosition { found, last: head }),
        _ => Ok(()),
    }
}

/// A CRL that has just been signed, owned by the act.
pub(super) struct SignedCrl {
    pub(super) intent: Intent,
    pub(super) signature: Vec<u8>,
    pub(super) sha256: [u8; 32],
    pub(super) length: u64,
}

pub(super) fn record_signed(
    act: &mut Act<'_>,
    new: &SignedCrl,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<CrlRow, StoreError> {
    let intent = must_be_open(act.connection(), new.intent.id())?;
    if intent.shown.digest != *new.intent.digest() || intent.serial_row.is_some() {
        return Err(StoreError::OtherBytes);
    }
    act.connection()
        .prepare_cached(
            "UPDATE crl SET state = 'signed', sha256 = ?2, length = ?3, signature = ?4 \
             WHERE intent = ?1",
        )?
        .execute(params![
            intent.row,
            new.sha256,
            from_u64(new.length, "crl length")?,
            new.signature
        ])?;
    close(act, intent.row, "fulfilled")?;
    act.put_audit(audit, now)?;
    let sql = select("crl.intent = ?1");
    let mut statement = act.connection().prepare_cached(&sql)?;
    let mut rows = statement.query([intent.row])?;
    read(stored(rows.next()?, "crl")?)
}

/// The CRL of a voided intent: its number stays spent.
pub(super) fn give_up(act: &Act<'_>, intent: i64) -> Result<(), StoreError> {
    act.connection()
        .prepare_cached("UPDATE crl SET state = 'given-up' WHERE intent = ?1")?
        .execute([intent])?;
    Ok(())
}

pub(super) fn mark_published(
    act: &mut Act<'_>,
    issuer: IssuerId,
    scope: &CrlScope,
    number: &CrlNumber,
    now: UnixTime,
) -> Result<(), StoreError> {
    let issuer = row_of(act.connection(), &issuer)?;
    let changed = act
        .connection()
        .prepare_cached(
            "UPDATE crl SET published = ?4 \
             WHERE issuer = ?1 AND scope = ?2 AND number = ?3 AND state = 'signed'",
        )?
        .execute(params![issuer, scope.0, from_crl_number(number), from_time(now)])?;
    if changed == 1 {
        return Ok(());
    }
    let last = highest(act.connection(), issuer, Some(scope))?;
    Err(StoreError::CrlNumber { last: last.map_or("none".to_owned(), |last| last.to_string()) })
}

pub(super) fn current(
    connection: &Connection,
    issuer: IssuerId,
    scope: &CrlScope,
) -> Result<Option<CrlRow>, StoreError> {
    let issuer = row_of(connection, &issuer)?;
    let wanted = "crl.issuer = ?1 AND crl.scope = ?2 AND crl.state = 'signed' \
                  ORDER BY crl.number DESC LIMIT 1";
    let sql = select(wanted);
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![issuer, scope.0])?;
    rows.next()?.map(read).transpose()
}

/// Records a CRL that was signed elsewhere. One that is known with the same bytes changes nothing.
pub(super) fn import(act: &Act<'_>, new: &ImportedCrl) -> Result<(), StoreError> {
    let connection = act.connection();
    let issuer = row_of(connection, &new.issuer)?;
    let number = from_crl_number(&new.number);
    let known: Option<Option<Vec<u8>>> = connection
        .prepare_cached("SELECT sha256 FROM crl WHERE issuer = ?1 AND scope = ?2 AND number = ?3")?
        .query_row(params![issuer, new.scope.0, number], |row| row.get(0))
        .optional()?;
    if known.is_some_and(|known| known.is_some_and(|sha256| sha256 == new.sha256)) {
        return Ok(());
    }
    refuse_old_number(connection, issuer, &new.scope, &new.number)?;
    connection
        .prepare_cached(
            "INSERT INTO crl (issuer, scope, number, state, this_update, next_update, sha256, \
                 length) VALUES (?1, ?2, ?3, 'signed', ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            issuer,
            new.scope.0,
            number,
            from_time(new.this_update),
            from_time(new.next_update),
            new.sha256,
            from_u64(new.length, "crl length")?,
        ])?;
    Ok(())
}

fn select(wanted: &str) -> String {
    format!(
        "SELECT crl.*, issuer.issuer_id, intent.intent_id FROM crl \
         JOIN issuer ON issuer.row = crl.issuer LEFT JOIN intent ON intent.row = crl.intent \
         WHERE {wanted}"
    )
}

pub(super) fn read(row: Row<'_>) -> Result<CrlRow, StoreError> {
    let intent: Option<[u8; 16]> = column(row, "intent_id")?;
    let number: Vec<u8> = column(row, "number")?;
    Ok(CrlRow {
        issuer: IssuerId::from_bytes(array(row, "issuer_id")?),
        scope: CrlScope(column(row, "scope")?),
        number: to_crl_number(&number)?,
        intent: intent.map(IntentId::from_bytes),
        position: position(row)?,
        this_update: time(row, "this_update")?,
        next_update: time(row, "next_update")?,
        sha256: array(row, "sha256")?,
        length: to_u64(column(row, "length")?, "crl length")?,
        published: opt_time(row, "published")?,
    })
}
