//! Carriers: found by id or mark, begun by a certificate or taken into the register before there is one.

use ca::carrier::CarrierKind;
use ca::life::{CarrierStage, Named as _, Stage as _};
use ca::role::Protected;
use rusqlite::params;
use rusqlite::types::Value;
use x509::time::UnixTime;

use super::columns::{array, column, from_time, from_u64, opt_time, stored, time, to_u64};
use super::connection::{Connection, OptionalExtension as _, Row};
use super::group::Act;
use super::{Backend, SqlStore, certificates, protection};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::bound::{Binding, CarrierRow};
use crate::carrier::{
    CarrierFault, CarrierFilter, CarrierMove, CarrierPage, NewCarriers, RegisteredCarriers,
};
use crate::id::CarrierId;
use crate::sealing::BlindIndex;

impl<B: Backend> RegisteredCarriers for SqlStore<B> {
    fn register_carriers(
        &self,
        new: &NewCarriers,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Vec<CarrierRow>, StoreError> {
        let (new, audit) = (new.clone(), audit.clone());
        self.writer.run(move |act| register(act, &new, &audit, now))
    }

    fn move_carrier(
        &self,
        change: &CarrierMove,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (change, audit) = (*change, audit.clone());
        self.writer.run(move |act| move_on(act, change, &audit, now))
    }

    fn registered_carriers(
        &self,
        filter: &CarrierFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<CarrierPage, StoreError> {
        self.readers.read(|connection| list(connection, filter, after, limit))
    }
}

pub(super) fn find(
    connection: &Connection,
    wanted: &str,
    name: &[u8],
    protected: Protected,
) -> Result<Option<CarrierRow>, StoreError> {
    let seen = protection::carrier_seen(protected);
    let sql = format!("SELECT * FROM carrier WHERE {wanted} AND {seen}");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([name])?;
    rows.next()?.map(read).transpose()
}

fn read(row: Row<'_>) -> Result<CarrierRow, StoreError> {
    let kind: String = column(row, "kind")?;
    let kinds = [
        CarrierKind::OrdinaryCard,
        CarrierKind::ReserveCard,
        CarrierKind::MobileDevice,
        CarrierKind::BlankCard,
    ];
    let stage: Option<String> = column(row, "stage")?;
    Ok(CarrierRow {
        id: CarrierId::from_bytes(array(row, "carrier_id")?),
        kind: stored(kinds.into_iter().find(|one| one.name() == kind), "kind of a carrier")?,
        family: column(row, "family")?,
        stage: stage.map(|name| stage_of(&name)).transpose()?,
        organisation: column(row, "organisation")?,
        revoked: opt_time(row, "revoked")?,
        created: time(row, "created")?,
    })
}

fn stage_of(name: &str) -> Result<CarrierStage, StoreError> {
    let found = CarrierStage::ALL.iter().copied().find(|stage| stage.word().name == name);
    stored(found, "stage of a carrier")
}

/// The carrier that is known by this mark, onto which a certificate is to come.
pub(super) fn known(
    connection: &Connection,
    binding: &Binding,
    mark: Option<&BlindIndex>,
) -> Result<Option<i64>, StoreError> {
    let Some(mark) = mark else { return Ok(None) };
    let mut statement = connection.prepare_cached("SELECT * FROM carrier WHERE card = ?1")?;
    let mut rows = statement.query([mark.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let (number, found) = (column(row, "row")?, read(row)?);
    let carrier = found.id;
    if found.revoked.is_some() {
        return Err(StoreError::CarrierRevoked { carrier });
    }
    let Some(stage) = found.stage else { return Ok(Some(number)) };
    if !matches!(stage, CarrierStage::Sent | CarrierStage::Blank) {
        return Err(CarrierFault::Stage { carrier, stage }.into());
    }
    if found.family != binding.family {
        return Err(CarrierFault::Family { carrier }.into());
    }
    Ok(Some(number))
}

/// There is a certificate on it: where it stands follows from its eIDs from now on.
pub(super) fn bears(connection: &Connection, carrier: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE carrier SET stage = NULL WHERE row = ?1 AND stage IS NOT NULL")?
        .execute([carrier])?;
    Ok(())
}

/// One that comes with its first certificate.
pub(super) fn begin(
    connection: &Connection,
    binding: &Binding,
    mark: Option<&BlindIndex>,
    now: UnixTime,
) -> Result<i64, StoreError> {
    Ok(connection
        .prepare_cached(
            "INSERT INTO carrier (carrier_id, kind, family, card, created) \
             VALUES (?1, ?2, ?3, ?4, ?5) RETURNING row",
        )?
        .query_row(
            params![
                binding.carrier.as_bytes(),
                binding.kind.name(),
                binding.family,
                mark.map(BlindIndex::as_bytes),
                from_time(now)
            ],
            |row| row.get(0),
        )?)
}

fn register(
    act: &mut Act<'_>,
    new: &NewCarriers,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<Vec<CarrierRow>, StoreError> {
    let registered = by_call(act.connection(), new)?;
    if !registered.is_empty() {
        return Ok(registered);
    }
    for (place, (id, card)) in new.cards.iter().enumerate() {
        let card = act.sealer().blind(card);
        let connection = act.connection();
        let known: Option<i64> = connection
            .prepare_cached("SELECT row FROM carrier WHERE card = ?1")?
            .query_row([card.as_bytes()], |row| row.get(0))
            .optional()?;
        if known.is_some() {
            return Err(CarrierFault::Known { number: place.saturating_add(1) }.into());
        }
        connection
            .prepare_cached(
                "INSERT INTO carrier (carrier_id, kind, family, card, created, stage, organisation, \
                     registered_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                id.as_bytes(),
                new.kind.name(),
                new.family,
                card.as_bytes(),
                from_time(now),
                new.stage.word().name,
                new.organisation,
                new.call.as_bytes()
            ])?;
    }
    act.put_audit(audit, now)?;
    by_call(act.connection(), new)
}

/// What a call has registered, in the order of its list.
fn by_call(connection: &Connection, new: &NewCarriers) -> Result<Vec<CarrierRow>, StoreError> {
    let sql = "SELECT * FROM carrier WHERE registered_by = ?1 ORDER BY row";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([new.call.as_bytes()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

fn move_on(
    act: &mut Act<'_>,
    change: CarrierMove,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let CarrierMove { carrier, from, to } = change;
    let found = find(act.connection(), "carrier_id = ?1", carrier.as_bytes(), Protected::Seen)?;
    let found = found.ok_or(CarrierFault::Moved { carrier })?;
    if found.revoked.is_some() {
        return Err(StoreError::CarrierRevoked { carrier });
    }
    if found.stage == Some(to) {
        return Ok(());
    }
    if found.stage != Some(from) {
        return Err(CarrierFault::Moved { carrier }.into());
    }
    act.connection()
        .prepare_cached("UPDATE carrier SET stage = ?2 WHERE carrier_id = ?1")?
        .execute(params![carrier.as_bytes(), to.word().name])?;
    act.put_audit(audit, now)?;
    Ok(())
}

fn list(
    connection: &Connection,
    filter: &CarrierFilter,
    after: Option<u64>,
    limit: u32,
) -> Result<CarrierPage, StoreError> {
    let limit = limit.clamp(1, certificates::MOST_ROWS);
    let mut values = vec![Value::Integer(from_u64(after.unwrap_or(0), "cursor")?)];
    let seen = protection::carrier_seen(filter.protected);
    let mut sql =
        format!("SELECT * FROM carrier WHERE row > ?1 AND organisation IS NOT NULL AND {seen}");
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    if let Some(organisation) = &filter.organisation {
        and(" AND organisation = ?", Value::Text(organisation.clone()));
    }
    if let Some(stage) = filter.stage {
        and(" AND revoked IS NULL AND stage = ?", Value::Text(stage.word().name.to_owned()));
    }
    sql.push_str(&format!(" ORDER BY row LIMIT {}", u64::from(limit) + 1));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut page = CarrierPage { rows: Vec::new(), next: None };
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
