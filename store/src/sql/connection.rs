//! One connection, whichever database it leads to: what use cases are written with.
//!
//! It looks as rusqlite does, and its parameters and columns are rusqlite's value types on either side. It hides the
//! client libraries and nothing of SQL: a statement is written once, in what both databases understand the same, and
//! where they do not there are two. What both understand: `ON CONFLICT (...) DO NOTHING` or `DO UPDATE`, `RETURNING`,
//! `FILTER`, `CASE`, `CAST(... AS BIGINT)` around a sum or a parameter that stands alone. A parameter is
//! `?1`, for PostgreSQL it is rewritten to `$1`; what SQLite's planner alone is told
//! is left out there: `INDEXED BY`, and that `CROSS JOIN ... ON` fixes an order.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use std::vec;

use rusqlite::types::{FromSql, FromSqlError, ToSql, Value, ValueRef};

use super::postgres::failure::PostgresError;
use super::postgres::row::PostgresRow;
use super::postgres::session::{Fetched, Session};
use super::postgres::wire::Prepared;
use crate::StoreError;

/// Why a database did not do a statement.
#[derive(Clone)]
pub struct DatabaseError(Arc<Cause>);

enum Cause {
    Sqlite(rusqlite::Error),
    Postgres(PostgresError),
    /// A row was asked for, and there is none.
    NoRow,
    /// A column does not hold what was asked for.
    Column(FromSqlError),
    /// There is no column of that name.
    NoColumn(String),
}

/// What kind of failure it is, the same for both databases.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Failure {
    /// Somebody else has what it needs.
    Busy,
    Full,
    ReadOnly,
    Device,
    Damaged,
    Constraint,
    /// The server is not there, or went away.
    Unreachable,
    Other,
}

impl DatabaseError {
    pub(super) fn no_row() -> Self {
        Self(Arc::new(Cause::NoRow))
    }

    pub(crate) fn failure(&self) -> Failure {
        match &*self.0 {
            Cause::Sqlite(error) => super::sqlite::failure(error),
            Cause::Postgres(error) => error.failure(),
            Cause::NoRow | Cause::Column(_) | Cause::NoColumn(_) => Failure::Other,
        }
    }

    /// Whether a unique index over `column` was violated; `column` is `table.column`.
    pub(super) fn is_unique_on(&self, column: &str) -> bool {
        match &*self.0 {
            Cause::Sqlite(error) => super::sqlite::is_unique_on(error, column),
            Cause::Postgres(error) => error.is_unique_on(column),
            Cause::NoRow | Cause::Column(_) | Cause::NoColumn(_) => false,
        }
    }

    /// Whether the value that was read is of another type than was asked for.
    pub(super) fn is_misread(&self) -> bool {
        match &*self.0 {
            Cause::Sqlite(error) => !matches!(error, rusqlite::Error::SqliteFailure(..)),
            Cause::Postgres(_) => false,
            Cause::NoRow | Cause::Column(_) | Cause::NoColumn(_) => true,
        }
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        let cause = match error {
            rusqlite::Error::QueryReturnedNoRows => Cause::NoRow,
            other => Cause::Sqlite(other),
        };
        Self(Arc::new(cause))
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error.failure() {
            Failure::Busy => Self::Busy,
            Failure::Full => Self::Full,
            Failure::ReadOnly => Self::ReadOnly,
            Failure::Device => Self::Device(error),
            Failure::Damaged => Self::Damaged(error),
            Failure::Constraint => Self::Constraint(error),
            Failure::Unreachable => Self::Unreachable(error),
            Failure::Other => Self::Query(error),
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        DatabaseError::from(error).into()
    }
}

impl From<PostgresError> for DatabaseError {
    fn from(error: PostgresError) -> Self {
        Self(Arc::new(Cause::Postgres(error)))
    }
}

impl From<FromSqlError> for DatabaseError {
    fn from(error: FromSqlError) -> Self {
        Self(Arc::new(Cause::Column(error)))
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Sqlite(error) => error.fmt(f),
            Cause::Postgres(error) => error.fmt(f),
            Cause::NoRow => f.write_str("no row where one was expected"),
            Cause::Column(error) => error.fmt(f),
            Cause::NoColumn(name) => write!(f, "no column {name}"),
        }
    }
}

impl fmt::Debug for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Sqlite(error) => error.fmt(f),
            Cause::Postgres(error) => error.fmt(f),
            Cause::NoRow | Cause::Column(_) | Cause::NoColumn(_) => write!(f, "{self}"),
        }
    }
}

impl std::error::Error for DatabaseError {}

/// A missing row as `None`.
pub(super) trait OptionalExtension<T> {
    fn optional(self) -> Result<Option<T>, DatabaseError>;
}

impl<T> OptionalExtension<T> for Result<T, DatabaseError> {
    fn optional(self) -> Result<Option<T>, DatabaseError> {
        match self {
            Ok(value) => Ok(Some(value)),
            Err(error) if matches!(*error.0, Cause::NoRow) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What a statement is run with.
pub(super) trait Params {
    fn with<R>(self, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R;
}

fn dynamic<T: ToSql>(value: &T) -> &dyn ToSql {
    value
}

impl Params for &[&dyn ToSql] {
    fn with<R>(self, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        run(self)
    }
}

impl Params for Vec<Value> {
    fn with<R>(self, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        let values: Vec<&dyn ToSql> = self.iter().map(dynamic).collect();
        run(&values)
    }
}

impl Params for [&dyn ToSql; 0] {
    fn with<R>(self, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
        run(&self)
    }
}

macro_rules! params_of_one_type {
    ($($length:literal)*) => {
        $(
            impl<T: ToSql> Params for [T; $length] {
                fn with<R>(self, run: impl FnOnce(&[&dyn ToSql]) -> R) -> R {
                    run(&self.each_ref().map(dynamic))
                }
            }
        )*
    };
}

params_of_one_type!(1 2 3 4);

/// A connection to the database, or a transaction in it.
pub(super) enum Connection {
    Sqlite(rusqlite::Connection),
    Postgres(Box<Session>),
}

impl Connection {
    /// A statement, prepared once for the connection's life.
    pub(super) fn prepare_cached(&self, sql: &str) -> Result<Statement<'_>, DatabaseError> {
        Ok(match self {
            Self::Sqlite(connection) => Statement::Sqlite(connection.prepare_cached(sql)?),
            Self::Postgres(session) => Statement::Postgres(session, session.prepared(sql)?),
        })
    }

    /// Runs a statement that is run seldom; returns how many rows it changed.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<usize, DatabaseError> {
        self.prepare_cached(sql)?.execute(params)
    }

    /// Inserts a row by a statement that ends in `RETURNING` and the table's own number; the number, or `None` where
    /// `ON CONFLICT` kept the row out. SQLite knows the number without being asked: for what a statement returns it makes
    /// a temporary table and throws it away, each time.
    pub(super) fn insert(
        &self,
        sql: &str,
        params: impl Params,
    ) -> Result<Option<i64>, DatabaseError> {
        match self {
            Self::Sqlite(connection) => {
                let insert = sql.rsplit_once(" RETURNING ").map_or(sql, |(insert, _)| insert);
                let inserted = self.prepare_cached(insert)?.execute(params)?;
                Ok((inserted > 0).then(|| connection.last_insert_rowid()))
            }
            Self::Postgres(_) => {
                self.prepare_cached(sql)?.query_row(params, |row| row.get(0)).optional()
            }
        }
    }

    /// As [`Self::insert`], of a row that nothing keeps out.
    pub(super) fn insert_new(&self, sql: &str, params: impl Params) -> Result<i64, DatabaseError> {
        self.insert(sql, params)?.ok_or_else(DatabaseError::no_row)
    }

    /// Makes what follows one transaction of the one writer there is, whatever number of nodes there are.
    pub(super) fn begin_writing(&self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(_) => self.execute("BEGIN IMMEDIATE", []).map(|_| ()),
            Self::Postgres(session) => session.begin_writing(),
        }
    }

    /// Makes what follows one transaction in which a database is made or migrated, and of nodes that start together
    /// only one does that at a time.
    pub(super) fn begin_founding(&self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(_) => self.begin_writing(),
            Self::Postgres(session) => {
                session.batch("BEGIN; SELECT pg_advisory_xact_lock(x'53676c31'::int)")
            }
        }
    }

    /// Lets no other node write until the transaction of [`Self::begin_founding`] ends.
    pub(super) fn keep_writers_out(&self) -> Result<(), DatabaseError> {
        match self {
            // It is the transaction of the one writer already.
            Self::Sqlite(_) => Ok(()),
            Self::Postgres(session) => session.lock_heads(),
        }
    }

    /// Runs a migration, for as long as it takes.
    pub(super) fn migrate(&self, sql: &str) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(_) => self.batch(sql),
            Self::Postgres(session) => session.migrate(sql),
        }
    }

    /// Makes what follows one snapshot, which changes nothing.
    pub(super) fn begin_reading(&self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(_) => self.execute("BEGIN", []).map(|_| ()),
            Self::Postgres(session) => {
                session.batch("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            }
        }
    }

    pub(super) fn end_reading(&self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(_) => self.execute("ROLLBACK", []).map(|_| ()),
            Self::Postgres(session) => session.batch("ROLLBACK"),
        }
    }

    /// Runs several statements.
    pub(super) fn batch(&self, sql: &str) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(connection) => Ok(connection.execute_batch(sql)?),
            Self::Postgres(session) => session.batch(sql),
        }
    }

    /// What is done while nobody waits: SQLite's log is copied into the database. PostgreSQL sees to itself.
    pub(super) fn tidy(&self) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(connection) => {
                Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?)
            }
            Self::Postgres(_) => Ok(()),
        }
    }

    pub(super) fn commit(&self) -> Result<(), DatabaseError> {
        self.commit_telling(&|_, _| {})
    }

    /// Commits. Where the answer was lost and a server is asked after it, `still` is told why and for how long, again and
    /// again.
    pub(super) fn commit_telling(
        &self,
        still: &dyn Fn(&DatabaseError, Duration),
    ) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(_) => self.execute("COMMIT", []).map(|_| ()),
            Self::Postgres(session) => session.commit(still),
        }
    }

    /// Ends the transaction without a trace. If it fails, the next one says so when it begins.
    pub(super) fn roll_back(&self) {
        match self {
            Self::Sqlite(connection) if connection.is_autocommit() => {}
            Self::Sqlite(connection) => drop(connection.execute_batch("ROLLBACK")),
            Self::Postgres(session) => drop(session.batch("ROLLBACK")),
        }
    }

    pub(super) fn savepoint(&self, step: Savepoint) -> Result<(), DatabaseError> {
        match self {
            Self::Sqlite(_) => self.execute(step.sql(), []).map(|_| ()),
            Self::Postgres(session) => session.batch(step.sql()),
        }
    }

    /// Whether the transaction is gone that was begun: a full disk or failing device makes SQLite roll it back, and
    /// with the connection to a server it goes too.
    pub(super) fn has_lost_its_transaction(&self) -> bool {
        match self {
            Self::Sqlite(connection) => connection.is_autocommit(),
            Self::Postgres(session) => session.is_closed(),
        }
    }

    /// How large the database is, in octets.
    pub(super) fn database_bytes(&self) -> Result<i64, DatabaseError> {
        let sql = match self {
            Self::Sqlite(_) => {
                "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
            }
            Self::Postgres(_) => "SELECT pg_database_size(current_database())",
        };
        self.prepare_cached(sql)?.query_row([], |row| row.get(0))
    }
}

/// What is done with the savepoint of an act.
#[derive(Clone, Copy)]
pub(super) enum Savepoint {
    Set,
    RollBackTo,
    Release,
}

impl Savepoint {
    const fn sql(self) -> &'static str {
        match self {
            Self::Set => "SAVEPOINT act",
            Self::RollBackTo => "ROLLBACK TO act",
            Self::Release => "RELEASE act",
        }
    }
}

/// A prepared statement.
pub(super) enum Statement<'c> {
    Sqlite(rusqlite::CachedStatement<'c>),
    Postgres(&'c Session, Prepared),
}

impl Statement<'_> {
    /// Runs it; returns how many rows it changed.
    pub(super) fn execute(&mut self, params: impl Params) -> Result<usize, DatabaseError> {
        params.with(|params| match self {
            Self::Sqlite(statement) => Ok(statement.execute(params)?),
            Self::Postgres(session, statement) => session.execute(statement, params),
        })
    }

    pub(super) fn query(&mut self, params: impl Params) -> Result<Rows<'_>, DatabaseError> {
        params.with(|params| match self {
            Self::Sqlite(statement) => Ok(Rows::Sqlite(statement.query(params)?)),
            Self::Postgres(session, statement) => {
                Ok(Rows::Postgres(session.query(statement, params)?))
            }
        })
    }

    /// The first row, which must be there.
    pub(super) fn query_row<T>(
        &mut self,
        params: impl Params,
        read: impl FnOnce(Row<'_>) -> Result<T, DatabaseError>,
    ) -> Result<T, DatabaseError> {
        let mut rows = self.query(params)?;
        let row = rows.next()?.ok_or_else(DatabaseError::no_row)?;
        let value = read(row)?;
        // What a statement returns of what it changes, it returns before it has ended.
        rows.end()?;
        Ok(value)
    }

    pub(super) fn query_map<T>(
        &mut self,
        params: impl Params,
        mut read: impl FnMut(Row<'_>) -> Result<T, DatabaseError>,
    ) -> Result<vec::IntoIter<Result<T, DatabaseError>>, DatabaseError> {
        let mut rows = self.query(params)?;
        let mut values = Vec::new();
        while let Some(row) = rows.next()? {
            values.push(read(row));
        }
        Ok(values.into_iter())
    }

    pub(super) fn exists(&mut self, params: impl Params) -> Result<bool, DatabaseError> {
        Ok(self.query(params)?.next()?.is_some())
    }
}

/// The rows of a query that may have millions of them, as they are asked for and never all in memory.
///
/// Nothing else is asked on the connection until they are read.
pub(super) enum Stream<'c> {
    Sqlite(rusqlite::CachedStatement<'c>),
    Postgres(&'c Session, String),
}

impl Connection {
    pub(super) fn stream(&self, sql: &str) -> Result<Stream<'_>, DatabaseError> {
        Ok(match self {
            Self::Sqlite(connection) => Stream::Sqlite(connection.prepare_cached(sql)?),
            Self::Postgres(session) => Stream::Postgres(session, sql.to_owned()),
        })
    }
}

impl Stream<'_> {
    pub(super) fn query(&mut self, params: impl Params) -> Result<Rows<'_>, DatabaseError> {
        params.with(|params| match self {
            Self::Sqlite(statement) => Ok(Rows::Sqlite(statement.query(params)?)),
            Self::Postgres(session, sql) => Ok(Rows::Postgres(session.stream(sql, params)?)),
        })
    }
}

/// Rows, one after the other.
pub(super) enum Rows<'s> {
    Sqlite(rusqlite::Rows<'s>),
    Postgres(Fetched<'s>),
}

impl Rows<'_> {
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, DatabaseError> {
        Ok(match self {
            Self::Sqlite(rows) => rows.next()?.map(Row::Sqlite),
            Self::Postgres(fetched) => fetched.next()?.map(Row::Postgres),
        })
    }

    fn end(mut self) -> Result<(), DatabaseError> {
        while let Self::Sqlite(rows) = &mut self {
            if rows.next()?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// One row.
#[derive(Clone, Copy)]
pub(super) enum Row<'r> {
    Sqlite(&'r rusqlite::Row<'r>),
    Postgres(&'r PostgresRow),
}

impl<'r> Row<'r> {
    pub(super) fn get<T: FromSql>(self, place: impl ColumnPlace) -> Result<T, DatabaseError> {
        Ok(T::column_result(self.get_ref(place)?)?)
    }

    pub(super) fn get_ref(self, place: impl ColumnPlace) -> Result<ValueRef<'r>, DatabaseError> {
        match self {
            Self::Sqlite(row) => place.in_sqlite(row),
            Self::Postgres(row) => place.in_postgres(row),
        }
    }
}

/// What names a column: its place or its name.
pub(super) trait ColumnPlace {
    fn in_sqlite<'r>(&self, row: &'r rusqlite::Row<'_>) -> Result<ValueRef<'r>, DatabaseError>;
    fn in_postgres<'r>(&self, row: &'r PostgresRow) -> Result<ValueRef<'r>, DatabaseError>;
}

impl ColumnPlace for usize {
    fn in_sqlite<'r>(&self, row: &'r rusqlite::Row<'_>) -> Result<ValueRef<'r>, DatabaseError> {
        Ok(row.get_ref(*self)?)
    }

    fn in_postgres<'r>(&self, row: &'r PostgresRow) -> Result<ValueRef<'r>, DatabaseError> {
        row.value(*self).ok_or_else(|| DatabaseError(Arc::new(Cause::NoColumn(self.to_string()))))
    }
}

impl ColumnPlace for &str {
    fn in_sqlite<'r>(&self, row: &'r rusqlite::Row<'_>) -> Result<ValueRef<'r>, DatabaseError> {
        Ok(row.get_ref(*self)?)
    }

    fn in_postgres<'r>(&self, row: &'r PostgresRow) -> Result<ValueRef<'r>, DatabaseError> {
        let value = row.place(self).and_then(|place| row.value(place));
        value.ok_or_else(|| DatabaseError(Arc::new(Cause::NoColumn((*self).to_owned()))))
    }
}
