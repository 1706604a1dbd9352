//! One session with a server: statements prepared once, and transactions whose end is known.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use rusqlite::types::ToSql;

use super::row::PostgresRow;
use super::server::PostgresServer;
use super::wire::{Prepared, Waits, Wire};
use crate::sql::connection::{DatabaseError, Failure};

/// Rows of a stream that are fetched at once: a few hundred kB.
const FETCH: usize = 4096;

/// How long a commit whose answer was lost is asked after, and how often.
const ASKED_FOR: Duration = Duration::from_secs(60);
const ASKED_EVERY: Duration = Duration::from_millis(200);

/// Which server this is and which of its timelines: a standby that is made the primary begins a new one, and gives
/// transactions the numbers of those that it lacks.
const HERE: &str = "(SELECT CAST(system_identifier AS TEXT) || '.' || \
    substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) FROM pg_control_system())";

/// How a transaction begins that writes. All other nodes wait for its locks, 10 s at most each time (`lock_timeout`): one whose node
/// stands still ends before the first of them gives up. Between two of its statements a node does nothing that takes a second.
/// Transactions that read hold nobody up, and may idle for longer: a list is compared while its snapshot stands.
const BEGIN_WRITING: &str = "BEGIN ISOLATION LEVEL READ COMMITTED; \
    SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// A transaction that writes: its number, and where it is counted.
#[derive(Clone)]
struct Transaction {
    number: String,
    here: String,
}

/// A session. One thread uses it at a time.
pub(in crate::sql) struct Session {
    server: PostgresServer,
    client: RefCell<Wire>,
    statements: RefCell<HashMap<String, Prepared>>,
    /// The transaction that writes.
    transaction: RefCell<Option<Transaction>>,
    streams: Cell<u64>,
}

impl Session {
    pub(super) fn open(server: &PostgresServer) -> Result<Self, DatabaseError> {
        Ok(Self {
            client: RefCell::new(server.connect()?),
            server: server.clone(),
            statements: RefCell::default(),
            transaction: RefCell::default(),
            streams: Cell::new(0),
        })
    }

    fn client(&self) -> RefMut<'_, Wire> {
        self.client.borrow_mut()
    }

    pub(in crate::sql) fn is_closed(&self) -> bool {
        self.client().is_broken()
    }

    pub(in crate::sql) fn prepared(&self, sql: &str) -> Result<Prepared, DatabaseError> {
        if let Some(statement) = self.statements.borrow().get(sql) {
            return Ok(statement.clone());
        }
        let statement = self.client().prepare(&in_its_words(sql))?;
        self.statements.borrow_mut().insert(sql.to_owned(), statement.clone());
        Ok(statement)
    }

    pub(in crate::sql) fn execute(
        &self,
        statement: &Prepared,
        params: &[&dyn ToSql],
    ) -> Result<usize, DatabaseError> {
        Ok(self.client().run(statement, params)?.count)
    }

    pub(in crate::sql) fn query(
        &self,
        statement: &Prepared,
        params: &[&dyn ToSql],
    ) -> Result<Fetched<'_>, DatabaseError> {
        let rows = self.client().run(statement, params)?.rows;
        Ok(Fetched { rows: rows.into_iter(), current: None, more: None })
    }

    /// As [`Self::query`], a part of the rows at a time. The cursor ends with its transaction, and nothing of it stays
    /// in a session that lives for years.
    pub(in crate::sql) fn stream(
        &self,
        sql: &str,
        params: &[&dyn ToSql],
    ) -> Result<Fetched<'_>, DatabaseError> {
        let number = self.streams.get();
        self.streams.set(number.wrapping_add(1));
        let declare = format!("DECLARE stream{number} NO SCROLL CURSOR FOR {}", in_its_words(sql));
        self.client().run_once(&declare, params)?;
        let more = Some((self, format!("FETCH {FETCH} FROM stream{number}")));
        Ok(Fetched { rows: Vec::new().into_iter(), current: None, more })
    }

    pub(in crate::sql) fn batch(&self, sql: &str) -> Result<(), DatabaseError> {
        Ok(self.client().batch(sql)?)
    }

    /// Runs a migration in a transaction that has begun: a table of millions of rows is written anew in as long as that takes.
    pub(in crate::sql) fn migrate(&self, sql: &str) -> Result<(), DatabaseError> {
        self.batch("SET LOCAL statement_timeout = 0")?;
        self.client().wait(Waits::ForAMigration);
        let done = self.batch(sql);
        self.client().wait(Waits::AsUsual);
        done
    }

    /// Begins the transaction that writes, of all nodes the only one: the heads of both logs are locked first, status
    /// before audit, and until the transaction ends. What is read from here on is what the last writer left.
    pub(in crate::sql) fn begin_writing(&self) -> Result<(), DatabaseError> {
        self.transaction.take();
        self.batch(BEGIN_WRITING)?;
        self.lock_heads()
    }

    /// Locks the heads of both logs until the transaction ends, status before audit.
    pub(in crate::sql) fn lock_heads(&self) -> Result<(), DatabaseError> {
        let lock = self.prepared(&format!(
            "SELECT CAST(pg_current_xact_id() AS TEXT), {HERE} FROM log_head WHERE log = ?1 FOR UPDATE"
        ))?;
        let status = self.query(&lock, &[&"status"])?.next()?.and_then(transaction);
        self.query(&lock, &[&"audit"])?;
        self.transaction.replace(status);
        Ok(())
    }

    /// Commits. Where the answer is lost with the connection, a new one is asked whether it was done: a caller must
    /// not be told that an act left no trace which did. `still` is told meanwhile why, and for how long it has not been known.
    pub(in crate::sql) fn commit(
        &self,
        still: &dyn Fn(&DatabaseError, Duration),
    ) -> Result<(), DatabaseError> {
        let begun = Instant::now();
        let Err(error) = self.batch("COMMIT") else { return Ok(()) };
        let Some(transaction) = self.transaction.take() else { return Err(error) };
        if error.failure() != Failure::Unreachable {
            // The server answered, and what it answered was no.
            return Err(error);
        }
        match self.became_of(&transaction, &|| still(&error, begun.elapsed())) {
            Some(Ended::Committed) => Ok(()),
            Some(Ended::RolledBack) | None => Err(error),
        }
    }

    /// `None` where nobody can be asked, or only a server that never heard of it.
    fn became_of(&self, transaction: &Transaction, still: &dyn Fn()) -> Option<Ended> {
        let begun = Instant::now();
        while begun.elapsed() < ASKED_FOR {
            still();
            match self.asked(transaction).as_deref() {
                Ok("committed") => return Some(Ended::Committed),
                Ok("aborted") => return Some(Ended::RolledBack),
                Ok(ELSEWHERE) => return None,
                // Its session has not been told yet that its client is gone, or the server went away again.
                _ => {}
            }
            thread::sleep(ASKED_EVERY);
        }
        None
    }

    fn asked(&self, transaction: &Transaction) -> Result<String, DatabaseError> {
        let session = Self::open(&self.server)?;
        let told = session.prepared(&format!(
            "SELECT CASE WHEN {HERE} = CAST(?2 AS TEXT) \
             THEN pg_xact_status(CAST(CAST(?1 AS TEXT) AS xid8)) ELSE '{ELSEWHERE}' END"
        ))?;
        let Transaction { number, here } = transaction;
        let told = session.query(&told, &[number, here])?.next()?.and_then(|row| text(row, 0));
        told.ok_or_else(DatabaseError::no_row)
    }
}

/// What is told of a transaction that another server counted.
const ELSEWHERE: &str = "elsewhere";

fn transaction(row: &PostgresRow) -> Option<Transaction> {
    Some(Transaction { number: text(row, 0)?, here: text(row, 1)? })
}

/// The text in a column.
fn text(row: &PostgresRow, place: usize) -> Option<String> {
    row.value(place)?.as_str().ok().map(str::to_owned)
}

/// How a transaction ended.
enum Ended {
    Committed,
    RolledBack,
}

/// Rows that have come from the server.
pub(in crate::sql) struct Fetched<'s> {
    rows: std::vec::IntoIter<PostgresRow>,
    current: Option<PostgresRow>,
    /// Where there are more of them, and how they are asked for.
    more: Option<(&'s Session, String)>,
}

impl Fetched<'_> {
    pub(in crate::sql) fn next(&mut self) -> Result<Option<&PostgresRow>, DatabaseError> {
        self.current = self.rows.next();
        if self.current.is_none()
            && let Some((session, fetch)) = &self.more
        {
            self.rows = session.client().run_once(fetch, &[])?.rows.into_iter();
            self.current = self.rows.next();
            if self.current.is_none() {
                self.more = None;
            }
        }
        Ok(self.current.as_ref())
    }
}

/// A statement in PostgreSQL's words: `$1` for `?1`, and without what only SQLite's planner is told: an index, and the
/// order of a join, which `CROSS JOIN ... ON` fixes there. What stands in a literal is a value, and left as it is.
fn in_its_words(sql: &str) -> String {
    let mut said = String::with_capacity(sql.len());
    // Every second part stands in a literal, or between two octets of a doubled quote, where nothing is.
    for (place, part) in sql.split('\'').enumerate() {
        if place > 0 {
            said.push('\'');
        }
        if place % 2 == 0 {
            reworded(part, &mut said);
        } else {
            said.push_str(part);
        }
    }
    said
}

fn reworded(sql: &str, said: &mut String) {
    let sql = sql.replace('?', "$").replace("CROSS JOIN", "JOIN");
    let mut parts = sql.split(" INDEXED BY ");
    said.push_str(parts.next().unwrap_or_default());
    for part in parts {
        // The index's name is not said either.
        said.push_str(part.find(' ').and_then(|end| part.get(end..)).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use support::postgresql::{Postgresql, USER};

    use super::*;

    /// A session makes CRLs for as long as the program runs.
    #[test]
    fn a_stream_leaves_nothing_in_the_server() {
        let Some(server) = Postgresql::start() else { return };
        let database = server.database();
        let at = PostgresServer::at_socket(server.folder().to_owned(), &database, USER)
            .with_port(server.port());
        let session = Session::open(&at).unwrap();
        let count = || {
            let count = "SELECT CAST(count(*) AS TEXT) FROM pg_prepared_statements";
            let count = session.prepared(count).unwrap();
            session.query(&count, &[]).unwrap().next().unwrap().and_then(|row| text(row, 0))
        };
        let before = count();
        for upto in [1_u64, 5000] {
            session.batch("BEGIN").unwrap();
            let sql = "SELECT n FROM generate_series(1, CAST(?1 AS BIGINT)) AS n ORDER BY n";
            let mut stream = session.stream(sql, &[&i64::try_from(upto).unwrap()]).unwrap();
            let mut rows = 0;
            while let Some(row) = stream.next().unwrap() {
                rows += 1;
                assert_eq!(row.value(0).unwrap().as_i64(), Ok(rows));
            }
            assert_eq!(u64::try_from(rows), Ok(upto));
            session.batch("COMMIT").unwrap();
        }
        assert_eq!(count(), before);
    }

    /// Promise 2: a number of another server's says nothing of what was done here.
    #[test]
    fn a_lost_commit_is_asked_after_where_it_was_made() {
        let Some(server) = Postgresql::start() else { return };
        let database = server.database();
        server.sql("postgres", "CREATE USER ordinary NOSUPERUSER");
        let at = PostgresServer::at_socket(server.folder().to_owned(), &database, "ordinary")
            .with_port(server.port());
        let session = Session::open(&at).unwrap();
        session.batch("BEGIN").unwrap();
        let begun = format!("SELECT CAST(pg_current_xact_id() AS TEXT), {HERE}");
        let begun = session.prepared(&begun).unwrap();
        let begun = session.query(&begun, &[]).unwrap().next().unwrap().and_then(transaction);
        let begun = begun.unwrap();
        assert_eq!(session.asked(&begun).unwrap(), "in progress");
        session.batch("COMMIT").unwrap();
        assert_eq!(session.asked(&begun).unwrap(), "committed");

        let (server, timeline) = begun.here.split_once('.').unwrap();
        assert_eq!(timeline, "00000001");
        for here in [format!("{server}.00000002"), format!("5.{timeline}")] {
            let elsewhere = Transaction { here, ..begun.clone() };
            assert_eq!(session.asked(&elsewhere).unwrap(), ELSEWHERE);
            assert!(session.became_of(&elsewhere, &|| {}).is_none());
        }
    }

    #[test]
    fn a_statement_is_said_in_its_words() {
        let said = in_its_words(
            "SELECT serial FROM serial INDEXED BY serial_listed WHERE issuer = ?1 AND row > ?12",
        );
        assert_eq!(said, "SELECT serial FROM serial WHERE issuer = $1 AND row > $12");
        let said = in_its_words("SELECT row FROM a INDEXED BY b CROSS JOIN c ON x INDEXED BY d");
        assert_eq!(said, "SELECT row FROM a JOIN c ON x");
    }

    /// A value that looks like a word of SQLite's is written, and compared, as what it is.
    #[test]
    fn what_stands_in_a_literal_is_left_as_it_is() {
        let literals = "'who?' || 'it''s a CROSS JOIN?' || ' INDEXED BY nobody'";
        let said = in_its_words(&format!("SELECT {literals} FROM a CROSS JOIN b ON x = ?1"));
        assert_eq!(said, format!("SELECT {literals} FROM a JOIN b ON x = $1"));
    }
}
