//! The store in SQL: use cases that are written once, for two databases.
//!
//! [`SqliteStore`] keeps everything in one file, which one program has open; [`PostgresStore`] in a database that several
//! nodes have open at once. What differs between them stands in `sqlite` and `postgres`: how a database is opened, its
//! migrations, what its errors mean. Everything else asks a [`Connection`](connection::Connection) and does not
//! know which it is.
//!
//! # To add a use case
//!
//! Write its statements once, in what both databases understand (the head of `connection` says what that is), as a
//! function over an [`Act`](group::Act) or a connection, and give `SqlStore` the method. A new table or column is a
//! migration in both folders, store/migrations and store/migrations/postgresql, under one number; a test compares
//! what they come to. Put the claim into the conformance suite: it runs on both.
//!
//! Three things that SQLite forgives and PostgreSQL does not. After a statement that failed nothing more may be asked
//! in the same act, so what may be there already is inserted with `ON CONFLICT ... DO NOTHING`. A parameter has the
//! type of what it is compared with or put into; one that stands alone is cast. `sum` of whole numbers is cast to
//! BIGINT.

mod activations;
mod actors;
mod approvals;
mod awaited;
mod bound;
mod canaries;
mod carriers;
mod certificates;
mod changes;
mod clients;
mod columns;
pub(crate) mod connection;
mod crls;
mod domains;
mod eid_orders;
mod eids;
mod endings;
mod group;
mod holders;
mod import;
mod intents;
mod issuers;
mod jobs;
mod key_survey;
mod leases;
mod limits;
mod listed;
mod logs;
mod management;
mod ordered;
mod orders;
mod organisations;
mod outcomes;
#[cfg(test)]
mod plans;
mod postgres;
mod profiles;
mod protection;
mod readers;
mod reads;
mod receipts;
mod replaced;
mod reply;
mod scheduled;
mod schema;
mod seals;
mod shards;
mod shared_texts;
mod sqlite;
mod takeover;
mod trials;
mod use_cases;
mod writer;

use std::sync::Arc;

use ca::deployment::{Deployment, Place};
use ledger::Frontier;
use rusqlite::params;
use x509::time::UnixTime;

use self::columns::from_time;
use self::connection::{Connection, OptionalExtension as _};
use self::readers::Readers;
use self::writer::Writer;
use crate::log::Log;
use crate::sealing::{KeySource, Sealer};
use crate::{StoreError, recorder};

pub use self::postgres::{PostgresServer, PostgresStore};
pub use self::sqlite::SqliteStore;

/// Where a database is: how connections to it are made.
trait Database: Send + Sync {
    /// The connection that writes.
    fn writer(&self) -> Result<Connection, StoreError>;
    /// One of those that read.
    fn reader(&self) -> Result<Connection, StoreError>;
    /// How many of those may be open at once.
    fn most_readers(&self) -> usize;
    /// What it is called in messages.
    fn name(&self) -> String;
}

/// What a store holds besides, as long as it lives.
pub trait Backend: Send + Sync + 'static {}

/// A database, open.
///
/// Dropping it finishes what is queued and closes the database.
pub struct SqlStore<B: Backend> {
    deployment: Deployment,
    sealer: Arc<Sealer>,
    readers: Readers,
    writer: Writer,
    /// Declared last, so that it is let go last.
    _backend: B,
}

impl<B: Backend> SqlStore<B> {
    fn start(
        database: Arc<dyn Database>,
        backend: B,
        deployment: Deployment,
        keys: &dyn KeySource,
        now: UnixTime,
        missing: Missing,
    ) -> Result<Self, StoreError> {
        let keys = keys.sealing_keys().map_err(StoreError::Keys)?;
        let sealer = Arc::new(Sealer::new(deployment.to_string(), &keys));
        let connection = database.writer()?;
        initialise(&connection, &database.name(), deployment, &sealer, now, missing)?;
        awaited::recount(&connection)?;
        Ok(Self {
            deployment,
            readers: Readers::new(Arc::clone(&database)),
            writer: Writer::start(connection, database, Arc::clone(&sealer))?,
            sealer,
            _backend: backend,
        })
    }
}

/// What to do with a database that holds nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Make,
    Refuse,
}

/// Checks whose database it is, and makes or migrates it: all in one transaction, so that a crash
/// leaves either nothing or a whole database.
fn initialise(
    connection: &Connection,
    name: &str,
    deployment: Deployment,
    sealer: &Sealer,
    now: UnixTime,
    missing: Missing,
) -> Result<(), StoreError> {
    connection.begin_founding()?;
    let done = make_or_migrate(connection, name, deployment, sealer, now, missing);
    match done {
        Ok(()) => Ok(connection.commit()?),
        Err(error) => {
            connection.roll_back();
            Err(error)
        }
    }
}

fn make_or_migrate(
    connection: &Connection,
    name: &str,
    deployment: Deployment,
    sealer: &Sealer,
    now: UnixTime,
    missing: Missing,
) -> Result<(), StoreError> {
    if schema::is_ours(connection)? {
        must_be_of(connection, name, deployment)?;
        must_be_sealed_by(connection, sealer)?;
        schema::migrate(connection, now)
    } else if missing == Missing::Make && schema::is_empty(connection)? {
        schema::migrate(connection, now)?;
        found(connection, deployment, sealer, now)
    } else {
        Err(StoreError::NotInitialised { database: name.to_owned() })
    }
}

fn must_be_of(
    connection: &Connection,
    name: &str,
    deployment: Deployment,
) -> Result<(), StoreError> {
    let row: Option<(String, String, String)> = connection
        .prepare_cached("SELECT environment, pki, instance FROM deployment")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (environment, pki, instance) =
        row.ok_or_else(|| StoreError::NotInitialised { database: name.to_owned() })?;
    let found = Deployment::from_parts(&environment, &pki, &instance).map_err(|_| {
        StoreError::UnknownDeployment {
            database: name.to_owned(),
            found: format!("{environment}/{pki}/{instance}"),
            expected: deployment,
        }
    })?;
    deployment
        .must_equal(&found, Place::Database)
        .map_err(|source| StoreError::Deployment { database: name.to_owned(), source })
}

fn must_be_sealed_by(connection: &Connection, sealer: &Sealer) -> Result<(), StoreError> {
    let key_check: Vec<u8> = connection
        .prepare_cached("SELECT key_check FROM deployment")?
        .query_row([], |row| row.get(0))?;
    if key_check == sealer.key_check() { Ok(()) } else { Err(StoreError::WrongSealingKeys) }
}

/// Writes what a new database begins with: its deployment and two empty logs of epoch 1.
fn found(
    connection: &Connection,
    deployment: Deployment,
    sealer: &Sealer,
    now: UnixTime,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO deployment (\"only\", environment, pki, instance, key_check, created) \
         VALUES (1, ?1, ?2, ?3, ?4, ?5)",
        params![
            deployment.environment().name(),
            deployment.pki().name(),
            deployment.instance().as_str(),
            sealer.key_check(),
            from_time(now)
        ],
    )?;
    for log in [Log::Status, Log::Audit] {
        connection.execute(
            "INSERT INTO log_head (log, epoch, size, frontier, last_time) VALUES (?1, 1, 0, ?2, 0)",
            params![log.name(), Frontier::new().to_bytes()],
        )?;
    }
    Ok(())
}
