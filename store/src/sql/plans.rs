//! How SQLite means to answer a statement, for tests: what is asked while the writer waits, or for anybody, reads no whole table.

use ca::deployment::Deployment;
use x509::time::UnixTime;

use crate::SqliteStore;
use crate::sealing::FileKeySource;

/// The steps of the plan of a statement, on an empty database.
pub(super) fn plan(sql: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let deployment = Deployment::from_parts("test", "demo", "abcd").unwrap();
    let keys = FileKeySource::create(&folder.path().join("seal.key")).unwrap();
    let now = UnixTime::from_secs(1_800_000_000).unwrap();
    let path = folder.path().join("ca.db");
    let store = SqliteStore::open_or_create(&path, deployment, &keys, now).unwrap();
    let mut sql = format!("EXPLAIN QUERY PLAN {sql}");
    for place in 1..10 {
        sql = sql.replace(&format!("?{place}"), "x'00'");
    }
    let plan = store.readers.read(|connection| {
        let mut steps = connection.prepare_cached(&sql)?;
        let steps = steps.query_map([], |row| row.get::<String>("detail"))?;
        Ok(steps.collect::<Result<Vec<_>, _>>()?)
    });
    plan.unwrap()
}

/// Whether a whole table is read, or all of an index.
pub(super) fn scans(sql: &str) -> bool {
    plan(sql).iter().any(|step| step.starts_with("SCAN "))
}
