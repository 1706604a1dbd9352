//! eIDs and carriers: bound when a certificate is recorded, revoked together.

use ca::carrier::CarrierKind;
use ca::revocation::RevocationWish;
use ca::role::Protected;
use rusqlite::params;
use rusqlite::types::Value;
use status::IssuerId;
use x509::time::UnixTime;

use super::columns::{array, column, from_time, from_u64, status_row, time, to_u64};
use super::connection::{Connection, OptionalExtension as _, Row};
use super::group::Act;
use super::{Backend, SqlStore, carriers, certificates, changes, holders, jobs, protection};
use crate::StoreError;
use crate::bound::{
    Binding, Bindings, BoundAudit, BoundChange, BoundChanged, BoundTo, CarrierRow, EidFilter,
    EidPage, EidRow, act_on_bound,
};
use crate::certificate::{
    CertificateLookup, CertificateRow, CertificateSide, ChangeOutcome, StatusChange, StatusRow,
    StatusTarget,
};
use crate::id::{CarrierId, CertificateId, EidId};
use crate::sealing::{BlindIndex, IndexTag, IndexTerm, Sealer};

impl<B: Backend> Bindings for SqlStore<B> {
    fn carrier(
        &self,
        carrier: CarrierId,
        protected: Protected,
    ) -> Result<Option<CarrierRow>, StoreError> {
        self.readers.read(|connection| {
            carriers::find(connection, "carrier_id = ?1", carrier.as_bytes().as_slice(), protected)
        })
    }

    fn carrier_of_card(
        &self,
        card: &IndexTerm,
        protected: Protected,
    ) -> Result<Option<CarrierRow>, StoreError> {
        let card = self.sealer.blind(card);
        self.readers.read(|connection| {
            carriers::find(connection, "card = ?1", card.as_bytes().as_slice(), protected)
        })
    }

    fn unbound_on(&self, carrier: CarrierId, now: UnixTime) -> Result<u64, StoreError> {
        self.readers.read(|connection| {
            let count: i64 = connection
                .prepare_cached(
                    "SELECT count(*) FROM carrier \
                     JOIN blind_index ON blind_index.tag = ?2 AND blind_index.hmac = carrier.card \
                     JOIN certificate ON certificate.row = blind_index.certificate \
                     JOIN serial ON serial.row = certificate.serial_row \
                     WHERE carrier.carrier_id = ?1 AND certificate.eid IS NULL \
                         AND serial.state NOT IN ('revoked', 'voided') AND serial.not_after >= ?3",
                )?
                .query_row(
                    params![carrier.as_bytes(), IndexTag::CardNumber.name(), from_time(now)],
                    |row| row.get(0),
                )?;
            to_u64(count, "count")
        })
    }

    fn eid(&self, eid: EidId, protected: Protected) -> Result<Option<EidRow>, StoreError> {
        self.readers.read(|connection| {
            let seen = protection::eid_seen(protected);
            let sql = format!("{EID} WHERE eid.eid_id = ?1 AND {seen}");
            let mut statement = connection.prepare_cached(&sql)?;
            let mut rows = statement.query([eid.as_bytes()])?;
            rows.next()?.map(read_eid).transpose()
        })
    }

    fn eids(
        &self,
        filter: &EidFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<EidPage, StoreError> {
        self.readers.read(|connection| list(connection, &self.sealer, filter, after, limit))
    }

    fn may_bind(&self, binding: &Binding, profile: &str, now: UnixTime) -> Result<(), StoreError> {
        self.readers.read(|connection| {
            let names = Names::of(&self.sealer, binding);
            if let Some(carrier) = carriers::known(connection, binding, names.mark.as_ref())? {
                must_take(connection, carrier, binding, &names, profile, now)?;
            }
            Ok(())
        })
    }

    fn certificate_side(
        &self,
        lookup: &CertificateLookup,
        protected: Protected,
    ) -> Result<Option<CertificateSide>, StoreError> {
        let (wanted, parameters) = certificates::named(lookup);
        let seen = protection::certificate_seen(protected);
        self.readers.read(|connection| {
            let found = connection
                .prepare_cached(&format!(
                    "SELECT certificate.certificate_id, eid.organisation, \
                         CASE WHEN certificate.data_key IS NULL THEN orders.client END \
                     FROM certificate JOIN serial ON serial.row = certificate.serial_row \
                     LEFT JOIN eid ON eid.row = certificate.eid \
                     LEFT JOIN orders ON orders.row = certificate.order_row \
                     WHERE {wanted} AND {seen}"
                ))?
                .query_row(parameters, |row| {
                    Ok(CertificateSide {
                        certificate: CertificateId::from_bytes(row.get(0)?),
                        organisation: row.get(1)?,
                        function_of: row.get(2)?,
                    })
                })
                .optional()?;
            Ok(found)
        })
    }

    fn bound_certificates(&self, to: BoundTo) -> Result<Vec<(EidId, CertificateRow)>, StoreError> {
        self.readers.read(|connection| bound(connection, certificates_of(&to)))
    }

    fn revoke_bound(
        &self,
        change: &BoundChange,
        audit: BoundAudit,
        now: UnixTime,
    ) -> Result<Vec<BoundChanged>, StoreError> {
        let change = change.clone();
        self.writer.run(move |act| revoke(act, &change, audit, now))
    }
}

const EID: &str = "SELECT eid.row AS cursor, eid.eid_id, eid.organisation, eid.issuing, eid.created, \
     carrier.carrier_id FROM eid JOIN carrier ON carrier.row = eid.carrier";

fn read_eid(row: Row<'_>) -> Result<EidRow, StoreError> {
    Ok(EidRow {
        id: EidId::from_bytes(array(row, "eid_id")?),
        carrier: CarrierId::from_bytes(array(row, "carrier_id")?),
        organisation: column(row, "organisation")?,
        issuing: column(row, "issuing")?,
        created: time(row, "created")?,
    })
}

fn list(
    connection: &Connection,
    sealer: &Sealer,
    filter: &EidFilter,
    after: Option<u64>,
    limit: u32,
) -> Result<EidPage, StoreError> {
    let limit = limit.clamp(1, certificates::MOST_ROWS);
    let mut values = vec![Value::Integer(from_u64(after.unwrap_or(0), "cursor")?)];
    let seen = protection::eid_seen(filter.protected);
    let mut sql = format!("{EID} WHERE eid.row > ?1 AND {seen}");
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    if let Some(organisation) = &filter.organisation {
        and(" AND eid.organisation = ?", Value::Text(organisation.clone()));
    }
    if let Some(carrier) = &filter.carrier {
        and(" AND carrier.carrier_id = ?", Value::Blob(carrier.as_bytes().to_vec()));
    }
    if let Some(certificate) = &filter.certificate {
        let condition = " AND eid.row = (SELECT eid FROM certificate WHERE certificate_id = ?)";
        and(condition, Value::Blob(certificate.as_bytes().to_vec()));
    }
    if let Some(holder) = &filter.holder {
        let holder = holders::tag(sealer, holder);
        and(" AND eid.holder = ?", Value::Blob(holder.as_bytes().to_vec()));
    }
    if let Some(mark) = &filter.mark {
        and(" AND carrier.card = ?", Value::Blob(sealer.blind(mark).as_bytes().to_vec()));
    }
    if let Some(term) = &filter.term {
        let tag = term.tag().name();
        let condition = format!(
            " AND eid.row IN (SELECT certificate.eid FROM blind_index \
                 JOIN certificate ON certificate.row = blind_index.certificate \
                 WHERE blind_index.tag = '{tag}' AND blind_index.hmac = ?)"
        );
        and(&condition, Value::Blob(sealer.blind(term).as_bytes().to_vec()));
    }
    sql.push_str(&format!(" ORDER BY eid.row LIMIT {}", u64::from(limit) + 1));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut page = EidPage { rows: Vec::new(), next: None };
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.rows.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
            page.next = last;
            break;
        }
        page.rows.push(read_eid(row)?);
        last = Some(to_u64(column(row, "cursor")?, "cursor")?);
    }
    Ok(page)
}

/// The certificates of the eID of the first parameter.
pub(super) const OF_EID: &str = "certificate.eid = (SELECT row FROM eid WHERE eid_id = ?1)";
/// Those on the carrier of the first parameter.
pub(super) const ON_CARRIER: &str = "certificate.eid IN (SELECT eid.row FROM eid JOIN carrier ON carrier.row = eid.carrier \
         WHERE carrier.carrier_id = ?1)";

/// A condition on certificates, and its first parameter.
type Wanted<'a> = (&'static str, &'a [u8; 16]);

/// Which certificates, by the first parameter.
const fn certificates_of(to: &BoundTo) -> Wanted<'_> {
    match to {
        BoundTo::Eid(id) => (OF_EID, id.as_bytes()),
        BoundTo::Carrier(id) => (ON_CARRIER, id.as_bytes()),
    }
}

/// These certificates, oldest first, each with its eID; one that is of none with its own id for it.
pub(super) fn bound(
    connection: &Connection,
    (wanted, id): Wanted<'_>,
) -> Result<Vec<(EidId, CertificateRow)>, StoreError> {
    let its_eid = ", coalesce((SELECT eid_id FROM eid WHERE eid.row = certificate.eid), \
                   certificate.certificate_id) AS eid_id";
    let sql = format!("{} ORDER BY certificate.row", certificates::select(its_eid, wanted));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let eid = EidId::from_bytes(array(row, "eid_id")?);
        found.push((eid, certificates::read(row)?));
    }
    Ok(found)
}

/// What a binding names, as keyed hashes.
struct Names {
    mark: Option<BlindIndex>,
    holder: BlindIndex,
    proof: Option<BlindIndex>,
}

impl Names {
    fn of(sealer: &Sealer, binding: &Binding) -> Self {
        Self {
            mark: binding.mark.as_ref().map(|mark| sealer.blind(mark)),
            holder: holders::tag(sealer, &binding.holder),
            proof: binding.proof.as_ref().map(|proof| sealer.blind(proof)),
        }
    }
}

/// Refuses what a carrier that is known does not take: a device bears one holder's eIDs, and the rest of an order is not issued once
/// the eID that it was for is revoked.
fn must_take(
    connection: &Connection,
    carrier: i64,
    binding: &Binding,
    names: &Names,
    profile: &str,
    now: UnixTime,
) -> Result<(), StoreError> {
    if binding.kind == CarrierKind::MobileDevice {
        let another: Option<[u8; 16]> = connection
            .prepare_cached(
                "SELECT carrier.carrier_id FROM carrier JOIN eid ON eid.carrier = carrier.row \
                 JOIN certificate ON certificate.eid = eid.row \
                 JOIN serial ON serial.row = certificate.serial_row \
                 WHERE carrier.row = ?1 AND eid.holder <> ?2 \
                     AND serial.state NOT IN ('revoked', 'voided') AND serial.not_after >= ?3 LIMIT 1",
            )?
            .query_row(params![carrier, names.holder.as_bytes(), from_time(now)], |row| row.get(0))
            .optional()?;
        if let Some(id) = another {
            return Err(StoreError::CarrierOfAnother { carrier: CarrierId::from_bytes(id) });
        }
    }
    let Some(proof) = &names.proof else { return Ok(()) };
    let revoked: Option<[u8; 16]> = connection
        .prepare_cached(
            "SELECT eid.eid_id FROM eid WHERE eid.row = (SELECT max(newest.row) FROM eid AS newest \
                     WHERE newest.carrier = ?1 AND newest.holder = ?2 AND newest.organisation = ?3) \
                 AND eid.proof = ?4 \
                 AND NOT EXISTS (SELECT 1 FROM certificate JOIN serial ON serial.row = certificate.serial_row \
                     WHERE certificate.eid = eid.row AND serial.state NOT IN ('revoked', 'voided') \
                         AND serial.not_after >= ?5) \
                 AND EXISTS (SELECT 1 FROM certificate JOIN serial ON serial.row = certificate.serial_row \
                     WHERE certificate.eid = eid.row AND serial.state = 'revoked') \
                 AND NOT EXISTS (SELECT 1 FROM certificate \
                     WHERE certificate.eid = eid.row AND certificate.profile = ?6)",
        )?
        .query_row(
            params![
                carrier,
                names.holder.as_bytes(),
                binding.organisation,
                proof.as_bytes(),
                from_time(now),
                profile
            ],
            |row| row.get(0),
        )
        .optional()?;
    match revoked {
        Some(eid) => Err(StoreError::EidOfOrderRevoked { eid: EidId::from_bytes(eid) }),
        None => Ok(()),
    }
}

/// Refuses what was intended before the eID that it is for was revoked.
fn must_not_be_revoked_meanwhile(
    connection: &Connection,
    carrier: i64,
    binding: &Binding,
    holder: &BlindIndex,
    (intended, now): (UnixTime, UnixTime),
) -> Result<(), StoreError> {
    // The intent is in the logs since `intended` or later, and log times never fall: what was revoked before is dated before, or in the
    // same second.
    let revoked: Option<[u8; 16]> = connection
        .prepare_cached(
            "SELECT eid.eid_id FROM eid WHERE eid.row = (SELECT max(newest.row) FROM eid AS newest \
                     WHERE newest.carrier = ?1 AND newest.holder = ?2 AND newest.organisation = ?3) \
                 AND NOT EXISTS (SELECT 1 FROM certificate JOIN serial ON serial.row = certificate.serial_row \
                     WHERE certificate.eid = eid.row AND serial.state NOT IN ('revoked', 'voided') \
                         AND serial.not_after >= ?4) \
                 AND EXISTS (SELECT 1 FROM certificate JOIN serial ON serial.row = certificate.serial_row \
                     WHERE certificate.eid = eid.row AND serial.state = 'revoked' \
                         AND serial.effective >= ?5)",
        )?
        .query_row(
            params![
                carrier,
                holder.as_bytes(),
                binding.organisation,
                from_time(now),
                from_time(intended)
            ],
            |row| row.get(0),
        )
        .optional()?;
    match revoked {
        Some(eid) => Err(StoreError::EidRevoked { eid: EidId::from_bytes(eid) }),
        None => Ok(()),
    }
}

/// Binds a certificate of `profile` that has just been recorded.
///
/// # Errors
///
/// [`StoreError::CarrierRevoked`], [`StoreError::CarrierOfAnother`], [`StoreError::EidOfOrderRevoked`], [`StoreError::EidRevoked`]:
/// then the certificate is not recorded either.
pub(super) fn bind(
    act: &Act<'_>,
    certificate: i64,
    profile: &str,
    binding: &Binding,
    intended: UnixTime,
    now: UnixTime,
) -> Result<(), StoreError> {
    let connection = act.connection();
    let names = Names::of(act.sealer(), binding);
    let holder = names.holder;
    let carrier = match carriers::known(connection, binding, names.mark.as_ref())? {
        Some(known) => known,
        None => carriers::begin(connection, binding, names.mark.as_ref(), now)?,
    };
    // What was revoked while it was being signed is told as that.
    must_not_be_revoked_meanwhile(connection, carrier, binding, &holder, (intended, now))?;
    must_take(connection, carrier, binding, &names, profile, now)?;
    let known: Option<i64> = connection
        .prepare_cached(
            "SELECT eid.row FROM eid WHERE eid.carrier = ?1 AND eid.holder = ?2 AND eid.organisation = ?3 \
                 AND EXISTS (SELECT 1 FROM certificate JOIN serial ON serial.row = certificate.serial_row \
                     WHERE certificate.eid = eid.row AND serial.state NOT IN ('revoked', 'voided') \
                         AND serial.not_after >= ?4) \
                 AND NOT EXISTS (SELECT 1 FROM certificate JOIN serial ON serial.row = certificate.serial_row \
                     WHERE certificate.eid = eid.row AND serial.state NOT IN ('revoked', 'voided') \
                         AND serial.not_after >= ?4 \
                         AND certificate.profile = (SELECT profile FROM certificate WHERE row = ?5)) \
             ORDER BY eid.row DESC LIMIT 1",
        )?
        .query_row(
            params![
                carrier,
                holder.as_bytes(),
                binding.organisation,
                from_time(now),
                certificate
            ],
            |row| row.get(0),
        )
        .optional()?;
    let eid: i64 = match known {
        Some(known) => known,
        None => connection
            .prepare_cached(
                "INSERT INTO eid (eid_id, carrier, holder, organisation, issuing, created, proof) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) RETURNING row",
            )?
            .query_row(
                params![
                    binding.eid.as_bytes(),
                    carrier,
                    holder.as_bytes(),
                    binding.organisation,
                    binding.issuing,
                    from_time(now),
                    names.proof.as_ref().map(BlindIndex::as_bytes)
                ],
                |row| row.get(0),
            )?,
    };
    connection
        .prepare_cached("UPDATE certificate SET eid = ?2 WHERE row = ?1")?
        .execute(params![certificate, eid])?;
    carriers::bears(connection, carrier)
}

fn revoke(
    act: &mut Act<'_>,
    change: &BoundChange,
    audit: BoundAudit,
    now: UnixTime,
) -> Result<Vec<BoundChanged>, StoreError> {
    let (all, is_new) = change_bound(act, change, &[], now)?;
    let changed = all.iter().filter(|one| one.done.is_some()).count();
    if changed > 0 || is_new {
        act.put_audit(&audit(&all), now)?;
    }
    Ok(all)
}

/// What [`Bindings::revoke_bound`] does, without its leaf and save these certificates; and whether a carrier is marked by it.
pub(super) fn change_bound(
    act: &mut Act<'_>,
    change: &BoundChange,
    save: &[CertificateId],
    now: UnixTime,
) -> Result<(Vec<BoundChanged>, bool), StoreError> {
    let is_new = mark(act.connection(), change, now)?;
    let living = living(act.connection(), certificates_of(&change.to), now)?;
    let all = change_living(act, living, (change.wish, change.requested_at), save, now)?;
    let changed = all.iter().filter(|one| one.done.is_some()).count();
    if let Some(alone) = change.alone.as_ref().filter(|_| changed > 0) {
        let count = u64::try_from(changed).unwrap_or(u64::MAX);
        jobs::count_alone(act.connection(), alone, count, now)?;
    }
    Ok((all, is_new))
}

/// Does to each of these what a wish that was uttered then does, save these certificates; counts for nobody, and writes no leaf.
pub(super) fn change_living(
    act: &mut Act<'_>,
    living: Living,
    (wish, requested_at): (RevocationWish, Option<UnixTime>),
    save: &[CertificateId],
    now: UnixTime,
) -> Result<Vec<BoundChanged>, StoreError> {
    let mut all = Vec::new();
    for (certificate, issuer, status) in living {
        let mut one = BoundChanged { certificate, issuer, done: None, ended: false, status };
        let wanted = act_on_bound(wish, &status);
        let Some(wanted) = wanted.filter(|_| !save.contains(&certificate)) else {
            all.push(one);
            continue;
        };
        let wanted_of_it = StatusChange {
            target: StatusTarget::Certificate(certificate),
            act: wanted,
            requested_at,
            alone: None,
        };
        match changes::apply(act, &wanted_of_it, now) {
            Ok(changed) => {
                one.done = (changed.outcome == ChangeOutcome::Changed).then_some(wanted);
                one.status = changed.status;
            }
            // Nothing of it changes any more: it is revoked, for a lesser reason perhaps, or had expired before the last list, however early
            // a clock says it is now. That keeps nobody from revoking the rest.
            Err(StoreError::IssuerEnded) => one.ended = true,
            Err(error) => return Err(error),
        }
        all.push(one);
    }
    Ok(all)
}

/// Notes that a carrier is revoked. Whether it was not before.
fn mark(connection: &Connection, change: &BoundChange, now: UnixTime) -> Result<bool, StoreError> {
    let (table, id) = match &change.to {
        BoundTo::Eid(id) => ("eid", id.as_bytes()),
        BoundTo::Carrier(id) => ("carrier", id.as_bytes()),
    };
    let known: Option<i64> = connection
        .prepare_cached(&format!("SELECT row FROM {table} WHERE {table}_id = ?1"))?
        .query_row([id], |row| row.get(0))
        .optional()?;
    let row = known.ok_or(StoreError::UnknownBound { what: change.to })?;
    if table == "eid" || !matches!(change.wish, RevocationWish::Revoke(_)) {
        return Ok(false);
    }
    let marked = connection
        .prepare_cached("UPDATE carrier SET revoked = ?2 WHERE row = ?1 AND revoked IS NULL")?
        .execute(params![row, from_time(now)])?;
    Ok(marked == 1)
}

/// Certificates with their issuers, and how they stand.
pub(super) type Living = Vec<(CertificateId, IssuerId, StatusRow)>;

/// Those of these certificates that have not ended.
pub(super) fn living(
    connection: &Connection,
    (wanted, id): Wanted<'_>,
    now: UnixTime,
) -> Result<Living, StoreError> {
    let sql = format!(
        "{} AND serial.not_after >= ?2 ORDER BY certificate.row",
        certificates::select("", wanted)
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params![id, from_time(now)])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let certificate = CertificateId::from_bytes(array(row, "certificate_id")?);
        let issuer = IssuerId::from_bytes(array(row, "issuer_id")?);
        found.push((certificate, issuer, status_row(row)?));
    }
    Ok(found)
}
