//! What of an issuer is still good.

use rusqlite::params;
use status::IssuerId;
use x509::time::UnixTime;

use super::columns::{from_time, to_serial, to_u64};
use super::connection::{Connection, OptionalExtension as _};
use super::issuers::row_of;
use super::{Backend, SqlStore};
use crate::StoreError;
use crate::ending::{Endings, Unended};

impl<B: Backend> Endings for SqlStore<B> {
    fn unended(
        &self,
        issuer: IssuerId,
        beside: &str,
        now: UnixTime,
    ) -> Result<Unended, StoreError> {
        self.readers.read(|connection| unended(connection, issuer, beside, now))
    }
}

/// What is neither expired nor revoked nor voided.
const UNENDED: &str = "FROM serial LEFT JOIN certificate ON certificate.serial_row = serial.row \
     WHERE serial.issuer = ?1 AND serial.not_after >= ?2 \
         AND serial.state NOT IN ('revoked', 'voided') \
         AND (certificate.profile IS NULL OR certificate.profile <> ?3)";

/// How many serials of [`UNENDED`] there are, and the lowest.
fn unended(
    connection: &Connection,
    issuer: IssuerId,
    beside: &str,
    now: UnixTime,
) -> Result<Unended, StoreError> {
    let issuer = row_of(connection, &issuer)?;
    let parameters = params![issuer, from_time(now), beside];
    let count: i64 = connection
        .prepare_cached(&format!("SELECT count(*) {UNENDED}"))?
        .query_row(parameters, |row| row.get(0))?;
    let first: Option<Vec<u8>> = connection
        .prepare_cached(&format!("SELECT serial.serial {UNENDED} ORDER BY serial.serial LIMIT 1"))?
        .query_row(parameters, |row| row.get(0))
        .optional()?;
    Ok(Unended {
        count: to_u64(count, "count")?,
        first: first.map(|serial| to_serial(&serial)).transpose()?,
    })
}
