//! PostgreSQL: a database that several nodes have open at once.
//!
//! Of all nodes one writes at a time: a group of acts begins by locking the heads of both logs, so that whatever a use
//! case reads before it writes is still so when it has written, as it is with SQLite's one writer. Groups of other nodes
//! wait meanwhile, and gather acts while they do. A node that dies lets go of the lock with its connection.

pub(super) mod failure;
pub(super) mod row;
pub(super) mod schema;
mod server;
pub(super) mod session;
mod stream;
pub(super) mod wire;

use std::sync::Arc;

use ca::deployment::Deployment;
use x509::time::UnixTime;

pub use self::server::PostgresServer;
use self::session::Session;
use super::activations::newest_beside;
use super::connection::Connection;
use super::leases::nodes_at_work;
use super::profiles::versions_beside;
use super::{Backend, Database, Missing, SqlStore};
use crate::StoreError;
use crate::activation::ActivatedConfiguration;
use crate::profile::RecordedProfile;
use crate::sealing::KeySource;

/// Connections of one node that read at once. A server lets 100 in where nobody says otherwise, so that two nodes and
/// an operator find room.
const READERS: usize = 32;

/// A database of a server, open.
pub type PostgresStore = SqlStore<PostgresDatabase>;

/// Nothing is held beside the connections: any number of nodes may have the database open.
pub struct PostgresDatabase(());

impl Backend for PostgresDatabase {}

impl PostgresStore {
    /// Opens the database of `deployment`, or makes its tables if it has none.
    ///
    /// # Errors
    ///
    /// As [`Self::open`], except that an empty database is filled.
    pub fn open_or_create(
        server: &PostgresServer,
        deployment: Deployment,
        keys: &dyn KeySource,
        now: UnixTime,
    ) -> Result<Self, StoreError> {
        Self::checked(server, deployment, keys, now, Missing::Make)
    }

    /// Opens the database of `deployment`, which must have its tables. Applies migrations that it lacks; of nodes that
    /// start at one time, one does.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreachable`], [`StoreError::ServerSetting`], [`StoreError::NotInitialised`],
    /// [`StoreError::Deployment`] naming both deployments and the database, [`StoreError::WrongSealingKeys`],
    /// [`StoreError::SchemaNewer`], [`StoreError::SchemaChanged`], storage errors.
    pub fn open(
        server: &PostgresServer,
        deployment: Deployment,
        keys: &dyn KeySource,
        now: UnixTime,
    ) -> Result<Self, StoreError> {
        Self::checked(server, deployment, keys, now, Missing::Refuse)
    }

    /// The versions of profiles that were used; nothing is changed. None of a database that holds nothing yet.
    ///
    /// # Errors
    ///
    /// All for which [`Self::open`] would refuse the database.
    pub fn profile_versions_beside(
        server: &PostgresServer,
        deployment: Deployment,
        keys: &dyn KeySource,
    ) -> Result<Vec<RecordedProfile>, StoreError> {
        server.must_keep_what_it_is_given()?;
        let snapshot = Connection::Postgres(Box::new(Session::open(server)?));
        versions_beside(&snapshot, &server.to_string(), deployment, keys)
    }

    /// The configuration that was activated last; nothing is changed. None of a database that holds nothing yet.
    ///
    /// # Errors
    ///
    /// As [`Self::profile_versions_beside`].
    pub fn activated_configuration_beside(
        server: &PostgresServer,
        deployment: Deployment,
        keys: &dyn KeySource,
    ) -> Result<Option<ActivatedConfiguration>, StoreError> {
        server.must_keep_what_it_is_given()?;
        let snapshot = Connection::Postgres(Box::new(Session::open(server)?));
        newest_beside(&snapshot, &server.to_string(), deployment, keys)
    }

    /// The names of the nodes that work on the database at `now`, and until when each has its lease; nothing is changed.
    /// None of a database that holds nothing yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreachable`], storage errors.
    pub fn nodes_at_work(
        server: &PostgresServer,
        now: UnixTime,
    ) -> Result<Vec<(String, UnixTime)>, StoreError> {
        nodes_at_work(&Connection::Postgres(Box::new(Session::open(server)?)), now)
    }

    fn checked(
        server: &PostgresServer,
        deployment: Deployment,
        keys: &dyn KeySource,
        now: UnixTime,
        missing: Missing,
    ) -> Result<Self, StoreError> {
        server.must_keep_what_it_is_given()?;
        let database = Arc::new(server.clone());
        Self::start(database, PostgresDatabase(()), deployment, keys, now, missing)
    }
}

impl Database for PostgresServer {
    fn writer(&self) -> Result<Connection, StoreError> {
        Ok(Connection::Postgres(Box::new(Session::open(self)?)))
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        Ok(Connection::Postgres(Box::new(Session::open(self)?)))
    }

    fn most_readers(&self) -> usize {
        READERS
    }

    fn name(&self) -> String {
        self.to_string()
    }
}
