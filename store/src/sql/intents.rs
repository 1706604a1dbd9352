//! Intents to sign certificates: recorded, fulfilled, or voided.

use super::connection::{Connection, OptionalExtension as _, Row};
use rusqlite::params;
use status::Change;
use x509::serial::SerialNumber;
use x509::signing::{Intent, IntentId, SigningKind};
use x509::time::UnixTime;

use super::columns::{
    array, column, from_after, from_before, from_serial, from_time, opt_time, stored, time,
    to_serial,
};
use super::group::{Act, Effective};
use super::issuers::{ended_row_of, issuing_row_of};
use super::{eid_orders, eids, holders, leases, limits, shards};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::certificate::{CertificateIntent, IssuedWhen};
use crate::eid_order::METHOD;
use crate::id::{BootId, CertificateId, Node, OrderId};
use crate::intent::{IntentRow, IntentState, VoidedCertificate, VoidedIntent};
use crate::sealing::{BlindIndex, Place};

/// An intent to sign a certificate, owned by the act.
pub(super) struct NewIntent {
    pub(super) intent: Intent,
    /// The to-be-signed bytes.
    pub(super) bytes: Vec<u8>,
    pub(super) facts: CertificateIntent,
}

pub(super) fn record(
    act: &mut Act<'_>,
    new: &NewIntent,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    leases::must_have_its_name(act.connection(), &new.facts.node)?;
    let order = running_order(act.connection(), &new.facts)?;
    // Before anything else refuses: that its certificate was lost is what its caller must know.
    if let lost @ StoreError::CertificateLost { .. } =
        fulfilled(act.connection(), order, new.facts.order)?
    {
        return Err(lost);
    }
    record_under(act, order, new, audit, now)
}

/// As [`record`], under the row of an order that runs on the intent's node.
pub(super) fn record_under(
    act: &mut Act<'_>,
    order: i64,
    new: &NewIntent,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let facts = &new.facts;
    act.refuse_late_clock(now)?;
    if let Some(volume) = &facts.volume {
        limits::count(act.connection(), volume, order, now)?;
    }
    let issuer = match facts.issued {
        IssuedWhen::BeforeItsEnd => issuing_row_of(act.connection(), &facts.issuer)?,
        IssuedWhen::AfterItsEnd => ended_row_of(act.connection(), &facts.issuer)?,
    };
    let holder = holders::claim(act, &facts.key)?;
    eids::must_be_active(act.connection(), facts.proven_by, now)?;
    let serial = reserve(act, issuer, facts)?;
    let key = act.data_key(&facts.subject)?;
    let inserted: Option<i64> = act.connection().insert(
        "INSERT INTO intent (intent_id, kind, issuer, order_row, certificate_id, serial_row, \
                 algorithm, digest, node, boot, state, created, failed_tries, data_key, \
                 subject_spki, holder_tag, person_tag) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 'open', ?11, 0, ?12, ?13, ?14, \
                 ?15) \
             ON CONFLICT (order_row) WHERE order_row IS NOT NULL AND state <> 'voided' DO NOTHING \
             RETURNING row",
        params![
            new.intent.id().as_bytes(),
            new.intent.kind().name(),
            issuer,
            order,
            facts.certificate.as_bytes(),
            serial,
            new.intent.algorithm().name(),
            new.intent.digest(),
            facts.node.name,
            facts.node.boot.as_bytes(),
            from_time(now),
            key.number,
            facts.key.spki.as_bytes(),
            holder.subject.as_bytes(),
            holder.person.as_ref().map(BlindIndex::as_bytes),
        ],
    )?;
    let Some(row) = inserted else {
        return Err(fulfilled(act.connection(), order, facts.order)?);
    };
    let id = new.intent.id();
    let place = Place { table: "intent_bytes", column: "sealed", row: id.as_bytes() };
    let sealed = act.sealer().seal(&key, place, &new.bytes)?;
    act.connection()
        .prepare_cached("INSERT INTO intent_bytes (intent, sealed) VALUES (?1, ?2)")?
        .execute(params![row, sealed])?;
    act.put_audit(audit, now).map(|_| ())
}

/// Why an order gets no other intent: it has a certificate or may still get one, or had one that was lost.
fn fulfilled(connection: &Connection, row: i64, order: OrderId) -> Result<StoreError, StoreError> {
    Ok(match lost(connection, row)? {
        Some(serial) => StoreError::CertificateLost { order, serial },
        None => StoreError::OrderFulfilled { order },
    })
}

/// The certificate that an order had, and that was lost when the database was put back from a backup made
/// between intent and certificate.
pub(super) fn lost(connection: &Connection, row: i64) -> Result<Option<SerialNumber>, StoreError> {
    let lost: Option<Vec<u8>> = connection
        .prepare_cached(
            "SELECT serial.serial FROM intent JOIN serial ON serial.row = intent.serial_row \
             WHERE intent.order_row = ?1 AND intent.state = 'fulfilled' \
                 AND NOT EXISTS (SELECT 1 FROM certificate WHERE order_row = ?1)",
        )?
        .query_row([row], |row| row.get(0))
        .optional()?;
    lost.as_deref().map(to_serial).transpose()
}

fn running_order(connection: &Connection, facts: &CertificateIntent) -> Result<i64, StoreError> {
    let order = facts.order;
    let found: Option<(i64, String, String, [u8; 16], String, String)> = connection
        .prepare_cached(
            "SELECT row, state, node, boot, method, path FROM orders WHERE order_id = ?1",
        )?
        .query_row([order.as_bytes()], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })
        .optional()?;
    let (row, state, node, boot, method, path) = found.ok_or(StoreError::UnknownOrder { order })?;
    if method == METHOD {
        eid_orders::must_take_certificates(connection, &path)?;
    }
    let holder = Node { name: node, boot: BootId::from_bytes(boot) };
    if state == "running" && holder == facts.node {
        Ok(row)
    } else {
        Err(StoreError::OrderState { order })
    }
}

/// Takes the serial number for ever (ISS-03).
fn reserve(act: &Act<'_>, issuer: i64, facts: &CertificateIntent) -> Result<i64, StoreError> {
    let shard = facts
        .shard
        .map(|number| shards::row_to_be_put_into(act.connection(), issuer, number))
        .transpose()?;
    let inserted = act.connection().insert_new(
        "INSERT INTO serial (issuer, serial, state, effective, not_after, before_activation, \
                 after_expiry, listed, shard) VALUES (?1, ?2, 'reserved', 0, ?3, ?4, ?5, 0, ?6) \
             RETURNING row",
        params![
            issuer,
            from_serial(&facts.serial),
            from_time(facts.not_after),
            from_before(facts.answers.before_activation),
            from_after(facts.answers.after_expiry),
            shard,
        ],
    );
    match inserted {
        Err(error) if error.is_unique_on("serial.serial") => Err(StoreError::SerialTaken),
        other => Ok(other?),
    }
}

/// An open intent as the acts that end it need it.
pub(super) struct OpenIntent {
    pub(super) row: i64,
    pub(super) shown: IntentRow,
    pub(super) order_row: Option<i64>,
    pub(super) serial_row: Option<i64>,
    pub(super) failing_since: Option<UnixTime>,
    /// Nobody works on its order any more.
    pub(super) left: bool,
}

const COLUMNS: &str = "SELECT intent.*, orders.order_id, orders.state AS order_state FROM intent \
     LEFT JOIN orders ON orders.row = intent.order_row";

fn read(row: Row<'_>) -> Result<OpenIntent, StoreError> {
    let kind = match column::<String>(row, "kind")?.as_str() {
        "certificate" => SigningKind::Certificate,
        "crl" => SigningKind::Crl,
        "ocsp-delegate" => SigningKind::OcspDelegate,
        _ => return Err(StoreError::Stored { what: "signing kind" }),
    };
    let state = match column::<String>(row, "state")?.as_str() {
        "open" => IntentState::Open,
        "fulfilled" => IntentState::Fulfilled,
        "voided" => IntentState::Voided,
        _ => return Err(StoreError::Stored { what: "intent state" }),
    };
    let order: Option<[u8; 16]> = column(row, "order_id")?;
    let certificate: Option<[u8; 16]> = column(row, "certificate_id")?;
    Ok(OpenIntent {
        row: column(row, "row")?,
        order_row: column(row, "order_row")?,
        serial_row: column(row, "serial_row")?,
        failing_since: opt_time(row, "first_failure")?,
        left: column::<Option<String>>(row, "order_state")?.as_deref() == Some("open"),
        shown: IntentRow {
            id: IntentId::from_bytes(array(row, "intent_id")?),
            kind,
            order: order.map(OrderId::from_bytes),
            certificate: certificate.map(CertificateId::from_bytes),
            digest: array(row, "digest")?,
            node: Node {
                name: column(row, "node")?,
                boot: BootId::from_bytes(array(row, "boot")?),
            },
            state,
            created: time(row, "created")?,
        },
    })
}

/// All open intents, oldest first.
pub(super) fn open(connection: &Connection) -> Result<Vec<OpenIntent>, StoreError> {
    let sql = format!("{COLUMNS} WHERE intent.state = 'open' ORDER BY intent.row");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The intent, if it is open; else why not.
pub(super) fn must_be_open(
    connection: &Connection,
    id: IntentId,
) -> Result<OpenIntent, StoreError> {
    let sql = format!("{COLUMNS} WHERE intent.intent_id = ?1");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id.as_bytes()])?;
    let found = rows.next()?.map(read).transpose()?.ok_or(StoreError::UnknownIntent)?;
    match found.shown.state {
        IntentState::Open => Ok(found),
        IntentState::Fulfilled => Err(StoreError::IntentFulfilled),
        IntentState::Voided => Err(StoreError::IntentVoided),
    }
}

/// Ends an open intent.
pub(super) fn close(act: &Act<'_>, intent: i64, state: &'static str) -> Result<(), StoreError> {
    act.connection()
        .prepare_cached("UPDATE intent SET state = ?2 WHERE row = ?1")?
        .execute(params![intent, state])?;
    Ok(())
}

pub(super) fn fail(
    act: &mut Act<'_>,
    id: IntentId,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let intent = must_be_open(act.connection(), id)?;
    act.connection()
        .prepare_cached(
            "UPDATE intent SET failed_tries = failed_tries + 1, \
                 first_failure = coalesce(first_failure, ?2) WHERE row = ?1",
        )?
        .execute(params![intent.row, from_time(now)])?;
    act.put_audit(audit, now).map(|_| ())
}

/// What becomes of the orders of voided intents.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Orders {
    /// Nobody works on them any more: they are opened.
    Open,
    /// The caller works on the order and goes on with it.
    Keep,
}

/// Voids those of `intents` that are still open, each with its audit record.
pub(super) fn void(
    act: &mut Act<'_>,
    intents: &[(IntentId, AuditRecord)],
    orders: Orders,
    now: UnixTime,
) -> Result<Vec<VoidedIntent>, StoreError> {
    let mut voided = Vec::with_capacity(intents.len());
    for (id, audit) in intents {
        let intent = match must_be_open(act.connection(), *id) {
            Err(StoreError::IntentFulfilled | StoreError::IntentVoided) => continue,
            found => found?,
        };
        let certificate = match intent.serial_row {
            Some(serial) => Some(void_certificate(act, &intent, serial, orders, now)?),
            None => {
                super::crls::give_up(act, intent.row)?;
                None
            }
        };
        close(act, intent.row, "voided")?;
        act.put_audit(audit, now)?;
        voided.push(VoidedIntent { intent: *id, certificate });
    }
    Ok(voided)
}

fn void_certificate(
    act: &mut Act<'_>,
    intent: &OpenIntent,
    serial_row: i64,
    orders: Orders,
    now: UnixTime,
) -> Result<VoidedCertificate, StoreError> {
    let serial = stored(act.serial("serial.row = ?1", [serial_row])?, "serial")?;
    let issuer: [u8; 32] = act
        .connection()
        .prepare_cached(
            "SELECT issuer.issuer_id FROM serial \
             JOIN issuer ON issuer.row = serial.issuer WHERE serial.row = ?1",
        )?
        .query_row([serial_row], |row| row.get(0))?;
    let change = Change::Voided { not_after: serial.not_after };
    let (_, position, _) = act.put_change(&serial, change, Effective::Logged, None, now)?;
    if orders == Orders::Open {
        open_order(act, intent, now)?;
    }
    Ok(VoidedCertificate {
        id: stored(intent.shown.certificate, "certificate id")?,
        order: stored(intent.shown.order, "order id")?,
        issuer: status::IssuerId::from_bytes(issuer),
        serial: serial.serial,
        position,
    })
}

/// The order stays open: the same key goes on and yields another serial number.
fn open_order(act: &Act<'_>, intent: &OpenIntent, now: UnixTime) -> Result<(), StoreError> {
    act.connection()
        .prepare_cached(
            "UPDATE orders SET state = 'open', updated = ?2 WHERE row = ?1 AND state = 'running' \
                 AND (node, boot) = (?3, ?4)",
        )?
        .execute(params![
            intent.order_row,
            from_time(now),
            intent.shown.node.name,
            intent.shown.node.boot.as_bytes()
        ])?;
    Ok(())
}
