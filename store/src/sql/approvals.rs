//! Requests for approval.

use ca::four_eyes::CallHash;
use ca::life::{ApprovalAct, ApprovalStage, Named as _, Stage as _};
use ca::role::Protected;
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{array, column, from_time, from_u64, opt_time, stored, time, to_u64};
use super::connection::{Connection, OptionalExtension as _, Row};
use super::group::Act;
use super::{Backend, SqlStore, actors, certificates, eids, seals};
use crate::StoreError;
use crate::approval::{
    ApprovalFault, ApprovalMove, ApprovalRow, ApprovalUse, Approvals, JudgedApproval, NewApproval,
};
use crate::audit::AuditRecord;
use crate::id::{ApprovalId, CertificateId, OrderId, OrganisationId};
use crate::sealing::{Place, Sealer};

impl<B: Backend> Approvals for SqlStore<B> {
    fn ask_approval(
        &self,
        new: &NewApproval,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<ApprovalRow, StoreError> {
        let (asked, audit) = (new.clone(), audit.clone());
        self.writer.run(move |act| ask(act, &asked, &audit, now))?;
        self.approval(new.id)?.ok_or(StoreError::Stored { what: "approval" })
    }

    fn move_approval(
        &self,
        change: &ApprovalMove,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> JudgedApproval<ApprovalRow> {
        let (wanted, audit) = (change.clone(), audit.clone());
        if let Err(fault) = self.writer.run(move |act| move_on(act, &wanted, &audit, now))? {
            return Ok(Err(fault));
        }
        self.approval(change.id)?.map(Ok).ok_or(StoreError::Stored { what: "approval" })
    }

    fn use_approval(
        &self,
        used: &ApprovalUse,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> JudgedApproval<()> {
        let (used, audit) = (used.clone(), audit.clone());
        self.writer.run(move |act| use_up(act, &used, &audit, now))
    }

    fn approval(&self, id: ApprovalId) -> Result<Option<ApprovalRow>, StoreError> {
        self.readers.read(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT * FROM approval WHERE approval_id = ?1")?;
            let mut rows = statement.query([id.as_bytes()])?;
            rows.next()?.map(|row| read(connection, &self.sealer, row)).transpose()
        })
    }

    fn approvals(&self, before: Option<u64>, limit: u32) -> Result<Vec<ApprovalRow>, StoreError> {
        let before = before.map_or(Ok(i64::MAX), |before| from_u64(before, "cursor"))?;
        let limit = limit.clamp(1, certificates::MOST_ROWS);
        self.readers.read(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT * FROM approval WHERE row < ?1 ORDER BY row DESC LIMIT ?2",
            )?;
            let mut rows = statement.query(params![before, limit])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                found.push(read(connection, &self.sealer, row)?);
            }
            Ok(found)
        })
    }
}

const fn said(id: &[u8; 16]) -> Place<'_> {
    Place { table: "approval", column: "said", row: id }
}

const fn decision(id: &[u8; 16]) -> Place<'_> {
    Place { table: "approval", column: "decision", row: id }
}

fn ask(
    act: &mut Act<'_>,
    new: &NewApproval,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    let known = act
        .connection()
        .prepare_cached("SELECT 1 FROM approval WHERE approval_id = ?1")?
        .exists([new.id.as_bytes()])?;
    if known {
        return Ok(());
    }
    let asker = actors::row_of(act, Some(&new.by))?;
    let key = act.data_key(&new.subject)?;
    let sealed = act.sealer().seal(&key, said(new.id.as_bytes()), &new.said)?;
    let organisations = new.organisations.as_ref().map(|ids| {
        let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
        ids.join(" ")
    });
    act.connection()
        .prepare_cached(
            "INSERT INTO approval (approval_id, operation, hash, organisations, protected, asker, \
                 asker_eid, stage, created, ends, said) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            new.id.as_bytes(),
            new.operation,
            new.hash.as_bytes(),
            organisations,
            i64::from(new.protected == Protected::Seen),
            asker,
            new.eid.as_ref().map(CertificateId::as_bytes),
            ApprovalStage::Waiting.word().name,
            from_time(now),
            from_time(new.ends),
            sealed,
        ])?;
    act.put_audit(audit, now)?;
    Ok(())
}

/// What an act rests on.
struct Standing {
    row: i64,
    hash: CallHash,
    stage: ApprovalStage,
    asker: i64,
    asker_eid: Option<CertificateId>,
    decider_eid: Option<CertificateId>,
    moved_by: Option<OrderId>,
    used_by: Option<OrderId>,
}

fn standing(
    connection: &Connection,
    id: ApprovalId,
    now: UnixTime,
) -> Result<Option<Standing>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM approval WHERE approval_id = ?1")?;
    let mut rows = statement.query([id.as_bytes()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    let eid =
        |name| Ok::<_, StoreError>(column::<Option<_>>(row, name)?.map(CertificateId::from_bytes));
    let order =
        |name| Ok::<_, StoreError>(column::<Option<_>>(row, name)?.map(OrderId::from_bytes));
    Ok(Some(Standing {
        row: column(row, "row")?,
        hash: CallHash::from_bytes(array(row, "hash")?),
        stage: stage(row)?.at(time(row, "ends")?, now),
        asker: column(row, "asker")?,
        asker_eid: eid("asker_eid")?,
        decider_eid: eid("decider_eid")?,
        moved_by: order("moved_by")?,
        used_by: order("used_by")?,
    }))
}

fn stage(row: Row<'_>) -> Result<ApprovalStage, StoreError> {
    let name: String = column(row, "stage")?;
    stored(ApprovalStage::from_name(&name), "stage of an approval")
}

fn move_on(
    act: &mut Act<'_>,
    change: &ApprovalMove,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<Result<(), ApprovalFault>, StoreError> {
    let Some(standing) = standing(act.connection(), change.id, now)? else {
        return Ok(Err(ApprovalFault::Unknown));
    };
    if standing.moved_by == Some(change.call) {
        return Ok(Ok(()));
    }
    let by = actors::row_of(act, Some(&change.by))?;
    let is_asker = by == Some(standing.asker);
    if change.act == ApprovalAct::Withdraw {
        if !is_asker {
            return Ok(Err(ApprovalFault::NotAsker));
        }
    } else if is_asker || is_one_person(act.connection(), standing.asker_eid, change.eid)? {
        return Ok(Err(ApprovalFault::Own));
    }
    let Some(to) = ApprovalStage::step(Some(standing.stage), change.act, ()) else {
        return Ok(Err(ApprovalFault::Stage(standing.stage)));
    };
    let key = act.data_key(&change.subject)?;
    let sealed = act.sealer().seal(&key, decision(change.id.as_bytes()), &change.said)?;
    act.connection()
        .prepare_cached(
            "UPDATE approval SET stage = ?2, decider = ?3, decider_eid = ?4, moved = ?5, \
                 moved_by = ?6, decision = ?7 WHERE row = ?1",
        )?
        .execute(params![
            standing.row,
            to.word().name,
            by,
            change.eid.as_ref().map(CertificateId::as_bytes),
            from_time(now),
            change.call.as_bytes(),
            sealed,
        ])?;
    act.put_audit(audit, now)?;
    Ok(Ok(()))
}

/// Whether orders have said of both eIDs that they are one person's.
fn is_one_person(
    connection: &Connection,
    one: Option<CertificateId>,
    other: Option<CertificateId>,
) -> Result<bool, StoreError> {
    let (Some(one), Some(other)) = (one, other) else { return Ok(false) };
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(certificate.person_tag, intent.person_tag) AS person \
         FROM certificate LEFT JOIN intent ON intent.serial_row = certificate.serial_row \
         WHERE certificate.certificate_id = ?1",
    )?;
    let mut person = |of: CertificateId| -> Result<Option<[u8; 32]>, StoreError> {
        let tag = statement.query_row([of.as_bytes()], |row| row.get(0)).optional()?;
        Ok(tag.flatten())
    };
    let (one, other) = (person(one)?, person(other)?);
    Ok(one.is_some() && one == other)
}

fn use_up(
    act: &mut Act<'_>,
    used: &ApprovalUse,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<Result<(), ApprovalFault>, StoreError> {
    let Some(standing) = standing(act.connection(), used.id, now)? else {
        return Ok(Err(ApprovalFault::Unknown));
    };
    if actors::row_of(act, Some(&used.by))? != Some(standing.asker) {
        return Ok(Err(ApprovalFault::NotAsker));
    }
    if standing.hash != used.hash {
        return Ok(Err(ApprovalFault::Differs(standing.hash)));
    }
    if standing.stage == ApprovalStage::Used {
        let same = standing.used_by == Some(used.order);
        return Ok(if same { Ok(()) } else { Err(ApprovalFault::UsedBefore) });
    }
    let Some(to) = ApprovalStage::step(Some(standing.stage), ApprovalAct::Use, ()) else {
        return Ok(Err(ApprovalFault::Stage(standing.stage)));
    };
    match eids::must_be_active(act.connection(), standing.decider_eid, now) {
        Err(StoreError::EidNotActive { .. }) => return Ok(Err(ApprovalFault::ApproverEnded)),
        other => other?,
    }
    act.connection()
        .prepare_cached("UPDATE approval SET stage = ?2, used = ?3, used_by = ?4 WHERE row = ?1")?
        .execute(params![standing.row, to.word().name, from_time(now), used.order.as_bytes()])?;
    act.put_audit(audit, now)?;
    Ok(Ok(()))
}

fn read(connection: &Connection, sealer: &Sealer, row: Row<'_>) -> Result<ApprovalRow, StoreError> {
    let id: [u8; 16] = array(row, "approval_id")?;
    let organisations: Option<String> = column(row, "organisations")?;
    let organisations = organisations.map(|ids| {
        let ids: Result<Vec<OrganisationId>, _> = ids.split(' ').map(str::parse).collect();
        stored(ids.ok(), "organisations of an approval")
    });
    let sealed: Vec<u8> = column(row, "said")?;
    let decided: Option<Vec<u8>> = column(row, "decision")?;
    let decided = decided.map(|sealed| seals::open(connection, sealer, decision(&id), &sealed));
    let used_by: Option<[u8; 16]> = column(row, "used_by")?;
    Ok(ApprovalRow {
        id: ApprovalId::from_bytes(id),
        operation: column(row, "operation")?,
        hash: CallHash::from_bytes(array(row, "hash")?),
        organisations: organisations.transpose()?,
        protected: match column::<i64>(row, "protected")? {
            0 => Protected::Unseen,
            _ => Protected::Seen,
        },
        stage: stage(row)?,
        created: time(row, "created")?,
        ends: time(row, "ends")?,
        moved: opt_time(row, "moved")?,
        used: opt_time(row, "used")?,
        used_by: used_by.map(OrderId::from_bytes),
        said: seals::open(connection, sealer, said(&id), &sealed)?,
        decision: decided.transpose()?.flatten(),
        cursor: to_u64(column(row, "row")?, "cursor")?,
    })
}
