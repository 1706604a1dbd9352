//! What orders replace: revoked in the act of a step, or when its second has come; and how many carriers somebody may have.

use ca::revocation::BusinessEvent;
use ca::steps::Struck;
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{column, from_time, opt_time, stored, to_u64};
use super::connection::Row;
use super::eid_orders::made_for;
use super::group::Act;
use super::{bound, holders};
use crate::StoreError;
use crate::bound::{BoundChange, BoundTo};
use crate::eid_order::{
    CarrierLimit, ChangedOf, EidOrderAudit, EidOrderChange, EidOrderChanged, EidOrderFault,
    EidOrderReplaces, EidOrderStrike,
};
use crate::id::{CarrierId, EidId, OrderId};
use crate::job::Alone;

/// What an order replaces, of its row.
pub(super) fn read(row: Row<'_>) -> Result<Option<EidOrderReplaces>, StoreError> {
    let Some(name) = column::<Option<String>>(row, "replaces_for")? else { return Ok(None) };
    let eid: Option<[u8; 16]> = column(row, "replaces_eid")?;
    let carrier: Option<[u8; 16]> = column(row, "replaces_carrier")?;
    let what = match (eid, carrier) {
        (Some(eid), None) => Some(BoundTo::Eid(EidId::from_bytes(eid))),
        (None, Some(carrier)) => Some(BoundTo::Carrier(CarrierId::from_bytes(carrier))),
        _ => None,
    };
    Ok(Some(EidOrderReplaces {
        what: stored(what, "what an order replaces")?,
        event: stored(BusinessEvent::from_name(&name), "why an order replaces something")?,
        due: opt_time(row, "replaces_due")?,
        done: opt_time(row, "replaced")?,
    }))
}

/// Does what a step does to what its order replaces.
pub(super) fn strike(
    act: &mut Act<'_>,
    (row, order): (i64, OrderId),
    strike: &EidOrderStrike,
    alone: Option<&Alone>,
    now: UnixTime,
) -> Result<Vec<EidOrderChanged>, StoreError> {
    let EidOrderStrike { what, event, struck } = *strike;
    let (eid, carrier) = match &what {
        BoundTo::Eid(id) => (Some(id.as_bytes()), None),
        BoundTo::Carrier(id) => (None, Some(id.as_bytes())),
    };
    let (due, done) = match struck {
        Struck::Spared => (None, None),
        Struck::At(time) => (Some(from_time(time)), None),
        Struck::Now => (None, Some(from_time(now))),
    };
    act.connection()
        .prepare_cached(
            "UPDATE eid_order SET replaces_eid = ?2, replaces_carrier = ?3, replaces_for = ?4, \
                 replaces_due = ?5, replaced = coalesce(replaced, ?6) WHERE row = ?1",
        )?
        .execute(params![row, eid, carrier, event.rule().name, due, done])?;
    if struck == Struck::Now {
        return revoke(act, order, (what, event), alone.cloned(), now);
    }
    Ok(Vec::new())
}

/// Revokes it, save what the order itself has made since: that may have joined the eID.
fn revoke(
    act: &mut Act<'_>,
    order: OrderId,
    (to, event): (BoundTo, BusinessEvent),
    alone: Option<Alone>,
    now: UnixTime,
) -> Result<Vec<EidOrderChanged>, StoreError> {
    let own: Vec<_> = made_for(act.connection(), order)?.into_iter().map(|row| row.id).collect();
    let wish = event.rule().wish;
    let change = BoundChange { to, wish, requested_at: None, alone };
    let (all, _) = bound::change_bound(act, &change, &own, now)?;
    let changed = all.into_iter().filter(|one| one.done.is_some());
    let changed = changed.map(|one| EidOrderChanged {
        of: ChangedOf::Replaced,
        certificate: one.certificate,
        issuer: one.issuer,
        status: one.status,
    });
    Ok(changed.collect())
}

/// Revokes what an order replaces if its second has come.
pub(super) fn strike_due(
    act: &mut Act<'_>,
    order: OrderId,
    audit: EidOrderAudit,
    now: UnixTime,
) -> Result<Vec<EidOrderChanged>, StoreError> {
    let found = {
        let mut statement = act.connection().prepare_cached(
            "SELECT * FROM eid_order WHERE order_id = ?1 AND replaces_due <= ?2 \
                     AND parked IS NULL",
        )?;
        let mut rows = statement.query(params![order.as_bytes(), from_time(now)])?;
        match rows.next()? {
            Some(row) => Some((column::<i64>(row, "row")?, read(row)?)),
            None => None,
        }
    };
    let Some((row, Some(EidOrderReplaces { what, event, .. }))) = found else {
        return Ok(Vec::new());
    };
    let wanted = EidOrderStrike { what, event, struck: Struck::Now };
    let changed = strike(act, (row, order), &wanted, None, now)?;
    for record in audit(&changed) {
        act.put_audit(&record, now)?;
    }
    Ok(changed)
}

/// Refuses a step that would give the holder more carriers in use than he may have in the organisation. What is ordered does not count, nor what the
/// order replaces, nor what another one replaces and ends by its deadline; nor an eID that another organisation's card bears.
pub(super) fn must_have_room(
    act: &Act<'_>,
    change: &EidOrderChange,
    limit: &CarrierLimit,
    now: UnixTime,
) -> Result<(), StoreError> {
    let Some(person) = &change.holder.person else { return Ok(()) };
    let holder = holders::tag(act.sealer(), person);
    let mark = limit.mark.as_ref().map(|mark| act.sealer().blind(mark).as_bytes().to_vec());
    let held: i64 = act
        .connection()
        .prepare_cached(
            "SELECT count(DISTINCT carrier.row) FROM eid JOIN carrier ON carrier.row = eid.carrier \
             JOIN certificate ON certificate.eid = eid.row \
             JOIN serial ON serial.row = certificate.serial_row \
             WHERE eid.holder = ?1 AND eid.organisation = ?2 AND eid.issuing IS NULL \
                 AND carrier.kind = ?3 AND serial.state NOT IN ('revoked', 'voided') \
                 AND serial.not_after >= ?4 \
                 AND NOT (serial.state = 'issued' AND serial.before_activation = 'held') \
                 AND (carrier.card IS NULL OR carrier.card <> coalesce(?5, carrier.carrier_id)) \
                 AND carrier.carrier_id NOT IN (SELECT other.replaces_carrier FROM eid_order AS other \
                     WHERE other.replaces_carrier IS NOT NULL \
                         AND (other.replaces_due IS NOT NULL OR other.order_id = ?6)) \
                 AND eid.eid_id NOT IN (SELECT other.replaces_eid FROM eid_order AS other \
                     WHERE other.replaces_eid IS NOT NULL \
                         AND (other.replaces_due IS NOT NULL OR other.order_id = ?6))",
        )?
        .query_row(
            params![
                holder.as_bytes(),
                change.organisation,
                limit.kind.name(),
                from_time(now),
                mark,
                change.order.as_bytes()
            ],
            |row| row.get(0),
        )?;
    let held = to_u64(held, "count")?;
    if held < u64::from(limit.most) { Ok(()) } else { Err(EidOrderFault::Enough { held }.into()) }
}
