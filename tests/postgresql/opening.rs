//! Whose a database is, and what a server must be like.

use std::io::{Read as _, Write as _};

use store::{FileKeySource, SqliteStore, StoreError};

use crate::conformance::Backend as _;
use crate::conformance::world::{REVOKE, World, at};

use crate::{SERVER, in_server, postgres};

#[test]
fn a_database_is_of_one_deployment_and_one_key() {
    let postgres = postgres();
    drop(postgres.open());
    FileKeySource::create(&postgres.folder.path().join("others")).unwrap();

    let other = postgres.open_as("test/demo/cd34", "keys").map(|_| ()).unwrap_err();
    assert_eq!(other.code(), "deployment-mismatch");
    assert!(other.to_string().contains(&postgres.database), "{other}");
    let keys = postgres.open_as("test/demo/ab12", "others").map(|_| ()).unwrap_err();
    assert_eq!(keys.code(), "sealing-keys-wrong");
    postgres.open_as("test/demo/ab12", "keys").unwrap();
}

#[test]
fn a_database_of_somebody_else_is_left_alone() {
    let postgres = postgres();
    let empty = postgres.open_as("test/demo/ab12", "keys").map(|_| ()).unwrap_err();
    assert_eq!(empty.code(), "database-not-initialised");

    SERVER.sql(&postgres.database, "CREATE TABLE somebody_elses (x BIGINT)");
    let keys = FileKeySource::new(&postgres.folder.path().join("keys"));
    let deployment = "test/demo/ab12".parse().unwrap();
    let refused =
        store::PostgresStore::open_or_create(&postgres.server(), deployment, &keys, at(0));
    assert_eq!(refused.map(|_| ()).unwrap_err().code(), "database-not-initialised");
    let tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(SERVER.sql(&postgres.database, tables), "1\n");
}

#[test]
fn a_newer_or_changed_schema_is_refused() {
    let postgres = postgres();
    drop(postgres.open());
    SERVER.sql(&postgres.database, "UPDATE schema_migration SET sha256 = sha256(sha256)");
    let changed = postgres.open_as("test/demo/ab12", "keys").map(|_| ()).unwrap_err();
    assert_eq!(changed.code(), "schema-changed");

    SERVER.sql(&postgres.database, "INSERT INTO schema_migration VALUES (9999, '', 0)");
    let newer = postgres.open_as("test/demo/ab12", "keys").map(|_| ()).unwrap_err();
    assert_eq!(newer.code(), "schema-newer");
}

/// A node that was left running while another one was upgraded.
#[test]
fn writes_nothing_into_a_database_that_was_brought_up_meanwhile() {
    let postgres = postgres();
    let world = World::new(&postgres);
    let id = world.issue(at(1)).certificate;
    SERVER.sql(&postgres.database, "INSERT INTO schema_migration VALUES (9999, '', 0)");

    let refused = world.change(id, REVOKE, at(2)).unwrap_err();

    assert_eq!((refused.code(), refused.is_passing()), ("schema-newer", true));
    SERVER.sql(&postgres.database, "DELETE FROM schema_migration WHERE version = 9999");
    world.revoke(id, at(3));
}

/// As a node leaves it that does not count what is awaited.
#[test]
fn a_wrong_count_of_what_is_awaited_refuses_nothing_and_ends_with_the_next_start() {
    let postgres = postgres();
    let world = World::new(&postgres);
    world.revoke(world.issue(at(1)).certificate, at(2));
    while world.store.await_revocations(at(0), at(3)).unwrap() {}
    SERVER.sql(&postgres.database, "UPDATE awaited_count SET waiting = 0");
    let first = world.store.awaited(0, 1).unwrap()[0].key();
    world.store.forget_awaited(&[first]).unwrap();
    assert_eq!(world.store.awaited_counts().unwrap(), []);

    // Another node starts beside it.
    let counts = postgres.open().awaited_counts().unwrap();
    let counts: Vec<_> = counts.iter().map(|one| (one.method.as_str(), one.count)).collect();
    assert_eq!(counts, [("crl", 1)]);
}

#[test]
fn nodes_that_start_together_make_one_database() {
    let postgres = postgres();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| drop(postgres.open()));
        }
    });
    let migrations = "SELECT count(*) = count(DISTINCT version) FROM schema_migration";
    assert_eq!(SERVER.sql(&postgres.database, migrations), "t\n");
    World::new(&postgres).issue(at(1));
}

/// Who works on a database is seen without taking anything from it.
#[test]
fn the_nodes_at_work_are_seen_while_their_leases_last() {
    let postgres = postgres();
    let seen = |now| store::PostgresStore::nodes_at_work(&postgres.server(), at(now)).unwrap();
    assert!(seen(0).is_empty(), "an empty database");

    let world = World::new(&postgres);
    assert!(seen(0).is_empty());
    let lease = store::LeaseName::Node("a".to_owned());
    world.store.lease(&store::LeaseName::Publication, &world.node, at(0)).unwrap();
    world.store.lease(&lease, &world.node, at(0)).unwrap();

    assert_eq!(seen(29), [("a".to_owned(), at(30))]);
    assert!(seen(30).is_empty());
    world.store.lease(&lease, &world.node, at(31)).unwrap();
    assert_eq!(seen(32), [("a".to_owned(), at(61))]);
    world.store.release_lease(&lease, &world.node).unwrap();
    assert!(seen(32).is_empty());
}

/// Promise 2: what has been acknowledged must outlive the server's machine.
#[test]
fn a_server_that_forgets_is_refused() {
    let postgres = postgres();
    let deployment = || "test/demo/ab12".parse().unwrap();
    let keys = FileKeySource::new(&postgres.folder.path().join("keys"));
    let server = support::postgresql::Postgresql::start().unwrap();
    let database = server.database();
    let at_server = in_server(&server, &database);
    server.sql("postgres", "ALTER SYSTEM SET fsync = off");
    server.sql("postgres", "SELECT pg_reload_conf()");
    // A reload takes effect in its own time.
    for _ in 0..300 {
        if server.sql("postgres", "SHOW fsync").trim() == "off" {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }

    let refused = store::PostgresStore::open_or_create(&at_server, deployment(), &keys, at(0));
    let refused = refused.map(|_| ()).unwrap_err();
    assert_eq!(refused.code(), "database-setting");
    assert!(refused.to_string().contains("fsync = off"), "{refused}");

    server.kill();
    let gone = store::PostgresStore::open_or_create(&at_server, deployment(), &keys, at(0));
    let gone = gone.map(|_| ()).unwrap_err();
    assert!(matches!(gone, StoreError::Unreachable(_)) && gone.is_passing(), "{gone:?}");
    assert_eq!(gone.code(), "database-unreachable");
}

/// A password proves both sides to each other; without it, or with another, nobody comes in.
#[test]
fn a_password_is_wanted_and_proven() {
    let server = support::postgresql::Postgresql::start().unwrap();
    let database = server.database();
    server.want_password("hunter2");
    let here = || in_server(&server, &database);
    let folder = tempfile::tempdir().unwrap();
    let keys = FileKeySource::create(&folder.path().join("keys")).unwrap();
    let open = |server: store::PostgresServer| {
        let deployment = "test/demo/ab12".parse().unwrap();
        store::PostgresStore::open_or_create(&server, deployment, &keys, at(0)).map(|_| ())
    };
    let password = |text: &str| zeroize::Zeroizing::new(text.as_bytes().to_vec());

    for server in [here(), here().with_password(password("hunter3"))] {
        let refused = open(server).unwrap_err();
        assert_eq!(refused.code(), "database-unreachable");
        assert!(!format!("{refused:?}").contains("hunter"), "{refused:?}");
    }
    open(here().with_password(password("hunter2"))).unwrap();
}

/// Where TLS is wanted nothing is said without it, neither user nor password: whoever sits between could have answered no.
#[test]
fn a_server_without_tls_is_told_nothing() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut heard = [0; 8];
        stream.read_exact(&mut heard).unwrap();
        stream.write_all(b"N").unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rest
    });
    let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let server = store::PostgresServer::at_host("127.0.0.1", "sigill", "sigill")
        .with_port(port)
        .with_password(zeroize::Zeroizing::new(b"hunter2".to_vec()))
        .with_tls(config.into(), "127.0.0.1".try_into().unwrap());

    let refused = server.is_empty().unwrap_err();

    assert_eq!(refused.code(), "database-unreachable");
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(why, "the server does not speak TLS");
    assert!(heard.join().unwrap().is_empty());
}

/// The two folders of migrations come to the same tables and columns.
#[test]
fn both_databases_have_the_same_columns() {
    let postgres = postgres();
    drop(postgres.open());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sigill.db");
    let keys = FileKeySource::create(&folder.path().join("keys")).unwrap();
    let deployment = "test/demo/ab12".parse().unwrap();
    drop(SqliteStore::open_or_create(&path, deployment, &keys, at(0)).unwrap());
    let connection = rusqlite::Connection::open(&path).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT tables.name || '.' || columns.name FROM sqlite_schema AS tables \
             JOIN pragma_table_xinfo(tables.name) AS columns \
             WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'",
        )
        .unwrap();
    let mut here: Vec<String> =
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap();
    here.sort();

    let columns = "SELECT table_name || '.' || column_name FROM information_schema.columns \
                   WHERE table_schema = 'public'";
    let there = SERVER.sql(&postgres.database, columns);
    let mut there: Vec<String> = there.lines().map(str::to_owned).collect();
    there.sort();
    assert_eq!(here, there);
    let versions = "SELECT max(version) FROM schema_migration";
    let newest: i64 = connection.query_row(versions, [], |row| row.get(0)).unwrap();
    assert_eq!(SERVER.sql(&postgres.database, versions).trim(), newest.to_string());
}
