//! How much is awaited.

use rusqlite::params;
use status::ReceiptMethod;

use crate::StoreError;
use crate::awaited::AwaitedCount;
use crate::sql::columns::{column, opt_time, stored, to_u64};
use crate::sql::connection::Connection;

/// How many more, or fewer, an act leaves awaited: nobody counts millions to know how many there are.
#[derive(Debug, Default)]
pub(super) struct Counted {
    ocsp: i64,
    crl: i64,
}

impl Counted {
    const fn of(&mut self, method: ReceiptMethod) -> &mut i64 {
        match method {
            ReceiptMethod::Ocsp => &mut self.ocsp,
            ReceiptMethod::Crl => &mut self.crl,
        }
    }

    pub(super) const fn more(&mut self, method: ReceiptMethod) {
        let count = self.of(method);
        *count = count.saturating_add(1);
    }

    pub(super) fn less(&mut self, method: ReceiptMethod, rows: usize) {
        let count = self.of(method);
        *count = count.saturating_sub(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// A count that is wrong is no reason to refuse an act.
    pub(super) fn keep(&mut self, connection: &Connection) -> Result<(), StoreError> {
        for method in ReceiptMethod::ALL {
            let change = std::mem::take(self.of(method));
            if change == 0 {
                continue;
            }
            connection
                .prepare_cached(
                    "INSERT INTO awaited_count (method, waiting) VALUES (?1, 0) \
                     ON CONFLICT (method) DO NOTHING",
                )?
                .execute([method.as_str()])?;
            connection
                .prepare_cached(
                    "UPDATE awaited_count \
                     SET waiting = CASE WHEN waiting + ?2 > 0 THEN waiting + ?2 ELSE 0 END \
                     WHERE method = ?1",
                )?
                .execute(params![method.as_str(), change])?;
        }
        Ok(())
    }
}

pub(super) fn counts(connection: &Connection) -> Result<Vec<AwaitedCount>, StoreError> {
    // The log's time never runs back: the first position is that of the oldest.
    let mut statement = connection.prepare_cached(
        "SELECT method, waiting, \
             (SELECT awaited.since FROM awaited WHERE awaited.method = awaited_count.method \
              ORDER BY awaited.epoch, awaited.idx LIMIT 1) AS oldest \
         FROM awaited_count WHERE waiting > 0 ORDER BY method",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        // None where the count is wrong: the next start mends it.
        let Some(oldest) = opt_time(row, "oldest")? else { continue };
        let method: String = column(row, "method")?;
        found.push(AwaitedCount {
            method: stored(method.parse().ok(), "method")?,
            count: to_u64(column(row, "waiting")?, "count")?,
            oldest,
        });
    }
    Ok(found)
}

/// Counts anew where the count is wrong: a node of a version that did not keep it may have written beside one that does. Most
/// starts find it right, and hold up no writer of another node.
pub(in crate::sql) fn recount(connection: &Connection) -> Result<(), StoreError> {
    connection.begin_reading()?;
    let found = wrong(connection);
    connection.end_reading()?;
    if found?.is_empty() {
        return Ok(());
    }
    connection.begin_writing()?;
    match mend(connection) {
        Ok(()) => Ok(connection.commit()?),
        Err(error) => {
            connection.roll_back();
            Err(error)
        }
    }
}

fn mend(connection: &Connection) -> Result<(), StoreError> {
    for (method, waiting) in wrong(connection)? {
        connection
            .prepare_cached(
                "INSERT INTO awaited_count (method, waiting) VALUES (?1, ?2) \
                 ON CONFLICT (method) DO UPDATE SET waiting = excluded.waiting",
            )?
            .execute(params![method.as_str(), waiting])?;
    }
    Ok(())
}

/// The methods whose count is wrong, and how many do wait.
fn wrong(connection: &Connection) -> Result<Vec<(ReceiptMethod, i64)>, StoreError> {
    let mut found = Vec::new();
    for method in ReceiptMethod::ALL {
        let (rows, counted): (i64, Option<i64>) = connection
            .prepare_cached(
                "SELECT (SELECT count(*) FROM awaited WHERE method = ?1), \
                     (SELECT waiting FROM awaited_count WHERE method = ?1)",
            )?
            .query_row([method.as_str()], |row| Ok((row.get(0)?, row.get(1)?)))?;
        if counted.unwrap_or(0) != rows {
            found.push((method, rows));
        }
    }
    Ok(found)
}
