//! Configurations that two persons have activated.

use ca::deployment::Deployment;
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{array, column, from_time, time};
use super::connection::Connection;
use super::group::Act;
use super::profiles::judged_beside;
use super::{Backend, SqlStore, schema};
use crate::StoreError;
use crate::activation::{ActivatedConfiguration, Activations};
use crate::audit::AuditRecord;
use crate::sealing::KeySource;

impl<B: Backend> Activations for SqlStore<B> {
    fn activate_configuration(
        &self,
        new: &ActivatedConfiguration,
        after: Option<[u8; 32]>,
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<bool, StoreError> {
        let (new, audit) = (new.clone(), audit.clone());
        self.writer.run(move |act| activate(act, &new, after, &audit, now))
    }

    fn activated_configuration(&self) -> Result<Option<ActivatedConfiguration>, StoreError> {
        self.readers.read(newest)
    }
}

/// The first version of the schema that keeps them.
const KEPT_SINCE: u32 = 37;

/// The newest one in a database that a program may be serving by: it is judged as for opening, and neither locked nor changed. None of one that was made before
/// they were kept, or that is empty.
pub(super) fn newest_beside(
    snapshot: &Connection,
    name: &str,
    deployment: Deployment,
    keys: &dyn KeySource,
) -> Result<Option<ActivatedConfiguration>, StoreError> {
    if !judged_beside(snapshot, name, deployment, keys)? {
        return Ok(None);
    }
    let version: Option<u32> =
        snapshot.prepare_cached(schema::NEWEST)?.query_row([], |row| row.get(0))?;
    if version < Some(KEPT_SINCE) { Ok(None) } else { newest(snapshot) }
}

fn newest(connection: &Connection) -> Result<Option<ActivatedConfiguration>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT * FROM activated_configuration ORDER BY row DESC LIMIT 1")?;
    let mut rows = statement.query([])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(ActivatedConfiguration {
        hash: array(row, "hash")?,
        manifest: column(row, "manifest")?,
        persons: column(row, "persons")?,
        statements: column(row, "statements")?,
        at: time(row, "activated")?,
    }))
}

fn activate(
    act: &mut Act<'_>,
    new: &ActivatedConfiguration,
    after: Option<[u8; 32]>,
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<bool, StoreError> {
    let known = newest(act.connection())?;
    if known.map(|known| known.hash) != after {
        return Ok(false);
    }
    act.connection().execute(
        "INSERT INTO activated_configuration (hash, manifest, persons, statements, activated) \
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![new.hash, new.manifest, new.persons, new.statements, from_time(now)],
    )?;
    act.put_audit(audit, now)?;
    Ok(true)
}
