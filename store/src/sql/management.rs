//! Certificates of the management plane: recorded before and after they are signed.

use super::connection::{Connection, OptionalExtension as _, Row};
use rusqlite::params;
use x509::key::SpkiHash;
use x509::signing::{Intent, IntentId};
use x509::time::UnixTime;

use super::columns::{array, column, from_serial, from_time, time, to_serial};
use super::group::Act;
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::{BootId, Node, OrderId};
use crate::management::{
    ManagementCertificate, ManagementHolder, ManagementIntent, ManagementScope,
    OpenManagementIntent,
};
use crate::sealing::{Place, Subject};

/// An intent to sign a management certificate, owned by the act.
pub(super) struct NewManagement {
    pub(super) intent: Intent,
    /// The to-be-signed bytes.
    pub(super) bytes: Vec<u8>,
    pub(super) facts: ManagementIntent,
}

pub(super) fn record(
    act: &mut Act<'_>,
    new: &NewManagement,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let facts = &new.facts;
    act.refuse_late_clock(now)?;
    let order =
        facts.order.map(|order| running_order(act.connection(), order, facts)).transpose()?;
    must_be_new(act.connection(), &facts.key)?;
    let key = act.data_key(&Subject::Deployment)?;
    let id = new.intent.id();
    let place =
        Place { table: "management_certificate", column: "to_be_signed", row: id.as_bytes() };
    let sealed = act.sealer().seal(&key, place, &new.bytes)?;
    let (role, pinned) = match &facts.holder {
        ManagementHolder::Client { pinned } => ("client", Some(pinned.as_bytes())),
        ManagementHolder::Server => ("server", None),
    };
    let inserted = act
        .connection()
        .prepare_cached(
            "INSERT INTO management_certificate (intent_id, order_row, role, name, pinned, serial, \
                 spki_sha256, not_after, algorithm, digest, to_be_signed, node, boot, state, created) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, 'open', ?14)",
        )?
        .execute(params![
            id.as_bytes(),
            order,
            role,
            facts.name,
            pinned,
            from_serial(&facts.serial),
            facts.key.as_bytes(),
            from_time(facts.not_after),
            new.intent.algorithm().name(),
            new.intent.digest(),
            sealed,
            facts.node.name,
            facts.node.boot.as_bytes(),
            from_time(now),
        ]);
    match (inserted, facts.order) {
        (Err(error), Some(order)) if error.is_unique_on("management_certificate.order_row") => {
            return Err(StoreError::OrderFulfilled { order });
        }
        (Err(error), _) if error.is_unique_on("management_certificate.serial") => {
            return Err(StoreError::SerialTaken);
        }
        (other, _) => other?,
    };
    act.put_audit(audit, now).map(|_| ())
}

/// One key names one client or server, once (architecture §2.6).
fn must_be_new(connection: &Connection, key: &SpkiHash) -> Result<(), StoreError> {
    let known: bool = connection
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM management_certificate \
             WHERE spki_sha256 = ?1 AND state = 'issued')",
        )?
        .query_row([key.as_bytes()], |row| row.get(0))?;
    if known { Err(StoreError::Pinned) } else { Ok(()) }
}

fn running_order(
    connection: &Connection,
    order: OrderId,
    facts: &ManagementIntent,
) -> Result<i64, StoreError> {
    let found: Option<(i64, String, String, [u8; 16])> = connection
        .prepare_cached("SELECT row, state, node, boot FROM orders WHERE order_id = ?1")?
        .query_row([order.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
        })
        .optional()?;
    let (row, state, node, boot) = found.ok_or(StoreError::UnknownOrder { order })?;
    let held = node == facts.node.name && boot == *facts.node.boot.as_bytes();
    if state == "running" && held { Ok(row) } else { Err(StoreError::OrderState { order }) }
}

/// A management certificate that has just been signed, owned by the act.
pub(super) struct SignedManagement {
    pub(super) intent: Intent,
    pub(super) der: Vec<u8>,
}

pub(super) fn issue(
    act: &mut Act<'_>,
    new: &SignedManagement,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<ManagementCertificate, StoreError> {
    let id = new.intent.id();
    let found: Option<(String, [u8; 32], [u8; 32])> = act
        .connection()
        .prepare_cached(
            "SELECT state, digest, spki_sha256 FROM management_certificate WHERE intent_id = ?1",
        )?
        .query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (state, digest, key) = found.ok_or(StoreError::UnknownIntent)?;
    match state.as_str() {
        "open" => {}
        "issued" => return Err(StoreError::IntentFulfilled),
        _ => return Err(StoreError::IntentVoided),
    }
    if digest != *new.intent.digest() {
        return Err(StoreError::OtherBytes);
    }
    must_be_new(act.connection(), &SpkiHash::from_bytes(key))?;
    act.connection()
        .prepare_cached(
            "UPDATE management_certificate SET state = 'issued', issued = ?2, der = ?3 \
             WHERE intent_id = ?1",
        )?
        .execute(params![id.as_bytes(), from_time(now), new.der])?;
    act.put_audit(audit, now)?;
    one(act.connection(), id)
}

const ISSUED: &str = "SELECT management_certificate.*, orders.order_id FROM management_certificate \
     LEFT JOIN orders ON orders.row = management_certificate.order_row \
     WHERE management_certificate.state = 'issued'";

const OPEN: &str = "SELECT management_certificate.*, orders.order_id FROM management_certificate \
     LEFT JOIN orders ON orders.row = management_certificate.order_row \
     WHERE management_certificate.state = 'open'";

fn one(connection: &Connection, id: IntentId) -> Result<ManagementCertificate, StoreError> {
    let mut statement = connection.prepare_cached(&format!("{ISSUED} AND intent_id = ?1"))?;
    let mut rows = statement.query([id.as_bytes()])?;
    rows.next()?.map(read).transpose()?.ok_or(StoreError::UnknownIntent)
}

/// All that were issued, oldest first.
pub(super) fn all(connection: &Connection) -> Result<Vec<ManagementCertificate>, StoreError> {
    let sql = format!("{ISSUED} ORDER BY management_certificate.row");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn read(row: Row<'_>) -> Result<ManagementCertificate, StoreError> {
    let holder = match column::<String>(row, "role")?.as_str() {
        "client" => {
            ManagementHolder::Client { pinned: SpkiHash::from_bytes(array(row, "pinned")?) }
        }
        "server" => ManagementHolder::Server,
        _ => return Err(StoreError::Stored { what: "management role" }),
    };
    let order: Option<[u8; 16]> = column(row, "order_id")?;
    Ok(ManagementCertificate {
        intent: IntentId::from_bytes(array(row, "intent_id")?),
        order: order.map(OrderId::from_bytes),
        holder,
        name: column(row, "name")?,
        serial: to_serial(&column::<Vec<u8>>(row, "serial")?)?,
        key: SpkiHash::from_bytes(array(row, "spki_sha256")?),
        not_after: time(row, "not_after")?,
        issued: time(row, "issued")?,
        der: column(row, "der")?,
    })
}

/// The open intents of the scope, oldest first.
pub(super) fn open(
    connection: &Connection,
    scope: &ManagementScope,
) -> Result<Vec<OpenManagementIntent>, StoreError> {
    let condition = match scope {
        ManagementScope::EarlierBoots(_) => {
            "management_certificate.node = ?1 AND management_certificate.boot <> ?2"
        }
        ManagementScope::Order(_) => "orders.order_id = ?1 AND CAST(?2 AS BIGINT) IS NULL",
        ManagementScope::Intent(_) => {
            "management_certificate.intent_id = ?1 AND CAST(?2 AS BIGINT) IS NULL"
        }
    };
    let sql = format!("{OPEN} AND {condition} ORDER BY management_certificate.row");
    let mut statement = connection.prepare_cached(&sql)?;
    let none: Option<&[u8]> = None;
    let mut rows = match scope {
        ManagementScope::EarlierBoots(node) => {
            statement.query(params![node.name, node.boot.as_bytes()])?
        }
        ManagementScope::Order(order) => statement.query(params![order.as_bytes(), none])?,
        ManagementScope::Intent(id) => statement.query(params![id.as_bytes(), none])?,
    };
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let order: Option<[u8; 16]> = column(row, "order_id")?;
        found.push(OpenManagementIntent {
            intent: IntentId::from_bytes(array(row, "intent_id")?),
            order: order.map(OrderId::from_bytes),
            name: column(row, "name")?,
            serial: to_serial(&column::<Vec<u8>>(row, "serial")?)?,
            key: SpkiHash::from_bytes(array(row, "spki_sha256")?),
            node: Node {
                name: column(row, "node")?,
                boot: BootId::from_bytes(array(row, "boot")?),
            },
        });
    }
    Ok(found)
}

/// Gives up those of `intents` that are still open, each with its audit leaf; returns how many.
pub(super) fn void(
    act: &mut Act<'_>,
    intents: &[(IntentId, AuditRecord)],
    now: UnixTime,
) -> Result<u64, StoreError> {
    let mut voided = 0;
    for (id, audit) in intents {
        let changed = act
            .connection()
            .prepare_cached(
                "UPDATE management_certificate SET state = 'voided' \
                 WHERE intent_id = ?1 AND state = 'open'",
            )?
            .execute([id.as_bytes()])?;
        if changed == 1 {
            act.put_audit(audit, now)?;
            voided += 1;
        }
    }
    Ok(voided)
}
