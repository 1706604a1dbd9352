//! Opening what is sealed, and forgetting a subject.

use super::connection::{Connection, OptionalExtension as _};
use ca::key_holder::HolderName;
use rusqlite::params;
use x509::time::UnixTime;

use super::group::Act;
use super::holders;
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::OrderId;
use crate::sealing::{IndexTag, IndexTerm, Place, Sealer, Subject};

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

const TERMS: &str = "DELETE FROM blind_index WHERE certificate IN \
     (SELECT row FROM certificate WHERE data_key = ?1)";
const HOLDERS: &str = "DELETE FROM key_holder WHERE spki_sha256 IN \
     (SELECT spki_sha256 FROM certificate WHERE data_key = ?1)";
const KEY: &str = "DELETE FROM data_key WHERE number = ?1";
const KEY_BY_SUBJECT: &str = "DELETE FROM data_key WHERE subject = ?1";
const OWN_KEYS: &str = "SELECT number FROM data_key WHERE subject = ?1";
/// Those of a person's other names. Each part by an index: an OR between them reads all that was ever ordered, while the writer waits.
const KEYS_OF_OTHER_NAMES: &str = "SELECT number FROM data_key WHERE subject <> ?4 AND number IN ( \
     SELECT data_key FROM intent WHERE person_tag = ?1 \
     UNION SELECT data_key FROM intent WHERE holder_tag = ?1 AND person_tag IS NOT NULL \
     UNION SELECT data_key FROM intent WHERE holder_tag = ?1 AND person_tag IS NULL \
     UNION SELECT data_key FROM certificate WHERE person_tag = ?1 \
     UNION SELECT certificate.data_key FROM blind_index \
         JOIN certificate ON certificate.row = blind_index.certificate \
         WHERE tag = 'hsa-id' AND hmac = ?2 \
     UNION SELECT certificate.data_key FROM blind_index \
         JOIN certificate ON certificate.row = blind_index.certificate \
         WHERE tag = 'personal-number' AND hmac = ?3)";
const CALLS: &str = "SELECT call FROM eid_order_step WHERE data_key = ?1";
const ORDERS: &str = "SELECT orders.order_id FROM intent JOIN orders ON orders.row = intent.order_row \
     WHERE intent.data_key = ?1";

/// Deletes a subject's data key and search terms. A person goes whole, by any of the numbers that name him; and
/// a holder's orders go with him: their bodies hold what he was ordered under.
pub(super) fn forget(
    act: &mut Act<'_>,
    subject: &Subject,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let keys = keys_of(act, subject)?;
    if keys.is_empty() {
        return Ok(false);
    }
    let connection = act.connection();
    for number in keys {
        connection.execute(TERMS, [number])?;
        connection.execute(HOLDERS, [number])?;
        for order in orders_of(connection, number)?.into_iter().chain(calls_of(connection, number)?)
        {
            let name = act.sealer().subject_name(&Subject::Order(order));
            connection.execute(KEY_BY_SUBJECT, [name])?;
        }
        connection.execute(KEY, [number])?;
    }
    act.drop_keys();
    act.put_audit(audit, now)?;
    Ok(true)
}

/// The data keys of a subject: its own, and of a person also those of his other names, as orders, certificates
/// and imports tell that they are his. The deployment's own is nobody's.
fn keys_of(act: &Act<'_>, subject: &Subject) -> Result<Vec<i64>, StoreError> {
    let sealer = act.sealer();
    let own = sealer.subject_name(subject);
    let connection = act.connection();
    let mut keys: Vec<i64> = connection
        .prepare_cached(OWN_KEYS)?
        .query_map([own], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let Subject::Holder(number) = subject else { return Ok(keys) };
    let holder = holders::tag(sealer, &HolderName::number(number));
    let term = |tag| sealer.blind(&IndexTerm::new(tag, number));
    let mut statement = connection.prepare_cached(KEYS_OF_OTHER_NAMES)?;
    let others = statement.query_map(
        params![
            holder.as_bytes(),
            term(IndexTag::HsaId).as_bytes(),
            term(IndexTag::PersonalNumber).as_bytes(),
            sealer.subject_name(&Subject::Deployment)
        ],
        |row| row.get(0),
    )?;
    for other in others {
        let other = other?;
        if !keys.contains(&other) {
            keys.push(other);
        }
    }
    Ok(keys)
}

/// The calls that took the steps of an order for him: their answers show his certificates.
fn calls_of(connection: &Connection, key: i64) -> Result<Vec<OrderId>, StoreError> {
    let mut statement = connection.prepare_cached(CALLS)?;
    let ids = statement.query_map([key], |row| row.get(0).map(OrderId::from_bytes))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

fn orders_of(connection: &Connection, key: i64) -> Result<Vec<OrderId>, StoreError> {
    let mut statement = connection.prepare_cached(ORDERS)?;
    let ids = statement.query_map([key], |row| row.get(0).map(OrderId::from_bytes))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::super::plans::{plan, scans};
    use super::*;

    /// DAT-07: who is forgotten is found by what is his; the writer, which revokes too, reads no whole table for that.
    #[test]
    fn nobody_is_forgotten_by_reading_a_whole_table() {
        for sql in [
            TERMS,
            HOLDERS,
            KEY,
            KEY_BY_SUBJECT,
            OWN_KEYS,
            KEYS_OF_OTHER_NAMES,
            CALLS,
            ORDERS,
            "SELECT wrapped FROM data_key WHERE number = ?1",
        ] {
            assert!(!scans(sql), "{sql}: {:?}", plan(sql));
        }
        let either = "SELECT data_key FROM intent WHERE holder_tag = ?1 OR person_tag = ?1";
        assert!(scans(either), "{:?}", plan(either));
    }
}
