//! What became of intents, in the order in which they were recorded: for reconciling the use of keys
//! with the books.

use super::connection::{Connection, Row};
use rusqlite::params;
use x509::key::SpkiHash;
use x509::signing::IntentId;

use super::columns::{array, column, from_u64, time, to_u64};
use crate::StoreError;
use crate::id::{BootId, Node};
use crate::intent::{INTENTS_AT_ONCE, IntentBook, IntentNumber, IntentOutcome, IntentState};

pub(super) fn last(connection: &Connection, book: IntentBook) -> Result<IntentNumber, StoreError> {
    let sql = match book {
        IntentBook::Issuing => "SELECT coalesce(max(row), 0) FROM intent",
        IntentBook::Management => "SELECT coalesce(max(row), 0) FROM management_certificate",
    };
    let last: i64 = connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(IntentNumber(to_u64(last, "intent number")?))
}

pub(super) fn after(
    connection: &Connection,
    book: IntentBook,
    after: IntentNumber,
) -> Result<Vec<IntentOutcome>, StoreError> {
    let sql = match book {
        IntentBook::Issuing => {
            "SELECT intent.row, intent_id, spki_sha256, node, boot, state, created FROM intent \
             JOIN issuer ON issuer.row = intent.issuer \
             WHERE intent.row > ?1 ORDER BY intent.row LIMIT ?2"
        }
        // Its `spki_sha256` is the certified key; the one that signs is the management CA's.
        IntentBook::Management => {
            "SELECT row, intent_id, NULL AS spki_sha256, node, boot, state, created \
             FROM management_certificate WHERE row > ?1 ORDER BY row LIMIT ?2"
        }
    };
    let most = i64::try_from(INTENTS_AT_ONCE).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![from_u64(after.0, "intent number")?, most])?;
    let mut outcomes = Vec::new();
    while let Some(row) = rows.next()? {
        outcomes.push(read(row)?);
    }
    Ok(outcomes)
}

fn read(row: Row<'_>) -> Result<IntentOutcome, StoreError> {
    let state = match column::<String>(row, "state")?.as_str() {
        "open" => IntentState::Open,
        "fulfilled" | "issued" => IntentState::Fulfilled,
        "voided" => IntentState::Voided,
        _ => return Err(StoreError::Stored { what: "intent state" }),
    };
    let key: Option<[u8; 32]> = column(row, "spki_sha256")?;
    Ok(IntentOutcome {
        number: IntentNumber(to_u64(column(row, "row")?, "intent number")?),
        intent: IntentId::from_bytes(array(row, "intent_id")?),
        key: key.map(SpkiHash::from_bytes),
        node: Node { name: column(row, "node")?, boot: BootId::from_bytes(array(row, "boot")?) },
        state,
        created: time(row, "created")?,
    })
}
