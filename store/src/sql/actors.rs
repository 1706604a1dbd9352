//! Statements of administrators.

use ca::audit::Actor;
use rusqlite::params;
use status::Position;
use x509::time::UnixTime;

use super::columns::from_time;
use super::connection::OptionalExtension as _;
use super::eids::must_be_active;
use super::group::Act;
use super::{Backend, SqlStore};
use crate::StoreError;
use crate::actor::{ActorStatements, Again, StatementUse};
use crate::audit::AuditRecord;
use crate::sealing::IndexTerm;

/// Old ones that one act forgets.
const FORGOTTEN: u32 = 5000;

impl<B: Backend> ActorStatements for SqlStore<B> {
    fn take_statement(
        &self,
        used: &StatementUse,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<Position, StoreError> {
        let (used, audit) = (used.clone(), audit.clone());
        if used.reads {
            return self.writer.run_behind(1, move |act| take(act, &used, audit, now));
        }
        self.writer.run(move |act| take(act, &used, audit, now))
    }

    fn forget_statements(&self, before: UnixTime) -> Result<u64, StoreError> {
        let forgotten = self.writer.run(move |act| {
            Ok(act
                .connection()
                .prepare_cached(
                    "DELETE FROM actor_statement WHERE row IN \
                         (SELECT row FROM actor_statement WHERE until < ?1 ORDER BY until LIMIT ?2)",
                )?
                .execute(params![from_time(before), FORGOTTEN])?)
        })?;
        Ok(forgotten.try_into().unwrap_or(u64::MAX))
    }
}

fn take(
    act: &mut Act<'_>,
    used: &StatementUse,
    audit: AuditRecord,
    now: UnixTime,
) -> Result<Position, StoreError> {
    must_be_active(act.connection(), used.eid, now)?;
    let taken: Option<[u8; 32]> = act
        .connection()
        .prepare_cached("SELECT signed FROM actor_statement WHERE name = ?1")?
        .query_row([used.name], |row| row.get(0))
        .optional()?;
    let (administrator, id) = administrator(act, used, now)?;
    match taken {
        Some(signed) if used.again == Again::SameCall && signed == used.signed => {}
        Some(_) => return Err(StoreError::StatementReplayed),
        None => {
            act.connection()
                .prepare_cached(
                    "INSERT INTO actor_statement (name, signed, administrator, until) \
                     VALUES (?1, ?2, ?3, ?4)",
                )?
                .execute(params![used.name, used.signed, administrator, from_time(used.until)])?;
        }
    }
    let mut audit = audit;
    audit.event.actor = Actor::Person(id);
    act.put_audit(&audit, now)
}

/// The row of who signed for an act. His statement was taken before, so there is one.
///
/// # Errors
///
/// [`StoreError::Stored`] where there is none.
pub(super) fn row_of(
    act: &Act<'_>,
    signed_by: Option<&IndexTerm>,
) -> Result<Option<i64>, StoreError> {
    let Some(term) = signed_by else { return Ok(None) };
    let name = act.sealer().blind(term);
    let row: Option<i64> = act
        .connection()
        .prepare_cached("SELECT row FROM administrator WHERE name = ?1")?
        .query_row([name.as_bytes()], |row| row.get(0))
        .optional()?;
    row.map(Some).ok_or(StoreError::Stored { what: "administrator who signed" })
}

/// The row and the opaque id of who signed, who is written down the first time.
fn administrator(
    act: &Act<'_>,
    used: &StatementUse,
    now: UnixTime,
) -> Result<(i64, [u8; 16]), StoreError> {
    let name = act.sealer().blind(&used.administrator);
    act.connection()
        .prepare_cached(
            "INSERT INTO administrator (administrator_id, name, created) VALUES (?1, ?2, ?3) \
             ON CONFLICT (name) DO NOTHING",
        )?
        .execute(params![used.drawn, name.as_bytes(), from_time(now)])?;
    Ok(act
        .connection()
        .prepare_cached("SELECT row, administrator_id FROM administrator WHERE name = ?1")?
        .query_row([name.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?)
}
