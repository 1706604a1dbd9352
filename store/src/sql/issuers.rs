//! Issuers: declared once, found by their id.

use super::connection::{Connection, OptionalExtension as _, Row};
use aws_lc_rs::digest::{SHA256, digest};
use rusqlite::params;
use status::{IssuerId, IssuerRef, Position};
use x509::key::SpkiHash;
use x509::time::UnixTime;

use super::columns::{
    array, column, from_crl_number, from_origin, from_time, from_u64, time, to_crl_number,
    to_origin, to_u64,
};
use super::endings::{LAST_LIST, is_last};
use super::group::Act;
use crate::StoreError;
use crate::issuer::{IssuerKeeping, IssuerRow, NewIssuer};

/// The row of a known issuer.
pub(super) fn row_of(connection: &Connection, issuer: &IssuerId) -> Result<i64, StoreError> {
    connection
        .prepare_cached("SELECT row FROM issuer WHERE issuer_id = ?1")?
        .query_row([issuer.as_bytes()], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::UnknownIssuer)
}

pub(super) fn all(connection: &Connection) -> Result<Vec<IssuerRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM issuer ORDER BY row")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: Row<'_>) -> Result<IssuerRow, StoreError> {
    let floor: Option<Vec<u8>> = column(row, "crl_number_floor")?;
    let reference = to_u64(column(row, "ref_idx")?, "issuer reference")?;
    Ok(IssuerRow {
        declared: NewIssuer {
            id: IssuerId::from_bytes(array(row, "issuer_id")?),
            name: column(row, "name")?,
            certificate_der: column(row, "certificate")?,
            subject_der: column(row, "subject")?,
            spki_der: column(row, "spki")?,
            ski: column(row, "ski")?,
            not_before: time(row, "not_before")?,
            not_after: time(row, "not_after")?,
            origin: to_origin(&column::<String>(row, "origin")?)?,
            keeping: match column::<String>(row, "keeping")?.as_str() {
                "offline" => IssuerKeeping::Offline,
                "online" => IssuerKeeping::Online,
                _ => return Err(StoreError::Stored { what: "issuer keeping" }),
            },
            crl_number_floor: floor.map(|blob| to_crl_number(&blob)).transpose()?,
            crl_settings: column(row, "crl_settings")?,
        },
        spki: SpkiHash::from_bytes(array(row, "spki_sha256")?),
        reference: IssuerRef::from_index(reference),
    })
}

const fn from_keeping(keeping: IssuerKeeping) -> &'static str {
    match keeping {
        IssuerKeeping::Offline => "offline",
        IssuerKeeping::Online => "online",
    }
}

/// The row of a known issuer whose key this program holds.
pub(super) fn online_row_of(connection: &Connection, issuer: &IssuerId) -> Result<i64, StoreError> {
    let row = row_of(connection, issuer)?;
    let keeping: String = connection
        .prepare_cached("SELECT keeping FROM issuer WHERE row = ?1")?
        .query_row([row], |row| row.get(0))?;
    if keeping == "online" { Ok(row) } else { Err(StoreError::OfflineIssuer) }
}

/// The same of an issuer that has not ended with its last list (CRL-05).
pub(super) fn issuing_row_of(
    connection: &Connection,
    issuer: &IssuerId,
) -> Result<i64, StoreError> {
    match online_row_and_end(connection, issuer)? {
        (_, true) => Err(StoreError::IssuerEnded),
        (row, false) => Ok(row),
    }
}

/// The same of one that has (OCSP-13).
pub(super) fn ended_row_of(connection: &Connection, issuer: &IssuerId) -> Result<i64, StoreError> {
    match online_row_and_end(connection, issuer)? {
        (row, true) => Ok(row),
        (_, false) => Err(StoreError::IssuerUnfinished),
    }
}

/// The row of an issuer whose key this program holds, and whether it has ended with its last list.
fn online_row_and_end(
    connection: &Connection,
    issuer: &IssuerId,
) -> Result<(i64, bool), StoreError> {
    let sql = format!("SELECT row, keeping, {LAST_LIST} FROM issuer WHERE issuer_id = ?1");
    let (row, keeping, last): (i64, String, Option<i64>) = connection
        .prepare_cached(&sql)?
        .query_row([issuer.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?
        .ok_or(StoreError::UnknownIssuer)?;
    if keeping == "online" { Ok((row, is_last(last))) } else { Err(StoreError::OfflineIssuer) }
}

/// Whether an issuer was new.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Declared {
    Known,
    New,
}

/// Declares an issuer; one that is there with the same certificate stays as it is.
pub(super) fn declare(
    act: &mut Act<'_>,
    new: &NewIssuer,
    now: UnixTime,
) -> Result<Declared, StoreError> {
    let known: Option<Vec<u8>> = act
        .connection()
        .prepare_cached("SELECT certificate FROM issuer WHERE issuer_id = ?1")?
        .query_row([new.id.as_bytes()], |row| row.get(0))
        .optional()?;
    let declared = match known {
        Some(certificate) if certificate == new.certificate_der => return Ok(Declared::Known),
        // Taken over from the published log, which knows ids only.
        Some(certificate) if certificate.is_empty() => Declared::Known,
        Some(_) => return Err(StoreError::IssuerDiffers),
        None => {
            let position = act.put_issuer(new.id, now)?;
            enter_id(act.connection(), &new.id, position)?;
            Declared::New
        }
    };
    complete(act.connection(), new)?;
    Ok(declared)
}

/// Enters an issuer of which no more is known than the log says: its id and where it is declared.
pub(super) fn enter_id(
    connection: &Connection,
    issuer: &IssuerId,
    declared_at: Position,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO issuer (issuer_id, name, certificate, subject, spki, spki_sha256, \
             not_before, not_after, origin, keeping, crl_settings, ref_epoch, ref_idx) \
         VALUES (?1, ?2, ?5, ?5, ?5, ?6, 0, 0, 'imported', 'online', '', ?3, ?4)",
        params![
            issuer.as_bytes(),
            issuer.to_string(),
            declared_at.epoch,
            from_u64(declared_at.index, "index")?,
            [0_u8; 0].as_slice(),
            [0_u8; 32]
        ],
    )?;
    Ok(())
}

/// Gives an issuer that is known by its id alone everything else.
fn complete(connection: &Connection, new: &NewIssuer) -> Result<(), StoreError> {
    let completed = connection.execute(
        "UPDATE issuer SET name = ?2, certificate = ?3, subject = ?4, spki = ?5, \
             spki_sha256 = ?6, ski = ?7, not_before = ?8, not_after = ?9, origin = ?10, \
             keeping = ?11, crl_number_floor = ?12, crl_settings = ?13 WHERE issuer_id = ?1",
        params![
            new.id.as_bytes(),
            new.name,
            new.certificate_der,
            new.subject_der,
            new.spki_der,
            digest(&SHA256, &new.spki_der).as_ref(),
            new.ski,
            from_time(new.not_before),
            from_time(new.not_after),
            from_origin(new.origin),
            from_keeping(new.keeping),
            new.crl_number_floor.as_ref().map(from_crl_number),
            new.crl_settings,
        ],
    );
    match completed {
        Err(error) if error.is_unique_on("issuer.name") => Err(StoreError::IssuerDiffers),
        other => Ok(other.map(|_| ())?),
    }
}
