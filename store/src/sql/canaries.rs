//! Samples of profiles.

use super::connection::Connection;
use rusqlite::params;
use x509::time::UnixTime;

use super::columns::{array, column, from_time};
use super::group::Act;
use super::{Backend, SqlStore, StoreError};
use crate::audit::AuditRecord;
use crate::canary::{Canaries, Canary};
use crate::certificate::ProfileVersion;

impl<B: Backend> Canaries for SqlStore<B> {
    fn canaries(&self) -> Result<Vec<Canary>, StoreError> {
        self.readers.read(all)
    }

    fn record_canaries(
        &self,
        canaries: &[Canary],
        audit: &AuditRecord,
        now: UnixTime,
    ) -> Result<(), StoreError> {
        let (canaries, audit) = (canaries.to_vec(), audit.clone());
        self.writer.run(move |act| record(act, &canaries, &audit, now))
    }
}

fn all(connection: &Connection) -> Result<Vec<Canary>, StoreError> {
    let mut statement =
        connection.prepare_cached("SELECT * FROM profile_canary ORDER BY profile, sha256, kind")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(Canary {
            profile: ProfileVersion {
                name: column(row, "profile")?,
                sha256: array(row, "sha256")?,
            },
            kind: column(row, "kind")?,
            book: array(row, "book")?,
            result: column(row, "result")?,
            engine: column(row, "engine")?,
        });
    }
    Ok(found)
}

fn record(
    act: &mut Act<'_>,
    canaries: &[Canary],
    audit: &AuditRecord,
    now: UnixTime,
) -> Result<(), StoreError> {
    for one in canaries {
        act.connection().execute(
            "INSERT INTO profile_canary \
                 (profile, sha256, kind, book, result, engine, recorded) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT (profile, sha256, kind) DO UPDATE \
                 SET book = ?4, result = ?5, engine = ?6, recorded = ?7",
            params![
                one.profile.name,
                one.profile.sha256,
                one.kind,
                one.book,
                one.result,
                one.engine,
                from_time(now)
            ],
        )?;
    }
    act.put_audit(audit, now).map(|_| ())
}
