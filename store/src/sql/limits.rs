//! Certificates counted by client, profile and hour, and pauses.

use super::connection::{Connection, OptionalExtension as _, Row};
use ca::limit::{Hour, HourLimit, USUAL_DAYS, Verdict};
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{column, from_time, from_u64, opt_time, to_time, to_u64};
use super::group::Act;
use super::orders::{self, Holder};
use super::{Backend, SqlStore};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::limit::{AnswerOfStanding, NewPause, Pause, PauseEnd, Volume, VolumeStanding, Volumes};
use crate::order::StoredResponse;

impl<B: Backend> Volumes for SqlStore<B> {
    fn pause(
        &self,
        pause: &NewPause,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (pause, audit) = (pause.clone(), audit.clone());
        self.writer.run(move |act| record_pause(act, &pause, &audit, now))
    }

    fn resume(
        &self,
        end: &PauseEnd,
        answer: AnswerOfStanding,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Option<StoredResponse>, StoreError> {
        let (end, audit) = (end.clone(), audit.clone());
        self.writer.run(move |act| resume(act, &end, answer, &audit, now))
    }

    fn volumes(&self, now: UnixTime) -> Result<Vec<VolumeStanding>, StoreError> {
        self.readers.read(|connection| standings(connection, now))
    }
}

/// Counts a certificate that is about to be signed, unless an earlier intent of its order was counted. The act
/// that it belongs to is taken back when it is refused, and with it the count.
///
/// # Errors
///
/// [`StoreError::Paused`], [`StoreError::SuddenRise`], [`StoreError::HourSpent`].
pub(super) fn count(
    connection: &Connection,
    volume: &Volume,
    order: i64,
    now: UnixTime,
) -> Result<(), StoreError> {
    let paused: Option<i64> = connection
        .prepare_cached("SELECT since FROM issuing_pause WHERE client = ?1 AND profile = ?2")?
        .query_row([&volume.client, &volume.profile], |row| row.get(0))
        .optional()?;
    if let Some(since) = paused {
        return Err(StoreError::Paused { since: to_time(since)? });
    }
    let Some(limit) = &volume.limit else { return Ok(()) };
    let counted: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM intent WHERE order_row = ?1 AND state = 'voided')",
        )?
        .query_row([order], |row| row.get(0))?;
    if counted {
        return Ok(());
    }
    let (issued, usual) = counted_with_this(connection, volume, Hour::of(now))?;
    judged(limit, (issued, usual), now)
}

fn judged(limit: &HourLimit, (issued, usual): (u64, u64), now: UnixTime) -> Result<(), StoreError> {
    match limit.judge(issued, usual) {
        Verdict::Within => Ok(()),
        Verdict::Sudden => Err(StoreError::SuddenRise { issued, usual }),
        Verdict::PastHour { per_hour } => {
            let ends = now.secs().saturating_add(Hour::seconds_left(now));
            let ends = UnixTime::from_secs(ends).unwrap_or(now);
            Err(StoreError::HourSpent { per_hour, ends })
        }
    }
}

/// One row is updated; the first of an hour looks back and clears what nobody looks back at any more.
fn counted_with_this(
    connection: &Connection,
    volume: &Volume,
    hour: Hour,
) -> Result<(u64, u64), StoreError> {
    let (client, profile) = (&volume.client, &volume.profile);
    let number = from_u64(hour.number(), "hour")?;
    let counted: Option<(i64, i64)> = connection
        .prepare_cached(
            "UPDATE issued_hour SET issued = issued + 1 \
             WHERE client = ?1 AND profile = ?2 AND hour = ?3 RETURNING issued, usual",
        )?
        .query_row(params![client, profile, number], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    if let Some((issued, usual)) = counted {
        return Ok((to_u64(issued, "certificates of an hour")?, to_u64(usual, "usual hour")?));
    }
    let usual = usual(connection, (client, profile), hour)?;
    let oldest = hour.number().saturating_sub(24 * USUAL_DAYS);
    connection
        .prepare_cached("DELETE FROM issued_hour WHERE client = ?1 AND profile = ?2 AND hour < ?3")?
        .execute(params![client, profile, from_u64(oldest, "hour")?])?;
    connection
        .prepare_cached(
            "INSERT INTO issued_hour (client, profile, hour, issued, usual) \
             VALUES (?1, ?2, ?3, 1, ?4)",
        )?
        .execute(params![client, profile, number, from_u64(usual, "usual hour")?])?;
    Ok((1, usual))
}

/// The sum over the same hour of the [`USUAL_DAYS`] days before. Where the pair has been counted for fewer days, they
/// stand for all: days before its first certificate say nothing of it.
fn usual(
    connection: &Connection,
    (client, profile): (&str, &str),
    hour: Hour,
) -> Result<u64, StoreError> {
    let oldest = hour.number().saturating_sub(24 * USUAL_DAYS);
    let (sum, first): (i64, Option<i64>) = connection
        .prepare_cached(
            "SELECT CAST(coalesce(sum(issued) FILTER (WHERE hour % 24 = ?3 % 24), 0) AS BIGINT), min(hour) \
             FROM issued_hour WHERE client = ?1 AND profile = ?2 AND hour >= ?4 AND hour < ?3",
        )?
        .query_row(
            params![client, profile, from_u64(hour.number(), "hour")?, from_u64(oldest, "hour")?],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
    let sum = to_u64(sum, "certificates of an hour")?;
    let Some(first) = first else { return Ok(sum) };
    let hours = hour.number().saturating_sub(to_u64(first, "hour")?);
    let days = hours.div_ceil(24).clamp(1, USUAL_DAYS);
    Ok(sum.saturating_mul(USUAL_DAYS).checked_div(days).unwrap_or(sum))
}

fn record_pause(
    act: &mut Act<'_>,
    pause: &NewPause,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let new = act
        .connection()
        .prepare_cached(
            "INSERT INTO issuing_pause (client, profile, since, issued, usual) \
             VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            pause.client,
            pause.profile,
            from_time(now),
            from_u64(pause.issued, "certificates of an hour")?,
            from_u64(pause.usual, "usual hour")?,
        ])?;
    if new == 0 {
        return Ok(false);
    }
    act.put_audit(audit, now)?;
    Ok(true)
}

fn resume(
    act: &mut Act<'_>,
    end: &PauseEnd,
    answer: AnswerOfStanding,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<Option<StoredResponse>, StoreError> {
    let pair = (end.client.as_str(), end.profile.as_str());
    if !end_pause(act.connection(), pair, now)? {
        return Ok(None);
    }
    let standing = standings(act.connection(), now)?;
    let standing = standing.into_iter().find(|one| (&*one.client, &*one.profile) == pair);
    let answer = answer(&standing.ok_or(StoreError::Stored { what: "hour of an ended pause" })?)?;
    orders::finish(act, Holder::Call(end.order, &end.node), &answer, now)?;
    act.put_audit(audit, now)?;
    Ok(Some(answer.response))
}

/// Whether there was one.
fn end_pause(
    connection: &Connection,
    (client, profile): (&str, &str),
    now: UnixTime,
) -> Result<bool, StoreError> {
    let ended: Option<i64> = connection
        .prepare_cached(
            "DELETE FROM issuing_pause WHERE client = ?1 AND profile = ?2 RETURNING issued",
        )?
        .query_row([client, profile], |row| row.get(0))
        .optional()?;
    let Some(accepted) = ended else { return Ok(false) };
    // Also where a later hour has come meanwhile, of which nothing is counted yet. The certificate that was refused
    // is counted in the pause, and in no hour.
    let hour = Hour::of(now);
    let before = usual(connection, (client, profile), hour)?;
    let accepted = to_u64(accepted, "certificates of an hour")?.saturating_sub(1);
    let usual = before.max(accepted.saturating_mul(USUAL_DAYS));
    connection
        .prepare_cached(
            "INSERT INTO issued_hour (client, profile, hour, issued, usual) \
             VALUES (?1, ?2, ?3, 0, ?4) \
             ON CONFLICT (client, profile, hour) DO UPDATE SET usual = CASE \
                 WHEN issued_hour.usual >= excluded.usual AND issued_hour.usual >= issued_hour.issued * ?5 \
                     THEN issued_hour.usual \
                 WHEN issued_hour.issued * ?5 >= excluded.usual THEN issued_hour.issued * ?5 \
                 ELSE excluded.usual END",
        )?
        .execute(params![
            client,
            profile,
            from_u64(hour.number(), "hour")?,
            from_u64(usual, "usual hour")?,
            from_u64(USUAL_DAYS, "days")?
        ])?;
    Ok(true)
}

fn standings(connection: &Connection, now: UnixTime) -> Result<Vec<VolumeStanding>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT pair.client, pair.profile, \
             coalesce(counted.issued, 0) AS issued, coalesce(counted.usual, 0) AS usual, \
             pause.since, pause.issued AS pause_issued, pause.usual AS pause_usual \
         FROM (SELECT client, profile FROM issued_hour WHERE hour = ?1 \
               UNION SELECT client, profile FROM issuing_pause) AS pair \
         LEFT JOIN issued_hour AS counted ON counted.client = pair.client \
             AND counted.profile = pair.profile AND counted.hour = ?1 \
         LEFT JOIN issuing_pause AS pause ON pause.client = pair.client \
             AND pause.profile = pair.profile \
         ORDER BY pair.client, pair.profile",
    )?;
    let mut rows = statement.query([from_u64(Hour::of(now).number(), "hour")?])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let number = |name| to_u64(column(row, name)?, "certificates of an hour");
        found.push(VolumeStanding {
            client: column(row, "client")?,
            profile: column(row, "profile")?,
            issued: number("issued")?,
            usual: number("usual")?,
            pause: pause(row)?,
        });
    }
    Ok(found)
}

fn pause(row: Row<'_>) -> Result<Option<Pause>, StoreError> {
    let Some(since) = opt_time(row, "since")? else { return Ok(None) };
    let number = |name| to_u64(column(row, name)?, "certificates of an hour");
    Ok(Some(Pause { since, issued: number("pause_issued")?, usual: number("pause_usual")? }))
}
