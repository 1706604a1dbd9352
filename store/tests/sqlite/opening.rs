//! Promise 8 and §2.4: which database is opened, by whom, and what can be read in its files.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ca::audit::EventCode;
use store::{
    FileKeySource, HeldOrder, NumberedProfile, ProfileFile, ProfileVersion, RecordedProfile,
    SqliteStore, Store as _, StoreError,
};

use crate::conformance::Backend as _;
use crate::conformance::world::{PERSON, REVOKE, World, at, audit};
use crate::{Sqlite, sqlite};

fn open_as(sqlite: &Sqlite, deployment: &str, keys: &str) -> Result<SqliteStore, StoreError> {
    let keys = FileKeySource::new(&sqlite.folder.path().join(keys));
    SqliteStore::open(&sqlite.database, deployment.parse().unwrap(), &keys, at(1))
}

fn beside_as(
    sqlite: &Sqlite,
    deployment: &str,
    keys: &str,
) -> Result<Vec<RecordedProfile>, StoreError> {
    let keys = FileKeySource::new(&sqlite.folder.path().join(keys));
    SqliteStore::profile_versions_beside(&sqlite.database, deployment.parse().unwrap(), &keys)
}

/// Promise 8: a mismatch names both values and the file.
#[test]
fn refuses_the_database_of_another_deployment() {
    let sqlite = sqlite();
    drop(sqlite.open());

    for other in ["test/demo/zz99", "test/systemtest/ab12", "qa/test/ab12"] {
        let refused = open_as(&sqlite, other, "keys").err().unwrap();

        assert_eq!(refused.code(), "deployment-mismatch");
        let cause = std::error::Error::source(&refused).unwrap().to_string();
        assert!(cause.contains(other) && cause.contains("test/demo/ab12"), "{cause}");
        assert!(refused.to_string().contains("sigill.db"), "{refused}");
    }
    open_as(&sqlite, "test/demo/ab12", "keys").unwrap();
}

#[test]
fn refuses_sealing_keys_that_the_database_was_not_made_with() {
    let sqlite = sqlite();
    drop(sqlite.open());
    FileKeySource::create(&sqlite.folder.path().join("other")).unwrap();

    assert_eq!(
        open_as(&sqlite, "test/demo/ab12", "other").err().unwrap().code(),
        "sealing-keys-wrong"
    );
    assert_eq!(
        open_as(&sqlite, "test/demo/ab12", "none").err().unwrap().code(),
        "sealing-keys-missing"
    );
}

/// .cargo/config.toml says how SQLite is built; docs/performance.md what it is worth.
#[test]
fn sqlite_is_built_without_locks_at_each_allocation() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let mut options = connection.prepare("PRAGMA compile_options").unwrap();
    let options = options.query_map([], |row| row.get(0)).unwrap();
    let options: Vec<String> = options.collect::<Result<_, _>>().unwrap();

    assert!(options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"), "{options:?}");
    assert!(!options.iter().any(|option| option == "ENABLE_MEMORY_MANAGEMENT"), "{options:?}");
}

/// A wrong path must not look like a new CA.
#[test]
fn opening_never_makes_a_database() {
    let sqlite = sqlite();
    let code = || open_as(&sqlite, "test/demo/ab12", "keys").err().unwrap().code();

    assert_eq!(code(), "database-open");
    assert!(!sqlite.database.exists());
    fs::write(&sqlite.database, b"").unwrap();
    assert_eq!(code(), "database-not-initialised");
    fs::write(&sqlite.database, [b'x'; 5000]).unwrap();
    assert_eq!(code(), "database-damaged");
    fs::remove_file(&sqlite.database).unwrap();
    sqlite.raw().execute_batch("CREATE TABLE somebody_elses (x)").unwrap();
    assert_eq!(code(), "database-not-initialised");
}

/// PRO-19: an operator asks before a restart, while the program serves.
#[test]
fn versions_of_profiles_are_read_beside_the_program_that_has_the_database() {
    let sqlite = sqlite();
    let beside = || beside_as(&sqlite, "test/demo/ab12", "keys");
    let files = || {
        let read = |entry: std::io::Result<fs::DirEntry>| {
            let path = entry.unwrap().path();
            (path.clone(), fs::read(path).unwrap())
        };
        fs::read_dir(sqlite.folder.path()).unwrap().map(read).collect::<BTreeMap<_, _>>()
    };
    FileKeySource::create(&sqlite.folder.path().join("other")).unwrap();
    drop(sqlite.open());
    fs::rename(&sqlite.database, sqlite.folder.path().join("set-aside")).unwrap();
    fs::write(&sqlite.database, b"").unwrap();
    assert_eq!(beside().unwrap(), []);
    fs::remove_file(&sqlite.database).unwrap();
    let program = sqlite.open();
    let profile = ProfileVersion { name: "function".to_owned(), sha256: [1; 32] };
    let profile = NumberedProfile { profile, version: 3 };
    let file = ProfileFile { profile: profile.clone(), file: b"version = 3".to_vec() };
    program.register_profiles(&[file], &audit(EventCode::ProfileVersion), at(7)).unwrap();

    let while_it_runs = beside().unwrap();
    drop(program);
    let before = files();
    let after = beside().unwrap();

    assert_eq!(while_it_runs, [RecordedProfile { profile, first_used: at(7) }]);
    assert_eq!(after, while_it_runs);
    assert!(files() == before, "{:?}", files().keys());
    let refused = |deployment, keys| beside_as(&sqlite, deployment, keys).unwrap_err().code();
    assert_eq!(refused("test/demo/zz99", "keys"), "deployment-mismatch");
    assert_eq!(refused("test/demo/ab12", "other"), "sealing-keys-wrong");
    // As a version wrote it that kept no versions.
    sqlite.raw().execute_batch("DROP TABLE profile_version").unwrap();
    assert_eq!(beside().unwrap(), []);
    for (sql, code) in [
        ("INSERT INTO schema_migration VALUES (99, zeroblob(32), 0)", "schema-newer"),
        (
            "DELETE FROM schema_migration WHERE version = 99;
             UPDATE schema_migration SET sha256 = zeroblob(32)",
            "schema-changed",
        ),
        ("PRAGMA application_id = 1", "database-not-initialised"),
    ] {
        sqlite.raw().execute_batch(sql).unwrap();
        assert_eq!(refused("test/demo/ab12", "keys"), code);
    }
}

#[test]
fn one_program_at_a_time_has_the_database() {
    let sqlite = sqlite();
    let first = sqlite.open();

    let refused = open_as(&sqlite, "test/demo/ab12", "keys").err().unwrap();

    assert_eq!(refused.code(), "database-in-use");
    drop(first);
    open_as(&sqlite, "test/demo/ab12", "keys").unwrap();
}

#[test]
fn refuses_a_schema_that_it_does_not_know() {
    let sqlite = sqlite();
    drop(sqlite.open());
    let code = |sql: &str| {
        sqlite.raw().execute_batch(sql).unwrap();
        open_as(&sqlite, "test/demo/ab12", "keys").err().unwrap().code()
    };

    assert_eq!(code("INSERT INTO schema_migration VALUES (99, zeroblob(32), 0)"), "schema-newer");
    assert_eq!(
        code(
            "DELETE FROM schema_migration WHERE version = 99;
             UPDATE schema_migration SET sha256 = zeroblob(32)"
        ),
        "schema-changed"
    );
}

/// A node that was left running while another one was upgraded: nothing of it comes into the database any more, and all is there when the
/// database is of its version again.
#[test]
fn writes_nothing_into_a_database_that_was_brought_up_meanwhile() {
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    let id = world.issue(at(1)).certificate;
    let head = || world.store.log_head(store::Log::Status).unwrap();
    let before = head();
    sqlite
        .raw()
        .execute_batch("INSERT INTO schema_migration VALUES (99, zeroblob(32), 0)")
        .unwrap();

    let refused = world.change(id, REVOKE, at(2)).unwrap_err();

    assert_eq!((refused.code(), refused.is_passing()), ("schema-newer", true));
    assert_eq!(head(), before);
    sqlite.raw().execute_batch("DELETE FROM schema_migration WHERE version = 99").unwrap();
    world.revoke(id, at(3));
}

#[test]
fn brings_an_older_schema_up_and_keeps_what_is_in_it() {
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    let id = world.issue(at(1)).certificate;
    world.revoke(id, at(2));
    drop(world);
    // As the first version left it.
    sqlite
        .raw()
        .execute_batch(
            "DELETE FROM schema_migration WHERE version > 1; DROP TABLE scheduled_revocation; DROP TABLE taken_request; DROP TABLE management_certificate;
             DROP TABLE activated_configuration; DROP TABLE approval; DROP TABLE eid_order_step; DROP TABLE eid_order; DROP TABLE protected_person; DROP TABLE actor_statement; DROP TABLE administrator; DROP TABLE shared_text; ALTER TABLE order_response DROP COLUMN cuts;
             DROP TABLE rsa_key; DROP TABLE key_survey;
             DROP TRIGGER key_compromised_by_revocation; DROP TRIGGER key_compromised_by_import;
             DROP TRIGGER key_of_lost_compromised_by_revocation; DROP TABLE lost_certificate;
             DROP TABLE compromised_key; DROP TABLE key_holder; ALTER TABLE orders DROP COLUMN turn;
             DROP TABLE shown; DROP TABLE shown_hour; DROP INDEX intent_of_key; DROP INDEX certificate_of_key; DROP INDEX intent_of_person; DROP INDEX intent_of_subject; DROP INDEX certificate_of_person;
             DROP INDEX certificate_by_profile; DROP INDEX intent_open_by_key; DROP INDEX intent_by_holder;
             ALTER TABLE intent DROP COLUMN person_tag;
             ALTER TABLE certificate DROP COLUMN person_tag;
             ALTER TABLE certificate DROP COLUMN ended_by;
             ALTER TABLE intent DROP COLUMN subject_spki;
             ALTER TABLE intent DROP COLUMN holder_tag;
             DROP TABLE superseded_start; DROP TABLE profile_version;
             DROP TABLE issued_hour; DROP TABLE issuing_pause; DROP INDEX intent_voided_by_order; DROP TABLE profile_canary;
             DROP INDEX certificate_of_eid; ALTER TABLE certificate DROP COLUMN eid; DROP TABLE eid; DROP TABLE carrier;
             DROP TABLE domain_proof; DROP TABLE domain; DROP TABLE organisation; DROP TABLE trial_revocation; DROP TABLE job_range; DROP TABLE job_seen; DROP TABLE awaited_count; DROP TABLE job_wave; DROP TABLE job_part; DROP TABLE job_item; DROP TABLE job_term; DROP TABLE job;
             DROP TABLE revoked_hour; DROP TABLE sight; DROP TABLE awaited; DROP TABLE awaited_until; DROP TABLE receipt_entry; DROP TABLE receipt;
             DROP INDEX serial_in_shard; DROP INDEX serial_ends_in_shard; DROP INDEX serial_listed_in_shard;
             ALTER TABLE serial DROP COLUMN shard; DROP TABLE crl_shard; DROP INDEX serial_listed;
             ALTER TABLE serial DROP COLUMN entry;
             CREATE INDEX serial_listed ON serial (issuer, serial) WHERE listed = 1;",
        )
        .unwrap();

    let store = open_as(&sqlite, "test/demo/ab12", "keys").unwrap();

    assert!(store.certificate(&store::CertificateLookup::Id(id)).unwrap().is_some());
    let compromised: u32 = sqlite
        .raw()
        .query_row("SELECT count(*) FROM compromised_key", [], |row| row.get(0))
        .unwrap();
    assert_eq!(compromised, 1, "keys that were compromised before are known");
    let versions: u32 = sqlite
        .raw()
        .query_row("SELECT max(version) FROM schema_migration", [], |row| row.get(0))
        .unwrap();
    assert!(versions > 1);
}

/// As a program leaves it that does not count what is awaited.
#[test]
fn a_wrong_count_of_what_is_awaited_refuses_nothing_and_ends_with_the_next_start() {
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    world.revoke(world.issue(at(1)).certificate, at(2));
    world.revoke(world.issue(at(1)).certificate, at(2));
    while world.store.await_revocations(at(0), at(3)).unwrap() {}
    for (wrong, counted) in [(0, 0), (9, 2)] {
        let sql = format!("UPDATE awaited_count SET waiting = {wrong}");
        sqlite.raw().execute_batch(&sql).unwrap();
        let first = world.store.awaited(0, 1).unwrap()[0].key();
        world.store.forget_awaited(&[first]).unwrap();
        assert_eq!(world.store.awaited_counts().unwrap().len(), counted);
    }
    drop(world);

    let counts = sqlite.open().awaited_counts().unwrap();
    let counts: Vec<_> = counts.iter().map(|one| (one.method.as_str(), one.count)).collect();
    assert_eq!(counts, [("crl", 1), ("ocsp", 1)]);
}

#[test]
fn only_the_owner_may_read_the_files() {
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    world.issue(at(1));

    for entry in fs::read_dir(sqlite.folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
}

/// DAT-06: neither the database nor its write-ahead log shows a person.
#[test]
fn no_file_shows_the_person() {
    let sqlite = sqlite();
    let world = World::new(&sqlite);
    let order = world.new_order("k");
    world.store.begin_order(&order, at(0)).unwrap();
    let id = world.issue(at(1)).certificate;
    let _ = world.intend(at(1)).unwrap();
    world.revoke(id, at(2));
    let response = store::StoredResponse {
        status: 201,
        content_type: "text/plain".to_owned(),
        body: format!("for {PERSON}").into_bytes(),
    };
    let answer = store::OrderAnswer { response, subject: world.subject(), shared: Vec::new() };
    world.store.finish_order(HeldOrder::first(order.id), &world.node, &answer, at(3)).unwrap();
    let shown = |text: &str| {
        fs::read_dir(sqlite.folder.path())
            .unwrap()
            .map(|entry| fs::read(entry.unwrap().path()).unwrap())
            .any(|bytes| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };

    assert!(shown("/v1/certificates"), "the search itself finds what is there");
    assert!(!shown(PERSON));
    drop(world);
    sqlite.raw().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    assert!(shown("/v1/certificates"));
    assert!(!shown(PERSON));
}

/// AUD-03: history is append-only for whoever has the database open, too.
#[test]
fn entries_are_neither_changed_nor_deleted() {
    let sqlite = sqlite();
    World::new(&sqlite).issue(at(1));

    for sql in [
        "UPDATE status_entry SET entry = zeroblob(66)",
        "DELETE FROM status_entry",
        "UPDATE audit_leaf SET leaf = zeroblob(66)",
        "DELETE FROM audit_leaf",
    ] {
        let refused = sqlite.raw().execute_batch(sql).unwrap_err().to_string();
        assert!(refused.contains("append-only"), "{refused}");
    }
}
