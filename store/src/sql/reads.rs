//! What was shown of persons: kept by the ids of what was shown, found by whose it is.

use std::collections::{BTreeMap, BTreeSet};

use ca::limit::Hour;
use ca::role::Protected;
use rusqlite::params;
use rusqlite::types::Value;
use status::Position;
use x509::time::UnixTime;

use super::columns::{array, column, from_u64, position, stored, to_u64};
use super::connection::{Connection, Params};
use super::group::Act;
use super::{Backend, SqlStore, certificates, holders};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::{CertificateId, EidId, OrderId};
use crate::read::{ReadRow, Reader, Reads, ReadsWanted, Shown, ShownId};
use crate::sealing::{BlindIndex, Sealer};

/// Ids of one statement: those of a page take few of them.
const AT_ONCE: usize = 32;

impl<B: Backend> Reads for SqlStore<B> {
    fn record_read(
        &self,
        shown: &[Shown],
        reader: &Reader,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Option<Position>, StoreError> {
        let objects = self.readers.read(|connection| objects(connection, &self.sealer, shown))?;
        if objects.is_empty() {
            return Ok(None);
        }
        let (reader, audit) = (reader.clone(), audit.clone());
        let rows = objects.len();
        let recorded = self.writer.run_behind(rows, move |act| {
            count(act.connection(), &reader, objects.len(), now)?;
            record(act, &objects, &audit, now)
        });
        recorded.map(Some)
    }

    fn reads_of(
        &self,
        wanted: &ReadsWanted,
        before: Option<Position>,
        limit: u32,
    ) -> Result<Vec<ReadRow>, StoreError> {
        let limit = limit.clamp(1, certificates::MOST_ROWS);
        self.readers.read(|connection| {
            let own = own(connection, &self.sealer, wanted)?;
            found(connection, &own, before, limit)
        })
    }
}

/// What of it is a person's, each once: eIDs and orders are, of certificates those whose holder lies sealed.
fn objects(
    connection: &Connection,
    sealer: &Sealer,
    shown: &[Shown],
) -> Result<BTreeSet<Vec<u8>>, StoreError> {
    let mut objects = BTreeSet::new();
    let mut certificates = BTreeSet::new();
    for one in shown {
        match one {
            Shown::Certificate(id) => drop(certificates.insert(id.as_bytes().to_vec())),
            Shown::Eid(id) => drop(objects.insert(id.as_bytes().to_vec())),
            Shown::Order(id) => drop(objects.insert(id.as_bytes().to_vec())),
            Shown::Person(holder) => {
                objects.insert(holders::tag(sealer, holder).as_bytes().to_vec());
            }
        }
    }
    for (ids, places) in batches(certificates.into_iter().collect(), 1) {
        let sql = format!(
            "SELECT certificate_id FROM certificate \
             WHERE data_key IS NOT NULL AND certificate_id IN ({})",
            places.join(", ")
        );
        let mut statement = connection.prepare_cached(&sql)?;
        for id in statement.query_map(ids, |row| row.get::<Vec<u8>>(0))? {
            objects.insert(id?);
        }
    }
    Ok(objects)
}

/// Counts what a client is shown in this hour.
///
/// # Errors
///
/// [`StoreError::ReadsSpent`].
fn count(
    connection: &Connection,
    reader: &Reader,
    things: usize,
    now: UnixTime,
) -> Result<(), StoreError> {
    let hour = Hour::of(now);
    let number = from_u64(hour.number(), "hour")?;
    connection
        .prepare_cached("DELETE FROM shown_hour WHERE client = ?1 AND hour < ?2")?
        .execute(params![reader.client, number])?;
    let things = u64::try_from(things).unwrap_or(u64::MAX);
    let shown: i64 = connection
        .prepare_cached(
            "INSERT INTO shown_hour (client, hour, shown) VALUES (?1, ?2, ?3) \
             ON CONFLICT (client, hour) DO UPDATE SET shown = shown_hour.shown + excluded.shown \
             RETURNING shown",
        )?
        .query_row(params![reader.client, number, from_u64(things, "things shown")?], |row| {
            row.get(0)
        })?;
    if to_u64(shown, "things shown in an hour")? > reader.most {
        let ends = now.secs().saturating_add(Hour::seconds_left(now));
        let ends = UnixTime::from_secs(ends).unwrap_or(now);
        return Err(StoreError::ReadsSpent { per_hour: reader.most, ends });
    }
    Ok(())
}

fn record(
    act: &mut Act<'_>,
    objects: &BTreeSet<Vec<u8>>,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<Position, StoreError> {
    let at = act.put_audit(audit, now)?;
    let index = from_u64(at.index, "index")?;
    for (ids, places) in batches(objects.iter().cloned().collect(), 3) {
        let rows: Vec<_> = places.iter().map(|place| format!("({place}, ?1, ?2)")).collect();
        let values = [Value::from(at.epoch), Value::from(index)].into_iter().chain(ids);
        // Of a batch that is not full the last id comes again.
        act.connection()
            .prepare_cached(&format!(
                "INSERT INTO shown (object, epoch, idx) VALUES {} \
                 ON CONFLICT (object, epoch, idx) DO NOTHING",
                rows.join(", ")
            ))?
            .execute(values.collect::<Vec<_>>())
            .map_err(StoreError::of_audit)?;
    }
    Ok(at)
}

/// The ids as parameters, one or [`AT_ONCE`] of them, and where they stand from `first` on: two texts of a statement, whatever the count.
fn batches(ids: Vec<Vec<u8>>, first: usize) -> Vec<(Vec<Value>, Vec<String>)> {
    let batch = |ids: &[Vec<u8>]| {
        let count = if ids.len() == 1 { 1 } else { AT_ONCE };
        let padded = ids.iter().chain(ids.last().into_iter().cycle()).take(count);
        let values = padded.map(|id| Value::Blob(id.clone())).collect();
        (values, (first..).take(count).map(|place| format!("?{place}")).collect())
    };
    ids.chunks(AT_ONCE).map(batch).collect()
}

/// What is a person's, by its ids. What is a protected person's is asked for as that of nobody: the answer takes the same time.
fn own(
    connection: &Connection,
    sealer: &Sealer,
    wanted: &ReadsWanted,
) -> Result<BTreeMap<Vec<u8>, ShownId>, StoreError> {
    let nobody = BlindIndex([0; 32]);
    let named = holders::tag(sealer, &wanted.holder);
    let hidden = connection
        .prepare_cached(IS_PROTECTED)?
        .exists([named.as_bytes()])
        .map(|is_protected| is_protected && wanted.protected == Protected::Unseen)?;
    let (holder, number) = if hidden {
        (nobody, nobody)
    } else {
        let number = wanted.number.as_ref().map_or(nobody, |number| sealer.blind(number));
        (named, number)
    };
    let mut own = BTreeMap::from([(holder.as_bytes().to_vec(), ShownId::Person)]);
    let mut add = |sql: &str, params: &[&[u8; 32]], of: fn([u8; 16]) -> ShownId| {
        let params: Vec<_> = params.iter().map(|one| Value::Blob(one.to_vec())).collect();
        for id in ids(connection, sql, params)? {
            own.insert(id.to_vec(), of(id));
        }
        Ok::<_, StoreError>(())
    };
    let of_certificate = |id| ShownId::Certificate(CertificateId::from_bytes(id));
    add(EIDS, &[holder.as_bytes()], |id| ShownId::Eid(EidId::from_bytes(id)))?;
    add(ORDERS, &[holder.as_bytes()], |id| ShownId::Order(OrderId::from_bytes(id)))?;
    for sql in [CERTIFICATES_OF_EIDS, CERTIFICATES_TAKEN_IN, CERTIFICATES_ORDERED] {
        add(sql, &[holder.as_bytes()], of_certificate)?;
    }
    add(CERTIFICATES_BY_NUMBER, &[number.as_bytes()], of_certificate)?;
    Ok(own)
}

const IS_PROTECTED: &str = "SELECT 1 FROM protected_person WHERE holder = ?1 OR holder IN \
     (SELECT person_tag FROM intent WHERE holder_tag = ?1 AND person_tag IS NOT NULL)";
const EIDS: &str = "SELECT eid_id AS id FROM eid WHERE holder = ?1";
const CERTIFICATES_OF_EIDS: &str = "SELECT certificate_id AS id FROM certificate \
     WHERE eid IN (SELECT row FROM eid WHERE holder = ?1)";
const CERTIFICATES_TAKEN_IN: &str =
    "SELECT certificate_id AS id FROM certificate WHERE person_tag = ?1";
/// Whose order named him, or nobody and an HSA-id that another order has said to be his.
const CERTIFICATES_ORDERED: &str = "SELECT certificate_id AS id FROM intent WHERE person_tag = ?1 \
     UNION SELECT certificate_id FROM intent WHERE person_tag IS NULL AND holder_tag = ?1 \
     UNION SELECT own.certificate_id FROM intent AS said \
         JOIN intent AS own ON own.holder_tag = said.holder_tag AND own.person_tag IS NULL \
         WHERE said.person_tag = ?1 AND said.holder_tag IS NOT NULL";
const CERTIFICATES_BY_NUMBER: &str = "SELECT certificate.certificate_id AS id FROM blind_index \
     JOIN certificate ON certificate.row = blind_index.certificate \
     WHERE blind_index.tag = 'personal-number' AND blind_index.hmac = ?1";
const ORDERS: &str = "SELECT order_id AS id FROM eid_order WHERE person_tag = ?1 \
     UNION SELECT order_id FROM eid_order WHERE person_tag IS NULL AND holder_tag = ?1 \
     UNION SELECT eid_order.order_id FROM intent AS said \
         JOIN eid_order ON eid_order.holder_tag = said.holder_tag AND eid_order.person_tag IS NULL \
         WHERE said.person_tag = ?1 AND said.holder_tag IS NOT NULL";

fn ids(
    connection: &Connection,
    sql: &str,
    params: impl Params,
) -> Result<Vec<[u8; 16]>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(array(row, "id")?);
    }
    Ok(ids)
}

/// The newest leaves before `before` that tell of one of these.
fn found(
    connection: &Connection,
    own: &BTreeMap<Vec<u8>, ShownId>,
    before: Option<Position>,
    limit: u32,
) -> Result<Vec<ReadRow>, StoreError> {
    let before = before.unwrap_or(Position { epoch: i32::MAX.unsigned_abs(), index: 0 });
    let mut reads: BTreeMap<Position, Vec<ShownId>> = BTreeMap::new();
    let mut statement = connection.prepare_cached(
        "SELECT epoch, idx FROM shown \
         WHERE object = ?1 AND (epoch < ?2 OR (epoch = ?2 AND idx < ?3)) \
         ORDER BY epoch DESC, idx DESC LIMIT ?4",
    )?;
    for (object, id) in own {
        let index = from_u64(before.index, "index")?;
        let mut rows = statement.query(params![object, before.epoch, index, limit])?;
        while let Some(row) = rows.next()? {
            let at = stored(position(row)?, "position of a leaf")?;
            reads.entry(at).or_default().push(*id);
        }
    }
    let newest = reads.into_iter().rev().take(usize::try_from(limit).unwrap_or(usize::MAX));
    newest.map(|(at, shown)| row(connection, at, shown)).collect()
}

fn row(
    connection: &Connection,
    at: Position,
    mut shown: Vec<ShownId>,
) -> Result<ReadRow, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT leaf FROM audit_leaf WHERE epoch = ?1 AND idx = ?2")?;
    let mut rows = statement.query(params![at.epoch, from_u64(at.index, "index")?])?;
    let leaf = stored(rows.next()?, "leaf of a read")?;
    shown.sort_unstable();
    Ok(ReadRow { position: at, leaf: column(leaf, "leaf")?, shown })
}

#[cfg(test)]
mod tests {
    use super::super::plans::{plan, scans};
    use super::*;

    /// One id takes a statement for one; more take one for [`AT_ONCE`], the last again where there are fewer.
    #[test]
    fn ids_go_in_two_sizes_and_none_is_left_out() {
        for count in [0, 1, 2, AT_ONCE, AT_ONCE + 1, AT_ONCE + 2, 3 * AT_ONCE] {
            let ids: Vec<Vec<u8>> = (0..count).map(|one| vec![one.to_le_bytes()[0]]).collect();

            let batches = batches(ids.clone(), 3);

            let mut gone: Vec<Value> = batches.iter().flat_map(|(ids, _)| ids.clone()).collect();
            gone.dedup();
            assert_eq!(gone, ids.into_iter().map(Value::Blob).collect::<Vec<_>>());
            for (ids, places) in batches {
                assert!(ids.len() == 1 || ids.len() == AT_ONCE);
                assert_eq!((ids.len(), places[0].as_str()), (places.len(), "?3"));
            }
        }
    }

    /// AUD-06: who asks who was shown a person reads what is his, and no whole table.
    #[test]
    fn no_question_about_a_person_reads_a_whole_table() {
        for sql in [
            EIDS,
            CERTIFICATES_OF_EIDS,
            CERTIFICATES_TAKEN_IN,
            CERTIFICATES_ORDERED,
            CERTIFICATES_BY_NUMBER,
            ORDERS,
        ] {
            assert!(!scans(sql), "{sql}: {:?}", plan(sql));
        }
        assert!(scans("SELECT 1 FROM intent WHERE digest = ?1"));
    }
}
