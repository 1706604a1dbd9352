//! Shards of CRLs: opened, given away place by place, and read as the small lists that they are.

use std::time::Duration;

use ::crl::ShardNumber;
use rusqlite::params;
use status::{IssuerId, Position};
use x509::time::UnixTime;

use super::columns::{column, from_time, opt_time, stored, to_time, to_u64};
use super::connection::{Connection, OptionalExtension as _, Row};
use super::group::head;
use super::issuers::{online_row_of, row_of};
use super::listed::Listed;
use super::{Backend, SqlStore, crls, endings};
use crate::StoreError;
use crate::crl::RevokedSnapshot;
use crate::log::Log;
use crate::shard::{CrlShard, CrlShards, ShardPlaces};

/// The shard of what may be in any.
const ANY: i64 = 0;

impl<B: Backend> CrlShards for SqlStore<B> {
    fn crl_shards(&self, issuer: IssuerId) -> Result<Vec<CrlShard>, StoreError> {
        self.readers.read(|connection| all(connection, issuer))
    }

    fn open_crl_shard(
        &self,
        issuer: IssuerId,
        number: ShardNumber,
        url: &str,
        places: u32,
    ) -> Result<(), StoreError> {
        let url = url.to_owned();
        self.writer.run(move |act| {
            let issuer = online_row_of(act.connection(), &issuer)?;
            enter(act.connection(), issuer, number, &url, places, None)
        })
    }

    fn take_shard_places(
        &self,
        issuer: IssuerId,
        most: u32,
        window: Duration,
        now: UnixTime,
    ) -> Result<Option<ShardPlaces>, StoreError> {
        self.writer.run(move |act| take(act.connection(), issuer, most, window, now))
    }

    fn close_crl_shard(
        &self,
        issuer: IssuerId,
        number: ShardNumber,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        self.writer.run(move |act| {
            let issuer = row_of(act.connection(), &issuer)?;
            let row = row_of_shard(act.connection(), issuer, number)?;
            act.connection()
                .prepare_cached(
                    "UPDATE crl_shard SET places = 0, ends = coalesce(ends, ?2) WHERE row = ?1",
                )?
                .execute(params![row, from_time(now)])?;
            Ok(())
        })
    }

    fn know_crl_shard(
        &self,
        issuer: IssuerId,
        number: ShardNumber,
        url: &str,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let url = url.to_owned();
        self.writer.run(move |act| {
            let issuer = online_row_of(act.connection(), &issuer)?;
            enter(act.connection(), issuer, number, &url, 0, Some(now))
        })
    }

    fn revoked_in_shard(
        &self,
        issuer: IssuerId,
        number: ShardNumber,
        not_expired_before: UnixTime,
        read: &mut dyn FnMut(RevokedSnapshot<'_>),
    ) -> Result<(), StoreError> {
        self.readers
            .read(|connection| revoked(connection, issuer, number, not_expired_before, read))
    }
}

fn enter(
    connection: &Connection,
    issuer: i64,
    number: ShardNumber,
    url: &str,
    places: u32,
    ends: Option<UnixTime>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO crl_shard (issuer, number, scope, url, places, ends) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (issuer, number) DO NOTHING",
        )?
        .execute(params![
            issuer,
            i64::from(number.value()),
            number.to_string(),
            url,
            i64::from(places),
            ends.map(from_time),
        ])?;
    Ok(())
}

/// The row of a shard that a certificate is put into. One that has its last list takes none: whoever took a place in it, and stood
/// still until then, takes another.
pub(super) fn row_to_be_put_into(
    connection: &Connection,
    issuer: i64,
    number: ShardNumber,
) -> Result<i64, StoreError> {
    let (row, next_update): (i64, Option<i64>) = connection
        .prepare_cached(
            "SELECT row, (SELECT next_update FROM crl WHERE crl.issuer = crl_shard.issuer \
                 AND crl.scope = crl_shard.scope AND crl.state <> 'given-up' \
                 ORDER BY crl.number DESC LIMIT 1) \
             FROM crl_shard WHERE issuer = ?1 AND number = ?2",
        )?
        .query_row(params![issuer, i64::from(number.value())], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?
        .ok_or(StoreError::UnknownShard { number })?;
    if endings::is_last(next_update) {
        return Err(StoreError::ShardEnded { number });
    }
    Ok(row)
}

fn row_of_shard(
    connection: &Connection,
    issuer: i64,
    number: ShardNumber,
) -> Result<i64, StoreError> {
    connection
        .prepare_cached("SELECT row FROM crl_shard WHERE issuer = ?1 AND number = ?2")?
        .query_row(params![issuer, i64::from(number.value())], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::UnknownShard { number })
}

/// The row of what may be in any shard of the issuer.
pub(super) fn row_of_any(connection: &Connection, issuer: i64) -> Result<i64, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO crl_shard (issuer, number, scope, url, places) \
             VALUES (?1, ?2, '000000', '', 0) ON CONFLICT (issuer, number) DO NOTHING",
        )?
        .execute(params![issuer, ANY])?;
    Ok(connection
        .prepare_cached("SELECT row FROM crl_shard WHERE issuer = ?1 AND number = ?2")?
        .query_row(params![issuer, ANY], |row| row.get(0))?)
}

/// How many certificates a shard got after a backup is not known any more: none gets further ones.
pub(super) fn close_all(connection: &Connection, now: UnixTime) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE crl_shard SET places = 0, ends = coalesce(ends, ?1)")?
        .execute([from_time(now)])?;
    Ok(())
}

fn take(
    connection: &Connection,
    issuer: IssuerId,
    most: u32,
    window: Duration,
    now: UnixTime,
) -> Result<Option<ShardPlaces>, StoreError> {
    let issuer = row_of(connection, &issuer)?;
    // Another node may take places between the two statements, which is why the second one looks again.
    loop {
        let found: Option<(i64, u32, String, i64, Option<i64>)> = connection
            .prepare_cached(
                "SELECT row, number, url, places, ends FROM crl_shard \
                 WHERE issuer = ?1 AND number > 0 AND places > 0 AND (ends IS NULL OR ends > ?2) \
                     AND EXISTS (SELECT 1 FROM crl WHERE crl.issuer = crl_shard.issuer \
                         AND crl.scope = crl_shard.scope AND crl.published IS NOT NULL) \
                 ORDER BY number LIMIT 1",
            )?
            .query_row(params![issuer, from_time(now)], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
            })
            .optional()?;
        let Some((row, number, url, places, ends)) = found else { return Ok(None) };
        let ends = match ends {
            Some(ends) => to_time(ends)?,
            None => stored(now.checked_add(window), "end of a shard")?,
        };
        let count = places.min(i64::from(most));
        let taken = connection
            .prepare_cached(
                "UPDATE crl_shard SET places = places - ?2, ends = coalesce(ends, ?3) \
                 WHERE row = ?1 AND places = ?4 AND (ends IS NULL OR ends = ?3)",
            )?
            .execute(params![row, count, from_time(ends), places])?;
        if taken == 1 {
            let number = stored(ShardNumber::new(number), "number of a shard")?;
            let count = u32::try_from(count).unwrap_or(u32::MAX);
            return Ok(Some(ShardPlaces { number, url, count, ends }));
        }
    }
}

fn all(connection: &Connection, issuer: IssuerId) -> Result<Vec<CrlShard>, StoreError> {
    let issuer = row_of(connection, &issuer)?;
    let mut statement = connection.prepare_cached(
        "SELECT crl_shard.number AS shard_number, crl_shard.url, crl_shard.places, crl_shard.ends, \
             (SELECT max(serial.not_after) FROM serial WHERE serial.shard = crl_shard.row) \
                 AS last_end, \
             (SELECT max(serial.epoch) FROM serial WHERE serial.shard = crl_shard.row) \
                 AS changed_epoch, \
             (SELECT serial.idx FROM serial \
                 WHERE serial.shard = crl_shard.row AND serial.epoch IS NOT NULL \
                 ORDER BY serial.epoch DESC, serial.idx DESC LIMIT 1) AS changed_idx, \
             crl.*, issuer.issuer_id, intent.intent_id \
         FROM crl_shard LEFT JOIN crl ON crl.row = (SELECT last.row FROM crl AS last \
                 WHERE last.issuer = crl_shard.issuer AND last.scope = crl_shard.scope \
                     AND last.state = 'signed' ORDER BY last.number DESC LIMIT 1) \
             LEFT JOIN issuer ON issuer.row = crl.issuer \
             LEFT JOIN intent ON intent.row = crl.intent \
         WHERE crl_shard.issuer = ?1 ORDER BY crl_shard.number",
    )?;
    let mut rows = statement.query([issuer])?;
    let (mut found, mut any): (Vec<CrlShard>, Option<Extent>) = (Vec::new(), None);
    while let Some(row) = rows.next()? {
        let number: u32 = column(row, "shard_number")?;
        let extent = Extent::read(row)?;
        let Some(number) = ShardNumber::new(number) else {
            any = Some(extent);
            continue;
        };
        let has_list = column::<Option<String>>(row, "scope")?.is_some();
        found.push(CrlShard {
            number,
            url: column(row, "url")?,
            places: column(row, "places")?,
            ends: opt_time(row, "ends")?,
            last_end: extent.last_end,
            changed: extent.changed,
            list: has_list.then(|| crls::read(row)).transpose()?,
        });
    }
    if let Some(any) = any {
        for shard in &mut found {
            shard.last_end = shard.last_end.max(any.last_end);
            shard.changed = shard.changed.max(any.changed);
        }
    }
    Ok(found)
}

/// How far what is in a shard reaches, in time and in the log.
struct Extent {
    last_end: Option<UnixTime>,
    changed: Option<Position>,
}

impl Extent {
    fn read(row: Row<'_>) -> Result<Self, StoreError> {
        let changed = column::<Option<u32>>(row, "changed_epoch")?
            .zip(column::<Option<i64>>(row, "changed_idx")?)
            .map(|(epoch, index)| {
                Ok::<_, StoreError>(Position { epoch, index: to_u64(index, "index")? })
            })
            .transpose()?;
        Ok(Self { last_end: opt_time(row, "last_end")?, changed })
    }
}

fn revoked(
    connection: &Connection,
    issuer: IssuerId,
    number: ShardNumber,
    not_expired_before: UnixTime,
    read: &mut dyn FnMut(RevokedSnapshot<'_>),
) -> Result<(), StoreError> {
    let issuer = row_of(connection, &issuer)?;
    let (head, _) = head(connection, Log::Status)?;
    let parameters = params![issuer, i64::from(number.value()), ANY];
    // At most as many as a shard has places, and what a restored database lost: these are sorted.
    let mut statement = connection.stream(
        "SELECT entry FROM serial \
         WHERE shard IN (SELECT row FROM crl_shard WHERE issuer = ?1 AND number IN (?2, ?3)) \
             AND listed = 1 ORDER BY serial",
    )?;
    let mut rows = Listed { rows: statement.query(parameters)?, not_expired_before };
    read(RevokedSnapshot { head, rows: &mut rows });
    Ok(())
}
