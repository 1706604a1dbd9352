//! Protected persons: kept, and passed over.

use ca::key_holder::HolderName;
use ca::protection::ProtectionClass;
use ca::role::Protected;
use rusqlite::params;
use status::IssuerId;
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::columns::{array, column, from_serial, from_time, from_u64, stored, time, to_u64};
use super::connection::{Connection, OptionalExtension as _, Row};
use super::group::Act;
use super::{Backend, SqlStore, certificates, holders, seals};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::protection::{ProtectedRow, Protection, ProtectionChange};
use crate::sealing::{BlindIndex, Place, Sealer};

impl<B: Backend> Protection for SqlStore<B> {
    fn put_protection(
        &self,
        change: &ProtectionChange,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Option<UnixTime>, StoreError> {
        let (change, audit) = (change.clone(), audit.clone());
        self.writer.run(move |act| put(act, &change, &audit, now))
    }

    fn is_protected(&self, holder: &HolderName) -> Result<bool, StoreError> {
        let holder = holders::tag(&self.sealer, holder);
        self.readers.read(|connection| {
            Ok(connection
                .prepare_cached(
                    "SELECT 1 FROM protected_person WHERE holder = ?1 OR holder IN \
                         (SELECT person_tag FROM intent WHERE holder_tag = ?1 AND person_tag IS NOT NULL)",
                )?
                .exists([holder.as_bytes()])?)
        })
    }

    fn protected_persons(
        &self,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<ProtectedRow>, StoreError> {
        let after = from_u64(after.unwrap_or(0), "cursor")?;
        let limit = limit.clamp(1, certificates::MOST_ROWS);
        self.readers.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT row, holder, class, since, person FROM protected_person \
                 WHERE row > ?1 ORDER BY row LIMIT ?2",
            )?;
            let mut rows = statement.query(params![after, limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(connection, &self.sealer, row)?);
            }
            Ok(found)
        })
    }

    fn sees_serial(
        &self,
        issuer: IssuerId,
        serial: &SerialNumber,
        protected: Protected,
    ) -> Result<bool, StoreError> {
        self.readers.read(|connection| {
            let hidden = connection
                .prepare_cached(&format!(
                    "SELECT 1 FROM certificate JOIN serial ON serial.row = certificate.serial_row \
                     WHERE serial.issuer = (SELECT row FROM issuer WHERE issuer_id = ?1) \
                         AND serial.serial = ?2 AND NOT ({})",
                    certificate_seen(protected)
                ))?
                .exists(params![issuer.as_bytes(), from_serial(serial)])?;
            Ok(!hidden)
        })
    }
}

/// Holds of an eID that is seen.
pub(super) const fn eid_seen(protected: Protected) -> &'static str {
    match protected {
        Protected::Seen => "1 = 1",
        Protected::Unseen => {
            "NOT EXISTS (SELECT 1 FROM protected_person WHERE protected_person.holder = eid.holder)"
        }
    }
}

/// Holds of a carrier with an eID that is seen, and of one that bears none yet.
pub(super) const fn carrier_seen(protected: Protected) -> &'static str {
    match protected {
        Protected::Seen => "1 = 1",
        Protected::Unseen => {
            "(carrier.stage IS NOT NULL OR EXISTS (SELECT 1 FROM eid WHERE eid.carrier = carrier.row AND NOT EXISTS \
                 (SELECT 1 FROM protected_person WHERE protected_person.holder = eid.holder)))"
        }
    }
}

/// Holds of an order of several steps that is seen: it is for no protected person, and no order has said that its HSA-id is one's.
pub(super) const fn eid_order_seen(protected: Protected) -> &'static str {
    match protected {
        Protected::Seen => "1 = 1",
        Protected::Unseen => {
            "NOT EXISTS (SELECT 1 FROM protected_person \
                 WHERE protected_person.holder = eid_order.person_tag \
                     OR protected_person.holder = eid_order.holder_tag) \
             AND NOT EXISTS (SELECT 1 FROM intent AS said \
                 JOIN protected_person ON protected_person.holder = said.person_tag \
                 WHERE said.holder_tag = eid_order.holder_tag)"
        }
    }
}

/// Holds of a certificate that is seen: it is of no eID of a protected person; neither its order nor its import named one, nor does its
/// subject; and no order has said that the HSA-id in its subject is one's.
pub(super) const fn certificate_seen(protected: Protected) -> &'static str {
    match protected {
        Protected::Seen => "1 = 1",
        Protected::Unseen => {
            "NOT EXISTS (SELECT 1 FROM eid AS whose \
                 JOIN protected_person ON protected_person.holder = whose.holder \
                 WHERE whose.row = certificate.eid) \
             AND NOT EXISTS (SELECT 1 FROM protected_person \
                 WHERE protected_person.holder = certificate.person_tag) \
             AND NOT EXISTS (SELECT 1 FROM intent AS own \
                 JOIN protected_person ON protected_person.holder = own.person_tag \
                     OR protected_person.holder = own.holder_tag \
                 WHERE own.serial_row = certificate.serial_row) \
             AND NOT EXISTS (SELECT 1 FROM intent AS own \
                 JOIN intent AS another ON another.holder_tag = own.holder_tag \
                     AND another.person_tag IS NOT NULL \
                 JOIN protected_person ON protected_person.holder = another.person_tag \
                 WHERE own.serial_row = certificate.serial_row) \
             AND NOT EXISTS (SELECT 1 FROM blind_index AS term \
                 JOIN protected_person ON protected_person.number = term.hmac \
                 WHERE term.certificate = certificate.row AND term.tag = 'personal-number')"
        }
    }
}

fn put(
    act: &mut Act<'_>,
    change: &ProtectionChange,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<Option<UnixTime>, StoreError> {
    let holder = holders::tag(act.sealer(), &change.holder);
    let known: Option<(String, i64)> = act
        .connection()
        .prepare_cached("SELECT class, since FROM protected_person WHERE holder = ?1")?
        .query_row([holder.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let class = change.class.map(ProtectionClass::name);
    if known.as_ref().map(|(class, _)| class.as_str()) == class {
        return known.map(|(_, since)| super::columns::to_time(since)).transpose();
    }
    match class {
        None => {
            act.connection()
                .prepare_cached("DELETE FROM protected_person WHERE holder = ?1")?
                .execute([holder.as_bytes()])?;
        }
        Some(class) => {
            let key = act.data_key(&change.subject)?;
            let person = act.sealer().seal(&key, place(holder.as_bytes()), &change.person)?;
            let number = change.number.as_ref().map(|number| act.sealer().blind(number));
            act.connection()
                .prepare_cached(
                    "INSERT INTO protected_person (holder, number, class, since, person) \
                     VALUES (?1, ?2, ?3, ?4, ?5) \
                     ON CONFLICT (holder) DO UPDATE SET class = excluded.class, \
                         since = excluded.since, person = excluded.person",
                )?
                .execute(params![
                    holder.as_bytes(),
                    number.as_ref().map(BlindIndex::as_bytes),
                    class,
                    from_time(now),
                    person
                ])?;
        }
    }
    act.put_audit(audit, now)?;
    Ok(class.map(|_| now))
}

const fn place(holder: &[u8; 32]) -> Place<'_> {
    Place { table: "protected_person", column: "person", row: holder }
}

fn read(
    connection: &Connection,
    sealer: &Sealer,
    row: Row<'_>,
) -> Result<ProtectedRow, StoreError> {
    let holder: [u8; 32] = array(row, "holder")?;
    let class: String = column(row, "class")?;
    let person: Vec<u8> = column(row, "person")?;
    Ok(ProtectedRow {
        class: stored(class.parse().ok(), "class of protection")?,
        since: time(row, "since")?,
        person: seals::open(connection, sealer, place(&holder), &person)?,
        cursor: to_u64(column(row, "row")?, "cursor")?,
    })
}
