//! Revocations of later, carried out when their second has come, and requests that were taken elsewhere.

use ca::revocation::{BusinessEvent, RevocationWish};
use ca::role::Protected;
use rusqlite::params;
use rusqlite::types::Value;
use status::RevocationReason;
use x509::time::UnixTime;

use super::bound::{OF_EID, ON_CARRIER, bound, change_bound, change_living, living};
use super::columns::{
    array, column, from_time, from_u64, opt_time, stored, time, to_reason, to_u64,
};
use super::connection::{Connection, Row};
use super::group::Act;
use super::{Backend, SqlStore, certificates, jobs, protection};
use crate::StoreError;
use crate::audit::AuditRecord;
use crate::bound::{BoundAudit, BoundChange, BoundChanged, BoundTo};
use crate::certificate::{CertificateRow, StatusAct};
use crate::id::{CarrierId, CertificateId, EidId, ScheduledId};
use crate::job::Alone;
use crate::scheduled::{
    NewScheduled, RegisteredRequest, RevocationTarget, Scheduled, ScheduledFilter, ScheduledPage,
    ScheduledRow, ScheduledState, TakenRequest,
};

impl<B: Backend> Scheduled for SqlStore<B> {
    fn target_certificates(
        &self,
        target: &RevocationTarget,
    ) -> Result<Vec<(EidId, CertificateRow)>, StoreError> {
        self.readers.read(|connection| bound(connection, certificates_of(target)))
    }

    fn schedule_revocation(
        &self,
        new: &NewScheduled,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<ScheduledRow, StoreError> {
        let (new, audit) = (new.clone(), audit.clone());
        self.writer.run(move |act| schedule(act, &new, &audit, now))
    }

    fn scheduled_revocation(
        &self,
        id: ScheduledId,
        protected: Protected,
    ) -> Result<Option<ScheduledRow>, StoreError> {
        self.readers.read(|connection| find(connection, id, protected))
    }

    fn scheduled_revocations(
        &self,
        filter: &ScheduledFilter,
        after: Option<u64>,
        limit: u32,
    ) -> Result<ScheduledPage, StoreError> {
        self.readers.read(|connection| list(connection, filter, after, limit))
    }

    fn cancel_scheduled(
        &self,
        id: ScheduledId,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let audit = audit.clone();
        self.writer.run(move |act| {
            let cancelled = act
                .connection()
                .prepare_cached(
                    "UPDATE scheduled_revocation SET state = 'cancelled', ended = ?2 \
                     WHERE scheduled_id = ?1 AND state = 'waiting' AND strikes > ?2",
                )?
                .execute(params![id.as_bytes(), from_time(now)])?;
            if cancelled == 1 {
                act.put_audit(&audit, now)?;
            }
            Ok(cancelled == 1)
        })
    }

    fn strike_scheduled(
        &self,
        id: ScheduledId,
        audit: BoundAudit,
        now: UnixTime,
    ) -> Result<Option<Vec<BoundChanged>>, StoreError> {
        self.writer.run(move |act| strike(act, id, audit, now))
    }

    fn register_request(
        &self,
        taken: &TakenRequest,
        audit: BoundAudit,
        now: UnixTime,
    ) -> Result<Option<RegisteredRequest>, StoreError> {
        let taken = taken.clone();
        self.writer.run(move |act| register(act, &taken, audit, now))
    }
}

/// Which certificates, by the first parameter.
const fn certificates_of(target: &RevocationTarget) -> (&'static str, &[u8; 16]) {
    match target {
        RevocationTarget::Certificate(id) => ("certificate.certificate_id = ?1", id.as_bytes()),
        RevocationTarget::Eid(id) => (OF_EID, id.as_bytes()),
        RevocationTarget::Carrier(id) => (ON_CARRIER, id.as_bytes()),
        RevocationTarget::HolderOf(id) => (
            "certificate.eid IN (SELECT own.row FROM eid AS own JOIN eid AS named \
                 ON named.holder = own.holder AND named.organisation = own.organisation \
                 WHERE named.eid_id = ?1)",
            id.as_bytes(),
        ),
    }
}

/// Does to a target what a wish does, without a leaf.
fn change(
    act: &mut Act<'_>,
    target: &RevocationTarget,
    (wish, requested_at): (RevocationWish, UnixTime),
    now: UnixTime,
) -> Result<Vec<BoundChanged>, StoreError> {
    let to = match target {
        RevocationTarget::Eid(id) => Some(BoundTo::Eid(*id)),
        RevocationTarget::Carrier(id) => Some(BoundTo::Carrier(*id)),
        RevocationTarget::Certificate(_) | RevocationTarget::HolderOf(_) => None,
    };
    let requested_at = Some(requested_at);
    match to {
        // A carrier is marked, so that nothing more comes onto it.
        Some(to) => {
            let change = BoundChange { to, wish, requested_at, alone: None };
            change_bound(act, &change, &[], now).map(|(all, _)| all)
        }
        None => {
            let all = living(act.connection(), certificates_of(target), now)?;
            change_living(act, all, (wish, requested_at), &[], now)
        }
    }
}

/// What a scheduled revocation names is joined by its id, so that who does not see the person does not see it.
fn select(protected: Protected) -> String {
    let (eid, carrier) = (protection::eid_seen(protected), protection::carrier_seen(protected));
    let certificate = protection::certificate_seen(protected);
    format!(
        "SELECT scheduled.row AS cursor, scheduled.* FROM scheduled_revocation AS scheduled \
         LEFT JOIN eid ON eid.eid_id = scheduled.what AND scheduled.reach IN ('eid', 'holder') \
         LEFT JOIN carrier ON carrier.carrier_id = scheduled.what AND scheduled.reach = 'carrier' \
         LEFT JOIN certificate ON certificate.certificate_id = scheduled.what \
             AND scheduled.reach = 'certificate' \
         WHERE (eid.row IS NULL OR {eid}) AND (carrier.row IS NULL OR {carrier}) \
             AND (certificate.row IS NULL OR ({certificate}))"
    )
}

fn read(row: Row<'_>) -> Result<ScheduledRow, StoreError> {
    let what: [u8; 16] = array(row, "what")?;
    let reach: String = column(row, "reach")?;
    let target = match reach.as_str() {
        "certificate" => Some(RevocationTarget::Certificate(CertificateId::from_bytes(what))),
        "eid" => Some(RevocationTarget::Eid(EidId::from_bytes(what))),
        "carrier" => Some(RevocationTarget::Carrier(CarrierId::from_bytes(what))),
        "holder" => Some(RevocationTarget::HolderOf(EidId::from_bytes(what))),
        _ => None,
    };
    let event: Option<String> = column(row, "event")?;
    let known =
        |name: String| stored(BusinessEvent::from_name(&name), "event of a scheduled revocation");
    let state: String = column(row, "state")?;
    let revoked: Option<i64> = column(row, "revoked")?;
    let state = match (state.as_str(), opt_time(row, "ended")?, revoked) {
        ("waiting", None, None) => Some(ScheduledState::Waiting),
        ("done", Some(at), Some(revoked)) => {
            Some(ScheduledState::Done { at, revoked: to_u64(revoked, "count")? })
        }
        ("cancelled", Some(at), None) => Some(ScheduledState::Cancelled { at }),
        _ => None,
    };
    Ok(ScheduledRow {
        id: ScheduledId::from_bytes(array(row, "scheduled_id")?),
        target: stored(target, "target of a scheduled revocation")?,
        organisation: column(row, "organisation")?,
        reason: to_reason(column(row, "reason")?)?,
        event: event.map(known).transpose()?,
        strikes: time(row, "strikes")?,
        client: column(row, "client")?,
        created: time(row, "created")?,
        state: stored(state, "state of a scheduled revocation")?,
    })
}

fn find(
    connection: &Connection,
    id: ScheduledId,
    protected: Protected,
) -> Result<Option<ScheduledRow>, StoreError> {
    let sql = format!("{} AND scheduled.scheduled_id = ?1", select(protected));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query([id.as_bytes()])?;
    rows.next()?.map(read).transpose()
}

fn list(
    connection: &Connection,
    filter: &ScheduledFilter,
    after: Option<u64>,
    limit: u32,
) -> Result<ScheduledPage, StoreError> {
    let limit = limit.clamp(1, certificates::MOST_ROWS);
    let mut values = vec![Value::Integer(from_u64(after.unwrap_or(0), "cursor")?)];
    let mut sql = format!("{} AND scheduled.row > ?1", select(filter.protected));
    let mut and = |condition: &str, value: Value| {
        values.push(value);
        sql.push_str(&condition.replace('?', &format!("?{}", values.len())));
    };
    if let Some(organisation) = &filter.organisation {
        and(" AND scheduled.organisation = ?", Value::Text(organisation.clone()));
    }
    if let Some(at) = filter.due_at {
        let condition = " AND scheduled.state = 'waiting' AND scheduled.strikes <= ?";
        and(condition, Value::Integer(from_time(at)));
    }
    if let Some(state) = filter.state {
        and(" AND scheduled.state = ?", Value::Text(state.to_owned()));
    }
    sql.push_str(&format!(" ORDER BY scheduled.row LIMIT {}", u64::from(limit) + 1));
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(values)?;
    let mut page = ScheduledPage { rows: Vec::new(), next: None };
    let mut last = None;
    while let Some(row) = rows.next()? {
        if page.rows.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
            page.next = last;
            break;
        }
        page.rows.push(read(row)?);
        last = Some(to_u64(column(row, "cursor")?, "cursor")?);
    }
    Ok(page)
}

fn schedule(
    act: &mut Act<'_>,
    new: &NewScheduled,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<ScheduledRow, StoreError> {
    if let Some(known) = find(act.connection(), new.id, Protected::Seen)? {
        return Ok(known);
    }
    let lives = living(act.connection(), certificates_of(&new.target), now)?.len();
    let counts = u64::try_from(lives).unwrap_or(u64::MAX).max(1);
    jobs::count_alone(act.connection(), &new.alone, counts, now)?;
    act.connection()
        .prepare_cached(
            "INSERT INTO scheduled_revocation (scheduled_id, reach, what, organisation, reason, event, \
                 client, strikes, state, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'waiting', ?9)",
        )?
        .execute(params![
            new.id.as_bytes(),
            new.target.reach(),
            new.target.id(),
            new.organisation,
            new.reason.map(RevocationReason::code),
            new.event.map(|event| event.rule().name),
            new.alone.client,
            from_time(new.strikes),
            from_time(now)
        ])?;
    act.put_audit(audit, now)?;
    let recorded = find(act.connection(), new.id, Protected::Seen)?;
    stored(recorded, "scheduled revocation")
}

fn strike(
    act: &mut Act<'_>,
    id: ScheduledId,
    audit: BoundAudit,
    now: UnixTime,
) -> Result<Option<Vec<BoundChanged>>, StoreError> {
    let Some(row) = find(act.connection(), id, Protected::Seen)? else { return Ok(None) };
    // This decides between nodes: the second one that comes changes no row.
    let mine = act
        .connection()
        .prepare_cached(
            "UPDATE scheduled_revocation SET state = 'done', ended = ?2, revoked = 0 \
             WHERE scheduled_id = ?1 AND state = 'waiting' AND strikes <= ?2",
        )?
        .execute(params![id.as_bytes(), from_time(now)])?;
    if mine != 1 {
        return Ok(None);
    }
    let wish = RevocationWish::Revoke(row.reason);
    let all = change(act, &row.target, (wish, row.strikes), now)?;
    let changed = all.iter().filter(|one| one.done.is_some()).count();
    act.connection()
        .prepare_cached("UPDATE scheduled_revocation SET revoked = ?2 WHERE scheduled_id = ?1")?
        .execute(params![
            id.as_bytes(),
            from_u64(u64::try_from(changed).unwrap_or(u64::MAX), "count")?
        ])?;
    act.put_audit(&audit(&all), now)?;
    Ok(Some(all))
}

fn register(
    act: &mut Act<'_>,
    taken: &TakenRequest,
    audit: BoundAudit,
    now: UnixTime,
) -> Result<Option<RegisteredRequest>, StoreError> {
    let Alone { client, .. } = &taken.alone;
    if let Some((said, known)) = known_request(act.connection(), client, &taken.reference)? {
        return Ok((said == taken.said).then_some(known));
    }
    let all = change(act, &taken.target, (taken.wish, taken.requested_at), now)?;
    let count = |of: fn(&BoundChanged) -> bool| {
        u64::try_from(all.iter().filter(|one| of(one)).count()).unwrap_or(u64::MAX)
    };
    let corrects = |one: &BoundChanged| matches!(one.done, Some(StatusAct::CorrectReason { .. }));
    let corrected = count(corrects);
    let changed = count(|one| one.done.is_some());
    if changed > 0 {
        jobs::count_alone(act.connection(), &taken.alone, changed, now)?;
    }
    let revoked = changed.saturating_sub(corrected);
    let already = count(|one| one.done.is_none());
    act.connection()
        .prepare_cached(
            "INSERT INTO taken_request (client, reference, said, registered, revoked, corrected, already) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            client,
            taken.reference,
            taken.said,
            from_time(now),
            from_u64(revoked, "count")?,
            from_u64(corrected, "count")?,
            from_u64(already, "count")?
        ])?;
    act.put_audit(&audit(&all), now)?;
    Ok(Some(RegisteredRequest {
        registered: now,
        revoked,
        corrected,
        already,
        position: all.iter().map(|one| one.status.position).max(),
        changed: Some(all),
    }))
}

/// What a client has registered under a reference: the hash of what it sent, and what became of that.
fn known_request(
    connection: &Connection,
    client: &str,
    reference: &str,
) -> Result<Option<([u8; 32], RegisteredRequest)>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM taken_request WHERE client = ?1 AND reference = ?2")?;
    let mut rows = statement.query(params![client, reference])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let count = |name| to_u64(column(row, name)?, "count");
    let known = RegisteredRequest {
        registered: time(row, "registered")?,
        revoked: count("revoked")?,
        corrected: count("corrected")?,
        already: count("already")?,
        changed: None,
        position: None,
    };
    Ok(Some((array(row, "said")?, known)))
}
