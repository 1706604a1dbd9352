//! Orders: who works on which, and what they were answered.

use super::connection::{Connection, OptionalExtension as _, Row};
use rusqlite::params;
use x509::signing::IntentId;
use x509::time::UnixTime;

use super::columns::{array, column, from_time, stored, time};
use super::group::Act;
use super::shared_texts::{self, Cut};
use super::{intents, leases};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::id::{BootId, CertificateId, Node, OrderId};
use crate::lease::LeaseName;
use crate::order::{
    BegunOrder, HeldOrder, NewOrder, OrderAnswer, OrderKey, OrderProgress, OrderRow, OrderState,
    StoredResponse,
};
use crate::ordered::OrderStanding;
use crate::sealing::{Place, Sealer};

pub(super) fn begin(
    act: &mut Act<'_>,
    order: &NewOrder,
    now: UnixTime,
) -> Result<BegunOrder, StoreError> {
    Ok(match take(act, order, now)? {
        Taken::New(_) => BegunOrder::New,
        Taken::Found(found) => found,
    })
}

/// What taking an order came to.
pub(super) enum Taken {
    /// The key was unknown; the order's row.
    New(i64),
    /// The key was known.
    Found(BegunOrder),
}

/// Finds or makes the order of a key and gives it to the caller's node.
pub(super) fn take(
    act: &mut Act<'_>,
    order: &NewOrder,
    now: UnixTime,
) -> Result<Taken, StoreError> {
    leases::must_have_its_name(act.connection(), &order.node)?;
    let Some(found) = by_key(act.connection(), &order.key)? else {
        return insert(act, order, now).map(Taken::New);
    };
    if let Some(told) = told(act.connection(), act.sealer(), &found, order, now)? {
        return Ok(Taken::Found(told));
    }
    act.connection()
        .prepare_cached(
            "UPDATE orders SET state = 'running', node = ?2, boot = ?3, updated = ?4, turn = ?5 \
             WHERE row = ?1",
        )?
        .execute(params![
            found.row,
            order.node.name,
            order.node.boot.as_bytes(),
            from_time(now),
            found.turn.saturating_add(1),
        ])?;
    let progress = progress(act.connection(), &found)?;
    Ok(Taken::Found(BegunOrder::Resume(progress)))
}

/// How the key of an order stands, without taking anything.
pub(super) fn standing(
    connection: &Connection,
    sealer: &Sealer,
    order: &NewOrder,
    now: UnixTime,
) -> Result<OrderStanding, StoreError> {
    let Some(found) = by_key(connection, &order.key)? else { return Ok(OrderStanding::Unknown) };
    let told = told(connection, sealer, &found, order, now)?;
    Ok(told.map_or(OrderStanding::Open, OrderStanding::Told))
}

/// What a call is told of an order that it cannot go on with.
fn told(
    connection: &Connection,
    sealer: &Sealer,
    found: &Found,
    order: &NewOrder,
    now: UnixTime,
) -> Result<Option<BegunOrder>, StoreError> {
    if found.body_sha256 != order.body_sha256 {
        return Ok(Some(BegunOrder::BodyDiffers { order: found.id }));
    }
    Ok(match found.state {
        OrderState::Done => {
            let response = stored(response(connection, sealer, found.row, found.id)?, "response")?;
            Some(BegunOrder::Replay { order: found.id, response })
        }
        OrderState::Running if still_running(connection, &found.node, &order.node, now)? => {
            Some(BegunOrder::Running { order: found.id })
        }
        OrderState::Running | OrderState::Open => None,
    })
}

/// Whether the program that took the order may still be at work on it.
fn still_running(
    connection: &Connection,
    holder: &Node,
    caller: &Node,
    now: UnixTime,
) -> Result<bool, StoreError> {
    if holder.name == caller.name {
        // Another start of the same node means that the one that had it is gone.
        return Ok(holder.boot == caller.boot);
    }
    leases::is_held(connection, &LeaseName::Node(holder.name.clone()), holder, now)
}

fn insert(act: &Act<'_>, order: &NewOrder, now: UnixTime) -> Result<i64, StoreError> {
    let row: i64 = act.connection().insert_new(
        "INSERT INTO orders (order_id, client, method, path, key, body_sha256, state, node, \
                 boot, created, updated) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', ?7, ?8, ?9, ?9) RETURNING row",
        params![
            order.id.as_bytes(),
            order.key.client,
            order.key.method,
            order.key.path,
            order.key.key,
            order.body_sha256,
            order.node.name,
            order.node.boot.as_bytes(),
            from_time(now),
        ],
    )?;
    let key = act.data_key(&order.subject)?;
    let sealed = act.sealer().seal(&key, body_place(order.id.as_bytes()), &order.body)?;
    act.connection()
        .prepare_cached("INSERT INTO order_body (order_row, sealed) VALUES (?1, ?2)")?
        .execute(params![row, sealed])?;
    Ok(row)
}

/// Who ends an order or leaves it.
#[derive(Clone, Copy)]
pub(super) enum Holder<'a> {
    /// The call that has it in this turn, on this node.
    Call(HeldOrder, &'a Node),
    /// Who fulfils its open intent, on this node. An order has one, and whoever takes the order over voids it first.
    Intent(OrderId, &'a Node),
}

pub(super) fn finish(
    act: &mut Act<'_>,
    holder: Holder<'_>,
    answer: &OrderAnswer,
    now: UnixTime,
) -> Result<(), StoreError> {
    let (Holder::Call(HeldOrder { id: order, .. }, _) | Holder::Intent(order, _)) = holder;
    let row = leave_running(act, holder, "done", now)?;
    let key = act.data_key(&answer.subject)?;
    let StoredResponse { status, content_type, body } = &answer.response;
    let Cut { rest, cuts, bound } = shared_texts::cut(act.connection(), body, &answer.shared)?;
    let named = [&order.as_bytes()[..], &bound].concat();
    let sealed = act.sealer().seal(&key, response_place(&named), &rest)?;
    act.connection()
        .prepare_cached(
            "INSERT INTO order_response (order_row, status, content_type, sealed, cuts) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![row, status, content_type, sealed, cuts])?;
    Ok(())
}

pub(super) fn leave(
    act: &mut Act<'_>,
    order: HeldOrder,
    holder: &Node,
    now: UnixTime,
) -> Result<(), StoreError> {
    leave_running(act, Holder::Call(order, holder), "open", now).map(|_| ())
}

pub(super) fn refuse(
    act: &mut Act<'_>,
    order: HeldOrder,
    holder: &Node,
    answer: &OrderAnswer,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    finish(act, Holder::Call(order, holder), answer, now)?;
    act.put_audit(audit, now).map(|_| ())
}

/// Takes an order from its holder into its next state: only from him, and only while he has it. A
/// late finisher must not end an order that somebody else works on by now.
fn leave_running(
    act: &Act<'_>,
    holder: Holder<'_>,
    state: &'static str,
    now: UnixTime,
) -> Result<i64, StoreError> {
    let (order, turn, node) = match holder {
        Holder::Call(held, node) => (held.id, Some(held.turn), node),
        Holder::Intent(order, node) => (order, None, node),
    };
    let row: i64 = act
        .connection()
        .prepare_cached("SELECT row FROM orders WHERE order_id = ?1")?
        .query_row([order.as_bytes()], |row| row.get(0))
        .optional()?
        .ok_or(StoreError::UnknownOrder { order })?;
    let changed = act
        .connection()
        .prepare_cached(
            "UPDATE orders SET state = ?2, updated = ?3 \
             WHERE row = ?1 AND state = 'running' AND node = ?4 AND boot = ?5 \
                 AND turn = coalesce(?6, turn)",
        )?
        .execute(params![row, state, from_time(now), node.name, node.boot.as_bytes(), turn])?;
    if changed == 1 { Ok(row) } else { Err(StoreError::OrderState { order }) }
}

pub(super) fn show(
    connection: &Connection,
    order: OrderId,
) -> Result<Option<OrderRow>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM orders WHERE order_id = ?1")?;
    let mut rows = statement.query([order.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let found = Found::read(row)?;
    let key = OrderKey {
        client: column(row, "client")?,
        method: column(row, "method")?,
        path: column(row, "path")?,
        key: column(row, "key")?,
    };
    Ok(Some(OrderRow {
        id: order,
        key,
        state: found.state,
        created: time(row, "created")?,
        updated: time(row, "updated")?,
        certificate: certificate(connection, found.row)?,
    }))
}

/// An order's row, as far as deciding needs it.
struct Found {
    row: i64,
    id: OrderId,
    body_sha256: [u8; 32],
    state: OrderState,
    node: Node,
    turn: u32,
}

impl Found {
    fn read(row: Row<'_>) -> Result<Self, StoreError> {
        let state = match column::<String>(row, "state")?.as_str() {
            "running" => OrderState::Running,
            "open" => OrderState::Open,
            "done" => OrderState::Done,
            _ => return Err(StoreError::Stored { what: "order state" }),
        };
        Ok(Self {
            row: column(row, "row")?,
            id: OrderId::from_bytes(array(row, "order_id")?),
            body_sha256: array(row, "body_sha256")?,
            state,
            node: Node {
                name: column(row, "node")?,
                boot: BootId::from_bytes(array(row, "boot")?),
            },
            turn: column(row, "turn")?,
        })
    }
}

fn by_key(connection: &Connection, key: &OrderKey) -> Result<Option<Found>, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT * FROM orders WHERE client = ?1 AND method = ?2 AND path = ?3 AND key = ?4",
    )?;
    let mut rows = statement.query([&key.client, &key.method, &key.path, &key.key])?;
    rows.next()?.map(Found::read).transpose()
}

/// How far the order has come that was found so and is taken up once more.
fn progress(connection: &Connection, found: &Found) -> Result<OrderProgress, StoreError> {
    let open: Option<[u8; 16]> = connection
        .prepare_cached("SELECT intent_id FROM intent WHERE order_row = ?1 AND state = 'open'")?
        .query_row([found.row], |row| row.get(0))
        .optional()?;
    Ok(OrderProgress {
        order: found.id,
        turn: found.turn.saturating_add(1),
        certificate: certificate(connection, found.row)?,
        open_intent: open.map(IntentId::from_bytes),
        lost: intents::lost(connection, found.row)?,
    })
}

fn certificate(connection: &Connection, order: i64) -> Result<Option<CertificateId>, StoreError> {
    let id: Option<[u8; 16]> = connection
        .prepare_cached("SELECT certificate_id FROM certificate WHERE order_row = ?1")?
        .query_row([order], |row| row.get(0))
        .optional()?;
    Ok(id.map(CertificateId::from_bytes))
}

fn response(
    connection: &Connection,
    sealer: &Sealer,
    row: i64,
    id: OrderId,
) -> Result<Option<StoredResponse>, StoreError> {
    let found: Option<(StoredResponse, Option<Vec<u8>>)> = connection
        .prepare_cached(
            "SELECT status, content_type, sealed, cuts FROM order_response WHERE order_row = ?1",
        )?
        .query_row([row], |row| {
            let (status, content_type, body) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((StoredResponse { status, content_type, body }, row.get(3)?))
        })
        .optional()?;
    let Some((mut response, cuts)) = found else { return Ok(None) };
    let shared = shared_texts::read(connection, cuts.as_deref().unwrap_or_default())?;
    let named = [&id.as_bytes()[..], &shared.bound].concat();
    let place = response_place(&named);
    response.body = match super::seals::open(connection, sealer, place, &response.body)? {
        Some(rest) => shared.put_back(&rest)?,
        // A forgotten subject's answer cannot be shown again; its status still can.
        None => Vec::new(),
    };
    Ok(Some(response))
}

pub(super) const fn body_place(order: &[u8; 16]) -> Place<'_> {
    Place { table: "order_body", column: "sealed", row: order }
}

/// `named`: the order's id, and each text that was taken out, as [`Cut::bound`] has them.
const fn response_place(named: &[u8]) -> Place<'_> {
    Place { table: "order_response", column: "sealed", row: named }
}
