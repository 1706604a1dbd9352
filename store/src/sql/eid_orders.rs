//! Orders of several steps: each step is one act, with what it does to certificates.

use ca::key_holder::HolderName;
use ca::life::{Named as _, OrderAct, OrderStage, Stage as _};
use ca::routine::TermKind;
use rusqlite::params;
use rusqlite::types::Value;
use status::{CertificateState, IssuerId};
use x509::serial::SerialNumber;
use x509::time::UnixTime;

use super::columns::{
    STATUS_COLUMNS, array, column, from_time, from_u64, opt_time, status_row, stored, time,
    to_serial, to_u64,
};
use super::connection::{Connection, OptionalExtension as _, Row};
use super::group::Act;
use super::{Backend, SqlStore, certificates, changes, holders, jobs, protection, replaced, seals};
use crate::StoreError;
use crate::certificate::{CertificateRow, ChangeOutcome, StatusAct, StatusChange, StatusTarget};
use crate::eid_order::{
    ChangedOf, EidOrder, EidOrderAudit, EidOrderChange, EidOrderChanged, EidOrderFault,
    EidOrderFilter, EidOrderPage, EidOrderRow, EidOrderStep, EidOrders, certificate_key,
};
use crate::id::{CertificateId, OrderId};
use crate::order::OrderKey;
use crate::sealing::{Place, Sealer};

impl<B: Backend> EidOrders for SqlStore<B> {
    fn take_eid_order_step(
        &self,
        change: &EidOrderChange,
        audit: EidOrderAudit,
        now: UnixTime,
    ) -> Result<Vec<EidOrderChanged>, StoreError> {
        let change = change.clone();
        self.writer.run(move |act| take(act, &change, audit, now))
    }

    fn eid_order(&self, order: OrderId) -> Result<Option<EidOrder>, StoreError> {
        self.readers.read(|connection| show(connection, &self.sealer, order))
    }

    fn eid_order_certificates(&self, order: OrderId) -> Result<Vec<CertificateRow>, StoreError> {
        self.readers.read(|connection| made_for(connection, order))
    }

    fn parked_orders(&self) -> Result<u64, StoreError> {
        self.readers.read(|connection| {
            let count: i64 = connection
                .prepare_cached("SELECT count(*) FROM eid_order WHERE parked IS NOT NULL")?
                .query_row([], |row| row.get(0))?;
            to_u64(count, "count")
        })
    }

    fn strike_replaced(
        &self,
        order: OrderId,
        audit: EidOrderAudit,
        now: UnixTime,
    ) -> Result<Vec<EidOrderChanged>, StoreError> {
        self.writer.run(move |act| replaced::strike_due(act, order, audit, now))
    }

    fn eid_orders(
        &self,
        filter: &EidOrderFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<EidOrderPage, StoreError> {
        self.readers.read(|connection| list(connection, filter, after, limit))
    }
}

/// Certificates of an order, by client, method and path of the orders that made them.
const MADE_FOR: &str = "certificate.order_row IN (SELECT made.row FROM orders AS made \
     WHERE made.client = ?1 AND made.method = ?2 AND made.path = ?3)";

pub(super) fn made_for(
    connection: &Connection,
    order: OrderId,
) -> Result<Vec<CertificateRow>, StoreError> {
    let sql = format!("{} ORDER BY certificate.row", certificates::select("", MADE_FOR));
    let mut statement = connection.prepare_cached(&sql)?;
    let OrderKey { client, method, path, .. } = certificate_key(order, "");
    let mut rows = statement.query(params![client, method, path])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(certificates::read(row)?);
    }
    Ok(found)
}

const fn place(call: &[u8; 16]) -> Place<'_> {
    Place { table: "eid_order_step", column: "sealed", row: call }
}

fn take(
    act: &mut Act<'_>,
    change: &EidOrderChange,
    audit: EidOrderAudit,
    now: UnixTime,
) -> Result<Vec<EidOrderChanged>, StoreError> {
    let taken: Option<i64> = act
        .connection()
        .prepare_cached("SELECT row FROM eid_order_step WHERE call = ?1")?
        .query_row([change.call.as_bytes()], |row| row.get(0))
        .optional()?;
    if taken.is_some() {
        return Ok(Vec::new());
    }
    let row = if change.rests_on == 0 {
        make(act, change, now)?
    } else {
        move_on(act.connection(), change, now)?
    };
    if change.act == OrderAct::Deliver {
        must_be_usable(act.connection(), change.order, now)?;
    }
    let mut changed = match change.status {
        Some(status) => change_all(act, change, status, now)?,
        None => Vec::new(),
    };
    if let Some(strike) = &change.strike {
        let (of, alone) = ((row, change.order), change.alone.as_ref());
        changed.extend(replaced::strike(act, of, strike, alone, now)?);
    }
    if let Some(limit) = &change.limit {
        replaced::must_have_room(act, change, limit, now)?;
    }
    let key = act.data_key(&change.subject)?;
    let sealed = act.sealer().seal(&key, place(change.call.as_bytes()), &change.said)?;
    act.connection()
        .prepare_cached(
            "INSERT INTO eid_order_step (eid_order, number, call, act, stage, client, at, sealed, data_key) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?
        .execute(params![
            row,
            change.rests_on.saturating_add(1),
            change.call.as_bytes(),
            change.act.word().name,
            change.stage.word().name,
            change.client,
            from_time(now),
            sealed,
            key.number,
        ])?;
    for record in audit(&changed) {
        act.put_audit(&record, now)?;
    }
    Ok(changed)
}

fn make(act: &Act<'_>, change: &EidOrderChange, now: UnixTime) -> Result<i64, StoreError> {
    let tag = |name: &HolderName| holders::tag(act.sealer(), name).as_bytes().to_vec();
    Ok(act.connection().insert_new(
        "INSERT INTO eid_order (order_id, organisation, routine, stage, steps, due, term, created, updated, \
             person_tag, holder_tag) \
         VALUES (?1, ?2, ?3, ?4, 1, ?5, ?6, ?7, ?7, ?8, ?9) RETURNING row",
        params![
            change.order.as_bytes(),
            change.organisation,
            change.routine,
            change.stage.word().name,
            change.due.map(|(_, at)| from_time(at)),
            change.due.map(|(term, _)| term.name()),
            from_time(now),
            change.holder.person.as_ref().map(tag),
            change.holder.hsa_id.as_ref().map(tag),
        ],
    )?)
}

fn move_on(
    connection: &Connection,
    change: &EidOrderChange,
    now: UnixTime,
) -> Result<i64, StoreError> {
    let order = change.order;
    let known: Option<(i64, u32)> = connection
        .prepare_cached("SELECT row, steps FROM eid_order WHERE order_id = ?1")?
        .query_row([order.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let (row, steps) = known.ok_or(EidOrderFault::Unknown { order })?;
    if steps != change.rests_on {
        return Err(EidOrderFault::Moved { order, steps }.into());
    }
    connection
        .prepare_cached(
            "UPDATE eid_order SET stage = ?2, steps = steps + 1, due = ?3, term = ?4, updated = ?5, \
                 parked = NULL \
             WHERE row = ?1",
        )?
        .execute(params![
            row,
            change.stage.word().name,
            change.due.map(|(_, at)| from_time(at)),
            change.due.map(|(term, _)| term.name()),
            from_time(now),
        ])?;
    Ok(row)
}

/// Does it to every certificate of the order that it can still happen to, once none is being signed.
fn change_all(
    act: &mut Act<'_>,
    change: &EidOrderChange,
    wanted: StatusAct,
    now: UnixTime,
) -> Result<Vec<EidOrderChanged>, StoreError> {
    let OrderKey { client, method, path, .. } = certificate_key(change.order, "");
    let open: Option<i64> = act
        .connection()
        .prepare_cached(
            "SELECT intent.row FROM orders JOIN intent ON intent.order_row = orders.row \
             WHERE orders.client = ?1 AND orders.method = ?2 AND orders.path = ?3 \
                 AND intent.state = 'open' LIMIT 1",
        )?
        .query_row(params![client, method, path], |row| row.get(0))
        .optional()?;
    if open.is_some() {
        return Err(EidOrderFault::Signing { order: change.order }.into());
    }
    let mut changed = Vec::new();
    for Living { certificate, issuer, serial, state, lost } in
        living(act.connection(), change.order, now)?
    {
        let revokes = matches!(wanted, StatusAct::Revoke { .. });
        if revokes && matches!(state, CertificateState::Revoked | CertificateState::Voided) {
            continue;
        }
        // Nobody has it any more to say that it is the holder's; that it ends is prevented by nothing.
        if lost && !revokes {
            return Err(StoreError::CertificateLost { order: change.order, serial });
        }
        let one = StatusChange {
            target: StatusTarget::Serial(issuer, serial),
            act: wanted,
            requested_at: None,
            alone: None,
        };
        let done = changes::apply(act, &one, now)?;
        if done.outcome == ChangeOutcome::Changed {
            let of = ChangedOf::Order;
            changed.push(EidOrderChanged { of, certificate, issuer, status: done.status });
        }
    }
    if let Some(alone) = &change.alone
        && !changed.is_empty()
    {
        let count = u64::try_from(changed.len()).unwrap_or(u64::MAX);
        jobs::count_alone(act.connection(), alone, count, now)?;
    }
    Ok(changed)
}

/// Refuses to hand over what nobody can take into use: the card that it replaces may end in that act.
fn must_be_usable(
    connection: &Connection,
    order: OrderId,
    now: UnixTime,
) -> Result<(), StoreError> {
    for Living { serial, state, lost, .. } in living(connection, order, now)? {
        if matches!(state, CertificateState::Revoked | CertificateState::Voided) {
            return Err(EidOrderFault::Over { order }.into());
        }
        if lost {
            return Err(StoreError::CertificateLost { order, serial });
        }
    }
    Ok(())
}

/// A certificate of an order that has not ended.
struct Living {
    certificate: CertificateId,
    issuer: IssuerId,
    serial: SerialNumber,
    state: CertificateState,
    /// Whether it was issued after the backup that the database was put back from: its serial number is all that is left.
    lost: bool,
}

/// By what was to be signed, and not by the certificates that are there: of one that was lost the intent alone says that it is the order's.
fn living(
    connection: &Connection,
    order: OrderId,
    now: UnixTime,
) -> Result<Vec<Living>, StoreError> {
    let OrderKey { client, method, path, .. } = certificate_key(order, "");
    let mut statement = connection.prepare_cached(&format!(
        "SELECT intent.certificate_id, issuer.issuer_id, serial.serial, {STATUS_COLUMNS}, \
             NOT EXISTS (SELECT 1 FROM certificate WHERE certificate.serial_row = serial.row) AS lost \
         FROM orders JOIN intent ON intent.order_row = orders.row \
         JOIN serial ON serial.row = intent.serial_row \
         JOIN issuer ON issuer.row = serial.issuer \
         WHERE orders.client = ?1 AND orders.method = ?2 AND orders.path = ?3 \
             AND intent.state = 'fulfilled' AND serial.not_after >= ?4 ORDER BY intent.row"
    ))?;
    let mut rows = statement.query(params![client, method, path, from_time(now)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Living {
            certificate: CertificateId::from_bytes(array(row, "certificate_id")?),
            issuer: IssuerId::from_bytes(array(row, "issuer_id")?),
            serial: to_serial(&column::<Vec<u8>>(row, "serial")?)?,
            state: status_row(row)?.status.state,
            lost: column(row, "lost")?,
        });
    }
    Ok(found)
}

/// Refuses a certificate for an order of several steps that takes none any more: it was taken back, or is over, since the call that is to
/// sign it read it. `path` is that of the order by which the certificate is made.
pub(super) fn must_take_certificates(
    connection: &Connection,
    path: &str,
) -> Result<(), StoreError> {
    let order =
        path.parse::<OrderId>().map_err(|_| StoreError::Stored { what: "path of an order" })?;
    let stage: Option<String> = connection
        .prepare_cached("SELECT stage FROM eid_order WHERE order_id = ?1")?
        .query_row([order.as_bytes()], |row| row.get(0))
        .optional()?;
    let stage = stage.ok_or(EidOrderFault::Unknown { order })?;
    match stage_of(&stage)? {
        OrderStage::Approved | OrderStage::Receipted => Ok(()),
        _ => Err(EidOrderFault::Closed { order }.into()),
    }
}

/// Of an order that was under way in a database that is put back, nobody knows what has become since: it may have been taken back, or
/// handed over. Its deadlines end nothing before somebody has looked at it and taken a step.
pub(super) fn park_all(connection: &Connection, now: UnixTime) -> Result<(), StoreError> {
    let under_way = OrderStage::ALL.iter().filter(|stage| !stage.is_final());
    let under_way: Vec<_> = under_way.map(|stage| format!("'{}'", stage.word().name)).collect();
    connection
        .prepare_cached(&format!(
            "UPDATE eid_order SET parked = ?1 WHERE parked IS NULL AND stage IN ({})",
            under_way.join(", ")
        ))?
        .execute([from_time(now)])?;
    Ok(())
}

fn stage_of(name: &str) -> Result<OrderStage, StoreError> {
    let found = OrderStage::ALL.iter().copied().find(|stage| stage.word().name == name);
    stored(found, "stage of an order")
}

fn read(row: Row<'_>) -> Result<EidOrderRow, StoreError> {
    let term: Option<String> = column(row, "term")?;
    let due = match (term, opt_time(row, "due")?) {
        (Some(name), Some(at)) => {
            let found = TermKind::ALL.into_iter().find(|term| term.name() == name);
            Some((stored(found, "deadline of an order")?, at))
        }
        _ => None,
    };
    Ok(EidOrderRow {
        id: OrderId::from_bytes(array(row, "order_id")?),
        organisation: column(row, "organisation")?,
        routine: column(row, "routine")?,
        stage: stage_of(&column::<String>(row, "stage")?)?,
        steps: column(row, "steps")?,
        due,
        created: time(row, "created")?,
        updated: time(row, "updated")?,
        replaces: replaced::read(row)?,
        parked: opt_time(row, "parked")?,
    })
}

fn show(
    connection: &Connection,
    sealer: &Sealer,
    order: OrderId,
) -> Result<Option<EidOrder>, StoreError> {
    let mut statement = connection.prepare_cached("SELECT * FROM eid_order WHERE order_id = ?1")?;
    let mut rows = statement.query([order.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (number, row): (i64, _) = (column(row, "row")?, read(row)?);
    let mut statement = connection
        .prepare_cached("SELECT * FROM eid_order_step WHERE eid_order = ?1 ORDER BY number")?;
    let mut rows = statement.query([number])?;
    let mut steps = Vec::new();
    while let Some(row) = rows.next()? {
        let call: [u8; 16] = array(row, "call")?;
        let act: String = column(row, "act")?;
        let act = OrderStage::ACTS.iter().copied().find(|one| one.word().name == act);
        let sealed: Vec<u8> = column(row, "sealed")?;
        steps.push(EidOrderStep {
            number: column(row, "number")?,
            call: OrderId::from_bytes(call),
            act: stored(act, "step of an order")?,
            stage: stage_of(&column::<String>(row, "stage")?)?,
            client: column(row, "client")?,
            at: time(row, "at")?,
            said: seals::open(connection, sealer, place(&call), &sealed)?,
        });
    }
    Ok(Some(EidOrder { row, steps }))
}

fn list(
    connection: &Connection,
    filter: &EidOrderFilter,
    after: Option<u64>,
    limit: u32,
) -> Result<EidOrderPage, StoreError> {
    let limit = limit.clamp(1, certificates::MOST_ROWS);
    let mut values = vec![Value::Integer(from_u64(after.unwrap_or(0), "cursor")?)];
    let seen = protection::eid_order_seen(filter.protected);
    let mut sql = format!("SELECT * FROM eid_order WHERE row > ?1 AND {seen}");
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    if let Some(organisation) = &filter.organisation {
        and(" AND organisation = ?", Value::Text(organisation.clone()));
    }
    if let Some(at) = filter.due_at {
        and(" AND due <= ?", Value::Integer(from_time(at)));
    }
    if let Some(at) = filter.strikes_at {
        and(" AND replaces_due <= ?", Value::Integer(from_time(at)));
    }
    sql.push_str(match filter.parked {
        Some(true) => " AND parked IS NOT NULL",
        Some(false) => " AND parked IS NULL",
        None => "",
    });
    sql.push_str(&format!(" ORDER BY row LIMIT {}", u64::from(limit) + 1));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut page = EidOrderPage { rows: Vec::new(), next: None };
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.rows.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
            page.next = last;
            break;
        }
        page.rows.push(read(row)?);
        last = Some(to_u64(column(row, "row")?, "cursor")?);
    }
    Ok(page)
}
