//! What the world has to be seen to show.

mod counted;

use std::collections::BTreeMap;

use super::connection::{Connection, OptionalExtension as _, Row};
use rusqlite::params;
use status::entry::{CertificateEntry, Change};
use status::{IssuerId, Position, ReceiptMethod, StatusEntry, VantageName};
use x509::key::SpkiHash;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use self::counted::Counted;
pub(super) use self::counted::recount;
use super::columns::{
    STATUS_COLUMNS, array, column, from_serial, from_time, from_u64, opt_time, status_row, stored,
    time, to_serial, to_time, to_u64,
};
use super::group::{Act, head};
use super::jobs::seen;
use super::receipts::is_receipted;
use super::{Backend, SqlStore, StoreError, logs};
use crate::awaited::{Awaited, AwaitedCount, AwaitedKey, Awaiting, Sight};
use crate::certificate::StatusRow;
use crate::log::Log;
use crate::receipt::ReceiptedEntry;

/// Entries of the log that one call takes.
const ENTRIES: u64 = 4096;
/// Changes that it takes: the writer does other things too.
const CHANGES: usize = 250;
/// The oldest of a method among which those are looked for that a vantage point has not shown.
const LOOKED_THROUGH: u32 = 20_000;
/// Ended ones that one call forgets.
const FORGOTTEN: u32 = 500;

impl<B: Backend> Awaiting for SqlStore<B> {
    fn await_revocations(&self, since: UnixTime, now: UnixTime) -> Result<bool, StoreError> {
        let Some(read) = self.readers.read(|connection| read_on(connection, since))? else {
            return Ok(false);
        };
        let more = read.more;
        self.writer.run(move |act| take(act, &read, now)).map(|()| more)
    }

    fn awaited(&self, after: i64, most: u32) -> Result<Vec<Awaited>, StoreError> {
        self.readers.read(|connection| {
            let end = "awaited.row > ?1 ORDER BY awaited.row LIMIT ?2";
            select(connection, end, params![after, most])
        })
    }

    fn newest_awaited(&self, most: u32) -> Result<Vec<Awaited>, StoreError> {
        self.readers.read(|connection| {
            select(connection, "1 = 1 ORDER BY awaited.row DESC LIMIT ?1", params![most])
        })
    }

    fn oldest_awaited(&self, method: ReceiptMethod, most: u32) -> Result<Vec<Awaited>, StoreError> {
        let end = "awaited.method = ?1 ORDER BY awaited.epoch, awaited.idx LIMIT ?2";
        self.readers.read(|connection| select(connection, end, params![method.as_str(), most]))
    }

    fn oldest_unseen(
        &self,
        method: ReceiptMethod,
        vantage: &VantageName,
        key: &SpkiHash,
        most: u32,
    ) -> Result<Vec<Awaited>, StoreError> {
        let end = "awaited.row IN (SELECT row FROM awaited WHERE method = ?1 \
                       ORDER BY epoch, idx LIMIT ?2) \
                   AND NOT EXISTS (SELECT 1 FROM sight WHERE sight.awaited = awaited.row \
                       AND sight.vantage = ?3 AND sight.spki_sha256 = ?4 \
                       AND sight.shown IS NOT NULL) \
                   ORDER BY awaited.epoch, awaited.idx LIMIT ?5";
        self.readers.read(|connection| {
            let (method, vantage, key) = (method.as_str(), vantage.as_str(), key.as_bytes());
            select(connection, end, params![method, LOOKED_THROUGH, vantage, key, most])
        })
    }

    fn awaited_of(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
        method: ReceiptMethod,
    ) -> Result<Option<Awaited>, StoreError> {
        let end = "issuer.issuer_id = ?1 AND serial.serial = ?2 AND awaited.method = ?3";
        self.readers.read(|connection| {
            let values = params![issuer.as_bytes(), from_serial(serial), method.as_str()];
            Ok(select(connection, end, values)?.pop())
        })
    }

    fn record_sights(&self, sights: &[(AwaitedKey, Sight)]) -> Result<(), StoreError> {
        let sights = sights.to_vec();
        self.writer.run(move |act| record(act.connection(), &sights))
    }

    fn forget_awaited(&self, keys: &[AwaitedKey]) -> Result<(), StoreError> {
        let keys = keys.to_vec();
        self.writer.run(move |act| leave_out(act.connection(), &keys))
    }

    fn forget_ended_awaited(&self, now: UnixTime) -> Result<u64, StoreError> {
        // Looked for beside the writer, which has other things to do.
        let ended = self.readers.read(|connection| ended(connection, now))?;
        self.forget_awaited(&ended)?;
        Ok(ended.len().try_into().unwrap_or(u64::MAX))
    }

    fn awaited_counts(&self) -> Result<Vec<AwaitedCount>, StoreError> {
        self.readers.read(counted::counts)
    }

    fn serial_status(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
    ) -> Result<Option<StatusRow>, StoreError> {
        self.readers.read(|connection| of_serial(connection, issuer, serial))
    }

    fn serial_by_lot(
        &self,
        lot: u64,
    ) -> Result<Option<(IssuerId, SerialNumber, StatusRow)>, StoreError> {
        self.readers.read(|connection| by_lot(connection, lot))
    }
}

/// What was read of the log, and up to where.
struct ReadOn {
    from: (u32, u64),
    to: (u32, u64),
    changes: Vec<(IssuerId, CertificateEntry, Position)>,
    /// Of waves of jobs, what is too old to be awaited.
    too_old: BTreeMap<seen::Wave, Vec<(Position, CertificateEntry)>>,
    /// Whether the log has more.
    more: bool,
}

/// Reads on from where the last call ended; `None` at the head.
fn read_on(connection: &Connection, since: UnixTime) -> Result<Option<ReadOn>, StoreError> {
    let (head, _) = head(connection, Log::Status)?;
    let (epoch, from) = until(connection)?;
    let entries = logs::entries(connection, Log::Status, epoch, &(from..from + ENTRIES))?;
    let (from, mut to) = ((epoch, from), (epoch, from));
    if entries.is_empty() {
        let opened = epoch < head.epoch;
        let to = (epoch + 1, 0);
        let (changes, too_old) = (Vec::new(), BTreeMap::new());
        return Ok(opened.then_some(ReadOn { from, to, changes, too_old, more: true }));
    }
    let mut more = u64::try_from(entries.len()) == Ok(ENTRIES) || epoch < head.epoch;
    let (mut changes, mut too_old) = (Vec::new(), Vec::new());
    for entry in entries {
        if changes.len() == CHANGES {
            more = true;
            break;
        }
        to.1 = entry.index + 1;
        let decoded = StatusEntry::decode(&entry.bytes);
        let decoded = decoded.map_err(|_| StoreError::Stored { what: "status entry" })?;
        let StatusEntry::Certificate(entry_of) = decoded else { continue };
        let ends = matches!(entry_of.change, Change::Released);
        let begins = matches!(entry_of.change, Change::Revoked { .. } | Change::Held);
        let is_in_time = entry_of.log_time >= since;
        let position = Position { epoch, index: entry.index };
        if ends || (begins && is_in_time) {
            let issuer = issuer_at(connection, epoch, entry_of.issuer.index())?;
            changes.push((issuer, entry_of, position));
        } else if begins {
            too_old.push((position, entry_of));
        }
    }
    let too_old = seen::waves_of(connection, too_old)?;
    Ok(Some(ReadOn { from, to, changes, too_old, more }))
}

fn until(connection: &Connection) -> Result<(u32, u64), StoreError> {
    let found: Option<(u32, i64)> = connection
        .prepare_cached("SELECT epoch, size FROM awaited_until WHERE one = 1")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    found.map_or(Ok((1, 0)), |(epoch, size)| Ok((epoch, to_u64(size, "log size")?)))
}

fn issuer_at(connection: &Connection, epoch: u32, index: u64) -> Result<IssuerId, StoreError> {
    let entries = logs::entries(connection, Log::Status, epoch, &(index..index + 1))?;
    match entries.first().map(|entry| StatusEntry::decode(&entry.bytes)) {
        Some(Ok(StatusEntry::IssuerDeclared { issuer, .. })) => Ok(issuer),
        _ => Err(StoreError::Stored { what: "issuer of a status entry" }),
    }
}

/// Takes what was read, unless another call has meanwhile.
fn take(act: &mut Act<'_>, read: &ReadOn, now: UnixTime) -> Result<(), StoreError> {
    let connection = act.connection();
    if until(connection)? != read.from {
        return Ok(());
    }
    let mut counted = Counted::default();
    for (issuer, entry, position) in &read.changes {
        let (serial, not_after) = serial_of(connection, *issuer, &entry.serial)?;
        for method in ReceiptMethod::ALL {
            let before = row_of(connection, serial, method)?;
            if let Some((row, at)) = before {
                seen::left_out(connection, method, at)?;
                counted.less(method, forget_row(connection, row)?);
            }
            if entry.change == Change::Released {
                continue;
            }
            if not_after >= now {
                if begin(connection, serial, method, *position, entry.log_time)? {
                    counted.more(method);
                }
            } else if !is_receipted(connection, serial, method, *position)? {
                seen::left_out(connection, method, *position)?;
            }
        }
    }
    counted.keep(connection)?;
    for (wave, entries) in &read.too_old {
        for method in ReceiptMethod::ALL {
            let count = unreceipted(connection, *wave, method, entries)?;
            seen::count_left_out(connection, *wave, method, count)?;
        }
    }
    connection
        .prepare_cached(
            "INSERT INTO awaited_until (one, epoch, size) VALUES (1, ?1, ?2) \
             ON CONFLICT (one) DO UPDATE SET epoch = excluded.epoch, size = excluded.size",
        )?
        .execute(params![read.to.0, from_u64(read.to.1, "log size")?])?;
    Ok(())
}

/// Of entries of a wave those without a receipt: somebody may have sent what was seen before anybody read the log.
fn unreceipted(
    connection: &Connection,
    wave: seen::Wave,
    method: ReceiptMethod,
    entries: &[(Position, CertificateEntry)],
) -> Result<u32, StoreError> {
    let mut count = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    // Of most waves nobody has.
    if !seen::has_receipts(connection, wave, method)? {
        return Ok(count);
    }
    for (at, entry) in entries {
        let issuer = issuer_at(connection, at.epoch, entry.issuer.index())?;
        let (serial, _) = serial_of(connection, issuer, &entry.serial)?;
        if is_receipted(connection, serial, method, *at)? {
            count = count.saturating_sub(1);
        }
    }
    Ok(count)
}

/// The row of an entry's serial, and when its certificate ends.
fn serial_of(
    connection: &Connection,
    issuer: IssuerId,
    serial: &SerialNumber,
) -> Result<(i64, UnixTime), StoreError> {
    let row: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT serial.row, serial.not_after FROM serial \
             JOIN issuer ON issuer.row = serial.issuer \
             WHERE issuer.issuer_id = ?1 AND serial.serial = ?2",
        )?
        .query_row(params![issuer.as_bytes(), from_serial(serial)], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let (row, not_after) = stored(row, "serial of a status entry")?;
    Ok((row, to_time(not_after)?))
}

/// Awaits a revocation; false where it has a receipt already.
fn begin(
    connection: &Connection,
    serial: i64,
    method: ReceiptMethod,
    at: Position,
    since: UnixTime,
) -> Result<bool, StoreError> {
    if is_receipted(connection, serial, method, at)? {
        return Ok(false);
    }
    connection
        .prepare_cached(
            "INSERT INTO awaited (serial_row, method, epoch, idx, since) VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            serial,
            method.as_str(),
            at.epoch,
            from_u64(at.index, "index")?,
            from_time(since)
        ])?;
    Ok(true)
}

/// Awaits no more what has its receipt now.
pub(super) fn receipted(
    connection: &Connection,
    serial: i64,
    method: ReceiptMethod,
    entry: &ReceiptedEntry,
) -> Result<(), StoreError> {
    let at = entry.position;
    seen::receipted(connection, serial, method, at, entry.seen)?;
    let found = row_of(connection, serial, method)?;
    if let Some((row, _)) = found.filter(|(_, awaited)| *awaited == at) {
        let mut counted = Counted::default();
        counted.less(method, forget_row(connection, row)?);
        return counted.keep(connection);
    }
    // What the log has and nobody has read yet will not be awaited.
    if (at.epoch, at.index) < until(connection)? {
        seen::not_left_out(connection, method, at)?;
    }
    Ok(())
}

/// What is awaited of this serial and method: its row and its position.
fn row_of(
    connection: &Connection,
    serial: i64,
    method: ReceiptMethod,
) -> Result<Option<(i64, Position)>, StoreError> {
    let found: Option<(i64, u32, i64)> = connection
        .prepare_cached(
            "SELECT row, epoch, idx FROM awaited WHERE serial_row = ?1 AND method = ?2",
        )?
        .query_row(params![serial, method.as_str()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })
        .optional()?;
    found
        .map(|(row, epoch, index)| Ok((row, Position { epoch, index: to_u64(index, "index")? })))
        .transpose()
}

/// Awaits these no more, though they have no receipt.
fn leave_out(connection: &Connection, keys: &[AwaitedKey]) -> Result<(), StoreError> {
    let mut counted = Counted::default();
    for key in keys {
        let Some(method) = method_of(connection, *key)? else { continue };
        seen::left_out(connection, method, key.position)?;
        counted.less(method, forget_row(connection, key.number)?);
    }
    counted.keep(connection)
}

/// The method by which it is awaited; `None` where it is no more, also where its number is another's now.
fn method_of(
    connection: &Connection,
    AwaitedKey { number, position }: AwaitedKey,
) -> Result<Option<ReceiptMethod>, StoreError> {
    let found: Option<String> = connection
        .prepare_cached("SELECT method FROM awaited WHERE row = ?1 AND epoch = ?2 AND idx = ?3")?
        .query_row(params![number, position.epoch, from_u64(position.index, "index")?], |row| {
            row.get(0)
        })
        .optional()?;
    found.map(|method| stored(method.parse().ok(), "method")).transpose()
}

/// How many rows went: one or none.
fn forget_row(connection: &Connection, row: i64) -> Result<usize, StoreError> {
    connection.prepare_cached("DELETE FROM sight WHERE awaited = ?1")?.execute([row])?;
    Ok(connection.prepare_cached("DELETE FROM awaited WHERE row = ?1")?.execute([row])?)
}

fn ended(connection: &Connection, now: UnixTime) -> Result<Vec<AwaitedKey>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT awaited.row, awaited.epoch, awaited.idx FROM awaited JOIN serial ON serial.row = awaited.serial_row \
         WHERE serial.not_after < ?1 LIMIT ?2",
    )?;
    let mut rows = statement.query(params![from_time(now), FORGOTTEN])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let index = to_u64(column(row, "idx")?, "index")?;
        let position = Position { epoch: column(row, "epoch")?, index };
        found.push(AwaitedKey { number: column(row, "row")?, position });
    }
    Ok(found)
}

fn select(
    connection: &Connection,
    end: &str,
    values: &[&dyn rusqlite::ToSql],
) -> Result<Vec<Awaited>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT awaited.row, awaited.method, awaited.epoch AS at_epoch, awaited.idx AS at_idx, \
             awaited.since, issuer.issuer_id, serial.serial, {STATUS_COLUMNS} \
         FROM awaited JOIN serial ON serial.row = awaited.serial_row \
         JOIN issuer ON issuer.row = serial.issuer WHERE {end}"
    ))?;
    let mut rows = statement.query(values)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(connection, row)?);
    }
    Ok(found)
}

fn read(connection: &Connection, row: Row<'_>) -> Result<Awaited, StoreError> {
    let (number, method): (i64, String) = (column(row, "row")?, column(row, "method")?);
    Ok(Awaited {
        number,
        method: stored(method.parse().ok(), "method")?,
        issuer: IssuerId::from_bytes(array(row, "issuer_id")?),
        serial: to_serial(&column::<Vec<u8>>(row, "serial")?)?,
        position: Position {
            epoch: column(row, "at_epoch")?,
            index: to_u64(column(row, "at_idx")?, "index")?,
        },
        since: time(row, "since")?,
        status: status_row(row)?,
        sights: sights(connection, number)?,
    })
}

fn sights(connection: &Connection, awaited: i64) -> Result<Vec<Sight>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT vantage, spki_sha256, method, url, seen, shown, statement \
         FROM sight WHERE awaited = ?1 \
         ORDER BY vantage, method, url",
    )?;
    let mut rows = statement.query([awaited])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (vantage, method): (String, String) = (column(row, "vantage")?, column(row, "method")?);
        found.push(Sight {
            vantage: stored(vantage.parse().ok(), "vantage point")?,
            key: SpkiHash::from_bytes(array(row, "spki_sha256")?),
            method: stored(method.parse().ok(), "method")?,
            url: column(row, "url")?,
            seen: time(row, "seen")?,
            shown: opt_time(row, "shown")?,
            statement: column(row, "statement")?,
        });
    }
    Ok(found)
}

fn record(connection: &Connection, sights_seen: &[(AwaitedKey, Sight)]) -> Result<(), StoreError> {
    for (key, sight) in sights_seen {
        if method_of(connection, *key)?.is_none() {
            continue;
        }
        let known = sights(connection, key.number)?;
        let before = known.iter().find(|one| {
            one.vantage == sight.vantage && one.method == sight.method && one.url == sight.url
        });
        let Some(sight) = sight.clone().after(before) else { continue };
        connection
            .prepare_cached(
                "INSERT INTO sight \
                     (awaited, vantage, spki_sha256, method, url, seen, shown, statement) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
                 ON CONFLICT (awaited, vantage, method, url) DO UPDATE SET \
                     spki_sha256 = excluded.spki_sha256, seen = excluded.seen, shown = excluded.shown, statement = excluded.statement",
            )?
            .execute(params![
                key.number,
                sight.vantage.as_str(),
                sight.key.as_bytes(),
                sight.method.as_str(),
                sight.url,
                from_time(sight.seen),
                sight.shown.map(from_time),
                sight.statement
            ])?;
    }
    Ok(())
}

fn of_serial(
    connection: &Connection,
    issuer: IssuerId,
    serial: &SerialNumber,
) -> Result<Option<StatusRow>, StoreError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {STATUS_COLUMNS} FROM serial JOIN issuer ON issuer.row = serial.issuer \
         WHERE issuer.issuer_id = ?1 AND serial.serial = ?2 AND serial.state <> 'reserved'"
    ))?;
    let mut rows = statement.query(params![issuer.as_bytes(), from_serial(serial)])?;
    rows.next()?.map(status_row).transpose()
}

fn by_lot(
    connection: &Connection,
    lot: u64,
) -> Result<Option<(IssuerId, SerialNumber, StatusRow)>, StoreError> {
    let last: Option<i64> = connection
        .prepare_cached("SELECT row FROM serial ORDER BY row DESC LIMIT 1")?
        .query_row([], |row| row.get(0))
        .optional()?;
    let Some(last) = last.and_then(|last| u64::try_from(last).ok()).filter(|last| *last > 0) else {
        return Ok(None);
    };
    let from = from_u64(lot % last, "lot")?;
    let mut statement = connection.prepare_cached(&format!(
        "SELECT issuer.issuer_id, serial.serial, {STATUS_COLUMNS} \
         FROM serial JOIN issuer ON issuer.row = serial.issuer \
         WHERE serial.row > ?1 AND serial.state <> 'reserved' ORDER BY serial.row LIMIT 1"
    ))?;
    let mut rows = statement.query([from])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let issuer = IssuerId::from_bytes(array(row, "issuer_id")?);
    Ok(Some((issuer, to_serial(&column::<Vec<u8>>(row, "serial")?)?, status_row(row)?)))
}
