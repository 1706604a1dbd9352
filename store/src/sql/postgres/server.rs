//! A server and a database of it, and how they are reached.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use super::failure::PostgresError;
use super::schema;
use super::session::Session;
use super::wire::Wire;
use crate::StoreError;
use crate::sql::connection::{Connection, DatabaseError};

/// The oldest version that has all that is used here (`pg_current_xact_id`: 13), as `server_version_num`.
const OLDEST: i64 = 130_000;

/// What every session begins with. A node that is stopped in the middle of a transaction must not stop the others, nor
/// must one whose machine is gone: what it holds is let go of when its kernel is silent for some seconds. A statement ends before
/// nobody waits for it any more.
const SESSION: &str = "SET synchronous_commit = on; SET lock_timeout = '10s'; \
    SET statement_timeout = '110s'; SET idle_in_transaction_session_timeout = '60s'; \
    SET tcp_keepalives_idle = 5; SET tcp_keepalives_interval = 2; SET tcp_keepalives_count = 3; \
    SET tcp_user_timeout = 11000; SET client_min_messages = warning";

/// The port that a server listens at where nobody says otherwise.
const PORT: u16 = 5432;

/// How a server is reached.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// Through the socket in this folder.
    Socket(PathBuf),
    /// Over TCP, by a name or address.
    Name(String),
}

/// How a server at a host is known, and what is said to it kept from others.
#[derive(Clone)]
pub(super) struct Tls {
    pub(super) config: Arc<ClientConfig>,
    pub(super) name: ServerName<'static>,
}

/// Where a database is: a server, the database's name, and who logs in.
#[derive(Clone)]
pub struct PostgresServer {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
    pub(super) password: Option<Zeroizing<Vec<u8>>>,
    pub(super) tls: Option<Tls>,
}

impl PostgresServer {
    /// The server whose socket lies in `folder`; the operating system may vouch for the user there (`peer`).
    #[must_use]
    pub fn at_socket(folder: PathBuf, database: &str, user: &str) -> Self {
        Self::at(Host::Socket(folder), database, user)
    }

    /// The server at a host's TCP port. **The connection is not encrypted** without [`Self::with_tls`]: the host is this one.
    #[must_use]
    pub fn at_host(name: &str, database: &str, user: &str) -> Self {
        Self::at(Host::Name(name.to_owned()), database, user)
    }

    fn at(host: Host, database: &str, user: &str) -> Self {
        let (database, user) = (database.to_owned(), user.to_owned());
        Self { host, port: PORT, database, user, password: None, tls: None }
    }

    /// At another port than 5432.
    #[must_use]
    pub fn with_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// Logs in with this password (`scram-sha-256`); it is sent in no other form.
    #[must_use]
    pub fn with_password(self, password: Zeroizing<Vec<u8>>) -> Self {
        Self { password: Some(password), ..self }
    }

    /// Speaks TLS, and only with a server that `config` believes to be `name`. A server that does not offer it is not
    /// spoken to.
    #[must_use]
    pub fn with_tls(self, config: Arc<ClientConfig>, name: ServerName<'static>) -> Self {
        Self { tls: Some(Tls { config, name }), ..self }
    }

    /// Whether nothing has been made in the database yet.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unreachable`], storage errors.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        schema::is_empty(&Connection::Postgres(Box::new(Session::open(self)?)))
    }

    pub(super) fn connect(&self) -> Result<Wire, PostgresError> {
        let mut wire = Wire::connect(self)?;
        wire.batch(SESSION)?;
        Ok(wire)
    }

    /// Refuses a server that would lose what it has acknowledged, or that lacks what is used.
    pub(super) fn must_keep_what_it_is_given(&self) -> Result<(), StoreError> {
        let connection = Connection::Postgres(Box::new(Session::open(self)?));
        let setting = |name: &str| -> Result<String, DatabaseError> {
            connection
                .prepare_cached("SELECT current_setting(?1)")?
                .query_row([name], |row| row.get(0))
        };
        let wanted = [
            ("fsync", "on"),
            ("full_page_writes", "on"),
            ("server_encoding", "UTF8"),
            // A standby: it takes no writes.
            ("transaction_read_only", "off"),
        ];
        for (name, wanted) in wanted {
            let found = setting(name)?;
            if found != wanted {
                return Err(StoreError::ServerSetting { setting: name, found, wanted });
            }
        }
        let version = setting("server_version_num")?;
        if version.parse().unwrap_or(0) < OLDEST {
            let (setting, wanted) = ("server_version_num", "130000 or later");
            return Err(StoreError::ServerSetting { setting, found: version, wanted });
        }
        Ok(())
    }
}

/// What is said of it in messages: never the password.
impl fmt::Display for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { port, database, user, .. } = self;
        match &self.host {
            Host::Socket(folder) => {
                write!(f, "{database} of {user} at {}, port {port}", folder.display())
            }
            Host::Name(name) => write!(f, "{database} of {user} at {name}, port {port}"),
        }
    }
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
