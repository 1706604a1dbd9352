//! Opening what is sealed, and forgetting a subject.

use rusqlite::{Connection, OptionalExtension as _};
use x509::time::UnixTime;

use super::group::Act;
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::OrderId;
use crate::sealing::{Place, Sealer, Subject};

/// Opens a sealed value; `None` if its data key has been deleted.
pub(super) fn open(
    connection: &Connection,
    sealer: &Sealer,
    place: Place<'_>,
    sealed: &[u8],
) -> Result<Option<Vec<u8>>, StoreError> {
    let number = Sealer::key_number(place, sealed)?;
    let wrapped: Option<Vec<u8>> = connection
        .prepare_cached("SELECT wrapped FROM data_key WHERE number = ?1")?
        .query_row([number], |row| row.get(0))
        .optional()?;
    let Some(wrapped) = wrapped else { return Ok(None) };
    let key = sealer.unwrap_key(number, &wrapped)?;
    sealer.open(&key, place, sealed).map(Some)
}

/// Deletes a subject's data key and search terms. A holder's orders go with him: their bodies hold
/// what he was ordered under.
pub(super) fn forget(
    act: &mut Act<'_>,
    subject: &Subject,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let name = act.sealer().subject_name(subject);
    let number: Option<i64> = act
        .connection()
        .prepare_cached("SELECT number FROM data_key WHERE subject = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    let Some(number) = number else { return Ok(false) };
    let connection = act.connection();
    connection.execute(
        "DELETE FROM blind_index WHERE certificate IN \
             (SELECT row FROM certificate WHERE data_key = ?1)",
        [number],
    )?;
    connection.execute(
        "DELETE FROM key_holder WHERE spki_sha256 IN \
             (SELECT spki_sha256 FROM certificate WHERE data_key = ?1)",
        [number],
    )?;
    for order in orders_of(connection, number)? {
        let name = act.sealer().subject_name(&Subject::Order(order));
        connection.execute("DELETE FROM data_key WHERE subject = ?1", [name])?;
    }
    connection.execute("DELETE FROM data_key WHERE number = ?1", [number])?;
    act.drop_keys();
    act.put_audit(audit, now)?;
    Ok(true)
}

fn orders_of(connection: &Connection, key: i64) -> Result<Vec<OrderId>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT orders.order_id FROM intent JOIN orders ON orders.row = intent.order_row \
         WHERE intent.data_key = ?1",
    )?;
    let ids = statement.query_map([key], |row| row.get(0).map(OrderId::from_bytes))?;
    Ok(ids.collect::<Result<_, _>>()?)
}
