//! When an issuer may end, and whether it has: its last CRL, after which nothing of it changes (CRL-05).
//!
//! Several nodes work on a database, and one that has looked a moment ago may be wrong by now. So the last word is that of the
//! transaction that records what is about to be signed or changed.

use rusqlite::params;
use status::{IssuerId, Position};
use x509::signing::{Pending, Recorded};
use x509::time::UnixTime;

use super::columns::{from_time, from_u64, position, stored, to_serial, to_u64};
use super::connection::{Connection, OptionalExtension as _};
use super::issuers::{ended_row_of, row_of};
use super::{Backend, SqlStore};
use crate::audit::AuditRecord;
use crate::crl::{CrlIntent, CrlScope};
use crate::ending::{Endings, Unended};
use crate::{StoreError, recorder};

impl<B: Backend> Endings for SqlStore<B> {
    fn unended(&self, issuer: IssuerId, now: UnixTime) -> Result<Unended, StoreError> {
        self.readers.read(|connection| unended(connection, row_of(connection, &issuer)?, None, now))
    }

    fn record_final_answers(
        &self,
        issuer: IssuerId,
        answers: &[Pending],
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Vec<Recorded>, StoreError> {
        let audit = audit.clone();
        self.writer.run(move |act| {
            ended_row_of(act.connection(), &issuer)?;
            act.put_audit(&audit, now)
        })?;
        // One commit has made all of them durable.
        let recorded = answers.iter().map(|one| recorder::record(one.intent(), |_| Ok(())));
        recorded.collect()
    }
}

/// nextUpdate of the full list of `issuer.row` that was recorded last, if it may count.
pub(super) const LAST_LIST: &str = "(SELECT next_update FROM crl \
     WHERE crl.issuer = issuer.row AND crl.scope = 'full' AND crl.state <> 'given-up' \
     ORDER BY crl.number DESC LIMIT 1)";

/// Whether a list that [`LAST_LIST`] finds is the last one.
pub(super) fn is_last(next_update: Option<i64>) -> bool {
    next_update == Some(from_time(UnixTime::LAST))
}

/// Refuses a list that may not be made: a last one too early, and any other too late.
pub(super) fn may_be_made(
    connection: &Connection,
    issuer: i64,
    list: &CrlIntent,
    now: UnixTime,
) -> Result<(), StoreError> {
    let last: Option<i64> = connection
        .prepare_cached(&format!("SELECT {LAST_LIST} FROM issuer WHERE row = ?1"))?
        .query_row([issuer], |row| row.get(0))?;
    let has_ended = is_last(last);
    if list.next_update < UnixTime::LAST {
        return if has_ended { Err(StoreError::IssuerEnded) } else { Ok(()) };
    }
    let shard = Some(&list.scope).filter(|scope| **scope != CrlScope::full());
    // The last lists of its shards come after the issuer's own; before it only where all that may be in one has ended.
    if has_ended && shard.is_some() {
        return Ok(());
    }
    let left = unended(connection, issuer, shard, now)?;
    if let Some(first) = left.first {
        return Err(StoreError::IssuerUnended { count: left.count, first });
    }
    if shard.is_some() {
        return Ok(());
    }
    let found = list.position;
    let mut statement = connection.prepare_cached(
        "SELECT epoch, idx FROM serial WHERE issuer = ?1 AND listed = 1 \
             AND (epoch > ?2 OR (epoch = ?2 AND idx >= ?3)) LIMIT 1",
    )?;
    let mut rows =
        statement.query(params![issuer, found.epoch, from_u64(found.index, "index")?])?;
    match rows.next()? {
        None => Ok(()),
        Some(row) => {
            let change: Position = stored(position(row)?, "position")?;
            Err(StoreError::LateChange { found, change })
        }
    }
}

/// What is neither expired nor revoked nor voided, delegates of responders apart.
const UNENDED: &str = "FROM serial LEFT JOIN intent ON intent.serial_row = serial.row \
     WHERE serial.issuer = ?1 AND serial.not_after >= ?2 \
         AND serial.state NOT IN ('revoked', 'voided') \
         AND (intent.kind IS NULL OR intent.kind <> 'ocsp-delegate')";

/// The same of what may be in the shard of a scope: few of its issuer's.
const UNENDED_OF_SHARD: &str = "FROM serial LEFT JOIN intent ON intent.serial_row = serial.row \
     WHERE serial.shard IN (SELECT row FROM crl_shard \
             WHERE crl_shard.issuer = ?1 AND (crl_shard.scope = ?3 OR crl_shard.number = 0)) \
         AND serial.not_after >= ?2 AND serial.state NOT IN ('revoked', 'voided') \
         AND (intent.kind IS NULL OR intent.kind <> 'ocsp-delegate')";

/// How many serials there are that have not ended, and the lowest: of an issuer, or of what may be in one shard of it.
fn unended(
    connection: &Connection,
    issuer: i64,
    shard: Option<&CrlScope>,
    now: UnixTime,
) -> Result<Unended, StoreError> {
    let until = from_time(now);
    let of = if shard.is_some() { UNENDED_OF_SHARD } else { UNENDED };
    let count = format!("SELECT count(*) {of}");
    let first = format!("SELECT serial.serial {of} ORDER BY serial.serial LIMIT 1");
    let (mut count, mut first) =
        (connection.prepare_cached(&count)?, connection.prepare_cached(&first)?);
    let (count, first): (i64, Option<Vec<u8>>) = match shard {
        Some(scope) => (
            count.query_row(params![issuer, until, scope.0], |row| row.get(0))?,
            first.query_row(params![issuer, until, scope.0], |row| row.get(0)).optional()?,
        ),
        None => (
            count.query_row(params![issuer, until], |row| row.get(0))?,
            first.query_row(params![issuer, until], |row| row.get(0)).optional()?,
        ),
    };
    Ok(Unended {
        count: to_u64(count, "count")?,
        first: first.map(|serial| to_serial(&serial)).transpose()?,
    })
}
